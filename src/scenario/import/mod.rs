//! Configuration that people already have, as parts of a scenario.
//!
//! Each format has a file of its own, and all do the same: they turn what they read into `Resource`s in the shape of
//! Google's REST APIs, whose every value keeps the place where it stands in the **original** text. Merged (`merge`) and
//! completed (`assume`), they are decoded and checked like a scenario that somebody has typed, so a finding points into
//! the plan, the script or the manifest it is about. Formats are told apart by content, never by the name of a file.
//!
//! ```text
//! text ── form ──┬─ trees (YAML, JSON) ── recognise ─┬─ assets · rest · knative · observed ──┐
//!                │                                   └─ terraform: plan, state ──────────────┤
//!                ├─ HCL, tfvars, one module a folder ── terraform: evaluated ────────────────┼─ Resource
//!                └─ shell, Markdown ── commands, in order, against a virtual project ────────┘     │
//!                                            scenario ── decode ── resolve ── assume ── merge ◄────┘
//! ```
//!
//! What is not read is counted and told; what is assumed is a note at the place that made it necessary. Secrets never get
//! into a resource, and are hidden in the texts that findings quote (`secrets`).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, FileId, Place, Sources};
use super::tree::{Build, Entry, Node, Value};

mod assets;
mod assume;
mod auto_mode;
mod commands;
mod knative;
mod merge;
mod observed;
mod path;
mod placeholders;
mod print;
mod recognise;
mod rest;
pub(crate) mod secrets;
mod starter;
mod terraform;

pub use print::{Imported, print};
pub(crate) use recognise::{Form, Format, form, recognise};

/// What is imported: a kind of resource that a scenario has a list for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Network,
    Subnetwork,
    Route,
    Firewall,
    FirewallPolicy,
    Address,
    Router,
    PolicyBasedRoute,
    Instance,
    ForwardingRule,
    VpnTunnel,
    InterconnectAttachment,
    Connector,
    Service,
    Job,
    WorkerPool,
    Function,
    OrgPolicy,
}

impl Kind {
    /// All of them, in the order of a scenario file.
    pub const ALL: [Kind; 18] = [
        Kind::Network,
        Kind::Subnetwork,
        Kind::Route,
        Kind::Firewall,
        Kind::FirewallPolicy,
        Kind::Address,
        Kind::Router,
        Kind::PolicyBasedRoute,
        Kind::Instance,
        Kind::ForwardingRule,
        Kind::VpnTunnel,
        Kind::InterconnectAttachment,
        Kind::Connector,
        Kind::Service,
        Kind::Job,
        Kind::WorkerPool,
        Kind::Function,
        Kind::OrgPolicy,
    ];

    /// The scenario's key for a list of them.
    pub fn key(self) -> &'static str {
        match self {
            Kind::Network => "networks",
            Kind::Subnetwork => "subnetworks",
            Kind::Route => "routes",
            Kind::Firewall => "firewalls",
            Kind::FirewallPolicy => "firewallPolicies",
            Kind::Address => "addresses",
            Kind::Router => "routers",
            Kind::PolicyBasedRoute => "policyBasedRoutes",
            Kind::Instance => "instances",
            Kind::ForwardingRule => "forwardingRules",
            Kind::VpnTunnel => "vpnTunnels",
            Kind::InterconnectAttachment => "interconnectAttachments",
            Kind::Connector => "connectors",
            Kind::Service => "services",
            Kind::Job => "jobs",
            Kind::WorkerPool => "workerPools",
            Kind::Function => "functions",
            Kind::OrgPolicy => "orgPolicies",
        }
    }

    /// The kind whose resources have this word before their name in a path: `…/subnetworks/apps`. Paths of global
    /// addresses and forwarding rules have the same words as those of regional ones.
    pub fn of_collection(word: &str) -> Option<Kind> {
        match word {
            "interconnectAttachments" => Some(Kind::InterconnectAttachment),
            "workerpools" => Some(Kind::WorkerPool),
            "globalAddresses" => Some(Kind::Address),
            _ => Kind::ALL.into_iter().find(|kind| kind.key() == word),
        }
    }

    /// One of them, in words.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Network => "network",
            Kind::Subnetwork => "subnet",
            Kind::Route => "route",
            Kind::Firewall => "firewall rule",
            Kind::FirewallPolicy => "firewall policy",
            Kind::Address => "address",
            Kind::Router => "router",
            Kind::PolicyBasedRoute => "policy-based route",
            Kind::Instance => "VM",
            Kind::ForwardingRule => "forwarding rule",
            Kind::VpnTunnel => "VPN tunnel",
            Kind::InterconnectAttachment => "Interconnect attachment",
            Kind::Connector => "connector",
            Kind::Service => "service",
            Kind::Job => "job",
            Kind::WorkerPool => "worker pool",
            Kind::Function => "function",
            Kind::OrgPolicy => "organization policy",
        }
    }
}

