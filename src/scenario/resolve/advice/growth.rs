//! Dynamic port allocation: do the doublings come in time?
//!
//! The load is taken as even, and the allocation as `model.nat.dynamicPortAllocation` says: usage is looked at every so
//! often, from a share on (or at a drop) twice the ports are asked for, and they are usable some time later.

use super::NatAdvice;
use super::capacity::Load;
use super::demand::{Demands, rounded};
use super::endpoints;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::model::DynamicPortAllocationModel;
use crate::scenario::{IpAllocation, Scenario};

/// The most that `minPortsPerVm` may be with dynamic allocation
/// (<https://docs.cloud.google.com/nat/docs/set-up-manage-network-address-translation>, 2026-04).
const MOST_MINIMUM: u32 = 32_768;

/// Ports of a NAT IP that are given out: all but the first 1,024
/// (<https://docs.cloud.google.com/nat/docs/ports-and-addresses>, 2026-04).
const PORTS_AN_IP: u64 = 64_512;

/// Packets are dropped because ports come too late.
#[derive(Debug, PartialEq)]
struct Late {
    /// Which of the destinations.
    destination: usize,
    /// From when on, in seconds.
    from: f64,
    /// When twice the ports are usable.
    until: f64,
    /// Ports until then.
    ports: u32,
}

/// The first time at which an endpoint has too few ports because they come too late. `demands` are of all endpoints, by
/// destination, with their number.
fn first_late(
    demands: &[(&Demands, u32)],
    (min, max): (u32, u32),
    model: &DynamicPortAllocationModel,
    end: f64,
) -> Option<Late> {
    let every = model.evaluate_every.as_secs_f64().max(1e-9);
    let delay = model.growth_delay.as_secs_f64();
    let (mut ports, mut now) = (min, 0.0);
    while ports < max {
        let reaches = |level: f64, beyond: bool| {
            let times = demands.iter().enumerate().filter_map(|(at, (demand, count))| {
                Some((demand.reaches(level * f64::from(*count), beyond, now, end)?, at))
            });
            times.min_by(|a, b| a.0.total_cmp(&b.0))
        };
        let (full, destination) = reaches(f64::from(ports), true)?;
        // Usage is looked at at whole multiples of the interval, after it has risen.
        let seen = reaches(f64::from(ports) * model.trigger, false);
        let seen = seen.map_or(f64::INFINITY, |(seen, _)| ((seen / every).floor() + 1.0) * every);
        let asked = if model.grow_on_drop { seen.min(full) } else { seen };
        let usable = asked + delay;
        if usable > full {
            return Some(Late { destination, from: full, until: usable, ports });
        }
        ports = ports.saturating_mul(2).min(max);
        now = usable;
    }
    None
}

impl NatAdvice<'_> {
    /// `loads` are those of the same endpoints through the same rule: the busiest destination makes the ports grow.
    pub(super) fn growth_too_slow(&self, scenario: &Scenario, loads: &[Load<'_>]) -> Option<Diagnostic> {
        let state = loads.first()?.state;
        let config = state.config;
        if !config.dynamic_port_allocation {
            return None;
        }
        let model = &scenario.model.nat.dynamic_port_allocation;
        let end = scenario.duration.as_secs_f64();
        let demands: Vec<(&Demands, u32)> = loads.iter().map(|load| (&load.demands, load.count)).collect();
        let (min, max) = (config.min_ports_per_vm, config.max_ports_per_vm);
        let late = first_late(&demands, (min, max), model, end)?;
        let load = &loads[late.destination];
        let peak = load.peak(scenario).1;
        let twice = late.ports.saturating_mul(2).min(max);
        let message = format!(
            "{}: the {} that {} gives are used up after {} s, and {twice} are usable after {} s only, since dynamic port allocation takes time to double them: packets are dropped meanwhile",
            load.in_words(peak, "ports"),
            late.ports,
            load.giver(scenario),
            tenths(late.from),
            tenths(late.until),
        );
        // No lower minimum that is a power of two would do.
        let minimum = std::iter::successors(Some(min.saturating_mul(2)), |ports| ports.checked_mul(2))
            .take_while(|ports| *ports <= MOST_MINIMUM)
            .find(|ports| first_late(&demands, (*ports, max), model, end).is_none());
        let raise = match minimum {
            Some(ports) if ports >= max => {
                format!("raise minPortsPerVm to {ports} and maxPortsPerVm to {}, ", ports * 2)
            }
            Some(ports) => format!("raise minPortsPerVm to {ports}, "),
            None => String::new(),
        };
        let place = self.details.traffic[load.traffic[load.demands.largest(late.from)?]].1;
        Some(
            Diagnostic::warning("growth-too-slow", message)
                .at(place)
                .related(self.details.gateways[load.gateway].place, "the gateway")
                .help(format!(
                    "{raise}open connections more slowly, or try longer to connect; how fast ports grow is assumed (model.nat.dynamicPortAllocation)"
                )),
        )
    }
}

