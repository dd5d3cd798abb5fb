//! Two processes over the same records, one of which is killed under load, over and over: whatever it comes back as, it
//! accepts nobody who was revoked (RV-6).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use bench_server::contract::{Issued, Material, READ_SCOPE, Ready};
use reqwest::{Client, StatusCode};

const KILLS: usize = 100;

/// A server process. Killed when this is dropped.
struct Process {
    child: Child,
    ready: Ready,
    _stdin: ChildStdin,
}

impl Process {
    fn start(state: &Path, shared: &Path) -> Self {
        let config = serde_json::json!({
            "workers": 1,
            "state_dir": state,
            "shared_dir": shared,
            "listeners": [{
                "name": "main", "bind": "127.0.0.1:0", "transport": "plaintext", "http": ["1.1"],
                "profiles": [{
                    "name": "keys", "path": "/whoami", "scope": READ_SCOPE, "method": "api-key", "store": "sqlite",
                    "cache": { "ttl": "10m", "follow": { "poll": "5ms" } },
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
        Self { child, ready, _stdin: stdin }
    }

    /// As a crash would.
    fn kill(mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it is gone");
    }

    /// What comes back for a key; nothing from a server that is gone.
    async fn status(&self, client: &Client, credential: &Issued) -> Option<StatusCode> {
        let Material::ApiKey { key } = &credential.material else { panic!("not a key") };
        let url = format!("{}/whoami", self.ready.listeners[0].url);
        client.get(url).bearer_auth(key.expose()).send().await.ok().map(|answer| answer.status())
    }

    fn control(&self) -> Client {
        Client::builder().unix_socket(self.ready.control.clone()).build().expect("a client")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_replica_that_is_killed_a_hundred_times_accepts_nobody_who_was_revoked() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, other, shared] = ["one", "other", "shared"].map(|name| folder.path().join(name));
    let revoking = Process::start(&one, &shared);
    let control = revoking.control();
    let order = serde_json::json!({ "count": KILLS + 1, "scopes": [READ_SCOPE] });
    let issued = control.post("http://control/profiles/keys/credentials").json(&order).send().await.expect("an answer");
    let issued: Vec<Issued> = issued.json().await.expect("credentials");
    let (valid, issued) = issued.split_last().expect("one more");
    let client = Client::new();
    let mut victim = Process::start(&other, &shared);
    for (number, credential) in issued.iter().enumerate() {
        for known in [credential, valid] {
            assert_eq!(victim.status(&client, known).await, Some(StatusCode::OK), "kill {number}");
        }
        let revoke = format!("http://control/profiles/keys/credentials/{}", credential.id);
        let revoked = control.delete(revoke).send().await.expect("an answer");
        assert_eq!(revoked.status(), StatusCode::NO_CONTENT);
        // Under load, and perhaps in the middle of a poll.
        let load = futures_util::future::join_all((0..8).map(|_| victim.status(&client, credential)));
        load.await;
        victim.kill();
        victim = Process::start(&other, &shared);
        // It knows before it listens.
        assert_eq!(victim.status(&client, credential).await, Some(StatusCode::UNAUTHORIZED), "kill {number}");
    }
    for credential in issued {
        assert_eq!(victim.status(&client, credential).await, Some(StatusCode::UNAUTHORIZED));
    }
    assert_eq!(victim.status(&client, valid).await, Some(StatusCode::OK));
}
