//! Scenarios with mistakes and without.

use std::path::Path;
use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, CertificateKey, ChainLength, DenyListConfig, LimitConfig,
    MeteringConfig, MethodConfig, MtlsConfig, OcspConfig, OcspPolicy, PasswordHash, SignedConfig, StoreConfig,
    TokenValidation,
};

use super::*;
use crate::plan::{
    BASELINE, Event, Fault, LoadRate, Measurement, MeasurementKind, Presents, Rate, RevocationPlan, RevokeBy,
};

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
fn oauth2_variants_bring_an_authorization_server_of_the_same_kind() {
    let plan = plan(COMPARE);
    for (name, expected) in [
        ("oauth2-opaque", AccessTokenFormat::Opaque),
        ("oauth2-jwt-es256", AccessTokenFormat::Jwt { algorithm: Algorithm::ES256 }),
    ] {
        let variant = plan.variant(name).expect(name);
        assert_eq!(variant.authorization_server.as_ref().expect(name).access_token, expected);
        let Some(MethodConfig::OAuth2(oauth2)) = variant.method.reference() else {
            panic!("{name} is no oauth2 variant")
        };
        assert_eq!(matches!(oauth2.validation, TokenValidation::Opaque { .. }), expected == AccessTokenFormat::Opaque);
    }
    assert!(plan.variant("jwt-es256").expect("shipped").authorization_server.is_none());
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

/// A variant of its own beside those of `SMALL`; what it means.
fn variant(method: &str, options: &str) -> MethodConfig {
    let plan = plan(&format!("{SMALL}[[variant]]\nname = \"v\"\nmethod = \"{method}\"\n{options}\n"));
    plan.variant("v").expect("given").method.reference().expect("there is no [target]").clone()
}

#[test]
fn sizes_and_distances_reach_the_server() {
    let MethodConfig::ApiKey(api_key) =
        variant("api-key", "store = { kind = \"sqlite\", delay = \"200us\", population = 1_000_000 }")
    else {
        panic!()
    };
    let expected = ApiKeyConfig {
        store_delay: Duration::from_micros(200),
        store_population: 1_000_000,
        ..ApiKeyConfig::new(StoreConfig::Sqlite)
    };
    assert_eq!(api_key, expected);

    let options =
        "store = { kind = \"memory\" }\npeppers = [2, 1]\nlimit = { requests = 1000, window = \"1m\" }\nmetered = true";
    let MethodConfig::ApiKey(api_key) = variant("api-key", options) else { panic!() };
    let expected = ApiKeyConfig {
        peppers: vec![2, 1],
        limit: Some(LimitConfig { requests: 1_000.try_into().expect("not zero"), window: Duration::from_secs(60) }),
        metering: Some(MeteringConfig::default()),
        ..ApiKeyConfig::new(StoreConfig::Memory)
    };
    assert_eq!(api_key, expected);

    let options = "algorithm = \"HS256\"\nclaims_bytes = 16384\ndenylist = { poll = \"500ms\", population = 7 }";
    let MethodConfig::Jwt(jwt) = variant("jwt", options) else { panic!() };
    assert_eq!(jwt.claims_bytes, Some(16_384));
    assert_eq!(jwt.denylist, Some(DenyListConfig { population: 7, ..DenyListConfig::new(Duration::from_millis(500)) }));

    let MethodConfig::OAuth2(oauth2) = variant("oauth2", "token = \"opaque\"\nintrospection_delay = \"1ms\"") else {
        panic!()
    };
    assert_eq!(oauth2.introspection_delay, Duration::from_millis(1));

    let options = "crl_reload = \"2s\"\ncrl_population = 100_000\nkey = \"Ed25519\"\nchain_length = 3";
    let MethodConfig::Mtls(mtls) = variant("mtls", options) else { panic!() };
    let written = (mtls.crl_population, mtls.key, mtls.chain_length);
    assert_eq!(written, (100_000, CertificateKey::Ed25519, ChainLength::Three));
    assert_eq!(variant("mtls", "crl_reload = \"2s\""), MethodConfig::Mtls(MtlsConfig::new(Duration::from_secs(2))));
}

#[test]
fn signed_requests_have_a_store_and_no_way_to_do_without_nonces() {
    let written = variant("signed", "store = { kind = \"sqlite\" }\nnonces = 1000");
    let expected = SignedConfig { nonces: 1_000, ..SignedConfig::new(StoreConfig::Sqlite) };
    assert_eq!(written, MethodConfig::Signed(expected));
    let memory = variant("signed", "store = { kind = \"memory\" }");
    assert_eq!(memory, MethodConfig::Signed(SignedConfig::new(StoreConfig::Memory)));
    let with = |options: &str| problems(&format!("{SMALL}[[variant]]\nname = \"v\"\nmethod = \"signed\"\n{options}\n"));
    for (options, says) in [
        ("", "store is missing"),
        ("store = { kind = \"memory\", delay = \"1ms\" }", "delay"),
        ("store = { kind = \"memory\" }\nnonces = 0", "nonces is 0"),
        ("store = { kind = \"memory\" }\nreplay = false", "replay"),
        ("store = { kind = \"memory\" }\ncache = { ttl = \"1s\" }", "cache goes with"),
    ] {
        let found = with(options);
        assert!(found.len() == 1 && found[0].contains(says), "{options}: {found:?}");
    }
}

#[test]
fn certificates_are_looked_up_asked_about_both_or_short_lived() {
    let resolved = |options: &str| {
        let plan = plan(&format!("{SMALL}[[variant]]\nname = \"v\"\nmethod = \"mtls\"\n{options}\n"));
        let variant = plan.variant("v").expect("given").clone();
        let bounds = (variant.revocation_interval(), variant.longest_window(None));
        let Some(MethodConfig::Mtls(mtls)) = variant.method.reference() else { panic!() };
        (mtls.clone(), bounds)
    };
    let seconds = Duration::from_secs;
    let ocsp = OcspConfig::new(seconds(3));
    let (mtls, bounds) = resolved("ocsp = { validity = \"3s\" }");
    assert_eq!((mtls, bounds), (MtlsConfig::by_ocsp(ocsp.clone()), (Some(seconds(3)), seconds(3))));
    let (mtls, bounds) = resolved("crl_reload = \"2s\"\nocsp = { validity = \"3s\", policy = \"soft\" }");
    let both = OcspConfig { policy: OcspPolicy::Soft, ..ocsp };
    assert_eq!(mtls, MtlsConfig { ocsp: Some(both), ..MtlsConfig::new(seconds(2)) });
    assert_eq!(bounds, (Some(seconds(2)), seconds(2)));
    let (mtls, bounds) = resolved("certificate_lifetime = \"1h\"");
    assert_eq!(mtls, MtlsConfig::short_lived(seconds(3600)));
    assert_eq!(bounds, (None, seconds(3601)), "notAfter belongs to the lifetime");
}

#[test]
fn how_a_certificate_is_taken_back_is_written_out() {
    let says = |options: &str, says: &[&str]| {
        one_problem(&format!("[[variant]]\nname = \"v\"\nmethod = \"mtls\"\n{options}\n"), says);
    };
    says("", &["crl_reload is missing", "ocsp = { validity", "certificate_lifetime"]);
    says("ocsp = {}", &["ocsp.validity is missing"]);
    says("ocsp = { validity = \"2days\" }", &["ocsp.validity is \"2days\"; write a time from \"1ms\" to \"1day\""]);
    says("ocsp = { validity = \"2s\", policy = \"off\" }", &["write one of \"hard\", \"soft\""]);
    says("ocsp = { validity = \"2s\", url = \"http://x/\" }", &["ocsp.url is no key here"]);
    says("ocsp = { validity = \"2s\" }\ncrl_validity = \"1h\"", &["crl_validity is about the CRL"]);
    says("certificate_lifetime = \"1h\"\ncrl_population = 5", &["crl_population is about the CRL"]);
    says("certificate_lifetime = \"1h\"\ncrl_policy = \"soft\"", &["crl_policy is about the CRL"]);
    says("certificate_lifetime = \"1h\"\nmax_connection_age = \"2h\"", &["max_connection_age"]);
    says("certificate_lifetime = \"2days\"", &["certificate_lifetime is \"2days\"; write a time"]);
    says("certificate_lifetime = \"1h\"\nrecheck = false", &["recheck goes with crl_reload or ocsp"]);
}

#[test]
fn wrong_sizes_and_distances_are_located() {
    for (method, options, says) in [
        (
            "api-key",
            "store = { kind = \"memory\", delay = \"11s\" }",
            ":18:36: variant \"v\": store.delay is \"11s\"; write a time from \"0s\" to \"10s\"",
        ),
        (
            "api-key",
            "store = { kind = \"memory\", delay = 200 }",
            ":18:36: variant \"v\": store.delay is 200; write a time in quotes",
        ),
        (
            "api-key",
            "store = { kind = \"memory\", population = 10_000_001 }",
            ":18:41: variant \"v\": store.population is 10000001; write a whole number from 0 to 10000000",
        ),
        (
            "api-key",
            "store = { kind = \"memory\", popluation = 1 }",
            "store.popluation is no key here; did you mean \"population\"?",
        ),
        (
            "api-key",
            "store = { kind = \"memory\" }\nclaims_bytes = 512",
            ":19:1: variant \"v\": claims_bytes goes with method \"jwt\", not with method \"api-key\"; remove it",
        ),
        (
            "jwt",
            "algorithm = \"ES256\"\nclaims_bytes = 199",
            ":19:16: variant \"v\": claims_bytes is 199; write a whole number from 200 to 16384",
        ),
        (
            "jwt",
            "algorithm = \"ES256\"\ndenylist = { poll = \"1s\", population = -1 }",
            ":19:40: variant \"v\": denylist.population is -1; write a whole number from 0 to 10000000",
        ),
        (
            "oauth2",
            "token = \"opaque\"\nintrospection_delay = \"1m\"",
            ":19:23: variant \"v\": introspection_delay is \"1m\"; write a time from \"0s\" to \"10s\"",
        ),
        (
            "oauth2",
            "token = \"jwt\"\nalgorithm = \"ES256\"\nintrospection_delay = \"1ms\"",
            "introspection_delay goes with method \"oauth2\" with token = \"opaque\"",
        ),
        (
            "mtls",
            "crl_reload = \"2s\"\nkey = \"RSA\"",
            ":19:7: variant \"v\": key is \"RSA\"; write one of \"P-256\", \"RSA-2048\", \"Ed25519\"",
        ),
        (
            "mtls",
            "crl_reload = \"2s\"\nchain_length = 4",
            ":19:16: variant \"v\": chain_length is 4; write a whole number from 1 to 3",
        ),
        (
            "mtls",
            "crl_reload = \"2s\"\ncrl_population = 1_000_001",
            "crl_population is 1000001; write a whole number from 0 to 1000000",
        ),
    ] {
        one_problem(&format!("[[variant]]\nname = \"v\"\nmethod = \"{method}\"\n{options}\n"), &[says]);
    }
}

#[test]
fn what_takes_long_or_does_not_fit_is_warned_of() {
    let warnings = |options: &str| -> Vec<String> {
        let text = format!("{SMALL}[[variant]]\nname = \"v\"\n{options}\n");
        resolved(&text).warnings.iter().map(ToString::to_string).collect()
    };
    let rsa = "method = \"mtls\"\ncrl_reload = \"2s\"\nkey = \"RSA-2048\"\n";
    let found = warnings(rsa);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains(":19:7: variant \"v\": key is \"RSA-2048\", and making the pool's 10000 keys"),
        "{found:?}"
    );
    assert_eq!(warnings(&format!("{rsa}pool = {{ count = 64 }}")), Vec::<String>::new());
    let jwt = "method = \"jwt\"\nalgorithm = \"ES256\"\nleeway = \"0s\"\nclaims_bytes = ";
    let found = warnings(&format!("{jwt}200"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("claims_bytes is 200, but the claims that RFC 9068 requires take 2"), "{found:?}");
    assert_eq!(warnings(&format!("{jwt}512")), Vec::<String>::new());
}

#[test]
fn populations_and_rsa_keys_count_in_what_is_expected() {
    let start_up = |method: &str, options: &str| {
        let text =
            format!("{SMALL}[[variant]]\nname = \"v\"\nmethod = \"{method}\"\npool = {{ count = 10 }}\n{options}\n");
        plan(&text).expected_start().start_up
    };
    let store =
        |population: u32| start_up("api-key", &format!("store = {{ kind = \"sqlite\", population = {population} }}"));
    assert!(store(1_000_000) >= store(0) + Duration::from_secs(2));
    let mtls = |key: &str| start_up("mtls", &format!("crl_reload = \"2s\"\nkey = \"{key}\""));
    assert!(mtls("RSA-2048") > mtls("P-256") + Duration::from_millis(200));
    assert_eq!(mtls("P-256"), mtls("Ed25519"));
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
fn options_of_another_method_are_contradictions() {
    let variant = |rest: &str| format!("[[variant]]\nname = \"x\"\n{rest}\n");
    for (rest, says) in [
        ("method = \"api-key\"\nstore = { kind = \"memory\" }\ndenylist = { poll = \"1s\" }", "denylist goes with"),
        ("method = \"oauth2\"\ntoken = \"opaque\"\nalgorithm = \"ES256\"", "algorithm goes with"),
        ("method = \"oauth2\"\ntoken = \"opaque\"\nleeway = \"1s\"", "leeway goes with"),
        ("method = \"oauth2\"\ntoken = \"jwt\"\nalgorithm = \"ES256\"\ncache = { ttl = \"1s\" }", "cache goes with"),
        ("method = \"oauth2\"\ntoken = \"jwt\"\nalgorithm = \"HS256\"", "asymmetric"),
        ("method = \"oauth2\"\ntoken = \"jwt\"\nalgorithm = \"HS512\"", "asymmetric"),
        (
            "method = \"jwt\"\nalgorithm = \"ES256\"\nintrospection = true\ndenylist = { poll = \"1s\" }",
            "leave denylist and cache out",
        ),
        ("method = \"none\"\nlifetime = \"1s\"", "lifetime goes with"),
        ("method = \"mtls\"\ncrl_reload = \"2s\"\nstore = { kind = \"memory\" }", "store goes with"),
        ("method = \"mtls\"\ncrl_reload = \"2s\"\ncrl_validity = \"2s\"", "write 500ms at most"),
    ] {
        one_problem(&variant(rest), &["variant \"x\": ", says]);
    }
}

#[test]
fn limits_hold_on_both_sides() {
    let variant = |rest: &str| format!("[[variant]]\nname = \"x\"\n{rest}\n");
    for (right, wrong, says) in [
        ("method = \"jwt\"\nalgorithm = \"ES256\"\nleeway = \"60s\"", "61s", "leeway is"),
        ("method = \"jwt\"\nalgorithm = \"ES256\"\nlifetime = \"60s\"", "16m", "lifetime is"),
        ("method = \"basic\"\ncache = { ttl = \"60s\" }", "61s", "cache.ttl is"),
        ("method = \"mtls\"\ncrl_reload = \"60s\"", "0s", "crl_reload is"),
    ] {
        plan(&format!("{SMALL}{}", variant(right)));
        one_problem(&variant(&right.replace("60s", wrong)), &[says, wrong]);
    }
}

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
fn too_short_a_watch_is_advice() {
    let text = COMPARE.replace("watch = \"13s\"", "watch = \"5s\"");
    let warnings: Vec<String> = resolved(&text).warnings.iter().map(ToString::to_string).collect();
    assert!(!warnings.is_empty());
    assert!(warnings.iter().all(|warning| warning.contains("watch is 5s")), "{warnings:?}");
    assert!(warnings.iter().any(|warning| warning.contains("\"jwt-es256\" may live for 12s")), "{warnings:?}");
    assert!(!warnings.iter().any(|warning| warning.contains("\"jwt-es256-denylist\"")), "{warnings:?}");
}

const RENEWED: &str = r#"
[[variant]]
name = "renewed"
method = "oauth2"
token = "jwt"
algorithm = "ES256"
lifetime = "4s"
revoke_by = "refresh"
[[measurement]]
kind = "revocation"
variants = ["renewed"]
trials = 1
probe_interval = "10ms"
phase = "2500ms"
watch = "1m"
"#;

/// [`SMALL`], whose load is for the others.
fn renewed(change: (&str, &str)) -> String {
    let others = "kind = \"latency\"\nvariants = [\"jwt\"]";
    format!("{}{}", SMALL.replace("kind = \"latency\"", others), RENEWED.replace(change.0, change.1))
}

#[test]
fn a_refresh_token_is_revoked_where_short_tokens_are_renewed_by_one() {
    let Resolved { plan, warnings, .. } = resolved(&renewed(("", "")));
    assert_eq!(warnings.len(), 0, "{warnings:?}");
    let variant = plan.variant("renewed").expect("given");
    assert!(variant.renews() && !plan.variant("jwt").expect("given").renews());
    assert_eq!(variant.revocation_interval(), Some(Duration::from_millis(2_500)));
    // The last token may be as good as new.
    assert_eq!(variant.longest_window(None), Duration::from_secs(34));
    let one = |change, says: &[&str]| {
        let found = problems(&renewed(change));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(says.iter().all(|text| found[0].contains(text)), "{says:?} are not in {:?}", found[0]);
    };
    one(("\"4s\"", "\"2s\""), &["lifetime is 2s", "1s 500ms before the end", "write \"3s\" at least"]);
    one(("\"refresh\"", "\"subject\""), &["revoke_by is \"subject\"", "\"token\", \"key\", \"refresh\""]);
    one(("watch =", "lifetime = \"10s\"\nwatch ="), &["lifetime is for tokens that are issued once", "remove it"]);
    one(("watch =", "bystanders = 2\nwatch ="), &["bystanders is 2", "write bystanders = 0"]);
    let opaque = ("token = \"jwt\"\nalgorithm = \"ES256\"", "token = \"opaque\"");
    one(opaque, &["revoke_by goes with method \"jwt\", and \"oauth2\" with token = \"jwt\""]);
    one(("token = \"jwt\"", "token = \"jtw\""), &["token is \"jtw\"", "did you mean \"jwt\"?"]);
    let other = "[[variant]]\nname = \"key\"\nmethod = \"api-key\"\nstore = { kind = \"memory\" }\n";
    one_problem(&format!("{other}revoke_by = \"refresh\""), &["revoke_by goes with", "not with method \"api-key\""]);
}

#[test]
fn what_renews_its_tokens_need_not_outlive_a_start_unless_it_is_under_load() {
    let alone = resolved(&renewed(("1m", "3m"))).warnings;
    assert_eq!(alone.len(), 0, "{alone:?}");
    let warned = resolved(&format!("{SMALL}{RENEWED}")).warnings;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].message.contains("\"renewed\": lifetime is 4s, but a start takes"), "{warned:?}");
}

