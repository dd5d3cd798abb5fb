//! Client certificates over the wire: optional ones, connections that end by themselves, resumption, bound tokens.
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Answer, Server, listener, oauth2, profile, tls};
use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, AuthorizationServerConfig, ClientRegistration, ClientSecretMethod,
    HttpVersion, IssueRequest, Issued, ListenerConfig, Material, MethodConfig, MtlsConfig, OcspConfig, Profile,
    READ_SCOPE, RegisteredClient, StoreConfig, TokenValidation, Transport,
};
use rustls::client::ClientSessionMemoryCache;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// For what is certain to happen.
const PATIENCE: Duration = Duration::from_secs(60);

fn mtls() -> MtlsConfig {
    MtlsConfig::new(Duration::from_millis(20))
}

fn optional() -> MethodConfig {
    MethodConfig::Mtls(MtlsConfig { optional: true, ..mtls() })
}

/// A listener with these profiles, each at a path of its name; the first is `subject`, at `/whoami`.
fn serving(name: &str, http: HttpVersion, methods: Vec<(&str, MethodConfig)>) -> ListenerConfig {
    let profiles = methods.into_iter().map(|(name, method)| match name {
        "subject" => profile(method),
        name => Profile { name: name.into(), path: format!("/{name}"), ..profile(method) },
    });
    ListenerConfig { name: name.into(), profiles: profiles.collect(), ..listener(Transport::Tls13, http) }
}

async fn certificate(server: &Server, profile: &str) -> Issued {
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let answer = server.control_post(&format!("/profiles/{profile}/credentials"), &request).await;
    answer.json::<Vec<Issued>>().await.expect("issued credentials").remove(0)
}

/// A client with this certificate.
fn with(server: &Server, certificate: &Issued) -> reqwest::Client {
    let Material::Certificate { chain_pem, key_pem } = &certificate.material else { panic!("not a certificate") };
    let pem = format!("{chain_pem}{}", key_pem.expose());
    server
        .client()
        .identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity"))
        .build()
        .expect("a client")
}

#[tokio::test]
async fn mt_34_other_methods_work_beside_optional_certificates() {
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let methods = vec![
            ("subject", MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))),
            ("certificates", optional()),
        ];
        let server = Server::start_with(vec![serving("main", http, methods)], None).await;
        let (key, one) = (certificate(&server, "subject").await, certificate(&server, "certificates").await);
        let Material::ApiKey { key } = &key.material else { panic!("not a key") };
        let url = |path: &str| format!("{}/{path}", server.url());

        let stranger = server.client().build().expect("a client");
        let refused = stranger.get(url("certificates")).send().await.expect("an answer");
        assert_eq!(refused.status(), 403);
        let body: serde_json::Value = refused.json().await.expect("JSON");
        assert!(body["type"].as_str().expect("a type").ends_with("/client-certificate-required"), "{body}");
        let answer = stranger.get(url("whoami")).header("x-api-key", key.expose()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(server.counters().await.handshakes_full, 1, "all on one connection");

        let known = with(&server, &one);
        assert_eq!(known.get(url("certificates")).send().await.expect("an answer").status(), 200);
        assert_eq!(known.get(url("whoami")).send().await.expect("an answer").status(), 401, "a certificate is no key");
        // A bad certificate is refused in the handshake, optional or not.
        let foreign = Server::start(MethodConfig::Mtls(mtls())).await;
        let other = certificate(&foreign, "subject").await;
        assert!(with(&server, &other).get(url("whoami")).send().await.is_err());
        server.stop().await;
    }
}

#[tokio::test]
async fn mt_35_the_authority_of_a_listener_with_certificates_is_misdirected_elsewhere() {
    let key = MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory));
    let listeners = vec![
        serving("main", HttpVersion::Http1, vec![("subject", key)]),
        serving("mtls", HttpVersion::Http1, vec![("certificates", MethodConfig::Mtls(mtls()))]),
    ];
    let server = Server::start_with(listeners, None).await;
    let client = server.client().build().expect("a client");
    let ask = async |host: String| {
        client.get(server.whoami()).header("host", host).send().await.expect("an answer").status().as_u16()
    };
    assert_eq!(ask(tls::address(&server, 1).to_string()).await, 421);
    assert_eq!(ask(tls::address(&server, 0).to_string()).await, 401);
    server.stop().await;
}

