//! The method `signed` through its one call, on a clock that the tests move.

use std::cell::Cell;

use super::*;
use crate::auth::{Connection, PrincipalKind};
use crate::config::StoreConfig;
use crate::credential::http_signature::{COMPONENTS, LONGEST, SIGNATURE, content_digest, read_key, sign_message};
use crate::store::testing;

const SECOND: Duration = Duration::from_secs(1);

/// A method in a folder of its own, on a clock that the test moves.
struct Bench {
    method: Signed,
    environment: Environment,
    config: SignedConfig,
    /// No nonce is used twice unless a test says so.
    nonces: Cell<u32>,
    _folder: tempfile::TempDir,
}

/// A request that is ready to be sent, more than once.
#[derive(Clone)]
struct Sent(Parts);

impl Bench {
    async fn new(config: SignedConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment = crate::testing::environment(folder.path());
        let method = Signed::build("test", &config, &environment).await.expect("a sound configuration");
        Self { method, environment, config, nonces: Cell::new(0), _folder: folder }
    }

    async fn with(store: StoreConfig) -> Self {
        Self::new(SignedConfig::new(store)).await
    }

    /// Another node over the same records and nonces.
    async fn replica(&self) -> Signed {
        Signed::build("test", &self.config, &self.environment).await.expect("the same records")
    }

    fn now(&self) -> UnixTime {
        self.environment.clock.now()
    }

    async fn issue(&self, lifetime: Option<Duration>) -> Issued {
        let request = IssueRequest { count: 1, lifetime, scopes: vec!["read".to_owned()] };
        self.method.issue(&request).await.expect("issued").remove(0)
    }

    /// A request signed now with a key that was issued.
    fn sign(&self, issued: &Issued, content: &'static [u8]) -> Sent {
        let number = self.nonces.replace(self.nonces.get() + 1);
        self.sign_with(issued, content, &format!("nonce-{number}"))
    }

    fn sign_with(&self, issued: &Issued, content: &'static [u8], nonce: &str) -> Sent {
        Self::sign_at(self.now(), issued, content, nonce)
    }

    fn sign_at(now: UnixTime, issued: &Issued, content: &'static [u8], nonce: &str) -> Sent {
        let Material::SigningKey { key_id, key } = &issued.material else { panic!("not a key: {issued:?}") };
        let mut components = COMPONENTS.to_vec();
        let mut builder = http::Request::builder().uri("/whoami?x").header("host", "api.test");
        if !content.is_empty() {
            components.push("content-digest");
            builder = builder.method("POST").header("content-digest", content_digest::of(content));
        }
        let mut head = builder.body(()).expect("a request").into_parts().0;
        let created = now.as_secs();
        let parameters = format!(
            r#";created={created};expires={};nonce="{nonce}";keyid="{key_id}";alg="hmac-sha256";tag="authbench""#,
            created + LONGEST.as_secs()
        );
        let message = Message::new(&head, content).expect("one host");
        let key = read_key(key.expose()).expect("a key");
        let (input, mac) = sign_message(&message, &components, &parameters, &key).expect("signed");
        head.headers.insert(&SIGNATURE_INPUT, format!("sig1={input}").parse().expect("a field value"));
        head.headers.insert(&SIGNATURE, format!("sig1=:{mac}:").parse().expect("a field value"));
        if !content.is_empty() {
            head.extensions.insert(Content(Bytes::from_static(content)));
        }
        Sent(head)
    }

    async fn send(&self, sent: &Sent) -> Result<Principal, Rejection> {
        send_to(&self.method, sent, self.now()).await
    }

    fn counts(&self) -> (u64, u64, u64) {
        let meter = &self.environment.meter;
        (meter.verify_calls.get(), meter.store_lookups.get(), meter.store_writes.get())
    }
}

