//! What a certificate is worth where nothing is known of it, and for whom a route is.

use super::super::revocation::Revocations;
use super::*;
use crate::config::CrlPolicy;

#[tokio::test]
async fn mt_14_in_soft_mode_an_old_list_is_overlooked_and_counted_but_not_what_it_says() {
    let soft = MtlsConfig { crl_policy: CrlPolicy::Soft, certificate_lifetime: Some(10 * DAY), ..config() };
    let fixture = with(&soft);
    let pair = fixture.issue(2).await;
    fixture.mtls.revoke(&pair[0].id).await.unwrap();
    let open = fixture.handshake(&rustls::version::TLS13, issued(&pair[1])).unwrap();
    let counted = || fixture.environment.meter.crl_accepted_unknown.get();
    assert!(fixture.call(&open).is_ok());
    assert_eq!(counted(), 0, "nothing to overlook");
    fixture.clock.advance(DAY + Duration::from_secs(1)).unwrap();
    assert_eq!(fixture.alerts(|| issued(&pair[1])), [None, None]);
    assert!(fixture.call(&open).is_ok());
    assert_eq!(counted(), 3, "two handshakes and a request");
    assert_eq!(fixture.alerts(|| issued(&pair[0])), both(AlertDescription::CertificateRevoked));
    assert_eq!(counted(), 3);
}

#[tokio::test]
async fn mt_13_without_a_list_of_its_issuer_a_certificate_is_refused_unless_the_mode_is_soft() {
    for policy in [CrlPolicy::Hard, CrlPolicy::Soft] {
        let fixture = with(&MtlsConfig { crl_policy: policy, ..config() });
        // A CA that the root has signed and nobody has told of.
        let (ca_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut params = fixture.mtls.authority().leaf("stranger", DAY).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = params.signed_by(&ca_key, &fixture.root()).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let mut params = fixture.mtls.authority().leaf("client", DAY).unwrap();
        params.subject_alt_names = vec![uri("spiffe://authbench.test/client/0")];
        let leaf = params.signed_by(&key, &issuer).unwrap();
        let client = || presents(vec![leaf.der().clone(), ca.der().clone()], &key);
        match policy {
            CrlPolicy::Hard => assert_eq!(fixture.alerts(client), both(AlertDescription::UnknownCA)),
            CrlPolicy::Soft => {
                assert_eq!(fixture.alerts(client), [None, None]);
                assert_eq!(fixture.environment.meter.crl_accepted_unknown.get(), 2);
            }
        }
    }
}

#[tokio::test]
async fn mt_22_bc_151_a_route_is_for_those_on_its_list() {
    let first = "spiffe://authbench.test/client/0".to_owned();
    let fixture = with(&MtlsConfig { identities: vec![first.clone()], ..config() });
    let pair = fixture.issue(2).await;
    assert_eq!(pair[0].principal, first);
    let open = |one| fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    assert_eq!(*fixture.call(&open(&pair[0])).unwrap().id, *first);
    assert_eq!(fixture.call(&open(&pair[1])), Err(Rejection::Forbidden("client-identity-not-allowed")));
}

/// As long a list as is measured. It is read and verified where no handshake waits, and then looked up.
#[tokio::test]
async fn mt_17_a_list_of_a_hundred_thousand_is_taken_over_beside_handshakes() {
    let fixture = with(&MtlsConfig { crl_population: 100_000, ..config() });
    let pair = fixture.issue(2).await;
    let open = fixture.handshake(&rustls::version::TLS13, issued(&pair[1])).unwrap();
    let verifier = fixture.mtls.verifier.clone();
    fixture.mtls.authority().revoke(&pair[0].id).unwrap();
    let taken = std::thread::spawn(move || verifier.reload().unwrap());
    // However far that is, nobody waits for it.
    assert_eq!(fixture.alerts(|| issued(&pair[1])), [None, None]);
    assert!(fixture.call(&open).is_ok());
    assert!(taken.join().unwrap());
    assert_eq!(fixture.alerts(|| issued(&pair[0])), both(AlertDescription::CertificateRevoked));
    assert_eq!(fixture.alerts(|| issued(&pair[1])), [None, None]);
}

/// Two CAs of one name, each with a list of its own: the serial number that one of them has revoked is the other's as well.
#[test]
fn mt_11_two_cas_of_one_name_are_told_apart_by_their_keys() {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let serial = [0x2a];
    let ca = |revokes: bool| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, "twin");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let list = crl(&issuer, 1, |list| {
            let entry = RevokedCertParams {
                serial_number: SerialNumber::from_slice(&serial),
                revocation_time: date_time_ymd(2026, 1, 1),
                reason_code: None,
                invalidity_date: None,
            };
            list.revoked_certs = revokes.then_some(entry).into_iter().collect();
        });
        let list = VerifiedCrl::verify(list, certificate.der(), &algorithms, None).unwrap();
        let mut leaf = CertificateParams::default();
        leaf.serial_number = Some(SerialNumber::from_slice(&serial));
        leaf.use_authority_key_identifier_extension = true;
        leaf.subject_alt_names = vec![uri("spiffe://authbench.test/client/0")];
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        (Arc::new(list), ClientIdentity::from_der(leaf.der()).unwrap())
    };
    let ((good, of_good), (bad, of_bad)) = (ca(false), ca(true));
    assert_eq!(of_good.issuer, of_bad.issuer);
    assert_eq!(of_good.serial, of_bad.serial);
    let lists = Revocations::new([(good, "", None), (bad, "", None)]);
    let now = Clock::new(ClockMode::System).now();
    let status = |leaf: &ClientIdentity, key: Option<&[u8]>| lists.status(&leaf.issuer, key, &leaf.serial, now);
    assert_eq!(status(&of_good, of_good.issuer_key_id.as_deref()), Status::Good);
    assert_eq!(status(&of_bad, of_bad.issuer_key_id.as_deref()), Status::Revoked);
    assert_eq!(status(&of_good, None), Status::Revoked, "where nothing tells them apart the worst counts");
}
