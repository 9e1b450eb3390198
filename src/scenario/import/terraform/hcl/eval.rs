//! Expressions: literals, operators, collections, `for`, and the way along a reference.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use hcl_edit::Span;
use hcl_edit::expr::{BinaryOperator, Expression, ForExpr, FuncCall, ObjectKey, TraversalOperator, UnaryOperator};

use super::index::Config;
use super::module::Module;
use super::value::{Handle, Value, equal};
use super::{Block, functions, place};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::import::Import;

/// How deep expressions and what they refer to may be nested: the stack holds several times as many.
const MAX_DEPTH: usize = 4_000;
/// How much may be computed: steps, values that functions look at, pieces of text.
const BUDGET: u64 = 5_000_000;

/// Evaluates modules.
pub(super) struct Evaluator<'w> {
    pub import: &'w mut Import,
    pub configs: &'w [Config<'w>],
    pub modules: Vec<Module<'w>>,
    pub blocks: Vec<Block>,
    /// Whether somebody reads resources of a type.
    pub wanted: fn(&str) -> bool,
    /// Instances of resources and modules so far.
    pub instances: usize,
    told: HashSet<(&'static str, Place)>,
    depth: usize,
    budget: u64,
}

/// Where an expression stands: what names mean there.
#[derive(Debug, Clone)]
pub(super) struct Scope<'w> {
    pub module: usize,
    pub file: FileId,
    /// `each.key` and `each.value`.
    pub each: Option<(Value, Value)>,
    /// `count.index`.
    pub count: Option<Value>,
    /// Names of `for` and `dynamic`.
    pub names: Option<Rc<Name<'w>>>,
}

#[derive(Debug)]
pub(super) struct Name<'w> {
    name: &'w str,
    value: Value,
    outer: Option<Rc<Name<'w>>>,
}

impl<'w> Scope<'w> {
    pub fn new(module: usize, file: FileId) -> Scope<'w> {
        Scope { module, file, each: None, count: None, names: None }
    }

    #[must_use]
    pub fn with(&self, name: &'w str, value: Value) -> Scope<'w> {
        let outer = self.names.clone();
        Scope { names: Some(Rc::new(Name { name, value, outer })), ..self.clone() }
    }

    fn find(&self, name: &str) -> Option<&Value> {
        let mut names = self.names.as_ref();
        while let Some(found) = names {
            if found.name == name {
                return Some(&found.value);
            }
            names = found.outer.as_ref();
        }
        None
    }
}

