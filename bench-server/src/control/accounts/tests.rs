//! What paths, verbs and bodies lead to. That tokens die is shown over the wire, in `tests/server/authorization_code.rs`.

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::super::Administration;
use super::*;
use crate::auth::Environment;
use crate::clock::Clock;
use crate::config::{AuthorizationServerConfig, BasicConfig, ClockMode, MethodConfig, PasswordHash};
use crate::testing;

struct Fixture {
    administration: Administration,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::new(ClockMode::Controlled);
        let config = AuthorizationServerConfig::default();
        let server = AuthorizationServer::build(&config, "https://as.test", clock.clone(), Arc::default()).unwrap();
        let environment = Environment { clock: clock.clone(), ..testing::environment(folder.path()) };
        let method = MethodConfig::Basic(BasicConfig::new(PasswordHash::Pbkdf2Sha256 { iterations: 2 }));
        let profile = testing::profile("basic", method);
        let basic = Arc::new(Method::build(&profile, &environment).await.unwrap());
        let administration = Administration {
            config: toml::from_str("workers = 1\nstate_dir = \"state\"\nlisteners = []").unwrap(),
            clock,
            meter: environment.meter.clone(),
            methods: BTreeMap::from([("basic".to_owned(), basic), ("none".to_owned(), Arc::new(Method::None))]),
            authorization_server: Some(Arc::new(server)),
            certificate: None,
        };
        Self { administration, _folder: folder }
    }

    async fn ask(&self, verb: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let answer = self.administration.answer(&verb.parse().unwrap(), path, &body).await;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
    }
}

#[tokio::test]
async fn hk_13_clients_are_listed_rotated_and_disabled() {
    let fixture = Fixture::new().await;
    let registration = json!({
        "name": "app", "confidential": true, "grant_types": ["client_credentials"], "scopes": ["read"],
    });
    let (status, client) = fixture.ask("POST", "/clients", registration).await;
    assert_eq!(status, 200);
    let id = client["client_id"].as_str().unwrap().to_owned();
    let (_, rotated) = fixture.ask("POST", &format!("/clients/{id}/secret"), Value::Null).await;
    assert_eq!(rotated["client_id"], client["client_id"]);
    assert_ne!(rotated["client_secret"], client["client_secret"]);
    let (_, list) = fixture.ask("GET", "/clients", Value::Null).await;
    let summary = json!([{
        "client_id": id, "name": "app", "confidential": true, "secrets": 2, "scopes": ["read"],
    }]);
    assert_eq!(list, summary);
    assert_eq!(fixture.ask("DELETE", &format!("/clients/{id}"), Value::Null).await.0, 204);
    assert_eq!(fixture.ask("GET", "/clients", Value::Null).await.1, json!([]));
    for (verb, path) in [("DELETE", format!("/clients/{id}")), ("POST", format!("/clients/{id}/secret"))] {
        assert_eq!(fixture.ask(verb, &path, Value::Null).await.0, 404, "{verb} {path}");
    }
    let public = json!({
        "name": "app", "confidential": false, "grant_types": ["authorization_code"], "scopes": [],
        "redirect_uris": ["https://app.test/"],
    });
    let id = fixture.ask("POST", "/clients", public).await.1["client_id"].as_str().unwrap().to_owned();
    assert_eq!(fixture.ask("POST", &format!("/clients/{id}/secret"), Value::Null).await.0, 400, "it has no secret");
}

#[tokio::test]
async fn hk_13_users_and_their_passwords() {
    let fixture = Fixture::new().await;
    let alice = json!({ "username": "alice b", "password": "wonderland" });
    assert_eq!(fixture.ask("POST", "/users", alice.clone()).await.0, 201);
    assert_eq!(fixture.ask("POST", "/users", alice).await.0, 400, "the name is taken");
    assert_eq!(fixture.ask("GET", "/users", Value::Null).await.1, json!([{ "username": "alice b", "grants": 0 }]));
    let another = json!({ "password": "looking-glass" });
    assert_eq!(fixture.ask("PUT", "/users/alice%20b/password", another.clone()).await.0, 204);
    assert_eq!(fixture.ask("PUT", "/users/bob/password", another.clone()).await.0, 404);
    assert_eq!(fixture.ask("PUT", "/users/alice%20b/password", json!({ "password": "" })).await.0, 400);
    assert_eq!(fixture.ask("GET", "/users/alice%20b/grants", Value::Null).await, (200, json!([])));
    assert_eq!(fixture.ask("DELETE", "/users/alice%20b/grants/app", Value::Null).await.0, 404);
    assert_eq!(fixture.ask("DELETE", "/users/alice%20b", Value::Null).await.0, 204);
    assert_eq!(fixture.ask("DELETE", "/users/alice%20b", Value::Null).await.0, 404);

    let user = json!({ "username": "anna", "password": "correct horse", "scopes": ["read"] });
    assert_eq!(fixture.ask("POST", "/profiles/basic/users", user.clone()).await.0, 201);
    assert_eq!(fixture.ask("POST", "/profiles/basic/users", user.clone()).await.0, 400);
    assert_eq!(fixture.ask("PUT", "/profiles/basic/users/anna/password", another.clone()).await.0, 204);
    assert_eq!(fixture.ask("PUT", "/profiles/basic/users/bert/password", another).await.0, 404);
    assert_eq!(fixture.ask("POST", "/profiles/none/users", user.clone()).await.0, 405);
    assert_eq!(fixture.ask("POST", "/profiles/other/users", user).await.0, 404);
}

#[tokio::test]
async fn hk_13_other_verbs_and_paths_are_refused() {
    let fixture = Fixture::new().await;
    for (verb, path, status) in [
        ("PUT", "/clients", 405),
        ("GET", "/clients/x", 405),
        ("GET", "/clients/x/secret", 405),
        ("POST", "/clients/x/y", 404),
        ("DELETE", "/users", 405),
        ("POST", "/users/x", 405),
        ("POST", "/users/x/password", 405),
        ("PUT", "/users/x/grants", 405),
        ("GET", "/users/x/grants/y", 405),
        ("GET", "/users/x/y/z", 404),
        ("GET", "/profiles/basic/users", 405),
        ("POST", "/profiles/basic/users/x/password", 405),
        ("PUT", "/profiles/basic/users/x", 404),
    ] {
        assert_eq!(fixture.ask(verb, path, Value::Null).await.0, status, "{verb} {path}");
    }
}

#[tokio::test]
async fn hk_13_no_password_is_in_an_error() {
    let fixture = Fixture::new().await;
    for path in ["/users", "/profiles/basic/users"] {
        let (status, problem) = fixture.ask("POST", path, json!({ "username": 5, "password": "hunter2" })).await;
        assert_eq!(status, 400, "{path}");
        assert!(problem["title"].is_string() && !problem.to_string().contains("hunter2"), "{path}: {problem}");
    }
}
