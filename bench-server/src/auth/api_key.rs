//! API keys: a random string that names an application.
//!
//! Presented as `Authorization: Bearer …` (RFC 6750 §2.1) or `X-API-Key: …`, never both and never in the URL. A key is
//! parsed and its checksum verified before anything is looked up; then one lookup by its digest, a constant-time
//! comparison of the digests, and the record's status and end. Then the networks that the key may be used from, and its quota.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use rand::rngs::{SysError, SysRng};
use tokio::task::spawn_blocking;

use self::chores::Chores;
use self::peppers::{Pepper, Peppers};
use self::records::Records;
use super::grant::Grant;
use super::kept::Kept;
use super::{AdminError, BuildError, Cause, Environment, Principal, PrincipalKind, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{ApiKeyConfig, KeyEnvironment, OAuth2Config, READ_SCOPE};
use crate::contract::{IssueRequest, Issued, KeyAction, Material};
use crate::credential::base62;
use crate::credential::digest::{Digest, DigestState};
use crate::credential::key::{self, Key};
use crate::limit::Quota;
use crate::limit::gcra::Limiter;
use crate::limit::usage::Usage;
use crate::store::cache::TtlCache;
use crate::store::distance::Distance;
use crate::store::follow::LocalCopy;
use crate::store::record::{KeyDetails, KeyRecord, KeyStatus, Revocation};
use crate::store::{Store, StoreError, file};
use crate::telemetry::Meter;

mod administration;
mod bounds;
mod chores;
mod peppers;
mod records;

pub(crate) use self::administration::Manager;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// When to try again after the store failed. A guess: nothing tells how long it will take to recover.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How the names of applications begin.
const APPLICATION: &str = "app-";

/// Longest name of a client that a key is issued to, in bytes.
const MAX_CLIENT_ID: usize = 255;

/// Who did what the control socket asked for.
const CONTROL: &str = "control";

/// The method `api-key` of one profile.
pub struct ApiKey {
    records: Records,
    peppers: Arc<Peppers>,
    environment: KeyEnvironment,
    owners: Owners,
    /// From here to the store.
    distance: Distance,
    cache: Option<Kept<KeyCache>>,
    limits: Limits,
    usage: Option<Arc<Usage>>,
    chores: Chores,
    clock: Clock,
    meter: Arc<Meter>,
}

/// Who owns the keys of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owners {
    /// Applications, which get their names with their first key.
    Applications,
    /// OAuth clients, which have their names from their authorization server.
    Clients,
}

impl Owners {
    /// Whether one may be called so.
    fn check(self, name: &str) -> Result<(), AdminError> {
        match self {
            Self::Applications if name.starts_with(APPLICATION) => Ok(()),
            Self::Applications => Err(AdminError::NotFound(format!("application {name:?}"))),
            Self::Clients
                if (1..=MAX_CLIENT_ID).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic()) =>
            {
                Ok(())
            }
            Self::Clients => Err(AdminError::BadRequest(format!("{name:?} is not the name of a client"))),
        }
    }
}

/// What may be asked for, where that is limited.
struct Limits {
    /// By the first of the keys that replaced each other.
    key: Option<Limiter<Arc<str>>>,
    /// By application.
    account: Option<Limiter<Arc<str>>>,
}

impl Limits {
    /// Takes one request of a key in; tells how far it is with the quota that is nearer to its end.
    fn admit(&self, record: &KeyRecord, now: UnixTime) -> Result<Option<Quota>, Rejection> {
        let take = |limiter: &Option<Limiter<_>>, of| {
            limiter.as_ref().map(|limiter| limiter.admit(of, now)).transpose().map_err(Rejection::TooMany)
        };
        let key = take(&self.key, record.lineage())?;
        let account = take(&self.account, &record.application).inspect_err(|_| {
            if let Some(limiter) = &self.key {
                limiter.give_back(record.lineage());
            }
        })?;
        Ok(key.into_iter().chain(account).min_by_key(|quota| quota.remaining))
    }
}

/// Records of keys that were accepted.
struct KeyCache(TtlCache<Digest, Arc<KeyRecord>, DigestState>);

