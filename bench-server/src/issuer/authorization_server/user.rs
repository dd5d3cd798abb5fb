//! Users of the login page, and their passwords.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};

use super::grant::Grant;
use super::opaque;
use crate::contract::{PasswordHash, UserRegistration, UserSummary};
use crate::credential::password::Hasher;
use crate::error::{AdminError, BuildError};
use crate::telemetry::Meter;

/// Longest user name and password, in bytes: what is hashed has a bound.
const MAX_NAME: usize = 128;
const MAX_PASSWORD: usize = 1024;

/// Hashes a new password: Argon2id at OWASP's costs. Takes tens of milliseconds.
///
/// # Errors
/// [`AdminError::Store`] when the operating system gives no random bytes.
fn hash_password(meter: &Arc<Meter>, password: &str) -> Result<String, AdminError> {
    Hasher::new(meter.clone())
        .hash(password, PasswordHash::ARGON2ID)
        .map_err(|error| AdminError::Store(error.to_string()))
}

/// Checks a password against what is stored. Takes tens of milliseconds: not for the thread that serves connections.
pub(super) fn verify_password(meter: Arc<Meter>, stored: &str, password: &str) -> bool {
    // No stored string of this module is unreadable; were one, nobody would be let in by it.
    Hasher::new(meter).verify(password, stored).unwrap_or(false)
}

/// A user.
pub(super) struct User {
    pub(super) name: String,
    password: RwLock<Arc<str>>,
    /// Moves when the password changes or the user is disabled; sessions and grants of an earlier epoch are dead.
    epoch: AtomicU64,
    grants: Mutex<Vec<Weak<Grant>>>,
}

impl User {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn password(&self) -> Arc<str> {
        self.password.read().expect("no holder panics").clone()
    }

    /// Remembers a grant for as long as a code or token of it exists.
    pub(super) fn add_grant(&self, grant: &Arc<Grant>) {
        let mut grants = self.grants.lock().expect("no holder panics");
        grants.retain(|known| known.strong_count() > 0);
        grants.push(Arc::downgrade(grant));
    }

    /// The user's living grants.
    pub(super) fn grants(&self) -> Vec<Arc<Grant>> {
        let grants = self.grants.lock().expect("no holder panics");
        grants.iter().filter_map(Weak::upgrade).filter(|grant| grant.is_live()).collect()
    }

    /// Withdraws what the user granted to a client; returns how many grants that were.
    pub(super) fn withdraw(&self, client_id: &str) -> usize {
        let withdrawn: Vec<_> = self.grants().into_iter().filter(|grant| grant.client.id == client_id).collect();
        withdrawn.iter().for_each(|grant| grant.revoke());
        withdrawn.len()
    }
}

/// All users.
pub(super) struct Users {
    by_name: RwLock<HashMap<String, Arc<User>>>,
    /// What the password of a name that does not exist is checked against, so that both take the same time.
    dummy: Arc<str>,
    meter: Arc<Meter>,
}

impl Users {
    /// No users yet.
    ///
    /// # Errors
    /// [`BuildError::State`] when the operating system gives no random bytes.
    pub(super) fn new(meter: Arc<Meter>) -> Result<Self, BuildError> {
        let dummy = hash_password(&meter, &opaque::secret())
            .map_err(|error| BuildError::State { what: "hash the dummy password".to_owned(), source: error.into() })?;
        Ok(Self { by_name: RwLock::default(), dummy: dummy.into(), meter })
    }

    /// Adds a user.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a name that is taken or not acceptable, or an unacceptable password.
    pub(super) fn register(&self, registration: &UserRegistration) -> Result<(), AdminError> {
        let name = registration.username.clone();
        // No colon: Basic cannot carry it (RFC 7617 §2), and it keeps users out of the clients' namespace of subjects.
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(|c| c == ':' || c.is_control()) {
            let bounds = format!("1 to {MAX_NAME} bytes without colon and control characters");
            return Err(AdminError::BadRequest(format!("user name {name:?}: use {bounds}")));
        }
        check_password(registration)?;
        let password = RwLock::new(hash_password(&self.meter, registration.password.expose())?.into());
        let user = User { name: name.clone(), password, epoch: AtomicU64::new(0), grants: Mutex::default() };
        let mut by_name = self.by_name.write().expect("no holder panics");
        if by_name.contains_key(&name) {
            return Err(AdminError::BadRequest(format!("user {name:?} exists already")));
        }
        by_name.insert(name, Arc::new(user));
        Ok(())
    }

