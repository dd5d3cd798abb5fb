//! `[[variant]]`: a method with its options. Security options are written out here, none is left to luck.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, AuthorizationServerConfig, BasicConfig, CallerConfig, CertificateKey,
    ChainLength, CrlPolicy, DenyListConfig, DpopConfig, JwksConfig, JwtConfig, LONGEST_DELAY, LONGEST_STALE,
    LayeredConfig, LimitConfig, MeteringConfig, MethodConfig, MtlsConfig, OAuth2Config, OcspConfig, OcspPolicy,
    PasswordHash, ServiceConfig, SessionConfig, SignedConfig, StoreConfig, TokenRules, TokenValidation, check_costs,
};

use super::beside;
use super::document::{At, Table};
use super::reader::{Places, Problems, Section};
use super::store::{read_cache, read_follow, read_stale_if_error, read_store, read_store_or};
use super::sweep::Steps;
use super::target::{self, Target};
use super::value::{
    duration_in, flag, list_of, name, number, one_of, positive, show, slow_down, text, token_lifetime, whole,
};
use crate::plan::{
    ACTING_SERVICE, CredentialSource, ExternalMethod, Method, MethodWord, PoolPlan, Presents, RevokeBy, ServerPlan,
    Variant,
};

/// A variant as it was written.
pub(super) struct WrittenVariant {
    /// Its name, if that could be read.
    pub(super) name: Option<String>,
    /// Where its keys stand.
    pub(super) places: Places,
    /// Where it stands in the sweeps.
    pub(super) steps: Steps,
    /// How its server is reached.
    pub(super) server: ServerPlan,
    /// What it means, if all of it could be read.
    pub(super) variant: Option<Variant>,
}

const METHODS: &[(&str, MethodWord)] = &[
    ("none", MethodWord::None),
    ("api-key", MethodWord::ApiKey),
    ("basic", MethodWord::Basic),
    ("jwt", MethodWord::Jwt),
    ("oauth2", MethodWord::OAuth2),
    ("mtls", MethodWord::Mtls),
    ("signed", MethodWord::Signed),
    ("layered", MethodWord::Layered),
];

const REVOKE_BY_OF_JWT: &[(&str, RevokeBy)] = &[("token", RevokeBy::Token), ("subject", RevokeBy::Subject)];
const REVOKE_BY_OF_OAUTH2: &[(&str, RevokeBy)] =
    &[("token", RevokeBy::Token), ("key", RevokeBy::Key), ("refresh", RevokeBy::Refresh)];

