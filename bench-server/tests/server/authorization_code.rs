//! The authorization code flow over the network, as a person with a browser and an application go through it: login,
//! consent, redemption with PKCE, refresh, replay, introspection, revocation. Once with opaque tokens, once with JWTs.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use crate::common::browser::{Browser, PASSWORD, USERNAME};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::Running;
use bench_server::contract::*;
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

const CALLBACK: &str = "http://127.0.0.1/callback";
const STATE: &str = "st4te with & and =";
const VERIFIER: &str = "a-verifier-of-unreserved-characters-0123456789";

/// A server that issues and accepts one kind of token.
async fn start(state_dir: &Path, access_token: AccessTokenFormat, validation: TokenValidation) -> Running {
    let listener = |name: &str, profiles, authorization_server| ListenerConfig {
        name: name.to_owned(),
        bind: ([127, 0, 0, 1], 0).into(),
        public_url: None,
        transport: Transport::Plaintext,
        http: vec![HttpVersion::Http1],
        key_exchange: None,
        profiles,
        authorization_server,
        ocsp_responder: None,
        key_management: None,
    };
    let oauth2 = OAuth2Config::new(validation);
    let profile = Profile {
        name: "oauth2".to_owned(),
        path: "/whoami".to_owned(),
        scope: READ_SCOPE.to_owned(),
        method: MethodConfig::OAuth2(oauth2),
        users_only: false,
        slow_down: None,
    };
    let config = ServerConfig {
        listeners: vec![listener("issuer", Vec::new(), true), listener("api", vec![profile], false)],
        workers: NonZeroUsize::MIN,
        cpus: Vec::new(),
        // One that does not exist yet: the server makes it for its owner alone.
        state_dir: state_dir.join("state"),
        shared_dir: None,
        clock: ClockMode::System,
        authorization_server: Some(AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() }),
        forging: false,
    };
    bench_server::start(config).await.expect("the server starts")
}

fn url(running: &Running, listener: &str) -> String {
    let found = running.ready().listeners.iter().find(|one| one.name == listener);
    found.expect("a configured listener").url.clone()
}

/// An application with its own HTTP client, and a resource server beside it.
struct Application {
    http: Client,
    metadata: Value,
    client: RegisteredClient,
    resource_server: RegisteredClient,
    api: String,
    control: Client,
}

impl Application {
    async fn register(running: &Running) -> Self {
        let control = Client::builder().unix_socket(running.ready().control.clone()).build().expect("a client");
        let post = async |path: &str, body: Value| {
            let response = control.post(format!("http://localhost{path}")).json(&body).send().await.expect("an answer");
            assert!(response.status().is_success(), "{path}: {}", response.status());
            response
        };
        let client = post(
            "/clients",
            serde_json::json!({
                "name": "Example application",
                "confidential": true,
                "grant_types": ["authorization_code", "refresh_token"],
                "redirect_uris": [CALLBACK],
                "scopes": ["read", "write"],
            }),
        );
        let client = client.await.json().await.expect("a registered client");
        let resource_server = serde_json::json!({
            "name": "resource server", "confidential": true, "grant_types": [], "scopes": [], "may_introspect": true,
        });
        let resource_server = post("/clients", resource_server).await.json().await.expect("a registered client");
        post("/users", serde_json::json!({ "username": USERNAME, "password": PASSWORD })).await;

        let http = Client::builder().redirect(Policy::none()).no_proxy().build().expect("a client");
        let issuer = url(running, "issuer");
        let metadata = http.get(format!("{issuer}/.well-known/oauth-authorization-server")).send().await;
        let metadata: Value = metadata.expect("an answer").json().await.expect("metadata");
        assert_eq!(metadata["issuer"], issuer.as_str());
        Self { http, metadata, client, resource_server, api: format!("{}/whoami", url(running, "api")), control }
    }

    /// What an administrator asks for.
    async fn administer(&self, method: reqwest::Method, path: &str, body: Value) -> (StatusCode, Value) {
        let request = self.control.request(method, format!("http://localhost{path}"));
        let response = if body.is_null() { request } else { request.json(&body) }.send().await.expect("an answer");
        (response.status(), response.json().await.unwrap_or_default())
    }

