//! Whether the scenario's expectations held: paths into the summary, compared with what the scenario asks for.
//!
//! A path is looked up in the summary as it is printed, so that what a user reads is what a user may assert.

use serde_json::Value;

use super::summary::{ExpectationResult, Summary};
use crate::scenario::{ExpectTest, Expectation};

/// Objects that count by cause or kind. What was never counted is not listed there, and is 0.
const COUNTING_MAPS: [&str; 5] = ["droppedBy", "failedBy", "droppedSentPackets", "skipped", "oddities"];

/// Names further apart than this are not offered as what the user may have meant (Jaro-Winkler, 0 to 1).
const SIMILAR: f64 = 0.7;

/// Checks every expectation against the summary.
///
/// A step of a path is a field, an index into a list, or the `name` of an element: `gateways.0.allocationFailed` and
/// `gateways.nat-a.allocationFailed`. A path that leads nowhere is not met, and says where it went astray.
pub fn evaluate(expectations: &[Expectation], summary: &Summary) -> Vec<ExpectationResult> {
    if expectations.is_empty() {
        return Vec::new();
    }
    let summary = serde_json::to_value(summary).expect("a summary is plain data with string keys");
    expectations.iter().map(|expectation| result(expectation, &summary)).collect()
}

fn result(expectation: &Expectation, summary: &Value) -> ExpectationResult {
    let (actual, note) = match lookup(summary, &expectation.path) {
        Ok(found) => (found.clone(), None),
        Err(astray) => match astray.holder {
            Holder::CountingMap => (Value::from(0), None),
            Holder::Other => (Value::Null, Some(astray.note())),
        },
    };
    ExpectationResult {
        path: expectation.path.clone(),
        expected: describe(&expectation.test),
        met: note.is_none() && holds(&expectation.test, &actual),
        actual,
        note,
    }
}

fn describe(test: &ExpectTest) -> String {
    match test {
        ExpectTest::Equals(value) => format!("equals {value}"),
        ExpectTest::AtLeast(bound) => format!("at least {bound}"),
        ExpectTest::AtMost(bound) => format!("at most {bound}"),
    }
}

fn holds(test: &ExpectTest, actual: &Value) -> bool {
    match test {
        // 0 and 0.0 are different JSON values and the same number.
        ExpectTest::Equals(wanted) => match (wanted.as_f64(), actual.as_f64()) {
            (Some(wanted), Some(actual)) => wanted == actual,
            _ => wanted == actual,
        },
        ExpectTest::AtLeast(bound) => actual.as_f64().is_some_and(|actual| actual >= *bound),
        ExpectTest::AtMost(bound) => actual.as_f64().is_some_and(|actual| actual <= *bound),
    }
}

/// The first step of a path that leads nowhere.
struct Astray<'a> {
    step: &'a str,
    holder: Holder,
    /// What could have stood there.
    candidates: Vec<&'a str>,
}

#[derive(PartialEq)]
enum Holder {
    CountingMap,
    Other,
}

impl Astray<'_> {
    fn note(&self) -> String {
        let nearest = self
            .candidates
            .iter()
            .map(|candidate| (strsim::jaro_winkler(candidate, self.step), candidate))
            .filter(|(similarity, _)| *similarity >= SIMILAR)
            .max_by(|(a, _), (b, _)| a.total_cmp(b));
        match nearest {
            Some((_, nearest)) => {
                format!("there is no \"{}\", did you mean \"{nearest}\"?", self.step)
            }
            None if self.candidates.is_empty() => {
                format!("there is no \"{}\", nothing is below that", self.step)
            }
            None => format!("there is no \"{}\", only {}", self.step, self.candidates.join(", ")),
        }
    }
}

fn lookup<'a>(summary: &'a Value, path: &'a str) -> Result<&'a Value, Astray<'a>> {
    let mut value = summary;
    let mut holder = Holder::Other;
    let mut rest = Some(path);
    while let Some(path) = rest {
        let (step, found, remainder) = descend(value, path);
        let Some(found) = found else {
            return Err(Astray { step, holder, candidates: names(value) });
        };
        holder = match found {
            Value::Object(_) if COUNTING_MAPS.contains(&step) => Holder::CountingMap,
            _ => Holder::Other,
        };
        (value, rest) = (found, remainder);
    }
    Ok(value)
}

/// Takes one step: the shortest beginning of the path that names something. It may hold dots (a load called `v1.2`).
fn descend<'a>(value: &'a Value, path: &'a str) -> (&'a str, Option<&'a Value>, Option<&'a str>) {
    let ends = path.match_indices('.').map(|(end, _)| end).chain([path.len()]);
    for end in ends {
        if let Some(found) = child(value, &path[..end]) {
            return (&path[..end], Some(found), path.get(end + 1..));
        }
    }
    let first = path.split('.').next().unwrap_or(path);
    (first, None, None)
}

