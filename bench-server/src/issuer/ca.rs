//! stub: a certificate authority: root, issuing CA, leaves and CRLs as files.

use crate::clock::Clock;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A certificate authority with its files in one folder.
pub struct CertificateAuthority;

/// Why the authority failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CaError(pub String);

impl CertificateAuthority {
    /// Opens the authority in `dir`, or makes one.
    pub fn open(_dir: &Path, _clock: Clock, _crl_validity: Duration) -> Result<Self, CaError> {
        unimplemented!()
    }
    /// PEM file with the root certificate.
    pub fn root_file(&self) -> PathBuf {
        unimplemented!()
    }
    /// A TLS server certificate for the given DNS names and IP addresses: chain (leaf, issuing CA) and key.
    pub fn server_certificate(
        &self,
        _names: &[&str],
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CaError> {
        unimplemented!()
    }
}
