//! Cloud NAT's log as exported from Cloud Logging, read back as the connections that it records.
//!
//! One entry is a new connection (`OK`) or a packet that got no port (`DROPPED`). Google's own examples and real entries
//! differ: `protocol` is a number or a name, the router `router_name` or `cloud_router`. Both are read, as a JSON array
//! (`gcloud logging read --format=json`) or one object after the other (a sink's files), in any order. Entries of other logs
//! are passed over. What cannot be read is told with its place, and too much of it ends the reading.
//!
//! Entries of one sender, port and destination that follow a `DROPPED` one within 150 s are a client that tries
//! again: they are one connection. A log has no ends, and not every entry: Google writes 50 to 100 a second and vCPU.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Deserializer};
use serde_json::{Deserializer as Json, Value};
use thiserror::Error;

use crate::scenario::diagnostic::{Diagnostic, Diagnostics, FileId, Place, Sources};
use crate::time::nanos;
use crate::traffic::logged::LoggedConnection;
use crate::wire::{FiveTuple, Protocol};

/// Entries that cannot be read before it is given up: such a file is something else.
pub const MAX_BAD: usize = 20;
/// Of these, as many are shown.
const MAX_SHOWN: usize = 3;
/// Bytes of a file: a million entries, which is an hour of 200 connections a second and some to spare.
pub const LONGEST: u64 = 1 << 30;
/// A client's SYNs come within this time: Linux gives up after 131 s.
const GIVEN_UP: Duration = Duration::from_secs(150);

/// Why logs cannot be used.
#[derive(Debug, Error)]
pub enum LogError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is longer than [`LONGEST`].
    #[error("{} has more than {} MiB: export the log of a shorter time, or without other entries (logName:nat_flows)", path.display(), LONGEST >> 20)]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// More than [`MAX_BAD`] entries cannot be read.
    #[error("{} has more than {MAX_BAD} entries that cannot be read; is it Cloud NAT's log, exported as JSON?", path.display())]
    TooManyBad {
        /// The file.
        path: PathBuf,
        /// The first of them.
        findings: Diagnostics,
    },
    /// There is nothing in it.
    #[error("no entry of Cloud NAT's log (nat_flows) in {}: export it with `gcloud logging read --format=json`", path.display())]
    Empty {
        /// The first file.
        path: PathBuf,
        /// What else is in it.
        findings: Diagnostics,
    },
}

impl LogError {
    /// Entries that cannot be read, as far as they are to be shown.
    pub fn findings(&self) -> Option<&Diagnostics> {
        match self {
            LogError::TooManyBad { findings, .. } | LogError::Empty { findings, .. } => Some(findings),
            _ => None,
        }
    }
}

/// What logs hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Logged {
    /// Connections in order of their beginning.
    pub connections: Vec<LoggedConnection>,
    /// Who sends: `vm_name` and address, in order of appearance. Connections name them by their position.
    pub endpoints: Vec<(String, Ipv4Addr)>,
    /// Time of the first entry, in nanoseconds since 1970.
    pub start: u64,
    /// Entries of connections.
    pub ok: u64,
    /// Entries of packets that got no port.
    pub dropped: u64,
    /// Entries of other logs.
    pub others: u64,
    /// Entries that cannot be read.
    pub bad: u64,
    /// Times after which a NAT IP and port served the same destination again, in ascending order: no TCP connection that came
    /// before lived longer than this, less TIME_WAIT.
    pub reused_after: Vec<Duration>,
}

/// Gaps of which the median is worth something.
const ENOUGH_GAPS: usize = 10;
/// How long a connection lives of which nothing tells: the shortest of Cloud NAT's idle timers, by default.
const LIFETIME: Duration = Duration::from_secs(30);

impl Logged {
    /// How long its connections live, as far as it tells by ports that are used again.
    pub fn lifetime(&self, time_wait: Duration) -> Duration {
        match self.median_reuse() {
            Some(gap) => gap.saturating_sub(time_wait),
            None => LIFETIME,
        }
    }

    /// The median of the times after which a NAT port served the same destination again, if there are enough of them.
    pub fn median_reuse(&self) -> Option<Duration> {
        let gaps = &self.reused_after;
        (gaps.len() >= ENOUGH_GAPS).then(|| gaps[gaps.len() / 2])
    }

