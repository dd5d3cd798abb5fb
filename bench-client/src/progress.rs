//! Progress with time left: a bar on a terminal, plain lines elsewhere; always on stderr.

use std::time::Duration;

/// Told what the measuring does.
pub trait Progress {
    /// The whole will take about this long.
    fn begin(&mut self, expected: Duration);
    /// What happens now, like `start 2 of 5: throughput, round 3 of 10`.
    fn stage(&mut self, text: &str);
    /// So much of the expected time's work is done, from 0 to 1.
    fn advance(&mut self, share: f64);
    /// A warning the user should see at once.
    fn warn(&mut self, text: &str);
    /// All done, or given up.
    fn end(&mut self);
}
