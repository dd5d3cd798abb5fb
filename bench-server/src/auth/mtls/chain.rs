//! A chain of certificates, judged outside of any handshake by the same rules.

use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::revocation::{CrlError, Revocations, VerifiedCrl};
use super::verifier::verify_path;
use crate::clock::UnixTime;
use crate::credential::x509::serial_hex;

/// Why a chain is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// There is no leaf.
    #[error("the chain is empty")]
    Empty,
    /// A root is no certificate.
    #[error("a root cannot be read")]
    Root,
    /// No CA of the chain or among the roots has signed the CRL, or it cannot be used.
    #[error("CRL {place}: {reason}")]
    Crl {
        /// Its place among those given, from 0.
        place: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The path does not hold, in webpki's words.
    #[error("{0:?}")]
    Path(webpki::Error),
}

/// Verifies a client's chain, leaf first, as a handshake would: path, validity, purpose, and the CRLs, if there are any; each
/// CA of the path then needs one.
///
/// # Errors
/// See [`ChainError`].
pub fn verify_chain(
    roots: &[CertificateDer<'_>],
    chain: &[CertificateDer<'_>],
    crls: &[Vec<u8>],
    now: UnixTime,
) -> Result<(), ChainError> {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let (leaf, above) = chain.split_first().ok_or(ChainError::Empty)?;
    let anchors = roots.iter().map(|root| webpki::anchor_from_trusted_cert(root).map_err(|_| ChainError::Root));
    let anchors = anchors.collect::<Result<Vec<_>, _>>()?;
    let cas: Vec<_> = roots.iter().chain(above).collect();
    let verified = crls.iter().enumerate().map(|(place, crl)| {
        let mut reason = CrlError::OtherIssuer;
        for ca in &cas {
            match VerifiedCrl::verify(crl.clone(), ca, &algorithms, None) {
                Ok(verified) => return Ok((Arc::new(verified), serial_of(ca), None)),
                Err(CrlError::OtherIssuer) => {}
                Err(error) => reason = error,
            }
        }
        Err(ChainError::Crl { place, reason: reason.to_string() })
    });
    let verified = verified.collect::<Result<Vec<_>, _>>()?;
    let lists = verified.iter().map(|(crl, ca, above)| (crl.clone(), ca.as_str(), *above));
    let revocations = (!crls.is_empty()).then(|| Revocations::new(lists));
    verify_path(leaf, above, &anchors, &algorithms, now, |path| {
        revocations.as_ref().map_or(Ok(()), |revocations| revocations.check_path(path, now))
    })
    .map_err(ChainError::Path)
}

fn serial_of(ca: &CertificateDer<'_>) -> String {
    X509Certificate::from_der(ca).map(|(_, ca)| serial_hex(ca.raw_serial())).unwrap_or_default()
}
