//! Settings of a handshake measurement.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ConnectionKind;

/// New connections one after the other, each used for so many requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandshakePlan {
    /// Connections open at a time, each with one request in flight.
    pub connections: usize,
    /// How each of them begins.
    pub session: SessionKind,
    /// Requests on a connection before it is closed.
    pub requests_per_connection: u32,
    /// Load before the first round of each start, not counted.
    #[serde(with = "humantime_serde")]
    pub warmup: Duration,
    /// After so long no more connections are opened; the slice ends with the last of those that are open.
    #[serde(with = "humantime_serde")]
    pub slice: Duration,
    /// Slices per trial.
    pub slices: u32,
}

/// How a TLS session begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionKind {
    /// With a full handshake.
    Full,
    /// With the state of an earlier session (RFC 8446 §2.2; RFC 5246 §7.3).
    Resumed,
}

impl SessionKind {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Resumed => "resumed",
        }
    }

    /// The kind of connection that begins so.
    pub fn connection(self) -> ConnectionKind {
        match self {
            Self::Full => ConnectionKind::Fresh,
            Self::Resumed => ConnectionKind::Resumed,
        }
    }
}

impl HandshakePlan {
    /// What follows the written name in that of the measurement: no written name can look like it.
    pub fn suffix(&self) -> String {
        format!("@{},k={}", self.session.word(), self.requests_per_connection)
    }
}
