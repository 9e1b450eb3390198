//! The constraint `run.allowedVPCEgress` of organization policies: which egress settings may be deployed.
//!
//! Google checks it when a service, job or worker pool is deployed, and in no other place: packets know nothing of it. While
//! it restricts anything, a workload must be attached to a VPC network, and its egress setting be one of those allowed
//! (<https://docs.cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints>, 2026). Policies are
//! evaluated from the project upwards: the first one counts, unless it inherits
//! (<https://docs.cloud.google.com/resource-manager/docs/organization-policy/understanding-hierarchy>, 2026). Not looked at:
//! rules with conditions, dry runs, every other constraint.

use super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::organization::{AllValues, OrgPolicy};
use crate::scenario::value::At;
use crate::scenario::{Attachment, Egress};

const CONSTRAINT: &str = "run.allowedVPCEgress";
/// The values, as the constraint writes them, and what they are as an egress setting.
const VALUES: [(Egress, &str, &str); 2] = [
    (Egress::AllTraffic, "all-traffic", "ALL_TRAFFIC"),
    (Egress::PrivateRangesOnly, "private-ranges-only", "PRIVATE_RANGES_ONLY"),
];

/// A policy for the constraint.
#[derive(Debug, Clone, Default)]
pub(super) struct EgressPolicy {
    place: Option<Place>,
    /// Of a project: 0; of a folder: 1; of an organization: 2.
    level: u8,
    /// The project that it is of.
    project: Option<String>,
    resets: bool,
    inherits: bool,
    allows_all: bool,
    denies_all: bool,
    /// By position in [`VALUES`]; `None` where no list says what is allowed.
    allowed: Option<[bool; 2]>,
    denied: [bool; 2],
}

