//! The method `basic` through its one call, on a clock that the tests move.

use super::verified::MAX_CACHE_TTL;
use super::*;
use crate::auth::grant::Grant;
use crate::auth::{AdminError, Connection};
use crate::clock::UnixTime;
use crate::config::{CacheConfig, SessionConfig, StoreConfig};
use crate::contract::{IssueRequest, Issued, Material, NewUser, Secret};
use crate::store::testing;
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
        let environment = crate::testing::environment(folder.path());
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
        self.method.create(name, password, &grant, self.method.hash).await.map(drop)
    }

    /// A user whose password is hashed otherwise than the profile says.
    async fn create_with(&self, name: &str, password: &str, hash: PasswordHash) {
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
        let grant = Grant::new(&request, self.environment.clock.now()).expect("a sound request");
        self.method.create(name, password, &grant, hash).await.expect("create");
    }

    async fn stored(&self, name: &str) -> Arc<str> {
        self.method.users.user(name).await.expect("readable").expect("a user").password_hash.clone()
    }

    async fn at(&self, now: UnixTime, uri: &str, fields: &[(&str, &str)]) -> Result<Principal, Rejection> {
        let head = head(uri, fields);
        let connection = connection();
        self.method.authenticate(&Request { head: &head, connection: &connection, now }).await
    }

    /// A session, for a password or whatever else is presented.
    async fn open_session(&self, authorization: &str) -> Result<String, Rejection> {
        let (head, connection) = (head("/session", &[("authorization", authorization)]), connection());
        let request = Request { head: &head, connection: &connection, now: self.environment.clock.now() };
        self.method.open_session(&request).await.map(|session| session.token.expose().to_owned())
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

fn head(uri: &str, fields: &[(&str, &str)]) -> http::request::Parts {
    let builder = http::Request::builder().uri(uri);
    let builder = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
    builder.body(()).expect("a valid request").into_parts().0
}

fn connection() -> Connection {
    Connection::new("127.0.0.1:1".parse().expect("an address"), None)
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
async fn ba_2_ba_3_ba_4_the_example_of_rfc_7617_in_any_case_and_normalisation() {
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
async fn ba_19_a_changed_password_is_told_and_ends_the_old_one() {
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
async fn ba_9_every_algorithm_with_its_recommended_costs() {
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

/// Rows: BC-117, BC-118, BC-119, BC-121, BC-123, BC-125, BC-126, BC-128, BC-129.
#[tokio::test]
async fn ba_6_ba_7_ba_13_wrong_and_unknown_cost_a_hash_each_and_malformed_none() {
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
async fn ba_1_bc_134_no_credential_is_missing_and_two_are_ambiguous() {
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
async fn ba_11_bc_127_bcrypt_does_not_cut_passwords() {
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
async fn ba_19_a_changed_password_is_refused_by_the_next_request() {
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
async fn ba_18_the_cache_saves_the_hash_until_the_entry_ends() {
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
async fn ba_18_a_burst_of_the_same_credentials_costs_one_hash() {
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
async fn ba_18_the_cache_knows_only_the_very_credentials_that_were_accepted() {
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
async fn ba_14_a_full_queue_is_unavailable() {
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
async fn ba_5_users_that_cannot_be_and_senseless_configurations_are_refused() {
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
async fn rv_1_ba_18_ba_19_bc_133_the_node_that_changes_a_password_refuses_the_old_one_at_once() {
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

/// Verdicts without what tells a wrong password from an unknown user, which callers are not told.
fn as_told(verdict: &Result<Principal, Rejection>) -> String {
    match verdict {
        Err(Rejection::Invalid(Cause::WrongSecret | Cause::Unknown)) => "invalid".to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn ba_16_ba_17_bc_130_bc_131_known_and_unknown_users_are_braked_alike() {
    let bench = Bench::new(&BasicConfig { throttle: true, ..config(CHEAP, None) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    let now = bench.environment.clock.now();
    let mut told = Vec::new();
    for name in ["anna", "bert"] {
        let mut verdicts = Vec::new();
        for _ in 0..101 {
            verdicts.push(as_told(&bench.at(now, "/", &[("authorization", &basic(name, "wrong"))]).await));
        }
        assert!(verdicts[..10].iter().all(|verdict| verdict == "invalid"), "{verdicts:?}");
        assert!(verdicts[10..].iter().all(|verdict| verdict.contains("TooMany")), "{verdicts:?}");
        told.push(verdicts);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(bench.hashes(), 1 + 20, "nobody looks at the others");
    let right = basic("anna", "correct horse");
    let at = async |after: u64, authorization: &str| {
        let now = UnixTime(now.0 + Duration::from_secs(after));
        bench.at(now, "/", &[("authorization", authorization)]).await
    };
    let Err(Rejection::TooMany(quota)) = at(0, &right).await else { panic!("the right one has to wait as well") };
    assert_eq!((quota.remaining, quota.reset), (0, Duration::from_secs(1)));
    // After the wait it counts, and with it the failures are over.
    assert!(at(1, &right).await.is_ok());
    for _ in 0..9 {
        assert_eq!(at(1, &basic("anna", "wrong")).await, WRONG);
    }
    assert!(at(1, &right).await.is_ok());
}

#[tokio::test]
async fn ba_16_bc_132_one_password_for_many_users_is_braked_by_address() {
    let bench = Bench::new(&BasicConfig { throttle: true, ..config(CHEAP, None) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    let now = bench.environment.clock.now();
    let mut refused = 0;
    for number in 0..1_000 {
        let spray = basic(&format!("user-{number}"), "Summer2026!");
        match bench.at(now, "/", &[("authorization", &spray)]).await {
            Err(Rejection::TooMany(quota)) => {
                assert_eq!(quota.policy, "address");
                refused += 1;
            }
            other => assert_eq!(other, UNKNOWN),
        }
    }
    assert_eq!(refused, 900);
    let right = bench.at(now, "/", &[("authorization", &basic("anna", "correct horse"))]).await;
    assert!(matches!(right, Err(Rejection::TooMany(_))));
}

#[tokio::test]
async fn ba_16_guesses_that_come_at_once_are_no_more_than_those_that_wait() {
    let bench = Bench::new(&BasicConfig { throttle: true, hash_queue: 64, ..config(CHEAP, None) }).await;
    let now = bench.environment.clock.now();
    let guesses: Vec<String> = (0..50).map(|number| basic("anna", &format!("guess {number}"))).collect();
    let guess = async |guess: &String| bench.at(now, "/", &[("authorization", guess)]).await;
    let verdicts = futures_util::future::join_all(guesses.iter().map(guess)).await;
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == UNKNOWN).count(), 10);
    assert_eq!(bench.hashes(), 10);
}

#[tokio::test]
async fn ba_16_ba_18_what_is_cached_is_of_no_use_while_its_user_has_to_wait() {
    let bench = Bench::new(&BasicConfig { throttle: true, ..config(CHEAP, Some(TTL)) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    assert!(bench.present("anna", "correct horse").await.is_ok());
    for _ in 0..9 {
        assert_eq!(bench.present("anna", "wrong").await, WRONG);
    }
    assert!(bench.present("anna", "correct horse").await.is_ok());
    let now = bench.environment.clock.now();
    for _ in 0..10 {
        let verdict = bench.at(now, "/", &[("authorization", &basic("anna", "wrong"))]).await;
        assert_eq!(verdict, WRONG, "a hit ends the count as well");
    }
    let right = bench.at(now, "/", &[("authorization", &basic("anna", "correct horse"))]).await;
    assert!(matches!(right, Err(Rejection::TooMany(_))), "{right:?}");
}

#[tokio::test]
async fn ba_12_a_weak_hash_is_renewed_by_a_login_in_every_store() {
    let strong = PasswordHash::Pbkdf2Sha256 { iterations: 3 };
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::new(&BasicConfig { store, ..config(strong, None) }).await;
        bench.create_with("anna", "correct horse", CHEAP).await;
        bench.create("bert", "battery staple").await.expect("create");
        let (weak, fine) = (bench.stored("anna").await, bench.stored("bert").await);
        assert_eq!(bench.present("anna", "wrong").await, WRONG);
        assert_eq!(bench.stored("anna").await, weak, "{kind}: nobody proved to know the password");
        assert!(bench.present("anna", "correct horse").await.is_ok(), "{kind}");
        assert!(bench.present("bert", "battery staple").await.is_ok(), "{kind}");
        let renewed = async {
            while bench.stored("anna").await == weak {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), renewed).await.expect("it is renewed");
        assert!(bench.stored("anna").await.starts_with("$pbkdf2-sha256$i=3$"), "{kind}");
        assert!(bench.present("anna", "correct horse").await.is_ok(), "{kind}");
        assert_eq!(bench.present("anna", "wrong").await, WRONG, "{kind}");
        assert_eq!(bench.stored("bert").await, fine, "{kind}: it was as strong as it should be");

        // A password that was changed meanwhile is not changed back.
        let before = bench.method.users.user("anna").await.expect(kind).expect("anna");
        bench.method.revoke("anna").await.expect(kind);
        let after = bench.stored("anna").await;
        let password = Zeroizing::new("correct horse".to_owned());
        assert_eq!(bench.method.renewal().run(&before, password).await.expect(kind), None, "{kind}");
        assert_eq!(bench.stored("anna").await, after, "{kind}");
        assert!(!bench.method.users.replace_hash("carl", &after, "new".into()).await.expect(kind), "{kind}");
    }
}

#[tokio::test]
async fn ba_12_ba_21_a_hash_under_an_old_pepper_is_renewed_by_a_login() {
    let old = BasicConfig { store: StoreConfig::Sqlite, peppers: vec![1], ..config(CHEAP, None) };
    let bench = Bench::new(&old).await;
    bench.create("anna", "correct horse").await.expect("create");
    assert!(bench.stored("anna").await.starts_with("v1$"));
    let both = bench.replica(&BasicConfig { peppers: vec![2, 1], ..old.clone() }).await;
    let (value, connection, now) = (basic("anna", "correct horse"), connection(), bench.environment.clock.now());
    let head = head("/", &[("authorization", &value)]);
    let request = Request { head: &head, connection: &connection, now };
    assert!(both.authenticate(&request).await.is_ok());
    let renewed = async {
        while !bench.stored("anna").await.starts_with("v2$") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), renewed).await.expect("it is renewed");
    let retired = bench.replica(&BasicConfig { peppers: vec![2], ..old.clone() }).await;
    assert!(retired.authenticate(&request).await.is_ok());
    assert_eq!(bench.present("anna", "correct horse").await, WRONG, "who has the old pepper alone cannot tell");
    let twice = BasicConfig { peppers: vec![1, 1], ..old };
    assert!(matches!(Basic::build("test", &twice, &bench.environment).await, Err(BuildError::Config(_))));
}

#[tokio::test]
async fn ba_9_ba_13_users_with_other_algorithms_live_beside_the_others() {
    let bench = Bench::new(&config(CHEAP, None)).await;
    let hashes = [
        PasswordHash::Argon2id { memory_kib: 19_456, iterations: 2, parallelism: 1 },
        PasswordHash::BCRYPT,
        PasswordHash::Scrypt { log_n: 17, r: 8, p: 1 },
    ];
    for (name, hash) in ["anna", "bert", "carl"].into_iter().zip(hashes) {
        let password = Secret::new("correct horse");
        let user =
            NewUser { username: name.to_owned(), password, scopes: Vec::new(), lifetime: None, hash: Some(hash) };
        bench.method.add_user(&user).await.expect("create");
        let (stored, before) = (bench.stored(name).await, bench.hashes());
        assert!(bench.present(name, "correct horse").await.is_ok(), "{hash:?}");
        // For a stranger it is one hash as well, of the profile's algorithm: only the time may tell.
        let (wrong, stranger) = (bench.present(name, "wrong").await, bench.present("nobody", "wrong").await);
        assert_eq!(as_told(&wrong), as_told(&stranger));
        assert_eq!(bench.hashes() - before, 3, "{hash:?}");
        assert_eq!(bench.stored(name).await, stored, "strong by its own standard");
    }
    let cheap = NewUser {
        username: "dora".to_owned(),
        password: Secret::new("x"),
        scopes: Vec::new(),
        lifetime: None,
        hash: Some(PasswordHash::Bcrypt { cost: 9 }),
    };
    assert!(matches!(bench.method.add_user(&cheap).await, Err(AdminError::BadRequest(_))));
}

#[tokio::test]
async fn ba_20_passwords_that_people_choose_are_held_to_the_policy() {
    let policy = PasswordPolicy { min_chars: 15 };
    let bench = Bench::new(&BasicConfig { password_policy: Some(policy), ..config(CHEAP, None) }).await;
    for refused in ["correct horse", "correcthorsebatterystaple"] {
        let Err(AdminError::BadRequest(why)) = bench.create("anna", refused).await else { panic!("{refused}") };
        assert!(!why.contains(refused), "{why}");
    }
    bench.create("anna", "correct horse, wrong stable").await.expect("long enough");
    assert!(matches!(bench.method.set_password("anna", "short").await, Err(AdminError::BadRequest(_))));
    bench.method.set_password("anna", "another long password").await.expect("long enough");
    assert!(bench.present("anna", "another long password").await.is_ok());
    assert_eq!(bench.present("anna", "correct horse, wrong stable").await, WRONG);
    assert_eq!(
        bench.method.issue(&IssueRequest { count: 2, lifetime: None, scopes: vec![] }).await.expect("random").len(),
        2
    );
}

fn with_sessions(store: StoreConfig) -> BasicConfig {
    let session = Some(SessionConfig { lifetime: Duration::from_secs(60) });
    BasicConfig { session, store, ..config(CHEAP, None) }
}

#[tokio::test]
async fn ba_22_a_password_is_exchanged_once_for_a_session_that_dies_with_it() {
    let config = with_sessions(StoreConfig::Sqlite);
    let bench = Bench::new(&config).await;
    bench.create("anna", "correct horse").await.expect("create");
    let now = bench.environment.clock.now();
    let session = bench.open_session(&basic("anna", "correct horse")).await.expect("a session");
    let bearer = format!("Bearer {session}");
    let before = bench.counts();
    let expected = Principal::new(PrincipalKind::User, "anna", "read", "anna");
    assert_eq!(bench.send(&[("authorization", &bearer)]).await, Ok(expected.clone()));
    assert_eq!(bench.counts(), (before.0, before.1 + 1, 0), "a lookup and no hash");
    // Nothing is kept for it, so each replica knows it; the password works all the same.
    let replica = bench.replica(&config).await;
    let (head, connection) = (head("/", &[("authorization", &bearer)]), connection());
    assert_eq!(replica.authenticate(&Request { head: &head, connection: &connection, now }).await, Ok(expected));
    assert!(bench.present("anna", "correct horse").await.is_ok());

    assert_eq!(bench.open_session(&basic("anna", "wrong")).await, Err(Rejection::Invalid(Cause::WrongSecret)));
    assert_eq!(bench.open_session(&bearer).await, Err(Rejection::Missing), "a session opens no other");
    let end = UnixTime(now.0 + Duration::from_secs(61));
    let at_the_end = bench.at(end, "/", &[("authorization", &bearer)]).await;
    assert_eq!(at_the_end, Err(Rejection::Invalid(Cause::Expired)));

    bench.method.revoke("anna").await.expect("revoke");
    assert_eq!(bench.send(&[("authorization", &bearer)]).await, UNKNOWN, "also where another node changes it");
    assert_eq!(replica.authenticate(&Request { head: &head, connection: &connection, now }).await, UNKNOWN);
}

#[tokio::test]
async fn ba_22_sessions_cannot_be_forged() {
    let bench = Bench::new(&with_sessions(StoreConfig::Memory)).await;
    bench.create("anna", "correct horse").await.expect("create");
    bench.create("bert", "correct horse").await.expect("create");
    let session = bench.open_session(&basic("anna", "correct horse")).await.expect("a session");
    for place in 3..session.len() {
        let mut forged = session.clone().into_bytes();
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("ASCII");
        let verdict = bench.send(&[("authorization", &format!("Bearer {forged}"))]).await;
        let refused = [Cause::Malformed, Cause::Unknown].map(|cause| Err(Rejection::Invalid(cause)));
        assert!(refused.contains(&verdict), "{place}: {verdict:?}");
    }
    let other = Bench::new(&with_sessions(StoreConfig::Memory)).await;
    other.create("anna", "correct horse").await.expect("create");
    assert_eq!(other.send(&[("authorization", &format!("Bearer {session}"))]).await, UNKNOWN, "another key");
    for bad in ["Bearer", "Bearer bs_", "Bearer bs_!!!!", "Bearer x", &format!("Bearer bs_{}", "A".repeat(4_000))] {
        assert_eq!(bench.send(&[("authorization", bad)]).await, Err(Rejection::Invalid(Cause::Malformed)), "{bad:?}");
    }
    let plain = Bench::new(&config(CHEAP, None)).await;
    assert_eq!(plain.send(&[("authorization", &format!("Bearer {session}"))]).await, Err(Rejection::Missing));
    for lifetime in [Duration::ZERO, Duration::from_secs(86_401)] {
        let config = BasicConfig { session: Some(SessionConfig { lifetime }), ..config(CHEAP, None) };
        assert!(matches!(Basic::build("test", &config, &bench.environment).await, Err(BuildError::Config(_))));
    }
}

#[tokio::test]
async fn ba_22_issued_users_come_with_a_session_and_a_weak_hash_is_renewed_before() {
    let strong = PasswordHash::Pbkdf2Sha256 { iterations: 3 };
    let bench = Bench::new(&BasicConfig { hash: strong, ..with_sessions(StoreConfig::Memory) }).await;
    let request = IssueRequest { count: 2, lifetime: None, scopes: vec!["read".to_owned()] };
    for issued in bench.method.issue(&request).await.expect("issue") {
        let Material::Bearer { token } = &issued.material else { panic!("{issued:?}") };
        let principal = bench.send(&[("authorization", &format!("Bearer {}", token.expose()))]).await;
        assert_eq!(&*principal.expect("accepted").id, issued.principal.as_str());
        let renewed =
            bench.method.renew(&issued.id, &IssueRequest { count: 1, ..request.clone() }).await.expect("renewed");
        assert_eq!(bench.send(&[("authorization", &format!("Bearer {}", token.expose()))]).await, UNKNOWN);
        let Material::Bearer { token } = &renewed.material else { panic!("{renewed:?}") };
        assert!(bench.send(&[("authorization", &format!("Bearer {}", token.expose()))]).await.is_ok());
    }
    bench.create_with("anna", "correct horse", CHEAP).await;
    let session = bench.open_session(&basic("anna", "correct horse")).await.expect("a session");
    assert!(bench.stored("anna").await.starts_with("$pbkdf2-sha256$i=3$"));
    assert!(bench.send(&[("authorization", &format!("Bearer {session}"))]).await.is_ok());
}

/// How quickly the others are answered is for `scenarios/basic-hashing.toml` to say; here none of them waits at all.
#[tokio::test]
async fn ba_14_two_hundred_logins_keep_nobody_else_waiting() {
    let slow = PasswordHash::Pbkdf2Sha256 { iterations: 20_000 };
    let bench = Bench::new(&BasicConfig { hash_queue: 199, ..config(slow, None) }).await;
    let mut logins: Vec<_> = (0..200).map(|_| Box::pin(bench.present("anna", "wrong"))).collect();
    // Nobody polls them again before the others were answered: the places stay taken.
    for login in &mut logins {
        assert!(futures_util::poll!(login).is_pending(), "the hash is on a thread of its own");
    }
    assert_eq!(futures_util::poll!(Box::pin(bench.send(&[]))), std::task::Poll::Ready(Err(Rejection::Missing)));
    assert_eq!(futures_util::future::join_all(logins).await, vec![UNKNOWN; 200]);
}
