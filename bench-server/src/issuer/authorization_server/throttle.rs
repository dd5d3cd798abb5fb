//! Brakes on guessing (RFC 6749 §2.3.1 and §10.10): failures are counted per name and address.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use super::expiring::ExpiringMap;
use crate::clock::UnixTime;

/// Failures within a window after which further attempts are refused unseen. A secret of 256 bits needs no brake; this
/// one is there for passwords, and so that a misconfigured client is told to slow down.
const LIMIT: u32 = 20;
const WINDOW: Duration = Duration::from_secs(60);

/// Names watched at once; further ones go uncounted until some expire, so that memory stays bounded.
const MOST_WATCHED: usize = 100_000;

/// Who is watched: a client or user name that exists (or the empty name for all others), and from where.
pub(super) type Who = (String, Option<IpAddr>);

/// Counts failures in windows that start with the first one.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<ExpiringMap<Who, (UnixTime, u32)>>);

impl Throttle {
    /// Whether another attempt may be made.
    ///
    /// # Errors
    /// The time to wait.
    pub(super) fn check(&self, who: &Who, now: UnixTime) -> Result<(), Duration> {
        let watched = self.0.lock().expect("no holder panics");
        match watched.get(now, who) {
            Some((end, failures)) if *failures >= LIMIT => Err(end.0.saturating_sub(now.0)),
            _ => Ok(()),
        }
    }

    /// Notes a failure.
    pub(super) fn failed(&self, who: Who, now: UnixTime) {
        let mut watched = self.0.lock().expect("no holder panics");
        watched.purge(now);
        if let Some((_, (_, failures))) = watched.get_mut(now, &who) {
            *failures += 1;
        } else if watched.len() < MOST_WATCHED {
            let end = UnixTime(now.0 + WINDOW);
            watched.insert(now, end, who, (end, 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_after_the_limit_until_the_window_ends() {
        let throttle = Throttle::default();
        let (who, other) = (("app".to_owned(), None), ("other".to_owned(), None));
        let start = UnixTime(Duration::from_secs(100));
        for _ in 0..LIMIT {
            assert_eq!(throttle.check(&who, start), Ok(()));
            throttle.failed(who.clone(), start);
        }
        assert_eq!(throttle.check(&who, start), Err(WINDOW));
        assert_eq!(throttle.check(&other, start), Ok(()));
        assert_eq!(throttle.check(&who, UnixTime(start.0 + WINDOW)), Ok(()));
    }
}
