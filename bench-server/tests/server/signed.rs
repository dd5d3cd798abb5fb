//! Signed requests (RFC 9421) over the wire: what a caller sends and what comes back.
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{Server, listener, profile};
use bench_server::contract::http_signature::{COMPONENTS, Message, content_digest, read_key, sign_message};
use bench_server::contract::{
    HttpVersion, Issued, Material, MethodConfig, READ_SCOPE, SignedConfig, StoreConfig, Transport,
};
use reqwest::header::{HeaderMap, HeaderValue};

const MINUTE: Duration = Duration::from_secs(60);

fn signed(store: StoreConfig) -> MethodConfig {
    MethodConfig::Signed(SignedConfig::new(store))
}

/// What one request is made of.
#[derive(Clone)]
struct Draft {
    verb: &'static str,
    target: &'static str,
    content: &'static str,
    nonce: String,
    /// Seconds by which the caller's clock is ahead, negative: behind.
    ahead: i64,
}

impl Draft {
    fn get(nonce: &str) -> Self {
        Self { verb: "GET", target: "/whoami", content: "", nonce: nonce.to_owned(), ahead: 0 }
    }

    fn post(nonce: &str) -> Self {
        Self { verb: "POST", content: "{\"amount\": 5}", ..Self::get(nonce) }
    }

