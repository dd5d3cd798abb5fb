//! The command line of the server: where its configuration comes from, and what ends it.
//!
//! Exit status: 0 after a clean stop, 2 for a wrong configuration, 3 when the server could not start.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::config::ServerConfig;
use crate::contract::Ready;
use crate::demo;
use crate::server::{StartError, start};

mod replicas;

const WRONG_CONFIGURATION: u8 = 2;
const NOT_STARTED: u8 = 3;

/// Arguments of `bench-server` and `authbench serve`.
#[derive(Debug, Clone, Args)]
#[command(group(ArgGroup::new("source").required(true).args(["config", "demo", "supervised"])))]
pub struct ServeArgs {
    /// Serve what this TOML file configures
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve it with so many processes that share their records, on ports that count upwards
    #[arg(long, value_name = "N", default_value = "1", conflicts_with_all = ["demo", "supervised"])]
    pub replicas: NonZeroUsize,
    /// Serve every method at once and print curl lines to try them
    #[arg(long)]
    pub demo: bool,
    /// Read one line of JSON configuration from stdin, print one line of JSON when ready, stop when stdin ends
    #[arg(long)]
    pub supervised: bool,
    /// The state folder is temporary: remove it when stdin ends, since then nobody is left who could
    #[arg(long, requires = "supervised")]
    pub temporary_state: bool,
    /// Port of the demo; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0, conflicts_with_all = ["config", "supervised"])]
    pub port: u16,
    /// Port of the demo's listener with client certificates; 0 lets the system choose
    #[arg(long, value_name = "PORT", default_value_t = 0, conflicts_with_all = ["config", "supervised"])]
    pub mtls_port: u16,
}

/// Serves until SIGINT or SIGTERM, or under supervision until stdin ends. Makes a runtime of its own, so it must not be
/// called inside one.
///
/// A wrong configuration and a server that does not start are explained on stderr and told by the exit code.
///
/// # Errors
/// The operating system refuses what any program needs: a runtime, signal handlers, stdout.
pub fn serve(args: ServeArgs) -> anyhow::Result<ExitCode> {
    log_to_stderr();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("make a runtime")?;
    if args.demo {
        return runtime.block_on(demo::run(args.port, args.mtls_port));
    }
    let (config, supervised) = match &args.config {
        Some(file) => (read_file(file), false),
        None => (read_line(), true),
    };
    match config {
        Ok(config) if args.replicas > NonZeroUsize::MIN => runtime.block_on(replicas::serve(config, args.replicas)),
        Ok(config) => runtime.block_on(run(config, supervised, args.temporary_state)),
        Err(message) => Ok(wrong_configuration(&message)),
    }
}

async fn run(config: ServerConfig, supervised: bool, temporary_state: bool) -> anyhow::Result<ExitCode> {
    // Before the start: a signal that comes meanwhile stops the server right after it.
    let mut signals = Signals::new()?;
    let state_dir = config.state_dir.clone();
    let server = match start(config).await {
        Ok(server) => server,
        Err(error) => return Ok(not_started(&error)),
    };
    let mut orphaned = false;
    if supervised {
        let parent_gone = watch_stdin().context("watch stdin")?;
        print(&serde_json::to_string(server.ready()).context("write the ready line")?)?;
        tokio::select! {
            () = signals.any() => {}
            _ = parent_gone => orphaned = true,
        }
    } else {
        print(&summary(server.ready()))?;
        signals.any().await;
    }
    server.never_free_stores();
    server.stop().await;
    if orphaned
        && temporary_state
        && let Err(error) = std::fs::remove_dir_all(&state_dir)
    {
        // The supervisor may have been faster, if it lives.
        tracing::debug!(%error, state_dir = %state_dir.display(), "the state folder is not removed");
    }
    Ok(ExitCode::SUCCESS)
}

/// The signals that end the server.
pub(crate) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    /// Catches them from now on.
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("catch SIGINT")?,
            terminate: signal(SignalKind::terminate()).context("catch SIGTERM")?,
        })
    }

    /// Waits for the first.
    pub(crate) async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Explains a server that did not start, and tells the exit code.
pub(crate) fn not_started(error: &StartError) -> ExitCode {
    if error.is_config() {
        return wrong_configuration(&error.to_string());
    }
    complain(&error.to_string());
    ExitCode::from(NOT_STARTED)
}

fn wrong_configuration(message: &str) -> ExitCode {
    complain(message);
    ExitCode::from(WRONG_CONFIGURATION)
}

/// A line to whoever started the server. Nothing can be done about a closed stderr.
fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "error: {message}");
}

/// Results go to stdout, at once.
///
/// # Errors
/// stdout is closed.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).context("write to stdout")
}

fn log_to_stderr() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // Fails when the caller has set up logging already: then that one is used.
    let _ =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false).try_init();
}

fn read_file(file: &Path) -> Result<ServerConfig, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{}: {error}; name a readable TOML file", file.display()))?;
    toml::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))
}

fn read_line() -> Result<ServerConfig, String> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).map_err(|error| format!("stdin: {error}"))?;
    serde_json::from_str(&line).map_err(|error| format!("stdin: {error}; the first line is the configuration as JSON"))
}

/// Tells when stdin ends. The parent holds the other end of the pipe, so this also notices a parent that was killed.
fn watch_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (gone, told) = oneshot::channel();
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        // The buffer that `read_line` filled is the same one: nothing that came with the first line is missed.
        let mut stdin = io::stdin().lock();
        let mut ignored = [0; 256];
        while stdin.read(&mut ignored).is_ok_and(|n| n > 0) {}
        drop(gone);
    })?;
    Ok(told)
}

fn summary(ready: &Ready) -> String {
    let mut text = String::new();
    for listener in &ready.listeners {
        text += &format!("{}: {}\n", listener.name, listener.url);
    }
    text + &format!("CA: {}\ncontrol: {}", ready.ca_file.display(), ready.control.display())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn parse(args: &str) -> Result<ServeArgs, clap::Error> {
        Cli::try_parse_from(std::iter::once("serve").chain(args.split_whitespace())).map(|cli| cli.serve)
    }

    #[test]
    fn exactly_one_source() {
        assert!(parse("--demo").unwrap().demo);
        assert_eq!(parse("--demo --port 8443").unwrap().port, 8443);
        assert!(parse("--supervised").unwrap().supervised);
        assert_eq!(parse("--config x.toml").unwrap().config.unwrap(), Path::new("x.toml"));
        assert_eq!(parse("--config x.toml --replicas 3").unwrap().replicas.get(), 3);
        let wrong = ["", "--demo --supervised", "--config x --demo", "--supervised --port 1"];
        for wrong in wrong.into_iter().chain(["--supervised --replicas 2", "--config x --replicas 0"]) {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_file_is_named_with_the_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("server.toml");
        assert!(read_file(&file).unwrap_err().contains("server.toml"));
        std::fs::write(&file, "workers = 0\nstate_dir = \"x\"\nlisteners = []").unwrap();
        let error = read_file(&file).unwrap_err();
        assert!(error.contains("server.toml") && error.contains("line 1"), "{error}");
        std::fs::write(&file, "workers = 1\nstate_dir = \"x\"\nlisteners = []\nmore = 1").unwrap();
        assert!(read_file(&file).unwrap_err().contains("more"));
    }
}
