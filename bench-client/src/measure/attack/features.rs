//! What a target offers. A case that asks for something else is listed as not run.

use std::collections::BTreeSet;
use std::time::Duration;

use bench_server::contract::{CallerConfig, Issued, JwtConfig, Material, MethodConfig, OAuth2Config, Transport};

use super::kit::Kit;
use super::send::LONGEST_WAIT;
use crate::plan::Variant;
use crate::target::Target;

/// A leeway of fewer seconds leaves no room for a token inside of it.
const ROOM: u64 = 5;

/// A quota of more requests is not exhausted.
const MOST_REQUESTS: u32 = 1_000;

/// How much clock difference the reference server tolerates in tokens.
pub(super) fn leeway(variant: &Variant) -> Option<Duration> {
    match variant.method.reference()? {
        MethodConfig::Jwt(JwtConfig { rules, .. }) | MethodConfig::OAuth2(OAuth2Config { rules, .. }) => {
            Some(rules.leeway)
        }
        MethodConfig::Layered(layered) => Some(layered.user.rules.leeway),
        _ => Some(Duration::ZERO),
    }
}

/// What a target offers, by its configuration and its credential. A case that asks for something else is not run.
pub(super) fn features(target: &Target, variant: &Variant, kit: &Kit<'_>, valid: &Issued) -> BTreeSet<String> {
    let mut features = BTreeSet::new();
    let mut offer = |feature: &str| {
        features.insert(feature.to_owned());
    };
    let convention = kit.endpoint.convention.as_deref();
    let header = convention.and_then(|convention| convention.header.as_ref());
    let signs = matches!(valid.material, Material::SigningKey { .. });
    let one_field = !signs && kit.proofs.is_none();
    if one_field {
        offer("one-field");
    }
    if one_field && header.is_none_or(|header| header.name.eq_ignore_ascii_case("authorization")) {
        offer("authorization-field");
    }
    if !signs && header.is_none_or(|header| header.value.text().find("{credential}").is_some_and(|place| place > 0)) {
        offer("scheme");
    }
    if kit.endpoint.transport != Transport::Plaintext {
        offer("tls");
    }
    if kit.leeway >= ROOM {
        offer("leeway");
    }
    if target.can_revoke_one() {
        offer("revocation");
    }
    if target.authorization_server().is_some() {
        offer("authorization-server");
    }
    if target.neighbour().is_some() {
        offer("neighbour");
    }
    if let Material::Certificate { chain_pem, .. } = &valid.material
        && chain_pem.matches("BEGIN CERTIFICATE").count() > 1
    {
        offer("intermediate");
    }
    if let Some(key) = &kit.tokens {
        offer(&format!("alg:{:?}", key.algorithm()));
        if key.public("der").is_some() {
            offer("public-key");
        }
    }
    match variant.method.reference() {
        Some(MethodConfig::ApiKey(config)) => {
            let all = ["reference", "x-api-key", "scopes", "expiry", "key-form", "environments", "rotation"];
            all.into_iter().for_each(&mut offer);
            if config.limit.is_some_and(|limit| limit.requests.get() < MOST_REQUESTS) {
                offer("quota");
            }
        }
        Some(MethodConfig::Basic(config)) => {
            ["reference", "scopes", "expiry", "replacing", "chosen-passwords"].into_iter().for_each(&mut offer);
            if config.throttle {
                offer("throttle");
            }
        }
        Some(MethodConfig::Jwt(_)) => ["reference", "scopes", "expiry"].into_iter().for_each(offer),
        Some(MethodConfig::OAuth2(config)) => {
            offer("reference");
            if target.rolls_over_key() && config.jwks.refresh <= LONGEST_WAIT {
                offer("removed-keys");
            }
        }
        Some(MethodConfig::Mtls(config)) => {
            ["reference", "expiry"].into_iter().for_each(&mut offer);
            // What was taken back is refused in the handshake by a list, and after it by whoever is asked.
            offer(if config.ocsp.is_some() { "ocsp" } else { "unasked" });
            if config.crl_reload.is_some() {
                offer("crl");
            }
        }
        Some(MethodConfig::Layered(config)) => {
            offer("reference");
            offer(match config.caller {
                CallerConfig::Application(_) => "caller:application",
                CallerConfig::Service(_) => "caller:service",
            });
        }
        Some(_) => offer("reference"),
        None => ["unasked", "crl"].into_iter().for_each(offer),
    }
    features
}
