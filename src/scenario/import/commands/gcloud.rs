//! One gcloud command: found by its name, taken apart, and carried out by the file for its kind of resource.

use std::collections::HashMap;

use super::arg::Arg;
use super::call::Call;
use super::flags::{self, Command};
use super::project::{Project, Scope};
use super::{connector, firewall, functions, instances, nat, networks, policies, replace, routes, run};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::import::{Import, Kind};
use crate::scenario::tree::{Node, shorten};

/// What the shell knows about a command beside its words.
pub(super) struct Around<'a> {
    /// Files that the scripts have written.
    pub files: &'a HashMap<String, Arg>,
    /// What is piped into it.
    pub input: Option<&'a Arg>,
    /// The script checks for itself whether it works.
    pub tolerant: bool,
}

/// Groups whose commands have no effect on a network.
const HARMLESS: &[&str] = &[
    "auth",
    "components",
    "config",
    "help",
    "info",
    "init",
    "version",
    "topic",
    "feedback",
    "cheat-sheet",
    "survey",
    "projects",
    "iam",
    "logging",
    "monitoring",
    "organizations",
    "billing",
    "services",
    "resource-manager",
    "quotas",
    "asset",
    "recommender",
    "policy-intelligence",
];

/// Commands that may change how packets leave, and that are not read.
const NEEDED: &[&[&str]] = &[
    &["compute", "firewall-policies"],
    &["compute", "vpn-tunnels"],
    &["compute", "forwarding-rules"],
    &["compute", "interconnects", "attachments"],
    &["network-connectivity", "internal-ranges"],
    &["resource-manager", "org-policies"],
    &["org-policies"],
];

/// Verbs, and beginnings of verbs, that only look or that only say who may.
const READS: &[&str] = &[
    "describe",
    "list",
    "get",
    "search",
    "read",
    "access",
    "tail",
    "ssh",
    "scp",
    "wait",
    "export",
    "add-iam-policy-binding",
    "ping",
    "remove-iam-policy-binding",
    "set-iam-policy",
    "test-iam-permissions",
    "validate",
    "logs",
    "call",
    "proxy",
    "browse",
];

/// Verbs that end the name of a command.
const CHANGES: &[&str] = &[
    "create", "delete", "update", "deploy", "replace", "set", "unset", "add", "remove", "submit", "enable", "disable",
    "connect", "import", "start", "stop", "reset", "patch", "apply", "push", "run", "execute", "move", "resize",
    "attach", "detach", "cancel", "insert", "publish", "upload", "cp", "rm", "mb",
];

/// Carries out a command; whether it changes anything.
pub(super) fn run(args: &[Arg], around: &Around<'_>, project: &mut Project, import: &mut Import) -> bool {
    let words = flags::words(args);
    let Some(found) = flags::find(&words) else {
        return other(&words, import);
    };
    let command = Command::parse(args, &words, found, &mut import.report);
    if command.is_on("help") {
        return false;
    }
    let path = command.spec.path;
    let mut call = Call { command: &command, project, import, around };
    let nouns: Vec<&str> = path.split(' ').collect();
    match nouns.as_slice() {
        ["config", "set"] => {
            if let [property, value] = command.arguments.as_slice()
                && !value.is_unknown()
            {
                let property = property.text.strip_prefix("core/").unwrap_or(&property.text).to_owned();
                call.project.defaults.insert(property, (value.text.clone(), value.place));
            }
            return false;
        }
        ["config", "unset"] => {
            if let [property] = command.arguments.as_slice() {
                call.project.defaults.remove(&property.text);
            }
            return false;
        }
        ["compute", "networks", "vpc-access", "connectors", verb] => connector::run(&mut call, verb),
        ["compute", "networks", "subnets", verb] => networks::subnet(&mut call, verb),
        ["compute", "networks", "peerings", verb] => networks::peering(&mut call, verb),
        ["services", "vpc-peerings", verb] => networks::service_peering(&mut call, verb),
        ["compute", "networks", verb] => networks::network(&mut call, verb),
        ["compute", "routers", "nats", "rules", verb] => nat::rule(&mut call, verb),
        ["compute", "routers", "nats", verb] => nat::gateway(&mut call, verb),
        ["compute", "routers", verb] => nat::router(&mut call, verb),
        ["compute", "addresses", verb] => routes::address(&mut call, verb),
        ["compute", "routes", verb] => routes::route(&mut call, verb),
        ["network-connectivity", "policy-based-routes", verb] => routes::policy_based(&mut call, verb),
        ["compute", "firewall-rules", verb] => firewall::rule(&mut call, verb),
        ["compute", "network-firewall-policies", rest @ ..] => policies::run(&mut call, rest),
        ["compute", "instances", verb] => instances::run(&mut call, verb),
        ["run", _, "replace"] => replace::run(&mut call),
        ["run", "deploy"] => run::run(&mut call, Kind::Service, "deploy"),
        ["run", "services", verb] => run::run(&mut call, Kind::Service, verb),
        ["run", "jobs", verb] => run::run(&mut call, Kind::Job, verb),
        ["run", "worker-pools", verb] => run::run(&mut call, Kind::WorkerPool, verb),
        ["functions", verb] => functions::run(&mut call, verb),
        _ => return false,
    }
    true
}

