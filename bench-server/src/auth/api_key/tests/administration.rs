//! Keys that are replaced, suspended with their owner, reported, and listed.

use super::*;
use crate::contract::{KeyAction, KeyRequest, KeyRotation, KeyState, Network, NewKey, Secret};
use crate::store::testing;

const OVERLAP: Duration = Duration::from_secs(60);

async fn rotate(bench: &Bench, id: &str, overlap: Duration) -> Result<NewKey, AdminError> {
    bench.method.rotate(id, &KeyRotation { overlap }, Manager::Control).await
}

const REVOKED: Result<Principal, Rejection> = Err(Rejection::Invalid(Cause::Revoked));
const EXPIRED: Result<Principal, Rejection> = Err(Rejection::Invalid(Cause::Expired));

#[tokio::test]
async fn ak_14_bc_028_both_keys_work_during_the_overlap_and_two_of_a_line_are_live_at_most() {
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::cached(store).await;
        let (old, old_key) = bench.issue(None).await;
        assert!(bench.present_from_afar(&old_key).await.is_ok(), "{kind}: it is in the cache from now on");
        let new = rotate(&bench, &old.id, OVERLAP).await.expect(kind);
        assert_ne!(new.key.expose(), old_key);
        assert_eq!((&new.summary.owner, &new.summary.scopes), (&old.principal, &vec!["read".to_owned()]));
        for key in [&*old_key, new.key.expose()] {
            let accepted = bench.present_from_afar(key).await.expect(kind);
            assert_eq!(&*accepted.id, old.principal);
        }
        for id in [&old.id, &new.summary.id] {
            let third = rotate(&bench, id, OVERLAP).await;
            assert!(matches!(third, Err(AdminError::Conflict(_))), "{kind}: {third:?}");
        }
        bench.environment.clock.advance(OVERLAP).expect("controlled");
        assert_eq!(bench.present_from_afar(&old_key).await, EXPIRED, "{kind}");
        assert!(bench.present_from_afar(new.key.expose()).await.is_ok(), "{kind}");
        assert!(matches!(rotate(&bench, &old.id, OVERLAP).await, Err(AdminError::Conflict(_))), "{kind}: replaced");
        let third = rotate(&bench, &new.summary.id, OVERLAP).await.expect(kind);
        assert_eq!(third.summary.replaces.as_deref(), Some(&*new.summary.id));
        assert!(matches!(rotate(&bench, "key-unknown", OVERLAP).await, Err(AdminError::NotFound(_))));
    }
}

#[tokio::test]
async fn ak_15_without_overlap_the_old_key_is_dead_before_the_answer() {
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::cached(store).await;
        let (old, old_key) = bench.issue(None).await;
        assert!(bench.present_from_afar(&old_key).await.is_ok());
        let new = rotate(&bench, &old.id, Duration::ZERO).await.expect(kind);
        assert_eq!(bench.present_from_afar(&old_key).await, EXPIRED, "{kind}");
        assert!(bench.present_from_afar(new.key.expose()).await.is_ok(), "{kind}");
        // A key that was revoked gets no successor, and a revoked predecessor does not stand in the way.
        let next = rotate(&bench, &new.summary.id, OVERLAP).await.expect(kind);
        bench.method.revoke(&new.summary.id).await.expect(kind);
        assert!(matches!(rotate(&bench, &new.summary.id, OVERLAP).await, Err(AdminError::Conflict(_))), "{kind}");
        assert!(rotate(&bench, &next.summary.id, OVERLAP).await.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn ak_14_an_overlap_that_no_store_can_write_down_is_the_callers_mistake() {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::new(store, None).await;
        let (old, key) = bench.issue(None).await;
        for overlap in [101 * YEAR, 300 * YEAR, 1_000 * YEAR, Duration::MAX] {
            let refused = rotate(&bench, &old.id, overlap).await;
            assert!(matches!(refused, Err(AdminError::BadRequest(_))), "{kind}: {refused:?}");
        }
        assert_eq!(bench.method.list(&old.principal).await.expect(kind).len(), 1, "{kind}: nothing was made");
        rotate(&bench, &old.id, 100 * YEAR).await.expect(kind);
        assert!(bench.present_from_afar(&key).await.is_ok(), "{kind}");
    }
}

#[tokio::test]
async fn ak_14_of_rotations_at_the_same_time_one_is_carried_out() {
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::new(store, None).await;
        let (old, _) = bench.issue(None).await;
        let all = futures_util::future::join_all((0..8).map(|_| rotate(&bench, &old.id, OVERLAP))).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 1, "{kind}: {all:?}");
        let listed = bench.method.list(&old.principal).await.expect(kind);
        assert_eq!(listed.len(), 2, "{kind}: {listed:?}");
    }
}

