//! Stands between servers and what they depend on (a store, the authorization server) and passes bytes on: at once, late, or
//! not at all. So that slowness and outages can be had that are real for whoever waits for an answer, while what is depended
//! on lives on, and others reach it.
//!
//! It runs on a thread of its own, on the servers' processor: what it costs is not the client's.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::machine::pin_current_thread;

/// Bytes taken from a connection at a time.
const CHUNK: usize = 16 * 1024;

/// Chunks on their way: at a second's delay and a thousand answers a second, all of them.
const UNDERWAY: usize = 4_096;

/// Pause after a failed `accept`, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How bytes pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// At once.
    Open,
    /// Answers arrive so much later.
    Late(Duration),
    /// Connections end, and new ones end at once.
    Closed,
}

/// A forwarder. Dropping it ends its connections and its thread.
pub(crate) struct Forwarder {
    passage: watch::Sender<Passage>,
    towards: Arc<OnceLock<Address>>,
    _end: oneshot::Sender<()>,
}

/// Where connections go.
#[derive(Debug, Clone)]
enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Where connections come from.
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

impl Forwarder {
    /// One that listens on a port of its own; where it leads to is told with [`Forwarder::lead_to`].
    ///
    /// # Errors
    /// When no port or no thread can be had.
    pub(crate) fn on_port(cpus: &[usize]) -> io::Result<(Self, SocketAddr)> {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        let forwarder = Self::start(cpus, move || TcpListener::from_std(socket).map(Listener::Tcp))?;
        Ok((forwarder, address))
    }

    /// One that listens on the Unix socket `at` and leads to the Unix socket `to`.
    ///
    /// # Errors
    /// When the socket cannot be made, or no thread can be had.
    pub(crate) fn on_socket(cpus: &[usize], at: &Path, to: PathBuf) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixListener::bind(at)?;
        socket.set_nonblocking(true)?;
        let forwarder = Self::start(cpus, move || UnixListener::from_std(socket).map(Listener::Unix))?;
        forwarder.towards.get_or_init(|| Address::Unix(to));
        Ok(forwarder)
    }

    fn start(cpus: &[usize], listener: impl FnOnce() -> io::Result<Listener> + Send + 'static) -> io::Result<Self> {
        let (passage, passing) = watch::channel(Passage::Open);
        let (end, ended) = oneshot::channel();
        let towards = Arc::<OnceLock<Address>>::default();
        let (to, cpu) = (towards.clone(), cpus.first().copied());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("forwarder".to_owned()).spawn(move || {
            // Where it cannot be bound it runs where the client does.
            let _ = cpu.map(pin_current_thread);
            runtime.block_on(async {
                match listener() {
                    Ok(listener) => {
                        tokio::select! {
                            () = accept(listener, to, passing) => {}
                            _ = ended => {}
                        }
                    }
                    Err(error) => eprintln!("authbench: the forwarder does not listen: {error}"),
                }
            });
        })?;
        Ok(Self { passage, towards, _end: end })
    }

    /// Says where connections go, once.
    pub(crate) fn lead_to(&self, address: SocketAddr) {
        self.towards.get_or_init(|| Address::Tcp(address));
    }

    /// Changes how bytes pass from now on.
    pub(crate) fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

async fn accept(listener: Listener, towards: Arc<OnceLock<Address>>, passage: watch::Receiver<Passage>) {
    loop {
        let accepted: io::Result<Box<dyn Stream + Send>> = match &listener {
            Listener::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                let _ = stream.set_nodelay(true);
                Box::new(stream) as _
            }),
            Listener::Unix(listener) => listener.accept().await.map(|(stream, _)| Box::new(stream) as _),
        };
        match accepted {
            // Ended at once: dropped.
            Ok(_) if *passage.borrow() == Passage::Closed => {}
            Ok(near) => drop(tokio::spawn(forward(near, towards.clone(), passage.clone()))),
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One connection, until one side ends it or the passage is closed.
async fn forward(near: Box<dyn Stream + Send>, towards: Arc<OnceLock<Address>>, mut passage: watch::Receiver<Passage>) {
    let Some(towards) = towards.get() else { return };
    let far: io::Result<Box<dyn Stream + Send>> = match towards {
        Address::Tcp(address) => TcpStream::connect(address).await.map(|stream| {
            let _ = stream.set_nodelay(true);
            Box::new(stream) as _
        }),
        Address::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as _),
    };
    let Ok(far) = far else { return };
    let (near_read, near_write) = split(near);
    let (far_read, far_write) = split(far);
    let delays = passage.clone();
    let late = move || match *delays.borrow() {
        Passage::Late(by) => by,
        Passage::Open | Passage::Closed => Duration::ZERO,
    };
    tokio::select! {
        _ = pass(near_read, far_write, || Duration::ZERO) => {}
        _ = pass(far_read, near_write, late) => {}
        _ = passage.wait_for(|passage| *passage == Passage::Closed) => {}
    }
}

