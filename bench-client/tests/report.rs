//! The report of a run whose every figure is known beforehand.

#[path = "report/beside.rs"]
mod beside;
#[path = "report/connections.rs"]
mod connections;
#[path = "report/fixture.rs"]
mod fixture;
#[path = "report/refused.rs"]
mod refused;
#[path = "report/replicated.rs"]
mod replicated;
#[path = "report/schema.rs"]
mod schema;
#[path = "report/swept.rs"]
mod swept;

use std::path::Path;

use bench_client::compare::{PowerCurve, PowerPoint};
use bench_client::in_process::{InProcess, InProcessEstimate};
use bench_client::machine::{KeptAwake, SampledCpu};
use bench_client::plan::{Accepted, Convention, ExternalMethod, Method, MethodWord, Quantity, SessionKind, TargetPlan};
use bench_client::record::{EncodedHistogram, HandshakeCounts, HandshakeResult, Measured, RevocationHandshakes};
use bench_client::report::{self, Cell, ClaimVerdict, Estimate, Format, HandshakeCase, LawForm, Report};
use bench_client::run::LoadedRun;
use bench_client::stats::{BreakEven, Interval};
use bench_server::contract::SlowDown;

const ALL: [Format; 7] =
    [Format::Html, Format::Markdown, Format::Csv, Format::Svg, Format::Png, Format::Json, Format::Hgrm];

fn near(found: f64, expected: f64, tolerance: f64) {
    assert!((found / expected - 1.0).abs() <= tolerance, "found {found}, expected {expected} within {tolerance}");
}

/// Where the summary breaks its published schema.
fn schema_problems(json: &serde_json::Value) -> Vec<String> {
    let schema = include_str!("../../docs/summary.schema.json");
    schema::problems(&serde_json::from_str(schema).expect("JSON"), json)
}

fn page(run: &LoadedRun) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    Report::new(run).write(run, folder.path(), &[Format::Html]).expect("a page");
    std::fs::read_to_string(folder.path().join("report.html")).expect("was written")
}

