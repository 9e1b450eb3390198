//! References between resources of a plan, through variables and outputs of modules.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::configuration::Configuration;
use super::expected::{Expected, NETWORK, SUBNETWORK, expected};
use super::instances::Instance;
use crate::scenario::import::terraform::Provider;
use crate::scenario::import::terraform::address::{Step, steps};
use crate::scenario::tree::{Node, Value};

/// How far a reference is followed through modules. Configurations have less than ten levels.
pub(super) const MAX_DEPTH: usize = 24;
/// How many references are followed for one value, whatever their branches.
const MAX_STEPS: u32 = 2_000;
/// How many resources one list refers to at most. A gateway has 300 NAT IPs at most.
const MAX_FOUND: usize = 512;

/// The resources of a plan, and how they refer to each other.
pub(super) struct Resolver<'p> {
    pub instances: &'p [Instance],
    pub configuration: &'p Configuration<'p>,
    by_address: HashMap<&'p str, usize>,
    /// By the address without the last key.
    by_resource: HashMap<&'p str, Vec<usize>>,
    /// Instances of modules by their address without the last key.
    modules: HashMap<&'p str, Vec<&'p str>>,
    /// How many of a type there are in a module, and the first one; the module `*` is all of them.
    counts: HashMap<(&'p str, &'p str), (usize, usize)>,
    pub providers: RefCell<HashMap<String, Provider>>,
    steps_left: Cell<u32>,
}

/// Where an expression stands.
#[derive(Clone)]
pub(super) struct Scope<'p> {
    /// The instance of the module.
    pub module: String,
    /// The key of the instance of the resource, or of the module's instance in its caller.
    key: String,
    /// The key that is asked of the value: `["a"]` of `module.net.subnets["a"].id`, where the output is a whole resource.
    index: String,
    for_each: Option<&'p Node>,
}

impl Scope<'_> {
    /// The key that is asked of what this step of a reference leads to.
    fn index_at(&self, step: &Step<'_>) -> String {
        if step.key.is_empty() { self.index.clone() } else { step.key.to_owned() }
    }
}

/// What references lead to.
#[derive(Default)]
struct Found {
    /// Instances with what is asked of them.
    instances: Vec<(usize, Option<String>)>,
    failure: Option<String>,
}

impl<'p> Resolver<'p> {
    pub fn new(configuration: &'p Configuration<'p>, instances: &'p [Instance]) -> Resolver<'p> {
        let mut resolver = Resolver {
            instances,
            configuration,
            by_address: HashMap::with_capacity(instances.len()),
            by_resource: HashMap::new(),
            modules: HashMap::new(),
            counts: HashMap::new(),
            providers: RefCell::default(),
            steps_left: Cell::new(0),
        };
        let mut seen = std::collections::HashSet::new();
        for (at, instance) in instances.iter().enumerate() {
            resolver.by_address.entry(&instance.address).or_insert(at);
            let base = &instance.address[..instance.address.len() - instance.key.len()];
            resolver.by_resource.entry(base).or_default().push(at);
            for module in [instance.module.as_str(), "*"] {
                resolver.counts.entry((module, &instance.kind)).or_insert((0, at)).0 += 1;
            }
            let mut module = instance.module.as_str();
            while !module.is_empty() && seen.insert(module) {
                let base = without_key(module);
                resolver.modules.entry(base).or_default().push(module);
                module = parent(base).0;
            }
        }
        resolver
    }

    /// The expressions of an instance's resource, if the configuration has it.
    pub fn expressions(&self, at: usize) -> Option<&'p Node> {
        self.resource(at)?.get("expressions")
    }

