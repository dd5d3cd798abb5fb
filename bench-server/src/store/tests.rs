//! What all four kinds of store have in common, each for real.

use super::record::KeyStatus;
use super::record::tests::{key, user};
use super::testing;
use super::*;

const NOW: UnixTime = UnixTime(Duration::from_secs(1_900_000_000));

async fn open(config: &StoreConfig, dir: &Path) -> Store {
    Store::open(config, "test", dir).await.unwrap_or_else(|error| panic!("{}: {error}", config.name()))
}

/// Carries out a test on an empty store of each kind.
async fn on_each(test: impl AsyncFn(&Store, &StoreConfig)) {
    for config in testing::all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        test(&open(&config, folder.path()).await, &config).await;
    }
}

#[tokio::test]
async fn keys_come_back_as_they_were_and_revocations_are_seen_at_once() {
    on_each(async |store, config| {
        let kind = config.name();
        store.insert_keys((1..=4).map(key).collect()).await.expect(kind);
        for number in 1..=4 {
            let found = store.key(&Digest([number; 32])).await.expect(kind);
            assert_eq!(found.as_deref(), Some(&key(number)), "{kind}");
        }
        assert_eq!(store.key(&Digest([9; 32])).await.expect(kind), None);

        assert_eq!(store.revoke_key("key-2", NOW).await.expect(kind), Some(Digest([2; 32])));
        assert_eq!(store.revoke_key("key-2", NOW).await.expect(kind), Some(Digest([2; 32])), "again changes nothing");
        assert_eq!(store.revoke_key("key-9", NOW).await.expect(kind), None);
        let revoked = store.key(&Digest([2; 32])).await.expect(kind).expect("a revoked record stays");
        assert_eq!(*revoked, KeyRecord { status: KeyStatus::Revoked, ..key(2) });
        let other = store.key(&Digest([1; 32])).await.expect(kind);
        assert_eq!(other.as_deref(), Some(&key(1)), "others stay as they were");
    })
    .await;
}

#[tokio::test]
async fn a_population_is_filled_up_once_and_stands_beside_what_is_issued() {
    on_each(async |store, config| {
        let kind = config.name();
        let len = async || match store {
            Store::Memory(store) => store.count_keys(),
            Store::Sqlite(store) => store.count_keys().await.expect(kind),
            Store::Redis(store) => store.count_keys().await.expect(kind),
            Store::Postgres(store) => store.count_keys().await.expect(kind),
        };
        store.insert_keys(vec![key(1)]).await.expect(kind);
        for (population, held) in [(0, 1), (1, 1), (2_500, 2_500), (2_500, 2_500), (10, 2_500)] {
            store.fill_keys(population, &"read".into(), key(1).created).await.expect(kind);
            assert_eq!(len().await, held, "{kind}");
        }
        store.insert_keys(vec![key(2)]).await.expect(kind);
        assert_eq!(len().await, 2_501, "{kind}");
        assert_eq!(store.key(&Digest([2; 32])).await.expect(kind).as_deref(), Some(&key(2)));
        assert!(store.revoke_key("key-1", NOW).await.expect(kind).is_some(), "found among the others");
    })
    .await;
}

#[tokio::test]
async fn a_user_name_is_given_once_its_case_counts_and_passwords_change() {
    on_each(async |store, config| {
        let kind = config.name();
        assert!(store.insert_user(user("anna")).await.expect(kind));
        assert!(store.insert_user(user("b:*én \"")).await.expect(kind));
        assert!(!store.insert_user(User { password_hash: "other".into(), ..user("anna") }).await.expect(kind));
        for name in ["anna", "b:*én \""] {
            assert_eq!(store.user(name).await.expect(kind).as_deref(), Some(&user(name)), "{kind}");
        }
        for name in ["Anna", "anna ", ""] {
            assert_eq!(store.user(name).await.expect(kind), None, "{kind} {name:?}");
        }
        assert!(store.set_password("anna", "new".into(), NOW).await.expect(kind));
        assert!(!store.set_password("carl", "new".into(), NOW).await.expect(kind));
        let changed = User { password_hash: "new".into(), ..user("anna") };
        assert_eq!(store.user("anna").await.expect(kind).as_deref(), Some(&changed));
    })
    .await;
}

/// What is revoked after a position.
async fn revoked(store: &Store, after: Position) -> Vec<Revocation> {
    store.revocations_after(after).await.expect("readable").into_iter().map(|entry| entry.revocation).collect()
}

