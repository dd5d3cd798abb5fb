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
use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::{HttpVersion, Issued, KeyExchange, Transport};
use rustls_pki_types::CertificateDer;

pub use self::caller::{Answer, Caller};
pub use self::first::{FirstCall, Taken};
pub use self::handshakes::Handshakes;
pub use self::schedule::Profile;
pub use self::session::{OpenLoop, Session};
pub use self::tally::Tally;
use crate::outcome::Outcome;
use crate::plan::Convention;

mod caller;
mod connect;
mod first;
mod handshakes;
mod http1;
mod http2;
#[cfg(test)]
mod mutated;
mod request;
mod response;
mod round_trips;
mod schedule;
mod session;
mod signing;
mod slice;
mod slot;
mod tally;
#[cfg(test)]
pub(crate) mod testing;
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
    /// How credentials are presented and what answers mean; absent means as the reference server has it.
    pub convention: Option<Arc<Convention>>,
}

impl Endpoint {
    /// The request that presents a credential, as this engine would send it; a certificate is not in it.
    ///
    /// # Errors
    /// [`LoadError`] when the credential cannot be presented, or host or path cannot be used.
    pub fn request(&self, credential: &Issued) -> Result<http::Request<()>, LoadError> {
        let endpoint = Self { http: HttpVersion::Http2, ..self.clone() };
        let requests = request::Requests::render(&endpoint, std::slice::from_ref(credential))?;
        Ok(requests.http2(0, &mut signing::Desk::default()))
    }

    /// What `Host` says: without the port where that is the scheme's own (RFC 9110 §4.2.3).
    fn authority(&self) -> String {
        match (self.transport, self.address.port()) {
            (Transport::Plaintext, 80) | (Transport::Tls12 | Transport::Tls13, 443) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }
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
    /// The operating system has no timer left.
    #[error("no timer for the schedule: {0}; raise the limit of open files")]
    Timer(#[source] std::io::Error),
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
