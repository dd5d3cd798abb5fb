//! What stores hold: keys, users, and in the order of their acknowledgement the revocations.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::UnixTime;
use crate::credential::digest::Digest;
use crate::credential::network::Network;

/// What is known of one API key. The key itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    /// What a revocation names, like `key-…`; no secret.
    pub(crate) id: Arc<str>,
    /// The application that owns the key, like `app-…`: the principal of its requests.
    pub(crate) application: Arc<str>,
    /// SHA-256 of the key, or its HMAC-SHA-256 under a pepper.
    pub(crate) digest: Digest,
    /// The key's prefix and last four characters, for lists.
    pub(crate) hint: Box<str>,
    /// Scopes held, space-separated.
    pub(crate) scopes: Arc<str>,
    /// When it was issued.
    pub(crate) created: UnixTime,
    /// The first moment at which it is no longer accepted; absent means never.
    pub(crate) expires: Option<UnixTime>,
    /// Whether it was taken back.
    pub(crate) status: KeyStatus,
    /// Version of the pepper that the digest was made with; 0 for none.
    pub(crate) pepper: u32,
    /// What most keys do not have.
    pub(crate) details: Option<Box<KeyDetails>>,
}

impl KeyRecord {
    /// Whether it is accepted at `now`.
    pub(crate) fn is_live(&self, now: UnixTime) -> bool {
        self.status == KeyStatus::Active && self.expires.is_none_or(|expires| now < expires)
    }

    /// What its requests are limited by: a key and its successors share a quota, so that replacing a key does not renew it.
    pub(crate) fn lineage(&self) -> &Arc<str> {
        self.details.as_ref().and_then(|details| details.lineage.as_ref()).unwrap_or(&self.id)
    }
}

/// What few keys have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyDetails {
    /// Networks from which alone it may be used; empty means from everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) networks: Vec<Network>,
    /// The first of the keys that replaced each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lineage: Option<Arc<str>>,
    /// The key that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) predecessor: Option<Arc<str>>,
    /// The key that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) successor: Option<Arc<str>>,
}

impl KeyDetails {
    /// As stores hold it.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings are JSON")
    }

    /// `None` for what no version of this program wrote.
    pub(crate) fn from_json(json: &str) -> Option<Box<Self>> {
        serde_json::from_str(json).ok().map(Box::new)
    }
}

/// Whether a key was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyStatus {
    /// In force.
    Active,
    /// Taken back, for good.
    Revoked,
    /// Its owner is suspended, until that is over.
    Suspended,
}

impl KeyStatus {
    /// From the flags that stores hold.
    pub(crate) fn from_flags(revoked: bool, suspended: bool) -> Self {
        match (revoked, suspended) {
            (true, _) => Self::Revoked,
            (false, true) => Self::Suspended,
            (false, false) => Self::Active,
        }
    }
}

/// A key that takes the place of another, and when that one ends.
#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    /// The new key; its details name the old one.
    pub(crate) successor: KeyRecord,
    /// The first moment at which the old one is no longer accepted, if it does not end before.
    pub(crate) ends: UnixTime,
}

impl Replacement {
    /// The old key as it is from now on; `None` where it cannot be replaced: it is not live, or was replaced already.
    pub(crate) fn end(&self, old: &KeyRecord, now: UnixTime) -> Option<KeyRecord> {
        let details = old.details.as_deref().cloned().unwrap_or_default();
        if !old.is_live(now) || details.successor.is_some() {
            return None;
        }
        let expires = Some(old.expires.map_or(self.ends, |expires| expires.min(self.ends)));
        let details = Some(Box::new(KeyDetails { successor: Some(self.successor.id.clone()), ..details }));
        Some(KeyRecord { expires, details, ..old.clone() })
    }
}

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// Done; the digest is that of the old key.
    Done(Digest),
    /// There is no such key.
    Unknown,
    /// See [`Replacement::end`].
    NotLive,
}

/// What keys did since it was last written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageBatch {
    /// Who counted.
    pub(crate) writer: Arc<str>,
    /// Later ones of the same writer have higher numbers. A number that was written already is not written again.
    pub(crate) number: u64,
    /// One for each key.
    pub(crate) lines: Vec<UsageLine>,
}

/// What one key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsageLine {
    /// The key's identifier.
    pub(crate) key: Arc<str>,
    /// How many of its requests were answered with the resource.
    pub(crate) requests: u64,
    /// When the last of them came, in seconds since 1970.
    pub(crate) last_used: u64,
}

