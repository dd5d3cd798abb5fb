//! The report of new connections and of setups, and where client certificates break even.

use bench_client::plan::SessionKind;
use bench_client::record::{HandshakeResult, Measured};
use bench_client::report::{HandshakeCase, Report};
use bench_client::stats::BreakEven;

use super::{ALL, connections, fixture, near, page, schema_problems, well_formed};

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
