//! What a key may ask for and what it is billed for, where a user's token stands beside it.

use super::*;
use crate::config::{LimitConfig, MeteringConfig};

fn limit(requests: u32) -> Option<LimitConfig> {
    let requests = requests.try_into().expect("not zero");
    Some(LimitConfig { requests, window: Duration::from_secs(3600) })
}

/// A token of alice's with the signature of another.
fn forged(bench: &Bench) -> String {
    let (one, other) = (bench.token(&json!({})), bench.token(&json!({ "jti": "token-2" })));
    let (Some((signed, _)), Some((_, signature))) = (one.rsplit_once('.'), other.rsplit_once('.')) else {
        panic!("not two tokens: {one} {other}")
    };
    format!("{signed}.{signature}")
}

#[tokio::test]
async fn la_6_a_key_over_its_limit_costs_no_signature_check() {
    for (policy, of_key, of_account) in [("key", limit(3), None), ("account", None, limit(3))] {
        let plain = ApiKeyConfig::new(StoreConfig::Memory);
        let keys = ApiKeyConfig { limit: of_key, account_limit: of_account, ..plain };
        let bench = Bench::new(CallerConfig::Application(keys)).await;
        let ((flooding, _), (calm, _)) = (bench.key("shop", &["read"]).await, bench.key("other", &["read"]).await);
        let (good, forged) = (bench.token(&json!({})), forged(&bench));
        for _ in 0..3 {
            let answer = bench.show(Some(&flooding), Some(&forged)).await;
            assert_eq!(answer, Err(Rejection::Invalid(Cause::BadSignature)));
        }
        assert_eq!(bench.spent_on_tokens(), (3, 1), "each of them was verified");
        let mut wait = Duration::ZERO;
        for token in [Some(forged.as_str()), Some(good.as_str()), Some("a.b.c"), NOBODY] {
            let answer = bench.show(Some(&flooding), token).await;
            let Err(Rejection::TooMany(quota)) = answer else { panic!("not over its limit: {answer:?}") };
            assert_eq!((quota.policy, quota.remaining), (policy, 0));
            wait = quota.reset;
        }
        assert_eq!(bench.spent_on_tokens(), (3, 1), "none of them was looked at");
        assert_eq!(
            bench.meter.store_lookups.get(),
            7,
            "the key comes before the limit, and the limit before the token"
        );

        let of_other = bench.token(&json!({ "client_id": "other" }));
        assert!(bench.show(Some(&calm), Some(&of_other)).await.is_ok(), "others do not wait");
        bench.clock.advance(wait).expect("a controlled clock");
        let principal = bench.show(Some(&flooding), Some(&bench.token(&json!({})))).await.expect("accepted again");
        assert_eq!(principal.quota.map(|quota| quota.policy), Some(policy), "the caller learns how far it is");
    }
}

#[tokio::test]
async fn la_7_a_request_is_billed_to_its_key_and_one_that_fails_for_its_user_is_only_limited() {
    let metering = Some(MeteringConfig::default());
    let keys = ApiKeyConfig { limit: limit(6), metering, ..ApiKeyConfig::new(StoreConfig::Memory) };
    let bench = Bench::new(CallerConfig::Application(keys)).await;
    let (key, id) = bench.key("shop", &["read"]).await;
    let (good, forged) = (bench.token(&json!({})), forged(&bench));
    let now = bench.clock.now();
    // As a route does: what is answered with the resource, and nothing else.
    let ask = async |token: Option<&str>| {
        let principal = bench.show(Some(&key), token).await?;
        bench.layered.bill(&principal, now);
        Ok::<_, Rejection>(principal)
    };
    for _ in 0..2 {
        let principal = ask(Some(&good)).await.expect("accepted");
        let through = Some(Through::Application { id: "shop".into(), key: id.as_str().into() });
        assert_eq!((principal.through, &*principal.credential_id), (through, "token-1"));
    }
    let of_other = bench.token(&json!({ "client_id": "other" }));
    let of_client = bench.token(&json!({ "sub": "shop" }));
    for (token, expected) in [
        (NOBODY, Rejection::Missing),
        (Some(forged.as_str()), Rejection::Invalid(Cause::BadSignature)),
        (Some(of_other.as_str()), Rejection::Forbidden("credential-binding-mismatch")),
        (Some(of_client.as_str()), Rejection::Forbidden("user-authorization-required")),
    ] {
        assert_eq!(ask(token).await, Err(expected), "{token:?}");
    }
    assert!(matches!(ask(Some(&good)).await, Err(Rejection::TooMany(_))), "the limit counted all six");

    let keys = bench.layered.api_key().expect("applications call");
    let usage = keys.usage().await.expect("counted");
    let [line] = usage.as_slice() else { panic!("one key: {usage:?}") };
    assert_eq!((line.key.as_str(), line.requests, line.last_used), (id.as_str(), 2, now.as_secs()));
    let listed = keys.list("shop").await.expect("listed");
    assert_eq!((listed.len(), listed[0].requests, listed[0].last_used), (1, 2, Some(now.as_secs())));
}
