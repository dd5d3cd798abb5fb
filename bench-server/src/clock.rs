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
