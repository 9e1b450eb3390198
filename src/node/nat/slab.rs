//! A growing array in pieces: what is in it never moves, so growing costs no copy and leaves no hole the size of the
//! whole in memory.

use std::ops::{Index, IndexMut};

/// Items of a piece. A piece of mappings is 256 KiB.
const PIECE: usize = 4096;

/// Items by number.
#[derive(Debug, Clone)]
pub(super) struct Slab<T> {
    pieces: Vec<Vec<T>>,
    len: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { pieces: Vec::new(), len: 0 }
    }
}

impl<T> Slab<T> {
    /// Adds an item. Returns its number.
    #[inline]
    pub(super) fn push(&mut self, item: T) -> u32 {
        let number = self.len;
        if (number as usize).is_multiple_of(PIECE) {
            // The first piece grows by itself: most gateways are small.
            let piece = if self.pieces.is_empty() { Vec::new() } else { Vec::with_capacity(PIECE) };
            self.pieces.push(piece);
        }
        let last = self.pieces.len() - 1;
        self.pieces[last].push(item);
        self.len = number.checked_add(1).filter(|&len| len < u32::MAX).expect("fewer than 2^32 - 1 items");
        number
    }

    /// The item with this number, if there is one.
    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.pieces.get(number as usize / PIECE)?.get(number as usize % PIECE)
    }

    /// All items in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pieces.iter().flatten()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        &self.pieces[number as usize / PIECE][number as usize % PIECE]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.pieces[number as usize / PIECE][number as usize % PIECE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_found_by_their_numbers_across_pieces() {
        let mut slab = Slab::default();
        let count = PIECE as u32 * 2 + 3;
        for number in 0..count {
            assert_eq!(slab.push(number * 7), number);
        }
        slab[PIECE as u32] = 1;
        assert_eq!((slab[0], slab[PIECE as u32], slab[count - 1]), (0, 1, (count - 1) * 7));
        assert_eq!((slab.get(count), slab.iter().count()), (None, count as usize));
    }
}
