//! What only the whole scenario shows: contradictions between its sections, and settings under which a measurement would
//! not see what it is for.

use std::collections::BTreeSet;
use std::time::Duration;

use bench_server::contract::{JwtConfig, MethodConfig, Transport};

use super::Scenario;
use super::document::At;
use super::measurement::{Selection, WrittenMeasurement};
use super::reader::{Places, Problems};
use super::suggest;
use super::value::show;
use crate::plan::{BASELINE, ConnectionKind, MeasurementKind, RevocationPlan, SessionKind, Variant};

/// Checks the scenario as a whole.
pub(super) fn check(scenario: &Scenario, problems: &Problems) {
    unique("variant", scenario.variants.iter().map(|each| (each.name.as_deref(), &each.places)), problems);
    unique("measurement", scenario.measurements.iter().map(|each| (each.name.as_deref(), &each.places)), problems);
    check_baseline(scenario, problems);
    if scenario.measurements.is_empty() {
        problems.error(At::File(0), "no [[measurement]]: nothing would be measured; add one, like kind = \"latency\"");
    }
    for variant in &scenario.variants {
        if let Some(Variant { name, method: MethodConfig::Mtls(_), .. }) = &variant.variant
            && scenario.transport == Transport::Plaintext
        {
            problems.error(
                variant.places.of("method"),
                format!(
                    "variant \"{name}\": method is \"mtls\", but [server] transport is \"plaintext\"; write \"tls1.3\""
                ),
            );
        }
    }
    for measurement in &scenario.measurements {
        check_selection(scenario, measurement, problems);
        check_measurement(scenario, measurement, problems);
    }
}

fn unique<'a>(word: &str, named: impl Iterator<Item = (Option<&'a str>, &'a Places)>, problems: &Problems) {
    let mut seen = BTreeSet::new();
    for (name, places) in named {
        let Some(name) = name else { continue };
        if !seen.insert(name) {
            problems.error(
                places.of("name"),
                format!("{word} \"{name}\": the name is taken; give each {word} its own name"),
            );
        }
    }
}

fn check_baseline(scenario: &Scenario, problems: &Problems) {
    // Where a name could not be read, it may be the one that is missed.
    if scenario.variants.iter().any(|variant| variant.name.is_none()) {
        return;
    }
    let remedy = format!("add [[variant]] with name = \"{BASELINE}\" and method = \"none\"");
    match scenario.variants.iter().find(|variant| variant.name.as_deref() == Some(BASELINE)) {
        None => problems.error(
            At::File(0),
            format!("variant \"{BASELINE}\" is missing: every cost is a distance from that baseline; {remedy}"),
        ),
        Some(written) => match &written.variant {
            Some(variant) if variant.method != MethodConfig::None => problems.error(
                written.places.of("method"),
                format!(
                    "variant \"{BASELINE}\": method is \"{}\", but \"{BASELINE}\" is the baseline; rename this variant \
                     and {remedy}",
                    variant.method.name()
                ),
            ),
            _ => {}
        },
    }
}

fn check_selection(scenario: &Scenario, measurement: &WrittenMeasurement, problems: &Problems) {
    let place = place(measurement);
    let (names, except) = match &measurement.selection {
        Selection::All => return,
        Selection::Only(names) => (names, false),
        Selection::Except(names) => (names, true),
    };
    let known: Vec<&str> = scenario.variants.iter().filter_map(|variant| variant.name.as_deref()).collect();
    // A variant whose own name is mistaken already has its problem.
    let all_known = known.len() == scenario.variants.len();
    for (index, (at, name)) in names.iter().enumerate() {
        if !known.contains(&name.as_str()) && name != BASELINE && all_known {
            let remedy = suggest::remedy(name, known.iter().copied());
            problems.error(*at, format!("{place}: variants names \"{name}\", which is no variant; {remedy}"));
        }
        if except && name == BASELINE {
            problems.error(
                *at,
                format!(
                    "{place}: variants.except names \"{BASELINE}\", but the baseline is always measured; remove it"
                ),
            );
        }
        if names[..index].iter().any(|(_, earlier)| earlier == name) {
            problems.error(*at, format!("{place}: variants names \"{name}\" twice; remove one"));
        }
    }
}

