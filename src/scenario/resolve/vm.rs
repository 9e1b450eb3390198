//! Compute Engine VMs.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv6Net;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::{Instance, InstanceInterface, InstanceStatus, StackType};
use crate::scenario::value::At;
use crate::scenario::{MachineCpus, Vm};

impl Resolver<'_> {
    pub(super) fn vms(&mut self) {
        // Written addresses first, so that none of them is given to another VM.
        let interfaces = self.file.instances.iter().flat_map(|vm| vm.network_interfaces.iter());
        let mut taken: HashSet<Ipv4Addr> = interfaces.filter_map(|nic| nic.network_ip.as_ref()?.v4()).collect();
        for instance in &self.file.instances {
            if self.vm(instance, &mut taken).is_none() {
                self.vms.lost.insert(instance.name.name().to_owned());
            }
        }
    }

    fn vm(&mut self, instance: &At<Instance>, taken: &mut HashSet<Ipv4Addr>) -> Option<()> {
        let name = instance.name.name();
        let zone = instance.zone.as_ref().map(|zone| zone.name()).or_else(|| instance.name.zone()).map(str::to_owned);
        let region =
            zone.as_deref().and_then(region_of_zone).map(str::to_owned).or_else(|| self.default_region.clone());
        let Some(nic) = instance.network_interfaces.first() else {
            let message = format!("VM instance `{name}` has no network interface");
            self.push(Diagnostic::rejected("no-interface", message).at(instance.network_interfaces.place));
            return None;
        };
        if instance.network_interfaces.len() > 1 {
            let message = format!("only the first interface of VM instance `{name}` is simulated");
            self.push(Diagnostic::warning("not-simulated", message).at(instance.network_interfaces[1].place));
        }
        let subnetwork =
            self.interface_subnetwork(nic.network.as_ref(), nic.subnetwork.as_ref(), region.as_deref(), nic.place)?;
        let subnet = self.out.subnetworks[subnetwork].clone();
        if region.as_ref().is_some_and(|region| *region != subnet.region) {
            let message = format!(
                "VM instance `{name}` is in {}, its subnet `{}` in {}",
                region.unwrap_or_default(),
                subnet.name,
                subnet.region
            );
            self.push(Diagnostic::rejected("region-mismatch", message).at(instance.name.place));
        }
        let address = match nic.network_ip.as_ref().and_then(|address| Some((address.v4()?, address.place))) {
            Some((address, place)) => {
                self.check_vm_address(&subnet, address, place);
                address
            }
            // The first two and the last two addresses of a range are Google's.
            None => {
                let free = subnet.range.hosts().skip(1).find(|address| !taken.contains(address));
                let Some(free) = free else {
                    let message = format!("subnet `{}` has no free address for VM instance `{name}`", subnet.name);
                    self.push(Diagnostic::rejected("subnet-full", message).at(instance.name.place));
                    return None;
                };
                taken.insert(free);
                free
            }
        };
        let mut alias_ranges = Vec::new();
        for alias in nic.alias_ip_ranges.iter().flatten() {
            let Some(range) = self.range(&alias.ip_cidr_range) else { continue };
            let within = match &alias.subnetwork_range_name {
                None => Some(subnet.range),
                Some(wanted) => {
                    subnet.secondary.iter().find(|(name, _)| name == wanted.name()).map(|(_, range)| *range)
                }
            };
            match within {
                Some(within) if within.contains(&range) => alias_ranges.push(range),
                Some(within) => {
                    let message = format!("alias range {range} is not in {within} of subnet `{}`", subnet.name);
                    self.push(Diagnostic::rejected("bad-alias-range", message).at(alias.ip_cidr_range.place));
                }
                None => {
                    let message = format!("subnet `{}` has no such secondary range", subnet.name);
                    self.push(Diagnostic::unusable("unknown-reference", message).at(alias.place));
                }
            }
        }
        let ipv6 = self.vm_ipv6(nic, subnetwork, name);
        let access = nic.access_configs.as_ref().and_then(|configs| configs.first());
        let external_address = access.map(|config| {
            let given = config.nat_ip.as_ref().and_then(|address| address.v4());
            given.unwrap_or_else(|| self.documentation_address())
        });
        let declared = self.vms.declare(&instance.name, zone.as_deref(), self.out.vms.len());
        self.ok(declared)?;
        let cpus = self.machine_cpus(instance);
        self.out.vms.push(Vm {
            name: name.to_owned(),
            zone: zone.unwrap_or_else(|| format!("{}-a", subnet.region)),
            network: subnet.network,
            subnetwork,
            address,
            alias_ranges,
            external_address,
            ipv6,
            tags: instance
                .tags
                .iter()
                .flat_map(|tags| tags.items.iter().flatten())
                .map(|tag| tag.value.clone())
                .collect(),
            service_account: instance
                .service_accounts
                .iter()
                .flatten()
                .find_map(|account| account.email.as_ref())
                .map(|email| email.value.clone()),
            secure_tags: instance
                .params
                .iter()
                .flat_map(|params| params.resource_manager_tags.iter().flatten())
                .map(|(_, value)| value.value.clone())
                .collect(),
            cpus,
            can_ip_forward: instance.can_ip_forward.as_ref().is_some_and(|forward| forward.value),
            running: instance.status.as_ref().is_none_or(|status| status.value == InstanceStatus::Running),
        });
        Some(())
    }

    /// The IPv6 addresses of an interface, if it is dual-stack.
    fn vm_ipv6(&mut self, nic: &InstanceInterface, subnetwork: usize, name: &str) -> Option<Ipv6Net> {
        let stack = nic.stack_type.as_ref().filter(|stack| stack.value != StackType::Ipv4Only);
        let external = nic.ipv6_access_configs.iter().flatten().find_map(|config| config.external_ipv6.as_ref());
        let written = external.or(nic.ipv6_address.as_ref()).and_then(|address| match address.ip() {
            IpAddr::V6(ip) => Some((ip, address.place)),
            IpAddr::V4(_) => None,
        });
        let place = stack.map(|stack| stack.place).or(written.map(|(_, place)| place))?;
        if self.out.subnetworks[subnetwork].ipv6.is_none() {
            let subnet = &self.out.subnetworks[subnetwork].name;
            let message = format!("VM instance `{name}` has IPv6, and its subnet `{subnet}` is not dual-stack");
            let help = "add `stackType: IPV4_IPV6` and `ipv6AccessType` to the subnet";
            self.push(Diagnostic::rejected("no-ipv6", message).at(place).help(help));
            return None;
        }
        self.interface_ipv6(subnetwork, written)
    }

    /// vCPUs of the machine type; one, when none is given.
    fn machine_cpus(&mut self, instance: &Instance) -> MachineCpus {
        let Some(machine_type) = &instance.machine_type else { return MachineCpus::Whole(1) };
        MachineCpus::of(machine_type.name()).unwrap_or_else(|| {
            let message = format!("machine type `{}` tells no number of vCPUs, one is assumed", machine_type.name());
            let help = "such as `e2-standard-4`; the firewall tracks 130,000 connections for each vCPU";
            self.push(Diagnostic::warning("unknown-machine-type", message).at(machine_type.place).help(help));
            MachineCpus::Whole(1)
        })
    }

    fn check_vm_address(&mut self, subnet: &crate::scenario::Subnetwork, address: Ipv4Addr, place: Place) {
        if !subnet.range.contains(&address) {
            let message = format!("{address} is not in {} of subnet `{}`", subnet.range, subnet.name);
            self.push(Diagnostic::rejected("bad-address", message).at(place));
        } else if let Some(other) = self.out.vms.iter().find(|vm| vm.network == subnet.network && vm.address == address)
        {
            let message = format!("{address} is already the address of VM instance `{}`", other.name);
            self.push(Diagnostic::rejected("bad-address", message).at(place));
        }
    }
}

/// `us-central1-a` is in `us-central1`.
fn region_of_zone(zone: &str) -> Option<&str> {
    zone.rsplit_once('-').map(|(region, _)| region)
}
