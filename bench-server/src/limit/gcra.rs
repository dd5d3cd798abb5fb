//! The generic cell rate algorithm (ITU-T I.371 Annex A), with which requests are limited for each key, account or address.
//!
//! It keeps one moment for each: when its quota will be whole again if nothing more comes. A request moves that moment on by the
//! time that one request stands for, and is refused where it would come to lie further away than the window. So a full quota may
//! be spent at once, is restored bit by bit, and no window of that length ever holds more than twice of it.
//!
//! What callers are told is the quota of a window that begins with the first request: within it `r` never grows, although the
//! algorithm allows for more bit by bit. Who plans with what was told is never refused.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Quota;
use crate::clock::UnixTime;
use crate::config::LimitConfig;

/// Locked parts: requests of different keys rarely wait for each other.
const SHARDS: usize = 16;

/// Entries of a part below which nobody looks for those that are of no use any more.
const FEW: usize = 64;

/// Where a part is full of those who are still of use, so long nobody looks again, in nanoseconds.
const PAUSE_NS: u64 = 1_000_000_000;

/// Quotas of one kind, for each of those who were asked about lately. What is whole again is forgotten, so that memory is bounded
/// by who came within a window.
pub(crate) struct Limiter<K> {
    rule: Rule,
    hasher: RandomState,
    shards: [Mutex<Shard<K>>; SHARDS],
    /// Most entries of a part. Who comes beyond them shares one quota.
    most: usize,
}

/// What everybody is held to.
struct Rule {
    policy: &'static str,
    amount: u64,
    window: Duration,
    window_ns: u64,
    /// The time that one request stands for, rounded up: a window never yields more than the amount.
    interval_ns: u64,
}

struct Shard<K> {
    buckets: HashMap<K, Bucket>,
    /// At how many entries those of no use are looked for, and not before this moment.
    prune_at: usize,
    prune_after: u64,
    others: Bucket,
}

/// What is kept of one caller; times are nanoseconds since 1970.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// When the quota is whole again.
    full_at: u64,
    /// When the window ends of which the caller was told.
    window_ends: u64,
    /// The least that the caller was told to have left in it.
    told: u64,
}

impl<K: Hash + Eq + Clone> Limiter<K> {
    /// A quota for each of those whom nobody but the server can name: as many as there are.
    pub(crate) fn new(policy: &'static str, limit: &LimitConfig) -> Self {
        Self::bounded(policy, limit, usize::MAX)
    }

    /// The same for those who name themselves, like addresses: `most` of them at the same time, and one quota for all others.
    pub(crate) fn bounded(policy: &'static str, limit: &LimitConfig, most: usize) -> Self {
        let (amount, window_ns) = (u64::from(limit.requests.get()), limit.window.as_nanos() as u64);
        let rule = Rule { policy, amount, window: limit.window, window_ns, interval_ns: window_ns.div_ceil(amount) };
        let shard = || Shard { buckets: HashMap::new(), prune_at: FEW, prune_after: 0, others: Bucket::default() };
        let shards = std::array::from_fn(|_| Mutex::new(shard()));
        Self { rule, hasher: RandomState::new(), shards, most: most.div_ceil(SHARDS) }
    }

    /// Takes one request in.
    ///
    /// # Errors
    /// The quota, where it is used up: nothing was taken.
    pub(crate) fn admit(&self, key: &K, now: UnixTime) -> Result<Quota, Quota> {
        let now = nanoseconds(now);
        let mut shard = self.shard(key);
        shard.bucket(key, now, self.most).take(&self.rule, now)
    }

    /// Gives back what an admission took, because the request was refused for another reason.
    pub(crate) fn give_back(&self, key: &K) {
        if let Some(bucket) = self.shard(key).buckets.get_mut(key) {
            bucket.full_at = bucket.full_at.saturating_sub(self.rule.interval_ns);
        }
    }

    fn shard(&self, key: &K) -> std::sync::MutexGuard<'_, Shard<K>> {
        let number = self.hasher.hash_one(key) as usize % SHARDS;
        // Every step leaves a shard as it should be, so a panic elsewhere does not matter.
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().expect("no holder panics").buckets.len()).sum()
    }
}

