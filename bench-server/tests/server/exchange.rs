//! An API key exchanged for a JWT that lives for a short time (RFC 8693), over the wire: what is had for which key, and how long
//! it outlives its key.
use std::num::NonZeroU32;
use std::time::Duration;

use crate::common::{Answer, Server, listener, oauth2, profile};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, AuthorizationServerConfig, ClientRegistration, HttpVersion,
    IssueRequest, Issued, KeyEnvironment, KeyRequest, KeyUsage, LimitConfig, ListenerConfig, Material, MeteringConfig,
    MethodConfig, NewKey, Profile, READ_SCOPE, Secret, StoreConfig, TokenExchangeConfig, TokenValidation, Transport,
    generate_key,
};
use serde_json::{Value, json};

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const API_KEY: &str = "https://api.authbench.test/token-types/api-key";

const ALGORITHM: Algorithm = Algorithm::ES256;
const LIFETIME: Duration = Duration::from_secs(300);

/// Keys are taken at `/whoami`; their JWTs by their signature at `/local`, and by asking the authorization server at `/asking`.
async fn start(keys: ApiKeyConfig) -> Server {
    let route =
        |name: &str, validation| Profile { name: name.into(), path: format!("/{name}"), ..profile(oauth2(validation)) };
    let main = ListenerConfig {
        profiles: vec![
            profile(MethodConfig::ApiKey(keys)),
            route("local", TokenValidation::Jwt { algorithm: ALGORITHM }),
            route("asking", TokenValidation::Opaque { cache: None }),
        ],
        authorization_server: true,
        ..listener(Transport::Tls13, HttpVersion::Http1)
    };
    let authorization_server = AuthorizationServerConfig {
        access_token: AccessTokenFormat::Jwt { algorithm: ALGORITHM },
        token_exchange: Some(TokenExchangeConfig { lifetime: LIFETIME, ..TokenExchangeConfig::new("subject") }),
        ..AuthorizationServerConfig::default()
    };
    Server::start_with(vec![main], Some(authorization_server)).await
}

fn plain() -> ApiKeyConfig {
    ApiKeyConfig::new(StoreConfig::Memory)
}

async fn issue(server: &Server, scopes: &[&str], lifetime: Option<Duration>) -> (Issued, String) {
    let request = IssueRequest { count: 1, lifetime, scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect() };
    let issued = server.control_post("/profiles/subject/credentials", &request).await;
    let issued = issued.json::<Vec<Issued>>().await.expect("a key").remove(0);
    let Material::ApiKey { key } = &issued.material else { panic!("not a key: {issued:?}") };
    let key = key.expose().to_owned();
    (issued, key)
}

/// Asks for an exchange; a parameter that is given takes the place of the usual one, and an empty one is as good as none.
async fn ask(server: &Server, parameters: &[(&str, &str)]) -> reqwest::Response {
    let usual = [("grant_type", TOKEN_EXCHANGE), ("subject_token_type", API_KEY)];
    let usual = usual.into_iter().filter(|(name, _)| parameters.iter().all(|(given, _)| given != name));
    let form: Vec<_> = usual.chain(parameters.iter().copied()).collect();
    let client = server.client().build().expect("a client");
    client.post(format!("{}/token", server.url())).form(&form).send().await.expect("an answer")
}

