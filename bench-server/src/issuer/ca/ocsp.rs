//! The authority's OCSP responder (RFC 6960, in the profile of RFC 9919): what the records say, when it is asked.
//!
//! Answers are signed by a certificate of the responder's own, with id-kp-OCSPSigning and issued by the CA that it
//! answers for (RFC 6960 §4.2.2.2), and not by the CA itself: a key that signs for whoever asks is then another one than
//! the key that certificates rest on, and the keyUsage of a CA stays at certificates and CRLs. The certificate lives for a
//! day and says that nobody need ask about it (id-pkix-ocsp-nocheck, §4.2.2.2.1); its key is in memory alone.
//!
//! Nothing is signed in advance, so an answer is never older than the question, and a nonce is echoed (RFC 9654).

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rcgen::{CustomExtension, ExtendedKeyUsagePurpose, KeyPair, SigningKey};
use x509_cert::Certificate;
use x509_cert::der::asn1::{BitString, ObjectIdentifier, OctetString};
use x509_cert::der::{self, Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertStatus, OcspRequest, OcspResponse, ResponderId, ResponseData, RevokedInfo, SingleResponse,
    Version,
};

use super::{CaError, CertificateAuthority, CertificateStatus, LeavesCa};
use crate::clock::UnixTime;
use crate::config::CertificateKey;
use crate::credential::ocsp::{self, IssuerId, NONCE, NONCE_MAX};

/// Lifetime of the responder's certificate, which cannot be revoked; it has a successor after half of it.
const SIGNER_LIFETIME: Duration = Duration::from_secs(86_400);

/// id-pkix-ocsp-nocheck, an extension whose value is NULL.
const NO_CHECK: [u64; 10] = [1, 3, 6, 1, 5, 5, 7, 48, 1, 5];
const NULL: [u8; 2] = [5, 0];

/// ecdsa-with-SHA256, without parameters (RFC 5758 §3.2).
const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");

/// Answers for the CAs that sign leaves: for each in its own name, also when it is revoked, which its leaves are then too.
pub struct OcspResponder {
    authority: Arc<CertificateAuthority>,
    validity: Duration,
    /// In the order in which the CAs take over.
    speakers: Mutex<Vec<Speaker>>,
}

/// Who answers for one CA.
struct Speaker {
    ca: LeavesCa,
    issuer: IssuerId,
    signer: Option<Arc<Signer>>,
}

/// What signs answers.
struct Signer {
    certificate: Certificate,
    key: KeyPair,
    id: ResponderId,
    /// When its successor is made.
    ends: UnixTime,
}

/// An answer to a question, or a refusal to give one.
#[derive(Debug)]
pub struct OcspAnswer {
    /// The OCSPResponse, DER.
    pub der: Vec<u8>,
    /// `thisUpdate` and `nextUpdate`, of an answer that may be given to others who ask the same: one without nonce.
    pub shared: Option<(UnixTime, UnixTime)>,
}

/// Why a request is not answered (RFC 6960 §2.3).
enum Refusal {
    Malformed,
    OtherIssuer,
    Failed(CaError),
}

impl From<der::Error> for Refusal {
    fn from(error: der::Error) -> Self {
        Self::Failed(CaError(format!("cannot encode an OCSP response: {error}")))
    }
}

impl OcspResponder {
    /// Answers from `authority`'s records, each answer good for `validity`.
    ///
    /// # Errors
    /// When a CA's certificate cannot be read.
    pub fn new(authority: Arc<CertificateAuthority>, validity: Duration) -> Result<Self, CaError> {
        let responder = Self { authority, validity, speakers: Mutex::default() };
        responder.catch_up(&mut responder.lock())?;
        Ok(responder)
    }

    /// Answers an OCSPRequest in DER. Reads files if another process has changed them, and may have to wait while a CRL is
    /// signed: not for a reactor.
    pub fn answer(&self, request: &[u8]) -> OcspAnswer {
        let refused = match self.answered(request) {
            Ok(answer) => return answer,
            Err(Refusal::Malformed) => OcspResponse::malformed_request(),
            Err(Refusal::OtherIssuer) => OcspResponse::unauthorized(),
            Err(Refusal::Failed(error)) => {
                tracing::error!(%error, "an OCSP request was not answered");
                OcspResponse::internal_error()
            }
        };
        OcspAnswer { der: refused.to_der().expect("a status alone is three bytes of content"), shared: None }
    }

    fn answered(&self, request: &[u8]) -> Result<OcspAnswer, Refusal> {
        let question = OcspRequest::from_der(request).map_err(|_| Refusal::Malformed)?.tbs_request;
        let nonce = check(&question)?;
        let now = self.authority.clock.now();
        let (this_update, next_update) = (UnixTime(Duration::from_secs(now.as_secs())), self.next_update(now));
        // One signature is one CA's word, so all that is asked about must be of the same (RFC 6960 §4.2.2.2).
        let (ca, issuer) = self.asked_of(&question.request_list[0].req_cert)?;
        let single = |asked: x509_ocsp::Request| {
            if !issuer.issued(&asked.req_cert) {
                return Err(Refusal::OtherIssuer);
            }
            let status = self.authority.status(&ca, &ocsp::serial_of(&asked.req_cert)).map_err(Refusal::Failed)?;
            Ok(SingleResponse {
                cert_id: asked.req_cert,
                cert_status: match status {
                    CertificateStatus::Good => CertStatus::good(),
                    CertificateStatus::Unknown => CertStatus::unknown(),
                    // Nobody tells us why, as in a CRL.
                    CertificateStatus::Revoked { since } => CertStatus::revoked(RevokedInfo {
                        revocation_time: ocsp::second(since),
                        revocation_reason: None,
                    }),
                },
                this_update: ocsp::second(this_update),
                next_update: Some(ocsp::second(next_update)),
                single_extensions: None,
            })
        };
        let responses = question.request_list.into_iter().map(single).collect::<Result<_, _>>()?;
        let shared = nonce.is_none().then_some((this_update, next_update));
        let der = self.sign(&ca, now, responses, nonce)?;
        Ok(OcspAnswer { der, shared })
    }

