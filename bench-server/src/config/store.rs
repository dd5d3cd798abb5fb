//! Where records live, and how validators that keep a copy of them hear of revocations.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::contract::Secret;

/// Polls that may fail in a row before a copy is no longer trusted.
const TOLERATED_POLLS: u32 = 10;

/// Where polls are so frequent that ten of them are soon over, this is tolerated instead: a slow disk is no outage.
const TOLERATED_TIME: Duration = Duration::from_secs(1);

/// Where records live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreConfig {
    /// In the process; gone with it.
    Memory,
    /// SQLite in write-ahead mode, one file per profile under the shared folder; survives a kill.
    Sqlite,
    /// A Redis server, which replicas may share.
    Redis(RemoteStore),
    /// A PostgreSQL server, which replicas may share.
    Postgres(RemoteStore),
}

impl StoreConfig {
    /// The word for it in scenarios and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Redis(_) => "redis",
            Self::Postgres(_) => "postgres",
        }
    }

    /// The server, where there is one.
    pub fn remote(&self) -> Option<&RemoteStore> {
        match self {
            Self::Memory | Self::Sqlite => None,
            Self::Redis(remote) | Self::Postgres(remote) => Some(remote),
        }
    }

    /// The same, to be changed.
    pub fn remote_mut(&mut self) -> Option<&mut RemoteStore> {
        match self {
            Self::Memory | Self::Sqlite => None,
            Self::Redis(remote) | Self::Postgres(remote) => Some(remote),
        }
    }

    /// Whether other processes see the same records.
    pub fn is_shared(&self) -> bool {
        *self != Self::Memory
    }
}

/// A store in a server of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteStore {
    /// Where it is.
    pub url: StoreUrl,
    /// What this server's records are kept apart by from those of others: a prefix of keys in Redis, of schemas in
    /// PostgreSQL. At most [`RemoteStore::MAX_NAMESPACE`] letters, digits, `-` and `_`.
    #[serde(default = "RemoteStore::default_namespace")]
    pub namespace: String,
    /// Longest wait for a connection or an answer, after which the store counts as down.
    #[serde(with = "humantime_serde", default = "RemoteStore::default_timeout")]
    pub timeout: Duration,
}

impl RemoteStore {
    /// Longest namespace: a name in PostgreSQL has 63 bytes, and the profile's is part of it.
    pub const MAX_NAMESPACE: usize = 24;

    /// A server by its URL, and all else by default.
    pub fn new(url: StoreUrl) -> Self {
        Self { url, namespace: Self::default_namespace(), timeout: Self::default_timeout() }
    }

    /// `authbench`.
    pub fn default_namespace() -> String {
        "authbench".to_owned()
    }

    /// One second.
    pub fn default_timeout() -> Duration {
        Duration::from_secs(1)
    }
}

/// The URL of a store: `redis://…`, `redis+unix:///…`, `postgres://…`. `${NAME}` in it stands for an environment variable
/// of the server's process; that is how a password gets in, for no configuration holds one.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StoreUrl(String);

impl StoreUrl {
    /// A URL as it is written.
    ///
    /// # Errors
    /// When it is not closed after `${`, or holds a password; the text names the remedy and does not repeat the URL.
    pub fn new(text: impl Into<String>) -> Result<Self, String> {
        let url = Self(text.into());
        let written = url.fill_in(|_| Ok(String::new()))?;
        if holds_password(&written) {
            return Err(
                "the URL holds a password; put it into an environment variable, and ${NAME} into the URL".into()
            );
        }
        Ok(url)
    }

    /// The URL with the environment's values: a secret from here on.
    ///
    /// # Errors
    /// When a variable is not set.
    pub fn resolve(&self) -> Result<Secret, String> {
        let value = |name: &str| std::env::var(name).map_err(|_| format!("the environment variable {name} is not set"));
        self.fill_in(value).map(Secret::new)
    }

    fn fill_in(&self, mut value: impl FnMut(&str) -> Result<String, String>) -> Result<String, String> {
        let (mut filled, mut rest) = (String::new(), &*self.0);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').ok_or("a ${ in the URL is not closed; write ${NAME}")?;
            filled.push_str(before);
            filled.push_str(&value(name)?);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Whether there is something between the first colon and the `@` of the authority (RFC 3986 §3.2.1), or in a parameter.
fn holds_password(url: &str) -> bool {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or_default();
    let user_info = authority.rsplit_once('@').and_then(|(user_info, _)| user_info.split_once(':'));
    let in_parameter = |name: &str| {
        url.match_indices(name)
            .any(|(at, _)| url[at + name.len()..].starts_with(|next: char| next != '&' && next != ' '))
    };
    user_info.is_some_and(|(_, password)| !password.is_empty()) || in_parameter("password=") || in_parameter("pass=")
}

impl TryFrom<String> for StoreUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::new(text)
    }
}

impl From<StoreUrl> for String {
    fn from(url: StoreUrl) -> Self {
        url.0
    }
}

/// As written: without the environment's values.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// How a validator that keeps a copy hears of revocations before the copy ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Follow {
    /// It reads what is new once in this time, from a random phase on.
    Poll(#[serde(with = "humantime_serde")] Duration),
    /// The store tells it.
    Push(Push),
}

