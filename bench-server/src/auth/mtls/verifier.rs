//! The verifier of client certificates in a handshake (RFC 5280 §6, RFC 8446 §4.4.2.4), which follows the CRL files if it
//! is to look at any.
//!
//! Paths are built by webpki, which rustls uses too. The CRLs are looked up here instead of there: webpki verifies the
//! signature of a CRL in every handshake, whose cost then grows with the list. A reload takes effect with the next
//! handshake: no listener is touched, and handshakes in flight keep the CRLs that they began with.
//!
//! A reload is also when a CA is heard of that was made meanwhile. Until then nothing is known of what it signed, and its
//! leaves are refused; whoever publishes a CA for longer than a reload interval before it signs spares them that.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime as PkiTime};
use tokio::sync::watch;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::revocation::{CrlError, Revocations, VerifiedCrl};
use super::trust::{self, Trust};
use crate::auth::outbound::OncePerSecond;
use crate::clock::{Clock, UnixTime};
use crate::config::{CrlPolicy, MtlsConfig};
use crate::credential::x509::{ClientIdentity, serial_hex};
use crate::issuer::ca::{CaError, PublishedCa};
use crate::telemetry::Meter;

/// Shortest RSA modulus of a leaf.
const LEAST_RSA_BITS: usize = 2048;

/// P-256, P-384 and P-521.
const CURVES: [&str; 3] = ["1.2.840.10045.3.1.7", "1.3.132.0.34", "1.3.132.0.35"];

const ED25519: &str = "1.3.101.112";

/// Why the CRLs on disk are not taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error("{path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path}: {source}")]
    Crl { path: String, source: CrlError },
    #[error("the CA certificates or their CRLs: {0}")]
    Chain(String),
    #[error(transparent)]
    Authority(#[from] CaError),
}

/// Verifies client certificates against the roots that are trusted and, if there are any, the CRLs of the moment.
pub(super) struct Verifier {
    clock: Clock,
    provider: Arc<CryptoProvider>,
    roots: RootCertStore,
    hints: Vec<DistinguishedName>,
    trust: Trust,
    /// Absent where no CRL is looked at.
    current: Option<ArcSwap<Revocations>>,
    policy: CrlPolicy,
    mandatory: bool,
    /// Told when other CRLs are taken over.
    changed: watch::Sender<()>,
    meter: Arc<Meter>,
    logged: OncePerSecond,
}

impl Verifier {
    /// Reads the CRLs for the first time, if they are looked at.
    pub(super) fn new(
        trust: Trust,
        config: &MtlsConfig,
        changed: watch::Sender<()>,
        (clock, meter): (Clock, Arc<Meter>),
    ) -> Result<Self, ReloadError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for root in trust.roots() {
            roots.add(root).map_err(|error| ReloadError::Chain(error.to_string()))?;
        }
        let first = || {
            let first = read(&trust.cas()?, &provider.signature_verification_algorithms, None)?;
            first.map(ArcSwap::from_pointee).ok_or_else(|| ReloadError::Chain("nothing was read".to_owned()))
        };
        let current = config.crl_reload.map(|_| first()).transpose()?;
        Ok(Self {
            clock,
            provider,
            hints: roots.subjects(),
            roots,
            trust,
            current,
            policy: config.crl_policy,
            mandatory: !config.optional,
            changed,
            meter,
            logged: OncePerSecond::default(),
        })
    }

    /// Takes the CRL files over if they are looked at and changed; tells whether they did. On an error all stays as it was.
    pub(super) fn reload(&self) -> Result<bool, ReloadError> {
        let Some(current) = &self.current else { return Ok(false) };
        let old = current.load_full();
        let Some(new) = read(&self.trust.cas()?, self.algorithms(), Some(&old))? else { return Ok(false) };
        current.store(Arc::new(new));
        self.changed.send_replace(());
        Ok(true)
    }

    /// Whether a certificate is accepted of which no CRL tells whether it was taken back: an alarm.
    pub(super) fn overlooks_unknown(&self, now: UnixTime) -> bool {
        if self.policy == CrlPolicy::Hard {
            return false;
        }
        self.meter.crl_accepted_unknown.add();
        if self.logged.is_due(now) {
            tracing::error!(
                "no CRL is in force that tells of a client certificate; it is accepted, for the policy is soft"
            );
        }
        true
    }

    /// The state of the moment, where CRLs are looked at.
    pub(super) fn current(&self) -> Option<Guard<Arc<Revocations>>> {
        self.current.as_ref().map(ArcSwap::load)
    }

    /// Signatures that are accepted.
    pub(super) fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }

    /// Verifies a path at the moment.
    fn verify_path(&self, leaf: &CertificateDer<'_>, sent: &[CertificateDer<'_>]) -> Result<(), webpki::Error> {
        // The process has one clock, which a test may have moved.
        self.verify_path_at(leaf, sent, self.clock.now())
    }

    /// Verifies a path and looks its certificates up.
    pub(super) fn verify_path_at(
        &self,
        leaf: &CertificateDer<'_>,
        sent: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), webpki::Error> {
        verify_path(leaf, sent, &self.roots.roots, self.algorithms(), now, |path| {
            let Some(current) = self.current() else { return Ok(()) };
            match current.check_path(path, now) {
                Err(webpki::Error::UnknownRevocationStatus | webpki::Error::CrlExpired { .. })
                    if self.overlooks_unknown(now) =>
                {
                    Ok(())
                }
                verdict => verdict,
            }
        })
    }
}

