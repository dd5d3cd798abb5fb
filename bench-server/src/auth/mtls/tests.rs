//! Handshakes in memory, and requests on connections that outlive a change.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls::client::ResolvesClientCert;
use rustls::sign::CertifiedKey;
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SignatureScheme,
    SupportedProtocolVersion,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use webpki::EndEntityCert;

use super::revocation::{CrlError, VerifiedCrl};
use super::verifier::ReloadError;
use super::*;
use crate::auth::Connection;
use crate::clock::{Clock, UnixTime};
use crate::config::{CertificateKey, ChainLength, ClockMode};
use crate::credential::x509::{ClientIdentity, serial_bytes};

mod asked;
mod chains;
mod constraints;
mod foreign;
mod forwarded;
mod lists;
mod policy;
mod registry;
mod rollover;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// Alerts for a path that is not in order.
const OUT_OF_ORDER: [AlertDescription; 4] = [
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
];

struct Fixture {
    dir: tempfile::TempDir,
    clock: Clock,
    environment: Environment,
    mtls: Mtls,
    /// Signs the server's certificate: another authority than the clients'.
    server_ca: CertificateAuthority,
}

fn config() -> MtlsConfig {
    MtlsConfig::new(HOUR) // the tests reload by hand
}

fn asked_at(url: &str, validity: Duration) -> OcspConfig {
    OcspConfig { url: Some(url.to_owned()), ..OcspConfig::new(validity) }
}

fn fixture() -> Fixture {
    with(&config())
}

fn with(config: &MtlsConfig) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let environment = crate::testing::environment(dir.path());
    let clock = environment.clock.clone();
    let mtls = Mtls::build("mtls", config, &environment).unwrap();
    // Clients judge the server's certificate by the operating system's clock, which no test moves.
    let system = Clock::new(ClockMode::System);
    let server_ca = CertificateAuthority::open(&dir.path().join("server-ca"), system, DAY, ChainLength::Two).unwrap();
    Fixture { dir, clock, environment, mtls, server_ca }
}

/// What a client presents, whether it fits together or not.
#[derive(Debug)]
struct Presents(Option<Arc<CertifiedKey>>);

impl ResolvesClientCert for Presents {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}