#[tokio::test]
async fn ak_22_a_successor_shares_the_quota_of_the_key_that_it_replaces() {
    let limit = crate::config::LimitConfig { requests: 2.try_into().expect("not 0"), window: OVERLAP };
    let bench = Bench::with(ApiKeyConfig { limit: Some(limit), ..ApiKeyConfig::new(StoreConfig::Memory) }).await;
    let (old, old_key) = bench.issue(None).await;
    let new = rotate(&bench, &old.id, OVERLAP).await.expect("rotated");
    assert!(bench.present(&old_key).is_ok() && bench.present(new.key.expose()).is_ok());
    assert!(matches!(bench.present(new.key.expose()), Err(Rejection::TooMany(_))));
}

#[tokio::test]
async fn ak_17_all_keys_of_a_suspended_owner_are_refused_and_come_back_with_the_owner() {
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::cached(store).await;
        let ((first, one), (_, bystander)) = (bench.issue(None).await, bench.issue(None).await);
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
        let second = bench.method.renew(&first.principal, &request).await.expect(kind);
        let Material::ApiKey { key: two } = &second.material else { panic!("not a key: {second:?}") };
        let third = bench.method.renew(&first.principal, &request).await.expect(kind);
        let Material::ApiKey { key: three } = &third.material else { panic!("not a key: {third:?}") };
        bench.method.revoke(&third.id).await.expect(kind);
        for key in [&*one, two.expose(), &*bystander] {
            assert!(bench.present_from_afar(key).await.is_ok(), "{kind}");
        }
        bench.method.suspend(&first.principal, true).await.expect(kind);
        for key in [&*one, two.expose(), three.expose()] {
            assert_eq!(bench.present_from_afar(key).await, REVOKED, "{kind}");
        }
        assert!(bench.present_from_afar(&bystander).await.is_ok(), "{kind}");
        assert!(matches!(bench.method.renew(&first.principal, &request).await, Err(AdminError::Conflict(_))), "{kind}");
        assert!(matches!(rotate(&bench, &first.id, OVERLAP).await, Err(AdminError::Conflict(_))), "{kind}");
        let states: Vec<_> = bench.method.list(&first.principal).await.expect(kind);
        assert!(states.iter().all(|key| key.status != KeyState::Active), "{kind}: {states:?}");

        bench.method.suspend(&first.principal, false).await.expect(kind);
        assert!(bench.present_from_afar(&one).await.is_ok() && bench.present_from_afar(two.expose()).await.is_ok());
        assert_eq!(bench.present_from_afar(three.expose()).await, REVOKED, "{kind}: what was revoked stays so");
        assert!(matches!(bench.method.suspend("app-unknown", true).await, Err(AdminError::NotFound(_))), "{kind}");
    }
}

/// One entry tells other nodes of all keys.
#[tokio::test]
async fn ak_17_rv_8_another_node_hears_of_a_suspension_by_one_entry() {
    for store in testing::shared() {
        let kind = store.name();
        let follow = Some(crate::config::Follow::Poll(Duration::from_millis(5)));
        let cache = Some(CacheConfig { follow, ..CacheConfig::new(Duration::from_secs(600)) });
        let bench = Bench::new(store, cache).await;
        let elsewhere = bench.replica().await;
        let (first, key) = bench.issue(None).await;
        let request = IssueRequest { count: 1, lifetime: None, scopes: vec!["read".to_owned()] };
        for _ in 0..20 {
            bench.method.renew(&first.principal, &request).await.expect(kind);
        }
        assert!(bench.present_from_afar(&key).await.is_ok());
        elsewhere.suspend(&first.principal, true).await.expect(kind);
        let refused = async {
            while bench.present_from_afar(&key).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), refused).await.expect("it hears of it");
        bench.method.cache.as_ref().expect("a cache").catch_up().await.expect(kind);
        let entries = elsewhere.records.store.revocations().await;
        assert_eq!(entries, [Revocation::Owner(first.principal.as_str().into())], "{kind}");
    }
}

#[tokio::test]
async fn ak_25_a_reported_key_is_revoked_and_whoever_reports_learns_nothing() {
    // Ten seconds away: whoever waits for the store is not done at once.
    let far = ApiKeyConfig { store_delay: crate::config::LONGEST_DELAY, ..ApiKeyConfig::new(StoreConfig::Memory) };
    let mut bench = Bench::with(far).await;
    let (issued, key) = bench.issue(None).await;
    let stranger = key::generate(KeyEnvironment::Live, &mut SysRng).expect("random bytes");
    for found in [Secret::new(&*key), stranger, Secret::new("garbage")] {
        let lookups = bench.lookups();
        assert!(bench.method.report(found));
        assert_eq!(bench.lookups(), lookups, "nothing was looked for yet");
    }
    bench.method.chores.done().await;
    assert_eq!(bench.lookups(), 2, "what is no key is not looked up");
    bench.method.distance = Distance::NONE;
    assert_eq!(bench.present(&key), REVOKED);
    let events = bench.method.events();
    let last = events.last().expect("an event");
    assert_eq!((last.event, &*last.actor, &last.owner), (KeyAction::Leaked, "report", &issued.principal));
    // Again changes nothing, and is no event.
    assert!(bench.method.report(Secret::new(&*key)));
    bench.method.chores.done().await;
    assert_eq!(bench.method.events().len(), events.len());
}

