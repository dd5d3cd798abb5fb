//! What a trial of new connections measured, and what handshakes a revocation took.

use std::collections::BTreeMap;
use std::iter::Sum;

use bench_server::contract::Counters;
use serde::{Deserialize, Serialize};

use super::{EncodedHistogram, LoadResult};
use crate::cell::Cell;
use crate::plan::ProbeKind;

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

/// TLS handshakes by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeCounts {
    /// Full ones, done on both sides.
    pub full: u64,
    /// Resumed ones.
    pub resumed: u64,
    /// Full ones that the server refused for the client's certificate.
    pub refused: u64,
}

impl HandshakeCounts {
    /// What happened between `earlier` and `self`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            full: self.full - earlier.full,
            resumed: self.resumed - earlier.resumed,
            refused: self.refused - earlier.refused,
        }
    }
}

impl From<&Counters> for HandshakeCounts {
    fn from(counters: &Counters) -> Self {
        Self {
            full: counters.handshakes_full,
            resumed: counters.handshakes_resumed,
            refused: counters.handshakes_refused,
        }
    }
}

impl Sum for HandshakeCounts {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            full: sum.full + one.full,
            resumed: sum.resumed + one.resumed,
            refused: sum.refused + one.refused,
        })
    }
}

/// The TLS handshakes of a case in which credentials are revoked, counted on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevocationHandshakes {
    /// Those of the probes, as the client saw them, by the kind of connection that they were made for.
    pub probes: BTreeMap<ProbeKind, HandshakeCounts>,
    /// Those that the client made so that later ones had a session to resume.
    pub primings: HandshakeCounts,
    /// Those of credentials that nobody revokes, their own primings included.
    pub bystanders: HandshakeCounts,
    /// What the resource server's processes counted meanwhile, all replicas together. The cases that are measured at the same
    /// time are of different variants, so that nobody else connects to these processes.
    pub server: Cell<HandshakeCounts>,
}

impl RevocationHandshakes {
    /// All that the client made.
    pub fn client(&self) -> HandshakeCounts {
        self.probes.values().copied().chain([self.primings, self.bystanders]).sum()
    }
}
