//! Paths that are in no routing table and cannot be removed: to Google's own services that speak to VMs, and to
//! endpoints of Private Service Connect for Google APIs.
//!
//! They come before every route, and do without any
//! (<https://docs.cloud.google.com/vpc/docs/routes#special_return_paths>, 2026). Private Google Access is not among them: it
//! needs a route to the default internet gateway.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::table::{Family, Ranges};
use crate::trace::info::{GoogleServiceType, Resource};

/// What a special path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Special {
    /// A service of Google's.
    Service(GoogleServiceType),
    /// An endpoint of Private Service Connect for Google APIs.
    Endpoint(Arc<PscEndpoint>),
}

/// An endpoint of Private Service Connect for Google APIs: a global forwarding rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PscEndpoint {
    /// The rule.
    pub rule: Resource,
    /// Its address, which is in no subnet.
    pub address: IpAddr,
    /// It serves the APIs that VPC Service Controls protect (`vpc-sc`), not all of them (`all-apis`).
    pub vpc_sc: bool,
}

impl PscEndpoint {
    /// The bundle of APIs.
    pub fn bundle(&self) -> &'static str {
        if self.vpc_sc { "vpc-sc" } else { "all-apis" }
    }
}

/// Load balancers and health checks, Identity-Aware Proxy, Cloud DNS and Serverless VPC Access, each with its words (the
/// page above; the ranges of health checks for IPv6 are those of <https://docs.cloud.google.com/load-balancing/docs/health-check-concepts#ip-ranges>,
/// 2026).
pub const SERVICES: [(&str, GoogleServiceType, &str); 7] = [
    ("35.191.0.0/16", GoogleServiceType::GfeProxyOrHealthCheckProber, "load balancers and health checks"),
    ("130.211.0.0/22", GoogleServiceType::GfeProxyOrHealthCheckProber, "load balancers and health checks"),
    ("2600:2d00:1:b029::/64", GoogleServiceType::GfeProxyOrHealthCheckProber, "load balancers and health checks"),
    ("2600:2d00:1:1::/64", GoogleServiceType::GfeProxyOrHealthCheckProber, "load balancers and health checks"),
    ("35.235.240.0/20", GoogleServiceType::Iap, "Identity-Aware Proxy"),
    ("35.199.192.0/19", GoogleServiceType::CloudDns, "Cloud DNS"),
    ("35.199.224.0/19", GoogleServiceType::ServerlessVpcAccess, "Serverless VPC Access"),
];

/// The ranges of one version of IP.
pub(super) fn services<P: Family>() -> Ranges<P, Special> {
    let mut services = Ranges::default();
    for &(range, service, _) in &SERVICES {
        let range: IpNet = range.parse().expect("the constants are ranges");
        if let Some(range) = P::of(range) {
            services.insert(range, Special::Service(service));
        }
    }
    services
}

/// A service in words.
pub fn service_words(service: GoogleServiceType) -> &'static str {
    SERVICES.iter().find(|(_, known, _)| *known == service).map_or("a Google service", |(.., words)| words)
}
