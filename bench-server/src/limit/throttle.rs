//! A brake on guessing: failures in a row are counted for each account and for each address (NIST SP 800-63B-4 §3.2.2,
//! RFC 6749 §2.3.1 and §10.10).
//!
//! Some failures are free; from then on each one doubles the time until another attempt is looked at, the right secret
//! included. Names are counted as they are presented, known or not: a count that only existing ones have would tell them
//! apart. A success ends an account's count and not an address's, for whoever guesses may have an account as well.
//!
//! The memory is fixed, and nobody slips out of it. Where all places of a bucket are taken, a newcomer takes the place of
//! whoever has the fewest failures there, and takes over that count (the Space-Saving algorithm: Metwally, Agrawal and
//! El Abbadi, ICDT 2005). So a flood of invented names makes counts too high, never too low: it locks out and lets nobody in.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::Quota;
use crate::clock::UnixTime;

/// Places of a table: [`BUCKETS`] · [`PLACES`] counts, about a megabyte.
const BUCKETS: usize = 4096;
const PLACES: usize = 8;

/// What is counted, and what it leads to.
#[derive(Debug, Clone, Copy)]
struct Policy {
    /// What callers are told is counted.
    name: &'static str,
    /// Failures without a wait.
    free: u32,
    /// Failures after which the wait is [`Policy::locked`].
    most: u32,
    /// The longest wait before that.
    longest: Duration,
    locked: Duration,
    /// How long after the end of the wait a count is forgotten.
    forgotten: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// NIST allows a hundred failures in a row. At ten free ones and an hour at most they take over three days.
const ACCOUNT: Policy = Policy { name: "account", free: 10, most: 100, longest: HOUR, locked: DAY, forgotten: DAY };

/// Many people may share one address, so more is free there; and it is never locked for good.
const ADDRESS: Policy =
    Policy { name: "address", free: 100, most: u32::MAX, longest: HOUR, locked: HOUR, forgotten: HOUR };

/// Who makes an attempt: hashes under keys of this process, which hold no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    account: u64,
    address: Option<u64>,
}

/// Counts failures.
#[derive(Debug)]
pub(crate) struct Throttle {
    keys: RandomState,
    accounts: Table,
    addresses: Table,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            keys: RandomState::new(),
            accounts: Table::new(ACCOUNT, BUCKETS),
            addresses: Table::new(ADDRESS, BUCKETS),
        }
    }
}

impl Throttle {
    /// An account as it was named, and where the attempt comes from.
    pub(crate) fn who(&self, account: impl Hash, peer: Option<IpAddr>) -> Who {
        Who { account: self.keys.hash_one(account), address: peer.map(|address| self.keys.hash_one(network(address))) }
    }

    /// Whether another attempt may be made.
    ///
    /// # Errors
    /// The quota that is used up, with the time to wait.
    pub(crate) fn check(&self, who: Who, now: UnixTime) -> Result<(), Quota> {
        let address = who.address.and_then(|address| self.addresses.over(address, now));
        let over = [self.accounts.over(who.account, now), address];
        over.into_iter().flatten().max_by_key(|quota| quota.reset).map_or(Ok(()), Err)
    }

    /// Notes a failure.
    pub(crate) fn failed(&self, who: Who, now: UnixTime) {
        self.accounts.failed(who.account, now);
        if let Some(address) = who.address {
            self.addresses.failed(address, now);
        }
    }

    /// Notes that the account's secret was presented: its failures are over.
    pub(crate) fn succeeded(&self, who: Who) {
        self.accounts.succeeded(who.account);
    }
}

/// What counts as one address: of IPv6 the 64 bits that a subscriber is given (RFC 6177 §2).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// The count of one account or address.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    whose: u64,
    /// In a row; none means that the place is free.
    failures: u32,
    /// Those of them that were taken over with the place.
    inherited: u32,
    /// When another attempt may be made.
    until: Duration,
}

type Bucket = [Count; PLACES];

/// Counts by hash.
#[derive(Debug)]
struct Table {
    policy: Policy,
    size: usize,
    /// Made by the first failure: most processes never see one.
    buckets: OnceLock<Box<[Mutex<Bucket>]>>,
}

impl Table {
    fn new(policy: Policy, size: usize) -> Self {
        Self { policy, size, buckets: OnceLock::new() }
    }

