//! Records in a Redis server: one `GET` per lookup, pipelined over one connection of each runtime.
//!
//! | key, after `namespace:profile:` | type | what |
//! | --- | --- | --- |
//! | `key:<digest>` | string | an API key's record, JSON |
//! | `id:<id>` | string | the digest of the key of that name |
//! | `keys` | integer | how many keys there are |
//! | `owned:<owner>` | set | the names of an owner's keys |
//! | `suspended:<owner>` | string | there while the owner is suspended |
//! | `usage` | hash | requests of each key, by name |
//! | `last-used` | sorted set | names of keys by the time of their last use |
//! | `writer:<writer>` | integer | the last batch of usage that a process wrote |
//! | `user:<name>` | string | a user's record, JSON |
//! | `nonce:<digest>` | string | a nonce that was used, until Redis removes it |
//! | `revocations` | stream | the revocations in their order; also the channel on which an addition is published |
//! | `layout` | integer | version of this table |
//!
//! What belongs together is written in one transaction (`MULTI`), or by a script where it rests on what was read before. An acknowledged revocation outlives a crash of Redis only
//! where Redis writes each command to the disk before it answers (`appendonly yes`, `appendfsync always`); a server that
//! does not is warned of when the store is opened.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline, RedisError};
use serde::{Deserialize, Serialize};

use super::cache::LONGEST;
use super::line::{Held, Lines};
use super::record::{Entry, KeyDetails, KeyRecord, KeyStatus, Position, Revocation, User};
use super::{Owned, StoreError};
use crate::clock::UnixTime;
use crate::config::RemoteStore;
use crate::credential::digest::Digest;

mod keys;
mod listen;
mod nonces;

pub(crate) use self::listen::Listening;

/// The layout above. Records of another version are refused.
const LAYOUT: u64 = 2;

/// Records written in one round trip.
const BATCH: usize = 1_000;

/// How long an entry stays in the order of revocations, at least: longer than any copy of what it revokes may be kept.
const KEPT: Duration = Duration::from_secs(LONGEST.as_secs() + 86_400);

/// Writes a value in the place of another, unless that has changed meanwhile.
const REPLACE: &str = "
    if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2])
    return 1";

/// A store in a Redis server. Clones share connections.
#[derive(Clone)]
pub(crate) struct Redis(Arc<Server>);

struct Server {
    client: Client,
    /// The URL as it was written: for errors.
    shown: String,
    timeout: Duration,
    /// What all keys begin with.
    prefix: String,
    lines: Lines<Line>,
}

/// A connection, until a command has found it broken.
struct Line {
    connection: MultiplexedConnection,
    broken: AtomicBool,
}

/// An API key's record without its digest, which the key in Redis is made of.
#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    id: Arc<str>,
    application: Arc<str>,
    hint: Box<str>,
    scopes: Arc<str>,
    created_ns: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ns: Option<u64>,
    #[serde(default)]
    revoked: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    suspended: bool,
    #[serde(default, skip_serializing_if = "is_none")]
    pepper: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    details: Option<Box<KeyDetails>>,
}

/// Whether no pepper is meant.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_none(pepper: &u32) -> bool {
    *pepper == 0
}

#[derive(Serialize, Deserialize)]
struct StoredUser {
    password_hash: Arc<str>,
    scopes: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_ns: Option<u64>,
}

impl Redis {
    /// Connects, and makes the store if there is none under that namespace and profile.
    pub(crate) async fn open(remote: &RemoteStore, profile: &str) -> Result<Self, StoreError> {
        let wrong = |error: String| StoreError::new(format!("read the URL {}", remote.url), error);
        let url = remote.url.resolve().map_err(wrong)?;
        // The library's own text may repeat what it could not read.
        let info = url.expose().into_connection_info().map_err(|error| wrong(category(&error)))?;
        let store = Self(Arc::new(Server {
            client: Client::open(info).map_err(|error| wrong(category(&error)))?,
            shown: remote.url.to_string(),
            timeout: remote.timeout,
            prefix: format!("{}:{profile}:", remote.namespace),
            lines: Lines::new(1),
        }));
        let made: Option<u64> = store.ask("open", redis::cmd("GET").arg(store.name("layout"))).await?;
        match made {
            None => {
                let () = store.ask("open", redis::cmd("SET").arg(store.name("layout")).arg(LAYOUT)).await?;
            }
            Some(LAYOUT) => {}
            Some(version) => {
                let (names, shown) = (store.name("*"), &store.0.shown);
                let source = format!("it has version {version}, this program writes {LAYOUT}; delete the keys {names}");
                return Err(StoreError::new(format!("open the records in {shown}"), source));
            }
        }
        store.warn_unless_durable().await;
        Ok(store)
    }

