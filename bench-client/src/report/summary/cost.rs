//! What requests cost the server and the wire, whatever the load: processor time, operations, bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::cell::{Cell, Estimate};
use super::trials::{Load, Pairing};
use crate::stats::Resampler;

/// Processor time per answered request, user and system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CpuPerRequest {
    /// All roles together.
    pub total: Estimate,
    /// By role (`resource`, `authorization`).
    pub by_role: BTreeMap<String, f64>,
    /// Beyond the baseline's.
    pub added: Cell<Estimate>,
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

/// Processor time of a case and beyond its baseline.
pub(super) fn cpu(
    loads: &[Load<'_>],
    draws: Option<&Resampler>,
    pairing: &Cell<Pairing<'_, '_>>,
) -> Cell<CpuPerRequest> {
    let Some(parts) = loads.iter().map(cpu_of).collect::<Option<Vec<_>>>() else {
        return Cell::blank(no_accounting(loads));
    };
    let Some(total) = pooled_estimate(&parts, draws) else {
        return Cell::blank("no request was answered");
    };
    let answered: f64 = parts.iter().map(|(_, answered)| answered).sum();
    let mut by_role: BTreeMap<String, f64> = BTreeMap::new();
    for (role, ns) in loads.iter().filter_map(|load| load.result.server_cpu_ns.as_ref()).flatten() {
        *by_role.entry(role.clone()).or_default() += *ns as f64 / answered;
    }
    let added = pairing.and_then(|pairing| {
        let both = |(own, base): &(&Load<'_>, &Load<'_>)| Some((cpu_of(own)?, cpu_of(base)?));
        let Some(sides) = pairing.pairs.iter().map(both).collect::<Option<Vec<_>>>() else {
            return Cell::blank(no_accounting(loads));
        };
        let (own, baseline): (Vec<_>, Vec<_>) = sides.into_iter().unzip();
        let difference = |weights: &[u32]| Some(pooled(&own, weights)? - pooled(&baseline, weights)?);
        let estimate = difference(&vec![1; own.len()]).map(|value| Estimate {
            value,
            interval: pairing.draws.as_ref().and_then(|draws| draws.interval(difference)),
        });
        Cell::or_blank(estimate, "no request was answered")
    });
    Cell::Known(CpuPerRequest { total, by_role, added })
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
