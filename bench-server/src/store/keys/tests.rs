//! The same for all four kinds of store, each for real.

use std::path::Path;
use std::time::Duration;

use super::super::record::tests::key;
use super::super::record::{KeyDetails, KeyStatus, Revocation};
use super::super::testing;
use super::*;
use crate::config::StoreConfig;

const NOW: UnixTime = UnixTime(Duration::from_secs(1_850_000_000));

async fn open(config: &StoreConfig, dir: &Path) -> Store {
    Store::open(config, "test", dir).await.unwrap_or_else(|error| panic!("{}: {error}", config.name()))
}

async fn on_each(test: impl AsyncFn(&Store, &'static str)) {
    for config in testing::all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        test(&open(&config, folder.path()).await, config.name()).await;
    }
}

fn of(owner: &str, number: u8) -> KeyRecord {
    KeyRecord { application: owner.into(), ..key(number) }
}

fn batch(writer: &str, number: u64, lines: &[(&str, u64, u64)]) -> UsageBatch {
    let line = |(key, requests, last_used): &(&str, u64, u64)| {
        let key = (*key).into();
        UsageLine { key, requests: *requests, last_used: *last_used }
    };
    UsageBatch { writer: writer.into(), number, lines: lines.iter().map(line).collect() }
}

fn line(key: &str, requests: u64, last_used: u64) -> UsageLine {
    UsageLine { key: key.into(), requests, last_used }
}

