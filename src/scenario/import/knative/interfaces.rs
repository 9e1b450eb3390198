//! JSON inside of a text: the network interfaces of a template, the URLs of a service. What is found in it has its place in
//! the text it stands in, through quotes, escapes and folded lines.

use super::annotations::{LONGEST, is_placeholder, unknown};
use super::some_of;
use crate::scenario::decode::nearest;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::Import;
use crate::scenario::tree::{self, Alignment, Entry, Node, Value, shorten};

/// The fields of an interface.
const FIELDS: [&str; 3] = ["network", "subnetwork", "tags"];

/// The network interfaces of an annotation as a list. `None`: they could not be read, and that was reported.
pub(super) fn read(import: &mut Import, written: &Node) -> Option<Node> {
    if is_placeholder(written) && !written.text().is_some_and(|text| text.trim_start().starts_with(['[', '{'])) {
        unknown(import, written, "the network interfaces", "the workload is read as without VPC access");
        return None;
    }
    let parsed = match written.value {
        Value::Sequence(_) | Value::Mapping(_) => written.clone(),
        Value::Scalar(_) => parse(import, written)?,
    };
    let items = match &parsed.value {
        Value::Sequence(items) => items.clone(),
        Value::Mapping(_) => {
            let message = "the network interfaces are one object, and have to be a list";
            let help = "put brackets around it: '[{…}]'";
            import.push(Diagnostic::warning("not-a-list", message).at(parsed.place).help(help));
            vec![parsed.clone()]
        }
        Value::Scalar(_) => return wrong(import, &parsed, "a list of network interfaces"),
    };
    if let Some(second) = items.get(1) {
        // The words of the API's description.
        let message = format!("currently only single network interface is supported, here are {}", items.len());
        import.push(Diagnostic::rejected("many-interfaces", message).at(second.place).help("keep one"));
    }
    let Some(first) = items.first() else {
        let message = "the list of network interfaces is empty: there is no VPC access";
        import.push(Diagnostic::warning("no-interface", message).at(parsed.place).help("remove the annotation"));
        return None;
    };
    if !matches!(first.value, Value::Mapping(_)) {
        return wrong(import, first, "an object with `network`, `subnetwork` and `tags`");
    }
    let interface = interface(import, first)?;
    Some(import.build.list(parsed.place, vec![interface]))
}

/// The texts of a JSON list, of which nothing is said if they cannot be read.
pub(super) fn texts(import: &mut Import, written: &Node) -> Option<Node> {
    let text = written.text().filter(|text| text.len() <= LONGEST)?;
    serde_json::from_str::<Vec<&str>>(text).ok()?;
    parse(import, written).filter(|list| !list.items().is_empty())
}

fn wrong(import: &mut Import, node: &Node, expected: &str) -> Option<Node> {
    let message = format!("found {}, expected {expected}", node.describe());
    let help = "such as '[{\"network\": \"vpc\", \"subnetwork\": \"apps\", \"tags\": [\"web\"]}]'";
    import.push(Diagnostic::rejected("wrong-type", message).at(node.place).help(help));
    None
}

fn interface(import: &mut Import, object: &Node) -> Option<Node> {
    for entry in object.entries().iter().filter(|entry| !FIELDS.contains(&&*entry.key.name)) {
        let message = format!("a network interface has no field `{}`", shorten(&entry.key.name));
        let help = match nearest(&entry.key.name, FIELDS) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", FIELDS.join(", ")),
        };
        import.push(Diagnostic::warning("unknown-field", message).at(entry.key.place).label("not known").help(help));
    }
    let field = |name| object.get(name).filter(|node| !node.is_null() && node.text() != Some("")).cloned();
    let tags = field("tags").and_then(|tags| match &tags.value {
        Value::Scalar(_) => separated(import, &tags),
        _ => Some(tags),
    });
    let fields = [("network", field("network")), ("subnetwork", field("subnetwork")), ("tags", tags)];
    let made = some_of(import, object.place, fields);
    if made.is_none() {
        let message = "the interface names neither a network nor a subnet";
        import.push(Diagnostic::rejected("no-subnet", message).at(object.place).help("add \"subnetwork\""));
    }
    made
}

