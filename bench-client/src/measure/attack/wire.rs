//! Bytes to a server and what comes back, whatever the bytes are: no library sends what an attacker does.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::{AlertDescription, ClientConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use crate::load::Endpoint;

/// So much of an answer is read.
const MAX_ANSWER: usize = 256 << 10;

/// Field lines of an answer that are looked at.
const MAX_FIELDS: usize = 100;

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Came {
    /// An answer over HTTP.
    Answer(Seen),
    /// A TLS alert.
    Alert(u8),
    /// A ServerHello: the greeting was accepted.
    ServerHello,
    /// The end of the connection, and nothing before it.
    Closed,
    /// Something that is neither HTTP nor TLS.
    Garbage,
    /// Nothing, for as long as was waited.
    Silence,
    /// No connection at all.
    Unreachable(String),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    /// Values of the fields of that name.
    pub(super) fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'s str> {
        self.fields.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    /// Read, and not looked at yet.
    received: Vec<u8>,
}

impl Line {
    /// Opens one, with a TLS handshake where there is a configuration for it, and from an address of this machine where one
    /// is named.
    ///
    /// # Errors
    /// What came instead.
    pub(super) async fn open(
        endpoint: &Endpoint,
        tls: Option<Arc<ClientConfig>>,
        from: Option<IpAddr>,
        patience: Duration,
    ) -> Result<Self, Came> {
        let open = async {
            let unreachable = |error: io::Error| Came::Unreachable(format!("{}: {error}", endpoint.address));
            let tcp = connect(endpoint.address, from).await.map_err(unreachable)?;
            let _ = tcp.set_nodelay(true); // it only makes answers come sooner
            let Some(tls) = tls else { return Ok(Self { stream: Box::new(tcp), received: Vec::new() }) };
            let host = endpoint.host.trim_start_matches('[').trim_end_matches(']').to_owned();
            let name = ServerName::try_from(host).map_err(|error| Came::Unreachable(error.to_string()))?;
            let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(|error| ended(&error))?;
            Ok(Self { stream: Box::new(stream), received: Vec::new() })
        };
        tokio::time::timeout(patience, open).await.unwrap_or(Err(Came::Silence))
    }

    /// Sends a request and reads its answer. The server may answer, and hang up, before it has seen all of it.
    pub(super) async fn exchange(&mut self, request: &[u8], is_head: bool, patience: Duration) -> Came {
        let (mut from, mut to) = tokio::io::split(&mut self.stream);
        let received = &mut self.received;
        let both = async {
            let mut sending = std::pin::pin!(async { to.write_all(request).await.and(to.flush().await) });
            let mut reading = std::pin::pin!(read_answer(&mut from, received, is_head));
            let mut sent = false;
            loop {
                tokio::select! {
                    came = &mut reading => return came,
                    // That it could not be sent shows in what is read.
                    _ = &mut sending, if !sent => sent = true,
                }
            }
        };
        tokio::time::timeout(patience, both).await.unwrap_or(Came::Silence)
    }

    /// Sends a greeting of TLS and reads the first record that answers it.
    pub(super) async fn greet(&mut self, hello: &[u8], patience: Duration) -> Came {
        let greet = async {
            if let Err(error) = self.stream.write_all(hello).await {
                return ended(&error);
            }
            let mut record = [0; 7];
            match self.stream.read_exact(&mut record).await {
                // An alert: type 21, version, length, level, description (RFC 8446 §6).
                Ok(_) if record[0] == 21 => Came::Alert(record[6]),
                Ok(_) if record[0] == 22 => Came::ServerHello,
                Ok(_) => Came::Garbage,
                Err(error) => ended(&error),
            }
        };
        tokio::time::timeout(patience, greet).await.unwrap_or(Came::Silence)
    }
}

async fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let Some(from) = from else { return TcpStream::connect(to).await };
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(to).await
}

/// What the end of a connection says.
fn ended(error: &io::Error) -> Came {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::AlertReceived(AlertDescription::CloseNotify)) | None => match error.kind() {
            io::ErrorKind::TimedOut => Came::Silence,
            _ => Came::Closed,
        },
        Some(rustls::Error::AlertReceived(alert)) => Came::Alert(u8::from(*alert)),
        Some(other) => Came::Unreachable(format!("TLS: {other}")),
    }
}

