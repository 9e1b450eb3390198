//! Google's services, as a VPC network reaches them: APIs by Private Google Access and by Private Service Connect, and the
//! services behind special paths.
//!
//! All of them answer; which API it is, and whether the caller may, is not modelled. Port 0 leads to the network's routes, the
//! others to declared hosts (`location: google-api`).

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use ipnet::IpNet;
use prefix_trie::joint::map::JointPrefixMap;

use super::router::special::{self, PscEndpoint};
use super::startup::Stall;
use crate::time::SimTime;
use crate::trace::info::{DeliverInfo, DeliverTarget, GoogleServiceType};
use crate::trace::{DropCause, Explain, Memo, PortId, State, Verdict};
use crate::wire::Packet;

/// Towards the network's routes.
pub const ROUTES: PortId = PortId(0);

/// Google's services behind one VPC network.
#[derive(Debug)]
pub struct GoogleServices {
    services: JointPrefixMap<IpNet, GoogleServiceType>,
    endpoints: HashMap<IpAddr, Arc<PscEndpoint>, FixedState>,
    hosts: JointPrefixMap<IpNet, PortId>,
    /// New instances some of whose connections to APIs are not answered yet.
    stalls: HashMap<IpAddr, Stall, FixedState>,
}

impl Default for GoogleServices {
    fn default() -> Self {
        let range = |range: &str| range.parse::<IpNet>().expect("the constants are ranges");
        let services = special::SERVICES.iter().map(|&(text, service, _)| (range(text), service)).collect();
        GoogleServices {
            services,
            endpoints: HashMap::default(),
            hosts: JointPrefixMap::new(),
            stalls: HashMap::default(),
        }
    }
}

impl GoogleServices {
    /// Adds an endpoint of Private Service Connect for Google APIs.
    pub fn add_endpoint(&mut self, endpoint: Arc<PscEndpoint>) {
        self.endpoints.insert(endpoint.address, endpoint);
    }

    /// Packets to this range go through this port, to a host.
    pub fn add_host(&mut self, range: IpNet, port: PortId) {
        self.hosts.insert(range, port);
    }

    /// Some connections of a new instance to APIs are not answered for a time.
    pub fn stall(&mut self, instance: IpAddr, stall: Stall) {
        self.stalls.insert(instance, stall);
    }

    /// Whether there was such a stall for the instance with an address.
    pub fn has_stall(&self, instance: IpAddr) -> bool {
        self.stalls.contains_key(&instance)
    }

    /// The instance is gone.
    pub fn end_stall(&mut self, instance: IpAddr) {
        self.stalls.remove(&instance);
    }

    /// Until when the packets of a connection vanish here. Endpoints of Private Service Connect, and services that are no
    /// APIs, answer always.
    fn stalled_until(&self, packet: &Packet) -> Option<SimTime> {
        let stall = self.stalls.get(&packet.source())?;
        let until = stall.until(&packet.five_tuple()?)?;
        (self.service_at(packet.destination()) == GoogleServiceType::GoogleApi).then_some(until)
    }

    /// What answers at an address, in the words of a reply.
    pub fn service_at(&self, address: IpAddr) -> GoogleServiceType {
        if let Some(endpoint) = self.endpoints.get(&address) {
            return if endpoint.vpc_sc { GoogleServiceType::GoogleApiVpcSc } else { GoogleServiceType::GoogleApiPsc };
        }
        self.services.get_lpm(&address.into()).map_or(GoogleServiceType::GoogleApi, |(_, service)| *service)
    }

    /// What a trace delivers to at the endpoint with an address, if there is one.
    pub fn endpoint_at(&self, address: IpAddr) -> Option<DeliverInfo> {
        self.endpoints.contains_key(&address).then(|| self.delivery_at(address).1)
    }

    /// Where a packet to an address ends, with the sentence that says so.
    pub fn delivery_at(&self, address: IpAddr) -> (String, DeliverInfo) {
        if let Some(endpoint) = self.endpoints.get(&address) {
            let target = if endpoint.vpc_sc { DeliverTarget::PscVpcSc } else { DeliverTarget::PscGoogleApi };
            let bundle = endpoint.bundle();
            let info = DeliverInfo {
                resource: Some(endpoint.rule.clone()),
                psc_google_api_target: Some(bundle.into()),
                ..DeliverInfo::to(target, address)
            };
            return (format!("{address} is the Google API bundle {bundle}, reached by Private Service Connect"), info);
        }
        let to = |target, google_service| DeliverInfo {
            google_service: Some(google_service),
            ..DeliverInfo::to(target, address)
        };
        match self.services.get_lpm(&address.into()) {
            Some((_, &service)) => {
                let words = special::service_words(service);
                (format!("{address} belongs to {words}"), to(DeliverTarget::GoogleManagedService, service))
            }
            None => {
                let text = format!("{address} is a Google API, reached by Private Google Access, without NAT");
                (text, to(DeliverTarget::GoogleApi, GoogleServiceType::PrivateGoogleAccess))
            }
        }
    }

    /// Handles a packet that came through `from`.
    pub fn handle_packet(&mut self, packet: &mut Packet, from: PortId, now: SimTime, explain: &mut Explain) -> Verdict {
        if from != ROUTES {
            return Verdict::Forward(ROUTES, Memo::Pure);
        }
        if !self.stalls.is_empty()
            && let Some(until) = self.stalled_until(packet).filter(|until| *until > now)
        {
            explain.say(State::Drop, || {
                let (source, destination) = (packet.source(), packet.destination());
                format!(
                    "{destination} does not answer this connection of {source}, which has just started, before {until}"
                )
            });
            return Verdict::Drop(DropCause::SimEgressNotOpen);
        }
        let address = packet.destination();
        if let Some((_, &port)) = self.hosts.get_lpm(&address.into()) {
            return Verdict::Forward(port, Memo::Pure);
        }
        explain.say(State::Deliver, || self.delivery_at(address));
        Verdict::Deliver(Memo::Pure)
    }
}
