//! Merged histograms in the text form that HdrHistogram's own plotters read: value in milliseconds, percentile, count,
//! `1/(1-percentile)`.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::record::{Measured, new_histogram};
use crate::run::LoadedRun;

/// Steps per halving of the distance to 100 %, as `outputPercentileDistribution` of the Java original uses by default.
const STEPS_PER_HALVING: u32 = 5;

/// Latency of every open-loop case, from its valid trials: file stems and contents.
pub(crate) fn render(run: &LoadedRun) -> Vec<(String, String)> {
    run.header
        .plan
        .cases
        .iter()
        .filter_map(|case| {
            let mut merged = new_histogram();
            // A histogram that cannot be read, or has other bounds, makes its trial invalid, as everywhere.
            for record in run.records.iter().filter(|record| record.case == case.id && record.invalid.is_empty()) {
                let Measured::Latency(result) = &record.measured else { continue };
                if let Ok(histogram) = result.latency.decode() {
                    merged.add(&histogram).ok()?;
                }
            }
            (!merged.is_empty()).then(|| (case.id.replace('/', "-"), text(&merged)))
        })
        .collect()
}

fn text(histogram: &Histogram<u64>) -> String {
    const INTO_STRING: &str = "writing to a string does not fail";
    const MILLISECOND: f64 = 1e6;
    let mut out = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    let mut seen = 0;
    for step in histogram.iter_quantiles(STEPS_PER_HALVING) {
        seen += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = step.value_iterated_to() as f64 / MILLISECOND;
        if quantile < 1.0 {
            writeln!(out, "{value:>12.6} {quantile:>2.12} {seen:>10} {:>14.2}", 1.0 / (1.0 - quantile))
                .expect(INTO_STRING);
        } else {
            writeln!(out, "{value:>12.6} {quantile:>2.12} {seen:>10}").expect(INTO_STRING);
        }
    }
    let (mean, deviation) = (histogram.mean() / MILLISECOND, histogram.stdev() / MILLISECOND);
    writeln!(out, "#[Mean    = {mean:>12.6}, StdDeviation   = {deviation:>12.6}]").expect(INTO_STRING);
    writeln!(
        out,
        "#[Max     = {:>12.6}, Total count    = {:>12}]",
        histogram.max() as f64 / MILLISECOND,
        histogram.len()
    )
    .expect(INTO_STRING);
    out
}