    /// Changes a password; sessions and tokens from before are dead.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] and [`AdminError::BadRequest`].
    pub(super) fn set_password(&self, registration: &UserRegistration) -> Result<(), AdminError> {
        check_password(registration)?;
        let user = self.find(&registration.username);
        let user = user.ok_or_else(|| AdminError::NotFound(format!("user {:?}", registration.username)))?;
        let stored = hash_password(&self.meter, registration.password.expose())?;
        *user.password.write().expect("no holder panics") = stored.into();
        user.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Takes a user out; sessions and tokens are dead.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub(super) fn disable(&self, name: &str) -> Result<(), AdminError> {
        let user = self.by_name.write().expect("no holder panics").remove(name);
        let user = user.ok_or_else(|| AdminError::NotFound(format!("user {name:?}")))?;
        user.epoch.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    /// Those that are not disabled, by name.
    pub(super) fn list(&self) -> Vec<UserSummary> {
        let by_name = self.by_name.read().expect("no holder panics");
        let summary = |user: &Arc<User>| UserSummary { username: user.name.clone(), grants: user.grants().len() };
        let mut users: Vec<_> = by_name.values().map(summary).collect();
        users.sort_by(|one, other| one.username.cmp(&other.username));
        users
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<User>> {
        self.by_name.read().expect("no holder panics").get(name).cloned()
    }

    /// The user with this name and the present epoch, and what to check the password against: never nothing.
    pub(super) fn to_check(&self, name: &str) -> (Option<(Arc<User>, u64)>, Arc<str>) {
        let Some(user) = self.find(name) else { return (None, self.dummy.clone()) };
        // The epoch first: a password that changes in between then ends the session that the old one opens.
        let epoch = user.epoch();
        let stored = user.password();
        (Some((user, epoch)), stored)
    }
}

fn check_password(registration: &UserRegistration) -> Result<(), AdminError> {
    let length = registration.password.expose().len();
    if length == 0 || length > MAX_PASSWORD {
        let name = &registration.username;
        return Err(AdminError::BadRequest(format!("password of user {name:?}: use 1 to {MAX_PASSWORD} bytes")));
    }
    Ok(())
}

/// Whether a password from the login page is worth a hash.
pub(super) fn acceptable(password: &str) -> bool {
    password.len() <= MAX_PASSWORD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Secret;

    fn user(name: &str, password: &str) -> UserRegistration {
        UserRegistration { username: name.to_owned(), password: Secret::new(password) }
    }

    #[test]
    fn names_and_passwords_have_bounds() {
        let users = Users::new(Arc::default()).expect("random bytes");
        for (name, password) in [("", "x"), ("client:a", "x"), ("a\nb", "x"), ("a", ""), ("a", &"x".repeat(1025))] {
            assert!(users.register(&user(name, password)).is_err(), "{name:?}");
        }
        users.register(&user("alice", "x")).expect("registers");
        assert!(users.register(&user("alice", "y")).is_err(), "taken");
    }

    #[test]
    fn password_is_checked_and_changed() {
        let users = Users::new(Arc::default()).expect("random bytes");
        users.register(&user("alice", "first")).expect("registers");
        let alice = users.find("alice").expect("there");
        assert!(verify_password(Arc::default(), &alice.password(), "first"));
        assert!(!verify_password(Arc::default(), &alice.password(), "second"));
        let before = alice.epoch();
        users.set_password(&user("alice", "second")).expect("changes");
        assert!(verify_password(Arc::default(), &alice.password(), "second"));
        assert_ne!(alice.epoch(), before);
        assert!(users.to_check("nobody").0.is_none());
    }
}
