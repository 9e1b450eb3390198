//! A sliding window over a byte stream: look at what is pending, ask for more, move on.

use std::io::{self, Read};
use std::ops::Range;

use super::damage::DamageKind;

/// Bytes asked for at once: few enough to stay in the processor's cache from the read to the parse, many enough that the
/// system call does not count. Anything from 32 KiB to 8 MiB reads 40 to 65 million 64-byte records a second.
const CHUNK: usize = 64 * 1024;

/// A byte stream and the part of it that was read ahead.
///
/// ```text
/// buffer:  [ taken | pending .......... | free ]
///                  ^ start, at `offset`  ^ end
/// ```
pub(super) struct Input {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    record_start: u64,
    ended: bool,
}

impl Input {
    pub fn new(source: Box<dyn Read + Send>) -> Self {
        Self { source, buffer: vec![0; CHUNK], start: 0, end: 0, offset: 0, record_start: 0, ended: false }
    }

    /// The bytes read ahead and not yet taken.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Marks the beginning of a record; false when the stream ends there.
    #[inline]
    pub fn begin_record(&mut self) -> io::Result<bool> {
        self.record_start = self.offset;
        self.fill(1)
    }

    /// Position in the stream of the record begun last.
    pub fn record_start(&self) -> u64 {
        self.record_start
    }

    /// Has `wanted` bytes pending, or finds the record begun last, which needs `length` in all, cut off.
    #[inline]
    pub fn require(&mut self, wanted: usize, length: u32) -> Result<(), DamageKind> {
        if self.fill(wanted)? { Ok(()) } else { Err(self.cut_off(length)) }
    }

    #[cold]
    fn cut_off(&self, length: u32) -> DamageKind {
        let end = self.offset + (self.end - self.start) as u64;
        DamageKind::CutOff { needed: length.into(), available: end - self.record_start }
    }

    /// Reads on until `wanted` bytes are pending; false when the stream ends before. The buffer grows to `wanted` at
    /// most, so the caller bounds the memory by what it asks for.
    #[inline]
    pub fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.end - self.start >= wanted { Ok(true) } else { self.read_on(wanted) }
    }

    #[cold]
    fn read_on(&mut self, wanted: usize) -> io::Result<bool> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.end < wanted && !self.ended {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.end >= wanted)
    }

    /// Takes `count` pending bytes. They stay readable through [`Input::taken`] until the next call that reads on.
    #[inline]
    pub fn take(&mut self, count: usize) -> Range<usize> {
        debug_assert!(count <= self.end - self.start);
        let range = self.start..self.start + count;
        self.start += count;
        self.offset += count as u64;
        range
    }

    /// Bytes taken last.
    #[inline]
    pub fn taken(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Drops `count` bytes without keeping them, of a record that needs `length` in all.
    pub fn skip(&mut self, mut count: u64, length: u32) -> Result<(), DamageKind> {
        while count > 0 {
            self.require(1, length)?;
            let step = count.min(self.pending().len() as u64);
            self.take(step as usize);
            count -= step;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte a call and is interrupted before each.
    struct Drip {
        left: u8,
        interrupt: bool,
    }

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.interrupt = !self.interrupt;
            if self.interrupt {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if self.left == 0 {
                return Ok(0);
            }
            buffer[0] = self.left;
            self.left -= 1;
            Ok(1)
        }
    }

    #[test]
    fn a_source_that_drips_and_is_interrupted_loses_nothing() {
        let mut input = Input::new(Box::new(Drip { left: 5, interrupt: false }));
        assert!(input.fill(3).unwrap());
        assert_eq!(input.pending(), [5, 4, 3]);
        let range = input.take(2);
        assert_eq!(input.taken(range), [5, 4]);
        assert!(!input.fill(4).unwrap());
        assert_eq!(input.pending(), [3, 2, 1]);
        assert_eq!(input.offset, 2);
    }

    #[test]
    fn skipping_keeps_the_buffer_small() {
        let mut input = Input::new(Box::new(io::repeat(7).take(10_000_000)));
        assert!(input.begin_record().unwrap());
        input.skip(9_999_999, 9_999_999).unwrap();
        assert!(input.begin_record().unwrap());
        assert_eq!(input.record_start(), 9_999_999);
        let damage = input.skip(2, 2).unwrap_err();
        assert!(matches!(damage, DamageKind::CutOff { needed: 2, available: 1 }), "{damage:?}");
        assert_eq!(input.buffer.len(), CHUNK);
    }
}
