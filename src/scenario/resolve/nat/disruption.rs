//! What a change of a gateway does to connections that exist: warnings, for Google accepts all of it
//! (<https://cloud.google.com/nat/docs/set-up-manage-network-address-translation>, 2026-04).

use super::super::Resolver;
use super::RuleIps;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::nat::RouterNat;
use crate::scenario::resolve::advice::allocated_ports;
use crate::scenario::value::At;
use crate::scenario::{IpAllocation, NatConfig};

/// From static allocation, fewer ports than these are not reached without loss, whatever the minimum was.
const SAFE_MAX_PORTS: u32 = 1024;

impl Resolver<'_> {
    /// Compares a configuration and its NAT IPs before and after a patch.
    pub(super) fn disruptions(
        &mut self,
        set: &At<RouterNat>,
        (before, ips_before): (&NatConfig, &[RuleIps]),
        (after, ips): (&NatConfig, &[RuleIps]),
    ) {
        self.addresses_replaced(set, before, after);
        if before.allocate == after.allocate {
            self.addresses_removed(set, ips_before, ips);
        }
        self.ports_changed(set, before, after);
    }

    /// With automatic allocation addresses belong to the option and the tier.
    fn addresses_replaced(&mut self, set: &At<RouterNat>, before: &NatConfig, after: &NatConfig) {
        let name = |allocate| match allocate {
            IpAllocation::Auto => "AUTO_ONLY",
            IpAllocation::Manual => "MANUAL_ONLY",
        };
        let (place, what) = if before.allocate != after.allocate {
            let place = set.nat_ip_allocate_option.as_ref().map(|option| option.place);
            (place, format!("from {} to {}", name(before.allocate), name(after.allocate)))
        } else if after.allocate == IpAllocation::Auto && before.auto_network_tier != after.auto_network_tier {
            (set.auto_network_tier.as_ref().map(|tier| tier.place), "another network tier".to_owned())
        } else {
            return;
        };
        let message = format!("{what}: all NAT IPs are replaced, connections through the old ones end at once");
        self.push(
            Diagnostic::warning("nat-ips-replaced", message)
                .at(place.unwrap_or(set.place))
                .help("do it when nobody needs the connections, and tell those who allow the old addresses"),
        );
    }

    /// An address that is drained first takes no new connections and ends none; one that is drained already is meant to go.
    fn addresses_removed(&mut self, set: &At<RouterNat>, before: &[RuleIps], after: &[RuleIps]) {
        for list in before {
            let now = after.iter().find(|now| now.number == list.number);
            let kept = |address| now.is_some_and(|now| now.all().any(|ip| ip.address == address));
            let gone: Vec<String> =
                list.active.iter().filter(|ip| !kept(ip.address)).map(|ip| ip.address.to_string()).collect();
            if gone.is_empty() {
                continue;
            }
            let own = list.is_own();
            let place: Option<Place> = if own {
                set.nat_ips.as_ref().map(|list| list.place)
            } else {
                set.rules.as_ref().map(|list| list.place)
            };
            let (ips, its) = if gone.len() == 1 { ("NAT IP", "its") } else { ("NAT IPs", "their") };
            let verb = if now.is_some() { "loses" } else { "is removed, and with it" };
            let message = format!("{} {verb} {ips} {}: {its} connections end at once", list.owner(), gone.join(", "));
            let help = match (now, own) {
                (None, _) => "remove a rule when nobody needs its connections",
                (Some(_), true) => "drain it first: move it to drainNatIps in one event, and remove it in a later one",
                (Some(_), false) => {
                    "drain it first: move it to sourceNatDrainIps in one event, and remove it in a later one"
                }
            };
            self.push(Diagnostic::warning("nat-ip-removed", message).at(place.unwrap_or(set.place)).help(help));
        }
    }

    fn ports_changed(&mut self, set: &At<RouterNat>, before: &NatConfig, after: &NatConfig) {
        let switch = set.enable_dynamic_port_allocation.as_ref().map_or(set.place, |dynamic| dynamic.place);
        let diagnostic = match (before.dynamic_port_allocation, after.dynamic_port_allocation) {
            (true, true) if before != after => {
                let message = "any change of a gateway with dynamic port allocation may put every VM back to \
                               minPortsPerVm for a while: connections on the ports lost break";
                Diagnostic::warning("dpa-change-resets", message)
                    .at(set.place)
                    .help("change it when load is low, or raise minPortsPerVm to what VMs need")
            }
            (true, false) => {
                let message = "without dynamic port allocation all NAT connections of the gateway break";
                Diagnostic::warning("dpa-off-breaks", message)
                    .at(switch)
                    .help("do it when nobody needs the connections, or add a gateway and move the subnets to it")
            }
            (false, true) => {
                let (min, max) = (before.min_ports_per_vm, after.max_ports_per_vm);
                let least = min.max(SAFE_MAX_PORTS);
                if max >= least {
                    return;
                }
                let message = format!(
                    "dynamic port allocation begins with a maxPortsPerVm of {max}, below {}: NAT connections of the gateway break",
                    if least == min { format!("the old minPortsPerVm of {min}") } else { least.to_string() }
                );
                Diagnostic::warning("dpa-on-breaks", message)
                    .at(set.max_ports_per_vm.as_ref().map_or(switch, |max| max.place))
                    .help(format!("begin with a maxPortsPerVm of {} or more", least.next_power_of_two()))
            }
            (false, false) => {
                let (from, to) = (allocated_ports(before.min_ports_per_vm), allocated_ports(after.min_ports_per_vm));
                if to >= from {
                    return;
                }
                let message =
                    format!("each VM goes from {from} ports to {to}: connections on the ports lost may break");
                Diagnostic::warning("ports-lowered", message)
                    .at(set.min_ports_per_vm.as_ref().map_or(set.place, |min| min.place))
                    .help("lower it when load is low: ports are not drained")
            }
            (true, true) => return,
        };
        self.push(diagnostic);
    }
}
