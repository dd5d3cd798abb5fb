//! Replicas over real stores, from the scenario to the windows in the records: private servers that the run starts and
//! ends, and a credential that is watched at every replica and over every kind of connection.

#![cfg(target_os = "linux")] // processes are found in /proc
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use bench_client::plan::ProbeKind;
use bench_client::record::{Measured, RevocationResult};
use bench_client::run::RunFolder;

const SCENARIO: &str = r#"
analysis = "Does every replica have a window over every kind of connection?"
starts = 1
rounds = 1

[server]
transport = "tls1.3"
replicas = 2

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "redis-pubsub"
method = "api-key"
store = { kind = "redis" }
cache = { ttl = "60s", push = "pubsub" }

[[variant]]
name = "postgres-notify"
method = "api-key"
store = { kind = "postgres" }
cache = { ttl = "60s", push = "notify" }

[[variant]]
name = "jwt-list"
method = "jwt"
algorithm = "EdDSA"
leeway = "0s"
denylist = { store = { kind = "redis" }, poll = "200ms" }

[[variant]]
name = "mtls"
method = "mtls"
crl_reload = "200ms"
resumption = true

[[variant]]
name = "mtls-ocsp"
method = "mtls"
ocsp = { validity = "200ms" }
resumption = true

[[variant]]
name = "mtls-handshake-only"
method = "mtls"
crl_reload = "200ms"
recheck = false
resumption = true

[[measurement]]
kind = "revocation"
trials = 2
probe_interval = "20ms"
phase = "200ms"
watch = "3s"
lifetime = "30s"
connection = ["reused", "h2", "resumed", "fresh"]
"#;

#[test]
fn hk_8_rv_2_every_replica_has_a_window_over_every_kind_of_connection_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    // PostgreSQL does not run as root, and its user must get to its files.
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    fs::write(folder.path().join("replicas.toml"), SCENARIO).unwrap();
    let ran = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "replicas.toml", "--out", "reports"])
        .current_dir(folder.path())
        .env("TMPDIR", &temporary)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    let left: Vec<_> = fs::read_dir(&temporary).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "{left:?}");

    let path =
        fs::read_dir(folder.path().join("reports")).unwrap().next().unwrap_or_else(|| panic!("{said}")).unwrap().path();
    let run = RunFolder::load(&path).unwrap();
    let result_of = |variant: &str| -> RevocationResult {
        let record = run.records.iter().find(|record| record.variant == variant).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(record.invalid, Vec::<String>::new(), "{variant}");
        let Measured::Revocation(result) = &record.measured else { panic!("{variant} was not revoked") };
        result.clone()
    };
    for variant in ["redis-pubsub", "postgres-notify", "jwt-list", "mtls", "mtls-ocsp", "mtls-handshake-only"] {
        let RevocationResult { windows, handshakes, .. } = result_of(variant);
        let places: BTreeSet<_> = windows.iter().map(|window| (window.trial, window.replica, window.probe)).collect();
        assert_eq!((windows.len(), places.len()), (16, 16), "{variant}");
        for window in &windows {
            let survives = variant == "mtls-handshake-only" && window.probe != ProbeKind::Fresh;
            assert_eq!(window.first_rejected_ns.is_none(), survives, "{variant}: {window:?}");
            assert_eq!(window.blast_radius, 0, "{variant}");
        }
        let handshakes = handshakes.unwrap_or_else(|| panic!("{variant}: none were counted"));
        assert_eq!(handshakes.server.known(), Some(&handshakes.client()), "{variant}: {handshakes:?}");
        let resumed = handshakes.probes[&ProbeKind::Resumed];
        assert!(resumed.resumed > 0 && handshakes.primings.full >= 4, "{variant}: {handshakes:?}");
        let refused = handshakes.probes[&ProbeKind::Fresh].refused;
        // By OCSP a request is refused, for the handshake does not ask.
        let in_handshakes = variant.starts_with("mtls") && variant != "mtls-ocsp";
        assert_eq!(refused > 0, in_handshakes, "{variant}: {handshakes:?}");
    }
    // The configuration that is kept says where the store was, and no secret.
    let store = fs::read_to_string(path.join("run.json")).unwrap();
    assert!(store.contains("redis+unix://") && store.contains("postgres:///postgres?host="), "{store}");
}

#[test]
fn a_store_that_is_not_there_ends_the_run_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let run = |url: &str| {
        let scenario =
            SCENARIO.replace("store = { kind = \"postgres\" }", &format!("store = {{ kind = \"postgres\", {url} }}"));
        fs::write(folder.path().join("away.toml"), scenario).unwrap();
        let ran = Command::new(env!("CARGO_BIN_EXE_authbench"))
            .args(["run", "away.toml", "--out", "reports"])
            .current_dir(folder.path())
            .env("AUTHBENCH_TEST_SECRET", "hunter2")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned() + &String::from_utf8_lossy(&ran.stdout);
        assert!(!said.contains("hunter2"), "{said}");
        (ran.status.code(), said)
    };
    let (status, said) = run("url = \"postgres://anna:${AUTHBENCH_TEST_SECRET}@127.0.0.1:1/nothing\"");
    assert_eq!(status, Some(3), "{said}");
    assert!(
        said.contains("postgres-notify") && said.contains("connect to postgres://anna:${AUTHBENCH_TEST_SECRET}@"),
        "{said}"
    );
    let (status, said) = run("url = \"postgres://anna:hunter3@127.0.0.1:1/nothing\"");
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("environment variable") && !said.contains("hunter3"), "{said}");
    let (status, said) = run("url = \"postgres://${AUTHBENCH_TEST_NOT_SET}@127.0.0.1:1/nothing\"");
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("AUTHBENCH_TEST_NOT_SET is not set"), "{said}");
}
