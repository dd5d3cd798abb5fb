//! Connections: TCP with its bytes counted, TLS on top where asked for, and what every handshake turned out to be.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rustls::{ClientConfig, HandshakeKind, NamedGroup};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::round_trips::Handshake;
use super::tls;
use super::{Endpoint, LoadError};
use crate::machine::{Ends, TcpReading};
use crate::outcome::{Outcome, RejectReason, Transport};

/// How long the server is waited for that was told that a connection ends.
const CLOSING: Duration = Duration::from_secs(1);

/// Opens connections to one endpoint.
pub(super) struct Connector {
    address: SocketAddr,
    name: ServerName<'static>,
    /// What all connections did together.
    pub(super) traffic: Arc<Traffic>,
}

/// How a connection came about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Established {
    /// Begin of the connect → TCP connected.
    pub(super) tcp: Duration,
    /// TCP connected → TLS ready; zero without TLS.
    pub(super) tls: Duration,
    /// What TLS did, where there is TLS.
    pub(super) handshake: Option<Handshake>,
    /// The group of the key exchange, where there was one: a session of TLS 1.2 is resumed without.
    pub(super) key_exchange: Option<&'static str>,
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
        self.establish(tls).await.map(|(stream, _)| stream)
    }

    /// The same, and how the connection came about.
    pub(super) async fn establish(
        &self,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<(Stream, Established), ConnectError> {
        let begun = Instant::now();
        let unreachable = |source| ConnectError { outcome: Outcome::Failed(Transport::Connect), source };
        let tcp = TcpStream::connect(self.address).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let tcp = Counted::new(tcp, &self.traffic).map_err(unreachable)?;
        let connected = Instant::now();
        let mut established =
            Established { tcp: connected - begun, tls: Duration::ZERO, handshake: None, key_exchange: None };
        let Some(config) = tls else { return Ok((Stream::Plaintext(tcp), established)) };
        let failed = |source: io::Error| {
            let refused = tls::refuses_client(&source);
            self.traffic.refused.add(u64::from(refused));
            let outcome = match refused {
                true => Outcome::Rejected(RejectReason::TlsAlert),
                false => Outcome::Failed(Transport::Handshake),
            };
            ConnectError { outcome, source }
        };
        let stream = TlsConnector::from(Arc::clone(config)).connect(self.name.clone(), tcp).await.map_err(failed)?;
        let session = stream.get_ref().1;
        established.tls = connected.elapsed();
        established.key_exchange = session.negotiated_key_exchange_group().map(|group| group_name(group.name()));
        let handshake = match session.handshake_kind() {
            Some(HandshakeKind::Resumed) => Handshake::Resumed,
            Some(HandshakeKind::FullWithHelloRetryRequest) => Handshake::Retried,
            _ => Handshake::Full,
        };
        established.handshake = Some(handshake);
        match handshake {
            Handshake::Resumed => self.traffic.resumed.add(1),
            Handshake::Full | Handshake::Retried => self.traffic.full.add(1),
        }
        let asked = &config.alpn_protocols;
        if asked.iter().any(|asked| asked == b"h2") && session.alpn_protocol() != Some(b"h2") {
            return Err(failed(io::Error::other("the server does not offer HTTP/2 (ALPN h2)")));
        }
        Ok((Stream::Tls(Box::new(Secured::new(stream, handshake))), established))
    }
}

/// A group as scenarios write it.
fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "P-256",
        other => other.as_str().unwrap_or("unknown"),
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
    refused: Count,
    refused_late: Count,
    certificates: Count,
    not_closed: Count,
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
    /// TLS handshakes that the server refused for the client's certificate.
    pub(super) refused: u64,
    /// Of them, those that the client took for done, so that they are among the full ones too; see [`Secured`].
    pub(super) refused_late: u64,
    /// Client certificates presented because the server asked for one.
    pub(super) certificates: u64,
    /// Connections that the server did not close when it was told that they end.
    pub(super) not_closed: u64,
}