#[tokio::test]
async fn another_replica_sees_the_same_records_and_the_same_order_of_revocations() {
    for config in testing::shared() {
        let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
        let one = open(&config, folder.path()).await;
        one.insert_keys((1..=3).map(key).collect()).await.expect(kind);
        one.insert_user(user("anna")).await.expect(kind);
        let other = open(&config, folder.path()).await;
        assert!(revoked(&other, Position::default()).await.is_empty(), "{kind}: issuing is no revocation");

        let later = UnixTime(NOW.0 + Duration::from_secs(60));
        let subject = Revocation::Subject { sub: "app-1".into(), issued_until: 7 };
        one.revoke_key("key-1", NOW).await.expect(kind);
        other.append(Revocation::Token("a".into()), later, NOW).await.expect(kind);
        one.append(subject.clone(), later, NOW).await.expect(kind);
        other.set_password("anna", "new".into(), NOW).await.expect(kind);
        other.revoke_key("key-9", NOW).await.expect(kind);
        let expected = [
            Revocation::Key(Digest([1; 32])),
            Revocation::Token("a".into()),
            subject,
            Revocation::Password("anna".into()),
        ];
        for store in [&one, &other] {
            assert_eq!(revoked(store, Position::default()).await, expected, "{kind}");
        }
        let entries = one.revocations_after(Position::default()).await.expect(kind);
        assert!(entries.is_sorted_by(|a, b| a.position < b.position), "{kind}");
        assert_eq!(entries[1].until, later.as_secs(), "{kind}");
        assert_eq!(revoked(&one, entries[1].position).await, expected[2..], "{kind}: after, and not from");
        assert!(revoked(&one, entries[3].position).await.is_empty(), "{kind}");
        let found = other.key(&Digest([1; 32])).await.expect(kind).expect("it is there");
        assert_eq!(found.status, KeyStatus::Revoked, "{kind}");
    }
}

#[tokio::test]
async fn what_is_discarded_is_gone_and_others_keep_theirs() {
    for config in [testing::redis(), testing::postgres()] {
        let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
        let store = open(&config, folder.path()).await;
        let other = Store::open(&config, "other", folder.path()).await.expect(kind);
        for store in [&store, &other] {
            store.fill_keys(1_500, &"read".into(), NOW).await.expect(kind);
            store.insert_keys(vec![key(1)]).await.expect(kind);
            store.insert_user(user("anna")).await.expect(kind);
        }
        store.discard().await.expect(kind);
        let again = open(&config, folder.path()).await;
        assert_eq!(again.key(&Digest([1; 32])).await.expect(kind), None, "{kind}");
        assert_eq!(again.user("anna").await.expect(kind), None, "{kind}");
        again.insert_keys(vec![key(1)]).await.expect(kind);
        assert!(other.key(&Digest([1; 32])).await.expect(kind).is_some(), "{kind}");
    }
}

/// Redis forgets by its own clock, which no test moves.
#[tokio::test]
async fn revoking_forgets_what_is_of_no_use_any_more() {
    for config in [StoreConfig::Sqlite, testing::postgres()] {
        let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
        let store = open(&config, folder.path()).await;
        store.insert_keys(vec![key(1), key(2)]).await.expect(kind);
        store.insert_user(user("anna")).await.expect(kind);
        store.revoke_key("key-1", NOW).await.expect(kind);
        let later = UnixTime(NOW.0 + MATTERS_FOR);
        store.revoke_key("key-2", later).await.expect(kind);
        assert_eq!(revoked(&store, Position::default()).await, [Revocation::Key(Digest([2; 32]))], "{kind}");
        store.set_password("anna", "new".into(), UnixTime(later.0 + MATTERS_FOR)).await.expect(kind);
        assert_eq!(revoked(&store, Position::default()).await, [Revocation::Password("anna".into())], "{kind}");
    }
}

#[tokio::test]
async fn revocations_are_read_in_pages_and_filled_up_once() {
    for config in testing::shared() {
        let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
        let store = open(&config, folder.path()).await;
        let later = UnixTime(NOW.0 + Duration::from_secs(60));
        store.append(Revocation::Token("a".into()), later, NOW).await.expect(kind);
        for population in [0, 1, PAGE + 5, PAGE + 5, 7] {
            store.fill_revocations(population, later, NOW).await.expect(kind);
        }
        let first = store.revocations_after(Position::default()).await.expect(kind);
        assert_eq!(first.len(), PAGE, "{kind}");
        assert_eq!(revoked(&store, first[PAGE - 1].position).await.len(), 5, "{kind}");
    }
}

#[tokio::test]
async fn writers_at_the_same_time_leave_no_gap_to_a_reader_who_follows() {
    for config in testing::shared() {
        let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
        let reader = open(&config, folder.path()).await;
        let writers = (0..4).map(|writer| {
            let (config, folder) = (config.clone(), folder.path().to_owned());
            tokio::spawn(async move {
                let store = open(&config, &folder).await;
                for number in 0..25 {
                    let token = Revocation::Token(format!("{writer}-{number}").into());
                    store.append(token, UnixTime(NOW.0 * 2), NOW).await.expect("appended");
                }
            })
        });
        let mut writers = futures_util::future::join_all(writers);
        let (mut seen, mut position, mut done) = (Vec::new(), Position::default(), false);
        while seen.len() < 100 {
            let page = reader.revocations_after(position).await.expect(kind);
            assert!(!done || !page.is_empty(), "{kind}: only {} of 100 were seen", seen.len());
            position = page.last().map_or(position, |last| last.position);
            seen.extend(page.into_iter().map(|entry| entry.revocation.columns().1));
            if !done {
                done = tokio::select! {
                    biased;
                    ended = &mut writers => ended.into_iter().all(|ended| ended.is_ok()),
                    () = tokio::task::yield_now() => false,
                };
            }
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100, "{kind}");
    }
}