/// One resource in the shape of its REST API: a mapping with camelCase fields.
///
/// It may be a part: a Terraform `google_compute_router_nat` is a router with a name, a region and one item of `nats`. Parts
/// of the same resource are merged.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub kind: Kind,
    pub node: Node,
    /// Its project, where the format says it beside the resource. A path in the resource itself need not be repeated here.
    pub project: Option<String>,
    /// It changes what others describe: what it says counts over what came before, and alone it is nothing.
    pub change: bool,
}

/// What was there and not read: a kind of thing that the simulator has no use for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skipped {
    pub count: usize,
    pub first: Place,
}

/// The texts of an import and what they have given so far.
#[derive(Debug, Default)]
pub(crate) struct Import {
    pub sources: Sources,
    pub report: Vec<Diagnostic>,
    /// Makes the nodes of resources.
    pub build: Build,
    pub resources: Vec<Resource>,
    /// By what it is called where it was found: `google_project_service`, `compute#zone`.
    pub skipped: BTreeMap<String, Skipped>,
    /// What was observed of the running network, to compare a simulation with: items of the scenario's `observed`.
    pub observed: Vec<Node>,
    /// Texts that an import has read, with their formats, in order.
    pub read: Vec<(FileId, Format)>,
    /// Texts that machines have written: fields that egressim does not know yet are no misspellings there.
    pub exported: HashSet<FileId>,
    /// Folders inside of imported ones. Only Terraform's modules are looked for there.
    pub folders: Vec<PathBuf>,
    /// Where texts come from, for what they refer to beside them.
    pub paths: HashMap<FileId, PathBuf>,
    modules: terraform::Modules,
    /// What was seen of lists.
    rest: rest::Progress,
    /// Assets, of which a later text may have a newer state.
    assets: assets::Assets,
    scripts: Vec<(FileId, Format)>,
}

impl Import {
    /// Adds a resource of a project.
    pub fn add_of(&mut self, project: Option<String>, kind: Kind, node: Node) {
        self.resources.push(Resource { kind, node, project, change: false });
    }

    /// Adds a change of a resource that another text describes.
    pub fn add_change(&mut self, project: Option<String>, kind: Kind, node: Node) {
        self.resources.push(Resource { kind, node, project, change: true });
    }

