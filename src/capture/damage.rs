//! What can be wrong with a capture: oddities are tolerated and counted, damage ends the reading.

use std::{fmt, io};

use super::reader::RECORD_LIMIT;

/// Where and why reading stopped before the end. Records before it were delivered, the rest is lost.
#[derive(Debug)]
pub struct Damage {
    /// First byte of the record that could not be read.
    pub offset: u64,
    /// What is wrong with it.
    pub kind: DamageKind,
}

/// What is wrong with a record that cannot be read.
#[derive(Debug)]
pub enum DamageKind {
    /// The file ends within the record.
    CutOff {
        /// Bytes that the record (or as much of its header as is known) needs.
        needed: u64,
        /// Bytes that are there.
        available: u64,
    },
    /// The record claims more bytes than [`RECORD_LIMIT`].
    TooLong {
        /// Bytes claimed.
        claimed: u64,
    },
    /// A pcapng block's length is below 12 or not a multiple of 4.
    BlockLength {
        /// The length.
        length: u32,
    },
    /// A pcapng block's length before and after its body differ.
    LengthMismatch {
        /// The length before the body.
        before: u32,
        /// The length after it.
        after: u32,
    },
    /// A pcapng section begins without its byte-order magic.
    ByteOrderMagic {
        /// What is there instead, read as big endian.
        found: u32,
    },
    /// The operating system could not read on.
    Io(io::Error),
}

impl From<io::Error> for DamageKind {
    fn from(error: io::Error) -> Self {
        DamageKind::Io(error)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.offset;
        match &self.kind {
            DamageKind::CutOff { needed, available } => {
                write!(f, "cut off at byte {at}: the record there needs {needed} bytes, {available} are left")
            }
            DamageKind::TooLong { claimed } => {
                write!(f, "damaged at byte {at}: a record claims {claimed} bytes, more than {RECORD_LIMIT}")
            }
            DamageKind::BlockLength { length } => {
                write!(f, "damaged at byte {at}: block length {length} is not a multiple of 4 from 12 on")
            }
            DamageKind::LengthMismatch { before, after } => {
                write!(f, "damaged at byte {at}: block length is {before} before and {after} after its body")
            }
            DamageKind::ByteOrderMagic { found } => {
                write!(f, "damaged at byte {at}: a section begins with {found:#010x} instead of its byte-order magic")
            }
            DamageKind::Io(error) => write!(f, "unreadable at byte {at}: {error}"),
        }
    }
}

impl std::error::Error for Damage {}

/// Something a correct capture does not contain and a useful reader lives with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Oddity {
    /// More bytes captured than the file's snapshot length allows; read in full.
    AboveSnapshotLength,
    /// The original length is below the captured length; the captured one is taken for both.
    OriginalBelowCaptured,
    /// The fraction of a second is one second or more; carried over into the seconds.
    FractionAboveSecond,
    /// The time lies before 1970 or after 2554; moved to that limit.
    TimeOutOfRange,
    /// A pcapng simple packet block, which has no time; it gets the time of the record before.
    WithoutTime,
    /// A packet of an interface that the pcapng section has not described; left out, for its link type is unknown.
    UnknownInterface,
    /// A packet's captured length reaches beyond its pcapng block; cut to what is there.
    BeyondBlock,
    /// A pcapng block too short for its fixed fields; left out.
    ShortBlock,
}

impl Oddity {
    const ALL: [Oddity; 8] = [
        Oddity::AboveSnapshotLength,
        Oddity::OriginalBelowCaptured,
        Oddity::FractionAboveSecond,
        Oddity::TimeOutOfRange,
        Oddity::WithoutTime,
        Oddity::UnknownInterface,
        Oddity::BeyondBlock,
        Oddity::ShortBlock,
    ];

    /// Its fixed name, the key under which reports count it.
    pub fn name(self) -> &'static str {
        match self {
            Oddity::AboveSnapshotLength => "captured length above the snapshot length",
            Oddity::OriginalBelowCaptured => "original length below the captured length",
            Oddity::FractionAboveSecond => "fraction of a second above one second",
            Oddity::TimeOutOfRange => "time out of range",
            Oddity::WithoutTime => "record without a time",
            Oddity::UnknownInterface => "unknown interface",
            Oddity::BeyondBlock => "captured length beyond its block",
            Oddity::ShortBlock => "block too short for its fields",
        }
    }
}

/// How often each [`Oddity`] was met.
#[derive(Debug, Clone, Default)]
pub struct Oddities {
    counts: [u64; Oddity::ALL.len()],
}

impl Oddities {
    pub(super) fn record(&mut self, oddity: Oddity) {
        self.counts[oddity as usize] += 1;
    }

    /// How often one kind was met.
    pub fn count(&self, oddity: Oddity) -> u64 {
        self.counts[oddity as usize]
    }

    /// The kinds that were met, with their counts, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = (Oddity, u64)> {
        Oddity::ALL.into_iter().zip(self.counts).filter(|&(_, count)| count > 0)
    }

    /// Whether nothing odd was met.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_names_the_byte_and_the_reason() {
        let damage = Damage { offset: 1234, kind: DamageKind::CutOff { needed: 80, available: 12 } };
        assert_eq!(damage.to_string(), "cut off at byte 1234: the record there needs 80 bytes, 12 are left");
    }

    #[test]
    fn every_oddity_is_counted_under_its_own_name() {
        let mut oddities = Oddities::default();
        assert!(oddities.is_empty());
        for (position, oddity) in Oddity::ALL.into_iter().enumerate() {
            assert_eq!(oddity as usize, position);
            oddities.record(oddity);
        }
        let names: std::collections::BTreeSet<_> = oddities.iter().map(|(oddity, _)| oddity.name()).collect();
        assert_eq!(names.len(), Oddity::ALL.len());
        assert!(oddities.iter().all(|(_, count)| count == 1));
    }
}
