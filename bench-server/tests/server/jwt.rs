//! JWTs over HTTP, and what an administrator does with them over the control socket.
use std::time::Duration;

use crate::common::{STRICT, Server};
use bench_server::contract::{
    Algorithm, DenyListConfig, IssueRequest, Issued, JwtConfig, Material, MethodConfig, READ_SCOPE, SubjectRevocation,
};

fn with_denylist() -> MethodConfig {
    let denylist = Some(DenyListConfig::new(Duration::from_secs(3600)));
    MethodConfig::Jwt(JwtConfig { denylist, ..JwtConfig::new(Algorithm::EdDSA) })
}

#[tokio::test]
async fn jw_30_a_subject_is_revoked_before_a_time_and_the_list_is_in_the_counters() {
    let server = Server::start(with_denylist()).await;
    let old = server.issue(&[READ_SCOPE], None).await;
    server.advance(Duration::from_secs(100)).await;
    let path = format!("/profiles/subject/principals/{}/credentials", old.principal);
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec![READ_SCOPE.to_owned()] };
    let new: Vec<Issued> = server.control_post(&path, &request).await.json().await.expect("a token");
    let empty = server.counters().await;
    assert_eq!((empty.denylist_entries, empty.denylist_bytes), (0, 0));

    // The server's clock is a hundred seconds ahead of this one.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let revocation = SubjectRevocation { subject: old.principal.clone(), issued_before: now + 50 };
    let answer = server.control_post("/profiles/subject/revocations", &revocation).await;
    assert_eq!(answer.status(), 204);
    server.call(&old.material).await.assert_challenge("Bearer", Some("invalid_token"));
    server.call(&new[0].material).await.assert_accepted(&old.principal);
    let counters = server.counters().await;
    assert_eq!(counters.denylist_entries, 1);
    assert!((40..4_096).contains(&counters.denylist_bytes), "{}", counters.denylist_bytes);
    assert_eq!(counters.since(&empty).denylist_entries, 1, "what is held is no total");
    server.stop().await;
}

#[tokio::test]
async fn xc_8_bc_113_a_token_over_the_cap_costs_no_signature_check() {
    let server =
        Server::start(MethodConfig::Jwt(JwtConfig { rules: STRICT, ..JwtConfig::new(Algorithm::ES256) })).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let Material::Bearer { token } = &issued.material else { panic!("not a token") };
    let before = server.counters().await.verify_calls;
    for (length, status) in [(8_193, 401), (30_000, 401), (1 << 20, 431)] {
        let long = format!("{}{}", token.expose(), "A".repeat(length - token.expose().len()));
        let answer = server.call_with("/whoami", &[("authorization", &format!("Bearer {long}"))]).await;
        assert_eq!(answer.status(), Some(status), "{length} bytes");
    }
    assert_eq!(server.counters().await.verify_calls, before);
    server.call(&issued.material).await.assert_accepted(&issued.principal);
    server.stop().await;
}
