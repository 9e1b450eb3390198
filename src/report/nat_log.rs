//! `nat_flows.jsonl`: Cloud NAT's log, one Cloud Logging `LogEntry` a line.
//!
//! Shape, field order and types follow a real entry of 2021, which differs from Google's example on
//! <https://cloud.google.com/nat/docs/monitoring> (read 2026-04): `protocol` is a number and the router is called
//! `router_name`. A `DROPPED` entry has neither `nat_ip` and `nat_port` nor entry labels, nor a reason, as in that page.
//! TCP and UDP only, outbound only, like Google's.
//!
//! Difference: no `destination.geo_location`, because simulated hosts are nowhere on Earth. Google also omits entries
//! for reasons it does not state; here every entry within the VM's budget and the filter is written.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::clock::WallClock;
use super::identity::{EndpointIdentity, GatewayIdentity};
use crate::scenario::{GeoLocation, LogFilter};

/// From `timestamp` to `receiveTimestamp`: 3.43 s, as in the observed entry. Others show 8 to 12 s; it varies.
pub const RECEIVE_DELAY: Duration = Duration::from_millis(3_430);

/// What Cloud NAT did with the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocation {
    /// A connection was created with this outside address and port.
    Ok {
        /// NAT IP.
        nat_ip: Ipv4Addr,
        /// Port on it.
        nat_port: u16,
    },
    /// No port was free, or the endpoint-independent one was taken.
    Dropped,
}

impl Allocation {
    /// Whether the filter lets such an event through.
    pub fn passes(self, filter: LogFilter) -> bool {
        match filter {
            LogFilter::All => true,
            LogFilter::ErrorsOnly => self == Allocation::Dropped,
            LogFilter::TranslationsOnly => self != Allocation::Dropped,
        }
    }
}

/// The protocols Cloud NAT logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoggedProtocol {
    /// 6
    Tcp,
    /// 17
    Udp,
}

impl LoggedProtocol {
    /// By IANA number; `None` for what is never logged, ICMP above all.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            6 => Some(LoggedProtocol::Tcp),
            17 => Some(LoggedProtocol::Udp),
            _ => None,
        }
    }

    /// IANA number.
    pub const fn number(self) -> u8 {
        match self {
            LoggedProtocol::Tcp => 6,
            LoggedProtocol::Udp => 17,
        }
    }
}

/// One event worth an entry.
#[derive(Debug, Clone, Copy)]
pub struct NatLogEntry<'a> {
    /// When, since the start of the run.
    pub at: Duration,
    /// What became of it.
    pub allocation: Allocation,
    /// TCP or UDP.
    pub protocol: LoggedProtocol,
    /// Inside address.
    pub src_ip: Ipv4Addr,
    /// Inside port.
    pub src_port: u16,
    /// Destination address.
    pub dest_ip: Ipv4Addr,
    /// Destination port.
    pub dest_port: u16,
    /// The gateway.
    pub gateway: &'a GatewayIdentity,
    /// The sender.
    pub endpoint: &'a EndpointIdentity,
    /// The receiver, as far as it is known.
    pub destination: Option<LoggedDestination<'a>>,
}

