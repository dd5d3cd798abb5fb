//! The method `basic` through its one call, on a clock that the tests move.

use super::verified::MAX_CACHE_TTL;
use super::*;
use crate::auth::Connection;
use crate::clock::UnixTime;
use crate::config::{CacheConfig, ClockMode, StoreConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const TTL: Duration = Duration::from_secs(10);
/// Cheap, so that many hashes are quick; the costs are no part of what is tested.
const CHEAP: PasswordHash = PasswordHash::Pbkdf2Sha256 { iterations: 2 };

struct Bench {
    method: Basic,
    environment: Environment,
    _folder: tempfile::TempDir,
}

fn config(hash: PasswordHash, cache: Option<Duration>) -> BasicConfig {
    let cache = cache.map(|ttl| CacheConfig { capacity: 100, ..CacheConfig::new(ttl) });
    BasicConfig { cache, hash_queue: 4, ..BasicConfig::new(hash) }
}

impl Bench {
    async fn new(config: &BasicConfig) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let environment = Environment {
            shared_dir: folder.path().to_owned(),
            clock: Clock::new(ClockMode::Controlled),
            meter: Arc::default(),
            authorization_server: None,
            ca_file: folder.path().join("ca.pem"),
        };
        let method = Basic::build("test", config, &environment).await.expect("a sound configuration");
        Self { method, environment, _folder: folder }
    }

    /// Another node over the same records.
    async fn replica(&self, config: &BasicConfig) -> Basic {
        Basic::build("test", config, &self.environment).await.expect("the same records")
    }

    async fn create(&self, name: &str, password: &str) -> Result<(), AdminError> {
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
        let grant = Grant::new(&request, self.environment.clock.now()).expect("a sound request");
        self.method.create(name, password, &grant).await
    }

    async fn at(&self, now: UnixTime, uri: &str, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
        let builder = http::Request::builder().uri(uri);
        let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let head = builder.body(()).expect("a valid request").into_parts().0;
        let connection = Connection::new("127.0.0.1:1".parse().expect("an address"), None);
        self.method.authenticate(&Request { head: &head, connection: &connection, now }).await
    }

    async fn send(&self, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
        self.at(self.environment.clock.now(), "/whoami", fields).await
    }

    fn hashes(&self) -> u64 {
        self.environment.meter.hash_calls.get()
    }

    async fn present(&self, name: &str, password: &str) -> Result<Principal, Rejection> {
        self.send(&[("authorization", &basic(name, password))]).await
    }

    /// Hashes, lookups, cache hits.
    fn counts(&self) -> (u64, u64, u64) {
        let meter = &self.environment.meter;
        (meter.hash_calls.get(), meter.store_lookups.get(), meter.cache_hits.get())
    }
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn material(issued: &Issued) -> (&str, &str) {
    let Material::Password { username, password } = &issued.material else { panic!("not a password: {issued:?}") };
    (username, password.expose())
}

const WRONG: Result<Principal, Rejection> = Err(Rejection::Invalid(Cause::WrongSecret));
const UNKNOWN: Result<Principal, Rejection> = Err(Rejection::Invalid(Cause::Unknown));

#[tokio::test]
async fn the_example_of_rfc_7617_in_any_case_and_normalisation() {
    let bench = Bench::new(&config(CHEAP, None)).await;
    bench.create("test", "123\u{a3}").await.expect("create");
    let expected = Principal::new(PrincipalKind::User, "test", "read", "test");
    assert_eq!(bench.send(&[("authorization", "Basic dGVzdDoxMjPCow==")]).await, Ok(expected.clone()));
    assert_eq!(bench.send(&[("authorization", "bASIC   dGVzdDoxMjPCow==")]).await, Ok(expected));
    assert_eq!(bench.counts(), (3, 2, 0), "one hash and one lookup each, and one hash to create");

    bench.create("anna", "caf\u{e9}:au lait").await.expect("create");
    assert!(bench.present("anna", "caf\u{e9}:au lait").await.is_ok());
    assert!(bench.present("anna", "cafe\u{301}:au lait").await.is_ok());
}

#[tokio::test]
async fn a_changed_password_is_told_and_ends_the_old_one() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("anna", "old").await.expect("create");
    assert!(bench.present("anna", "old").await.is_ok());
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
    let renewed = bench.method.renew("anna", &request).await.expect("a new password");
    let (name, password) = material(&renewed);
    assert_eq!((name, renewed.principal.as_str()), ("anna", "anna"));
    assert_eq!(bench.present("anna", "old").await, WRONG, "also where it is cached");
    assert!(bench.present(name, password).await.is_ok());
    assert!(matches!(bench.method.renew("nobody", &request).await, Err(AdminError::NotFound(_))));
}

