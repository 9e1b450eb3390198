//! Annotations of Cloud Run: which there are, where each counts, and what people get wrong about them.

use super::{interfaces, some_of};
use crate::scenario::decode::nearest;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::Import;
use crate::scenario::tree::{Entry, Node, Value, shorten};

pub(in crate::scenario::import) const CONNECTOR: &str = "run.googleapis.com/vpc-access-connector";
pub(in crate::scenario::import) const EGRESS: &str = "run.googleapis.com/vpc-access-egress";
pub(in crate::scenario::import) const INTERFACES: &str = "run.googleapis.com/network-interfaces";
const MIN_OF_REVISION: &str = "autoscaling.knative.dev/minScale";
const MAX_OF_REVISION: &str = "autoscaling.knative.dev/maxScale";
const MIN: &str = "run.googleapis.com/minScale";
const MAX: &str = "run.googleapis.com/maxScale";
const MODE: &str = "run.googleapis.com/scalingMode";
const MANUAL: &str = "run.googleapis.com/manualInstanceCount";
const INGRESS: &str = "run.googleapis.com/ingress";
const URLS: &str = "run.googleapis.com/urls";

/// About networks: for Revision and Execution only (`ObjectMeta` of the API's description).
const OF_NETWORK: [&str; 3] = [CONNECTOR, INTERFACES, EGRESS];
/// For Revision only.
const OF_REVISION: [&str; 2] = [MIN_OF_REVISION, MAX_OF_REVISION];
/// For services and worker pools only.
const OF_WORKLOAD: [&str; 5] = [MIN, MAX, MODE, MANUAL, INGRESS];

/// Others whose names are near enough to one of the above to be taken for a misspelling of it. Google adds new ones all the
/// time: what is near to nothing is none of our business.
const OTHERS: [&str; 6] = [
    "run.googleapis.com/ingress-status",
    "run.googleapis.com/max-surge",
    "run.googleapis.com/max-unavailable",
    "run.googleapis.com/network-interface-type",
    "autoscaling.knative.dev/initialScale",
    "run.googleapis.com/regions",
];

/// The longest text of network interfaces that is read. Kubernetes allows 256 KiB for all annotations together.
pub(super) const LONGEST: usize = 256 << 10;

/// What a resource is called in Google's messages, what its template makes, and how it is written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    pub kind: &'static str,
    pub template: &'static str,
    pub words: &'static Words,
}

/// What findings call things, by the language that a resource is written in.
#[derive(Debug)]
pub(in crate::scenario::import) struct Words {
    /// The annotations of the resource itself.
    own: &'static str,
    /// Those of its template.
    template: &'static str,
    /// What becomes of an annotation that is no text.
    refused: &'static str,
    /// How network interfaces become text.
    interfaces: &'static str,
}

impl Words {
    pub const MANIFEST: Words = Words {
        own: "`metadata.annotations` at the top",
        template: "`spec.template.metadata.annotations`",
        refused: "gcloud refuses the file",
        interfaces: "write them as JSON in quotes: '[{\"network\": …, \"subnetwork\": …}]'",
    };

    pub const TERRAFORM: Words = Words {
        own: "`metadata { annotations }` of the service",
        template: "`template { metadata { annotations } }`",
        refused: "Terraform refuses it",
        interfaces: "write them as JSON: `jsonencode([{ network = …, subnetwork = … }])`",
    };
}

/// Where annotations about networks do not count.
#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    /// The resource's own metadata, which has other ones.
    Resource(Names),
    /// No field of the API.
    NoField(&'static str),
}

/// What a resource's own annotations say.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub scaling: Option<Node>,
    pub ingress: Option<Node>,
    pub urls: Option<Node>,
}

/// What a template's annotations say about networks.
#[derive(Debug, Default)]
pub(super) struct VpcAccess {
    pub connector: Option<Node>,
    pub interfaces: Option<Node>,
    pub egress: Option<Node>,
}

