//! Demands on trials under load: counters and the closed-loop identity.

use bench_server::contract::Counters;

use super::super::expect::{self, Lookups};
use super::super::format::{number, percent};
use super::super::summary::{Load, Trials};
use super::Check;
use crate::plan::{ConnectionKind, MeasurementKind, Plan, Variant};

/// Most that mean service time × throughput may differ from the connections, besides what the edges of slices cut off.
const IDENTITY_TOLERANCE: f64 = 0.05;

/// Trials of the variant on connections that were kept.
fn kept<'t, 'a>(plan: &Plan, trials: &'t Trials<'a>, variant: &'a Variant) -> Vec<&'t Load<'a>> {
    let reused = |name: &str| match plan.measurement(name).map(|measurement| &measurement.kind) {
        Some(MeasurementKind::Latency(settings)) => settings.connection == ConnectionKind::Reused,
        Some(MeasurementKind::Throughput(settings)) => settings.connection == ConnectionKind::Reused,
        Some(MeasurementKind::Revocation(_) | MeasurementKind::Handshake(_) | MeasurementKind::Setup(_)) | None => {
            false
        }
    };
    trials
        .all_loads()
        .filter(|(name, measurement, _)| *name == variant.name && reused(measurement))
        .flat_map(|(_, _, loads)| loads)
        .collect()
}

fn sum(loads: &[&Load<'_>], count: impl Fn(&Counters) -> u64) -> u64 {
    loads.iter().map(|load| count(&load.result.server)).sum()
}

/// `1.00 (12 345 of 12 345)`, exact counts beside the quotient: 0.999 97 must not look like 1.
fn per_request(count: u64, requests: u64) -> String {
    format!("{} ({count} in {requests} requests)", number(count as f64 / requests as f64))
}

/// Store lookups per request: exact, because both are counted.
pub(super) fn lookups<'a>(plan: &Plan, trials: &Trials<'a>, variant: &'a Variant) -> Option<Check> {
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
    if !expect::verifies_each(&variant.method) {
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

/// Little's law for a closed loop: mean service time × throughput = connections. A client that counts answers it did
/// not wait for, or leaves its own queueing out of the service time, breaks it.
pub(super) fn closed_loop(plan: &Plan, trials: &Trials<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    for measurement in &plan.measurements {
        let MeasurementKind::Throughput(settings) = &measurement.kind else { continue };
        let name = format!("{}: mean service time × throughput = connections", measurement.name);
        let connections = settings.connections as f64;
        // A slice's end cuts off what is in flight. What is in flight at a given instant is longer than the mean: E[S²]/E[S]
        // (the inspection paradox; Feller, An Introduction to Probability Theory, vol. 2, I.4).
        let deviations: Vec<(&str, f64, f64)> = trials
            .all_loads()
            .filter(|(_, of, _)| *of == measurement.name)
            .filter_map(|(variant, _, loads)| {
                let moment = |power: i32| -> f64 { loads.iter().map(|load| load.service_time.moment_sum(power)).sum() };
                let (busy, squares) = (moment(1), moment(2));
                let measured: f64 = loads.iter().map(|load| load.result.measured_ns as f64).sum();
                if busy <= 0.0 || measured <= 0.0 {
                    return None;
                }
                let edge = squares / busy / settings.slice.as_nanos() as f64;
                Some((variant, busy / measured, IDENTITY_TOLERANCE + edge))
            })
            .collect();
        let expected =
            format!("{} within {} plus what slices cut off", settings.connections, percent(IDENTITY_TOLERANCE));
        let excess = |(_, found, tolerance): &(&str, f64, f64)| (found / connections - 1.0).abs() - tolerance;
        let Some(worst) = deviations.iter().max_by(|a, b| excess(a).total_cmp(&excess(b))) else {
            checks.push(Check::not_tested(name, expected, "no valid trial"));
            continue;
        };
        let found = format!("{} for {}, the farthest of {} variants", number(worst.1), worst.0, deviations.len());
        checks.push(Check::judged(name, expected, found, excess(worst) <= 0.0));
    }
    checks
}

/// What the client saw answered and accepted is what the server counted.
pub(super) fn answers(trials: &Trials<'_>) -> Check {
    let name = "client and server count the same answers".to_owned();
    let expected = "server requests = client answers, all accepted";
    let (mut tried, mut differing) = (0, Vec::new());
    let mut answers = 0;
    for (variant, measurement, loads) in trials.all_loads() {
        for load in loads {
            tried += 1;
            answers += load.result.answered;
            let server = &load.result.server;
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
        _ if tried == 0 => Check::not_tested(name, expected, "no valid trial under load"),
        None => Check::judged(name, expected, format!("{answers} answers in {tried} trials agree"), true),
        Some(first) => {
            Check::judged(name, expected, format!("{} of {tried} trials differ; {first}", differing.len()), false)
        }
    }
}
