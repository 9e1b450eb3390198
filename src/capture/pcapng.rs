//! pcapng: sections of blocks, each with its own byte order and interfaces.
//!
//! The framing is written out here, although pcap-file has one: that one keeps every interface with all its options,
//! wants each block whole in memory whatever its length, and cannot pass an interface description it dislikes (a name
//! that is not UTF-8, a reserved field in use). Blocks without packets are passed over unread; options other than an
//! interface's time resolution and offset are ignored.

use super::damage::{DamageKind, Oddities, Oddity};
use super::input::Input;
use super::link::LinkType;
use super::reader::{Located, RECORD_LIMIT};

pub(super) const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

const BYTE_ORDER_MAGIC: u32 = 0x1a2b_3c4d;
/// Type and length before a block's body, and the length again behind it.
const HEAD: usize = 8;
const TAIL: usize = 4;
/// The block without a body.
const BLOCK_LENGTH_MIN: u32 = 12;
/// Interfaces remembered in a section. More of them than ports on any machine; packets of later ones count as
/// [`Oddity::UnknownInterface`].
const INTERFACES_MAX: usize = 65_536;

const OPTION_END: u16 = 0;
const OPTION_TIME_RESOLUTION: u16 = 9;
const OPTION_TIME_OFFSET: u16 = 14;

/// The packets of a pcapng file.
#[derive(Default)]
pub(super) struct Blocks {
    order: ByteOrder,
    interfaces: Vec<Option<Interface>>,
    last_time: u64,
}

