//! No secret where it does not belong: a server that logs all it can is shown known secrets in every place that a caller can
//! put one, on good ways and on broken ones, and none of them, nor its base64, is found in what the server says.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::{self, JoinHandle};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bench_server::contract::{Issued, Material, READ_SCOPE, Ready, RegisteredClient};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// A server process whose log is kept.
struct Process {
    child: Child,
    ready: Ready,
    log: JoinHandle<String>,
    stdin: ChildStdin,
}

impl Process {
    fn start(config: &Value) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_bench-server"))
            .arg("--supervised")
            // All that our own code says, and what libraries say in an operator's worst night.
            .env("RUST_LOG", "debug,bench_server=trace,audit=trace")
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program runs");
        let mut stdin = child.stdin.take().expect("piped");
        writeln!(stdin, "{config}").expect("sent");
        let mut stderr = child.stderr.take().expect("piped");
        let log = thread::spawn(move || {
            let mut bytes = Vec::new();
            stderr.read_to_end(&mut bytes).expect("read");
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let ready = serde_json::from_str(&line).expect("the ready line");
        Self { child, ready, log, stdin }
    }

    fn url(&self, listener: &str, path: &str) -> String {
        let found = self.ready.listeners.iter().find(|one| one.name == listener).expect("a configured listener");
        format!("{}{path}", found.url)
    }

    /// Ends it; everything that it logged.
    fn end(mut self) -> String {
        drop(self.stdin);
        assert!(self.child.wait().expect("it ends").success());
        self.log.join().expect("read")
    }
}

fn configuration(folder: &Path) -> Value {
    let sqlite = json!({ "store": "sqlite", "cache": { "ttl": "1s" } });
    let hash = json!({ "algorithm": "pbkdf2-sha256", "iterations": 1000 });
    let opaque = json!({ "validation": { "token": "opaque" } });
    let profile = |name: &str, options: Value| {
        let mut profile = json!({ "name": name, "path": format!("/{name}"), "scope": READ_SCOPE, "method": name });
        profile.as_object_mut().expect("an object").extend(options.as_object().expect("an object").clone());
        profile
    };
    let profiles = json!([
        profile("api-key", sqlite.clone()),
        profile("basic", json!({ "store": "sqlite", "hash": hash, "cache": { "ttl": "1s" } })),
        profile(
            "jwt",
            json!({ "algorithm": "HS256", "denylist": { "follow": { "poll": "1h" } }, "cache": { "ttl": "1s" } })
        ),
        profile("oauth2", opaque.clone()),
        profile(
            "mixed",
            json!({ "api-key": { "store": "memory" }, "jwt": { "algorithm": "ES256" }, "opaque": opaque })
        ),
    ]);
    let listener = |name: &str, http: &str, profiles: Value, authorization_server: bool| {
        json!({
            "name": name, "bind": "127.0.0.1:0", "transport": "plaintext", "http": [http],
            "profiles": profiles, "authorization_server": authorization_server,
        })
    };
    let more =
        json!([{ "name": "over-h2", "path": "/api-key", "scope": READ_SCOPE, "method": "api-key", "store": "memory" }]);
    json!({
        "workers": 1,
        "state_dir": folder.join("state"),
        "listeners": [
            listener("main", "1.1", profiles, false),
            listener("issuer", "1.1", json!([]), true),
            listener("h2", "2", more, false),
        ],
        "authorization_server": {
            "access_token": { "token": "opaque" }, "access_token_lifetime": "15m", "code_lifetime": "60s",
            "refresh_idle": "1d", "refresh_absolute": "2d",
        },
    })
}

/// Everything that a server has said to callers.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    /// Sends a request and keeps the whole answer; a client that is refused on the way has heard nothing.
    async fn ask(&mut self, what: &str, request: RequestBuilder) -> String {
        let Ok(answer) = request.send().await else { return String::new() };
        let head = format!("{} {:?}", answer.status(), answer.headers());
        let body = String::from_utf8_lossy(&answer.bytes().await.unwrap_or_default()).into_owned();
        self.0.push((what.to_owned(), format!("{head}\n{body}")));
        body
    }
}

/// A secret in the forms in which it may turn up.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let debug: String = bytes.iter().map(|byte| format!("{byte}, ")).collect();
    // Base64 of a text that the secret is a part of, wherever it begins there.
    let within = (0..3).map(|before| {
        let encoded = STANDARD_NO_PAD.encode([&vec![b' '; before][..], bytes].concat());
        encoded[(before * 8).div_ceil(6)..encoded.len() - 2].to_owned()
    });
    [secret.to_owned(), hex, debug, STANDARD.encode(secret), URL_SAFE_NO_PAD.encode(secret)]
        .into_iter()
        .chain(within)
        .collect()
}

