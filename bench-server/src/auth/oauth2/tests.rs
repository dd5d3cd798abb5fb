//! The resource server against an authorization server on the loopback interface, whose answers can be replaced.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;

use ::http::{Request as HttpRequest, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

mod keys;

use super::*;
use crate::auth::{Cause, Connection, PrincipalKind};
use crate::clock::{Clock, UnixTime};
use crate::config::{AUDIENCE, Algorithm, AuthorizationServerConfig, CacheConfig, ClockMode, JwksConfig};
use crate::contract::{KeyRollover, RegisteredClient};
use crate::issuer::authorization_server::WELL_KNOWN;
use crate::telemetry::Meter;

mod bound;

/// Paths whose answers are replaced: status and body; `None` never answers.
type Replaced = Arc<Mutex<HashMap<&'static str, Option<(u16, String)>>>>;

/// An authorization server in a thread of its own.
struct Issuer {
    server: Arc<AuthorizationServer>,
    replaced: Replaced,
    clock: Clock,
    /// What the resource server takes for now. It stands still between advances, so that no test depends on its own
    /// speed; the authorization server's clock runs a little ahead.
    now: Mutex<UnixTime>,
    meter: Arc<Meter>,
    state: tempfile::TempDir,
    app: RegisteredClient,
}

impl Issuer {
    fn new() -> Self {
        Self::with(AuthorizationServerConfig::default())
    }

    fn with(config: AuthorizationServerConfig) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let clock = Clock::new(ClockMode::Controlled);
        let meter = Arc::new(Meter::default());
        let server = AuthorizationServer::build(&config, &issuer, clock.clone(), Arc::default()).unwrap();
        let app = server.register_client(&ClientRegistration::service("app", &["read"]));
        let (server, replaced) = (Arc::new(server), Replaced::default());
        serve(listener, server.clone(), replaced.clone());
        let now = Mutex::new(clock.now());
        Self { server, replaced, clock, now, meter, state: tempfile::tempdir().unwrap(), app: app.unwrap() }
    }

    fn replace(&self, path: &'static str, status: u16, body: impl ToString) {
        self.replaced.lock().unwrap().insert(path, Some((status, body.to_string())));
    }

    fn restore(&self) {
        self.replaced.lock().unwrap().clear();
    }

    fn environment(&self) -> Environment {
        Environment {
            clock: self.clock.clone(),
            meter: self.meter.clone(),
            authorization_server: Some(self.server.clone()),
            ..crate::testing::environment(self.state.path())
        }
    }

    /// The same as one that is not of this process.
    fn as_remote(&self) -> TrustedIssuer {
        let registered = self.server.register_client(&ClientRegistration::resource_server("remote")).unwrap();
        let secret = self.state.path().join("secret");
        fs::write(&secret, registered.client_secret.unwrap().expose()).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        TrustedIssuer::Remote {
            issuer: self.server.issuer().to_owned(),
            ca_file: None,
            client_id: registered.client_id,
            client_secret_file: secret,
        }
    }

    fn resource_server(&self, cache: Option<CacheConfig>) -> OAuth2 {
        OAuth2::build(&config(TokenValidation::Opaque { cache }), &self.environment()).unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Value {
        self.post_with(path, form, &[]).await
    }

    /// The same, with fields of the request's own.
    async fn post_with(&self, path: &str, form: &[(&str, &str)], fields: &[(&str, &str)]) -> Value {
        let secret = self.app.client_secret.as_ref().unwrap().expose();
        let mut form = form.to_vec();
        form.extend([("client_id", self.app.client_id.as_str()), ("client_secret", secret)]);
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = HttpRequest::post(path).header("content-type", "application/x-www-form-urlencoded");
        let request = fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = self.server.handle(&request.body(body.into()).unwrap()).await.unwrap();
        serde_json::from_slice(response.body()).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> Value {
        let request = HttpRequest::get(path).body(Bytes::new()).unwrap();
        serde_json::from_slice(self.server.handle(&request).await.unwrap().body()).unwrap()
    }

    async fn token(&self) -> String {
        self.post("/token", &[("grant_type", "client_credentials")]).await["access_token"].as_str().unwrap().to_owned()
    }

    async fn call(&self, oauth2: &OAuth2, token: &str) -> Result<Principal, Rejection> {
        self.call_with(oauth2, HttpRequest::get("/").header("authorization", format!("Bearer {token}"))).await
    }

    async fn call_with(&self, oauth2: &OAuth2, request: ::http::request::Builder) -> Result<Principal, Rejection> {
        let (head, ()) = request.body(()).unwrap().into_parts();
        let connection = Connection::new(SocketAddr::from(([127, 0, 0, 1], 1)), None);
        oauth2.authenticate(&Request { head: &head, connection: &connection, now: self.now() }).await
    }

    fn now(&self) -> UnixTime {
        *self.now.lock().unwrap()
    }

    fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs)).unwrap();
        self.now.lock().unwrap().0 += Duration::from_secs(secs);
    }
}

