//! From figures to a verdict. Pure.
//!
//! A change counts when it *shows* (both looks together, at a level corrected for the size of the table), *matters* (it
//! exceeds the smallest change that counts, and what two processes of one program seem to differ by), and *repeats* (in
//! processes started for that purpose, by an interval of their own that does not hold zero). The first look alone is never enough.

use serde::{Deserialize, Serialize};

use super::{Shift, detectable_by_two_looks};

/// The first look: a p-value below this is looked at again.
const SUSPECT: f64 = 0.10;
/// The first look: so much of the smallest change that counts is enough, since the estimate may err to either side.
const SUSPECT_SHARE: f64 = 0.5;
/// The probability that anything at all in a table of equal things is called changed: once in 500 comparisons.
const ALARM: f64 = 0.002;
/// What the second look must show by itself.
const REPEATS: f64 = 0.05;
/// The probability with which a comparison finds what it says it would have seen.
pub const POWER: f64 = 0.90;
/// A comparison that would not even have seen so many times the smallest change that counts says nothing.
const BLIND: f64 = 10.0;
/// Nor one that would not have seen this, whatever counts.
const BLIND_AT: f64 = 0.25;
/// Starts below which there is no telling how much another one would differ.
pub(crate) const STARTS_MIN: usize = 4;
/// The same for the second look.
pub(crate) const STARTS_TO_CONFIRM_MIN: usize = 3;

/// What a comparison says of one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Worse, beyond what counts.
    Regressed,
    /// Nobody can tell.
    Inconclusive,
    /// Better, beyond what counts.
    Improved,
    /// No change that counts.
    Unchanged,
}

impl Verdict {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Inconclusive => "inconclusive",
            Self::Improved => "improved",
            Self::Unchanged => "unchanged",
        }
    }
}

/// What is known of one figure: shifts are logarithms, positive where the candidate is worse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// The first look.
    pub first: Shift,
    /// The second, if there was reason for one.
    pub second: Option<Shift>,
    /// What both say together, corrected for all figures of the table.
    pub p_adjusted: f64,
    /// How many figures that are.
    pub figures: usize,
    /// Whether the second look is the first: of two runs there is no more than one.
    pub one_look: bool,
    /// The smallest change that was asked to count, as a logarithm.
    pub asked: f64,
    /// The smallest change that counts: at least that.
    pub minimum: f64,
    /// How many starts a second look has, or would have had.
    pub starts_to_confirm: usize,
}

impl Evidence {
    /// Whether the first look asks for a second.
    pub fn is_suspect(&self) -> bool {
        self.first.p_value() < SUSPECT && self.first.estimate.abs() > self.minimum * SUSPECT_SHARE
    }

    /// Whether the second look makes a change of what the first suspected.
    fn is_confirmed(&self) -> bool {
        let shows = self.p_adjusted < ALARM;
        self.second.is_some_and(|second| shows && second.estimate.abs() > self.minimum && second.p_value() < REPEATS)
    }

    /// Whether the verdict is [`Verdict::Regressed`].
    pub fn is_regressed(&self) -> bool {
        self.is_confirmed() && self.second.is_some_and(|second| second.estimate > 0.0)
    }

    /// The shift that is reported: the second look's where there is one, since what was chosen for its size is too large.
    pub fn shift(&self) -> Shift {
        self.second.unwrap_or(self.first)
    }

    /// The smallest true change that this comparison would have found with [`POWER`]: it has to pass every condition, each
    /// nearly surely.
    pub fn detectable(&self) -> f64 {
        let each = 1.0 - (1.0 - POWER) / 2.0;
        let second = self.second.unwrap_or_else(|| self.first.from_as_many(self.starts_to_confirm));
        let alarm = ALARM / self.figures as f64;
        let shows = match self.one_look {
            true => self.first.detectable(alarm, each),
            false => detectable_by_two_looks(&self.first, &second, alarm, each),
        };
        let suspected = self.first.detectable(SUSPECT, each);
        let repeats = second.detectable(REPEATS, each);
        // What counts is exceeded by the estimate: as a test with an even chance of an alarm at the limit.
        let matters = self.minimum + second.detectable(1.0, each);
        suspected.max(shows).max(repeats).max(matters)
    }

