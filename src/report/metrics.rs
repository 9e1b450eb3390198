//! `metrics.jsonl`: Cloud NAT's metrics, one Cloud Monitoring `TimeSeries` with a single point a line.
//!
//! Names, kinds, units and labels are those of <https://cloud.google.com/nat/docs/monitoring> (read 2026-04), in both
//! families: `router.googleapis.com/nat/*` on the gateway and `compute.googleapis.com/nat/*` on each VM. The engine
//! hands over running totals; this module remembers the last ones and writes what was added since.
//!
//! Difference: a protocol's series begin with the first sample in which the protocol was used and go on from there,
//! zeros included. Google does not say when a series begins.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde::Serialize;

use super::clock::WallClock;
use super::identity::{EndpointIdentity, GatewayIdentity};

/// How often Google samples, and how often the engine should.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(60);

/// Values of the label `ip_protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum IpProtocol {
    /// `TCP`
    Tcp,
    /// `UDP`
    Udp,
    /// `ICMP`
    Icmp,
}

impl IpProtocol {
    const fn label(self) -> &'static str {
        match self {
            IpProtocol::Tcp => "TCP",
            IpProtocol::Udp => "UDP",
            IpProtocol::Icmp => "ICMP",
        }
    }
}

/// One protocol of one endpoint: two present values, then running totals since the endpoint came to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProtocolSample {
    /// Most connections to one destination address and port at this moment.
    pub port_usage: u64,
    /// Connections at this moment.
    pub open_connections: u64,
    /// Connections created.
    pub new_connections: u64,
    /// Connections that ended.
    pub closed_connections: u64,
    /// IP bytes translated on their way out.
    pub sent_bytes: u64,
    /// IP bytes translated on their way in.
    pub received_bytes: u64,
    /// Packets translated on their way out.
    pub sent_packets: u64,
    /// Packets translated on their way in.
    pub received_packets: u64,
    /// Packets dropped on their way out for lack of a port.
    pub dropped_out_of_resources: u64,
    /// Packets dropped on their way out because the endpoint-independent mapping was taken.
    pub dropped_endpoint_independence_conflict: u64,
    /// Packets dropped on their way in to one of the endpoint's ports.
    pub dropped_received_packets: u64,
}

/// One endpoint at the moment of the sample.
#[derive(Debug, Clone)]
pub struct EndpointSample<'a> {
    /// Endpoints with the same project, zone and name (the addresses of one VM) share one series.
    pub endpoint: &'a EndpointIdentity,
    /// Ports by NAT IP; an address may come several times.
    pub allocated_ports: Vec<(Ipv4Addr, u64)>,
    /// The protocols it has used so far.
    pub protocols: BTreeMap<IpProtocol, ProtocolSample>,
}

/// One gateway at the moment of the sample.
#[derive(Debug, Clone)]
pub struct GatewaySample<'a> {
    /// The gateway.
    pub gateway: &'a GatewayIdentity,
    /// Whether some endpoint did not get its ports.
    pub nat_allocation_failed: bool,
    /// Running total of packets from outside to ports that belong to no endpoint.
    pub dropped_received_elsewhere: BTreeMap<IpProtocol, u64>,
    /// Its endpoints. One that went away since the last sample is listed once more, with no ports and its final
    /// totals: otherwise its last packets are counted nowhere.
    pub endpoints: Vec<EndpointSample<'a>>,
}

/// Writes samples as they are taken.
#[derive(Debug)]
pub struct MetricsWriter<W> {
    out: W,
    clock: WallClock,
    last_sample: Duration,
    totals: BTreeMap<TotalsKey, ProtocolSample>,
}

/// Router number, gateway name, and the VM's number or `None` for ports that belong to no endpoint.
type TotalsKey = (u64, String, Option<u64>, IpProtocol);

