//! Where two measured lines cross, and how sure that is.
//!
//! A line is known at a few places and taken to be straight between them, in the swept value or in its logarithm. Its
//! crossing with another is a quotient of differences, so its distribution is skewed and an interval may reach beyond
//! what was measured (Fieller, "Some Problems in Interval Estimation", Journal of the Royal Statistical Society B 16,
//! 1954). The interval therefore comes from a percentile bootstrap (Efron and Tibshirani, "An Introduction to the
//! Bootstrap", 1993, §13.3) in which a drawing without a crossing counts as one beyond the end that its lines tend to:
//! such drawings are ordered like the others, and where they are many the interval is open on that side.

use serde::{Deserialize, Serialize};

use super::bootstrap::TAIL;

/// In which measure of the swept value lines are straight and axes are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spacing {
    /// The value itself.
    Linear,
    /// Its logarithm; from 0 to the first value over 0 the value itself, since 0 has no logarithm.
    Logarithmic,
}

impl Spacing {
    /// The measure in which the places lie more evenly, judged by the widest gap as a share of the range. Places below 0
    /// leave only the linear one, as do fewer than three over 0.
    pub fn of(places: &[f64]) -> Self {
        let widest = |places: Vec<f64>| {
            let range = places.last()? - places.first()?;
            let gaps = places.windows(2).map(|pair| (pair[1] - pair[0]) / range);
            gaps.reduce(f64::max)
        };
        let mut sorted = places.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.dedup();
        let logarithms: Vec<f64> = sorted.iter().filter(|place| **place > 0.0).map(|place| place.ln()).collect();
        if sorted.first().is_none_or(|least| *least < 0.0) || logarithms.len() < 3 {
            return Self::Linear;
        }
        match (widest(sorted), widest(logarithms)) {
            (Some(linear), Some(logarithmic)) if logarithmic < linear => Self::Logarithmic,
            _ => Self::Linear,
        }
    }

    /// How far `x` lies from `from` to `to`, from 0 to 1.
    fn share(self, x: f64, from: f64, to: f64) -> f64 {
        match self {
            Self::Logarithmic if from > 0.0 => (x / from).ln() / (to / from).ln(),
            _ => (x - from) / (to - from),
        }
    }

    /// The place that far from `from` to `to`.
    pub fn between(self, share: f64, from: f64, to: f64) -> f64 {
        match self {
            Self::Logarithmic if from > 0.0 => from * (to / from).powf(share),
            _ => from + share * (to - from),
        }
    }
}

/// A line's height at `x` from its known `(place, height)` in ascending order; `None` outside of them.
pub fn interpolate(line: &[(f64, f64)], x: f64, spacing: Spacing) -> Option<f64> {
    if let Some((_, height)) = line.iter().find(|(place, _)| *place == x) {
        return Some(*height);
    }
    let after = line.iter().position(|(place, _)| *place > x)?;
    let ((from, low), (to, high)) = (*line.get(after.checked_sub(1)?)?, line[after]);
    Some(low + spacing.share(x, from, to) * (high - low))
}

/// Places where the difference of two lines changes its sign, ascending. `difference` is known at the ascending `places`.
///
/// Lines that touch without changing sides do not cross. Where they run together before they change sides, the crossing
/// is the middle of that stretch.
pub fn sign_changes(places: &[f64], difference: &[f64], spacing: Spacing) -> Vec<f64> {
    let apart: Vec<usize> = (0..places.len()).filter(|i| difference[*i] != 0.0 && !difference[*i].is_nan()).collect();
    let changes = apart.windows(2).filter(|pair| (difference[pair[0]] > 0.0) != (difference[pair[1]] > 0.0));
    changes
        .map(|pair| match (pair[0], pair[1]) {
            (from, to) if to == from + 1 => {
                let share = difference[from] / (difference[from] - difference[to]);
                spacing.between(share, places[from], places[to])
            }
            (from, to) => spacing.between(0.5, places[from + 1], places[to - 1]),
        })
        .collect()
}

/// A crossing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Crossing {
    /// Where the lines of all trials together cross.
    pub at: f64,
    /// Its 95 % interval; absent when there are too few trials, or when the drawings disagree about how many crossings
    /// there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<CrossingInterval>,
}

