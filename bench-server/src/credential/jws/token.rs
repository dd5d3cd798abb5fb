//! The one strict front of everything that is signed and compact: access tokens, ID tokens, DPoP proofs, client assertions
//! (RFC 7515 §5.2, RFC 8725 §3).
//!
//! ```text
//! text → size, three parts → header: base64url, JSON, alg, typ → key → signature → payload, decoded
//! ```
//!
//! A [`Kind`] says what is common to tokens of one purpose, so that none stands in for another (RFC 8725 §3.12). What the
//! claims say is left to whoever knows the purpose, and nobody sees them before the signature is known to be good. Callers
//! with one token take [`Kind::open`]; the steps are there for those who check a token per request and keep what they can.

use std::borrow::Borrow;

use super::compact::{Compact, Header};
use super::json::Fault;
use super::{KeySet, VerifyError, base64url};
use crate::config::Algorithm;
use crate::telemetry::Count;

/// What tokens of one purpose have to be, whoever signed them.
pub(crate) struct Kind<'k> {
    /// Algorithms accepted, compared exactly (RFC 8725 §3.1).
    pub(crate) algorithms: &'k [Algorithm],
    /// Whether that is the `typ` of such a token (RFC 8725 §3.11).
    pub(crate) is_typ: fn(Option<&str>) -> bool,
    /// Longest token looked at, in bytes: what is longer is refused before anything is decoded.
    pub(crate) longest: usize,
}

/// Why a token is refused. For counters and logs, not for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too long, not three parts, or not base64url of JSON.
    Malformed,
    /// A header that is not accepted: `alg`, `typ`, `crit`, or a key for another algorithm.
    Header,
    /// No key of that name.
    UnknownKey,
    /// The signature does not verify.
    BadSignature,
}

impl Refused {
    /// What a fault means where JSON of the right form is refused for that reason.
    fn by(otherwise: Self) -> impl Fn(Fault) -> Self {
        move |fault| match fault {
            Fault::NotJson => Self::Malformed,
            Fault::NotAccepted => otherwise,
        }
    }
}

impl From<VerifyError> for Refused {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::UnknownKey => Self::UnknownKey,
            VerifyError::OtherAlgorithm => Self::Header,
            VerifyError::BadSignature => Self::BadSignature,
        }
    }
}

impl Kind<'_> {
    /// The payload of a token whose signature fits the key that `keys` finds by its header, which is given decoded as well.
    /// `verify_calls` counts signatures that were looked at.
    ///
    /// # Errors
    /// The reason, and [`Refused::UnknownKey`] where there are no keys.
    pub(crate) fn open<K: Borrow<KeySet>>(
        &self,
        token: &str,
        verify_calls: &Count,
        keys: impl FnOnce(&Header<'_>, &[u8]) -> Option<K>,
    ) -> Result<Vec<u8>, Refused> {
        let parts = self.split(token)?;
        let mut decoded = Vec::new();
        base64url::decode(parts.header, &mut decoded).map_err(Refused::by(Refused::Header))?;
        let (header, algorithm) = self.judge(&decoded)?;
        let keys = keys(&header, &decoded).ok_or(Refused::UnknownKey)?;
        let mut bytes = Vec::new();
        verify(&parts, header.kid.as_deref(), algorithm, keys.borrow(), &mut bytes, verify_calls)?;
        payload(&parts, &mut bytes)?;
        Ok(bytes)
    }

    /// The parts of a token that is not too long.
    ///
    /// # Errors
    /// [`Refused::Malformed`].
    pub(crate) fn split<'t>(&self, token: &'t str) -> Result<Compact<'t>, Refused> {
        if token.len() > self.longest {
            return Err(Refused::Malformed);
        }
        Compact::split(token).ok_or(Refused::Malformed)
    }

    /// The header, decoded into `bytes`, and the algorithm that it names.
    ///
    /// # Errors
    /// [`Refused::Malformed`], [`Refused::Header`].
    pub(crate) fn read_header<'b>(
        &self,
        parts: &Compact<'_>,
        bytes: &'b mut Vec<u8>,
    ) -> Result<(Header<'b>, Algorithm), Refused> {
        base64url::decode(parts.header, bytes).map_err(Refused::by(Refused::Header))?;
        self.judge(bytes)
    }

    fn judge<'b>(&self, decoded: &'b [u8]) -> Result<(Header<'b>, Algorithm), Refused> {
        let header = Header::read(decoded).map_err(Refused::by(Refused::Header))?;
        let algorithm = self.algorithms.iter().find(|algorithm| algorithm.name() == header.alg);
        match algorithm {
            Some(algorithm) if (self.is_typ)(header.typ.as_deref()) => Ok((header, *algorithm)),
            _ => Err(Refused::Header),
        }
    }
}

