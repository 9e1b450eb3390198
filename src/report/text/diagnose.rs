//! A diagnosis in text: the answer in three lines, then each cause with what shows it and what was tried.

use std::io::{self, Write};

use super::super::diagnose::{Cause, Diagnosis, Example, LogsRead, Remedy, Tuple};
use super::super::words::{counted, listed, thousands, wrapped};
use super::{Page, TextStyle, WIDTH};

/// Causes that are shown.
const MAX_CAUSES: usize = 5;
/// Remedies of a cause that do not suffice and are shown.
const MAX_INSUFFICIENT: usize = 6;
/// Side effects of a remedy that are shown.
const MAX_EFFECTS: usize = 4;
const INDENT: usize = 4;

/// Writes a diagnosis.
pub fn write_diagnosis(out: &mut impl Write, diagnosis: &Diagnosis, style: TextStyle) -> io::Result<()> {
    let mut page = Page { out, style };
    page.answer(diagnosis)?;
    let (shown, hidden) = diagnosis.causes.split_at(diagnosis.causes.len().min(MAX_CAUSES));
    for (number, cause) in shown.iter().enumerate() {
        page.cause(number + 1, cause)?;
    }
    page.more(hidden.len(), "cause")?;
    page.diagnosis_notes(diagnosis)
}

impl<W: Write> Page<'_, W> {
    /// What failed, why, and what ends it.
    fn answer(&mut self, diagnosis: &Diagnosis) -> io::Result<()> {
        let TextStyle { heading, .. } = self.style;
        writeln!(self.out, "{heading}{}{heading:#}: {}", diagnosis.scenario, what_failed(diagnosis))?;
        let Some(worst) = diagnosis.causes.first() else { return Ok(()) };
        self.answer_line("Why", &why(worst, diagnosis.causes.len()))?;
        self.answer_line("Cure", &cure(diagnosis))
    }

    fn answer_line(&mut self, label: &str, text: &str) -> io::Result<()> {
        let heading = self.style.heading;
        let text = shortened(text, WIDTH - 6);
        writeln!(self.out, "{heading}{label:<6}{heading:#}{text}")
    }

    fn cause(&mut self, number: usize, cause: &Cause) -> io::Result<()> {
        let rule = cause.rule_number.map(|rule| format!(", rule {rule}")).unwrap_or_default();
        let title = format!("{number}. {} ({}) at {}{rule}:", cause.cause, cause.kind, cause.r#where);
        self.heading(&title, &cause.title)?;
        self.paragraph(&format!(
            "{}, {} to {}{}",
            harm(cause),
            spaced(&cause.from),
            spaced(&cause.to),
            of_loads(cause)
        ))?;
        if let Some(finding) = &cause.evidence.finding {
            self.paragraph(finding)?;
        }
        if let Some(starts) = cause.evidence.failed_instance_starts {
            self.paragraph(&format!("{} did not start for lack of addresses", counted(starts.into(), "instance")))?;
        }
        if let Some(example) = &cause.example {
            self.paragraph(&format!("for example {}", example_text(example)))?;
        }
        self.log(cause)?;
        if cause.remedies.is_empty() {
            let advice = cause.advice.as_deref().unwrap_or("there is no setting of Google Cloud's that ends it");
            return self.item("→", self.style.aside, &format!("not simulated: {advice}"));
        }
        self.remedies(&cause.remedies)?;
        match &cause.advice {
            Some(advice) => self.item("→", self.style.aside, &format!("nothing that was tried ends it; {advice}")),
            None => Ok(()),
        }
    }

    fn log(&mut self, cause: &Cause) -> io::Result<()> {
        let Some(log) = &cause.evidence.log else { return Ok(()) };
        match (&log.note, log.first_line, log.last_line) {
            (Some(note), ..) => self.paragraph(&format!("no line of nat_flows.jsonl shows it: {note}")),
            (None, Some(first), Some(last)) => {
                let lines = if first == last { format!("line {first}") } else { format!("lines {first} to {last}") };
                self.paragraph(&format!(
                    "nat_flows.jsonl: {} in {lines}",
                    counted(log.count, "DROPPED entry").replace("entrys", "entries")
                ))
            }
            _ => Ok(()),
        }
    }

    fn remedies(&mut self, remedies: &[Remedy]) -> io::Result<()> {
        let aside = self.style.aside;
        let before = remedies.first().map(|remedy| match remedy.failures_before {
            0 => format!("late connections were {}", thousands(remedy.slow_before)),
            failures => format!("failures were {}", thousands(failures)),
        });
        writeln!(self.out, "  {aside}tried, with the same traffic; {}:{aside:#}", before.unwrap_or_default())?;
        let (sufficient, others): (Vec<_>, Vec<_>) = remedies.iter().partition(|remedy| remedy.sufficient);
        for remedy in sufficient {
            self.remedy("✓", self.style.good, remedy)?;
        }
        let (shown, hidden) = others.split_at(others.len().min(MAX_INSUFFICIENT));
        for remedy in shown {
            self.remedy("✗", self.style.bad, remedy)?;
        }
        self.more(hidden.len(), "insufficient remedy")
    }

    fn remedy(&mut self, mark: &str, style: anstyle::Style, remedy: &Remedy) -> io::Result<()> {
        let mut text = match &remedy.refused {
            Some(why) => format!("{}: not possible, {why}", remedy.change),
            None => format!("{}: {}", remedy.change, left(remedy)),
        };
        if remedy.pending_after > remedy.pending_before && remedy.refused.is_none() {
            text += &format!(", {} still trying at the end", thousands(remedy.pending_after));
        }
        if remedy.slow_after != remedy.slow_before && remedy.refused.is_none() && remedy.failures_before > 0 {
            text += &format!(", slow {} -> {}", thousands(remedy.slow_before), thousands(remedy.slow_after));
        }
        if remedy.sufficient && !remedy.side_effects.is_empty() {
            let shown = remedy.side_effects.len().min(MAX_EFFECTS);
            text += &format!(" ({})", remedy.side_effects[..shown].join("; "));
        }
        self.item(mark, style, &text)
    }

    fn diagnosis_notes(&mut self, diagnosis: &Diagnosis) -> io::Result<()> {
        if let Some(together) = &diagnosis.together {
            self.heading("All together:", &left(together))?;
            let (mark, style) = if together.sufficient { ("✓", self.style.good) } else { ("✗", self.style.bad) };
            self.item(mark, style, &together.change)?;
        }
        writeln!(self.out)?;
        if let Some(logs) = &diagnosis.logs {
            self.item("·", self.style.aside, &logs_text(logs, diagnosis.summary.packets.dropped))?;
        }
        let runs = counted(diagnosis.simulations, "run");
        let patch = if diagnosis.causes.iter().any(|cause| !cause.remedies.is_empty()) {
            "; each remedy's JSON Patch against what `egressim check --format json` prints is in --format json"
        } else {
            ""
        };
        self.item("·", self.style.aside, &format!("{runs}, seed {}{patch}", diagnosis.seed))?;
        for note in &diagnosis.notes {
            self.item("·", self.style.aside, note)?;
        }
        Ok(())
    }

    /// An indented paragraph.
    fn paragraph(&mut self, text: &str) -> io::Result<()> {
        for (number, line) in wrapped(text, WIDTH - INDENT, 0).iter().enumerate() {
            let indent = if number == 0 { 2 } else { INDENT };
            writeln!(self.out, "{:indent$}{line}", "")?;
        }
        Ok(())
    }
}

