//! How often a comparison finds a change of known size: its rule applied to starts that are drawn anew. Pure.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::{Evidence, Shift, two_looks};

/// Comparisons that are drawn: shares are then known to 3 % at worst (95 %, binomial).
pub const COMPARISONS_DRAWN: u32 = 1_000;

/// A comparison as it is planned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Design {
    /// Starts of the first look.
    pub starts: usize,
    /// Starts of the second.
    pub starts_to_confirm: usize,
    /// Figures in the table.
    pub figures: usize,
    /// The smallest change that is asked to count, as a logarithm.
    pub asked: f64,
    /// Whether a control says what two processes of one program seem to differ by: less does not count then.
    pub has_control: bool,
}

impl Design {
    /// What is known of a figure after the first look, and after the second where there was one; `minimum` is the smallest
    /// change that counts. The other figures of the table are taken to be equal, so that this one is held to the strictest
    /// level of Holm's.
    pub fn evidence(&self, minimum: f64, first: Shift, second: Option<Shift>) -> Evidence {
        let together = second.map_or(1.0, |second| two_looks(&first, &second));
        Evidence {
            first,
            second,
            p_adjusted: (together * self.figures as f64).min(1.0),
            figures: self.figures,
            one_look: false,
            asked: self.asked,
            minimum,
            starts_to_confirm: self.starts_to_confirm,
        }
    }

    /// The share of comparisons that end with `regressed` where starts differ by `shift` and, from one to the other, as
    /// `residuals` do, which are what is left of figures without their mean, widened by √(n/(n−1)) for each that was taken
    /// from n. `None` without residuals.
    pub fn power(&self, shift: f64, residuals: &[f64], seed: u64) -> Option<f64> {
        if residuals.is_empty() {
            return None;
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut look = |starts: usize, shift: f64| {
            let figures = (0..starts).map(|_| shift + residuals[rng.random_range(0..residuals.len())]);
            Shift::of_starts(&figures.collect::<Vec<f64>>())
        };
        let mut regressed = 0;
        for _ in 0..COMPARISONS_DRAWN {
            // What the control seems to differ by is chance as well, of as many starts.
            let control = if self.has_control { look(self.starts, 0.0)?.estimate.abs() } else { 0.0 };
            let minimum = self.asked.max(control);
            let first = look(self.starts, shift)?;
            if !self.evidence(minimum, first, None).is_suspect() {
                continue;
            }
            let second = look(self.starts_to_confirm, shift)?;
            regressed += u32::from(self.evidence(minimum, first, Some(second)).is_regressed());
        }
        Some(f64::from(regressed) / f64::from(COMPARISONS_DRAWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESIGN: Design = Design { starts: 8, starts_to_confirm: 6, figures: 17, asked: 0.005, has_control: false };

    /// Quantiles of a normal distribution: what residuals of that standard deviation look like.
    fn normal(standard_deviation: f64) -> Vec<f64> {
        let quantile = |i: i32| {
            let tail = f64::from(i) / 201.0;
            let sign = if tail < 0.5 { -1.0 } else { 1.0 };
            sign * crate::stats::student_quantile(tail.min(1.0 - tail), 1e9) * standard_deviation
        };
        (1..=200).map(quantile).collect()
    }

    #[test]
    fn equal_things_are_hardly_ever_called_regressed_and_large_changes_always() {
        let residuals = normal(0.006);
        assert!(DESIGN.power(0.0, &residuals, 1).expect("residuals") <= 0.002);
        assert_eq!(DESIGN.power(0.1, &residuals, 1), Some(1.0));
        assert_eq!(DESIGN.power(0.1, &[], 1), None);
    }

    #[test]
    fn question_0_is_where_the_curve_passes_its_power() {
        for standard_deviation in [0.002, 0.004, 0.006, 0.01] {
            let first = Shift { estimate: 0.0, standard_error: standard_deviation / 8_f64.sqrt(), degrees: 7.0 };
            let detectable = DESIGN.evidence(DESIGN.asked, first, None).detectable();
            let power = DESIGN.power(detectable, &normal(standard_deviation), 7).expect("residuals");
            // A promise that is kept, and not by being worth nothing.
            assert!((0.86..=0.999).contains(&power), "{standard_deviation}: {power} at {detectable}");
        }
    }

    #[test]
    fn what_a_noisy_control_differs_by_does_not_count() {
        // Of few starts, beside a second look of many.
        let design = Design { starts: 4, starts_to_confirm: 24, figures: 1, asked: 0.0001, has_control: false };
        let power = |has_control| Design { has_control, ..design }.power(0.008, &normal(0.01), 1).expect("residuals");
        assert!(power(true) < power(false) - 0.03, "{} {}", power(true), power(false));
    }

    #[test]
    fn drawings_follow_their_seed() {
        let residuals = normal(0.006);
        assert_eq!(DESIGN.power(0.01, &residuals, 3), DESIGN.power(0.01, &residuals, 3));
    }
}
