//! How packets leave Google Cloud Run: a packet-level simulator.
//!
//! A [scenario] describes Google Cloud resources in the shape of their REST APIs: networks, routes, firewall rules,
//! Cloud NAT gateways, connectors, Cloud Run workloads. From it comes a [network] of stations, and real packets walk
//! through them in virtual time: which way do they leave, which address and port do they wear outside, and why do the
//! unlucky ones vanish?
//!
//! Simulated: `private-ranges-only` and `all-traffic`; Serverless VPC Access connectors, how they grow, and Direct VPC egress;
//! VPC firewall rules and policies; routes in the whole order that Google documents, with peering, policy-based and dynamic
//! routes, VPN tunnels and Interconnect attachments, internal load balancers, Private Service Connect and Private Google
//! Access; Public NAT with its port blocks, rules, mappings, timers and shortages; TCP, UDP and ICMP over IPv4, and over IPv6
//! where Cloud Run has it; links and hosts that are not what they should be.
//!
//! Not simulated: Private NAT, Network Connectivity Center, autoscaling by CPU, what DNS answers. What a scenario may hold and the
//! simulator leaves out is a warning `not-simulated`; the README has the whole list.
//!
//! # Modules
//!
//! A packet's way, from bytes to report:
//!
//! | module | is |
//! |---|---|
//! | [`wire`] | bytes and what they mean: packets, flows, rewriting |
//! | [`time`] | simulated time |
//! | [`distribution`] | random numbers of a distribution, from uniform ones |
//! | [`trace`] | the words for what happened: verdicts, drop causes, steps |
//! | [`node`] | one file a station: instance, connector, firewall, routes, Cloud NAT, the far sides |
//! | [`topology`] | which station is linked to which |
//! | [`sim`] | the engine: the walk of a packet, the queue of events, randomness |
//! | [`scenario`] | what the user wrote, or exported and [imported](scenario::import), checked |
//! | [`addresses`], [`network`] | from a scenario to stations and links, and what changes while they run |
//! | [`capture`] | pcap and pcapng, in and out |
//! | [`traffic`] | who sends: the scenario's load, replayed captures |
//! | [`simulation`], [`probe`], [`recording`] | a run, one traced packet, the output files |
//! | [`diagnose`] | why connections fail, and which changes end it |
//! | [`mod@bench`] | runs of one scenario with several Cloud NAT settings |
//! | [`report`] | the summary, its text, logs and metrics in Google's shapes |
//! | [`cli`] | the program |
//!
//! # Example
//!
//! An instance opens a hundred connections to one endpoint at once. Its address has 64 NAT ports, so 64 succeed. The
//! others try again until the application gives up, and by then no port is free: a closed connection bars its port for
//! 30 seconds.
//!
//! ```
//! use std::ops::ControlFlow;
//!
//! use egressim::scenario::load::{Source, load};
//! use egressim::simulation;
//!
//! let text = r#"
//! networks: [{name: vpc}]
//! subnetworks: [{name: apps, network: vpc, region: us-central1, ipCidrRange: 10.9.0.0/26}]
//! addresses: [{name: nat-ip, region: us-central1, address: 203.0.113.10}]
//! routers:
//! - name: router
//!   network: vpc
//!   region: us-central1
//!   nats:
//!   - name: gateway
//!     natIpAllocateOption: MANUAL_ONLY
//!     natIps: [nat-ip]
//!     sourceSubnetworkIpRangesToNat: ALL_SUBNETWORKS_ALL_IP_RANGES
//!     minPortsPerVm: 64
//! services:
//! - name: api
//!   region: us-central1
//!   template:
//!     vpcAccess: {networkInterfaces: [{network: vpc, subnetwork: apps}], egress: ALL_TRAFFIC}
//! hosts: [{name: partner, address: 198.51.100.7, ports: [443]}]
//! traffic: [{from: api, to: "partner:443", count: 100, connectTimeout: 5s}]
//! "#;
//! let loaded = load(Source::Text { name: "burst.yaml", text });
//! let scenario = loaded.scenario.expect("the scenario has no errors");
//!
//! let summary = simulation::run(&scenario, None, &mut |_| ControlFlow::Continue(()))?;
//! assert_eq!(summary.connections.established, 64);
//! assert_eq!(summary.connections.failed_by["OUT_OF_RESOURCES"], 36);
//!
//! let shortage = &summary.gateways[0].exhaustions[0];
//! assert_eq!((shortage.endpoint.as_str(), shortage.limit.as_str()), ("api-1", "vm-ports"));
//! # Ok::<(), egressim::recording::RecordingError>(())
//! ```

pub mod addresses;
pub mod bench;
pub mod capture;
pub mod cli;
pub mod diagnose;
pub mod distribution;
pub mod network;
pub mod node;
pub mod probe;
pub mod recording;
pub mod report;
pub mod scenario;
pub mod sim;
pub mod simulation;
pub mod time;
pub mod topology;
pub mod trace;
pub mod traffic;
pub mod wire;
