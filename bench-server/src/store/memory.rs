//! Records in the process; gone with it. Revocations are not kept in order: nobody else could ask for them.

use std::borrow::Borrow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use self::keys::Ledger;
use super::record::{KeyRecord, KeyStatus, User};
use crate::credential::digest::{Digest, DigestState};

mod keys;

/// Read for every request and written when credentials are issued or revoked, hence the read-write locks: readers do not
/// wait for each other, and an uncontended read lock costs less than the digest that was computed before.
///
/// Records are replaced, never changed: requests in progress, and caches, keep the one that they have read.
#[derive(Default)]
pub(crate) struct Memory {
    keys: RwLock<Keys>,
    users: RwLock<HashMap<Arc<str>, Arc<User>>>,
    ledger: Mutex<Ledger>,
}

/// Both tables of keys point to the same records and hold no copy of what they are searched by: a key takes about 320
/// bytes in all, and one that was issued another 50.
#[derive(Default)]
struct Keys {
    by_digest: HashSet<ByDigest, DigestState>,
    by_id: HashSet<ById>,
    /// Owners with the names of their keys: of those that were issued.
    owned: BTreeSet<(Arc<str>, Arc<str>)>,
    suspended: HashSet<Arc<str>>,
}

// A poisoned lock is taken all the same: each method leaves the tables consistent at every step.
impl Memory {
    pub(crate) fn key(&self, digest: &Digest) -> Option<Arc<KeyRecord>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_digest.get(digest).map(|found| keys.as_it_is(&found.0))
    }

    pub(crate) fn insert_keys(&self, records: impl ExactSizeIterator<Item = KeyRecord>) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        records.for_each(|record| keys.issue(record));
    }

    /// Adds keys that are nobody's.
    pub(crate) fn fill_keys(&self, records: impl ExactSizeIterator<Item = KeyRecord>) {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        // Growing step by step would look at every record again each time.
        keys.by_digest.reserve(records.len());
        keys.by_id.reserve(records.len());
        for record in records {
            keys.put(Arc::new(record));
        }
    }

    pub(crate) fn count_keys(&self) -> usize {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).by_digest.len()
    }

    /// The digest of the key, if there is one of that name.
    pub(crate) fn revoke_key(&self, id: &str) -> Option<Digest> {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let record = keys.by_id.get(id).map(|found| found.0.clone())?;
        keys.put(Arc::new(KeyRecord { status: KeyStatus::Revoked, ..KeyRecord::clone(&record) }));
        Some(record.digest)
    }

    pub(crate) fn user(&self, name: &str) -> Option<Arc<User>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) fn insert_user(&self, user: User) -> bool {
        match self.users.write().unwrap_or_else(PoisonError::into_inner).entry(user.name.clone()) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Arc::new(user));
                true
            }
        }
    }

    pub(crate) fn set_password(&self, name: &str, password_hash: Arc<str>) -> bool {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let Some(user) = users.get_mut(name) else { return false };
        *user = Arc::new(User { password_hash, ..User::clone(user) });
        true
    }

    pub(crate) fn replace_hash(&self, name: &str, old: &str, new: Arc<str>) -> bool {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let Some(user) = users.get_mut(name).filter(|user| *user.password_hash == *old) else { return false };
        *user = Arc::new(User { password_hash: new, ..User::clone(user) });
        true
    }
}

impl Keys {
    fn put(&mut self, record: Arc<KeyRecord>) {
        self.by_id.replace(ById(record.clone()));
        self.by_digest.replace(ByDigest(record));
    }
}

/// A record that is found by its digest.
struct ByDigest(Arc<KeyRecord>);

impl Borrow<Digest> for ByDigest {
    fn borrow(&self) -> &Digest {
        &self.0.digest
    }
}

impl Hash for ByDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.digest.hash(state);
    }
}

impl PartialEq for ByDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.digest == other.0.digest
    }
}

impl Eq for ByDigest {}

/// A record that is found by its identifier.
struct ById(Arc<KeyRecord>);

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

#[cfg(test)]
mod tests {
    use super::super::record::tests::user;
    use super::*;

    #[test]
    fn who_has_read_a_user_keeps_what_they_have_read() {
        let memory = Memory::default();
        assert!(memory.insert_user(user("anna")));
        let before = memory.user("anna").expect("anna");
        assert!(memory.set_password("anna", "new".into()));
        assert_eq!(&*before.password_hash, "old");
        assert_eq!(&*memory.user("anna").expect("anna").password_hash, "new");
    }
}
