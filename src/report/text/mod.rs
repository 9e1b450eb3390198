//! The summary as text for people: one screen, worst news easy to find.
//!
//! Numbers that are zero and dull are left out, long lists end in "… and N more": the rest is in `--format json`. Colour
//! only underlines what the words say.

mod bench;
mod diagnose;
mod exhaustions;
mod gateways;
mod observed;
#[cfg(test)]
mod tests;
mod traffic;

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

pub use bench::write_bench;
pub use diagnose::write_diagnosis;

use super::causes;
use super::summary::{
    CaptureFileSummary, CaptureSummary, ConnectorSummary, ExpectationResult, FullTrackingTable, Quantiles,
    SubnetworkSummary, Summary,
};
use super::words::{counted, listed, thousands, wrapped};

/// Lines are broken at this many columns.
const WIDTH: usize = 98;
const MAX_CAUSES: usize = 3;
const MAX_SUBNETWORKS: usize = 2;
const MAX_TABLES: usize = 3;
const MAX_EXPECTATIONS: usize = 4;
const MAX_CAPTURES: usize = 3;

/// Colours of the text.
#[derive(Debug, Clone, Copy, Default)]
pub struct TextStyle {
    heading: Style,
    good: Style,
    bad: Style,
    aside: Style,
}

impl TextStyle {
    /// No escape sequences at all.
    pub const fn plain() -> Self {
        TextStyle { heading: Style::new(), good: Style::new(), bad: Style::new(), aside: Style::new() }
    }

    /// For a terminal.
    pub const fn coloured() -> Self {
        TextStyle {
            heading: Style::new().bold(),
            good: AnsiColor::Green.on_default(),
            bad: AnsiColor::Red.on_default().bold(),
            aside: Style::new().dimmed(),
        }
    }
}

/// Writes the summary.
pub fn write_summary(out: &mut impl Write, summary: &Summary, style: TextStyle) -> io::Result<()> {
    let mut page = Page { out, style };
    page.headline(summary)?;
    page.packets_and_connections(summary)?;
    page.connectors(&summary.connectors)?;
    page.captures(summary.captures.as_ref())?;
    page.loads(&summary.traffic)?;
    page.gateways(&summary.gateways)?;
    page.observed(summary.observed.as_ref())?;
    page.subnetworks(&summary.subnetworks)?;
    page.full_tables(&summary.full_tracking_tables)?;
    page.causes(summary)?;
    page.expectations(&summary.expectations)
}

/// What is being written to, and how.
struct Page<'a, W> {
    out: &'a mut W,
    style: TextStyle,
}

