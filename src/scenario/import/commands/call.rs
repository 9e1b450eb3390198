//! What the handlers of commands share: flags as fields, references to what must exist, refusals.

use ipnet::Ipv4Net;

use super::arg::Arg;
use super::flags::{Command, Flag};
use super::gcloud::Around;
use super::project::{Project, Scope, owner};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::{Import, Kind};
use crate::scenario::tree::{Entry, Node, Value, shorten};

/// One command that is being carried out.
pub(super) struct Call<'a> {
    pub command: &'a Command,
    pub project: &'a mut Project,
    pub import: &'a mut Import,
    pub around: &'a Around<'a>,
}

/// Whether something that a command needs is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Under this index.
    There(usize),
    /// It may have been there before.
    Presumed,
    /// It cannot be there.
    Missing,
}

impl<'a> Call<'a> {
    /// Something that Google Cloud or gcloud refuses.
    pub fn refuse(&mut self, code: &'static str, message: impl Into<String>, place: Place, help: impl Into<String>) {
        let help = help.into();
        let diagnostic = Diagnostic::rejected(code, message).at(place);
        self.import.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Refuses flags that exclude each other; whether they are both there.
    pub fn exclusive(&mut self, one: &str, other: &str) -> bool {
        let command = self.command;
        let (Some(first), Some(second)) = (command.flag(one), command.flag(other)) else { return false };
        let message = format!("argument --{one}: At most one of --{one} | --{other} can be specified.");
        self.import.push(
            Diagnostic::rejected("invalid-flags", message)
                .at(second.place)
                .related(first.place, "the other one")
                .help("leave one of the two out"),
        );
        true
    }

    /// Refuses a command without a flag that it needs; whether it is there.
    pub fn required(&mut self, flag: &str) -> bool {
        if self.command.flag(flag).is_some() {
            return true;
        }
        let message = format!("argument --{flag}: Must be specified.");
        let help = format!("add `--{flag}=…` to `{}`", self.command.gcloud());
        self.refuse("invalid-flags", message, self.command.place, help);
        false
    }

    /// The project a command is about.
    pub fn project_of(&self, name: Option<&Arg>) -> Option<String> {
        let known = |text: &&str| !text.is_empty() && !text.contains("${");
        let of_name = name.and_then(|name| name.in_path("projects"));
        let of_flag = self.command.value("project").map(|value| &*value.text);
        let of_config = self.project.defaults.get("project").map(|(project, _)| &**project);
        of_name.or(of_flag).or(of_config).filter(known).map(str::to_owned)
    }

    /// The region a command is about: a flag, a part of the name, a default. Without any, gcloud would ask.
    pub fn region(&mut self, name: Option<&Arg>, property: &'static str) -> Option<Arg> {
        let command = self.command;
        if let Some(region) = command.value("region") {
            return Some(region.clone());
        }
        let in_path = name.and_then(|name| name.in_path("regions").or_else(|| name.in_path("locations")));
        if let (Some(name), Some(region)) = (name, in_path) {
            let at = name.text.find(region).unwrap_or(0);
            return Some(name.part(at..at + region.len()));
        }
        let of_zone = self.project.defaults.get("compute/zone").filter(|_| property == "compute/region");
        let of_zone = of_zone.and_then(|(zone, place)| Some((zone.rsplit_once('-')?.0.to_owned(), *place)));
        if let Some((region, place)) = self.project.defaults.get(property).cloned().or(of_zone) {
            let mut arg = Arg::new(place);
            arg.push(&region, place.start, place.end);
            return Some(arg);
        }
        if self.project.told.insert(property) {
            let message = format!(
                "no --region, and no command sets `{property}`: gcloud would ask, or take what it is configured to"
            );
            self.import.push(
                Diagnostic::warning("no-region", message)
                    .at(command.place)
                    .help(format!("add `--region=…`, or `gcloud config set {property} …` before it")),
            );
        }
        None
    }

    /// Project and region of something that this command names.
    pub fn scope(&self, name: Option<&Arg>, region: Option<&Arg>) -> Scope {
        let region = region.filter(|region| !region.is_unknown()).map(|region| region.name().to_owned());
        Scope { project: self.project_of(name), region }
    }

    /// A scalar that stands where an argument does.
    pub fn text(&mut self, arg: &Arg) -> Node {
        self.import.build.text(arg.place, &arg.text)
    }

    /// A scalar with another text.
    pub fn word(&mut self, place: Place, text: impl ToString) -> Node {
        self.import.build.text(place, text)
    }

    /// An empty mapping.
    pub fn mapping(&mut self, place: Place) -> Node {
        self.import.build.mapping(place, [])
    }

    /// A list of scalars.
    pub fn list(&mut self, place: Place, items: &[Arg]) -> Node {
        let nodes = items.iter().map(|item| self.text(item)).collect();
        self.import.build.list(place, nodes)
    }

    /// A mapping with a name and, if known, a region.
    pub fn named(&mut self, name: &Arg, region: Option<&Arg>) -> Node {
        let mut node = self.mapping(name.place);
        let text = self.word(name.place, name.name());
        node.put("name", text);
        if let Some(region) = region {
            let text = self.text(region);
            node.put("region", text);
        }
        node
    }

    /// The value of a flag that is a number, a range, an address or a word of a few. If a variable has it, it is not known.
    pub fn known(&mut self, flag: &str) -> Option<Arg> {
        let command = self.command;
        let given = command.flag(flag)?;
        let value = given.value.clone()?;
        self.is_given(&value, flag).then_some(value)
    }

    /// Whether a value is known; a note if it is not.
    pub fn is_given(&mut self, value: &Arg, flag: &str) -> bool {
        self.is_known(value, flag, true)
    }

    /// The same of the whole value, or of one of several items.
    fn is_known(&mut self, value: &Arg, flag: &str, whole: bool) -> bool {
        if value.is_unknown() {
            let from = value.text.find("${").unwrap_or(0);
            let to = value.text[from..].find('}').map_or(value.text.len(), |at| from + at + 1);
            let variable = &value.text[from..to];
            let what = if variable.starts_with("${output-") {
                "what this stands for".into()
            } else {
                format!("the value of `{}`", shorten(variable))
            };
            let left = if whole { format!("--{flag} is") } else { format!("this item of --{flag} is") };
            let message = format!("{what} is not in the scripts: {left} left out");
            self.import.push(Diagnostic::note("value-unknown", message).at(value.place));
            return false;
        }
        true
    }

    /// Puts a flag's value into a field.
    pub fn put(&mut self, node: &mut Node, flag: &str, field: &str) {
        if let Some(value) = self.known(flag) {
            let value = self.text(&value);
            node.put(field, value);
        }
    }

    /// Puts a name into a field; it may hold a variable.
    pub fn put_name(&mut self, node: &mut Node, flag: &str, field: &str) {
        if let Some(value) = self.command.value(flag) {
            let value = self.text(value);
            node.put(field, value);
        }
    }

    /// Puts a word of a few into a field as the API spells it: `private-nat` is `PRIVATE_NAT`.
    pub fn put_word(&mut self, node: &mut Node, flag: &str, field: &str) {
        if let Some(value) = self.known(flag) {
            let value = self.word(value.place, value.text.to_ascii_uppercase().replace('-', "_"));
            node.put(field, value);
        }
    }

    /// Puts a switch into a field.
    pub fn put_switch(&mut self, node: &mut Node, flag: &str, field: &str) {
        if let Some(Flag { place, on, .. }) = self.command.flag(flag) {
            let value = self.word(*place, on);
            node.put(field, value);
        }
    }

    /// Puts a list into a field.
    pub fn put_list(&mut self, node: &mut Node, flag: &str, field: &str) {
        let items = self.items(flag);
        if let Some(given) = self.command.flag(flag) {
            let place = given.value.as_ref().map_or(given.place, |value| value.place);
            let list = self.list(place, &items);
            node.put(field, list);
        }
    }

    /// Puts a list of names into a field; they may hold variables.
    pub fn put_names(&mut self, node: &mut Node, flag: &str, field: &str) {
        let command = self.command;
        let Some(given) = command.flag(flag) else { return };
        let items: Vec<Arg> = command.all(flag).filter_map(|given| given.value.as_ref()).flat_map(Arg::items).collect();
        let place = given.value.as_ref().map_or(given.place, |value| value.place);
        let list = self.list(place, &items);
        node.put(field, list);
    }

    /// Whether a list flag has items, none of which is in the scripts.
    pub fn lacks_all(&mut self, flag: &str) -> Option<Place> {
        let place = self.command.value(flag)?.place;
        let items = self.command.all(flag).filter_map(|given| given.value.as_ref()).flat_map(Arg::items);
        let (given, unknown) =
            items.fold((0, 0), |(given, unknown), item| (given + 1, unknown + usize::from(item.is_unknown())));
        (given > 0 && given == unknown).then_some(place)
    }

    /// Says that a rule is switched off: without what is not known of it, it would be about everything.
    pub fn switch_off(&mut self, node: &mut Node, flag: &str, place: Place) {
        let message = format!(
            "--{flag} is not in the scripts, and without it this rule would be about everything: it is switched off"
        );
        let help = "put the value in before the import, such as with `envsubst < file`";
        self.import.push(Diagnostic::warning("rule-unknown", message).at(place).help(help));
        let value = self.word(place, "true");
        node.put("disabled", value);
    }

    /// The items of a list flag, which may be given several times.
    pub fn items(&mut self, flag: &str) -> Vec<Arg> {
        let command = self.command;
        let mut items = Vec::new();
        for value in command.all(flag).filter_map(|given| given.value.as_ref()) {
            let given = value.items();
            let whole = given.len() == 1;
            for item in given {
                if self.is_known(&item, flag, whole) {
                    items.push(item);
                }
            }
        }
        items
    }

    /// A duration in seconds: `30s`, `1m30s`, `1h`, `1200`.
    pub fn put_seconds(&mut self, node: &mut Node, flag: &str, field: &str) {
        let Some(value) = self.known(flag) else { return };
        match seconds(&value.text) {
            Some(number) => {
                let number = self.word(value.place, number);
                node.put(field, number);
            }
            None => {
                let message = format!(
                    "argument --{flag}: given value must be of the form INTEGER[UNIT]: {}",
                    shorten(&value.text)
                );
                self.refuse(
                    "invalid-flags",
                    message,
                    value.place,
                    "write seconds, or a number with its unit: `30s`, `20m`, `1h`",
                );
            }
        }
    }

    /// Looks for something that must exist; refuses if it cannot.
    pub fn refer(&mut self, kind: Kind, name: &Arg, region: Option<&Arg>, network: Option<&str>) -> Found {
        let bare = name.name().to_owned();
        let region = name.in_path("regions").or_else(|| name.in_path("locations")).or(region.map(Arg::name));
        let region = region.filter(|region| !region.contains("${")).map(str::to_owned);
        let scope = Scope { project: self.project_of(Some(name)), region: region.clone() };
        if let Some(index) = self.project.find(kind, &bare, &scope) {
            return Found::There(index);
        }
        let unnamed = self.project.unnamed.contains(&kind);
        if name.is_unknown() || bare.is_empty() || unnamed || self.project.is_missed(kind, &bare) {
            return Found::Presumed;
        }
        let here = self.project_of(None);
        let elsewhere = name.in_path("projects").is_some_and(|project| here.as_deref() != Some(project));
        if elsewhere || !self.project.cannot_exist(kind, &bare, region.as_deref(), network) {
            if !(elsewhere || kind == Kind::Network && bare == "default") {
                self.project.presume(kind, &bare, name.place, region.as_deref());
            }
            return Found::Presumed;
        }
        if !self.around.tolerant {
            self.not_found(kind, name, region.as_deref(), network);
        }
        Found::Missing
    }

    /// Says that something does not exist, once.
    fn not_found(&mut self, kind: Kind, name: &Arg, region: Option<&str>, network: Option<&str>) {
        let bare = name.name();
        if !self.project.miss(kind, bare) {
            return;
        }
        let whose = owner(kind, &shorten(bare), region);
        let help = match self.project.similar(kind, bare) {
            Some(similar) => format!("did you mean `{similar}`? Otherwise create it first"),
            None => {
                let group = match kind {
                    Kind::Subnetwork => "networks subnets",
                    Kind::Router => "routers",
                    Kind::Address => "addresses",
                    Kind::Connector => "networks vpc-access connectors",
                    _ => "networks",
                };
                let network = network.map(|network| format!(" --network={network}")).unwrap_or_default();
                let region = region.map(|region| format!(" --region={region}")).unwrap_or_default();
                let range = if kind == Kind::Subnetwork { " --range=…" } else { "" };
                format!("create it first: `gcloud compute {group} create {}{network}{region}{range}`", shorten(bare))
            }
        };
        let message = format!("the {whose} was not found: no command before this one creates it");
        self.refuse("not-found", message, name.place, help);
    }

    /// Creates a resource; refuses if its name is taken. The index of what has the name afterwards, and whether it is new.
    pub fn create(&mut self, kind: Kind, name: &Arg, region: Option<&Arg>, node: Node) -> (usize, bool) {
        let scope = self.scope(Some(name), region);
        let bare = name.name().to_owned();
        if name.is_unknown() {
            self.project.unnamed.insert(kind);
        }
        if let Some(index) = self.project.find(kind, &bare, &scope) {
            let entry = &self.project.entries[index];
            let (before, created) = (entry.place, entry.created);
            if !self.around.tolerant && !name.is_unknown() {
                let what = owner(kind, &shorten(&bare), entry.region.as_deref());
                let message = format!("the {what} already exists: this command is refused");
                let label = if created { "created here" } else { "changed here, so it was there" };
                self.import.push(
                    Diagnostic::rejected("already-exists", message)
                        .at(name.place)
                        .related(before, label)
                        .help("keep one of the two commands, or give the second another name"),
                );
            }
            return (index, false);
        }
        if let Some(place) = self.project.was_presumed(kind, &bare, scope.region.as_deref())
            && !self.around.tolerant
            && !name.is_unknown()
        {
            let what = owner(kind, &shorten(&bare), scope.region.as_deref());
            self.import.push(
                Diagnostic::rejected("not-found", format!("the {what} was not found: it is only created later"))
                    .at(place)
                    .related(name.place, "created here")
                    .help("move the command that creates it to before this one"),
            );
        }
        (self.project.add(kind, &bare, scope, node, name.place, true), true)
    }

    /// What a command changes: what exists, or what was there before. `None` if it cannot be there.
    pub fn existing(&mut self, kind: Kind, name: &Arg, region: Option<&Arg>) -> Option<usize> {
        let index = self.part(kind, name, region)?;
        let entry = &mut self.project.entries[index];
        entry.change = !entry.created;
        Some(index)
    }

    /// What a command adds something to: what exists, or a part of what was there before.
    pub fn part(&mut self, kind: Kind, name: &Arg, region: Option<&Arg>) -> Option<usize> {
        match self.refer(kind, name, region, None) {
            Found::There(index) => Some(index),
            // In a script that asks whether it is there, it is not.
            Found::Presumed if self.around.tolerant && !matches!(kind, Kind::Network) && self.has_created(kind) => None,
            Found::Presumed | Found::Missing => {
                let node = self.named(name, region);
                let scope = self.scope(Some(name), region);
                Some(self.project.add(kind, name.name(), scope, node, name.place, false))
            }
        }
    }

    fn has_created(&self, kind: Kind) -> bool {
        self.project.entries.iter().rev().take(64).any(|entry| entry.kind == kind && entry.created)
    }

    /// Deletes by name.
    pub fn delete(&mut self, kind: Kind, name: &Arg, region: Option<&Arg>) {
        match self.refer(kind, name, region, None) {
            Found::There(index) => self.project.delete(index, self.command.place),
            Found::Presumed => self.not_deleted(kind, name),
            Found::Missing => {}
        }
    }

    /// Says that what a command takes away from what no command has made is still described elsewhere.
    pub fn not_cleared(&mut self, place: Place) {
        let message = "no command makes what this changes: what is taken away here stays in what else describes it";
        let help = "take it out of the scenario that `egressim import` prints";
        self.import.push(Diagnostic::warning("not-cleared", message).at(place).help(help));
    }

    /// Says that something else may describe what a command deletes.
    pub fn not_deleted(&mut self, kind: Kind, name: &Arg) {
        if self.around.tolerant {
            return;
        }
        let word = kind.word();
        let message = if name.is_unknown() {
            format!("which {word} this deletes is not in the scripts: none is taken away")
        } else {
            let name = shorten(name.name());
            format!("no command creates the {word} `{name}`: it is not taken away from what there is without them")
        };
        let help = "leave it out of the scenario that `egressim import` prints, if it is there";
        self.import.push(Diagnostic::warning("not-deleted", message).at(name.place).help(help));
    }

    /// Changes a resource.
    pub fn edit(&mut self, index: usize, change: impl FnOnce(&mut Call<'a>, &mut Node)) {
        let mut node = std::mem::replace(&mut self.project.entries[index].node, Node::from(Vec::new()));
        change(self, &mut node);
        self.project.entries[index].node = node;
    }

    /// A mapping inside another, made if it is not there.
    pub fn child<'n>(&mut self, node: &'n mut Node, key: &str, place: Place) -> &'n mut Node {
        if !node.get(key).is_some_and(|child| matches!(child.value, Value::Mapping(_))) {
            let child = self.mapping(place);
            node.put(key, child);
        }
        child_mut(node, key)
    }

