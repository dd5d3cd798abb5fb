//! Keys in memory, beside looking them up.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};

use super::{KeyRecord, Keys, Memory};
use crate::clock::UnixTime;
use crate::credential::digest::Digest;
use crate::store::record::{KeyStatus, Replaced, Replacement, UsageBatch, UsageLine};

/// What was counted.
#[derive(Default)]
pub(super) struct Ledger {
    /// The last number of each writer.
    written: HashMap<Arc<str>, u64>,
    /// Requests and time of last use.
    lines: BTreeMap<Arc<str>, (u64, u64)>,
}

impl Memory {
    pub(crate) fn key_named(&self, id: &str) -> Option<Arc<KeyRecord>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.by_id.get(id).map(|found| keys.as_it_is(&found.0))
    }

    pub(crate) fn keys_of(&self, owner: &str) -> Vec<Arc<KeyRecord>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let records = keys.names_of(owner).filter_map(|id| keys.by_id.get(&**id));
        records.map(|found| keys.as_it_is(&found.0)).collect()
    }

    pub(crate) fn add_key(&self, record: KeyRecord) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let allowed = !keys.suspended.contains(&record.application);
        if allowed {
            keys.issue(record);
        }
        allowed
    }

    pub(crate) fn replace_key(&self, id: &str, replacement: &Replacement, now: UnixTime) -> Replaced {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = keys.by_id.get(id).map(|found| keys.as_it_is(&found.0)) else { return Replaced::Unknown };
        let Some(old) = replacement.end(&found, now) else { return Replaced::NotLive };
        let digest = old.digest;
        keys.put(Arc::new(old));
        keys.issue(replacement.successor.clone());
        Replaced::Done(digest)
    }

    pub(crate) fn redigest(&self, from: &Digest, to: Digest, pepper: u32) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let Some(found) = keys.by_digest.take(from) else { return false };
        keys.put(Arc::new(KeyRecord { digest: to, pepper, ..KeyRecord::clone(&found.0) }));
        true
    }

    pub(crate) fn suspend(&self, owner: &str, suspended: bool) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let known = keys.names_of(owner).next().is_some();
        if known && suspended {
            keys.suspended.insert(owner.into());
        } else if known {
            keys.suspended.remove(owner);
        }
        known
    }

    pub(crate) fn add_usage(&self, batch: &UsageBatch) {
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        let last = ledger.written.entry(batch.writer.clone()).or_default();
        if *last >= batch.number {
            return;
        }
        *last = batch.number;
        for UsageLine { key, requests, last_used } in &batch.lines {
            let (all, last) = ledger.lines.entry(key.clone()).or_default();
            *all += requests;
            *last = (*last).max(*last_used);
        }
    }

    pub(crate) fn usage_of(&self, keys: &[Arc<str>]) -> Vec<UsageLine> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        keys.iter().filter_map(|key| ledger.lines.get(key).map(|counted| line(key, *counted))).collect()
    }

    pub(crate) fn usage(&self) -> Vec<UsageLine> {
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.lines.iter().map(|(key, counted)| line(key, *counted)).collect()
    }
}

impl Keys {
    /// Adds a key that is its owner's.
    pub(super) fn issue(&mut self, record: KeyRecord) {
        self.owned.insert((record.application.clone(), record.id.clone()));
        self.put(Arc::new(record));
    }

    fn names_of(&self, owner: &str) -> impl Iterator<Item = &Arc<str>> {
        let (owner, first) = (Arc::from(owner), Arc::from(""));
        let from_here = self.owned.range((Arc::clone(&owner), first)..);
        from_here.take_while(move |(of, _)| *of == owner).map(|(_, id)| id)
    }

    /// A record with what holds for its owner.
    pub(super) fn as_it_is(&self, record: &Arc<KeyRecord>) -> Arc<KeyRecord> {
        let suspended = !self.suspended.is_empty() && self.suspended.contains(&record.application);
        if suspended && record.status == KeyStatus::Active {
            return Arc::new(KeyRecord { status: KeyStatus::Suspended, ..KeyRecord::clone(record) });
        }
        record.clone()
    }
}

fn line(key: &Arc<str>, (requests, last_used): (u64, u64)) -> UsageLine {
    UsageLine { key: key.clone(), requests, last_used }
}
