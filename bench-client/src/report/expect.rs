//! What a method's configuration makes certain, before anything is measured: the yardstick of checks and claims.

use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, CacheConfig, CertificateKey, ChainLength, Follow, JwksConfig, MethodConfig, MtlsConfig,
    OcspPolicy, PasswordHash, Push, SlowDown, StoreConfig, TokenValidation,
};

use super::format;
use crate::plan::{Method, NOT_AFTER, Presents, RevokeBy, Variant};

/// How many store lookups a request costs on a kept connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookups {
    /// Exactly one.
    One,
    /// Exactly none.
    None,
    /// One, or a hit of the cache instead.
    CacheOrOne,
    /// The configuration does not say: polls and password checks count in other ways.
    Open,
}

/// When a revocation is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// By the next request.
    Immediate,
    /// Within a period that runs regardless of the revocation.
    Within {
        /// Its length.
        period: Duration,
        /// What has that period.
        what: &'static str,
        /// Whether it begins for each credential at each replica when it is first presented there, and not for all by a clock.
        own: bool,
    },
    /// The same, by whichever of two looks first; their periods run independently of each other.
    FirstOf {
        /// The shorter one.
        period: Duration,
        /// What has those periods.
        what: &'static str,
    },
    /// Never: the credential works until its own end.
    AtExpiry {
        /// Whose end: a token's, a certificate's.
        what: &'static str,
        /// Tolerated after the end.
        leeway: Duration,
    },
    /// As soon as the store has told of it: milliseconds, and once the store has fallen silent, after that long at most.
    Pushed {
        /// How long a silence is borne.
        silence: Duration,
    },
    /// With the next handshake only, after that long at most: what is connected stays so.
    NextHandshake {
        /// The time.
        period: Duration,
        /// What has that period.
        what: &'static str,
    },
    /// There is no credential.
    Nothing,
    /// A server of the user's does not tell.
    Untold,
}

/// What the variant's lookups must be.
pub(crate) fn lookups(method: &Method) -> Lookups {
    let Some(method) = method.reference() else { return Lookups::Open };
    match method {
        MethodConfig::ApiKey(config) if config.cache.is_some() => Lookups::CacheOrOne,
        MethodConfig::ApiKey(_) | MethodConfig::Signed(_) => Lookups::One,
        MethodConfig::Jwt(config) if config.introspection => Lookups::One,
        MethodConfig::Jwt(config) if config.denylist.is_none() => Lookups::None,
        MethodConfig::OAuth2(config) => match config.validation {
            TokenValidation::Opaque { cache: Some(_) } => Lookups::CacheOrOne,
            TokenValidation::Opaque { cache: None } => Lookups::One,
            TokenValidation::Jwt { .. } => Lookups::None,
        },
        // A connection's first request asks, and how many come after it is for the client to say.
        MethodConfig::Mtls(config) if config.ocsp.is_some() && !config.recheck => Lookups::Open,
        MethodConfig::Mtls(config) if config.ocsp.is_some() => Lookups::CacheOrOne,
        MethodConfig::Mtls(_) => Lookups::None,
        MethodConfig::None | MethodConfig::Basic(_) | MethodConfig::Jwt(_) => Lookups::Open,
        MethodConfig::Mixed(_) | MethodConfig::Layered(_) => Lookups::Open,
    }
}

