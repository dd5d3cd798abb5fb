//! HTTP Basic (RFC 7617): a user name and a password with every request.
//!
//! Each check costs a password hash, made to be slow, on threads of its own and never on the reactor. Unknown users are
//! checked against a dummy of the same cost, so that neither the answer nor its time tells which names exist. With users
//! of other algorithms than the configured one that holds for the answer alone: their hashes take their own time.
//!
//! The optional cache of verified credentials replaces the hash by an HMAC under a random key that dies with the process.
//! It holds accepted credentials only, for 60 s at most (see [`crate::store::cache`]). Optional sessions replace it by a
//! token that one password check is exchanged for, and an optional brake counts failures (`limit::throttle`).
//!
//! Whoever logs in with a hash of less than the configured cost is hashed anew beside the answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use self::attempt::Attempt;
use self::credentials::Credentials;
use self::session::Sessions;
use self::verified::{Verified, VerifiedCache};
use super::kept::Kept;
use super::{BuildError, Cause, Environment, Principal, PrincipalKind, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{BasicConfig, PasswordHash, PasswordPolicy};
use crate::credential::digest::Digest;
use crate::credential::password::{HashError, HashPool, Hasher, Peppers, PoolError, check_costs};
use crate::limit::throttle::Throttle;
use crate::store::cache::Load;
use crate::store::record::User;
use crate::store::{Store, file};
use crate::telemetry::Meter;

mod accounts;
mod attempt;
mod credentials;
mod policy;
mod rehash;
pub(crate) mod session;
mod verified;

/// When to try again after the hashing queue was full. The header counts whole seconds, and by then the queue is another.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The method `basic` of one profile.
pub struct Basic {
    users: Arc<Store>,
    cache: Option<Kept<VerifiedCache>>,
    sessions: Option<Sessions>,
    throttle: Option<Arc<Throttle>>,
    pool: Arc<HashPool>,
    peppers: Arc<Peppers>,
    hash: PasswordHash,
    policy: Option<PasswordPolicy>,
    /// A hash of somebody who logged in with a weaker one is computed at one time for one of them: the next login does it
    /// for the others.
    rehashing: Arc<Semaphore>,
    /// A hash, with the configured costs, of a password that nobody knows.
    dummy: Arc<str>,
    concurrency: usize,
    clock: Clock,
    meter: Arc<Meter>,
}

/// What can be said before the user's record is read.
enum Glance<'a> {
    /// The cache knows the credentials.
    Verified(Arc<User>),
    /// They have to be hashed.
    Unverified {
        presented: Presented,
        /// The cache that did not know them, and where the answer belongs in it.
        load: Option<Loading<'a>>,
    },
}

/// Credentials to be hashed.
struct Presented {
    name: Arc<str>,
    password: Zeroizing<String>,
    /// Counted, where failures are.
    attempt: Option<Attempt>,
}

/// An answer on its way into the cache.
struct Loading<'a> {
    cache: &'a VerifiedCache,
    mac: Digest,
    /// Absent while the cache may be behind: nothing is kept then.
    load: Option<Load<Arc<str>>>,
}

