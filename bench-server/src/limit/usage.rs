//! What is billed: how many requests each key made, and when it was last used.
//!
//! A request adds to a number in memory that its own thread keeps; nothing is written for it. A task takes the numbers to the
//! store every now and then. What was not taken there yet is lost where the process is killed: the requests of one such interval
//! at most. A write whose outcome is not known is repeated under the same number, under which the store counts it once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SysRng;
use tokio::time::{MissedTickBehavior, interval};

use crate::clock::UnixTime;
use crate::credential::base62;
use crate::store::record::{UsageBatch, UsageLine};
use crate::store::{Store, StoreError};

/// Parts, each with its lock. A thread keeps to one of them, so that it waits for nobody unless there are more threads.
const SHARDS: usize = 16;

/// The counts of one profile in this process.
pub(crate) struct Usage {
    store: Arc<Store>,
    /// By the identifiers of keys that were accepted: nobody else makes them grow.
    shards: [Mutex<HashMap<Arc<str>, Tally>>; SHARDS],
    /// What is being written. Held for as long as that takes, so that one writes at a time.
    desk: tokio::sync::Mutex<Desk>,
}

/// What one key did since it was last written down.
struct Tally {
    requests: u64,
    /// Seconds since 1970.
    last_used: u64,
}

struct Desk {
    /// This life of this process.
    writer: Arc<str>,
    number: u64,
    /// One that was begun, and of which it is not known whether it was written.
    begun: Option<UsageBatch>,
}

impl Usage {
    /// Counts from now on, and writes into the store at that interval, in the runtime of the caller, for as long as anybody
    /// counts.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub(crate) fn start(store: Arc<Store>, flush: Duration) -> Result<Arc<Self>, StoreError> {
        let writer = base62::identifier("writer-", &mut SysRng).map_err(StoreError::no_random)?.into();
        let desk = tokio::sync::Mutex::new(Desk { writer, number: 0, begun: None });
        let usage = Arc::new(Self { store, shards: std::array::from_fn(|_| Mutex::default()), desk });
        let weak = Arc::downgrade(&usage);
        tokio::spawn(async move {
            let mut ticks = interval(flush);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut failing = false;
            loop {
                ticks.tick().await;
                let Some(usage) = weak.upgrade() else { return };
                let written = usage.flush().await;
                if let (Err(error), false) = (&written, failing) {
                    tracing::warn!(%error, "requests are counted, but the counts do not reach the store");
                }
                failing = written.is_err();
            }
        });
        Ok(usage)
    }

    /// Counts one request of a key.
    pub(crate) fn count(&self, key: &Arc<str>, now: UnixTime) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        let shard = &self.shards[MINE.with(|mine| *mine)];
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        match shard.get_mut(key) {
            Some(tally) => {
                tally.requests += 1;
                tally.last_used = tally.last_used.max(now.as_secs());
            }
            None => {
                shard.insert(key.clone(), Tally { requests: 1, last_used: now.as_secs() });
            }
        }
    }

    /// Returns once everything that was counted before is in the store.
    ///
    /// # Errors
    /// Nothing is lost: what could not be written is written the next time.
    pub(crate) async fn flush(&self) -> Result<(), StoreError> {
        let mut desk = self.desk.lock().await;
        if let Some(begun) = &desk.begun {
            self.store.add_usage(begun).await?;
            desk.begun = None;
        }
        let lines = self.drain();
        if lines.is_empty() {
            return Ok(());
        }
        desk.number += 1;
        let batch = UsageBatch { writer: desk.writer.clone(), number: desk.number, lines };
        // Kept first: whoever gives up waiting for the store leaves it to the next.
        let batch = desk.begun.insert(batch);
        self.store.add_usage(batch).await?;
        desk.begun = None;
        Ok(())
    }

    fn drain(&self) -> Vec<UsageLine> {
        let mut all: HashMap<Arc<str>, Tally> = HashMap::new();
        for shard in &self.shards {
            let taken = std::mem::take(&mut *shard.lock().unwrap_or_else(PoisonError::into_inner));
            for (key, tally) in taken {
                match all.entry(key) {
                    Entry::Vacant(place) => {
                        place.insert(tally);
                    }
                    Entry::Occupied(mut known) => {
                        let known = known.get_mut();
                        known.requests += tally.requests;
                        known.last_used = known.last_used.max(tally.last_used);
                    }
                }
            }
        }
        all.into_iter().map(|(key, Tally { requests, last_used })| UsageLine { key, requests, last_used }).collect()
    }
}
