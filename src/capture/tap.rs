//! Packets out with the place where each was seen: pcapng with one interface a node, for Wireshark.

use std::borrow::Cow;
use std::io::BufWriter;
use std::path::Path;
use std::time::Duration;

use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::error::CaptureError;
use super::output::{BUFFER, Output};

/// Writes IP packets (link type 101, raw IP) of several interfaces with nanosecond times.
///
/// Nothing is to be seen under the path before [`finish`](TapWriter::finish); dropped without it, a writer leaves
/// nothing. The bytes depend on what is written only: there is no clock, host or user in them.
pub struct TapWriter {
    writer: PcapNgWriter<BufWriter<Output>>,
}

impl TapWriter {
    /// Creates a capture with these interfaces, numbered from 0; `-` is standard output.
    ///
    /// # Errors
    ///
    /// When the file cannot be created, and when a name does not fit pcapng's 65 535 bytes.
    pub fn create(path: &Path, interface_names: &[String]) -> Result<Self, CaptureError> {
        let names = interface_names.iter().map(|name| Some(name.as_str()));
        Self::with_interfaces(path, names)
    }

    /// The same with interfaces that may have no name.
    pub(super) fn with_interfaces<'a>(
        path: &Path,
        names: impl Iterator<Item = Option<&'a str>>,
    ) -> Result<Self, CaptureError> {
        let output = BufWriter::with_capacity(BUFFER, Output::create(path)?);
        let section = SectionHeaderBlock {
            // The default is the machine's.
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication(Cow::Borrowed("egressim"))],
            ..SectionHeaderBlock::default()
        };
        let failed = |error| failed(path, error);
        let mut writer = PcapNgWriter::with_section_header(output, section).map_err(failed)?;
        for name in names {
            writer.write_pcapng_block(interface(name)).map_err(failed)?;
        }
        Ok(Self { writer })
    }

    /// Adds an interface: its number is the next one.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, and when the name does not fit pcapng's 65 535 bytes.
    pub fn add_interface(&mut self, name: &str) -> Result<(), CaptureError> {
        match self.writer.write_pcapng_block(interface(Some(name))) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(self.writer.get_ref().get_ref().path(), error)),
        }
    }

    /// Writes one packet: the number of the interface that saw it, nanoseconds since 1970, its bytes from the IP header
    /// on, and what to say about it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, there is no such interface, or the comment does not fit pcapng's 65 535 bytes.
    pub fn write(
        &mut self,
        interface: u32,
        time: u64,
        bytes: &[u8],
        comment: Option<&str>,
    ) -> Result<(), CaptureError> {
        self.write_record(interface, time, bytes, 0, comment)
    }

    /// The same for a packet that was longer on the wire.
    ///
    /// # Errors
    ///
    /// As [`write`](TapWriter::write).
    pub fn write_record(
        &mut self,
        interface: u32,
        time: u64,
        bytes: &[u8],
        original_length: u32,
        comment: Option<&str>,
    ) -> Result<(), CaptureError> {
        let captured = u32::try_from(bytes.len()).expect("an IP packet is shorter than 4 GiB");
        let comment = comment.map(|text| EnhancedPacketOption::Common(CommonOption::Comment(Cow::Borrowed(text))));
        let packet = EnhancedPacketBlock {
            interface_id: interface,
            timestamp: Duration::from_nanos(time),
            original_len: original_length.max(captured),
            data: Cow::Borrowed(bytes),
            options: comment.into_iter().collect(),
        };
        match self.writer.write_pcapng_block(packet) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(self.writer.get_ref().get_ref().path(), error)),
        }
    }

    /// Writes what is still buffered and gives the file its name.
    ///
    /// # Errors
    ///
    /// When the rest cannot be written or the file not be renamed; then nothing is left.
    pub fn finish(self) -> Result<(), CaptureError> {
        Output::finish(self.writer.into_inner())
    }
}

