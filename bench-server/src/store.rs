//! Where credential records live, and what may stand in front: caches, and copies that follow the store.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SysError;

use crate::clock::UnixTime;
use crate::config::{Push, RemoteStore, StoreConfig};
use crate::credential::digest::Digest;
use crate::error::{AdminError, BuildError};

pub mod cache;
pub(crate) mod denylist;
pub(crate) mod distance;
pub(crate) mod file;
pub(crate) mod follow;
pub mod instance;
mod keys;
mod line;
mod memory;
pub(crate) mod nonces;
mod population;
mod postgres;
pub(crate) mod record;
mod redis;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use self::memory::Memory;
use self::population::Population;
use self::postgres::Postgres;
use self::record::{Entry, KeyRecord, Position, Revocation, User};
use self::redis::Redis;
use self::sqlite::Sqlite;

/// How long the revocation of a cached credential matters: as long as a cache may keep anything.
const MATTERS_FOR: Duration = cache::LONGEST;

/// Entries of the order of revocations read at once.
const PAGE: usize = 10_000;

/// Whether keys are listed among those of their owners, or nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owned {
    Yes,
    No,
}

/// The store of one profile.
#[allow(clippy::large_enum_variant)] // one for each profile, made once
pub(crate) enum Store {
    /// In the process.
    Memory(Memory),
    /// In a file.
    Sqlite(Sqlite),
    /// In a Redis server.
    Redis(Redis),
    /// In a PostgreSQL server.
    Postgres(Postgres),
}

/// The store could not do what it was asked. Never an acceptance: the request is answered 503.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
pub(crate) struct StoreError {
    /// What was being done.
    what: String,
    /// Why it failed.
    #[source]
    source: Box<dyn Error + Send + Sync>,
}

impl StoreError {
    pub(crate) fn new(what: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { what: what.into(), source: source.into() }
    }

    /// Its answer does not arrive.
    pub(crate) fn unreachable(error: std::io::Error) -> Self {
        Self::new("wait for the store's answer", error)
    }

    /// Nothing new can be made.
    pub(crate) fn no_random(error: SysError) -> Self {
        Self::new("ask the operating system for random bytes", error)
    }
}

impl From<StoreError> for BuildError {
    fn from(StoreError { what, source }: StoreError) -> Self {
        Self::State { what, source }
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl Store {
    /// Opens the store of a profile, or makes it. SQLite has the file `store.sqlite` in the profile's folder, `dir`.
    ///
    /// # Errors
    /// Also when the store cannot be reached or holds what another version wrote.
    pub(crate) async fn open(config: &StoreConfig, profile: &str, dir: &Path) -> Result<Self, BuildError> {
        if let Some(remote) = config.remote() {
            check_names(remote, profile)?;
        }
        Ok(match config {
            StoreConfig::Memory => Self::Memory(Memory::default()),
            StoreConfig::Sqlite => Self::Sqlite(Sqlite::open(&dir.join("store.sqlite"))?),
            StoreConfig::Redis(remote) => Self::Redis(Redis::open(remote, profile).await?),
            StoreConfig::Postgres(remote) => Self::Postgres(Postgres::open(remote, profile).await?),
        })
    }

    /// The record of a key.
    pub(crate) async fn key(&self, digest: &Digest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.key(digest)),
            Self::Sqlite(store) => store.key(digest),
            Self::Redis(store) => store.key(digest).await,
            Self::Postgres(store) => store.key(digest).await,
        }
    }

    /// Reads something that is not there: tells whether the store answers.
    pub(crate) async fn probe(&self) -> Result<(), StoreError> {
        self.key(&Digest([0; 32])).await.map(drop)
    }

