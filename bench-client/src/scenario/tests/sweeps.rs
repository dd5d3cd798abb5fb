//! Sweeps: the points that they make, and mistakes in them.

use std::time::Duration;

use super::*;
use crate::plan::{Metric, SweptValue};

/// `SMALL` with an API key whose cache can be swept.
fn with(sweeps: &str) -> String {
    format!(
        "{SMALL}[[variant]]\nname = \"key\"\nmethod = \"api-key\"\nstore = {{ kind = \"sqlite\" }}\npool = {{ count \
         = 5 }}\n{sweeps}"
    )
}

fn cases(plan: &Plan) -> Vec<&str> {
    plan.cases.iter().map(|case| case.id.as_str()).collect()
}

#[test]
fn a_swept_variant_is_one_variant_per_value() {
    let plan = plan(&with("[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"500ms\"]\nplot = [\"server_cpu\"]\n"));
    assert_eq!(cases(&plan), ["none/latency", "jwt/latency", "key@ttl=1s/latency", "key@ttl=500ms/latency"]);
    let half = plan.variant("key@ttl=500ms").expect("swept");
    assert_eq!(half.revocation_interval(), Some(Duration::from_millis(500)));
    assert_eq!((half.family(), half.coordinates().len(), half.server), ("key", 1, None));
    assert_eq!(half.coordinates()[0].key, "cache.ttl");
    assert_eq!((plan.variant("jwt").expect("not swept").family(), plan.sweeps.len()), ("jwt", 1));
    let sweep = &plan.sweeps[0];
    assert_eq!((sweep.steps.as_slice(), sweep.plot.as_slice()), (&[0, 1][..], &[Metric::ServerCpu][..]));
    assert_eq!(sweep.paths[0].values[1], SweptValue::Time(Duration::from_millis(500)));
}

#[test]
fn keys_of_one_table_vary_together_and_tables_cross() {
    let together = plan(&with(
        "[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"2s\"]\n\"variant.key.cache.capacity\" = [10, 20]\n\
         \"measurement.latency.load.rate_per_s\" = [100, 200]\n",
    ));
    assert_eq!(
        cases(&together),
        [
            "none/latency@rate_per_s=100",
            "jwt/latency@rate_per_s=100",
            "key@ttl=1s,capacity=10/latency@rate_per_s=100",
            "none/latency@rate_per_s=200",
            "jwt/latency@rate_per_s=200",
            "key@ttl=2s,capacity=20/latency@rate_per_s=200",
        ]
    );
    let crossed = plan(&with(
        "[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"2s\"]\n[[sweep]]\n\"variant.key.cache.capacity\" = [10, 20]\n",
    ));
    let keys: Vec<&str> = crossed.variants[2..].iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(
        keys,
        ["key@ttl=1s,capacity=10", "key@ttl=1s,capacity=20", "key@ttl=2s,capacity=10", "key@ttl=2s,capacity=20"]
    );
}

#[test]
fn a_swept_server_has_a_baseline_at_each_point() {
    let plan = plan(&with("[[sweep]]\n\"server.http\" = [\"1.1\", \"2\"]\n"));
    assert_eq!(plan.variants.len(), 6);
    for (variant, baseline, http) in [
        ("key@http=2", "none@http=2", HttpVersion::Http2),
        ("jwt@http=1.1", "none@http=1.1", HttpVersion::Http1),
        ("none@http=2", "none@http=2", HttpVersion::Http2),
    ] {
        assert_eq!(plan.baseline_of(variant).expect("measured").name, baseline);
        assert_eq!(plan.server_of(plan.variant(variant).expect("swept")).http, http);
    }
    assert_eq!(plan.cases.iter().filter(|case| case.variant.starts_with("none@")).count(), 2);
}

#[test]
fn a_swept_pool_leaves_the_baseline_and_pools_of_their_own_alone() {
    let plan = plan(&with("[[sweep]]\n\"pool.count\" = [10, 20]\n"));
    let pools: Vec<(&str, usize)> =
        plan.variants.iter().map(|variant| (variant.name.as_str(), variant.pool.count)).collect();
    assert_eq!(pools, [("none", 1), ("jwt@count=10", 10), ("jwt@count=20", 20), ("key", 5)]);
}

