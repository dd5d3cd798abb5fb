//! By how much one side of a comparison differs from the other.
//!
//! Within a start, pairs of neighbouring slices give a ratio each, and their Hodges–Lehmann estimate is the start's
//! figure. Two lives of one program differ by more than such pairs tell (memory layout, connections), so it is starts that
//! are counted: the figure of the comparison is the mean over starts, and Student's t over them its uncertainty. That is
//! what a bootstrap over starts tends to, without its being too narrow for few of them (Hesterberg, "What Teachers Should
//! Know About the Bootstrap", The American Statistician 69, 2015, §3.2). Drawing slices again inside drawn starts, as
//! well, would count their noise twice: it is in the starts' figures (Davison and Hinkley, "Bootstrap Methods and their
//! Application", 1997, §3.8).

use std::f64::consts::FRAC_1_SQRT_2;

use super::{Interval, median, student_quantile, student_two_sided};

/// Most values whose pairs are all looked at: two million.
const HODGES_LEHMANN_MAX: usize = 2_000;

/// The Hodges–Lehmann estimate of the values' centre: the median of the means of all pairs, each value paired with itself
/// too (Hodges and Lehmann, "Estimates of Location Based on Rank Tests", 1963). Nearly as steady as a mean where noise is
/// normal, and up to 29 % of the values may be anything. `None` without values; those that are not numbers are ignored.
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    if values.len() > HODGES_LEHMANN_MAX {
        // The pairs of so many would not fit into memory; neighbours are averaged first.
        let block = values.len().div_ceil(HODGES_LEHMANN_MAX);
        let means = values.chunks(block).map(|block| block.iter().sum::<f64>() / block.len() as f64);
        return hodges_lehmann(&means.collect::<Vec<_>>());
    }
    let mut means = Vec::with_capacity(values.len() * (values.len() + 1) / 2);
    for (i, one) in values.iter().enumerate() {
        means.extend(values[i..].iter().map(|other| f64::midpoint(*one, *other)));
    }
    median(&means)
}

/// Degrees of freedom with which Student's t is the normal distribution.
const NORMAL: f64 = 1e9;

/// A mean of independent figures, and how far it may be from the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// The estimate.
    pub estimate: f64,
    /// Its standard error.
    pub standard_error: f64,
    /// Degrees of freedom of the standard error.
    pub degrees: f64,
}

impl Shift {
    /// The mean of the figures of starts. `None` for fewer than two: one says nothing about another.
    pub fn of_starts(figures: &[f64]) -> Option<Self> {
        if figures.len() < 2 {
            return None;
        }
        let n = figures.len() as f64;
        let estimate = figures.iter().sum::<f64>() / n;
        let squares: f64 = figures.iter().map(|figure| (figure - estimate).powi(2)).sum();
        Some(Self { estimate, standard_error: (squares / (n - 1.0) / n).sqrt(), degrees: n - 1.0 })
    }

    /// By how much `self` exceeds `other`, the two being independent (Welch, "The generalization of Student's problem when
    /// several different population variances are involved", Biometrika 34, 1947).
    pub fn beyond(&self, other: &Self) -> Self {
        let (own, its) = (self.standard_error.powi(2), other.standard_error.powi(2));
        let degrees = (own + its).powi(2) / (own.powi(2) / self.degrees + its.powi(2) / other.degrees);
        Self {
            estimate: self.estimate - other.estimate,
            standard_error: (own + its).sqrt(),
            degrees: if degrees.is_finite() { degrees } else { self.degrees.min(other.degrees) },
        }
    }

    /// The interval that holds the truth with probability `1 − alpha`.
    pub fn interval(&self, alpha: f64) -> Interval {
        let reach = student_quantile(alpha / 2.0, self.degrees) * self.standard_error;
        Interval { low: self.estimate - reach, high: self.estimate + reach }
    }

    /// The probability that figures of equal things lie as far apart as these.
    pub fn p_value(&self) -> f64 {
        match (self.standard_error > 0.0, self.estimate == 0.0) {
            (true, _) => student_two_sided(self.estimate / self.standard_error, self.degrees),
            (false, true) => 1.0,
            (false, false) => 0.0,
        }
    }

    /// How many standard deviations of a normal distribution are as unlikely as this estimate, to one side.
    fn score(&self) -> f64 {
        student_quantile((self.p_value() / 2.0).max(f64::MIN_POSITIVE), NORMAL)
    }

