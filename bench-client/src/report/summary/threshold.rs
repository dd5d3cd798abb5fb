//! Whether a run kept its limits.

use serde::{Deserialize, Serialize};

use super::sweep;
use super::trials::Trials;
use crate::cell::{Cell, Estimate};
use crate::plan::{Limit, Plan, Threshold};
use crate::stats::Interval;

/// A limit and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThresholdSummary {
    /// The limit.
    #[serde(flatten)]
    pub threshold: Threshold,
    /// The figure.
    pub figure: Cell<Estimate>,
    /// Whether it is kept.
    pub verdict: ThresholdVerdict,
}

/// Whether a limit is kept. It is exceeded only if all of the figure's interval is beyond: a gate must not cry wolf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThresholdVerdict {
    /// All of the interval is within.
    Kept,
    /// All of it is beyond.
    Exceeded,
    /// The limit is inside the interval, or there is no figure.
    Inconclusive,
}

pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>) -> Vec<ThresholdSummary> {
    let of = |threshold: &Threshold| {
        // A limit is absolute: of processor time, too, the interval has in it what the hour did.
        let figure = sweep::figure_of(plan, trials, &threshold.case, threshold.metric);
        let verdict = figure.known().map_or(ThresholdVerdict::Inconclusive, |figure| judge(threshold.limit, figure));
        ThresholdSummary { threshold: threshold.clone(), figure, verdict }
    };
    plan.thresholds.iter().map(of).collect()
}

fn judge(limit: Limit, figure: &Estimate) -> ThresholdVerdict {
    // A single trial says nothing of another.
    let Some(Interval { low, high }) = figure.interval else { return ThresholdVerdict::Inconclusive };
    let (kept, exceeded) = match limit {
        Limit::Max(limit) => (high <= limit, low > limit),
        Limit::Min(limit) => (low >= limit, high < limit),
    };
    match (kept, exceeded) {
        (true, _) => ThresholdVerdict::Kept,
        (_, true) => ThresholdVerdict::Exceeded,
        _ => ThresholdVerdict::Inconclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exceeded_only_by_all_of_an_interval() {
        let of = |low, high| Estimate { value: f64::midpoint(low, high), interval: Some(Interval { low, high }) };
        for (figure, max, min) in [
            (of(1.0, 2.0), ThresholdVerdict::Kept, ThresholdVerdict::Exceeded),
            (of(4.0, 6.0), ThresholdVerdict::Inconclusive, ThresholdVerdict::Inconclusive),
            (of(7.0, 8.0), ThresholdVerdict::Exceeded, ThresholdVerdict::Kept),
        ] {
            assert_eq!((judge(Limit::Max(5.0), &figure), judge(Limit::Min(5.0), &figure)), (max, min), "{figure:?}");
        }
        let single = Estimate { value: 5.0, interval: None };
        assert_eq!(judge(Limit::Max(5.0), &single), ThresholdVerdict::Inconclusive, "one trial tells nothing");
        assert_eq!(judge(Limit::Max(4.9), &single), ThresholdVerdict::Inconclusive);
    }
}
