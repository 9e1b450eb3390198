//! The merged scenario as a JSON document, and changes to it as JSON Patch (RFC 6902).

use serde_json::{Map, Value, json};

use crate::scenario::Scenario;
use crate::scenario::file::ScenarioFile;
use crate::scenario::load::{Source, load};

/// The merged scenario, as `check --format json` prints it but for the findings.
pub fn document(file: &ScenarioFile) -> Value {
    serde_json::to_value(file).expect("a scenario file is JSON")
}

/// The scenario that a patch makes of a document, checked as if it stood in a file.
///
/// # Errors
/// Why the patch does not apply, or what would be rejected.
pub fn patched(document: &Value, patch: &[Value]) -> Result<Scenario, String> {
    let patch: json_patch::Patch =
        serde_json::from_value(Value::Array(patch.to_vec())).map_err(|error| error.to_string())?;
    let mut document = document.clone();
    json_patch::patch(&mut document, &patch).map_err(|error| error.to_string())?;
    let text = document.to_string();
    let loaded = load(Source::Text { name: "scenario.json", text: &text });
    let error = loaded.diagnostics.iter().find(|finding| finding.severity.is_error());
    match (loaded.scenario, error) {
        (_, Some(error)) => Err(error.message.clone()),
        (Some(scenario), None) => Ok(scenario),
        (None, None) => unreachable!("without errors there is a scenario"),
    }
}

/// A patch in the making: each step sees what those before it have done.
#[derive(Debug, Clone)]
pub struct Edit {
    document: Value,
    steps: Vec<Value>,
}

impl Edit {
    /// No change yet.
    pub fn new(document: &Value) -> Edit {
        Edit { document: document.clone(), steps: Vec::new() }
    }

    /// These steps, if they apply.
    pub fn with(document: &Value, steps: &[Value]) -> Option<Edit> {
        Edit::new(document).then(steps)
    }

    /// These steps after those that there are, if they apply.
    #[must_use]
    pub fn then(mut self, steps: &[Value]) -> Option<Edit> {
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(steps.to_vec())).ok()?;
        json_patch::patch(&mut self.document, &patch).ok()?;
        self.steps.extend_from_slice(steps);
        Some(self)
    }

    /// What is at a pointer now.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.document.pointer(pointer)
    }

    /// Writes a value: what is there is replaced, and objects on the way to it are made.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Edit {
        if self.at(pointer).is_some() {
            return self.step(json!({"op": "replace", "path": pointer, "value": value.into()}));
        }
        let parents = pointer.char_indices().skip(1).filter(|(_, c)| *c == '/').map(|(at, _)| &pointer[..at]);
        for parent in parents {
            if self.at(parent).is_none() {
                self = self.step(json!({"op": "add", "path": parent, "value": Map::new()}));
            }
        }
        self.step(json!({"op": "add", "path": pointer, "value": value.into()}))
    }

    /// Adds to the end of a list, which is made if there is none.
    #[must_use]
    pub fn push(self, list: &str, value: impl Into<Value>) -> Edit {
        match self.at(list) {
            Some(Value::Array(_)) => {
                self.step(json!({"op": "add", "path": format!("{list}/-"), "value": value.into()}))
            }
            _ => self.set(list, Value::Array(vec![value.into()])),
        }
    }

    /// Removes what is at a pointer, if anything is.
    #[must_use]
    pub fn remove(self, pointer: &str) -> Edit {
        match self.at(pointer) {
            Some(_) => self.step(json!({"op": "remove", "path": pointer})),
            None => self,
        }
    }

    /// The steps of the patch.
    pub fn into_steps(self) -> Vec<Value> {
        self.steps
    }

    fn step(mut self, step: Value) -> Edit {
        let patch: json_patch::Patch = serde_json::from_value(json!([step])).expect("a step is a patch");
        json_patch::patch(&mut self.document, &patch).expect("a step applies to what it was made for");
        self.steps.push(step);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::BUILT_IN;

    #[test]
    fn a_patch_writes_what_is_missing_on_the_way() {
        let document = json!({"services": [{"name": "a"}]});
        let edit = Edit::new(&document)
            .set("/services/0/template/scaling/minInstanceCount", 3)
            .set("/services/0/name", "b")
            .push("/addresses", json!({"name": "x"}))
            .push("/addresses", json!({"name": "y"}))
            .remove("/traffic");
        let mut patched = document.clone();
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(edit.into_steps())).unwrap();
        json_patch::patch(&mut patched, &patch).unwrap();
        let expected = json!({
            "services": [{"name": "b", "template": {"scaling": {"minInstanceCount": 3}}}],
            "addresses": [{"name": "x"}, {"name": "y"}],
        });
        assert_eq!(patched, expected);
    }

    #[test]
    fn the_document_is_the_scenario_and_a_patch_of_it_is_checked() {
        let loaded = load(BUILT_IN);
        let document = document(&loaded.file);
        assert_eq!(patched(&document, &[]), Ok(loaded.scenario.unwrap()));
        let wrong = Edit::new(&document).set("/routers/0/nats/0/minPortsPerVm", 500).into_steps();
        let why = patched(&document, &wrong).unwrap_err();
        assert!(why.contains("power of two"), "{why}");
    }
}
