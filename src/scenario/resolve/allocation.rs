//! Which revision of a service gets which share of its requests, and of a worker pool of its instances.
//!
//! A scenario describes one revision, and others by `deploy` events, to which all instances move. What belongs to a revision
//! that nothing describes cannot be simulated.

use super::Resolver;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::run::{TrafficTarget, TrafficTargetType};
use crate::scenario::value::{At, Reference};

impl Resolver<'_> {
    /// Shares of revisions. The scenario describes one revision, `own`, and deployments after it.
    pub(super) fn allocations(
        &mut self,
        (name, region): (&At<Reference>, Option<&str>),
        targets: Option<&At<Vec<At<TrafficTarget>>>>,
        own: Option<&str>,
        what: &str,
    ) {
        let Some(targets) = targets.filter(|targets| !targets.is_empty()) else { return };
        let Ok(Some(workload)) = self.workloads.lookup(name, region) else { return };
        let (mut sum, mut elsewhere) = (0, None);
        for target in targets.iter() {
            let share = target.percent.as_ref().map_or(Some(0), |percent| self.bounded(percent, 0..=100, "percent"));
            let Some(share) = share else { return };
            sum += share;
            let named = target.kind.as_ref().is_some_and(|kind| kind.value == TrafficTargetType::Revision);
            let Some(revision) = target.revision.as_ref().filter(|_| named && share > 0) else { continue };
            self.details.pinned.insert(workload);
            if own != Some(revision.name()) {
                let (share_so_far, place) = elsewhere.unwrap_or((0, revision.place));
                elsewhere = Some((share_so_far + share, place));
            }
        }
        let name = name.name();
        if sum != 100 {
            let message = format!("shares of {what} of `{name}` add up to {sum} %, expected 100");
            self.push(Diagnostic::rejected("traffic-percent", message).at(targets.place).help("change `percent`"));
        } else if let Some((share, place)) = elsewhere {
            let message = format!(
                "{share} % of the {what} of `{name}` are for a revision that the scenario does not describe: here all are of the template's"
            );
            self.push(
                Diagnostic::warning("not-simulated", message)
                    .at(place)
                    .help("describe that revision as a workload of its own, and divide the load between the two"),
            );
        }
    }
}