/// A command that is not read: it looks at something, changes something else, or does not exist.
fn other(words: &[(usize, &Arg)], import: &mut Import) -> bool {
    let preview = usize::from(words.first().is_some_and(|(_, word)| flags::is_preview(&word.text)));
    let Some((_, group)) = words.get(preview) else { return false };
    let names: Vec<&str> = words[preview..].iter().map(|(_, word)| &*word.text).collect();
    let is = |verbs: &[&str], word: &str| {
        verbs.iter().any(|verb| word == *verb || word.strip_prefix(verb).is_some_and(|rest| rest.starts_with('-')))
    };
    if let Some(needed) = NEEDED.iter().find(|needed| names.starts_with(needed)) {
        let verbs: Vec<&str> = names[needed.len()..].iter().copied().take(2).collect();
        if !verbs.is_empty() && !verbs.iter().any(|verb| is(READS, verb)) {
            let groups = ["rules", "associations"];
            let count = needed.len() + 1 + usize::from(groups.contains(&verbs[0]) && verbs.len() > 1);
            let name = shorten(&names[..count].join(" "));
            let message = format!("`gcloud {name}` may change how packets leave, and is not read");
            let help = "import an export of what it makes, too, or describe it in the scenario";
            import.push(Diagnostic::warning("not-read", message).at(group.place).help(help));
        }
        return false;
    }
    if HARMLESS.contains(&&*group.text) || group.text.contains("${") {
        return false;
    }
    let verb = names.iter().position(|word| is(READS, word) || is(CHANGES, word));
    if verb.is_some_and(|verb| is(READS, names[verb])) {
        return false;
    }
    if let (None, [.., (_, last)]) = (verb, &words[preview..])
        && let Some(meant) = misspelt(&names)
    {
        let at = words.get(preview + meant.split(' ').count() - 1).map_or(last.place, |(_, word)| word.place);
        import.push(
            Diagnostic::rejected(
                "unknown-command",
                format!("Invalid choice: gcloud has no such command as `{}`", at_most(&names, meant)),
            )
            .at(at)
            .help(format!("did you mean `gcloud {meant}`?")),
        );
        return true;
    }
    let count = verb.map_or(names.len().min(2), |verb| verb + 1);
    let name = shorten(&names[..count].join(" "));
    import.skip(format!("gcloud {name}"), group.place);
    true
}

/// A command that differs in one word by a letter or two.
fn misspelt(names: &[&str]) -> Option<&'static str> {
    super::table::COMMANDS.iter().map(|(path, ..)| *path).find(|path| {
        let words: Vec<&str> = path.split(' ').collect();
        words.len() <= names.len()
            && words.iter().zip(names).all(|(word, name)| word == name || strsim::damerau_levenshtein(word, name) <= 2)
            && words.iter().zip(names).filter(|(word, name)| word != name).count() == 1
    })
}

fn at_most(names: &[&str], meant: &str) -> String {
    shorten(&format!("gcloud {}", names[..meant.split(' ').count()].join(" ")))
}

/// What a command prints, if the scripts themselves determine it.
pub(super) fn output(args: &[Arg], project: &Project) -> Option<String> {
    let words = flags::words(args);
    let names: Vec<&str> = words.iter().map(|(_, word)| &*word.text).collect();
    let value_of = |flag: &str| {
        let mut values = args.iter().zip(args.iter().skip(1).map(Some).chain([None]));
        values.find_map(|(arg, next)| match arg.text.strip_prefix("--")?.strip_prefix(flag)? {
            "" => next.map(|next| next.text.clone()),
            rest => rest.strip_prefix('=').map(str::to_owned),
        })
    };
    if let ["config", "get-value" | "get", property, ..] = names.as_slice() {
        let property = property.strip_prefix("core/").unwrap_or(property);
        let word = property.rsplit('/').next().unwrap_or(property);
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let default = project.defaults.get(property).map(|(value, _)| value.clone());
        return default.or_else(|| plain.then(|| format!("${{{word}}}")));
    }
    let at = names.iter().position(|word| *word == "describe")?;
    let kind = match &names[..at] {
        ["compute", "addresses"] => Kind::Address,
        ["compute", "networks", "subnets"] => Kind::Subnetwork,
        ["compute", "networks", "vpc-access", "connectors"] => Kind::Connector,
        ["compute", "networks"] => Kind::Network,
        _ => return None,
    };
    let format = value_of("format")?;
    let field = format.strip_prefix("value(").or_else(|| format.strip_prefix("get("))?.strip_suffix(')')?;
    let region =
        value_of("region").or_else(|| project.defaults.get("compute/region").map(|(region, _)| region.clone()));
    let index = project.find(kind, names.get(at + 1)?, &Scope { project: None, region })?;
    project.entries[index].node.get(field).and_then(Node::text).map(str::to_owned)
}
