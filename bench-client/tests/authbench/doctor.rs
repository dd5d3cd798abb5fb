//! `authbench doctor` from its command to its JSON, where it can measure and where it cannot.

#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The doctor, with its servers' state under `temporary`.
fn doctor(arguments: &[&str], temporary: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_authbench"))
        .arg("doctor")
        .args(arguments)
        .env("TMPDIR", temporary)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn finding<'d>(diagnosis: &'d Value, name: &str) -> &'d Value {
    let mut findings = diagnosis["findings"].as_array().unwrap().iter();
    findings.find(|finding| finding["name"] == name).unwrap_or_else(|| panic!("no finding {name}: {diagnosis}"))
}

#[test]
fn two_identical_servers_are_measured_and_the_verdict_says_what_that_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let output = doctor(&["--json", "--quick", "--aa-seconds", "1"], folder.path());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(diagnosis["version"], bench_client::doctor::DOCTOR_VERSION);

    let noise = &diagnosis["noise"];
    assert_eq!((noise["starts"].as_u64(), noise["slice_ms"].as_u64()), (Some(2), Some(20)));
    assert!(noise["pairs"].as_u64().unwrap() >= 2, "{noise}");
    let throughput = &noise["throughput"];
    let (low, high) = (&throughput["interval"]["low"], &throughput["interval"]["high"]);
    assert!(low.as_f64().unwrap() <= high.as_f64().unwrap(), "{noise}");
    let farther = low.as_f64().unwrap().abs().max(high.as_f64().unwrap().abs());
    assert_eq!(throughput["resolves"].as_f64().unwrap(), farther);
    if cfg!(target_os = "linux") {
        assert!(noise["cpu_per_request"]["resolves"].as_f64().is_some(), "{noise}");
    }

    for name in [
        "system",
        "build",
        "processors",
        "frequency",
        "hypervisor",
        "clock",
        "timer",
        "loopback",
        "memory",
        "huge pages",
        "open files",
        "local ports",
        "load",
        "pressure",
        "counters",
        "idle policy",
        "steal",
    ] {
        let finding = finding(&diagnosis, name);
        assert!(!finding["found"].as_str().unwrap().is_empty(), "{finding}");
        assert_eq!(finding["grade"] == "ok", finding["remedy"].is_null(), "a remedy for all but the fine: {finding}");
    }
    assert!(finding(&diagnosis, "clock")["figures"]["reading_ns"].as_f64().unwrap() > 0.0);
    assert!(finding(&diagnosis, "loopback")["figures"]["round_trip_asleep_us_p50"].as_f64().unwrap() > 0.0);
    let sentences = diagnosis["verdict"]["sentences"].as_array().unwrap();
    assert!(sentences.iter().any(|it| it.as_str().unwrap().contains("cannot be told apart here")), "{sentences:?}");

    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "keys or sockets are left: {left:?}");
}

#[test]
fn a_machine_that_cannot_measure_is_told_why_with_status_3() {
    let nowhere = tempfile::tempdir().unwrap().path().join("nowhere");
    let output = doctor(&["--quick", "--aa-seconds", "1"], &nowhere);
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("could not measure") && text.contains("nowhere") && text.contains("TMPDIR"), "{text}");
    assert!(text.lines().any(|line| line.contains(" loopback ")), "the rest is examined all the same: {text}");
}

#[test]
fn a_measurement_of_no_length_is_refused() {
    let output = doctor(&["--aa-seconds", "0"], &std::env::temp_dir());
    assert_eq!(output.status.code(), Some(2));
}
