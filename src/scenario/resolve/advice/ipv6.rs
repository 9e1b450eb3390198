//! IPv6 that does not get anywhere, and what dual-stack subnets ask for.

use std::net::IpAddr;

use crate::node::instance::goes_to_vpc_ipv6;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::resolve::Resolver;
use crate::scenario::{Attachment, Egress};

impl Resolver<'_> {
    pub(super) fn ipv6_advice(&mut self) {
        let mut found = self.ipv6_destinations();
        found.extend(self.dual_stack_subnets());
        self.diagnostics.extend(found);
    }

    /// Loads to an address of IPv6, from workloads that have no way to it.
    fn ipv6_destinations(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut found = Vec::new();
        for (traffic, (place, _)) in scenario.traffic.iter().zip(&self.details.traffic) {
            let IpAddr::V6(to) = scenario.address_of(traffic) else { continue };
            let workload = &scenario.workloads[traffic.from];
            let name = &workload.name;
            let ipv6 = match workload.attachment() {
                Attachment::Direct { subnetwork, .. } => scenario.subnetworks[*subnetwork].ipv6.as_ref(),
                _ => None,
            };
            let (message, help) = match ipv6 {
                None => (
                    format!("{to} is IPv6, and `{name}` has IPv4 only: its connections fail at once"),
                    "give the host an IPv4 address, too, or the workload Direct VPC egress in a dual-stack subnet",
                ),
                Some(_) if !goes_to_vpc_ipv6(to) && workload.egress() == Egress::PrivateRangesOnly => (
                    format!(
                        "{to} is public IPv6, and `{name}` sends only private ranges into the network: Cloud Run's own internet egress has IPv4 only"
                    ),
                    "set `egress: ALL_TRAFFIC`, in a subnet with `ipv6AccessType: EXTERNAL`",
                ),
                Some(ipv6) if !goes_to_vpc_ipv6(to) && !ipv6.external => (
                    format!(
                        "{to} is public IPv6, and `{name}` has an internal range: nothing translates it, so that it is dropped as NO_EXTERNAL_ADDRESS"
                    ),
                    "use a subnet with `ipv6AccessType: EXTERNAL`, or the host's IPv4 address",
                ),
                Some(_) => continue,
            };
            found.push(
                Diagnostic::warning("ipv6-unreachable", message)
                    .at(*place)
                    .related(self.details.workloads[traffic.from], "the workload")
                    .help(help),
            );
        }
        found
    }

    /// What Google's page on dual-stack subnets says of those that use one
    /// (<https://docs.cloud.google.com/run/docs/configuring/vpc-dual-stack-subnet>, 2026).
    fn dual_stack_subnets(&self) -> Vec<Diagnostic> {
        let scenario = &self.out;
        let mut found = Vec::new();
        for (at, subnet) in scenario.subnetworks.iter().enumerate() {
            let Some(ipv6) = &subnet.ipv6 else { continue };
            let uses = |attachment: &Attachment| matches!(attachment, Attachment::Direct { subnetwork, .. } if *subnetwork == at);
            let Some(workload) = scenario.workloads.iter().find(|workload| uses(workload.attachment())) else {
                continue;
            };
            let mut message = format!(
                "`{}` uses dual-stack subnet `{}`: instances may start more slowly than with IPv4 alone, and hold as many IPv4 addresses",
                workload.name, subnet.name
            );
            if ipv6.external {
                message += "; with an external range the Cloud Run service agent needs `roles/compute.publicIpAdmin`";
            }
            found.push(Diagnostic::note("dual-stack", message).at(self.details.subnetworks[at].place));
        }
        found
    }
}
