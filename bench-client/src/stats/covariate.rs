//! Taking out of figures what they share with a known disturbance. Pure.

/// Figures from which a line can be told from chance, and enough is left over to say how far they scatter.
const FIGURES_MIN: usize = 6;

/// The figures as they would be with `covariate` at its mean: without what a straight line through both explains (analysis
/// of covariance; as "control variate" in Lavenberg and Welch, "A Perspective on the Use of Control Variables to Increase
/// the Efficiency of Monte Carlo Simulations", Management Science 27, 1981, §2). Their mean stays, and what is left is
/// widened by √((n−1)/(n−2)), for the line's slope was itself taken from them.
///
/// The figures themselves where there are fewer than six of them, or the covariate is constant.
pub fn without_covariate(figures: &[f64], covariate: &[f64]) -> Vec<f64> {
    let n = figures.len();
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n as f64;
    let (of_figures, of_covariate) = (mean(figures), mean(covariate));
    let pairs = || figures.iter().zip(covariate).map(|(y, x)| (y - of_figures, x - of_covariate));
    let squares: f64 = pairs().map(|(_, x)| x * x).sum();
    if n < FIGURES_MIN || n != covariate.len() || squares <= 0.0 {
        return figures.to_vec();
    }
    let slope = pairs().map(|(y, x)| x * y).sum::<f64>() / squares;
    let widened = ((n as f64 - 1.0) / (n as f64 - 2.0)).sqrt();
    pairs().map(|(y, x)| of_figures + (y - slope * x) * widened).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_line_explains_is_gone_and_the_mean_stays() {
        let moods = [0.3, -0.1, 0.0, 0.2, -0.4, 0.1, -0.1];
        let figures = moods.map(|mood| 5.0 + 0.4 * mood);
        let left = without_covariate(&figures, &moods);
        let mean = figures.iter().sum::<f64>() / 7.0;
        assert!(left.iter().all(|figure| (figure - mean).abs() < 1e-12), "{left:?}");
    }

    #[test]
    fn what_it_does_not_explain_is_left_a_little_wider() {
        let moods = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
        // Orthogonal to the moods.
        let figures = [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0];
        let widened = (7.0_f64 / 6.0).sqrt();
        for (left, figure) in without_covariate(&figures, &moods).iter().zip(figures) {
            assert!((left - figure * widened).abs() < 1e-12);
        }
    }

    #[test]
    fn too_few_figures_and_a_constant_tell_no_line() {
        assert_eq!(without_covariate(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
        assert_eq!(without_covariate(&[1.0; 8], &[2.0; 8]), [1.0; 8]);
        assert_eq!(without_covariate(&[], &[]), Vec::<f64>::new());
    }
}
