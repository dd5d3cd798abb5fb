//! API keys whose checksum fits, so that they get as far as the store.

use super::{Mutator, TRIES, is_callers_fault};
use crate::auth::{Cause, Rejection};
use crate::config::{ApiKeyConfig, MethodConfig, StoreConfig};
use crate::contract::Material;
use crate::credential::base62;
use crate::testing::Bench;

#[tokio::test]
async fn xc_24_bc_018_damaged_keys_with_a_fitting_checksum() {
    let bench = Bench::new(MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))).await;
    let Material::ApiKey { key } = bench.issue().await.material else { panic!("not a key") };
    let good = key.expose();
    let (checked, _) = good.split_at(good.len() - 6);
    let (now, mut mutator, mut looked_up) = (bench.now(), Mutator::new(18), 0);
    for _ in 0..TRIES {
        let damaged = mutator.damage_text(checked, &["0", "Z", "_", "ab_live_", "ab_test_", "%00", "é"]);
        let checksum = base62::six_digits(crc32fast::hash(damaged.as_bytes()));
        let text = format!("{damaged}{}", checksum.map(char::from).iter().collect::<String>());
        match bench.bearer(&text, now).await {
            None => {}
            Some(Ok(_)) => assert_eq!(text.trim_matches(' '), good, "accepted"),
            Some(Err(rejection)) => {
                looked_up += usize::from(rejection == Rejection::Invalid(Cause::Unknown));
                assert!(is_callers_fault(&rejection), "{text}: {rejection:?}");
            }
        }
    }
    assert!(looked_up > TRIES / 20, "{looked_up} got as far as the store");
    assert!(bench.bearer(good, now).await.is_some_and(|verdict| verdict.is_ok()), "it works as before");
}