fn presents(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Presents {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Presents(Some(Arc::new(CertifiedKey::new(chain, key))))
}

fn issued(issued: &Issued) -> Presents {
    let Material::Certificate { chain_pem, key_pem } = &issued.material else { panic!("a certificate was issued") };
    let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(Result::unwrap).collect();
    presents(chain, &KeyPair::from_pem(key_pem.expose()).unwrap())
}

impl Fixture {
    async fn issue(&self, count: usize) -> Vec<Issued> {
        let request = IssueRequest { count, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        self.mtls.issue(&request).await.unwrap()
    }

    /// A leaf of the clients' authority with something special about it.
    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Presents {
        let mut params = self.mtls.authority().leaf("client", DAY).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.subject_alt_names = vec![uri("spiffe://authbench.test/client/special")];
        change(&mut params);
        let by = self.mtls.authority().leaves_ca().unwrap();
        let (certificate, key) = self.mtls.authority().sign(&by, &params, CertificateKey::P256).unwrap();
        presents(vec![certificate.der().clone(), self.issuing().clone()], &key)
    }

    /// A full handshake; the alert that the client receives, if any.
    fn handshake(
        &self,
        version: &'static SupportedProtocolVersion,
        client: Presents,
    ) -> Result<Connection, AlertDescription> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let (chain, key) = self.server_ca.server_certificate(&["localhost"]).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(self.mtls.client_certificates().verifier)
            .with_single_cert(chain, key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.server_ca.root_certificate().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(Arc::new(client));
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        // In TLS 1.3 the client is done before the server has looked at its certificate, so both sides run dry first.
        loop {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let sent = wire.len();
            let mut wire = wire.as_slice();
            while !wire.is_empty() {
                server.read_tls(&mut wire).unwrap();
                // The server's own error is judged by the alert that reaches the client.
                let _ = server.process_new_packets();
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let answered = wire.len();
            let mut wire = wire.as_slice();
            while !wire.is_empty() {
                client.read_tls(&mut wire).unwrap();
                match client.process_new_packets() {
                    Ok(_) => {}
                    Err(rustls::Error::AlertReceived(alert)) => return Err(alert),
                    Err(error) => panic!("the client failed by itself: {error}"),
                }
            }
            if sent + answered == 0 {
                break;
            }
        }
        assert!(!server.is_handshaking() && !client.is_handshaking());
        let leaf = &server.peer_certificates().expect("a certificate is mandatory")[0];
        let client = Some(Arc::new(ClientIdentity::from_der(leaf).unwrap()));
        Ok(Connection::new(SocketAddr::from(([127, 0, 0, 1], 1)), client))
    }

    fn alerts(&self, client: impl Fn() -> Presents) -> Vec<Option<AlertDescription>> {
        VERSIONS.iter().map(|version| self.handshake(version, client()).err()).collect()
    }

    fn call(&self, connection: &Connection) -> Result<Principal, Rejection> {
        self.call_at(&self.mtls, connection)
    }

    fn call_at(&self, node: &Mtls, connection: &Connection) -> Result<Principal, Rejection> {
        let (head, ()) = http::Request::builder().body(()).unwrap().into_parts();
        let request = Request { head: &head, connection, now: self.clock.now() };
        node.authenticate(&request).now_or_never().expect("from memory, without waiting")
    }

    /// The certificate of the CA that signs leaves.
    fn issuing(&self) -> &CertificateDer<'static> {
        self.mtls.authority().chain().last().unwrap().0
    }

    /// The key of a CA, to sign with it what the authority would not.
    fn ca_key(&self, name: &str) -> KeyPair {
        KeyPair::from_pem(&std::fs::read_to_string(self.ca(&format!("{name}.key"))).unwrap()).unwrap()
    }

    fn root(&self) -> Issuer<'_, KeyPair> {
        Issuer::from_ca_cert_der(self.mtls.authority().root_certificate(), self.ca_key("root")).unwrap()
    }

    fn ca(&self, file: &str) -> PathBuf {
        self.dir.path().join("mtls/ca").join(file)
    }
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn both(alert: AlertDescription) -> Vec<Option<AlertDescription>> {
    vec![Some(alert); 2]
}

#[tokio::test]
async fn mt_1_mt_9_a_valid_certificate_is_accepted_in_both_versions() {
    let fixture = fixture();
    for one in &fixture.issue(2).await {
        for version in VERSIONS {
            let connection = fixture.handshake(version, issued(one)).unwrap();
            let principal = fixture.call(&connection).unwrap();
            assert_eq!((&*principal.id, &*principal.credential_id), (&*one.principal, &*one.id));
            assert!(principal.has_scope(READ_SCOPE) && one.principal.starts_with("spiffe://authbench.test/client/"));
        }
    }
    assert_eq!(fixture.environment.meter.verify_calls.get(), 0, "no signature is checked per request");
}

#[tokio::test]
async fn mt_2_mt_3_bc_135_bc_136_no_certificate_and_foreign_ones() {
    let fixture = fixture();
    assert_eq!(fixture.alerts(|| Presents(None)), both(AlertDescription::CertificateRequired));

    let other =
        CertificateAuthority::open(&fixture.dir.path().join("other"), fixture.clock.clone(), DAY, ChainLength::Two)
            .unwrap();
    let client = other.client_certificate("spiffe://authbench.test/client/0", DAY, CertificateKey::P256).unwrap();
    let chain =
        || -> Vec<_> { CertificateDer::pem_slice_iter(client.chain_pem.as_bytes()).map(Result::unwrap).collect() };
    let key = KeyPair::from_pem(client.key_pem.expose()).unwrap();
    assert_eq!(fixture.alerts(|| presents(chain(), &key)), both(AlertDescription::UnknownCA));

    // Self-signed with the right names.
    let key = KeyPair::generate().unwrap();
    let mut params = fixture.mtls.authority().leaf("client", DAY).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.subject_alt_names = vec![uri("spiffe://authbench.test/client/0")];
    let own = params.self_signed(&key).unwrap();
    assert_eq!(fixture.alerts(|| presents(vec![own.der().clone()], &key)), both(AlertDescription::UnknownCA));

    // The right leaf without its intermediate.
    let one = &fixture.issue(1).await[0];
    let Presents(Some(full)) = issued(one) else { unreachable!("issued presents a certificate") };
    let leaf_only = || Presents(Some(Arc::new(CertifiedKey::new(vec![full.cert[0].clone()], full.key.clone()))));
    assert_eq!(fixture.alerts(leaf_only), both(AlertDescription::UnknownCA));
}

#[tokio::test]
async fn mt_3_bc_137_an_authority_of_the_same_name_is_still_another() {
    let fixture = fixture();
    let key = KeyPair::generate().unwrap();
    let forged = Issuer::from_ca_cert_der(fixture.issuing(), key).unwrap();
    let leaf_key = KeyPair::generate().unwrap();
    let mut params = fixture.mtls.authority().leaf("client", DAY).unwrap();
    params.subject_alt_names = vec![uri("spiffe://authbench.test/client/0")];
    let leaf = params.signed_by(&leaf_key, &forged).unwrap();
    let chain = || vec![leaf.der().clone(), fixture.issuing().clone()];
    for alert in fixture.alerts(|| presents(chain(), &leaf_key)) {
        assert!(matches!(alert, Some(AlertDescription::UnknownCA | AlertDescription::DecryptError)), "{alert:?}");
    }
}

#[tokio::test]
async fn mt_4_bc_138_validity_follows_the_process_clock() {
    let fixture = fixture();
    let epoch = date_time_ymd(1970, 1, 1);
    let now = fixture.clock.now().0;
    let future = || fixture.leaf(|params| params.not_before = epoch + now + HOUR);
    assert_eq!(fixture.alerts(future), both(AlertDescription::CertificateExpired));

    let request = IssueRequest { count: 1, lifetime: Some(HOUR), scopes: vec![READ_SCOPE.to_owned()] };
    let one = &fixture.mtls.issue(&request).await.unwrap()[0];
    assert_eq!(fixture.alerts(|| issued(one)), [None, None]);
    fixture.clock.advance(HOUR + Duration::from_secs(2)).unwrap();
    assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::CertificateExpired));
}

