//! A client with a key of its own, for tests.

use super::super::jws::SigningKey;
use super::*;

/// Makes proofs.
pub(crate) struct Prover {
    key: SigningKey,
}

impl Prover {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        Self { key: SigningKey::generate(algorithm).expect("a key") }
    }

    /// The thumbprint, as another implementation of RFC 7638 has it: that of the issuer's keys.
    pub(crate) fn jkt(&self) -> &str {
        self.key.kid()
    }

    /// The header of good proofs.
    pub(crate) fn header(&self) -> Value {
        let mut jwk = self.key.jwk().expect("a public key");
        for member in ["kid", "alg", "use"] {
            jwk.as_object_mut().expect("an object").remove(member);
        }
        json!({ "typ": "dpop+jwt", "alg": self.key.jwk().expect("a public key")["alg"], "jwk": jwk })
    }

    /// The claims of a good proof without token and nonce.
    pub(crate) fn claims(method: &str, url: &str, now: UnixTime) -> Value {
        let jti = format!("{:032x}", rand::random::<u128>());
        json!({ "jti": jti, "htm": method, "htu": url, "iat": now.as_secs() })
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(header, &claims.to_string())
    }

    /// Signs claims as they are written.
    pub(crate) fn sign_text(&self, header: &Value, claims: &str) -> String {
        self.key.sign_as_it_is(header.to_string().as_bytes(), claims.as_bytes())
    }

    /// A good proof; `changes` replace claims, or drop them when null.
    pub(crate) fn proof(&self, method: &str, url: &str, now: UnixTime, changes: &[(&str, Value)]) -> String {
        let mut claims = Self::claims(method, url, now);
        for (name, value) in changes {
            claims[*name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().expect("an object").remove(*name);
            }
        }
        self.sign(&self.header(), &claims)
    }
}
