//! Transports, HTTP versions, routing, limits, start and stop: all that is the same for every method.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Server, listener, profile};
use bench_server::contract::{
    ApiKeyConfig, AuthorizationServerConfig, Counters, HttpVersion, ListenerConfig, Material, MethodConfig, MtlsConfig,
    Ready, ServerConfig, StoreConfig, Transport,
};
use bench_server::{Running, StartError};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const TRANSPORTS: [Transport; 3] = [Transport::Plaintext, Transport::Tls12, Transport::Tls13];
const VERSIONS: [HttpVersion; 2] = [HttpVersion::Http1, HttpVersion::Http2];

fn serving(transport: Transport, http: HttpVersion, method: MethodConfig) -> ListenerConfig {
    ListenerConfig { profiles: vec![profile(method)], ..listener(transport, http) }
}

fn baseline(transport: Transport, http: HttpVersion) -> ListenerConfig {
    serving(transport, http, MethodConfig::None)
}

fn api_key() -> MethodConfig {
    MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))
}

fn config(state_dir: &Path, listeners: Vec<ListenerConfig>) -> ServerConfig {
    ServerConfig {
        listeners,
        workers: NonZeroUsize::MIN,
        cpus: Vec::new(),
        state_dir: state_dir.to_owned(),
        shared_dir: None,
        clock: Default::default(),
        authorization_server: None,
        forging: false,
    }
}

/// A client that speaks only this version, in plaintext by prior knowledge.
fn speaking(server: &Server, http: HttpVersion) -> reqwest::Client {
    let client = server.client();
    match http {
        HttpVersion::Http1 => client.http1_only(),
        HttpVersion::Http2 => client.http2_prior_knowledge(),
    }
    .build()
    .expect("a client")
}

fn address(server: &Server) -> SocketAddr {
    server.running().ready().listeners[0].address
}

