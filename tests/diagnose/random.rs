//! Random scenarios: causes add up, and what suffices suffices when it is run alone.

use std::fmt::Write as _;
use std::fs;
use std::ops::ControlFlow;

use egressim::diagnose::evidence::Evidence;
use egressim::diagnose::report::report;
use egressim::diagnose::search::Searched;
use egressim::diagnose::{Case, Input};
use egressim::report::diagnose::Cause;
use egressim::report::summary::Summary;
use proptest::prelude::*;
use serde_json::Value;

use crate::common::egressim;
use crate::{apply, assert_adds_up, diagnosed_by, read, shop};

/// A random small scenario: a connector and Direct VPC egress, one gateway, loads that may or may not fit, and
/// changes while it runs.
#[derive(Debug, Clone)]
struct Random {
    seed: u64,
    dynamic: bool,
    endpoint_independent: bool,
    ports: u32,
    instances: u32,
    scale_to: u32,
    /// A rule denies port 8443: never, always, or from the tenth second on.
    deny: Option<bool>,
    loss: bool,
    /// The tenth second brings twice as many ports.
    grows: bool,
    loads: Vec<Load>,
}

#[derive(Debug, Clone)]
struct Load {
    direct: bool,
    burst: bool,
    denied_port: bool,
    pace: u32,
    lifetime: u32,
    timeout: u32,
}

fn random() -> impl Strategy<Value = Random> {
    let load = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3), 1..12u32, 100..4000u32, 1..12u32);
    let load = load.prop_map(|(direct, burst, denied_port, pace, lifetime, timeout)| Load {
        direct,
        burst,
        denied_port,
        pace,
        lifetime,
        timeout,
    });
    (
        any::<u64>(),
        any::<bool>(),
        prop::bool::weighted(0.2),
        5..8u32,
        (1..3u32, 1..6u32),
        prop::option::of(any::<bool>()),
        (prop::bool::weighted(0.3), prop::bool::weighted(0.3)),
        prop::collection::vec(load, 1..3),
    )
        .prop_map(|(seed, dynamic, independent, power, (instances, scale_to), deny, (loss, grows), loads)| {
            Random {
                seed: seed >> 12,
                dynamic,
                endpoint_independent: independent && !dynamic,
                ports: 1 << power,
                instances,
                scale_to,
                deny,
                loss,
                grows,
                loads,
            }
        })
}

impl Random {
    fn text(&self) -> String {
        let nat = match (self.dynamic, self.endpoint_independent) {
            (true, _) => format!(
                "enableDynamicPortAllocation: true, minPortsPerVm: {}, maxPortsPerVm: {}",
                self.ports,
                self.ports * 4
            ),
            (false, true) => format!("enableEndpointIndependentMapping: true, minPortsPerVm: {}", self.ports),
            (false, false) => format!("minPortsPerVm: {}", self.ports),
        };
        let mut text = shop(&nat, "count: 1", "");
        text = text.replace("duration: 90s", &format!("duration: 40s\nseed: {}", self.seed));
        text = text.replace(
            "- name: api\n  region: r1",
            &format!("- name: api\n  region: r1\n  instances: {}", self.instances),
        );
        text = text.replace(
            "services:\n",
            "services:\n- {name: conn-api, region: r1, template: {vpcAccess: {connector: conn, egress: ALL_TRAFFIC}}}\n",
        );
        text = text.replace("ports: [443]", "ports: [443, 8443]");
        if self.loss {
            text = text.replace("rtt: 40ms", "rtt: 40ms, loss: 0.1");
        }
        text.truncate(text.find("traffic:").expect("it has loads"));
        text += "traffic:\n";
        for (number, load) in self.loads.iter().enumerate() {
            let Load { pace, lifetime, timeout, .. } = load;
            let from = if load.direct { "api" } else { "conn-api" };
            let port = if load.denied_port { 8443 } else { 443 };
            let pace = if load.burst { format!("count: {}", pace * 20) } else { format!("rate: {pace}/s") };
            let _ = writeln!(
                text,
                "- {{name: load-{number}, from: {from}, to: \"partner:{port}\", {pace}, start: {number}s, \
                 lifetime: {lifetime}ms, connectTimeout: {timeout}s}}"
            );
        }
        text += "connectors: [{name: conn, region: r1, network: vpc, ipCidrRange: 10.8.0.0/28}]\nevents:\n";
        let _ = writeln!(text, "- {{at: 5s, scale: {{workload: api, instances: {}}}}}", self.scale_to);
        if self.grows {
            let ports = self.ports * 2;
            let _ = writeln!(text, "- {{at: 10s, patchNat: {{gateway: gw, set: {{minPortsPerVm: {ports}}}}}}}");
        }
        if self.deny == Some(true) {
            text += "- {at: 10s, patchFirewall: {firewall: no, set: {disabled: false}}}\n";
        }
        if let Some(later) = self.deny {
            let _ = writeln!(
                text,
                "firewalls: [{{name: no, network: vpc, direction: EGRESS, priority: 10, disabled: {later}, \
                 denied: [{{IPProtocol: tcp, ports: [\"8443\"]}}]}}]"
            );
        }
        text
    }
}

