//! DPoP proofs (RFC 9449 §4): a JWS by a key that the client made itself, for one request.
//!
//! The checks are those of §4.3, by number:
//!
//! | | check | where |
//! | --- | --- | --- |
//! | 1 | one field | [`presented`] |
//! | 2, 3 | one JWT with all required claims | [`Proof::read`] |
//! | 4, 5 | `typ`, `alg` | [`KIND`] |
//! | 6, 7 | the signature fits `jwk`, which has no private member | [`own_key`] |
//! | 8, 9 | `htm`, `htu` | [`Proof::check`] |
//! | 10 | `nonce` | [`Nonces`] |
//! | 11 | `iat` | [`Proof::check`] |
//! | 12 | `ath`, and the key that the token is bound to | [`Proof::check`], and whoever knows the token |
//!
//! That none is good twice (§11.1) is a matter of [`Seen`], which only a proof that passed everything else gets into.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use rand::TryRng;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::jws::KeySet;
use super::jws::compact::Header;
use super::jws::json::{self, Fault as JsonFault, Names, once};
use super::jws::token::Kind;
use super::possession::{First, LONGEST, MAX_JTI, Seen, numeric_date};
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::telemetry::Meter;

/// Algorithms of proofs, as challenges and metadata name them.
pub(crate) const ALGORITHMS: [&str; 2] = ["ES256", "EdDSA"];

const KIND: Kind<'static> = Kind {
    algorithms: &[Algorithm::ES256, Algorithm::EdDSA],
    is_typ: |typ| typ.is_some_and(|typ| typ.eq_ignore_ascii_case("dpop+jwt")),
    longest: LONGEST,
};

/// How old a proof may be: made for this request, and on the way meanwhile.
const OLDEST: Duration = Duration::from_secs(60);

/// How far ahead the client's clock may be.
const AHEAD: Duration = Duration::from_secs(10);

/// How long a nonce is handed out; it is good for as long again.
const NONCE_PERIOD: Duration = Duration::from_secs(300);

/// Why a proof was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// One of the checks failed.
    Proof,
    /// There is no nonce in it, or none that is good: this one would be.
    Nonce(String),
    /// It cannot be remembered at the moment.
    Full,
}

/// What a proof must be made for.
pub(crate) struct Expected<'a> {
    pub(crate) method: &'a str,
    /// Without query and fragment.
    pub(crate) url: &'a Url,
    /// The access token that comes along.
    pub(crate) token: Option<&'a str>,
    /// Where a nonce is asked for.
    pub(crate) nonces: Option<&'a Nonces>,
    pub(crate) now: UnixTime,
}

/// A proof whose signature is good, with the claims that it makes.
pub(crate) struct Proof {
    /// SHA-256 thumbprint of the key (RFC 7638), as `cnf` and `dpop_jkt` write it.
    pub(crate) jkt: String,
    jti: String,
    htm: String,
    htu: String,
    iat: Duration,
    ath: Option<String>,
    nonce: Option<String>,
}

/// The one proof of a request; `None` without one.
///
/// # Errors
/// [`Fault::Proof`] for several, or what is not text.
pub(crate) fn presented(head: &http::HeaderMap) -> Result<Option<&str>, Fault> {
    let mut fields = head.get_all("dpop").iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Fault::Proof);
    }
    field.to_str().map(Some).map_err(|_| Fault::Proof)
}

/// The same of a request head that has one.
///
/// # Errors
/// [`Fault::Proof`] also without one.
pub(crate) fn required(head: &Parts) -> Result<&str, Fault> {
    presented(&head.headers)?.ok_or(Fault::Proof)
}

/// SHA-256 of an access token, as `ath` writes it (§4.2).
pub(crate) fn token_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token))
}

impl Proof {
    /// Reads a proof and checks its signature.
    pub(crate) fn read(text: &str, meter: &Meter) -> Result<Self, Fault> {
        let mut jkt = None;
        let payload = KIND.open(text, &meter.verify_calls, |header, bytes| {
            let (keys, thumbprint) = own_key(header, bytes)?;
            jkt = Some(thumbprint);
            Some(keys)
        });
        let (payload, jkt) = payload.ok().zip(jkt).ok_or(Fault::Proof)?;
        Self::of_claims(&payload, jkt).map_err(|_| Fault::Proof)
    }

    fn of_claims(payload: &[u8], jkt: String) -> Result<Self, JsonFault> {
        let (mut jti, mut htm, mut htu, mut iat) = (None, None, None, None);
        let (mut ath, mut nonce, mut others) = (None, None, Names::default());
        json::read_object(payload, |name, value| match &*name {
            "jti" => once(&mut jti, value.string()?.into_owned()),
            "htm" => once(&mut htm, value.string()?.into_owned()),
            "htu" => once(&mut htu, value.string()?.into_owned()),
            "iat" => once(&mut iat, numeric_date(value.number()?)?),
            "ath" => once(&mut ath, value.string()?.into_owned()),
            "nonce" => once(&mut nonce, value.string()?.into_owned()),
            _ => {
                others.insert(name)?;
                value.skip()
            }
        })?;
        let all = || Some(Self { jkt, jti: jti?, htm: htm?, htu: htu?, iat: iat?, ath, nonce });
        let proof = all().ok_or(JsonFault::NotAccepted)?;
        if (1..=MAX_JTI).contains(&proof.jti.len()) { Ok(proof) } else { Err(JsonFault::NotAccepted) }
    }

