//! Leaves asked about by OCSP: a responder that says whatever a test has it say, and requests on connections.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use rcgen::SigningKey as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use x509_cert::der::asn1::{BitString, ObjectIdentifier, OctetString};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::Extension;
use x509_ocsp::{BasicOcspResponse, CertStatus, OcspResponse, ResponderId, ResponseData};

use super::super::ocsp::{Issuer as Asked, Unusable, Verdict};
use super::lists::der;
use super::*;
use crate::config::OcspPolicy;
use crate::credential::ocsp::{IssuerId, second};

const SECOND: Duration = Duration::from_secs(1);
/// Of the answers; the clock is moved, so no test takes as long.
const VALIDITY: Duration = Duration::from_secs(60);
/// For what is certain to happen.
const PATIENCE: Duration = Duration::from_secs(30);

type Says = Box<dyn Fn(&[u8]) -> Vec<u8> + Send>;

/// A responder on loopback.
struct Responder {
    url: String,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    /// Each answer takes one permit: a test that takes them all away has questions wait.
    answers: Arc<Semaphore>,
}

impl Responder {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let says: Arc<Mutex<Says>> = Arc::new(Mutex::new(Box::new(|_| Vec::new())));
        let (asked, answers) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(1_000)));
        let (all, count, gate) = (says.clone(), asked.clone(), answers.clone());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, all.clone(), count.clone(), gate.clone()));
            }
        });
        Self { url, says, asked, answers }
    }

    fn says(&self, what: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) {
        *self.says.lock().unwrap() = Box::new(what);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    async fn until_asked(&self, times: usize) {
        let asked = async {
            while self.asked() < times {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.expect("the question arrives");
    }
}

/// One request on a connection, answered with what is said at that moment, once there is a permit.
async fn answer(mut stream: TcpStream, says: Arc<Mutex<Says>>, asked: Arc<AtomicUsize>, gate: Arc<Semaphore>) {
    let mut request = Vec::new();
    let body = loop {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
        let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4) else { continue };
        assert!(
            text.starts_with("post / http/1.1") && text.contains("content-type: application/ocsp-request"),
            "{text}"
        );
        let (_, length) = text.split_once("content-length: ").unwrap();
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if request.len() >= end + length {
            break request.split_off(end);
        }
    };
    let answer = (says.lock().unwrap())(&body);
    asked.fetch_add(1, Ordering::SeqCst);
    gate.acquire().await.unwrap().forget();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/ocsp-response\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        answer.len()
    );
    // The one who asked may have gone away.
    let _ = stream.write_all(&[head.as_bytes(), &answer].concat()).await;
}

/// A fixture that asks, one of its certificates on an open connection, and the genuine responder's answers.
struct Asking {
    fixture: Fixture,
    responder: Responder,
    one: Issued,
    open: Connection,
}

async fn asking(change: impl FnOnce(&mut MtlsConfig)) -> Asking {
    let responder = Responder::start().await;
    let mut config = MtlsConfig::by_ocsp(asked_at(&responder.url, VALIDITY));
    change(&mut config);
    let fixture = with(&config);
    let genuine = fixture.mtls.ocsp_responder().unwrap().unwrap();
    responder.says(move |question| genuine.answer(question).der);
    let one = fixture.issue(1).await.remove(0);
    let open = fixture.handshake(&rustls::version::TLS13, issued(&one)).unwrap();
    Asking { fixture, responder, one, open }
}

impl Asking {
    async fn call_on(&self, connection: &Connection) -> Result<(), Rejection> {
        let (head, ()) = http::Request::builder().body(()).unwrap().into_parts();
        let request = Request { head: &head, connection, now: self.fixture.clock.now() };
        self.fixture.mtls.authenticate(&request).await.map(drop)
    }

    async fn call(&self) -> Result<(), Rejection> {
        self.call_on(&self.open).await
    }

    /// Another connection of the same client.
    fn connect(&self) -> Connection {
        self.fixture.handshake(&rustls::version::TLS12, issued(&self.one)).unwrap()
    }

    /// Revoked elsewhere: this node's cache hears nothing of it.
    fn revoke_elsewhere(&self) {
        assert!(self.fixture.mtls.authority().revoke(&self.one.id).unwrap());
    }

    fn pass(&self, time: Duration) {
        self.fixture.clock.advance(time).unwrap();
    }

