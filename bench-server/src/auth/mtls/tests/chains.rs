//! Keys of every kind, chains of every length, and who of a chain is revoked.

use rcgen::{GeneralSubtree, NameConstraints};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::lists::der;
use super::*;
use crate::config::CertificateKey;

fn leaf_serial(client: &Presents) -> Vec<u8> {
    let leaf = &client.0.as_ref().unwrap().cert[0];
    EndEntityCert::try_from(leaf).unwrap().serial().to_vec()
}

#[tokio::test]
async fn mt_1_every_key_on_every_chain_is_accepted_in_both_versions_until_it_is_revoked() {
    for key in [CertificateKey::P256, CertificateKey::Rsa2048, CertificateKey::Ed25519] {
        for chain_length in ChainLength::ALL {
            let fixture = with(&MtlsConfig { key, chain_length, ..config() });
            let one = &fixture.issue(1).await[0];
            assert_eq!(issued(one).0.unwrap().cert.len(), usize::from(u8::from(chain_length)));
            for version in VERSIONS {
                let connection = fixture.handshake(version, issued(one)).unwrap();
                assert_eq!(*fixture.call(&connection).unwrap().id, *one.principal, "{key:?} {chain_length:?}");
            }
            fixture.mtls.revoke(&one.id).await.unwrap();
            fixture.mtls.verifier.reload().unwrap();
            assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::CertificateRevoked));
        }
    }
}

#[tokio::test]
async fn mt_12_a_revoked_ca_anywhere_in_the_chain_takes_all_its_leaves_along() {
    for place in [1, 2] {
        let fixture = with(&MtlsConfig { chain_length: ChainLength::Three, ..config() });
        let one = &fixture.issue(1).await[0];
        let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
        fixture.mtls.authority().revoke_ca(place).unwrap();
        assert!(fixture.mtls.verifier.reload().unwrap());
        assert_eq!(fixture.alerts(|| issued(one)), both(AlertDescription::CertificateRevoked), "place {place}");
        assert_eq!(fixture.call(&open), Err(Rejection::Invalid(Cause::Revoked)), "place {place}");
    }
}

/// A serial number is unique for its issuer only (RFC 5280 §4.1.2.2).
#[tokio::test]
async fn the_same_serial_number_under_another_issuer_is_not_revoked() {
    let fixture = fixture();
    let one = &fixture.issue(1).await[0];
    let open = fixture.handshake(&rustls::version::TLS13, issued(one)).unwrap();
    let by_root =
        crl(&fixture.root(), 9, |params| params.revoked_certs = vec![revoked_entry(&leaf_serial(&issued(one)))]);
    std::fs::write(fixture.ca("root.crl"), by_root).unwrap();
    assert!(fixture.mtls.verifier.reload().unwrap());
    assert_eq!(fixture.alerts(|| issued(one)), [None, None]);
    assert!(fixture.call(&open).is_ok());

    // Nor does a CA revoke itself, whatever its list says.
    let issuing = Issuer::from_ca_cert_der(fixture.issuing(), fixture.ca_key("issuing")).unwrap();
    let own = EndEntityCert::try_from(fixture.issuing()).unwrap().serial().to_vec();
    let by_itself = crl(&issuing, 9, |params| params.revoked_certs = vec![revoked_entry(&own)]);
    std::fs::write(fixture.ca("issuing.crl"), by_itself).unwrap();
    assert!(fixture.mtls.verifier.reload().unwrap());
    assert_eq!(fixture.alerts(|| issued(one)), [None, None]);
    assert!(fixture.call(&open).is_ok());
}

/// What is sent beside the path is not on the path (RFC 8446 §4.4.2 allows it).
#[tokio::test]
async fn certificates_beside_the_path_do_not_matter() {
    let fixture = fixture();
    let one = &fixture.issue(1).await[0];
    let more = || {
        let Presents(Some(full)) = issued(one) else { unreachable!("issued presents a certificate") };
        let mut chain = full.cert.clone();
        chain.insert(1, fixture.server_ca.root_certificate().clone());
        chain.push(fixture.mtls.authority().root_certificate().clone());
        Presents(Some(Arc::new(CertifiedKey::new(chain, full.key.clone()))))
    };
    assert_eq!(fixture.alerts(more), [None, None]);
    fixture.mtls.authority().revoke_ca(1).unwrap();
    fixture.mtls.verifier.reload().unwrap();
    assert_eq!(fixture.alerts(more), both(AlertDescription::CertificateRevoked));
}

