//! Users and their password hashes, in the process; gone with it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use crate::clock::UnixTime;

/// What is known of one user.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// The name, compared byte by byte: `Anna` and `anna` are two users.
    pub name: Arc<str>,
    /// What [`Hasher::hash`](crate::credential::password::Hasher::hash) returned. It names its own algorithm and costs,
    /// so each user may have others.
    pub password_hash: Arc<str>,
    /// Scopes held, space-separated.
    pub scopes: Arc<str>,
    /// The first moment at which the user is no longer accepted; absent means never.
    pub expires: Option<UnixTime>,
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

/// Users by name. Records are replaced, never changed: who has read one keeps what they have read.
#[derive(Default)]
pub struct Users(RwLock<HashMap<Arc<str>, Arc<User>>>);

// A poisoned lock is taken all the same: each method changes the map in one step.
impl Users {
    /// The user of that name.
    pub fn get(&self, name: &str) -> Option<Arc<User>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Adds a user; `false`, and nothing changes, when the name is taken.
    pub fn insert(&self, user: User) -> bool {
        match self.0.write().unwrap_or_else(PoisonError::into_inner).entry(user.name.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Arc::new(user));
                true
            }
        }
    }

    /// Changes a password: every later [`Users::get`] sees the new hash. `false` when there is no such user.
    pub fn set_password(&self, name: &str, password_hash: Arc<str>) -> bool {
        let mut users = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(user) = users.get_mut(name) else { return false };
        *user = Arc::new(User { password_hash, ..User::clone(user) });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> User {
        User { name: name.into(), password_hash: "old".into(), scopes: "read".into(), expires: None }
    }

    #[test]
    fn a_name_is_given_once_and_its_case_counts() {
        let users = Users::default();
        assert!(users.insert(user("anna")));
        assert!(!users.insert(User { password_hash: "other".into(), ..user("anna") }));
        assert_eq!(users.get("anna").as_deref(), Some(&user("anna")));
        assert_eq!(users.get("Anna"), None);
        assert_eq!(users.get("anna "), None);
    }

    #[test]
    fn a_changed_password_is_seen_at_once_and_not_by_earlier_readers() {
        let users = Users::default();
        users.insert(user("anna"));
        users.insert(user("ben"));
        let before = users.get("anna").expect("anna");
        assert!(users.set_password("anna", "new".into()));
        assert!(!users.set_password("carl", "new".into()));
        assert_eq!(&*users.get("anna").expect("anna").password_hash, "new");
        assert_eq!(&*users.get("ben").expect("ben").password_hash, "old");
        assert_eq!(&*before.password_hash, "old");
    }

    #[test]
    fn debug_does_not_show_the_hash() {
        assert!(!format!("{:?}", user("anna")).contains("old"));
    }
}
