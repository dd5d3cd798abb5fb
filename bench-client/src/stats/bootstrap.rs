//! Bootstrap intervals: how much a figure would move if the run were made again.
//!
//! Percentile method (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, §13.3). Trials of one start share
//! the layout and the connections of one life of the processes, so starts are drawn first and then rounds inside each
//! drawn start (the two-stage cluster bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application", 1997,
//! §3.8). BCa was left out: its acceleration is itself a jackknife over the trials, and with the three starts of a
//! usual run that estimate is noise.

use std::collections::BTreeMap;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

/// Replicates per interval: the 2.5 % tails then hold 25 replicates each.
const REPLICATES: usize = 1000;

/// Share of replicates beyond each end of a 95 % interval.
pub(super) const TAIL: f64 = 0.025;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Half of the distance between the ends.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0
    }
}

/// What is drawn again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grouping {
    /// Starts, then rounds inside each start.
    StartsThenRounds,
    /// Rounds of the only start: what restarting the processes would change is not in the interval.
    Rounds,
}

/// The drawings of a bootstrap: each is a weight per trial.
#[derive(Debug, Clone)]
pub struct Resampler {
    weights: Vec<Vec<u32>>,
    grouping: Grouping,
}

impl Resampler {
    /// Draws from trials given as the start that each belongs to, in the order in which weights are wanted. `None` for
    /// fewer than two trials: one trial says nothing about how much another would differ.
    pub fn new(starts: &[u32], seed: u64) -> Option<Self> {
        if starts.len() < 2 {
            return None;
        }
        let mut groups: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (trial, start) in starts.iter().enumerate() {
            groups.entry(*start).or_default().push(trial);
        }
        let groups: Vec<Vec<usize>> = groups.into_values().collect();
        let grouping = if groups.len() > 1 { Grouping::StartsThenRounds } else { Grouping::Rounds };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let weights = (0..REPLICATES)
            .map(|_| {
                let mut weights = vec![0; starts.len()];
                for _ in 0..groups.len() {
                    let group = &groups[rng.random_range(0..groups.len())];
                    for _ in 0..group.len() {
                        weights[group[rng.random_range(0..group.len())]] += 1;
                    }
                }
                weights
            })
            .collect();
        Some(Self { weights, grouping })
    }

    /// What is drawn.
    pub fn grouping(&self) -> Grouping {
        self.grouping
    }

    /// The weights of every drawing: for statistics that are drawn together.
    pub fn drawings(&self) -> impl Iterator<Item = &[u32]> {
        self.weights.iter().map(Vec::as_slice)
    }

    /// The interval of a statistic of the weighted trials. Replicates without a value are left out; `None` when more
    /// than half have none.
    pub fn interval(&self, mut statistic: impl FnMut(&[u32]) -> Option<f64>) -> Option<Interval> {
        let [interval] = self.intervals(|weights| [statistic(weights)]);
        interval
    }

    /// The intervals of several statistics that share their work.
    pub fn intervals<const N: usize>(
        &self,
        mut statistics: impl FnMut(&[u32]) -> [Option<f64>; N],
    ) -> [Option<Interval>; N] {
        let mut replicates: [Vec<f64>; N] = std::array::from_fn(|_| Vec::with_capacity(self.weights.len()));
        for weights in &self.weights {
            for (values, value) in replicates.iter_mut().zip(statistics(weights)) {
                values.extend(value.filter(|value| value.is_finite()));
            }
        }
        replicates.map(|values| middle(values, self.weights.len()))
    }
}

/// The replicates without the [`TAIL`] at each end.
fn middle(mut values: Vec<f64>, drawn: usize) -> Option<Interval> {
    if values.is_empty() || values.len() * 2 < drawn {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len() - 1;
    let low = values[(TAIL * last as f64).floor() as usize];
    let high = values[((1.0 - TAIL) * last as f64).ceil() as usize];
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(values: &[f64]) -> impl Fn(&[u32]) -> Option<f64> {
        move |weights| {
            let n: u32 = weights.iter().sum();
            let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * f64::from(*weight)).sum();
            Some(sum / f64::from(n))
        }
    }

    #[test]
    fn one_trial_has_no_interval() {
        assert!(Resampler::new(&[], 1).is_none());
        assert!(Resampler::new(&[0], 1).is_none());
    }

    #[test]
    fn equal_values_give_an_interval_of_no_width() {
        let resampler = Resampler::new(&[0, 0, 1, 1], 7).expect("four trials");
        let interval = resampler.interval(mean_of(&[5.0; 4])).expect("values");
        assert_eq!((interval.low, interval.high), (5.0, 5.0));
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let values = [1.0, 4.0, 2.0, 8.0, 5.0, 7.0];
        let starts = [0, 0, 1, 1, 2, 2];
        let of = |seed| Resampler::new(&starts, seed).expect("six trials").interval(mean_of(&values));
        assert_eq!(of(42), of(42));
    }

    #[test]
    fn the_interval_of_a_mean_has_the_known_width() {
        // 100 trials of one start with standard deviation 1: the mean's 95 % interval is about ±1.96/√100.
        let values: Vec<f64> = (0..100).map(|i| if i % 2 == 0 { 9.0 } else { 11.0 }).collect();
        let resampler = Resampler::new(&[0; 100], 3).expect("trials");
        assert_eq!(resampler.grouping(), Grouping::Rounds);
        let interval = resampler.interval(mean_of(&values)).expect("values");
        assert!((interval.low - 9.804).abs() < 0.05, "{interval:?}");
        assert!((interval.high - 10.196).abs() < 0.05, "{interval:?}");
    }

    #[test]
    fn differences_between_starts_widen_the_interval() {
        // Rounds agree within a start, starts do not: drawing rounds alone would call this far too certain.
        let values: Vec<f64> = (0..30).map(|i| f64::from(i / 10) + f64::from(i % 2) * 0.01).collect();
        let starts: Vec<u32> = (0..30).map(|i| i / 10).collect();
        let nested = Resampler::new(&starts, 5).expect("trials");
        assert_eq!(nested.grouping(), Grouping::StartsThenRounds);
        let nested = nested.interval(mean_of(&values)).expect("values");
        let flat = Resampler::new(&[0; 30], 5).expect("trials").interval(mean_of(&values)).expect("values");
        assert!(nested.half_width() > 1.5 * flat.half_width(), "{nested:?} against {flat:?}");
    }

    #[test]
    fn a_statistic_that_mostly_fails_has_no_interval() {
        let resampler = Resampler::new(&[0, 0], 1).expect("two trials");
        assert_eq!(resampler.interval(|_| None), None);
        assert_eq!(resampler.interval(|_| Some(f64::NAN)), None);
    }
}
