//! Hosts and the ways to them that do not bear the load.

use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::resolve::Resolver;
use crate::scenario::{Arrivals, ClosedBy, ImpairedLinks, ImpairedPlace, Traffic, TrafficProtocol};
use crate::topology::Distribution;

impl Resolver<'_> {
    pub(super) fn impairment_advice(&mut self) {
        let mut found = Vec::new();
        for links in &self.out.impairments {
            if let ImpairedPlace::Host(host) = links.place {
                found.extend(self.wide_jitter(host, links));
                found.extend(self.narrow_way(host, links));
            }
        }
        for (load, (place, _)) in self.out.traffic.iter().zip(&self.details.traffic) {
            found.extend(self.closed_while_idle(load).map(|diagnostic| diagnostic.at(*place)));
        }
        self.diagnostics.extend(found);
    }

    /// Delays that cannot vary by so much, since none is below zero.
    fn wide_jitter(&self, host: usize, links: &ImpairedLinks) -> Option<Diagnostic> {
        let spec = &self.out.hosts[host];
        let link = [links.outbound, links.inbound].into_iter().find(|link| link.jitter.is_some())?;
        let jitter = link.jitter?;
        let delay = spec.rtt / 2 + link.delay;
        // Two standard deviations: of a normal distribution 2.3 % are further below its mean.
        let below = match jitter.distribution {
            Distribution::Normal => jitter.spread * 2,
            Distribution::Uniform => jitter.spread,
            Distribution::Exponential => return None,
        };
        let message = format!(
            "jitter of {:?} around a delay of {delay:?} each way to host `{}`: what would be below zero is cut off, and the mean is higher",
            jitter.spread, spec.name
        );
        (below > delay).then(|| {
            Diagnostic::warning("wide-jitter", message)
                .at(self.details.hosts[host])
                .help("use less, a larger `rtt`, or `jitterDistribution: exponential`")
        })
    }

    /// Loads that send more than the way to their host carries.
    fn narrow_way(&self, host: usize, links: &ImpairedLinks) -> Option<Diagnostic> {
        let loads = || self.out.traffic.iter().filter(|load| load.host == Some(host));
        let demand = |bytes: fn(&Traffic) -> u64| {
            let rate = |load: &Traffic| match load.arrivals {
                Arrivals::Poisson(rate) | Arrivals::Constant(rate) => rate,
                Arrivals::Count(_) | Arrivals::Workers(_) => 0.0,
            };
            loads().map(|load| rate(load) * bytes(load) as f64 * 8.0).sum::<f64>()
        };
        let ways = [
            ("requests", links.outbound, demand(|load| load.request_bytes)),
            ("responses", links.inbound, demand(|load| load.response_bytes)),
        ];
        let (what, bandwidth, demand) = ways.into_iter().find_map(|(what, link, demand)| {
            let bandwidth = link.bandwidth?.bits_per_second;
            (demand > bandwidth as f64).then_some((what, bandwidth, demand))
        })?;
        let message = format!(
            "{what} of the loads to host `{}` are {:.1} Mbps, the way to it carries {} Mbps: the rest is dropped as SIM_THROUGHPUT_EXCEEDED",
            self.out.hosts[host].name,
            demand / 1e6,
            bandwidth as f64 / 1e6
        );
        let place = self.details.traffic.get(self.out.traffic.iter().position(|load| load.host == Some(host))?)?.1;
        Some(
            Diagnostic::warning("bandwidth-exceeded", message)
                .at(place)
                .related(self.details.hosts[host], "the host")
                .help("raise the host's `bandwidth`, or lower rates or sizes"),
        )
    }

    /// A load whose connections are idle for longer than the server lets them be.
    fn closed_while_idle(&self, load: &Traffic) -> Option<Diagnostic> {
        let host = &self.out.hosts[load.host?];
        let idle = host.server.idle?;
        let waits =
            load.protocol == TrafficProtocol::Tcp && (load.lifetime > idle.after || load.closed_by == ClosedBy::Nobody);
        let message = format!(
            "host `{}` closes connections that were idle for {:?}, and connections of load `{}` are idle for longer",
            host.name, idle.after, load.name
        );
        waits.then(|| {
            Diagnostic::warning("server-closes-idle", message)
                .help("let the client close first: its idle limit must be below the server's")
        })
    }
}
