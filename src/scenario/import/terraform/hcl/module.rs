//! Instances: of modules, and of what `count` and `for_each` repeat.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use hcl_edit::Span;
use hcl_edit::expr::Expression;
use hcl_edit::structure::Body;

use super::eval::{Evaluator, Memo, Scope, Slot, iterate};
use super::index::{Call, Config, Declaration};
use super::load::{MAX_DEPTH, Root, Values};
use super::value::{Handle, Value};
use super::{Provider, place};
use crate::scenario::diagnostic::{Diagnostic, FileId, Place};
use crate::scenario::import::start_of;

/// The most instances of resources and modules.
const MAX_INSTANCES: usize = 200_000;

/// One instance of a module.
#[derive(Debug)]
pub(super) struct Module<'w> {
    pub config: usize,
    /// `module.network["a"].`; nothing for a root.
    pub address: String,
    /// How many modules there are above it.
    pub depth: usize,
    /// The block that calls it and where that stands; nothing for a root.
    pub caller: Option<(Call<'w>, Scope<'w>)>,
    /// Values that a root is given.
    pub values: HashMap<&'w str, Given<'w>>,
    pub variables: Memo<'w>,
    pub locals: Memo<'w>,
    pub outputs: Memo<'w>,
    pub attributes: HashMap<(usize, usize, &'w str), Slot<Value>>,
    pub resources: HashMap<usize, Slot<Rc<Expansion>>>,
    pub calls: HashMap<usize, Slot<Rc<Expansion>>>,
    pub providers: HashMap<String, Slot<Rc<Provider>>>,
}

/// A value of a variable.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'w> {
    Hcl(FileId, &'w Expression),
    Json(FileId, &'w serde_json::Value),
}

impl Given<'_> {
    pub fn place(&self) -> Place {
        match self {
            Given::Hcl(file, expression) => place(*file, expression.span()),
            Given::Json(file, _) => start_of(*file),
        }
    }
}

/// The instances of a resource or of a module call.
#[derive(Debug)]
pub(super) struct Expansion {
    pub instances: Vec<Instance>,
    /// What a reference to all of it gives.
    pub value: Value,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Instance {
    /// `[0]`, `["a"]`, or nothing.
    pub suffix: String,
    pub each: Option<(Value, Value)>,
    pub count: Option<Value>,
    /// The module that an instance of a call is.
    pub module: usize,
}

/// What repeats a block.
enum Shape {
    One,
    Count,
    Each(Vec<Rc<str>>),
    /// Not known: one stands for all.
    Assumed,
}

impl<'w> Evaluator<'w> {
    pub fn config(&self, module: usize) -> &'w Config<'w> {
        &self.configs[self.modules[module].config]
    }

    /// Evaluates everything in a module that nobody calls.
    pub fn root(&mut self, root: &'w Root) {
        let mut values: HashMap<&'w str, Given<'w>> = HashMap::new();
        for file in &root.values {
            let given: Vec<(&'w str, Given<'w>)> = match file {
                Values::Hcl(file, body) => body
                    .attributes()
                    .map(|attribute| (attribute.key.as_str(), Given::Hcl(*file, &attribute.value)))
                    .collect(),
                Values::Json(file, map) => {
                    map.iter().map(|(name, value)| (name.as_str(), Given::Json(*file, value))).collect()
                }
            };
            for (name, value) in given {
                let Some(earlier) = values.insert(name, value) else { continue };
                let message = format!("`{name}` is set by two variables files: this value is used");
                let help = "import only the variables files that are used together";
                let diagnostic = Diagnostic::warning("variable-set-twice", message).at(value.place()).help(help);
                self.tell(diagnostic.related(earlier.place(), "and not this one"));
            }
        }
        let module = self.module(root.folder, String::new(), 0, None);
        self.modules[module].values = values;
        self.all(module);
    }

    fn module(&mut self, config: usize, address: String, depth: usize, caller: Option<(Call<'w>, Scope<'w>)>) -> usize {
        self.modules.push(Module {
            config,
            address,
            depth,
            caller,
            values: HashMap::new(),
            variables: HashMap::new(),
            locals: HashMap::new(),
            outputs: HashMap::new(),
            attributes: HashMap::new(),
            resources: HashMap::new(),
            calls: HashMap::new(),
            providers: HashMap::new(),
        });
        self.modules.len() - 1
    }

