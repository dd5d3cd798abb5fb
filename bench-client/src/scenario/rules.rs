//! What only the whole scenario shows: contradictions between its sections, and settings under which a measurement would
//! not see what it is for.

mod event;
mod measurements;
mod revocation;
mod variants;

use std::collections::BTreeSet;
use std::time::Duration;

use bench_server::contract::{MethodConfig, Transport};

use self::measurements::{check_beside, check_measurement, check_selection, check_share};
use self::variants::{check_sharing, check_variant};
use super::Scenario;
use super::document::At;
use super::measurement::WrittenMeasurement;
use super::reader::{Places, Problems};
use super::sweep::{CASES_MAX, Steps};
use super::value::show;
use crate::plan::{BASELINE, MeasurementKind, Variant};

/// Checks the scenario as a whole.
pub(super) fn check(scenario: &Scenario, problems: &Problems) {
    unique("variant", scenario.variants.iter().map(|each| (each.name.as_deref(), &each.steps, &each.places)), problems);
    let measurements = scenario.measurements.iter();
    unique("measurement", measurements.map(|each| (each.name.as_deref(), &each.steps, &each.places)), problems);
    check_baseline(scenario, problems);
    if scenario.measurements.is_empty() {
        problems.error(At::File(0), "no [[measurement]]: nothing would be measured; add one, like kind = \"latency\"");
    }
    for variant in &scenario.variants {
        check_variant(variant, problems);
        check_sharing(scenario, variant, problems);
        if let Some(planned) = &variant.variant
            && let Some((key, word)) = asks_for_certificates(planned)
            && variant.server.transport == Transport::Plaintext
        {
            let (name, (found, remedy)) = (&planned.name, plaintext(scenario));
            problems.error(
                variant.places.of(key),
                format!("variant \"{name}\": {key} is \"{word}\", but {found}; {remedy}"),
            );
        }
    }
    let cases = scenario.measurements.iter().map(|written| scenario.selected(written).count()).sum();
    if cases > CASES_MAX {
        scenario.sweeps.too_many(cases, CASES_MAX, "cases", problems);
    }
    for measurement in &scenario.measurements {
        check_selection(scenario, measurement, problems);
        check_measurement(scenario, measurement, problems);
        check_share(scenario, measurement, problems);
        check_beside(scenario, measurement, problems);
    }
}

/// How the scenario says plaintext, and how it would say TLS.
fn plaintext(scenario: &Scenario) -> (&'static str, &'static str) {
    match scenario.target {
        None => ("[server] transport is \"plaintext\"", "write \"tls1.3\""),
        Some(_) => ("[target] url is http", "write https"),
    }
}

/// The points of a sweep share a name, and nothing else does.
fn unique<'a>(word: &str, named: impl Iterator<Item = (Option<&'a str>, &'a Steps, &'a Places)>, problems: &Problems) {
    let mut seen = BTreeSet::new();
    for (name, steps, places) in named {
        let Some(name) = name else { continue };
        if !seen.insert((name, steps)) {
            problems.error(
                places.of("name"),
                format!("{word} \"{name}\": the name is taken; give each {word} its own name"),
            );
        }
    }
}

/// The key and the word by which a variant asks for client certificates, which only TLS carries.
fn asks_for_certificates(variant: &Variant) -> Option<(&'static str, &'static str)> {
    match variant.method.reference() {
        _ if variant.method.is_mtls() => Some(("method", "mtls")),
        Some(MethodConfig::OAuth2(_)) if variant.certificate_bound => Some(("bound_to", "certificate")),
        Some(method @ MethodConfig::Layered(_)) => method.certificates().map(|_| ("caller", "service")),
        _ => None,
    }
}

fn check_baseline(scenario: &Scenario, problems: &Problems) {
    // Where a name could not be read, it may be the one that is missed.
    if scenario.variants.iter().any(|variant| variant.name.is_none()) {
        return;
    }
    // One that could not be read may be an attack too.
    let mut read = scenario.measurements.iter().filter_map(|written| written.measurement.as_ref()).peekable();
    let only_attacks =
        read.peek().is_some() && read.all(|measurement| matches!(measurement.kind, MeasurementKind::Attack(_)));
    let remedy = format!("add [[variant]] with name = \"{BASELINE}\" and method = \"none\"");
    match scenario.variants.iter().find(|variant| variant.name.as_deref() == Some(BASELINE)) {
        // Who is only attacked has no cost that would be a distance from anything.
        None if only_attacks => {}
        None => problems.error(
            At::File(0),
            format!("variant \"{BASELINE}\" is missing: every cost is a distance from that baseline; {remedy}"),
        ),
        Some(written) => match &written.variant {
            Some(variant) if !variant.method.is_none() => problems.error(
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

/// Tokens and certificates of a pool are issued when a start begins and must outlive it.
pub(super) fn check_lifetimes(scenario: &Scenario, start: Duration, problems: &Problems) {
    for written in &scenario.variants {
        let Some(variant) = &written.variant else { continue };
        if variant.renews() && !uses_a_pool(scenario, variant) {
            continue;
        }
        let ends = variant.credential_lifetime().filter(|_| variant.presents.is_lost_by_its_end());
        if let Some(lifetime) = ends.filter(|lifetime| *lifetime < start) {
            let key = if variant.method.is_mtls() { "certificate_lifetime" } else { "lifetime" };
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

/// Whether credentials of a variant are issued once for a measurement, and used until its end.
fn uses_a_pool(scenario: &Scenario, variant: &Variant) -> bool {
    scenario.measurements.iter().any(|written| {
        let kind = written.measurement.as_ref().map(|measurement| &measurement.kind);
        let renews = matches!(kind, None | Some(MeasurementKind::Revocation(_) | MeasurementKind::Setup(_)));
        !renews && scenario.selected(written).any(|(_, selected)| selected == variant)
    })
}

fn place(measurement: &WrittenMeasurement) -> String {
    measurement.name.as_ref().map_or_else(|| "measurement".to_owned(), |name| format!("measurement \"{name}\""))
}
