//! Gateways in the text summary: what they had, who used it, what they dropped.

use std::cmp::Reverse;
use std::io::{self, Write};

use anstyle::Style;

use super::super::summary::{EndpointSummary, GatewaySummary, PortsSummary};
use super::super::words::{counted, listed, thousands};
use super::{Page, widest};

const MAX_GATEWAYS: usize = 2;
const MAX_ENDPOINTS: usize = 3;
const MAX_NAT_IPS: usize = 3;

impl<W: Write> Page<'_, W> {
    pub(super) fn gateways(&mut self, gateways: &[GatewaySummary]) -> io::Result<()> {
        let (unused, mut used): (Vec<_>, Vec<_>) = gateways.iter().partition(|gateway| is_unused(gateway));
        // Those that dropped most come first; the order of the file decides among equals.
        used.sort_by_key(|gateway| Reverse(gateway.dropped_sent_packets.values().sum::<u64>()));
        let (shown, hidden) = used.split_at(used.len().min(MAX_GATEWAYS));
        for gateway in shown {
            self.gateway(gateway)?;
        }
        self.more(hidden.len(), "gateway")?;
        if unused.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = unused.iter().map(|gateway| gateway.name.clone()).collect();
        self.heading("Gateways without endpoints:", &listed(&names))
    }

    fn gateway(&mut self, gateway: &GatewaySummary) -> io::Result<()> {
        let title = format!("Gateway {} (router {}):", gateway.name, gateway.router);
        self.heading(&title, &addresses(&gateway.nat_ips))?;
        if gateway.allocation_failed {
            let remedy = match gateway.min_extra_nat_ips_needed {
                0 => String::new(),
                extra => format!(": it takes {} or fewer ports a VM", counted(extra, "more NAT IP")),
            };
            self.bad_news(&format!("not every endpoint got its ports{remedy}"))?;
        }
        for rule in &gateway.rules {
            let extra = match rule.min_extra_ips_needed {
                0 => String::new(),
                extra => format!("; it takes {}", counted(extra, "more NAT IP")),
            };
            let label = format!("rule {}", rule.rule_number);
            self.item(&label, Style::new(), &format!("{}{extra}", addresses(&rule.nat_ips)))?;
        }
        let dropped = dropped(gateway);
        if !dropped.is_empty() {
            self.item("dropped", Style::new(), &listed(&dropped))?;
        }
        self.endpoints(&gateway.endpoints)?;
        self.exhaustions(&gateway.exhaustions)
    }

    /// The busiest few. Dropped packets make an endpoint busy before anything else.
    fn endpoints(&mut self, endpoints: &[EndpointSummary]) -> io::Result<()> {
        let mut busiest: Vec<&EndpointSummary> = endpoints.iter().collect();
        let usage = |endpoint: &EndpointSummary| {
            let rules = endpoint.rule_mappings.iter().map(|mapping| mapping.ports.peak_port_usage);
            rules.chain([endpoint.ports.peak_port_usage]).max()
        };
        busiest.sort_by_key(|endpoint| Reverse((endpoint.dropped_sent_packets, usage(endpoint))));
        let (shown, hidden) = busiest.split_at(endpoints.len().min(MAX_ENDPOINTS));
        let mut rows: Vec<[String; 3]> = Vec::new();
        for endpoint in shown {
            rows.push([name(endpoint), ranges(&endpoint.ports), ports(&endpoint.ports)]);
            let rules = endpoint.rule_mappings.iter();
            rows.extend(rules.map(|mapping| {
                [format!("  rule {}", mapping.rule_number), ranges(&mapping.ports), ports(&mapping.ports)]
            }));
        }
        let width = |column: usize| widest(&rows.iter().map(|row| row[column].clone()).collect::<Vec<_>>());
        let (name_width, range_width) = (width(0), width(1));
        for [name, range, ports] in &rows {
            writeln!(self.out, "  {name:<name_width$}  {range:<range_width$}  {ports}")?;
        }
        self.more(hidden.len(), "endpoint")
    }
}

/// Nobody was there and nothing was wrong.
fn is_unused(gateway: &GatewaySummary) -> bool {
    let dropped = gateway.dropped_received_packets + gateway.dropped_sent_packets.values().sum::<u64>();
    gateway.endpoints.is_empty() && !gateway.allocation_failed && dropped == 0
}

fn addresses(nat_ips: &[String]) -> String {
    match nat_ips {
        [] => "no NAT IP".to_owned(),
        [only] => format!("NAT IP {only}"),
        few if few.len() <= MAX_NAT_IPS => format!("NAT IPs {}", listed(few)),
        many => {
            let shown = &many[..MAX_NAT_IPS - 1];
            let hidden = (many.len() - shown.len()) as u64;
            format!("NAT IPs {} and {} more", shown.join(", "), thousands(hidden))
        }
    }
}

/// `1,079 outbound (OUT_OF_RESOURCES)`, `12 inbound without a mapping`
fn dropped(gateway: &GatewaySummary) -> Vec<String> {
    let reasons = gateway.dropped_sent_packets.iter().filter(|(_, count)| **count > 0);
    let mut parts: Vec<String> =
        reasons.map(|(reason, &count)| format!("{} outbound ({reason})", thousands(count))).collect();
    if gateway.dropped_received_packets > 0 {
        let count = thousands(gateway.dropped_received_packets);
        parts.push(format!("{count} inbound without a mapping"));
    }
    parts
}

fn name(endpoint: &EndpointSummary) -> String {
    let held = if endpoint.held { " (held)" } else { "" };
    format!("{} {}{held}", endpoint.name, endpoint.address)
}

/// `512 ports, peak use 498`: ports at the end, and most connections to one destination at any time.
fn ports(summary: &PortsSummary) -> String {
    let (now, peak) = (summary.allocated_ports, summary.peak_allocated_ports);
    let ports = match (now, peak) {
        (0, 0) => return "never had a port".to_owned(),
        (0, _) => format!("no ports (peak {})", thousands(peak.into())),
        (now, peak) if peak > now => format!("{} (peak {})", counted(now.into(), "port"), thousands(peak.into())),
        _ => counted(now.into(), "port"),
    };
    match summary.peak_port_usage {
        0 => format!("{ports}, unused"),
        usage => format!("{ports}, peak use {}", thousands(usage.into())),
    }
}

fn ranges(summary: &PortsSummary) -> String {
    match summary.nat_ip_port_ranges.as_slice() {
        [] => "-".to_owned(),
        [only] => only.clone(),
        [first, rest @ ..] => format!("{first} + {}", counted(rest.len() as u64, "block")),
    }
}
