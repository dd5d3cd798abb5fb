//! The validators without HTTP: what judges requests, given its input directly, so that other people's test vectors can be
//! tried on it (`authbench verify`).

use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::CertificateDer;

use crate::auth::header::MAX_TOKEN;
use crate::auth::jwt::claims::{ClaimsRef, Profile};
use crate::auth::jwt::{ACCESS_TOKEN_TYP, Validator};
use crate::auth::{Cause, Rejection, mtls};
use crate::clock::UnixTime;
use crate::config::{Algorithm, TokenRules};
use crate::credential::jws::json::{self, Fault};
use crate::credential::jws::token::{self, Kind};
use crate::credential::jws::{KeyError, KeySet};
use crate::credential::key::Key;
use crate::credential::x509::ClientIdentity;
use crate::telemetry::Count;

/// Keys and the algorithms accepted under them.
struct Trusted {
    keys: KeySet,
    algorithms: Vec<Algorithm>,
}

impl Trusted {
    /// A JWK set of the caller's own, shared secrets included. No algorithms means all that there are.
    fn new(jwks: &str, algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let algorithms = if algorithms.is_empty() { &Algorithm::ALL[..] } else { algorithms };
        Ok(Self { keys: KeySet::from_own_jwks(jwks)?, algorithms: algorithms.to_vec() })
    }

    /// The payload of a token whose signature is good.
    fn open(&self, token: &str, is_typ: fn(Option<&str>) -> bool) -> Result<Vec<u8>, Rejection> {
        let kind = Kind { algorithms: &self.algorithms, is_typ, longest: MAX_TOKEN };
        Ok(kind.open(token, &Count::default(), |_, _| Some(&self.keys))?)
    }
}

/// Signed objects in the compact form (RFC 7515).
pub struct Jws {
    trusted: Trusted,
    raw: bool,
}

impl Jws {
    /// `raw`: the payload may be anything, instead of one strict JSON object.
    ///
    /// # Errors
    /// When the JWK set is not accepted.
    pub fn new(jwks: &str, algorithms: &[Algorithm], raw: bool) -> Result<Self, KeyError> {
        Ok(Self { trusted: Trusted::new(jwks, algorithms)?, raw })
    }

    /// Checks one.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, token: &str) -> Result<(), Rejection> {
        let payload = self.trusted.open(token, |_| true)?;
        if self.raw { Ok(()) } else { json::check_object(&payload).map_err(faulty) }
    }
}

/// What the claims of a token have to say.
#[derive(Debug, Clone)]
pub struct Expected {
    /// `iss`, exactly.
    pub issuer: String,
    /// What `aud` must contain.
    pub audience: String,
    /// Time rules.
    pub rules: TokenRules,
    /// Whether it must be an access token by RFC 9068: `typ`, and the claims required there.
    pub access_token: bool,
}

/// JSON Web Tokens (RFC 7519, RFC 8725).
pub struct Jwt {
    trusted: Trusted,
    validator: Validator,
    access_token: bool,
}

impl Jwt {
    /// Tokens that say what is expected.
    ///
    /// # Errors
    /// When the JWK set is not accepted.
    pub fn new(jwks: &str, algorithms: &[Algorithm], expected: Expected) -> Result<Self, KeyError> {
        let Expected { issuer, audience, rules, access_token } = expected;
        let trusted = Trusted::new(jwks, algorithms)?;
        let algorithm = trusted.algorithms[0];
        let (issuer, audience) = (issuer.into(), audience.into());
        let validator =
            Validator { issuer, audience, algorithm, rules, max_token: MAX_TOKEN, sender_constrained: false };
        Ok(Self { trusted, validator, access_token })
    }

    /// Checks one as if it had come at `now`.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(&self, token: &str, now: UnixTime) -> Result<(), Rejection> {
        let is_typ: fn(Option<&str>) -> bool =
            if self.access_token { |typ| token::is_media_type(typ, ACCESS_TOKEN_TYP) } else { |_| true };
        let profile = if self.access_token { Profile::AccessToken } else { Profile::General };
        let payload = self.trusted.open(token, is_typ)?;
        let claims = ClaimsRef::read(profile, &self.validator.audience, &payload).map_err(faulty)?;
        self.validator.check_claims(&claims, now)
    }
}

