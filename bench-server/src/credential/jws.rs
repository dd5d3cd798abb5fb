//! JSON Web Signature (RFC 7515) in the compact form, and the keys it is made and checked with (RFC 7517, RFC 7518).
//!
//! Checking is our own code, because it runs once per request: keys are parsed when they are loaded and never again.
//! Signing goes through `jsonwebtoken`, which gives the two directions independent implementations.

pub(crate) mod base64url;
pub(crate) mod compact;
pub(crate) mod json;
mod keys;
mod signing;
pub(crate) mod token;

pub use keys::KeySet;
pub(crate) use keys::VerifyError;
pub use signing::SigningKey;

use crate::config::Algorithm;

/// Why a key or key set is refused. The text never contains key material.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

/// The `alg` value of an algorithm.
pub(crate) fn name(algorithm: Algorithm) -> &'static str {
    algorithm.name()
}

/// Algorithms whose keys can be published.
#[cfg(test)]
pub(crate) fn asymmetric() -> impl Iterator<Item = Algorithm> {
    Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric())
}
