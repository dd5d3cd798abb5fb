//! The report of a run whose variants present credentials that are refused.

use bench_client::report::{Format, Report};

use super::fixture;

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
[[variant]]
name = "key-unknown"
method = "api-key"
store = { kind = "memory" }
presents = "unknown"
[[measurement]]
kind = "latency"
load = { rate_per_s = 400, connections = 16, warmup = "0s", measure = "1s" }
[[measurement]]
kind = "throughput"
connections = 64
warmup = "0s"
measure = "100ms"
"#;

#[test]
fn processor_time_at_saturation_stands_in_the_row_of_saturation() {
    let run = fixture::run_of(SCENARIO, |_, _| 1_000.0);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let report = Report::new(&run);
    report.write(&run, folder.path(), &[Format::Csv, Format::Markdown]).expect("a report");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("was written");
    let table = read("tables/refusals.csv");
    let mut lines = table.lines();
    let heads: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let at = |name: &str| heads.iter().position(|head| *head == name).expect(name);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let row = |measurement: &str| {
        let is = |row: &&Vec<&str>| row[at("measurement")] == measurement;
        rows.iter().find(is).unwrap_or_else(|| panic!("no row of {measurement}: {table}"))
    };
    let cpu: f64 = row("throughput")[at("cpu_us_per_request")].parse().expect("a figure");
    assert!((14.0..16.0).contains(&cpu), "{cpu}");
    assert_eq!(row("latency")[at("cpu_us_per_request")], "");
    assert_eq!(row("latency")[at("cpu_blank")], "this row is not of a saturated server; see that of throughput");
    let text = read("report.md");
    assert!(text.contains("costs the server more than as many requests of its users do"), "{text}");
}
