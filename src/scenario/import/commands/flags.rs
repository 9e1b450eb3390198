//! A command line as gcloud's parser takes it apart: which command, which arguments, which flags.
//!
//! What gcloud would refuse before it talks to any API is refused here: flags that do not exist, values that are missing,
//! arguments too many or too few.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::arg::Arg;
use super::table::{COMMANDS, GLOBAL, SHARED};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::tree::shorten;

/// Flags whose values are names, ranges or addresses, which have no capital letters.
const FILLED: &[&str] = &[
    "network",
    "subnet",
    "region",
    "zone",
    "project",
    "range",
    "router",
    "nat",
    "vpc-connector",
    "subnet-project",
    "secondary-range",
    "nat-external-ip-pool",
    "nat-external-drain-ip-pool",
    "nat-custom-subnet-ip-ranges",
    "addresses",
    "destination-range",
    "destination-ranges",
    "source-ranges",
    "source-range",
    "target-tags",
    "source-tags",
    "tags",
    "network-tags",
    "peer-network",
    "peer-project",
    "ranges",
    "next-hop-instance",
    "next-hop-instance-zone",
    "next-hop-address",
    "next-hop-ilb",
    "next-hop-ilb-ip",
    "firewall-policy",
    "dest-ip-ranges",
    "src-ip-ranges",
    "service-account",
    "direct-vpc-network",
    "direct-vpc-subnet",
    "source-nat-active-ips",
];

/// What is known about a command.
#[derive(Debug)]
pub(super) struct Spec {
    /// `compute networks create`.
    pub path: &'static str,
    arguments: &'static str,
    /// Flags, and whether they take a value.
    flags: HashMap<&'static str, bool>,
}

/// A command line, understood.
#[derive(Debug)]
pub(super) struct Command {
    pub spec: &'static Spec,
    /// From `gcloud` to the last word of the command's name.
    pub place: Place,
    pub arguments: Vec<Arg>,
    flags: Vec<Flag>,
    /// From the beta or alpha groups.
    preview: bool,
}

/// One flag as given.
#[derive(Debug)]
pub(super) struct Flag {
    name: &'static str,
    /// The flag's name in the script.
    pub place: Place,
    pub value: Option<Arg>,
    /// Without `no-`.
    pub on: bool,
}

static SPECS: LazyLock<HashMap<&'static str, Spec>> = LazyLock::new(|| {
    let mut specs = HashMap::new();
    for (path, arguments, flags) in COMMANDS.iter().copied() {
        let mut known = HashMap::new();
        let groups = flags.split_whitespace().filter(|word| word.starts_with('@'));
        let groups = groups.filter_map(|word| SHARED.iter().find(|(name, _)| *name == word).map(|(_, flags)| *flags));
        for text in groups.chain([flags, GLOBAL]) {
            for word in text.split_whitespace().filter(|word| !word.starts_with('@')) {
                match word.strip_suffix('=') {
                    Some(name) => known.insert(name, true),
                    None => known.insert(word, false),
                };
            }
        }
        specs.insert(path, Spec { path, arguments, flags: known });
    }
    specs
});

/// The words of a command's name: arguments before the first flag that are no values of global flags.
pub(super) fn words(args: &[Arg]) -> Vec<(usize, &Arg)> {
    let mut words = Vec::new();
    let mut index = 1;
    while let Some(arg) = args.get(index) {
        if let Some(flag) = arg.text.strip_prefix("--") {
            let takes_value = GLOBAL.split_whitespace().any(|word| word.strip_suffix('=') == Some(flag));
            index += 1 + usize::from(takes_value);
            continue;
        }
        if !arg.text.starts_with('-') {
            words.push((index, arg));
            if words.len() == 8 {
                break;
            }
        }
        index += 1;
    }
    words
}