    /// Leaves out connections of endpoints that do not count. Returns how many endpoints and connections these were.
    pub fn keep(&mut self, counts: impl Fn(Ipv4Addr) -> bool) -> (usize, usize) {
        let (endpoints, connections) = (self.endpoints.len(), self.connections.len());
        let mut numbers = Vec::new();
        let mut kept = 0;
        for (_, address) in &self.endpoints {
            numbers.push(counts(*address).then_some(kept));
            kept += usize::from(counts(*address));
        }
        self.endpoints.retain(|(_, address)| counts(*address));
        self.connections.retain_mut(|connection| match numbers[connection.endpoint] {
            Some(number) => {
                connection.endpoint = number;
                true
            }
            None => false,
        });
        (endpoints - self.endpoints.len(), connections - self.connections.len())
    }
}

/// An entry, as far as it matters.
#[derive(Deserialize)]
struct Entry {
    timestamp: String,
    #[serde(rename = "jsonPayload")]
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    connection: Connection,
    endpoint: Option<Endpoint>,
    allocation_status: Status,
}

#[derive(Deserialize)]
struct Connection {
    src_ip: Ipv4Addr,
    #[serde(deserialize_with = "number")]
    src_port: u16,
    dest_ip: Ipv4Addr,
    #[serde(deserialize_with = "number")]
    dest_port: u16,
    #[serde(deserialize_with = "protocol")]
    protocol: Protocol,
    nat_ip: Option<Ipv4Addr>,
    #[serde(default, deserialize_with = "some_number")]
    nat_port: Option<u16>,
}

#[derive(Deserialize)]
struct Endpoint {
    vm_name: Option<String>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Ok,
    Dropped,
}

/// A number, or its digits as a text, as some exports have it.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let number = number.and_then(|number| u16::try_from(number).ok());
    number.ok_or_else(|| serde::de::Error::custom(format!("found {value}, expected a port: 0 to 65535")))
}

fn some_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    number(deserializer).map(Some)
}

fn protocol<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Protocol, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_ascii_lowercase);
    match text.as_str() {
        "6" | "tcp" => Ok(Protocol::Tcp),
        "17" | "udp" => Ok(Protocol::Udp),
        _ => Err(serde::de::Error::custom(format!("found {value}, expected protocol 6 (tcp) or 17 (udp)"))),
    }
}

/// One entry with its time.
struct Event {
    time: u64,
    endpoint: usize,
    tuple: FiveTuple,
    ok: bool,
    outside: Option<(Ipv4Addr, u16)>,
}

/// Reads files of Cloud NAT's log. What cannot be read is among the findings, which point into `sources`.
///
/// # Errors
/// When a file cannot be read, or is no such log.
pub fn read(paths: &[PathBuf], sources: &mut Sources) -> Result<(Logged, Diagnostics), LogError> {
    let mut reader = Reader::default();
    for path in paths {
        let unreadable = |source| LogError::Unreadable { path: path.clone(), source };
        let source: Box<dyn Read> = match path == Path::new("-") {
            true => Box::new(std::io::stdin().lock()),
            false => Box::new(File::open(path).map_err(unreadable)?),
        };
        let mut bytes = Vec::new();
        source.take(LONGEST + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > LONGEST {
            return Err(LogError::TooLong { path: path.clone() });
        }
        let text = String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned());
        let file = sources.add(path.display().to_string(), text);
        reader.text(sources.text(file), file);
        if reader.findings.len() > MAX_BAD {
            reader.findings.truncate(MAX_SHOWN);
            let mut findings = Diagnostics::default();
            findings.extend(reader.findings);
            return Err(LogError::TooManyBad { path: path.clone(), findings });
        }
    }
    let mut findings = Diagnostics::default();
    let bad = reader.findings.len() as u64;
    findings.extend(std::mem::take(&mut reader.findings));
    let logged = Logged { bad, ..reader.finish() };
    match paths.first() {
        Some(path) if logged.connections.is_empty() => Err(LogError::Empty { path: path.clone(), findings }),
        _ => Ok((logged, findings)),
    }
}

#[derive(Default)]
struct Reader {
    events: Vec<Event>,
    endpoints: Vec<(String, Ipv4Addr)>,
    known: HashMap<(String, Ipv4Addr), usize>,
    others: u64,
    findings: Vec<Diagnostic>,
}

