//! What a variant costs under a schedule.

use serde::{Deserialize, Serialize};

use super::cost::{CpuPerRequest, Operations, WireBytes, cpu, operations, wire};
use super::mood::Moods;
use super::resources::{Resources, resources};
use super::trials::{Load, Pairing, Trials, duty, pairing, resampler};
use crate::cell::{Cell, Estimate};
use crate::plan::{ArrivalModel, ConnectionKind, LatencyPlan, Plan, Variant};
use crate::stats::{Distribution, Pool, Resampler};

/// A variant under an open loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// The measurement that this comes from.
    pub measurement: String,
    /// How arrivals were spaced.
    pub model: ArrivalModel,
    /// Whether connections were kept.
    pub connection: ConnectionKind,
    /// Connections.
    pub connections: usize,
    /// Requests per second that the schedules asked for, on average.
    pub rate_per_s_requested: f64,
    /// Requests per second that were answered.
    pub rate_per_s_achieved: f64,
    /// Requests in the schedule that were never sent.
    pub dropped: u64,
    /// Accepted requests that the percentiles come from.
    pub samples: u64,
    /// Trials counted.
    pub trials: usize,
    /// Trials not counted.
    pub trials_invalid: usize,
    /// Share of the trials' time that the case was under load, from 0 to 1; other cases had the rest.
    pub duty: Cell<f64>,
    /// Intended time → last byte.
    pub latency_ns: Percentiles,
    /// Actual send → last byte.
    pub service_time_ns: Percentiles,
    /// Intended time → actual send, 99th percentile: what of the latency is the client's own lateness.
    pub lateness_ns_p99: Cell<f64>,
    /// Time inside the authenticator call, as the server recorded it.
    pub validation_ns: ValidationTime,
    /// Latency beyond the baseline's.
    pub latency_added_ns: AddedLatency,
    /// The median as a multiple of the baseline's in the same rounds.
    pub ratio_to_baseline_p50: Cell<Estimate>,
    /// The same at many percentiles, for the plot.
    pub latency_added_curve: Cell<Vec<CurvePoint>>,
    /// Processor time of the server processes per answered request.
    pub server_cpu_ns_per_request: Cell<CpuPerRequest>,
    /// What the resource server did per request.
    pub operations_per_request: Cell<Operations>,
    /// What went over TCP per answered request, TLS included.
    pub wire_bytes_per_request: Cell<WireBytes>,
    /// What else a request takes on both sides.
    pub resources: Resources,
    /// Full TLS handshakes that the client saw while it measured.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes that the client saw while it measured.
    pub handshakes_resumed: u64,
}

/// Percentiles of a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Half of the requests took no longer.
    pub p50: Cell<Estimate>,
    /// Nine in ten.
    pub p90: Cell<Estimate>,
    /// All but one in a hundred.
    pub p99: Cell<Estimate>,
    /// All but one in a thousand.
    pub p99_9: Cell<Estimate>,
}

/// Percentiles of the validation time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ValidationTime {
    /// Median.
    pub p50: Cell<Estimate>,
    /// 99th percentile.
    pub p99: Cell<Estimate>,
}

/// Percentile of the variant minus the same percentile of the baseline, over the rounds that have both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddedLatency {
    /// At the median.
    pub p50: Cell<Estimate>,
    /// At the 99th percentile.
    pub p99: Cell<Estimate>,
}

/// One percentile of the variant and of the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Share of requests that take longer, 0.01 at the 99th percentile.
    pub tail: f64,
    /// The variant's latency.
    pub latency_ns: f64,
    /// The baseline's.
    pub baseline_ns: f64,
}

/// What the schedules asked for over the trials, each as long as it was measured.
fn requested(loads: &[Load<'_>]) -> f64 {
    let (due, seconds) = loads.iter().fold((0.0, 0.0), |(due, seconds), load| {
        let measured = load.result.measured_ns as f64 / 1e9;
        (due + load.result.requested_rate_per_s.unwrap_or_default() * measured, seconds + measured)
    });
    if seconds > 0.0 { due / seconds } else { 0.0 }
}

const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
const NAMES: [&str; 4] = ["p50", "p90", "p99", "p99.9"];

/// Adds the trials of a case up; there is at least one.
pub(super) fn summarise<'a>(
    plan: &Plan,
    settings: &LatencyPlan,
    trials: &Trials<'a>,
    moods: &Moods<'a>,
    variant: &'a str,
    measurement: &'a str,
) -> LatencySummary {
    let loads = trials.loads(variant, measurement);
    let draws = resampler(loads, plan.seed);
    let pairing = pairing(trials, variant, measurement);
    let seconds: f64 = loads.iter().map(|load| load.result.measured_ns as f64 / 1e9).sum();
    let answered: u64 = loads.iter().map(|load| load.result.outcomes.answered()).sum();
    let latency = Pool::new(loads.iter().map(|load| &load.latency));
    let lateness: Vec<&Distribution> = loads.iter().filter_map(|load| load.lateness.as_ref()).collect();
    LatencySummary {
        measurement: measurement.to_owned(),
        model: settings.model,
        connection: settings.connection,
        connections: settings.connections,
        rate_per_s_requested: requested(loads),
        rate_per_s_achieved: if seconds > 0.0 { answered as f64 / seconds } else { 0.0 },
        dropped: loads.iter().map(|load| load.result.dropped).sum(),
        samples: latency.total(),
        trials: loads.len(),
        trials_invalid: trials.invalid_of(variant, measurement).count(),
        duty: duty(loads),
        latency_ns: percentiles(&latency, draws.as_ref()),
        service_time_ns: percentiles(&Pool::new(loads.iter().map(|load| &load.service_time)), draws.as_ref()),
        lateness_ns_p99: Cell::or_blank(
            Pool::new(lateness).percentiles(&[0.99])[0].map(|ns| ns as f64),
            thin_tail("p99"),
        ),
        validation_ns: validation(plan.variant(variant), loads, draws.as_ref()),
        latency_added_ns: match &pairing {
            Cell::Known(pairing) => added(pairing),
            Cell::Blank { blank } => AddedLatency { p50: Cell::blank(blank), p99: Cell::blank(blank) },
        },
        ratio_to_baseline_p50: pairing.and_then(ratio_of_medians),
        latency_added_curve: pairing.map(curve),
        server_cpu_ns_per_request: cpu((variant, measurement), loads, moods, draws.as_ref(), &pairing),
        operations_per_request: operations(loads),
        wire_bytes_per_request: wire(loads),
        resources: resources(loads, draws.as_ref()),
        handshakes_full: loads.iter().map(|load| load.result.handshakes_full).sum(),
        handshakes_resumed: loads.iter().map(|load| load.result.handshakes_resumed).sum(),
    }
}

