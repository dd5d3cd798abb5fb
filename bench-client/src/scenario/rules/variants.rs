//! Options that go with the method, and yet do not do what they are for.

use std::time::Duration;

use bench_server::contract::{CertificateKey, JwtConfig, MethodConfig, READ_SCOPE, required_claims_bytes};

use super::super::Scenario;
use super::super::reader::Problems;
use super::super::value::show;
use super::super::variant::WrittenVariant;
use crate::plan::{Presents, RENEWED_BEFORE_END, Variant};

/// Whoever waits longer than this for credentials should know why.
const LONG_ISSUING: Duration = Duration::from_secs(30);

/// Options that a variant may have, but that will not do what they are for.
pub(super) fn check_variant(written: &WrittenVariant, problems: &Problems) {
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

/// Replicas share what is outside of a process.
pub(super) fn check_sharing(scenario: &Scenario, written: &WrittenVariant, problems: &Problems) {
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
