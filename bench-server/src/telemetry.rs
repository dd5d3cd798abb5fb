//! What the server did: counters and the validation histogram, kept in every build.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::Histogram;

use crate::contract::Counters;

/// A counter that many threads add to. Relaxed: each figure is exact, their order among each other is not promised.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds one.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    /// The total so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters of a process; see [`Counters`] for what each means.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the fields are those of `Counters`
pub struct Meter {
    pub requests: Count,
    pub accepted: Count,
    pub store_lookups: Count,
    pub store_writes: Count,
    pub cache_hits: Count,
    pub verify_calls: Count,
    pub hash_calls: Count,
    pub jwks_fetches: Count,
    pub introspections: Count,
    pub handshakes_full: Count,
    pub handshakes_resumed: Count,
    pub handshakes_failed: Count,
    rejected: Mutex<std::collections::BTreeMap<&'static str, u64>>,
    validation: Mutex<Option<Histogram<u64>>>,
}
