//! Revocations: whether a watch sees the window of each variant.

use std::num::NonZeroU32;
use std::time::Duration;

use bench_server::contract::{JwtConfig, MethodConfig};

use super::super::measurement::WrittenMeasurement;
use super::super::reader::Problems;
use super::super::value::show;
use super::place;
use crate::plan::{CredentialSource, ExternalMethod, RevocationPlan, RevokeBy, Variant};

/// What issuing bystanders' credentials and opening their connections may take.
const ISSUING: Duration = Duration::from_secs(5);

pub(super) fn check_revocation(
    plan: &RevocationPlan,
    replicas: NonZeroU32,
    written: &WrittenMeasurement,
    variants: &[&Variant],
    problems: &Problems,
) {
    let place = place(written);
    let latest = plan.latest_revocation(replicas);
    if let Some(lifetime) = plan.lifetime.filter(|lifetime| *lifetime <= latest) {
        problems.error(
            written.places.of("lifetime"),
            format!(
                "{place}: lifetime is {}, so that tokens expire before they are revoked (up to {} after they are issued, by \
                 the phase); lengthen it",
                show(lifetime),
                show(latest)
            ),
        );
    }
    for variant in variants {
        let name = &variant.name;
        if let Some(external) = variant.method.external().filter(|_| !variant.method.is_none()) {
            check_external(external, name, plan, written, problems);
            continue;
        }
        if let (Some(lifetime), Some(MethodConfig::Jwt(JwtConfig { rules, .. }))) =
            (plan.lifetime, variant.method.reference())
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
        if variant.revoke_by == RevokeBy::Key && plan.at_a_time > 1 {
            problems.error(
                written.places.of("at_a_time"),
                format!(
                    "{place}: at_a_time is {}, but revoking by \"key\" ends every token of variant \"{name}\"; write \
                     at_a_time = 1",
                    plan.at_a_time
                ),
            );
        }
        let needed = plan.blast_lasts() + ISSUING;
        let short = |lifetime: &Duration| plan.bystanders > 0 && !variant.renews() && *lifetime < needed;
        if let Some(lifetime) = variant.credential_lifetime().filter(short) {
            problems.error(
                written.places.of("bystanders"),
                format!(
                    "{place}: credentials of variant \"{name}\" live for {}, and it takes {} to see whom a revocation cuts \
                     off; lengthen its lifetime, shorten watch, or write bystanders = 0",
                    show(lifetime),
                    show(needed)
                ),
            );
        }
        if variant.renews() && plan.bystanders > 0 {
            problems.error(
                written.places.of("bystanders"),
                format!(
                    "{place}: bystanders is {}, but they hold tokens that nobody renews, and those of variant \"{name}\" \
                     are renewed; write bystanders = 0, or measure the variant in a [[measurement]] of its own",
                    plan.bystanders
                ),
            );
        }
        if variant.renews() && plan.lifetime.is_some() {
            problems.error(
                written.places.of("lifetime"),
                format!(
                    "{place}: lifetime is for tokens that are issued once, and callers of variant \"{name}\" renew theirs, \
                     which live as the variant says; remove it, or measure the variant in a [[measurement]] of its own"
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

/// A server of the user's must be told how to take a credential back, and must have some to spare.
fn check_external(
    external: &ExternalMethod,
    name: &str,
    plan: &RevocationPlan,
    written: &WrittenMeasurement,
    problems: &Problems,
) {
    let place = place(written);
    let leave_out = format!("or leave the variant out: variants = {{ except = [\"{name}\"] }}");
    if external.revoke.is_none() {
        problems.error(
            written.places.of("variants"),
            format!("{place}: variant \"{name}\" does not say how a credential is revoked; write revoke = {{ … }}, {leave_out}"),
        );
    }
    if external.credentials.as_ref().is_some_and(CredentialSource::is_single) {
        problems.error(
            written.places.of("variants"),
            format!(
                "{place}: variant \"{name}\" has one credential, but {} are revoked and one more is watched; write \
                 credentials = {{ file = … }}, {leave_out}",
                plan.trials
            ),
        );
    }
    if plan.bystanders > 0 {
        problems.error(
            written.places.of("bystanders"),
            format!(
                "{place}: bystanders is {}, but a run cannot issue credentials of variant \"{name}\" by principal; remove it, \
                 {leave_out}",
                plan.bystanders
            ),
        );
    }
    if plan.lifetime.is_some() {
        problems.error(
            written.places.of("lifetime"),
            format!(
                "{place}: lifetime is for tokens that the run issues, and variant \"{name}\" brings its own; remove it"
            ),
        );
    }
}
