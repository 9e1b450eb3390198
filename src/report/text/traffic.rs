//! Loads in the text summary: a table, one line each.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::super::summary::TrafficSummary;
use super::super::words::thousands;
use super::{Page, widest};

const MAX_LOADS: usize = 5;

/// A column of numbers.
struct Column {
    title: &'static str,
    numbers: Vec<String>,
    width: usize,
}

impl Column {
    /// `None` when there is nothing in it but zeros.
    fn new(title: &'static str, numbers: impl Iterator<Item = u64>) -> Option<Self> {
        let numbers: Vec<u64> = numbers.collect();
        if numbers.iter().all(|&number| number == 0) {
            return None;
        }
        let numbers: Vec<String> = numbers.into_iter().map(thousands).collect();
        let width = widest(&numbers).max(title.len());
        Some(Column { title, numbers, width })
    }
}

impl<W: Write> Page<'_, W> {
    pub(super) fn loads(&mut self, loads: &[TrafficSummary]) -> io::Result<()> {
        let (shown, hidden) = worst(loads);
        let Some(first) = shown.first() else {
            return Ok(());
        };
        // Most scenarios have one workload: its name need not stand in every line.
        let same_sender = shown.iter().all(|load| load.from == first.from);
        let title = match same_sender {
            true => format!("Traffic from {}", first.from),
            false => "Traffic".to_owned(),
        };
        let routes = shown.iter().map(|load| match same_sender {
            true => format!("to {}", load.to),
            false => format!("{} → {}", load.from, load.to),
        });
        let routes: Vec<String> = routes.collect();
        let columns = [
            Column::new("attempted", shown.iter().map(|load| load.attempted)),
            Column::new("established", shown.iter().map(|load| load.established)),
            Column::new("failed", shown.iter().map(|load| load.failed)),
            Column::new("pending", shown.iter().map(|load| load.pending)),
            Column::new("broken", shown.iter().map(|load| load.broken)),
        ];
        let columns: Vec<Column> = columns.into_iter().flatten().collect();

        let names: Vec<&str> = shown.iter().map(|load| load.name.as_str()).collect();
        let name_width = widest(&names);
        let left_width = (4 + name_width + widest(&routes)).max(widest(&[&title]));
        let route_width = left_width - 4 - name_width;
        let (heading, bad) = (self.style.heading, self.style.bad);

        write!(self.out, "\n{heading}{title:<left_width$}{heading:#}")?;
        for column in &columns {
            write!(self.out, "  {:>width$}", column.title, width = column.width)?;
        }
        writeln!(self.out)?;
        for (i, load) in shown.iter().enumerate() {
            let route = &routes[i];
            write!(self.out, "  {:<name_width$}  {route:<route_width$}", load.name)?;
            for column in &columns {
                write!(self.out, "  {:>width$}", column.numbers[i], width = column.width)?;
            }
            match main_cause(&load.failed_by) {
                Some(cause) => writeln!(self.out, "  {bad}{cause}{bad:#}")?,
                None => writeln!(self.out)?,
            }
        }
        self.more(hidden, "load")
    }
}

/// The loads that fared worst, in the order of the file, and the number of the others that sent something.
fn worst(loads: &[TrafficSummary]) -> (Vec<&TrafficSummary>, usize) {
    let mut order: Vec<usize> = (0..loads.len()).filter(|&i| loads[i].attempted > 0).collect();
    order.sort_by_key(|&i| Reverse(loads[i].failed + loads[i].broken));
    let hidden = order.len().saturating_sub(MAX_LOADS);
    order.truncate(MAX_LOADS);
    order.sort_unstable();
    (order.into_iter().map(|i| &loads[i]).collect(), hidden)
}

/// The cause of most failures, and whether there are others.
fn main_cause(failed_by: &BTreeMap<String, u64>) -> Option<String> {
    let causes = failed_by.iter().filter(|(_, count)| **count > 0);
    // Of equal counts the first by name.
    let (main, _) = causes.clone().rev().max_by_key(|(_, count)| **count)?;
    Some(match causes.count() {
        1 => main.clone(),
        _ => format!("mostly {main}"),
    })
}