fn serve(listener: std::net::TcpListener, server: Arc<AuthorizationServer>, replaced: Replaced) {
    let answer = move |request: HttpRequest<hyper::body::Incoming>| {
        let (server, replaced) = (server.clone(), replaced.clone());
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let replacement = replaced.lock().unwrap().get(head.uri.path()).cloned();
            let response = match replacement {
                Some(None) => std::future::pending().await,
                Some(Some((status, body))) => {
                    let location = if body.starts_with("http") { body.as_str() } else { "/token" };
                    let response = Response::builder().status(status).header("location", location);
                    response.body(Bytes::from(body)).unwrap()
                }
                None => server.handle(&HttpRequest::from_parts(head, body)).await.unwrap(),
            };
            Ok::<_, std::convert::Infallible>(response.map(Full::new))
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let answer = answer.clone();
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        });
    });
}

fn config(validation: TokenValidation) -> OAuth2Config {
    OAuth2Config::new(validation)
}

fn cache(ttl: u64) -> Option<CacheConfig> {
    Some(CacheConfig { capacity: 100, ..CacheConfig::new(Duration::from_secs(ttl)) })
}

fn invalid(cause: Cause) -> Result<Principal, Rejection> {
    Err(Rejection::Invalid(cause))
}

#[tokio::test]
async fn oa_44_bc_068_every_request_introspects_and_revocation_counts_at_once() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(None);
    let token = issuer.token().await;
    for _ in 0..2 {
        let principal = issuer.call(&oauth2, &token).await.unwrap();
        assert_eq!(*principal.id, *format!("client:{}", issuer.app.client_id));
        assert!(principal.has_scope("read"));
        assert!(!principal.credential_id.is_empty() && !token.contains(&*principal.credential_id));
    }
    assert_eq!((issuer.meter.introspections.get(), issuer.meter.store_lookups.get()), (2, 2));
    issuer.post("/revoke", &[("token", &token)]).await;
    assert_eq!(issuer.call(&oauth2, &token).await, invalid(Cause::Unknown));
}

#[tokio::test]
async fn oa_41_oa_44_a_cached_answer_outlives_revocation_by_its_time_to_live_only() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(cache(10));
    let token = issuer.token().await;
    issuer.call(&oauth2, &token).await.unwrap();
    issuer.post("/revoke", &[("token", &token)]).await;
    issuer.advance(9);
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    assert_eq!((issuer.meter.introspections.get(), issuer.meter.cache_hits.get()), (1, 1));
    issuer.advance(1);
    for asked in [2, 3] {
        assert_eq!(issuer.call(&oauth2, &token).await, invalid(Cause::Unknown), "a refusal is not cached");
        assert_eq!(issuer.meter.introspections.get(), asked);
    }
}

#[tokio::test]
async fn oa_41_a_cached_answer_never_outlives_the_token() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(cache(3600));
    let token = issuer.token().await;
    issuer.advance(850);
    issuer.call(&oauth2, &token).await.unwrap();
    issuer.advance(100);
    assert_eq!(issuer.call(&oauth2, &token).await, invalid(Cause::Unknown));
}

