//! Comparisons of made-up runs whose truth is known.

use std::collections::BTreeMap;
use std::path::Path;

use bench_server::contract::{MethodConfig, SlowDown};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::cell::Cell;
use crate::outcome::Outcomes;
use crate::plan::{Beside, PoolPlan};
use crate::record::{EncodedHistogram, LoadResult, Measured, RECORD_VERSION, Record, SliceCost, new_histogram};
use crate::run::{Build, Program, RUN_VERSION};
use crate::scenario::{self, Overrides};

const SCENARIO: &str = r#"
starts = 8
rounds = 16

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "api-key"
method = "api-key"
store = { kind = "memory" }

[[variant]]
name = "jwt-es256"
method = "jwt"
algorithm = "ES256"

[[measurement]]
kind = "throughput"
connections = 16
warmup = "10ms"
measure = "200ms"
slice = "10ms"
"#;

fn plan() -> Plan {
    scenario::resolve(Path::new("made-up.toml"), SCENARIO, &Overrides::default()).expect("no mistakes").plan
}

fn header(plan: &Plan, duet: Option<Side>) -> Header {
    let program = Program { name: "authbench".to_owned(), version: "authbench 1".to_owned(), sha256: "0".repeat(64) };
    Header {
        version: RUN_VERSION,
        scenario_text: SCENARIO.to_owned(),
        plan_hash: plan.hash(),
        plan: plan.clone(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        build: Build::current(),
        machine: Machine::detect(false),
        duet: duet.map(|side| Duet { id: "1".to_owned(), side, program, changes: Vec::new() }),
        in_process: None,
        servers: BTreeMap::new(),
    }
}

/// The noise of a machine: moods that neighbours in time share, what a start adds to each side, and slices' own.
struct World {
    rng: ChaCha8Rng,
    start_sd: f64,
    slice_sd: f64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self { rng: ChaCha8Rng::seed_from_u64(seed), start_sd: 0.004, slice_sd: 0.03 }
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.rng.random::<f64>()).sum::<f64>() - 6.0
    }

    /// Records of several sides in the given starts; `slower` is the share by which a side and case is.
    fn records(
        &mut self,
        plan: &Plan,
        sides: usize,
        starts: std::ops::Range<u32>,
        cases: &dyn Fn(&Case) -> bool,
        slower: &dyn Fn(usize, &Case) -> f64,
    ) -> Vec<Vec<Record>> {
        let mut records = vec![Vec::new(); sides];
        for start in starts {
            // In an hour all cases have the same mood at the same moment.
            let moods: Vec<f64> = (0..plan.rounds_per_start() * 20).map(|_| 0.1 * self.normal()).collect();
            for case in plan.cases.iter().filter(|case| cases(case)) {
                let lives: Vec<f64> = (0..sides).map(|_| self.start_sd * self.normal()).collect();
                for round in start * plan.rounds_per_start()..(start + 1) * plan.rounds_per_start() {
                    let mut slices = vec![Vec::new(); sides];
                    for pass in 0..20 {
                        let moment = (round % plan.rounds_per_start()) * 20 + pass;
                        let mood = moods[moment as usize];
                        for side in 0..sides {
                            let own = lives[side] + mood + self.slice_sd * self.normal();
                            slices[side].push(slice(10_000.0 * own.exp() * (1.0 + slower(side, case))));
                        }
                    }
                    for (side, slices) in slices.into_iter().enumerate() {
                        let validation = 1_000.0 * (1.0 + slower(side, case)) * lives[side].exp();
                        records[side].push(record(case, start, round, slices, validation));
                    }
                }
            }
        }
        records
    }

    /// A duet as it is measured: a first look, and a second at what it suspects.
    fn duet(&mut self, slower: &dyn Fn(&Case) -> f64) -> [LoadedRun; 3] {
        let plan = plan();
        let of = |side: usize, case: &Case| if side == 1 { slower(case) } else { 0.0 };
        let first = self.records(&plan, 3, 0..plan.starts, &|_| true, &of);
        let mut runs = [Side::Baseline, Side::Candidate, Side::Control].map(|side| run(header(&plan, Some(side))));
        for (run, records) in runs.iter_mut().zip(first) {
            run.records = records;
        }
        runs[2].records.retain(|record| record.variant == "none");
        let suspects = suspects(&sides(&runs), &Options::default()).expect("comparable");
        if !suspects.is_empty() {
            let stint = Stint::second_look(&plan, suspects.clone());
            let again = self.records(&plan, 2, stint.starts, &|case| suspects.contains(&case.id), &of);
            runs.iter_mut().zip(again).for_each(|(run, records)| run.records.extend(records));
        }
        runs
    }
}

