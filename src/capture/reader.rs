//! Captures in: frames one after the other from pcap or pcapng, told apart by their first bytes.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use super::damage::{Damage, Oddities};
use super::error::CaptureError;
use super::input::Input;
use super::link::LinkType;
use super::{pcap, pcapng};

/// The longest record that is read, in bytes. Twice the largest snapshot length of libpcap (262 144), so that a full
/// frame with its options fits; anything that claims more is taken for [`Damage`], and memory stays below 1 MiB.
pub const RECORD_LIMIT: usize = 512 * 1024;

/// A captured frame: raw bytes with a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Nanoseconds since 1970-01-01 00:00 UTC.
    pub time: u64,
    /// What the bytes begin with.
    pub link_type: LinkType,
    /// Length on the wire in bytes, at least that of `bytes`.
    pub original_length: u32,
    /// What was captured of it.
    pub bytes: &'a [u8],
}

/// A frame in the input's buffer.
pub(super) struct Located {
    pub time: u64,
    pub link_type: LinkType,
    pub original_length: u32,
    pub bytes: Range<usize>,
}

impl Located {
    /// The same with its bytes counted from `base` on.
    pub fn within(mut self, base: usize) -> Self {
        self.bytes = base + self.bytes.start..base + self.bytes.end;
        self
    }
}

/// Reads a capture record by record.
pub struct Reader {
    input: Input,
    format: Format,
    oddities: Oddities,
    damage: Option<Damage>,
    records: u64,
}

enum Format {
    Pcap(pcap::Records),
    PcapNg(pcapng::Blocks),
}

impl Reader {
    /// Opens a capture file; `-` is standard input.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or its beginning not be read, and when it is no capture.
    pub fn open(path: &Path) -> Result<Reader, CaptureError> {
        if path.as_os_str() == "-" {
            return Reader::new(io::stdin(), "-");
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Reader::new(file, name),
            Err(source) => Err(CaptureError::Open { name, source }),
        }
    }

    /// Reads a capture from any byte stream. No buffering is needed around it; `name` is for error messages.
    ///
    /// # Errors
    ///
    /// When the beginning cannot be read, and when it is not that of a capture.
    pub fn new(source: impl Read + Send + 'static, name: impl Into<String>) -> Result<Reader, CaptureError> {
        let mut input = Input::new(Box::new(source));
        if let Err(source) = input.fill(pcap::FILE_HEADER) {
            return Err(CaptureError::Read { name: name.into(), source });
        }
        let format = match recognise(input.pending()) {
            Ok(Recognised::PcapNg) => Format::PcapNg(pcapng::Blocks::default()),
            Ok(Recognised::Pcap(records)) => {
                input.take(pcap::FILE_HEADER);
                Format::Pcap(records)
            }
            Err(unknown) => return Err(unknown.into_error(name.into(), input.pending())),
        };
        Ok(Reader { input, format, oddities: Oddities::default(), damage: None, records: 0 })
    }

    /// The next record, borrowed from the reader's buffer; `None` at the end and at [damage](Reader::damage).
    #[inline]
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if self.damage.is_some() {
            return None;
        }
        let next = match &mut self.format {
            Format::Pcap(records) => records.next(&mut self.input, &mut self.oddities),
            Format::PcapNg(blocks) => blocks.next(&mut self.input, &mut self.oddities),
        };
        match next {
            Ok(Some(Located { time, link_type, original_length, bytes })) => {
                self.records += 1;
                Some(Frame { time, link_type, original_length, bytes: self.input.taken(bytes) })
            }
            Ok(None) => None,
            Err(kind) => {
                let offset = self.input.record_start();
                self.damage = Some(Damage { offset, kind });
                None
            }
        }
    }

    /// Where and why reading stopped before the end, if it did.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// What was tolerated so far, by kind.
    pub fn oddities(&self) -> &Oddities {
        &self.oddities
    }

    /// Frames given so far.
    pub fn records(&self) -> u64 {
        self.records
    }
}

enum Recognised {
    Pcap(pcap::Records),
    PcapNg,
}

