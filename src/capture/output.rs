//! Where a capture goes: a regular file appears whole under its name or not at all, anything else is written as it
//! comes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

use super::error::CaptureError;

/// Bytes gathered before they are written. pcap-file writes field by field; without a buffer each is a system call.
pub(super) const BUFFER: usize = 1024 * 1024;

/// The file, pipe or device behind a writer.
pub(super) struct Output {
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    /// A file beside its destination, gone when dropped.
    Temporary {
        file: NamedTempFile,
        destination: PathBuf,
    },
    /// A FIFO, a device: there is nothing to rename over.
    Direct(File),
    Stdout(Stdout),
}

impl Output {
    /// Opens `path` for writing; `-` is standard output.
    pub fn create(path: &Path) -> Result<Self, CaptureError> {
        match Sink::open(path) {
            Ok(sink) => Ok(Self { path: path.to_owned(), sink }),
            Err(source) => Err(CaptureError::Create { path: path.to_owned(), source }),
        }
    }

    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An error of writing here.
    pub fn failed(&self, source: io::Error) -> CaptureError {
        CaptureError::Write { path: self.path.clone(), source }
    }

    /// Writes what the buffer still holds and gives the file its name.
    pub fn finish(buffered: BufWriter<Output>) -> Result<(), CaptureError> {
        let output = buffered.into_inner().map_err(|failed| {
            let (source, buffered) = failed.into_parts();
            buffered.get_ref().failed(source)
        })?;
        output.rename()
    }

    fn rename(self) -> Result<(), CaptureError> {
        let path = self.path;
        match self.sink {
            Sink::Temporary { file, destination } => match file.persist(destination) {
                Ok(_) => Ok(()),
                // What comes back with the error holds the temporary file and removes it when dropped.
                Err(failed) => Err(CaptureError::Rename { path, source: failed.error }),
            },
            Sink::Direct(_) => Ok(()),
            Sink::Stdout(mut stdout) => stdout.flush().map_err(|source| CaptureError::Write { path, source }),
        }
    }
}

impl Sink {
    fn open(path: &Path) -> io::Result<Sink> {
        if path.as_os_str() == "-" {
            return Ok(Sink::Stdout(io::stdout()));
        }
        // `/dev/stdout` may lead to a regular file that the shell holds open: that one is not to be replaced.
        let special = path.starts_with("/dev") || path.starts_with("/proc");
        if special || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Ok(Sink::Direct(File::create(path)?));
        }
        // A symbolic link is followed, so that it stays one.
        let destination = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let folder = match destination.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut builder = Builder::new();
        builder.prefix(".egressim-").suffix(".part");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What any new file gets: the user's mask applies. Temporary files are private otherwise.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        Ok(Sink::Temporary { file: builder.tempfile_in(folder)?, destination })
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.sink {
            // Its own `Write` would wrap errors with the temporary file's name, which means nothing to the user.
            Sink::Temporary { file, .. } => file.as_file_mut().write(bytes),
            Sink::Direct(file) => file.write(bytes),
            Sink::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.sink {
            Sink::Temporary { file, .. } => file.as_file_mut().flush(),
            Sink::Direct(file) => file.flush(),
            Sink::Stdout(stdout) => stdout.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_file_has_its_name_only_when_finished() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.pcap");
        fs::write(&path, "before").unwrap();
        let mut output = Output::create(&path).unwrap();
        output.write_all(b"after").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"before");
        output.rename().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after");
        assert_eq!(names(folder.path()), ["out.pcap"]);
    }

    #[test]
    fn an_unfinished_file_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::create(&folder.path().join("out.pcap")).unwrap();
        output.write_all(b"half").unwrap();
        drop(output);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn a_failed_rename_is_reported_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.pcap");
        let output = Output::create(&path).unwrap();
        // A folder that takes the name in the meantime cannot be replaced by a file.
        fs::create_dir(&path).unwrap();
        let error = output.rename().unwrap_err();
        assert!(matches!(error, CaptureError::Rename { .. }), "{error}");
        assert_eq!(names(folder.path()), ["out.pcap"]);
    }

    #[test]
    fn a_folder_and_a_missing_folder_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let error = Output::create(folder.path()).err().unwrap();
        assert!(matches!(error, CaptureError::Create { .. }), "{error}");
        let error = Output::create(&folder.path().join("missing/out.pcap")).err().unwrap();
        assert!(matches!(error, CaptureError::Create { .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_written_directly() {
        let mut output = Output::create(Path::new("/dev/null")).unwrap();
        assert!(matches!(output.sink, Sink::Direct(_)));
        output.write_all(b"gone").unwrap();
        output.rename().unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_stays_one_and_the_file_is_readable_as_any_other() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (target, link, plain) =
            (folder.path().join("target"), folder.path().join("link"), folder.path().join("plain"));
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        Output::create(&link).unwrap().rename().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        fs::write(&plain, "").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&plain));
    }
}
