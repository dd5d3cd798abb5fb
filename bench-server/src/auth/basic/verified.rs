//! The cache of verified credentials: an HMAC in the place of a password hash, and one hash where many ask for the same.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::auth::{BuildError, Rejection};
use crate::config::CacheConfig;
use crate::credential::digest::{Digest, DigestState};
use crate::store::cache::TtlCache;
use crate::store::follow::LocalCopy;
use crate::store::record::{Revocation, User};

/// The longest that a changed password may go on working through the cache.
pub(super) const MAX_CACHE_TTL: Duration = Duration::from_secs(60);

/// Users whose credentials were verified lately, by name: a changed password is found by the name of its user.
pub(super) struct VerifiedCache {
    pub(super) entries: TtlCache<Arc<str>, Verified, RandomState>,
    /// Keyed once; a copy of it saves hashing the key for every request.
    mac: Hmac<Sha256>,
    flights: Mutex<HashMap<Digest, Verdict, DigestState>>,
}

/// What was verified.
#[derive(Clone)]
pub(super) struct Verified {
    /// HMAC-SHA-256 of name and password, see [`VerifiedCache::mac`].
    pub(super) mac: Digest,
    pub(super) user: Arc<User>,
}

impl LocalCopy for VerifiedCache {
    fn revoke(&self, revocation: &Revocation, _until: Option<u64>) {
        if let Revocation::Password(name) = revocation {
            self.entries.refuse(&Arc::from(&**name));
            // Who comes from now on joins no verification that began before.
            self.flights().clear();
        }
    }

    fn forget(&self) {
        self.entries.forget();
        self.flights().clear();
    }
}

/// A verification under way, by one of those who joined it. When an entry ends, everybody who uses it misses at once;
/// without this each of them would queue a hash of the same password. If the caller who hashes goes away, the next in line
/// takes over.
///
/// Whoever joins takes a verdict that began at most one hash before the request: within the bound that the TTL sets.
pub(super) struct Joined<'a> {
    cache: &'a VerifiedCache,
    mac: Digest,
    pub(super) verdict: Verdict,
}

type Verdict = Arc<OnceCell<Result<Arc<User>, Rejection>>>;

impl Drop for Joined<'_> {
    /// Over when there is a verdict, or when the last who waited for one is gone: whoever misses then begins another.
    fn drop(&mut self) {
        let mut flights = self.cache.flights();
        let current = flights.get(&self.mac).is_some_and(|current| Arc::ptr_eq(current, &self.verdict));
        let alone = Arc::strong_count(&self.verdict) == 2; // this one and the map's
        if current && (self.verdict.initialized() || alone) {
            flights.remove(&self.mac);
        }
    }
}

impl VerifiedCache {
    /// An empty cache under a fresh key.
    pub(super) fn new(config: &CacheConfig) -> Result<Self, BuildError> {
        if config.ttl > MAX_CACHE_TTL {
            return Err(BuildError::Config(format!(
                "cache.ttl is {:?}; a changed password may go on working for {MAX_CACHE_TTL:?} at most",
                config.ttl
            )));
        }
        let mut key = Zeroizing::new([0; 32]);
        SysRng.try_fill_bytes(&mut *key).map_err(|error| BuildError::State {
            what: "ask the operating system for a random key".to_owned(),
            source: error.into(),
        })?;
        let mac = Hmac::new_from_slice(&*key).expect("HMAC takes keys of any length (RFC 2104 §2)");
        Ok(Self { entries: TtlCache::new(config, RandomState::new())?, mac, flights: Mutex::default() })
    }

    /// The verification of these credentials that is under way, or a new one.
    pub(super) fn join(&self, mac: Digest) -> Joined<'_> {
        let verdict = self.flights().entry(mac).or_default().clone();
        Joined { cache: self, mac, verdict }
    }

    /// Nothing that could panic runs under the lock.
    fn flights(&self) -> MutexGuard<'_, HashMap<Digest, Verdict, DigestState>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A zero byte stands between the two: neither can hold one, so no two pairs give the same text.
    pub(super) fn mac(&self, credentials: &Credentials) -> Digest {
        let mac = self.mac.clone().chain_update(credentials.name()).chain_update([0]);
        Digest(mac.chain_update(credentials.password()).finalize().into_bytes().into())
    }
}
