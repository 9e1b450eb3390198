//! What is to happen to the network at set times.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use super::beyond::Key;
use crate::node::instance::Instance;
use crate::scenario::NatConfig;
use crate::scenario::lifecycle::Turnover;
use crate::sim::Site;
use crate::time::SimTime;

/// Something to be done.
#[derive(Debug)]
pub(super) enum Due {
    /// Addresses were held long enough.
    Release { subnetwork: usize, addresses: Vec<Ipv4Addr> },
    /// A configuration reaches the data plane.
    NatConfig { gateway: usize, config: Box<NatConfig> },
    /// Instances stop and start.
    Turnover(Turnover),
    /// An instance is stopped for maintenance.
    Stop { workload: usize, site: Site<Instance> },
    /// It goes on.
    Continue { workload: usize, site: Site<Instance> },
    /// The routes of a dead BGP session are withdrawn.
    Withdraw(Key),
    /// How much do connectors carry?
    LookAtConnectors,
    /// A connector VM that had to start carries traffic.
    StartedConnectorVm { connector: usize },
    /// The oldest VM of a connector is replaced.
    ReplaceConnectorVm { connector: usize },
    /// All VMs of a connector are replaced, and again after a while.
    MaintainConnector { connector: usize },
}

impl Due {
    /// At one time, addresses are released before instances want them.
    fn rank(&self) -> u8 {
        match self {
            Due::Release { .. } => 0,
            Due::NatConfig { .. } => 1,
            _ => 2,
        }
    }
}

/// All that is to be done, by time.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeMap<(SimTime, u8, u64), Due>,
    added: u64,
}

impl Agenda {
    pub(super) fn add(&mut self, at: SimTime, due: Due) {
        self.due.insert((at, due.rank(), self.added), due);
        self.added += 1;
    }

    /// When something is due.
    pub(super) fn next(&self) -> SimTime {
        self.due.first_key_value().map_or(SimTime::NEVER, |((at, ..), _)| *at)
    }

    /// What is due by now, the first first.
    pub(super) fn take(&mut self, now: SimTime) -> Option<Due> {
        let first = self.due.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }
}
