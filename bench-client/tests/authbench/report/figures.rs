//! Figures, and the reasons of blanks.

use bench_client::in_process::{InProcess, InProcessEstimate};
use bench_client::machine::SampledCpu;
use bench_client::record::{EncodedHistogram, Measured};
use bench_client::report::{self, Cell, Estimate, Format, Report};
use bench_client::run::LoadedRun;
use bench_client::stats::Interval;

use super::{fixture, near, page, schema_problems};

#[test]
fn figures_are_those_that_were_put_in() {
    let report = Report::new(&fixture::run());
    let variant = report.summary.variant("jwt-es256").expect("in the fixture");
    let latency = variant.latency.known().expect("measured");
    assert_eq!((latency.trials, latency.trials_invalid, latency.samples), (6, 0, 12_000));
    near(latency.rate_per_s_achieved, 2000.0, 1e-9);
    // Starts and rounds differ by up to 3 %, around 0.5 % above the median of the fair weather.
    near(latency.latency_ns.p50.known().expect("p50").value, 139_000.0, 0.02);
    near(latency.latency_added_ns.p50.known().expect("added").value, 39_000.0, 0.03);
    near(latency.validation_ns.p50.known().expect("validation").value, 39_000.0, 0.02);
    // Log-logistic: the 99.9th percentile is the median × 999^0.12.
    near(latency.latency_ns.p99_9.known().expect("p99.9").value, 139_000.0 * 999_f64.powf(0.12), 0.05);
    let cpu = latency.server_cpu_ns_per_request.known().expect("accounted");
    near(cpu.total.value, (fixture::BASELINE_CPU_NS + 40_000.0) * 1.005, 1e-3);
    near(cpu.added.known().expect("paired").value, 40_000.0 * 1.005, 1e-3);
    near(cpu.relative.known().expect("paired").value, 1.0 + 40_000.0 / fixture::BASELINE_CPU_NS, 1e-3);
    let baseline = report.summary.baseline().and_then(|it| it.latency.known()).expect("measured");
    let baseline = baseline.server_cpu_ns_per_request.known().expect("accounted");
    assert!(baseline.relative.known().is_none(), "it is the yardstick");
    let throughput = variant.throughput.known().expect("measured");
    let ratio = throughput.ratio_to_baseline.known().expect("paired");
    near(ratio.value, 0.29, 1e-3);
    // Weather hits both sides of a pair alike: the ratio is far surer than the rate.
    let width = |estimate: &report::Estimate| estimate.relative_half_width().expect("has an interval");
    assert!(width(ratio) < width(&throughput.per_s) / 10.0);
    let operations = latency.operations_per_request.known().expect("counted");
    assert_eq!((operations.store_lookups, operations.verify_calls), (0.0, 1.0));
    near(latency.wire_bytes_per_request.known().expect("counted").sent, 525.0, 1e-9);

    let revocation = variant.revocation.known().expect("measured");
    assert_eq!((revocation.revoked, revocation.still_accepted), (24, 0));
    assert!(revocation.max.high_ns.expect("closed") <= 10.0e9);
    let both_roles = report.summary.variant("oauth2-opaque").and_then(|it| it.latency.known()).expect("measured");
    assert_eq!(both_roles.server_cpu_ns_per_request.known().expect("accounted").by_role.len(), 2);
}

#[test]
fn weather_that_all_variants_saw_is_not_in_their_processor_time() {
    let widths = |run: &LoadedRun| {
        let report = Report::new(run);
        let width = |estimate: &Estimate| estimate.relative_half_width().expect("has an interval");
        let of = |name: &str| {
            let latency = report.summary.variant(name).and_then(|it| it.latency.known()).expect("measured").clone();
            width(&latency.server_cpu_ns_per_request.known().expect("accounted").total)
        };
        let throughput = report.summary.variant("none").and_then(|it| it.throughput.known()).expect("measured");
        (["none", "jwt-es256"].map(of), width(&throughput.per_s))
    };
    let mut run = fixture::run();
    let (cpu, rate) = widths(&run);
    assert!(
        cpu.iter().all(|width| (0.5..2.0).contains(&(width / rate))),
        "two rounds of a start tell no line: {cpu:?}"
    );
    // The same rounds in a single start: five beyond the first.
    run.header.plan.starts = 1;
    run.records.iter_mut().for_each(|record| record.start = 0);
    let (cpu, rate) = widths(&run);
    assert!(cpu.iter().all(|width| *width < rate / 10.0), "{cpu:?} beside {rate}");
}

