//! What the micro-benchmarks call a validator, so that whoever reads their figures can tell whose they are.

use super::{
    ApiKeyConfig, BasicConfig, CacheConfig, DenyListConfig, JwtConfig, MethodConfig, MtlsConfig, OAuth2Config,
    PasswordHash, StoreConfig, TokenValidation,
};

impl MethodConfig {
    /// The name of the micro-benchmark (`cargo bench --bench validators`) of a validation that works like this one: in one
    /// process, and on a connection that is kept.
    ///
    /// Lifetimes and periods do not tell validators apart, for caches and lists are warm there. `None` where another server
    /// is asked, and where a size or a distance is set up that the benchmarks do not have.
    pub fn validator(&self) -> Option<String> {
        match self {
            Self::None => Some("none".to_owned()),
            Self::ApiKey(config) => api_key(config),
            Self::Basic(config) => basic(config),
            Self::Jwt(config) => jwt(config),
            Self::OAuth2(config) => oauth2(config),
            Self::Mtls(config) => mtls(config),
            Self::Signed(config) => (config.store == StoreConfig::Memory).then(|| "signed/memory".to_owned()),
            // No benchmark puts several validators behind one another.
            Self::Mixed(_) | Self::Layered(_) => None,
        }
    }
}

/// Ends the name of what has a cache in front; `None` for a cache that does more than to keep.
fn cached(cache: Option<&CacheConfig>) -> Option<&'static str> {
    match cache {
        None => Some(""),
        Some(CacheConfig { follow: None, stale_if_error: None, .. }) => Some("-cached"),
        Some(_) => None,
    }
}

fn api_key(config: &ApiKeyConfig) -> Option<String> {
    let store = match config.store {
        StoreConfig::Memory => "memory",
        StoreConfig::Sqlite => "sqlite",
        _ => return None,
    };
    let plain = ApiKeyConfig { cache: config.cache, ..ApiKeyConfig::new(config.store.clone()) };
    let cached = cached(config.cache.as_ref())?;
    (*config == plain).then(|| format!("api-key/{store}{cached}"))
}

fn basic(config: &BasicConfig) -> Option<String> {
    let hash = match config.hash {
        PasswordHash::ARGON2ID => "argon2id",
        PasswordHash::BCRYPT => "bcrypt-10",
        PasswordHash::SCRYPT => "scrypt",
        PasswordHash::PBKDF2_SHA256 => "pbkdf2-sha256",
        _ => return None,
    };
    let cached = cached(config.cache.as_ref())?;
    // What the cache holds is asked of no store.
    let store = if config.cache.is_some() { config.store.clone() } else { BasicConfig::default_store() };
    let plain = BasicConfig { cache: config.cache, store, ..BasicConfig::new(config.hash) };
    (*config == plain).then(|| format!("basic/{hash}{cached}"))
}

fn jwt(config: &JwtConfig) -> Option<String> {
    let denylist = match &config.denylist {
        None => "",
        Some(DenyListConfig { population: 0, .. }) => "-denylist",
        Some(_) => return None,
    };
    let plain = config.cache.is_none() && config.claims_bytes.is_none() && !config.introspection;
    plain.then(|| format!("jwt/{:?}{denylist}", config.algorithm))
}

/// An introspection that no cache answers is a dialogue with another server.
fn oauth2(config: &OAuth2Config) -> Option<String> {
    if config.dpop.is_some() {
        return None;
    }
    match &config.validation {
        TokenValidation::Opaque { cache: None } => None,
        TokenValidation::Opaque { cache } => Some(format!("oauth2/opaque{}", cached(cache.as_ref())?)),
        TokenValidation::Jwt { algorithm } => Some(format!("oauth2/jwt-{algorithm:?}")),
    }
}

fn mtls(config: &MtlsConfig) -> Option<String> {
    let by_list_alone = config.crl_reload.is_some() && config.ocsp.is_none() && config.recheck;
    (by_list_alone && config.crl_population == 0).then(|| "mtls/kept-connection".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Algorithm, Follow, Push};
    use super::*;

    #[test]
    fn what_works_alike_has_one_name() {
        let minute = Duration::from_secs(60);
        let cache = |ttl| Some(CacheConfig::new(ttl));
        let api_key = |cache| MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(StoreConfig::Sqlite) });
        assert_eq!(api_key(None).validator().as_deref(), Some("api-key/sqlite"));
        for ttl in [minute, minute / 2] {
            assert_eq!(api_key(cache(ttl)).validator().as_deref(), Some("api-key/sqlite-cached"));
        }
        let jwt = JwtConfig { denylist: Some(DenyListConfig::new(minute)), ..JwtConfig::new(Algorithm::ES256) };
        assert_eq!(MethodConfig::Jwt(jwt).validator().as_deref(), Some("jwt/ES256-denylist"));
        for store in [StoreConfig::Memory, StoreConfig::Sqlite] {
            let basic = BasicConfig { cache: cache(minute), store, ..BasicConfig::new(PasswordHash::ARGON2ID) };
            assert_eq!(MethodConfig::Basic(basic).validator().as_deref(), Some("basic/argon2id-cached"));
        }
        assert_eq!(MethodConfig::Mtls(MtlsConfig::new(minute)).validator().as_deref(), Some("mtls/kept-connection"));
    }

    #[test]
    fn what_no_benchmark_does_has_none() {
        let far = ApiKeyConfig { store_delay: Duration::from_millis(1), ..ApiKeyConfig::new(StoreConfig::Memory) };
        let told =
            CacheConfig { follow: Some(Follow::Push(Push::Pubsub)), ..CacheConfig::new(Duration::from_secs(60)) };
        let told = ApiKeyConfig { cache: Some(told), ..ApiKeyConfig::new(StoreConfig::Memory) };
        let large = JwtConfig { claims_bytes: Some(4_096), ..JwtConfig::new(Algorithm::HS256) };
        let asked = OAuth2Config::new(TokenValidation::Opaque { cache: None });
        let strong = BasicConfig::new(PasswordHash::Bcrypt { cost: 12 });
        for method in [
            MethodConfig::ApiKey(far),
            MethodConfig::ApiKey(told),
            MethodConfig::Jwt(large),
            MethodConfig::OAuth2(asked),
            MethodConfig::Basic(strong),
            MethodConfig::Mtls(MtlsConfig::short_lived(Duration::from_secs(60))),
        ] {
            assert_eq!(method.validator(), None, "{method:?}");
        }
    }
}
