//! How far away a store is: a wait that is added to each of its answers, sharp to some ten microseconds.
//!
//! The runtime goes on meanwhile, and requests wait side by side. tokio's own timer counts milliseconds, of which a
//! round trip within a data centre takes a fraction, so on Linux the wait ends by the kernel's high-resolution timer
//! (`timerfd_create(2)`). Elsewhere tokio's timer serves, and waits are rounded up to its millisecond.

use std::io;
use std::time::Duration;

use crate::config::LONGEST_DELAY;
use crate::error::BuildError;

#[cfg(target_os = "linux")]
mod timer;

/// The time by which an answer comes later.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Distance(Duration);

impl Distance {
    /// At hand.
    pub(crate) const NONE: Self = Self(Duration::ZERO);

    /// Checks a delay; `option` is what the configuration calls it.
    ///
    /// # Errors
    /// [`BuildError::Config`] for one over [`LONGEST_DELAY`].
    pub(crate) fn new(option: &str, delay: Duration) -> Result<Self, BuildError> {
        if delay > LONGEST_DELAY {
            return Err(BuildError::Config(format!("{option} is {delay:?}; at most {LONGEST_DELAY:?} is possible")));
        }
        Ok(Self(delay))
    }

    /// Returns when an answer that is there now has come all the way.
    ///
    /// # Errors
    /// The process is out of file descriptors.
    pub(crate) async fn cross(self) -> io::Result<()> {
        if self.0.is_zero() { Ok(()) } else { wait(self.0).await }
    }
}

#[cfg(target_os = "linux")]
use timer::wait;

#[cfg(not(target_os = "linux"))]
async fn wait(delay: Duration) -> io::Result<()> {
    tokio::time::sleep(delay).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures_util::FutureExt as _;

    use super::*;

    fn distance(delay: Duration) -> Distance {
        Distance::new("store_delay", delay).expect("within the bound")
    }

    #[test]
    fn nothing_is_waited_for_without_a_delay() {
        // Not even a runtime is needed.
        assert!(distance(Duration::ZERO).cross().now_or_never().expect("at once").is_ok());
    }

    #[test]
    fn a_delay_is_bounded() {
        let error = Distance::new("store_delay", LONGEST_DELAY + Duration::from_nanos(1)).expect_err("too long");
        assert!(error.to_string().contains("store_delay is 10.000000001s"), "{error}");
    }

    #[tokio::test]
    async fn no_answer_comes_early() {
        for delay in [1, 50_000, 200_000, 3_000_000].map(Duration::from_nanos) {
            for _ in 0..20 {
                let begun = Instant::now();
                distance(delay).cross().await.expect("a timer");
                assert!(begun.elapsed() >= delay, "{delay:?}");
            }
        }
    }

    #[tokio::test]
    async fn answers_come_in_the_order_of_their_ends_and_wait_side_by_side() {
        let far = distance(LONGEST_DELAY).cross();
        tokio::pin!(far);
        assert!(far.as_mut().now_or_never().is_none());
        // Begun later and ended first, one after the other and all at once.
        for _ in 0..10 {
            distance(Duration::from_micros(20)).cross().await.expect("a timer");
        }
        let near = (1..=1_000).map(|n| distance(Duration::from_micros(n)).cross());
        assert!(futures_util::future::join_all(near).await.iter().all(Result::is_ok));
        assert!(far.now_or_never().is_none(), "ten seconds are not over");
    }

    #[tokio::test]
    async fn a_caller_that_gives_up_does_not_keep_others_waiting() {
        for _ in 0..100 {
            let given_up = distance(Duration::from_micros(100)).cross();
            let kept = tokio::spawn(distance(Duration::from_micros(200)).cross());
            tokio::pin!(given_up);
            assert!(given_up.now_or_never().is_none());
            kept.await.expect("no panic").expect("a timer");
        }
    }

    #[test]
    fn each_runtime_of_a_thread_has_its_own_timer() {
        for _ in 0..3 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(distance(Duration::from_micros(50)).cross()).expect("a timer");
        }
    }
}
