//! One server process under supervision.
//!
//! Its configuration is one line of JSON on stdin, never argv, which every user of the machine can read. Stdin stays
//! open: the server ends when it closes, which the operating system sees to even if this program is killed. The first
//! line of stdout says where the server listens ([`Ready`]). Stderr goes to a file, of which errors quote the end.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use bench_server::contract::{Ready, ServerConfig};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::unix::pipe;

use crate::plan::expected_filling;

/// A server makes its keys when it starts: an RSA key on a busy machine takes seconds, not half a minute.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Filling stores may take so many times as long as estimated: the estimate is for a release build on an idle machine.
const FILLING_SLACK: u32 = 20;

/// Requests in progress end within the server's own limit of a second or so; whoever needs longer hangs.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a stopping process is looked at.
const STOP_POLL: Duration = Duration::from_millis(5);

/// So much of stderr's end is quoted: a panic message with room to spare, and still one screen.
const TAIL_BYTES: u64 = 2_000;

/// How a server process is executed.
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl Launcher {
    /// The program that runs now, with `serve --supervised`: one build is client and server.
    ///
    /// # Errors
    /// The operating system's, when it does not tell the program's path.
    pub fn this_program() -> io::Result<Self> {
        let arguments = ["serve", "--supervised", "--temporary-state"].map(str::to_owned).to_vec();
        Ok(Self { program: std::env::current_exe()?, arguments })
    }
}

/// A server process that is ready. Dropping it kills the process.
pub(super) struct Process {
    pub(super) ready: Ready,
    supervised: Supervised,
    /// Kept open, or the server's next line on stdout would fail.
    _stdout: BufReader<pipe::Receiver>,
}

impl Process {
    /// Starts a server process, its log at `log`, and waits until it is ready.
    ///
    /// # Errors
    /// A text that names the program and quotes stderr.
    pub(super) async fn start(launcher: &Launcher, config: &ServerConfig, log: PathBuf) -> Result<Self, String> {
        let program = launcher.program.display();
        let (mut supervised, stdout) =
            Supervised::spawn(launcher, log).map_err(|error| format!("cannot execute {program}: {error}"))?;
        supervised.configure(config);
        let mut stdout = pipe::Receiver::from_owned_fd(stdout)
            .map(BufReader::new)
            .map_err(|error| format!("cannot read from {program}: {error}"))?;
        let mut line = String::new();
        let patience = start_timeout(config);
        match tokio::time::timeout(patience, stdout.read_line(&mut line)).await {
            Err(_) => Err(format!("not ready after {patience:?}; {}", supervised.stderr_tail())),
            Ok(Err(error)) => Err(format!("cannot read from {program}: {error}; {}", supervised.stderr_tail())),
            Ok(Ok(0)) => Err(supervised.obituary().await),
            Ok(Ok(_)) => match serde_json::from_str(&line) {
                Ok(ready) => Ok(Self { ready, supervised, _stdout: stdout }),
                Err(error) => Err(format!(
                    "{program} printed {:?} where one line of JSON should say that it is ready: {error}; {}",
                    line.trim_end(),
                    supervised.stderr_tail()
                )),
            },
        }
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// How it ended, with the end of stderr.
    pub(super) fn check_alive(&mut self) -> Result<(), String> {
        match self.supervised.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.supervised.ended(status)),
            Err(error) => Err(format!("its state is unknown: {error}")),
        }
    }

    /// Closes stdin and waits; kills the process that does not end.
    pub(super) async fn stop(mut self) {
        self.supervised.stdin = None;
        self.supervised.wait(STOP_TIMEOUT).await;
    }
}

/// How long a server may take to be ready: longer for the populations that it makes first, which are bounded.
fn start_timeout(config: &ServerConfig) -> Duration {
    let profiles = config.listeners.iter().flat_map(|listener| &listener.profiles);
    let filling: Duration = profiles.map(|profile| expected_filling(&profile.method)).sum();
    START_TIMEOUT + filling * FILLING_SLACK
}

