//! The method `jwt`: issuing, revoking, deny-lists and caches. The rules of a token are tried in `validator`.

use std::net::SocketAddr;

use futures_util::FutureExt as _;

use super::*;
use crate::auth::Connection;
use crate::config::{Algorithm, DenyListConfig};

struct Fixture {
    _dir: tempfile::TempDir,
    environment: Environment,
    config: JwtConfig,
    jwt: Jwt,
}

async fn fixture(denylist: Option<Duration>) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let environment = crate::testing::environment(dir.path());
    let config = JwtConfig {
        lifetime: Duration::from_secs(300),
        denylist: denylist.map(DenyListConfig::new),
        ..JwtConfig::new(Algorithm::EdDSA)
    };
    let jwt = Jwt::build("jwt-eddsa", &config, &environment).await.unwrap();
    Fixture { _dir: dir, environment, config, jwt }
}

impl Fixture {
    /// Another node with the same keys and deny-list.
    async fn replica(&self) -> Jwt {
        Jwt::build("jwt-eddsa", &self.config, &self.environment).await.unwrap()
    }

    /// What the poll does.
    async fn catch_up(&self) {
        let kept = self.jwt.denylist.as_ref().unwrap();
        kept.catch_up().await.unwrap();
        kept.copy().prune(self.environment.clock.now());
    }

    async fn issue(&self, count: usize) -> Vec<Issued> {
        let request = IssueRequest { count, lifetime: None, scopes: vec!["read".to_owned(), "write".to_owned()] };
        self.jwt.issue(&request).await.unwrap()
    }

    fn call(&self, issued: &Issued) -> Result<Principal, Rejection> {
        call(&self.jwt, self.environment.clock.now(), issued)
    }

    /// The same token on the same route, in another mode.
    async fn in_mode(&self, change: impl FnOnce(&mut JwtConfig)) -> Jwt {
        let mut config = self.config.clone();
        change(&mut config);
        Jwt::build("jwt-eddsa", &config, &self.environment).await.unwrap()
    }
}

/// For modes that ask nobody.
fn call(jwt: &Jwt, now: UnixTime, issued: &Issued) -> Result<Principal, Rejection> {
    ask(jwt, now, issued).now_or_never().expect("it does not wait")
}

async fn ask(jwt: &Jwt, now: UnixTime, issued: &Issued) -> Result<Principal, Rejection> {
    let Material::Bearer { token } = &issued.material else { panic!("a bearer token was issued") };
    let head = http::Request::builder().header("Authorization", format!("Bearer {}", token.expose()));
    let (head, ()) = head.body(()).unwrap().into_parts();
    let connection = Connection::new(SocketAddr::from(([127, 0, 0, 1], 1)), None);
    jwt.authenticate(&Request { head: &head, connection: &connection, now }).await
}

/// An hour: the copy is refreshed by the test only.
const BY_HAND: Option<Duration> = Some(Duration::from_secs(3600));

#[tokio::test]
async fn jw_31_jw_34_issued_tokens_are_accepted_each_for_its_own_subject() {
    let fixture = fixture(None).await;
    let issued = fixture.issue(3).await;
    for one in &issued {
        let principal = fixture.call(one).unwrap();
        assert_eq!((&*principal.id, &*principal.credential_id), (&*one.principal, &*one.id));
        assert!(principal.has_scope("read") && principal.has_scope("write") && one.principal.starts_with("app-"));
    }
    assert_ne!(issued[0].id, issued[1].id);
    assert_ne!(issued[0].principal, issued[1].principal);
    let counters = &fixture.environment.meter;
    assert_eq!((counters.verify_calls.get(), counters.store_lookups.get()), (3, 0));
}

#[tokio::test]
async fn jw_31_stateless_tokens_outlive_their_revocation_until_exp() {
    let fixture = fixture(None).await;
    let issued = &fixture.issue(1).await[0];
    fixture.jwt.revoke(&issued.id).await.unwrap();
    assert!(fixture.call(issued).is_ok());
    fixture.environment.clock.advance(Duration::from_secs(300 + 31)).unwrap();
    assert_eq!(fixture.call(issued), Err(Rejection::Invalid(Cause::Expired)));
}

