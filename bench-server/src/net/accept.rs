//! Workers: threads that accept connections, shake hands, and serve HTTP until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::hello;
use super::http;
use super::route::{Caller, Site};
use super::socket::Socket;
use super::tls::negotiated;
use crate::auth::Connection;
use crate::auth::mtls::Registry;
use crate::config::HttpVersion;
use crate::credential::x509::ClientIdentity;

/// Longest TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long requests in progress may take once the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Pause after a failed `accept`: out of file descriptors, most likely, and there is one again when a connection ends.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long, and for how many bytes, a connection that the server ends is still read from. Closing a socket with unread
/// bytes sends a reset, which may overtake the last answer or alert (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1024 * 1024;

/// A listener as its workers see it.
pub(crate) struct Listener {
    pub(crate) name: String,
    /// Absent in plaintext.
    pub(crate) tls: Option<TlsAcceptor>,
    /// Versions offered; exactly one in plaintext.
    pub(crate) http: Vec<HttpVersion>,
    pub(crate) site: Arc<Site>,
    /// When connections have to end, on listeners that ask for client certificates.
    pub(crate) registry: Option<Arc<Registry>>,
}

/// A running worker.
pub(crate) struct Worker {
    /// Ends after `stop` changed or its sender is gone.
    pub(crate) thread: JoinHandle<()>,
    /// Tells once whether the worker accepts connections.
    pub(crate) started: oneshot::Receiver<io::Result<()>>,
}

/// Starts a thread with a runtime of its own that serves the given sockets.
///
/// # Errors
/// The operating system gives no thread.
pub(crate) fn spawn_worker(
    index: usize,
    sockets: Vec<(std::net::TcpListener, Arc<Listener>)>,
    stop: watch::Receiver<()>,
) -> io::Result<Worker> {
    let (report, started) = oneshot::channel();
    let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || work(sockets, stop, report))?;
    Ok(Worker { thread, started })
}

fn work(
    sockets: Vec<(std::net::TcpListener, Arc<Listener>)>,
    mut stop: watch::Receiver<()>,
    report: oneshot::Sender<io::Result<()>>,
) {
    // Of this thread alone, so that connections never share a lock with those of other workers. When its value changes
    // they finish, and when its last receiver is gone they have.
    let (drain, draining) = watch::channel(());
    let begin = || -> io::Result<Runtime> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        for (socket, listener) in sockets {
            runtime.spawn(accept(TcpListener::from_std(socket)?, listener, draining.clone()));
        }
        drop(entered);
        Ok(runtime)
    };
    let begun = begin();
    drop(draining);
    let runtime = match begun {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = report.send(Err(error));
            return;
        }
    };
    if report.send(Ok(())).is_err() {
        return; // whoever started the worker has given up
    }
    runtime.block_on(async {
        let _ = stop.changed().await; // an error means that the sender is gone: stop as well
        drain.send_replace(());
        let _ = timeout(GRACE, drain.closed()).await; // what is not done by then is cut off with the runtime
    });
    runtime.shutdown_background();
}

async fn accept(socket: TcpListener, listener: Arc<Listener>, mut stop: watch::Receiver<()>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.changed() => return,
            accepted = socket.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                listener.site.meter.connections_accepted.add();
                tokio::spawn(connection(stream, peer, listener.clone(), stop.clone()));
            }
            // The client gave up while it waited.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                tracing::warn!(%error, listener = listener.name, "cannot accept; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(mut stream: TcpStream, peer: SocketAddr, listener: Arc<Listener>, mut stop: watch::Receiver<()>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "connection lost before it was served");
        return;
    }
    let Some(tls) = &listener.tls else {
        let caller = caller(peer, None, false);
        http::serve(&mut stream, listener.http[0], listener.site.clone(), caller, &mut stop).await;
        return linger(&mut stream, &mut stop).await;
    };
    let meter = &listener.site.meter;
    let handshake = async {
        match hello::refuse_outdated(&mut stream).await {
            Ok(()) => tls.accept(Socket(stream)).into_fallible().await,
            Err(error) => Err((error, Socket(stream))),
        }
    };
    let handshake = tokio::select! {
        _ = stop.changed() => return,
        handshake = timeout(HANDSHAKE_TIMEOUT, handshake) => handshake,
    };
    let mut stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err((error, mut stream))) => {
            meter.handshakes_failed.add();
            if is_refusal(&error) {
                meter.handshakes_refused.add();
            }
            tracing::debug!(%error, %peer, listener = listener.name, "handshake failed");
            return linger(&mut stream.0, &mut stop).await;
        }
        Err(_) => {
            meter.handshakes_failed.add();
            tracing::debug!(%peer, listener = listener.name, "handshake took too long");
            return;
        }
    };
    let session = stream.get_ref().1;
    // Read once: a certificate cannot change within a connection.
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => meter.handshakes_resumed.add(),
        _ => {
            meter.handshakes_full.add();
            // That of a resumed session was verified when the session began.
            if leaf.is_some() {
                meter.handshakes_with_certificate.add();
            }
        }
    }
    let identity = leaf.map(|leaf| ClientIdentity::from_der(leaf));
    let caller = match identity {
        None => caller(peer, None, false),
        Some(Ok(identity)) => caller(peer, Some(Arc::new(identity)), false),
        Some(Err(error)) => {
            tracing::debug!(%error, %peer, listener = listener.name, "client certificate");
            caller(peer, None, true)
        }
    };
    let version = negotiated(session, &listener.http);
    let site = listener.site.clone();
    match &listener.registry {
        None => http::serve(&mut stream, version, site, caller, &mut stop).await,
        Some(registry) => {
            let (end, mut ending) = watch::channel(());
            let watched = until_end(registry.clone(), caller.connection.client.clone(), stop.clone());
            // A task of its own, which is not polled for every request.
            let watching = tokio::spawn(async move {
                watched.await;
                drop(end);
            });
            http::serve(&mut stream, version, site, caller, &mut ending).await;
            watching.abort();
        }
    }
    linger(&mut stream.get_mut().0.0, &mut stop).await;
}

/// Returns when a connection is to end: by itself, or because the server stops.
async fn until_end(registry: Arc<Registry>, client: Option<Arc<ClientIdentity>>, mut stop: watch::Receiver<()>) {
    tokio::select! {
        _ = stop.changed() => {}
        () = registry.until_end(client) => {}
    }
}

/// Whether a handshake failed by our judgement on the client's certificate, rather than by what it sent or did not send.
fn is_refusal(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

fn caller(peer: SocketAddr, client: Option<Arc<ClientIdentity>>, without_identity: bool) -> Caller {
    Caller { connection: Connection::new(peer, client), without_identity, closing: AtomicBool::new(false) }
}

/// Says that nothing more will be sent, and reads until the client has noticed; see [`LINGER`].
async fn linger(stream: &mut TcpStream, stop: &mut watch::Receiver<()>) {
    if stop.has_changed().unwrap_or(true) || stream.shutdown().await.is_err() {
        return;
    }
    let discard = async {
        let mut rest = LINGER_BYTES;
        let mut buffer = vec![0; 4096];
        while rest > 0 {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => rest = rest.saturating_sub(n),
            }
        }
    };
    tokio::select! {
        _ = stop.changed() => {}
        _ = timeout(LINGER, discard) => {}
    }
}
