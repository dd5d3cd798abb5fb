//! Student's t distribution: how far a mean of few values may lie from the truth by chance.
//!
//! The distribution function comes from the regularised incomplete beta function (Abramowitz and Stegun, "Handbook of
//! Mathematical Functions", 1964, §26.7.1), and that from its continued fraction (§26.5.8) by Lentz's method.

/// The probability that Student's t with so many degrees of freedom (over 0) lies farther from 0 than `t`, to either side.
pub fn student_two_sided(t: f64, degrees: f64) -> f64 {
    if t.is_nan() {
        return f64::NAN;
    }
    incomplete_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5)
}

/// The value that Student's t exceeds with probability `above`, over 0 and at most ½; degrees of freedom over 0.
pub fn student_quantile(above: f64, degrees: f64) -> f64 {
    let exceeds = |t: f64| student_two_sided(t, degrees) / 2.0;
    let (mut low, mut high) = (0.0, 1.0);
    while exceeds(high) > above {
        high *= 2.0;
    }
    // Sixty halvings leave less than the precision of a double.
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if exceeds(middle) > above { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// I_x(a, b), for `x` from 0 to 1.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    // The fraction converges fast on this side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * beta_fraction(x, a, b) / a
    } else {
        1.0 - front * beta_fraction(1.0 - x, b, a) / b
    }
}

fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TERMS: u32 = 300;
    let away_from_0 = |value: f64| if value.abs() < f64::MIN_POSITIVE { f64::MIN_POSITIVE } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_0(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in (1..=TERMS).map(f64::from) {
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / away_from_0(1.0 + term * d);
            c = away_from_0(1.0 + term / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// ln Γ(x) for `x` over 0: Stirling's series (Abramowitz and Stegun §6.1.41) at `x` moved up to where it is exact.
fn ln_gamma(x: f64) -> f64 {
    const FROM: f64 = 20.0;
    let (mut x, mut moved) = (x, 0.0);
    while x < FROM {
        moved += x.ln();
        x += 1.0;
    }
    let r = 1.0 / (x * x);
    let series = (1.0 / 12.0 - r * (1.0 / 360.0 - r * (1.0 / 1260.0 - r / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - moved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(value: f64, known: f64, tolerance: f64) {
        assert!((value - known).abs() <= tolerance, "{value}, not {known}");
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // NIST/SEMATECH e-Handbook of Statistical Methods, §1.3.6.7.2.
        for (above, degrees, known) in [
            (0.025, 1.0, 12.706),
            (0.025, 2.0, 4.303),
            (0.025, 5.0, 2.571),
            (0.025, 9.0, 2.262),
            (0.025, 30.0, 2.042),
            (0.10, 5.0, 1.476),
            (0.001, 9.0, 4.297),
            (0.001, 100.0, 3.174),
            (0.05, 60.0, 1.671),
        ] {
            close(student_quantile(above, degrees), known, 0.0006);
        }
        close(student_quantile(0.5, 7.0), 0.0, 1e-9);
    }

    #[test]
    fn one_degree_is_cauchy_and_many_are_normal() {
        for t in [0.1, 1.0, 7.0, 300.0_f64] {
            close(student_two_sided(t, 1.0), 1.0 - 2.0 / std::f64::consts::PI * t.atan(), 1e-12);
        }
        close(student_two_sided(1.959_964, 1e7), 0.05, 1e-6);
        assert_eq!(student_two_sided(0.0, 5.0), 1.0);
        close(student_two_sided(-2.571, 5.0), 0.05, 1e-4);
        assert_eq!(student_two_sided(f64::INFINITY, 5.0), 0.0);
        assert!(student_two_sided(f64::NAN, 5.0).is_nan());
    }

    #[test]
    fn gamma_is_the_factorial() {
        let mut factorial = 1.0_f64;
        for n in 1..20 {
            close(ln_gamma(f64::from(n)), factorial.ln(), 1e-12 * factorial.ln().max(1.0));
            factorial *= f64::from(n);
        }
        close(ln_gamma(0.5), std::f64::consts::PI.sqrt().ln(), 1e-13);
    }
}