/// Who receives.
#[derive(Debug, Clone, Copy)]
pub enum LoggedDestination<'a> {
    /// A VM of the same project.
    Instance(&'a EndpointIdentity),
    /// Somebody on the internet, there.
    GeoLocation(&'a GeoLocation),
}

/// Writes entries as they happen.
#[derive(Debug)]
pub struct NatLogWriter<W> {
    out: W,
    clock: WallClock,
    insert_ids: InsertIds,
}

impl<W: Write> NatLogWriter<W> {
    /// Entries go to `out` at the clock's dates. The seed keeps the `insertId`s of two runs apart.
    pub fn new(out: W, clock: WallClock, seed: u64) -> Self {
        NatLogWriter { out, clock, insert_ids: InsertIds::new(seed) }
    }

    /// A line that is not written: those after it are the same as if it had been.
    pub fn skip(&mut self) {
        self.insert_ids.next_id();
    }

    /// Where lines go.
    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes one line. Budget and filter are the caller's: see [`LogBudget::record`].
    pub fn write(&mut self, entry: &NatLogEntry<'_>) -> io::Result<()> {
        let line = LogEntry::new(entry, self.clock, self.insert_ids.next_id());
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    /// Hands the output back.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// How many entries a VM may still write in the current second.
///
/// Google (<https://cloud.google.com/nat/docs/monitoring>, read 2026-04): a VM generates 50 to 100 entries a second and
/// vCPU, and events that the filter drops count as well. Over which interval the rate is taken is not said. Assumed:
/// whole seconds of the run, each with a fresh budget. A token bucket would differ only for bursts across the
/// boundary of two seconds.
#[derive(Debug, Clone)]
pub struct LogBudget {
    entries_per_second: u64,
    second: u64,
    spent: u64,
}

impl LogBudget {
    /// The budget of a VM with this many vCPUs: the product, rounded down, at least one entry a second.
    ///
    /// 100 entries a second and vCPU on 0.5 vCPU are 50; on 0.001 vCPU still 1.
    pub fn new(entries_per_second_per_vcpu: u32, vcpus: f64) -> Self {
        LogBudget {
            entries_per_second: ((f64::from(entries_per_second_per_vcpu) * vcpus) as u64).max(1),
            second: 0,
            spent: 0,
        }
    }

    /// Accounts for one event and says whether to write its entry. An event that the filter drops spends budget too.
    pub fn record(&mut self, at: Duration, allocation: Allocation, filter: LogFilter) -> bool {
        if at.as_secs() != self.second {
            self.second = at.as_secs();
            self.spent = 0;
        }
        let within_budget = self.spent < self.entries_per_second;
        self.spent += 1;
        within_budget && allocation.passes(filter)
    }
}

/// Cloud Logging tells entries apart by `insertId`: fourteen characters of base 36, different for every entry of a run.
#[derive(Debug)]
pub(super) struct InsertIds {
    run: u64,
    written: u64,
}

impl InsertIds {
    pub(super) fn new(seed: u64) -> Self {
        InsertIds { run: splitmix64(seed), written: 0 }
    }

    /// `splitmix64` is a bijection, so that distinct counts give distinct ids. 36^13 exceeds 2^64: thirteen digits hold it.
    pub(super) fn next_id(&mut self) -> String {
        let mut rest = splitmix64(self.run ^ self.written);
        self.written += 1;
        let mut id = [b'1'; 14];
        for digit in id[1..].iter_mut().rev() {
            *digit = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
        }
        id.map(char::from).iter().collect()
    }
}

/// Steele, Lea and Flood's mixing function, 2014.
const fn splitmix64(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

// The entry as it is written. Fields stand in the order of the observed entry.

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry<'a> {
    insert_id: String,
    json_payload: Payload<'a>,
    resource: Resource<'a>,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<Labels<'a>>,
    log_name: String,
    receive_timestamp: String,
}

#[derive(Serialize)]
struct Payload<'a> {
    vpc: Vpc<'a>,
    connection: Connection,
    endpoint: Instance<'a>,
    gateway_identifiers: GatewayIdentifiers<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<Destination<'a>>,
    allocation_status: &'static str,
}

#[derive(Serialize)]
struct Vpc<'a> {
    subnetwork_name: &'a str,
    vpc_name: &'a str,
    project_id: &'a str,
}

#[derive(Serialize)]
struct Connection {
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_ip: Option<Ipv4Addr>,
    src_port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    nat_port: Option<u16>,
    dest_port: u16,
    protocol: u8,
    src_ip: Ipv4Addr,
    dest_ip: Ipv4Addr,
}

#[derive(Serialize)]
struct Instance<'a> {
    zone: &'a str,
    project_id: &'a str,
    region: &'a str,
    vm_name: &'a str,
}

#[derive(Serialize)]
struct GatewayIdentifiers<'a> {
    region: &'a str,
    gateway_name: &'a str,
    router_name: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Destination<'a> {
    Instance { instance: Instance<'a>, vpc: Vpc<'a> },
    Internet { geo_location: GeoLocationFields<'a> },
}

