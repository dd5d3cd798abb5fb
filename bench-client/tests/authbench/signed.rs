//! Signed requests from the scenario to the report: the client signs each, the server accepts each, and a revocation is noticed
//! by the next.

#![cfg(target_os = "linux")] // processes are found in /proc
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use bench_client::outcome::Wanted;
use bench_client::record::Measured;
use bench_client::run::{LoadedRun, RunFolder};

use crate::machine;

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
    // 3 where the machine was too busy for its checks of times; who was accepted holds all the same.
    let done = matches!(output.status.code(), Some(0 | 3));
    assert!(done, "{said}{}", String::from_utf8_lossy(&output.stdout));
    let out = fs::read_dir(folder.join("out")).unwrap().next().unwrap().unwrap();
    RunFolder::load(&out.path()).unwrap()
}

#[test]
fn sr_1_a_run_signs_every_request_and_none_is_refused_until_it_is_revoked() {
    for (transport, http) in [("tls1.3", "1.1"), ("plaintext", "2")] {
        let folder = tempfile::tempdir().unwrap();
        let run = run(folder.path(), transport, http);
        let mut seen = BTreeSet::new();
        for record in run.records.iter().filter(|record| record.variant != "none") {
            assert_eq!(machine::fault(record), None, "{}", record.case);
            match &record.measured {
                Measured::Latency(load) | Measured::Throughput(load) => {
                    let outcomes = &load.outcomes;
                    assert!(outcomes.accepted > 0, "{}", record.case);
                    assert_eq!(outcomes.unexpected(Wanted::Accepted), 0, "{}: {outcomes:?}", record.case);
                    let server = load.server.as_ref().expect("the reference server counts");
                    assert_eq!(server.verify_calls, load.answered, "a MAC for each request of {}", record.case);
                }
                Measured::Revocation(result) => {
                    assert_eq!(result.windows.len(), 2, "{}", record.case);
                    for window in &result.windows {
                        // Sent after the acknowledgement, and the server reads the record each time.
                        assert_eq!(
                            (window.last_accepted_ns, window.exposure),
                            (None, 0),
                            "{}: {window:?}",
                            record.case
                        );
                        assert!(window.first_rejected_ns.is_some(), "{}: {window:?}", record.case);
                        assert_eq!(window.blast_radius, 0, "{}: {window:?}", record.case);
                    }
                }
                Measured::Setup(result) => assert_eq!(result.trials.len(), 2, "{}", record.case),
                other => panic!("{other:?}"),
            }
            seen.insert(record.case.clone());
        }
        let cases: BTreeSet<String> = ["signed-memory", "signed-sqlite"]
            .into_iter()
            .flat_map(|variant| {
                ["latency", "throughput", "revocation", "setup"].map(|measurement| format!("{variant}/{measurement}"))
            })
            .collect();
        assert_eq!(seen, cases);
    }
}
