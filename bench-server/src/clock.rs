//! `now()`, replaceable: every expiry follows one clock that a test may move forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::ClockMode;
use crate::contract::ClockChange;

/// A point in time as the duration since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub Duration);

impl UnixTime {
    /// Whole seconds: a JWT's `NumericDate` (RFC 7519 §2).
    pub fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
}

/// The process's clock. Clones share what is done to it.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Absent for the operating system's clock.
    controlled: Option<Arc<Controlled>>,
}

/// How a controlled clock differs from the operating system's.
#[derive(Debug)]
struct Controlled {
    offset_ns: AtomicI64,
    /// Where it stands still, or [`RUNNING`].
    stopped_ns: AtomicU64,
}

const RUNNING: u64 = u64::MAX;

/// The clock follows the operating system and cannot be moved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is not controlled; start the server with `clock = \"controlled\"`")]
pub struct NotControlled;

impl Clock {
    /// A clock of the configured kind.
    pub fn new(mode: ClockMode) -> Self {
        let controlled = || Arc::new(Controlled { offset_ns: AtomicI64::new(0), stopped_ns: AtomicU64::new(RUNNING) });
        Self { controlled: (mode == ClockMode::Controlled).then(controlled) }
    }

    /// The time now.
    pub fn now(&self) -> UnixTime {
        #[cfg(test)]
        READINGS.set(READINGS.get() + 1);
        let system = system_time();
        UnixTime(self.controlled.as_ref().map_or(system, |controlled| controlled.time(system)))
    }

    /// Moves a controlled clock forward.
    ///
    /// # Errors
    /// [`NotControlled`] for the system clock.
    pub fn advance(&self, by: Duration) -> Result<(), NotControlled> {
        self.change(ClockChange::Advance(by))
    }

    /// Moves, sets, stops or starts a controlled clock. One who does so at a time, or their changes mingle.
    ///
    /// # Errors
    /// [`NotControlled`] for the system clock.
    pub fn change(&self, change: ClockChange) -> Result<(), NotControlled> {
        let controlled = self.controlled.as_ref().ok_or(NotControlled)?;
        let system = system_time();
        let now = controlled.time(system);
        let (now, stands) = match change {
            ClockChange::Advance(by) => (now.saturating_add(by), controlled.stands()),
            ClockChange::Set(to) => (Duration::from_secs(to), controlled.stands()),
            ClockChange::Freeze => (now, true),
            ClockChange::Run => (now, false),
        };
        controlled.offset_ns.store(nanoseconds(now).saturating_sub(nanoseconds(system)), Ordering::Relaxed);
        let stopped = if stands { nanoseconds(now).unsigned_abs() } else { RUNNING };
        controlled.stopped_ns.store(stopped, Ordering::Relaxed);
        Ok(())
    }
}

impl Controlled {
    fn time(&self, system: Duration) -> Duration {
        match self.stopped_ns.load(Ordering::Relaxed) {
            RUNNING => {
                let offset = self.offset_ns.load(Ordering::Relaxed);
                let distance = Duration::from_nanos(offset.unsigned_abs());
                if offset < 0 { system.saturating_sub(distance) } else { system + distance }
            }
            stopped => Duration::from_nanos(stopped),
        }
    }

    fn stands(&self) -> bool {
        self.stopped_ns.load(Ordering::Relaxed) != RUNNING
    }
}

fn system_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// At most the year 2262.
fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
thread_local! {
    /// How often this thread has read a clock.
    pub(crate) static READINGS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                sources(&path, found);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn xc_17_nothing_else_reads_the_time_of_day() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        sources(&root, &mut found);
        assert!(found.len() > 50, "the sources are where this test looks");
        let reads = |path: &PathBuf| {
            let text = fs::read_to_string(path).expect("UTF-8");
            // Split, so that this line is none.
            ["System", "Utc", "Local", "OffsetDateTime"]
                .iter()
                .any(|kind| text.contains(&format!("{kind}{}", if *kind == "System" { "Time::now" } else { "::now" })))
        };
        // What Redis numbers by its own time of day is thrown away by that.
        let may = ["clock.rs", "store/redis.rs"].map(|name| root.join(name));
        let elsewhere: Vec<_> = found.iter().filter(|path| reads(path) && !may.contains(path)).collect();
        assert!(elsewhere.is_empty(), "{elsewhere:?}");
        assert!(reads(&may[0]), "it finds what it looks for");
    }

    #[test]
    fn hk_7_a_controlled_clock_goes_forward_and_all_its_clones_with_it() {
        let clock = Clock::new(ClockMode::Controlled);
        let (other, before) = (clock.clone(), clock.now());
        clock.advance(Duration::from_secs(3600)).expect("controlled");
        assert!(other.now().0 >= before.0 + Duration::from_secs(3600));
        assert_eq!(Clock::new(ClockMode::System).advance(Duration::from_secs(1)), Err(NotControlled));
    }

    #[test]
    fn hk_7_a_controlled_clock_is_set_stopped_and_started() {
        let clock = Clock::new(ClockMode::Controlled);
        let change = |change| clock.change(change).expect("controlled");
        change(ClockChange::Freeze);
        let stands = clock.now();
        assert_eq!(clock.now(), stands);
        change(ClockChange::Advance(Duration::from_millis(1_500)));
        assert_eq!(clock.now().0, stands.0 + Duration::from_millis(1_500));
        // Backwards too, and to the nanosecond while it stands.
        for to in [1_000, 4_000_000_000, 0] {
            change(ClockChange::Set(to));
            assert_eq!(clock.clone().now(), UnixTime(Duration::from_secs(to)));
        }
        change(ClockChange::Set(86_400));
        change(ClockChange::Run);
        let goes_on = clock.now();
        assert!(goes_on.as_secs() >= 86_400 && goes_on < stands, "{goes_on:?}");
        while clock.now() == goes_on {
            std::hint::spin_loop();
        }
        change(ClockChange::Set(1_000));
        assert!((1_000..stands.as_secs()).contains(&clock.now().as_secs()));
        assert_eq!(Clock::new(ClockMode::System).change(ClockChange::Freeze), Err(NotControlled));
    }
}
