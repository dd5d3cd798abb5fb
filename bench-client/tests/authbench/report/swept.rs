//! The report of a swept run whose lines cross at known places.

use std::path::Path;

use bench_client::plan::Metric;
use bench_client::report::{Format, LineCrossings, Report, SweepSummary};
use bench_client::run::LoadedRun;
use bench_client::stats::Spacing;

use super::{fixture, near};
use crate::schema;

/// Lines that rise by 10 µs with every doubling of the swept time, from 10 µs at 1 ms to 50 µs at 16 ms.
const SCENARIO: &str = r#"
analysis = "From which time on?"
starts = 6
rounds = 6
price_per_core_hour = "0.036 EUR"
[[variant]]
name = "none"
method = "none"
[[variant]]
name = "key"
method = "api-key"
store = { kind = "sqlite" }
[[variant]]
name = "cheap"
method = "jwt"
algorithm = "HS256"
[[variant]]
name = "dear"
method = "jwt"
algorithm = "RS256"
[[measurement]]
kind = "latency"
load = { rate_per_s = 400, connections = 16, warmup = "0s", measure = "1s" }
[[measurement]]
kind = "throughput"
connections = 64
warmup = "0s"
measure = "100ms"
[[sweep]]
"variant.key.cache.ttl" = ["1ms", "2ms", "4ms", "8ms", "16ms"]
plot = ["latency_added_p50", "server_cpu", "bytes_sent"]
"#;

fn added_ns(variant: &bench_client::plan::Variant, start: u32) -> f64 {
    match (variant.family(), variant.coordinates().iter().find_map(|at| at.value.position())) {
        ("key", Some(ttl_ns)) => 10_000.0 * (1.0 + (ttl_ns / 1e6).log2()),
        // Meets 25 µs half-way between 2 and 4 ms; starts differ by up to a tenth.
        ("cheap", _) => 25_000.0 * (0.9 + 0.04 * f64::from(start)),
        ("dear", _) => 60_000.0,
        _ => 0.0,
    }
}

fn run() -> LoadedRun {
    fixture::run_of(SCENARIO, added_ns)
}

fn sweep(report: &Report, metric: Metric) -> &SweepSummary {
    report.summary.sweeps.iter().find(|sweep| sweep.metric == metric).expect("asked for")
}

fn pair<'r>(sweep: &'r SweepSummary, second: &str) -> &'r LineCrossings {
    let mut pairs = sweep.panels.iter().flat_map(|panel| &panel.crossings);
    pairs.find(|pair| pair.first == "key" && pair.second == second).expect("can cross")
}

#[test]
fn lines_cross_where_they_were_made_to() {
    let report = Report::new(&run());
    for metric in [Metric::LatencyAddedP50, Metric::ServerCpu] {
        let sweep = sweep(&report, metric);
        assert_eq!((sweep.key.as_str(), sweep.spacing), ("cache.ttl", Spacing::Logarithmic));
        let found = pair(sweep, "cheap");
        assert!(found.crossings.first_is_lower);
        assert_eq!((found.from, found.to, found.crossings.found.len()), (1e6, 16e6, 1));
        let crossing = found.crossings.found[0];
        near(crossing.at, 2_f64.powf(1.5) * 1e6, 0.03);
        let interval = crossing.interval.expect("six starts");
        let (low, high) = (interval.low.expect("inside"), interval.high.expect("inside"));
        // A tenth of 25 µs is a quarter of a doubling.
        assert!(low > 2_f64.powf(1.2) * 1e6 && low < crossing.at, "{interval:?}");
        assert!(high < 2_f64.powf(1.8) * 1e6 && high > crossing.at, "{interval:?}");
        let none = pair(sweep, "dear");
        assert!(none.crossings.found.is_empty() && none.crossings.first_is_lower, "{none:?}");
        assert_eq!(none.crossings.agreement, Some(1.0));
    }
    let lines: Vec<(&str, usize, bool)> = sweep(&report, Metric::ServerCpu).panels[0]
        .lines
        .iter()
        .map(|line| (line.name.as_str(), line.points.len(), line.is_constant()))
        .collect();
    assert_eq!(lines, [("none", 1, true), ("key", 5, false), ("cheap", 1, true), ("dear", 1, true)]);
    let added = sweep(&report, Metric::LatencyAddedP50);
    assert!(added.panels[0].lines.iter().all(|line| !line.baseline), "it adds nothing to itself");
    assert!(added.panels.iter().flat_map(|panel| &panel.crossings).all(|pair| pair.second != "none"));
}

#[test]
fn points_have_the_figures_of_the_tables() {
    let report = Report::new(&run());
    let line = &sweep(&report, Metric::LatencyAddedP50).panels[0].lines[0];
    for point in &line.points {
        let variant = report.summary.variant(point.case.split('/').next().expect("a name")).expect("there");
        let latency = variant.latency.known().expect("measured");
        assert_eq!(point.figure, latency.latency_added_ns.p50, "{}", point.case);
    }
    let bytes = &sweep(&report, Metric::BytesSent).panels[0];
    assert!(
        bytes.lines.iter().all(|line| line.points.iter().all(|it| it.figure.known().expect("counted").value == 300.0))
    );
    assert!(bytes.crossings.is_empty(), "nobody asks where bytes cross");
}

