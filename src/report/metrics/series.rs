//! One sample of one monitored resource as `TimeSeries` lines. Fields stand in the order of
//! <https://cloud.google.com/monitoring/api/ref_v3/rest/v3/TimeSeries>.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::{ProtocolSample, Readings};
use crate::report::identity::{EndpointIdentity, GatewayIdentity};
use crate::wire::Protocol;

/// Writes the lines of one monitored resource.
pub(super) struct SeriesWriter<'a, W> {
    resource: Resource,
    start: String,
    end: String,
    out: &'a mut W,
}

impl<'a, W: Write> SeriesWriter<'a, W> {
    /// Deltas are from `start` to `end`, gauges of `end`.
    pub(super) fn new(out: &'a mut W, resource: Resource, start: String, end: String) -> Self {
        SeriesWriter { resource, start, end, out }
    }

    pub(super) fn allocation_failed(&mut self, failed: bool) -> io::Result<()> {
        self.gauge("nat_allocation_failed", None, Unit::None, Value::BoolValue(failed))
    }

    pub(super) fn readings(&mut self, readings: &Readings) -> io::Result<()> {
        for (nat_ip, &ports) in &readings.allocated_ports {
            let nat_ip = ("nat_ip", nat_ip.to_string());
            self.gauge("allocated_ports", Some(nat_ip), Unit::Port, Value::Int64Value(ports))?;
        }
        for (&protocol, sample) in &readings.protocols {
            self.protocol(protocol, sample)?;
        }
        Ok(())
    }

    fn protocol(&mut self, protocol: Protocol, sample: &ProtocolSample) -> io::Result<()> {
        use Unit::{Byte, Connection, Packet, Port};
        let ip_protocol = || ("ip_protocol", protocol.label().to_owned());

        for (metric, unit, value) in
            [("port_usage", Port, sample.port_usage), ("open_connections", Connection, sample.open_connections)]
        {
            self.gauge(metric, Some(ip_protocol()), unit, Value::Int64Value(value))?;
        }
        for (metric, unit, value) in [
            ("new_connections_count", Connection, sample.new_connections),
            ("closed_connections_count", Connection, sample.closed_connections),
            ("sent_bytes_count", Byte, sample.sent_bytes),
            ("received_bytes_count", Byte, sample.received_bytes),
            ("sent_packets_count", Packet, sample.sent_packets),
            ("received_packets_count", Packet, sample.received_packets),
            ("dropped_received_packets_count", Packet, sample.dropped_received_packets),
        ] {
            self.delta(metric, vec![ip_protocol()], unit, value)?;
        }
        for (reason, value) in [
            ("OUT_OF_RESOURCES", sample.dropped_out_of_resources),
            ("ENDPOINT_INDEPENDENCE_CONFLICT", sample.dropped_endpoint_independence_conflict),
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
        let interval = Interval { start_time: &self.end, end_time: &self.end };
        let line = self.resource.time_series(metric, label, Kind::Gauge, unit, Point { interval, value });
        write_line(self.out, &line)
    }

    fn delta(&mut self, metric: &str, labels: Vec<(&'static str, String)>, unit: Unit, value: u64) -> io::Result<()> {
        if self.start == self.end {
            return Ok(()); // A sample at time 0 has nothing to compare with; Google requires a span.
        }
        let interval = Interval { start_time: &self.start, end_time: &self.end };
        let value = Value::Int64Value(value);
        let line = self.resource.time_series(metric, labels, Kind::Delta, unit, Point { interval, value });
        write_line(self.out, &line)
    }
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

// The shapes that are written.

type Labels = BTreeMap<&'static str, String>;

/// What a series is about. The VM family repeats the gateway in the metric's labels.
pub(super) struct Resource {
    family: &'static str,
    resource: MonitoredResource,
    metric_labels: Labels,
}

impl Resource {
    pub(super) fn gateway(gateway: &GatewayIdentity) -> Self {
        let labels = [
            ("project_id", gateway.project_id.clone()),
            ("region", gateway.region.clone()),
            ("router_id", gateway.router_id().to_string()),
            ("gateway_name", gateway.gateway.clone()),
        ];
        Resource {
            family: "router.googleapis.com/nat",
            resource: MonitoredResource { r#type: "nat_gateway", labels: labels.into() },
            metric_labels: Labels::new(),
        }
    }

    pub(super) fn vm(vm: &EndpointIdentity, gateway: &GatewayIdentity) -> Self {
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
            resource: MonitoredResource { r#type: "gce_instance", labels: labels.into() },
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
            metric: Metric { r#type: format!("{}/{metric}", self.family), labels: all_labels },
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
    #[serde(serialize_with = "crate::report::nat_log::as_string")]
    Int64Value(u64),
}