    /// Times count whole seconds. Rounded up, an answer covers all of its validity from the moment at which it was given;
    /// whoever keeps it keeps it for the validity, not until then.
    fn next_update(&self, now: UnixTime) -> UnixTime {
        let end = now.0 + self.validity;
        UnixTime(Duration::from_secs(end.as_secs() + u64::from(end.subsec_nanos() > 0)))
    }

    fn sign(
        &self,
        ca: &LeavesCa,
        now: UnixTime,
        responses: Vec<SingleResponse>,
        nonce: Option<Extension>,
    ) -> Result<Vec<u8>, Refusal> {
        let signer = self.signer(ca, now).map_err(Refusal::Failed)?;
        let tbs_response_data = ResponseData {
            version: Version::V1,
            responder_id: signer.id.clone(),
            produced_at: ocsp::second(now),
            responses,
            response_extensions: nonce.map(|nonce| vec![nonce]),
        };
        let signature = signer.key.sign(&tbs_response_data.to_der()?);
        let signature = signature.map_err(|error| Refusal::Failed(super::failed("signature", error)))?;
        let signed = BasicOcspResponse {
            tbs_response_data,
            signature_algorithm: AlgorithmIdentifierOwned { oid: ECDSA_SHA256, parameters: None },
            signature: BitString::from_bytes(&signature)?,
            certs: Some(vec![signer.certificate.clone()]),
        };
        Ok(OcspResponse::successful(signed)?.to_der()?)
    }

    /// The CA that a question names.
    fn asked_of(&self, asked: &x509_ocsp::CertId) -> Result<(LeavesCa, IssuerId), Refusal> {
        let mut speakers = self.lock();
        self.catch_up(&mut speakers).map_err(Refusal::Failed)?;
        let named = speakers.iter().find(|speaker| speaker.issuer.issued(asked)).ok_or(Refusal::OtherIssuer)?;
        Ok((named.ca.clone(), named.issuer.clone()))
    }

    /// Answers from now on for the CAs that have been made since.
    fn catch_up(&self, speakers: &mut Vec<Speaker>) -> Result<(), CaError> {
        for ca in self.authority.leaves_cas()?.into_iter().skip(speakers.len()) {
            let issuer = IssuerId::of(ca.certificate()).map_err(|error| CaError(error.to_string()))?;
            speakers.push(Speaker { ca, issuer, signer: None });
        }
        Ok(())
    }

    /// The signer of the moment; made when it is first needed, and when the last one has had half of its time.
    fn signer(&self, ca: &LeavesCa, now: UnixTime) -> Result<Arc<Signer>, CaError> {
        let current = &mut self.lock()[ca.place].signer;
        if let Some(signer) = current.as_ref().filter(|signer| now < signer.ends) {
            return Ok(signer.clone());
        }
        let signer = Arc::new(self.new_signer(ca, now)?);
        *current = Some(signer.clone());
        Ok(signer)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Speaker>> {
        // Nothing but a whole speaker is ever added, and nothing but a whole signer given to one.
        self.speakers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn new_signer(&self, ca: &LeavesCa, now: UnixTime) -> Result<Signer, CaError> {
        let mut params = self.authority.leaf("authbench OCSP responder", SIGNER_LIFETIME)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&NO_CHECK, NULL.to_vec())];
        let (certificate, key) = self.authority.sign(ca, &params, CertificateKey::P256)?;
        let id = IssuerId::of(certificate.der()).map_err(|error| CaError(error.to_string()))?;
        let certificate = Certificate::from_der(certificate.der()).map_err(|error| super::failed("signer", error))?;
        let ends = UnixTime(now.0 + SIGNER_LIFETIME / 2);
        Ok(Signer { certificate, key, id: ResponderId::ByKey(id.key_hash()), ends })
    }
}

/// Whether a question has the right form; the nonce to echo, if there is one.
fn check(question: &x509_ocsp::TbsRequest) -> Result<Option<Extension>, Refusal> {
    let of_requests =
        question.request_list.iter().flat_map(|asked| ocsp::each(asked.single_request_extensions.as_ref()));
    let mut all = ocsp::each(question.request_extensions.as_ref()).chain(of_requests);
    if question.request_list.is_empty() || all.any(ocsp::is_critical_stranger) {
        return Err(Refusal::Malformed);
    }
    let mut nonces = ocsp::each(question.request_extensions.as_ref()).filter(|extension| extension.extn_id == NONCE);
    match (nonces.next(), nonces.next()) {
        (None, _) => Ok(None),
        (Some(nonce), None) => {
            let value = OctetString::from_der(nonce.extn_value.as_bytes()).map_err(|_| Refusal::Malformed)?;
            // RFC 9654 §2.1: refused, not left out.
            let sound = (1..=NONCE_MAX).contains(&value.as_bytes().len());
            if sound { Ok(Some(Extension { critical: false, ..nonce.clone() })) } else { Err(Refusal::Malformed) }
        }
        (Some(_), Some(_)) => Err(Refusal::Malformed),
    }
}

impl fmt::Debug for OcspResponder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OcspResponder").field("authority", &self.authority).finish_non_exhaustive()
    }
}
