//! Whole configurations, evaluated to blocks.

use std::fmt::Write as _;
use std::path::Path;

use super::super::Block;
use super::{blocks, blocks_of};
use crate::scenario::import::{Form, Import};
use crate::scenario::tree::{Node, Value};

mod data;
mod expressions;
mod hostile;
mod modules;
mod repeated;
mod resources;
mod secrets;
mod variables;

/// What came of a configuration.
pub(super) struct Evaluated {
    pub import: Import,
    pub blocks: Vec<Block>,
}

impl Evaluated {
    /// A line for each block: `address {body}`, and one for each attribute that is not known.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            let _ = writeln!(out, "{} {}", block.address, json(&block.body));
            for unknown in &block.unknown {
                let _ = writeln!(out, "  {}: {}", unknown.path, unknown.why);
            }
        }
        out
    }

    /// The findings, one a line, without folders.
    pub fn report(&self) -> String {
        let mut out = String::new();
        for diagnostic in &self.import.report {
            let summary = diagnostic.summary(&self.import.sources);
            let at = summary.find(": ").map_or(0, |colon| summary[..colon].rfind('/').map_or(0, |slash| slash + 1));
            let _ = writeln!(out, "{}", &summary[at..]);
        }
        out
    }

    /// The body of a block.
    pub fn body(&self, address: &str) -> String {
        let block = self.blocks.iter().find(|block| block.address == address);
        block.map_or_else(|| format!("no {address} in\n{}", self.text()), |block| json(&block.body))
    }

    /// What the text has at a node's place.
    pub fn source(&self, node: &Node) -> &str {
        &self.import.sources.text(node.place.file)[node.place.start as usize..node.place.end as usize]
    }
}

pub(super) fn json(node: &Node) -> String {
    fn value(node: &Node) -> serde_json::Value {
        match &node.value {
            Value::Scalar(scalar) => (*scalar.text).into(),
            Value::Sequence(items) => items.iter().map(value).collect(),
            Value::Mapping(entries) => {
                let entries = entries.iter().map(|entry| (entry.key.name.to_string(), value(&entry.value)));
                serde_json::Value::Object(entries.collect())
            }
        }
    }
    value(node).to_string()
}

/// Evaluates one text that is in no folder.
pub(super) fn one(text: &str) -> Evaluated {
    let mut import = Import::default();
    let file = import.sources.add("main.tf", text);
    import.text(Form::Hcl, file, None);
    complete(import)
}

/// Evaluates some of the files of a folder.
pub(super) fn folder(files: &[(&str, &str)], given: &[&str]) -> Evaluated {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }
    let paths: Vec<_> = given.iter().map(|name| folder.path().join(name)).collect();
    read(&paths.iter().map(AsRef::as_ref).collect::<Vec<_>>())
}

/// Evaluates files.
pub(super) fn read(paths: &[&Path]) -> Evaluated {
    let mut import = Import::default();
    for path in paths {
        let text = std::fs::read_to_string(path).expect("the file can be read");
        let file = import.sources.add(path.display().to_string(), text);
        let form = if path.extension().is_some_and(|end| end == "tfvars") { Form::Variables } else { Form::Hcl };
        import.text(form, file, Some(path));
    }
    complete(import)
}

fn complete(mut import: Import) -> Evaluated {
    let modules = std::mem::take(&mut import.modules);
    let blocks = blocks_of(&mut import, modules, |_| true);
    Evaluated { import, blocks }
}