/// Ends of an interval of a crossing; an absent one lies beyond what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CrossingInterval {
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// The crossings of two lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crossings {
    /// In ascending order; empty where one line stays below the other.
    pub found: Vec<Crossing>,
    /// Whether the first line is the lower one at the lowest place where both are known.
    pub first_is_lower: bool,
    /// Share of the bootstrap's drawings that have as many crossings; absent without bootstrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
}

/// Crossings from the difference first line − second line at ascending `places`, and from the same in each drawing of a
/// bootstrap (empty without one; a drawing that lacks a place is left out).
pub fn crossings(places: &[f64], difference: &[f64], drawings: &[Vec<Option<f64>>], spacing: Spacing) -> Crossings {
    let first_is_lower = lower_first(difference);
    let found = sign_changes(places, difference, spacing);
    let drawn: Vec<Vec<f64>> = drawings.iter().filter_map(|drawing| drawing.iter().copied().collect()).collect();
    let drawn: Vec<(bool, Vec<f64>)> =
        drawn.iter().map(|difference| (lower_first(difference), sign_changes(places, difference, spacing))).collect();
    let as_many = drawn.iter().filter(|(_, changes)| changes.len() == found.len()).count();
    let enough = drawn.len() * 2 >= drawings.len() && !drawn.is_empty();
    let interval = |index: usize| {
        let mut at: Vec<f64> = match found.len() {
            1 => drawn.iter().filter_map(|(lower, changes)| only(*lower == first_is_lower, changes)).collect(),
            // Which of several is missing cannot be told.
            count => {
                let same = |(lower, changes): &&(bool, Vec<f64>)| *lower == first_is_lower && changes.len() == count;
                drawn.iter().filter(same).map(|(_, changes)| changes[index]).collect()
            }
        };
        if !enough || at.len() * 2 < drawn.len() {
            return None;
        }
        at.sort_unstable_by(f64::total_cmp);
        let last = (at.len() - 1) as f64;
        let end = |position: f64| Some(at[position as usize]).filter(|place| place.is_finite());
        Some(CrossingInterval { low: end((TAIL * last).floor()), high: end(((1.0 - TAIL) * last).ceil()) })
    };
    Crossings {
        found: found.iter().enumerate().map(|(i, at)| Crossing { at: *at, interval: interval(i) }).collect(),
        first_is_lower,
        agreement: enough.then(|| as_many as f64 / drawn.len() as f64),
    }
}

/// Where a drawing puts a crossing that is the only one: the middle one of an odd number, and beyond an end for an even
/// number, whose lines end in the order in which they begin. `None` for a drawing that changes sides the other way.
fn only(begins_alike: bool, changes: &[f64]) -> Option<f64> {
    match (changes.len() % 2 == 1, begins_alike) {
        (true, true) => Some(changes[changes.len() / 2]),
        (true, false) => None,
        (false, true) => Some(f64::INFINITY),
        (false, false) => Some(f64::NEG_INFINITY),
    }
}

