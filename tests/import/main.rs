//! Configuration that people already have, imported.

#[path = "../common/mod.rs"]
mod common;

mod data;
mod hostile;
mod identity;
mod program;
mod same;

use std::path::{Path, PathBuf};

use common::repository;
use egressim::scenario::Scenario;
use egressim::scenario::diagnostic::Severity;
use egressim::scenario::load::{Loaded, Source, load};

/// A file or folder of this test's own.
fn fixture(name: &str) -> PathBuf {
    repository("tests/import/same").join(name)
}

/// Imports files and folders.
fn import(paths: &[PathBuf]) -> Loaded {
    load(Source::Import(paths, &mut std::io::empty()))
}

/// Imports texts, each under its name, as files of one folder.
fn import_texts(texts: &[(&str, &str)]) -> Loaded {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in texts {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(path, text).expect("the file can be written");
    }
    import(&[folder.path().to_owned()])
}

/// The scenario of an import without errors.
#[track_caller]
fn usable(loaded: &Loaded) -> &Scenario {
    loaded
        .scenario
        .as_ref()
        .unwrap_or_else(|| panic!("expected a scenario, found\n{}", loaded.diagnostics.render(&loaded.sources, false)))
}

/// Codes of the findings that are more than notes, each with its line.
fn findings(loaded: &Loaded) -> Vec<String> {
    let told = loaded.diagnostics.iter().filter(|finding| finding.severity != Severity::Note);
    told.map(|finding| {
        let line = finding.place.and_then(|place| loaded.sources.position(place)).map(|position| position.line);
        format!("{} {}", finding.code, line.map_or("-".into(), |line| line.to_string()))
    })
    .collect()
}

/// The files below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be listed").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
