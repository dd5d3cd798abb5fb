//! Clients that sign instead of sending a secret: `private_key_jwt` (RFC 7523 §2.2 and §3, OpenID Connect Core §9).
//!
//! The audience is the issuer identifier and nothing else: an assertion for another server must not be good here, nor one for
//! this server elsewhere (RFC 9700 §4.4, draft-ietf-oauth-rfc7523bis). Each is good once and not for long.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::error::OAuthError;
use crate::clock::UnixTime;
use crate::config::Algorithm;
use crate::credential::jws::compact::Compact;
use crate::credential::jws::json::{self, Fault, Names, once};
use crate::credential::jws::token::Kind;
use crate::credential::jws::{KeySet, base64url, name};
use crate::credential::possession::{self, First, MAX_JTI, Seen, numeric_date};
use crate::telemetry::Meter;

/// The `client_assertion_type` (RFC 7523 §2.2).
pub(super) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What clients may sign with.
const ALGORITHMS: &[Algorithm] =
    &[Algorithm::ES256, Algorithm::EdDSA, Algorithm::ES384, Algorithm::PS256, Algorithm::RS256];

/// No token of another kind can stand in for an assertion (RFC 8725 §3.11).
const KIND: Kind<'static> = Kind {
    algorithms: ALGORITHMS,
    is_typ: |typ| {
        typ.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("client-authentication+jwt"))
    },
    longest: possession::LONGEST,
};

/// Longest life of an assertion that is accepted, which bounds how long it is remembered.
const LONGEST: Duration = Duration::from_secs(300);

/// How far the client's clock may differ.
const SKEW: Duration = Duration::from_secs(30);

/// The names of [`ALGORITHMS`], for the metadata.
pub(super) fn algorithms() -> Vec<&'static str> {
    ALGORITHMS.iter().map(|algorithm| name(*algorithm)).collect()
}

/// What an assertion says.
struct Claims {
    iss: String,
    sub: String,
    aud: String,
    jti: String,
    exp: Duration,
    /// `iat` and `nbf`, where they are there.
    begins: Vec<Duration>,
}

impl Claims {
    fn read(payload: &[u8]) -> Result<Self, Fault> {
        let (mut iss, mut sub, mut aud, mut jti, mut exp) = (None, None, None, None, None);
        let (mut iat, mut nbf, mut others) = (None, None, Names::default());
        json::read_object(payload, |name, value| match &*name {
            "iss" => once(&mut iss, value.string()?.into_owned()),
            "sub" => once(&mut sub, value.string()?.into_owned()),
            "aud" => once(&mut aud, value.string()?.into_owned()),
            "jti" => once(&mut jti, value.string()?.into_owned()),
            "exp" => once(&mut exp, numeric_date(value.number()?)?),
            "iat" => once(&mut iat, numeric_date(value.number()?)?),
            "nbf" => once(&mut nbf, numeric_date(value.number()?)?),
            _ => {
                others.insert(name)?;
                value.skip()
            }
        })?;
        let begins = iat.into_iter().chain(nbf).collect();
        let all = || Some(Self { iss: iss?, sub: sub?, aud: aud?, jti: jti?, exp: exp?, begins });
        all().ok_or(Fault::NotAccepted)
    }
}

/// Of whom an assertion speaks, which nobody has verified: to find the keys that it is verified with.
pub(super) fn subject(assertion: &str) -> Option<String> {
    let mut payload = Vec::new();
    base64url::decode(Compact::split(assertion)?.payload, &mut payload).ok()?;
    Claims::read(&payload).ok().map(|claims| claims.sub)
}

/// Checks assertions.
#[derive(Default)]
pub(super) struct Assertions {
    /// The issuer identifier.
    audience: String,
    seen: Seen,
}

impl Assertions {
    /// For an issuer.
    pub(super) fn new(audience: &str) -> Self {
        Self { audience: audience.to_owned(), seen: Seen::default() }
    }

    /// Whether an assertion is the client's, for this server, in its time, and new.
    ///
    /// # Errors
    /// 503 when it could not be remembered.
    pub(super) fn prove(
        &self,
        assertion: &str,
        (client_id, keys): (&str, &KeySet),
        now: UnixTime,
        meter: &Meter,
    ) -> Result<bool, OAuthError> {
        let payload = KIND.open(assertion, &meter.verify_calls, |_, _| Some(keys)).ok();
        let Some(claims) = payload.and_then(|payload| Claims::read(&payload).ok()) else { return Ok(false) };
        let is_right = claims.iss == client_id
            && claims.sub == client_id
            && claims.aud == self.audience
            && now.0 < claims.exp + SKEW
            && claims.exp <= now.0 + LONGEST + SKEW
            && claims.begins.iter().all(|begin| *begin <= now.0 + SKEW)
            && (1..=MAX_JTI).contains(&claims.jti.len());
        if !is_right {
            return Ok(false);
        }
        let unique = Sha256::new().chain_update(client_id).chain_update([0]).chain_update(&claims.jti).finalize();
        match self.seen.first(unique.into(), UnixTime(claims.exp + SKEW), now) {
            First::Yes => Ok(true),
            First::No => Ok(false),
            First::Unknown => Err(OAuthError::busy()),
        }
    }
}
