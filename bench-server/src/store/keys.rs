//! What is done to keys beside looking them up: listed, replaced, digested anew, suspended with their owner, and counted.
//!
//! Keys that were issued are their owner's: they are listed, and suspended together. Those of a population are nobody's.

use super::record::{KeyRecord, Replaced, Replacement, UsageBatch, UsageLine};
use super::{Arc, Digest, MATTERS_FOR, Store, StoreError, UnixTime};

impl Store {
    /// The key of that name.
    pub(crate) async fn key_named(&self, id: &str) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.key_named(id)),
            Self::Sqlite(store) => store.key_named(id).await,
            Self::Redis(store) => store.key_named(id).await,
            Self::Postgres(store) => store.key_named(id).await,
        }
    }

    /// The keys of an owner, in the order of their names.
    pub(crate) async fn keys_of(&self, owner: &str) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.keys_of(owner)),
            Self::Sqlite(store) => store.keys_of(owner).await,
            Self::Redis(store) => store.keys_of(owner).await,
            Self::Postgres(store) => store.keys_of(owner).await,
        }
    }

    /// Adds a key to those of an owner; `false`, and nothing changes, where the owner is suspended.
    pub(crate) async fn add_key(&self, record: KeyRecord) -> Result<bool, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.add_key(record)),
            Self::Sqlite(store) => store.add_key(record).await,
            Self::Redis(store) => store.add_key(&record).await,
            Self::Postgres(store) => store.add_key(&record).await,
        }
    }

    /// Puts another key beside one, which ends some time later. All or nothing, and once for each key: of two that come at the
    /// same time one is refused.
    pub(crate) async fn replace_key(
        &self,
        id: &str,
        replacement: Replacement,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        let until = UnixTime(now.0 + MATTERS_FOR);
        match self {
            Self::Memory(store) => Ok(store.replace_key(id, &replacement, now)),
            Self::Sqlite(store) => store.replace_key(id, replacement, until, now).await,
            Self::Redis(store) => store.replace_key(id, &replacement, until, now).await,
            Self::Postgres(store) => store.replace_key(id, &replacement, until, now).await,
        }
    }

    /// Puts a key under another digest, made with that version of the pepper; `false` where there is none under the old one.
    pub(crate) async fn redigest(
        &self,
        from: Digest,
        to: Digest,
        pepper: u32,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let until = UnixTime(now.0 + MATTERS_FOR);
        match self {
            Self::Memory(store) => Ok(store.redigest(&from, to, pepper)),
            Self::Sqlite(store) => store.redigest(from, to, pepper, until, now).await,
            Self::Redis(store) => store.redigest(&from, &to, pepper, until).await,
            Self::Postgres(store) => store.redigest(&from, &to, pepper, until, now).await,
        }
    }

    /// Suspends an owner, or ends that. Every later [`Store::key`] of the owner's keys sees it, whenever they were issued; one
    /// entry tells those who follow the store. `false` when nobody of that name has a key.
    pub(crate) async fn suspend(&self, owner: &str, suspended: bool, now: UnixTime) -> Result<bool, StoreError> {
        let until = UnixTime(now.0 + MATTERS_FOR);
        match self {
            Self::Memory(store) => Ok(store.suspend(owner, suspended)),
            Self::Sqlite(store) => store.suspend(owner, suspended, until, now).await,
            Self::Redis(store) => store.suspend(owner, suspended, until).await,
            Self::Postgres(store) => store.suspend(owner, suspended, until, now).await,
        }
    }

    /// Adds to what was counted before, once for each number of a writer.
    pub(crate) async fn add_usage(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => {
                store.add_usage(batch);
                Ok(())
            }
            Self::Sqlite(store) => store.add_usage(batch.clone()).await,
            Self::Redis(store) => store.add_usage(batch).await,
            Self::Postgres(store) => store.add_usage(batch).await,
        }
    }

    /// What was counted of keys; those that were never used are missing.
    pub(crate) async fn usage_of(&self, keys: Vec<Arc<str>>) -> Result<Vec<UsageLine>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.usage_of(&keys)),
            Self::Sqlite(store) => store.usage_of(keys).await,
            Self::Redis(store) => store.usage_of(keys).await,
            Self::Postgres(store) => store.usage_of(&keys).await,
        }
    }

    /// What was counted of all keys, in the order of their names.
    pub(crate) async fn usage(&self) -> Result<Vec<UsageLine>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.usage()),
            Self::Sqlite(store) => store.usage().await,
            Self::Redis(store) => store.usage().await,
            Self::Postgres(store) => store.usage().await,
        }
    }
}

#[cfg(test)]
mod tests;
