//! The server's signing keys and their rotation (RFC 7517 §5, RFC 8725 §3.5).

use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde_json::json;

use crate::clock::UnixTime;
use crate::config::{Algorithm, TokenRules};
use crate::contract::{IssuerKey, KeyRollover};
use crate::credential::jws::{KeyError, SigningKey};

struct Published {
    key: SigningKey,
    terms: Terms,
}

/// When a key is used.
struct Terms {
    /// When it starts to sign; absent where it stands by for the next rollover.
    from: Option<UnixTime>,
    /// When it is no longer published; absent while no other follows it.
    until: Option<UnixTime>,
}

impl Terms {
    fn is_over(&self, now: UnixTime) -> bool {
        self.until.is_some_and(|until| now >= until)
    }
}

/// Keys in the order in which they sign. Unless a rollover says otherwise, a new key is published for as long as anybody may
/// keep the old set before its first signature, and an old one stays until the last token it signed has expired: a client
/// that refreshes only at `max-age` never sees a failure.
pub(super) struct SigningKeys {
    algorithm: Algorithm,
    max_age: Duration,
    longest_lifetime: Duration,
    keys: RwLock<Vec<Published>>,
    /// Held by whoever rotates: keys are made while others sign.
    rotating: Mutex<()>,
}

impl SigningKeys {
    /// The first key. Validators may keep the set for `max_age`; tokens live for `longest_lifetime`.
    pub(super) fn new(
        algorithm: Algorithm,
        (max_age, longest_lifetime): (Duration, Duration),
        now: UnixTime,
    ) -> Result<Self, KeyError> {
        let first = Published { key: SigningKey::generate(algorithm)?, terms: Terms { from: Some(now), until: None } };
        let (keys, rotating) = (RwLock::new(vec![first]), Mutex::default());
        Ok(Self { algorithm, max_age, longest_lifetime, keys, rotating })
    }

    /// Publishes a new key, or takes the one that stands by.
    pub(super) fn rotate(&self, rollover: &KeyRollover, now: UnixTime) -> Result<(), KeyError> {
        let from = UnixTime(now.0 + rollover.lead.unwrap_or(self.max_age));
        // With the second of grace that rounding up to whole seconds may give the last token.
        let expired = self.longest_lifetime + TokenRules::MAX_LEEWAY + Duration::from_secs(1);
        let until = UnixTime(from.0 + rollover.overlap.unwrap_or(expired));
        let _turn = self.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh =
            || Ok(Published { key: SigningKey::generate(self.algorithm)?, terms: Terms { from: None, until: None } });
        let waits = self.keys.read().expect("no holder panics").iter().any(|published| published.terms.from.is_none());
        // An RSA key takes a tenth of a second, in which others sign.
        let next = if waits { None } else { Some(fresh()?) };
        let standby = rollover.standby.then(fresh).transpose()?;
        let mut keys = self.keys.write().expect("no holder panics");
        keys.retain(|published| !published.terms.is_over(now));
        let standing_by = keys.pop_if(|published| published.terms.from.is_none());
        let mut next = standing_by.or(next).expect("one waited, or was made");
        for published in keys.iter_mut() {
            let earlier = published.terms.until.filter(|earlier| *earlier < until);
            published.terms.until = Some(earlier.unwrap_or(until));
        }
        next.terms.from = Some(from);
        keys.push(next);
        keys.extend(standby);
        Ok(())
    }

    /// How many keys are published.
    pub(super) fn published(&self, now: UnixTime) -> usize {
        let keys = self.keys.read().expect("no holder panics");
        keys.iter().filter(|published| !published.terms.is_over(now)).count()
    }

    /// Signs claims with the key whose turn it is.
    pub(super) fn sign(&self, typ: &str, claims: &impl serde::Serialize, now: UnixTime) -> Result<String, KeyError> {
        let keys = self.keys.read().expect("no holder panics");
        whose_turn(&keys, now).sign(typ, claims)
    }

