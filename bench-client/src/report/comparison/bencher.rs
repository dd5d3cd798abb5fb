//! Bencher Metric Format (bencher.dev, "Bencher Metric Format" of its reference): for `bencher run --adapter json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::compare::Comparison;

#[derive(Serialize)]
struct Metric {
    value: f64,
    lower_value: f64,
    upper_value: f64,
}

/// The candidate's figures by case and quantity: nanoseconds, or requests per second. The bounds are those of the change,
/// applied to the baseline's figure as it was beside the candidate's.
pub fn bencher(comparison: &Comparison) -> String {
    let mut benchmarks: BTreeMap<&str, BTreeMap<String, Metric>> = BTreeMap::new();
    for row in &comparison.rows {
        let beside = row.candidate / (1.0 + row.change);
        let metric = Metric {
            value: row.candidate,
            lower_value: beside * (1.0 + row.interval.low),
            upper_value: beside * (1.0 + row.interval.high),
        };
        // A slug has hyphens.
        benchmarks.entry(&row.case).or_default().insert(row.quantity.name().replace('_', "-"), metric);
    }
    serde_json::to_string_pretty(&benchmarks).expect("metrics are plain data") + "\n"
}
