//! What the command line changes.

use std::time::Duration;

use super::*;
use crate::plan::{LoadRate, MeasurementKind, Rate};

#[test]
fn set_changes_what_it_names() {
    let changed = set("variant.api-key-sqlite-cached.cache.ttl", "1s").expect("fits");
    assert_eq!(
        changed.variant("api-key-sqlite-cached").expect("shipped").revocation_interval(),
        Some(Duration::from_secs(1))
    );
    let changed = set("variant.api-key-memory.cache.ttl", "\"1s\"").expect("tables on the way are made");
    assert!(changed.variant("api-key-memory").expect("shipped").revocation_interval().is_some());
    let changed =
        set("measurement.latency.load.rate_per_s", "500").expect("an unnamed measurement is called by its kind");
    let MeasurementKind::Latency(latency) = &changed.measurements[0].kind else { panic!() };
    assert_eq!(latency.rate, LoadRate::PerSecond(Rate::Steady(500.0)));
    assert_eq!(set("server.http", "\"2\"").expect("fits").http, HttpVersion::Http2);
    assert_ne!(set("seed", "43").expect("fits").hash(), plan(COMPARE).hash());
    assert_eq!(set("seed", "42").expect("fits").hash(), plan(COMPARE).hash());
}

#[test]
fn problems_of_set_name_it() {
    for (key, value, expected) in [
        (
            "measurement.latency.load.rate_per_s",
            "0",
            "--set measurement.latency.load.rate_per_s=0: measurement \"latency\": load.rate_per_s is 0; an open load",
        ),
        (
            "variant.jwt-es255.leeway",
            "0s",
            "--set variant.jwt-es255.leeway=0s: no variant is named \"jwt-es255\"; did you mean \"jwt-es256\"?",
        ),
        ("variant.jwt-es256", "0s", "--set variant.jwt-es256=0s: name one variant and a key of it"),
        ("pool.cuont", "3", "--set pool.cuont=3: pool.cuont is no key here; did you mean \"count\"?"),
        ("seed.x", "3", "--set seed.x=3: seed is 42, which has no keys to set"),
        ("server.http", "1.1", "--set server.http=1.1: server.http is 1.1; did you mean \"1.1\"?"),
        ("", "3", "--set =3:  is no key here"),
    ] {
        let found = set(key, value).expect_err(key);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}

#[test]
fn options_of_the_command_line_count_as_written_there() {
    let overrides = Overrides { rounds: Some(12), seed: Some(u64::MAX), ..Overrides::default() };
    let changed = try_resolve(COMPARE, &overrides).expect("fits").plan;
    assert_eq!((changed.rounds, changed.seed), (12, u64::MAX));
    let overrides = Overrides { rounds: Some(6), ..Overrides::default() };
    let found = try_resolve(COMPARE, &overrides).expect_err("four starts");
    assert_eq!(found, ["--rounds 6: rounds is 6, which 4 starts cannot share evenly; write a multiple, like 8"]);
}

#[test]
fn quick_keeps_every_case_and_what_a_window_needs() {
    let full = plan(COMPARE);
    let quick = try_resolve(COMPARE, &Overrides { quick: true, ..Overrides::default() }).expect("fits").plan;
    assert!(quick.quick && !full.quick);
    assert_eq!(quick.cases, full.cases);
    let names = |plan: &Plan| plan.variants.iter().map(|variant| variant.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&quick), names(&full));
    assert_eq!((quick.starts, quick.rounds), (1, 2));
    for measurement in &quick.measurements {
        let MeasurementKind::Revocation(short) = &measurement.kind else { continue };
        let long = revocation(&full, &measurement.name);
        assert!(short.phase <= long.phase && short.watch <= long.watch && short.lifetime <= long.lifetime);
        for case in quick.cases_of(measurement) {
            let variant = quick.variant(&case.variant).expect("planned");
            assert!(short.phase >= variant.revocation_interval().unwrap_or_default(), "{}", case.id);
            assert!(short.watch > variant.longest_window(short.lifetime), "{}", case.id);
        }
        assert!(short.lifetime.is_none_or(|lifetime| lifetime > short.phase));
    }
    let caps = [("basic-argon2id", 8), ("jwt-rs256", 200), ("oauth2-opaque", 200), ("jwt-es256", 1_000), ("mtls", 64)];
    for (name, count) in caps {
        assert_eq!(quick.variant(name).expect("shipped").pool.count, count, "{name}");
    }
}
