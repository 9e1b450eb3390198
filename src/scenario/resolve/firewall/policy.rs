//! Firewall policies: what each is, what it is in force for, and in which order.

use std::collections::HashMap;

use super::super::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::file::compute::Network;
use crate::scenario::file::firewall::{FirewallPolicy as File, FirewallPolicyAssociation, FirewallPolicyType};
use crate::scenario::value::{At, Reference};
use crate::scenario::{FirewallPolicy, FirewallPolicyKind};

/// What a policy can be attached to: one policy each. Regional policies are attached once in each region.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Target {
    /// An organization or a folder, as written.
    Resource(String),
    Network(usize, Option<String>),
}

/// A policy that is in force.
struct InForce {
    policy: FirewallPolicy,
    /// Where each of its rules is.
    places: Vec<Place>,
    of_organization: bool,
}

/// The last segment of a path and the one before it: `("folders", "456")`.
fn kind_and_name(reference: &Reference) -> (&str, &str) {
    let mut segments = reference.as_str().rsplit('/');
    let name = segments.next().unwrap_or_default();
    (segments.next().unwrap_or_default(), name)
}

/// Whether a reference is to an organization or a folder.
fn is_above_projects(reference: &Reference) -> bool {
    matches!(kind_and_name(reference).0, "organizations" | "folders")
}

