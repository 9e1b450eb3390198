//! From files to a [`Scenario`]: reads, includes, merges, decodes, resolves.
//!
//! A scenario is one file, a folder of files, or a text. Lists of several files are concatenated, mappings merged; a
//! single value that two files give differently is an error that shows both places. What is no scenario but configuration
//! that [`import`] knows becomes a part of one. Nothing here prints: what is wrong comes back as [`Diagnostics`].

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Scenario;
use super::decode::{Decoder, Findings};
use super::diagnostic::{Diagnostic, Diagnostics, FileId, Place, Sources};
use super::file::{ScenarioFile, TOP_LEVEL_KEYS};
use super::import::{self, Form, Import, Imported};
use super::resolve::resolve;
use super::tree::{self, Entry, Node, Value};
use super::value::At;

/// Where a scenario comes from.
pub enum Source<'a> {
    /// A file, or a folder whose files are merged in the order of their names: YAML, JSON, Terraform, shell scripts.
    Path(&'a Path),
    /// Files and folders with configuration of any kind; of a folder every file that is not hidden. `-` is the reader.
    Import(&'a [PathBuf], &'a mut dyn Read),
    /// A stream, such as standard input.
    Reader(&'a mut dyn Read),
    /// A text with the name it is shown under.
    Text {
        /// Such as `guide.yaml`.
        name: &'a str,
        /// The text.
        text: &'a str,
    },
}

/// Which files of a folder form a scenario, by the ends of their names.
const READ_OF_FOLDERS: &[&str] = &["yaml", "yml", "json", "jsonl", "tf", "tfvars", "tfstate", "sh"];

/// What came of loading a scenario.
#[derive(Debug)]
pub struct Loaded {
    /// The merged scenario as typed; what could not be read is left out.
    pub file: ScenarioFile,
    /// The checked scenario, unless there are errors.
    pub scenario: Option<Scenario>,
    /// All errors, warnings and notes, sorted.
    pub diagnostics: Diagnostics,
    /// The texts that the diagnostics point into.
    pub sources: Sources,
    /// What was read that is no scenario.
    pub imported: Imported,
}

/// Loads a scenario. Never fails: errors are among the [`Loaded::diagnostics`].
///
/// ```
/// use egressim::scenario::load::{Source, load};
///
/// let text = "networks: [{name: vpc}]\nservices: [{name: api}]\n";
/// let loaded = load(Source::Text { name: "small.yaml", text });
/// assert_eq!(loaded.scenario.expect("no errors").workloads[0].name, "api");
/// ```
pub fn load(source: Source<'_>) -> Loaded {
    let mut loader = Loader::default();
    let name = match source {
        Source::Path(path) => {
            loader.path(path);
            path.file_stem().map(|stem| stem.to_string_lossy().into_owned())
        }
        Source::Import(paths, reader) => {
            loader.importing = true;
            for path in paths {
                if path == Path::new("-") {
                    loader.reader(reader);
                } else {
                    loader.path(path);
                }
            }
            Some("imported".into())
        }
        Source::Reader(reader) => {
            loader.reader(reader);
            None
        }
        Source::Text { name, text } => {
            let file = loader.import.sources.add(name, text);
            loader.text(file, None);
            Path::new(name).file_stem().map(|stem| stem.to_string_lossy().into_owned())
        }
    };
    loader.finish(name.unwrap_or_else(|| "scenario".into()))
}

/// Checks a file that was changed since it was [loaded](Loaded::file), as if it had been written so: the scenario, unless
/// there are errors, and all findings. They point into `sources`, which are [those of the load](Loaded::sources).
pub fn check(file: &ScenarioFile, sources: &Sources) -> (Option<Scenario>, Diagnostics) {
    let (scenario, mut diagnostics) = resolve(file, sources, Vec::new(), Vec::new(), true);
    diagnostics.sort();
    (scenario.filter(|_| !diagnostics.has_errors()), diagnostics)
}

#[derive(Default)]
struct Loader {
    /// The texts, what is wrong with them, and what is not written as a scenario.
    import: Import,
    /// Anything may be configuration: what is no scenario is not refused for that.
    importing: bool,
    /// The merged top level.
    merged: Vec<Entry>,
    /// Files being read, outermost first: an include of one of them is a cycle.
    open: Vec<PathBuf>,
    /// Files read: each counts once, however often it is included.
    done: HashSet<PathBuf>,
}

impl Loader {
    fn path(&mut self, path: &Path) {
        if !path.is_dir() {
            return self.file(path, None);
        }
        let importing = self.importing;
        let wanted = |path: &PathBuf| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            let spare = name.starts_with(b".") || name.ends_with(b"~") || extension == Some("backup");
            let known = importing || extension.is_some_and(|extension| READ_OF_FOLDERS.contains(&extension));
            known && !spare && path.is_file()
        };
        let mut paths = match std::fs::read_dir(path) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).filter(wanted).collect::<Vec<_>>(),
            Err(error) => return self.unreadable(path, &error, None),
        };
        paths.sort();
        let folders = folders_in(path);
        if paths.is_empty() {
            let what =
                if importing { "file".into() } else { format!("file of the kinds {}", READ_OF_FOLDERS.join(", ")) };
            let message = format!("the folder {} holds no {what}", path.display());
            let mut finding = Diagnostic::unusable("empty", message);
            if let Some(folder) = folders.first() {
                finding = finding.help(format!("folders in it are not read: name them, such as {}", folder.display()));
            }
            self.import.report.push(finding);
        } else if importing {
            self.import.folders.extend(folders);
        }
        for path in paths {
            self.file(&path, None);
        }
    }

    /// Reads a file, by an include if `by` is given.
    fn file(&mut self, path: &Path, by: Option<Place>) {
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if self.open.contains(&identity) {
            let message = format!("{} includes itself", path.display());
            self.import.report.push(
                Diagnostic::unusable("include-cycle", message)
                    .at(by.unwrap_or(Place::NOWHERE))
                    .help("remove one include of the circle"),
            );
            return;
        }
        if !self.done.insert(identity.clone()) {
            return;
        }
        match read_bounded(path) {
            Ok(bytes) => {
                self.open.push(identity);
                let file = self.bytes(path.display().to_string(), bytes);
                if let Some(file) = file {
                    self.text(file, Some(path));
                }
                self.open.pop();
            }
            Err(error) => self.unreadable(path, &error, by),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error, by: Option<Place>) {
        let message = format!("cannot read {}: {error}", path.display());
        self.import.report.push(Diagnostic::unusable("unreadable", message).at(by.unwrap_or(Place::NOWHERE)));
    }

    fn reader(&mut self, reader: &mut dyn Read) {
        let mut bytes = Vec::new();
        if let Err(error) = reader.take(tree::MAX_BYTES as u64 + 1).read_to_end(&mut bytes) {
            let message = format!("cannot read standard input: {error}");
            self.import.report.push(Diagnostic::unusable("unreadable", message));
            return;
        }
        if let Some(file) = self.bytes("<stdin>".into(), bytes) {
            self.text(file, None);
        }
    }

    fn bytes(&mut self, name: String, bytes: Vec<u8>) -> Option<FileId> {
        if bytes.len() > tree::MAX_BYTES {
            let message = format!("{name} has more than {} bytes, which is the most that is read", tree::MAX_BYTES);
            let help = "leave out what is not about networks: `gcloud asset export --asset-types=…`";
            self.import.report.push(Diagnostic::unusable("too-large", message).help(help));
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) => Some(self.import.sources.add(name, text)),
            Err(error) => {
                // Up to the first wrong byte the text is the same, so the place is right.
                let at = error.utf8_error().valid_up_to() as u32;
                let file = self.import.sources.add(name, String::from_utf8_lossy(error.as_bytes()));
                let message = format!("byte {at} is not UTF-8");
                let place = Place { file, start: at, end: at + 1 };
                self.import.report.push(Diagnostic::unusable("not-utf-8", message).at(place));
                None
            }
        }
    }

    /// Parses a text and merges it in, then what it includes.
    fn text(&mut self, file: FileId, path: Option<&Path>) {
        let form = import::form(self.import.sources.text(file));
        let Import { sources, report, .. } = &mut self.import;
        let documents = match form {
            Form::Tree => match tree::parse_all(sources.text(file), file, report) {
                Ok(documents) => documents,
                Err(diagnostic) => {
                    report.push(*diagnostic);
                    return import::secrets::hide_unparsed(file, sources);
                }
            },
            Form::Lines => tree::parse_lines(sources.text(file), file, report),
            form => return self.import.text(form, file, path),
        };
        let mut scenarios = Vec::new();
        let mut imported = false;
        for document in documents {
            match import::recognise(&document) {
                Some(format) => {
                    imported = true;
                    self.import.document(format, file, path, document);
                }
                None => scenarios.push(document),
            }
        }
        if imported || self.importing {
            scenarios.retain(|document| !document.is_null());
        }
        let mut scenarios = scenarios.into_iter();
        match (scenarios.next(), scenarios.next()) {
            (None, _) if imported => {}
            (None, _) if self.importing => self.import.skip("empty files", import::start_of(file)),
            (None, _) => {
                let place = import::start_of(file);
                self.import.report.push(Diagnostic::unusable("empty", "the file is empty").at(place));
            }
            (Some(document), None) => self.document(document, path),
            (Some(_), Some(second)) => self.import.report.push(tree::many_documents(second.place)),
        }
    }

    /// Merges a scenario in, then what it includes.
    fn document(&mut self, root: Node, path: Option<&Path>) {
        let place = root.place;
        let entries = match root {
            Node { value: Value::Mapping(entries), .. } => entries,
            node if node.is_null() => {
                return self.import.report.push(Diagnostic::unusable("empty", "the file is empty").at(place));
            }
            node if self.importing => return self.not_recognised(&node),
            node => {
                let message = format!("found {}, expected a scenario: a mapping", node.describe());
                let help = if matches!(node.value, Value::Sequence(_)) {
                    "put a list under its key, such as `routers:`"
                } else {
                    "a scenario has keys such as `networks:` and `services:`"
                };
                let diagnostic = Diagnostic::unusable("not-a-scenario", message).at(place).help(help);
                return self.import.report.push(diagnostic);
            }
        };
        let of_scenario = |entry: &Entry| TOP_LEVEL_KEYS.contains(&&*entry.key.name) && &*entry.key.name != "name";
        if self.importing && !entries.iter().any(of_scenario) {
            return self.not_recognised(&Node { place, ..Node::from(entries) });
        }
        let (includes, mut entries): (Vec<_>, Vec<_>) =
            entries.into_iter().partition(|entry| &*entry.key.name == "include");
        // What `gcloud compute networks get-effective-firewalls` prints is a part of a scenario but for this.
        for entry in entries.iter_mut().filter(|entry| &*entry.key.name == "firewallPolicys") {
            entry.key.name = "firewallPolicies".into();
        }
        merge(&mut self.merged, entries, &mut self.import.report);
        for include in includes {
            self.includes(include.value, path);
        }
    }

    fn includes(&mut self, node: Node, by: Option<&Path>) {
        let patterns = match node.value {
            Value::Sequence(items) => items,
            Value::Scalar(_) if node.is_null() => return,
            Value::Scalar(_) => vec![node],
            Value::Mapping(_) => {
                let message = "found a mapping, expected a list of files or globs";
                return self.import.report.push(Diagnostic::unusable("wrong-type", message).at(node.place));
            }
        };
        for pattern in patterns {
            let place = pattern.place;
            let Some(text) = pattern.text().filter(|text| !text.is_empty()) else {
                let message = format!("found {}, expected a file or a glob", pattern.describe());
                self.import.report.push(Diagnostic::unusable("wrong-type", message).at(place));
                continue;
            };
            let Some(base) = by else {
                let message = format!("`{text}` is relative to a file, and this scenario is not one");
                self.import.report.push(Diagnostic::unusable("include-not-found", message).at(place));
                continue;
            };
            let folder = base.parent().unwrap_or(Path::new(""));
            let full = Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(text);
            let paths = match glob::glob(&full.to_string_lossy()) {
                Ok(paths) => paths.filter_map(Result::ok).filter(|path| path.is_file()).collect::<Vec<_>>(),
                Err(error) => {
                    let message = format!("`{text}` is not a glob: {}", error.msg);
                    self.import.report.push(Diagnostic::unusable("include-not-found", message).at(place));
                    continue;
                }
            };
            if paths.is_empty() {
                let message = format!(
                    "no file matches `{text}` in {}",
                    if folder == Path::new("") { Path::new(".") } else { folder }.display()
                );
                self.import.report.push(Diagnostic::unusable("include-not-found", message).at(place));
            }
            // A glob may match the file it stands in.
            let glob = text.contains(['*', '?', '[']);
            let open = self.open.clone();
            for path in paths {
                if glob && path.canonicalize().is_ok_and(|path| open.contains(&path)) {
                    continue;
                }
                self.file(&path, Some(place));
            }
        }
    }

    /// A document that is neither a scenario nor configuration of a known format.
    fn not_recognised(&mut self, node: &Node) {
        let keys: Vec<String> = node.entries().iter().take(5).map(|entry| format!("`{}`", entry.key.name)).collect();
        let found = if keys.is_empty() { node.describe() } else { format!("a mapping with {}", keys.join(", ")) };
        let message = format!("nothing here is about networks or Cloud Run: found {found}");
        let place = Place { end: node.place.start, ..node.place };
        self.import.report.push(Diagnostic::note("not-recognised", message).at(place));
    }

    fn finish(mut self, name: String) -> Loaded {
        self.import.complete();
        let Loader { mut import, mut merged, .. } = self;
        let entries = import.entries(&mut merged);
        let imported = import.told();
        let Import { sources, mut report, exported, .. } = import;
        merge(&mut merged, entries, &mut report);
        let decoder = Decoder::with_exported(exported);
        let (mut file, lost_items) = ScenarioFile::decode(&merged, &decoder);
        file.name.get_or_insert_with(|| At::from(name));
        let Findings { diagnostics: decoding, lost_fields } = decoder.finish();
        let mut diagnostics = Diagnostics::default();
        // A file that could not be read at all would make every reference into it an error.
        let incomplete =
            report.iter().any(|diagnostic| diagnostic.code != "duplicate-key" && diagnostic.severity.is_error());
        diagnostics.extend(report);
        diagnostics.extend(decoding);
        let mut scenario = None;
        if !incomplete {
            let (resolved, findings) = resolve(&file, &sources, lost_items, lost_fields, !diagnostics.has_errors());
            diagnostics.extend(findings);
            scenario = resolved.filter(|_| !diagnostics.has_errors());
        }
        diagnostics.sort();
        Loaded { file, scenario, diagnostics, sources, imported }
    }
}