fn slice(cpu_ns_per_request: f64) -> SliceCost {
    let answered = 1_000;
    let cpu_ns = (cpu_ns_per_request * answered as f64) as u64;
    SliceCost { measured_ns: cpu_ns, answered, server_cpu_ns: Some(cpu_ns) }
}

fn record(case: &Case, start: u32, round: u32, slices: Vec<SliceCost>, validation_ns: f64) -> Record {
    let mut validation = new_histogram();
    validation.record_n(validation_ns as u64, 1_000).expect("in range");
    let sum = |of: fn(&SliceCost) -> u64| slices.iter().map(of).sum::<u64>();
    let answered = sum(|slice| slice.answered);
    let empty = EncodedHistogram::encode(&new_histogram());
    let result = LoadResult {
        measured_ns: sum(|slice| slice.measured_ns),
        in_flight_ns: 0,
        requested_rate_per_s: None,
        dropped: 0,
        wanted: Default::default(),
        outcomes: Outcomes { accepted: answered, ..Outcomes::default() },
        answered,
        latency: empty.clone(),
        service_time: empty,
        queued: 0,
        lateness: None,
        bytes_sent: 0,
        bytes_received: 0,
        handshakes_full: 0,
        handshakes_resumed: 0,
        client_cpu_ns: 0,
        client_polled_ns: 0,
        server_cpu_ns: Some(BTreeMap::from([("resource".to_owned(), sum(|it| it.server_cpu_ns.unwrap_or_default()))])),
        server: None,
        validation: Some(EncodedHistogram::encode(&validation)),
        slices,
        parts: Vec::new(),
        capacity: None,
        beside: None,
        usage: BTreeMap::new(),
        tcp: Cell::blank("made up"),
        steal: None,
    };
    Record {
        version: RECORD_VERSION,
        case: case.id.clone(),
        variant: case.variant.clone(),
        measurement: case.measurement.clone(),
        round,
        start,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        elapsed_ns: 0,
        measured: Measured::Throughput(result),
        invalid: Vec::new(),
        warnings: Vec::new(),
    }
}

fn run(header: Header) -> LoadedRun {
    LoadedRun { header, records: Vec::new(), warnings: Vec::new() }
}

fn sides(runs: &[LoadedRun; 3]) -> Sides<'_> {
    Sides { baseline: &runs[0], candidate: &runs[1], control: Some(&runs[2]) }
}

fn compared(runs: &[LoadedRun; 3]) -> Comparison {
    compare(&sides(runs), &Options::default()).expect("comparable")
}

fn row<'c>(comparison: &'c Comparison, variant: &str, quantity: Quantity) -> &'c Row {
    let is = |row: &&Row| row.variant == variant && row.quantity == quantity;
    comparison.rows.iter().find(is).expect("it is compared")
}

/// Two runs, one after the other, in hours of different moods.
fn two_runs(seed: u64, slower: &dyn Fn(&Case) -> f64) -> [LoadedRun; 2] {
    let plan = plan();
    [0, 1].map(|side| {
        let mut world = World::new(seed + side);
        let hour = if side == 1 { 0.08 } else { 0.0 };
        let of = |_: usize, case: &Case| hour + if side == 1 { slower(case) } else { 0.0 };
        let mut run = run(header(&plan, None));
        run.records = world.records(&plan, 1, 0..plan.starts, &|_| true, &of).remove(0);
        run
    })
}

#[test]
fn equal_builds_are_called_equal() {
    // Eight figures each; once in 500 comparisons something may be called changed.
    let alarms = (0..60)
        .filter(|seed| {
            let comparison = compared(&World::new(1_000 + seed).duet(&|_| 0.0));
            assert_eq!(comparison.rows.len(), 8, "three of each but the baseline, which validates nothing");
            comparison.rows.iter().any(|row| matches!(row.verdict, Verdict::Regressed | Verdict::Improved))
        })
        .count();
    assert_eq!(alarms, 0);
}