    pub(crate) async fn key(&self, digest: &Digest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let found: Option<Vec<u8>> = self.ask("read", redis::cmd("GET").arg(self.key_name(digest))).await?;
        found.map(|json| self.read_key(digest, &json).map(Arc::new)).transpose()
    }

    pub(crate) async fn insert_keys(
        &self,
        records: impl Iterator<Item = KeyRecord>,
        owned: Owned,
    ) -> Result<(), StoreError> {
        let mut records = records.peekable();
        while records.peek().is_some() {
            let mut batch = redis::pipe();
            batch.atomic();
            let mut count = 0_usize;
            for record in records.by_ref().take(BATCH) {
                self.insert_into(&mut batch, &record, owned);
                count += 1;
            }
            batch.cmd("INCRBY").arg(self.name("keys")).arg(count).ignore();
            self.tell("write", &batch).await?;
        }
        Ok(())
    }

    pub(crate) async fn count_keys(&self) -> Result<usize, StoreError> {
        let count: Option<usize> = self.ask("count", redis::cmd("GET").arg(self.name("keys"))).await?;
        Ok(count.unwrap_or_default())
    }

    pub(crate) async fn user(&self, name: &str) -> Result<Option<Arc<User>>, StoreError> {
        let found: Option<Vec<u8>> = self.ask("read", redis::cmd("GET").arg(self.user_name(name))).await?;
        let Some(json) = found else { return Ok(None) };
        let stored: StoredUser = serde_json::from_slice(&json).map_err(|_| self.unreadable("the record of a user"))?;
        let StoredUser { password_hash, scopes, expires_ns } = stored;
        Ok(Some(Arc::new(User { name: name.into(), password_hash, scopes, expires: expires_ns.map(time) })))
    }

    pub(crate) async fn insert_user(&self, user: &User) -> Result<bool, StoreError> {
        let mut insert = redis::cmd("SET");
        insert.arg(self.user_name(&user.name)).arg(json(&StoredUser::from(user))).arg("NX");
        let set: Option<String> = self.ask_once("write", &insert).await?;
        Ok(set.is_some())
    }

    pub(crate) async fn set_password(&self, name: &str, hash: Arc<str>, until: UnixTime) -> Result<bool, StoreError> {
        let Some(user) = self.user(name).await? else { return Ok(false) };
        let changed = StoredUser { password_hash: hash, ..StoredUser::from(&*user) };
        let mut write = redis::pipe();
        write.atomic().set(self.user_name(name), json(&changed)).ignore();
        self.append_to(&mut write, &Revocation::Password(name.into()), until);
        self.publish(&mut write);
        self.tell("write", &write).await?;
        Ok(true)
    }

    pub(crate) async fn replace_hash(&self, name: &str, old: &str, new: Arc<str>) -> Result<bool, StoreError> {
        let key = self.user_name(name);
        let found: Option<Vec<u8>> = self.ask("read", redis::cmd("GET").arg(&key)).await?;
        let Some(found) = found else { return Ok(false) };
        let stored: StoredUser = serde_json::from_slice(&found).map_err(|_| self.unreadable("the record of a user"))?;
        if *stored.password_hash != *old {
            return Ok(false);
        }
        let changed = StoredUser { password_hash: new, ..stored };
        let mut replace = redis::cmd("EVAL");
        replace.arg(REPLACE).arg(1).arg(&key).arg(found).arg(json(&changed));
        self.ask_once("write", &replace).await
    }

    /// Records revocations, and forgets those that are past their time.
    pub(crate) async fn append(
        &self,
        revocations: impl Iterator<Item = Revocation>,
        until: UnixTime,
    ) -> Result<(), StoreError> {
        let mut revocations = revocations.peekable();
        while revocations.peek().is_some() {
            let mut write = redis::pipe();
            write.atomic();
            for revocation in revocations.by_ref().take(BATCH) {
                self.append_to(&mut write, &revocation, until);
            }
            self.publish(&mut write);
            self.tell("write", &write).await?;
        }
        Ok(())
    }