async fn send_to(method: &Signed, sent: &Sent, now: UnixTime) -> Result<Principal, Rejection> {
    let connection = Connection::new("127.0.0.1:1".parse().expect("an address"), None);
    method.authenticate(&Request { head: &sent.0, connection: &connection, now }).await
}

const REPLAYED: Result<Principal, Rejection> = Err(Rejection::Invalid(Cause::Replayed));

#[tokio::test]
async fn sr_1_a_signed_request_is_accepted_for_whom_the_key_was_issued() {
    for store in testing::all() {
        let bench = Bench::with(store).await;
        let issued = bench.issue(None).await;
        assert!(issued.principal.starts_with("app-") && issued.id.starts_with("sig-"), "{issued:?}");
        let expected =
            Principal::new(PrincipalKind::Application, issued.principal.as_str(), "read", issued.id.as_str());
        let before = bench.counts();
        assert_eq!(bench.send(&bench.sign(&issued, b"")).await, Ok(expected.clone()));
        assert_eq!(bench.send(&bench.sign(&issued, b"{\"amount\": 5}")).await, Ok(expected));
        // One MAC, one lookup and one nonce each.
        assert_eq!(bench.counts(), (before.0 + 2, before.1 + 2, before.2 + 2));
    }
}

#[tokio::test]
async fn sr_5_bc_037_a_replay_is_refused_for_as_long_as_it_would_be_accepted() {
    for store in testing::all() {
        let bench = Bench::with(store.clone()).await;
        let (issued, other) = (bench.issue(None).await, bench.issue(None).await);
        let now = bench.now();
        let at = |after| UnixTime(now.0 + after);
        let sent = Bench::sign_at(now, &issued, b"", "n");
        assert!(send_to(&bench.method, &sent, now).await.is_ok());
        for after in [Duration::ZERO, SECOND, LONGEST - SECOND, LONGEST] {
            assert_eq!(send_to(&bench.method, &sent, at(after)).await, REPLAYED, "{store:?} {after:?}");
        }
        let another = Bench::sign_at(now, &issued, b"x", "n");
        assert_eq!(send_to(&bench.method, &another, now).await, REPLAYED, "the nonce, not the request");
        let others = Bench::sign_at(now, &other, b"", "n");
        assert!(send_to(&bench.method, &others, now).await.is_ok(), "a nonce belongs to a key");
        let late = send_to(&bench.method, &sent, at(LONGEST + SECOND)).await;
        assert_eq!(late, Err(Rejection::Invalid(Cause::Expired)));
        // Others come and go meanwhile; by a clock that is behind by the tolerated skew, it is still accepted if forgotten.
        for number in 0..10 {
            let passing = Bench::sign_at(at(LONGEST + SKEW), &other, b"", &format!("passing-{number}"));
            assert!(send_to(&bench.method, &passing, at(LONGEST + SKEW)).await.is_ok());
        }
        assert_eq!(send_to(&bench.method, &sent, at(LONGEST)).await, REPLAYED, "{store:?}");
    }
}

#[tokio::test]
async fn sr_5_a_replay_is_refused_by_every_node_and_at_once_one_is_accepted() {
    for store in testing::shared() {
        let bench = Bench::with(store).await;
        let replica = bench.replica().await;
        let issued = bench.issue(None).await;
        let sent = bench.sign(&issued, b"");
        assert!(bench.send(&sent).await.is_ok());
        assert_eq!(send_to(&replica, &sent, bench.now()).await, REPLAYED);
        for _ in 0..20 {
            let (sent, now) = (bench.sign(&issued, b""), bench.now());
            let verdicts = tokio::join!(
                send_to(&bench.method, &sent, now),
                send_to(&replica, &sent, now),
                send_to(&bench.method, &sent, now),
                send_to(&replica, &sent, now),
            );
            let verdicts = [verdicts.0, verdicts.1, verdicts.2, verdicts.3];
            assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 1, "{verdicts:?}");
            assert_eq!(verdicts.iter().filter(|verdict| **verdict == REPLAYED).count(), 3, "{verdicts:?}");
        }
    }
}

