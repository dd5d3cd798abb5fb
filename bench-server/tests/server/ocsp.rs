//! The OCSP responder over HTTP (AUTH-ACCEPTANCE MT-20), and a server that asks it (MT-18), as strangers see them.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use std::time::Duration;

use crate::common::{Server, listener, profile};
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::{
    HttpVersion, Issued, ListenerConfig, Material, MethodConfig, MtlsConfig, OcspConfig, OcspPolicy, Transport,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertId, CertStatus, OcspRequest, OcspResponse, OcspResponseStatus, Request, TbsRequest,
};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

const VALIDITY: Duration = Duration::from_secs(60);
const SHA1: &str = "1.3.14.3.2.26";
const SHA256_OID: &str = "2.16.840.1.101.3.4.2.1";
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");

fn method(policy: OcspPolicy) -> MethodConfig {
    MethodConfig::Mtls(MtlsConfig::by_ocsp(OcspConfig { policy, ..OcspConfig::new(VALIDITY) }))
}

/// The resource in TLS, and the responder of its CA beside it.
fn listeners(method: MethodConfig) -> Vec<ListenerConfig> {
    let resource = ListenerConfig { profiles: vec![profile(method)], ..listener(Transport::Tls13, HttpVersion::Http1) };
    let responder = ListenerConfig {
        name: "ocsp".into(),
        ocsp_responder: Some("subject".into()),
        ..listener(Transport::Plaintext, HttpVersion::Http1)
    };
    vec![resource, responder]
}

async fn start() -> Server {
    Server::start_with(listeners(method(OcspPolicy::Hard)), None).await
}

fn responder_url(server: &Server) -> String {
    server.running().ready().listeners[1].url.clone()
}

fn ca(issued: &Issued) -> CertificateDer<'static> {
    let Material::Certificate { chain_pem, .. } = &issued.material else { panic!("not a certificate") };
    CertificateDer::pem_slice_iter(chain_pem.as_bytes()).nth(1).unwrap().unwrap()
}

/// What names a certificate of a CA, by a digest of the caller's choice.
fn id(ca: &CertificateDer<'_>, serial: &str, oid: &str, algorithm: &'static Algorithm) -> CertId {
    let (_, ca) = X509Certificate::from_der(ca).unwrap();
    let hash = |bytes: &[u8]| OctetString::new(digest(algorithm, bytes).as_ref()).unwrap();
    let bytes = (0..serial.len()).step_by(2).map(|at| u8::from_str_radix(&serial[at..at + 2], 16).unwrap());
    CertId {
        hash_algorithm: AlgorithmIdentifierOwned { oid: ObjectIdentifier::new(oid).unwrap(), parameters: None },
        issuer_name_hash: hash(ca.subject().as_raw()),
        issuer_key_hash: hash(&ca.public_key().subject_public_key.data),
        serial_number: SerialNumber::new(&bytes.collect::<Vec<u8>>()).unwrap(),
    }
}

fn question(ids: Vec<CertId>, extensions: Option<Vec<Extension>>) -> Vec<u8> {
    let ask = |req_cert| Request { req_cert, single_request_extensions: None };
    let tbs_request = TbsRequest {
        request_list: ids.into_iter().map(ask).collect(),
        request_extensions: extensions,
        ..TbsRequest::default()
    };
    OcspRequest { tbs_request, optional_signature: None }.to_der().unwrap()
}

fn nonce(length: usize) -> Extension {
    let value = OctetString::new(vec![7; length]).unwrap().to_der().unwrap();
    Extension { extn_id: NONCE, critical: false, extn_value: OctetString::new(value).unwrap() }
}

async fn post(server: &Server, question: Vec<u8>) -> reqwest::Response {
    let request = reqwest::Client::new().post(responder_url(server)).header("content-type", "application/ocsp-request");
    request.body(question).send().await.unwrap()
}

/// The answer in a response, if it is one.
async fn read(response: reqwest::Response) -> Result<BasicOcspResponse, OcspResponseStatus> {
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/ocsp-response");
    let answer = OcspResponse::from_der(&response.bytes().await.unwrap()).unwrap();
    match answer.response_bytes {
        Some(bytes) => Ok(BasicOcspResponse::from_der(bytes.response.as_bytes()).unwrap()),
        None => Err(answer.response_status),
    }
}

async fn ask(server: &Server, question: Vec<u8>) -> Result<BasicOcspResponse, OcspResponseStatus> {
    read(post(server, question).await).await
}

