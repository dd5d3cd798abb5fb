//! Runs on disk: whole, torn, foreign, locked, full.

use std::time::Duration;

use bench_server::contract::{HttpVersion, MethodConfig, Transport};

use super::*;
use crate::machine::{KeepAwake, KeptAwake};
use crate::plan::{Case, ClientWait, Measurement, MeasurementKind, PoolPlan, RevocationPlan, Variant};
use crate::record::{Measured, RECORD_VERSION, RevocationResult};

fn plan() -> Plan {
    Plan {
        scenario: "test".to_owned(),
        analysis: String::new(),
        seed: 1,
        target: None,
        starts: 2,
        rounds: 2,
        transport: Transport::Plaintext,
        http: HttpVersion::Http1,
        key_exchange: None,
        pin: false,
        keep_awake: KeepAwake::Auto,
        client_wait: ClientWait::Poll,
        replicas: std::num::NonZeroU32::MIN,
        quick: false,
        variants: vec![Variant {
            revoke_by: crate::plan::RevokeBy::default(),
            presents: Default::default(),
            slow_down: None,
            beside: None,
            name: "none".to_owned(),
            method: MethodConfig::None.into(),
            authorization_server: None,
            certificate_bound: false,
            pool: PoolPlan { count: 1, zipf_exponent: 0.1 + 0.2 },
            server: None,
            point: None,
        }],
        measurements: vec![Measurement {
            name: "revocation".to_owned(),
            point: None,
            kind: MeasurementKind::Revocation(RevocationPlan {
                trials: 1,
                probe_interval: Duration::from_millis(1),
                phase: Duration::from_millis(1),
                watch: Duration::from_millis(1),
                lifetime: None,
                probes: vec![crate::plan::ProbeKind::Reused],
                bystanders: 0,
                at_a_time: 1,
            }),
        }],
        cases: vec![Case {
            id: "none/revocation".to_owned(),
            variant: "none".to_owned(),
            measurement: "revocation".to_owned(),
        }],
        sweeps: Vec::new(),
        thresholds: Vec::new(),
        compare: None,
        price_per_core_hour: None,
    }
}

fn header() -> Header {
    Header {
        version: RUN_VERSION,
        scenario_text: "seed = 1\n".to_owned(),
        plan_hash: plan().hash(),
        plan: plan(),
        started_at: "2026-11-23T19:00:00Z".parse().expect("a time"),
        build: Build::current(),
        machine: Machine {
            cpu_model: "model".to_owned(),
            cpus: 2,
            memory_bytes: 1,
            os: "system".to_owned(),
            arch: "arch".to_owned(),
            hypervisor: None,
            server_cpus: vec![],
            client_cpu: None,
            keep_awake: KeptAwake::off("not asked for"),
        },
        duet: None,
        in_process: None,
        servers: Default::default(),
    }
}

fn record(round: u32) -> Record {
    Record {
        version: RECORD_VERSION,
        case: "none/revocation".to_owned(),
        variant: "none".to_owned(),
        measurement: "revocation".to_owned(),
        round,
        start: round,
        started_at: "2026-11-23T19:00:01Z".parse().expect("a time"),
        elapsed_ns: 5,
        measured: Measured::Revocation(RevocationResult {
            probe_interval_ns: 1,
            lifetime_ns: None,
            windows: vec![],
            blast: Vec::new(),
            handshakes: None,
            not_applicable: Some("nothing to revoke".to_owned()),
        }),
        invalid: vec![],
        warnings: vec![],
    }
}

/// A run of one record, closed.
fn run_of_one() -> (tempfile::TempDir, PathBuf) {
    let out = tempfile::tempdir().expect("a folder");
    let path = out.path().join("run");
    RunFolder::create(&path, &header()).and_then(|mut folder| folder.append(&record(0))).expect("made");
    (out, path)
}

fn append_text(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).open(path.join(RECORDS_FILE)).expect("there");
    file.write_all(text.as_bytes()).expect("written");
}

fn edit_header(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path.join(HEADER_FILE)).expect("there");
    assert!(text.contains(from), "{from} is not in {text}");
    fs::write(path.join(HEADER_FILE), text.replace(from, to)).expect("written");
}

fn message(result: Result<LoadedRun, RunError>) -> String {
    result.expect_err("refused").to_string()
}

#[test]
fn what_was_written_is_read_back() {
    let (_out, path) = run_of_one();
    let run = RunFolder::load(&path).expect("whole");
    assert_eq!(run.header, header());
    assert_eq!(run.records, [record(0)]);
    assert_eq!(run.warnings.len(), 1, "{:?}", run.warnings);
    assert!(run.warnings[0].starts_with("1 of 2 trials are missing"), "{:?}", run.warnings);

    let (mut folder, _) = RunFolder::resume(&path).expect("free");
    folder.append(&record(1)).expect("appended");
    let run = RunFolder::load(&path).expect("readable while it is written");
    assert_eq!(run.records, [record(0), record(1)]);
    assert_eq!(run.warnings, Vec::<String>::new());
}