/// `511 of 4,600 connections failed, 3 broke later`
fn what_failed(diagnosis: &Diagnosis) -> String {
    let Diagnosis { attempted, failed, broken, slow, .. } = diagnosis;
    let of = counted(*attempted, "connection");
    let mut text = match (failed, broken) {
        (0, 0) => format!("none of {of} failed"),
        (failed, 0) => format!("{} of {of} failed", thousands(*failed)),
        (0, broken) => format!("{} of {of} broke after they were established", thousands(*broken)),
        (failed, broken) => format!("{} of {of} failed, {} broke later", thousands(*failed), thousands(*broken)),
    };
    if *slow > 0 {
        text += &format!("; {} came late", thousands(*slow));
    }
    text
}

fn why(worst: &Cause, causes: usize) -> String {
    let mut text = format!("{} ({})", worst.title, worst.r#where);
    if causes > 1 {
        text += &format!("; {} more", counted(causes as u64 - 1, "cause"));
    }
    text
}

fn cure(diagnosis: &Diagnosis) -> String {
    if let Some(together) = &diagnosis.together {
        let what = if together.sufficient { "ends all of them" } else { "helps most" };
        return format!("{what}: {} ({})", together.change, left(together));
    }
    let first = diagnosis.causes.iter().flat_map(|cause| cause.remedies.first()).next();
    match first {
        Some(remedy) if remedy.sufficient => format!("{} ({})", remedy.change, left(remedy)),
        Some(remedy) if remedy.failures_after < remedy.failures_before => {
            format!("nothing that was tried ends it; with {}: {}", remedy.change, left(remedy))
        }
        Some(_) => "nothing that was tried ends it".to_owned(),
        None => diagnosis.causes.first().and_then(|cause| cause.advice.clone()).unwrap_or_else(|| "none known".into()),
    }
}

/// `12 failures left`; of a run in which nothing failed, `3 late`.
fn left(remedy: &Remedy) -> String {
    match (remedy.failures_before, remedy.failures_after) {
        (0, 0) => format!("{} late", thousands(remedy.slow_after)),
        (_, failures) => format!("{} left", counted(failures, "failure")),
    }
}

/// `505 failed, 3 broke, 20 came late`
fn harm(cause: &Cause) -> String {
    let parts = [
        (cause.failed, "failed"),
        (cause.broken, "broke"),
        (cause.slow, "came late"),
        (cause.pending, "still tried at the end"),
    ];
    let some: Vec<_> = parts.iter().filter(|(count, _)| *count > 0).collect();
    let parts: Vec<_> = some
        .iter()
        .enumerate()
        .map(|(number, (count, what))| match number {
            0 => format!("{} {what}", counted(*count, "connection")),
            _ => format!("{} {what}", thousands(*count)),
        })
        .collect();
    parts.join(", ")
}

fn of_loads(cause: &Cause) -> String {
    let names: Vec<_> = cause.loads.iter().take(3).map(|load| load.name.clone()).collect();
    match cause.loads.len() {
        0 => String::new(),
        1..=3 => format!(", of {}", listed(&names)),
        more => format!(", of {} and {}", names.join(", "), counted(more as u64 - 3, "more load")),
    }
}

fn example_text(example: &Example) -> String {
    let tuple = |tuple: &Tuple| format!("{}:{} -> {}:{}", tuple.src_ip, tuple.src_port, tuple.dest_ip, tuple.dest_port);
    let mut text = match &example.instance {
        Some(instance) => format!("{instance} "),
        None => String::new(),
    };
    text += &example.inside.as_ref().map(tuple).unwrap_or_else(|| "a connection without a source".to_owned());
    text += &format!(" {}", example.protocol);
    if let Some(outside) = &example.outside {
        text += &format!(", outside {}:{}", outside.src_ip, outside.src_port);
    }
    text += &format!(": began {}", spaced(&example.start));
    if let Some(established) = &example.established {
        text += &format!(", established {}", spaced(established));
    }
    if example.drops.len() > 1 {
        let (first, last) = (&example.drops[0], &example.drops[example.drops.len() - 1]);
        text += &format!(", dropped {} to {}", spaced(&first.at), spaced(&last.at));
    }
    if let (Some(end), true) = (&example.end, example.outcome != "established") {
        text += &format!(", {} {}", example.outcome, spaced(end));
    }
    format!("{text}, {}", counted(example.attempts.into(), "attempt"))
}

/// `12.4s` as `12.4 s`.
fn spaced(time: &str) -> String {
    time.strip_suffix('s').map_or_else(|| time.to_owned(), |number| format!("{number} s"))
}

/// What the log has, beside what the run has made of it.
fn logs_text(logs: &LogsRead, dropped: u64) -> String {
    let mut text = format!(
        "{} of {} from {} OK and {} DROPPED entries, each assumed to live for {} (model.diagnose.logLifetime); \
         this run dropped {}",
        counted(logs.connections, "connection"),
        counted(logs.endpoints, "endpoint"),
        thousands(logs.ok),
        thousands(logs.dropped),
        spaced(&logs.assumed_lifetime),
        counted(dropped, "packet"),
    );
    if let Some(gap) = &logs.reused_after {
        text +=
            &format!("; half of the NAT ports that the log has again for a destination come within {}", spaced(gap));
    }
    if logs.connections_left_out > 0 {
        let (connections, endpoints) = (logs.connections_left_out, logs.endpoints_left_out);
        text += &format!(
            "; {} of {} in other subnets are left out (--from)",
            counted(connections, "connection"),
            counted(endpoints, "endpoint")
        );
    }
    text
}

/// At most so many columns: the answer has three lines.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let cut: String = text.chars().take(width - 1).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{}…", cut[..end].trim_end_matches([',', ';', ':']))
}
