//! Attributes of resources: those that are written, and those that follow from them.
//!
//! Google's provider makes `id` and `self_link` of a resource's project, place and name, so a reference to one that is not
//! there yet can be followed. Everything else that only Google Cloud knows is unknown.

use std::collections::BTreeMap;
use std::rc::Rc;

use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Block, Body, Structure};

use super::eval::{Evaluator, Scope, Slot, iterate};
use super::index::Declaration;
use super::module::Instance;
use super::value::{Handle, Value};
use super::{Provider, address, resources};
use crate::scenario::diagnostic::Place;

/// Where resources of a kind are.
#[derive(Clone, Copy)]
enum Location {
    Global,
    Region,
    Zone,
    /// `locations/us-central1/…`, as newer APIs have it.
    Somewhere,
}

/// How the paths of a kind's resources end: `id` in the provider's documentation of each.
fn collection(kind: &str) -> Option<(Location, &'static str)> {
    use Location::{Global, Region, Somewhere, Zone};
    Some(match kind {
        "google_compute_network" => (Global, "networks"),
        "google_compute_subnetwork" => (Region, "subnetworks"),
        "google_compute_router" => (Region, "routers"),
        "google_compute_address" => (Region, "addresses"),
        "google_compute_global_address" => (Global, "addresses"),
        "google_compute_route" => (Global, "routes"),
        "google_compute_firewall" => (Global, "firewalls"),
        "google_compute_network_firewall_policy" => (Global, "firewallPolicies"),
        "google_compute_region_network_firewall_policy" => (Region, "firewallPolicies"),
        "google_compute_instance" => (Zone, "instances"),
        "google_compute_forwarding_rule" => (Region, "forwardingRules"),
        "google_compute_global_forwarding_rule" => (Global, "forwardingRules"),
        "google_compute_backend_service" => (Global, "backendServices"),
        "google_compute_region_backend_service" => (Region, "backendServices"),
        "google_compute_service_attachment" => (Region, "serviceAttachments"),
        "google_compute_region_network_endpoint_group" => (Region, "networkEndpointGroups"),
        "google_compute_vpn_gateway" => (Region, "targetVpnGateways"),
        "google_compute_ha_vpn_gateway" => (Region, "vpnGateways"),
        "google_compute_external_vpn_gateway" => (Global, "externalVpnGateways"),
        "google_compute_vpn_tunnel" => (Region, "vpnTunnels"),
        "google_compute_interconnect_attachment" => (Region, "interconnectAttachments"),
        "google_vpc_access_connector" => (Somewhere, "connectors"),
        "google_cloud_run_v2_service" => (Somewhere, "services"),
        "google_cloud_run_v2_job" => (Somewhere, "jobs"),
        "google_cloud_run_v2_worker_pool" => (Somewhere, "workerPools"),
        "google_cloudfunctions2_function" => (Somewhere, "functions"),
        _ => return None,
    })
}