/// Checks the signature with the key of that name. `bytes` is room to decode it into.
///
/// # Errors
/// [`Refused`].
pub(crate) fn verify(
    parts: &Compact<'_>,
    kid: Option<&str>,
    algorithm: Algorithm,
    keys: &KeySet,
    bytes: &mut Vec<u8>,
    verify_calls: &Count,
) -> Result<(), Refused> {
    let key = keys.choose(kid, algorithm)?;
    base64url::decode(parts.signature, bytes).map_err(Refused::by(Refused::BadSignature))?;
    verify_calls.add();
    Ok(key.verify(parts.signing_input.as_bytes(), bytes)?)
}

/// Decodes the payload into `bytes`: to be asked for once the signature is known to be good.
///
/// # Errors
/// [`Refused::Malformed`].
pub(crate) fn payload(parts: &Compact<'_>, bytes: &mut Vec<u8>) -> Result<(), Refused> {
    base64url::decode(parts.payload, bytes).map_err(Refused::by(Refused::Malformed))
}

/// Whether a `typ` is that of a media type, which may leave out `application/` (RFC 7515 §4.1.9).
pub(crate) fn is_media_type(typ: Option<&str>, subtype: &str) -> bool {
    let Some(typ) = typ else { return false };
    const TREE: &str = "application/";
    let short =
        typ.get(..TREE.len()).filter(|tree| tree.eq_ignore_ascii_case(TREE)).map_or(typ, |_| &typ[TREE.len()..]);
    short.eq_ignore_ascii_case(subtype)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::SigningKey;
    use super::*;

    const PROOF: Kind<'static> = Kind {
        algorithms: &[Algorithm::ES256, Algorithm::EdDSA],
        is_typ: |typ| is_media_type(typ, "dpop+jwt"),
        longest: 1_000,
    };

    fn open(kind: &Kind<'_>, token: &str, keys: &KeySet) -> Result<Vec<u8>, Refused> {
        kind.open(token, &Count::default(), |_, _| Some(keys.clone()))
    }

    #[test]
    fn jw_29_a_kind_takes_its_own_typ_and_algorithms_only() {
        let access = Kind { is_typ: |typ| is_media_type(typ, "at+jwt"), ..PROOF };
        let [key, other] =
            [Algorithm::EdDSA, Algorithm::ES384].map(|algorithm| SigningKey::generate(algorithm).unwrap());
        let claims = json!({"iss": "i"});
        let text = claims.to_string().into_bytes();
        for (typ, proof, token) in [
            ("dpop+jwt", true, false),
            ("Application/DPoP+JWT", true, false),
            ("at+jwt", false, true),
            ("application/at+jwt", false, true),
            ("JWT", false, false),
            ("id+jwt", false, false),
            ("application/application/at+jwt", false, false),
            ("", false, false),
        ] {
            let signed = key.sign(typ, &claims).unwrap();
            let expected = |good| if good { Ok(text.clone()) } else { Err(Refused::Header) };
            assert_eq!(open(&PROOF, &signed, &key.key_set()), expected(proof), "{typ}");
            assert_eq!(open(&access, &signed, &key.key_set()), expected(token), "{typ}");
        }
        let foreign = other.sign("dpop+jwt", &claims).unwrap();
        assert_eq!(open(&PROOF, &foreign, &other.key_set()), Err(Refused::Header), "an algorithm that is not listed");
    }

    #[test]
    fn jw_20_nothing_is_decoded_of_what_is_too_long_and_no_key_is_asked_for() {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let token = key.sign("dpop+jwt", &json!({"x": "x".repeat(2_000)})).unwrap();
        let calls = Count::default();
        let refused = PROOF.open(&token, &calls, |_, _| -> Option<KeySet> { panic!("a key is asked for") });
        assert_eq!((refused, calls.get()), (Err(Refused::Malformed), 0));
        for token in ["", "a.b", "a.b.c.d", "....", "a b.c.d", "e30.e30."] {
            assert!(open(&PROOF, token, &key.key_set()).is_err(), "{token}");
        }
    }

    #[test]
    fn jw_15_a_key_in_the_header_counts_only_where_somebody_takes_it() {
        let [ours, theirs] = [(); 2].map(|()| SigningKey::generate(Algorithm::ES256).unwrap());
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": theirs.jwk().unwrap()}).to_string();
        let token = theirs.sign_as_it_is(header.as_bytes(), b"{}");
        assert_eq!(open(&PROOF, &token, &ours.key_set()), Err(Refused::BadSignature));
        let mut seen = Vec::new();
        let opened = PROOF.open(&token, &Count::default(), |_, bytes| {
            seen = bytes.to_vec();
            Some(theirs.key_set())
        });
        assert_eq!(opened, Ok(b"{}".to_vec()));
        assert_eq!(seen, header.as_bytes());
        assert_eq!(PROOF.open(&token, &Count::default(), |_, _| None::<KeySet>), Err(Refused::UnknownKey));
    }
}
