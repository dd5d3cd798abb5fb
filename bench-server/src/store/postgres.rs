//! Records in a PostgreSQL server: one prepared `SELECT` per lookup, pipelined over a few connections of each runtime.
//!
//! Each profile has a schema of its own, `namespace:profile`, whose tables the server makes and migrates. Revocations are
//! written by one writer at a time, over all replicas: only so is the order of their numbers that of their commits, and a
//! reader who has seen one has seen all before it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::TryFutureExt as _;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row, Statement, Transaction};

use super::line::{Held, Lines};
use super::record::{Entry, KeyDetails, KeyRecord, KeyStatus, Position, Revocation, User};
use super::{Owned, StoreError};
use crate::clock::UnixTime;
use crate::config::RemoteStore;
use crate::credential::digest::Digest;

/// Reads whole records.
macro_rules! select_keys {
    ($which:literal) => {
        concat!(
            "SELECT id, application, hint, scopes, created_ns, expires_ns, revoked, suspended, pepper, details, digest ",
            "FROM keys ",
            $which
        )
    };
}

mod keys;
mod listen;
mod migrations;
mod nonces;

pub(crate) use self::listen::Listening;
pub(crate) use self::nonces::Nonces;

/// Connections of each runtime. PostgreSQL answers the requests of one connection one after the other, in a process of
/// its own; this many keep two cores busy.
const LINES: usize = 4;

/// Records written by one statement.
const BATCH: usize = 1_000;

const SELECT_KEY: &str = select_keys!("WHERE digest = $1");

const INSERT_KEYS: &str = "
    INSERT INTO keys (digest, id, application, hint, scopes, created_ns, expires_ns, revoked, pepper, details, owned)
    SELECT *, $11::boolean FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[],
                              $8::boolean[], $9::bigint[], $10::text[])";

const SELECT_USER: &str = "SELECT password_hash, scopes, expires_ns FROM users WHERE name = $1";

/// A store in a PostgreSQL server. Clones share connections.
#[derive(Clone)]
pub(crate) struct Postgres(Arc<Server>);

struct Server {
    config: Config,
    /// The URL as it was written: for errors.
    shown: String,
    timeout: Duration,
    /// Name of the schema, and of the channel on which additions are told.
    schema: String,
    lines: Lines<Line>,
    /// The one connection that writes.
    desk: Mutex<Option<Client>>,
}

/// A connection with its statements, prepared once.
struct Line {
    client: Client,
    select_key: Statement,
    select_user: Statement,
}

impl Postgres {
    /// Connects, and brings the profile's tables up to date.
    pub(crate) async fn open(remote: &RemoteStore, profile: &str) -> Result<Self, StoreError> {
        let wrong = |error: String| StoreError::new(format!("read the URL {}", remote.url), error);
        let url = remote.url.resolve().map_err(wrong)?;
        let parsed: Result<Config, _> = url.expose().parse();
        // The library's own text may repeat what it could not read.
        let remedy = "it is not a URL of PostgreSQL; write postgres://USER@HOST:PORT/DATABASE";
        let mut config = parsed.map_err(|_| wrong(remedy.to_owned()))?;
        config.connect_timeout(remote.timeout).application_name("authbench");
        let schema = format!("{}:{profile}", remote.namespace);
        if schema.len() > migrations::LONGEST_NAME {
            let longest = migrations::LONGEST_NAME;
            return Err(wrong(format!(
                "the schema {schema:?} has a name of over {longest} bytes; shorten the variant's"
            )));
        }
        let store = Self(Arc::new(Server {
            config,
            shown: remote.url.to_string(),
            timeout: remote.timeout,
            schema,
            lines: Lines::new(LINES),
            desk: Mutex::default(),
        }));
        let mut client = store.connect().await?;
        migrations::apply(&mut client, &store.0.schema)
            .await
            .map_err(|error| StoreError::new(format!("bring the tables in {} up to date", store.0.shown), error))?;
        *store.0.desk.lock().await = Some(client);
        Ok(store)
    }

    pub(crate) async fn key(&self, digest: &Digest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let line = self.line().await?;
        let found = self.in_time("read", line.client.query_opt(&line.select_key, &[&&digest.0[..]])).await?;
        found.map(|row| key(digest, &row).map(Arc::new).map_err(|error| self.failed("read", error))).transpose()
    }