#[test]
fn renewals_are_met_at_every_phase_or_that_is_said() {
    let warned = resolved(&renewed(("2500ms", "1s"))).warnings;
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].message.contains("phase is 1s, but variant \"renewed\" looks every 2s 500ms"), "{warned:?}");
    let text = renewed(("", ""));
    let quick = try_resolve(&text, &Overrides { quick: true, ..Overrides::default() }).expect("fits").plan;
    assert_eq!(revocation(&quick, "revocation").phase, Duration::from_millis(2_500));
    assert_eq!(revocation(&quick, "revocation").watch, Duration::from_secs(35));
}

#[test]
fn tokens_that_expire_within_a_start_are_noticed() {
    let text = SMALL.replace("leeway = \"0s\"", "leeway = \"0s\"\nlifetime = \"1s\"");
    let warnings = resolved(&text).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.contains("lifetime is 1s"), "{warnings:?}");
}

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

/// `SMALL` with a measurement of handshakes.
fn handshakes(more: &str) -> String {
    format!(
        "{SMALL}[[measurement]]\nkind = \"handshake\"\nconnections = 4\nwarmup = \"10ms\"\nmeasure = \"200ms\"\n{more}\n"
    )
}

#[test]
fn handshakes_are_a_case_for_each_combination() {
    let plan = plan(&handshakes("sessions = [\"full\", \"resumed\"]\nrequests_per_connection = [1, 10]"));
    let names: Vec<&str> = plan.measurements.iter().map(|measurement| measurement.name.as_str()).collect();
    assert_eq!(
        names,
        ["latency", "handshake@full,k=1", "handshake@full,k=10", "handshake@resumed,k=1", "handshake@resumed,k=10"]
    );
    assert!(plan.cases.iter().any(|case| case.id == "jwt/handshake@resumed,k=10"));
    let MeasurementKind::Handshake(last) = &plan.measurements[4].kind else { panic!() };
    assert_eq!((last.session, last.requests_per_connection), (crate::plan::SessionKind::Resumed, 10));
    assert_eq!((last.connections, last.slices, last.slice), (4, 2, Duration::from_millis(100)));

    let plain = self::plan(&handshakes(""));
    assert_eq!(plain.measurements[1].name, "handshake@full,k=1", "the default is one full handshake per request");
}