    /// Questions, cache hits, and requests accepted without an answer.
    fn counted(&self) -> (u64, u64, u64) {
        let counters = self.fixture.environment.meter.counters();
        assert_eq!(counters.store_lookups, counters.ocsp_queries);
        (counters.ocsp_queries, counters.cache_hits, counters.ocsp_accepted_unanswered)
    }
}

fn refused(cause: Cause) -> Result<(), Rejection> {
    Err(Rejection::Invalid(cause))
}

fn unavailable() -> Result<(), Rejection> {
    Err(Rejection::Unavailable { dependency: "ocsp", retry_after: SECOND })
}

#[tokio::test]
async fn mt_18_good_is_accepted_and_asked_once_until_the_answer_ends() {
    let asking = asking(|_| ()).await;
    for _ in 0..3 {
        assert_eq!(asking.call().await, Ok(()));
        assert_eq!(asking.call_on(&asking.connect()).await, Ok(()), "of the same certificate");
    }
    assert_eq!(asking.counted(), (1, 5, 0));
    asking.pass(VALIDITY);
    assert_eq!(asking.call().await, Ok(()));
    assert_eq!((asking.counted(), asking.responder.asked()), ((2, 5, 0), 2));
}

/// What a certificate says of where to ask about it (RFC 5280 §4.2.1.13, §4.2.2.1) is its bearer's word; who is asked is written in
/// the configuration.
#[tokio::test]
async fn hk_6_a_certificate_names_addresses_and_nobody_connects_to_them() {
    const OCSP: [u8; 10] = [6, 8, 0x2b, 6, 1, 5, 5, 7, 48, 1];
    const CA_ISSUERS: [u8; 10] = [6, 8, 0x2b, 6, 1, 5, 5, 7, 48, 2];
    let asking = asking(|config| config.crl_reload = Some(HOUR)).await;
    let canary = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    canary.set_nonblocking(true).unwrap();
    let url = format!("http://{}/", canary.local_addr().unwrap());
    let named = |access: &[u8]| der(0x30, &[access, &der(0x86, &[url.as_bytes()])]);
    let information = der(0x30, &[&named(&OCSP), &named(&CA_ISSUERS)]);
    let leaf = asking.fixture.leaf(|params| {
        params.crl_distribution_points = vec![rcgen::CrlDistributionPoint { uris: vec![url.clone()] }];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], information)];
    });
    let open = asking.fixture.handshake(&rustls::version::TLS13, leaf).unwrap();
    assert_eq!(asking.call_on(&open).await, Ok(()));
    assert_eq!(canary.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody connected");
    let connects = asking.fixture.environment.meter.counters().outbound_connects;
    assert_eq!((connects, asking.responder.asked()), (1, 1), "to the responder that is configured");
}

#[tokio::test]
async fn mt_18_bc_149_revoked_elsewhere_is_noticed_when_the_answer_ends_and_stays_noticed() {
    let asking = asking(|_| ()).await;
    assert_eq!(asking.call().await, Ok(()));
    asking.revoke_elsewhere();
    assert_eq!(asking.call().await, Ok(()), "that is the window");
    asking.pass(VALIDITY);
    assert_eq!(asking.call().await, refused(Cause::Revoked));
    // A responder that is gone, or brings an old answer, does not bring it back.
    asking.responder.says(|_| Vec::new());
    assert_eq!(asking.call().await, refused(Cause::Revoked));
    assert_eq!(asking.counted().0, 2, "no question for each try");
}

#[tokio::test]
async fn revoked_here_is_noticed_at_once() {
    let asking = asking(|_| ()).await;
    assert_eq!(asking.call().await, Ok(()));
    asking.fixture.mtls.revoke(&asking.one.id).await.unwrap();
    assert_eq!(asking.call().await, refused(Cause::Revoked));
}

#[tokio::test]
async fn mt_18_bc_149_unknown_is_refused_and_not_remembered() {
    let asking = asking(|_| ()).await;
    let (signer, issuer) =
        (delegate(&asking.fixture, ExtendedKeyUsagePurpose::OcspSigning), asking.fixture.issuing().clone());
    let clock = asking.fixture.clock.clone();
    asking
        .responder
        .says(move |question| sign(&signer, genuine_like(&issuer, question, CertStatus::unknown(), clock.now())));
    for asked in 1..=2 {
        assert_eq!(asking.call().await, refused(Cause::Unknown));
        assert_eq!(asking.counted(), (asked, 0, 0));
    }
}

