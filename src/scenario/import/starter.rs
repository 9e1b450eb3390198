//! What configuration does not hold: who answers, and who connects to them. A commented starter with the destinations that
//! the configuration tells of (allowed by an egress firewall rule, matched by a NAT rule) and a load to edit.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::scenario::file::ScenarioFile;
use crate::scenario::file::firewall::Direction;

/// How many destinations are listed.
const MOST: usize = 20;

/// A destination and where it was found.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    range: Ipv4Net,
    ports: Vec<String>,
    why: String,
}

/// Appends the starter to a scenario that has neither hosts nor traffic.
pub(super) fn write(out: &mut String, file: &ScenarioFile) {
    if !file.hosts.is_empty() || !file.traffic.is_empty() {
        return;
    }
    let mut found = destinations(file);
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    let named = file.services.iter().map(|service| service.name.name());
    let named = named.chain(file.jobs.iter().map(|job| job.name.name()));
    let named = named.chain(file.worker_pools.iter().map(|pool| pool.name.name()));
    let Some(from) = named.chain(file.functions.iter().map(|function| function.name.name())).next() else { return };
    let _ = write!(
        out,
        "\n# Configuration does not say who is called and how often. To simulate load, take away the `#` and edit:\n\
         # hosts have an address (or a range) and open ports, traffic is new connections a second over all instances.\n",
    );
    if found.is_empty() {
        found.push(Found {
            range: Ipv4Addr::new(198, 51, 100, 7).into(),
            ports: vec!["443".into()],
            why: "an example: no rule names a destination".into(),
        });
    }
    out.push_str("#hosts:\n");
    let mut first = None;
    for (index, Found { range, ports, why }) in found.iter().enumerate() {
        let name = format!("destination-{}", index + 1);
        let address = if range.prefix_len() == 32 { range.addr().to_string() } else { range.to_string() };
        let open = if ports.is_empty() { String::new() } else { format!(", ports: [{}]", ports.join(", ")) };
        let _ = writeln!(out, "#- {{name: {name}, address: {address}{open}, rtt: 40ms}}   # {why}");
        let tcp = ports.iter().find(|port| !port.contains('/')).map_or("443", String::as_str);
        first.get_or_insert(format!("{name}:{tcp}"));
    }
    if more > 0 {
        let _ = writeln!(out, "# … and {more} more destinations in firewall and NAT rules");
    }
    let to = first.unwrap_or_default();
    let _ = write!(
        out,
        "#traffic:\n#- {{name: load, from: {from}, to: {to}, rate: 10/s, lifetime: 500ms, requestBytes: 512, \
         responseBytes: 4096}}\n",
    );
}

/// Destinations outside private ranges that rules name, in the order of the file.
fn destinations(file: &ScenarioFile) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    let mut add = |range: Ipv4Net, ports: Vec<String>, why: String| {
        let special = range.addr().is_loopback() || range.addr().is_multicast() || range.addr().is_link_local();
        if range.prefix_len() < 16 || range.addr().is_private() || special {
            return;
        }
        match found.iter_mut().find(|other| other.range == range) {
            Some(other) => {
                for port in ports {
                    if !other.ports.contains(&port) {
                        other.ports.push(port);
                    }
                }
            }
            None => found.push(Found { range, ports, why }),
        }
    };
    for rule in &file.firewalls {
        if rule.direction.as_ref().map(|direction| direction.value) != Some(Direction::Egress) {
            continue;
        }
        let Some(allowed) = &rule.allowed else { continue };
        let name = rule.name.as_ref().map_or("", |name| name.name());
        let mut ports = Vec::new();
        for protocol in allowed.iter() {
            let prefix = match protocol.ip_protocol.as_str() {
                "tcp" | "6" => "",
                "udp" | "17" => "udp/",
                _ => continue,
            };
            let single = |port: &&String| port.parse::<u16>().is_ok();
            let of_protocol: Vec<String> = protocol.ports.iter().flatten().map(|port| port.value.to_string()).collect();
            ports.extend(of_protocol.iter().filter(single).map(|port| format!("{prefix}{port}")));
        }
        for range in rule.destination_ranges.iter().flat_map(|ranges| ranges.iter()) {
            if let Some(range) = range.value.v4() {
                add(range, ports.clone(), format!("allowed by the firewall rule {name}"));
            }
        }
    }
    for nat in file.routers.iter().flat_map(|router| router.nats.iter().flatten()) {
        for rule in nat.rules.iter().flat_map(|rules| rules.iter()) {
            let Some(expression) = &rule.condition else { continue };
            if !expression.contains("destination.ip") {
                continue;
            }
            let gateway = nat.name.as_ref().map_or("", |name| name.name());
            for text in expression.split(['\'', '"']).skip(1).step_by(2) {
                let range = text.parse::<Ipv4Net>().or_else(|_| text.parse::<Ipv4Addr>().map(Ipv4Net::from));
                if let Ok(range) = range {
                    add(range.trunc(), vec!["443".into()], format!("matched by a NAT rule of {gateway}"));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::load::{Source, load};

    fn starter(text: &str) -> String {
        let loaded = load(Source::Text { name: "t.yaml", text });
        let mut out = String::new();
        write(&mut out, &loaded.file);
        out
    }

    const NETWORK: &str = "networks: [{name: vpc}]\n\
         services: [{name: api, region: r1}]\n\
         firewalls:\n\
         - {name: out, network: vpc, direction: EGRESS, destinationRanges: [198.51.100.7/32, 10.0.0.0/8, 0.0.0.0/0], \
         allowed: [{IPProtocol: tcp, ports: ['443', 8000-8999]}, {IPProtocol: udp, ports: ['53']}]}\n\
         - {name: in, network: vpc, direction: INGRESS, sourceRanges: [192.0.2.9/32], allowed: [{IPProtocol: tcp}]}\n\
         routers:\n\
         - name: r\n  network: vpc\n  region: r1\n  nats:\n  - name: n\n    rules: [{ruleNumber: 100, match: \
         \"inIpRange(destination.ip, '192.0.2.0/28') || destination.ip == '198.51.100.7'\"}]\n";

    #[test]
    fn destinations_come_from_egress_rules_and_nat_rules_and_all_of_it_is_a_comment() {
        let text = starter(NETWORK);
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')), "{text}");
        let hosts: Vec<&str> = text.lines().filter(|line| line.starts_with("#- {name: destination")).collect();
        let [first, second] = hosts.as_slice() else { panic!("two destinations: {text}") };
        assert!(
            first.contains("address: 198.51.100.7, ports: [443, udp/53]") && first.ends_with("rule out"),
            "{first}"
        );
        assert!(second.contains("address: 192.0.2.0/28, ports: [443]") && second.contains("NAT rule of n"), "{second}");
    }

    #[test]
    fn without_its_number_signs_it_is_a_part_of_the_scenario_that_runs() {
        let uncommented: String = starter(NETWORK)
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')))
            .map(|line| format!("{line}\n"))
            .collect();
        let text = format!("networks: [{{name: vpc}}]\nservices: [{{name: api, region: r1}}]\n{uncommented}");
        let loaded = load(Source::Text { name: "t.yaml", text: &text });
        let scenario =
            loaded.scenario.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(&loaded.sources, false)));
        assert_eq!((scenario.hosts.len(), scenario.traffic.len()), (2, 1));
    }

    #[test]
    fn a_scenario_with_traffic_needs_none() {
        assert_eq!(starter("services: [{name: api, region: r1}]\nhosts: [{name: h, address: 198.51.100.7}]\n"), "");
        assert_eq!(starter("networks: [{name: vpc}]\n"), "");
    }
}
