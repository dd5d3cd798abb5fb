//! Who calls and for whom, on a real listener: what is refused in the handshake, what by which challenge, and what the
//! resource says of both. The rules in detail: `auth/layered/tests.rs`.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::common::browser::{Browser, PASSWORD, USERNAME};
use crate::common::{Answer, Caller, Server, listener, profile};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, AuthorizationServerConfig, CallerConfig, ClientRegistration,
    HttpVersion, IssueRequest, Issued, KeyEnvironment, LayeredConfig, LimitConfig, ListenerConfig, Material,
    MeteringConfig, MethodConfig, MtlsConfig, OAuth2Config, READ_SCOPE, RegisteredClient, Secret, ServiceConfig,
    StoreConfig, TokenValidation, Transport, UserRegistration, generate_key,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use url::Url;

const SERVICE: &str = "spiffe://authbench.test/gateway";
const CALLBACK: &str = "https://app.test/callback";
const VERIFIER: &str = "a-verifier-of-unreserved-characters-0123456789";

/// The layered route is the first listener; the authorization server has one of its own.
async fn start(caller: CallerConfig) -> Server {
    start_in(caller, None).await
}

/// The same, with records in a folder that outlives it.
async fn start_in(caller: CallerConfig, shared_dir: Option<&Path>) -> Server {
    let issuer = ListenerConfig {
        name: "issuer".into(),
        authorization_server: true,
        ..listener(Transport::Tls13, HttpVersion::Http1)
    };
    Server::start_in(vec![route(caller), issuer], Some(signing()), shared_dir).await
}

/// A listener with the layered route.
fn route(caller: CallerConfig) -> ListenerConfig {
    let user = OAuth2Config::new(TokenValidation::Jwt { algorithm: Algorithm::ES256 });
    let method = MethodConfig::Layered(Box::new(LayeredConfig { caller, user }));
    ListenerConfig { profiles: vec![profile(method)], ..listener(Transport::Tls13, HttpVersion::Http1) }
}

/// An authorization server whose tokens the route takes.
fn signing() -> AuthorizationServerConfig {
    let access_token = AccessTokenFormat::Jwt { algorithm: Algorithm::ES256 };
    AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() }
}

/// An application that users can sign in to.
async fn register(server: &Server, name: &str) -> RegisteredClient {
    register_in(KeyEnvironment::Live, server, name).await
}

async fn register_in(environment: KeyEnvironment, server: &Server, name: &str) -> RegisteredClient {
    let registration = ClientRegistration {
        environment,
        grant_types: vec!["authorization_code".to_owned()],
        redirect_uris: vec![CALLBACK.to_owned()],
        ..ClientRegistration::service(name, &[READ_SCOPE])
    };
    server.register_client(&registration).await
}

/// A token of a user's for an application: authorization code with PKCE.
async fn token_of_user(server: &Server, application: &RegisteredClient) -> String {
    let issuer = &server.running().ready().listeners[1].url;
    let mut request = Url::parse(&format!("{issuer}/authorize")).expect("a URL");
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    request.query_pairs_mut().extend_pairs([
        ("response_type", "code"),
        ("client_id", &application.client_id),
        ("redirect_uri", CALLBACK),
        ("scope", READ_SCOPE),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ]);
    let back = Browser::new(server.client()).authorize(request).await;
    let (_, code) = back.query_pairs().find(|(name, _)| name == "code").expect("a code");
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let secret = application.client_secret.as_ref().map(Secret::expose);
    let asking = server.client().build().expect("a client").post(format!("{issuer}/token"));
    let answer = asking.basic_auth(&application.client_id, secret).form(&form).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.expect("a token response");
    answer["access_token"].as_str().expect("a token").to_owned()
}

async fn register_user(server: &Server) {
    let user = UserRegistration { username: USERNAME.to_owned(), password: Secret::new(PASSWORD) };
    server.control_post("/users", &user).await;
}

fn key(issued: &Issued) -> &str {
    let Material::ApiKey { key } = &issued.material else { panic!("not a key: {issued:?}") };
    key.expose()
}

