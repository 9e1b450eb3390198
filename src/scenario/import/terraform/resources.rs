//! Placeholder.

use super::{Block, Import};

pub(super) fn read(_: &mut Import, _: Block) {}
