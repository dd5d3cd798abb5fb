//! The method `basic` through its one call, on a clock that the tests move.

use super::verified::MAX_CACHE_TTL;
use super::*;
use crate::auth::grant::Grant;
use crate::auth::{AdminError, Connection};
use crate::clock::UnixTime;
use crate::config::CacheConfig;
use crate::contract::{IssueRequest, Issued, Material};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

mod cache;
mod hashes;
mod sessions;
mod throttle;

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

/// Verdicts without what tells a wrong password from an unknown user, which callers are not told.
fn as_told(verdict: &Result<Principal, Rejection>) -> String {
    match verdict {
        Err(Rejection::Invalid(Cause::WrongSecret | Cause::Unknown)) => "invalid".to_owned(),
        other => format!("{other:?}"),
    }
}

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
