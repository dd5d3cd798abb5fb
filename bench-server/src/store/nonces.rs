//! Nonces that were used (RFC 9421 §7.2.2): each is taken once, whoever asks first, and is remembered until nobody accepts
//! what it was used in.
//!
//! How many are remembered is bounded in every kind of store, for each process that adds to it. Where there is no room left
//! the answer is that, and never that a nonce is new.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, postgres, redis, sqlite};
use crate::clock::UnixTime;

/// Parts of the memory that are locked, and tidied up, separately.
const SHARDS: usize = 256;

/// Entries of a part below which tidying up does not pay.
const FEW: usize = 64;

/// Length of the times that entries are counted by, in seconds: so much longer than it is remembered does one count.
const SLOT: u64 = 30;

/// So many such times are counted apart: more than the longest that any entry is remembered.
const SLOTS: usize = 32;

/// A nonce of one key: 128 bits of SHA-256 over both. Short, because there are millions; and nobody gains by finding two
/// that are alike, for they would be nonces of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Nonce([u8; 16]);

impl Nonce {
    /// Both are printable, so the zero between them keeps them apart.
    pub(crate) fn new(key_id: &str, nonce: &str) -> Self {
        let digest = Sha256::new().chain_update(key_id).chain_update([0_u8]).chain_update(nonce).finalize();
        Self(*digest.first_chunk().expect("32 bytes begin with 16"))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn to_hex(self) -> String {
        format!("{:032x}", u128::from_be_bytes(self.0))
    }
}

/// What came of using a nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Used {
    /// It had not been used.
    First,
    /// It had been.
    Again,
    /// Nobody can tell later: as many are remembered as may be.
    NoRoom,
}

/// The used nonces of one profile.
pub(crate) struct Nonces {
    kept: Kept,
    living: Mutex<Living>,
}

enum Kept {
    Memory(Box<Memory>),
    Sqlite(sqlite::Nonces),
    Redis(redis::Redis),
    Postgres(Box<postgres::Nonces>),
}

impl Nonces {
    /// Keeps them where a profile's other records are; with SQLite in a file beside that, in the profile's folder `dir`. At
    /// most `most` are remembered at a time.
    pub(crate) fn open(store: &Store, dir: &Path, most: usize) -> Result<Self, StoreError> {
        let kept = match store {
            Store::Memory(_) => Kept::Memory(Box::default()),
            Store::Sqlite(_) => Kept::Sqlite(sqlite::Nonces::open(&dir.join("nonces.sqlite"))?),
            Store::Redis(store) => Kept::Redis(store.clone()),
            Store::Postgres(store) => Kept::Postgres(Box::new(postgres::Nonces::new(store.clone()))),
        };
        Ok(Self { kept, living: Mutex::new(Living { slots: [(0, 0); SLOTS], most }) })
    }

    /// Uses a nonce, which is remembered until `until`. Of all who try at the same time, in all processes that share the
    /// store, one is the first.
    ///
    /// # Errors
    /// When it is not known whether it was used. It may be, from then on.
    pub(crate) async fn use_up(&self, nonce: &Nonce, until: UnixTime, now: UnixTime) -> Result<Used, StoreError> {
        let living = || self.living.lock().unwrap_or_else(PoisonError::into_inner);
        if !living().add(until, now) {
            return Ok(Used::NoRoom);
        }
        let first = match &self.kept {
            Kept::Memory(memory) => memory.use_up(nonce, until, now),
            Kept::Sqlite(store) => store.use_up(nonce, until, now).await?,
            Kept::Redis(store) => store.use_up(nonce, until.0.saturating_sub(now.0)).await?,
            Kept::Postgres(store) => store.use_up(nonce, until, now).await?,
        };
        if first {
            return Ok(Used::First);
        }
        living().take_back(until);
        Ok(Used::Again)
    }
}

/// How many entries are remembered, by when they end.
struct Living {
    /// Which [`SLOT`] since 1970, and how many end in it.
    slots: [(u64, usize); SLOTS],
    most: usize,
}