/// Every file that a run can become, all in one folder, kept on request for looking at.
#[test]
fn every_format_is_written_where_it_says() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Report::new(&fixture::run()).write(&fixture::run(), folder.path(), &ALL).expect("a report");
    for name in [
        "report.html",
        "report.md",
        "summary.json",
        "tables/comparison.csv",
        "plots/frontier.svg",
        "plots/added-latency.png",
        "hgrm/jwt-es256-latency.hgrm",
    ] {
        let path = folder.path().join(name);
        assert!(files.contains(&path), "{name} is not among the files written");
        assert!(path.metadata().is_ok_and(|it| it.len() > 500), "{name} is missing or nearly empty");
    }
    assert!(files.iter().all(|path| path.is_file()));
    if std::env::var_os("AUTHBENCH_KEEP").is_some() {
        eprintln!("kept in {}", folder.keep().display());
    }
}

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
fn every_report_says_whether_cores_were_kept_awake() {
    let texts = |run: &LoadedRun| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Report::new(run).write(run, folder.path(), &[Format::Markdown, Format::Json]).expect("a report");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("written");
        [page(run), read("report.md"), Report::new(run).terminal(), read("summary.json")]
    };
    let mut run = fixture::run();
    for text in &texts(&run)[..3] {
        assert!(text.contains("cores kept awake") && !text.contains("not kept awake"), "{text}");
    }
    run.header.machine.keep_awake = KeptAwake::off("the scheduler refuses");
    for text in &texts(&run)[..3] {
        assert!(text.contains("cores not kept awake: the scheduler refuses"), "{text}");
    }
    assert!(texts(&run)[3].contains("the scheduler refuses"));
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
fn what_a_reader_must_know_stands_beside_the_figures() {
    let mut run = fixture::run();
    for record in &mut run.records {
        record.elapsed_ns *= 17;
    }
    let text =
        Report::new(&run).terminal().split([' ', '\n']).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    for wanted in [
        "Connections were kept: handshakes are outside these figures.",
        "each case was under load for 1/17 of the time",
        "entries that live 1/17 as long.",
        "With so few (3 starts) they are narrower than 95",
        "longest with stateless JWTs, until exp",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in {text}");
    }
    let report = Report::new(&run);
    let variant = |name: &str| report.summary.variant(name).expect("in the fixture");
    assert_eq!((variant("mtls").credentials, variant("jwt-hs256").credentials), (64, 1000));
    let promise = &variant("jwt-hs256").revocation.known().expect("measured").promise;
    assert_eq!(promise.replace('\u{a0}', " "), "token expiry, 10 s here");
    let at_once = variant("api-key-memory").revocation.known().expect("measured").max;
    assert_eq!(at_once.high_ns, Some(20e6), "nothing is known below the distance of two probes");

    // Six starts are enough, and two cannot tell.
    let mut many = fixture::run();
    for record in &mut many.records {
        record.start = record.round;
    }
    let text = Report::new(&many).terminal();
    assert!(text.contains("95\u{a0}% bootstrap") && !text.contains("narrower"), "{text}");
    many.records.retain(|record| record.start < 2);
    assert!(Report::new(&many).terminal().contains("two starts cannot tell"));
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
fn a_sound_run_passes_every_check() {
    let run = fixture::run();
    assert_eq!(Report::new(&run).failures(), Vec::<String>::new());
    let report = Report::new(&run);
    assert!(report.checks.iter().all(|check| check.verdict == report::CheckVerdict::Passed), "{:#?}", report.checks);
}

/// What a spoiled run fails, as the names of the checks.
fn failures(spoil: impl FnOnce(&mut LoadedRun)) -> Vec<String> {
    let mut run = fixture::run();
    spoil(&mut run);
    Report::new(&run).failed_checks().map(|check| check.name.clone()).collect()
}

#[test]
fn checks_fail_when_they_should() {
    let lookups = failures(|run| {
        fixture::load_mut(run, "api-key-sqlite/latency").server.as_mut().expect("told").store_lookups -= 20
    });
    assert_eq!(lookups, ["api-key-sqlite: one store lookup per request"]);
    let stateless =
        failures(|run| fixture::load_mut(run, "jwt-rs256/throughput").server.as_mut().expect("told").store_lookups = 1);
    assert_eq!(stateless, ["jwt-rs256: no store lookup on kept connections"]);
    let cached = failures(|run| {
        fixture::load_mut(run, "oauth2-opaque-cached/latency").server.as_mut().expect("told").cache_hits -= 1
    });
    assert_eq!(cached, ["oauth2-opaque-cached: a request hits the cache or looks up"]);
    let unverified =
        failures(|run| fixture::load_mut(run, "jwt-es256/latency").server.as_mut().expect("told").verify_calls -= 1);
    assert_eq!(unverified, ["jwt-es256: one signature check per request"]);
    let uncounted = failures(|run| fixture::load_mut(run, "mtls/throughput").answered += 1);
    assert_eq!(uncounted, ["client and server count the same answers"]);
    let late = failures(|run| {
        fixture::windows_mut(run, "mtls/revocation")[0].last_accepted_ns = Some(2_100_000_000);
    });
    assert_eq!(late, ["mtls: a revocation is noticed within the period"]);
    let slow = failures(|run| {
        fixture::windows_mut(run, "api-key-memory/revocation")[0].last_accepted_ns = Some(60_000_000);
    });
    assert_eq!(slow, ["api-key-memory: a revocation is noticed at once"]);
    let early = failures(|run| {
        let window = &mut fixture::windows_mut(run, "jwt-hs256/revocation")[0];
        (window.last_accepted_ns, window.first_rejected_ns) = (Some(1_000_000_000), Some(1_020_000_000));
    });
    assert_eq!(early, ["jwt-hs256: a revoked token lives until it expires"]);
    let hurried = failures(|run| {
        for round in run.records.iter_mut().filter(|record| record.case == "none/throughput") {
            if let bench_client::record::Measured::Throughput(load) = &mut round.measured {
                load.measured_ns *= 2;
            }
        }
    });
    assert_eq!(hurried, ["throughput: mean latency × throughput = connections, in every trial"]);
}

#[test]
fn a_credential_that_was_never_refused_is_a_finding() {
    let mut run = fixture::run();
    for window in fixture::windows_mut(&mut run, "mtls/revocation") {
        window.first_rejected_ns = None;
        window.last_accepted_ns = Some(11_990_000_000);
    }
    let report = Report::new(&run);
    let found = report.summary.variant("mtls").and_then(|it| it.revocation.known()).expect("measured");
    assert_eq!((found.still_accepted, found.max.high_ns), (8, None));
    let html = page(&run);
    assert!(html.contains("8 of 24 still accepted"));
    let claim =
        report.claims.iter().find(|claim| claim.method == "mtls" && claim.aspect == "Revocation").expect("there");
    assert_eq!(claim.verdict, ClaimVerdict::Contradicted);
}

#[test]
fn the_guide_is_answered_cell_by_cell() {
    let report = Report::new(&fixture::run());
    assert_eq!(report.claims.len(), 30);
    let verdict = |method: &str, aspect: &str| {
        let is = |claim: &&report::Claim| claim.method == method && claim.aspect == aspect;
        report.claims.iter().find(is).expect("a cell").verdict
    };
    assert_eq!(verdict("mtls", "Stateless validation"), ClaimVerdict::Supported);
    assert_eq!(verdict("oauth2", "Stateless validation"), ClaimVerdict::Supported);
    // A cache makes both words true only sometimes.
    assert_eq!(verdict("api-key", "Stateless validation"), ClaimVerdict::Qualified);
    assert_eq!(verdict("api-key", "Revocation"), ClaimVerdict::Qualified);
    assert_eq!(verdict("basic", "Complexity"), ClaimVerdict::NotMeasured);
    assert!(report.claims.iter().all(|claim| !claim.measured.is_empty()), "a cell says nothing");

    let mut uncached = fixture::run();
    uncached.header.plan.variants.retain(|variant| variant.name != "api-key-sqlite-cached");
    let report = Report::new(&uncached);
    let of =
        |aspect: &str| report.claims.iter().find(|it| it.method == "api-key" && it.aspect == aspect).expect("a cell");
    assert_eq!(of("Stateless validation").verdict, ClaimVerdict::Supported);
    assert_eq!(of("Revocation").verdict, ClaimVerdict::Supported);
}

#[test]
fn the_page_needs_no_network_and_every_figure_a_caption() {
    let html = page(&fixture::run());
    for attribute in ["src=", "href=", "url(", "@import", "action="] {
        for (at, _) in html.match_indices(attribute) {
            let value = html[at + attribute.len()..].trim_start_matches(['"', '\'']);
            assert!(
                value.starts_with('#') || value.starts_with("data:"),
                "{attribute}{}",
                &value[..40.min(value.len())]
            );
        }
    }
    assert!(html.contains("Content-Security-Policy") && html.contains("default-src 'none'"));
    let figures: Vec<&str> =
        html.split("<figure").skip(1).filter_map(|rest| rest.split_once("</figure>")).map(|it| it.0).collect();
    assert_eq!(figures.len(), 5);
    for figure in figures {
        let caption =
            figure.split_once("<figcaption>").and_then(|it| it.1.split_once("</figcaption>")).expect("a caption").0;
        assert!(caption.len() > 80, "{caption}");
        assert!(figure.contains("var(--plot-ink)") && !figure.contains("\"#1B1F24\""), "colours must follow the page");
    }
    // Prefixed identifiers and anchors all resolve.
    for link in html.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(html.contains(&format!("id=\"{link}\"")), "#{link} leads nowhere");
    }
}