/// Tags in one text, separated by commas.
fn separated(import: &mut Import, tags: &Node) -> Option<Node> {
    let text = tags.text()?.to_owned();
    // As written there are quotes around it, unless it is not known where the text stands.
    let raw = raw(import, tags.place);
    let inner = raw.trim_start_matches(['"', '\'', '\\']);
    let start = inner.starts_with(&text).then_some(raw.len() - inner.len());
    let mut items = Vec::new();
    let mut at = 0;
    for part in text.split(',') {
        let tag = part.trim();
        let from = at + (part.len() - part.trim_start().len());
        at += part.len() + 1;
        if !tag.is_empty() {
            let place = start.map_or(tags.place, |start| within(tags.place, start + from..start + from + tag.len()));
            items.push(import.build.text(place, tag));
        }
    }
    (!items.is_empty()).then(|| import.build.list(tags.place, items))
}

/// Parses the JSON of a text. The nodes stand where the text has them.
fn parse(import: &mut Import, written: &Node) -> Option<Node> {
    let text = written.text()?.to_owned();
    if text.len() > LONGEST {
        let message = format!("the annotation has {} bytes, annotations have at most {LONGEST}", text.len());
        import.push(Diagnostic::rejected("too-large", message).at(written.place));
        return None;
    }
    let alignment = Alignment::new(&raw(import, written.place), &text);
    let places = Places { written: written.place, alignment: alignment.as_ref() };
    let strict = serde_json::from_str::<serde::de::IgnoredAny>(&text);
    let mut findings = Vec::new();
    let parsed = strict.map_err(|error| (offset(&text, &error), reason(&error))).and_then(|_| {
        // JSON is YAML, of which trees are made.
        match tree::parse(&text, written.place.file, &mut findings) {
            Ok(Some(node)) => Ok(node),
            Ok(None) => Err((0, "there is nothing".to_owned())),
            Err(finding) => Err((finding.place.map_or(0, |place| place.start as usize), finding.message.clone())),
        }
    });
    for mut finding in findings {
        finding.place = finding.place.map(|place| places.of(place));
        finding.related = finding.related.map(|(place, label)| (places.of(place), label));
        import.push(finding);
    }
    match parsed {
        Ok(node) => Some(rebuilt(import, &node, &places)),
        Err((at, reason)) => {
            let end = text[at..].chars().next().map_or(at, |character| at + character.len_utf8());
            let place = places.of(Place { file: written.place.file, start: at as u32, end: end as u32 });
            let message = format!("the text is not JSON: {reason}");
            let help =
                "JSON has double quotes around names and texts: '[{\"network\": \"vpc\", \"subnetwork\": \"apps\"}]'";
            import.push(Diagnostic::rejected("invalid-json", message).at(place).help(help));
            None
        }
    }
}

/// Where the characters of a text stand in the file.
struct Places<'a> {
    written: Place,
    alignment: Option<&'a Alignment>,
}

impl Places<'_> {
    /// From bytes of the text's value to bytes of the file.
    fn of(&self, place: Place) -> Place {
        match self.alignment {
            Some(alignment) => within(self.written, alignment.part(place.start as usize..place.end as usize)),
            None => self.written,
        }
    }
}

fn within(outer: Place, part: std::ops::Range<usize>) -> Place {
    Place { file: outer.file, start: outer.start + part.start as u32, end: outer.start + part.end as u32 }
}

fn raw(import: &Import, place: Place) -> String {
    let text = import.sources.text(place.file);
    text.get(place.start as usize..place.end as usize).unwrap_or_default().to_owned()
}

/// The same tree with identities of its own and places in the file. No deeper than the parser allows.
fn rebuilt(import: &mut Import, node: &Node, places: &Places<'_>) -> Node {
    let place = places.of(node.place);
    match &node.value {
        Value::Scalar(scalar) if scalar.is_null() => Node { value: node.value.clone(), ..import.build.text(place, "") },
        Value::Scalar(scalar) => import.build.text(place, &scalar.text),
        Value::Sequence(items) => {
            let items = items.iter().map(|item| rebuilt(import, item, places)).collect();
            import.build.list(place, items)
        }
        Value::Mapping(entries) => {
            let mut made = Vec::with_capacity(entries.len());
            for Entry { key, value } in entries {
                let mut entry = Entry::new(&key.name, rebuilt(import, value, places));
                entry.key.place = places.of(key.place);
                made.push(entry);
            }
            Node { value: Value::Mapping(made), ..import.build.list(place, Vec::new()) }
        }
    }
}

/// The byte at which JSON goes wrong: serde_json counts lines and columns from 1, columns in bytes.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let at = (start + error.column().saturating_sub(1)).min(text.len());
    text.floor_char_boundary(at)
}

/// What is wrong, without the line and column of a text that nobody sees.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ").map_or(text.clone(), |(reason, _)| reason.to_owned())
}