/// The number of the autonomous system is a number, though Google's page calls it a string.
#[derive(Serialize)]
struct GeoLocationFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    asn: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    continent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<&'a str>,
}

impl<'a> From<LoggedDestination<'a>> for Destination<'a> {
    fn from(destination: LoggedDestination<'a>) -> Self {
        match destination {
            LoggedDestination::Instance(vm) => Destination::Instance { instance: Instance::of(vm), vpc: Vpc::of(vm) },
            LoggedDestination::GeoLocation(place) => Destination::Internet {
                geo_location: GeoLocationFields {
                    country: place.country.as_deref(),
                    asn: place.asn,
                    continent: place.continent.as_deref(),
                    region: place.region.as_deref(),
                    city: place.city.as_deref(),
                },
            },
        }
    }
}

#[derive(Serialize)]
struct Resource<'a> {
    r#type: &'static str,
    labels: ResourceLabels<'a>,
}

#[derive(Serialize)]
struct ResourceLabels<'a> {
    region: &'a str,
    gateway_name: &'a str,
    #[serde(serialize_with = "as_string")]
    router_id: u64,
    project_id: &'a str,
}

#[derive(Serialize)]
struct Labels<'a> {
    #[serde(rename = "nat.googleapis.com/instance_zone")]
    instance_zone: &'a str,
    #[serde(rename = "nat.googleapis.com/network_name")]
    network_name: &'a str,
    #[serde(rename = "nat.googleapis.com/subnetwork_name")]
    subnetwork_name: &'a str,
    #[serde(rename = "nat.googleapis.com/router_name")]
    router_name: &'a str,
    #[serde(rename = "nat.googleapis.com/instance_name")]
    instance_name: &'a str,
    #[serde(rename = "nat.googleapis.com/nat_ip")]
    nat_ip: Ipv4Addr,
}

pub(super) fn as_string<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

impl<'a> LogEntry<'a> {
    fn new(entry: &NatLogEntry<'a>, clock: WallClock, insert_id: String) -> Self {
        let NatLogEntry { gateway, endpoint, .. } = *entry;
        let (outside, allocation_status) = match entry.allocation {
            Allocation::Ok { nat_ip, nat_port } => (Some((nat_ip, nat_port)), "OK"),
            Allocation::Dropped => (None, "DROPPED"),
        };
        LogEntry {
            insert_id,
            json_payload: Payload {
                vpc: Vpc::of(endpoint),
                connection: Connection {
                    nat_ip: outside.map(|(ip, _)| ip),
                    src_port: entry.src_port,
                    nat_port: outside.map(|(_, port)| port),
                    dest_port: entry.dest_port,
                    protocol: entry.protocol.number(),
                    src_ip: entry.src_ip,
                    dest_ip: entry.dest_ip,
                },
                endpoint: Instance::of(endpoint),
                gateway_identifiers: GatewayIdentifiers {
                    region: &gateway.region,
                    gateway_name: &gateway.gateway,
                    router_name: &gateway.router,
                },
                destination: entry.destination.map(Destination::from),
                allocation_status,
            },
            resource: Resource {
                r#type: "nat_gateway",
                labels: ResourceLabels {
                    region: &gateway.region,
                    gateway_name: &gateway.gateway,
                    router_id: gateway.router_id(),
                    project_id: &gateway.project_id,
                },
            },
            timestamp: clock.nanos(entry.at).to_string(),
            labels: outside.map(|(nat_ip, _)| Labels {
                instance_zone: &endpoint.zone,
                network_name: &endpoint.network,
                subnetwork_name: &endpoint.subnetwork,
                router_name: &gateway.router,
                instance_name: &endpoint.vm_name,
                nat_ip,
            }),
            log_name: format!("projects/{}/logs/compute.googleapis.com%2Fnat_flows", gateway.project_id),
            receive_timestamp: clock.nanos(entry.at + RECEIVE_DELAY).to_string(),
        }
    }
}

