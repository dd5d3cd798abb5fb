//! The server that every client meets: as cheap as an HTTP/1.1 server can be made here, so that the client is what is
//! measured, and with delays of its own making that are known exactly.
//!
//! A credential is [`KEY`] and a name of [`NAME`] bytes, which the answer repeats. Anything else is answered 401, but for
//! `/none`, where everybody is welcome.

use std::cell::Cell;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::NoServerSessionStorage;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;

/// Bytes of a credential that name its bearer.
pub(crate) const NAME: usize = 8;

/// What every credential begins with.
pub(crate) const KEY: &str = "ab_0123456789abcdef0123456789abcdef";

/// What the `Authorization` field of a credential begins with.
const FIELD: &str = "Bearer ab_0123456789abcdef0123456789abcdef";

/// What the server does before it answers.
#[derive(Debug, Clone, Copy, PartialEq, clap::Subcommand)]
pub(crate) enum Behaviour {
    /// Answers at once.
    Prompt,
    /// Stops altogether for `stall_ms` at the end of every `period_ms`, the first period beginning with the first request.
    Stall {
        /// Length of a period in milliseconds.
        period_ms: u64,
        /// Length of a stall in milliseconds.
        stall_ms: u64,
    },
    /// Answers each request after a time of its own, any number at once.
    Delay {
        /// Time to an answer in microseconds.
        usual_us: u64,
        /// Time to a rare answer in microseconds.
        rare_us: u64,
        /// Every how manieth answer is rare: exactly those whose number it divides.
        every: u64,
    },
    /// Serves one request after the other, each for the same time: the D/1 of a queue (Kendall's notation).
    Queue {
        /// Service time in microseconds.
        service_us: u64,
    },
}

impl Behaviour {
    /// The arguments that mean this behaviour.
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::Prompt => vec!["prompt".to_owned()],
            Self::Stall { period_ms, stall_ms } => {
                vec!["stall".to_owned(), period_ms.to_string(), stall_ms.to_string()]
            }
            Self::Delay { usual_us, rare_us, every } => {
                vec!["delay".to_owned(), usual_us.to_string(), rare_us.to_string(), every.to_string()]
            }
            Self::Queue { service_us } => vec!["queue".to_owned(), service_us.to_string()],
        }
    }
}

/// Serves until its standard input ends. Prints the port once it listens.
///
/// # Errors
/// When it cannot listen, or certificate or key cannot be used.
pub(crate) fn serve(tls: Option<(&Path, &Path)>, behaviour: Behaviour) -> anyhow::Result<()> {
    let acceptor = tls.map(|(certificate, key)| acceptor(certificate, key)).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let mut stdout = io::stdout();
        writeln!(stdout, "{}", listener.local_addr()?.port())?;
        stdout.flush()?;
        let service = Rc::new(Service::new(behaviour));
        // Whoever started this server holds the other end, and ends it by going away.
        std::thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            std::process::exit(0);
        });
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::task::spawn_local(connection(stream, acceptor.clone(), Rc::clone(&service)));
        }
    })
}

