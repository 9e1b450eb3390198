//! Why a capture could not be opened or written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// A capture that cannot be read at all, or not be written.
///
/// A capture that becomes unreadable on the way is not an error but [`Damage`](super::Damage).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file does not open.
    #[error("cannot open capture {name}")]
    Open {
        /// Path as given.
        name: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Its first bytes cannot be read.
    #[error("cannot read capture {name}")]
    Read {
        /// Path as given.
        name: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There are no bytes.
    #[error("capture {name} is empty\nif it is still being written, wait until the capture has ended")]
    Empty {
        /// Path as given.
        name: String,
    },
    /// It ends within the file header.
    #[error(
        "capture {name} ends after {length} bytes, within its file header\ncapture it again, there is no packet in it"
    )]
    HeaderCutOff {
        /// Path as given.
        name: String,
        /// Bytes that are there.
        length: usize,
    },
    /// It is compressed.
    #[error("capture {name} is {format}-compressed\nunpack it first: {command}")]
    Compressed {
        /// Path as given.
        name: String,
        /// `gzip`, `zstd`, …
        format: &'static str,
        /// A command that unpacks it to standard output.
        command: String,
    },
    /// It is a capture in another format.
    #[error(
        "{name} is a {format} capture, expected pcap or pcapng\nconvert it first: editcap -F pcapng {name} OUT.pcapng"
    )]
    OtherFormat {
        /// Path as given.
        name: String,
        /// `snoop`, …
        format: &'static str,
    },
    /// It is no capture known here.
    #[error("{name} is not a pcap or pcapng capture: it begins with {}\ngive a file written by tcpdump, dumpcap or Wireshark", hex(.start))]
    NotACapture {
        /// Path as given.
        name: String,
        /// Its first bytes, at most four.
        start: Vec<u8>,
    },
    /// It can be read only once, and more of it comes than is kept.
    #[error("capture {name} has more than {} GiB, which is more than is kept of an input that can be read only once\nwrite it to a file, and name that", .limit >> 30)]
    TooLong {
        /// Path as given.
        name: String,
        /// Bytes that are kept.
        limit: u64,
    },
    /// It can be read only once, and cannot be kept.
    #[error("cannot keep capture {name} in a temporary file to read it again\nwrite it to a file, and name that")]
    NotKept {
        /// Path as given.
        name: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The file to write cannot be created.
    #[error("cannot create capture {}", path.display())]
    Create {
        /// Path as given.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write capture {}", path.display())]
    Write {
        /// Path as given.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Everything is written, but the file cannot get its name.
    #[error("cannot put the finished capture in place at {}", path.display())]
    Rename {
        /// Path as given.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// Classic pcap counts seconds in 32 bits.
    #[error(
        "time {seconds} s since 1970 does not fit pcap, which ends in 2106\nwrite pcapng instead: name the file .pcapng"
    )]
    TimeTooLate {
        /// Seconds since the epoch.
        seconds: u64,
    },
    /// The format cannot express what was asked for.
    #[error("cannot express a record of capture {}", path.display())]
    Encode {
        /// Path as given.
        path: PathBuf,
        /// What cannot be expressed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CaptureError {
    /// The operating system's reason, if there is one; a closed pipe is told from other failures by its kind.
    pub fn io_error(&self) -> Option<&io::Error> {
        match self {
            Self::Open { source, .. }
            | Self::Read { source, .. }
            | Self::Create { source, .. }
            | Self::Write { source, .. }
            | Self::Rename { source, .. } => Some(source),
            _ => None,
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_bytes_are_shown_as_hex() {
        let error = CaptureError::NotACapture { name: "a.txt".into(), start: b"PK\x03\x04".to_vec() };
        let text = error.to_string();
        assert!(text.starts_with("a.txt is not a pcap or pcapng capture: it begins with 50 4b 03 04\n"), "{text}");
    }
}
