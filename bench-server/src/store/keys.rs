//! Records of API keys, found by the digest of the key. The key itself is nowhere.

use std::sync::Arc;

use crate::clock::UnixTime;
use crate::credential::digest::Digest;

pub(crate) mod memory;
pub(crate) mod sqlite;

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
                keys.insert(records);
                Ok(())
            }
            Self::Sqlite(keys) => keys.insert(&records),
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
