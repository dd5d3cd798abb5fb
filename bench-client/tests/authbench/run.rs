//! Runs from the command to the records on disk, and what is left when a run is killed, interrupted, or loses a server.
//!
//! One scenario of three variants with slices of a few milliseconds. The tests take turns: a run measures, and two at
//! once would measure each other.

#![cfg(target_os = "linux")] // processes are found in /proc
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use bench_client::machine::KeptAwake;
use bench_client::plan::{MeasurementKind, Plan};
use bench_client::record::{Measured, Record};
use bench_client::run::{LoadedRun, RunFolder};
use rustix::process::{Pid, Signal, kill_process};

const SCENARIO: &str = r#"
analysis = "Does a run come to its end, and what is left when it does not?"
seed = 7
starts = 2
rounds = 4

[server]
transport = "tls1.3"
http = "1.1"

[pool]
count = 20
zipf_exponent = 1.0

[[variant]]
name = "none"
method = "none"
pool = { count = 1 }

[[variant]]
name = "api-key-memory"
method = "api-key"
store = { kind = "memory" }

[[variant]]
name = "jwt-es256"
method = "jwt"
algorithm = "ES256"
leeway = "0s"

[[measurement]]
kind = "latency"
load = { model = "poisson", rate_per_s = 200, connections = 4, warmup = "20ms", measure = "60ms" }
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
watch = "3s"
lifetime = "2s"
connection = "reused"
"#;

