//! What goes wrong on links and at servers: `impairments[]`, the fields of hosts, and the events that change both.
//!
//! Hosts have their impairments among their own fields, other links in a list; either way they end as one entry a place,
//! with both directions. Events are resolved in the order of time, each on what those before it have left.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::impairment::{self as file, Direction, JitterDistribution, LinkSet, link_set};
use crate::scenario::file::simulation;
use crate::scenario::value::{At, Dur, QueueSize, Reference};
use crate::scenario::{Attachment, Change, Host, IdleClose, ImpairedLinks, ImpairedPlace, ServerReset, ServerSettings};
use crate::topology::{Bandwidth, BurstLoss, Distribution, Impairments, Jitter, Mtu, QueueLimit, Reorder};

/// Of eight packets, which a small request and its answer take, one is lost every third time if each is with this
/// probability: 1 - 0.95^8 = 0.34.
const MUCH_LOSS: f64 = 0.05;
/// How long a queue is that nobody has described. Assumed.
const QUEUE: Duration = Duration::from_millis(50);
/// Bytes of a full packet of Cloud Run's, whose MTU is this.
const FULL_PACKET: u64 = 1_460;
/// RFC 791: what every link takes.
const SMALLEST_MTU: i64 = 68;

/// What is known of links while events are resolved.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// Outbound and inbound.
    now: BTreeMap<ImpairedPlace, [Impairments; 2]>,
    outages: Vec<(ImpairedPlace, Duration, Place)>,
}

/// The references of which exactly one is given.
type Places<'a> = [(&'static str, Option<&'a At<Reference>>); 5];

macro_rules! places {
    ($of:expr) => {
        [
            ("host", $of.host.as_ref()),
            ("connector", $of.connector.as_ref()),
            ("workload", $of.workload.as_ref()),
            ("vpnTunnel", $of.vpn_tunnel.as_ref()),
            ("interconnectAttachment", $of.interconnect_attachment.as_ref()),
        ]
    };
}

