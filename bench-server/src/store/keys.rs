//! Records of API keys, found by the digest of the key. The key itself is nowhere.

use std::sync::Arc;

use rand::rngs::SysError;

use crate::clock::UnixTime;
use crate::credential::digest::Digest;

pub(crate) mod memory;
mod population;
pub(crate) mod sqlite;

use self::population::Population;

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    /// What a revocation names, like `key-…`; no secret.
    pub(crate) id: Arc<str>,
    /// The application that owns the key, like `app-…`: the principal of its requests.
    pub(crate) application: Arc<str>,
    /// SHA-256 of the key.
    pub(crate) digest: Digest,
    /// The key's prefix and last four characters, for lists.
    pub(crate) hint: Box<str>,
    /// Scopes held, space-separated.
    pub(crate) scopes: Arc<str>,
    /// When it was issued.
    pub(crate) created: UnixTime,
    /// The first moment at which it is no longer accepted; absent means never.
    pub(crate) expires: Option<UnixTime>,
    /// Whether it was taken back.
    pub(crate) status: KeyStatus,
}

/// Whether a key was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyStatus {
    /// In force.
    Active,
    /// Taken back, for good.
    Revoked,
}

/// The store could not do what it was asked. Never an acceptance: the request is answered 503.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub(crate) struct StoreError {
    /// What was being done.
    pub(crate) what: String,
    /// Why it failed.
    #[source]
    pub(crate) source: Box<dyn std::error::Error + Send + Sync>,
}

impl StoreError {
    /// Its answer does not arrive.
    pub(crate) fn unreachable(error: std::io::Error) -> Self {
        Self { what: "wait for the store's answer".to_owned(), source: error.into() }
    }

    /// Nothing new can be made.
    pub(crate) fn no_random(error: SysError) -> Self {
        Self { what: "ask the operating system for random bytes".to_owned(), source: error.into() }
    }
}

/// Where key records live.
pub(crate) enum KeyStore {
    /// In the process.
    Memory(memory::MemoryKeys),
    /// In a SQLite file.
    Sqlite(sqlite::SqliteKeys),
}

impl KeyStore {
    /// The record of a key. Quick enough to be called on the reactor.
    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        match self {
            Self::Memory(keys) => Ok(keys.get(digest)),
            Self::Sqlite(keys) => keys.get(digest),
        }
    }

    /// Adds records: all of them, or none on an error. Blocks.
    pub(crate) fn insert(&self, records: Vec<KeyRecord>) -> Result<(), StoreError> {
        match self {
            Self::Memory(keys) => {
                keys.insert(records.into_iter());
                Ok(())
            }
            Self::Sqlite(keys) => keys.insert(records.into_iter()),
        }
    }

    /// Adds records of nobody, with these scopes, until there are `population` in all; a store that was filled in an
    /// earlier life stays as it is. Blocks: in a release build a million take a second or two in memory, ten in SQLite.
    pub(crate) fn fill(&self, population: usize, scopes: &Arc<str>, created: UnixTime) -> Result<(), StoreError> {
        let missing = |held: usize| match population.saturating_sub(held) {
            0 => Ok(None),
            count => Population::new(count, scopes.clone(), created).map(Some),
        };
        match self {
            Self::Memory(keys) => {
                if let Some(records) = missing(keys.len())? {
                    keys.insert(records);
                }
                Ok(())
            }
            Self::Sqlite(keys) => match missing(keys.len()?)? {
                Some(records) => keys.insert_many(records),
                None => Ok(()),
            },
        }
    }

    /// Marks a key as revoked and returns once every later [`KeyStore::get`] will see it. `false` when there is no such
    /// key; a second revocation changes nothing and is `true`. Blocks.
    pub(crate) fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        match self {
            Self::Memory(keys) => Ok(keys.revoke(id)),
            Self::Sqlite(keys) => keys.revoke(id),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::time::Duration;

    /// A record whose digest is filled with `number`.
    pub(crate) fn record(number: u8) -> KeyRecord {
        KeyRecord {
            id: format!("key-{number}").into(),
            application: format!("app-{number}").into(),
            digest: Digest([number; 32]),
            hint: "ab_live_…0000".into(),
            scopes: "read write".into(),
            created: UnixTime(Duration::new(1_800_000_000, 123_456_789)),
            expires: number.is_multiple_of(2).then_some(UnixTime(Duration::new(1_900_000_000, 1))),
            status: KeyStatus::Active,
        }
    }

    #[test]
    fn a_population_is_filled_up_once_and_stands_beside_what_is_issued() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for store in stores(folder.path()) {
            let len = || match &store {
                KeyStore::Memory(keys) => keys.len(),
                KeyStore::Sqlite(keys) => keys.len().expect("len"),
            };
            store.insert(vec![record(1)]).expect("insert");
            for (population, held) in [(0, 1), (1, 1), (5_000, 5_000), (5_000, 5_000), (10, 5_000)] {
                store.fill(population, &"read".into(), record(1).created).expect("fill");
                assert_eq!(len(), held);
            }
            store.insert(vec![record(2)]).expect("insert");
            assert_eq!(len(), 5_001);
            assert_eq!(store.get(&Digest([2; 32])).expect("get").as_deref(), Some(&record(2)));
            assert!(store.revoke("key-1").expect("revoke"), "found among the others");
        }
    }

    fn stores(folder: &std::path::Path) -> [KeyStore; 2] {
        let sqlite = sqlite::SqliteKeys::open(&folder.join("keys.sqlite")).expect("a database in a fresh folder");
        [KeyStore::Memory(memory::MemoryKeys::default()), KeyStore::Sqlite(sqlite)]
    }

    #[test]
    fn records_come_back_as_they_were_and_revocations_are_seen_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for store in stores(folder.path()) {
            store.insert((1..=4).map(record).collect()).expect("insert");
            for number in 1..=4 {
                let found = store.get(&Digest([number; 32])).expect("get");
                assert_eq!(found.as_deref(), Some(&record(number)));
            }
            assert_eq!(store.get(&Digest([9; 32])).expect("get"), None);

            assert!(store.revoke("key-2").expect("revoke"));
            assert!(store.revoke("key-2").expect("revoke"), "again changes nothing");
            assert!(!store.revoke("key-9").expect("revoke"));
            let revoked = store.get(&Digest([2; 32])).expect("get").expect("a revoked record stays");
            assert_eq!(*revoked, KeyRecord { status: KeyStatus::Revoked, ..record(2) });
            assert_eq!(
                store.get(&Digest([1; 32])).expect("get").as_deref(),
                Some(&record(1)),
                "others stay as they were"
            );
        }
    }
}
