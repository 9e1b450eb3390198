//! Packets out: one stream of IP packets as pcap or pcapng.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use pcap_file::pcap::{PcapHeader, PcapTsResolution, PcapWriteError, PcapWriter, RawPcapPacket};
use pcap_file::{DataLink, Endianness};

use super::error::CaptureError;
use super::output::{BUFFER, Output};
use super::tap::TapWriter;

/// What libpcap takes for the largest snapshot length; no IP packet comes near.
const SNAPSHOT_LENGTH: u32 = 262_144;

const FILE_HEADER: PcapHeader = PcapHeader {
    version_major: 2,
    version_minor: 4,
    ts_correction: 0,
    ts_accuracy: 0,
    snaplen: SNAPSHOT_LENGTH,
    datalink: DataLink::RAW,
    ts_resolution: PcapTsResolution::NanoSecond,
    endianness: Endianness::Little,
};

/// Writes IP packets (link type 101, raw IP) with nanosecond times.
///
/// Nothing is to be seen under the path before [`finish`](PacketWriter::finish); dropped without it, a writer leaves
/// nothing. Pipes and devices are written as the packets come.
pub struct PacketWriter {
    format: Format,
}

enum Format {
    Pcap { writer: PcapWriter<BufWriter<Output>>, path: PathBuf },
    PcapNg(TapWriter),
}

impl PacketWriter {
    /// Creates a capture: pcapng when the name ends in `.pcapng` or `.ntar`, pcap otherwise; `-` is standard output.
    ///
    /// # Errors
    ///
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
        let format = if ["pcapng", "ntar"].iter().any(|name| extension.eq_ignore_ascii_case(name)) {
            Format::PcapNg(TapWriter::with_interfaces(path, [None].into_iter())?)
        } else {
            let file = BufWriter::with_capacity(BUFFER, Output::create(path)?);
            let path = path.to_owned();
            match PcapWriter::with_header(file, FILE_HEADER) {
                Ok(writer) => Format::Pcap { writer, path },
                Err(error) => return Err(failed(&path, error)),
            }
        };
        Ok(Self { format })
    }

    /// Writes one packet: nanoseconds since 1970, its bytes from the IP header on, and its length on the wire (taken
    /// for at least that of `bytes`).
    ///
    /// # Errors
    ///
    /// When the file cannot be written, and when pcap cannot hold the time (from 2106 on).
    #[inline]
    pub fn write(&mut self, time: u64, bytes: &[u8], original_length: u32) -> Result<(), CaptureError> {
        let (writer, path) = match &mut self.format {
            Format::Pcap { writer, path } => (writer, path),
            Format::PcapNg(tap) => return tap.write_record(0, time, bytes, original_length, None),
        };
        let seconds = time / 1_000_000_000;
        let fraction = (time % 1_000_000_000) as u32;
        let Ok(seconds) = u32::try_from(seconds) else {
            return Err(CaptureError::TimeTooLate { seconds });
        };
        let captured = u32::try_from(bytes.len()).expect("an IP packet is shorter than 4 GiB");
        let record = RawPcapPacket {
            ts_sec: seconds,
            ts_frac: fraction,
            incl_len: captured,
            orig_len: original_length.max(captured),
            data: Cow::Borrowed(bytes),
        };
        match writer.write_raw_packet(&record) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(path, error)),
        }
    }

    /// Writes what is still buffered and gives the file its name.
    ///
    /// # Errors
    ///
    /// When the rest cannot be written or the file not be renamed; then nothing is left.
    pub fn finish(self) -> Result<(), CaptureError> {
        match self.format {
            Format::Pcap { writer, .. } => Output::finish(writer.into_inner()),
            Format::PcapNg(tap) => tap.finish(),
        }
    }
}

#[cold]
fn failed(path: &Path, error: PcapWriteError) -> CaptureError {
    let path = path.to_owned();
    match error {
        PcapWriteError::Io(source) | PcapWriteError::FieldWriteFailed(_, source) => {
            CaptureError::Write { path, source }
        }
        other => CaptureError::Encode { path, source: Box::new(other) },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::capture::{LinkType, Reader};

    /// Writes two packets, the second of 1500 bytes cut to two, and gives the file.
    fn write_two(path: &Path) -> Vec<u8> {
        let mut writer = PacketWriter::create(path).unwrap();
        writer.write(1_500_000_000_123_456_789, b"E whole", 0).unwrap();
        writer.write(1_500_000_001_000_000_000, b"E ", 1500).unwrap();
        writer.finish().unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn both_formats_read_the_same() {
        let folder = tempfile::tempdir().unwrap();
        for (name, magic) in [
            ("a.pcap", 0xa1b2_3c4d_u32),
            ("a", 0xa1b2_3c4d),
            ("a.pcapng", 0x0a0d_0d0a),
            ("A.PCAPNG", 0x0a0d_0d0a),
            ("a.ntar", 0x0a0d_0d0a),
        ] {
            let path = folder.path().join(name);
            let bytes = write_two(&path);
            assert_eq!(bytes[..4], magic.to_le_bytes(), "{name}");
            assert_eq!(bytes, write_two(&path), "{name} twice");

            let mut reader = Reader::open(&path).unwrap();
            for (time, length, bytes) in
                [(1_500_000_000_123_456_789, 7, &b"E whole"[..]), (1_500_000_001_000_000_000, 1500, b"E ")]
            {
                let frame = reader.next_frame().unwrap();
                assert_eq!((frame.time, frame.original_length, frame.bytes), (time, length, bytes));
                assert_eq!(frame.link_type, LinkType::Raw);
            }
            assert!(reader.next_frame().is_none() && reader.damage().is_none() && reader.oddities().is_empty());
        }
    }

    #[test]
    fn pcap_refuses_times_from_2106_on_and_pcapng_takes_them() {
        let folder = tempfile::tempdir().unwrap();
        let last = u64::from(u32::MAX) * 1_000_000_000 + 999_999_999;
        let mut writer = PacketWriter::create(&folder.path().join("a.pcap")).unwrap();
        writer.write(last, b"E", 1).unwrap();
        let error = writer.write(last + 1, b"E", 1).unwrap_err();
        assert!(matches!(error, CaptureError::TimeTooLate { seconds: 4_294_967_296 }), "{error}");
        let mut writer = PacketWriter::create(&folder.path().join("a.pcapng")).unwrap();
        writer.write(last + 1, b"E", 1).unwrap();
    }

    #[test]
    fn a_writer_dropped_unfinished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.pcap", "a.pcapng"] {
            let mut writer = PacketWriter::create(&folder.path().join(name)).unwrap();
            writer.write(0, b"E", 1).unwrap();
            drop(writer);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_at_the_latest_when_finishing() {
        for extension in ["pcap", "pcapng"] {
            let folder = tempfile::tempdir().unwrap();
            // Not by its own name, which has no extension.
            let path = folder.path().join("full").with_extension(extension);
            std::os::unix::fs::symlink("/dev/full", &path).unwrap();
            let mut writer = PacketWriter::create(&path).unwrap();
            writer.write(0, b"E", 1).unwrap();
            let error = writer.finish().unwrap_err();
            assert_eq!(error.io_error().unwrap().kind(), std::io::ErrorKind::StorageFull, "{error}");
        }
    }
}