/// Builds and checks the path from a leaf to a root (RFC 5280 §6.1); `check` has the last word.
pub(super) fn verify_path(
    leaf: &CertificateDer<'_>,
    sent: &[CertificateDer<'_>],
    roots: &[TrustAnchor<'_>],
    algorithms: &WebPkiSupportedAlgorithms,
    now: UnixTime,
    check: impl Fn(&VerifiedPath<'_>) -> Result<(), webpki::Error>,
) -> Result<(), webpki::Error> {
    let leaf = EndEntityCert::try_from(leaf)?;
    if !is_strong(&leaf) {
        // As the handshake would say: no signature by such a key is accepted.
        return Err(webpki::Error::InvalidSignatureForPublicKey);
    }
    let verified = leaf.verify_for_usage(
        algorithms.all,
        roots,
        sent,
        PkiTime::since_unix_epoch(now.0),
        KeyUsage::client_auth(),
        // Given to webpki, the CRLs' own signatures would be verified anew in every handshake.
        None,
        Some(&|path: &VerifiedPath<'_>| check(path)),
    );
    verified.map(drop)
}

/// Whether a leaf's key is of a kind and size whose signatures are accepted (RFC 9325 §4.5). Those of CAs have signed something.
fn is_strong(leaf: &EndEntityCert<'_>) -> bool {
    let spki = leaf.subject_public_key_info();
    let Ok((_, key)) = SubjectPublicKeyInfo::from_der(spki.as_ref()) else { return false };
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => rsa.key_size() >= LEAST_RSA_BITS,
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
            curve.is_some_and(|curve| CURVES.contains(&curve.to_id_string().as_str()))
        }
        // Ed25519, or what the signature check in the handshake knows no algorithm for.
        _ => key.algorithm.algorithm.to_id_string() == ED25519,
    }
}

/// Reads the CRLs of CAs; `None` when they are those of `old`. What did not change is not verified again.
fn read(
    cas: &[PublishedCa],
    algorithms: &WebPkiSupportedAlgorithms,
    old: Option<&Revocations>,
) -> Result<Option<Revocations>, ReloadError> {
    // A CA keeps its place, and new ones come last.
    let mut old = old.into_iter().flat_map(Revocations::crls);
    let (mut crls, mut changed) = (Vec::with_capacity(cas.len()), false);
    for PublishedCa { certificate, crl: file, above } in cas {
        let path = || file.display().to_string();
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|error| ReloadError::Chain(error.to_string()))?;
        let der = trust::read_crl(file).map_err(|source| ReloadError::Read { path: path(), source })?;
        let previous = old.next();
        let crl = match previous {
            Some(previous) if previous.is(&der) => previous.clone(),
            _ => {
                changed = true;
                let verified = VerifiedCrl::verify(der, certificate, algorithms, previous.map(|crl| &**crl));
                Arc::new(verified.map_err(|source| ReloadError::Crl { path: path(), source })?)
            }
        };
        crls.push((crl, serial_hex(parsed.raw_serial()), *above));
    }
    Ok(changed.then(|| Revocations::new(crls.iter().map(|(crl, ca, above)| (crl.clone(), ca.as_str(), *above)))))
}

/// The error of rustls that says the same, and so decides which alert the client receives (RFC 8446 §6.2).
pub(super) fn refused(error: webpki::Error) -> Error {
    use webpki::Error as Pki;
    let why = match error {
        Pki::BadDer | Pki::BadDerTime | Pki::TrailingData(_) => CertificateError::BadEncoding,
        Pki::CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        Pki::CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        Pki::InvalidCertValidity => CertificateError::Expired,
        Pki::UnknownIssuer => CertificateError::UnknownIssuer,
        Pki::CertRevoked => CertificateError::Revoked,
        Pki::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
        Pki::CrlExpired { time, next_update } => CertificateError::ExpiredRevocationListContext { time, next_update },
        Pki::InvalidSignatureForPublicKey => CertificateError::BadSignature,
        Pki::RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    };
    Error::InvalidCertificate(why)
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _system_time: PkiTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify_path(end_entity, intermediates).map_err(refused)?;
        match ClientIdentity::from_der(end_entity) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(_) => Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, self.algorithms())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, self.algorithms())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms().supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("trust", &self.trust).finish_non_exhaustive()
    }
}
