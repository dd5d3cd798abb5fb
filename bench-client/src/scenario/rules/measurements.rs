//! Measurements and what is measured in them.

use bench_server::contract::{HttpVersion, MethodConfig, Transport};

use super::super::Scenario;
use super::super::measurement::{Selection, WrittenMeasurement};
use super::super::reader::Problems;
use super::super::suggest;
use super::super::variant::WrittenVariant;
use super::event::check_event;
use super::revocation::check_revocation;
use super::{place, plaintext};
use crate::plan::{
    BASELINE, ConnectionKind, LatencyPlan, LoadRate, Measurement, MeasurementKind, ProbeKind, SessionKind, Variant,
};

/// What comes in beside a variant has a rate of its own, and is there while slices are measured and at no other time.
pub(super) fn check_beside(scenario: &Scenario, written: &WrittenMeasurement, problems: &Problems) {
    let Some(Measurement { kind, .. }) = &written.measurement else { return };
    let sees_it = match kind {
        MeasurementKind::Latency(_) => true,
        MeasurementKind::Throughput(plan) => plan.objective.is_none(),
        _ => false,
    };
    if sees_it {
        return;
    }
    for (_, variant) in scenario.selected(written).filter(|(_, variant)| variant.beside.is_some()) {
        problems.error(
            written.places.of("kind"),
            format!(
                "{}: variant \"{}\" has traffic beside it, which only latency and throughput without objective see; leave \
                 the variant out with variants = {{ except = [\"{}\"] }}",
                place(written),
                variant.name,
                variant.family()
            ),
        );
    }
}

/// A load that is a share of a capacity needs one measurement that finds it, for each of its variants.
pub(super) fn check_share(scenario: &Scenario, written: &WrittenMeasurement, problems: &Problems) {
    let Some(MeasurementKind::Latency(LatencyPlan { rate: LoadRate::ShareOfCapacity(_), .. })) =
        written.measurement.as_ref().map(|measurement| &measurement.kind)
    else {
        return;
    };
    let (place, at) = (place(written), written.places.of("load"));
    let throughputs: Vec<&WrittenMeasurement> = scenario
        .measurements
        .iter()
        .filter(|other| matches!(&other.measurement, Some(Measurement { kind: MeasurementKind::Throughput(_), .. })))
        .collect();
    let [throughput] = throughputs.as_slice() else {
        problems.error(
            at,
            format!(
                "{place}: load is a share_of_capacity, and {} measurements of kind \"throughput\" find capacities; have \
                 exactly one, or write rate_per_s",
                throughputs.len()
            ),
        );
        return;
    };
    for (_, variant) in scenario.selected(written) {
        if scenario.selected(throughput).all(|(_, measured)| measured.name != variant.name) {
            problems.error(
                at,
                format!(
                    "{place}: load is a share_of_capacity, but {} does not measure variant \"{}\"; add it there, or leave \
                     it out here",
                    self::place(throughput),
                    variant.name
                ),
            );
        }
    }
}

