//! JWT access tokens: RFC 9068 (profile), RFC 7519 (claims), RFC 8725 (best current practice).
//!
//! A token is checked with the profile's own keys and without asking anybody. Taking one back therefore needs a
//! deny-list that every validator polls; without one (stateless mode) a revoked token works until `exp`, at most
//! [`TokenRules::max_lifetime`](crate::config::TokenRules) plus the leeway.

pub(crate) mod claims;
mod entitlements;
mod trusted;
mod validator;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub(crate) use self::claims::ClaimsRef;
pub(crate) use self::trusted::TrustedKeys;
pub(crate) use self::validator::Validator;
use crate::auth::kept::Kept;
use crate::auth::{AdminError, BuildError, Cause, Environment, Principal, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{AUDIENCE, DenyListConfig, Follow, JwtConfig, Push, StoreConfig, TokenRules};
use crate::contract::{IssueRequest, Issued, Material, Secret};
use crate::credential::digest::{Digest, DigestState};
use crate::credential::jws::SigningKey;
use crate::store::cache::TtlCache;
use crate::store::denylist::DenyList;
use crate::store::follow::LocalCopy as _;
use crate::store::record::Revocation;
use crate::store::{Store, file};
use crate::telemetry::Meter;

/// Largest leeway: it is added to the life of every dead token.
const MAX_LEEWAY: Duration = Duration::from_secs(60);

/// Most tokens made by one request: more would fill the memory before the answer is sent.
const MAX_COUNT: usize = 1_000_000;

/// How long the population of a deny-list stays: longer than any run, so that the list keeps its length.
const POPULATION_LIFETIME: Duration = Duration::from_secs(86_400);

/// `typ` of an access token (RFC 9068 §2.1).
pub(crate) const ACCESS_TOKEN_TYP: &str = "at+jwt";

/// How the subjects of issued tokens begin. A `jti` is hexadecimal and never looks like one.
const SUBJECT_PREFIX: &str = "app-";

/// The method `jwt`: a profile's issuer and validator.
pub struct Jwt {
    signing: Arc<SigningKey>,
    keys: TrustedKeys,
    validator: Validator,
    lifetime: Duration,
    /// Length of the claims set of issued tokens.
    claims_bytes: Option<usize>,
    /// Where revocations are recorded. In stateless mode nobody reads them.
    revoked: Arc<Store>,
    /// Absent in stateless mode.
    denylist: Option<Kept<DenyList>>,
    /// Tokens whose signature was verified lately, by their SHA-256.
    verified: Option<TtlCache<Digest, Verified, DigestState>>,
    clock: Clock,
    meter: Arc<Meter>,
}

/// What a verified token says.
#[derive(Clone)]
struct Verified {
    principal: Principal,
    iat: Duration,
}

impl Jwt {
    pub(crate) async fn build(name: &str, config: &JwtConfig, environment: &Environment) -> Result<Self, BuildError> {
        check_config(name, config)?;
        let dir = file::profile_dir(&environment.shared_dir, name)?;
        let signing = SigningKey::load_or_generate(&dir.join("signing-key"), config.algorithm)
            .map_err(|error| state("signing key", error))?;
        let clock = &environment.clock;
        let kept_in = config.denylist.as_ref().map_or_else(DenyListConfig::default_store, |list| list.store.clone());
        let revoked = Arc::new(Store::open(&kept_in, name, &dir).await?);
        let denylist = match &config.denylist {
            None => None,
            Some(list) => {
                let now = clock.now();
                let until = UnixTime(now.0 + POPULATION_LIFETIME);
                revoked.fill_revocations(list.population, until, now).await?;
                let follow = Some(list.follow);
                Some(Kept::new(DenyList::default(), (&revoked, &kept_in), follow, clock).await?)
            }
        };
        Ok(Self {
            keys: TrustedKeys::new(signing.key_set()),
            signing: Arc::new(signing),
            validator: Validator {
                issuer: issuer(name),
                algorithm: config.algorithm,
                rules: config.rules,
                max_token: config.claims_bytes.map_or(header::MAX_TOKEN, |_| header::MAX_LONG_TOKEN),
            },
            lifetime: config.lifetime,
            claims_bytes: config.claims_bytes,
            revoked,
            denylist,
            verified: config.cache.map(|cache| TtlCache::new(&cache, DigestState::default())).transpose()?,
            clock: environment.clock.clone(),
            meter: environment.meter.clone(),
        })
    }

    pub(crate) fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let token = header::bearer_up_to(request.head, self.validator.max_token)?;
        let Some(verified) = &self.verified else {
            return self.validator.check(token, &self.keys, request.now, &self.meter, |claims| {
                self.ask_denylist(&claims.jti, &claims.sub, claims.iat, request.now)?;
                Ok(claims.principal())
            });
        };
        let key = Digest(Sha256::digest(token.as_bytes()).into());
        if let Some(Verified { principal, iat }) = verified.get(&key, request.now) {
            self.meter.cache_hits.add();
            self.ask_denylist(&principal.credential_id, &principal.id, iat, request.now)?;
            return Ok(principal);
        }
        let load = verified.begin(key, request.now);
        self.validator.check(token, &self.keys, request.now, &self.meter, |claims| {
            self.ask_denylist(&claims.jti, &claims.sub, claims.iat, request.now)?;
            let principal = claims.principal();
            let load = load.no_later_than(UnixTime(claims.exp + self.validator.rules.leeway));
            verified.insert(load, Verified { principal: principal.clone(), iat: claims.iat });
            Ok(principal)
        })
    }

    fn ask_denylist(&self, jti: &str, sub: &str, iat: Duration, now: UnixTime) -> Result<(), Rejection> {
        let Some(denylist) = &self.denylist else { return Ok(()) };
        self.meter.store_lookups.add();
        // What is known to be revoked is refused however old the knowledge is.
        if denylist.copy().refuses(jti, sub, iat) {
            return Err(Rejection::Invalid(Cause::Revoked));
        }
        if denylist.current(now).is_none() {
            return Err(Rejection::Unavailable { dependency: "deny-list", retry_after: Duration::from_secs(1) });
        }
        Ok(())
    }

    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let lifetime = request.lifetime.unwrap_or(self.lifetime);
        check_issue(request, lifetime, &self.validator.rules)?;
        let iat = self.clock.now().as_secs();
        let mut order = Order {
            iss: self.validator.issuer.clone(),
            scope: request.scopes.join(" "),
            iat,
            // NumericDates are written as whole seconds, so a lifetime is rounded up to one.
            exp: iat + lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0),
            entitlements: Vec::new(),
        };
        order.fill_up(self.claims_bytes.unwrap_or_default());
        let (signing, count) = (self.signing.clone(), request.count);
        // A signature takes up to a millisecond; ten thousand must not hold up the control runtime.
        let made = tokio::task::spawn_blocking(move || (0..count).map(|_| order.token(&signing)).collect()).await;
        made.map_err(|_| AdminError::Store("the thread that signed tokens stopped".to_owned()))?
    }

    /// Removes what is in the store, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        Ok(self.revoked.discard().await?)
    }

    /// Takes back one token by its `jti`, or every token of a subject issued until now by its `sub`.
    ///
    /// Nobody keeps a list of the tokens that exist, so any identifier of the right form is recorded.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        let now = self.clock.now();
        let revocation = if is_jti(id) {
            Revocation::Token(id.into())
        } else if id.strip_prefix(SUBJECT_PREFIX).is_some_and(is_jti) {
            Revocation::Subject { sub: id.into(), issued_until: now.as_secs() }
        } else {
            return Err(AdminError::NotFound(format!("token {id:?}")));
        };
        let TokenRules { leeway, max_lifetime } = self.validator.rules;
        // No accepted token can outlive this: iat ≤ now + leeway, exp ≤ iat + max_lifetime, accepted before exp + leeway.
        let until = UnixTime(now.0 + leeway + max_lifetime + leeway + Duration::from_secs(1));
        self.revoked.append(revocation.clone(), until, now).await?;
        self.meter.store_writes.add();
        // This node knows at once, whatever it follows.
        if let Some(denylist) = &self.denylist {
            denylist.copy().revoke(&revocation, Some(until.as_secs()));
        }
        Ok(())
    }
}

