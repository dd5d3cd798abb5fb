//! Scenarios with a `[target]`, with mistakes and without.

use std::path::Path;

use bench_server::contract::{HttpVersion, Transport};

use super::super::{Overrides, resolve};
use crate::plan::{
    CredentialSource, ExternalMethod, MeasurementKind, MethodWord, Plan, Revoke, TargetProcesses, Template,
};

/// One variant of every way to present a credential.
const TARGET: &str = r#"
[target]
url = "https://localhost:8443/none?x=1"
roots = "ca.pem"
process = "nginx"
accepted = { body_contains = "<{principal}>" }
rejected = { status = [401] }
[[variant]]
name = "none"
method = "none"
accepted = { body_contains = "hello" }
[[variant]]
name = "key"
method = "api-key"
url = "/key"
header = "X-API-Key: {credential}"
credentials = { file = "keys.txt" }
revoke = { request = { url = "https://localhost:8443/keys/{id}", header = "Authorization: Bearer ${ADMIN}" } }
[[variant]]
name = "basic"
method = "basic"
credentials = { env = "USER_AND_PASSWORD" }
[[variant]]
name = "oauth2"
method = "oauth2"
url = "https://127.0.0.1:9443/"
accepted = { status = [200, 204] }
rejected = { status = [401, 403] }
revoke = { command = ["./revoke", "{id}"] }
[variant.credentials.token_request]
url = "https://localhost:7443/token"
client_id = "me"
client_secret = "${SECRET}"
scope = "read"
principal = "me"
[[variant]]
name = "mtls"
method = "mtls"
credentials = { certificate = "a.pem", key = "a.key", principal = "a" }
[[measurement]]
kind = "throughput"
connections = 4
warmup = "10ms"
measure = "100ms"
[[measurement]]
kind = "revocation"
variants = ["key", "oauth2"]
trials = 8
probe_interval = "20ms"
phase = "7s"
watch = "9s"
"#;

fn try_plan(text: &str, overrides: &Overrides) -> Result<Plan, Vec<String>> {
    let resolved = resolve(Path::new("dir/test.toml"), text, overrides);
    resolved.map(|it| it.plan).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn plan() -> Plan {
    try_plan(TARGET, &Overrides::default()).expect("no mistakes")
}

fn external<'p>(plan: &'p Plan, variant: &str) -> &'p ExternalMethod {
    plan.variant(variant).and_then(|variant| variant.method.external()).expect(variant)
}

/// `TARGET` with one text in the place of another: exactly one problem, which says all texts.
#[track_caller]
fn mistake(old: &str, new: &str, says: &[&str]) {
    assert!(TARGET.contains(old), "{old}");
    let found = try_plan(&TARGET.replacen(old, new, 1), &Overrides::default()).expect_err(new);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("dir/test.toml:"), "{found:?}");
    for text in says {
        assert!(found[0].contains(text), "{text:?} is not in {:?}", found[0]);
    }
}

fn set(key: &str, value: &str) -> Result<Plan, Vec<String>> {
    let overrides = Overrides { set: vec![(key.to_owned(), value.to_owned())], ..Overrides::default() };
    try_plan(TARGET, &overrides)
}

#[test]
fn variants_inherit_from_the_target_what_they_do_not_say() {
    let plan = plan();
    assert_eq!((plan.transport, plan.http, plan.starts, plan.rounds), (Transport::Tls13, HttpVersion::Http1, 1, 6));
    let target = plan.target.as_ref().expect("given");
    assert_eq!(target.processes, Some(TargetProcesses::Process("nginx".to_owned())));
    assert!(target.folder.is_absolute() && target.folder.ends_with("dir"), "{}", target.folder.display());

    let none = external(&plan, "none");
    assert_eq!(none.url, "https://localhost:8443/none?x=1");
    assert_eq!(none.convention.accepted.to_string(), "200 with hello");
    let key = external(&plan, "key");
    assert_eq!(key.url, "https://localhost:8443/key");
    assert_eq!(key.convention.accepted.to_string(), "200 with <{principal}>");
    assert_eq!(key.convention.rejected, [401]);
    let oauth2 = external(&plan, "oauth2");
    assert_eq!(oauth2.url, "https://127.0.0.1:9443/");
    assert_eq!(oauth2.convention.accepted.to_string(), "200 204 with <{principal}>");
    assert_eq!(oauth2.convention.rejected, [401, 403]);
}