impl Reader {
    /// Reads one text: values one after the other, perhaps in brackets and with commas between them.
    fn text(&mut self, text: &str, file: FileId) {
        let mut at = 0;
        while self.findings.len() <= MAX_BAD {
            let between = |c: char| c.is_whitespace() || matches!(c, '[' | ']' | ',' | '\u{feff}');
            let rest = text[at..].trim_start_matches(between);
            at = text.len() - rest.len();
            if rest.is_empty() {
                return;
            }
            let mut values = Json::from_str(rest).into_iter::<Value>();
            let value = values.next();
            let length = values.byte_offset();
            let place = |end: usize| Place { file, start: at as u32, end: (at + end) as u32 };
            match value {
                Some(Ok(value)) => {
                    self.value(value, place(length));
                    at += length;
                }
                Some(Err(error)) => {
                    let line = rest.find('\n').unwrap_or(rest.len());
                    let what = error.to_string();
                    let what = what.split(" at line").next().unwrap_or_default();
                    let finding = bad(&format!("this is no JSON: {what}"), place(line));
                    self.findings.push(finding);
                    at = next_entry(text, at);
                }
                None => return,
            }
        }
    }

    fn value(&mut self, value: Value, place: Place) {
        let is_other = value["logName"].as_str().is_some_and(|name| !name.ends_with("nat_flows"));
        if is_other {
            self.others += 1;
            return;
        }
        let entry = match Entry::deserialize(value) {
            Ok(entry) => entry,
            Err(error) => return self.findings.push(bad(&error.to_string(), place)),
        };
        let Some(time) =
            humantime::parse_rfc3339(&entry.timestamp).ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        else {
            let what = format!("found timestamp {:?}, expected one such as 2026-10-01T00:00:00.25Z", entry.timestamp);
            return self.findings.push(bad(&what, place));
        };
        let Payload { connection, endpoint, allocation_status } = entry.payload;
        let name = endpoint.and_then(|endpoint| endpoint.vm_name).unwrap_or_default();
        let key = (name, connection.src_ip);
        let endpoint = *self.known.entry(key.clone()).or_insert_with(|| {
            self.endpoints.push(key);
            self.endpoints.len() - 1
        });
        self.events.push(Event {
            time: nanos(time),
            endpoint,
            tuple: FiveTuple {
                src: connection.src_ip,
                dst: connection.dest_ip,
                src_port: connection.src_port,
                dst_port: connection.dest_port,
                protocol: connection.protocol,
            },
            ok: allocation_status == Status::Ok,
            outside: connection.nat_ip.zip(connection.nat_port),
        });
    }

    fn finish(mut self) -> Logged {
        self.events.sort_by_key(|event| event.time);
        let start = self.events.first().map_or(0, |event| event.time);
        // Senders in order of appearance in time, whatever the order in the files.
        let mut order: Vec<Option<usize>> = vec![None; self.endpoints.len()];
        let mut logged = Logged { start, others: self.others, ..Logged::default() };
        let mut trying: HashMap<(usize, FiveTuple), u64> = HashMap::new();
        let mut used: HashMap<(Ipv4Addr, u16, Ipv4Addr, u16), u64> = HashMap::new();
        for Event { time, endpoint, tuple, ok, outside } in self.events {
            let endpoint = *order[endpoint].get_or_insert_with(|| {
                logged.endpoints.push(self.endpoints[endpoint].clone());
                logged.endpoints.len() - 1
            });
            *(if ok { &mut logged.ok } else { &mut logged.dropped }) += 1;
            if tuple.protocol == Protocol::Tcp
                && let Some((ip, port)) = outside
                && let Some(before) = used.insert((ip, port, tuple.dst, tuple.dst_port), time)
            {
                logged.reused_after.push(Duration::from_nanos(time - before));
            }
            let key = (endpoint, tuple);
            let again = trying.get(&key).is_some_and(|&last| time - last <= nanos(GIVEN_UP));
            if ok {
                trying.remove(&key);
            } else {
                trying.insert(key, time);
            }
            if !again {
                logged.connections.push(LoggedConnection { at: Duration::from_nanos(time - start), endpoint, tuple });
            }
        }
        logged.reused_after.sort_unstable();
        logged
    }
}

/// Where the next entry begins after one that is no JSON: on a line of its own, indented as much as this one.
fn next_entry(text: &str, at: usize) -> usize {
    let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let indent = &text[line..at];
    let next = if indent.trim().is_empty() { format!("\n{indent}{{") } else { "\n{".to_owned() };
    text[at..].find(&next).map_or(text.len(), |found| at + found)
}

fn bad(what: &str, place: Place) -> Diagnostic {
    Diagnostic::warning("bad-log-entry", format!("an entry of the log cannot be read: {what}"))
        .at(place)
        .help("export Cloud NAT's log with `gcloud logging read --format=json`; the entry is left out")
}
