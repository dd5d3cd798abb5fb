//! The table of limits.

use super::{Entry, Row, Table, text};
use crate::cell::{Cell, Estimate};
use crate::plan::{Limit, Metric};
use crate::report::format;
use crate::report::summary::{Summary, ThresholdSummary, ThresholdVerdict};
use crate::report::sweep::Extra;
use crate::stats::Interval;

const CAPTION: &str = "The scenario's limits. One is exceeded only if all of the figure's interval is beyond it; where the limit \
    lies inside the interval, this run cannot tell.";

/// The table, where the scenario has limits.
pub(super) fn extra(summary: &Summary) -> Option<Extra> {
    let variant = |case: &str| case.split_once('/').map_or(case, |(variant, _)| variant).to_owned();
    let method = |case: &str| summary.variant(&variant(case)).map(|variant| variant.method.clone()).unwrap_or_default();
    let row = |it: &ThresholdSummary| {
        let metric = it.threshold.metric;
        let cells = vec![
            Entry::text(it.threshold.case.clone()),
            Entry::text(metric.word()),
            Entry::text(limit(it)),
            figure(metric, &it.figure),
            Entry::text(verdict(it.verdict)),
        ];
        Row { name: variant(&it.threshold.case), method: method(&it.threshold.case), detail: String::new(), cells }
    };
    let table = Table {
        name: "thresholds",
        columns: vec![
            text("case", "Case"),
            text("metric", "Figure"),
            text("limit", "Limit"),
            text("measured", "Measured"),
            text("verdict", "Verdict"),
        ],
        rows: summary.thresholds.iter().map(row).collect(),
    };
    (!summary.thresholds.is_empty()).then(|| Extra { title: "Limits", caption: CAPTION.to_owned(), table })
}

fn figure(metric: Metric, figure: &Cell<Estimate>) -> Entry {
    match figure {
        Cell::Known(estimate) => {
            let detail =
                estimate.interval.map(|it| format!("{} – {}", amount(metric, it.low), amount(metric, it.high)));
            Entry { detail: detail.unwrap_or_default(), ..Entry::text(amount(metric, estimate.value)) }
        }
        Cell::Blank { blank } => Entry::blank(blank),
    }
}

/// A limit that is not kept, as a sentence.
pub(crate) fn in_words(it: &ThresholdSummary) -> String {
    let metric = it.threshold.metric;
    let found = match &it.figure {
        Cell::Known(figure) => match figure.interval {
            Some(Interval { low, high }) => {
                format!("{} ({} – {})", amount(metric, figure.value), amount(metric, low), amount(metric, high))
            }
            None => amount(metric, figure.value),
        },
        Cell::Blank { blank } => format!("nothing: {blank}"),
    };
    format!("limit {}: {}, {} {}, found {found}", verdict(it.verdict), it.threshold.case, metric.word(), limit(it))
}

fn limit(it: &ThresholdSummary) -> String {
    match it.threshold.limit {
        Limit::Max(limit) => format!("≤ {}", amount(it.threshold.metric, limit)),
        Limit::Min(limit) => format!("≥ {}", amount(it.threshold.metric, limit)),
    }
}

/// A figure with its unit.
fn amount(metric: Metric, value: f64) -> String {
    match metric {
        metric if metric.is_time() => format::signed(value),
        Metric::Throughput => format!("{} req/s", format::number(value)),
        _ => format!("{} B", format::number(value)),
    }
}

/// In words.
fn verdict(verdict: ThresholdVerdict) -> &'static str {
    match verdict {
        ThresholdVerdict::Kept => "kept",
        ThresholdVerdict::Exceeded => "exceeded",
        ThresholdVerdict::Inconclusive => "inconclusive",
    }
}
