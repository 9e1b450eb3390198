//! What is referred to and not described.
//!
//! Nobody exports everything: a plan names a network that another team owns, a manifest only a connector's name. What is
//! missing is made up, as plainly as possible, so that the rest can be traced; each time a note says what was assumed, at
//! the place that made it necessary, and which command would tell the truth. What Google itself makes is known: the subnets
//! of auto mode networks and the firewall rules of the network `default` ([`auto_mode`]).

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::path;
use super::{Kind, Resource, auto_mode};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::tree::{Build, Entry, Node};

/// The region that is assumed when nothing names any. The guide behind the built-in scenario is there, as most of Google's
/// examples are.
const REGION: &str = "us-central1";
/// The network of what says none, when there is not exactly one.
const NETWORK: &str = "unknown-network";
/// Where made-up subnets are looked for: a part of 10.0.0.0/8 above what auto mode networks take would be 10.255…; this one
/// is in nobody's examples.
const SUBNETS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 99, 0, 0), 16);
/// Where ranges of made-up connectors are looked for: the range of Google's own examples first.
const CONNECTORS: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 8, 0, 0), 16);

/// Adds what is missing to resources that were read. `own` is what a scenario that includes them describes itself, some of it
/// among the resources: what a text of `by_hand` refers to must be there, as in any scenario.
pub(super) fn complete(
    resources: &mut Vec<Resource>,
    own: &[Entry],
    by_hand: &HashSet<FileId>,
    build: &mut Build,
    report: &mut Vec<Diagnostic>,
) {
    let mut assumer = Assumer { known: Known::default(), made: Vec::new(), by_hand, build, report };
    for resource in resources.iter() {
        assumer.known.describe(resource.kind, &resource.node);
    }
    for entry in own {
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.key() == &*entry.key.name) {
            entry.value.items().iter().for_each(|item| assumer.known.describe(kind, item));
        }
    }
    assumer.regions(resources);
    // Each step may need what the next one makes: a made-up connector needs a network.
    let mut at = 0;
    assumer.workloads(resources);
    resources.append(&mut assumer.made);
    while at < resources.len() {
        let end = resources.len();
        for resource in &mut resources[at..end] {
            assumer.resource(resource);
        }
        at = end;
        resources.append(&mut assumer.made);
    }
    assumer.automatic_subnets(resources);
    assumer.default_rules(resources);
    resources.append(&mut assumer.made);
}

/// What is described, by kind and name.
#[derive(Default)]
struct Known {
    names: HashMap<(Kind, String), Vec<Option<String>>>,
    /// Networks that have a subnet in each region.
    auto_mode: HashSet<String>,
    networks: Vec<String>,
    regions: HashSet<String>,
    /// The network of a subnet that only the network's own list names: by name and region.
    subnet_of: HashMap<(String, String), String>,
    ranges: Vec<Ipv4Net>,
    /// How far free ranges of a length have been looked for.
    searched: HashMap<(Ipv4Net, u8), usize>,
    /// Addresses of VMs by subnet.
    addresses: HashMap<String, Vec<Ipv4Addr>>,
    firewalled: HashSet<String>,
    /// Subnets that are a connector's, which must be a /28.
    of_connectors: HashSet<String>,
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).and_then(Node::text).filter(|text| !text.is_empty())
}

/// The last segment.
fn bare(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}

/// The region of a resource: its own, or that of its zone.
fn region_of(node: &Node) -> Option<&str> {
    text(node, "region")
        .or_else(|| {
            let zone = text(node, "zone")?;
            Some(path::location(zone).rsplit_once('-')?.0)
        })
        .map(path::location)
}

