//! Placeholder.

use super::{Format, Import};
use crate::scenario::diagnostic::FileId;

pub(super) fn read(_: &mut Import, _: &[(FileId, Format)]) {}
