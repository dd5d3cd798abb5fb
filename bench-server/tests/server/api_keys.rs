//! API keys over HTTP: managed by their owners, limited, billed, reported, and refused where users are asked for.
use std::num::NonZeroU32;
use std::time::Duration;

use crate::common::{Answer, Server, basic, listener, profile};
use bench_server::contract::{
    ApiKeyConfig, BasicConfig, HttpVersion, Issued, KeyEnvironment, KeyManagementConfig, KeySummary, KeyUsage,
    LimitConfig, ListenerConfig, Material, MeteringConfig, MethodConfig, PasswordHash, Profile, READ_SCOPE,
    StoreConfig, Transport,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};

const MANAGE: &str = "keys:manage";

fn limit(requests: u32, seconds: u64) -> LimitConfig {
    LimitConfig { requests: NonZeroU32::new(requests).expect("not zero"), window: Duration::from_secs(seconds) }
}

/// A server whose keys are managed over HTTP.
async fn managed(config: ApiKeyConfig, reports: Option<LimitConfig>) -> Server {
    let standard = KeyManagementConfig::new("subject");
    let reports = reports.unwrap_or(standard.reports);
    let main = ListenerConfig {
        profiles: vec![profile(MethodConfig::ApiKey(config))],
        key_management: Some(KeyManagementConfig { reports, ..standard }),
        ..listener(Transport::Tls13, HttpVersion::Http1)
    };
    Server::start_with(vec![main], None).await
}

fn key(issued: &Issued) -> String {
    let Material::ApiKey { key } = &issued.material else { panic!("not a key: {issued:?}") };
    key.expose().to_owned()
}

