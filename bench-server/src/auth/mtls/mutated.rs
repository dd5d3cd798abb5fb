//! Certificates, CRLs and OCSP messages that were damaged, as in [`crate::mutated`].

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_cert::der::{Decode as _, Encode as _};
use x509_ocsp::{OcspRequest, OcspResponse, OcspResponseStatus};

use super::ocsp::{Issuer, Verdict};
use super::revocation::{Revocations, Status, VerifiedCrl};
use super::verifier::verify_path;
use crate::clock::Clock;
use crate::config::{CertificateKey, ChainLength, ClockMode};
use crate::credential::x509::ClientIdentity;
use crate::issuer::ca::{CertificateAuthority, OcspResponder};
use crate::mutated::{Mutator, TRIES};

/// What DER is made of: tags, lengths, and object identifiers of what is looked at.
const PIECES: [&[u8]; 14] = [
    &[0x30],
    &[0x30, 0x80],
    &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff],
    &[0x02, 0x00],
    &[0x02, 0x81, 0x01],
    &[0x05, 0x00],
    &[0xa3],
    &[0x17, 0x0d],
    &[0x18, 0x0f],
    &[0x06, 0x03, 0x55, 0x1d, 0x11],
    &[0x06, 0x03, 0x55, 0x1d, 0x13],
    &[0x01, 0x01, 0xff],
    &[0xff; 9],
    &[0; 9],
];

struct Fixture {
    ca: Arc<CertificateAuthority>,
    clock: Clock,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let (dir, clock) = (tempfile::tempdir().expect("a folder"), Clock::new(ClockMode::Controlled));
    let day = Duration::from_secs(86_400);
    let ca = CertificateAuthority::open(dir.path(), clock.clone(), day, ChainLength::default()).expect("an authority");
    Fixture { ca: Arc::new(ca), clock, _dir: dir }
}

impl Fixture {
    /// A leaf and the CA that signed it.
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        let (id, hour) = ("spiffe://authbench.test/x", Duration::from_secs(3600));
        let issued = self.ca.client_certificate(id, hour, CertificateKey::P256).expect("issued");
        CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes()).collect::<Result<_, _>>().expect("PEM")
    }
}

fn algorithms() -> rustls::crypto::WebPkiSupportedAlgorithms {
    rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms
}

#[test]
fn xc_24_damaged_certificates() {
    let fixture = fixture();
    let (chain, algorithms, now) = (fixture.chain(), algorithms(), fixture.clock.now());
    let mut roots = RootCertStore::empty();
    roots.add(fixture.ca.root_certificate().clone()).expect("a root");
    let verify = |leaf: &CertificateDer<'_>, ca: &CertificateDer<'_>| {
        verify_path(leaf, std::slice::from_ref(ca), &roots.roots, &algorithms, now, |_| Ok(()))
    };
    assert!(verify(&chain[0], &chain[1]).is_ok());
    let (mut mutator, mut read) = (Mutator::new(5280), 0);
    for n in 0..TRIES {
        let mut damaged = chain.clone();
        // The leaf mostly, for it is what strangers make.
        let place = usize::from(n % 4 == 0);
        damaged[place] = mutator.damage(&chain[place], &PIECES).into();
        read += usize::from(ClientIdentity::from_der(&damaged[0]).is_ok());
        if verify(&damaged[0], &damaged[1]).is_ok() {
            assert_eq!(damaged, chain, "accepted");
        }
    }
    assert!(read > TRIES / 10, "{read} could be read");
}

#[test]
fn xc_24_mt_16_damaged_crls() {
    let fixture = fixture();
    let (chain, algorithms) = (fixture.chain(), algorithms());
    let identity = ClientIdentity::from_der(&chain[0]).expect("an identity");
    fixture.ca.revoke(&identity.serial).expect("revoked");
    let published = fixture.ca.cas().expect("the CAs").pop().expect("the one that signs leaves");
    let der = std::fs::read(&published.crl).expect("its CRL");
    let says = |der: Vec<u8>| {
        let list = VerifiedCrl::verify(der, &published.certificate, &algorithms, None).ok()?;
        let revocations = Revocations::new([(Arc::new(list), "", None)]);
        Some(revocations.status(&identity.issuer, None, &identity.serial, fixture.clock.now()))
    };
    let mut mutator = Mutator::new(5280);
    for _ in 0..TRIES {
        let damaged = mutator.damage(&der, &PIECES);
        // What is not covered by the signature may differ; what the list says may not.
        if let Some(status) = says(damaged.clone()) {
            assert_eq!(status, Status::Revoked, "{damaged:02x?}");
        }
    }
    assert_eq!(says(der), Some(Status::Revoked));
}

#[test]
fn xc_24_mt_19_mt_20_damaged_ocsp_messages() {
    let fixture = fixture();
    let (chain, now) = (fixture.chain(), fixture.clock.now());
    let issuer = Issuer::new(chain[1].clone(), algorithms()).expect("the CA");
    let identity = ClientIdentity::from_der(&chain[0]).expect("an identity");
    let asked = crate::credential::ocsp::IssuerId::of(&chain[1]).expect("a CA").certificate(&identity.serial);
    let asked = asked.expect("a serial number");
    let question = |nonce: bool| {
        use x509_cert::der::asn1::OctetString;
        use x509_cert::ext::Extension;
        let one = x509_ocsp::Request { req_cert: asked.clone(), single_request_extensions: None };
        let value = OctetString::new([7; 16]).and_then(|nonce| OctetString::new(nonce.to_der()?)).expect("DER");
        let extension = Extension { extn_id: crate::credential::ocsp::NONCE, critical: false, extn_value: value };
        let tbs_request = x509_ocsp::TbsRequest {
            version: x509_ocsp::Version::V1,
            requestor_name: None,
            request_list: vec![one],
            request_extensions: nonce.then(|| vec![extension]),
        };
        OcspRequest { tbs_request, optional_signature: None }.to_der().expect("DER")
    };
    let responder = OcspResponder::new(fixture.ca.clone(), Duration::from_secs(3600)).expect("a responder");
    let answer = responder.answer(&question(true)).der;
    let judge = |answer: &[u8]| issuer.judge(answer, &asked, &[7; 16], now);
    let good = judge(&answer);
    assert!(matches!(good, Ok((Verdict::Good, _))));
    let mut mutator = Mutator::new(6960);
    for _ in 0..TRIES {
        let damaged = mutator.damage(&answer, &PIECES);
        let verdict = judge(&damaged);
        // What is not covered by the signature may differ; what it says may not.
        assert!(verdict.is_err() || verdict == good, "{damaged:02x?}");
    }
    // Of the requests every tenth of so many, since those that can be read are answered with a signature.
    let (good, mut answered) = (question(false), 0);
    for _ in 0..TRIES / 10 {
        let damaged = mutator.damage(&good, &PIECES);
        let response = OcspResponse::from_der(&responder.answer(&damaged).der).expect("always a response");
        answered += usize::from(response.response_status == OcspResponseStatus::Successful);
        assert_ne!(response.response_status, OcspResponseStatus::InternalError, "{damaged:02x?}");
    }
    assert!(answered > 10, "{answered} were answered");
}