enum Unrecognised {
    Empty,
    HeaderCutOff,
    Compressed { format: &'static str, program: &'static str },
    OtherFormat(&'static str),
    Unknown,
}

impl Unrecognised {
    fn into_error(self, name: String, start: &[u8]) -> CaptureError {
        match self {
            Unrecognised::Empty => CaptureError::Empty { name },
            Unrecognised::HeaderCutOff => CaptureError::HeaderCutOff { name, length: start.len() },
            Unrecognised::Compressed { format, program } => {
                let command = format!("{program} -dc {name} > capture.pcap");
                CaptureError::Compressed { name, format, command }
            }
            Unrecognised::OtherFormat(format) => CaptureError::OtherFormat { name, format },
            Unrecognised::Unknown => CaptureError::NotACapture { name, start: start[..start.len().min(4)].to_vec() },
        }
    }
}

/// Tells the format by the first bytes, of which there are [`pcap::FILE_HEADER`] unless the file is shorter.
fn recognise(start: &[u8]) -> Result<Recognised, Unrecognised> {
    let unrecognised = match start {
        [] => Unrecognised::Empty,
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => return Ok(Recognised::PcapNg),
        [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..] => match pcap::Records::new(start) {
            Some(records) => return Ok(Recognised::Pcap(records)),
            None => Unrecognised::HeaderCutOff,
        },
        [0x1f, 0x8b, ..] => Unrecognised::Compressed { format: "gzip", program: "gzip" },
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Unrecognised::Compressed { format: "zstd", program: "zstd" },
        [0x04, 0x22, 0x4d, 0x18, ..] => Unrecognised::Compressed { format: "lz4", program: "lz4" },
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Unrecognised::Compressed { format: "xz", program: "xz" },
        [b'B', b'Z', b'h', ..] => Unrecognised::Compressed { format: "bzip2", program: "bzip2" },
        [b's', b'n', b'o', b'o', b'p', 0, 0, 0, ..] => Unrecognised::OtherFormat("snoop"),
        [b'R', b'T', b'S', b'S', ..] | [b'G', b'M', b'B', b'U', ..] => {
            Unrecognised::OtherFormat("Microsoft Network Monitor")
        }
        [b'X', b'C', b'P', 0, ..] => Unrecognised::OtherFormat("NetXRay"),
        [0xa1, 0xb2, 0xcd, 0x34, ..] | [0x34, 0xcd, 0xb2, 0xa1, ..] => {
            Unrecognised::OtherFormat("modified (Kuznetzov) pcap")
        }
        _ => Unrecognised::Unknown,
    };
    Err(unrecognised)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{DamageKind, Oddity};

    /// Writes numbers in one byte order.
    #[derive(Clone, Copy, PartialEq)]
    enum Order {
        Little,
        Big,
    }
    use Order::{Big, Little};

    impl Order {
        fn u16(self, value: u16) -> [u8; 2] {
            if self == Little { value.to_le_bytes() } else { value.to_be_bytes() }
        }
        fn u32(self, value: u32) -> [u8; 4] {
            if self == Little { value.to_le_bytes() } else { value.to_be_bytes() }
        }
        fn words(self, values: &[u32]) -> Vec<u8> {
            values.iter().flat_map(|&value| self.u32(value)).collect()
        }
    }

    const MICRO: u32 = 0xa1b2_c3d4;
    const NANO: u32 = 0xa1b2_3c4d;

    fn pcap(order: Order, magic: u32, snapshot_length: u32, link: u32) -> Vec<u8> {
        let version = if order == Little { 4 << 16 | 2 } else { 2 << 16 | 4 };
        order.words(&[magic, version, 0, 0, snapshot_length, link])
    }

    fn record(order: Order, seconds: u32, fraction: u32, original: u32, bytes: &[u8]) -> Vec<u8> {
        let header = order.words(&[seconds, fraction, bytes.len() as u32, original]);
        [&header, bytes].concat()
    }

    fn block(order: Order, kind: u32, body: &[u8]) -> Vec<u8> {
        let padding = vec![0; body.len().next_multiple_of(4) - body.len()];
        let length = order.u32((12 + body.len() + padding.len()) as u32);
        [&order.u32(kind), &length, body, &padding, &length].concat()
    }

    fn section(order: Order) -> Vec<u8> {
        let body = order.words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
        block(order, pcapng::SECTION_HEADER, &body)
    }

    fn interface(order: Order, link: u16, snapshot_length: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = [&order.u16(link)[..], &[0, 0], &order.u32(snapshot_length)].concat();
        for (code, value) in options {
            body.extend(order.u16(*code));
            body.extend(order.u16(value.len() as u16));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        block(order, 1, &body)
    }

    fn enhanced(order: Order, interface: u32, ticks: u64, bytes: &[u8]) -> Vec<u8> {
        let length = bytes.len() as u32;
        let mut body = order.words(&[interface, (ticks >> 32) as u32, ticks as u32, length, length]);
        body.extend(bytes);
        block(order, 6, &body)
    }

    fn reader(bytes: impl Into<Vec<u8>>) -> Reader {
        Reader::new(io::Cursor::new(bytes.into()), "test").unwrap()
    }

    /// Time, link type, original length, bytes of each frame.
    fn frames(reader: &mut Reader) -> Vec<(u64, LinkType, u32, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some(frame) = reader.next_frame() {
            frames.push((frame.time, frame.link_type, frame.original_length, frame.bytes.to_vec()));
        }
        assert_eq!(reader.records(), frames.len() as u64);
        assert!(reader.next_frame().is_none(), "the end stays the end");
        frames
    }

    fn counted(reader: &Reader) -> Vec<(Oddity, u64)> {
        reader.oddities().iter().collect()
    }

    #[test]
    fn pcap_in_both_byte_orders_and_resolutions() {
        for order in [Little, Big] {
            for (magic, fraction) in [(MICRO, 500_000), (NANO, 500_000_000)] {
                let file = [pcap(order, magic, 65_535, 1), record(order, 7, fraction, 60, b"abc")];
                let mut reader = reader(file.concat());
                let expected = (7_500_000_000, LinkType::Ethernet, 60, b"abc".to_vec());
                assert_eq!(frames(&mut reader), [expected]);
                assert!(reader.damage().is_none() && reader.oddities().is_empty());
            }
        }
    }

    #[test]
    fn check_sequence_bits_are_no_part_of_the_link_type() {
        let file = [pcap(Little, MICRO, 0, 0x1400_0001), record(Little, 0, 0, 1, b"x")];
        assert_eq!(reader(file.concat()).next_frame().unwrap().link_type, LinkType::Ethernet);
    }

    #[test]
    fn odd_records_are_read_and_counted() {
        let file = [
            pcap(Little, MICRO, 2, 101),
            record(Little, 1, 0, 2, b"ok"),
            record(Little, 1, 1_500_000, 2, b"ok"),
            record(Little, 3, 0, 2, b"long"),
        ];
        let mut reader = reader(file.concat());
        let frames = frames(&mut reader);
        assert_eq!(frames.iter().map(|frame| frame.0 / 100_000_000).collect::<Vec<_>>(), [10, 25, 30]);
        assert_eq!((frames[2].2, &frames[2].3[..]), (4, &b"long"[..]));
        let expected =
            [(Oddity::AboveSnapshotLength, 1), (Oddity::OriginalBelowCaptured, 1), (Oddity::FractionAboveSecond, 1)];
        assert_eq!(counted(&reader), expected);
        assert!(reader.damage().is_none());
    }

    #[test]
    fn a_snapshot_length_of_zero_is_no_limit() {
        let file = [pcap(Little, MICRO, 0, 101), record(Little, 1, 0, 2, b"ok")];
        let mut reader = reader(file.concat());
        assert_eq!(frames(&mut reader).len(), 1);
        assert!(reader.oddities().is_empty());
    }

    #[test]
    fn a_cut_pcap_gives_what_is_before_the_cut() {
        // Header 24, records of 16 + 5: the second begins at byte 45 and ends at 66.
        let file = [pcap(Little, MICRO, 0, 101), record(Little, 1, 0, 5, b"first"), record(Little, 2, 0, 5, b"secnd")];
        let file = file.concat();
        for length in 46..66 {
            let mut reader = reader(&file[..length]);
            assert_eq!(frames(&mut reader).len(), 1, "cut at {length}");
            let needed = if length < 45 + 16 { 16 } else { 21 };
            let damage = reader.damage().unwrap();
            assert_eq!(damage.offset, 45);
            let left = length - 45;
            let text = format!("cut off at byte 45: the record there needs {needed} bytes, {left} are left");
            assert_eq!(damage.to_string(), text);
        }
        for (length, records) in [(24, 0), (45, 1), (66, 2)] {
            let mut reader = reader(&file[..length]);
            assert_eq!(frames(&mut reader).len(), records);
            assert!(reader.damage().is_none());
        }
    }

    #[test]
    fn a_record_that_claims_four_gigabytes_is_damage_and_takes_no_memory() {
        let mut file = [pcap(Little, MICRO, 0, 101), record(Little, 1, 0, 2, b"ok")].concat();
        file.extend(Little.words(&[1, 0, u32::MAX, u32::MAX]));
        file.extend(vec![0; 2 * RECORD_LIMIT]);
        let mut reader = reader(file);
        assert_eq!(frames(&mut reader).len(), 1);
        let damage = reader.damage().unwrap();
        assert_eq!(damage.offset, 42);
        assert!(matches!(damage.kind, DamageKind::TooLong { claimed } if claimed == u64::from(u32::MAX)), "{damage}");
    }

    #[test]
    fn the_longest_record_is_read_and_one_byte_more_is_not() {
        for (length, records) in [(RECORD_LIMIT, 1), (RECORD_LIMIT + 1, 0)] {
            let bytes = vec![0x45; length];
            let file = [pcap(Big, NANO, 0, 101), record(Big, 1, 0, length as u32, &bytes)];
            let mut reader = reader(file.concat());
            assert_eq!(frames(&mut reader).len(), records);
            assert_eq!(reader.damage().is_some(), records == 0);
        }
    }

    #[test]
    fn pcapng_in_both_byte_orders_with_resolutions_and_offsets() {
        for order in [Little, Big] {
            let offset = 1_000_i64;
            let offset = if order == Little { offset.to_le_bytes() } else { offset.to_be_bytes() };
            let file = [
                section(order),
                interface(order, 1, 0, &[]),
                interface(order, 101, 0, &[(2, b"name"), (9, &[9]), (0, b"")]),
                interface(order, 113, 0, &[(9, &[0x80 | 20]), (14, &offset)]),
                enhanced(order, 0, 1_500_000, b"microseconds"),
                enhanced(order, 1, 1_500_000_000, b"nanoseconds"),
                enhanced(order, 2, 3 << 19, b"parts of 2^20"),
            ];
            let mut reader = reader(file.concat());
            let expected = [
                (1_500_000_000, LinkType::Ethernet, 12, b"microseconds".to_vec()),
                (1_500_000_000, LinkType::Raw, 11, b"nanoseconds".to_vec()),
                (1_001_500_000_000, LinkType::LinuxSll, 13, b"parts of 2^20".to_vec()),
            ];
            assert_eq!(frames(&mut reader), expected);
            assert!(reader.damage().is_none() && reader.oddities().is_empty());
        }
    }

    #[test]
    fn each_section_has_its_own_byte_order_and_interfaces() {
        let file = [
            section(Little),
            interface(Little, 1, 0, &[]),
            enhanced(Little, 0, 1, b"first"),
            section(Big),
            enhanced(Big, 0, 2, b"of no interface"),
            interface(Big, 101, 0, &[]),
            enhanced(Big, 0, 3, b"second"),
        ];
        let mut reader = reader(file.concat());
        let frames = frames(&mut reader);
        assert_eq!(
            frames.iter().map(|frame| (frame.0, frame.1)).collect::<Vec<_>>(),
            [(1_000, LinkType::Ethernet), (3_000, LinkType::Raw)]
        );
        assert_eq!(counted(&reader), [(Oddity::UnknownInterface, 1)]);
    }

    #[test]
    fn unknown_blocks_of_any_length_are_passed_over() {
        let file = [
            section(Little),
            block(Little, 0x0bad, b"somebody's own"),
            block(Little, 0x7777, &vec![0xff; 3 * RECORD_LIMIT]),
            block(Little, 5, &[0; 12]),
            interface(Little, 101, 0, &[(2, b"\xff\xfe no UTF-8")]),
            enhanced(Little, 0, 1, b"here"),
        ];
        let mut reader = reader(file.concat());
        assert_eq!(frames(&mut reader).len(), 1);
        assert!(reader.damage().is_none() && reader.oddities().is_empty());
    }

    #[test]
    fn simple_and_obsolete_packet_blocks() {
        let obsolete = [&Big.u16(0)[..], &Big.u16(9), &Big.words(&[0, 5, 3, 3]), b"old"].concat();
        let file = [
            section(Big),
            interface(Big, 101, 4, &[]),
            block(Big, 2, &obsolete),
            block(Big, 3, &[&Big.u32(6)[..], b"simp"].concat()),
        ];
        let mut reader = reader(file.concat());
        let expected = [(5_000, LinkType::Raw, 3, b"old".to_vec()), (5_000, LinkType::Raw, 6, b"simp".to_vec())];
        assert_eq!(frames(&mut reader), expected);
        assert_eq!(counted(&reader), [(Oddity::WithoutTime, 1)]);
    }

    #[test]
    fn blocks_that_contradict_themselves_are_read_as_far_as_they_go() {
        let mut lying = Little.words(&[0, 0, 1, u32::MAX, 2]);
        lying.extend(b"four");
        let file = [
            section(Little),
            block(Little, 1, b"idb"), // too short, and still interface 0
            interface(Little, 101, 3, &[]),
            block(Little, 6, &[0; 16]),
            block(Little, 3, &[]),
            enhanced(Little, 0, 1, b"of the broken interface"),
            block(Little, 6, &[&Little.u32(1)[..], &lying[4..]].concat()),
        ];
        let mut reader = reader(file.concat());
        assert_eq!(frames(&mut reader), [(1_000, LinkType::Raw, 4, b"four".to_vec())]);
        let expected = [
            (Oddity::AboveSnapshotLength, 1),
            (Oddity::OriginalBelowCaptured, 1),
            (Oddity::UnknownInterface, 1),
            (Oddity::BeyondBlock, 1),
            (Oddity::ShortBlock, 3),
        ];
        assert_eq!(counted(&reader), expected);
    }

    #[test]
    fn damaged_pcapng_gives_what_is_before() {
        let good = [section(Little), interface(Little, 101, 0, &[]), enhanced(Little, 0, 1, b"good")].concat();
        let length = good.len() as u64;
        let head = |words: &[u32]| Little.words(words);
        for (tail, expected) in [
            (vec![6, 0, 0], "cut off at byte N: the record there needs 12 bytes, 3 are left"),
            (head(&[6, 40, 0]), "cut off at byte N: the record there needs 40 bytes, 12 are left"),
            (head(&[99, 40, 0, 0]), "cut off at byte N: the record there needs 40 bytes, 16 are left"),
            (head(&[99, 0xffff_fffc, 0]), "cut off at byte N: the record there needs 4294967292 bytes, 12 are left"),
            (head(&[6, 0xffff_fffc, 0]), "damaged at byte N: a record claims 4294967292 bytes, more than 524288"),
            (head(&[6, 8, 0]), "damaged at byte N: block length 8 is not a multiple of 4 from 12 on"),
            (head(&[6, 33, 0]), "damaged at byte N: block length 33 is not a multiple of 4 from 12 on"),
            (head(&[99, 12, 16]), "damaged at byte N: block length is 12 before and 16 after its body"),
            (
                head(&[pcapng::SECTION_HEADER, 28, 5]),
                "damaged at byte N: a section begins with 0x05000000 instead of its byte-order magic",
            ),
        ] {
            let mut reader = reader([&good[..], &tail].concat());
            assert_eq!(frames(&mut reader).len(), 1, "{expected}");
            let damage = reader.damage().expect(expected);
            assert_eq!(damage.offset, length);
            assert_eq!(damage.to_string(), expected.replace('N', &length.to_string()));
        }
    }

    #[test]
    fn interfaces_without_end_take_no_memory_without_end() {
        let mut file = section(Little);
        for _ in 0..70_000 {
            file.extend(interface(Little, 101, 0, &[]));
        }
        file.extend(enhanced(Little, 65_535, 1, b"of the last one remembered"));
        file.extend(enhanced(Little, 65_536, 1, b"of the first one forgotten"));
        let mut reader = reader(file);
        assert_eq!(frames(&mut reader).len(), 1);
        assert_eq!(counted(&reader), [(Oddity::UnknownInterface, 1)]);
    }

    #[test]
    fn an_error_of_the_source_is_damage_at_its_byte() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("disk on fire"))
            }
        }
        let start = pcap(Little, MICRO, 0, 101);
        let mut reader = Reader::new(io::Cursor::new(start).chain(Failing), "test").unwrap();
        assert!(frames(&mut reader).is_empty());
        assert_eq!(reader.damage().unwrap().to_string(), "unreadable at byte 24: disk on fire");

        let error = Reader::new(Failing, "test").err().unwrap();
        assert_eq!(error.to_string(), "cannot read capture test");
        assert_eq!(error.io_error().unwrap().to_string(), "disk on fire");
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_overwritten_or_cut_reading_ends(
            is_pcapng: bool,
            is_big: bool,
            changes in proptest::collection::vec((0_usize..400, 0_u8..=255), 0..8),
            length in 24_usize..400,
        ) {
            let order = if is_big { Big } else { Little };
            let mut file = if is_pcapng {
                [section(order), interface(order, 1, 60, &[(2, b"name"), (9, &[6]), (14, &[1; 8])])].concat()
            } else {
                pcap(order, NANO, 60, 1)
            };
            while file.len() < 400 {
                file.extend(match is_pcapng {
                    true => enhanced(order, 0, 7, &[0x81; 30]),
                    false => record(order, 1, 2, 30, &[0x81; 30]),
                });
            }
            for (at, byte) in changes {
                file[at] = byte;
            }
            file.truncate(length);
            if let Ok(mut reader) = Reader::new(io::Cursor::new(file), "test") {
                while let Some(frame) = reader.next_frame() {
                    proptest::prop_assert!(frame.bytes.len() <= frame.original_length as usize);
                    let _ = crate::capture::network_layer(frame.link_type, frame.bytes);
                }
                proptest::prop_assert!(reader.records() <= 20);
                proptest::prop_assert!(reader.damage().is_none_or(|damage| damage.offset < length as u64));
            }
        }
    }

    #[test]
    fn what_is_no_capture_is_told_with_the_cure() {
        for (start, expected) in [
            (&b""[..], "capture x is empty\n"),
            (b"\xd4\xc3\xb2\xa1\x02\x00", "capture x ends after 6 bytes, within its file header\n"),
            (b"\xa1\xb2", "x is not a pcap or pcapng capture: it begins with a1 b2\n"),
            (b"\x1f\x8b\x08\0\0\0\0\0", "capture x is gzip-compressed\nunpack it first: gzip -dc x > capture.pcap"),
            (b"\x28\xb5\x2f\xfd....", "capture x is zstd-compressed\n"),
            (b"\x04\x22\x4d\x18....", "capture x is lz4-compressed\n"),
            (b"\xfd7zXZ\0..", "capture x is xz-compressed\n"),
            (b"BZh9....", "capture x is bzip2-compressed\n"),
            (b"snoop\0\0\0\0\0\0\x02", "x is a snoop capture, expected pcap or pcapng\n"),
            (b"name: scenario\n", "x is not a pcap or pcapng capture: it begins with 6e 61 6d 65\n"),
        ] {
            let text = Reader::new(start, "x").err().expect(expected).to_string();
            assert!(text.starts_with(expected), "{text}");
        }
        let error = Reader::open(Path::new("/no/such/file.pcap")).err().unwrap();
        assert!(matches!(error, CaptureError::Open { .. }), "{error}");
    }
}
