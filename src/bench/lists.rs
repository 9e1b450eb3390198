//! What the options say: lists of values, each with its place in the option's text, so that a finding can point at it.

use crate::scenario::diagnostic::{Diagnostic, Diagnostics, FileId, Place, Sources};
use crate::scenario::value::{At, Dur};

/// Values of the options as typed, each a list with commas.
#[derive(Debug, Clone, Copy, Default)]
pub struct Texts<'a> {
    /// `--min-ports-per-vm`: ports with static allocation, such as `64,1024`.
    pub min_ports_per_vm: Option<&'a str>,
    /// `--dynamic`: minimum and maximum with dynamic allocation, such as `32-1024,64-65536`.
    pub dynamic: Option<&'a str>,
    /// `--tcp-time-wait`: durations in whole seconds, such as `30s,2m`.
    pub tcp_time_wait: Option<&'a str>,
    /// `--nat-ips`: numbers of NAT IPs, such as `1,2,4`.
    pub nat_ips: Option<&'a str>,
}

/// What is compared when nothing is said. The defaults of both ways to allocate (64; 32 to 65,536) and two more of each
/// that are often chosen; TIME_WAIT of new gateways, and of those made before 2026-06-30.
pub const STANDARD: Texts<'static> = Texts {
    min_ports_per_vm: Some("64,1024,4096"),
    dynamic: Some("32-65536,64-4096"),
    tcp_time_wait: Some("30s,120s"),
    nat_ips: None,
};

/// Values to combine.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lists {
    /// Ports of an endpoint, static ones first.
    pub allocations: Vec<Allocation>,
    /// `tcpTimeWaitTimeoutSec`, in seconds.
    pub time_waits: Vec<At<i64>>,
    /// Numbers of NAT IPs.
    pub nat_ips: Vec<At<u16>>,
}

/// How many ports an endpoint gets. Whether Google accepts the numbers is not known here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allocation {
    /// So many, always.
    Static(At<i64>),
    /// Dynamic port allocation, with this minimum and maximum.
    Dynamic(At<i64>, At<i64>),
}

/// One combination. What is `None` stays as the scenario has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Setting {
    /// Ports of an endpoint.
    pub allocation: Option<Allocation>,
    /// `tcpTimeWaitTimeoutSec`, in seconds.
    pub time_wait: Option<At<i64>>,
    /// Number of NAT IPs.
    pub nat_ips: Option<At<u16>>,
}

impl Texts<'_> {
    /// Whether no option is given.
    pub fn is_empty(&self) -> bool {
        [self.min_ports_per_vm, self.dynamic, self.tcp_time_wait, self.nat_ips].iter().all(Option::is_none)
    }

    /// Reads the lists. Each text becomes one of the `sources`, under the name of its option.
    ///
    /// # Errors
    /// All values that cannot be read.
    pub fn read(&self, sources: &mut Sources) -> Result<Lists, Diagnostics> {
        let mut reader = Reader { sources, diagnostics: Diagnostics::default() };
        let fixed = reader
            .list("--min-ports-per-vm", self.min_ports_per_vm, "64,1024", |item| ports(item).map(Allocation::Static));
        let dynamic = reader.list("--dynamic", self.dynamic, "32-1024,64-65536", |item| {
            let (min, max) = item.value.split_once('-').ok_or("minPortsPerVm, a hyphen and maxPortsPerVm")?;
            let hyphen = item.place.start + min.len() as u32;
            let min = ports(&At { value: min, place: Place { end: hyphen, ..item.place } })?;
            let max = ports(&At { value: max, place: Place { start: hyphen + 1, ..item.place } })?;
            Ok(Allocation::Dynamic(min, max))
        });
        let time_waits = reader.list("--tcp-time-wait", self.tcp_time_wait, "30s,2m", |item| {
            let duration = item.value.parse::<Dur>().ok().filter(|duration| duration.0.subsec_nanos() == 0);
            let seconds = duration.ok_or("a duration in whole seconds, with its unit")?.0.as_secs();
            Ok(At { value: seconds as i64, place: item.place })
        });
        let nat_ips = reader.list("--nat-ips", self.nat_ips, "1,2,4", |item| {
            let count = item.value.parse().ok().filter(|&count: &u16| count > 0);
            Ok(At { value: count.ok_or("a number of NAT IPs")?, place: item.place })
        });
        let diagnostics = reader.diagnostics;
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        Ok(Lists { allocations: fixed.into_iter().chain(dynamic).collect(), time_waits, nat_ips })
    }
}

fn ports(item: &At<&str>) -> Result<At<i64>, &'static str> {
    // The limits are Google's, and known to the check of the scenario. Here a number is any that fits.
    let number = item.value.parse::<u32>().map_err(|_| "a number of ports")?;
    Ok(At { value: number.into(), place: item.place })
}

struct Reader<'a> {
    sources: &'a mut Sources,
    diagnostics: Diagnostics,
}

impl Reader<'_> {
    /// Reads the items of a list; what `read` expected instead of one that it refuses becomes a finding.
    fn list<T>(
        &mut self,
        option: &'static str,
        text: Option<&str>,
        example: &str,
        read: impl Fn(&At<&str>) -> Result<T, &'static str>,
    ) -> Vec<T> {
        let Some(text) = text else { return Vec::new() };
        let file = self.sources.add(option, text);
        let mut list = Vec::new();
        for item in items(text, file) {
            match read(&item) {
                Ok(value) => list.push(value),
                Err(expected) => self.diagnostics.push(
                    Diagnostic::unusable("invalid-value", format!("found `{}`, expected {expected}", item.value))
                        .at(item.place)
                        .help(format!("write it as `{option} {example}`")),
                ),
            }
        }
        list
    }
}

