//! A comparison of settings in text: one table, and what it shows.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;

use super::super::bench::{Bench, BenchRow, BenchSetting};
use super::super::words::{counted, listed, thousands};
use super::{Page, TextStyle, WIDTH, widest};

/// Writes a comparison.
pub fn write_bench(out: &mut impl Write, bench: &Bench, style: TextStyle) -> io::Result<()> {
    let mut page = Page { out, style };
    page.bench_headline(bench)?;
    page.bench_table(&bench.settings)?;
    page.bench_conclusion(bench)
}

/// A column of the table. Google's names are long: a title has three lines.
struct Column {
    title: [&'static str; 3],
    cells: Vec<String>,
    /// Spaces before it: two begin a new group.
    gap: usize,
    /// Whether red and green say which cells are zero.
    judged: bool,
}

impl Column {
    fn new(title: [&'static str; 3], gap: usize, cells: impl Iterator<Item = String>) -> Self {
        Column { title, cells: cells.collect(), gap, judged: false }
    }

    fn width(&self) -> usize {
        widest(&self.title).max(widest(&self.cells))
    }
}

/// The columns, without those that have nothing to say.
fn columns(rows: &[BenchRow]) -> Vec<Column> {
    fn cell(number: Option<impl ToString>) -> String {
        number.map_or_else(|| "mixed".to_owned(), |number| number.to_string())
    }
    let numbers = |title, gap, number: fn(&BenchRow) -> u64| {
        Column::new(title, gap, rows.iter().map(move |row| thousands(number(row))))
    };
    let settings = || rows.iter().map(|row| &row.setting);
    let mut columns = vec![
        Column::new(["min", "Ports", "PerVm"], 0, settings().map(|setting| cell(setting.min_ports_per_vm))),
        Column::new(
            ["max", "Ports", "PerVm"],
            1,
            settings().map(|setting| match setting.enable_dynamic_port_allocation {
                Some(false) => "static".to_owned(),
                _ => cell(setting.max_ports_per_vm),
            }),
        ),
        Column::new(
            ["tcpTime", "Wait", "TimeoutSec"],
            1,
            settings().map(|setting| cell(setting.tcp_time_wait_timeout_sec)),
        ),
        Column::new(
            ["natIps", "+ more", "needed"],
            1,
            rows.iter().map(|row| match row.min_extra_nat_ips_needed {
                0 => thousands(row.nat_ips),
                more => format!("{} + {}", thousands(row.nat_ips), thousands(more)),
            }),
        ),
    ];
    // The load is the same for all, so this is in the headline as a rule.
    if same_offer(rows).is_none() {
        columns.push(numbers(["", "", "offered"], 2, |row| row.offered));
    }
    columns.push(numbers(["", "", "accepted"], 2, |row| row.accepted));
    columns.push(Column { judged: true, ..numbers(["", "", "refused"], 1, |row| row.refused) });
    columns.push(Column::new(["", "", "%"], 1, rows.iter().map(share)));
    if rows.iter().any(|row| row.pending > 0) {
        columns.push(numbers(["", "still", "trying"], 1, |row| row.pending));
    }
    if rows.iter().any(|row| row.other_failures > 0) {
        columns.push(numbers(["", "failed", "else"], 1, |row| row.other_failures));
    }
    columns.push(numbers(["", "peak", "ports"], 2, |row| row.peak_allocated_ports.into()));
    columns.push(numbers(["", "peak", "use"], 1, |row| row.peak_port_usage.into()));
    columns.push(numbers(["", "packets", "dropped"], 2, |row| row.dropped_packets));
    let first = |row: &BenchRow| match row.first_refusal.as_deref() {
        Some(time) => time.strip_suffix('s').map_or_else(|| time.to_owned(), |seconds| format!("{seconds} s")),
        None => "—".to_owned(),
    };
    columns.push(Column::new(["", "first", "refusal"], 2, rows.iter().map(first)));
    // Large numbers need the space that tells the groups apart. One column more is for the mark.
    if 1 + columns.iter().map(|column| column.gap + column.width()).sum::<usize>() > WIDTH {
        columns.iter_mut().for_each(|column| column.gap = column.gap.min(1));
    }
    columns
}

/// Connections offered, if it is the same number in all rows.
fn same_offer(rows: &[BenchRow]) -> Option<u64> {
    let first = rows.first()?.offered;
    rows.iter().all(|row| row.offered == first).then_some(first)
}

/// Refused connections in per cent of those offered. Some is not nothing: it is `<0.1` at least.
fn share(row: &BenchRow) -> String {
    let per_cent = row.refused as f64 * 100.0 / row.offered.max(1) as f64;
    if row.refused > 0 && per_cent < 0.05 { "<0.1".to_owned() } else { format!("{per_cent:.1}") }
}

impl<W: Write> Page<'_, W> {
    fn bench_headline(&mut self, bench: &Bench) -> io::Result<()> {
        let heading = self.style.heading;
        let Bench { scenario, duration, seed, .. } = bench;
        let offered = same_offer(&bench.settings)
            .map(|offered| format!(", {} offered with each setting", counted(offered, "connection")));
        let offered = offered.unwrap_or_default();
        writeln!(self.out, "{heading}{scenario}{heading:#}: {duration} simulated, seed {seed}{offered}")?;
        let names: Vec<String> =
            bench.gateways.iter().map(|gateway| format!("{} (router {})", gateway.name, gateway.router)).collect();
        self.line(if names.len() == 1 { "Gateway" } else { "Gateways" }, &listed(&names))
    }

