//! The scenario's load: from whom, to where, how much, when.

use std::net::IpAddr;
use std::time::Duration;

use super::Resolver;
use crate::scenario::curve::Curve;
use crate::scenario::decode::nearest;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::{load, simulation as file};
use crate::scenario::value::At;
use crate::scenario::{Arrivals, ClosedBy, Destination, Endpoints, Traffic, TrafficProtocol};

/// Connections that begin at one instant: each is in memory at once.
pub(super) const MOST_AT_ONCE: u64 = 10_000_000;
/// Connections or requests that begin in a second: more than a thousand instances of the first generation may begin, and each
/// that waits is in memory.
const MOST_A_SECOND: f64 = 1e6;
/// How to say how much.
const AMOUNTS: &str = "`rate`, `steps`, `daily`, `series`, `workers` or `count`";

impl Resolver<'_> {
    pub(super) fn traffic(&mut self) {
        for traffic in &self.file.traffic {
            if let Some(resolved) = self.load(traffic) {
                let amount = (traffic.rate.as_ref().map(|rate| rate.place))
                    .or(traffic.count.as_ref().map(|count| count.place))
                    .or(traffic.workers.as_ref().map(|workers| workers.place));
                self.details.traffic.push((traffic.to.place, amount.unwrap_or(traffic.to.place)));
                self.out.traffic.push(resolved);
            }
        }
    }

    fn load(&mut self, traffic: &At<file::Traffic>) -> Option<Traffic> {
        let from = self.workloads.lookup(&traffic.from, None);
        let from = self.ok(from).flatten();
        let protocol = match traffic.protocol.as_ref().map(|protocol| protocol.value) {
            None | Some(file::Protocol::Tcp) => TrafficProtocol::Tcp,
            Some(file::Protocol::Udp) => TrafficProtocol::Udp,
            Some(file::Protocol::Icmp) => TrafficProtocol::Icmp,
        };
        let target = self.target(&traffic.to, protocol);
        let start = traffic.start.as_ref().map_or(Duration::ZERO, |start| start.value.0);
        let stop = traffic.stop.as_ref().map_or(self.out.duration, |stop| stop.value.0);
        let amount = self.amount(traffic, start);
        if let Some(stop_at) = traffic.stop.as_ref().filter(|_| stop <= start) {
            let message =
                format!("traffic stops at {} and starts at {}", stop_at.value, crate::scenario::value::Dur(start));
            self.push(
                Diagnostic::unusable("out-of-range", message).at(stop_at.place).help("`stop` comes after `start`"),
            );
        }
        let requests = match &traffic.requests {
            Some(requests) => Some(self.requests(traffic, protocol, requests)?),
            None => None,
        };
        let (to, port, host) = target?;
        let from = from?;
        // A call's time, roughly: a round trip to connect, one for the request, and what the server thinks.
        let call = requests.as_ref().map(|requests| {
            let round_trip = host.map_or(Duration::from_millis(20), |host| self.out.hosts[host].rtt);
            round_trip * 2 + requests.think_time
        });
        let name = match &traffic.name {
            Some(name) => name.value.clone(),
            None => format!("{} to {}", self.out.workloads[from].name, traffic.to.value),
        };
        Some(Traffic {
            name,
            from,
            to,
            port,
            host,
            protocol,
            start,
            stop,
            arrivals: amount.as_ref()?.0,
            curve: amount?.1,
            requests,
            lifetime: traffic
                .lifetime
                .as_ref()
                .map_or(call.unwrap_or(Duration::from_millis(500)), |lifetime| lifetime.value.0),
            request_bytes: traffic.request_bytes.as_ref().map_or(512, |size| size.value.0),
            response_bytes: traffic.response_bytes.as_ref().map_or(4096, |size| size.value.0),
            closed_by: match traffic.closed_by.as_ref().map(|closed_by| closed_by.value) {
                None | Some(file::ClosedBy::Client) => ClosedBy::Client,
                Some(file::ClosedBy::Server) => ClosedBy::Server,
                Some(file::ClosedBy::Nobody) => ClosedBy::Nobody,
            },
            connect_timeout: traffic
                .connect_timeout
                .as_ref()
                .map_or(Duration::from_secs(30), |timeout| timeout.value.0),
            endpoints: match traffic.endpoints.as_ref().map(|endpoints| endpoints.value) {
                None | Some(file::Endpoints::Flow) => Endpoints::Flow,
                Some(file::Endpoints::Stack) => Endpoints::Stack,
            },
        })
    }

    /// How much load there is: a rate or a number, and how the rate changes.
    fn amount(&mut self, traffic: &At<file::Traffic>, start: Duration) -> Option<(Arrivals, Option<Curve>)> {
        let given = [
            ("rate", traffic.rate.as_ref().map(|it| it.place)),
            ("steps", traffic.steps.as_ref().map(|it| it.place)),
            ("daily", traffic.daily.as_ref().map(|it| it.place)),
            ("series", traffic.series.as_ref().map(|it| it.place)),
            ("workers", traffic.workers.as_ref().map(|it| it.place)),
            ("count", traffic.count.as_ref().map(|it| it.place)),
        ];
        let mut places = given.into_iter().filter_map(|(name, place)| Some((name, place?)));
        match (places.next(), places.next()) {
            (None, _) => {
                if !given.iter().any(|(name, _)| self.is_lost(traffic.place, name)) {
                    let message = format!("a traffic entry needs one of {AMOUNTS}");
                    self.push(
                        Diagnostic::unusable("missing-field", message).at(traffic.to.place).help("add `rate: 10/s`"),
                    );
                }
                return None;
            }
            (Some((first, _)), Some((second, place))) => {
                let message = format!("both `{first}` and `{second}`, expected one of {AMOUNTS}");
                self.push(
                    Diagnostic::unusable("rate-and-count", message)
                        .at(place)
                        .help("each says by itself how much load there is; write two entries for two of them"),
                );
                return None;
            }
            (Some(_), None) => {}
        }
        if let Some(count) = &traffic.count {
            if count.value > MOST_AT_ONCE {
                let message = format!("count is {}, expected at most {MOST_AT_ONCE}", count.value);
                self.push(
                    Diagnostic::unusable("out-of-range", message)
                        .at(count.place)
                        .help("spread the connections over time with `rate`"),
                );
                return None;
            }
            return Some((Arrivals::Count(count.value), None));
        }
        if let Some(workers) = &traffic.workers {
            return Some((self.workers(traffic, workers)?, None));
        }
        let curve = if let Some(steps) = &traffic.steps {
            Some(self.steps(steps)?)
        } else if let Some(daily) = &traffic.daily {
            Some(self.daily(daily)?)
        } else if let Some(series) = &traffic.series {
            Some(self.series(series, start)?)
        } else {
            None
        };
        let rate = curve.as_ref().map_or_else(|| traffic.rate.as_ref().map_or(0.0, |rate| rate.0), Curve::most);
        if rate > MOST_A_SECOND && (curve.is_some() || traffic.requests.is_some()) {
            let message = format!("rate is {rate}/s, expected at most {MOST_A_SECOND}/s");
            let place = given.iter().find_map(|(_, place)| *place).unwrap_or(traffic.to.place);
            self.push(
                Diagnostic::unusable("out-of-range", message)
                    .at(place)
                    .help("more than that is not what Cloud Run's instances begin in a second"),
            );
            return None;
        }
        let arrivals = match traffic.arrivals.as_ref().map(|arrivals| arrivals.value) {
            None | Some(file::Arrivals::Poisson) => Arrivals::Poisson(rate),
            Some(file::Arrivals::Constant) => Arrivals::Constant(rate),
        };
        Some((arrivals, curve))
    }

    fn steps(&mut self, steps: &At<Vec<At<load::RateStep>>>) -> Option<Curve> {
        let disorder = steps.windows(2).find(|pair| pair[1].at.0 <= pair[0].at.0);
        if let Some([first, second]) = disorder {
            let message = format!("this step begins at {}, the one before it at {}", second.at.value, first.at.value);
            self.push(
                Diagnostic::unusable("out-of-range", message)
                    .at(second.at.place)
                    .related(first.at.place, "the step before")
                    .help("write the steps in order of time"),
            );
            return None;
        }
        if steps.is_empty() {
            self.no_rates(steps.place, "steps: [{at: 0s, rate: 10/s}]");
            return None;
        }
        Some(Curve::Steps(steps.iter().map(|step| (step.at.0, step.rate.0)).collect()))
    }

    fn daily(&mut self, daily: &At<load::DailyRate>) -> Option<Curve> {
        let (low, high) = (daily.low.0, daily.high.0);
        if low > high {
            let message = format!("low is {}, above high, which is {}", daily.low.value, daily.high.value);
            self.push(Diagnostic::unusable("out-of-range", message).at(daily.low.place).help("swap them"));
            return None;
        }
        let period = daily.period.as_ref().map_or(Duration::from_secs(24 * 3600), |period| period.0);
        if period < Duration::from_secs(1) {
            let place = daily.period.as_ref().map_or(daily.place, |period| period.place);
            self.push(Diagnostic::unusable("out-of-range", "a period is a second at least").at(place));
            return None;
        }
        let high_at = daily.high_at.as_ref().map_or(period / 2, |at| at.0);
        Some(Curve::Daily { low, high, high_at, period })
    }

    fn series(&mut self, series: &At<load::RateSeries>, start: Duration) -> Option<Curve> {
        let every = series.every.0;
        if every.is_zero() {
            let message = "rates are some time apart, not 0s";
            self.push(Diagnostic::unusable("out-of-range", message).at(series.every.place).help("write `every: 60s`"));
            return None;
        }
        if series.rates.is_empty() {
            self.no_rates(series.rates.place, "rates: [10/s, 12/s]");
            return None;
        }
        let mut steps = Vec::with_capacity(series.rates.len() + 1);
        let mut at = start;
        for rate in series.rates.iter() {
            steps.push((at, rate.0));
            at = at.saturating_add(every);
        }
        steps.push((at, 0.0));
        Some(Curve::Steps(steps))
    }

    fn no_rates(&mut self, place: Place, example: &str) {
        if self.has_lost(place) {
            return;
        }
        let message = "found no rates, expected one at least";
        self.push(Diagnostic::unusable("missing-field", message).at(place).help(format!("write `{example}`")));
    }

    /// `host:port` or `ip:port`; for ICMP the port is absent.
    pub(super) fn target(
        &mut self,
        to: &At<String>,
        protocol: TrafficProtocol,
    ) -> Option<(Destination, u16, Option<usize>)> {
        let (name, port) = host_and_port(to);
        let port = match protocol {
            TrafficProtocol::Icmp => Some(0),
            _ => port.and_then(|port| port.parse().ok()).filter(|port: &u16| *port > 0),
        };
        let address = name.parse::<IpAddr>().ok();
        let known = address.is_some() || self.hosts.index.contains_key(name) || self.vms.index.contains_key(name);
        let Some(port) = port else {
            let message = format!("found `{}`, expected a host and a port from 1 to 65535", to.value);
            let help = if known {
                format!("write `{}:443`", if name.contains(':') { format!("[{name}]") } else { name.to_owned() })
            } else {
                "write `partner-api:443`, `198.51.100.7:443` or `[2001:db8::7]:443`".into()
            };
            self.push(Diagnostic::unusable("invalid-value", message).at(to.place).help(help));
            return None;
        };
        if let Some(address) = address {
            return Some((address.into(), port, self.host_of(address)));
        }
        if let Some(known) = self.hosts.index.get(name).and_then(|known| known.first()) {
            return Some((self.out.hosts[known.at].destination(), port, Some(known.at)));
        }
        if let Some(known) = self.vms.index.get(name).and_then(|known| known.first()) {
            return Some((self.out.vms[known.at].destination(), port, None));
        }
        if self.hosts.lost.contains(name) || self.vms.lost.contains(name) {
            return None;
        }
        let names = self.hosts.index.keys().chain(self.vms.index.keys()).map(String::as_str);
        let help = match nearest(name, names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "declare it under `hosts:`, or give an address".into(),
        };
        let message = format!("there is no host `{name}`");
        self.push(Diagnostic::unusable("unknown-reference", message).at(to.place).label("not declared").help(help));
        None
    }

    /// The host that answers for an address: the one with the narrowest range.
    fn host_of(&self, address: IpAddr) -> Option<usize> {
        let ranges = self
            .out
            .hosts
            .iter()
            .enumerate()
            .flat_map(|(at, host)| host.addresses.iter().map(move |range| (at, range)));
        let matching = ranges.filter(|(_, range)| range.contains(&address));
        matching.max_by_key(|(_, range)| range.prefix_len()).map(|(at, _)| at)
    }
}

/// `host:port`, `198.51.100.7:443`, `[2001:db8::7]:443`, or without a port; an IPv6 address may do without brackets then.
pub(crate) fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => (host, Some(port)),
        _ => (text, None),
    }
}
