//! What both sides of OCSP (RFC 6960) agree on: which certificate a question is about, times, nonces, media types.
//!
//! The messages are those of `x509-ocsp`, which encodes and decodes them and does nothing else. Signatures and digests are
//! aws-lc-rs's, like everywhere.

use std::time::Duration;

use aws_lc_rs::digest::{self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use rustls_pki_types::CertificateDer;
use x509_cert::der::asn1::{GeneralizedTime, Null, ObjectIdentifier, OctetString};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{CertId, OcspGeneralizedTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::clock::UnixTime;
use crate::credential::x509::{serial_bytes, serial_hex};

/// The media types of the messages (RFC 6960 §A.1, §A.2).
pub(crate) const REQUEST_TYPE: &str = "application/ocsp-request";
pub(crate) const RESPONSE_TYPE: &str = "application/ocsp-response";

/// Most bytes in a nonce, which has at least one (RFC 9654 §2.1).
pub(crate) const NONCE_MAX: usize = 128;

/// Bytes in the nonces of our own questions (RFC 9654 §2.1).
pub(crate) const NONCE_LENGTH: usize = 32;

/// id-pkix-ocsp-nonce.
pub(crate) const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");

/// id-pkix-ocsp-response: the types of answer that the client understands, the basic one always among them (RFC 6960
/// §4.4.3).
const ACCEPTABLE_RESPONSES: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.4");

const SHA1_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// The digests that name an issuer. SHA-1 is no weakness here, since nothing relies on it for being hard to imitate: an
/// answer is signed by the issuer that it is about.
static DIGESTS: [(ObjectIdentifier, &Algorithm); 2] = [(SHA256_OID, &SHA256), (SHA1_OID, &SHA1_FOR_LEGACY_USE_ONLY)];

/// A text that is no certificate, or no serial number of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the certificate of a CA, or not a serial number")]
pub(crate) struct NotACertificate;

/// A CA as questions name it.
#[derive(Debug, Clone)]
pub(crate) struct IssuerId {
    /// Its subject, DER.
    name: Box<[u8]>,
    /// Its public key: the bits alone, without algorithm.
    key: Box<[u8]>,
}

impl IssuerId {
    /// Reads name and key of a CA.
    pub(crate) fn of(ca: &CertificateDer<'_>) -> Result<Self, NotACertificate> {
        let (_, ca) = X509Certificate::from_der(ca).map_err(|_| NotACertificate)?;
        Ok(Self { name: ca.subject().as_raw().into(), key: ca.public_key().subject_public_key.data.as_ref().into() })
    }

    /// What names the certificate that this CA gave a serial number, in hexadecimal. By SHA-256, as RFC 9919 §3.1.1 would
    /// have clients do.
    pub(crate) fn certificate(&self, serial: &str) -> Result<CertId, NotACertificate> {
        let hash = |bytes: &[u8]| octets(digest::digest(&SHA256, bytes).as_ref());
        Ok(CertId {
            hash_algorithm: AlgorithmIdentifierOwned { oid: SHA256_OID, parameters: Some(Null.into()) },
            issuer_name_hash: hash(&self.name),
            issuer_key_hash: hash(&self.key),
            serial_number: SerialNumber::new(&serial_bytes(serial).ok_or(NotACertificate)?)
                .map_err(|_| NotACertificate)?,
        })
    }

    /// Whether a question is about a certificate of this CA, by whichever digest it names it.
    pub(crate) fn issued(&self, asked: &CertId) -> bool {
        let digest = DIGESTS.iter().find(|(oid, _)| *oid == asked.hash_algorithm.oid);
        digest.is_some_and(|(_, algorithm)| {
            let is = |hash: &OctetString, of: &[u8]| hash.as_bytes() == digest::digest(algorithm, of).as_ref();
            is(&asked.issuer_name_hash, &self.name) && is(&asked.issuer_key_hash, &self.key)
        })
    }

    /// The key as a responder's identifier: always by SHA-1 (RFC 6960 §4.2.1).
    pub(crate) fn key_hash(&self) -> OctetString {
        octets(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.key).as_ref())
    }
}

/// Whether two names are of the same certificate. The parameters of a digest are left out: some write NULL, some nothing.
pub(crate) fn same_certificate(one: &CertId, other: &CertId) -> bool {
    one.hash_algorithm.oid == other.hash_algorithm.oid
        && one.issuer_name_hash == other.issuer_name_hash
        && one.issuer_key_hash == other.issuer_key_hash
        && one.serial_number == other.serial_number
}

/// The serial number in a name, in lower-case hexadecimal.
pub(crate) fn serial_of(id: &CertId) -> String {
    serial_hex(id.serial_number.as_bytes())
}

/// Whether an extension would have to be understood and is not (RFC 6960 §4.4).
pub(crate) fn is_critical_stranger(extension: &Extension) -> bool {
    extension.critical && ![NONCE, ACCEPTABLE_RESPONSES].contains(&extension.extn_id)
}

/// The extensions of a message, of which there may be none.
pub(crate) fn each(extensions: Option<&Extensions>) -> impl Iterator<Item = &Extension> {
    extensions.into_iter().flatten()
}

/// The last whole second that is over: times of OCSP have no fractions (RFC 6960 §4.2.2.1).
pub(crate) fn second(time: UnixTime) -> OcspGeneralizedTime {
    let last = GeneralizedTime::from_unix_duration(Duration::from_secs(time.as_secs()));
    OcspGeneralizedTime(last.expect("years of four digits last until 9999"))
}

/// A time in a message.
pub(crate) fn time(time: OcspGeneralizedTime) -> UnixTime {
    UnixTime(time.0.to_unix_duration())
}

fn octets(bytes: &[u8]) -> OctetString {
    OctetString::new(bytes).expect("a digest is short")
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn ca(name: &str) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn an_issuer_is_named_by_name_and_key_and_by_either_digest() {
        let (one, other) = (ca("one"), ca("one"));
        let (one, other) = (IssuerId::of(&one).unwrap(), IssuerId::of(&other).unwrap());
        let asked = one.certificate("40ff").unwrap();
        assert_eq!(serial_of(&asked), "40ff");
        assert!(one.issued(&asked) && !other.issued(&asked), "of the same name, but with another key");
        let by_sha1 = |issuer: &IssuerId| CertId {
            hash_algorithm: AlgorithmIdentifierOwned { oid: SHA1_OID, parameters: None },
            issuer_name_hash: octets(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &issuer.name).as_ref()),
            issuer_key_hash: octets(digest::digest(&SHA1_FOR_LEGACY_USE_ONLY, &issuer.key).as_ref()),
            ..asked.clone()
        };
        assert!(one.issued(&by_sha1(&one)) && !one.issued(&by_sha1(&other)));
        let md5 = ObjectIdentifier::new_unwrap("1.2.840.113549.2.5");
        let unknown = AlgorithmIdentifierOwned { oid: md5, parameters: None };
        assert!(!one.issued(&CertId { hash_algorithm: unknown, ..asked.clone() }));
    }

    #[test]
    fn names_are_compared_without_the_parameters_of_their_digest() {
        let issuer = IssuerId::of(&ca("one")).unwrap();
        let asked = issuer.certificate("40ff").unwrap();
        let algorithm = AlgorithmIdentifierOwned { oid: SHA256_OID, parameters: None };
        assert!(same_certificate(&asked, &CertId { hash_algorithm: algorithm, ..asked.clone() }));
        assert!(!same_certificate(&asked, &issuer.certificate("40fe").unwrap()));
        assert!(["zz", &"1".repeat(60)].iter().all(|serial| issuer.certificate(serial).is_err()));
    }

    #[test]
    fn times_have_no_fractions() {
        let moment = UnixTime(Duration::from_millis(1_700_000_000_900));
        assert_eq!(time(second(moment)), UnixTime(Duration::from_secs(1_700_000_000)));
    }
}
