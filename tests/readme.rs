//! The README is true: its examples are run, its scenario is loaded, its table of values is compared with the program.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::{env, fs};

use assert_cmd::Command;
use clap::CommandFactory as _;
use egressim::cli::Arguments;
use egressim::scenario::load::{Source, load};
use egressim::scenario::model::Model;
use egressim::scenario::{Scenario, schema};
use egressim::simulation;
use serde_json::Value;

const README: &str = include_str!("../README.md");
/// Stands for lines of output that are left out.
const LEFT_OUT: &str = "[…]";

/// A fenced block: what follows the fence, and its lines.
struct Block {
    info: &'static str,
    lines: Vec<&'static str>,
}

fn blocks() -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for line in README.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                blocks.push(Block { info, lines: Vec::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => blocks.last_mut().expect("a block is open").lines.push(line),
            (None, false) => {}
        }
    }
    assert!(!open, "a fenced block has no end");
    blocks
}

/// The arguments of a command that runs the program.
fn arguments(command: &str) -> Vec<&str> {
    let prefixes = ["egressim ", "cargo run --release -- "];
    let arguments = prefixes.iter().find_map(|prefix| command.strip_prefix(prefix));
    arguments.unwrap_or_else(|| panic!("an example is not about egressim: {command}")).split(' ').collect()
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The quoted lines stand in the output, in the same order; between two `[…]` nothing is missing.
fn assert_quoted(quoted: &[&str], output: &str, command: &str) {
    let lines: Vec<&str> = output.lines().collect();
    let mut at = 0;
    let mut may_skip = false;
    for &line in quoted {
        if line == LEFT_OUT {
            may_skip = true;
            continue;
        }
        let found = lines[at..].iter().position(|have| *have == line);
        match found {
            Some(skipped) if skipped == 0 || may_skip => at += skipped + 1,
            _ => panic!("`{command}` does not print this line here: {line:?}\nit prints:\n{output}"),
        }
        may_skip = false;
    }
    assert!(may_skip || at == lines.len(), "`{command}` prints more than is quoted:\n{output}");
}

#[test]
fn the_examples_print_what_they_are_said_to_print() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    for name in ["pcaps", "scenarios", "tests/import/same"] {
        copy_folder(&root.join(name), &folder.path().join(name));
    }
    let mut examples = 0;
    for block in blocks().iter().filter(|block| block.info.starts_with("console")) {
        let (command, quoted) = block.lines.split_first().expect("an example has a command");
        let command = command.strip_prefix("$ ").expect("an example begins with a prompt");
        let status = if block.info == "console exit-1" { 1 } else { 0 };
        let (command, file) = command.split_once(" > ").map_or((command, None), |(run, file)| (run, Some(file)));
        let run = Command::new(env!("CARGO_BIN_EXE_egressim"))
            .args(arguments(command))
            .current_dir(&folder)
            .assert()
            .code(status);
        match file {
            Some(file) => fs::write(folder.path().join(file), &run.get_output().stdout).unwrap(),
            None => assert_quoted(quoted, &String::from_utf8_lossy(&run.get_output().stdout), command),
        }
        examples += 1;
    }
    assert_eq!(examples, 8);
}