#[test]
fn a_regression_of_one_variant_is_found_there_and_nowhere_else() {
    for seed in 0..10 {
        let slower = |case: &Case| if case.variant == "api-key" { 0.02 } else { 0.0 };
        let comparison = compared(&World::new(seed).duet(&slower));
        let found = row(&comparison, "api-key", Quantity::ServerCpu);
        assert_eq!(found.verdict, Verdict::Regressed, "{seed}: {found:?}");
        assert!(found.confirmed_anew && (found.change - 0.02).abs() < 0.006, "{found:?}");
        assert_eq!(row(&comparison, "api-key", Quantity::Throughput).change.signum(), -1.0);
        assert_eq!(row(&comparison, "jwt-es256", Quantity::ServerCpu).verdict, Verdict::Unchanged);
        assert_eq!(comparison.verdict, Verdict::Regressed);
        assert!(comparison.starts_to_confirm >= 6);
    }
}

#[test]
fn an_improvement_is_found_too_and_below_what_counts_nothing_is() {
    let comparison = compared(&World::new(5).duet(&|_| -0.03));
    assert_eq!(row(&comparison, "api-key", Quantity::ServerCpu).verdict, Verdict::Improved);
    assert_eq!(row(&comparison, "api-key", Quantity::Throughput).verdict, Verdict::Improved);
    assert_eq!(comparison.verdict, Verdict::Improved);
    let runs = World::new(6).duet(&|_| 0.02);
    let options = Options { max_regression: Some(0.05), ..Options::default() };
    let comparison = compare(&sides(&runs), &options).expect("comparable");
    assert_eq!(row(&comparison, "api-key", Quantity::ServerCpu).verdict, Verdict::Unchanged);
    assert_eq!(row(&comparison, "api-key", Quantity::ServerCpu).minimum, 0.05);
}

#[test]
fn question_0_says_what_would_have_been_found() {
    let of = |seed| row(&compared(&World::new(seed).duet(&|_| 0.0)), "api-key", Quantity::ServerCpu).detectable;
    let mut detectable: Vec<f64> = (0..9).map(of).collect();
    detectable.sort_by(f64::total_cmp);
    let typical = detectable[4];
    assert!((0.005..0.02).contains(&typical), "{typical}");
    let found = (100..130).filter(|seed| {
        let comparison = compared(&World::new(*seed).duet(&|_| typical));
        row(&comparison, "api-key", Quantity::ServerCpu).verdict == Verdict::Regressed
    });
    // 27 of 30 promised; standard deviation 1.6.
    let found = found.count();
    assert!(found >= 23, "{found} of 30");
}

#[test]
fn a_noisy_machine_is_told_rather_than_trusted() {
    let mut world = World { start_sd: 0.1, ..World::new(3) };
    let comparison = compared(&world.duet(&|_| 0.0));
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
    let reason = row(&comparison, "api-key", Quantity::ServerCpu).reason.clone();
    assert!(reason.is_some_and(|reason| reason.contains("would not have been seen")));
}

#[test]
fn what_two_processes_of_one_program_differ_by_does_not_count() {
    let mut runs = World::new(7).duet(&|case| if case.variant == "none" { 0.0 } else { 0.02 });
    for record in &mut runs[2].records {
        let Measured::Throughput(load) = &mut record.measured else { unreachable!("there is nothing else") };
        for slice in &mut load.slices {
            slice.server_cpu_ns = slice.server_cpu_ns.map(|ns| ns + ns * 3 / 100);
        }
    }
    let comparison = compared(&runs);
    let noise =
        comparison.noise.iter().find(|noise| noise.quantity == Quantity::ServerCpu).expect("there is a control");
    assert!((noise.change - 0.03).abs() < 0.01, "{noise:?}");
    let row = row(&comparison, "api-key", Quantity::ServerCpu);
    assert!(row.minimum >= noise.change * 0.99 && row.verdict == Verdict::Unchanged, "{row:?}");
}