/// `iss` of a profile's tokens.
fn issuer(profile: &str) -> Arc<str> {
    format!("https://issuer.authbench.test/{profile}").into()
}

/// Bytes of JSON that the claims which RFC 9068 §2.2 requires take in the tokens of a profile, at most: what is asked for
/// by [`JwtConfig::claims_bytes`] is on top of them.
pub fn required_claims_bytes(profile: &str, scope: &str) -> usize {
    let (scope, time) = (scope.to_owned(), u64::from(u32::MAX)); // ten digits, as until the year 2286
    Order { iss: issuer(profile), scope, iat: time, exp: time, entitlements: Vec::new() }.required_bytes()
}

/// What all tokens of one request share.
struct Order {
    iss: Arc<str>,
    scope: String,
    iat: u64,
    exp: u64,
    /// A private claim (RFC 7519 §4.3) that gives the tokens their length.
    entitlements: Vec<String>,
}

#[derive(Serialize)]
struct AccessToken<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    entitlements: &'a [String],
}

impl Order {
    /// Gives the claims sets of all tokens this length, in bytes of JSON.
    fn fill_up(&mut self, claims_bytes: usize) {
        self.entitlements = entitlements::filling(claims_bytes.saturating_sub(self.required_bytes()));
    }

    /// Length of the claims sets as they are now. Identifiers differ from token to token, their lengths do not.
    fn required_bytes(&self) -> usize {
        let jti = "0".repeat(32);
        let claims = serde_json::to_vec(&self.claims(&format!("{SUBJECT_PREFIX}{jti}"), &jti));
        claims.expect("strings and numbers are JSON").len()
    }