    pub fn resource(&self, at: usize) -> Option<&'p Node> {
        let instance = &self.instances[at];
        self.configuration.module_of(&instance.module)?.resources.get(&instance.resource).copied()
    }

    fn scope(&self, at: usize) -> Scope<'p> {
        let instance = &self.instances[at];
        let for_each = self.resource(at).and_then(|resource| resource.get("for_each_expression"));
        Scope { module: instance.module.clone(), key: instance.key.clone(), index: String::new(), for_each }
    }

    /// What an expression of an instance comes to, if it refers to one resource; else why not.
    pub fn text(&self, expression: &'p Node, at: usize, what: Expected) -> Result<String, String> {
        self.steps_left.set(MAX_STEPS);
        self.text_in(expression, &self.scope(at), what, 0)
    }

    fn text_in(&self, expression: &'p Node, scope: &Scope<'p>, what: Expected, depth: usize) -> Result<String, String> {
        let mut found = Found::default();
        self.follow(expression, scope, None, depth, &mut found);
        let mut typed: Vec<String> = Vec::new();
        let mut others: Vec<String> = Vec::new();
        for (at, attribute) in found.instances {
            let is_expected = what.kinds.contains(&self.instances[at].kind.as_str());
            if is_expected {
                typed.extend(self.identity(at, attribute.as_deref(), what));
            } else if let Some((text, known)) = self.attribute(at, attribute.as_deref(), depth) {
                // What is known is not what makes the whole unknown.
                if !known {
                    others.push(text);
                }
            } else {
                let address = &self.instances[at].address;
                found.failure.get_or_insert_with(|| format!("known only after apply of {address}"));
            }
            if typed.len() + others.len() > MAX_FOUND {
                break;
            }
        }
        for texts in [&mut typed, &mut others] {
            texts.sort_unstable();
            texts.dedup();
        }
        match (typed.as_slice(), others.as_slice(), found.failure) {
            ([only], ..) => Ok(only.clone()),
            ([_, ..], ..) => Err(format!("it is one of {}", list(&typed))),
            ([], [only], None) => Ok(only.clone()),
            ([], _, Some(failure)) => Err(failure),
            ([], ..) => Err("known only after apply".into()),
        }
    }

    /// What an expression of a list comes to, and why that may not be all of it; else why it comes to nothing.
    pub fn texts(
        &self,
        expression: &'p Node,
        at: usize,
        what: Expected,
    ) -> Result<(Vec<String>, Option<String>), String> {
        self.steps_left.set(MAX_STEPS);
        let mut found = Found::default();
        self.follow(expression, &self.scope(at), None, 0, &mut found);
        let mut texts: Vec<String> = Vec::new();
        for (at, attribute) in found.instances {
            let is_expected = what.kinds.contains(&self.instances[at].kind.as_str());
            let text = if is_expected {
                self.identity(at, attribute.as_deref(), what)
            } else {
                self.attribute(at, attribute.as_deref(), 0).map(|(text, _)| text)
            };
            match text {
                Some(text) if texts.contains(&text) => {}
                Some(text) => texts.push(text),
                None => {
                    let address = &self.instances[at].address;
                    found.failure.get_or_insert_with(|| format!("known only after apply of {address}"));
                }
            }
            if texts.len() > MAX_FOUND {
                break;
            }
        }
        match (texts.is_empty(), found.failure) {
            (false, failure) => Ok((texts, failure)),
            (true, failure) => Err(failure.unwrap_or_else(|| "known only after apply".into())),
        }
    }

    /// The annotation with an interface of Direct VPC egress, of which a plan shows what it refers to. Its tags are lost.
    pub fn interface(&self, expression: &'p Node, at: usize) -> Option<String> {
        self.steps_left.set(MAX_STEPS);
        let mut found = Found::default();
        self.follow(expression, &self.scope(at), None, 0, &mut found);
        let only = |kinds: &[&str]| {
            let mut of_kind =
                found.instances.iter().filter(|(at, _)| kinds.contains(&self.instances[*at].kind.as_str()));
            let first = of_kind.next()?.0;
            of_kind.all(|(at, _)| *at == first).then(|| self.path(first)).flatten()
        };
        let mut interface = serde_json::Map::new();
        for (key, kinds) in [("network", NETWORK), ("subnetwork", SUBNETWORK)] {
            if let Some(path) = only(kinds) {
                interface.insert(key.to_owned(), path.into());
            }
        }
        (!interface.is_empty()).then(|| serde_json::json!([interface]).to_string())
    }

    /// The one resource of the expected types in the module of an instance, else in the whole plan.
    pub fn only(&self, what: Expected, at: usize) -> Option<usize> {
        let instance = &self.instances[at];
        let count = |module: &str| {
            let counts = what.kinds.iter().filter_map(|kind| self.counts.get(&(module, *kind)));
            counts.fold((0, 0), |(sum, _), (count, first)| (sum + count, *first))
        };
        let (number, only) = match count(&instance.module) {
            (0, _) => count("*"),
            some => some,
        };
        (number == 1 && only != at && self.path(only).is_some()).then_some(only)
    }

    /// Follows the references of an expression.
    fn follow(&self, expression: &'p Node, scope: &Scope<'p>, rest: Option<&str>, depth: usize, found: &mut Found) {
        // `a[count.index]` is shown as `a` and `count.index`: without the latter it is all of them, or the only one.
        if references(expression).any(|reference| reference == "count.index" || reference.starts_with("each.")) {
            return self.follow_by_key(expression, scope, rest, depth, found);
        }
        let all = Scope { key: String::new(), ..scope.clone() };
        self.follow_by_key(expression, &all, rest, depth, found);
    }

    /// As [`Resolver::follow`]; of what has many instances, that with the key of the scope.
    fn follow_by_key(
        &self,
        expression: &'p Node,
        scope: &Scope<'p>,
        rest: Option<&str>,
        depth: usize,
        found: &mut Found,
    ) {
        let mut last: Option<&str> = None;
        for reference in references(expression) {
            // `a.b.id` is followed by `a.b`: the same again.
            let is_prefix = |longer: &str| {
                longer.strip_prefix(reference).is_some_and(|more| more.is_empty() || more.starts_with(['.', '[']))
            };
            if last.is_some_and(is_prefix) {
                continue;
            }
            last = Some(reference);
            let Some(left) = self.steps_left.get().checked_sub(1) else {
                found.failure.get_or_insert_with(|| "too many references lead there".into());
                return;
            };
            self.steps_left.set(left);
            if depth >= MAX_DEPTH || found.instances.len() > MAX_FOUND {
                found.failure.get_or_insert_with(|| "its references lead too far".into());
                return;
            }
            self.reference(reference, scope, rest, depth, found);
        }
    }

    fn reference(&self, reference: &str, scope: &Scope<'p>, rest: Option<&str>, depth: usize, found: &mut Found) {
        let parts = steps(reference);
        let after = |count: usize| {
            let more: Vec<String> = parts.iter().skip(count).map(|step| format!("{}{}", step.name, step.key)).collect();
            let more = more.join(".");
            if more.is_empty() { rest.map(str::to_owned) } else { Some(more) }
        };
        match parts.as_slice() {
            [Step { name: "path" | "terraform" | "self" | "count", .. }, ..] | [] => {}
            [Step { name: "each", .. }, Step { name: "value", .. }, ..] => {
                if let Some(for_each) = scope.for_each {
                    let inner = Scope { for_each: None, ..scope.clone() };
                    self.follow_by_key(for_each, &inner, after(2).as_deref(), depth + 1, found);
                }
            }
            [Step { name: "each", .. }, ..] => {}
            [Step { name: "local", .. }, local, ..] => {
                let why = format!("local.{} is not shown in a plan", local.name);
                found.failure.get_or_insert(why);
            }
            [Step { name: "var", .. }, variable, ..] => {
                let Some((mut caller, argument)) = self.argument(&scope.module, variable.name) else { return };
                caller.index = scope.index_at(variable);
                self.follow(argument, &caller, after(2).as_deref(), depth + 1, found);
            }
            [Step { name: "module", .. }, call, output, ..] => {
                for module in self.called(&scope.module, call, scope) {
                    let Some(configured) = self.configuration.module_of(&module) else { continue };
                    let expression = configured.outputs.get(output.name).and_then(|output| output.get("expression"));
                    let index = scope.index_at(output);
                    let inner = Scope { module, key: String::new(), index, for_each: None };
                    if let Some(expression) = expression {
                        self.follow(expression, &inner, after(3).as_deref(), depth + 1, found);
                    }
                }
            }
            [Step { name: "module", .. }, ..] => {}
            [Step { name: "data", .. }, kind, name, ..] => {
                self.resources(&format!("data.{}.{}", kind.name, name.name), name.key, scope, &after(3), found);
            }
            [kind, name, ..] => {
                self.resources(&format!("{}.{}", kind.name, name.name), name.key, scope, &after(2), found);
            }
            _ => {}
        }
    }

    /// The instances of a resource that a reference means: the one of its key, of the same key, or all.
    fn resources(&self, resource: &str, key: &str, scope: &Scope<'p>, attribute: &Option<String>, found: &mut Found) {
        let dot = if scope.module.is_empty() { "" } else { "." };
        let base = format!("{}{dot}{resource}", scope.module);
        let exact = |key: &str| self.by_address.get(format!("{base}{key}").as_str()).copied();
        let one = exact(key).or_else(|| exact(&scope.key)).or_else(|| exact(&scope.index));
        if let Some(one) = one {
            return found.instances.push((one, attribute.clone()));
        }
        match self.by_resource.get(base.as_str()) {
            Some(all) => {
                // `[*].id` and `.0.id`.
                let attribute = attribute.as_deref().map(|attribute| {
                    let digits = attribute.trim_start_matches(|c: char| c.is_ascii_digit() || c == '*');
                    digits.strip_prefix('.').unwrap_or(attribute).to_owned()
                });
                found.instances.extend(all.iter().take(MAX_FOUND + 1).map(|at| (*at, attribute.clone())));
            }
            None => {
                found.failure.get_or_insert_with(|| format!("{base} is not planned"));
            }
        }
    }

    /// What a module is given for a variable, and where that stands.
    pub fn argument(&self, module: &str, variable: &str) -> Option<(Scope<'p>, &'p Node)> {
        if module.is_empty() {
            return None;
        }
        let (caller, call) = parent(module);
        let Step { name, key } = *steps(call).get(1)?;
        let call = self.configuration.module_of(caller)?.calls.get(name)?;
        let argument = call.get("expressions")?.get(variable)?;
        let for_each = call.get("for_each_expression");
        let scope = Scope { module: caller.to_owned(), key: key.to_owned(), index: String::new(), for_each };
        Some((scope, argument))
    }

    /// The instances of a called module that a reference means.
    fn called(&self, module: &str, call: &Step<'_>, scope: &Scope<'p>) -> Vec<String> {
        let dot = if module.is_empty() { "" } else { "." };
        let base = format!("{module}{dot}module.{}", call.name);
        let all = self.modules.get(base.as_str()).map_or(&[][..], Vec::as_slice);
        for key in [call.key, &scope.key, &scope.index] {
            let exact = format!("{base}{key}");
            if all.len() < MAX_FOUND && all.contains(&exact.as_str()) {
                return vec![exact];
            }
        }
        if all.is_empty() {
            vec![base]
        } else {
            all.iter().take(MAX_FOUND).map(|module| (*module).to_owned()).collect()
        }
    }

    /// How a resource is referred to.
    fn identity(&self, at: usize, attribute: Option<&str>, what: Expected) -> Option<String> {
        if what.by_name || attribute == Some("name") { Some(self.name(at)) } else { self.path(at) }
    }

    /// The value of an attribute of an instance, and whether it is known.
    fn attribute(&self, at: usize, attribute: Option<&str>, depth: usize) -> Option<(String, bool)> {
        let instance = &self.instances[at];
        let parts = steps(attribute.unwrap_or("id"));
        let first = parts.first()?;
        if let Some(value) = value_at(&instance.values, &parts) {
            return Some((value.to_owned(), true));
        }
        match (instance.kind.as_str(), first.name) {
            ("google_service_account", "email") => {
                let account = text(&instance.values, "account_id")?;
                return Some((format!("{account}@{}.iam.gserviceaccount.com", self.project(at)?), false));
            }
            (_, "id" | "self_link" | "self_link_unique") => return Some((self.path(at)?, false)),
            (_, "name") => return self.path(at).map(|_| (self.name(at), false)),
            ("google_folder", "folder_id") | ("google_tags_tag_value" | "google_tags_tag_key", _) => {
                return Some((self.path(at)?, false));
            }
            _ => {}
        }
        if depth >= MAX_DEPTH || parts.len() > 1 {
            return None;
        }
        let expression = self.expressions(at)?.get(first.name)?;
        let text = self.text_in(expression, &self.scope(at), expected(first.name, ""), depth + 1);
        Some((text.ok()?, false))
    }
}

