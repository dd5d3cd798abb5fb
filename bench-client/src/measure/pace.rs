//! How far the measuring has come, and whether the user wants it to end.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::MeasureError;
use crate::progress::Progress;

/// How often, outside of load, the user's wish to stop is looked for: too short to be felt, too long to cost anything.
const LOOK: Duration = Duration::from_millis(50);

/// Progress in expected time, and the user's interruption.
pub(super) struct Pace<'a> {
    progress: &'a mut dyn Progress,
    interrupted: &'a AtomicBool,
    expected: Duration,
    done: Duration,
}

impl<'a> Pace<'a> {
    /// Announces work of about that length.
    pub(super) fn begin(progress: &'a mut dyn Progress, interrupted: &'a AtomicBool, expected: Duration) -> Self {
        progress.begin(expected);
        Self { progress, interrupted, expected, done: Duration::ZERO }
    }

    /// What happens now.
    pub(super) fn stage(&mut self, text: &str) {
        self.progress.stage(text);
    }

    /// A warning the user should see at once.
    pub(super) fn warn(&mut self, text: &str) {
        self.progress.warn(text);
    }

    /// Work that was expected to take that long is done.
    pub(super) fn spent(&mut self, expected: Duration) {
        self.done += expected;
        self.show(Duration::ZERO);
    }

    /// All done, or given up.
    pub(super) fn end(self) {
        self.progress.end();
    }

    /// Whether to go on.
    ///
    /// # Errors
    /// [`MeasureError::Interrupted`].
    pub(super) fn check(&self) -> Result<(), MeasureError> {
        if self.interrupted.load(Ordering::Relaxed) { Err(MeasureError::Interrupted) } else { Ok(()) }
    }

    /// Carries out work that is expected to take that long, unless the user wants to stop: then it is dropped where it
    /// stands. Not for load, which the looking would disturb.
    ///
    /// # Errors
    /// The work's own, or [`MeasureError::Interrupted`].
    pub(super) async fn during<T, E: Into<MeasureError>>(
        &mut self,
        expected: Duration,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, MeasureError> {
        let begun = Instant::now();
        let mut work = std::pin::pin!(work);
        let result = loop {
            self.check()?;
            match tokio::time::timeout(LOOK, work.as_mut()).await {
                Ok(result) => break result.map_err(Into::into),
                Err(_) => self.show(begun.elapsed().min(expected)),
            }
        };
        self.spent(expected);
        result
    }

    fn show(&mut self, underway: Duration) {
        let share = (self.done + underway).as_secs_f64() / self.expected.as_secs_f64().max(f64::MIN_POSITIVE);
        self.progress.advance(share.min(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Shares(Vec<f64>);

    impl Progress for Shares {
        fn begin(&mut self, _expected: Duration) {}
        fn stage(&mut self, _text: &str) {}
        fn advance(&mut self, share: f64) {
            self.0.push(share);
        }
        fn warn(&mut self, _text: &str) {}
        fn end(&mut self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn work_counts_as_expected_however_long_it_took() {
        let (mut shares, interrupted) = (Shares::default(), AtomicBool::new(false));
        let mut pace = Pace::begin(&mut shares, &interrupted, Duration::from_secs(4));
        pace.spent(Duration::from_secs(1));
        let done = pace.during(Duration::from_secs(1), async { Ok::<_, MeasureError>(7) }).await;
        assert_eq!(done.expect("nobody interrupts"), 7);
        pace.spent(Duration::from_secs(3)); // more than announced
        pace.end();
        assert_eq!(shares.0, [0.25, 0.5, 1.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_work_that_would_go_on() {
        let (mut shares, interrupted) = (Shares::default(), AtomicBool::new(false));
        let mut pace = Pace::begin(&mut shares, &interrupted, Duration::from_secs(4));
        pace.check().expect("not yet");
        let work = async {
            interrupted.store(true, Ordering::Relaxed);
            std::future::pending::<Result<(), MeasureError>>().await
        };
        let result = pace.during(Duration::from_secs(1), work).await;
        assert!(matches!(result, Err(MeasureError::Interrupted)), "{result:?}");
        assert!(matches!(pace.check(), Err(MeasureError::Interrupted)));
    }
}