    pub(crate) async fn insert_keys(
        &self,
        records: impl Iterator<Item = KeyRecord>,
        owned: Owned,
    ) -> Result<(), StoreError> {
        let mut records = records.peekable();
        self.write("write", async |transaction| {
            while records.peek().is_some() {
                let batch: Vec<KeyRecord> = records.by_ref().take(BATCH).collect();
                insert_keys(transaction, &batch, owned).await?;
            }
            Ok(())
        })
        .await
    }

    pub(crate) async fn count_keys(&self) -> Result<usize, StoreError> {
        let line = self.line().await?;
        let row = self.in_time("count", line.client.query_one("SELECT count(*) FROM keys", &[])).await?;
        Ok(row.get::<_, i64>(0).unsigned_abs() as usize)
    }

    /// The digest of the key, if there is one of that name.
    pub(crate) async fn revoke_key(
        &self,
        id: &str,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<Option<Digest>, StoreError> {
        let revoke = "UPDATE keys SET revoked = true WHERE id = $1 RETURNING digest";
        let schema = &*self.0.schema;
        let digest = self.write("write", async |transaction| {
            let Some(row) = transaction.query_opt(revoke, &[&id]).await? else { return Ok(None) };
            let digest = row.try_get::<_, &[u8]>(0)?.try_into().map(Digest).ok();
            if let Some(digest) = digest {
                append(transaction, schema, &mut std::iter::once(Revocation::Key(digest)), until, now).await?;
            }
            Ok(digest)
        });
        digest.await
    }

    pub(crate) async fn user(&self, name: &str) -> Result<Option<Arc<User>>, StoreError> {
        let line = self.line().await?;
        let found = self.in_time("read", line.client.query_opt(&line.select_user, &[&name])).await?;
        found.map(|row| user(name, &row).map(Arc::new).map_err(|error| self.failed("read", error))).transpose()
    }

    pub(crate) async fn insert_user(&self, user: &User) -> Result<bool, StoreError> {
        let insert = "INSERT INTO users (name, password_hash, scopes, expires_ns) VALUES ($1, $2, $3, $4)
                      ON CONFLICT DO NOTHING";
        let expires = user.expires.map(nanoseconds);
        let inserted = self.write("write", async |transaction| {
            transaction.execute(insert, &[&&*user.name, &&*user.password_hash, &&*user.scopes, &expires]).await
        });
        Ok(inserted.await? > 0)
    }

    pub(crate) async fn set_password(
        &self,
        name: &str,
        hash: Arc<str>,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let schema = &*self.0.schema;
        let changed = self.write("write", async |transaction| {
            let change = "UPDATE users SET password_hash = $2 WHERE name = $1";
            let changed = transaction.execute(change, &[&name, &&*hash]).await? > 0;
            if changed {
                append(transaction, schema, &mut std::iter::once(Revocation::Password(name.into())), until, now)
                    .await?;
            }
            Ok(changed)
        });
        changed.await
    }

    pub(crate) async fn replace_hash(&self, name: &str, old: &str, new: &str) -> Result<bool, StoreError> {
        let replace = "UPDATE users SET password_hash = $3 WHERE name = $1 AND password_hash = $2";
        let replaced =
            self.write("write", async |transaction| transaction.execute(replace, &[&name, &old, &new]).await);
        Ok(replaced.await? > 0)
    }

    /// Records revocations, and forgets those that are of no use at `now` any more.
    pub(crate) async fn append(
        &self,
        mut revocations: impl Iterator<Item = Revocation> + Send,
        until: UnixTime,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let schema = &*self.0.schema;
        let written =
            self.write("write", async |transaction| append(transaction, schema, &mut revocations, until, now).await);
        written.await
    }

    /// The entries after a position, in order, `most` at once.
    pub(crate) async fn revocations_after(&self, after: Position, most: usize) -> Result<Vec<Entry>, StoreError> {
        let select = "SELECT revision, kind, name, issued_until, until FROM revocations WHERE revision > $1
                      ORDER BY revision LIMIT $2";
        let (after, most) = (i64::try_from(after.0).unwrap_or(i64::MAX), most as i64);
        let line = self.line().await?;
        let rows = self.in_time("read", line.client.query(select, &[&after, &most])).await?;
        let read = |row: &Row| entry(row).map_err(|error| self.failed("read", error));
        rows.iter().map(|row| read(row)?.ok_or_else(|| self.unreadable())).collect()
    }

    /// How many entries are of use at `now`.
    pub(crate) async fn count_revocations(&self, now: UnixTime) -> Result<usize, StoreError> {
        let count = "SELECT count(*) FROM revocations WHERE until > $1";
        let line = self.line().await?;
        let row = self.in_time("count", line.client.query_one(count, &[&(now.as_secs() as i64)])).await?;
        Ok(row.get::<_, i64>(0).unsigned_abs() as usize)
    }

    /// Removes the profile's schema with all that is in it.
    pub(crate) async fn discard(&self) -> Result<(), StoreError> {
        let drop = format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", self.0.schema);
        self.write("drop the schema at", async |transaction| transaction.batch_execute(&drop).await).await
    }

    /// One transaction on the connection that writes. One that failed is not used again: it may hang in the middle of its
    /// transaction, which PostgreSQL rolls back when the connection ends.
    async fn write<T>(
        &self,
        action: &str,
        work: impl AsyncFnOnce(&Transaction<'_>) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, StoreError> {
        let mut desk = self.0.desk.lock().await;
        let mut client = match desk.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.connect().await?,
        };
        let all = async {
            let transaction = client.transaction().await?;
            let done = work(&transaction).await?;
            transaction.commit().await?;
            Ok(done)
        };
        // A population takes longer than an answer may.
        let done = all.await.map_err(|error| self.failed(action, error))?;
        *desk = Some(client);
        Ok(done)
    }

    async fn line(&self) -> Result<Held<Line>, StoreError> {
        let connect = async || {
            let client = self.connect().await?;
            let prepared = async { tokio::try_join!(client.prepare(SELECT_KEY), client.prepare(SELECT_USER)) };
            let (select_key, select_user) = self.in_time("prepare statements at", prepared).await?;
            Ok(Line { client, select_key, select_user })
        };
        self.0.lines.get(|line| !line.client.is_closed(), connect).await
    }

    /// A connection that looks into the profile's schema; it lives as long as its client.
    async fn connect(&self) -> Result<Client, StoreError> {
        let connected = self.in_time("connect to", self.0.config.connect(NoTls)).await;
        let (client, connection) = connected?;
        tokio::spawn(connection.unwrap_or_else(|error| tracing::debug!(%error, "PostgreSQL connection ended")));
        let path = format!("SET search_path TO \"{}\"", self.0.schema);
        self.in_time("connect to", client.batch_execute(&path)).await?;
        Ok(client)
    }

    async fn in_time<T>(
        &self,
        action: &str,
        work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        match timeout(self.0.timeout, work).await {
            Ok(done) => done.map_err(|error| self.failed(action, error)),
            Err(elapsed) => Err(StoreError::new(format!("{action} {}", self.0.shown), elapsed)),
        }
    }

    fn failed(&self, action: &str, error: tokio_postgres::Error) -> StoreError {
        StoreError::new(format!("{action} {}", self.0.shown), Told(error))
    }

    fn unreadable(&self) -> StoreError {
        StoreError::new(format!("read {}", self.0.shown), "a revocation is not what this program wrote")
    }
}

/// An error with what PostgreSQL said; the library's own text is "db error".
#[derive(Debug)]
struct Told(tokio_postgres::Error);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.as_db_error(), std::error::Error::source(&self.0)) {
            (Some(error), _) => write!(f, "{}", error.message()),
            (None, Some(cause)) => write!(f, "{}: {cause}", self.0),
            (None, None) => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for Told {}

/// Waits until no other transaction writes in turn, until the end of this one. May be taken again by who has it.
async fn take_turn(transaction: &Transaction<'_>, schema: &str) -> Result<(), tokio_postgres::Error> {
    transaction.execute("SELECT pg_advisory_xact_lock(hashtext($1))", &[&schema]).await.map(drop)
}

/// Adds entries, tells of them, and forgets those that are of no use at `now` any more. Waits until no other transaction
/// does the same: its entries come before.
async fn append(
    transaction: &Transaction<'_>,
    schema: &str,
    revocations: &mut (dyn Iterator<Item = Revocation> + Send),
    until: UnixTime,
    now: UnixTime,
) -> Result<(), tokio_postgres::Error> {
    take_turn(transaction, schema).await?;
    let (until, now) = (until.as_secs() as i64, now.as_secs() as i64);
    transaction.execute("DELETE FROM revocations WHERE until <= $1", &[&now]).await?;
    loop {
        let batch: Vec<_> = revocations.take(BATCH).map(|revocation| revocation.columns()).collect();
        if batch.is_empty() {
            break;
        }
        let kinds: Vec<&str> = batch.iter().map(|(kind, ..)| *kind).collect();
        let names: Vec<&str> = batch.iter().map(|(_, name, _)| &**name).collect();
        let ends: Vec<Option<i64>> = batch.iter().map(|(.., end)| end.map(|seconds| seconds as i64)).collect();
        let insert = "INSERT INTO revocations (kind, name, issued_until, until)
                      SELECT kind, name, issued_until, $4
                      FROM unnest($1::text[], $2::text[], $3::bigint[]) AS added (kind, name, issued_until)";
        transaction.execute(insert, &[&kinds, &names, &ends, &until]).await?;
    }
    transaction.execute("SELECT pg_notify($1, '')", &[&schema]).await.map(drop)
}

async fn insert_keys(
    transaction: &Transaction<'_>,
    batch: &[KeyRecord],
    owned: Owned,
) -> Result<(), tokio_postgres::Error> {
    let digests: Vec<&[u8]> = batch.iter().map(|record| &record.digest.0[..]).collect();
    let texts = |column: fn(&KeyRecord) -> &str| batch.iter().map(column).collect::<Vec<&str>>();
    let created: Vec<i64> = batch.iter().map(|record| nanoseconds(record.created)).collect();
    let expires: Vec<Option<i64>> = batch.iter().map(|record| record.expires.map(nanoseconds)).collect();
    let revoked: Vec<bool> = batch.iter().map(|record| record.status == KeyStatus::Revoked).collect();
    let peppers: Vec<i64> = batch.iter().map(|record| record.pepper.into()).collect();
    let details: Vec<Option<String>> =
        batch.iter().map(|record| record.details.as_deref().map(KeyDetails::to_json)).collect();
    let columns: [&(dyn ToSql + Sync); 11] = [
        &digests,
        &texts(|record| &record.id),
        &texts(|record| &record.application),
        &texts(|record| &record.hint),
        &texts(|record| &record.scopes),
        &created,
        &expires,
        &revoked,
        &peppers,
        &details,
        &(owned == Owned::Yes),
    ];
    transaction.execute(INSERT_KEYS, &columns).await.map(drop)
}

fn key(digest: &Digest, row: &Row) -> Result<KeyRecord, tokio_postgres::Error> {
    let text = |column| row.try_get::<_, &str>(column);
    Ok(KeyRecord {
        digest: *digest,
        id: text(0)?.into(),
        application: text(1)?.into(),
        hint: text(2)?.into(),
        scopes: text(3)?.into(),
        created: time(row.try_get(4)?),
        expires: row.try_get::<_, Option<i64>>(5)?.map(time),
        status: KeyStatus::from_flags(row.try_get(6)?, row.try_get(7)?),
        pepper: row.try_get::<_, i64>(8)? as u32,
        details: row.try_get::<_, Option<Details>>(9)?.map(|details| details.0),
    })
}

/// What few keys have, as text.
struct Details(Box<KeyDetails>);

impl<'a> FromSql<'a> for Details {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let json = <&str>::from_sql(kind, raw)?;
        KeyDetails::from_json(json)
            .map(Self)
            .ok_or_else(|| "the details of a key are not what this program wrote".into())
    }

