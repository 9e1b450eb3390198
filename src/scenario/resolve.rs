//! From the file as typed to a checked [`Scenario`]: names become indices, defaults are filled in, and everything that can
//! be known without running is checked.
//!
//! What Google Cloud would reject is an error, what will hurt is a warning (`advice`). Nothing stops at the first
//! finding: an item that cannot be resolved is left out, and references to it are not reported again.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use ipnet::Ipv4Net;

use super::decode::{LostField, nearest};
use super::diagnostic::{Diagnostic, Diagnostics, Place, Sources};
use super::file::ScenarioFile;
use super::tree::Alignment;
use super::value::{At, Cidr, Reference};
use super::{Model, NetworkTier, Scenario};

mod address;
mod advice;
mod allocation;
mod connector;
mod event;
mod events;
mod firewall;
mod forwarding;
mod hosts;
mod hybrid;
mod impairment;
pub(crate) mod ipv6;
mod load;
mod model;
mod nat;
mod network;
mod observed;
mod org_policy;
mod peering;
mod policy_route;
mod requests;
mod route;
mod vm;
mod workload;

pub(crate) use load::host_and_port;

/// Resolves a file that was read from `sources`. `lost_items` and `lost_fields` are what could not be decoded: their absence is no news. With `advise`,
/// warnings about what will hurt are added; after errors they would be guesses.
pub(crate) fn resolve(
    file: &ScenarioFile,
    sources: &Sources,
    lost_items: Vec<(&'static str, String)>,
    lost_fields: Vec<LostField>,
    advise: bool,
) -> (Option<Scenario>, Diagnostics) {
    let mut resolver = Resolver::new(file, sources, lost_items, lost_fields);
    resolver.run();
    resolver.networks();
    resolver.subnetworks();
    resolver.connectors();
    resolver.check_overlaps();
    resolver.addresses();
    resolver.peerings();
    resolver.vms();
    resolver.forwarding_rules();
    resolver.bgp_routers();
    resolver.vpn_tunnels();
    resolver.attachments();
    resolver.routes();
    resolver.policy_routes();
    resolver.firewalls();
    resolver.firewall_policies();
    resolver.gateways();
    resolver.org_policies();
    resolver.workloads();
    resolver.hosts();
    resolver.impairments();
    resolver.ranges_of_outside_hosts();
    resolver.traffic();
    resolver.events();
    resolver.autoscaling();
    resolver.crowds();
    resolver.expectations();
    resolver.observed();
    resolver.not_simulated();
    if advise && !resolver.diagnostics.has_errors() {
        resolver.advise();
    }
    (Some(resolver.out), resolver.diagnostics)
}

/// The state of a resolution: what is done so far, and the names it can be referred to by.
struct Resolver<'a> {
    file: &'a ScenarioFile,
    sources: &'a Sources,
    lost_fields: Vec<LostField>,
    diagnostics: Diagnostics,
    out: Scenario,
    /// The region of everything that says none, if the whole file names one only.
    default_region: Option<String>,
    networks: Names,
    subnetworks: Names,
    addresses: Names,
    connectors: Names,
    firewalls: Names,
    vms: Names,
    gateways: Names,
    routers: Names,
    tunnels: Names,
    attachments: Names,
    forwarding: Names,
    workloads: Names,
    hosts: Names,
    details: Details,
    lookups: route::Lookups,
    /// Policies on egress settings, the project's own first.
    egress_policies: Vec<org_policy::EgressPolicy>,
}

/// What checks need to know beyond the finished scenario; vectors run parallel to those of [`Scenario`].
#[derive(Default)]
struct Details {
    subnetworks: Vec<SubnetworkDetail>,
    gateways: Vec<GatewayDetail>,
    /// VPC firewall rules as written, which patches change.
    firewalls: Vec<super::file::firewall::Firewall>,
    /// Place of each rule, by policy.
    firewall_policies: Vec<Vec<Place>>,
    workloads: Vec<Place>,
    connectors: Vec<Place>,
    /// By workload: the file's own, which deployments change.
    deployed: HashMap<usize, workload::Deployed>,
    /// Workloads whose requests are allocated to revisions by name.
    pinned: HashSet<usize>,
    /// Workloads with manual scaling.
    manual: HashSet<usize>,
    /// By job: tasks and how many at once (0: all), for executions that say neither.
    executions: HashMap<usize, (u32, u32)>,
    /// Place of each load's `to`, then of its rate or count.
    traffic: Vec<(Place, Place)>,
    events: Vec<EventDetail>,
    hosts: Vec<Place>,
    /// What is wrong with links, as far as it is known.
    links: impairment::Links,
    /// Routes, policy-based routes, tunnels, attachments and forwarding rules; what is assumed has the place that names it.
    routes: Vec<Place>,
    policy_routes: Vec<Place>,
    tunnels: Vec<Place>,
    attachments: Vec<Place>,
    forwarding_rules: Vec<Place>,
    /// Reserved addresses by index into the file's list; internal ones have none.
    addresses: Vec<ResolvedAddress>,
    /// Addresses taken by anything that has an external one.
    external: HashSet<Ipv4Addr>,
}

