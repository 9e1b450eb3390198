//! What Google's infrastructure does to running instances: restarts that end their connections, and maintenance of the
//! machines that they run on.
//!
//! Google: connections may be ended when infrastructure is restarted or updated, and clients must connect again; a task that
//! runs for long may be moved to another machine, for which it gets SIGTSTP 10 seconds before and SIGCONT after
//! (<https://docs.cloud.google.com/run/docs/container-contract> and
//! <https://docs.cloud.google.com/run/docs/configuring/vpc-direct-vpc>, as of 2026). How often, and for how long it is stopped, is
//! not documented.

use std::time::Duration;

use super::agenda::Due;
use super::{Network, RunLog};
use crate::node::instance::Instance;
use crate::sim::Site;

/// Google: from SIGTSTP to the stop.
const NOTICE: Duration = Duration::from_secs(10);

impl Network {
    /// Ends all connections of a workload's instances.
    pub(super) fn reset_connections(&mut self, workload: usize) {
        self.disconnected.extend(self.workloads[workload].iter().map(|instance| instance.site.node));
    }

    /// Tells a workload's instances that their machines are about to be maintained.
    pub(super) fn maintain_workload(&mut self, workload: usize) {
        let stops_at = self.engine.now() + NOTICE;
        for site in self.workloads[workload].iter().map(|instance| instance.site).collect::<Vec<_>>() {
            self.log_signal(workload, site, "SIGTSTP", "its machine is about to be maintained");
            self.agenda.add(stops_at, Due::Stop { workload, site });
        }
    }

    pub(super) fn stop_for_maintenance(&mut self, workload: usize, site: Site<Instance>) {
        self.engine.change(site, |instance| instance.set_stopped(true));
        self.disconnected.push(site.node);
        let goes_on = self.engine.now() + self.scenario.model.cloud_run.maintenance_stop;
        self.agenda.add(goes_on, Due::Continue { workload, site });
    }

    pub(super) fn continue_after_maintenance(&mut self, workload: usize, site: Site<Instance>) {
        self.engine.change(site, |instance| instance.set_stopped(false));
        self.log_signal(workload, site, "SIGCONT", "maintenance is over");
    }

    fn log_signal(&mut self, workload: usize, site: Site<Instance>, signal: &str, why: &str) {
        // One that has ended meanwhile is told nothing.
        let Some(instance) = self.workloads[workload].iter().find(|instance| instance.site.node == site.node) else {
            return;
        };
        let name = &self.engine.at(site).config().name;
        let text = format!("{name} gets {signal}: {why}");
        let (time, revision) = (self.engine.now(), instance.revision);
        self.log.push(RunLog { time, workload, revision, severity: "INFO", text });
    }
}