    /// Writes down all resources of a module and of those that it calls. Modules nest a few levels deep at most.
    fn all(&mut self, module: usize) {
        let config = self.config(module);
        for resource in 0..config.resources.len() {
            if !(self.wanted)(config.resources[resource].kind) {
                self.unread(module, resource);
                continue;
            }
            let expansion = self.resource(module, resource);
            for instance in 0..expansion.instances.len() {
                if !self.spend(1) {
                    return;
                }
                self.block(module, resource, &expansion.instances[instance]);
            }
        }
        for call in 0..config.calls.len() {
            let expansion = self.called(module, call);
            for instance in &expansion.instances {
                self.all(instance.module);
            }
        }
    }

    /// The instances of a resource.
    pub fn resource(&mut self, module: usize, resource: usize) -> Rc<Expansion> {
        match self.modules[module].resources.get(&resource) {
            Some(Slot::Done(expansion)) => return expansion.clone(),
            Some(Slot::Busy) => {
                let Declaration { kind, name, file, block, .. } = self.config(module).resources[resource];
                return self.circle(&format!("how often `{kind}.{name}` is repeated"), place(file, block.ident.span()));
            }
            None => {}
        }
        self.modules[module].resources.insert(resource, Slot::Busy);
        let Declaration { kind, name, file, block, .. } = self.config(module).resources[resource];
        let scope = Scope::new(module, file);
        let at = place(file, block.ident.span());
        let (shape, instances) = self.repeat(&block.body, &scope, at, &format!("`{kind}.{name}`"));
        let assumed = matches!(shape, Shape::Assumed);
        let handle = |instance| Value::Resource(Handle { module, resource, instance, assumed });
        let value = shape.value((0..instances.len()).map(handle).collect());
        let expansion = Rc::new(Expansion { instances, value });
        self.modules[module].resources.insert(resource, Slot::Done(expansion.clone()));
        expansion
    }

    /// The instances of a module call: modules.
    pub fn called(&mut self, module: usize, call: usize) -> Rc<Expansion> {
        match self.modules[module].calls.get(&call) {
            Some(Slot::Done(expansion)) => return expansion.clone(),
            Some(Slot::Busy) => {
                let Call { name, file, block, .. } = self.config(module).calls[call];
                return self.circle(&format!("how often `module.{name}` is repeated"), place(file, block.ident.span()));
            }
            None => {}
        }
        let call_of = self.config(module).calls[call];
        let Some(config) = call_of.config else {
            let value = Value::unknown(format!("the module `{}` is not read", call_of.name));
            return Rc::new(Expansion { instances: Vec::new(), value });
        };
        let depth = self.modules[module].depth + 1;
        let at = place(call_of.file, call_of.block.ident.span());
        if depth >= MAX_DEPTH {
            let message = format!("modules call each other more than {MAX_DEPTH} levels deep");
            self.tell(Diagnostic::unusable("too-deep", message).at(at));
            return Rc::new(Expansion { instances: Vec::new(), value: Value::error("modules are nested too deeply") });
        }
        self.modules[module].calls.insert(call, Slot::Busy);
        let scope = Scope::new(module, call_of.file);
        let what = format!("`module.{}`", call_of.name);
        let (shape, mut instances) = self.repeat(&call_of.block.body, &scope, at, &what);
        let assumed = matches!(shape, Shape::Assumed);
        let mut handles = Vec::new();
        for instance in &mut instances {
            let address = format!("{}module.{}{}.", self.modules[module].address, call_of.name, instance.suffix);
            let caller = Scope { each: instance.each.clone(), count: instance.count.clone(), ..scope.clone() };
            instance.module = self.module(config, address, depth, Some((call_of, caller)));
            handles.push(Value::Module(Handle { module: instance.module, resource: 0, instance: 0, assumed }));
        }
        let expansion = Rc::new(Expansion { instances, value: shape.value(handles) });
        self.modules[module].calls.insert(call, Slot::Done(expansion.clone()));
        expansion
    }

