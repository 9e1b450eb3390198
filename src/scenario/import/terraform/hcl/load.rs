//! Which folders are modules, and what stands in them.
//!
//! The files that were given are parsed first, then the local modules that they call, and the variables files that
//! Terraform loads by itself. All of it is read before anything is evaluated: the source of a module is a literal.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Block, Body};

use super::{Modules, place};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::import::{Format, Import, start_of};
use crate::scenario::tree;

/// The deepest chain of modules that call each other.
pub(super) const MAX_DEPTH: usize = 20;
/// The most files that modules make the import read.
const MAX_FILES: usize = 1_000;

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub folders: Vec<Folder>,
    /// Folders to evaluate, with the variables that they are given.
    pub roots: Vec<Root>,
}

/// One module's configuration.
#[derive(Debug)]
pub(super) struct Folder {
    /// Where it is; nothing for a stream.
    pub path: Option<PathBuf>,
    pub files: Vec<(FileId, Body)>,
    /// By the place of the call's source, the folder that it names.
    pub calls: HashMap<(FileId, usize), usize>,
}

/// A module that nobody calls.
#[derive(Debug)]
pub(super) struct Root {
    pub folder: usize,
    /// Variables files; the later one wins.
    pub values: Vec<Values>,
}

/// A file with values of variables.
#[derive(Debug)]
pub(super) enum Values {
    Hcl(FileId, Body),
    Json(FileId, serde_json::Map<String, serde_json::Value>),
}

/// Reads what an import has collected.
pub(super) fn load(import: &mut Import, modules: Modules) -> Loaded {
    let mut loader = Loader {
        import,
        loaded: Loaded::default(),
        by_path: HashMap::new(),
        open: Vec::new(),
        done: HashSet::new(),
        files: 0,
    };
    let mut variables = Vec::new();
    for (path, file, format) in modules.files {
        let path = path.map(|path| identity(&path));
        let Some(body) = loader.parse(file) else { continue };
        match format {
            Format::Variables => variables.push((path, file, body)),
            _ => {
                let folder = loader.folder(path);
                loader.loaded.folders[folder].files.push((file, body));
            }
        }
    }
    let given = loader.loaded.folders.len();
    let mut called = HashSet::new();
    for folder in 0..given {
        loader.calls(folder, &mut called);
    }
    let mut roots: Vec<usize> = (0..given).filter(|folder| !called.contains(folder)).collect();
    if roots.is_empty() {
        // Modules that call each other in a circle: reported, and one of them is as good as another.
        roots.extend((given > 0).then_some(0));
    }
    for folder in roots {
        loader.loaded.roots.push(Root { folder, values: Vec::new() });
    }
    loader.variables(variables);
    loader.loaded
}

struct Loader<'a> {
    import: &'a mut Import,
    loaded: Loaded,
    by_path: HashMap<Option<PathBuf>, usize>,
    /// Folders whose calls are being followed, outermost first.
    open: Vec<usize>,
    /// Folders whose calls have been followed.
    done: HashSet<usize>,
    /// How many files modules have made us read.
    files: usize,
}

