//! What an OCSP answer is worth (RFC 6960 §3.2): whose it is, what it is about, and when.

use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, UnixTime as PkiTime};
use sha2::{Digest as _, Sha256};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::der::asn1::{ObjectIdentifier, OctetString};
use x509_cert::der::{Decode, Encode};
use x509_ocsp::{BasicOcspResponse, CertId, CertStatus, OcspResponse, OcspResponseStatus, ResponderId, SingleResponse};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::clock::UnixTime;
use crate::credential::ocsp::{self, IssuerId, NONCE, NotACertificate};
use crate::credential::x509::{ClientIdentity, subject_key_id};

/// id-kp-OCSPSigning, the content of its DER.
const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];

/// id-pkix-ocsp-basic.
const BASIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");

/// How far ahead of ours the responder's clock may be. Only `thisUpdate` is granted it: an answer that has ended has ended.
const AHEAD: Duration = Duration::from_secs(5);

/// What a responder says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth::mtls) enum Verdict {
    /// Not taken back.
    Good,
    /// Taken back.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

/// Why an answer is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::auth::mtls) enum Unusable {
    #[error("not a DER-encoded basic OCSP response")]
    Malformed,
    #[error("the responder answers {0:?} instead")]
    Refused(OcspResponseStatus),
    #[error("signed by nobody who may: neither the CA nor a certificate of it with id-kp-OCSPSigning")]
    Signer,
    #[error("the signature does not verify")]
    BadSignature,
    #[error("the nonce is not that of the question")]
    OtherNonce,
    #[error("a critical extension is not understood")]
    Critical,
    #[error("it is about another certificate, or twice about this one")]
    OtherCertificate,
    #[error("thisUpdate is in the future")]
    Future,
    #[error("nextUpdate is over, or missing")]
    Stale,
}

/// The CA whose leaves are asked about, and whose word is taken on them.
pub(in crate::auth::mtls) struct Issuer {
    certificate: CertificateDer<'static>,
    /// Its subject as it stands in certificates, without the outer tag.
    name: Box<[u8]>,
    /// How leaves call its key, if they do.
    key_id: Option<Box<[u8]>>,
    /// SHA-256 of the certificate.
    digest: [u8; 32],
    id: IssuerId,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Issuer {
    /// Reads the CA's certificate.
    pub(in crate::auth::mtls) fn new(
        certificate: CertificateDer<'static>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, NotACertificate> {
        let id = IssuerId::of(&certificate)?;
        let name = EndEntityCert::try_from(&certificate).map_err(|_| NotACertificate)?.subject().into();
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| NotACertificate)?;
        let (key_id, digest) = (subject_key_id(&parsed), Sha256::digest(&certificate).into());
        Ok(Self { certificate, name, key_id, digest, id, algorithms })
    }

    /// Whether a verified leaf is one of this CA's: by name, and by key where both say which it is.
    pub(super) fn has_issued(&self, leaf: &ClientIdentity) -> bool {
        let other_key = self.key_id.as_deref().zip(leaf.issuer_key_id.as_deref()).is_some_and(|(own, its)| own != its);
        *self.name == *leaf.issuer && !other_key
    }

    /// What tells this CA from every other.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What a question calls one of its leaves.
    pub(super) fn certificate(&self, serial: &str) -> Result<CertId, NotACertificate> {
        self.id.certificate(serial)
    }