impl Known {
    fn describe(&mut self, kind: Kind, node: &Node) {
        let Some(name) = text(node, "name").map(bare) else { return };
        let region = region_of(node).map(str::to_owned);
        self.regions.extend(region.clone());
        self.names.entry((kind, name.to_owned())).or_default().push(region);
        let range = |node: &Node| text(node, "ipCidrRange").and_then(|range| range.parse::<Ipv4Net>().ok());
        self.ranges.extend(range(node));
        match kind {
            Kind::Network => {
                // Two are as many as anybody asks for: whether there is only one.
                if self.networks.len() < 2 && !self.networks.iter().any(|known| known == name) {
                    self.networks.push(name.to_owned());
                }
                // Every project begins with this one, and few change what it is.
                let automatic = text(node, "autoCreateSubnetworks").or((name == "default").then_some("true"));
                if automatic == Some("true") {
                    self.auto_mode.insert(name.to_owned());
                }
                for subnet in node.get("subnetworks").map_or(&[][..], Node::items).iter().filter_map(Node::text) {
                    if let Some(path) = path::parse(subnet) {
                        let region = path.location.unwrap_or_default().to_owned();
                        self.subnet_of.insert((path.name.to_owned(), region), name.to_owned());
                    }
                }
            }
            Kind::Subnetwork => {
                self.ranges.extend(node.get("secondaryIpRanges").map_or(&[][..], Node::items).iter().filter_map(range));
            }
            Kind::Instance => {
                for interface in node.get("networkInterfaces").map_or(&[][..], Node::items) {
                    let address = text(interface, "networkIP").and_then(|address| address.parse().ok());
                    if let (Some(subnet), Some(address)) = (text(interface, "subnetwork"), address) {
                        self.addresses.entry(bare(subnet).to_owned()).or_default().push(address);
                    }
                }
            }
            Kind::Connector => {
                let subnet = node.at_path(&["subnet", "name"]).and_then(Node::text);
                self.of_connectors.extend(subnet.map(|subnet| bare(subnet).to_owned()));
            }
            Kind::Firewall => {
                self.firewalled.extend(text(node, "network").map(|network| bare(network).to_owned()));
            }
            _ => {}
        }
    }

    /// Whether a resource of this name is described, in this region if that is told.
    fn has(&self, kind: Kind, name: &str, region: Option<&str>) -> bool {
        self.names.get(&(kind, name.to_owned())).is_some_and(|regions| {
            let fits = |there: &Option<String>| region.is_none() || there.is_none() || there.as_deref() == region;
            regions.iter().any(fits)
        })
    }

    fn only_region(&self) -> Option<&str> {
        let mut regions = self.regions.iter();
        regions.next().filter(|_| regions.next().is_none()).map(String::as_str)
    }

    fn free_range(&mut self, within: Ipv4Net, length: u8) -> Ipv4Net {
        let taken = |range: &Ipv4Net| {
            self.ranges.iter().any(|other| other.contains(&range.network()) || range.contains(&other.network()))
        };
        // Those before the last one found are taken.
        let from = self.searched.get(&(within, length)).copied().unwrap_or_default();
        let candidates = within.subnets(length).expect("a longer prefix than the range that is searched");
        let found = candidates.enumerate().skip(from).find(|(_, range)| !taken(range));
        let (at, range) = found.unwrap_or((usize::MAX - 1, within));
        self.searched.insert((within, length), at + 1);
        range
    }
}

struct Assumer<'a> {
    known: Known,
    made: Vec<Resource>,
    by_hand: &'a HashSet<FileId>,
    build: &'a mut Build,
    report: &'a mut Vec<Diagnostic>,
}