/// Longer than any of this takes on a busy machine with a debug build; reached only when something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A scenario in a folder of its own, the only run on this machine while it lives.
struct Stage {
    folder: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    fn set() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.toml"), SCENARIO).unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder, _turn: turn }
    }

    /// `authbench` with these arguments, in the stage's folder.
    fn authbench(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_authbench"));
        command.args(arguments).current_dir(self.folder.path()).env("TMPDIR", self.temporary()).stdin(Stdio::null());
        command
    }

    /// Where the servers keep their state.
    fn temporary(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    /// No keys, sockets or logs are left.
    fn assert_nothing_left(&self) {
        let left: Vec<_> = fs::read_dir(self.temporary()).unwrap().flatten().map(|entry| entry.path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    fn finish(&self, arguments: &[&str]) -> Output {
        self.authbench(arguments).output().unwrap()
    }

    /// Starts the run, its output to files: nobody reads pipes meanwhile.
    fn begin(&self) -> Client {
        let file = |name: &str| fs::File::create(self.folder.path().join(name)).unwrap();
        let child = self
            .authbench(&["run", "tiny.toml", "--out", "out"])
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        Client(child)
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// The run's folder, once it is there: `out` itself or the only folder in it.
    fn run(&self) -> Option<PathBuf> {
        self.run_in("out")
    }

    fn run_in(&self, out: &str) -> Option<PathBuf> {
        let out = self.folder.path().join(out);
        let inside = fs::read_dir(&out).into_iter().flatten().flatten().map(|entry| entry.path());
        std::iter::once(out.clone()).chain(inside).find(|folder| folder.join("run.json").exists())
    }

    fn records_text(&self) -> String {
        self.run().and_then(|run| fs::read_to_string(run.join("records.jsonl")).ok()).unwrap_or_default()
    }

    fn load(&self) -> LoadedRun {
        RunFolder::load(&self.run().expect("the run has a folder")).unwrap()
    }

    /// Waits until the run has at least one record.
    fn wait_for_a_record(&self, client: &mut Client) {
        wait_for("the first record", || {
            if let Some(status) = client.0.try_wait().unwrap() {
                panic!("the run ended with {status} before it could be disturbed: {}", self.stderr());
            }
            self.records_text().contains('\n')
        });
    }

    /// What an ended run left behind can be reported on and finished, and then holds everything exactly once.
    fn report_and_resume(&self, before: &str) {
        let run = self.run().expect("the run has a folder");
        let run_text = run.to_str().unwrap();
        let report = self.finish(&["report", run_text]);
        assert!(report.status.success(), "{report:?}");
        let resumed = self.finish(&["run", "--resume", run_text]);
        assert_eq!(resumed.status.code(), Some(0), "{}", String::from_utf8_lossy(&resumed.stderr));
        let complete = before.rfind('\n').map_or(0, |end| end + 1);
        assert!(self.records_text().starts_with(&before[..complete]), "records are only ever appended");
        assert_complete(&self.load());
    }
}

/// A running client; killed if a test fails before its end.
struct Client(Child);

impl Client {
    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        wait_for("the client's end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Polls until it is so.
fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A process, told from a later one with the same number by when it began.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Process {
    pid: i32,
    began: String,
}

impl Process {
    /// State, parent and begin of a process (proc_pid_stat(5): fields 3, 4 and 22).
    fn stat(pid: i32) -> Option<(String, i32, String)> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        Some((fields[0].to_owned(), fields[1].parse().ok()?, fields[19].to_owned()))
    }

    fn children_of(parent: Pid) -> Vec<Self> {
        let pids =
            fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter_map(|pid| match Self::stat(pid)? {
            (state, of, began) if of == parent.as_raw_nonzero().get() && state != "Z" => Some(Self { pid, began }),
            _ => None,
        })
        .collect()
    }

    /// Whether it still runs; a zombie that nobody has waited for does not.
    fn runs(&self) -> bool {
        Self::stat(self.pid).is_some_and(|(state, _, began)| began == self.began && state != "Z")
    }

    fn arguments(&self) -> Vec<String> {
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let parts = line.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    }
}

/// Children of a run: its server processes, and what keeps cores awake where that is on.
struct Children {
    servers: Vec<Process>,
    spinners: Vec<Process>,
}

impl Children {
    fn of(client: Pid) -> Self {
        let is_server = |child: &Process| child.arguments().get(1).is_some_and(|verb| verb == "serve");
        let (servers, spinners) = Process::children_of(client).into_iter().partition(is_server);
        Self { servers, spinners }
    }

    /// That nothing but spinning with the lowest of policies is done beside serving, where cores are kept awake at all.
    fn assert_idle_policy(&self, run: &LoadedRun) {
        let expected = usize::from(run.header.machine.keep_awake == KeptAwake::On);
        assert_eq!(self.spinners.len(), expected, "{:?}: {:?}", run.header.machine.keep_awake, self.spinners);
        for spinner in &self.spinners {
            assert_eq!(spinner.arguments()[1], "keep-awake");
            let grouped = fs::read_to_string("/proc/sys/kernel/sched_autogroup_enabled").unwrap_or_default();
            if grouped.trim() == "1" {
                let weight = fs::read_to_string(format!("/proc/{}/autogroup", spinner.pid)).unwrap();
                assert!(weight.trim_end().ends_with("nice 19"), "{weight}");
            }
            // All threads but the first, which waits for the end: policy 5 is SCHED_IDLE (proc_pid_stat(5), field 41).
            let mut policies: Vec<String> = fs::read_dir(format!("/proc/{}/task", spinner.pid))
                .unwrap()
                .flatten()
                .map(|thread| fs::read_to_string(thread.path().join("stat")).unwrap())
                .map(|stat| stat.rsplit_once(')').unwrap().1.split_whitespace().nth(38).unwrap().to_owned())
                .collect();
            policies.sort();
            assert_eq!(policies[0], "0");
            assert_eq!(policies.len(), 1 + run.header.machine.used_cpus().len());
            assert!(policies[1..].iter().all(|policy| policy == "5"), "{policies:?}");
        }
    }

    fn all(&self) -> Vec<Process> {
        self.servers.iter().chain(&self.spinners).cloned().collect()
    }
}

fn wait_until_gone(children: &[Process]) {
    wait_for("the children's end", || !children.iter().any(Process::runs));
}

/// Every (case, round) that the plan asks for.
fn planned(plan: &Plan) -> BTreeSet<(String, u32)> {
    let rounds_of = |measurement: &str| -> Vec<u32> {
        match plan.measurement(measurement).unwrap().kind {
            MeasurementKind::Revocation(_) => (0..plan.starts).map(|start| start * plan.rounds_per_start()).collect(),
            _ => (0..plan.rounds).collect(),
        }
    };
    let cases = plan.cases.iter();
    cases.flat_map(|case| rounds_of(&case.measurement).into_iter().map(|round| (case.id.clone(), round))).collect()
}

fn assert_complete(run: &LoadedRun) {
    let measured: Vec<(String, u32)> = run.records.iter().map(|record| (record.case.clone(), record.round)).collect();
    let distinct: BTreeSet<_> = measured.iter().cloned().collect();
    assert_eq!(distinct, planned(&run.header.plan));
    assert_eq!(distinct.len(), measured.len(), "nothing is measured twice: {measured:?}");
}

fn of<'r>(run: &'r LoadedRun, case: &'r str) -> impl Iterator<Item = &'r Record> {
    run.records.iter().filter(move |record| record.case == case)
}

#[test]
fn a_run_comes_to_its_end_with_every_record() {
    let stage = Stage::set();
    let output = stage.finish(&["run", "tiny.toml", "--out", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let run = stage.load();
    assert_complete(&run);
    let servers: Vec<&str> = run.header.servers.keys().map(String::as_str).collect();
    assert_eq!(servers, ["api-key-memory/resource", "jwt-es256/resource", "none/resource"]);
    assert_eq!(run.records.iter().map(|record| record.start).collect::<BTreeSet<_>>(), BTreeSet::from([0, 1]));

    for record in &run.records {
        let (Measured::Latency(result) | Measured::Throughput(result)) = &record.measured else { continue };
        // Slices last until their requests are answered.
        assert!(result.measured_ns >= 60_000_000, "{}: {}", record.case, result.measured_ns);
        assert!(result.answered > 0 && result.client_cpu_ns > 0, "{}", record.case);
        let server = result.server.as_ref().expect("the reference server counts");
        assert_eq!(server.accepted, result.answered, "{}", record.case);
        assert!(result.server_cpu_ns.as_ref().unwrap()["resource"] > 0, "{}", record.case);
        assert_eq!(result.usage.keys().collect::<Vec<_>>(), ["client", "resource"], "{}", record.case);
        for (role, usage) in &result.usage {
            let switches = usage.switches.known().unwrap();
            if role == "client" {
                // It polled, unless there was only one processor: what the clock tick says of it is no use then.
                let bound = run.header.machine.client_cpu.is_some();
                assert_eq!(result.client_polled_ns > 0, bound, "{}", record.case);
            } else {
                assert!(switches.voluntary + switches.involuntary > 0, "{}: {role}", record.case);
                assert!(usage.sampled.known().is_some(), "{}: {role}", record.case);
            }
            assert!(usage.peak_rss_bytes.known().is_some_and(|bytes| *bytes > 1 << 20), "{}: {role}", record.case);
            // Counted, or absent with a reason: 0 would be a lie.
            assert_ne!(usage.instructions.known(), Some(&0), "{}: {role}", record.case);
        }
        // Kept connections: the kernel counted what the client wrote, and sent nothing else.
        let tcp = result.tcp.known().unwrap();
        assert_eq!(tcp.bytes_sent - tcp.bytes_retransmitted, result.bytes_sent, "{}", record.case);
        assert_eq!(tcp.bytes_received, result.bytes_received, "{}", record.case);
        assert!(tcp.segments_sent > 0 && tcp.segments_received > 0, "{}", record.case);
        assert_eq!(result.validation.as_ref().unwrap().decode().unwrap().len(), result.answered, "{}", record.case);
        let lookups = if record.variant == "api-key-memory" { result.answered } else { 0 };
        assert_eq!(server.store_lookups, lookups, "{}", record.case);
    }
    for record in of(&run, "api-key-memory/revocation") {
        let Measured::Revocation(result) = &record.measured else { panic!("{record:?}") };
        assert_eq!(result.windows.len(), 2, "{record:?}");
        // Nothing stands between the store and the request: not one probe after the acknowledgement gets in.
        assert!(result.windows.iter().all(|window| window.exposure == 0 && window.first_rejected_ns.is_some()));
        assert!(result.windows.iter().all(|window| window.blast_radius == 0));
    }
    for record in of(&run, "jwt-es256/revocation") {
        let Measured::Revocation(result) = &record.measured else { panic!("{record:?}") };
        assert_eq!(result.lifetime_ns, Some(2_000_000_000));
        // Nobody asks whether a stateless token was revoked: it lives until it ends by itself.
        assert!(result.windows.iter().all(|window| window.exposure > 0), "{record:?}");
        for window in &result.windows {
            let (expires, refused) = (window.expires_after_ns.unwrap(), window.first_rejected_ns.unwrap());
            // A probe may be sent shortly before the token's end and judged after it.
            assert!(refused as i64 > expires - 1_000_000_000, "{window:?}");
        }
    }
    for record in of(&run, "none/revocation") {
        let Measured::Revocation(result) = &record.measured else { panic!("{record:?}") };
        assert_eq!(result.not_applicable.as_deref(), Some("nothing to revoke"));
    }
}

/// New connections of every kind, and servers of every size.
const CONNECTIONS: &str = r#"
starts = 1
rounds = 2
pool = { count = 4 }

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "mtls"
method = "mtls"
crl_reload = "2s"
crl_population = 500
key = "Ed25519"
chain_length = 3

[[variant]]
name = "api-key-far"
method = "api-key"
store = { kind = "memory", delay = "300us", population = 500 }

[[variant]]
name = "jwt-long"
method = "jwt"
algorithm = "RS256"
claims_bytes = 16384
denylist = { poll = "500ms", population = 500 }

[[measurement]]
kind = "throughput"
name = "fresh"
connection = "fresh"
connections = 2
warmup = "20ms"
measure = "60ms"
slice = "20ms"

[[measurement]]
kind = "throughput"
name = "resumed"
variants = ["api-key-far", "jwt-long"]
connection = "resumed"
connections = 2
warmup = "20ms"
measure = "60ms"
slice = "20ms"

[[measurement]]
kind = "throughput"
name = "reused"
connections = 2
warmup = "20ms"
measure = "60ms"
slice = "20ms"
"#;

#[test]
fn client_and_server_count_the_same_connections_and_handshakes() {
    let stage = Stage::set();
    fs::write(stage.folder.path().join("connections.toml"), CONNECTIONS).unwrap();
    for http in ["\"1.1\"", "\"2\""] {
        let out = format!("out-{}", &http[1..2]);
        let set = format!("server.http={http}");
        let output = stage.finish(&["run", "connections.toml", "--out", &out, "--set", &set]);
        // 3 where the machine was too busy for its checks of times; counts hold all the same.
        assert!(matches!(output.status.code(), Some(0 | 3)), "{}", String::from_utf8_lossy(&output.stderr));
        let run = RunFolder::load(&stage.run_in(&out).expect("the run has a folder")).unwrap();
        assert_complete(&run);
        for record in &run.records {
            let Measured::Throughput(result) = &record.measured else { panic!("{record:?}") };
            let (client, case) = (result, &record.case);
            let server = client.server.as_ref().expect("the reference server counts");
            assert_eq!(client.outcomes.unexpected(client.wanted), 0, "{case} over {http}: {record:?}");
            assert!(client.answered > 0, "{case}");
            assert_eq!(server.handshakes_full, client.handshakes_full, "{case} over {http}");
            assert_eq!(server.handshakes_resumed, client.handshakes_resumed, "{case} over {http}");
            let handshakes = client.handshakes_full + client.handshakes_resumed;
            assert_eq!(server.connections_accepted, handshakes, "{case} over {http}");
            let with_certificate = if record.variant == "mtls" { handshakes } else { 0 };
            assert_eq!(server.handshakes_with_certificate, with_certificate, "{case} over {http}");
            assert_eq!((server.handshakes_failed, server.handshakes_refused), (0, 0), "{case} over {http}");
            match record.measurement.as_str() {
                "fresh" => assert_eq!(client.handshakes_full, client.answered, "{case} over {http}"),
                "resumed" => assert_eq!(client.handshakes_resumed, client.answered, "{case} over {http}"),
                _ => assert_eq!(handshakes, 0, "{case} over {http}"),
            }
            if record.variant == "api-key-far" {
                assert!(
                    result.validation.as_ref().unwrap().decode().unwrap().min() >= 299_000,
                    "the way to the store is included"
                );
            }
        }
    }
    stage.assert_nothing_left();
}

/// Points of everything that can be swept: a variant, the server, and a measurement together with the variant.
const SWEPT: &str = r#"
analysis = "Is every point of a sweep measured?"
starts = 1
rounds = 2

[[variant]]
name = "none"
method = "none"

[[variant]]
name = "api-key"
method = "api-key"
store = { kind = "sqlite" }
pool = { count = 10 }

[[measurement]]
kind = "latency"
load = { rate_per_s = 200, connections = 4, warmup = "0s", measure = "20ms" }

[[sweep]]
"variant.api-key.cache.ttl" = ["1ms", "1s"]
"measurement.latency.load.rate_per_s" = [200, 400]

[[sweep]]
"server.http" = ["1.1", "2"]
"#;

#[test]
fn every_point_of_a_sweep_is_measured_and_a_cut_run_is_finished() {
    let stage = Stage::set();
    fs::write(stage.folder.path().join("tiny.toml"), SWEPT).unwrap();
    let output = stage.finish(&["run", "tiny.toml", "--out", "out"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let run = stage.load();
    assert_complete(&run);
    let cases: BTreeSet<&str> = run.records.iter().map(|record| record.case.as_str()).collect();
    assert_eq!(
        cases.into_iter().collect::<Vec<_>>(),
        [
            "api-key@ttl=1ms,http=1.1/latency@rate_per_s=200",
            "api-key@ttl=1ms,http=2/latency@rate_per_s=200",
            "api-key@ttl=1s,http=1.1/latency@rate_per_s=400",
            "api-key@ttl=1s,http=2/latency@rate_per_s=400",
            "none@http=1.1/latency@rate_per_s=200",
            "none@http=1.1/latency@rate_per_s=400",
            "none@http=2/latency@rate_per_s=200",
            "none@http=2/latency@rate_per_s=400",
        ]
    );
    for record in &run.records {
        let Measured::Latency(result) = &record.measured else { panic!("{record:?}") };
        let rate = if record.case.ends_with("=400") { 400.0 } else { 200.0 };
        assert_eq!(result.requested_rate_per_s, Some(rate), "{}", record.case);
    }
    for (variant, config) in &run.header.servers {
        let http2 = config.listeners[0].http == [bench_server::contract::HttpVersion::Http2];
        assert_eq!(http2, variant.contains("http=2"), "{variant}: {:?}", config.listeners[0].http);
    }
    // As if it had been killed after five records.
    let text = stage.records_text();
    let five: usize = text.split_inclusive('\n').take(5).map(str::len).sum();
    fs::write(stage.run().unwrap().join("records.jsonl"), &text[..five]).unwrap();
    stage.report_and_resume(&text[..five]);
}

#[test]
fn a_killed_run_leaves_no_server_and_can_be_finished() {
    let stage = Stage::set();
    let mut client = stage.begin();
    stage.wait_for_a_record(&mut client);
    let children = Children::of(client.pid());
    assert_eq!(children.servers.len(), 3, "one per variant: {:?}", children.servers);
    children.assert_idle_policy(&stage.load());
    for server in &children.servers {
        // Nothing of the configuration is in the arguments, which every user of the machine can read.
        assert_eq!(server.arguments()[1..], ["serve", "--supervised", "--temporary-state"]);
    }
    kill_process(client.pid(), Signal::KILL).unwrap();
    assert_eq!(client.exit_code(), None, "a signal ended it");
    wait_until_gone(&children.all());
    stage.assert_nothing_left();
    stage.report_and_resume(&stage.records_text());
}

#[test]
fn ctrl_c_ends_a_run_cleanly_and_it_can_be_finished() {
    let stage = Stage::set();
    let mut client = stage.begin();
    stage.wait_for_a_record(&mut client);
    let children = Children::of(client.pid());
    assert!(!children.servers.is_empty());
    kill_process(client.pid(), Signal::INT).unwrap();
    assert_eq!(client.exit_code(), Some(3), "{}", stage.stderr());
    let children = children.all();
    assert!(!children.iter().any(Process::runs), "the client waits for its children: {children:?}");
    stage.assert_nothing_left();
    let records = stage.records_text();
    assert!(records.ends_with('\n'), "a clean end tears no line");
    stage.report_and_resume(&records);
}

#[test]
fn a_server_that_dies_ends_the_run_and_keeps_its_records() {
    let stage = Stage::set();
    let mut client = stage.begin();
    stage.wait_for_a_record(&mut client);
    let children = Children::of(client.pid());
    let victim = children.servers.first().expect("servers run");
    kill_process(Pid::from_raw(victim.pid).unwrap(), Signal::KILL).unwrap();
    assert_eq!(client.exit_code(), Some(3));
    let stderr = stage.stderr();
    assert!(stderr.contains("ended in the middle of the run") && stderr.contains("signal: 9"), "{stderr}");
    let children = children.all();
    assert!(!children.iter().any(Process::runs), "{children:?}");
    let records = stage.records_text();
    assert!(!stage.load().records.is_empty());
    stage.report_and_resume(&records);
}

#[test]
fn a_run_is_never_overwritten() {
    let stage = Stage::set();
    let out = stage.folder.path().join("out");
    fs::write(&out, "a file where the folder should be").unwrap();
    let output = stage.finish(&["run", "tiny.toml", "--out", Path::new("out").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert_eq!(fs::read_to_string(out).unwrap(), "a file where the folder should be");
}
