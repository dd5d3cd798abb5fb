//! A Redis or PostgreSQL server of one's own: for a run, or a test, that was given no other.
//!
//! It listens on a Unix socket in a temporary folder, nowhere else, and keeps its records there. PostgreSQL refuses to run
//! as root; then it runs as the user that its package made. The server ends with its owner, also when that is killed: a
//! shell between the two waits for the end of a pipe that only the owner holds.

use std::collections::VecDeque;
use std::fs::{self, Permissions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::config::StoreUrl;

/// How long a server may take to accept connections: PostgreSQL makes its files first, and recovers after a crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of a server's output that an error repeats.
const QUOTED: usize = 8;

/// The user as whom PostgreSQL runs where we are root, and the one as whom its clients come.
const POSTGRES: &str = "postgres";

/// Runs a command, tells its process id, and ends it when standard input ends; then removes the folder, which is the first
/// argument, unless it was told to keep it. Only the command has the output.
const KEEPER: &str = r#"folder=$1; shift
"$@" </dev/null 2>&1 & echo "pid $!"; exec >&-
read -r word; kill -INT $!; wait $!
[ "$word" = keep ] || rm -rf -- "$folder""#;

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// Redis.
    Redis,
    /// PostgreSQL.
    Postgres,
}

impl ServerKind {
    /// The name of the Unix socket that one listens on, in its folder.
    pub fn socket_name(self) -> &'static str {
        match self {
            Self::Redis => "redis.sock",
            Self::Postgres => ".s.PGSQL.5432",
        }
    }

    /// The URL of one whose socket is in that folder.
    pub fn url_in(self, folder: &Path) -> StoreUrl {
        let folder = folder.display();
        let url = match self {
            Self::Redis => format!("redis+unix://{folder}/{}", self.socket_name()),
            Self::Postgres => format!("postgres:///postgres?host={folder}&user={POSTGRES}"),
        };
        StoreUrl::new(url).expect("there is no password in it")
    }
}

/// What either server says, in one case or another, once it accepts connections.
const READY: &str = "ready to accept connections";

/// Why there is no server of one's own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InstanceError(String);

/// A running server, ended when this is dropped.
#[derive(Debug)]
pub struct PrivateServer {
    kind: ServerKind,
    process: Option<Running>,
    /// Removed last.
    folder: TempDir,
}

/// A server's process and its keeper.
#[derive(Debug)]
struct Running {
    keeper: Child,
    /// The keeper ends the server when this is closed.
    hold: Option<ChildStdin>,
    pid: Pid,
}

impl PrivateServer {
    /// Starts a server with no records, and waits until it accepts connections. Blocks, PostgreSQL for some seconds.
    ///
    /// # Errors
    /// When the program is not installed (the text says which package has it), or does not start (the text ends with what
    /// it said).
    pub fn start(kind: ServerKind) -> Result<Self, InstanceError> {
        let failed = |what: &str, error: io::Error| InstanceError(format!("{what}: {error}"));
        let folder = tempfile::Builder::new()
            .prefix("authbench-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(|error| failed("no temporary folder", error))?;
        let mut server = Self { kind, process: None, folder };
        if kind == ServerKind::Postgres {
            server.make_cluster()?;
        }
        server.restart()?;
        Ok(server)
    }

    /// Where it is.
    pub fn url(&self) -> StoreUrl {
        self.kind.url_in(self.folder.path())
    }

    /// The Unix socket that it listens on.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join(self.kind.socket_name())
    }

    /// All its processes: PostgreSQL has one for each connection. None after [`PrivateServer::kill`].
    pub fn processes(&self) -> Vec<u32> {
        let number = |pid: Pid| pid.as_raw_nonzero().get().unsigned_abs();
        let of = |running: &Running| running.children().into_iter().chain([running.pid]).map(number).collect();
        self.process.as_ref().map_or_else(Vec::new, of)
    }

    /// Kills it without warning, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// When there is nothing to kill.
    pub fn kill(&mut self) -> Result<(), InstanceError> {
        let running = self.process.take().ok_or_else(|| InstanceError("the server is down already".to_owned()))?;
        running.signal(Signal::KILL)?;
        running.end();
        Ok(())
    }

