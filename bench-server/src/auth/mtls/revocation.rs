//! What the current CRLs say (RFC 5280 §5, §6.3): read, verified once, and kept as a set to look serial numbers up in.

use std::collections::HashSet;
use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::clock::UnixTime;
use crate::credential::x509::serial_hex;

/// Object identifiers of CRL extensions that make a list cover less than "everything of its issuer".
const PARTIAL: [(&str, &str); 2] = [("2.5.29.27", "a delta CRL"), ("2.5.29.28", "a CRL for one distribution point")];

/// Why a CRL is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CrlError {
    #[error("not a DER-encoded CRL with crlNumber and nextUpdate")]
    Malformed,
    #[error("the issuer's certificate cannot be read or lacks cRLSign")]
    IssuerMayNotSign,
    #[error("issued by somebody else")]
    OtherIssuer,
    #[error("{0}; only complete CRLs are supported")]
    Partial(&'static str),
    #[error("the signature does not verify")]
    BadSignature,
    #[error("crlNumber went back; an old CRL would bring revoked certificates back")]
    WentBack,
}

/// One verified CRL.
#[derive(Debug)]
pub(super) struct VerifiedCrl {
    der: CertificateRevocationListDer<'static>,
    /// `cRLNumber`, big-endian without leading zeros.
    number: Vec<u8>,
    next_update: UnixTime,
    /// Serial numbers, hexadecimal.
    revoked: HashSet<Box<str>>,
}

impl VerifiedCrl {
    /// Verifies a CRL of `issuer`. `previous` is the one that it would replace.
    pub(super) fn verify(
        der: &[u8],
        issuer: &CertificateDer<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
        previous: Option<&Self>,
    ) -> Result<Self, CrlError> {
        let (rest, crl) = CertificateRevocationList::from_der(der).map_err(|_| CrlError::Malformed)?;
        let number = crl.crl_number().ok_or(CrlError::Malformed)?.to_bytes_be();
        let next_update = crl.next_update().ok_or(CrlError::Malformed)?.timestamp();
        let next_update = u64::try_from(next_update).map_err(|_| CrlError::Malformed)?;
        if !rest.is_empty() {
            return Err(CrlError::Malformed);
        }
        for (oid, what) in PARTIAL {
            if crl.extensions().iter().any(|extension| extension.oid.to_id_string() == oid) {
                return Err(CrlError::Partial(what));
            }
        }
        let (_, parsed) = X509Certificate::from_der(issuer).map_err(|_| CrlError::IssuerMayNotSign)?;
        if !parsed.key_usage().ok().flatten().is_some_and(|usage| usage.value.crl_sign()) {
            return Err(CrlError::IssuerMayNotSign);
        }
        if parsed.subject().as_raw() != crl.issuer().as_raw() {
            return Err(CrlError::OtherIssuer);
        }
        let signer = EndEntityCert::try_from(issuer).map_err(|_| CrlError::IssuerMayNotSign)?;
        let (signed, signature) = (crl.tbs_cert_list.as_ref(), &*crl.signature_value.data);
        if !algorithms.all.iter().any(|algorithm| signer.verify_signature(*algorithm, signed, signature).is_ok()) {
            return Err(CrlError::BadSignature);
        }
        if previous.is_some_and(|previous| (previous.number.len(), &previous.number) > (number.len(), &number)) {
            return Err(CrlError::WentBack);
        }
        Ok(Self {
            der: CertificateRevocationListDer::from(der.to_vec()),
            number,
            next_update: UnixTime(Duration::from_secs(next_update)),
            revoked: crl.iter_revoked_certificates().map(|entry| serial_hex(entry.raw_serial()).into()).collect(),
        })
    }
}

/// The CRLs of both authorities: a certificate's status is known only with both.
#[derive(Debug)]
pub(super) struct Revocations {
    /// The root's: about the issuing CA.
    pub(super) root: VerifiedCrl,
    /// The issuing CA's: about leaves.
    pub(super) issuing: VerifiedCrl,
    issuing_is_revoked: bool,
}

impl Revocations {
    /// Joins the CRLs of a chain.
    pub(super) fn new(root: VerifiedCrl, issuing: VerifiedCrl, issuing_serial: &str) -> Self {
        let issuing_is_revoked = root.revoked.contains(issuing_serial);
        Self { root, issuing, issuing_is_revoked }
    }

    /// Whether a leaf is revoked, itself or with the CA that issued it.
    pub(super) fn contain(&self, serial: &str) -> bool {
        self.issuing_is_revoked || self.issuing.revoked.contains(serial)
    }

    /// From when on the CRLs say nothing any more (`nextUpdate`, RFC 5280 §5.1.2.5).
    pub(super) fn next_update(&self) -> UnixTime {
        self.root.next_update.min(self.issuing.next_update)
    }

    /// Whether these are the same files.
    pub(super) fn same_as(&self, root: &[u8], issuing: &[u8]) -> bool {
        *self.root.der == *root && *self.issuing.der == *issuing
    }

    /// What a handshake checks the whole chain against.
    pub(super) fn ders(&self) -> [CertificateRevocationListDer<'static>; 2] {
        [self.root.der.clone(), self.issuing.der.clone()]
    }
}
