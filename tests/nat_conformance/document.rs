//! The tables for people: `docs/nat-conformance.md`, and lines for the terminal.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::requirements::{RFCS, Requirement, Verdict};
use crate::{Basis, Case, CloudNat, GROUPS, cases};

/// Whose tests a row's source means.
const SOURCES: &[(&str, &str)] = &[
    ("Config Connector", "`k8s-config-connector`, the samples of NAT rules"),
    ("Firezone", "pull request 14511 of `firezone/firezone`"),
    ("Google", "the pages on Cloud NAT under <https://docs.cloud.google.com/nat/docs>, as of 2026-04"),
    ("Hedgehog", "NAT of `githedgehog/dataplane`"),
    ("IncludeOS", "the NAT and conntrack tests of `includeos/IncludeOS`"),
    ("Jool", "`NICMx/Jool`, its tests for RFC 7915"),
    ("Linux", "the kernel's `tools/testing/selftests/net`, by name of the script"),
    ("OPTE", "the integration tests of `oxidecomputer/opte`"),
    ("Open vSwitch", "NAT and conntrack in `tests/system-traffic.at`"),
    (
        "RFC",
        "the RFCs on NAT behaviour: [4787](https://www.rfc-editor.org/rfc/rfc4787) on UDP, \
             [5382](https://www.rfc-editor.org/rfc/rfc5382) on TCP, [5508](https://www.rfc-editor.org/rfc/rfc5508) on ICMP",
    ),
    ("Snabb", "`snabbco/snabb`, fragments and ICMP"),
    ("Suricata", "`OISF/suricata`, security ticket 8510"),
    ("VPP", "`nat44-ed` and `nat44-ei` in the test suite of FD.io VPP"),
    ("det44", "the deterministic NAT of FD.io VPP, same place"),
    ("einat", "`EHfive/einat-ebpf`, its page on RFC compliance, too"),
    ("gVisor", "the packet filter tests of `google/gvisor`"),
    ("observed allocations", "port ranges of real gateways that their users have published"),
];

impl Basis {
    const fn text(self) -> &'static str {
        match self {
            Basis::Google => "Google",
            Basis::Observed => "observed",
            Basis::Assumed => "assumed",
        }
    }
}

/// A case and its result, as lines for the terminal.
pub fn line(case: &Case, holds: bool) -> String {
    let result = if holds { "ok" } else { "FAILED" };
    let compared = match case.cloud_nat {
        CloudNat::Same => String::new(),
        CloudNat::Differs(reason) => format!("\n           Cloud NAT differs: {reason}"),
    };
    format!("{:>2} {result:<7} {}{compared}\n", case.number, case.title)
}

/// How many cases there are, and in how many Cloud NAT differs; the last case, which is the RFCs, is not one of
/// these.
fn counts() -> (usize, usize) {
    let compared = || cases().filter(|case| case.number != 45);
    let differ = compared().filter(|case| matches!(case.cloud_nat, CloudNat::Differs(_))).count();
    (compared().count(), differ)
}

/// How many requirements are met, how many not, and how many there is nothing to meet of; parts counted like wholes.
fn verdicts(requirements: impl Iterator<Item = &'static Requirement>) -> (usize, usize, usize) {
    let mut counts = (0, 0, 0);
    for requirement in requirements {
        match requirement.verdict {
            Verdict::Meets(_) => counts.0 += 1,
            Verdict::Differs(_) => counts.1 += 1,
            Verdict::DoesNotArise(_) => counts.2 += 1,
        }
    }
    counts
}

/// What the README says of it all.
pub fn readme_sentence() -> String {
    let ((_, differ), (meets, differs, nothing)) = (counts(), verdicts(RFCS.iter().flat_map(|rfc| rfc.requirements)));
    format!(
        "{} cases from other NATs' test suites, the RFCs on NAT and Google's pages; in {differ} of them Cloud NAT differs \
         by design, and of {} points that the RFCs ask for it meets {meets}. [Which, and why](docs/nat-conformance.md).",
        cases().count(),
        meets + differs + nothing
    )
}