async fn exchange(server: &Server, parameters: &[(&str, &str)]) -> (u16, Value) {
    let answer = ask(server, parameters).await;
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

async fn exchanged(server: &Server, key: &str) -> Value {
    let (status, body) = exchange(server, &[("subject_token", key)]).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn token(body: &Value) -> &str {
    body["access_token"].as_str().unwrap_or_else(|| panic!("no token: {body}"))
}

/// Header and claims, whether they are signed or not.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let mut part = || serde_json::from_slice(&parts.next().expect("three parts")).expect("JSON");
    (part(), part())
}

async fn present(server: &Server, path: &str, token: &str) -> Answer {
    server.call_with(path, &[("authorization", &format!("Bearer {token}"))]).await
}

fn bad(error: &str) -> (u16, Value) {
    (400, Value::from(error))
}

/// Status and error code.
async fn refused(server: &Server, parameters: &[(&str, &str)]) -> (u16, Value) {
    let (status, body) = exchange(server, parameters).await;
    (status, body["error"].clone())
}

#[tokio::test]
async fn la_9_a_key_is_exchanged_for_a_short_jwt_with_no_more_scopes() {
    let server = start(plain()).await;
    let client = server.client().build().expect("a client");
    let metadata = client.get(format!("{}/.well-known/oauth-authorization-server", server.url())).send().await;
    let metadata: Value = metadata.expect("an answer").json().await.expect("metadata");
    assert!(metadata["grant_types_supported"].as_array().expect("a list").contains(&TOKEN_EXCHANGE.into()));

    let (issued, key) = issue(&server, &[READ_SCOPE, "write"], None).await;
    let answer = ask(&server, &[("subject_token", &key)]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!((&body["token_type"], &body["issued_token_type"]), (&json!("Bearer"), &json!(ACCESS_TOKEN)));
    assert_eq!((&body["expires_in"], &body["scope"]), (&json!(LIFETIME.as_secs()), &json!("read write")));
    assert_eq!(body["refresh_token"], Value::Null, "the key is what it is renewed with");

    let (header, claims) = parts(token(&body));
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    let time = |name: &str| claims[name].as_u64().unwrap_or_else(|| panic!("no {name}: {claims}"));
    assert_eq!(time("exp") - time("iat"), LIFETIME.as_secs());
    assert!(time("exp") - time("iat") <= 900, "15 minutes at most");
    let principal = format!("client:{}", issued.principal);
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!(principal), &json!(issued.principal)));
    for path in ["/local", "/asking"] {
        present(&server, path, token(&body)).await.assert_accepted(&principal);
    }
    assert_eq!(present(&server, "/whoami", token(&body)).await.status(), Some(401), "it is no key");
    assert_eq!(present(&server, "/local", &key).await.status(), Some(401), "and a key is no JWT");

    // Less than the key may do, and never more.
    let less = [("subject_token", key.as_str()), ("scope", "write"), ("requested_token_type", JWT)];
    let (status, body) = exchange(&server, &less).await;
    assert_eq!((status, &body["scope"], &body["issued_token_type"]), (200, &json!("write"), &json!(JWT)));
    assert_eq!(present(&server, "/local", token(&body)).await.status(), Some(403), "the route asks for read");
    let (_, narrow) = issue(&server, &["write"], None).await;
    assert_eq!(exchanged(&server, &narrow).await["scope"], "write");
    for (key, wider) in [(&key, "read admin"), (&key, "admin"), (&narrow, READ_SCOPE), (&narrow, "read write")] {
        let answer = refused(&server, &[("subject_token", key), ("scope", wider)]).await;
        assert_eq!(answer, bad("invalid_scope"), "{wider}");
    }
    let (_, without) = issue(&server, &[], None).await;
    let nothing = exchanged(&server, &without).await;
    assert_eq!(nothing["scope"], Value::Null);
    assert_eq!(present(&server, "/local", token(&nothing)).await.status(), Some(403));
    server.stop().await;
}

