//! Placeholder.

use super::{Block, Import, Modules};

pub(super) fn blocks(_: &mut Import, _: Modules) -> Vec<Block> {
    Vec::new()
}