    /// The smallest true shift that such a comparison finds with probability `power` when it takes `p < alpha` as a
    /// finding. The standard error is itself an estimate, so this is a quantile of the noncentral t, by its normal
    /// approximation (Abramowitz and Stegun, "Handbook of Mathematical Functions", 1964, §26.7.10).
    pub fn detectable(&self, alpha: f64, power: f64) -> f64 {
        let critical = student_quantile(alpha / 2.0, self.degrees);
        let spread = (1.0 + critical.powi(2) / (2.0 * self.degrees)).sqrt();
        let beyond = student_quantile(1.0 - power, NORMAL) * spread;
        (critical * (1.0 - 1.0 / (4.0 * self.degrees)) + beyond) * self.standard_error
    }

    /// The same figure from `n` starts in the place of those that it came from.
    pub fn from_as_many(&self, n: usize) -> Self {
        let had = self.degrees + 1.0;
        Self { standard_error: self.standard_error * (had / n as f64).sqrt(), degrees: n as f64 - 1.0, ..*self }
    }
}

/// The p-value of two independent looks at one thing together, both of which point to the same side: their normal scores,
/// added with equal weight (the inverse normal method; Lehmacher and Wassmer, "Adaptive Sample Size Calculations in Group
/// Sequential Trials", Biometrics 55, 1999). It stays valid when the first look decided whether there is a second (Bauer
/// and Köhne, "Evaluation of Experiments with Adaptive Interim Analyses", Biometrics 50, 1994). 1 where they point to
/// opposite sides.
pub fn two_looks(first: &Shift, second: &Shift) -> f64 {
    if first.estimate * second.estimate <= 0.0 {
        return 1.0;
    }
    let together = (first.score() + second.score()) * FRAC_1_SQRT_2;
    student_two_sided(together, NORMAL)
}

/// The smallest true shift for which [`two_looks`] of such precision gives `p < alpha` with probability `power`.
pub fn detectable_by_two_looks(first: &Shift, second: &Shift, alpha: f64, power: f64) -> f64 {
    let needed = student_quantile(alpha / 2.0, NORMAL);
    let behind = student_quantile(1.0 - power, NORMAL);
    // The score of a shift that is estimated as it is, and by how much an estimate's chance moves it.
    let score = |look: &Shift, shift: f64| {
        let at = |estimate: f64| Shift { estimate, ..*look }.score();
        let ratio = shift / look.standard_error;
        // A standard error is itself an estimate: the ratio of a noncentral t spreads so far.
        let spread = (1.0 + ratio * ratio / (2.0 * look.degrees)).sqrt() * look.standard_error;
        (at(shift), (at(shift + spread / 2.0) - at(shift - spread / 2.0)).abs())
    };
    let passes = |shift: f64| {
        let ((one, one_sd), (other, other_sd)) = (score(first, shift), score(second, shift));
        (one + other) * FRAC_1_SQRT_2 - behind * one_sd.hypot(other_sd) * FRAC_1_SQRT_2 >= needed
    };
    let scale = first.standard_error.max(second.standard_error);
    if scale <= 0.0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, scale);
    while !passes(high) && high < scale * 1e6 {
        high *= 2.0;
    }
    for _ in 0..30 {
        let middle = f64::midpoint(low, high);
        if passes(middle) { high = middle } else { low = middle }
    }
    high
}

