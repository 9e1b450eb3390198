//! What came of all situations, as a table to be read.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use crate::comparison::{Comparison, Counts};
use crate::situations::{Situation, Why};

/// Longest line of running text.
const WIDTH: usize = 118;

#[derive(Default)]
pub struct Table {
    rows: String,
    situations: usize,
    compared: usize,
    differ: usize,
    kernel: Counts,
    egressim: Counts,
    reasons: BTreeSet<Why>,
}

impl Table {
    pub fn add(&mut self, situation: &Situation, comparison: &Comparison) {
        let Comparison { compared, kernel, egressim, differences, .. } = comparison;
        self.situations += 1;
        self.compared += compared;
        self.differ += differences.len();
        self.kernel.add(kernel);
        self.egressim.add(egressim);
        self.rows += &row(situation.name, *compared, differences.len(), kernel, egressim);
        for declared in situation.differences {
            self.reasons.insert(declared.why);
            let text =
                format!("{} {} (id {}): {}", declared.count, declared.kind, declared.packets, declared.why.name());
            wrapped(&mut self.rows, "    ", &text);
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        wrapped(
            &mut text,
            "",
            "Packets that went through nftables in Linux 6.18, and the same packets through egressim. Compared are \
             packets sent by either side, and answers (ICMP errors, resets) of whoever translates: forwarded or \
             dropped, and byte for byte what was forwarded, except for the port that was chosen. A packet is named by \
             its IP identification.",
        );
        let _ = writeln!(text, "\n{:58}{:-^27} {:-^27}", "", " Linux ", " egressim ");
        let counts = format!("{:>10}{:>8}{:>10}", "forwarded", "dropped", "answered");
        let _ = writeln!(text, "{:<32}{:>8}{:>8}{:>8}{counts}{counts}", "situation", "packets", "agree", "differ");
        text += &self.rows;
        let name = format!("total of {} situations", self.situations);
        text += &row(&name, self.compared, self.differ, &self.kernel, &self.egressim);
        for why in Why::ALL.iter().filter(|why| self.reasons.contains(why)) {
            let _ = write!(text, "\n{}\n", why.name());
            wrapped(&mut text, "    ", why.text());
        }
        f.write_str(&text)
    }
}

fn row(name: &str, compared: usize, differ: usize, kernel: &Counts, egressim: &Counts) -> String {
    let counts = |counts: &Counts| format!("{:>10}{:>8}{:>10}", counts.forwarded, counts.dropped, counts.answers);
    let agree = compared - differ;
    format!("{name:<32}{compared:>8}{agree:>8}{differ:>8}{}{}\n", counts(kernel), counts(egressim))
}

/// Appends a text in lines of bearable length.
fn wrapped(target: &mut String, indent: &str, text: &str) {
    let mut length = WIDTH;
    for (index, word) in text.split(' ').enumerate() {
        if length + 1 + word.len() > WIDTH {
            target.push_str(if index == 0 { indent } else { "\n" });
            if index > 0 {
                target.push_str(indent);
            }
            length = indent.len();
        } else {
            target.push(' ');
            length += 1;
        }
        target.push_str(word);
        length += word.len();
    }
    target.push('\n');
}
