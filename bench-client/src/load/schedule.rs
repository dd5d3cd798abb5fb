//! When requests are due: fixed beforehand by the seed, whatever the server does.

use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, Exp1};

use crate::plan::{ArrivalModel, Rate};

/// Requests per second over the time of a trial, and how many are due until a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// In order, at least one, the first at time 0. What is after the last piece has its last rate.
    pieces: Vec<Piece>,
}

/// A time in which the rate changes evenly, or not at all.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    /// When it begins, in seconds.
    start_s: f64,
    /// Requests due before.
    before: f64,
    /// Requests per second at its start.
    rate: f64,
    /// Change of the rate in requests per second, per second.
    slope: f64,
}

impl Piece {
    /// Requests due until `seconds`.
    fn until(&self, seconds: f64) -> f64 {
        let t = seconds - self.start_s;
        self.before + t * (self.rate + self.slope * t / 2.0)
    }

    /// The time, in seconds, until which `count` requests are due.
    fn time_of(&self, count: f64) -> f64 {
        let n = count - self.before;
        // The root of slope/2·t² + rate·t = n in the form that needs no division by a slope of 0.
        let root = (self.rate * self.rate + 2.0 * self.slope * n).max(0.0).sqrt();
        self.start_s + 2.0 * n / (self.rate + root)
    }
}

impl Profile {
    /// The rate over a trial of that length, all slices together.
    ///
    /// # Panics
    /// When a rate is not a positive number, or there is none; a plan holds no such.
    pub fn new(rate: &Rate, length: Duration) -> Self {
        let length_s = length.as_secs_f64();
        let pieces = match rate {
            Rate::Steady(rate) => vec![(0.0, *rate, *rate)],
            Rate::Ramp { from, to } => vec![(0.0, *from, *to), (length_s, *to, *to)],
            Rate::Steps(rates) => {
                let step_s = length_s / rates.len() as f64;
                rates.iter().enumerate().map(|(i, rate)| (i as f64 * step_s, *rate, *rate)).collect()
            }
        };
        let mut profile = Self { pieces: Vec::with_capacity(pieces.len()) };
        for (start_s, from, to) in pieces {
            for rate in [from, to] {
                assert!(rate > 0.0 && rate.is_finite(), "the plan's rates are positive, not {rate}");
            }
            let before = profile.pieces.last().map_or(0.0, |piece| piece.until(start_s));
            let slope = if from == to { 0.0 } else { (to - from) / length_s };
            profile.pieces.push(Piece { start_s, before, rate: from, slope });
        }
        assert!(!profile.pieces.is_empty(), "the plan has at least one rate");
        profile
    }

    /// Requests due until `seconds`, on average.
    pub fn until(&self, seconds: f64) -> f64 {
        self.piece(|piece| piece.start_s <= seconds).until(seconds)
    }

    /// The time, in seconds, until which `count` requests are due on average.
    fn time_of(&self, count: f64) -> f64 {
        self.piece(|piece| piece.before <= count).time_of(count)
    }

    /// The last piece that has begun.
    fn piece(&self, has_begun: impl Fn(&Piece) -> bool) -> &Piece {
        let begun = self.pieces.partition_point(has_begun);
        &self.pieces[begun.saturating_sub(1)]
    }
}

/// The intended times of one slice, as offsets from its start, without end.
///
/// Arrivals at rate 1 are laid out on the axis of requests due, and brought to the axis of time by the profile (time
/// change of a Poisson process: Çinlar, Introduction to Stochastic Processes, §4.7).
pub(super) struct Schedule<'a> {
    model: ArrivalModel,
    profile: &'a Profile,
    offset_s: f64,
    /// The next arrival on the axis of requests due.
    next: f64,
    rng: ChaCha8Rng,
}

