//! `authbench compare` as a user runs it: two builds side by side, two runs, and what it refuses.

#![cfg(target_os = "linux")] // it measures processor time
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use bench_client::compare::{Comparison, Mode};
use bench_client::plan::Quantity;
use bench_client::stats::Verdict;

/// Slices of 10 ms, four starts: seconds in all.
const SCENARIO: &str = r#"
starts = 4
rounds = 4
server = { transport = "plaintext", pin = false }
pool = { count = 5 }

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "api-key"
method = "api-key"
store = { kind = "memory" }

[[measurement]]
kind = "throughput"
connections = 4
warmup = "10ms"
measure = "60ms"
slice = "10ms"

[compare]
second_look = "1s"
"#;

/// One measurement at a time: they would take each other's processors.
static ALONE: Mutex<()> = Mutex::new(());

const AUTHBENCH: &str = env!("CARGO_BIN_EXE_authbench");

fn authbench(arguments: &[&str]) -> Output {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Command::new(AUTHBENCH).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn scenario(folder: &Path) -> String {
    let file = folder.join("short.toml");
    fs::write(&file, SCENARIO).unwrap();
    file.display().to_string()
}

fn only_folder(folder: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [one] = entries.as_slice() else { panic!("{entries:?}") };
    one.clone()
}

fn comparison(folder: &Path) -> Comparison {
    serde_json::from_slice(&fs::read(folder.join("comparison.json")).unwrap()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_candidate_that_is_slower_by_a_millisecond_regresses_and_its_records_say_so_again() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let shown = out.display().to_string();
    let slower = "variant.api-key.slow_down=1ms";
    let measured = authbench(&[
        "compare",
        "--server",
        AUTHBENCH,
        "--server",
        AUTHBENCH,
        &scenario(folder.path()),
        "--candidate-set",
        slower,
        "--out",
        &shown,
        "--format",
        "md",
    ]);
    assert_eq!(measured.status.code(), Some(1), "{}", stderr(&measured));
    let duet = only_folder(&out);
    let comparison = comparison(&duet);
    assert_eq!((comparison.mode, comparison.verdict), (Mode::Duet, Verdict::Regressed));
    assert_eq!(comparison.candidate.changes, [slower]);
    let row = |variant: &str, quantity| {
        let is = |row: &&bench_client::compare::Row| row.variant == variant && row.quantity == quantity;
        comparison.rows.iter().find(is).unwrap()
    };
    let cpu = row("api-key", Quantity::ServerCpu);
    assert!(cpu.verdict == Verdict::Regressed && cpu.confirmed_anew && cpu.change > 1.0, "{cpu:?}");
    assert_eq!(row("api-key", Quantity::Validation).verdict, Verdict::Regressed);
    assert_ne!(row("none", Quantity::ServerCpu).verdict, Verdict::Regressed);
    let markdown = String::from_utf8_lossy(&measured.stdout).into_owned();
    assert!(markdown.starts_with("## Regressed: "), "{markdown}");
    for file in ["comparison.txt", "comparison.md", "comparison.junit.xml", "comparison.bmf.json", "annotations.txt"] {
        assert!(duet.join(file).is_file(), "{file}");
    }

    let again = authbench(&["compare", &duet.display().to_string(), "--format", "json"]);
    assert_eq!(again.status.code(), Some(1), "{}", stderr(&again));
    assert_eq!(again.stdout, fs::read(duet.join("comparison.json")).unwrap());

    // What is on disk is three runs, each of which can be reported on.
    for side in ["baseline", "candidate", "control"] {
        let reported = authbench(&["report", &duet.join(side).display().to_string(), "--format", "md"]);
        assert_eq!(reported.status.code(), Some(0), "{side}: {}", stderr(&reported));
    }
    let candidate = duet.join("candidate").display().to_string();
    let resumed = authbench(&["run", "--resume", &candidate]);
    assert_eq!(resumed.status.code(), Some(2), "one side by itself would be measured at another time");
    assert!(stderr(&resumed).contains("compare again"), "{}", stderr(&resumed));
    // A record of another version is refused, never judged.
    let records = duet.join("candidate/records.jsonl");
    let newer = fs::read_to_string(&records).unwrap().replacen("\"version\":2", "\"version\":999", 1);
    fs::write(&records, newer).unwrap();
    let refused = authbench(&["compare", &duet.display().to_string()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("version 999") && refused.stdout.is_empty(), "{}", stderr(&refused));
}

#[test]
fn two_runs_are_compared_and_unlike_ones_refused() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = scenario(folder.path());
    let run = |name: &str, more: &[&str]| {
        let out = folder.path().join(name);
        let shown = out.display().to_string();
        let arguments: Vec<&str> = ["run", &scenario, "--out", &shown].iter().chain(more).copied().collect();
        let output = authbench(&arguments);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}", stderr(&output)); // a busy machine fails checks
        only_folder(&out).display().to_string()
    };
    let (one, other) = (run("one", &[]), run("other", &[]));
    let slower = run("slower", &["--set", "variant.api-key.slow_down=1ms"]);
    let report = folder.path().join("comparison");
    let output = authbench(&["compare", &one, &other, "--out", &report.display().to_string()]);
    assert!(matches!(output.status.code(), Some(0 | 1 | 4)), "{}", stderr(&output));
    assert_eq!(comparison(&report).mode, Mode::AcrossRuns);
    assert!(comparison(&report).rows.iter().all(|row| row.variant == "api-key"));

    let refused = authbench(&["compare", &one, &slower]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("plans differ in variants"), "{}", stderr(&refused));
    let refused = authbench(&["compare", &one]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("not the folder of a duet"), "{}", stderr(&refused));
}

#[test]
fn what_cannot_be_compared_is_refused_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = scenario(folder.path());
    let not_a_server = folder.path().join("not-a-server");
    fs::write(&not_a_server, "text").unwrap();
    let not_a_server = not_a_server.display().to_string();
    let out = folder.path().join("out").display().to_string();
    for (arguments, status, needed) in [
        (vec!["--server", AUTHBENCH, &scenario], 2, "1 servers and 1 other arguments"),
        (vec!["--server", AUTHBENCH, "--server", "/nowhere", &scenario], 2, "/nowhere"),
        (vec!["--server", AUTHBENCH, "--server", &not_a_server, &scenario], 2, "not-a-server"),
        (vec!["--server", AUTHBENCH, "--server", "/bin/true", &scenario], 3, "did not start"),
        (vec!["--server", AUTHBENCH, "--server", AUTHBENCH, "rollover"], 2, "nothing to compare"),
        (vec!["--server", AUTHBENCH, "--server", AUTHBENCH, "nginx"], 2, "server of yours"),
        (vec!["--server", AUTHBENCH, "--server", AUTHBENCH, &scenario, "--quick"], 2, "starts is 1"),
        (
            vec!["--server", AUTHBENCH, "--server", AUTHBENCH, &scenario, "--candidate-set", "starts=2"],
            2,
            "which both sides share",
        ),
        (
            vec![
                "--server",
                AUTHBENCH,
                "--server",
                AUTHBENCH,
                &scenario,
                "--candidate-set",
                "measurement.throughput.connections=8",
            ],
            2,
            "which both sides share",
        ),
        (vec!["/nowhere/a", "/nowhere/b"], 2, "/nowhere/a"),
        (vec!["a", "b", "--max-regression", "5"], 2, "percentage"),
        (vec!["a", "b", "--format", "pdf"], 2, "junit"),
    ] {
        let all: Vec<&str> = ["compare", "--out", &out].into_iter().chain(arguments.iter().copied()).collect();
        let output = authbench(&all);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(needed), "{arguments:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty());
    }
}
