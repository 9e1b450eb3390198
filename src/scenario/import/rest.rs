//! Placeholder.

use super::Import;
use crate::scenario::tree::Node;

pub(super) fn claims(_: &Node) -> bool {
    false
}

pub(super) fn read(_: &mut Import, _: Node) {}