/// What an expression refers to; the longest form of each first.
fn references(expression: &Node) -> impl Iterator<Item = &str> {
    expression.get("references").map_or(&[][..], Node::items).iter().filter_map(Node::text)
}

/// The address of the caller of a module's instance, and the rest: `module.x["a"]`.
fn parent(module: &str) -> (&str, &str) {
    // The last two steps are one call.
    let all = steps(module);
    let own: usize = all.iter().rev().take(2).map(|step| step.name.len() + step.key.len() + 1).sum();
    let end = module.len().saturating_sub(own);
    let rest = if end == 0 { module } else { module.get(end + 1..).unwrap_or_default() };
    (module.get(..end).unwrap_or_default(), rest)
}

/// A module's address without its last key.
fn without_key(module: &str) -> &str {
    let key = steps(module).last().map_or(0, |step| step.key.len());
    &module[..module.len() - key]
}

pub(super) fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).filter(|node| !node.is_null())?.text().filter(|text| !text.is_empty())
}

/// The scalar at a path of attributes.
fn value_at<'n>(values: &'n Node, parts: &[Step<'_>]) -> Option<&'n str> {
    let mut node = values;
    for part in parts {
        node = node.get(part.name)?;
        for key in part.key.split(['[', ']']).filter(|key| !key.is_empty()) {
            node = match &node.value {
                Value::Sequence(items) => items.get(key.parse::<usize>().ok()?)?,
                _ => node.get(key.trim_matches('"'))?,
            };
        }
    }
    if node.is_null() { None } else { node.text().filter(|text| !text.is_empty()) }
}

fn list(texts: &[String]) -> String {
    let shown: Vec<&str> = texts.iter().take(3).map(String::as_str).collect();
    let more = if texts.len() > 3 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_of_a_module_is_the_address_before_it() {
        assert_eq!(parent(r#"module.a["x.y"].module.b[0]"#), (r#"module.a["x.y"]"#, "module.b[0]"));
        assert_eq!(parent("module.a"), ("", "module.a"));
        assert_eq!(without_key("module.a.module.b[0]"), "module.a.module.b");
        for odd in ["", "x", ".", "a.b.c", "[", "module."] {
            let _ = (parent(odd), without_key(odd));
        }
    }
}