#[tokio::test]
async fn mt_5_mt_6_bc_139_bc_141_bc_143_purposes_and_forms() {
    let fixture = fixture();
    let eku = |purposes: &[ExtendedKeyUsagePurpose]| {
        let purposes = purposes.to_vec();
        fixture.leaf(move |params| params.extended_key_usages = purposes)
    };
    let server_only = || eku(&[ExtendedKeyUsagePurpose::ServerAuth]);
    assert_eq!(fixture.alerts(server_only), both(AlertDescription::UnsupportedCertificate));
    // Policy: a leaf of our own CA that restricts no purpose is accepted.
    assert_eq!(fixture.alerts(|| eku(&[])), [None, None]);

    let refused = |client: &dyn Fn() -> Presents| {
        for alert in fixture.alerts(client) {
            assert!(alert.is_some_and(|alert| OUT_OF_ORDER.contains(&alert)), "{alert:?}");
        }
    };
    refused(&|| fixture.leaf(|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)));
    refused(&|| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        unknown.set_criticality(true);
        fixture.leaf(|params| params.custom_extensions = vec![unknown])
    });
    // The issuing CA's own certificate as a client.
    let key = || KeyPair::from_pem(&std::fs::read_to_string(fixture.ca("issuing.key")).unwrap()).unwrap();
    refused(&|| presents(vec![fixture.issuing().clone()], &key()));
}

