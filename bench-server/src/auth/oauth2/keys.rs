//! The authorization server's public keys, fetched and kept (RFC 7517 §5).
//!
//! Past their `max-age` they decide about nothing any more before the issuer was asked again: a key may have been withdrawn,
//! and a server that was idle meanwhile would still accept its tokens. Where requests come all the time the keys are fetched
//! a little earlier, beside them, and none has to wait. Only an issuer that gives no answer is bridged, for as long as the
//! configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::discovery::{Discovery, Metadata, RETRY, is_recent};
use super::unavailable;
use crate::auth::jwt::{ClaimsRef, TrustedKeys, Validator};
use crate::auth::outbound::{Http, Trouble};
use crate::auth::{Cause, Rejection};
use crate::clock::UnixTime;
use crate::config::JwksConfig;
use crate::credential::jws::KeySet;
use crate::telemetry::Meter;

/// How long after an attempt without an answer requests go on with old keys, while the next attempts are made beside them: an
/// issuer that hangs must not hold up each of them.
const OUTAGE: Duration = Duration::from_secs(10);

struct Fetched {
    keys: TrustedKeys,
    at: UnixTime,
}

impl Fetched {
    fn age(&self, now: UnixTime) -> Duration {
        now.0.saturating_sub(self.at.0)
    }
}

/// When keys were last asked for, whatever came of it.
#[derive(Default)]
struct Attempts {
    any: Option<UnixTime>,
    unknown_key: Option<UnixTime>,
}

/// The key set of one issuer. Requests share it; of those that need a fetch, one fetches and the others wait.
pub(super) struct Keys {
    pub(super) discovery: Arc<Discovery>,
    pub(super) http: Arc<Http>,
    pub(super) meter: Arc<Meter>,
    kept: JwksConfig,
    /// Where they are, if not where the metadata say.
    file: Option<PathBuf>,
    current: ArcSwapOption<Fetched>,
    attempts: Arc<Mutex<Attempts>>,
    /// Nanoseconds since 1970 at which the issuer last gave no answer; 0 once it has given one.
    failed_at: AtomicU64,
}

impl Keys {
    pub(super) fn new(
        discovery: Arc<Discovery>,
        http: Arc<Http>,
        meter: Arc<Meter>,
        kept: JwksConfig,
        file: Option<PathBuf>,
    ) -> Arc<Self> {
        let (current, attempts, failed_at) = (ArcSwapOption::empty(), Arc::default(), AtomicU64::new(0));
        Arc::new(Self { discovery, http, meter, kept, file, current, attempts, failed_at })
    }

