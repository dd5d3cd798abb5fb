//! The TLS certificate of all listeners, which is replaced without a restart.

use std::sync::Arc;

use rustls::server::ResolvesServerCert;

use super::StartError;
use crate::config::ServerConfig;
use crate::error::AdminError;
use crate::issuer::ca::{CaError, CertificateAuthority};
use crate::net::tls::{Certificate, ServerCertificate};

/// One certificate for all listeners, for this machine's own names and every address that is listened on.
pub(crate) struct OwnCertificate {
    authority: CertificateAuthority,
    names: Vec<String>,
    current: Arc<ServerCertificate>,
}

impl OwnCertificate {
    pub(super) fn issue(authority: CertificateAuthority, config: &ServerConfig) -> Result<Self, StartError> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        for listener in &config.listeners {
            let address = listener.bind.ip();
            if !address.is_unspecified() && !names.contains(&address.to_string()) {
                names.push(address.to_string());
            }
        }
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            StartError::state("issue the server's TLS certificate", error)
        };
        let first = certificate(&authority, &names).map_err(|error| failed(error.into()))?;
        let current = Arc::new(ServerCertificate::new(first).map_err(|error| failed(error.into()))?);
        Ok(Self { authority, names, current })
    }

    /// What listeners take it from.
    pub(super) fn resolver(&self) -> Arc<dyn ResolvesServerCert> {
        self.current.clone()
    }

    /// Issues the next one, with a new key. Handshakes from then on show it; connections keep what they began with.
    ///
    /// # Errors
    /// [`AdminError::Store`] when it cannot be signed or recorded; the one before then stays.
    pub(crate) fn renew(&self) -> Result<(), AdminError> {
        let next = certificate(&self.authority, &self.names).map_err(|error| AdminError::Store(error.to_string()))?;
        self.current.replace(next).map_err(|error| AdminError::Store(error.to_string()))
    }
}

fn certificate(authority: &CertificateAuthority, names: &[String]) -> Result<Certificate, CaError> {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    authority.server_certificate(&names)
}
