//! From which size on is one thing cheaper than another, when both were measured at the same sizes?

use serde::{Deserialize, Serialize};

/// Where two curves cross for good.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakEven {
    /// The one is cheaper at every size that was measured.
    Before,
    /// From this size on.
    At(f64),
    /// At the largest size that was measured it still is not.
    Beyond,
}

/// The size from which on `own` stays below `other`. Points are `(size, own, other)` by rising size, all positive. Between
/// points both curves are taken for straight in the logarithms of size and cost, as a plot with two logarithmic axes
/// draws them; costs of the form `a / size + b` are nearly that between neighbouring points. An earlier crossing that is
/// taken back does not count. `None` without points or where one is not positive.
pub fn break_even(points: &[(f64, f64, f64)]) -> Option<BreakEven> {
    let positive = |(size, own, other): &(f64, f64, f64)| *size > 0.0 && *own > 0.0 && *other > 0.0;
    if points.is_empty() || !points.iter().all(positive) {
        return None;
    }
    let advantage = |(_, own, other): &(f64, f64, f64)| (other / own).ln();
    let Some(last) = points.iter().rposition(|point| advantage(point) <= 0.0) else { return Some(BreakEven::Before) };
    let Some(next) = points.get(last + 1) else { return Some(BreakEven::Beyond) };
    let (before, after) = (advantage(&points[last]), advantage(next));
    let share = before / (before - after);
    let (from, to) = (points[last].0.ln(), next.0.ln());
    Some(BreakEven::At((from + share * (to - from)).exp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(points: &[(f64, f64, f64)]) -> f64 {
        match break_even(points) {
            Some(BreakEven::At(size)) => size,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn straight_lines_in_logarithms_cross_where_they_must() {
        // own = 100 / size, other = 10: equal at 10, between points and on one.
        let line = |sizes: &[f64]| sizes.iter().map(|size| (*size, 100.0 / size, 10.0)).collect::<Vec<_>>();
        assert!((at(&line(&[1.0, 100.0])) - 10.0).abs() < 1e-9);
        assert!((at(&line(&[2.0, 5.0, 50.0])) - 10.0).abs() < 1e-9);
        assert!((at(&line(&[1.0, 10.0, 100.0])) - 10.0).abs() < 1e-9);
    }

    #[test]
    fn a_handshake_and_a_check_per_request_cross_near_their_quotient() {
        // 80 more per connection against 16 more per request: 5 requests. The points lie close enough for 2 %.
        let points: Vec<_> = [1.0, 2.0, 5.0, 10.0, 100.0].map(|k| (k, 160.0 / k + 8.0, 80.0 / k + 24.0)).to_vec();
        assert!((at(&points) - 5.0).abs() < 0.1, "{}", at(&points));
        let sparse: Vec<_> = [1.0, 10.0].map(|k| (k, 160.0 / k + 8.0, 80.0 / k + 24.0)).to_vec();
        assert!((4.0..6.0).contains(&at(&sparse)), "{}", at(&sparse));
    }

    #[test]
    fn curves_that_do_not_cross_say_on_which_side() {
        assert_eq!(break_even(&[(1.0, 1.0, 2.0), (9.0, 1.0, 2.0)]), Some(BreakEven::Before));
        assert_eq!(break_even(&[(1.0, 3.0, 2.0), (9.0, 2.0, 2.0)]), Some(BreakEven::Beyond));
        assert_eq!(break_even(&[]), None);
        assert_eq!(break_even(&[(1.0, 0.0, 2.0)]), None);
    }

    #[test]
    fn only_the_last_crossing_counts() {
        let points = [(1.0, 1.0, 2.0), (2.0, 4.0, 2.0), (8.0, 1.0, 2.0)];
        let found = at(&points);
        assert!((2.0..8.0).contains(&found), "{found}");
        assert!((found - 4.0).abs() < 1e-9, "half way: from twice as much to half as much");
    }

    #[test]
    fn sides_are_ordered() {
        assert!(BreakEven::Before < BreakEven::At(1.0) && BreakEven::At(1.0) < BreakEven::At(2.0));
        assert!(BreakEven::At(1e9) < BreakEven::Beyond);
    }
}
