//! JSON Web Signature (RFC 7515) in the compact form, and the keys it is made and checked with (RFC 7517, RFC 7518).
//!
//! Checking is our own code, because it runs once per request: keys are parsed when they are loaded and never again.
//! Signing goes through `jsonwebtoken`, which gives the two directions independent implementations.

pub(crate) mod base64url;
pub(crate) mod compact;
pub(crate) mod json;
mod keys;
mod signing;

pub use keys::KeySet;
pub(crate) use keys::VerifyError;
pub use signing::SigningKey;

use crate::config::Algorithm;

/// Why a key or key set is refused. The text never contains key material.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

/// The `alg` value of an algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
pub(crate) fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::HS256 => "HS256",
        Algorithm::RS256 => "RS256",
        Algorithm::PS256 => "PS256",
        Algorithm::ES256 => "ES256",
        Algorithm::ES384 => "ES384",
        Algorithm::EdDSA => "EdDSA",
    }
}

#[cfg(test)]
pub(crate) const ALGORITHMS: [Algorithm; 6] =
    [Algorithm::HS256, Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
