//! Key records in the process; gone with it.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use super::{KeyRecord, KeyStatus};
use crate::credential::digest::{Digest, DigestState};

/// Records by digest and by identifier. Read for every request and written when keys are issued or revoked, hence the
/// read-write lock: readers do not wait for each other, and an uncontended read lock costs less than the digest that was
/// computed before.
#[derive(Default)]
pub(crate) struct MemoryKeys(RwLock<Tables>);

/// Both tables point to the same records and hold no copy of what they are searched by: a key takes about 310
/// bytes in all.
#[derive(Default)]
struct Tables {
    by_digest: HashSet<ByDigest, DigestState>,
    by_id: HashSet<ById>,
}

// A poisoned lock is taken all the same: each method leaves the tables consistent at every step.
impl MemoryKeys {
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<KeyRecord>> {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tables.by_digest.get(digest).map(|found| found.0.clone())
    }

    pub(crate) fn insert(&self, records: impl ExactSizeIterator<Item = KeyRecord>) {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Growing step by step would look at every record again each time.
        tables.by_digest.reserve(records.len());
        tables.by_id.reserve(records.len());
        for record in records {
            tables.put(Arc::new(record));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_digest.len()
    }

    pub(crate) fn revoke(&self, id: &str) -> bool {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(record) = tables.by_id.get(id).map(|found| found.0.clone()) else { return false };
        // A new record: requests in progress, and caches, keep the one that they have read.
        tables.put(Arc::new(KeyRecord { status: KeyStatus::Revoked, ..KeyRecord::clone(&record) }));
        true
    }
}

impl Tables {
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
