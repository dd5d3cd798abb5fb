//! What holds for every method alike: challenges, connections, streams, caches, paths, and what a caller may learn.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{Answer, Caller, STRICT, Server, basic, listener, oauth2, profile};
use bench_server::contract::{
    Algorithm, ApiKeyConfig, AuthorizationServerConfig, BasicConfig, Counters, HttpVersion, IssueRequest, Issued,
    JwtConfig, ListenerConfig, Material, MethodConfig, MixedConfig, MtlsConfig, OAuth2Config, PasswordHash, Profile,
    READ_SCOPE, StoreConfig, TokenValidation, Transport,
};
use futures_util::future::join_all;
use reqwest::{Client, Method, RequestBuilder, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const VERSIONS: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];

fn api_key() -> MethodConfig {
    MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))
}

/// Cheap hashes: it is not their cost that is tested.
fn password() -> MethodConfig {
    MethodConfig::Basic(BasicConfig::new(PasswordHash::Pbkdf2Sha256 { iterations: 1_000 }))
}

fn jwt() -> MethodConfig {
    MethodConfig::Jwt(JwtConfig { rules: STRICT, ..JwtConfig::new(Algorithm::EdDSA) })
}

fn opaque() -> MethodConfig {
    oauth2(TokenValidation::Opaque { cache: None })
}

/// Every method whose credential stands in a field.
fn methods() -> [(&'static str, MethodConfig); 4] {
    [("api-key", api_key()), ("basic", password()), ("jwt", jwt()), ("oauth2", opaque())]
}

/// A plaintext server with one method, and with an authorization server beside it where that is needed.
async fn serving(http: HttpVersion, method: MethodConfig) -> Server {
    let authorization_server =
        matches!(method, MethodConfig::OAuth2(_) | MethodConfig::Mixed(_)).then(AuthorizationServerConfig::default);
    let mut listeners =
        vec![ListenerConfig { profiles: vec![profile(method)], ..listener(Transport::Plaintext, http) }];
    if authorization_server.is_some() {
        listeners.push(ListenerConfig {
            name: "issuer".into(),
            authorization_server: true,
            ..listener(Transport::Plaintext, HttpVersion::Http1)
        });
    }
    Server::start_with(listeners, authorization_server).await
}

/// A client that keeps one connection.
fn client(server: &Server, http: HttpVersion) -> Client {
    match http {
        HttpVersion::Http1 => server.client().http1_only(),
        HttpVersion::Http2 => server.client().http2_prior_knowledge(),
    }
    .build()
    .expect("a client")
}

/// The field that presents a credential.
fn field(credential: &Issued) -> String {
    match &credential.material {
        Material::ApiKey { key } => format!("Bearer {}", key.expose()),
        Material::Bearer { token } => format!("Bearer {}", token.expose()),
        Material::Password { username, password } => basic(username, password.expose()),
        other => panic!("not presented in a field: {other:?}"),
    }
}

fn scheme(method: &MethodConfig) -> &'static str {
    if matches!(method, MethodConfig::Basic(_)) { "Basic" } else { "Bearer" }
}

async fn sent(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

/// What a request to the route costs, and its status.
async fn spent(server: &Server, fields: &[(&str, &str)]) -> (Option<u16>, Counters) {
    let before = server.counters().await;
    let answer = server.call_with("/whoami", fields).await;
    (answer.status(), server.counters().await.since(&before))
}

/// A challenge as RFC 9110 §11.6.1 has it, and no laxer: scheme, one space, parameters with quoted values.
fn challenge(value: &str) -> Option<(&str, Vec<(&str, &str)>)> {
    let is_token = |text: &str| {
        let special = b"!#$%&'*+-.^_`|~";
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || special.contains(&byte))
    };
    let (scheme, mut rest) = value.split_once(' ').filter(|(scheme, _)| is_token(scheme))?;
    let mut parameters = Vec::new();
    loop {
        let (name, quoted) = rest.split_once("=\"").filter(|(name, _)| is_token(name))?;
        let (text, after) = quoted.split_once('"')?;
        let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'\\');
        if !is_plain || parameters.iter().any(|(known, _)| *known == name) {
            return None;
        }
        parameters.push((name, text));
        rest = match after {
            "" => return Some((scheme, parameters)),
            _ => after.strip_prefix(", ")?,
        };
    }
}

