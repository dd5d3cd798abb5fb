//! Signed requests from the scenario to the report: the client signs each, the server accepts each, and revocations are
//! noticed at once.

#![cfg(target_os = "linux")] // processes are found in /proc
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use bench_client::record::Measured;
use bench_client::run::{LoadedRun, RunFolder};

const SCENARIO: &str = r#"
analysis = "Does a load of signed requests come to its end?"
starts = 1
rounds = 2

[server]
transport = "TRANSPORT"
http = "HTTP"

[pool]
count = 20

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "signed-memory"
method = "signed"
store = { kind = "memory" }

[[variant]]
name = "signed-sqlite"
method = "signed"
store = { kind = "sqlite" }

[[measurement]]
kind = "latency"
load = { rate_per_s = 100, connections = 4, warmup = "20ms", measure = "60ms" }
slice = "20ms"

[[measurement]]
kind = "throughput"
connections = 4
warmup = "20ms"
measure = "60ms"
slice = "20ms"

[[measurement]]
kind = "revocation"
trials = 2
probe_interval = "20ms"
phase = "100ms"
watch = "2s"

[[measurement]]
kind = "setup"
trials = 2
"#;

/// Carries out the scenario in a folder of its own.
fn run(folder: &Path, transport: &str, http: &str) -> LoadedRun {
    let text = SCENARIO.replace("TRANSPORT", transport).replace("HTTP", http);
    fs::write(folder.join("signed.toml"), text).unwrap();
    fs::create_dir(folder.join("tmp")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .args(["run", "signed.toml", "--out", "out"])
        .current_dir(folder)
        .env("TMPDIR", folder.join("tmp"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stdout));
    let out = fs::read_dir(folder.join("out")).unwrap().next().unwrap().unwrap();
    RunFolder::load(&out.path()).unwrap()
}

#[test]
fn sr_1_a_run_signs_every_request_and_none_is_refused_until_it_is_revoked() {
    for (transport, http) in [("tls1.3", "1.1"), ("plaintext", "2")] {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path(), transport, http);
        let mut seen = std::collections::BTreeSet::new();
        for record in &run.records {
            assert_eq!(record.invalid, Vec::<String>::new(), "{}", record.case);
            let accepted = match &record.measured {
                Measured::Latency(load) => load.outcomes.accepted,
                Measured::Throughput(load) => load.outcomes.accepted,
                _ => continue,
            };
            assert!(accepted > 0, "{}", record.case);
            seen.insert(record.case.clone());
        }
        for case in ["signed-memory/latency", "signed-sqlite/latency", "signed-memory/throughput"] {
            assert!(seen.contains(case), "{case}: {seen:?}");
        }
    }
}
