//! Processes over the same records: one of two is killed under load, over and over, and accepts nobody who was revoked,
//! whatever it comes back as; and one command starts several.

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
async fn rv_6_hk_8_a_replica_that_is_killed_a_hundred_times_accepts_nobody_who_was_revoked() {
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

/// What `--replicas` prints of one: the URL of its listener and the path of its control socket.
fn told(stdout: &mut impl std::io::BufRead, number: usize) -> (String, String) {
    let mut lines = stdout.lines().map(|line| line.expect("text"));
    let mut line = |begin: &str| {
        let line = lines.next().expect("a line");
        line.strip_prefix(begin).unwrap_or_else(|| panic!("{line:?} does not begin with {begin:?}")).to_owned()
    };
    assert_eq!(line("replica "), number.to_string());
    let url = line("main: ");
    line("CA: ");
    (url, line("control: "))
}

#[tokio::test]
async fn hk_8_one_command_starts_replicas_over_the_same_records_and_ends_them_all() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.toml");
    let toml = format!(
        "workers = 1\nstate_dir = {:?}\n[[listeners]]\nname = \"main\"\nbind = \"127.0.0.1:0\"\n\
         transport = \"plaintext\"\nhttp = [\"1.1\"]\nprofiles = [{{ name = \"keys\", path = \"/whoami\", \
         scope = \"read\", method = \"api-key\", store = \"sqlite\", cache = {{ ttl = \"10m\", follow = {{ poll = \"5ms\" }} }} }}]\n",
        folder.path().join("state").display().to_string()
    );
    std::fs::write(&file, toml).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_bench-server"))
        .args(["--config", &file.display().to_string(), "--replicas", "3"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let replicas: Vec<_> = (0..3).map(|number| told(&mut stdout, number)).collect();

    let control = Client::builder().unix_socket(replicas[0].1.clone()).build().expect("a client");
    let order = serde_json::json!({ "count": 1, "scopes": [READ_SCOPE] });
    let issued = control.post("http://control/profiles/keys/credentials").json(&order).send().await.expect("an answer");
    let issued: Vec<Issued> = issued.json().await.expect("credentials");
    let Material::ApiKey { key } = &issued[0].material else { panic!("not a key") };
    let client = Client::new();
    let status = async |url: &str| {
        client.get(format!("{url}/whoami")).bearer_auth(key.expose()).send().await.map(|answer| answer.status())
    };
    for (url, _) in &replicas {
        assert_eq!(status(url).await.expect("an answer"), StatusCode::OK);
    }
    let revoke = format!("http://control/profiles/keys/credentials/{}", issued[0].id);
    assert_eq!(control.delete(revoke).send().await.expect("an answer").status(), StatusCode::NO_CONTENT);
    for (url, _) in &replicas {
        let refused = async { while status(url).await.expect("an answer") == StatusCode::OK {} };
        tokio::time::timeout(std::time::Duration::from_secs(30), refused).await.expect("it hears of it");
    }
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    assert!(child.wait().expect("it ends").success());
    for (url, control) in &replicas {
        assert!(status(url).await.is_err(), "nobody is left");
        assert!(!Path::new(control).exists());
    }
}
