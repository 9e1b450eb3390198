//! Classic pcap: a file header, then records of 16 bytes of header and the frame.

use pcap_file::pcap::{PcapParseError, PcapParser, PcapTsResolution};

use super::damage::{DamageKind, Oddities, Oddity};
use super::input::Input;
use super::link::LinkType;
use super::reader::{Located, RECORD_LIMIT};

pub(super) const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// The records of a pcap file. Parsing is pcap-file's; its checked packets are not used, for they refuse for good what
/// is only odd.
pub(super) struct Records {
    parser: PcapParser,
    link_type: LinkType,
    snapshot_length: u32,
    nanoseconds_per_tick: u32,
}

impl Records {
    /// The records behind a file header; `None` when it is shorter than [`FILE_HEADER`] or has no pcap magic.
    pub fn new(file_header: &[u8]) -> Option<Self> {
        let (_, parser) = PcapParser::new(file_header).ok()?;
        let header = parser.header();
        Some(Self {
            link_type: LinkType::from_number(header.datalink.into()),
            // Zero is written by some to say "unlimited".
            snapshot_length: if header.snaplen == 0 { u32::MAX } else { header.snaplen },
            nanoseconds_per_tick: match header.ts_resolution {
                PcapTsResolution::MicroSecond => 1_000,
                PcapTsResolution::NanoSecond => 1,
            },
            parser,
        })
    }

    /// The next record, `None` at the end.
    #[inline]
    pub fn next(&mut self, input: &mut Input, oddities: &mut Oddities) -> Result<Option<Located>, DamageKind> {
        if !input.begin_record()? {
            return Ok(None);
        }
        let record = loop {
            match self.parser.next_raw_packet(input.pending()) {
                Ok((_, record)) => break record,
                Err(error) => read_more(input, error)?,
            }
        };

        let captured = record.incl_len;
        if captured > self.snapshot_length {
            oddities.record(Oddity::AboveSnapshotLength);
        }
        if record.orig_len < captured {
            oddities.record(Oddity::OriginalBelowCaptured);
        }
        // 32 bits of each cannot overflow: 2^32 s + 2^32 * 1000 ns is 4.3e18 ns, below 2^64 = 1.8e19.
        let fraction = u64::from(record.ts_frac) * u64::from(self.nanoseconds_per_tick);
        if fraction >= 1_000_000_000 {
            oddities.record(Oddity::FractionAboveSecond);
        }
        let time = u64::from(record.ts_sec) * 1_000_000_000 + fraction;
        let original_length = record.orig_len.max(captured);

        input.take(RECORD_HEADER);
        let bytes = input.take(captured as usize);
        Ok(Some(Located { time, link_type: self.link_type, original_length, bytes }))
    }
}

/// Reads what the parser misses of a record.
#[cold]
fn read_more(input: &mut Input, error: PcapParseError) -> Result<(), DamageKind> {
    let needed = match error {
        // Once the record header is complete, the parser counts what is needed from behind it.
        PcapParseError::IncompleteBuffer(frame, _) if input.pending().len() >= RECORD_HEADER => {
            if frame > RECORD_LIMIT {
                return Err(DamageKind::TooLong { claimed: frame as u64 });
            }
            RECORD_HEADER + frame
        }
        _ => RECORD_HEADER,
    };
    input.require(needed, needed as u32)
}
