//! What is done to the records of keys, by requests of administrators as by work that is left for later: the store is changed,
//! this node's cache hears of it at once, and it is noted who did it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::KeyCache;
use crate::clock::Clock;
use crate::contract::{KeyAction, KeyEvent};
use crate::credential::digest::Digest;
use crate::store::follow::LocalCopy as _;
use crate::store::record::Revocation;
use crate::store::{Store, StoreError};
use crate::telemetry::Meter;

/// Events that are kept to be looked at; all of them go to the log.
const EVENTS: usize = 1_000;

/// The records of one profile.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) store: Arc<Store>,
    /// What this node keeps of them.
    pub(super) copy: Option<Arc<KeyCache>>,
    pub(super) clock: Clock,
    pub(super) meter: Arc<Meter>,
    pub(super) events: Arc<Mutex<VecDeque<KeyEvent>>>,
}

impl Records {
    /// Takes a key back, for that reason. Returns once the store has it; `false` when there is no such key.
    pub(super) async fn revoke(&self, id: &str, action: KeyAction, actor: &str) -> Result<bool, StoreError> {
        let Some(digest) = self.store.revoke_key(id, self.clock.now()).await? else { return Ok(false) };
        self.meter.store_writes.add();
        self.forget(&Revocation::Key(digest));
        let owner = self.store.key(&digest).await?.map(|record| record.application.clone());
        self.note(action, actor, owner.as_deref().unwrap_or_default(), Some(id));
        Ok(true)
    }

    /// Puts a key under the digest of the current pepper.
    pub(super) async fn redigest(&self, from: Digest, to: Digest, pepper: u32) -> Result<(), StoreError> {
        if self.store.redigest(from, to, pepper, self.clock.now()).await? {
            self.meter.store_writes.add();
            self.forget(&Revocation::Key(from));
        }
        Ok(())
    }

    /// Tells this node's cache, whatever it follows.
    pub(super) fn forget(&self, revocation: &Revocation) {
        if let Some(copy) = &self.copy {
            copy.revoke(revocation, None);
        }
    }

    /// Notes what was done.
    pub(super) fn note(&self, event: KeyAction, actor: &str, owner: &str, key: Option<&str>) {
        tracing::info!(target: "audit", ?event, actor, owner, key, "API keys");
        let (key, at) = (key.map(str::to_owned), self.clock.now().as_secs());
        let event = KeyEvent { event, actor: actor.to_owned(), owner: owner.to_owned(), key, at };
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() == EVENTS {
            events.pop_front();
        }
        events.push_back(event);
    }

    /// What was done lately, the oldest first.
    pub(super) fn events(&self) -> Vec<KeyEvent> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
