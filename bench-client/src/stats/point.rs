//! Single figures from a handful of values.

use super::student_quantile;

/// The median: the middle value, or the mean of the two middle ones. `None` without values; those that are not numbers
/// are ignored.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The median where value `i` is counted `weights[i]` times.
pub fn weighted_median(values: &[f64], weights: &[u32]) -> Option<f64> {
    let repeated = values.iter().zip(weights).flat_map(|(value, weight)| std::iter::repeat_n(*value, *weight as usize));
    median(&repeated.collect::<Vec<f64>>())
}

/// The typical ratio of pairs `(value, reference)` measured side by side, pair `i` counted `weights[i]` times: the
/// exponential of the median of the logarithms. Ratios are averaged as logarithms so that 2 and ½ cancel (Fleming and
/// Wallace, "How not to lie with statistics", CACM 1986); the median keeps one disturbed round from deciding.
///
/// Pairs with a value that is not positive are ignored; `None` when none is left.
pub fn ratio_of_pairs(pairs: &[(f64, f64)], weights: &[u32]) -> Option<f64> {
    let (logarithms, weights): (Vec<f64>, Vec<u32>) = pairs
        .iter()
        .zip(weights)
        .filter(|((value, reference), _)| *value > 0.0 && *reference > 0.0)
        .map(|((value, reference), weight)| ((value / reference).ln(), *weight))
        .unzip();
    weighted_median(&logarithms, &weights).map(f64::exp)
}

/// The smallest true change between two runs like this one that would most likely be noticed: with probability 90 %, at
/// a two-sided false-alarm rate of 5 %. `half_width` is that of the figure's 95 % bootstrap interval over `clusters`
/// starts (or rounds); the result has its unit. `None` for fewer than three clusters: two cannot tell.
///
/// A 95 % interval reaches 1.96 standard errors to each side and the difference of two such runs has √2 times the
/// standard error, so the change must exceed (1.96 + 1.28) √2 standard errors (sample-size formula for two means, e.g.
/// Chow, Shao and Wang, "Sample Size Calculations in Clinical Research", §3.2). A percentile bootstrap over few clusters
/// is too narrow, because it divides by n where n − 1 is due and takes the normal quantile where Student's is due; both
/// are put right first (Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015,
/// §3.2).
pub fn detectable_change(half_width: f64, clusters: usize) -> Option<f64> {
    const ALARM_Z: f64 = 1.959_964;
    const POWER_Z: f64 = 1.281_552;
    if clusters < 3 {
        return None;
    }
    let n = clusters as f64;
    let widened = half_width * student_quantile(0.025, n - 1.0) / ALARM_Z * (n / (n - 1.0)).sqrt();
    Some((ALARM_Z + POWER_Z) * std::f64::consts::SQRT_2 * widened / ALARM_Z)
}

/// Kolmogorov's distance between the values and the uniform distribution on `[0, length]`, from 0 to 1. `None` without
/// values.
pub fn kolmogorov_distance_from_uniform(values: &[f64], length: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len() as f64;
    sorted
        .iter()
        .enumerate()
        .map(|(i, value)| {
            let uniform = (value / length).clamp(0.0, 1.0);
            ((i + 1) as f64 / n - uniform).max(uniform - i as f64 / n)
        })
        .max_by(f64::total_cmp)
}

/// Kolmogorov's distance between two sets of values: the largest difference between their shares of values up to any
/// number, from 0 to 1. `None` without values on either side.
pub fn kolmogorov_distance_between(first: &[f64], second: &[f64]) -> Option<f64> {
    let sorted = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted
    };
    let (first, second) = (sorted(first), sorted(second));
    let share = |values: &[f64], up_to: f64| values.partition_point(|it| *it <= up_to) as f64 / values.len() as f64;
    if first.is_empty() || second.is_empty() {
        return None;
    }
    // Shares change at values only.
    let places = first.iter().chain(&second);
    places.map(|at| (share(&first, *at) - share(&second, *at)).abs()).max_by(f64::total_cmp)
}