#[tokio::test]
async fn mt_7_bc_142_a_stolen_certificate_without_its_key() {
    let fixture = fixture();
    let pair = fixture.issue(2).await;
    let stolen = || {
        let (Presents(Some(victim)), Presents(Some(thief))) = (issued(&pair[0]), issued(&pair[1])) else {
            unreachable!("issued presents a certificate")
        };
        Presents(Some(Arc::new(CertifiedKey::new(victim.cert.clone(), thief.key.clone()))))
    };
    assert_eq!(fixture.alerts(stolen), both(AlertDescription::DecryptError));
}

#[tokio::test]
async fn mt_21_mt_22_bc_150_bc_151_identities() {
    let fixture = fixture();
    let names = |names: &[SanType]| {
        let names = names.to_vec();
        fixture.leaf(move |params| params.subject_alt_names = names)
    };
    let good = uri("spiffe://authbench.test/client/1");
    for bad in [
        vec![good.clone(), uri("spiffe://authbench.test/client/2")],
        vec![uri("spiffe://authbench.test:443/x")],
        vec![uri("spiffe://authbench.test/x?y")],
        vec![uri("spiffe://authbench.test/../x")],
        vec![uri("spiffe://Authbench.test/x")],
        vec![SanType::DnsName("authbench.test".try_into().unwrap())],
        vec![],
    ] {
        assert_eq!(fixture.alerts(|| names(&bad)), both(AlertDescription::AccessDenied), "{bad:?}");
    }
    for foreign in ["spiffe://other.test/client/1", "spiffe://authbench.test.evil/x", "spiffe://authbench.tes/x"] {
        let connection = fixture.handshake(&rustls::version::TLS13, names(&[uri(foreign)])).unwrap();
        assert_eq!(fixture.call(&connection), Err(Rejection::Forbidden("client-identity-not-allowed")), "{foreign}");
    }
    let nobody = Connection::new(SocketAddr::from(([127, 0, 0, 1], 1)), None);
    assert_eq!(fixture.call(&nobody), Err(Rejection::Missing));
}

#[tokio::test]
async fn mt_11_mt_15_bc_145_a_revocation_elsewhere_reaches_new_and_open_connections_with_the_next_reload() {
    let fixture = fixture();
    let pair = fixture.issue(2).await;
    let open = fixture.handshake(&rustls::version::TLS13, issued(&pair[0])).unwrap();
    let bystander = fixture.handshake(&rustls::version::TLS13, issued(&pair[1])).unwrap();
    let elsewhere = Mtls::build("mtls", &config(), &fixture.environment).unwrap();
    elsewhere.revoke(&pair[0].id).await.unwrap();
    assert_eq!(fixture.call_at(&elsewhere, &open), Err(Rejection::Invalid(Cause::Revoked)), "RV-1: there at once");
    assert!(fixture.call(&open).is_ok(), "the CRL has not been reloaded");
    assert_eq!(fixture.alerts(|| issued(&pair[0])), [None, None]);

    assert!(fixture.mtls.verifier.reload().unwrap());
    assert!(!fixture.mtls.verifier.reload().unwrap(), "nothing new");
    assert_eq!(fixture.call(&open), Err(Rejection::Invalid(Cause::Revoked)));
    assert_eq!(fixture.alerts(|| issued(&pair[0])), both(AlertDescription::CertificateRevoked));
    assert!(fixture.call(&bystander).is_ok());
    assert_eq!(fixture.alerts(|| issued(&pair[1])), [None, None]);
    assert!(matches!(fixture.mtls.revoke("7f").await, Err(AdminError::NotFound(_))));
}

#[tokio::test]
async fn mt_12_a_revoked_issuing_ca_takes_all_its_leaves_along() {
    let fixture = fixture();
    let one = &fixture.issue(1).await[0];
    let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    fixture.mtls.authority().revoke_ca(1).unwrap();
    fixture.mtls.verifier.reload().unwrap();
    assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::CertificateRevoked));
    assert_eq!(fixture.call(&open), Err(Rejection::Invalid(Cause::Revoked)));
}