    /// Whether it was made for this request.
    pub(crate) fn check(&self, expected: &Expected<'_>) -> Result<(), Fault> {
        let now = expected.now.0;
        let made_for = Url::parse(&self.htu).ok().map(|mut url| {
            url.set_query(None);
            url.set_fragment(None);
            url
        });
        let is_right = self.htm == expected.method
            && made_for.is_some_and(|url| url == *expected.url)
            && self.iat <= now + AHEAD
            && now <= self.iat + OLDEST
            // Without a token a hash of one says nothing.
            && expected.token.is_none_or(|token| self.ath.as_deref() == Some(&*token_hash(token)));
        if !is_right {
            return Err(Fault::Proof);
        }
        match expected.nonces {
            Some(nonces) if !nonces.knows(self.nonce.as_deref(), expected.now) => {
                Err(Fault::Nonce(nonces.current(expected.now)))
            }
            _ => Ok(()),
        }
    }

    /// Uses it up. To be asked last, so that only those fill the memory who would be let in.
    pub(crate) fn first_use(&self, seen: &Seen, now: UnixTime) -> Result<(), Fault> {
        let unique = Sha256::new().chain_update(&self.jkt).chain_update([0]).chain_update(&self.jti).finalize();
        // The first moment at which it is too old.
        let end = UnixTime(self.iat + OLDEST + Duration::from_nanos(1));
        match seen.first(unique.into(), end, now) {
            First::Yes => Ok(()),
            First::No => Err(Fault::Proof),
            First::Unknown => Err(Fault::Full),
        }
    }
}

/// The public key in a proof's header, and its thumbprint.
fn own_key(header: &Header<'_>, bytes: &[u8]) -> Option<(KeySet, String)> {
    let whole: Value = serde_json::from_slice(bytes).ok()?;
    let jwk = whole.get("jwk")?.as_object()?;
    let text = |member: &str| jwk.get(member)?.as_str();
    // In the order that RFC 7638 §3 asks for, which is that of the map.
    let required = match text("kty")? {
        "EC" => json!({ "crv": text("crv")?, "kty": "EC", "x": text("x")?, "y": text("y")? }),
        "OKP" => json!({ "crv": text("crv")?, "kty": "OKP", "x": text("x")? }),
        _ => return None,
    };
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(required.to_string()));
    let mut key = jwk.clone();
    // The key is the one in the header, whatever it is called there.
    match &header.kid {
        Some(kid) => key.insert("kid".to_owned(), Value::from(&**kid)),
        None => key.remove("kid"),
    };
    // Private members are refused there, and points beside the curve.
    let keys = KeySet::from_jwks(&json!({ "keys": [key] }).to_string()).ok()?;
    Some((keys, thumbprint))
}

/// Nonces (§8): the same for all for a while, and nothing is kept of them.
pub(crate) struct Nonces(Hmac<Sha256>);

impl Nonces {
    /// Under a key of this process.
    pub(crate) fn new() -> Self {
        let mut key = [0; 32];
        SysRng.try_fill_bytes(&mut key).expect("the operating system has a random source");
        Self(Hmac::new_from_slice(&key).expect("HMAC takes keys of any length (RFC 2104 §2)"))
    }

    /// The one that is handed out now.
    pub(crate) fn current(&self, now: UnixTime) -> String {
        self.of(now.as_secs() / NONCE_PERIOD.as_secs())
    }

    fn of(&self, period: u64) -> String {
        let mac = self.0.clone().chain_update(period.to_be_bytes()).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(&mac[..16])
    }

    /// Whether a nonce is the current one or the one before.
    fn knows(&self, nonce: Option<&str>, now: UnixTime) -> bool {
        let period = now.as_secs() / NONCE_PERIOD.as_secs();
        let good = [Some(period), period.checked_sub(1)].into_iter().flatten().map(|period| self.of(period));
        nonce.is_some_and(|nonce| good.into_iter().any(|good| good == nonce))
    }
}

/// The `cnf` of an access token (RFC 7800 §3.1), reduced to what tokens here are bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Confirmation<'a> {
    /// The key of DPoP proofs (RFC 9449 §6.1).
    pub(crate) jkt: Option<Cow<'a, str>>,
    /// The client's certificate (RFC 8705 §3.1).
    pub(crate) x5t: Option<Cow<'a, str>>,
}

impl<'a> Confirmation<'a> {
    /// Reads the member. One that binds to something else as well, or to nothing, is not accepted.
    pub(crate) fn read(value: &mut json::Reader<'a>) -> Result<Self, JsonFault> {
        let (mut jkt, mut x5t) = (None, None);
        value.object(|name, value| match &*name {
            "jkt" => once(&mut jkt, value.string()?),
            "x5t#S256" => once(&mut x5t, value.string()?),
            _ => Err(JsonFault::NotAccepted),
        })?;
        if jkt.is_none() && x5t.is_none() {
            return Err(JsonFault::NotAccepted);
        }
        Ok(Self { jkt, x5t })
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
