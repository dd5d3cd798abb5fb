//! What stores hold: keys, users, and in the order of their acknowledgement the revocations.

use std::fmt;
use std::sync::Arc;

use crate::clock::UnixTime;
use crate::credential::digest::Digest;

/// What is known of one API key. The key itself is nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    /// What a revocation names, like `key-…`; no secret.
    pub(crate) id: Arc<str>,
    /// The application that owns the key, like `app-…`: the principal of its requests.
    pub(crate) application: Arc<str>,
    /// SHA-256 of the key.
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
}

/// Whether a key was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyStatus {
    /// In force.
    Active,
    /// Taken back, for good.
    Revoked,
}

impl KeyStatus {
    /// From the flag that stores hold.
    pub(crate) fn from_revoked(revoked: bool) -> Self {
        if revoked { Self::Revoked } else { Self::Active }
    }
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
    /// An API key, by its digest.
    Key(Digest),
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
            Self::Password(name) => ("password", name.to_string(), None),
        }
    }

    /// `None` for what no version of this program wrote.
    pub(crate) fn from_columns(kind: &str, name: &str, issued_until: Option<u64>) -> Option<Self> {
        match (kind, issued_until) {
            ("token", None) => Some(Self::Token(name.into())),
            ("subject", Some(issued_until)) => Some(Self::Subject { sub: name.into(), issued_until }),
            ("key", None) => Digest::from_hex(name).map(Self::Key),
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