/// When the variant must notice a revocation.
pub(crate) fn notice(variant: &Variant) -> Notice {
    let method = match &variant.method {
        Method::Reference(method) => method,
        Method::External { .. } if variant.method.is_none() => return Notice::Nothing,
        Method::External { .. } => return Notice::Untold,
    };
    let cache = |cache: &Option<CacheConfig>| {
        cache.map_or(Notice::Immediate, |cache| match cache.follow {
            Some(follow @ Follow::Push(_)) => Notice::Pushed { silence: follow.bound() },
            Some(Follow::Poll(_)) => Notice::Within { period: cache.bound(), what: "cache poll", own: false },
            None => Notice::Within { period: cache.ttl, what: "cache lifetime", own: true },
        })
    };
    match method {
        MethodConfig::None => Notice::Nothing,
        MethodConfig::Signed(_) => Notice::Immediate,
        MethodConfig::ApiKey(config) => cache(&config.cache),
        MethodConfig::Basic(config) => cache(&config.cache),
        MethodConfig::Jwt(config) if config.introspection => Notice::Immediate,
        MethodConfig::Jwt(config) => match &config.denylist {
            Some(list) => match list.follow {
                Follow::Poll(period) => Notice::Within { period, what: "deny-list poll", own: false },
                Follow::Push(_) => Notice::Pushed { silence: list.follow.bound() },
            },
            None => Notice::AtExpiry { what: "token", leeway: config.rules.leeway },
        },
        MethodConfig::OAuth2(config) => match &config.validation {
            TokenValidation::Opaque { cache: kept } => cache(kept),
            TokenValidation::Jwt { .. } if variant.revoke_by == RevokeBy::Key => {
                Notice::Within { period: config.jwks.refresh, what: "fetch of the keys", own: false }
            }
            TokenValidation::Jwt { .. } => Notice::AtExpiry { what: "token", leeway: config.rules.leeway },
        },
        MethodConfig::Mtls(config) => certificate_notice(config),
        // As each credential has it.
        MethodConfig::Mixed(_) | MethodConfig::Layered(_) => Notice::Untold,
    }
}

/// Of a CRL that is reloaded, an answer that is kept, both, or neither.
fn certificate_notice(config: &MtlsConfig) -> Notice {
    let validity = config.ocsp.as_ref().map(|ocsp| ocsp.validity);
    let (period, what) = match (config.crl_reload, validity) {
        (None, None) => return Notice::AtExpiry { what: "certificate", leeway: NOT_AFTER },
        (Some(reload), None) => (reload, "CRL reload"),
        (None, Some(validity)) => (validity, "OCSP answer"),
        (Some(reload), Some(validity)) => (reload.min(validity), "CRL reload or OCSP answer"),
    };
    match (config.recheck, config.crl_reload.and(validity)) {
        (false, _) => Notice::NextHandshake { period, what },
        (true, Some(_)) => Notice::FirstOf { period, what },
        (true, None) => Notice::Within { period, what, own: validity.is_some() },
    }
}

/// How a copy hears of revocations, in words.
fn heard(follow: Follow) -> String {
    match follow {
        Follow::Poll(every) => format!("polled every {}", format::duration(every.as_nanos() as f64)),
        Follow::Push(Push::Pubsub) => "told by Redis publish/subscribe".to_owned(),
        Follow::Push(Push::Tracking) => "told by Redis client tracking".to_owned(),
        Follow::Push(Push::Notify) => "told by PostgreSQL NOTIFY".to_owned(),
    }
}

/// Lifetime of the entries of the variant's cache of accepted credentials, or of answers about them, where it has one.
pub(crate) fn cache_lifetime(method: &Method) -> Option<Duration> {
    let cache = match method.reference()? {
        MethodConfig::ApiKey(config) => config.cache,
        MethodConfig::Basic(config) => config.cache,
        MethodConfig::OAuth2(config) => match config.validation {
            TokenValidation::Opaque { cache } => cache,
            TokenValidation::Jwt { .. } => None,
        },
        MethodConfig::Jwt(config) => config.cache,
        MethodConfig::Mtls(config) => return config.ocsp.as_ref().map(|ocsp| ocsp.validity),
        MethodConfig::None | MethodConfig::Signed(_) => None,
        MethodConfig::Mixed(_) | MethodConfig::Layered(_) => None,
    };
    cache.map(|cache| cache.ttl)
}

