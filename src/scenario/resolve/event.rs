//! Timed changes of routes, and of tunnels and attachments.

use super::Resolver;
use crate::scenario::Change;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::file::compute::OperationalStatus;
use crate::scenario::file::simulation as file;
use crate::scenario::value::{At, Reference};

use super::hybrid::word;

impl Resolver<'_> {
    /// The change of an event that changes routing.
    pub(super) fn routing_change(&mut self, event: &At<file::Event>) -> Option<Change> {
        if let Some(patch) = &event.patch_vpn_tunnel {
            let tunnel = self.patched_tunnel(&patch.tunnel)?;
            return Some(Change::PatchVpnTunnel { tunnel, status: word(patch.set.status.value) });
        }
        if let Some(patch) = &event.patch_interconnect_attachment {
            return self.patched_attachment(patch);
        }
        if let Some(route) = &event.add_route {
            let resolved = self.route(route)?;
            if !self.lookups.present.insert((resolved.network, resolved.name.clone())) {
                let message = format!("there is a route `{}` already at this time", resolved.name);
                let help = "remove it by an earlier event, or choose another name";
                self.push(Diagnostic::unusable("duplicate-name", message).at(route.name.place).help(help));
            }
            return Some(Change::AddRoute(Box::new(resolved)));
        }
        self.removed_route(event.remove_route.as_ref()?)
    }

    /// A tunnel of the scenario, or one that a route names.
    pub(super) fn patched_tunnel(&mut self, reference: &At<Reference>) -> Option<usize> {
        if let Some(&assumed) = self.lookups.tunnels.get(reference.name()) {
            return Some(assumed);
        }
        let found = self.tunnels.lookup(reference, self.default_region.as_deref());
        self.ok(found).flatten()
    }

    fn patched_attachment(&mut self, patch: &At<file::PatchInterconnectAttachmentEvent>) -> Option<Change> {
        let reference = &patch.attachment;
        let attachment = match self.lookups.attachments.get(reference.name()) {
            Some(&assumed) => assumed,
            None => {
                let found = self.attachments.lookup(reference, self.default_region.as_deref());
                self.ok(found).flatten()?
            }
        };
        let set = &patch.set.value;
        if set.operational_status.is_none() && set.admin_enabled.is_none() && !self.is_lost(patch.place, "set") {
            let message = "nothing is set";
            let help = "add `operationalStatus:` or `adminEnabled:`";
            self.push(Diagnostic::unusable("missing-field", message).at(patch.set.place).help(help));
        }
        let status = set.operational_status.as_ref().map_or(OperationalStatus::OsActive, |status| status.value);
        Some(Change::PatchInterconnectAttachment {
            attachment,
            operational_status: word(status),
            admin_enabled: set.admin_enabled.as_ref().is_none_or(|enabled| enabled.value),
        })
    }

    fn removed_route(&mut self, removed: &At<file::RemoveRouteEvent>) -> Option<Change> {
        let network = match &removed.network {
            Some(network) => {
                let found = self.networks.lookup(network, None);
                Some(self.ok(found).flatten()?)
            }
            None => None,
        };
        let name = removed.route.name();
        let mut present: Vec<usize> = (self.lookups.present.iter())
            .filter(|(of, known)| known == name && network.is_none_or(|network| network == *of))
            .map(|(of, _)| *of)
            .collect();
        present.sort_unstable();
        match present[..] {
            [network] => {
                self.lookups.present.remove(&(network, name.to_owned()));
                return Some(Change::RemoveRoute { network, route: name.to_owned() });
            }
            [] => {
                let known = self.lookups.present.iter().map(|(_, name)| name.as_str());
                let help = match crate::scenario::decode::nearest(name, known) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "the automatic default route is called `default-route-NETWORK`".into(),
                };
                let message = format!("there is no route `{name}` at this time");
                let place = removed.route.place;
                self.push(Diagnostic::unusable("unknown-reference", message).at(place).help(help));
            }
            _ => {
                let networks: Vec<&str> = present.iter().map(|at| self.out.networks[*at].name.as_str()).collect();
                let message = format!("route `{name}` could be the one of {}", networks.join(" or of "));
                self.push(
                    Diagnostic::unusable("unknown-reference", message).at(removed.route.place).help("add `network:`"),
                );
            }
        }
        None
    }
}
