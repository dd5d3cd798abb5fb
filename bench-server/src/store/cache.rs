//! A cache of positive answers, in front of a store or an issuer.
//!
//! An entry ends `ttl` after the reading of the clock that its load began with, or earlier where the answer itself ends
//! earlier. The node that revokes drops the entry at once; the others keep theirs until then, unless they
//! follow the store. The TTL stays the bound of how long a revoked credential is accepted.
//!
//! Two things would break that bound, and are kept out:
//!
//! * Counting from when the answer *arrived*: an answer that was slow on its way would live `ttl` beyond what it says
//!   about. Hence [`TtlCache::begin`], before the store is read.
//! * The load in flight: one caller reads "active" and is slow, the credential is revoked, a second caller reads
//!   "revoked" and is refused, then the first stores its old answer, and the credential lives again. Hence a generation
//!   number, moved by [`TtlCache::refuse`]: a load that began before is not stored after. Both run under the key's own
//!   lock, so there is no moment between looking at the number and storing. [`TtlCache::forget`], which has no key, moves a
//!   number that every entry carries.
//!
//! Entries follow the process's [`Clock`](crate::clock::Clock), which a test may move; moka's own clock only frees the
//! memory, and bounds an entry's life should the system's clock be set back.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::ops::compute::Op;

use crate::clock::UnixTime;
use crate::config::{CacheConfig, LONGEST_STALE};
use crate::error::BuildError;

/// Keys share generation numbers in this many groups. With one group for all, whoever presents revoked credentials
/// would keep everybody's loads from being stored.
const GROUPS: usize = 256;

/// No entry may live longer: what is cached for a week is stored, not cached.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A bounded cache whose entries live for a fixed time at most.
pub struct TtlCache<K, V, S> {
    entries: moka::sync::Cache<K, Entry<V>, S>,
    ttl: Duration,
    /// How long after its end an entry may be served where there is no answer.
    stale: Duration,
    generations: Box<[AtomicU64]>,
    /// How often everything was forgotten.
    era: AtomicU64,
    hasher: S,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    ends: UnixTime,
    /// When it ends even where there is no answer.
    last: UnixTime,
    era: u64,
}

/// An answer on its way into the cache.
#[must_use]
pub struct Load<K> {
    key: K,
    ends: UnixTime,
    last: UnixTime,
    generation: u64,
    era: u64,
}

impl<K> Load<K> {
    /// The entry will end at `limit` if its TTL does not end it before: for answers with an `exp` of their own.
    pub fn no_later_than(mut self, limit: UnixTime) -> Self {
        self.ends = self.ends.min(limit);
        self.last = self.last.min(limit);
        self
    }
}