/// Reads and checks the annotations of a resource itself.
pub(super) fn own(import: &mut Import, node: &Node, names: Names) -> Own {
    misplaced(import, node, &["annotations"], Level::NoField("a manifest"));
    misplaced(import, node, &["spec", "annotations"], Level::NoField("a spec"));
    misplaced(import, node, &["metadata", "annotations"], Level::Resource(names));
    let Some(annotations) = node.at_path(&["metadata", "annotations"]) else { return Own::default() };
    check(import, annotations, names.words);
    if names.kind == "Job" {
        return Own::default();
    }
    let mode = value(import, annotations, MODE, "the scaling mode", "automatic scaling is assumed");
    let mode = mode.and_then(|mode| {
        let modes = [("automatic", "AUTOMATIC"), ("manual", "MANUAL")];
        one_of(import, MODE, &mode, &modes)
    });
    let fields = [
        ("minInstanceCount", value(import, annotations, MIN, "the minimum", "none is assumed")),
        ("maxInstanceCount", value(import, annotations, MAX, "the maximum", "none is assumed")),
        ("manualInstanceCount", value(import, annotations, MANUAL, "the number of instances", "none is assumed")),
        ("scalingMode", mode),
    ];
    let scaling = some_of(import, annotations.place, fields);
    let ingress = value(import, annotations, INGRESS, "the ingress setting", "`all` is assumed");
    let ingress = ingress.and_then(|ingress| {
        let settings = [
            ("all", "INGRESS_TRAFFIC_ALL"),
            ("internal", "INGRESS_TRAFFIC_INTERNAL_ONLY"),
            ("internal-and-cloud-load-balancing", "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"),
            ("none", "INGRESS_TRAFFIC_NONE"),
        ];
        one_of(import, INGRESS, &ingress, &settings)
    });
    let urls = annotations.get(URLS).and_then(|urls| interfaces::texts(import, urls));
    Own { scaling, ingress, urls }
}

/// The scaling of a revision.
pub(super) fn revision_scaling(import: &mut Import, template: &Node) -> Option<Node> {
    let annotations = template.at_path(&["metadata", "annotations"])?;
    let fields = [
        ("minInstanceCount", value(import, annotations, MIN_OF_REVISION, "the minimum", "none is assumed")),
        ("maxInstanceCount", value(import, annotations, MAX_OF_REVISION, "the maximum", "none is assumed")),
    ];
    some_of(import, annotations.place, fields)
}

/// The way to a VPC network.
pub(super) fn vpc_access(import: &mut Import, annotations: &Node, words: &Words) -> VpcAccess {
    let connector = given(annotations, CONNECTOR).cloned();
    let written = given(annotations, INTERFACES);
    let interfaces = written.and_then(|written| {
        if written.text().is_none() {
            // YAML where JSON in a text is wanted says the same to us, but not to others.
            let what = written.describe();
            let message = format!("the network interfaces are {what}, and have to be text: {}", words.refused);
            import.push(Diagnostic::warning("not-text", message).at(written.place).help(words.interfaces));
        }
        interfaces::read(import, written)
    });
    let egress =
        value(import, annotations, EGRESS, "the egress setting", "`private-ranges-only`, the default, is assumed");
    let egress = egress.and_then(|egress| {
        let settings =
            [("all-traffic", "ALL_TRAFFIC"), ("private-ranges-only", "PRIVATE_RANGES_ONLY"), ("all", "ALL_TRAFFIC")];
        one_of(import, EGRESS, &egress, &settings)
    });
    if let (Some(connector), Some(interfaces)) = (&connector, written) {
        // The API's own words.
        let message = "one and only one of connector and network_interfaces must be set, and both annotations are here";
        import.push(
            Diagnostic::rejected("connector-and-interfaces", message)
                .at(interfaces.place)
                .related(connector.place, "the connector")
                .help(format!("remove `{CONNECTOR}` or `{INTERFACES}`")),
        );
        return VpcAccess { connector: None, interfaces: None, egress: None };
    }
    if let (None, None, Some(egress)) = (&connector, written, &egress) {
        // As the help of `--vpc-egress` says.
        let message = "the resource must have Direct VPC egress enabled or a VPC connector to set its egress";
        import.push(
            Diagnostic::rejected("egress-without-vpc", message)
                .at(egress.place)
                .help(format!("add `{CONNECTOR}` or `{INTERFACES}` beside it, or remove it")),
        );
        return VpcAccess::default();
    }
    // Interfaces that could not be read were told of; an egress setting without them would be an error of its own.
    let attached = connector.is_some() || interfaces.is_some();
    VpcAccess { connector, interfaces, egress: egress.filter(|_| attached) }
}