#[test]
fn hostile_names_and_texts_stay_text() {
    let mut run = fixture::run();
    let name = "<script>alert(1)</script>\"'&|`";
    let plan = &mut run.header.plan;
    plan.analysis = format!("{name}\n\n</main><img src=x onerror=alert(2)>");
    run.header.scenario_text = "</code></pre><script>alert(3)</script>".to_owned();
    run.warnings.push("<b onclick=alert(4)>".to_owned());
    plan.variants[1].name = name.to_owned();
    for case in plan.cases.iter_mut().filter(|case| case.variant == "api-key-memory") {
        case.variant = name.to_owned();
    }
    for record in run.records.iter_mut().filter(|record| record.variant == "api-key-memory") {
        record.variant = name.to_owned();
    }
    let html = page(&run);
    assert_eq!(html.matches("<script>").count(), 1, "only the page's own script");
    for forbidden in ["<img", "<b onclick", "alert(1)</script>", "</code></pre><script>"] {
        assert!(!html.contains(forbidden), "{forbidden} came through");
    }
    assert!(html.contains("&lt;script&gt;alert(1)"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files =
        Report::new(&run).write(&run, folder.path(), &[Format::Markdown, Format::Svg, Format::Csv]).expect("a report");
    assert!(!std::fs::read_to_string(folder.path().join("report.md")).expect("written").contains("<script>"));
    for path in files.iter().filter(|path| path.extension().is_some_and(|it| it == "svg")) {
        well_formed(&std::fs::read_to_string(path).expect("written"), path);
    }
}

/// Checks that elements nest and that text holds no loose `<` or `&`.
fn well_formed(svg: &str, path: &Path) {
    let mut open: Vec<&str> = Vec::new();
    let mut roots = 0;
    for piece in svg.split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("{}: <{piece} never ends", path.display()));
        assert_eq!(tag.matches('"').count() % 2, 0, "{}: <{tag}>", path.display());
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{}: </{name}>", path.display());
        } else if !tag.ends_with('/') {
            roots += usize::from(open.is_empty());
            open.push(tag.split_whitespace().next().expect("a name"));
        }
        for entity in text.split('&').skip(1) {
            assert!(entity.split(';').next().is_some_and(|it| it.len() <= 5), "{}: &{entity}", path.display());
        }
    }
    assert!(open.is_empty() && roots == 1, "{}: {open:?} open, {roots} roots", path.display());
}

#[test]
fn plots_are_well_formed_and_hold_every_name() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = fixture::run();
    let files = Report::new(&run).write(&run, folder.path(), &[Format::Svg]).expect("plots");
    assert_eq!(files.len(), 5);
    for path in &files {
        let svg = std::fs::read_to_string(path).expect("written");
        well_formed(&svg, path);
        for variant in run.header.plan.variants.iter().filter(|variant| variant.name != "none") {
            assert!(svg.contains(&variant.name), "{} is not in {}", variant.name, path.display());
        }
    }
}

