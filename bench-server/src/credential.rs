//! What credentials are made of: key format, networks, password hashes, JWS, proofs of possession, HTTP message signatures,
//! X.509, OCSP.

pub(crate) mod base62;
pub mod digest;
pub(crate) mod dpop;
pub mod http_signature;
pub mod jws;
pub mod key;
pub mod network;
pub(crate) mod ocsp;
pub mod password;
pub(crate) mod possession;
pub mod x509;
