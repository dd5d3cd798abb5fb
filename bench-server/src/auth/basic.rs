//! HTTP Basic (RFC 7617): a user name and a password with every request.
//!
//! Each check costs a password hash, made to be slow, on threads of its own and never on the reactor. Unknown users are
//! checked against a dummy of the same cost, so that neither the answer nor its time tells which names exist. With users
//! of other algorithms than the configured one that holds for the answer alone: their hashes take their own time.
//!
//! The optional cache of verified credentials replaces the hash by an HMAC under a random key that dies with the process.
//! It holds accepted credentials only, for 60 s at most (see [`crate::store::cache`]).

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use rand::rngs::{SysError, SysRng};
use zeroize::Zeroizing;

use self::credentials::Credentials;
use self::verified::{Verified, VerifiedCache};
use super::grant::Grant;
use super::kept::Kept;
use super::{AdminError, BuildError, Cause, Environment, Principal, PrincipalKind, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{BasicConfig, PasswordHash};
use crate::contract::{IssueRequest, Issued, Material, Secret};
use crate::credential::base62;
use crate::credential::digest::Digest;
use crate::credential::password::{HashError, HashPool, Hasher, PoolError, check_costs};
use crate::store::cache::Load;
use crate::store::follow::LocalCopy as _;
use crate::store::record::{Revocation, User};
use crate::store::{Store, file};
use crate::telemetry::Meter;

mod credentials;
mod verified;

/// When to try again after the hashing queue was full. The header counts whole seconds, and by then the queue is another.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Random base62 digits of an issued password: 190 bits, and short enough for bcrypt.
const PASSWORD: usize = 32;

/// The method `basic` of one profile.
pub struct Basic {
    users: Arc<Store>,
    cache: Option<Kept<VerifiedCache>>,
    pool: HashPool,
    hash: PasswordHash,
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
        name: Arc<str>,
        password: Zeroizing<String>,
        /// The cache that did not know them, and where the answer belongs in it.
        load: Option<Loading<'a>>,
    },
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
        let dir = file::profile_dir(&environment.shared_dir, name)?;
        let users = Arc::new(Store::open(&config.store, name, &dir).await?);
        let cache = match &config.cache {
            None => None,
            Some(cache) => {
                let (copy, clock) = (VerifiedCache::new(cache)?, &environment.clock);
                Some(Kept::new(copy, (&users, &config.store), cache.follow, clock).await?)
            }
        };
        let password = password().map_err(|error| failed("random password", error.into()))?;
        let dummy = Hasher::new(Arc::default())
            .hash(&password, config.hash)
            .map_err(|error| failed("hash the dummy password", error.into()))?;
        let pool = HashPool::new(config.hash_threads, config.hash_queue, &environment.meter)
            .map_err(|error| failed("start the hashing threads", error.into()))?;
        Ok(Self {
            users,
            cache,
            pool,
            hash: config.hash,
            dummy: dummy.into(),
            concurrency: config.hash_threads.get(),
            clock: environment.clock.clone(),
            meter: environment.meter.clone(),
        })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let user = match self.glance(request)? {
            Glance::Verified(user) => user,
            Glance::Unverified { name, password, load } => match (self.look_up(&name).await, load) {
                (Ok(user), None) => self.verify(user, password).await?,
                (Ok(user), Some(load)) => self.verify_once(&name, user, password, load).await?,
                (Err(rejection), load) => self.stale(&name, load, request.now).ok_or(rejection)?,
            },
        };
        // Judged last: that a user's time is over is told only to who knows the password.
        if user.expires.is_some_and(|expires| request.now >= expires) {
            return Err(Rejection::Invalid(Cause::Expired));
        }
        Ok(Principal::new(PrincipalKind::User, user.name.clone(), user.scopes.clone(), user.name.clone()))
    }

    /// All that happens before the store is read. Not async: the decoded password is wiped before anything is waited for.
    fn glance(&self, request: &Request<'_>) -> Result<Glance<'_>, Rejection> {
        header::refuse_credential_in_url(request.head)?;
        let token = header::authorization(request.head, "Basic")?.ok_or(Rejection::Missing)?;
        let credentials = Credentials::parse(token).map_err(|_| Rejection::Invalid(Cause::Malformed))?;
        let name: Arc<str> = credentials.name().into();
        let mut load = None;
        if let Some(kept) = &self.cache {
            let cache = kept.copy();
            let mac = cache.mac(&credentials);
            let current = kept.is_current(request.now);
            let known = current.then(|| cache.entries.get(&name, request.now)).flatten();
            if let Some(known) = known.filter(|known| known.mac.constant_time_eq(&mac)) {
                self.meter.cache_hits.add();
                return Ok(Glance::Verified(known.user));
            }
            let begun = current.then(|| cache.entries.begin(name.clone(), request.now));
            load = Some(Loading { cache, mac, load: begun });
        }
        Ok(Glance::Unverified { name, password: Zeroizing::new(credentials.password().to_owned()), load })
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
        name: &Arc<str>,
        user: Option<Arc<User>>,
        password: Zeroizing<String>,
        Loading { cache, mac, load }: Loading<'_>,
    ) -> Result<Arc<User>, Rejection> {
        let joined = cache.flights.join(mac);
        let verify = async || {
            let verified = self.verify(user, password).await;
            match (&verified, load) {
                (Ok(user), Some(load)) => cache.entries.insert(load, Verified { mac, user: user.clone() }),
                // Who guesses at a password does not end what is kept of the right one.
                (Err(Rejection::Invalid(_)), _) => {
                    cache.entries.refuse_if(name, |known| known.mac.constant_time_eq(&mac));
                }
                // Nothing was learned about the credentials, or nothing may be kept.
                _ => (),
            }
            verified
        };
        joined.answer.get_or_init(verify).await.clone()
    }

    /// One hash, whether the user exists or not.
    async fn verify(&self, user: Option<Arc<User>>, password: Zeroizing<String>) -> Result<Arc<User>, Rejection> {
        let stored = user.as_ref().map_or(&self.dummy, |user| &user.password_hash).clone();
        let right = match self.pool.verify(password, stored).await {
            Ok(right) => right,
            Err(PoolError::Hash(HashError::TooLong)) => false,
            Err(error) => {
                // A full queue is a load and no fault; the rejection is counted.
                if !matches!(error, PoolError::Full) {
                    tracing::error!(%error, "a password could not be verified");
                }
                return Err(Rejection::Unavailable { dependency: "password hashing", retry_after: RETRY_AFTER });
            }
        };
        match user {
            Some(user) if right => Ok(user),
            Some(_) => Err(Rejection::Invalid(Cause::WrongSecret)),
            None => Err(Rejection::Invalid(Cause::Unknown)),
        }
    }

    /// Creates users with random names and passwords.
    ///
    /// They are hashed on the pool, as many at a time as there are threads: requests find the queue as free as before.
    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let grant = &Grant::new(request, self.clock.now())?;
        stream::iter(0..request.count)
            .map(|_| async move {
                let name = base62::identifier("user-", &mut SysRng).map_err(no_random)?;
                let password = password().map_err(no_random)?;
                self.create(&name, &password, grant).await?;
                let material = Material::Password { username: name.clone(), password: Secret::new(password.as_str()) };
                Ok(Issued { id: name.clone(), principal: name, material })
            })
            .buffered(self.concurrency)
            .try_collect()
            .await
    }

    /// Creates a user.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a name or password that RFC 7617 cannot carry, or that is taken or too long.
    async fn create(&self, name: &str, password: &str, grant: &Grant) -> Result<(), AdminError> {
        if !credentials::is_name(name) {
            return Err(AdminError::BadRequest(format!(
                "user name {name:?} is empty or holds a colon or control character (RFC 7617 §2)"
            )));
        }
        if !credentials::is_password(password) || name.len() + 1 + password.len() > credentials::MAX_DECODED {
            return Err(AdminError::BadRequest(format!(
                "the password of {name:?} is empty, holds a control character (RFC 7617 §2), or takes more than {} bytes \
                 with the name and the colon",
                credentials::MAX_DECODED
            )));
        }
        let user = User {
            name: name.into(),
            password_hash: self.hashed(password).await?,
            scopes: grant.scopes.clone(),
            expires: grant.expires,
        };
        if !self.users.insert_user(user).await? {
            return Err(AdminError::BadRequest(format!("user {name:?} exists already")));
        }
        self.meter.store_writes.add();
        Ok(())
    }

    /// Removes what is in the store, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        Ok(self.users.discard().await?)
    }

    /// Changes the user's password and tells the new one. The old one ends with that: a user has one password.
    pub(crate) async fn renew(&self, name: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        Grant::new(request, self.clock.now())?;
        let password = self.change_password(name).await?;
        let material = Material::Password { username: name.to_owned(), password: Secret::new(password.as_str()) };
        Ok(Issued { id: name.to_owned(), principal: name.to_owned(), material })
    }

    /// Changes the user's password to a random one that nobody is told: how a Basic credential is taken back, since the
    /// standard knows no other way.
    pub(crate) async fn revoke(&self, name: &str) -> Result<(), AdminError> {
        self.change_password(name).await.map(drop)
    }

    /// Gives the user a random password. Returns once every look at the user's record sees its hash.
    async fn change_password(&self, name: &str) -> Result<Zeroizing<String>, AdminError> {
        let unknown = || AdminError::NotFound(format!("user {name:?}"));
        if self.users.user(name).await?.is_none() {
            return Err(unknown());
        }
        let password = password().map_err(no_random)?;
        let hash = self.hashed(&password).await?;
        if !self.users.set_password(name, hash, self.clock.now()).await? {
            return Err(unknown());
        }
        self.meter.store_writes.add();
        // This node knows at once, whatever it follows.
        if let Some(cache) = &self.cache {
            cache.copy().revoke(&Revocation::Password(name.into()), None);
        }
        Ok(password)
    }

    async fn hashed(&self, password: &str) -> Result<Arc<str>, AdminError> {
        match self.pool.hash(Zeroizing::new(password.to_owned()), self.hash).await {
            Ok(hash) => Ok(hash.into()),
            Err(PoolError::Hash(error @ HashError::TooLong)) => Err(AdminError::BadRequest(error.to_string())),
            Err(error) => Err(AdminError::Store(error.to_string())),
        }
    }
}

fn password() -> Result<Zeroizing<String>, SysError> {
    Ok(Zeroizing::new(base62::random::<PASSWORD, _>(&mut SysRng)?.map(char::from).into_iter().collect()))
}

fn no_random(error: SysError) -> AdminError {
    AdminError::Store(format!("the operating system gave no random bytes: {error}"))
}

#[cfg(test)]
mod tests;
