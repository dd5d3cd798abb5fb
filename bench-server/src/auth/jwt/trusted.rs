//! The keys of an issuer, and the headers that good signatures by them came with.
//!
//! An issuer writes the same header into every token, so it need not be decoded and read each time: one that led to a good
//! signature before is recognised by its bytes. What is remembered of it is the `kid` alone. The key is looked up in the
//! set for every token, and a new set begins with nothing remembered.

use std::sync::OnceLock;

use crate::config::Algorithm;
use crate::credential::jws::KeySet;

/// Headers remembered: an issuer has one per key, and at most a few keys in use. There is no replacement: where every
/// token has a header of its own, remembering helps nobody.
const HEADERS: usize = 8;

/// Longest header remembered, encoded: those with certificates in them are read each time. With [`HEADERS`] this bounds
/// the memory.
const MAX_HEADER: usize = 512;

/// A key set with what is remembered of its tokens.
pub(crate) struct TrustedKeys {
    pub(crate) set: KeySet,
    known: [OnceLock<Known>; HEADERS],
}

/// A header that was accepted by the rules of an access token.
struct Known {
    /// As it stood in the token, encoded.
    header: Box<str>,
    /// Of the validator that accepted it.
    algorithm: Algorithm,
    kid: Option<Box<str>>,
}

/// The `kid` of a header that was recognised, if it has one.
pub(crate) struct Recognised<'k> {
    pub(crate) kid: Option<&'k str>,
}

impl TrustedKeys {
    /// Keys none of whose tokens was seen yet.
    pub(crate) fn new(set: KeySet) -> Self {
        Self { set, known: Default::default() }
    }

    /// Tells whether exactly this header was remembered for the algorithm.
    pub(crate) fn recognise(&self, header: &str, algorithm: Algorithm) -> Option<Recognised<'_>> {
        let mut known = self.known.iter().map_while(OnceLock::get);
        let known = known.find(|known| *known.header == *header && known.algorithm == algorithm)?;
        Some(Recognised { kid: known.kid.as_deref() })
    }

    /// Remembers a header that was accepted and that a good signature has followed: nobody but the issuer can fill the
    /// places.
    pub(crate) fn remember(&self, header: &str, algorithm: Algorithm, kid: Option<&str>) {
        if header.len() > MAX_HEADER {
            return;
        }
        let mut known = Known { header: header.into(), algorithm, kid: kid.map(Box::from) };
        for place in &self.known {
            match place.set(known) {
                Ok(()) => return,
                Err(refused) => known = refused,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::jws::SigningKey;

    fn keys() -> TrustedKeys {
        TrustedKeys::new(SigningKey::generate(Algorithm::EdDSA).unwrap().key_set())
    }

    #[test]
    fn recognised_is_exactly_what_was_remembered() {
        let keys = keys();
        assert!(keys.recognise("", Algorithm::EdDSA).is_none());
        keys.remember("abc", Algorithm::EdDSA, Some("k"));
        keys.remember("ab", Algorithm::EdDSA, None);
        assert_eq!(keys.recognise("abc", Algorithm::EdDSA).unwrap().kid, Some("k"));
        assert_eq!(keys.recognise("ab", Algorithm::EdDSA).unwrap().kid, None);
        for header in ["", "a", "abcd", "abC", "bc"] {
            assert!(keys.recognise(header, Algorithm::EdDSA).is_none(), "{header}");
        }
        assert!(keys.recognise("abc", Algorithm::ES256).is_none(), "accepted by the rules of another algorithm");
    }

    #[test]
    fn memory_is_bounded_in_number_and_length() {
        let keys = keys();
        keys.remember(&"x".repeat(MAX_HEADER + 1), Algorithm::EdDSA, None);
        assert!(keys.known[0].get().is_none());
        for n in 0..10_000 {
            keys.remember(&n.to_string(), Algorithm::EdDSA, None);
        }
        let remembered = (0..10_000).filter(|n| keys.recognise(&n.to_string(), Algorithm::EdDSA).is_some());
        assert!(remembered.eq(0..HEADERS));
    }
}
