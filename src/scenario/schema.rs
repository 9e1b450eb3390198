//! The scenario file's JSON Schema (draft 2020-12), made from the types of [`super::file`]: what validates, decodes. (The
//! decoder is kinder in places: it takes numbers where text is wanted, and Knative's spelling of egress settings.)
//!
//! Fields that only the real resource has are listed as properties without constraint, everything else is refused, so that
//! an editor marks the same misspellings as `check` does.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::file::{ScenarioFile, ignored};

/// Its identity; it is published by `egressim schema` only.
const ID: &str = "urn:egressim:scenario";

/// The schema.
pub fn schema() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<ScenarioFile>();
    let mut schema = schema.to_value();
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        for (name, definition) in definitions {
            close(definition, ignored::fields(name));
        }
    }
    close(&mut schema, &[]);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("egressim scenario"));
        root.insert("$id".into(), json!(ID));
    }
    schema
}

/// Adds the ignored fields to an object and refuses all others.
fn close(definition: &mut Value, ignored: &[&str]) {
    let Some(object) = definition.as_object_mut() else { return };
    if !object.contains_key("properties") {
        return;
    }
    object.insert("additionalProperties".into(), json!(false));
    if let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) {
        add(properties, ignored);
    }
}

fn add(properties: &mut Map<String, Value>, ignored: &[&str]) {
    for field in ignored {
        properties.entry(*field).or_insert(json!(true));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::file::TOP_LEVEL_KEYS;

    #[test]
    fn the_schema_has_every_top_level_key_and_no_other() {
        let schema = schema();
        let properties = schema["properties"].as_object().expect("properties");
        let mut keys: Vec<&str> = properties.keys().map(String::as_str).collect();
        let mut known = TOP_LEVEL_KEYS.to_vec();
        keys.sort_unstable();
        known.sort_unstable();
        assert_eq!(keys, known);
        assert_eq!(schema["additionalProperties"], json!(false));
    }

    #[test]
    fn fields_that_only_the_real_resource_has_are_allowed() {
        let schema = schema();
        let router = &schema["$defs"]["Router"];
        assert_eq!(router["properties"]["selfLink"], json!(true));
        assert_eq!(router["additionalProperties"], json!(false));
        assert_eq!(router["required"], json!(["name", "network"]));
    }

    #[test]
    fn definitions_carry_googles_names_and_our_descriptions() {
        let schema = schema();
        let nat = &schema["$defs"]["RouterNat"]["properties"];
        assert!(nat["minPortsPerVm"]["description"].as_str().is_some_and(|text| text.contains("57,344")));
        assert!(schema["$defs"]["Firewall"]["properties"].get("sourceRanges").is_some());
        assert!(schema["$defs"]["FirewallProtocol"]["properties"].get("IPProtocol").is_some());
    }
}