#[tokio::test]
async fn la_9_what_is_not_a_good_key_alone_buys_nothing() {
    let server = start(plain()).await;
    let (issued, key) = issue(&server, &[READ_SCOPE], None).await;
    let (revoked, revoked_key) = issue(&server, &[READ_SCOPE], None).await;
    server.revoke(&revoked).await;
    let (_, expired) = issue(&server, &[READ_SCOPE], Some(Duration::from_secs(10))).await;
    server.advance(Duration::from_secs(11)).await;
    let stranger = |environment| generate_key(environment, &mut rand::rngs::SysRng).expect("random bytes");
    let (unknown, test) = (stranger(KeyEnvironment::Live), stranger(KeyEnvironment::Test));
    let body = exchanged(&server, &key).await;
    for subject in
        ["", "x", &issued.id, &key[1..], &revoked_key, &expired, unknown.expose(), test.expose(), token(&body)]
    {
        assert_eq!(refused(&server, &[("subject_token", subject)]).await, bad("invalid_request"), "{subject}");
    }
    for beside in [
        ("subject_token_type", ""),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
        ("actor_token", &key),
        ("client_id", &issued.principal),
        ("client_secret", "x"),
    ] {
        assert_eq!(refused(&server, &[("subject_token", &key), beside]).await, bad("invalid_request"), "{beside:?}");
    }
    for place in ["resource", "audience"] {
        let elsewhere = [("subject_token", key.as_str()), (place, "https://other.test")];
        assert_eq!(refused(&server, &elsewhere).await, bad("invalid_target"), "{place}");
        let here = [("subject_token", key.as_str()), (place, "https://api.authbench.test")];
        assert_eq!(exchange(&server, &here).await.0, 200, "{place}");
    }
    // A client that is known otherwise is not the application, and may not ask for this grant.
    let client = server.register_client(&ClientRegistration::service("client", &[READ_SCOPE])).await;
    let secret = client.client_secret.as_ref().map(Secret::expose);
    let form = [("grant_type", TOKEN_EXCHANGE), ("subject_token_type", API_KEY), ("subject_token", &key)];
    let asking = server.client().build().expect("a client").post(format!("{}/token", server.url()));
    let answer = asking.basic_auth(&client.client_id, secret).form(&form).send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
    server.stop().await;

    // Where it is not configured there is no such grant.
    let plain = Server::start(oauth2(TokenValidation::Jwt { algorithm: ALGORITHM })).await;
    assert_eq!(refused(&plain, &[("subject_token", &key)]).await, (401, json!("invalid_client")));
    plain.stop().await;
}

/// Declared: whoever asks refuses at once, and whoever checks the signature accepts until the end that the JWT has from its
/// beginning. Measured, by a clock that is moved.
#[tokio::test]
async fn la_9_a_jwt_outlives_its_revoked_key_until_its_end_and_no_longer() {
    let server = start(plain()).await;
    let (issued, key) = issue(&server, &[READ_SCOPE], None).await;
    let (_, bystander) = issue(&server, &[READ_SCOPE], None).await;
    let (jwt, of_bystander) = (exchanged(&server, &key).await, exchanged(&server, &bystander).await);
    let declared = jwt["expires_in"].as_u64().expect("seconds");
    for path in ["/local", "/asking"] {
        assert_eq!(present(&server, path, token(&jwt)).await.status(), Some(200), "{path}");
    }
    server.revoke(&issued).await;
    server.call(&issued.material).await.assert_challenge("Bearer", Some("invalid_token"));
    assert_eq!(refused(&server, &[("subject_token", &key)]).await, bad("invalid_request"), "no more is had for it");
    present(&server, "/asking", token(&jwt)).await.assert_challenge("Bearer", Some("invalid_token"));
    assert_eq!(present(&server, "/asking", token(&of_bystander)).await.status(), Some(200));

    let (mut window, step) = (0, 10);
    while present(&server, "/local", token(&jwt)).await.status() == Some(200) {
        assert!(window < declared, "it is accepted {window} s after the revocation, and {declared} s are declared");
        server.advance(Duration::from_secs(step)).await;
        window += step;
    }
    assert!(window > declared / 2, "nobody told this route: {window} s");
    present(&server, "/local", token(&jwt)).await.assert_challenge("Bearer", Some("invalid_token"));
    server.stop().await;
}

#[tokio::test]
async fn la_9_a_jwt_ends_with_its_key_at_the_latest() {
    let server = start(plain()).await;
    let (_, key) = issue(&server, &[READ_SCOPE], Some(Duration::from_secs(100))).await;
    let lifetime = exchanged(&server, &key).await["expires_in"].as_u64().expect("seconds");
    assert!((60..=100).contains(&lifetime), "{lifetime}");
    let (_, over) = issue(&server, &[READ_SCOPE], Some(Duration::from_millis(900))).await;
    assert_eq!(refused(&server, &[("subject_token", &over)]).await, bad("invalid_request"));
    server.stop().await;
}