impl Loader<'_> {
    fn folder(&mut self, path: Option<PathBuf>) -> usize {
        *self.by_path.entry(path.clone()).or_insert_with(|| {
            self.loaded.folders.push(Folder { path, files: Vec::new(), calls: HashMap::new() });
            self.loaded.folders.len() - 1
        })
    }

    fn parse(&mut self, file: FileId) -> Option<Body> {
        let text = self.import.sources.text(file);
        // A byte order mark is not part of the language; spaces keep the offsets right.
        let spaces = text.strip_prefix('\u{feff}').map(|rest| format!("   {rest}"));
        // The parser bounds how deeply things are nested.
        match hcl_edit::parser::parse_body(spaces.as_deref().unwrap_or(text)) {
            Ok(body) => Some(body),
            Err(error) => {
                let start = error.location().offset().min(text.len()) as u32;
                let at = Place { file, start, end: (start + 1).min(text.len() as u32).max(start) };
                let message = format!("this is not Terraform configuration: {}", error.message());
                self.import.push(Diagnostic::unusable("syntax", message).at(at));
                None
            }
        }
    }

    /// Follows the local modules that a folder calls.
    fn calls(&mut self, folder: usize, called: &mut HashSet<usize>) {
        if !self.done.insert(folder) {
            return;
        }
        self.open.push(folder);
        for (file, offset, source, at) in self.sources(folder) {
            let Some(base) = self.loaded.folders[folder].path.clone() else {
                let message = format!("`{source}` is relative to a folder, and this text is in none");
                self.import.push(Diagnostic::warning("module-not-read", message).at(at));
                continue;
            };
            let path = identity(&base.join(&source));
            let fresh = !self.by_path.contains_key(&Some(path.clone()));
            if fresh && !self.read(&path, &source, at) {
                continue;
            }
            let Some(&callee) = self.by_path.get(&Some(path)) else { continue };
            if self.open.contains(&callee) {
                let message = format!("the module `{source}` calls itself, directly or through others");
                let help = "remove one call of the circle";
                self.import.push(Diagnostic::unusable("terraform-cycle", message).at(at).help(help));
                called.insert(callee);
                continue;
            }
            if self.open.len() >= MAX_DEPTH {
                let message = format!("modules call each other more than {MAX_DEPTH} levels deep");
                self.import.push(Diagnostic::unusable("too-deep", message).at(at));
                continue;
            }
            called.insert(callee);
            self.loaded.folders[folder].calls.insert((file, offset), callee);
            self.calls(callee, called);
        }
        self.open.pop();
    }

    /// The local sources that a folder's modules have: file, offset of the block, source, place.
    fn sources(&self, folder: usize) -> Vec<(FileId, usize, String, Place)> {
        let mut found = Vec::new();
        for (file, body) in &self.loaded.folders[folder].files {
            for block in body.blocks().filter(|block| block.has_ident("module")) {
                if let Some((source, at)) = source(*file, block)
                    && is_local(source)
                {
                    found.push((*file, start(block), source.to_owned(), at));
                }
            }
        }
        found
    }

    /// Reads the configuration of a module's folder.
    fn read(&mut self, path: &Path, source: &str, by: Place) -> bool {
        let files = list(path, |name| name.ends_with(".tf") && !is_override(name));
        if files.is_empty() {
            let message = format!("there is no Terraform configuration in `{source}`");
            self.import.push(
                Diagnostic::warning("module-not-read", message)
                    .at(by)
                    .help("import the folder that holds the module too, or a plan: `terraform show -json PLAN`"),
            );
            return false;
        }
        let folder = self.folder(Some(path.to_owned()));
        for file in files {
            if self.files >= MAX_FILES {
                let message = format!("modules have more than {MAX_FILES} files, which is the most that is read");
                self.import.push(Diagnostic::unusable("too-large", message).at(by));
                return false;
            }
            self.files += 1;
            let Some(id) = self.file(&file, by) else { continue };
            self.import.read.push((id, Format::Hcl));
            if let Some(body) = self.parse(id) {
                self.loaded.folders[folder].files.push((id, body));
            }
        }
        true
    }

    fn file(&mut self, path: &Path, by: Place) -> Option<FileId> {
        let mut bytes = Vec::new();
        let read = std::fs::File::open(path)
            .and_then(|file| file.take(tree::MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map(|_| ()));
        let name = shown(path);
        let problem = match read {
            Err(error) => Some(format!("cannot read {name}: {error}")),
            Ok(()) if bytes.len() > tree::MAX_BYTES => {
                Some(format!("{name} has more than {} bytes, which is the most that is read", tree::MAX_BYTES))
            }
            Ok(()) => None,
        };
        let text = match problem {
            Some(problem) => Err(problem),
            None => String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8")),
        };
        match text {
            Ok(text) => {
                let file = self.import.sources.add(name, text);
                self.import.paths.insert(file, path.to_owned());
                Some(file)
            }
            Err(message) => {
                self.import.push(Diagnostic::unusable("unreadable", message).at(by));
                None
            }
        }
    }

    /// Gives the root modules their variables files: those that Terraform loads by itself, then all others.
    fn variables(&mut self, given: Vec<(Option<PathBuf>, FileId, Body)>) {
        let mut automatic: Vec<(usize, String, Values)> = Vec::new();
        let mut named = Vec::new();
        for (path, file, body) in given {
            let name = self.name(file);
            let beside = |root: &Root| path.is_some() && self.loaded.folders[root.folder].path == path;
            match self.loaded.roots.iter().position(beside) {
                Some(root) if rank(&name).is_some() => automatic.push((root, name, Values::Hcl(file, body))),
                _ => named.push((path, file, body)),
            }
        }
        for root in 0..self.loaded.roots.len() {
            let folder = &self.loaded.folders[self.loaded.roots[root].folder];
            let Some(path) = folder.path.clone() else { continue };
            let by = folder.files.first().map_or(Place::NOWHERE, |(file, _)| start_of(*file));
            for file in list(&path, |name| rank(name).is_some()) {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if automatic.iter().any(|(of, known, _)| *of == root && *known == name) {
                    continue;
                }
                let Some(id) = self.file(&file, by) else { continue };
                let values = if name.ends_with(".json") {
                    self.json(id)
                } else {
                    self.parse(id).map(|body| Values::Hcl(id, body))
                };
                if let Some(values) = values {
                    self.import.read.push((id, Format::Variables));
                    automatic.push((root, name, values));
                }
            }
        }
        automatic.sort_by_key(|(_, name, _)| (rank(name), name.clone()));
        for (root, _, values) in automatic {
            self.loaded.roots[root].values.push(values);
        }
        for (path, file, body) in named {
            if let Some(root) = self.root_of(path.as_ref(), file) {
                let message = "these values are used, though Terraform reads this file only when it is told to";
                let help = "leave the file out of the import if another one is in use: `-var-file` names it";
                self.import.push(Diagnostic::note("variables-file", message).at(start_of(file)).help(help));
                self.loaded.roots[root].values.push(Values::Hcl(file, body));
            }
        }
    }

    fn json(&mut self, file: FileId) -> Option<Values> {
        match serde_json::from_str(self.import.sources.text(file)) {
            Ok(values) => Some(Values::Json(file, values)),
            Err(error) => {
                let message = format!("this is no JSON object with values of variables: {error}");
                self.import.push(Diagnostic::unusable("syntax", message).at(start_of(file)));
                None
            }
        }
    }

    /// The root module that a variables file is for: that of its folder, or the only one.
    fn root_of(&mut self, path: Option<&PathBuf>, file: FileId) -> Option<usize> {
        let of_path = path.and_then(|path| self.by_path.get(&Some(path.clone())).copied());
        let roots = &self.loaded.roots;
        let root = of_path.and_then(|folder| roots.iter().position(|root| root.folder == folder));
        let root = root.or((roots.len() == 1 && of_path.is_none()).then_some(0));
        if root.is_none() {
            let message = match of_path {
                Some(_) => "these values are not used: Terraform reads none beside a module that others call",
                None => "these values are not used: it cannot be told which module they are for",
            };
            let help = "import them together with the folder of the one module that they are for";
            self.import.push(Diagnostic::warning("variables-file", message).at(start_of(file)).help(help));
        }
        root
    }

    fn name(&self, file: FileId) -> String {
        let path = self.import.paths.get(&file).cloned();
        let path = path.unwrap_or_else(|| PathBuf::from(self.import.sources.name(file)));
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The source of a module's block, with its place.
pub(super) fn source(file: FileId, block: &Block) -> Option<(&str, Place)> {
    let source = block.body.get_attribute("source")?;
    match &source.value {
        Expression::String(text) => Some((text.as_str(), place(file, source.value.span()))),
        _ => None,
    }
}

/// Where a block begins: what tells it from others of its file.
pub(super) fn start(block: &Block) -> usize {
    block.span().map_or(0, |span| span.start)
}

/// <https://developer.hashicorp.com/terraform/language/modules/sources#local-paths>.
pub(super) fn is_local(source: &str) -> bool {
    source.starts_with("./") || source.starts_with("../") || source == "." || source == ".."
}

/// Files that Terraform merges into others of the same module.
pub(super) fn is_override(name: &str) -> bool {
    name == "override.tf" || name.ends_with("_override.tf")
}

/// The order of the variables files that Terraform loads by itself; nothing for any other file.
/// <https://developer.hashicorp.com/terraform/language/values/variables#variable-definition-precedence>
fn rank(name: &str) -> Option<u8> {
    match name {
        "terraform.tfvars" => Some(0),
        "terraform.tfvars.json" => Some(1),
        _ => (name.ends_with(".auto.tfvars") || name.ends_with(".auto.tfvars.json")).then_some(2),
    }
}

/// One name for one folder.
fn identity(path: &Path) -> PathBuf {
    let path = if path == Path::new("") { Path::new(".") } else { path };
    path.canonicalize().unwrap_or_else(|_| {
        let mut clean = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir if clean.file_name().is_some() => {
                    clean.pop();
                }
                Component::CurDir => {}
                part => clean.push(part),
            }
        }
        clean
    })
}

/// A path as people know it: relative to where they are.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let relative = here.ok().and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    relative.as_deref().unwrap_or(path).display().to_string()
}

/// The files of a folder with a wanted name, in the order of their names.
fn list(path: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(path) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            wanted(&name) && !name.starts_with('.') && path.is_file()
        })
        .collect();
    files.sort();
    files
}
