//! Records in a SQLite file in write-ahead mode: they survive a kill, readers never wait for a writer, and replicas on one
//! machine may share the file.
//!
//! Reads of one record happen on the calling thread, though that is a reactor: a prepared read by primary key takes about
//! 3 µs, less than handing it to another thread and back. All else waits for the disk, or for other processes that write,
//! and happens on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, TransactionBehavior, params};
use tokio::task::spawn_blocking;

use super::StoreError;
use super::record::{Entry, KeyDetails, KeyRecord, KeyStatus, Position, Revocation, User};
use crate::clock::UnixTime;
use crate::credential::digest::Digest;
use crate::store::Owned;

/// Reads whole records.
macro_rules! select_keys {
    ($which:literal) => {
        concat!(
            "SELECT digest, id, application, hint, scopes, created_ns, expires_ns, revoked, suspended, pepper, details ",
            "FROM keys ",
            $which
        )
    };
}

mod keys;

mod nonces;

pub(crate) use self::nonces::Nonces;

/// The layout below. A file with another number was written by another version and is refused.
const SCHEMA_VERSION: i64 = 3;

/// `WITHOUT ROWID`: the table is the index by digest or name, so a lookup walks one tree. `AUTOINCREMENT`: a revision is
/// never used again, so "newer than" stays true after a clean-up.
const SCHEMA: &str = "
    CREATE TABLE keys (
        digest      BLOB PRIMARY KEY CHECK (length(digest) = 32),
        id          TEXT NOT NULL UNIQUE,
        application TEXT NOT NULL,
        hint        TEXT NOT NULL,
        scopes      TEXT NOT NULL,
        created_ns  INTEGER NOT NULL,
        expires_ns  INTEGER,
        revoked     INTEGER NOT NULL CHECK (revoked IN (0, 1)),
        suspended   INTEGER NOT NULL CHECK (suspended IN (0, 1)),
        pepper      INTEGER NOT NULL,
        details     TEXT,
        owned       INTEGER NOT NULL CHECK (owned IN (0, 1))
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX keys_of_owners ON keys (application) WHERE owned = 1;
    CREATE TABLE suspended (
        owner TEXT PRIMARY KEY
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage (
        key_id    TEXT PRIMARY KEY,
        requests  INTEGER NOT NULL,
        last_used INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE usage_writers (
        writer TEXT PRIMARY KEY,
        number INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE users (
        name          TEXT PRIMARY KEY,
        password_hash TEXT NOT NULL,
        scopes        TEXT NOT NULL,
        expires_ns    INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE revocations (
        revision     INTEGER PRIMARY KEY AUTOINCREMENT,
        kind         TEXT NOT NULL,
        name         TEXT NOT NULL,
        issued_until INTEGER,
        until        INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX revocations_until ON revocations (until);
    PRAGMA user_version = 3;
";

const SELECT_KEY: &str = select_keys!("WHERE digest = ?1");

const INSERT_KEY: &str = "
    INSERT INTO keys (digest, id, application, hint, scopes, created_ns, expires_ns, revoked, suspended, pepper, details,
                      owned)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, ?9, ?10, ?11)";

const SELECT_USER: &str = "SELECT name, password_hash, scopes, expires_ns FROM users WHERE name = ?1";

const INSERT_REVOCATION: &str = "INSERT INTO revocations (kind, name, issued_until, until) VALUES (?1, ?2, ?3, ?4)";

/// Largest page cache while a population is written, in KiB as SQLite counts it (negative): the index by identifier is
/// written all over, and for 10⁷ keys takes half a gigabyte.
const FILLING_CACHE: i64 = -1_048_576;

/// How long a writer waits for another process that writes.
const WRITER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a reader waits: nothing but recovery after a crash blocks one, and it stands on a reactor.
const READER_PATIENCE: Duration = Duration::from_millis(20);

/// A store in a file.
#[derive(Clone)]
pub(crate) struct Sqlite(Arc<File>);

struct File {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Idle read connections. A reader takes one out for a lookup, so readers wait for each other no longer than that
    /// takes; the pool grows to as many as there are threads that read at the same time.
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens the file, and makes it if there is none. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = open_writer(path).map_err(failed("open", path))?;
        let version: i64 =
            writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed("read", path))?;
        if version != SCHEMA_VERSION {
            let source = format!("its layout has version {version}, this program writes {SCHEMA_VERSION}; delete it");
            return Err(StoreError::new(format!("open {}", path.display()), source));
        }
        let store =
            Self(Arc::new(File { path: path.to_owned(), writer: Mutex::new(writer), readers: Mutex::default() }));
        // Proves here, not at the first request, that the file can be read.
        store.key(&Digest([0; 32]))?;
        Ok(store)
    }

    /// Quick enough to be called on the reactor.
    pub(crate) fn key(&self, digest: &Digest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        self.read(|reader| reader.prepare_cached(SELECT_KEY)?.query_row([&digest.0[..]], key).optional())
            .map(|found| found.map(Arc::new))
    }

    /// One transaction for all: per record it would be one wait for the disk each.
    pub(crate) async fn insert_keys(
        &self,
        records: impl Iterator<Item = KeyRecord> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.write(move |writer| insert_keys(writer, records, Owned::Yes)).await
    }

    /// The same for keys that are nobody's, and so many that the pages in work outgrow SQLite's own cache.
    pub(crate) async fn fill_keys(
        &self,
        records: impl Iterator<Item = KeyRecord> + Send + 'static,
    ) -> Result<(), StoreError> {
        self.write(move |writer| {
            let usual: i64 = writer.pragma_query_value(None, "cache_size", |row| row.get(0))?;
            writer.pragma_update(None, "cache_size", FILLING_CACHE)?;
            insert_keys(writer, records, Owned::No)?;
            writer.pragma_update(None, "cache_size", usual)?;
            // Readers would look for each page in a log as long as the file.
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            writer.execute_batch("PRAGMA shrink_memory")
        })
        .await
    }

    pub(crate) async fn count_keys(&self) -> Result<usize, StoreError> {
        let count = self.write(|writer| writer.query_row("SELECT count(*) FROM keys", [], |row| row.get::<_, i64>(0)));
        count.await.map(|count| count.unsigned_abs() as usize)
    }

    /// The digest of the key, if there is one of that name.
    pub(crate) async fn revoke_key(
        &self,
        id: &str,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<Option<Digest>, StoreError> {
        let id = id.to_owned();
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let revoke = "UPDATE keys SET revoked = 1 WHERE id = ?1 RETURNING digest";
            let digest = transaction.query_row(revoke, [id], |row| row.get(0).map(Digest)).optional()?;
            if let Some(digest) = digest {
                append(&transaction, std::iter::once(Revocation::Key(digest)), until, now)?;
            }
            transaction.commit()?;
            Ok(digest)
        })
        .await
    }

    /// Quick enough to be called on the reactor.
    pub(crate) fn user(&self, name: &str) -> Result<Option<Arc<User>>, StoreError> {
        self.read(|reader| reader.prepare_cached(SELECT_USER)?.query_row([name], user).optional())
            .map(|found| found.map(Arc::new))
    }

    pub(crate) async fn insert_user(&self, user: User) -> Result<bool, StoreError> {
        self.write(move |writer| {
            let insert = "INSERT INTO users (name, password_hash, scopes, expires_ns) VALUES (?1, ?2, ?3, ?4)
                          ON CONFLICT DO NOTHING";
            let expires = user.expires.map(nanoseconds).transpose()?;
            Ok(writer.execute(insert, params![user.name, user.password_hash, user.scopes, expires])? > 0)
        })
        .await
    }

    pub(crate) async fn set_password(
        &self,
        name: &str,
        hash: Arc<str>,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let changed =
                transaction.execute("UPDATE users SET password_hash = ?2 WHERE name = ?1", params![name, hash])?;
            if changed > 0 {
                append(&transaction, std::iter::once(Revocation::Password(name.into())), until, now)?;
            }
            transaction.commit()?;
            Ok(changed > 0)
        })
        .await
    }

    pub(crate) async fn replace_hash(&self, name: &str, old: &str, new: Arc<str>) -> Result<bool, StoreError> {
        let (name, old) = (name.to_owned(), old.to_owned());
        let replace = "UPDATE users SET password_hash = ?3 WHERE name = ?1 AND password_hash = ?2";
        self.write(move |writer| Ok(writer.execute(replace, params![name, old, new])? > 0)).await
    }

    /// Records revocations, and forgets those that are of no use at `now` any more. Durable on return.
    pub(crate) async fn append(
        &self,
        revocations: impl Iterator<Item = Revocation> + Send + 'static,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            append(&transaction, revocations, until, now)?;
            transaction.commit()
        })
        .await
    }

    /// The entries after a position, in order, `most` at once.
    pub(crate) async fn revocations_after(&self, after: Position, most: usize) -> Result<Vec<Entry>, StoreError> {
        let store = self.clone();
        blocking(move || {
            store.read(|reader| {
                let mut query = reader.prepare_cached(
                    "SELECT revision, kind, name, issued_until, until FROM revocations WHERE revision > ?1
                     ORDER BY revision LIMIT ?2",
                )?;
                let after = i64::try_from(after.0).unwrap_or(i64::MAX);
                query.query_map(params![after, most as i64], entry)?.collect()
            })
        })
        .await
    }

    /// How many entries are of use at `now`.
    pub(crate) async fn count_revocations(&self, now: UnixTime) -> Result<usize, StoreError> {
        let count = "SELECT count(*) FROM revocations WHERE until > ?1";
        let now = now.as_secs() as i64;
        let count = self.write(move |writer| writer.query_row(count, [now], |row| row.get::<_, i64>(0))).await?;
        Ok(count.unsigned_abs() as usize)
    }

    fn read<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let read = || {
            let reader = idle.map_or_else(|| open_reader(&self.0.path), Ok)?;
            let found = work(&reader)?;
            rusqlite::Result::Ok((reader, found))
        };
        // A connection that failed is dropped, not put back: the next lookup opens a new one.
        let (reader, found) = read().map_err(failed("read", &self.0.path))?;
        self.0.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(found)
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        blocking(move || {
            // A panic in between leaves at worst an open transaction, which SQLite rolls back.
            let mut writer = store.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut writer).map_err(failed("write", &store.0.path))
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let ended = |error| StoreError::new("wait for the disk", error);
    spawn_blocking(work).await.map_err(ended)?
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let mut writer = Connection::open(path)?;
    writer.busy_timeout(WRITER_PATIENCE)?;
    writer.pragma_update(None, "journal_mode", "wal")?;
    // FULL, not NORMAL: with NORMAL the last commits may be lost with the power, and a revocation that was acknowledged
    // must not come undone. It costs one wait for the disk per write; lookups do not notice.
    writer.pragma_update(None, "synchronous", "full")?;
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(SCHEMA)?;
    }
    transaction.commit()?;
    Ok(writer)
}

