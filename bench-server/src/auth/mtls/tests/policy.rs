//! What a certificate is worth where nothing is known of it, and for whom a route is.

use std::io::Write as _;

use super::super::revocation::Revocations;
use super::*;
use crate::config::CrlPolicy;

/// For what is certain to happen.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// As long a list as is measured, and it does not arrive before everybody was served: it comes through a pipe.
#[tokio::test]
async fn mt_17_while_a_list_of_a_hundred_thousand_is_read_nobody_waits_for_it() {
    let fixture = with(&MtlsConfig { crl_reload: Some(Duration::from_millis(5)), ..config() });
    let pair = fixture.issue(2).await;
    let open = fixture.handshake(&rustls::version::TLS13, issued(&pair[0])).unwrap();
    let issuing = Issuer::from_ca_cert_der(fixture.issuing(), fixture.ca_key("issuing")).unwrap();
    let own = serial_bytes(&pair[0].id).unwrap();
    let next = crl(&issuing, 9, |list| {
        let others = (1..100_000_u32).map(|number| revoked_entry(&number.to_be_bytes()));
        list.revoked_certs = others.chain([revoked_entry(&own)]).collect();
    });
    let (file, pipe, whole) = (fixture.ca("issuing.crl"), fixture.ca("pipe"), fixture.ca("whole"));
    std::fs::write(&whole, &next).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, &file).unwrap();

    let (begun, reading) = tokio::sync::oneshot::channel();
    let (served, all_served) = std::sync::mpsc::channel();
    let writer = tokio::task::spawn_blocking({
        let file = file.clone();
        move || {
            // Opens when somebody reads.
            let mut pipe = std::fs::File::options().write(true).open(file).unwrap();
            begun.send(()).unwrap();
            // Whoever waits for the list is served by it, so that the test ends.
            let in_time = all_served.recv_timeout(PATIENCE).is_ok();
            pipe.write_all(&next).unwrap();
            in_time
        }
    });
    tokio::time::timeout(PATIENCE, reading).await.expect("the list is read").unwrap();
    // The next look finds a file again.
    std::fs::rename(&whole, &file).unwrap();
    for one in &pair {
        assert_eq!(fixture.alerts(|| issued(one)), [None, None], "by the list before");
    }
    assert!(fixture.call(&open).is_ok());
    served.send(()).unwrap();
    assert!(writer.await.unwrap(), "somebody waited for the list");

    let noticed = async {
        while fixture.call(&open).is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, noticed).await.expect("the list is taken over");
    assert_eq!(fixture.call(&open), Err(Rejection::Invalid(Cause::Revoked)));
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
            list.revoked_certs = revokes.then(|| revoked_entry(&serial)).into_iter().collect();
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