#[tokio::test]
async fn records_of_another_version_and_stores_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = async |config: &StoreConfig| Store::open(config, "test", folder.path()).await.map(drop);
    let url = |url: &str| RemoteStore::new(crate::config::StoreUrl::new(url).expect("a URL"));
    for (config, expected) in [
        (StoreConfig::Redis(url("redis+unix:///nowhere/redis.sock")), "connect to redis+unix:///nowhere/redis.sock"),
        (StoreConfig::Redis(url("http://localhost")), "not a URL of Redis"),
        (StoreConfig::Redis(url("redis://${AUTHBENCH_NOT_SET}")), "AUTHBENCH_NOT_SET is not set"),
        (StoreConfig::Postgres(url("postgres:///x?host=/nowhere&user=x")), "connect to postgres:///x?host=/nowhere"),
        (StoreConfig::Postgres(url("nonsense here")), "not a URL of PostgreSQL"),
    ] {
        let error = open(&config).await.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let StoreConfig::Postgres(remote) = testing::postgres() else { unreachable!() };
    for namespace in ["", "a\"b", "a:b", &"x".repeat(25)] {
        let config = StoreConfig::Postgres(RemoteStore { namespace: namespace.to_owned(), ..remote.clone() });
        assert!(matches!(open(&config).await, Err(BuildError::Config(_))), "{namespace:?}");
    }
}

/// A store that this program could not work with is said to be so when it is opened or followed, not when it is needed.
#[tokio::test]
async fn records_of_a_newer_program_and_users_who_may_not_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (StoreConfig::Redis(in_redis), StoreConfig::Postgres(in_postgres)) = (testing::redis(), testing::postgres())
    else {
        unreachable!()
    };
    let url = |remote: &RemoteStore| remote.url.resolve().expect("no variables").expose().to_owned();
    let at = |remote: &RemoteStore, url: String| RemoteStore {
        url: crate::config::StoreUrl::new(url).expect("a URL"),
        ..remote.clone()
    };

    let client = ::redis::Client::open(url(&in_redis)).expect("a URL");
    let mut redis = client.get_multiplexed_async_connection().await.expect("it runs");
    // Any password is right for them.
    for (user, rights) in [("mute", "+@all"), ("reader", "+get")] {
        let mut add = ::redis::cmd("ACL");
        add.arg("SETUSER").arg(user).arg("on").arg("nopass").arg("~*").arg("resetchannels").arg(rights);
        let () = add.query_async(&mut redis).await.expect("an administrator");
    }
    let as_user = |user: &str| at(&in_redis, format!("{}?user={user}&pass=${{CARGO_PKG_NAME}}", url(&in_redis)));
    let open = async |config: StoreConfig| Store::open(&config, "test", folder.path()).await;
    let mute = open(StoreConfig::Redis(as_user("mute"))).await.expect("it may read and write");
    let error = mute.listen(Push::Pubsub).await.err().expect("it may not subscribe").to_string();
    assert!(error.contains("subscribe at redis+unix://") && error.contains("no permissions"), "{error}");
    let error = open(StoreConfig::Redis(RemoteStore { namespace: "new".to_owned(), ..as_user("reader") }))
        .await
        .err()
        .expect("it may not write")
        .to_string();
    assert!(
        error.contains("no permissions") && !error.contains("bench-server&") && error.contains("${CARGO_PKG_NAME}"),
        "{error}"
    );
    let layout = format!("{}:test:layout", in_redis.namespace);
    let () = ::redis::cmd("SET").arg(layout).arg(99).query_async(&mut redis).await.expect("written");
    let error = open(StoreConfig::Redis(in_redis.clone())).await.err().expect("refused").to_string();
    assert!(error.contains("version 99") && error.contains("delete the keys"), "{error}");

    open(StoreConfig::Postgres(in_postgres.clone())).await.map(drop).expect("made");
    let nobody = at(&in_postgres, url(&in_postgres).replace("user=postgres", "user=nobody_here"));
    let error = open(StoreConfig::Postgres(nobody)).await.err().expect("refused").to_string();
    assert!(error.contains("nobody_here") && error.contains("does not exist"), "{error}");
    let (client, connection) =
        tokio_postgres::connect(&url(&in_postgres), tokio_postgres::NoTls).await.expect("it runs");
    tokio::spawn(connection);
    let newer = format!("UPDATE \"{}:test\".layout SET version = 99", in_postgres.namespace);
    client.batch_execute(&newer).await.expect("written");
    let error = open(StoreConfig::Postgres(in_postgres)).await.err().expect("refused").to_string();
    assert!(error.contains("version 99") && error.contains("drop it"), "{error}");
}
