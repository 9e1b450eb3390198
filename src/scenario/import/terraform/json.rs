//! Placeholder.

use super::{Block, Format, Import};
use crate::scenario::tree::Node;

pub(super) fn claims(_: &Node) -> Option<Format> {
    None
}

pub(super) fn blocks(_: &mut Import, _: Format, _: Node) -> Vec<Block> {
    Vec::new()
}