#[tokio::test]
async fn oa_50_oa_54_bc_062_what_cannot_be_a_token_is_refused_unasked() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(None);
    let token = issuer.token().await;
    let swapped = token.replacen("at_", "rt_", 1);
    for bad in ["garbage", "a.b.c", &swapped, &token[1..], &format!("{token}x")] {
        assert_eq!(issuer.call(&oauth2, bad).await, invalid(Cause::Malformed), "{bad}");
    }
    assert_eq!(issuer.call_with(&oauth2, HttpRequest::get("/")).await, Err(Rejection::Missing));
    let in_url = HttpRequest::get(format!("/?access_token={token}"));
    assert!(matches!(issuer.call_with(&oauth2, in_url).await, Err(Rejection::Ambiguous(_))));
    assert_eq!(issuer.meter.introspections.get(), 0);
    let unknown = format!("at_{}", "A".repeat(43));
    assert_eq!(issuer.call(&oauth2, &unknown).await, invalid(Cause::Unknown));
}

#[tokio::test]
async fn trouble_at_the_authorization_server_is_never_the_callers_fault() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(None);
    let token = issuer.token().await;
    for (status, body) in [
        (500, "{}".to_owned()),
        (401, "{}".to_owned()),
        (307, String::new()),
        (200, "no JSON".to_owned()),
        (200, format!("{{\"active\":true,\"x\":\"{}\"}}", "x".repeat(300 * 1024))),
    ] {
        issuer.replace("/introspect", status, &body);
        assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "{status}");
    }
    issuer.replaced.lock().unwrap().insert("/introspect", None);
    assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "no answer in time");
    issuer.restore();
    assert!(issuer.call(&oauth2, &token).await.is_ok());
}

#[tokio::test]
async fn discovery_is_tried_again_but_not_more_than_once_a_second() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(None);
    let token = issuer.token().await;
    issuer.replace(WELL_KNOWN, 200, json!({ "issuer": "http://elsewhere.test" }));
    assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "another issuer's metadata");
    issuer.restore();
    assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "too early");
    issuer.advance(1);
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    issuer.replace(WELL_KNOWN, 500, "");
    assert!(issuer.call(&oauth2, &token).await.is_ok(), "metadata are kept");
}

#[tokio::test]
async fn oa_50_bc_069_an_active_token_is_held_to_audience_issuer_type_and_time() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(None);
    let token = issuer.token().await;
    let now = issuer.now().as_secs();
    let good = json!({
        "active": true, "sub": "alice", "scope": "read", "aud": AUDIENCE, "iss": issuer.server.issuer(),
        "exp": now + 60, "nbf": now, "token_type": "bearer", "jti": "j-1",
    });
    let with = |member: &str, value: Value| {
        let mut answer = good.clone();
        answer[member] = value;
        answer
    };
    let accepted = Principal::new(PrincipalKind::Bearer, "alice", "read", "j-1");
    for answer in [
        good.clone(),
        with("aud", json!(["https://other.test", AUDIENCE])),
        with("token_type", Value::Null),
        with("iss", Value::Null),
        with("exp", json!(now as f64 + 60.5)),
    ] {
        issuer.replace("/introspect", 200, &answer);
        assert_eq!(issuer.call(&oauth2, &token).await, Ok(accepted.clone()), "{answer}");
    }
    for (answer, cause) in [
        (with("active", json!(false)), Cause::Unknown),
        (with("aud", json!("https://other.test")), Cause::Claims),
        (with("aud", json!([])), Cause::Claims),
        (with("aud", Value::Null), Cause::Claims),
        (with("iss", json!("https://other.test")), Cause::Claims),
        (with("token_type", json!("DPoP")), Cause::Claims),
        (with("sub", Value::Null), Cause::Claims),
        (with("exp", json!(-1)), Cause::Claims),
        (with("exp", json!(now)), Cause::Expired),
        (with("nbf", json!(now + 60)), Cause::NotYetValid),
    ] {
        issuer.replace("/introspect", 200, &answer);
        assert_eq!(issuer.call(&oauth2, &token).await, invalid(cause), "{answer}");
    }
}