    /// The entries after a position, in order, `most` at once.
    pub(crate) async fn revocations_after(&self, after: Position, most: usize) -> Result<Vec<Entry>, StoreError> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.name("revocations")).arg(format!("({}-{}", after.0 >> 64, after.0 as u64)).arg("+");
        let found: Vec<(String, HashMap<String, String>)> = self.ask("read", range.arg("COUNT").arg(most)).await?;
        let read = |(id, fields): (String, HashMap<String, String>)| entry(&id, &fields);
        found.into_iter().map(|found| read(found).ok_or_else(|| self.unreadable("a revocation"))).collect()
    }

    /// How many entries there are.
    pub(crate) async fn count_revocations(&self) -> Result<usize, StoreError> {
        self.ask("count", redis::cmd("XLEN").arg(self.name("revocations"))).await
    }

    /// Removes all keys of the profile, some at a time: Redis answers others in between.
    pub(crate) async fn discard(&self) -> Result<(), StoreError> {
        let pattern = self.name("*");
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(BATCH);
            let (next, names): (u64, Vec<String>) = self.ask("read", &scan).await?;
            if !names.is_empty() {
                let () = self.ask("write", redis::cmd("UNLINK").arg(names)).await?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// One entry. Redis gives it its place: later than all before it, whatever its clock does.
    fn append_to(&self, write: &mut Pipeline, revocation: &Revocation, until: UnixTime) {
        let (kind, name, issued_until) = revocation.columns();
        let entry = write.cmd("XADD").arg(self.name("revocations")).arg("*");
        entry.arg("kind").arg(kind).arg("name").arg(name).arg("until").arg(until.as_secs());
        if let Some(seconds) = issued_until {
            entry.arg("issued_until").arg(seconds);
        }
        entry.ignore();
    }

    /// Tells who listens that there are new entries, and drops the oldest.
    fn publish(&self, write: &mut Pipeline) {
        let name = self.name("revocations");
        let oldest = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let oldest = oldest.saturating_sub(KEPT).as_millis() as u64;
        write.cmd("XTRIM").arg(&name).arg("MINID").arg("~").arg(oldest).ignore();
        write.cmd("PUBLISH").arg(&name).arg("new").ignore();
    }

    /// A command that may be repeated: it is, once, where the connection turns out to have been lost since the last.
    async fn ask<T: FromRedisValue>(&self, action: &str, command: &Cmd) -> Result<T, StoreError> {
        let line = self.line().await?;
        match command.query_async(&mut line.connection.clone()).await {
            Err(error) if error.is_connection_dropped() => {
                drop(self.failed(&line, action, error));
                self.ask_once(action, command).await
            }
            answer => answer.map_err(|error| self.failed(&line, action, error)),
        }
    }

    async fn ask_once<T: FromRedisValue>(&self, action: &str, command: &Cmd) -> Result<T, StoreError> {
        let line = self.line().await?;
        command.query_async(&mut line.connection.clone()).await.map_err(|error| self.failed(&line, action, error))
    }

    async fn tell(&self, action: &str, pipeline: &Pipeline) -> Result<(), StoreError> {
        let line = self.line().await?;
        pipeline.exec_async(&mut line.connection.clone()).await.map_err(|error| self.failed(&line, action, error))
    }

    async fn line(&self) -> Result<Held<Line>, StoreError> {
        let server = &*self.0;
        let connect = async || {
            let config = self.connection_config();
            let made = server.client.get_multiplexed_async_connection_with_config(&config).await;
            let connection = made.map_err(|error| StoreError::new(format!("connect to {}", server.shown), error))?;
            Ok(Line { connection, broken: false.into() })
        };
        server.lines.get(|line| !line.broken.load(Ordering::Relaxed), connect).await
    }

    fn connection_config(&self) -> AsyncConnectionConfig {
        let timeout = Some(self.0.timeout);
        AsyncConnectionConfig::new().set_connection_timeout(timeout).set_response_timeout(timeout)
    }

    fn failed(&self, line: &Line, action: &str, error: RedisError) -> StoreError {
        // Also after a timeout: whether the server is back shows sooner on a new connection than on one that hangs.
        if error.is_unrecoverable_error() || error.is_timeout() || error.is_io_error() {
            line.broken.store(true, Ordering::Relaxed);
        }
        StoreError::new(format!("{action} {}", self.0.shown), error)
    }

    fn unreadable(&self, what: &str) -> StoreError {
        StoreError::new(format!("read {}", self.0.shown), format!("{what} is not what this program wrote"))
    }

    /// Says so where a crash of Redis would take acknowledged revocations along. A Redis that does not tell its settings is
    /// taken at its word.
    async fn warn_unless_durable(&self) {
        let setting = async |name: &str| {
            let asked: Result<HashMap<String, String>, _> =
                self.ask("read", redis::cmd("CONFIG").arg("GET").arg(name)).await;
            asked.ok().and_then(|mut settings| settings.remove(name))
        };
        let (append_only, fsync) = (setting("appendonly").await, setting("appendfsync").await);
        let durable = append_only.as_deref() == Some("yes") && fsync.as_deref() == Some("always");
        if append_only.is_some() && !durable {
            tracing::warn!(
                store = self.0.shown,
                "Redis answers before it has written to the disk: revocations may be lost if it crashes; set appendonly yes \
                 and appendfsync always"
            );
        }
    }

    fn name(&self, rest: &str) -> String {
        format!("{}{rest}", self.0.prefix)
    }

    fn key_name(&self, digest: &Digest) -> String {
        let mut name = String::with_capacity(self.0.prefix.len() + 4 + 64);
        name.push_str(&self.0.prefix);
        name.push_str("key:");
        digest.write_hex(&mut name);
        name
    }

    fn user_name(&self, name: &str) -> String {
        self.name(&format!("user:{name}"))
    }

    fn read_key(&self, digest: &Digest, json: &[u8]) -> Result<KeyRecord, StoreError> {
        let stored: StoredKey = serde_json::from_slice(json).map_err(|_| self.unreadable("the record of a key"))?;
        Ok(KeyRecord {
            id: stored.id,
            application: stored.application,
            digest: *digest,
            hint: stored.hint,
            scopes: stored.scopes,
            created: time(stored.created_ns),
            expires: stored.expires_ns.map(time),
            status: KeyStatus::from_flags(stored.revoked, stored.suspended),
            pepper: stored.pepper,
            details: stored.details,
        })
    }
}

impl From<&KeyRecord> for StoredKey {
    fn from(record: &KeyRecord) -> Self {
        Self {
            id: record.id.clone(),
            application: record.application.clone(),
            hint: record.hint.clone(),
            scopes: record.scopes.clone(),
            created_ns: nanoseconds(record.created),
            expires_ns: record.expires.map(nanoseconds),
            revoked: record.status == KeyStatus::Revoked,
            suspended: record.status == KeyStatus::Suspended,
            pepper: record.pepper,
            details: record.details.clone(),
        }
    }
}

impl From<&User> for StoredUser {
    fn from(user: &User) -> Self {
        Self {
            password_hash: user.password_hash.clone(),
            scopes: user.scopes.clone(),
            expires_ns: user.expires.map(nanoseconds),
        }
    }
}

fn entry(id: &str, fields: &HashMap<String, String>) -> Option<Entry> {
    let (milliseconds, number) = id.split_once('-')?;
    let position = u128::from(milliseconds.parse::<u64>().ok()?) << 64 | u128::from(number.parse::<u64>().ok()?);
    let issued_until = fields.get("issued_until").map(|seconds| seconds.parse()).transpose().ok()?;
    Some(Entry {
        position: Position(position),
        revocation: Revocation::from_columns(fields.get("kind")?, fields.get("name")?, issued_until)?,
        until: fields.get("until")?.parse().ok()?,
    })
}

fn json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("strings and numbers are JSON")
}

fn time(nanoseconds: u64) -> UnixTime {
    UnixTime(Duration::from_nanos(nanoseconds))
}

/// No time that is granted lies beyond the year 2554; see [`crate::auth::grant`].
fn nanoseconds(time: UnixTime) -> u64 {
    u64::try_from(time.0.as_nanos()).unwrap_or(u64::MAX)
}

/// What kind of error it is, without its text.
fn category(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::InvalidClientConfig => {
            "it is not a URL of Redis; write redis://HOST:PORT/DB or redis+unix:///PATH".into()
        }
        _ => error.category().to_owned(),
    }
}
