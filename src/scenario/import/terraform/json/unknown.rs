//! What is known only after apply: found in `after_unknown`, looked up in the expressions.

use std::fmt::Write as _;

use super::Sensitive;
use super::expected::{Expected, expected};
use super::resolve::Resolver;
use crate::scenario::diagnostic::{Diagnostic, Place};
use crate::scenario::import::terraform::Unknown;
use crate::scenario::import::terraform::address::push_key;
use crate::scenario::tree::{Node, Scalar, Value};

/// One step of a path into values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(Box<str>),
    Index(usize),
}

/// `template[0].vpc_access[0].connector`.
pub(super) fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Index(index) => _ = write!(path, "[{index}]"),
            Step::Key(key) => push_key(&mut path, key),
        }
    }
    path
}

/// Calls `see` with the path of each `true`. The parser bounds the depth of a tree, so this ends.
pub(super) fn visit_true(node: &Node, steps: &mut Vec<Step>, see: &mut impl FnMut(&[Step])) {
    match &node.value {
        Value::Scalar(_) => {
            if is_true(node) {
                see(steps);
            }
        }
        Value::Sequence(items) => {
            for (at, item) in items.iter().enumerate() {
                steps.push(Step::Index(at));
                visit_true(item, steps, see);
                steps.pop();
            }
        }
        Value::Mapping(entries) => {
            for entry in entries {
                steps.push(Step::Key(entry.key.name.clone()));
                visit_true(&entry.value, steps, see);
                steps.pop();
            }
        }
    }
}

fn is_true(node: &Node) -> bool {
    matches!(&node.value, Value::Scalar(scalar) if scalar.plain && &*scalar.text == "true")
}

/// Leaves nothing of a value but its place.
pub(super) fn set_null(node: &mut Node) {
    node.value = Value::Scalar(Scalar { text: "null".into(), plain: true });
}

/// The value at a path.
pub(super) fn at_mut<'n>(node: &'n mut Node, steps: &[Step]) -> Option<&'n mut Node> {
    steps.iter().try_fold(node, |node, step| match step {
        Step::Key(key) => node.get_mut(key),
        Step::Index(index) => match &mut node.value {
            Value::Sequence(items) => items.get_mut(*index),
            _ => None,
        },
    })
}

/// Puts a value where there was none, or null.
pub(super) fn put(values: &mut Node, steps: &[Step], value: Node) {
    let Some((last, before)) = steps.split_last() else { return };
    let Some(parent) = at_mut(values, before) else { return };
    match (&mut parent.value, last) {
        (Value::Mapping(_), Step::Key(key)) => parent.put(key, value),
        (Value::Sequence(items), Step::Index(index)) => {
            if let Some(item) = items.get_mut(*index) {
                *item = value;
            }
        }
        _ => {}
    }
}

/// What a reference comes to.
#[derive(Debug)]
pub(super) enum Resolved {
    Text(String),
    Texts(Vec<String>),
}

/// What became of the unknown values of an instance.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub values: Vec<(Vec<Step>, Place, Resolved)>,
    pub unknown: Vec<Unknown>,
    pub findings: Vec<Diagnostic>,
}

/// The expression behind a value.
#[derive(Clone, Copy)]
enum Expression<'p> {
    Written(&'p Node),
    /// The configuration sets nothing there: Google will.
    Computed,
    /// The configuration has it, and a plan does not show how: a `dynamic` block.
    Hidden,
}

struct Walk<'r, 'p> {
    resolver: &'r Resolver<'p>,
    at: usize,
    steps: Vec<Step>,
    outcome: Outcome,
}

const AFTER_APPLY: &str = "known only after apply";