    /// What an OCSPResponse in DER says of the certificate that was asked about, and until when that holds.
    pub(in crate::auth::mtls) fn judge(
        &self,
        response: &[u8],
        asked: &CertId,
        nonce: &[u8],
        now: UnixTime,
    ) -> Result<(Verdict, UnixTime), Unusable> {
        let response = OcspResponse::from_der(response).map_err(|_| Unusable::Malformed)?;
        if response.response_status != OcspResponseStatus::Successful {
            return Err(Unusable::Refused(response.response_status));
        }
        let content =
            response.response_bytes.filter(|bytes| bytes.response_type == BASIC).ok_or(Unusable::Malformed)?;
        let answer = BasicOcspResponse::from_der(content.response.as_bytes()).map_err(|_| Unusable::Malformed)?;
        self.check_signature(&answer, now)?;

        let data = answer.tbs_response_data;
        let extensions = || ocsp::each(data.response_extensions.as_ref());
        let mut about = data.responses.iter().filter(|single| ocsp::same_certificate(&single.cert_id, asked));
        let (Some(single), None) = (about.next(), about.next()) else { return Err(Unusable::OtherCertificate) };
        let critical =
            extensions().chain(ocsp::each(single.single_extensions.as_ref())).any(ocsp::is_critical_stranger);
        if critical {
            return Err(Unusable::Critical);
        }
        let mut nonces = extensions().filter(|extension| extension.extn_id == NONCE);
        let echoed = nonces.next().and_then(|nonce| OctetString::from_der(nonce.extn_value.as_bytes()).ok());
        if echoed.is_none_or(|echoed| echoed.as_bytes() != nonce) || nonces.next().is_some() {
            return Err(Unusable::OtherNonce);
        }
        let until = in_force(single, now)?;
        let verdict = match single.cert_status {
            CertStatus::Good(_) => Verdict::Good,
            CertStatus::Revoked(_) => Verdict::Revoked,
            CertStatus::Unknown(_) => Verdict::Unknown,
        };
        Ok((verdict, until))
    }

    /// Signed by the CA itself, or by somebody to whom the CA itself has given that right (RFC 6960 §4.2.2.2). The
    /// signature is over the bytes that are interpreted: what does not come out the same when it is encoded again is not
    /// DER, and does not verify.
    fn check_signature(&self, answer: &BasicOcspResponse, now: UnixTime) -> Result<(), Unusable> {
        let signed = answer.tbs_response_data.to_der().map_err(|_| Unusable::Malformed)?;
        let signature = answer.signature.as_bytes().ok_or(Unusable::Malformed)?;
        let claimed = &answer.tbs_response_data.responder_id;
        let delegates = answer.certs.iter().flatten().filter_map(|certificate| certificate.to_der().ok());
        // The name first: only one that bears it is worth a signature check.
        let delegates =
            delegates.map(CertificateDer::from).filter(|delegate| is(claimed, delegate)).take(MOST_DELEGATES);
        let own = std::iter::once(self.certificate.clone()).filter(|own| is(claimed, own));
        let signer = own.chain(delegates.filter(|delegate| self.may_sign(delegate, now))).next();
        let signer = signer.ok_or(Unusable::Signer)?;
        let signer = EndEntityCert::try_from(&signer).map_err(|_| Unusable::Signer)?;
        let verifies = |algorithm| signer.verify_signature(algorithm, &signed, signature).is_ok();
        if self.algorithms.all.iter().any(|algorithm| verifies(*algorithm)) {
            Ok(())
        } else {
            Err(Unusable::BadSignature)
        }
    }

    /// Whether a certificate is one that the CA gave, directly, to sign OCSP answers with, and is in force. Whether it was
    /// taken back is not asked, id-pkix-ocsp-nocheck or not: only another answer could tell.
    fn may_sign(&self, delegate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let (Ok(anchor), Ok(delegate)) =
            (anchor_from_trusted_cert(&self.certificate), EndEntityCert::try_from(delegate))
        else {
            return false;
        };
        let (now, usage) = (PkiTime::since_unix_epoch(now.0), KeyUsage::required(OCSP_SIGNING));
        delegate.verify_for_usage(self.algorithms.all, &[anchor], &[], now, usage, None, None).is_ok()
    }
}

/// Certificates of an answer that are tried as its signer's.
const MOST_DELEGATES: usize = 4;

/// Whether a certificate is the one that a responder says to be (RFC 6960 §4.2.2.3).
fn is(claimed: &ResponderId, certificate: &CertificateDer<'_>) -> bool {
    match claimed {
        ResponderId::ByKey(hash) => IssuerId::of(certificate).is_ok_and(|id| id.key_hash() == *hash),
        ResponderId::ByName(name) => x509_cert::Certificate::from_der(certificate)
            .is_ok_and(|certificate| certificate.tbs_certificate.subject == *name),
    }
}

/// Until when an answer holds, if it does now. One without `nextUpdate` could not be kept, and the profile knows none
/// (RFC 9919 §3.2.4).
fn in_force(single: &SingleResponse, now: UnixTime) -> Result<UnixTime, Unusable> {
    if ocsp::time(single.this_update).0 > now.0 + AHEAD {
        return Err(Unusable::Future);
    }
    let next_update = single.next_update.map(ocsp::time);
    next_update.filter(|end| now < *end).ok_or(Unusable::Stale)
}
