//! What a run has to agree with: its checks, and the cells of the guide.

use bench_client::report::{self, ClaimVerdict, Report};
use bench_client::run::LoadedRun;

use super::{fixture, page};

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
