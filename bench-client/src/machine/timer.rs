//! Waking up at an instant, to a few microseconds, without keeping a processor busy for it.
//!
//! tokio's timer counts in milliseconds. Linux has timers of nanosecond resolution that a runtime can wait for like for
//! a socket (timerfd_create(2)); elsewhere the runtime's timer brings the thread near and polling does the rest.

use std::io;
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use linux as platform;
#[cfg(not(target_os = "linux"))]
use portable as platform;

/// How long before the instant a thread with a processor of its own begins to poll the clock: the time that an idle
/// virtual processor takes to wake up, and what makes a timer late.
const POLLED: Duration = Duration::from_micros(100);

/// Waits for instants, one at a time.
pub struct Timer {
    alarm: platform::Alarm,
    polled: Duration,
}

impl Timer {
    /// A timer for the calling thread, which must be inside a tokio runtime. Whether it polls the clock at the end of a
    /// wait is decided here: only where [`super::pin_current_thread`] has given the thread a processor of its own, for polling
    /// would take the time of whoever shares it.
    ///
    /// # Errors
    /// The operating system's, when it has no timers left.
    pub fn new() -> io::Result<Self> {
        let polled = if super::has_own_processor() { POLLED } else { Duration::ZERO };
        Ok(Self { alarm: platform::Alarm::new()?, polled: polled.max(platform::RESOLUTION) })
    }

    /// Waits for an instant and returns the first reading of the clock that is not before it.
    ///
    /// While polling, `yield_now` hands over to the runtime, which looks for input and output before it comes back:
    /// answers to other requests are not kept waiting.
    pub async fn wait_until(&self, due: Instant) -> Instant {
        let mut now = Instant::now();
        while now < due {
            match due.checked_duration_since(now + self.polled) {
                Some(wait) if !wait.is_zero() => self.alarm.sleep(wait).await,
                _ => tokio::task::yield_now().await,
            }
            now = Instant::now();
        }
        now
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// Nothing is left to polling but what the caller asks for.
    pub(super) const RESOLUTION: Duration = Duration::ZERO;

    pub(super) struct Alarm(AsyncFd<OwnedFd>);

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            // Deprecated for values that may close or exchange their descriptor while it is registered, which an
            // `OwnedFd` cannot; its successor is unsafe, and this workspace forbids that.
            #[allow(deprecated)]
            let timer = AsyncFd::with_interest(timer, Interest::READABLE)?;
            Ok(Self(timer))
        }

        /// Waits for `wait`, which is not zero, or shorter: a wait that was given up may have left its alarm behind.
        pub(super) async fn sleep(&self, wait: Duration) {
            let once = Itimerspec {
                it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
                it_value: Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() },
            };
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::empty(), &once)
                .expect("the timer and the time are valid");
            // Nothing is read: the runtime hears of each expiry anew (edge-triggered), and setting the timer takes it back.
            self.0.readable().await.expect("the runtime is there").clear_ready();
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    use std::io;
    use std::time::Duration;

    /// The runtime's timer wakes up to 1 ms late, and the rest is for the wake-up itself.
    pub(super) const RESOLUTION: Duration = Duration::from_micros(1500);

    pub(super) struct Alarm;

    impl Alarm {
        pub(super) fn new() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn sleep(&self, wait: Duration) {
            tokio::time::sleep(wait).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiting_never_ends_early_and_lets_other_tasks_run() {
        let (read, write) = std::sync::mpsc::channel();
        let other = tokio::spawn(async move { read.send(()).is_ok() });
        let timer = Timer::new().unwrap();
        for wait in [Duration::ZERO, Duration::from_nanos(1), Duration::from_micros(200), Duration::from_millis(4)] {
            let due = Instant::now() + wait;
            assert!(timer.wait_until(due).await >= due);
        }
        assert!(write.try_recv().is_ok(), "a task that was ready ran while another waited");
        assert!(other.await.expect("it does not panic"));
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_shorten_the_next() {
        let timer = Timer::new().unwrap();
        for _ in 0..20 {
            let given_up = timer.wait_until(Instant::now() + Duration::from_micros(500));
            let _ = tokio::time::timeout(Duration::ZERO, given_up).await;
            let due = Instant::now() + Duration::from_millis(2);
            assert!(timer.wait_until(due).await >= due);
        }
    }

    #[tokio::test]
    async fn only_a_thread_with_a_processor_of_its_own_polls() {
        assert_eq!(Timer::new().unwrap().polled, platform::RESOLUTION);
        super::super::BOUND.set(true);
        assert_eq!(Timer::new().unwrap().polled, POLLED.max(platform::RESOLUTION));
    }
}
