//! Each format says what it must, in the form that its readers expect. `scripts/check-compare` has real readers read them.

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};

use super::*;
use crate::compare::{COMPARISON_VERSION, Missing};
use crate::machine::Machine;
use crate::run::Side;
use crate::stats::Interval;

fn row(case: &str, quantity: Quantity, gate: bool, change: f64, verdict: Verdict) -> Row {
    let (variant, measurement) = case.split_once('/').expect("a case's id");
    Row {
        case: case.to_owned(),
        variant: variant.to_owned(),
        measurement: measurement.to_owned(),
        quantity,
        gate,
        baseline: 10_000.0,
        candidate: 10_000.0 * (1.0 + change),
        change,
        interval: Interval { low: change - 0.003, high: change + 0.003 },
        minimum: 0.005,
        detectable: 0.012,
        confirmed_anew: verdict == Verdict::Regressed,
        verdict,
        reason: (verdict == Verdict::Inconclusive).then(|| "5 % | <b>noise</b>, 100 % \"sure\"".to_owned()),
    }
}

fn comparison() -> Comparison {
    let party = |program: &str| Party {
        program: program.to_owned(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        plan_hash: "0".repeat(64),
        changes: Vec::new(),
    };
    Comparison {
        version: COMPARISON_VERSION,
        mode: Mode::Duet,
        scenario: "ci".to_owned(),
        machine: Machine::detect(false),
        baseline: party("old"),
        candidate: party("new"),
        starts: 8,
        starts_to_confirm: 12,
        verdict: Verdict::Regressed,
        rows: vec![
            row("api-key/throughput", Quantity::ServerCpu, true, 0.021, Verdict::Regressed),
            row("api-key/throughput", Quantity::Throughput, false, -0.02, Verdict::Regressed),
            row("mtls/throughput", Quantity::ServerCpu, true, 0.0, Verdict::Unchanged),
            row("mtls/throughput", Quantity::Validation, true, 0.01, Verdict::Inconclusive),
        ],
        missing: vec![Missing {
            case: "jwt/throughput".to_owned(),
            side: Side::Baseline,
            reason: "its plan does not have it".to_owned(),
        }],
        sensitivity: vec![Sensitivity {
            quantity: Quantity::ServerCpu,
            median: 0.012,
            worst: 0.02,
            worst_case: "mtls/throughput".to_owned(),
        }],
        noise: vec![Noise {
            case: "none/throughput".to_owned(),
            quantity: Quantity::ServerCpu,
            change: -0.001,
            interval: Interval { low: -0.004, high: 0.002 },
        }],
        warnings: vec!["something".to_owned()],
    }
}

fn spaced(text: &str) -> String {
    text.replace(['\u{a0}', '\u{202f}'], " ")
}

#[test]
fn text_and_markdown_say_all_there_is() {
    let comparison = comparison();
    for (name, written) in [("text", text(&comparison)), ("markdown", markdown(&comparison))] {
        let written = spaced(&written);
        for needed in [
            "Regressed: 1 of 3 figures of the gate.",
            "+2.10 %",
            "+1.80 % – +2.40 %",
            "jwt/throughput (baseline): its plan does not have it",
            "Baseline: old",
            "what was suspected again in 12 fresh ones",
            "≥ 1.2 % in server CPU per request with 90 % power",
            "seemed to differ by −0.10 %",
            "something",
        ] {
            assert!(written.contains(needed), "{name} lacks {needed:?}:\n{written}");
        }
    }
}

#[test]
fn markdown_escapes_what_would_be_markup() {
    let written = spaced(&markdown(&comparison()));
    assert!(written.contains("5 % \\| &lt;b&gt;noise&lt;/b&gt;"), "{written}");
    let lines: Vec<&str> = written.lines().filter(|line| line.starts_with('|')).collect();
    // Two tables of a head, a ruler, and three and one rows.
    assert_eq!(lines.len(), 8, "{written}");
    assert!(lines.iter().all(|line| line.matches(" | ").count() == 7), "{written}");
}

#[test]
fn junit_fails_what_regressed_and_errs_on_what_nobody_knows() {
    let report = Report::deserialize_from_str(&junit(&comparison())).expect("JUnit XML");
    assert_eq!((report.tests, report.failures, report.errors), (5, 1, 2));
    let test = &report.test_suites[0].test_cases[0];
    assert_eq!(test.name.as_str(), "server CPU per request");
    assert!(matches!(&test.status, TestCaseStatus::NonSuccess { kind: NonSuccessKind::Failure, .. }));
    // Beside the gate nothing fails.
    assert!(matches!(&report.test_suites[0].test_cases[1].status, TestCaseStatus::Success { .. }));
    let mut nothing = comparison();
    (nothing.rows, nothing.missing, nothing.verdict) = (Vec::new(), Vec::new(), Verdict::Inconclusive);
    let report = Report::deserialize_from_str(&junit(&nothing)).expect("JUnit XML");
    assert_eq!((report.tests, report.errors), (1, 1), "an empty file would pass");
}

#[test]
fn annotations_are_workflow_commands_of_one_line_each() {
    let written = spaced(&annotations(&comparison()));
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 4, "{written}");
    assert!(lines[0].starts_with("::error title=regressed%3A api-key/throughput::server CPU per request +2.10 %25"));
    assert!(lines[1].starts_with("::warning title=inconclusive%3A mtls/throughput::"));
    assert!(lines[1].contains("100 %25 \"sure\""));
    assert!(lines[2].starts_with("::warning title=cannot be compared%3A jwt/throughput::baseline: its plan"));
    assert_eq!(lines[3], "::notice title=authbench compare ci::Regressed: 1 of 3 figures of the gate.");
}

#[test]
fn services_get_the_candidates_figures() {
    let comparison = comparison();
    let bmf: serde_json::Value = serde_json::from_str(&bencher(&comparison)).expect("JSON");
    let metric = &bmf["api-key/throughput"]["server-cpu"];
    let bound = |name: &str| metric[name].as_f64().expect("a number");
    for (name, known) in [("value", 10_210.0), ("lower_value", 10_180.0), ("upper_value", 10_240.0)] {
        assert!((bound(name) - known).abs() < 1e-6, "{metric}");
    }

    let entries: serde_json::Value = serde_json::from_str(&benchmark_action(&comparison)).expect("JSON");
    let entries = entries.as_array().expect("an array");
    assert_eq!(entries.len(), 3, "less is better, so throughput is not among them");
    assert_eq!(entries[0]["name"], "api-key/throughput: server CPU per request");
    assert_eq!(entries[0]["unit"], "ns");
    assert_eq!(entries[0]["value"], metric["value"]);

    let written = open_metrics(&comparison);
    assert!(written.ends_with("# EOF\n"));
    assert!(written.contains(
        "authbench_regressed{scenario=\"ci\",case=\"api-key/throughput\",quantity=\"server_cpu\",gate=\"true\",\
         verdict=\"regressed\"} 1\n"
    ));
    for name in written.lines().filter_map(|line| line.strip_prefix("# UNIT ")) {
        let (family, unit) = name.split_once(' ').expect("a name and a unit");
        assert!(family.ends_with(&format!("_{unit}")), "{name}");
    }
}

#[test]
fn json_comes_back_as_it_was() {
    let comparison = comparison();
    let read: Comparison = serde_json::from_str(&json(&comparison)).expect("its own form");
    assert_eq!(read, comparison);
}