fn secret_of(credential: &Issued) -> (String, String) {
    match &credential.material {
        Material::ApiKey { key } => (key.expose().to_owned(), format!("Bearer {}", key.expose())),
        Material::Bearer { token } => (token.expose().to_owned(), format!("Bearer {}", token.expose())),
        Material::Password { username, password } => {
            let pair = format!("{username}:{}", password.expose());
            (password.expose().to_owned(), format!("Basic {}", STANDARD.encode(pair)))
        }
        other => panic!("not presented in a field: {other:?}"),
    }
}

/// Puts a secret wherever a request has room for one.
async fn plant(said: &mut Said, client: &Client, url: &str, secret: &str) {
    let get = || client.get(url);
    let basic = |pair: String| format!("Basic {}", STANDARD.encode(pair));
    for value in [
        format!("Bearer {secret}"),
        format!("bearer  {secret} {secret}"),
        format!("Bearer {secret}.{secret}.{secret}"),
        secret.to_owned(),
        format!("Foo {secret}"),
        basic(format!("user:{secret}")),
        basic(format!("{secret}:x")),
        basic(secret.to_owned()),
        format!("Basic {secret}"),
    ] {
        said.ask("authorization", get().header("authorization", &value)).await;
        said.ask("authorization twice", get().header("authorization", &value).header("authorization", &value)).await;
    }
    said.ask("x-api-key", get().header("x-api-key", secret)).await;
    said.ask("both", get().header("x-api-key", secret).bearer_auth(secret)).await;
    said.ask("cookie", get().header("cookie", format!("access_token={secret}; api_key={secret}"))).await;
    said.ask("proxy", get().header("proxy-authorization", format!("Bearer {secret}"))).await;
    said.ask("query", client.get(format!("{url}?access_token={secret}&api_key={secret}"))).await;
    said.ask("path", client.get(format!("{url}/{secret}"))).await;
    said.ask("form", client.post(url).form(&[("access_token", secret), ("api_key", secret)])).await;
    said.ask("too long", get().bearer_auth(secret.repeat(40_000 / secret.len() + 1))).await;
    said.ask("too many", (0..150).fold(get(), |request, n| request.header(format!("x-{n}"), secret))).await;
}