/// How long a revoked credential may be accepted at most, also while what is asked about it does not answer; `None` where
/// nobody is asked.
pub(crate) fn longest_unnoticed(method: &Method) -> Option<Duration> {
    let cached = |cache: &CacheConfig| {
        let stale = cache.stale_if_error.unwrap_or_default();
        match cache.follow {
            None => cache.ttl + stale,
            // A copy that hears of nothing steps aside when it is no longer trusted, and both times count from when it was
            // last current.
            Some(follow) => follow.trust().max(stale).min(cache.ttl + stale),
        }
    };
    let cache = |cache: &Option<CacheConfig>| cache.as_ref().map_or(Duration::ZERO, cached);
    match method.reference()? {
        MethodConfig::ApiKey(config) => Some(cache(&config.cache)),
        MethodConfig::Basic(config) => Some(cache(&config.cache)),
        MethodConfig::Jwt(config) if config.introspection => Some(Duration::ZERO),
        MethodConfig::Jwt(config) => {
            let list = config.denylist.as_ref()?;
            Some(list.follow.trust().max(list.stale_if_error.unwrap_or_default()))
        }
        MethodConfig::OAuth2(config) => match &config.validation {
            TokenValidation::Opaque { cache: of } => Some(cache(of)),
            TokenValidation::Jwt { .. } => None,
        },
        // A kept connection is not looked at again.
        MethodConfig::Mtls(config) if !config.recheck => None,
        // A CRL is a file, which is there. A soft policy accepts for as long as there is no answer.
        MethodConfig::Mtls(config) => {
            let asked = config.ocsp.as_ref().filter(|ocsp| ocsp.policy == OcspPolicy::Hard).map(|ocsp| ocsp.validity);
            config.crl_reload.into_iter().chain(asked).min()
        }
        MethodConfig::Signed(_) => Some(Duration::ZERO),
        MethodConfig::None | MethodConfig::Mixed(_) | MethodConfig::Layered(_) => None,
    }
}

/// Whether what the variant's server counts as lookups are looks into the process's own memory: a store that is nowhere else,
/// or its copy of a deny-list.
pub(crate) fn looks_up_own_copy(method: &Method) -> bool {
    match method.reference() {
        Some(MethodConfig::ApiKey(config)) => matches!(config.store, StoreConfig::Memory),
        Some(MethodConfig::Basic(config)) => matches!(config.store, StoreConfig::Memory),
        Some(MethodConfig::Jwt(config)) => config.denylist.is_some(),
        Some(MethodConfig::Signed(config)) => matches!(config.store, StoreConfig::Memory),
        Some(MethodConfig::None | MethodConfig::OAuth2(_) | MethodConfig::Mtls(_)) | None => false,
        Some(MethodConfig::Mixed(_) | MethodConfig::Layered(_)) => false,
    }
}

/// Whether every request verifies exactly one signature or MAC.
pub(crate) fn verifies_each(method: &Method) -> bool {
    match method.reference() {
        Some(MethodConfig::Jwt(config)) => config.cache.is_none() && !config.introspection,
        Some(MethodConfig::Signed(_)) => true,
        Some(MethodConfig::Basic(config)) => config.session.is_some(),
        Some(MethodConfig::OAuth2(config)) => matches!(config.validation, TokenValidation::Jwt { .. }),
        _ => false,
    }
}

/// The variant's options in words, for tables.
pub(crate) fn describe(variant: &Variant) -> String {
    let slowed = variant.slow_down.map_or_else(String::new, |by| {
        let of = if matches!(by, SlowDown::Share(_)) { " of its validation" } else { "" };
        format!(", slowed down on purpose by {}{of}", format::slow_down(by))
    });
    let presents = match variant.presents {
        Presents::Valid => String::new(),
        bad => format!(", presents credentials that are refused: {}", bad.name()),
    };
    let beside = variant.traffic_beside().map_or_else(String::new, |beside| {
        let wrong = if beside.wrong { " with wrong passwords" } else { "" };
        format!(", beside {} requests of method {} per second{wrong}", beside.rate_per_s, beside.method.name())
    });
    describe_method(variant) + &slowed + &presents + &beside
}