#[test]
fn too_few_starts_and_invalid_trials_give_no_verdict() {
    let mut runs = World::new(1).duet(&|_| 0.05);
    runs[0].records.retain(|record| record.start < 3);
    let comparison = compared(&runs);
    assert_eq!((comparison.verdict, comparison.rows.len()), (Verdict::Inconclusive, 0));
    assert!(comparison.missing[0].reason.contains("3 of 8 starts"), "{:?}", comparison.missing);

    // Measured in all of them, and counted in too few.
    let mut runs = World::new(1).duet(&|_| 0.0);
    let lost = |record: &Record| record.variant == "api-key" && record.start >= 3 && record.round.is_multiple_of(2);
    for record in runs[0].records.iter_mut().filter(|record| lost(record)) {
        let Measured::Throughput(load) = &mut record.measured else { unreachable!("there is nothing else") };
        load.slices.clear();
    }
    runs[0]
        .records
        .retain(|record| !(record.variant == "api-key" && record.start >= 3 && !record.round.is_multiple_of(2)));
    let comparison = compared(&runs);
    assert!(comparison.missing.iter().any(|it| it.reason.contains("3 starts count")), "{:?}", comparison.missing);

    let mut runs = World::new(1).duet(&|_| 0.0);
    for record in runs[1].records.iter_mut().filter(|record| record.variant == "api-key" && record.start < 4) {
        record.invalid = vec!["7 of 100 requests were not accepted".to_owned()];
    }
    let comparison = compared(&runs);
    let missing = &comparison.missing[0];
    assert_eq!((missing.case.as_str(), missing.side), ("api-key/throughput", Side::Candidate));
    assert!(missing.reason.contains("are invalid: 7 of 100"), "{missing:?}");
    assert!(comparison.rows.iter().all(|row| row.variant != "api-key"));

    // A few are left out in pairs, and told.
    let mut runs = World::new(1).duet(&|_| 0.0);
    runs[0].records[0].invalid = vec!["the hypervisor took 5 %".to_owned()];
    let comparison = compared(&runs);
    assert!(comparison.missing.is_empty());
    assert!(comparison.warnings.iter().any(|warning| warning.contains("hypervisor")), "{:?}", comparison.warnings);
}

#[test]
fn what_was_suspected_and_not_looked_at_again_is_not_called_unchanged() {
    let mut runs = World::new(8).duet(&|case| if case.variant == "api-key" { 0.04 } else { 0.0 });
    for run in &mut runs {
        run.records.retain(|record| record.start < 10); // two of its starts, then Ctrl-C
    }
    let comparison = compared(&runs);
    let row = row(&comparison, "api-key", Quantity::ServerCpu);
    assert_eq!((row.verdict, comparison.verdict), (Verdict::Inconclusive, Verdict::Inconclusive));
    assert!(row.reason.as_ref().is_some_and(|reason| reason.contains("not looked at again")), "{row:?}");
}

#[test]
fn two_runs_are_compared_through_their_own_baseline_variant() {
    // The second hour is 8 % slower for everybody.
    let runs = two_runs(40, &|case| if case.variant == "api-key" { 0.05 } else { 0.0 });
    let sides = Sides { baseline: &runs[0], candidate: &runs[1], control: None };
    let comparison = compare(&sides, &Options::default()).expect("comparable");
    assert_eq!(comparison.mode, Mode::AcrossRuns);
    assert!(comparison.rows.iter().all(|row| row.variant != "none"), "it is the yardstick");
    let found = row(&comparison, "api-key", Quantity::ServerCpu);
    assert!((found.change - 0.05).abs() < 0.012 && found.verdict == Verdict::Regressed, "{found:?}");
    let same = row(&comparison, "jwt-es256", Quantity::ServerCpu);
    assert!(same.change.abs() < 0.012 && same.verdict != Verdict::Regressed, "{same:?}");
}