impl Follow {
    /// How long a copy may be behind: the time between two polls. What is pushed takes milliseconds; this long is waited
    /// for a sign of life of a store that has fallen silent, before its copies are no longer trusted.
    pub fn bound(self) -> Duration {
        match self {
            Self::Poll(every) => every,
            Self::Push(_) => Duration::from_secs(1),
        }
    }

    /// How long a copy is trusted after it was last known to be current: some polls may fail in a row, or a store that tells
    /// by itself stay silent, before it is no longer.
    pub fn trust(self) -> Duration {
        match self {
            Self::Poll(every) => (every * TOLERATED_POLLS).max(TOLERATED_TIME),
            Self::Push(_) => self.bound(),
        }
    }

    /// Whether a store can be followed so.
    ///
    /// # Errors
    /// Why not, with the remedy.
    pub fn check(self, store: &StoreConfig) -> Result<(), String> {
        let wrong = |remedy: &str| Err(format!("a store of kind \"{}\" {remedy}", store.name()));
        match (self, store) {
            (_, StoreConfig::Memory) => {
                wrong("is in the process that revokes, which hears of it at once; leave `poll` and `push` out")
            }
            (Self::Poll(every), _) if every.is_zero() => Err("poll is 0s; give the time between two reads".to_owned()),
            (Self::Poll(_), _)
            | (Self::Push(Push::Pubsub | Push::Tracking), StoreConfig::Redis(_))
            | (Self::Push(Push::Notify), StoreConfig::Postgres(_)) => Ok(()),
            (Self::Push(_), StoreConfig::Sqlite) => wrong("tells nobody; write `poll`"),
            (Self::Push(_), StoreConfig::Redis(_)) => wrong("tells by \"pubsub\" or \"tracking\""),
            (Self::Push(_), StoreConfig::Postgres(_)) => wrong("tells by \"notify\""),
        }
    }
}

/// How a store tells of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Push {
    /// Redis publish and subscribe.
    Pubsub,
    /// Redis client tracking in broadcast mode, which tells of the keys that were written. For caches only.
    Tracking,
    /// PostgreSQL LISTEN and NOTIFY.
    Notify,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_holds_no_password_but_the_name_of_one() {
        for good in [
            "redis://localhost:6379/0",
            "redis+unix:///run/redis.sock",
            "postgres://anna@db.example/authbench?sslmode=disable",
            "postgres://anna:${PGPASSWORD}@db.example/authbench",
            "${REDIS_URL}",
            "postgres:///authbench?host=/run/postgresql&user=anna",
        ] {
            StoreUrl::new(good).expect(good);
        }
        for bad in [
            "redis://:hunter2@localhost",
            "postgres://anna:hunter2@db.example/x",
            "postgres:///x?user=anna&password=hunter2",
            "redis+unix:///run/redis.sock?pass=hunter2",
        ] {
            let error = StoreUrl::new(bad).expect_err(bad);
            assert!(error.contains("environment variable") && !error.contains("hunter2"), "{error}");
        }
        assert!(StoreUrl::new("redis://${HOST").expect_err("open").contains("not closed"));
    }

    #[test]
    fn the_environment_is_asked_when_the_url_is_needed() {
        let url = StoreUrl::new("redis://${AUTHBENCH_NO_SUCH_VARIABLE}/0").expect("a URL");
        assert!(url.resolve().expect_err("not set").contains("AUTHBENCH_NO_SUCH_VARIABLE is not set"));
        let url = StoreUrl::new("file://${CARGO_MANIFEST_DIR}/x").expect("a URL");
        assert!(url.resolve().expect("set").expose().ends_with("bench-server/x"));
        assert_eq!(url.to_string(), "file://${CARGO_MANIFEST_DIR}/x");
    }

    #[test]
    fn kinds_are_written_as_words_or_tables() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Written {
            store: StoreConfig,
        }
        let read = |text: &str| toml::from_str::<Written>(text).expect(text).store;
        assert_eq!(read("store = \"sqlite\""), StoreConfig::Sqlite);
        let remote = RemoteStore::new(StoreUrl::new("${REDIS_URL}").expect("a URL"));
        assert_eq!(read("store = { redis = { url = \"${REDIS_URL}\" } }"), StoreConfig::Redis(remote));
        assert!(toml::from_str::<Written>("store = { redis = { url = \"redis://:a@b\" } }").is_err());
    }

    #[test]
    fn a_store_is_followed_in_the_ways_it_has() {
        let url = || StoreUrl::new("x://y").expect("a URL");
        let (redis, postgres) =
            (StoreConfig::Redis(RemoteStore::new(url())), StoreConfig::Postgres(RemoteStore::new(url())));
        let poll = Follow::Poll(Duration::from_secs(1));
        for (follow, store) in [
            (poll, &StoreConfig::Sqlite),
            (poll, &redis),
            (Follow::Push(Push::Tracking), &redis),
            (Follow::Push(Push::Notify), &postgres),
        ] {
            assert_eq!(follow.check(store), Ok(()));
        }
        for (follow, store) in [
            (poll, &StoreConfig::Memory),
            (Follow::Poll(Duration::ZERO), &redis),
            (Follow::Push(Push::Pubsub), &StoreConfig::Sqlite),
            (Follow::Push(Push::Notify), &redis),
            (Follow::Push(Push::Pubsub), &postgres),
        ] {
            assert!(follow.check(store).is_err(), "{follow:?} {store:?}");
        }
    }
}
