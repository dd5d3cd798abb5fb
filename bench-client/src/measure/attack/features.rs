//! What a target offers. A case that asks for something else is listed as not run.

use std::collections::BTreeSet;
use std::time::Duration;

use bench_server::contract::{Issued, JwtConfig, Material, MethodConfig, OAuth2Config, Transport};

use super::kit::Kit;
use crate::plan::Variant;
use crate::target::Target;

/// A leeway of fewer seconds leaves no room for a token inside of it.
const ROOM: u64 = 5;

/// How much clock difference the reference server tolerates in tokens.
pub(super) fn leeway(variant: &Variant) -> Option<Duration> {
    match variant.method.reference()? {
        MethodConfig::Jwt(JwtConfig { rules, .. }) | MethodConfig::OAuth2(OAuth2Config { rules, .. }) => {
            Some(rules.leeway)
        }
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
    if header.is_none_or(|header| header.name.eq_ignore_ascii_case("authorization")) {
        offer("authorization-field");
    }
    if header.is_none_or(|header| header.value.text().find("{credential}").is_some_and(|place| place > 0)) {
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
        Some(MethodConfig::ApiKey(_)) => {
            ["reference", "x-api-key", "scopes", "expiry", "key-form"].into_iter().for_each(offer);
        }
        Some(MethodConfig::Basic(_)) => {
            ["reference", "scopes", "expiry", "replacing"].into_iter().for_each(offer);
        }
        Some(MethodConfig::Jwt(_)) => ["reference", "scopes", "expiry"].into_iter().for_each(offer),
        Some(MethodConfig::Mtls(_)) => ["reference", "expiry"].into_iter().for_each(offer),
        Some(_) => offer("reference"),
        None => {}
    }
    features
}