fn faulty(fault: Fault) -> Rejection {
    Rejection::Invalid(match fault {
        Fault::NotJson => Cause::Malformed,
        Fault::NotAccepted => Cause::Claims,
    })
}

/// Client certificates (RFC 5280 §6), by the code of the TLS verifier.
pub struct Chains {
    roots: Vec<CertificateDer<'static>>,
    crls: Vec<Vec<u8>>,
}

/// A chain that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// The identity of the leaf, if it has the one that our own listeners ask for.
    pub identity: Option<Arc<str>>,
}

impl Chains {
    /// Below any of the roots. With CRLs, in DER, every certificate of a path needs one of its issuer; without, none is
    /// looked at.
    pub fn new(roots: Vec<CertificateDer<'static>>, crls: Vec<Vec<u8>>) -> Self {
        Self { roots, crls }
    }

    /// Checks a leaf and the certificates that came with it, as if that had been at `now`. The second of the results are
    /// remarks on CRLs that could not be used.
    ///
    /// # Errors
    /// Why it is refused: the word for it.
    pub fn check(
        &self,
        leaf: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: Duration,
    ) -> (Result<Accepted, &'static str>, Vec<String>) {
        let (verdict, remarks) = mtls::offline::verify(&self.roots, &self.crls, leaf, sent, UnixTime(now));
        let identity = || ClientIdentity::from_der(leaf).ok().map(|identity| identity.spiffe_id);
        (verdict.map(|()| Accepted { identity: identity() }), remarks)
    }
}

