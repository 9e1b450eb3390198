//! What a resource of a plan is called by others: its name, its path, its project; and what its provider adds.

use super::resolve::{MAX_DEPTH, Resolver, text};
use crate::scenario::import::terraform::Provider;
use crate::scenario::import::terraform::address::{Step, fallback_name, steps};
use crate::scenario::tree::Node;

impl<'p> Resolver<'p> {
    /// The name of a resource, if need be the one it is called by here.
    pub fn name(&self, at: usize) -> String {
        let instance = &self.instances[at];
        text(&instance.values, "name").map_or_else(|| fallback_name(&instance.address), str::to_owned)
    }

    /// The path of a resource, as far as it is known; nothing for types that are not referred to by one.
    pub fn path(&self, at: usize) -> Option<String> {
        let instance = &self.instances[at];
        let name = || self.name(at);
        let (scope, collection) = match instance.kind.as_str() {
            "google_compute_network" => ("global", "networks"),
            "google_compute_global_address" => ("global", "addresses"),
            "google_compute_global_forwarding_rule" => ("global", "forwardingRules"),
            "google_compute_subnetwork" => ("regions", "subnetworks"),
            "google_compute_address" => ("regions", "addresses"),
            "google_compute_router" => ("regions", "routers"),
            "google_compute_forwarding_rule" => ("regions", "forwardingRules"),
            "google_compute_service_attachment" => ("regions", "serviceAttachments"),
            "google_compute_vpn_tunnel" => ("regions", "vpnTunnels"),
            "google_compute_interconnect_attachment" => ("regions", "interconnectAttachments"),
            "google_compute_instance" => ("zones", "instances"),
            "google_vpc_access_connector" => ("locations", "connectors"),
            "google_compute_router_nat" | "google_compute_router_interface" => return Some(name()),
            kind if kind.starts_with("google_compute_") && kind.contains("firewall_policy") => return Some(name()),
            // Google gives these a number.
            "google_folder" => return Some(format!("folders/{}", fallback_name(&instance.address))),
            "google_tags_tag_value" => return Some(format!("tagValues/{}", fallback_name(&instance.address))),
            "google_tags_tag_key" => return Some(format!("tagKeys/{}", fallback_name(&instance.address))),
            _ => return None,
        };
        let project = self.project(at);
        let within = if scope == "global" {
            Some("global".to_owned())
        } else {
            let own = text(&instance.values, if scope == "zones" { "zone" } else { "region" });
            let provider = self.provider(at);
            let given = if scope == "zones" { provider.zone.as_deref() } else { provider.region() };
            let place = own.or(given).map(|place| place.rsplit('/').next().unwrap_or(place));
            place.map(|place| format!("{scope}/{place}"))
        };
        Some(match (project, within) {
            (Some(project), Some(within)) => format!("projects/{project}/{within}/{collection}/{}", name()),
            (None, Some(within)) if scope != "locations" => format!("{within}/{collection}/{}", name()),
            _ => name(),
        })
    }

    pub fn project(&self, at: usize) -> Option<String> {
        let own = text(&self.instances[at].values, "project").map(str::to_owned);
        own.or_else(|| self.provider(at).project)
    }

    /// The defaults of the provider that makes an instance.
    pub fn provider(&self, at: usize) -> Provider {
        let Some(key) = self.resource(at).and_then(|resource| text(resource, "provider_config_key")) else {
            return Provider::default();
        };
        if let Some(provider) = self.providers.borrow().get(key) {
            return provider.clone();
        }
        // A module without providers of its own has those of its caller.
        let bare = key.rsplit(':').next().unwrap_or(key);
        let configured = self.configuration.providers.get(key).or_else(|| self.configuration.providers.get(bare));
        let mut provider = Provider::default();
        if let Some(configured) = configured {
            let module = text(configured, "module_address").unwrap_or_default();
            let value = |field: &str| {
                let expression = configured.at_path(&["expressions", field])?;
                self.constant(expression, module, 0).map(str::to_owned)
            };
            // An expression such as `"${var.continent}-west1"` shows a reference only: what is no region is part of one.
            let ends = |text: &String, digit: bool| {
                text.contains('-')
                    && text.ends_with(|c: char| if digit { c.is_ascii_digit() } else { c.is_ascii_alphabetic() })
            };
            provider.project = value("project").filter(|project| !project.contains("{{"));
            provider.region = value("region").filter(|region| ends(region, true));
            provider.zone = value("zone").filter(|zone| ends(zone, false));
        }
        self.providers.borrow_mut().insert(key.to_owned(), provider.clone());
        provider
    }

    /// The text of an expression that is a constant or one variable.
    fn constant(&self, expression: &'p Node, module: &str, depth: usize) -> Option<&'p str> {
        if let Some(constant) = expression.get("constant_value") {
            return constant.text().filter(|text| !text.is_empty());
        }
        let [only] = expression.get("references")?.items() else { return None };
        let parts = steps(only.text()?);
        let [Step { name: "var", .. }, Step { name: variable, key: "" }] = parts.as_slice() else { return None };
        if module.is_empty() {
            return self.configuration.variable(variable).filter(|node| !node.is_null())?.text();
        }
        let (caller, argument) = self.argument(module, variable).filter(|_| depth < MAX_DEPTH)?;
        self.constant(argument, &caller.module, depth + 1)
    }
}