#[tokio::test]
async fn mt_26_bc_147_an_idle_connection_ends_when_its_certificate_is_revoked() {
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let server =
            Server::start_with(vec![serving("main", http, vec![("subject", MethodConfig::Mtls(mtls()))])], None).await;
        let one = server.issue(&[READ_SCOPE], None).await;
        let mut client = tls::client(&server, &rustls::version::TLS13, Some(&one));
        if http == HttpVersion::Http2 {
            client.alpn_protocols = vec![b"h2".to_vec()];
        }
        let mut stream = tls::connect(Arc::new(client), tls::address(&server, 0)).await.expect("a handshake");
        match http {
            HttpVersion::Http1 => {
                assert_eq!(tls::get(&mut stream, "/whoami").await.expect("an answer"), "HTTP/1.1 200 OK")
            }
            // Preface and empty settings (RFC 9113 §3.4).
            HttpVersion::Http2 => {
                stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
                let mut first = [0; 9];
                stream.read_exact(&mut first).await.expect("the server's settings");
                assert_eq!(first[3], 4, "SETTINGS");
                let length = usize::from(first[2]) + (usize::from(first[1]) << 8);
                stream.read_exact(&mut vec![0; length]).await.expect("the rest of them");
            }
        }
        server.revoke(&one).await;
        let ended = tokio::time::timeout(PATIENCE, end(&mut stream, http)).await.expect("the connection ends");
        assert!(ended, "{http:?}: without GOAWAY");
        assert!(server.counters().await.connections_lapsed >= 1);
        server.stop().await;
    }
}

/// Reads to the end of a connection; whether it ends in good order: over HTTP/2, by GOAWAY.
async fn end(stream: &mut TlsStream<TcpStream>, http: HttpVersion) -> bool {
    let mut goodbye = http == HttpVersion::Http1;
    let mut head = [0; 9];
    while !goodbye && stream.read_exact(&mut head).await.is_ok() {
        const GOAWAY: u8 = 7;
        goodbye = head[3] == GOAWAY;
        let length = usize::from(head[2]) + (usize::from(head[1]) << 8);
        if stream.read_exact(&mut vec![0; length]).await.is_err() {
            break;
        }
    }
    if http == HttpVersion::Http1 {
        return matches!(stream.read(&mut head).await, Ok(0));
    }
    goodbye
}

/// Sessions are remembered by the client, and nothing that it brings back spares it the full handshake.
#[tokio::test]
async fn mt_23_mt_24_bc_146_a_saved_session_of_a_revoked_certificate_is_refused() {
    for (transport, version) in
        [(Transport::Tls12, &rustls::version::TLS12), (Transport::Tls13, &rustls::version::TLS13)]
    {
        let main = ListenerConfig {
            transport,
            ..serving("main", HttpVersion::Http1, vec![("subject", MethodConfig::Mtls(mtls()))])
        };
        let server = Server::start_with(vec![main], None).await;
        let one = server.issue(&[READ_SCOPE], None).await;
        // The client would take a session identifier or a ticket; the server gives out neither.
        let client = Arc::new(tls::client(&server, version, Some(&one)));
        for _ in 0..2 {
            let mut stream = tls::connect(client.clone(), tls::address(&server, 0)).await.expect("a handshake");
            assert_eq!(tls::get(&mut stream, "/whoami").await.expect("an answer"), "HTTP/1.1 200 OK");
        }
        let counters = server.counters().await;
        assert_eq!((counters.handshakes_full, counters.handshakes_resumed), (2, 0), "{transport:?}");
        server.revoke(&one).await;
        let refused = async {
            let mut stream = tls::connect(client.clone(), tls::address(&server, 0)).await?;
            tls::get(&mut stream, "/whoami").await
        };
        let refused = refused.await.expect_err("the certificate is revoked").to_string();
        assert!(refused.contains("CertificateRevoked"), "{transport:?}: {refused}");
        assert_eq!(server.counters().await.handshakes_resumed, 0);
        server.stop().await;
    }
}

/// Where sessions are resumed because the configuration says so, each request is still looked up.
#[tokio::test]
async fn mt_24_a_resumed_session_of_a_revoked_certificate_is_refused_by_its_request() {
    for (transport, version) in
        [(Transport::Tls12, &rustls::version::TLS12), (Transport::Tls13, &rustls::version::TLS13)]
    {
        let method = MethodConfig::Mtls(MtlsConfig { resumption: true, ..mtls() });
        let main = ListenerConfig { transport, ..serving("main", HttpVersion::Http1, vec![("subject", method)]) };
        let server = Server::start_with(vec![main], None).await;
        let one = server.issue(&[READ_SCOPE], None).await;
        let client = Arc::new(tls::client(&server, version, Some(&one)));
        for _ in 0..2 {
            let mut stream = tls::connect(client.clone(), tls::address(&server, 0)).await.expect("a handshake");
            assert_eq!(tls::get(&mut stream, "/whoami").await.expect("an answer"), "HTTP/1.1 200 OK");
        }
        assert_eq!(server.counters().await.handshakes_resumed, 1, "{transport:?}");
        server.revoke(&one).await;
        let mut stream = tls::connect(client.clone(), tls::address(&server, 0)).await.expect("a resumed handshake");
        assert_eq!(tls::get(&mut stream, "/whoami").await.expect("an answer"), "HTTP/1.1 403 Forbidden");
        assert_eq!(server.counters().await.handshakes_resumed, 2);
        server.stop().await;
    }
}