impl Basic {
    /// Starts the hashing threads, and hashes once, for the dummy.
    pub(crate) async fn build(name: &str, config: &BasicConfig, environment: &Environment) -> Result<Self, BuildError> {
        let failed = |what: &str, source: Box<dyn std::error::Error + Send + Sync>| BuildError::State {
            what: format!("profile {name}: {what}"),
            source,
        };
        check_costs(config.hash).map_err(|error| BuildError::Config(format!("profile {name}: {error}")))?;
        let versions = &config.peppers;
        if versions.iter().enumerate().any(|(place, version)| versions[..place].contains(version)) {
            let remedy = "write each version once, the one for new hashes first";
            return Err(BuildError::Config(format!("profile {name}: peppers is {versions:?}; {remedy}")));
        }
        let dir = file::profile_dir(&environment.shared_dir, name)?;
        let users = Arc::new(Store::open(&config.store, name, &dir).await?);
        let cache = match &config.cache {
            None => None,
            Some(cache) => {
                let (copy, clock) = (VerifiedCache::new(cache)?, &environment.clock);
                Some(Kept::new(copy, (&users, &config.store), cache.follow, clock).await?)
            }
        };
        let sessions = config.session.map(|session| Sessions::open(session, &dir)).transpose()?;
        let password = accounts::password().map_err(|error| failed("random password", error.into()))?;
        let peppers = Peppers::load(&config.peppers, &dir).map_err(|error| failed("load the peppers", error.into()))?;
        let peppers = Arc::new(peppers);
        let dummy = Hasher::new(Arc::default())
            .with_peppers(peppers.clone())
            .hash(&password, config.hash)
            .map_err(|error| failed("hash the dummy password", error.into()))?;
        let pool = HashPool::with_peppers(config.hash_threads, config.hash_queue, &environment.meter, &peppers)
            .map_err(|error| failed("start the hashing threads", error.into()))?;
        Ok(Self {
            users,
            cache,
            sessions,
            throttle: config.throttle.then(Arc::default),
            pool: Arc::new(pool),
            peppers,
            hash: config.hash,
            policy: config.password_policy,
            rehashing: Arc::new(Semaphore::new(1)),
            dummy: dummy.into(),
            concurrency: config.hash_threads.get(),
            clock: environment.clock.clone(),
            meter: environment.meter.clone(),
        })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        if let Some(sessions) = &self.sessions
            && let Ok(Some(token)) = header::authorization(request.head, "Bearer")
        {
            return self.in_session(sessions, token, request).await;
        }
        let user = match self.glance(request)? {
            Glance::Verified(user) => user,
            Glance::Unverified { presented, load } => match (self.look_up(&presented.name).await, load) {
                (Ok(user), None) => self.verify(user, presented).await?.renew_hash(self),
                (Ok(user), Some(load)) => self.verify_once(user, presented, load).await?,
                (Err(rejection), load) => self.stale(&presented.name, load, request.now).ok_or(rejection)?,
            },
        };
        principal(&user, request.now)
    }

