//! What names stand for: variables, locals, outputs, resources, modules.

use std::collections::BTreeMap;

use hcl_edit::expr::TraversalOperator;
use hcl_edit::{Decorated, Span};

use super::eval::{Evaluator, Scope, Slot};
use super::module::Given;
use super::place;
use super::value::Value;
use crate::scenario::diagnostic::{Diagnostic, Place};

/// What people do about a variable without a value.
const CURE: &str =
    "write it into terraform.tfvars beside the configuration, or import a plan: `terraform show -json PLAN`";

impl<'w> Evaluator<'w> {
    /// The value that a reference begins with, and how many of the operators that has taken.
    pub fn refer(
        &mut self,
        root: &'w str,
        operators: &'w [Decorated<TraversalOperator>],
        scope: &Scope<'w>,
        at: Place,
    ) -> (Value, usize) {
        let name = |at: usize| match operators.get(at).map(Decorated::value) {
            Some(TraversalOperator::GetAttr(name)) => Some(name.as_str()),
            _ => None,
        };
        let Some(first) = name(0) else {
            return (Value::error(format!("`{root}` is not a reference")), operators.len());
        };
        match root {
            "var" => (self.variable(scope.module, first, at), 1),
            "local" => (self.local(scope.module, first, at), 1),
            "each" => {
                let value = match (&scope.each, first) {
                    (Some((key, _)), "key") => key.clone(),
                    (Some((_, value)), "value") => value.clone(),
                    _ => Value::error(format!("there is no `each.{first}` here")),
                };
                (value, 1)
            }
            "count" => {
                let index = scope.count.clone().filter(|_| first == "index");
                (index.unwrap_or_else(|| Value::error(format!("there is no `count.{first}` here"))), 1)
            }
            "module" => {
                let value = match self.config(scope.module).call(first) {
                    Some(call) => self.called(scope.module, call).value.clone(),
                    None => Value::error(format!("`module.{first}` is not declared in what was read")),
                };
                (value, 1)
            }
            "path" | "terraform" | "self" => (Value::unknown(format!("`{root}.{first}` is not known here")), 1),
            "data" => match name(1) {
                Some(name) => (self.instances_of(scope.module, true, first, name), 2),
                None => (Value::error("`data` needs a type and a name"), operators.len()),
            },
            kind => (self.instances_of(scope.module, false, kind, first), 1),
        }
    }

    fn instances_of(&mut self, module: usize, data: bool, kind: &str, name: &str) -> Value {
        match self.config(module).resource(data, kind, name) {
            Some(resource) => self.resource(module, resource).value.clone(),
            None => {
                let data = if data { "data." } else { "" };
                Value::error(format!("`{data}{kind}.{name}` is not declared in what was read"))
            }
        }
    }

    /// Tells that something depends on itself.
    pub fn cycle(&mut self, what: &str, at: Place) -> Value {
        let message = format!("{what} depends on itself");
        let help = "take one reference of the circle away: Terraform refuses it, too";
        self.tell(Diagnostic::unusable("terraform-cycle", message).at(at).help(help));
        Value::error(format!("{what} depends on itself"))
    }

    fn local(&mut self, module: usize, name: &'w str, at: Place) -> Value {
        match self.modules[module].locals.get(name) {
            Some(Slot::Done(value)) => return value.clone(),
            Some(Slot::Busy) => return self.cycle(&format!("`local.{name}`"), at),
            None => {}
        }
        let Some((file, attribute)) = self.config(module).locals.get(name).copied() else {
            return Value::error(format!("`local.{name}` is not declared in what was read"));
        };
        self.modules[module].locals.insert(name, Slot::Busy);
        let value = self.eval(&attribute.value, &Scope::new(module, file));
        self.modules[module].locals.insert(name, Slot::Done(value.clone()));
        value
    }