/// Whether a text has the form of an API key, and its checksum fits: offline, as a secret scanner sees it.
pub fn is_key(text: &str) -> bool {
    Key::parse(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::credential::jws::SigningKey;

    const NOW: u64 = 1_000_000;

    fn jwks(keys: &[&SigningKey]) -> String {
        json!({"keys": keys.iter().map(|key| key.jwk().unwrap()).collect::<Vec<_>>()}).to_string()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime(Duration::from_secs(seconds))
    }

    fn reason<T>(verdict: Result<T, Rejection>) -> &'static str {
        verdict.map_or_else(|rejection| rejection.reason(), |_| "ok")
    }

    fn claims() -> Value {
        json!({"iss": "i", "aud": ["x", "a"], "sub": "s", "client_id": "c", "jti": "j", "iat": NOW, "exp": NOW + 60})
    }

    fn without(name: &str) -> Value {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims
    }

    #[test]
    fn hk_1_a_jws_is_judged_by_its_header_and_signature() {
        let [one, other] =
            [Algorithm::ES256, Algorithm::PS256].map(|algorithm| SigningKey::generate(algorithm).unwrap());
        let raw = Jws::new(&jwks(&[&one, &other]), &[], true).unwrap();
        let strict = Jws::new(&jwks(&[&one, &other]), &[Algorithm::ES256], false).unwrap();
        let header = |key: &SigningKey| json!({"alg": key.algorithm().name(), "kid": key.kid()}).to_string();
        let text = one.sign_as_it_is(header(&one).as_bytes(), b"plain text");
        assert_eq!((reason(raw.check(&text)), reason(strict.check(&text))), ("ok", "malformed"));
        let object = one.sign_as_it_is(header(&one).as_bytes(), b"{\"a\":1}");
        assert_eq!((reason(raw.check(&object)), reason(strict.check(&object))), ("ok", "ok"));
        let twice = one.sign_as_it_is(header(&one).as_bytes(), b"{\"a\":1,\"a\":1}");
        assert_eq!((reason(raw.check(&twice)), reason(strict.check(&twice))), ("ok", "claims"));
        let unlisted = other.sign_as_it_is(header(&other).as_bytes(), b"{}");
        assert_eq!((reason(raw.check(&unlisted)), reason(strict.check(&unlisted))), ("ok", "header"));
        let mixed = other.sign_as_it_is(header(&one).as_bytes(), b"{}");
        assert_eq!(reason(raw.check(&mixed)), "bad_signature");
        for token in ["", "a.b", "a.b.c.d", &format!("{object}="), &format!("{object}\n")] {
            assert_eq!(reason(raw.check(token)), "malformed", "{token:?}");
        }
        assert!(Jws::new("{}", &[], false).is_err());
    }

    #[test]
    fn hk_1_shared_secrets_of_a_file_count() {
        let secret = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, [7; 32]);
        let jwks = json!({"keys": [{"kty": "oct", "alg": "HS256", "kid": "k", "k": secret}]}).to_string();
        let jws = Jws::new(&jwks, &[], false).unwrap();
        let header = jsonwebtoken::Header { kid: Some("k".to_owned()), ..Default::default() };
        let token = |secret: &[u8]| {
            let key = jsonwebtoken::EncodingKey::from_secret(secret);
            jsonwebtoken::encode(&header, &json!({}), &key).unwrap()
        };
        let _ = SigningKey::generate(Algorithm::HS256).unwrap(); // names the provider of the library
        assert_eq!(reason(jws.check(&token(&[7; 32]))), "ok");
        assert_eq!(reason(jws.check(&token(&[8; 32]))), "bad_signature");
    }

    #[test]
    fn hk_2_a_jwt_is_judged_by_its_claims_too() {
        let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
        let jwt = |access_token| {
            let rules = TokenRules { leeway: Duration::from_secs(30), max_lifetime: Duration::from_secs(900) };
            let expected = Expected { issuer: "i".into(), audience: "a".into(), rules, access_token };
            Jwt::new(&jwks(&[&key]), &[], expected).unwrap()
        };
        let (general, access) = (jwt(false), jwt(true));
        let good = key.sign("at+jwt", &claims()).unwrap();
        for jwt in [&general, &access] {
            assert_eq!(reason(jwt.check(&good, at(NOW))), "ok");
            assert_eq!(reason(jwt.check(&good, at(NOW + 89))), "ok");
            assert_eq!(reason(jwt.check(&good, at(NOW + 90))), "expired");
            assert_eq!(reason(jwt.check(&good, at(NOW - 30))), "ok");
            assert_eq!(reason(jwt.check(&good, at(NOW - 31))), "not_yet_valid");
            for name in ["iss", "aud", "exp", "iat"] {
                assert_eq!(
                    reason(jwt.check(&key.sign("at+jwt", &without(name)).unwrap(), at(NOW))),
                    "claims",
                    "{name}"
                );
            }
            for (name, value) in [("iss", json!("I")), ("aud", json!("b")), ("sub", json!(5)), ("jti", json!(""))] {
                let mut claims = claims();
                claims[name] = value;
                assert_eq!(reason(jwt.check(&key.sign("at+jwt", &claims).unwrap(), at(NOW))), "claims", "{name}");
            }
        }
        // What an access token has to have beside that.
        for token in [key.sign("JWT", &claims()), key.sign("id+jwt", &claims())] {
            let token = token.unwrap();
            assert_eq!(
                (reason(general.check(&token, at(NOW))), reason(access.check(&token, at(NOW)))),
                ("ok", "header")
            );
        }
        for name in ["sub", "client_id", "jti"] {
            let token = key.sign("at+jwt", &without(name)).unwrap();
            assert_eq!(
                (reason(general.check(&token, at(NOW))), reason(access.check(&token, at(NOW)))),
                ("ok", "claims")
            );
        }
    }

    #[test]
    fn hk_5_a_key_is_judged_by_its_form() {
        let key =
            crate::credential::key::generate(crate::config::KeyEnvironment::Live, &mut rand::rngs::SysRng).unwrap();
        let text = key.expose();
        assert!(is_key(text) && !is_key(&text[1..]) && !is_key(&format!("{text} ")) && !is_key(""));
    }
}