fn child<'a>(value: &'a Value, step: &str) -> Option<&'a Value> {
    match value {
        Value::Object(fields) => fields.get(step),
        Value::Array(elements) => match step.parse::<usize>() {
            Ok(index) => elements.get(index),
            Err(_) => elements.iter().find(|element| element["name"] == step),
        },
        _ => None,
    }
}

/// What may follow: an object's fields, a list's names.
fn names(value: &Value) -> Vec<&str> {
    match value {
        Value::Object(fields) => fields.keys().map(String::as_str).collect(),
        Value::Array(elements) => elements.iter().filter_map(|element| element["name"].as_str()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::{GatewaySummary, TrafficSummary};
    use super::*;

    fn summary() -> Summary {
        let mut summary = Summary::default();
        summary.connections.failed = 3;
        summary.connections.connect_time_ms.p50 = 40.0;
        summary.packets.dropped_by.insert("NO_ROUTE".into(), 7);
        summary.gateways.push(GatewaySummary {
            name: "nat-a".into(),
            nat_ips: vec!["203.0.113.10".into()],
            allocation_failed: true,
            ..GatewaySummary::default()
        });
        summary.traffic.push(TrafficSummary { name: "api.v1".into(), attempted: 12, ..TrafficSummary::default() });
        summary
    }

    fn outcome(path: &str, test: ExpectTest) -> ExpectationResult {
        let expectation = Expectation { path: path.into(), test };
        evaluate(&[expectation], &summary()).remove(0)
    }

    fn equals(path: &str, wanted: impl Into<Value>) -> ExpectationResult {
        outcome(path, ExpectTest::Equals(wanted.into()))
    }

    #[test]
    fn fields_indices_and_names_are_steps() {
        assert!(equals("connections.failed", 3).met);
        assert!(equals("gateways.0.allocationFailed", true).met);
        assert!(equals("gateways.nat-a.allocationFailed", true).met);
        assert!(equals("gateways.nat-a.natIps.0", "203.0.113.10").met);
        assert!(equals("gateways.nat-a.exhaustions", serde_json::json!([])).met);
    }

    #[test]
    fn a_name_may_hold_dots() {
        assert!(equals("traffic.api.v1.attempted", 12).met);
    }

    #[test]
    fn integers_and_decimals_are_the_same_number() {
        assert!(equals("connections.failed", 3.0).met);
        assert!(equals("connections.connectTimeMs.p50", 40).met);
        assert!(!equals("connections.failed", "3").met);
    }

    #[test]
    fn bounds_include_themselves_and_want_a_number() {
        assert!(outcome("connections.failed", ExpectTest::AtLeast(3.0)).met);
        assert!(outcome("connections.failed", ExpectTest::AtMost(3.0)).met);
        assert!(!outcome("connections.failed", ExpectTest::AtMost(2.9)).met);
        assert!(!outcome("gateways.nat-a.name", ExpectTest::AtLeast(0.0)).met);
    }

    #[test]
    fn a_cause_that_never_occurred_counts_zero() {
        let result = outcome("packets.droppedBy.OUT_OF_RESOURCES", ExpectTest::AtLeast(1.0));
        assert_eq!((result.actual, result.met, result.note), (Value::from(0), false, None));
        assert!(equals("gateways.nat-a.droppedSentPackets.OUT_OF_RESOURCES", 0).met);
        assert!(equals("packets.droppedBy.NO_ROUTE", 7).met);
    }

    #[test]
    fn a_path_that_leads_nowhere_is_not_met_and_says_what_is_near() {
        let result = equals("connections.faild", Value::Null);
        assert_eq!((result.actual, result.met), (Value::Null, false));
        assert_eq!(result.note.as_deref(), Some("there is no \"faild\", did you mean \"failed\"?"));

        let note = equals("gateways.other.name", 0).note;
        assert_eq!(note.as_deref(), Some("there is no \"other\", only nat-a"));
        let note = equals("connections.failed.more", 0).note;
        assert_eq!(note.as_deref(), Some("there is no \"more\", nothing is below that"));
    }

    #[test]
    fn expectations_are_told_in_words() {
        assert_eq!(equals("scenario", "guide").expected, "equals \"guide\"");
        assert_eq!(outcome("seed", ExpectTest::AtLeast(1.0)).expected, "at least 1");
        assert_eq!(outcome("seed", ExpectTest::AtMost(0.5)).expected, "at most 0.5");
    }
}