fn acceptor(certificate: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    // The group that every client here offers first or second: no client pays for another's preference.
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("the server's certificate")?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A connection that fails is the client's affair: it will say so.
async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, service: Rc<Service>) {
    let _ = stream.set_nodelay(true);
    let _ = match acceptor {
        None => exchange(stream, &service).await,
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => exchange(stream, &service).await,
            Err(error) => Err(error),
        },
    };
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, service: &Service) -> io::Result<()> {
    let mut buffer = vec![0; 32 << 10];
    let mut filled = 0;
    let mut answer = Answer::new();
    loop {
        let n = stream.read(&mut buffer[filled..]).await?;
        if n == 0 {
            return Ok(());
        }
        filled += n;
        let mut taken = 0;
        while let Some(request) = Request::parse(&buffer[taken..filled])? {
            service.wait().await;
            let bytes = match request.bearer {
                Bearer::Named(name) => answer.naming(&buffer[taken..][name]),
                Bearer::Anonymous => ANONYMOUS.as_bytes(),
                Bearer::Missing => UNAUTHORIZED.as_bytes(),
            };
            stream.write_all(bytes).await?;
            stream.flush().await?;
            if !request.keep {
                return stream.shutdown().await;
            }
            taken += request.length;
        }
        buffer.copy_within(taken..filled, 0);
        filled -= taken;
        if filled == buffer.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

struct Request {
    bearer: Bearer,
    length: usize,
    keep: bool,
}

impl Request {
    fn parse(bytes: &[u8]) -> io::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let httparse::Status::Complete(length) = parsed else { return Ok(None) };
        let mut bearer = if request.path == Some("/none") { Bearer::Anonymous } else { Bearer::Missing };
        let mut keep = true;
        for field in request.headers.iter() {
            if field.name.eq_ignore_ascii_case("authorization") {
                let end = field.value.as_ptr().addr() - bytes.as_ptr().addr() + field.value.len();
                bearer = match field.value.strip_prefix(FIELD.as_bytes()) {
                    Some(name) if name.len() == NAME => Bearer::Named(end - NAME..end),
                    _ => Bearer::Missing,
                };
            } else if field.name.eq_ignore_ascii_case("connection") {
                keep = !field.value.eq_ignore_ascii_case(b"close");
            }
        }
        Ok(Some(Self { bearer, length, keep }))
    }
}

/// Whom a request comes from.
enum Bearer {
    /// Where in the request the name stands.
    Named(Range<usize>),
    Anonymous,
    Missing,
}

const ANONYMOUS: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 25\r\n\r\n{\"principal\":\"anonymous\"}";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\n\r\n";

/// Bytes of an answer that names a bearer.
pub(crate) const ANSWER_LENGTH: usize = Answer::HEAD.len() + Answer::BODY;

/// The answer, of which only the name changes.
struct Answer {
    bytes: Vec<u8>,
    name: usize,
}

impl Answer {
    const BODY: usize = 16 + NAME;
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 24\r\n\r\n";

    fn new() -> Self {
        let mut bytes = Self::HEAD.as_bytes().to_vec();
        bytes.extend_from_slice(b"{\"principal\":\"");
        let name = bytes.len();
        bytes.extend_from_slice(&[b'-'; NAME]);
        bytes.extend_from_slice(b"\"}");
        assert_eq!(bytes.len(), ANSWER_LENGTH, "the head tells the body's length");
        Self { bytes, name }
    }

    fn naming(&mut self, name: &[u8]) -> &[u8] {
        self.bytes[self.name..][..NAME].copy_from_slice(name);
        &self.bytes
    }
}

/// The delays.
struct Service {
    behaviour: Behaviour,
    /// When the first request came.
    began: Cell<Option<Instant>>,
    answers: Cell<u64>,
    /// When the queue will be empty.
    idle_at: Cell<Option<Instant>>,
}

impl Service {
    fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, began: Cell::new(None), answers: Cell::new(0), idle_at: Cell::new(None) }
    }

    async fn wait(&self) {
        match self.behaviour {
            Behaviour::Prompt => {}
            Behaviour::Stall { period_ms, stall_ms } => {
                let now = Instant::now();
                let began = self.began.get().unwrap_or(now);
                self.began.set(Some(began));
                let period = Duration::from_millis(period_ms);
                let into = Duration::from_nanos((now.duration_since(began).as_nanos() % period.as_nanos()) as u64);
                if into >= period - Duration::from_millis(stall_ms) {
                    // The thread, not the task: nothing is accepted, read or answered meanwhile.
                    std::thread::sleep(period - into);
                }
            }
            Behaviour::Delay { usual_us, rare_us, every } => {
                let number = self.answers.get() + 1;
                self.answers.set(number);
                let rare = number.is_multiple_of(every);
                until(Instant::now() + Duration::from_micros(if rare { rare_us } else { usual_us })).await;
            }
            Behaviour::Queue { service_us } => {
                let now = Instant::now();
                let free = self.idle_at.get().map_or(now, |idle_at| idle_at.max(now));
                let done = free + Duration::from_micros(service_us);
                self.idle_at.set(Some(done));
                until(done).await;
            }
        }
    }
}

/// Waits for an instant to the microsecond: the processor is this server's alone, so it may poll the clock.
async fn until(due: Instant) {
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}