#[tokio::test]
async fn mt_27_a_certificate_ends_while_its_connection_lives() {
    let fixture = fixture();
    let request = IssueRequest { count: 1, lifetime: Some(HOUR), scopes: vec![READ_SCOPE.to_owned()] };
    let one = &fixture.mtls.issue(&request).await.unwrap()[0];
    let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    let not_after = open.client.as_ref().unwrap().not_after;
    let at = |now: UnixTime| {
        let (head, ()) = http::Request::builder().body(()).unwrap().into_parts();
        let request = Request { head: &head, connection: &open, now };
        fixture.mtls.authenticate(&request).now_or_never().expect("from memory, without waiting").map(drop)
    };
    assert_eq!(at(not_after), Ok(()), "notAfter itself belongs to the lifetime");
    assert_eq!(at(UnixTime(not_after.0 + Duration::from_secs(1))), Err(Rejection::Invalid(Cause::Expired)));
}

#[tokio::test]
async fn mt_14_a_crl_past_its_next_update_is_no_answer() {
    let fixture = fixture();
    let request = IssueRequest { count: 1, lifetime: Some(10 * DAY), scopes: vec![READ_SCOPE.to_owned()] };
    let one = &fixture.mtls.issue(&request).await.unwrap()[0];
    let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    fixture.clock.advance(DAY + Duration::from_secs(1)).unwrap();
    assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::UnknownCA));
    assert!(matches!(fixture.call(&open), Err(Rejection::Unavailable { dependency: "crl", .. })));

    fixture.mtls.authority().renew_crls().unwrap();
    fixture.mtls.verifier.reload().unwrap();
    assert_eq!(fixture.alerts(|| issued(one)), [None, None]);
    assert!(fixture.call(&open).is_ok());
}

/// A CRL as an authority with these parameters would sign it.
fn crl(
    issuer: &Issuer<'_, KeyPair>,
    number: u64,
    change: impl FnOnce(&mut CertificateRevocationListParams),
) -> Vec<u8> {
    let mut params = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2080, 1, 1),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    change(&mut params);
    params.signed_by(issuer).unwrap().der().to_vec()
}

/// What a CRL says of one certificate.
fn revoked_entry(serial: &[u8]) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(serial),
        revocation_time: date_time_ymd(2026, 1, 1),
        reason_code: None,
        invalidity_date: None,
    }
}

