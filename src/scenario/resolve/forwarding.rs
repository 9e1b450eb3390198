//! Forwarding rules for internal addresses: load balancers, and endpoints of Private Service Connect.

use std::net::IpAddr;

use super::Resolver;
use super::firewall::matching::parse_ports;
use super::hybrid::word;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::compute::{ForwardingProtocol, ForwardingRule as File, PscConnectionStatus};
use crate::scenario::value::{At, Reference};
use crate::scenario::{ForwardingRule, ForwardingTarget};

/// Ports of one rule (<https://cloud.google.com/compute/docs/reference/rest/v1/forwardingRules>, 2026).
const MAX_PORTS: usize = 5;

impl Resolver<'_> {
    pub(super) fn forwarding_rules(&mut self) {
        for rule in &self.file.forwarding_rules {
            let Some(resolved) = self.forwarding_rule(rule) else {
                self.forwarding.lost.insert(rule.name.name().to_owned());
                continue;
            };
            let region = resolved.region.as_deref();
            let declared = self.forwarding.declare(&rule.name, region, self.out.forwarding_rules.len());
            if self.ok(declared).is_some() {
                self.details.forwarding_rules.push(rule.name.place);
                self.out.forwarding_rules.push(resolved);
            }
        }
    }

    fn forwarding_rule(&mut self, rule: &At<File>) -> Option<ForwardingRule> {
        let target = self.forwarding_target(rule)?;
        let google_apis = matches!(target, ForwardingTarget::GoogleApis { .. });
        let region = rule.region.as_ref().map(|region| region.name()).or_else(|| rule.name.region());
        let subnetwork = rule.subnetwork.as_ref().map(|subnetwork| self.subnetworks.lookup(subnetwork, region));
        let subnetwork = match subnetwork {
            Some(found) => Some(self.ok(found).flatten()?),
            None => None,
        };
        let region = match (google_apis, region, subnetwork) {
            (true, ..) => None,
            (false, Some(region), _) => Some(region.to_owned()),
            (false, None, Some(subnetwork)) => Some(self.out.subnetworks[subnetwork].region.clone()),
            (false, None, None) => self.default_region.clone(),
        };
        let network = match (&rule.network, subnetwork) {
            (Some(network), _) => {
                let found = self.networks.lookup(network, None);
                self.ok(found).flatten()?
            }
            (None, Some(subnetwork)) => self.out.subnetworks[subnetwork].network,
            (None, None) if self.out.networks.len() == 1 => 0,
            (None, None) => {
                if !self.is_lost(rule.place, "network") && !self.is_lost(rule.place, "subnetwork") {
                    let message = format!("forwarding rule `{}` does not say in which network it is", rule.name.name());
                    self.push(
                        Diagnostic::unusable("missing-field", message).at(rule.name.place).help("add `network:`"),
                    );
                }
                return None;
            }
        };
        let address = match &rule.ip_address {
            Some(address) => Some(self.forwarding_address(address, region.as_deref())?),
            None => None,
        };
        if google_apis {
            self.check_outside_all_subnets(network, rule, address);
        }
        let protocol = match rule.ip_protocol.as_ref().map_or(ForwardingProtocol::Tcp, |protocol| protocol.value) {
            ForwardingProtocol::L3Default => None,
            ForwardingProtocol::Tcp => Some(6),
            ForwardingProtocol::Udp => Some(17),
            ForwardingProtocol::Esp => Some(50),
            ForwardingProtocol::Ah => Some(51),
            ForwardingProtocol::Sctp => Some(132),
            ForwardingProtocol::Icmp => Some(1),
        };
        Some(ForwardingRule {
            name: rule.name.name().to_owned(),
            network,
            region,
            address,
            // An endpoint takes what its service takes.
            protocol: if matches!(target, ForwardingTarget::LoadBalancer { .. }) { protocol } else { None },
            ports: self.forwarding_ports(rule),
            global_access: match target {
                ForwardingTarget::ServiceAttachment { .. } => rule.allow_psc_global_access.unwrap_or(false),
                _ => rule.allow_global_access.unwrap_or(false),
            },
            target,
            assumed: false,
        })
    }

    /// `None` for what is not simulated, or wrong.
    fn forwarding_target(&mut self, rule: &At<File>) -> Option<ForwardingTarget> {
        let name = rule.name.name();
        match rule.target.as_ref().map(|target| (target.name(), target.as_str())) {
            Some(("all-apis", _)) => return Some(ForwardingTarget::GoogleApis { vpc_sc: false }),
            Some(("vpc-sc", _)) => return Some(ForwardingTarget::GoogleApis { vpc_sc: true }),
            Some((attachment, path)) if path.contains("serviceAttachments/") => {
                let status = rule.psc_connection_status.as_ref();
                let status = status.map_or(PscConnectionStatus::Accepted, |status| status.value);
                return Some(ForwardingTarget::ServiceAttachment {
                    attachment: attachment.to_owned(),
                    status: word(status),
                });
            }
            _ => {}
        }
        let scheme = rule.load_balancing_scheme.as_ref();
        match scheme.map_or("INTERNAL", |scheme| scheme.as_str()) {
            "INTERNAL" => Some(ForwardingTarget::LoadBalancer { passthrough: true }),
            "INTERNAL_MANAGED" => Some(ForwardingTarget::LoadBalancer { passthrough: false }),
            "EXTERNAL" | "EXTERNAL_MANAGED" | "EXTERNAL_PASSTHROUGH" | "INTERNAL_SELF_MANAGED" => {
                let message = format!("load balancer `{name}` is not simulated: declare its address under `hosts:`");
                self.push(Diagnostic::warning("not-simulated", message).at(rule.name.place));
                None
            }
            other => {
                let message = format!("found `{other}`, expected INTERNAL, INTERNAL_MANAGED or an external scheme");
                let place = scheme.map_or(rule.name.place, |scheme| scheme.place);
                let help = "an endpoint of Private Service Connect has a `target` and no scheme";
                self.push(Diagnostic::unusable("unknown-value", message).at(place).help(help));
                None
            }
        }
    }

    /// An address, or the name of a reserved one.
    fn forwarding_address(&mut self, text: &At<String>, region: Option<&str>) -> Option<IpAddr> {
        if let Ok(address) = text.parse() {
            return Some(address);
        }
        let Ok(reference) = text.parse::<Reference>() else {
            let message = format!("found `{}`, expected an address or the name of a reserved one", text.value);
            self.push(Diagnostic::unusable("invalid-value", message).at(text.place));
            return None;
        };
        let found = self.addresses.lookup(&At { value: reference, place: text.place }, region);
        let found = self.ok(found).flatten()?;
        let value = self.details.addresses[found].value;
        if value.is_none() {
            let message = format!("address `{}` has no value", text.value);
            self.push(Diagnostic::unusable("missing-field", message).at(text.place).help("give it an `address:`"));
        }
        value
    }

    /// Google wants the address of an endpoint for Google APIs outside of all subnets
    /// (<https://docs.cloud.google.com/vpc/docs/configure-private-service-connect-apis>, 2026).
    fn check_outside_all_subnets(&mut self, network: usize, rule: &At<File>, address: Option<IpAddr>) {
        let Some(IpAddr::V4(address)) = address else { return };
        let inside = self.ranges_of(network).find(|(range, _)| range.contains(&address));
        if let Some((range, subnet)) = inside {
            let message = format!(
                "endpoint `{}` for Google APIs has {address}, which lies in {range} of subnet `{}`",
                rule.name.name(),
                self.out.subnetworks[subnet].name
            );
            let place = rule.ip_address.as_ref().map_or(rule.name.place, |address| address.place);
            let (related, help) = (self.details.subnetworks[subnet].range, "choose an address outside of all subnets");
            self.push(
                Diagnostic::rejected("psc-address", message)
                    .at(place)
                    .related(related, "the subnet's range")
                    .help(help),
            );
        }
    }

    fn forwarding_ports(&mut self, rule: &At<File>) -> Vec<(u16, u16)> {
        if let Some(excess) = rule.ports.iter().flatten().nth(MAX_PORTS) {
            let message = format!("forwarding rule `{}` has more than {MAX_PORTS} ports", rule.name.name());
            self.push(Diagnostic::rejected("too-many", message).at(excess.place).help("use `allPorts: true`"));
        }
        let mut ports = Vec::new();
        for text in rule.ports.iter().flatten().chain(&rule.port_range) {
            match parse_ports(text) {
                Some(range) => ports.push(range),
                None => {
                    let message = format!("found `{}`, expected a port or a range of ports", text.value);
                    let help = "write `443` or `8000-8999`, from 0 to 65535, the lower first";
                    self.push(Diagnostic::rejected("bad-port", message).at(text.place).help(help));
                }
            }
        }
        if let (Some(all), false) = (rule.all_ports.as_ref().filter(|all| all.value), ports.is_empty()) {
            let message = "ports and allPorts exclude each other";
            self.push(Diagnostic::rejected("bad-port", message).at(all.place).help("keep one of the two"));
        }
        ports
    }
}
