//! Measurements under load and of a setup, and what they ask of the variants.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::plan::{LoadRate, MeasurementKind, Rate};

#[test]
fn measurements_must_fit_together() {
    let revocation = |rest: &str| {
        format!(
            "[[measurement]]\nkind = \"revocation\"\ntrials = 1\nprobe_interval = \"10ms\"\nwatch = \"9m\"\n{rest}\n"
        )
    };
    one_problem(&revocation("phase = \"0s\""), &["phase is \"0s\"", "every phase"]);
    one_problem(&revocation("phase = \"2s\"\nlifetime = \"2s\""), &["expire before they are revoked"]);
    one_problem(&revocation("phase = \"2s\"\nlifetime = \"1h\""), &["lifetime is \"1h\""]);
    let throughput =
        |rest: &str| format!("[[measurement]]\nkind = \"throughput\"\nconnections = 1\nwarmup = \"0s\"\n{rest}\n");
    one_problem(&throughput("measure = \"1s\"\nslice = \"2s\""), &["slice is 2s, longer than the 1s"]);
    one_problem(&throughput("measure = \"1s\"\nslice = \"300ms\""), &["no whole number"]);
    one_problem(&throughput("measure = \"1s\"\nconnection = \"warm\""), &["\"reused\", \"fresh\", \"resumed\""]);
    one_problem(&throughput("measure = \"1s\"\nvariants = [\"jtw\"]"), &["no variant", "did you mean \"jwt\"?"]);
    one_problem(&throughput("measure = \"1s\"\nvariants = { except = [\"none\"] }"), &["always measured"]);
    one_problem(&throughput("measure = \"1s\"\nvariants = []"), &["variants is a list; write a list of variants"]);
    one_problem(&throughput("measure = \"1s\"\nname = \"latency\""), &["the name is taken"]);
    one_problem("[[measurement]]\nkind = \"speed\"\nconnections = 1", &["measurement 2: kind is \"speed\""]);
}

#[test]
fn resumption_needs_sessions_and_mtls_needs_tls() {
    let mtls = "[[variant]]\nname = \"mtls\"\nmethod = \"mtls\"\ncrl_reload = \"1s\"\n";
    let resumed = "[[measurement]]\nkind = \"throughput\"\nconnections = 1\nwarmup = \"0s\"\nmeasure = \"1s\"\nconnection = \"resumed\"\n";
    plan(&format!("{SMALL}{resumed}"));
    one_problem(&format!("{mtls}{resumed}"), &["connection is \"resumed\"", "client certificate", "leave out mtls"]);
    plan(&format!("{SMALL}{mtls}{resumed}variants = {{ except = [\"mtls\"] }}\n"));
    one_problem(&format!("{resumed}[server]\ntransport = \"plaintext\"\n"), &["no TLS session"]);
    one_problem(&format!("{mtls}[server]\ntransport = \"plaintext\"\n"), &["variant \"mtls\": method is \"mtls\""]);
}

#[test]
fn a_setup_says_how_often() {
    let text = |trials: &str| format!("{SMALL}[[measurement]]\nkind = \"setup\"\n{trials}\n");
    let plan = plan(&text("trials = 5"));
    let MeasurementKind::Setup(setup) = &plan.measurements[1].kind else { panic!() };
    assert_eq!(setup.trials, 5);
    assert_eq!(plan.cases_of(&plan.measurements[1]).count(), 2);
    for (trials, says) in [("", "trials is missing"), ("trials = 0", "write a whole number from 1 to 10000")] {
        let found = problems(&text(trials));
        assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
    }
    let quick = Overrides { quick: true, ..Overrides::default() };
    let quick = try_resolve(&text("trials = 5"), &quick).expect("fits").plan;
    let MeasurementKind::Setup(setup) = &quick.measurements[1].kind else { panic!() };
    assert_eq!(setup.trials, 3);
}

/// The plan of [`SMALL`] with that `load` in its first measurement, or the messages.
fn with_load(load: &str) -> Result<LoadRate, Vec<String>> {
    let line = SMALL.lines().find(|line| line.starts_with("load = ")).expect("it has one");
    let text = SMALL.replace(line, &format!("load = {{ {load}, connections = 2, warmup = \"0s\", measure = \"1s\" }}"));
    match resolve(Path::new("test.toml"), &text, &Overrides::default()) {
        Ok(resolved) => match &resolved.plan.measurements[0].kind {
            MeasurementKind::Latency(latency) => Ok(latency.rate.clone()),
            other => panic!("{other:?}"),
        },
        Err(problems) => Err(problems.iter().map(|problem| problem.message.clone()).collect()),
    }
}

