//! What the current CRLs say (RFC 5280 §5, §6.3): each read and verified once, then kept as a set to look serial numbers
//! up in, so that neither a handshake nor a request takes longer for a longer list.

use std::collections::HashSet;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls_pki_types::{CertificateDer, SubjectPublicKeyInfoDer, TrustAnchor};
use webpki::{Cert, EndEntityCert, VerifiedPath};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::X509Extension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::clock::UnixTime;
use crate::credential::x509::{serial_hex, subject_key_id};

/// Object identifiers of extensions that make a list, or an entry, say something else than "of the certificates of this
/// issuer, these are revoked" (RFC 5280 §5.2.4, §5.2.5, §5.3.3).
const PARTIAL: [(&str, &str); 3] = [
    ("2.5.29.27", "a delta CRL"),
    ("2.5.29.28", "a CRL for one distribution point"),
    ("2.5.29.29", "an indirect CRL, which is about other issuers' certificates"),
];

/// Object identifiers of the extensions that are understood, should one be marked critical: CRL number, authority key
/// identifier, reason code and invalidity date.
const UNDERSTOOD: [&str; 4] = ["2.5.29.20", "2.5.29.35", "2.5.29.21", "2.5.29.24"];

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
    #[error("the critical extension {0} is not understood (RFC 5280 §5.2)")]
    Critical(String),
    #[error("the signature does not verify")]
    BadSignature,
    #[error("crlNumber went back; an old CRL would bring revoked certificates back")]
    WentBack,
}

/// One verified CRL.
#[derive(Debug)]
pub(super) struct VerifiedCrl {
    der: Box<[u8]>,
    /// Subject of the issuer as it stands in certificates, without the outer tag.
    issuer: Box<[u8]>,
    /// The key that signed it: the list speaks for nobody else of that name.
    key: SubjectPublicKeyInfoDer<'static>,
    /// How certificates call that key, if they do.
    key_id: Option<Box<[u8]>>,
    /// `cRLNumber`, big-endian without leading zeros.
    number: Vec<u8>,
    this_update: UnixTime,
    next_update: UnixTime,
    /// Serial numbers, hexadecimal.
    revoked: HashSet<Box<str>>,
}

impl VerifiedCrl {
    /// Verifies a CRL of `issuer`. `previous` is the one that it would replace.
    pub(super) fn verify(
        der: Vec<u8>,
        issuer: &CertificateDer<'_>,
        algorithms: &WebPkiSupportedAlgorithms,
        previous: Option<&Self>,
    ) -> Result<Self, CrlError> {
        let (rest, crl) = CertificateRevocationList::from_der(&der).map_err(|_| CrlError::Malformed)?;
        let number = crl.crl_number().ok_or(CrlError::Malformed)?.to_bytes_be();
        let time = |seconds| u64::try_from(seconds).map(|seconds| UnixTime(Duration::from_secs(seconds)));
        let this_update = time(crl.last_update().timestamp()).map_err(|_| CrlError::Malformed)?;
        let next_update = crl.next_update().ok_or(CrlError::Malformed)?.timestamp();
        let next_update = time(next_update).map_err(|_| CrlError::Malformed)?;
        if !rest.is_empty() {
            return Err(CrlError::Malformed);
        }
        let of_entries = crl.iter_revoked_certificates().flat_map(|entry| entry.extensions());
        crl.extensions().iter().chain(of_entries).try_for_each(check_extension)?;
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
        let revoked = crl.iter_revoked_certificates().map(|entry| serial_hex(entry.raw_serial()).into()).collect();
        Ok(Self {
            issuer: signer.subject().into(),
            key: signer.subject_public_key_info(),
            key_id: subject_key_id(&parsed),
            number,
            this_update,
            next_update,
            revoked,
            der: der.into(),
        })
    }

    /// Whether this is what the file contains.
    pub(super) fn is(&self, der: &[u8]) -> bool {
        *self.der == *der
    }

    fn is_of(&self, ca: &Cert<'_>) -> bool {
        *self.issuer == *ca.subject() && self.key == ca.subject_public_key_info()
    }

    fn is_of_anchor(&self, root: &TrustAnchor<'_>) -> bool {
        // Of a root webpki keeps the content of the key's SEQUENCE alone.
        *self.issuer == *root.subject && self.key.as_ref().ends_with(&root.subject_public_key_info)
    }

    /// What the list says about a certificate of its issuer. One that it names is revoked, whether or not it is in force.
    fn check(&self, serial: &[u8], now: UnixTime) -> Result<(), webpki::Error> {
        if self.revoked.contains(&*serial_hex(serial)) {
            return Err(webpki::Error::CertRevoked);
        }
        if now < self.this_update {
            return Err(webpki::Error::UnknownRevocationStatus);
        }
        if now >= self.next_update {
            let time = |time: UnixTime| rustls_pki_types::UnixTime::since_unix_epoch(time.0);
            return Err(webpki::Error::CrlExpired { time: time(now), next_update: time(self.next_update) });
        }
        Ok(())
    }
}