#[tokio::test]
async fn mt_18_nobody_there_means_nobody_in_or_an_alarm() {
    for (policy, expected) in [(OcspPolicy::Hard, unavailable()), (OcspPolicy::Soft, Ok(()))] {
        let asking = asking(|config| config.ocsp.as_mut().unwrap().policy = policy).await;
        asking.responder.says(|_| Vec::new());
        for _ in 0..2 {
            assert_eq!(asking.call().await, expected, "{policy:?}");
        }
        let alarms = if policy == OcspPolicy::Soft { 2 } else { 0 };
        assert_eq!(asking.counted(), (2, 0, alarms));
        assert_eq!(asking.fixture.environment.meter.counters().ocsp_unanswered, 2);
    }
}

#[tokio::test]
async fn a_connection_that_is_not_checked_again_asks_once() {
    let asking = asking(|config| config.recheck = false).await;
    assert_eq!(asking.call().await, Ok(()));
    asking.revoke_elsewhere();
    asking.pass(VALIDITY);
    assert_eq!(asking.call().await, Ok(()), "this connection survives");
    assert_eq!(asking.call_on(&asking.connect()).await, refused(Cause::Revoked));
    assert_eq!(asking.counted(), (2, 0, 0));
}

/// Whoever keeps the responder away gains a connection only for as long as it is away.
#[tokio::test]
async fn what_was_let_in_without_an_answer_is_asked_about_again() {
    let asking = asking(|config| {
        config.recheck = false;
        config.ocsp.as_mut().unwrap().policy = OcspPolicy::Soft;
    })
    .await;
    asking.revoke_elsewhere();
    let genuine = asking.fixture.mtls.ocsp_responder().unwrap().unwrap();
    asking.responder.says(|_| Vec::new());
    assert_eq!(asking.call().await, Ok(()));
    asking.responder.says(move |question| genuine.answer(question).der);
    assert_eq!(asking.call().await, refused(Cause::Revoked));
}

#[tokio::test]
async fn what_was_refused_once_is_refused_for_good_whatever_the_policy() {
    let asking = asking(|config| config.ocsp.as_mut().unwrap().policy = OcspPolicy::Soft).await;
    asking.revoke_elsewhere();
    assert_eq!(asking.call().await, refused(Cause::Revoked));
    asking.responder.says(|_| Vec::new());
    asking.pass(VALIDITY);
    assert_eq!(asking.call().await, refused(Cause::Revoked));
    assert_eq!(asking.counted(), (1, 0, 0));
}

#[tokio::test]
async fn many_who_wait_for_one_question_are_one_question() {
    let asking = asking(|_| ()).await;
    asking.responder.answers.forget_permits(1_000);
    let (first, second) = (asking.connect(), asking.connect());
    let all = futures_util::future::join_all([&asking.open, &first, &second].map(|open| asking.call_on(open)));
    let release = async {
        asking.responder.until_asked(1).await;
        asking.responder.answers.add_permits(1);
    };
    let (verdicts, ()) = futures_util::future::join(all, release).await;
    assert_eq!(verdicts, vec![Ok(()); 3]);
    assert_eq!(asking.counted(), (1, 2, 0));
    assert!(asking.fixture.mtls.ocsp.as_ref().unwrap().is_idle());
}

#[tokio::test]
async fn one_who_gives_up_leaves_the_question_to_the_next() {
    let asking = asking(|_| ()).await;
    asking.responder.answers.forget_permits(1_000);
    let mut gives_up = Box::pin(asking.call());
    let waits = asking.connect();
    let asked = asking.responder.until_asked(1);
    tokio::select! { biased; _ = &mut gives_up => panic!("nothing was answered"), () = asked => {} }
    let waiting = asking.call_on(&waits);
    let rest = async {
        tokio::task::yield_now().await;
        drop(gives_up);
        asking.responder.until_asked(2).await;
        asking.responder.answers.add_permits(2);
    };
    let (verdict, ()) = futures_util::future::join(waiting, rest).await;
    assert_eq!(verdict, Ok(()));
    assert!(asking.fixture.mtls.ocsp.as_ref().unwrap().is_idle());
}

