//! Row AK-23, in a program of its own: what it measures is the memory of the whole process.
use std::sync::Arc;
use std::time::Duration;

use bench_server::auth::{Cause, Connection, Environment, Method, Rejection, Request};
use bench_server::clock::{Clock, UnixTime};
use bench_server::contract::{
    ApiKeyConfig, CacheConfig, ClockMode, KeyEnvironment, LimitConfig, MeteringConfig, MethodConfig, Profile,
    READ_SCOPE, StoreConfig,
};
use bench_server::credential::key;
use rand::SeedableRng as _;
use rand::rngs::ChaCha20Rng;

/// Memory of this process in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux tells");
    let pages: usize = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * rustix::param::page_size()
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn ak_23_a_million_keys_of_nobody_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let limit = Some(LimitConfig { requests: 10.try_into().expect("not 0"), window: Duration::from_secs(3_600) });
    let config = ApiKeyConfig {
        cache: Some(CacheConfig::new(Duration::from_secs(600))),
        limit,
        account_limit: limit,
        metering: Some(MeteringConfig::default()),
        ..ApiKeyConfig::new(StoreConfig::Memory)
    };
    let profile = Profile {
        name: "test".into(),
        path: "/".into(),
        scope: READ_SCOPE.into(),
        users_only: false,
        slow_down: None,
        method: MethodConfig::ApiKey(config),
    };
    let environment = Environment {
        shared_dir: folder.path().to_owned(),
        clock: Clock::new(ClockMode::System),
        meter: Arc::default(),
        authorization_server: None,
        ca_file: folder.path().join("ca.pem"),
    };
    let method = Method::build(&profile, &environment).await.expect("a sound configuration");
    let connection = Connection::new(([127, 0, 0, 1], 1).into(), None);
    let now = UnixTime(Duration::from_secs(1_800_000_000));
    let mut rng = ChaCha20Rng::seed_from_u64(23);
    let mut present = async |count: usize| {
        for _ in 0..count {
            let Ok(key) = key::generate(KeyEnvironment::Live, &mut rng);
            let head = http::Request::builder().header("x-api-key", key.expose()).body(()).expect("a request");
            let head = head.into_parts().0;
            let answer = method.authenticate(&Request { head: &head, connection: &connection, now }).await;
            assert_eq!(answer, Err(Rejection::Invalid(Cause::Unknown)));
        }
    };
    // What is allocated once and kept is there by then.
    present(10_000).await;
    let before = resident();
    present(1_000_000).await;
    let grown = resident().saturating_sub(before);
    assert!(grown <= 64 << 20, "{grown} bytes more");
    assert_eq!(environment.meter.store_lookups.get(), 1_010_000);
}