impl Resolver<'_> {
    /// All policies that are in force, hierarchical ones top down.
    pub(in crate::scenario::resolve) fn firewall_policies(&mut self) {
        for network in &self.file.networks {
            self.known_policy(network);
        }
        let mut taken: HashMap<Target, Place> = HashMap::new();
        let policies = self.file.firewall_policies.iter();
        let mut policies: Vec<_> = policies.filter_map(|policy| self.firewall_policy(policy, &mut taken)).collect();
        // The organization's comes before its folders'. Folders do not say which is in which: they stay in their order.
        policies.sort_by_key(|it| (it.policy.kind, !it.of_organization));
        for InForce { policy, places, .. } in policies {
            self.details.firewall_policies.push(places);
            self.out.firewall_policies.push(policy);
        }
    }

    /// A network may name a policy that the scenario does not hold.
    fn known_policy(&mut self, network: &Network) {
        let Some(named) = &network.firewall_policy else { return };
        let known = self.file.firewall_policies.iter().any(|policy| display_name(policy).1 == named.name());
        if !known {
            let message = format!(
                "firewall policy `{}` of network `{}` is not in the scenario: its rules are not evaluated",
                named.name(),
                network.name.name()
            );
            self.push(
                Diagnostic::warning("not-simulated", message).at(named.place).help("add it under `firewallPolicies:`"),
            );
        }
    }

    fn firewall_policy(&mut self, policy: &At<File>, taken: &mut HashMap<Target, Place>) -> Option<InForce> {
        let (name, id) = display_name(policy);
        let place = policy.name.as_ref().map(|name| name.place).or(policy.short_name.as_ref().map(|name| name.place));
        let place = place.unwrap_or(policy.place);
        if id.is_empty() {
            if !self.is_lost(policy.place, "name") && !self.is_lost(policy.place, "shortName") {
                let message = "a firewall policy needs the field `name`";
                self.push(Diagnostic::unusable("missing-field", message).at(policy.place));
            }
            return None;
        }
        let kind = self.policy_kind(policy);
        let region = match kind {
            FirewallPolicyKind::RegionalNetwork | FirewallPolicyKind::RegionalSystem => {
                let own: Reference = name.parse().ok()?;
                let named = policy.name.clone().unwrap_or(At { value: own, place });
                Some(self.region(policy.region.as_ref(), &named, policy.place)?)
            }
            _ => None,
        };
        let networks = match kind {
            FirewallPolicyKind::Hierarchical => self.hierarchical_targets(policy, &name, place, taken),
            _ => self.network_targets(policy, (&name, &id), place, region.as_deref(), taken),
        };
        let rules = self.policy_rules(policy, &name, kind);
        let networks = networks?;
        let priority = policy.priority.as_ref().and_then(|priority| u32::try_from(priority.value).ok());
        let mut associations = policy.associations.iter().flat_map(|list| list.iter());
        let of_organization = associations.any(|it| kind_and_name(&it.attachment_target).0 == "organizations");
        let (rules, places) = rules.into_iter().unzip();
        let policy = FirewallPolicy { name, id, kind, region, networks, priority, rules };
        Some(InForce { policy, places, of_organization })
    }

    fn policy_kind(&self, policy: &File) -> FirewallPolicyKind {
        // A hierarchical policy is in `locations/global`.
        let named = policy.name.as_ref().and_then(|name| name.region()).filter(|region| *region != "global");
        let regional = policy.region.is_some() || named.is_some();
        match policy.policy_type.as_ref().map(|value| value.value) {
            Some(FirewallPolicyType::Hierarchy) => return FirewallPolicyKind::Hierarchical,
            Some(FirewallPolicyType::Network) => return FirewallPolicyKind::Network,
            Some(FirewallPolicyType::NetworkRegional) => return FirewallPolicyKind::RegionalNetwork,
            Some(FirewallPolicyType::SystemGlobal) => return FirewallPolicyKind::System,
            Some(FirewallPolicyType::SystemRegional) => return FirewallPolicyKind::RegionalSystem,
            Some(FirewallPolicyType::Unspecified) | None => {}
        }
        let mut associations = policy.associations.iter().flat_map(|list| list.iter());
        let above = policy.parent.as_ref().is_some_and(|parent| is_above_projects(parent))
            || associations.any(|it| is_above_projects(&it.attachment_target));
        match (above, regional) {
            (true, _) => FirewallPolicyKind::Hierarchical,
            (false, true) => FirewallPolicyKind::RegionalNetwork,
            (false, false) => FirewallPolicyKind::Network,
        }
    }

    /// Whether a policy that says no association is in force: what an effective firewall prints is.
    fn is_effective(policy: &File) -> bool {
        policy.policy_type.as_ref().is_some_and(|value| value.value != FirewallPolicyType::Unspecified)
    }

    fn not_attached(&mut self, name: &str, place: Place, help: &str) {
        let message = format!("firewall policy `{name}` is associated with nothing here: its rules apply nowhere");
        self.push(Diagnostic::warning("unattached-policy", message).at(place).help(help));
    }

    /// All networks, if an organization or folder has the policy: a scenario is one project.
    fn hierarchical_targets(
        &mut self,
        policy: &File,
        name: &str,
        place: Place,
        taken: &mut HashMap<Target, Place>,
    ) -> Option<Vec<usize>> {
        let associations = policy.associations.iter().flat_map(|list| list.iter());
        let mut attached = false;
        for association in associations {
            let target = &association.attachment_target;
            if !is_above_projects(target) {
                let message = format!("hierarchical firewall policy `{name}` cannot be associated with a network");
                let help = "`organizations/ID` or `folders/ID`; a rule is limited to networks by `targetResources`";
                self.push(Diagnostic::rejected("bad-association", message).at(target.place).help(help));
                continue;
            }
            let (kind, id) = kind_and_name(target);
            self.attach(Target::Resource(format!("{kind}/{id}")), target.place, taken);
            attached = true;
        }
        if !attached && !Self::is_effective(policy) {
            let help = "add `associations: [{attachmentTarget: organizations/ID}]`, or a folder";
            self.not_attached(name, place, help);
            return None;
        }
        Some((0..self.out.networks.len()).collect())
    }

    /// The networks that a network policy is associated with, as it says or as they say.
    fn network_targets(
        &mut self,
        policy: &File,
        (name, id): (&str, &str),
        place: Place,
        region: Option<&str>,
        taken: &mut HashMap<Target, Place>,
    ) -> Option<Vec<usize>> {
        let mut networks: Vec<(usize, Place)> = Vec::new();
        for association in policy.associations.iter().flat_map(|list| list.iter()) {
            let target = &association.attachment_target;
            // A pasted policy knows networks that the scenario leaves out.
            if target.as_str().contains('/') && !self.networks.index.contains_key(target.name()) {
                continue;
            }
            let found = self.networks.lookup(target, None);
            networks.extend(self.ok(found).flatten().map(|at| (at, target.place)));
        }
        if region.is_none() {
            for network in &self.file.networks {
                let Some(named) = network.firewall_policy.as_ref().filter(|named| named.name() == id) else { continue };
                let at = self.out.networks.iter().position(|known| known.name == network.name.name());
                if let Some(at) = at.filter(|at| !networks.iter().any(|(known, _)| known == at)) {
                    networks.push((at, named.place));
                }
            }
        }
        let bare = |it: &&At<FirewallPolicyAssociation>| !it.attachment_target.as_str().contains('/');
        let misnamed = policy.associations.iter().flat_map(|list| list.iter()).any(|it| bare(&it));
        if networks.is_empty() && !misnamed {
            match (Self::is_effective(policy), self.out.networks.len()) {
                (true, 1) => networks.push((0, place)),
                (true, _) => {
                    let message = format!("firewall policy `{name}` of an effective firewall does not say its network");
                    let help = "add `associations: [{attachmentTarget: NETWORK}]`";
                    self.push(Diagnostic::unusable("missing-field", message).at(place).help(help));
                }
                (false, _) => {
                    self.not_attached(name, place, "add `associations: [{attachmentTarget: NETWORK}]`");
                }
            }
        }
        let system = policy.policy_type.as_ref().is_some_and(|value| {
            matches!(value.value, FirewallPolicyType::SystemGlobal | FirewallPolicyType::SystemRegional)
        });
        for (network, place) in networks.iter().filter(|_| !system) {
            self.attach(Target::Network(*network, region.map(str::to_owned)), *place, taken);
        }
        let networks: Vec<usize> = networks.into_iter().map(|(network, _)| network).collect();
        (!networks.is_empty()).then_some(networks)
    }

    /// One policy each.
    fn attach(&mut self, target: Target, place: Place, taken: &mut HashMap<Target, Place>) {
        let what = match &target {
            Target::Resource(resource) => resource.clone(),
            Target::Network(at, None) => format!("network `{}`", self.out.networks[*at].name),
            Target::Network(at, Some(region)) => format!("network `{}` in {region}", self.out.networks[*at].name),
        };
        if let Some(first) = taken.insert(target, place) {
            let message = format!("{what} has two firewall policies");
            self.push(
                Diagnostic::rejected("two-policies", message)
                    .at(place)
                    .related(first, "the other one")
                    .help("one policy can be associated with each: put the rules into one"),
            );
        }
    }
}

/// What people call a policy, and the name of its resource.
pub(super) fn display_name(policy: &File) -> (String, String) {
    let id = policy.name.as_ref().map(|name| name.name().to_owned());
    let shown = policy.short_name.as_ref().or(policy.display_name.as_ref()).map(|name| name.value.clone());
    let name = shown.clone().or_else(|| id.clone()).unwrap_or_default();
    (name, id.or(shown).unwrap_or_default())
}
