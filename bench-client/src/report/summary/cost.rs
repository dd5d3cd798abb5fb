//! What requests cost the server and the wire, whatever the load: processor time, operations, bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::mood::{Moods, Place};
use super::trials::{Load, Pairing};
use crate::cell::{Cell, Estimate};
use crate::record::{NOT_TOLD_APART, SliceCost};
use crate::stats::{Resampler, hodges_lehmann};

/// Processor time per answered request, user and system: the run's average.
///
/// How much work costs changes by ten per cent while a run lasts, for all variants, though not for all alike. Intervals are
/// for what is left when the moods are taken out that the other variants saw in the same rounds (`summary/mood.rs`): they
/// are about variants, and not about the hour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CpuPerRequest {
    /// All roles together.
    pub total: Estimate,
    /// By role (`resource`, `authorization`).
    pub by_role: BTreeMap<String, f64>,
    /// Beyond the baseline's.
    pub added: Cell<Estimate>,
    /// Times the baseline's, in a typical slice of a typical round: a rare dear request is not in it.
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
    if loads.iter().any(|load| load.beside.is_some()) {
        NOT_TOLD_APART
    } else if loads.iter().any(|load| load.result.server.is_none()) {
        "no account of the target's processes: the scenario names none, or one ended while it was measured"
    } else {
        "CPU accounting not available"
    }
}

/// Processor time of a case, beside its baseline's where it has one.
pub(super) fn cpu<'a>(
    (variant, measurement): (&'a str, &'a str),
    loads: &[Load<'_>],
    moods: &Moods<'a>,
    draws: Option<&Resampler>,
    pairing: &Cell<Pairing<'_, 'a>>,
) -> Cell<CpuPerRequest> {
    let Some(parts) = loads.iter().map(cpu_of).collect::<Option<Vec<_>>>() else {
        return Cell::blank(no_accounting(loads));
    };
    let Some(value) = pooled(&parts, &vec![1; parts.len()]) else {
        return Cell::blank("no request was answered");
    };
    let answered: f64 = parts.iter().map(|(_, answered)| answered).sum();
    let mut by_role: BTreeMap<String, f64> = BTreeMap::new();
    for (role, ns) in loads.iter().filter_map(|load| load.result.server_cpu_ns.as_ref()).flatten() {
        *by_role.entry(role.clone()).or_default() += *ns as f64 / answered;
    }
    let own = moods.steadied(variant, measurement).and_then(|steadied| Steadied::new(value, loads.iter(), &steadied));
    let interval = draws.zip(own.as_ref()).and_then(|(draws, own)| draws.interval(|weights| own.drawn(weights)));
    let added = pairing.and_then(|pairing| {
        Cell::or_blank(added((variant, measurement), moods, pairing), "the processor time of a round is not known")
    });
    Cell::Known(CpuPerRequest {
        total: Estimate { value, interval },
        by_role,
        added,
        relative: pairing.and_then(relative),
    })
}

/// The difference to the baseline, both over the rounds that they share.
fn added((variant, measurement): (&str, &str), moods: &Moods<'_>, pairing: &Pairing<'_, '_>) -> Option<Estimate> {
    let side = |name: &str, loads: &[&Load<'_>]| {
        let parts = loads.iter().map(|load| cpu_of(load)).collect::<Option<Vec<_>>>()?;
        let value = pooled(&parts, &vec![1; parts.len()])?;
        Steadied::new(value, loads.iter().copied(), &moods.steadied(name, measurement)?)
    };
    let (own, base): (Vec<&Load<'_>>, Vec<&Load<'_>>) = pairing.pairs.iter().copied().unzip();
    let (own, base) = (side(variant, &own)?, side(pairing.baseline, &base)?);
    let drawn = |weights: &[u32]| Some(own.drawn(weights)? - base.drawn(weights)?);
    let interval = pairing.draws.as_ref().and_then(|draws| draws.interval(drawn));
    Some(Estimate { value: own.value - base.value, interval })
}

/// An average, and how each of its rounds lies to it without the machine's moods.
struct Steadied {
    value: f64,
    rounds: Vec<f64>,
    mean: f64,
}

impl Steadied {
    /// `None` where a round is missing.
    fn new<'l, 'a: 'l>(
        value: f64,
        loads: impl Iterator<Item = &'l Load<'a>>,
        steadied: &BTreeMap<Place, f64>,
    ) -> Option<Self> {
        let rounds: Vec<f64> =
            loads.map(|load| steadied.get(&(load.start, load.round)).copied()).collect::<Option<_>>()?;
        let mean = rounds.iter().sum::<f64>() / rounds.len() as f64;
        Some(Self { value, rounds, mean })
    }

    /// The average where round `i` counts `weights[i]` times.
    fn drawn(&self, weights: &[u32]) -> Option<f64> {
        let sum: f64 = self.rounds.iter().zip(weights).map(|(round, weight)| round * f64::from(*weight)).sum();
        let count: u32 = weights.iter().sum();
        (count > 0).then(|| self.value * (sum / f64::from(count) - self.mean).exp())
    }
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

/// Processor time and answered requests of a trial; `None` where the platform does not account it, and where the server had
/// other work too.
pub(super) fn cpu_of(load: &Load<'_>) -> Option<(f64, f64)> {
    let roles = load.result.server_cpu_ns.as_ref().filter(|_| load.beside.is_none())?;
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
        return Cell::blank(super::untold(loads));
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
