//! API keys: a random string that names an application.
//!
//! Presented as `Authorization: Bearer …` (RFC 6750 §2.1) or `X-API-Key: …`, never both and never in the URL. A key is
//! parsed and its checksum verified before anything is looked up; then one lookup by its SHA-256, a constant-time
//! comparison of the digests, and the record's status and end.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use rand::rngs::{SysError, SysRng};
use tokio::task::spawn_blocking;

use super::grant::Grant;
use super::kept::Kept;
use super::{AdminError, BuildError, Cause, Environment, Principal, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{ApiKeyConfig, READ_SCOPE};
use crate::contract::{IssueRequest, Issued, Material};
use crate::credential::base62;
use crate::credential::digest::{Digest, DigestState};
use crate::credential::key::{self, Key};
use crate::store::cache::TtlCache;
use crate::store::distance::Distance;
use crate::store::follow::LocalCopy;
use crate::store::record::{KeyRecord, KeyStatus, Revocation};
use crate::store::{Store, StoreError, file};
use crate::telemetry::Meter;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// When to try again after the store failed. A guess: nothing tells how long it will take to recover.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How the names of applications begin.
const APPLICATION: &str = "app-";

/// The method `api-key` of one profile.
pub struct ApiKey {
    store: Arc<Store>,
    /// From here to the store.
    distance: Distance,
    cache: Option<Kept<KeyCache>>,
    clock: Clock,
    meter: Arc<Meter>,
}

/// Records of keys that were accepted.
struct KeyCache(TtlCache<Digest, Arc<KeyRecord>, DigestState>);

impl LocalCopy for KeyCache {
    fn revoke(&self, revocation: &Revocation, _until: Option<u64>) {
        if let Revocation::Key(digest) = revocation {
            self.0.refuse(digest);
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
        let (clock, meter) = (environment.clock.clone(), environment.meter.clone());
        let dir = file::profile_dir(&environment.shared_dir, name)?;
        let store = Arc::new(Store::open(&config.store, name, &dir).await?);
        store.fill_keys(population, &READ_SCOPE.into(), clock.now()).await?;
        let follow = config.cache.and_then(|cache| cache.follow);
        let cache = match cache {
            None => None,
            Some(cache) => Some(Kept::new(KeyCache(cache), (&store, &config.store), follow, &clock).await?),
        };
        Ok(Self { store, distance, cache, clock, meter })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        self.identify(presented(request.head)?, request.now).await
    }

    /// Whose key this is.
    pub(crate) async fn identify(&self, key: &str, now: UnixTime) -> Result<Principal, Rejection> {
        let key = Key::parse(key).map_err(|_| Rejection::Invalid(Cause::Malformed))?;
        let digest = key.digest();
        let record = match &self.cache {
            None => self.look_up(&digest, now).await?,
            Some(cache) => self.cached(cache, digest, now).await?,
        };
        Ok(Principal {
            id: record.application.clone(),
            scopes: record.scopes.clone(),
            credential_id: record.id.clone(),
            through: None,
        })
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
        let found = self.store.key(digest).await;
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
        let make = move || (0..count).map(|_| fresh(&grant, None)).collect::<Result<Vec<_>, _>>();
        let made = spawn_blocking(make).await;
        let made = made.map_err(|_| AdminError::Store("the thread that made keys stopped".to_owned()))?;
        let (records, issued): (Vec<_>, Vec<_>) = made.map_err(StoreError::no_random)?.into_iter().unzip();
        self.store.insert_keys(records).await?;
        issued.iter().for_each(|_| self.meter.store_writes.add());
        Ok(issued)
    }

    /// Another key of an application: both work, until one is revoked.
    pub(crate) async fn renew(&self, application: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        if !application.starts_with(APPLICATION) {
            return Err(AdminError::NotFound(format!("application {application:?}")));
        }
        self.issue_to(application, request).await
    }

    /// A key of an application that has its name from elsewhere.
    pub(crate) async fn issue_to(&self, application: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        let grant = Grant::new(request, self.clock.now())?;
        let (record, issued) = fresh(&grant, Some(application)).map_err(StoreError::no_random)?;
        self.store.insert_keys(vec![record]).await?;
        self.meter.store_writes.add();
        Ok(issued)
    }

    /// Whether what a decision needs gives an answer.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        self.store.probe().await.map_err(|_| "key store")
    }

    /// Removes what is in the store, where that is a server of its own.
    pub(crate) async fn discard(&self) -> Result<(), AdminError> {
        Ok(self.store.discard().await?)
    }

    /// Returns once the store has it: every later read sees it, on the disk or in another server.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        let revoked = self.store.revoke_key(id, self.clock.now()).await?;
        let digest = revoked.ok_or_else(|| AdminError::NotFound(format!("key {id:?}")))?;
        self.meter.store_writes.add();
        // This node knows at once, whatever it follows.
        if let Some(cache) = &self.cache {
            cache.copy().revoke(&Revocation::Key(digest), None);
        }
        Ok(())
    }
}

/// The key in the request, from the one place where it stands.
fn presented(head: &Parts) -> Result<&str, Rejection> {
    header::refuse_credential_in_url(head)?;
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
    if record.status == KeyStatus::Revoked {
        return Err(Rejection::Invalid(Cause::Revoked));
    }
    if record.expires.is_some_and(|expires| now >= expires) {
        return Err(Rejection::Invalid(Cause::Expired));
    }
    Ok(())
}

/// A key of an application, or of a new one.
fn fresh(grant: &Grant, application: Option<&str>) -> Result<(KeyRecord, Issued), SysError> {
    let secret = key::generate(&mut SysRng)?;
    let key = Key::parse(secret.expose()).expect("a fresh key has the form of a key");
    let record = KeyRecord {
        id: base62::identifier("key-", &mut SysRng)?.into(),
        application: match application {
            Some(application) => application.into(),
            None => base62::identifier(APPLICATION, &mut SysRng)?.into(),
        },
        digest: key.digest(),
        hint: key.hint().into(),
        scopes: grant.scopes.clone(),
        created: grant.created,
        expires: grant.expires,
        status: KeyStatus::Active,
    };
    let (id, principal) = (record.id.to_string(), record.application.to_string());
    Ok((record, Issued { id, principal, material: Material::ApiKey { key: secret } }))
}

#[cfg(test)]
mod tests;