/// Looks up what is not known of an instance, and what is sensitive in it.
pub(super) fn resolve(resolver: &Resolver<'_>, at: usize, sensitive: Vec<Sensitive>) -> Outcome {
    let instance = &resolver.instances[at];
    let expressions = resolver.expressions(at);
    let mut walk = Walk { resolver, at, steps: Vec::new(), outcome: Outcome::default() };
    for entry in instance.unknown.as_ref().map_or(&[][..], Node::entries) {
        let expression = match expressions {
            None => Expression::Hidden,
            Some(expressions) => match expressions.get(&entry.key.name) {
                Some(expression) => Expression::Written(expression),
                None if is_true(&entry.value) => Expression::Computed,
                None => Expression::Hidden,
            },
        };
        walk.steps.push(Step::Key(entry.key.name.clone()));
        walk.node(&entry.value, expression, instance.values.get(&entry.key.name));
        walk.steps.pop();
    }
    for Sensitive { steps, unknown } in sensitive {
        let written = match (expressions, steps.as_slice()) {
            (Some(expressions), [Step::Key(key)]) => expressions.get(key),
            _ => None,
        };
        walk.steps = steps;
        let before = walk.outcome.values.len();
        if let Some(expression) = written {
            walk.leaf(Expression::Written(expression));
            walk.outcome.unknown.retain(|other| other.path != unknown.path);
        }
        if walk.outcome.values.len() == before {
            walk.outcome.unknown.push(unknown);
        }
    }
    walk.outcome
}

impl<'p> Walk<'_, 'p> {
    /// The parser bounds the depth of a tree, so this ends.
    fn node(&mut self, unknown: &Node, expression: Expression<'p>, values: Option<&Node>) {
        match &unknown.value {
            Value::Scalar(_) => {
                if is_true(unknown) {
                    self.leaf(expression);
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    let key = &entry.key.name;
                    let inner = match expression {
                        Expression::Written(node) if is_leaf(node) => expression,
                        Expression::Written(node) => match node.get(key) {
                            Some(inner) => Expression::Written(inner),
                            None if is_true(&entry.value) => Expression::Computed,
                            None => Expression::Hidden,
                        },
                        other => other,
                    };
                    self.steps.push(Step::Key(key.clone()));
                    self.node(&entry.value, inner, values.and_then(|values| values.get(key)));
                    self.steps.pop();
                }
            }
            Value::Sequence(items) => {
                if let Expression::Written(node) = expression
                    && is_leaf(node)
                    && items.iter().any(is_true)
                {
                    return self.items(items, node);
                }
                let values = values.map_or(&[][..], Node::items);
                for (at, item) in items.iter().enumerate() {
                    let inner = match expression {
                        Expression::Written(Node { value: Value::Sequence(blocks), .. }) => {
                            block_of(blocks, values, at).map_or(Expression::Hidden, Expression::Written)
                        }
                        other => other,
                    };
                    self.steps.push(Step::Index(at));
                    self.node(item, inner, values.get(at));
                    self.steps.pop();
                }
            }
        }
    }

    /// Items of a list of which some are not known: the references of its expression, in order.
    fn items(&mut self, items: &[Node], expression: &'p Node) {
        let (what, place) = (self.expected(), place_of(expression));
        let found = self.resolver.texts(expression, self.at, what);
        let (mut texts, why) = match found {
            Ok((texts, why)) => (texts.into_iter(), why),
            Err(why) => (Vec::new().into_iter(), Some(why)),
        };
        for (at, _) in items.iter().enumerate().filter(|(_, item)| is_true(item)) {
            self.steps.push(Step::Index(at));
            match texts.next() {
                Some(text) => self.outcome.values.push((self.steps.clone(), place, Resolved::Text(text))),
                None => {
                    let why = why.clone().unwrap_or_else(|| AFTER_APPLY.to_owned());
                    self.outcome.unknown.push(Unknown { path: path(&self.steps), place, why });
                }
            }
            self.steps.pop();
        }
    }

    fn expected(&self) -> Expected {
        let mut keys = self.steps.iter().rev().filter_map(|step| match step {
            Step::Key(key) => Some(&**key),
            Step::Index(_) => None,
        });
        expected(keys.next().unwrap_or_default(), keys.next().unwrap_or_default())
    }

    fn leaf(&mut self, expression: Expression<'p>) {
        let what = self.expected();
        let (place, why) = match expression {
            Expression::Computed => return,
            Expression::Hidden if !what.matters() => return,
            Expression::Hidden => (self.resolver.instances[self.at].place, AFTER_APPLY.to_owned()),
            Expression::Written(node) => {
                let place = place_of(node);
                match self.written(node, what, place) {
                    None => return,
                    Some(why) => (place, why),
                }
            }
        };
        let instance = &self.resolver.instances[self.at];
        let path = path(&self.steps);
        let is_block = matches!(expression, Expression::Written(Node { value: Value::Sequence(_), .. }));
        if !what.list
            && !is_block
            && let Some(only) = self.resolver.only(what, self.at)
        {
            let text = self.resolver.path(only).unwrap_or_default();
            let message = format!(
                "`{path}` of {} is not known ({why}): assumed to be {}, the only one of its kind here",
                instance.address, self.resolver.instances[only].address
            );
            self.outcome.findings.push(Diagnostic::warning("assumed-reference", message).at(place));
            self.outcome.values.push((self.steps.clone(), place, Resolved::Text(text)));
            return;
        }
        self.outcome.unknown.push(Unknown { path, place, why });
    }

    /// Resolves an expression; if that fails, says why.
    fn written(&mut self, node: &'p Node, what: Expected, place: Place) -> Option<String> {
        if matches!(self.steps.last(), Some(Step::Key(key)) if &**key == "run.googleapis.com/network-interfaces")
            && let Some(text) = self.resolver.interface(node, self.at)
        {
            let address = &self.resolver.instances[self.at].address;
            let message =
                format!("the plan does not show the tags of the network interface of {address}: assumed none");
            let help = "put `tags:` into the result if it has some";
            self.outcome.findings.push(Diagnostic::note("not-known", message).at(place).help(help));
            self.outcome.values.push((self.steps.clone(), place, Resolved::Text(text)));
            return None;
        }
        if what.list {
            return match self.resolver.texts(node, self.at, what) {
                Ok((texts, why)) => {
                    if let Some(why) = why {
                        let path = format!("{}[{}]", path(&self.steps), texts.len());
                        self.outcome.unknown.push(Unknown { path, place, why });
                    }
                    self.outcome.values.push((self.steps.clone(), place, Resolved::Texts(texts)));
                    None
                }
                Err(why) => Some(why),
            };
        }
        match self.resolver.text(node, self.at, what) {
            Ok(text) => {
                self.outcome.values.push((self.steps.clone(), place, Resolved::Text(text)));
                None
            }
            Err(why) => Some(why),
        }
    }
}