pub(super) fn percentiles(pool: &Pool, draws: Option<&Resampler>) -> Percentiles {
    let found = pool.percentiles(&QUANTILES);
    let intervals = draws.map_or([None; 4], |draws| {
        draws.intervals(|weights| {
            // A percentile that is not shown needs no interval.
            std::array::from_fn(|i| found[i].and(pool.weighted(QUANTILES[i], weights)).map(|ns| ns as f64))
        })
    });
    let [p50, p90, p99, p99_9] = std::array::from_fn(|i| {
        let estimate = found[i].map(|ns| Estimate { value: ns as f64, interval: intervals[i] });
        Cell::or_blank(estimate, thin_tail(NAMES[i]))
    });
    Percentiles { p50, p90, p99, p99_9 }
}

pub(super) fn thin_tail(name: &str) -> String {
    format!("fewer than 10 samples beyond {name}")
}

fn validation(variant: Option<&Variant>, loads: &[Load<'_>], draws: Option<&Resampler>) -> ValidationTime {
    let blank = |reason: &str| ValidationTime { p50: Cell::blank(reason), p99: Cell::blank(reason) };
    if variant.is_some_and(Variant::is_baseline) {
        return blank("nothing is validated");
    }
    let Some(told) = loads.iter().map(|load| load.validation.as_ref()).collect::<Option<Vec<_>>>() else {
        return blank(super::untold(loads));
    };
    let Percentiles { p50, p99, .. } = percentiles(&Pool::new(told), draws);
    ValidationTime { p50, p99 }
}

/// The pooled latencies of both sides of the pairs.
fn sides(pairing: &Pairing<'_, '_>) -> (Pool, Pool) {
    (
        Pool::new(pairing.pairs.iter().map(|(own, _)| &own.latency)),
        Pool::new(pairing.pairs.iter().map(|(_, baseline)| &baseline.latency)),
    )
}

fn added(pairing: &Pairing<'_, '_>) -> AddedLatency {
    const AT: [f64; 2] = [0.5, 0.99];
    let (own, baseline) = sides(pairing);
    let difference = |own: Option<u64>, baseline: Option<u64>| Some(own? as f64 - baseline? as f64);
    let (of_own, of_baseline) = (own.percentiles(&AT), baseline.percentiles(&AT));
    // One drawing weighs both sides: what disturbed a round disturbed both, and cancels.
    let intervals = pairing.draws.as_ref().map_or([None; 2], |draws| {
        draws.intervals(|weights| {
            std::array::from_fn(|i| difference(own.weighted(AT[i], weights), baseline.weighted(AT[i], weights)))
        })
    });
    let [p50, p99] = std::array::from_fn(|i| {
        let estimate = difference(of_own[i], of_baseline[i]).map(|value| Estimate { value, interval: intervals[i] });
        Cell::or_blank(estimate, thin_tail(["p50", "p99"][i]))
    });
    AddedLatency { p50, p99 }
}

/// The median latency as a multiple of the baseline's in the same rounds.
fn ratio_of_medians(pairing: &Pairing<'_, '_>) -> Cell<Estimate> {
    let (own, baseline) = sides(pairing);
    let ratio = |own: Option<u64>, baseline: Option<u64>| Some(own? as f64 / baseline.filter(|ns| *ns > 0)? as f64);
    let value = ratio(own.percentiles(&[0.5])[0], baseline.percentiles(&[0.5])[0]);
    let interval = pairing
        .draws
        .as_ref()
        .and_then(|draws| draws.interval(|weights| ratio(own.weighted(0.5, weights), baseline.weighted(0.5, weights))));
    Cell::or_blank(value.map(|value| Estimate { value, interval }), thin_tail("p50"))
}

/// Percentiles from the median to the thinnest tail that both sides support, ten to a decade.
fn curve(pairing: &Pairing<'_, '_>) -> Vec<CurvePoint> {
    let decades = (4..=50).map(|tenth| 10_f64.powf(f64::from(-tenth) / 10.0));
    let tails: Vec<f64> = std::iter::once(0.5).chain(decades).collect();
    let quantiles: Vec<f64> = tails.iter().map(|tail| 1.0 - tail).collect();
    let (own, baseline) = sides(pairing);
    let (own, baseline) = (own.percentiles(&quantiles), baseline.percentiles(&quantiles));
    tails
        .iter()
        .zip(own.iter().zip(&baseline))
        .filter_map(|(tail, (own, baseline))| {
            Some(CurvePoint { tail: *tail, latency_ns: (*own)? as f64, baseline_ns: (*baseline)? as f64 })
        })
        .collect()
}