#[test]
fn unlike_things_are_not_compared() {
    let [baseline, candidate] = two_runs(1, &|_| 0.0);
    let of = |baseline: &LoadedRun, candidate: &LoadedRun, options: &Options| {
        let sides = Sides { baseline, candidate, control: None };
        compare(&sides, options).map(|comparison| comparison.mode).map_err(|error| error.to_string())
    };
    let none = Options::default();
    assert_eq!(of(&baseline, &candidate, &none), Ok(Mode::AcrossRuns));

    let mut other = candidate.clone();
    other.header.plan.variants.pop();
    other.header.plan.cases.pop();
    let error = of(&baseline, &other, &none).expect_err("another plan");
    assert!(error.contains("cases, variants") && error.contains("same scenario"), "{error}");

    let mut more_rounds = candidate.clone();
    more_rounds.header.plan.rounds *= 2;
    assert_eq!(of(&baseline, &more_rounds, &none), Ok(Mode::AcrossRuns));

    let mut elsewhere = candidate.clone();
    elsewhere.header.machine.cpu_model = "another".to_owned();
    let error = of(&baseline, &elsewhere, &none).expect_err("another machine");
    assert!(error.contains("another") && error.contains("--other-machine"), "{error}");
    assert_eq!(of(&baseline, &elsewhere, &Options { other_machine: true, ..none }), Ok(Mode::AcrossRuns));

    let runs = World::new(1).duet(&|_| 0.0);
    let error = of(&runs[1], &runs[0], &Options::default()).expect_err("the wrong way round");
    assert!(error.contains("candidate") && error.contains("baseline"), "{error}");
}

#[test]
fn a_case_that_one_side_lacks_is_named_and_counts() {
    let mut runs = World::new(2).duet(&|_| 0.0);
    runs[1].header.plan.cases.retain(|case| case.variant != "api-key");
    runs[1].records.retain(|record| record.variant != "api-key");
    let comparison = compared(&runs);
    let [missing] = comparison.missing.as_slice() else { panic!("{:?}", comparison.missing) };
    assert_eq!((missing.case.as_str(), missing.side), ("api-key/throughput", Side::Candidate));
    assert_eq!(comparison.verdict, Verdict::Inconclusive);
}

/// Has others ask the server of a variant while that is measured.
fn accompany(run: &mut LoadedRun, variant: &str, rate_per_s: f64) {
    let traffic = Beside {
        method: MethodConfig::None,
        pool: PoolPlan { count: 1, zipf_exponent: 1.0 },
        rate_per_s,
        connections: 1,
        wrong: false,
    };
    let variant = run.header.plan.variants.iter_mut().find(|it| it.name == variant).expect("it is one of the plan's");
    variant.beside = Some(Box::new(traffic));
}

#[test]
fn what_a_server_spends_on_others_is_no_figure_of_the_variant() {
    let slower = |case: &Case| if case.variant == "api-key" { 0.05 } else { 0.0 };
    let of_server = |comparison: &Comparison, variant: &str| {
        let of_server = |row: &&Row| matches!(row.quantity, Quantity::ServerCpu | Quantity::Validation);
        comparison.rows.iter().filter(of_server).filter(|row| row.variant == variant).count()
    };
    let told = |comparison: &Comparison| comparison.warnings.iter().any(|it| it.contains("not told apart"));

    let mut runs = World::new(3).duet(&slower);
    runs.iter_mut().for_each(|run| accompany(run, "api-key", 0.0));
    let comparison = compared(&runs);
    assert!(of_server(&comparison, "api-key") == 2 && !told(&comparison), "nobody comes");

    runs.iter_mut().for_each(|run| accompany(run, "api-key", 20.0));
    let comparison = compared(&runs);
    assert_eq!((of_server(&comparison, "api-key"), of_server(&comparison, "jwt-es256")), (0, 2));
    assert_eq!(
        row(&comparison, "api-key", Quantity::Throughput).variant,
        "api-key",
        "what its callers see is compared"
    );
    assert!(comparison.missing.is_empty() && told(&comparison), "{:?}", comparison.warnings);

    // Of two runs each variant is measured by the baseline's processor time.
    let mut runs = two_runs(40, &slower);
    runs.iter_mut().for_each(|run| accompany(run, "none", 20.0));
    let sides = Sides { baseline: &runs[0], candidate: &runs[1], control: None };
    let comparison = compare(&sides, &Options::default()).expect("comparable");
    assert_eq!((of_server(&comparison, "api-key"), of_server(&comparison, "jwt-es256")), (0, 0));
    assert!(comparison.missing.is_empty() && told(&comparison), "{:?}", comparison.warnings);
}