#[tokio::test]
async fn jw_30_bc_114_a_revoked_token_is_refused_after_the_next_poll_and_others_are_not() {
    let fixture = fixture(BY_HAND).await;
    let issued = fixture.issue(2).await;
    let elsewhere = fixture.replica().await;
    elsewhere.revoke(&issued[0].id).await.unwrap();
    let now = fixture.environment.clock.now();
    assert_eq!(call(&elsewhere, now, &issued[0]), Err(Rejection::Invalid(Cause::Revoked)), "RV-1: there at once");
    assert!(fixture.call(&issued[0]).is_ok(), "here it has not been heard of");
    fixture.catch_up().await;
    assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
    assert!(fixture.call(&issued[1]).is_ok());
    let counters = &fixture.environment.meter;
    assert_eq!((counters.store_lookups.get(), counters.store_writes.get()), (4, 1));
}

#[tokio::test]
async fn jw_30_a_subject_can_be_revoked_as_a_whole() {
    let fixture = fixture(BY_HAND).await;
    let issued = fixture.issue(2).await;
    fixture.replica().await.revoke(&issued[0].principal).await.unwrap();
    assert!(fixture.call(&issued[0]).is_ok(), "here it has not been heard of");
    fixture.catch_up().await;
    assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
    assert!(fixture.call(&issued[1]).is_ok());
}

#[tokio::test]
async fn jw_30_a_subject_is_revoked_before_a_time() {
    let fixture = fixture(BY_HAND).await;
    let clock = &fixture.environment.clock;
    let old = &fixture.issue(1).await[0];
    clock.advance(Duration::from_secs(100)).unwrap();
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
    let new = fixture.jwt.renew(&old.principal, &request).await.unwrap();
    let now = clock.now().as_secs();
    let before = |subject: &str, issued_before| SubjectRevocation { subject: subject.to_owned(), issued_before };
    fixture.replica().await.revoke_subject(&before(&old.principal, now - 50)).await.unwrap();
    assert!(fixture.call(old).is_ok(), "here it has not been heard of");
    fixture.catch_up().await;
    assert_eq!(fixture.call(old), Err(Rejection::Invalid(Cause::Revoked)));
    assert!(fixture.call(&new).is_ok(), "issued after that time");
    assert!(fixture.call(&fixture.issue(1).await[0]).is_ok(), "another subject");

    // A later time takes more, an earlier one gives nothing back.
    fixture.jwt.revoke_subject(&before(&old.principal, now + 1)).await.unwrap();
    fixture.jwt.revoke_subject(&before(&old.principal, now - 99)).await.unwrap();
    assert_eq!(fixture.call(&new), Err(Rejection::Invalid(Cause::Revoked)));

    // What nobody could hold any more needs no entry.
    let entries = fixture.jwt.denylist_size().unwrap().entries;
    let other = &fixture.issue(1).await[0];
    fixture.jwt.revoke_subject(&before(&other.principal, 0)).await.unwrap();
    fixture.jwt.revoke_subject(&before(&other.principal, now - 10_000)).await.unwrap();
    assert_eq!(fixture.jwt.denylist_size().unwrap().entries, entries);
    for (subject, time) in [("app-1", now), (&*other.id, now), ("", now)] {
        assert!(matches!(fixture.jwt.revoke_subject(&before(subject, time)).await, Err(AdminError::NotFound(_))));
    }
    for time in [now + 1000, u64::MAX] {
        let refused = fixture.jwt.revoke_subject(&before(&other.principal, time)).await;
        assert!(matches!(refused, Err(AdminError::BadRequest(_))), "{time}");
    }
}