#[test]
fn methods_with_a_standard_need_no_header() {
    let plan = plan();
    let header = |variant: &str| {
        let header = external(&plan, variant).convention.header.as_ref();
        header.map(|field| format!("{}: {}", field.name, field.value.text()))
    };
    assert_eq!(header("key").as_deref(), Some("X-API-Key: {credential}"));
    assert_eq!(header("oauth2").as_deref(), Some("Authorization: Bearer {credential}"));
    assert_eq!((header("none"), header("basic"), header("mtls")), (None, None, None));
}

#[test]
fn sources_and_revocations_are_read_and_single_credentials_make_pools_of_one() {
    let plan = plan();
    assert!(matches!(external(&plan, "mtls").credentials, Some(CredentialSource::Certificate { .. })));
    assert_eq!(plan.variant("basic").expect("given").pool.count, 1);
    assert_eq!(plan.variant("mtls").expect("given").pool.count, 1);
    assert_eq!(plan.variant("key").expect("given").pool.count, 10_000);
    assert_eq!(external(&plan, "basic").variables(), ["USER_AND_PASSWORD"]);
    assert_eq!(external(&plan, "oauth2").variables(), ["SECRET"]);
    assert_eq!(external(&plan, "key").variables(), ["ADMIN"]);
    let Some(Revoke::Request(request)) = &external(&plan, "key").revoke else { panic!() };
    assert_eq!((request.method.as_str(), request.status.as_slice()), ("DELETE", [200, 202, 204].as_slice()));
    let Some(Revoke::Command(words)) = &external(&plan, "oauth2").revoke else { panic!() };
    assert_eq!(words.iter().map(Template::text).collect::<Vec<_>>(), ["./revoke", "{id}"]);
    assert_eq!(external(&plan, "mtls").method, MethodWord::Mtls);
}

#[test]
fn a_plan_is_read_back_as_it_was_stored() {
    let plan = plan();
    let json = serde_json::to_string(&plan).expect("plain data");
    let read: Plan = serde_json::from_str(&json).expect("just written");
    assert_eq!(read, plan);
    assert_eq!(read.hash(), plan.hash());
}

#[test]
fn quick_leaves_windows_alone_that_nobody_tells() {
    let plan = try_plan(TARGET, &Overrides { quick: true, ..Overrides::default() }).expect("no mistakes");
    let MeasurementKind::Revocation(revocation) = &plan.measurements[1].kind else { panic!() };
    assert_eq!((revocation.trials, revocation.phase.as_secs(), revocation.watch.as_secs()), (3, 7, 9));
}

#[test]
fn the_command_line_replaces_the_process() {
    let plan = set("target.pid", "17").expect("no mistakes");
    assert_eq!(plan.target.expect("given").processes, Some(TargetProcesses::Pid(17)));
    mistake("process = \"nginx\"", "process = \"nginx\"\npid = 17", &["process and pid both name"]);
}

#[test]
fn mistakes_are_located_and_told_with_a_remedy() {
    mistake("https://localhost:8443/none?x=1", "ftp://localhost/", &["test.toml:3:7", "only http and https"]);
    mistake("process = \"nginx\"", "pid = 0", &["target.pid is 0", "from 1"]);
    mistake("process = \"nginx\"", "transport = \"plaintext\"", &["target.transport is \"plaintext\"", "tls1.2"]);
    mistake("[target]", "starts = 3\n[target]", &["starts is 3", "does not start the processes"]);
    mistake("[target]", "[server]\n[target]", &["[server] is the reference server"]);
    mistake("status = [401] }\n", "status = [200, 401] }\n", &["status 200 both accepts and rejects"]);
    mistake("status = [401] }\n", "status = [99] }\n", &["from 200 to 599"]);
    mistake("body_contains = \"hello\"", "status = [200]", &["\"none\"", "{principal}", "without a credential"]);
    mistake("<{principal}>", "<{id}>", &["only {principal}"]);
    mistake("header = \"X-API-Key: {credential}\"\n", "", &["header is missing"]);
    mistake("X-API-Key: {credential}", "X-API-Key: abc", &["{credential} once"]);
    mistake("X-API-Key: {credential}", "Host: {credential}", &["belongs to the connection"]);
    mistake("credentials = { file = \"keys.txt\" }\n", "", &["credentials is missing", "file"]);
    mistake("{ file = \"keys.txt\" }", "{ file = \"a\", env = \"B\" }", &["several sources"]);
    mistake("{ file = \"keys.txt\" }", "{ folder = \"a\" }", &["of another kind than method \"api-key\""]);
    mistake("{ env = \"USER_AND_PASSWORD\" }", "{ env = \"A B\" }", &["no name of a variable"]);
    mistake(", principal = \"a\"", "", &["says no principal"]);
    mistake("url = \"/key\"", "url = \"http://localhost/\"", &["the target is https"]);
    mistake("command = [\"./revoke\", \"{id}\"]", "command = \"./revoke\"", &["write the program and its arguments"]);
    mistake(
        "url = \"/key\"",
        "url = \"/key\"\nstore = { kind = \"memory\" }",
        &["store goes with", "not with [target]"],
    );
    mistake(
        "name = \"none\"\nmethod = \"none\"",
        "name = \"none\"\nmethod = \"none\"\nheader = \"A: {credential}\"",
        &["header goes with", "not with method \"none\""],
    );
}

