//! What a variant's settings promise about a revoked credential, without measuring it.

use std::time::Duration;

use bench_server::contract::{MethodConfig, TokenValidation};

use super::Variant;

impl Variant {
    /// The time between two looks of the server at what was revoked: a cache's TTL or poll, a deny-list's poll, a CRL's reload; where it is told, the longest silence.
    /// `None` where the server looks on every request, or never, or is the user's and does not tell.
    pub fn revocation_interval(&self) -> Option<Duration> {
        match self.method.reference()? {
            MethodConfig::None => None,
            MethodConfig::ApiKey(api_key) => api_key.cache.map(|cache| cache.bound()),
            MethodConfig::Basic(basic) => basic.cache.map(|cache| cache.bound()),
            MethodConfig::Jwt(jwt) => jwt.denylist.as_ref().map(|denylist| denylist.follow.bound()),
            MethodConfig::OAuth2(oauth2) => match &oauth2.validation {
                TokenValidation::Opaque { cache } => cache.map(|cache| cache.ttl),
                TokenValidation::Jwt { .. } => None,
            },
            MethodConfig::Mtls(mtls) => Some(mtls.crl_reload),
        }
    }

    /// The longest that a revoked credential should be accepted, if tokens live for `lifetime` (by default as the
    /// variant says): the interval between two looks, or the rest of a token's life where nobody looks. Zero also where a
    /// server of the user's does not tell.
    pub fn longest_window(&self, lifetime: Option<Duration>) -> Duration {
        let Some(method) = self.method.reference() else { return Duration::ZERO };
        let leeway = match method {
            MethodConfig::Jwt(jwt) => jwt.rules.leeway,
            MethodConfig::OAuth2(oauth2) => match &oauth2.validation {
                TokenValidation::Jwt { .. } => oauth2.rules.leeway,
                TokenValidation::Opaque { .. } => return self.revocation_interval().unwrap_or_default(),
            },
            _ => return self.revocation_interval().unwrap_or_default(),
        };
        let rest_of_life = lifetime.or(self.credential_lifetime()).unwrap_or_default() + leeway;
        self.revocation_interval().map_or(rest_of_life, |interval| interval.min(rest_of_life))
    }

    /// How long the variant's credentials live; `None` where they do not expire by themselves.
    pub fn credential_lifetime(&self) -> Option<Duration> {
        match self.method.reference()? {
            MethodConfig::Jwt(jwt) => Some(jwt.lifetime),
            MethodConfig::OAuth2(_) => self.authorization_server.as_ref().map(|server| server.access_token_lifetime),
            MethodConfig::Mtls(mtls) => Some(mtls.certificate_lifetime),
            MethodConfig::None | MethodConfig::ApiKey(_) | MethodConfig::Basic(_) => None,
        }
    }
}
