//! Connections: TCP with its bytes counted, TLS on top where asked for, and what every handshake turned out to be.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rustls::{ClientConfig, HandshakeKind};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::tls;
use super::{Endpoint, LoadError};
use crate::machine::{Ends, TcpReading};
use crate::outcome::{Outcome, RejectReason, Transport};

/// Opens connections to one endpoint.
pub(super) struct Connector {
    address: SocketAddr,
    name: ServerName<'static>,
    /// What all connections did together.
    pub(super) traffic: Arc<Traffic>,
}

/// A connection could not be opened.
#[derive(Debug)]
pub(super) struct ConnectError {
    /// What it means for the request that it was opened for.
    pub(super) outcome: Outcome,
    /// Why.
    pub(super) source: io::Error,
}

impl Connector {
    /// # Errors
    /// [`LoadError::Connect`] when the host is no name that a certificate could hold.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, LoadError> {
        // A URL writes an IPv6 address in brackets (RFC 3986 §3.2.2), a certificate does not.
        let host = endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| LoadError::Connect {
            address: endpoint.address,
            message: format!("host {:?}: {error}", endpoint.host),
        })?;
        Ok(Self { address: endpoint.address, name, traffic: Arc::default() })
    }

    /// Opens a connection; with `tls` it is ready for application data when this returns.
    pub(super) async fn connect(&self, tls: Option<&Arc<ClientConfig>>) -> Result<Stream, ConnectError> {
        let unreachable = |source| ConnectError { outcome: Outcome::Failed(Transport::Connect), source };
        let tcp = TcpStream::connect(self.address).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let tcp = Counted::new(tcp, &self.traffic).map_err(unreachable)?;
        let Some(config) = tls else { return Ok(Stream::Plaintext(tcp)) };
        let failed = |source: io::Error| ConnectError {
            outcome: if tls::refuses_client(&source) {
                Outcome::Rejected(RejectReason::TlsAlert)
            } else {
                Outcome::Failed(Transport::Handshake)
            },
            source,
        };
        let stream = TlsConnector::from(Arc::clone(config)).connect(self.name.clone(), tcp).await.map_err(failed)?;
        let session = stream.get_ref().1;
        match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => self.traffic.resumed.add(1),
            _ => self.traffic.full.add(1),
        }
        let asked = &config.alpn_protocols;
        if asked.iter().any(|asked| asked == b"h2") && session.alpn_protocol() != Some(b"h2") {
            return Err(failed(io::Error::other("the server does not offer HTTP/2 (ALPN h2)")));
        }
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// What connections did, added up. Shared with the tasks that drive HTTP/2 connections.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: Count,
    received: Count,
    opened: Count,
    full: Count,
    resumed: Count,
    /// The connections that are open, which the kernel can be asked about.
    open: Mutex<BTreeSet<Ends>>,
}

/// A reading of [`Traffic`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Totals {
    /// Bytes written to TCP.
    pub(super) sent: u64,
    /// Bytes read from TCP.
    pub(super) received: u64,
    /// TCP connections opened.
    pub(super) opened: u64,
    /// Full TLS handshakes.
    pub(super) full: u64,
    /// Resumed TLS handshakes.
    pub(super) resumed: u64,
}

impl Traffic {
    /// What the kernel has counted on the connections that are open.
    ///
    /// # Errors
    /// Why it does not tell.
    pub(super) fn tcp(&self) -> Result<TcpReading, String> {
        let open: Vec<Ends> = self.open.lock().expect(NO_PANIC).iter().copied().collect();
        TcpReading::of(&open, self.opened.get())
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            sent: self.sent.get(),
            received: self.received.get(),
            opened: self.opened.get(),
            full: self.full.get(),
            resumed: self.resumed.get(),
        }
    }
}

/// A count that only one thread changes, as the engine has only one: a load and a store are enough, where an atomic
/// addition would lock the memory bus. It is atomic at all so that connections can be spawned as tasks.
#[derive(Debug, Default)]
struct Count(AtomicU64);

impl Count {
    fn add(&self, n: u64) {
        self.0.store(self.get() + n, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A TCP stream whose bytes are counted, TLS records and handshakes included.
pub(super) struct Counted {
    tcp: TcpStream,
    ends: Ends,
    traffic: Arc<Traffic>,
}

const NO_PANIC: &str = "nobody panics while holding it";

impl Counted {
    fn new(tcp: TcpStream, traffic: &Arc<Traffic>) -> io::Result<Self> {
        let ends = Ends { local: tcp.local_addr()?, remote: tcp.peer_addr()? };
        traffic.opened.add(1);
        traffic.open.lock().expect(NO_PANIC).insert(ends);
        Ok(Self { tcp, ends, traffic: Arc::clone(traffic) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.traffic.open.lock().expect(NO_PANIC).remove(&self.ends);
    }
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        self.traffic.received.add((buffer.filled().len() - before) as u64);
        result
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.count_sent(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write_vectored(cx, parts);
        self.count_sent(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Counted {
    fn count_sent(&self, result: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(n)) = result {
            self.traffic.sent.add(*n as u64);
        }
    }
}

/// What HTTP is spoken over.
pub(super) enum Stream {
    Plaintext(Counted),
    Tls(Box<TlsStream<Counted>>),
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plaintext(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plaintext(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plaintext(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plaintext(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
