//! What requests cost the server and the wire, whatever the load: processor time, operations, bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::trials::{Load, Pairing};
use crate::cell::{Cell, Estimate};
use crate::record::SliceCost;
use crate::stats::{Interval, Resampler, hodges_lehmann};

/// Processor time per answered request, user and system.
///
/// How fast the machine is changes by ten per cent while a run lasts, for all variants alike. So what is measured is the
/// ratio to the baseline, slice by slice, and figures in nanoseconds are that ratio at the baseline's average over the run.
/// The baseline's own interval shows the machine's changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CpuPerRequest {
    /// All roles together.
    pub total: Estimate,
    /// By role (`resource`, `authorization`).
    pub by_role: BTreeMap<String, f64>,
    /// Beyond the baseline's.
    pub added: Cell<Estimate>,
    /// Times the baseline's.
    pub relative: Cell<Estimate>,
}

/// What the resource server counted, divided by the requests that reached the authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// Reads of a credential store, introspections included.
    pub store_lookups: f64,
    /// Answers taken from a cache.
    pub cache_hits: f64,
    /// Signature or MAC verifications.
    pub verify_calls: f64,
    /// Password hashes.
    pub hash_calls: f64,
    /// Introspection requests.
    pub introspections: f64,
}

/// Bytes per answered request.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WireBytes {
    /// Client to server.
    pub sent: f64,
    /// Server to client.
    pub received: f64,
}