impl<K: Hash + Eq + Clone> Shard<K> {
    fn bucket(&mut self, key: &K, now: u64, most: usize) -> &mut Bucket {
        if !self.buckets.contains_key(key) {
            let due = now >= self.prune_after || self.prune_after - now > PAUSE_NS;
            if due && self.buckets.len() >= self.prune_at.min(most) {
                self.prune(now);
                self.prune_after = if self.buckets.len() >= most { now + PAUSE_NS } else { 0 };
            }
            if self.buckets.len() >= most {
                return &mut self.others;
            }
            self.buckets.insert(key.clone(), Bucket::default());
        }
        self.buckets.get_mut(key).expect("it was put there if it was missing")
    }

    /// Forgets who has a whole quota and is in no window. Done when there are twice as many as were left the last time, so that
    /// it costs each entry a constant.
    fn prune(&mut self, now: u64) {
        self.buckets.retain(|_, bucket| bucket.full_at > now || bucket.window_ends > now);
        self.prune_at = (2 * self.buckets.len()).max(FEW);
        self.buckets.shrink_to(self.prune_at);
    }
}

impl Bucket {
    fn take(&mut self, rule: &Rule, now: u64) -> Result<Quota, Quota> {
        let Rule { policy, amount, window, window_ns, interval_ns } = *rule;
        let quota =
            |remaining, reset_ns| Quota { policy, amount, window, remaining, reset: Duration::from_nanos(reset_ns) };
        let whole_ns = interval_ns.saturating_mul(amount);
        // Further away than the whole of it only after the clock was set back, which must not lock anybody out for longer.
        let full_at = self.full_at.clamp(now, now.saturating_add(whole_ns)).saturating_add(interval_ns);
        let used_ns = full_at - now;
        if used_ns > whole_ns {
            return Err(quota(0, used_ns - whole_ns));
        }
        self.full_at = full_at;
        let left = (whole_ns - used_ns) / interval_ns;
        if now >= self.window_ends || self.window_ends - now > window_ns {
            (self.window_ends, self.told) = (now.saturating_add(window_ns), left);
        } else {
            self.told = self.told.min(left);
        }
        let until_next = (used_ns + interval_ns).saturating_sub(whole_ns);
        let reset = if left == 0 { until_next } else { self.window_ends - now };
        Ok(quota(self.told, reset))
    }
}

