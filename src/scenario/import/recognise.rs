//! What a text is, by its content.

use super::{assets, knative, observed, rest, terraform};
use crate::scenario::tree::Node;

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// YAML or JSON.
    Tree,
    /// JSON Lines.
    Lines,
    /// Terraform's configuration language.
    Hcl,
    /// Values of Terraform variables (`.tfvars`).
    Variables,
    /// A shell script.
    Script,
    /// Markdown with commands in fenced blocks.
    Markdown,
}

/// What a text or one of its documents is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Format {
    /// What `gcloud … describe`, `… list` and the REST APIs give.
    Rest,
    /// Cloud Asset Inventory.
    Assets,
    /// Knative manifests of Cloud Run.
    Knative,
    /// NAT mapping info, router status: what was observed.
    Observed,
    /// `terraform show -json` of a plan.
    Plan,
    /// `terraform show -json` of a state.
    State,
    /// `terraform.tfstate`.
    RawState,
    /// Terraform configuration.
    Hcl,
    /// Terraform variables.
    Variables,
    /// gcloud commands.
    Script,
    /// gcloud commands in Markdown.
    Markdown,
}

impl Format {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Format::Rest => "gcloud or REST",
            Format::Assets => "Cloud Asset Inventory",
            Format::Knative => "Knative",
            Format::Observed => "observed state",
            Format::Plan => "Terraform plan",
            Format::State | Format::RawState => "Terraform state",
            Format::Hcl => "Terraform configuration",
            Format::Variables => "Terraform variables",
            Format::Script => "gcloud commands",
            Format::Markdown => "gcloud commands in Markdown",
        }
    }
}

/// How a text is written.
pub(crate) fn form(text: &str) -> Form {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['{', '[']) {
        return if is_json_lines(text) { Form::Lines } else { Form::Tree };
    }
    let mut commands = false;
    let mut fences = false;
    let mut assignments = 0;
    let mut others = 0;
    // Whether the first line that says anything looks like YAML.
    let mut yaml = None;
    let mut comment = false;
    for line in text.lines() {
        let line = line.trim_end();
        let trimmed = line.trim_start();
        if comment || trimmed.starts_with("/*") {
            comment = !trimmed.ends_with("*/");
            continue;
        }
        if trimmed.is_empty() || trimmed.starts_with('#') || trimmed.starts_with("//") {
            continue;
        }
        if is_block_header(line) && yaml != Some(true) {
            return Form::Hcl;
        }
        commands |= is_gcloud(trimmed);
        fences |= trimmed.starts_with("```") || trimmed.starts_with("~~~");
        yaml.get_or_insert_with(|| looks_like_yaml(line));
        if is_assignment(line) {
            assignments += 1;
        } else if !line.starts_with([' ', '\t', ']', '}', ')']) {
            others += 1;
        }
    }
    match () {
        () if commands && fences => Form::Markdown,
        () if commands && yaml != Some(true) => Form::Script,
        () if assignments > 0 && others == 0 => Form::Variables,
        () => Form::Tree,
    }
}

/// Whether the first line is a JSON object and others follow.
fn is_json_lines(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let (Some(first), Some(second)) = (lines.next(), lines.next()) else { return false };
    second.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok()
}

/// `resource "google_compute_network" "vpc" {` and its like.
fn is_block_header(line: &str) -> bool {
    const BLOCKS: [&str; 12] = [
        "resource",
        "data",
        "module",
        "variable",
        "output",
        "locals",
        "provider",
        "terraform",
        "import",
        "moved",
        "removed",
        "check",
    ];
    let word = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
    let rest = line[word.len()..].trim_start();
    BLOCKS.contains(&word) && rest.contains('{') && rest.starts_with(['"', '{'])
}

/// A command, perhaps behind a prompt, in a list of commands, or with its output taken.
fn is_gcloud(line: &str) -> bool {
    line.match_indices("gcloud").any(|(at, word)| {
        let begins = at == 0 || line[..at].ends_with([' ', '\t', ';', '&', '|', '(', '`', '!']);
        begins && line[at + word.len()..].starts_with([' ', '\t'])
    })
}

/// `key: value`, `- item` or `---`.
fn looks_like_yaml(line: &str) -> bool {
    let key = line.split_once(':').is_some_and(|(key, rest)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-./\"'".contains(c);
        !key.is_empty() && key.chars().all(plain) && (rest.is_empty() || rest.starts_with(' '))
    });
    key || line.starts_with("- ") || line.starts_with("---")
}

/// `name = …` at the beginning of a line.
fn is_assignment(line: &str) -> bool {
    let Some((name, value)) = line.split_once('=') else { return false };
    let name = name.trim_end();
    let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    // Files of environment variables have no space there, and others have other quotes.
    let spaced = line[..line.len() - value.len() - 1].ends_with([' ', '\t']) || value.starts_with([' ', '\t']);
    let value = value.trim_start();
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    word && begins && spaced && !value.starts_with(['=', '\''])
}

/// Which format a document of YAML or JSON has, if it is not a scenario.
pub(crate) fn recognise(node: &Node) -> Option<Format> {
    if assets::claims(node) {
        return Some(Format::Assets);
    }
    if let Some(format) = terraform::claims(node) {
        return Some(format);
    }
    if knative::claims(node) {
        return Some(Format::Knative);
    }
    if observed::claims(node) {
        return Some(Format::Observed);
    }
    rest::claims(node).then_some(Format::Rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_known_by_its_content() {
        let cases = [
            ("networks: [{name: vpc}]\n", Form::Tree),
            ("{\"kind\": \"compute#router\",\n \"name\": \"r\"}", Form::Tree),
            ("[{}]", Form::Tree),
            ("{\"asset_type\": \"x\"}\n{\"asset_type\": \"y\"}\n", Form::Lines),
            ("{a: 1}\n", Form::Tree),
            ("# network\nresource \"google_compute_network\" \"vpc\" {\n  name = \"vpc\"\n}\n", Form::Hcl),
            ("/* x\n * y\n */\nlocals {\n  a = 1\n}\n", Form::Hcl),
            ("variable \"region\" {}\n", Form::Hcl),
            ("region = \"us-central1\"\nports = [\n  1,\n]\n", Form::Variables),
            ("#!/bin/sh\nset -e\nREGION=us-central1\ngcloud compute networks create vpc\n", Form::Script),
            ("# Guide\n\nText.\n\n```bash\ngcloud run deploy api\n```\n", Form::Markdown),
            ("steps:\n- entrypoint: bash\n  args:\n  - |\n    gcloud run deploy api\n", Form::Tree),
            ("apiVersion: serving.knative.dev/v1\nkind: Service\n", Form::Tree),
            ("for n in a b; do gcloud compute networks create $n; done\n", Form::Script),
            ("yes | gcloud run services delete api\n", Form::Script),
            ("CLOUDSDK_CORE_PROJECT=p gcloud run deploy api\n", Form::Script),
            ("DB_PASSWORD=x\n", Form::Tree),
            ("SECRET_KEY = 'x'\n", Form::Tree),
            ("", Form::Tree),
        ];
        for (text, expected) in cases {
            assert_eq!(form(text), expected, "{text}");
        }
    }
}
