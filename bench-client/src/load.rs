//! The load engine: a schedule says when, the wire says what bytes, the worker sends, the clock says until when.
//!
//! It runs on one single-threaded tokio runtime of the calling thread. Latency is counted from the intended time, so a
//! server that stalls is charged for every request that the stall delayed.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_server::contract::{HttpVersion, Issued, Transport};
use hdrhistogram::Histogram;
use rustls_pki_types::CertificateDer;

use crate::credential::Pool;
use crate::outcome::{Outcome, Outcomes};
use crate::plan::{ArrivalModel, ConnectionKind};

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

/// What slices of load measured, added up.
pub struct Tally {
    /// Sum of the slices' lengths.
    pub measured: Duration,
    /// Requests due and never sent.
    pub dropped: u64,
    /// See [`crate::record::LoadResult::outcomes`].
    pub outcomes: Outcomes,
    /// See [`crate::record::LoadResult::answered`].
    pub answered: u64,
    /// Intended time → last byte, accepted only, nanoseconds.
    pub latency: Histogram<u64>,
    /// Actual send → last byte, accepted only, nanoseconds.
    pub service_time: Histogram<u64>,
    /// Intended time → actual send, nanoseconds.
    pub lateness: Histogram<u64>,
    /// Bytes written to TCP.
    pub bytes_sent: u64,
    /// Bytes read from TCP.
    pub bytes_received: u64,
    /// Full TLS handshakes.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes.
    pub handshakes_resumed: u64,
}

/// Connections of one variant, kept across slices.
pub struct Session {}

impl Session {
    /// Opens `connections` connections and renders every credential's request. With client certificates connection `i`
    /// presents credential `i` (modulo the pool) for its whole life.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn open(
        _endpoint: Endpoint,
        _pool: Arc<Pool>,
        _connections: usize,
        _seed: u64,
    ) -> Result<Self, LoadError> {
        unimplemented!()
    }

    /// One open-loop slice over the first `connections` connections: arrivals of the model for `length`, then waiting
    /// (bounded) for the answers still out.
    pub async fn open_loop(
        &mut self,
        _model: ArrivalModel,
        _rate_per_s: f64,
        _length: Duration,
        _connections: usize,
        _kind: ConnectionKind,
        _tally: &mut Tally,
    ) {
        unimplemented!()
    }

    /// One closed-loop slice over the first `connections` connections for `length`, then waiting for the answers still
    /// out.
    pub async fn closed_loop(
        &mut self,
        _length: Duration,
        _connections: usize,
        _kind: ConnectionKind,
        _tally: &mut Tally,
    ) {
        unimplemented!()
    }
}

/// One caller with one credential: what probes a revocation.
pub struct Caller {}

/// What one call came to.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// When the request was sent (for a new connection: when it was begun).
    pub sent: Instant,
    /// When the outcome was known.
    pub done: Instant,
    /// The outcome.
    pub outcome: Outcome,
}

impl Caller {
    /// A caller that presents `credential`.
    ///
    /// # Errors
    /// [`LoadError::Credential`].
    pub fn new(_endpoint: Endpoint, _credential: &Issued, _kind: ConnectionKind) -> Result<Self, LoadError> {
        unimplemented!()
    }

    /// Sends one request and waits for its outcome, at most 10 s. Reconnects where the server closed the connection.
    pub async fn call(&mut self) -> Answer {
        unimplemented!()
    }
}