/// Checks the annotations of a template's metadata.
pub(super) fn check_template(import: &mut Import, annotations: &Node, names: Names) {
    check(import, annotations, names.words);
    for entry in annotations.entries().iter().filter(|entry| OF_WORKLOAD.contains(&&*entry.key.name)) {
        let Names { kind, template, words } = names;
        let key = &entry.key.name;
        let message = format!("`{key}` is no annotation of a template: a {template} has none of that name");
        let help = if kind == "Job" { "remove it".to_owned() } else { format!("move it to {}", words.own) };
        import.push(Diagnostic::warning("misplaced-annotation", message).at(entry.key.place).help(help));
    }
}

/// Reports annotations about networks, and of revisions, where they do not count.
pub(super) fn misplaced(import: &mut Import, node: &Node, path: &[&str], level: Level) {
    let Some(annotations) = node.at_path(path) else { return };
    let here = |keys: &[&str]| -> Vec<&Entry> {
        annotations.entries().iter().filter(|entry| keys.contains(&&*entry.key.name)).collect()
    };
    let (place, refused, words) = match level {
        Level::Resource(names) => (
            format!("on the {} itself, not on its template", names.kind),
            // As seen in 2023 and 2025; resources from before may have them still.
            "the API refuses them there today (\"not supported on resources of kind …\"); ",
            names.words,
        ),
        Level::NoField(what) => {
            (format!("in {what}, which has no annotations"), "gcloud refuses the file; ", &Words::MANIFEST)
        }
    };
    // Whether they stand where they count, too.
    let template = node.at_path(&["spec", "template", "metadata", "annotations"]);
    let attached = template.is_some_and(|there| OF_NETWORK.iter().any(|key| there.get(key).is_some()));
    let no_access = if attached || matches!(level, Level::NoField(_)) { "" } else { ", and there is no VPC access" };
    for (entries, effect) in [(here(&OF_NETWORK), no_access), (here(&OF_REVISION), "")] {
        let Some(first) = entries.first() else { continue };
        let keys: Vec<_> = entries.iter().map(|entry| format!("`{}`", entry.key.name)).collect();
        let keys = keys.join(" and ");
        let (stands, counts, them) =
            if entries.len() == 1 { ("stands", "it counts", "it") } else { ("stand", "they count", "them") };
        let message = format!("{keys} {stands} {place}: {counts} for nothing{effect}");
        let mut finding = Diagnostic::warning("misplaced-annotation", message)
            .at(first.key.place)
            .help(format!("{refused}move {them} to {}", words.template));
        if let Some(other) = entries.get(1) {
            finding = finding.related(other.key.place, "and this one");
        }
        import.push(finding);
    }
}

/// Reports annotations that are not text, and names that Cloud Run does not know.
fn check(import: &mut Import, annotations: &Node, words: &Words) {
    for entry in annotations.entries() {
        let key = &*entry.key.name;
        if key != INTERFACES || entry.value.text().is_some() {
            check_text(import, key, &entry.value, words);
        }
        if let Some(meant) = misspelt(key) {
            let message = format!("`{}` is no annotation of Cloud Run: it counts for nothing", shorten(key));
            let help = format!("did you mean `{meant}`?");
            import.push(Diagnostic::warning("unknown-annotation", message).at(entry.key.place).help(help));
        }
    }
}

/// What a name that Cloud Run does not know was to be.
fn misspelt(key: &str) -> Option<&'static str> {
    let known = || [&OF_NETWORK[..], &OF_REVISION, &OF_WORKLOAD].into_iter().flatten().copied();
    if known().any(|known| known == key) || OTHERS.contains(&key) {
        return None;
    }
    let tail = |key: &'static str| key.rsplit('/').next().unwrap_or(key);
    let (prefix, name) = key.rsplit_once('/').unwrap_or(("", key));
    let same = known().find(|known| tail(known).eq_ignore_ascii_case(name));
    match prefix {
        // The same name may be anybody's; that of a network setting is Cloud Run's.
        _ if same.is_some() => same.filter(|same| OF_NETWORK.contains(same) || is_of_google(prefix)),
        _ if is_of_google(prefix) || prefix.is_empty() => {
            let near = nearest(name, OF_NETWORK.iter().map(|known| tail(known)))?;
            OF_NETWORK.into_iter().find(|known| tail(known) == near).filter(|_| about_networks(name))
        }
        _ => None,
    }
}