#[test]
fn selections_name_families() {
    let text = with("[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"2s\"]\n");
    let except = text.replace("kind = \"latency\"", "kind = \"latency\"\nvariants = { except = [\"key\"] }");
    assert_eq!(cases(&plan(&except)), ["none/latency", "jwt/latency"]);
    let only = text.replace("kind = \"latency\"", "kind = \"latency\"\nvariants = [\"key\"]");
    assert_eq!(cases(&plan(&only)), ["none/latency", "key@ttl=1s/latency", "key@ttl=2s/latency"]);
}

#[test]
fn mistakes_in_sweeps_have_their_places() {
    let one = |sweep: &str, starts: &str, says: &[&str]| {
        let found = problems(&with(&format!("[[sweep]]\n{sweep}\n")));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].starts_with(&format!("dir/test.toml:{starts}: ")), "{starts} is not at {:?}", found[0]);
        for text in says {
            assert!(found[0].contains(text), "{text:?} is not in {:?}", found[0]);
        }
    };
    let ttl = "\"variant.key.cache.ttl\"";
    // The value's own error, at its place in the list.
    one(&format!("{ttl} = [\"1s\", \"5xs\"]"), "21:34", &["variant \"key\": cache.ttl is \"5xs\"; write a time"]);
    one("\"variant.key.cache.tll\" = [1]\n\"variant.key.cache.ttl\" = [\"1s\"]", "21:1", &["did you mean \"ttl\"?"]);
    one("\"variant.kye.cache.ttl\" = [\"1s\"]", "21:1", &["sweep 1: ", "did you mean \"key\"?"]);
    one("\"servre.http\" = [\"2\"]", "21:1", &["leads nowhere", "did you mean \"server\"?"]);
    one("\"server.pin\" = [true, false]", "21:1", &["the whole run's", "\"http\""]);
    one("seed = [1, 2]", "21:1", &["\"seed\" is the whole run's"]);
    one("\"variant.key.name\" = [\"a\", \"b\"]", "21:1", &["write one [[variant]] for each"]);
    one("\"variant.none.pool.count\" = [1, 2]", "21:1", &["of the baseline"]);
    one(&format!("{ttl} = []"), "21:27", &["has no value"]);
    one(&format!("{ttl} = \"1s\""), "21:27", &["write a list of values"]);
    one("variant.key.cache.ttl = [\"1s\"]", "21:1", &["\"variant\" is a table; write the whole path in quotes"]);
    one(&format!("{ttl} = [[\"1s\"]]"), "21:28", &["holds a list"]);
    one(
        &format!("{ttl} = [\"1s\", \"2s\"]\n\"variant.key.cache.capacity\" = [1]"),
        "22:1",
        &["has 1 values and", "vary together"],
    );
    one(&format!("{ttl} = [\"1s\", \"1000ms\"]"), "21:34", &["\"1000ms\" makes a point that is there already"]);
    one(&format!("{ttl} = [\"1s\"]\n[[sweep]]\n{ttl} = [\"2s\"]"), "23:1", &["is swept twice"]);
    one(&format!("{ttl} = [\"1s\"]\nplot = [\"cpu\"]"), "22:8", &["sweep 1: plot is a list", "\"server_cpu\""]);
    one("\"server.http\" = [\"2\"]\nplot = [\"server_cpu\"]", "22:1", &["plot needs an axis"]);
    one("plot = [\"server_cpu\"]", "20:1", &["it sweeps nothing"]);
}

#[test]
fn what_is_not_swept_is_reported_once() {
    let text = with("[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"2s\"]\n").replace("sqlite", "sqlight");
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("store.kind is \"sqlight\""), "{found:?}");
}

