//! Key records in the process; gone with it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{KeyRecord, KeyStatus};
use crate::credential::digest::{Digest, DigestState};

/// A map keyed by digest. Read for every request and written when keys are issued or revoked, hence the read-write lock:
/// readers do not wait for each other, and an uncontended read lock costs less than the digest that was computed before.
#[derive(Default)]
pub(crate) struct MemoryKeys(RwLock<Tables>);

#[derive(Default)]
struct Tables {
    by_digest: HashMap<Digest, Arc<KeyRecord>, DigestState>,
    by_id: HashMap<Arc<str>, Digest>,
}

// A poisoned lock is taken all the same: each method leaves the tables consistent at every step.
impl MemoryKeys {
    pub(crate) fn get(&self, digest: &Digest) -> Option<Arc<KeyRecord>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_digest.get(digest).cloned()
    }

    pub(crate) fn insert(&self, records: Vec<KeyRecord>) {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for record in records {
            tables.by_id.insert(record.id.clone(), record.digest);
            tables.by_digest.insert(record.digest, Arc::new(record));
        }
    }

    pub(crate) fn revoke(&self, id: &str) -> bool {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Some(digest) = tables.by_id.get(id).copied() else { return false };
        let Some(record) = tables.by_digest.get_mut(&digest) else { return false };
        // A new record: requests in progress, and caches, keep the one that they have read.
        *record = Arc::new(KeyRecord { status: KeyStatus::Revoked, ..KeyRecord::clone(record) });
        true
    }
}