/// The items of a list with commas, without the spaces around them.
fn items(text: &str, file: FileId) -> impl Iterator<Item = At<&str>> {
    let mut start = 0;
    text.split(',').map(move |item| {
        let value = item.trim();
        let begin = start + (item.len() - item.trim_start().len());
        start += item.len() + 1;
        At { value, place: Place { file, start: begin as u32, end: (begin + value.len()) as u32 } }
    })
}

impl Lists {
    /// Every combination: by allocation, then by TIME_WAIT, then by number of NAT IPs.
    pub fn settings(&self) -> Vec<Setting> {
        /// The values of a list, or the one that changes nothing.
        fn choices<T: Copy>(list: &[T]) -> Vec<Option<T>> {
            if list.is_empty() { vec![None] } else { list.iter().copied().map(Some).collect() }
        }
        let mut settings = Vec::new();
        for allocation in choices(&self.allocations) {
            for time_wait in choices(&self.time_waits) {
                for nat_ips in choices(&self.nat_ips) {
                    settings.push(Setting { allocation, time_wait, nat_ips });
                }
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(texts: Texts<'_>) -> Lists {
        texts.read(&mut Sources::default()).expect("every value can be read")
    }

    fn refused(texts: Texts<'_>) -> String {
        let mut sources = Sources::default();
        let diagnostics = texts.read(&mut sources).expect_err("a value cannot be read");
        diagnostics.render(&sources, false)
    }

    #[test]
    fn lists_are_read_with_their_places_and_static_allocation_comes_first() {
        let mut sources = Sources::default();
        let texts = Texts {
            min_ports_per_vm: Some("64, 256"),
            dynamic: Some("32-1024"),
            tcp_time_wait: Some("30s,2m"),
            nat_ips: Some("1,4"),
        };
        let lists = texts.read(&mut sources).expect("every value can be read");
        let fixed = |ports: i64| Allocation::Static(ports.into());
        assert_eq!(lists.allocations, [fixed(64), fixed(256), Allocation::Dynamic(32.into(), 1024.into())]);
        assert_eq!(lists.time_waits, [At::from(30), At::from(120)]);
        assert_eq!(lists.nat_ips, [At::from(1), At::from(4)]);

        let Allocation::Static(second) = &lists.allocations[1] else { panic!("it is static") };
        assert_eq!((second.place.start, second.place.end), (4, 7));
        let Allocation::Dynamic(_, max) = &lists.allocations[2] else { panic!("it is dynamic") };
        assert_eq!((sources.name(max.place.file), max.place.start, max.place.end), ("--dynamic", 3, 7));
    }

    #[test]
    fn settings_are_the_cross_product_and_what_is_not_said_stays() {
        let lists = read(Texts { min_ports_per_vm: Some("64,128"), nat_ips: Some("1,2"), ..Texts::default() });
        let all: Vec<_> = lists
            .settings()
            .into_iter()
            .map(|setting| {
                let Some(Allocation::Static(ports)) = setting.allocation else { panic!("it is static") };
                assert_eq!(setting.time_wait, None);
                (ports.value, setting.nat_ips.map(|count| count.value))
            })
            .collect();
        assert_eq!(all, [(64, Some(1)), (64, Some(2)), (128, Some(1)), (128, Some(2))]);
        assert_eq!(Lists::default().settings(), [Setting::default()]);
    }

    #[test]
    fn the_standard_set_has_three_static_and_two_dynamic_settings_for_two_timeouts() {
        assert!(Texts::default().is_empty() && !STANDARD.is_empty());
        assert_eq!(read(STANDARD).settings().len(), (3 + 2) * 2);
    }

    #[test]
    fn what_cannot_be_read_is_shown_in_its_option_all_at_once() {
        let text = refused(Texts {
            dynamic: Some("64-1024,32"),
            tcp_time_wait: Some("30"),
            nat_ips: Some("0"),
            ..Texts::default()
        });
        assert!(text.contains("found `32`, expected minPortsPerVm, a hyphen and maxPortsPerVm"), "{text}");
        assert!(text.contains("--> --dynamic:1:9"), "{text}");
        assert!(text.contains("write it as `--dynamic 32-1024,64-65536`"), "{text}");
        assert!(text.contains("found `30`, expected a duration in whole seconds, with its unit"), "{text}");
        assert!(text.contains("found `0`, expected a number of NAT IPs"), "{text}");
    }

    #[test]
    fn empty_items_halves_of_seconds_and_signs_are_refused() {
        for (min_ports_per_vm, dynamic, tcp_time_wait) in [
            (Some("64,,128"), None, None),
            (Some(""), None, None),
            (Some("1k"), None, None),
            (None, Some("-1024"), None),
            (None, Some("32-"), None),
            (None, Some("32-64-128"), None),
            (None, None, Some("1500ms")),
        ] {
            refused(Texts { min_ports_per_vm, dynamic, tcp_time_wait, nat_ips: None });
        }
    }
}
