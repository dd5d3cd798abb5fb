//! What a variant's settings promise about a revoked credential, without measuring it.

use std::time::Duration;

use bench_server::contract::{CacheConfig, Follow, MethodConfig, TokenValidation};

use super::{RevokeBy, Variant};

/// A certificate lives through all of the second that `notAfter` names (RFC 5280 §4.1.2.5).
pub(crate) const NOT_AFTER: Duration = Duration::from_secs(1);

/// How long before the end of its access token a caller asks for the next one. `exp` counts whole seconds, so a token may
/// end up to one earlier than its lifetime says; the rest is for the answer, and generous, because a caller that comes too
/// late is refused although nobody revoked anything.
pub const RENEWED_BEFORE_END: Duration = Duration::from_millis(1_500);

impl Variant {
    /// Whether callers renew their access tokens with a refresh token, and a revocation takes that from them.
    pub fn renews(&self) -> bool {
        self.revoke_by == RevokeBy::Refresh
    }

    /// The time between two looks at what was revoked: a cache's TTL or poll, a deny-list's poll, a fetch of keys, a CRL's
    /// reload, the validity of an OCSP answer, the caller's next renewal. `None` where the server looks on every request, is
    /// told, never looks, or is the user's and does not tell.
    pub fn revocation_interval(&self) -> Option<Duration> {
        let of_cache = |cache: CacheConfig| match cache.follow {
            None => Some(cache.ttl),
            Some(Follow::Poll(every)) => Some(every.min(cache.ttl)),
            Some(Follow::Push(_)) => None,
        };
        match self.method.reference()? {
            // Every request reads the record.
            MethodConfig::None | MethodConfig::Signed(_) => None,
            MethodConfig::Mixed(_) | MethodConfig::Layered(_) => None,
            MethodConfig::ApiKey(api_key) => api_key.cache.and_then(of_cache),
            MethodConfig::Basic(basic) => basic.cache.and_then(of_cache),
            MethodConfig::Jwt(jwt) => match jwt.denylist.as_ref()?.follow {
                Follow::Poll(every) => Some(every),
                Follow::Push(_) => None,
            },
            MethodConfig::OAuth2(oauth2) => match &oauth2.validation {
                TokenValidation::Opaque { cache } => cache.and_then(of_cache),
                TokenValidation::Jwt { .. } => match self.revoke_by {
                    RevokeBy::Key => Some(oauth2.jwks.refresh),
                    RevokeBy::Refresh => Some(self.credential_lifetime()?.saturating_sub(RENEWED_BEFORE_END)),
                    RevokeBy::Token | RevokeBy::Subject => None,
                },
            },
            // A certificate that is looked up and asked about is refused by whichever tells first.
            MethodConfig::Mtls(mtls) => {
                mtls.crl_reload.into_iter().chain(mtls.ocsp.as_ref().map(|ocsp| ocsp.validity)).min()
            }
        }
    }

    /// The longest that a revoked credential should be accepted, if tokens live for `lifetime` (by default as the
    /// variant says): the interval between two looks, the longest silence of a store that tells, or the rest of a token's
    /// life where nobody looks. Zero also where a server of the user's does not tell.
    pub fn longest_window(&self, lifetime: Option<Duration>) -> Duration {
        let Some(method) = self.method.reference() else { return Duration::ZERO };
        let of_cache = |cache: Option<CacheConfig>| cache.map_or(Duration::ZERO, |cache| cache.bound());
        let rest_of_life = |leeway| lifetime.or(self.credential_lifetime()).unwrap_or_default() + leeway;
        match method {
            MethodConfig::None | MethodConfig::Signed(_) => Duration::ZERO,
            MethodConfig::Mixed(_) | MethodConfig::Layered(_) => Duration::ZERO,
            MethodConfig::ApiKey(api_key) => of_cache(api_key.cache),
            MethodConfig::Basic(basic) => of_cache(basic.cache),
            MethodConfig::Jwt(jwt) if jwt.introspection => Duration::ZERO,
            MethodConfig::Jwt(jwt) => {
                let rest = rest_of_life(jwt.rules.leeway);
                jwt.denylist.as_ref().map_or(rest, |denylist| denylist.follow.bound().min(rest))
            }
            MethodConfig::OAuth2(oauth2) => match &oauth2.validation {
                TokenValidation::Jwt { .. } if self.revoke_by == RevokeBy::Key => oauth2.jwks.refresh,
                TokenValidation::Jwt { .. } => rest_of_life(oauth2.rules.leeway),
                TokenValidation::Opaque { cache } => of_cache(*cache),
            },
            MethodConfig::Mtls(_) => self.revocation_interval().unwrap_or_else(|| rest_of_life(NOT_AFTER)),
        }
    }

    /// How long the variant's credentials live; `None` where they do not expire by themselves.
    pub fn credential_lifetime(&self) -> Option<Duration> {
        match self.method.reference()? {
            MethodConfig::Jwt(jwt) => Some(jwt.lifetime),
            MethodConfig::OAuth2(_) => self.authorization_server.as_ref().map(|server| server.access_token_lifetime),
            MethodConfig::Mtls(mtls) => Some(mtls.lifetime()),
            MethodConfig::Basic(basic) => basic.session.map(|session| session.lifetime),
            MethodConfig::None | MethodConfig::ApiKey(_) | MethodConfig::Signed(_) => None,
            MethodConfig::Mixed(_) | MethodConfig::Layered(_) => None,
        }
    }
}