#[test]
fn what_signs_or_has_two_layers_is_not_measured_there() {
    let found = set("variant.key.method", "signed").expect_err("a load would sign by one profile");
    let says = "a signature of one profile, which only an attack makes";
    assert!(found.iter().any(|problem| problem.contains(says)), "{found:?}");
    let found = set("variant.key.method", "layered").expect_err("its route is not theirs");
    assert!(found.iter().any(|problem| problem.contains("\"layered\" is the reference server's own")), "{found:?}");
    let found = set("variant.oauth2.dpop", "key.pem").expect_err("a load makes no proofs");
    assert!(found.iter().any(|problem| problem.contains("a proof for each, which only an attack makes")), "{found:?}");
    let found = set("variant.basic.dpop", "key.pem").expect_err("a password is bound to nothing");
    assert!(found.iter().any(|problem| problem.contains("dpop goes with")), "{found:?}");
}

#[test]
fn what_is_revoked_must_be_revocable_and_more_than_one() {
    let text = TARGET.replacen("variants = [\"key\", \"oauth2\"]\n", "lifetime = \"20s\"\nvariants = [\"basic\"]\n", 1);
    let found = try_plan(&text, &Overrides::default()).expect_err("three mistakes");
    for says in ["does not say how a credential is revoked", "has one credential, but 8 are revoked", "lifetime is for"]
    {
        assert_eq!(found.iter().filter(|problem| problem.contains(says)).count(), 1, "{says}: {found:#?}");
    }
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn keys_of_a_target_are_told_apart_from_unknown_keys() {
    let text = "[[variant]]\nname = \"none\"\nmethod = \"none\"\nurl = \"/\"\n[[measurement]]\nkind = \"throughput\"\n\
                connections = 1\nwarmup = \"1ms\"\nmeasure = \"1ms\"\n";
    let found = try_plan(text, &Overrides::default()).expect_err("there is no target");
    assert!(found[0].contains("url goes with [target], not with the reference server"), "{found:?}");
}

#[test]
fn secrets_have_no_place_in_a_scenario_and_are_not_repeated() {
    for (old, new) in [
        ("\"${SECRET}\"", "\"hunter2\""),
        ("Bearer ${ADMIN}", "Bearer hunter2"),
        ("https://localhost:8443/none", "https://me:hunter2@localhost:8443/none"),
        ("\"{id}\"", "\"${hunter2}\""),
        ("\"{id}\"", "\"{credential}\""),
        ("keys/{id}", "keys/${ADMIN}"),
        ("header = \"Authorization: Bearer ${ADMIN}\"", "form = { client_secret = \"hunter2\" }"),
        ("X-API-Key: {credential}", "X-API-Key: hunter2"),
    ] {
        assert!(TARGET.contains(old), "{old}");
        let found = try_plan(&TARGET.replacen(old, new, 1), &Overrides::default()).expect_err(new);
        assert_eq!(found.len(), 1, "{new}: {found:#?}");
        assert!(!found[0].contains("hunter2"), "{found:?}");
    }
    let found = set("variant.oauth2.credentials.token_request.client_secret", "hunter2").expect_err("a literal");
    assert!(found[0].contains("client_secret") && !found[0].contains("hunter2"), "{found:?}");
}

#[test]
fn handshakes_are_measured_of_any_server_and_setups_only_of_the_reference_server() {
    let throughput = "kind = \"throughput\"\nconnections = 4\n";
    let handshakes = "kind = \"handshake\"\nconnections = 4\nrequests_per_connection = [1, 5]\n";
    let plan = try_plan(&TARGET.replacen(throughput, handshakes, 1), &Overrides::default()).expect("no mistakes");
    assert!(plan.cases.iter().any(|case| case.id == "mtls/handshake@full,k=5"));
    let setup = "kind = \"setup\"\ntrials = 2\n";
    let rest = "warmup = \"10ms\"\nmeasure = \"100ms\"\n";
    mistake(&format!("{throughput}{rest}"), setup, &["kind is \"setup\"", "reference server", "remove it"]);
}
