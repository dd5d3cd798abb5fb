//! What a trial of new connections measured.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EncodedHistogram, LoadResult};

/// Connections opened one after the other, each used for as many requests as the plan says. A slice ends with the last of
/// them, so that whole connections are counted and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandshakeResult {
    /// The requests on them, as in a closed loop; a request's latency begins when it is sent on an open connection.
    /// `measured_ns` is from the begin of each slice to the end of its last connection.
    pub load: LoadResult,
    /// Connections that carried all their requests.
    pub connections: u64,
    /// Begin of the connect → ready for application data. In TLS 1.3 the client is ready before the server has seen its
    /// certificate (RFC 8446 §2): what that costs the caller is in `first_answer`.
    pub ready: EncodedHistogram,
    /// Of it, the part of TCP: until its own handshake was done.
    pub tcp: EncodedHistogram,
    /// Of it, the part of TLS.
    pub tls: EncodedHistogram,
    /// Begin of the connect → last byte of the first answer, where that was accepted.
    pub first_answer: EncodedHistogram,
    /// Client certificates that the client presented because the server asked for one.
    pub certificates: u64,
    /// Connections that the server left open when it was told that they end: then the client closes first, and its port is
    /// taken for a minute.
    pub not_closed: u64,
    /// Connections by the group of their key exchange; a session of TLS 1.2 is resumed without one.
    pub key_exchange: BTreeMap<String, u64>,
}