async fn credential_of(server: &Server, caller: &str) -> Issued {
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let caller = caller.replace('/', "%2F");
    let path = format!("/profiles/subject/principals/{caller}/credentials");
    let issued: Vec<Issued> = server.control_post(&path, &request).await.json().await.expect("a credential");
    issued.into_iter().next().expect("one")
}

#[tokio::test]
async fn la_2_la_3_bc_157_each_layer_has_a_challenge_of_its_own() {
    let server = start(CallerConfig::Application(ApiKeyConfig::new(StoreConfig::Memory))).await;
    let issued = credential_of(&server, "shop").await;
    for fields in [&[][..], &[("x-api-key", "wrong")], &[("authorization", "Bearer a.b.c")]] {
        server.call_with("/whoami", fields).await.assert_challenge("ApiKey", None);
    }
    let with_key = ("x-api-key", key(&issued));
    server.call_with("/whoami", &[with_key]).await.assert_challenge("Bearer", None);
    let bad = [with_key, ("authorization", "Bearer a.b.c")];
    server.call_with("/whoami", &bad).await.assert_challenge("Bearer", Some("invalid_token"));
    // Paths that do not exist tell nothing either.
    server.call_with("/nothing", &[]).await.assert_challenge("ApiKey", None);
    server.stop().await;
}

#[tokio::test]
async fn la_6_la_7_the_key_is_limited_and_billed_and_nothing_is_lost_at_a_stop() {
    let shared = tempfile::tempdir().expect("a folder");
    let keys = ApiKeyConfig {
        limit: Some(LimitConfig { requests: NonZeroU32::new(6).expect("six"), window: Duration::from_secs(3600) }),
        // Longer than the test: what is written is written because the server stops.
        metering: Some(MeteringConfig { flush: Duration::from_secs(60) }),
        ..ApiKeyConfig::new(StoreConfig::Sqlite)
    };
    let server = start_in(CallerConfig::Application(keys), Some(shared.path())).await;
    register_user(&server).await;
    let (shop, other) = (register(&server, "shop").await, register(&server, "other").await);
    let issued = credential_of(&server, &shop.client_id).await;
    let (of_shop, of_other) = (token_of_user(&server, &shop).await, token_of_user(&server, &other).await);
    let (of_shop, of_other) = (format!("Bearer {of_shop}"), format!("Bearer {of_other}"));
    let with_key = ("x-api-key", key(&issued));
    let ask = async |fields: &[(&str, &str)]| server.call_with("/whoami", fields).await;

    for _ in 0..3 {
        let answer = ask(&[with_key, ("authorization", &of_shop)]).await;
        answer.assert_accepted(USERNAME);
        let Answer::Http { body: Some(body), .. } = &answer else { panic!("no resource: {answer:?}") };
        assert_eq!(body["application"], shop.client_id.as_str());
    }
    assert_eq!(ask(&[with_key]).await.status(), Some(401));
    assert_eq!(ask(&[with_key, ("authorization", "Bearer a.b.c")]).await.status(), Some(401));
    assert_eq!(ask(&[with_key, ("authorization", &of_other)]).await.status(), Some(403));
    let before = server.counters().await;
    for _ in 0..3 {
        assert_eq!(ask(&[with_key, ("authorization", &of_shop)]).await.status(), Some(429));
    }
    assert_eq!(server.counters().await.since(&before).verify_calls, 0, "over its limit a key buys no signature check");
    server.stop().await;

    let file = rusqlite::Connection::open(shared.path().join("subject/store.sqlite")).expect("the store");
    let mut select = file.prepare("SELECT key_id, requests FROM usage").expect("the table");
    let billed = select.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?))).expect("read");
    let billed: Vec<_> = billed.map(|line| line.expect("a line")).collect();
    assert_eq!(billed, [(issued.id.clone(), 3)]);
}

