//! Small servers for the tests of the load engine: what they answer is decided by the test, byte for byte.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bench_server::contract::{HttpVersion, Issued, Material, Secret, Transport};
use bytes::Bytes;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::Endpoint;

/// A request as a test server saw it.
pub(crate) struct Seen<'a> {
    /// How many connections were accepted before this request's.
    pub(crate) connection: usize,
    /// How many requests came before it, on all connections.
    pub(crate) number: usize,
    /// Its head (over HTTP/2: its `authorization`).
    pub(crate) head: &'a str,
}

/// What a test server does with a request.
pub(crate) enum Reply {
    /// Sends these bytes.
    Answer(String),
    /// Sends these bytes and closes.
    Last(String),
    /// Closes without an answer.
    Close,
    /// Sends these bytes once told so.
    Held(Arc<Notify>, String),
    /// Never answers.
    Nothing,
}

/// An answer that names a principal.
pub(crate) fn ok(principal: &str) -> String {
    answer("200 OK", "", &format!("{{\"principal\":\"{principal}\"}}"))
}

/// An answer with a status and further field lines.
pub(crate) fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{fields}\r\n{body}", body.len())
}

/// API keys `key-0`, `key-1` …, of principals `app-0`, `app-1` ….
pub(crate) fn keys(count: usize) -> Vec<Issued> {
    (0..count)
        .map(|i| Issued {
            id: format!("k{i}"),
            principal: format!("app-{i}"),
            material: Material::ApiKey { key: Secret::new(format!("key-{i}")) },
        })
        .collect()
}

/// Answers as an honest server does: names the principal of the key in the head, or none.
pub(super) fn honest(seen: &Seen<'_>) -> Reply {
    Reply::Answer(ok(&principal(seen.head)))
}

pub(crate) fn principal(head: &str) -> String {
    let key = head.split("key-").nth(1).unwrap_or("none");
    let digits: String = key.chars().take_while(char::is_ascii_digit).collect();
    format!("app-{digits}")
}

/// A CA, and what it signed.
pub(crate) struct Pki {
    ca: rcgen::CertifiedIssuer<'static, rcgen::KeyPair>,
    /// Whether its servers resume sessions.
    resumes: bool,
}

impl Pki {
    pub(super) fn new() -> Self {
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = rcgen::CertifiedIssuer::self_signed(parameters, rcgen::KeyPair::generate().unwrap()).unwrap();
        Self { ca, resumes: true }
    }

    /// The same, whose servers never resume a session.
    pub(super) fn forgetful() -> Self {
        Self { resumes: false, ..Self::new() }
    }

    /// A client certificate for a principal, as an issuer would hand it out.
    pub(super) fn client(&self, principal: &str) -> Issued {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![principal.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.ca).unwrap();
        let material =
            Material::Certificate { chain_pem: certificate.pem(), key_pem: Secret::new(key.serialize_pem()) };
        Issued { id: principal.to_owned(), principal: principal.to_owned(), material }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        roots
    }

    /// Server side: both versions of TLS, so that the client's choice is what counts.
    fn server(&self, http: HttpVersion, client_certificates: bool) -> TlsAcceptor {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.ca).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = if client_certificates {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()), provider).build();
            builder.unwrap().with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.unwrap().with_no_client_auth()
        };
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = vec![if http == HttpVersion::Http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        if !self.resumes {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        TlsAcceptor::from(Arc::new(config))
    }
}

/// How a test server is set up.
pub(crate) struct Setup<'a> {
    pub(crate) transport: Transport,
    pub(crate) http: HttpVersion,
    pub(crate) pki: Option<&'a Pki>,
    pub(crate) client_certificates: bool,
}

/// HTTP/1.1 in plaintext.
pub(crate) const PLAIN: Setup<'static> =
    Setup { transport: Transport::Plaintext, http: HttpVersion::Http1, pki: None, client_certificates: false };

/// Starts a server on the runtime of the test.
pub(crate) async fn serve(setup: Setup<'_>, handler: impl Fn(&Seen<'_>) -> Reply + Send + Sync + 'static) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = setup.pki.map(|pki| pki.server(setup.http, setup.client_certificates));
    let (http, numbers, handler) = (setup.http, Arc::new(AtomicUsize::new(0)), Arc::new(handler));
    tokio::spawn(async move {
        for connection in 0.. {
            let (tcp, _) = listener.accept().await.unwrap();
            tcp.set_nodelay(true).unwrap();
            let (tls, numbers, handler) = (tls.clone(), Arc::clone(&numbers), Arc::clone(&handler));
            tokio::spawn(async move {
                let handler =
                    |head: &str| handler(&Seen { connection, number: numbers.fetch_add(1, Ordering::Relaxed), head });
                match tls {
                    None if http == HttpVersion::Http1 => serve_http1(tcp, handler).await,
                    None => serve_http2(tcp, handler).await,
                    Some(tls) => {
                        let Ok(stream) = tls.accept(tcp).await else { return };
                        match http {
                            HttpVersion::Http1 => serve_http1(stream, handler).await,
                            HttpVersion::Http2 => serve_http2(stream, handler).await,
                        }
                    }
                }
            });
        }
    });
    Endpoint {
        address,
        host: "localhost".to_owned(),
        transport: setup.transport,
        http: setup.http,
        key_exchange: None,
        roots: setup.pki.map(|pki| pki.ca.der().clone()).into_iter().collect(),
        path: "/whoami".to_owned(),
        convention: None,
    }
}

async fn serve_http1(mut stream: impl AsyncRead + AsyncWrite + Unpin, handler: impl Fn(&str) -> Reply) {
    let mut received = String::new();
    let mut buffer = [0; 4096];
    loop {
        while !received.contains("\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(n) if n > 0 => received.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
                _ => return,
            }
        }
        let end = received.find("\r\n\r\n").unwrap() + 4;
        let reply = handler(&received[..end]);
        received.drain(..end);
        let (bytes, last) = match reply {
            Reply::Answer(bytes) => (bytes, false),
            Reply::Last(bytes) => (bytes, true),
            Reply::Close => (String::new(), true),
            Reply::Held(told, bytes) => {
                told.notified().await;
                (bytes, false)
            }
            Reply::Nothing => return std::future::pending().await,
        };
        if stream.write_all(bytes.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        if last {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn serve_http2(stream: impl AsyncRead + AsyncWrite + Unpin, handler: impl Fn(&str) -> Reply) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let authorization = request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        match handler(authorization.as_deref().unwrap_or_default()) {
            Reply::Answer(bytes) => {
                let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
                let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
                let mut response = http::Response::builder().status(status);
                for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(": ")) {
                    response = response.header(name, value);
                }
                let mut body_sink = respond.send_response(response.body(()).unwrap(), false).unwrap();
                body_sink.send_data(Bytes::from(body.to_owned()), true).unwrap();
            }
            _ => connection.graceful_shutdown(),
        }
    }
}
