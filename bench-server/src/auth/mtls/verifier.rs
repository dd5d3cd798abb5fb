//! The verifier of client certificates in a handshake (RFC 5280 §6, RFC 8446 §4.4.2.4), which follows the CRL files.
//!
//! It asks the verifier of `rustls` that was built from the CRLs of the moment, so a reload takes effect with the next
//! handshake: no listener is touched, and handshakes in flight keep the verifier that they began with.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, UnixTime as PkiTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::revocation::{CrlError, Revocations, VerifiedCrl};
use crate::clock::Clock;
use crate::credential::x509::{ClientIdentity, serial_hex};
use crate::issuer::ca::CertificateAuthority;

/// Why the CRLs on disk are not taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    #[error("{path}: {source}")]
    Read { path: String, source: std::io::Error },
    #[error("{path}: {source}")]
    Crl { path: String, source: CrlError },
    #[error("the CA certificates or their CRLs: {0}")]
    Chain(String),
}

/// Verifies client certificates against one root and the CRLs of the moment.
pub(super) struct Verifier {
    clock: Clock,
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    hints: Vec<DistinguishedName>,
    chain: Chain,
    current: ArcSwap<Current>,
}

/// The authorities and where their CRLs are.
struct Chain {
    root: CertificateDer<'static>,
    issuing: CertificateDer<'static>,
    issuing_serial: String,
    root_crl: PathBuf,
    issuing_crl: PathBuf,
}

/// What one state of the CRL files means.
pub(super) struct Current {
    pub(super) revocations: Revocations,
    handshake: Arc<dyn ClientCertVerifier>,
}

impl Verifier {
    /// Reads the CRLs for the first time.
    pub(super) fn new(authority: &CertificateAuthority, clock: Clock) -> Result<Self, ReloadError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (root, issuing) = (authority.root_certificate().clone(), authority.issuing_certificate().clone());
        let issuing_serial = match X509Certificate::from_der(&issuing) {
            Ok((_, certificate)) => serial_hex(certificate.raw_serial()),
            Err(error) => return Err(ReloadError::Chain(error.to_string())),
        };
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).map_err(|error| ReloadError::Chain(error.to_string()))?;
        let (hints, roots) = (roots.subjects(), Arc::new(roots));
        let (root_crl, issuing_crl) = (authority.root_crl_file(), authority.issuing_crl_file());
        let chain = Chain { root, issuing, issuing_serial, root_crl, issuing_crl };
        let first = chain.read(&provider.signature_verification_algorithms, None)?;
        let first = first.ok_or_else(|| ReloadError::Chain("nothing was read".to_owned()))?;
        let current = ArcSwap::from_pointee(Current::new(first, &roots, &provider)?);
        Ok(Self { clock, provider, roots, hints, chain, current })
    }

    /// Takes the CRL files over if they changed; tells whether they did. On an error all stays as it was.
    pub(super) fn reload(&self) -> Result<bool, ReloadError> {
        let old = self.current.load_full();
        let algorithms = &self.provider.signature_verification_algorithms;
        let Some(revocations) = self.chain.read(algorithms, Some(&old.revocations))? else { return Ok(false) };
        self.current.store(Arc::new(Current::new(revocations, &self.roots, &self.provider)?));
        Ok(true)
    }

    /// The state of the moment.
    pub(super) fn current(&self) -> Guard<Arc<Current>> {
        self.current.load()
    }

    fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.provider.signature_verification_algorithms
    }
}

impl Chain {
    /// Reads both CRLs; `None` when they are those of `old`.
    fn read(
        &self,
        algorithms: &WebPkiSupportedAlgorithms,
        old: Option<&Revocations>,
    ) -> Result<Option<Revocations>, ReloadError> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|source| ReloadError::Read { path: path.display().to_string(), source })
        };
        let (root_der, issuing_der) = (read(&self.root_crl)?, read(&self.issuing_crl)?);
        if old.is_some_and(|old| old.same_as(&root_der, &issuing_der)) {
            return Ok(None);
        }
        let verify = |path: &PathBuf, der: &[u8], issuer, previous| {
            VerifiedCrl::verify(der, issuer, algorithms, previous)
                .map_err(|source| ReloadError::Crl { path: path.display().to_string(), source })
        };
        let root = verify(&self.root_crl, &root_der, &self.root, old.map(|old| &old.root))?;
        let issuing = verify(&self.issuing_crl, &issuing_der, &self.issuing, old.map(|old| &old.issuing))?;
        Ok(Some(Revocations::new(root, issuing, &self.issuing_serial)))
    }
}

impl Current {
    fn new(
        revocations: Revocations,
        roots: &Arc<RootCertStore>,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, ReloadError> {
        // As built, the whole chain is checked and an unknown status is refused; an outdated CRL is refused only when
        // told so.
        let handshake = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .with_crls(revocations.ders())
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| ReloadError::Chain(error.to_string()))?;
        Ok(Self { revocations, handshake })
    }
}

impl ClientCertVerifier for Verifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    fn client_auth_mandatory(&self) -> bool {
        true
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
        // The process has one clock, which a test may have moved.
        let now = PkiTime::since_unix_epoch(self.clock.now().0);
        let verified = self.current.load().handshake.verify_client_cert(end_entity, intermediates, now)?;
        match ClientIdentity::from_der(end_entity) {
            Ok(_) => Ok(verified),
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
        f.debug_struct("Verifier").field("issuing_crl", &self.chain.issuing_crl).finish_non_exhaustive()
    }
}