fn describe_method(variant: &Variant) -> String {
    let time = |duration: Duration| format::duration(duration.as_nanos() as f64);
    let cached = |cache: &Option<CacheConfig>| {
        let kept = |cache: CacheConfig| {
            let follow = cache.follow.map_or_else(String::new, |follow| format!(", {}", heard(follow)));
            let stale =
                cache.stale_if_error.map_or_else(String::new, |stale| format!(", {} longer on errors", time(stale)));
            format!(", cached for {}{follow}{stale}", time(cache.ttl))
        };
        cache.map_or_else(String::new, kept)
    };
    let stored = |store: &StoreConfig| match store {
        StoreConfig::Memory => "in memory",
        StoreConfig::Sqlite => "in SQLite",
        StoreConfig::Redis(_) => "in Redis",
        StoreConfig::Postgres(_) => "in PostgreSQL",
    };
    let away = |delay: Duration| if delay.is_zero() { String::new() } else { format!(", {} away", time(delay)) };
    let method = match &variant.method {
        Method::Reference(method) => method,
        Method::External { external } => return external.describe(),
    };
    match method {
        MethodConfig::None => "no authentication".to_owned(),
        MethodConfig::Mixed(_) => "API key, JWT or opaque token, told apart by their form".to_owned(),
        MethodConfig::Layered(_) => "a caller and the user for whom it calls".to_owned(),
        MethodConfig::ApiKey(config) => {
            let store = stored(&config.store);
            let among = match config.store_population {
                0 => String::new(),
                population => format!(" among {population}"),
            };
            let digest = match config.peppers.first() {
                None | Some(0) => "SHA-256",
                Some(_) => "HMAC-SHA-256",
            };
            let limit = config.limit.map_or_else(String::new, |limit| {
                format!(", limited to {} per {}", limit.requests, time(limit.window))
            });
            let metered = if config.metering.is_some() { ", metered" } else { "" };
            let (away, cached) = (away(config.store_delay), cached(&config.cache));
            format!("{digest} digest looked up {store}{among}{away}{cached}{limit}{metered}")
        }
        MethodConfig::Basic(config) => {
            let hash = match config.hash {
                PasswordHash::Argon2id { memory_kib, iterations, parallelism } => {
                    format!("Argon2id ({memory_kib} KiB, t={iterations}, p={parallelism})")
                }
                PasswordHash::Bcrypt { cost } => format!("bcrypt (cost {cost})"),
                PasswordHash::Scrypt { log_n, r, p } => format!("scrypt (N=2^{log_n}, r={r}, p={p})"),
                PasswordHash::Pbkdf2Sha256 { iterations } => format!("PBKDF2-HMAC-SHA-256 ({iterations} iterations)"),
            };
            let store = match &config.store {
                StoreConfig::Memory => String::new(),
                other => format!(" {}", stored(other)),
            };
            let session =
                config.session.map(|session| format!(", exchanged for a session of {}", time(session.lifetime)));
            let throttle = if config.throttle { ", failures braked" } else { "" };
            let session = session.unwrap_or_default();
            format!("password under {hash}{store}{}{session}{throttle}", cached(&config.cache))
        }
        MethodConfig::Jwt(config) => {
            let alone = if config.introspection { "introspection" } else { "stateless" };
            let revocation = config.denylist.as_ref().map_or_else(
                || alone.to_owned(),
                |denylist| {
                    let of = match denylist.population {
                        0 => String::new(),
                        population => format!(" of {population}"),
                    };
                    let store = match &denylist.store {
                        StoreConfig::Sqlite => String::new(),
                        other => format!(" {}", stored(other)),
                    };
                    let stale = denylist.stale_if_error.map(|stale| format!(", trusted for {} on errors", time(stale)));
                    format!("deny-list{of}{store} {}{}", heard(denylist.follow), stale.unwrap_or_default())
                },
            );
            let claims = config.claims_bytes.map_or_else(String::new, |bytes| format!(", {bytes} B of claims"));
            let by = match variant.revoke_by {
                RevokeBy::Token | RevokeBy::Refresh => "",
                RevokeBy::Subject => ", revoked by subject",
                RevokeBy::Key => ", revoked by key",
            };
            format!("{}, {revocation}{by}{claims}{}", config.algorithm.name(), cached(&config.cache))
        }
        MethodConfig::OAuth2(config) => match &config.validation {
            TokenValidation::Opaque { cache } => {
                format!("opaque token, introspection{}{}", away(config.introspection_delay), cached(cache))
            }
            TokenValidation::Jwt { algorithm } => {
                let issued = variant.authorization_server.as_ref().map(|server| server.access_token);
                debug_assert!(!matches!(issued, Some(AccessTokenFormat::Opaque)), "the plan keeps the two in step");
                let kept = match config.jwks {
                    usual if usual == JwksConfig::default() => String::new(),
                    jwks => format!(", keys fetched every {}", time(jwks.refresh)),
                };
                let by = match variant.revoke_by {
                    RevokeBy::Token | RevokeBy::Subject => "",
                    RevokeBy::Key => ", revoked by key",
                    RevokeBy::Refresh => ", renewed by refresh token",
                };
                format!("RFC 9068 JWT ({}), checked locally{kept}{by}", algorithm.name())
            }
        },
        MethodConfig::Mtls(config) => {
            let key = match config.key {
                CertificateKey::P256 => "",
                CertificateKey::Rsa2048 => " with an RSA-2048 key",
                CertificateKey::Ed25519 => " with an Ed25519 key",
            };
            let chain = match config.chain_length {
                ChainLength::One => ", signed by the root",
                ChainLength::Two => "",
                ChainLength::Three => ", in a chain of 3",
            };
            let of = match config.crl_population {
                0 => String::new(),
                population => format!(" of {population}"),
            };
            let when = if config.recheck { "" } else { ", looked at in handshakes only" };
            let resumed = if config.resumption { ", sessions resumed" } else { "" };
            let crl = config
                .crl_reload
                .map_or_else(String::new, |reload| format!(", CRL{of} reloaded every {}{when}", time(reload)));
            let ocsp = config.ocsp.as_ref().map_or_else(String::new, |ocsp| {
                let once = if config.recheck { "" } else { ", asked once per connection" };
                let policy = match ocsp.policy {
                    OcspPolicy::Hard => "",
                    OcspPolicy::Soft => ", accepted without an answer",
                };
                format!(", OCSP answers kept for {}{once}{policy}", time(ocsp.validity))
            });
            let short = if config.is_short_lived() {
                format!(", short-lived: {}, never looked up", time(config.lifetime()))
            } else {
                String::new()
            };
            format!("client certificate{key}{chain}{crl}{ocsp}{short}{resumed}")
        }
        MethodConfig::Signed(config) => {
            format!("each request signed (HMAC-SHA-256, RFC 9421), keys and nonces {}", stored(&config.store))
        }
    }
}

