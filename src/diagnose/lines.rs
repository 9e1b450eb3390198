//! The lines of Cloud NAT's log that show a cause, as the run writes them to `nat_flows.jsonl`.
//!
//! An entry of the log has no reason. Here each `DROPPED` one is put beside the refusal that it is of, so that the lines of
//! one cause are known. Lines are counted, and of each sender and destination the first few are kept.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::kind::Kind;
use crate::network::Network;
use crate::node::nat::Refusal;
use crate::recording::nat_logs::NatLogs;
use crate::report::clock::WallClock;
use crate::report::nat_log::{Allocation, NatLogWriter};
use crate::time::SimTime;
use crate::wire::FiveTuple;

/// Lines of one sender and destination that are kept.
const MAX_LINES: usize = 3;
/// Senders and destinations of a cause of which lines are kept.
const MAX_PAIRS: usize = 1_000;

/// A sender, and where to.
type Pair = (Ipv4Addr, Ipv4Addr, u16, u8);

/// Lines of one cause.
#[derive(Debug, Default)]
pub struct LinesOfCause {
    /// How many.
    pub count: u64,
    /// The number of the first and the last one in the file.
    pub range: Option<(u64, u64)>,
    /// The first of each sender and destination, with their numbers in the file.
    pairs: BTreeMap<Pair, Vec<(u64, String)>>,
}

impl LinesOfCause {
    /// The first lines of a sender and destination; of anybody, if it has none.
    pub fn of(&self, tuple: &FiveTuple) -> &[(u64, String)] {
        let own = self.pairs.get(&(tuple.src, tuple.dst, tuple.dst_port, tuple.protocol.number()));
        own.or_else(|| self.pairs.values().next()).map_or(&[], Vec::as_slice)
    }
}

/// Lines by kind, gateway and rule.
#[derive(Debug, Default)]
pub struct Lines {
    logs: Option<NatLogs>,
    writer: Option<NatLogWriter<Vec<u8>>>,
    clock: WallClock,
    seed: u64,
    number: u64,
    causes: BTreeMap<(Kind, usize, u32), LinesOfCause>,
}

impl Lines {
    /// The lines of a cause.
    pub fn of(&self, kind: Kind, gateway: usize, rule: u32) -> Option<&LinesOfCause> {
        self.causes.get(&(kind, gateway, rule))
    }

    pub(super) fn begin(&mut self, network: &mut Network) {
        self.seed = network.scenario().seed;
        self.logs = Some(NatLogs::new(network));
    }

    pub(super) fn date(&mut self, start: u64) {
        self.clock = WallClock::starting_at(Duration::from_nanos(start));
    }

    /// Looks at what there is to log. `refusals` are those of each gateway since the last look.
    pub(super) fn look(&mut self, network: &Network, refusals: &[VecDeque<Refusal>]) {
        let mut reasons: BTreeMap<(usize, SimTime), Vec<&Refusal>> = BTreeMap::new();
        for (gateway, refusals) in refusals.iter().enumerate() {
            for refusal in refusals {
                reasons.entry((gateway, refusal.time)).or_default().push(refusal);
            }
        }
        let Lines { logs, writer, clock, seed, number, causes } = self;
        let writer = writer.get_or_insert_with(|| NatLogWriter::new(Vec::new(), *clock, *seed));
        let Some(logs) = logs else { return };
        let seen = logs.each(network, &mut |gateway, entry| {
            *number += 1;
            if entry.allocation != Allocation::Dropped {
                writer.skip();
                return Ok(());
            }
            writer.write(entry)?;
            let line = std::mem::take(writer.out_mut());
            let time = SimTime::from_nanos(entry.at.as_nanos() as u64);
            let is_it = |refusal: &&&Refusal| {
                let tuple = refusal.tuple;
                (tuple.src, tuple.src_port, tuple.dst, tuple.dst_port, tuple.protocol.number())
                    == (entry.src_ip, entry.src_port, entry.dest_ip, entry.dest_port, entry.protocol.number())
            };
            let Some(refusal) = reasons.get(&(gateway, time)).and_then(|all| all.iter().find(is_it)) else {
                return Ok(());
            };
            let of_cause = causes.entry((Kind::of_refusal(&refusal.why), gateway, refusal.rule)).or_default();
            of_cause.count += 1;
            let range = of_cause.range.get_or_insert((*number, *number));
            range.1 = *number;
            let pair = (entry.src_ip, entry.dest_ip, entry.dest_port, entry.protocol.number());
            if of_cause.pairs.len() < MAX_PAIRS || of_cause.pairs.contains_key(&pair) {
                let kept = of_cause.pairs.entry(pair).or_default();
                if kept.len() < MAX_LINES {
                    kept.push((*number, String::from_utf8_lossy(line.trim_ascii()).into_owned()));
                }
            }
            Ok(())
        });
        seen.expect("a vector takes everything");
    }
}
