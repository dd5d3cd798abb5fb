//! HTTP/2 (RFC 9113): many streams on one connection, each the place of one request in flight.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::SendRequest;
use http::header::WWW_AUTHENTICATE;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::connect::{ConnectError, Stream};
use super::request::Expected;
use super::response::{self, Challenges};
use super::{Exchanged, MAX_ANSWER, tls};
use crate::outcome::{Outcome, RejectReason, Transport};

/// A handle on a connection that speaks HTTP/2. Clones share the connection; it ends with the last of them.
#[derive(Clone)]
pub(super) struct Http2 {
    send: SendRequest<Bytes>,
    refused: Arc<AtomicBool>,
    /// The task that drives the connection.
    driver: Arc<JoinHandle<()>>,
}

impl Http2 {
    /// Begins HTTP/2 and leaves the connection to a task of the runtime.
    pub(super) async fn open(stream: Stream) -> Result<Self, ConnectError> {
        let refused = Arc::new(AtomicBool::new(false));
        let watched = Watched { stream, refused: Arc::clone(&refused) };
        let begun = h2::client::Builder::new().enable_push(false).handshake(watched).await;
        let (send, connection) = begun
            .map_err(|error| ConnectError { outcome: failure(&error, &refused), source: io::Error::other(error) })?;
        // Every request in flight hears of an error by itself.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { send, refused, driver: Arc::new(driver) })
    }

    /// Sends a request and reads its answer, whose body goes to `buffer`.
    pub(super) async fn exchange(
        &mut self,
        request: http::Request<()>,
        expected: Expected<'_>,
        buffer: &mut Vec<u8>,
    ) -> Exchanged {
        match self.try_exchange(request, expected, buffer).await {
            Ok(outcome) => Exchanged { outcome, keep: true },
            // Only a reset stream leaves its connection in working order.
            Err(error) => Exchanged { outcome: failure(&error, &self.refused), keep: error.is_reset() },
        }
    }

    async fn try_exchange(
        &mut self,
        request: http::Request<()>,
        expected: Expected<'_>,
        buffer: &mut Vec<u8>,
    ) -> Result<Outcome, h2::Error> {
        std::future::poll_fn(|cx| self.send.poll_ready(cx)).await?;
        let (response, _) = self.send.send_request(request, true)?;
        let (head, mut body) = response.await?.into_parts();
        buffer.clear();
        while let Some(data) = body.data().await {
            let data = data?;
            if buffer.len() + data.len() > MAX_ANSWER {
                return Err(h2::Reason::CANCEL.into());
            }
            body.flow_control().release_capacity(data.len())?;
            buffer.extend_from_slice(&data);
        }
        let mut challenges = Challenges::default();
        head.headers.get_all(WWW_AUTHENTICATE).iter().for_each(|value| challenges.read(value.as_bytes()));
        Ok(response::judge(head.status.as_u16(), challenges, buffer, expected))
    }

    /// Ends the connection with GOAWAY (RFC 9113 §5.4.1) and waits until it has ended, unless others share it.
    pub(super) async fn close(self) {
        let Self { send, driver, .. } = self;
        drop(send);
        if let Some(driver) = Arc::into_inner(driver) {
            // It ends by itself, and so does the wait for the server's end of the connection.
            let _ = driver.await;
        }
    }

    /// Whether another request may be sent, as far as is known.
    pub(super) async fn is_alive(&mut self) -> bool {
        let ready = std::future::poll_fn(|cx| Poll::Ready(self.send.poll_ready(cx))).await;
        !matches!(ready, Poll::Ready(Err(_)))
    }
}

fn failure(error: &h2::Error, refused: &AtomicBool) -> Outcome {
    if refused.load(Ordering::Relaxed) {
        Outcome::Rejected(RejectReason::TlsAlert)
    } else if error.is_io() || error.is_remote() {
        Outcome::Failed(Transport::Closed)
    } else {
        Outcome::Failed(Transport::Protocol)
    }
}

/// A connection that several places share; whoever first finds it gone opens it again.
#[derive(Default)]
pub(super) struct Shared {
    current: Mutex<Option<Http2>>,
}

impl Shared {
    /// The connection, opened by `open` where there is none that works.
    pub(super) async fn get(
        &self,
        open: impl Future<Output = Result<Http2, ConnectError>>,
    ) -> Result<Http2, ConnectError> {
        let mut current = self.current.lock().await;
        if let Some(connection) = current.as_mut()
            && connection.is_alive().await
        {
            return Ok(connection.clone());
        }
        // Should opening fail, the dead one must not stay.
        *current = None;
        let connection = open.await?;
        *current = Some(connection.clone());
        Ok(connection)
    }
}

/// A stream that remembers that the server refused the client certificate: the library keeps only the text of an error,
/// and where a write fails it never reads the alert that says why.
struct Watched {
    stream: Stream,
    refused: Arc<AtomicBool>,
}

impl Watched {
    fn look_at<T>(&self, result: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(error)) = result
            && tls::refuses_client(error)
        {
            self.refused.store(true, Ordering::Relaxed);
        }
    }

    /// Looks for an alert behind a failed write. The connection is lost, so what is read besides is, too.
    fn look_behind<T>(&mut self, cx: &mut Context<'_>, written: &Poll<io::Result<T>>) {
        if matches!(written, Poll::Ready(Err(_))) {
            let mut lost = [0; 64];
            let read = Pin::new(&mut self.stream).poll_read(cx, &mut ReadBuf::new(&mut lost));
            self.look_at(&read);
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.look_at(&read);
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.look_behind(cx, &written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.look_behind(cx, &flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
