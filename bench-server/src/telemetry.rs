//! What the server did: counters and the validation histogram, kept in every build.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2Serializer};

use crate::auth::Rejection;
use crate::contract::Counters;

/// Bounds and precision of the validation histogram: 1 ns to 60 s, three significant digits. What lies outside is
/// clamped to the nearest bound, never lost.
const LOWEST_NS: u64 = 1;
const HIGHEST_NS: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Locked parts of a [`Meter`]. Each thread keeps to one of them, so a request takes a lock that nobody else holds unless
/// there are more threads than this.
const SHARDS: usize = 16;

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
    /// Acceptances on what is past its time.
    pub stale_hits: Count,
    pub verify_calls: Count,
    pub hash_calls: Count,
    pub jwks_fetches: Count,
    pub introspections: Count,
    pub ocsp_queries: Count,
    pub ocsp_unanswered: Count,
    pub ocsp_accepted_unanswered: Count,
    pub outbound_connects: Count,
    pub crl_accepted_unknown: Count,
    pub certificate_fields_ignored: Count,
    pub connections_lapsed: Count,
    pub connections_accepted: Count,
    pub handshakes_full: Count,
    pub handshakes_resumed: Count,
    pub handshakes_with_certificate: Count,
    pub handshakes_failed: Count,
    pub handshakes_refused: Count,
    shards: [Mutex<Shard>; SHARDS],
}

/// What one thread (or several, see [`SHARDS`]) recorded.
#[derive(Debug, Default)]
struct Shard {
    rejected: BTreeMap<&'static str, u64>,
    unavailable: BTreeMap<&'static str, u64>,
    /// Made at the first use: it takes some 200 KiB, and most shards are never used.
    validation: Option<Histogram<u64>>,
}

impl Meter {
    /// Counts a refused request.
    pub fn rejected(&self, rejection: &Rejection) {
        let mut shard = self.shard();
        *shard.rejected.entry(rejection.reason()).or_default() += 1;
        if let Rejection::Unavailable { dependency, .. } = rejection {
            *shard.unavailable.entry(dependency).or_default() += 1;
        }
    }

    /// Records the time inside one authenticator call.
    pub fn record_validation(&self, time: Duration) {
        let time_ns = u64::try_from(time.as_nanos()).unwrap_or(HIGHEST_NS).max(LOWEST_NS);
        self.shard().validation.get_or_insert_with(empty_histogram).saturating_record(time_ns);
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        let (mut rejected, mut unavailable) = (BTreeMap::new(), BTreeMap::new());
        for shard in &self.shards {
            let shard = lock(shard);
            for (counts, sum) in [(&shard.rejected, &mut rejected), (&shard.unavailable, &mut unavailable)] {
                for (reason, count) in counts {
                    *sum.entry((*reason).to_owned()).or_default() += count;
                }
            }
        }
        Counters {
            requests: self.requests.get(),
            accepted: self.accepted.get(),
            store_lookups: self.store_lookups.get(),
            store_writes: self.store_writes.get(),
            cache_hits: self.cache_hits.get(),
            stale_hits: self.stale_hits.get(),
            verify_calls: self.verify_calls.get(),
            hash_calls: self.hash_calls.get(),
            jwks_fetches: self.jwks_fetches.get(),
            introspections: self.introspections.get(),
            ocsp_queries: self.ocsp_queries.get(),
            ocsp_unanswered: self.ocsp_unanswered.get(),
            ocsp_accepted_unanswered: self.ocsp_accepted_unanswered.get(),
            outbound_connects: self.outbound_connects.get(),
            // What methods hold is theirs to tell.
            denylist_entries: 0,
            denylist_bytes: 0,
            crl_accepted_unknown: self.crl_accepted_unknown.get(),
            certificate_fields_ignored: self.certificate_fields_ignored.get(),
            connections_lapsed: self.connections_lapsed.get(),
            connections_accepted: self.connections_accepted.get(),
            handshakes_full: self.handshakes_full.get(),
            handshakes_resumed: self.handshakes_resumed.get(),
            handshakes_with_certificate: self.handshakes_with_certificate.get(),
            handshakes_failed: self.handshakes_failed.get(),
            handshakes_refused: self.handshakes_refused.get(),
            rejected,
            unavailable,
        }
    }

    /// The validation times recorded since the last call, in nanoseconds: an HdrHistogram in V2 form, base64 (standard,
    /// padded). Every time is in exactly one such answer.
    pub fn take_validation(&self) -> String {
        let mut all = empty_histogram();
        for shard in &self.shards {
            if let Some(histogram) = &mut lock(shard).validation {
                all.add(&*histogram).expect("all shards have the same bounds");
                // Emptied in place: a new one would be allocated by the next request.
                histogram.reset();
            }
        }
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(&all, &mut bytes).expect("writing into memory does not fail");
        STANDARD.encode(bytes)
    }

    fn shard(&self) -> MutexGuard<'_, Shard> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        lock(&self.shards[MINE.with(|mine| *mine)])
    }
}

/// A panic while a shard is locked leaves counters that are still true.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS).expect("the bounds are valid constants")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Cause;

    fn decode(base64: &str) -> Histogram<u64> {
        let bytes = STANDARD.decode(base64).expect("base64");
        hdrhistogram::serialization::Deserializer::new().deserialize(&mut bytes.as_slice()).expect("V2 form")
    }

    #[test]
    fn hk_6_counts_add_up_over_threads() {
        let meter = Meter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * SHARDS {
                scope.spawn(|| {
                    meter.requests.add();
                    meter.rejected(&Rejection::Invalid(Cause::Unknown));
                    meter.record_validation(Duration::from_micros(3));
                });
            }
        });
        meter.rejected(&Rejection::Invalid(Cause::Expired));
        let retry_after = Duration::ZERO;
        for dependency in ["key store", "key store", "deny-list"] {
            meter.rejected(&Rejection::Unavailable { dependency, retry_after });
        }
        let counters = meter.counters();
        assert_eq!(counters.requests, 2 * SHARDS as u64);
        assert_eq!(counters.rejected["unknown"], 2 * SHARDS as u64);
        assert_eq!(counters.rejected["expired"], 1);
        assert_eq!(counters.rejected["unavailable"], 3);
        assert_eq!(counters.unavailable, BTreeMap::from([("deny-list".to_owned(), 1), ("key store".to_owned(), 2)]));
        assert_eq!(counters.since(&counters).unavailable, BTreeMap::new());
        assert_eq!(decode(&meter.take_validation()).len(), 2 * SHARDS as u64);
    }

    #[test]
    fn what_is_out_of_bounds_is_clamped_and_counted() {
        let meter = Meter::default();
        meter.record_validation(Duration::ZERO);
        meter.record_validation(Duration::from_secs(3600));
        let histogram = decode(&meter.take_validation());
        assert_eq!(histogram.len(), 2);
        assert_eq!(histogram.min(), LOWEST_NS);
        assert!(histogram.equivalent(histogram.max(), HIGHEST_NS), "{}", histogram.max());
    }

    #[test]
    fn taking_starts_anew_and_the_counters_stay() {
        let meter = Meter::default();
        meter.accepted.add();
        meter.record_validation(Duration::from_nanos(1500));
        assert_eq!(decode(&meter.take_validation()).len(), 1);
        assert_eq!(decode(&meter.take_validation()).len(), 0);
        meter.record_validation(Duration::from_nanos(900));
        assert_eq!(decode(&meter.take_validation()).max(), 900);
        assert_eq!(meter.counters().accepted, 1);
    }
}
