//! Variants: what their options mean, and mistakes in them.

use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, CertificateKey, ChainLength, DenyListConfig, LimitConfig,
    MeteringConfig, MethodConfig, MtlsConfig, OcspConfig, OcspPolicy, SignedConfig, StoreConfig, TokenValidation,
};

use super::*;
use crate::plan::Presents;

/// A variant of its own beside those of `SMALL`; what it means.
fn variant(method: &str, options: &str) -> MethodConfig {
    let plan = plan(&format!("{SMALL}[[variant]]\nname = \"v\"\nmethod = \"{method}\"\n{options}\n"));
    plan.variant("v").expect("given").method.reference().expect("there is no [target]").clone()
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
