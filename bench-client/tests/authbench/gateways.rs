//! The gateway scenarios that ship, run for real against HAProxy and nginx with the configuration that ships beside them.
//!
//! The sockets are opened here and inherited by the gateways, so that no port is guessed. The tests take turns: a run
//! measures, and two at once would measure each other.

#![cfg(target_os = "linux")] // processes are found in /proc
#![allow(clippy::unwrap_used)] // a step that fails is a test that fails

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard};

use bench_client::outcome::Outcomes;
use bench_client::record::{LoadResult, Measured, Record};
use bench_client::run::{LoadedRun, RunFolder};
use rustix::io::{FdFlags, fcntl_setfd};

/// Shorter than `--quick`, at rates that a debug build on a busy machine keeps up with.
const SHORT: &[&str] = &[
    "measurement.latency.load.rate_per_s=200",
    "measurement.latency.load.connections=4",
    "measurement.latency.load.warmup=20ms",
    "measurement.latency.load.measure=100ms",
    "measurement.latency.slice=50ms",
    "measurement.throughput.connections=4",
    "measurement.throughput.warmup=20ms",
    "measurement.throughput.measure=100ms",
    "measurement.throughput.slice=50ms",
    "variant.mtls.pool.count=3",
];

/// Of every algorithm so many tokens, and so many client certificates.
const FEW: &str = "3";

/// What ships, copied to a temporary folder beside keys of its own; the only run on this machine while it lives.
struct Stage {
    folder: tempfile::TempDir,
    gateway: Option<Child>,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    fn set() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let folder = tempfile::tempdir().unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/gateways");
        for part in ["haproxy.toml", "nginx.toml", "prepare", "haproxy", "nginx"] {
            finish(Command::new("cp").arg("-r").arg(shipped.join(part)).arg(folder.path()));
        }
        Self { folder, gateway: None, _turn: turn }
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Makes keys and credentials; nginx is to listen at these addresses.
    fn prepare(&self, open: SocketAddr, mtls: SocketAddr) {
        finish(
            Command::new(self.folder.path().join("prepare"))
                .env("TOKENS", FEW)
                .env("CLIENTS", FEW)
                .env("PORT", open.port().to_string())
                .env("PORT_MTLS", mtls.port().to_string()),
        );
    }