impl LocalCopy for KeyCache {
    fn revoke(&self, revocation: &Revocation, _until: Option<u64>) {
        match revocation {
            Revocation::Key(digest) => self.0.refuse(digest),
            // Entries are found by their digests alone. An owner is suspended so rarely that all are read anew.
            Revocation::Owner(_) => self.0.forget(),
            Revocation::Token(_) | Revocation::Subject { .. } | Revocation::Password(_) => {}
        }
    }

    fn forget(&self) {
        self.0.forget();
    }
}

impl ApiKey {
    /// Opens the store and fills it with its population.
    pub(crate) async fn build(
        name: &str,
        config: &ApiKeyConfig,
        environment: &Environment,
    ) -> Result<Self, BuildError> {
        let cache = config.cache.map(|cache| TtlCache::new(&cache, DigestState::default())).transpose()?;
        let distance = Distance::new("store_delay", config.store_delay)?;
        let (population, most) = (config.store_population, ApiKeyConfig::MAX_POPULATION);
        if population > most {
            return Err(BuildError::Config(format!("store_population is {population}; at most {most} is possible")));
        }
        if let Some(mistake) = config.mistakes().into_iter().next() {
            return Err(BuildError::Config(mistake));
        }
        let (clock, meter) = (environment.clock.clone(), environment.meter.clone());
        let dir = file::profile_dir(&environment.shared_dir, name)?;
        let peppers = Arc::new(Peppers::open(&environment.shared_dir, name, &config.peppers)?);
        let store = Arc::new(Store::open(&config.store, name, &dir).await?);
        store.fill_keys(population, &READ_SCOPE.into(), clock.now()).await?;
        let follow = config.cache.and_then(|cache| cache.follow);
        let cache = match cache {
            None => None,
            Some(cache) => Some(Kept::new(KeyCache(cache), (&store, &config.store), follow, &clock).await?),
        };
        let limiter = |policy, limit| Option::as_ref(limit).map(|limit| Limiter::new(policy, limit));
        let limits = Limits { key: limiter("key", &config.limit), account: limiter("account", &config.account_limit) };
        let usage = config.metering.map(|metering| Usage::start(store.clone(), metering.flush)).transpose()?;
        let copy = cache.as_ref().map(Kept::shared);
        let records = Records { store, copy, clock: clock.clone(), meter: meter.clone(), events: Arc::default() };
        let chores = Chores::start(records.clone(), peppers.clone());
        let environment = config.environment;
        let owners = Owners::Applications;
        Ok(Self { records, peppers, environment, owners, distance, cache, limits, usage, chores, clock, meter })
    }

    /// Whether live keys are issued and taken here, or test keys.
    pub(crate) fn environment(&self) -> KeyEnvironment {
        self.environment
    }

    /// The same, whose keys belong to OAuth clients.
    pub(crate) fn of_clients(self) -> Self {
        Self { owners: Owners::Clients, ..self }
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        self.identify(presented(request.head)?, request.connection.peer.ip(), request.now).await
    }

    /// Whose key this is, that came from there.
    pub(crate) async fn identify(&self, key: &str, peer: IpAddr, now: UnixTime) -> Result<Principal, Rejection> {
        let key = Key::parse(key).map_err(|_| Rejection::Invalid(Cause::Malformed))?;
        // By the text alone: whether such a key was ever issued shows nowhere.
        if key.environment() != self.environment {
            return Err(Rejection::Invalid(Cause::WrongEnvironment));
        }
        let record = self.find(key, now).await?;
        if let Some(details) = &record.details {
            check_network(details, peer)?;
        }
        let quota = self.limits.admit(&record, now)?;
        let (id, scopes) = (record.application.clone(), record.scopes.clone());
        Ok(Principal { quota, ..Principal::new(PrincipalKind::Application, id, scopes, record.id.clone()) })
    }

    /// The record of a key, under whichever pepper it is; one that is not under the current one is put there later.
    async fn find(&self, key: Key<'_>, now: UnixTime) -> Result<Arc<KeyRecord>, Rejection> {
        let mut found = Err(Rejection::Invalid(Cause::Unknown));
        for pepper in self.peppers.in_turn() {
            let digest = pepper.digest(key);
            found = match &self.cache {
                None => self.look_up(&digest, now).await,
                Some(cache) => self.cached(cache, digest, now).await,
            };
            if !matches!(found, Err(Rejection::Invalid(Cause::Unknown))) {
                break;
            }
        }
        if let Ok(record) = &found {
            let current = self.peppers.current();
            if record.pepper != current.version() {
                self.chores.redigest(record.digest, current.digest(key), current.version());
            }
        }
        found
    }