fn lower_first(difference: &[f64]) -> bool {
    difference.iter().find(|difference| **difference != 0.0).is_some_and(|difference| *difference < 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn spacing_follows_the_places() {
        for (places, expected) in [
            (&[0.0, 1.0, 2.0, 3.0][..], Spacing::Linear),
            (&[1e3, 1e4, 1e5, 1e6, 1e7], Spacing::Logarithmic),
            (&[0.0, 50.0, 200.0, 1_000.0, 5_000.0, 10_000.0], Spacing::Logarithmic),
            (&[10_000.0, 200.0, 1_000.0, 50.0], Spacing::Logarithmic),
            (&[1.0, 1_000.0], Spacing::Linear),
            (&[0.0, 1.0, 1_000.0], Spacing::Linear),
            (&[-1.0, 1.0, 10.0, 100.0], Spacing::Linear),
            (&[5.0], Spacing::Linear),
            (&[], Spacing::Linear),
        ] {
            assert_eq!(Spacing::of(places), expected, "{places:?}");
        }
    }

    #[test]
    fn lines_are_straight_between_places() {
        let line = [(1.0, 10.0), (100.0, 30.0)];
        assert_eq!(interpolate(&line, 1.0, Spacing::Logarithmic), Some(10.0));
        near(interpolate(&line, 10.0, Spacing::Logarithmic).expect("inside"), 20.0);
        near(interpolate(&line, 50.5, Spacing::Linear).expect("inside"), 20.0);
        assert_eq!(interpolate(&line, 0.5, Spacing::Linear), None);
        assert_eq!(interpolate(&line, 100.5, Spacing::Linear), None);
        assert_eq!(interpolate(&[], 1.0, Spacing::Linear), None);
        // 0 has no logarithm: the first stretch is linear in the value.
        near(interpolate(&[(0.0, 0.0), (4.0, 8.0), (16.0, 0.0)], 1.0, Spacing::Logarithmic).expect("inside"), 2.0);
    }

    #[test]
    fn crossings_are_where_the_difference_is_nothing() {
        // y = x against y = 30 over 0 to 100.
        let linear = sign_changes(&[0.0, 20.0, 100.0], &[-30.0, -10.0, 70.0], Spacing::Linear);
        assert_eq!(linear.len(), 1);
        near(linear[0], 30.0);
        // y = log10 x against y = 2.5.
        let log = sign_changes(&[10.0, 100.0, 1000.0], &[-1.5, -0.5, 0.5], Spacing::Logarithmic);
        near(log[0], 10_f64.powf(2.5));
        assert_eq!(sign_changes(&[0.0, 1.0, 2.0, 3.0], &[1.0, -1.0, -1.0, 1.0], Spacing::Linear), [0.5, 2.5]);
        assert!(sign_changes(&[0.0, 1.0], &[1.0, 2.0], Spacing::Linear).is_empty());
        assert!(sign_changes(&[], &[], Spacing::Linear).is_empty());
    }

    #[test]
    fn touching_is_no_crossing_and_running_together_is_one() {
        let at = |difference: &[f64]| sign_changes(&[0.0, 1.0, 2.0, 3.0], difference, Spacing::Linear);
        assert!(at(&[1.0, 0.0, 1.0, 1.0]).is_empty());
        assert_eq!(at(&[1.0, 0.0, -1.0, -1.0]), [1.0]);
        assert_eq!(at(&[1.0, 0.0, 0.0, -1.0]), [1.5]);
        assert!(at(&[0.0, 1.0, 1.0, 1.0]).is_empty());
        assert!(at(&[0.0; 4]).is_empty());
    }

    fn drawing(difference: [f64; 2]) -> Vec<Option<f64>> {
        difference.map(Some).to_vec()
    }

    /// Drawings of y = x against the heights given, over 0 to 100.
    fn against(heights: impl Iterator<Item = f64>) -> Crossings {
        let drawings: Vec<_> = heights.map(|height| drawing([-height, 100.0 - height])).collect();
        crossings(&[0.0, 100.0], &[-50.0, 50.0], &drawings, Spacing::Linear)
    }

    #[test]
    fn the_interval_is_the_middle_of_the_drawings() {
        let result = against((0..=1000).map(|i| 40.0 + f64::from(i) * 0.02));
        assert!(result.first_is_lower);
        assert_eq!((result.found.len(), result.agreement), (1, Some(1.0)));
        near(result.found[0].at, 50.0);
        let interval = result.found[0].interval.expect("drawn");
        near(interval.low.expect("inside"), 40.5);
        near(interval.high.expect("inside"), 59.5);
    }

    #[test]
    fn drawings_without_a_crossing_open_the_interval_at_the_end_that_they_tend_to() {
        // One in ten lies above the line's end: it crosses later than was measured.
        let later = against((0..1000).map(|i| if i % 10 == 0 { 120.0 } else { 45.0 + f64::from(i) * 0.01 }));
        let interval = later.found[0].interval.expect("drawn");
        assert!(interval.low.is_some_and(|low| (45.0..46.0).contains(&low)), "{interval:?}");
        assert_eq!((interval.high, later.agreement), (None, Some(0.9)));
        let earlier = against((0..1000).map(|i| if i % 10 == 0 { -5.0 } else { 45.0 + f64::from(i) * 0.01 }));
        let interval = earlier.found[0].interval.expect("drawn");
        assert!(interval.low.is_none() && interval.high.is_some(), "{interval:?}");
        // One in a hundred is fewer than the tail that is cut off.
        let rarely = against((0..1000).map(|i| if i % 100 == 0 { 120.0 } else { 50.0 }));
        near(rarely.found[0].interval.and_then(|interval| interval.high).expect("inside"), 50.0);
    }

    #[test]
    fn a_wiggle_about_the_crossing_counts_as_its_middle() {
        let places = [0.0, 1.0, 2.0, 3.0];
        let drawings = vec![[-1.0, 1.0, -1.0, 1.0].map(Some).to_vec(); 10];
        let result = crossings(&places, &[-3.0, -1.0, 1.0, 3.0], &drawings, Spacing::Linear);
        assert_eq!(result.agreement, Some(0.0));
        let interval = result.found[0].interval.expect("drawn");
        assert_eq!((interval.low, interval.high), (Some(1.5), Some(1.5)));
    }

    #[test]
    fn several_crossings_have_intervals_where_most_drawings_have_as_many() {
        let places = [0.0, 1.0, 2.0];
        let both = |by: f64| [1.0, -1.0 + by, 1.0].map(Some).to_vec();
        let drawings: Vec<_> = (0..100).map(|i| both(if i < 80 { 0.0 } else { 3.0 })).collect();
        let result = crossings(&places, &[1.0, -1.0, 1.0], &drawings, Spacing::Linear);
        assert_eq!((result.first_is_lower, result.agreement), (false, Some(0.8)));
        let at: Vec<f64> = result.found.iter().map(|crossing| crossing.at).collect();
        assert_eq!(at, [0.5, 1.5]);
        let second = result.found[1].interval.expect("most agree");
        assert_eq!((second.low, second.high), (Some(1.5), Some(1.5)));
        let mostly_none: Vec<_> = (0..100).map(|i| both(if i < 40 { 0.0 } else { 3.0 })).collect();
        let result = crossings(&places, &[1.0, -1.0, 1.0], &mostly_none, Spacing::Linear);
        assert!(result.found.iter().all(|crossing| crossing.interval.is_none()));
    }

    #[test]
    fn without_drawings_there_is_a_crossing_and_no_interval() {
        let result = crossings(&[0.0, 1.0], &[-1.0, 1.0], &[], Spacing::Linear);
        assert_eq!(result.found, [Crossing { at: 0.5, interval: None }]);
        assert_eq!(result.agreement, None);
        let holes = vec![vec![None, Some(1.0)]; 100];
        assert_eq!(crossings(&[0.0, 1.0], &[-1.0, 1.0], &holes, Spacing::Linear).found[0].interval, None);
        let none = crossings(&[0.0, 1.0], &[1.0, 1.0], &vec![drawing([1.0, 1.0]); 50], Spacing::Linear);
        assert_eq!(none, Crossings { found: Vec::new(), first_is_lower: false, agreement: Some(1.0) });
    }

    /// A line through noisy trials crosses a level at a known place: over many made-up runs, the interval must hold that
    /// place about as often as it says. Fixed seeds, so the count is always the same.
    #[test]
    fn the_interval_covers_the_truth_about_as_often_as_it_says() {
        use rand::rngs::ChaCha8Rng;
        use rand::{RngExt as _, SeedableRng as _};

        const RUNS: u64 = 200;
        const STARTS: usize = 12;
        let places = [0.0, 20.0, 60.0, 100.0];
        let truth = 30.0;
        let mut covered = 0;
        for seed in 0..RUNS {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            // A start's own deviation, and one of each place within it; sums of uniform numbers are nearly normal.
            let mut noise = |size: f64| size * ((0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0);
            let trials: Vec<Vec<f64>> = (0..STARTS)
                .map(|_| {
                    let start = noise(2.0);
                    places.iter().map(|place| place - truth + start + noise(2.0)).collect()
                })
                .collect();
            let mean = |weights: &[u32]| -> Vec<f64> {
                let all: f64 = weights.iter().map(|weight| f64::from(*weight)).sum();
                let sum = |place: usize| -> f64 {
                    trials.iter().zip(weights).map(|(trial, weight)| trial[place] * f64::from(*weight)).sum()
                };
                (0..places.len()).map(|place| sum(place) / all).collect()
            };
            let starts: Vec<u32> = (0..STARTS as u32).collect();
            let resampler = crate::stats::Resampler::new(&starts, seed).expect("trials");
            let drawings: Vec<Vec<Option<f64>>> =
                resampler.drawings().map(|weights| mean(weights).into_iter().map(Some).collect()).collect();
            let result = crossings(&places, &mean(&[1; STARTS]), &drawings, Spacing::Linear);
            let interval = result.found[0].interval.expect("drawn");
            covered += u64::from(
                interval.low.is_none_or(|low| low <= truth) && interval.high.is_none_or(|high| high >= truth),
            );
        }
        // 95 % are 190; with twelve starts a percentile bootstrap covers about 92 %. Three standard deviations below that.
        assert!((173..=200).contains(&covered), "{covered} of {RUNS}");
    }
}