#[tokio::test]
async fn la_9_an_exchange_is_limited_and_counted_and_bound_to_networks_like_any_use_of_its_key() {
    let window = Duration::from_secs(3600);
    let limit = Some(LimitConfig { requests: NonZeroU32::new(3).expect("three"), window });
    let server = start(ApiKeyConfig { limit, metering: Some(MeteringConfig::default()), ..plain() }).await;
    let (issued, key) = issue(&server, &[READ_SCOPE], None).await;
    let jwt = exchanged(&server, &key).await;
    exchanged(&server, &key).await;
    server.call(&issued.material).await.assert_accepted(&issued.principal);
    let over = ask(&server, &[("subject_token", &key)]).await;
    assert_eq!(over.status(), 429);
    assert!(over.headers().contains_key("retry-after") && over.headers().contains_key("ratelimit"), "{over:?}");
    // What is had already is no use of the key.
    assert_eq!(present(&server, "/local", token(&jwt)).await.status(), Some(200));

    let create = async |network: &str| {
        let networks = vec![network.parse().expect("a network")];
        let request = KeyRequest { scopes: vec![READ_SCOPE.to_owned()], networks, ..KeyRequest::default() };
        let created = server.control_post("/profiles/subject/keys", &request).await;
        created.json::<NewKey>().await.expect("a key").key
    };
    let (inside, outside) = (create("127.0.0.0/8").await, create("192.0.2.0/24").await);
    assert_eq!(exchange(&server, &[("subject_token", inside.expose())]).await.0, 200);
    assert_eq!(refused(&server, &[("subject_token", outside.expose())]).await, bad("invalid_request"));

    let control = reqwest::Client::builder().unix_socket(server.running().ready().control.clone());
    let usage = control.build().expect("a client").get("http://control/profiles/subject/usage").send().await;
    let usage: Vec<KeyUsage> = usage.expect("an answer").json().await.expect("usage");
    let of_key = usage.iter().find(|line| line.key == issued.id).expect("the key was used");
    assert_eq!((of_key.requests, usage.len()), (3, 2));
    server.stop().await;
}

#[tokio::test]
async fn la_9_la_13_a_jwt_counts_in_the_environment_of_its_key() {
    let server = start(ApiKeyConfig { environment: KeyEnvironment::Test, ..plain() }).await;
    let (_, key) = issue(&server, &[READ_SCOPE], None).await;
    let jwt = exchanged(&server, &key).await;
    assert_eq!(parts(token(&jwt)).1["https://api.authbench.test/environment"], "test");
    for path in ["/local", "/asking"] {
        let answer = present(&server, path, token(&jwt)).await;
        answer.assert_challenge("Bearer", Some("invalid_token"));
        let Answer::Http { body: Some(body), .. } = &answer else { panic!("no problem: {answer:?}") };
        assert!(body["type"].as_str().is_some_and(|kind| kind.ends_with("/wrong-environment")), "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn la_9_while_the_store_of_keys_gives_no_answer_nothing_is_exchanged_or_confirmed() {
    let server = start(ApiKeyConfig::new(StoreConfig::Sqlite)).await;
    let (_, key) = issue(&server, &[READ_SCOPE], None).await;
    let jwt = exchanged(&server, &key).await;
    let file = rusqlite::Connection::open(server.state_dir().join("subject/store.sqlite")).expect("the store");
    file.execute_batch("DROP TABLE keys").expect("drop");
    let answer = ask(&server, &[("subject_token", &key)]).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    assert_eq!(present(&server, "/asking", token(&jwt)).await.status(), Some(503), "nobody knows whether it is good");
    assert_eq!(present(&server, "/local", token(&jwt)).await.status(), Some(200), "its signature is");
    server.stop().await;
}