/// The distance that `n` values drawn from the very distribution exceed with probability at most `alpha`: the
/// Dvoretzky–Kiefer–Wolfowitz inequality with Massart's constant (1990), valid for every `n`.
pub fn kolmogorov_bound(n: usize, alpha: f64) -> f64 {
    ((2.0 / alpha).ln() / (2.0 * n as f64)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 5.0]), Some(5.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[1.0, 2.0, 1e12]), Some(2.0));
        assert_eq!(median(&[f64::NAN]), None);
    }

    #[test]
    fn ratios_are_symmetric_and_survive_an_outlier() {
        let pairs = [(2.0, 1.0), (1.0, 2.0)];
        assert!((ratio_of_pairs(&pairs, &[1, 1]).expect("pairs") - 1.0).abs() < 1e-12);
        let disturbed = [(1.1, 1.0), (2.2, 2.0), (900.0, 1.0)];
        assert!((ratio_of_pairs(&disturbed, &[1, 1, 1]).expect("pairs") - 1.1).abs() < 1e-12);
        assert!((ratio_of_pairs(&disturbed, &[0, 0, 1]).expect("pairs") - 900.0).abs() < 1e-9);
        assert_eq!(ratio_of_pairs(&[(0.0, 1.0), (1.0, 0.0)], &[1, 1]), None);
        assert_eq!(ratio_of_pairs(&[], &[]), None);
    }

    #[test]
    fn detectable_change_is_two_standard_errors_of_a_difference_and_power() {
        // Half width 1.96 is a standard error of 1.
        let change = |half_width, clusters| detectable_change(half_width, clusters).expect("enough clusters");
        // Thirty-one clusters: 4.584 × 2.042 / 1.96 × √(31 / 30).
        assert!((change(1.959_964, 31) - 4.855).abs() < 0.001, "{}", change(1.959_964, 31));
        // Three: 4.584 × 4.303 / 1.96 × √(3 / 2).
        assert!((change(1.959_964, 3) - 12.326).abs() < 0.001, "{}", change(1.959_964, 3));
        assert_eq!(detectable_change(1.0, 2), None);
        assert_eq!(change(0.0, 3), 0.0);
    }

    #[test]
    fn distance_from_uniform() {
        assert_eq!(kolmogorov_distance_from_uniform(&[], 1.0), None);
        assert_eq!(kolmogorov_distance_from_uniform(&[0.0; 8], 2.0), Some(1.0));
        assert_eq!(kolmogorov_distance_from_uniform(&[1.0], 2.0), Some(0.5));
        let even: Vec<f64> = (0..100).rev().map(|i| (f64::from(i) + 0.5) / 100.0).collect();
        assert!((kolmogorov_distance_from_uniform(&even, 1.0).expect("values") - 0.005).abs() < 1e-12);
    }

    #[test]
    fn distance_between_two_sets() {
        assert_eq!(kolmogorov_distance_between(&[], &[1.0]), None);
        assert_eq!(kolmogorov_distance_between(&[1.0], &[]), None);
        assert_eq!(kolmogorov_distance_between(&[3.0, 1.0, 2.0], &[1.0, 2.0, 3.0]), Some(0.0));
        assert_eq!(kolmogorov_distance_between(&[1.0, 2.0], &[3.0, 4.0, 5.0]), Some(1.0));
        // Up to 2 lie three of four on one side, one of four on the other.
        assert_eq!(kolmogorov_distance_between(&[0.0, 1.0, 2.0, 9.0], &[2.0, 3.0, 4.0, 9.0]), Some(0.5));
        let even: Vec<f64> = (1..=1000).map(f64::from).collect();
        let moved: Vec<f64> = even.iter().map(|value| value + 20.5).collect();
        assert!((kolmogorov_distance_between(&even, &moved).expect("values") - 0.021).abs() < 1e-9);
    }

    #[test]
    fn the_bound_shrinks_with_the_root_of_n() {
        assert!((kolmogorov_bound(100, 0.05) - 0.1358).abs() < 0.0001);
        assert!((kolmogorov_bound(400, 0.05) * 2.0 - kolmogorov_bound(100, 0.05)).abs() < 1e-12);
    }
}