#[tokio::test]
async fn ak_25_what_was_reported_is_revoked_before_the_end_or_said_to_be_lost() {
    let bench = Bench::new(StoreConfig::Sqlite, None).await;
    let ((_, first), (_, second)) = (bench.issue(None).await, bench.issue(None).await);
    for key in [&first, &second] {
        assert!(bench.method.report(Secret::new(&**key)));
    }
    bench.method.settle().await;
    for key in [&first, &second] {
        assert_eq!(bench.present_from_afar(key).await, REVOKED);
    }
    assert_eq!(bench.method.chores.settle().await, 0);

    let away = rusqlite::Connection::open(bench.environment.shared_dir.join("test/store.sqlite")).expect("the store");
    away.execute_batch("ALTER TABLE keys RENAME TO elsewhere").expect("renamed");
    for _ in 0..3 {
        assert!(bench.method.report(Secret::new(&*first)));
    }
    assert!(bench.method.report(Secret::new("what is no key is looked up nowhere, but waits its turn")));
    assert_eq!(bench.method.chores.settle().await, 4, "it does not wait for ever");
    // Whoever has more time sees them done when the store is back.
    away.execute_batch("ALTER TABLE elsewhere RENAME TO keys").expect("renamed");
    bench.method.chores.done().await;
    assert_eq!(bench.method.chores.settle().await, 0);
}

#[tokio::test]
async fn ak_25_so_much_may_wait_and_no_more() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    // Nobody works here before this test waits.
    let taken = (0..5_000).take_while(|_| bench.method.report(Secret::new("garbage"))).count();
    assert_eq!(taken, 1_024);
}

#[tokio::test]
async fn ak_27_who_did_what_is_noted_without_the_key() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    let request = KeyRequest { scopes: vec!["read".to_owned()], ..KeyRequest::default() };
    let made = bench.method.create(&request, Manager::Control).await.expect("created");
    let owner = made.summary.owner.clone();
    let request = IssueRequest { count: 1, lifetime: None, scopes: Vec::new() };
    let by = bench.method.renew(&owner, &request).await.expect("a key that manages").id;
    let manager = Manager::Application { owner: &owner, key: &by };
    let new = bench.method.rotate(&made.summary.id, &KeyRotation { overlap: OVERLAP }, manager).await.expect("rotated");
    bench.method.revoke_as(&new.summary.id, manager).await.expect("revoked");
    bench.method.suspend(&owner, true).await.expect("suspended");
    bench.method.suspend(&owner, false).await.expect("resumed");
    let events = bench.method.events();
    let (first, second) = (made.summary.id.as_str(), new.summary.id.as_str());
    let told: Vec<_> = events.iter().map(|event| (event.event, &*event.actor, event.key.as_deref())).collect();
    assert_eq!(
        told,
        [
            (KeyAction::Created, "control", Some(first)),
            (KeyAction::Created, "control", Some(&*by)),
            (KeyAction::Rotated, &*by, Some(first)),
            (KeyAction::Revoked, &*by, Some(second)),
            (KeyAction::Suspended, "control", None),
            (KeyAction::Resumed, "control", None),
        ]
    );
    let text = serde_json::to_string(&events).expect("JSON");
    assert!(events.iter().all(|event| event.owner == owner && event.at > 0));
    assert!(!text.contains(made.key.expose()) && !text.contains(new.key.expose()));
}

#[tokio::test]
async fn ak_2_bc_021_lists_show_what_tells_keys_apart_and_no_key() {
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::new(store, None).await;
        let (issued, key) = bench.issue(Some(OVERLAP)).await;
        let new = rotate(&bench, &issued.id, OVERLAP).await.expect(kind);
        let listed = bench.method.list(&issued.principal).await.expect(kind);
        assert!(listed.is_sorted_by(|a, b| a.id < b.id) && listed.len() == 2, "{kind}: {listed:?}");
        let shown = bench.method.get(&issued.id, Manager::Control).await.expect(kind);
        assert!(listed.contains(&shown));
        assert_eq!((&*shown.prefix, &*shown.last4), ("ab_live_", &key[key.len() - 4..]));
        assert_eq!((shown.status, shown.replaced_by.as_deref()), (KeyState::Active, Some(&*new.summary.id)));
        let expires = shown.expires.expect("it ends");
        assert!(expires > shown.created && shown.last_used.is_none() && shown.requests == 0, "{kind}");
        let text = serde_json::to_string(&listed).expect("JSON");
        for key in [&*key, new.key.expose()] {
            assert!(!key.as_bytes().windows(12).any(|piece| text.contains(std::str::from_utf8(piece).expect("ASCII"))));
        }
        assert_eq!(bench.present_from_afar(&issued.id).await, Err(Rejection::Invalid(Cause::Malformed)));
        assert!(bench.method.list("app-unknown").await.expect(kind).is_empty());
    }
}

