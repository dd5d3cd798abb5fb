//! TLS of the load client (RFC 5246, RFC 8446): exactly the version asked for, the endpoint's roots and no others, and
//! which alerts are a judgement on the client certificate.

use std::io;
use std::sync::Arc;

use bench_server::contract::{HttpVersion, Issued, KeyExchange, Material, Transport};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::{AlertDescription, ClientConfig, RootCertStore, SignatureScheme, SupportedProtocolVersion};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::connect::Traffic;
use super::{Endpoint, LoadError};

/// What every connection's configuration has in common.
pub(super) struct Tls {
    version: &'static SupportedProtocolVersion,
    alpn: &'static [u8],
    provider: Arc<CryptoProvider>,
    verifier: Arc<WebPkiServerVerifier>,
    traffic: Arc<Traffic>,
}

impl Tls {
    /// `None` for plaintext. Certificates that are presented are counted in `traffic`.
    ///
    /// # Errors
    /// [`LoadError::Connect`] when the roots are not usable.
    pub(super) fn new(endpoint: &Endpoint, traffic: &Arc<Traffic>) -> Result<Option<Self>, LoadError> {
        let version = match endpoint.transport {
            Transport::Plaintext => return Ok(None),
            Transport::Tls12 => &rustls::version::TLS12,
            Transport::Tls13 => &rustls::version::TLS13,
        };
        let alpn: &[u8] = match endpoint.http {
            HttpVersion::Http1 => b"http/1.1",
            HttpVersion::Http2 => b"h2",
        };
        let unusable = |message: String| LoadError::Connect {
            address: endpoint.address,
            message: format!("roots to verify the server with: {message}"),
        };
        let mut roots = RootCertStore::empty();
        for root in &endpoint.roots {
            roots.add(root.clone()).map_err(|error| unusable(error.to_string()))?;
        }
        let provider = Arc::new(KeyExchange::provider(endpoint.key_exchange));
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Some(Self { version, alpn, provider, verifier, traffic: Arc::clone(traffic) }))
    }

    /// A configuration that never resumes and presents `credential` where that is a certificate.
    ///
    /// # Errors
    /// [`LoadError::Credential`] when certificate or key cannot be used.
    pub(super) fn config(&self, credential: &Issued) -> Result<Arc<ClientConfig>, LoadError> {
        let unusable = |message: String| LoadError::Credential { id: credential.id.clone(), message };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[self.version])
            .map_err(|error| unusable(error.to_string()))?
            .with_webpki_verifier(Arc::clone(&self.verifier));
        let mut config = match &credential.material {
            Material::Certificate { chain_pem, key_pem } => {
                let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| unusable(format!("the certificate chain is not PEM: {error}")))?;
                // The cause is left out: it might quote the key.
                let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes())
                    .map_err(|_| unusable("the private key is not PEM".to_owned()))?;
                let key = CertifiedKey::from_der(chain, key, &self.provider)
                    .map_err(|error| unusable(format!("certificate and key do not serve: {error}")))?;
                builder.with_client_cert_resolver(Arc::new(Presenter {
                    key: Arc::new(key),
                    traffic: Arc::clone(&self.traffic),
                }))
            }
            _ => builder.with_no_client_auth(),
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![self.alpn.to_vec()];
        Ok(Arc::new(config))
    }
}

/// Presents one certificate to whoever asks for any, and counts it: the only place that sees whether the server did.
#[derive(Debug)]
struct Presenter {
    key: Arc<CertifiedKey>,
    traffic: Arc<Traffic>,
}

impl ResolvesClientCert for Presenter {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.traffic.certificate_presented();
        Some(Arc::clone(&self.key))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// The same configuration with a memory for sessions of its own. Tickets of TLS 1.3 are used once, so connections that
/// shared a memory would take each other's and fall back to full handshakes.
pub(super) fn resuming(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.resumption = Resumption::in_memory_sessions(1);
    Arc::new(config)
}

/// The error of rustls inside an input or output error.
pub(super) fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether the server ended the connection with an alert about the client certificate (RFC 8446 §6.2). In TLS 1.3 the
/// client has finished its handshake by then, and meets the alert when it first reads.
pub(super) fn refuses_client(error: &io::Error) -> bool {
    use AlertDescription as Alert;
    matches!(
        cause(error),
        Some(rustls::Error::AlertReceived(
            Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::AccessDenied
                | Alert::DecryptError
                | Alert::CertificateRequired
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_alerts_about_the_certificate_are_refusals() {
        let error = |alert| io::Error::new(io::ErrorKind::InvalidData, rustls::Error::AlertReceived(alert));
        assert!(refuses_client(&error(AlertDescription::CertificateRequired)));
        assert!(refuses_client(&error(AlertDescription::UnknownCA)));
        assert!(!refuses_client(&error(AlertDescription::InternalError)));
        assert!(!refuses_client(&error(AlertDescription::HandshakeFailure)));
        assert!(!refuses_client(&io::Error::new(io::ErrorKind::InvalidData, rustls::Error::HandshakeNotComplete)));
        assert!(!refuses_client(&io::ErrorKind::ConnectionReset.into()));
    }
}