#[test]
fn resources_are_those_that_were_put_in_and_modes_share_the_exact_time() {
    let report = Report::new(&fixture::run());
    let of = |variant: &str| {
        let found = report.summary.variant(variant).and_then(|it| it.throughput.known()).expect("measured");
        found.resources.clone()
    };
    let value = |cell: &Cell<report::Estimate>| cell.known().expect("accounted").value;
    let found = of("jwt-es256");
    let whole = value(&found.server.cpu_ns_per_request);
    near(value(&found.server.user_ns_per_request), whole / 4.0, 1e-6);
    near(value(&found.server.system_ns_per_request), whole * 0.75, 1e-6);
    near(value(&found.server.switches_voluntary_per_request), 0.5, 1e-3);
    assert_eq!(value(&found.server.switches_involuntary_per_request), 0.0, "counted, and there were none");
    near(value(&found.server.instructions_per_request), fixture::SERVER_INSTRUCTIONS as f64, 1e-9);
    near(value(&found.client.instructions_per_request), fixture::CLIENT_INSTRUCTIONS as f64, 1e-9);
    near(value(&found.client.cpu_ns_per_request), 7_000.0, 1e-9);
    assert_eq!(found.server.peak_rss_bytes, Cell::Known(fixture::PEAK_RSS));
    let tcp = found.tcp_per_request.known().expect("counted");
    assert_eq!(
        (tcp.bytes_sent, tcp.bytes_received, tcp.segments_sent, tcp.segments_received),
        (525.0, 260.0, 2.0, 1.0)
    );
    assert_eq!(of("oauth2-opaque").server.peak_rss_bytes, Cell::Known(2 * fixture::PEAK_RSS), "two processes");
}

#[test]
fn what_the_machine_did_not_tell_is_blank_with_its_reason() {
    let mut run = fixture::run();
    for record in &mut run.records {
        let (Measured::Latency(load) | Measured::Throughput(load)) = &mut record.measured else { continue };
        match record.variant.as_str() {
            "mtls" => load.usage.get_mut("resource").expect("there").instructions = Cell::blank("no hardware counters"),
            "jwt-hs256" => load.tcp = Cell::blank("connections closed"),
            "none" => {
                let sampled = SampledCpu { user_ns: 10_000_000, system_ns: 20_000_000 };
                load.usage.get_mut("resource").expect("there").sampled = Cell::Known(sampled);
            }
            "api-key-memory" => load.usage.clear(),
            _ => {}
        }
    }
    let report = Report::new(&run);
    let resources = |variant: &str| {
        let variant = report.summary.variant(variant).expect("in the fixture");
        variant.throughput.known().expect("measured").resources.clone()
    };
    assert_eq!(resources("mtls").server.instructions_per_request.reason(), Some("no hardware counters"));
    assert!(resources("mtls").client.instructions_per_request.known().is_some());
    assert_eq!(resources("jwt-hs256").tcp_per_request.reason(), Some("connections closed"));
    let few = resources("none").server;
    assert!(few.user_ns_per_request.reason().is_some_and(|reason| reason.contains("too few clock ticks")));
    assert!(few.cpu_ns_per_request.known().is_some());
    assert_eq!(resources("api-key-memory").server.peak_rss_bytes.reason(), Some("CPU accounting not available"));
    let html = page(&run);
    assert!(html.contains("no hardware counters") && html.contains("too few clock ticks"));
}