#[tokio::test]
async fn mt_20_good_revoked_and_unknown_by_either_digest() {
    let server = start().await;
    let (good, revoked) = (server.issue(&["read"], None).await, server.issue(&["read"], None).await);
    server.revoke(&revoked).await;
    for (oid, algorithm) in [(SHA1, &SHA1_FOR_LEGACY_USE_ONLY), (SHA256_OID, &SHA256)] {
        let id = |serial: &str| id(&ca(&good), serial, oid, algorithm);
        let ids = vec![id(&good.id), id(&revoked.id), id("40ff")];
        let answer = ask(&server, question(ids.clone(), None)).await.unwrap().tbs_response_data;
        assert_eq!(answer.responses.iter().map(|single| single.cert_id.clone()).collect::<Vec<_>>(), ids);
        let [first, second, third] = &answer.responses[..] else { panic!("one answer for each question") };
        assert!(matches!(first.cert_status, CertStatus::Good(_)));
        assert!(matches!(third.cert_status, CertStatus::Unknown(_)));
        let CertStatus::Revoked(since) = second.cert_status else { panic!("{second:?}") };
        let (since, this_update) = (since.revocation_time.0.to_unix_duration(), first.this_update.0.to_unix_duration());
        assert!(since <= this_update && this_update - since < VALIDITY);
        let covered = first.next_update.unwrap().0.to_unix_duration() - this_update;
        assert!((VALIDITY..=VALIDITY + Duration::from_secs(1)).contains(&covered), "{covered:?}");
        assert!(answer.response_extensions.is_none());
    }
    server.stop().await;
}

#[tokio::test]
async fn the_signer_is_a_delegate_that_nobody_need_ask_about() {
    let server = start().await;
    let one = server.issue(&["read"], None).await;
    let asked = || question(vec![id(&ca(&one), &one.id, SHA256_OID, &SHA256)], None);
    let signer = async || ask(&server, asked()).await.unwrap().certs.unwrap().remove(0).to_der().unwrap();
    let der = signer().await;
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let purposes = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.ocsp_signing && !purposes.client_auth && !purposes.any);
    let no_check = |extension: &&x509_parser::extensions::X509Extension<'_>| {
        extension.oid.to_id_string() == "1.3.6.1.5.5.7.48.1.5"
    };
    assert_eq!(certificate.extensions().iter().find(no_check).unwrap().value, [5, 0]);
    let authority = ca(&one);
    let (_, authority) = X509Certificate::from_der(&authority).unwrap();
    certificate.verify_signature(Some(authority.public_key())).unwrap();

    assert_eq!(signer().await, der, "kept");
    server.advance(Duration::from_secs(43_200)).await;
    assert_ne!(signer().await, der, "and replaced in good time");
    server.stop().await;
}