fn insert_keys(
    writer: &mut Connection,
    records: impl Iterator<Item = KeyRecord>,
    owned: Owned,
) -> rusqlite::Result<()> {
    let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for record in records {
        insert_key(&transaction, &record, owned)?;
    }
    transaction.commit()
}

fn insert_key(writer: &Connection, record: &KeyRecord, owned: Owned) -> rusqlite::Result<()> {
    let mut insert = writer.prepare_cached(INSERT_KEY)?;
    insert.execute(params![
        &record.digest.0[..],
        record.id,
        record.application,
        record.hint,
        record.scopes,
        nanoseconds(record.created)?,
        record.expires.map(nanoseconds).transpose()?,
        record.status == KeyStatus::Revoked,
        record.pepper,
        record.details.as_deref().map(KeyDetails::to_json),
        owned == Owned::Yes,
    ])?;
    Ok(())
}

/// Adds entries, and forgets those that are of no use at `now` any more.
fn append(
    writer: &Connection,
    revocations: impl Iterator<Item = Revocation>,
    until: UnixTime,
    now: UnixTime,
) -> rusqlite::Result<()> {
    writer.prepare_cached("DELETE FROM revocations WHERE until <= ?1")?.execute([now.as_secs() as i64])?;
    let mut insert = writer.prepare_cached(INSERT_REVOCATION)?;
    for revocation in revocations {
        let (kind, name, issued_until) = revocation.columns();
        let issued_until = issued_until.map(|seconds| seconds as i64);
        insert.execute(params![kind, name, issued_until, until.as_secs() as i64])?;
    }
    Ok(())
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // NO_MUTEX: the pool already gives a connection to one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags)?;
    reader.busy_timeout(READER_PATIENCE)?;
    Ok(reader)
}

