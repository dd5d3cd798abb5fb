//! The floor: sends and receives the same bytes as the load client and does nothing else. No schedule, no choice, no
//! parsing, no check, no record. What a client costs above this is its own.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Sends `request` over `connections` connections for `length`, an answer being `answer` bytes long; returns how many
/// answers came.
///
/// # Errors
/// When a connection cannot be opened or breaks.
pub(crate) fn run(
    port: u16,
    roots: Option<&Path>,
    request: &[u8],
    answer: usize,
    connections: usize,
    length: Duration,
) -> anyhow::Result<u64> {
    let connector = roots.map(connector).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request: Arc<[u8]> = Arc::from(request);
    let count = Arc::new(AtomicU64::new(0));
    runtime.block_on(async {
        let mut loops = JoinSet::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
            stream.set_nodelay(true)?;
            let (request, count) = (Arc::clone(&request), Arc::clone(&count));
            match &connector {
                None => loops.spawn(repeat(stream, request, answer, count)),
                Some(tls) => {
                    let stream = tls.connect(ServerName::try_from("localhost")?, stream).await?;
                    loops.spawn(repeat(stream, request, answer, count))
                }
            };
        }
        // No clock is read for an answer: a timer ends the loops, and only a broken connection would end them before.
        match tokio::time::timeout(length, loops.join_next()).await {
            Ok(Some(ended)) => ended?.map_err(anyhow::Error::from),
            Ok(None) | Err(_) => Ok(()),
        }
    })?;
    Ok(count.load(Ordering::Relaxed))
}

async fn repeat(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Arc<[u8]>,
    answer: usize,
    count: Arc<AtomicU64>,
) -> io::Result<()> {
    // Longer than an answer: a read that fills its buffer makes the runtime ask for more at once.
    let mut buffer = vec![0; 4096];
    loop {
        stream.write_all(&request).await?;
        stream.flush().await?;
        let mut filled = 0;
        while filled < answer {
            match stream.read(&mut buffer[filled..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
        // One thread: a load and a store are enough.
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

fn connector(roots: &Path) -> anyhow::Result<TlsConnector> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(roots)? {
        store.add(root?)?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