/// So many, or `PROPTEST_CASES`.
const CASES: u32 = 12;

fn config() -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { cases: wanted.unwrap_or(CASES), ..ProptestConfig::default() }
}

/// What `check --format json` prints.
fn merged(text: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("random.yaml"), text).unwrap();
    let check = egressim(folder.path()).args(["check", "--format", "json", "random.yaml"]).assert();
    serde_json::from_slice(&check.get_output().stdout).expect("it prints JSON")
}

/// Runs a scenario with somebody who looks on, and nobody who tries remedies: the result, and the causes.
fn run_alone(text: &str) -> (Summary, Vec<Cause>) {
    let loaded = read(text);
    let case = Case::new(&loaded.file, loaded.scenario.as_ref().expect("a scenario"), Input::Loads);
    let mut evidence = Evidence::new(None);
    let summary = case.observe(case.scenario, None, &mut evidence, &mut || ControlFlow::Continue(())).unwrap();
    let (groups, _) = evidence.into_groups();
    let told = report(&case, &groups, None, summary.clone(), Searched::default());
    (summary, told.causes)
}

/// Failures of a cause among those of another run. Of several causes of one kind at one place, loads tell which it is.
fn failures_of(cause: &Cause, all: &[Cause], after: &[Cause]) -> u64 {
    let alike = |other: &&Cause| (other.kind, &other.r#where) == (cause.kind, &cause.r#where);
    let ambiguous = all.iter().filter(alike).count() > 1;
    let shares_load =
        |other: &&Cause| other.loads.iter().any(|load| cause.loads.iter().any(|own| own.name == load.name));
    after.iter().filter(alike).filter(|other| !ambiguous || shares_load(other)).map(|other| other.failures).sum()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn causes_add_up_and_a_remedy_that_suffices_suffices_when_it_is_run_alone(random in random()) {
        let text = random.text();
        let diagnosis = diagnosed_by(&read(&text), 2);
        assert_adds_up(&diagnosis);
        let merged = merged(&text);
        let before = diagnosis.failed + diagnosis.broken;
        for cause in &diagnosis.causes {
            for remedy in &cause.remedies {
                prop_assert_eq!(remedy.failures_before, before);
                if remedy.refused.is_some() {
                    prop_assert!(!remedy.sufficient);
                    continue;
                }
                let mut changed = merged.clone();
                apply(&mut changed, &remedy.patch);
                let (summary, left) = run_alone(&changed.to_string());
                let after = summary.connections.failed + summary.connections.broken;
                prop_assert_eq!(after, remedy.failures_after, "{}", remedy.change);
                prop_assert_eq!(summary.connections.pending, remedy.pending_after, "{}", remedy.change);
                if remedy.sufficient {
                    let of_cause = failures_of(cause, &diagnosis.causes, &left);
                    prop_assert_eq!(of_cause, 0, "{} for {} at {}", remedy.change, cause.kind, cause.r#where);
                    prop_assert_eq!(remedy.of_this_cause_after, 0);
                    // What is left is of other causes, and less than there was.
                    prop_assert!(after < before || cause.failures == 0, "{}: {after} of {before}", remedy.change);
                }
            }
        }
    }
}
