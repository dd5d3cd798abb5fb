//! The CA that signs leaves is replaced: who is accepted by whom, and from when on not.

use super::*;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn after(overlap: Duration) -> KeyRollover {
    KeyRollover { lead: NOW, overlap: Some(overlap), standby: false }
}

#[tokio::test]
async fn another_replica_hears_of_a_new_ca_and_of_the_end_of_the_old_one_when_it_looks() {
    for chain_length in [ChainLength::Two, ChainLength::Three] {
        let fixture = with(&MtlsConfig { chain_length, ..config() });
        let replica = &fixture.mtls;
        let asked = Mtls::build("mtls", &MtlsConfig { chain_length, ..config() }, &fixture.environment).unwrap();
        let old = fixture.issue(1).await.remove(0);
        let open = fixture.handshake(&rustls::version::TLS13, issued(&old)).unwrap();
        asked.roll_over(&after(HOUR)).await.unwrap();
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
        let new = asked.renew(&old.principal, &request).await.unwrap();

        // Nothing is known of what the new one signed, which is not good enough.
        assert_eq!(fixture.alerts(|| issued(&new)), both(AlertDescription::UnknownCA));
        assert_eq!(fixture.alerts(|| issued(&old)), [None, None]);
        assert!(replica.verifier.reload().unwrap());
        assert_eq!(fixture.alerts(|| issued(&new)), [None, None]);
        assert_eq!(fixture.alerts(|| issued(&old)), [None, None], "both, while they overlap");
        let changed_over = fixture.handshake(&rustls::version::TLS13, issued(&new)).unwrap();
        assert_eq!(fixture.call(&changed_over).unwrap().id, fixture.call(&open).unwrap().id);

        fixture.clock.advance(HOUR).unwrap();
        asked.authority().renew_crls().unwrap();
        assert_eq!(fixture.alerts(|| issued(&old)), [None, None], "the CRL has not been reloaded");
        assert!(fixture.call(&open).is_ok());
        assert!(replica.verifier.reload().unwrap());
        assert_eq!(fixture.alerts(|| issued(&old)), both(AlertDescription::CertificateRevoked));
        assert_eq!(fixture.call(&open), Err(Rejection::Invalid(Cause::Revoked)));
        assert_eq!(fixture.alerts(|| issued(&new)), [None, None]);
        assert!(fixture.call(&changed_over).is_ok());
    }
}

#[tokio::test]
async fn the_ended_list_of_a_revoked_ca_takes_nobody_else_along() {
    let fixture = fixture();
    let request = IssueRequest { count: 1, lifetime: Some(10 * DAY), scopes: vec![READ_SCOPE.to_owned()] };
    let old = fixture.mtls.issue(&request).await.unwrap().remove(0);
    let open = fixture.handshake(&rustls::version::TLS13, issued(&old)).unwrap();
    fixture.mtls.roll_over(&after(HOUR)).await.unwrap();
    let new = fixture.mtls.issue(&request).await.unwrap().remove(0);
    for _ in 0..2 {
        fixture.clock.advance(DAY).unwrap();
        fixture.mtls.authority().renew_crls().unwrap();
        fixture.mtls.verifier.reload().unwrap();
    }
    assert_eq!(fixture.alerts(|| issued(&new)), [None, None]);
    assert_eq!(fixture.alerts(|| issued(&old)), both(AlertDescription::CertificateRevoked));
    assert_eq!(fixture.call(&open), Err(Rejection::Invalid(Cause::Revoked)), "and not merely unknown");
    // Nor does a restart mind it.
    let restarted = Mtls::build("mtls", &config(), &fixture.environment).unwrap();
    let connection = fixture.handshake(&rustls::version::TLS12, issued(&new)).unwrap();
    assert!(fixture.call_at(&restarted, &connection).is_ok());
    assert_eq!(fixture.call_at(&restarted, &open), Err(Rejection::Invalid(Cause::Revoked)));
}

#[tokio::test]
async fn a_leaf_of_either_ca_is_revoked_alone() {
    let fixture = fixture();
    let old = fixture.issue(2).await;
    fixture.mtls.roll_over(&after(HOUR)).await.unwrap();
    let new = fixture.issue(2).await;
    for pair in [&old, &new] {
        fixture.mtls.revoke(&pair[0].id).await.unwrap();
        assert_eq!(fixture.alerts(|| issued(&pair[0])), both(AlertDescription::CertificateRevoked));
        assert_eq!(fixture.alerts(|| issued(&pair[1])), [None, None]);
    }
}

#[tokio::test]
async fn without_an_overlap_the_old_ca_has_ended_when_that_is_acknowledged() {
    let fixture = fixture();
    let old = fixture.issue(1).await.remove(0);
    fixture.mtls.roll_over(&after(Duration::ZERO)).await.unwrap();
    assert_eq!(fixture.alerts(|| issued(&old)), both(AlertDescription::CertificateRevoked));
    let new = fixture.issue(1).await.remove(0);
    assert_eq!(fixture.alerts(|| issued(&new)), [None, None]);
}

/// In the process that was asked, however rarely it looks at the CRL.
#[tokio::test]
async fn the_old_ca_is_revoked_by_itself_at_the_end_of_the_overlap() {
    let fixture = with(&MtlsConfig::new(HOUR));
    fixture.mtls.roll_over(&after(Duration::from_millis(20))).await.unwrap();
    let ended = async {
        while fixture.mtls.authority().next_end().is_some() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HOUR, ended).await.expect("it ends");
    let restarted = Mtls::build("mtls", &config(), &fixture.environment).unwrap();
    assert!(restarted.authority().next_end().is_none(), "the CRL remembers it");
}

#[tokio::test]
async fn what_no_ca_can_do_is_refused() {
    let refused = |error: Result<(), AdminError>, remedy: &str| match error {
        Err(AdminError::BadRequest(text)) => assert!(text.contains(remedy), "{text}"),
        other => panic!("{other:?}"),
    };
    let fixture = fixture();
    refused(fixture.mtls.roll_over(&KeyRollover::AFTER_THEFT).await, "leave standby out");
    refused(fixture.mtls.roll_over(&after(10_000 * DAY)).await, "is possible");
    let root = with(&MtlsConfig { chain_length: ChainLength::One, ..config() });
    refused(root.mtls.roll_over(&after(HOUR)).await, "chain_length of 2 or 3");
    let unlooked = with(&MtlsConfig::short_lived(HOUR));
    refused(unlooked.mtls.roll_over(&after(HOUR)).await, "crl_reload or ocsp");
    assert_eq!(fixture.mtls.authority().cas().unwrap().len(), 2, "nothing was made");
}