async fn send(server: &Server, verb: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Response {
    let mut request = server.client().build().expect("a client").request(verb, format!("{}{path}", server.url()));
    if let Some(key) = key {
        request = request.header("x-api-key", key);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    request.send().await.expect("an answer")
}

fn field(answer: &Response, name: &str) -> String {
    answer.headers().get(name).unwrap_or_else(|| panic!("no {name}: {answer:?}")).to_str().expect("text").to_owned()
}

async fn control<T: serde::de::DeserializeOwned>(server: &Server, path: &str) -> T {
    let socket = server.running().ready().control.clone();
    let client = reqwest::Client::builder().unix_socket(socket).build().expect("a client");
    client
        .get(format!("http://control{path}"))
        .send()
        .await
        .expect("an answer")
        .json()
        .await
        .expect("what was asked for")
}

async fn works(server: &Server, key: &str) -> u16 {
    server.call_with("/whoami", &[("x-api-key", key)]).await.status().expect("HTTP")
}

#[tokio::test]
async fn ak_2_ak_14_ak_16_an_owner_issues_lists_replaces_and_revokes_keys() {
    let server = managed(ApiKeyConfig::new(StoreConfig::Sqlite), None).await;
    let (manager, stranger) =
        (server.issue(&[READ_SCOPE, MANAGE], None).await, server.issue(&[READ_SCOPE], None).await);
    let by = key(&manager);
    let asked = json!({"scopes": [READ_SCOPE], "lifetime": "1h"});

    let answer = send(&server, Method::POST, "/keys", Some(&by), Some(&asked)).await;
    assert_eq!(answer.status(), 201);
    assert_eq!(field(&answer, "cache-control"), "no-store");
    let place = field(&answer, "location");
    let made: Value = answer.json().await.expect("JSON");
    let first = made["key"].as_str().expect("the key").to_owned();
    assert_eq!(place, format!("/keys/{}", made["id"].as_str().expect("an id")));
    server.call_with("/whoami", &[("x-api-key", &first)]).await.assert_accepted(&manager.principal);

    let answer = send(&server, Method::GET, "/keys", Some(&by), None).await;
    assert_eq!((answer.status().as_u16(), field(&answer, "cache-control")), (200, "no-store".to_owned()));
    let text = answer.text().await.expect("text");
    let listed: Vec<KeySummary> = serde_json::from_str(&text).expect("keys");
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.iter().all(|key| key.owner == manager.principal));
    assert!(!text.contains(&first[8..20]) && !text.contains(&first[20..32]));
    let one: KeySummary = send(&server, Method::GET, &place, Some(&by), None).await.json().await.expect("a key");
    assert!(listed.contains(&one) && one.last4 == first[first.len() - 4..], "{one:?}");

    let rotate = format!("{place}/rotate");
    let overlap = json!({"overlap": "1m"});
    let answer = send(&server, Method::POST, &rotate, Some(&by), Some(&overlap)).await;
    assert_eq!(answer.status(), 201);
    let successor = field(&answer, "location");
    let second = answer.json::<Value>().await.expect("JSON")["key"].as_str().expect("the key").to_owned();
    assert_eq!((works(&server, &first).await, works(&server, &second).await), (200, 200));
    for place in [&rotate, &format!("{successor}/rotate")] {
        let third = send(&server, Method::POST, place, Some(&by), Some(&overlap)).await;
        assert_eq!((third.status().as_u16(), field(&third, "content-type")), (409, "application/problem+json".into()));
    }
    server.advance(Duration::from_secs(60)).await;
    assert_eq!((works(&server, &first).await, works(&server, &second).await), (401, 200));

    for expected in [204, 204] {
        let answer = send(&server, Method::DELETE, &successor, Some(&by), None).await;
        assert_eq!(answer.status(), expected);
        assert!(answer.bytes().await.expect("a body").is_empty());
    }
    assert_eq!(works(&server, &second).await, 401);

    // Others find nothing, and without the scope nobody manages.
    let others = format!("/keys/{}", stranger.id);
    for (verb, place) in
        [(Method::GET, others.clone()), (Method::DELETE, others.clone()), (Method::POST, format!("{others}/rotate"))]
    {
        assert_eq!(send(&server, verb, &place, Some(&by), None).await.status(), 404, "{place}");
    }
    let answer = send(&server, Method::GET, "/keys", Some(&key(&stranger)), None).await;
    assert_eq!(answer.status(), 403);
    assert!(field(&answer, "www-authenticate").contains("scope=\"keys:manage\""));
    let answer = send(&server, Method::GET, "/keys", None, None).await;
    assert_eq!(
        (answer.status().as_u16(), field(&answer, "www-authenticate")),
        (401, "Bearer realm=\"authbench\"".into())
    );
    assert_eq!(works(&server, &key(&stranger)).await, 200);
    let more = json!({"scopes": ["admin"]});
    let answer = send(&server, Method::POST, "/keys", Some(&by), Some(&more)).await;
    assert_eq!(answer.status(), 403, "nobody gives away what they do not have");
    let brief = json!({"scopes": [MANAGE], "lifetime": "1h"});
    let brief: Value = send(&server, Method::POST, "/keys", Some(&by), Some(&brief)).await.json().await.expect("JSON");
    let brief = brief["key"].as_str().expect("the key");
    let more = send(&server, Method::POST, "/keys", Some(brief), Some(&json!({"lifetime": "2h"}))).await;
    assert_eq!(more.status(), 403);
    let problem: Value = more.json().await.expect("a problem");
    assert!(problem["type"].as_str().expect("a type").ends_with("/lifetime-not-held"), "{problem}");
    let wrong = send(&server, Method::POST, "/keys", Some(&by), Some(&json!({"key": first}))).await;
    assert_eq!(wrong.status(), 400);
    assert!(!wrong.text().await.expect("text").contains(&first));
    let (unknown, verb) = (
        send(&server, Method::GET, "/keys/a/b", Some(&by), None).await,
        send(&server, Method::PUT, "/keys", Some(&by), None).await,
    );
    assert_eq!((unknown.status().as_u16(), verb.status().as_u16()), (404, 405));
    server.stop().await;
}

#[tokio::test]
async fn ak_20_ak_21_bc_036_a_limited_key_is_told_so_and_served_again_after_the_wait() {
    let config = ApiKeyConfig { limit: Some(limit(3, 60)), ..ApiKeyConfig::new(StoreConfig::Memory) };
    let server = Server::start(MethodConfig::ApiKey(config)).await;
    let (a, b) = (key(&server.issue(&[READ_SCOPE], None).await), key(&server.issue(&[READ_SCOPE], None).await));
    let ask = async |key: &str| send(&server, Method::GET, "/whoami", Some(key), None).await;
    for left in [2, 1, 0] {
        let answer = ask(&a).await;
        assert_eq!((answer.status().as_u16(), field(&answer, "ratelimit-policy")), (200, "\"key\";q=3;w=60".into()));
        assert!(field(&answer, "ratelimit").starts_with(&format!("\"key\";r={left};t=")), "{answer:?}");
    }
    let refused = ask(&a).await;
    assert_eq!((refused.status().as_u16(), field(&refused, "ratelimit-policy")), (429, "\"key\";q=3;w=60".into()));
    let wait: u64 = field(&refused, "retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&wait) && field(&refused, "ratelimit") == format!("\"key\";r=0;t={wait}"), "{refused:?}");
    let problem: Value = refused.json().await.expect("a problem");
    assert!(problem["type"].as_str().expect("a type").ends_with("/quota-exceeded"), "{problem}");
    assert_eq!(ask(&b).await.status(), 200);
    server.advance(Duration::from_secs(wait)).await;
    assert_eq!(ask(&a).await.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn ak_19_every_accepted_request_is_billed_once_with_64_in_flight() {
    let config = ApiKeyConfig {
        limit: Some(limit(500, 3_600)),
        metering: Some(MeteringConfig::default()),
        ..ApiKeyConfig::new(StoreConfig::Sqlite)
    };
    let server = Server::start(MethodConfig::ApiKey(config)).await;
    let (one, two) = (server.issue(&[READ_SCOPE], None).await, server.issue(&[READ_SCOPE], None).await);
    let without_scope = key(&server.issue(&["other"], None).await);
    let (first, second) = (key(&one), key(&two));
    let client = server.client().build().expect("a client");
    let (client, url) = (&client, &server.whoami());
    let send =
        async |key: &str| client.get(url).header("x-api-key", key).send().await.expect("an answer").status().as_u16();
    use futures_util::StreamExt as _;
    let keys = (0..900).map(|number| match number % 9 {
        0 => &*without_scope,
        1 => "ab_live_malformed",
        2..4 => &*second,
        _ => &*first,
    });
    let answers: Vec<_> = futures_util::stream::iter(keys)
        .map(|key| async move { (key, send(key).await) })
        .buffer_unordered(64)
        .collect()
        .await;
    let accepted = |of: &str| answers.iter().filter(|(key, status)| *key == of && *status == 200).count() as u64;
    assert_eq!((accepted(&first), accepted(&second), accepted(&without_scope)), (500, 200, 0));
    assert!(send(&first).await == 429, "what is over the limit is not billed either");
    let mut usage: Vec<KeyUsage> = control(&server, "/profiles/subject/usage").await;
    usage.sort_by_key(|line| line.requests);
    let counted: Vec<_> = usage.iter().map(|line| (&line.key, line.requests)).collect();
    assert_eq!(counted, [(&two.id, 200), (&one.id, 500)]);
    server.stop().await;
}

#[tokio::test]
async fn ak_25_reports_of_leaked_keys_are_all_answered_alike_and_limited() {
    let server = managed(ApiKeyConfig::new(StoreConfig::Sqlite), Some(limit(4, 60))).await;
    let victim = server.issue(&[READ_SCOPE], None).await;
    let leaked = key(&victim);
    let elsewhere = managed(ApiKeyConfig::new(StoreConfig::Memory), None).await;
    let unknown = key(&elsewhere.issue(&[READ_SCOPE], None).await);
    let report = async |found: &str| {
        let answer = send(&server, Method::POST, "/keys/leaked", None, Some(&json!({"key": found}))).await;
        let status = answer.status().as_u16();
        let mut fields: Vec<_> = answer.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        fields.retain(|field| !field.starts_with("date"));
        (status, fields, answer.bytes().await.expect("a body"))
    };
    let of_live = report(&leaked).await;
    assert_eq!(of_live.0, 202);
    let revoked = async {
        while works(&server, &leaked).await == 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), revoked).await.expect("it is revoked");
    let (of_revoked, of_unknown, of_garbage) = (report(&leaked).await, report(&unknown).await, report("x").await);
    assert_eq!((&of_live, &of_live, &of_live), (&of_revoked, &of_unknown, &of_garbage));
    let events: Value = control(&server, "/profiles/subject/events").await;
    let last = events.as_array().expect("events").last().expect("an event").clone();
    assert_eq!(
        (&last["event"], &last["owner"], &last["key"]),
        (&json!("leaked"), &json!(victim.principal), &json!(victim.id))
    );

    let refused = send(&server, Method::POST, "/keys/leaked", None, Some(&json!({"key": unknown}))).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(field(&refused, "ratelimit-policy"), "\"reports\";q=4;w=60");
    server.advance(Duration::from_secs(60)).await;
    assert_eq!(send(&server, Method::POST, "/keys/leaked", None, Some(&json!([]))).await.status(), 400);
    assert_eq!(send(&server, Method::GET, "/keys/leaked", None, None).await.status(), 405);
    server.stop().await;
    elsewhere.stop().await;
}

#[tokio::test]
async fn ak_24_bc_029_the_environments_are_apart() {
    let of = |name: &str, environment| Profile {
        name: name.into(),
        path: format!("/{name}"),
        ..profile(MethodConfig::ApiKey(ApiKeyConfig {
            environment,
            limit: Some(limit(1, 60)),
            metering: Some(MeteringConfig::default()),
            ..ApiKeyConfig::new(StoreConfig::Sqlite)
        }))
    };
    let profiles = vec![of("subject", KeyEnvironment::Live), of("test", KeyEnvironment::Test)];
    let main = ListenerConfig { profiles, ..listener(Transport::Tls13, HttpVersion::Http1) };
    let server = Server::start_with(vec![main], None).await;
    let live = key(&server.issue(&[READ_SCOPE], None).await);
    let request = json!({"count": 1, "scopes": [READ_SCOPE]});
    let mut test: Vec<Issued> =
        server.control_post("/profiles/test/credentials", &request).await.json().await.expect("issued");
    let test = key(&test.remove(0));
    for (path, wrong, right) in [("/subject", &test, &live), ("/test", &live, &test)] {
        let answer = send(&server, Method::GET, path, Some(wrong), None).await;
        assert_eq!(answer.status(), 401);
        assert!(field(&answer, "www-authenticate").contains("error=\"invalid_token\""));
        let problem: Value = answer.json().await.expect("a problem");
        assert!(problem["type"].as_str().expect("a type").ends_with("/wrong-environment"), "{problem}");
        // The wrong one took nothing of the quota.
        assert_eq!(send(&server, Method::GET, path, Some(right), None).await.status(), 200);
        assert_eq!(send(&server, Method::GET, path, Some(right), None).await.status(), 429);
    }
    for name in ["subject", "test"] {
        let usage: Vec<KeyUsage> = control(&server, &format!("/profiles/{name}/usage")).await;
        assert_eq!(usage.iter().map(|line| line.requests).collect::<Vec<_>>(), [1], "{name}");
    }
    server.stop().await;
}

#[tokio::test]
async fn ak_29_where_users_are_asked_for_an_application_is_forbidden() {
    let users_only = |method| Profile { users_only: true, ..profile(method) };
    let start = async |method| {
        let main =
            ListenerConfig { profiles: vec![users_only(method)], ..listener(Transport::Tls13, HttpVersion::Http1) };
        Server::start_with(vec![main], None).await
    };
    let server = start(MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let Answer::Http { status: 403, body: Some(problem), .. } = server.call(&issued.material).await else {
        panic!("not a 403")
    };
    assert!(problem["type"].as_str().expect("a type").ends_with("/user-authorization-required"), "{problem}");
    server.stop().await;

    let hash = PasswordHash::Pbkdf2Sha256 { iterations: 1_000 };
    let server = start(MethodConfig::Basic(BasicConfig::new(hash))).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let Material::Password { username, password } = &issued.material else { panic!("not a password") };
    let user = [("authorization", &*basic(username, password.expose()))];
    server.call_with("/whoami", &user).await.assert_accepted(&issued.principal);
    server.stop().await;
}

#[tokio::test]
async fn ak_17_the_control_socket_suspends_an_owner_on_an_open_connection() {
    let server = Server::start(MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Sqlite))).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let caller = crate::common::Caller::new(&server, &issued.material);
    caller.call().await.assert_accepted(&issued.principal);
    let socket = server.running().ready().control.clone();
    let client = reqwest::Client::builder().unix_socket(socket).build().expect("a client");
    let place = format!("http://control/profiles/subject/owners/{}/suspension", issued.principal);
    assert_eq!(client.put(&place).send().await.expect("an answer").status(), 204);
    let refused = caller.call().await;
    refused.assert_challenge("Bearer", Some("invalid_token"));
    assert_eq!(client.delete(&place).send().await.expect("an answer").status(), 204);
    caller.call().await.assert_accepted(&issued.principal);
    assert_eq!(client.post(&place).send().await.expect("an answer").status(), 405);
    server.stop().await;
}
