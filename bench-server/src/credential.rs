//! What credentials are made of: key format, networks, password hashes, JWS, X.509, OCSP.

pub(crate) mod base62;
pub mod digest;
pub mod jws;
pub mod key;
pub mod network;
pub(crate) mod ocsp;
pub mod password;
pub mod x509;