#[tokio::test]
async fn an_answer_past_its_time_bridges_an_outage_but_not_the_tokens_end() {
    let stale_if_error = Some(Duration::from_secs(3600));
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(cache(10).map(|cache| CacheConfig { stale_if_error, ..cache }));
    let token = issuer.token().await;
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    issuer.replace("/introspect", 500, "");
    issuer.advance(800);
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    assert_eq!(issuer.meter.stale_hits.get(), 1);
    issuer.advance(100);
    assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "it has expired, which nobody can confirm");
}

#[test]
fn each_thread_has_connections_of_its_own() {
    let issuer = Issuer::new();
    let oauth2 = issuer.resource_server(None);
    let call = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { issuer.call(&oauth2, &issuer.token().await).await.is_ok() })
    };
    for _ in 0..3 {
        assert!(thread::scope(|scope| scope.spawn(call).join().unwrap()), "after the runtime before is gone");
    }
}

#[tokio::test]
async fn hk_11_a_remote_issuer_is_trusted_with_a_secret_from_a_file() {
    let issuer = Issuer::new();
    let registered = issuer.server.register_client(&ClientRegistration::resource_server("remote resource server"));
    let registered = registered.unwrap();
    let file = issuer.state.path().join("secret");
    fs::write(&file, format!("{}\n", registered.client_secret.unwrap().expose())).unwrap();
    let remote = TrustedIssuer::Remote {
        issuer: issuer.server.issuer().to_owned(),
        ca_file: None,
        client_id: registered.client_id,
        client_secret_file: file.clone(),
    };
    let config = OAuth2Config { issuer: remote, ..config(TokenValidation::Opaque { cache: None }) };
    let environment = Environment { authorization_server: None, ..issuer.environment() };

    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(OAuth2::build(&config, &environment), Err(BuildError::Config(_))), "others may read it");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let oauth2 = OAuth2::build(&config, &environment).unwrap();
    assert!(issuer.call(&oauth2, &issuer.token().await).await.is_ok());
    assert_eq!(issuer.call(&oauth2, "foreign-form").await, invalid(Cause::Unknown), "its tokens may have any form");
}

/// An issuer that publishes no metadata, or none that are to be believed.
#[tokio::test]
async fn hk_11_endpoints_keys_and_audience_may_be_known_beforehand() {
    let algorithm = Algorithm::ES256;
    for access_token in [AccessTokenFormat::Opaque, AccessTokenFormat::Jwt { algorithm }] {
        let issuer = Issuer::with(AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() });
        issuer.replace(WELL_KNOWN, 404, "");
        let remote = issuer.as_remote();
        let environment = Environment { authorization_server: None, ..issuer.environment() };
        let build = |known: &KnownIssuer, validation: &TokenValidation| {
            let config = OAuth2Config { issuer: remote.clone(), known: known.clone(), ..config(validation.clone()) };
            OAuth2::build(&config, &environment)
        };
        let (opaque, signed) = (TokenValidation::Opaque { cache: None }, TokenValidation::Jwt { algorithm });
        let endpoint = |path: &str| Some(format!("{}{path}", issuer.server.issuer()));
        let token = issuer.token().await;
        let asked = KnownIssuer { introspection_endpoint: endpoint("/introspect"), ..KnownIssuer::default() };
        assert!(issuer.call(&build(&asked, &opaque).unwrap(), &token).await.is_ok(), "{access_token:?}");
        assert_eq!(issuer.call(&build(&KnownIssuer::default(), &opaque).unwrap(), &token).await, Err(unavailable()));
        let elsewhere = KnownIssuer { audience: Some("https://elsewhere.test".to_owned()), ..asked.clone() };
        assert_eq!(issuer.call(&build(&elsewhere, &opaque).unwrap(), &token).await, invalid(Cause::Claims));

        let file = issuer.state.path().join("jwks.json");
        let by_url = KnownIssuer { jwks_uri: endpoint("/jwks"), ..KnownIssuer::default() };
        let by_file = KnownIssuer { jwks_file: Some(file.clone()), ..KnownIssuer::default() };
        if access_token != AccessTokenFormat::Opaque {
            assert!(issuer.call(&build(&by_url, &signed).unwrap(), &token).await.is_ok());
            let without_file = build(&by_file, &signed).unwrap();
            assert_eq!(issuer.call(&without_file, &token).await, Err(unavailable()), "never a refusal");
            let request = HttpRequest::get("/jwks").body(Bytes::new()).unwrap();
            fs::write(&file, issuer.server.handle(&request).await.unwrap().body()).unwrap();
            assert!(issuer.call(&build(&by_file, &signed).unwrap(), &token).await.is_ok());
        }
        let both = KnownIssuer { jwks_file: Some(file), ..by_url.clone() };
        let unsafe_one = KnownIssuer { jwks_uri: Some("ftp://keys.test/".to_owned()), ..KnownIssuer::default() };
        let unnamed = KnownIssuer { audience: Some(String::new()), ..KnownIssuer::default() };
        for (known, validation) in
            [(&asked, &signed), (&unnamed, &signed), (&by_url, &opaque), (&both, &signed), (&unsafe_one, &signed)]
        {
            assert!(matches!(build(known, validation), Err(BuildError::Config(_))), "{known:?}");
        }
    }
}

