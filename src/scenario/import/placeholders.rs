//! Placeholders that a pipeline fills in before it deploys: `${PROJECT_ID}`, `$(params.region)`, `{{ .Values.name }}`.
//!
//! A manifest or an export with placeholders is read as if each stood for a name like its own, so that two uses of one still
//! mean the same thing; a note says so.

use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::tree::{Node, Value};

/// Replaces the placeholders in a resource, and tells of the first text that has one.
pub(super) fn replace(node: &mut Node, report: &mut Vec<Diagnostic>) {
    let mut first = None;
    walk(node, &mut |node, old, new| {
        first.get_or_insert_with(|| {
            Diagnostic::note("placeholder", format!("`{old}` has a placeholder: read as `{new}`"))
                .at(node)
                .help("put the values in before the import, such as with `envsubst < file`")
        });
    });
    report.extend(first);
}

fn walk(node: &mut Node, told: &mut impl FnMut(Place, &str, &str)) {
    let place = node.place;
    match &mut node.value {
        Value::Sequence(items) => items.iter_mut().for_each(|item| walk(item, told)),
        Value::Mapping(entries) => entries.iter_mut().for_each(|entry| walk(&mut entry.value, told)),
        Value::Scalar(scalar) => {
            if let Some(new) = filled(&scalar.text) {
                told(place, &scalar.text, &new);
                scalar.text = new.into();
            }
        }
    }
}

/// The text with each placeholder as the letters and digits of its name; `None` without any.
fn filled(text: &str) -> Option<String> {
    const BRACKETS: [(&str, &str); 3] = [("${", "}"), ("$(", ")"), ("{{", "}}")];
    let mut rest = text;
    let mut out = String::new();
    let mut found = false;
    loop {
        let next = BRACKETS.iter().filter_map(|(open, close)| {
            let start = rest.find(open)?;
            let end = start + open.len() + rest[start + open.len()..].find(close)?;
            Some((start, start + open.len(), end, end + close.len()))
        });
        let Some((start, inner, end, behind)) = next.min() else { break };
        found = true;
        out.push_str(&rest[..start]);
        // As a name of Google's: lower case, hyphens.
        let mut name = String::new();
        for character in rest[inner..end].trim().chars() {
            match character {
                'a'..='z' | '0'..='9' => name.push(character),
                'A'..='Z' => name.push(character.to_ascii_lowercase()),
                _ if name.ends_with('-') || name.is_empty() => {}
                _ => name.push('-'),
            }
        }
        out.push_str(name.trim_end_matches('-'));
        rest = &rest[behind..];
    }
    out.push_str(rest);
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_read_as_a_name() {
        let cases = [
            ("${networkID}", Some("networkid")),
            ("vpcac${uniqueId}", Some("vpcacuniqueid")),
            ("{{ .Values.region }}", Some("values-region")),
            ("plain", None),
            ("${open", None),
        ];
        for (text, expected) in cases {
            assert_eq!(filled(text).as_deref(), expected, "{text}");
        }
        let path = filled("projects/${PROJECT_ID}/connectors/c-$(params.name)");
        assert_eq!(path.as_deref(), Some("projects/project-id/connectors/c-params-name"));
    }
}
