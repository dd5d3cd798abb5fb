//! Whose certificates are accepted: those of the server's own CA, or of a public key infrastructure that somebody else
//! maintains, known by its files alone.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::EndEntityCert;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use crate::auth::BuildError;
use crate::config::ForeignPki;
use crate::issuer::ca::{CaError, CertificateAuthority, LeavesCa, PublishedCa};

/// How PEM begins (RFC 7468 §2); DER does not.
const PEM: &[u8] = b"-----BEGIN ";

/// The CAs whose word counts.
#[derive(Debug, Clone)]
pub(super) enum Trust {
    /// The server's own, more of which may be made at any time.
    Own(Arc<CertificateAuthority>),
    /// Somebody else's, as configured.
    Foreign(Arc<[PublishedCa]>),
}

impl Trust {
    /// Reads somebody else's certificates. Their CRLs are read with the others.
    pub(super) fn foreign(pki: &ForeignPki, crls: bool) -> Result<Self, BuildError> {
        let mut cas = Vec::<PublishedCa>::new();
        for ca in &pki.cas {
            let file = ca.certificate.display();
            let wrong = |what: &str| BuildError::Config(format!("pki.cas: {file} {what}"));
            let certificate = read_certificate(&ca.certificate).map_err(|why| wrong(&why))?;
            if crls && ca.crl.is_none() {
                return Err(wrong("has no crl, and nothing would speak for what it signs; name its CRL file"));
            }
            let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| wrong("is not a certificate"))?;
            if !parsed.is_ca() {
                return Err(wrong("is not the certificate of a CA; list CAs alone"));
            }
            let above = if parsed.subject().as_raw() == parsed.issuer().as_raw() {
                None
            } else {
                let above = cas.iter().position(|above| has_signed(above, &parsed));
                Some(
                    above
                        .ok_or_else(|| wrong("was signed by none of those before it; list each after the one above"))?,
                )
            };
            cas.push(PublishedCa { certificate, crl: ca.crl.clone().unwrap_or_default(), above });
        }
        if cas.is_empty() {
            return Err(BuildError::Config("pki.cas: is empty; name at least a root".to_owned()));
        }
        Ok(Self::Foreign(cas.into()))
    }

    /// Where paths end.
    pub(super) fn roots(&self) -> Vec<CertificateDer<'static>> {
        match self {
            Self::Own(authority) => vec![authority.root_certificate().clone()],
            Self::Foreign(cas) => cas.iter().filter(|ca| ca.above.is_none()).map(|ca| ca.certificate.clone()).collect(),
        }
    }

    /// All CAs that are known by now, each after the one above it. Each keeps its place.
    pub(super) fn cas(&self) -> Result<Vec<PublishedCa>, CaError> {
        match self {
            Self::Own(authority) => authority.cas(),
            Self::Foreign(cas) => Ok(cas.to_vec()),
        }
    }

    /// Those of them that may have signed a leaf.
    pub(super) fn leaves_cas(&self) -> Result<Vec<CertificateDer<'static>>, CaError> {
        match self {
            Self::Own(authority) => Ok(authority.leaves_cas()?.iter().map(LeavesCa::certificate).cloned().collect()),
            Self::Foreign(cas) => Ok(cas.iter().map(|ca| ca.certificate.clone()).collect()),
        }
    }
}

fn has_signed(above: &PublishedCa, below: &X509Certificate<'_>) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(&above.certificate) else { return false };
    if parsed.subject().as_raw() != below.issuer().as_raw() {
        return false;
    }
    let (signed, signature) = (below.tbs_certificate.as_ref(), &*below.signature_value.data);
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    EndEntityCert::try_from(&above.certificate)
        .is_ok_and(|above| algorithms.all.iter().any(|one| above.verify_signature(*one, signed, signature).is_ok()))
}

fn read_certificate(file: &Path) -> Result<CertificateDer<'static>, String> {
    let bytes = fs::read(file).map_err(|error| format!("cannot be read: {error}"))?;
    if !bytes.starts_with(PEM) {
        return Ok(bytes.into());
    }
    let mut all = CertificateDer::pem_slice_iter(&bytes);
    match (all.next(), all.next()) {
        (Some(Ok(one)), None) => Ok(one),
        _ => Err("does not hold one certificate; give each CA a file of its own".to_owned()),
    }
}

/// Reads a CRL, whichever of the two forms it is in.
pub(super) fn read_crl(file: &Path) -> std::io::Result<Vec<u8>> {
    let bytes = fs::read(file)?;
    if !bytes.starts_with(PEM) {
        return Ok(bytes);
    }
    let crl = CertificateRevocationListDer::from_pem_slice(&bytes).map_err(std::io::Error::other)?;
    Ok(crl.to_vec())
}