#[test]
fn a_load_is_steady_a_ramp_or_steps() {
    assert_eq!(with_load("rate_per_s = 100"), Ok(LoadRate::PerSecond(Rate::Steady(100.0))));
    let ramp = Rate::Ramp { from: 100.0, to: 2500.5 };
    assert_eq!(with_load("rate_per_s = { from = 100, to = 2500.5 }"), Ok(LoadRate::PerSecond(ramp)));
    let steps = Rate::Steps(vec![100.0, 300.0]);
    assert_eq!(with_load("rate_per_s = [100, 300]"), Ok(LoadRate::PerSecond(steps)));
}

#[test]
fn mistakes_in_a_load_are_told_with_the_remedy() {
    for (load, message) in [
        ("rate_per_s = []", "load.rate_per_s is a list; write at least one rate"),
        ("rate_per_s = [100, 0]", "load.rate_per_s is a list; an open load needs a number over 0"),
        (
            "rate_per_s = [1, 2, 3]",
            "has 3 steps, which 10 slices of 100ms cannot share evenly; change measure or slice",
        ),
        ("rate_per_s = { from = 100 }", "load.rate_per_s.to is missing; write for instance to = 5_000"),
        ("rate_per_s = { from = 0, to = 1 }", "load.rate_per_s.from is 0; an open load needs a number over 0"),
        ("share_of_capacity = 0", "load.share_of_capacity is 0; write a share of the capacity from 0.01 to 2"),
        ("share_of_capacity = 0.5, rate_per_s = 5", "load.rate_per_s goes with a load without share_of_capacity"),
        (
            "share_of_capacity = 0.5",
            "load is a share_of_capacity, and 0 measurements of kind \"throughput\" find capacities",
        ),
    ] {
        let problems = with_load(load).expect_err(load);
        assert!(problems.iter().any(|problem| problem.contains(message)), "{load}: {problems:#?}");
    }
}

#[test]
fn a_share_of_capacity_needs_the_capacity_of_each_of_its_variants() {
    let text = |variants: &str| {
        let line = SMALL.lines().find(|line| line.starts_with("load = ")).expect("it has one");
        let load = "load = { share_of_capacity = 0.7, connections = 2, warmup = \"0s\", measure = \"1s\" }";
        SMALL.replace(line, load)
            + &format!(
                "\n[[measurement]]\nkind = \"throughput\"\nconnections = 8\nwarmup = \"0s\"\nmeasure = \"1s\"\n\
                 variants = [{variants}]\nobjective = {{ p99_9 = \"10ms\" }}\n"
            )
    };
    let resolved = resolve(Path::new("test.toml"), &text("\"jwt\""), &Overrides::default()).expect("both are measured");
    let throughput = resolved.plan.measurement("throughput").expect("it is there");
    let MeasurementKind::Throughput(throughput) = &throughput.kind else { panic!("{throughput:?}") };
    let objective = throughput.objective.expect("it has one");
    assert_eq!((objective.quantile, objective.latency), (0.999, Duration::from_millis(10)));
    assert_eq!(objective.to_string(), "p99.9 at most 10ms");
    let problems = resolve(Path::new("test.toml"), &text("\"none\""), &Overrides::default()).expect_err("one is not");
    assert!(problems[0].message.contains("does not measure variant \"jwt\""), "{problems:#?}");
}

#[test]
fn an_objective_has_one_percentile() {
    let text = |objective: &str| {
        format!(
            "{SMALL}\n[[measurement]]\nkind = \"throughput\"\nconnections = 8\nwarmup = \"0s\"\nmeasure = \"1s\"\n\
             objective = {{ {objective} }}\n"
        )
    };
    for (objective, message) in [
        ("", "objective has 0 percentiles; write one, like { p99 = \"10ms\" }"),
        ("p50 = \"1ms\", p99 = \"10ms\"", "objective has 2 percentiles; write one"),
        ("p98 = \"1ms\"", "objective.p98 is no key here"),
        ("p99 = \"0s\"", "objective.p99 is \"0s\"; write a time over 0"),
        ("p99 = \"1ms\", width = 2", "objective.width is 2; write a number from 0.005 to 1"),
    ] {
        let problems = resolve(Path::new("test.toml"), &text(objective), &Overrides::default()).expect_err(objective);
        assert!(problems.iter().any(|problem| problem.message.contains(message)), "{objective}: {problems:#?}");
    }
}