impl NatAdvice<'_> {
    /// Endpoints may grow, but not all of them: the NAT IPs do not have so many ports. `loads` as above; what other loads want
    /// meanwhile comes on top, and is left out.
    pub(super) fn growth_without_ips(&self, scenario: &Scenario, loads: &[Load<'_>]) -> Option<Diagnostic> {
        let peak = |load: &Load<'_>| load.peak(scenario);
        let load = loads.iter().max_by(|a, b| peak(a).0.total_cmp(&peak(b).0))?;
        let config = load.state.config;
        let (wanted, time) = peak(load);
        let (min, max) = (u64::from(config.min_ports_per_vm), u64::from(config.max_ports_per_vm));
        let grown = (wanted.ceil() as u64).checked_next_power_of_two()?.clamp(min, max);
        if !config.dynamic_port_allocation || config.allocate == IpAllocation::Auto || grown == min {
            return None;
        }
        let ips = endpoints::rules(config).into_iter().find(|(rule, _)| *rule == load.rule)?.1.len() as u64;
        let others = load.state.counts.iter().sum::<u64>().saturating_sub(load.count.into());
        let (wants, has) = (u64::from(load.count) * grown + others * min, ips * PORTS_AN_IP);
        // Where not even the minimum is there for all, that is told already.
        if ips == 0 || wants <= has || (u64::from(load.count) + others) * min > has {
            return None;
        }
        let message = format!(
            "{}, {grown} allocated: with {others} other endpoints of {min} these are {wants} ports, and {} has {has} on {ips} NAT IP{}, so some endpoints stop growing before",
            load.in_words(time, "ports"),
            load.giver(scenario),
            if ips == 1 { "" } else { "s" }
        );
        let more = wants.div_ceil(PORTS_AN_IP) - ips;
        let place = self.details.traffic[load.traffic[load.demands.largest(time)?]].1;
        Some(
            Diagnostic::warning("growth-without-ips", message)
                .at(place)
                .related(self.details.gateways[load.gateway].place, "the gateway")
                .help(format!(
                    "add {more} NAT IP{} at least, or keep connections open longer",
                    if more == 1 { "" } else { "s" }
                )),
        )
    }
}

/// With one digit behind the point.
fn tenths(seconds: f64) -> f64 {
    rounded((seconds * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::super::demand::tests::{count, rate};
    use super::*;

    const END: f64 = 300.0;

    fn late(demand: Demands, endpoints: u32, min: u32, max: u32) -> Option<(f64, f64, u32)> {
        let model = DynamicPortAllocationModel::default();
        let late = first_late(&[(&demand, endpoints)], (min, max), &model, END)?;
        Some((tenths(late.from), tenths(late.until), late.ports))
    }

    #[test]
    fn a_burst_finds_what_there_is() {
        // The first drop asks at 10 s; 20 s later there are 128.
        assert_eq!(late(Demands::new(vec![count(200.0, 10.0, 1.0, 30.0)]), 1, 64, 1024), Some((10.0, 30.0, 64)));
        assert_eq!(late(Demands::new(vec![count(64.0, 10.0, 1.0, 30.0)]), 1, 64, 1024), None);
        assert_eq!(late(Demands::new(vec![count(128.0, 10.0, 1.0, 30.0)]), 2, 64, 1024), None, "64 each");
    }

    #[test]
    fn ports_that_are_used_up_before_they_double_are_late() {
        // Of the guide: 60/s from 5 s on, 30/s for each VM. 512 are used up after 17.07 s; 410, which is 80 %, after 13.65 s,
        // which is seen at 20 s. Usable at 40 s.
        let guide = || Demands::new(vec![rate(60.0, 5.0, 55.0, 0.5, 30.0)]);
        assert_eq!(late(guide(), 2, 512, 4096), Some((22.1, 40.0, 512)));
        assert_eq!(late(guide(), 2, 1024, 4096), None, "915 is the most");
    }

    #[test]
    fn a_slow_ramp_is_followed() {
        // 1/s, and connections that stay: 52 at 52 s, seen at 60 s, 128 ports at 80 s; there are 64 at 64 s.
        let ramp = |speed: f64| Demands::new(vec![rate(speed, 0.0, END, 250.0, 0.0)]);
        assert_eq!(late(ramp(1.0), 1, 64, 1024), Some((64.0, 80.0, 64)));
        // 0.4/s: 51.2 at 128 s, seen at 130 s, usable at 150 s; 64 at 160 s.
        assert_eq!(late(ramp(0.4), 1, 64, 1024), None);
    }

    #[test]
    fn without_growth_on_drop_it_waits_for_the_next_look() {
        let model = DynamicPortAllocationModel { grow_on_drop: false, ..DynamicPortAllocationModel::default() };
        let burst = Demands::new(vec![count(200.0, 12.0, 1.0, 30.0)]);
        let late = first_late(&[(&burst, 1)], (64, 1024), &model, END).unwrap();
        assert_eq!((late.from, late.until), (12.0, 40.0));
    }

    #[test]
    fn the_busiest_destination_makes_the_ports_grow_for_all() {
        let model = DynamicPortAllocationModel::default();
        // 60 sockets stay open elsewhere: seen at 10 s, 128 ports from 30 s on.
        let steady = Demands::new(vec![count(60.0, 0.0, 250.0, 0.0)]);
        let burst = Demands::new(vec![count(100.0, 40.0, 1.0, 30.0)]);
        assert_eq!(first_late(&[(&burst, 1), (&steady, 1)], (64, 1024), &model, END), None);
        assert!(first_late(&[(&burst, 1)], (64, 1024), &model, END).is_some());
    }
}