impl<W: Write> MetricsWriter<W> {
    /// Points go to `out` at the clock's dates. Counting starts at time 0.
    pub fn new(out: W, clock: WallClock) -> Self {
        MetricsWriter {
            out,
            clock,
            last_sample: Duration::ZERO,
            totals: BTreeMap::new(),
        }
    }

    /// Writes all series of all gateways, each with its point of this moment. Samples come in order of time.
    pub fn write(&mut self, at: Duration, gateways: &[GatewaySample<'_>]) -> io::Result<()> {
        for sample in gateways {
            let (gateway, vms) = self.readings_since_last_sample(sample);
            let failed = sample.nat_allocation_failed;
            let mut series = self.series(Resource::gateway(sample.gateway), at);
            series.gauge(
                "nat_allocation_failed",
                None,
                Unit::None,
                Value::BoolValue(failed),
            )?;
            series.readings(&gateway)?;
            for (vm, readings) in &vms {
                self.series(Resource::vm(vm, sample.gateway), at)
                    .readings(readings)?;
            }
        }
        self.last_sample = at;
        Ok(())
    }

    /// Hands the output back.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// The gateway's readings, which are the sum of its parts', and each VM's.
    fn readings_since_last_sample<'a>(
        &mut self,
        sample: &GatewaySample<'a>,
    ) -> (Readings, Vec<(&'a EndpointIdentity, Readings)>) {
        let router = sample.gateway.router_id();
        let name = &sample.gateway.gateway;

        let mut vms: Vec<(&EndpointIdentity, Readings)> = Vec::new();
        for endpoint in &sample.endpoints {
            let id = endpoint.endpoint.instance_id();
            let readings = Readings::of(endpoint);
            match vms.iter_mut().find(|(vm, _)| vm.instance_id() == id) {
                Some((_, vm)) => vm.absorb(&readings),
                None => vms.push((endpoint.endpoint, readings)),
            }
        }
        let mut gateway = Readings::default();
        for (vm, readings) in &mut vms {
            for (&protocol, now) in &mut readings.protocols {
                let key = (router, name.clone(), Some(vm.instance_id()), protocol);
                let before = self.totals.insert(key, *now).unwrap_or_default();
                *now = now.since(&before);
            }
            gateway.absorb(readings);
        }
        for (&protocol, &dropped_received_packets) in &sample.dropped_received_elsewhere {
            let now = ProtocolSample {
                dropped_received_packets,
                ..ProtocolSample::default()
            };
            let before = self
                .totals
                .insert((router, name.clone(), None, protocol), now);
            let added = now.since(&before.unwrap_or_default());
            gateway
                .protocols
                .entry(protocol)
                .or_default()
                .absorb(&added);
        }
        // A series goes on when the VMs that began it are gone.
        for (_, _, _, protocol) in self
            .totals
            .keys()
            .filter(|key| key.0 == router && key.1 == *name)
        {
            gateway.protocols.entry(*protocol).or_default();
        }
        (gateway, vms)
    }

    fn series(&mut self, resource: Resource, at: Duration) -> SeriesWriter<'_, W> {
        SeriesWriter {
            resource,
            start: self.clock.shortest(self.last_sample).to_string(),
            end: self.clock.shortest(at).to_string(),
            out: &mut self.out,
        }
    }
}

/// What one monitored resource shows in one sample.
#[derive(Debug, Clone, Default)]
struct Readings {
    allocated_ports: BTreeMap<Ipv4Addr, u64>,
    protocols: BTreeMap<IpProtocol, ProtocolSample>,
}

impl Readings {
    fn of(endpoint: &EndpointSample<'_>) -> Self {
        let mut allocated_ports = BTreeMap::new();
        for &(nat_ip, ports) in &endpoint.allocated_ports {
            *allocated_ports.entry(nat_ip).or_default() += ports;
        }
        Readings {
            allocated_ports,
            protocols: endpoint.protocols.clone(),
        }
    }