impl Resolver<'_> {
    /// `impairments[]`, on top of what hosts say of themselves.
    pub(super) fn impairments(&mut self) {
        for impairment in &self.file.impairments {
            let Some(place) = self.impaired_place(impairment.place, places!(impairment)) else { continue };
            let set = link_set!(impairment, delay: impairment.delay, loss: impairment.loss);
            self.set_links(place, impairment.direction.as_ref(), &set, true);
        }
        self.out.impairments = (self.details.links.now.iter())
            .filter(|(_, both)| **both != [Impairments::default(); 2])
            .map(|(place, both)| links(*place, *both))
            .collect();
    }

    /// What the host that was resolved last says of the way to it.
    pub(super) fn host_links(&mut self, host: &simulation::Host) {
        let place = ImpairedPlace::Host(self.out.hosts.len() - 1);
        self.set_links(place, None, &link_set!(host, delay: None, loss: None), false);
    }

    /// How a host serves.
    pub(super) fn server_settings(&mut self, host: &simulation::Host) -> ServerSettings {
        self.server(ServerSettings::default(), &host_patch(host))
    }

    /// Event `patchHost`.
    pub(super) fn patch_host(&mut self, patch: &At<file::PatchHostEvent>) -> Option<Vec<Change>> {
        let host = self.hosts.lookup(&patch.host, None);
        let host = self.ok(host).flatten()?;
        let set = &patch.set.value;
        let loss = set.loss.as_ref().map(|loss| self.loss(loss, "loss"));
        let before = self.out.hosts[host].clone();
        let after = Host {
            rtt: set.rtt.map_or(before.rtt, |rtt| rtt.value.0),
            loss: loss.flatten().unwrap_or(before.loss),
            unreachable: set.unreachable.map_or(before.unreachable, |it| it.value),
            server: self.server(before.server, set),
            ..before.clone()
        };
        let mut changes = Vec::new();
        if after != before {
            self.out.hosts[host] = after.clone();
            changes.push(Change::PatchHost { host, to: Box::new(after) });
        }
        let place = ImpairedPlace::Host(host);
        let both = self.set_links(place, None, &link_set!(set, delay: None, loss: None), false);
        if let Some(both) = both {
            changes.push(Change::Impair(Box::new(links(place, both))));
        }
        if changes.is_empty() {
            self.nothing_changes(patch.set.place);
        }
        Some(changes)
    }

    /// Event `impair`: the change, and its end.
    pub(super) fn impair(&mut self, impair: &At<file::ImpairEvent>, at: Duration) -> Option<Vec<(Duration, Change)>> {
        let place = self.impaired_place(impair.place, places!(impair))?;
        let before = self.details.links.now.get(&place).copied().unwrap_or_default();
        let Some(after) = self.set_links(place, impair.direction.as_ref(), &impair.set, false) else {
            self.nothing_changes(impair.set.place);
            return None;
        };
        let change = |both| Change::Impair(Box::new(links(place, both)));
        let mut changes = vec![(at, change(after))];
        if let Some(lasts) = &impair.lasts {
            self.no_time_at_all(lasts)?;
            self.details.links.now.insert(place, before);
            changes.push((at + lasts.0, change(before)));
        }
        Some(changes)
    }

    /// Event `outage`: its beginning and its end.
    pub(super) fn outage(&mut self, outage: &At<file::OutageEvent>, at: Duration) -> Option<Vec<(Duration, Change)>> {
        let place = self.impaired_place(outage.place, places!(outage))?;
        self.no_time_at_all(&outage.lasts)?;
        let earlier = self.details.links.outages.iter().find(|(of, until, _)| *of == place && *until > at);
        if let Some((_, _, first)) = earlier {
            let diagnostic = Diagnostic::unusable("overlapping-outages", "it is out of service at this time already")
                .at(outage.place)
                .related(*first, "until later than this")
                .help("make one outage of the two");
            self.push(diagnostic);
            return None;
        }
        let until = at + outage.lasts.0;
        self.details.links.outages.push((place, until, outage.place));
        Some(vec![(at, Change::Outage { place, begins: true }), (until, Change::Outage { place, begins: false })])
    }

    fn nothing_changes(&mut self, set: Place) {
        // Of what is wrong, that has been said.
        if self.diagnostics.has_errors() {
            return;
        }
        let message = "nothing is set that is not so already";
        self.push(Diagnostic::warning("nothing-changes", message).at(set).help("give a field another value"));
    }

    fn no_time_at_all(&mut self, lasts: &At<Dur>) -> Option<()> {
        if !lasts.0.is_zero() {
            return Some(());
        }
        let message = "for no time at all";
        self.push(Diagnostic::unusable("out-of-range", message).at(lasts.place).help("write `for: 30s`"));
        None
    }

    /// What exactly one reference means.
    fn impaired_place(&mut self, item: Place, places: Places<'_>) -> Option<ImpairedPlace> {
        let given: Vec<_> = places.iter().filter_map(|(key, reference)| Some((*key, (*reference)?))).collect();
        let (key, reference) = match given[..] {
            [one] => one,
            [] => {
                if !places.iter().any(|(key, _)| self.is_lost(item, key)) {
                    let message = "it is not said of what";
                    let help = "add `host:`, `connector:`, `workload:`, `vpnTunnel:` or `interconnectAttachment:`";
                    self.push(Diagnostic::unusable("missing-field", message).at(item).help(help));
                }
                return None;
            }
            [(first, _), (second, at), ..] => {
                let message = format!("it is of one thing, found {first} and {second}");
                self.push(Diagnostic::unusable("many-places", message).at(at.place).help("make two entries of it"));
                return None;
            }
        };
        let region = self.default_region.clone();
        match key {
            "host" => {
                let found = self.hosts.lookup(reference, None);
                self.ok(found).flatten().map(ImpairedPlace::Host)
            }
            "connector" => {
                let found = self.connectors.lookup(reference, None);
                self.ok(found).flatten().map(ImpairedPlace::Connector)
            }
            "workload" => {
                let found = self.workloads.lookup(reference, None);
                let at = self.ok(found).flatten()?;
                self.has_interface(at, reference);
                Some(ImpairedPlace::Workload(at))
            }
            "vpnTunnel" => self.patched_tunnel(reference).map(ImpairedPlace::VpnTunnel),
            _ => {
                if let Some(&assumed) = self.lookups.attachments.get(reference.name()) {
                    return Some(ImpairedPlace::Attachment(assumed));
                }
                let found = self.attachments.lookup(reference, region.as_deref());
                self.ok(found).flatten().map(ImpairedPlace::Attachment)
            }
        }
    }

    fn has_interface(&mut self, workload: usize, reference: &At<Reference>) {
        let workload = &self.out.workloads[workload];
        let mut attachments = workload.revisions.iter().map(|revision| &revision.attachment);
        if attachments.any(|attachment| matches!(attachment, Attachment::Direct { .. })) {
            return;
        }
        let message = format!("`{}` has no Direct VPC interface: there is nothing to impair", workload.name);
        let help = match workload.attachment() {
            Attachment::Connector(at) => format!("name its connector: `connector: {}`", self.out.connectors[*at].name),
            _ => "name the host that it connects to: `host: …`".into(),
        };
        self.push(Diagnostic::warning("nothing-impaired", message).at(reference.place).help(help));
    }

    /// Changes what is known of links. Gives both directions if they change.
    fn set_links(
        &mut self,
        place: ImpairedPlace,
        direction: Option<&At<Direction>>,
        set: &LinkSet,
        once: bool,
    ) -> Option<[Impairments; 2]> {
        let before = self.details.links.now.get(&place).copied().unwrap_or_default();
        let mut after = before;
        let which = match direction.map_or(Direction::Both, |direction| direction.value) {
            Direction::Both => 0..2,
            Direction::Outbound => 0..1,
            Direction::Inbound => 1..2,
        };
        // What is wrong with a figure is said once, though both directions have it.
        let mut said = std::mem::take(&mut self.diagnostics);
        for at in which {
            after[at] = self.changed(before[at], set, once);
            for diagnostic in std::mem::take(&mut self.diagnostics).iter() {
                if !said.iter().any(|other| other == diagnostic) {
                    said.push(diagnostic.clone());
                }
            }
        }
        self.diagnostics = said;
        self.details.links.now.insert(place, after);
        (after != before).then_some(after)
    }

    /// A direction of a link with these fields changed. With `once`, fields that are given already are an error.
    fn changed(&mut self, base: Impairments, set: &LinkSet, once: bool) -> Impairments {
        let mut link = base;
        let twice = |resolver: &mut Self, there: bool, place: Place, field: &str| {
            if once && there {
                let message = format!("`{field}` of this link is given already, by the host itself or another entry");
                let diagnostic = Diagnostic::unusable("given-twice", message).at(place).help("remove one of the two");
                resolver.push(diagnostic);
            }
        };
        if let Some(delay) = &set.delay {
            twice(self, !base.delay.is_zero(), delay.place, "delay");
            link.delay = delay.0;
        }
        if let Some(loss) = &set.loss {
            twice(self, base.loss > 0.0, loss.place, "loss");
            link.loss = self.loss(loss, "loss").unwrap_or(base.loss);
        }
        if let Some(jitter) = &set.jitter {
            twice(self, base.jitter.is_some(), jitter.place, "jitter");
        }
        link.jitter = self.jitter(base.jitter, set);
        if let Some(burst_loss) = &set.burst_loss {
            twice(self, base.burst_loss.is_some(), burst_loss.place, "burstLoss");
            link.burst_loss = self.burst_loss(burst_loss).unwrap_or(base.burst_loss);
        }
        if let Some(reorder) = &set.reorder {
            twice(self, base.reorder.is_some(), reorder.place, "reorder");
            link.reorder = self.reorder(reorder).unwrap_or(base.reorder);
        }
        if let Some(duplicate) = &set.duplicate {
            twice(self, base.duplicate > 0.0, duplicate.place, "duplicate");
            link.duplicate = self.share(duplicate, "duplicate").unwrap_or(base.duplicate);
        }
        if let Some(bandwidth) = &set.bandwidth {
            twice(self, base.bandwidth.is_some(), bandwidth.place, "bandwidth");
        }
        link.bandwidth = self.bandwidth(base.bandwidth, set);
        if let Some(mtu) = &set.mtu {
            twice(self, base.mtu.is_some(), mtu.place, "mtu");
        }
        link.mtu = self.mtu_of(base.mtu, set);
        link
    }

    /// A share of lost packets, with a warning if it is large.
    pub(super) fn loss(&mut self, loss: &At<f64>, what: &str) -> Option<f64> {
        let share = self.share(loss, what)?;
        self.warn_of_loss(share, loss.place, what);
        Some(share)
    }

    fn warn_of_loss(&mut self, share: f64, place: Place, what: &str) {
        if share > MUCH_LOSS {
            let share = (share * 1000.0).round() / 10.0;
            let message = format!("{what} of {share} % in each direction: most connections will send something again");
            self.push(
                Diagnostic::warning("high-loss", message)
                    .at(place)
                    .help("the internet loses less than 1 % as a rule; an overloaded link some percent"),
            );
        }
    }

    fn jitter(&mut self, base: Option<Jitter>, set: &LinkSet) -> Option<Jitter> {
        let distribution = set.jitter_distribution.as_ref().map(|distribution| match distribution.value {
            JitterDistribution::Normal => Distribution::Normal,
            JitterDistribution::Uniform => Distribution::Uniform,
            JitterDistribution::Exponential => Distribution::Exponential,
        });
        let spread = set.jitter.as_ref().map_or(base.map(|jitter| jitter.spread), |jitter| Some(jitter.0));
        match (spread, &set.jitter_distribution) {
            (None, Some(given)) => self.alone(given.place, "jitterDistribution", "jitter", "jitter: 5ms"),
            (None, None) => {}
            (Some(spread), _) => {
                let before = base.map(|jitter| jitter.distribution).unwrap_or_default();
                let distribution = distribution.unwrap_or(before);
                return Some(Jitter { spread, distribution }).filter(|_| !spread.is_zero());
            }
        }
        None
    }

    /// A field that says something only beside another.
    fn alone(&mut self, place: Place, field: &str, other: &str, help: &str) {
        let message = format!("`{field}` without `{other}`");
        self.push(Diagnostic::unusable("missing-field", message).at(place).help(format!("add `{help}`")));
    }

    /// `Some(None)`: no bursts.
    #[expect(clippy::option_option, reason = "what is wrong is not the same as none")]
    fn burst_loss(&mut self, given: &At<file::BurstLoss>) -> Option<Option<BurstLoss>> {
        let rate = self.share(&given.rate, "burstLoss.rate")?;
        let mean_length = given.mean_length.value;
        if mean_length < 1.0 {
            let message = format!("burstLoss.meanLength is {mean_length}, expected 1 or more");
            let help = "a burst is at least one packet; `loss` loses each packet by itself";
            self.push(Diagnostic::unusable("out-of-range", message).at(given.mean_length.place).help(help));
            return None;
        }
        let bursts = BurstLoss { rate, mean_length };
        // Between two bursts at least one packet arrives.
        let most = mean_length / (mean_length + 1.0);
        if rate >= 1.0 || bursts.begins() > 1.0 {
            let message = format!("burstLoss.rate is {rate}, which bursts of {mean_length} on average cannot come to");
            let help = format!("at most {most:.3} with this meanLength, or `loss: {rate}`");
            self.push(Diagnostic::unusable("out-of-range", message).at(given.rate.place).help(help));
            return None;
        }
        self.warn_of_loss(rate, given.rate.place, "burstLoss.rate");
        Some(Some(bursts).filter(|bursts| bursts.rate > 0.0))
    }

    #[expect(clippy::option_option, reason = "what is wrong is not the same as none")]
    fn reorder(&mut self, given: &At<file::Reorder>) -> Option<Option<Reorder>> {
        let share = self.share(&given.share, "reorder.share")?;
        if share > 0.0 && given.delay.0.is_zero() {
            let message = "a packet that is held back for no time is overtaken by none";
            self.push(Diagnostic::unusable("out-of-range", message).at(given.delay.place).help("write `delay: 10ms`"));
            return None;
        }
        Some(Some(Reorder { share, delay: given.delay.0 }).filter(|reorder| reorder.share > 0.0))
    }

    fn bandwidth(&mut self, base: Option<Bandwidth>, set: &LinkSet) -> Option<Bandwidth> {
        let rate = match &set.bandwidth {
            Some(bandwidth) => bandwidth.0,
            None => base.map(|bandwidth| bandwidth.bits_per_second),
        };
        let Some(bits_per_second) = rate else {
            if let Some(queue) = &set.queue {
                self.alone(queue.place, "queue", "bandwidth", "bandwidth: 100Mbps");
            }
            return None;
        };
        let before = base.map_or(QueueLimit::Time(QUEUE), |bandwidth| bandwidth.queue);
        let queue = set.queue.as_ref().map_or(before, |queue| match queue.value {
            QueueSize::Time(time) => QueueLimit::Time(time.0),
            QueueSize::Bytes(bytes) => QueueLimit::Bytes(bytes.0),
        });
        let holds = match queue {
            QueueLimit::Time(time) => (time.as_nanos() * u128::from(bits_per_second) / 8_000_000_000) as u64,
            QueueLimit::Bytes(bytes) => bytes,
        };
        if let Some(place) = set.queue.as_ref().map(|it| it.place).or(set.bandwidth.as_ref().map(|it| it.place))
            && holds < FULL_PACKET
        {
            let message = format!(
                "the queue holds {holds} bytes, less than one full packet of {FULL_PACKET}: of packets that come together only the first passes"
            );
            self.push(
                Diagnostic::warning("short-queue", message)
                    .at(place)
                    .help("give `queue` some packets' room, such as 50ms or 64KiB"),
            );
        }
        Some(Bandwidth { bits_per_second, queue })
    }

    fn mtu_of(&mut self, base: Option<Mtu>, set: &LinkSet) -> Option<Mtu> {
        let bytes = match &set.mtu {
            Some(mtu) => self.model_bounded(mtu, SMALLEST_MTU..=65_535, "mtu").map(|bytes| bytes as u16),
            None => base.map(|mtu| mtu.bytes),
        };
        let Some(bytes) = bytes else {
            if let Some(black_hole) = set.icmp_black_hole.as_ref().filter(|_| set.mtu.is_none()) {
                self.alone(black_hole.place, "icmpBlackHole", "mtu", "mtu: 1400");
            }
            return base;
        };
        let silent = set.icmp_black_hole.map_or(base.is_some_and(|mtu| mtu.silent), |it| it.value);
        if let Some(place) = set.icmp_black_hole.map(|it| it.place).or(set.mtu.map(|it| it.place))
            && silent
            && u64::from(bytes) < FULL_PACKET
        {
            let message = format!(
                "Cloud Run sends packets of up to {FULL_PACKET} bytes, this link takes {bytes} and tells nobody: connections hang with their first full packet"
            );
            self.push(
                Diagnostic::warning("mtu-black-hole", message).at(place).help(
                    "let ICMP \"fragmentation needed\" pass (icmpBlackHole: false), or lower the MTU at both ends",
                ),
            );
        }
        Some(Mtu { bytes, silent })
    }

    /// How a server behaves, with these fields changed.
    fn server(&mut self, base: ServerSettings, set: &file::HostPatch) -> ServerSettings {
        let idle = set.idle_timeout.as_ref().map_or(base.idle.map(|idle| idle.after), |timeout| Some(timeout.0));
        let idle = idle.filter(|after| !after.is_zero());
        if let (None, Some(close)) = (idle, &set.idle_close) {
            self.alone(close.place, "idleClose", "idleTimeout", "idleTimeout: 60s");
        }
        let with = set.idle_close.map_or(base.idle.map(|idle| idle.with).unwrap_or_default(), |close| close.value);
        let after = set.reset_after.map_or(base.reset.map(|reset| reset.after), |after| Some(after.value.0));
        let share = match &set.reset {
            Some(share) => self.share(share, "reset"),
            None => base.reset.map(|reset| reset.share).or(after.map(|_| 1.0)),
        };
        ServerSettings {
            refuse: set.refuse.map_or(base.refuse, |it| it.value),
            hang: set.hang.map_or(base.hang, |it| it.value),
            idle: idle.map(|after| IdleClose { after, with }),
            reset: share
                .filter(|share| *share > 0.0)
                .map(|share| ServerReset { share, after: after.unwrap_or_default() }),
        }
    }
}

/// The fields of a host that can be patched, as far as its server is concerned.
fn host_patch(host: &simulation::Host) -> file::HostPatch {
    file::HostPatch {
        refuse: host.refuse,
        hang: host.hang,
        idle_timeout: host.idle_timeout,
        idle_close: host.idle_close,
        reset: host.reset,
        reset_after: host.reset_after,
        ..file::HostPatch::default()
    }
}

fn links(place: ImpairedPlace, [outbound, inbound]: [Impairments; 2]) -> ImpairedLinks {
    ImpairedLinks { place, outbound, inbound }
}
