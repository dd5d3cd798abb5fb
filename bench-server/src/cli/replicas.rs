//! `--replicas N`: several processes over the same records, each with caches of its own, as behind a load balancer.
//!
//! Each is this program again, under supervision: it stops when this one closes its stdin, or is killed. The first is ready
//! before the others start, for it makes what is missing. Ports count upwards from those of the configuration.

use std::env;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroUsize;
use std::process::{ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::thread;

use anyhow::Context as _;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use super::{NOT_STARTED, Signals, complain, print, summary, wrong_configuration};
use crate::config::{ServerConfig, StoreConfig};
use crate::contract::Ready;

/// What a replica came to.
type Ended = UnboundedSender<(usize, Option<ExitStatus>)>;

/// Serves with so many processes until SIGINT or SIGTERM, or until one of them ends.
pub(super) async fn serve(config: ServerConfig, count: NonZeroUsize) -> anyhow::Result<ExitCode> {
    let problems = problems(&config, count);
    if !problems.is_empty() {
        return Ok(wrong_configuration(&problems.join("\n")));
    }
    let mut signals = Signals::new()?;
    let (tell, mut ended) = unbounded_channel();
    let (mut stdins, mut text) = (Vec::new(), String::new());
    let mut failed = None;
    for number in 0..count.get() {
        let (stdin, ready) = start(&replica(&config, number), number, tell.clone())?;
        stdins.push(stdin);
        let Some(ready) = ready else {
            failed = Some(number); // it has said why
            break;
        };
        write!(text, "{}replica {number}\n{}", if number == 0 { "" } else { "\n" }, summary(&ready))?;
    }
    drop(tell);
    if failed.is_none() {
        print(&text)?;
        tokio::select! {
            () = signals.any() => {}
            first = ended.recv() => failed = first.map(|(number, _)| number),
        }
        if let Some(number) = failed {
            complain(&format!("replica {number} has ended"));
        }
    }
    drop(stdins);
    let mut code = failed.map_or(ExitCode::SUCCESS, |_| ExitCode::from(NOT_STARTED));
    while let Some((number, status)) = ended.recv().await {
        let status = status.and_then(|status| status.code()).and_then(|status| u8::try_from(status).ok());
        if let (true, Some(status)) = (failed == Some(number), status.filter(|status| *status != 0)) {
            code = ExitCode::from(status);
        }
    }
    Ok(code)
}

/// What several processes cannot share, and ports that do not suffice.
fn problems(config: &ServerConfig, count: NonZeroUsize) -> Vec<String> {
    let mut problems = Vec::new();
    if config.authorization_server.is_some() {
        problems.push(
            "authorization_server: its grants are in one process; run it alone, and trust it from the replicas as a \
             remote issuer"
                .to_owned(),
        );
    }
    for listener in &config.listeners {
        let port = listener.bind.port();
        if port != 0 && usize::from(port) + count.get() - 1 > usize::from(u16::MAX) {
            problems.push(format!("listener \"{}\": there are no {count} ports from {port} on", listener.name));
        }
        for profile in &listener.profiles {
            if profile.method.store() == Some(&StoreConfig::Memory) {
                let remedy = "is \"memory\", which no other process sees; use \"sqlite\", Redis or PostgreSQL";
                problems.push(format!("profile \"{}\": store {remedy}", profile.name));
            }
        }
    }
    problems
}

/// The configuration of one of them.
fn replica(config: &ServerConfig, number: usize) -> ServerConfig {
    let mut config = config.clone();
    config.shared_dir.get_or_insert_with(|| config.state_dir.join("shared"));
    config.state_dir.push(format!("replica-{number}"));
    for listener in &mut config.listeners {
        let port = listener.bind.port();
        if port != 0 {
            listener.bind.set_port(port + u16::try_from(number).expect("the ports were counted before"));
        }
    }
    config
}

/// Starts a process and waits until it is ready; `None` for one that ends before that.
fn start(config: &ServerConfig, number: usize, ended: Ended) -> anyhow::Result<(ChildStdin, Option<Ready>)> {
    let program = env::current_exe().context("find this program")?;
    let mut command = Command::new(program);
    // As `authbench serve`, or as `bench-server`.
    command.args(env::args_os().nth(1).filter(|first| first == "serve")).arg("--supervised");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start a replica")?;
    let (mut stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    thread::spawn(move || {
        let _ = ended.send((number, child.wait().ok())); // an error means that nobody waits any more
    });
    let config = serde_json::to_string(config).context("write the configuration of a replica")?;
    let mut line = String::new();
    // One that has ended takes no configuration, and prints no line.
    if writeln!(stdin, "{config}").is_ok() {
        BufReader::new(stdout).read_line(&mut line).context("read the line of a replica that is ready")?;
    }
    let ready = if line.is_empty() { None } else { Some(serde_json::from_str(&line).context("read what it says")?) };
    Ok((stdin, ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(store: &str, port: u16) -> ServerConfig {
        let text = format!(
            r#"
            workers = 1
            state_dir = "/srv/state"
            [[listeners]]
            name = "main"
            bind = "127.0.0.1:{port}"
            transport = "plaintext"
            http = ["1.1"]
            profiles = [{{ name = "keys", path = "/keys", scope = "read", method = "api-key", store = "{store}" }}]
        "#
        );
        toml::from_str(&text).expect("the example has the right form")
    }

    #[test]
    fn hk_8_replicas_share_records_and_nothing_else() {
        let [one, other] = [0, 1].map(|number| replica(&config("sqlite", 8000), number));
        assert_eq!(one.shared_dir, other.shared_dir);
        assert_ne!(one.state_dir, other.state_dir);
        assert_eq!([&one, &other].map(|config| config.listeners[0].bind.port()), [8000, 8001]);
        assert_eq!(replica(&config("sqlite", 0), 1).listeners[0].bind.port(), 0);
    }

    #[test]
    fn hk_8_what_cannot_be_shared_is_told() {
        let count = |count| NonZeroUsize::new(count).expect("not zero");
        assert_eq!(problems(&config("sqlite", 65_534), count(2)), Vec::<String>::new());
        assert!(problems(&config("sqlite", 65_534), count(3))[0].contains("no 3 ports from 65534"));
        assert!(problems(&config("memory", 0), count(2))[0].contains("profile \"keys\": store is \"memory\""));
        let mut issuing = config("sqlite", 0);
        issuing.authorization_server = Some(crate::config::AuthorizationServerConfig::default());
        assert!(problems(&issuing, count(2))[0].contains("remote issuer"));
    }
}