impl<W: Write> Page<'_, W> {
    fn headline(&mut self, summary: &Summary) -> io::Result<()> {
        let heading = self.style.heading;
        let Summary { scenario, duration, seed, .. } = summary;
        writeln!(self.out, "{heading}{scenario}{heading:#}: {duration} simulated, seed {seed}")
    }

    fn packets_and_connections(&mut self, summary: &Summary) -> io::Result<()> {
        let packets = &summary.packets;
        if packets.sent > 0 {
            let fates = [
                (packets.delivered, "delivered"),
                (packets.dropped, "dropped"),
                (packets.in_flight, "on their way at the end"),
            ];
            let mut text = whole_and_parts(packets.sent, "sent", &fates);
            if packets.duplicated > 0 {
                text += &format!("; {} are copies made on the way", thousands(packets.duplicated));
            }
            self.line("Packets", &text)?;
        }
        let connections = &summary.connections;
        if connections.attempted == 0 {
            return Ok(());
        }
        let fates = [
            (connections.established, "established"),
            (connections.failed, "failed"),
            (connections.pending, "still trying at the end"),
        ];
        let mut text = whole_and_parts(connections.attempted, "attempted", &fates);
        if connections.broken > 0 {
            text += &format!("; {} broke later", thousands(connections.broken));
        }
        self.line("Connections", &text)?;
        if connections.established > 0 {
            self.line("", &times("connect time", connections.connect_time_ms))?;
        }
        self.requests(summary)
    }

    fn requests(&mut self, summary: &Summary) -> io::Result<()> {
        let Some(requests) = &summary.requests else { return Ok(()) };
        let fates =
            [(requests.succeeded, "succeeded"), (requests.failed, "failed"), (requests.pending, "not over at the end")];
        let mut text = whole_and_parts(requests.attempted, "attempted", &fates);
        if requests.retries > 0 {
            text += &format!("; {} tried again", counted(requests.retries, "call"));
        }
        self.line("Requests", &text)?;
        if requests.succeeded > 0 {
            self.line("", &times("latency", requests.latency_ms))?;
        }
        for service in &summary.autoscaled {
            let text = format!(
                "{}: {} at the end, {} at the peak, {} started",
                service.name,
                counted(service.instances.into(), "instance"),
                thousands(service.peak_instances.into()),
                thousands(service.starts.into()),
            );
            self.line("Autoscaling", &text)?;
        }
        Ok(())
    }

    fn connectors(&mut self, connectors: &[ConnectorSummary]) -> io::Result<()> {
        if connectors.is_empty() {
            return Ok(());
        }
        let each = connectors.iter().map(|connector| {
            let instances = counted(connector.instances.into(), "instance");
            format!("{} with {instances}", connector.name)
        });
        let label = if connectors.len() == 1 { "Connector" } else { "Connectors" };
        self.line(label, &each.collect::<Vec<_>>().join(", "))
    }

    fn subnetworks(&mut self, subnetworks: &[SubnetworkSummary]) -> io::Result<()> {
        let mut short: Vec<_> = subnetworks.iter().filter(|subnet| subnet.failed_instance_starts > 0).collect();
        if short.is_empty() {
            return Ok(());
        }
        short.sort_by_key(|subnet| std::cmp::Reverse(subnet.failed_instance_starts));
        self.heading("Subnets without room", "")?;
        let (shown, hidden) = short.split_at(short.len().min(MAX_SUBNETWORKS));
        for subnet in shown {
            let text = format!(
                "{}: {} did not start for lack of addresses; {} held at the peak, {} at the end",
                subnet.name,
                counted(subnet.failed_instance_starts.into(), "instance"),
                counted(subnet.peak_held_addresses.into(), "address"),
                thousands(subnet.held_addresses.into()),
            );
            self.bad_news(&text)?;
        }
        self.more(hidden.len(), "subnet")
    }

    fn full_tables(&mut self, tables: &[FullTrackingTable]) -> io::Result<()> {
        if tables.is_empty() {
            return Ok(());
        }
        self.heading("Full tables of the firewall", "")?;
        let mut worst: Vec<_> = tables.iter().collect();
        worst.sort_by_key(|table| std::cmp::Reverse(table.refused));
        let (shown, hidden) = worst.split_at(worst.len().min(MAX_TABLES));
        for table in shown {
            let text = format!(
                "{} in {}: {} tracked, as many as it can; {} of others dropped",
                table.interface,
                table.network,
                counted(table.tracked_max.into(), "connection"),
                counted(table.refused, "packet"),
            );
            self.bad_news(&text)?;
        }
        self.more(hidden.len(), "interface")
    }

    /// What the causes mean that packets were dropped or connections failed for.
    fn causes(&mut self, summary: &Summary) -> io::Result<()> {
        let mut counts: BTreeMap<&str, (u64, u64, u64)> = BTreeMap::new();
        for (cause, &packets) in &summary.packets.dropped_by {
            counts.entry(cause).or_default().0 = packets;
        }
        for (cause, &connections) in &summary.connections.failed_by {
            counts.entry(cause).or_default().1 = connections;
        }
        for (cause, &requests) in summary.requests.iter().flat_map(|requests| &requests.failed_by) {
            counts.entry(cause).or_default().2 = requests;
        }
        let mut causes: Vec<_> = counts.into_iter().filter(|(_, count)| *count != (0, 0, 0)).collect();
        if causes.is_empty() {
            return Ok(());
        }
        // What broke most connections comes first; stray packets that hurt nobody come last.
        causes
            .sort_by_key(|&(_, (packets, connections, requests))| std::cmp::Reverse((connections, requests, packets)));
        self.heading("Causes", "")?;
        let (shown, hidden) = causes.split_at(causes.len().min(MAX_CAUSES));
        for &(cause, (packets, connections, requests)) in shown {
            let mut harm = Vec::new();
            if packets > 0 {
                harm.push(counted(packets, "packet"));
            }
            if connections > 0 {
                harm.push(counted(connections, "connection"));
            }
            if requests > 0 {
                harm.push(counted(requests, "request"));
            }
            let explanation = causes::explanation(cause).map(|explanation| format!(": {explanation}"));
            let text = format!("({}){}", harm.join(", "), explanation.unwrap_or_default());
            self.item(cause, self.style.bad, &text)?;
        }
        self.more(hidden.len(), "cause")
    }

    /// All of a few; of many, those that were not met.
    fn expectations(&mut self, expectations: &[ExpectationResult]) -> io::Result<()> {
        if expectations.is_empty() {
            return Ok(());
        }
        let (met, unmet): (Vec<_>, Vec<_>) = expectations.iter().partition(|expectation| expectation.met);
        let score = format!("{} of {} met", met.len(), expectations.len());
        self.heading("Expectations:", &score)?;
        let (shown, hidden) = unmet.split_at(unmet.len().min(MAX_EXPECTATIONS));
        for expectation in shown {
            let ExpectationResult { path, expected, actual, note, .. } = expectation;
            match note {
                Some(note) => self.bad_news(&format!("{path} {expected}: {note}"))?,
                None => self.bad_news(&format!("{path} {expected}: it is {actual}"))?,
            }
        }
        self.more(hidden.len(), "unmet expectation")?;
        if expectations.len() <= MAX_EXPECTATIONS {
            for expectation in met {
                self.good_news(&format!("{} {}", expectation.path, expectation.expected))?;
            }
        }
        Ok(())
    }

    fn captures(&mut self, captures: Option<&CaptureSummary>) -> io::Result<()> {
        let Some(captures) = captures else {
            return Ok(());
        };
        let records = captures.files.iter().map(|file| file.records).sum();
        let mut text = match captures.files.as_slice() {
            [only] => only.path.clone(),
            files => counted(files.len() as u64, "file"),
        };
        text += &format!(
            ": {}, {} of {}",
            counted(records, "record"),
            counted(captures.flows, "flow"),
            counted(captures.clients, "client")
        );
        let skipped = by_count(&captures.skipped);
        if !skipped.is_empty() {
            text += &format!("; not replayed: {}", listed(&skipped));
        }
        let label = if captures.files.len() == 1 { "Capture" } else { "Captures" };
        self.line(label, &text)?;
        if captures.above_mtu > 0 {
            let count = counted(captures.above_mtu, "packet");
            let text = format!(
                "{count} of more than 1,460 bytes, Cloud Run's MTU: instances would send more and smaller ones"
            );
            self.item("·", self.style.aside, &text)?;
        }

        let is_remarkable =
            |file: &&CaptureFileSummary| file.damage.is_some() || file.oddities.values().any(|&count| count > 0);
        let mut remarkable: Vec<_> = captures.files.iter().filter(is_remarkable).collect();
        remarkable.sort_by_key(|file| file.damage.is_none());
        let (shown, hidden) = remarkable.split_at(remarkable.len().min(MAX_CAPTURES));
        for file in shown {
            if let Some(damage) = &file.damage {
                self.bad_news(&format!("{}: {damage}; the rest is lost", file.path))?;
            }
            let oddities = by_count(&file.oddities);
            if !oddities.is_empty() {
                self.item("·", self.style.aside, &format!("{}: tolerated {}", file.path, listed(&oddities)))?;
            }
        }
        self.more(hidden.len(), "file")
    }

    /// A labelled line of the overview.
    fn line(&mut self, label: &str, text: &str) -> io::Result<()> {
        const LABEL: usize = 13;
        let heading = self.style.heading;
        let mut label = format!("{heading}{label:<LABEL$}{heading:#}");
        for line in wrapped(text, WIDTH - LABEL, 0) {
            writeln!(self.out, "{label}{line}")?;
            label = " ".repeat(LABEL);
        }
        Ok(())
    }

    /// The first line of a section, after an empty one.
    fn heading(&mut self, title: &str, rest: &str) -> io::Result<()> {
        let heading = self.style.heading;
        let rest = wrapped(rest, WIDTH, title.chars().count() + 1).join("\n    ");
        let space = if rest.is_empty() { "" } else { " " };
        writeln!(self.out, "\n{heading}{title}{heading:#}{space}{rest}")
    }

    /// A paragraph of a section that begins with a word in colour. Further lines are indented.
    fn item(&mut self, mark: &str, style: Style, text: &str) -> io::Result<()> {
        const INDENT: usize = 4;
        let mark_width = mark.chars().count() + 1;
        // The first line begins two columns to the left of the others.
        let lines = wrapped(text, WIDTH - INDENT, (mark_width + 2).saturating_sub(INDENT));
        for (i, line) in lines.iter().enumerate() {
            match i {
                0 => writeln!(self.out, "  {style}{mark}{style:#} {line}")?,
                _ => writeln!(self.out, "{:INDENT$}{line}", "")?,
            }
        }
        Ok(())
    }

    fn bad_news(&mut self, text: &str) -> io::Result<()> {
        self.item("✗", self.style.bad, text)
    }

    fn good_news(&mut self, text: &str) -> io::Result<()> {
        self.item("✓", self.style.good, text)
    }

    /// `… and 3 more loads`, when there are some.
    fn more(&mut self, hidden: usize, what: &str) -> io::Result<()> {
        if hidden == 0 {
            return Ok(());
        }
        let aside = self.style.aside;
        let more = counted(hidden as u64, &format!("more {what}"));
        writeln!(self.out, "  {aside}… and {more} in --format json{aside:#}")
    }
}