/// Which command the words name, how many of them, and whether it is a preview.
pub(super) fn find(words: &[(usize, &Arg)]) -> Option<(&'static Spec, usize, bool)> {
    let preview = usize::from(words.first().is_some_and(|(_, word)| is_preview(&word.text)));
    let mut path = String::new();
    let mut found = None;
    for (count, (_, word)) in words.iter().enumerate().skip(preview).take(6) {
        if count > preview {
            path.push(' ');
        }
        path.push_str(&word.text);
        if path.len() > 80 {
            break;
        }
        if let Some(spec) = SPECS.get(&*path) {
            found = Some((spec, count + 1, preview > 0));
        }
    }
    found
}

pub(super) fn is_preview(word: &str) -> bool {
    matches!(word, "beta" | "alpha" | "preview")
}

impl Command {
    /// Takes a command line apart. `None` if it could not run at all.
    pub fn parse(
        args: &[Arg],
        words: &[(usize, &Arg)],
        (spec, count, preview): (&'static Spec, usize, bool),
        report: &mut Vec<Diagnostic>,
    ) -> Command {
        let of_name: Vec<usize> = words[..count].iter().map(|(index, _)| *index).collect();
        let place = args[0].place.to(words[count - 1].1.place);
        let mut command = Command { spec, place, arguments: Vec::new(), flags: Vec::new(), preview };
        let mut index = 1;
        let mut flags_end = false;
        let mut unknown = false;
        while let Some(arg) = args.get(index) {
            index += 1;
            if of_name.contains(&(index - 1)) {
                continue;
            }
            if flags_end || !arg.text.starts_with('-') || arg.text == "-" {
                // The value of a flag that is not known, most likely.
                if !std::mem::take(&mut unknown) {
                    command.arguments.push(arg.clone());
                }
                continue;
            }
            unknown = false;
            if arg.text == "--" {
                flags_end = true;
                continue;
            }
            let Some(text) = arg.text.strip_prefix("--") else {
                if !matches!(&*arg.text, "-q" | "-h") {
                    command.unknown(arg, &arg.text, report);
                }
                continue;
            };
            let name = text.split('=').next().unwrap_or(text);
            let value = arg.split_once('=').map(|(_, value)| value);
            let name_place = arg.place_of(0..name.len() + 2);
            let Some((name, takes, on)) = spec.flag(name) else {
                unknown = value.is_none();
                command.unknown(arg, &arg.text[..name.len() + 2], report);
                continue;
            };
            let value = match value {
                Some(value) => Some(value),
                None if takes => {
                    let value = args.get(index).filter(|next| !next.text.starts_with("--"));
                    if value.is_none() {
                        report.push(
                            Diagnostic::rejected("invalid-flags", format!("argument --{name}: expected one argument"))
                                .at(name_place),
                        );
                        command.flags.push(Flag { name, place: name_place, value: None, on });
                        continue;
                    }
                    index += 1;
                    value.cloned()
                }
                None => None,
            };
            let on =
                on != value.as_ref().filter(|_| !takes).is_some_and(|value| value.text.eq_ignore_ascii_case("false"));
            if name == "flags-file" {
                report.push(
                    Diagnostic::warning("flags-file", "the flags in this file are not read")
                        .at(name_place)
                        .help("put them into the command"),
                );
            }
            command.flags.push(Flag { name, place: name_place, value, on });
        }
        command.count_arguments(report);
        command.placeholders();
        command
    }

    /// What guides write in capitals is put in by the reader: names of Google's have none.
    fn placeholders(&mut self) {
        if self.spec.path.starts_with("config") {
            return;
        }
        self.arguments.iter_mut().for_each(Arg::fill);
        let filled = self.flags.iter_mut().filter(|flag| FILLED.contains(&flag.name));
        filled.filter_map(|flag| flag.value.as_mut()).for_each(Arg::fill);
    }

    fn count_arguments(&mut self, report: &mut Vec<Diagnostic>) {
        let wanted: Vec<&str> = self.spec.arguments.split_whitespace().collect();
        let required = wanted.iter().filter(|word| !word.starts_with('[')).count();
        let several = wanted.iter().any(|word| word.contains("..."));
        if self.arguments.len() < required {
            let name = wanted[self.arguments.len()].trim_end_matches("...");
            let message = format!("`{}` lacks its argument: argument {name}: Must be specified.", self.gcloud());
            report.push(Diagnostic::rejected("invalid-flags", message).at(self.place));
        }
        if !several && self.arguments.len() > wanted.len() {
            let extra = &self.arguments[wanted.len()];
            // It may stand for anything, or for nothing.
            if extra.is_unknown() {
                let message = "what this stands for is not in the scripts: it is left out";
                report.push(Diagnostic::note("value-unknown", message).at(extra.place));
                return self.arguments.truncate(wanted.len());
            }
            // What follows an equals sign may be a secret that lost its flag.
            let shown = extra.text.split('=').next().unwrap_or("");
            let message = format!("unrecognized arguments: {}", shorten(shown));
            let mut diagnostic = Diagnostic::rejected("invalid-flags", message).at(extra.place);
            if self.spec.flag(&extra.text).is_some() {
                diagnostic = diagnostic.help(format!("did you mean `--{}`?", extra.text));
            }
            report.push(diagnostic);
            self.arguments.truncate(wanted.len());
        }
    }

    /// A flag that the command does not have. One that is close to one of its flags is a slip; any other may be newer than
    /// what is known here.
    fn unknown(&self, arg: &Arg, flag: &str, report: &mut Vec<Diagnostic>) {
        if flag.contains("${") {
            return;
        }
        let place = arg.place_of(0..flag.len());
        let typed = flag.trim_start_matches('-');
        let typed = shorten(typed.strip_prefix("no-").unwrap_or(typed));
        let near = self.spec.flags.keys().map(|name| (strsim::damerau_levenshtein(name, &typed), *name)).min();
        let message = format!("`{}` has no flag `{}`", self.gcloud(), shorten(flag));
        let slip = near.filter(|(distance, name)| *distance <= 1 + name.len() / 6);
        let diagnostic = match slip {
            Some((_, name)) => {
                let help = format!("did you mean `--{name}`?");
                let diagnostic = if self.preview {
                    Diagnostic::warning("unknown-flag", message)
                } else {
                    Diagnostic::rejected("unknown-flag", message)
                };
                diagnostic.help(help)
            }
            None => {
                let nearest = near.map(|(_, name)| format!("; the nearest is `--{name}`")).unwrap_or_default();
                let message = format!("{message} that is known here: it is left out");
                Diagnostic::warning("unknown-flag", message).help(format!("check its name{nearest}"))
            }
        };
        report.push(diagnostic.at(place));
    }

    /// `gcloud compute networks create`.
    pub fn gcloud(&self) -> String {
        format!("gcloud {}", self.spec.path)
    }

    /// The last flag of this name.
    pub fn flag(&self, name: &str) -> Option<&Flag> {
        self.flags.iter().rfind(|flag| flag.name == name)
    }

    /// The switches that take something away.
    pub fn clears(&self) -> impl Iterator<Item = &Flag> {
        self.flags.iter().filter(|flag| flag.on && flag.name.starts_with("clear-"))
    }

    /// All flags of this name, for those that may be repeated.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Flag> {
        self.flags.iter().filter(move |flag| flag.name == name)
    }

    /// The value of a flag.
    pub fn value(&self, name: &str) -> Option<&Arg> {
        self.flag(name)?.value.as_ref()
    }

    /// Whether a switch is on.
    pub fn is_on(&self, name: &str) -> bool {
        self.flag(name).is_some_and(|flag| flag.on)
    }
}

impl Spec {
    /// A flag by its name, whether it takes a value, and whether it is on.
    fn flag(&self, name: &str) -> Option<(&'static str, bool, bool)> {
        if let Some((name, takes)) = self.flags.get_key_value(name) {
            return Some((name, *takes, true));
        }
        let (name, takes) = self.flags.get_key_value(name.strip_prefix("no-")?)?;
        (!takes || *name == "address").then_some((name, false, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_flags_exist() {
        for (path, _, flags) in COMMANDS {
            for word in flags.split_whitespace().filter(|word| word.starts_with('@')) {
                assert!(SHARED.iter().any(|(name, _)| *name == word), "{path}: {word}");
            }
        }
        assert_eq!(SPECS.len(), COMMANDS.len());
    }
}
