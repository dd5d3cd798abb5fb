//! What a cache of verified passwords saves, and what it must not let in.

use super::*;
use crate::config::StoreConfig;

#[tokio::test]
async fn ba_18_the_cache_saves_the_hash_until_the_entry_ends() {
    let shared = BasicConfig { store: StoreConfig::Sqlite, ..config(CHEAP, Some(TTL)) };
    let bench = Bench::new(&shared).await;
    bench.create("anna", "correct horse").await.expect("create");
    let elsewhere = bench.replica(&shared).await;
    let (start, good) = (bench.environment.clock.now(), basic("anna", "correct horse"));
    let at = async |after| bench.at(UnixTime(start.0 + after), "/", &[("authorization", &good)]).await;
    assert!(at(Duration::ZERO).await.is_ok());
    assert_eq!(bench.counts(), (2, 1, 0));
    elsewhere.revoke("anna").await.expect("revoke");
    assert!(at(TTL - Duration::from_nanos(1)).await.is_ok(), "still the entry");
    assert_eq!(bench.counts(), (3, 1, 1), "the one hash is that of the new password");
    assert_eq!(at(TTL).await, WRONG);
    assert_eq!(at(Duration::ZERO).await, WRONG, "once refused it does not come back");
    assert_eq!(bench.counts(), (5, 3, 1));
}

#[tokio::test]
async fn ba_18_a_burst_of_the_same_credentials_costs_one_hash() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("user", "password").await.expect("create");
    let before = bench.hashes();
    let burst = (0..20).map(|_| bench.present("user", "password"));
    assert!(futures_util::future::join_all(burst).await.iter().all(Result::is_ok));
    assert_eq!(bench.hashes() - before, 1);
    // A shared verdict may also be a refusal.
    let burst = (0..20).map(|_| bench.present("user", "wrong"));
    let refused = Err(Rejection::Invalid(Cause::WrongSecret));
    assert!(futures_util::future::join_all(burst).await.iter().all(|verdict| *verdict == refused));
}

#[tokio::test]
async fn a_caller_who_leaves_takes_nobody_along() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("user", "password").await.expect("create");
    let mut leaver = Box::pin(bench.present("user", "password"));
    // Pending, unless the hash was faster than this thread; either way nobody after may hang.
    let _ = futures_util::poll!(&mut leaver);
    let mut second = Box::pin(bench.present("user", "password"));
    let polled = futures_util::poll!(&mut second);
    drop(leaver);
    let verdict = match polled {
        std::task::Poll::Ready(verdict) => verdict,
        std::task::Poll::Pending => second.await,
    };
    assert!(verdict.is_ok());
    let mut only = Box::pin(bench.present("user", "wrong"));
    let _ = futures_util::poll!(&mut only);
    drop(only);
    assert!(bench.present("user", "wrong").await.is_err(), "and the abandoned verification is taken up");
}

#[tokio::test]
async fn ba_18_the_cache_knows_only_the_very_credentials_that_were_accepted() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("anna", "xcorrect").await.expect("create");
    assert!(bench.present("anna", "xcorrect").await.is_ok());
    for _ in 0..2 {
        assert_eq!(bench.present("anna", "wrong").await, WRONG);
        assert_eq!(bench.present("annax", "correct").await, UNKNOWN);
    }
    assert_eq!(bench.counts(), (6, 5, 0), "refusals are hashed every time");
}

/// RV-1, and who guesses at a password does not make its owner pay for a hash.
#[tokio::test]
async fn rv_1_ba_18_ba_19_bc_133_the_node_that_changes_a_password_refuses_the_old_one_at_once() {
    let bench = Bench::new(&config(CHEAP, Some(TTL))).await;
    bench.create("anna", "correct horse").await.expect("create");
    bench.create("ben", "battery").await.expect("create");
    assert!(bench.present("anna", "correct horse").await.is_ok());
    assert!(bench.present("ben", "battery").await.is_ok());
    assert_eq!(bench.present("anna", "guess").await, WRONG);
    let hashes = bench.hashes();
    assert!(bench.present("anna", "correct horse").await.is_ok());
    assert_eq!(bench.hashes(), hashes, "the entry stays");
    bench.method.revoke("anna").await.expect("revoke");
    assert_eq!(bench.present("anna", "correct horse").await, WRONG);
    let hits = bench.counts().2;
    assert!(bench.present("ben", "battery").await.is_ok());
    assert_eq!(bench.counts().2, hits + 1, "others stay as they were");
}