/// Folders in a folder, without hidden ones.
fn folders_in(path: &Path) -> Vec<PathBuf> {
    let hidden = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let entries = std::fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders: Vec<PathBuf> = entries.filter(|path| path.is_dir() && !hidden(path)).collect();
    folders.sort();
    folders
}

/// Reads a file, but not much more than may be read of it.
fn read_bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(tree::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Adds the entries of another file: lists are concatenated, mappings merged.
fn merge(into: &mut Vec<Entry>, from: Vec<Entry>, report: &mut Vec<Diagnostic>) {
    for entry in from {
        let Some(existing) = into.iter_mut().find(|existing| existing.key.name == entry.key.name) else {
            into.push(entry);
            continue;
        };
        if existing.value.is_null() {
            *existing = entry;
            continue;
        }
        match (&mut existing.value.value, entry.value.value) {
            (Value::Sequence(items), Value::Sequence(more)) => items.extend(more),
            (Value::Mapping(entries), Value::Mapping(more)) => merge(entries, more, report),
            (_, Value::Scalar(scalar)) if scalar.is_null() => {}
            (Value::Scalar(one), Value::Scalar(other)) if one.text == other.text => {}
            _ => report.push(
                Diagnostic::unusable("duplicate-key", format!("`{}` is given by two files", entry.key.name))
                    .at(entry.key.place)
                    .related(existing.key.place, "also given here")
                    .help("keep one of the two"),
            ),
        }
    }
}