#[test]
fn mistakes_in_handshakes_are_located() {
    for (more, line, says) in [
        ("sessions = [\"half\"]", 20, "sessions is a list; it holds \"half\": write one of "),
        ("sessions = []", 20, "write a list, like [\"full\", \"resumed\"]"),
        ("sessions = [\"full\", \"full\"]", 20, "it holds \"full\" twice: remove one"),
        ("requests_per_connection = [1, 0]", 20, "it holds 0: write a whole number from 1 to 1000000"),
        ("requests_per_connection = 5", 20, "requests_per_connection is 5; write a list, like [1, 10, 100]"),
        ("connection = \"fresh\"", 20, "connection is no key here"),
    ] {
        let found = problems(&handshakes(more));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("dir/test.toml:{line}:")), "{found:?}");
        assert!(found[0].contains(says), "{says:?} is not in {found:?}");
    }
    let found = problems(&handshakes("").replace("connections = 4\n", ""));
    assert!(found.len() == 1 && found[0].contains("connections is missing"), "{found:?}");
}

#[test]
fn handshakes_need_tls_and_a_server_that_resumes() {
    let found = problems(&(handshakes("") + "[server]\ntransport = \"plaintext\"\n"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("measurement \"handshake\": kind is \"handshake\", but"), "{found:?}");
    assert!(found[0].contains("write \"tls1.3\""), "{found:?}");

    let mtls = "[[variant]]\nname = \"mtls\"\nmethod = \"mtls\"\ncrl_reload = \"1s\"";
    let resumed = handshakes(&format!("sessions = [\"full\", \"resumed\"]\n{mtls}"));
    let found = problems(&resumed);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("sessions holds \"resumed\"") && found[0].contains("leave out mtls"), "{found:?}");
    assert!(try_resolve(&handshakes(mtls), &Overrides::default()).is_ok(), "full handshakes are fine");
}