    /// Adds keys of owners that nobody has suspended, because there were none before: all of them, or none on an error; Redis may
    /// keep whole thousands of them.
    pub(crate) async fn insert_keys(&self, records: Vec<KeyRecord>) -> Result<(), StoreError> {
        match self {
            Self::Memory(store) => {
                store.insert_keys(records.into_iter());
                Ok(())
            }
            Self::Sqlite(store) => store.insert_keys(records.into_iter()).await,
            Self::Redis(store) => store.insert_keys(records.into_iter(), Owned::Yes).await,
            Self::Postgres(store) => store.insert_keys(records.into_iter(), Owned::Yes).await,
        }
    }

    /// Adds keys of nobody, with these scopes, until there are `population` in all; a store that was filled in an
    /// earlier life stays as it is. In a release build a million take a second or two in memory, ten in SQLite.
    pub(crate) async fn fill_keys(
        &self,
        population: usize,
        scopes: &Arc<str>,
        created: UnixTime,
    ) -> Result<(), StoreError> {
        if population == 0 {
            return Ok(());
        }
        let held = match self {
            Self::Memory(store) => store.count_keys(),
            Self::Sqlite(store) => store.count_keys().await?,
            Self::Redis(store) => store.count_keys().await?,
            Self::Postgres(store) => store.count_keys().await?,
        };
        let missing = population.saturating_sub(held);
        if missing == 0 {
            return Ok(());
        }
        let records = Population::new(missing, scopes.clone(), created)?;
        match self {
            Self::Memory(store) => {
                store.fill_keys(records);
                Ok(())
            }
            Self::Sqlite(store) => store.fill_keys(records).await,
            Self::Redis(store) => store.insert_keys(records, Owned::No).await,
            Self::Postgres(store) => store.insert_keys(records, Owned::No).await,
        }
    }

    /// Marks a key as revoked and returns its digest once every later [`Store::key`] will see it. `None` when there is no
    /// such key; a second revocation changes nothing.
    pub(crate) async fn revoke_key(&self, id: &str, now: UnixTime) -> Result<Option<Digest>, StoreError> {
        let until = UnixTime(now.0 + MATTERS_FOR);
        match self {
            Self::Memory(store) => Ok(store.revoke_key(id)),
            Self::Sqlite(store) => store.revoke_key(id, until, now).await,
            Self::Redis(store) => store.revoke_key(id, until).await,
            Self::Postgres(store) => store.revoke_key(id, until, now).await,
        }
    }