#[tokio::test]
async fn every_algorithm_with_its_recommended_costs() {
    for hash in [
        PasswordHash::ARGON2ID,
        PasswordHash::BCRYPT,
        PasswordHash::Pbkdf2Sha256 { iterations: 1_000 },
        PasswordHash::Scrypt { log_n: 10, r: 8, p: 1 },
    ] {
        let bench = Bench::new(&config(hash, None)).await;
        let request = IssueRequest { count: 2, lifetime: None, scopes: Vec::new() };
        let issued = bench.method.issue(&request).await.expect("issue");
        let ((anna, password), (_, other)) = (material(&issued[0]), material(&issued[1]));
        assert!(bench.present(anna, password).await.is_ok(), "{hash:?}");
        assert_eq!(bench.present(anna, other).await, WRONG, "{hash:?}");
    }
}

#[tokio::test]
async fn wrong_and_unknown_cost_a_hash_each_and_malformed_none() {
    let bench = Bench::new(&config(CHEAP, None)).await;
    bench.create("anna", "correct horse").await.expect("create");
    let stored = bench.method.users.user("anna").await.expect("readable").expect("anna").password_hash.clone();
    for (hashes, wrong) in (2..).zip(["correct hors", "correct horse1", "CORRECT HORSE", " correct horse", &*stored]) {
        assert_eq!(bench.present("anna", wrong).await, WRONG);
        assert_eq!(bench.counts().0, hashes);
    }
    let before = bench.counts();
    for (n, stranger) in (1..).zip(["bert", "Anna", "anna ", "ann"]) {
        assert_eq!(bench.present(stranger, "correct horse").await, UNKNOWN);
        assert_eq!(bench.counts(), (before.0 + n, before.1 + n, 0));
    }
    let before = bench.counts();
    let malformed = Err(Rejection::Invalid(Cause::Malformed));
    for bad in ["Basic", "Basic   ", "Basic !!!!", "Basic ====", "Basic d", "Basic dGVzdDoxMjPCow"] {
        assert_eq!(bench.send(&[("authorization", bad)]).await, malformed, "{bad:?}");
    }
    for (name, password) in [("", ""), ("anna", ""), ("", "correct horse"), ("anna", "correct\r\nhorse")] {
        assert_eq!(bench.present(name, password).await, malformed);
    }
    assert_eq!(bench.present("anna", &"p".repeat(1 << 20)).await, malformed);
    assert_eq!(bench.counts(), before);
}

#[tokio::test]
async fn no_credential_is_missing_and_two_are_ambiguous() {
    let bench = Bench::new(&config(CHEAP, None)).await;
    bench.create("anna", "correct horse").await.expect("create");
    let good = basic("anna", "correct horse");
    assert_eq!(bench.send(&[]).await, Err(Rejection::Missing));
    for scheme in ["Digest", "NTLM", "Negotiate", "Bearer"] {
        let foreign = good.replacen("Basic", scheme, 1);
        assert_eq!(bench.send(&[("authorization", &foreign)]).await, Err(Rejection::Missing));
    }
    assert_eq!(bench.send(&[("proxy-authorization", &good)]).await, Err(Rejection::Missing));
    let twice = bench.send(&[("authorization", &good), ("authorization", &good)]).await;
    assert!(matches!(twice, Err(Rejection::Ambiguous(_))));
    let now = bench.environment.clock.now();
    let in_url = bench.at(now, "/whoami?access_token=x", &[("authorization", &good)]).await;
    assert!(matches!(in_url, Err(Rejection::Ambiguous(_))));
    assert_eq!(bench.counts().0, 1, "only to create");
}

#[tokio::test]
async fn bcrypt_does_not_cut_passwords() {
    let bench = Bench::new(&config(PasswordHash::BCRYPT, None)).await;
    let long = |last: char| format!("{}{last}", "p".repeat(72));
    assert!(matches!(bench.create("anna", &long('a')).await, Err(AdminError::BadRequest(_))));
    bench.create("anna", &"p".repeat(71)).await.expect("71 bytes fit");
    for long in ["p".repeat(72), long('a'), long('b')] {
        assert_eq!(bench.present("anna", &long).await, WRONG);
        assert_eq!(bench.present("nobody", &long).await, UNKNOWN);
    }
    assert_eq!(bench.counts().0, 1, "refused before hashing, for users and strangers alike");
}

