//! Packet captures, in and out: pcap and pcapng.
//!
//! Reading is lenient, as captures in the wild are: what a strict reader refuses (a length above the snapshot
//! length, a fraction above one second) is tolerated and counted as an [`Oddity`]; where the bytes can no longer be
//! followed, reading stops and says so as [`Damage`], and everything before has been delivered. Memory stays bounded
//! whatever lengths a file claims. Writing is strict and repeatable: the same packets give the same bytes, and a
//! regular file appears whole or not at all.
//!
//! This module knows link layers and time stamps. It knows nothing about IP beyond the version nibble, nor about who
//! sends what: [`Frame`]s go out, finished packets come in.
//!
//! Formats: [pcap](https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/) and
//! [pcapng](https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/); link types from the
//! [tcpdump.org registry](https://www.tcpdump.org/linktypes.html).
//!
//! ```
//! use egressim::capture::{LinkType, PacketWriter, Reader, network_layer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("one.pcap");
//! let packet = [0x45; 20];
//!
//! let mut writer = PacketWriter::create(&path)?;
//! writer.write(1_700_000_000_123_456_789, &packet, 20)?;
//! writer.finish()?;
//!
//! let mut reader = Reader::open(&path)?;
//! let frame = reader.next_frame().expect("one was written");
//! assert_eq!(frame.time, 1_700_000_000_123_456_789);
//! assert_eq!(frame.link_type, LinkType::Raw);
//! assert_eq!(network_layer(frame.link_type, frame.bytes), Ok(&packet[..]));
//! assert!(reader.next_frame().is_none() && reader.damage().is_none());
//! # Ok(())
//! # }
//! ```

mod damage;
mod error;
mod input;
mod kept;
mod link;
mod output;
mod pcap;
mod pcapng;
mod reader;
mod tap;
mod writer;

pub use damage::{Damage, DamageKind, Oddities, Oddity};
pub use error::CaptureError;
pub use kept::{KEPT_LIMIT, Kept};
pub use link::{LinkType, NotIp, network_layer};
pub use reader::{Frame, RECORD_LIMIT, Reader};
pub use tap::TapWriter;
pub use writer::PacketWriter;
