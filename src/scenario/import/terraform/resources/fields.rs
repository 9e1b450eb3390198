//! From attributes of a provider to fields of an API, by tables.
//!
//! A provider writes `""`, `0` and `[]` where nothing is set, nested objects as lists of at most one, and names in
//! snake_case. A [`Field`] says for one attribute what holds there.

use std::collections::HashMap;

use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::Import;
use crate::scenario::import::terraform::{Block, Provider, Unknown, address};
use crate::scenario::tree::{Entry, Key, Node, Scalar, Value};

/// One attribute and what it becomes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    from: &'static str,
    /// Default: `from` in camelCase.
    to: Option<&'static str>,
    shape: Shape,
    /// Without it the rest means something else, or nothing.
    needed: bool,
    /// Without it the rest applies to everything.
    narrows: bool,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Empty text is unset.
    Text,
    /// Whatever is there, but not null.
    Kept,
    /// 0 is unset.
    Number,
    /// A list of scalars; an empty one is unset.
    Texts,
    /// A list of at most one object.
    Object(&'static [Field]),
    /// A list of objects; an empty one is unset.
    Objects(&'static [Field]),
    /// As `Objects`, where each applies to what it says: one of which that is not known is left out.
    Rules(&'static [Field]),
    /// A mapping with keys of people's own.
    Map,
}

impl Field {
    const fn new(from: &'static str, shape: Shape) -> Field {
        Field { from, to: None, shape, needed: false, narrows: false }
    }

    /// Gives it another name than its own in camelCase.
    pub const fn to(self, to: &'static str) -> Field {
        Field { to: Some(to), ..self }
    }

    /// Says that the resource is not what it is without it: that it is not known is a warning, not a note.
    pub const fn needed(self) -> Field {
        Field { needed: true, ..self }
    }

    /// Says that a rule or a route without it applies to everything, or to nothing that Google takes: if it is not known,
    /// the whole is left out.
    pub const fn narrows(self) -> Field {
        Field { needed: true, narrows: true, ..self }
    }
}

/// Text, of which the empty one is unset.
pub(super) const fn text(from: &'static str) -> Field {
    Field::new(from, Shape::Text)
}

/// A value of which none but null is unset: a truth value, a priority.
pub(super) const fn kept(from: &'static str) -> Field {
    Field::new(from, Shape::Kept)
}

/// A number, of which 0 is unset.
pub(super) const fn number(from: &'static str) -> Field {
    Field::new(from, Shape::Number)
}

/// A list of scalars.
pub(super) const fn texts(from: &'static str) -> Field {
    Field::new(from, Shape::Texts)
}

/// A nested object.
pub(super) const fn object(from: &'static str, fields: &'static [Field]) -> Field {
    Field::new(from, Shape::Object(fields))
}

/// Nested objects.
pub(super) const fn objects(from: &'static str, fields: &'static [Field]) -> Field {
    Field::new(from, Shape::Objects(fields))
}

/// Nested objects, each of which is left out if it is not known what it applies to.
pub(super) const fn rules(from: &'static str, fields: &'static [Field]) -> Field {
    Field::new(from, Shape::Rules(fields))
}

/// A mapping with keys of people's own.
pub(super) const fn map(from: &'static str) -> Field {
    Field::new(from, Shape::Map)
}

const PUT_IN: &str = "import the state once it is applied, or put the value into the result";

/// One block while it is read.
pub(super) struct Reading<'i> {
    pub import: &'i mut Import,
    pub address: String,
    pub place: Place,
    pub body: Node,
    pub provider: Provider,
    unknown: Vec<Unknown>,
    /// Indices into `unknown` by path; that of an item of a list stands for the list, too.
    unknown_by_path: HashMap<String, usize>,
    /// Something that [narrows](Field::narrows) what is being read is not known.
    pub too_wide: bool,
}

impl<'i> Reading<'i> {
    pub fn new(import: &'i mut Import, block: Block) -> Reading<'i> {
        let Block { address, place, body, provider, unknown, .. } = block;
        let paths = unknown.iter().enumerate().map(|(at, unknown)| (unknown.path.clone(), at));
        let mut unknown_by_path: HashMap<String, usize> = paths.collect();
        for (at, unknown) in unknown.iter().enumerate() {
            if let Some((list, index)) = unknown.path.strip_suffix(']').and_then(|path| path.rsplit_once('['))
                && index.bytes().all(|byte| byte.is_ascii_digit())
            {
                unknown_by_path.entry(list.to_owned()).or_insert(at);
            }
        }
        Reading { import, address, place, body, provider, unknown, unknown_by_path, too_wide: false }
    }

    /// Whether it describes what others have made. Defaults of a provider do not apply to it.
    pub fn is_data(&self) -> bool {
        address::is_data(&self.address)
    }

    /// The text of an attribute that has some.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(text_of)
    }

    /// Takes an attribute with text out of the body.
    pub fn take_text(&mut self, name: &str) -> Option<Node> {
        self.body.take(name).filter(|node| text_of(node).is_some())
    }

    pub fn node(&mut self, text: impl ToString) -> Node {
        self.import.build.text(self.place, text)
    }

    pub fn finding(&mut self, diagnostic: Diagnostic, place: Place) {
        self.import.push(diagnostic.at(place));
    }

    /// Its name, or what it is called here.
    pub fn name(&mut self) -> Node {
        self.own_name("name")
    }

    /// As [`Reading::name`], from another attribute.
    pub fn own_name(&mut self, attribute: &str) -> Node {
        if let Some(name) = self.take_text(attribute) {
            return name;
        }
        let name = address::fallback_name(&self.address);
        let (place, why) = match self.unknown_at(attribute) {
            Some(unknown) => (unknown.place, unknown.why.clone()),
            None => (self.place, "it is given none".to_owned()),
        };
        let message = format!("the name of {} is not known ({why}): it is called `{name}` here", self.address);
        self.finding(Diagnostic::note("assumed-name", message), place);
        self.import.build.text(place, name)
    }

    /// Its project, or the provider's.
    pub fn project(&mut self) -> Option<String> {
        let own = self.take_text("project");
        own.and_then(|node| node.text().map(str::to_owned)).or_else(|| self.provider.project.clone())
    }

    /// Its region (or what `attribute` calls so), or the provider's.
    pub fn region(&mut self, attribute: &str) -> Option<Entry> {
        let node = match self.take_text(attribute) {
            Some(node) => node,
            None => {
                let region = self.provider.region().map(str::to_owned)?;
                self.node(region)
            }
        };
        Some(Entry::new("region", node))
    }

    /// A mapping that stands where the block does.
    pub fn mapping(&mut self, entries: Vec<Entry>) -> Node {
        let mut node = self.import.build.mapping(self.place, []);
        node.value = Value::Mapping(entries);
        node
    }

    /// A list that stands where the block does.
    pub fn list(&mut self, items: Vec<Node>) -> Node {
        self.import.build.list(self.place, items)
    }

    /// What a table makes of the body.
    pub fn fields(&mut self, fields: &[Field]) -> Vec<Entry> {
        let mut body = std::mem::replace(&mut self.body, Node::from(Vec::new()));
        let entries = self.convert(&mut body, "", fields);
        self.body = body;
        entries
    }

    /// What a table makes of a mapping that is found under `prefix` (`template[0].`).
    pub fn convert(&mut self, from: &mut Node, prefix: &str, fields: &[Field]) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(fields.len());
        for field in fields {
            let found = take_entry(from, field.from);
            if !self.unknown.is_empty() {
                let says = found.as_ref().is_some_and(|entry| says_something(&entry.value));
                self.report_unknown(&format!("{prefix}{}", field.from), field, says);
            }
            let Some(Entry { key, value }) = found else { continue };
            if value.is_null() {
                continue;
            }
            let Some(value) = self.value(value, prefix, field) else { continue };
            let name = field.to.map_or_else(|| camel_case(field.from), Box::from);
            entries.push(Entry { key: Key { name, ..key }, value });
        }
        entries
    }

    fn value(&mut self, mut node: Node, prefix: &str, field: &Field) -> Option<Node> {
        match field.shape {
            Shape::Kept | Shape::Map => Some(node),
            Shape::Text => (node.text() != Some("")).then_some(node),
            Shape::Number => (!matches!(node.text(), Some("" | "0"))).then_some(node),
            Shape::Texts => {
                match &mut node.value {
                    Value::Sequence(items) => items.retain(|item| !item.is_null() && item.text() != Some("")),
                    Value::Scalar(scalar) if scalar.text.is_empty() => return None,
                    // A list of one whose brackets got lost.
                    Value::Scalar(_) => node = self.import.build.list(node.place, vec![node.clone()]),
                    Value::Mapping(_) => {}
                }
                (!matches!(&node.value, Value::Sequence(items) if items.is_empty())).then_some(node)
            }
            Shape::Object(fields) => {
                let mut object = match node.value {
                    Value::Sequence(items) => items.into_iter().find(|item| !item.is_null())?,
                    _ => node,
                };
                if matches!(object.value, Value::Mapping(_)) {
                    let entries = self.convert(&mut object, &format!("{prefix}{}[0].", field.from), fields);
                    object.value = Value::Mapping(entries);
                }
                Some(object)
            }
            Shape::Objects(fields) | Shape::Rules(fields) => {
                let outer = self.too_wide;
                if matches!(node.value, Value::Mapping(_)) {
                    node = self.import.build.list(node.place, vec![node.clone()]);
                }
                if let Value::Sequence(items) = &mut node.value {
                    for (at, item) in items.iter_mut().enumerate() {
                        if matches!(item.value, Value::Mapping(_)) {
                            let entries = self.convert(item, &format!("{prefix}{}[{at}].", field.from), fields);
                            item.value = Value::Mapping(entries);
                        }
                        if matches!(field.shape, Shape::Rules(_))
                            && std::mem::replace(&mut self.too_wide, outer)
                            && !outer
                        {
                            item.value = Value::Scalar(Scalar { text: "null".into(), plain: true });
                        }
                    }
                    items.retain(|item| !item.is_null());
                    if items.is_empty() {
                        return None;
                    }
                }
                Some(node)
            }
        }
    }

    fn unknown_at(&self, path: &str) -> Option<&Unknown> {
        self.unknown_by_path.get(path).map(|at| &self.unknown[*at])
    }

    /// Tells of a field whose value, or a part of it, cannot be known: whether it is one; `says` whether there is anything of it.
    fn report_unknown(&mut self, path: &str, field: &Field, says: bool) -> bool {
        let Some(unknown) = self.unknown_at(path) else { return false };
        let what = format!("`{path}` of {}", self.address);
        let part = unknown.path != path;
        let left = match (part, field.needed) {
            _ if field.narrows && !says => "the rest means something else without it, so the whole is left out",
            (true, _) => "what is not known of it is left out",
            (false, true) => "it is left out",
            (false, false) => "it is left out, as if Google's default applied",
        };
        let message = format!("{what} is not known ({}): {left}", unknown.why);
        let severity = if field.needed || part { Diagnostic::warning } else { Diagnostic::note };
        let finding = severity("not-known", message).at(unknown.place);
        self.too_wide |= field.narrows && !says;
        self.import.push(finding.help(PUT_IN));
        true
    }

    /// Whether an attribute, or an item of it, is not known.
    pub fn is_unknown(&self, path: &str) -> bool {
        self.unknown_by_path.contains_key(path)
    }

    /// Assumes what an attribute says that is not known, and tells; nothing if it is known, or not set.
    pub fn assume(&mut self, path: &str, value: &str) -> Option<Node> {
        let Unknown { place, why, .. } = self.unknown[self.unknown_by_path.remove(path)?].clone();
        let message = format!("`{path}` of {} is not known ({why}): assumed to be `{value}`", self.address);
        self.finding(Diagnostic::warning("not-known", message).help(PUT_IN), place);
        Some(self.import.build.text(place, value))
    }

    /// Says that what an attribute means has been found out.
    pub fn known_after_all(&mut self, path: &str) {
        self.unknown_by_path.remove(path);
    }

    /// What the text has where an attribute is not known: its expression, or a part of that.
    pub fn unknown_source(&self, path: &str) -> Option<&str> {
        let place = self.unknown_at(path)?.place;
        self.import.sources.text(place.file).get(place.start as usize..place.end as usize)
    }

    /// Tells that an attribute of the block itself cannot be known, where no table reads it.
    pub fn report_if_unknown(&mut self, field: Field) {
        self.report_unknown(field.from, &field, false);
    }

    /// As [`Reading::report_if_unknown`], of one further down. Says whether it cannot be known.
    pub fn report_if_unknown_at(&mut self, path: &str, field: Field) -> bool {
        self.report_unknown(path, &field, false)
    }
}

