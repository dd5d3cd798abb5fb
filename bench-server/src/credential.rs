//! What credentials are made of: key format, password hashes, JWS, X.509.

pub(crate) mod base62;
pub mod digest;
pub mod jws;
pub mod key;
pub mod password;
pub mod x509;