#[test]
fn shown_cpu_is_that_at_saturation_and_the_open_loop_figure_carries_its_rate() {
    let mut run = fixture::run();
    for record in run.records.iter_mut().filter(|record| record.case == "mtls/latency") {
        if let bench_client::record::Measured::Latency(load) = &mut record.measured {
            load.server_cpu_ns = Some([("resource".to_owned(), 999_000 * load.answered)].into());
        }
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    Report::new(&run).write(&run, folder.path(), &[Format::Markdown]).expect("a report");
    let text = std::fs::read_to_string(folder.path().join("report.md")).expect("written");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| mtls |") && line.contains("999 ")).collect();
    assert_eq!(rows.len(), 1, "only the latency table shows the idle server: {rows:#?}");
    assert!(rows[0].starts_with("| mtls | latency |") && rows[0].contains("at 2000/s"), "{}", rows[0]);
}

#[test]
fn a_slow_variant_is_compared_with_the_baseline_of_its_own_measurement() {
    let report = Report::new(&fixture::run());
    let slow = report.summary.variant("basic-argon2id").expect("in the fixture");
    let latency = slow.latency.known().expect("measured");
    assert_eq!(latency.measurement, "latency-slow");
    near(latency.rate_per_s_requested, 25.0, 1e-9);
    near(latency.latency_added_ns.p50.known().expect("paired").value, 12_400_000.0, 0.03);
    assert_eq!(report.summary.baseline().and_then(|it| it.latency.known()).expect("measured").measurement, "latency");
}

#[test]
fn blanks_carry_their_reason() {
    let mut run = fixture::run();
    for record in run.records.iter_mut().filter(|record| record.case == "mtls/throughput") {
        record.invalid = vec!["the client was late".to_owned()];
    }
    for record in run.records.iter_mut().filter(|record| record.case == "jwt-hs256/throughput") {
        if let bench_client::record::Measured::Throughput(load) = &mut record.measured {
            load.server_cpu_ns = None;
        }
    }
    run.records.retain(|record| record.case != "jwt-eddsa/revocation");
    let report = Report::new(&run);
    let variant = |name: &str| report.summary.variant(name).expect("in the fixture");
    let reason = |cell: Option<&str>| cell.expect("blank").to_owned();
    assert_eq!(reason(variant("none").revocation.reason()), "nothing to revoke");
    assert_eq!(reason(variant("mtls").throughput.reason()), "every trial was invalid: the client was late");
    assert_eq!(reason(variant("jwt-eddsa").revocation.reason()), "the run ended before this was measured");
    let slow = variant("basic-argon2id").latency.known().expect("measured");
    assert_eq!(reason(slow.latency_ns.p99.reason()), "fewer than 10 samples beyond p99");
    assert!(slow.latency_ns.p90.known().is_some(), "600 samples have 60 beyond p90");
    let unaccounted = variant("jwt-hs256").throughput.known().expect("measured");
    assert_eq!(reason(unaccounted.server_cpu_ns_per_request.reason()), "CPU accounting not available");
    assert_eq!(report.summary.invalid.len(), 6);

    let text = Report::new(&run).terminal();
    for wanted in
        ["nothing to revoke", "CPU accounting not available", "fewer than 10 samples beyond p99", "mtls/throughput"]
    {
        assert!(text.contains(wanted), "{wanted} is missing in:\n{text}");
    }
    assert!(page(&run).contains("CPU accounting not available"));
}

#[test]
fn invalid_trials_leave_the_figures_alone() {
    let mut run = fixture::run();
    let before = Report::new(&run);
    let mut absurd = run.records.iter().find(|record| record.case == "mtls/latency").expect("exists").clone();
    absurd.round = 77;
    absurd.invalid = vec!["stolen time".to_owned()];
    if let bench_client::record::Measured::Latency(load) = &mut absurd.measured {
        load.server_cpu_ns = Some([("resource".to_owned(), u64::MAX / 2)].into());
    }
    let mut unreadable = absurd.clone();
    unreadable.invalid.clear();
    if let bench_client::record::Measured::Latency(load) = &mut unreadable.measured {
        load.latency = EncodedHistogram::from_text("not a histogram".to_owned());
    }
    run.records.extend([absurd, unreadable]);
    let after = Report::new(&run);
    let cpu = |report: &Report| {
        let latency = report.summary.variant("mtls").and_then(|it| it.latency.known()).expect("measured").clone();
        latency.server_cpu_ns_per_request.known().expect("accounted").total
    };
    assert_eq!(cpu(&before), cpu(&after));
    assert_eq!(after.summary.invalid.len(), 2);
    assert!(after.summary.invalid[1].reasons[0].contains("cannot be read"), "{:?}", after.summary.invalid[1]);
}

#[test]
fn one_start_is_said_and_one_trial_has_no_interval() {
    let mut run = fixture::run();
    run.records.retain(|record| record.start == 0);
    assert!(Report::new(&run).terminal().contains("rounds of a single start"));
    run.records.retain(|record| record.round == 0);
    let report = Report::new(&run);
    assert_eq!(report.summary.intervals_over, None);
    assert!(report.summary.smallest_regression.iter().all(|it| matches!(it.change, Cell::Blank { .. })));
}

#[test]
fn blast_is_the_most_that_one_watch_saw() {
    let mut run = fixture::run();
    for window in fixture::windows_mut(&mut run, "mtls/revocation") {
        window.blast_radius = 3;
    }
    let report = Report::new(&run);
    let mtls = report.summary.variant("mtls").and_then(|it| it.revocation.known()).expect("measured");
    assert_eq!(mtls.blast_radius, 3);
}

#[test]
fn estimates_of_criterion_are_a_column_of_their_own() {
    let mut run = fixture::run();
    let has_column = |run: &LoadedRun| page(run).contains(">In-process");
    assert!(!has_column(&run), "no estimates, no column");
    let es256 = Estimate { value: 41_500.0, interval: Some(Interval { low: 41_400.0, high: 41_700.0 }) };
    let estimates = [
        ("jwt/ES256", es256, "2026-11-23T18:00:00Z"),
        ("none", Estimate { value: 21.0, interval: None }, "2026-11-23T18:01:00Z"),
        ("of no variant", Estimate { value: 1.0, interval: None }, "1999-11-23T18:00:00Z"),
    ];
    let made = |(name, estimate, at): (&str, Estimate, &str)| {
        (name.to_owned(), InProcessEstimate { estimate, measured_at: at.parse().expect("a timestamp") })
    };
    run.header.in_process = Some(InProcess { estimates: estimates.map(made).into() });
    assert!(has_column(&run));
    let report = Report::new(&run);
    let of = |name: &str| report.summary.variant(name).expect("is in the fixture").in_process_ns.clone();
    assert_eq!(of("jwt-es256"), Some(Cell::Known(es256)));
    assert_eq!(of("jwt-rs256"), Some(Cell::blank("no estimate of jwt/RS256 there")));
    assert_eq!(of("oauth2-opaque"), Some(Cell::blank("no benchmark validates like this within one process")));
    let text = Report::new(&run).terminal();
    assert!(text.contains("process µs") && text.contains("of 2026-11-23 18:00 UTC"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let row = text.lines().find(|line| line.starts_with("jwt-es256 ")).expect("a row");
    assert!(row.contains(" 41.5 "), "{row}");
    let problems = schema_problems(&serde_json::to_value(&report).expect("plain data"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