/// The same at the authorization server's endpoints.
async fn plant_at_issuer(
    said: &mut Said,
    client: &Client,
    process: &Process,
    registered: &RegisteredClient,
    secret: &str,
) {
    let id = registered.client_id.as_str();
    let token = process.url("issuer", "/token");
    for form in [
        vec![("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)],
        vec![("grant_type", "authorization_code"), ("client_id", id), ("code", secret), ("code_verifier", secret)],
        vec![("grant_type", "refresh_token"), ("client_id", id), ("refresh_token", secret)],
        vec![("grant_type", "password"), ("username", "u"), ("password", secret)],
        vec![("grant_type", secret), ("scope", secret), ("resource", secret)],
    ] {
        said.ask("token", client.post(&token).form(&form)).await;
        said.ask("token as client", client.post(&token).basic_auth(id, Some(secret)).form(&form)).await;
    }
    said.ask("token in the URL", client.get(format!("{token}?client_secret={secret}&refresh_token={secret}"))).await;
    for endpoint in ["/introspect", "/revoke"] {
        let endpoint = process.url("issuer", endpoint);
        let known = registered.client_secret.as_ref().map(|known| known.expose());
        said.ask("token asked about", client.post(&endpoint).basic_auth(id, known).form(&[("token", secret)])).await;
        said.ask("wrong client secret", client.post(&endpoint).basic_auth(id, Some(secret)).form(&[("token", secret)]))
            .await;
    }
    for page in ["/authorize", "/login", "/grants"] {
        let page = process.url("issuer", page);
        let form = [("username", "u"), ("password", secret), ("csrf", secret), ("csrf_token", secret)];
        said.ask("page", client.post(&page).form(&form)).await;
    }
}

#[tokio::test]
async fn xc_10_no_secret_is_found_in_logs_counters_answers_or_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let process = Process::start(&configuration(folder.path()));
    let control = Client::builder().unix_socket(process.ready.control.clone()).build().expect("a client");
    let (client, mut said) = (Client::builder().no_proxy().build().expect("a client"), Said::default());
    let post = async |path: &str, body: Value| {
        let answer = control.post(format!("http://control{path}")).json(&body).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer
    };

    // Real secrets, as they are handed out once.
    let mut secrets: BTreeMap<String, String> = BTreeMap::new();
    let mut presented: Vec<(String, String)> = Vec::new();
    for profile in ["api-key", "basic", "jwt", "mixed"] {
        let path = format!("/profiles/{profile}/credentials");
        let issued = post(&path, json!({ "count": 3, "scopes": [READ_SCOPE] })).await;
        for (number, credential) in issued.json::<Vec<Issued>>().await.expect("credentials").iter().enumerate() {
            let (secret, field) = secret_of(credential);
            secrets.insert(format!("{profile} {number}"), secret);
            presented.push((profile.to_owned(), field));
        }
    }
    let registration = json!({
        "name": "app", "confidential": true, "grant_types": ["client_credentials"], "scopes": [READ_SCOPE],
        "may_introspect": true,
    });
    let registered: RegisteredClient = post("/clients", registration).await.json().await.expect("a client");
    let client_secret = registered.client_secret.as_ref().expect("a secret").expose();
    secrets.insert("client secret".to_owned(), client_secret.to_owned());
    let password = "hunter2-with-the-long-memory";
    post("/users", json!({ "username": "alice", "password": password })).await;
    secrets.insert("user's password".to_owned(), password.to_owned());
    let request = client.post(process.url("issuer", "/token")).basic_auth(&registered.client_id, Some(client_secret));
    let answer = request.form(&[("grant_type", "client_credentials")]).send().await.expect("an answer");
    let answer: Value = answer.json().await.expect("JSON");
    let token = answer["access_token"].as_str().expect("a token");
    secrets.insert("opaque token".to_owned(), token.to_owned());
    presented.extend(["oauth2", "mixed"].map(|profile| (profile.to_owned(), format!("Bearer {token}"))));
    // And one that nobody issued.
    secrets.insert("planted".to_owned(), "planted-Zq7Xv0Lk3MwT9pRb".to_owned());

    // They work, so that what follows is about them.
    for (profile, field) in &presented {
        let request = client.get(process.url("main", &format!("/{profile}"))).header("authorization", field);
        let body = said.ask(profile, request).await;
        assert!(body.contains("\"principal\""), "{profile}: {body}");
    }
    let shown = secrets.values().cloned().collect::<Vec<_>>();
    let over_h2 = Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    for secret in &shown {
        for profile in ["api-key", "basic", "jwt", "oauth2", "mixed"] {
            plant(&mut said, &client, &process.url("main", &format!("/{profile}")), secret).await;
        }
        plant(&mut said, &over_h2, &process.url("h2", "/api-key"), secret).await;
        plant_at_issuer(&mut said, &client, &process, &registered, secret).await;
        // An administrator's slip.
        for (path, body) in [
            ("/users", json!({ "username": 5, "password": secret })),
            ("/users", json!({ "username": "alice", "password": secret, "also": secret })),
            ("/profiles/basic/credentials", json!({ "count": secret, "scopes": [] })),
            ("/clients", json!({ "name": "x", "confidential": true, "grant_types": [], "secret": secret })),
        ] {
            said.ask("control", control.post(format!("http://control{path}")).json(&body)).await;
        }
    }
    // Stores that fail log why.
    for profile in ["api-key", "basic", "jwt"] {
        let file = folder.path().join(format!("state/{profile}/store.sqlite"));
        let meddler = rusqlite::Connection::open(file).expect("the database");
        meddler.execute_batch("DROP TABLE keys; DROP TABLE users; DROP TABLE revocations").expect("dropped");
    }
    for (profile, field) in &presented {
        let request = client.get(process.url("main", &format!("/{profile}"))).header("authorization", field);
        said.ask("a store that failed", request).await;
    }
    for path in ["/counters", "/config", "/health"] {
        said.ask(path, control.get(format!("http://control{path}"))).await;
    }

    let log = process.end();
    assert!(log.contains("refused") && log.contains("DEBUG"), "the log is on: {log}");
    assert!(log.contains("store failed"), "so are errors");
    assert!(said.0.len() > 1000, "{} answers were heard", said.0.len());
    for (name, secret) in &secrets {
        for form in forms(secret) {
            if let Some(line) = log.lines().find(|line| line.contains(&form)) {
                panic!("the log has the {name}: {line}");
            }
            if let Some((what, answer)) = said.0.iter().find(|(_, answer)| answer.contains(&form)) {
                panic!("an answer ({what}) has the {name}: {answer}");
            }
        }
    }
}
