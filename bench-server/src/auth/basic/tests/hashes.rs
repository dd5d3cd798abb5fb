//! Algorithms and costs, the queue of hashes, and hashes that a login renews.

use super::*;
use crate::config::StoreConfig;
use crate::contract::{NewUser, Secret};
use crate::store::testing;

#[tokio::test]
async fn ba_9_every_algorithm_with_its_recommended_costs() {
    for hash in [
        PasswordHash::ARGON2ID,
        PasswordHash::BCRYPT,
        PasswordHash::Pbkdf2Sha256 { iterations: 1_000 },
        PasswordHash::Scrypt { log_n: 10, r: 8, p: 1 },
    ] {
        let bench = Bench::new(&config(hash, None)).await;
        let request = IssueRequest { count: 2, lifetime: None, scopes: Vec::new() };
        let issued = bench.method.issue(&request).await.expect("issue");
        let ((anna, password), (_, other)) = (material(&issued[0]), material(&issued[1]));
        assert!(bench.present(anna, password).await.is_ok(), "{hash:?}");
        assert_eq!(bench.present(anna, other).await, WRONG, "{hash:?}");
    }
}

#[tokio::test]
async fn ba_11_bc_127_bcrypt_does_not_cut_passwords() {
    let bench = Bench::new(&config(PasswordHash::BCRYPT, None)).await;
    let long = |last: char| format!("{}{last}", "p".repeat(72));
    assert!(matches!(bench.create("anna", &long('a')).await, Err(AdminError::BadRequest(_))));
    bench.create("anna", &"p".repeat(71)).await.expect("71 bytes fit");
    for long in ["p".repeat(72), long('a'), long('b')] {
        assert_eq!(bench.present("anna", &long).await, WRONG);
        assert_eq!(bench.present("nobody", &long).await, UNKNOWN);
    }
    assert_eq!(bench.counts().0, 1, "refused before hashing, for users and strangers alike");
}

#[tokio::test]
async fn more_users_are_issued_than_the_queue_holds() {
    let bench = Bench::new(&BasicConfig { hash_queue: 0, ..config(CHEAP, None) }).await;
    let request = IssueRequest { count: 50, lifetime: None, scopes: vec!["read".to_owned()] };
    let issued = bench.method.issue(&request).await.expect("issue");
    let names: std::collections::HashSet<_> = issued.iter().map(|issued| issued.id.as_str()).collect();
    assert_eq!(names.len(), 50);
    for issued in &issued {
        let (name, password) = material(issued);
        let principal = bench.present(name, password).await.expect("accepted");
        assert_eq!((&*principal.id, name), (issued.principal.as_str(), issued.id.as_str()));
    }
    assert_eq!(bench.environment.meter.store_writes.get(), 50);
}

