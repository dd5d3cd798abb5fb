//! The report of a run against a server of the user's, which tells nothing.

use bench_client::plan::{Accepted, Convention, ExternalMethod, Method, MethodWord, TargetPlan};
use bench_client::record::Measured;
use bench_client::report::{ClaimVerdict, Report};
use bench_client::run::LoadedRun;

use super::{ALL, fixture, page, schema_problems};

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
        let external =
            ExternalMethod { method, url, convention, credentials: None, revoke: None, forge: None, dpop: None };
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
    let problems = schema_problems(&serde_json::to_value(&report).expect("plain data"));
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    let folder = tempfile::tempdir().expect("a temporary folder");
    Report::new(&run).write(&run, folder.path(), &ALL).expect("every format can be written");
    assert!(page(&run).contains("gateway.test"));
}