#[tokio::test]
async fn mt_20_wrong_questions_are_refused_inside_the_answer() {
    let server = start().await;
    let one = server.issue(&["read"], None).await;
    let mine = || id(&ca(&one), &one.id, SHA256_OID, &SHA256);
    let refused = async |question: Vec<u8>| ask(&server, question).await.map(drop);
    let malformed = Err(OcspResponseStatus::MalformedRequest);
    assert_eq!(refused(Vec::new()).await, malformed);
    assert_eq!(refused(b"nonsense".to_vec()).await, malformed);
    assert_eq!(refused(question(Vec::new(), None)).await, malformed);
    assert_eq!(refused([question(vec![mine()], None), vec![0]].concat()).await, malformed);
    for length in [0, 129] {
        assert_eq!(refused(question(vec![mine()], Some(vec![nonce(length)]))).await, malformed, "RFC 9654 §2.1");
    }
    assert_eq!(refused(question(vec![mine()], Some(vec![nonce(32), nonce(16)]))).await, malformed);
    let stranger =
        Extension { extn_id: ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999.1"), critical: true, ..nonce(1) };
    assert_eq!(refused(question(vec![mine()], Some(vec![stranger.clone()]))).await, malformed);
    let ignored = Extension { critical: false, ..stranger };
    assert_eq!(refused(question(vec![mine()], Some(vec![ignored]))).await, Ok(()));

    // Another CA of the same name, a digest that names nobody here: not ours to answer.
    let unauthorized = Err(OcspResponseStatus::Unauthorized);
    let other = CertId { issuer_key_hash: OctetString::new([1; 32]).unwrap(), ..mine() };
    assert_eq!(refused(question(vec![other.clone()], None)).await, unauthorized);
    assert_eq!(refused(question(vec![mine(), other], None)).await, unauthorized);
    let sha1_of_sha256 = AlgorithmIdentifierOwned { oid: ObjectIdentifier::new_unwrap(SHA1), parameters: None };
    assert_eq!(refused(question(vec![CertId { hash_algorithm: sha1_of_sha256, ..mine() }], None)).await, unauthorized);
    server.stop().await;
}

#[tokio::test]
async fn mt_20_a_nonce_is_echoed_and_such_an_answer_is_nobody_elses() {
    let server = start().await;
    let one = server.issue(&["read"], None).await;
    let mine = || id(&ca(&one), &one.id, SHA256_OID, &SHA256);
    for length in [1, 16, 32, 128] {
        let response = post(&server, question(vec![mine()], Some(vec![nonce(length)]))).await;
        assert_eq!(response.headers()["cache-control"], "no-store");
        let answer = read(response).await.unwrap();
        assert_eq!(answer.tbs_response_data.response_extensions.unwrap(), [nonce(length)]);
    }
    server.stop().await;
}

#[tokio::test]
async fn mt_20_get_may_be_kept_by_caches_and_other_requests_are_refused() {
    let server = start().await;
    let one = server.issue(&["read"], None).await;
    let asked = question(vec![id(&ca(&one), &one.id, SHA1, &SHA1_FOR_LEGACY_USE_ONLY)], None);
    let (base64, client) = (STANDARD.encode(&asked), reqwest::Client::new());
    let url = responder_url(&server);
    let escaped = utf8_percent_encode(&base64, NON_ALPHANUMERIC).to_string();
    // Escaped as RFC 6960 §A.1 has it, as it is, and without padding.
    for path in [&escaped, &base64, base64.trim_end_matches('=')] {
        let response = client.get(format!("{url}/{path}")).send().await.unwrap();
        let field = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        let cache = field("cache-control");
        let age: u64 = cache.strip_prefix("max-age=").unwrap().split(',').next().unwrap().parse().unwrap();
        assert!(cache.ends_with(", public, no-transform, must-revalidate") && age <= VALIDITY.as_secs(), "{cache}");
        let date = |name: &str| httpdate::parse_http_date(&field(name)).unwrap();
        assert!(date("expires").duration_since(date("last-modified")).unwrap() >= VALIDITY);
        assert_eq!(field("etag").len(), 2 + 64);
        let answer = read(response).await.unwrap();
        assert!(matches!(answer.tbs_response_data.responses[0].cert_status, CertStatus::Good(_)));
    }
    let head = client.head(format!("{url}/{escaped}")).send().await.unwrap();
    assert!(head.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap() > 500);
    assert!(head.bytes().await.unwrap().is_empty());
    for path in ["", "whoami", "%ff", "AAAA"] {
        let response = client.get(format!("{url}/{path}")).send().await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(read(response).await.unwrap_err(), OcspResponseStatus::MalformedRequest, "{path}");
    }
    let post = client.post(&url).header("content-type", "application/json").body(asked).send().await.unwrap();
    assert_eq!(post.status(), 415);
    let put = client.put(&url).send().await.unwrap();
    assert_eq!((put.status().as_u16(), &put.headers()["allow"]), (405, &"GET, HEAD, POST".parse().unwrap()));
    server.stop().await;
}

#[tokio::test]
async fn mt_18_a_server_asks_its_own_responder_and_refuses_what_was_revoked() {
    let server = start().await;
    let one = server.issue(&["read"], None).await;
    for _ in 0..3 {
        server.call(&one.material).await.assert_accepted(&one.principal);
    }
    let counters = server.counters().await;
    assert_eq!((counters.ocsp_queries, counters.store_lookups, counters.cache_hits), (1, 1, 2));
    server.revoke(&one).await;
    let refused = server.call(&one.material).await;
    assert_eq!(refused.status(), Some(403), "the handshake knows nothing of it");
    assert_eq!(server.counters().await.rejected["revoked"], 1);
    server.stop().await;
}

/// Two processes that share their records: one answers and revokes, the other asks. Then nobody answers any more.
#[tokio::test]
async fn replicas_ask_the_one_that_answers_and_refuse_when_it_is_gone() {
    for policy in [OcspPolicy::Hard, OcspPolicy::Soft] {
        let folder = tempfile::tempdir().unwrap();
        let answering = Server::start_in(listeners(method(policy)), None, Some(folder.path())).await;
        let url = format!("{}/", responder_url(&answering));
        let ocsp = OcspConfig { url: Some(url), policy, ..OcspConfig::new(VALIDITY) };
        let asks = MethodConfig::Mtls(MtlsConfig::by_ocsp(ocsp));
        let asking = Server::start_in(vec![listeners(asks).remove(0)], None, Some(folder.path())).await;
        let pair = [answering.issue(&["read"], None).await, answering.issue(&["read"], None).await];
        asking.call(&pair[0].material).await.assert_accepted(&pair[0].principal);
        answering.revoke(&pair[0]).await;
        asking.call(&pair[0].material).await.assert_accepted(&pair[0].principal);
        asking.advance(VALIDITY).await;
        answering.advance(VALIDITY).await;
        assert_eq!(asking.call(&pair[0].material).await.status(), Some(403), "{policy:?}");

        answering.stop().await;
        let answer = asking.call(&pair[1].material).await;
        let counters = asking.counters().await;
        match policy {
            OcspPolicy::Hard => {
                assert_eq!(answer.status(), Some(503));
                assert_eq!((counters.rejected["unavailable"], counters.ocsp_accepted_unanswered), (1, 0));
            }
            OcspPolicy::Soft => {
                answer.assert_accepted(&pair[1].principal);
                assert_eq!(counters.ocsp_accepted_unanswered, 1);
            }
        }
        assert_eq!(asking.call(&pair[0].material).await.status(), Some(403), "known to be revoked");
        asking.stop().await;
    }
}

/// A responder that revokes and a server that asks it and looks at no CRL: what is revoked elsewhere is refused by the first request
/// after the answer has ended, on a connection that was open before, and the connection ends.
#[tokio::test]
async fn mt_26_bc_147_by_ocsp_alone_an_open_connection_ends_with_the_answer_that_it_rests_on() {
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        let folder = tempfile::tempdir().unwrap();
        let answering = Server::start_in(listeners(method(OcspPolicy::Hard)), None, Some(folder.path())).await;
        let url = Some(format!("{}/", responder_url(&answering)));
        let asks = MtlsConfig::by_ocsp(OcspConfig { url, ..OcspConfig::new(VALIDITY) });
        assert!(asks.crl_reload.is_none());
        let resource =
            ListenerConfig { profiles: vec![profile(MethodConfig::Mtls(asks))], ..listener(Transport::Tls13, http) };
        let asking = Server::start_in(vec![resource], None, Some(folder.path())).await;
        let one = answering.issue(&["read"], None).await;
        let Material::Certificate { chain_pem, key_pem } = &one.material else { panic!("not a certificate") };
        let identity = reqwest::Identity::from_pem(format!("{chain_pem}{}", key_pem.expose()).as_bytes()).unwrap();
        let client = asking.client().identity(identity);
        let client = match http {
            HttpVersion::Http1 => client.http1_only(),
            HttpVersion::Http2 => client.http2_prior_knowledge(),
        };
        let client = client.build().unwrap();
        let get = async || client.get(asking.whoami()).send().await;
        assert_eq!(get().await.unwrap().status(), 200);
        answering.revoke(&one).await;
        assert_eq!(get().await.unwrap().status(), 200, "{http:?}: the answer is still good, and that is the bound");
        let counters = asking.counters().await;
        assert_eq!((counters.ocsp_queries, counters.handshakes_full), (1, 1));

        answering.advance(VALIDITY).await;
        asking.advance(VALIDITY).await;
        let refused = get().await.unwrap();
        assert_eq!(refused.status(), 403, "{http:?}");
        assert_eq!(refused.headers().contains_key("connection"), http == HttpVersion::Http1);
        let body: serde_json::Value = refused.json().await.unwrap();
        assert!(body["type"].as_str().unwrap().ends_with("client-certificate-invalid"), "{body}");
        // The next handshake knows nothing of it, and the request behind it does. Until the client has seen the end of the
        // connection, it may use it once more.
        let ended = async {
            while asking.counters().await.handshakes_full == 1 {
                if let Ok(answer) = get().await {
                    assert_eq!(answer.status(), 403);
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), ended).await.expect("the connection ends");
        assert_eq!(asking.counters().await.ocsp_queries, 2, "{http:?}: what was revoked stays so");
        asking.stop().await;
        answering.stop().await;
    }
}