struct SubnetworkDetail {
    place: Place,
    range: Place,
    /// Whether VMs can be in it, so that Cloud NAT serves it.
    hosts_vms: bool,
    /// The automatic subnet of a connector.
    automatic: bool,
}

#[derive(Clone)]
struct GatewayDetail {
    place: Place,
    /// The gateway as written, which patches change.
    nat: super::file::nat::RouterNat,
    /// Its NAT IPs by rule, which patches change, too.
    ips: Vec<nat::RuleIps>,
    /// When its router was made.
    created: Option<String>,
}

/// Places of what an event sets.
#[derive(Debug, Clone, Copy)]
struct EventDetail {
    /// All that it sets.
    set: Place,
    /// `natIps`, else `drainNatIps`.
    nat_ips: Option<Place>,
    rules: Option<Place>,
}

#[derive(Debug, Clone)]
struct ResolvedAddress {
    address: Option<Ipv4Addr>,
    /// The same for internal ones, too.
    value: Option<IpAddr>,
    region: Option<String>,
    tier: NetworkTier,
}

/// Names of one kind of resource: what they refer to, and how to say that they refer to nothing.
#[derive(Debug)]
struct Names {
    /// In words, without article.
    kind: &'static str,
    /// Top-level key that declares them.
    key: &'static str,
    index: HashMap<String, Vec<Known>>,
    /// Names of items that were left out because of their own errors.
    lost: HashSet<String>,
}

#[derive(Debug, Clone)]
struct Known {
    region: Option<String>,
    at: usize,
    place: Place,
}

