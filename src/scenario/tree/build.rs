//! Trees that no text holds as they are: what an import makes of another format. Each node keeps the place of what it was
//! made of, so that findings point into the original.

use super::{Entry, Node, NodeId, Scalar, Value};
use crate::scenario::diagnostic::{FileId, Place};

/// Makes nodes, each with an identity of its own.
#[derive(Debug, Default)]
pub(crate) struct Build {
    next: u32,
}

impl Build {
    fn node(&mut self, place: Place, value: Value) -> Node {
        self.next += 1;
        Node { id: NodeId(FileId::from_index(u32::MAX), self.next), place, value }
    }

    /// Text, or what is written as text: numbers and truth values, too.
    pub fn text(&mut self, place: Place, text: impl ToString) -> Node {
        self.node(place, Value::Scalar(Scalar { text: text.to_string().into(), plain: false }))
    }

    /// A list.
    pub fn list(&mut self, place: Place, items: Vec<Node>) -> Node {
        self.node(place, Value::Sequence(items))
    }

    /// A mapping. Each key stands where its value does.
    pub fn mapping(&mut self, place: Place, entries: impl IntoIterator<Item = (&'static str, Node)>) -> Node {
        let entries = entries.into_iter().map(|(name, value)| Entry::new(name, value)).collect();
        self.node(place, Value::Mapping(entries))
    }
}