fn key(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?.into());
    Ok(KeyRecord {
        digest: Digest(row.get(0)?),
        id: text(1)?,
        application: text(2)?,
        hint: row.get::<_, Box<str>>(3)?,
        scopes: text(4)?,
        created: time(5, row.get(5)?)?,
        expires: row.get::<_, Option<i64>>(6)?.map(|ns| time(6, ns)).transpose()?,
        status: KeyStatus::from_flags(row.get(7)?, row.get(8)?),
        pepper: row.get(9)?,
        details: details(row.get_ref(10)?.as_str_or_null()?)?,
    })
}

fn details(json: Option<&str>) -> rusqlite::Result<Option<Box<KeyDetails>>> {
    let Some(json) = json else { return Ok(None) };
    KeyDetails::from_json(json).map(Some).ok_or(rusqlite::Error::InvalidQuery)
}

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?.into());
    Ok(User {
        name: text(0)?,
        password_hash: text(1)?,
        scopes: text(2)?,
        expires: row.get::<_, Option<i64>>(3)?.map(|ns| time(3, ns)).transpose()?,
    })
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let issued_until = row.get::<_, Option<i64>>(3)?.map(i64::unsigned_abs);
    let revocation = Revocation::from_columns(row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?, issued_until);
    Ok(Entry {
        position: Position(row.get::<_, i64>(0)?.unsigned_abs().into()),
        revocation: revocation.ok_or(rusqlite::Error::InvalidQuery)?,
        until: row.get::<_, i64>(4)?.unsigned_abs(),
    })
}

