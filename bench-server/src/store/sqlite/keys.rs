//! Keys in SQLite, beside looking them up. All of it waits for the disk, or for other writers, on a blocking thread.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::{KeyRecord, Owned, Sqlite, append, blocking, insert_key, key, nanoseconds};
use crate::clock::UnixTime;
use crate::credential::digest::Digest;
use crate::store::StoreError;
use crate::store::record::{KeyDetails, Replaced, Replacement, Revocation, UsageBatch, UsageLine};

const SELECT_KEY_NAMED: &str = select_keys!("WHERE id = ?1");
const SELECT_KEYS_OF: &str = select_keys!("WHERE application = ?1 AND owned = 1 ORDER BY id");

const ADD_USAGE: &str = "
    INSERT INTO usage (key_id, requests, last_used) VALUES (?1, ?2, ?3)
    ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, last_used = max(last_used, excluded.last_used)";

impl Sqlite {
    pub(crate) async fn key_named(&self, id: &str) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let id = id.to_owned();
        let found = self.read_aside(move |reader| key_named(reader, &id)).await?;
        Ok(found.map(Arc::new))
    }

    pub(crate) async fn keys_of(&self, owner: &str) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let owner = owner.to_owned();
        self.read_aside(move |reader| {
            let mut select = reader.prepare_cached(SELECT_KEYS_OF)?;
            select.query_map([owner], |row| key(row).map(Arc::new))?.collect()
        })
        .await
    }

    pub(crate) async fn add_key(&self, record: KeyRecord) -> Result<bool, StoreError> {
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let suspended = "SELECT EXISTS (SELECT 1 FROM suspended WHERE owner = ?1)";
            if transaction.query_row(suspended, [&record.application], |row| row.get(0))? {
                return Ok(false);
            }
            insert_key(&transaction, &record, Owned::Yes)?;
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    pub(crate) async fn replace_key(
        &self,
        id: &str,
        replacement: Replacement,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        let id = id.to_owned();
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let Some(found) = key_named(&transaction, &id)? else { return Ok(Replaced::Unknown) };
            let Some(old) = replacement.end(&found, now) else { return Ok(Replaced::NotLive) };
            transaction.execute(
                "UPDATE keys SET expires_ns = ?2, details = ?3 WHERE digest = ?1",
                params![
                    &old.digest.0[..],
                    old.expires.map(nanoseconds).transpose()?,
                    old.details.as_deref().map(KeyDetails::to_json),
                ],
            )?;
            insert_key(&transaction, &replacement.successor, Owned::Yes)?;
            append(&transaction, std::iter::once(Revocation::Key(old.digest)), until, now)?;
            transaction.commit()?;
            Ok(Replaced::Done(old.digest))
        })
        .await
    }

    pub(crate) async fn redigest(
        &self,
        from: Digest,
        to: Digest,
        pepper: u32,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let change = "UPDATE keys SET digest = ?2, pepper = ?3 WHERE digest = ?1";
            let moved = transaction.execute(change, params![&from.0[..], &to.0[..], pepper])? > 0;
            if moved {
                append(&transaction, std::iter::once(Revocation::Key(from)), until, now)?;
            }
            transaction.commit()?;
            Ok(moved)
        })
        .await
    }

    pub(crate) async fn suspend(
        &self,
        owner: &str,
        suspended: bool,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let owner = owner.to_owned();
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let change = "UPDATE keys SET suspended = ?2 WHERE application = ?1 AND owned = 1";
            if transaction.execute(change, params![owner, suspended])? == 0 {
                return Ok(false);
            }
            if suspended {
                transaction.execute("INSERT INTO suspended (owner) VALUES (?1) ON CONFLICT DO NOTHING", [&owner])?;
                append(&transaction, std::iter::once(Revocation::Owner(owner.into())), until, now)?;
            } else {
                transaction.execute("DELETE FROM suspended WHERE owner = ?1", [&owner])?;
            }
            transaction.commit()?;
            Ok(true)
        })
        .await
    }

    pub(crate) async fn add_usage(&self, batch: UsageBatch) -> Result<(), StoreError> {
        self.write(move |writer| {
            let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let advance = "INSERT INTO usage_writers (writer, number) VALUES (?1, ?2)
                           ON CONFLICT DO UPDATE SET number = excluded.number WHERE number < excluded.number";
            let number = batch.number as i64;
            if transaction.execute(advance, params![batch.writer, number])? == 0 {
                return Ok(());
            }
            {
                let mut add = transaction.prepare_cached(ADD_USAGE)?;
                for UsageLine { key, requests, last_used } in &batch.lines {
                    add.execute(params![key, *requests as i64, *last_used as i64])?;
                }
            }
            transaction.commit()
        })
        .await
    }

    pub(crate) async fn usage_of(&self, keys: Vec<Arc<str>>) -> Result<Vec<UsageLine>, StoreError> {
        self.read_aside(move |reader| {
            let mut select =
                reader.prepare_cached("SELECT key_id, requests, last_used FROM usage WHERE key_id = ?1")?;
            let found = keys.iter().filter_map(|key| select.query_row([key], usage).optional().transpose());
            found.collect()
        })
        .await
    }

    pub(crate) async fn usage(&self) -> Result<Vec<UsageLine>, StoreError> {
        self.read_aside(|reader| {
            let mut select = reader.prepare_cached("SELECT key_id, requests, last_used FROM usage ORDER BY key_id")?;
            select.query_map([], usage)?.collect()
        })
        .await
    }

    async fn read_aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.clone();
        blocking(move || store.read(work)).await
    }
}

fn key_named(reader: &Connection, id: &str) -> rusqlite::Result<Option<KeyRecord>> {
    reader.prepare_cached(SELECT_KEY_NAMED)?.query_row([id], key).optional()
}

fn usage(row: &Row<'_>) -> rusqlite::Result<UsageLine> {
    Ok(UsageLine {
        key: row.get_ref(0)?.as_str()?.into(),
        requests: row.get::<_, i64>(1)?.unsigned_abs(),
        last_used: row.get::<_, i64>(2)?.unsigned_abs(),
    })
}
