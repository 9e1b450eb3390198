//! Texts that mean no good: nothing panics, nothing grows without bound.

use std::fmt::Write as _;
use std::time::Instant;

use proptest::prelude::*;

use super::{findings, run, run_all};

#[test]
fn what_is_never_closed_ends_with_the_text() {
    let texts = [
        "gcloud run deploy 'a",
        "gcloud run deploy \"a",
        "gcloud `a",
        "gcloud $(a",
        "gcloud ${a",
        "gcloud $((1",
        "A=(a b",
        "f() {",
        "for a in b; do gcloud run deploy $a",
        "case x in",
        "case x in a) gcloud",
        "cat <<END\ngcloud",
        "cat <<",
        "gcloud \\",
        "gcloud a >",
        "gcloud a <",
        "function",
        "for",
        "if",
        "(",
        ")",
        "}",
        "done",
        "esac",
        "$",
        "`",
        "${",
        "$(",
        "<(",
        "<<<",
        "é\\",
        "\\é",
        "\"\\",
        "'",
        "A=",
        "${a:-${b:-${c:-${d:-${e:-f}}}}}",
        "~~~\n```",
        "```sh\n",
        "``` \ngcloud",
    ];
    for text in texts {
        run(text);
        run(&text.repeat(50));
        run(&format!("gcloud run deploy x {text}\n{text}\n"));
    }
}

#[test]
fn variables_that_double_do_not_fill_the_memory() {
    let mut text = "A=0123456789\n".to_owned();
    for _ in 0..200 {
        text.push_str("A=$A$A\nB=\"$A $A $A\"\n");
    }
    text.push_str("gcloud compute networks create $A $B $B\n");
    run(&text);
    run("f() { f; f; f; }\nf\n");
    run("A=$A\nB=${B:-$B}\ngcloud run deploy $A $B --region=r1\n");
}

#[test]
fn loops_end() {
    let text = "for a in {1..2000000000}; do for b in {1..2000000000}; do for c in {1..100000}; do gcloud compute networks create n-$a-$b-$c; done; done; done\n";
    let import = run(text);
    assert!(import.resources.len() <= 50_001);
    assert!(import.report.iter().any(|finding| finding.code == "loop-too-long"), "{}", findings(&import));
}

#[test]
fn long_lines_and_many_commands_take_time_in_their_length() {
    let begin = Instant::now();
    run(&format!("gcloud run deploy x --labels={}\n", "a".repeat(1 << 20)));
    run(&"gcloud ".repeat(150_000));
    run(&"$(".repeat(500_000));
    run(&"${\n".repeat(300_000));
    run(&"{ if ".repeat(200_000));
    run(&"for a in b; do ".repeat(60_000));
    run(&"A=$A$A ".repeat(140_000));
    run(&"<<A ".repeat(2_000));
    let mut text = String::new();
    for index in 0..100_000 {
        let _ = writeln!(text, "gcloud compute routers create r{index} --network=vpc --region=us-central1");
    }
    let many = Instant::now();
    assert_eq!(run(&text).resources.len(), 100_000);
    // Generous: machines that run tests are busy.
    assert!(many.elapsed().as_secs() < 20, "{:?}", many.elapsed());
    assert!(begin.elapsed().as_secs() < 60, "{:?}", begin.elapsed());
}

const SCRIPT: &str = r#"#!/bin/sh
set -e
REGION="us-central1"; export NET='vpc' LIST="a b"
gcloud compute networks create $NET --subnet-mode=custom && echo done
for s in $LIST; do gcloud compute networks subnets create "s-$s" --network=$NET --region=$REGION --range=10.${s}.0.0/24; done
cat > x.yaml <<END
kind: Service
metadata: {name: ${NAME:-api}}
END
if ! gcloud run services describe a; then gcloud run services replace x.yaml --region $REGION; fi
f() { gcloud run deploy "$1" --set-env-vars=^:^A=b,c:D=e --network=$NET --subnet s-a; }
f api; f `date` 2>&1 | tee log
gcloud compute routers nats create n --router=r \
  --nat-custom-subnet-ip-ranges=s-a:ALL,s-b --auto-allocate-nat-external-ips --tcp-time-wait-timeout=30s # end
```bash
$ gcloud run deploy é --region <REGION>
```
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_mutated_script_makes_it_panic(
        edits in proptest::collection::vec((0..SCRIPT.len(), 0..12_usize, "[ -~\né]{0,3}"), 1..12),
        markdown: bool,
    ) {
        let mut text = SCRIPT.to_owned();
        for (at, length, insert) in edits {
            let from = text.floor_char_boundary(at.min(text.len()));
            let to = text.floor_char_boundary((from + length).min(text.len()));
            text.replace_range(from..to, &insert);
        }
        let text = if markdown { format!("```sh\n{text}") } else { text.replace("```", "") };
        let import = run_all(&[&text, &text]);
        for finding in &import.report {
            finding.render(&import.sources, false);
        }
    }
}