/// Whether it is the expression of a value, and no block.
fn is_leaf(node: &Node) -> bool {
    node.get("references").is_some() || node.get("constant_value").is_some() || node.entries().is_empty()
}

/// The first reference: the line that names the resource.
fn place_of(expression: &Node) -> Place {
    let first = expression.get("references").and_then(|references| references.items().first());
    first.map_or(expression.place, |first| first.place)
}

/// The block of the configuration that a planned block is of. Blocks of a set come in another order than they are written:
/// one that contradicts what is known is not it.
fn block_of<'p>(blocks: &'p [Node], values: &[Node], at: usize) -> Option<&'p Node> {
    match blocks {
        [only] => return Some(only),
        // More than anybody writes by hand.
        many if many.len() > 64 => return many.get(at),
        _ => {}
    }
    let Some(value) = values.get(at) else { return blocks.get(at) };
    let fits = |block: &&Node| !contradicts(block, value);
    blocks.get(at).filter(fits).or_else(|| blocks.iter().find(fits))
}

fn contradicts(block: &Node, value: &Node) -> bool {
    block.entries().iter().any(|entry| {
        let Some(constant) = entry.value.get("constant_value") else { return false };
        match (&constant.value, value.get(&entry.key.name)) {
            (Value::Scalar(constant), Some(Node { value: Value::Scalar(value), .. })) => constant.text != value.text,
            (Value::Sequence(constants), Some(Node { value: Value::Sequence(values), .. })) => {
                let has = |node: &Node| values.iter().any(|value| value.text() == node.text());
                constants.len() != values.len() || (values.len() <= 64 && !constants.iter().all(has))
            }
            (_, found) => found.is_none_or(Node::is_null),
        }
    })
}