/// A slow answer must not bring back what was revoked while it was on its way, neither by the cache nor to a request that
/// came after the revocation and waited for it.
#[tokio::test]
async fn rv_3_no_resurrection_by_an_answer_that_is_late() {
    let asking = asking(|_| ()).await;
    asking.responder.answers.forget_permits(1_000);
    let early = asking.call();
    let late = async {
        asking.responder.until_asked(1).await;
        asking.fixture.mtls.revoke(&asking.one.id).await.unwrap();
        let answer = async {
            tokio::task::yield_now().await;
            asking.responder.answers.add_permits(2);
        };
        futures_util::future::join(asking.call(), answer).await.0
    };
    let (early, late) = futures_util::future::join(early, late).await;
    assert_eq!(early, Ok(()), "sent before the revocation");
    assert_eq!(late, refused(Cause::Revoked), "sent after it");
    assert_eq!(asking.call().await, refused(Cause::Revoked));
}

#[tokio::test]
async fn mt_18_an_answer_is_never_kept_past_its_next_update() {
    let asking = asking(|_| ()).await;
    let (signer, issuer) =
        (delegate(&asking.fixture, ExtendedKeyUsagePurpose::OcspSigning), asking.fixture.issuing().clone());
    let clock = asking.fixture.clock.clone();
    asking.responder.says(move |question| {
        let mut data = genuine_like(&issuer, question, CertStatus::good(), clock.now());
        data.responses[0].next_update = Some(second(UnixTime(clock.now().0 + 5 * SECOND)));
        sign(&signer, data)
    });
    assert_eq!(asking.call().await, Ok(()));
    asking.pass(5 * SECOND);
    assert_eq!(asking.call().await, Ok(()));
    assert_eq!(asking.counted(), (2, 0, 0));
}

#[tokio::test]
async fn crl_and_ocsp_beside_each_other() {
    let asking = asking(|config| config.crl_reload = Some(HOUR)).await;
    assert_eq!(asking.call().await, Ok(()));
    asking.revoke_elsewhere();
    assert_eq!(asking.call().await, Ok(()));
    // Whichever hears of it first.
    asking.fixture.mtls.verifier.reload().unwrap();
    assert_eq!(asking.call().await, refused(Cause::Revoked));
    assert_eq!(asking.counted(), (1, 1, 0));
}

#[tokio::test]
async fn short_lived_certificates_live_until_they_end_whoever_revokes_them() {
    let fixture = with(&MtlsConfig::short_lived(HOUR));
    let one = &fixture.issue(1).await[0];
    let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    fixture.mtls.revoke(&one.id).await.unwrap();
    assert!(fixture.call(&open).is_ok());
    assert_eq!(fixture.alerts(|| issued(one)), [None, None]);
    let not_after = open.client.as_ref().unwrap().not_after;
    assert!(not_after.0 <= fixture.clock.now().0 + HOUR);
    fixture.clock.advance(HOUR + SECOND).unwrap();
    assert_eq!(fixture.call(&open).map(drop), refused(Cause::Expired));
    assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::CertificateExpired));
}

/// Somebody to whom the issuing CA gave a certificate for that purpose.
struct Signer {
    certificate: x509_cert::Certificate,
    key: KeyPair,
}

fn delegate(fixture: &Fixture, purpose: ExtendedKeyUsagePurpose) -> Signer {
    let mut params = fixture.mtls.authority().leaf("somebody", DAY).unwrap();
    params.extended_key_usages = vec![purpose];
    let by = fixture.mtls.authority().leaves_ca().unwrap();
    let (certificate, key) = fixture.mtls.authority().sign(&by, &params, CertificateKey::P256).unwrap();
    Signer { certificate: x509_cert::Certificate::from_der(certificate.der()).unwrap(), key }
}

/// What a responder of that CA would say to a question, given at that time and good for the validity.
fn genuine_like(issuer: &CertificateDer<'_>, question: &[u8], status: CertStatus, now: UnixTime) -> ResponseData {
    let question = x509_ocsp::OcspRequest::from_der(question).unwrap().tbs_request;
    ResponseData {
        version: x509_ocsp::Version::V1,
        // `sign` puts its own in.
        responder_id: ResponderId::ByKey(IssuerId::of(issuer).unwrap().key_hash()),
        produced_at: second(now),
        responses: vec![x509_ocsp::SingleResponse {
            cert_id: question.request_list[0].req_cert.clone(),
            cert_status: status,
            this_update: second(now),
            next_update: Some(second(UnixTime(now.0 + VALIDITY))),
            single_extensions: None,
        }],
        response_extensions: question.request_extensions,
    }
}