impl Blocks {
    /// The next packet, `None` at the end.
    #[inline]
    pub fn next(&mut self, input: &mut Input, oddities: &mut Oddities) -> Result<Option<Located>, DamageKind> {
        while input.begin_record()? {
            if let Some(packet) = self.block(input, oddities)? {
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    /// Takes one block and gives its packet, if it holds one.
    #[inline]
    fn block(&mut self, input: &mut Input, oddities: &mut Oddities) -> Result<Option<Located>, DamageKind> {
        input.require(BLOCK_LENGTH_MIN as usize, BLOCK_LENGTH_MIN)?;
        let head = input.pending();
        let kind = self.order.u32(head, 0);
        if kind == SECTION_HEADER {
            self.order = ByteOrder::of_section(head)?;
            self.interfaces.clear();
        }
        let length = self.order.u32(head, 4);
        if length < BLOCK_LENGTH_MIN || !length.is_multiple_of(4) {
            return Err(DamageKind::BlockLength { length });
        }

        let mut packet = None;
        if let INTERFACE_DESCRIPTION | PACKET | SIMPLE_PACKET | ENHANCED_PACKET = kind {
            if length as usize > RECORD_LIMIT {
                return Err(DamageKind::TooLong { claimed: length.into() });
            }
            input.require(length as usize, length)?;
            let body = &input.pending()[HEAD..length as usize - TAIL];
            packet = match kind {
                INTERFACE_DESCRIPTION => self.interface_description(body, oddities),
                SIMPLE_PACKET => self.simple_packet(body, oddities),
                _ => self.packet(kind, body, oddities),
            };
            let block = input.take(length as usize - TAIL);
            packet = packet.map(|packet| packet.within(block.start + HEAD));
        } else {
            input.skip(u64::from(length) - TAIL as u64, length)?;
        }

        input.require(TAIL, length)?;
        let after = self.order.u32(input.pending(), 0);
        if after != length {
            return Err(DamageKind::LengthMismatch { before: length, after });
        }
        input.take(TAIL);
        Ok(packet)
    }

    /// Adds an interface to the section. There is no packet in it.
    fn interface_description(&mut self, body: &[u8], oddities: &mut Oddities) -> Option<Located> {
        if self.interfaces.len() < INTERFACES_MAX {
            // A broken description still counts: packets name their interface by its position.
            let interface = (body.len() >= 8).then(|| Interface::parse(self.order, body));
            if interface.is_none() {
                oddities.record(Oddity::ShortBlock);
            }
            self.interfaces.push(interface);
        }
        None
    }

    fn interface(&self, number: u32, oddities: &mut Oddities) -> Option<Interface> {
        let interface = self.interfaces.get(number as usize).copied().flatten();
        if interface.is_none() {
            oddities.record(Oddity::UnknownInterface);
        }
        interface
    }

    /// An enhanced packet block or its obsolete forerunner: they differ in the width of the interface's number only.
    #[inline]
    fn packet(&mut self, kind: u32, body: &[u8], oddities: &mut Oddities) -> Option<Located> {
        const FIXED: usize = 20;
        if body.len() < FIXED {
            oddities.record(Oddity::ShortBlock);
            return None;
        }
        let number = if kind == PACKET { self.order.u16(body, 0).into() } else { self.order.u32(body, 0) };
        let interface = self.interface(number, oddities)?;
        let ticks = u64::from(self.order.u32(body, 4)) << 32 | u64::from(self.order.u32(body, 8));
        let (time, exact) = interface.time(ticks);
        if !exact {
            oddities.record(Oddity::TimeOutOfRange);
        }
        self.last_time = time;

        let mut captured = self.order.u32(body, 12) as usize;
        if captured > body.len() - FIXED {
            oddities.record(Oddity::BeyondBlock);
            captured = body.len() - FIXED;
        }
        if captured > interface.snapshot_length as usize {
            oddities.record(Oddity::AboveSnapshotLength);
        }
        let mut original_length = self.order.u32(body, 16);
        if (original_length as usize) < captured {
            oddities.record(Oddity::OriginalBelowCaptured);
            original_length = captured as u32;
        }
        Some(Located { time, link_type: interface.link_type, original_length, bytes: FIXED..FIXED + captured })
    }

    /// A simple packet block: of the first interface, without a time, and as long as the snapshot length lets it be.
    fn simple_packet(&mut self, body: &[u8], oddities: &mut Oddities) -> Option<Located> {
        const FIXED: usize = 4;
        if body.len() < FIXED {
            oddities.record(Oddity::ShortBlock);
            return None;
        }
        let interface = self.interface(0, oddities)?;
        oddities.record(Oddity::WithoutTime);
        let original_length = self.order.u32(body, 0);
        let mut captured = original_length.min(interface.snapshot_length) as usize;
        if captured > body.len() - FIXED {
            oddities.record(Oddity::BeyondBlock);
            captured = body.len() - FIXED;
        }
        let bytes = FIXED..FIXED + captured;
        Some(Located { time: self.last_time, link_type: interface.link_type, original_length, bytes })
    }
}

/// The byte order of a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ByteOrder {
    #[default]
    Little,
    Big,
}

impl ByteOrder {
    /// The order a section header block declares behind its length. Its type reads the same in both.
    fn of_section(head: &[u8]) -> Result<Self, DamageKind> {
        match ByteOrder::Big.u32(head, 8) {
            BYTE_ORDER_MAGIC => Ok(ByteOrder::Big),
            found if found.swap_bytes() == BYTE_ORDER_MAGIC => Ok(ByteOrder::Little),
            found => Err(DamageKind::ByteOrderMagic { found }),
        }
    }

    /// Two bytes that the caller knows to be there.
    #[inline]
    fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let word = [bytes[at], bytes[at + 1]];
        match self {
            ByteOrder::Little => u16::from_le_bytes(word),
            ByteOrder::Big => u16::from_be_bytes(word),
        }
    }

    /// Four bytes that the caller knows to be there.
    #[inline]
    fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let word = *bytes[at..].first_chunk().expect("the caller checked the length");
        match self {
            ByteOrder::Little => u32::from_le_bytes(word),
            ByteOrder::Big => u32::from_be_bytes(word),
        }
    }
}

/// What packets need to know of their interface.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: LinkType,
    snapshot_length: u32,
    resolution: Resolution,
    offset_seconds: i64,
}

