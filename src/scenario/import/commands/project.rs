//! The virtual project that commands change: what exists in it, and what does not.
//!
//! A script may rely on things that were there before it, so what no command creates is presumed to exist, unless the script
//! sets up the network it belongs to: then nobody else can have created it. A refused command is remembered under the name
//! it would have made, so that one mistake gives one finding.

use std::collections::{BTreeMap, HashMap, HashSet};

use ipnet::Ipv4Net;

use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::{Import, Kind};
use crate::scenario::tree::Node;

/// How many resources of one name are looked at, and how many names to find a similar one.
const MOST_COMPARED: usize = 256;

/// One resource, or a part of one that existed before.
#[derive(Debug)]
pub(super) struct Entry {
    pub kind: Kind,
    pub name: String,
    pub region: Option<String>,
    pub project: Option<String>,
    pub node: Node,
    /// Where it was created or first changed.
    pub place: Place,
    /// A command created it, as opposed to changing what it found.
    pub created: bool,
    /// It changes what was there before, as opposed to adding something to it.
    pub change: bool,
    deleted: Option<Place>,
}

/// Where a resource is: its project and its region, each if known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub project: Option<String>,
    pub region: Option<String>,
}

/// What exists, and the defaults of gcloud's configuration.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub entries: Vec<Entry>,
    index: HashMap<(Kind, String), Vec<usize>>,
    /// Ranges in use by network: first address → last, whose, where.
    ranges: HashMap<String, BTreeMap<u32, (u32, String, Place)>>,
    /// `compute/region` and its like, as `gcloud config set` left them.
    pub defaults: HashMap<String, (String, Place)>,
    /// Where commands have created something, by kind; regions of what has one.
    created: HashSet<(Kind, Option<String>)>,
    /// What was referred to without having been created, first place of each.
    presumed: HashMap<(Kind, String), (Place, Option<String>)>,
    /// What was refused as not found: once is enough.
    missing: HashSet<(Kind, String)>,
    /// Kinds of which something has a name that is not in the scripts.
    pub unnamed: HashSet<Kind>,
    /// The command that is carried out is refused: it changes nothing.
    pub refused: bool,
    /// It changes what no command has made, so what else there is of it is not known.
    pub partial: bool,
    /// Properties whose absence has been told.
    pub told: HashSet<&'static str>,
    /// Revisions that get no traffic yet, by the index of their service.
    pub waiting: HashMap<usize, Node>,
    /// How much of other files has been read.
    pub bytes: u64,
}

fn compatible(one: Option<&str>, other: Option<&str>) -> bool {
    one.is_none() || other.is_none() || one == other
}

impl Project {
    /// The index of what exists under a name.
    pub fn find(&self, kind: Kind, name: &str, scope: &Scope) -> Option<usize> {
        let candidates = self.index.get(&(kind, name.to_owned()))?;
        candidates.iter().rev().take(MOST_COMPARED).copied().find(|index| {
            let entry = &self.entries[*index];
            entry.deleted.is_none()
                && compatible(entry.region.as_deref(), scope.region.as_deref())
                && compatible(entry.project.as_deref(), scope.project.as_deref())
        })
    }

    /// Adds a resource.
    pub fn add(&mut self, kind: Kind, name: &str, scope: Scope, node: Node, place: Place, created: bool) -> usize {
        let index = self.entries.len();
        self.index.entry((kind, name.to_owned())).or_default().push(index);
        if created {
            self.created.insert((kind, scope.region.clone()));
            self.created.insert((kind, None));
        }
        let Scope { project, region } = scope;
        let entry =
            Entry { kind, name: name.to_owned(), region, project, node, place, created, change: false, deleted: None };
        self.entries.push(entry);
        index
    }

    /// Removes what exists under an index.
    pub fn delete(&mut self, index: usize, place: Place) {
        self.entries[index].deleted = Some(place);
        let name = self.entries[index].name.clone();
        let kind = self.entries[index].kind;
        if matches!(kind, Kind::Subnetwork | Kind::Connector) {
            let network = self.entries[index].node.get("network").and_then(Node::text).unwrap_or("");
            let network = network.rsplit('/').next().unwrap_or("").to_owned();
            if let Some(ranges) = self.ranges.get_mut(&network) {
                let owner = owner(kind, &name, self.entries[index].region.as_deref());
                ranges.retain(|_, (_, whose, _)| *whose != owner);
            }
        }
        self.presumed.remove(&(kind, name.clone()));
        self.missing.remove(&(kind, name));
    }

    /// Takes out what something else describes anew.
    pub fn replace(&mut self, index: usize, place: Place) {
        self.entries[index].deleted = Some(place);
        self.entries[index].created = false;
    }

    /// The network that the commands are about, if it is only one.
    pub fn only_network(&self) -> Option<String> {
        let mut networks = HashSet::new();
        for entry in self.entries.iter().filter(|entry| entry.deleted.is_none()).take(MOST_COMPARED * 4) {
            let interfaces = entry.node.get("networkInterfaces").map_or(&[][..], Node::items);
            let nodes = std::iter::once(&entry.node).chain(interfaces);
            let named = nodes.filter_map(|node| node.get("network").and_then(Node::text));
            let own = (entry.kind == Kind::Network).then_some(&*entry.name);
            networks.extend(named.chain(own).map(|text| text.rsplit('/').next().unwrap_or(text).to_owned()));
        }
        let mut networks = networks.into_iter();
        networks.next().filter(|first| networks.next().is_none() && !first.contains("${"))
    }

    /// Whether a network was made by a command.
    pub fn made(&self, network: &str) -> Option<&Entry> {
        let index = self.find(Kind::Network, network, &Scope::default())?;
        Some(&self.entries[index]).filter(|entry| entry.created)
    }

