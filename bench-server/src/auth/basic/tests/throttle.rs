//! Who guesses has to wait.

use super::*;

#[tokio::test]
async fn ba_16_ba_17_bc_130_bc_131_known_and_unknown_users_are_braked_alike() {
    let bench = Bench::new(&BasicConfig { throttle: true, ..config(CHEAP, None) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    let now = bench.environment.clock.now();
    let mut told = Vec::new();
    for name in ["anna", "bert"] {
        let mut verdicts = Vec::new();
        for _ in 0..101 {
            verdicts.push(as_told(&bench.at(now, "/", &[("authorization", &basic(name, "wrong"))]).await));
        }
        assert!(verdicts[..10].iter().all(|verdict| verdict == "invalid"), "{verdicts:?}");
        assert!(verdicts[10..].iter().all(|verdict| verdict.contains("TooMany")), "{verdicts:?}");
        told.push(verdicts);
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(bench.hashes(), 1 + 20, "nobody looks at the others");
    let right = basic("anna", "correct horse");
    let at = async |after: u64, authorization: &str| {
        let now = UnixTime(now.0 + Duration::from_secs(after));
        bench.at(now, "/", &[("authorization", authorization)]).await
    };
    let Err(Rejection::TooMany(quota)) = at(0, &right).await else { panic!("the right one has to wait as well") };
    assert_eq!((quota.remaining, quota.reset), (0, Duration::from_secs(1)));
    // After the wait it counts, and with it the failures are over.
    assert!(at(1, &right).await.is_ok());
    for _ in 0..9 {
        assert_eq!(at(1, &basic("anna", "wrong")).await, WRONG);
    }
    assert!(at(1, &right).await.is_ok());
}

#[tokio::test]
async fn ba_16_bc_132_one_password_for_many_users_is_braked_by_address() {
    let bench = Bench::new(&BasicConfig { throttle: true, ..config(CHEAP, None) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    let now = bench.environment.clock.now();
    let mut refused = 0;
    for number in 0..1_000 {
        let spray = basic(&format!("user-{number}"), "Summer2026!");
        match bench.at(now, "/", &[("authorization", &spray)]).await {
            Err(Rejection::TooMany(quota)) => {
                assert_eq!(quota.policy, "address");
                refused += 1;
            }
            other => assert_eq!(other, UNKNOWN),
        }
    }
    assert_eq!(refused, 900);
    let right = bench.at(now, "/", &[("authorization", &basic("anna", "correct horse"))]).await;
    assert!(matches!(right, Err(Rejection::TooMany(_))));
}

#[tokio::test]
async fn ba_16_guesses_that_come_at_once_are_no_more_than_those_that_wait() {
    let bench = Bench::new(&BasicConfig { throttle: true, hash_queue: 64, ..config(CHEAP, None) }).await;
    let now = bench.environment.clock.now();
    let guesses: Vec<String> = (0..50).map(|number| basic("anna", &format!("guess {number}"))).collect();
    let guess = async |guess: &String| bench.at(now, "/", &[("authorization", guess)]).await;
    let verdicts = futures_util::future::join_all(guesses.iter().map(guess)).await;
    assert_eq!(verdicts.iter().filter(|verdict| **verdict == UNKNOWN).count(), 10);
    assert_eq!(bench.hashes(), 10);
}

#[tokio::test]
async fn ba_16_ba_18_what_is_cached_is_of_no_use_while_its_user_has_to_wait() {
    let bench = Bench::new(&BasicConfig { throttle: true, ..config(CHEAP, Some(TTL)) }).await;
    bench.create("anna", "correct horse").await.expect("create");
    assert!(bench.present("anna", "correct horse").await.is_ok());
    for _ in 0..9 {
        assert_eq!(bench.present("anna", "wrong").await, WRONG);
    }
    assert!(bench.present("anna", "correct horse").await.is_ok());
    let now = bench.environment.clock.now();
    for _ in 0..10 {
        let verdict = bench.at(now, "/", &[("authorization", &basic("anna", "wrong"))]).await;
        assert_eq!(verdict, WRONG, "a hit ends the count as well");
    }
    let right = bench.at(now, "/", &[("authorization", &basic("anna", "correct horse"))]).await;
    assert!(matches!(right, Err(Rejection::TooMany(_))), "{right:?}");
}
