//! `gcloud run … replace FILE`, and other files that commands name: made by a here-document, or beside the script.

use std::io::Read as _;
use std::path::{Component, Path};

use super::arg::Arg;
use super::call::Call;
use super::project::Scope;
use super::run::forget;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::{Format, Kind, knative, secrets};
use crate::scenario::tree::{self, Node, Value, shorten};

/// The longest file that a command may name, in bytes.
const LONGEST_FILE: u64 = 4 << 20;

/// What all files that commands name may have together.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a manifest as if it had been given to the import.
pub(super) fn run(call: &mut Call<'_>) {
    let Some(file) = call.command.arguments.first() else { return };
    let default = call.project.defaults.contains_key("run/region");
    let asked = call.command.flag("region").is_some() || default;
    let region = if asked { call.region(None, "run/region") } else { None };
    for document in documents(call, file) {
        let kind = match document.get("kind").and_then(Node::text) {
            Some("Job") => Kind::Job,
            Some("WorkerPool") => Kind::WorkerPool,
            _ => Kind::Service,
        };
        if let Some(name) = document.at_path(&["metadata", "name"]).and_then(Node::text) {
            forget(call, kind, name, file.place);
        }
        let before = call.import.resources.len();
        knative::read(call.import, document);
        for mut resource in call.import.resources.split_off(before) {
            let named = resource.node.get("name").and_then(Node::text).unwrap_or("").to_owned();
            // The flag says where, unless the manifest does.
            if let Some(region) = &region
                && !named.contains('/')
                && resource.node.get("region").is_none()
                && matches!(resource.node.value, Value::Mapping(_))
            {
                let text = call.text(region);
                resource.node.put("region", text);
            }
            // Later commands change what it says.
            let of_path = |collection: &str| {
                let mut words = named.split('/').skip_while(|word| *word != collection);
                words.nth(1).map(str::to_owned)
            };
            let own = resource.node.get("region").and_then(Node::text).filter(|region| !region.contains("${"));
            let region = own.map(str::to_owned).or_else(|| of_path("locations"));
            let project = resource.project.or_else(|| of_path("projects")).or_else(|| call.project_of(None));
            let name = named.rsplit('/').next().unwrap_or("");
            let scope = Scope { project, region };
            call.project.add(resource.kind, name, scope, resource.node, file.place, true);
        }
    }
}

/// The documents of a file that a command names.
pub(super) fn documents(call: &mut Call<'_>, file: &Arg) -> Vec<Node> {
    let written = if file.text == "-" { call.around.input } else { call.around.files.get(&file.text) };
    if let Some(written) = written {
        call.project.bytes += written.text.len() as u64;
        return if call.project.bytes > MOST_BYTES { Vec::new() } else { of_script(call, written) };
    }
    if file.is_unknown() || file.text == "-" {
        let message = "which file this is cannot be known: it is not read";
        call.import.push(
            Diagnostic::warning("file-unknown", message).at(file.place).help("import the file beside the script"),
        );
        return Vec::new();
    }
    let script = call.import.paths.get(&file.place.file);
    // Only what lies beside a script or below: its text does not open other files of this machine.
    let relative = Path::new(&file.text);
    let inside = relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let Some(path) = script.and_then(|script| script.parent()).map(|folder| folder.join(relative)).filter(|_| inside)
    else {
        let message = format!("`{}` is not beside a script: it is not read", shorten(&file.text));
        call.import.push(Diagnostic::warning("file-not-read", message).at(file.place).help("import the file, too"));
        return Vec::new();
    };
    let mut bytes = Vec::new();
    // A pipe would be waited for, and what a link leads to is not what the script names.
    let plain = path.symlink_metadata().is_ok_and(|about| about.is_file());
    let open = if plain { std::fs::File::open(&path) } else { Err(std::io::ErrorKind::NotFound.into()) };
    let read = open.and_then(|file| file.take(LONGEST_FILE + 1).read_to_end(&mut bytes));
    let problem = match read {
        Err(error) => Some(error.to_string()),
        Ok(_) if bytes.len() as u64 > LONGEST_FILE => Some(format!("it has more than {LONGEST_FILE} bytes")),
        Ok(_) => None,
    };
    call.project.bytes += bytes.len() as u64;
    if call.project.bytes > MOST_BYTES {
        return Vec::new();
    }
    let text = match (problem, String::from_utf8(bytes)) {
        (None, Ok(text)) => text,
        (problem, _) => {
            let problem = problem.unwrap_or_else(|| "it is not UTF-8".into());
            let message = format!("cannot read {}: {problem}", path.display());
            let help = "put the file where the script expects it, beside it";
            call.import.push(Diagnostic::warning("unreadable", message).at(file.place).help(help));
            return Vec::new();
        }
    };
    let id = call.import.sources.add(path.display().to_string(), text);
    call.import.paths.insert(id, path);
    let import = &mut *call.import;
    match tree::parse_all(import.sources.text(id), id, &mut import.report) {
        Ok(documents) => {
            import.read.push((id, Format::Knative));
            documents.iter().for_each(|document| secrets::hide(document, &mut import.sources));
            documents
        }
        Err(diagnostic) => {
            import.report.push(*diagnostic);
            Vec::new()
        }
    }
}

/// A file that the script has written: its values stand in the script.
fn of_script(call: &mut Call<'_>, written: &Arg) -> Vec<Node> {
    let import = &mut *call.import;
    let name = format!("{} (here-document)", import.sources.name(written.place.file));
    let id = import.sources.add(name, &*written.text);
    let mut report = Vec::new();
    let parsed = tree::parse_all(&written.text, id, &mut report);
    let moved = |place: Place| {
        if place.file == id { written.place_of(place.start as usize..place.end as usize) } else { place }
    };
    let mut documents = match parsed {
        Ok(documents) => documents,
        Err(diagnostic) => {
            report.push(*diagnostic);
            Vec::new()
        }
    };
    for mut diagnostic in report {
        diagnostic.place = diagnostic.place.map(moved);
        diagnostic.related = diagnostic.related.map(|(place, label)| (moved(place), label));
        import.report.push(diagnostic);
    }
    for document in &mut documents {
        move_places(document, &moved);
        secrets::hide(document, &mut import.sources);
    }
    documents
}

/// Gives each node its place in the script. Trees are no deeper than the parser allows.
fn move_places(node: &mut Node, moved: &impl Fn(Place) -> Place) {
    node.place = moved(node.place);
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => items.iter_mut().for_each(|item| move_places(item, moved)),
        Value::Mapping(entries) => {
            for entry in entries {
                entry.key.place = moved(entry.key.place);
                move_places(&mut entry.value, moved);
            }
        }
    }
}