impl<'w> Evaluator<'w> {
    /// The scope of an instance's own attributes.
    pub fn scope_of(&self, module: usize, resource: usize, instance: &Instance) -> Scope<'w> {
        let file = self.config(module).resources[resource].file;
        Scope { each: instance.each.clone(), count: instance.count.clone(), ..Scope::new(module, file) }
    }

    /// An attribute of an instance, computed once.
    pub fn resource_attribute(&mut self, handle: Handle, name: &'w str, at: Place) -> Value {
        let Handle { module, resource, instance, .. } = handle;
        let key = (resource, instance, name);
        match self.modules[module].attributes.get(&key) {
            Some(Slot::Done(value)) => return value.clone(),
            Some(Slot::Busy) => {
                let Declaration { kind, name: label, .. } = self.config(module).resources[resource];
                return self.cycle(&format!("`{kind}.{label}.{name}`"), at);
            }
            None => {}
        }
        self.modules[module].attributes.insert(key, Slot::Busy);
        let mut value = self.nested(|evaluator| evaluator.attribute_of(handle, name, at));
        if name == "name" && matches!(value, Value::Unknown(_)) {
            value = self.assumed_name(handle).unwrap_or(value);
        }
        self.modules[module].attributes.insert(key, Slot::Done(value.clone()));
        value
    }

    /// What a resource is called whose name is not known: whoever reads its block calls it so, too, and tells.
    fn assumed_name(&mut self, handle: Handle) -> Option<Value> {
        let Handle { module, resource, instance, .. } = handle;
        let declaration = self.config(module).resources[resource];
        if !resources::knows(declaration.kind) {
            return None;
        }
        let expansion = self.resource(module, resource);
        let address = self.address_of(module, declaration, expansion.instances.get(instance)?);
        Some(Value::from(address::fallback_name(&address)))
    }

    /// `module.network["a"].google_compute_subnetwork.apps[0]`.
    pub fn address_of(&self, module: usize, declaration: Declaration<'w>, instance: &Instance) -> String {
        let Declaration { kind, name, data, .. } = declaration;
        let data = if data { "data." } else { "" };
        format!("{}{data}{kind}.{name}{}", self.modules[module].address, instance.suffix)
    }

    fn attribute_of(&mut self, handle: Handle, name: &'w str, at: Place) -> Value {
        let Handle { module, resource, instance, .. } = handle;
        let declaration = self.config(module).resources[resource];
        let expansion = self.resource(module, resource);
        let Some(instance) = expansion.instances.get(instance) else {
            return Value::error("there is no such instance");
        };
        let scope = self.scope_of(module, resource, instance);
        let body = &declaration.block.body;
        if let Some(attribute) = body.get_attribute(name) {
            let value = self.eval(&attribute.value, &scope);
            if !matches!(value, Value::Null) {
                return value;
            }
        }
        if let Some(value) = self.blocks_value(body, name, &scope) {
            return value;
        }
        self.computed(handle, declaration, name, at)
    }

    /// An attribute that the block does not have.
    fn computed(&mut self, handle: Handle, declaration: Declaration<'w>, name: &'w str, at: Place) -> Value {
        let Declaration { kind, name: label, data, .. } = declaration;
        let not_known = || {
            let data = if data { "data." } else { "" };
            let when = if data.is_empty() { "known only after apply" } else { "read from Google Cloud" };
            Value::unknown(format!("`{data}{kind}.{label}.{name}` is {when}"))
        };
        if !kind.starts_with("google_") {
            return not_known();
        }
        match name {
            "name" if kind == "google_compute_firewall_policy" => self.resource_attribute(handle, "short_name", at),
            // A data source may be found by its link.
            "name" if data && declaration.block.body.has_attribute("self_link") => {
                let link = self.resource_attribute(handle, "self_link", at);
                let last = link.text().and_then(|link| link.rsplit('/').next().map(Value::from));
                last.unwrap_or(link)
            }
            "id" | "self_link" if kind == "google_project" => {
                match self.resource_attribute(handle, "project_id", at).text() {
                    Some(project) => Value::from(format!("projects/{project}")),
                    None => not_known(),
                }
            }
            "id" | "self_link" => self.path(handle, kind, at).unwrap_or_else(not_known),
            "project" | "region" | "zone" => {
                let provider = self.provider_of(handle.module, declaration);
                let default = match name {
                    "project" => &provider.project,
                    "region" => &provider.region,
                    _ => &provider.zone,
                };
                default.as_deref().map_or_else(not_known, Value::from)
            }
            "project_id" if data => {
                let provider = self.provider_of(handle.module, declaration);
                provider.project.as_deref().map_or_else(not_known, Value::from)
            }
            _ => not_known(),
        }
    }

    /// The path of a resource, or its name.
    fn path(&mut self, handle: Handle, kind: &'w str, at: Place) -> Option<Value> {
        let name = self.resource_attribute(handle, "name", at);
        let Some(name) = name.text() else { return matches!(name, Value::Unknown(_)).then_some(name) };
        let Some((location, words)) = collection(kind) else { return Some(Value::Text(name)) };
        let mut text = |attribute: &'w str| self.resource_attribute(handle, attribute, at).text();
        let place = match location {
            Location::Global => Some("global".to_owned()),
            Location::Region => text("region").map(|region| format!("regions/{region}")),
            Location::Zone => text("zone").map(|zone| format!("zones/{zone}")),
            Location::Somewhere => {
                text("location").or_else(|| text("region")).map(|location| format!("locations/{location}"))
            }
        };
        let Some(place) = place else { return Some(Value::Text(name)) };
        let project = text("project").map(|project| format!("projects/{project}/")).unwrap_or_default();
        Some(Value::from(format!("{project}{place}/{words}/{name}")))
    }

    /// Blocks of a body as an attribute: a list of objects.
    fn blocks_value(&mut self, body: &'w Body, name: &str, scope: &Scope<'w>) -> Option<Value> {
        let found: Vec<&'w Block> = body.blocks().filter(|block| named(block) == Some(name)).collect();
        if found.is_empty() {
            return None;
        }
        let mut items = Vec::new();
        for block in found {
            match self.repeated(block, scope) {
                Ok(bodies) => {
                    for (body, scope) in bodies {
                        items.push(self.nested(|evaluator| evaluator.object(body, &scope)));
                    }
                }
                Err(unknown) => return Some(unknown),
            }
        }
        Some(Value::list(items))
    }

    fn object(&mut self, body: &'w Body, scope: &Scope<'w>) -> Value {
        let mut entries: BTreeMap<Rc<str>, Value> = BTreeMap::new();
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let value = self.eval(&attribute.value, scope);
                    entries.insert(attribute.key.as_str().into(), value);
                }
                Structure::Block(block) => {
                    let Some(name) = named(block).filter(|name| !entries.contains_key(*name)) else { continue };
                    if let Some(value) = self.blocks_value(body, name, scope) {
                        entries.insert(name.into(), value);
                    }
                }
            }
        }
        Value::block(entries)
    }

    /// What a block stands for: itself, or one body for each item of a `dynamic` one.
    pub fn repeated(&mut self, block: &'w Block, scope: &Scope<'w>) -> Result<Vec<(&'w Body, Scope<'w>)>, Value> {
        if block.ident.as_str() != "dynamic" {
            return Ok(vec![(&block.body, scope.clone())]);
        }
        let each = block.body.get_attribute("for_each");
        let content = block.body.get_blocks("content").next();
        let (Some(each), Some(content), Some(label)) = (each, content, block.labels.first()) else {
            return Err(Value::error("a dynamic block lacks `for_each` or `content`"));
        };
        let iterator = match block.body.get_attribute("iterator").map(|attribute| &attribute.value) {
            Some(Expression::Variable(name)) => name.as_str(),
            _ => label.as_str(),
        };
        let collection = self.eval(&each.value, scope);
        let items = iterate(&collection)?;
        let mut bodies = Vec::with_capacity(items.len());
        for (key, value) in items {
            let object = Value::map(BTreeMap::from([("key".into(), key), ("value".into(), value)]));
            bodies.push((&content.body, scope.with(iterator, object)));
        }
        Ok(bodies)
    }

    /// The defaults of the provider that a resource uses.
    pub fn provider_of(&mut self, module: usize, declaration: Declaration<'w>) -> Rc<Provider> {
        let key = match declaration.block.body.get_attribute("provider") {
            Some(attribute) => provider_key(&attribute.value),
            None => declaration.kind.split('_').next().map(str::to_owned),
        };
        self.provider(module, &key.unwrap_or_default())
    }

    fn provider(&mut self, module: usize, key: &str) -> Rc<Provider> {
        match self.modules[module].providers.get(key) {
            Some(Slot::Done(provider)) => return provider.clone(),
            // A provider whose project is that of one of its resources: Terraform refuses it.
            Some(Slot::Busy) => return Rc::default(),
            None => {}
        }
        self.modules[module].providers.insert(key.to_owned(), Slot::Busy);
        let provider = self.provider_defaults(module, key);
        self.modules[module].providers.insert(key.to_owned(), Slot::Done(provider.clone()));
        provider
    }

    fn provider_defaults(&mut self, module: usize, key: &str) -> Rc<Provider> {
        if let Some(declared) = self.config(module).providers.get(key).copied() {
            let scope = Scope::new(module, declared.file);
            let mut text = |name| declared.attribute(name).and_then(|value| self.eval(value, &scope).text());
            let [project, region, zone] =
                ["project", "region", "zone"].map(|name| text(name).map(|text| text.to_string()));
            return Rc::new(Provider { project, region, zone });
        }
        let Some((call, scope)) = self.modules[module].caller.clone() else { return Rc::default() };
        // `providers = { google = google.europe }`
        if let Some(attribute) = call.block.body.get_attribute("providers")
            && let Some(passed) = attribute.value.as_object()
        {
            for (inner, outer) in passed {
                let inner = match inner {
                    hcl_edit::expr::ObjectKey::Ident(name) => Some(name.as_str().to_owned()),
                    hcl_edit::expr::ObjectKey::Expression(expression) => provider_key(expression),
                };
                if inner.as_deref() == Some(key)
                    && let Some(outer) = provider_key(outer.expr())
                {
                    return self.provider(scope.module, &outer);
                }
            }
        }
        // Only providers without an alias are inherited.
        if key.contains('.') { Rc::default() } else { self.provider(scope.module, key) }
    }
}

/// What a block is a block of.
pub(super) fn named(block: &Block) -> Option<&str> {
    match block.ident.as_str() {
        "dynamic" => block.labels.first().map(|label| label.as_str()),
        name => Some(name),
    }
}

/// `google`, `google.europe`.
fn provider_key(expression: &Expression) -> Option<String> {
    match expression {
        Expression::Variable(name) => Some(name.as_str().to_owned()),
        Expression::String(name) => Some(name.as_str().to_owned()),
        Expression::Traversal(traversal) => {
            let Expression::Variable(name) = &traversal.expr else { return None };
            match traversal.operators.first().map(|operator| operator.value()) {
                Some(TraversalOperator::GetAttr(alias)) => Some(format!("{}.{}", name.as_str(), alias.as_str())),
                _ => None,
            }
        }
        _ => None,
    }
}
