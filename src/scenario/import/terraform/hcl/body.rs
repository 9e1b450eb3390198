//! Blocks of resources, written down as trees with the places of the configuration.

use std::collections::HashMap;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Body, Structure};

use super::eval::{Evaluator, Scope};
use super::index::Declaration;
use super::module::Instance;
use super::resource::named;
use super::value::Value;
use super::{Block, Provider, Unknown, address, place};
use crate::scenario::diagnostic::Place;
use crate::scenario::import::secrets::is_secret;
use crate::scenario::tree::{self, Entry, Key, Node};

/// What Terraform itself reads of a resource's block.
const OF_TERRAFORM: [&str; 8] =
    ["count", "for_each", "depends_on", "provider", "lifecycle", "provisioner", "connection", "timeouts"];

/// The most attributes of a block that are told to be unknown: whoever has more knows.
const MAX_UNKNOWN: usize = 1_000;

/// A way to an attribute, as `template[0].vpc_access`.
#[derive(Debug, Default)]
struct Way {
    path: String,
    unknown: Vec<Unknown>,
}

impl Way {
    /// Goes one step deeper, and back.
    fn step<T>(&mut self, name: &str, then: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        address::push_key(&mut self.path, name);
        let result = then(self);
        self.path.truncate(length);
        result
    }

    fn item<T>(&mut self, index: usize, then: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        self.path.push_str(&format!("[{index}]"));
        let result = then(self);
        self.path.truncate(length);
        result
    }

    fn miss(&mut self, place: Place, why: impl Into<String>) {
        if self.unknown.len() == MAX_UNKNOWN {
            return;
        }
        self.unknown.push(Unknown { path: self.path.clone(), place, why: why.into() });
    }
}

impl<'w> Evaluator<'w> {
    /// Writes down one instance of a resource.
    pub fn block(&mut self, module: usize, resource: usize, instance: &Instance) {
        let declaration = self.config(module).resources[resource];
        let Declaration { kind, file, block, .. } = declaration;
        let address = self.address_of(module, declaration, instance);
        let scope = self.scope_of(module, resource, instance);
        let at = place(file, block.span());
        let mut way = Way::default();
        let body = self.body(&block.body, &scope, at, &mut way);
        let provider = self.provider_of(module, declaration).as_ref().clone();
        self.blocks.push(Block { address, kind: kind.to_owned(), place: at, body, unknown: way.unknown, provider });
    }

    /// Writes down that there is a resource, however many instances it has: nobody reads what it says.
    pub fn unread(&mut self, module: usize, resource: usize) {
        if !self.spend(1) {
            return;
        }
        let declaration = self.config(module).resources[resource];
        let at = place(declaration.file, declaration.block.span());
        self.blocks.push(Block {
            address: self.address_of(module, declaration, &Instance::default()),
            kind: declaration.kind.to_owned(),
            place: at,
            body: self.import.build.mapping(at, []),
            unknown: Vec::new(),
            provider: Provider::default(),
        });
    }

