//! The load engine: a schedule says when, the wire says what bytes, the worker sends, the clock says until when.
//!
//! It runs on one single-threaded tokio runtime of the calling thread. Latency is counted from the intended time, so a
//! server that stalls is charged for every request that the stall delayed.

//!
//! ```text
//! schedule (when) → session (who sends, until when) → slot → http1, http2 → connect, tls
//!                                                      request, response: the bytes and what they mean
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use bench_server::contract::{HttpVersion, KeyExchange, Transport};
use rustls_pki_types::CertificateDer;

pub use self::caller::{Answer, Caller};
pub use self::first::{FirstCall, Taken};
pub use self::handshakes::Handshakes;
pub use self::session::Session;
pub use self::tally::Tally;
use crate::outcome::Outcome;

mod caller;
mod connect;
mod first;
mod handshakes;
mod http1;
mod http2;
mod request;
mod response;
mod round_trips;
mod schedule;
mod session;
mod slot;
mod tally;
#[cfg(test)]
mod testing;
mod tls;

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Address.
    pub address: SocketAddr,
    /// Name for `Host` and for the certificate: the host of the URL.
    pub host: String,
    /// What carries HTTP.
    pub transport: Transport,
    /// HTTP version.
    pub http: HttpVersion,
    /// The one group of the key exchange; absent means as rustls prefers.
    pub key_exchange: Option<KeyExchange>,
    /// Roots that the server's certificate must chain to.
    pub roots: Vec<CertificateDer<'static>>,
    /// Path of the protected route.
    pub path: String,
}

/// Why load could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A connection could not be opened.
    #[error("cannot connect to {address}: {message}")]
    Connect {
        /// The server's address.
        address: SocketAddr,
        /// Why.
        message: String,
    },
    /// A credential cannot be presented.
    #[error("credential {id}: {message}")]
    Credential {
        /// The credential's id.
        id: String,
        /// Why.
        message: String,
    },
}

/// Longest answer that is taken. It bounds memory against a server that never stops.
const MAX_ANSWER: usize = 1 << 20;

/// Longest wait for an answer: a slice ends this long after its last request was due, and a call gives up. Far beyond
/// any answer worth waiting for, a password hash behind a full queue included.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a request on a connection.
struct Exchanged {
    outcome: Outcome,
    /// Whether the connection can carry another.
    keep: bool,
}