#[tokio::test]
async fn mt_25_a_session_without_certificate_is_not_resumed_where_one_is_demanded() {
    let resuming = |optional| MethodConfig::Mtls(MtlsConfig { resumption: true, optional, ..mtls() });
    let listeners = vec![
        serving("main", HttpVersion::Http1, vec![("subject", resuming(true)), ("open", MethodConfig::None)]),
        serving("mtls", HttpVersion::Http1, vec![("certificates", resuming(false))]),
    ];
    let server = Server::start_with(listeners, None).await;
    let mut client = tls::client(&server, &rustls::version::TLS13, None);
    client.resumption = rustls::client::Resumption::store(Arc::new(ClientSessionMemoryCache::new(32)));
    let client = Arc::new(client);
    for _ in 0..2 {
        let mut stream = tls::connect(client.clone(), tls::address(&server, 0)).await.expect("a handshake");
        assert_eq!(tls::get(&mut stream, "/open").await.expect("an answer"), "HTTP/1.1 200 OK");
    }
    assert_eq!(server.counters().await.handshakes_resumed, 1, "the session is good where it was made");
    let refused = async {
        let mut stream = tls::connect(client.clone(), tls::address(&server, 1)).await?;
        tls::get(&mut stream, "/certificates").await
    };
    let refused = refused.await.expect_err("no certificate").to_string();
    assert!(refused.contains("CertificateRequired"), "{refused}");
    assert_eq!(server.counters().await.handshakes_resumed, 1);
    server.stop().await;
}

#[tokio::test]
async fn mt_37_the_servers_certificate_changes_without_a_restart() {
    let server = Server::start(MethodConfig::Mtls(mtls())).await;
    let one = server.issue(&[READ_SCOPE], None).await;
    let client = Arc::new(tls::client(&server, &rustls::version::TLS13, Some(&one)));
    let shown = |stream: &TlsStream<TcpStream>| stream.get_ref().1.peer_certificates().expect("it has one")[0].clone();
    let mut before = tls::connect(client.clone(), tls::address(&server, 0)).await.expect("a handshake");
    server.control_post("/server-certificate", &serde_json::json!({})).await;
    let mut after = tls::connect(client.clone(), tls::address(&server, 0)).await.expect("a handshake");
    assert_ne!(shown(&before), shown(&after));
    for stream in [&mut before, &mut after] {
        assert_eq!(tls::get(stream, "/whoami").await.expect("an answer"), "HTTP/1.1 200 OK");
    }
    server.stop().await;
}

/// An authorization server, a resource and a route for certificates, all on one listener.
async fn bound(token: AccessTokenFormat, validation: TokenValidation) -> Server {
    let MethodConfig::OAuth2(resource) = oauth2(validation) else { unreachable!("it says so") };
    let methods = vec![("subject", MethodConfig::OAuth2(resource)), ("certificates", optional())];
    let main = ListenerConfig { authorization_server: true, ..serving("main", HttpVersion::Http1, methods) };
    let server = AuthorizationServerConfig { access_token: token, ..AuthorizationServerConfig::default() };
    Server::start_with(vec![main], Some(server)).await
}

async fn ask(
    client: &reqwest::Client,
    server: &Server,
    registered: &RegisteredClient,
    endpoint: &str,
    form: &[(&str, &str)],
) -> (u16, serde_json::Value) {
    let request = client.post(format!("{}/{endpoint}", server.url()));
    let id = ("client_id", registered.client_id.as_str());
    let request = match &registered.client_secret {
        Some(secret) => request.basic_auth(&registered.client_id, Some(secret.expose())).form(form),
        None => request.form(&[form, &[id]].concat()),
    };
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.json().await.expect("JSON"))
}

const CREDENTIALS: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("scope", READ_SCOPE)];

