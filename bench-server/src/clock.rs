//! `now()`, replaceable: every expiry follows one clock that a test may move forward.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::ClockMode;

/// A point in time as the duration since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub Duration);

impl UnixTime {
    /// Whole seconds: a JWT's `NumericDate` (RFC 7519 §2).
    pub fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
}

/// The process's clock. Clones share the offset.
#[derive(Debug, Clone)]
pub struct Clock {
    offset_ns: Option<Arc<AtomicU64>>,
}

/// The clock follows the operating system and cannot be moved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock is not controlled; start the server with `clock = \"controlled\"`")]
pub struct NotControlled;

impl Clock {
    /// A clock of the configured kind.
    pub fn new(mode: ClockMode) -> Self {
        Self { offset_ns: (mode == ClockMode::Controlled).then(Arc::default) }
    }

    /// The time now.
    pub fn now(&self) -> UnixTime {
        #[cfg(test)]
        READINGS.set(READINGS.get() + 1);
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let offset = self.offset_ns.as_ref().map_or(0, |ns| ns.load(Ordering::Relaxed));
        UnixTime(system + Duration::from_nanos(offset))
    }

    /// Moves a controlled clock forward.
    ///
    /// # Errors
    /// [`NotControlled`] for the system clock.
    pub fn advance(&self, by: Duration) -> Result<(), NotControlled> {
        let offset = self.offset_ns.as_ref().ok_or(NotControlled)?;
        offset.fetch_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(())
    }
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
            ["System", "Utc", "Local", "OffsetDateTime"].iter().any(|kind| {
                text.contains(&format!("{kind}{}", if *kind == "System" { "Time::now" } else { "::now" }))
            })
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
}
