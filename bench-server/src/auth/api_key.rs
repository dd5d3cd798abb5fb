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
use super::{AdminError, BuildError, Cause, Environment, Principal, Rejection, Request, header};
use crate::clock::{Clock, UnixTime};
use crate::config::{ApiKeyConfig, READ_SCOPE, StoreKind};
use crate::contract::{IssueRequest, Issued, Material};
use crate::credential::base62;
use crate::credential::digest::{Digest, DigestState};
use crate::credential::key::{self, Key};
use crate::store::cache::TtlCache;
use crate::store::distance::Distance;
use crate::store::keys::memory::MemoryKeys;
use crate::store::keys::sqlite::SqliteKeys;
use crate::store::keys::{KeyRecord, KeyStatus, KeyStore, StoreError};
use crate::telemetry::Meter;

static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// When to try again after the store failed. A guess: nothing tells how long it will take to recover.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The method `api-key` of one profile.
pub struct ApiKey {
    store: Arc<KeyStore>,
    /// From here to the store.
    distance: Distance,
    cache: Option<TtlCache<Digest, Arc<KeyRecord>, DigestState>>,
    clock: Clock,
    meter: Arc<Meter>,
}

impl ApiKey {
    /// Opens the store and fills it with its population. For SQLite it is `keys-<profile>.sqlite` in the state folder.
    pub(crate) fn build(name: &str, config: &ApiKeyConfig, environment: &Environment) -> Result<Self, BuildError> {
        let cache = config.cache.map(|cache| TtlCache::new(&cache, DigestState::default())).transpose()?;
        let distance = Distance::new("store_delay", config.store_delay)?;
        let (population, most) = (config.store_population, ApiKeyConfig::MAX_POPULATION);
        if population > most {
            return Err(BuildError::Config(format!("store_population is {population}; at most {most} is possible")));
        }
        let failed = |StoreError { what, source }| BuildError::State { what, source };
        let store = match config.store {
            StoreKind::Memory => KeyStore::Memory(MemoryKeys::default()),
            StoreKind::Sqlite => {
                let opened = SqliteKeys::open(&environment.state_dir.join(file_name(name)?));
                KeyStore::Sqlite(opened.map_err(failed)?)
            }
        };
        store.fill(population, &READ_SCOPE.into(), environment.clock.now()).map_err(failed)?;
        let (clock, meter) = (environment.clock.clone(), environment.meter.clone());
        Ok(Self { store: Arc::new(store), distance, cache, clock, meter })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let key = Key::parse(presented(request.head)?).map_err(|_| Rejection::Invalid(Cause::Malformed))?;
        let digest = key.digest();
        let record = match &self.cache {
            None => {
                let record = self.look_up(&digest).await?;
                judge(&record, &digest, request.now)?;
                record
            }
            Some(cache) => self.cached(cache, digest, request.now).await?,
        };
        Ok(Principal {
            id: record.application.clone(),
            scopes: record.scopes.clone(),
            credential_id: record.id.clone(),
        })
    }

    async fn cached(
        &self,
        cache: &TtlCache<Digest, Arc<KeyRecord>, DigestState>,
        digest: Digest,
        now: UnixTime,
    ) -> Result<Arc<KeyRecord>, Rejection> {
        if let Some(record) = cache.get(&digest, now) {
            self.meter.cache_hits.add();
            judge(&record, &digest, now)?;
            return Ok(record);
        }
        let load = cache.begin(digest, now);
        let record = self.look_up(&digest).await?;
        match judge(&record, &digest, now) {
            Ok(()) => cache.insert(load, record.clone()),
            Err(rejection) => {
                cache.refuse(&digest);
                return Err(rejection);
            }
        }
        Ok(record)
    }

    /// One read of the store. The answer is on its way for the whole of a delay, so a revocation meanwhile goes unseen: a
    /// store at that distance would miss it for half of the time.
    async fn look_up(&self, digest: &Digest) -> Result<Arc<KeyRecord>, Rejection> {
        self.meter.store_lookups.add();
        let found = self.store.get(digest);
        let arrived = self.distance.cross().await;
        match found.and_then(|found| arrived.map(|()| found).map_err(StoreError::unreachable)) {
            Ok(Some(record)) => Ok(record),
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
        let (store, meter, count) = (self.store.clone(), self.meter.clone(), request.count);
        let work = move || {
            let (records, issued): (Vec<_>, Vec<_>) = (0..count)
                .map(|_| fresh(&grant))
                .collect::<Result<Vec<_>, _>>()
                .map_err(StoreError::no_random)?
                .into_iter()
                .unzip();
            store.insert(records)?;
            issued.iter().for_each(|_| meter.store_writes.add());
            Ok(issued)
        };
        blocking(work).await
    }

    /// Returns once the store has it: every later read sees it, and with SQLite it is on the disk.
    pub(crate) async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        let (store, meter, key) = (self.store.clone(), self.meter.clone(), id.to_owned());
        let found = blocking(move || {
            let found = store.revoke(&key)?;
            if found {
                meter.store_writes.add();
            }
            Ok(found)
        });
        if found.await? { Ok(()) } else { Err(AdminError::NotFound(format!("key {id:?}"))) }
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

fn fresh(grant: &Grant) -> Result<(KeyRecord, Issued), SysError> {
    let secret = key::generate(&mut SysRng)?;
    let key = Key::parse(secret.expose()).expect("a fresh key has the form of a key");
    let record = KeyRecord {
        id: base62::identifier("key-", &mut SysRng)?.into(),
        application: base62::identifier("app-", &mut SysRng)?.into(),
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, AdminError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| AdminError::Store(error.to_string())),
        Err(error) => Err(AdminError::Store(format!("the key store's thread ended: {error}"))),
    }
}

/// A profile's name becomes part of a file's, so it may not lead to another folder.
fn file_name(profile: &str) -> Result<String, BuildError> {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if profile.chars().all(harmless) {
        return Ok(format!("keys-{profile}.sqlite"));
    }
    Err(BuildError::Config(format!(
        "profile name {profile:?} cannot be part of a file name; use letters, digits, `-`, `_` and `.`"
    )))
}

#[cfg(test)]
mod tests;