#[tokio::test]
async fn a_changed_password_is_refused_by_the_next_request() {
    let bench = Bench::new(&config(CHEAP, None)).await;
    bench.create("anna", "correct horse").await.expect("create");
    bench.create("bert", "battery staple").await.expect("create");
    assert!(bench.present("anna", "correct horse").await.is_ok());
    bench.method.revoke("anna").await.expect("revoke");
    assert_eq!(bench.present("anna", "correct horse").await, WRONG);
    assert!(bench.present("bert", "battery staple").await.is_ok());
    bench.method.revoke("anna").await.expect("once more");
    assert!(matches!(bench.method.revoke("carl").await, Err(AdminError::NotFound(_))));
}

#[tokio::test]
async fn the_cache_saves_the_hash_until_the_entry_ends() {
    let shared = BasicConfig { store: StoreConfig::Sqlite, ..config(CHEAP, Some(TTL)) };
    let bench = Bench::new(&shared).await;
    bench.create("anna", "correct horse").await.expect("create");
    let elsewhere = bench.replica(&shared).await;
    let (start, good) = (bench.environment.clock.now(), basic("anna", "correct horse"));
    let at = async |after| bench.at(UnixTime(start.0 + after), "/", &[("authorization", &good)]).await;
    assert!(at(Duration::ZERO).await.is_ok());
    assert_eq!(bench.counts(), (2, 1, 0));
    elsewhere.revoke("anna").await.expect("revoke");
    assert!(at(TTL - Duration::from_nanos(1)).await.is_ok(), "still the entry");
    assert_eq!(bench.counts(), (3, 1, 1), "the one hash is that of the new password");
    assert_eq!(at(TTL).await, WRONG);
    assert_eq!(at(Duration::ZERO).await, WRONG, "once refused it does not come back");
    assert_eq!(bench.counts(), (5, 3, 1));
}

#[tokio::test]
async fn a_burst_of_the_same_credentials_costs_one_hash() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("user", "password").await.expect("create");
    let before = bench.hashes();
    let burst = (0..20).map(|_| bench.present("user", "password"));
    assert!(futures_util::future::join_all(burst).await.iter().all(Result::is_ok));
    assert_eq!(bench.hashes() - before, 1);
    // A shared verdict may also be a refusal.
    let burst = (0..20).map(|_| bench.present("user", "wrong"));
    let refused = Err(Rejection::Invalid(Cause::WrongSecret));
    assert!(futures_util::future::join_all(burst).await.iter().all(|verdict| *verdict == refused));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_nobody_along() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("user", "password").await.expect("create");
    let mut leaver = Box::pin(bench.present("user", "password"));
    // Pending, unless the hash was faster than this thread; either way nobody after may hang.
    let _ = futures_util::poll!(&mut leaver);
    let mut second = Box::pin(bench.present("user", "password"));
    let polled = futures_util::poll!(&mut second);
    drop(leaver);
    let verdict = match polled {
        std::task::Poll::Ready(verdict) => verdict,
        std::task::Poll::Pending => second.await,
    };
    assert!(verdict.is_ok());
    let mut only = Box::pin(bench.present("user", "wrong"));
    let _ = futures_util::poll!(&mut only);
    drop(only);
    assert!(bench.present("user", "wrong").await.is_err(), "and the abandoned verification is taken up");
}

#[tokio::test]
async fn the_cache_knows_only_the_very_credentials_that_were_accepted() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("anna", "xcorrect").await.expect("create");
    assert!(bench.present("anna", "xcorrect").await.is_ok());
    for _ in 0..2 {
        assert_eq!(bench.present("anna", "wrong").await, WRONG);
        assert_eq!(bench.present("annax", "correct").await, UNKNOWN);
    }
    assert_eq!(bench.counts(), (6, 5, 0), "refusals are hashed every time");
}