    /// The fields that sign it.
    fn sign(&self, server: &Server, issued: &Issued) -> HeaderMap {
        let Material::SigningKey { key_id, key } = &issued.material else { panic!("not a key: {issued:?}") };
        let mut fields = HeaderMap::new();
        let mut components = COMPONENTS.to_vec();
        if !self.content.is_empty() {
            components.push("content-digest");
            let digest = content_digest::of(self.content.as_bytes());
            fields.insert("content-digest", HeaderValue::try_from(digest).expect("a field value"));
        }
        let url = reqwest::Url::parse(&format!("{}{}", server.url(), self.target)).expect("a URL");
        let authority = format!("{}:{}", url.host_str().expect("a host"), url.port().expect("a port"));
        let message = Message {
            method: self.verb,
            authority: &authority,
            path: url.path(),
            query: url.query(),
            fields: &fields,
            content: self.content.as_bytes(),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let created = now.checked_add_signed(self.ahead).expect("after 1970");
        let (expires, nonce) = (created + 60, &self.nonce);
        let parameters = format!(
            r#";created={created};expires={expires};nonce="{nonce}";keyid="{key_id}";alg="hmac-sha256";tag="authbench""#
        );
        let key = read_key(key.expose()).expect("a key");
        let (input, mac) = sign_message(&message, &components, &parameters, &key).expect("signed");
        for (name, value) in [("signature-input", format!("sig1={input}")), ("signature", format!("sig1=:{mac}:"))] {
            fields.insert(name, HeaderValue::try_from(value).expect("a field value"));
        }
        fields
    }

    /// Sends it with the given fields.
    async fn send(&self, client: &reqwest::Client, server: &Server, fields: HeaderMap) -> reqwest::Response {
        let verb = self.verb.parse().expect("a method");
        let request = client.request(verb, format!("{}{}", server.url(), self.target)).headers(fields);
        let request = if self.content.is_empty() { request } else { request.body(self.content) };
        request.send().await.expect("an answer")
    }

    async fn call(&self, client: &reqwest::Client, server: &Server, issued: &Issued) -> reqwest::Response {
        self.send(client, server, self.sign(server, issued)).await
    }
}

/// 401 with the challenge and what is asked for; the same bytes whatever was wrong.
fn assert_refused(answer: &reqwest::Response, error: bool) {
    let field = |name: &str| answer.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(answer.status(), 401);
    let error = if error { ", error=\"invalid_signature\"" } else { "" };
    assert_eq!(field("www-authenticate"), format!("Signature realm=\"authbench\"{error}"));
    let asked = field("accept-signature");
    for component in COMPONENTS {
        assert!(asked.contains(&format!("\"{component}\"")), "{asked}");
    }
    assert!(asked.contains(";created;expires;") && asked.contains("tag=\"authbench\""), "{asked}");
}

async fn over(http: HttpVersion, transport: Transport) -> (Server, reqwest::Client) {
    let mut main = listener(transport, http);
    main.profiles = vec![profile(signed(StoreConfig::Memory))];
    let server = Server::start_with(vec![main], None).await;
    let client = match (http, transport) {
        (HttpVersion::Http2, Transport::Plaintext) => server.client().http2_prior_knowledge(),
        _ => server.client(),
    };
    let client = client.build().expect("a client");
    (server, client)
}

#[tokio::test]
async fn sr_1_signed_requests_are_accepted_over_both_versions_with_and_without_content() {
    for (http, transport) in [
        (HttpVersion::Http1, Transport::Plaintext),
        (HttpVersion::Http1, Transport::Tls13),
        (HttpVersion::Http2, Transport::Plaintext),
        (HttpVersion::Http2, Transport::Tls13),
    ] {
        let (server, client) = over(http, transport).await;
        let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        for draft in [Draft::get("1"), Draft { target: "/whoami?a=%2F&b", ..Draft::get("2") }, Draft::post("3")] {
            let answer = draft.call(&client, &server, &issued).await;
            assert_eq!(answer.status(), 200, "{http:?} {transport:?} {} {}", draft.verb, draft.target);
            assert_eq!(answer.headers()["vary"], "Signature-Input, Signature");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            let body: serde_json::Value = answer.json().await.expect("JSON");
            assert_eq!(body["principal"], issued.principal);
            assert_eq!((&body["method"], &body["cred_id"]), (&"signed".into(), &issued.id.as_str().into()));
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn sr_2_bc_037_bc_039_bc_041_changed_replayed_and_unsigned_requests_get_the_same_401() {
    let (server, client) = over(HttpVersion::Http1, Transport::Plaintext).await;
    let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
    let mut bodies = BTreeSet::new();
    let get = Draft::get("1");
    assert_refused(&get.send(&client, &server, HeaderMap::new()).await, false);
    let fields = get.sign(&server, &issued);
    assert_eq!(get.send(&client, &server, fields.clone()).await.status(), 200);
    let mut refused = vec![get.send(&client, &server, fields).await]; // replayed

    let post = Draft::post("2");
    let fields = post.sign(&server, &issued);
    for changed in [
        Draft { content: "{\"amount\": 6}", ..post.clone() },
        Draft { content: "", ..post.clone() },
        Draft { target: "/whoami?admin=1", ..post.clone() },
        Draft { verb: "GET", ..post.clone() },
        Draft { verb: "DELETE", ..post.clone() },
    ] {
        refused.push(changed.send(&client, &server, fields.clone()).await);
    }
    let mut bare = fields.clone();
    bare.remove("content-digest");
    refused.push(post.send(&client, &server, bare).await);
    let mut deprecated = fields.clone();
    deprecated.insert("content-digest", HeaderValue::from_static("md5=:Sd/dVLAcvNLSq16eXua5uQ==:"));
    refused.push(post.send(&client, &server, deprecated).await);
    let mut half = fields.clone();
    half.remove("signature");
    refused.push(post.send(&client, &server, half).await);
    // What was refused before has used nothing up.
    assert_eq!(post.send(&client, &server, fields).await.status(), 200);

    for ahead in [-301, 31] {
        refused.push(Draft { ahead, ..Draft::get("3") }.call(&client, &server, &issued).await);
    }
    server.revoke(&issued).await;
    refused.push(Draft::get("4").call(&client, &server, &issued).await);
    for answer in refused {
        assert_refused(&answer, true);
        bodies.insert(answer.bytes().await.expect("a body"));
    }
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    // Every reason is counted for the operator all the same.
    let rejected = server.counters().await.rejected;
    for reason in ["replayed", "bad_signature", "malformed", "expired", "not_yet_valid", "revoked", "missing"] {
        assert!(rejected.contains_key(reason), "{reason}: {rejected:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn bc_044_a_request_for_one_host_is_refused_by_another() {
    let (client, folder) = (reqwest::Client::new(), tempfile::tempdir().expect("a temporary folder"));
    let start = async || {
        let mut main = listener(Transport::Plaintext, HttpVersion::Http1);
        main.profiles = vec![profile(signed(StoreConfig::Sqlite))];
        Server::start_in(vec![main], None, Some(folder.path())).await
    };
    let (one, other) = (start().await, start().await);
    let issued = one.issue(&[READ_SCOPE], Some(MINUTE)).await;
    let draft = Draft::get("1");
    let fields = draft.sign(&one, &issued);
    assert_refused(&draft.send(&client, &other, fields.clone()).await, true);
    assert_eq!(draft.send(&client, &one, fields).await.status(), 200);
    // The same key is good at both, when it signs for them; and a nonce is used up at both (SR-5).
    assert_refused(&draft.call(&client, &other, &issued).await, true);
    assert_eq!(Draft::get("2").call(&client, &other, &issued).await.status(), 200);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn sr_5_of_many_at_once_exactly_one_is_accepted() {
    let (server, client) = over(HttpVersion::Http2, Transport::Plaintext).await;
    let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
    for nonce in 0..10 {
        let draft = Draft::get(&nonce.to_string());
        let fields = draft.sign(&server, &issued);
        let all = (0..10).map(|_| draft.send(&client, &server, fields.clone()));
        let answers = futures_util::future::join_all(all).await;
        assert_eq!(answers.iter().filter(|answer| answer.status() == 200).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.status() == 401).count(), 9);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_content_is_bounded_and_a_key_without_the_scope_forbidden() {
    let (server, client) = over(HttpVersion::Http1, Transport::Plaintext).await;
    let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
    let large: &'static str = "x".repeat(64 * 1024 + 1).leak();
    let answer = Draft { content: large, ..Draft::post("1") }.call(&client, &server, &issued).await;
    assert_eq!(answer.status(), 413);
    let largest = Draft { content: &large[1..], ..Draft::post("2") }.call(&client, &server, &issued).await;
    assert_eq!(largest.status(), 200);
    let other = Draft { verb: "PUT", ..Draft::post("3") }.call(&client, &server, &issued).await;
    assert_eq!(
        (other.status().as_u16(), other.headers()["allow"].to_str().expect("text")),
        (405, "GET, HEAD, OPTIONS, POST")
    );
    let writer = server.issue(&["write"], Some(MINUTE)).await;
    let answer = Draft::get("4").call(&client, &server, &writer).await;
    assert_eq!(answer.status(), 403);
    assert!(!answer.headers().contains_key("accept-signature"));
    server.stop().await;
}
