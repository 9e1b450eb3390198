//! Ended mappings, remembered for a while under one of their tuples, so that a late reply can be told from one that
//! nobody ever asked for: *expired* is not *unknown*.
//!
//! Ends come by the million and questions are rare, so an end is only noted down; the first question after it indexes what
//! has come since the last one.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::time::SimTime;
use crate::wire::FiveTuple;

/// How many ended mappings are remembered. Enough for a minute of 1,000 connections a second; 5 MB.
const REMEMBERED: usize = 65_536;

/// Why a mapping ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its timer ran out.
    Expired,
    /// A change of configuration took its port away.
    Lost,
}

#[derive(Debug, Clone, Copy)]
struct Note {
    outside: FiveTuple,
    why: Ended,
    at: SimTime,
}

/// The ended mappings, oldest first.
#[derive(Debug, Clone, Default)]
pub(in crate::node) struct EndedMappings {
    notes: VecDeque<Note>,
    /// Number of the oldest note.
    first: u64,
    /// Number of the latest note of a tuple, for notes below `indexed`.
    index: HashMap<FiveTuple, u64, FixedState>,
    indexed: u64,
}

impl EndedMappings {
    /// A mapping has ended.
    #[inline]
    pub(in crate::node) fn note(&mut self, outside: FiveTuple, why: Ended, at: SimTime) {
        if self.notes.len() == REMEMBERED {
            self.forget_oldest();
        }
        self.notes.push_back(Note { outside, why, at });
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.notes.pop_front() {
            if self.first < self.indexed && self.index.get(&oldest.outside) == Some(&self.first) {
                self.index.remove(&oldest.outside);
            }
            self.first += 1;
        }
    }

    /// Why and when the latest mapping of this outside tuple ended.
    pub(in crate::node) fn find(&mut self, outside: &FiveTuple) -> Option<(Ended, SimTime)> {
        let known = self.indexed.saturating_sub(self.first) as usize;
        for (number, note) in self.notes.iter().enumerate().skip(known) {
            self.index.insert(note.outside, self.first + number as u64);
        }
        self.indexed = self.first + self.notes.len() as u64;
        let number = *self.index.get(outside)?;
        let note = &self.notes[(number - self.first) as usize];
        Some((note.why, note.at))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::Protocol;

    fn tuple(number: u32) -> FiveTuple {
        FiveTuple {
            src: Ipv4Addr::new(203, 0, 113, 10),
            dst: Ipv4Addr::from(number),
            src_port: 1024,
            dst_port: 443,
            protocol: Protocol::Tcp,
        }
    }

    #[test]
    fn the_latest_end_of_a_tuple_counts() {
        let mut ended = EndedMappings::default();
        ended.note(tuple(1), Ended::Expired, SimTime::from_secs(1));
        assert_eq!(ended.find(&tuple(1)), Some((Ended::Expired, SimTime::from_secs(1))));
        ended.note(tuple(1), Ended::Lost, SimTime::from_secs(2));
        assert_eq!(ended.find(&tuple(1)), Some((Ended::Lost, SimTime::from_secs(2))));
        assert_eq!(ended.find(&tuple(2)), None);
    }

    #[test]
    fn the_oldest_are_forgotten_and_leave_nothing_behind() {
        let mut ended = EndedMappings::default();
        for number in 0..REMEMBERED as u32 + 10 {
            ended.note(tuple(number), Ended::Expired, SimTime::ZERO);
            if number % 10_000 == 0 {
                assert!(ended.find(&tuple(number)).is_some());
            }
        }
        assert_eq!(ended.find(&tuple(9)), None);
        assert!(ended.find(&tuple(10)).is_some());
        assert_eq!((ended.notes.len(), ended.index.len()), (REMEMBERED, REMEMBERED));
    }
}