impl<'a> Vpc<'a> {
    fn of(vm: &'a EndpointIdentity) -> Self {
        Vpc { subnetwork_name: &vm.subnetwork, vpc_name: &vm.network, project_id: &vm.network_project_id }
    }
}

impl<'a> Instance<'a> {
    fn of(vm: &'a EndpointIdentity) -> Self {
        Instance { zone: &vm.zone, project_id: &vm.project_id, region: &vm.region, vm_name: &vm.vm_name }
    }
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::{endpoint, gateway};
    use super::*;

    const TRANSLATED: Allocation = Allocation::Ok { nat_ip: Ipv4Addr::new(203, 0, 113, 9), nat_port: 1026 };

    fn written(allocation: Allocation, destination: Option<LoggedDestination<'_>>) -> String {
        let (gateway, endpoint) = (gateway(), endpoint("web-1"));
        let mut writer = NatLogWriter::new(Vec::new(), WallClock::default(), 1);
        let entry = NatLogEntry {
            at: Duration::from_millis(250),
            allocation,
            protocol: LoggedProtocol::Tcp,
            src_ip: Ipv4Addr::new(10, 20, 0, 5),
            src_port: 51_022,
            dest_ip: Ipv4Addr::new(198, 51, 100, 40),
            dest_port: 443,
            gateway: &gateway,
            endpoint: &endpoint,
            destination,
        };
        writer.write(&entry).expect("a vector takes everything");
        String::from_utf8(writer.into_inner()).expect("JSON is UTF-8")
    }

    #[test]
    fn a_translation_has_the_observed_fields_in_the_observed_order() {
        insta::assert_snapshot!(written(TRANSLATED, None), @r#"{"insertId":"11flnqtjef3kf2","jsonPayload":{"vpc":{"subnetwork_name":"sub-a","vpc_name":"vpc-a","project_id":"demo-net"},"connection":{"nat_ip":"203.0.113.9","src_port":51022,"nat_port":1026,"dest_port":443,"protocol":6,"src_ip":"10.20.0.5","dest_ip":"198.51.100.40"},"endpoint":{"zone":"us-east4-b","project_id":"demo-app","region":"us-east4","vm_name":"web-1"},"gateway_identifiers":{"region":"us-east4","gateway_name":"nat-a","router_name":"rtr-a"},"allocation_status":"OK"},"resource":{"type":"nat_gateway","labels":{"region":"us-east4","gateway_name":"nat-a","router_id":"8410554333845961763","project_id":"demo-net"}},"timestamp":"2026-10-01T00:00:00.250000000Z","labels":{"nat.googleapis.com/instance_zone":"us-east4-b","nat.googleapis.com/network_name":"vpc-a","nat.googleapis.com/subnetwork_name":"sub-a","nat.googleapis.com/router_name":"rtr-a","nat.googleapis.com/instance_name":"web-1","nat.googleapis.com/nat_ip":"203.0.113.9"},"logName":"projects/demo-net/logs/compute.googleapis.com%2Fnat_flows","receiveTimestamp":"2026-10-01T00:00:03.680000000Z"}"#);
    }

    #[test]
    fn a_drop_names_no_outside_address_and_has_no_labels() {
        insta::assert_snapshot!(written(Allocation::Dropped, Some(LoggedDestination::Instance(&endpoint("db-1")))), @r#"{"insertId":"11flnqtjef3kf2","jsonPayload":{"vpc":{"subnetwork_name":"sub-a","vpc_name":"vpc-a","project_id":"demo-net"},"connection":{"src_port":51022,"dest_port":443,"protocol":6,"src_ip":"10.20.0.5","dest_ip":"198.51.100.40"},"endpoint":{"zone":"us-east4-b","project_id":"demo-app","region":"us-east4","vm_name":"web-1"},"gateway_identifiers":{"region":"us-east4","gateway_name":"nat-a","router_name":"rtr-a"},"destination":{"instance":{"zone":"us-east4-b","project_id":"demo-app","region":"us-east4","vm_name":"db-1"},"vpc":{"subnetwork_name":"sub-a","vpc_name":"vpc-a","project_id":"demo-net"}},"allocation_status":"DROPPED"},"resource":{"type":"nat_gateway","labels":{"region":"us-east4","gateway_name":"nat-a","router_id":"8410554333845961763","project_id":"demo-net"}},"timestamp":"2026-10-01T00:00:00.250000000Z","logName":"projects/demo-net/logs/compute.googleapis.com%2Fnat_flows","receiveTimestamp":"2026-10-01T00:00:03.680000000Z"}"#);
    }

    /// Every field's path, in order of appearance.
    fn fields(value: &serde_json::Value, path: &str, found: &mut Vec<String>) {
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}/{key}");
            fields(value, &path, found);
            found.push(path);
        }
    }

