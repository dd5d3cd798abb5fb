//! HTTP over one established connection: HTTP/1.1 (RFC 9112) or HTTP/2 (RFC 9113), with limits.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use ::http::Request;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::problem::Answer;
use super::route::{Caller, MAX_HEADER_BLOCK, Site};
use crate::config::HttpVersion;

/// Shortest time after which a connection without a complete request is ended, counted from its last answer: the end of
/// idle connections, and of those that send a header block byte by byte. It must outlast the pauses between two slices of
/// a load client.
const SILENCE: Duration = Duration::from_secs(300);

/// How many times a connection is looked at within [`SILENCE`]; the end comes with a look, so up to one interval later.
/// hyper's own timeout arms and disarms a timer for every request, which costs as much as checking an API key.
const LOOKS: u32 = 4;

/// How long a connection that is to end may take to do so: for requests in progress, and for a client to let go of it.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serves a connection until it ends, falls silent, or, once told by `stop` or by [`Caller::closing`], until the requests
/// in progress are answered.
pub(crate) async fn serve<S>(
    stream: &mut S,
    version: HttpVersion,
    site: Arc<Site>,
    caller: Caller,
    stop: &mut watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = TokioIo::new(stream);
    let conversation = Arc::new(Conversation { site, caller, begun: AtomicU64::new(0), ended: AtomicU64::new(0) });
    let served = conversation.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let in_progress = InProgress::begin(served.clone());
        async move { Ok::<_, Infallible>(in_progress.answer(request).await) }
    });
    let result = match version {
        HttpVersion::Http1 => {
            let connection = http1::Builder::new()
                .header_read_timeout(None) // `drive` has it
                .max_buf_size(MAX_HEADER_BLOCK as usize)
                .writev(false) // answers are short: one copy costs less than a list of two buffers
                .serve_connection(stream, service);
            drive(pin!(connection), &conversation, stop).await
        }
        HttpVersion::Http2 => {
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .max_header_list_size(MAX_HEADER_BLOCK)
                .serve_connection(stream, service);
            drive(pin!(connection), &conversation, stop).await
        }
    };
    if let Err(error) = result {
        // The client went away or silent, or sent what is not HTTP: its affair, not a fault of the server.
        tracing::debug!(%error, peer = %conversation.caller.connection.peer, "connection ended");
    }
}

/// What the requests of one connection share.
struct Conversation {
    site: Arc<Site>,
    caller: Caller,
    /// Requests whose header block was complete, and those of them that were answered or given up.
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request from the end of its header block until it is answered, or dropped because the client has gone away.
struct InProgress(Arc<Conversation>);

impl InProgress {
    fn begin(conversation: Arc<Conversation>) -> Self {
        conversation.begun.fetch_add(1, Ordering::Relaxed);
        Self(conversation)
    }

