//! Timed changes.

use std::time::Duration;

use super::{EventDetail, Resolver};
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::simulation as file;
use crate::scenario::value::{At, Dur, Reference};
use crate::scenario::{Change, Event, Workload, WorkloadKind};

/// Executions that one event may stand for.
const MOST_EXECUTIONS: u128 = 100_000;

impl Resolver<'_> {
    /// Events in time order; patches of a gateway, and deployments of a workload, build on each other.
    pub(super) fn events(&mut self) {
        let mut events: Vec<&At<file::Event>> = self.file.events.iter().collect();
        events.sort_by_key(|event| event.value.at.0);
        // Patches change what the gateways are known to be, for the checks of the next patch only.
        let configs: Vec<_> = self.out.nat_gateways.iter().map(|gateway| gateway.config.clone()).collect();
        let (connectors, hosts) = (self.out.connectors.clone(), self.out.hosts.clone());
        let (rules, written) = (self.out.firewall_rules.clone(), self.details.firewalls.clone());
        let details = self.details.gateways.clone();
        self.lookups.present = self.out.routes.iter().map(|route| (route.network, route.name.clone())).collect();
        for event in events {
            if event.value.at.0 > self.out.duration {
                let message = format!("the run ends before this event, after {}", Dur(self.out.duration));
                self.push(
                    Diagnostic::warning("never-happens", message).at(event.value.at.place).help("raise `duration`"),
                );
            }
            let at = event.value.at.0;
            let detail = EventDetail::of(event);
            for (at, change) in self.changes(event, at) {
                self.out.events.push(Event { at, change });
                self.details.events.push(detail);
            }
        }
        self.lookups.present.clear();
        // Executions that are repeated run on into the time of later events.
        let mut order: Vec<usize> = (0..self.out.events.len()).collect();
        order.sort_by_key(|index| self.out.events[*index].at);
        self.out.events = order.iter().map(|index| self.out.events[*index].clone()).collect();
        self.details.events = order.iter().map(|index| self.details.events[*index]).collect();
        for (gateway, config) in self.out.nat_gateways.iter_mut().zip(configs) {
            gateway.config = config;
        }
        self.details.gateways = details;
        (self.out.connectors, self.out.hosts) = (connectors, hosts);
        (self.out.firewall_rules, self.details.firewalls) = (rules, written);
    }

    /// What an event changes, and when: once, or again and again.
    fn changes(&mut self, event: &At<file::Event>, at: Duration) -> Vec<(Duration, Change)> {
        let file::Event {
            at: _,
            scale,
            deploy,
            execute,
            patch_nat,
            patch_firewall,
            patch_connector,
            maintain,
            reset_connections,
            patch_vpn_tunnel,
            patch_interconnect_attachment,
            add_route,
            remove_route,
            patch_host,
            impair,
            outage,
        } = &event.value;
        let kinds = [
            ("scale", scale.as_ref().map(|it| it.place)),
            ("deploy", deploy.as_ref().map(|it| it.place)),
            ("execute", execute.as_ref().map(|it| it.place)),
            ("patchNat", patch_nat.as_ref().map(|it| it.place)),
            ("patchFirewall", patch_firewall.as_ref().map(|it| it.place)),
            ("patchConnector", patch_connector.as_ref().map(|it| it.place)),
            ("maintain", maintain.as_ref().map(|it| it.place)),
            ("resetConnections", reset_connections.as_ref().map(|it| it.place)),
            ("patchVpnTunnel", patch_vpn_tunnel.as_ref().map(|it| it.place)),
            ("patchInterconnectAttachment", patch_interconnect_attachment.as_ref().map(|it| it.place)),
            ("addRoute", add_route.as_ref().map(|it| it.place)),
            ("removeRoute", remove_route.as_ref().map(|it| it.place)),
            ("patchHost", patch_host.as_ref().map(|it| it.place)),
            ("impair", impair.as_ref().map(|it| it.place)),
            ("outage", outage.as_ref().map(|it| it.place)),
        ];
        let given: Vec<(&str, Place)> = kinds.iter().filter_map(|(kind, place)| Some((*kind, (*place)?))).collect();
        match given[..] {
            [_] => {}
            [] => {
                if !kinds.iter().any(|(kind, _)| self.is_lost(event.place, kind)) {
                    self.push(
                        Diagnostic::unusable("missing-field", "an event needs a change")
                            .at(event.place)
                            .help("add `scale: {workload: …, instances: 4}` or `patchNat: {gateway: …, set: {…}}`"),
                    );
                }
                return vec![];
            }
            [(first, _), (second, place), ..] => {
                let message = format!("an event is one change, found {first} and {second}");
                self.push(Diagnostic::unusable("many-changes", message).at(place).help("make two events of it"));
                return vec![];
            }
        }
        let once = |change: Option<Change>| change.map(|change| (at, change)).into_iter().collect();
        if let Some(patch) = patch_host {
            let changes = self.patch_host(patch).unwrap_or_default();
            return changes.into_iter().map(|change| (at, change)).collect();
        }
        if let Some(impair) = impair {
            return self.impair(impair, at).unwrap_or_default();
        }
        if let Some(outage) = outage {
            return self.outage(outage, at).unwrap_or_default();
        }
        if let Some(scale) = scale {
            return once(self.scale(scale));
        }
        if let Some(deploy) = deploy {
            return once(self.deploy(deploy));
        }
        if let Some(execute) = execute {
            return self.execute(execute, at).unwrap_or_default();
        }
        if let Some(patch) = patch_firewall {
            return once(self.patch_firewall(patch));
        }
        if let Some(patch) = patch_connector {
            return once(self.patch_connector(patch));
        }
        if let Some(maintain) = maintain {
            return once(self.maintain(maintain));
        }
        if let Some(reset) = reset_connections {
            let workload = self.workloads.lookup(&reset.workload, None);
            return once(self.ok(workload).flatten().map(|workload| Change::ResetConnections { workload }));
        }
        if let Some(patch) = patch_nat {
            return once(self.patch(patch));
        }
        once(self.routing_change(event))
    }

    fn maintain(&mut self, maintain: &At<file::MaintainEvent>) -> Option<Change> {
        match (&maintain.workload, &maintain.connector) {
            (Some(workload), None) => {
                let workload = self.workloads.lookup(workload, None);
                self.ok(workload).flatten().map(|workload| Change::MaintainWorkload { workload })
            }
            (None, Some(connector)) => {
                let connector = self.connectors.lookup(connector, None);
                self.ok(connector).flatten().map(|connector| Change::MaintainConnector { connector })
            }
            _ => {
                let message = "maintenance is of a workload or of a connector";
                self.push(
                    Diagnostic::unusable("missing-field", message)
                        .at(maintain.place)
                        .help("write `maintain: {workload: …}` or `maintain: {connector: …}`"),
                );
                None
            }
        }
    }

    fn scale(&mut self, scale: &file::ScaleEvent) -> Option<Change> {
        let workload = self.workloads.lookup(&scale.workload, None);
        let workload = self.ok(workload).flatten();
        let instances = self.model_bounded(&scale.instances, 0..=100_000, "instances");
        let (workload, instances) = (workload?, instances? as u32);
        let newest = self.out.workloads[workload].revisions.last().expect("a workload has a revision");
        if let Some(most) = newest.max_instances.filter(|most| instances > *most) {
            let message = format!(
                "{instances} instances are asked for, maxInstanceCount of `{}` is {most}: {most} run",
                self.out.workloads[workload].name
            );
            self.push(
                Diagnostic::warning("above-max-instances", message)
                    .at(scale.instances.place)
                    .help("raise maxInstanceCount, or ask for fewer"),
            );
        }
        let over = scale.over.as_ref().map_or(Duration::ZERO, |over| over.0);
        Some(Change::Scale { workload, instances, over })
    }

    fn deploy(&mut self, deploy: &file::DeployEvent) -> Option<Change> {
        let workload = self.workloads.lookup(&deploy.workload, None);
        let workload = self.ok(workload).flatten()?;
        if self.details.pinned.contains(&workload) {
            let message = format!(
                "shares of `{}` are for revisions by name: in Google Cloud they stay there, here all move to the new revision",
                self.out.workloads[workload].name
            );
            self.push(
                Diagnostic::warning("not-simulated", message)
                    .at(deploy.workload.place)
                    .help("allocate them to the latest revision"),
            );
        }
        let revision = self.new_revision(workload, deploy)?;
        let revisions = &mut self.out.workloads[workload].revisions;
        revisions.push(revision);
        let over = deploy.over.as_ref().map_or(Duration::ZERO, |over| over.0);
        Some(Change::Deploy { workload, revision: revisions.len() - 1, over })
    }

    fn execute(&mut self, execute: &file::ExecuteEvent, at: Duration) -> Option<Vec<(Duration, Change)>> {
        let job = self.workloads.lookup(&execute.job, None);
        let job = self.ok(job).flatten()?;
        let Workload { kind, name, .. } = &self.out.workloads[job];
        if *kind != WorkloadKind::Job {
            let message = format!("`{name}` is no job: only jobs are executed");
            self.push(
                Diagnostic::unusable("wrong-kind", message).at(execute.job.place).help("`scale` changes the others"),
            );
            return None;
        }
        let (default_tasks, default_parallelism) = self.details.executions.get(&job).copied().unwrap_or((1, 0));
        let tasks = match &execute.tasks {
            Some(tasks) => self.model_bounded(tasks, 1..=100_000, "tasks")? as u32,
            None => default_tasks,
        };
        let parallelism = match &execute.parallelism {
            Some(parallelism) => self.model_bounded(parallelism, 0..=100_000, "parallelism")? as u32,
            None => default_parallelism,
        };
        let parallelism = if parallelism == 0 { tasks } else { parallelism };
        let task_duration = execute.task_duration.0;
        if task_duration.is_zero() {
            let message = "a task of no time at all";
            self.push(Diagnostic::unusable("out-of-range", message).at(execute.task_duration.place));
            return None;
        }
        let change = Change::Execute { job, tasks, parallelism, task_duration };
        let Some(every) = &execute.every else { return Some(vec![(at, change)]) };
        let until = execute.until.as_ref().map_or(self.out.duration, |until| until.0.min(self.out.duration));
        let count = until.checked_sub(at).map_or(1, |span| 1 + span.as_nanos() / every.0.as_nanos().max(1));
        if every.0.is_zero() || count > MOST_EXECUTIONS {
            let message = format!("every {} is more than {MOST_EXECUTIONS} executions", every.value);
            self.push(Diagnostic::unusable("out-of-range", message).at(every.place).help("raise `every`"));
            return None;
        }
        Some((0..count as u32).map(|number| (at + every.0 * number, change.clone())).collect())
    }

    fn patch(&mut self, patch: &At<file::PatchNatEvent>) -> Option<Change> {
        let gateway = self.patched_gateway(&patch.gateway)?;
        let config = self.patch_nat(gateway, &patch.set)?;
        self.out.nat_gateways[gateway].config = config.clone();
        Some(Change::PatchNat { gateway, config: Box::new(config) })
    }

    /// The gateway of an event: its name, or `ROUTER/NAME` where several routers have one of that name.
    fn patched_gateway(&mut self, reference: &At<Reference>) -> Option<usize> {
        let name = reference.name();
        let router = reference.as_str().rsplit_once('/').map(|(path, _)| path.rsplit('/').next().unwrap_or(path));
        let gateways = self.out.nat_gateways.iter().enumerate();
        let meant = gateways
            .filter(|(_, gateway)| gateway.name == name && router.is_none_or(|router| gateway.router == router));
        let meant: Vec<usize> = meant.map(|(at, _)| at).collect();
        match meant[..] {
            [at] => return Some(at),
            [] if self.gateways.lost.contains(name) => {}
            [] => self.push(self.gateways.unknown(reference)),
            _ => {
                let routers: Vec<&str> = meant.iter().map(|at| self.out.nat_gateways[*at].router.as_str()).collect();
                let message = format!("gateway `{name}` could be the one of {}", routers.join(" or of "));
                let help = format!("write `ROUTER/{name}`, with routers of different names");
                self.push(Diagnostic::unusable("unknown-reference", message).at(reference.place).help(help));
            }
        }
        None
    }
}

impl EventDetail {
    fn of(event: &At<file::Event>) -> EventDetail {
        let set = event.patch_nat.as_ref().map(|patch| &patch.set);
        let lists = set.map(|set| [&set.nat_ips, &set.drain_nat_ips]);
        EventDetail {
            set: set.map_or(event.place, |set| set.place),
            nat_ips: lists.into_iter().flatten().find_map(|list| list.as_ref().map(|list| list.place)),
            rules: set.and_then(|set| set.rules.as_ref()).map(|rules| rules.place),
        }
    }
}
