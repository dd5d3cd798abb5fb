//! Sparse histograms and percentiles over many of them at once.

use hdrhistogram::Histogram;

/// Samples that must lie beyond a percentile before it is reported. With fewer, the figure is the accident of a handful
/// of requests.
pub const PERCENTILE_TAIL: f64 = 10.0;

/// The mean of the middle half of the samples (the interquartile mean): as steady against outliers as a median, and
/// unlike it not bound to the grain of the clock that the samples were read from. `None` without samples.
pub fn middle_mean(histogram: &Histogram<u64>) -> Option<f64> {
    let total = histogram.len() as f64;
    let (from, to) = (total / 4.0, total * 3.0 / 4.0);
    let (mut before, mut sum) = (0.0, 0.0);
    for step in histogram.iter_recorded() {
        let count = step.count_since_last_iteration() as f64;
        let inside = (f64::min(before + count, to) - f64::max(before, from)).max(0.0);
        sum += inside * histogram.median_equivalent(step.value_iterated_to()) as f64;
        before += count;
    }
    (total > 0.0).then(|| sum / (to - from))
}

/// What a histogram holds, as `(value, count)` in ascending order of the values: far fewer entries than the buckets of
/// the histogram it came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Distribution {
    bins: Vec<(u64, u64)>,
    total: u64,
}

impl Distribution {
    /// The recorded values of a histogram; each stands for its bucket's middle, as HdrHistogram reports a median.
    pub fn from_histogram(histogram: &Histogram<u64>) -> Self {
        let bins: Vec<(u64, u64)> = histogram
            .iter_recorded()
            .map(|step| (histogram.median_equivalent(step.value_iterated_to()), step.count_since_last_iteration()))
            .collect();
        let total = bins.iter().map(|(_, count)| count).sum();
        Self { bins, total }
    }

    /// Number of samples.
    pub fn total(&self) -> u64 {
        self.total
    }
}

/// The distributions of several trials, merged so that percentiles of any weighting of the trials are a binary search.
///
/// A bootstrap replicate is a weighting: a trial drawn twice counts twice, one not drawn counts nothing. Merging the
/// histograms anew for each of a thousand replicates would cost several hundred times as much.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// Every value that any trial recorded, ascending.
    values: Vec<u64>,
    /// For each value in turn, and each trial: samples of the trial up to the value.
    cumulative: Vec<u64>,
    trials: usize,
}

impl Pool {
    /// Merges the distributions of trials; a weighting names them by position.
    pub fn new<'a>(trials: impl IntoIterator<Item = &'a Distribution>) -> Self {
        let trials: Vec<&Distribution> = trials.into_iter().collect();
        let mut values: Vec<u64> = trials.iter().flat_map(|trial| trial.bins.iter().map(|(value, _)| *value)).collect();
        values.sort_unstable();
        values.dedup();
        let mut cumulative = Vec::with_capacity(values.len() * trials.len());
        let mut rest: Vec<_> = trials.iter().map(|trial| (trial.bins.iter().peekable(), 0)).collect();
        for value in &values {
            for (bins, seen) in &mut rest {
                if let Some((_, count)) = bins.next_if(|(next, _)| next == value) {
                    *seen += count;
                }
                cumulative.push(*seen);
            }
        }
        Self { values, cumulative, trials: trials.len() }
    }

    /// Samples in all trials together.
    pub fn total(&self) -> u64 {
        self.values.len().checked_sub(1).map_or(0, |last| self.up_to(last).iter().sum())
    }

    /// The percentiles `quantiles` (each in 0..1) of all trials together, each counted once. One with fewer than
    /// [`PERCENTILE_TAIL`] samples beyond it is `None`.
    pub fn percentiles(&self, quantiles: &[f64]) -> Vec<Option<u64>> {
        let (total, once) = (self.total(), vec![1; self.trials]);
        quantiles.iter().map(|q| self.weighted(*q, &once).filter(|_| is_supported(*q, total))).collect()
    }

    /// One percentile where trial `i` counts `weights[i]` times, however thin the tail: for replicates of one that
    /// [`Pool::percentiles`] supports.
    ///
    /// The value returned is the smallest at which the cumulative count reaches `q` of the total: the inverse of the
    /// empirical distribution function, type 1 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996.
    pub fn weighted(&self, q: f64, weights: &[u32]) -> Option<u64> {
        let counted = |value: usize| -> u64 {
            self.up_to(value).iter().zip(weights).map(|(count, weight)| count * u64::from(*weight)).sum()
        };
        let last = self.values.len().checked_sub(1)?;
        let total = counted(last);
        if total == 0 {
            return None;
        }
        let rank = rank(q, total);
        let (mut low, mut high) = (0, last);
        while low < high {
            let middle = usize::midpoint(low, high);
            if counted(middle) >= rank { high = middle } else { low = middle + 1 }
        }
        Some(self.values[low])
    }

    fn up_to(&self, value: usize) -> &[u64] {
        &self.cumulative[value * self.trials..(value + 1) * self.trials]
    }
}