#[tokio::test]
async fn sr_5_a_full_memory_of_nonces_accepts_nothing() {
    let bench = Bench::new(SignedConfig { nonces: 2, ..SignedConfig::new(StoreConfig::Memory) }).await;
    let issued = bench.issue(None).await;
    let first = bench.sign(&issued, b"");
    for sent in [&first, &bench.sign(&issued, b"")] {
        assert!(bench.send(sent).await.is_ok());
    }
    for sent in [&first, &bench.sign(&issued, b"")] {
        let verdict = bench.send(sent).await;
        assert!(matches!(verdict, Err(Rejection::Unavailable { dependency: "memory of nonces", .. })), "{verdict:?}");
    }
    bench.environment.clock.advance(LONGEST + 3 * SKEW).expect("controlled");
    assert!(bench.send(&bench.sign(&issued, b"")).await.is_ok());
}

/// Neither what is looked up nor the answer tells an identifier that exists from one that does not.
#[tokio::test]
async fn sr_8_a_stranger_costs_one_mac_and_neither_lookup_nor_nonce() {
    let bench = Bench::with(StoreConfig::Memory).await;
    let known = bench.issue(None).await;
    let Material::SigningKey { key_id, .. } = &known.material else { panic!("not a key") };
    let before = bench.counts();
    for key_id in [key_id.as_str(), "sig-0000000000000000", "' OR '1'='1", "../../etc/passwd"] {
        let key = Secret::new("42".repeat(32));
        let material = Material::SigningKey { key_id: key_id.to_owned(), key };
        let forged = bench.sign(&Issued { material, ..known.clone() }, b"");
        assert_eq!(bench.send(&forged).await, Err(Rejection::Invalid(Cause::BadSignature)), "{key_id}");
    }
    assert_eq!(bench.counts(), (before.0 + 4, before.1, before.2));
    // What can be refused without a MAC is.
    let mut unsigned = bench.sign(&known, b"");
    unsigned.0.headers.remove(&SIGNATURE);
    assert_eq!(bench.send(&unsigned).await, Err(Rejection::Invalid(Cause::Malformed)));
    unsigned.0.headers.remove(&SIGNATURE_INPUT);
    assert_eq!(bench.send(&unsigned).await, Err(Rejection::Missing));
    assert_eq!(bench.counts(), (before.0 + 4, before.1, before.2));
}

#[tokio::test]
async fn sr_6_a_content_that_was_not_collected_is_not_taken_for_none() {
    let bench = Bench::with(StoreConfig::Memory).await;
    let issued = bench.issue(None).await;
    for (field, value, good) in [
        ("content-length", "0", true),
        ("content-length", "5", false),
        ("content-length", "00", false),
        ("transfer-encoding", "chunked", false),
    ] {
        let mut sent = bench.sign(&issued, b"");
        sent.0.headers.insert(field, value.parse().expect("a field value"));
        assert_eq!(bench.send(&sent).await.is_ok(), good, "{field}: {value}");
    }
    let mut sent = bench.sign(&issued, b"x");
    sent.0.extensions.remove::<Content>();
    assert_eq!(bench.send(&sent).await, Err(Rejection::Invalid(Cause::BadSignature)), "its digest is of something");
}