    /// The key whose turn it is.
    pub(super) fn issuer_key(&self, now: UnixTime) -> IssuerKey {
        let keys = self.keys.read().expect("no holder panics");
        whose_turn(&keys, now).issuer_key()
    }

    /// The public keys as a JWK set.
    pub(super) fn jwks(&self, now: UnixTime) -> serde_json::Value {
        let keys = self.keys.read().expect("no holder panics");
        let current = keys.iter().filter(|published| !published.terms.is_over(now));
        json!({ "keys": current.filter_map(|published| published.key.jwk()).collect::<Vec<_>>() })
    }
}

/// The latest whose time has come.
fn whose_turn(keys: &[Published], now: UnixTime) -> &SigningKey {
    let begun = |published: &Published| published.terms.from.is_some_and(|from| from <= now);
    &keys[keys.iter().rposition(begun).unwrap_or(0)].key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime(Duration::from_secs(secs))
    }

    fn published(keys: &SigningKeys, now: UnixTime) -> usize {
        let set = keys.jwks(now)["keys"].as_array().map_or(0, Vec::len);
        assert_eq!(set, keys.published(now));
        set
    }

    /// The key identifier of the token signed at that time.
    fn signed_with(keys: &SigningKeys, now: UnixTime) -> String {
        let token = keys.sign("JWT", &json!({}), now).expect("signs");
        token.split('.').next().expect("a header").to_owned()
    }

    fn keys() -> SigningKeys {
        let kept = (Duration::from_secs(300), Duration::from_secs(900));
        SigningKeys::new(Algorithm::EdDSA, kept, at(0)).expect("a key")
    }

    #[test]
    fn oa_48_a_new_key_waits_and_an_old_one_lingers() {
        let keys = keys();
        let old = signed_with(&keys, at(0));
        keys.rotate(&KeyRollover::default(), at(1000)).expect("rotates");
        assert_eq!((published(&keys, at(1000)), signed_with(&keys, at(1299))), (2, old.clone()));
        assert_ne!(signed_with(&keys, at(1300)), old);
        let last = 1300 + 900 + 60;
        assert_eq!((published(&keys, at(last)), published(&keys, at(last + 1))), (2, 1));
        assert_eq!(published(&keys, at(1_000_000)), 1, "the only key never goes");
    }

    #[test]
    fn a_rollover_without_overlap_replaces_the_key_at_once() {
        let keys = keys();
        let old = signed_with(&keys, at(0));
        let at_once = KeyRollover { standby: false, ..KeyRollover::AFTER_THEFT };
        keys.rotate(&at_once, at(10)).expect("rotates");
        assert_ne!(signed_with(&keys, at(10)), old);
        assert_eq!(published(&keys, at(10)), 1);
        // What is to go earlier is not kept longer by the next rollover.
        keys.rotate(&KeyRollover { overlap: Some(Duration::from_secs(5)), ..at_once }, at(20)).expect("rotates");
        keys.rotate(&KeyRollover::default(), at(21)).expect("rotates");
        assert_eq!((published(&keys, at(24)), published(&keys, at(25))), (3, 2));
    }

    #[test]
    fn a_key_that_stands_by_is_known_before_it_signs() {
        let keys = keys();
        keys.rotate(&KeyRollover::AFTER_THEFT, at(10)).expect("rotates");
        let set = keys.jwks(at(10));
        let second = signed_with(&keys, at(10_000));
        assert_eq!(set["keys"].as_array().map(Vec::len), Some(2), "the one that signs, and the one that stands by");
        keys.rotate(&KeyRollover::AFTER_THEFT, at(10_000)).expect("rotates");
        assert_ne!(signed_with(&keys, at(10_000)), second);
        let known: Vec<&str> =
            set["keys"].as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str()).collect();
        let now = keys.jwks(at(10_000));
        let still: Vec<_> =
            now["keys"].as_array().into_iter().flatten().filter_map(|key| key["kid"].as_str()).collect();
        assert_eq!(known[1], still[0], "what stood by signs now");
        assert_eq!(still.len(), 2);
    }
}
