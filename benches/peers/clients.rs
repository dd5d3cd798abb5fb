//! The load clients: how each is called for the same load, and what it says afterwards.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use super::child;
use super::workspace::{CLIENT_CPU, Carrier, Workspace, credential, text};

/// A load client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Client {
    Authbench,
    Wrk,
    Oha,
    H2load,
    Floor,
}

/// A closed loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) carrier: Carrier,
    pub(crate) connections: usize,
    pub(crate) seconds: u64,
    /// A new connection for each request.
    pub(crate) fresh: bool,
}

/// What a client did.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) per_second: f64,
    pub(crate) cpu_us_per_request: f64,
}

impl Client {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Authbench => "authbench",
            Self::Wrk => "wrk",
            Self::Oha => "oha",
            Self::H2load => "h2load",
            Self::Floor => "floor",
        }
    }

    /// What it says its version is; `None` if it is not installed.
    pub(crate) fn version(self, workspace: &Workspace) -> Option<String> {
        let (program, flag) = match self {
            Self::Authbench => (workspace.authbench.to_str()?.to_owned(), "--version"),
            Self::Wrk => ("wrk".to_owned(), "-v"), // prints its version, and fails
            Self::Oha => ("oha".to_owned(), "--version"),
            Self::H2load => ("h2load".to_owned(), "--version"),
            Self::Floor => return Some(String::new()),
        };
        let output = Command::new(program).arg(flag).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Some(text.lines().next().unwrap_or_default().split(" Copyright").next().unwrap_or_default().trim().to_owned())
    }

    /// Whether it can put this load on.
    pub(crate) fn can(self, load: &Load) -> bool {
        match self {
            Self::Authbench | Self::Wrk | Self::Oha => true,
            Self::H2load | Self::Floor => !load.fresh,
        }
    }

    /// Loads the server.
    ///
    /// # Errors
    /// When the client cannot be run, fails, or had an answer that it did not expect.
    pub(crate) fn run(self, workspace: &Workspace, port: u16, server: u32, load: &Load) -> anyhow::Result<Work> {
        let url = format!("{}://localhost:{port}/whoami", load.carrier.scheme());
        let header = format!("Authorization: Bearer {}", credential(0));
        let (connections, seconds) = (load.connections.to_string(), load.seconds.to_string());
        if self == Self::Authbench {
            return authbench(workspace, &url, server, load);
        }
        let mut command = match self {
            Self::Authbench => unreachable!("it has returned"),
            Self::Wrk => {
                let mut command = child::bound(CLIENT_CPU, "wrk");
                command.args(["-t", "1", "-c", &connections, "-d", &seconds, "-H", &header]);
                if load.fresh {
                    command.args(["-H", "Connection: close"]);
                }
                command
            }
            Self::Oha => {
                let mut command = child::bound(CLIENT_CPU, "oha");
                command.args(["--no-tui", "--insecure", "--output-format", "json", "-c", &connections]);
                command.args(["-z", &format!("{seconds}s"), "-H", &header]);
                if load.fresh {
                    command.arg("--disable-keepalive");
                }
                command
            }
            Self::H2load => {
                let mut command = child::bound(CLIENT_CPU, "h2load");
                command.args(["--h1", "-t", "1", "-c", &connections, "-D", &seconds, "-H", &header]);
                command
            }
            Self::Floor => {
                let mut command = workspace.this_on(CLIENT_CPU)?;
                command.args(["floor", "--port", &port.to_string(), "--connections", &connections]);
                command.args(["--seconds", &seconds]);
                if load.carrier == Carrier::Tls13 {
                    command.arg("--roots").arg(workspace.path("ca.pem"));
                }
                command
            }
        };
        if self != Self::Floor {
            command.arg(&url);
        }
        let finished = child::run(&mut command)?;
        let requests = self.requests(&finished.stdout)?;
        ensure!(requests > 0.0, "{} had no answer: {}", self.name(), finished.stdout);
        Ok(Work {
            per_second: requests / load.seconds as f64,
            cpu_us_per_request: finished.cpu.as_secs_f64() * 1e6 / requests,
        })
    }

    /// Answers that came, every one of them as expected.
    fn requests(self, output: &str) -> anyhow::Result<f64> {
        let first = |line: &str| line.split_whitespace().next().and_then(|word| word.parse().ok());
        match self {
            Self::Wrk => {
                // "Socket errors: … timeout 0" and "Non-2xx or 3xx responses: 5" are there only if there were any.
                ensure!(!output.contains("Non-2xx"), "wrk had other answers: {output}");
                let line = output.lines().find(|line| line.contains("requests in")).context("wrk counted nothing")?;
                first(line).context("wrk's count")
            }
            Self::Oha => {
                let result: Value = serde_json::from_str(output).context("oha's JSON")?;
                let codes = result["statusCodeDistribution"].as_object().context("oha's status codes")?;
                ensure!(codes.keys().all(|code| code == "200"), "oha had other answers: {codes:?}");
                codes.get("200").and_then(Value::as_f64).context("oha's count")
            }
            Self::H2load => {
                // requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, …
                let line =
                    output.lines().find(|line| line.starts_with("requests:")).context("h2load counted nothing")?;
                ensure!(line.contains(" 0 failed"), "h2load had other answers: {line}");
                let succeeded = line.split(", ").find(|part| part.ends_with("succeeded")).context("h2load's count")?;
                first(succeeded).context("h2load's count")
            }
            Self::Floor => output.trim().parse().context("the floor's count"),
            Self::Authbench => bail!("its records are read, not its output"),
        }
    }
}

