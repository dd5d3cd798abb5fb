//! Key records in a SQLite file in write-ahead mode: they survive a kill, and readers never wait for a writer.
//!
//! Reads happen on the calling thread, though that is a reactor: a prepared read by primary key takes about 3 µs, less
//! than handing it to another thread and back. Writes wait for the disk and belong on a blocking thread.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};

use super::{KeyRecord, KeyStatus, StoreError};
use crate::clock::UnixTime;
use crate::credential::digest::Digest;

/// The layout below. A file with another number was written by another version and is refused.
const SCHEMA_VERSION: i64 = 1;

/// `WITHOUT ROWID`: the table is the index by digest, so a lookup walks one tree.
const SCHEMA: &str = "
    CREATE TABLE keys (
        digest      BLOB PRIMARY KEY CHECK (length(digest) = 32),
        id          TEXT NOT NULL UNIQUE,
        application TEXT NOT NULL,
        hint        TEXT NOT NULL,
        scopes      TEXT NOT NULL,
        created_ns  INTEGER NOT NULL,
        expires_ns  INTEGER,
        revoked     INTEGER NOT NULL CHECK (revoked IN (0, 1))
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
";

const SELECT: &str = "
    SELECT digest, id, application, hint, scopes, created_ns, expires_ns, revoked FROM keys WHERE digest = ?1";

const INSERT: &str = "
    INSERT INTO keys (digest, id, application, hint, scopes, created_ns, expires_ns, revoked)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// Largest page cache while a population is written, in KiB as SQLite counts it (negative): the index by identifier is
/// written all over, and for 10⁷ keys takes half a gigabyte.
const FILLING_CACHE: i64 = -1_048_576;

/// How long a writer waits for another process that writes.
const WRITER_PATIENCE: Duration = Duration::from_secs(5);

/// How long a reader waits: nothing but recovery after a crash blocks one, and it stands on a reactor.
const READER_PATIENCE: Duration = Duration::from_millis(20);

pub(crate) struct SqliteKeys {
    path: PathBuf,
    writer: Mutex<Connection>,
    /// Idle read connections. A reader takes one out for a lookup, so readers wait for each other no longer than that
    /// takes; the pool grows to as many as there are threads that read at the same time.
    readers: Mutex<Vec<Connection>>,
}

impl SqliteKeys {
    /// Opens the file, and makes it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = open_writer(path).map_err(failed("open", path))?;
        let version: i64 =
            writer.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed("read", path))?;
        if version != SCHEMA_VERSION {
            let source = format!("its layout has version {version}, this program writes {SCHEMA_VERSION}; delete it");
            return Err(StoreError { what: format!("open {}", path.display()), source: source.into() });
        }
        let keys = Self { path: path.to_owned(), writer: Mutex::new(writer), readers: Mutex::default() };
        // Proves here, not at the first request, that the file can be read.
        keys.get(&Digest([0; 32]))?;
        Ok(keys)
    }

    pub(crate) fn get(&self, digest: &Digest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let read = || {
            let reader = idle.map_or_else(|| open_reader(&self.path), Ok)?;
            let found = reader.prepare_cached(SELECT)?.query_row([&digest.0[..]], record).optional()?;
            rusqlite::Result::Ok((reader, found))
        };
        // A connection that failed is dropped, not put back: the next lookup opens a new one.
        let (reader, found) = read().map_err(failed("read", &self.path))?;
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(found.map(Arc::new))
    }

    /// One transaction for all: per record it would be one wait for the disk each.
    pub(crate) fn insert(&self, records: impl Iterator<Item = KeyRecord>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        write(&mut writer, records).map_err(failed("write", &self.path))
    }

    /// The same for so many that the pages in work outgrow SQLite's own cache.
    pub(crate) fn insert_many(&self, records: impl Iterator<Item = KeyRecord>) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let fill = || {
            let usual: i64 = writer.pragma_query_value(None, "cache_size", |row| row.get(0))?;
            writer.pragma_update(None, "cache_size", FILLING_CACHE)?;
            write(&mut writer, records)?;
            writer.pragma_update(None, "cache_size", usual)?;
            // Readers would look for each page in a log as long as the file.
            writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            writer.execute_batch("PRAGMA shrink_memory")
        };
        fill().map_err(failed("fill", &self.path))
    }

    pub(crate) fn len(&self) -> Result<usize, StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let count = writer.query_row("SELECT count(*) FROM keys", [], |row| row.get::<_, i64>(0));
        count.map(|count| count.unsigned_abs() as usize).map_err(failed("count", &self.path))
    }

    pub(crate) fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let changed =
            writer.execute("UPDATE keys SET revoked = 1 WHERE id = ?1", [id]).map_err(failed("write", &self.path))?;
        Ok(changed > 0)
    }
}

fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    let mut writer = Connection::open(path)?;
    writer.busy_timeout(WRITER_PATIENCE)?;
    writer.pragma_update(None, "journal_mode", "wal")?;
    // FULL, not NORMAL: with NORMAL the last commits may be lost with the power, and a revocation that was acknowledged
    // must not come undone. It costs one wait for the disk per write; lookups do not notice.
    writer.pragma_update(None, "synchronous", "full")?;
    let transaction = writer.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if transaction.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? == 0 {
        transaction.execute_batch(SCHEMA)?;
    }
    transaction.commit()?;
    Ok(writer)
}

