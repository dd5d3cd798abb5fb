//! When requests are due: fixed beforehand by the seed, whatever the server does. And how that instant is met.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use crate::plan::ArrivalModel;

/// The intended times of one slice, as offsets from its start.
pub(super) struct Schedule {
    model: ArrivalModel,
    gap_ns: f64,
    next_ns: f64,
    end_ns: f64,
    rng: ChaCha8Rng,
}

impl Schedule {
    /// Arrivals at `rate_per_s` within `length`.
    ///
    /// A slice is shorter than many gaps are, so equal gaps begin at a random phase: only then does the mean over slices
    /// keep the rate. Exponential gaps need nothing, having no memory.
    ///
    /// # Panics
    /// When the rate is not a positive number.
    pub(super) fn new(model: ArrivalModel, rate_per_s: f64, length: Duration, mut rng: ChaCha8Rng) -> Self {
        assert!(rate_per_s > 0.0 && rate_per_s.is_finite(), "the plan's rate is positive, not {rate_per_s}");
        let gap_ns = 1e9 / rate_per_s;
        let next_ns = gap_ns
            * match model {
                ArrivalModel::Poisson => Distribution::<f64>::sample(&Exp1, &mut rng),
                ArrivalModel::Constant => rng.random::<f64>(),
            };
        Self { model, gap_ns, next_ns, end_ns: length.as_nanos() as f64, rng }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.next_ns >= self.end_ns {
            return None;
        }
        let due = Duration::from_nanos(self.next_ns as u64);
        self.next_ns += self.gap_ns
            * match self.model {
                ArrivalModel::Poisson => Distribution::<f64>::sample(&Exp1, &mut self.rng),
                ArrivalModel::Constant => 1.0,
            };
        Some(due)
    }
}

/// How long before an intended time the timer gives way to polling. tokio's timer wakes up to 1 ms late, and the rest is
/// for the wake-up itself. The client has a core of its own, so the polling takes nothing from the server.
const TIMER_SLACK: Duration = Duration::from_micros(1500);

/// Waits for an instant and returns the first reading of the clock that is not before it.
///
/// While polling, `yield_now` hands over to the runtime, which looks for input and output before it comes back: answers
/// to other requests are not kept waiting.
pub(super) async fn wait_until(due: Instant) -> Instant {
    let mut now = Instant::now();
    if due > now + TIMER_SLACK {
        tokio::time::sleep_until((due - TIMER_SLACK).into()).await;
        now = Instant::now();
    }
    while now < due {
        tokio::task::yield_now().await;
        now = Instant::now();
    }
    now
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::rng;

    fn offsets(model: ArrivalModel, rate: f64, length: Duration, seed: u64) -> Vec<f64> {
        Schedule::new(model, rate, length, rng(seed, 0)).map(|due| due.as_secs_f64()).collect()
    }

    #[test]
    fn poisson_gaps_are_exponential() {
        let offsets = offsets(ArrivalModel::Poisson, 1000.0, Duration::from_secs(100), 1);
        let n = offsets.len() as f64;
        // The count has mean 100 000 and standard deviation 316; the seed is fixed.
        assert!((n - 100_000.0).abs() < 1000.0, "{n}");
        let gaps: Vec<f64> = offsets.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        let variation = variance.sqrt() / mean;
        assert!((variation - 1.0).abs() < 0.02, "coefficient of variation {variation}, exponential has 1");
        let short = gaps.iter().filter(|gap| **gap < mean).count() as f64 / gaps.len() as f64;
        assert!((short - (1.0 - (-1.0_f64).exp())).abs() < 0.01, "share below the mean {short}, exponential has 0.632");
    }

    #[test]
    fn constant_gaps_are_equal() {
        let offsets = offsets(ArrivalModel::Constant, 1000.0, Duration::from_secs(1), 1);
        assert_eq!(offsets.len(), 1000);
        for pair in offsets.windows(2) {
            assert!((pair[1] - pair[0] - 0.001).abs() < 2e-9, "{pair:?}");
        }
    }

    #[test]
    fn slices_shorter_than_a_gap_keep_the_rate() {
        for model in [ArrivalModel::Constant, ArrivalModel::Poisson] {
            let slices = 20_000;
            let arrivals: usize =
                (0..slices).map(|seed| offsets(model, 30.0, Duration::from_millis(20), seed).len()).sum();
            let per_slice = arrivals as f64 / slices as f64;
            assert!((per_slice - 0.6).abs() < 0.03, "{model:?}: {per_slice} arrivals per slice, 30/s × 20 ms is 0.6");
        }
    }

    #[test]
    fn the_seed_decides_and_all_is_in_order_and_inside() {
        let length = Duration::from_millis(300);
        for model in [ArrivalModel::Constant, ArrivalModel::Poisson] {
            let first = offsets(model, 5000.0, length, 9);
            assert_eq!(first, offsets(model, 5000.0, length, 9));
            assert_ne!(first, offsets(model, 5000.0, length, 10));
            assert!(first.is_sorted());
            assert!(first.iter().all(|due| *due < length.as_secs_f64()));
        }
    }

    #[tokio::test]
    async fn waiting_never_ends_early_and_lets_other_tasks_run() {
        let (read, write) = std::sync::mpsc::channel();
        let other = tokio::spawn(async move { read.send(()).is_ok() });
        for wait in [Duration::ZERO, Duration::from_micros(200), Duration::from_millis(4)] {
            let due = Instant::now() + wait;
            assert!(wait_until(due).await >= due);
        }
        assert!(write.try_recv().is_ok(), "a task that was ready ran while another waited");
        assert!(other.await.expect("it does not panic"));
    }
}