#[test]
fn hk_9_configurations_of_servers_are_added_to_the_header() {
    let out = tempfile::tempdir().expect("a folder");
    let mut folder = RunFolder::create(&out.path().join("run"), &header()).expect("made");
    let config: ServerConfig =
        serde_json::from_str(r#"{"listeners": [], "workers": 1, "state_dir": "state"}"#).expect("a configuration");
    for name in ["none/resource", "jwt/resource"] {
        folder.set_servers([(name.to_owned(), config.clone())].into()).expect("written");
    }
    let run = RunFolder::load(folder.path()).expect("whole");
    assert_eq!(run.header.servers.keys().collect::<Vec<_>>(), ["jwt/resource", "none/resource"]);
    let names: Vec<_> =
        fs::read_dir(folder.path()).expect("there").map(|entry| entry.expect("there").file_name()).collect();
    assert_eq!(names.len(), 2, "nothing is left beside the two files: {names:?}");
}

#[test]
fn no_run_is_overwritten() {
    let out = tempfile::tempdir().expect("a folder");
    let names = ["test-20261123T190000Z", "test-20261123T190000Z-2", "test-20261123T190000Z-3"];
    for name in names {
        let folder = RunFolder::create_under(out.path(), &header()).expect("made");
        assert_eq!(folder.path(), out.path().join(name));
    }
    let error = RunFolder::create(&out.path().join(names[0]), &header()).expect_err("taken");
    assert!(error.to_string().contains(names[0]), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let out = tempfile::tempdir().expect("a folder");
    let file = out.path().join("file");
    fs::write(&file, "").expect("written");
    for out in [file.clone(), file.join("reports")] {
        let error = RunFolder::create_under(&out, &header()).expect_err("no folder");
        assert!(error.to_string().starts_with(&file.display().to_string()), "{error}");
    }
}

#[test]
fn a_torn_last_line_does_not_count_and_is_cut_off() {
    let (_out, path) = run_of_one();
    // Even a line that lacks nothing but its end.
    for torn in ["{\"version\":1,\"ca", &serde_json::to_string(&record(1)).expect("plain data")] {
        append_text(&path, torn);
        let run = RunFolder::load(&path).expect("readable");
        assert_eq!(run.records, [record(0)]);
        assert!(run.warnings[0].contains("torn"), "{:?}", run.warnings);
        let (mut folder, _) = RunFolder::resume(&path).expect("free");
        folder.append(&record(1)).expect("appended");
        drop(folder);
        assert_eq!(RunFolder::load(&path).expect("whole").records, [record(0), record(1)]);
        fs::write(path.join(RECORDS_FILE), serde_json::to_string(&record(0)).expect("plain data") + "\n")
            .expect("reset");
    }
}

#[test]
fn a_broken_line_is_an_error_with_its_number() {
    let (_out, path) = run_of_one();
    append_text(&path, "nonsense\n");
    append_text(&path, &(serde_json::to_string(&record(1)).expect("plain data") + "\n"));
    let message = message(RunFolder::load(&path));
    assert!(message.contains("records.jsonl: line 2: "), "{message}");
}

#[test]
fn a_record_of_no_case_of_the_plan_is_an_error() {
    let (_out, path) = run_of_one();
    let foreign = Record { case: "jwt/latency".to_owned(), ..record(1) };
    append_text(&path, &(serde_json::to_string(&foreign).expect("plain data") + "\n"));
    assert!(message(RunFolder::load(&path)).contains("line 2: the plan has no case \"jwt/latency\""));
}

#[test]
fn other_versions_and_plans_are_refused() {
    let (_out, path) = run_of_one();
    edit_header(&path, "\"version\": 1,", "\"version\": 2,");
    assert!(message(RunFolder::load(&path)).contains("version 2 of the format"));
    edit_header(&path, "\"version\": 2,", "\"version\": 1,");
    edit_header(&path, "\"seed\": 1,", "\"seed\": 2,");
    assert!(message(RunFolder::load(&path)).contains("hash differs"));
    edit_header(&path, "\"seed\": 2,", "\"seed\": 1,");
    append_text(&path, "{\"version\":9}\n");
    assert!(message(RunFolder::load(&path)).contains("line 2: this is version 9"));
}

#[test]
fn one_process_at_a_time_appends() {
    let (_out, path) = run_of_one();
    let (first, _) = RunFolder::resume(&path).expect("free");
    let error = RunFolder::resume(&path).expect_err("taken").to_string();
    assert!(error.contains("another process is measuring into this run"), "{error}");
    drop(first);
    RunFolder::resume(&path).expect("free again");
}

/// `/dev/full` answers every write as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_and_leaves_the_run_readable() {
    let (_out, path) = run_of_one();
    let (mut folder, _) = RunFolder::resume(&path).expect("free");
    let records =
        std::mem::replace(&mut folder.records, File::options().append(true).open("/dev/full").expect("Linux"));
    let error = folder.append(&record(1)).expect_err("full").to_string();
    assert!(error.contains("records.jsonl"), "{error}");
    folder.records = records;
    folder.append(&record(1)).expect("there is room again");
    assert_eq!(RunFolder::load(&path).expect("whole").records, [record(0), record(1)]);
}