impl<'a> Schedule<'a> {
    /// Arrivals of a slice that begins at `offset` of the profile.
    ///
    /// A slice is shorter than many gaps are, so equal gaps begin at a random phase: only then does the mean over slices
    /// keep the rate. Exponential gaps need nothing, having no memory.
    pub(super) fn new(model: ArrivalModel, profile: &'a Profile, offset: Duration, mut rng: ChaCha8Rng) -> Self {
        let offset_s = offset.as_secs_f64();
        let first = match model {
            ArrivalModel::Poisson => Distribution::<f64>::sample(&Exp1, &mut rng),
            ArrivalModel::Constant => rng.random::<f64>(),
        };
        Self { model, profile, offset_s, next: profile.until(offset_s) + first, rng }
    }

    /// When the next request is due.
    pub(super) fn next_due(&mut self) -> Duration {
        let due = Duration::from_secs_f64((self.profile.time_of(self.next) - self.offset_s).max(0.0));
        self.next += match self.model {
            ArrivalModel::Poisson => Distribution::<f64>::sample(&Exp1, &mut self.rng),
            ArrivalModel::Constant => 1.0,
        };
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::rng;

    fn offsets(model: ArrivalModel, rate: f64, length: Duration, seed: u64) -> Vec<f64> {
        slice(model, &Profile::new(&Rate::Steady(rate), length), Duration::ZERO, length, seed)
    }

    fn slice(model: ArrivalModel, profile: &Profile, offset: Duration, length: Duration, seed: u64) -> Vec<f64> {
        let mut schedule = Schedule::new(model, profile, offset, rng(seed, 0));
        std::iter::repeat_with(|| schedule.next_due())
            .take_while(|due| *due < length)
            .map(|due| due.as_secs_f64())
            .collect()
    }

    #[test]
    fn a_ramp_is_the_area_under_its_rate() {
        let profile = Profile::new(&Rate::Ramp { from: 100.0, to: 300.0 }, Duration::from_secs(10));
        for (seconds, due) in [(0.0, 0.0), (5.0, 750.0), (10.0, 2000.0), (12.0, 2600.0)] {
            assert!((profile.until(seconds) - due).abs() < 1e-6, "{seconds} s: {}", profile.until(seconds));
            assert!((profile.time_of(due) - seconds).abs() < 1e-9, "{due}: {}", profile.time_of(due));
        }
        let down = Profile::new(&Rate::Ramp { from: 300.0, to: 100.0 }, Duration::from_secs(10));
        assert!((down.until(5.0) - 1250.0).abs() < 1e-6 && (down.time_of(1250.0) - 5.0).abs() < 1e-9);
    }

    #[test]
    fn steps_share_the_time_evenly() {
        let profile = Profile::new(&Rate::Steps(vec![100.0, 10.0, 1000.0]), Duration::from_secs(3));
        for (seconds, due) in [(0.5, 50.0), (1.0, 100.0), (1.5, 105.0), (2.0, 110.0), (2.5, 610.0), (4.0, 2110.0)] {
            assert!((profile.until(seconds) - due).abs() < 1e-9, "{seconds} s: {}", profile.until(seconds));
            assert!((profile.time_of(due) - seconds).abs() < 1e-9, "{due}: {}", profile.time_of(due));
        }
    }

    #[test]
    fn slices_of_a_ramp_follow_it() {
        let length = Duration::from_secs(10);
        let profile = Profile::new(&Rate::Ramp { from: 1000.0, to: 9000.0 }, length);
        let part = Duration::from_millis(100);
        for model in [ArrivalModel::Constant, ArrivalModel::Poisson] {
            for (tenths, expected) in [(0_u32, 104.0), (50, 504.0), (99, 896.0)] {
                let seeds = 200;
                let arrivals: usize =
                    (0..seeds).map(|seed| slice(model, &profile, part * tenths, part, seed).len()).sum();
                let mean = arrivals as f64 / seeds as f64;
                // The standard deviation of the mean is 2 at most.
                assert!((mean - expected).abs() < 8.0, "{model:?}, slice {tenths}: {mean}, expected {expected}");
            }
        }
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
}