    fn over(&self, whose: u64, now: UnixTime) -> Option<Quota> {
        let bucket = self.bucket(self.buckets.get()?, whose);
        let count = self.policy.known(&bucket, whose, now)?;
        let wait = count.until.saturating_sub(now.0);
        (count.failures >= self.policy.free && !wait.is_zero()).then(|| self.policy.quota(wait))
    }

    fn failed(&self, whose: u64, now: UnixTime) {
        let buckets = self.buckets.get_or_init(|| (0..self.size).map(|_| Mutex::default()).collect());
        let mut bucket = self.bucket(buckets, whose);
        let known = self.policy.known(&bucket, whose, now).unwrap_or_default();
        let inherited = if known.whose == whose { known.inherited } else { known.failures };
        let failures = known.failures.saturating_add(1);
        let count = Count { whose, failures, inherited, until: now.0 + self.policy.wait(failures) };
        let place = self.policy.place(&bucket, whose, now);
        bucket[place] = count;
    }

    fn succeeded(&self, whose: u64) {
        let Some(buckets) = self.buckets.get() else { return };
        for count in self.bucket(buckets, whose).iter_mut().filter(|count| count.whose == whose) {
            // What was taken over is perhaps another's, who has not succeeded.
            count.failures = count.failures.min(count.inherited);
        }
    }