    /// A list inside a mapping, made if it is not there.
    pub fn list_mut<'n>(&mut self, node: &'n mut Node, key: &str, place: Place) -> &'n mut Vec<Node> {
        if !node.get(key).is_some_and(|child| matches!(child.value, Value::Sequence(_))) {
            let child = self.import.build.list(place, Vec::new());
            node.put(key, child);
        }
        match &mut child_mut(node, key).value {
            Value::Sequence(items) => items,
            _ => unreachable!("a list was just put there"),
        }
    }

    /// Claims a range of a network for a subnet or a connector; refuses if another has it. Whether it is free.
    pub fn claim(&mut self, network: &str, range: &Arg, kind: Kind, name: &Arg, region: Option<&Arg>) -> bool {
        let Ok(net) = range.text.parse::<Ipv4Net>() else { return true };
        let whose = owner(kind, name.name(), region.map(Arg::name));
        let Some((other, place)) = self.project.claim(network, net, whose.clone(), range.place) else { return true };
        let message =
            format!("Invalid IPCidrRange: {} conflicts with the {other}: the {whose} cannot have it", range.text);
        self.import.push(
            Diagnostic::rejected("overlapping-ranges", message)
                .at(range.place)
                .related(place, "also claimed here")
                .help("choose a range that nothing in this network uses; the range of a connector needs no subnet of its own: Google makes one"),
        );
        false
    }
}

fn child_mut<'n>(node: &'n mut Node, key: &str) -> &'n mut Node {
    let Value::Mapping(entries) = &mut node.value else { unreachable!("only a mapping has children") };
    let at = entries.iter().position(|entry| &*entry.key.name == key);
    let at = at.unwrap_or_else(|| unreachable!("the child was just put there"));
    let Entry { value, .. } = &mut entries[at];
    value
}

/// A duration as gcloud takes it: seconds, or numbers with units.
pub(super) fn seconds(text: &str) -> Option<u64> {
    if let Ok(number) = text.parse::<u64>() {
        return Some(number);
    }
    let text = text.strip_prefix('P').map(|rest| rest.replace('T', "")).unwrap_or_else(|| text.to_owned());
    let text = text.to_ascii_lowercase();
    let mut total = 0_u64;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let units = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        let factor = match &rest[digits..digits + units] {
            "" | "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hr" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[digits + units..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_or_are_seconds() {
        let cases = [("30", Some(30)), ("30s", Some(30)), ("1m30s", Some(90)), ("2h", Some(7200)), ("PT5M", Some(300))];
        for (text, expected) in cases.into_iter().chain([("", None), ("s", None), ("3x", None), ("é", None)]) {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