    async fn answer(self, request: Request<Incoming>) -> Answer {
        self.0.site.answer(request, &self.0.caller).await
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts the looks at a connection between which nothing happened.
#[derive(Default)]
struct Silence {
    seen: u64,
    looks: u32,
}

impl Silence {
    /// Takes a look at how many requests were begun and how many have ended; tells whether the connection was silent for
    /// [`SILENCE`]. While a request is in progress it is not the client who is waited for.
    fn is_over(&mut self, begun: u64, ended: u64) -> bool {
        let silent = begun == ended && ended == self.seen;
        self.seen = ended;
        self.looks = if silent { self.looks + 1 } else { 0 };
        self.looks == LOOKS
    }
}

/// Why a connection ended other than by agreement.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error("no complete request for {SILENCE:?}")]
    Silent,
    #[error("told to end, and still there after {FAREWELL:?}")]
    Lingering,
}

/// hyper's two types of connection, which no trait of its own unites.
trait Connection: Future<Output = hyper::Result<()>> {
    /// Ends the connection after the requests in progress.
    fn finish(self: Pin<&mut Self>);
}

impl<I, S> Connection for http1::Connection<I, S>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Connection for http2::Connection<I, S, TokioExecutor>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = Full<Bytes>, Error = Infallible>,
    S::Future: Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Polls the connection to its end. This runs for every request, so what else might end the connection registers its
/// waker once, and is then asked by a glance that takes no lock.
async fn drive<C: Connection>(
    mut connection: Pin<&mut C>,
    conversation: &Conversation,
    stop: &mut watch::Receiver<()>,
) -> Result<(), Ended> {
    let look = SILENCE / LOOKS;
    let stopping = stop.clone();
    let (mut stopped, mut timer) = (pin!(stop.changed()), pin!(sleep(look)));
    let (mut silence, mut finishing) = (Silence::default(), false);
    let mut registered: Option<Waker> = None;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(Ended::Http));
            }
            if !registered.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
                registered = Some(cx.waker().clone());
                if !finishing {
                    // Its answer is what `has_changed` tells below.
                    let _ = stopped.as_mut().poll(cx);
                }
                let _ = timer.as_mut().poll(cx);
            }
            if timer.is_elapsed() {
                if finishing {
                    return Poll::Ready(Err(Ended::Lingering));
                }
                let Conversation { begun, ended, .. } = conversation;
                if silence.is_over(begun.load(Ordering::Relaxed), ended.load(Ordering::Relaxed)) {
                    return Poll::Ready(Err(Ended::Silent));
                }
                timer.as_mut().reset(Instant::now() + look);
                let _ = timer.as_mut().poll(cx);
            }
            let told = || stopping.has_changed().unwrap_or(true) || conversation.caller.closing.load(Ordering::Relaxed);
            if finishing || !told() {
                return Poll::Pending;
            }
            finishing = true;
            timer.as_mut().reset(Instant::now() + FAREWELL);
            let _ = timer.as_mut().poll(cx);
            connection.as_mut().finish();
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::auth::{self, Method};
    use crate::clock::Clock;
    use crate::config::{ClockMode, MethodConfig, Profile};
    use crate::net::route::Route;
    use crate::testing;

    const GET: &[u8] = b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n";

    struct Served {
        client: DuplexStream,
        stop: watch::Sender<()>,
        task: JoinHandle<()>,
    }

    fn served(version: HttpVersion) -> Served {
        let profile = Profile { path: "/whoami".into(), ..testing::profile("none", MethodConfig::None) };
        let site = Site {
            routes: vec![Route::new(&profile, Arc::new(Method::None))],
            authorization_server: None,
            ocsp_responder: None,
            description: Bytes::new(),
            key_management: None,
            clock: Clock::new(ClockMode::System),
            meter: Arc::default(),
            misdirected: Vec::new(),
        };
        let caller = Caller {
            connection: auth::Connection::new(([127, 0, 0, 1], 1).into(), None),
            without_identity: false,
            closing: AtomicBool::new(false),
        };
        let (client, mut server) = duplex(64 * 1024);
        let (stop, mut stopping) = watch::channel(());
        let task = tokio::spawn(async move {
            serve(&mut server, version, Arc::new(site), caller, &mut stopping).await;
        });
        Served { client, stop, task }
    }

    impl Served {
        async fn get(&mut self) {
            self.client.write_all(GET).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"}") {
                assert_ne!(self.client.read_buf(&mut answer).await.unwrap(), 0, "the connection has ended");
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "));
        }
    }

    /// Paused: time passes when nobody has anything to do.
    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_ends_after_its_time_and_one_look() {
        for version in [HttpVersion::Http1, HttpVersion::Http2] {
            let begun = Instant::now();
            let connection = served(version);
            connection.task.await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), SILENCE.as_secs(), "{version:?}");
        }
        let mut connection = served(HttpVersion::Http1);
        sleep(SILENCE / LOOKS / 2).await;
        connection.get().await;
        let answered = Instant::now();
        connection.task.await.unwrap();
        assert!(answered.elapsed() >= SILENCE && answered.elapsed() <= SILENCE + SILENCE / LOOKS);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_a_connection_and_single_bytes_do_not() {
        let mut connection = served(HttpVersion::Http1);
        for _ in 0..10 {
            sleep(SILENCE - Duration::from_secs(1)).await;
            connection.get().await;
        }
        let begun = Instant::now();
        let (mut reading, mut writing) = tokio::io::split(connection.client);
        let slowly = async {
            for byte in GET.iter().cycle().filter(|byte| !b"\r\n".contains(byte)) {
                if writing.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_secs(7)).await;
            }
        };
        slowly.await;
        let passed = begun.elapsed();
        assert!(passed >= SILENCE && passed <= SILENCE + SILENCE / LOOKS + Duration::from_secs(7), "{passed:?}");
        assert_eq!(reading.read(&mut [0; 16]).await.unwrap(), 0);
    }

    #[test]
    fn a_request_in_progress_is_not_silence() {
        let mut silence = Silence::default();
        assert!((0..100).all(|_| !silence.is_over(1, 0)));
        // It has ended: that is a sign of life, and from here on the client is waited for.
        assert!((0..LOOKS).all(|_| !silence.is_over(1, 1)));
        assert!(silence.is_over(1, 1));
    }

    #[tokio::test]
    async fn told_to_stop_an_idle_connection_ends_and_is_not_waited_for() {
        let mut connection = served(HttpVersion::Http1);
        connection.get().await;
        connection.stop.send_replace(());
        connection.task.await.unwrap();
        // Told before it began, and by nobody being left who could tell.
        let early = served(HttpVersion::Http1);
        drop(early.stop);
        early.task.await.unwrap();
    }
}
