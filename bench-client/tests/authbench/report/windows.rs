//! The report of revocations at several replicas: windows, their laws, and the handshakes of probes.

use bench_client::record::{HandshakeCounts, Measured, RevocationHandshakes};
use bench_client::report::{self, Cell, Format, LawForm, Report};
use bench_client::run::LoadedRun;

use super::{ALL, fixture, near, replicated, schema_problems, well_formed};

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
