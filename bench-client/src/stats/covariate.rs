//! Taking out of figures what they share with a known disturbance. Pure.

use std::collections::BTreeMap;

/// Rounds beyond one per start from which a line is drawn: with fewer its slope is chance.
const BEYOND_MIN: usize = 4;

/// The slopes that are believed: a cost does not get less when everything gets dearer, nor dearer by more than this factor.
const SLOPES: std::ops::RangeInclusive<f64> = 0.0..=2.0;

/// The figures as they would be with `covariate` at its mean: without what a straight line through both explains (analysis
/// of covariance; as "control variate" in Lavenberg and Welch, "A Perspective on the Use of Control Variables to Increase
/// the Efficiency of Monte Carlo Simulations", Management Science 27, 1981, §2). Their mean stays.
///
/// `starts` says which start each figure is of. The slope is taken from how figures lie *within* their starts, so that the
/// line cannot explain away by how much starts differ: that is what intervals over starts are about. What is left within
/// starts is widened by √(f/(f−1)) with f = figures − starts, the degrees of freedom from which the slope was taken.
///
/// The figures themselves where f is below four, or the covariate does not vary within starts.
///
/// # Panics
/// When the three are not equally long.
pub fn without_covariate(figures: &[f64], covariate: &[f64], starts: &[u32]) -> Vec<f64> {
    assert!(figures.len() == covariate.len() && figures.len() == starts.len(), "one of each per trial");
    let (of_figures, of_covariate) = (means_by_start(figures, starts), means_by_start(covariate, starts));
    let within =
        || starts.iter().zip(figures.iter().zip(covariate)).map(|(s, (y, x))| (y - of_figures[s], x - of_covariate[s]));
    let squares: f64 = within().map(|(_, x)| x * x).sum();
    let beyond = figures.len().saturating_sub(of_figures.len());
    if beyond < BEYOND_MIN || squares <= 0.0 {
        return figures.to_vec();
    }
    let slope = (within().map(|(y, x)| x * y).sum::<f64>() / squares).clamp(*SLOPES.start(), *SLOPES.end());
    let widened = (beyond as f64 / (beyond as f64 - 1.0)).sqrt();
    let mean = covariate.iter().sum::<f64>() / covariate.len() as f64;
    let left = starts.iter().zip(within()).map(|(start, (y, x))| {
        let of_start = of_figures[start] - slope * (of_covariate[start] - mean);
        of_start + (y - slope * x) * widened
    });
    left.collect()
}

fn means_by_start(values: &[f64], starts: &[u32]) -> BTreeMap<u32, f64> {
    let mut sums: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (start, value) in starts.iter().zip(values) {
        let (sum, count) = sums.entry(*start).or_default();
        *sum += value;
        *count += 1.0;
    }
    sums.into_iter().map(|(start, (sum, count))| (start, sum / count)).collect()
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    const STARTS: [u32; 8] = [0, 0, 1, 1, 2, 2, 3, 3];

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn what_the_line_explains_is_gone_and_the_mean_stays() {
        let moods = [0.3, -0.1, 0.0, 0.2, -0.4, 0.1, -0.1, 0.5];
        let figures = moods.map(|mood| 5.0 + 0.4 * mood);
        let left = without_covariate(&figures, &moods, &STARTS);
        assert!(left.iter().all(|figure| (figure - mean(&figures)).abs() < 1e-12), "{left:?}");
    }

    #[test]
    fn too_few_rounds_and_a_constant_tell_no_line() {
        let figures = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        assert_eq!(without_covariate(&figures[..6], &figures[..6], &STARTS[..6]), figures[..6], "three within starts");
        assert_eq!(without_covariate(&figures, &[2.0; 8], &STARTS), figures);
        assert_eq!(without_covariate(&[], &[], &[]), Vec::<f64>::new());
    }

    /// How far starts lie apart is what intervals are drawn from: it must come out as large as it is.
    #[test]
    fn how_much_starts_differ_is_not_explained_away() {
        const LIFE: f64 = 0.01;
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut normal = move || (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0;
        let mut variances = Vec::new();
        let mut without = Vec::new();
        for _ in 0..400 {
            // Moods are of the hour as well as of the minute, and ten times what lives differ by.
            let hours: Vec<f64> = (0..4).map(|_| 0.1 * normal()).collect();
            let lives: Vec<f64> = (0..4).map(|_| LIFE * normal()).collect();
            let moods: Vec<f64> = STARTS.iter().map(|start| hours[*start as usize] + 0.1 * normal()).collect();
            let figures: Vec<f64> =
                STARTS.iter().zip(&moods).map(|(s, mood)| 0.7 * mood + lives[*s as usize]).collect();
            let variance = |values: &[f64]| {
                let means: Vec<f64> = means_by_start(values, &STARTS).into_values().collect();
                means.iter().map(|it| (it - mean(&means)).powi(2)).sum::<f64>() / 3.0
            };
            variances.push(variance(&without_covariate(&figures, &moods, &STARTS)));
            without.push(variance(&figures));
        }
        let (found, raw) = (mean(&variances).sqrt(), mean(&without).sqrt());
        assert!((0.9..1.2).contains(&(found / LIFE)), "starts differ by {LIFE}, and {found} is left of {raw}");
        assert!(raw > 5.0 * LIFE, "{raw}");
    }
}
