//! HTTP/1.1 on a connection (RFC 9112): one write per request, one read per answer, nothing allocated between them.

use std::io;
use std::pin::Pin;
use std::task::Poll;

use tokio::io::{AsyncRead as _, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};

use super::connect::Stream;
use super::request::Expected;
use super::response::{self, Progress};
use super::{Exchanged, MAX_ANSWER, tls};
use crate::outcome::{Outcome, RejectReason, Transport};

/// Room for an answer at first; the resource's take a few hundred bytes.
const INITIAL_BUFFER: usize = 4096;

/// A connection that speaks HTTP/1.1.
pub(super) struct Http1 {
    stream: Stream,
}

impl Http1 {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream }
    }

    /// Sends a request and reads its answer into `buffer`, which grows only when an answer is longer than any before.
    pub(super) async fn exchange(&mut self, request: &[u8], expected: Expected<'_>, buffer: &mut Vec<u8>) -> Exchanged {
        // A server that refuses may have answered, or sent an alert, and closed before it read the request: whatever the
        // write came to, what can be read decides.
        let written = self.write(request).await;
        if buffer.is_empty() {
            buffer.resize(INITIAL_BUFFER, 0);
        }
        let mut filled = 0;
        let outcome = loop {
            if filled == buffer.len() {
                if filled >= MAX_ANSWER {
                    break Outcome::Failed(Transport::Protocol);
                }
                buffer.resize(2 * filled, 0);
            }
            let closed = match self.stream.read(&mut buffer[filled..]).await {
                Ok(n) => {
                    filled += n;
                    n == 0
                }
                Err(error) => break failure(&error),
            };
            match response::parse(&mut buffer[..filled], closed, expected) {
                Ok(Progress::Complete { outcome, length, keep }) => {
                    // Bytes after the answer belong to nothing that was asked: the connection is out of step.
                    return Exchanged { outcome, keep: keep && length == filled && written.is_ok() };
                }
                Ok(Progress::Partial) if closed => break Outcome::Failed(Transport::Closed),
                Ok(Progress::Partial) => {}
                Err(response::NotHttp) => break Outcome::Failed(Transport::Protocol),
            }
        };
        Exchanged { outcome, keep: false }
    }

    /// Sends a request and reads status and body of its answer, whatever they are: for requests that are not load.
    pub(super) async fn fetch(&mut self, request: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        self.write(request).await?;
        let mut received = Vec::with_capacity(INITIAL_BUFFER);
        loop {
            let closed = self.stream.read_buf(&mut received).await? == 0;
            match response::frame(&mut received, closed) {
                Ok(Some(framed)) => return Ok((framed.status(), received[framed.body].to_vec())),
                Ok(None) if closed => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(None) if received.len() < MAX_ANSWER => {}
                Ok(None) => return Err(io::Error::other("the answer is too long")),
                Err(response::NotHttp) => return Err(io::Error::other("the answer is no HTTP/1.1")),
            }
        }
    }

    async fn write(&mut self, request: &[u8]) -> io::Result<()> {
        self.stream.write_all(request).await?;
        self.stream.flush().await
    }

    /// Whether the connection is silent, as one between requests must be. Anything to read means that the server closed
    /// it or lost its step. Asks the socket only when the runtime has seen something arrive.
    pub(super) async fn is_alive(&mut self) -> bool {
        let mut byte = [0];
        std::future::poll_fn(|cx| {
            let mut byte = ReadBuf::new(&mut byte);
            Poll::Ready(Pin::new(&mut self.stream).poll_read(cx, &mut byte).is_pending())
        })
        .await
    }

    /// Ends the connection as RFC 8446 §6.1 asks: with `close_notify`.
    pub(super) async fn close(mut self) {
        // The answer is in; a peer that is gone already takes nothing from it.
        let _ = self.stream.shutdown().await;
    }
}

/// What an error on a connection means for the request in flight.
fn failure(error: &io::Error) -> Outcome {
    if tls::refuses_client(error) {
        return Outcome::Rejected(RejectReason::TlsAlert);
    }
    Outcome::Failed(match tls::cause(error) {
        // Another alert is the server's way of ending the connection.
        None | Some(rustls::Error::AlertReceived(_)) => Transport::Closed,
        Some(_) => Transport::Protocol,
    })
}