    /// The user of that name.
    pub(crate) async fn user(&self, name: &str) -> Result<Option<Arc<User>>, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.user(name)),
            Self::Sqlite(store) => store.user(name),
            Self::Redis(store) => store.user(name).await,
            Self::Postgres(store) => store.user(name).await,
        }
    }

    /// Adds a user; `false`, and nothing changes, when the name is taken.
    pub(crate) async fn insert_user(&self, user: User) -> Result<bool, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.insert_user(user)),
            Self::Sqlite(store) => store.insert_user(user).await,
            Self::Redis(store) => store.insert_user(&user).await,
            Self::Postgres(store) => store.insert_user(&user).await,
        }
    }

    /// Changes a password: every later [`Store::user`] sees the new hash. `false` when there is no such user.
    pub(crate) async fn set_password(&self, name: &str, hash: Arc<str>, now: UnixTime) -> Result<bool, StoreError> {
        let until = UnixTime(now.0 + MATTERS_FOR);
        match self {
            Self::Memory(store) => Ok(store.set_password(name, hash)),
            Self::Sqlite(store) => store.set_password(name, hash, until, now).await,
            Self::Redis(store) => store.set_password(name, hash, until).await,
            Self::Postgres(store) => store.set_password(name, hash, until, now).await,
        }
    }

    /// Puts another hash of the same password in the place of one, unless the password was changed meanwhile; nobody has to
    /// hear of it. `false` when the user is gone or has another hash.
    pub(crate) async fn replace_hash(&self, name: &str, old: &str, new: Arc<str>) -> Result<bool, StoreError> {
        match self {
            Self::Memory(store) => Ok(store.replace_hash(name, old, new)),
            Self::Sqlite(store) => store.replace_hash(name, old, new).await,
            Self::Redis(store) => store.replace_hash(name, old, new).await,
            Self::Postgres(store) => store.replace_hash(name, old, &new).await,
        }
    }

    /// Records a revocation that matters until `until`, for those who follow the store. Nobody follows one in memory.
    pub(crate) async fn append(
        &self,
        revocation: Revocation,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.append_all(std::iter::once(revocation), until, now).await
    }

    async fn append_all(
        &self,
        revocations: impl Iterator<Item = Revocation> + Send + 'static,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) => Ok(()),
            Self::Sqlite(store) => store.append(revocations, until, now).await,
            Self::Redis(store) => store.append(revocations, until).await,
            Self::Postgres(store) => store.append(revocations, until, now).await,
        }
    }

    /// Adds revocations of tokens that nobody holds until there are `population` entries that still matter; a store that
    /// was filled in an earlier life stays as it is.
    pub(crate) async fn fill_revocations(
        &self,
        population: usize,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        if population == 0 {
            return Ok(());
        }
        let held = match self {
            Self::Memory(_) => return Ok(()),
            Self::Sqlite(store) => store.count_revocations(now).await?,
            Self::Redis(store) => store.count_revocations().await?,
            Self::Postgres(store) => store.count_revocations(now).await?,
        };
        match population.saturating_sub(held) {
            0 => Ok(()),
            missing => self.append_all(population::revocations(missing)?, until, now).await,
        }
    }

    /// Some of the entries after a position, in order; fewer than [`PAGE`] when there are no more.
    pub(crate) async fn revocations_after(&self, after: Position) -> Result<Vec<Entry>, StoreError> {
        match self {
            Self::Memory(_) => Ok(Vec::new()),
            Self::Sqlite(store) => store.revocations_after(after, PAGE).await,
            Self::Redis(store) => store.revocations_after(after, PAGE).await,
            Self::Postgres(store) => store.revocations_after(after, PAGE).await,
        }
    }

    /// All that was revoked, in order.
    #[cfg(test)]
    pub(crate) async fn revocations(&self) -> Vec<Revocation> {
        let entries = self.revocations_after(Position::default()).await.expect("readable");
        entries.into_iter().map(|entry| entry.revocation).collect()
    }

    /// Removes everything that this profile keeps in a server of its own; what is in files goes with their folder.
    pub(crate) async fn discard(&self) -> Result<(), StoreError> {
        match self {
            Self::Memory(_) | Self::Sqlite(_) => Ok(()),
            Self::Redis(store) => store.discard().await,
            Self::Postgres(store) => store.discard().await,
        }
    }

    /// Listens to what the store tells by itself; whatever is written after this returns is told.
    async fn listen(&self, push: Push) -> Result<follow::Listening, StoreError> {
        match self {
            Self::Redis(store) => store.listen(push).await.map(follow::Listening::Redis),
            Self::Postgres(store) => store.listen().await.map(follow::Listening::Postgres),
            Self::Memory(_) | Self::Sqlite(_) => Err(StoreError::new("listen", "this store tells nobody")),
        }
    }
}

/// Names become part of keys and of a schema's, where they must not end one and begin another.
fn check_names(remote: &RemoteStore, profile: &str) -> Result<(), BuildError> {
    let harmless = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let namespace = &remote.namespace;
    if namespace.is_empty() || namespace.len() > RemoteStore::MAX_NAMESPACE || !harmless(namespace) {
        let longest = RemoteStore::MAX_NAMESPACE;
        let problem = format!("namespace is {namespace:?}; write 1 to {longest} letters, digits, `-`, `_` and `.`");
        return Err(BuildError::Config(problem));
    }
    if !harmless(profile) {
        let problem =
            format!("the profile's name {profile:?} cannot be part of a key; use letters, digits, `-` and `_`");
        return Err(BuildError::Config(problem));
    }
    Ok(())
}
