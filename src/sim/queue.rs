//! What happens when: a heap of (time, sequence number), so that equal times keep their order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::SimTime;

/// A queue of things that will happen. The heap holds 24 bytes an entry, the things themselves lie in a slab.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<(SimTime, u64, u32)>>,
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    sequence: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { heap: BinaryHeap::new(), slots: Vec::new(), free: Vec::new(), sequence: 0 }
    }
}

impl<T> Queue<T> {
    /// Adds a thing that happens at `at`, after everything already queued for then.
    pub fn push(&mut self, at: SimTime, thing: T) {
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(thing);
                slot
            }
            None => {
                self.slots.push(Some(thing));
                (self.slots.len() - 1) as u32
            }
        };
        self.heap.push(Reverse((at, self.sequence, slot)));
        self.sequence += 1;
    }

    /// When the next thing happens.
    #[inline]
    pub fn next_time(&self) -> SimTime {
        self.heap.peek().map_or(SimTime::NEVER, |Reverse((at, _, _))| *at)
    }

    /// Takes the next thing.
    pub fn pop(&mut self) -> Option<(SimTime, T)> {
        let Reverse((at, _, slot)) = self.heap.pop()?;
        self.free.push(slot);
        Some((at, self.slots[slot as usize].take().expect("a queued slot is filled")))
    }

    /// How many things are queued.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_keep_their_order() {
        let mut queue = Queue::default();
        for (second, name) in [(2, "c"), (1, "a"), (2, "d"), (1, "b")] {
            queue.push(SimTime::from_secs(second), name);
        }
        assert_eq!(queue.next_time(), SimTime::from_secs(1));
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(_, name)| name).collect();
        assert_eq!(order, ["a", "b", "c", "d"]);
        assert!(queue.is_empty());
    }
}