/// A process that does not outlive this value.
struct Supervised {
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Supervised {
    fn spawn(launcher: &Launcher, log: PathBuf) -> io::Result<(Self, OwnedFd)> {
        let stderr = File::create(&log)?;
        let mut child = Command::new(&launcher.program)
            .args(&launcher.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            // Ctrl-C goes to the terminal's whole process group; the servers must outlive the client's clean stop.
            .process_group(0)
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
        Ok((Self { child, stdin, log }, stdout.into()))
    }

    /// Tells the server what to be. A server that is gone already is noticed when it is not ready.
    fn configure(&mut self, config: &ServerConfig) {
        let mut line = serde_json::to_vec(config).expect("a configuration is plain data");
        line.push(b'\n');
        if let Some(stdin) = &mut self.stdin {
            let _ = stdin.write_all(&line);
        }
    }

    /// Waits for the end of the process, at most `timeout`.
    async fn wait(&mut self, timeout: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            match self.child.try_wait() {
                Ok(None) if Instant::now() < deadline => tokio::time::sleep(STOP_POLL).await,
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
    }

    /// What there is to say of a process that closed its stdout instead of becoming ready.
    async fn obituary(&mut self) -> String {
        match self.wait(STOP_TIMEOUT).await {
            Some(status) => self.ended(status),
            None => format!("it closed its stdout and went on; {}", self.stderr_tail()),
        }
    }

    fn ended(&self, status: ExitStatus) -> String {
        format!("{status}; {}", self.stderr_tail())
    }

    fn stderr_tail(&self) -> String {
        match tail(&self.log) {
            Ok(text) if text.trim().is_empty() => "nothing on stderr".to_owned(),
            Ok(text) => format!("stderr: {}", text.trim()),
            Err(error) => format!("stderr is lost: {}: {error}", self.log.display()),
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        // Both fail only for a process that is gone and waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a file, cut at most in the middle of a line.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use bench_server::contract::{ClockMode, ServerConfig};

    use super::*;

    fn shell(script: &str) -> Launcher {
        Launcher { program: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script.to_owned()] }
    }

    fn config(state_dir: &Path) -> ServerConfig {
        ServerConfig {
            listeners: Vec::new(),
            workers: NonZeroUsize::MIN,
            cpus: Vec::new(),
            state_dir: state_dir.to_owned(),
            shared_dir: None,
            clock: ClockMode::System,
            authorization_server: None,
            forging: false,
        }
    }

    async fn start(script: &str, folder: &Path) -> Result<Process, String> {
        Process::start(&shell(script), &config(folder), folder.join("log")).await
    }

    /// A server in three lines: takes its configuration, says that it is ready, lives as long as stdin.
    const OBEDIENT: &str = r#"
        read -r config; printf '%s' "$config" > config.json
        printf '{"pid":%s,"control":"/c","listeners":[],"ca_file":"/ca"}\n' $$
        read -r rest; echo gone > gone"#;

    fn in_folder(folder: &Path) -> String {
        format!("cd '{}'; {OBEDIENT}", folder.display())
    }

    #[tokio::test]
    async fn the_configuration_arrives_on_stdin_and_its_closing_ends_the_server() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = start(&in_folder(folder.path()), folder.path()).await.expect("it starts");
        assert_eq!(process.ready.pid, process.supervised.child.id());
        let text = std::fs::read_to_string(folder.path().join("config.json")).expect("the server wrote it");
        let received: ServerConfig = serde_json::from_str(&text).expect("the configuration is JSON");
        assert_eq!(received, config(folder.path()));
        process.check_alive().expect("nobody stopped it");
        process.stop().await;
        // Killed, it could not have written this.
        assert!(folder.path().join("gone").exists());
    }

    #[test]
    fn populations_get_the_time_that_they_need_and_no_more() {
        use bench_server::contract::{
            ApiKeyConfig, HttpVersion, ListenerConfig, MethodConfig, Profile, StoreConfig, Transport,
        };
        let timeout = |store_population| {
            let full = ApiKeyConfig { store_population, ..ApiKeyConfig::new(StoreConfig::Sqlite) };
            let method = MethodConfig::ApiKey(full);
            let profile = Profile {
                name: "p".to_owned(),
                path: "/".to_owned(),
                scope: "read".to_owned(),
                method,
                users_only: false,
                slow_down: None,
            };
            let listener = ListenerConfig {
                name: "l".to_owned(),
                bind: ([127, 0, 0, 1], 0).into(),
                public_url: None,
                transport: Transport::Plaintext,
                http: vec![HttpVersion::Http1],
                key_exchange: None,
                profiles: vec![profile],
                authorization_server: false,
                ocsp_responder: None,
                key_management: None,
            };
            start_timeout(&ServerConfig { listeners: vec![listener], ..config(Path::new("/state")) })
        };
        assert_eq!(timeout(0), START_TIMEOUT);
        assert_eq!(start_timeout(&config(Path::new("/state"))), START_TIMEOUT);
        assert!(timeout(1_000_000) > START_TIMEOUT + Duration::from_secs(60));
        assert!(timeout(ApiKeyConfig::MAX_POPULATION) < Duration::from_secs(3600), "it ends some time");
    }

    #[tokio::test]
    async fn an_early_end_is_told_with_status_and_stderr() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = start("echo 'address in use' >&2; exit 7", folder.path()).await.err().expect("it does not start");
        assert!(error.contains("exit status: 7"), "{error}");
        assert!(error.contains("address in use"), "{error}");
    }

    #[tokio::test]
    async fn something_else_than_ready_is_quoted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let error = start("echo hello; read -r x; read -r x", folder.path()).await.err().expect("not ready");
        assert!(error.contains("\"hello\""), "{error}");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let launcher = Launcher { program: "/nowhere/authbench".into(), arguments: Vec::new() };
        let result = Process::start(&launcher, &config(folder.path()), folder.path().join("log")).await;
        let error = result.err().expect("there is no such program");
        assert!(error.contains("/nowhere/authbench"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_ends_by_itself_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut process = start(&in_folder(folder.path()), folder.path()).await.expect("it starts");
        process.supervised.child.kill().expect("it runs");
        process.supervised.wait(STOP_TIMEOUT).await.expect("a killed process ends");
        let error = process.check_alive().expect_err("it was killed");
        assert!(error.contains("signal: 9"), "{error}");
    }

    #[tokio::test]
    async fn dropping_leaves_no_process() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let process = start(&in_folder(folder.path()), folder.path()).await.expect("it starts");
        let pid = rustix::process::Pid::from_child(&process.supervised.child);
        assert!(rustix::process::test_kill_process(pid).is_ok());
        drop(process);
        assert!(rustix::process::test_kill_process(pid).is_err(), "the process is gone and waited for");
    }

    #[test]
    fn the_tail_is_the_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let text = format!("begin {} end", "x".repeat(TAIL_BYTES as usize));
        std::fs::write(&path, text).expect("writable");
        let tail = tail(&path).expect("readable");
        assert_eq!(tail.len() as u64, TAIL_BYTES);
        assert!(tail.ends_with(" end"));
    }
}
