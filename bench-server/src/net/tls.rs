//! TLS of a listener: one protocol version, ALPN, client certificates, session resumption.
//!
//! RFC 8446, RFC 5246, RFC 7301 (ALPN).

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, ServerConfig, ServerConnection, SupportedProtocolVersion};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::auth::ClientCertificates;
use crate::config::{HttpVersion, KeyExchange};

/// Sessions kept for resumption per listener, shared by its workers. Every handshake over TLS 1.3 stores two.
const SESSIONS: usize = 1024;

const SUITES_OF_128_BITS: [CipherSuite; 3] = [
    CipherSuite::TLS13_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

const ALPN_HTTP1: &[u8] = b"http/1.1";
const ALPN_HTTP2: &[u8] = b"h2";

/// The TLS configuration of a listener. Where clients bring certificates there is no resumption unless it is asked for: a
/// resumed session brings back the stored certificate without verifying it again, past any revocation.
///
/// # Errors
/// As rustls: the provider lacks the protocol version.
pub(crate) fn configuration(
    version: &'static SupportedProtocolVersion,
    http: &[HttpVersion],
    key_exchange: Option<KeyExchange>,
    certificate: Arc<dyn ResolvesServerCert>,
    clients: Option<ClientCertificates>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(KeyExchange::provider(key_exchange)))
        .with_protocol_versions(&[version])?;
    let resumes = clients.as_ref().is_none_or(|clients| clients.resumption);
    let builder = match clients {
        Some(clients) => builder.with_client_cert_verifier(clients.verifier),
        None => builder.with_no_client_auth(),
    };
    let mut configuration = builder.with_cert_resolver(certificate);
    configuration.alpn_protocols = http.iter().map(|version| alpn(*version).to_vec()).collect();
    if resumes {
        configuration.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    } else {
        configuration.session_storage = Arc::new(NoServerSessionStorage {});
        configuration.send_tls13_tickets = 0;
    }
    Ok(configuration)
}

/// The certificate of all listeners, which may be replaced by the next: handshakes from then on show it.
#[derive(Debug)]
pub(crate) struct ServerCertificate(ArcSwap<CertifiedKey>);

impl ServerCertificate {
    /// # Errors
    /// As rustls: the key does not fit the certificate.
    pub(crate) fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        Ok(Self(ArcSwap::from_pointee(certified(certificate)?)))
    }

    /// # Errors
    /// As those of [`Self::new`]; the one before then stays.
    pub(crate) fn replace(&self, certificate: Certificate) -> Result<(), rustls::Error> {
        self.0.store(Arc::new(certified(certificate)?));
        Ok(())
    }
}

impl ResolvesServerCert for ServerCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// A chain, leaf first, and its key.
pub(crate) type Certificate = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn certified((chain, key): Certificate) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
}

impl KeyExchange {
    /// The cryptography of either side of a connection: with that group and no other, or as rustls prefers.
    ///
    /// Suites of AES-128 and SHA-256 come first, as browsers offer them (RFC 8446 §9.1 demands the one of TLS 1.3). rustls
    /// puts AES-256 with SHA-384 first, for which processors have no instructions: a tenth of a full handshake, while
    /// certificates and key exchange are no stronger than 128 bits.
    pub fn provider(only: Option<Self>) -> CryptoProvider {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.sort_by_key(|suite| !SUITES_OF_128_BITS.contains(&suite.suite()));
        let group = match only {
            None => return provider,
            Some(Self::X25519MLKEM768) => aws_lc_rs::kx_group::X25519MLKEM768,
            Some(Self::X25519) => aws_lc_rs::kx_group::X25519,
            Some(Self::P256) => aws_lc_rs::kx_group::SECP256R1,
        };
        CryptoProvider { kx_groups: vec![group], ..provider }
    }
}

/// What the handshake agreed on. A client without ALPN gets HTTP/1.1 where that is offered, and otherwise is taken to
/// know HTTP/2 beforehand.
pub(crate) fn negotiated(connection: &ServerConnection, offered: &[HttpVersion]) -> HttpVersion {
    match connection.alpn_protocol() {
        Some(ALPN_HTTP2) => HttpVersion::Http2,
        Some(_) => HttpVersion::Http1,
        None if offered.contains(&HttpVersion::Http1) => HttpVersion::Http1,
        None => HttpVersion::Http2,
    }
}

fn alpn(version: HttpVersion) -> &'static [u8] {
    match version {
        HttpVersion::Http1 => ALPN_HTTP1,
        HttpVersion::Http2 => ALPN_HTTP2,
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use rustls::server::WebPkiClientVerifier;
    use rustls::version::{TLS12, TLS13};

    use super::*;

    fn certificate() -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        (vec![made.cert.der().clone()], PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap())
    }

    fn resolver(certificate: Certificate) -> Arc<dyn ResolvesServerCert> {
        Arc::new(ServerCertificate::new(certificate).unwrap())
    }

    #[test]
    fn alpn_follows_the_order_of_preference() {
        let offered = [HttpVersion::Http2, HttpVersion::Http1];
        let made = configuration(&TLS13, &offered, None, resolver(certificate()), None).unwrap();
        assert_eq!(made.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert!(made.session_storage.can_cache());
    }

    #[test]
    fn suites_of_128_bits_come_first_and_none_is_lost() {
        let provider = KeyExchange::provider(None);
        assert_eq!(provider.cipher_suites.len(), aws_lc_rs::DEFAULT_CIPHER_SUITES.len());
        let first_of =
            |version| provider.cipher_suites.iter().find(|suite| suite.version() == version).unwrap().suite();
        assert_eq!(first_of(&TLS13), CipherSuite::TLS13_AES_128_GCM_SHA256);
        assert_eq!(first_of(&TLS12), CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    }

    #[test]
    fn mt_9_mt_23_mt_24_listeners_with_client_certificates_resume_only_where_told_and_never_by_tickets_of_tls_1_2() {
        let (chain, key) = certificate();
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(aws_lc_rs::default_provider()))
                .build()
                .unwrap();
        for version in [&TLS12, &TLS13] {
            let made = |resumption| {
                let clients = Some(ClientCertificates { verifier: verifier.clone(), resumption, registry: None });
                let certificate = resolver((chain.clone(), key.clone_key()));
                configuration(version, &[HttpVersion::Http1], None, certificate, clients).unwrap()
            };
            assert!(!made(false).session_storage.can_cache());
            assert_eq!(made(false).send_tls13_tickets, 0);
            assert!(made(true).session_storage.can_cache());
            for made in [made(false), made(true)] {
                assert!(!made.ticketer.enabled());
                assert_eq!(made.max_early_data_size, 0);
            }
        }
    }
}
