//! TLS as it is on the wire: greetings that are written out byte by byte, and what a server answers before anything is
//! encrypted; then what it does not do on a connection that is.
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Server, listener, profile, tls};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use bench_server::contract::{HttpVersion, ListenerConfig, MethodConfig, MtlsConfig, Transport};
use rustls::{ClientConnection, ConnectionTrafficSecrets, ExtractedSecrets};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// For what is certain to happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// Types of records (RFC 5246 §6.2.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

/// Types of handshake messages (§7.4).
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const CERTIFICATE_REQUEST: u8 = 13;
const SERVER_HELLO_DONE: u8 = 14;

/// Levels of alerts, and alerts (§7.2).
const WARNING: u8 = 1;
const FATAL: u8 = 2;
const HANDSHAKE_FAILURE: u8 = 40;
const ILLEGAL_PARAMETER: u8 = 47;
const PROTOCOL_VERSION: u8 = 70;
const NO_RENEGOTIATION: u8 = 100;

/// Extensions by their numbers.
const SUPPORTED_GROUPS: u16 = 10;
const EC_POINT_FORMATS: u16 = 11;
const SIGNATURE_ALGORITHMS: u16 = 13;
const SESSION_TICKET: u16 = 35;
const SUPPORTED_VERSIONS: u16 = 43;

/// Compression methods (§7.4.1.2, RFC 3749).
const NULL: u8 = 0;
const DEFLATE: u8 = 1;

/// ECDHE and RSA with AES in CBC mode: what TLS 1.0 and 1.1 had.
const OLD: [u16; 4] = [0xc009, 0xc013, 0x002f, 0x0035];

/// Suites without encryption, and for export.
const WEAK: [u16; 6] = [0x0001, 0x0002, 0x003b, 0xc006, 0x0003, 0x0008];

/// A greeting.
#[derive(Clone)]
struct Hello {
    version: u16,
    session: Vec<u8>,
    suites: Vec<u16>,
    compression: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Hello {
    /// Of a client that knows TLS 1.2 and nothing newer.
    fn tls12() -> Self {
        Self {
            version: 0x0303,
            session: Vec::new(),
            suites: vec![0xc02b],
            compression: vec![NULL],
            extensions: vec![
                (SUPPORTED_GROUPS, sized(&[0, 29, 0, 23])),
                (EC_POINT_FORMATS, vec![1, 0]),
                (SIGNATURE_ALGORITHMS, sized(&[4, 3])),
            ],
        }
    }

    /// Of one that knows TLS 1.3 and nothing older.
    fn tls13() -> Self {
        Self { suites: vec![0x1301], ..Self::tls12() }.with(SUPPORTED_VERSIONS, &[2, 3, 4])
    }

    fn with(mut self, extension: u16, content: &[u8]) -> Self {
        self.extensions.push((extension, content.to_vec()));
        self
    }

    /// The message.
    fn message(&self) -> Vec<u8> {
        let suites: Vec<u8> = self.suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
        let mut body = [&self.version.to_be_bytes()[..], &[7; 32], &short(&self.session)].concat();
        body.extend([sized(&suites), short(&self.compression)].concat());
        if !self.extensions.is_empty() {
            let one = |(kind, content): &(u16, Vec<u8>)| [&kind.to_be_bytes()[..], &sized(content)].concat();
            body.extend(sized(&self.extensions.iter().flat_map(one).collect::<Vec<u8>>()));
        }
        let length = u32::try_from(body.len()).expect("short").to_be_bytes();
        [&[CLIENT_HELLO][..], &length[1..], &body].concat()
    }

    fn record(&self) -> Vec<u8> {
        [&[HANDSHAKE, 3, 1][..], &sized(&self.message())].concat()
    }
}

/// With its length before it, in two bytes.
fn sized(content: &[u8]) -> Vec<u8> {
    [&u16::try_from(content.len()).expect("short").to_be_bytes()[..], content].concat()
}

/// With its length before it, in one byte.
fn short(content: &[u8]) -> Vec<u8> {
    [&[u8::try_from(content.len()).expect("short")][..], content].concat()
}

/// The next record, type and content; `None` at the end of the connection.
async fn record(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.ok()?;
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut content).await.expect("a whole record");
    Some((head[0], content))
}

