//! Captures that can be read only once, standard input and pipes, kept so that they can be read as often as need be.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::CaptureError;
use super::reader::Reader;

/// Bytes of one input that are kept at most.
pub const KEPT_LIMIT: u64 = 4 << 30;
/// Bytes that are looked at before anything is kept: what is no capture is said at once, however much more of it comes.
const BEGINNING: u64 = 64 * 1024;

/// What is kept, in temporary files that have no name: they are gone when the program is.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    files: BTreeMap<PathBuf, Arc<File>>,
}

impl Kept {
    /// Keeps what a path gives, unless it is a file, which can be read again anyway. It has to end before it can be read.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no capture, has more than [`KEPT_LIMIT`] bytes, or cannot be kept.
    pub fn keep(&mut self, path: &Path) -> Result<(), CaptureError> {
        self.keep_below(path, KEPT_LIMIT)
    }

    fn keep_below(&mut self, path: &Path, limit: u64) -> Result<(), CaptureError> {
        let name = path.display().to_string();
        let source: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else if fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir()) {
            Box::new(File::open(path).map_err(|source| CaptureError::Open { name: name.clone(), source })?)
        } else {
            return Ok(());
        };
        let mut source = source.take(limit + 1);
        let mut beginning = Vec::new();
        let unreadable = |source| CaptureError::Read { name: name.clone(), source };
        (&mut source).take(BEGINNING).read_to_end(&mut beginning).map_err(unreadable)?;
        Reader::new(Cursor::new(beginning.clone()), &*name)?;
        let not_kept = |source| CaptureError::NotKept { name: name.clone(), source };
        let mut file = tempfile::tempfile().map_err(not_kept)?;
        file.write_all(&beginning).map_err(not_kept)?;
        // Both ends of the copy may fail; which of them it was, the system's reason says.
        let rest = io::copy(&mut source, &mut file).map_err(not_kept)?;
        if beginning.len() as u64 + rest > limit {
            return Err(CaptureError::TooLong { name, limit });
        }
        self.files.insert(path.to_owned(), Arc::new(file));
        Ok(())
    }

    /// Opens what was kept of a path, or the path itself.
    ///
    /// # Errors
    ///
    /// As [`Reader::open`].
    pub fn open(&self, path: &Path) -> Result<Reader, CaptureError> {
        match self.files.get(path) {
            Some(file) => Reader::new(FromStart { file: file.clone(), at: 0 }, path.display().to_string()),
            None => Reader::open(path),
        }
    }
}

/// Reads a file from its beginning, whoever else reads it.
struct FromStart {
    file: Arc<File>,
    at: u64,
}

impl Read for FromStart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.at)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&*self.file, buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::thread;

    use super::*;
    use crate::capture::PacketWriter;

    /// A pipe with a name, and somebody who writes this into it.
    fn pipe(folder: &Path, bytes: Vec<u8>) -> PathBuf {
        let path = folder.join("pipe");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let target = path.clone();
        // Whoever reads may have had enough.
        thread::spawn(move || drop(fs::write(target, bytes)));
        path
    }

    fn capture(packets: u64) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.pcap");
        let mut writer = PacketWriter::create(&path).unwrap();
        (0..packets).for_each(|time| writer.write(time, &[0x45; 20], 20).unwrap());
        writer.finish().unwrap();
        fs::read(path).unwrap()
    }

    #[test]
    fn what_comes_by_a_pipe_is_read_several_times_and_side_by_side() {
        let folder = tempfile::tempdir().unwrap();
        // 36 bytes a record: more than the beginning.
        let path = pipe(folder.path(), capture(5_000));
        let mut kept = Kept::default();
        kept.keep(&path).unwrap();
        let (mut one, mut other) = (kept.open(&path).unwrap(), kept.open(&path).unwrap());
        for time in 0..5_000 {
            assert_eq!(one.next_frame().map(|frame| frame.time), Some(time));
            assert_eq!(other.next_frame().map(|frame| frame.time), Some(time));
        }
        assert!(one.next_frame().is_none() && one.damage().is_none());
    }

    #[test]
    fn what_is_too_long_or_no_capture_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = pipe(folder.path(), capture(5_000));
        let refused = Kept::default().keep_below(&path, 100_000).unwrap_err();
        assert!(matches!(refused, CaptureError::TooLong { limit: 100_000, .. }), "{refused}");
        // It never ends, and is told from a capture all the same.
        let zeros = Kept::default().keep(Path::new("/dev/zero")).unwrap_err();
        assert!(matches!(zeros, CaptureError::NotACapture { .. }), "{zeros}");
    }
}
