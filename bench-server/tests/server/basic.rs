//! HTTP Basic over the wire: users that people register, the brake on guessing, and sessions.
use std::time::Duration;

use crate::common::{Answer, Caller, Server, basic};
use bench_server::contract::{
    BasicConfig, CacheConfig, Material, MethodConfig, NewPassword, NewUser, PasswordHash, READ_SCOPE, Secret,
    SessionConfig,
};
use reqwest::StatusCode;

/// Cheap: the tests are about answers, not about cost.
const CHEAP: PasswordHash = PasswordHash::Pbkdf2Sha256 { iterations: 2 };

fn user(name: &str, password: &str) -> NewUser {
    NewUser {
        username: name.to_owned(),
        password: Secret::new(password),
        scopes: vec![READ_SCOPE.to_owned()],
        lifetime: None,
        hash: None,
    }
}

async fn start(config: BasicConfig) -> Server {
    Server::start(MethodConfig::Basic(config)).await
}

/// A user that somebody chose the password of.
async fn register(server: &Server, name: &str, password: &str) {
    server.control_post("/profiles/subject/users", &user(name, password)).await;
}

/// An administrator, who is told of mistakes.
fn control(server: &Server) -> reqwest::Client {
    reqwest::Client::builder().unix_socket(server.running().ready().control.clone()).build().expect("a client")
}

async fn present(server: &Server, value: &str) -> Answer {
    server.call_with("/whoami", &[("authorization", value)]).await
}

#[tokio::test]
async fn ba_1_the_challenge_names_realm_and_charset_and_nothing_else() {
    let server = start(BasicConfig::new(CHEAP)).await;
    let Answer::Http { status: 401, challenges, .. } = server.call_with("/whoami", &[]).await else { panic!("no 401") };
    assert_eq!(challenges, ["Basic realm=\"authbench\", charset=\"UTF-8\""]);
    let wrong = present(&server, &basic("anna", "wrong")).await;
    let Answer::Http { status: 401, challenges: same, .. } = wrong else { panic!("no 401") };
    assert_eq!(challenges, same);
    server.stop().await;
}

#[tokio::test]
async fn ba_2_ba_3_ba_4_the_characters_of_a_password_and_how_they_are_sent() {
    let server = start(BasicConfig::new(CHEAP)).await;
    register(&server, "test", "123\u{a3}").await;
    register(&server, "anna", "caf\u{e9}:au:lait").await;
    register(&server, "long", &"p".repeat(900)).await;
    present(&server, "Basic dGVzdDoxMjPCow==").await.assert_accepted("test");
    present(&server, "bASIC   dGVzdDoxMjPCow==").await.assert_accepted("test");
    for spelling in ["caf\u{e9}:au:lait", "cafe\u{301}:au:lait"] {
        present(&server, &basic("anna", spelling)).await.assert_accepted("anna");
    }
    present(&server, &basic("long", &"p".repeat(900))).await.assert_accepted("long");
    // Upper case, one more, in Latin-1, with a space behind the name.
    let wrong =
        [basic("anna", "CAF\u{c9}:AU:LAIT"), basic("anna", "caf\u{e9}:au:laits"), basic("anna ", "caf\u{e9}:au:lait")];
    for value in wrong.iter().map(String::as_str).chain(["Basic dGVzdDoxMjOj", "Basic dGVzdDoxMjPCow"]) {
        present(&server, value).await.assert_challenge("Basic", None);
    }
    server.stop().await;
}

#[tokio::test]
async fn ba_5_users_that_the_scheme_cannot_carry_are_not_made() {
    let server = start(BasicConfig::new(CHEAP)).await;
    let control = control(&server);
    let post = async |user: &NewUser| {
        let answer = control.post("http://control/profiles/subject/users").json(user).send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("a text"))
    };
    for (name, password) in [("an:na", "pass"), ("an\tna", "pass"), ("", "pass"), ("anna", ""), ("anna", "pa\u{7}ss")] {
        let (status, text) = post(&user(name, password)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{name:?} {password:?}");
        assert!(password.is_empty() || !text.contains(password), "{text}");
    }
    assert_eq!(post(&user("anna", "pass")).await.0, StatusCode::CREATED);
    assert_eq!(post(&user("anna", "other")).await.0, StatusCode::BAD_REQUEST, "the name is taken");
    present(&server, &basic("anna", "pass")).await.assert_accepted("anna");
    server.stop().await;
}