/// The longest text's width.
fn widest(texts: &[impl AsRef<str>]) -> usize {
    texts.iter().map(|text| text.as_ref().chars().count()).max().unwrap_or(0)
}

/// `12 sent: 11 delivered, 1 dropped`, `12 sent, all delivered`.
fn whole_and_parts(whole: u64, what: &str, parts: &[(u64, &str)]) -> String {
    let all = parts.iter().find(|(part, _)| *part == whole);
    let parts = match all {
        Some((1, fate)) => format!(" and {fate}"),
        Some((_, fate)) => format!(", all {fate}"),
        None => format!(": {}", some_of(parts).join(", ")),
    };
    format!("{} {what}{parts}", thousands(whole))
}

/// `1,200 delivered` for each that is not zero.
fn some_of(counts: &[(u64, &str)]) -> Vec<String> {
    let some = counts.iter().filter(|(count, _)| *count > 0);
    some.map(|(count, what)| format!("{} {what}", thousands(*count))).collect()
}

/// `1,200 ARP` for each that is not zero, the largest first.
fn by_count(counts: &BTreeMap<String, u64>) -> Vec<String> {
    let mut counts: Vec<_> = counts.iter().map(|(what, &count)| (count, what.as_str())).collect();
    counts.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    some_of(&counts)
}

fn times(what: &str, times: Quantiles) -> String {
    if times.p50 == times.max {
        return format!("{what} {}", milliseconds(times.max));
    }
    format!(
        "{what} {} median, {} p90, {} p99, {} at most",
        milliseconds(times.p50),
        milliseconds(times.p90),
        milliseconds(times.p99),
        milliseconds(times.max)
    )
}

/// Tenths below 10 ms, whole milliseconds below 10 s, tenths of a second from there.
fn milliseconds(ms: f64) -> String {
    if ms < 9.95 {
        format!("{ms:.1} ms")
    } else if ms < 9_999.5 {
        format!("{} ms", thousands(ms.round() as u64))
    } else {
        format!("{:.1} s", ms / 1_000.0)
    }
}