fn check_measurement(scenario: &Scenario, written: &WrittenMeasurement, problems: &Problems) {
    let Some(measurement) = &written.measurement else { return };
    let variants: Vec<&Variant> = scenario.selected(written).collect();
    let (key, connection) = match &measurement.kind {
        MeasurementKind::Latency(plan) => ("connection", plan.connection),
        MeasurementKind::Throughput(plan) => ("connection", plan.connection),
        MeasurementKind::Revocation(plan) => {
            check_revocation(plan, written, &variants, problems);
            ("connection", plan.connection)
        }
        MeasurementKind::Handshake(_) => {
            if scenario.transport == Transport::Plaintext {
                problems.error(
                    written.places.of("kind"),
                    format!(
                        "{}: kind is \"handshake\", but [server] transport is \"plaintext\", which has none; write \
                         \"tls1.3\"",
                        place(written)
                    ),
                );
                return;
            }
            let resumes = written.combinations.iter().any(|plan| plan.session == SessionKind::Resumed);
            ("sessions", if resumes { ConnectionKind::Resumed } else { ConnectionKind::Fresh })
        }
        MeasurementKind::Setup(_) => return,
    };
    if connection == ConnectionKind::Resumed {
        let at = written.places.of(key);
        let (what, fresh) = match key {
            "sessions" => ("sessions holds \"resumed\"", "full"),
            _ => ("connection is \"resumed\"", "fresh"),
        };
        let place = place(written);
        if scenario.transport == Transport::Plaintext {
            problems.error(
                at,
                format!(
                    "{place}: {what}, but [server] transport is \"plaintext\", which has no TLS \
                     session to resume; write \"{fresh}\""
                ),
            );
        }
        let mtls: Vec<&str> = variants
            .iter()
            .filter(|variant| matches!(variant.method, MethodConfig::Mtls(_)))
            .map(|variant| variant.name.as_str())
            .collect();
        if !mtls.is_empty() {
            problems.error(
                at,
                format!(
                    "{place}: {what}, but the server resumes no session of a client certificate; \
                     write \"{fresh}\", or leave out {}",
                    mtls.join(", ")
                ),
            );
        }
    }
}

fn check_revocation(plan: &RevocationPlan, written: &WrittenMeasurement, variants: &[&Variant], problems: &Problems) {
    let place = place(written);
    for variant in variants {
        let name = &variant.name;
        if let (Some(lifetime), MethodConfig::Jwt(JwtConfig { rules, .. })) = (plan.lifetime, &variant.method)
            && lifetime > rules.max_lifetime
        {
            problems.error(
                written.places.of("lifetime"),
                format!(
                    "{place}: lifetime is {}, but variant \"{name}\" refuses tokens over {}; shorten it",
                    show(lifetime),
                    show(rules.max_lifetime)
                ),
            );
        }
        let needed = variant.longest_window(plan.lifetime);
        if plan.watch < needed {
            problems.warn(
                written.places.of("watch"),
                format!(
                    "{place}: watch is {}, but a revoked credential of variant \"{name}\" may live for {}; windows may \
                     end open",
                    show(plan.watch),
                    show(needed)
                ),
            );
        }
        if let Some(interval) = variant.revocation_interval().filter(|interval| plan.phase < *interval) {
            problems.warn(
                written.places.of("phase"),
                format!(
                    "{place}: phase is {}, but variant \"{name}\" looks every {}; revocations meet it at some phases only",
                    show(plan.phase),
                    show(interval)
                ),
            );
        }
    }
}

/// Tokens and certificates of a pool are issued when a start begins and must outlive it.
pub(super) fn check_lifetimes(scenario: &Scenario, start: Duration, problems: &Problems) {
    for written in &scenario.variants {
        let Some(variant) = &written.variant else { continue };
        if let Some(lifetime) = variant.credential_lifetime().filter(|lifetime| *lifetime < start) {
            let key = if matches!(variant.method, MethodConfig::Mtls(_)) { "certificate_lifetime" } else { "lifetime" };
            problems.warn(
                written.places.of(key),
                format!(
                    "variant \"{}\": {key} is {}, but a start takes about {}: credentials would expire while they are in \
                     use; lengthen it, or use more starts",
                    variant.name,
                    show(lifetime),
                    show(Duration::from_secs(start.as_secs()))
                ),
            );
        }
    }
}

fn place(measurement: &WrittenMeasurement) -> String {
    measurement.name.as_ref().map_or_else(|| "measurement".to_owned(), |name| format!("measurement \"{name}\""))
}
