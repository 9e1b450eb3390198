use super::*;
use crate::report::identity::tests::{endpoint, gateway};

const MINUTE: Duration = Duration::from_secs(60);

fn tcp(sample: ProtocolSample) -> BTreeMap<Protocol, ProtocolSample> {
    BTreeMap::from([(Protocol::Tcp, sample)])
}

fn sample<'a>(gateway: &'a GatewayIdentity, endpoints: Vec<EndpointSample<'a>>) -> GatewaySample<'a> {
    GatewaySample { gateway, nat_allocation_failed: false, dropped_received_elsewhere: BTreeMap::new(), endpoints }
}

fn endpoint_sample<'a>(endpoint: &'a EndpointIdentity, tcp_sample: ProtocolSample) -> EndpointSample<'a> {
    EndpointSample { endpoint, allocated_ports: vec![(Ipv4Addr::new(203, 0, 113, 9), 64)], protocols: tcp(tcp_sample) }
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
        .filter(|line| line["metric"]["type"].as_str().is_some_and(|name| name.ends_with(metric)))
        .map(|line| line["points"][0]["value"]["int64Value"].as_str().expect("an integer").to_owned())
        .collect()
}

#[test]
fn a_sample_has_every_documented_metric_in_both_families() {
    let (gateway, vm) = (gateway(), endpoint("web-1"));
    let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
    let used = ProtocolSample { port_usage: 3, new_connections: 5, ..ProtocolSample::default() };
    let sample = sample(&gateway, vec![endpoint_sample(&vm, used)]);
    writer.write(MINUTE, &[sample]).expect("a vector takes everything");
    let lines = lines(writer);
    let described: Vec<String> = lines
        .iter()
        .map(|line| {
            let word = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
            let (kind, unit) = (word(&line["metricKind"]), word(&line["unit"]));
            let (metric, value_type) = (word(&line["metric"]["type"]), word(&line["valueType"]));
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
    let sample = sample(&gateway, vec![endpoint_sample(&vm, ProtocolSample::default())]);
    writer.write(MINUTE, &[sample]).expect("a vector takes everything");
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
        let totals = ProtocolSample { sent_packets, ..ProtocolSample::default() };
        let sample = sample(&gateway, vec![endpoint_sample(&vm, totals)]);
        writer.write(MINUTE * minute, &[sample]).expect("a vector takes everything");
    }
    let lines = lines(writer);
    assert_eq!(values(&lines, "gce_instance", "/sent_packets_count"), ["100", "0", "150"]);
    assert_eq!(values(&lines, "nat_gateway", "/sent_packets_count"), ["100", "0", "150"]);
}

#[test]
fn the_gateways_port_usage_is_a_maximum_and_the_rest_are_sums() {
    let (gateway, busy, idle) = (gateway(), endpoint("web-1"), endpoint("web-2"));
    let usage =
        |port_usage, open_connections| ProtocolSample { port_usage, open_connections, ..ProtocolSample::default() };
    let endpoints = vec![endpoint_sample(&busy, usage(40, 50)), endpoint_sample(&idle, usage(2, 7))];
    let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
    writer.write(MINUTE, &[sample(&gateway, endpoints)]).expect("a vector takes everything");
    let lines = lines(writer);
    assert_eq!(values(&lines, "nat_gateway", "/port_usage"), ["40"]);
    assert_eq!(values(&lines, "nat_gateway", "/open_connections"), ["57"]);
    assert_eq!(values(&lines, "nat_gateway", "/allocated_ports"), ["128"]);
    assert_eq!(values(&lines, "gce_instance", "/port_usage"), ["40", "2"]);
}

#[test]
fn two_addresses_of_one_vm_make_one_series() {
    let (gateway, vm) = (gateway(), endpoint("direct-1"));
    let held = EndpointSample { protocols: BTreeMap::new(), ..endpoint_sample(&vm, ProtocolSample::default()) };
    let endpoints = vec![endpoint_sample(&vm, ProtocolSample::default()), held];
    let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
    writer.write(MINUTE, &[sample(&gateway, endpoints)]).expect("a vector takes everything");
    assert_eq!(values(&lines(writer), "gce_instance", "/allocated_ports"), ["128"]);
}

#[test]
fn a_gateways_series_outlives_its_vms_and_counts_strays() {
    let (gateway, vm) = (gateway(), endpoint("web-1"));
    let mut writer = MetricsWriter::new(Vec::new(), WallClock::default());
    let totals = ProtocolSample { dropped_received_packets: 4, ..ProtocolSample::default() };
    let first = sample(&gateway, vec![endpoint_sample(&vm, totals)]);
    writer.write(MINUTE, &[first]).expect("a vector takes everything");
    let strays = GatewaySample {
        dropped_received_elsewhere: BTreeMap::from([(Protocol::Tcp, 9)]),
        ..sample(&gateway, Vec::new())
    };
    writer.write(MINUTE * 2, &[strays]).expect("a vector takes everything");
    writer.write(MINUTE * 3, &[sample(&gateway, Vec::new())]).expect("a vector takes everything");
    let dropped = values(&lines(writer), "nat_gateway", "/dropped_received_packets_count");
    assert_eq!(dropped, ["4", "9", "0"]);
}