    fn bench_table(&mut self, rows: &[BenchRow]) -> io::Result<()> {
        let TextStyle { heading, good, bad, .. } = self.style;
        let columns = columns(rows);
        writeln!(self.out)?;
        for line in 0..3 {
            let titles = columns.iter().map(|column| {
                format!("{:gap$}{:>width$}", "", column.title[line], gap = column.gap, width = column.width())
            });
            let titles: String = titles.collect();
            writeln!(self.out, " {heading}{}{heading:#}", titles.trim_end())?;
        }
        for (at, row) in rows.iter().enumerate() {
            write!(self.out, "{}", if row.as_configured { "*" } else { " " })?;
            for column in &columns {
                let cell = &column.cells[at];
                let style = match column.judged {
                    false => Style::new(),
                    true if cell == "0" => good,
                    true => bad,
                };
                let (gap, fill) = (column.gap, column.width() - cell.chars().count());
                write!(self.out, "{:gap$}{:fill$}{style}{cell}{style:#}", "", "")?;
            }
            writeln!(self.out)?;
        }
        Ok(())
    }

    fn bench_conclusion(&mut self, bench: &Bench) -> io::Result<()> {
        let rows = &bench.settings;
        writeln!(self.out)?;
        self.item("*", Style::new(), "as configured")?;
        for note in &bench.notes {
            self.item("·", self.style.aside, note)?;
        }
        if let Some(row) = bench.cheapest.and_then(|at| rows.get(at)) {
            let waited = match row.first_refusal {
                Some(_) => ", though some had to try again",
                None => "",
            };
            self.good_news(&format!(
                "the cheapest that refused nothing{waited}: {}, with {} and {} reserved",
                in_words(row),
                counted(row.nat_ips_to_have(), "NAT IP"),
                counted(row.reserved_ports, "port"),
            ))?;
        }
        let refusing: Vec<&BenchRow> = rows.iter().filter(|row| row.refused > 0).collect();
        if refusing.is_empty() {
            return match bench.cheapest {
                Some(_) => Ok(()),
                None => self.bad_news(
                    "nothing was refused yet, but in every setting connections still tried for want of a port at the \
                     end: a longer run tells more",
                ),
            };
        }
        let how_many = match (refusing.len(), rows.len()) {
            (1, 1) => "the setting refused connections".to_owned(),
            (refusing, all) if refusing == all => format!("all {all} settings refused connections"),
            (refusing, all) => format!("{refusing} of {all} settings refused connections"),
        };
        match main_limit(&refusing) {
            Some((limit, count)) => {
                let some = if count == refusing.len() { "" } else { &format!("{count} of them ") };
                self.bad_news(&format!("{how_many}, {some}mainly because {}", reason(limit)))
            }
            None => self.bad_news(&how_many),
        }
    }
}

/// The limit that most of these rows met most often, and how many did.
fn main_limit<'a>(rows: &[&'a BenchRow]) -> Option<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for limit in rows.iter().filter_map(|row| row.limit.as_deref()) {
        *counts.entry(limit).or_default() += 1;
    }
    // Of equal counts the first by name.
    counts.into_iter().rev().max_by_key(|(_, count)| *count)
}