impl Traffic {
    /// Counts a client certificate that was presented.
    pub(super) fn certificate_presented(&self) {
        self.certificates.add(1);
    }

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
            refused: self.refused.get(),
            refused_late: self.refused_late.get(),
            certificates: self.certificates.get(),
            not_closed: self.not_closed.get(),
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
    /// How long is waited for the server's end of the connection, once `close_notify` was sent.
    closing: Option<Pin<Box<Sleep>>>,
}

const NO_PANIC: &str = "nobody panics while holding it";

impl Counted {
    fn new(tcp: TcpStream, traffic: &Arc<Traffic>) -> io::Result<Self> {
        let ends = Ends { local: tcp.local_addr()?, remote: tcp.peer_addr()? };
        traffic.opened.add(1);
        traffic.open.lock().expect(NO_PANIC).insert(ends);
        Ok(Self { tcp, ends, traffic: Arc::clone(traffic), closing: None })
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

    /// Ends a connection of TLS whose `close_notify` is on its way. The server is given time to close first, as it must
    /// (RFC 5246 §7.2.1) or will: who closes first keeps the pair of addresses in TIME-WAIT for minutes (RFC 9293
    /// §3.6.1), and a client that opens thousands of connections per second to one address would run out of ports.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let closing = this.closing.get_or_insert_with(|| Box::pin(tokio::time::sleep(CLOSING)));
        let mut rest = [0; 256];
        loop {
            let mut rest = ReadBuf::new(&mut rest);
            match Pin::new(&mut this.tcp).poll_read(cx, &mut rest) {
                Poll::Ready(Ok(())) if !rest.filled().is_empty() => {
                    this.traffic.received.add(rest.filled().len() as u64);
                }
                Poll::Ready(_) => break,
                Poll::Pending if closing.as_mut().poll(cx).is_ready() => {
                    this.traffic.not_closed.add(1);
                    break;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        Pin::new(&mut this.tcp).poll_shutdown(cx)
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
    Tls(Box<Secured>),
}

/// TLS on a connection. In TLS 1.3 the client is done with a full handshake before the server has seen its certificate (RFC
/// 8446 §2): whether that was refused shows where the first data are read.
pub(super) struct Secured {
    stream: TlsStream<Counted>,
    /// Whether the server may still refuse the handshake.
    in_doubt: bool,
}

impl Secured {
    fn new(stream: TlsStream<Counted>, handshake: Handshake) -> Self {
        // A resumed session presents no certificate.
        Self { stream, in_doubt: handshake != Handshake::Resumed }
    }

    fn look_at(&mut self, read: &Poll<io::Result<()>>) {
        match read {
            Poll::Pending => return,
            Poll::Ready(Err(error)) if tls::refuses_client(error) => {
                let traffic = &self.stream.get_ref().0.traffic;
                traffic.refused.add(1);
                traffic.refused_late.add(1);
            }
            Poll::Ready(_) => {}
        }
        self.in_doubt = false;
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plaintext(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(secured) => {
                let read = Pin::new(&mut secured.stream).poll_read(cx, buffer);
                if secured.in_doubt {
                    secured.look_at(&read);
                }
                read
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plaintext(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plaintext(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            // Nothing told the server that the connection ends: only the end itself does.
            Self::Plaintext(stream) => Pin::new(&mut stream.tcp).poll_shutdown(cx),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (Counted, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        (Counted::new(tcp, &Arc::default()).unwrap(), server)
    }

    #[tokio::test]
    async fn the_server_closes_first_and_what_it_still_sends_is_counted() {
        let (mut client, mut server) = pair().await;
        let serving = async {
            server.write_all(b"close_notify").await.unwrap();
            server.shutdown().await.unwrap();
        };
        let (closed, ()) = tokio::join!(client.shutdown(), serving);
        closed.unwrap();
        let totals = client.traffic.totals();
        assert_eq!((totals.received, totals.not_closed), (12, 0));
    }

    #[tokio::test]
    async fn a_server_that_does_not_close_is_waited_for_and_counted() {
        let (mut client, server) = pair().await;
        tokio::time::pause(); // nothing else happens, so the clock moves on by itself
        client.shutdown().await.unwrap();
        assert_eq!(client.traffic.totals().not_closed, 1);
        drop(server);
    }
}