/// Runs a scenario of one closed loop, and reads the record.
fn authbench(workspace: &Workspace, url: &str, server: u32, load: &Load) -> anyhow::Result<Work> {
    let (connections, seconds) = (load.connections, load.seconds);
    let connection = if load.fresh { "fresh" } else { "reused" };
    let measurement = format!(
        "[[variant]]\nname = \"key\"\nmethod = \"api-key\"\nheader = \"Authorization: Bearer {{credential}}\"\n\
         credentials = {{ file = \"credentials.txt\" }}\naccepted = {{ body_contains = '\"principal\":\"{{principal}}\"' }}\n\
         pool = {{ count = 10_000, zipf_exponent = 1.0 }}\n\
         [[measurement]]\nkind = \"throughput\"\nconnection = \"{connection}\"\nconnections = {connections}\n\
         warmup = \"100ms\"\nmeasure = \"{seconds}s\"\nslice = \"{seconds}s\"\n"
    );
    let records = run_scenario(workspace, url, server, load.carrier, 1, &measurement)?;
    let result = &records
        .iter()
        .find(|record| record["variant"] == "key")
        .context("the run has no record of its variant")?["measured"];
    let number = |value: &Value| value.as_f64().with_context(|| format!("no number in {result}"));
    let answered = number(&result["answered"])?;
    let accepted = number(&result["outcomes"]["accepted"])?;
    Ok(Work {
        per_second: accepted / (number(&result["measured_ns"])? / 1e9),
        cpu_us_per_request: number(&result["client_cpu_ns"])? / 1e3 / answered,
    })
}

/// Runs authbench against the server and returns the records, all of them valid.
///
/// # Errors
/// When the run fails or a trial is invalid.
pub(crate) fn run_scenario(
    workspace: &Workspace,
    url: &str,
    server: u32,
    carrier: Carrier,
    rounds: u32,
    rest: &str,
) -> anyhow::Result<Vec<Value>> {
    let target = url.replace("/whoami", "/none");
    let tls = match carrier {
        Carrier::Plaintext => "",
        Carrier::Tls13 => "roots = \"ca.pem\"\ntransport = \"tls1.3\"\n",
    };
    let scenario = format!(
        "seed = 42\nstarts = 1\nrounds = {rounds}\nclient_wait = \"sleep\"\n[target]\nurl = \"{target}\"\n{tls}\
         http = \"1.1\"\npid = {server}\naccepted = {{ status = [200] }}\nrejected = {{ status = [401] }}\n\
         [[variant]]\nname = \"none\"\nmethod = \"none\"\naccepted = {{ body_contains = '\"principal\":\"anonymous\"' }}\n{}",
        rest.replace("method = \"api-key\"\n", &format!("method = \"api-key\"\nurl = \"{url}\"\n"))
    );
    let file = workspace.path("peers.toml");
    std::fs::write(&file, scenario)?;
    let out = tempfile::tempdir_in(workspace.path(""))?;
    let mut command = Command::new(&workspace.authbench);
    command.arg("run").arg(&file).arg("--out").arg(out.path().join("run"));
    child::run(&mut command)?;
    let run = out.path().join("run");
    let text = std::fs::read_to_string(records_of(&run)?)?;
    let records: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for record in &records {
        ensure!(record["invalid"].is_null(), "authbench calls its own trial invalid: {}", record["invalid"]);
    }
    Ok(records)
}

/// The records of a run that was written to a folder.
///
/// # Errors
/// When there are none.
pub(crate) fn records_of(run: &Path) -> anyhow::Result<PathBuf> {
    let file = run.join("records.jsonl");
    if file.exists() {
        return Ok(file);
    }
    // `--out` may be the folder of runs.
    let inner = std::fs::read_dir(run)?.next().context("the run left nothing")??.path().join("records.jsonl");
    ensure!(inner.exists(), "{} is missing", text(&inner)?);
    Ok(inner)
}