    fn endpoint(&self, name: &str) -> &str {
        self.metadata[name].as_str().unwrap_or_else(|| panic!("metadata without {name}"))
    }

    async fn post(&self, endpoint: &str, client: &RegisteredClient, form: &[(&str, &str)]) -> (StatusCode, Value) {
        let secret = client.client_secret.as_ref().map(Secret::expose);
        let request = self.http.post(self.endpoint(endpoint)).basic_auth(&client.client_id, secret);
        let response = request.form(form).send().await.expect("an answer");
        (response.status(), response.json().await.unwrap_or_default())
    }

    /// Where the application sends the browser.
    fn authorization_request(&self) -> Url {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut url = Url::parse(self.endpoint("authorization_endpoint")).expect("a URL");
        url.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", &self.client.client_id),
            ("redirect_uri", &CALLBACK.replace("127.0.0.1", "127.0.0.1:49152")),
            ("scope", "read write"),
            ("state", STATE),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        url
    }

    /// From the application's request to the redirect that brings the code.
    async fn authorize(&self) -> HashMap<String, String> {
        let browser = Browser::new(Client::builder().no_proxy());
        let back = browser.authorize(self.authorization_request()).await;
        assert_eq!(back.as_str().split('?').next(), Some("http://127.0.0.1:49152/callback"));
        back.query_pairs().into_owned().collect()
    }

    async fn redeem(&self, code: &str) -> (StatusCode, Value) {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &CALLBACK.replace("127.0.0.1", "127.0.0.1:49152")),
            ("code_verifier", VERIFIER),
        ];
        self.post("token_endpoint", &self.client, &form).await
    }

    async fn refresh(&self, token: &Value) -> (StatusCode, Value) {
        let token = token.as_str().expect("a refresh token");
        let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post("token_endpoint", &self.client, &form).await
    }

    async fn is_active(&self, token: &Value) -> bool {
        let form = [("token", token.as_str().expect("a token"))];
        let (status, answer) = self.post("introspection_endpoint", &self.resource_server, &form).await;
        assert_eq!(status, StatusCode::OK);
        answer["active"] == true
    }

    async fn call(&self, token: &Value) -> Response {
        let token = token.as_str().expect("a token");
        self.http.get(&self.api).bearer_auth(token).send().await.expect("an answer")
    }
}

