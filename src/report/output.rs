//! The folder of `--out DIR`: all of its files appear, or none.
//!
//! Files are written to a temporary folder and moved into place by [`OutputFolder::commit`]; without that nothing
//! remains. A DIR that does not exist is prepared beside its future place and appears with a single rename. In one that
//! exists, the temporary folder lies inside it (DIR may be a mount of its own, across which nothing can be moved); files
//! of the same names are replaced, everything else in it is left alone, and when a move fails the ones before it are
//! undone. Not guarded against: a power cut, or two runs that write to one DIR at once.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use thiserror::Error;

/// Where new files are gathered inside the temporary folder.
const NEW: &str = "new";
/// Where the files they replace wait until all is well.
const OLD: &str = "old";

/// Why nothing was written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// DIR, or a folder above it, is something else.
    #[error("{} is a file, not a folder: name another folder, or move the file away", path.display())]
    NotAFolder {
        /// What is in the way.
        path: PathBuf,
    },
    /// A folder has the name of a file to be written.
    #[error("{} is a folder, a file of that name is to be written: name another output folder, or move it away", path.display())]
    NotAFile {
        /// What is in the way.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("no permission to write {}: name a folder you own, or change its permissions", path.display())]
    Permission {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk or quota is full.
    #[error("no space left to write {}: free some, or name a folder on another disk", path.display())]
    DiskFull {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot write {}", path.display())]
    Other {
        /// What was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OutputError {
    fn new(path: &Path, source: io::Error) -> Self {
        // An error that passed through a writer of ours says all this already.
        let source = match source.downcast::<OutputError>() {
            Ok(error) => return error,
            Err(source) => source,
        };
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::NotADirectory => OutputError::NotAFolder { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => OutputError::Permission { path, source },
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => OutputError::DiskFull { path, source },
            _ => OutputError::Other { path, source },
        }
    }
}

/// A folder in the making.
#[derive(Debug)]
pub struct OutputFolder {
    target: PathBuf,
    target_exists: bool,
    staging: TempDir,
    files: Vec<String>,
    unfinished: usize,
}

impl OutputFolder {
    /// Begins a folder that will be `target`.
    pub fn create(target: &Path) -> Result<Self, OutputError> {
        let target_exists = match fs::metadata(target) {
            Ok(found) if found.is_dir() => true,
            Ok(_) => {
                return Err(OutputError::NotAFolder { path: target.to_owned() });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(OutputError::new(target, error)),
        };
        let parent = if target_exists { target } else { nearest_folder(target)? };
        let staging = tempfile::Builder::new()
            .prefix(".egressim-")
            .tempdir_in(parent)
            .map_err(|error| OutputError::new(target, error))?;
        // The temporary folder is its maker's alone; this one has the permissions that any new folder gets.
        fs::create_dir(staging.path().join(NEW)).map_err(|error| OutputError::new(target, error))?;
        Ok(OutputFolder { target: target.to_owned(), target_exists, staging, files: Vec::new(), unfinished: 0 })
    }

    /// Begins a file that is written while the run goes on. Each has to be given back to [`finish`](Self::finish).
    pub fn file(&mut self, name: &str) -> Result<OutputFile, OutputError> {
        let path = self.target.join(name);
        if self.target_exists && path.is_dir() {
            return Err(OutputError::NotAFile { path });
        }
        let file = File::create(self.staged(NEW, name)).map_err(|error| OutputError::new(&path, error))?;
        self.files.push(name.to_owned());
        self.unfinished += 1;
        Ok(OutputFile { path, out: BufWriter::with_capacity(1 << 16, file) })
    }

    /// Promises a file that somebody else creates, at the path this returns, before [`commit`](Self::commit).
    pub fn promise(&mut self, name: &str) -> Result<PathBuf, OutputError> {
        let path = self.target.join(name);
        if self.target_exists && path.is_dir() {
            return Err(OutputError::NotAFile { path });
        }
        self.files.push(name.to_owned());
        Ok(self.staged(NEW, name))
    }

    /// Ends a file: the last bytes go to disk, where they may find it full.
    pub fn finish(&mut self, mut file: OutputFile) -> Result<(), OutputError> {
        file.flush().map_err(|error| OutputError::new(&file.path, error))?;
        self.unfinished -= 1;
        Ok(())
    }

    /// Writes a whole file.
    pub fn write(
        &mut self,
        name: &str,
        content: impl FnOnce(&mut OutputFile) -> io::Result<()>,
    ) -> Result<(), OutputError> {
        let mut file = self.file(name)?;
        content(&mut file).map_err(|error| OutputError::new(&file.path, error))?;
        self.finish(file)
    }

    /// Puts everything in place.
    ///
    /// # Panics
    ///
    /// If a file was not [finished](Self::finish): its end could be missing.
    pub fn commit(self) -> Result<(), OutputError> {
        assert_eq!(self.unfinished, 0, "every file is finished before the folder is committed");
        if self.target_exists { self.replace_files() } else { self.move_folder() }
    }

    fn move_folder(&self) -> Result<(), OutputError> {
        if let Some(parent) = self.target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(parent).map_err(|error| OutputError::new(parent, error))?;
        }
        fs::rename(self.staging.path().join(NEW), &self.target).map_err(|error| OutputError::new(&self.target, error))
    }

    fn replace_files(&self) -> Result<(), OutputError> {
        fs::create_dir(self.staging.path().join(OLD)).map_err(|error| OutputError::new(&self.target, error))?;
        for (done, name) in self.files.iter().enumerate() {
            if let Err(error) = self.replace(name) {
                for name in self.files[..=done].iter().rev() {
                    self.restore(name);
                }
                return Err(OutputError::new(&self.target.join(name), error));
            }
        }
        Ok(())
    }

    fn replace(&self, name: &str) -> io::Result<()> {
        let path = self.target.join(name);
        match fs::rename(&path, self.staged(OLD, name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(self.staged(NEW, name), path)
    }

    /// Undoes [`replace`](Self::replace) as far as it went. The error that led here is the one to report.
    fn restore(&self, name: &str) {
        let path = self.target.join(name);
        if !self.staged(NEW, name).exists() {
            let _ = fs::remove_file(&path);
        }
        let _ = fs::rename(self.staged(OLD, name), path);
    }

    fn staged(&self, state: &str, name: &str) -> PathBuf {
        self.staging.path().join(state).join(name)
    }
}

/// The nearest folder above `target` that exists: the same file system as its future place.
fn nearest_folder(target: &Path) -> Result<&Path, OutputError> {
    for ancestor in target.ancestors().skip(1) {
        let ancestor = if ancestor.as_os_str().is_empty() { Path::new(".") } else { ancestor };
        match fs::metadata(ancestor) {
            Ok(found) if found.is_dir() => return Ok(ancestor),
            Ok(_) => {
                return Err(OutputError::NotAFolder { path: ancestor.to_owned() });
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(OutputError::new(ancestor, error)),
        }
    }
    Ok(Path::new("."))
}

/// A file of the folder, buffered. Its errors name the file as the user knows it.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes).map_err(|error| located(&self.path, error))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(|error| located(&self.path, error))
    }
}

fn located(path: &Path, error: io::Error) -> io::Error {
    // A caller of `write_all` tells an interruption by its kind and tries again.
    io::Error::new(error.kind(), OutputError::new(path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &mut OutputFolder, name: &str, content: &str) {
        folder.write(name, |out| out.write_all(content.as_bytes())).expect("the disk has room");
    }

    fn entries(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .expect("the folder exists")
            .map(|entry| entry.expect("it is readable").file_name().into_string().expect("ASCII"))
            .collect();
        names.sort();
        names
    }

    fn scratch() -> TempDir {
        tempfile::tempdir().expect("there is a temporary folder")
    }

    #[test]
    fn a_new_folder_appears_with_all_its_files() {
        let scratch = scratch();
        let target = scratch.path().join("deep/out");
        let mut folder = OutputFolder::create(&target).expect("it can be created");
        put(&mut folder, "summary.json", "{}");
        put(&mut folder, "metrics.jsonl", "");
        assert!(!target.exists());
        folder.commit().expect("it can be moved");
        assert_eq!(entries(&target), ["metrics.jsonl", "summary.json"]);
        assert_eq!(entries(scratch.path()), ["deep"]);
    }

    #[test]
    fn nothing_remains_without_a_commit() {
        let scratch = scratch();
        let mut folder = OutputFolder::create(&scratch.path().join("deep/out")).expect("it can be created");
        put(&mut folder, "summary.json", "{}");
        drop(folder);
        assert!(entries(scratch.path()).is_empty());
    }

    #[test]
    fn in_an_existing_folder_only_our_files_are_replaced() {
        let scratch = scratch();
        fs::write(scratch.path().join("notes.txt"), "mine").expect("the disk has room");
        fs::write(scratch.path().join("summary.json"), "old").expect("the disk has room");
        let mut folder = OutputFolder::create(scratch.path()).expect("it can be created");
        put(&mut folder, "summary.json", "new");
        let content = |name| fs::read_to_string(scratch.path().join(name)).expect("it is there");
        assert_eq!(content("summary.json"), "old");
        folder.commit().expect("it can be moved");
        assert_eq!(content("summary.json"), "new");
        assert_eq!(content("notes.txt"), "mine");
        assert_eq!(entries(scratch.path()), ["notes.txt", "summary.json"]);
    }

    #[test]
    fn a_move_that_fails_undoes_the_ones_before_it() {
        let scratch = scratch();
        fs::write(scratch.path().join("a"), "old").expect("the disk has room");
        let mut folder = OutputFolder::create(scratch.path()).expect("it can be created");
        put(&mut folder, "a", "new");
        put(&mut folder, "b", "new");
        put(&mut folder, "c", "new");
        fs::remove_file(folder.staged(NEW, "c")).expect("it is there");
        folder.commit().expect_err("a file to move is missing");
        assert_eq!(fs::read_to_string(scratch.path().join("a")).expect("it is there"), "old");
        assert_eq!(entries(scratch.path()), ["a"]);
    }

    #[test]
    fn what_is_in_the_way_is_named_with_the_cure() {
        let scratch = scratch();
        let file = scratch.path().join("file");
        fs::write(&file, "").expect("the disk has room");
        for target in [file.clone(), file.join("out")] {
            let error = OutputError::to_string(&OutputFolder::create(&target).expect_err("a file is in the way"));
            assert!(error.contains("is a file, not a folder: name another folder"), "{error}");
        }

        fs::create_dir(scratch.path().join("summary.json")).expect("the disk has room");
        let mut folder = OutputFolder::create(scratch.path()).expect("it can be created");
        let error = folder.file("summary.json").expect_err("a folder is in the way");
        assert!(matches!(error, OutputError::NotAFile { .. }));
    }

    #[test]
    fn errors_of_a_writer_keep_their_file_and_kind() {
        let full = located(Path::new("out/capture.pcapng"), ErrorKind::StorageFull.into());
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        let error = OutputError::new(Path::new("elsewhere"), full);
        assert!(matches!(error, OutputError::DiskFull { .. }));
        assert!(error.to_string().starts_with("no space left to write out/capture.pcapng: free some"));
    }

    #[test]
    #[should_panic(expected = "every file is finished")]
    fn an_unfinished_file_is_a_bug() {
        let scratch = scratch();
        let mut folder = OutputFolder::create(&scratch.path().join("out")).expect("it can be created");
        let _file = folder.file("capture.pcapng").expect("the disk has room");
        let _ = folder.commit();
    }
}
