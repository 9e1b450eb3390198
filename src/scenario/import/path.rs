//! Paths of resources: `https://…/projects/p/regions/r/subnetworks/s`, `projects/p/locations/r/connectors/c`.

use super::Kind;

/// A reference by path, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResourcePath<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub project: Option<&'a str>,
    /// Region or zone; `None` for what is global or not told.
    pub location: Option<&'a str>,
}

/// Reads a path whose last two segments are a known kind and a name. A bare name is no path.
pub(super) fn parse(text: &str) -> Option<ResourcePath<'_>> {
    // Most texts are no paths: decide by the cheap look first.
    let (rest, name) = text.rsplit_once('/')?;
    let collection = rest.rsplit('/').next()?;
    let kind = Kind::of_collection(collection)?;
    if name.is_empty() || name.contains(char::is_whitespace) {
        return None;
    }
    let after = |word: &str| {
        let mut segments = rest.split('/');
        segments.find(|segment| *segment == word)?;
        segments.next().filter(|segment| !segment.is_empty())
    };
    let location = after("regions").or_else(|| after("zones")).or_else(|| after("locations"));
    Some(ResourcePath { kind, name, project: after("projects"), location: location.filter(|place| *place != "global") })
}

/// The last segment of a URL of a region or a zone.
pub(super) fn location(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_kind_name_project_and_location() {
        let path = parse("https://www.googleapis.com/compute/v1/projects/p/regions/us-central1/subnetworks/apps");
        let expected =
            ResourcePath { kind: Kind::Subnetwork, name: "apps", project: Some("p"), location: Some("us-central1") };
        assert_eq!(path, Some(expected));
        let path = parse("regions/r/addresses/nat").expect("a path");
        assert_eq!((path.kind, path.project, path.location), (Kind::Address, None, Some("r")));
        let path = parse("projects/p/global/networks/core").expect("a path");
        assert_eq!((path.kind, path.location), (Kind::Network, None));
        let path = parse("projects/p/locations/global/policyBasedRoutes/r").expect("a path");
        assert_eq!((path.kind, path.location), (Kind::PolicyBasedRoute, None));
        for text in ["core", "gcr.io/cloudrun/hello", "projects/p/regions/r", "networks/", "10.0.0.0/8"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
