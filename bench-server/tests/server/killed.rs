//! What a process that is killed loses of what it counted: row AK-19.
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use bench_server::contract::{Issued, KeyUsage, Material, Ready};

/// A server in a process of its own, over a folder that outlives it.
struct Process {
    child: Child,
    _stdin: ChildStdin,
    ready: Ready,
}

impl Process {
    fn start(state: &Path, flush: &str) -> Self {
        let config = serde_json::json!({
            "workers": 1,
            "state_dir": state,
            "listeners": [{
                "name": "main", "bind": "127.0.0.1:0", "transport": "plaintext", "http": ["1.1"],
                "profiles": [{
                    "name": "subject", "path": "/whoami", "scope": "read", "method": "api-key", "store": "sqlite",
                    "metering": {"flush": flush},
                }],
            }],
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-server"))
            .arg("--supervised")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdin = child.stdin.take().expect("piped");
        writeln!(stdin, "{config}").expect("sent");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).expect("the ready line");
        Self { child, _stdin: stdin, ready }
    }

    fn control(&self) -> reqwest::Client {
        reqwest::Client::builder().unix_socket(self.ready.control.clone()).build().expect("a client")
    }

    async fn issue(&self) -> String {
        let request = serde_json::json!({"count": 1, "scopes": ["read"]});
        let place = "http://control/profiles/subject/credentials";
        let answer = self.control().post(place).json(&request).send().await.expect("an answer");
        let issued: Vec<Issued> = answer.json().await.expect("issued");
        let Material::ApiKey { key } = &issued[0].material else { panic!("not a key: {issued:?}") };
        key.expose().to_owned()
    }

    async fn request(&self, key: &str, times: usize) {
        let client = reqwest::Client::new();
        let url = format!("{}/whoami", self.ready.listeners[0].url);
        for _ in 0..times {
            let answer = client.get(&url).bearer_auth(key).send().await.expect("an answer");
            assert_eq!(answer.status(), 200);
        }
    }

    async fn counted(&self) -> u64 {
        let answer = self.control().get("http://control/profiles/subject/usage").send().await.expect("an answer");
        let usage: Vec<KeyUsage> = answer.json().await.expect("usage");
        usage.iter().map(|line| line.requests).sum()
    }
}

/// What is in the file, without asking the server, which would write first.
fn written(state: &Path) -> u64 {
    let file = rusqlite::Connection::open(state.join("subject/store.sqlite")).expect("the store");
    file.busy_timeout(Duration::from_secs(5)).expect("set");
    let sum = file.query_row("SELECT coalesce(sum(requests), 0) FROM usage", [], |row| row.get::<_, i64>(0));
    sum.expect("a number").unsigned_abs()
}

#[tokio::test]
async fn ak_19_a_kill_loses_what_was_counted_since_the_last_write_and_nothing_else() {
    let state = tempfile::tempdir().expect("a folder");
    let mut first = Process::start(state.path(), "20ms");
    let key = first.issue().await;
    first.request(&key, 50).await;
    let all_written = async {
        while written(state.path()) < 50 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all_written).await.expect("it is written by itself");
    first.request(&key, 30).await;
    first.child.kill().expect("it runs");
    first.child.wait().expect("it ends");

    let second = Process::start(state.path(), "20ms");
    let counted = second.counted().await;
    assert!((50..=80).contains(&counted), "{counted}: more than the last requests were lost, or some counted twice");
    second.request(&key, 7).await;
    assert_eq!(second.counted().await, counted + 7);
}

#[tokio::test]
async fn ak_19_a_server_that_is_told_to_stop_loses_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    let mut first = Process::start(state.path(), "1m");
    let key = first.issue().await;
    first.request(&key, 20).await;
    let pid = rustix::process::Pid::from_child(&first.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    assert!(first.child.wait().expect("it ends").success());
    assert_eq!(written(state.path()), 20);
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