/// What is known of one user.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// The name, compared byte by byte: `Anna` and `anna` are two users.
    pub(crate) name: Arc<str>,
    /// What [`Hasher::hash`](crate::credential::password::Hasher::hash) returned. It names its own algorithm and costs,
    /// so each user may have others.
    pub(crate) password_hash: Arc<str>,
    /// Scopes held, space-separated.
    pub(crate) scopes: Arc<str>,
    /// The first moment at which the user is no longer accepted; absent means never.
    pub(crate) expires: Option<UnixTime>,
}

/// Without the hash, which is worth guessing at.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Revocation {
    /// One token, by its `jti`.
    Token(Box<str>),
    /// Every token of a subject with `iat` not after a time in seconds.
    Subject {
        /// `sub`.
        sub: Box<str>,
        /// Last `iat` that is refused.
        issued_until: u64,
    },
    /// An API key, by its digest: taken back, or to be read anew because it ends sooner or has another digest.
    Key(Digest),
    /// All keys of an owner, who is suspended.
    Owner(Box<str>),
    /// A user's password, by the user's name.
    Password(Box<str>),
}

/// A revocation as stores hold it: which kind, of what, and up to which `iat` (of subjects only).
pub(crate) type Columns = (&'static str, String, Option<u64>);

impl Revocation {
    pub(crate) fn columns(&self) -> Columns {
        match self {
            Self::Token(jti) => ("token", jti.to_string(), None),
            Self::Subject { sub, issued_until } => ("subject", sub.to_string(), Some(*issued_until)),
            Self::Key(digest) => ("key", digest.to_hex(), None),
            Self::Owner(owner) => ("owner", owner.to_string(), None),
            Self::Password(name) => ("password", name.to_string(), None),
        }
    }

    /// `None` for what no version of this program wrote.
    pub(crate) fn from_columns(kind: &str, name: &str, issued_until: Option<u64>) -> Option<Self> {
        match (kind, issued_until) {
            ("token", None) => Some(Self::Token(name.into())),
            ("subject", Some(issued_until)) => Some(Self::Subject { sub: name.into(), issued_until }),
            ("key", None) => Digest::from_hex(name).map(Self::Key),
            ("owner", None) => Some(Self::Owner(name.into())),
            ("password", None) => Some(Self::Password(name.into())),
            _ => None,
        }
    }
}

/// Where an entry stands in the order of revocations. Every later acknowledgement stands further on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(pub(crate) u128);

/// One entry of the order of revocations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) position: Position,
    pub(crate) revocation: Revocation,
    /// Seconds since 1970 from which on the entry is of no use: by then the credential has ended by itself, or every copy
    /// of it has.
    pub(crate) until: u64,
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// A record whose digest is filled with `number`.
    pub(crate) fn key(number: u8) -> KeyRecord {
        KeyRecord {
            id: format!("key-{number}").into(),
            application: format!("app-{number}").into(),
            digest: Digest([number; 32]),
            hint: "ab_live_…0000".into(),
            scopes: "read write".into(),
            created: UnixTime(Duration::new(1_800_000_000, 123_456_789)),
            expires: number.is_multiple_of(2).then_some(UnixTime(Duration::new(1_900_000_000, 1))),
            status: KeyStatus::Active,
            pepper: u32::from(number % 3),
            details: None,
        }
    }

    /// A user of that name.
    pub(crate) fn user(name: &str) -> User {
        User {
            name: name.into(),
            password_hash: "old".into(),
            scopes: "read".into(),
            expires: Some(UnixTime(Duration::new(1_900_000_000, 7))),
        }
    }

    #[test]
    fn revocations_come_back_from_their_columns() {
        for revocation in [
            Revocation::Token("0af3".into()),
            Revocation::Subject { sub: "app-1".into(), issued_until: 1_800_000_000 },
            Revocation::Key(Digest([0xa7; 32])),
            Revocation::Owner("app-1".into()),
            Revocation::Password("Änna".into()),
        ] {
            let (kind, name, issued_until) = revocation.columns();
            assert_eq!(Revocation::from_columns(kind, &name, issued_until), Some(revocation));
        }
        for (kind, name, issued_until) in
            [("token", "a", Some(1)), ("subject", "a", None), ("key", "a7", None), ("else", "a", None)]
        {
            assert_eq!(Revocation::from_columns(kind, name, issued_until), None, "{kind}");
        }
    }

    #[test]
    fn debug_does_not_show_the_hash() {
        assert!(!format!("{:?}", user("anna")).contains("old"));
    }
}
