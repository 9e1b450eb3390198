//! Types of variables: a value is given the type that the variable declares, with the defaults of optional attributes.

use std::collections::BTreeMap;
use std::rc::Rc;

use hcl_edit::expr::{Expression, FuncCall};

use super::eval::{Evaluator, Scope, unknown_or};
use super::value::Value;

impl<'w> Evaluator<'w> {
    /// Makes a value what its type says. <https://developer.hashicorp.com/terraform/language/expressions/type-constraints>
    pub fn convert(&mut self, value: Value, kind: &'w Expression, scope: &Scope<'w>) -> Value {
        if matches!(value, Value::Null | Value::Unknown(_)) {
            return value;
        }
        self.nested(|evaluator| evaluator.converted(value, kind, scope))
    }

    fn converted(&mut self, value: Value, kind: &'w Expression, scope: &Scope<'w>) -> Value {
        match kind {
            Expression::Variable(name) => match name.as_str() {
                "string" => match value.text() {
                    Some(text) => Value::Text(text),
                    None => unknown_or(&value, "the value of a variable", "a string"),
                },
                "number" => match value.number() {
                    Some(number) => Value::Number(number),
                    None => unknown_or(&value, "the value of a variable", "a number"),
                },
                "bool" => match value.truth() {
                    Some(truth) => Value::Bool(truth),
                    None => unknown_or(&value, "the value of a variable", "a truth value"),
                },
                _ => value,
            },
            // Types as they were written before Terraform 0.12: `"string"`, `"list"`.
            Expression::String(_) => value,
            Expression::Parenthesis(inner) => self.convert(value, inner.inner(), scope),
            Expression::FuncCall(call) => self.constructed(value, call, scope),
            _ => value,
        }
    }

    fn constructed(&mut self, value: Value, call: &'w FuncCall, scope: &Scope<'w>) -> Value {
        let Some(argument) = call.args.get(0) else { return value };
        match (call.name.name.as_str(), &value) {
            (kind @ ("list" | "set"), Value::List(list) | Value::Set(list)) => {
                let items = list.items.iter().map(|item| self.convert(item.clone(), argument, scope)).collect();
                if kind == "set" { Value::set(items) } else { Value::list(items) }
            }
            ("map", Value::Map(map)) => {
                let entry =
                    |(key, item): (&Rc<str>, &Value)| (key.clone(), self.convert(item.clone(), argument, scope));
                Value::map(map.entries.iter().map(entry).collect())
            }
            ("object", Value::Map(map)) => match argument {
                Expression::Object(attributes) => {
                    let mut entries = BTreeMap::new();
                    for (key, kind) in attributes {
                        let key = match self.key(key, scope) {
                            Ok(key) => key,
                            Err(unknown) => return unknown,
                        };
                        let value = self.field(map.entries.get(&key).cloned(), kind.expr(), scope);
                        entries.insert(key, value);
                    }
                    Value::map(entries)
                }
                _ => value,
            },
            ("tuple", Value::List(list)) => match argument {
                Expression::Array(kinds) => {
                    let pairs = list.items.iter().zip(kinds.iter());
                    Value::list(pairs.map(|(item, kind)| self.convert(item.clone(), kind, scope)).collect())
                }
                _ => value,
            },
            ("list" | "set" | "tuple", _) => unknown_or(&value, "the value of a variable", "a list"),
            ("map" | "object", _) => unknown_or(&value, "the value of a variable", "a map"),
            _ => value,
        }
    }

    /// An attribute of an object. <https://developer.hashicorp.com/terraform/language/expressions/type-constraints#optional-object-type-attributes>
    fn field(&mut self, given: Option<Value>, kind: &'w Expression, scope: &Scope<'w>) -> Value {
        let optional = match kind {
            Expression::FuncCall(call) if call.name.name.as_str() == "optional" => Some(call),
            _ => None,
        };
        match (optional, given) {
            (Some(call), given) => {
                let given = given.filter(|value| !matches!(value, Value::Null));
                let given = given.or_else(|| call.args.get(1).map(|default| self.eval(default, scope)));
                match (given, call.args.get(0)) {
                    (Some(value), Some(kind)) => self.convert(value, kind, scope),
                    _ => Value::Null,
                }
            }
            (None, Some(value)) => self.convert(value, kind, scope),
            (None, None) => Value::error("an object of a variable lacks an attribute that its type requires"),
        }
    }
}
