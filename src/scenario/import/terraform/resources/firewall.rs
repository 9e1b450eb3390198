//! VPC firewall rules and firewall policies.
//!
//! A policy, its rules and its associations are resources of their own in Terraform; here they are collected, so that a
//! policy comes as one resource with all of its rules.

use std::collections::HashMap;

use super::fields::{Field, Reading, kept, last_segment, object, objects, rules, text, texts};
use super::global;
use crate::scenario::import::{Import, Kind};
use crate::scenario::tree::{Entry, Node, Value};

const PROTOCOLS: &[Field] = &[text("protocol").to("IPProtocol").narrows(), texts("ports").narrows()];

const RULE: &[Field] = &[
    text("network").needed(),
    text("direction").narrows(),
    kept("priority"),
    objects("allow", PROTOCOLS).to("allowed").narrows(),
    objects("deny", PROTOCOLS).to("denied").narrows(),
    texts("source_ranges").narrows(),
    texts("destination_ranges").narrows(),
    texts("source_tags").narrows(),
    texts("source_service_accounts").narrows(),
    texts("target_tags").narrows(),
    texts("target_service_accounts").narrows(),
    kept("disabled"),
];

/// One of which it is not known what it applies to is left out: it would apply to everything.
pub(super) fn rule(mut block: Reading<'_>) {
    global(&mut block, Kind::Firewall, RULE);
}

const LAYER4: &[Field] = &[text("ip_protocol").narrows(), texts("ports").narrows()];
const SECURE_TAGS: &[Field] = &[text("name").narrows(), text("state")];

const POLICY_RULE: &[Field] = &[
    text("rule_name"),
    kept("priority").narrows(),
    text("action").narrows(),
    text("direction").narrows(),
    object(
        "match",
        &[
            objects("layer4_configs", LAYER4).narrows(),
            // In resources that have the rules inside, lists are in the singular.
            objects("layer4_config", LAYER4).to("layer4Configs").narrows(),
            texts("src_ip_ranges").narrows(),
            texts("dest_ip_ranges").narrows(),
            objects("src_secure_tags", SECURE_TAGS).narrows(),
            objects("src_secure_tag", SECURE_TAGS).to("srcSecureTags").narrows(),
            texts("src_region_codes").narrows(),
            texts("dest_region_codes").narrows(),
            texts("src_fqdns").narrows(),
            texts("dest_fqdns").narrows(),
            texts("src_address_groups").narrows(),
            texts("dest_address_groups").narrows(),
            texts("src_threat_intelligences").narrows(),
            texts("dest_threat_intelligences").narrows(),
            texts("src_networks").narrows(),
            text("src_network_context"),
            text("dest_network_context"),
            text("src_network_type"),
            text("dest_network_type"),
            text("src_network_scope"),
            text("dest_network_scope"),
        ],
    )
    .narrows(),
    texts("target_resources").narrows(),
    texts("target_service_accounts").narrows(),
    objects("target_secure_tags", SECURE_TAGS).narrows(),
    objects("target_secure_tag", SECURE_TAGS).to("targetSecureTags").narrows(),
    text("target_type"),
    texts("target_forwarding_rules"),
    text("security_profile_group"),
    kept("disabled"),
    kept("enable_logging"),
];

const POLICY: &[Field] = &[text("short_name"), text("parent")];

const ASSOCIATION: &[Field] = &[text("name"), text("attachment_target").needed()];

/// What a type of resource says of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Policy,
    Rule,
    Association,
}

/// The part, and whether the policy is regional.
fn part_of(kind: &str) -> Option<(Part, bool)> {
    let (rest, regional) = match kind.strip_prefix("google_compute_")? {
        rest if rest.starts_with("region_") => (rest.strip_prefix("region_")?, true),
        rest => (rest, false),
    };
    let part = match rest.strip_prefix("network_firewall_policy").or_else(|| rest.strip_prefix("firewall_policy"))? {
        "" | "_with_rules" => Part::Policy,
        "_rule" => Part::Rule,
        "_association" => Part::Association,
        _ => return None,
    };
    Some((part, regional))
}

pub(super) fn is_policy(kind: &str) -> bool {
    part_of(kind).is_some()
}

/// Policies, from their parts.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// Indices into `policies`, by name and region.
    known: HashMap<(String, String), usize>,
    policies: Vec<Policy>,
}

#[derive(Debug)]
struct Policy {
    project: Option<String>,
    /// The whole: name, region and what else its own resource says.
    node: Node,
    rules: Vec<Node>,
    associations: Vec<Node>,
}

impl Parts {
    pub fn read(&mut self, mut block: Reading<'_>, kind: &str) {
        let Some((part, regional)) = part_of(kind) else { return };
        let name = if part == Part::Policy {
            block.name()
        } else {
            block.report_if_unknown(text("firewall_policy").needed());
            let Some(name) = block.take_text("firewall_policy") else { return };
            name
        };
        let region = if regional { block.region("region") } else { None };
        let region_name = region.as_ref().and_then(|entry| entry.value.text()).map_or("", last_segment);
        let key = (name.text().map_or("", last_segment).to_owned(), region_name.to_owned());
        let project = block.project();
        let at = match self.known.get(&key) {
            Some(at) => *at,
            None => {
                let mut entries = vec![Entry::new("name", name)];
                entries.extend(region);
                let node = block.mapping(entries);
                self.policies.push(Policy { project: None, node, rules: Vec::new(), associations: Vec::new() });
                self.known.insert(key, self.policies.len() - 1);
                self.policies.len() - 1
            }
        };
        let policy = &mut self.policies[at];
        policy.project = policy.project.take().or(project);
        match part {
            Part::Policy => {
                for entry in block.fields(POLICY) {
                    policy.node.put(&entry.key.name.clone(), entry.value);
                }
                for mut entry in block.fields(&[rules("rule", POLICY_RULE)]) {
                    if let Value::Sequence(rules) = &mut entry.value.value {
                        policy.rules.append(rules);
                    }
                }
                // Findings about the policy belong to it, not to the rule that came first.
                policy.node.place = block.place;
            }
            Part::Rule => {
                let entries = block.fields(POLICY_RULE);
                if !block.too_wide {
                    policy.rules.push(block.mapping(entries));
                }
            }
            Part::Association => {
                let entries = block.fields(ASSOCIATION);
                if entries.iter().any(|entry| &*entry.key.name == "attachmentTarget") {
                    policy.associations.push(block.mapping(entries));
                }
            }
        }
    }

    /// Hands the policies over.
    pub fn finish(self, import: &mut Import) {
        for Policy { project, mut node, rules, associations } in self.policies {
            for (key, items) in [("associations", associations), ("rules", rules)] {
                if !items.is_empty() {
                    let list = import.build.list(node.place, items);
                    node.put(key, list);
                }
            }
            import.add_of(project, Kind::FirewallPolicy, node);
        }
    }
}
