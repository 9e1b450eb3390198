//! Exhaustions in the text summary: a sentence for each endpoint, destination and limit.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Write};

use super::super::clock::parse_tenths;
use super::super::summary::Exhaustion;
use super::super::words::{counted, thousands};
use super::Page;

const MAX_EXHAUSTIONS: usize = 3;

/// The exhaustions of one endpoint, for one destination, for one reason.
struct Group<'a> {
    first: &'a Exhaustion,
    to: &'a str,
    times: u64,
    dropped: u64,
}

impl<W: Write> Page<'_, W> {
    pub(super) fn exhaustions(&mut self, exhaustions: &[Exhaustion]) -> io::Result<()> {
        let groups = groups(exhaustions);
        // The worst ones are shown, in order of time.
        let mut order: Vec<usize> = (0..groups.len()).collect();
        order.sort_by_key(|&i| Reverse(groups[i].dropped));
        let (shown, hidden) = order.split_at(groups.len().min(MAX_EXHAUSTIONS));
        let mut shown = shown.to_vec();
        shown.sort_unstable();
        for i in shown {
            self.bad_news(&sentence(&groups[i]))?;
        }
        self.more(hidden.len(), "shortage")
    }
}

fn groups(exhaustions: &[Exhaustion]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut place_of_group = BTreeMap::new();
    for exhaustion in exhaustions {
        let key = (&exhaustion.endpoint, exhaustion.rule_number, &exhaustion.destination, &exhaustion.limit);
        let place = *place_of_group.entry(key).or_insert_with(|| {
            groups.push(Group { first: exhaustion, to: &exhaustion.to, times: 0, dropped: 0 });
            groups.len() - 1
        });
        let group = &mut groups[place];
        group.times += 1;
        group.dropped += exhaustion.dropped;
        if parse_tenths(&exhaustion.to) > parse_tenths(group.to) {
            group.to = &exhaustion.to;
        }
    }
    groups
}

fn sentence(group: &Group<'_>) -> String {
    let first = group.first;
    let endpoint = &first.endpoint;
    let destination = match first.rule_number {
        None => first.destination.clone(),
        Some(rule) => format!("{} (rule {rule})", first.destination),
    };
    let when = when(group);
    let lost = format!("{} dropped", counted(group.dropped, "packet"));
    let taken = taken(first, group.times > 1);
    match first.limit.as_str() {
        "gateway-ips" if first.allocated_ports == 0 => {
            format!("{when}: {endpoint} had no port at all for {destination}: the NAT IPs have no free block; {lost}")
        }
        "gateway-ips" => format!(
            "{when}: {endpoint} had no free port for {destination} ({taken}) and could not get more: the NAT IPs have \
             no free block; {lost}"
        ),
        "growth-pending" => format!(
            "{when}: {endpoint} had no free port for {destination} yet ({taken}): dynamic port allocation was still \
             catching up; {lost}"
        ),
        "vm-ports" => format!(
            "{when}: {endpoint} had no free port for {destination} ({taken}): it had reached its own maximum; {lost}"
        ),
        other => format!("{when}: {endpoint} had no free port for {destination} ({taken}): {other}; {lost}"),
    }
}

fn when(group: &Group<'_>) -> String {
    let from = &group.first.from;
    let span = if from == group.to {
        format!("at {}", spaced(from))
    } else {
        format!("{} to {}", spaced(from), spaced(group.to))
    };
    match group.times {
        1 => span,
        times => format!("{span}, {} times", thousands(times)),
    }
}

/// `512 of 512 taken: 180 open, 332 in TIME_WAIT`
fn taken(first: &Exhaustion, first_of_many: bool) -> String {
    let (open, time_wait) = (u64::from(first.open), u64::from(first.time_wait));
    let states = match (open, time_wait) {
        (_, 0) => "all open".to_owned(),
        (0, _) => "all in TIME_WAIT".to_owned(),
        _ => format!("{} open, {} in TIME_WAIT", thousands(open), thousands(time_wait)),
    };
    let at_first = if first_of_many { " at first" } else { "" };
    format!("{} of {} taken{at_first}: {states}", thousands(open + time_wait), thousands(first.allocated_ports.into()))
}

/// `12.4s` as `12.4 s`.
fn spaced(time: &str) -> String {
    time.strip_suffix('s').map_or_else(|| time.to_owned(), |number| format!("{number} s"))
}
