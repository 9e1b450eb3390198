//! Compares a result with the part of it that somebody expects.

use serde_json::Value;

/// Every way in which `actual` is not what `expected` lists. Objects may have more keys than listed; lists have as many
/// elements as listed, each compared in this way.
pub fn differences(expected: &Value, actual: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare(expected, actual, "", &mut found);
    found
}

fn compare(expected: &Value, actual: &Value, path: &str, found: &mut Vec<String>) {
    let name = if path.is_empty() { "the whole" } else { path };
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, expected) in expected {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                match actual.get(key) {
                    Some(actual) => compare(expected, actual, &path, found),
                    None => found.push(format!("{path}: expected {expected}, found nothing")),
                }
            }
        }
        (Value::Array(expected), Value::Array(actual)) => {
            if expected.len() != actual.len() {
                found.push(format!("{name}: expected {} elements, found {}", expected.len(), actual.len()));
            }
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(expected, actual, &format!("{path}.{index}"), found);
            }
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        _ if expected == actual => {}
        _ => found.push(format!("{name}: expected {expected}, found {actual}")),
    }
}