    fn body(&mut self, body: &'w Body, scope: &Scope<'w>, at: Place, way: &mut Way) -> Node {
        let outermost = way.path.is_empty();
        let mut entries: Vec<Entry> = Vec::new();
        // Where the list of blocks with a name is.
        let mut lists: HashMap<&'w str, usize> = HashMap::new();
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let name = attribute.key.as_str();
                    if is_secret(name) || (outermost && OF_TERRAFORM.contains(&name)) {
                        continue;
                    }
                    let key = Key { name: name.into(), place: place(scope.file, attribute.key.span()) };
                    if let Some(value) = way.step(name, |way| self.node(&attribute.value, scope, way)) {
                        entries.push(Entry { key, value });
                    }
                }
                Structure::Block(block) => {
                    let Some(name) = named(block) else { continue };
                    if is_secret(name) || (outermost && OF_TERRAFORM.contains(&name)) {
                        continue;
                    }
                    let at = place(scope.file, block.span());
                    let bodies = match self.repeated(block, scope) {
                        Ok(bodies) => bodies,
                        Err(unknown) => {
                            let why = unknown.why().map_or_else(String::new, |why| why.text.clone());
                            way.step(name, |way| way.miss(at, why));
                            continue;
                        }
                    };
                    if bodies.is_empty() {
                        continue;
                    }
                    let list = *lists.entry(name).or_insert_with(|| {
                        let key = Key { name: name.into(), place: place(scope.file, block.ident.span()) };
                        entries.push(Entry { key, value: self.import.build.list(at, Vec::new()) });
                        entries.len() - 1
                    });
                    let first = entries[list].value.items().len();
                    for (index, (body, scope)) in (first..).zip(bodies) {
                        if !self.spend(4) {
                            break;
                        }
                        let node = way.step(name, |way| way.item(index, |way| self.body(body, &scope, at, way)));
                        if let tree::Value::Sequence(items) = &mut entries[list].value.value {
                            items.push(node);
                        }
                    }
                }
            }
        }
        self.mapping(at, entries)
    }

    /// A value as it is written: items and entries of a literal keep their own places.
    fn node(&mut self, expression: &'w Expression, scope: &Scope<'w>, way: &mut Way) -> Option<Node> {
        let at = place(scope.file, expression.span());
        match expression {
            Expression::Parenthesis(inner) => self.node(inner.inner(), scope, way),
            Expression::Array(array) => {
                let mut items = Vec::with_capacity(array.len());
                for (index, item) in array.iter().enumerate() {
                    items.extend(way.item(index, |way| self.node(item, scope, way)));
                }
                Some(self.import.build.list(at, items))
            }
            Expression::Object(object) => {
                let mut entries = Vec::with_capacity(object.len());
                for (key, value) in object {
                    let span = match key {
                        ObjectKey::Ident(name) => name.span(),
                        ObjectKey::Expression(expression) => expression.span(),
                    };
                    match self.key(key, scope) {
                        Ok(name) if is_secret(&name) => {}
                        Ok(name) => {
                            let node = way.step(&name, |way| self.node(value.expr(), scope, way));
                            let key = Key { name: (&*name).into(), place: place(scope.file, span) };
                            entries.extend(node.map(|value| Entry { key, value }));
                        }
                        Err(unknown) => {
                            way.miss(at, unknown.why().map_or_else(String::new, |why| why.text.clone()));
                        }
                    }
                }
                Some(self.mapping(at, entries))
            }
            other => {
                let value = self.eval(other, scope);
                if !self.spend(value.size().saturating_mul(4)) {
                    way.miss(at, "the configuration takes too long to evaluate");
                    return None;
                }
                self.written(&value, at, way)
            }
        }
    }

    /// A computed value, all of it at the place of its expression.
    fn written(&mut self, value: &Value, at: Place, way: &mut Way) -> Option<Node> {
        match value {
            Value::Null => None,
            Value::Unknown(why) => {
                way.miss(at, why.text.clone());
                None
            }
            Value::Resource(_) | Value::Module(_) => {
                way.miss(at, format!("it is {} as a whole and not one of its attributes", value.word()));
                None
            }
            Value::List(list) | Value::Set(list) => {
                let mut items = Vec::with_capacity(list.items.len());
                for (index, item) in list.items.iter().enumerate() {
                    items.extend(way.item(index, |way| self.written(item, at, way)));
                }
                Some(self.import.build.list(at, items))
            }
            Value::Map(map) => {
                let mut entries = Vec::with_capacity(map.entries.len());
                for (key, item) in map.entries.iter().filter(|(key, _)| !is_secret(key)) {
                    let node = way.step(key, |way| self.written(item, at, way));
                    entries.extend(node.map(|node| Entry::new(key, node)));
                }
                Some(self.mapping(at, entries))
            }
            simple => simple.text().map(|text| self.import.build.text(at, text)),
        }
    }

    fn mapping(&mut self, at: Place, entries: Vec<Entry>) -> Node {
        Node { value: tree::Value::Mapping(entries), ..self.import.build.mapping(at, []) }
    }
}