#[tokio::test]
async fn jw_34_every_token_is_its_own_and_names_its_key() {
    use base64::Engine as _;
    let Fixture { environment, .. } = &fixture(None).await;
    let jwt = Jwt::build("jwt-es256", &JwtConfig::new(Algorithm::ES256), environment).await.unwrap();
    let request = IssueRequest { count: 200, lifetime: None, scopes: vec![] };
    let issued = jwt.issue(&request).await.unwrap();
    let (mut ids, mut nonces) = (std::collections::HashSet::new(), std::collections::HashSet::new());
    for one in &issued {
        let Material::Bearer { token } = &one.material else { panic!("a bearer token was issued") };
        let parts: Vec<Vec<u8>> = token
            .expose()
            .split('.')
            .map(|part| base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        let header: serde_json::Value = serde_json::from_slice(&parts[0]).unwrap();
        assert_eq!((&header["typ"], &header["alg"]), (&"at+jwt".into(), &"ES256".into()));
        assert_eq!(header["kid"], jwt.signing.kid());
        let claims: serde_json::Value = serde_json::from_slice(&parts[1]).unwrap();
        assert!(ids.insert(claims["jti"].as_str().unwrap().to_owned()));
        // R is what the nonce of a signature makes: one that comes twice gives the key away.
        assert!(nonces.insert(parts[2][..32].to_vec()));
    }
}

#[tokio::test]
async fn jw_33_a_verified_token_is_not_verified_again_but_still_expires_and_is_revoked() {
    let Fixture { environment, config, _dir, .. } = fixture(BY_HAND).await;
    let cache = Some(crate::config::CacheConfig::new(Duration::from_secs(3600)));
    let config = JwtConfig { cache, ..config };
    let jwt = Jwt::build("jwt-eddsa", &config, &environment).await.unwrap();
    let fixture = Fixture { environment, config, jwt, _dir };
    let issued = fixture.issue(2).await;
    for _ in 0..3 {
        let principal = fixture.call(&issued[0]).unwrap();
        assert_eq!((&*principal.id, &*principal.credential_id), (&*issued[0].principal, &*issued[0].id));
    }
    let counters = &fixture.environment.meter;
    assert_eq!((counters.verify_calls.get(), counters.cache_hits.get(), counters.store_lookups.get()), (1, 2, 3));
    assert!(fixture.call(&issued[1]).is_ok());
    // What differs in one character is another token.
    let Material::Bearer { token } = &issued[0].material else { panic!("a bearer token was issued") };
    let mut forged = token.expose().to_owned();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.push(last);
    let forged = Issued { material: Material::Bearer { token: Secret::new(forged) }, ..issued[0].clone() };
    assert!(matches!(fixture.call(&forged), Err(Rejection::Invalid(_))));

    fixture.jwt.revoke(&issued[0].id).await.unwrap();
    assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
    fixture.environment.clock.advance(Duration::from_secs(300 + 31)).unwrap();
    assert_eq!(fixture.call(&issued[1]), Err(Rejection::Invalid(Cause::Expired)));
}

#[tokio::test]
async fn jw_30_an_entry_outlives_every_token_that_it_names() {
    let fixture = fixture(BY_HAND).await;
    let request = IssueRequest { count: 1, lifetime: Some(Duration::from_secs(900)), scopes: vec![] };
    let issued = &fixture.jwt.issue(&request).await.unwrap()[0];
    fixture.jwt.revoke(&issued.id).await.unwrap();
    fixture.environment.clock.advance(Duration::from_secs(900 + 28)).unwrap();
    fixture.catch_up().await;
    assert_eq!(fixture.call(issued), Err(Rejection::Invalid(Cause::Revoked)), "the leeway has not passed");
    // Two minutes beside that, for clocks that differ.
    fixture.environment.clock.advance(Duration::from_secs(30 + 120 + 31)).unwrap();
    fixture.catch_up().await;
    assert_eq!(fixture.jwt.denylist.as_ref().unwrap().copy().len(), 0);
    assert_eq!(fixture.call(issued), Err(Rejection::Invalid(Cause::Expired)));
}

#[tokio::test]
async fn jw_30_jw_34_a_restart_keeps_keys_and_revocations() {
    let fixture = fixture(BY_HAND).await;
    let issued = fixture.issue(2).await;
    fixture.jwt.revoke(&issued[0].id).await.unwrap();
    let restarted = Jwt::build("jwt-eddsa", &fixture.config, &fixture.environment).await.unwrap();
    let now = fixture.environment.clock.now();
    assert_eq!(call(&restarted, now, &issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
    assert!(call(&restarted, now, &issued[1]).is_ok());
    let other = Jwt::build("other", &fixture.config, &fixture.environment).await.unwrap();
    assert_eq!(call(&other, now, &issued[1]), Err(Rejection::Invalid(Cause::UnknownKey)), "keys are the profile's own");
}

#[tokio::test]
async fn claims_sets_have_the_length_asked_for() {
    use base64::Engine as _;
    let Fixture { environment, config, .. } = &fixture(None).await;
    let length = async |claims_bytes| {
        let jwt = Jwt::build("jwt-eddsa", &JwtConfig { claims_bytes, ..config.clone() }, environment).await.unwrap();
        let request = IssueRequest { count: 2, lifetime: None, scopes: vec!["read".to_owned()] };
        let issued = jwt.issue(&request).await.unwrap();
        let lengths: Vec<usize> = issued
            .iter()
            .map(|one| {
                assert_eq!(*call(&jwt, environment.clock.now(), one).unwrap().id, *one.principal);
                let Material::Bearer { token } = &one.material else { panic!("a bearer token was issued") };
                assert!(token.expose().len() <= header::MAX_LONG_TOKEN);
                let payload = token.expose().split('.').nth(1).unwrap();
                base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap().len()
            })
            .collect();
        assert_eq!(lengths[0], lengths[1]);
        lengths[0]
    };
    let required = length(None).await;
    assert_eq!(required, required_claims_bytes("jwt-eddsa", "read"));
    assert!((200..400).contains(&required), "{required}");
    for exactly in [required, required + entitlements::LEAST, 512, 1024, 4095, 16_384] {
        assert_eq!(length(Some(exactly)).await, exactly);
    }
    // There is no room for one more claim.
    for short in [200, required + 1, required + entitlements::LEAST - 1] {
        assert_eq!(length(Some(short)).await, required, "{short}");
    }
}

#[tokio::test]
async fn jw_30_a_deny_list_of_many_refuses_whom_it_should() {
    let fixture = fixture(None).await;
    let denylist = Some(DenyListConfig { population: 2_000, ..DenyListConfig::new(Duration::from_secs(3600)) });
    let config = JwtConfig { denylist, ..fixture.config.clone() };
    let jwt = Jwt::build("jwt-eddsa", &config, &fixture.environment).await.unwrap();
    let fixture = Fixture { jwt, ..fixture };
    let len = || fixture.jwt.denylist.as_ref().unwrap().copy().len();
    assert_eq!(len(), 2_000);
    let issued = fixture.issue(2).await;
    fixture.jwt.revoke(&issued[0].id).await.unwrap();
    // A run may last for hours, and the list keeps its length.
    fixture.environment.clock.advance(Duration::from_secs(60)).unwrap();
    fixture.catch_up().await;
    assert_eq!(len(), 2_001);
    assert_eq!(fixture.call(&issued[0]), Err(Rejection::Invalid(Cause::Revoked)));
    assert!(fixture.call(&issued[1]).is_ok());
    fixture.environment.clock.advance(Duration::from_secs(3 * 3600)).unwrap();
    fixture.catch_up().await;
    assert_eq!(len(), 2_000);
}

#[tokio::test]
async fn unknown_and_contradictory_requests() {
    let fixture = fixture(None).await;
    for id in ["", "x", "../etc", "app-", "app-1", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB"] {
        assert!(matches!(fixture.jwt.revoke(id).await, Err(AdminError::NotFound(_))), "{id}");
    }
    let good = IssueRequest { count: 1, lifetime: None, scopes: vec![] };
    for request in [
        IssueRequest { count: 0, ..good.clone() },
        IssueRequest { count: usize::MAX, ..good.clone() },
        IssueRequest { lifetime: Some(Duration::ZERO), ..good.clone() },
        IssueRequest { lifetime: Some(Duration::from_secs(901)), ..good.clone() },
        IssueRequest { scopes: vec!["a b".to_owned()], ..good.clone() },
    ] {
        assert!(matches!(fixture.jwt.issue(&request).await, Err(AdminError::BadRequest(_))), "{request:?}");
    }
    assert!(fixture.jwt.issue(&good).await.is_ok());
}

#[tokio::test]
async fn jw_25_unsafe_configurations_do_not_start() {
    let fixture = fixture(None).await;
    let with = async |change: fn(&mut JwtConfig)| {
        let mut config = fixture.config.clone();
        change(&mut config);
        Jwt::build("p", &config, &fixture.environment).await
    };
    assert!(with(|_| ()).await.is_ok());
    assert!(matches!(with(|c| c.rules.leeway = Duration::from_secs(61)).await, Err(BuildError::Config(_))));
    assert!(matches!(with(|c| c.lifetime = Duration::from_secs(901)).await, Err(BuildError::Config(_))));
    assert!(matches!(with(|c| c.lifetime = Duration::from_millis(10)).await, Err(BuildError::Config(_))));
    let zero = |c: &mut JwtConfig| c.denylist = Some(DenyListConfig::new(Duration::ZERO));
    assert!(matches!(with(zero).await, Err(BuildError::Config(_))));
    let crowd = |c: &mut JwtConfig| {
        let list = DenyListConfig::new(Duration::from_secs(1));
        c.denylist = Some(DenyListConfig { population: DenyListConfig::MAX_POPULATION + 1, ..list });
    };
    assert!(matches!(with(crowd).await, Err(BuildError::Config(_))));
    let nowhere = |c: &mut JwtConfig| {
        let list = DenyListConfig::new(Duration::from_secs(1));
        c.denylist = Some(DenyListConfig { store: StoreConfig::Memory, ..list });
    };
    assert!(matches!(with(nowhere).await, Err(BuildError::Config(_))));
    let asked = |c: &mut JwtConfig| {
        c.introspection = true;
        c.denylist = Some(DenyListConfig::new(Duration::from_secs(1)));
    };
    assert!(matches!(with(asked).await, Err(BuildError::Config(_))));
    assert!(matches!(with(|c| c.claims_bytes = Some(199)).await, Err(BuildError::Config(_))));
    assert!(matches!(with(|c| c.claims_bytes = Some(16_385)).await, Err(BuildError::Config(_))));
}

#[tokio::test]
async fn jw_32_one_token_in_three_modes() {
    let fixture = fixture(None).await;
    let stateless = &fixture.jwt;
    let denylist =
        fixture.in_mode(|config| config.denylist = Some(DenyListConfig::new(Duration::from_secs(3600)))).await;
    let introspection = fixture.in_mode(|config| config.introspection = true).await;
    let issued = fixture.issue(3).await;
    let counters = &fixture.environment.meter;
    let counted = || (counters.verify_calls.get(), counters.store_lookups.get(), counters.introspections.get());
    let now = fixture.environment.clock.now();
    let mut before = counted();
    for (mode, jwt, costs) in [
        ("stateless", stateless, (1, 0, 0)),
        ("deny-list", &denylist, (1, 1, 0)),
        ("introspection", &introspection, (0, 1, 1)),
    ] {
        let principal = ask(jwt, now, &issued[0]).await.unwrap();
        assert_eq!((&*principal.id, &*principal.credential_id), (&*issued[0].principal, &*issued[0].id), "{mode}");
        assert!(principal.has_scope("read") && principal.has_scope("write"));
        let after = counted();
        assert_eq!((after.0 - before.0, after.1 - before.1, after.2 - before.2), costs, "{mode}");
        before = after;
    }
    // Taken back by any of them: who asks knows at once, who polls after the next poll, and who does neither at its end.
    stateless.revoke(&issued[0].id).await.unwrap();
    denylist.revoke(&issued[1].principal).await.unwrap();
    for revoked in &issued[..2] {
        assert_eq!(ask(&introspection, now, revoked).await, Err(Rejection::Invalid(Cause::Unknown)));
        assert!(ask(stateless, now, revoked).await.is_ok());
    }
    assert!(ask(&denylist, now, &issued[0]).await.is_ok(), "here it has not been heard of");
    assert_eq!(ask(&denylist, now, &issued[1]).await, Err(Rejection::Invalid(Cause::Revoked)));
    denylist.denylist.as_ref().unwrap().catch_up().await.unwrap();
    assert_eq!(ask(&denylist, now, &issued[0]).await, Err(Rejection::Invalid(Cause::Revoked)));
    for jwt in [stateless, &denylist, &introspection] {
        assert!(ask(jwt, now, &issued[2]).await.is_ok());
    }
    // What is wrong with a token the issuer notices too.
    let Material::Bearer { token } = &issued[2].material else { panic!("a bearer token was issued") };
    let mut forged = token.expose().to_owned();
    let place = forged.len() - 10; // within the signature
    let other = if &forged[place..=place] == "A" { "B" } else { "A" };
    forged.replace_range(place..=place, other);
    let forged = Issued { material: Material::Bearer { token: Secret::new(forged) }, ..issued[2].clone() };
    assert_eq!(ask(&introspection, now, &forged).await, Err(Rejection::Invalid(Cause::Unknown)));
    fixture.environment.clock.advance(Duration::from_secs(300 + 31)).unwrap();
    let now = fixture.environment.clock.now();
    assert!(matches!(ask(stateless, now, &issued[2]).await, Err(Rejection::Invalid(Cause::Expired))));
    assert!(matches!(ask(&introspection, now, &issued[2]).await, Err(Rejection::Invalid(Cause::Unknown))));
}

#[tokio::test]
async fn jw_32_an_issuer_that_cannot_tell_is_nobodys_fault() {
    let fixture = fixture(None).await;
    let introspection = fixture.in_mode(|config| config.introspection = true).await;
    let issued = &fixture.issue(1).await[0];
    let now = fixture.environment.clock.now();
    assert!(ask(&introspection, now, issued).await.is_ok());
    let meddler = rusqlite::Connection::open(fixture.environment.shared_dir.join("jwt-eddsa/store.sqlite")).unwrap();
    meddler.execute_batch("ALTER TABLE revocations RENAME TO elsewhere").unwrap();
    assert!(matches!(ask(&introspection, now, issued).await, Err(Rejection::Unavailable { .. })));
    meddler.execute_batch("ALTER TABLE elsewhere RENAME TO revocations").unwrap();
    assert!(ask(&introspection, now, issued).await.is_ok());
}

#[tokio::test]
async fn xc_20_health_is_red_while_the_store_gives_no_answer_that_decisions_rest_on() {
    let fixture = fixture(None).await;
    let by_denylist =
        fixture.in_mode(|config| config.denylist = Some(DenyListConfig::new(Duration::from_secs(3600)))).await;
    let introspection = fixture.in_mode(|config| config.introspection = true).await;
    let all = [(&fixture.jwt, Ok(())), (&by_denylist, Err("deny-list")), (&introspection, Err("deny-list"))];
    for (jwt, _) in all {
        assert_eq!(jwt.probe().await, Ok(()));
    }
    let meddler = rusqlite::Connection::open(fixture.environment.shared_dir.join("jwt-eddsa/store.sqlite")).unwrap();
    meddler.execute_batch("DROP TABLE keys; DROP TABLE revocations").unwrap();
    for (jwt, expected) in all {
        assert_eq!(jwt.probe().await, expected);
    }
}

#[tokio::test]
async fn jw_30_jw_32_what_the_asked_issuer_knows_to_be_revoked_is_counted() {
    let fixture = fixture(None).await;
    let introspection = fixture.in_mode(|config| config.introspection = true).await;
    let issued = fixture.issue(4).await;
    for one in &issued[..3] {
        introspection.revoke(&one.id).await.unwrap();
    }
    // It reads what is new when it is asked.
    assert!(ask(&introspection, fixture.environment.clock.now(), &issued[3]).await.is_ok());
    let size = introspection.denylist_size().unwrap();
    assert_eq!(size.entries, 3);
    assert!(size.bytes > 0);
    assert!(fixture.jwt.denylist_size().is_none(), "in stateless mode nobody keeps a list");
}
