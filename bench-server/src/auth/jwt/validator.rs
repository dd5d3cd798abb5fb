//! The rules of a JWT access token, applied (RFC 9068 §4, RFC 8725 §3).
//!
//! The order is cheap before expensive, except that nothing is said about a claim before the signature is known to be
//! good.

use std::cell::RefCell;
use std::sync::Arc;

use super::claims::ClaimsRef;
use super::trusted::TrustedKeys;
use crate::auth::{Cause, Rejection};
use crate::clock::UnixTime;
use crate::config::{Algorithm, TokenRules};
use crate::credential::jws::compact::{Compact, Header};
use crate::credential::jws::json::Fault;
use crate::credential::jws::{self, VerifyError, base64url};
use crate::telemetry::Meter;

/// The rules that a JWT access token (RFC 9068) is held to.
pub(crate) struct Validator {
    /// `iss`, compared exactly.
    pub(crate) issuer: Arc<str>,
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
        if token.len() > self.max_token {
            return Err(Rejection::Invalid(Cause::Malformed));
        }
        let parts = Compact::split(token).ok_or(Rejection::Invalid(Cause::Malformed))?;
        DECODED.with_borrow_mut(|decoded| {
            match keys.recognise(parts.header, self.algorithm) {
                Some(header) => self.check_signature(&parts, header.kid, keys, decoded, meter)?,
                None => {
                    let mut bytes = Vec::new();
                    base64url::decode(parts.header, &mut bytes).map_err(|fault| faulty(fault, Cause::Header))?;
                    let header = Header::read(&bytes).map_err(|fault| faulty(fault, Cause::Header))?;
                    self.check_header(&header)?;
                    self.check_signature(&parts, header.kid.as_deref(), keys, decoded, meter)?;
                    keys.remember(parts.header, self.algorithm, header.kid.as_deref());
                }
            }
            base64url::decode(parts.payload, decoded).map_err(|fault| faulty(fault, Cause::Claims))?;
            let claims = ClaimsRef::read(decoded).map_err(|fault| faulty(fault, Cause::Claims))?;
            self.check_claims(&claims, now)?;
            accept(&claims)
        })
    }

    fn check_signature(
        &self,
        parts: &Compact<'_>,
        kid: Option<&str>,
        keys: &TrustedKeys,
        decoded: &mut Vec<u8>,
        meter: &Meter,
    ) -> Result<(), Rejection> {
        let key = keys.set.choose(kid, self.algorithm).map_err(refused)?;
        base64url::decode(parts.signature, decoded).map_err(|fault| faulty(fault, Cause::BadSignature))?;
        meter.verify_calls.add();
        key.verify(parts.signing_input.as_bytes(), decoded).map_err(refused)
    }

    fn check_header(&self, header: &Header<'_>) -> Result<(), Rejection> {
        let typ = header.typ.as_deref().unwrap_or_default();
        // A media type may leave out `application/` (RFC 7515 §4.1.9).
        let access_token = [super::ACCESS_TOKEN_TYP, "application/at+jwt"].iter().any(|t| t.eq_ignore_ascii_case(typ));
        if header.alg == jws::name(self.algorithm) && access_token {
            Ok(())
        } else {
            Err(Rejection::Invalid(Cause::Header))
        }
    }

    fn check_claims(&self, claims: &ClaimsRef<'_>, now: UnixTime) -> Result<(), Rejection> {
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

fn faulty(fault: Fault, otherwise: Cause) -> Rejection {
    Rejection::Invalid(match fault {
        Fault::NotJson => Cause::Malformed,
        Fault::NotAccepted => otherwise,
    })
}

fn refused(error: VerifyError) -> Rejection {
    Rejection::Invalid(match error {
        VerifyError::UnknownKey => Cause::UnknownKey,
        VerifyError::OtherAlgorithm => Cause::Header,
        VerifyError::BadSignature => Cause::BadSignature,
    })
}

#[cfg(test)]
mod tests;