/// Position, from 1, of the sample that is the quantile. The tiny subtraction keeps 0.9 × 10 at 9 although the product
/// of the nearest doubles may be a hair above.
fn rank(q: f64, total: u64) -> u64 {
    let exact = q * total as f64;
    ((exact - exact * 1e-12).ceil() as u64).clamp(1, total)
}

fn is_supported(q: f64, total: u64) -> bool {
    // The same allowance: 10 000 samples have 10 beyond p99.9, not 9.999…
    (1.0 - q) * total as f64 >= PERCENTILE_TAIL - 1e-6
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distribution(values: &[u64]) -> Distribution {
        let mut histogram = crate::record::new_histogram();
        for value in values {
            histogram.record(*value).expect("in range");
        }
        Distribution::from_histogram(&histogram)
    }

    #[test]
    fn nothing_has_no_percentile() {
        let empty = distribution(&[]);
        assert_eq!(Pool::new([&empty]).percentiles(&[0.5]), [None]);
        assert_eq!(Pool::new([]).percentiles(&[0.5, 0.99]), [None, None]);
    }

    #[test]
    fn a_percentile_needs_ten_samples_beyond_it() {
        let nineteen = distribution(&[7; 19]);
        let twenty = distribution(&[7; 20]);
        assert_eq!(Pool::new([&nineteen]).percentiles(&[0.5]), [None]);
        assert_eq!(Pool::new([&twenty]).percentiles(&[0.5]), [Some(7)]);
        let thousand: Vec<u64> = (1..=1000).collect();
        let pool = Pool::new([&distribution(&thousand)]);
        assert_eq!(pool.percentiles(&[0.5, 0.9, 0.99, 0.999]), [Some(500), Some(900), Some(990), None]);
    }

    #[test]
    fn order_of_recording_does_not_matter_and_an_outlier_moves_only_the_tail() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        let before = Pool::new([&distribution(&values)]).percentiles(&[0.5, 0.9]);
        assert_eq!(before, [Some(50), Some(90)]);
        values[0] = 1_000_000_000;
        assert_eq!(Pool::new([&distribution(&values)]).percentiles(&[0.5, 0.9]), before);
    }

    #[test]
    fn the_middle_half_has_a_mean_between_the_steps_of_the_clock() {
        let of = |values: &[u64]| {
            let mut histogram = crate::record::new_histogram();
            values.iter().for_each(|value| histogram.record(*value).expect("in range"));
            middle_mean(&histogram)
        };
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(7.0));
        assert_eq!(of(&[1, 100, 110, 1_000_000]), Some(105.0));
        // Six samples: the middle three are half of 10, 20, 20 and half of 30.
        assert_eq!(of(&[10, 10, 20, 20, 30, 30]), Some(20.0));
        assert_eq!(of(&[10, 10, 10, 20, 20, 20, 20, 20]), Some(17.5));
    }

    #[test]
    fn weights_repeat_and_drop_trials() {
        let low = distribution(&[10; 100]);
        let high = distribution(&[1000; 100]);
        let pool = Pool::new([&low, &high]);
        assert_eq!(pool.weighted(0.5, &[2, 0]), Some(10));
        assert_eq!(pool.weighted(0.5, &[0, 2]), Some(1000));
        assert_eq!(pool.weighted(0.2, &[1, 3]), Some(10));
        assert_eq!(pool.weighted(0.3, &[1, 3]), Some(1000));
        assert_eq!(pool.weighted(0.5, &[0, 0]), None);
    }

    #[test]
    fn merging_sparse_forms_equals_merging_histograms() {
        let mut first = crate::record::new_histogram();
        let mut second = crate::record::new_histogram();
        for i in 1..20_000_u64 {
            first.record(i * 37 % 900_000 + 1).expect("in range");
            second.record(i * 101 % 5_000_000 + 1).expect("in range");
        }
        let pool = Pool::new([&Distribution::from_histogram(&first), &Distribution::from_histogram(&second)]);
        first.add(&second).expect("same bounds");
        for q in [0.5, 0.9, 0.99] {
            let ours = pool.percentiles(&[q])[0].expect("enough samples") as f64;
            let theirs = first.value_at_quantile(q) as f64;
            assert!((ours / theirs - 1.0).abs() < 0.002, "q {q}: {ours} against {theirs}");
        }
    }
}