    fn absorb(&mut self, other: &Readings) {
        for (&nat_ip, ports) in &other.allocated_ports {
            *self.allocated_ports.entry(nat_ip).or_default() += ports;
        }
        for (&protocol, sample) in &other.protocols {
            self.protocols.entry(protocol).or_default().absorb(sample);
        }
    }
}

impl ProtocolSample {
    /// Adds everything up but `port_usage`, which is that of the VM with most: on the gateway, too, Google documents it
    /// as a maximum.
    fn absorb(&mut self, other: &ProtocolSample) {
        *self = ProtocolSample {
            port_usage: self.port_usage.max(other.port_usage),
            open_connections: self.open_connections + other.open_connections,
            ..self.combine_totals(other, |a, b| a + b)
        };
    }

    /// The same present values, and what the totals gained. An instance that comes back under its old name counts from
    /// zero again, hence the saturation.
    fn since(&self, before: &ProtocolSample) -> ProtocolSample {
        self.combine_totals(before, u64::saturating_sub)
    }

    fn combine_totals(&self, other: &ProtocolSample, with: fn(u64, u64) -> u64) -> ProtocolSample {
        ProtocolSample {
            port_usage: self.port_usage,
            open_connections: self.open_connections,
            new_connections: with(self.new_connections, other.new_connections),
            closed_connections: with(self.closed_connections, other.closed_connections),
            sent_bytes: with(self.sent_bytes, other.sent_bytes),
            received_bytes: with(self.received_bytes, other.received_bytes),
            sent_packets: with(self.sent_packets, other.sent_packets),
            received_packets: with(self.received_packets, other.received_packets),
            dropped_out_of_resources: with(
                self.dropped_out_of_resources,
                other.dropped_out_of_resources,
            ),
            dropped_endpoint_independence_conflict: with(
                self.dropped_endpoint_independence_conflict,
                other.dropped_endpoint_independence_conflict,
            ),
            dropped_received_packets: with(
                self.dropped_received_packets,
                other.dropped_received_packets,
            ),
        }
    }
}

/// Writes the lines of one monitored resource.
struct SeriesWriter<'a, W> {
    resource: Resource,
    start: String,
    end: String,
    out: &'a mut W,
}

