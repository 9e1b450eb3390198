//! `cloud_run.jsonl`: what Cloud Run itself logs about instances, one Cloud Logging `LogEntry` a line.
//!
//! Texts are Google's where a page gives them (instances that find no address). Fields follow Cloud Run's system log,
//! `run.googleapis.com/varlog/system`, with the monitored resource of the kind of workload.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::clock::WallClock;
use super::identity::PROJECT;
use super::nat_log::{InsertIds, RECEIVE_DELAY};
use crate::scenario::WorkloadKind;

/// One thing to log.
#[derive(Debug, Clone, Copy)]
pub struct RunLogEntry<'a> {
    /// When, since the start of the run.
    pub at: Duration,
    /// `ERROR`, `WARNING` or `INFO`.
    pub severity: &'static str,
    /// What it says.
    pub text: &'a str,
    /// Kind of workload.
    pub kind: WorkloadKind,
    /// Name of the service, job, worker pool or function.
    pub workload: &'a str,
    /// Name of the revision.
    pub revision: &'a str,
    /// Region.
    pub region: &'a str,
}

/// Writes entries as they happen.
#[derive(Debug)]
pub struct RunLogWriter<W> {
    out: W,
    clock: WallClock,
    insert_ids: InsertIds,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    insert_id: String,
    text_payload: &'a str,
    resource: Resource,
    timestamp: String,
    severity: &'static str,
    log_name: String,
    receive_timestamp: String,
}

#[derive(Serialize)]
struct Resource {
    r#type: &'static str,
    labels: Map<String, Value>,
}

impl<W: Write> RunLogWriter<W> {
    /// Entries go to `out` at the clock's dates. The seed keeps the `insertId`s of two runs apart.
    pub fn new(out: W, clock: WallClock, seed: u64) -> Self {
        // Not the numbers of the NAT log, which begins at the seed itself.
        RunLogWriter { out, clock, insert_ids: InsertIds::new(!seed) }
    }

    /// Writes one line.
    ///
    /// # Errors
    /// When `out` does not take it.
    pub fn write(&mut self, entry: &RunLogEntry<'_>) -> io::Result<()> {
        let line = Line {
            insert_id: self.insert_ids.next_id(),
            text_payload: entry.text,
            resource: resource(entry),
            timestamp: self.clock.nanos(entry.at).to_string(),
            severity: entry.severity,
            log_name: format!("projects/{PROJECT}/logs/run.googleapis.com%2Fvarlog%2Fsystem"),
            receive_timestamp: self.clock.nanos(entry.at + RECEIVE_DELAY).to_string(),
        };
        serde_json::to_writer(&mut self.out, &line)?;
        self.out.write_all(b"\n")
    }

    /// Hands the output back.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// The monitored resource (<https://cloud.google.com/monitoring/api/resources>, 2026): a function of the 2nd generation is a
/// Cloud Run revision.
fn resource(entry: &RunLogEntry<'_>) -> Resource {
    let (r#type, own): (_, &[(&str, &str)]) = match entry.kind {
        WorkloadKind::Service | WorkloadKind::Function => (
            "cloud_run_revision",
            &[
                ("service_name", entry.workload),
                ("revision_name", entry.revision),
                ("configuration_name", entry.workload),
            ],
        ),
        WorkloadKind::Job => ("cloud_run_job", &[("job_name", entry.workload)]),
        WorkloadKind::WorkerPool => {
            ("cloud_run_worker_pool", &[("worker_pool_name", entry.workload), ("revision_name", entry.revision)])
        }
    };
    let common = [("project_id", PROJECT), ("location", entry.region)];
    let labels = common.iter().chain(own).map(|(label, value)| ((*label).to_owned(), (*value).into()));
    Resource { r#type, labels: labels.collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_an_entry_of_cloud_runs_system_log() {
        let mut writer = RunLogWriter::new(Vec::new(), WallClock::default(), 1);
        let entry = RunLogEntry {
            at: Duration::from_millis(1_500),
            severity: "ERROR",
            text: "Instance failed to start",
            kind: WorkloadKind::Service,
            workload: "api",
            revision: "api-00001-abc",
            region: "us-central1",
        };
        writer.write(&entry).unwrap();
        let mut line: Value = serde_json::from_slice(&writer.into_inner()).unwrap();
        assert_eq!(line["insertId"].take().as_str().map(str::len), Some(14));
        assert_eq!(
            line,
            json!({
                "insertId": null,
                "textPayload": "Instance failed to start",
                "resource": {
                    "type": "cloud_run_revision",
                    "labels": {
                        "project_id": "egressim",
                        "location": "us-central1",
                        "service_name": "api",
                        "revision_name": "api-00001-abc",
                        "configuration_name": "api"
                    }
                },
                "timestamp": "2026-10-01T00:00:01.500000000Z",
                "severity": "ERROR",
                "logName": "projects/egressim/logs/run.googleapis.com%2Fvarlog%2Fsystem",
                "receiveTimestamp": "2026-10-01T00:00:04.930000000Z"
            })
        );
    }
}
