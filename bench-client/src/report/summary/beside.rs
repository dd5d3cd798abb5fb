//! What became of the traffic beside a variant.

use serde::{Deserialize, Serialize};

use super::NOT_MEASURED;
use super::cost::pooled_estimate;
use super::latency::percentiles;
use super::trials::{Load, Trials, resampler};
use crate::cell::{Cell, Estimate};
use crate::plan::{Beside, Plan, Variant};
use crate::record::BesideResult;
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
    /// Answered requests per second that were refused or failed.
    pub refused_per_s: Cell<Estimate>,
    /// Due and never sent.
    pub dropped: u64,
    /// From when accepted requests were due to their last byte: half took no longer.
    pub latency_ns_p50: Cell<Estimate>,
    /// All but one in a hundred.
    pub latency_ns_p99: Cell<Estimate>,
}

/// Adds up the first measurement that has some; `None` for a variant that is alone on its server.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a Variant) -> Option<Cell<BesideSummary>> {
    let traffic = variant.beside.as_deref().filter(|traffic| traffic.rate_per_s > 0.0)?;
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
        let seconds = loads.iter().map(|load| load.result.measured_ns as f64 / 1e9);
        let parts: Vec<(f64, f64)> = results.iter().map(|(result, _)| count(result) as f64).zip(seconds).collect();
        Cell::or_blank(pooled_estimate(&parts, draws.as_ref()), "nothing was measured")
    };
    let latency = percentiles(&Pool::new(results.iter().map(|(_, latency)| latency)), draws.as_ref());
    BesideSummary {
        measurement: measurement.to_owned(),
        method: traffic.method.name().to_owned(),
        wrong: traffic.wrong,
        per_s_requested: traffic.rate_per_s,
        accepted_per_s: per_s(|result| result.outcomes.accepted),
        refused_per_s: per_s(|result| result.outcomes.answered() - result.outcomes.accepted),
        dropped: results.iter().map(|(result, _)| result.dropped).sum(),
        latency_ns_p50: latency.p50,
        latency_ns_p99: latency.p99,
    }
}