impl Assumer<'_> {
    fn note(&mut self, code: &'static str, message: String, place: Place, help: &str) {
        self.report.push(Diagnostic::note(code, message).at(place).help(help));
    }

    fn make(&mut self, kind: Kind, place: Place, fields: Vec<(&'static str, String)>) {
        let fields: Vec<_> = fields.into_iter().map(|(key, value)| (key, self.build.text(place, value))).collect();
        let node = self.build.mapping(place, fields);
        self.known.describe(kind, &node);
        self.made.push(Resource { kind, node, project: None, change: false });
    }

    /// Gives a region to what needs one and says none: a workload that of its connector or subnet; the only one there is
    /// everything else's, as in any scenario.
    fn regions(&mut self, resources: &mut [Resource]) {
        if self.known.only_region().is_some() {
            return;
        }
        let regional = [
            Kind::Subnetwork,
            Kind::Router,
            Kind::Connector,
            Kind::Service,
            Kind::Job,
            Kind::WorkerPool,
            Kind::Function,
        ];
        let none_named = self.known.regions.is_empty();
        let (mut told, mut named) = (false, HashSet::new());
        for resource in resources.iter_mut().filter(|resource| regional.contains(&resource.kind)) {
            if text(&resource.node, "region").is_some()
                || text(&resource.node, "name").is_some_and(|name| name.contains('/'))
            {
                continue;
            }
            let place = resource.node.get("name").map_or(resource.node.place, |name| name.place);
            let attached = attachment(&resource.node).and_then(|attachment| self.region_of_attachment(&attachment));
            // With several regions there is nothing to choose by.
            if attached.is_none() && !none_named {
                continue;
            }
            let assumed = attached.is_none();
            let region = attached.unwrap_or_else(|| REGION.to_owned());
            let node = self.build.text(place, &region);
            resource.node.put("region", node);
            if assumed && !told {
                told = true;
                let message = format!("nothing says which region this is: assumed {region} for everything");
                self.note("assumed-region", message, place, "add `region:` to the result");
            }
            named.insert(region);
        }
        if none_named {
            self.known.regions.extend(named);
        }
    }

    fn region_of_attachment(&self, attachment: &Attachment) -> Option<String> {
        let (kind, name) = match attachment {
            Attachment::Connector(node) => (Kind::Connector, node.text()?),
            Attachment::Interface { subnetwork, network } => {
                (Kind::Subnetwork, subnetwork.as_ref().or(network.as_ref())?.text()?)
            }
        };
        if let Some(region) = path::parse(name).and_then(|path| path.location) {
            return Some(region.to_owned());
        }
        match self.known.names.get(&(kind, bare(name).to_owned()))?.as_slice() {
            [only] => only.clone(),
            _ => None,
        }
    }

    /// Connectors and subnets that workloads name.
    fn workloads(&mut self, resources: &[Resource]) {
        for resource in resources.iter().filter(|resource| !self.by_hand.contains(&resource.node.place.file)) {
            let region =
                region_of(&resource.node).map(str::to_owned).or_else(|| self.known.only_region().map(str::to_owned));
            match attachment(&resource.node) {
                Some(Attachment::Connector(node)) => self.connector(&node, region.as_deref()),
                Some(Attachment::Interface { network, subnetwork }) => {
                    self.interface(network.as_ref(), subnetwork.as_ref(), region.as_deref());
                }
                None => {}
            }
        }
    }

    fn connector(&mut self, node: &Node, region: Option<&str>) {
        let Some(reference) = node.text().filter(|text| !text.is_empty()) else { return };
        let name = bare(reference).to_owned();
        let named = path::parse(reference).and_then(|path| path.location);
        let Some(region) = named.or(region) else { return };
        if self.known.has(Kind::Connector, &name, Some(region)) {
            return;
        }
        let network = self.network_of_unknown();
        let range = self.known.free_range(CONNECTORS, 28);
        let message = format!("the connector `{name}` is not described: assumed {range} in the network `{network}`");
        let help = "import what `gcloud compute networks vpc-access connectors describe` prints, too";
        self.note("assumed-connector", message, node.place, help);
        let fields = vec![
            ("name", name),
            ("region", region.to_owned()),
            ("network", network),
            ("ipCidrRange", range.to_string()),
        ];
        self.make(Kind::Connector, node.place, fields);
    }

    /// The network of what says none.
    fn network_of_unknown(&self) -> String {
        match self.known.networks.as_slice() {
            [only] => only.clone(),
            _ => NETWORK.to_owned(),
        }
    }

    fn network(&mut self, node: &Node) {
        let Some(name) = node.text().map(bare).filter(|name| !name.is_empty()).map(str::to_owned) else { return };
        if self.known.has(Kind::Network, &name, None) {
            return;
        }
        let mut fields = vec![("name", name.clone())];
        let message = if name == "default" {
            // What every project begins with.
            fields.push(("autoCreateSubnetworks", "true".to_owned()));
            "the network `default` is not described: assumed as Google makes it, in auto mode".to_owned()
        } else {
            format!(
                "the network `{name}` is not described: assumed with a default route, MTU 1460 and no firewall rules"
            )
        };
        let help = "import what `gcloud compute networks describe` and `… firewall-rules list` print, too";
        self.note("assumed-network", message, node.place, help);
        self.make(Kind::Network, node.place, fields);
    }

    fn interface(&mut self, network: Option<&Node>, subnetwork: Option<&Node>, region: Option<&str>) {
        if let Some(network) = network {
            self.network(network);
        }
        // A network alone means the subnet of the same name.
        let Some(node) = subnetwork.or(network) else { return };
        let network = network.and_then(Node::text).map(|network| bare(network).to_owned());
        self.subnetwork(node, network, region);
    }

    fn subnetwork(&mut self, node: &Node, network: Option<String>, region: Option<&str>) {
        self.subnetwork_of(node, network, region, SUBNETS, 24);
    }

    /// Makes a subnet up; without better knowledge its range is a free one of a length.
    fn subnetwork_of(
        &mut self,
        node: &Node,
        network: Option<String>,
        region: Option<&str>,
        within: Ipv4Net,
        length: u8,
    ) {
        let Some(reference) = node.text().filter(|text| !text.is_empty()) else { return };
        let name = bare(reference).to_owned();
        let named = path::parse(reference).and_then(|path| path.location).map(str::to_owned);
        let region =
            named.or_else(|| region.map(str::to_owned)).or_else(|| self.known.only_region().map(str::to_owned));
        if self.known.has(Kind::Subnetwork, &name, region.as_deref()) {
            return;
        }
        let region = region.unwrap_or_else(|| REGION.to_owned());
        let listed = self.known.subnet_of.get(&(name.clone(), region.clone())).cloned();
        let network = network.or(listed).unwrap_or_else(|| {
            let same = name == "default" || self.known.auto_mode.contains(&name);
            if same { name.clone() } else { self.network_of_unknown() }
        });
        let network_node = self.build.text(node.place, &network);
        self.network(&network_node);
        let of_vms = self.known.addresses.get(&name).and_then(|addresses| covering(addresses));
        let automatic =
            auto_mode::range(&region).filter(|_| self.known.auto_mode.contains(&network) && network == name);
        let help = "import what `gcloud compute networks subnets list --format=json` prints, too";
        let (range, message) = match (automatic, of_vms) {
            (Some(range), _) => {
                let message = format!("the subnet `{name}` in {region} is {range}, as in every auto mode network");
                (range.to_owned(), message)
            }
            (None, Some(range)) => {
                let message = format!(
                    "the subnet `{name}` is not described: assumed {range}, which holds the addresses of its VMs"
                );
                (range.to_string(), message)
            }
            (None, None) => {
                let range = self.known.free_range(within, length);
                (range.to_string(), format!("the subnet `{name}` is not described: assumed {range}, made up"))
            }
        };
        self.note("assumed-subnet", message, node.place, help);
        let fields = vec![("name", name), ("network", network), ("region", region), ("ipCidrRange", range)];
        self.make(Kind::Subnetwork, node.place, fields);
    }

    /// What one resource refers to.
    fn resource(&mut self, resource: &mut Resource) {
        if self.by_hand.contains(&resource.node.place.file) {
            return;
        }
        let region = region_of(&resource.node).map(str::to_owned);
        let region = region.or_else(|| self.known.only_region().map(str::to_owned));
        let node = &mut resource.node;
        match resource.kind {
            Kind::Router => {
                self.missing_network(node, "router");
                let network = text(node, "network").map(|network| bare(network).to_owned());
                for nat in node.get("nats").map_or(&[][..], Node::items) {
                    self.gateway(nat, network.as_deref(), region.as_deref());
                }
            }
            Kind::Connector => {
                if node.get("subnet").is_none() && text(node, "ipCidrRange").is_none() {
                    self.range(node, "connector", CONNECTORS, 28);
                }
                if text(node, "network").is_some() {
                    self.named_network(node);
                } else if node.get("subnet").is_none() {
                    self.missing_network(node, "connector");
                } else if let Some(subnet) = node.at_path(&["subnet", "name"]) {
                    self.subnetwork_of(subnet, None, region.as_deref(), CONNECTORS, 28);
                }
            }
            Kind::Instance => {
                for interface in node.get("networkInterfaces").map_or(&[][..], Node::items) {
                    let (network, subnetwork) = (interface.get("network"), interface.get("subnetwork"));
                    self.interface(network, subnetwork, region.as_deref());
                }
            }
            Kind::Subnetwork => {
                self.missing_network(node, "subnet");
                if text(node, "ipCidrRange").is_none() && text(node, "stackType") != Some("IPV6_ONLY") {
                    let of_connector =
                        text(node, "name").is_some_and(|name| self.known.of_connectors.contains(bare(name)));
                    let (within, length) = if of_connector { (CONNECTORS, 28) } else { (SUBNETS, 24) };
                    self.range(node, "subnet", within, length);
                }
            }
            Kind::Route | Kind::Firewall | Kind::PolicyBasedRoute | Kind::ForwardingRule | Kind::Address => {
                self.named_network(node)
            }
            _ => {}
        }
    }

    /// Makes sure that the network of something is said, and described.
    fn missing_network(&mut self, node: &mut Node, what: &str) {
        if text(node, "network").is_none() {
            let name = node.get("name");
            let place = name.map_or(node.place, |name| name.place);
            let named = name.and_then(Node::text).map(bare).unwrap_or_default().to_owned();
            let listed = self.known.subnet_of.iter().find(|((subnet, _), _)| *subnet == named);
            let network = match listed.filter(|_| what == "subnet") {
                Some((_, network)) => network.clone(),
                None if what == "subnet" && named == "default" => named.clone(),
                None => self.network_of_unknown(),
            };
            let message = format!("nothing says which network the {what} `{named}` is in: assumed `{network}`");
            let help = format!("import what `gcloud compute …` describes of the {what}, too");
            self.note("assumed-network", message, place, &help);
            let network = self.build.text(place, network);
            node.put("network", network);
        }
        self.named_network(node);
    }

    /// Gives a subnet or connector a range, of which nothing was read.
    fn range(&mut self, node: &mut Node, what: &str, within: Ipv4Net, length: u8) {
        let name = node.get("name");
        let place = name.map_or(node.place, |name| name.place);
        let name = name.and_then(Node::text).map(bare).unwrap_or_default().to_owned();
        let region = region_of(node).map(str::to_owned).or_else(|| self.known.only_region().map(str::to_owned));
        let network = text(node, "network").map(bare);
        let automatic = network.filter(|network| what == "subnet" && self.known.auto_mode.contains(*network));
        let automatic = automatic.filter(|network| *network == name).and_then(|_| auto_mode::range(region.as_deref()?));
        let of_vms = self.known.addresses.get(&name).and_then(|addresses| covering(addresses));
        let range = match (automatic, of_vms) {
            (Some(range), _) => range.to_owned(),
            (None, Some(range)) if what == "subnet" => range.to_string(),
            (None, _) => self.known.free_range(within, length).to_string(),
        };
        let why = match (automatic, of_vms) {
            (Some(_), _) => "as in every auto mode network",
            (None, Some(_)) if what == "subnet" => "which holds the addresses of its VMs",
            (None, _) => "made up",
        };
        let code = if what == "subnet" { "assumed-subnet" } else { "assumed-connector" };
        let message = format!("the range of the {what} `{name}` is not known: assumed {range}, {why}");
        self.note(code, message, place, "import what describes it, too");
        let range = self.build.text(place, range);
        node.put("ipCidrRange", range);
    }

    fn named_network(&mut self, node: &Node) {
        if let Some(network) = node.get("network") {
            self.network(network);
        }
    }

    fn gateway(&mut self, nat: &Node, network: Option<&str>, region: Option<&str>) {
        for subnet in nat.get("subnetworks").map_or(&[][..], Node::items) {
            if let Some(name) = subnet.get("name") {
                self.subnetwork(name, network.map(str::to_owned), region);
            }
        }
        let rules = nat.get("rules").map_or(&[][..], Node::items).iter().filter_map(|rule| rule.get("action"));
        let lists = ["natIps", "drainNatIps"].into_iter().filter_map(|key| nat.get(key));
        let of_rules = rules.flat_map(|action| {
            ["sourceNatActiveIps", "sourceNatDrainIps"].into_iter().filter_map(|key| action.get(key))
        });
        for address in lists.chain(of_rules).flat_map(Node::items) {
            self.address(address, region);
        }
    }

    fn address(&mut self, node: &Node, region: Option<&str>) {
        let Some(name) = node.text().map(bare).filter(|name| !name.is_empty()) else { return };
        let literal = name.parse::<Ipv4Addr>().is_ok();
        if literal || self.known.has(Kind::Address, name, region) {
            return;
        }
        let mut fields = vec![("name", name.to_owned())];
        fields.extend(region.map(|region| ("region", region.to_owned())));
        fields.push(("addressType", "EXTERNAL".to_owned()));
        let message = format!("the address `{name}` is not described: it gets one from a documentation range");
        let help = "import what `gcloud compute addresses list --format=json` prints, too";
        self.note("assumed-address", message, node.place, help);
        self.make(Kind::Address, node.place, fields);
    }

    /// The subnets of auto mode networks in the regions that anything is in.
    fn automatic_subnets(&mut self, resources: &[Resource]) {
        let mut regions: Vec<String> = self.known.regions.iter().cloned().collect();
        regions.sort();
        for resource in resources.iter().filter(|resource| resource.kind == Kind::Network) {
            let Some(name) = resource.node.get("name") else { continue };
            if !name.text().is_some_and(|name| self.known.auto_mode.contains(name)) {
                continue;
            }
            for region in &regions {
                if auto_mode::range(region).is_some() {
                    let network = name.text().map(str::to_owned);
                    self.subnetwork(name, network, Some(region));
                }
            }
        }
    }

    /// The firewall rules of a network `default` that was assumed, unless some were read.
    fn default_rules(&mut self, resources: &[Resource]) {
        let assumed = |resource: &&Resource| {
            resource.kind == Kind::Network
                && text(&resource.node, "name") == Some("default")
                && resource.node.entries().len() <= 2
                && text(&resource.node, "autoCreateSubnetworks") != Some("false")
        };
        let Some(network) = resources.iter().find(assumed).filter(|_| !self.known.firewalled.contains("default"))
        else {
            return;
        };
        let place = network.node.place;
        for rule in auto_mode::DEFAULT_RULES {
            let build = &mut *self.build;
            let allowed: Vec<Node> = rule
                .allowed
                .iter()
                .map(|(protocol, ports)| {
                    let mut fields = vec![("IPProtocol", build.text(place, protocol))];
                    if let Some(ports) = ports {
                        let ports = vec![build.text(place, ports)];
                        fields.push(("ports", build.list(place, ports)));
                    }
                    build.mapping(place, fields)
                })
                .collect();
            let source = vec![build.text(place, rule.source)];
            let fields = vec![
                ("name", build.text(place, rule.name)),
                ("network", build.text(place, "default")),
                ("direction", build.text(place, "INGRESS")),
                ("priority", build.text(place, "65534")),
                ("sourceRanges", build.list(place, source)),
                ("allowed", build.list(place, allowed)),
            ];
            let node = build.mapping(place, fields);
            self.made.push(Resource { kind: Kind::Firewall, node, project: None, change: false });
        }
    }
}