#[test]
fn a_swept_server_has_a_panel_and_a_baseline_for_each_point() {
    let text = format!("{SCENARIO}[[sweep]]\n\"server.http\" = [\"1.1\", \"2\"]\n");
    let run = fixture::run_of(&text, added_ns);
    let report = Report::new(&run);
    let sweep = sweep(&report, Metric::LatencyAddedP50);
    let panels: Vec<_> = sweep.panels.iter().map(|panel| (panel.at.join(", "), panel.lines.len())).collect();
    assert_eq!(panels, [("server.http = 1.1".to_owned(), 3), ("server.http = 2".to_owned(), 3)]);
    for panel in &sweep.panels {
        near(panel.crossings[0].crossings.found[0].at, 2_f64.powf(1.5) * 1e6, 0.03);
    }
    assert_eq!(report.summary.compared().count(), 2 * 7);
    let text = files(&run, &[Format::Markdown], "report.md");
    assert!(text.contains("TLS 1.3, HTTP/1.1 and TLS 1.3, HTTP/2"));
}

fn files(run: &LoadedRun, formats: &[Format], name: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Report::new(run).write(run, folder.path(), formats).expect("a report");
    if std::env::var_os("AUTHBENCH_KEEP").is_some() {
        Report::new(run).write(run, folder.path(), &[Format::Png]).expect("plots");
        let path = folder.keep();
        eprintln!("kept in {}", path.display());
        return read(&path.join(name));
    }
    read(&folder.path().join(name))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("written")
}

#[test]
fn crossings_and_points_are_in_every_form() {
    let run = run();
    let plain = |text: &str| text.replace(['\u{a0}', '\u{202f}'], " ");
    let page = plain(&files(&run, &[Format::Html], "report.html"));
    for wanted in [
        "key is lower than cheap up to 2.8",
        "no crossing within the range: key below dear",
        "id=\"sweep-cache-ttl-latency-added-p50\"",
        "id=\"extra-crossings\"",
        "cache.ttl (logarithmic)",
        "At 0.036 EUR per hour of one processor core",
    ] {
        assert!(page.contains(wanted), "{wanted} is missing");
    }
    assert!(plain(&files(&run, &[Format::Markdown], "report.md")).contains("key is lower than cheap up to 2.8"));
    let text = plain(&Report::new(&run).terminal());
    assert!(
        text.contains("key is lower than cheap up to 2.8") && text.contains("At 0.036 EUR per core hour"),
        "{text}"
    );

    let points = files(&run, &[Format::Csv], "tables/sweep.csv");
    let key: Vec<&str> = points.lines().filter(|line| line.starts_with("key,cache.ttl,")).collect();
    assert_eq!(key.len(), 5, "{points}");
    assert!(key[4].contains("16000000"), "{}", key[4]);
    let crossings = files(&run, &[Format::Csv], "tables/crossings.csv");
    let cheap = crossings.lines().find(|line| line.contains(",cheap,Server CPU per request")).expect("a row");
    let at: f64 = cheap.split(',').nth(5).expect("a figure").parse().expect("a number");
    near(at, 2_f64.powf(1.5) * 1e6, 0.03);
    assert!(crossings.contains("no crossing from 1\u{a0}ms to 16\u{a0}ms"), "{crossings}");
}

#[test]
fn money_is_cpu_times_price() {
    let report = Report::new(&run());
    let dear = report.summary.variant("dear").expect("there");
    let cpu = dear.throughput.known().and_then(|it| it.server_cpu_ns_per_request.known()).expect("accounted").total;
    let price = dear.price_per_million_requests.as_ref().and_then(|cell| cell.known()).expect("a price");
    // 0.036 an hour is a hundred thousandth a second, and nanoseconds per request are milliseconds per million.
    near(price.value, cpu.value / 1e3 * 1e-5, 1e-9);
    near(price.interval.expect("six starts").high, cpu.interval.expect("six starts").high / 1e3 * 1e-5, 1e-9);
    let csv = files(&run(), &[Format::Csv], "tables/cost.csv");
    assert!(csv.starts_with("variant,cpu_per_million_core_seconds,"), "{csv}");
    let unpriced = Report::new(&fixture::run());
    assert!(unpriced.summary.variants.iter().all(|variant| variant.price_per_million_requests.is_none()));
}

#[test]
fn a_swept_summary_is_what_its_schema_says() {
    let text = format!("{SCENARIO}[[sweep]]\n\"server.http\" = [\"1.1\", \"2\"]\n");
    let mut run = fixture::run_of(&text, added_ns);
    run.records.retain(|record| record.case != "dear@http=2/throughput");
    let report = Report::new(&run);
    let json = serde_json::to_value(&report).expect("plain data");
    let text = include_str!("../../../../docs/summary.schema.json");
    let problems = schema::problems(&serde_json::from_str(text).expect("JSON"), &json);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(serde_json::from_value::<Report>(json).expect("reads back"), report);
}

#[test]
fn a_point_without_figure_leaves_the_others_their_line() {
    let mut run = run();
    run.records.retain(|record| !record.case.starts_with("key@ttl=4ms/"));
    let report = Report::new(&run);
    let sweep = sweep(&report, Metric::ServerCpu);
    let line = sweep.panels[0].lines.iter().find(|line| line.name == "key").expect("there");
    assert_eq!((line.points.len(), line.known().count()), (5, 4));
    assert_eq!(line.points[2].figure.reason(), Some("the run ended before this was measured"));
    // From 2 to 8 ms the line is still straight in the logarithm.
    near(pair(sweep, "cheap").crossings.found[0].at, 2_f64.powf(1.5) * 1e6, 0.03);
    for record in run.records.iter_mut() {
        record.invalid = vec!["nothing counts".to_owned()];
    }
    assert!(Report::new(&run).summary.sweeps.is_empty());
}