#[tokio::test]
async fn ba_16_ba_17_a_brake_is_told_in_the_fields_of_a_quota() {
    let server = start(BasicConfig { throttle: true, hash_queue: 64, ..BasicConfig::new(CHEAP) }).await;
    register(&server, "anna", "correct horse").await;
    let client = server.client().build().expect("a client");
    let attempt = async |name: &str, password: &str| {
        let answer = client.get(server.whoami()).header("authorization", basic(name, password)).send().await;
        let answer = answer.expect("an answer");
        let told = |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
        let fields = ["retry-after", "ratelimit-policy", "ratelimit", "www-authenticate"].map(told);
        let status = answer.status().as_u16();
        (status, fields, answer.text().await.expect("a text"))
    };
    let mut told = Vec::new();
    for name in ["anna", "nobody"] {
        // The wait doubles with each failure, so that however slow this is, some attempt comes too soon.
        let mut answers: Vec<(u16, [Option<String>; 4], String)> = Vec::new();
        while answers.last().is_none_or(|(status, ..)| *status != 429) {
            assert!(answers.len() < 40, "{answers:?}");
            answers.push(attempt(name, "wrong").await);
        }
        assert!(answers.len() > 10 && answers[..10].iter().all(|(status, ..)| *status == 401), "{answers:?}");
        let (_, [retry_after, policy, ratelimit, challenge], body) = answers.pop().expect("the last");
        assert_eq!((challenge, policy.as_deref()), (None, Some("\"account\";q=10;w=86400")));
        assert!(retry_after.expect("told").parse::<u32>().expect("seconds") >= 1);
        assert!(ratelimit.expect("told").starts_with("\"account\";r=0;t="));
        assert!(body.contains("quota-exceeded"), "{body}");
        told.push((policy, body));
    }
    assert_eq!(told[0], told[1]);
    server.stop().await;
}

#[tokio::test]
async fn ba_19_another_password_ends_the_old_one_on_open_connections_too() {
    let cache = Some(CacheConfig::new(Duration::from_secs(60)));
    let server = start(BasicConfig { cache, ..BasicConfig::new(CHEAP) }).await;
    register(&server, "anna", "correct horse").await;
    let password = Secret::new("correct horse");
    let old = Material::Password { username: "anna".to_owned(), password };
    let caller = Caller::new(&server, &old);
    caller.call().await.assert_accepted("anna");
    caller.call().await.assert_accepted("anna");
    let control = control(&server);
    let put = async |name: &str, password: &str| {
        let url = format!("http://control/profiles/subject/users/{name}/password");
        let password = NewPassword { password: Secret::new(password) };
        control.put(url).json(&password).send().await.expect("an answer").status()
    };
    assert_eq!(put("anna", "battery staple").await, StatusCode::NO_CONTENT);
    caller.call().await.assert_challenge("Basic", None);
    server.call(&old).await.assert_challenge("Basic", None);
    present(&server, &basic("anna", "battery staple")).await.assert_accepted("anna");
    assert_eq!(put("nobody", "battery staple").await, StatusCode::NOT_FOUND);
    assert_eq!(put("anna", "").await, StatusCode::BAD_REQUEST);
    present(&server, &basic("anna", "battery staple")).await.assert_accepted("anna");
    server.stop().await;
}

#[tokio::test]
async fn ba_22_a_session_is_opened_by_post_and_presented_as_a_bearer_token() {
    let session = Some(SessionConfig { lifetime: Duration::from_secs(60) });
    let server = start(BasicConfig { session, ..BasicConfig::new(CHEAP) }).await;
    register(&server, "anna", "correct horse").await;
    let client = server.client().build().expect("a client");
    let open = async |verb: reqwest::Method, authorization: &str| {
        let request =
            client.request(verb, format!("{}/session", server.whoami())).header("authorization", authorization);
        request.send().await.expect("an answer")
    };
    let answer = open(reqwest::Method::POST, &basic("anna", "correct horse")).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: serde_json::Value = answer.json().await.expect("JSON");
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["scope"]),
        (&"Bearer".into(), &60.into(), &"read".into())
    );
    let bearer = format!("Bearer {}", body["access_token"].as_str().expect("a token"));
    let before = server.counters().await;
    for _ in 0..3 {
        present(&server, &bearer).await.assert_accepted("anna");
    }
    let cost = server.counters().await.since(&before);
    assert_eq!((cost.hash_calls, cost.store_lookups, cost.verify_calls), (0, 3, 3));

    // Who presents a session is challenged for one, and for the password that opens it.
    server.advance(Duration::from_secs(61)).await;
    let Answer::Http { status: 401, challenges, .. } = present(&server, &bearer).await else { panic!("no 401") };
    assert!(challenges[0].starts_with("Basic realm=") && challenges[1].contains("error=\"invalid_token\""));
    for (verb, authorization, status) in [
        (reqwest::Method::POST, basic("anna", "wrong"), 401),
        (reqwest::Method::POST, bearer.clone(), 401),
        (reqwest::Method::GET, basic("anna", "wrong"), 401),
        (reqwest::Method::GET, basic("anna", "correct horse"), 405),
    ] {
        assert_eq!(open(verb.clone(), &authorization).await.status().as_u16(), status, "{verb}");
    }
    server.stop().await;

    let without = start(BasicConfig::new(CHEAP)).await;
    register(&without, "anna", "correct horse").await;
    let answer = without.call_with("/whoami/session", &[("authorization", &basic("anna", "correct horse"))]).await;
    assert_eq!(answer.status(), Some(404));
    without.stop().await;
}
