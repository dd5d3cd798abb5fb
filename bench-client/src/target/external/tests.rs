//! A small server of the test's in the place of the user's.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bench_server::contract::{Material, Secret};
use tokio::net::TcpListener;

use super::super::fake::{Request, serve};
use super::*;
use crate::scenario::{self, Overrides};

const KEYS: &str = "good-0\tapp-0\tid 0\ngood-1\tapp-1\tid 1\n\ngood-2\tapp-2\tid 2\n";

/// A folder with a file of credentials, and a scenario whose variant `x` says `variant`.
struct Stage {
    folder: tempfile::TempDir,
    variant: String,
}

impl Stage {
    fn new(variant: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("keys.txt"), KEYS).expect("writable");
        Self { folder, variant: variant.to_owned() }
    }

    fn plan(&self, address: SocketAddr) -> Plan {
        let text = format!(
            "[target]\nurl = \"http://{address}/whoami\"\n[[variant]]\nname = \"none\"\nmethod = \"none\"\n[[variant]]\n\
             name = \"x\"\n{}\n[[measurement]]\nkind = \"throughput\"\nconnections = 1\nwarmup = \"1ms\"\nmeasure = \
             \"1ms\"\n",
            self.variant.replace("ADDRESS", &address.to_string())
        );
        let file = self.folder.path().join("test.toml");
        scenario::resolve(&file, &text, &Overrides::default()).expect("no mistakes").plan
    }

    /// Carries out `work` on what attaching to a server that answers by `answer` came to.
    async fn attach<T>(
        &self,
        mut answer: impl FnMut(&Request) -> (u16, String),
        work: impl AsyncFnOnce(Result<External, String>) -> T,
    ) -> T {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let plan = self.plan(listener.local_addr().expect("it is bound"));
        let server = async {
            loop {
                let (stream, _) = listener.accept().await.expect("the listener lives");
                serve(stream, &mut answer).await;
            }
        };
        let target = plan.target.as_ref().expect("given");
        let external = plan.variant("x").and_then(|variant| variant.method.external()).expect("given");
        tokio::select! {
            result = async { work(External::attach(&plan, target, external, true).await).await } => result,
            () = server => unreachable!("it serves for ever"),
        }
    }

    async fn refusal(&self, answer: impl FnMut(&Request) -> (u16, String)) -> String {
        self.attach(answer, async |attached| attached.err()).await.expect("it is refused")
    }
}

/// Accepts `X-API-Key: good-N` as the principal `app-N`.
fn by_key(request: &Request) -> (u16, String) {
    let key = request.head.lines().find_map(|line| line.strip_prefix("X-API-Key: good-"));
    match key {
        Some(number) if number.parse::<u32>().is_ok() => (200, format!("I know app-{number}.")),
        _ => (401, "who are you?".to_owned()),
    }
}

const BY_KEY: &str = "method = \"api-key\"\nheader = \"X-API-Key: {credential}\"\ncredentials = { file = \"keys.txt\" }\n\
                      accepted = { body_contains = \"know {principal}.\" }";

#[tokio::test]
async fn credentials_are_handed_out_once_each() {
    let taken = Stage::new(BY_KEY)
        .attach(by_key, async |attached| {
            let external = attached.expect("it answers as the scenario says");
            let first = external.take(2).await.expect("there are three");
            let error = external.take(2).await.expect_err("only one is left");
            assert!(error.contains("keys.txt holds 3") && error.contains("needs 4"), "{error}");
            first.into_iter().chain(external.take(1).await.expect("one is left")).collect::<Vec<_>>()
        })
        .await;
    let ids: Vec<&str> = taken.iter().map(|credential| credential.id.as_str()).collect();
    assert_eq!(ids, ["id 0", "id 1", "id 2"]);
    assert_eq!(taken[2].principal, "app-2");
    assert_eq!(taken[2].material, Material::ApiKey { key: Secret::new("good-2") });
}

#[tokio::test]
async fn a_credential_that_is_not_accepted_stops_the_run_and_is_not_shown() {
    let stage = Stage::new(BY_KEY);
    // The server repeats what it was sent.
    let error = stage.refusal(|request| (418, request.head.clone())).await;
    assert!(error.contains("should be accepted was not") && error.contains("418"), "{error}");
    assert!(error.contains("id 0") && error.contains("x-api-key: [secret]"), "{error}");
    assert!(!error.contains("good-0"), "{error}");
    let error = stage.refusal(|_| (200, "I know app-7.".to_owned())).await;
    assert!(error.contains("200") && error.contains("know {principal}."), "{error}");
}

