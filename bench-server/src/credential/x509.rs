//! stub: what is read out of a client certificate.

use crate::clock::UnixTime;
use std::sync::Arc;

/// The identity that a verified client certificate carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// The one URI SAN, a SPIFFE ID.
    pub spiffe_id: Arc<str>,
    /// Serial number in lower-case hexadecimal.
    pub serial: Arc<str>,
    /// `notAfter`.
    pub not_after: UnixTime,
}

/// Why a certificate carries no acceptable identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the certificate carries no acceptable identity")]
pub struct NoIdentity;

impl ClientIdentity {
    /// Reads the identity of an already verified certificate.
    pub fn from_der(_der: &[u8]) -> Result<Self, NoIdentity> {
        unimplemented!()
    }
}