#[tokio::test]
async fn mt_29_mt_30_bc_153_a_bound_token_is_good_with_its_certificate_alone() {
    let signed = Algorithm::ES256;
    for (token, validation) in [
        (AccessTokenFormat::Opaque, TokenValidation::Opaque { cache: None }),
        (AccessTokenFormat::Jwt { algorithm: signed }, TokenValidation::Jwt { algorithm: signed }),
    ] {
        let server = bound(token, validation).await;
        let (one, other) = (certificate(&server, "certificates").await, certificate(&server, "certificates").await);
        let registration = ClientRegistration {
            tls_client_certificate_bound_access_tokens: true,
            ..ClientRegistration::service("bound", &[READ_SCOPE])
        };
        let registered = server.register_client(&registration).await;
        let stranger = server.client().build().expect("a client");
        let holder = with(&server, &one);
        let (status, body) = ask(&stranger, &server, &registered, "token", &CREDENTIALS).await;
        assert_eq!((status, &body["error"]), (400, &"invalid_request".into()), "nothing to bind it to");
        let (status, body) = ask(&holder, &server, &registered, "token", &CREDENTIALS).await;
        assert_eq!((status, &body["token_type"]), (200, &"Bearer".into()));
        let token = body["access_token"].as_str().expect("a token").to_owned();

        let call = async |client: &reqwest::Client| {
            Answer::of(client.get(server.whoami()).bearer_auth(&token).send().await).await
        };
        assert_eq!(call(&holder).await.status(), Some(200));
        call(&with(&server, &other)).await.assert_challenge("Bearer", Some("invalid_token"));
        call(&stranger).await.assert_challenge("Bearer", Some("invalid_token"));
        assert_eq!(call(&holder).await.status(), Some(200), "others have not used it up");

        let resource = server.register_client(&ClientRegistration::resource_server("resource")).await;
        let (_, told) = ask(&stranger, &server, &resource, "introspect", &[("token", &token)]).await;
        let Material::Certificate { chain_pem, .. } = &one.material else { panic!("not a certificate") };
        let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).expect("PEM");
        let thumbprint = {
            use base64::Engine as _;
            use sha2::Digest as _;
            base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&leaf))
        };
        assert_eq!(told["cnf"], serde_json::json!({ "x5t#S256": thumbprint }));
        server.stop().await;
    }
}

#[tokio::test]
async fn mt_31_a_client_is_known_by_its_certificate() {
    let server = bound(AccessTokenFormat::Opaque, TokenValidation::Opaque { cache: None }).await;
    let (one, other) = (certificate(&server, "certificates").await, certificate(&server, "certificates").await);
    let registration = ClientRegistration {
        token_endpoint_auth_method: Some(ClientSecretMethod::TlsClientAuth),
        tls_client_auth_san_uri: Some(one.principal.clone()),
        ..ClientRegistration::service("by certificate", &[READ_SCOPE])
    };
    let registered = server.register_client(&registration).await;
    assert!(registered.client_secret.is_none(), "there is no secret");
    let asked = async |client: &reqwest::Client| {
        let (status, body) = ask(client, &server, &registered, "token", &CREDENTIALS).await;
        (status, body["error"].as_str().map(str::to_owned))
    };
    assert_eq!(asked(&with(&server, &one)).await, (200, None));
    let refused = (401, Some("invalid_client".to_owned()));
    assert_eq!(asked(&with(&server, &other)).await, refused);
    assert_eq!(asked(&server.client().build().expect("a client")).await, refused);
    let url = format!("{}/.well-known/oauth-authorization-server", server.url());
    let answer = server.client().build().expect("a client").get(url).send().await.expect("an answer");
    let metadata: serde_json::Value = answer.json().await.expect("JSON");
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().expect("a list");
    assert!(methods.contains(&"tls_client_auth".into()), "{metadata}");
    assert_eq!(metadata["mtls_endpoint_aliases"]["token_endpoint"], metadata["token_endpoint"]);
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"], true);
    server.stop().await;
}

/// An authorization server on a listener whose clients' certificates are asked about by OCSP alone, so that a handshake knows
/// nothing of a revocation.
async fn asking(ocsp: OcspConfig) -> Server {
    let certificates = MtlsConfig { optional: true, ..MtlsConfig::by_ocsp(ocsp.clone()) };
    let methods = vec![("certificates", MethodConfig::Mtls(certificates))];
    let main = ListenerConfig { authorization_server: true, ..serving("main", HttpVersion::Http1, methods) };
    let responder = ListenerConfig {
        name: "ocsp".into(),
        ocsp_responder: Some("certificates".into()),
        ..listener(Transport::Plaintext, HttpVersion::Http1)
    };
    let listeners = if ocsp.url.is_none() { vec![main, responder] } else { vec![main] };
    Server::start_with(listeners, Some(AuthorizationServerConfig::default())).await
}