#[test]
fn the_key_exchange_is_stated_and_fits_its_transport() {
    use bench_server::contract::KeyExchange;
    let with = |server: &str| format!("{SMALL}[server]\n{server}\n");
    assert_eq!(plan(SMALL).key_exchange, None);
    assert_eq!(plan(&with("key_exchange = \"P-256\"")).key_exchange, Some(KeyExchange::P256));
    for (server, says) in [
        ("key_exchange = \"X448\"", "key_exchange is \"X448\""),
        ("transport = \"plaintext\"\nkey_exchange = \"X25519\"", "key_exchange goes with TLS"),
        ("transport = \"tls1.2\"\nkey_exchange = \"X25519MLKEM768\"", "which TLS 1.2 does not have"),
    ] {
        let found = problems(&with(server));
        assert!(found.len() == 1 && found[0].contains(says), "{found:?}");
    }
    let swept = "key_exchange = \"X25519MLKEM768\"\n[[sweep]]\n\"server.transport\" = [\"tls1.3\", \"tls1.2\"]";
    let found = problems(&with(swept));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("test.toml:16:16: server.key_exchange") && found[0].contains("TLS 1.2"), "{found:?}");
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

#[test]
fn moving_parts_follow_from_the_configuration() {
    let plan = plan(COMPARE);
    let parts = |name: &str| plan.moving_parts(plan.variant(name).expect("shipped"));
    assert_eq!(parts("none"), ["server certificate"]);
    assert_eq!(parts("api-key-sqlite-cached"), ["server certificate", "key database", "cache of keys"]);
    assert_eq!(parts("jwt-es256-denylist").len(), parts("jwt-es256").len() + 1);
    assert!(parts("oauth2-opaque").contains(&"authorization server"));
    assert!(parts("mtls").contains(&"certificate authority"));
    let plaintext = Plan { transport: Transport::Plaintext, ..plan.clone() };
    assert!(plaintext.moving_parts(plan.variant("none").expect("shipped")).is_empty());
}

