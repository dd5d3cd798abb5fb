//! Client certificates that must be refused, and what a client needs to present them.

use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::{Issued, IssuerKey, KeyExchange, Material, Transport};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::client::{ResolvesClientCert, Resumption};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::attack::{CertificateKind, Missing};
use crate::load::Endpoint;

/// How long a certificate of ours lives, and how long ago one ended or how far ahead one begins.
const HOUR: Duration = Duration::from_secs(3_600);

/// An OID that means nothing to anybody (RFC 5280 §4.2): below an arc for examples (RFC 5612's enterprise).
const UNKNOWN_EXTENSION: &[u64] = &[1, 3, 6, 1, 4, 1, 32473, 1, 1];

/// Chain and key of a client.
pub(super) struct Presented {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

/// The client's side of TLS: exactly the endpoint's version and roots, and no sessions unless told.
///
/// # Errors
/// What cannot be used.
pub(super) fn client(
    endpoint: &Endpoint,
    presented: Option<Presented>,
    resumes: bool,
) -> Result<Option<Arc<ClientConfig>>, Missing> {
    let version = match endpoint.transport {
        Transport::Plaintext => return Ok(None),
        Transport::Tls12 => &rustls::version::TLS12,
        Transport::Tls13 => &rustls::version::TLS13,
    };
    let mut roots = RootCertStore::empty();
    for root in &endpoint.roots {
        roots.add(root.clone()).map_err(|error| Missing(format!("a usable root: {error}")))?;
    }
    let provider = Arc::new(KeyExchange::provider(endpoint.key_exchange));
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[version])
        .map_err(|error| Missing(error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match presented {
        None => builder.with_no_client_auth(),
        Some(Presented { chain, key }) => {
            let key = provider.key_provider.load_private_key(key).map_err(|_| Missing("a usable key".to_owned()))?;
            // Not checked against each other: a stolen certificate has another's key.
            builder.with_client_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(chain, key)))))
        }
    };
    config.resumption = if resumes { Resumption::in_memory_sessions(8) } else { Resumption::disabled() };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

/// Presents one certificate to whoever asks for any.
#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesClientCert for Always {
    fn resolve(&self, _roots: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Makes the certificate of a kind beside a valid one; `None` where nothing is presented.
///
/// # Errors
/// What is missing for it.
pub(super) fn make(
    kind: CertificateKind,
    valid: &Issued,
    issuer: Option<&IssuerKey>,
    now: u64,
) -> Result<Option<Presented>, Missing> {
    if kind == CertificateKind::None {
        return Ok(None);
    }
    let Material::Certificate { chain_pem, key_pem } = &valid.material else {
        return Err(Missing("a client certificate".to_owned()));
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| Missing("a chain in PEM".to_owned()))?;
    let leaf = chain.first().ok_or_else(|| Missing("a chain with a certificate".to_owned()))?;
    let own_key =
        || PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes()).map_err(|_| Missing("a key in PEM".to_owned()));
    let fresh = KeyPair::generate().map_err(failed)?;
    let parameters = Parameters { identity: &valid.principal, now };
    let below_root = || chain[1..].to_vec();
    let (signed, rest) = match kind {
        CertificateKind::None => return Ok(None),
        CertificateKind::Good => return Ok(Some(Presented { chain, key: own_key()? })),
        CertificateKind::WrongKey => return Ok(Some(Presented { chain, key: der(&fresh) })),
        CertificateKind::SelfSigned => (parameters.of(kind)?.self_signed(&fresh).map_err(failed)?, Vec::new()),
        CertificateKind::Impostor => {
            let other = KeyPair::generate().map_err(failed)?;
            let known = match issuer {
                Some(IssuerKey::Certificate { ca_pem, .. }) => CertificateDer::from_pem_slice(ca_pem.as_bytes()).ok(),
                _ => chain.get(1).cloned(),
            };
            let known =
                known.ok_or_else(|| Missing("the certificate of the CA, behind the client's own".to_owned()))?;
            let impostor = Issuer::from_ca_cert_der(&known, other).map_err(failed)?;
            (parameters.of(kind)?.signed_by(&fresh, &impostor).map_err(failed)?, below_root())
        }
        CertificateKind::FromLeaf => {
            let key = KeyPair::from_pem(key_pem.expose()).map_err(failed)?;
            let leaf = Issuer::from_ca_cert_der(leaf, key).map_err(failed)?;
            (parameters.of(kind)?.signed_by(&fresh, &leaf).map_err(failed)?, chain.clone())
        }
        CertificateKind::UnlistedIssuer => {
            let Some(IssuerKey::Certificate { above: Some(above), .. }) = issuer else {
                return Err(Missing("the key of the CA above the issuer".to_owned()));
            };
            let key = KeyPair::from_pem(above.key_pem.expose()).map_err(failed)?;
            let above_all = Issuer::from_ca_cert_pem(&above.ca_pem, key).map_err(failed)?;
            let own = KeyPair::generate().map_err(failed)?;
            let unlisted = parameters.of_ca().signed_by(&own, &above_all).map_err(failed)?;
            let rest: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(above.chain_pem.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|_| Missing("a chain in PEM".to_owned()))?;
            let issuer = Issuer::from_ca_cert_der(unlisted.der(), own).map_err(failed)?;
            let signed = parameters.of(kind)?.signed_by(&fresh, &issuer).map_err(failed)?;
            (signed, std::iter::once(unlisted.der().clone()).chain(rest).collect())
        }
        _ => {
            let Some(IssuerKey::Certificate { ca_pem, key_pem, .. }) = issuer else {
                return Err(Missing("the issuer's key".to_owned()));
            };
            let key = KeyPair::from_pem(key_pem.expose()).map_err(failed)?;
            let ca = Issuer::from_ca_cert_pem(ca_pem, key).map_err(failed)?;
            (parameters.of(kind)?.signed_by(&fresh, &ca).map_err(failed)?, below_root())
        }
    };
    let chain = std::iter::once(signed.der().clone()).chain(rest).collect();
    Ok(Some(Presented { chain, key: der(&fresh) }))
}