    /// Starts a gateway that inherits the sockets.
    fn start(&mut self, command: &mut Command, sockets: Vec<TcpListener>) -> u32 {
        for socket in &sockets {
            fcntl_setfd(socket, FdFlags::empty()).unwrap();
        }
        let log = fs::File::create(self.folder.path().join("gateway.log")).unwrap();
        // Where Debian puts servers, and users other than root do not look.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let gateway = command.current_dir(self.state()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn();
        let gateway = gateway.expect("the gateway is installed: scripts/test does that");
        self.gateway.insert(gateway).id()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("gateway.log")).unwrap_or_default()
    }

    fn run(&self, scenario: &str, port: u16, mtls: u16, set: &[&str]) -> Output {
        let addresses = [
            format!("target.url=https://localhost:{port}/none"),
            format!("variant.mtls.url=https://localhost:{mtls}/"),
            format!("target.pid={}", self.gateway.as_ref().unwrap().id()),
        ];
        let set = addresses.iter().map(String::as_str).chain(SHORT.iter().copied()).chain(set.iter().copied());
        Command::new(env!("CARGO_BIN_EXE_authbench"))
            .current_dir(self.folder.path())
            .args(["run", scenario, "--out", "out", "--rounds", "2"])
            .args(set.flat_map(|set| ["--set", set]))
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// The only run's records, once it came to its end. The closed loop's identity may fail: it compares times, and is
    /// about a machine that is measured on, not about one that runs tests.
    fn load(&self, output: &Output) -> LoadedRun {
        let said = String::from_utf8_lossy(&output.stderr);
        let mut errors = said.lines().filter(|line| line.starts_with("error: "));
        assert!(errors.all(|error| error.contains("mean service time × throughput")), "{said}\n{}", self.log());
        assert!(said.contains("report: "), "{said}\n{}", self.log());
        let mut runs = fs::read_dir(self.folder.path().join("out")).unwrap();
        RunFolder::load(&runs.next().expect("the run has a folder").unwrap().path()).unwrap()
    }

    /// Takes the last records away, as if the run had been killed, and finishes it from another folder.
    fn interrupt_and_resume(&self) {
        let run = fs::read_dir(self.folder.path().join("out")).unwrap().next().unwrap().unwrap().path();
        let records = fs::read_to_string(run.join("records.jsonl")).unwrap();
        let lines: Vec<&str> = records.split_inclusive('\n').collect();
        fs::write(run.join("records.jsonl"), lines[..lines.len() / 2].concat()).unwrap();
        let mut resume = Command::new(env!("CARGO_BIN_EXE_authbench"));
        resume.current_dir(std::env::temp_dir()).args(["run", "--resume"]).arg(&run).stdin(Stdio::null());
        let output = resume.output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("report: "), "{output:?}\n{}", self.log());
    }

    /// No secret that was used stands in anything that the run wrote or said.
    fn assert_no_secret_in(&self, output: &Output) {
        let mut text = format!("{output:?}");
        for run in fs::read_dir(self.folder.path().join("out")).unwrap() {
            for file in fs::read_dir(run.unwrap().path()).unwrap().map(|file| file.unwrap().path()) {
                text += &fs::read(&file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            }
        }
        assert!(text.contains("anonymous"), "the text to search is there");
        for list in ["api-keys.txt", "jwt-hs256.txt", "users.txt"] {
            for line in fs::read_to_string(self.state().join(list)).unwrap().lines() {
                let secret = line.split('\t').next().unwrap().rsplit(':').next().unwrap();
                assert!(secret.len() > 16 && !text.contains(secret), "{list} leaked");
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(mut gateway) = self.gateway.take() {
            // Asked to end, nginx ends its worker too.
            let _ = rustix::process::kill_process(
                rustix::process::Pid::from_child(&gateway),
                rustix::process::Signal::TERM,
            );
            let _ = gateway.wait();
        }
    }
}

fn finish(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn socket() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn address(socket: &TcpListener) -> SocketAddr {
    socket.local_addr().unwrap()
}

/// HAProxy with the configuration that ships; its ports for requests, for client certificates, and for its admin socket.
fn haproxy(stage: &mut Stage) -> [u16; 3] {
    let sockets = vec![socket(), socket(), socket()];
    stage.prepare(address(&sockets[0]), address(&sockets[1]));
    let ports = [0, 1, 2].map(|i: usize| address(&sockets[i]).port());
    let mut command = Command::new("haproxy");
    command.args(["-f", "secrets.cfg", "-f", "haproxy.cfg", "-db"]);
    for (name, socket) in ["GATEWAY", "GATEWAY_MTLS", "GATEWAY_ADMIN"].iter().zip(&sockets) {
        command.env(name, format!("fd@{}", socket.as_raw_fd()));
    }
    stage.start(&mut command, sockets);
    ports
}

/// nginx with the configuration that ships; its ports for requests and for client certificates.
fn nginx(stage: &mut Stage) -> [u16; 2] {
    let sockets = vec![socket(), socket()];
    stage.prepare(address(&sockets[0]), address(&sockets[1]));
    let ports = [0, 1].map(|i: usize| address(&sockets[i]).port());
    let inherited: String = sockets.iter().map(|socket| format!("{};", socket.as_raw_fd())).collect();
    let mut command = Command::new("nginx");
    command.arg("-p").arg(stage.state()).args(["-c", "nginx.conf", "-e", "stderr"]).env("NGINX", inherited);
    if rustix::process::geteuid().is_root() {
        command.args(["-g", "user root;"]);
    }
    stage.start(&mut command, sockets);
    ports
}

fn loads(run: &LoadedRun) -> impl Iterator<Item = (&Record, &LoadResult)> {
    run.records.iter().filter_map(|record| Some((record, record.measured.load()?)))
}

/// Every answer was checked and right, and the processor time is the gateway's. Whether a trial was late is the machine's.
fn assert_measured(run: &LoadedRun, cases: usize) {
    assert_eq!(run.warnings, Vec::<String>::new(), "nothing is missing");
    assert_eq!(loads(run).count(), 2 * cases, "two rounds");
    for (record, result) in loads(run) {
        let accepted = result.outcomes.accepted;
        assert!(accepted > 0, "{}: {:?}, {} dropped", record.case, result.outcomes, result.dropped);
        assert_eq!(result.outcomes, Outcomes { accepted, ..Outcomes::default() }, "{}", record.case);
        assert!(result.server_cpu_ns.as_ref().unwrap()["target"] > 0, "{}", record.case);
        assert!(result.server.is_none() && result.validation.is_none(), "{}: nobody told", record.case);
    }
}

#[test]
fn haproxy_is_measured_with_every_method() {
    let mut stage = Stage::set();
    let [port, mtls, admin] = haproxy(&mut stage);
    let revoke =
        format!("variant.api-key.revoke.command=[\"env\", \"GATEWAY_ADMIN_PORT={admin}\", \"./haproxy/revoke\"]");
    let output = stage.run(
        "haproxy.toml",
        port,
        mtls,
        &[
            "variant.jwt-hs256.pool.count=3",
            "variant.jwt-rs256.pool.count=3",
            "variant.jwt-es256.pool.count=3",
            "measurement.revocation.trials=2",
            "measurement.revocation.phase=50ms",
            &revoke,
        ],
    );
    let run = stage.load(&output);
    assert_measured(&run, 14);
    assert!(run.header.servers.is_empty());
    let revocation = run.records.iter().find(|record| record.case == "api-key/revocation").unwrap();
    let Measured::Revocation(result) = &revocation.measured else { panic!("{revocation:?}") };
    assert_eq!(revocation.invalid, Vec::<String>::new());
    assert_eq!(result.windows.len(), 2);
    // One thread looks into one map: not one probe after the acknowledgement gets in.
    assert!(result.windows.iter().all(|window| window.exposure == 0 && window.first_rejected_ns.is_some()));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("not told by a foreign server"), "{table}");
    stage.assert_no_secret_in(&output);
}

#[test]
fn nginx_is_measured_with_its_worker() {
    let mut stage = Stage::set();
    let [port, mtls] = nginx(&mut stage);
    let output = stage.run("nginx.toml", port, mtls, &[]);
    let run = stage.load(&output);
    assert_measured(&run, 8);
    stage.assert_no_secret_in(&output);
    stage.interrupt_and_resume();
    assert_measured(&stage.load(&output), 8);
}

#[test]
fn what_does_not_fit_stops_the_run_before_it_measures() {
    let mut stage = Stage::set();
    let [port, mtls, _] = haproxy(&mut stage);
    let wrong_keys = stage.folder.path().join("wrong.txt");
    fs::write(&wrong_keys, "never-issued-to-anyone\tapp-0001\n").unwrap();
    for (set, says) in [
        ("target.roots=state/clients-ca.pem", "UnknownIssuer"),
        ("variant.api-key.credentials.file=wrong.txt", "401 Unauthorized; WWW-Authenticate: Bearer realm=\"gateway\""),
        ("variant.api-key.url=/none", "should be accepted was not"),
        ("variant.api-key.rejected.status=[403]", "rejected is 403"),
        ("variant.mtls.credentials.folder=nowhere", "nowhere"),
        ("target.pid=4294967295", "no process 4294967295"),
    ] {
        let output = stage.run("haproxy.toml", port, mtls, &[set]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{set}: {said}");
        assert!(said.contains(says) && said.contains("cannot be measured"), "{set}: {said}");
        assert!(!said.contains("never-issued"), "{set}: {said}");
    }
}