/// An outage and a rollover, with more lines.
fn events(outage: &str, rollover: &str) -> String {
    format!(
        r#"
[[measurement]]
kind = "outage"
callers = 20
interval = "100ms"
before = "1s"
after = "2s"
lasts = "3s"
{outage}
[[measurement]]
kind = "rollover"
callers = 20
interval = "100ms"
before = "1s"
after = "2s"
adoption = "4s"
{rollover}
"#
    )
}

#[test]
fn an_event_says_what_happens_and_for_how_long() {
    let text = events("fault = { flapping = \"1s\" }\nrevoked = 5", "of = \"key\"\nlead = \"1s\"\noverlap = \"0s\"");
    let plan = plan(&format!("{SMALL}{text}"));
    let outage = Event::of(&plan.measurements[1].kind).expect("an outage");
    assert_eq!(outage.length(), Duration::from_secs(1 + 3 + 2));
    let MeasurementKind::Outage(settings) = &plan.measurements[1].kind else { panic!() };
    assert_eq!((settings.fault, settings.revoked), (Fault::Flapping(Duration::from_secs(1)), 5));
    assert_eq!(settings.calls.bin, Duration::from_millis(200), "as documented");
    let rollover = Event::of(&plan.measurements[2].kind).expect("a rollover");
    assert_eq!(rollover.length(), Duration::from_secs(1 + 1 + 4 + 2));
    let expected = plan.expected_start().events;
    assert!(expected >= outage.length() + rollover.length(), "{expected:?}");
}