fn write(writer: &mut Connection, records: impl Iterator<Item = KeyRecord>) -> rusqlite::Result<()> {
    let transaction = writer.transaction()?;
    {
        let mut insert = transaction.prepare_cached(INSERT)?;
        for record in records {
            insert.execute(params![
                &record.digest.0[..],
                record.id,
                record.application,
                record.hint,
                record.scopes,
                nanoseconds(record.created)?,
                record.expires.map(nanoseconds).transpose()?,
                record.status == KeyStatus::Revoked,
            ])?;
        }
    }
    transaction.commit()
}

fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    // NO_MUTEX: the pool already gives a connection to one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let reader = Connection::open_with_flags(path, flags)?;
    reader.busy_timeout(READER_PATIENCE)?;
    Ok(reader)
}

fn record(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let text = |column| Ok::<_, rusqlite::Error>(row.get_ref(column)?.as_str()?.into());
    Ok(KeyRecord {
        digest: Digest(row.get(0)?),
        id: text(1)?,
        application: text(2)?,
        hint: row.get::<_, Box<str>>(3)?,
        scopes: text(4)?,
        created: time(5, row.get(5)?)?,
        expires: row.get::<_, Option<i64>>(6)?.map(|ns| time(6, ns)).transpose()?,
        status: if row.get(7)? { KeyStatus::Revoked } else { KeyStatus::Active },
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
    move |source| StoreError { what, source: source.into() }
}

#[cfg(test)]
mod tests {
    use super::super::tests::record;
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary folder")
    }

    #[test]
    fn records_and_revocations_survive_reopening() {
        let folder = folder();
        let path = folder.path().join("keys.sqlite");
        let keys = SqliteKeys::open(&path).expect("a fresh database");
        keys.insert([record(1), record(2)].into_iter()).expect("insert");
        assert!(keys.revoke("key-1").expect("revoke"));
        drop(keys);

        let keys = SqliteKeys::open(&path).expect("the same database");
        let found = |number| keys.get(&Digest([number; 32])).expect("get");
        assert_eq!(found(1).map(|record| record.status), Some(KeyStatus::Revoked));
        assert_eq!(found(2).as_deref(), Some(&record(2)));
    }

    #[test]
    fn a_bulk_insert_is_all_or_nothing() {
        let folder = folder();
        let keys = SqliteKeys::open(&folder.path().join("keys.sqlite")).expect("a fresh database");
        keys.insert([record(1)].into_iter()).expect("insert");
        assert!(keys.insert([record(2), record(1)].into_iter()).is_err(), "the second is there already");
        assert_eq!(keys.get(&Digest([2; 32])).expect("get"), None);
    }

    #[test]
    fn a_store_that_fails_says_so_and_recovers() {
        let folder = folder();
        let path = folder.path().join("keys.sqlite");
        let keys = SqliteKeys::open(&path).expect("a fresh database");
        keys.insert([record(1)].into_iter()).expect("insert");

        let meddler = Connection::open(&path).expect("a second connection");
        meddler.execute_batch("ALTER TABLE keys RENAME TO elsewhere").expect("rename");
        let error = keys.get(&Digest([1; 32])).expect_err("the table is gone");
        assert!(error.to_string().contains("keys.sqlite"), "{error}");
        assert!(keys.revoke("key-1").is_err());

        meddler.execute_batch("ALTER TABLE elsewhere RENAME TO keys").expect("rename back");
        assert_eq!(keys.get(&Digest([1; 32])).expect("get").as_deref(), Some(&record(1)));
    }

    #[test]
    fn readers_do_not_wait_for_a_writer() {
        let folder = folder();
        let path = folder.path().join("keys.sqlite");
        let keys = SqliteKeys::open(&path).expect("a fresh database");
        keys.insert([record(1)].into_iter()).expect("insert");

        let other = Connection::open(&path).expect("a second connection");
        other.execute_batch("BEGIN IMMEDIATE; UPDATE keys SET revoked = 1").expect("a write in progress");
        let found = keys.get(&Digest([1; 32])).expect("read beside the writer");
        assert_eq!(found.map(|record| record.status), Some(KeyStatus::Active), "not committed yet");
        other.execute_batch("COMMIT").expect("commit");
        let found = keys.get(&Digest([1; 32])).expect("read after the writer");
        assert_eq!(found.map(|record| record.status), Some(KeyStatus::Revoked));
    }

    #[test]
    fn files_of_another_layout_or_nature_are_refused() {
        let folder = folder();
        let path = folder.path().join("newer.sqlite");
        Connection::open(&path).and_then(|file| file.pragma_update(None, "user_version", 7)).expect("a newer file");
        let error = SqliteKeys::open(&path).err().expect("refused").to_string();
        assert!(error.contains("version 7"), "{error}");

        let path = folder.path().join("text.sqlite");
        std::fs::write(&path, "this is not a database, just some text that is long enough").expect("write");
        assert!(SqliteKeys::open(&path).is_err());
    }
}