async fn read_answer(from: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>, is_head: bool) -> Came {
    loop {
        match parse(received, is_head, false) {
            Parsed::Whole(seen, length) => {
                received.drain(..length);
                if (100..200).contains(&seen.status) {
                    continue;
                }
                return Came::Answer(seen);
            }
            Parsed::Partial if received.len() < MAX_ANSWER => {}
            // What is longer says enough.
            Parsed::Partial => return closing(received, is_head),
            Parsed::Garbage => return if received.first() == Some(&21) { alert_in(received) } else { Came::Garbage },
        }
        let mut chunk = [0; 16 << 10];
        match from.read(&mut chunk).await {
            Ok(0) => return closing(received, is_head),
            Ok(read) => received.extend_from_slice(&chunk[..read]),
            Err(_) if !received.is_empty() => return closing(received, is_head),
            Err(error) => return ended(&error),
        }
    }
}

/// A TLS record in answer to plaintext.
fn alert_in(received: &[u8]) -> Came {
    received.get(6).map_or(Came::Closed, |alert| Came::Alert(*alert))
}

/// What there is when no more comes.
fn closing(received: &[u8], is_head: bool) -> Came {
    match parse(received, is_head, true) {
        Parsed::Whole(seen, _) => Came::Answer(seen),
        _ if received.is_empty() => Came::Closed,
        _ if received.first() == Some(&21) => alert_in(received),
        _ => Came::Garbage,
    }
}

enum Parsed {
    /// An answer, and how many bytes it takes.
    Whole(Seen, usize),
    Partial,
    Garbage,
}

/// An answer of HTTP/1.1 (RFC 9112 §6): its body by chunks, by length, or until the connection ends.
fn parse(received: &[u8], is_head: bool, ended: bool) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let head = match response.parse(received) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Parsed::Partial,
        Err(_) => return Parsed::Garbage,
    };
    let status = response.code.unwrap_or_default();
    let fields: Vec<(String, String)> = response
        .headers
        .iter()
        .map(|field| (field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned()))
        .collect();
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.trim().to_owned());
    let rest = &received[head..];
    let bodiless = is_head || matches!(status, 100..=199 | 204 | 304);
    let (body, length) = if bodiless {
        (Vec::new(), 0)
    } else if field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        match chunks(rest) {
            Some(read) => read,
            None if ended => (rest.to_vec(), rest.len()),
            None => return Parsed::Partial,
        }
    } else if let Some(length) = field("content-length").and_then(|length| length.parse::<usize>().ok()) {
        match rest.get(..length) {
            Some(body) => (body.to_vec(), length),
            None if ended => (rest.to_vec(), rest.len()),
            None => return Parsed::Partial,
        }
    } else if ended {
        (rest.to_vec(), rest.len())
    } else {
        return Parsed::Partial;
    };
    Parsed::Whole(Seen { status, fields, body }, head + length)
}

/// A chunked body (RFC 9112 §7.1) and its length; `None` while it is not all there.
fn chunks(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let httparse::Status::Complete((line, size)) = httparse::parse_chunk_size(&text[at..]).ok()? else {
            return None;
        };
        let (from, size) = (at + line, usize::try_from(size).ok()?);
        let to = from.checked_add(size)?;
        body.extend_from_slice(text.get(from..to)?);
        at = to + text.get(to..to + 2)?.len();
        if size == 0 {
            return Some((body, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// What comes of a request that is answered so.
    async fn answered(answer: &'static [u8]) -> Came {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut read = [0; 1024];
            let _ = stream.read(&mut read).await;
            stream.write_all(answer).await.unwrap();
        };
        let client = async {
            let tcp = TcpStream::connect(address).await.unwrap();
            let mut line = Line { stream: Box::new(tcp), received: Vec::new() };
            line.exchange(b"GET / HTTP/1.1\r\n\r\n", false, PATIENCE).await
        };
        tokio::join!(server, client).1
    }

    fn seen(came: Came) -> (u16, Vec<u8>) {
        let Came::Answer(seen) = came else { panic!("{came:?}") };
        (seen.status, seen.body)
    }

    #[tokio::test]
    async fn answers_are_read_however_they_end() {
        for answer in [
            &b"HTTP/1.1 401 X\r\ncontent-length: 2\r\n\r\nab"[..],
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
            b"HTTP/1.1 401 X\r\n\r\nab",
        ] {
            assert_eq!(seen(answered(answer).await), (401, b"ab".to_vec()), "{}", String::from_utf8_lossy(answer));
        }
        assert_eq!(seen(answered(b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nab").await), (200, b"ab".to_vec()));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_apart() {
        assert_eq!(answered(b"").await, Came::Closed);
        assert_eq!(answered(b"\x15\x03\x03\x00\x02\x02\x46").await, Came::Alert(70));
        assert_eq!(answered(b"SSH-2.0-x\r\n").await, Came::Garbage);
    }
}
