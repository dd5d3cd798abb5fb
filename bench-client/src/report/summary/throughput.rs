//! How much of a variant a core carries.

use serde::{Deserialize, Serialize};

use super::cost::{CpuPerRequest, Operations, WireBytes, cpu, operations, pooled_estimate, wire};
use super::mood::Moods;
use super::resources::{Resources, resources};
use super::trials::{Load, Trials, duty, pairing, resampler};
use crate::cell::{Cell, Estimate};
use crate::plan::{ConnectionKind, Plan, ThroughputPlan};
use crate::stats::ratio_of_pairs;

/// A variant at saturation. Its latency is left out: in a closed loop the mean merely restates connections divided by
/// throughput.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThroughputSummary {
    /// The measurement that this comes from.
    pub measurement: String,
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Whether connections were kept.
    pub connection: ConnectionKind,
    /// Accepted requests.
    pub samples: u64,
    /// Trials counted.
    pub trials: usize,
    /// Trials not counted.
    pub trials_invalid: usize,
    /// Share of the trials' time that the case was under load, from 0 to 1; other cases had the rest.
    pub duty: Cell<f64>,
    /// Accepted requests per second.
    pub per_s: Estimate,
    /// Typical ratio to the baseline of the same round: the median of the rounds' ratios.
    pub ratio_to_baseline: Cell<Estimate>,
    /// Processor time of the server processes per answered request.
    pub server_cpu_ns_per_request: Cell<CpuPerRequest>,
    /// What the resource server did per request.
    pub operations_per_request: Cell<Operations>,
    /// What went over TCP per answered request, TLS included.
    pub wire_bytes_per_request: Cell<WireBytes>,
    /// What else a request takes on both sides.
    pub resources: Resources,
}

/// Adds the trials of a case up; there is at least one.
pub(super) fn summarise<'a>(
    plan: &Plan,
    settings: &ThroughputPlan,
    trials: &Trials<'a>,
    moods: &Moods<'a>,
    variant: &'a str,
    measurement: &'a str,
) -> Cell<ThroughputSummary> {
    let loads = trials.loads(variant, measurement);
    let draws = resampler(loads, plan.seed);
    let own: Vec<(f64, f64)> = loads.iter().map(expected_in).collect();
    let Some(per_s) = pooled_estimate(&own, draws.as_ref()) else {
        return Cell::blank("nothing was measured");
    };
    let pairing = pairing(trials, variant, measurement);
    let ratio_to_baseline = pairing.and_then(|pairing| {
        let rates: Vec<(f64, f64)> = pairing.pairs.iter().map(|(own, base)| (rate(own), rate(base))).collect();
        let estimate = ratio_of_pairs(&rates, &vec![1; rates.len()]).map(|value| Estimate {
            value,
            interval: pairing
                .draws
                .as_ref()
                .and_then(|draws| draws.interval(|weights| ratio_of_pairs(&rates, weights))),
        });
        Cell::or_blank(estimate, "nothing was accepted")
    });
    Cell::Known(ThroughputSummary {
        measurement: measurement.to_owned(),
        connections: settings.connections,
        connection: settings.connection,
        samples: loads.iter().map(|load| load.result.expected()).sum(),
        trials: loads.len(),
        trials_invalid: trials.invalid_of(variant, measurement).count(),
        duty: duty(loads),
        per_s,
        ratio_to_baseline,
        server_cpu_ns_per_request: cpu((variant, measurement), loads, moods, draws.as_ref(), &pairing),
        operations_per_request: operations(loads),
        wire_bytes_per_request: wire(loads),
        resources: resources(loads, draws.as_ref()),
    })
}

/// Requests that ended as they were to, and seconds of a trial.
pub(super) fn expected_in(load: &Load<'_>) -> (f64, f64) {
    (load.result.expected() as f64, load.result.measured_ns as f64 / 1e9)
}

fn rate(load: &Load<'_>) -> f64 {
    let (requests, seconds) = expected_in(load);
    requests / seconds
}