/// Holm's adjustment for looking at several comparisons at once: each p-value as it has to be judged so that, with no
/// difference anywhere, *any* finding among them has the probability that is allowed (Holm, "A Simple Sequentially
/// Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6, 1979). In the order given.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut least: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max(p_values[index] * (p_values.len() - rank) as f64).min(1.0);
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn close(value: f64, known: f64, tolerance: f64) {
        assert!((value - known).abs() <= tolerance, "{value}, not {known}");
    }

    #[test]
    fn the_centre_is_the_median_of_the_means_of_pairs() {
        assert_eq!(hodges_lehmann(&[]), None);
        assert_eq!(hodges_lehmann(&[3.0]), Some(3.0));
        // Means: 1, 2, 5.5, 3, 6.5, 10.
        assert_eq!(hodges_lehmann(&[1.0, 3.0, 10.0]), Some(4.25));
        let mut values: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(hodges_lehmann(&values), Some(9.5));
        let many: Vec<f64> = (0..50_000).map(f64::from).collect();
        assert!(hodges_lehmann(&many).is_some_and(|centre| (centre - 24_999.5).abs() < 20.0));
        values[19] = 1e9;
        assert!(hodges_lehmann(&values).is_some_and(|centre| (9.0..11.0).contains(&centre)));
    }

    #[test]
    fn a_mean_has_students_interval() {
        // Mean 5, standard deviation √2.5, five values: 5 ± 2.776 × 0.7071.
        let shift = Shift::of_starts(&[3.0, 4.0, 5.0, 6.0, 7.0]).expect("five");
        let interval = shift.interval(0.05);
        close(interval.low, 5.0 - 1.9634, 1e-3);
        close(interval.high, 5.0 + 1.9634, 1e-3);
        // t = 7.0711 on 4 degrees.
        close(shift.p_value(), 0.002_11, 1e-5);
        assert_eq!(Shift::of_starts(&[1.0]), None);
        let equal = Shift::of_starts(&[0.0; 4]).expect("four");
        assert_eq!((equal.p_value(), equal.interval(0.05).half_width()), (1.0, 0.0));
        assert_eq!(Shift::of_starts(&[1.0; 4]).expect("four").p_value(), 0.0);
    }

    #[test]
    fn two_means_differ_as_welch_has_it() {
        let of = |estimate, standard_error, degrees| Shift { estimate, standard_error, degrees };
        let difference = of(10.0, 3.0, 5.0).beyond(&of(6.0, 4.0, 9.0));
        assert_eq!((difference.estimate, difference.standard_error), (4.0, 5.0));
        close(difference.degrees, 625.0 / (81.0 / 5.0 + 256.0 / 9.0), 1e-9);
        assert_eq!(of(1.0, 0.0, 5.0).beyond(&of(1.0, 0.0, 3.0)).degrees, 3.0);
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say_with_few_starts_too() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let mut held = 0;
        for _ in 0..4_000 {
            let figures: Vec<f64> = (0..5).map(|_| 0.01 + 0.004 * normal()).collect();
            let interval = Shift::of_starts(&figures).expect("five").interval(0.05);
            held += u32::from(interval.low <= 0.01 && 0.01 <= interval.high);
        }
        // 3 800 expected, standard deviation 14.
        assert!((3_745..=3_855).contains(&held), "{held}");
    }

    #[test]
    fn what_can_be_detected_is_detected_as_often_as_promised() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let exact = Shift { estimate: 0.0, standard_error: 0.004 / 8.0_f64.sqrt(), degrees: 7.0 };
        let shift = exact.detectable(0.01, 0.9);
        let found = (0..4_000)
            .filter(|_| {
                let figures: Vec<f64> = (0..8).map(|_| shift + 0.004 * normal()).collect();
                Shift::of_starts(&figures).expect("eight").p_value() < 0.01
            })
            .count();
        assert!((3_500..=3_760).contains(&found), "{found} of 4 000, 3 600 promised");
    }

    #[test]
    fn what_two_looks_can_detect_they_do() {
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        let mut normal = || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let of = |n: f64| Shift { estimate: 0.0, standard_error: 0.004 / n.sqrt(), degrees: n - 1.0 };
        for (first, second) in [(8, 8), (6, 20), (20, 6)] {
            let shift = detectable_by_two_looks(&of(f64::from(first)), &of(f64::from(second)), 1e-4, 0.9);
            let mut look = |n: i32| {
                let figures: Vec<f64> = (0..n).map(|_| shift + 0.004 * normal()).collect();
                Shift::of_starts(&figures).expect("more than one")
            };
            let found = (0..2_000).filter(|_| two_looks(&look(first), &look(second)) < 1e-4).count();
            assert!((1_730..=1_870).contains(&found), "{first} and {second}: {found} of 2 000, 1 800 promised");
        }
    }

    #[test]
    fn more_starts_make_a_figure_surer() {
        let four = Shift { estimate: 1.0, standard_error: 0.2, degrees: 3.0 };
        let sixteen = four.from_as_many(16);
        assert_eq!((sixteen.standard_error, sixteen.degrees), (0.1, 15.0));
    }

    #[test]
    fn two_looks_add_up_where_they_agree() {
        let of = |estimate, standard_error| Shift { estimate, standard_error, degrees: 1e6 };
        // 1.96 and 1.96 standard errors are 2.77 together.
        let both = two_looks(&of(1.96, 1.0), &of(3.92, 2.0));
        close(both, 0.005_58, 1e-4);
        assert_eq!(two_looks(&of(1.96, 1.0), &of(-1.96, 1.0)), 1.0);
        assert_eq!(two_looks(&of(1.96, 1.0), &of(0.0, 1.0)), 1.0);
        assert!(two_looks(&of(1e9, 1.0), &of(1e9, 1.0)) < 1e-100);
    }

    #[test]
    fn holm_steps_down() {
        // Holm's own example of the procedure: n p, (n − 1) p, …, never falling.
        assert_eq!(holm(&[0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02]);
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