fn time(column: usize, nanoseconds: i64) -> rusqlite::Result<UnixTime> {
    let since_1970 = u64::try_from(nanoseconds);
    let since_1970 = since_1970.map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, nanoseconds))?;
    Ok(UnixTime(Duration::from_nanos(since_1970)))
}

fn nanoseconds(time: UnixTime) -> rusqlite::Result<i64> {
    i64::try_from(time.0.as_nanos()).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError {
    let what = format!("{action} {}", path.display());
    move |source| StoreError::new(what, source)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{key, user};
    use super::*;

    const NOW: UnixTime = UnixTime(Duration::from_secs(1_900_000_000));
    const LATER: UnixTime = UnixTime(Duration::from_secs(2_000_000_000));

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[tokio::test]
    async fn records_and_revocations_survive_reopening() {
        let folder = folder();
        let path = folder.path().join("store.sqlite");
        let store = Sqlite::open(&path).expect("a fresh database");
        store.insert_keys([key(1), key(2)].into_iter()).await.expect("insert");
        assert_eq!(store.revoke_key("key-1", LATER, NOW).await.expect("revoke"), Some(key(1).digest));
        assert!(store.insert_user(user("anna")).await.expect("insert"));
        drop(store);

        let store = Sqlite::open(&path).expect("the same database");
        let found = |number| store.key(&Digest([number; 32])).expect("get");
        assert_eq!(found(1).map(|record| record.status), Some(KeyStatus::Revoked));
        assert_eq!(found(2).as_deref(), Some(&key(2)));
        assert_eq!(store.user("anna").expect("get").as_deref(), Some(&user("anna")));
        let entries = store.revocations_after(Position::default(), 10).await.expect("read");
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].revocation, Revocation::Key(key(1).digest));
    }

    #[tokio::test]
    async fn a_bulk_insert_is_all_or_nothing() {
        let folder = folder();
        let store = Sqlite::open(&folder.path().join("store.sqlite")).expect("a fresh database");
        store.insert_keys([key(1)].into_iter()).await.expect("insert");
        assert!(store.insert_keys([key(2), key(1)].into_iter()).await.is_err(), "the second is there already");
        assert_eq!(store.key(&Digest([2; 32])).expect("get"), None);
    }

    #[tokio::test]
    async fn a_store_that_fails_says_so_and_recovers() {
        let folder = folder();
        let path = folder.path().join("store.sqlite");
        let store = Sqlite::open(&path).expect("a fresh database");
        store.insert_keys([key(1)].into_iter()).await.expect("insert");

        let meddler = Connection::open(&path).expect("a second connection");
        meddler.execute_batch("ALTER TABLE keys RENAME TO elsewhere").expect("rename");
        let error = store.key(&Digest([1; 32])).expect_err("the table is gone");
        assert!(error.to_string().contains("store.sqlite"), "{error}");
        assert!(store.revoke_key("key-1", LATER, NOW).await.is_err());

        meddler.execute_batch("ALTER TABLE elsewhere RENAME TO keys").expect("rename back");
        assert_eq!(store.key(&Digest([1; 32])).expect("get").as_deref(), Some(&key(1)));
    }

    #[tokio::test]
    async fn readers_do_not_wait_for_a_writer() {
        let folder = folder();
        let path = folder.path().join("store.sqlite");
        let store = Sqlite::open(&path).expect("a fresh database");
        store.insert_keys([key(1)].into_iter()).await.expect("insert");

        let other = Connection::open(&path).expect("a second connection");
        other.execute_batch("BEGIN IMMEDIATE; UPDATE keys SET revoked = 1").expect("a write in progress");
        let found = store.key(&Digest([1; 32])).expect("read beside the writer");
        assert_eq!(found.map(|record| record.status), Some(KeyStatus::Active), "not committed yet");
        other.execute_batch("COMMIT").expect("commit");
        let found = store.key(&Digest([1; 32])).expect("read after the writer");
        assert_eq!(found.map(|record| record.status), Some(KeyStatus::Revoked));
    }

    #[test]
    fn files_of_another_layout_or_nature_are_refused() {
        let folder = folder();
        let path = folder.path().join("newer.sqlite");
        Connection::open(&path).and_then(|file| file.pragma_update(None, "user_version", 7)).expect("a newer file");
        let error = Sqlite::open(&path).err().expect("refused").to_string();
        assert!(error.contains("version 7"), "{error}");

        let path = folder.path().join("text.sqlite");
        std::fs::write(&path, "this is not a database, just some text that is long enough").expect("write");
        assert!(Sqlite::open(&path).is_err());
    }
}