#[tokio::test]
async fn ba_14_a_full_queue_is_unavailable() {
    let bench = Bench::new(&BasicConfig { hash_queue: 0, ..config(CHEAP, None) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    let busy = bench.method.pool.take_place();
    let full = Err(Rejection::Unavailable { dependency: "password hashing", retry_after: RETRY_AFTER });
    assert_eq!(bench.present("anna", "correct horse").await, full);
    assert_eq!(bench.present("nobody", "correct horse").await, full, "strangers are told the same");
    drop(busy);
    assert!(bench.present("anna", "correct horse").await.is_ok());
}

#[tokio::test]
async fn ba_12_a_weak_hash_is_renewed_by_a_login_in_every_store() {
    let strong = PasswordHash::Pbkdf2Sha256 { iterations: 3 };
    for store in testing::all() {
        let kind = store.name();
        let bench = Bench::new(&BasicConfig { store, ..config(strong, None) }).await;
        bench.create_with("anna", "correct horse", CHEAP).await;
        bench.create("bert", "battery staple").await.expect("create");
        let (weak, fine) = (bench.stored("anna").await, bench.stored("bert").await);
        assert_eq!(bench.present("anna", "wrong").await, WRONG);
        assert_eq!(bench.stored("anna").await, weak, "{kind}: nobody proved to know the password");
        assert!(bench.present("anna", "correct horse").await.is_ok(), "{kind}");
        assert!(bench.present("bert", "battery staple").await.is_ok(), "{kind}");
        let renewed = async {
            while bench.stored("anna").await == weak {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), renewed).await.expect("it is renewed");
        assert!(bench.stored("anna").await.starts_with("$pbkdf2-sha256$i=3$"), "{kind}");
        assert!(bench.present("anna", "correct horse").await.is_ok(), "{kind}");
        assert_eq!(bench.present("anna", "wrong").await, WRONG, "{kind}");
        assert_eq!(bench.stored("bert").await, fine, "{kind}: it was as strong as it should be");

        // A password that was changed meanwhile is not changed back.
        let before = bench.method.users.user("anna").await.expect(kind).expect("anna");
        bench.method.revoke("anna").await.expect(kind);
        let after = bench.stored("anna").await;
        let password = Zeroizing::new("correct horse".to_owned());
        assert_eq!(bench.method.renewal().run(&before, password).await.expect(kind), None, "{kind}");
        assert_eq!(bench.stored("anna").await, after, "{kind}");
        assert!(!bench.method.users.replace_hash("carl", &after, "new".into()).await.expect(kind), "{kind}");
    }
}

#[tokio::test]
async fn ba_12_ba_21_a_hash_under_an_old_pepper_is_renewed_by_a_login() {
    let old = BasicConfig { store: StoreConfig::Sqlite, peppers: vec![1], ..config(CHEAP, None) };
    let bench = Bench::new(&old).await;
    bench.create("anna", "correct horse").await.expect("create");
    assert!(bench.stored("anna").await.starts_with("v1$"));
    let both = bench.replica(&BasicConfig { peppers: vec![2, 1], ..old.clone() }).await;
    let (value, connection, now) = (basic("anna", "correct horse"), connection(), bench.environment.clock.now());
    let head = head("/", &[("authorization", &value)]);
    let request = Request { head: &head, connection: &connection, now };
    assert!(both.authenticate(&request).await.is_ok());
    let renewed = async {
        while !bench.stored("anna").await.starts_with("v2$") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), renewed).await.expect("it is renewed");
    let retired = bench.replica(&BasicConfig { peppers: vec![2], ..old.clone() }).await;
    assert!(retired.authenticate(&request).await.is_ok());
    assert_eq!(bench.present("anna", "correct horse").await, WRONG, "who has the old pepper alone cannot tell");
    let twice = BasicConfig { peppers: vec![1, 1], ..old };
    assert!(matches!(Basic::build("test", &twice, &bench.environment).await, Err(BuildError::Config(_))));
}

#[tokio::test]
async fn ba_9_ba_13_users_with_other_algorithms_live_beside_the_others() {
    let bench = Bench::new(&config(CHEAP, None)).await;
    let hashes = [
        PasswordHash::Argon2id { memory_kib: 19_456, iterations: 2, parallelism: 1 },
        PasswordHash::BCRYPT,
        PasswordHash::Scrypt { log_n: 17, r: 8, p: 1 },
    ];
    for (name, hash) in ["anna", "bert", "carl"].into_iter().zip(hashes) {
        let password = Secret::new("correct horse");
        let user =
            NewUser { username: name.to_owned(), password, scopes: Vec::new(), lifetime: None, hash: Some(hash) };
        bench.method.add_user(&user).await.expect("create");
        let (stored, before) = (bench.stored(name).await, bench.hashes());
        assert!(bench.present(name, "correct horse").await.is_ok(), "{hash:?}");
        // For a stranger it is one hash as well, of the profile's algorithm: only the time may tell.
        let (wrong, stranger) = (bench.present(name, "wrong").await, bench.present("nobody", "wrong").await);
        assert_eq!(as_told(&wrong), as_told(&stranger));
        assert_eq!(bench.hashes() - before, 3, "{hash:?}");
        assert_eq!(bench.stored(name).await, stored, "strong by its own standard");
    }
    let cheap = NewUser {
        username: "dora".to_owned(),
        password: Secret::new("x"),
        scopes: Vec::new(),
        lifetime: None,
        hash: Some(PasswordHash::Bcrypt { cost: 9 }),
    };
    assert!(matches!(bench.method.add_user(&cheap).await, Err(AdminError::BadRequest(_))));
}

/// How quickly the others are answered is for `scenarios/basic-hashing.toml` to say; here none of them waits at all.
#[tokio::test]
async fn ba_14_two_hundred_logins_keep_nobody_else_waiting() {
    let slow = PasswordHash::Pbkdf2Sha256 { iterations: 20_000 };
    let bench = Bench::new(&BasicConfig { hash_queue: 199, ..config(slow, None) }).await;
    let mut logins: Vec<_> = (0..200).map(|_| Box::pin(bench.present("anna", "wrong"))).collect();
    // Nobody polls them again before the others were answered: the places stay taken.
    for login in &mut logins {
        assert!(futures_util::poll!(login).is_pending(), "the hash is on a thread of its own");
    }
    assert_eq!(futures_util::poll!(Box::pin(bench.send(&[]))), std::task::Poll::Ready(Err(Rejection::Missing)));
    assert_eq!(futures_util::future::join_all(logins).await, vec![UNKNOWN; 200]);
}
