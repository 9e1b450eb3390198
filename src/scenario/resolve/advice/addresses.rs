//! Addresses of subnets that Direct VPC egress uses: how many are held at most, and are there as many?

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::resolve::Resolver;
use crate::scenario::value::Dur;
use crate::scenario::{Attachment, Scenario, lifecycle};

/// Addresses of a subnet that Google keeps: the first two and the last two.
const RESERVED_ADDRESSES: u32 = 4;
/// The smallest subnet that Google advises for Direct VPC egress.
const DIRECT_VPC_PREFIX: u8 = 26;

/// What a subnet's addresses are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Peak {
    /// Addresses held at most.
    addresses: u64,
    /// Running instances then.
    instances: u64,
    /// When that was first so.
    at: Duration,
}

impl Resolver<'_> {
    /// Subnets of Direct VPC egress: large enough?
    pub(super) fn direct_subnets(&mut self) {
        for at in 0..self.out.subnetworks.len() {
            let uses = |attachment: &Attachment| matches!(attachment, Attachment::Direct { subnetwork, .. } if *subnetwork == at);
            let mut workloads = self.out.workloads.iter();
            let Some(first) = workloads.position(|workload| workload.revisions.iter().any(|it| uses(&it.attachment)))
            else {
                continue;
            };
            let subnet = &self.out.subnetworks[at];
            let (place, user) = (self.details.subnetworks[at].range, self.details.workloads[first]);
            let prefix = subnet.range.prefix_len();
            let mut found = Vec::new();
            if prefix > DIRECT_VPC_PREFIX {
                let message = format!(
                    "subnet \"{}\" {} is small for Direct VPC egress: Google advises /26 or larger",
                    subnet.name, subnet.range
                );
                found.push(
                    Diagnostic::warning("small-subnet", message)
                        .at(place)
                        .related(user, "used here")
                        .help("choose a range of /26 or larger"),
                );
            }
            let size = 1u64 << (32 - prefix);
            let usable = size.saturating_sub(RESERVED_ADDRESSES.into());
            let peak = peak(&self.out, at);
            if peak.addresses > usable {
                let when = if peak.at.is_zero() { String::new() } else { format!(" after {}", Dur(peak.at)) };
                let each = peak.addresses / peak.instances.max(1);
                let needs = if each * peak.instances == peak.addresses && each <= 2 {
                    format!(
                        "has room for {} instances ({usable} addresses, {each} each), scenario asks for {}{when}",
                        usable / each,
                        peak.instances
                    )
                } else {
                    format!(
                        "has {usable} usable addresses, {} are held{when}: of {} running instances, and of others that are gone",
                        peak.addresses, peak.instances
                    )
                };
                let message = format!("subnet \"{}\" {} {needs}", subnet.name, subnet.range);
                // Enough for the addresses and Google's four.
                let bits = (peak.addresses + u64::from(RESERVED_ADDRESSES)).next_power_of_two().trailing_zeros();
                found.push(
                    Diagnostic::warning("subnet-too-small", message).at(place).related(user, "used here").help(
                        format!("use a /{} or larger, or fewer instances: those beyond fail to start", 32 - bits),
                    ),
                );
            }
            self.diagnostics.extend(found);
        }
    }
}

/// The most addresses of a subnet that are held at a time.
fn peak(scenario: &Scenario, subnetwork: usize) -> Peak {
    // By time: addresses taken and released, instances started and stopped. What is released comes first.
    let mut changes: BTreeMap<(Duration, bool), (i64, i64)> = BTreeMap::new();
    for turnover in lifecycle::forecast(scenario) {
        let workload = &scenario.workloads[turnover.workload];
        let attachment = &workload.revisions[turnover.revision].attachment;
        if !matches!(attachment, Attachment::Direct { subnetwork: at, .. } if *at == subnetwork) {
            continue;
        }
        let hold = scenario.address_hold(turnover.workload);
        let each = i64::from(workload.addresses_per_instance());
        let now = changes.entry((turnover.at, true)).or_default();
        now.0 += each * i64::from(turnover.starts);
        now.1 += i64::from(turnover.starts) - i64::from(turnover.stops);
        changes.entry((turnover.at + hold, false)).or_default().0 -= each * i64::from(turnover.stops);
    }
    let (mut addresses, mut instances, mut peak) = (0, 0, Peak::default());
    for ((at, _), (held, running)) in changes.into_iter().take_while(|((at, _), _)| *at <= scenario.duration) {
        addresses += held;
        instances += running;
        if addresses > peak.addresses as i64 {
            peak = Peak { addresses: addresses as u64, instances: instances.max(0) as u64, at };
        }
    }
    peak
}
