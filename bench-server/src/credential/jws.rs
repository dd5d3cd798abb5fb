//! stub: JSON Web Signature (RFC 7515), keys parsed once.

use crate::config::Algorithm;

/// A private (or HMAC) key that signs, with its `kid`.
pub struct SigningKey;
/// Public (or HMAC) keys by `kid`, parsed once.
pub struct KeySet;

/// Why a key or key set is refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

impl SigningKey {
    /// A fresh key from the operating system's random source.
    pub fn generate(_algorithm: Algorithm) -> Result<Self, KeyError> {
        unimplemented!()
    }
    /// The key identifier.
    pub fn kid(&self) -> &str {
        unimplemented!()
    }
    /// Signs claims as a compact JWS with the given `typ`.
    pub fn sign(&self, _typ: &str, _claims: &impl serde::Serialize) -> Result<String, KeyError> {
        unimplemented!()
    }
    /// The key set with just this key, to verify with.
    pub fn key_set(&self) -> KeySet {
        unimplemented!()
    }
    /// The public key as a JWK (RFC 7517); `None` for HMAC keys.
    pub fn jwk(&self) -> Option<serde_json::Value> {
        unimplemented!()
    }
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 §5).
    pub fn from_jwks(_json: &str) -> Result<Self, KeyError> {
        unimplemented!()
    }
}