    /// Counts a request of a key that was answered with the resource.
    pub(crate) fn bill(&self, key: &Arc<str>, now: UnixTime) {
        if let Some(usage) = &self.usage {
            usage.count(key, now);
        }
    }

    async fn cached(&self, cache: &Kept<KeyCache>, digest: Digest, now: UnixTime) -> Result<Arc<KeyRecord>, Rejection> {
        let KeyCache(entries) = cache.copy();
        let current = cache.is_current(now);
        if current && let Some(record) = entries.get(&digest, now) {
            self.meter.cache_hits.add();
            judge(&record, &digest, now)?;
            return Ok(record);
        }
        let load = entries.begin(digest, now);
        let found = self.look_up(&digest, now).await;
        match &found {
            Ok(record) if current => entries.insert(load, record.clone()),
            // It would be served once the cache is current again, whatever happened meanwhile.
            Ok(_) => {}
            // Nothing was learned about the key.
            Err(Rejection::Unavailable { .. }) => {
                let usable = cache.is_current_but_for(entries.stale(), now);
                if let Some(record) = usable.then(|| entries.get_stale(&digest, now)).flatten() {
                    self.meter.stale_hits.add();
                    judge(&record, &digest, now)?;
                    return Ok(record);
                }
            }
            Err(_) => entries.refuse(&digest),
        }
        found
    }

    /// One read of the store. The answer is on its way for the whole of a delay, so a revocation meanwhile goes unseen: a
    /// store at that distance would miss it for half of the time.
    async fn look_up(&self, digest: &Digest, now: UnixTime) -> Result<Arc<KeyRecord>, Rejection> {
        self.meter.store_lookups.add();
        let found = self.records.store.key(digest).await;
        let arrived = self.distance.cross().await;
        match found.and_then(|found| arrived.map(|()| found).map_err(StoreError::unreachable)) {
            Ok(Some(record)) => judge(&record, digest, now).map(|()| record),
            Ok(None) => Err(Rejection::Invalid(Cause::Unknown)),
            Err(error) => {
                tracing::error!(%error, "the key store failed");
                Err(Rejection::Unavailable { dependency: "key store", retry_after: RETRY_AFTER })
            }
        }
    }

    /// Each key belongs to an application of its own, so that revoking one must not touch another caller.
    pub(crate) async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        let grant = Grant::new(request, self.clock.now())?;
        let count = request.count;
        let (peppers, environment) = (self.peppers.clone(), self.environment);
        let make = move || {
            (0..count).map(|_| fresh(&grant, None, environment, peppers.current())).collect::<Result<Vec<_>, _>>()
        };
        let made = spawn_blocking(make).await;
        let made = made.map_err(|_| AdminError::Store("the thread that made keys stopped".to_owned()))?;
        let (records, issued): (Vec<_>, Vec<_>) = made.map_err(StoreError::no_random)?.into_iter().unzip();
        self.records.store.insert_keys(records).await?;
        issued.iter().for_each(|_| self.meter.store_writes.add());
        match issued.as_slice() {
            [one] => self.records.note(KeyAction::Created, CONTROL, &one.principal, Some(&one.id)),
            many => self.records.note(KeyAction::Created, CONTROL, &format!("{} new applications", many.len()), None),
        }
        Ok(issued)
    }

    /// Another key of an owner: all of them work, until one is revoked.
    pub(crate) async fn renew(&self, owner: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        self.owners.check(owner)?;
        let grant = Grant::new(request, self.clock.now())?;
        let made = fresh(&grant, Some(owner), self.environment, self.peppers.current());
        let (record, issued) = made.map_err(StoreError::no_random)?;
        self.add(record, CONTROL).await?;
        Ok(issued)
    }

    /// Whether what a decision needs gives an answer.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        self.records.store.probe().await.map_err(|_| "key store")
    }

    /// Removes what is in the store, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        Ok(self.records.store.discard().await?)
    }

    /// Returns once the store has it: every later read sees it, on the disk or in another server.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        let revoked = self.records.revoke(id, KeyAction::Revoked, CONTROL).await?;
        if revoked { Ok(()) } else { Err(AdminError::NotFound(format!("key {id:?}"))) }
    }
}

