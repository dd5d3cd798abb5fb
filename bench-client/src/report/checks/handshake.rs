//! Demands on new connections and on those that probe a revocation: what each handshake was, counted on both sides, and
//! that connections are whole. Counting is exact, so there is no tolerance.

use super::super::summary::{Load, Trials};
use super::Check;
use crate::plan::{MeasurementKind, Plan, Variant};
use crate::record::{HandshakeCounts, HandshakeResult, RevocationHandshakes};

/// Full, resumed and with a client certificate: client and server agree in every trial.
pub(super) fn kinds<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a Variant) -> Option<Check> {
    planned(plan, variant)?;
    let name = format!("{}: client and server count the same handshakes", variant.name);
    let mutual = variant.method.is_mtls();
    let certificates = if mutual { "all full ones with a certificate" } else { "none with a certificate" };
    let expected = format!("full, resumed and with a client certificate exactly equal, {certificates}");
    let (mut tried, mut differing) = (0, Vec::new());
    let mut sum = [0; 3];
    for (measurement, load, result) in of(trials, &variant.name) {
        let Some(server) = &load.result.server else { continue };
        tried += 1;
        let client = [result.load.handshakes_full, result.load.handshakes_resumed, result.certificates];
        let other = [server.handshakes_full, server.handshakes_resumed, server.handshakes_with_certificate];
        sum.iter_mut().zip(client).for_each(|(sum, count)| *sum += count);
        let with_certificate = if mutual { client[0] } else { 0 };
        if client != other || client[2] != with_certificate || server.handshakes_failed > 0 {
            differing.push(format!(
                "{measurement} round {}: client {client:?}, server {other:?}, {} failed",
                load.round, server.handshakes_failed
            ));
        }
    }
    let [full, resumed, with_certificate] = sum;
    Some(match differing.first() {
        _ if tried == 0 => Check::not_tested(name, expected, "no valid trial in which the server counts"),
        None => {
            let found =
                format!("{full} full, {resumed} resumed, {with_certificate} with a certificate in {tried} trials");
            Check::judged(name, expected, found, true)
        }
        Some(first) => {
            Check::judged(name, expected, format!("{} of {tried} trials differ; {first}", differing.len()), false)
        }
    })
}

/// Full, resumed and refused while credentials are revoked and watched: client and server agree in every trial. `None` where
/// none were counted.
pub(super) fn of_revocations<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a Variant) -> Option<Check> {
    let name = format!("{}: client and server count the same handshakes of revocations", variant.name);
    let expected = "full, resumed and refused exactly equal";
    let counted: Vec<(&str, &RevocationHandshakes)> = plan
        .measurements
        .iter()
        .flat_map(|measurement| {
            let results = trials.revocations(&variant.name, &measurement.name);
            results.iter().filter_map(|result| Some((measurement.name.as_str(), result.handshakes.as_ref()?)))
        })
        .collect();
    if let Some(reason) = counted.iter().find_map(|(_, made)| made.server.reason()) {
        return Some(Check::not_tested(name, expected, reason));
    }
    let differs = |(_, made): &&(&str, &RevocationHandshakes)| made.server.known() != Some(&made.client());
    let differing = counted.iter().filter(differs).count();
    let HandshakeCounts { full, resumed, refused } = counted.iter().map(|(_, made)| made.client()).sum();
    let (holds, found) = match counted.iter().find(differs) {
        None => (true, format!("{full} full, {resumed} resumed, {refused} refused in {} trials", counted.len())),
        Some((measurement, made)) => {
            let server = made.server.known().copied().unwrap_or_default();
            let first = format!("{measurement}: client {}, server {}", list(made.client()), list(server));
            (false, format!("{differing} of {} trials differ; {first}", counted.len()))
        }
    };
    (!counted.is_empty()).then(|| Check::judged(name, expected, found, holds))
}

fn list(HandshakeCounts { full, resumed, refused }: HandshakeCounts) -> String {
    format!("{:?}", [full, resumed, refused])
}

/// Every connection carried exactly the requests that it was opened for, so that dividing by either is the same.
pub(super) fn whole_connections(plan: &Plan, trials: &Trials<'_>) -> Option<Check> {
    plan.variants.iter().find_map(|variant| planned(plan, variant))?;
    let name = "handshake: requests = connections × requests per connection".to_owned();
    let expected = "exactly equal, and every handshake that was begun is one of them";
    let (mut tried, mut connections, mut differing) = (0, 0, Vec::new());
    for (variant, measurement, loads) in trials.all_loads() {
        let Some(MeasurementKind::Handshake(settings)) = plan.measurement(measurement).map(|it| &it.kind) else {
            continue;
        };
        for (load, result) in loads.iter().filter_map(|load| Some((load, load.handshake.as_ref()?.result))) {
            tried += 1;
            connections += result.connections;
            let due = result.connections * u64::from(settings.requests_per_connection);
            let begun = result.load.handshakes_full + result.load.handshakes_resumed;
            if due != result.load.answered || begun != result.connections {
                differing.push(format!(
                    "{variant}/{measurement} round {}: {begun} handshakes, {} connections, {} requests",
                    load.round, result.connections, result.load.answered
                ));
            }
        }
    }
    Some(match differing.first() {
        _ if tried == 0 => Check::not_tested(name, expected, "no valid trial"),
        None => Check::judged(name, expected, format!("{connections} connections in {tried} trials"), true),
        Some(first) => {
            Check::judged(name, expected, format!("{} of {tried} trials differ; {first}", differing.len()), false)
        }
    })
}

/// Whether the plan measures handshakes of the variant.
fn planned(plan: &Plan, variant: &Variant) -> Option<()> {
    let is_handshake = |name: &str| {
        plan.measurement(name).is_some_and(|measurement| matches!(measurement.kind, MeasurementKind::Handshake(_)))
    };
    let takes_part = |case: &crate::plan::Case| case.variant == variant.name && is_handshake(&case.measurement);
    plan.cases.iter().any(takes_part).then_some(())
}

fn of<'t, 'a>(
    trials: &'t Trials<'a>,
    variant: &str,
) -> impl Iterator<Item = (&'a str, &'t Load<'a>, &'a HandshakeResult)> {
    trials
        .all_loads()
        .filter(move |(name, _, _)| *name == variant)
        .flat_map(|(_, measurement, loads)| loads.iter().map(move |load| (measurement, load)))
        .filter_map(|(measurement, load)| Some((measurement, load, load.handshake.as_ref()?.result)))
}
