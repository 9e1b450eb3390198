//! `jsonencode` and `jsondecode`.

use super::super::reference::from_json;
use super::super::value::Value;
use super::{Arguments, MAX_BYTES, Outcome};

pub(super) fn call(name: &str, arguments: Arguments<'_>) -> Option<Outcome> {
    Some(match name {
        "jsonencode" => arguments.value(0).and_then(|value| {
            to_json(value).map(Value::from).ok_or_else(|| arguments.fail("the value is too large or no JSON"))
        }),
        "jsondecode" => arguments.text(0).and_then(|text| {
            let value = serde_json::from_str(&text).map_err(|_| arguments.fail("the text is no JSON"))?;
            Ok(from_json(&value))
        }),
        _ => return None,
    })
}

/// Compact JSON with the keys in order, as Terraform writes it.
pub(super) fn to_json(value: &Value) -> Option<String> {
    let mut out = String::new();
    write(value, &mut out)?;
    Some(out)
}

fn write(value: &Value, out: &mut String) -> Option<()> {
    if out.len() > MAX_BYTES {
        return None;
    }
    let mut between = false;
    let mut comma = |out: &mut String| {
        if std::mem::replace(&mut between, true) {
            out.push(',');
        }
    };
    match value {
        Value::Null => out.push_str("null"),
        Value::Text(text) => out.push_str(&serde_json::Value::from(&**text).to_string()),
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.text()?),
        Value::List(list) | Value::Set(list) => {
            out.push('[');
            for item in &list.items {
                comma(out);
                write(item, out)?;
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (key, item) in &map.entries {
                comma(out);
                out.push_str(&serde_json::Value::from(&**key).to_string());
                out.push(':');
                write(item, out)?;
            }
            out.push('}');
        }
        Value::Resource(_) | Value::Module(_) | Value::Unknown(_) => return None,
    }
    Some(())
}