/// Values of `Authorization` that no method may accept, made of one that it does.
fn malformed(good: &str) -> Vec<String> {
    let (scheme, credential) = good.split_once(' ').expect("a scheme");
    [
        "",
        "Foo abc",
        scheme,
        &format!("{scheme} "),
        credential,
        &format!("{good}, {good}"),
        &format!("{good},"),
        &format!("{good} x"),
        &format!("{scheme}\t{credential}"),
        &format!("{scheme} \"{credential}\""),
        &format!("{scheme}:{credential}"),
        &format!("Negotiate {credential}"),
        &format!("{scheme} {credential}{credential}"),
        "Digest username=\"x\"",
        "Bearer =",
        "Basic ====",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[tokio::test]
async fn xc_1_every_401_carries_challenges_that_a_strict_parser_reads() {
    assert_eq!(challenge("Bearer realm=\"a\", error=\"b\""), Some(("Bearer", vec![("realm", "a"), ("error", "b")])));
    for wrong in
        ["Bearer", "Bearer realm=a", "Bearer realm=\"a\",error=\"b\"", "Bearer realm=\"a\" ", "B@d realm=\"a\""]
    {
        assert_eq!(challenge(wrong), None, "{wrong}");
    }
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method.clone()).await;
        let good = field(&server.issue(&[READ_SCOPE], None).await);
        let bad = malformed(&good);
        let requests = bad.iter().map(|value| vec![("authorization", value.as_str())]);
        for fields in requests.chain([vec![], vec![("x-api-key", "x")]]) {
            for path in ["/whoami", "/nothing"] {
                let answer = server.call_with(path, &fields).await;
                let Answer::Http { status: 401, challenges, .. } = &answer else {
                    panic!("{name} {fields:?}: {answer:?}")
                };
                let read: Vec<_> = challenges.iter().map(|value| challenge(value)).collect();
                let [Some((used, parameters))] = read.as_slice() else { panic!("{name} {fields:?}: {challenges:?}") };
                assert_eq!((*used, parameters[0]), (scheme(&method), ("realm", "authbench")), "{name} {fields:?}");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_1_bc_001_a_listener_with_several_schemes_challenges_for_each() {
    let at = |name: &str, method| Profile { name: name.into(), path: format!("/{name}"), ..profile(method) };
    let both = ListenerConfig {
        profiles: vec![at("keys", api_key()), at("users", password())],
        ..listener(Transport::Plaintext, HttpVersion::Http1)
    };
    let server = Server::start_with(vec![both], None).await;
    let Answer::Http { status: 401, challenges, .. } = server.call_with("/nothing", &[]).await else {
        panic!("not a 401")
    };
    let read: Vec<_> = challenges.iter().filter_map(|value| challenge(value)).collect();
    let schemes: Vec<_> = read.iter().map(|(scheme, _)| *scheme).collect();
    assert_eq!(schemes, ["Bearer", "Basic"]);
    assert!(read.iter().flat_map(|(_, parameters)| parameters).all(|(name, _)| *name != "error"), "{challenges:?}");
}

/// Rows: BC-002, BC-003, BC-004, BC-005, BC-008, BC-010.
#[tokio::test]
async fn xc_3_a_malformed_field_is_refused_and_the_connection_lives_on() {
    for http in VERSIONS {
        for (name, method) in methods() {
            let server = serving(http, method).await;
            let issued = server.issue(&[READ_SCOPE], None).await;
            let (good, client) = (field(&issued), client(&server, http));
            let before = server.counters().await.connections_accepted;
            for bad in malformed(&good) {
                let call = async |value: &str| {
                    let answer = sent(client.get(server.whoami()).header("authorization", value)).await;
                    let status = answer.status();
                    answer.bytes().await.expect("a body");
                    status
                };
                assert_eq!(call(&bad).await, 401, "{name} {http:?} {bad:?}");
                // What surrounds a field's value in HTTP/1.1 is not part of it (RFC 9110 §5.5).
                let around = if http == HttpVersion::Http1 { " \t" } else { "" };
                assert_eq!(call(&format!("{good}{around}")).await, 200, "{name} {http:?}, after {bad:?}");
            }
            let after = server.counters().await.connections_accepted;
            // The authorization server is asked over connections of the resource server's own.
            if name != "oauth2" {
                assert_eq!(after - before, 1, "{name} {http:?}");
            }
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn xc_4_the_scheme_is_read_in_any_case_and_with_any_number_of_spaces() {
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method).await;
        let issued = server.issue(&[READ_SCOPE], None).await;
        let good = field(&issued);
        let (scheme, credential) = good.split_once(' ').expect("a scheme");
        for spelling in [scheme.to_lowercase(), scheme.to_uppercase(), format!("{scheme}  ")] {
            let value = format!("{spelling} {credential}");
            let answer = server.call_with("/whoami", &[("authorization", &value)]).await;
            assert_eq!(answer.status(), Some(200), "{name} {spelling:?}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_5_bc_006_bc_007_two_fields_are_a_bad_request_whichever_is_good() {
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method).await;
        let good = field(&server.issue(&[READ_SCOPE], None).await);
        let good = good.as_str();
        for pair in [[good, "Bearer x"], ["Bearer x", good], [good, good], ["", good], [good, "Basic eDp5"]] {
            let fields = pair.map(|value| ("authorization", value));
            assert_eq!(server.call_with("/whoami", &fields).await.status(), Some(400), "{name} {pair:?}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_8_bc_113_a_token_over_its_limit_costs_nothing() {
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method.clone()).await;
        for (length, expected) in [(8 * 1024 + 1, 401), (1024 * 1024, 431)] {
            // Of the form of a JWT, and of base64.
            for text in ["A".repeat(length), format!("{}.{}.AA", "A".repeat(1000), "A".repeat(length - 1004))] {
                let value = format!("{} {text}", scheme(&method));
                let (status, cost) = spent(&server, &[("authorization", &value)]).await;
                assert_eq!(status, Some(expected), "{name}, {length} bytes");
                let work = (cost.verify_calls, cost.hash_calls, cost.store_lookups, cost.jwks_fetches, cost.cache_hits);
                assert_eq!(work, (0, 0, 0, 0, 0), "{name}, {length} bytes");
            }
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_9_no_shared_cache_may_keep_what_a_credential_opened() {
    let mixed = MethodConfig::Mixed(Box::new(MixedConfig {
        api_key: ApiKeyConfig::new(StoreConfig::Memory),
        jwt: JwtConfig::new(Algorithm::EdDSA),
        opaque: OAuth2Config::new(TokenValidation::Opaque { cache: None }),
    }));
    for (name, method) in methods().into_iter().chain([("mixed", mixed)]) {
        let server = serving(HttpVersion::Http1, method).await;
        let good = field(&server.issue(&[READ_SCOPE], None).await);
        let client = client(&server, HttpVersion::Http1);
        for verb in [Method::GET, Method::HEAD] {
            let answer = sent(client.request(verb, server.whoami()).header("authorization", &good)).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["cache-control"], "no-store", "{name}");
            let vary = answer.headers()["vary"].to_str().expect("text").to_lowercase();
            let named: BTreeSet<_> = vary.split(',').map(str::trim).collect();
            let fields = if ["api-key", "mixed"].contains(&name) {
                vec!["authorization", "x-api-key"]
            } else {
                vec!["authorization"]
            };
            assert_eq!(named, BTreeSet::from_iter(fields), "{name}");
        }
        server.stop().await;
    }
}

/// Sends a request as it is; the status, or nothing where the server hangs up.
async fn raw(server: &Server, request: &str) -> Option<u16> {
    let address = server.running().ready().listeners[0].address;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an orderly end");
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).map(|digits| digits.parse().expect("a status"))
}

#[tokio::test]
async fn xc_13_bc_013_bc_014_no_spelling_of_a_path_gets_around_its_authentication() {
    let open =
        Profile { name: "open".into(), path: "/open".into(), scope: String::new(), ..profile(MethodConfig::None) };
    let both = ListenerConfig {
        profiles: vec![profile(api_key()), open],
        ..listener(Transport::Plaintext, HttpVersion::Http1)
    };
    let server = Server::start_with(vec![both], None).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let good = format!("Authorization: {}\r\n", field(&issued));
    let get =
        |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\nHost: x\r\n{fields}Connection: close\r\n\r\n");
    assert_eq!(raw(&server, &get("/open", "")).await, Some(200));
    assert_eq!(raw(&server, &get("/whoami", "")).await, Some(401));
    assert_eq!(raw(&server, &get("/whoami", &good)).await, Some(200));
    for target in [
        "//whoami",
        "/./whoami",
        "/open/../whoami",
        "/%2e%2e/whoami",
        "/open/%2e%2e/whoami",
        "/open%2F..%2Fwhoami",
        "/%77hoami",
        "/whoami%2F",
        "/whoami/",
        "/whoami%00",
        "/whoami;x",
        "/whoami.json",
        "/WHOAMI",
        "/open/",
        "/OPEN",
        "/open;x/../whoami",
        "http://x//whoami",
        "http://x/%77hoami",
    ] {
        // With one protected route, that decides; and whoever is let in finds nothing.
        assert_eq!(raw(&server, &get(target, "")).await, Some(401), "{target}");
        assert_eq!(raw(&server, &get(target, &good)).await, Some(404), "{target}");
    }
    // In absolute form, and under whatever name: the same route.
    for host in ["x", "other.test"] {
        let request =
            |fields: &str| format!("GET http://x/whoami HTTP/1.1\r\nHost: {host}\r\n{fields}Connection: close\r\n\r\n");
        assert_eq!(raw(&server, &request("")).await, Some(401), "{host}");
        assert_eq!(raw(&server, &request(&good)).await, Some(200), "{host}");
    }
    // Nobody rewrites what was asked for.
    for field in [
        "X-Original-URL: /open",
        "X-Rewrite-URL: /open",
        "X-Forwarded-Prefix: /open",
        "X-HTTP-Method-Override: OPTIONS",
    ] {
        assert_eq!(raw(&server, &get("/whoami", &format!("{field}\r\n"))).await, Some(401), "{field}");
    }
    server.stop().await;
}

#[tokio::test]
async fn xc_13_another_host_than_the_authority_changes_nothing_over_http_2() {
    let server = serving(HttpVersion::Http2, api_key()).await;
    let good = field(&server.issue(&[READ_SCOPE], None).await);
    let client = client(&server, HttpVersion::Http2);
    let conflicting = || client.get(server.whoami()).header("host", "other.test");
    // A client may be told that its request is malformed (RFC 9113 §8.3.1), and is never let in for it.
    assert!([400, 401].contains(&sent(conflicting()).await.status().as_u16()));
    assert!([200, 400].contains(&sent(conflicting().header("authorization", &good)).await.status().as_u16()));
    assert_eq!(sent(client.get(server.whoami())).await.status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn bc_015_nobody_is_believed_who_says_who_they_are() {
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method).await;
        for field in [
            "x-forwarded-user",
            "x-remote-user",
            "remote-user",
            "x-authenticated-user",
            "x-authenticated-userid",
            "x-forwarded-email",
            "x-forwarded-client-cert",
            "client-cert",
            "x-ssl-client-verify",
        ] {
            let (status, cost) = spent(&server, &[(field, "alice")]).await;
            assert_eq!((status, cost.accepted), (Some(401), 0), "{name} {field}");
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_15_of_a_hundred_streams_each_is_judged_alone() {
    const STREAMS: usize = 100;
    let server = serving(HttpVersion::Http2, api_key()).await;
    let request = IssueRequest { count: STREAMS, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let issued: Vec<Issued> =
        server.control_post("/profiles/subject/credentials", &request).await.json().await.expect("credentials");
    let revoked = &issued[1];
    server.revoke(revoked).await;
    let client = client(&server, HttpVersion::Http2);
    // The connection is there before the streams are.
    assert_eq!(sent(client.get(server.whoami())).await.status(), 401);
    for round in 0..10 {
        let streams = issued.iter().enumerate().map(|(number, credential)| {
            let request = client.get(server.whoami());
            let request = match number % 4 {
                0 | 2 => request.header("authorization", field(credential)),
                1 => request.header("authorization", field(revoked)),
                _ => request,
            };
            async move { (number, credential, sent(request).await) }
        });
        for (number, credential, answer) in join_all(streams).await {
            if number % 2 == 1 {
                assert_eq!(answer.status(), 401, "round {round}, stream {number}");
                continue;
            }
            assert_eq!(answer.status(), 200, "round {round}, stream {number}");
            let body: serde_json::Value = answer.json().await.expect("JSON");
            assert_eq!(body["principal"], credential.principal, "round {round}, stream {number}");
        }
    }
    let counters = server.counters().await;
    assert_eq!(counters.connections_accepted, 1, "over one connection");
    assert_eq!(counters.accepted, 10 * STREAMS as u64 / 2);
    server.stop().await;
}

/// Everything that a caller sees of a refusal, but for its date.
async fn seen(server: &Server, value: &str) -> (u16, Vec<(String, String)>, String) {
    let answer = sent(client(server, HttpVersion::Http1).get(server.whoami()).header("authorization", value)).await;
    let status = answer.status().as_u16();
    let fields = answer.headers().iter().filter(|(name, _)| *name != "date");
    let fields = fields.map(|(name, value)| (name.to_string(), value.to_str().expect("text").to_owned())).collect();
    (status, fields, answer.text().await.expect("a body"))
}

#[tokio::test]
async fn xc_16_who_is_unknown_and_who_is_wrong_cannot_be_told_apart_by_what_they_see_or_cost() {
    let server = serving(HttpVersion::Http1, password()).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let Material::Password { username, .. } = &issued.material else { panic!("not a password") };
    let (unknown, wrong) = (basic("nobody", "wrong password"), basic(username, "wrong password"));
    assert_eq!(seen(&server, &unknown).await, seen(&server, &wrong).await);
    let cost = async |value: &str| {
        let (_, cost) = spent(&server, &[("authorization", value)]).await;
        (cost.hash_calls, cost.store_lookups)
    };
    assert_eq!(cost(&unknown).await, cost(&wrong).await);
    server.stop().await;

    // Keys and tokens have no name beside their secret: what was never issued and what is dead.
    for method in [api_key(), opaque()] {
        let (server, elsewhere) =
            (serving(HttpVersion::Http1, method.clone()).await, serving(HttpVersion::Http1, method).await);
        let (dead, foreign) = (server.issue(&[READ_SCOPE], None).await, elsewhere.issue(&[READ_SCOPE], None).await);
        server.revoke(&dead).await;
        let (dead, foreign) = (field(&dead), field(&foreign));
        let refused = seen(&server, &dead).await;
        assert_eq!(refused.0, 401);
        assert_eq!(refused, seen(&server, &foreign).await);
        assert_eq!(refused, seen(&server, "Bearer nonsense").await);
        server.stop().await;
        elsewhere.stop().await;
    }
}

#[tokio::test]
async fn xc_19_what_must_not_be_guessed_is_long_and_never_the_same() {
    const MANY: usize = 500;
    let bits = |secret: &str, alphabet: f64| secret.len() as f64 * alphabet.log2();
    for method in [api_key(), jwt(), password()] {
        let count = if matches!(method, MethodConfig::Basic(_)) { 20 } else { MANY };
        let server = serving(HttpVersion::Http1, method).await;
        let request = IssueRequest { count, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        let issued: Vec<Issued> =
            server.control_post("/profiles/subject/credentials", &request).await.json().await.expect("credentials");
        let mut secrets = BTreeSet::new();
        for credential in &issued {
            let (random, alphabet) = match &credential.material {
                // Prefix and checksum do not count.
                Material::ApiKey { key } => (&key.expose()["ab_live_".len()..][..30], 62.0),
                Material::Password { password, .. } => (password.expose(), 62.0),
                // What a token is told apart by; its secret is a signature.
                Material::Bearer { .. } => (credential.id.as_str(), 16.0),
                other => panic!("{other:?}"),
            };
            assert!(bits(random, alphabet) >= 128.0, "{} characters", random.len());
            assert!(secrets.insert(random.to_owned()), "twice the same");
        }
        server.stop().await;
    }
    let server = serving(HttpVersion::Http1, opaque()).await;
    let mut tokens = BTreeSet::new();
    for _ in 0..20 {
        let issued = server.issue(&[READ_SCOPE], None).await;
        let token = field(&issued).strip_prefix("Bearer at_").expect("an opaque token").to_owned();
        assert!(bits(&token, 64.0) >= 128.0 && tokens.insert(token));
    }
    server.stop().await;
}

#[tokio::test]
async fn xc_21_a_preflight_needs_no_credential_and_opens_nothing() {
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method).await;
        let client = client(&server, HttpVersion::Http1);
        let preflight = client
            .request(Method::OPTIONS, server.whoami())
            .header("origin", "https://elsewhere.test")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "authorization");
        let answer = sent(preflight).await;
        assert_eq!(answer.status(), 204, "{name}");
        assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
        let good = field(&server.issue(&[READ_SCOPE], None).await);
        let crossing =
            sent(client.get(server.whoami()).header("origin", "https://elsewhere.test").header("authorization", good))
                .await;
        for headers in [answer.headers(), crossing.headers()] {
            // No origin is allowed, so no browser sends a credential across, or shows what came back.
            assert!(headers.keys().all(|name| !name.as_str().starts_with("access-control-")), "{headers:?}");
        }
        // Nobody learns from it which paths exist.
        let unknown = sent(client.request(Method::OPTIONS, format!("{}/nothing", server.url()))).await;
        assert_eq!(unknown.status(), 401);
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_22_head_has_status_and_fields_of_get() {
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method).await;
        let good = field(&server.issue(&[READ_SCOPE], None).await);
        let client = client(&server, HttpVersion::Http1);
        for value in [good.as_str(), "Bearer x", "Basic x", ""] {
            let ask = async |verb| {
                let answer = sent(client.request(verb, server.whoami()).header("authorization", value)).await;
                let mut headers = answer.headers().clone();
                headers.remove("date");
                (answer.status(), headers, answer.bytes().await.expect("a body").len())
            };
            let ((get, get_fields, _), (head, head_fields, length)) = (ask(Method::GET).await, ask(Method::HEAD).await);
            assert_eq!((get, get_fields), (head, head_fields), "{name} {value:?}");
            assert_eq!(length, 0);
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_23_bc_009_a_credential_for_a_proxy_counts_for_nothing() {
    for (name, method) in methods() {
        let server = serving(HttpVersion::Http1, method.clone()).await;
        let good = field(&server.issue(&[READ_SCOPE], None).await);
        server.call_with("/whoami", &[("proxy-authorization", &good)]).await.assert_challenge(scheme(&method), None);
        let beside = [("proxy-authorization", "Bearer x"), ("authorization", good.as_str())];
        assert_eq!(server.call_with("/whoami", &beside).await.status(), Some(200), "{name}");
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_17_every_end_follows_the_one_clock() {
    let minute = Duration::from_secs(60);
    let mtls = MethodConfig::Mtls(MtlsConfig::new(Duration::from_millis(20)));
    for method in [api_key(), jwt(), mtls] {
        let server = Server::start(method.clone()).await;
        let issued = server.issue(&[READ_SCOPE], Some(minute)).await;
        Caller::new(&server, &issued.material).call().await.assert_accepted(&issued.principal);
        server.advance(minute + Duration::from_secs(1)).await;
        let answer = Caller::new(&server, &issued.material).call().await;
        assert_ne!(answer.status(), Some(200), "{method:?}");
        // What is issued now is good now: the issuer goes by the same clock.
        let next = server.issue(&[READ_SCOPE], Some(minute)).await;
        Caller::new(&server, &next.material).call().await.assert_accepted(&next.principal);
        server.stop().await;
    }
}