/// What a certificate says.
struct Parameters<'p> {
    identity: &'p str,
    now: u64,
}

impl Parameters<'_> {
    /// Of a CA that signs leaves.
    fn of_ca(&self) -> CertificateParams {
        let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(self.now);
        let mut parameters = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, "a CA that no list tells of");
        parameters.distinguished_name = name;
        parameters.not_before = now - Duration::from_secs(60);
        parameters.not_after = now + HOUR;
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters.use_authority_key_identifier_extension = true;
        parameters
    }

    fn of(&self, kind: CertificateKind) -> Result<CertificateParams, Missing> {
        use CertificateKind as Kind;
        let now = date_time_ymd(1970, 1, 1) + Duration::from_secs(self.now);
        let mut parameters = CertificateParams::default();
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, self.identity);
        parameters.distinguished_name = name;
        parameters.not_before = now - Duration::from_secs(60);
        parameters.not_after = now + HOUR;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        parameters.use_authority_key_identifier_extension = !matches!(kind, Kind::SelfSigned);
        parameters.subject_alt_names = self.names(kind)?;
        match kind {
            Kind::Expired => {
                parameters.not_before = now - HOUR;
                parameters.not_after = now - Duration::from_secs(120);
            }
            Kind::Early => parameters.not_before = now + HOUR / 2,
            Kind::ServerOnly => parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Kind::NoPurpose => parameters.extended_key_usages = Vec::new(),
            Kind::Ca => {
                parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
                parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
            }
            Kind::UnknownExtension => {
                let mut extension = CustomExtension::from_oid_content(UNKNOWN_EXTENSION, vec![5, 0]);
                extension.set_criticality(true);
                parameters.custom_extensions = vec![extension];
            }
            _ => {}
        }
        Ok(parameters)
    }

    fn names(&self, kind: CertificateKind) -> Result<Vec<SanType>, Missing> {
        use CertificateKind as Kind;
        let uri = |text: String| {
            text.as_str().try_into().map(SanType::URI).map_err(|_| Missing("an identity in ASCII".to_owned()))
        };
        let Some((domain, path)) = self.identity.strip_prefix("spiffe://").and_then(|id| id.split_once('/')) else {
            let by_name = matches!(
                kind,
                Kind::TwoNames
                    | Kind::PortInName
                    | Kind::QueryInName
                    | Kind::DotsInName
                    | Kind::CapitalsInName
                    | Kind::OtherDomain
                    | Kind::SubjectOnly
            );
            if by_name {
                return Err(Missing("identities by SPIFFE".to_owned()));
            }
            return Ok(self.identity.try_into().map(SanType::DnsName).into_iter().collect());
        };
        let names = match kind {
            Kind::SubjectOnly => Vec::new(),
            Kind::TwoNames => vec![self.identity.to_owned(), format!("spiffe://{domain}/another")],
            Kind::PortInName => vec![format!("spiffe://{domain}:8443/{path}")],
            Kind::QueryInName => vec![format!("spiffe://{domain}/{path}?admin=1")],
            Kind::DotsInName => vec![format!("spiffe://{domain}/{path}/../admin")],
            Kind::CapitalsInName => vec![format!("spiffe://{}/{path}", domain.to_ascii_uppercase())],
            Kind::OtherDomain => vec![format!("spiffe://elsewhere.test/{path}")],
            _ => vec![self.identity.to_owned()],
        };
        names.into_iter().map(uri).collect()
    }
}

fn der(key: &KeyPair) -> PrivateKeyDer<'static> {
    rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into()
}

fn failed(error: rcgen::Error) -> Missing {
    Missing(format!("a certificate like that: {error}"))
}