#[tokio::test]
async fn sr_9_a_key_is_shown_once_and_nowhere_on_the_disk() {
    let bench = Bench::with(StoreConfig::Sqlite).await;
    let request = IssueRequest { count: 100, lifetime: None, scopes: vec!["read".to_owned()] };
    let issued = bench.method.issue(&request).await.expect("issued");
    assert!(bench.send(&bench.sign(&issued[0], b"")).await.is_ok());
    let mut stored = Vec::new();
    for file in std::fs::read_dir(bench.environment.shared_dir.join("test")).expect("the profile's folder") {
        stored.extend(std::fs::read(file.expect("an entry").path()).expect("a readable file"));
    }
    let pieces: std::collections::HashSet<&[u8]> = stored.windows(12).collect();
    for Issued { material, .. } in &issued {
        let Material::SigningKey { key, .. } = material else { panic!("not a key") };
        let bytes = read_key(key.expose()).expect("a key");
        assert_eq!(bytes.len(), 32);
        for text in [bytes.as_slice(), key.expose().as_bytes()] {
            assert!(!text.windows(12).any(|piece| pieces.contains(piece)), "the disk holds a piece of a key");
        }
        assert!(!format!("{material:?}").contains(key.expose()));
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused_by_the_next_request_on_every_node() {
    for store in testing::all() {
        let shared = store.is_shared();
        let bench = Bench::with(store).await;
        let (issued, bystander) = (bench.issue(None).await, bench.issue(None).await);
        assert!(bench.send(&bench.sign(&issued, b"")).await.is_ok());
        bench.method.revoke(&issued.id).await.expect("revoked");
        assert_eq!(bench.send(&bench.sign(&issued, b"")).await, Err(Rejection::Invalid(Cause::Revoked)));
        if shared {
            let (replica, sent) = (bench.replica().await, bench.sign(&issued, b""));
            assert_eq!(send_to(&replica, &sent, bench.now()).await, Err(Rejection::Invalid(Cause::Revoked)));
        }
        assert!(bench.send(&bench.sign(&bystander, b"")).await.is_ok());
        assert!(matches!(bench.method.revoke("sig-unknown").await, Err(AdminError::NotFound(_))));
    }
}

#[tokio::test]
async fn another_key_of_an_application_works_beside_the_first_and_keys_end() {
    let bench = Bench::with(StoreConfig::Memory).await;
    let first = bench.issue(Some(10 * SECOND)).await;
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
    let second = bench.method.renew(&first.principal, &request).await.expect("another key");
    assert_eq!(second.principal, first.principal);
    for issued in [&first, &second] {
        assert!(bench.send(&bench.sign(issued, b"")).await.is_ok());
    }
    bench.environment.clock.advance(10 * SECOND).expect("controlled");
    assert_eq!(bench.send(&bench.sign(&first, b"")).await, Err(Rejection::Invalid(Cause::Expired)));
    assert!(bench.send(&bench.sign(&second, b"")).await.is_ok());
    let unknown = bench.method.renew("nobody", &request).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
}

#[tokio::test]
async fn stores_that_fail_never_accept() {
    for (file, table, dependency) in
        [("store.sqlite", "keys", "key store"), ("nonces.sqlite", "nonces", "store of nonces")]
    {
        let bench = Bench::with(StoreConfig::Sqlite).await;
        let issued = bench.issue(None).await;
        let meddler = rusqlite::Connection::open(bench.environment.shared_dir.join("test").join(file)).expect("opened");
        meddler.execute_batch(&format!("DROP TABLE {table}")).expect("dropped");
        let verdict = bench.send(&bench.sign(&issued, b"")).await;
        let expected = matches!(&verdict, Err(Rejection::Unavailable { dependency: of, .. }) if *of == dependency);
        assert!(expected, "{file}: {verdict:?}");
    }
}

#[tokio::test]
async fn senseless_configurations_are_refused() {
    let bench = Bench::with(StoreConfig::Memory).await;
    let config = SignedConfig { nonces: 0, ..SignedConfig::new(StoreConfig::Memory) };
    let error = Signed::build("test", &config, &bench.environment).await.err().expect("refused").to_string();
    assert!(error.contains("nonces is 0; write 1 to"), "{error}");
    std::fs::write(bench.environment.shared_dir.join("test/master-key"), "short").expect("written");
    let error = Signed::build("test", &bench.config, &bench.environment).await.err().expect("refused").to_string();
    assert!(error.contains("master-key"), "{error}");
}