#[tokio::test]
async fn la_13_a_test_key_with_a_live_token_and_the_other_way_round() {
    let server = start(CallerConfig::Application(ApiKeyConfig::new(StoreConfig::Memory))).await;
    register_user(&server).await;
    let shop = register(&server, "shop").await;
    let sandbox = register_in(KeyEnvironment::Test, &server, "shop, to try it out").await;
    let live_key = credential_of(&server, &shop.client_id).await;
    let key_of_sandbox = credential_of(&server, &sandbox.client_id).await;
    let test_key = generate_key(KeyEnvironment::Test, &mut rand::rngs::SysRng).expect("random bytes");
    let (live, test) = (token_of_user(&server, &shop).await, token_of_user(&server, &sandbox).await);

    let ask = async |key: &str, token: &str| {
        server.call_with("/whoami", &[("x-api-key", key), ("authorization", &format!("Bearer {token}"))]).await
    };
    ask(key(&live_key), &live).await.assert_accepted(USERNAME);
    for (answer, challenge) in [
        (ask(test_key.expose(), &live).await, "ApiKey"),
        (ask(test_key.expose(), &test).await, "ApiKey"),
        (ask(key(&key_of_sandbox), &test).await, "Bearer"),
    ] {
        let Answer::Http { status: 401, challenges, body: Some(body), .. } = &answer else {
            panic!("not a 401: {answer:?}")
        };
        assert!(body["type"].as_str().is_some_and(|kind| kind.ends_with("/wrong-environment")), "{body}");
        assert!(challenges[0].starts_with(challenge), "{challenges:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn la_10_bc_161_a_service_needs_its_certificate_in_the_handshake_and_a_users_token_after_it() {
    let certificates = MtlsConfig::new(Duration::from_secs(3600));
    let may_act = vec![SERVICE.to_owned()];
    let server = start(CallerConfig::Service(ServiceConfig { certificates, may_act })).await;
    server.call(&Material::None).await.assert_alert("CertificateRequired");
    let bearer_only = server.call_with("/whoami", &[("authorization", "Bearer a.b.c")]).await;
    bearer_only.assert_alert("CertificateRequired");

    let issued = credential_of(&server, SERVICE).await;
    assert_eq!(issued.principal, SERVICE);
    Caller::new(&server, &issued.material).call().await.assert_challenge("Bearer", None);
    // A client's own token speaks of no user.
    let token = server.token_of_client(&[READ_SCOPE]).await;
    let answer = Caller::new(&server, &issued.material).with_bearer(&token).call().await;
    let Answer::Http { status: 403, body: Some(body), .. } = &answer else { panic!("not a 403: {answer:?}") };
    assert!(body["type"].as_str().is_some_and(|kind| kind.ends_with("user-authorization-required")), "{body}");
    server.stop().await;
}

#[tokio::test]
async fn mt_35_bc_155_the_authority_of_a_listener_for_services_is_misdirected_elsewhere() {
    let certificates = MtlsConfig::new(Duration::from_secs(3600));
    let server = start(CallerConfig::Service(ServiceConfig { certificates, may_act: Vec::new() })).await;
    let [route, issuer] = server.running().ready().listeners.as_slice() else { panic!("two listeners") };
    let client = server.client().build().expect("a client");
    let ask = async |host: String| {
        let asking = client.get(format!("{}/jwks", issuer.url)).header("host", host);
        asking.send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(ask(route.address.to_string()).await, 421);
    assert_eq!(ask(issuer.address.to_string()).await, 200);
    server.stop().await;
}

#[tokio::test]
async fn mt_31_an_authorization_server_beside_optional_services_says_that_it_knows_clients_by_certificates() {
    let certificates = MtlsConfig { optional: true, ..MtlsConfig::new(Duration::from_secs(3600)) };
    let services = CallerConfig::Service(ServiceConfig { certificates, may_act: Vec::new() });
    let both = ListenerConfig { authorization_server: true, ..route(services) };
    let server = Server::start_with(vec![both], Some(signing())).await;
    let url = format!("{}/.well-known/oauth-authorization-server", server.url());
    let answer = server.client().build().expect("a client").get(url).send().await.expect("an answer");
    let metadata: Value = answer.json().await.expect("JSON");
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().expect("a list");
    assert!(methods.contains(&"tls_client_auth".into()), "{metadata}");
    server.stop().await;
}
