//! A gateway driven by hand: packets go in at set times, and what comes out is looked at, all of it.

use std::net::Ipv4Addr;
use std::time::Duration;

use egressim::node::nat::tcp::Timer;
use egressim::node::nat::{Behaviour, Config, EndpointConfig, Gateway, INSIDE, OUTSIDE};
use egressim::node::startup::Opening;
use egressim::sim::rng;
use egressim::time::SimTime;
use egressim::trace::{DropCause, Explain, PortId, Verdict};
use egressim::wire::{FiveTuple, Packet, Protocol};

use crate::common::headers::{Client, beyond_nat, checksum_sums};
use crate::packets::{Kind, ack, answer, first, vm};

/// The first NAT IP.
pub const NAT_IP: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// The first NAT IPs.
pub fn nat_ips(count: u8) -> Vec<Ipv4Addr> {
    (0..count).map(|index| Ipv4Addr::new(203, 0, 113, 10 + index)).collect()
}

/// One NAT IP, so many ports for each VM by static allocation, and Google's defaults.
pub fn ports(ports: u32) -> Config {
    Config { nat_ips: vec![NAT_IP], min_ports: ports, max_ports: ports, ..Config::default() }
}

/// The same with dynamic port allocation.
pub fn dynamic(min_ports: u32, max_ports: u32) -> Config {
    Config { min_ports, max_ports, dynamic: true, ..ports(min_ports) }
}

/// The same with another timeout.
pub fn with_timeout(timer: Timer, seconds: u64, mut config: Config) -> Config {
    config.timeouts[timer as usize] = Duration::from_secs(seconds);
    config
}

/// A point in time.
fn time(seconds: impl Into<f64>) -> SimTime {
    SimTime::from_nanos((seconds.into() * 1e9).round() as u64)
}

/// A gateway and a clock.
pub struct Nat {
    gateway: Gateway,
    now: SimTime,
}

impl Nat {
    /// A gateway with so many VMs, numbered from 0.
    pub fn new(config: Config, vms: u32) -> Nat {
        Nat::that_behaves(Behaviour::default(), config, vms)
    }

    /// The same where Google leaves something open.
    pub fn that_behaves(behaviour: Behaviour, config: Config, vms: u32) -> Nat {
        let mut gateway = Gateway::new("nat".into(), config, behaviour, rng::stream(1, "ports"));
        gateway.keep_log();
        gateway.keep_meters();
        let mut nat = Nat { gateway, now: SimTime::ZERO };
        (0..vms).for_each(|number| nat.add_vm(number));
        nat
    }

    /// A VM arrives.
    pub fn add_vm(&mut self, number: u32) {
        self.add_node(number, "");
    }

    /// A VM arrives that has alias ranges, as a GKE node has one for its pods.
    pub fn add_node(&mut self, number: u32, alias_ranges: &str) {
        self.gateway.add_endpoint(EndpointConfig {
            name: format!("vm-{number}").into(),
            address: vm(number),
            serves_primary: true,
            alias_ranges: alias_ranges.split_whitespace().map(|range| range.parse().expect("a range")).collect(),
            held: false,
            opens: Opening::OPEN,
        });
    }

    /// A VM is served no more.
    pub fn remove_vm(&mut self, number: u32) {
        let endpoint = self.gateway.endpoint_at(vm(number)).expect("it is served");
        self.gateway.remove_endpoint(endpoint, self.now);
    }

    /// Moves the clock, and does what is due until then.
    pub fn at(&mut self, seconds: impl Into<f64>) -> &mut Nat {
        let then = time(seconds);
        assert!(then >= self.now, "time does not go back");
        while self.gateway.next_timeout() <= then {
            self.gateway.handle_timeout(self.gateway.next_timeout());
        }
        self.now = then;
        self
    }

    /// Moves the clock by some milliseconds.
    pub fn after_ms(&mut self, ms: u64) -> &mut Nat {
        let then = self.now + Duration::from_millis(ms);
        self.at(then.as_secs_f64())
    }

    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Changes the configuration.
    pub fn reconfigure(&mut self, config: Config) {
        self.gateway.reconfigure(config, self.now);
    }

    /// The gateway as it is now: what has expired is gone.
    pub fn gateway(&mut self) -> &Gateway {
        self.gateway.settle(self.now);
        &self.gateway
    }

    /// What was logged since the last call: NAT IP and port of what was translated, `None` for what was dropped.
    pub fn log(&mut self) -> Vec<Option<(Ipv4Addr, u16)>> {
        self.gateway.take_log().into_iter().map(|event| event.outside).collect()
    }

    /// The inside sends a packet of a flow; the flow as it is outside, or why the packet was dropped.
    #[track_caller]
    pub fn send(&mut self, flow: FiveTuple, kind: Kind) -> Result<FiveTuple, DropCause> {
        self.leave(&kind(flow)).map(|packet| packet.five_tuple().expect("it is still one of the flow"))
    }

    /// The outside sends a packet back on a flow as it is outside; the flow as the inside gets it, or why it was
    /// dropped.
    #[track_caller]
    pub fn reply(&mut self, outside: FiveTuple, kind: Kind) -> Result<FiveTuple, DropCause> {
        self.enter(&kind(outside.reversed())).map(|packet| packet.five_tuple().expect("it is still one of the flow"))
    }

    /// Sends the first packet of a flow, lets it be answered and the answer be acknowledged: what it takes to open a
    /// TCP connection. The flow as it is outside.
    #[track_caller]
    pub fn open(&mut self, flow: FiveTuple) -> Result<FiveTuple, DropCause> {
        let outside = self.send(flow, first)?;
        assert_eq!(self.reply(outside, answer), Ok(flow.reversed()), "the answer comes back to who asked");
        if flow.protocol == Protocol::Tcp {
            assert_eq!(self.send(flow, ack), Ok(outside), "the ACK leaves as the SYN did");
        }
        Ok(outside)
    }

    /// A packet from inside, as it leaves.
    #[track_caller]
    pub fn leave(&mut self, packet: &Packet) -> Result<Packet, DropCause> {
        self.pass(packet, INSIDE, OUTSIDE, Client::Source)
    }

    /// A packet from outside, as it enters.
    #[track_caller]
    pub fn enter(&mut self, packet: &Packet) -> Result<Packet, DropCause> {
        self.pass(packet, OUTSIDE, INSIDE, Client::Destination)
    }

    #[track_caller]
    fn pass(&mut self, packet: &Packet, from: PortId, to: PortId, client: Client) -> Result<Packet, DropCause> {
        let mut passed = packet.clone();
        match self.gateway.handle_packet(&mut passed, from, self.now, &mut Explain::silent()) {
            Verdict::Forward(port, _) => assert_eq!(port, to, "what comes in at one side goes out at the other"),
            Verdict::Drop(cause) => return Err(cause),
            other => panic!("a gateway translates or drops, and answers nobody: {other:?}"),
        }
        assert_eq!(passed.ttl(), packet.ttl(), "Cloud NAT is no hop");
        if packet.five_tuple().is_some() {
            let rest = (beyond_nat(packet, client), beyond_nat(&passed, client));
            assert_eq!(rest.0, rest.1, "only the client's address and port, and the checksums, change");
            assert_eq!(
                checksum_sums(&passed),
                checksum_sums(packet),
                "checksums are as right or as wrong as they were"
            );
        }
        Ok(passed)
    }
}