impl Living {
    fn add(&mut self, until: UnixTime, now: UnixTime) -> bool {
        let first = now.as_secs() / SLOT;
        let living: usize = self.slots.iter().filter(|(slot, _)| *slot >= first).map(|(_, count)| count).sum();
        if living >= self.most {
            return false;
        }
        let slot = until.as_secs() / SLOT;
        let place = &mut self.slots[slot as usize % SLOTS];
        if place.0 != slot {
            *place = (slot, 0);
        }
        place.1 += 1;
        true
    }

    fn take_back(&mut self, until: UnixTime) {
        let slot = until.as_secs() / SLOT;
        let place = &mut self.slots[slot as usize % SLOTS];
        if place.0 == slot {
            place.1 = place.1.saturating_sub(1);
        }
    }
}

/// In the process. Keys are gone with it as well, so nothing that it forgets then is ever accepted again.
struct Memory {
    shards: Box<[Mutex<Shard>]>,
    /// Keyed at random, so that no caller chooses which entries meet.
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    /// When each ends, in seconds since 1970.
    held: HashMap<Nonce, u32>,
    /// At so many it is tidied up: half as many again as were left the last time, so that each entry is looked at twice or
    /// three times in all.
    tidy_at: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl Memory {
    fn use_up(&self, nonce: &Nonce, until: UnixTime, now: UnixTime) -> bool {
        let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
        let (until, now) = (seconds(until.0), seconds(now.0));
        let shard = &self.shards[self.hasher.hash_one(nonce) as usize % SHARDS];
        // A panic leaves a map that is still true.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.held.len() >= shard.tidy_at.max(FEW) {
            shard.held.retain(|_, until| *until > now);
            shard.tidy_at = shard.held.len() + shard.held.len() / 2;
            let room = shard.tidy_at.max(FEW);
            shard.held.shrink_to(2 * room);
        }
        match shard.held.entry(*nonce) {
            Entry::Occupied(held) if *held.get() > now => false,
            entry => {
                entry.insert_entry(until);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::StoreConfig;
    use crate::store::testing;

    const NOW: u64 = 1_900_000_000;

    fn at(seconds: u64) -> UnixTime {
        UnixTime(Duration::from_secs(seconds))
    }

    fn nonce(number: u32) -> Nonce {
        Nonce::new("sig-1", &number.to_string())
    }

    async fn open(config: &StoreConfig, dir: &Path, most: usize) -> Arc<Nonces> {
        let store = Store::open(config, "test", dir).await.unwrap_or_else(|error| panic!("{}: {error}", config.name()));
        Arc::new(Nonces::open(&store, dir, most).expect("a store that was opened"))
    }

    async fn used(nonces: &Nonces, number: u32, until: u64, now: u64) -> Used {
        nonces.use_up(&nonce(number), at(until), at(now)).await.expect("a store that works")
    }

    #[test]
    fn a_nonce_belongs_to_a_key() {
        let nonces =
            [("a", "bc"), ("ab", "c"), ("a", "b"), ("b", "a")].map(|(id, nonce)| Nonce::new(id, nonce).to_hex());
        assert_eq!(nonces.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{nonces:?}");
        assert_eq!(nonces[0].len(), 32);
    }

    #[tokio::test]
    async fn sr_5_a_nonce_is_taken_once_until_it_may_be_forgotten() {
        for config in testing::all() {
            let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
            let nonces = open(&config, folder.path(), 1_000).await;
            assert_eq!(used(&nonces, 1, NOW + 60, NOW).await, Used::First, "{kind}");
            assert_eq!(used(&nonces, 2, NOW + 60, NOW).await, Used::First, "{kind}");
            for now in [NOW, NOW + 59] {
                assert_eq!(used(&nonces, 1, NOW + 300, now).await, Used::Again, "{kind}");
            }
            if !matches!(config, StoreConfig::Redis(_)) {
                // Redis forgets by its own clock, which no test moves.
                assert_eq!(used(&nonces, 1, NOW + 120, NOW + 60).await, Used::First, "{kind}: forgotten");
                assert_eq!(used(&nonces, 1, NOW + 120, NOW + 60).await, Used::Again, "{kind}");
            }
        }
    }

    #[tokio::test]
    async fn sr_5_of_two_at_once_one_is_the_first_also_on_different_nodes() {
        for config in testing::all() {
            let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
            let one = open(&config, folder.path(), 1_000).await;
            let other = match config {
                // Belongs to one process.
                StoreConfig::Memory => one.clone(),
                _ => open(&config, folder.path(), 1_000).await,
            };
            for number in 0..50 {
                let tries = [&one, &other, &one, &other].map(|nonces| {
                    let nonces = nonces.clone();
                    tokio::spawn(async move { used(&nonces, number, NOW + 60, NOW).await })
                });
                let mut firsts = 0;
                for tried in tries {
                    firsts += usize::from(tried.await.expect("no panic") == Used::First);
                }
                assert_eq!(firsts, 1, "{kind}");
            }
        }
    }

    #[tokio::test]
    async fn sr_5_what_is_remembered_is_bounded_and_never_forgotten_early() {
        for config in testing::all() {
            let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
            let nonces = open(&config, folder.path(), 100).await;
            for number in 0..100 {
                assert_eq!(used(&nonces, number, NOW + 60, NOW).await, Used::First, "{kind}");
                assert_ne!(used(&nonces, number % 7, NOW + 60, NOW).await, Used::First, "{kind}");
            }
            assert_eq!(used(&nonces, 100, NOW + 60, NOW).await, Used::NoRoom, "{kind}");
            assert_eq!(used(&nonces, 3, NOW + 60, NOW).await, Used::NoRoom, "{kind}: and not first");
            // Once they have ended there is room again.
            assert_eq!(used(&nonces, 101, NOW + 200, NOW + 60 + SLOT).await, Used::First, "{kind}");
        }
    }

    #[test]
    fn sr_5_memory_is_tidied_up_as_it_grows() {
        let memory = Memory::default();
        // Ten at a time live, and 200 000 pass through.
        for number in 0..200_000_u64 {
            let now = NOW + number / 10;
            assert!(memory.use_up(&nonce(number as u32), at(now + 1), at(now)));
        }
        let held = memory.shards.iter().map(|shard| shard.lock().expect("no panic").held.len());
        let largest = held.max().expect("parts");
        assert!(largest <= FEW, "{largest} in one of {SHARDS} parts");
    }

    #[tokio::test]
    async fn sr_5_stores_remove_what_has_ended() {
        for config in [StoreConfig::Sqlite, testing::postgres()] {
            let (kind, folder) = (config.name(), tempfile::tempdir().expect("a temporary folder"));
            let nonces = open(&config, folder.path(), 1_000).await;
            for number in 0..40 {
                used(&nonces, number, NOW + 1, NOW).await;
            }
            for number in 40..80 {
                used(&nonces, number, NOW + 60, NOW + 2).await;
            }
            let rows = match &nonces.kept {
                Kept::Sqlite(store) => store.count().await,
                Kept::Postgres(store) => store.count().await,
                Kept::Memory(_) | Kept::Redis(_) => unreachable!("not asked for"),
            };
            assert_eq!(rows.expect(kind), 40, "{kind}");
        }
    }

    #[tokio::test]
    async fn sr_5_sqlite_remembers_over_a_restart() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let nonces = open(&StoreConfig::Sqlite, folder.path(), 1_000).await;
        assert_eq!(used(&nonces, 1, NOW + 60, NOW).await, Used::First);
        drop(nonces);
        let nonces = open(&StoreConfig::Sqlite, folder.path(), 1_000).await;
        assert_eq!(used(&nonces, 1, NOW + 60, NOW).await, Used::Again);
    }
}
