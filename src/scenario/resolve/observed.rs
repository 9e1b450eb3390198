//! What was observed of a running network.

use std::collections::BTreeSet;

use super::Resolver;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::observed::{InterfaceNatMappings, NatIpInfo, ObservedNatStatus};
use crate::scenario::observed::{Observed, ObservedNatIps, ObservedStatus, PortRange};
use crate::scenario::tree::shorten;
use crate::scenario::value::{Address, At};

impl Resolver<'_> {
    pub(super) fn observed(&mut self) {
        let Some(observed) = &self.file.observed else { return };
        let mappings = observed.nat_mappings.as_ref().map(|vms| {
            let mut ranges = BTreeSet::new();
            for vm in vms {
                for interface in vm.interface_nat_mappings.iter().flatten() {
                    self.observed_ports(&vm.instance_name, interface, &mut ranges);
                }
            }
            ranges
        });
        let statuses = observed.nat_status.as_ref().map(|all| all.iter().map(|status| status_of(status)).collect());
        let nat_ips = observed.nat_ip_info.as_ref().map(|all| all.iter().map(|info| nat_ips_of(info)).collect());
        self.out.observed = Some(Observed { mappings, statuses, nat_ips });
    }

    fn observed_ports(&mut self, instance: &str, interface: &InterfaceNatMappings, into: &mut BTreeSet<PortRange>) {
        // Private NAT and NAT64 aside, what has ports has an IPv4 address.
        let Some(address) = interface.source_virtual_ip.v4() else { return };
        let of_rules = interface.rule_mappings.iter().flatten().flat_map(|rule| {
            let number = Some(rule.rule_number.value);
            [(number, false, &rule.nat_ip_port_ranges), (number, true, &rule.drain_nat_ip_port_ranges)]
        });
        let own = [(None, false, &interface.nat_ip_port_ranges), (None, true, &interface.drain_nat_ip_port_ranges)];
        for (rule, draining, ranges) in own.into_iter().chain(of_rules) {
            for range in ranges.iter().flatten() {
                let Some((nat_ip, first_port, last_port)) = PortRange::parse(range) else {
                    let message = format!("found `{}`, expected a range of ports on a NAT IP", shorten(range));
                    let help = "write it as `203.0.113.10:1024-1087`";
                    self.push(Diagnostic::unusable("invalid-value", message).at(range.place).help(help));
                    continue;
                };
                let instance = instance.to_owned();
                into.insert(PortRange { instance, address, rule, draining, nat_ip, first_port, last_port });
            }
        }
    }
}

fn status_of(status: &ObservedNatStatus) -> ObservedStatus {
    let addresses = |list: &Option<Vec<At<Address>>>| list.iter().flatten().filter_map(|ip| ip.v4()).collect();
    let count = |value: &Option<At<i64>>| value.as_ref().and_then(|value| u64::try_from(value.value).ok());
    let resources = status.user_allocated_nat_ip_resources.iter().flatten();
    ObservedStatus {
        gateway: status.name.value.clone(),
        region: resources.filter_map(|resource| resource.region()).next().map(str::to_owned),
        auto_allocated: addresses(&status.auto_allocated_nat_ips),
        user_allocated: addresses(&status.user_allocated_nat_ips),
        min_extra_nat_ips_needed: count(&status.min_extra_nat_ips_needed),
        endpoints_with_mappings: count(&status.num_vm_endpoints_with_nat_mappings),
    }
}

fn nat_ips_of(info: &NatIpInfo) -> ObservedNatIps {
    let each = info.nat_ip_info_mappings.iter().flatten().filter_map(|mapping| {
        let in_use = match mapping.usage.as_ref().map(|usage| usage.as_str()) {
            Some("IN_USE") => Some(true),
            Some("UNUSED") => Some(false),
            _ => None,
        };
        Some((mapping.nat_ip.v4()?, in_use))
    });
    ObservedNatIps { gateway: info.nat_name.value.clone(), nat_ips: each.collect() }
}
