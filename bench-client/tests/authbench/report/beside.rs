//! The report of a run whose variant has traffic beside it.

use bench_client::outcome::{Outcomes, RejectReason};
use bench_client::record::{BesideResult, Measured};
use bench_client::report::{BesideSummary, Cell, Report};
use bench_client::run::LoadedRun;

use super::{fixture, near, schema_problems};

const SCENARIO: &str = r#"
starts = 2
rounds = 4
[[variant]]
name = "none"
method = "none"
[[variant]]
name = "key"
method = "api-key"
store = { kind = "memory" }
beside = { method = "basic", rate_per_s = 1000, connections = 4 }
[[measurement]]
kind = "latency"
load = { rate_per_s = 400, connections = 16, warmup = "0s", measure = "1s" }
"#;

/// Beside each trial of a second, three seconds of other requests.
fn run(accepted: u64, refused: u64, dropped: u64) -> LoadedRun {
    let mut run = fixture::run_of(SCENARIO, |_, _| 1_000.0);
    for record in run.records.iter_mut().filter(|record| record.variant == "key") {
        let Measured::Latency(load) = &mut record.measured else { unreachable!("there is nothing else") };
        let rejected = [(RejectReason::Unavailable, refused)].into();
        load.beside = Some(BesideResult {
            requested_rate_per_s: 1000.0,
            wrong: false,
            measured_ns: Some(3 * load.measured_ns),
            dropped,
            outcomes: Outcomes { accepted, rejected, ..Outcomes::default() },
            latency: fixture::histogram(accepted, 5e6, 0.1),
        });
    }
    run
}

fn summary(report: &Report) -> &BesideSummary {
    let cell = report.summary.variant("key").expect("planned").beside.as_ref().expect("it has some");
    cell.known().expect("measured")
}

#[test]
fn its_rates_are_over_its_own_time() {
    let report = Report::new(&run(2_400, 600, 0));
    let found = summary(&report);
    near(found.accepted_per_s.known().expect("measured").value, 800.0, 1e-9);
    near(found.refused_per_s.known().expect("measured").value, 200.0, 1e-9);
    near(found.latency_ns_p50.known().expect("enough of them").value, 5e6, 0.01);

    let mut old = run(2_400, 600, 0);
    for record in &mut old.records {
        let Measured::Latency(load) = &mut record.measured else { unreachable!("there is nothing else") };
        load.beside.iter_mut().for_each(|beside| beside.measured_ns = None);
    }
    let report = Report::new(&old);
    let reason = summary(&report).accepted_per_s.reason().expect("nobody knows");
    assert!(reason.contains("from before"), "{reason}");
}

#[test]
fn where_many_were_never_sent_the_rest_is_no_distribution() {
    // One in a thousand is forgiven, as it is of the variant's own requests.
    let report = Report::new(&run(3_000, 0, 3));
    assert!(summary(&report).latency_ns_p99.known().is_some());
    let report = Report::new(&run(3_000, 0, 4));
    let found = summary(&report);
    assert_eq!(found.dropped, 16);
    let why = Cell::blank("16 of 12016 requests were never sent, and would have been the slowest");
    assert_eq!((&found.latency_ns_p50, &found.latency_ns_p99), (&why, &why));
    assert_eq!(schema_problems(&serde_json::to_value(&report).expect("plain data")), Vec::<String>::new());

    let text = report.terminal();
    let (_, table) = text.split_once("Traffic beside variants").expect("there is some");
    let row = table.lines().find(|line| line.starts_with("key")).expect("its row");
    assert!(table.contains("dropped") && row.contains(" 16 "), "{table}");
    assert!(table.contains("were never sent"), "{table}");
}
