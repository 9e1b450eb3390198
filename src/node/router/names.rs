//! Network tags and regions as numbers: whoever sends is compared with many routes.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// A network tag or a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NameId(u32);

/// The names that have a number, of tags or of regions.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<Arc<str>, NameId, FixedState>,
    names: Vec<Arc<str>>,
}

impl Names {
    /// The number of a name, a new one if it has none.
    pub(super) fn intern(&mut self, name: &str) -> NameId {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        let number = NameId(self.names.len() as u32);
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    /// The numbers of several names.
    pub(super) fn intern_all(&mut self, names: &[impl AsRef<str>]) -> Box<[NameId]> {
        names.iter().map(|name| self.intern(name.as_ref())).collect()
    }

    /// The number of a name that somebody has asked for before.
    pub(super) fn find(&self, name: &str) -> Option<NameId> {
        self.numbers.get(name).copied()
    }

    /// The name of a number.
    pub(super) fn name(&self, number: NameId) -> &Arc<str> {
        &self.names[number.0 as usize]
    }
}