/// The whole document.
pub fn markdown() -> String {
    let mut text = String::from(INTRODUCTION);
    let (compared, differ) = counts();
    let (meets, differs, nothing) = verdicts(RFCS.iter().flat_map(|rfc| rfc.requirements));
    let _ = writeln!(
        text,
        "In {differ} of the first {compared} cases Cloud NAT differs by design. The last one is the RFCs: of {} points it \
         meets {meets} and differs in {differs}, and {nothing} do not arise.",
        meets + differs + nothing
    );
    text += "\n## Cases\n";
    for group in GROUPS {
        let _ = write!(
            text,
            "\n### {}\n\n| | case | Cloud NAT | known from | source |\n|--:|---|---|---|---|\n",
            group.name
        );
        for case in group.cases {
            let cloud_nat = match case.cloud_nat {
                CloudNat::Same => "the same".to_owned(),
                CloudNat::Differs(reason) => format!("**differs**: {reason}"),
            };
            let Case { number, title, source, basis, .. } = case;
            row(&mut text, &[&number.to_string(), title, &cloud_nat, basis.text(), source]);
        }
    }
    text += REQUIREMENTS;
    for rfc in &RFCS {
        let (meets, differs, nothing) = verdicts(rfc.requirements.iter());
        let _ = write!(
            text,
            "\n### RFC {}: {}\n\nMeets {meets}, differs in {differs}, {nothing} do not arise.\n\n| REQ | what it asks | Cloud NAT \
             | shown by |\n|--:|---|---|---|\n",
            rfc.number, rfc.about
        );
        for requirement in rfc.requirements {
            let verdict = match requirement.verdict {
                Verdict::Meets(how) => format!("meets: {how}"),
                Verdict::Differs(reason) => format!("**differs**: {reason}"),
                Verdict::DoesNotArise(reason) => format!("does not arise: {reason}"),
            };
            row(&mut text, &[requirement.number, requirement.asks, &verdict, &proof(requirement)]);
        }
    }
    text += "\n## Sources\n\nThe cases are told in our own words; no code was taken.\n\n";
    for (name, what) in sources() {
        let _ = writeln!(text, "- **{name}**: {what}");
    }
    text
}

fn proof(requirement: &Requirement) -> String {
    let list: Vec<String> = requirement.cases.iter().map(u8::to_string).collect();
    let cases = match list.len() {
        0 => None,
        1 => Some(format!("case {}", list[0])),
        _ => Some(format!("cases {}", list.join(", "))),
    };
    match (cases, requirement.check.is_some()) {
        (Some(cases), true) => format!("{cases} and a check of its own"),
        (Some(cases), false) => cases,
        (None, true) => "a check of its own".into(),
        (None, false) => String::new(),
    }
}

fn row(text: &mut String, cells: &[&str]) {
    for cell in cells {
        assert!(!cell.contains(['|', '\n']), "this does not fit in a table: {cell:?}");
    }
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

/// Those that some row names. A row that names none, and a source that no row names, are mistakes.
fn sources() -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let mut used = BTreeSet::new();
    for case in cases() {
        for part in case.source.split(", ").filter(|part| !part.ends_with(')') || part.contains('(')) {
            let source = SOURCES.iter().find(|(name, _)| part.starts_with(name));
            let (name, _) = source.unwrap_or_else(|| panic!("case {}: whose is {part:?}?", case.number));
            used.insert(*name);
        }
    }
    let unused = SOURCES.iter().find(|(name, _)| !used.contains(name));
    assert!(unused.is_none(), "no case comes from {unused:?}");
    SOURCES.iter()
}

const INTRODUCTION: &str = "\
# NAT conformance

What other NATs are tested for, what the RFCs ask of a NAT, and what Google documents, in 45 cases: each is a test that
sends real packets through egressim. Where Cloud NAT is known to differ from a suite or an RFC, egressim does what Cloud
NAT does, and the table says so. So it tells, too, what to expect of Cloud NAT: which habits of other NATs it shares.

\"Known from\" says how sure that is. *Google*: it is documented. *Observed*: seen at real gateways. *Assumed*: Google says
nothing; it follows from how such a translator works, or is a value under `model.nat`, and may be wrong. No test talks to
Google Cloud.

To run the cases, and see each with its result:

```sh
cargo test --test nat_conformance -- --nocapture
```

This page is made from the tables in `tests/nat_conformance/`. The same command fails when the page, or the numbers in the
README, are not what the tables say; `UPDATE_DOCS=1 cargo test --test nat_conformance` rewrites the page.

";

const REQUIREMENTS: &str = "
## The RFCs, requirement by requirement

Case 45. Requirements are told in short; a letter is a part that asks for something of its own. \"Assumed\" is said where
Google documents nothing. A requirement whose number is missing here would fail the test.
";
