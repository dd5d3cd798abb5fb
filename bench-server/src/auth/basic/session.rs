//! Sessions: a password is hashed once and exchanged for a token, which costs a MAC and a lookup (OWASP Session Management
//! Cheat Sheet). A token is opaque to who bears it: random it is not, but nobody without the key can make one.
//!
//! It carries the user's name, its end, and a MAC of both and of the stored password hash. So nothing is kept for it, all
//! replicas know it, and it dies with the password. A session opens no other: each begins with the password.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{Basic, Presented, credentials, principal, unavailable};
use crate::auth::{BuildError, Cause, Principal, Rejection, Request, header};
use crate::clock::UnixTime;
use crate::config::SessionConfig;
use crate::contract::Secret;
use crate::credential::digest::Digest;
use crate::store::file::{self, Readers};

/// How tokens begin, so that a leaked one is recognised.
const PREFIX: &str = "bs_";

/// The end in seconds since 1970, and the MAC.
const FIXED: usize = 8 + 32;

/// Longest token looked at: with the longest name that there is room for beside a password.
const MAX_TOKEN: usize = PREFIX.len() + (FIXED + credentials::MAX_DECODED).div_ceil(3) * 4;

/// Shortest and longest life.
const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Makes and checks tokens.
pub(super) struct Sessions {
    /// Keyed once.
    mac: Hmac<Sha256>,
    lifetime: Duration,
}

/// A session that was opened.
pub(crate) struct Session {
    pub(crate) token: Secret,
    pub(crate) expires_in: Duration,
    pub(crate) scopes: Arc<str>,
}

/// What a token says.
struct Claims {
    name: String,
    end: u64,
    mac: Digest,
}

impl Claims {
    fn parse(token: &str) -> Option<Self> {
        let encoded = token.strip_prefix(PREFIX).filter(|_| token.len() <= MAX_TOKEN)?;
        let decoded = URL_SAFE_NO_PAD.decode(encoded).ok()?;
        let (end, rest) = decoded.split_first_chunk()?;
        let (mac, name) = rest.split_first_chunk()?;
        let name = String::from_utf8(name.to_vec()).ok()?;
        Some(Self { name, end: u64::from_be_bytes(*end), mac: Digest(*mac) })
    }
}

impl Sessions {
    /// With the key in the profile's folder, which is made when it is not there.
    pub(super) fn open(config: SessionConfig, dir: &Path) -> Result<Self, BuildError> {
        if !LIFETIMES.contains(&config.lifetime) {
            let (least, most) = (LIFETIMES.start(), LIFETIMES.end());
            return Err(BuildError::Config(format!(
                "session.lifetime is {:?}; {least:?} to {most:?} is possible",
                config.lifetime
            )));
        }
        let path = dir.join("session-key");
        let failed = |source: std::io::Error| BuildError::State {
            what: format!("the key of sessions, {}", path.display()),
            source: source.into(),
        };
        let key = match file::read_private(&path).map_err(failed)? {
            Some(key) if key.len() == 32 => Zeroizing::new(key),
            Some(_) => return Err(failed(std::io::Error::other("it is not 32 bytes long; delete it"))),
            None => {
                let mut key = Zeroizing::new(vec![0; 32]);
                SysRng.try_fill_bytes(&mut key).map_err(|error| failed(std::io::Error::other(error)))?;
                file::replace(&path, &key, Readers::Owner).map_err(failed)?;
                key
            }
        };
        let mac = Hmac::new_from_slice(&key).expect("HMAC takes keys of any length (RFC 2104 §2)");
        Ok(Self { mac, lifetime: config.lifetime })
    }

    /// A token for a user with this password hash.
    pub(super) fn start(&self, name: &str, password_hash: &str, now: UnixTime) -> Secret {
        let end = now.as_secs() + self.lifetime.as_secs();
        let mac = self.mac(name, end, password_hash);
        let content = [&end.to_be_bytes()[..], &mac.0, name.as_bytes()].concat();
        Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(content)))
    }

    /// The length of the name stands before it, so that no two triples give the same text.
    fn mac(&self, name: &str, end: u64, password_hash: &str) -> Digest {
        let mac = self.mac.clone().chain_update(end.to_be_bytes()).chain_update((name.len() as u64).to_be_bytes());
        Digest(mac.chain_update(name).chain_update(password_hash).finalize().into_bytes().into())
    }
}

impl Basic {
    /// Who bears this token.
    pub(super) async fn in_session(
        &self,
        sessions: &Sessions,
        token: &str,
        request: &Request<'_>,
    ) -> Result<Principal, Rejection> {
        header::refuse_credential_in_url(request.head)?;
        let claims = Claims::parse(token).ok_or(Rejection::Invalid(Cause::Malformed))?;
        let user = self.look_up(&claims.name).await?;
        let stored = user.as_ref().map_or(&*self.dummy, |user| &*user.password_hash);
        self.meter.verify_calls.add();
        let genuine = sessions.mac(&claims.name, claims.end, stored).constant_time_eq(&claims.mac);
        // Forged, or of a password that was changed: the two look the same.
        let user = user.filter(|_| genuine).ok_or(Rejection::Invalid(Cause::Unknown))?;
        if request.now.as_secs() >= claims.end {
            return Err(Rejection::Invalid(Cause::Expired));
        }
        principal(&user, request.now)
    }

    /// Whether passwords are exchanged here.
    pub(crate) fn has_sessions(&self) -> bool {
        self.sessions.is_some()
    }

    /// Opens a session for who presents a password.
    ///
    /// Everything is judged by one reading of the user's record, which the token is bound to: a password that is changed
    /// meanwhile takes the token along.
    pub(crate) async fn open_session(&self, request: &Request<'_>) -> Result<Session, Rejection> {
        let sessions = self.sessions.as_ref().ok_or(Rejection::Missing)?;
        let presented = {
            let (credentials, attempt) = self.presented(request)?;
            let password = Zeroizing::new(credentials.password().to_owned());
            Presented { name: credentials.name().into(), password, attempt }
        };
        let user = self.look_up(&presented.name).await?;
        let right = self.verify(user, presented).await?;
        let mut hash = right.user.password_hash.clone();
        if self.is_outdated(&hash) {
            // Before the token, which would not survive it.
            let renewed = self.renewal().run(&right.user, right.password).await.map_err(|error| unavailable(&error))?;
            hash = renewed.ok_or(Rejection::Invalid(Cause::WrongSecret))?;
        }
        let holder = principal(&right.user, request.now)?;
        let token = sessions.start(&holder.id, &hash, request.now);
        Ok(Session { token, expires_in: sessions.lifetime, scopes: holder.scopes })
    }
}
