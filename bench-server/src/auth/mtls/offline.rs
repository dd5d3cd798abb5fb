//! A chain judged as in a handshake, against roots and CRLs that are given instead of a CA's own.

use std::sync::Arc;

use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::CertificateDer;

use super::revocation::{CrlError, Revocations, VerifiedCrl};
use super::verifier::{refused, verify_path};
use crate::clock::UnixTime;

/// Checks a leaf below any of the roots, and what could not be used of the CRLs. Without CRLs none is looked at; with some,
/// every certificate of the path needs one of its issuer.
///
/// # Errors
/// A word for the reason.
pub(crate) fn verify(
    roots: &[CertificateDer<'static>],
    crls: &[Vec<u8>],
    leaf: &CertificateDer<'_>,
    sent: &[CertificateDer<'_>],
    now: UnixTime,
) -> (Result<(), &'static str>, Vec<String>) {
    let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
    let issuers: Vec<&CertificateDer<'_>> = roots.iter().chain(sent).collect();
    let (mut lists, mut remarks) = (Vec::<(usize, Arc<VerifiedCrl>)>::new(), Vec::new());
    for (number, der) in crls.iter().enumerate() {
        let mut why = CrlError::OtherIssuer;
        let found = issuers.iter().enumerate().find_map(|(place, issuer)| {
            let known = lists.iter().find(|(other, _)| *other == place).map(|(_, crl)| &**crl);
            match VerifiedCrl::verify(der.clone(), issuer, &algorithms, known) {
                Ok(crl) => Some((place, Arc::new(crl))),
                Err(CrlError::OtherIssuer | CrlError::IssuerMayNotSign) => None,
                Err(error) => {
                    why = error;
                    None
                }
            }
        });
        match found {
            Some((place, crl)) => {
                lists.retain(|(other, _)| *other != place);
                lists.push((place, crl));
            }
            None => remarks.push(format!("CRL {} is not used: {why}", number + 1)),
        }
    }
    let mut verdict = Err("unknown_issuer");
    for (place, root) in roots.iter().enumerate() {
        let mut store = RootCertStore::empty();
        if let Err(error) = store.add(root.clone()) {
            remarks.push(format!("root {} is not used: {error}", place + 1));
            continue;
        }
        // The root's list comes first, which is where the last of the path is looked up.
        let own = lists.iter().filter(|(issuer, _)| *issuer == place);
        let others = lists.iter().filter(|(issuer, _)| *issuer != place);
        let known = own.clone().count() > 0;
        let revocations = Revocations::new(own.chain(others).map(|(_, crl)| (crl.clone(), "", None)));
        let look_up = |path: &webpki::VerifiedPath<'_>| {
            if crls.is_empty() {
                Ok(())
            } else if known {
                revocations.check_path(path, now)
            } else {
                Err(webpki::Error::UnknownRevocationStatus)
            }
        };
        match verify_path(leaf, sent, &store.roots, &algorithms, now, look_up) {
            Ok(()) => return (Ok(()), remarks),
            // That another root is not the right one says nothing about this one.
            Err(webpki::Error::UnknownIssuer) => {}
            Err(error) => verdict = Err(word(&refused(error))),
        }
    }
    (verdict, remarks)
}

fn word(error: &Error) -> &'static str {
    let Error::InvalidCertificate(why) = error else { return "other" };
    match why {
        CertificateError::BadEncoding => "malformed",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "not_yet_valid",
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "expired",
        CertificateError::Revoked => "revoked",
        CertificateError::UnknownRevocationStatus => "unknown_revocation_status",
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "expired_crl"
        }
        CertificateError::UnknownIssuer => "unknown_issuer",
        CertificateError::BadSignature => "bad_signature",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "purpose",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustls_pki_types::pem::PemObject as _;

    use super::*;
    use crate::clock::Clock;
    use crate::config::{CertificateKey, ChainLength, ClockMode};
    use crate::issuer::ca::CertificateAuthority;

    struct Authority {
        ca: CertificateAuthority,
        clock: Clock,
        _dir: tempfile::TempDir,
    }

    impl Authority {
        fn new() -> Self {
            let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::new(ClockMode::Controlled));
            let hour = Duration::from_secs(3600);
            let ca = CertificateAuthority::open(dir.path(), clock.clone(), hour, ChainLength::default()).unwrap();
            Self { ca, clock, _dir: dir }
        }

        fn roots(&self) -> Vec<CertificateDer<'static>> {
            vec![self.ca.root_certificate().clone()]
        }

        fn crls(&self) -> Vec<Vec<u8>> {
            self.ca.cas().unwrap().iter().map(|ca| std::fs::read(&ca.crl).unwrap()).collect()
        }

        fn verify(&self, crls: &[Vec<u8>], chain: &[CertificateDer<'static>]) -> Result<(), &'static str> {
            verify(&self.roots(), crls, &chain[0], &chain[1..], self.clock.now()).0
        }
    }

    fn chain(pem: &str) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn hk_3_a_chain_is_judged_as_in_a_handshake() {
        let (ours, other) = (Authority::new(), Authority::new());
        let lifetime = Duration::from_secs(60);
        let issued = ours.ca.client_certificate("spiffe://authbench.test/x", lifetime, CertificateKey::P256).unwrap();
        let certificates = chain(&issued.chain_pem);
        assert_eq!(ours.verify(&[], &certificates), Ok(()));
        assert_eq!(ours.verify(&ours.crls(), &certificates), Ok(()));
        assert_eq!(ours.verify(&[], &certificates[..1]), Err("unknown_issuer"), "the CA between is missing");
        assert_eq!(other.verify(&[], &certificates), Err("unknown_issuer"));
        let both = [other.roots(), ours.roots()].concat();
        let (verdict, _) = verify(&both, &ours.crls(), &certificates[0], &certificates[1..], ours.clock.now());
        assert_eq!(verdict, Ok(()), "one of the roots is enough");
        // Of two CAs one list is not enough, whichever it is; one of somebody else's is none.
        for crl in ours.crls() {
            assert_eq!(ours.verify(&[crl], &certificates), Err("unknown_revocation_status"));
        }
        assert_eq!(ours.verify(&other.crls(), &certificates), Err("unknown_revocation_status"));
        let (_, remarks) = verify(&ours.roots(), &[b"x".to_vec()], &certificates[0], &[], ours.clock.now());
        assert!(remarks[0].contains("CRL 1 is not used"), "{remarks:?}");

        let before = ours.crls();
        ours.ca.revoke(&issued.serial).unwrap();
        assert_eq!(ours.verify(&ours.crls(), &certificates), Err("revoked"));
        // The newer list of a CA counts, in whichever order they come.
        for lists in [[before.clone(), ours.crls()].concat(), [ours.crls(), before].concat()] {
            assert_eq!(ours.verify(&lists, &certificates), Err("revoked"));
        }
        assert_eq!(ours.verify(&[], &certificates), Ok(()), "nobody looks");
        ours.clock.advance(Duration::from_secs(62)).unwrap();
        assert_eq!(ours.verify(&[], &certificates), Err("expired"));
        ours.clock.advance(Duration::from_secs(3600)).unwrap();
        assert_eq!(
            verify(&ours.roots(), &[], &certificates[1], &[], ours.clock.now()).0,
            Err("other"),
            "a CA is no leaf"
        );
        let nonsense = CertificateDer::from(&b"x"[..]);
        assert_eq!(verify(&ours.roots(), &[], &nonsense, &[], ours.clock.now()).0, Err("malformed"));
    }
}
