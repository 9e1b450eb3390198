//! Whether a workload is ready, as the API tells of one that exists: nothing leaves it otherwise.

use super::{Deployed, Resolver};
use crate::scenario::WorkloadKind;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::run::{Condition, ConditionState, FunctionState};
use crate::scenario::value::At;

impl Resolver<'_> {
    pub(super) fn warn_of_unready(&mut self, deployed: &Deployed) {
        let Some(why) = &deployed.not_ready else { return };
        let message = format!("`{}` is not ready: {}; packets do not leave it", deployed.name.name(), why.value);
        let field = if deployed.kind == WorkloadKind::Function { "state" } else { "terminalCondition" };
        self.push(
            Diagnostic::warning("not-ready", message)
                .at(why.place)
                .help(format!("remove `{field}` to see what it would do if it were ready")),
        );
    }
}

/// What a terminal condition says, unless it is that the workload is ready.
pub(super) fn unready(condition: Option<&At<Condition>>) -> Option<At<String>> {
    let condition = condition?;
    let state = condition.state.as_ref()?;
    let ready = condition.kind.as_ref().is_none_or(|kind| kind.value == "Ready");
    let words = match state.value {
        ConditionState::StateUnspecified | ConditionState::ConditionSucceeded => return None,
        _ if !ready => return None,
        ConditionState::ConditionPending => "its condition is CONDITION_PENDING",
        ConditionState::ConditionReconciling => "its condition is CONDITION_RECONCILING",
        ConditionState::ConditionFailed => "its condition is CONDITION_FAILED",
    };
    let value = match &condition.message {
        Some(message) => format!("{words} ({})", message.value),
        None => words.to_owned(),
    };
    Some(At { value, place: state.place })
}

/// What the state of a function says, unless it is that the function works.
pub(super) fn inactive(state: Option<&At<FunctionState>>) -> Option<At<String>> {
    let state = state?;
    let words = match state.value {
        FunctionState::Failed => "its state is FAILED",
        FunctionState::Deploying => "its state is DEPLOYING",
        FunctionState::Deleting => "its state is DELETING",
        // A detached one goes on as a service.
        FunctionState::StateUnspecified
        | FunctionState::Active
        | FunctionState::Unknown
        | FunctionState::Detaching
        | FunctionState::Detached
        | FunctionState::DetachFailed => return None,
    };
    Some(At { value: words.to_owned(), place: state.place })
}

#[cfg(test)]
mod tests {
    use crate::scenario::load::{Source, load};

    #[test]
    fn what_is_not_ready_is_warned_of_and_what_is_deployed_later_is_ready() {
        let text = |kind: &str, field: &str| {
            let deploy = match kind {
                "functions" => "serviceConfig: {availableCpu: '1'}",
                _ => "template: {}",
            };
            format!(
                "{kind}: [{{name: w, region: r1, {field}}}]\nevents: [{{at: 1s, deploy: {{workload: w, set: {{{deploy}}}}}}}]\n"
            )
        };
        let condition = |state: &str| format!("terminalCondition: {{type: Ready, state: {state}, reason: X}}");
        for kind in ["services", "jobs", "workerPools", "functions"] {
            let states = match kind {
                "functions" => ["FAILED", "DEPLOYING", "ACTIVE", "UNKNOWN"].map(|state| format!("state: {state}")),
                _ => ["CONDITION_FAILED", "CONDITION_RECONCILING", "CONDITION_SUCCEEDED", "STATE_UNSPECIFIED"]
                    .map(condition),
            };
            for (number, field) in states.iter().enumerate() {
                let text = text(kind, field);
                let loaded = load(Source::Text { name: "t.yaml", text: &text });
                let scenario = loaded.scenario.unwrap_or_else(|| panic!("{text}"));
                let unready: Vec<bool> =
                    scenario.workloads[0].revisions.iter().map(|revision| revision.not_ready.is_some()).collect();
                assert_eq!(unready, [number < 2, false], "{text}");
                let warned = loaded.diagnostics.iter().any(|diagnostic| diagnostic.code == "not-ready");
                assert_eq!(warned, number < 2, "{text}");
            }
        }
    }
}