/// Another certificate for the CA that signs leaves: of the same name, for this key, with something special about it.
fn same_name(fixture: &Fixture, key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> rcgen::Certificate {
    let (_, first) = X509Certificate::from_der(fixture.issuing()).unwrap();
    let mut params = fixture.mtls.authority().leaf("unused", DAY).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for name in first.subject().iter_attributes() {
        let kind = match name.attr_type().to_id_string().as_str() {
            "2.5.4.10" => rcgen::DnType::OrganizationName,
            "2.5.4.3" => rcgen::DnType::CommonName,
            other => panic!("a name of kind {other}"),
        };
        params.distinguished_name.push(kind, name.as_str().unwrap());
    }
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    change(&mut params);
    params.signed_by(key, &fixture.root()).unwrap()
}

/// A client of such a CA, with other names beside its own.
fn client_below(fixture: &Fixture, ca: &rcgen::Certificate, ca_key: KeyPair, beside: &[SanType]) -> Presents {
    let issuer = Issuer::from_ca_cert_der(ca.der(), ca_key).unwrap();
    let mut params = fixture.mtls.authority().leaf("client", DAY).unwrap();
    params.subject_alt_names = [&[uri("spiffe://authbench.test/client/0")][..], beside].concat();
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    presents(vec![leaf.der().clone(), ca.der().clone()], &key)
}

/// The root signs a second CA under the name of the first one. A list belongs to the key that signed it: it cannot say
/// that a leaf of the second is good.
#[tokio::test]
async fn mt_13_bc_148_a_list_does_not_speak_for_another_ca_of_the_same_name() {
    let fixture = fixture();
    let leaf_below = |ca_key: KeyPair| {
        let ca = same_name(&fixture, &ca_key, |_| {});
        client_below(&fixture, &ca, ca_key, &[])
    };
    // With the first one's key it is only a second certificate for it, as after a renewal.
    assert_eq!(fixture.alerts(|| leaf_below(fixture.ca_key("issuing"))), [None, None]);
    assert_eq!(fixture.alerts(|| leaf_below(KeyPair::generate().unwrap())), both(AlertDescription::UnknownCA));
}

#[tokio::test]
async fn mt_6_bc_143_a_name_that_its_ca_may_not_give_is_refused() {
    let fixture = fixture();
    let subtree = |name: &str| vec![GeneralSubtree::DnsName(name.to_owned())];
    let constraints = |permitted_subtrees, excluded_subtrees| NameConstraints { permitted_subtrees, excluded_subtrees };
    let alerts = |constraints: &NameConstraints, name: Option<&str>| {
        let name: Vec<_> = name.into_iter().map(|name| SanType::DnsName(name.try_into().unwrap())).collect();
        fixture.alerts(|| {
            let key = || fixture.ca_key("issuing");
            let ca = same_name(&fixture, &key(), |params| params.name_constraints = Some(constraints.clone()));
            client_below(&fixture, &ca, key(), &name)
        })
    };
    let permitted = constraints(subtree("authbench.test"), vec![]);
    let excluded = constraints(vec![], subtree("other.test"));
    for constraints in [&permitted, &excluded] {
        assert_eq!(alerts(constraints, None), [None, None], "{constraints:?}");
        assert_eq!(alerts(constraints, Some("client.authbench.test")), [None, None], "{constraints:?}");
        let violated = alerts(constraints, Some("client.other.test"));
        assert_eq!(violated, both(AlertDescription::CertificateUnknown), "{constraints:?}");
    }
    assert_eq!(alerts(&permitted, Some("authbench.test.other.test")), both(AlertDescription::CertificateUnknown));

    // Nobody evaluates constraints on URIs here, so whoever is under one is refused (RFC 5280 §4.2.1.10).
    let hosts = der(0xa0, &[&der(0x30, &[&der(0x86, &[b"authbench.test"])])]);
    let mut on_uris = CustomExtension::from_oid_content(&[2, 5, 29, 30], der(0x30, &[&hosts]));
    on_uris.set_criticality(true);
    let constrained = || {
        let key = || fixture.ca_key("issuing");
        let ca = same_name(&fixture, &key(), |params| params.custom_extensions = vec![on_uris.clone()]);
        client_below(&fixture, &ca, key(), &[])
    };
    assert_eq!(fixture.alerts(constrained), both(AlertDescription::CertificateUnknown));
}