impl Interface {
    /// Parses a description whose eight fixed bytes are there; options are followed as far as they make sense.
    fn parse(order: ByteOrder, body: &[u8]) -> Self {
        let snapshot_length = order.u32(body, 4);
        let mut interface = Interface {
            link_type: LinkType::from_number(order.u16(body, 0).into()),
            snapshot_length: if snapshot_length == 0 { u32::MAX } else { snapshot_length },
            resolution: Resolution::Multiply(1_000),
            offset_seconds: 0,
        };
        let mut options = &body[8..];
        while options.len() >= 4 {
            let (code, length) = (order.u16(options, 0), order.u16(options, 2) as usize);
            let Some(value) = options[4..].get(..length) else {
                break;
            };
            match code {
                OPTION_END => break,
                OPTION_TIME_RESOLUTION if length == 1 => interface.resolution = Resolution::new(value[0]),
                OPTION_TIME_OFFSET if length == 8 => {
                    let (first, second) = (order.u32(value, 0), order.u32(value, 4));
                    let (low, high) = if order == ByteOrder::Little { (first, second) } else { (second, first) };
                    interface.offset_seconds = (u64::from(high) << 32 | u64::from(low)) as i64;
                }
                _ => {}
            }
            options = options[4..].get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        interface
    }

    /// A tick count as nanoseconds since the epoch, and whether it fits there; else it is the nearest that does.
    #[inline]
    fn time(&self, ticks: u64) -> (u64, bool) {
        let since_offset = match self.resolution {
            Resolution::Multiply(factor) => u128::from(ticks) * u128::from(factor),
            Resolution::Divide(divisor) => u128::from(ticks / divisor),
            // 64 bits of ticks and 30 of the factor fit 128.
            Resolution::Shift(bits) => (u128::from(ticks) * 1_000_000_000) >> bits,
        };
        // Below 2^94 (64 bits times 10^9) each, so the sum has room.
        let time = since_offset as i128 + i128::from(self.offset_seconds) * 1_000_000_000;
        match u64::try_from(time) {
            Ok(time) => (time, true),
            Err(_) if time < 0 => (0, false),
            Err(_) => (u64::MAX, false),
        }
    }
}

/// How ticks become nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resolution {
    /// 10^-9 s and coarser.
    Multiply(u64),
    /// Finer than 10^-9 s.
    Divide(u64),
    /// 2^-n s.
    Shift(u8),
}

impl Resolution {
    /// From `if_tsresol`: the exponent, with the top bit set for base two.
    fn new(value: u8) -> Self {
        let exponent = value & 0x7f;
        if value & 0x80 != 0 {
            return Resolution::Shift(exponent);
        }
        match exponent {
            0..=9 => Resolution::Multiply(10_u64.pow(9 - u32::from(exponent))),
            // Above 10^28 the whole range of ticks is less than a nanosecond, and the largest divisor says so too.
            10.. => Resolution::Divide(10_u64.checked_pow(u32::from(exponent) - 9).unwrap_or(u64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds_in_every_resolution() {
        // (if_tsresol, ticks, nanoseconds)
        for (resolution, ticks, nanoseconds) in [
            (0, 3, 3_000_000_000),
            (6, 1_500_000, 1_500_000_000),
            (9, 1_500_000_000, 1_500_000_000),
            (12, 1_999, 1),    // picoseconds, cut
            (28, u64::MAX, 1), // 1.8e19 / 1e19
            (29, u64::MAX - 1, 0),
            (127, 5, 0),
            (0x80 | 20, 3 << 19, 1_500_000_000), // 1.5 * 2^20
            (0x80, 2, 2_000_000_000),
            (0x80 | 127, u64::MAX, 0),
        ] {
            let interface = Interface {
                link_type: LinkType::Raw,
                snapshot_length: 0,
                resolution: Resolution::new(resolution),
                offset_seconds: 0,
            };
            assert_eq!(interface.time(ticks), (nanoseconds, true), "if_tsresol {resolution}");
        }
    }

    #[test]
    fn times_out_of_range_are_moved_to_the_limit() {
        let mut interface = Interface {
            link_type: LinkType::Raw,
            snapshot_length: 0,
            resolution: Resolution::new(0),
            offset_seconds: -4,
        };
        assert_eq!(interface.time(4), (0, true));
        assert_eq!(interface.time(3), (0, false));
        assert_eq!(interface.time(u64::MAX), (u64::MAX, false));
        interface.offset_seconds = i64::MAX;
        assert_eq!(interface.time(0), (u64::MAX, false));
        interface.offset_seconds = i64::MIN;
        assert_eq!(interface.time(u64::MAX), (u64::MAX, false));
    }

    #[test]
    fn options_that_lie_about_their_length_end_the_options() {
        // Ethernet, no snapshot length, if_tsresol of 9, then an option of 400 bytes in 2.
        let body = [1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 2, 0, 144, 1, b'x', b'y'];
        let interface = Interface::parse(ByteOrder::Little, &body);
        assert_eq!(interface.resolution, Resolution::Multiply(1));
        assert_eq!((interface.link_type, interface.snapshot_length), (LinkType::Ethernet, u32::MAX));
    }
}