    fn accepts(kind: &Type) -> bool {
        <&str as FromSql>::accepts(kind)
    }
}

fn user(name: &str, row: &Row) -> Result<User, tokio_postgres::Error> {
    Ok(User {
        name: name.into(),
        password_hash: row.try_get::<_, &str>(0)?.into(),
        scopes: row.try_get::<_, &str>(1)?.into(),
        expires: row.try_get::<_, Option<i64>>(2)?.map(time),
    })
}

/// `None` for a revocation that no version of this program wrote.
fn entry(row: &Row) -> Result<Option<Entry>, tokio_postgres::Error> {
    let issued_until = row.try_get::<_, Option<i64>>(3)?.map(i64::unsigned_abs);
    let position = Position(row.try_get::<_, i64>(0)?.unsigned_abs().into());
    let until = row.try_get::<_, i64>(4)?.unsigned_abs();
    let revocation = Revocation::from_columns(row.try_get(1)?, row.try_get(2)?, issued_until);
    Ok(revocation.map(|revocation| Entry { position, revocation, until }))
}

fn time(nanoseconds: i64) -> UnixTime {
    UnixTime(Duration::from_nanos(nanoseconds.unsigned_abs()))
}

/// No time that is granted lies beyond the year 2262; see [`crate::auth::grant`].
fn nanoseconds(time: UnixTime) -> i64 {
    i64::try_from(time.0.as_nanos()).unwrap_or(i64::MAX)
}