#[cfg(test)]
mod tests {
    use bench_server::contract::OcspConfig;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn described(config: MtlsConfig) -> (Notice, Lookups, String) {
        let method = Method::Reference(MethodConfig::Mtls(config));
        let variant = Variant {
            name: "v".to_owned(),
            authorization_server: None,
            certificate_bound: false,
            pool: crate::plan::PoolPlan { count: 1, zipf_exponent: 1.0 },
            revoke_by: RevokeBy::default(),
            presents: Default::default(),
            slow_down: None,
            beside: None,
            server: None,
            point: None,
            method,
        };
        (notice(&variant), lookups(&variant.method), describe(&variant).replace('\u{a0}', " "))
    }

    #[test]
    fn a_certificate_is_noticed_by_what_looks_at_it() {
        let ocsp = || OcspConfig::new(2 * SECOND);
        let (asked, counted, words) = described(MtlsConfig::by_ocsp(ocsp()));
        assert_eq!(asked, Notice::Within { period: 2 * SECOND, what: "OCSP answer", own: true });
        assert_eq!(counted, Lookups::CacheOrOne);
        assert_eq!(words, "client certificate, OCSP answers kept for 2 s");

        let soft = OcspConfig { policy: OcspPolicy::Soft, ..ocsp() };
        let (both, _, words) = described(MtlsConfig { ocsp: Some(soft), ..MtlsConfig::new(3 * SECOND) });
        assert_eq!(both, Notice::FirstOf { period: 2 * SECOND, what: "CRL reload or OCSP answer" });
        assert_eq!(
            words,
            "client certificate, CRL reloaded every 3 s, OCSP answers kept for 2 s, accepted without an answer"
        );

        let (once, counted, words) = described(MtlsConfig { recheck: false, ..MtlsConfig::by_ocsp(ocsp()) });
        assert_eq!(once, Notice::NextHandshake { period: 2 * SECOND, what: "OCSP answer" });
        assert_eq!(counted, Lookups::Open);
        assert_eq!(words, "client certificate, OCSP answers kept for 2 s, asked once per connection");

        let (short_lived, counted, words) = described(MtlsConfig::short_lived(3600 * SECOND));
        assert_eq!(short_lived, Notice::AtExpiry { what: "certificate", leeway: SECOND });
        assert_eq!(counted, Lookups::None);
        assert!(
            words.starts_with("client certificate, short-lived: ") && words.ends_with(", never looked up"),
            "{words}"
        );
    }
}
