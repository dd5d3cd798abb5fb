//! HTTP over one established connection: HTTP/1.1 (RFC 9112) or HTTP/2 (RFC 9113), with limits.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::route::{Caller, MAX_HEADER_BLOCK, Site};
use crate::config::HttpVersion;

/// Longest wait for a complete header block over HTTP/1. hyper counts from the end of the previous answer, so this also
/// ends connections that stay idle; it must outlast the pauses between two slices of a load client.
const HEADER_TIMEOUT: Duration = Duration::from_secs(300);

/// Serves a connection until it ends, or, once told by `stop` or by [`Caller::closing`], until the requests in progress
/// are answered.
pub(crate) async fn serve<S>(
    stream: &mut S,
    version: HttpVersion,
    site: Arc<Site>,
    caller: Arc<Caller>,
    stop: &mut watch::Receiver<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let stream = TokioIo::new(stream);
    let closing = caller.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (site, caller) = (site.clone(), caller.clone());
        async move { Ok::<_, Infallible>(site.answer(request, &caller).await) }
    });
    // The two arms differ only in hyper's type of connection, which no trait unites.
    let result = match version {
        HttpVersion::Http1 => {
            let mut connection = pin!(
                http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEADER_TIMEOUT)
                    .max_buf_size(MAX_HEADER_BLOCK as usize)
                    .serve_connection(stream, service)
            );
            tokio::select! {
                biased;
                result = connection.as_mut() => result,
                () = told(stop, &closing) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
        HttpVersion::Http2 => {
            let mut connection = pin!(
                http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .max_header_list_size(MAX_HEADER_BLOCK)
                    .serve_connection(stream, service)
            );
            tokio::select! {
                biased;
                result = connection.as_mut() => result,
                () = told(stop, &closing) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    if let Err(error) = result {
        // The client went away, or sent what is not HTTP: its affair, not a fault of the server.
        tracing::debug!(%error, peer = %closing.connection.peer, "connection ended");
    }
}

async fn told(stop: &mut watch::Receiver<()>, caller: &Caller) {
    tokio::select! {
        _ = stop.changed() => {}
        () = caller.closing.notified() => {}
    }
}