impl Names {
    fn new(kind: &'static str, key: &'static str, lost: &[(&'static str, String)]) -> Names {
        let lost = lost.iter().filter(|(of, _)| *of == key).map(|(_, name)| name.clone()).collect();
        Names { kind, key, index: HashMap::new(), lost }
    }

    /// Declares a name; equal names are told apart by region, if they have one.
    fn declare(&mut self, name: &At<Reference>, region: Option<&str>, at: usize) -> Result<(), Box<Diagnostic>> {
        let known = self.index.entry(name.name().to_owned()).or_default();
        if let Some(first) = known.iter().find(|known| known.region.as_deref() == region) {
            let within = region.map(|region| format!(" in {region}")).unwrap_or_default();
            return Err(Diagnostic::unusable(
                "duplicate-name",
                format!("two entries of `{}` are named `{}`{within}", self.key, name.name()),
            )
            .at(name.place)
            .related(first.place, "first given here")
            .help("rename or remove one of the two")
            .into());
        }
        known.push(Known { region: region.map(str::to_owned), at, place: name.place });
        Ok(())
    }

    /// What a reference means. `Ok(None)`: something that was left out.
    fn lookup(&self, reference: &At<Reference>, region: Option<&str>) -> Result<Option<usize>, Box<Diagnostic>> {
        let name = reference.name();
        let Some(known) = self.index.get(name) else {
            if self.lost.contains(name) {
                return Ok(None);
            }
            return Err(self.unknown(reference).into());
        };
        let asked = reference.region().or(region);
        match known.iter().find(|known| known.region.as_deref() == asked) {
            Some(known) => Ok(Some(known.at)),
            // What a path says is meant; a region that was only guessed is not.
            None if known.len() == 1 && (reference.region().is_none() || known[0].region.is_none()) => {
                Ok(Some(known[0].at))
            }
            None => {
                let regions: Vec<&str> = known.iter().filter_map(|known| known.region.as_deref()).collect();
                let message = match reference.region() {
                    Some(asked) => format!("{} `{name}` is in {}, not in {asked}", self.kind, regions.join(", ")),
                    None => format!("{} `{name}` could be the one in {}", self.kind, regions.join(" or in ")),
                };
                let help = format!("say which: `regions/{}/{}/{name}`", regions.first().unwrap_or(&"REGION"), self.key);
                Err(Diagnostic::unusable("unknown-reference", message).at(reference.place).help(help).into())
            }
        }
    }

    fn unknown(&self, reference: &At<Reference>) -> Diagnostic {
        let name = reference.name();
        let message = format!("there is no {} `{name}`", self.kind);
        // What was left out because of its own errors may be meant, too.
        let known = self.index.keys().chain(&self.lost).map(String::as_str);
        let help = match nearest(name, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None if self.index.is_empty() => format!("declare it under `{}:`", self.key),
            None => {
                let mut names: Vec<&str> = self.index.keys().map(String::as_str).collect();
                names.sort_unstable();
                names.truncate(8);
                format!("declare it under `{}:`, or use one of {}", self.key, names.join(", "))
            }
        };
        Diagnostic::unusable("unknown-reference", message).at(reference.place).label("not declared").help(help)
    }
}

impl<'a> Resolver<'a> {
    fn new(
        file: &'a ScenarioFile,
        sources: &'a Sources,
        lost: Vec<(&'static str, String)>,
        lost_fields: Vec<LostField>,
    ) -> Resolver<'a> {
        let mut workloads = Names::new("workload", "services", &lost);
        for (key, name) in &lost {
            if matches!(*key, "jobs" | "workerPools" | "functions") {
                workloads.lost.insert(name.clone());
            }
        }
        let mut gateways = Names::new("NAT gateway", "routers[].nats", &[]);
        // A router that was left out takes its gateways along, whose names nobody knows any more.
        if lost.iter().any(|(key, _)| *key == "routers") {
            gateways.lost = patched_gateways(file);
        }
        Resolver {
            file,
            sources,
            lost_fields,
            diagnostics: Diagnostics::default(),
            out: Scenario {
                name: String::new(),
                seed: 1,
                duration: Duration::from_secs(60),
                networks: Vec::new(),
                subnetworks: Vec::new(),
                routes: Vec::new(),
                policy_routes: Vec::new(),
                routers: Vec::new(),
                vpn_tunnels: Vec::new(),
                attachments: Vec::new(),
                forwarding_rules: Vec::new(),
                firewall_rules: Vec::new(),
                firewall_policies: Vec::new(),
                nat_gateways: Vec::new(),
                connectors: Vec::new(),
                workloads: Vec::new(),
                vms: Vec::new(),
                hosts: Vec::new(),
                impairments: Vec::new(),
                traffic: Vec::new(),
                events: Vec::new(),
                model: Model::default(),
                expect: Vec::new(),
                observed: None,
            },
            default_region: only_region(file),
            networks: Names::new("network", "networks", &lost),
            subnetworks: Names::new("subnet", "subnetworks", &lost),
            addresses: Names::new("address", "addresses", &lost),
            connectors: Names::new("connector", "connectors", &lost),
            firewalls: Names::new("firewall rule", "firewalls", &lost),
            vms: Names::new("VM instance", "instances", &lost),
            gateways,
            routers: Names::new("Cloud Router", "routers", &lost),
            tunnels: Names::new("VPN tunnel", "vpnTunnels", &lost),
            attachments: Names::new("Interconnect attachment", "interconnectAttachments", &lost),
            forwarding: Names::new("forwarding rule", "forwardingRules", &lost),
            workloads,
            hosts: Names::new("host", "hosts", &lost),
            details: Details::default(),
            lookups: route::Lookups::default(),
            egress_policies: Vec::new(),
        }
    }

    /// `name`, `seed`, `duration`, `model`.
    fn run(&mut self) {
        let file = self.file;
        self.out.name = file.name.as_ref().map_or_else(|| "scenario".into(), |name| name.value.clone());
        self.out.seed = file.seed.as_ref().map_or(1, |seed| seed.value);
        if let Some(duration) = &file.duration {
            if duration.0.is_zero() {
                self.push(
                    Diagnostic::unusable("out-of-range", "a run of no time at all")
                        .at(duration.place)
                        .help("give `duration` more than 0s"),
                );
            }
            self.out.duration = duration.0;
        }
        self.model();
    }

    fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Unwraps, or reports and gives nothing.
    fn ok<T>(&mut self, result: Result<T, Box<Diagnostic>>) -> Option<T> {
        result.map_err(|diagnostic| self.push(*diagnostic)).ok()
    }

    /// Whether a field of an item was written, but could not be read: then its absence must not be reported.
    fn is_lost(&self, item: Place, field: &str) -> bool {
        self.lost_fields.iter().any(|lost| lost.field == field && item.contains(lost.place))
    }

    /// Whether something within a place could not be read, which is an error by itself.
    fn has_lost(&self, place: Place) -> bool {
        self.lost_fields.iter().any(|lost| place.contains(lost.place))
    }

    /// The places of a text's parts.
    fn parts(&self, text: &At<String>) -> Parts {
        let Place { file, start, end } = text.place;
        let raw = self.sources.text(file).get(start as usize..end as usize).unwrap_or_default();
        Parts { whole: text.place, alignment: Alignment::new(raw, &text.value) }
    }

    /// A number within bounds; what is outside, Google would reject.
    fn bounded(&mut self, value: &At<i64>, range: RangeInclusive<i64>, what: &str) -> Option<i64> {
        if range.contains(&value.value) {
            return Some(value.value);
        }
        let message = format!("{what} is {}, expected {} to {}", value.value, range.start(), range.end());
        self.push(Diagnostic::rejected("out-of-range", message).at(value.place));
        None
    }

    /// The IPv4 range of a field, with a warning if bits beyond the prefix are set.
    fn range(&mut self, cidr: &At<Cidr>) -> Option<Ipv4Net> {
        let net = cidr.v4()?;
        if cidr.has_host_bits() {
            let message = format!("{} has bits set beyond its prefix, {net} is taken", cidr.value);
            self.push(Diagnostic::warning("host-bits", message).at(cidr.place).help(format!("write {net}")));
        }
        Some(net)
    }

    /// As [`Resolver::range`], for a field that an item must have.
    fn required_range(
        &mut self,
        cidr: Option<&At<Cidr>>,
        item: &At<Reference>,
        place: Place,
        field: &str,
    ) -> Option<Ipv4Net> {
        let Some(cidr) = cidr else {
            if !self.is_lost(place, field) {
                let message = format!("`{}` needs the field `{field}`", item.name());
                self.push(Diagnostic::unusable("missing-field", message).at(item.place));
            }
            return None;
        };
        let range = self.range(cidr);
        if range.is_none() {
            let message = format!("{field} of `{}` is an IPv6 range, only IPv4 is simulated", item.name());
            self.push(Diagnostic::warning("not-simulated", message).at(cidr.place));
        }
        range
    }

    /// The region of a resource: its field, else its name's path, else the only one there is.
    fn region(&mut self, field: Option<&At<Reference>>, name: &At<Reference>, item: Place) -> Option<String> {
        if let Some(region) = field {
            return Some(region.name().to_owned());
        }
        if let Some(region) = name.region().or(self.default_region.as_deref()) {
            return Some(region.to_owned());
        }
        if !self.is_lost(item, "region") {
            let message = format!("`{}` says no region, and the scenario has several", name.name());
            self.push(Diagnostic::unusable("missing-field", message).at(name.place).help("add `region:`"));
        }
        None
    }
}

/// A text in which parts have places.
struct Parts {
    whole: Place,
    alignment: Option<Alignment>,
}

impl Parts {
    /// The place of a part, of which `part` counts the bytes; all of the text where that cannot be told.
    fn place(&self, part: Range<usize>) -> Place {
        let Some(alignment) = &self.alignment else { return self.whole };
        let part = alignment.part(part);
        let start = self.whole.start;
        Place { file: self.whole.file, start: start + part.start as u32, end: start + part.end as u32 }
    }
}

/// The region that a whole file is about: the only one it names; `us-central1` when it names none, for then it does not
/// matter.
fn only_region(file: &ScenarioFile) -> Option<String> {
    let mut regions = HashSet::new();
    let mut add = |field: Option<&At<Reference>>, name: Option<&At<Reference>>| {
        let region = field.map(|region| region.name()).or_else(|| name.and_then(|name| name.region()));
        regions.extend(region.map(str::to_owned));
    };
    for subnetwork in &file.subnetworks {
        add(subnetwork.region.as_ref(), Some(&subnetwork.name));
    }
    for router in &file.routers {
        add(router.region.as_ref(), Some(&router.name));
    }
    for connector in &file.connectors {
        add(connector.region.as_ref(), Some(&connector.name));
    }
    for service in &file.services {
        add(service.region.as_ref(), Some(&service.name));
    }
    for job in &file.jobs {
        add(job.region.as_ref(), Some(&job.name));
    }
    for pool in &file.worker_pools {
        add(pool.region.as_ref(), Some(&pool.name));
    }
    for function in &file.functions {
        add(function.region.as_ref(), Some(&function.name));
    }
    for tunnel in &file.vpn_tunnels {
        add(tunnel.region.as_ref(), Some(&tunnel.name));
    }
    for attachment in &file.interconnect_attachments {
        add(attachment.region.as_ref(), Some(&attachment.name));
    }
    match regions.len() {
        0 => Some("us-central1".into()),
        1 => regions.into_iter().next(),
        _ => None,
    }
}

fn patched_gateways(file: &ScenarioFile) -> HashSet<String> {
    let patches = file.events.iter().filter_map(|event| event.patch_nat.as_ref());
    patches.map(|patch| patch.gateway.name().to_owned()).collect()
}
