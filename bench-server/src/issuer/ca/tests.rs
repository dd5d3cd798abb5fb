//! The authority's files and what is in them.

use std::os::unix::fs::PermissionsExt;

use rustls_pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::*;
use crate::config::ClockMode;
use crate::credential::x509::ClientIdentity;

const DAY: Duration = Duration::from_secs(86_400);

struct Fixture {
    dir: tempfile::TempDir,
    clock: Clock,
    authority: CertificateAuthority,
}

fn fixture() -> Fixture {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::new(ClockMode::Controlled));
    let authority = CertificateAuthority::open(&dir.path().join("ca"), clock.clone(), DAY).unwrap();
    Fixture { dir, clock, authority }
}

impl Fixture {
    fn reopen(&self) -> Result<CertificateAuthority, CaError> {
        CertificateAuthority::open(&self.dir.path().join("ca"), self.clock.clone(), DAY)
    }
}

/// crlNumber, nextUpdate and serial numbers of a CRL file.
fn read_crl(file: PathBuf) -> (u64, i64, Vec<String>) {
    let der = std::fs::read(file).unwrap();
    let (_, crl) = CertificateRevocationList::from_der(&der).unwrap();
    let serials = crl.iter_revoked_certificates().map(|entry| x509::serial_hex(entry.raw_serial())).collect();
    (crl.crl_number().unwrap().try_into().unwrap(), crl.next_update().unwrap().timestamp(), serials)
}

#[test]
fn authorities_may_sign_what_they_should_and_nothing_else() {
    let fixture = fixture();
    for (der, path_length) in [(fixture.authority.root_certificate(), 1), (fixture.authority.issuing_certificate(), 0)]
    {
        let (_, certificate) = X509Certificate::from_der(der).unwrap();
        let constraints = certificate.basic_constraints().unwrap().unwrap();
        assert!(constraints.critical && constraints.value.ca);
        assert_eq!(constraints.value.path_len_constraint, Some(path_length));
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
    }
}

#[test]
fn a_client_certificate_carries_its_spiffe_id() {
    let fixture = fixture();
    let client = fixture.authority.client_certificate("spiffe://authbench.test/client/7", DAY).unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(client.chain_pem.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(chain.len(), 2);
    assert_eq!(&chain[1], fixture.authority.issuing_certificate());
    let identity = ClientIdentity::from_der(&chain[0]).unwrap();
    assert_eq!((&*identity.spiffe_id, &*identity.serial), ("spiffe://authbench.test/client/7", &*client.serial));
    assert_eq!(identity.not_after.as_secs(), (fixture.clock.now().0 + DAY).as_secs());
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.client_auth && !purposes.server_auth);
    assert!(client.key_pem.expose().starts_with("-----BEGIN PRIVATE KEY-----"));
    assert!(!format!("{client:?}").contains("PRIVATE"));
    for (id, lifetime) in
        [("https://a.test/x", DAY), ("spiffe://a.test/../x", DAY), ("spiffe://a.test/x", Duration::MAX)]
    {
        assert!(fixture.authority.client_certificate(id, lifetime).is_err(), "{id} {lifetime:?}");
    }
}

#[test]
fn a_server_certificate_carries_its_names() {
    let fixture = fixture();
    let (chain, _key) = fixture.authority.server_certificate(&["localhost", "127.0.0.1", "::1"]).unwrap();
    let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap().value.general_names.len();
    let purposes = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(names == 3 && purposes.server_auth && !purposes.client_auth);
    assert!(fixture.authority.server_certificate(&[]).is_err());
}

#[test]
fn keys_are_private_and_survive_a_restart() {
    let fixture = fixture();
    for name in ["root.key", "issuing.key"] {
        let mode = std::fs::metadata(fixture.dir.path().join("ca").join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let serial = fixture.authority.client_certificate("spiffe://authbench.test/a", DAY).unwrap().serial;
    let reopened = fixture.reopen().unwrap();
    assert_eq!(reopened.root_certificate(), fixture.authority.root_certificate());
    assert_eq!(reopened.issuing_certificate(), fixture.authority.issuing_certificate());
    assert!(reopened.revoke(&serial).unwrap(), "the list of issued certificates survives too");
}

#[test]
fn revocations_are_published_and_survive_a_restart() {
    let fixture = fixture();
    let serial = fixture.authority.client_certificate("spiffe://authbench.test/a", DAY).unwrap().serial;
    let crl = || read_crl(fixture.authority.issuing_crl_file());
    let (first, _, serials) = crl();
    assert!(serials.is_empty());
    assert!(!fixture.authority.revoke("7f00").unwrap(), "never issued");
    assert!(fixture.authority.revoke(&serial).unwrap());
    let (second, _, serials) = crl();
    assert!(second > first);
    assert_eq!(serials, std::slice::from_ref(&serial));
    assert!(fixture.authority.revoke(&serial).unwrap());
    assert_eq!(crl().0, second, "the same again publishes nothing");

    let reopened = fixture.reopen().unwrap();
    let other = reopened.client_certificate("spiffe://authbench.test/b", DAY).unwrap().serial;
    assert!(reopened.revoke(&other).unwrap());
    assert_eq!((crl().0, crl().2), (second + 1, vec![serial, other]));

    reopened.revoke_issuing().unwrap();
    let (_, _, serials) = read_crl(fixture.authority.root_crl_file());
    assert_eq!(serials, [authority::serial_of(fixture.authority.issuing_certificate()).unwrap()]);
}

#[test]
fn crls_are_renewed_after_half_of_their_validity() {
    let fixture = fixture();
    let files = || [fixture.authority.root_crl_file(), fixture.authority.issuing_crl_file()].map(read_crl);
    let before = files();
    fixture.clock.advance(DAY / 2 - Duration::from_secs(60)).unwrap();
    fixture.authority.renew_crls().unwrap();
    assert_eq!(files(), before);
    fixture.clock.advance(Duration::from_secs(120)).unwrap();
    fixture.authority.renew_crls().unwrap();
    for (before, after) in before.iter().zip(files()) {
        assert!(after.0 == before.0 + 1 && after.1 > before.1);
    }
    fixture.clock.advance(10 * DAY).unwrap();
    fixture.reopen().unwrap();
    let now = i64::try_from(fixture.clock.now().as_secs()).unwrap();
    assert!(files().iter().all(|crl| crl.1 > now), "opening renews too");
}

#[test]
fn damaged_files_are_named() {
    let fixture = fixture();
    let dir = fixture.dir.path().join("ca");
    let key = std::fs::read(dir.join("root.key")).unwrap();
    std::fs::copy(dir.join("issuing.key"), dir.join("root.key")).unwrap();
    assert!(fixture.reopen().unwrap_err().0.contains("root.key"));
    std::fs::write(dir.join("root.key"), key).unwrap();
    std::fs::write(dir.join("issuing.crl"), b"x").unwrap();
    assert!(fixture.reopen().unwrap_err().0.contains("issuing.crl"));
}
