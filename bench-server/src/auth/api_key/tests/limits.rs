//! Quotas, what is billed, environments, and the networks that a key is good from.

use super::*;
use crate::config::{LimitConfig, MeteringConfig};
use crate::contract::KeyRequest;

fn limit(requests: u32, seconds: u64) -> Option<LimitConfig> {
    let requests = requests.try_into().expect("not zero");
    Some(LimitConfig { requests, window: Duration::from_secs(seconds) })
}

/// What is left of which quota, or the wait.
fn left(answer: Result<Principal, Rejection>) -> Result<(&'static str, u64), Duration> {
    match answer {
        Ok(Principal { quota: Some(quota), .. }) => Ok((quota.policy, quota.remaining)),
        Err(Rejection::TooMany(quota)) => Err(quota.reset),
        other => panic!("no quota: {other:?}"),
    }
}

#[tokio::test]
async fn ak_20_ak_21_ak_22_bc_036_a_key_over_its_limit_waits_and_others_do_not() {
    for cache in [None, Some(CacheConfig::new(TTL))] {
        let bench =
            Bench::with(ApiKeyConfig { limit: limit(3, 6), cache, ..ApiKeyConfig::new(StoreConfig::Memory) }).await;
        let ((_, key), (_, other)) = (bench.issue(None).await, bench.issue(None).await);
        let now = bench.environment.clock.now();
        let at = |after, key: &str| left(bench.at(UnixTime(now.0 + after), "/", &[("x-api-key", key)]));
        for remaining in [2, 1, 0] {
            assert_eq!(at(Duration::ZERO, &key), Ok(("key", remaining)));
        }
        let wait = at(Duration::ZERO, &key).expect_err("over the limit");
        assert_eq!(wait, Duration::from_secs(2));
        assert_eq!(at(Duration::ZERO, &other), Ok(("key", 2)));
        assert!(at(wait - Duration::from_nanos(1), &key).is_err());
        assert!(at(wait, &key).is_ok());
    }
}

#[tokio::test]
async fn ak_22_an_account_shares_its_quota_and_a_refusal_by_it_costs_the_key_nothing() {
    let config =
        ApiKeyConfig { limit: limit(3, 3), account_limit: limit(4, 3_600), ..ApiKeyConfig::new(StoreConfig::Memory) };
    let bench = Bench::with(config).await;
    let (first, one) = bench.issue(None).await;
    let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
    let second = bench.method.renew(&first.principal, &request).await.expect("another key");
    let Material::ApiKey { key: two } = &second.material else { panic!("not a key: {second:?}") };
    let now = bench.environment.clock.now();
    let at =
        |after, key: &str| left(bench.at(UnixTime(now.0 + Duration::from_secs(after)), "/", &[("x-api-key", key)]));
    assert_eq!(at(0, &one), Ok(("key", 2)));
    assert_eq!(at(0, two.expose()), Ok(("key", 2)));
    assert_eq!(at(0, two.expose()), Ok(("key", 1)));
    assert_eq!(at(0, two.expose()), Ok(("key", 0)), "the account has none left either");
    let wait = at(0, &one).expect_err("the account is used up");
    assert_eq!(wait, Duration::from_secs(900));
    let (_, stranger) = bench.issue(None).await;
    assert!(at(0, &stranger).is_ok());
    // The account has one again, and the key all of its own.
    assert_eq!(at(900, &one), Ok(("account", 0)));
    assert!(at(900, &one).is_err());
}

#[tokio::test]
async fn ak_19_what_is_billed_is_what_was_counted_and_what_was_refused_is_not() {
    let config = ApiKeyConfig {
        limit: limit(2, 60),
        metering: Some(MeteringConfig::default()),
        ..ApiKeyConfig::new(StoreConfig::Memory)
    };
    let bench = Bench::with(config).await;
    let (issued, key) = bench.issue(None).await;
    let writes = bench.environment.meter.store_writes.get();
    for _ in 0..4 {
        if let Ok(principal) = bench.present(&key) {
            bench.method.bill(&principal.credential_id, bench.environment.clock.now());
        }
    }
    assert_eq!(bench.environment.meter.store_writes.get(), writes, "ak_18: no request writes");
    let usage = bench.method.usage().await.expect("counted");
    let [line] = usage.as_slice() else { panic!("one key: {usage:?}") };
    assert_eq!((&line.key, line.requests), (&issued.id, 2));
    let listed = bench.method.list(&issued.principal).await.expect("listed");
    assert_eq!((listed[0].requests, listed[0].last_used), (2, Some(line.last_used)), "ak_18");
    assert!(bench.environment.clock.now().as_secs() - line.last_used <= 60, "ak_18");
    // Where nothing is counted, that is said.
    let silent = Bench::new(StoreConfig::Memory, None).await;
    assert!(matches!(silent.method.usage().await, Err(AdminError::NotHere(_))));
}

#[tokio::test]
async fn ak_24_bc_029_a_key_of_the_other_environment_is_refused_by_its_text_alone() {
    let test = ApiKeyConfig { environment: KeyEnvironment::Test, ..ApiKeyConfig::new(StoreConfig::Memory) };
    let (live, test) = (Bench::new(StoreConfig::Memory, None).await, Bench::with(test).await);
    let ((_, live_key), (_, test_key)) = (live.issue(None).await, test.issue(None).await);
    assert!(live.present(&live_key).is_ok() && test.present(&test_key).is_ok());
    let wrong = Err(Rejection::Invalid(Cause::WrongEnvironment));
    assert_eq!((live.present(&test_key), test.present(&live_key)), (wrong.clone(), wrong));
    assert_eq!((live.lookups(), test.lookups()), (1, 1));
}

#[tokio::test]
async fn ak_28_outside_of_its_networks_a_key_is_forbidden() {
    let bench = Bench::new(StoreConfig::Sqlite, None).await;
    let create = async |networks: &[&str]| {
        let networks = networks.iter().map(|network| network.parse().expect("a network")).collect();
        let request = KeyRequest { scopes: vec!["read".to_owned()], networks, ..KeyRequest::default() };
        bench.method.create(&request, Manager::Control).await.expect("created").key
    };
    // The tests' peer is 127.0.0.1.
    let inside = create(&["192.0.2.0/24", "127.0.0.0/8"]).await;
    let outside = create(&["192.0.2.0/24", "::1"]).await;
    assert!(bench.present(inside.expose()).is_ok());
    let forwarded = [("x-api-key", outside.expose()), ("x-forwarded-for", "192.0.2.7")];
    assert_eq!(bench.send(&forwarded), Err(Rejection::Forbidden("address-not-allowed")));
}

#[tokio::test]
async fn ak_22_a_key_that_makes_others_is_limited_together_with_them() {
    let bench = Bench::with(ApiKeyConfig { limit: limit(3, 3_600), ..ApiKeyConfig::new(StoreConfig::Memory) }).await;
    let (issued, key) = bench.issue(None).await;
    let manager = Manager::Application { owner: &issued.principal, key: &issued.id };
    let child = bench.method.create(&KeyRequest::default(), manager).await.expect("created");
    let manager = Manager::Application { owner: &issued.principal, key: &child.summary.id };
    let grandchild = bench.method.create(&KeyRequest::default(), manager).await.expect("created");
    let all = [&*key, child.key.expose(), grandchild.key.expose()];
    for (remaining, key) in [2, 1, 0].into_iter().zip(all) {
        assert_eq!(left(bench.present(key)), Ok(("key", remaining)));
    }
    for key in all {
        assert!(left(bench.present(key)).is_err(), "three for all of them");
    }
}
