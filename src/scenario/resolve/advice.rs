//! Warnings: what Google Cloud accepts and what will hurt, with the reason and the remedy.

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn advise(&mut self) {}
}