/// What a server answers, to the end of its flight or of the connection.
async fn answer(server: &Server, hello: &Hello) -> Vec<(u8, Vec<u8>)> {
    let mut stream = TcpStream::connect(tls::address(server, 0)).await.expect("a connection");
    stream.write_all(&hello.record()).await.expect("sent");
    let mut records = Vec::new();
    let read = async {
        while let Some(record) = record(&mut stream).await {
            records.push(record);
            if messages(&records).iter().any(|(kind, _)| *kind == SERVER_HELLO_DONE) {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("an answer");
    records
}

/// The handshake messages in records, type and content.
fn messages(records: &[(u8, Vec<u8>)]) -> Vec<(u8, Vec<u8>)> {
    let bytes: Vec<u8> =
        records.iter().filter(|(kind, _)| *kind == HANDSHAKE).flat_map(|(_, content)| content.clone()).collect();
    let (mut rest, mut messages) = (bytes.as_slice(), Vec::new());
    while let [kind, a, b, c, after @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let Some((content, next)) = after.split_at_checked(length) else { break };
        messages.push((*kind, content.to_vec()));
        rest = next;
    }
    messages
}

/// What a server of TLS 1.2 has chosen (RFC 5246 §7.4.1.3).
struct ServerHello {
    session: Vec<u8>,
    compression: u8,
    extensions: Vec<u16>,
}

impl ServerHello {
    fn in_answer(records: &[(u8, Vec<u8>)]) -> Self {
        let messages = messages(records);
        let Some((SERVER_HELLO, content)) = messages.first() else { panic!("no ServerHello: {records:?}") };
        let (session, rest) = content[35..].split_at(usize::from(content[34]));
        let [_, _, compression, rest @ ..] = rest else { panic!("too short: {content:?}") };
        let (mut rest, mut extensions) = (rest.get(2..).unwrap_or_default(), Vec::new());
        while let [a, b, c, d, after @ ..] = rest {
            extensions.push(u16::from_be_bytes([*a, *b]));
            rest = &after[usize::from(u16::from_be_bytes([*c, *d]))..];
        }
        Self { session: session.to_vec(), compression: *compression, extensions }
    }
}

fn refused(alert: u8) -> Vec<(u8, Vec<u8>)> {
    vec![(ALERT, vec![FATAL, alert])]
}

async fn serving(transport: Transport, method: MethodConfig) -> Server {
    let main = ListenerConfig { profiles: vec![profile(method)], ..listener(transport, HttpVersion::Http1) };
    Server::start_with(vec![main], None).await
}

#[tokio::test]
async fn mt_9_bc_154_an_older_version_is_told_to_be_the_reason() {
    for transport in [Transport::Tls12, Transport::Tls13] {
        let server = serving(transport, MethodConfig::None).await;
        let mut hellos = vec![Hello::tls12().with(SUPPORTED_VERSIONS, &[4, 3, 2, 3, 1])];
        for version in [0x0300, 0x0301, 0x0302] {
            let old = Hello { version, suites: OLD.to_vec(), ..Hello::tls12() };
            // As such clients are: what tells of signatures came with TLS 1.2.
            hellos.push(Hello { extensions: Vec::new(), ..old.clone() });
            hellos.push(old);
        }
        // And one that the listener is not for.
        hellos.push(if transport == Transport::Tls12 { Hello::tls13() } else { Hello::tls12() });
        for hello in &hellos {
            let place = format!("{transport:?} {:#06x} {:?}", hello.version, hello.extensions);
            assert_eq!(answer(&server, hello).await, refused(PROTOCOL_VERSION), "{place}");
        }
        let counters = server.counters().await;
        assert_eq!((counters.handshakes_failed, counters.handshakes_refused), (hellos.len() as u64, 0));
        server.stop().await;
    }
}

#[tokio::test]
async fn bc_154_suites_without_encryption_or_for_export_are_refused() {
    for (transport, hello) in [(Transport::Tls12, Hello::tls12()), (Transport::Tls13, Hello::tls13())] {
        let server = serving(transport, MethodConfig::None).await;
        let weak = Hello { suites: WEAK.to_vec(), ..hello };
        assert_eq!(answer(&server, &weak).await, refused(HANDSHAKE_FAILURE), "{transport:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn mt_9_nothing_is_compressed() {
    let server = serving(Transport::Tls12, MethodConfig::None).await;
    let offers = |compression: &[u8], hello: Hello| Hello { compression: compression.to_vec(), ..hello };
    let chosen = answer(&server, &offers(&[DEFLATE, NULL], Hello::tls12())).await;
    assert_eq!(ServerHello::in_answer(&chosen).compression, NULL);
    let alone = answer(&server, &offers(&[DEFLATE], Hello::tls12())).await;
    assert_eq!(alone, refused(ILLEGAL_PARAMETER));
    server.stop().await;
    // RFC 8446 §4.1.2: nothing else may even be offered.
    let server = serving(Transport::Tls13, MethodConfig::None).await;
    for compression in [&[DEFLATE, NULL][..], &[DEFLATE]] {
        let answered = answer(&server, &offers(compression, Hello::tls13())).await;
        assert_eq!(answered, refused(ILLEGAL_PARAMETER), "{compression:?}");
    }
    server.stop().await;
}

/// Whether a ticket will follow is said in the ServerHello (RFC 5077 §3.2).
#[tokio::test]
async fn mt_24_bc_146_tls_1_2_hands_out_no_ticket_and_takes_none() {
    for resumption in [false, true] {
        let method = MtlsConfig { resumption, ..MtlsConfig::new(Duration::from_millis(20)) };
        let server = serving(Transport::Tls12, MethodConfig::Mtls(method)).await;
        let wants = Hello::tls12().with(SESSION_TICKET, &[]);
        let told = ServerHello::in_answer(&answer(&server, &wants).await);
        assert!(!told.extensions.contains(&SESSION_TICKET), "resumption {resumption}");
        assert_eq!(told.session.is_empty(), !resumption, "an identifier only where sessions are resumed");

        let brings_ticket = Hello::tls12().with(SESSION_TICKET, &[7; 160]);
        let brings_identifier = Hello { session: vec![7; 32], ..Hello::tls12() };
        for (hello, what) in [(brings_ticket, "ticket"), (brings_identifier, "identifier")] {
            let flight = messages(&answer(&server, &hello).await);
            let kinds: Vec<u8> = flight.iter().map(|(kind, _)| *kind).collect();
            let full = kinds.contains(&CERTIFICATE) && kinds.contains(&CERTIFICATE_REQUEST);
            assert!(full, "resumption {resumption}, {what}: {kinds:?}");
        }
        assert_eq!(server.counters().await.handshakes_resumed, 0);
        server.stop().await;
    }
}

/// One direction of a connection of TLS 1.2 with AES-128-GCM (RFC 5246 §6.2.3.3, RFC 5288 §3).
struct Direction {
    key: LessSafeKey,
    salt: [u8; 4],
    number: u64,
}

impl Direction {
    fn new((number, secrets): (u64, ConnectionTrafficSecrets)) -> Self {
        let ConnectionTrafficSecrets::Aes128Gcm { key, iv } = secrets else { panic!("another suite") };
        let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, key.as_ref()).expect("a key of 16 bytes"));
        Self { key, salt: iv.as_ref()[..4].try_into().expect("four of twelve"), number }
    }

    fn nonce(&self, explicit: &[u8]) -> Nonce {
        let nonce = [&self.salt[..], explicit].concat();
        Nonce::assume_unique_for_key(nonce.try_into().expect("four bytes and eight"))
    }

    /// What is authenticated of the next record beside its content.
    fn beside(&self, kind: u8, length: usize) -> Aad<Vec<u8>> {
        let length = u16::try_from(length).expect("short").to_be_bytes();
        Aad::from([&self.number.to_be_bytes()[..], &[kind, 3, 3], &length].concat())
    }

    fn seal(&mut self, kind: u8, content: &[u8]) -> Vec<u8> {
        let explicit = self.number.to_be_bytes();
        let (nonce, beside) = (self.nonce(&explicit), self.beside(kind, content.len()));
        let mut sealed = content.to_vec();
        self.key.seal_in_place_append_tag(nonce, beside, &mut sealed).expect("short");
        self.number += 1;
        [&[kind, 3, 3][..], &sized(&[&explicit[..], &sealed].concat())].concat()
    }

    fn open(&mut self, kind: u8, record: &[u8]) -> Vec<u8> {
        let (explicit, sealed) = record.split_at(8);
        let (nonce, beside) = (self.nonce(explicit), self.beside(kind, sealed.len() - AES_128_GCM.tag_len()));
        let mut opened = sealed.to_vec();
        let content = self.key.open_in_place(nonce, beside, &mut opened).expect("sealed by the server").to_vec();
        self.number += 1;
        content
    }
}

/// By a client that has the keys of its own connection, for no library asks for it any more.
#[tokio::test]
async fn mt_9_a_connection_is_not_negotiated_again() {
    let server = serving(Transport::Tls12, MethodConfig::None).await;
    let mut client = tls::client(&server, &rustls::version::TLS12, None);
    client.enable_secret_extraction = true;
    let stream = tls::connect(Arc::new(client), tls::address(&server, 0)).await.expect("a handshake");
    let (mut stream, connection) = stream.into_inner();
    let ExtractedSecrets { tx, rx } = connection.dangerous_extract_secrets().expect("the handshake is done");
    let (mut sending, mut receiving) = (Direction::new(tx), Direction::new(rx));
    let conversation = async {
        stream.write_all(&sending.seal(HANDSHAKE, &Hello::tls12().message())).await.expect("sent");
        let (kind, content) = record(&mut stream).await.expect("an answer");
        assert_eq!((kind, receiving.open(kind, &content)), (ALERT, vec![WARNING, NO_RENEGOTIATION]));
        // The connection goes on as it is.
        let request = b"GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n";
        stream.write_all(&sending.seal(DATA, request)).await.expect("sent");
        let (kind, content) = record(&mut stream).await.expect("an answer");
        let content = receiving.open(kind, &content);
        assert_eq!(kind, DATA);
        assert!(content.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&content));
    };
    tokio::time::timeout(PATIENCE, conversation).await.expect("answers");
    assert_eq!(server.counters().await.handshakes_full, 1);
    drop(stream);
    server.stop().await;
}

#[tokio::test]
async fn mt_9_no_data_is_taken_early() {
    let server = serving(Transport::Tls13, MethodConfig::None).await;
    let mut client = tls::client(&server, &rustls::version::TLS13, None);
    client.enable_early_data = true;
    let client = Arc::new(client);
    for _ in 0..2 {
        let mut stream = tls::connect(client.clone(), tls::address(&server, 0)).await.expect("a handshake");
        assert_eq!(tls::get(&mut stream, "/whoami").await.expect("an answer"), "HTTP/1.1 200 OK");
    }
    assert_eq!(server.counters().await.handshakes_resumed, 1, "there are sessions that data could be sent in");
    // What may be sent early is in the session's ticket (RFC 8446 §4.2.10).
    let mut next = ClientConnection::new(client, tls::name()).expect("a greeting");
    assert!(next.early_data().is_none());
    server.stop().await;
}