#[test]
fn a_refusal_costs_what_can_be_told_and_says_why_the_rest_cannot() {
    const REFUSED: &str = r#"
[[variant]]
name = "key-unknown"
method = "api-key"
store = { kind = "memory" }
presents = "unknown"

[[variant]]
name = "basic"
method = "basic"
cache = { ttl = "10s" }

[[variant]]
name = "basic-wrong"
method = "basic"
cache = { ttl = "10s" }
presents = "wrong-secret"
"#;
    let text = format!("{SCENARIO}{REFUSED}");
    let plan = scenario::resolve(Path::new("made-up.toml"), &text, &Overrides::default()).expect("no mistakes").plan;
    let mut run = run(header(&plan, None));
    run.records = World::new(5).records(&plan, 1, 0..plan.starts, &|_| true, &|_, _| 0.0).remove(0);
    let costs = |run: &LoadedRun, variant: &str| -> Vec<Option<String>> {
        let refusals = refusals(run);
        let refusal = refusals.iter().find(|it| it.variant == variant).expect("its partner is there");
        let quantities: Vec<Quantity> = refusal.costs.iter().map(|cost| cost.quantity).collect();
        assert_eq!(quantities, [Quantity::ServerCpu, Quantity::Validation]);
        refusal.costs.iter().map(|cost| cost.ratio.reason().map(str::to_owned)).collect()
    };
    assert_eq!(costs(&run, "key-unknown"), [None, None]);
    let [cpu, validation] = costs(&run, "basic-wrong").try_into().expect("two figures");
    assert_eq!(cpu, None);
    assert!(validation.is_some_and(|reason| reason.contains("queue for the password hash")));
    for variant in ["api-key", "key-unknown"] {
        accompany(&mut run, variant, 20.0);
    }
    let why = Some("not told apart from the traffic beside the variant".to_owned());
    assert_eq!(costs(&run, "key-unknown"), [why.clone(), why]);
}

#[test]
fn slow_downs_of_known_size_are_found_as_often_as_the_curve_says() {
    const SLOWED: &str = r#"
[[variant]]
name = "jwt-es256-slowed"
method = "jwt"
algorithm = "ES256"

[[sweep]]
"variant.jwt-es256-slowed.slow_down" = ["0%", "1%", "20%"]
"#;
    assert_eq!(power_curves(&run(header(&plan(), None))), [], "nothing is slowed down");
    let text = format!("{SCENARIO}{SLOWED}");
    let plan = scenario::resolve(Path::new("made-up.toml"), &text, &Overrides::default()).expect("no mistakes").plan;
    let slowed = |_, case: &Case| match plan.variant(&case.variant).and_then(|variant| variant.slow_down) {
        Some(SlowDown::Share(share)) => share,
        _ => 0.0,
    };
    let curves_of = |seed| {
        let mut run = run(header(&plan, None));
        run.records = World::new(seed).records(&plan, 1, 0..plan.starts, &|_| true, &slowed).remove(0);
        power_curves(&run)
    };
    let curves = curves_of(11);
    let quantities: Vec<Quantity> = curves.iter().map(|curve| curve.quantity).collect();
    assert_eq!(quantities, [Quantity::ServerCpu, Quantity::Validation, Quantity::Throughput]);
    for curve in &curves {
        assert_eq!((curve.variant.as_str(), curve.starts, curve.figures), ("jwt-es256", 8, 8));
        let [equal, little, much] = curve.points.as_slice() else { panic!("three slow-downs: {curve:?}") };
        assert!(equal.regressed <= 0.05, "a false alarm: {curve:?}");
        assert!(equal.regressed <= little.regressed && little.regressed <= much.regressed, "{curve:?}");
        assert_eq!(much.regressed, 1.0, "{curve:?}");
        assert!((0.002..0.03).contains(&curve.detectable), "{curve:?}");
    }
    // Of twenty 95 % intervals one misses, and four or more do once in sixty times.
    let holds = |seed: u64| {
        let curve = curves_of(seed).remove(0);
        let Interval { low, high } = curve.points[2].change.interval.expect("eight starts");
        assert!(high - low < 0.05, "{curve:?}");
        (low..=high).contains(&0.2)
    };
    assert!((0..20).filter(|seed| holds(*seed)).count() > 16);
}
