//! The authority's files and what is in them.

use std::collections::HashSet;
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
    let authority = CertificateAuthority::open(&dir.path().join("ca"), clock.clone(), DAY, ChainLength::Two).unwrap();
    Fixture { dir, clock, authority }
}

impl Fixture {
    fn reopen(&self) -> Result<CertificateAuthority, CaError> {
        self.reopen_as(ChainLength::Two)
    }

    fn reopen_as(&self, length: ChainLength) -> Result<CertificateAuthority, CaError> {
        CertificateAuthority::open(&self.dir.path().join("ca"), self.clock.clone(), DAY, length)
    }

    fn issuing(&self) -> &CertificateDer<'static> {
        self.authority.chain().last().unwrap().0
    }

    fn crl_files(&self) -> [PathBuf; 2] {
        self.authority.chain().map(|(_, file)| file).collect::<Vec<_>>().try_into().unwrap()
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
    for (der, path_length) in [(fixture.authority.root_certificate(), 1), (fixture.issuing(), 0)] {
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
    let client =
        fixture.authority.client_certificate("spiffe://authbench.test/client/7", DAY, CertificateKey::P256).unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(client.chain_pem.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(chain.len(), 2);
    assert_eq!(&chain[1], fixture.issuing());
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
        assert!(fixture.authority.client_certificate(id, lifetime, CertificateKey::P256).is_err(), "{id} {lifetime:?}");
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
    let serial =
        fixture.authority.client_certificate("spiffe://authbench.test/a", DAY, CertificateKey::P256).unwrap().serial;
    let reopened = fixture.reopen().unwrap();
    assert!(reopened.chain().eq(fixture.authority.chain()));
    assert!(reopened.revoke(&serial).unwrap(), "the list of issued certificates survives too");
}

#[test]
fn revocations_are_published_and_survive_a_restart() {
    let fixture = fixture();
    let serial =
        fixture.authority.client_certificate("spiffe://authbench.test/a", DAY, CertificateKey::P256).unwrap().serial;
    let crl = || read_crl(fixture.crl_files()[1].clone());
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
    let other = reopened.client_certificate("spiffe://authbench.test/b", DAY, CertificateKey::P256).unwrap().serial;
    assert!(reopened.revoke(&other).unwrap());
    let mut both = vec![serial, other];
    both.sort(); // the list is in the order of the numbers
    assert_eq!((crl().0, crl().2), (second + 1, both));

    reopened.revoke_ca(1).unwrap();
    let (_, _, serials) = read_crl(fixture.crl_files()[0].clone());
    assert_eq!(serials, [authority::serial_of(fixture.issuing()).unwrap()]);
}

#[test]
fn the_status_follows_what_other_processes_issue_and_revoke() {
    let fixture = fixture();
    let issue = |authority: &CertificateAuthority| {
        authority.client_certificate("spiffe://authbench.test/a", DAY, CertificateKey::P256).unwrap().serial
    };
    let own = issue(&fixture.authority);
    let elsewhere = fixture.reopen().unwrap();
    let other = issue(&elsewhere);
    let by = fixture.authority.leaves_ca().unwrap();
    let status = |serial: &str| fixture.authority.status(&by, serial).unwrap();
    assert_eq!(status(&own), CertificateStatus::Good);
    assert_eq!(status(&other), CertificateStatus::Good);
    assert_eq!(status("7f00"), CertificateStatus::Unknown);

    let before = fixture.clock.now();
    assert!(elsewhere.revoke(&other).unwrap() && elsewhere.revoke(&own).unwrap());
    for serial in [&own, &other] {
        let CertificateStatus::Revoked { since } = status(serial) else { panic!("{serial} was revoked") };
        assert!((before.as_secs()..=fixture.clock.now().as_secs()).contains(&since.as_secs()));
    }
    let third = issue(&elsewhere);
    assert!(fixture.authority.revoke(&third).unwrap(), "whoever issued it");
    assert!(!fixture.authority.revoke("7f00").unwrap());
    // Without its records an authority says nothing, rather than that all is good.
    std::fs::remove_file(&fixture.crl_files()[1]).unwrap();
    assert!(fixture.authority.status(&by, &own).is_err());
}

#[test]
fn crls_are_renewed_after_half_of_their_validity() {
    let fixture = fixture();
    let files = || fixture.crl_files().map(read_crl);
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
fn chains_of_every_length_lead_from_the_leaf_to_the_root() {
    for length in ChainLength::ALL {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::new(ClockMode::Controlled));
        let authority = CertificateAuthority::open(dir.path(), clock.clone(), DAY, length).unwrap();
        assert_eq!(authority.chain().count(), usize::from(u8::from(length)));
        let leaf = authority.client_certificate("spiffe://authbench.test/a", DAY, CertificateKey::Ed25519).unwrap();
        let mut sent: Vec<_> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).map(Result::unwrap).collect();
        assert_eq!(sent.len(), usize::from(u8::from(length)), "the root is not sent");
        assert!(!sent.contains(authority.root_certificate()));
        sent.push(authority.root_certificate().clone());
        let parsed: Vec<_> = sent.iter().map(|der| X509Certificate::from_der(der).unwrap().1).collect();
        for (below, pair) in parsed.windows(2).enumerate() {
            assert_eq!(pair[0].issuer(), pair[1].subject());
            let constraints = pair[1].basic_constraints().unwrap().unwrap().value;
            assert_eq!(constraints.path_len_constraint, Some(u32::try_from(below).unwrap()));
            assert!(pair[0].validity().not_after < pair[1].validity().not_after, "a CA outlives what it signs");
        }
        let (server, _) = authority.server_certificate(&["localhost"]).unwrap();
        assert_eq!(server[1..], sent[1..sent.len() - 1]);
        assert!(authority.revoke_ca(0).is_err(), "nobody revokes a root");
        assert!(authority.revoke_ca(usize::from(u8::from(length))).is_err(), "below the last one there is no CA");
        let reopened = CertificateAuthority::open(dir.path(), clock, DAY, length).unwrap();
        assert!(reopened.chain().eq(authority.chain()));
    }
}

#[test]
fn a_folder_with_a_chain_of_another_length_is_refused() {
    let longer = fixture().reopen_as(ChainLength::Three).unwrap_err();
    assert!(longer.0.contains("root.pem: of another chain than one that sends 3"), "{longer}");
    // A root that may have more CAs below itself than there are is no contradiction.
    assert_eq!(fixture().reopen_as(ChainLength::One).unwrap().chain().count(), 1);
    // An issuing CA of another root is.
    let (fixture, other) = (fixture(), fixture());
    for extension in ["pem", "key"] {
        let file = format!("ca/issuing.{extension}");
        std::fs::copy(other.dir.path().join(&file), fixture.dir.path().join(&file)).unwrap();
    }
    let error = fixture.reopen().unwrap_err();
    assert!(error.0.contains("issuing.pem: of another chain"), "{error}");
}

#[test]
fn client_keys_are_of_the_kind_asked_for() {
    let fixture = fixture();
    for (kind, algorithm, bits) in [
        (CertificateKey::P256, "1.2.840.10045.2.1", 256),
        (CertificateKey::Rsa2048, "1.2.840.113549.1.1.1", 2048),
        (CertificateKey::Ed25519, "1.3.101.112", 256),
    ] {
        let client = fixture.authority.client_certificate("spiffe://authbench.test/a", DAY, kind).unwrap();
        let leaf = CertificateDer::from_pem_slice(client.chain_pem.as_bytes()).unwrap();
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        assert_eq!(leaf.public_key().algorithm.algorithm.to_id_string(), algorithm);
        let size = match leaf.public_key().parsed().unwrap() {
            x509_parser::public_key::PublicKey::RSA(key) => key.key_size(),
            x509_parser::public_key::PublicKey::EC(point) => point.key_size(),
            _ => leaf.public_key().subject_public_key.data.len() * 8,
        };
        assert_eq!(size, bits, "{kind:?}");
        let key = PrivateKeyDer::from_pem_slice(client.key_pem.expose().as_bytes()).unwrap();
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    }
}

#[test]
fn a_crl_is_filled_up_once_and_survives_a_restart() {
    let fixture = fixture();
    let crl = || read_crl(fixture.crl_files()[1].clone());
    let serial =
        fixture.authority.client_certificate("spiffe://authbench.test/a", DAY, CertificateKey::P256).unwrap().serial;
    fixture.authority.revoke(&serial).unwrap();
    for (population, held) in [(0, 1), (1, 1), (500, 500), (500, 500), (7, 500)] {
        fixture.authority.fill_crl(population).unwrap();
        assert_eq!(crl().2.len(), held);
    }
    let (number, _, serials) = crl();
    assert_eq!(serials.iter().collect::<HashSet<_>>().len(), 500, "all different");
    assert!(serials.contains(&serial));
    fixture.reopen().unwrap().fill_crl(500).unwrap();
    assert_eq!(crl().0, number, "filled already: nothing is published");
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

#[test]
fn replicas_do_not_undo_each_others_revocations() {
    let fixture = fixture();
    let client = |authority: &CertificateAuthority| {
        authority.client_certificate("spiffe://a/b", DAY, CertificateKey::P256).unwrap().serial
    };
    let mut both = [client(&fixture.authority), client(&fixture.authority)];
    both.sort(); // the list is in the order of the numbers
    let other = fixture.reopen().unwrap();
    assert!(fixture.authority.revoke(&both[0]).unwrap());
    assert!(other.revoke(&both[1]).unwrap());
    let [_, leaves] = fixture.crl_files();
    assert_eq!(read_crl(leaves.clone()).2, both);
    // The one that knows less renews it.
    fixture.clock.advance(DAY / 2 + Duration::from_secs(1)).unwrap();
    fixture.authority.renew_crls().unwrap();
    let (number, _, serials) = read_crl(leaves.clone());
    assert_eq!(serials, both);
    other.renew_crls().unwrap();
    assert_eq!(read_crl(leaves).0, number, "it is fresh already");
}

/// A leaf's serial number, and the certificate of the CA that is sent with it.
fn leaf(authority: &CertificateAuthority) -> (String, CertificateDer<'static>) {
    let leaf = authority.client_certificate("spiffe://authbench.test/a", DAY, CertificateKey::P256).unwrap();
    let sent: Vec<_> = CertificateDer::pem_slice_iter(leaf.chain_pem.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(ClientIdentity::from_der(&sent[0]).unwrap().serial.as_ref(), leaf.serial);
    let (issuer, ca) = (X509Certificate::from_der(&sent[0]).unwrap().1, X509Certificate::from_der(&sent[1]).unwrap().1);
    assert_eq!(issuer.issuer(), ca.subject(), "a leaf is sent with its own CA");
    (leaf.serial, sent[1].clone())
}

fn serial(ca: &CertificateDer<'_>) -> String {
    authority::serial_of(ca).unwrap()
}

#[test]
fn the_next_ca_signs_after_the_lead_and_the_last_is_revoked_after_the_overlap() {
    let fixture = fixture();
    let elsewhere = fixture.reopen().unwrap();
    let old = fixture.issuing().clone();
    assert_eq!(fixture.authority.next_end(), None);
    fixture.authority.roll_over(DAY / 8, DAY / 8).unwrap();
    let revoked = || read_crl(fixture.crl_files()[0].clone()).2;
    for authority in [&fixture.authority, &elsewhere] {
        let cas = authority.cas().unwrap();
        assert_eq!((cas.len(), cas[2].above), (3, Some(0)), "published at once, to all");
        assert_eq!(leaf(authority).1, old, "the new one does not sign yet");
    }
    fixture.clock.advance(DAY / 8).unwrap();
    let new = leaf(&fixture.authority).1;
    assert_eq!((&leaf(&elsewhere).1, &new), (&fixture.authority.cas().unwrap()[2].certificate, &new));
    assert_ne!(new, old);
    fixture.authority.renew_crls().unwrap();
    assert_eq!(revoked(), Vec::<String>::new(), "the overlap lasts");
    assert!(fixture.authority.next_end().unwrap() <= DAY / 8);

    fixture.clock.advance(DAY / 8).unwrap();
    assert_eq!(fixture.authority.next_end(), Some(Duration::ZERO));
    fixture.authority.renew_crls().unwrap();
    elsewhere.renew_crls().unwrap();
    assert_eq!((revoked(), fixture.authority.next_end()), (vec![serial(&old)], None));
    assert_eq!(leaf(&fixture.reopen().unwrap()).1, new, "after a restart too");
}

#[test]
fn a_restart_in_the_overlap_forgets_neither_the_new_ca_nor_the_end_of_the_old_one() {
    let fixture = fixture();
    fixture.authority.roll_over(Duration::ZERO, DAY / 8).unwrap();
    let mode = std::fs::metadata(fixture.dir.path().join("ca/issuing-2.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let restarted = fixture.reopen().unwrap();
    assert_eq!(restarted.cas().unwrap(), fixture.authority.cas().unwrap());
    assert!(restarted.next_end().unwrap() > Duration::ZERO);
    fixture.clock.advance(DAY / 8).unwrap();
    restarted.renew_crls().unwrap();
    assert_eq!(read_crl(fixture.crl_files()[0].clone()).2, [serial(fixture.issuing())]);
}

#[test]
fn leaves_of_every_generation_are_revoked_in_the_list_of_their_own_ca() {
    let fixture = fixture();
    let first = leaf(&fixture.authority).0;
    fixture.authority.roll_over(Duration::ZERO, DAY).unwrap();
    let second = leaf(&fixture.authority).0;
    // Whoever reads the records later knows whose they are.
    let reopened = fixture.reopen().unwrap();
    assert!(reopened.revoke(&first).unwrap() && reopened.revoke(&second).unwrap());
    let cas = reopened.cas().unwrap();
    let listed = |place: usize| read_crl(cas[place].crl.clone()).2;
    assert_eq!((listed(1), listed(2)), (vec![first.clone()], vec![second.clone()]));
    let [one, two] = reopened.leaves_cas().unwrap().try_into().ok().unwrap();
    let status = |by: &LeavesCa, serial: &str| fixture.authority.status(by, serial).unwrap();
    assert!(matches!(status(&one, &first), CertificateStatus::Revoked { .. }));
    assert!(matches!(status(&two, &second), CertificateStatus::Revoked { .. }));
    assert_eq!(status(&one, &second), CertificateStatus::Unknown, "a number is unique for its issuer only");
}

#[test]
fn a_revoked_ca_has_no_good_leaves_and_its_list_is_left_to_end() {
    let fixture = fixture();
    let first = leaf(&fixture.authority).0;
    fixture.authority.roll_over(Duration::ZERO, DAY / 8).unwrap();
    let second = leaf(&fixture.authority).0;
    let [one, two] = fixture.authority.leaves_cas().unwrap().try_into().ok().unwrap();
    let elsewhere = fixture.reopen().unwrap();
    let status = |by: &LeavesCa, serial: &str| elsewhere.status(by, serial).unwrap();
    assert_eq!((status(&one, &first), status(&two, &second)), (CertificateStatus::Good, CertificateStatus::Good));
    fixture.clock.advance(DAY / 8).unwrap();
    fixture.authority.renew_crls().unwrap();
    assert!(matches!(status(&one, &first), CertificateStatus::Revoked { .. }));
    assert_eq!(status(&one, "7f00"), CertificateStatus::Unknown, "it was never one of its leaves");
    assert_eq!(status(&two, &second), CertificateStatus::Good);

    let cas = fixture.authority.cas().unwrap();
    let numbers = || [&cas[0], &cas[1], &cas[2]].map(|ca| read_crl(ca.crl.clone()).0);
    let before = numbers();
    fixture.clock.advance(DAY).unwrap();
    fixture.authority.renew_crls().unwrap();
    assert_eq!(numbers(), [before[0] + 1, before[1], before[2] + 1]);
}

#[test]
fn what_is_to_end_earlier_is_not_kept_longer_by_the_next_rollover() {
    let fixture = fixture();
    fixture.authority.roll_over(Duration::ZERO, DAY / 8).unwrap();
    fixture.reopen().unwrap().roll_over(DAY / 16, DAY / 4).unwrap();
    let cas = fixture.authority.cas().unwrap();
    assert_eq!(cas.len(), 4, "one made elsewhere is not made again");
    let revoked = || read_crl(cas[0].crl.clone()).2.into_iter().collect::<HashSet<_>>();
    for (advance, over) in [(DAY / 8, 1), (DAY / 8, 1), (DAY / 16, 2), (DAY / 4, 2)] {
        fixture.clock.advance(advance).unwrap();
        fixture.authority.renew_crls().unwrap();
        assert_eq!(revoked(), cas[1..=over].iter().map(|ca| serial(&ca.certificate)).collect());
    }
    assert_eq!(leaf(&fixture.authority).1, cas[3].certificate, "the last one stays");
}

#[test]
fn a_root_that_signs_leaves_is_not_rolled_over_nor_a_ca_below_one_that_ends_soon() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::new(ClockMode::Controlled));
    let root = CertificateAuthority::open(dir.path(), clock, DAY, ChainLength::One).unwrap();
    assert!(!root.can_roll_over());
    assert!(root.roll_over(DAY, DAY).unwrap_err().0.contains("use a longer chain"));

    let fixture = fixture();
    fixture.clock.advance(14 * 365 * DAY).unwrap();
    let error = fixture.authority.roll_over(DAY, DAY).unwrap_err();
    assert!(error.0.contains("root.pem: ends too early"), "{error}");
    assert_eq!(fixture.authority.cas().unwrap().len(), 2);
}