/// Passes bytes on in their order, each chunk as late as is said when it comes. Chunks overtake nothing: what follows a late
/// one waits with it.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    late: impl Fn() -> Duration,
) -> io::Result<()> {
    let (underway, mut arriving) = mpsc::channel::<(Instant, Bytes)>(UNDERWAY);
    let taking = async move {
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = from.read(&mut buffer).await?;
            if read == 0 {
                return Ok(());
            }
            let chunk = (Instant::now() + late(), Bytes::copy_from_slice(&buffer[..read]));
            if underway.send(chunk).await.is_err() {
                return Ok(());
            }
        }
    };
    let giving = async {
        while let Some((due, chunk)) = arriving.recv().await {
            // The timer counts milliseconds and rounds up: what is due goes at once.
            if due > Instant::now() {
                sleep_until(due).await;
            }
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    let (taken, given): (io::Result<()>, io::Result<()>) = futures_util::future::join(taking, giving).await;
    taken.and(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers each byte with itself, and a forwarder that leads to it.
    async fn echo() -> (Forwarder, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let (forwarder, address) = Forwarder::on_port(&[]).expect("a port and a thread");
        forwarder.lead_to(listener.local_addr().expect("it is bound"));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("the listener lives");
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        (forwarder, address)
    }

    async fn ask(stream: &mut TcpStream, byte: u8) -> io::Result<u8> {
        stream.write_all(&[byte]).await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn bytes_pass_until_it_is_closed_and_again_when_it_is_open() {
        let (forwarder, address) = echo().await;
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        assert_eq!(ask(&mut stream, 7).await.expect("an answer"), 7);
        forwarder.set(Passage::Closed);
        assert!(stream.read_u8().await.is_err(), "the connection ends without a request");
        let mut stream = TcpStream::connect(address).await.expect("the port stays");
        assert!(ask(&mut stream, 8).await.is_err(), "new connections end at once");
        forwarder.set(Passage::Open);
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        assert_eq!(ask(&mut stream, 9).await.expect("an answer"), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_late_together_and_not_one_after_the_other() {
        const LATE: Duration = Duration::from_millis(200);
        let (mut server, from) = tokio::io::duplex(64);
        let (to, mut client) = tokio::io::duplex(64);
        tokio::spawn(pass(from, to, || LATE));
        let begun = Instant::now();
        for byte in 0..10 {
            server.write_all(&[byte]).await.expect("it is open");
        }
        let mut answers = [0; 10];
        client.read_exact(&mut answers).await.expect("all answers");
        assert_eq!(answers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "in their order");
        assert_eq!(begun.elapsed(), LATE);
        drop(server);
        assert_eq!(client.read(&mut [0]).await.expect("the end is passed on"), 0);
    }

    #[tokio::test]
    async fn unix_sockets_are_led_to_as_well() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (at, to) = (folder.path().join("at"), folder.path().join("to"));
        let server = UnixListener::bind(&to).expect("a socket");
        let _forwarder = Forwarder::on_socket(&[], &at, to).expect("a socket and a thread");
        let mut client = UnixStream::connect(&at).await.expect("it listens");
        let (mut accepted, _) = server.accept().await.expect("it is led here");
        client.write_all(b"x").await.expect("it is open");
        assert_eq!(accepted.read_u8().await.expect("it arrives"), b'x');
        drop(accepted);
        assert_eq!(client.read(&mut [0]).await.expect("the end is passed on"), 0);
    }
}
