//! What a module declares, by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::{Attribute, Block};

use super::load::{self, Folder, Loaded, is_local, is_override, source};
use super::place;
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::import::Import;

/// The declarations of one folder.
#[derive(Debug, Default)]
pub(super) struct Config<'w> {
    pub variables: HashMap<&'w str, Declared<'w>>,
    pub locals: HashMap<&'w str, (FileId, &'w Attribute)>,
    pub outputs: HashMap<&'w str, Declared<'w>>,
    /// Managed resources and data sources in the order of the texts.
    pub resources: Vec<Declaration<'w>>,
    managed: HashMap<(&'w str, &'w str), usize>,
    data: HashMap<(&'w str, &'w str), usize>,
    pub calls: Vec<Call<'w>>,
    by_call: HashMap<&'w str, usize>,
    /// `google`, `google.europe`.
    pub providers: HashMap<String, Declared<'w>>,
}

/// A block of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declared<'w> {
    pub file: FileId,
    pub block: &'w Block,
}

/// A resource or a data source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Declaration<'w> {
    pub kind: &'w str,
    pub name: &'w str,
    pub data: bool,
    pub file: FileId,
    pub block: &'w Block,
}

/// A module call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'w> {
    pub name: &'w str,
    pub file: FileId,
    pub block: &'w Block,
    /// The configuration that it calls, if that was read.
    pub config: Option<usize>,
}

impl Declared<'_> {
    pub fn place(&self) -> Place {
        place(self.file, self.block.span())
    }
}

impl<'w> Declared<'w> {
    pub fn attribute(&self, name: &str) -> Option<&'w Expression> {
        self.block.body.get_attribute(name).map(|attribute| &attribute.value)
    }
}

impl<'w> Config<'w> {
    pub fn resource(&self, data: bool, kind: &str, name: &str) -> Option<usize> {
        // The maps' keys live as long as the texts; a lookup need not.
        let map: &HashMap<(&str, &str), usize> = if data { &self.data } else { &self.managed };
        map.get(&(kind, name)).copied()
    }

    pub fn call(&self, name: &str) -> Option<usize> {
        self.by_call.get(name).copied()
    }
}

/// Indexes all folders.
pub(super) fn index<'w>(import: &mut Import, loaded: &'w Loaded) -> Vec<Config<'w>> {
    loaded.folders.iter().map(|folder| config(import, folder)).collect()
}

fn config<'w>(import: &mut Import, folder: &'w Folder) -> Config<'w> {
    let mut config = Config::default();
    for (file, body) in &folder.files {
        let file = *file;
        let name = import.sources.name(file).rsplit(['/', '\\']).next().unwrap_or_default();
        if is_override(name) {
            let message = "this override file is not merged into the module, and nothing of it is read";
            import.push(Diagnostic::warning("override-not-read", message).at(place(file, body.span())));
            continue;
        }
        for structure in body {
            let Some(block) = structure.as_block() else { continue };
            let labels: Vec<&'w str> = block.labels.iter().map(hcl_edit::structure::BlockLabel::as_str).collect();
            let declared = Declared { file, block };
            let at = place(file, block.span());
            match (block.ident.as_str(), &labels[..]) {
                ("locals", []) => {
                    for attribute in block.body.attributes() {
                        let key = place(file, attribute.key.span());
                        let earlier = |(file, other): &(FileId, &Attribute)| place(*file, other.key.span());
                        add(import, &mut config.locals, attribute.key.as_str(), (file, attribute), key, earlier);
                    }
                }
                ("variable", [name]) => {
                    add(import, &mut config.variables, *name, declared, at, Declared::place);
                }
                ("output", [name]) => {
                    add(import, &mut config.outputs, *name, declared, at, Declared::place);
                }
                ("provider", [name]) => {
                    let alias = declared.attribute("alias").and_then(Expression::as_str);
                    let key = alias.map_or_else(|| (*name).to_owned(), |alias| format!("{name}.{alias}"));
                    add(import, &mut config.providers, key, declared, at, Declared::place);
                }
                (what @ ("resource" | "data"), [kind, name]) => {
                    let data = what == "data";
                    let map = if data { &mut config.data } else { &mut config.managed };
                    let all = &config.resources;
                    let earlier = |index: &usize| place(all[*index].file, all[*index].block.span());
                    if add(import, map, (*kind, *name), config.resources.len(), at, earlier) {
                        config.resources.push(Declaration { kind, name, data, file, block });
                    }
                }
                ("module", [name]) => {
                    let callee = folder.calls.get(&(file, load::start(block))).copied();
                    let calls = &config.calls;
                    let earlier = |index: &usize| place(calls[*index].file, calls[*index].block.span());
                    if add(import, &mut config.by_call, *name, config.calls.len(), at, earlier) {
                        if callee.is_none() {
                            not_read(import, file, block, name);
                        }
                        config.calls.push(Call { name, file, block, config: callee });
                    }
                }
                _ => {}
            }
        }
    }
    config
}

/// Adds a declaration, unless there is one of this name.
fn add<K: std::hash::Hash + Eq, V>(
    import: &mut Import,
    map: &mut HashMap<K, V>,
    key: K,
    value: V,
    at: Place,
    earlier: impl FnOnce(&V) -> Place,
) -> bool {
    match map.entry(key) {
        Entry::Vacant(vacant) => {
            vacant.insert(value);
            true
        }
        Entry::Occupied(occupied) => {
            let message = "this is declared twice in one module, and Terraform refuses that";
            let diagnostic = Diagnostic::unusable("duplicate-declaration", message)
                .at(at)
                .related(earlier(occupied.get()), "the first one is here")
                .help("remove one of the two, or import folders that are modules of their own");
            import.push(diagnostic);
            false
        }
    }
}

/// Tells that a module's resources are not read. Local modules have been told of when their folder was looked for.
fn not_read(import: &mut Import, file: FileId, block: &Block, name: &str) {
    let (from, at) = match source(file, block) {
        Some((source, _)) if is_local(source) => return,
        Some((source, at)) => (format!("comes from `{source}`"), at),
        None => ("has no source that can be read".into(), place(file, block.span())),
    };
    let message =
        format!("the module `{name}` {from}: its resources are not read, and what depends on them is not known");
    let help = "import a plan, which has them: `terraform plan -out=FILE`, `terraform show -json FILE`";
    import.push(Diagnostic::warning("module-not-read", message).at(at).help(help));
}