    /// The verdict, and in words why it is not simply that nothing changed.
    pub fn verdict(&self) -> (Verdict, Option<String>) {
        let percent = |log: f64| format!("{:.2} %", log.exp_m1() * 100.0);
        if let Some(second) = self.second {
            let matters = second.estimate.abs() > self.minimum;
            let repeats = second.p_value() < REPEATS;
            if self.is_confirmed() {
                return (if second.estimate > 0.0 { Verdict::Regressed } else { Verdict::Improved }, None);
            }
            if matters && (repeats || self.p_adjusted < ALARM) {
                let text = "a change was suspected, and neither confirmed nor ruled out; compare again, with more starts \
                            or on a quieter machine";
                return (Verdict::Inconclusive, Some(text.to_owned()));
            }
        }
        if self.second.is_none() && self.is_suspect() {
            let text = "a change was suspected, and not looked at again; compare again";
            return (Verdict::Inconclusive, Some(text.to_owned()));
        }
        let detectable = self.detectable();
        if detectable > (self.asked * BLIND).min(BLIND_AT) {
            let text = format!(
                "a change below {} would not have been seen, and {} counts; compare on a quieter machine, or with more \
                 starts",
                percent(detectable),
                percent(self.asked)
            );
            return (Verdict::Inconclusive, Some(text));
        }
        (Verdict::Unchanged, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::two_looks;

    fn shift(estimate: f64, standard_error: f64) -> Shift {
        Shift { estimate, standard_error, degrees: 7.0 }
    }

    fn evidence(first: Shift) -> Evidence {
        Evidence {
            first,
            second: None,
            p_adjusted: 1.0,
            figures: 12,
            one_look: false,
            asked: 0.005,
            minimum: 0.005,
            starts_to_confirm: 8,
        }
    }

    fn confirmed(first: Shift, second: Shift) -> Evidence {
        let p_adjusted = (12.0 * two_looks(&first, &second)).min(1.0);
        Evidence { second: Some(second), p_adjusted, ..evidence(first) }
    }

    #[test]
    fn only_what_shows_and_might_matter_is_looked_at_again() {
        assert!(!evidence(shift(0.001, 0.002)).is_suspect(), "it does not show");
        assert!(!evidence(shift(0.002, 0.0001)).is_suspect(), "it does not matter");
        assert!(evidence(shift(0.004, 0.001)).is_suspect());
        assert!(evidence(shift(-0.004, 0.001)).is_suspect(), "improvements are changes too");
    }

    #[test]
    fn a_change_must_show_matter_and_repeat() {
        let first = shift(0.02, 0.002);
        assert_eq!(evidence(first).verdict().0, Verdict::Inconclusive, "not without a second look");
        assert_eq!(confirmed(first, shift(0.02, 0.002)).verdict(), (Verdict::Regressed, None));
        assert!(confirmed(first, shift(0.02, 0.002)).is_regressed());
        assert!(!confirmed(shift(-0.02, 0.002), shift(-0.02, 0.002)).is_regressed(), "it improved");
        assert_eq!(confirmed(shift(-0.02, 0.002), shift(-0.02, 0.002)).verdict(), (Verdict::Improved, None));
        assert_eq!(confirmed(first, shift(0.001, 0.002)).verdict().0, Verdict::Unchanged, "it did not repeat");
        assert_eq!(confirmed(first, shift(0.004, 0.0002)).verdict().0, Verdict::Unchanged, "it does not matter");
        for second in [shift(-0.02, 0.002), shift(0.01, 0.004)] {
            let (verdict, why) = confirmed(shift(0.01, 0.003), second).verdict();
            assert_eq!(verdict, Verdict::Inconclusive);
            assert!(why.is_some_and(|why| why.contains("neither confirmed nor ruled out")));
        }
    }

    #[test]
    fn what_could_see_nothing_says_nothing() {
        let (verdict, why) = evidence(shift(0.001, 0.05)).verdict();
        assert_eq!(verdict, Verdict::Inconclusive);
        assert!(why.is_some_and(|why| why.contains("would not have been seen")));
    }

    #[test]
    fn what_is_detectable_passes_both_looks_and_exceeds_what_counts() {
        let quiet = evidence(shift(0.0, 0.0002));
        assert!(quiet.detectable() > quiet.minimum, "{}", quiet.detectable());
        assert!(quiet.detectable() < 1.2 * quiet.minimum, "{}", quiet.detectable());
        let noisy = evidence(shift(0.0, 0.002));
        assert!(noisy.detectable() > noisy.first.detectable(SUSPECT, POWER));
    }
}
