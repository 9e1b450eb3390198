//! What was observed beside what is simulated, in the text summary.

use std::io::{self, Write};

use serde_json::Value;

use super::super::observed::{Difference, MappedRange, ObservedSummary};
use super::super::words::{counted, listed};
use super::Page;

const MAX_DIFFERENCES: usize = 10;

impl<W: Write> Page<'_, W> {
    /// One line if all is the same, else what is not.
    pub(super) fn observed(&mut self, observed: Option<&ObservedSummary>) -> io::Result<()> {
        let Some(observed) = observed else { return Ok(()) };
        let ObservedSummary { nat_mappings, nat_status, nat_ip_info } = observed;
        let parts = [
            (nat_mappings.as_ref().map(|it| it.equal), "port range"),
            (nat_status.as_ref().map(|it| it.equal), "gateway status"),
            (nat_ip_info.as_ref().map(|it| it.equal), "NAT IP"),
        ];
        let counts: Vec<String> = parts.into_iter().filter_map(|(count, what)| Some(counted(count?, what))).collect();
        let equal = listed(&counts);
        if observed.is_equal() {
            return self.heading("As observed:", &format!("{equal}, all the same at the start"));
        }
        self.heading("Not as observed, at the start:", &format!("{equal} are the same"))?;
        if let Some(ports) = nat_mappings {
            self.ranges("observed only:", &ports.only_observed)?;
            self.ranges("simulated only:", &ports.only_simulated)?;
        }
        for different in [nat_status, nat_ip_info].into_iter().flatten().map(|values| &values.different) {
            let (shown, hidden) = different.split_at(different.len().min(MAX_DIFFERENCES));
            for Difference { gateway, field, observed, simulated } in shown {
                let text = format!("{gateway} {field}: {} observed, {} simulated", words(observed), words(simulated));
                self.bad_news(&text)?;
            }
            self.more(hidden.len(), "difference")?;
        }
        Ok(())
    }

    fn ranges(&mut self, which: &str, ranges: &[MappedRange]) -> io::Result<()> {
        let (shown, hidden) = ranges.split_at(ranges.len().min(MAX_DIFFERENCES));
        for range in shown {
            let MappedRange { instance_name, source_virtual_ip, nat_ip_port_range, .. } = range;
            let rule = range.rule_number.map(|number| format!(", rule {number}")).unwrap_or_default();
            let draining = if range.draining { ", draining" } else { "" };
            self.bad_news(&format!(
                "{which} {nat_ip_port_range} of {instance_name} ({source_virtual_ip}){rule}{draining}"
            ))?;
        }
        self.more(hidden.len(), "range")
    }
}

/// A value of a status: nothing, a word, a number or a list.
fn words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => listed(&items.iter().map(words).collect::<Vec<_>>()),
        other => other.to_string(),
    }
}
