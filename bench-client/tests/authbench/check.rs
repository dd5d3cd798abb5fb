//! The program on scenarios with mistakes and without.

use std::path::Path;
use std::process::{Command, Output};

/// Six mistakes of six kinds.
const SIX_MISTAKES: &str = r#"analysis = "Six mistakes."
[server]
transprot = "tls1.3"
[[variant]]
name = "api-key"
method = "apikey"
[[variant]]
name = "jwt-es256"
method = "jwt"
algorithm = "ES256"
hash = { algorithm = "bcrypt" }
pool = { count = "many" }
[[measurement]]
kind = "latency"
load = { rate_per_s = 0, connections = 16, warmup = "1s", measure = "1s" }
"#;

fn authbench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .current_dir(folder)
        .args(arguments)
        .output()
        .expect("the program runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

#[test]
fn six_mistakes_are_six_located_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("six.toml"), SIX_MISTAKES).expect("written");
    let output = authbench(folder.path(), &["check", "six.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    let lines: Vec<&str> = text(&output.stderr).lines().collect();
    let expected = [
        r#"six.toml:1:1: variant "none" is missing: every cost is a distance from that baseline; add [[variant]] with name = "none" and method = "none""#,
        r#"six.toml:3:1: server.transprot is no key here; did you mean "transport"? write one of "http", "key_exchange", "pin", "replicas", "transport""#,
        r#"six.toml:6:10: variant "api-key": method is "apikey"; did you mean "api-key"? write one of "none", "api-key", "basic", "jwt", "oauth2", "mtls", "signed", "layered""#,
        r#"six.toml:11:1: variant "jwt-es256": hash goes with method "basic", not with method "jwt"; remove it"#,
        r#"six.toml:12:18: variant "jwt-es256": pool.count is "many"; write a whole number from 1 to 10000000, without quotes"#,
        r#"six.toml:15:23: measurement "latency": load.rate_per_s is 0; an open load needs a number over 0, at most 10000000"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn run_refuses_what_check_refuses_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("six.toml"), SIX_MISTAKES).expect("written");
    let output = authbench(folder.path(), &["run", "six.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stderr).lines().count(), 6);
    assert!(!folder.path().join("reports").exists());
}

#[test]
fn a_scenario_that_ships_is_known_by_name_anywhere() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = authbench(folder.path(), &["check", "compare"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).starts_with("compare: no mistakes; "), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    let list = authbench(folder.path(), &["list"]);
    assert_eq!(list.status.code(), Some(0));
    assert!(text(&list.stdout).starts_with("compare ("), "{list:?}");
}

#[test]
fn a_plan_shows_every_variant_and_what_set_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let output =
        authbench(folder.path(), &["plan", "compare", "--quick", "--set", "measurement.latency.load.rate_per_s=321"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let plan = text(&output.stdout);
    for shown in ["jwt-es256-denylist", "basic-argon2id-cached", "mtls", "poisson arrivals, 321/s", "(quick)"] {
        assert!(plan.contains(shown), "{shown} is not in {plan}");
    }
    let output = authbench(folder.path(), &["plan", "compare", "--json", "--seed", "7"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(plan["seed"], 7);
}

#[test]
fn a_plan_says_where_credentials_are_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = authbench(folder.path(), &["plan", "nginx", "--set", "target.pid=17"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let plan = text(&output.stdout);
    for shown in [
        "requests with credentials go to https://localhost:8443/api-key, ",
        "trusting state/ca.pem; server CPU of process 17 and all it starts",
        "cannot be revoked",
    ] {
        assert!(plan.contains(shown), "{shown} is not in {plan}");
    }
}

#[test]
fn what_is_not_there_is_an_input_error() {
    let folder = tempfile::tempdir().expect("a folder");
    for arguments in [
        &["check", "nothing.toml"][..],
        &["run", "nothing.toml"],
        &["run", "--resume", "nothing"],
        &["report", "nothing"],
        &["list", "--show", "nothing"],
        &["run"],
    ] {
        let output = authbench(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).starts_with("error: "), "{arguments:?}: {output:?}");
    }
}

#[test]
fn a_folder_that_cannot_be_written_ends_a_run_before_it_measures() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("file"), "").expect("written");
    let output = authbench(folder.path(), &["run", "compare", "--quick", "--out", "file/reports"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let message = text(&output.stderr);
    assert!(message.starts_with("error: file/reports: ") && message.contains("--out"), "{message}");
    assert_eq!(text(&output.stdout), "");
}