/// Health is of what a decision needs: of an issuer without metadata that is what is known beforehand.
#[tokio::test]
async fn xc_20_hk_11_what_is_known_beforehand_is_what_health_asks_for() {
    let algorithm = Algorithm::ES256;
    let access_token = AccessTokenFormat::Jwt { algorithm };
    let issuer = Issuer::with(AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() });
    issuer.replace(WELL_KNOWN, 404, "");
    let (remote, file) = (issuer.as_remote(), issuer.state.path().join("jwks.json"));
    let environment = Environment { authorization_server: None, ..issuer.environment() };
    let (opaque, signed) = (TokenValidation::Opaque { cache: None }, TokenValidation::Jwt { algorithm });
    let build = |validation: &TokenValidation, known: KnownIssuer| {
        let config = OAuth2Config { issuer: remote.clone(), known, ..config(validation.clone()) };
        OAuth2::build(&config, &environment).unwrap()
    };
    let endpoint = |path: &str| Some(format!("{}{path}", issuer.server.issuer()));
    let asked = KnownIssuer { introspection_endpoint: endpoint("/introspect"), ..KnownIssuer::default() };
    let by_url = KnownIssuer { jwks_uri: endpoint("/jwks"), ..KnownIssuer::default() };
    let by_file = KnownIssuer { jwks_file: Some(file.clone()), ..KnownIssuer::default() };
    let down = Err("authorization server");

    for (validation, known, path) in [(&opaque, asked, "/introspect"), (&signed, by_url, "/jwks")] {
        let unknown = build(validation, KnownIssuer::default());
        let known = build(validation, known);
        assert_eq!((known.probe().await, unknown.probe().await), (Ok(()), down), "{path}");
        issuer.replace(path, 500, "");
        assert_eq!(known.probe().await, down, "{path}");
    }
    let from_file = build(&signed, by_file);
    assert_eq!(from_file.probe().await, down, "there is no such file");
    let request = HttpRequest::get("/jwks").body(Bytes::new()).unwrap();
    fs::write(&file, issuer.server.handle(&request).await.unwrap().body()).unwrap();
    assert_eq!(from_file.probe().await, Ok(()), "nobody else is asked");
    let meter = &issuer.meter;
    let counted = (meter.introspections.get(), meter.store_lookups.get(), meter.jwks_fetches.get());
    assert_eq!(counted, (0, 0, 0), "of requests alone");
}

#[test]
fn contradictions_are_refused() {
    let issuer = Issuer::new();
    let environment = issuer.environment();
    let alone = Environment { authorization_server: None, ..environment.clone() };
    let opaque = config(TokenValidation::Opaque { cache: None });
    assert!(matches!(OAuth2::build(&opaque, &alone), Err(BuildError::Config(_))));
    for algorithm in [Algorithm::ES256, Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let jwt = config(TokenValidation::Jwt { algorithm });
        assert!(matches!(OAuth2::build(&jwt, &environment), Err(BuildError::Config(_))), "its tokens are opaque");
    }
}
