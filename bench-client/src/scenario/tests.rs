//! Scenarios with mistakes and without: what they all share, and what is theirs as a whole.

use std::path::Path;
use std::time::Duration;

use bench_server::contract::{MethodConfig, PasswordHash};

use super::*;
use crate::plan::{BASELINE, Measurement, MeasurementKind, RevocationPlan};

mod events;
mod handshakes;
mod measurements;
mod overrides;
mod revocations;
mod sweeps;
mod variants;

const COMPARE: &str = include_str!("../../../scenarios/compare.toml");

/// A small scenario without mistakes.
const SMALL: &str = r#"
starts = 1
rounds = 2
[[variant]]
name = "none"
method = "none"
[[variant]]
name = "jwt"
method = "jwt"
algorithm = "ES256"
leeway = "0s"
[[measurement]]
kind = "latency"
load = { rate_per_s = 100, connections = 2, warmup = "0s", measure = "1s" }
"#;

fn try_resolve(text: &str, overrides: &Overrides) -> Result<Resolved, Vec<String>> {
    resolve(Path::new("dir/test.toml"), text, overrides)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn resolved(text: &str) -> Resolved {
    try_resolve(text, &Overrides::default()).expect("no mistakes")
}

fn plan(text: &str) -> Plan {
    resolved(text).plan
}

fn problems(text: &str) -> Vec<String> {
    try_resolve(text, &Overrides::default()).expect_err("mistakes")
}

fn set(key: &str, value: &str) -> Result<Plan, Vec<String>> {
    let overrides = Overrides { set: vec![(key.to_owned(), value.to_owned())], ..Overrides::default() };
    try_resolve(COMPARE, &overrides).map(|resolved| resolved.plan)
}

/// `SMALL` with more lines: exactly one problem, which says both texts.
#[track_caller]
fn one_problem(more: &str, says: &[&str]) {
    let found = problems(&format!("{SMALL}{more}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    for text in says {
        assert!(found[0].contains(text), "{text:?} is not in {:?}", found[0]);
    }
}

fn revocation<'a>(plan: &'a Plan, name: &str) -> &'a RevocationPlan {
    match plan.measurement(name) {
        Some(Measurement { kind: MeasurementKind::Revocation(revocation), .. }) => revocation,
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn compare_resolves_to_every_variant_with_the_baseline_in_every_measurement() {
    let Resolved { plan, warnings } = resolved(COMPARE);
    assert_eq!(warnings, []);
    assert!(plan.variants.len() >= 15, "{}", plan.variants.len());
    assert_eq!(plan.variants[0].name, BASELINE);
    for measurement in &plan.measurements {
        let cases: Vec<_> = plan.cases_of(measurement).collect();
        assert_eq!(cases[0].id, format!("none/{}", measurement.name), "the baseline comes first");
        assert!(cases.len() >= 2);
    }
    for variant in &plan.variants {
        let cases = plan.cases.iter().filter(|case| case.variant == variant.name).count();
        assert!(cases >= 3, "{} takes part in {cases} measurements", variant.name);
    }
    let mut order: Vec<&str> = plan.cases.iter().map(|case| case.measurement.as_str()).collect();
    order.dedup();
    let names: Vec<&str> = plan.measurements.iter().map(|measurement| measurement.name.as_str()).collect();
    assert_eq!(order, names, "cases follow the measurements");
}

#[test]
fn omitted_options_get_their_documented_values() {
    let plan = plan(&format!(
        "{SMALL}[[variant]]\nname = \"basic\"\nmethod = \"basic\"\nhash = {{ algorithm = \"scrypt\", r = 4 }}\n"
    ));
    let method = plan.variant("basic").expect("given").method.reference();
    let Some(MethodConfig::Basic(basic)) = method else { panic!() };
    assert_eq!(basic.hash, PasswordHash::Scrypt { log_n: 17, r: 4, p: 1 });
    assert_eq!(basic.cache, None);
    assert_eq!(plan.variant("basic").expect("given").pool, DEFAULT_POOL);
    assert_eq!(plan.variants[0].pool.count, 1, "the baseline needs one caller");
    let MeasurementKind::Latency(latency) = &plan.measurements[0].kind else { panic!() };
    assert_eq!((latency.slice, latency.slices), (Duration::from_millis(100), 10));
    assert_eq!((plan.seed, plan.pin, plan.scenario.as_str()), (DEFAULT_SEED, true, "test"));
    assert_eq!(plan.keep_awake, KeepAwake::Auto);
}

#[test]
fn the_client_polls_unless_it_is_to_sleep() {
    assert_eq!(plan(SMALL).client_wait, ClientWait::Poll);
    assert_eq!(set("client_wait", "sleep").map(|plan| plan.client_wait), Ok(ClientWait::Sleep));
    let found = problems(&format!("client_wait = \"nap\"\n{SMALL}"));
    assert_eq!(found, ["dir/test.toml:1:15: client_wait is \"nap\"; write one of \"poll\", \"sleep\""]);
}

#[test]
fn keeping_cores_awake_is_left_to_the_machine_unless_written() {
    assert_eq!(set("keep_awake", "true").map(|plan| plan.keep_awake), Ok(KeepAwake::On));
    assert_eq!(set("keep_awake", "false").map(|plan| plan.keep_awake), Ok(KeepAwake::Off));
    let hash = |value| set("keep_awake", value).expect("no mistakes").hash();
    assert_ne!(hash("true"), hash("false"));
    let found = problems(&format!("keep_awake = \"yes\"\n{SMALL}"));
    assert_eq!(found, ["dir/test.toml:1:14: keep_awake is \"yes\"; write true or false, without quotes"]);
}

#[test]
fn all_problems_come_at_once_in_the_order_of_their_places() {
    let found = problems(
        r#"analysis = 5
[server]
htpt = "2"
[[variant]]
name = "ä"
method = "api-key"
store = { kind = "memroy" }
[[variant]]
name = "jwt"
method = "jwt"
algorithm = "ES265"
hash = { algorithm = "bcrypt" }
[[measurement]]
kind = "latency"
load = { rate_per_s = 0, connections = 16, warmup = "1s", measure = "1s" }
variants = ["jwt", "none", "jwt"]
"#,
    );
    let expected = [
        (r#"dir/test.toml:1:12: analysis is 5; write a string in quotes"#),
        (r#"dir/test.toml:3:1: server.htpt is no key here; did you mean "http"? write one of "http", "key_exchange", "pin", "replicas", "transport""#),
        (r#"dir/test.toml:5:8: variant 1: name is "ä"; write a string of 1 to 64 lower-case letters, digits, "-" and "_""#),
        (r#"dir/test.toml:7:18: variant 1: store.kind is "memroy"; did you mean "memory"? write one of "memory", "sqlite", "redis", "postgres""#),
        (r#"dir/test.toml:11:13: variant "jwt": algorithm is "ES265"; did you mean "ES256"? write one of "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA""#),
        (r#"dir/test.toml:12:1: variant "jwt": hash goes with method "basic", not with method "jwt"; remove it"#),
        (r#"dir/test.toml:15:23: measurement "latency": load.rate_per_s is 0; an open load needs a number over 0, at most 10000000"#),
        (r#"dir/test.toml:16:28: measurement "latency": variants names "jwt" twice; remove one"#),
    ];
    assert_eq!(found, expected);
}

#[test]
fn columns_count_characters_and_syntax_errors_have_a_place() {
    let found = problems("analysis = \"äöü\" x\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("dir/test.toml:1:18: this is not TOML: "), "{found:?}");
    let found = problems("[server]\nhttp = \"1.1\"\nhttp = \"2\"\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("dir/test.toml:3:1: this is not TOML: duplicate key"), "{found:?}");
}

#[test]
fn the_baseline_must_be_there_and_be_one() {
    let found =
        problems(&SMALL.replace("\"none\"", "\"nothing\"").replace("method = \"nothing\"", "method = \"none\""));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("dir/test.toml:1:1: variant \"none\" is missing"), "{found:?}");
    let found = problems(&SMALL.replace("method = \"none\"", "method = \"api-key\"\nstore = { kind = \"memory\" }"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("method is \"api-key\", but \"none\" is the baseline"), "{found:?}");
}

#[test]
fn rounds_are_shared_by_starts() {
    let found = problems(&SMALL.replace("starts = 1", "starts = 4"));
    assert_eq!(
        found,
        ["dir/test.toml:3:10: rounds is 2, which 4 starts cannot share evenly; write a multiple, like 4"]
    );
    let found = problems(&SMALL.replace("starts = 1", "starts = 0"));
    assert_eq!(found, ["dir/test.toml:2:10: starts is 0; write a whole number from 1 to 1000"]);
}

#[test]
fn compare_fits_into_the_time_it_promises() {
    let quick = try_resolve(COMPARE, &Overrides { quick: true, ..Overrides::default() }).expect("fits").plan;
    assert!(quick.expected_duration() < Duration::from_secs(55), "{:?}", quick.expected_start());
    let full = plan(COMPARE);
    assert!(full.expected_duration() < Duration::from_secs(350), "{:?}", full.expected_start());
    assert_eq!(full.expected_duration(), full.expected_start().total() * full.starts);
}

#[test]
fn a_plan_survives_its_way_through_a_file() {
    let plan = plan(COMPARE);
    let json = serde_json::to_string(&plan).expect("plain data");
    let read: Plan = serde_json::from_str(&json).expect("its own form");
    assert_eq!(read, plan);
    assert_eq!(read.hash(), plan.hash());
}
