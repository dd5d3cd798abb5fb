//! Sessions that a password opens.

use super::*;
use crate::config::{SessionConfig, StoreConfig};

fn with_sessions(store: StoreConfig) -> BasicConfig {
    let session = Some(SessionConfig { lifetime: Duration::from_secs(60) });
    BasicConfig { session, store, ..config(CHEAP, None) }
}

#[tokio::test]
async fn ba_22_a_password_is_exchanged_once_for_a_session_that_dies_with_it() {
    let config = with_sessions(StoreConfig::Sqlite);
    let bench = Bench::new(&config).await;
    bench.create("anna", "correct horse").await.expect("create");
    let now = bench.environment.clock.now();
    let session = bench.open_session(&basic("anna", "correct horse")).await.expect("a session");
    let bearer = format!("Bearer {session}");
    let before = bench.counts();
    let expected = Principal::new(PrincipalKind::User, "anna", "read", "anna");
    assert_eq!(bench.send(&[("authorization", &bearer)]).await, Ok(expected.clone()));
    assert_eq!(bench.counts(), (before.0, before.1 + 1, 0), "a lookup and no hash");
    // Nothing is kept for it, so each replica knows it; the password works all the same.
    let replica = bench.replica(&config).await;
    let (head, connection) = (head("/", &[("authorization", &bearer)]), connection());
    assert_eq!(replica.authenticate(&Request { head: &head, connection: &connection, now }).await, Ok(expected));
    assert!(bench.present("anna", "correct horse").await.is_ok());

    assert_eq!(bench.open_session(&basic("anna", "wrong")).await, Err(Rejection::Invalid(Cause::WrongSecret)));
    assert_eq!(bench.open_session(&bearer).await, Err(Rejection::Missing), "a session opens no other");
    let end = UnixTime(now.0 + Duration::from_secs(61));
    let at_the_end = bench.at(end, "/", &[("authorization", &bearer)]).await;
    assert_eq!(at_the_end, Err(Rejection::Invalid(Cause::Expired)));

    bench.method.revoke("anna").await.expect("revoke");
    assert_eq!(bench.send(&[("authorization", &bearer)]).await, UNKNOWN, "also where another node changes it");
    assert_eq!(replica.authenticate(&Request { head: &head, connection: &connection, now }).await, UNKNOWN);
}

#[tokio::test]
async fn ba_22_sessions_cannot_be_forged() {
    let bench = Bench::new(&with_sessions(StoreConfig::Memory)).await;
    bench.create("anna", "correct horse").await.expect("create");
    bench.create("bert", "correct horse").await.expect("create");
    let session = bench.open_session(&basic("anna", "correct horse")).await.expect("a session");
    for place in 3..session.len() {
        let mut forged = session.clone().into_bytes();
        forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("ASCII");
        let verdict = bench.send(&[("authorization", &format!("Bearer {forged}"))]).await;
        let refused = [Cause::Malformed, Cause::Unknown].map(|cause| Err(Rejection::Invalid(cause)));
        assert!(refused.contains(&verdict), "{place}: {verdict:?}");
    }
    let other = Bench::new(&with_sessions(StoreConfig::Memory)).await;
    other.create("anna", "correct horse").await.expect("create");
    assert_eq!(other.send(&[("authorization", &format!("Bearer {session}"))]).await, UNKNOWN, "another key");
    for bad in ["Bearer", "Bearer bs_", "Bearer bs_!!!!", "Bearer x", &format!("Bearer bs_{}", "A".repeat(4_000))] {
        assert_eq!(bench.send(&[("authorization", bad)]).await, Err(Rejection::Invalid(Cause::Malformed)), "{bad:?}");
    }
    let plain = Bench::new(&config(CHEAP, None)).await;
    assert_eq!(plain.send(&[("authorization", &format!("Bearer {session}"))]).await, Err(Rejection::Missing));
    for lifetime in [Duration::ZERO, Duration::from_secs(86_401)] {
        let config = BasicConfig { session: Some(SessionConfig { lifetime }), ..config(CHEAP, None) };
        assert!(matches!(Basic::build("test", &config, &bench.environment).await, Err(BuildError::Config(_))));
    }
}

#[tokio::test]
async fn ba_22_issued_users_come_with_a_session_and_a_weak_hash_is_renewed_before() {
    let strong = PasswordHash::Pbkdf2Sha256 { iterations: 3 };
    let bench = Bench::new(&BasicConfig { hash: strong, ..with_sessions(StoreConfig::Memory) }).await;
    let request = IssueRequest { count: 2, lifetime: None, scopes: vec!["read".to_owned()] };
    for issued in bench.method.issue(&request).await.expect("issue") {
        let Material::Bearer { token } = &issued.material else { panic!("{issued:?}") };
        let principal = bench.send(&[("authorization", &format!("Bearer {}", token.expose()))]).await;
        assert_eq!(&*principal.expect("accepted").id, issued.principal.as_str());
        let renewed =
            bench.method.renew(&issued.id, &IssueRequest { count: 1, ..request.clone() }).await.expect("renewed");
        assert_eq!(bench.send(&[("authorization", &format!("Bearer {}", token.expose()))]).await, UNKNOWN);
        let Material::Bearer { token } = &renewed.material else { panic!("{renewed:?}") };
        assert!(bench.send(&[("authorization", &format!("Bearer {}", token.expose()))]).await.is_ok());
    }
    bench.create_with("anna", "correct horse", CHEAP).await;
    let session = bench.open_session(&basic("anna", "correct horse")).await.expect("a session");
    assert!(bench.stored("anna").await.starts_with("$pbkdf2-sha256$i=3$"));
    assert!(bench.send(&[("authorization", &format!("Bearer {session}"))]).await.is_ok());
}
