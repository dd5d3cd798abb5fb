//! Used nonces, in a file of their own: one row is written for every request, which must not keep those waiting who write
//! records.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, TransactionBehavior, params};

use super::{StoreError, WRITER_PATIENCE, blocking, failed};
use crate::clock::UnixTime;
use crate::store::nonces::Nonce;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS nonces (
        nonce BLOB PRIMARY KEY CHECK (length(nonce) = 16),
        until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS nonces_until ON nonces (until);
";

/// Two for each that is added, so that what has ended goes without anybody having to wait for it.
const FORGET: &str = "DELETE FROM nonces WHERE nonce IN (SELECT nonce FROM nonces WHERE until <= ?1 LIMIT 2)";

/// Changes a row where there is none that still counts.
const USE: &str = "
    INSERT INTO nonces (nonce, until) VALUES (?1, ?2)
    ON CONFLICT (nonce) DO UPDATE SET until = excluded.until WHERE nonces.until <= ?3";

/// Clones share the connection.
#[derive(Clone)]
pub(crate) struct Nonces(Arc<File>);

struct File {
    path: PathBuf,
    writer: Mutex<Connection>,
}

impl Nonces {
    /// Opens the file, and makes it if there is none. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let open = || {
            let writer = Connection::open(path)?;
            writer.busy_timeout(WRITER_PATIENCE)?;
            writer.pragma_update(None, "journal_mode", "wal")?;
            // Not FULL, as for records: to wait for the disk at every request would be to measure the disk. A process that is
            // killed loses nothing; with the power the last moments may go, which somebody could then replay until they end.
            writer.pragma_update(None, "synchronous", "normal")?;
            writer.execute_batch(SCHEMA)?;
            rusqlite::Result::Ok(writer)
        };
        let writer = open().map_err(failed("open", path))?;
        Ok(Self(Arc::new(File { path: path.to_owned(), writer: Mutex::new(writer) })))
    }

    /// Whether it is the first use.
    pub(crate) async fn use_up(&self, nonce: &Nonce, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        let (nonce, until, now) = (*nonce, until.as_secs() as i64, now.as_secs() as i64);
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction.prepare_cached(FORGET)?.execute([now])?;
            let changed = transaction.prepare_cached(USE)?.execute(params![nonce.as_bytes(), until, now])?;
            transaction.commit()?;
            Ok(changed > 0)
        })
        .await
    }

    #[cfg(test)]
    pub(crate) async fn count(&self) -> Result<i64, StoreError> {
        self.write(|writer| writer.query_row("SELECT count(*) FROM nonces", [], |row| row.get(0))).await
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