/// How a workload reaches a VPC network.
enum Attachment {
    Connector(Node),
    Interface { network: Option<Node>, subnetwork: Option<Node> },
}

fn attachment(node: &Node) -> Option<Attachment> {
    let access =
        node.at_path(&["template", "vpcAccess"]).or_else(|| node.at_path(&["template", "template", "vpcAccess"]));
    let connector = access.and_then(|access| access.get("connector"));
    if let Some(connector) = connector.or_else(|| node.at_path(&["serviceConfig", "vpcConnector"])) {
        return Some(Attachment::Connector(connector.clone()));
    }
    let interfaces = access.and_then(|access| access.get("networkInterfaces"));
    let interfaces = interfaces.or_else(|| node.at_path(&["serviceConfig", "directVpcNetworkInterface"]))?;
    let interface = interfaces.items().first()?;
    let filled =
        |key: &str| interface.get(key).filter(|node| node.text().is_some_and(|text| !text.is_empty())).cloned();
    Some(Attachment::Interface { network: filled("network"), subnetwork: filled("subnetwork") })
}

/// The smallest range of at least a /24 that holds all addresses.
fn covering(addresses: &[Ipv4Addr]) -> Option<Ipv4Net> {
    let first = *addresses.first()?;
    let fits = |length: &u8| {
        Ipv4Net::new(first, *length).is_ok_and(|range| addresses.iter().all(|address| range.trunc().contains(address)))
    };
    let length = (8..=24).rev().find(fits)?;
    Some(Ipv4Net::new(first, length).ok()?.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::diagnostic::Sources;
    use crate::scenario::tree;

    /// What is made up for resources written as a scenario has them: kind, name, range; and the findings' codes.
    fn made(text: &str) -> (Vec<String>, Vec<&'static str>) {
        let (mut sources, mut report, mut build) = (Sources::default(), Vec::new(), Build::default());
        let file = sources.add("t", text);
        let root = tree::parse(text, file, &mut report).expect("YAML").expect("a document");
        let mut resources = Vec::new();
        for entry in root.entries() {
            let kind = Kind::of_collection(&entry.key.name).expect("a kind");
            let items = entry.value.items().iter().cloned();
            resources.extend(items.map(|node| Resource { kind, node, project: None, change: false }));
        }
        let given = resources.len();
        complete(&mut resources, &[], &HashSet::new(), &mut build, &mut report);
        let line = |resource: &Resource| {
            let fields = ["name", "region", "network", "ipCidrRange"];
            let fields = fields.iter().filter_map(|key| text_of(&resource.node, key));
            format!("{} {}", resource.kind.key(), fields.collect::<Vec<_>>().join(" "))
        };
        (resources[given..].iter().map(line).collect(), report.iter().map(|finding| finding.code).collect())
    }

    fn text_of<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
        text(node, key)
    }

    #[test]
    fn a_described_network_needs_nothing() {
        let text = "networks: [{name: vpc}]\n\
             subnetworks: [{name: apps, region: r1, network: vpc, ipCidrRange: 10.9.0.0/26}]\n\
             services: [{name: api, region: r1, template: {vpcAccess: {networkInterfaces: [{subnetwork: apps}]}}}]\n";
        assert_eq!(made(text), (Vec::new(), Vec::new()));
    }

    #[test]
    fn a_connector_alone_gets_a_range_a_network_and_a_region() {
        let text = "services: [{name: api, template: {vpcAccess: {connector: conn}}}]\n";
        let expected =
            ["connectors conn us-central1 unknown-network 10.8.0.0/28", "networks unknown-network"].map(String::from);
        assert_eq!(made(text), (expected.into(), vec!["assumed-region", "assumed-connector", "assumed-network"]));
    }

    #[test]
    fn the_default_network_is_as_google_makes_it() {
        let text = "services: [{name: api, region: europe-west4, template: {vpcAccess: {networkInterfaces: \
             [{network: default}]}}}]\n";
        let (made, codes) = made(text);
        assert_eq!(made[..2], ["networks default", "subnetworks default europe-west4 default 10.164.0.0/20"]);
        let rules: Vec<&str> = made[2..].iter().filter_map(|line| line.split(' ').nth(1)).collect();
        assert_eq!(rules, ["default-allow-internal", "default-allow-ssh", "default-allow-rdp", "default-allow-icmp"]);
        assert_eq!(codes, ["assumed-network", "assumed-subnet"]);
    }

    #[test]
    fn the_subnet_of_vms_holds_their_addresses() {
        let text = "networks: [{name: vpc, subnetworks: [regions/r1/subnetworks/apps]}, {name: other}]\n\
             instances:\n\
             - {name: a, zone: r1-b, networkInterfaces: [{subnetwork: regions/r1/subnetworks/apps, networkIP: 172.16.1.2}]}\n\
             - {name: b, zone: r1-b, networkInterfaces: [{subnetwork: regions/r1/subnetworks/apps, networkIP: 172.16.2.9}]}\n";
        assert_eq!(made(text), (vec!["subnetworks apps r1 vpc 172.16.0.0/22".into()], vec!["assumed-subnet"]));
    }

    #[test]
    fn a_gateway_gets_its_addresses_and_its_router_a_network() {
        let text = "networks: [{name: vpc}]\nrouters: [{name: r, region: r1, nats: [{name: n, natIps: \
             [regions/r1/addresses/ip-1, 203.0.113.9], rules: [{action: {sourceNatActiveIps: [ip-1, ip-2]}}]}]}]\n";
        let (made, codes) = made(text);
        assert_eq!(made, ["addresses ip-1 r1", "addresses ip-2 r1"]);
        assert_eq!(codes, ["assumed-network", "assumed-address", "assumed-address"]);
    }

    #[test]
    fn a_connectors_subnet_without_a_range_gets_a_28() {
        let text = "networks: [{name: vpc}]\nsubnetworks: [{name: s, region: r1, network: vpc}]\n\
             connectors: [{name: c, region: r1, subnet: {name: s}}]\n";
        let (mut sources, mut report, mut build) = (Sources::default(), Vec::new(), Build::default());
        let file = sources.add("t", text);
        let root = tree::parse(text, file, &mut report).expect("YAML").expect("a document");
        let of = |entry: &Entry| {
            let kind = Kind::of_collection(&entry.key.name).expect("a kind");
            let items = entry.value.items().iter().cloned();
            items.map(move |node| Resource { kind, node, project: None, change: false }).collect::<Vec<_>>()
        };
        let mut resources: Vec<Resource> = root.entries().iter().flat_map(of).collect();
        complete(&mut resources, &[], &HashSet::new(), &mut build, &mut report);
        assert_eq!(text_of(&resources[1].node, "ipCidrRange"), Some("10.8.0.0/28"));
    }

    #[test]
    fn a_workload_takes_the_region_of_its_connector() {
        let text = "networks: [{name: vpc}]\n\
             connectors: [{name: c, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}, \
             {name: d, region: r2, network: vpc, ipCidrRange: 10.8.0.16/28}]\n\
             services: [{name: api, template: {vpcAccess: {connector: d}}}]\n";
        assert_eq!(made(text), (Vec::new(), Vec::new()));
    }
}
