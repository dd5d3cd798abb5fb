//! HTTP to who is asked about a credential, an authorization server or an OCSP responder: bounded in time and size,
//! without redirects or proxies.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::task::{Context, Poll};
use std::thread::{self, ThreadId};
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::auth::BuildError;
use crate::clock::UnixTime;
use crate::telemetry::Meter;

/// After this a request fails, and the caller is told to come back: waiting longer would only pile up callers.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Most that is read of an answer.
const MAX_BODY: usize = 256 * 1024;

/// Why there was no usable answer. For the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("no answer: {0}")]
    Transport(#[from] reqwest::Error),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("the answer is larger than {MAX_BODY} bytes")]
    TooLarge,
    #[error("the answer is not what it should be: {0}")]
    Content(String),
}

/// One client per thread: a pooled connection is served by the runtime that opened it, and each worker thread has its
/// own runtime.
pub(super) struct Http {
    roots: Option<Vec<Certificate>>,
    meter: Arc<Meter>,
    clients: RwLock<HashMap<ThreadId, Client>>,
}

impl Http {
    /// `ca_file`: PEM with the only roots to trust; absent means those of the operating system. Connections are counted in
    /// `meter`.
    ///
    /// # Errors
    /// [`BuildError::State`] when the file cannot be read or used.
    pub(super) fn new(ca_file: Option<&Path>, meter: Arc<Meter>) -> Result<Self, BuildError> {
        let roots = ca_file.map(read_roots).transpose()?;
        let http = Self { roots, meter, clients: RwLock::default() };
        http.build().map_err(|source| BuildError::State {
            what: "preparing to ask about credentials over HTTP".to_owned(),
            source: source.into(),
        })?;
        Ok(http)
    }

    fn build(&self) -> reqwest::Result<Client> {
        let counted = Counted(self.meter.clone());
        let client = Client::builder().redirect(Policy::none()).no_proxy().timeout(TIMEOUT).connector_layer(counted);
        match &self.roots {
            Some(roots) => client.tls_certs_only(roots.iter().cloned()),
            None => client,
        }
        .build()
    }

    /// The client of the calling thread.
    pub(super) fn client(&self) -> Result<Client, Trouble> {
        let thread = thread::current().id();
        if let Some(client) = self.clients.read().expect("no holder panics").get(&thread) {
            return Ok(client.clone());
        }
        let client = self.build()?;
        self.clients.write().expect("no holder panics").insert(thread, client.clone());
        Ok(client)
    }

    /// Fetches a JSON document.
    pub(super) async fn get(&self, url: &str) -> Result<Vec<u8>, Trouble> {
        send(self.client()?.get(url)).await
    }
}

/// Counts the connections that are begun, whatever becomes of them.
#[derive(Clone)]
struct Counted(Arc<Meter>);

impl<S> Layer<S> for Counted {
    type Service = Connecting<S>;

    fn layer(&self, connector: S) -> Connecting<S> {
        Connecting { connector, meter: self.0.clone() }
    }
}

/// What connects, and is counted.
#[derive(Clone)]
struct Connecting<S> {
    connector: S,
    meter: Arc<Meter>,
}

impl<S: Service<R>, R> Service<R> for Connecting<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: R) -> S::Future {
        self.meter.outbound_connects.add();
        self.connector.call(to)
    }
}

/// Sends a request for a JSON document and reads the body of its 200.
pub(super) async fn send(request: RequestBuilder) -> Result<Vec<u8>, Trouble> {
    send_for(request, "application/json").await
}

/// Sends a request for a document of that media type and reads the body of its 200.
pub(super) async fn send_for(request: RequestBuilder, media_type: &'static str) -> Result<Vec<u8>, Trouble> {
    let request = request.header(ACCEPT, HeaderValue::from_static(media_type));
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    if response.status() != StatusCode::OK {
        return Err(Trouble::Status(response.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(Trouble::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Lets one line through per second: an outage must not become a flood of lines.
#[derive(Debug, Default)]
pub(super) struct OncePerSecond(AtomicU64);

impl OncePerSecond {
    pub(super) fn is_due(&self, now: UnixTime) -> bool {
        self.0.swap(now.as_secs(), Ordering::Relaxed) != now.as_secs()
    }
}

fn read_roots(file: &Path) -> Result<Vec<Certificate>, BuildError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| BuildError::State {
        what: format!("reading the authorization server's roots from {}", file.display()),
        source,
    };
    let pem = std::fs::read(file).map_err(|source| failed(source.into()))?;
    let roots = Certificate::from_pem_bundle(&pem).map_err(|source| failed(source.into()))?;
    if roots.is_empty() { Err(failed("no certificate in it".into())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs;

    use super::*;

    /// A certificate for localhost that is its own root, its key, and its PEM file.
    fn certificate(dir: &Path, name: &str) -> (CertifiedKey<rcgen::KeyPair>, PathBuf) {
        let certified = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let file = dir.join(name);
        std::fs::write(&file, certified.cert.pem()).expect("writes");
        (certified, file)
    }

    #[tokio::test]
    async fn only_the_configured_roots_are_trusted() {
        let dir = tempfile::tempdir().expect("a folder");
        let (served, right_roots) = certificate(dir.path(), "right.pem");
        let (_, wrong_roots) = certificate(dir.path(), "wrong.pem");
        let key = served.signing_key.serialize_der().try_into().expect("a PKCS #8 key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![served.cert.der().clone()], key)
            .expect("a server configuration");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("https://localhost:{}/", listener.local_addr().expect("an address").port());
        let server = tokio::spawn(async move {
            let acceptor = TlsAcceptor::from(Arc::new(config));
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                    stream.write_all(answer).await.expect("writes");
                }
            }
        });
        let meter = Arc::new(Meter::default());
        let trusting = Http::new(Some(&right_roots), meter.clone()).expect("a client");
        assert_eq!(trusting.get(&url).await.expect("an answer"), b"{}");
        for file in [Some(wrong_roots.as_path()), None] {
            let distrusting = Http::new(file, Arc::default()).expect("a client");
            assert!(matches!(distrusting.get(&url).await, Err(Trouble::Transport(_))), "{file:?}");
        }
        server.abort();
    }

    /// Those that nobody answers too: it is the attempt that could be somebody else's wish.
    #[tokio::test]
    async fn hk_6_each_connection_is_counted_and_no_request_on_one_that_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            // It stops listening, and keeps this one.
            drop(listener);
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.expect("writes");
            }
        });
        let meter = Arc::new(Meter::default());
        let http = Http::new(None, meter.clone()).expect("a client");
        for _ in 0..3 {
            assert_eq!(http.get(&url).await.expect("an answer"), b"{}");
        }
        assert_eq!(meter.counters().outbound_connects, 1);
        let gone = TcpListener::bind("127.0.0.1:0").await.expect("binds").local_addr().expect("an address");
        assert!(matches!(http.get(&format!("http://{gone}/")).await, Err(Trouble::Transport(_))), "nobody listens");
        assert_eq!(meter.counters().outbound_connects, 2);
        assert_eq!(meter.counters().since(&meter.counters()).outbound_connects, 0);
        served.abort();
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("empty.pem");
        assert!(Http::new(Some(&file), Arc::default()).is_err(), "not there");
        std::fs::write(&file, "").expect("writes");
        assert!(Http::new(Some(&file), Arc::default()).is_err(), "empty");
    }
}