/// Waits until a handshake has failed: the client may have read the alert before the server counts it.
async fn failed_handshake(server: &Server) -> Counters {
    let counted = async {
        loop {
            let counters = server.counters().await;
            if counters.handshakes_failed > 0 {
                break counters;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), counted).await.expect("a failed handshake is counted")
}

/// Everything the server sends until it closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an orderly end, not a reset");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn every_transport_carries_every_http_version() {
    for transport in TRANSPORTS {
        for http in VERSIONS {
            let server = Server::start_with(vec![baseline(transport, http)], None).await;
            let client = speaking(&server, http);
            for _ in 0..2 {
                let answer = client.get(server.whoami()).send().await.expect("an answer");
                assert_eq!(answer.status(), 200, "{transport:?} {http:?}");
                let expected = match http {
                    HttpVersion::Http1 => reqwest::Version::HTTP_11,
                    HttpVersion::Http2 => reqwest::Version::HTTP_2,
                };
                assert_eq!(answer.version(), expected);
                let body: serde_json::Value = answer.json().await.expect("JSON");
                assert_eq!(body["method"], "none");
            }
            let counters = server.counters().await;
            assert_eq!((counters.requests, counters.accepted), (2, 2));
            // Both requests went over one connection.
            assert_eq!((counters.connections_accepted, counters.handshakes_with_certificate), (1, 0));
            assert_eq!(counters.handshakes_full, u64::from(transport != Transport::Plaintext));
            assert_eq!(counters.handshakes_resumed, 0);
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn mt_9_a_listener_speaks_one_tls_version_only() {
    use reqwest::tls::Version;
    for (transport, spoken, foreign) in
        [(Transport::Tls12, Version::TLS_1_2, Version::TLS_1_3), (Transport::Tls13, Version::TLS_1_3, Version::TLS_1_2)]
    {
        let server = Server::start_with(vec![baseline(transport, HttpVersion::Http1)], None).await;
        for (version, accepted) in [(spoken, true), (foreign, false)] {
            let client = server.client().tls_version_min(version).tls_version_max(version).build().expect("a client");
            assert_eq!(client.get(server.whoami()).send().await.is_ok(), accepted, "{transport:?} {version:?}");
        }
        let counters = failed_handshake(&server).await;
        assert_eq!((counters.handshakes_full, counters.handshakes_failed, counters.handshakes_refused), (1, 1, 0));
        assert_eq!(counters.connections_accepted, 2);
    }
}

/// A greeting as no library sends it any more, written out (RFC 5246 §7.4.1.2, RFC 8446 §4.1.2).
fn client_hello(version: u16, suites: &[u16], extensions: &[(u16, &[u8])]) -> Vec<u8> {
    /// With its length in two bytes before it.
    fn sized(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).expect("a few hundred bytes");
        [&length.to_be_bytes()[..], content].concat()
    }
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let extensions: Vec<u8> =
        extensions.iter().flat_map(|(kind, content)| [&kind.to_be_bytes()[..], &sized(content)].concat()).collect();
    let (version, no_session, no_compression) = (version.to_be_bytes(), [0], [1, 0]);
    let body = [&version[..], &[7; 32], &no_session, &sized(&suites), &no_compression, &sized(&extensions)].concat();
    let length = u32::try_from(body.len()).expect("a few hundred bytes").to_be_bytes();
    let handshake = [&[1, length[1], length[2], length[3]][..], &body].concat();
    [&[22, 3, 1][..], &sized(&handshake)].concat()
}

/// Kind and content of the first record that answers a greeting.
async fn greeted(server: &Server, hello: &[u8]) -> (u8, Vec<u8>) {
    let mut stream = TcpStream::connect(address(server)).await.expect("a connection");
    stream.write_all(hello).await.expect("sent");
    let mut head = [0; 5];
    stream.read_exact(&mut head).await.expect("the head of a record");
    let mut content = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut content).await.expect("the record");
    (head[0], content)
}

#[tokio::test]
async fn mt_9_bc_154_old_versions_and_weak_ciphers_are_refused_with_their_alerts() {
    const HANDSHAKE: u8 = 22;
    const FATAL: u8 = 2;
    const HANDSHAKE_FAILURE: u8 = 40;
    const PROTOCOL_VERSION: u8 = 70;
    /// ECDHE with AES-GCM, for TLS 1.2, and AES-GCM for 1.3.
    const GOOD: [u16; 4] = [0xc02b, 0xc02f, 0x1301, 0x1302];
    /// ECDHE and RSA with AES in CBC mode, 3DES and RC4: what TLS 1.0 and 1.1 had.
    const OLD: [u16; 8] = [0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035, 0x000a, 0x0005];
    /// Without encryption, and with keys of 40 bits; the last two are those of TLS 1.3 (RFC 9150).
    const WEAK: [u16; 17] = [
        0x0000, 0x0001, 0x0002, 0x003b, 0xc001, 0xc006, 0xc00b, 0xc010, 0x0003, 0x0006, 0x0008, 0x000b, 0x000e, 0x0014,
        0x0017, 0xc0b4, 0xc0b5,
    ];
    const GROUPS: (u16, &[u8]) = (10, &[0, 4, 0, 23, 0, 29]);
    const SIGNATURES: (u16, &[u8]) = (13, &[0, 6, 4, 3, 8, 4, 8, 7]);
    const TLS_1_3: (u16, &[u8]) = (43, &[2, 3, 4]);
    const TLS_1_0_AND_1_1: (u16, &[u8]) = (43, &[4, 3, 2, 3, 1]);
    const NO_SHARE: (u16, &[u8]) = (51, &[0, 0]);

    let alert = |description| (21_u8, vec![FATAL, description]);
    for transport in [Transport::Tls12, Transport::Tls13] {
        let server = Server::start_with(vec![baseline(transport, HttpVersion::Http1)], None).await;
        let common = [GROUPS, SIGNATURES];
        let of_version: &[(u16, &[u8])] = if transport == Transport::Tls13 { &[TLS_1_3, NO_SHARE] } else { &[] };
        let spoken = [&common[..], of_version].concat();
        let accepted = client_hello(0x0303, &GOOD, &spoken);
        assert_eq!(greeted(&server, &accepted).await.0, HANDSHAKE, "{transport:?}");
        for version in [0x0300, 0x0301, 0x0302] {
            for suites in [&OLD[..], &GOOD] {
                let hello = client_hello(version, suites, &common);
                assert_eq!(greeted(&server, &hello).await, alert(PROTOCOL_VERSION), "{transport:?} {version:#x}");
            }
            // Those who knew no signature algorithms are refused for that, before anybody looks at their version.
            let (kind, content) = greeted(&server, &client_hello(version, &OLD, &[GROUPS])).await;
            let is_known = matches!(content.as_slice(), [FATAL, HANDSHAKE_FAILURE | PROTOCOL_VERSION]);
            assert!(kind == 21 && is_known, "{transport:?} {version:#x}: {kind} {content:?}");
        }
        let only_old = client_hello(0x0303, &GOOD, &[GROUPS, SIGNATURES, TLS_1_0_AND_1_1]);
        assert_eq!(greeted(&server, &only_old).await, alert(PROTOCOL_VERSION), "{transport:?}");
        for suites in [&WEAK[..], &OLD] {
            let hello = client_hello(0x0303, suites, &spoken);
            assert_eq!(greeted(&server, &hello).await, alert(HANDSHAKE_FAILURE), "{transport:?} {suites:x?}");
        }
        assert_eq!(greeted(&server, &accepted).await.0, HANDSHAKE, "{transport:?} goes on");
        server.stop().await;
    }
}

#[tokio::test]
async fn the_server_prefers_the_first_http_version_it_offers() {
    for (offered, expected) in [
        ([HttpVersion::Http2, HttpVersion::Http1], reqwest::Version::HTTP_2),
        ([HttpVersion::Http1, HttpVersion::Http2], reqwest::Version::HTTP_11),
    ] {
        let mut both = baseline(Transport::Tls13, HttpVersion::Http1);
        both.http = offered.to_vec();
        let server = Server::start_with(vec![both], None).await;
        let client = server.client().build().expect("a client");
        assert_eq!(client.get(server.whoami()).send().await.expect("an answer").version(), expected);
    }
}

/// A TLS client whose sessions live in its configuration.
async fn request_over_tls(connector: &tokio_rustls::TlsConnector, address: SocketAddr) {
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TcpStream::connect(address).await.expect("a connection");
    let mut stream = connector.connect(name, stream).await.expect("a handshake");
    stream.write_all(b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("close_notify");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn sessions_are_resumed_and_both_kinds_counted() {
    for (transport, version) in
        [(Transport::Tls12, &rustls::version::TLS12), (Transport::Tls13, &rustls::version::TLS13)]
    {
        let server = Server::start_with(vec![baseline(transport, HttpVersion::Http1)], None).await;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(server.ca_file()).expect("PEM")).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let client = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .expect("a version")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
        for _ in 0..3 {
            request_over_tls(&connector, address(&server)).await;
        }
        let counters = server.counters().await;
        assert_eq!((counters.handshakes_full, counters.handshakes_resumed), (1, 2), "{transport:?}");
        assert_eq!(counters.connections_accepted, 3);
    }
}

#[tokio::test]
async fn xc_18_bc_156_plaintext_to_a_tls_port_gets_no_http_answer() {
    let server = Server::start_with(vec![baseline(Transport::Tls13, HttpVersion::Http1)], None).await;
    let mut stream = TcpStream::connect(address(&server)).await.expect("a connection");
    stream.write_all(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    assert!(!rest(&mut stream).await.contains("HTTP/"));
    assert_eq!(failed_handshake(&server).await.handshakes_failed, 1);
}

#[tokio::test]
async fn xc_11_xc_13_bc_014_unknown_paths_tell_nothing_to_strangers() {
    let open = Server::start_with(vec![baseline(Transport::Plaintext, HttpVersion::Http1)], None).await;
    assert_eq!(open.call_with("/nothing", &[]).await.status(), Some(404));

    let server = Server::start_with(vec![serving(Transport::Plaintext, HttpVersion::Http1, api_key())], None).await;
    let issued = server.issue(&["read"], None).await;
    let Material::ApiKey { key } = &issued.material else { panic!("not a key") };
    let good = [("x-api-key", key.expose())];
    // Spellings of `/whoami` that are not its path are no way around its authentication.
    for path in ["/nothing", "//whoami", "/%77hoami", "/whoami/", "/whoami;x", "/WHOAMI"] {
        server.call_with(path, &[]).await.assert_challenge("Bearer", None);
        server.call_with(path, &[("x-api-key", "wrong")]).await.assert_challenge("Bearer", Some("invalid_token"));
        assert_eq!(server.call_with(path, &good).await.status(), Some(404), "{path}");
    }
    server.call_with("/whoami", &good).await.assert_accepted(&issued.principal);
}

#[tokio::test]
async fn xc_13_the_absolute_form_names_the_same_route() {
    let server = Server::start_with(vec![serving(Transport::Plaintext, HttpVersion::Http1, api_key())], None).await;
    let mut stream = TcpStream::connect(address(&server)).await.expect("a connection");
    let request = b"GET http://other.test/whoami HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 401"));
}

#[tokio::test]
async fn xc_2_other_verbs_are_judged_after_the_caller() {
    let server = Server::start_with(vec![serving(Transport::Plaintext, HttpVersion::Http1, api_key())], None).await;
    let issued = server.issue(&["read"], None).await;
    let Material::ApiKey { key } = &issued.material else { panic!("not a key") };
    let client = speaking(&server, HttpVersion::Http1);
    assert_eq!(client.delete(server.whoami()).send().await.expect("an answer").status(), 401);
    let answer = client.delete(server.whoami()).header("x-api-key", key.expose()).send().await.expect("an answer");
    assert_eq!(answer.status(), 405);
    assert_eq!(answer.headers()["allow"], "GET, HEAD, OPTIONS");
}

#[tokio::test]
async fn xc_22_head_is_get_without_body_in_both_http_versions() {
    for http in VERSIONS {
        let server = Server::start_with(vec![baseline(Transport::Plaintext, http)], None).await;
        let client = speaking(&server, http);
        let head = client.head(server.whoami()).send().await.expect("an answer");
        let length = head.headers()["content-length"].to_str().expect("digits").to_owned();
        assert_eq!(head.status(), 200);
        assert_eq!(head.bytes().await.expect("no body").len(), 0, "{http:?}");
        let get = client.get(server.whoami()).send().await.expect("an answer");
        assert_eq!(get.bytes().await.expect("a body").len().to_string(), length);
    }
}

#[tokio::test]
async fn xc_7_bc_011_bc_012_header_blocks_have_a_limit_and_the_server_survives_them() {
    for transport in [Transport::Plaintext, Transport::Tls13] {
        for http in VERSIONS {
            let server = Server::start_with(vec![baseline(transport, http)], None).await;
            let client = speaking(&server, http);
            let send = async |request: reqwest::RequestBuilder| request.send().await.expect("an answer").status();
            let get = || client.get(server.whoami());
            assert_eq!(send(get().header("authorization", "x".repeat(24 * 1024))).await, 200);
            for kib in [32, 44, 63, 64] {
                let long = || get().header("authorization", "x".repeat(kib * 1024));
                assert_eq!(send(long()).await, 431, "{kib} KiB over {transport:?} {http:?}");
                // What has been read on a connection before changes how much is read at once.
                let fresh = long().build().expect("a request");
                let answer = speaking(&server, http).execute(fresh).await.expect("an answer");
                assert_eq!(answer.status(), 431, "{kib} KiB at first over {transport:?} {http:?}");
            }
            let many = (0..150).fold(get(), |request, n| request.header(format!("x-{n}"), "1"));
            assert_eq!(send(many).await, 431, "{transport:?} {http:?}");
            assert_eq!(send(get()).await, 200);
        }
    }
}

#[tokio::test]
async fn a_request_needs_one_host() {
    let server = Server::start_with(vec![baseline(Transport::Plaintext, HttpVersion::Http1)], None).await;
    for fields in ["", "Host: a\r\nHost: b\r\n"] {
        let mut stream = TcpStream::connect(address(&server)).await.expect("a connection");
        let request = format!("GET /whoami HTTP/1.1\r\n{fields}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        assert!(rest(&mut stream).await.starts_with("HTTP/1.1 400"), "{fields}");
    }
}

#[tokio::test]
async fn xc_14_a_connection_remembers_no_credential() {
    for http in VERSIONS {
        let server = Server::start_with(vec![serving(Transport::Tls13, http, api_key())], None).await;
        let issued = server.issue(&["read"], None).await;
        let Material::ApiKey { key } = &issued.material else { panic!("not a key") };
        let client = speaking(&server, http);
        let get = || client.get(server.whoami());
        assert_eq!(get().header("x-api-key", key.expose()).send().await.expect("an answer").status(), 200);
        assert_eq!(get().send().await.expect("an answer").status(), 401);
        let counters = server.counters().await;
        assert_eq!(counters.handshakes_full, 1, "both went over one connection");
        assert_eq!((counters.requests, counters.accepted, counters.rejected["missing"]), (2, 1, 1));
    }
}

/// There is no challenge for certificates: the answer is a 403 and the end of the connection, `Connection: close` over
/// HTTP/1 and GOAWAY over HTTP/2. A new connection is refused in its handshake.
#[tokio::test]
async fn mt_26_bc_147_a_connection_ends_when_its_certificate_is_revoked() {
    let method = || MethodConfig::Mtls(MtlsConfig::new(Duration::from_millis(20)));
    for transport in [Transport::Tls12, Transport::Tls13] {
        for http in VERSIONS {
            let server = Server::start_with(vec![serving(transport, http, method())], None).await;
            let issued = server.issue(&["read"], None).await;
            let Material::Certificate { chain_pem, key_pem } = &issued.material else { panic!("not a certificate") };
            let identity = format!("{chain_pem}{}", key_pem.expose());
            let client =
                server.client().identity(reqwest::Identity::from_pem(identity.as_bytes()).expect("an identity"));
            let client = match http {
                HttpVersion::Http1 => client.http1_only(),
                HttpVersion::Http2 => client.http2_prior_knowledge(),
            };
            let client = client.build().expect("a client");
            let get = async || client.get(server.whoami()).send().await;
            assert_eq!(get().await.expect("an answer").status(), 200);
            assert_eq!(client.get(format!("{}/nothing", server.url())).send().await.expect("an answer").status(), 404);

            server.revoke(&issued).await;
            let noticed = async {
                loop {
                    let answer = get().await.expect("an answer on the open connection");
                    if answer.status() != 200 {
                        break answer;
                    }
                }
            };
            let refused =
                tokio::time::timeout(Duration::from_secs(10), noticed).await.expect("noticed within its bound");
            assert_eq!(refused.status(), 403, "{transport:?} {http:?}");
            assert!(!refused.headers().contains_key("www-authenticate"));
            assert_eq!(refused.headers().contains_key("connection"), http == HttpVersion::Http1);
            let body: serde_json::Value = refused.json().await.expect("JSON");
            assert!(body["type"].as_str().expect("a type").ends_with("client-certificate-invalid"), "{body}");

            // Until the client has seen the end of the connection, it may use it once more.
            let ended = async {
                while server.counters().await.handshakes_failed == 0 {
                    if let Ok(answer) = get().await {
                        assert_eq!(answer.status(), 403);
                    }
                }
            };
            tokio::time::timeout(Duration::from_secs(10), ended).await.expect("the connection ends");
            let counters = server.counters().await;
            assert_eq!(counters.handshakes_full, 1, "{transport:?} {http:?}: all answers came over one connection");
            assert_eq!(counters.handshakes_with_certificate, 1);
            assert_eq!(counters.handshakes_refused, counters.handshakes_failed, "for the certificate, all of them");
        }
    }
}

#[tokio::test]
async fn all_workers_serve_one_address() {
    let state = tempfile::tempdir().expect("a folder");
    let workers = NonZeroUsize::new(3).expect("not zero");
    let listeners = vec![baseline(Transport::Plaintext, HttpVersion::Http1)];
    let running =
        bench_server::start(ServerConfig { workers, ..config(state.path(), listeners) }).await.expect("started");
    let url = format!("{}/whoami", running.ready().listeners[0].url);
    for _ in 0..30 {
        // A client of its own each time: a new connection, for the kernel to give to some worker.
        let client = reqwest::Client::builder().build().expect("a client");
        assert_eq!(client.get(&url).send().await.expect("an answer").status(), 200);
    }
    running.stop().await;
}

fn ready(running: &Running) -> Ready {
    running.ready().clone()
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_leaves_nothing() {
    let state = tempfile::tempdir().expect("a folder");
    let listeners = vec![baseline(Transport::Plaintext, HttpVersion::Http1)];
    let running = bench_server::start(config(state.path(), listeners.clone())).await.expect("started");
    let ready = ready(&running);
    let mut idle = TcpStream::connect(ready.listeners[0].address).await.expect("a connection");
    idle.write_all(b"GET /whoami HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.expect("an answer");
    assert_eq!(&first, b"HTTP/1.1 200");
    running.stop().await;
    rest(&mut idle).await;
    assert!(TcpStream::connect(ready.listeners[0].address).await.is_err());
    assert!(!ready.control.exists());

    // The same folder and the same port serve again.
    let mut again = config(state.path(), listeners);
    again.listeners[0].bind = ready.listeners[0].address;
    bench_server::start(again).await.expect("started again").stop().await;
}

#[tokio::test]
async fn stopping_lets_a_request_in_progress_finish() {
    let state = tempfile::tempdir().expect("a folder");
    let mut with_tokens = baseline(Transport::Plaintext, HttpVersion::Http1);
    with_tokens.authorization_server = true;
    let mut config = config(state.path(), vec![with_tokens]);
    config.authorization_server = Some(AuthorizationServerConfig::default());
    let running = bench_server::start(config).await.expect("started");
    let address = running.ready().listeners[0].address;

    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = "POST /token HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 12\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.expect("the server has begun to read the body");
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");

    let stopping = tokio::spawn(running.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await; // until the listener is closed
    }
    stream.write_all(b"grant_type=x").await.expect("sent");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 4"), "the token endpoint's own refusal: {answer}");
    stopping.await.expect("stopped");
}

#[tokio::test]
async fn a_port_in_use_is_explained_and_leaves_nothing_behind() {
    let (held, state) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let listeners = vec![baseline(Transport::Plaintext, HttpVersion::Http1)];
    let running = bench_server::start(config(held.path(), listeners.clone())).await.expect("started");
    let taken = running.ready().listeners[0].address;
    for workers in [1, 2] {
        let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let free_address = free.local_addr().expect("an address");
        drop(free);
        let mut second = config(state.path(), listeners.clone());
        second.workers = NonZeroUsize::new(workers).expect("not zero");
        second.listeners[0].bind = free_address;
        second.listeners.push(ListenerConfig {
            name: "second".into(),
            bind: taken,
            public_url: None,
            profiles: Vec::new(),
            ..listeners[0].clone()
        });
        let error = bench_server::start(second).await.err().expect("the port is taken");
        assert!(matches!(error, StartError::Bind { .. }) && !error.is_config());
        let text = error.to_string();
        assert!(
            text.contains(&taken.to_string()) && text.contains("second") && text.contains("choose another"),
            "{text}"
        );
        assert!(!state.path().join("control.sock").exists());
        std::net::TcpListener::bind(free_address).expect("the first listener's port was given back");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_folder_that_others_may_read_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = folder.path().join("open");
    std::fs::create_dir(&open).expect("a folder");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    std::fs::write(open.join("file"), "someone's").expect("a file");
    let mode = |path: &Path| path.metadata().expect("it exists").permissions().mode() & 0o777;
    let listeners = vec![baseline(Transport::Plaintext, HttpVersion::Http1)];
    let error = bench_server::start(config(&open, listeners.clone())).await.err().expect("refused");
    assert!(error.is_config() && error.to_string().contains("chmod 700"), "{error}");
    assert_eq!(mode(&open), 0o755, "it is left as it was");

    // An empty one is closed, and one that does not exist is made private.
    std::fs::remove_file(open.join("file")).expect("removed");
    for private in [open, folder.path().join("deep/fresh")] {
        let running = bench_server::start(config(&private, listeners.clone())).await.expect("started");
        assert_eq!(mode(&private), 0o700);
        assert_eq!(mode(&running.ready().control), 0o600);
        running.stop().await;
    }
}

#[tokio::test]
async fn a_second_server_over_the_same_folder_is_refused() {
    let state = tempfile::tempdir().expect("a folder");
    let listeners = vec![baseline(Transport::Plaintext, HttpVersion::Http1)];
    let running = bench_server::start(config(state.path(), listeners.clone())).await.expect("started");
    let error = bench_server::start(config(state.path(), listeners)).await.err().expect("refused");
    assert!(error.to_string().contains("another server"), "{error}");
    assert!(running.ready().control.exists(), "the first one's socket is untouched");
    running.stop().await;
}