/// Keys and tokens of different environments do not go together on a route.
///
/// # Errors
/// When the parts that take them, of these names, are for different ones.
pub(super) fn check_environments(
    (keys_in, keys): (&str, &ApiKeyConfig),
    (tokens_in, tokens): (&str, &OAuth2Config),
) -> Result<(), BuildError> {
    let (of_keys, of_tokens) = (keys.environment, tokens.environment);
    if of_keys == of_tokens {
        return Ok(());
    }
    let (of_keys, of_tokens) = (of_keys.name(), of_tokens.name());
    Err(BuildError::Config(format!(
        "{tokens_in}.environment is \"{of_tokens}\", and {keys_in}.environment \"{of_keys}\": keys and tokens of different \
         environments do not go together; write the same into both"
    )))
}

/// The key in the request, from the one place where it stands.
fn presented(head: &Parts) -> Result<&str, Rejection> {
    header::refuse_credential_in_url(head).inspect_err(|_| {
        // Without the URL: it holds what should be in no log.
        tracing::warn!(target: "audit", event = "credential-in-url", "a credential was refused because it stood in a URL");
    })?;
    if let Some(key) = header::single(head, &X_API_KEY)? {
        // Also when both are equal: two parties on the way might each look at another one.
        if head.headers.contains_key(AUTHORIZATION) {
            return Err(Rejection::Ambiguous("credentials stand in Authorization and in X-API-Key"));
        }
        return Ok(key);
    }
    header::bearer(head).map_err(|rejection| match rejection {
        Rejection::Missing if in_cookie(head) => Rejection::Ambiguous("a credential stands in a cookie"),
        other => other,
    })
}

/// Whether a cookie is named like a credential: browsers send cookies wherever a foreign page tells them to.
fn in_cookie(head: &Parts) -> bool {
    let cookies = head.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default().trim();
        name.eq_ignore_ascii_case("api_key") || name.eq_ignore_ascii_case("access_token")
    })
}

fn judge(record: &KeyRecord, digest: &Digest, now: UnixTime) -> Result<(), Rejection> {
    if !record.digest.constant_time_eq(digest) {
        return Err(Rejection::Invalid(Cause::Unknown));
    }
    // Nobody but the owner is to know why.
    if record.status != KeyStatus::Active {
        return Err(Rejection::Invalid(Cause::Revoked));
    }
    if record.expires.is_some_and(|expires| now >= expires) {
        return Err(Rejection::Invalid(Cause::Expired));
    }
    Ok(())
}

/// Some keys are good from some networks only; the connection's other end is what counts, whatever a field says.
fn check_network(details: &KeyDetails, peer: IpAddr) -> Result<(), Rejection> {
    let networks = &details.networks;
    let allowed = networks.is_empty() || networks.iter().any(|network| network.contains(peer));
    if allowed { Ok(()) } else { Err(Rejection::Forbidden("address-not-allowed")) }
}

/// A key of an application, or of a new one.
fn fresh(
    grant: &Grant,
    application: Option<&str>,
    environment: KeyEnvironment,
    pepper: &Pepper,
) -> Result<(KeyRecord, Issued), SysError> {
    let secret = key::generate(environment, &mut SysRng)?;
    let key = Key::parse(secret.expose()).expect("a fresh key has the form of a key");
    let record = KeyRecord {
        id: base62::identifier("key-", &mut SysRng)?.into(),
        application: match application {
            Some(application) => application.into(),
            None => base62::identifier(APPLICATION, &mut SysRng)?.into(),
        },
        digest: pepper.digest(key),
        hint: key.hint().into(),
        scopes: grant.scopes.clone(),
        created: grant.created,
        expires: grant.expires,
        status: KeyStatus::Active,
        pepper: pepper.version(),
        details: None,
    };
    let (id, principal) = (record.id.to_string(), record.application.to_string());
    Ok((record, Issued { id, principal, material: Material::ApiKey { key: secret } }))
}

#[cfg(test)]
mod tests;