    /// Counts what is there and not read.
    pub fn skip(&mut self, what: impl Into<String>, place: Place) {
        self.skipped.entry(what.into()).or_insert(Skipped { count: 0, first: place }).count += 1;
    }

    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.report.push(diagnostic);
    }

    /// Takes a text that is no tree.
    pub fn text(&mut self, form: Form, file: FileId, path: Option<&Path>) {
        if let Some(path) = path {
            self.paths.insert(file, path.to_owned());
        }
        let format = match form {
            Form::Tree | Form::Lines => unreachable!("trees are parsed and recognised document by document"),
            Form::Hcl => Format::Hcl,
            Form::Variables => Format::Variables,
            Form::Script => Format::Script,
            Form::Markdown => Format::Markdown,
        };
        self.sources.blank_byte_order_mark(file);
        self.read.push((file, format));
        match format {
            Format::Hcl | Format::Variables => self.modules.add(file, format, path),
            _ => self.scripts.push((file, format)),
        }
    }

    /// Takes a document that was [recognised](recognise).
    pub fn document(&mut self, format: Format, file: FileId, path: Option<&Path>, node: Node) {
        if let Some(path) = path {
            self.paths.insert(file, path.to_owned());
        }
        if self.read.last().is_none_or(|last| *last != (file, format)) {
            self.read.push((file, format));
        }
        secrets::hide(&node, &mut self.sources);
        match format {
            Format::Rest => {
                self.exported.insert(file);
                rest::read(self, node);
            }
            Format::Assets => {
                self.exported.insert(file);
                assets::read(self, node);
            }
            Format::Observed => observed::read(self, node),
            Format::Knative => knative::read(self, node),
            Format::Plan | Format::State | Format::RawState => terraform::read(self, format, node),
            Format::Hcl | Format::Variables | Format::Script | Format::Markdown => {
                unreachable!("these are no trees")
            }
        }
    }

    /// Reads what can only be read when all texts are there: modules of several files, scripts that build on each other.
    pub fn complete(&mut self) {
        assets::complete(self);
        let modules = std::mem::take(&mut self.modules);
        terraform::evaluate(self, modules);
        let scripts = std::mem::take(&mut self.scripts);
        commands::read(self, &scripts);
        self.hide_secrets();
    }

    /// Hides what may be secret in texts that only their readers understand, or nobody.
    fn hide_secrets(&mut self) {
        for (file, format) in self.read.clone() {
            match format {
                Format::Variables => secrets::hide_values(file, &mut self.sources),
                Format::Script | Format::Markdown => secrets::hide_unparsed(file, &mut self.sources),
                _ => {}
            }
        }
        let broken =
            |finding: &&Diagnostic| matches!(finding.code, "syntax" | "not-utf-8" | "too-deep" | "variables-file");
        let files: HashSet<FileId> =
            self.report.iter().filter(broken).filter_map(|finding| finding.place).map(|place| place.file).collect();
        for file in files {
            secrets::hide_unparsed(file, &mut self.sources);
        }
    }

    /// The resources as a scenario has them: merged, completed, a list for each kind. `own` is what a scenario that includes
    /// them describes itself; what both describe is taken out of it.
    pub fn entries(&mut self, own: &mut Vec<Entry>) -> Vec<Entry> {
        rest::complete(self, own);
        // Scripts and modules are read when all texts are there; what counts is the order in which they were given.
        self.resources.sort_by_key(|resource| resource.node.place.file);
        observed::order(self);
        let imported = std::mem::take(&mut self.resources);
        let written = written(own, &imported);
        let by_hand: HashSet<FileId> = written.iter().map(|resource| resource.node.place.file).collect();
        let knative = self.read.iter().filter(|(_, format)| *format == Format::Knative).map(|(file, _)| *file);
        let whole: HashSet<FileId> = self.exported.iter().copied().chain(knative).collect();
        let mut resources = merge::merge(written, imported, &whole, &mut self.build, &mut self.report);
        assume::complete(&mut resources, own, &by_hand, &mut self.build, &mut self.report);
        merge::shorten_references(&mut resources);
        let mut lists: BTreeMap<Kind, Vec<Node>> = BTreeMap::new();
        for resource in resources {
            lists.entry(resource.kind).or_default().push(resource.node);
        }
        let entry = |(kind, nodes): (Kind, Vec<Node>)| {
            let place = nodes[0].place;
            Entry::new(kind.key(), self.build.list(place, nodes))
        };
        let mut entries: Vec<Entry> = lists.into_iter().map(entry).collect();
        entries.extend(observed::entry(self));
        entries
    }

    /// What was read, for people.
    pub fn told(&self) -> Imported {
        let read = self.read.iter().map(|(file, format)| (*file, format.word())).collect();
        let mut skipped: BTreeMap<String, usize> =
            self.skipped.iter().map(|(what, skipped)| (what.clone(), skipped.count)).collect();
        let read_in = |folder: &PathBuf| self.sources.names().any(|name| Path::new(name).starts_with(folder));
        let folders = self.folders.iter().filter(|folder| !read_in(folder)).count();
        if folders > 0 {
            skipped.insert("folders inside of these".into(), folders);
        }
        Imported { read, skipped, findings: self.report.clone() }
    }
}

/// Takes the scenario's own resources of the kinds that were imported, too.
fn written(own: &mut Vec<Entry>, imported: &[Resource]) -> Vec<Resource> {
    let kinds: HashSet<Kind> = imported.iter().map(|resource| resource.kind).collect();
    let mut taken = Vec::new();
    own.retain_mut(|entry| {
        let kind = kinds.iter().copied().find(|kind| kind.key() == &*entry.key.name);
        let (Some(kind), Value::Sequence(items)) = (kind, &mut entry.value.value) else { return true };
        taken.extend(std::mem::take(items).into_iter().map(|node| Resource {
            kind,
            node,
            project: None,
            change: false,
        }));
        false
    });
    taken
}

/// The start of a text, for findings about the whole of it.
pub(crate) fn start_of(file: FileId) -> Place {
    Place { file, start: 0, end: 0 }
}