#[test]
fn mistakes_in_events_are_located() {
    const FINE: (&str, &str) = ("fault = \"down\"", "of = \"credential\"\noverlap = \"1s\"");
    let wrong = |outage: &str, rollover: &str, says: &[&str]| one_problem(&events(outage, rollover), says);
    wrong("fault = \"dwn\"", FINE.1, &["fault is \"dwn\"", "{ slow = \"100ms\" }"]);
    wrong("fault = {}", FINE.1, &["fault: write one of"]);
    wrong("fault = { slow = \"1s\", flapping = \"1s\" }", FINE.1, &["fault: write one of"]);
    wrong("fault = { flapping = \"2s\" }", FINE.1, &["a turn of 2s does not come back within 3s"]);
    wrong("fault = \"down\"\nrevoked = 20", FINE.1, &["revoked is 20 of 20 callers"]);
    wrong("fault = \"down\"\nlead = \"1s\"", FINE.1, &["lead"]);
    wrong(FINE.0, "of = \"password\"\noverlap = \"1s\"", &["of is \"password\"", "\"credential\", \"key\""]);
    wrong(FINE.0, "of = \"credential\"\noverlap = \"1s\"\nlead = \"1s\"", &["lead is for keys"]);
    wrong(FINE.0, "of = \"credential\"", &["overlap is missing"]);
    let mine = r#"
[[variant]]
name = "mine"
method = "api-key"
store = { kind = "redis", url = "redis://db.test" }
[[variant]]
name = "short"
method = "jwt"
algorithm = "ES256"
lifetime = "4s"
"#;
    let found = problems(&format!("{SMALL}{mine}{}", events(FINE.0, FINE.1)));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[0].contains("the store of variant \"mine\" is a server of yours"), "{}", found[0]);
    assert!(found[1].contains("variant \"short\" end before all callers have changed over"), "{}", found[1]);
}

#[test]
fn a_key_ends_every_token_so_one_is_revoked_at_a_time() {
    let with = |variant: &str, measurement: &str| {
        format!(
            "\n[[variant]]\nname = \"keyed\"\nmethod = \"oauth2\"\n{variant}\nrevoke_by = \"key\"\n[[measurement]]\nkind = \
             \"revocation\"\ntrials = 3\nprobe_interval = \"20ms\"\nphase = \"10m\"\nwatch = \"10m\"\n{measurement}"
        )
    };
    let jwt = "token = \"jwt\"\nalgorithm = \"ES256\"";
    let variant = |plan: &Plan| plan.variants.iter().find(|variant| variant.name == "keyed").expect("there").clone();
    let planned = plan(&format!("{SMALL}{}", with(jwt, "at_a_time = 1\nbystanders = 2")));
    assert_eq!(variant(&planned).revoke_by, RevokeBy::Key);
    assert_eq!(variant(&planned).longest_window(None), Duration::from_secs(300), "until the keys are fetched");
    let text = format!("{SMALL}{}", with(jwt, "at_a_time = 1\nbystanders = 2"));
    let quick = try_resolve(&text, &Overrides { quick: true, ..Overrides::default() }).expect("fits").plan;
    let quick = revocation(&quick, "revocation");
    assert_eq!((quick.at_a_time, quick.bystanders), (1, 0));
    one_problem(&with(jwt, ""), &["at_a_time is 3", "write at_a_time = 1"]);
    one_problem(&with("token = \"opaque\"", "at_a_time = 1"), &["revoke_by", "token = \"jwt\""]);
    let short = format!("{jwt}\nlifetime = \"10m\"");
    one_problem(
        &with(&short, "at_a_time = 1\nbystanders = 2"),
        &["variant \"keyed\" live for 10m, and it takes 10m 5s to see whom", "bystanders = 0"],
    );
}