    /// Whether something that nobody has created cannot have been there before.
    pub fn cannot_exist(&self, kind: Kind, name: &str, region: Option<&str>, network: Option<&str>) -> bool {
        let here = |kind: Kind| match region {
            Some(region) => self.created.contains(&(kind, Some(region.to_owned()))),
            None => self.created.contains(&(kind, None)),
        };
        match kind {
            Kind::Subnetwork => {
                // A network in auto mode has a subnet of its name in each region.
                let automatic = |network: &Entry| {
                    network.name == name
                        && network.node.get("autoCreateSubnetworks").and_then(Node::text) == Some("true")
                };
                if name == "default" || self.made(name).is_some_and(automatic) {
                    return false;
                }
                match network {
                    Some(network) => self.made(network).is_some(),
                    None => self.created.contains(&(Kind::Network, None)) || here(Kind::Subnetwork),
                }
            }
            Kind::Router | Kind::Address | Kind::Connector => {
                self.created.contains(&(Kind::Network, None)) || here(kind)
            }
            _ => false,
        }
    }

    /// Remembers that something was taken to exist.
    pub fn presume(&mut self, kind: Kind, name: &str, place: Place, region: Option<&str>) {
        self.presumed.entry((kind, name.to_owned())).or_insert((place, region.map(str::to_owned)));
    }

    /// Where something was taken to exist that is only created now.
    pub fn was_presumed(&mut self, kind: Kind, name: &str, region: Option<&str>) -> Option<Place> {
        let key = (kind, name.to_owned());
        let (_, at) = self.presumed.get(&key)?;
        if !compatible(at.as_deref(), region) {
            return None;
        }
        self.presumed.remove(&key).map(|(place, _)| place)
    }

    /// Whether it is the first time that this is missed.
    pub fn miss(&mut self, kind: Kind, name: &str) -> bool {
        self.missing.insert((kind, name.to_owned()))
    }

    /// Whether it was missed before.
    pub fn is_missed(&self, kind: Kind, name: &str) -> bool {
        self.missing.contains(&(kind, name.to_owned()))
    }

    /// A name like this of what exists.
    pub fn similar(&self, kind: Kind, name: &str) -> Option<&str> {
        let names = self.entries.iter().rev().filter(|entry| entry.kind == kind && entry.deleted.is_none());
        let near =
            names.take(MOST_COMPARED).map(|entry| (strsim::levenshtein(&entry.name, name), &*entry.name)).min()?;
        (near.0 <= 2 && near.0 > 0).then_some(near.1)
    }

    /// Claims a range of a network; whose it is already, if it is.
    pub fn claim(&mut self, network: &str, range: Ipv4Net, whose: String, place: Place) -> Option<(String, Place)> {
        let ranges = self.ranges.entry(network.to_owned()).or_default();
        let (first, last) = (u32::from(range.network()), u32::from(range.broadcast()));
        if let Some((_, (_, owner, at))) = ranges.range(..=last).next_back().filter(|(_, (end, ..))| *end >= first) {
            return Some((owner.clone(), *at));
        }
        ranges.insert(first, (last, whose, place));
        None
    }

    /// What in a network keeps it from being deleted.
    pub fn user_of_network(&self, network: &str) -> Option<&Entry> {
        let kinds = [Kind::Subnetwork, Kind::Router, Kind::Firewall, Kind::Connector, Kind::Route, Kind::Instance];
        self.entries.iter().rev().take(MOST_COMPARED * 4).find(|entry| {
            let of =
                |node: &Node| node.get("network").and_then(Node::text).is_some_and(|text| ends_with(text, network));
            let interfaces = entry.node.get("networkInterfaces").map_or(&[][..], Node::items);
            entry.deleted.is_none()
                && entry.created
                && kinds.contains(&entry.kind)
                && (of(&entry.node) || interfaces.iter().any(of))
        })
    }

    /// Gives what is there at the end to the import.
    pub fn finish(self, import: &mut Import) {
        // Commands that do not say their project mean the one that the others say.
        let mut projects = self.entries.iter().filter_map(|entry| entry.project.as_ref());
        let only = projects.next().cloned().filter(|first| projects.all(|project| project == first));
        let deleted: Vec<&Entry> =
            self.entries.iter().filter(|entry| entry.deleted.is_some() && entry.created).collect();
        let left = self.entries.iter().any(|entry| entry.deleted.is_none() && entry.created);
        if let Some(place) = deleted.iter().filter_map(|entry| entry.deleted).min() {
            let diagnostic = if left {
                let message = match deleted.len() {
                    1 => "the commands delete one resource that they have created: it is left out".to_owned(),
                    count => {
                        format!("the commands delete {count} resources that they have created: these are left out")
                    }
                };
                Diagnostic::note("deleted", message)
            } else {
                Diagnostic::warning(
                    "deleted",
                    "the commands delete all that they have created: nothing is left to simulate",
                )
                .help("leave out the commands that clean up")
            };
            import.push(diagnostic.at(place));
        }
        for entry in self.entries {
            if entry.deleted.is_none() {
                let project = entry.project.or_else(|| only.clone());
                if entry.change && !entry.created {
                    import.add_change(project, entry.kind, entry.node);
                } else {
                    import.add_of(project, entry.kind, entry.node);
                }
            }
        }
    }
}

/// Whose a range is, in words: "subnet `apps` in us-central1".
pub(super) fn owner(kind: Kind, name: &str, region: Option<&str>) -> String {
    match region {
        Some(region) => format!("{} `{name}` in {region}", kind.word()),
        None => format!("{} `{name}`", kind.word()),
    }
}

/// Whether a reference names something: `vpc` or `…/networks/vpc`.
pub(super) fn ends_with(reference: &str, name: &str) -> bool {
    reference.rsplit('/').next() == Some(name)
}