/// The one-liner over the log of Cloud NAT prints the table of the guide.
#[test]
fn the_table_of_nat_logs_is_that_of_gcloud() {
    let blocks = blocks();
    let line = blocks.iter().find(|block| block.info == "bash").expect("there is a one-liner").lines.join("\n");
    let tools = ["bash", "jq", "column", "tac"];
    if tools.iter().any(|tool| std::process::Command::new(tool).arg("--version").output().is_err()) {
        println!("skipped: one of {tools:?} is not here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = ["run", "-q", "--out", "out"];
    Command::new(env!("CARGO_BIN_EXE_egressim")).args(run).current_dir(&folder).assert().success();
    let table = Command::new("bash").args(["-c", &line]).current_dir(&folder).assert().success();
    let table = String::from_utf8_lossy(&table.get_output().stdout).into_owned();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 21, "{table}");
    assert_eq!(rows[0], ["TIMESTAMP", "SRC_IP", "DEST_IP", "ALLOCATION_STATUS"]);
    assert!(rows[1..].iter().all(|row| row.len() == 4 && matches!(row[3], "OK" | "DROPPED")), "{table}");
    assert!(rows[1..].windows(2).all(|pair| pair[0][0] >= pair[1][0]), "the newest first: {table}");
}

#[test]
fn the_two_commands_that_do_everything_are_there() {
    let blocks = blocks();
    let shell = blocks.iter().find(|block| block.info == "sh").expect("there are shell commands");
    assert_eq!(shell.lines, ["cargo run --release -- run", "cargo test"]);
}

#[test]
fn every_command_that_is_named_exists() {
    let program = Arguments::command();
    for text in README.split("`egressim ").skip(1) {
        let name = text.split([' ', '`']).next().unwrap_or_default();
        assert!(program.find_subcommand(name).is_some(), "there is no command {name}");
    }
}

#[test]
fn every_file_that_is_linked_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for link in README.split("](").skip(1) {
        let target = link.split(')').next().unwrap_or_default();
        // Elsewhere, nobody looks from here.
        if target.starts_with("https://") {
            continue;
        }
        assert!(root.join(target).exists(), "{target} is linked and not there");
    }
}

fn loaded(name: &str, text: &str) -> Scenario {
    let loaded = load(Source::Text { name, text });
    let findings = loaded.diagnostics.render(&loaded.sources, false);
    assert_eq!(loaded.diagnostics.iter().count(), 0, "{findings}");
    loaded.scenario.expect("without findings there is a scenario")
}

#[test]
fn the_scenario_needs_no_correction_and_meets_its_own_expectation() {
    let blocks = blocks();
    let yaml = blocks.iter().find(|block| block.info == "yaml").expect("there is a scenario");
    let scenario = loaded("readme.yaml", &yaml.lines.join("\n"));
    let summary = simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(summary.connections.established > 100);
    assert!(!summary.expectations.is_empty() && summary.expectations.iter().all(|expectation| expectation.met));
}

/// `model.nat.rst` and its default, for each row of the table.
fn model_rows() -> Vec<(&'static str, &'static str)> {
    let rows = README.lines().filter_map(|line| {
        let (path, rest) = line.strip_prefix("| `model.")?.split_once("` | `")?;
        Some((path, rest.split('`').next()?))
    });
    rows.collect()
}

#[test]
fn the_model_values_have_the_defaults_that_the_table_gives() {
    let mut model = serde_json::json!({});
    for (path, default) in model_rows() {
        let value = path.split('.').fold(&mut model, |value, key| &mut value[key]);
        *value = serde_json::from_str(default).unwrap_or_else(|_| default.into());
    }
    let text = serde_json::json!({ "model": model }).to_string();
    assert_eq!(loaded("table.json", &text).model, Model::default());
}

#[test]
fn the_table_has_every_model_value() {
    let schema = schema::schema();
    let mut wanted = BTreeSet::new();
    collect(&schema, &schema["$defs"]["Model"], "", &mut wanted);
    let rows: BTreeSet<String> = model_rows().iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(rows, wanted);
}

/// The paths of all values below a definition of the schema.
fn collect(schema: &Value, definition: &Value, path: &str, paths: &mut BTreeSet<String>) {
    for (key, property) in definition["properties"].as_object().expect("a mapping has properties") {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let reference = property["anyOf"][0]["$ref"].as_str().and_then(|name| name.rsplit('/').next());
        match reference.map(|name| &schema["$defs"][name]) {
            Some(inner) if inner.get("properties").is_some() => collect(schema, inner, &path, paths),
            _ => _ = paths.insert(path),
        }
    }
}
