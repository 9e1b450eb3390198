//! A sliding window over a byte stream: look at what is pending, ask for more, move on.

use std::io::{self, Read};
use std::ops::Range;

/// Bytes asked for at once: few enough to stay in the processor's cache from the read to the parse, many enough that the
/// system call does not count. Anything from 32 KiB to 8 MiB reads 40 to 65 million 64-byte records a second.
const CHUNK: usize = 64 * 1024;

/// A byte stream and the part of it that was read ahead.
///
/// ```text
/// buffer:  [ taken | pending ......... | free ]
///                  ^ start, at `offset` ^ end
/// ```
pub(super) struct Input {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
}

impl Input {
    pub fn new(source: Box<dyn Read + Send>) -> Self {
        Self {
            source,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
        }
    }

    /// The bytes read ahead and not yet taken.
    #[inline]
    pub fn pending(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// The position of the first pending byte in the stream.
    #[inline]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// How many bytes are known to follow `offset`, which must not be ahead of the read position.
    pub fn known_from(&self, offset: u64) -> u64 {
        self.offset + (self.end - self.start) as u64 - offset
    }

    /// Reads on until `wanted` bytes are pending; false when the stream ends before. The buffer grows to `wanted` at
    /// most, so the caller bounds the memory by what it asks for.
    #[inline]
    pub fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        if self.end - self.start >= wanted {
            Ok(true)
        } else {
            self.read_on(wanted)
        }
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

    /// Drops `count` bytes without keeping them; false when the stream ends before.
    pub fn skip(&mut self, mut count: u64) -> io::Result<bool> {
        while count > 0 {
            if !self.fill(1)? {
                return Ok(false);
            }
            let step = count.min(self.pending().len() as u64);
            self.take(step as usize);
            count -= step;
        }
        Ok(true)
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
        let mut input = Input::new(Box::new(Drip {
            left: 5,
            interrupt: false,
        }));
        assert!(input.fill(3).unwrap());
        assert_eq!(input.pending(), [5, 4, 3]);
        let range = input.take(2);
        assert_eq!(input.taken(range), [5, 4]);
        assert!(!input.fill(4).unwrap());
        assert_eq!(input.pending(), [3, 2, 1]);
        assert_eq!((input.offset(), input.known_from(1)), (2, 4));
    }

    #[test]
    fn skipping_keeps_the_buffer_small() {
        let mut input = Input::new(Box::new(io::repeat(7).take(10_000_000)));
        assert!(input.skip(9_999_999).unwrap());
        assert!(input.fill(1).unwrap());
        assert_eq!(input.offset(), 9_999_999);
        assert!(!input.skip(2).unwrap());
        assert_eq!(input.buffer.len(), CHUNK);
    }
}