#[tokio::test]
async fn a_route_that_lets_everyone_in_is_not_measured() {
    let stage = Stage::new(BY_KEY);
    let error = stage.refusal(|_| (200, "I know app-0.".to_owned())).await;
    assert!(error.contains("without a credential was accepted"), "{error}");
    let any_key = |request: &Request| match request.head.contains("X-API-Key") {
        true => (200, "I know app-0.".to_owned()),
        false => (401, String::new()),
    };
    let error = stage.refusal(any_key).await;
    assert!(error.contains("made-up credential was accepted"), "{error}");
    let elsewhere = |request: &Request| match by_key(request) {
        (401, _) => (404, "nothing here".to_owned()),
        answer => answer,
    };
    let error = stage.refusal(elsewhere).await;
    assert!(error.contains("not rejected as the scenario says") && error.contains("404"), "{error}");
    assert!(error.contains("rejected is 401, 403"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_an_error_with_every_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let stage = Stage::new(BY_KEY);
    let plan = stage.plan(address);
    drop(listener);
    let external = plan.variant("x").and_then(|variant| variant.method.external()).expect("given");
    let error = External::attach(&plan, plan.target.as_ref().expect("given"), external, true).await.err();
    let error = error.expect("nobody is there");
    assert!(error.contains(&address.to_string()) && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn passwords_travel_as_basic_and_users_are_their_own_principals() {
    let stage = Stage::new(
        "method = \"basic\"\ncredentials = { file = \"users.txt\" }\naccepted = { body_contains = \"{principal}\" }",
    );
    fs::write(stage.folder.path().join("users.txt"), "alice:p:w\n").expect("writable");
    let answer = |request: &Request| match request.head.contains("Authorization: Basic YWxpY2U6cDp3") {
        true => (200, "alice".to_owned()),
        false => (401, String::new()),
    };
    let taken = stage.attach(answer, async |attached| attached.expect("attached").take(1).await).await;
    assert_eq!(taken.expect("one")[0].id, "alice");
}

#[tokio::test]
async fn mistakes_in_a_file_are_told_by_line_and_show_no_secret() {
    let revoked_by_id = "revoke = { command = [\"true\", \"{id}\"] }";
    for (keys, says) in [
        ("", "nothing in it"),
        ("a\tb\tc\thunter2\n", ":1: more than three columns"),
        ("good-0\tapp-0\nhunter2\n", ":2: no principal"),
        ("\tapp\n", ":1: no credential"),
    ] {
        let stage = Stage::new(&format!("{BY_KEY}\n{revoked_by_id}"));
        fs::write(stage.folder.path().join("keys.txt"), keys).expect("writable");
        let error = stage.refusal(by_key).await;
        assert!(error.contains("keys.txt") && error.contains(says), "{says}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let stage = Stage::new(&format!("{}\n{revoked_by_id}", BY_KEY.replace("know {principal}.", "know")));
    fs::write(stage.folder.path().join("keys.txt"), "good-0\n").expect("writable");
    let error = stage.refusal(by_key).await;
    assert!(error.contains(":1: no id"), "{error}");
    fs::remove_file(stage.folder.path().join("keys.txt")).expect("it was there");
    let error = stage.refusal(by_key).await;
    assert!(error.contains("keys.txt: No such file"), "{error}");
}

/// `PATH` is in every environment, and serves as a secret here.
const TOKENS: &str = "method = \"oauth2\"\ncredentials = { token_request = { url = \"http://ADDRESS/token\", client_id = \
                      \"me\", client_secret = \"${PATH}\", scope = \"read\", principal = \"me\" } }";

#[tokio::test]
async fn tokens_are_asked_for_one_by_one() {
    let mut numbers = 0..;
    let answer = |request: &Request| {
        if request.line == "POST /token" {
            assert_eq!(request.body, "grant_type=client_credentials&scope=read");
            let number = numbers.next().expect("endless");
            return (200, format!("{{\"access_token\":\"token{number}\",\"token_type\":\"Bearer\"}}"));
        }
        let ours = request.head.lines().any(|line| line.starts_with("Authorization: Bearer token"));
        if ours { (200, String::new()) } else { (401, String::new()) }
    };
    let tokens = Stage::new(TOKENS)
        .attach(answer, async |attached| attached.expect("attached").take(30).await)
        .await
        .expect("all are given");
    let distinct: BTreeSet<String> = tokens.iter().map(environment::presented).collect();
    assert_eq!((tokens.len(), distinct.len()), (30, 30));
    assert!(tokens.iter().all(|token| token.principal == "me" && !token.id.contains("token0")));
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_without_the_secret() {
    let secret = std::env::var("PATH").expect("in every environment");
    let echo = secret.clone();
    let error = Stage::new(TOKENS).refusal(move |_| (401, format!("invalid_client: {echo}"))).await;
    assert!(error.contains("401") && error.contains("invalid_client: [secret]"), "{error}");
    assert!(!error.contains(&secret), "{error}");
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_named() {
    let stage = Stage::new("method = \"jwt\"\ncredentials = { env = \"AUTHBENCH_TEST_IS_NOT_SET\" }");
    let error = stage.refusal(by_key).await;
    assert!(error.contains("AUTHBENCH_TEST_IS_NOT_SET in the environment"), "{error}");
}

#[tokio::test]
async fn a_process_that_does_not_run_is_told() {
    let stage = Stage::new(BY_KEY);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let plan = stage.plan(listener.local_addr().expect("it is bound"));
    let target = TargetPlan { processes: Some(TargetProcesses::Pid(u32::MAX)), ..plan.target.clone().expect("given") };
    let external = plan.variant("x").and_then(|variant| variant.method.external()).expect("given");
    let error = External::attach(&plan, &target, external, true).await.err().expect("no such process");
    #[cfg(target_os = "linux")]
    assert!(error.contains(&u32::MAX.to_string()), "{error}");
    #[cfg(not(target_os = "linux"))]
    assert!(error.contains("cannot be listed"), "{error}");
}

#[tokio::test]
async fn a_request_revokes_and_its_answer_acknowledges() {
    let revoke = "revoke = { request = { method = \"POST\", url = \"http://ADDRESS/revoke/{id}\", header = \"X-Admin: \
                  ${PATH}\", form = { token = \"{credential}\", hint = \"access_token\" }, status = [202] } }";
    let mut asked = Vec::new();
    let answer = |request: &Request| {
        if request.line.starts_with("POST /revoke/") {
            asked.push((request.line.clone(), request.body.clone()));
            assert!(request.head.to_ascii_lowercase().contains("x-admin: "), "{}", request.head);
            return if asked.len() == 1 { (202, String::new()) } else { (500, request.body.clone()) };
        }
        by_key(request)
    };
    let error = Stage::new(&format!("{BY_KEY}\n{revoke}"))
        .attach(answer, async |attached| {
            let external = attached.expect("attached");
            let credential = &external.take(1).await.expect("one")[0];
            external.revoke(credential).await.expect("acknowledged");
            external.revoke(credential).await.expect_err("500 does not acknowledge")
        })
        .await;
    assert_eq!(asked[0], ("POST /revoke/id%200".to_owned(), "hint=access_token&token=good-0".to_owned()));
    assert!(error.contains("500") && error.contains("token=[secret]") && !error.contains("good-0"), "{error}");
}

fn script(folder: &Path, text: &str) {
    let path = folder.join("revoke.sh");
    fs::write(&path, text).expect("writable");
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).expect("it is ours");
}

#[tokio::test]
async fn a_command_revokes_and_gets_the_secret_on_its_standard_input_only() {
    let stage = Stage::new(&format!("{BY_KEY}\nrevoke = {{ command = [\"sh\", \"./revoke.sh\", \"{{id}}\"] }}"));
    script(stage.folder.path(), "read -r key\nprintf '%s|%s' \"$*\" \"$key\" >said\n");
    let error = stage
        .attach(by_key, async |attached| {
            let external = attached.expect("attached");
            let credential = &external.take(1).await.expect("one")[0];
            external.revoke(credential).await.expect("acknowledged");
            script(stage.folder.path(), "read -r key\necho \"no $key here\" >&2\nexit 3\n");
            external.revoke(credential).await.expect_err("3 is a failure")
        })
        .await;
    assert_eq!(fs::read_to_string(stage.folder.path().join("said")).expect("written"), "id 0|good-0");
    assert!(error.contains("exit status: 3") && error.contains("no [secret] here"), "{error}");
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_told() {
    let stage = Stage::new(&format!("{BY_KEY}\nrevoke = {{ command = [\"./no-such-command\"] }}"));
    let error = stage
        .attach(by_key, async |attached| {
            let external = attached.expect("attached");
            let credential = &external.take(1).await.expect("one")[0];
            external.revoke(credential).await.expect_err("there is none")
        })
        .await;
    assert!(error.contains("cannot execute") && error.contains("no-such-command"), "{error}");
}

#[test]
fn roots_are_certificates_in_pem() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ca.pem");
    fs::write(&path, "nothing\n").expect("writable");
    assert!(pem_roots(&path).expect_err("no certificate").contains("no certificate in it"));
    let error = pem_roots(&folder.path().join("b.pem")).expect_err("no file");
    assert!(error.contains("b.pem"), "{error}");
}
