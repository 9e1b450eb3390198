//! What a gateway is told, and what Google leaves open.

use std::net::Ipv4Addr;
use std::time::Duration;

use super::binding::BindingChoice;
use super::rules::Rule;
use super::tcp::Timer;

/// A gateway's configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Active NAT IPs, in order.
    pub nat_ips: Vec<Ipv4Addr>,
    /// NAT IPs being drained.
    pub drain_nat_ips: Vec<Ipv4Addr>,
    /// Addresses that the gateway may add by itself (`AUTO_ONLY`), in order.
    pub auto_ips: Vec<Ipv4Addr>,
    /// NAT rules in ascending order of their numbers.
    pub rules: Vec<Rule>,
    /// Ports set aside for each endpoint, under each rule.
    pub min_ports: u32,
    /// Ports an endpoint may grow to; with static allocation, the minimum.
    pub max_ports: u32,
    /// Dynamic port allocation.
    pub dynamic: bool,
    /// Endpoint-independent mapping.
    pub endpoint_independent: bool,
    /// Timeouts by [`Timer`].
    pub timeouts: [Duration; Timer::COUNT],
}

impl Default for Config {
    /// Google's defaults: 64 ports, static, no rules; TIME_WAIT of 30 s, as new gateways have it since 2026-09-30. No NAT IP.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Config {
            nat_ips: Vec::new(),
            drain_nat_ips: Vec::new(),
            auto_ips: Vec::new(),
            rules: Vec::new(),
            min_ports: 64,
            max_ports: 64,
            dynamic: false,
            endpoint_independent: false,
            timeouts: [seconds(30), seconds(30), seconds(30), seconds(1200), seconds(30)],
        }
    }
}

impl Config {
    /// The active NAT IPs of a rule, by its position. An address that several rules have is the first one's: Google does
    /// not say what happens, and ports of one address cannot be set aside twice.
    pub(super) fn active_ips(&self, rule: usize) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.listed_ips(rule)
            .iter()
            .copied()
            .filter(move |ip| !(0..rule).any(|other| self.listed_ips(other).contains(ip)))
    }

    pub(super) fn listed_ips(&self, rule: usize) -> &[Ipv4Addr] {
        rule.checked_sub(1).map_or(&self.nat_ips, |rule| &self.rules[rule].nat_ips)
    }

    /// Whether a rule, by its position, is to let connections on this NAT IP end by themselves. Not if another rule has
    /// it for new ones.
    pub(super) fn drains(&self, rule: usize, ip: Ipv4Addr) -> bool {
        let drained = rule.checked_sub(1).map_or(&self.drain_nat_ips, |rule| &self.rules[rule].drain_nat_ips);
        drained.contains(&ip) && !(0..=self.rules.len()).any(|rule| self.listed_ips(rule).contains(&ip))
    }
}

/// What Google does not document. The defaults are those of a scenario's `model.nat`.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour {
    /// Random free port instead of the lowest one.
    pub random_ports: bool,
    /// In a shortage, an endpoint keeps what there is instead of getting nothing.
    pub partial_allocation: bool,
    /// TCP without SYN and without a mapping is dropped.
    pub drop_midstream: bool,
    /// An RST frees the port at once.
    pub rst_frees: bool,
    /// Share of the ports in use at which an endpoint asks for more.
    pub growth_trigger: f64,
    /// A drop asks for more, too.
    pub grow_on_drop: bool,
    /// How long a doubling takes.
    pub growth_delay: Duration,
    /// Share of the ports in use below which an endpoint gives back.
    pub shrink_below: f64,
    /// For how long.
    pub shrink_after: Duration,
    /// How often usage is looked at.
    pub evaluate_every: Duration,
    /// With dynamic allocation, any change of the configuration puts every endpoint back to its minimum.
    pub reset_on_change: bool,
    /// With endpoint-independent mapping, to which port a newcomer is bound.
    pub binding_choice: BindingChoice,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            random_ports: false,
            partial_allocation: true,
            drop_midstream: false,
            rst_frees: false,
            growth_trigger: 0.8,
            grow_on_drop: true,
            growth_delay: Duration::from_secs(20),
            shrink_below: 0.25,
            shrink_after: Duration::from_secs(300),
            evaluate_every: Duration::from_secs(10),
            reset_on_change: true,
            binding_choice: BindingChoice::LeastLoaded,
        }
    }
}