    /// Starts it again over the same records.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), InstanceError> {
        if let Some(running) = self.process.take() {
            running.end();
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match self.spawn(until) {
                Ok(running) => {
                    self.process = Some(running);
                    return Ok(());
                }
                // What a crash left behind goes when the last process of the old server has noticed it.
                Err(InstanceError(said)) if said.contains("still in use") && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn spawn(&self, until: Instant) -> Result<Running, InstanceError> {
        let folder = self.folder.path();
        let server = match self.kind {
            ServerKind::Redis => redis_command(folder)?,
            ServerKind::Postgres => postgres_command(
                folder,
                "postgres",
                &[
                    "-D".as_ref(),
                    folder.join("data").as_os_str(),
                    "-k".as_ref(),
                    folder.as_os_str(),
                    "-c".as_ref(),
                    "listen_addresses=".as_ref(),
                    "-c".as_ref(),
                    "max_connections=300".as_ref(),
                ],
            )?,
        };
        let failed = |error: io::Error| InstanceError(format!("start {}: {error}", server.get_program().display()));
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(folder).arg(server.get_program()).args(server.get_args());
        // A Ctrl-C at the terminal is for the owner, who ends the server when it is done.
        keeper.process_group(0).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut keeper = keeper.spawn().map_err(failed)?;
        let hold = keeper.stdin.take();
        let output = BufReader::new(keeper.stdout.take().expect("it is piped"));
        let (tell, told) = mpsc::channel();
        std::thread::Builder::new()
            .name("store-output".to_owned())
            .spawn(move || {
                // Read to the end, also when nobody listens any more: a full pipe would stop the server.
                for line in output.lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            })
            .map_err(failed)?;
        let mut said = VecDeque::with_capacity(QUOTED);
        let mut pid = None;
        let why = loop {
            match told.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if pid.is_none() => {
                    pid = line.strip_prefix("pid ").and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
                }
                Ok(line) if line.to_ascii_lowercase().contains(READY) => {
                    return Ok(Running { keeper, hold, pid: pid.expect("it was the first line") });
                }
                Ok(line) => {
                    if said.len() == QUOTED {
                        said.pop_front();
                    }
                    said.push_back(line);
                }
                // Only the server still has the other end.
                Err(RecvTimeoutError::Disconnected) => break "it ended",
                Err(RecvTimeoutError::Timeout) => break "it does not accept connections",
            }
        };
        let pid = pid.unwrap_or_else(|| Pid::from_child(&keeper));
        Running { keeper, hold, pid }.end();
        let said: Vec<_> = said.into();
        Err(InstanceError(format!("{why}: {}: {}", server.get_program().display(), said.join(" / "))))
    }

    /// Makes PostgreSQL's files.
    fn make_cluster(&self) -> Result<(), InstanceError> {
        let folder = self.folder.path();
        if rustix::process::geteuid().is_root() {
            own(folder)?;
        }
        let data = folder.join("data");
        // Whoever can enter the folder may come as any user; that is its owner alone.
        let options = ["-U", POSTGRES, "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-D"];
        let options: Vec<_> = options.iter().map(AsRef::as_ref).chain([data.as_os_str()]).collect();
        let mut initdb = postgres_command(folder, "initdb", &options)?;
        let made = initdb.current_dir("/").stdin(Stdio::null()).output();
        let made = made.map_err(|error| InstanceError(format!("start {}: {error}", initdb.get_program().display())))?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr).trim().replace('\n', " / ");
            return Err(InstanceError(format!("initdb failed ({}): {said}", made.status)));
        }
        Ok(())
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        if let Some(running) = self.process.take() {
            running.end();
        }
    }
}

impl Running {
    fn signal(&self, signal: Signal) -> Result<(), InstanceError> {
        kill_process(self.pid, signal).map_err(|error| InstanceError(format!("signal the store's server: {error}")))
    }

    fn children(&self) -> Vec<Pid> {
        let pid = self.pid.as_raw_nonzero();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok().and_then(Pid::from_raw)).collect()
    }

    /// Has the keeper end the server, and waits for both.
    fn end(mut self) {
        if let Some(mut hold) = self.hold.take() {
            let _ = hold.write_all(b"keep\n"); // the folder is the owner's to remove
        }
        let _ = self.keeper.wait();
    }
}

fn redis_command(folder: &Path) -> Result<Command, InstanceError> {
    let program = find("redis-server", &[])
        .ok_or_else(|| missing("redis-server", "redis-server", "redis = { url = \"redis://…\" }"))?;
    let mut command = Command::new(program);
    command.args(["--port", "0", "--unixsocketperm", "700", "--save", "", "--daemonize", "no", "--loglevel", "notice"]);
    // What was acknowledged survives a crash.
    command.args(["--appendonly", "yes", "--appendfsync", "always", "--dir"]).arg(folder);
    command.arg("--unixsocket").arg(folder.join(ServerKind::Redis.socket_name()));
    Ok(command)
}

/// A program of PostgreSQL's, as a user that is not root.
fn postgres_command(folder: &Path, name: &str, options: &[&std::ffi::OsStr]) -> Result<Command, InstanceError> {
    let program = find(name, &postgres_folders())
        .ok_or_else(|| missing(name, "postgresql", "postgres = { url = \"postgres://…\" }"))?;
    let mut command = if rustix::process::geteuid().is_root() {
        let mut switch = Command::new("setpriv");
        switch.args(["--reuid", POSTGRES, "--regid", POSTGRES, "--init-groups", "--"]).arg(program);
        switch
    } else {
        Command::new(program)
    };
    command.args(options).env("PGDATA", folder.join("data"));
    Ok(command)
}

/// Gives a folder to the user that PostgreSQL runs as.
fn own(folder: &Path) -> Result<(), InstanceError> {
    let owner = format!("{POSTGRES}:{POSTGRES}");
    let given = Command::new("chown").arg(&owner).arg(folder).stderr(Stdio::null()).status();
    match given {
        Ok(status) if status.success() => Ok(()),
        _ => Err(InstanceError(format!(
            "the folder {} cannot be given to {owner}, as whom PostgreSQL would run, since it refuses to run as root; \
             `apt-get install postgresql` makes that user",
            folder.display()
        ))),
    }
}

fn missing(program: &str, package: &str, option: &str) -> InstanceError {
    InstanceError(format!(
        "{program} is not installed: `apt-get install {package}`, or name a server of yours in the scenario, {option}"
    ))
}

/// Where Debian has PostgreSQL's programs, the newest version first.
fn postgres_folders() -> Vec<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    versions.sort_by_key(|path| std::cmp::Reverse(version(path)));
    versions.into_iter().map(|version| version.join("bin")).collect()
}

/// A program on the path or in one of these folders.
fn find(program: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(folders.iter().cloned());
    folders.find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
}
