//! What became of the traffic beside a variant.

use serde::{Deserialize, Serialize};

use super::NOT_MEASURED;
use super::cost::pooled_estimate;
use super::latency::percentiles;
use super::trials::{Load, Trials, resampler};
use crate::cell::{Cell, Estimate};
use crate::plan::{Beside, Plan, Variant};
use crate::record::{BesideResult, DROPPED_MAX};
use crate::stats::{Distribution, Pool};

/// The traffic beside a variant, which is in none of its other figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BesideSummary {
    /// The measurement that this comes from.
    pub measurement: String,
    /// How its route authenticates.
    pub method: String,
    /// Whether it brings wrong passwords on purpose.
    pub wrong: bool,
    /// Requests per second that its schedule asks for.
    pub per_s_requested: f64,
    /// Accepted requests per second.
    pub accepted_per_s: Cell<Estimate>,
    /// Requests per second that were refused.
    pub refused_per_s: Cell<Estimate>,
    /// Due and never sent.
    pub dropped: u64,
    /// From when accepted requests were due to their last byte: half took no longer. Blank, as the next, where too many were
    /// never sent.
    pub latency_ns_p50: Cell<Estimate>,
    /// All but one in a hundred.
    pub latency_ns_p99: Cell<Estimate>,
}

/// Adds up the first measurement that has some; `None` for a variant that is alone on its server.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a Variant) -> Option<Cell<BesideSummary>> {
    let traffic = variant.traffic_beside()?;
    let measured = plan.measurements.iter().find_map(|measurement| {
        let loads = trials.loads(&variant.name, &measurement.name);
        let results: Option<Vec<_>> = loads.iter().map(|load| load.beside.as_ref()).collect();
        let results = results.filter(|results| !results.is_empty())?;
        Some(of_case(plan, traffic, &measurement.name, loads, &results))
    });
    Some(Cell::or_blank(measured, NOT_MEASURED))
}

fn of_case(
    plan: &Plan,
    traffic: &Beside,
    measurement: &str,
    loads: &[Load<'_>],
    results: &[&(&BesideResult, Distribution)],
) -> BesideSummary {
    let draws = resampler(loads, plan.seed);
    let per_s = |count: fn(&BesideResult) -> u64| {
        // By its own time: after the variant's last answer it may have gone on for seconds.
        let part = |result: &BesideResult| Some((count(result) as f64, result.measured_ns? as f64 / 1e9));
        match results.iter().map(|(result, _)| part(result)).collect::<Option<Vec<(f64, f64)>>>() {
            Some(parts) => Cell::or_blank(pooled_estimate(&parts, draws.as_ref()), "nothing was measured"),
            None => Cell::blank("the records are from before they said for how long it was measured"),
        }
    };
    let sum = |count: fn(&BesideResult) -> u64| -> u64 { results.iter().map(|(result, _)| count(result)).sum() };
    let (dropped, due) = (sum(|result| result.dropped), sum(BesideResult::due));
    let latency = percentiles(&Pool::new(results.iter().map(|(_, latency)| latency)), draws.as_ref());
    let percentile = |found: Cell<Estimate>| {
        if dropped as f64 > due as f64 * DROPPED_MAX {
            return Cell::blank(format!(
                "{dropped} of {due} requests were never sent, and would have been the slowest"
            ));
        }
        found
    };
    BesideSummary {
        measurement: measurement.to_owned(),
        method: traffic.method.name().to_owned(),
        wrong: traffic.wrong,
        per_s_requested: traffic.rate_per_s,
        accepted_per_s: per_s(|result| result.outcomes.accepted),
        refused_per_s: per_s(|result| result.outcomes.answered() - result.outcomes.accepted),
        dropped,
        latency_ns_p50: percentile(latency.p50),
        latency_ns_p99: percentile(latency.p99),
    }
}