    #[test]
    fn the_fields_are_those_of_a_real_entry() {
        let Some(data) = std::env::var_os("EGRESSIM_DATA") else {
            eprintln!("skipped: EGRESSIM_DATA is not set");
            return;
        };
        let path = std::path::Path::new(&data).join("cloud-nat/log-entry-ok.json");
        let real = std::fs::read_to_string(path).expect("the data folder has the entry");
        let paths = |entry: &str| {
            let entry = serde_json::from_str(entry).expect("an entry is JSON");
            let mut found = Vec::new();
            fields(&entry, "", &mut found);
            found
        };
        let place = GeoLocation {
            continent: Some("America".into()),
            country: Some("usa".into()),
            asn: Some(13_335),
            ..GeoLocation::default()
        };
        let ours = written(TRANSLATED, Some(LoggedDestination::GeoLocation(&place)));
        assert_eq!(paths(&ours), paths(&real));
    }

    #[test]
    fn insert_ids_repeat_with_the_seed_and_never_within_a_run() {
        let ids = |seed| {
            let mut ids = InsertIds::new(seed);
            (0..1000).map(|_| ids.next_id()).collect::<Vec<_>>()
        };
        let unique: std::collections::BTreeSet<_> = ids(1).into_iter().collect();
        assert_eq!(unique.len(), 1000);
        assert_eq!(ids(1), ids(1));
        assert_ne!(ids(1), ids(2));
    }

    #[test]
    fn a_second_takes_the_budget_and_the_next_starts_afresh() {
        let mut budget = LogBudget::new(100, 2.0);
        let in_second = |budget: &mut LogBudget, second: u64| {
            (0..300)
                .filter(|i| {
                    let at = Duration::from_secs(second) + Duration::from_millis(*i);
                    budget.record(at, TRANSLATED, LogFilter::All)
                })
                .count()
        };
        // 100 a second and vCPU x 2 vCPU = 200 of the 300.
        assert_eq!(in_second(&mut budget, 0), 200);
        assert_eq!(in_second(&mut budget, 1), 200);
    }

    #[test]
    fn events_that_the_filter_drops_spend_budget_too() {
        let mut budget = LogBudget::new(2, 1.0);
        let at = Duration::ZERO;
        assert!(!budget.record(at, TRANSLATED, LogFilter::ErrorsOnly));
        assert!(budget.record(at, Allocation::Dropped, LogFilter::ErrorsOnly));
        assert!(!budget.record(at, Allocation::Dropped, LogFilter::ErrorsOnly));
    }

    #[test]
    fn a_sliver_of_a_vcpu_still_writes_an_entry_a_second() {
        let mut budget = LogBudget::new(100, 0.001);
        assert!(budget.record(Duration::ZERO, TRANSLATED, LogFilter::TranslationsOnly));
        assert!(!budget.record(Duration::ZERO, TRANSLATED, LogFilter::TranslationsOnly));
    }

    #[test]
    fn only_tcp_and_udp_are_logged() {
        assert_eq!(LoggedProtocol::from_number(6), Some(LoggedProtocol::Tcp));
        assert_eq!(LoggedProtocol::from_number(17), Some(LoggedProtocol::Udp));
        assert_eq!(LoggedProtocol::from_number(1), None);
    }
}