    /// All that happens before the store is read. Not async: the decoded password is wiped before anything is waited for.
    fn glance(&self, request: &Request<'_>) -> Result<Glance<'_>, Rejection> {
        let (credentials, attempt) = self.presented(request)?;
        let name: Arc<str> = credentials.name().into();
        let mut load = None;
        if let Some(kept) = &self.cache {
            let cache = kept.copy();
            let mac = cache.mac(&credentials);
            let current = kept.is_current(request.now);
            let known = current.then(|| cache.entries.get(&name, request.now)).flatten();
            if let Some(known) = known.filter(|known| known.mac.constant_time_eq(&mac)) {
                self.meter.cache_hits.add();
                if let Some(attempt) = &attempt {
                    attempt.succeeded();
                }
                return Ok(Glance::Verified(known.user));
            }
            let begun = current.then(|| cache.entries.begin(name.clone(), request.now));
            load = Some(Loading { cache, mac, load: begun });
        }
        let password = Zeroizing::new(credentials.password().to_owned());
        Ok(Glance::Unverified { presented: Presented { name, password, attempt }, load })
    }

    /// What the request presents, unless there were too many failures: then nobody looks at it, right or wrong.
    fn presented(&self, request: &Request<'_>) -> Result<(Credentials, Option<Attempt>), Rejection> {
        header::refuse_credential_in_url(request.head)?;
        let token = header::authorization(request.head, "Basic")?.ok_or(Rejection::Missing)?;
        let credentials = Credentials::parse(token).map_err(|_| Rejection::Invalid(Cause::Malformed))?;
        let attempt = self.throttle.as_ref().map(|throttle| Attempt::new(throttle, credentials.name(), request));
        if let Some(attempt) = &attempt {
            attempt.check()?;
        }
        Ok((credentials, attempt))
    }

    async fn look_up(&self, name: &str) -> Result<Option<Arc<User>>, Rejection> {
        self.meter.store_lookups.add();
        self.users.user(name).await.map_err(|error| {
            tracing::error!(%error, "the user store failed");
            Rejection::Unavailable { dependency: "user store", retry_after: RETRY_AFTER }
        })
    }

    /// Who was verified lately, where the user's record cannot be read and the configuration allows it.
    fn stale(&self, name: &Arc<str>, load: Option<Loading<'_>>, now: UnixTime) -> Option<Arc<User>> {
        let (kept, mac) = (self.cache.as_ref()?, load?.mac);
        let entries = &kept.copy().entries;
        let usable = kept.is_current_but_for(entries.stale(), now);
        let known = usable.then(|| entries.get_stale(name, now)).flatten();
        let known = known.filter(|known| known.mac.constant_time_eq(&mac))?;
        self.meter.stale_hits.add();
        Some(known.user)
    }

    /// One hash for all who present the same credentials meanwhile; what it shows goes into the cache.
    async fn verify_once(
        &self,
        user: Option<Arc<User>>,
        presented: Presented,
        Loading { cache, mac, load }: Loading<'_>,
    ) -> Result<Arc<User>, Rejection> {
        let joined = cache.flights.join(mac);
        let name = presented.name.clone();
        let verify = async || {
            let verified = self.verify(user, presented).await.map(|verdict| verdict.renew_hash(self));
            match (&verified, load) {
                (Ok(user), Some(load)) => cache.entries.insert(load, Verified { mac, user: user.clone() }),
                // Who guesses at a password does not end what is kept of the right one.
                (Err(Rejection::Invalid(_)), _) => {
                    cache.entries.refuse_if(&name, |known| known.mac.constant_time_eq(&mac));
                }
                // Nothing was learned about the credentials, or nothing may be kept.
                _ => (),
            }
            verified
        };
        joined.answer.get_or_init(verify).await.clone()
    }

    /// One hash, whether the user exists or not.
    async fn verify(&self, user: Option<Arc<User>>, presented: Presented) -> Result<Right, Rejection> {
        let stored = user.as_ref().map_or(&self.dummy, |user| &user.password_hash).clone();
        let exists = user.is_some();
        let Presented { name: _, password, attempt } = presented;
        let job = move |hasher: &mut Hasher| {
            if let Some(attempt) = &attempt {
                // Others may have failed while this one waited for a thread.
                attempt.check()?;
            }
            let right = match hasher.verify(&password, &stored) {
                Ok(right) => right && exists,
                Err(HashError::TooLong) => false,
                Err(error) => return Err(unavailable(&error)),
            };
            if let Some(attempt) = &attempt {
                attempt.ended(right);
            }
            Ok((right, password))
        };
        let (right, password) = match self.pool.attempt(job).await {
            Ok(verdict) => verdict?,
            // A full queue is a load and no fault; the rejection is counted.
            Err(PoolError::Full) => return Err(BUSY),
            Err(error) => return Err(unavailable(&error)),
        };
        match user {
            Some(user) if right => Ok(Right { user, password }),
            Some(_) => Err(Rejection::Invalid(Cause::WrongSecret)),
            None => Err(Rejection::Invalid(Cause::Unknown)),
        }
    }

    /// Whether what a decision needs gives an answer.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        self.users.probe().await.map_err(|_| "user store")
    }
}

/// A user with the password that turned out to be right.
struct Right {
    user: Arc<User>,
    password: Zeroizing<String>,
}

/// Judged last: that a user's time is over is told only to who knows the password.
fn principal(user: &User, now: UnixTime) -> Result<Principal, Rejection> {
    if user.expires.is_some_and(|expires| now >= expires) {
        return Err(Rejection::Invalid(Cause::Expired));
    }
    Ok(Principal::new(PrincipalKind::User, user.name.clone(), user.scopes.clone(), user.name.clone()))
}

/// No password can be hashed at the moment.
const BUSY: Rejection = Rejection::Unavailable { dependency: "password hashing", retry_after: RETRY_AFTER };

fn unavailable(error: &dyn std::error::Error) -> Rejection {
    tracing::error!(%error, "a password could not be verified");
    BUSY
}

#[cfg(test)]
mod tests;