fn interface(name: Option<&str>) -> InterfaceDescriptionBlock<'_> {
    // No snapshot length: zero says so.
    let mut interface = InterfaceDescriptionBlock::new(DataLink::RAW, 0);
    interface.options.extend(name.map(|name| InterfaceDescriptionOption::IfName(Cow::Borrowed(name))));
    interface.options.push(InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO));
    interface
}

#[cold]
fn failed(path: &Path, error: PcapNgWriteError) -> CaptureError {
    let path = path.to_owned();
    match error {
        PcapNgWriteError::Io(source) => CaptureError::Write { path, source },
        other => CaptureError::Encode { path, source: Box::new(other) },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use pcap_file::pcapng::{Block, PcapNgReader};

    use super::*;
    use crate::capture::{LinkType, Reader};

    const PACKET: [u8; 21] = [0x45; 21]; // an odd length, to be padded

    fn write_three(path: &Path) {
        let names = ["connector".to_owned(), "nat gateway".to_owned()];
        let mut tap = TapWriter::create(path, &names).unwrap();
        tap.write(0, 5_000_000_001, &PACKET, None).unwrap();
        tap.write(1, 5_000_000_002, &PACKET, Some("OUT_OF_RESOURCES: no free port ✗")).unwrap();
        tap.write(1, u64::MAX, &[], None).unwrap();
        tap.finish().unwrap();
    }

    #[test]
    fn interfaces_and_comments_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture.pcapng");
        write_three(&path);

        let mut reader = PcapNgReader::new(fs::File::open(&path).unwrap()).unwrap();
        let mut packets = Vec::new();
        while let Some(block) = reader.next_block() {
            if let (Block::EnhancedPacket(packet), _) = block.unwrap() {
                packets.push(packet.into_owned());
            }
        }
        let application = SectionHeaderOption::UserApplication("egressim".into());
        assert_eq!(reader.section().options, [application]);
        let names: Vec<_> = reader.interfaces().iter().map(|interface| interface.options[0].clone()).collect();
        let expected = ["connector", "nat gateway"].map(|name| InterfaceDescriptionOption::IfName(name.into()));
        assert_eq!(names, expected);
        let comment = CommonOption::Comment("OUT_OF_RESOURCES: no free port ✗".into());
        assert_eq!(packets[1].options, [EnhancedPacketOption::Common(comment)]);
        assert_eq!(packets.iter().map(|packet| packet.interface_id).collect::<Vec<_>>(), [0, 1, 1]);
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capture.pcapng");
        write_three(&path);
        let mut reader = Reader::open(&path).unwrap();
        for (time, bytes) in [(5_000_000_001, &PACKET[..]), (5_000_000_002, &PACKET), (u64::MAX, &[])] {
            let frame = reader.next_frame().unwrap();
            assert_eq!((frame.time, frame.link_type, frame.bytes), (time, LinkType::Raw, bytes));
            assert_eq!(frame.original_length as usize, bytes.len());
        }
        assert!(reader.next_frame().is_none() && reader.damage().is_none() && reader.oddities().is_empty());
    }

    #[test]
    fn the_same_packets_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        write_three(&first);
        write_three(&second);
        assert_eq!(fs::read(first).unwrap(), fs::read(second).unwrap());
    }

    #[test]
    fn an_unknown_interface_and_an_endless_comment_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let mut tap = TapWriter::create(&folder.path().join("a.pcapng"), &["only".to_owned()]).unwrap();
        let error = tap.write(1, 0, &PACKET, None).unwrap_err();
        assert!(matches!(error, CaptureError::Encode { .. }), "{error}");
        let error = tap.write(0, 0, &PACKET, Some(&"x".repeat(65_536))).unwrap_err();
        assert!(matches!(error, CaptureError::Encode { .. }), "{error}");
        tap.write(0, 0, &PACKET, Some(&"x".repeat(65_535))).unwrap();
    }
}