/// The whole flow. `stateless`: the resource server does not notice a revocation before the token expires.
async fn flow(access_token: AccessTokenFormat, validation: TokenValidation, stateless: bool) {
    let state = tempfile::tempdir().expect("a folder");
    let running = start(state.path(), access_token, validation).await;
    let application = Application::register(&running).await;
    let after_revocation = if stateless { StatusCode::OK } else { StatusCode::UNAUTHORIZED };

    let redirect = application.authorize().await;
    assert_eq!(redirect["state"], STATE);
    assert_eq!(redirect["iss"], application.endpoint("issuer"));

    let (status, tokens) = application.redeem(&redirect["code"]).await;
    assert_eq!((status, &tokens["scope"]), (StatusCode::OK, &"read".into()), "{tokens}");
    let answer = application.call(&tokens["access_token"]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.json::<Value>().await.expect("JSON")["principal"], "alice");
    let as_access_token = application.call(&tokens["refresh_token"]).await;
    assert_eq!(as_access_token.status(), StatusCode::UNAUTHORIZED, "a refresh token is no access token");

    let (status, renewed) = application.refresh(&tokens["refresh_token"]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(application.is_active(&tokens["access_token"]).await);
    assert!(application.is_active(&renewed["access_token"]).await);
    let (status, replay) = application.refresh(&tokens["refresh_token"]).await;
    assert_eq!((status, &replay["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
    for token in [&tokens["access_token"], &renewed["access_token"]] {
        assert!(!application.is_active(token).await, "the replay kills the family");
        assert_eq!(application.call(token).await.status(), after_revocation);
    }

    let redirect = application.authorize().await;
    let (_, tokens) = application.redeem(&redirect["code"]).await;
    assert!(application.is_active(&tokens["access_token"]).await);
    let form = [("token", tokens["refresh_token"].as_str().expect("a refresh token"))];
    let (status, _) = application.post("revocation_endpoint", &application.client, &form).await;
    assert_eq!(status, StatusCode::OK);
    assert!(!application.is_active(&tokens["access_token"]).await);
    assert_eq!(application.call(&tokens["access_token"]).await.status(), after_revocation);

    let redirect = application.authorize().await;
    let (_, tokens) = application.redeem(&redirect["code"]).await;
    let (status, replay) = application.redeem(&redirect["code"]).await;
    assert_eq!((status, &replay["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
    assert!(!application.is_active(&tokens["access_token"]).await, "a replayed code kills what it gave");
    running.stop().await;
}

#[tokio::test]
async fn oa_14_oa_16_oa_29_oa_43_bc_049_bc_062_with_opaque_tokens_and_introspection() {
    flow(AccessTokenFormat::Opaque, TokenValidation::Opaque { cache: None }, false).await;
}

#[tokio::test]
async fn with_jwts_checked_locally() {
    let algorithm = Algorithm::ES256;
    flow(AccessTokenFormat::Jwt { algorithm }, TokenValidation::Jwt { algorithm }, true).await;
}

#[tokio::test]
async fn with_jwts_and_introspection() {
    let format = AccessTokenFormat::Jwt { algorithm: Algorithm::ES256 };
    flow(format, TokenValidation::Opaque { cache: None }, false).await;
}

#[tokio::test]
async fn oa_47_keys_are_published_without_their_private_part_and_fetched_once() {
    let state = tempfile::tempdir().expect("a folder");
    let algorithm = Algorithm::ES256;
    let running = start(state.path(), AccessTokenFormat::Jwt { algorithm }, TokenValidation::Jwt { algorithm }).await;
    let application = Application::register(&running).await;
    let response = application.http.get(application.endpoint("jwks_uri")).send().await.expect("an answer");
    assert!(response.headers()["cache-control"].to_str().expect("ASCII").contains("max-age="));
    assert!(response.headers().contains_key("etag"));
    let jwks: Value = response.json().await.expect("a key set");
    let key = &jwks["keys"][0];
    assert_eq!((&key["alg"], &key["use"]), (&"ES256".into(), &"sig".into()));
    assert!(key["kid"].is_string() && key["x"].is_string());
    assert_eq!(key["d"], Value::Null);

    let redirect = application.authorize().await;
    let (_, tokens) = application.redeem(&redirect["code"]).await;
    let token = tokens["access_token"].as_str().expect("a token");
    let foreign_key = {
        let (_, rest) = token.split_once('.').expect("three parts");
        let header = serde_json::json!({ "alg": "ES256", "typ": "at+jwt", "kid": "nobody-knows" });
        Value::from(format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string())))
    };
    for _ in 0..50 {
        assert_eq!(application.call(&tokens["access_token"]).await.status(), StatusCode::OK);
        assert_eq!(application.call(&foreign_key).await.status(), StatusCode::UNAUTHORIZED);
    }
    let control = Client::builder().unix_socket(running.ready().control.clone()).timeout(Duration::from_secs(10));
    let control = control.build().expect("a client");
    let counters: Counters =
        control.get("http://localhost/counters").send().await.expect("an answer").json().await.expect("counters");
    assert_eq!((counters.jwks_fetches, counters.introspections), (2, 0), "once cold, once for the unknown key");
    running.stop().await;
}

/// What an administrator does ends what depends on it: refresh tokens, access tokens, sessions.
#[tokio::test]
async fn hk_13_oa_32_oa_45_administration_ends_what_depends_on_it() {
    let state = tempfile::tempdir().expect("a folder");
    let running = start(state.path(), AccessTokenFormat::Opaque, TokenValidation::Opaque { cache: None }).await;
    let application = Application::register(&running).await;
    let client_id = application.client.client_id.clone();
    let tokens = async |application: &Application| {
        let redirect = application.authorize().await;
        let (status, tokens) = application.redeem(&redirect["code"]).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        assert_eq!(application.call(&tokens["access_token"]).await.status(), StatusCode::OK);
        tokens
    };
    use reqwest::Method;
    let nobody = Method::DELETE;
    assert_eq!(application.administer(nobody, "/users/nobody/grants/x", Value::Null).await.0, StatusCode::NOT_FOUND);

    let granted = tokens(&application).await;
    let (_, grants) = application.administer(Method::GET, "/users/alice/grants", Value::Null).await;
    assert_eq!(
        (&grants[0]["client_id"], &grants[0]["scopes"]),
        (&client_id.as_str().into(), &serde_json::json!(["read"]))
    );
    let withdraw = format!("/users/alice/grants/{client_id}");
    let (status, _) = application.administer(Method::DELETE, &withdraw, Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(application.administer(Method::DELETE, &withdraw, Value::Null).await.0, StatusCode::NOT_FOUND);

    let of_old_password = tokens(&application).await;
    let same_again = serde_json::json!({ "password": PASSWORD });
    let (status, _) = application.administer(Method::PUT, "/users/alice/password", same_again).await;
    assert_eq!(status, StatusCode::NO_CONTENT);

    let of_user = tokens(&application).await;
    let (_, users) = application.administer(Method::GET, "/users", Value::Null).await;
    assert_eq!(users, serde_json::json!([{ "username": "alice", "grants": 1 }]));
    assert_eq!(application.administer(Method::DELETE, "/users/alice", Value::Null).await.0, StatusCode::NO_CONTENT);
    for tokens in [&granted, &of_old_password, &of_user] {
        let (status, answer) = application.refresh(&tokens["refresh_token"]).await;
        assert_eq!((status, &answer["error"]), (StatusCode::BAD_REQUEST, &"invalid_grant".into()));
        assert!(!application.is_active(&tokens["access_token"]).await);
        assert_eq!(application.call(&tokens["access_token"]).await.status(), StatusCode::UNAUTHORIZED);
    }

    let alice = serde_json::json!({ "username": "alice", "password": PASSWORD });
    assert_eq!(application.administer(Method::POST, "/users", alice).await.0, StatusCode::CREATED);
    let of_client = tokens(&application).await;
    let client = format!("/clients/{client_id}");
    assert_eq!(application.administer(Method::DELETE, &client, Value::Null).await.0, StatusCode::NO_CONTENT);
    assert_eq!(application.refresh(&of_client["refresh_token"]).await.0, StatusCode::UNAUTHORIZED);
    assert!(!application.is_active(&of_client["access_token"]).await);
    let (_, clients) = application.administer(Method::GET, "/clients", Value::Null).await;
    let listed = clients.as_array().expect("a list").iter().filter(|client| client["client_id"] == client_id.as_str());
    assert_eq!(listed.count(), 0);
    running.stop().await;
}

#[tokio::test]
async fn hk_13_oa_24_a_rotated_client_secret_leaves_the_one_before_alive() {
    let state = tempfile::tempdir().expect("a folder");
    let running = start(state.path(), AccessTokenFormat::Opaque, TokenValidation::Opaque { cache: None }).await;
    let application = Application::register(&running).await;
    let first = application.client.clone();
    let path = format!("/clients/{}/secret", first.client_id);
    let rotate = async || {
        let (status, answer) = application.administer(reqwest::Method::POST, &path, Value::Null).await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_value::<RegisteredClient>(answer).expect("a client with another secret")
    };
    let works = async |client: &RegisteredClient| {
        application.post("revocation_endpoint", client, &[("token", "unknown")]).await.0 == StatusCode::OK
    };
    let second = rotate().await;
    assert!(works(&first).await && works(&second).await);
    let third = rotate().await;
    assert!(!works(&first).await && works(&second).await && works(&third).await);
    let (_, clients) = application.administer(reqwest::Method::GET, "/clients", Value::Null).await;
    let text = clients.to_string();
    for client in [&second, &third] {
        assert!(!text.contains(client.client_secret.as_ref().expect("confidential").expose()), "lists hold no secret");
    }
    running.stop().await;
}