fn is_of_google(prefix: &str) -> bool {
    prefix.ends_with("googleapis.com") || prefix.ends_with("knative.dev")
}

fn about_networks(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["vpc", "egress", "connector", "interface"].iter().any(|word| name.contains(word))
}

/// gcloud refuses what is not text where the API has text, annotations and limits: "Expected type <class 'str'> for field
/// value, found 1 (type <class 'int'>)".
pub(super) fn check_text(import: &mut Import, key: &str, node: &Node, words: &Words) {
    if node.is_null() || is_text(node) {
        return;
    }
    let message = format!("`{}` is {}, and has to be text: {}", shorten(key), node.describe(), words.refused);
    let help = match node.text() {
        Some(text) => format!("put it in quotes: '{}'", shorten(text)),
        None => "write it as text in quotes".to_owned(),
    };
    import.push(Diagnostic::warning("not-text", message).at(node.place).help(help));
}

/// Whether YAML 1.1, which gcloud reads, takes a scalar for text.
fn is_text(node: &Node) -> bool {
    let Value::Scalar(scalar) = &node.value else { return false };
    let word = scalar.text.to_ascii_lowercase();
    let number = || {
        let digits = word.trim_start_matches(['-', '+']).replace('_', "");
        digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') && digits.parse::<f64>().is_ok()
    };
    !scalar.plain || !(matches!(&*word, "true" | "false" | "yes" | "no" | "on" | "off") || number())
}

fn given<'n>(annotations: &'n Node, key: &str) -> Option<&'n Node> {
    annotations.get(key).filter(|node| !node.is_null() && node.text() != Some(""))
}

/// The value of an annotation, unless it is only known when something has been put in for it.
fn value(import: &mut Import, annotations: &Node, key: &str, what: &str, instead: &str) -> Option<Node> {
    let node = given(annotations, key)?;
    if is_placeholder(node) {
        unknown(import, node, what, instead);
        return None;
    }
    Some(node.clone())
}

/// One of a few words, in the spelling of the API's version 2.
fn one_of(import: &mut Import, key: &str, node: &Node, words: &[(&'static str, &'static str)]) -> Option<Node> {
    let text = node.text().unwrap_or_default();
    let found = words.iter().find(|(word, _)| *word == text).or_else(|| words.iter().find(|(_, name)| *name == text));
    let Some((word, name)) = found else {
        let expected: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("found {}, expected one of {}", node.describe(), expected.join(", "));
        let mut finding = Diagnostic::unusable("unknown-value", message).at(node.place);
        if let Some(near) = nearest(text, words.iter().map(|(word, _)| *word)) {
            finding = finding.help(format!("did you mean `{near}`?"));
        }
        import.push(finding);
        return None;
    };
    if *word != text {
        let message = format!("`{name}` is the word of the API's version 2, `{key}` has others");
        import.push(Diagnostic::warning("unknown-value", message).at(node.place).help(format!("write `{word}`")));
    }
    Some(import.build.text(node.place, *name))
}

/// Whether the value is put in before the manifest is used: `${EGRESS}`, `$(EGRESS)`, `{{ egress }}`.
pub(super) fn is_placeholder(node: &Node) -> bool {
    node.text().is_some_and(|text| text.starts_with('$') || ["${", "$(", "{{"].iter().any(|mark| text.contains(mark)))
}

/// Says of a placeholder what is assumed instead.
pub(super) fn unknown(import: &mut Import, node: &Node, what: &str, instead: &str) {
    let message = format!("{} stands for {what}, which cannot be known: {instead}", node.describe());
    let help = "put the values in before the import, such as with `envsubst < file`";
    import.push(Diagnostic::warning("placeholder", message).at(node.place).help(help));
}