impl<'w> Evaluator<'w> {
    pub fn new(import: &'w mut Import, configs: &'w [Config<'w>], wanted: fn(&str) -> bool) -> Evaluator<'w> {
        Evaluator {
            import,
            configs,
            modules: Vec::new(),
            blocks: Vec::new(),
            wanted,
            instances: 0,
            told: HashSet::new(),
            depth: 0,
            budget: BUDGET,
        }
    }

    pub fn blocks(self) -> Vec<Block> {
        self.blocks
    }

    /// Adds a finding, once for each place however many instances come by it.
    pub fn tell(&mut self, diagnostic: Diagnostic) {
        let at = diagnostic.place.unwrap_or(Place::NOWHERE);
        if self.told.insert((diagnostic.code, at)) {
            self.import.push(diagnostic);
        }
    }

    /// Takes from what may be computed.
    pub fn spend(&mut self, cost: u64) -> bool {
        self.budget = self.budget.saturating_sub(cost);
        if self.budget == 0 {
            let message = "the Terraform configuration takes too long to evaluate, and values are missing";
            let help = "import a plan: `terraform show -json PLAN`";
            self.tell(Diagnostic::unusable("too-large", message).help(help));
        }
        self.budget > 0
    }

    /// Runs one level deeper.
    pub fn nested(&mut self, then: impl FnOnce(&mut Self) -> Value) -> Value {
        if self.depth >= MAX_DEPTH {
            return Value::error("it is nested too deeply");
        }
        if !self.spend(1) {
            return Value::error("the configuration takes too long to evaluate");
        }
        self.depth += 1;
        let value = then(self);
        self.depth -= 1;
        value
    }

    pub fn eval(&mut self, expression: &'w Expression, scope: &Scope<'w>) -> Value {
        self.nested(|evaluator| evaluator.expression(expression, scope))
    }

    fn expression(&mut self, expression: &'w Expression, scope: &Scope<'w>) -> Value {
        match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(truth) => Value::Bool(*truth.value()),
            Expression::Number(number) => number.value().as_f64().map_or(Value::Null, Value::Number),
            Expression::String(text) => Value::from(text.as_str()),
            Expression::Array(array) => Value::list(array.iter().map(|item| self.eval(item, scope)).collect()),
            Expression::Object(object) => {
                let mut entries = BTreeMap::new();
                for (key, value) in object {
                    let key = match self.key(key, scope) {
                        Ok(key) => key,
                        Err(unknown) => return unknown,
                    };
                    entries.insert(key, self.eval(value.expr(), scope));
                }
                Value::map(entries)
            }
            Expression::StringTemplate(template) => self.quoted(template, scope),
            Expression::HeredocTemplate(heredoc) => self.template(&heredoc.template, scope),
            Expression::Parenthesis(inner) => self.eval(inner.inner(), scope),
            Expression::Variable(name) => match scope.find(name.as_str()) {
                Some(value) => value.clone(),
                None => Value::error(format!("`{}` is not a reference", name.as_str())),
            },
            Expression::Conditional(conditional) => {
                let condition = self.eval(&conditional.cond_expr, scope);
                match condition.truth() {
                    Some(true) => self.eval(&conditional.true_expr, scope),
                    Some(false) => self.eval(&conditional.false_expr, scope),
                    None => unknown_or(&condition, "a condition", "a truth value"),
                }
            }
            Expression::FuncCall(call) => self.call(call, scope),
            Expression::Traversal(traversal) => {
                let at = place(scope.file, traversal.span());
                let operators = &traversal.operators;
                match &traversal.expr {
                    Expression::Variable(name) => match scope.find(name.as_str()) {
                        Some(value) => self.follow(value.clone(), operators, scope, at),
                        None => {
                            let (value, used) = self.refer(name.as_str(), operators, scope, at);
                            self.follow(value, operators.get(used..).unwrap_or_default(), scope, at)
                        }
                    },
                    other => {
                        let value = self.eval(other, scope);
                        self.follow(value, operators, scope, at)
                    }
                }
            }
            Expression::UnaryOp(operation) => {
                let value = self.eval(&operation.expr, scope);
                match operation.operator.value() {
                    UnaryOperator::Neg => match value.number() {
                        Some(number) => Value::Number(-number),
                        None => unknown_or(&value, "the operand of `-`", "a number"),
                    },
                    UnaryOperator::Not => match value.truth() {
                        Some(truth) => Value::Bool(!truth),
                        None => unknown_or(&value, "the operand of `!`", "a truth value"),
                    },
                }
            }
            Expression::BinaryOp(operation) => {
                let one = self.eval(&operation.lhs_expr, scope);
                let other = self.eval(&operation.rhs_expr, scope);
                self.spend(one.size().min(other.size()) / 16);
                binary(*operation.operator.value(), &one, &other)
            }
            Expression::ForExpr(expression) => self.for_expression(expression, scope),
        }
    }

    /// The key of an entry: a bare word is the word.
    pub fn key(&mut self, key: &'w ObjectKey, scope: &Scope<'w>) -> Result<Rc<str>, Value> {
        match key {
            ObjectKey::Ident(name) | ObjectKey::Expression(Expression::Variable(name)) => Ok(name.as_str().into()),
            ObjectKey::Expression(expression) => {
                let value = self.eval(expression, scope);
                value.text().ok_or_else(|| unknown_or(&value, "the key of a map", "a string"))
            }
        }
    }

    fn for_expression(&mut self, expression: &'w ForExpr, scope: &Scope<'w>) -> Value {
        let collection = self.eval(&expression.intro.collection_expr, scope);
        let items = match iterate(&collection) {
            Ok(items) => items,
            Err(unknown) => return unknown,
        };
        let mut list = Vec::new();
        let mut map: BTreeMap<Rc<str>, Value> = BTreeMap::new();
        let mut groups: BTreeMap<Rc<str>, Vec<Value>> = BTreeMap::new();
        for (key, value) in items {
            let mut inner = scope.with(expression.intro.value_var.as_str(), value);
            if let Some(name) = &expression.intro.key_var {
                inner = inner.with(name.as_str(), key);
            }
            if let Some(condition) = &expression.cond {
                let condition = self.eval(&condition.expr, &inner);
                match condition.truth() {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return unknown_or(&condition, "the condition of a `for`", "a truth value"),
                }
            }
            let Some(key) = &expression.key_expr else {
                list.push(self.eval(&expression.value_expr, &inner));
                continue;
            };
            let key = self.eval(key, &inner);
            let Some(key) = key.text() else { return unknown_or(&key, "the key of a `for`", "a string") };
            let value = self.eval(&expression.value_expr, &inner);
            if expression.grouping {
                groups.entry(key).or_default().push(value);
            } else if map.insert(key, value).is_some() {
                return Value::error("a `for` makes the same key twice");
            }
        }
        match (&expression.key_expr, expression.grouping) {
            (None, _) => Value::list(list),
            (Some(_), false) => Value::map(map),
            (Some(_), true) => Value::map(groups.into_iter().map(|(key, values)| (key, Value::list(values))).collect()),
        }
    }

    fn call(&mut self, call: &'w FuncCall, scope: &Scope<'w>) -> Value {
        let name = call.name.name.as_str();
        if call.name.is_namespaced() {
            return Value::unknown(format!("the function {name}() of a provider is not evaluated"));
        }
        // These two look at errors, and so must not get them as arguments.
        if let "try" | "can" = name {
            for argument in call.args.iter() {
                let value = self.eval(argument, scope);
                match (&value, name) {
                    (Value::Unknown(why), "try") if why.error => {}
                    (Value::Unknown(why), _) if why.error => return Value::Bool(false),
                    (Value::Unknown(_), _) | (_, "try") => return value,
                    _ => return Value::Bool(true),
                }
            }
            return Value::error(format!("no argument of {name}() has a value"));
        }
        let mut arguments: Vec<Value> = call.args.iter().map(|argument| self.eval(argument, scope)).collect();
        if call.args.expand_final()
            && let Some(last) = arguments.pop()
        {
            match last.items() {
                Some(items) => arguments.extend(items.iter().cloned()),
                None => return unknown_or(&last, "an argument with `...`", "a list"),
            }
        }
        self.spend(arguments.iter().map(Value::size).fold(0, u64::saturating_add) / 64);
        let value = functions::call(name, &arguments);
        self.spend(value.own_size());
        value
    }

    /// Takes the attributes and items that an expression names.
    pub fn follow(
        &mut self,
        mut value: Value,
        operators: &'w [hcl_edit::Decorated<TraversalOperator>],
        scope: &Scope<'w>,
        at: Place,
    ) -> Value {
        let mut rest = operators;
        while let Some((operator, after)) = rest.split_first() {
            rest = after;
            value = match operator.value() {
                TraversalOperator::GetAttr(name) => self.attribute(&value, name.as_str(), at),
                TraversalOperator::Index(index) => {
                    let index = self.eval(index, scope);
                    self.item(&value, &index, at)
                }
                TraversalOperator::LegacyIndex(index) => self.item(&value, &Value::Number(*index.value() as f64), at),
                TraversalOperator::AttrSplat(_) => {
                    let names = after.iter().take_while(|one| matches!(one.value(), TraversalOperator::GetAttr(_)));
                    let (inner, outer) = after.split_at(names.count());
                    rest = outer;
                    self.splat(&value, inner, scope, at)
                }
                TraversalOperator::FullSplat(_) => {
                    rest = &[];
                    self.splat(&value, after, scope, at)
                }
            };
        }
        value
    }

    fn splat(
        &mut self,
        value: &Value,
        operators: &'w [hcl_edit::Decorated<TraversalOperator>],
        scope: &Scope<'w>,
        at: Place,
    ) -> Value {
        let items = match value {
            Value::Unknown(_) => return value.clone(),
            Value::Null => Vec::new(),
            Value::List(list) | Value::Set(list) => list.items.clone(),
            Value::Resource(handle) => vec![Value::Resource(Handle { assumed: false, ..*handle })],
            Value::Module(handle) => vec![Value::Module(Handle { assumed: false, ..*handle })],
            other => vec![other.clone()],
        };
        self.nested(|evaluator| {
            Value::list(items.into_iter().map(|item| evaluator.follow(item, operators, scope, at)).collect())
        })
    }

    fn attribute(&mut self, value: &Value, name: &'w str, at: Place) -> Value {
        match value {
            Value::Unknown(_) => value.clone(),
            Value::Map(map) => match map.entries.get(name) {
                Some(value) => value.clone(),
                None if map.computed => Value::unknown(format!("`{name}` is known only after apply")),
                None => Value::error(format!("there is no `{name}` in the map")),
            },
            Value::Resource(handle) => self.resource_attribute(*handle, name, at),
            Value::Module(handle) => self.output(handle.module, name, at),
            other => Value::error(format!("{} has no attribute `{name}`", other.word())),
        }
    }

    fn item(&mut self, value: &Value, index: &Value, at: Place) -> Value {
        match (value, index) {
            (Value::Resource(handle), _) if handle.assumed => Value::Resource(Handle { assumed: false, ..*handle }),
            (Value::Module(handle), _) if handle.assumed => Value::Module(Handle { assumed: false, ..*handle }),
            (Value::Unknown(_), _) => value.clone(),
            (_, Value::Unknown(_)) => index.clone(),
            (Value::List(list), _) => {
                let Some(number) = index.number().filter(|number| *number >= 0.0) else {
                    return Value::error("the index of a list is not a number");
                };
                let found = list.items.get(number as usize);
                found.cloned().unwrap_or_else(|| Value::error("the list has fewer items than the index says"))
            }
            (Value::Map(map), _) => match index.text() {
                Some(key) => {
                    let found = map.entries.get(&key).cloned();
                    found.unwrap_or_else(|| Value::error("the map has no entry with this key"))
                }
                None => Value::error("the key of a map is not a string"),
            },
            (Value::Module(handle), Value::Text(name)) => self.output(handle.module, name, at),
            (other, _) => Value::error(format!("{} cannot be indexed", other.word())),
        }
    }
}

/// The items of a collection with their keys.
pub(super) fn iterate(value: &Value) -> Result<Vec<(Value, Value)>, Value> {
    match value {
        Value::List(list) => {
            Ok(list.items.iter().enumerate().map(|(at, item)| (Value::Number(at as f64), item.clone())).collect())
        }
        Value::Set(list) => Ok(list.items.iter().map(|item| (item.clone(), item.clone())).collect()),
        Value::Map(map) => Ok(map.entries.iter().map(|(key, item)| (Value::Text(key.clone()), item.clone())).collect()),
        Value::Resource(handle) if handle.assumed => {
            let key = Value::unknown("the keys of `for_each` are not known");
            Ok(vec![(key, Value::Resource(Handle { assumed: false, ..*handle }))])
        }
        Value::Module(handle) if handle.assumed => {
            let key = Value::unknown("the keys of `for_each` are not known");
            Ok(vec![(key, Value::Module(Handle { assumed: false, ..*handle }))])
        }
        other => Err(unknown_or(other, "what is iterated", "a list, a set or a map")),
    }
}

/// The unknown value itself, or an error that says what a value should be.
pub(super) fn unknown_or(value: &Value, what: &str, expected: &str) -> Value {
    match value {
        Value::Unknown(_) => value.clone(),
        other => Value::error(format!("{what} is {} and not {expected}", other.word())),
    }
}

fn binary(operator: BinaryOperator, one: &Value, other: &Value) -> Value {
    use BinaryOperator as Op;
    match operator {
        Op::And | Op::Or => {
            // One side may decide alone.
            let decisive = operator == Op::Or;
            match (one.truth(), other.truth()) {
                (Some(truth), _) | (_, Some(truth)) if truth == decisive => Value::Bool(decisive),
                (Some(_), Some(_)) => Value::Bool(!decisive),
                (None, _) => unknown_or(one, "an operand", "a truth value"),
                (_, None) => unknown_or(other, "an operand", "a truth value"),
            }
        }
        Op::Eq | Op::NotEq => {
            // A value that exists is not null, whatever it is.
            if let Some(why) = one.why().or_else(|| other.why()) {
                return Value::Unknown(why);
            }
            Value::Bool(equal(one, other) == (operator == Op::Eq))
        }
        _ => {
            let (Some(a), Some(b)) = (one.number(), other.number()) else {
                let wrong = if one.number().is_none() { one } else { other };
                return unknown_or(wrong, "an operand", "a number");
            };
            let number = match operator {
                Op::Less => return Value::Bool(a < b),
                Op::LessEq => return Value::Bool(a <= b),
                Op::Greater => return Value::Bool(a > b),
                Op::GreaterEq => return Value::Bool(a >= b),
                Op::Plus => a + b,
                Op::Minus => a - b,
                Op::Mul => a * b,
                Op::Div => a / b,
                _ => a % b,
            };
            if number.is_finite() { Value::Number(number) } else { Value::error("the result is not a number") }
        }
    }
}

/// Memo of what is computed once.
#[derive(Debug)]
pub(super) enum Slot<T> {
    /// Being computed: whoever asks now has gone round in a circle.
    Busy,
    Done(T),
}

/// Memos by name.
pub(super) type Memo<'w> = HashMap<&'w str, Slot<Value>>;