fn nanoseconds(time: UnixTime) -> u64 {
    u64::try_from(time.0.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const START: UnixTime = UnixTime(Duration::from_secs(1_800_000_000));

    fn limit(requests: u32, seconds: u64) -> LimitConfig {
        let requests = NonZeroU32::new(requests).expect("not zero");
        LimitConfig { requests, window: Duration::from_secs(seconds) }
    }

    fn later(by: Duration) -> UnixTime {
        UnixTime(START.0 + by)
    }

    #[test]
    fn ak_20_ak_21_a_burst_is_the_whole_quota_and_waiting_gives_another_request() {
        let limiter = Limiter::new("key", &limit(100, 60));
        for left in (0..100).rev() {
            let quota = limiter.admit(&"a", START).expect("within the quota");
            assert_eq!((quota.policy, quota.amount, quota.window.as_secs()), ("key", 100, 60));
            assert_eq!(quota.remaining, left);
        }
        let refused = limiter.admit(&"a", START).expect_err("over it");
        assert_eq!((refused.remaining, refused.reset), (0, Duration::from_millis(600)));
        // Being refused costs nothing.
        assert_eq!(limiter.admit(&"a", START).expect_err("over it"), refused);
        let just_before = later(refused.reset - Duration::from_nanos(1));
        assert!(limiter.admit(&"a", just_before).is_err());
        assert!(limiter.admit(&"a", later(refused.reset)).is_ok());
        assert!(limiter.admit(&"a", later(refused.reset)).is_err());
    }

    #[test]
    fn ak_21_what_is_told_never_grows_within_a_window_and_who_plans_with_it_is_never_refused() {
        let limiter = Limiter::new("key", &limit(10, 60));
        let mut told = u64::MAX;
        for step in 0..59 {
            // Faster and slower than the steady rate of one in six seconds, by turns.
            let now = later(Duration::from_secs(if step < 30 { step / 4 } else { step }));
            match limiter.admit(&"a", now) {
                Ok(quota) => {
                    assert!(quota.remaining <= told, "{} after {told} at step {step}", quota.remaining);
                    assert!(quota.reset <= Duration::from_secs(60));
                    told = quota.remaining;
                }
                Err(quota) => assert_eq!((told, quota.remaining), (0, 0), "refused while {told} were told"),
            }
        }
        let afresh = limiter.admit(&"a", later(Duration::from_secs(200))).expect("all is restored");
        assert_eq!((afresh.remaining, afresh.reset), (9, Duration::from_secs(60)));
    }

    #[test]
    fn ak_22_one_caller_does_not_use_up_what_another_has() {
        let limiter = Limiter::new("key", &limit(3, 60));
        for _ in 0..3 {
            limiter.admit(&"a", START).expect("within the quota");
        }
        assert!(limiter.admit(&"a", START).is_err());
        assert_eq!(limiter.admit(&"b", START).expect("another quota").remaining, 2);
        limiter.give_back(&"a");
        assert!(limiter.admit(&"a", START).is_ok() && limiter.admit(&"a", START).is_err());
    }

    /// Against a list of all admissions: no window holds more than the quota and what was restored meanwhile.
    #[test]
    fn the_rate_holds_over_any_span_of_time() {
        for (requests, seconds) in [(1, 1), (7, 3), (100, 60), (1_000_000, 1)] {
            let limiter = Limiter::new("key", &limit(requests, seconds));
            let mut random = 1_u64;
            let (mut now, mut admitted) = (Duration::ZERO, Vec::new());
            for _ in 0..3_000 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                now += Duration::from_nanos(
                    (random >> 33) % (2 * seconds * 1_000_000_000 / u64::from(requests).min(1_000)),
                );
                if limiter.admit(&"a", later(now)).is_ok() {
                    admitted.push(now);
                }
            }
            let per_second = f64::from(requests) / seconds as f64;
            for (first, from) in admitted.iter().enumerate().step_by(97) {
                for (last, to) in admitted.iter().enumerate().skip(first) {
                    let allowed = f64::from(requests) + (*to - *from).as_secs_f64() * per_second;
                    assert!((last - first + 1) as f64 <= allowed + 1e-6, "{} in {:?}", last - first + 1, *to - *from);
                }
            }
            assert!(!admitted.is_empty());
        }
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nobody_out_for_longer_than_a_window() {
        let limiter = Limiter::new("key", &limit(2, 60));
        let ahead = later(Duration::from_secs(86_400));
        assert!(limiter.admit(&"a", ahead).is_ok() && limiter.admit(&"a", ahead).is_ok());
        let refused = limiter.admit(&"a", START).expect_err("as if it were used up");
        assert!(refused.reset <= Duration::from_secs(60), "{refused:?}");
    }

    #[test]
    fn ak_23_who_is_of_no_use_any_more_is_forgotten_and_strangers_are_bounded() {
        let limiter = Limiter::new("key", &limit(10, 1));
        for number in 0..100_000_u64 {
            limiter.admit(&number, later(Duration::from_micros(number * 1_000))).expect("a first request");
        }
        assert!(limiter.len() <= 4 * 1_000 + SHARDS * FEW, "{}", limiter.len());

        let strangers = Limiter::bounded("address", &limit(10, 60), 1_600);
        let (admitted, refused) = (0..100_000_u64).fold((0, 0), |(admitted, refused), number| {
            if strangers.admit(&number, START).is_ok() { (admitted + 1, refused) } else { (admitted, refused + 1) }
        });
        assert_eq!(strangers.len(), 1_600);
        // Those beyond share a quota in each part.
        assert!((1_600..=1_600 + 10 * SHARDS).contains(&admitted) && refused > 0, "{admitted}");
    }
}