#[tokio::test]
async fn mt_16_a_bad_crl_changes_nothing() {
    let fixture = fixture();
    let pair = fixture.issue(2).await;
    fixture.mtls.revoke(&pair[0].id).await.unwrap();
    fixture.mtls.verifier.reload().unwrap();
    let file = fixture.ca("issuing.crl");
    let good = std::fs::read(&file).unwrap();
    let key = |path: &Path| KeyPair::from_pem(&std::fs::read_to_string(path).unwrap()).unwrap();
    let authority = fixture.mtls.authority();
    let issuing = Issuer::from_ca_cert_der(fixture.issuing(), key(&fixture.ca("issuing.key"))).unwrap();
    let root = Issuer::from_ca_cert_der(authority.root_certificate(), key(&fixture.ca("root.key"))).unwrap();
    let forger = Issuer::from_ca_cert_der(fixture.issuing(), KeyPair::generate().unwrap()).unwrap();
    let point = rcgen::CrlIssuingDistributionPoint {
        distribution_point: rcgen::CrlDistributionPoint { uris: vec!["http://127.0.0.1/crl".to_owned()] },
        scope: None,
    };
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let bad: [(&str, Vec<u8>, Option<CrlError>); 9] = [
        ("empty", Vec::new(), Some(CrlError::Malformed)),
        ("truncated", good[..good.len() / 2].to_vec(), Some(CrlError::Malformed)),
        ("trailing", [good.as_slice(), &[0]].concat(), Some(CrlError::Malformed)),
        ("random", (0..=255).cycle().take(600).collect(), Some(CrlError::Malformed)),
        ("flipped", flipped, Some(CrlError::BadSignature)),
        ("other issuer", crl(&root, 9, |_| ()), Some(CrlError::OtherIssuer)),
        ("forged", crl(&forger, 9, |_| ()), Some(CrlError::BadSignature)),
        ("older", crl(&issuing, 1, |_| ()), Some(CrlError::WentBack)),
        ("partial", crl(&issuing, 9, |params| params.issuing_distribution_point = Some(point)), None),
    ];
    for (what, content, reason) in bad {
        std::fs::write(&file, content).unwrap();
        let error = fixture.mtls.verifier.reload().expect_err(what);
        let ReloadError::Crl { source, path } = error else { panic!("{what}: {error}") };
        assert!(path.ends_with("issuing.crl"));
        match reason {
            Some(reason) => assert_eq!(source, reason, "{what}"),
            None => assert!(matches!(source, CrlError::Partial(_)), "{what}"),
        }
        assert_eq!(fixture.alerts(|| issued(&pair[0])), both(AlertDescription::CertificateRevoked), "{what}");
        assert_eq!(fixture.alerts(|| issued(&pair[1])), [None, None], "{what}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(fixture.mtls.verifier.reload(), Err(ReloadError::Read { .. })));
    // A newer good one is taken over again.
    std::fs::write(&file, crl(&issuing, 9, |_| ())).unwrap();
    assert!(fixture.mtls.verifier.reload().unwrap());
    assert_eq!(fixture.alerts(|| issued(&pair[0])), [None, None]);
}

#[test]
fn mt_16_an_issuer_without_crl_sign_may_not_revoke() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    params.key_usages.push(KeyUsagePurpose::CrlSign);
    let der = crl(&Issuer::new(params, key), 1, |_| ());
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let verdict = VerifiedCrl::verify(der, certificate.der(), &algorithms, None);
    assert_eq!(verdict.err(), Some(CrlError::IssuerMayNotSign));
}

#[test]
fn mt_16_crl_numbers_compare_as_numbers() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let verify = |number, previous: Option<&VerifiedCrl>| {
        VerifiedCrl::verify(crl(&issuer, number, |_| ()), certificate.der(), &algorithms, previous)
    };
    let previous = verify(255, None).unwrap();
    assert!(verify(256, Some(&previous)).is_ok() && verify(255, Some(&previous)).is_ok());
    assert_eq!(verify(254, Some(&previous)).err(), Some(CrlError::WentBack));
}

#[tokio::test]
async fn a_large_crl_is_looked_up_not_searched() {
    let fixture = fixture();
    let one = &fixture.issue(1).await[0];
    let key = KeyPair::from_pem(&std::fs::read_to_string(fixture.ca("issuing.key")).unwrap()).unwrap();
    let issuing = Issuer::from_ca_cert_der(fixture.issuing(), key).unwrap();
    let own = serial_bytes(&one.id).unwrap();
    let large = crl(&issuing, 1000, |params| {
        params.revoked_certs = (0..5000_u32).map(|n| revoked_entry(&(n + 1).to_be_bytes())).collect();
        params.revoked_certs.push(revoked_entry(&own));
    });
    std::fs::write(fixture.ca("issuing.crl"), large).unwrap();
    fixture.mtls.verifier.reload().unwrap();
    let current = fixture.mtls.verifier.current().expect("CRLs are looked at");
    let issuer = EndEntityCert::try_from(fixture.issuing()).unwrap();
    let status = |serial: &str| current.status(issuer.subject(), None, serial, fixture.clock.now());
    assert_eq!([status(&one.id), status("1388"), status("1389")], [Status::Revoked, Status::Revoked, Status::Good]);
    assert_eq!(current.status(b"nobody", None, "1389", fixture.clock.now()), Status::Unknown);
    assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::CertificateRevoked));
}