impl Resolver<'_> {
    pub(super) fn org_policies(&mut self) {
        let file = self.file;
        for policy in &file.org_policies {
            if let Some(policy) = self.org_policy(policy) {
                self.egress_policies.push(policy);
            }
        }
        // Within a level the order of the file stays: which of two folders is the inner one, nothing here tells.
        self.egress_policies.sort_by_key(|policy| policy.level);
    }

    fn org_policy(&mut self, policy: &At<OrgPolicy>) -> Option<EgressPolicy> {
        let Some(name) = policy.name.as_ref().or(policy.constraint.as_ref()) else {
            if !self.is_lost(policy.place, "name") && !self.is_lost(policy.place, "constraint") {
                let message = "an organization policy needs a name, or a constraint";
                self.push(
                    Diagnostic::unusable("missing-field", message)
                        .at(policy.place)
                        .help(format!("write `name: projects/PROJECT/policies/{CONSTRAINT}`")),
                );
            }
            return None;
        };
        let (owner, constraint) = name.rsplit_once('/').unwrap_or(("", name));
        if constraint != CONSTRAINT {
            let message = format!("constraint `{constraint}` is not looked at: only `{CONSTRAINT}` is");
            let finding = if constraint.eq_ignore_ascii_case(CONSTRAINT) {
                let message = format!("there is no constraint `{constraint}`");
                Diagnostic::rejected("unknown-value", message).help(format!("did you mean `{CONSTRAINT}`?"))
            } else {
                Diagnostic::note("not-simulated", message)
            };
            self.push(finding.at(name.place));
            return None;
        }
        let mut parts = owner.split('/');
        let (level, project) = match (parts.next(), parts.next()) {
            (Some("folders"), _) => (1, None),
            (Some("organizations"), _) => (2, None),
            (Some("projects"), Some(project)) => (0, Some(project.to_owned())),
            _ => (0, None),
        };
        let mut found = EgressPolicy { place: Some(name.place), level, project, ..EgressPolicy::default() };
        found.resets = policy.restore_default.is_some();
        if let Some(spec) = &policy.spec {
            found.resets |= spec.reset.unwrap_or(false);
            found.inherits = spec.inherit_from_parent.unwrap_or(false);
            for rule in spec.rules.iter().flatten() {
                if let Some(condition) = &rule.condition {
                    let message = format!("a rule of `{CONSTRAINT}` with a condition is not looked at");
                    self.push(Diagnostic::warning("not-simulated", message).at(condition.place));
                    continue;
                }
                found.allows_all |= rule.allow_all.unwrap_or(false);
                found.denies_all |= rule.deny_all.unwrap_or(false);
                if let Some(values) = &rule.values {
                    self.egress_values(&mut found, values.allowed_values.as_ref(), values.denied_values.as_ref());
                }
            }
        }
        if let Some(list) = &policy.list_policy {
            found.inherits |= list.inherit_from_parent.unwrap_or(false);
            found.allows_all |= list.all_values == Some(AllValues::Allow);
            found.denies_all |= list.all_values == Some(AllValues::Deny);
            self.egress_values(&mut found, list.allowed_values.as_ref(), list.denied_values.as_ref());
        }
        Some(found)
    }

    fn egress_values(
        &mut self,
        policy: &mut EgressPolicy,
        allowed: Option<&Vec<At<String>>>,
        denied: Option<&Vec<At<String>>>,
    ) {
        if let Some(values) = allowed {
            let list = policy.allowed.get_or_insert_default();
            values.iter().filter_map(|value| self.egress_value(value)).for_each(|at| list[at] = true);
        }
        for at in denied.into_iter().flatten().filter_map(|value| self.egress_value(value)) {
            policy.denied[at] = true;
        }
    }

    /// The position in [`VALUES`] of a value in any of its spellings: `all-traffic`, `is:all-traffic`, `ALL_TRAFFIC`.
    fn egress_value(&mut self, value: &At<String>) -> Option<usize> {
        let plain = value.strip_prefix("is:").unwrap_or(value);
        let found = VALUES.iter().position(|(_, one, other)| plain == *one || plain == *other);
        if found.is_none() {
            let message = format!("found `{plain}`, expected one of all-traffic, private-ranges-only");
            self.push(
                Diagnostic::rejected("unknown-value", message).at(value.place).help("`all-traffic` is the flag's"),
            );
        }
        found
    }

    /// What may be deployed in a project, and the policy that says so; `None` where nothing restricts it.
    fn allowed_egress(&self, project: Option<&str>) -> Option<([bool; 2], Place)> {
        let numeric = |project: &str| project.bytes().all(|byte| byte.is_ascii_digit());
        // A number and a name may be one project's.
        let concerns = |policy: &&EgressPolicy| match (policy.project.as_deref(), project) {
            (Some(of), Some(project)) => of == project || numeric(of) != numeric(project),
            _ => true,
        };
        let mut merged = EgressPolicy::default();
        for policy in self.egress_policies.iter().filter(concerns) {
            if policy.resets {
                break;
            }
            merged.place = merged.place.or(policy.place);
            merged.allows_all |= policy.allows_all;
            merged.denies_all |= policy.denies_all;
            for at in 0..VALUES.len() {
                merged.denied[at] |= policy.denied[at];
                if let Some(allowed) = policy.allowed {
                    merged.allowed.get_or_insert_default()[at] |= allowed[at];
                }
            }
            if !policy.inherits {
                break;
            }
        }
        let listed = merged.allowed.filter(|_| !merged.allows_all).unwrap_or([true; 2]);
        let allowed = [0, 1].map(|at| listed[at] && !merged.denied[at] && !merged.denies_all);
        merged.place.filter(|_| allowed != [true; 2]).map(|place| (allowed, place))
    }

    /// Whether a revision, or a job's execution, may be deployed. `place`: its egress setting, else whatever deploys it.
    pub(super) fn check_allowed_egress(
        &mut self,
        name: &str,
        project: Option<&str>,
        egress: Egress,
        attachment: &Attachment,
        place: Place,
    ) {
        let Some((allowed, policy)) = self.allowed_egress(project) else { return };
        let may: Vec<_> = VALUES.iter().zip(allowed).filter(|(_, allowed)| *allowed).map(|(value, _)| value).collect();
        let (_, found, _) = VALUES.iter().find(|(of, ..)| *of == egress).expect("there are two settings");
        let message = if *attachment == Attachment::None {
            format!("`{name}` is attached to no VPC network, and constraint {CONSTRAINT} wants it to be")
        } else if may.iter().any(|(of, ..)| *of == egress) {
            return;
        } else {
            format!("egress of `{name}` is {found}, which constraint {CONSTRAINT} does not allow")
        };
        let help = match may.first() {
            None => "allow a value in the policy: as it is, nothing can be deployed".to_owned(),
            Some((_, _, setting)) if *attachment == Attachment::None => {
                format!("add `vpcAccess:` with a connector or a network interface, and `egress: {setting}`")
            }
            Some((_, _, setting)) => format!("set `egress: {setting}`, or allow {found} in the policy"),
        };
        self.push(
            Diagnostic::rejected("egress-not-allowed", message).at(place).related(policy, "the policy").help(help),
        );
    }
}
