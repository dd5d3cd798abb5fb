//! Digests under peppers, and how a pepper is replaced.

use std::os::unix::fs::PermissionsExt as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::*;
use crate::store::testing;

/// The same records under other versions.
async fn under(bench: &Bench, peppers: &[u32]) -> Result<ApiKey, BuildError> {
    let config = ApiKeyConfig { peppers: peppers.to_vec(), ..bench.config.clone() };
    ApiKey::build("test", &config, &bench.environment).await
}

async fn present(bench: &Bench, method: &ApiKey, key: &str) -> Result<Principal, Rejection> {
    let head = http::Request::builder().header(&X_API_KEY, key).body(()).expect("a valid request").into_parts().0;
    let connection = Connection::new("127.0.0.1:1".parse().expect("an address"), None);
    method.authenticate(&Request { head: &head, connection: &connection, now: bench.environment.clock.now() }).await
}

const UNKNOWN: Result<Principal, Rejection> = Err(Rejection::Invalid(Cause::Unknown));

#[tokio::test]
async fn ak_3_ak_7_the_digest_is_hmac_sha_256_under_a_file_that_is_the_owners_alone() {
    let bench = Bench::with(ApiKeyConfig { peppers: vec![3], ..ApiKeyConfig::new(StoreConfig::Memory) }).await;
    let (_, key) = bench.issue(None).await;
    let file = bench.environment.shared_dir.join("test.pepper-3");
    assert_eq!(std::fs::metadata(&file).expect("the pepper").permissions().mode() & 0o777, 0o600);
    let pepper = std::fs::read(&file).expect("the pepper");
    assert_eq!(pepper.len(), 32);
    let mac = Hmac::<Sha256>::new_from_slice(&pepper).expect("any length").chain_update(&key).finalize();
    let digest = Digest(mac.into_bytes().into());
    let record = bench.method.records.store.key(&digest).await.expect("memory").expect("it is under its HMAC");
    assert_eq!(record.pepper, 3);
    assert!(bench.present(&key).is_ok());
    assert_eq!(bench.lookups(), 1);
    // Whoever reads the file can do no more than before, but others must not read it.
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("changed");
    assert!(under(&bench, &[3]).await.is_err());
}

#[tokio::test]
async fn ak_7_both_peppers_verify_a_key_moves_at_its_next_use_and_the_old_one_can_be_retired() {
    for store in testing::shared() {
        let kind = store.name();
        let bench = Bench::with(ApiKeyConfig { peppers: vec![1], ..ApiKeyConfig::new(store) }).await;
        let ((used, key), (unused, other)) = (bench.issue(None).await, bench.issue(None).await);

        let both = under(&bench, &[2, 1]).await.expect("the new one is made");
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
        let new = both.issue(&request).await.expect("issue").remove(0);
        let Material::ApiKey { key: new } = &new.material else { panic!("not a key: {new:?}") };
        for key in [&*key, new.expose()] {
            assert!(present(&bench, &both, key).await.is_ok(), "{kind}");
        }
        both.chores.done().await;
        let pepper = async |id: &str| both.records.store.key_named(id).await.expect(kind).expect("it is there").pepper;
        assert_eq!((pepper(&used.id).await, pepper(&unused.id).await), (2, 1), "{kind}: at its next use");
        let before = bench.lookups();
        assert!(present(&bench, &both, &key).await.is_ok(), "{kind}");
        assert_eq!(bench.lookups() - before, 1, "{kind}: found at once from then on");

        let new_alone = under(&bench, &[2]).await.expect("the new one is there");
        assert!(present(&bench, &new_alone, &key).await.is_ok(), "{kind}");
        assert_eq!(present(&bench, &new_alone, &other).await, UNKNOWN, "{kind}: retired with its pepper");
        // What was digested anew is still the same key.
        new_alone.revoke(&used.id).await.expect("revoked");
        assert_eq!(present(&bench, &both, &key).await, Err(Rejection::Invalid(Cause::Revoked)), "{kind}");
    }
}

#[tokio::test]
async fn ak_7_a_cached_key_that_was_digested_anew_elsewhere_is_still_revoked_at_once() {
    let cache = Some(CacheConfig { capacity: 100, ..CacheConfig::new(TTL) });
    let config = ApiKeyConfig { peppers: vec![1, 0], cache, ..ApiKeyConfig::new(StoreConfig::Memory) };
    let bench = Bench::with(config).await;
    // Under no pepper, as before there was one.
    let plain = bench.method.records.store.clone();
    let (issued, key) = bench.issue(None).await;
    let parsed = Key::parse(&key).expect("a key");
    let peppered = bench.method.peppers.current().digest(parsed);
    assert!(plain.redigest(peppered, parsed.digest(), 0, bench.environment.clock.now()).await.expect("memory"));

    assert!(bench.present(&key).is_ok(), "found under the older one, and kept under it");
    bench.method.chores.done().await;
    assert!(bench.present(&key).is_ok(), "found under the newer one, and kept under it");
    bench.method.revoke(&issued.id).await.expect("revoked");
    assert_eq!(bench.present(&key), Err(Rejection::Invalid(Cause::Revoked)));
}

#[tokio::test]
async fn ak_7_peppers_that_cannot_be_are_refused_with_the_remedy() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    for (peppers, says) in [
        (&[1, 1][..], "two different versions"),
        (&[3, 2, 1], "at most two"),
        (&[2, 1], "test.pepper-1: it is not there"),
    ] {
        let error = under(&bench, peppers).await.err().expect("refused").to_string();
        assert!(error.contains(says), "{error}");
    }
    std::fs::write(bench.environment.shared_dir.join("test.pepper-9"), "short").expect("written");
    let path = bench.environment.shared_dir.join("test.pepper-9");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("changed");
    assert!(under(&bench, &[9]).await.is_err());
}
