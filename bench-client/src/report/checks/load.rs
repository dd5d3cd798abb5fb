//! Demands on trials under load: counters and the closed-loop identity.

use bench_server::contract::Counters;

use super::super::expect::{self, Lookups};
use super::super::format::{number, percent};
use super::super::summary::{Load, NOT_TOLD, Trials};
use super::Check;
use crate::plan::{ConnectionKind, MeasurementKind, Plan, Variant};

/// Most that the mean number of requests in flight may differ from the connections.
const IDENTITY_TOLERANCE: f64 = 0.03;

/// Trials of the variant on connections that were kept.
fn kept<'t, 'a>(plan: &Plan, trials: &'t Trials<'a>, variant: &'a Variant) -> Vec<&'t Load<'a>> {
    let reused = |name: &str| match plan.measurement(name).map(|measurement| &measurement.kind) {
        Some(MeasurementKind::Latency(settings)) => settings.connection == ConnectionKind::Reused,
        Some(MeasurementKind::Throughput(settings)) => settings.connection == ConnectionKind::Reused,
        _ => false,
    };
    trials
        .all_loads()
        .filter(|(name, measurement, _)| *name == variant.name && reused(measurement))
        .flat_map(|(_, _, loads)| loads)
        .collect()
}

fn sum(loads: &[&Load<'_>], count: impl Fn(&Counters) -> u64) -> u64 {
    loads.iter().filter_map(|load| load.result.server.as_ref()).map(count).sum()
}

/// `1.00 (12 345 of 12 345)`, exact counts beside the quotient: 0.999 97 must not look like 1.
fn per_request(count: u64, requests: u64) -> String {
    format!("{} ({count} in {requests} requests)", number(count as f64 / requests as f64))
}

/// Store lookups per request: exact, because both are counted.
pub(super) fn lookups<'a>(plan: &Plan, trials: &Trials<'a>, variant: &'a Variant) -> Option<Check> {
    if !variant.presents.is_default() {
        return None; // how far a validation gets that ends in a refusal is the method's affair
    }
    let rule = expect::lookups(&variant.method);
    let (name, expected) = match rule {
        Lookups::One => (format!("{}: one store lookup per request", variant.name), "exactly 1"),
        Lookups::None => (format!("{}: no store lookup on kept connections", variant.name), "exactly 0"),
        Lookups::CacheOrOne => (
            format!("{}: a request hits the cache or looks up", variant.name),
            "lookups + hits exactly 1, lookups at most 1",
        ),
        Lookups::Open => return None,
    };
    let loads = kept(plan, trials, variant);
    let requests = sum(&loads, |counters| counters.requests);
    if requests == 0 {
        return Some(Check::not_tested(name, expected, "no valid trial under load on kept connections"));
    }
    let lookups = sum(&loads, |counters| counters.store_lookups);
    let hits = sum(&loads, |counters| counters.cache_hits);
    let (found, holds) = match rule {
        Lookups::One => (per_request(lookups, requests), lookups == requests),
        Lookups::None => (per_request(lookups, requests), lookups == 0),
        Lookups::CacheOrOne | Lookups::Open => (
            format!("{lookups} lookups + {hits} hits in {requests} requests"),
            lookups + hits == requests && lookups <= requests,
        ),
    };
    Some(Check::judged(name, expected, found, holds))
}

/// Signatures per request, for methods that verify each token.
pub(super) fn signatures<'a>(plan: &Plan, trials: &Trials<'a>, variant: &'a Variant) -> Option<Check> {
    if !expect::verifies_each(&variant.method) || !variant.presents.is_default() {
        return None;
    }
    let name = format!("{}: one signature check per request", variant.name);
    let loads = kept(plan, trials, variant);
    let requests = sum(&loads, |counters| counters.requests);
    if requests == 0 {
        return Some(Check::not_tested(name, "exactly 1", "no valid trial under load on kept connections"));
    }
    let verified = sum(&loads, |counters| counters.verify_calls);
    Some(Check::judged(name, "exactly 1", per_request(verified, requests), verified == requests))
}

/// Little's law for a closed loop: mean latency = connections / throughput, in every trial. A client that counts answers
/// it did not wait for, or leaves its own queueing out of the latency, breaks it.
///
/// Latencies are added up as far as they lie within the time that was counted: what a slice's edges cut off would
/// otherwise be missing, the more the longer requests take (the inspection paradox; Feller, An Introduction to
/// Probability Theory, vol. 2, I.4). On new connections the time between two requests goes into closing the last one, so
/// there is no identity to check.
pub(super) fn closed_loop(plan: &Plan, trials: &Trials<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for measurement in &plan.measurements {
        let MeasurementKind::Throughput(settings) = &measurement.kind else { continue };
        let name = format!("{}: mean latency × throughput = connections, in every trial", measurement.name);
        let expected = format!("{} within {}", settings.connections, percent(IDENTITY_TOLERANCE));
        if settings.connection != ConnectionKind::Reused {
            checks.push(Check::not_tested(name, expected, "between two requests a connection is closed"));
            continue;
        }
        let connections = settings.connections as f64;
        let in_flight: Vec<(&str, u32, f64)> = trials
            .all_loads()
            .filter(|(_, of, _)| *of == measurement.name)
            .flat_map(|(variant, _, loads)| loads.iter().map(move |load| (variant, load)))
            .filter(|(_, load)| load.result.measured_ns > 0)
            .map(|(variant, load)| {
                (variant, load.round, load.result.in_flight_ns as f64 / load.result.measured_ns as f64)
            })
            .collect();
        let deviation = |in_flight: f64| (in_flight / connections - 1.0).abs();
        let Some(worst) = in_flight.iter().max_by(|a, b| deviation(a.2).total_cmp(&deviation(b.2))) else {
            checks.push(Check::not_tested(name, expected, "no valid trial"));
            continue;
        };
        let (variant, round, found) = worst;
        let text =
            format!("{} for {variant} in round {round}, the farthest of {} trials", number(*found), in_flight.len());
        checks.push(Check::judged(name, expected, text, deviation(*found) <= IDENTITY_TOLERANCE));
    }
    checks
}

/// What the client saw answered and accepted is what the server counted.
pub(super) fn answers(trials: &Trials<'_>) -> Check {
    let name = "client and server count the same answers".to_owned();
    let expected = "server requests = client answers, all accepted";
    let (mut tried, mut differing) = (0, Vec::new());
    let mut answers = 0;
    let mut untold = false;
    for (variant, measurement, loads) in trials.all_loads() {
        for load in loads {
            let Some(server) = &load.result.server else {
                untold = true;
                continue;
            };
            tried += 1;
            answers += load.result.answered;
            let refused: u64 = load.result.outcomes.rejected.values().sum();
            let agrees = server.requests == load.result.answered
                && server.accepted + refused == load.result.answered
                && load.result.outcomes.accepted <= server.accepted;
            if !agrees {
                differing.push(format!(
                    "{variant}/{measurement} round {}: client {}, server {} of which {} accepted",
                    load.round, load.result.answered, server.requests, server.accepted
                ));
            }
        }
    }
    match differing.first() {
        _ if tried == 0 && untold => Check::not_tested(name, expected, NOT_TOLD),
        _ if tried == 0 => Check::not_tested(name, expected, "no valid trial under load"),
        None => Check::judged(name, expected, format!("{answers} answers in {tried} trials agree"), true),
        Some(first) => {
            Check::judged(name, expected, format!("{} of {tried} trials differ; {first}", differing.len()), false)
        }
    }
}