#[tokio::test]
async fn ak_2_an_application_finds_no_keys_but_its_own() {
    let bench = Bench::new(StoreConfig::Memory, None).await;
    let ((own, _), (other, key)) = (bench.issue(None).await, bench.issue(None).await);
    let manager = Manager::Application { owner: &own.principal, key: &own.id };
    let not_found = |answer: Result<(), AdminError>| matches!(answer, Err(AdminError::NotFound(_)));
    assert!(not_found(bench.method.get(&other.id, manager).await.map(drop)));
    assert!(not_found(bench.method.revoke_as(&other.id, manager).await));
    assert!(not_found(bench.method.rotate(&other.id, &KeyRotation::default(), manager).await.map(drop)));
    let request = KeyRequest { owner: Some(other.principal.clone()), ..KeyRequest::default() };
    assert!(not_found(bench.method.create(&request, manager).await.map(drop)));
    assert!(bench.present(&key).is_ok());
    let made = bench.method.create(&KeyRequest::default(), manager).await.expect("created");
    assert_eq!(made.summary.owner, own.principal);
}

/// A key that manages others and does not go far, and asks for further ones of its application.
#[tokio::test]
async fn ak_2_ak_14_a_key_makes_and_replaces_none_that_go_further_than_itself() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let networks = |all: &[&str]| all.iter().map(|one| one.parse().expect("a network")).collect::<Vec<Network>>();
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::new(store, None).await;
        let (free, _) = bench.issue(None).await;
        let owner = Some(free.principal.clone());
        let own = networks(&["127.0.0.0/8", "192.0.2.0/24"]);
        let narrow = KeyRequest { owner, lifetime: Some(HOUR), networks: own.clone(), ..KeyRequest::default() };
        let by = bench.method.create(&narrow, Manager::Control).await.expect(kind).summary;
        let manager = Manager::Application { owner: &free.principal, key: &by.id };
        let ask = async |lifetime: Option<Duration>, from: &[&str]| {
            let request = KeyRequest { lifetime, networks: networks(from), ..KeyRequest::default() };
            bench.method.create(&request, manager).await.map(|made| made.summary)
        };
        // What is left open is as with the key that asks.
        let same = ask(None, &[]).await.expect(kind);
        assert_eq!((same.expires, &same.networks), (by.expires, &own), "{kind}");
        let less = ask(Some(OVERLAP), &["192.0.2.128/25", "127.0.0.1"]).await.expect(kind);
        assert!(less.expires < by.expires && less.networks == networks(&["192.0.2.128/25", "127.0.0.1"]), "{kind}");
        for (lifetime, from, expected) in [
            (Some(HOUR + OVERLAP), &[] as &[&str], "lifetime-not-held"),
            (None, &["0.0.0.0/0"], "network-not-held"),
            (None, &["192.0.2.7", "192.0.3.0/24"], "network-not-held"),
            (None, &["::/0"], "network-not-held"),
        ] {
            let more = ask(lifetime, from).await;
            assert!(matches!(more, Err(AdminError::Forbidden(what)) if what == expected), "{kind}: {more:?}");
        }
        // Whoever replaces a key has the successor: one that ends later or is good from elsewhere is not theirs to replace.
        let rotation = KeyRotation { overlap: OVERLAP };
        let other =
            KeyRequest { owner: Some(free.principal.clone()), lifetime: Some(OVERLAP), ..KeyRequest::default() };
        let everywhere = bench.method.create(&other, Manager::Control).await.expect(kind).summary.id;
        for (id, expected) in [(&free.id, "lifetime-not-held"), (&everywhere, "network-not-held")] {
            let replaced = bench.method.rotate(id, &rotation, manager).await;
            assert!(matches!(replaced, Err(AdminError::Forbidden(what)) if what == expected), "{kind}: {replaced:?}");
        }
        for id in [&same.id, &by.id] {
            bench.method.rotate(id, &rotation, manager).await.expect(kind);
        }
        // One that was taken back gives nothing any more, although it was let in a moment ago.
        bench.method.revoke(&by.id).await.expect(kind);
        assert!(matches!(ask(None, &[]).await, Err(AdminError::NotFound(_))), "{kind}");
    }
}