    /// Evaluates `count` or `for_each` of a block.
    fn repeat(&mut self, body: &'w Body, scope: &Scope<'w>, header: Place, what: &str) -> (Shape, Vec<Instance>) {
        let one = Instance::default();
        let (shape, instances) = if let Some(count) = body.get_attribute("count") {
            let value = self.eval(&count.value, scope);
            match value.number().filter(|number| *number >= 0.0) {
                Some(number) if !self.fits(number, header) => (Shape::Count, Vec::new()),
                Some(number) => {
                    let instance = |at: usize| Instance {
                        suffix: format!("[{at}]"),
                        count: Some(Value::Number(at as f64)),
                        ..one.clone()
                    };
                    (Shape::Count, (0..number as usize).map(instance).collect())
                }
                None => {
                    self.assumed("count", &value, place(scope.file, count.value.span()), what);
                    let first = Instance { suffix: "[0]".into(), count: Some(Value::Number(0.0)), ..one };
                    (Shape::Assumed, vec![first])
                }
            }
        } else if let Some(each) = body.get_attribute("for_each") {
            let at = place(scope.file, each.value.span());
            let value = self.eval(&each.value, scope);
            let items = iterate(&value).and_then(|items| {
                // Items of a list are their own keys, as `toset` would have it.
                let list = matches!(value, Value::List(_));
                let keyed = |(key, item): (Value, Value)| {
                    let key = if list { item.clone() } else { key };
                    key.text().map(|text| (text, key, item)).ok_or_else(|| Value::error("a key is not a string"))
                };
                items.into_iter().map(keyed).collect::<Result<Vec<_>, _>>()
            });
            match items {
                Ok(items) if !self.fits(items.len() as f64, header) => (Shape::Each(Vec::new()), Vec::new()),
                Ok(items) => {
                    if matches!(value, Value::List(_)) {
                        let message = "Terraform takes no list for `for_each`: it is read as a set";
                        self.tell(Diagnostic::warning("for-each-list", message).at(at).help("write `toset(…)`"));
                    }
                    let mut keys = Vec::new();
                    let mut instances = Vec::new();
                    for (text, key, item) in items {
                        let suffix = format!("[{}]", serde_json::Value::from(&*text));
                        instances.push(Instance { suffix, each: Some((key, item)), ..one.clone() });
                        keys.push(text);
                    }
                    (Shape::Each(keys), instances)
                }
                Err(why) => {
                    self.assumed("for_each", &why, at, what);
                    let key = Value::unknown("the keys of `for_each` are not known");
                    let suffix = "[\"?\"]".into();
                    (Shape::Assumed, vec![Instance { suffix, each: Some((key.clone(), key)), ..one }])
                }
            }
        } else if self.fits(1.0, header) {
            (Shape::One, vec![one])
        } else {
            (Shape::One, Vec::new())
        };
        self.instances += instances.len();
        (shape, instances)
    }

    /// Who asks how many instances there are, to know how many there are.
    fn circle(&mut self, what: &str, at: Place) -> Rc<Expansion> {
        Rc::new(Expansion { instances: Vec::new(), value: self.cycle(what, at) })
    }

    fn assumed(&mut self, argument: &str, value: &Value, at: Place, what: &str) {
        let why = match value {
            Value::Unknown(why) => why.text.clone(),
            other => format!("it is {}", other.word()),
        };
        let message = format!("how many {what} there are is not known, one is assumed: {why}");
        let help = format!("give what `{argument}` depends on a value, or import a plan: `terraform show -json PLAN`");
        self.tell(Diagnostic::warning("instances-unknown", message).at(at).help(help));
    }

    fn fits(&mut self, more: f64, at: Place) -> bool {
        let fits = self.instances as f64 + more <= MAX_INSTANCES as f64;
        if !fits {
            let message = format!("there are more than {MAX_INSTANCES} instances, which is the most that is read");
            self.tell(Diagnostic::unusable("too-large", message).at(at));
        }
        fits
    }
}

impl Shape {
    fn value(self, mut handles: Vec<Value>) -> Value {
        match self {
            Shape::One | Shape::Assumed => {
                handles.pop().unwrap_or_else(|| Value::error("there are too many instances"))
            }
            Shape::Count => Value::list(handles),
            Shape::Each(keys) => Value::map(keys.into_iter().zip(handles).collect::<BTreeMap<_, _>>()),
        }
    }
}
