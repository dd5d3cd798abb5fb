//! The server's signing keys and their rotation (RFC 7517 §5, RFC 8725 §3.5).

use std::sync::RwLock;
use std::time::Duration;

use serde_json::json;

use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::credential::jws::{KeyError, SigningKey};

/// How long a client may keep the published key set.
pub(super) const MAX_AGE: Duration = Duration::from_secs(300);

/// The most leeway that any validator is allowed ([`crate::config::TokenRules::leeway`]).
const LEEWAY: Duration = Duration::from_secs(60);

struct Published {
    key: SigningKey,
    /// When it starts to sign.
    from: UnixTime,
}

/// Keys in the order in which they sign. A new key is published [`MAX_AGE`] before its first signature, and an old one
/// stays until the last token it signed has expired: a client that refreshes only at `max-age` never sees a failure.
pub(super) struct SigningKeys {
    algorithm: Algorithm,
    longest_lifetime: Duration,
    keys: RwLock<Vec<Published>>,
}

impl SigningKeys {
    pub(super) fn new(algorithm: Algorithm, longest_lifetime: Duration, now: UnixTime) -> Result<Self, KeyError> {
        let first = Published { key: SigningKey::generate(algorithm)?, from: now };
        Ok(Self { algorithm, longest_lifetime, keys: RwLock::new(vec![first]) })
    }

    /// Publishes a new key, which takes over after [`MAX_AGE`].
    pub(super) fn rotate(&self, now: UnixTime) -> Result<(), KeyError> {
        let key = SigningKey::generate(self.algorithm)?;
        let mut keys = self.keys.write().expect("no holder panics");
        let starts: Vec<UnixTime> = keys.iter().map(|published| published.from).collect();
        keys.drain(..outdated(&starts, self.longest_lifetime + LEEWAY, now));
        keys.push(Published { key, from: UnixTime(now.0 + MAX_AGE) });
        Ok(())
    }

    /// Signs claims with the key whose turn it is.
    pub(super) fn sign(&self, typ: &str, claims: &impl serde::Serialize, now: UnixTime) -> Result<String, KeyError> {
        let keys = self.keys.read().expect("no holder panics");
        let starts: Vec<UnixTime> = keys.iter().map(|published| published.from).collect();
        keys[signer(&starts, now)].key.sign(typ, claims)
    }

    /// The public keys as a JWK set.
    pub(super) fn jwks(&self, now: UnixTime) -> serde_json::Value {
        let keys = self.keys.read().expect("no holder panics");
        let starts: Vec<UnixTime> = keys.iter().map(|published| published.from).collect();
        let current = &keys[outdated(&starts, self.longest_lifetime + LEEWAY, now)..];
        json!({ "keys": current.iter().filter_map(|published| published.key.jwk()).collect::<Vec<_>>() })
    }
}

/// Which key signs: the latest whose time has come.
fn signer(starts: &[UnixTime], now: UnixTime) -> usize {
    starts.iter().rposition(|from| *from <= now).unwrap_or(0)
}

/// How many keys have been out of use for longer than `keep`.
fn outdated(starts: &[UnixTime], keep: Duration, now: UnixTime) -> usize {
    starts.iter().skip(1).filter(|successor| now.0 > successor.0 + keep).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime(Duration::from_secs(secs))
    }

    #[test]
    fn a_new_key_waits_and_an_old_one_lingers() {
        let starts = [at(0), at(1300)];
        let keep = Duration::from_secs(960);
        assert_eq!(signer(&starts, at(1299)), 0);
        assert_eq!(signer(&starts, at(1300)), 1);
        assert_eq!(outdated(&starts, keep, at(1300 + 960)), 0);
        assert_eq!(outdated(&starts, keep, at(1300 + 961)), 1);
        assert_eq!(outdated(&[at(0)], keep, at(1_000_000)), 0, "the only key never goes");
    }
}
