//! YAML text as a tree in which every key and value knows its place.
//!
//! Scalars keep their text: whether `no` is a word or a truth value is for the field that reads it to say. JSON is YAML.
//! Aliases are copied in, merge keys (`<<`) resolved, duplicate keys refused; depth, size and the number of nodes are
//! bounded, so that no text can exhaust memory ("billion laughs").

use super::diagnostic::{FileId, Place};

mod alignment;
mod build;
mod parser;

pub(crate) use alignment::Alignment;
pub(crate) use build::Build;
pub(crate) use parser::{many_documents, parse, parse_all, parse_lines};

/// The longest text accepted, in bytes.
pub(crate) const MAX_BYTES: usize = 64 << 20;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Tells equal nodes apart. Copies through an alias share it: an error in them is one error.
    pub id: NodeId,
    pub place: Place,
    pub value: Value,
}

/// Identifies a node among all texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(FileId, u32);

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar(Scalar),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A scalar as written, escapes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Scalar {
    pub text: Box<str>,
    /// Without quotes: only then can it be a number, a truth value or null.
    pub plain: bool,
}

impl Scalar {
    /// `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        self.plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

/// One line of a mapping.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub key: Key,
    pub value: Node,
}

impl Entry {
    /// An entry whose key stands where its value does.
    pub fn new(key: &str, value: Node) -> Entry {
        Entry { key: Key { name: key.into(), place: value.place }, value }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub name: Box<str>,
    pub place: Place,
}

impl From<Vec<Entry>> for Node {
    /// A mapping that no text holds as a whole.
    fn from(entries: Vec<Entry>) -> Node {
        let nowhere = Place::NOWHERE;
        Node { id: NodeId(nowhere.file, 0), place: nowhere, value: Value::Mapping(entries) }
    }
}

impl Node {
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }

    /// The value under a key of a mapping.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Mapping(entries) => entries.iter().find(|entry| &*entry.key.name == key).map(|entry| &entry.value),
            _ => None,
        }
    }

    /// As [`Node::get`], to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Mapping(entries) => {
                entries.iter_mut().find(|entry| &*entry.key.name == key).map(|entry| &mut entry.value)
            }
            _ => None,
        }
    }

    /// The value under a path of keys.
    pub fn at_path(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries of a mapping; none of anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Mapping(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Sequence(items) => items,
            _ => &[],
        }
    }

    /// Takes a value out of a mapping.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        let Value::Mapping(entries) = &mut self.value else { return None };
        let at = entries.iter().position(|entry| &*entry.key.name == key)?;
        Some(entries.remove(at).value)
    }

    /// Puts a value into a mapping, in place of the one with this key.
    pub fn put(&mut self, key: &str, value: Node) {
        let Value::Mapping(entries) = &mut self.value else { unreachable!("only a mapping is put into") };
        let entry = Entry::new(key, value);
        match entries.iter_mut().find(|entry| &*entry.key.name == key) {
            Some(existing) => *existing = entry,
            None => entries.push(entry),
        }
    }

    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Sequence(_) => "a list".into(),
            Value::Mapping(_) => "a mapping".into(),
            Value::Scalar(scalar) if scalar.is_null() => "nothing".into(),
            Value::Scalar(scalar) => format!("`{}`", shorten(&scalar.text)),
        }
    }

    /// (nodes, depth) of the tree below and including this node.
    fn extent(&self) -> (usize, usize) {
        let children = |nodes: &mut dyn Iterator<Item = &Node>| {
            nodes.map(Node::extent).fold((1, 0), |(count, depth), (n, d)| (count + n, depth.max(d)))
        };
        let (count, depth) = match &self.value {
            Value::Scalar(_) => (1, 0),
            Value::Sequence(items) => children(&mut items.iter()),
            Value::Mapping(entries) => children(&mut entries.iter().map(|entry| &entry.value)),
        };
        (count, depth + 1)
    }
}

/// At most 60 characters of a text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        None => text.escape_debug().to_string(),
        Some((at, _)) => format!("{}…", text[..at].escape_debug()),
    }
}