pub(super) fn no_accounting(loads: &[Load<'_>]) -> &'static str {
    if loads.iter().any(|load| load.result.server.is_none()) {
        "no account of the target's processes: the scenario names none, or one ended while it was measured"
    } else {
        "CPU accounting not available"
    }
}

/// Processor time of a case, beside its baseline's where it has one.
pub(super) fn cpu(
    loads: &[Load<'_>],
    draws: Option<&Resampler>,
    pairing: &Cell<Pairing<'_, '_>>,
) -> Cell<CpuPerRequest> {
    let Some(parts) = loads.iter().map(cpu_of).collect::<Option<Vec<_>>>() else {
        return Cell::blank(no_accounting(loads));
    };
    let Some(own) = pooled_estimate(&parts, draws) else {
        return Cell::blank("no request was answered");
    };
    let answered: f64 = parts.iter().map(|(_, answered)| answered).sum();
    let mut by_role: BTreeMap<String, f64> = BTreeMap::new();
    for (role, ns) in loads.iter().filter_map(|load| load.result.server_cpu_ns.as_ref()).flatten() {
        *by_role.entry(role.clone()).or_default() += *ns as f64 / answered;
    }
    let baseline = pairing.and_then(|pairing| {
        let parts = pairing.pairs.iter().map(|(_, base)| cpu_of(base)).collect::<Option<Vec<_>>>();
        let pooled = parts.and_then(|parts| pooled(&parts, &vec![1; parts.len()]));
        Cell::or_blank(pooled, no_accounting(loads))
    });
    let relative = pairing.and_then(relative);
    let of_baseline = |of_ratio: &dyn Fn(f64) -> f64| {
        relative.and_then(|ratio| {
            baseline.map(|baseline| Estimate {
                value: baseline * of_ratio(ratio.value),
                interval: ratio.interval.map(|Interval { low, high }| Interval {
                    low: baseline * of_ratio(low),
                    high: baseline * of_ratio(high),
                }),
            })
        })
    };
    let total = of_baseline(&|ratio| ratio).known().copied().unwrap_or(own);
    if own.value > 0.0 {
        by_role.values_mut().for_each(|ns| *ns *= total.value / own.value);
    }
    Cell::Known(CpuPerRequest { total, by_role, added: of_baseline(&|ratio| ratio - 1.0), relative })
}

/// Typical ratio to the baseline's processor time per request: of each round the Hodges–Lehmann estimate of its pairs of
/// slices, and the mean of the rounds' logarithms.
fn relative(pairing: &Pairing<'_, '_>) -> Cell<Estimate> {
    let rounds: Option<Vec<f64>> = pairing.pairs.iter().map(|(own, base)| beyond(own, base)).collect();
    let Some(rounds) = rounds.filter(|rounds| !rounds.is_empty()) else {
        return Cell::blank("the processor time of a round is not known");
    };
    let ratio = |weights: &[u32]| {
        let sum: f64 = rounds.iter().zip(weights).map(|(round, weight)| round * f64::from(*weight)).sum();
        let count: u32 = weights.iter().sum();
        (count > 0).then(|| (sum / f64::from(count)).exp())
    };
    let value = ratio(&vec![1; rounds.len()]);
    let interval = pairing.draws.as_ref().and_then(|draws| draws.interval(ratio));
    Cell::or_blank(value.map(|value| Estimate { value, interval }), "no request was answered")
}

/// Logarithm of the ratio of two trials of a round: from their slices, or, in records from before slices were kept, as a
/// whole.
fn beyond(own: &Load<'_>, base: &Load<'_>) -> Option<f64> {
    let slices = own.result.slices.iter().zip(&base.result.slices);
    let beyond = |(own, base): (&SliceCost, &SliceCost)| Some(own.log_cpu_per_request()? - base.log_cpu_per_request()?);
    let pairs: Vec<f64> = slices.filter_map(beyond).collect();
    let whole = |load: &Load<'_>| {
        cpu_of(load).and_then(|(cpu_ns, answered)| (cpu_ns > 0.0 && answered > 0.0).then(|| (cpu_ns / answered).ln()))
    };
    hodges_lehmann(&pairs).or_else(|| Some(whole(own)? - whole(base)?))
}

/// Processor time and answered requests of a trial; `None` where the platform does not account it.
pub(super) fn cpu_of(load: &Load<'_>) -> Option<(f64, f64)> {
    let roles = load.result.server_cpu_ns.as_ref()?;
    Some((roles.values().map(|ns| *ns as f64).sum(), load.result.answered as f64))
}

/// Sum of the numerators over the sum of the denominators, trial `i` counted `weights[i]` times.
pub(super) fn pooled(parts: &[(f64, f64)], weights: &[u32]) -> Option<f64> {
    let (mut above, mut below) = (0.0, 0.0);
    for ((numerator, denominator), weight) in parts.iter().zip(weights) {
        above += numerator * f64::from(*weight);
        below += denominator * f64::from(*weight);
    }
    (below > 0.0).then(|| above / below)
}

/// Sum over sum with every trial counted once, and its interval.
pub(super) fn pooled_estimate(parts: &[(f64, f64)], draws: Option<&Resampler>) -> Option<Estimate> {
    let value = pooled(parts, &vec![1; parts.len()])?;
    Some(Estimate { value, interval: draws.and_then(|draws| draws.interval(|weights| pooled(parts, weights))) })
}

/// Operations per request.
pub(super) fn operations(loads: &[Load<'_>]) -> Cell<Operations> {
    let Some(counters) = loads.iter().map(|load| load.result.server.as_ref()).collect::<Option<Vec<_>>>() else {
        return Cell::blank(super::NOT_TOLD);
    };
    let requests: u64 = counters.iter().map(|counters| counters.requests).sum();
    if requests == 0 {
        return Cell::blank("the server counted no request");
    }
    let per_request = |count: fn(&bench_server::contract::Counters) -> u64| {
        let counted: u64 = counters.iter().map(|counters| count(counters)).sum();
        counted as f64 / requests as f64
    };
    Cell::Known(Operations {
        store_lookups: per_request(|counters| counters.store_lookups),
        cache_hits: per_request(|counters| counters.cache_hits),
        verify_calls: per_request(|counters| counters.verify_calls),
        hash_calls: per_request(|counters| counters.hash_calls),
        introspections: per_request(|counters| counters.introspections),
    })
}

/// Bytes per request.
pub(super) fn wire(loads: &[Load<'_>]) -> Cell<WireBytes> {
    let answered: u64 = loads.iter().map(|load| load.result.answered).sum();
    if answered == 0 {
        return Cell::blank("no request was answered");
    }
    let per_request = |bytes: fn(&crate::record::LoadResult) -> u64| {
        let sum: u64 = loads.iter().map(|load| bytes(load.result)).sum();
        sum as f64 / answered as f64
    };
    Cell::Known(WireBytes {
        sent: per_request(|result| result.bytes_sent),
        received: per_request(|result| result.bytes_received),
    })
}