#[test]
fn too_many_points_are_refused_before_they_are_made() {
    let values = |n: usize| (1..=n).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let capacity = |n| format!("[[sweep]]\n\"variant.key.cache.capacity\" = [{}]\n", values(n));
    let ttl = "[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"2s\"]\n";
    let found = problems(&with(&format!("{ttl}{}", capacity(1_000))));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].starts_with("dir/test.toml:20:1: the sweeps make 2000 variants, and 256 is the most"),
        "{found:?}"
    );
    let rates = format!("[[sweep]]\n\"measurement.latency.load.rate_per_s\" = [{}]\n", values(20));
    let found = problems(&with(&format!("{ttl}{rates}{}", capacity(60))));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("the sweeps make 2440 cases, and 1000 is the most"), "{found:?}");
}

#[test]
fn set_replaces_a_sweep() {
    let text = with(
        "[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"2s\"]\n\"variant.key.cache.capacity\" = [10, 20]\nplot = \
         [\"server_cpu\"]\n",
    );
    let names = |set: &[(&str, &str)]| {
        let set = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let plan = try_resolve(&text, &Overrides { set, ..Overrides::default() }).expect("fits").plan;
        plan.variants[2..].iter().map(|variant| variant.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), ["key@ttl=1s,capacity=10", "key@ttl=2s,capacity=20"]);
    assert_eq!(names(&[("variant.key.cache.ttl", "3s")]), ["key@capacity=10", "key@capacity=20"]);
    assert_eq!(names(&[("variant.key.cache.ttl", "3s"), ("variant.key.cache.capacity", "5")]), ["key"]);
    assert_eq!(names(&[("variant.key.cache", "{ ttl = \"3s\" }")]), ["key"]);
}

#[test]
fn quick_keeps_ends_and_middle_and_says_so() {
    let text = with(
        "[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s\", \"2s\", \"3s\", \"4s\", \"5s\"]\n[[sweep]]\n\
         \"server.http\" = [\"1.1\", \"2\"]\n",
    );
    let quick = try_resolve(&text, &Overrides { quick: true, ..Overrides::default() }).expect("fits").plan;
    assert_eq!((quick.sweeps[0].steps.as_slice(), quick.sweeps[1].steps.as_slice()), (&[0, 2, 4][..], &[0, 1][..]));
    assert_eq!(quick.sweeps[0].paths[0].values.len(), 5, "what was written is still told");
    assert_eq!(quick.variants.len(), 2 + 2 + 6);
    assert!(quick.variant("key@ttl=3s,http=2").is_some() && quick.variant("key@ttl=2s,http=2").is_none());
    assert_eq!(quick.cases.len(), quick.variants.len());
    let full = plan(&text);
    assert_eq!((full.variants.len(), full.cases.len()), (14, 14));
    assert_ne!(full.hash(), quick.hash());
}

#[test]
fn a_swept_plan_survives_its_way_through_a_file() {
    let text = with(
        "[[sweep]]\n\"variant.key.cache.ttl\" = [\"1s 5ms\", \"0.5s\"]\n\"server.http\" = [\"1.1\", \"2\"]\n[[sweep]]\n\
         \"measurement.latency.load.rate_per_s\" = [100, 0.125]\n",
    );
    let text = format!("price_per_core_hour = \"0.04 USD\"\n{text}").replace("measure = \"1s\"", "measure = \"8s\"");
    let plan = plan(&text.replace("measure = \"8s\" }", "measure = \"8s\" }\nslice = \"8s\""));
    let read: Plan = serde_json::from_str(&serde_json::to_string(&plan).expect("plain data")).expect("its own form");
    assert_eq!(read, plan);
    assert_eq!(read.hash(), plan.hash());
    assert!(plan.variant("key@ttl=1s5ms,http=1.1").is_some(), "{:?}", cases(&plan));
    assert_eq!(plan.price_per_core_hour.expect("written").to_string(), "0.04 USD");
}

#[test]
fn a_price_is_checked_like_any_value() {
    let found = problems(&format!("price_per_core_hour = 0.04\n{SMALL}"));
    assert_eq!(found, ["dir/test.toml:1:23: price_per_core_hour is 0.04; write a string in quotes"]);
    let found = problems(&format!("price_per_core_hour = \"4 cents an hour\"\n{SMALL}"));
    assert!(found[0].contains("like \"0.04 USD\""), "{found:?}");
}
