//! The rules of a JWT access token, applied (RFC 9068 §4, RFC 8725 §3).
//!
//! The order is cheap before expensive, except that nothing is said about a claim before the signature is known to be
//! good. The front is that of every signed token, [`crate::credential::jws::token`].

use std::cell::RefCell;
use std::sync::Arc;

use super::claims::{ClaimsRef, Profile};
use super::trusted::TrustedKeys;
use crate::auth::{Cause, Rejection};
use crate::clock::UnixTime;
use crate::config::{Algorithm, TokenRules};
use crate::credential::jws::json::Fault;
use crate::credential::jws::token::{self, Kind, Refused};
use crate::telemetry::Meter;

/// The rules that a JWT access token (RFC 9068) is held to.
#[derive(Clone)]
pub(crate) struct Validator {
    /// `iss`, compared exactly.
    pub(crate) issuer: Arc<str>,
    /// What `aud` has to contain: what the issuer calls this resource.
    pub(crate) audience: Arc<str>,
    /// The one accepted `alg`.
    pub(crate) algorithm: Algorithm,
    /// Time rules.
    pub(crate) rules: TokenRules,
    /// Longest token looked at, in bytes.
    pub(crate) max_token: usize,
    /// Whether tokens may be bound to a key: whoever accepts them then sees to it that the caller proves to hold it.
    pub(crate) sender_constrained: bool,
}

thread_local! {
    /// Holds one decoded part of a token at a time, so that checking one allocates nothing.
    static DECODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Validator {
    /// Checks a compact JWS against a key set: header, signature, claims (RFC 9068 §4). The claims are handed to `accept`
    /// where they lie instead of copied; it must not check another token.
    ///
    /// # Errors
    /// [`Rejection::Invalid`] with the cause, and those of `accept`.
    pub(crate) fn check<T>(
        &self,
        token: &str,
        keys: &TrustedKeys,
        now: UnixTime,
        meter: &Meter,
        accept: impl FnOnce(&ClaimsRef<'_>) -> Result<T, Rejection>,
    ) -> Result<T, Rejection> {
        let kind = Kind {
            algorithms: std::slice::from_ref(&self.algorithm),
            is_typ: |typ| token::is_media_type(typ, super::ACCESS_TOKEN_TYP),
            longest: self.max_token,
        };
        let parts = kind.split(token)?;
        let (set, calls) = (&keys.set, &meter.verify_calls);
        DECODED.with_borrow_mut(|decoded| {
            match keys.recognise(parts.header, self.algorithm) {
                Some(known) => token::verify(&parts, known.kid, self.algorithm, set, decoded, calls)?,
                None => {
                    let mut bytes = Vec::new();
                    let (header, algorithm) = kind.read_header(&parts, &mut bytes)?;
                    token::verify(&parts, header.kid.as_deref(), algorithm, set, decoded, calls)?;
                    keys.remember(parts.header, algorithm, header.kid.as_deref());
                }
            }
            token::payload(&parts, decoded)?;
            let claims = ClaimsRef::read(Profile::AccessToken, &self.audience, decoded).map_err(faulty)?;
            self.check_claims(&claims, now)?;
            accept(&claims)
        })
    }

    pub(crate) fn check_claims(&self, claims: &ClaimsRef<'_>, now: UnixTime) -> Result<(), Rejection> {
        let TokenRules { leeway, max_lifetime } = self.rules;
        let lives_too_long = claims.exp.checked_sub(claims.iat).is_none_or(|lifetime| lifetime > max_lifetime);
        // One that is bound is no bearer token (RFC 9449 §7.2, RFC 8705 §3).
        let unproven = claims.cnf.is_some() && !self.sender_constrained;
        let cause = if *claims.iss != *self.issuer || !claims.for_us || lives_too_long || unproven {
            Cause::Claims
        } else if now.0 >= claims.exp + leeway {
            Cause::Expired
        } else if claims.iat > now.0 + leeway || claims.nbf.is_some_and(|nbf| nbf > now.0 + leeway) {
            Cause::NotYetValid
        } else {
            return Ok(());
        };
        Err(Rejection::Invalid(cause))
    }
}

/// Why a payload is no claims set of an access token.
fn faulty(fault: Fault) -> Rejection {
    Rejection::Invalid(match fault {
        Fault::NotJson => Cause::Malformed,
        Fault::NotAccepted => Cause::Claims,
    })
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        Self::Invalid(match refused {
            Refused::Malformed => Cause::Malformed,
            Refused::Header => Cause::Header,
            Refused::UnknownKey => Cause::UnknownKey,
            Refused::BadSignature => Cause::BadSignature,
        })
    }
}

#[cfg(test)]
mod tests;