#[tokio::test]
async fn a_user_past_their_end_is_hashed_and_refused_cached_or_not() {
    for cache in [None, Some(TTL)] {
        let bench = Bench::new(&config(CHEAP, cache)).await;
        let lifetime = Some(Duration::from_secs(5));
        let request = IssueRequest { count: 1, lifetime, scopes: vec!["read".to_owned()] };
        let issued = bench.method.issue(&request).await.expect("issue").remove(0);
        let (name, password) = material(&issued);
        let expires = bench.method.users.user(name).await.expect("readable").and_then(|user| user.expires);
        let expires = expires.expect("a lifetime was asked for");
        let good = basic(name, password);
        let before = UnixTime(expires.0 - Duration::from_nanos(1));
        assert!(bench.at(before, "/", &[("authorization", &good)]).await.is_ok());
        let expired = Err(Rejection::Invalid(Cause::Expired));
        assert_eq!(bench.at(expires, "/", &[("authorization", &good)]).await, expired);
        let wrong = basic(name, "wrong");
        assert_eq!(bench.at(expires, "/", &[("authorization", &wrong)]).await, WRONG, "the end is not for strangers");
    }
}

#[tokio::test]
async fn more_users_are_issued_than_the_queue_holds() {
    let bench = Bench::new(&BasicConfig { hash_queue: 0, ..config(CHEAP, None) }).await;
    let request = IssueRequest { count: 50, lifetime: None, scopes: vec!["read".to_owned()] };
    let issued = bench.method.issue(&request).await.expect("issue");
    let names: std::collections::HashSet<_> = issued.iter().map(|issued| issued.id.as_str()).collect();
    assert_eq!(names.len(), 50);
    for issued in &issued {
        let (name, password) = material(issued);
        let principal = bench.present(name, password).await.expect("accepted");
        assert_eq!((&*principal.id, name), (issued.principal.as_str(), issued.id.as_str()));
    }
    assert_eq!(bench.environment.meter.store_writes.get(), 50);
}

#[tokio::test]
async fn a_full_queue_is_unavailable() {
    let bench = Bench::new(&BasicConfig { hash_queue: 0, ..config(CHEAP, None) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    let busy = bench.method.pool.take_place();
    let full = Err(Rejection::Unavailable { dependency: "password hashing", retry_after: RETRY_AFTER });
    assert_eq!(bench.present("anna", "correct horse").await, full);
    assert_eq!(bench.present("nobody", "correct horse").await, full, "strangers are told the same");
    drop(busy);
    assert!(bench.present("anna", "correct horse").await.is_ok());
}

#[tokio::test]
async fn users_that_cannot_be_and_senseless_configurations_are_refused() {
    let bench = Bench::new(&config(CHEAP, None)).await;
    bench.create("anna", "correct horse").await.expect("create");
    let too_long = "p".repeat(1020);
    for (name, password) in
        [("an:na", "x"), ("an\tna", "x"), ("", "x"), ("bert", ""), ("bert", "x\ny"), ("anna", "x"), ("bert", &too_long)]
    {
        assert!(matches!(bench.create(name, password).await, Err(AdminError::BadRequest(_))), "{name:?}");
    }
    let over = config(CHEAP, Some(MAX_CACHE_TTL + Duration::from_millis(1)));
    let weak = config(PasswordHash::Bcrypt { cost: 9 }, None);
    for config in [over, weak] {
        assert!(matches!(Basic::build("test", &config, &bench.environment).await, Err(BuildError::Config(_))));
    }
    assert!(Basic::build("test", &config(CHEAP, Some(MAX_CACHE_TTL)), &bench.environment).await.is_ok());
}

/// RV-1, and who guesses at a password does not make its owner pay for a hash.
#[tokio::test]
async fn the_node_that_changes_a_password_refuses_the_old_one_at_once() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("anna", "correct horse").await.expect("create");
    bench.create("ben", "battery").await.expect("create");
    assert!(bench.present("anna", "correct horse").await.is_ok());
    assert!(bench.present("ben", "battery").await.is_ok());
    assert_eq!(bench.present("anna", "guess").await, WRONG);
    let hashes = bench.hashes();
    assert!(bench.present("anna", "correct horse").await.is_ok());
    assert_eq!(bench.hashes(), hashes, "the entry stays");
    bench.method.revoke("anna").await.expect("revoke");
    assert_eq!(bench.present("anna", "correct horse").await, WRONG);
    let hits = bench.counts().2;
    assert!(bench.present("ben", "battery").await.is_ok());
    assert_eq!(bench.counts().2, hits + 1, "others stay as they were");
}