pub(super) fn check_selection(scenario: &Scenario, measurement: &WrittenMeasurement, problems: &Problems) {
    let place = place(measurement);
    let (names, except) = match &measurement.selection {
        Selection::All => return,
        Selection::Only(names) => (names, false),
        Selection::Except(names) => (names, true),
    };
    let mut known: Vec<&str> = scenario.variants.iter().filter_map(|variant| variant.name.as_deref()).collect();
    // A variant whose own name is mistaken already has its problem.
    let all_known = known.len() == scenario.variants.len();
    known.dedup();
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

/// Some requests only an attack makes.
fn check_only_attacked(
    measurement: &Measurement,
    written: &WrittenMeasurement,
    variants: &[&Variant],
    problems: &Problems,
) {
    if matches!(measurement.kind, MeasurementKind::Attack(_)) {
        return;
    }
    for (name, takes) in variants.iter().filter_map(|variant| Some((&variant.name, variant.only_attacked_for()?))) {
        let (place, kind) = (place(written), measurement.kind.name());
        problems.error(
            written.places.of("kind"),
            format!(
                "{place}: kind is \"{kind}\", but requests of variant \"{name}\" take {takes}, which only an attack makes; \
                 leave it out: variants = {{ except = [\"{name}\"] }}"
            ),
        );
    }
}

/// What is refused from the beginning can only be loaded with.
fn check_refused(measurement: &Measurement, written: &WrittenMeasurement, variants: &[&Variant], problems: &Problems) {
    if matches!(measurement.kind, MeasurementKind::Latency(_) | MeasurementKind::Throughput(_)) {
        return;
    }
    for variant in variants.iter().filter(|variant| !variant.presents.is_default()) {
        let (place, kind, name) = (place(written), measurement.kind.name(), &variant.name);
        problems.error(
            written.places.of("kind"),
            format!(
                "{place}: kind is \"{kind}\", but the credentials of variant \"{name}\" are refused from the beginning; leave \
                 it out: variants = {{ except = [\"{name}\"] }}"
            ),
        );
    }
}

pub(super) fn check_measurement(scenario: &Scenario, written: &WrittenMeasurement, problems: &Problems) {
    let Some(measurement) = &written.measurement else { return };
    let selected: Vec<_> = scenario.selected(written).collect();
    let variants: Vec<&Variant> = selected.iter().map(|(_, variant)| *variant).collect();
    check_refused(measurement, written, &variants, problems);
    check_only_attacked(measurement, written, &variants, problems);
    let in_plaintext = selected.iter().any(|(variant, _)| variant.server.transport == Transport::Plaintext);
    let (key, connection) = match &measurement.kind {
        MeasurementKind::Latency(plan) => ("connection", plan.connection),
        MeasurementKind::Throughput(plan) => ("connection", plan.connection),
        MeasurementKind::Revocation(plan) => {
            check_revocation(plan, scenario.replicas, written, &variants, problems);
            let resumes = plan.probes.contains(&ProbeKind::Resumed);
            ("connection", if resumes { ConnectionKind::Resumed } else { plan.probes[0].connection() })
        }
        MeasurementKind::Handshake(_) => {
            if in_plaintext {
                let (plaintext, remedy) = plaintext(scenario);
                let place = place(written);
                problems.error(
                    written.places.of("kind"),
                    format!("{place}: kind is \"handshake\", but {plaintext}, which has none; {remedy}"),
                );
                return;
            }
            let resumes = written.combinations.iter().any(|plan| plan.session == SessionKind::Resumed);
            ("sessions", if resumes { ConnectionKind::Resumed } else { ConnectionKind::Fresh })
        }
        MeasurementKind::Attack(_) => {
            check_attack(scenario, written, &selected, problems);
            return;
        }
        MeasurementKind::Setup(_) | MeasurementKind::Rollover(_) | MeasurementKind::Outage(_) => {
            if scenario.target.is_some() {
                let (place, kind) = (place(written), measurement.kind.name());
                problems.error(
                    written.places.of("kind"),
                    format!(
                        "{place}: kind is \"{kind}\", but only with the reference server can a run issue credentials and \
                         cut off a store; remove it, or [target]"
                    ),
                );
            }
            check_event(scenario, &measurement.kind, written, &variants, problems);
            return;
        }
    };
    if connection == ConnectionKind::Resumed {
        let at = written.places.of(key);
        let (what, fresh) = match key {
            "sessions" => ("sessions holds \"resumed\"", "full"),
            _ => ("connection is \"resumed\"", "fresh"),
        };
        let place = place(written);
        if in_plaintext {
            problems.error(
                at,
                format!(
                    "{place}: {what}, but {}, which has no TLS session to resume; write \"{fresh}\"",
                    plaintext(scenario).0
                ),
            );
        }
        let mtls: Vec<&str> = variants
            .iter()
            .filter(|variant| matches!(variant.method.reference(), Some(MethodConfig::Mtls(mtls)) if !mtls.resumption))
            .map(|variant| variant.name.as_str())
            .collect();
        if !mtls.is_empty() {
            problems.error(
                at,
                format!(
                    "{place}: {what}, but the server resumes no session of a client certificate; \
                     write \"{fresh}\", leave out {0}, or give it resumption = true",
                    mtls.join(", ")
                ),
            );
        }
    }
}

/// Malformed requests are written byte by byte, in HTTP/1.1.
fn check_attack(
    scenario: &Scenario,
    written: &WrittenMeasurement,
    selected: &[(&WrittenVariant, &Variant)],
    problems: &Problems,
) {
    let place = place(written);
    if selected.iter().any(|(variant, _)| variant.server.http != HttpVersion::Http1) {
        let section = if scenario.target.is_some() { "[target]" } else { "[server]" };
        problems.error(
            written.places.of("kind"),
            format!(
                "{place}: kind is \"attack\", which sends requests that only HTTP/1.1 can carry; write http = \"1.1\" in {section}"
            ),
        );
    }
    if selected.iter().all(|(_, variant)| variant.is_baseline()) {
        problems.error(
            written.places.of("kind"),
            format!("{place}: no variant authenticates, so there is nothing to attack; add one, like method = \"jwt\""),
        );
    }
}
