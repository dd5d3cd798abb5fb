//! A grant: what an authorization code, its refresh family and all their access tokens have in common.
//!
//! Tokens point to their grant instead of the grant listing its tokens, so that one store to a flag kills them all at
//! once, including those that are being issued at that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::client::Client;
use super::scope::Scopes;
use super::user::User;

/// Who granted what to whom.
pub(super) struct Grant {
    pub(super) client: Arc<Client>,
    pub(super) scopes: Scopes,
    /// The user and the epoch of the login that granted; `None` when the client acts for itself.
    owner: Option<(Arc<User>, u64)>,
    /// The API key that the client showed, by its identifier.
    key: Option<Arc<str>>,
    revoked: AtomicBool,
}

impl Grant {
    /// A user's grant. `epoch` is that of the session, so that a password change in between is not missed.
    pub(super) fn of_user(client: Arc<Client>, scopes: Scopes, user: Arc<User>, epoch: u64) -> Arc<Self> {
        let owner = Some((user.clone(), epoch));
        let grant = Arc::new(Self { client, scopes, owner, key: None, revoked: AtomicBool::new(false) });
        user.add_grant(&grant);
        grant
    }

    /// What a client may do in its own name.
    pub(super) fn of_client(client: Arc<Client>, scopes: Scopes) -> Arc<Self> {
        Arc::new(Self { client, scopes, owner: None, key: None, revoked: AtomicBool::new(false) })
    }

    /// What an application may do by its API key. Whether that is still good only its store can tell.
    pub(super) fn of_key(client: Arc<Client>, scopes: Scopes, key: Arc<str>) -> Arc<Self> {
        Arc::new(Self { client, scopes, owner: None, key: Some(key), revoked: AtomicBool::new(false) })
    }

    /// The API key that it depends on.
    pub(super) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Whether tokens of this grant may be accepted.
    pub(super) fn is_live(&self) -> bool {
        !self.revoked.load(Ordering::Acquire)
            && !self.client.is_disabled()
            && self.owner.as_ref().is_none_or(|(user, epoch)| user.epoch() == *epoch)
    }

    /// Kills all tokens of this grant.
    pub(super) fn revoke(&self) {
        self.revoked.store(true, Ordering::Release);
    }

    /// The `sub` of its tokens. No user name contains a colon, so no user can be taken for a client (RFC 9700 §4.15).
    pub(super) fn subject(&self) -> String {
        match &self.owner {
            Some((user, _)) => user.name.clone(),
            None => format!("client:{}", self.client.id),
        }
    }
}
