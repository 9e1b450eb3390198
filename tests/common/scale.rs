//! A scenario of the size that large platforms have: a thousand instances of ten services in three subnets of two regions,
//! behind two connectors or with Direct VPC egress, and any number of routes.

use std::fmt::Write as _;

/// Instances of all services.
pub const INSTANCES: usize = 1000;

const TUNNELS: usize = 20;

const FRAME: &str = "\
name: large
networks: [{name: vpc, routingConfig: {routingMode: GLOBAL}}]
subnetworks:
- {name: run-a, network: vpc, region: us-central1, ipCidrRange: 10.0.0.0/21}
- {name: run-b, network: vpc, region: us-central1, ipCidrRange: 10.0.8.0/21}
- {name: run-c, network: vpc, region: europe-west1, ipCidrRange: 10.0.16.0/21}
- {name: db-subnet, network: vpc, region: us-central1, ipCidrRange: 10.0.24.0/24}
connectors:
- {name: conn-us, region: us-central1, network: vpc, ipCidrRange: 10.8.0.0/28, machineType: e2-standard-4}
- {name: conn-eu, region: europe-west1, network: vpc, ipCidrRange: 10.8.0.16/28, machineType: e2-standard-4}
routers:
- name: router-us
  network: vpc
  region: us-central1
  nats:
  - {name: nat-us, natIpAllocateOption: AUTO_ONLY, minPortsPerVm: 512, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}
- name: router-eu
  network: vpc
  region: europe-west1
  nats:
  - {name: nat-eu, natIpAllocateOption: AUTO_ONLY, minPortsPerVm: 512, sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES}
hosts:
- {name: partner, address: 198.51.100.0/24, rtt: 40ms}
- {name: office, address: 172.16.0.9, location: on-prem, nextHop: tunnel-0, rtt: 20ms}
- {name: db, address: 10.0.24.9, location: vpc, network: vpc, rtt: 1ms}
";

/// The scenario with this many routes beside the default route, and ten seconds of load.
pub fn scenario(routes: usize) -> String {
    lasting(routes, 10)
}

/// The same with a load of so many seconds.
pub fn lasting(routes: usize, seconds: u32) -> String {
    let mut yaml = format!("duration: {}s\n{FRAME}", seconds + 10);
    yaml += "firewalls:\n- {name: allow-db, network: vpc, sourceRanges: [10.0.0.0/8], allowed: [{IPProtocol: tcp, ports: ['5432']}]}\n";
    for at in 0..50 {
        let _ = writeln!(
            yaml,
            "- {{name: deny-{at}, network: vpc, direction: EGRESS, priority: {}, destinationRanges: [192.0.2.{at}/32], denied: [{{IPProtocol: all}}]}}",
            800 + at
        );
    }
    yaml += "vpnTunnels:\n";
    for at in 0..TUNNELS {
        let region = ["us-central1", "europe-west1"][at % 2];
        let _ = writeln!(yaml, "- {{name: tunnel-{at}, region: {region}}}");
    }
    yaml += "routes:\n";
    for at in 0..routes {
        // The first leads to the office; the others to ranges of /16 to /24 around it, one in eight for tagged senders, half
        // of the rest learned by BGP.
        let (dest, hop) = match at {
            0 => ("172.16.0.0/24".to_owned(), 0),
            _ => {
                let length = 16 + at % 9;
                let third = (at / 64 % 256) >> (24 - length) << (24 - length);
                (format!("172.{}.{third}.0/{length}", 17 + at % 64), at % TUNNELS)
            }
        };
        let kind = match at % 8 {
            7 => ", tags: [web]",
            1 | 3 | 5 => ", routeType: BGP",
            _ => "",
        };
        let _ = writeln!(
            yaml,
            "- {{name: r{at}, network: vpc, destRange: {dest}, priority: {}, nextHopVpnTunnel: tunnel-{hop}{kind}}}",
            100 + at % 5
        );
    }
    let (mut services, mut traffic) = ("services:\n".to_owned(), "traffic:\n".to_owned());
    for at in 0..10 {
        let (region, way) = match at {
            0 | 1 => ("us-central1", "connector: conn-us".to_owned()),
            2 | 3 => ("europe-west1", "connector: conn-eu".to_owned()),
            4 | 5 => ("us-central1", direct("run-a")),
            6 | 7 => ("us-central1", direct("run-b")),
            _ => ("europe-west1", direct("run-c")),
        };
        let _ = writeln!(
            services,
            "- {{name: s{at}, region: {region}, instances: {}, template: {{vpcAccess: {{egress: ALL_TRAFFIC, {way}}}}}}}",
            INSTANCES / 10
        );
        // Half of them to the internet, a quarter each to the database and to the office.
        for (to, rate) in [(format!("198.51.100.{at}:443"), 50), ("db:5432".to_owned(), 25), ("office:443".into(), 25)]
        {
            let _ = writeln!(
                traffic,
                "- {{name: 's{at} to {to}', from: s{at}, to: '{to}', rate: {rate}/s, arrivals: constant, stop: {seconds}s, lifetime: 200ms}}"
            );
        }
    }
    yaml + &services + &traffic
}

fn direct(subnet: &str) -> String {
    format!("networkInterfaces: [{{network: vpc, subnetwork: {subnet}, tags: [web]}}]")
}
