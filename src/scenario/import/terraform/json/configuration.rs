//! The configuration in a plan: the expressions behind the values, by module.

use std::collections::HashMap;

use crate::scenario::diagnostic::Place;
use crate::scenario::import::terraform::address::steps;
use crate::scenario::import::terraform::resources;
use crate::scenario::tree::Node;

/// The modules and providers of a plan.
#[derive(Debug, Default)]
pub(super) struct Configuration<'p> {
    /// By the names of the calls that lead there: `network.subnets`; empty: the root.
    modules: HashMap<String, Module<'p>>,
    /// By key: `google`, `google-beta.west`, `module.network:google`.
    pub providers: HashMap<&'p str, &'p Node>,
    variables: HashMap<&'p str, &'p Node>,
}

/// A module as configured, whatever instances it has.
#[derive(Debug, Default)]
pub(super) struct Module<'p> {
    /// By `google_compute_network.vpc`.
    pub resources: HashMap<String, &'p Node>,
    pub calls: HashMap<&'p str, &'p Node>,
    pub outputs: HashMap<&'p str, &'p Node>,
}

impl<'p> Configuration<'p> {
    /// Indexes it, and lists what may be secret there.
    pub fn new(node: Option<&'p Node>, variables: Option<&'p Node>, secret: &mut Vec<Place>) -> Configuration<'p> {
        let mut configuration = Configuration::default();
        let by_name = |node: &'p Node| node.entries().iter().map(|entry| (&*entry.key.name, &entry.value));
        configuration.variables = variables.into_iter().flat_map(by_name).collect();
        let Some(node) = node else { return configuration };
        if let Some(providers) = node.get("provider_config") {
            secret.push(providers.place);
            configuration.providers = by_name(providers).collect();
        }
        if let Some(root) = node.get("root_module") {
            configuration.module(root, String::new(), secret);
        }
        configuration
    }

    /// The parser bounds the depth of a tree, so this ends.
    fn module(&mut self, node: &'p Node, path: String, secret: &mut Vec<Place>) {
        let mut module = Module::default();
        secret.extend(node.get("variables").map(|variables| variables.place));
        for resource in node.get("resources").map_or(&[][..], Node::items) {
            let text = |key: &str| resource.get(key).and_then(Node::text);
            let (Some(kind), Some(name)) = (text("type"), text("name")) else { continue };
            let data = if text("mode") == Some("data") { "data." } else { "" };
            module.resources.insert(format!("{data}{kind}.{name}"), resource);
            secret.extend(resource.get("provisioners").map(|provisioners| provisioners.place));
            if !resources::knows(kind) {
                secret.extend(resource.get("expressions").map(|expressions| expressions.place));
            }
        }
        for output in node.get("outputs").map_or(&[][..], Node::entries) {
            module.outputs.insert(&output.key.name, &output.value);
            secret.extend(output.value.at_path(&["expression", "constant_value"]).map(|constant| constant.place));
        }
        for call in node.get("module_calls").map_or(&[][..], Node::entries) {
            module.calls.insert(&call.key.name, &call.value);
            for expression in call.value.get("expressions").map_or(&[][..], Node::entries) {
                secret.extend(expression.value.get("constant_value").map(|constant| constant.place));
            }
            if let Some(inner) = call.value.get("module") {
                let dot = if path.is_empty() { "" } else { "." };
                self.module(inner, format!("{path}{dot}{}", call.key.name), secret);
            }
        }
        self.modules.insert(path, module);
    }

    /// The configuration of the module that an address is of: `module.network["a"].module.subnets`.
    pub fn module_of(&self, address: &str) -> Option<&Module<'p>> {
        if address.is_empty() {
            return self.modules.get("");
        }
        let names: Vec<&str> = steps(address).iter().skip(1).step_by(2).map(|step| step.name).collect();
        self.modules.get(&names.join("."))
    }

    /// The value of a variable of the root module.
    pub fn variable(&self, name: &str) -> Option<&'p Node> {
        self.variables.get(name)?.get("value")
    }
}
