//! Somebody else's CAs, known by their files alone.

use super::*;
use crate::auth::mtls::offline;
use crate::config::{ForeignCa, ForeignPki};

/// A fixture whose clients' CA belongs to somebody else: that of another fixture's profile.
struct Elsewhere {
    issuing: Fixture,
    here: Fixture,
}

fn pki(of: &Fixture, cas: &[&str]) -> ForeignPki {
    let file = |name: &str, kind: &str| of.ca(&format!("{name}.{kind}"));
    let ca = |name: &&str| ForeignCa { certificate: file(name, "pem"), crl: Some(file(name, "crl")) };
    ForeignPki { cas: cas.iter().map(ca).collect() }
}

fn elsewhere() -> Elsewhere {
    let issuing = fixture();
    let here = with(&MtlsConfig { pki: Some(pki(&issuing, &["root", "issuing"])), ..config() });
    assert!(!here.ca("").exists(), "no CA is made here");
    Elsewhere { issuing, here }
}

#[tokio::test]
async fn hk_12_certificates_of_a_foreign_ca_are_accepted_until_its_list_names_them() {
    let Elsewhere { issuing, here } = elsewhere();
    let pair = issuing.issue(2).await;
    let open = here.handshake(&rustls::version::TLS13, issued(&pair[0])).unwrap();
    assert_eq!(*here.call(&open).unwrap().id, *pair[0].principal);
    issuing.mtls.revoke(&pair[0].id).await.unwrap();
    assert!(here.mtls.verifier.reload().unwrap());
    assert_eq!(here.call(&open), Err(Rejection::Invalid(Cause::Revoked)));
    assert_eq!(here.alerts(|| issued(&pair[0])), both(AlertDescription::CertificateRevoked));
    assert_eq!(here.alerts(|| issued(&pair[1])), [None, None]);
    // Another CA altogether.
    let stranger = fixture();
    let other = stranger.issue(1).await.remove(0);
    assert_eq!(here.alerts(|| issued(&other)), both(AlertDescription::UnknownCA));
}

#[tokio::test]
async fn hk_12_nothing_is_issued_or_revoked_here() {
    let Elsewhere { issuing, here } = elsewhere();
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    assert!(matches!(here.mtls.issue(&request).await, Err(AdminError::NotHere(_))));
    let one = issuing.issue(1).await.remove(0);
    assert!(matches!(here.mtls.revoke(&one.id).await, Err(AdminError::NotHere(_))));
    let rollover = KeyRollover { lead: None, overlap: None, standby: false };
    assert!(matches!(here.mtls.roll_over(&rollover).await, Err(AdminError::NotHere(_))));
    assert!(here.mtls.ocsp_responder().is_none());
}

#[tokio::test]
async fn hk_12_lists_may_be_pem_and_the_root_may_sign_leaves() {
    let issuing = with(&MtlsConfig { chain_length: ChainLength::One, ..config() });
    let one = issuing.issue(1).await.remove(0);
    let crl = std::fs::read(issuing.ca("root.crl")).unwrap();
    let pem = {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(crl);
        let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", lines.join("\n"))
    };
    std::fs::write(issuing.ca("list.pem"), pem).unwrap();
    let root = ForeignCa { certificate: issuing.ca("root.pem"), crl: Some(issuing.ca("list.pem")) };
    let here = with(&MtlsConfig { pki: Some(ForeignPki { cas: vec![root] }), ..config() });
    assert_eq!(here.alerts(|| issued(&one)), [None, None]);
}

#[tokio::test]
async fn hk_12_contradictory_files_are_named() {
    let (issuing, stranger) = (fixture(), fixture());
    let environment = &issuing.environment;
    let refused = |cas: Vec<ForeignCa>| {
        let config = MtlsConfig { pki: Some(ForeignPki { cas }), ..config() };
        match Mtls::build("foreign", &config, environment) {
            Err(BuildError::Config(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    let good = pki(&issuing, &["root", "issuing"]).cas;
    assert!(refused(vec![]).contains("is empty"));
    assert!(refused(vec![good[1].clone(), good[0].clone()]).contains("signed by none of those before it"));
    assert!(refused(vec![pki(&stranger, &["root"]).cas[0].clone(), good[1].clone()]).contains("signed by none"));
    assert!(refused(vec![ForeignCa { crl: None, ..good[0].clone() }]).contains("has no crl"));
    assert!(refused(vec![ForeignCa { certificate: issuing.ca("root.crl"), ..good[0].clone() }]).contains("root.crl"));
    assert!(refused(vec![ForeignCa { certificate: issuing.ca("none"), ..good[0].clone() }]).contains("cannot be read"));
}

/// Made by another tool, since ours makes none that are weak: a root, and leaves of it by the name of what is wrong with them.
#[test]
fn mt_8_bc_144_weak_keys_and_signatures_are_refused() {
    let pem = include_bytes!("weak.pem");
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem).map(Result::unwrap).collect();
    let [root, good, rsa_1024, sha_1, p_224] = all.as_slice() else { panic!("five certificates") };
    let now = UnixTime(Duration::from_secs(1_800_000_000));
    let roots = std::slice::from_ref(root);
    let judged = |leaf: &CertificateDer<'static>| offline::verify(roots, &[], leaf, &[], now).0;
    assert_eq!(judged(good), Ok(()));
    for (weak, what) in [(rsa_1024, "RSA-1024"), (sha_1, "SHA-1"), (p_224, "P-224")] {
        assert!(judged(weak).is_err(), "{what}");
    }
}