/// What that limit is, and what helps.
fn reason(limit: &str) -> &str {
    match limit {
        "vm-ports" => {
            "an endpoint had all the ports it may have (vm-ports): raise minPortsPerVm or maxPortsPerVm, or shorten \
             tcpTimeWaitTimeoutSec"
        }
        "gateway-ips" => {
            "the NAT IPs had no free block of ports (gateway-ips): add natIps, or give each endpoint fewer ports"
        }
        "growth-pending" => "dynamic port allocation was still catching up (growth-pending): raise minPortsPerVm",
        other => other,
    }
}

/// `minPortsPerVm 32, maxPortsPerVm 1024, tcpTimeWaitTimeoutSec 30`
fn in_words(row: &BenchRow) -> String {
    let BenchSetting { enable_dynamic_port_allocation, min_ports_per_vm, max_ports_per_vm, .. } = row.setting;
    let mut words = Vec::new();
    if let Some(min) = min_ports_per_vm {
        let fixed = if enable_dynamic_port_allocation == Some(false) { " (static)" } else { "" };
        words.push(format!("minPortsPerVm {min}{fixed}"));
    }
    words.extend(max_ports_per_vm.map(|max| format!("maxPortsPerVm {max}")));
    words.extend(row.setting.tcp_time_wait_timeout_sec.map(|seconds| format!("tcpTimeWaitTimeoutSec {seconds}")));
    match (row.as_configured, words.is_empty()) {
        (true, true) => "as configured".to_owned(),
        (true, false) => format!("as configured, {}", words.join(", ")),
        (false, _) => words.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::bench::{BenchGateway, cheapest};

    fn row(min: u32, max: Option<u32>, refused: u64, limit: &str) -> BenchRow {
        BenchRow {
            setting: BenchSetting {
                enable_dynamic_port_allocation: Some(max.is_some()),
                min_ports_per_vm: Some(min),
                max_ports_per_vm: max,
                tcp_time_wait_timeout_sec: Some(30),
                ..BenchSetting::default()
            },
            offered: 10_000,
            accepted: 10_000 - refused,
            refused,
            peak_allocated_ports: max.unwrap_or(min),
            reserved_ports: u64::from(min) * 4,
            peak_port_usage: min,
            nat_ips: 1,
            dropped_packets: refused * 10,
            first_refusal: (refused > 0).then(|| "12.4s".to_owned()),
            limit: (refused > 0).then(|| limit.to_owned()),
            ..BenchRow::default()
        }
    }

    fn bench(settings: Vec<BenchRow>) -> Bench {
        Bench {
            scenario: "shop".into(),
            seed: 1,
            duration: "60s".into(),
            gateways: vec![BenchGateway { name: "gw".into(), router: "router".into() }],
            cheapest: cheapest(&settings),
            settings,
            notes: vec![],
        }
    }

    fn written(bench: &Bench) -> String {
        let mut out = Vec::new();
        write_bench(&mut out, bench, TextStyle::plain()).expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    /// The same without regard to line breaks.
    fn flowing(bench: &Bench) -> String {
        written(bench).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_table_has_a_row_for_each_setting_and_says_what_it_shows() {
        let own = BenchRow { as_configured: true, ..row(64, None, 2_100, "vm-ports") };
        let rows =
            vec![own, row(1024, None, 0, ""), row(32, Some(1024), 3, "growth-pending"), row(128, None, 1, "vm-ports")];
        insta::assert_snapshot!(written(&bench(rows)), @r"
        shop: 60s simulated, seed 1, 10,000 connections offered with each setting
        Gateway      gw (router router)

           min    max    tcpTime natIps
         Ports  Ports       Wait + more                          peak  peak  packets    first
         PerVm  PerVm TimeoutSec needed  accepted refused    %  ports   use  dropped  refusal
        *   64 static         30      1     7,900   2,100 21.0     64    64   21,000   12.4 s
          1024 static         30      1    10,000       0  0.0  1,024 1,024        0        —
            32   1024         30      1     9,997       3 <0.1  1,024    32       30   12.4 s
           128 static         30      1     9,999       1 <0.1    128   128       10   12.4 s

          * as configured
          ✓ the cheapest that refused nothing: minPortsPerVm 1024 (static), tcpTimeWaitTimeoutSec 30, with
            1 NAT IP and 4,096 ports reserved
          ✗ 3 of 4 settings refused connections, 2 of them mainly because an endpoint had all the ports it
            may have (vm-ports): raise minPortsPerVm or maxPortsPerVm, or shorten tcpTimeWaitTimeoutSec
        ");
    }

    #[test]
    fn even_the_fullest_table_fits_into_a_hundred_columns() {
        let mut full = row(32_768, Some(65_536), 9_999, "gateway-ips");
        (full.accepted, full.refused, full.pending, full.other_failures) = (123_456, 99_999, 12_345, 12_345);
        (full.nat_ips, full.min_extra_nat_ips_needed, full.dropped_packets) = (12, 3, 123_456);
        full.first_refusal = Some("123.4s".into());
        let text = written(&bench(vec![full, row(64, None, 0, "")]));
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
        }
        for title in ["trying", "else"] {
            assert!(text.contains(title), "{text}");
        }
    }

    #[test]
    fn when_nothing_is_enough_the_limit_is_named() {
        let all = flowing(&bench(vec![row(64, None, 5, "vm-ports"), row(128, None, 4, "vm-ports")]));
        assert!(all.contains("✗ all 2 settings refused connections, mainly because an endpoint had all"), "{all}");
        assert!(!all.contains('✓'), "{all}");
        let one = flowing(&bench(vec![row(64, None, 5, "gateway-ips")]));
        assert!(one.contains("✗ the setting refused connections, mainly because the NAT IPs had no free"), "{one}");
    }

    #[test]
    fn a_run_that_ends_too_early_is_no_praise() {
        let mut waiting = row(64, None, 0, "");
        (waiting.pending, waiting.first_refusal) = (5, Some("59.0s".into()));
        let text = flowing(&bench(vec![waiting]));
        assert!(text.contains("✗ nothing was refused yet") && !text.contains('✓'), "{text}");
    }

    #[test]
    fn a_share_that_is_not_nothing_does_not_look_like_nothing() {
        let row = |refused, offered| BenchRow { refused, offered, ..BenchRow::default() };
        assert_eq!(share(&row(0, 0)), "0.0");
        assert_eq!(share(&row(1, 10_000)), "<0.1");
        assert_eq!(share(&row(505, 4_600)), "11.0");
        assert_eq!(share(&row(7, 7)), "100.0");
    }

    #[test]
    fn what_gateways_do_not_have_in_common_is_mixed() {
        let mut mixed = row(64, None, 0, "");
        mixed.setting = BenchSetting::default();
        assert!(written(&bench(vec![mixed])).contains("mixed mixed      mixed"));
    }
}
