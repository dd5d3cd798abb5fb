//! What rollovers and outages ask of the variants that they are about.

use bench_server::contract::{MethodConfig, StoreConfig};

use super::super::Scenario;
use super::super::measurement::WrittenMeasurement;
use super::super::reader::Problems;
use super::super::value::show;
use super::place;
use crate::plan::{MeasurementKind, PRIVATE_STORE, RevokeBy, RolloverOf, Variant};

/// What a rollover or an outage asks of the variants that it is about.
pub(super) fn check_event(
    scenario: &Scenario,
    kind: &MeasurementKind,
    written: &WrittenMeasurement,
    variants: &[&Variant],
    problems: &Problems,
) {
    let place = place(written);
    // What ends with one caller's credential must be that credential alone.
    let ends_more: &[RevokeBy] = match kind {
        MeasurementKind::Outage(plan) if plan.revoked > 0 => &[RevokeBy::Key],
        MeasurementKind::Rollover(plan) if plan.of == RolloverOf::Credential => &[RevokeBy::Key, RevokeBy::Subject],
        _ => &[],
    };
    for variant in variants.iter().filter(|variant| ends_more.contains(&variant.revoke_by)) {
        let name = &variant.name;
        problems.error(
            written.places.of("kind"),
            format!(
                "{place}: what variant \"{name}\" revokes by ends more than one caller's old credential; leave its revoke_by \
                 out, or the variant: variants = {{ except = [\"{name}\"] }}"
            ),
        );
    }
    match kind {
        MeasurementKind::Outage(_) => {
            for variant in variants.iter().filter(|variant| is_also_timed(scenario, variant)) {
                problems.warn(
                    written.places.of("kind"),
                    format!(
                        "{place}: what variant \"{}\" asks is reached through a forwarder in all its measurements, which adds to \
                         its times and CPU; write the outage into a scenario of its own",
                        variant.name
                    ),
                );
            }
            let cut = |variant: &&&Variant| {
                let store = variant.method.reference().and_then(MethodConfig::store);
                store.and_then(StoreConfig::remote).is_some_and(|remote| remote.url.to_string() != PRIVATE_STORE)
            };
            for variant in variants.iter().filter(cut) {
                let name = &variant.name;
                problems.error(
                    written.places.of("kind"),
                    format!(
                        "{place}: the store of variant \"{name}\" is a server of yours, which a run does not cut off; leave \
                         its url out, and the run starts one"
                    ),
                );
            }
        }
        MeasurementKind::Rollover(plan) => {
            // A token that ends before its caller changes over would be missed for another reason than the rollover.
            let needed = plan.calls.before + plan.lead + plan.adoption;
            let ends = |variant: &&&Variant| variant.credential_lifetime().is_some_and(|lifetime| lifetime < needed);
            for variant in variants.iter().filter(ends) {
                let (name, needed) = (&variant.name, show(needed));
                problems.error(
                    written.places.of("adoption"),
                    format!(
                        "{place}: credentials of variant \"{name}\" end before all callers have changed over, {needed} \
                         after they are issued; lengthen its lifetime"
                    ),
                );
            }
        }
        _ => {}
    }
}

/// Whether the times of a variant that asks somebody are measured.
fn is_also_timed(scenario: &Scenario, variant: &Variant) -> bool {
    let asks = match variant.method.reference() {
        Some(MethodConfig::OAuth2(_)) => true,
        Some(MethodConfig::Mtls(mtls)) => mtls.ocsp.is_some(),
        method => method.and_then(MethodConfig::store).and_then(StoreConfig::remote).is_some(),
    };
    let timed = |written: &WrittenMeasurement| {
        let kind = written.measurement.as_ref().map(|measurement| &measurement.kind);
        let timed = kind.is_some_and(|kind| kind.is_load() || matches!(kind, MeasurementKind::Revocation(_)));
        timed && scenario.selected(written).any(|(_, selected)| selected == variant)
    };
    asks && scenario.measurements.iter().any(timed)
}
