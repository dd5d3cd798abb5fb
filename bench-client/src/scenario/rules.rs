//! What only the whole scenario shows: contradictions between its sections, and settings under which a measurement would
//! not see what it is for.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use bench_server::contract::{
    CertificateKey, HttpVersion, JwtConfig, MethodConfig, READ_SCOPE, StoreConfig, Transport, required_claims_bytes,
};

use super::Scenario;
use super::document::At;
use super::measurement::{Selection, WrittenMeasurement};
use super::reader::{Places, Problems};
use super::suggest;
use super::sweep::{CASES_MAX, Steps};
use super::value::show;
use super::variant::WrittenVariant;
use crate::plan::{
    BASELINE, ConnectionKind, CredentialSource, ExternalMethod, LatencyPlan, LoadRate, Measurement, MeasurementKind,
    PRIVATE_STORE, Presents, ProbeKind, RENEWED_BEFORE_END, RevocationPlan, RevokeBy, RolloverOf, SessionKind, Variant,
};

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
        if let Some(Variant { name, method, .. }) = &variant.variant
            && method.is_mtls()
            && variant.server.transport == Transport::Plaintext
        {
            let (found, remedy) = plaintext(scenario);
            problems.error(
                variant.places.of("method"),
                format!("variant \"{name}\": method is \"mtls\", but {found}; {remedy}"),
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

/// What comes in beside a variant has a rate of its own, and is there while slices are measured and at no other time.
fn check_beside(scenario: &Scenario, written: &WrittenMeasurement, problems: &Problems) {
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

/// Replicas share what is outside of a process.
fn check_sharing(scenario: &Scenario, written: &WrittenVariant, problems: &Problems) {
    let Some(variant) = &written.variant else { return };
    let in_memory = match variant.method.reference() {
        Some(MethodConfig::ApiKey(api_key)) => !api_key.store.is_shared(),
        Some(MethodConfig::Basic(basic)) => !basic.store.is_shared(),
        _ => false,
    };
    if scenario.replicas.get() > 1 && in_memory {
        problems.error(
            written.places.of("store"),
            format!(
                "variant \"{}\": its store is in memory, which {} replicas do not share; write for instance \
                 store = {{ kind = \"sqlite\" }}",
                variant.name, scenario.replicas
            ),
        );
    }
}

/// A load that is a share of a capacity needs one measurement that finds it, for each of its variants.
fn check_share(scenario: &Scenario, written: &WrittenMeasurement, problems: &Problems) {
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

fn check_selection(scenario: &Scenario, measurement: &WrittenMeasurement, problems: &Problems) {
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

/// Credentials can only be bad in the ways that the method's can.
fn check_presents(variant: &Variant, method: &MethodConfig, written: &WrittenVariant, problems: &Problems) {
    let (name, presents, possible) = (&variant.name, variant.presents, Presents::of(method));
    if presents.is_default() || possible.contains(&presents) {
        return;
    }
    let presents = presents.name();
    let place = format!("variant \"{name}\": presents is \"{presents}\"");
    let words: Vec<String> = possible.iter().map(|state| format!("\"{}\"", state.name())).collect();
    let why = match (method, variant.presents) {
        (MethodConfig::Jwt(_), Presents::Revoked) => "without a deny-list a revoked token works to its end".to_owned(),
        (MethodConfig::Basic(basic), Presents::WrongSecret) if basic.session.is_some() => {
            "requests of a session present its token and no password".to_owned()
        }
        _ => format!("requests of method \"{}\" present no such credential", method.name()),
    };
    let remedy = match words.is_empty() {
        true => "remove it".to_owned(),
        false => format!("write one of {}", words.join(", ")),
    };
    problems.error(written.places.of("presents"), format!("{place}, but {why}; {remedy}"));
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

fn check_measurement(scenario: &Scenario, written: &WrittenMeasurement, problems: &Problems) {
    let Some(measurement) = &written.measurement else { return };
    let selected: Vec<_> = scenario.selected(written).collect();
    let variants: Vec<&Variant> = selected.iter().map(|(_, variant)| *variant).collect();
    check_refused(measurement, written, &variants, problems);
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

fn check_revocation(
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

/// What a rollover or an outage asks of the variants that it is about.
fn check_event(
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

/// Options that a variant may have, but that will not do what they are for.
fn check_variant(written: &WrittenVariant, problems: &Problems) {
    let Some(variant) = &written.variant else { return };
    let name = &variant.name;
    let Some(method) = variant.method.reference() else { return };
    check_presents(variant, method, written, problems);
    match method {
        MethodConfig::Mtls(mtls)
            if mtls.key == CertificateKey::Rsa2048 && variant.expected_issuing() > LONG_ISSUING =>
        {
            problems.warn(
                written.places.of("key"),
                format!(
                    "variant \"{name}\": key is \"RSA-2048\", and making the pool's {} keys takes about {} in each start; \
                     write for instance pool = {{ count = 64 }}, since a connection keeps one certificate",
                    variant.pool.count,
                    show(Duration::from_secs(variant.expected_issuing().as_secs()))
                ),
            );
        }
        MethodConfig::Jwt(JwtConfig { claims_bytes: Some(bytes), .. }) => {
            let required = required_claims_bytes(variant.family(), READ_SCOPE);
            if *bytes < required {
                problems.warn(
                    written.places.of("claims_bytes"),
                    format!(
                        "variant \"{name}\": claims_bytes is {bytes}, but the claims that RFC 9068 requires take \
                         {required}; tokens carry those alone"
                    ),
                );
            }
        }
        MethodConfig::OAuth2(_) if variant.renews() => {
            // At least half of its life is for using a token.
            let shortest = RENEWED_BEFORE_END * 2;
            if let Some(lifetime) = variant.credential_lifetime().filter(|lifetime| *lifetime < shortest) {
                problems.error(
                    written.places.of("lifetime"),
                    format!(
                        "variant \"{name}\": lifetime is {}, but callers renew their tokens {} before the end, since exp \
                         counts whole seconds; write \"{}\" at least",
                        show(lifetime),
                        show(RENEWED_BEFORE_END),
                        show(shortest)
                    ),
                );
            }
        }
        _ => {}
    }
}

/// What issuing bystanders' credentials and opening their connections may take.
const ISSUING: Duration = Duration::from_secs(5);

/// Whoever waits longer than this for credentials should know why.
const LONG_ISSUING: Duration = Duration::from_secs(30);

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
