//! Credentials and messages that were damaged, many and always the same: nothing panics, nobody is let in, and no fault is
//! called the server's own. Below each part of a credential is damaged by itself, so that what is inside is reached too.
//!
//! Seeds are fixed, so that a failure comes again. The coverage-guided counterpart is `fuzz/`.

mod forms;
mod keys;
mod tokens;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::auth::Rejection;

/// Damaged inputs per test.
pub(crate) const TRIES: usize = 100_000;

/// Damages bytes as transmission, editors and attackers do.
pub(crate) struct Mutator(StdRng);

impl Mutator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end)
    }

    /// The bytes with one to four changes; `pieces` are what the format is made of.
    pub(crate) fn damage(&mut self, good: &[u8], pieces: &[&[u8]]) -> Vec<u8> {
        let mut bytes = good.to_vec();
        for _ in 0..self.0.random_range(1..=4) {
            self.once(&mut bytes, pieces);
        }
        bytes
    }

    /// The same of a text. What is no text any more is repaired with U+FFFD.
    pub(crate) fn damage_text(&mut self, good: &str, pieces: &[&str]) -> String {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        String::from_utf8_lossy(&self.damage(good.as_bytes(), &pieces)).into_owned()
    }

    fn once(&mut self, bytes: &mut Vec<u8>, pieces: &[&[u8]]) {
        let random = &mut self.0;
        if bytes.is_empty() {
            bytes.push(random.random());
            return;
        }
        let place = random.random_range(0..bytes.len());
        let until = bytes.len().min(place + random.random_range(1..9));
        match random.random_range(0..9) {
            0 => bytes[place] ^= 1_u8 << random.random_range(0..8_u32),
            1 => bytes[place] = random.random(),
            2 => bytes[place] = bytes[place].wrapping_add(if random.random() { 1 } else { 255 }),
            3 => drop(bytes.drain(place..until)),
            4 => bytes.truncate(place),
            5 => {
                let copied = bytes[place..until].to_vec();
                let to = random.random_range(0..=bytes.len());
                bytes.splice(to..to, copied);
            }
            6 => {
                let other = random.random_range(0..bytes.len());
                bytes.swap(place, other);
            }
            7 => bytes[place..until].fill([0, 0xff, b'A'][random.random_range(0..3)]),
            _ => {
                let fallback: [u8; 1] = [random.random_range(0x20..0x7f)];
                let piece = match pieces.len() {
                    0 => &fallback[..],
                    known => pieces[random.random_range(0..known)],
                };
                let replaced = if random.random() { place..until } else { place..place };
                bytes.splice(replaced, piece.iter().copied());
            }
        }
    }
}

/// Whether a refusal is the caller's fault and not the server's.
fn is_callers_fault(rejection: &Rejection) -> bool {
    !matches!(rejection, Rejection::Unavailable { .. })
}

#[test]
fn the_same_seed_does_the_same_damage() {
    let damaged = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..100).map(|_| mutator.damage(b"good", &[b"piece"])).collect::<Vec<_>>()
    };
    assert_eq!(damaged(1), damaged(1));
    assert_ne!(damaged(1), damaged(2));
    assert!(damaged(1).iter().filter(|bytes| **bytes != b"good").count() > 80);
}
