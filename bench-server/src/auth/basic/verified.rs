//! The cache of verified credentials: an HMAC in the place of a password hash, and one hash where many ask for the same.

use std::hash::RandomState;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::auth::flights::Flights;
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
    /// Verifications under way, by MAC. When an entry ends, everybody who uses it misses at once; without this each of them
    /// would queue a hash of the same password.
    ///
    /// Whoever joins takes a verdict that began at most one hash before the request: within the bound that the TTL sets.
    pub(super) flights: Flights<Digest, Result<Arc<User>, Rejection>, DigestState>,
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
            self.flights.end_all();
        }
    }

    fn forget(&self) {
        self.entries.forget();
        self.flights.end_all();
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
        Ok(Self { entries: TtlCache::new(config, RandomState::new())?, mac, flights: Flights::default() })
    }

    /// A zero byte stands between the two: neither can hold one, so no two pairs give the same text.
    pub(super) fn mac(&self, credentials: &Credentials) -> Digest {
        let mac = self.mac.clone().chain_update(credentials.name()).chain_update([0]);
        Digest(mac.chain_update(credentials.password()).finalize().into_bytes().into())
    }
}
