//! `model:`, with its defaults.

use std::time::Duration;

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::model as file;
use crate::scenario::value::{At, Dur, DurOrAuto};

/// The use of a connector is looked at so often.
const SHORTEST_WINDOW: Duration = Duration::from_secs(10);

/// Takes a value over if it is given.
fn set<T, U>(target: &mut T, value: Option<U>, convert: impl FnOnce(U) -> T) {
    if let Some(value) = value {
        *target = convert(value);
    }
}

fn span(duration: &At<Dur>) -> Duration {
    duration.value.0
}

impl Resolver<'_> {
    pub(super) fn model(&mut self) {
        let Some(given) = &self.file.model else { return };
        if let Some(nat) = &given.nat {
            self.nat_model(nat);
        }
        let model = &mut self.out.model;
        set(&mut model.client.syn_schedule, given.client.as_ref().and_then(|client| client.syn_schedule), |choice| {
            choice
        });
        set(&mut model.client.timers, given.client.as_ref().and_then(|client| client.timers), |choice| choice);
        let time_wait = given.client.as_ref().and_then(|client| client.time_wait.as_ref());
        set(&mut model.client.time_wait, time_wait, span);
        if let Some(run) = &given.cloud_run {
            self.cloud_run_model(run);
        }
        if let Some(cost) = given.routing.as_ref().and_then(|routing| routing.inter_region_cost.as_ref()) {
            let cost = self.model_bounded(cost, 0..=9999, "model.routing.interRegionCost");
            set(&mut self.out.model.routing.inter_region_cost, cost, |cost| cost as u32);
        }
        if let Some(ranges) = given.google_apis.as_ref().and_then(|apis| apis.ranges.as_ref()) {
            self.out.model.google_apis.ranges = ranges.iter().map(|range| self.net(range)).collect();
        }
        let lifetime = given.diagnose.as_ref().and_then(|diagnose| diagnose.log_lifetime.as_ref());
        set(&mut self.out.model.diagnose.log_lifetime, lifetime, |lifetime| match lifetime.value {
            DurOrAuto::Auto => None,
            DurOrAuto::Is(duration) => Some(duration.0),
        });
        if let Some(connector) = &given.connector {
            self.connector_model(connector);
        }
        if let Some(firewall) = &given.firewall {
            let target = &mut self.out.model.firewall;
            set(&mut target.tag_propagation, firewall.tag_propagation.as_ref(), span);
            set(&mut target.source_service_account, firewall.source_service_account, |choice| choice);
            set(&mut target.full_table, firewall.full_table, |choice| choice);
        }
    }

    fn cloud_run_model(&mut self, run: &file::CloudRunModel) {
        let limit = run.connections_per_second.as_ref();
        let limit =
            limit.and_then(|limit| self.model_bounded(limit, 0..=1_000_000, "model.cloudRun.connectionsPerSecond"));
        let extra = run.extra_private_ranges.as_ref();
        let extra = extra.map(|ranges| ranges.iter().map(|range| self.net(range)).collect());
        if let Some(open) = &run.egress_open {
            self.stall_model(open);
        }
        if let Some(autoscaling) = &run.autoscaling {
            self.autoscaling_model(autoscaling);
        }
        let target = &mut self.out.model.cloud_run;
        set(&mut target.count_held_addresses, run.count_held_addresses, |count| count);
        set(&mut target.direct_vpc_delay, run.direct_vpc_delay.as_ref(), span);
        set(&mut target.address_hold, run.address_hold.as_ref(), span);
        set(&mut target.idle_vpc, run.idle_vpc, |choice| choice);
        set(&mut target.idle_internet, run.idle_internet, |choice| choice);
        set(&mut target.maintenance_stop, run.maintenance_stop.as_ref(), span);
        set(&mut target.address_blocks, run.address_blocks, |choice| choice);
        set(&mut target.extra_private_ranges, extra, |ranges| ranges);
        set(&mut target.class_e_direct, run.class_e_direct, |direct| direct);
        set(&mut target.connections_per_second, limit, |limit| limit as u32);
        if let Some(open) = &run.egress_open {
            set(&mut target.egress_open_nat_median, open.nat_median.as_ref(), span);
            set(&mut target.egress_open_nat_p90, open.nat_p90.as_ref(), span);
            set(&mut target.egress_open_nat_max, open.nat_max.as_ref(), span);
            set(&mut target.egress_open_vpc_median, open.vpc_median.as_ref(), span);
            let (median, p90, max) =
                (target.egress_open_nat_median, target.egress_open_nat_p90, target.egress_open_nat_max);
            if !(median <= p90 && p90 <= max) {
                let place = [&open.nat_max, &open.nat_p90, &open.nat_median].into_iter().flatten().next();
                let message = format!(
                    "egressOpen has natMedian {}, natP90 {}, natMax {}: expected them to rise",
                    Dur(median),
                    Dur(p90),
                    Dur(max)
                );
                let diagnostic = Diagnostic::unusable("out-of-range", message);
                self.push(place.map_or(diagnostic.clone(), |at| diagnostic.at(at.place)));
            }
        }
    }

    fn autoscaling_model(&mut self, given: &file::AutoscalingModel) {
        let utilization = given.target_utilization.as_ref().and_then(|at| {
            let share = self.share(at, "targetUtilization")?;
            if share == 0.0 {
                let message = "targetUtilization is 0, expected more";
                self.push(Diagnostic::unusable("out-of-range", message).at(at.place));
                return None;
            }
            Some(share)
        });
        for (time, name) in [(&given.window, "window"), (&given.evaluate_every, "evaluateEvery")] {
            if let Some(time) = time.as_ref().filter(|time| time.0.is_zero()) {
                let message = format!("{name} is 0s, expected more");
                self.push(Diagnostic::unusable("out-of-range", message).at(time.place));
            }
        }
        let target = &mut self.out.model.cloud_run.autoscaling;
        set(&mut target.target_utilization, utilization, |share| share);
        set(&mut target.window, given.window.as_ref(), span);
        set(&mut target.evaluate_every, given.evaluate_every.as_ref(), span);
        set(&mut target.idle_shutdown, given.idle_shutdown.as_ref(), span);
        set(&mut target.container_start, given.container_start.as_ref(), span);
        set(&mut target.pending_timeout, given.pending_timeout.as_ref(), span);
    }

    /// Stalls of Private Google Access, and to what a way opens.
    fn stall_model(&mut self, given: &file::EgressOpenModel) {
        let probability = given.pga_stall_probability.as_ref();
        let probability = probability.and_then(|share| self.share(share, "pgaStallProbability"));
        let share = given.pga_stall_share.as_ref().and_then(|share| self.share(share, "pgaStallShare"));
        let target = &mut self.out.model.cloud_run;
        set(&mut target.egress_open_scope, given.scope, |choice| choice);
        set(&mut target.pga_stall_probability, probability, |share| share);
        set(&mut target.pga_stall_share, share, |share| share);
        set(&mut target.pga_stall_min, given.pga_stall_min.as_ref(), span);
        set(&mut target.pga_stall_max, given.pga_stall_max.as_ref(), span);
        let (min, max) = (target.pga_stall_min, target.pga_stall_max);
        if min > max {
            let place =
                given.pga_stall_max.as_ref().or(given.pga_stall_min.as_ref()).map_or(Place::NOWHERE, |at| at.place);
            let message = format!("pgaStallMax is {}, below pgaStallMin, which is {}", Dur(max), Dur(min));
            self.push(Diagnostic::unusable("out-of-range", message).at(place));
        }
    }

    fn connector_model(&mut self, given: &file::ConnectorModel) {
        let ports = given.snat_ports.as_ref();
        let ports = ports.and_then(|ports| self.model_bounded(ports, 1..=65_535, "model.connector.snatPorts"));
        let factor = given.busy_delay_factor.as_ref();
        let factor = factor.and_then(|factor| self.model_bounded(factor, 1..=100, "model.connector.busyDelayFactor"));
        let burst = given.burst.as_ref().and_then(|burst| self.times(burst, "burst"));
        let dedicated = given.dedicated_burst.as_ref().and_then(|burst| self.times(burst, "dedicatedBurst"));
        let scale_out_at = given.scale_out_at.as_ref().filter(|share| {
            let sound = share.value > 0.0 && share.value.is_finite();
            if !sound {
                let message = format!("scaleOutAt is {}, expected more than 0", share.value);
                self.push(Diagnostic::unusable("out-of-range", message).at(share.place));
            }
            sound
        });
        if let Some(window) = given.scale_out_window.as_ref().filter(|window| window.0 < SHORTEST_WINDOW) {
            let message = format!("scaleOutWindow is {}, expected at least {}", window.value, Dur(SHORTEST_WINDOW));
            self.push(Diagnostic::unusable("out-of-range", message).at(window.place));
        }
        let target = &mut self.out.model.connector;
        set(&mut target.delay, given.delay.as_ref(), span);
        set(&mut target.delay_p99, given.delay_p99.as_ref(), span);
        set(&mut target.busy_delay_factor, factor, |factor| factor as u8);
        set(&mut target.burst, burst, |burst| burst);
        set(&mut target.burst_duration, given.burst_duration.as_ref(), span);
        set(&mut target.dedicated_burst, dedicated, |burst| burst);
        set(&mut target.scale_out_at, scale_out_at, |share| share.value);
        set(&mut target.scale_out_window, given.scale_out_window.as_ref(), span);
        set(&mut target.vm_start_min, given.vm_start_min.as_ref(), span);
        set(&mut target.vm_start_max, given.vm_start_max.as_ref(), span);
        set(&mut target.maintenance_every, given.maintenance_every.as_ref(), span);
        set(&mut target.time_wait, given.time_wait.as_ref(), span);
        set(&mut target.snat_ports, ports, |ports| ports as u32);
        set(&mut target.affinity, given.affinity, |choice| choice);
        // Who sets the median only wants no spread, if it is above the usual one.
        if given.delay_p99.is_none() {
            target.delay_p99 = target.delay_p99.max(target.delay);
        }
        let rising = [
            ("delay", target.delay, "delayP99", target.delay_p99, &given.delay_p99),
            ("vmStartMin", target.vm_start_min, "vmStartMax", target.vm_start_max, &given.vm_start_max),
        ];
        let wrong = rising.into_iter().filter(|(_, low, _, high, _)| low > high);
        let found: Vec<_> = wrong
            .map(|(low_name, low, high_name, high, at)| {
                let message = format!("{high_name} is {}, below {low_name}, which is {}", Dur(high), Dur(low));
                let diagnostic = Diagnostic::unusable("out-of-range", message);
                at.as_ref().map_or(diagnostic.clone(), |at| diagnostic.at(at.place))
            })
            .collect();
        self.diagnostics.extend(found);
    }

    /// A factor from 1 to 100.
    fn times(&mut self, value: &At<f64>, what: &str) -> Option<f64> {
        if (1.0..=100.0).contains(&value.value) {
            return Some(value.value);
        }
        let message = format!("{what} is {}, expected 1 to 100", value.value);
        self.push(Diagnostic::unusable("out-of-range", message).at(value.place));
        None
    }

    fn nat_model(&mut self, nat: &file::NatModel) {
        let target = &mut self.out.model.nat;
        set(&mut target.port_selection, nat.port_selection, |choice| choice);
        set(&mut target.shortage, nat.shortage, |choice| choice);
        set(&mut target.midstream, nat.midstream, |choice| choice);
        set(&mut target.rst, nat.rst, |choice| choice);
        set(&mut target.endpoint_independent_choice, nat.endpoint_independent_choice, |choice| choice);
        set(&mut target.time_wait_default, nat.time_wait_default.as_ref(), span);
        set(&mut target.programming_delay, nat.programming_delay.as_ref(), span);
        set(&mut target.log_entries_per_second_per_vcpu, nat.log_entries_per_second_per_vcpu, |entries| entries);
        let Some(dynamic) = &nat.dynamic_port_allocation else { return };
        let trigger = dynamic.trigger.as_ref().and_then(|share| self.share(share, "trigger"));
        let shrink_below = dynamic.shrink_below.as_ref().and_then(|share| self.share(share, "shrinkBelow"));
        if let Some(every) = dynamic.evaluate_every.as_ref().filter(|every| every.0.is_zero()) {
            self.push(Diagnostic::unusable("out-of-range", "evaluateEvery is 0s, expected more").at(every.place));
        }
        if let Some(trigger) = dynamic.trigger.as_ref().filter(|trigger| trigger.value == 0.0) {
            self.push(Diagnostic::unusable("out-of-range", "trigger is 0, expected more").at(trigger.place));
        }
        let target = &mut self.out.model.nat.dynamic_port_allocation;
        set(&mut target.trigger, trigger, |share| share);
        set(&mut target.grow_on_drop, dynamic.grow_on_drop, |grow| grow);
        set(&mut target.growth_delay, dynamic.growth_delay.as_ref(), span);
        set(&mut target.shrink_below, shrink_below, |share| share);
        set(&mut target.shrink_after, dynamic.shrink_after.as_ref(), span);
        set(&mut target.evaluate_every, dynamic.evaluate_every.as_ref(), span);
        set(&mut target.reset_on_change, dynamic.reset_on_change, |reset| reset);
    }

    /// A number from 0 to 1.
    pub(super) fn share(&mut self, value: &At<f64>, what: &str) -> Option<f64> {
        if (0.0..=1.0).contains(&value.value) {
            return Some(value.value);
        }
        let message = format!("{what} is {}, expected 0 to 1", value.value);
        self.push(Diagnostic::unusable("out-of-range", message).at(value.place));
        None
    }

    /// As [`Resolver::bounded`], for values that Google never sees.
    pub(super) fn model_bounded(
        &mut self,
        value: &At<i64>,
        range: std::ops::RangeInclusive<i64>,
        what: &str,
    ) -> Option<i64> {
        if range.contains(&value.value) {
            return Some(value.value);
        }
        let message = format!("{what} is {}, expected {} to {}", value.value, range.start(), range.end());
        self.push(Diagnostic::unusable("out-of-range", message).at(value.place));
        None
    }
}