impl<K, V, S> TtlCache<K, V, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    /// An empty cache.
    ///
    /// # Errors
    /// [`BuildError::Config`] for a TTL of zero or over a week, a capacity of zero, or a `stale_if_error` over its limit.
    pub fn new(config: &CacheConfig, hasher: S) -> Result<Self, BuildError> {
        let wrong = |what: &str| Err(BuildError::Config(what.to_owned()));
        if config.ttl.is_zero() {
            return wrong("cache.ttl is 0s; leave `cache` out to read the store for every request");
        }
        if config.ttl > LONGEST {
            return wrong("cache.ttl is over 7 days; a revoked credential would be accepted for as long");
        }
        if config.capacity == 0 {
            return wrong("cache.capacity is 0; leave `cache` out to read the store for every request");
        }
        let stale = config.stale_if_error.unwrap_or_default();
        if stale > LONGEST_STALE {
            return wrong("cache.stale_if_error is over a day; whoever stops the store would be accepted for as long");
        }
        let entries = moka::sync::Cache::builder()
            .max_capacity(config.capacity)
            .time_to_live(config.ttl + stale)
            .build_with_hasher(hasher.clone());
        let generations = (0..GROUPS).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { entries, ttl: config.ttl, stale, generations, era: AtomicU64::new(0), hasher })
    }

    /// The value of an entry that has not ended.
    pub fn get(&self, key: &K, now: UnixTime) -> Option<V> {
        self.get_until(key, |entry| now < entry.ends)
    }

    /// The value of an entry that may be served because there is no answer in its place (RFC 5861 §4). To be asked only
    /// after the store was.
    pub fn get_stale(&self, key: &K, now: UnixTime) -> Option<V> {
        self.get_until(key, |entry| now < entry.last)
    }

    fn get_until(&self, key: &K, valid: impl Fn(&Entry<V>) -> bool) -> Option<V> {
        let valid = |entry: &Entry<V>| valid(entry) && entry.era == self.era.load(Ordering::SeqCst);
        self.entries.get(key).filter(valid).map(|entry| entry.value)
    }

    /// How long after their end entries may be served where there is no answer.
    pub fn stale(&self) -> Duration {
        self.stale
    }

    /// To be called **before** the store is read, with the reading of the clock that the request is judged by.
    pub fn begin(&self, key: K, now: UnixTime) -> Load<K> {
        let era = self.era.load(Ordering::SeqCst);
        let generation = self.generation(&key).load(Ordering::SeqCst);
        let ends = UnixTime(now.0 + self.ttl);
        Load { key, ends, last: UnixTime(ends.0 + self.stale), generation, era }
    }

    /// Keeps a positive answer, unless the key was [refused](Self::refuse) since the load began.
    pub fn insert(&self, load: Load<K>, value: V) {
        let Load { key, ends, last, generation, era } = load;
        let moved = self.generation(&key);
        self.entries.entry(key).and_compute_with(|_| {
            if moved.load(Ordering::SeqCst) == generation { Op::Put(Entry { value, ends, last, era }) } else { Op::Nop }
        });
    }

    /// Tells that the key was found not to be acceptable: loads that began before are not stored.
    pub fn refuse(&self, key: &K) {
        self.refuse_if(key, |_| true);
    }

    /// The same, but an entry stays unless it `is` what was found not to be acceptable.
    pub fn refuse_if(&self, key: &K, is: impl FnOnce(&V) -> bool) {
        self.generation(key).fetch_add(1, Ordering::SeqCst);
        self.entries.entry_by_ref(key).and_compute_with(|entry| match entry {
            Some(entry) if is(&entry.value().value) => Op::Remove,
            _ => Op::Nop,
        });
    }

    /// Drops everything, and what is being loaded.
    pub fn forget(&self) {
        self.era.fetch_add(1, Ordering::SeqCst);
        self.entries.invalidate_all();
    }

    fn generation(&self, key: &K) -> &AtomicU64 {
        &self.generations[self.hasher.hash_one(key) as usize % GROUPS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::RandomState;

    const TTL: Duration = Duration::from_secs(10);
    const START: UnixTime = UnixTime(Duration::from_secs(1_000));

    fn cache(capacity: u64) -> TtlCache<u32, &'static str, RandomState> {
        TtlCache::new(&CacheConfig { capacity, ..CacheConfig::new(TTL) }, RandomState::new())
            .expect("a sound configuration")
    }

    fn later(by: Duration) -> UnixTime {
        UnixTime(START.0 + by)
    }

    #[test]
    fn an_entry_ends_one_ttl_after_its_load_began() {
        let cache = cache(10);
        let load = cache.begin(1, START);
        // However long the load took: only its beginning counts.
        cache.insert(load, "answer");
        assert_eq!(cache.get(&1, START), Some("answer"));
        assert_eq!(cache.get(&1, later(TTL - Duration::from_nanos(1))), Some("answer"));
        assert_eq!(cache.get(&1, later(TTL)), None);
        assert_eq!(cache.get(&2, START), None);
    }

    #[test]
    fn an_answer_may_end_before_its_ttl_but_not_after() {
        let cache = cache(10);
        let early = later(Duration::from_secs(3));
        cache.insert(cache.begin(1, START).no_later_than(early), "answer");
        assert_eq!(cache.get(&1, later(Duration::from_nanos(2_999_999_999))), Some("answer"));
        assert_eq!(cache.get(&1, early), None);
        cache.insert(cache.begin(2, START).no_later_than(later(2 * TTL)), "answer");
        assert_eq!(cache.get(&2, later(TTL)), None);
    }

    #[test]
    fn a_load_that_began_before_a_refusal_is_not_stored_after_it() {
        let cache = cache(10);
        let slow = cache.begin(1, START);
        cache.refuse(&1);
        cache.insert(slow, "old");
        assert_eq!(cache.get(&1, START), None);
        // Nor is one that was stored already kept, and a load that begins afterwards is stored again.
        cache.insert(cache.begin(1, START), "new");
        assert_eq!(cache.get(&1, START), Some("new"));
        cache.refuse(&1);
        assert_eq!(cache.get(&1, START), None);
    }

    #[test]
    fn nothing_is_left_when_all_is_forgotten_not_even_what_is_on_its_way() {
        let cache = cache(10);
        cache.insert(cache.begin(1, START), "answer");
        let slow = cache.begin(2, START);
        cache.forget();
        cache.insert(slow, "old");
        assert_eq!((cache.get(&1, START), cache.get(&2, START)), (None, None));
        cache.insert(cache.begin(1, START), "new");
        assert_eq!(cache.get(&1, START), Some("new"));
    }

    #[test]
    fn an_entry_that_is_something_else_stays() {
        let cache = cache(10);
        cache.insert(cache.begin(1, START), "good");
        let slow = cache.begin(1, START);
        cache.refuse_if(&1, |value| *value == "bad");
        cache.insert(slow, "old");
        assert_eq!(cache.get(&1, START), Some("good"));
        cache.refuse_if(&1, |value| *value == "good");
        assert_eq!(cache.get(&1, START), None);
    }

    #[test]
    fn rv_3_no_resurrection_when_a_load_races_a_refusal() {
        use std::sync::Barrier;
        use std::sync::atomic::AtomicBool;
        for _ in 0..5_000 {
            let (cache, active, ready) = (cache(10), AtomicBool::new(true), Barrier::new(2));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    ready.wait();
                    let load = cache.begin(1, START);
                    let accept = active.load(Ordering::SeqCst);
                    // Where a slow store would keep the answer.
                    std::thread::yield_now();
                    if accept { cache.insert(load, "old") } else { cache.refuse(&1) }
                });
                ready.wait();
                active.store(false, Ordering::SeqCst);
                cache.refuse(&1);
            });
            // Stored before the refusal, it was removed; after it, it was not stored.
            assert_eq!(cache.get(&1, START), None, "accepted again after a refusal");
        }
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        let cache = cache(100);
        for key in 0..10_000 {
            cache.insert(cache.begin(key, START), "answer");
        }
        cache.entries.run_pending_tasks();
        assert!(cache.entries.entry_count() <= 100);
    }

    #[test]
    fn senseless_configurations_are_refused() {
        for (ttl, capacity) in [(Duration::ZERO, 1), (TTL, 0), (LONGEST + TTL, 1)] {
            let built =
                TtlCache::<u32, (), _>::new(&CacheConfig { capacity, ..CacheConfig::new(ttl) }, RandomState::new());
            assert!(matches!(built, Err(BuildError::Config(_))));
        }
    }
}
