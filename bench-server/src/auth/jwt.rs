//! JWT access tokens: RFC 9068 (profile), RFC 7519 (claims), RFC 8725 (best current practice).
//!
//! A token is checked with the profile's own keys and without asking anybody. Taking one back therefore needs a
//! deny-list that every validator polls, or an issuer that is asked after all; without either (stateless mode) a revoked token
//! works until `exp`, at most [`TokenRules::max_lifetime`](crate::config::TokenRules) plus the leeway.

pub(crate) mod claims;
mod entitlements;
mod introspection;
mod trusted;
mod validator;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

pub(crate) use self::claims::ClaimsRef;
use self::introspection::AskedIssuer;
pub(crate) use self::trusted::TrustedKeys;
pub(crate) use self::validator::Validator;
use crate::auth::kept::Kept;
use crate::auth::{AdminError, BuildError, Cause, Environment, Principal, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{AUDIENCE, DenyListConfig, Follow, JwtConfig, LONGEST_STALE, Push, StoreConfig, TokenRules};
use crate::contract::{IssueRequest, Issued, IssuerKey, Material, Secret, SubjectRevocation};
use crate::credential::digest::{Digest, DigestState};
use crate::credential::jws::SigningKey;
use crate::store::cache::TtlCache;
use crate::store::denylist::{self, DenyList};
use crate::store::follow::LocalCopy as _;
use crate::store::record::Revocation;
use crate::store::{Store, file};
use crate::telemetry::Meter;

/// How long entries of a deny-list outlast what they name, in case clocks differ: forgetting one early would make a revoked
/// token good again.
const MAX_SKEW: Duration = Duration::from_secs(120);

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
    /// Present where the issuer is asked about each token instead of its signature being checked here.
    introspection: Option<AskedIssuer>,
    /// How long the copy of it may be behind while the store does not answer.
    denylist_stale: Duration,
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
        let validator = Validator {
            issuer: issuer(name),
            audience: AUDIENCE.into(),
            algorithm: config.algorithm,
            rules: config.rules,
            max_token: config.claims_bytes.map_or(header::MAX_TOKEN, |_| header::MAX_LONG_TOKEN),
            sender_constrained: false,
        };
        let introspection = if config.introspection {
            let judge = (validator.clone(), TrustedKeys::new(signing.key_set()));
            let meter = environment.meter.clone();
            Some(AskedIssuer::start(judge, revoked.clone(), clock.clone(), meter).await?)
        } else {
            None
        };
        Ok(Self {
            keys: TrustedKeys::new(signing.key_set()),
            signing: Arc::new(signing),
            validator,
            introspection,
            lifetime: config.lifetime,
            claims_bytes: config.claims_bytes,
            revoked,
            denylist,
            denylist_stale: config.denylist.as_ref().and_then(|list| list.stale_if_error).unwrap_or_default(),
            verified: config.cache.map(|cache| TtlCache::new(&cache, DigestState::default())).transpose()?,
            clock: environment.clock.clone(),
            meter: environment.meter.clone(),
        })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let token = header::bearer_up_to(request.head, self.validator.max_token)?;
        match &self.introspection {
            None => self.check(token, request),
            Some(issuer) => issuer.validate(token, request.now).await,
        }
    }

    /// Checks a token without asking anybody.
    fn check(&self, token: &str, request: &Request<'_>) -> Result<Principal, Rejection> {
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
        if denylist.is_current(now) {
            return Ok(());
        }
        if !denylist.is_current_but_for(self.denylist_stale, now) {
            return Err(Rejection::Unavailable { dependency: "deny-list", retry_after: Duration::from_secs(1) });
        }
        self.meter.stale_hits.add();
        Ok(())
    }

    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let order = self.order(request)?;
        let (signing, count) = (self.signing.clone(), request.count);
        let one = move || order.token(&signing, format!("{SUBJECT_PREFIX}{}", random_id()?));
        // A signature takes up to a millisecond; ten thousand must not hold up the control runtime.
        let made = tokio::task::spawn_blocking(move || (0..count).map(|_| one()).collect()).await;
        made.map_err(|_| AdminError::Store("the thread that signed tokens stopped".to_owned()))?
    }

    /// Another token of a subject; the ones before end when they end.
    pub(crate) async fn renew(&self, sub: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        if !is_subject(sub) {
            return Err(AdminError::NotFound(format!("subject {sub:?}")));
        }
        let (order, signing, sub) = (self.order(request)?, self.signing.clone(), sub.to_owned());
        let made = tokio::task::spawn_blocking(move || order.token(&signing, sub)).await;
        made.map_err(|_| AdminError::Store("the thread that signed a token stopped".to_owned()))?
    }

    /// What is common to the tokens that a request asks for.
    fn order(&self, request: &IssueRequest) -> Result<Order, AdminError> {
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
        Ok(order)
    }

    /// What tokens are signed with.
    pub(crate) fn issuer_key(&self) -> IssuerKey {
        self.signing.issuer_key()
    }

    /// What the deny-list takes in memory, or the issuer's where that is asked; `None` where there is neither.
    pub(crate) fn denylist_size(&self) -> Option<denylist::Size> {
        let own = self.denylist.as_ref().map(|denylist| denylist.copy().size());
        own.or_else(|| self.introspection.as_ref().map(AskedIssuer::denylist_size))
    }

    /// Whether what a decision needs gives an answer. In stateless mode that is nothing; an issuer that is asked reads the
    /// store for each answer.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        if self.denylist.is_none() && self.introspection.is_none() {
            return Ok(());
        }
        self.revoked.probe().await.map_err(|_| "deny-list")
    }

    /// Removes what is in the store, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        Ok(self.revoked.discard().await?)
    }

    /// Takes back one token by its `jti`, or every token of a subject issued until now by its `sub`. The leeway is what clocks
    /// may differ by: tokens of the subject that are issued within it from now on are refused as well.
    ///
    /// Nobody keeps a list of the tokens that exist, so any identifier of the right form is recorded.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        let TokenRules { leeway, max_lifetime } = self.validator.rules;
        let now = self.clock.now();
        let revocation = if is_jti(id) {
            Revocation::Token(id.into())
        } else if is_subject(id) {
            // By the clock of an issuer that is ahead, what was issued until now was issued later.
            Revocation::Subject { sub: id.into(), issued_until: (now.0 + leeway).as_secs() }
        } else {
            return Err(AdminError::NotFound(format!("token {id:?}")));
        };
        // No accepted token can outlive this: iat ≤ now + leeway, exp ≤ iat + max_lifetime, accepted before exp + leeway; and
        // neither by the clock of an issuer or a validator that is ahead of this one, or behind it.
        let until = UnixTime(now.0 + leeway + max_lifetime + leeway + MAX_SKEW);
        self.record(revocation, until, now).await
    }

    /// Takes back every token of a subject that was issued before a time.
    pub(crate) async fn revoke_subject(&self, revocation: &SubjectRevocation) -> Result<(), AdminError> {
        let SubjectRevocation { subject, issued_before } = revocation;
        let TokenRules { leeway, max_lifetime } = self.validator.rules;
        let now = self.clock.now();
        if !is_subject(subject) {
            return Err(AdminError::NotFound(format!("subject {subject:?}")));
        }
        if *issued_before > (now.0 + leeway).as_secs() {
            return Err(AdminError::BadRequest(format!(
                "issued_before is {issued_before}, which is in the future: tokens that do not exist cannot be taken back"
            )));
        }
        // What was issued before that time has ended by then, as in `revoke`.
        let until = UnixTime(Duration::from_secs(*issued_before) + max_lifetime + leeway + MAX_SKEW);
        let Some(issued_until) = issued_before.checked_sub(1).filter(|_| until > now) else { return Ok(()) };
        self.record(Revocation::Subject { sub: subject.as_str().into(), issued_until }, until, now).await
    }

    async fn record(&self, revocation: Revocation, until: UnixTime, now: UnixTime) -> Result<(), AdminError> {
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

    fn token(&self, signing: &SigningKey, sub: String) -> Result<Issued, AdminError> {
        let jti = random_id()?;
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

fn is_subject(text: &str) -> bool {
    text.strip_prefix(SUBJECT_PREFIX).is_some_and(is_jti)
}

fn is_jti(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_config(name: &str, config: &JwtConfig) -> Result<(), BuildError> {
    let max_lifetime = config.rules.max_lifetime;
    let problem = if let Err(problem) = config.rules.check() {
        problem
    } else if config.lifetime < Duration::from_secs(1) {
        format!("lifetime is {:?}; tokens count whole seconds, so give at least 1s", config.lifetime)
    } else if config.lifetime > max_lifetime {
        format!("lifetime {:?} is over max_lifetime {max_lifetime:?}; every token would be refused", config.lifetime)
    } else if let Some(problem) = config.denylist.as_ref().and_then(not_to_follow) {
        format!("denylist: {problem}")
    } else if config.introspection && (config.denylist.is_some() || config.cache.is_some()) {
        "introspection: the issuer is asked about each token; leave `denylist` and `cache` out".to_owned()
    } else if config.cache.is_some_and(|cache| cache.follow.is_some()) {
        "cache: a verified token is looked up in the deny-list at every hit; leave `poll` and `push` out".to_owned()
    } else if config.cache.is_some_and(|cache| cache.stale_if_error.is_some()) {
        "cache: nobody is asked about a verified token, which is good until it expires; leave `stale_if_error` out"
            .to_owned()
    } else if config.denylist.as_ref().and_then(|list| list.stale_if_error).is_some_and(|it| it > LONGEST_STALE) {
        format!("denylist.stale_if_error is over {LONGEST_STALE:?}; whoever stops the store would win as much")
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
mod tests;