    fn claims<'a>(&'a self, sub: &'a str, jti: &'a str) -> AccessToken<'a> {
        AccessToken {
            iss: &self.iss,
            aud: AUDIENCE,
            sub,
            // Every application is its own subject, as RFC 9068 §2.2 asks where no user is involved.
            client_id: sub,
            scope: &self.scope,
            jti,
            iat: self.iat,
            exp: self.exp,
            entitlements: &self.entitlements,
        }
    }

    fn token(&self, signing: &SigningKey) -> Result<Issued, AdminError> {
        let (sub, jti) = (format!("{SUBJECT_PREFIX}{}", random_id()?), random_id()?);
        let token = signing
            .sign(ACCESS_TOKEN_TYP, &self.claims(&sub, &jti))
            .map_err(|error| AdminError::Store(format!("signing key: {error}")))?;
        Ok(Issued { id: jti, principal: sub, material: Material::Bearer { token: Secret::new(token) } })
    }
}

/// 128 random bits in hexadecimal.
fn random_id() -> Result<String, AdminError> {
    let mut bits = [0; 16];
    aws_lc_rs::rand::fill(&mut bits).map_err(|_| AdminError::Store("the random source failed".to_owned()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bits)))
}

fn is_jti(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_config(name: &str, config: &JwtConfig) -> Result<(), BuildError> {
    let TokenRules { leeway, max_lifetime } = config.rules;
    let problem = if leeway > MAX_LEEWAY {
        format!("leeway is {leeway:?}; at most {MAX_LEEWAY:?} is safe")
    } else if config.lifetime < Duration::from_secs(1) {
        format!("lifetime is {:?}; tokens count whole seconds, so give at least 1s", config.lifetime)
    } else if config.lifetime > max_lifetime {
        format!("lifetime {:?} is over max_lifetime {max_lifetime:?}; every token would be refused", config.lifetime)
    } else if let Some(problem) = config.denylist.as_ref().and_then(not_to_follow) {
        format!("denylist: {problem}")
    } else if config.cache.is_some_and(|cache| cache.follow.is_some()) {
        "cache: a verified token is looked up in the deny-list at every hit; leave `poll` and `push` out".to_owned()
    } else if let Some(population) = too_many(config.denylist.as_ref()) {
        format!("denylist.population is {population}; at most {} is possible", DenyListConfig::MAX_POPULATION)
    } else if let Some(bytes) = config.claims_bytes.filter(|bytes| !JwtConfig::CLAIMS_BYTES.contains(bytes)) {
        format!("claims_bytes is {bytes}; {:?} is possible", JwtConfig::CLAIMS_BYTES)
    } else {
        return Ok(());
    };
    Err(BuildError::Config(format!("profile {name:?}: {problem}")))
}

/// Why a deny-list cannot be followed as it says.
fn not_to_follow(denylist: &DenyListConfig) -> Option<String> {
    if denylist.store == StoreConfig::Memory {
        return Some("store is \"memory\", where no other validator could read it; use another".to_owned());
    }
    if denylist.follow == Follow::Push(Push::Tracking) {
        return Some(
            "push is \"tracking\", which tells of changed records and not of new ones; write \"pubsub\"".to_owned(),
        );
    }
    denylist.follow.check(&denylist.store).err()
}

/// The population of a deny-list, if it is over what is possible.
fn too_many(denylist: Option<&DenyListConfig>) -> Option<usize> {
    denylist.map(|denylist| denylist.population).filter(|population| *population > DenyListConfig::MAX_POPULATION)
}

fn check_issue(request: &IssueRequest, lifetime: Duration, rules: &TokenRules) -> Result<(), AdminError> {
    let problem = if !(1..=MAX_COUNT).contains(&request.count) {
        format!("count is {}; ask for 1 to {MAX_COUNT}", request.count)
    } else if lifetime.is_zero() || lifetime > rules.max_lifetime {
        format!("lifetime is {lifetime:?}; more than 0 and at most {:?} is accepted", rules.max_lifetime)
    } else if let Some(scope) = request.scopes.iter().find(|scope| !is_scope(scope)) {
        format!("{scope:?} is not a scope (RFC 6749 §3.3)")
    } else {
        return Ok(());
    };
    Err(AdminError::BadRequest(problem))
}

/// `scope-token` of RFC 6749 §3.3.
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

fn state(what: &str, error: impl std::error::Error + Send + Sync + 'static) -> BuildError {
    BuildError::State { what: what.to_owned(), source: Box::new(error) }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("issuer", &self.validator.issuer)
            .field("signing", &self.signing)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::auth::Connection;
    use crate::config::{Algorithm, ClockMode, DenyListConfig};

    struct Fixture {
        _dir: tempfile::TempDir,
        environment: Environment,
        config: JwtConfig,
        jwt: Jwt,
    }

    async fn fixture(denylist: Option<Duration>) -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let environment = Environment {
            shared_dir: dir.path().to_owned(),
            clock: Clock::new(ClockMode::Controlled),
            meter: Arc::default(),
            authorization_server: None,
            ca_file: dir.path().join("ca.pem"),
        };
        let config = JwtConfig {
            lifetime: Duration::from_secs(300),
            denylist: denylist.map(DenyListConfig::new),
            ..JwtConfig::new(Algorithm::EdDSA)
        };
        let jwt = Jwt::build("jwt-eddsa", &config, &environment).await.unwrap();
        Fixture { _dir: dir, environment, config, jwt }
    }

    impl Fixture {
        /// Another node with the same keys and deny-list.
        async fn replica(&self) -> Jwt {
            Jwt::build("jwt-eddsa", &self.config, &self.environment).await.unwrap()
        }

        /// What the poll does.
        async fn catch_up(&self) {
            let kept = self.jwt.denylist.as_ref().unwrap();
            kept.catch_up().await.unwrap();
            kept.copy().prune(self.environment.clock.now());
        }

        async fn issue(&self, count: usize) -> Vec<Issued> {
            let request = IssueRequest { count, lifetime: None, scopes: vec!["read".to_owned(), "write".to_owned()] };
            self.jwt.issue(&request).await.unwrap()
        }

        fn call(&self, issued: &Issued) -> Result<Principal, Rejection> {
            call(&self.jwt, self.environment.clock.now(), issued)
        }
    }

    fn call(jwt: &Jwt, now: UnixTime, issued: &Issued) -> Result<Principal, Rejection> {
        let Material::Bearer { token } = &issued.material else { panic!("a bearer token was issued") };
        let head = http::Request::builder().header("Authorization", format!("Bearer {}", token.expose()));
        let (head, ()) = head.body(()).unwrap().into_parts();
        let connection = Connection { peer: SocketAddr::from(([127, 0, 0, 1], 1)), client: None };
        jwt.authenticate(&Request { head: &head, connection: &connection, now })
    }

    /// An hour: the copy is refreshed by the test only.
    const BY_HAND: Option<Duration> = Some(Duration::from_secs(3600));

    #[tokio::test]
    async fn issued_tokens_are_accepted_each_for_its_own_subject() {
        let fixture = fixture(None).await;
        let issued = fixture.issue(3).await;
        for one in &issued {
            let principal = fixture.call(one).unwrap();
            assert_eq!((&*principal.id, &*principal.credential_id), (&*one.principal, &*one.id));
            assert!(principal.has_scope("read") && principal.has_scope("write") && one.principal.starts_with("app-"));
        }
        assert_ne!(issued[0].id, issued[1].id);
        assert_ne!(issued[0].principal, issued[1].principal);
        let counters = &fixture.environment.meter;
        assert_eq!((counters.verify_calls.get(), counters.store_lookups.get()), (3, 0));
    }

    #[tokio::test]
    async fn stateless_tokens_outlive_their_revocation_until_exp() {
        let fixture = fixture(None).await;
        let issued = &fixture.issue(1).await[0];
        fixture.jwt.revoke(&issued.id).await.unwrap();
        assert!(fixture.call(issued).is_ok());
        fixture.environment.clock.advance(Duration::from_secs(300 + 31)).unwrap();
        assert_eq!(fixture.call(issued), Err(Rejection::Invalid(Cause::Expired)));
    }

    #[tokio::test]
    async fn a_revoked_token_is_refused_after_the_next_poll_and_others_are_not() {
        let fixture = fixture(BY_HAND).await;
        let issued = fixture.issue(2).await;
        let elsewhere = fixture.replica().await;
        elsewhere.revoke(&issued[0].id).await.unwrap();
        let now = fixture.environment.clock.now();
        assert_eq!(call(&elsewhere, now, &issued[0]), Err(Rejection::Invalid(Cause::Revoked)), "RV-1: there at once");
        assert!(fixture.call(&issued[0]).is_ok(), "here it has not been heard of");
        fixture.catch_up().await;
        assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(fixture.call(&issued[1]).is_ok());
        let counters = &fixture.environment.meter;
        assert_eq!((counters.store_lookups.get(), counters.store_writes.get()), (4, 1));
    }

    #[tokio::test]
    async fn a_subject_can_be_revoked_as_a_whole() {
        let fixture = fixture(BY_HAND).await;
        let issued = fixture.issue(2).await;
        fixture.replica().await.revoke(&issued[0].principal).await.unwrap();
        assert!(fixture.call(&issued[0]).is_ok(), "here it has not been heard of");
        fixture.catch_up().await;
        assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(fixture.call(&issued[1]).is_ok());
    }

    #[tokio::test]
    async fn a_verified_token_is_not_verified_again_but_still_expires_and_is_revoked() {
        let Fixture { environment, config, _dir, .. } = fixture(BY_HAND).await;
        let cache = Some(crate::config::CacheConfig::new(Duration::from_secs(3600)));
        let config = JwtConfig { cache, ..config };
        let jwt = Jwt::build("jwt-eddsa", &config, &environment).await.unwrap();
        let fixture = Fixture { environment, config, jwt, _dir };
        let issued = fixture.issue(2).await;
        for _ in 0..3 {
            let principal = fixture.call(&issued[0]).unwrap();
            assert_eq!((&*principal.id, &*principal.credential_id), (&*issued[0].principal, &*issued[0].id));
        }
        let counters = &fixture.environment.meter;
        assert_eq!((counters.verify_calls.get(), counters.cache_hits.get(), counters.store_lookups.get()), (1, 2, 3));
        assert!(fixture.call(&issued[1]).is_ok());
        // What differs in one character is another token.
        let Material::Bearer { token } = &issued[0].material else { panic!("a bearer token was issued") };
        let mut forged = token.expose().to_owned();
        let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
        forged.push(last);
        let forged = Issued { material: Material::Bearer { token: Secret::new(forged) }, ..issued[0].clone() };
        assert!(matches!(fixture.call(&forged), Err(Rejection::Invalid(_))));

        fixture.jwt.revoke(&issued[0].id).await.unwrap();
        assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
        fixture.environment.clock.advance(Duration::from_secs(300 + 31)).unwrap();
        assert_eq!(fixture.call(&issued[1]), Err(Rejection::Invalid(Cause::Expired)));
    }

    #[tokio::test]
    async fn an_entry_outlives_every_token_that_it_names() {
        let fixture = fixture(BY_HAND).await;
        let request = IssueRequest { count: 1, lifetime: Some(Duration::from_secs(900)), scopes: vec![] };
        let issued = &fixture.jwt.issue(&request).await.unwrap()[0];
        fixture.jwt.revoke(&issued.id).await.unwrap();
        fixture.environment.clock.advance(Duration::from_secs(900 + 28)).unwrap();
        fixture.catch_up().await;
        assert_eq!(fixture.call(issued), Err(Rejection::Invalid(Cause::Revoked)), "the leeway has not passed");
        fixture.environment.clock.advance(Duration::from_secs(120)).unwrap();
        fixture.catch_up().await;
        assert_eq!(fixture.jwt.denylist.as_ref().unwrap().copy().len(), 0);
        assert_eq!(fixture.call(issued), Err(Rejection::Invalid(Cause::Expired)));
    }

    #[tokio::test]
    async fn a_restart_keeps_keys_and_revocations() {
        let fixture = fixture(BY_HAND).await;
        let issued = fixture.issue(2).await;
        fixture.jwt.revoke(&issued[0].id).await.unwrap();
        let restarted = Jwt::build("jwt-eddsa", &fixture.config, &fixture.environment).await.unwrap();
        let now = fixture.environment.clock.now();
        assert_eq!(call(&restarted, now, &issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(call(&restarted, now, &issued[1]).is_ok());
        let other = Jwt::build("other", &fixture.config, &fixture.environment).await.unwrap();
        assert_eq!(
            call(&other, now, &issued[1]),
            Err(Rejection::Invalid(Cause::UnknownKey)),
            "keys are the profile's own"
        );
    }

    #[tokio::test]
    async fn claims_sets_have_the_length_asked_for() {
        use base64::Engine as _;
        let Fixture { environment, config, .. } = &fixture(None).await;
        let length = async |claims_bytes| {
            let jwt =
                Jwt::build("jwt-eddsa", &JwtConfig { claims_bytes, ..config.clone() }, environment).await.unwrap();
            let request = IssueRequest { count: 2, lifetime: None, scopes: vec!["read".to_owned()] };
            let issued = jwt.issue(&request).await.unwrap();
            let lengths: Vec<usize> = issued
                .iter()
                .map(|one| {
                    assert_eq!(*call(&jwt, environment.clock.now(), one).unwrap().id, *one.principal);
                    let Material::Bearer { token } = &one.material else { panic!("a bearer token was issued") };
                    assert!(token.expose().len() <= header::MAX_LONG_TOKEN);
                    let payload = token.expose().split('.').nth(1).unwrap();
                    base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap().len()
                })
                .collect();
            assert_eq!(lengths[0], lengths[1]);
            lengths[0]
        };
        let required = length(None).await;
        assert_eq!(required, required_claims_bytes("jwt-eddsa", "read"));
        assert!((200..400).contains(&required), "{required}");
        for exactly in [required, required + entitlements::LEAST, 512, 1024, 4095, 16_384] {
            assert_eq!(length(Some(exactly)).await, exactly);
        }
        // There is no room for one more claim.
        for short in [200, required + 1, required + entitlements::LEAST - 1] {
            assert_eq!(length(Some(short)).await, required, "{short}");
        }
    }

    #[tokio::test]
    async fn a_deny_list_of_many_refuses_whom_it_should() {
        let fixture = fixture(None).await;
        let denylist = Some(DenyListConfig { population: 2_000, ..DenyListConfig::new(Duration::from_secs(3600)) });
        let config = JwtConfig { denylist, ..fixture.config.clone() };
        let jwt = Jwt::build("jwt-eddsa", &config, &fixture.environment).await.unwrap();
        let fixture = Fixture { jwt, ..fixture };
        let len = || fixture.jwt.denylist.as_ref().unwrap().copy().len();
        assert_eq!(len(), 2_000);
        let issued = fixture.issue(2).await;
        fixture.jwt.revoke(&issued[0].id).await.unwrap();
        // A run may last for hours, and the list keeps its length.
        fixture.environment.clock.advance(Duration::from_secs(60)).unwrap();
        fixture.catch_up().await;
        assert_eq!(len(), 2_001);
        assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
        assert!(fixture.call(&issued[1]).is_ok());
        fixture.environment.clock.advance(Duration::from_secs(3 * 3600)).unwrap();
        fixture.catch_up().await;
        assert_eq!(len(), 2_000);
    }

    #[tokio::test]
    async fn unknown_and_contradictory_requests() {
        let fixture = fixture(None).await;
        for id in ["", "x", "../etc", "app-", "app-1", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB"] {
            assert!(matches!(fixture.jwt.revoke(id).await, Err(AdminError::NotFound(_))), "{id}");
        }
        let good = IssueRequest { count: 1, lifetime: None, scopes: vec![] };
        for request in [
            IssueRequest { count: 0, ..good.clone() },
            IssueRequest { count: usize::MAX, ..good.clone() },
            IssueRequest { lifetime: Some(Duration::ZERO), ..good.clone() },
            IssueRequest { lifetime: Some(Duration::from_secs(901)), ..good.clone() },
            IssueRequest { scopes: vec!["a b".to_owned()], ..good.clone() },
        ] {
            assert!(matches!(fixture.jwt.issue(&request).await, Err(AdminError::BadRequest(_))), "{request:?}");
        }
        assert!(fixture.jwt.issue(&good).await.is_ok());
    }

    #[tokio::test]
    async fn unsafe_configurations_do_not_start() {
        let fixture = fixture(None).await;
        let with = async |change: fn(&mut JwtConfig)| {
            let mut config = fixture.config.clone();
            change(&mut config);
            Jwt::build("p", &config, &fixture.environment).await
        };
        assert!(with(|_| ()).await.is_ok());
        assert!(matches!(with(|c| c.rules.leeway = Duration::from_secs(61)).await, Err(BuildError::Config(_))));
        assert!(matches!(with(|c| c.lifetime = Duration::from_secs(901)).await, Err(BuildError::Config(_))));
        assert!(matches!(with(|c| c.lifetime = Duration::from_millis(10)).await, Err(BuildError::Config(_))));
        let zero = |c: &mut JwtConfig| c.denylist = Some(DenyListConfig::new(Duration::ZERO));
        assert!(matches!(with(zero).await, Err(BuildError::Config(_))));
        let crowd = |c: &mut JwtConfig| {
            let list = DenyListConfig::new(Duration::from_secs(1));
            c.denylist = Some(DenyListConfig { population: DenyListConfig::MAX_POPULATION + 1, ..list });
        };
        assert!(matches!(with(crowd).await, Err(BuildError::Config(_))));
        let nowhere = |c: &mut JwtConfig| {
            let list = DenyListConfig::new(Duration::from_secs(1));
            c.denylist = Some(DenyListConfig { store: StoreConfig::Memory, ..list });
        };
        assert!(matches!(with(nowhere).await, Err(BuildError::Config(_))));
        assert!(matches!(with(|c| c.claims_bytes = Some(199)).await, Err(BuildError::Config(_))));
        assert!(matches!(with(|c| c.claims_bytes = Some(16_385)).await, Err(BuildError::Config(_))));
    }
}
