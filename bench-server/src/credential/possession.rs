//! What somebody signs to prove that a key is theirs: a compact JWS that is good once (RFC 9449 §4, RFC 7523 §3). Each is a
//! [`Kind`](super::jws::token::Kind); what they share beside that is here.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::UnixTime;
use crate::credential::jws::json::{Fault, Number};
use crate::expiring::ExpiringMap;

/// Longest proof looked at, in bytes. With an RSA key in its header one takes less than half of it.
pub(crate) const LONGEST: usize = 4 * 1024;

/// Longest `jti`, in bytes.
pub(crate) const MAX_JTI: usize = 255;

/// A NumericDate (RFC 7519 §2), far enough from the end of what a duration holds that nothing overflows.
pub(crate) fn numeric_date(number: Number) -> Result<Duration, Fault> {
    let time = match number {
        Number::Whole(seconds) => Some(Duration::from_secs(seconds)),
        Number::Other(seconds) => Duration::try_from_secs_f64(seconds).ok(),
    };
    time.filter(|time| time.as_secs() < 1 << 40).ok_or(Fault::NotAccepted)
}

/// Proofs that were presented, so that none is good twice. Each is remembered until it could not be accepted any more.
pub(crate) struct Seen {
    until: Mutex<ExpiringMap<[u8; 32], ()>>,
    capacity: usize,
}

/// What is known of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// Nobody presented it before.
    Yes,
    /// It was presented before.
    No,
    /// There is no room to remember it: it is not to be accepted.
    Unknown,
}

impl Default for Seen {
    /// Over a thousand new proofs in a second, for a minute: some ten megabytes.
    fn default() -> Self {
        Self { until: Mutex::default(), capacity: 100_000 }
    }
}

impl Seen {
    /// With room for so many.
    #[cfg(test)]
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { capacity, ..Self::default() }
    }

    /// Remembers a proof, by a digest of what makes it unique, until `end`. Of several at once one is the first.
    pub(crate) fn first(&self, proof: [u8; 32], end: UnixTime, now: UnixTime) -> First {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        until.purge(now);
        if until.get(now, &proof).is_some() {
            First::No
        } else if until.len() >= self.capacity {
            First::Unknown
        } else {
            until.insert(now, end, proof, ());
            First::Yes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime(Duration::from_secs(secs))
    }

    #[test]
    fn oa_57_the_memory_of_proofs_is_bounded_and_fails_closed() {
        let seen = Seen::with_capacity(2);
        assert_eq!(seen.first([1; 32], at(60), at(0)), First::Yes);
        assert_eq!(seen.first([1; 32], at(60), at(59)), First::No);
        assert_eq!(seen.first([2; 32], at(70), at(1)), First::Yes);
        assert_eq!(seen.first([3; 32], at(70), at(1)), First::Unknown);
        assert_eq!(seen.first([2; 32], at(70), at(1)), First::No, "what is remembered stays so");
        assert_eq!(seen.first([3; 32], at(120), at(60)), First::Yes, "the first one has gone");
    }

    #[test]
    fn oa_57_of_many_at_once_one_is_the_first() {
        let seen = Seen::default();
        for round in 0..100_u8 {
            let firsts = std::thread::scope(|scope| {
                let threads = [(); 4].map(|()| scope.spawn(|| seen.first([round; 32], at(60), at(0)) == First::Yes));
                threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|first| *first).count()
            });
            assert_eq!(firsts, 1);
        }
    }
}
