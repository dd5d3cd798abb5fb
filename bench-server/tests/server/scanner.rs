//! Row AK-26: the rule for secret scanners, as a program that shares nothing with the server, agrees with it.
use std::io::Write as _;
use std::process::{Command, Stdio};

use bench_server::contract::KeyEnvironment::{Live, Test};
use bench_server::credential::key::{self, Key};
use rand::rngs::ChaCha20Rng;
use rand::{RngExt as _, SeedableRng as _};

#[test]
fn ak_1_ak_26_an_independent_checker_agrees_on_ten_thousand_keys_and_as_many_others() {
    let mut rng = ChaCha20Rng::seed_from_u64(26);
    let mut lines = Vec::new();
    for number in 0..10_000 {
        let environment = if number % 2 == 0 { Live } else { Test };
        let Ok(key) = key::generate(environment, &mut rng);
        let good = key.expose().to_owned();
        // One character changed, left out, doubled, or two exchanged.
        let mut bad = good.clone().into_bytes();
        let place = rng.random_range(0..bad.len() - 1);
        match number % 4 {
            0 => bad[place] = if bad[place] == b'a' { b'b' } else { b'a' },
            1 => drop(bad.remove(place)),
            2 => bad.insert(place, b'0'),
            _ => bad.swap(place, place + 1),
        }
        let bad = String::from_utf8(bad).expect("ASCII");
        lines.extend([good, bad]);
    }
    let checker = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/check-api-key");
    let mut child = Command::new(checker).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all((lines.join("\n") + "\n").as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8(output.stdout).expect("text");
    let said: Vec<bool> = said.lines().map(|line| line == "key").collect();
    let ours: Vec<bool> = lines.iter().map(|line| Key::parse(line).is_ok()).collect();
    assert_eq!(said.len(), lines.len());
    assert_eq!(said, ours);
    assert!(ours.iter().step_by(2).all(|good| *good));
    // Two equal characters that were exchanged are the same key.
    assert!(ours.iter().skip(1).step_by(2).filter(|good| **good).count() < 200);
}
