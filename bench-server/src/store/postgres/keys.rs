//! Keys in PostgreSQL, beside looking them up. What changes several keys, or rests on what was read before, takes its turn among
//! all replicas.

use std::sync::Arc;

use tokio_postgres::{Row, Transaction};

use super::{KeyRecord, Owned, Postgres, append, insert_keys, key, nanoseconds, take_turn};
use crate::clock::UnixTime;
use crate::credential::digest::Digest;
use crate::store::StoreError;
use crate::store::record::{KeyDetails, Replaced, Replacement, Revocation, UsageBatch, UsageLine};

const SELECT_KEY_NAMED: &str = select_keys!("WHERE id = $1");
const SELECT_KEYS_OF: &str = select_keys!("WHERE application = $1 AND owned ORDER BY id COLLATE \"C\"");

const ADD_USAGE: &str = "
    INSERT INTO usage (key_id, requests, last_used) SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[])
    ON CONFLICT (key_id) DO UPDATE SET requests = usage.requests + excluded.requests,
                                       last_used = greatest(usage.last_used, excluded.last_used)";

type Error = tokio_postgres::Error;

impl Postgres {
    pub(crate) async fn key_named(&self, id: &str) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let line = self.line().await?;
        let found = self.in_time("read", line.client.query_opt(SELECT_KEY_NAMED, &[&id])).await?;
        found.map(|row| whole(&row).map(Arc::new).map_err(|error| self.failed("read", error))).transpose()
    }

    pub(crate) async fn keys_of(&self, owner: &str) -> Result<Vec<Arc<KeyRecord>>, StoreError> {
        let line = self.line().await?;
        let rows = self.in_time("read", line.client.query(SELECT_KEYS_OF, &[&owner])).await?;
        let read = |row: &Row| whole(row).map(Arc::new).map_err(|error| self.failed("read", error));
        rows.iter().map(read).collect()
    }

    pub(crate) async fn add_key(&self, record: &KeyRecord) -> Result<bool, StoreError> {
        let schema = &*self.0.schema;
        let added = self.write("write", async |transaction| {
            take_turn(transaction, schema).await?;
            let suspended = "SELECT 1 FROM suspended WHERE owner = $1";
            if transaction.query_opt(suspended, &[&&*record.application]).await?.is_some() {
                return Ok(false);
            }
            insert_keys(transaction, std::slice::from_ref(record), Owned::Yes).await?;
            Ok(true)
        });
        added.await
    }

    pub(crate) async fn replace_key(
        &self,
        id: &str,
        replacement: &Replacement,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<Replaced, StoreError> {
        let schema = &*self.0.schema;
        let replaced = self.write("write", async |transaction| {
            take_turn(transaction, schema).await?;
            let found = transaction.query_opt(SELECT_KEY_NAMED, &[&id]).await?;
            let Some(found) = found.map(|row| whole(&row)).transpose()? else { return Ok(Replaced::Unknown) };
            let Some(old) = replacement.end(&found, now) else { return Ok(Replaced::NotLive) };
            let change = "UPDATE keys SET expires_ns = $2, details = $3 WHERE id = $1";
            let expires = old.expires.map(nanoseconds);
            let details = old.details.as_deref().map(KeyDetails::to_json);
            transaction.execute(change, &[&id, &expires, &details]).await?;
            insert_keys(transaction, std::slice::from_ref(&replacement.successor), Owned::Yes).await?;
            tell(transaction, schema, Revocation::Key(old.digest), until, now).await?;
            Ok(Replaced::Done(old.digest))
        });
        replaced.await
    }

    pub(crate) async fn redigest(
        &self,
        from: &Digest,
        to: &Digest,
        pepper: u32,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let schema = &*self.0.schema;
        let moved = self.write("write", async |transaction| {
            take_turn(transaction, schema).await?;
            let change = "UPDATE keys SET digest = $2, pepper = $3 WHERE digest = $1";
            let moved = transaction.execute(change, &[&&from.0[..], &&to.0[..], &i64::from(pepper)]).await? > 0;
            if moved {
                tell(transaction, schema, Revocation::Key(*from), until, now).await?;
            }
            Ok(moved)
        });
        moved.await
    }

    pub(crate) async fn suspend(
        &self,
        owner: &str,
        suspended: bool,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let schema = &*self.0.schema;
        let known = self.write("write", async |transaction| {
            take_turn(transaction, schema).await?;
            let change = "UPDATE keys SET suspended = $2 WHERE application = $1 AND owned";
            if transaction.execute(change, &[&owner, &suspended]).await? == 0 {
                return Ok(false);
            }
            if suspended {
                let mark = "INSERT INTO suspended (owner) VALUES ($1) ON CONFLICT DO NOTHING";
                transaction.execute(mark, &[&owner]).await?;
                tell(transaction, schema, Revocation::Owner(owner.into()), until, now).await?;
            } else {
                transaction.execute("DELETE FROM suspended WHERE owner = $1", &[&owner]).await?;
            }
            Ok(true)
        });
        known.await
    }

    pub(crate) async fn add_usage(&self, batch: &UsageBatch) -> Result<(), StoreError> {
        let added = self.write("write", async |transaction| {
            let advance = "INSERT INTO usage_writers (writer, number) VALUES ($1, $2)
                           ON CONFLICT (writer) DO UPDATE SET number = excluded.number
                           WHERE usage_writers.number < excluded.number";
            if transaction.execute(advance, &[&&*batch.writer, &(batch.number as i64)]).await? == 0 {
                return Ok(());
            }
            // In one order, so that two writers do not wait for each other.
            let mut lines: Vec<&UsageLine> = batch.lines.iter().collect();
            lines.sort_unstable_by(|a, b| a.key.cmp(&b.key));
            let keys: Vec<&str> = lines.iter().map(|line| &*line.key).collect();
            let requests: Vec<i64> = lines.iter().map(|line| line.requests as i64).collect();
            let times: Vec<i64> = lines.iter().map(|line| line.last_used as i64).collect();
            transaction.execute(ADD_USAGE, &[&keys, &requests, &times]).await.map(drop)
        });
        added.await
    }

    pub(crate) async fn usage_of(&self, keys: &[Arc<str>]) -> Result<Vec<UsageLine>, StoreError> {
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        let line = self.line().await?;
        let select = "SELECT key_id, requests, last_used FROM usage WHERE key_id = ANY($1)";
        let rows = self.in_time("read", line.client.query(select, &[&keys])).await?;
        rows.iter().map(|row| usage(row).map_err(|error| self.failed("read", error))).collect()
    }

    pub(crate) async fn usage(&self) -> Result<Vec<UsageLine>, StoreError> {
        let line = self.line().await?;
        let select = "SELECT key_id, requests, last_used FROM usage ORDER BY key_id COLLATE \"C\"";
        let rows = self.in_time("read", line.client.query(select, &[])).await?;
        rows.iter().map(|row| usage(row).map_err(|error| self.failed("read", error))).collect()
    }
}

async fn tell(
    transaction: &Transaction<'_>,
    schema: &str,
    revocation: Revocation,
    until: UnixTime,
    now: UnixTime,
) -> Result<(), Error> {
    append(transaction, schema, &mut std::iter::once(revocation), until, now).await
}

/// A record whose digest is not known before.
fn whole(row: &Row) -> Result<KeyRecord, Error> {
    // The table's own check keeps every digest at this length.
    let digest = row.try_get::<_, &[u8]>(10)?.try_into().map(Digest).unwrap_or(Digest([0; 32]));
    key(&digest, row)
}

fn usage(row: &Row) -> Result<UsageLine, Error> {
    let number = |column| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
    Ok(UsageLine { key: row.try_get::<_, &str>(0)?.into(), requests: number(1)?, last_used: number(2)? })
}
