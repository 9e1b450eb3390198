//! Organization policies. Only the constraint on the egress settings of Cloud Run is read.

use super::add;
use super::fields::{Field, Reading, kept, object, objects, take_object, text, text_of, texts};
use crate::scenario::import::Kind;
use crate::scenario::tree::{Entry, Node};

const CONSTRAINT: &str = "run.allowedVPCEgress";

const SPEC: Field = object(
    "spec",
    &[
        kept("inherit_from_parent"),
        kept("reset"),
        objects(
            "rules",
            &[
                text("allow_all"),
                text("deny_all"),
                object("values", &[texts("allowed_values"), texts("denied_values")]),
                object("condition", &[text("expression"), text("title"), text("description"), text("location")]),
            ],
        )
        .needed(),
    ],
)
.needed();

pub(super) fn policy(mut block: Reading<'_>, kind: &str) {
    block.report_if_unknown(text("name").needed());
    let Some(name) = block.take_text("name").filter(|name| name.text().is_some_and(|name| name.ends_with(CONSTRAINT)))
    else {
        let place = block.place;
        return block.import.skip(kind, place);
    };
    let mut entries = vec![Entry::new("name", name)];
    entries.extend(block.fields(&[SPEC]));
    add(&mut block, Kind::OrgPolicy, entries);
}

/// In the shape of Cloud Resource Manager v1.
pub(super) fn older_policy(mut block: Reading<'_>, kind: &str) {
    let Some(constraint) = block
        .take_text("constraint")
        .filter(|constraint| constraint.text().is_some_and(|text| text.ends_with(CONSTRAINT)))
    else {
        let place = block.place;
        return block.import.skip(kind, place);
    };
    let mut entries = vec![Entry::new("constraint", constraint)];
    if let Some(mut list) = take_object(&mut block.body, "list_policy") {
        let mut fields = block.convert(&mut list, "list_policy[0].", &[kept("inherit_from_parent")]);
        for (from, to, all) in [("allow", "allowedValues", "ALLOW"), ("deny", "deniedValues", "DENY")] {
            let Some(mut values) = take_object(&mut list, from) else { continue };
            if values.get("all").and_then(Node::text).is_some_and(|all| all.eq_ignore_ascii_case("true")) {
                let node = block.node(all);
                fields.push(Entry::new("allValues", node));
                continue;
            }
            let prefix = format!("list_policy[0].{from}[0].");
            let values = block.convert(&mut values, &prefix, &[texts("values").needed()]);
            fields.extend(values.into_iter().map(|entry| Entry::new(to, entry.value)));
        }
        entries.push(Entry::new("listPolicy", block.mapping(fields)));
    }
    let restore = take_object(&mut block.body, "restore_policy");
    if restore.is_some_and(|restore| restore.get("default").and_then(text_of) == Some("true")) {
        entries.push(Entry::new("restoreDefault", block.mapping(Vec::new())));
    }
    add(&mut block, Kind::OrgPolicy, entries);
}