/// Whether a value is more than an empty text or list.
pub(super) fn says_something(node: &Node) -> bool {
    match &node.value {
        Value::Sequence(items) => items.iter().any(says_something),
        Value::Mapping(_) => true,
        Value::Scalar(_) => text_of(node).is_some(),
    }
}

/// The text of a scalar that has some.
pub(super) fn text_of(node: &Node) -> Option<&str> {
    if node.is_null() { None } else { node.text().filter(|text| !text.is_empty()) }
}

/// The last segment of a path.
pub(super) fn last_segment(text: &str) -> &str {
    text.trim_end_matches('/').rsplit('/').next().unwrap_or(text)
}

/// Takes an entry out of a mapping, its key included.
pub(super) fn take_entry(node: &mut Node, key: &str) -> Option<Entry> {
    let Value::Mapping(entries) = &mut node.value else { return None };
    let at = entries.iter().position(|entry| &*entry.key.name == key)?;
    Some(entries.swap_remove(at))
}

/// Takes the one object that a nested block is.
pub(super) fn take_object(node: &mut Node, key: &str) -> Option<Node> {
    let taken = node.take(key)?;
    match taken.value {
        Value::Sequence(items) => items.into_iter().find(|item| !item.is_null()),
        Value::Mapping(_) => Some(taken),
        Value::Scalar(_) => None,
    }
}

/// `ip_cidr_range` as `ipCidrRange`.
fn camel_case(name: &str) -> Box<str> {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_attributes_become_names_of_fields() {
        for (from, to) in [
            ("ip_cidr_range", "ipCidrRange"),
            ("layer4_configs", "layer4Configs"),
            ("source_subnetwork_ip_ranges_to_nat64", "sourceSubnetworkIpRangesToNat64"),
            ("mtu", "mtu"),
        ] {
            assert_eq!(&*camel_case(from), to);
        }
    }
}