    /// An output of a module.
    pub fn output(&mut self, module: usize, name: &str, at: Place) -> Value {
        let Some((name, output)) =
            self.config(module).outputs.get_key_value(name).map(|(name, output)| (*name, *output))
        else {
            return Value::error(format!("the module has no output `{name}`"));
        };
        match self.modules[module].outputs.get(name) {
            Some(Slot::Done(value)) => return value.clone(),
            Some(Slot::Busy) => return self.cycle(&format!("the output `{name}`"), at),
            None => {}
        }
        self.modules[module].outputs.insert(name, Slot::Busy);
        let value = match output.attribute("value") {
            Some(expression) => self.eval(expression, &Scope::new(module, output.file)),
            None => Value::error(format!("the output `{name}` has no value")),
        };
        self.modules[module].outputs.insert(name, Slot::Done(value.clone()));
        value
    }

    fn variable(&mut self, module: usize, name: &'w str, at: Place) -> Value {
        match self.modules[module].variables.get(name) {
            Some(Slot::Done(value)) => return value.clone(),
            Some(Slot::Busy) => return self.cycle(&format!("`var.{name}`"), at),
            None => {}
        }
        self.modules[module].variables.insert(name, Slot::Busy);
        let value = self.nested(|evaluator| evaluator.variable_value(module, name, at));
        self.modules[module].variables.insert(name, Slot::Done(value.clone()));
        value
    }

    /// What a variable is given, else its default, as the type that it declares.
    fn variable_value(&mut self, module: usize, name: &'w str, at: Place) -> Value {
        let declared = self.config(module).variables.get(name).copied();
        let given = self.given(module, name);
        let Some(declared) = declared else {
            return given.unwrap_or_else(|| {
                let message = format!("`var.{name}` is not declared in what was read, and has no value");
                let help = "import the whole folder of the module";
                self.tell(Diagnostic::warning("unset-variable", message).at(at).help(help));
                Value::unknown(format!("`var.{name}` has no value"))
            });
        };
        let scope = Scope::new(module, declared.file);
        // <https://developer.hashicorp.com/terraform/language/values/variables#disallowing-null-module-input-values>
        let nullable = declared.attribute("nullable").and_then(hcl_edit::expr::Expression::as_bool).unwrap_or(true);
        let given = given.filter(|value| nullable || !matches!(value, Value::Null));
        let value = match (given, declared.attribute("default")) {
            (Some(value), _) => value,
            (None, Some(default)) => self.eval(default, &scope),
            (None, None) => {
                let call = self.modules[module].caller.as_ref().map(|(call, _)| *call);
                let diagnostic = match call {
                    // Once for a variable, however many modules are called without it.
                    Some(call) => {
                        let message = format!("the module `{}` is called without its variable `{name}`", call.name);
                        Diagnostic::warning("unset-variable", message)
                            .at(declared.place())
                            .related(place(call.file, call.block.ident.span()), "it is called here")
                    }
                    None => {
                        let message = format!("the variable `{name}` has no value: what depends on it is not known");
                        Diagnostic::warning("unset-variable", message).at(declared.place()).help(CURE)
                    }
                };
                self.tell(diagnostic);
                return Value::unknown(format!("`var.{name}` has no value"));
            }
        };
        match declared.attribute("type") {
            Some(kind) => self.convert(value, kind, &scope),
            None => value,
        }
    }

    /// What a variable is given by the caller or by a variables file.
    fn given(&mut self, module: usize, name: &'w str) -> Option<Value> {
        if let Some((call, scope)) = self.modules[module].caller.clone() {
            let attribute = call.block.body.get_attribute(name)?;
            return Some(self.eval(&attribute.value, &scope));
        }
        match self.modules[module].values.get(name).copied()? {
            Given::Hcl(file, expression) => Some(self.eval(expression, &Scope::new(module, file))),
            Given::Json(_, value) => Some(from_json(value)),
        }
    }
}

/// A value of JSON. The parser of JSON bounds how deeply it is nested.
pub(super) fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => number.as_f64().map_or(Value::Null, Value::Number),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => Value::list(items.iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => {
            let entries = entries.iter().map(|(key, value)| (key.as_str().into(), from_json(value)));
            Value::map(entries.collect::<BTreeMap<_, _>>())
        }
    }
}