#[test]
fn the_terminal_keeps_to_120_columns_and_names_every_variant() {
    let run = fixture::run();
    let text = Report::new(&run).terminal();
    for line in text.lines() {
        assert!(line.chars().count() <= 120, "{} columns: {line}", line.chars().count());
    }
    for variant in &run.header.plan.variants {
        assert!(text.lines().any(|line| line.starts_with(&variant.name)), "{} has no row of its own", variant.name);
    }
    assert!(!text.contains('\u{1b}'), "no colour is needed");
}

#[test]
fn the_summary_is_what_its_schema_says_and_reads_back() {
    let mut run = fixture::run();
    run.records[3].invalid.push("stolen time".to_owned());
    run.records[4].warnings.push("a warning".to_owned());
    fixture::windows_mut(&mut run, "mtls/revocation")[0].first_rejected_ns = None;
    run.records.retain(|record| record.case != "jwt-hs256/revocation");
    let report = Report::new(&run);
    let json = serde_json::to_value(&report).expect("plain data");
    let problems = schema_problems(&json);
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert_eq!(serde_json::from_value::<Report>(json.clone()).expect("reads back"), report);

    let mut other = json;
    other["variants"][0]["surprise"] = true.into();
    let problems = schema_problems(&other);
    assert_eq!(problems.len(), 1, "the check would not notice a new key: {problems:?}");
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

#[test]
fn a_power_curve_becomes_every_format() {
    let run = fixture::run();
    let mut report = Report::new(&run);
    assert!(!report.terminal().contains("slow-down"), "nothing is slowed down");
    let point = |share: f64, regressed| PowerPoint {
        case: format!("jwt-es256-slowed@slow_down={share}/throughput"),
        slow_down: SlowDown::Share(share),
        change: Estimate { value: share, interval: Some(Interval { low: share - 0.002, high: share + 0.002 }) },
        regressed,
    };
    report.summary.power = vec![PowerCurve {
        variant: "jwt-es256".to_owned(),
        method: "jwt".to_owned(),
        measurement: "throughput".to_owned(),
        quantity: Quantity::ServerCpu,
        gate: true,
        starts: 8,
        starts_to_confirm: 16,
        figures: 17,
        detectable: 0.011,
        points: vec![point(0.0, 0.0), point(0.01, 0.87), point(0.02, 0.95)],
    }];
    let folder = tempfile::tempdir().expect("a temporary folder");
    report.write(&run, folder.path(), &ALL).expect("a report");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("was written");
    let sentence = "the validation of jwt-es256 slower by 2\u{a0}% (server CPU per request)";
    for text in [read("report.html"), read("report.md")] {
        assert!(text.contains(sentence), "{text}");
        assert!(text.contains("which has 17 figures, 8 starts, and a second look of up to 16 starts"), "{text}");
    }
    let svg = folder.path().join("plots/power.svg");
    well_formed(&read("plots/power.svg"), &svg);
    assert!(read("plots/power.svg").contains("jwt-es256: server CPU per request"));
    assert_eq!(read("tables/power.csv").lines().count(), 4);
    let terminal = report.terminal();
    assert!(terminal.lines().all(|line| line.chars().count() <= 120), "{terminal}");
    let row = terminal.lines().find(|line| line.contains("server CPU per request") && line.contains("1\u{a0}%"));
    assert!(row.is_some_and(|row| row.contains("87")), "{terminal}");
    let problems = schema_problems(&serde_json::to_value(&report).expect("plain data"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The fixture as a server of the user's would have left it: three variants, nothing told, no process named.
fn foreign() -> LoadedRun {
    let mut run = fixture::run();
    let (plan, kept) = (&mut run.header.plan, ["none", "api-key-memory", "mtls"]);
    plan.target = Some(TargetPlan {
        url: "https://gateway.test/whoami".to_owned(),
        roots: None,
        processes: None,
        folder: "/".into(),
    });
    plan.variants.retain(|variant| kept.contains(&variant.name.as_str()));
    plan.cases.retain(|case| kept.contains(&case.variant.as_str()));
    for variant in &mut plan.variants {
        let method = match variant.name.as_str() {
            "none" => MethodWord::None,
            "mtls" => MethodWord::Mtls,
            _ => MethodWord::ApiKey,
        };
        let accepted = Accepted { status: vec![200], body_contains: None };
        let convention = Convention { header: None, accepted, rejected: vec![401] };
        let url = "https://gateway.test/whoami".to_owned();
        let external = ExternalMethod { method, url, convention, credentials: None, revoke: None, forge: None };
        variant.method = Method::External { external: Box::new(external) };
    }
    run.records.retain(|record| kept.contains(&record.variant.as_str()));
    for record in &mut run.records {
        if let Measured::Latency(result) | Measured::Throughput(result) = &mut record.measured {
            (result.server, result.validation, result.server_cpu_ns) = (None, None, None);
        }
    }
    run
}

#[test]
fn what_a_foreign_server_does_not_tell_is_blank_and_not_zero() {
    const NOT_TOLD: Option<&str> = Some("not told by a foreign server");
    let run = foreign();
    let report = Report::new(&run);
    let key = report.summary.variant("api-key-memory").expect("kept");
    let latency = key.latency.known().expect("it was measured");
    assert_eq!(latency.validation_ns.p50.reason(), NOT_TOLD);
    assert_eq!(latency.operations_per_request.reason(), NOT_TOLD);
    assert!(latency.server_cpu_ns_per_request.reason().expect("no process").contains("the scenario names none"));
    assert!(latency.latency_added_ns.p50.known().is_some(), "what the client sees needs nobody to tell");
    let revocation = key.revocation.known().expect("it was measured");
    assert_eq!((revocation.promise.as_str(), revocation.promise_ns), ("not told by a foreign server", None));

    assert_eq!(Report::new(&run).failures(), Vec::<String>::new());
    let names: Vec<&str> = report.checks.iter().map(|check| check.name.as_str()).collect();
    assert!(names.iter().all(|name| !name.contains("lookup") && !name.contains("noticed")), "{names:?}");
    for claim in report.claims.iter().filter(|claim| ["Identifies", "Stateless validation"].contains(&&*claim.aspect)) {
        assert_eq!(claim.verdict, ClaimVerdict::NotMeasured, "{claim:?}");
    }
    assert_eq!(report.summary.target.as_deref(), Some("https://gateway.test/whoami"));
    let text = include_str!("../../docs/summary.schema.json");
    let json = serde_json::to_value(&report).expect("plain data");
    let problems = schema::problems(&serde_json::from_str(text).expect("JSON"), &json);
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    let folder = tempfile::tempdir().expect("a temporary folder");
    Report::new(&run).write(&run, folder.path(), &ALL).expect("every format can be written");
    assert!(page(&run).contains("gateway.test"));
}

#[test]
fn an_empty_run_still_has_a_report() {
    let mut run = fixture::run();
    run.records.clear();
    let html = page(&run);
    assert!(html.contains("the run ended before this was measured"));
    assert!(html.contains("No measurement of this run can be drawn."));
    assert_eq!(Report::new(&run).failures(), Vec::<String>::new());
    assert!(Report::new(&run).terminal().contains("0 passed, 0 failed"));
}

#[test]
fn new_connections_cost_what_was_put_in() {
    let report = Report::new(&connections::run());
    let case = |variant: &str, session, requests| {
        let variant = report.summary.variant(variant).expect("in the fixture");
        let case = variant.handshakes.iter().find(|it| it.session == session && it.requests_per_connection == requests);
        case.expect("measured").found.known().expect("valid trials")
    };
    let plain = case("none", SessionKind::Full, 10);
    // The weather's mean over starts and rounds is 1.005.
    near(
        plain.server_cpu_ns_per_connection.known().expect("accounted").value,
        connections::FULL_NS + 10.0 * connections::REQUEST_NS,
        0.01,
    );
    near(
        plain.server_cpu_ns_per_request.known().expect("accounted").value,
        connections::FULL_NS / 10.0 + connections::REQUEST_NS,
        0.01,
    );
    near(plain.requests_per_s.value, plain.per_s.value * 10.0, 1e-9);
    near(plain.bytes_sent_per_connection, 400.0 + 700.0, 1e-9);
    near(plain.ready_ns.p50.known().expect("p50").value, connections::FULL_NS * 5.0, 0.01);
    assert!(plain.ready_ns.p99.known().is_some() && plain.server_cpu_ns_per_request.known().is_some());
    let mutual = case("mtls", SessionKind::Full, 1);
    assert_eq!(mutual.with_certificate.client, mutual.full.client);
    assert!(mutual.full.agrees() && mutual.resumed.agrees() && mutual.with_certificate.agrees());
    assert_eq!(case("none", SessionKind::Resumed, 1).full.client, 0);
    assert_eq!(mutual.key_exchange.keys().collect::<Vec<_>>(), ["X25519"]);
}

#[test]
fn the_break_even_is_where_the_handshake_has_paid_off() {
    let report = Report::new(&connections::run());
    let against = |session| {
        let found = report.summary.amortisation.iter().find(|it| it.against_session == session);
        found.expect("mtls was measured with full handshakes, the token with both")
    };
    // (147 − 66) µs more per connection against 39 µs per request.
    let full = against(SessionKind::Full);
    assert_eq!((full.variant.as_str(), full.against.as_str(), full.from, full.to), ("mtls", "jwt-es256", 1, 100));
    let BreakEven::At(requests) = full.break_even else { panic!("{full:?}") };
    near(requests, (connections::MUTUAL_NS - connections::FULL_NS) / connections::TOKEN_NS, 0.02);
    // The weather hits both sides of a round alike, so that it cancels.
    let Some((BreakEven::At(low), BreakEven::At(high))) = full.interval else { panic!("{full:?}") };
    assert!(low <= requests && requests <= high && high / low < 1.001, "{full:?}");
    let BreakEven::At(resumed) = against(SessionKind::Resumed).break_even else { panic!() };
    near(resumed, (connections::MUTUAL_NS - connections::RESUMED_NS) / connections::TOKEN_NS, 0.05);
    assert_eq!(report.summary.amortisation.len(), 2, "mtls does not resume");
}

#[test]
fn no_crossing_in_the_range_is_said() {
    let mut run = connections::run();
    for record in &mut run.records {
        if let (Measured::Handshake(result), "mtls") = (&mut record.measured, record.variant.as_str()) {
            for cpu in result.load.server_cpu_ns.iter_mut().flat_map(|roles| roles.values_mut()) {
                *cpu *= 100;
            }
        }
    }
    let report = Report::new(&run);
    assert!(report.summary.amortisation.iter().all(|it| it.break_even == BreakEven::Beyond), "{report:?}");
    let html = page(&run);
    assert!(html.contains("no crossing from 1 to 100"), "the table says so");
    assert!(html.contains("not than jwt-es256 up to 100 requests per connection"), "the sentence says so");
}

#[test]
fn handshakes_are_compared_exactly() {
    let failed = |spoil: fn(&mut HandshakeResult)| {
        let mut run = connections::run();
        spoil(connections::handshake_mut(&mut run, "mtls/handshake@full,k=5"));
        let failed: Vec<String> = Report::new(&run).failed_checks().map(|check| check.name.clone()).collect();
        failed
    };
    assert_eq!(failed(|_| {}), Vec::<String>::new());
    let kinds = "mtls: client and server count the same handshakes";
    assert_eq!(failed(|it| connections::counters(it).handshakes_full += 1), [kinds]);
    assert_eq!(failed(|it| connections::counters(it).handshakes_resumed += 1), [kinds]);
    assert_eq!(failed(|it| it.certificates -= 1), [kinds]);
    assert_eq!(failed(|it| connections::counters(it).handshakes_failed += 1), [kinds]);
    assert_eq!(failed(|it| it.connections -= 1), ["handshake: requests = connections × requests per connection"]);
}

#[test]
fn a_session_that_was_not_resumed_is_a_finding_and_not_a_number() {
    let mut run = connections::run();
    let spoilt = connections::handshake_mut(&mut run, "none/handshake@resumed,k=2");
    let server = connections::counters(spoilt);
    (server.handshakes_full, server.handshakes_resumed) = (1, server.handshakes_resumed - 1);
    (spoilt.load.handshakes_full, spoilt.load.handshakes_resumed) = (1, spoilt.load.handshakes_resumed - 1);
    let report = Report::new(&run);
    assert_eq!(report.failed_checks().count(), 0, "both sides saw it");
    let none = report.summary.variant("none").expect("in the fixture");
    let blank: Vec<&HandshakeCase> = none.handshakes.iter().filter(|case| case.found.known().is_none()).collect();
    assert_eq!(blank.len(), 1);
    let reason = blank[0].found.reason().expect("it is blank");
    assert!(reason.starts_with("of 12000 connections that offered a session the server resumed 11999"), "{reason}");
    assert!(page(&run).contains("the server resumed 11999"));
}

#[test]
fn a_setup_is_told_step_by_step() {
    let run = connections::run();
    let report = Report::new(&run);
    let setup = |name: &str| {
        let variant = report.summary.variant(name).expect("in the fixture");
        variant.setup.clone().expect("measured").known().cloned().expect("valid trials")
    };
    let (none, token) = (setup("none"), setup("jwt-es256"));
    assert_eq!((none.trials, none.steps.len(), none.out_of_band, none.round_trips), (12, 2, 0, 3));
    assert_eq!((token.steps.len(), token.out_of_band, token.round_trips), (3, 1, 3));
    assert_eq!((token.bytes_sent, token.bytes_received), (300.0, 3_000.0));
    // Connections take 600 to 603 µs, requests 100 to 120 by start.
    near(none.steps[0].elapsed_ns.value, 601_500.0, 1e-9);
    near(none.steps[1].elapsed_ns.value, 110_000.0, 1e-9);
    let interval = none.total_ns.interval.expect("three starts");
    assert!(interval.low < none.total_ns.value && none.total_ns.value < interval.high);
    assert_eq!(token.secrets[0].bytes, 558);
    let html = page(&run);
    for text in ["token issued (out of band)", "connection to the API, 2 round trips", "token, 558 bytes"] {
        assert!(html.contains(text), "{text}");
    }
}

#[test]
fn a_run_of_connections_becomes_every_format() {
    let run = connections::run();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Report::new(&run).write(&run, folder.path(), &ALL).expect("a report");
    for name in [
        "plots/amortisation.svg",
        "plots/amortisation.png",
        "tables/handshakes.csv",
        "tables/break-even.csv",
        "tables/setup.csv",
    ] {
        assert!(files.contains(&folder.path().join(name)), "{name} is not among the files written");
    }
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("it was written");
    let markdown = read("report.md");
    for heading in ["## New connections", "## Break-even of client certificates", "## Setup"] {
        assert!(markdown.contains(heading), "{heading}");
    }
    let svg = read("plots/amortisation.svg");
    well_formed(&svg, &folder.path().join("plots/amortisation.svg"));
    assert!(svg.contains("jwt-es256, resumed") && svg.contains("jwt-es256 from 2.0"), "names and break-even are drawn");
    let terminal = Report::new(&run).terminal();
    assert!(terminal.contains("Break-even of client certificates:"), "{terminal}");
    assert!(terminal.lines().all(|line| line.chars().count() <= 120), "{terminal}");

    let report = Report::new(&run);
    let json = serde_json::to_value(&report).expect("plain data");
    assert_eq!(schema_problems(&json), Vec::<String>::new());
    assert_eq!(serde_json::from_value::<Report>(json).expect("reads back"), report);
    if std::env::var_os("AUTHBENCH_KEEP").is_some() {
        eprintln!("kept in {}", folder.keep().display());
    }
}

#[test]
fn a_run_without_connections_has_no_tables_of_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Report::new(&fixture::run()).write(&fixture::run(), folder.path(), &ALL).expect("a report");
    assert!(!files.iter().any(|file| file.ends_with("handshakes.csv") || file.ends_with("amortisation.svg")));
    assert!(!page(&fixture::run()).contains("New connections"));
}

#[test]
fn windows_are_compared_with_the_law_of_their_mechanism() {
    let report = Report::new(&replicated::run());
    assert_eq!(report.failed_checks().map(|check| &check.name).collect::<Vec<_>>(), Vec::<&String>::new());
    let of =
        |variant: &str| report.summary.variant(variant).and_then(|it| it.revocation.known()).expect("measured").clone();
    let cached = of("api-key-sqlite-cached");
    assert_eq!((cached.revoked, cached.replicas, cached.windows.len()), (120, 3, 360));
    let law = cached.law.expect("a cache has one");
    assert_eq!((law.form, law.windows), (LawForm::Uniform { period_ns: 2_000_000_000 }, 360));
    assert!(law.distance < 0.03 && law.distance < law.chance.expect("phases are chance"), "{law:?}");
    assert!(law.last_replica_distance.expect("three caches, filled independently") < 0.08, "{law:?}");
    assert_eq!(law.last_replica_mean_ns, Some(1.5e9));
    near(cached.last_replica_mean_ns.expect("all closed"), 1.5e9, 0.02);

    // The replicas of a poll keep the phases that they have.
    let polled = of("jwt-es256-denylist").law.expect("a poll has one");
    assert_eq!(polled.form, LawForm::Uniform { period_ns: 1_000_000_000 });
    assert_eq!((polled.last_replica_mean_ns, polled.last_replica_distance), (None, None));

    let stateless = of("jwt-es256");
    let law = stateless.law.expect("each token has an end");
    assert_eq!((law.form, law.chance), (LawForm::OwnEnd { leeway_ns: 0 }, None));
    assert_eq!(law.distance, 0.0, "windows are as long as tokens have left");
    assert!(of(replicated::TOLD).law.is_none() && of("api-key-sqlite").law.is_none());

    // Tokens that end a second after their time are far from it.
    let mut run = replicated::run();
    for record in run.records.iter_mut().filter(|record| record.case == "jwt-es256/revocation") {
        let Measured::Revocation(result) = &mut record.measured else { panic!("it is one") };
        for window in &mut result.windows {
            window.last_accepted_ns = window.last_accepted_ns.map(|ns| ns + 1_000_000_000);
            window.first_rejected_ns = window.first_rejected_ns.map(|ns| ns + 1_000_000_000);
        }
    }
    let report = Report::new(&run);
    let late = report.summary.variant("jwt-es256").and_then(|it| it.revocation.known()).expect("measured");
    near(late.law.as_ref().expect("still").distance, 0.25, 0.1); // of the 4 s that phases are drawn from
}

#[test]
fn handshakes_of_revocations_are_compared_exactly() {
    const CASE: &str = "mtls/revocation";
    const CHECK: &str = "mtls: client and server count the same handshakes of revocations";
    let after = |spoil: fn(&mut Option<RevocationHandshakes>)| {
        let mut run = replicated::run();
        spoil(replicated::handshakes_mut(&mut run, CASE));
        let report = Report::new(&run);
        let check = report.checks.into_iter().find(|check| check.name == CHECK);
        check.map(|check| check.verdict)
    };
    assert_eq!(after(|_| {}), Some(report::CheckVerdict::Passed));
    let one_more = |change: fn(&mut HandshakeCounts)| {
        move |made: &mut Option<RevocationHandshakes>| {
            let Some(Cell::Known(server)) = made.as_mut().map(|made| &mut made.server) else { panic!("told") };
            change(server);
        }
    };
    for change in [
        (|it: &mut HandshakeCounts| it.full += 1) as fn(&mut HandshakeCounts),
        |it| it.resumed -= 1,
        |it| it.refused += 1,
    ] {
        let mut run = replicated::run();
        one_more(change)(replicated::handshakes_mut(&mut run, CASE));
        let failed: Vec<String> = Report::new(&run).failed_checks().map(|check| check.name.clone()).collect();
        assert_eq!(failed, [CHECK]);
        let places = "1 of 3 trials differ; revocation: client [";
        assert!(Report::new(&run).failed_checks().all(|check| check.found.starts_with(places)));
    }
    let untold = after(|made| made.as_mut().expect("told").server = Cell::blank("nobody tells"));
    assert_eq!(untold, Some(report::CheckVerdict::NotTested("nobody tells".to_owned())));
    // Two of three trials were measured after handshakes began to be counted.
    assert_eq!(after(|made| *made = None), Some(report::CheckVerdict::Passed));
    let older = Report::new(&fixture::run());
    assert!(older.checks.iter().all(|check| !check.name.contains("handshakes of revocations")));
}

#[test]
fn what_survives_stands_beside_what_was_resumed() {
    let plain = |text: &str| text.replace(['\u{a0}', '\u{202f}'], " ");
    let mut run = replicated::run();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let markdown = |run: &LoadedRun| {
        Report::new(run).write(run, folder.path(), &[Format::Markdown]).expect("a report");
        plain(&std::fs::read_to_string(folder.path().join("report.md")).expect("written"))
    };
    let text = markdown(&run);
    let (resumed, forced) = (3 * replicated::RESUMED, 3 * replicated::FORCED);
    for wanted in [
        format!("({resumed} resumed, {forced} full, {forced} of them refused)"),
        format!("({resumed} resumed, 0 full)"),
        format!("4323 full, {resumed} resumed, {forced} refused (the server counted the same)"),
    ] {
        assert!(text.contains(&wanted), "{wanted} is missing");
    }
    let Some(made) = replicated::handshakes_mut(&mut run, "mtls/revocation") else { panic!("counted") };
    let Cell::Known(server) = &mut made.server else { panic!("told") };
    server.full -= 1;
    assert!(markdown(&run).contains(&format!("(server: 4322 full, {resumed} resumed, {forced} refused)")));
}

#[test]
fn a_run_at_replicas_becomes_every_format() {
    let run = replicated::run();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files = Report::new(&run).write(&run, folder.path(), &ALL).expect("a report");
    for name in ["laws", "window-cost"] {
        for ending in ["svg", "png"] {
            let path = folder.path().join(format!("plots/{name}.{ending}"));
            assert!(files.contains(&path), "{} is not among the files written", path.display());
        }
    }
    let read = |name: &str| {
        let path = folder.path().join(name);
        std::fs::read_to_string(&path).expect("written").replace(['\u{a0}', '\u{202f}'], " ")
    };
    let laws = read("plots/laws.svg");
    well_formed(&laws, &folder.path().join("plots/laws.svg"));
    for text in
        ["uniform on 0 to 2 s", "uniform on 0 to 1 s", "no law: told by the store", "until the last of 3 replicas"]
    {
        assert!(laws.contains(text), "{text} is not drawn");
    }
    assert!(!laws.contains("api-key-sqlite<"), "what refuses at once has no panel");
    let page = read("report.html");
    for text in [
        "each of the 3 variants that chance has a part in lie no further",
        "as they refuse at once or never: api-key-sqlite.",
        "until the last of 3 replicas had refused",
        "the store is asked least with",
    ] {
        assert!(page.contains(text), "{text} is not in the page");
    }
    let cost = read("plots/window-cost.svg");
    well_formed(&cost, &folder.path().join("plots/window-cost.svg"));
    assert!(cost.contains("jwt-es256-denylist"), "a copy of its own is a choice like any other");

    let report = Report::new(&run);
    let json = serde_json::to_value(&report).expect("plain data");
    assert_eq!(schema_problems(&json), Vec::<String>::new());
    assert_eq!(serde_json::from_value::<Report>(json).expect("reads back"), report);
    if std::env::var_os("AUTHBENCH_KEEP").is_some() {
        eprintln!("kept in {}", folder.keep().display());
    }
}

#[test]
fn one_replica_and_nothing_asked_of_a_store_leave_their_figures_out() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let drawn = |run: &LoadedRun, name: &str| {
        let files = Report::new(run).write(run, folder.path(), &[Format::Svg]).expect("plots");
        files.contains(&folder.path().join(format!("plots/{name}.svg")))
    };
    assert!(!drawn(&fixture::run(), "laws") && !drawn(&fixture::run(), "window-cost"));
    let mut run = replicated::run();
    run.records.retain(|record| record.measurement == "revocation");
    assert!(drawn(&run, "laws") && !drawn(&run, "window-cost"));
}