fn sign(signer: &Signer, data: ResponseData) -> Vec<u8> {
    let certificate = CertificateDer::from(signer.certificate.to_der().unwrap());
    let id = ResponderId::ByKey(IssuerId::of(&certificate).unwrap().key_hash());
    sealed(&signer.key, ResponseData { responder_id: id, ..data }, vec![signer.certificate.clone()])
}

fn sealed(key: &KeyPair, data: ResponseData, certs: Vec<x509_cert::Certificate>) -> Vec<u8> {
    let signature = key.sign(&data.to_der().unwrap()).unwrap();
    let basic = BasicOcspResponse {
        signature_algorithm: x509_cert::spki::AlgorithmIdentifierOwned {
            oid: ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            parameters: None,
        },
        signature: BitString::from_bytes(&signature).unwrap(),
        certs: Some(certs),
        tbs_response_data: data,
    };
    OcspResponse::successful(basic).unwrap().to_der().unwrap()
}

#[tokio::test]
async fn mt_19_bc_149_an_answer_is_judged_by_whose_it_is_what_it_is_about_and_when() {
    let fixture = with(&MtlsConfig::by_ocsp(asked_at("http://127.0.0.1:1/", VALIDITY)));
    let one = &fixture.issue(1).await[0];
    let now = fixture.clock.now();
    let issuer = || fixture.issuing().clone();
    let asker = Asked::new(issuer(), *fixture.mtls.verifier.algorithms()).unwrap();
    let asked = IssuerId::of(&issuer()).unwrap().certificate(&one.id).unwrap();
    let nonce = [7; 32];
    let value = OctetString::new(OctetString::new(nonce).unwrap().to_der().unwrap()).unwrap();
    let echo = Extension { extn_id: crate::credential::ocsp::NONCE, critical: false, extn_value: value };
    let question = x509_ocsp::OcspRequest {
        tbs_request: x509_ocsp::TbsRequest {
            request_list: vec![x509_ocsp::Request { req_cert: asked.clone(), single_request_extensions: None }],
            request_extensions: Some(vec![echo]),
            ..Default::default()
        },
        optional_signature: None,
    };
    let question = question.to_der().unwrap();
    let good = || genuine_like(&issuer(), &question, CertStatus::good(), now);
    let judge = |answer: &[u8]| asker.judge(answer, &asked, &nonce, now).map(|(verdict, _)| verdict);
    let signer = delegate(&fixture, ExtendedKeyUsagePurpose::OcspSigning);
    let with_change = |change: &dyn Fn(&mut ResponseData)| {
        let mut data = good();
        change(&mut data);
        judge(&sign(&signer, data))
    };

    // Good ones: of the responder, of somebody with the right, and of the CA itself, by key and by name.
    assert_eq!(judge(&fixture.mtls.ocsp_responder().unwrap().unwrap().answer(&question).der), Ok(Verdict::Good));
    assert_eq!(judge(&sign(&signer, good())), Ok(Verdict::Good));
    assert_eq!(judge(&sealed(&fixture.ca_key("issuing"), good(), Vec::new())), Ok(Verdict::Good));
    let by_name = ResponseData {
        responder_id: ResponderId::ByName(signer.certificate.tbs_certificate.subject.clone()),
        ..good()
    };
    assert_eq!(judge(&sealed(&signer.key, by_name, vec![signer.certificate.clone()])), Ok(Verdict::Good));
    assert_eq!(with_change(&|data| data.responses[0].cert_status = CertStatus::unknown()), Ok(Verdict::Unknown));

    // Forged: by a leaf without the purpose, by another CA's key, by another authority's responder, by nobody.
    for purpose in [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::Any] {
        assert_eq!(judge(&sign(&delegate(&fixture, purpose), good())), Err(Unusable::Signer));
    }
    let other = with(&MtlsConfig::short_lived(DAY));
    let foreign = delegate(&other, ExtendedKeyUsagePurpose::OcspSigning);
    assert_eq!(judge(&sign(&foreign, good())), Err(Unusable::Signer));
    let named_after = sealed(&foreign.key, ResponseData { ..good() }, vec![signer.certificate.clone()]);
    assert_eq!(judge(&named_after), Err(Unusable::BadSignature), "it says that it is the CA");
    let mut flipped = sign(&signer, good());
    let at = flipped.windows(12).position(|twelve| twelve == &asked.issuer_key_hash.as_bytes()[..12]).unwrap();
    flipped[at] ^= 1;
    assert_eq!(judge(&flipped), Err(Unusable::BadSignature));
    let expired = fixture.clock.now().0 + 2 * DAY;
    let later = asker.judge(&sign(&signer, good()), &asked, &nonce, UnixTime(expired));
    assert_eq!(later.map(drop), Err(Unusable::Signer), "the signer's certificate has ended");

    // About something else, or too much.
    let another = IssuerId::of(&issuer()).unwrap().certificate("40").unwrap();
    let wrong = |data: &mut ResponseData| data.responses[0].cert_id = another.clone();
    assert_eq!(with_change(&wrong), Err(Unusable::OtherCertificate));
    let twice = |data: &mut ResponseData| data.responses.push(data.responses[0].clone());
    assert_eq!(with_change(&twice), Err(Unusable::OtherCertificate));
    assert_eq!(with_change(&|data| data.responses.clear()), Err(Unusable::OtherCertificate));

    // At another time.
    let this_update =
        |time: Duration| move |data: &mut ResponseData| data.responses[0].this_update = second(UnixTime(time));
    assert_eq!(with_change(&this_update(now.0 + 7 * SECOND)), Err(Unusable::Future));
    assert_eq!(with_change(&this_update(now.0 + SECOND)), Ok(Verdict::Good), "clocks differ");
    let next_update = |time: Option<Duration>| {
        move |data: &mut ResponseData| data.responses[0].next_update = time.map(|time| second(UnixTime(time)))
    };
    assert_eq!(with_change(&next_update(Some(now.0))), Err(Unusable::Stale));
    assert_eq!(with_change(&next_update(None)), Err(Unusable::Stale));

    // To another question.
    assert_eq!(with_change(&|data| data.response_extensions = None), Err(Unusable::OtherNonce));
    let other_nonce = |data: &mut ResponseData| {
        let value = OctetString::new(OctetString::new([8; 32]).unwrap().to_der().unwrap()).unwrap();
        data.response_extensions.as_mut().unwrap()[0].extn_value = value;
    };
    assert_eq!(with_change(&other_nonce), Err(Unusable::OtherNonce));
    let stranger = Extension {
        extn_id: ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999.1"),
        critical: true,
        extn_value: OctetString::new([5, 0]).unwrap(),
    };
    let critical = |data: &mut ResponseData| data.response_extensions.as_mut().unwrap().push(stranger.clone());
    assert_eq!(with_change(&critical), Err(Unusable::Critical));

    // No answer at all.
    for (bytes, expected) in [
        (OcspResponse::unauthorized().to_der().unwrap(), "Unauthorized"),
        (OcspResponse::try_later().to_der().unwrap(), "TryLater"),
        (Vec::new(), "not a DER"),
        (b"<html>".to_vec(), "not a DER"),
        ([sign(&signer, good()), vec![0]].concat(), "not a DER"),
    ] {
        let reason = judge(&bytes).unwrap_err().to_string();
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn leaves_of_a_new_ca_are_asked_about_and_those_of_the_old_one_end_with_it() {
    let asking = asking(|_| ()).await;
    let elsewhere = Mtls::build(
        "mtls",
        &MtlsConfig::by_ocsp(asked_at("http://127.0.0.1:1/", VALIDITY)),
        &asking.fixture.environment,
    );
    let elsewhere = elsewhere.unwrap();
    assert_eq!(asking.call().await, Ok(()));
    let rollover = KeyRollover { lead: Some(Duration::ZERO), overlap: Some(HOUR), standby: false };
    elsewhere.roll_over(&rollover).await.unwrap();
    // The first leaf of the new CA tells of it.
    let new = asking.fixture.issue(1).await.remove(0);
    let new = asking.fixture.handshake(&rustls::version::TLS13, issued(&new)).unwrap();
    assert_eq!((asking.call_on(&new).await, asking.responder.asked()), (Ok(()), 2));

    asking.fixture.clock.advance(HOUR).unwrap();
    elsewhere.authority().renew_crls().unwrap();
    assert_eq!(asking.call().await, Err(Rejection::Invalid(Cause::Revoked)));
    assert_eq!(asking.call_on(&new).await, Ok(()));
}