/// Refuses what would change the meaning of the list, or might.
fn check_extension(extension: &X509Extension<'_>) -> Result<(), CrlError> {
    let oid = extension.oid.to_id_string();
    if let Some((_, what)) = PARTIAL.iter().find(|(partial, _)| *partial == oid) {
        return Err(CrlError::Partial(what));
    }
    if extension.critical && !UNDERSTOOD.contains(&oid.as_str()) {
        return Err(CrlError::Critical(oid));
    }
    Ok(())
}

/// What is known of a leaf after its handshake, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// Neither the leaf nor a CA above it is revoked.
    Good,
    /// No list is in force that could tell.
    Unknown,
    /// One of them is revoked.
    Revoked,
}

/// The CRLs of all CAs below a root, its own first: a certificate's status is known only with all that are above it.
#[derive(Debug)]
pub(super) struct Revocations {
    lists: Vec<List>,
}

#[derive(Debug)]
struct List {
    crl: Arc<VerifiedCrl>,
    /// Whether the CA whose list this is, or one above it, is revoked itself.
    ca_is_revoked: bool,
    /// When it and all lists above it are in force: from the first time on and before the second.
    in_force: (UnixTime, UnixTime),
}

impl Revocations {
    /// Joins the CRLs of CAs, each after the one above it: with the serial number of its CA in hexadecimal, and the place
    /// of the list above, which the root has none of.
    pub(super) fn new<'s>(cas: impl IntoIterator<Item = (Arc<VerifiedCrl>, &'s str, Option<usize>)>) -> Self {
        let mut lists = Vec::<List>::new();
        for (crl, ca, above) in cas {
            // The root is in nobody's list.
            let above = above.map(|place| &lists[place]);
            let ca_is_revoked = above.is_some_and(|above| above.ca_is_revoked || above.crl.revoked.contains(ca));
            let (from, until) = above.map_or((crl.this_update, crl.next_update), |above| above.in_force);
            let in_force = (from.max(crl.this_update), until.min(crl.next_update));
            lists.push(List { crl, ca_is_revoked, in_force });
        }
        Self { lists }
    }

    /// The CRLs, the root's first.
    pub(super) fn crls(&self) -> impl Iterator<Item = &Arc<VerifiedCrl>> {
        self.lists.iter().map(|list| &list.crl)
    }

    /// Looks up every certificate of a path in the list of the CA that signed it. The root is not looked up: nobody could
    /// revoke it. Those of CAs come first: whatever the list of a revoked CA says, or ceased to say, its leaves are revoked.
    ///
    /// # Errors
    /// Those that webpki has for CRLs: revoked, expired list, unknown status.
    pub(super) fn check_path(&self, path: &VerifiedPath<'_>, now: UnixTime) -> Result<(), webpki::Error> {
        let certificates = iter::once(&**path.end_entity()).chain(path.intermediate_certificates());
        let by_ca = path.intermediate_certificates().map(|ca| self.crls().find(|crl| crl.is_of(ca)));
        let by_root = self.crls().find(|crl| crl.is_of_anchor(path.anchor()));
        let pairs: Vec<_> = certificates.zip(by_ca.chain([by_root])).collect();
        let mut verdict = Ok(());
        for (certificate, signer) in pairs.into_iter().rev() {
            let told = signer.ok_or(webpki::Error::UnknownRevocationStatus);
            match told.and_then(|crl| crl.check(certificate.serial(), now)) {
                Err(webpki::Error::CertRevoked) => return Err(webpki::Error::CertRevoked),
                // Somebody's policy may overlook this, but not a revocation further down.
                unknown => verdict = verdict.and(unknown),
            }
        }
        verdict
    }

    /// What is known of a leaf whose path was verified in its handshake. `issuer` is as in its certificate, without the
    /// outer tag; `serial` is hexadecimal. Of several CAs of that name it is the one with the key that the certificate
    /// names; where that does not tell them apart, the worst that one of them says counts.
    pub(super) fn status(&self, issuer: &[u8], key_id: Option<&[u8]>, serial: &str, now: UnixTime) -> Status {
        let named = || self.lists.iter().filter(|list| *list.crl.issuer == *issuer);
        let has_key = |list: &&List| list.crl.key_id.as_deref() == key_id;
        let by_key = key_id.is_some() && named().any(|list| has_key(&list));
        let of_leaf = named().filter(|list| !by_key || has_key(list));
        of_leaf.map(|list| list.status(serial, now)).max().unwrap_or(Status::Unknown)
    }
}

impl List {
    fn status(&self, serial: &str, now: UnixTime) -> Status {
        if self.ca_is_revoked || self.crl.revoked.contains(serial) {
            Status::Revoked
        } else if now < self.in_force.0 || now >= self.in_force.1 {
            Status::Unknown
        } else {
            Status::Good
        }
    }
}