    fn bucket<'b>(&self, buckets: &'b [Mutex<Bucket>], whose: u64) -> MutexGuard<'b, Bucket> {
        let place = (whose % self.size as u64) as usize;
        buckets[place].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Policy {
    fn is_free(&self, count: &Count, now: UnixTime) -> bool {
        count.failures == 0 || now.0 >= count.until + self.forgotten
    }

    /// The place of the own count, or else a free one, or else that of the count with the fewest failures.
    fn place(&self, bucket: &Bucket, whose: u64, now: UnixTime) -> usize {
        let rank = |count: &Count| match count {
            free if self.is_free(free, now) => (1, 0),
            own if own.whose == whose => (0, 0),
            other => (2, other.failures),
        };
        (0..PLACES).min_by_key(|place| rank(&bucket[*place])).expect("a bucket has places")
    }

    /// What has to be assumed of somebody: the own count, or in a full bucket the smallest that there is, for that is the
    /// most that those can have had who had to leave.
    fn known(&self, bucket: &Bucket, whose: u64, now: UnixTime) -> Option<Count> {
        let place = bucket[self.place(bucket, whose, now)];
        (!self.is_free(&place, now)).then_some(place)
    }

    /// How long after so many failures another attempt has to wait.
    fn wait(&self, failures: u32) -> Duration {
        if failures < self.free {
            return Duration::ZERO;
        }
        if failures >= self.most {
            return self.locked;
        }
        let doublings = (failures - self.free).min(31);
        Duration::from_secs(1 << doublings).min(self.longest)
    }

    fn quota(&self, wait: Duration) -> Quota {
        let (policy, amount) = (self.name, u64::from(self.free));
        Quota { policy, amount, window: self.forgotten, remaining: 0, reset: wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime(Duration::from_secs(secs))
    }

    fn fails(throttle: &Throttle, who: Who, times: u32, now: UnixTime) {
        (0..times).for_each(|_| throttle.failed(who, now));
    }

    /// Fails whenever that is allowed, until `end`; returns how often that was.
    fn guesses(throttle: &Throttle, who: Who, from: u64, end: u64) -> u32 {
        let (mut now, mut guesses) = (from, 0);
        while now < end {
            match throttle.check(who, at(now)) {
                Ok(()) => {
                    throttle.failed(who, at(now));
                    guesses += 1;
                }
                Err(quota) => now += quota.reset.as_secs().max(1),
            }
        }
        guesses
    }

    #[test]
    fn ba_16_the_wait_grows_and_a_hundred_failures_take_days() {
        let throttle = Throttle::default();
        let who = throttle.who("anna", None);
        fails(&throttle, who, ACCOUNT.free - 1, at(0));
        assert_eq!(throttle.check(who, at(0)), Ok(()));
        for wait in [1, 2, 4, 8] {
            throttle.failed(who, at(0));
            let refused = throttle.check(who, at(0)).expect_err("too many");
            assert_eq!((refused.reset, refused.remaining), (Duration::from_secs(wait), 0));
            assert_eq!(throttle.check(who, at(wait)), Ok(()));
        }
        let three_days = 3 * 86_400;
        assert!(guesses(&throttle, who, 0, three_days) < ACCOUNT.most);
        let begun = at(0);
        let (patient, most) = (throttle.who("bert", None), ACCOUNT.most);
        fails(&throttle, patient, most, begun);
        assert_eq!(throttle.check(patient, begun).expect_err("locked").reset, DAY);
    }

    #[test]
    fn ba_16_a_success_ends_the_count_of_the_account_and_not_of_the_address() {
        let throttle = Throttle::default();
        let peer = Some(IpAddr::from([192, 0, 2, 1]));
        let (anna, elsewhere) = (throttle.who("anna", peer), throttle.who("anna", Some(IpAddr::from([192, 0, 2, 2]))));
        for _ in 0..ADDRESS.free {
            throttle.failed(anna, at(0));
            throttle.succeeded(anna);
        }
        assert_eq!(throttle.check(anna, at(0)).expect_err("the address").policy, "address");
        assert_eq!(throttle.check(elsewhere, at(0)), Ok(()));
    }

    #[test]
    fn ba_16_one_password_against_many_names_is_a_matter_of_the_address() {
        let throttle = Throttle::default();
        let peer = |last: u8| Some(IpAddr::from([192, 0, 2, last]));
        for number in 0..ADDRESS.free {
            let who = throttle.who(number, peer(1));
            assert_eq!(throttle.check(who, at(0)), Ok(()));
            throttle.failed(who, at(0));
        }
        assert!(throttle.check(throttle.who("one more", peer(1)), at(0)).is_err());
        assert_eq!(throttle.check(throttle.who("one more", peer(2)), at(0)), Ok(()));
        // It is as many addresses as subscribers, and written in one way.
        let v6 = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8:0:1::1"), v6("2001:db8::1"));
        assert_eq!(v6("::ffff:192.0.2.1"), v6("192.0.2.1"));
    }

    #[test]
    fn ba_16_what_is_long_ago_is_forgotten() {
        let throttle = Throttle::default();
        let who = throttle.who("anna", None);
        fails(&throttle, who, ACCOUNT.free + 3, at(0));
        let last = 8 + DAY.as_secs();
        throttle.failed(who, at(last - 1));
        assert!(throttle.check(who, at(last - 1)).is_err(), "not yet");
        throttle.failed(who, at(10 * last));
        assert_eq!(throttle.check(who, at(10 * last)), Ok(()), "a new beginning");
    }

    #[test]
    fn oa_23_invented_names_make_nobody_escape() {
        let table = Table::new(ACCOUNT, 1);
        let victim = 7;
        (0..ACCOUNT.free).for_each(|_| table.failed(victim, at(0)));
        assert!(table.over(victim, at(0)).is_some());
        // Each name less often than the victim, and many more of them than there are places.
        for name in 1_000..2_000 {
            table.failed(name, at(0));
            assert!(table.over(victim, at(0)).is_some(), "{name}");
        }
        assert!(table.over(5_000, at(0)).is_some(), "who was never seen may be who had to leave");
        // Nor does a success of one of them help another.
        table.succeeded(1_999);
        assert!(table.over(victim, at(0)).is_some());
        // The flood is forgotten as everything is.
        assert!(table.over(5_000, at(10 * DAY.as_secs())).is_none());
    }

    #[test]
    fn a_place_that_was_taken_over_keeps_what_it_held() {
        let table = Table::new(ACCOUNT, 1);
        for name in 0..PLACES as u64 {
            (0..5).for_each(|_| table.failed(name, at(0)));
        }
        table.failed(100, at(0));
        let bucket = |table: &Table| *table.buckets.get().expect("made")[0].lock().expect("whole");
        let newcomer =
            |table: &Table| bucket(table).into_iter().find(|count| count.whose == 100).expect("it has a place");
        assert_eq!((newcomer(&table).failures, newcomer(&table).inherited), (6, 5));
        table.succeeded(100);
        assert_eq!(newcomer(&table).failures, 5);
        table.succeeded(1);
        assert!(bucket(&table).iter().any(|count| count.whose == 1 && count.failures == 0), "an own place is free");
    }
}