/// A client that is known by a certificate, and one by a secret whose tokens are bound to it.
async fn two_clients(server: &Server, certificate: &Issued) -> [RegisteredClient; 2] {
    let by_certificate = ClientRegistration {
        token_endpoint_auth_method: Some(ClientSecretMethod::TlsClientAuth),
        tls_client_auth_san_uri: Some(certificate.principal.clone()),
        ..ClientRegistration::service("by certificate", &[READ_SCOPE])
    };
    let bound = ClientRegistration {
        tls_client_certificate_bound_access_tokens: true,
        ..ClientRegistration::service("bound", &[READ_SCOPE])
    };
    [server.register_client(&by_certificate).await, server.register_client(&bound).await]
}

#[tokio::test]
async fn mt_18_mt_31_a_revoked_certificate_gets_no_token_on_open_and_new_connections() {
    let server = asking(OcspConfig::new(PATIENCE)).await;
    let one = certificate(&server, "certificates").await;
    let [known, bound] = two_clients(&server, &one).await;
    let open = with(&server, &one);
    for client in [&known, &bound] {
        assert_eq!(ask(&open, &server, client, "token", &CREDENTIALS).await.0, 200);
    }
    server.revoke_of("certificates", &one).await;
    // The one may still be open, and the other begins anew: no handshake stands in its way.
    for connection in [&open, &with(&server, &one)] {
        let (status, body) = ask(connection, &server, &known, "token", &CREDENTIALS).await;
        assert_eq!((status, &body["error"]), (401, &"invalid_client".into()), "{body}");
        let (status, body) = ask(connection, &server, &bound, "token", &CREDENTIALS).await;
        assert_eq!((status, &body["error"]), (400, &"invalid_request".into()), "nothing to bind it to: {body}");
        let (status, body) = ask(connection, &server, &known, "introspect", &[("token", "x")]).await;
        assert_eq!((status, &body["error"]), (401, &"invalid_client".into()), "{body}");
    }
    server.stop().await;
}

#[tokio::test]
async fn mt_18_mt_31_a_certificate_that_nobody_can_be_asked_about_gets_no_answer_yet() {
    // Nobody listens there any more.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let url = Some(format!("http://{nobody}/"));
    let server = asking(OcspConfig { url, ..OcspConfig::new(PATIENCE) }).await;
    let one = certificate(&server, "certificates").await;
    let [known, bound] = two_clients(&server, &one).await;
    let (holder, stranger) = (with(&server, &one), server.client().build().expect("a client"));
    for client in [&known, &bound] {
        assert_eq!(ask(&holder, &server, client, "token", &CREDENTIALS).await.0, 503, "never a 401");
    }
    // Who shows no certificate is not judged by one, and what is public stays so.
    assert_eq!(ask(&stranger, &server, &bound, "token", &CREDENTIALS).await.0, 400);
    let metadata = format!("{}/.well-known/oauth-authorization-server", server.url());
    assert_eq!(holder.get(metadata).send().await.expect("an answer").status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn mt_36_handshakes_that_never_finish_and_endless_chains_end() {
    let server = Server::start(MethodConfig::Mtls(mtls())).await;
    let one = server.issue(&[READ_SCOPE], None).await;
    let Material::Certificate { chain_pem, key_pem } = &one.material else { panic!("not a certificate") };
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).expect("PEM");
    let endless = Issued {
        material: Material::Certificate {
            chain_pem: {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(&leaf);
                format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").repeat(10_000)
            },
            key_pem: key_pem.clone(),
        },
        ..one.clone()
    };
    let silent = async {
        let mut stream = TcpStream::connect(tls::address(&server, 0)).await.expect("a connection");
        // An orderly end or a reset, but an end.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    };
    let chain = async {
        let client = Arc::new(tls::client(&server, &rustls::version::TLS13, Some(&endless)));
        let mut stream = tls::connect(client, tls::address(&server, 0)).await?;
        tls::get(&mut stream, "/whoami").await
    };
    let (silent, chain) = tokio::join!(tokio::time::timeout(PATIENCE, silent), tokio::time::timeout(PATIENCE, chain));
    silent.expect("closed within the time for handshakes");
    assert!(chain.expect("refused in no time").is_err());
    server.call(&one.material).await.assert_accepted(&one.principal);
    server.stop().await;
}