/// What would be revoked beside it, or timed through the forwarder.
#[test]
fn an_event_is_about_single_credentials_and_its_store_is_timed_elsewhere() {
    let variant = |revoke_by: &str| {
        format!(
            "[[variant]]\nname = \"keyed\"\nmethod = \"oauth2\"\ntoken = \"jwt\"\nalgorithm = \"ES256\"\nrevoke_by = \
             \"{revoke_by}\"\n"
        )
    };
    let key = events("fault = \"down\"\nrevoked = 1", "of = \"credential\"\noverlap = \"1s\"");
    let found = problems(&format!("{SMALL}{}{key}", variant("key")));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|found| found.contains("\"keyed\" revokes by ends more than one")), "{found:#?}");
    let fine = events("fault = \"down\"\nrevoked = 0", "of = \"key\"\noverlap = \"1s\"");
    let warnings = resolved(&format!("{SMALL}{}{fine}", variant("key"))).warnings;
    let forwarded = warnings.iter().filter(|warning| warning.to_string().contains("reached through a forwarder"));
    assert_eq!(forwarded.count(), 1, "{warnings:#?}");
    let subject = "[[variant]]\nname = \"s\"\nmethod = \"jwt\"\nalgorithm = \"ES256\"\nrevoke_by = \"subject\"\ndenylist = \
                   { store = { kind = \"redis\" }, push = \"pubsub\" }\n";
    let found = problems(&format!("{SMALL}{subject}{key}"));
    assert_eq!(found.len(), 1, "{found:#?}");
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

mod sweeps {
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
        one(
            "\"variant.key.cache.tll\" = [1]\n\"variant.key.cache.ttl\" = [\"1s\"]",
            "21:1",
            &["did you mean \"ttl\"?"],
        );
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
        let text =
            format!("price_per_core_hour = \"0.04 USD\"\n{text}").replace("measure = \"1s\"", "measure = \"8s\"");
        let plan = plan(&text.replace("measure = \"8s\" }", "measure = \"8s\" }\nslice = \"8s\""));
        let read: Plan =
            serde_json::from_str(&serde_json::to_string(&plan).expect("plain data")).expect("its own form");
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
}

#[test]
fn credentials_are_bad_in_the_ways_that_their_method_knows() {
    let refused = plan(&format!(
        "{SMALL}[[variant]]\nname = \"bad\"\nmethod = \"jwt\"\nalgorithm = \"ES256\"\npresents = \"expired\"\n"
    ));
    let bad = refused.variant("bad").expect("planned");
    assert_eq!(bad.presents, Presents::Expired);
    assert_eq!(bad.issued_for(), Some(Duration::from_secs(1)));
    // With the leeway of 30 s, and X.509 and JWT count whole seconds.
    assert_eq!(bad.ripens_in(), Duration::from_secs(32));
    assert!(bad.expected_issuing() > bad.ripens_in());

    let variant = |options: &str| format!("[[variant]]\nname = \"bad\"\n{options}\n");
    let says = "one of \"malformed\", \"bad-signature\", \"expired\"";
    one_problem(
        &variant("method = \"jwt\"\nalgorithm = \"ES256\"\npresents = \"revoked\""),
        &["variant \"bad\": presents is \"revoked\"", "without a deny-list", says],
    );
    one_problem(
        &variant("method = \"mtls\"\ncrl_reload = \"1s\"\npresents = \"unknown\""),
        &["requests of method \"mtls\" present no such credential", "remove it"],
    );
    one_problem(&variant("method = \"none\"\npresents = \"unknown\""), &["method \"none\"", "remove it"]);
    one_problem(
        &variant("method = \"basic\"\nsession = \"15m\"\npresents = \"wrong-secret\""),
        &["a session present its token and no password", "write one of \"malformed\", \"unknown\""],
    );
    let setup = "[[measurement]]\nkind = \"setup\"\ntrials = 1\nvariants = [\"bad\"]\n";
    one_problem(
        &(variant("method = \"api-key\"\nstore = { kind = \"memory\" }\npresents = \"unknown\"") + setup),
        &["measurement \"setup\": kind is \"setup\"", "refused from the beginning", "except = [\"bad\"]"],
    );
}

