//! Connections of rustls, where a test looks at what the handshake was.

use std::net::SocketAddr;
use std::sync::Arc;

use bench_server::contract::{Issued, KeyExchange, Material};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Server;

/// A TLS client that remembers sessions, with this certificate or none.
pub fn client(
    server: &Server,
    version: &'static rustls::SupportedProtocolVersion,
    certificate: Option<&Issued>,
) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.ca_file()).expect("PEM")).expect("a root");
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(KeyExchange::provider(None)))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots);
    match certificate.map(|one| &one.material) {
        None => builder.with_no_client_auth(),
        Some(Material::Certificate { chain_pem, key_pem }) => {
            let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(|der| der.expect("PEM")).collect();
            let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes()).expect("a key");
            builder.with_client_auth_cert(chain, key).expect("they fit together")
        }
        Some(other) => panic!("not a certificate: {other:?}"),
    }
}

/// What the server's certificate is for.
pub fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}

pub async fn connect(client: Arc<rustls::ClientConfig>, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(client).connect(name(), stream).await
}

/// One request; the status line, or why there is none.
pub async fn get(stream: &mut TlsStream<TcpStream>, path: &str) -> std::io::Result<String> {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

/// Where a listener is, by its number.
pub fn address(server: &Server, listener: usize) -> SocketAddr {
    server.running().ready().listeners[listener].address
}