    /// Validates a token against the keys, fetching them as needed, and hands its claims to `accept`.
    pub(super) async fn validate<T>(
        self: &Arc<Self>,
        validator: &Validator,
        token: &str,
        now: UnixTime,
        accept: impl Fn(&ClaimsRef<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let keys = self.usable(now).await.ok_or_else(unavailable)?;
        match validator.check(token, &keys.keys, now, &self.meter, &accept) {
            Err(Rejection::Invalid(Cause::UnknownKey)) => match self.newer_than(&keys, now).await {
                Some(newer) => validator.check(token, &newer.keys, now, &self.meter, &accept),
                None => Err(Rejection::Invalid(Cause::UnknownKey)),
            },
            verdict => verdict,
        }
    }

    /// Age past which keys are trusted no more.
    fn stale(&self) -> Duration {
        self.kept.refresh + self.kept.stale_if_error
    }

    /// Keys that may be used now; `None` when there are none and none can be had.
    async fn usable(self: &Arc<Self>, now: UnixTime) -> Option<Arc<Fetched>> {
        if let Some(keys) = self.without_waiting(now) {
            return Some(keys);
        }
        let mut attempts = self.attempts.clone().lock_owned().await;
        // Somebody else may have asked while this request waited.
        if let Some(keys) = self.without_waiting(now) {
            return Some(keys);
        }
        if is_recent(attempts.any, now, RETRY) {
            return None;
        }
        attempts.any = Some(now);
        self.fetch_aside(attempts, now).await.ok()?;
        self.current.load_full().filter(|keys| keys.age(now) < self.stale())
    }

    /// Keys that decide without the issuer being asked before: those that are young enough, and in an outage old ones.
    fn without_waiting(self: &Arc<Self>, now: UnixTime) -> Option<Arc<Fetched>> {
        let keys = self.current.load_full()?;
        let age = keys.age(now);
        if age < self.kept.refresh {
            if age >= self.kept.refresh / 5 * 4 {
                self.refresh_aside(now);
            }
            return Some(keys);
        }
        let failed_at = UnixTime(Duration::from_nanos(self.failed_at.load(Ordering::Relaxed)));
        if age < self.stale() && is_recent(Some(failed_at), now, OUTAGE) {
            self.refresh_aside(now);
            return Some(keys);
        }
        None
    }

    /// Keys fetched after `known`, which lacked one; `None` when there are none yet. A fetch that fails leaves the known
    /// keys in place.
    async fn newer_than(self: &Arc<Self>, known: &Arc<Fetched>, now: UnixTime) -> Option<Arc<Fetched>> {
        let is_newer = |keys: &Arc<Fetched>| !Arc::ptr_eq(keys, known);
        let mut attempts = self.attempts.clone().lock_owned().await;
        if let Some(newer) = self.current.load_full().filter(is_newer) {
            return Some(newer);
        }
        if is_recent(attempts.unknown_key, now, self.kept.cooldown) {
            return None;
        }
        attempts.any = Some(now);
        attempts.unknown_key = Some(now);
        self.fetch_aside(attempts, now).await.ok()?;
        self.current.load_full().filter(is_newer)
    }

    /// Fetches old keys anew without keeping the request waiting, unless somebody is at it or was a moment ago.
    fn refresh_aside(self: &Arc<Self>, now: UnixTime) {
        let Ok(mut attempts) = self.attempts.clone().try_lock_owned() else { return };
        if !is_recent(attempts.any, now, RETRY) {
            attempts.any = Some(now);
            drop(self.fetch_aside(attempts, now));
        }
    }

    /// Fetches in a task of its own: a caller who hangs up must not undo the work for the others.
    fn fetch_aside(
        self: &Arc<Self>,
        attempts: OwnedMutexGuard<Attempts>,
        now: UnixTime,
    ) -> tokio::task::JoinHandle<()> {
        let this = self.clone();
        tokio::spawn(async move {
            let failed_at = match this.fetch(now).await {
                Ok(set) => {
                    this.current.store(Some(Arc::new(Fetched { keys: TrustedKeys::new(set), at: now })));
                    0
                }
                Err(trouble) => {
                    tracing::warn!(%trouble, "no keys from the authorization server");
                    u64::try_from(now.0.as_nanos()).unwrap_or(u64::MAX)
                }
            };
            this.failed_at.store(failed_at, Ordering::Relaxed);
            drop(attempts);
        })
    }

    async fn fetch(&self, now: UnixTime) -> Result<KeySet, Trouble> {
        if let Some(file) = &self.file {
            self.meter.jwks_fetches.add();
            return read(file);
        }
        let metadata = self.discovery.metadata(now).await.ok_or_else(|| content("no metadata"))?;
        let jwks_uri = jwks_uri(&metadata)?;
        self.meter.jwks_fetches.add();
        self.download(jwks_uri).await
    }

    async fn download(&self, jwks_uri: &str) -> Result<KeySet, Trouble> {
        let body = self.http.get(jwks_uri).await?;
        let json = str::from_utf8(&body).map_err(|_| content("the key set is not UTF-8"))?;
        KeySet::from_jwks(json).map_err(|error| Trouble::Content(error.to_string()))
    }

    /// Whether keys can be had now, whatever is kept of them. Where the metadata say where they are, it is those that are
    /// asked for; no request waits for this, so it is not counted.
    pub(super) async fn probe(&self) -> Result<(), Trouble> {
        match (&self.file, self.discovery.known()) {
            (Some(file), _) => read(file).map(drop),
            (None, Some(known)) => self.download(jwks_uri(known)?).await.map(drop),
            (None, None) => self.discovery.probe().await,
        }
    }
}

fn jwks_uri(metadata: &Metadata) -> Result<&str, Trouble> {
    metadata.jwks_uri.as_deref().ok_or_else(|| content("the metadata name no jwks_uri"))
}

fn read(file: &Path) -> Result<KeySet, Trouble> {
    let json = std::fs::read_to_string(file).map_err(|error| content(&format!("{}: {error}", file.display())))?;
    KeySet::from_jwks(&json).map_err(|error| content(&format!("{}: {error}", file.display())))
}

fn content(why: &str) -> Trouble {
    Trouble::Content(why.to_owned())
}