#[test]
fn only_what_its_end_would_change_is_warned_of() {
    let warnings = |presents: &str| {
        let options = "method = \"jwt\"\nalgorithm = \"ES256\"\nlifetime = \"1s\"\ndenylist = { poll = \"1s\" }";
        resolved(&format!("{SMALL}[[variant]]\nname = \"short\"\n{options}\npresents = {presents:?}\n")).warnings
    };
    for presents in ["valid", "revoked"] {
        let found = warnings(presents);
        assert!(found.len() == 1 && found[0].message.contains("lifetime is 1s"), "{presents}: {found:?}");
    }
    for presents in ["malformed", "bad-signature", "expired"] {
        assert_eq!(warnings(presents), [], "{presents}");
    }
}

#[test]
fn a_refusal_has_the_reason_that_the_server_can_know() {
    let reason = |options: &str| {
        let plan = plan(&format!("{SMALL}[[variant]]\nname = \"bad\"\n{options}\n"));
        let variant = plan.variant("bad").expect("given");
        variant.presents.reason(variant.method.reference().expect("no target"))
    };
    let jwt = "method = \"jwt\"\nalgorithm = \"ES256\"\n";
    assert_eq!(reason(jwt), None);
    assert_eq!(reason(&format!("{jwt}presents = \"expired\"")), Some("expired"));
    assert_eq!(reason(&format!("{jwt}denylist = {{ poll = \"1s\" }}\npresents = \"revoked\"")), Some("revoked"));
    // Whoever asks hears no more than that the token is not active.
    assert_eq!(reason(&format!("{jwt}introspection = true\npresents = \"expired\"")), Some("unknown"));
    for presents in ["unknown", "expired", "revoked"] {
        let opaque = format!("method = \"oauth2\"\ntoken = \"opaque\"\npresents = {presents:?}");
        assert_eq!(reason(&opaque), Some("unknown"), "{presents}");
    }
}

#[test]
fn traffic_beside_a_variant_has_a_method_and_a_rate_of_its_own() {
    let with = |beside: &str| {
        format!(
            "{SMALL}[[variant]]\nname = \"key\"\nmethod = \"api-key\"\nstore = {{ kind = \"memory\" }}\nbeside = {beside}\n"
        )
    };
    let plan = plan(&with("{ method = \"basic\", rate_per_s = 20, throttle = true }"));
    let beside = plan.variant("key").expect("given").beside.as_deref().expect("given");
    assert_eq!((beside.rate_per_s, beside.connections, beside.pool.count, beside.wrong), (20.0, 64, 16, false));
    let MethodConfig::Basic(basic) = &beside.method else { panic!("{beside:?}") };
    assert!(basic.throttle);
    for (beside, says) in [
        ("{ method = \"basic\" }", "rate_per_s is missing"),
        ("{ rate_per_s = 20 }", "method is missing"),
        ("{ method = \"mtls\", rate_per_s = 20 }", "one of"),
        ("{ method = \"basic\", rate_per_s = -1 }", "rate_per_s"),
        ("{ method = \"basic\", rate_per_s = 1, algorithm = \"ES256\" }", "algorithm"),
        ("{ method = \"jwt\", algorithm = \"ES256\", rate_per_s = 1, wrong = true }", "wrong is about passwords"),
        (
            "{ method = \"basic\", rate_per_s = 1, session = \"15m\", wrong = true }",
            "a session's requests present none",
        ),
        ("{ method = \"basic\", rate_per_s = 1, store = { kind = \"redis\" } }", "keep it in memory or in SQLite"),
    ] {
        let found = problems(&with(beside));
        assert!(found.iter().any(|problem| problem.contains(says)), "{beside}: {found:#?}");
    }
    let blind = "[[measurement]]\nkind = \"setup\"\ntrials = 1\n";
    let found = problems(&format!("{}{blind}", with("{ method = \"basic\", rate_per_s = 1 }")));
    assert!(found[0].contains("has traffic beside it"), "{found:#?}");
    let mtls = "[[variant]]\nname = \"m\"\nmethod = \"mtls\"\ncrl_reload = \"1s\"\nbeside = { method = \"basic\", rate_per_s = 1 }\n";
    one_problem(mtls, &["beside", "asks for certificates"]);
}

#[test]
fn a_session_of_basic_has_a_lifetime_and_no_cache() {
    let basic = |more: &str| format!("{SMALL}[[variant]]\nname = \"basic\"\nmethod = \"basic\"\n{more}\n");
    let plan = plan(&basic("session = \"15m\""));
    let variant = plan.variant("basic").expect("given");
    assert_eq!(variant.credential_lifetime(), Some(Duration::from_secs(900)));
    let Some(MethodConfig::Basic(config)) = variant.method.reference() else { panic!() };
    assert!(!config.throttle && config.session.is_some());
    for (more, says) in [
        ("session = \"0s\"", "session"),
        ("session = \"15m\"\ncache = { ttl = \"5s\" }", "leave it out"),
        ("throttle = \"yes\"", "throttle"),
    ] {
        let found = problems(&basic(more));
        assert!(found.iter().any(|problem| problem.contains(says)), "{more}: {found:#?}");
    }
}
