//! When, where and why ports ran out.

use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::usage::Destination;
use crate::time::SimTime;

/// Drops closer together than this belong to the same exhaustion. A client's SYN retries are 1 to 32 s apart, so a single
/// retry neither splits nor joins what a person would call one event.
const GAP: Duration = Duration::from_secs(10);

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// The endpoint has all the ports it may have.
    VmPorts,
    /// The NAT IPs have no free block for it.
    GatewayIps,
    /// Dynamic port allocation is still catching up.
    GrowthPending,
}

impl Limit {
    /// `vm-ports`, `gateway-ips` or `growth-pending`.
    pub const fn name(self) -> &'static str {
        match self {
            Limit::VmPorts => "vm-ports",
            Limit::GatewayIps => "gateway-ips",
            Limit::GrowthPending => "growth-pending",
        }
    }
}

/// A time during which an endpoint had no free port for a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhaustion {
    /// Number of the endpoint.
    pub endpoint: u32,
    /// Number of the rule whose NAT IPs it was to use.
    pub rule: u32,
    /// Whose ports, and the destination.
    pub destination: Destination,
    /// Which limit.
    pub limit: Limit,
    /// First dropped packet.
    pub from: SimTime,
    /// Last dropped packet.
    pub to: SimTime,
    /// The endpoint's ports at the first drop.
    pub allocated_ports: u32,
    /// Of these, with an open connection to the destination.
    pub open: u32,
    /// Of these, in TIME_WAIT.
    pub time_wait: u32,
    /// Packets dropped.
    pub dropped: u64,
}

/// All exhaustions of a gateway, in order of their first drop.
#[derive(Debug, Default)]
pub(super) struct Exhaustions {
    all: Vec<Exhaustion>,
    latest: HashMap<(Destination, Limit), usize, FixedState>,
}

impl Exhaustions {
    /// A packet was dropped. `fresh` is asked for only when a new exhaustion begins.
    pub(super) fn record(
        &mut self,
        destination: Destination,
        limit: Limit,
        now: SimTime,
        fresh: impl FnOnce() -> Exhaustion,
    ) {
        let latest = self.latest.entry((destination, limit)).or_insert(usize::MAX);
        if let Some(open) = self.all.get_mut(*latest)
            && now - open.to <= GAP
        {
            open.to = now;
            open.dropped += 1;
            return;
        }
        *latest = self.all.len();
        self.all.push(fresh());
    }

    pub(super) fn all(&self) -> &[Exhaustion] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::wire::Protocol;

    #[test]
    fn drops_ten_seconds_apart_are_one_exhaustion_and_limits_are_kept_apart() {
        let destination =
            Destination { reservation: 0, address: Ipv4Addr::new(198, 51, 100, 7), port: 443, protocol: Protocol::Tcp };
        let mut exhaustions = Exhaustions::default();
        for (second, limit) in
            [(1, Limit::GrowthPending), (11, Limit::GrowthPending), (12, Limit::VmPorts), (22, Limit::GrowthPending)]
        {
            let now = SimTime::from_secs(second);
            exhaustions.record(destination, limit, now, || Exhaustion {
                endpoint: 0,
                rule: 65_001,
                destination,
                limit,
                from: now,
                to: now,
                allocated_ports: 64,
                open: 40,
                time_wait: 24,
                dropped: 1,
            });
        }
        let seen: Vec<_> = exhaustions.all().iter().map(|e| (e.limit, e.from.as_secs_f64(), e.dropped)).collect();
        assert_eq!(seen, [(Limit::GrowthPending, 1.0, 2), (Limit::VmPorts, 12.0, 1), (Limit::GrowthPending, 22.0, 1)]);
    }
}