#[tokio::test]
async fn ak_3_peppers_and_details_come_back_and_keys_are_found_by_name_and_owner() {
    on_each(async |store, kind| {
        let networks = vec!["192.0.2.0/24".parse().expect("a network")];
        let details = KeyDetails { networks, successor: Some("key-9".into()), ..KeyDetails::default() };
        let detailed = KeyRecord { details: Some(Box::new(details)), ..of("app-x", 5) };
        store.insert_keys(vec![detailed.clone(), of("app-x", 4), of("app-y", 3)]).await.expect(kind);
        store.fill_keys(100, &"read".into(), NOW).await.expect(kind);
        assert_eq!(store.key(&detailed.digest).await.expect(kind).as_deref(), Some(&detailed), "{kind}");
        assert_eq!(store.key_named("key-5").await.expect(kind).as_deref(), Some(&detailed), "{kind}");
        assert_eq!(store.key_named("key-0").await.expect(kind), None);
        let names = async |owner: &str| {
            let keys = store.keys_of(owner).await.expect(kind);
            keys.iter().map(|key| key.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("app-x").await, ["key-4", "key-5"], "{kind}");
        assert_eq!(names("app-z").await, Vec::<String>::new(), "{kind}");
        assert!(store.add_key(of("app-x", 6)).await.expect(kind));
        assert_eq!(names("app-x").await, ["key-4", "key-5", "key-6"], "{kind}");
    })
    .await;
}

#[tokio::test]
async fn ak_7_a_key_moves_to_another_digest_with_all_that_is_known_of_it() {
    on_each(async |store, kind| {
        store.insert_keys(vec![key(1), key(2)]).await.expect(kind);
        store.revoke_key("key-2", NOW).await.expect(kind);
        let to = |number| Digest([number; 32]);
        assert!(store.redigest(to(1), to(101), 7, NOW).await.expect(kind), "{kind}");
        assert!(store.redigest(to(2), to(102), 7, NOW).await.expect(kind), "{kind}");
        assert!(!store.redigest(to(1), to(103), 7, NOW).await.expect(kind), "{kind}: it is not there any more");
        assert_eq!(store.key(&to(1)).await.expect(kind), None, "{kind}");
        let moved = store.key(&to(101)).await.expect(kind).expect(kind);
        assert_eq!(*moved, KeyRecord { digest: to(101), pepper: 7, ..key(1) }, "{kind}");
        let revoked = store.key(&to(102)).await.expect(kind).expect(kind);
        assert_eq!(revoked.status, KeyStatus::Revoked, "{kind}: what was revoked stays so");
        assert_eq!(store.revoke_key("key-1", NOW).await.expect(kind), Some(to(101)), "{kind}");
        if !matches!(store, Store::Memory(_)) {
            let entries = store.revocations().await;
            let expected = [to(2), to(1), to(2), to(101)].map(Revocation::Key);
            assert_eq!(entries, expected, "{kind}: copies hear of both digests");
        }
    })
    .await;
}

/// A revocation must not come undone because others change the record at the same time.
#[tokio::test]
async fn ak_16_a_revocation_survives_whatever_else_is_done_to_the_key_meanwhile() {
    on_each(async |store, kind| {
        for round in 1..=20_u8 {
            let old = key(round);
            let new = KeyRecord { id: format!("key-new-{round}").into(), ..of(&old.application, round + 100) };
            store.insert_keys(vec![old.clone()]).await.expect(kind);
            let replacement = Replacement { successor: new, ends: UnixTime(NOW.0 * 2) };
            let (revoked, _, moved, suspended) = tokio::join!(
                store.revoke_key(&old.id, NOW),
                store.replace_key(&old.id, replacement, NOW),
                store.redigest(old.digest, Digest([round + 200; 32]), 9, NOW),
                store.suspend(&old.application, true, NOW),
            );
            assert!(revoked.expect(kind).is_some() && moved.expect(kind) && suspended.expect(kind), "{kind}");
            let after = store.key_named(&old.id).await.expect(kind).expect(kind);
            assert_eq!(after.status, KeyStatus::Revoked, "{kind}");
            for key in store.keys_of(&old.application).await.expect(kind) {
                assert_ne!(key.status, KeyStatus::Active, "{kind}: {key:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn ak_17_an_owner_is_suspended_with_all_keys_and_those_that_come_later() {
    on_each(async |store, kind| {
        store.insert_keys(vec![of("app-x", 1), of("app-x", 2), of("app-y", 3)]).await.expect(kind);
        let status = async |number| store.key(&Digest([number; 32])).await.expect(kind).map(|key| key.status);
        assert!(store.suspend("app-x", true, NOW).await.expect(kind));
        assert!(store.suspend("app-x", true, NOW).await.expect(kind), "again changes nothing");
        assert!(!store.suspend("app-z", true, NOW).await.expect(kind), "nobody of that name");
        assert_eq!(status(1).await, Some(KeyStatus::Suspended), "{kind}");
        assert_eq!(status(3).await, Some(KeyStatus::Active), "{kind}");
        assert!(!store.add_key(of("app-x", 4)).await.expect(kind), "{kind}");
        assert_eq!(status(4).await, None, "{kind}");
        store.suspend("app-x", false, NOW).await.expect(kind);
        assert_eq!((status(1).await, status(2).await), (Some(KeyStatus::Active), Some(KeyStatus::Active)), "{kind}");
        assert!(store.add_key(of("app-x", 4)).await.expect(kind), "{kind}");
    })
    .await;
}

#[tokio::test]
async fn ak_19_a_batch_counts_once_however_often_it_is_written_and_writers_add_up() {
    on_each(async |store, kind| {
        let first = batch("one", 1, &[("key-b", 3, 100), ("key-a", 1, 50)]);
        store.add_usage(&first).await.expect(kind);
        store.add_usage(&first).await.expect(kind);
        store.add_usage(&batch("other", 1, &[("key-a", 5, 40)])).await.expect(kind);
        store.add_usage(&batch("one", 2, &[("key-b", 4, 101)])).await.expect(kind);
        store.add_usage(&first).await.expect(kind);
        let all = [line("key-a", 6, 50), line("key-b", 7, 101)];
        assert_eq!(store.usage().await.expect(kind), all, "{kind}");
        let some = store.usage_of(vec!["key-b".into(), "key-c".into()]).await.expect(kind);
        assert_eq!(some, all[1..], "{kind}");
        assert!(store.usage_of(Vec::new()).await.expect(kind).is_empty(), "{kind}");
        // More than one script of Redis takes.
        let many: Vec<String> = (0..2_345).map(|number| format!("many-{number:04}")).collect();
        let lines: Vec<_> = many.iter().map(|key| (&**key, 2, 7)).collect();
        let large = batch("one", 3, &lines);
        store.add_usage(&large).await.expect(kind);
        store.add_usage(&large).await.expect(kind);
        let total: u64 = store.usage().await.expect(kind).iter().map(|line| line.requests).sum();
        assert_eq!(total, 13 + 2 * 2_345, "{kind}");
    })
    .await;
}