pub(super) const ALGORITHMS: &[(&str, Algorithm)] = &[
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

const PRESENTS: &[(&str, Presents)] = &[
    ("valid", Presents::Valid),
    ("malformed", Presents::Malformed),
    ("unknown", Presents::Unknown),
    ("wrong-secret", Presents::WrongSecret),
    ("bad-signature", Presents::BadSignature),
    ("expired", Presents::Expired),
    ("revoked", Presents::Revoked),
];

/// Where each option of a method belongs: an option in the wrong place is a contradiction, not a slip of the fingers.
const BELONGS: &[(&str, &str)] = &[
    ("store", "methods \"api-key\", \"basic\" and \"signed\", and \"layered\" with caller = \"application\""),
    ("cache", "methods \"api-key\", \"basic\", \"jwt\", and \"oauth2\" with token = \"opaque\""),
    ("peppers", "method \"api-key\""),
    ("limit", "method \"api-key\""),
    ("metered", "method \"api-key\""),
    ("hash", "method \"basic\""),
    ("hash_threads", "method \"basic\""),
    ("hash_queue", "method \"basic\""),
    ("session", "method \"basic\""),
    ("throttle", "method \"basic\""),
    ("token", "method \"oauth2\""),
    ("algorithm", "methods \"jwt\" and \"layered\", and \"oauth2\" with token = \"jwt\""),
    ("lifetime", "methods \"jwt\", \"oauth2\" and \"layered\""),
    ("leeway", "methods \"jwt\" and \"layered\", and \"oauth2\" with token = \"jwt\""),
    ("max_lifetime", "method \"jwt\""),
    ("denylist", "method \"jwt\""),
    ("introspection", "method \"jwt\""),
    ("revoke_by", "method \"jwt\", and \"oauth2\" with token = \"jwt\""),
    ("claims_bytes", "method \"jwt\""),
    ("bound_to", "method \"oauth2\""),
    ("code_lifetime", "methods \"oauth2\" and \"layered\""),
    ("caller", "method \"layered\""),
    ("introspection_delay", "method \"oauth2\" with token = \"opaque\""),
    ("jwks", "method \"oauth2\" with token = \"jwt\""),
    ("crl_reload", "method \"mtls\", and \"layered\" with caller = \"service\""),
    ("ocsp", "method \"mtls\""),
    ("crl_validity", "method \"mtls\""),
    ("certificate_lifetime", "method \"mtls\""),
    ("trust_domain", "method \"mtls\""),
    ("crl_population", "method \"mtls\""),
    ("key", "method \"mtls\""),
    ("chain_length", "method \"mtls\""),
    ("recheck", "method \"mtls\""),
    ("resumption", "method \"mtls\""),
    ("nonces", "method \"signed\""),
    ("crl_policy", "method \"mtls\""),
    ("max_connection_age", "method \"mtls\""),
];

/// A verified password is remembered no longer than this, whatever revokes it.
const BASIC_CACHE_MAX: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
/// Whoever fetches keys more often asks the issuer about each token.
const JWKS_REFRESH_MIN: Duration = Duration::from_secs(1);

/// The population of credentials of variants that say nothing else.
pub(super) fn read_pool(section: Option<Section<'_>>, default: PoolPlan) -> PoolPlan {
    let Some(mut section) = section else { return default };
    let pool = PoolPlan {
        count: section.or("count", default.count, whole(1..=10_000_000)),
        zipf_exponent: section.or("zipf_exponent", default.zipf_exponent, number(0.0..=10.0)),
    };
    section.finish();
    pool
}

/// Reads a variant, of `target` where there is one; `ordinal` names it while its name is not known.
pub(super) fn read(
    ordinal: usize,
    at: At,
    table: Table,
    target: Option<&Target>,
    pool: PoolPlan,
    server: ServerPlan,
    problems: &Problems,
) -> WrittenVariant {
    let mut section = Section::new(format!("variant {ordinal}"), at, table, problems);
    let name = section.required("name", "\"jwt-es256\"", name);
    if let Some(name) = &name {
        section.rename(format!("variant \"{name}\""));
    }
    let method = section.required("method", "\"api-key\"", one_of(METHODS));
    let revoke_by = match (method, target) {
        (Some(MethodWord::Jwt), None) => section.or("revoke_by", RevokeBy::default(), one_of(REVOKE_BY_OF_JWT)),
        (Some(MethodWord::OAuth2), None) if section.peek("token", one_of(TOKENS)) == Some(Token::Jwt) => {
            section.or("revoke_by", RevokeBy::default(), one_of(REVOKE_BY_OF_OAUTH2))
        }
        _ => RevokeBy::default(),
    };
    let slow_down = match target {
        None => section.optional("slow_down", slow_down),
        Some(_) => {
            section.misplaced(&[("slow_down", "the reference server")], "[target]");
            None
        }
    };
    let presents = match target {
        None => section.or("presents", Presents::Valid, one_of(PRESENTS)),
        Some(_) => {
            section.misplaced(&[("presents", "the reference server")], "[target]");
            Presents::Valid
        }
    };
    let beside = match target {
        None => section.table("beside").and_then(beside::read).map(Box::new),
        Some(_) => {
            section.misplaced(&[("beside", "the reference server")], "[target]");
            None
        }
    };
    if beside.is_some() && method == Some(MethodWord::Mtls) {
        section.error(
            "beside",
            "beside cannot share the listener of method \"mtls\", which asks for certificates; leave it out",
        );
    }
    let own_pool = section.has("pool");
    // Nobody authenticates against the baseline, so it needs no more than one caller unless told.
    let pool = if method == Some(MethodWord::None) { PoolPlan { count: 1, ..pool } } else { pool };
    let pool = read_pool(section.table("pool"), pool);
    let certificate_bound = target.is_none()
        && method == Some(MethodWord::OAuth2)
        && section.peek("bound_to", one_of(BOUND_TO)) == Some(BoundTo::Certificate);
    let options = match (method, target) {
        (Some(method), None) => {
            let options = read_options(&mut section, method).map(|(method, server)| (method.into(), server));
            section.misplaced(target::KEYS, "the reference server");
            options
        }
        (Some(method), Some(target)) => {
            let external = target::read_method(&mut section, method, target);
            section.misplaced(BELONGS, "[target]");
            section.ignore(target::KEYS.iter().map(|(key, _)| *key));
            external.map(|external| (Method::External { external: Box::new(external) }, None))
        }
        (None, _) => {
            section.ignore(BELONGS.iter().chain(target::KEYS).map(|(key, _)| *key));
            None
        }
    };
    let places = section.finish();
    let variant = name.clone().zip(options).map(|(name, (method, authorization_server))| {
        let single = |external: &ExternalMethod| external.credentials.as_ref().is_some_and(CredentialSource::is_single);
        let single = method.external().is_some_and(single) && !own_pool;
        let pool = if single { PoolPlan { count: 1, ..pool } } else { pool };
        Variant {
            name,
            method,
            authorization_server,
            certificate_bound,
            pool,
            presents,
            revoke_by,
            slow_down,
            beside,
            server: None,
            point: None,
        }
    });
    WrittenVariant { name, places, steps: Steps::new(), server, variant }
}

pub(super) type Options = (MethodConfig, Option<AuthorizationServerConfig>);

pub(super) fn read_options(section: &mut Section<'_>, method: MethodWord) -> Option<Options> {
    let options = match method {
        MethodWord::None => Some((MethodConfig::None, None)),
        MethodWord::ApiKey => read_api_key(section),
        MethodWord::Basic => read_basic(section),
        MethodWord::Jwt => read_jwt(section),
        MethodWord::OAuth2 => return read_oauth2(section),
        MethodWord::Mtls => read_mtls(section),
        MethodWord::Signed => read_signed(section),
        MethodWord::Layered => read_layered(section),
    };
    section.misplaced(BELONGS, &format!("method \"{}\"", method.name()));
    options
}

fn read_api_key(section: &mut Section<'_>) -> Option<Options> {
    if !section.has("store") {
        section.error("store", "store is missing; write for instance store = { kind = \"memory\" }");
    }
    let store = section.table("store").and_then(|mut store| {
        let kind = read_store(&mut store);
        let store_delay = store.or("delay", Duration::ZERO, delay);
        let store_population = store.or("population", 0, whole(0..=ApiKeyConfig::MAX_POPULATION));
        store.finish();
        Some(ApiKeyConfig { store_delay, store_population, ..ApiKeyConfig::new(kind?) })
    });
    let cache = read_cache(section, DAY, store.as_ref().map(|api_key| &api_key.store));
    let peppers = section.optional("peppers", list_of(whole(0..=u32::MAX), "[1]")).unwrap_or_default();
    if peppers.len() > ApiKeyConfig::MOST_PEPPERS {
        section.error("peppers", "peppers holds more than two versions; write the one for new keys, and one that ends");
    }
    let limit = section.table("limit").and_then(read_limit);
    let metering = section.or("metered", false, flag).then(MeteringConfig::default);
    Some((MethodConfig::ApiKey(ApiKeyConfig { cache, peppers, limit, metering, ..store? }), None))
}

/// What one key may ask for. The fields of an answer tell whole seconds.
fn read_limit(mut section: Section<'_>) -> Option<LimitConfig> {
    let requests = section.required("requests", "1000000", whole(1..=u32::MAX));
    let window = section.required("window", "\"1m\"", duration_in(Duration::from_secs(1)..=LimitConfig::LONGEST));
    let limit =
        requests.and_then(NonZeroU32::new).zip(window).map(|(requests, window)| LimitConfig { requests, window });
    if let Some(Err(mistake)) = limit.map(|limit| limit.check("limit")) {
        section.error("window", mistake);
    }
    section.finish();
    limit
}

/// How far away a store or an issuer is.
fn delay(value: &super::document::Value) -> Result<Duration, String> {
    duration_in(Duration::ZERO..=LONGEST_DELAY)(value)
}

fn read_basic(section: &mut Section<'_>) -> Option<Options> {
    let store = read_store_or(section, BasicConfig::default_store());
    let cache = read_cache(section, BASIC_CACHE_MAX, store.as_ref());
    let basic = BasicConfig {
        hash: section.table("hash").map_or(PasswordHash::ARGON2ID, read_hash),
        cache,
        hash_threads: NonZeroUsize::new(section.or(
            "hash_threads",
            BasicConfig::default_threads().get(),
            whole(1..=64),
        ))
        .expect("the range begins at 1"),
        hash_queue: section.or("hash_queue", BasicConfig::default_queue(), whole(0..=1_000_000)),
        throttle: section.or("throttle", false, flag),
        session: section
            .optional("session", duration_in(Duration::from_secs(1)..=DAY))
            .map(|lifetime| SessionConfig { lifetime }),
        password_policy: None,
        peppers: Vec::new(),
        store: store?,
    };
    if basic.session.is_some() && basic.cache.is_some() {
        section
            .error("cache", "cache of verified passwords is of no use to a session, which carries none; leave it out");
    }
    Some((MethodConfig::Basic(basic), None))
}

/// A password hash; costs that are left out are OWASP's.
fn read_hash(mut section: Section<'_>) -> PasswordHash {
    const HASHES: &[(&str, PasswordHash)] = &[
        ("argon2id", PasswordHash::ARGON2ID),
        ("bcrypt", PasswordHash::BCRYPT),
        ("scrypt", PasswordHash::SCRYPT),
        ("pbkdf2-sha256", PasswordHash::PBKDF2_SHA256),
    ];
    let hash = match section.required("algorithm", "\"argon2id\"", one_of(HASHES)) {
        Some(PasswordHash::Argon2id { memory_kib, iterations, parallelism }) => {
            let parallelism = section.or("parallelism", parallelism, whole(1..=64));
            PasswordHash::Argon2id {
                // RFC 9106 §3.1: at least eight times the lanes.
                memory_kib: section.or("memory_kib", memory_kib, whole(8 * parallelism..=4_194_304)),
                iterations: section.or("iterations", iterations, whole(1..=1_000)),
                parallelism,
            }
        }
        Some(PasswordHash::Bcrypt { cost }) => PasswordHash::Bcrypt { cost: section.or("cost", cost, whole(10..=18)) },
        Some(PasswordHash::Scrypt { log_n, r, p }) => PasswordHash::Scrypt {
            log_n: section.or("log_n", log_n, whole(1..=24)),
            r: section.or("r", r, whole(1..=64)),
            p: section.or("p", p, whole(1..=64)),
        },
        Some(PasswordHash::Pbkdf2Sha256 { iterations }) => {
            PasswordHash::Pbkdf2Sha256 { iterations: section.or("iterations", iterations, whole(1..=100_000_000)) }
        }
        None => {
            section.ignore(["memory_kib", "iterations", "parallelism", "cost", "log_n", "r", "p"]);
            PasswordHash::ARGON2ID
        }
    };
    // The server's own rule, so that what is planned also starts.
    if let Err(error) = check_costs(hash) {
        section.error("algorithm", error.to_string());
    }
    section.finish();
    hash
}

fn read_jwt(section: &mut Section<'_>) -> Option<Options> {
    let rules = TokenRules::default();
    let max_lifetime = section.or("max_lifetime", rules.max_lifetime, token_lifetime);
    let lifetime = section.or("lifetime", JwtConfig::default_lifetime().min(max_lifetime), token_lifetime);
    if lifetime > max_lifetime {
        let (lifetime, max) = (show(lifetime), show(max_lifetime));
        section.error(
            "lifetime",
            format!("lifetime is {lifetime}, but max_lifetime is {max}: every token would be refused; make them agree"),
        );
    }
    let leeway = section.or("leeway", rules.leeway, duration_in(Duration::ZERO..=TokenRules::MAX_LEEWAY));
    let denylist = section.table("denylist").and_then(|mut denylist| {
        let store = read_store_or(&mut denylist, DenyListConfig::default_store());
        let follow = read_follow(&mut denylist, store.as_ref());
        if follow.is_none() && !denylist.has("poll") && !denylist.has("push") {
            denylist.error("poll", "poll is missing; write for instance poll = \"1s\", or push = \"pubsub\"");
        }
        let population = denylist.or("population", 0, whole(0..=DenyListConfig::MAX_POPULATION));
        let stale_if_error = read_stale_if_error(&mut denylist);
        denylist.finish();
        Some(DenyListConfig { store: store?, follow: follow?, population, stale_if_error })
    });
    let cache = read_cache(section, DAY, None);
    if cache.is_some_and(|cache| cache.stale_if_error.is_some()) {
        section.error(
            "cache",
            "cache of verified tokens asks nobody, and they are good until they expire; leave stale_if_error out",
        );
    }
    if cache.is_some_and(|cache| cache.follow.is_some()) {
        section
            .error("cache", "cache of verified tokens asks the deny-list at every hit; leave poll and push out of it");
    }
    let introspection = section.or("introspection", false, flag);
    if introspection && (section.has("denylist") || section.has("cache")) {
        section.error(
            "introspection",
            "introspection asks the issuer about each token; leave denylist and cache out, or introspection",
        );
    }
    let claims_bytes = section.optional("claims_bytes", whole(JwtConfig::CLAIMS_BYTES));
    let algorithm = section.required("algorithm", "\"ES256\"", one_of(ALGORITHMS))?;
    let rules = TokenRules { leeway, max_lifetime };
    let jwt = JwtConfig { algorithm, lifetime, rules, denylist, cache, introspection, claims_bytes };
    Some((MethodConfig::Jwt(jwt), None))
}

#[derive(Clone, Copy, PartialEq)]
enum Token {
    Opaque,
    Jwt,
}

const TOKENS: &[(&str, Token)] = &[("opaque", Token::Opaque), ("jwt", Token::Jwt)];

/// What a token is good with alone.
#[derive(Clone, Copy, PartialEq)]
enum BoundTo {
    Key,
    Certificate,
}

const BOUND_TO: &[(&str, BoundTo)] = &[("key", BoundTo::Key), ("certificate", BoundTo::Certificate)];

/// Codes live for a minute at most (RFC 6749 §4.1.2 allows ten), and for whole seconds or parts of one.
fn code_lifetime(section: &mut Section<'_>) -> Duration {
    let standard = AuthorizationServerConfig::default().code_lifetime;
    section.or("code_lifetime", standard, duration_in(Duration::from_millis(1)..=standard))
}

fn read_oauth2(section: &mut Section<'_>) -> Option<Options> {
    let token = section.required("token", "\"opaque\"", one_of(TOKENS));
    let standard = AuthorizationServerConfig::default();
    let access_token_lifetime = section.or("lifetime", standard.access_token_lifetime, token_lifetime);
    let code_lifetime = code_lifetime(section);
    let bound_to = section.optional("bound_to", one_of(BOUND_TO));
    let mut rules = TokenRules::default();
    let mut introspection_delay = Duration::ZERO;
    let mut jwks = JwksConfig::default();
    let (validation, access_token) = match token {
        Some(Token::Opaque) => {
            let cache = read_cache(section, DAY, None);
            if cache.is_some_and(|cache| cache.follow.is_some()) {
                section.error(
                    "cache",
                    "cache: an introspection endpoint tells nobody of revocations; leave poll and push out of it",
                );
            }
            introspection_delay = section.or("introspection_delay", introspection_delay, delay);
            section.misplaced(BELONGS, "method \"oauth2\" with token = \"opaque\"");
            (TokenValidation::Opaque { cache }, AccessTokenFormat::Opaque)
        }
        Some(Token::Jwt) => {
            rules.leeway = section.or("leeway", rules.leeway, duration_in(Duration::ZERO..=TokenRules::MAX_LEEWAY));
            jwks = section.table("jwks").map_or(jwks, read_jwks);
            let algorithm = section.required("algorithm", "\"ES256\"", one_of(ALGORITHMS));
            section.misplaced(BELONGS, "method \"oauth2\" with token = \"jwt\"");
            let algorithm = algorithm?;
            refuse_symmetric(section, algorithm);
            (TokenValidation::Jwt { algorithm }, AccessTokenFormat::Jwt { algorithm })
        }
        None => {
            section.ignore(["cache", "algorithm", "leeway", "introspection_delay", "jwks", "revoke_by"]);
            section.misplaced(BELONGS, "method \"oauth2\"");
            return None;
        }
    };
    let dpop = (bound_to == Some(BoundTo::Key)).then(DpopConfig::default);
    let resource_server = OAuth2Config { rules, introspection_delay, jwks, dpop, ..OAuth2Config::new(validation) };
    // What the issuer allows is what resource servers do.
    let jwks_max_age = Duration::from_secs(jwks.refresh.as_secs().max(1));
    let authorization_server =
        AuthorizationServerConfig { access_token, access_token_lifetime, code_lifetime, jwks_max_age, ..standard };
    Some((MethodConfig::OAuth2(resource_server), Some(authorization_server)))
}

/// Who verifies a token must not be able to sign one.
fn refuse_symmetric(section: &Section<'_>, algorithm: Algorithm) {
    if algorithm.is_symmetric() {
        section.error(
            "algorithm",
            format!(
                "algorithm is {:?}, which would give the resource server the key that signs; write an asymmetric \
                 one, like \"ES256\"",
                algorithm.name()
            ),
        );
    }
}

/// Who calls, and the user for whom: of the latter a JWT, since introspection need not tell whose token it is.
fn read_layered(section: &mut Section<'_>) -> Option<Options> {
    #[derive(Clone, Copy)]
    enum Caller {
        Application,
        Service,
    }
    const CALLERS: &[(&str, Caller)] = &[("application", Caller::Application), ("service", Caller::Service)];
    let standard = AuthorizationServerConfig::default();
    let access_token_lifetime = section.or("lifetime", standard.access_token_lifetime, token_lifetime);
    let code_lifetime = code_lifetime(section);
    let rules = TokenRules::default();
    let leeway = section.or("leeway", rules.leeway, duration_in(Duration::ZERO..=TokenRules::MAX_LEEWAY));
    let rules = TokenRules { leeway, ..rules };
    let algorithm = section.required("algorithm", "\"ES256\"", one_of(ALGORITHMS));
    let caller = match section.required("caller", "\"application\"", one_of(CALLERS)) {
        Some(Caller::Application) => {
            let store = read_store_or(section, StoreConfig::Memory);
            store.map(|store| CallerConfig::Application(ApiKeyConfig::new(store)))
        }
        Some(Caller::Service) => {
            let reload = section.required("crl_reload", "\"2s\"", positive);
            let service = |reload| ServiceConfig {
                certificates: MtlsConfig::new(reload),
                may_act: vec![ACTING_SERVICE.to_owned()],
            };
            reload.map(|reload| CallerConfig::Service(service(reload)))
        }
        None => {
            section.ignore(["store", "crl_reload"]);
            None
        }
    };
    let algorithm = algorithm?;
    refuse_symmetric(section, algorithm);
    let user = OAuth2Config { rules, ..OAuth2Config::new(TokenValidation::Jwt { algorithm }) };
    let access_token = AccessTokenFormat::Jwt { algorithm };
    let authorization_server =
        AuthorizationServerConfig { access_token, access_token_lifetime, code_lifetime, ..standard };
    let method = MethodConfig::Layered(Box::new(LayeredConfig { caller: caller?, user }));
    Some((method, Some(authorization_server)))
}

/// How long the issuer's keys are kept.
fn read_jwks(mut section: Section<'_>) -> JwksConfig {
    let standard = JwksConfig::default();
    let refresh = section.or("refresh", standard.refresh, duration_in(JWKS_REFRESH_MIN..=DAY));
    let cooldown = section.or("cooldown", standard.cooldown, duration_in(Duration::ZERO..=DAY));
    let stale_if_error =
        section.or("stale_if_error", standard.stale_if_error, duration_in(Duration::ZERO..=LONGEST_STALE));
    section.finish();
    JwksConfig { refresh, cooldown, stale_if_error }
}

fn read_mtls(section: &mut Section<'_>) -> Option<Options> {
    const KEYS: &[(&str, CertificateKey)] =
        &[("P-256", CertificateKey::P256), ("RSA-2048", CertificateKey::Rsa2048), ("Ed25519", CertificateKey::Ed25519)];
    const CRL_POLICIES: &[(&str, CrlPolicy)] = &[("hard", CrlPolicy::Hard), ("soft", CrlPolicy::Soft)];
    let lifetime_is_written = section.has("certificate_lifetime");
    let looks = ["crl_reload", "ocsp"].into_iter().any(|key| section.has(key));
    if !looks && !lifetime_is_written {
        section.error(
            "crl_reload",
            "crl_reload is missing; write for instance crl_reload = \"2s\", or ocsp = { validity = \"2s\" }, or, for \
             certificates that nobody takes back, certificate_lifetime = \"1h\"",
        );
    }
    for key in ["crl_validity", "crl_population", "crl_policy"] {
        if section.has(key) && !section.has("crl_reload") {
            section
                .error(key, format!("{key} is about the CRL, at which nobody looks; write crl_reload, or remove it"));
        }
    }
    if section.has("recheck") && !looks {
        section.error("recheck", "recheck goes with crl_reload or ocsp: there is nothing that a request could look at");
    }
    let crl_reload = section.optional("crl_reload", positive);
    let ocsp = section.table("ocsp").and_then(read_ocsp);
    let crl_validity = section.or("crl_validity", MtlsConfig::default_crl_validity(), seconds_to_a_day);
    let certificate_lifetime =
        section.or("certificate_lifetime", MtlsConfig::default_certificate_lifetime(), seconds_to_a_day);
    let trust_domain = section.or("trust_domain", MtlsConfig::default_trust_domain(), trust_domain);
    let crl_population = section.or("crl_population", 0, whole(0..=MtlsConfig::MAX_CRL_POPULATION));
    let key = section.or("key", CertificateKey::default(), one_of(KEYS));
    let certificates = section.or("chain_length", ChainLength::default().into(), whole(1..=3_u8));
    let chain_length = ChainLength::try_from(certificates).expect("the range is that of the type");
    let recheck = section.or("recheck", true, flag);
    let resumption = section.or("resumption", false, flag);
    let crl_policy = section.or("crl_policy", CrlPolicy::default(), one_of(CRL_POLICIES));
    let ages = MtlsConfig::SHORTEST_CONNECTION..=MtlsConfig::LONGEST_CONNECTION;
    let max_connection_age = section.optional("max_connection_age", duration_in(ages));
    if let Some(crl_reload) = crl_reload.filter(|reload| *reload > crl_validity / 4) {
        let (reload, quarter) = (show(crl_reload), show(crl_validity / 4));
        section.error(
            "crl_reload",
            format!(
                "crl_reload is {reload}, over a quarter of crl_validity: a CRL could end between two looks; \
                 write {quarter} at most"
            ),
        );
    }
    let mtls = MtlsConfig {
        crl_reload,
        crl_validity,
        ocsp,
        trust_domain,
        crl_population,
        key,
        chain_length,
        recheck,
        resumption,
        crl_policy,
        max_connection_age,
        ..MtlsConfig::short_lived(certificate_lifetime)
    };
    Some((MethodConfig::Mtls(mtls), None))
}

/// Replay protection has no option: without it, a signature would be a bearer token.
fn read_signed(section: &mut Section<'_>) -> Option<Options> {
    if !section.has("store") {
        section.error("store", "store is missing; write for instance store = { kind = \"memory\" }");
    }
    let store = section.table("store").and_then(|mut store| {
        let kind = read_store(&mut store);
        store.finish();
        kind
    });
    let nonces = section.or("nonces", SignedConfig::default_nonces(), whole(SignedConfig::NONCES));
    Some((MethodConfig::Signed(SignedConfig { store: store?, nonces }), None))
}

/// How leaves are asked about. Where the responder is the run knows: it starts one.
fn read_ocsp(mut section: Section<'_>) -> Option<OcspConfig> {
    const POLICIES: &[(&str, OcspPolicy)] = &[("hard", OcspPolicy::Hard), ("soft", OcspPolicy::Soft)];
    let validity = section.required("validity", "\"2s\"", duration_in(Duration::from_millis(1)..=DAY));
    let policy = section.or("policy", OcspPolicy::default(), one_of(POLICIES));
    section.finish();
    Some(OcspConfig { policy, ..OcspConfig::new(validity?) })
}

/// X.509 counts whole seconds (RFC 5280 §4.1.2.5).
fn seconds_to_a_day(value: &super::document::Value) -> Result<Duration, String> {
    duration_in(Duration::from_secs(1)..=Duration::from_secs(86_400))(value)
}

/// The characters of a SPIFFE trust domain (SPIFFE ID §2.1).
fn trust_domain(value: &super::document::Value) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let remedy = || "write lower-case letters, digits, \".\", \"_\" and \"-\", like \"authbench.test\"".to_owned();
    text(value).ok().filter(|text| (1..=255).contains(&text.len()) && text.chars().all(allowed)).ok_or_else(remedy)
}