impl<W: Write> SeriesWriter<'_, W> {
    fn readings(&mut self, readings: &Readings) -> io::Result<()> {
        for (nat_ip, &ports) in &readings.allocated_ports {
            let nat_ip = ("nat_ip", nat_ip.to_string());
            self.gauge(
                "allocated_ports",
                Some(nat_ip),
                Unit::Port,
                Value::Int64Value(ports),
            )?;
        }
        for (&protocol, sample) in &readings.protocols {
            self.protocol(protocol, sample)?;
        }
        Ok(())
    }

    fn protocol(&mut self, protocol: IpProtocol, sample: &ProtocolSample) -> io::Result<()> {
        use Unit::{Byte, Connection, Packet, Port};
        let ip_protocol = || ("ip_protocol", protocol.label().to_owned());

        for (metric, unit, value) in [
            ("port_usage", Port, sample.port_usage),
            ("open_connections", Connection, sample.open_connections),
        ] {
            self.gauge(metric, Some(ip_protocol()), unit, Value::Int64Value(value))?;
        }
        for (metric, unit, value) in [
            ("new_connections_count", Connection, sample.new_connections),
            (
                "closed_connections_count",
                Connection,
                sample.closed_connections,
            ),
            ("sent_bytes_count", Byte, sample.sent_bytes),
            ("received_bytes_count", Byte, sample.received_bytes),
            ("sent_packets_count", Packet, sample.sent_packets),
            ("received_packets_count", Packet, sample.received_packets),
            (
                "dropped_received_packets_count",
                Packet,
                sample.dropped_received_packets,
            ),
        ] {
            self.delta(metric, vec![ip_protocol()], unit, value)?;
        }
        for (reason, value) in [
            ("OUT_OF_RESOURCES", sample.dropped_out_of_resources),
            (
                "ENDPOINT_INDEPENDENCE_CONFLICT",
                sample.dropped_endpoint_independence_conflict,
            ),
        ] {
            let labels = vec![ip_protocol(), ("reason", reason.to_owned())];
            self.delta("dropped_sent_packets_count", labels, Packet, value)?;
        }
        Ok(())
    }

    /// A gauge's point is an instant: it starts when it ends, as in Cloud Monitoring's answers.
    fn gauge(
        &mut self,
        metric: &str,
        label: Option<(&'static str, String)>,
        unit: Unit,
        value: Value,
    ) -> io::Result<()> {
        let interval = Interval {
            start_time: &self.end,
            end_time: &self.end,
        };
        let line =
            self.resource
                .time_series(metric, label, Kind::Gauge, unit, Point { interval, value });
        write_line(self.out, &line)
    }

    fn delta(
        &mut self,
        metric: &str,
        labels: Vec<(&'static str, String)>,
        unit: Unit,
        value: u64,
    ) -> io::Result<()> {
        if self.start == self.end {
            return Ok(()); // A sample at time 0 has nothing to compare with; Google requires a span.
        }
        let interval = Interval {
            start_time: &self.start,
            end_time: &self.end,
        };
        let value = Value::Int64Value(value);
        let line =
            self.resource
                .time_series(metric, labels, Kind::Delta, unit, Point { interval, value });
        write_line(self.out, &line)
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

// The shapes that are written. Fields stand in the order of the API's reference.

type Labels = BTreeMap<&'static str, String>;

/// What a series is about. The VM family repeats the gateway in the metric's labels.
struct Resource {
    family: &'static str,
    resource: MonitoredResource,
    metric_labels: Labels,
}

impl Resource {
    fn gateway(gateway: &GatewayIdentity) -> Self {
        let labels = [
            ("project_id", gateway.project_id.clone()),
            ("region", gateway.region.clone()),
            ("router_id", gateway.router_id().to_string()),
            ("gateway_name", gateway.gateway.clone()),
        ];
        Resource {
            family: "router.googleapis.com/nat",
            resource: MonitoredResource {
                r#type: "nat_gateway",
                labels: labels.into(),
            },
            metric_labels: Labels::new(),
        }
    }

    fn vm(vm: &EndpointIdentity, gateway: &GatewayIdentity) -> Self {
        let labels = [
            ("project_id", vm.project_id.clone()),
            ("instance_id", vm.instance_id().to_string()),
            ("zone", vm.zone.clone()),
        ];
        let metric_labels = [
            ("nat_project_number", gateway.project_number().to_string()),
            ("router_id", gateway.router_id().to_string()),
            ("nat_gateway_name", gateway.gateway.clone()),
        ];
        Resource {
            family: "compute.googleapis.com/nat",
            resource: MonitoredResource {
                r#type: "gce_instance",
                labels: labels.into(),
            },
            metric_labels: metric_labels.into(),
        }
    }

    fn time_series<'a>(
        &'a self,
        metric: &str,
        labels: impl IntoIterator<Item = (&'static str, String)>,
        metric_kind: Kind,
        unit: Unit,
        point: Point<'a>,
    ) -> TimeSeries<'a> {
        let mut all_labels = self.metric_labels.clone();
        all_labels.extend(labels);
        TimeSeries {
            metric: Metric {
                r#type: format!("{}/{metric}", self.family),
                labels: all_labels,
            },
            resource: &self.resource,
            metric_kind,
            value_type: match point.value {
                Value::BoolValue(_) => "BOOL",
                Value::Int64Value(_) => "INT64",
            },
            points: [point],
            unit,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimeSeries<'a> {
    metric: Metric,
    resource: &'a MonitoredResource,
    metric_kind: Kind,
    value_type: &'static str,
    points: [Point<'a>; 1],
    #[serde(skip_serializing_if = "Unit::is_none")]
    unit: Unit,
}

#[derive(Serialize)]
struct Metric {
    r#type: String,
    #[serde(skip_serializing_if = "Labels::is_empty")]
    labels: Labels,
}

#[derive(Serialize)]
struct MonitoredResource {
    r#type: &'static str,
    labels: Labels,
}

#[derive(Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Kind {
    Gauge,
    Delta,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
enum Unit {
    None,
    #[serde(rename = "{port}")]
    Port,
    #[serde(rename = "{connection}")]
    Connection,
    #[serde(rename = "{packet}")]
    Packet,
    #[serde(rename = "By")]
    Byte,
}

impl Unit {
    fn is_none(&self) -> bool {
        *self == Unit::None
    }
}

#[derive(Serialize)]
struct Point<'a> {
    interval: Interval<'a>,
    value: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Interval<'a> {
    start_time: &'a str,
    end_time: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Value {
    BoolValue(bool),
    /// JSON of protocol buffers writes 64-bit integers as strings.
    #[serde(serialize_with = "super::nat_log::as_string")]
    Int64Value(u64),
}

#[cfg(test)]
mod tests {
    use super::super::identity::tests::{endpoint, gateway};
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn tcp(sample: ProtocolSample) -> BTreeMap<IpProtocol, ProtocolSample> {
        BTreeMap::from([(IpProtocol::Tcp, sample)])
    }

    fn sample<'a>(
        gateway: &'a GatewayIdentity,
        endpoints: Vec<EndpointSample<'a>>,
    ) -> GatewaySample<'a> {
        GatewaySample {
            gateway,
            nat_allocation_failed: false,
            dropped_received_elsewhere: BTreeMap::new(),
            endpoints,
        }
    }

    fn endpoint_sample<'a>(
        endpoint: &'a EndpointIdentity,
        tcp_sample: ProtocolSample,
    ) -> EndpointSample<'a> {
        EndpointSample {
            endpoint,
            allocated_ports: vec![(Ipv4Addr::new(203, 0, 113, 9), 64)],
            protocols: tcp(tcp_sample),
        }
    }

    fn lines(writer: MetricsWriter<Vec<u8>>) -> Vec<serde_json::Value> {
        String::from_utf8(writer.into_inner())
            .expect("JSON is UTF-8")
            .lines()
            .map(|line| serde_json::from_str(line).expect("each line is JSON"))
            .collect()
    }

    /// The values of one metric on resources of one type, in the order written.
    fn values(lines: &[serde_json::Value], resource: &str, metric: &str) -> Vec<String> {
        lines
            .iter()
            .filter(|line| line["resource"]["type"] == resource)
            .filter(|line| {
                line["metric"]["type"]
                    .as_str()
                    .is_some_and(|name| name.ends_with(metric))
            })
            .map(|line| {
                line["points"][0]["value"]["int64Value"]
                    .as_str()
                    .expect("an integer")
                    .to_owned()
            })
            .collect()
    }

    #[test]
    fn a_sample_has_every_documented_metric_in_both_families() {
        let (gateway, vm) = (gateway(), endpoint("web-1"));
        let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
        let used = ProtocolSample {
            port_usage: 3,
            new_connections: 5,
            ..ProtocolSample::default()
        };
        let sample = sample(&gateway, vec![endpoint_sample(&vm, used)]);
        writer
            .write(MINUTE, &[sample])
            .expect("a vector takes everything");
        let lines = lines(writer);
        let described: Vec<String> = lines
            .iter()
            .map(|line| {
                let word = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
                let (kind, unit) = (word(&line["metricKind"]), word(&line["unit"]));
                let (metric, value_type) =
                    (word(&line["metric"]["type"]), word(&line["valueType"]));
                let labels = &line["metric"]["labels"];
                let own = ["ip_protocol", "nat_ip", "reason"].map(|label| word(&labels[label]));
                format!("{kind} {value_type} {unit} {metric} {}", own.join(" "))
            })
            .collect();
        insta::assert_snapshot!(described.join("\n"), @r"
        GAUGE BOOL - router.googleapis.com/nat/nat_allocation_failed - - -
        GAUGE INT64 {port} router.googleapis.com/nat/allocated_ports - 203.0.113.9 -
        GAUGE INT64 {port} router.googleapis.com/nat/port_usage TCP - -
        GAUGE INT64 {connection} router.googleapis.com/nat/open_connections TCP - -
        DELTA INT64 {connection} router.googleapis.com/nat/new_connections_count TCP - -
        DELTA INT64 {connection} router.googleapis.com/nat/closed_connections_count TCP - -
        DELTA INT64 By router.googleapis.com/nat/sent_bytes_count TCP - -
        DELTA INT64 By router.googleapis.com/nat/received_bytes_count TCP - -
        DELTA INT64 {packet} router.googleapis.com/nat/sent_packets_count TCP - -
        DELTA INT64 {packet} router.googleapis.com/nat/received_packets_count TCP - -
        DELTA INT64 {packet} router.googleapis.com/nat/dropped_received_packets_count TCP - -
        DELTA INT64 {packet} router.googleapis.com/nat/dropped_sent_packets_count TCP - OUT_OF_RESOURCES
        DELTA INT64 {packet} router.googleapis.com/nat/dropped_sent_packets_count TCP - ENDPOINT_INDEPENDENCE_CONFLICT
        GAUGE INT64 {port} compute.googleapis.com/nat/allocated_ports - 203.0.113.9 -
        GAUGE INT64 {port} compute.googleapis.com/nat/port_usage TCP - -
        GAUGE INT64 {connection} compute.googleapis.com/nat/open_connections TCP - -
        DELTA INT64 {connection} compute.googleapis.com/nat/new_connections_count TCP - -
        DELTA INT64 {connection} compute.googleapis.com/nat/closed_connections_count TCP - -
        DELTA INT64 By compute.googleapis.com/nat/sent_bytes_count TCP - -
        DELTA INT64 By compute.googleapis.com/nat/received_bytes_count TCP - -
        DELTA INT64 {packet} compute.googleapis.com/nat/sent_packets_count TCP - -
        DELTA INT64 {packet} compute.googleapis.com/nat/received_packets_count TCP - -
        DELTA INT64 {packet} compute.googleapis.com/nat/dropped_received_packets_count TCP - -
        DELTA INT64 {packet} compute.googleapis.com/nat/dropped_sent_packets_count TCP - OUT_OF_RESOURCES
        DELTA INT64 {packet} compute.googleapis.com/nat/dropped_sent_packets_count TCP - ENDPOINT_INDEPENDENCE_CONFLICT
        ");
    }

    #[test]
    fn a_line_has_the_shape_of_a_time_series() {
        let (gateway, vm) = (gateway(), endpoint("web-1"));
        let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
        let sample = sample(
            &gateway,
            vec![endpoint_sample(&vm, ProtocolSample::default())],
        );
        writer
            .write(MINUTE, &[sample])
            .expect("a vector takes everything");
        let last = lines(writer).pop().expect("something was written");
        insta::assert_snapshot!(serde_json::to_string_pretty(&last).expect("plain data"), @r#"
        {
          "metric": {
            "type": "compute.googleapis.com/nat/dropped_sent_packets_count",
            "labels": {
              "ip_protocol": "TCP",
              "nat_gateway_name": "nat-a",
              "nat_project_number": "937144259419",
              "reason": "ENDPOINT_INDEPENDENCE_CONFLICT",
              "router_id": "8410554333845961763"
            }
          },
          "resource": {
            "type": "gce_instance",
            "labels": {
              "instance_id": "4631592363058901558",
              "project_id": "demo-app",
              "zone": "us-east4-b"
            }
          },
          "metricKind": "DELTA",
          "valueType": "INT64",
          "points": [
            {
              "interval": {
                "startTime": "2026-10-01T00:00:00Z",
                "endTime": "2026-10-01T00:01:00Z"
              },
              "value": {
                "int64Value": "0"
              }
            }
          ],
          "unit": "{packet}"
        }
        "#);
    }

    #[test]
    fn deltas_are_what_was_added_since_the_last_sample() {
        let (gateway, vm) = (gateway(), endpoint("web-1"));
        let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
        for (minute, sent_packets) in [(1, 100), (2, 100), (3, 250)] {
            let totals = ProtocolSample {
                sent_packets,
                ..ProtocolSample::default()
            };
            let sample = sample(&gateway, vec![endpoint_sample(&vm, totals)]);
            writer
                .write(MINUTE * minute, &[sample])
                .expect("a vector takes everything");
        }
        let lines = lines(writer);
        assert_eq!(
            values(&lines, "gce_instance", "/sent_packets_count"),
            ["100", "0", "150"]
        );
        assert_eq!(
            values(&lines, "nat_gateway", "/sent_packets_count"),
            ["100", "0", "150"]
        );
    }

    #[test]
    fn the_gateways_port_usage_is_a_maximum_and_the_rest_are_sums() {
        let (gateway, busy, idle) = (gateway(), endpoint("web-1"), endpoint("web-2"));
        let usage = |port_usage, open_connections| ProtocolSample {
            port_usage,
            open_connections,
            ..ProtocolSample::default()
        };
        let endpoints = vec![
            endpoint_sample(&busy, usage(40, 50)),
            endpoint_sample(&idle, usage(2, 7)),
        ];
        let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
        writer
            .write(MINUTE, &[sample(&gateway, endpoints)])
            .expect("a vector takes everything");
        let lines = lines(writer);
        assert_eq!(values(&lines, "nat_gateway", "/port_usage"), ["40"]);
        assert_eq!(values(&lines, "nat_gateway", "/open_connections"), ["57"]);
        assert_eq!(values(&lines, "nat_gateway", "/allocated_ports"), ["128"]);
        assert_eq!(values(&lines, "gce_instance", "/port_usage"), ["40", "2"]);
    }

    #[test]
    fn two_addresses_of_one_vm_make_one_series() {
        let (gateway, vm) = (gateway(), endpoint("direct-1"));
        let held = EndpointSample {
            protocols: BTreeMap::new(),
            ..endpoint_sample(&vm, ProtocolSample::default())
        };
        let endpoints = vec![endpoint_sample(&vm, ProtocolSample::default()), held];
        let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
        writer
            .write(MINUTE, &[sample(&gateway, endpoints)])
            .expect("a vector takes everything");
        assert_eq!(
            values(&lines(writer), "gce_instance", "/allocated_ports"),
            ["128"]
        );
    }

    #[test]
    fn a_gateways_series_outlives_its_vms_and_counts_strays() {
        let (gateway, vm) = (gateway(), endpoint("web-1"));
        let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
        let totals = ProtocolSample {
            dropped_received_packets: 4,
            ..ProtocolSample::default()
        };
        let first = sample(&gateway, vec![endpoint_sample(&vm, totals)]);
        writer
            .write(MINUTE, &[first])
            .expect("a vector takes everything");
        let strays = GatewaySample {
            dropped_received_elsewhere: BTreeMap::from([(IpProtocol::Tcp, 9)]),
            ..sample(&gateway, Vec::new())
        };
        writer
            .write(MINUTE * 2, &[strays])
            .expect("a vector takes everything");
        writer
            .write(MINUTE * 3, &[sample(&gateway, Vec::new())])
            .expect("a vector takes everything");
        let dropped = values(
            &lines(writer),
            "nat_gateway",
            "/dropped_received_packets_count",
        );
        assert_eq!(dropped, ["4", "9", "0"]);
    }
}