#[tokio::test]
async fn mt_37_rotation_and_restart() {
    let fixture = fixture();
    let first = &fixture.issue(1).await[0];
    let twin = || fixture.leaf(|params| params.subject_alt_names = vec![uri(&first.principal)]);
    let connection = fixture.handshake(&rustls::version::TLS13, twin()).unwrap();
    assert_eq!(*fixture.call(&connection).unwrap().id, *first.principal, "a new certificate for the same identity");

    fixture.mtls.revoke(&first.id).await.unwrap();
    let restarted = Mtls::build("mtls", &config(), &fixture.environment).unwrap();
    let fixture = Fixture { mtls: restarted, ..fixture };
    assert_eq!(fixture.alerts(|| issued(first)), both(AlertDescription::CertificateRevoked));
    let second = &fixture.issue(1).await[0];
    assert_ne!(second.principal, first.principal);
    assert_eq!(fixture.alerts(|| issued(second)), [None, None]);
}

#[tokio::test]
async fn mt_15_crls_are_followed_in_the_background() {
    let fixture = fixture();
    let quick = MtlsConfig { crl_reload: Some(Duration::from_millis(5)), ..config() };
    let mtls = Mtls::build("quick", &quick, &fixture.environment).unwrap();
    let fixture = Fixture { mtls, ..fixture };
    let one = &fixture.issue(1).await[0];
    let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    assert!(fixture.call(&open).is_ok());
    fixture.mtls.revoke(&one.id).await.unwrap();
    let noticed = async {
        while fixture.call(&open).is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), noticed).await.expect("the files are followed");
    assert_eq!(fixture.call(&open), Err(Rejection::Invalid(Cause::Revoked)));
}

#[tokio::test]
async fn contradictory_requests_and_configurations() {
    let fixture = fixture();
    let good = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    for request in [
        IssueRequest { count: 0, ..good.clone() },
        IssueRequest { count: usize::MAX, ..good.clone() },
        IssueRequest { scopes: vec![], ..good.clone() },
        IssueRequest { scopes: vec!["write".to_owned()], ..good.clone() },
        IssueRequest { lifetime: Some(Duration::ZERO), ..good.clone() },
        IssueRequest { lifetime: Some(Duration::MAX), ..good.clone() },
    ] {
        assert!(matches!(fixture.mtls.issue(&request).await, Err(AdminError::BadRequest(_))), "{request:?}");
    }
    for bad in [
        MtlsConfig { crl_reload: Some(Duration::ZERO), ..config() },
        MtlsConfig { crl_reload: Some(DAY), ..config() },
        MtlsConfig { certificate_lifetime: Some(Duration::ZERO), ..config() },
        MtlsConfig { trust_domain: "Authbench.test".to_owned(), ..config() },
        MtlsConfig { trust_domain: String::new(), ..config() },
        MtlsConfig { crl_population: MtlsConfig::MAX_CRL_POPULATION + 1, ..config() },
        // Certificates that nobody takes back: how long they live is to be written out, and not over a day.
        MtlsConfig { certificate_lifetime: None, ..MtlsConfig::short_lived(DAY) },
        MtlsConfig::short_lived(DAY + Duration::from_secs(1)),
        MtlsConfig { crl_population: 1, ..MtlsConfig::short_lived(DAY) },
        MtlsConfig::by_ocsp(asked_at("http://127.0.0.1:1/", Duration::ZERO)),
        MtlsConfig::by_ocsp(asked_at("http://127.0.0.1:1/", OcspConfig::LONGEST_VALIDITY + HOUR)),
        MtlsConfig::by_ocsp(asked_at("https://127.0.0.1:1/", HOUR)),
        MtlsConfig::by_ocsp(asked_at("nowhere", HOUR)),
        MtlsConfig::by_ocsp(OcspConfig::new(HOUR)),
    ] {
        let error = Mtls::build("bad", &bad, &fixture.environment).unwrap_err();
        assert!(matches!(error, BuildError::Config(_)), "{error}");
    }
}
