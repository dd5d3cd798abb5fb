//! What a server process is told: listeners, profiles, and every security option spelled out.
//!
//! No field here holds a secret; where one is needed the configuration names a file that holds it.
//!
//! Options with which a size or a distance is set up (`store_delay`, `…population`, `claims_bytes`, `chain_length`) are
//! written only where they are not the default: what was measured before an option existed is still the same plan.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod keys;
mod layered;
mod mixed;
mod mtls;
mod signed;
mod store;
mod validator;

pub use keys::{KeyEnvironment, KeyManagementConfig, LimitConfig, MeteringConfig};
pub use layered::{CallerConfig, LayeredConfig, ServiceConfig};
pub use mixed::MixedConfig;
pub use mtls::{CertificateKey, ChainLength, CrlPolicy, ForeignCa, ForeignPki, MtlsConfig, OcspConfig, OcspPolicy};
pub use signed::SignedConfig;
pub use store::{Follow, Push, RemoteStore, StoreConfig, StoreUrl};

/// The identifier of the protected resource: what `aud` of a token must contain (RFC 7519 §4.1.3).
pub const AUDIENCE: &str = "https://api.authbench.test";

/// The claim of a token that says for which environment its client is registered; without it that is the live one. A name that
/// nobody else gives to a claim (RFC 7519 §4.2).
pub const ENVIRONMENT_CLAIM: &str = "https://api.authbench.test/environment";

/// The realm of every challenge (RFC 9110 §11.5).
pub const REALM: &str = "authbench";

/// The scope that the demonstration resource asks for.
pub const READ_SCOPE: &str = "read";

/// One server process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Where the process listens, at least one.
    pub listeners: Vec<ListenerConfig>,
    /// Single-threaded runtimes, each with its own SO_REUSEPORT listener per entry of `listeners`.
    pub workers: NonZeroUsize,
    /// Processor numbers that all threads of the process are bound to; empty means not bound.
    #[serde(default)]
    pub cpus: Vec<usize>,
    /// Folder (mode 0700) for keys, certificates, databases and the control socket.
    pub state_dir: PathBuf,
    /// Folder (mode 0700) for what the replicas of one server share: signing keys, the CA of client certificates and its
    /// CRLs, SQLite files. Absent means `state_dir`. Start one replica before the others: it makes what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_dir: Option<PathBuf>,
    /// Where `now` comes from.
    #[serde(default)]
    pub clock: ClockMode,
    /// The authorization server of this process; mounted on listeners with `authorization_server = true`.
    #[serde(default)]
    pub authorization_server: Option<AuthorizationServerConfig>,
    /// Whether the control socket hands out what credentials are signed with, so that bad ones can be made with the right
    /// key. For attacks on servers of one's own, on loopback addresses only; no other server should have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forging: bool,
}

/// Where the time comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockMode {
    /// The operating system's clock.
    #[default]
    System,
    /// The operating system's clock plus an offset that the control socket may move forward: for tests.
    Controlled,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Name, unique in the process, by which [`crate::contract::Ready`] reports the address.
    pub name: String,
    /// Address to bind; port 0 lets the system choose.
    pub bind: SocketAddr,
    /// The URL that clients call it by, where something stands in front of it: the issuer identifier of an authorization
    /// server that is mounted here. Absent means the bound address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Plaintext (loopback only) or TLS.
    pub transport: Transport,
    /// HTTP versions offered, in order of preference (ALPN over TLS; prior knowledge in plaintext).
    pub http: Vec<HttpVersion>,
    /// The one group of the key exchange; absent means those that rustls offers, in its order of preference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_exchange: Option<KeyExchange>,
    /// Protected routes. A profile of method `mtls` makes client certificates mandatory on the listener, so it
    /// shares the listener with no profile of another method.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Whether the authorization server's endpoints are mounted here.
    #[serde(default)]
    pub authorization_server: bool,
    /// The profile of method `mtls` whose CA answers OCSP requests here. Such a listener carries nothing else and is in
    /// plaintext: answers are signed, and whoever asks must not need a certificate to be checked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp_responder: Option<String>,
    /// API keys are managed here, under `/keys`; absent means that they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_management: Option<KeyManagementConfig>,
}

/// What carries HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// No TLS; loopback addresses only.
    #[serde(rename = "plaintext")]
    Plaintext,
    /// TLS 1.2 only (RFC 5246).
    #[serde(rename = "tls1.2")]
    Tls12,
    /// TLS 1.3 only (RFC 8446).
    #[serde(rename = "tls1.3")]
    Tls13,
}

/// HTTP on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpVersion {
    /// HTTP/1.1 (RFC 9112).
    #[serde(rename = "1.1")]
    Http1,
    /// HTTP/2 (RFC 9113).
    #[serde(rename = "2")]
    Http2,
}

/// A group of the ephemeral key exchange in TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyExchange {
    /// X25519 combined with ML-KEM-768, which a quantum computer does not break (draft-ietf-tls-ecdhe-mlkem). TLS 1.3 only.
    X25519MLKEM768,
    /// X25519 (RFC 7748).
    X25519,
    /// ECDH on P-256 (RFC 8446 §4.2.7: `secp256r1`).
    #[serde(rename = "P-256")]
    P256,
}

/// A variant's server side: one protected route and how its callers authenticate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// The variant's name.
    pub name: String,
    /// Path of the protected route, like `/whoami`.
    pub path: String,
    /// Scope that the route asks for (RFC 6749 §3.3); the method `none` ignores it.
    pub scope: String,
    /// Whether the route is for users alone: who is authenticated as an application, a bearer or the holder of a certificate
    /// is answered 403.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub users_only: bool,
    /// Extra work behind each validation; absent, as a server should be, means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_down: Option<SlowDown>,
    /// The method and its options.
    #[serde(flatten)]
    pub method: MethodConfig,
}

/// Extra work behind each validation, counted in with it: a regression of known size, to try whether a gate notices it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlowDown {
    /// This share of the validation's own time, waiting included: 0.02 is two per cent.
    Share(f64),
    /// This time, per validation.
    Time(#[serde(with = "humantime_serde")] Duration),
}

impl SlowDown {
    /// The longest time.
    pub const MAX_TIME: Duration = Duration::from_secs(1);
    /// The largest share: ten times as long.
    pub const MAX_SHARE: f64 = 9.0;

    /// Whether it is within its bounds.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Share(share) => (0.0..=Self::MAX_SHARE).contains(share),
            Self::Time(time) => *time <= Self::MAX_TIME,
        }
    }
}

/// An authentication method with its options.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "kebab-case")]
pub enum MethodConfig {
    /// No authentication: the baseline.
    None,
    /// API keys.
    ApiKey(ApiKeyConfig),
    /// HTTP Basic (RFC 7617).
    Basic(BasicConfig),
    /// JWTs signed by the server's own key set.
    Jwt(JwtConfig),
    /// Tokens of an OAuth 2.0 authorization server.
    #[serde(rename = "oauth2")]
    OAuth2(OAuth2Config),
    /// Client certificates.
    Mtls(MtlsConfig),
    /// Requests signed with HMAC (RFC 9421).
    Signed(SignedConfig),
    /// API keys, JWTs and opaque tokens behind one route.
    Mixed(Box<MixedConfig>),
    /// Who calls, and the user for whom.
    Layered(Box<LayeredConfig>),
}

impl MethodConfig {
    /// The method's word in DESIGN's vocabulary.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ApiKey(_) => "api-key",
            Self::Basic(_) => "basic",
            Self::Jwt(_) => "jwt",
            Self::OAuth2(_) => "oauth2",
            Self::Mtls(_) => "mtls",
            Self::Signed(_) => "signed",
            Self::Mixed(_) => "mixed",
            Self::Layered(_) => "layered",
        }
    }

    /// Where the method keeps what decides about a credential, if it keeps anything beside its own keys.
    pub fn store(&self) -> Option<&StoreConfig> {
        match self {
            Self::ApiKey(config) => Some(&config.store),
            Self::Basic(config) => Some(&config.store),
            Self::Jwt(config) => config.denylist.as_ref().map(|denylist| &denylist.store),
            Self::Signed(config) => Some(&config.store),
            Self::Mixed(config) => Some(&config.api_key.store),
            Self::Layered(config) => match &config.caller {
                CallerConfig::Application(keys) => Some(&keys.store),
                CallerConfig::Service(_) => None,
            },
            Self::None | Self::OAuth2(_) | Self::Mtls(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn store_mut(&mut self) -> Option<&mut StoreConfig> {
        match self {
            Self::ApiKey(config) => Some(&mut config.store),
            Self::Basic(config) => Some(&mut config.store),
            Self::Jwt(config) => config.denylist.as_mut().map(|denylist| &mut denylist.store),
            Self::Signed(config) => Some(&mut config.store),
            Self::Mixed(config) => Some(&mut config.api_key.store),
            Self::Layered(config) => match &mut config.caller {
                CallerConfig::Application(keys) => Some(&mut keys.store),
                CallerConfig::Service(_) => None,
            },
            Self::None | Self::OAuth2(_) | Self::Mtls(_) => None,
        }
    }

    /// How API keys are taken, where they are.
    pub fn api_keys(&self) -> Option<&ApiKeyConfig> {
        match self {
            Self::ApiKey(config) => Some(config),
            Self::Mixed(config) => Some(&config.api_key),
            Self::Layered(config) => match &config.caller {
                CallerConfig::Application(keys) => Some(keys),
                CallerConfig::Service(_) => None,
            },
            _ => None,
        }
    }

    /// How client certificates are asked for, where they are: that makes them mandatory on the listener.
    pub fn certificates(&self) -> Option<&MtlsConfig> {
        match self {
            Self::Mtls(config) => Some(config),
            Self::Layered(config) => match &config.caller {
                CallerConfig::Service(service) => Some(&service.certificates),
                CallerConfig::Application(_) => None,
            },
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn certificates_mut(&mut self) -> Option<&mut MtlsConfig> {
        match self {
            Self::Mtls(config) => Some(config),
            Self::Layered(config) => match &mut config.caller {
                CallerConfig::Service(service) => Some(&mut service.certificates),
                CallerConfig::Application(_) => None,
            },
            _ => None,
        }
    }
}

/// API keys: SHA-256 at rest, or HMAC-SHA-256 under a pepper; one lookup by digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyConfig {
    /// Where key records live.
    pub store: StoreConfig,
    /// How much longer the answer to a lookup takes than the store itself: as if it were so far away. At most
    /// [`LONGEST_DELAY`]; a cache hit does not pay it.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Duration::is_zero")]
    pub store_delay: Duration,
    /// Records that the store holds at least when the server starts, beside those issued later; at most
    /// [`ApiKeyConfig::MAX_POPULATION`]. Nobody knows their keys.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub store_population: usize,
    /// Cache in front of the store; absent means that every request reads the store.
    #[serde(default)]
    pub cache: Option<CacheConfig>,
    /// Versions of the pepper that keys are digested with (HMAC-SHA-256), the one for new keys first; a key that is still under
    /// the other one is digested anew after its next use. At most [`ApiKeyConfig::MOST_PEPPERS`]. Version 0 is no pepper, plain
    /// SHA-256, and so is an empty list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peppers: Vec<u32>,
    /// Whether live keys are issued and taken here, or test keys.
    #[serde(default, skip_serializing_if = "KeyEnvironment::is_live")]
    pub environment: KeyEnvironment,
    /// What one key may ask for; absent means as much as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<LimitConfig>,
    /// What all keys of one application may ask for together; absent means as much as they like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_limit: Option<LimitConfig>,
    /// Requests are counted for each key; absent means that they are not, and that nobody knows when a key was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metering: Option<MeteringConfig>,
}

impl ApiKeyConfig {
    /// Largest `store_population`: 3 GB in memory, or 2 GB in an SQLite file.
    pub const MAX_POPULATION: usize = 10_000_000;

    /// A store that is at hand and holds what is issued, read for every request.
    pub fn new(store: StoreConfig) -> Self {
        Self {
            store,
            store_delay: Duration::ZERO,
            store_population: 0,
            cache: None,
            peppers: Vec::new(),
            environment: KeyEnvironment::Live,
            limit: None,
            account_limit: None,
            metering: None,
        }
    }
}

/// Longest delay of a store or an issuer that can be set: what is slower has timed out.
pub const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// Whether a population is empty.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_empty(population: &usize) -> bool {
    *population == 0
}

/// A cache whose entries live for a fixed time: the upper bound of what a revocation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    /// Lifetime of an entry, counted from when it was stored.
    #[serde(with = "humantime_serde")]
    pub ttl: Duration,
    /// Most entries held.
    #[serde(default = "CacheConfig::default_capacity")]
    pub capacity: u64,
    /// How it hears of revocations before that; absent means that it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<Follow>,
    /// How long after its end an entry is served all the same where what it was loaded from gives no answer (RFC 5861 §4):
    /// a revocation goes unseen for so much longer. At most [`LONGEST_STALE`]; absent means not at all, and the caller is
    /// answered 503.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub stale_if_error: Option<Duration>,
}

/// Longest `stale_if_error`: whoever keeps a store from answering wins this much, at most.
pub const LONGEST_STALE: Duration = Duration::from_secs(86_400);

impl CacheConfig {
    /// Entries that live for `ttl`, as many as by default, whatever is revoked.
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, capacity: Self::default_capacity(), follow: None, stale_if_error: None }
    }

    /// How long an entry may be behind at most.
    pub fn bound(&self) -> Duration {
        self.follow.map_or(self.ttl, |follow| follow.bound().min(self.ttl))
    }

    /// More than any pool of a shipped scenario, so that entries leave by age and not for want of room.
    fn default_capacity() -> u64 {
        100_000
    }
}

/// HTTP Basic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicConfig {
    /// Where users live.
    #[serde(default = "BasicConfig::default_store")]
    pub store: StoreConfig,
    /// Hash for new passwords, and of the dummy that unknown users are checked against.
    pub hash: PasswordHash,
    /// Verified-credential cache, keyed by an HMAC under a per-process key; absent means every request hashes.
    #[serde(default)]
    pub cache: Option<CacheConfig>,
    /// Hashing threads, off the reactor.
    #[serde(default = "BasicConfig::default_threads")]
    pub hash_threads: NonZeroUsize,
    /// Hashes that may wait for a thread; one more is answered 503.
    #[serde(default = "BasicConfig::default_queue")]
    pub hash_queue: usize,
    /// Whether failures in a row lead to a wait, for each user name and each address (429).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub throttle: bool,
    /// Sessions that a password is exchanged for, at the profile's path followed by [`SessionConfig::PATH`]; absent means that
    /// each request carries the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionConfig>,
    /// Which passwords may be chosen; absent means any that RFC 7617 can carry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_policy: Option<PasswordPolicy>,
    /// Versions of the pepper that passwords go through before they are hashed (HMAC-SHA-256), the one for new hashes first; a
    /// hash under another is made anew at the next login. Version 0 is no pepper. The secrets are files in the profile's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peppers: Vec<u32>,
}

/// Sessions that a password opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// How long a session lasts, at most a day; the password may end it sooner.
    #[serde(with = "humantime_serde")]
    pub lifetime: Duration,
}

impl SessionConfig {
    /// Where a password is exchanged, below the profile's path.
    pub const PATH: &str = "/session";
}

/// Which passwords may be chosen (NIST SP 800-63B-4 §3.1.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordPolicy {
    /// The least number of characters: 15 where nothing but the password is asked for.
    pub min_chars: usize,
}

impl BasicConfig {
    /// Users in the process, hashed so, and hashed anew for every request.
    pub fn new(hash: PasswordHash) -> Self {
        Self {
            store: Self::default_store(),
            hash,
            cache: None,
            hash_threads: Self::default_threads(),
            hash_queue: Self::default_queue(),
            throttle: false,
            session: None,
            password_policy: None,
            peppers: Vec::new(),
        }
    }

    /// In the process.
    pub fn default_store() -> StoreConfig {
        StoreConfig::Memory
    }
    /// One hashing thread: the reference server is measured one core at a time.
    pub fn default_threads() -> NonZeroUsize {
        NonZeroUsize::MIN
    }
    /// Enough for every connection of the shipped scenarios to wait once.
    pub fn default_queue() -> usize {
        256
    }
}

/// Password hash and cost (OWASP Password Storage Cheat Sheet).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "algorithm", rename_all = "kebab-case")]
pub enum PasswordHash {
    /// Argon2id (RFC 9106).
    Argon2id {
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes.
        iterations: u32,
        /// Lanes.
        parallelism: u32,
    },
    /// bcrypt; passwords over 72 bytes are refused, never cut.
    Bcrypt {
        /// Base-2 logarithm of the rounds, at least 10.
        cost: u32,
    },
    /// scrypt (RFC 7914).
    Scrypt {
        /// Base-2 logarithm of N.
        log_n: u8,
        /// Block size.
        r: u32,
        /// Parallelism.
        p: u32,
    },
    /// PBKDF2 with HMAC-SHA-256 (RFC 8018).
    Pbkdf2Sha256 {
        /// Iterations.
        iterations: u32,
    },
}

impl PasswordHash {
    /// OWASP's Argon2id: 19 MiB, 2 passes, 1 lane.
    pub const ARGON2ID: Self = Self::Argon2id { memory_kib: 19_456, iterations: 2, parallelism: 1 };
    /// bcrypt at OWASP's minimum cost.
    pub const BCRYPT: Self = Self::Bcrypt { cost: 10 };
    /// OWASP's scrypt.
    pub const SCRYPT: Self = Self::Scrypt { log_n: 17, r: 8, p: 1 };
    /// OWASP's PBKDF2-HMAC-SHA-256.
    pub const PBKDF2_SHA256: Self = Self::Pbkdf2Sha256 { iterations: 600_000 };
}

/// Signature algorithms (RFC 7518 §3, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(clippy::upper_case_acronyms)] // names of the JOSE registry
pub enum Algorithm {
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// All of them, those with shared secrets first.
    pub const ALL: [Self; 12] = [
        Self::HS256,
        Self::HS384,
        Self::HS512,
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The `alg` value (RFC 7518 §3.1, RFC 8037 §3.1).
    pub fn name(self) -> &'static str {
        match self {
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// Whether who verifies could also sign: such a key is never published.
    pub fn is_symmetric(self) -> bool {
        matches!(self, Self::HS256 | Self::HS384 | Self::HS512)
    }
}

/// JWTs in the RFC 9068 profile, signed and checked with the profile's own key set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtConfig {
    /// The one algorithm that is signed with and accepted.
    pub algorithm: Algorithm,
    /// Lifetime of issued tokens.
    #[serde(with = "humantime_serde", default = "JwtConfig::default_lifetime")]
    pub lifetime: Duration,
    /// Rules that every token is held to.
    #[serde(default)]
    pub rules: TokenRules,
    /// Deny-list of `jti`; absent means stateless: a revoked token works until `exp`.
    #[serde(default)]
    pub denylist: Option<DenyListConfig>,
    /// Cache of verified tokens, never past `exp`: a hit saves the signature, and still asks the deny-list. Absent means that
    /// every request verifies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheConfig>,
    /// Whether the issuer is asked about each token (RFC 7662), as about an opaque one: a revoked token is refused by the next
    /// request. Goes with neither `denylist` nor `cache`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub introspection: bool,
    /// Length of the claims set of issued tokens, in bytes of JSON, within [`JwtConfig::CLAIMS_BYTES`]; a private claim
    /// fills it up. Absent, or less than the required claims take: those alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims_bytes: Option<usize>,
}

impl JwtConfig {
    /// Possible lengths of a claims set. The longest is a token of 22 KiB, which the server's limits let pass.
    pub const CLAIMS_BYTES: RangeInclusive<usize> = 200..=16_384;

    /// Stateless tokens with the required claims under the default rules.
    pub fn new(algorithm: Algorithm) -> Self {
        let rules = TokenRules::default();
        let lifetime = Self::default_lifetime();
        Self { algorithm, lifetime, rules, denylist: None, cache: None, introspection: false, claims_bytes: None }
    }

    /// 15 minutes, the policy maximum of [`TokenRules`].
    pub fn default_lifetime() -> Duration {
        Duration::from_secs(900)
    }
}

/// Time rules of a JWT (RFC 7519 §4.1.4 to 4.1.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenRules {
    /// Clock difference tolerated at every edge, at most [`Self::MAX_LEEWAY`].
    #[serde(with = "humantime_serde")]
    pub leeway: Duration,
    /// Longest accepted `exp − iat`.
    #[serde(with = "humantime_serde")]
    pub max_lifetime: Duration,
}

impl TokenRules {
    /// Largest leeway: it is added to the life of every dead token.
    pub const MAX_LEEWAY: Duration = Duration::from_secs(60);

    /// Refuses a leeway that is none any more.
    ///
    /// # Errors
    /// What is wrong, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        if self.leeway <= Self::MAX_LEEWAY {
            return Ok(());
        }
        Err(format!("leeway is {:?}; at most {:?} is safe", self.leeway, Self::MAX_LEEWAY))
    }
}

impl Default for TokenRules {
    fn default() -> Self {
        Self { leeway: Duration::from_secs(30), max_lifetime: Duration::from_secs(900) }
    }
}

/// A deny-list, of which every validator keeps a copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenyListConfig {
    /// Where it is kept; not in memory.
    #[serde(default = "DenyListConfig::default_store")]
    pub store: StoreConfig,
    /// How validators hear of what is added: the longest that a revoked token goes unnoticed.
    pub follow: Follow,
    /// Entries that the list holds at least when the server starts, at most [`DenyListConfig::MAX_POPULATION`]: tokens
    /// revoked elsewhere. They stay for a day, so that the list has the same length throughout a run.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub population: usize,
    /// How long after it was last current the copy is trusted all the same while the store does not answer: a revocation
    /// goes unseen for so long. At most [`LONGEST_STALE`]; absent means not at all, and callers are answered 503.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub stale_if_error: Option<Duration>,
}

impl DenyListConfig {
    /// Largest `population`: 1 GB in memory, and as much in SQLite.
    pub const MAX_POPULATION: usize = 10_000_000;

    /// A list in SQLite that is empty at first and polled so often.
    pub fn new(poll: Duration) -> Self {
        Self { store: Self::default_store(), follow: Follow::Poll(poll), population: 0, stale_if_error: None }
    }

    /// In SQLite.
    pub fn default_store() -> StoreConfig {
        StoreConfig::Sqlite
    }
}

/// The resource server's side of OAuth 2.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuth2Config {
    /// How access tokens are validated.
    pub validation: TokenValidation,
    /// Whose tokens are accepted.
    #[serde(default)]
    pub issuer: TrustedIssuer,
    /// Time rules, for tokens that are JWTs.
    #[serde(default)]
    pub rules: TokenRules,
    /// How much longer the answer to an introspection takes than the authorization server itself: as if it were so far
    /// away. At most [`LONGEST_DELAY`]; a cache hit does not pay it, nor does a token that is a JWT.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Duration::is_zero")]
    pub introspection_delay: Duration,
    /// How long the issuer's keys are kept, for tokens that are JWTs.
    #[serde(default, skip_serializing_if = "JwksConfig::is_default")]
    pub jwks: JwksConfig,
    /// What is known of the issuer beforehand.
    #[serde(default, skip_serializing_if = "KnownIssuer::is_nothing")]
    pub known: KnownIssuer,
    /// Tokens are bound to a key, and each request proves that its sender holds it (RFC 9449); absent means bearer tokens, and
    /// none that are bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dpop: Option<DpopConfig>,
    /// Whether tokens of live clients are taken here, or those of test clients.
    #[serde(default, skip_serializing_if = "KeyEnvironment::is_live")]
    pub environment: KeyEnvironment,
}

/// What is known of an authorization server elsewhere, so that its metadata need not be asked for: one that publishes none,
/// or publishes too much.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownIssuer {
    /// Where opaque tokens are asked about (RFC 7662).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// Where the keys of JWTs are (RFC 7517 §5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The same in a file, which is read again as often as keys elsewhere are fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_file: Option<PathBuf>,
    /// What the issuer calls this resource in `aud`, of a JWT or of an introspection answer; absent means [`AUDIENCE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

impl KnownIssuer {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Proofs of holding a key (RFC 9449).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DpopConfig {
    /// Whether a proof must hold a nonce that the server handed out (§8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nonce: bool,
    /// The URL of the protected route, which proofs are made for; absent means the listener's URL with the profile's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// How long a resource server keeps the keys of an issuer (RFC 7517 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwksConfig {
    /// Age from which on they decide about nothing before they were fetched again: not above the `max-age` that the issuer
    /// publishes with its keys. Where requests come all the time, they are fetched a little earlier, and none waits. At least
    /// one second.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// The least time between two fetches that a key identifier nobody knows may cause (AUTH-ACCEPTANCE JW-12).
    #[serde(with = "humantime_serde")]
    pub cooldown: Duration,
    /// How much longer old keys are trusted while the issuer gives no answer: whoever keeps a rotation from being seen wins at
    /// most so much. At most [`LONGEST_STALE`].
    #[serde(with = "humantime_serde")]
    pub stale_if_error: Duration,
}

impl Default for JwksConfig {
    fn default() -> Self {
        let (refresh, cooldown) = (Duration::from_secs(300), Duration::from_secs(60));
        Self { refresh, cooldown, stale_if_error: LONGEST_STALE - refresh }
    }
}

impl JwksConfig {
    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl OAuth2Config {
    /// Tokens of the process's own authorization server, under the default rules.
    pub fn new(validation: TokenValidation) -> Self {
        let (issuer, rules) = (TrustedIssuer::default(), TokenRules::default());
        let (introspection_delay, jwks) = (Duration::ZERO, JwksConfig::default());
        let (known, environment) = (KnownIssuer::default(), KeyEnvironment::Live);
        Self { validation, issuer, rules, introspection_delay, jwks, known, dpop: None, environment }
    }
}

/// How the resource server validates an access token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "token", rename_all = "kebab-case")]
pub enum TokenValidation {
    /// Opaque tokens, by introspection over HTTP (RFC 7662).
    Opaque {
        /// Cache of positive answers, never past `exp`; absent means that every request introspects.
        #[serde(default)]
        cache: Option<CacheConfig>,
    },
    /// JWT access tokens (RFC 9068), checked locally against the issuer's JWKS.
    Jwt {
        /// The algorithms accepted.
        algorithm: Algorithm,
    },
}

/// The authorization server that a resource server trusts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TrustedIssuer {
    /// The authorization server of the same process, reached over its own listener like any other.
    #[default]
    InProcess,
    /// An authorization server elsewhere, discovered by its metadata (RFC 8414).
    Remote {
        /// Issuer identifier, a URL.
        issuer: String,
        /// PEM file with the roots that its TLS certificate chains to; absent in plaintext.
        ca_file: Option<PathBuf>,
        /// Client identifier that this resource server introspects with.
        client_id: String,
        /// File (mode 0600) that holds the client's secret.
        client_secret_file: PathBuf,
    },
}

/// The authorization server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationServerConfig {
    /// Form of the access tokens.
    pub access_token: AccessTokenFormat,
    /// Lifetime of access tokens.
    #[serde(with = "humantime_serde")]
    pub access_token_lifetime: Duration,
    /// Lifetime of authorization codes, at most 60 s.
    #[serde(with = "humantime_serde")]
    pub code_lifetime: Duration,
    /// A refresh token unused for this long dies.
    #[serde(with = "humantime_serde")]
    pub refresh_idle: Duration,
    /// A refresh family older than this dies.
    #[serde(with = "humantime_serde")]
    pub refresh_absolute: Duration,
    /// How long resource servers may keep the published keys: the `max-age` of the JWKS, in whole seconds.
    #[serde(
        with = "humantime_serde",
        default = "AuthorizationServerConfig::default_jwks_max_age",
        skip_serializing_if = "AuthorizationServerConfig::is_default_jwks_max_age"
    )]
    pub jwks_max_age: Duration,
    /// Whether proofs at the token endpoint must hold a nonce that the server handed out (RFC 9449 §8).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dpop_nonce: bool,
    /// API keys are exchanged for JWTs here (RFC 8693); absent means that they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_exchange: Option<TokenExchangeConfig>,
}

/// API keys of which each is exchanged for JWTs at the token endpoint (RFC 8693).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenExchangeConfig {
    /// The profile of method `api-key` or `mixed` whose keys they are.
    pub profile: String,
    /// Lifetime of the JWTs: for so long one may outlive its key, where nobody asks about it. At most
    /// [`TokenExchangeConfig::LONGEST`], and that of other access tokens.
    #[serde(with = "humantime_serde", default = "TokenExchangeConfig::default_lifetime")]
    pub lifetime: Duration,
}

impl TokenExchangeConfig {
    /// The longest lifetime.
    pub const LONGEST: Duration = Duration::from_secs(900);

    /// The keys of that profile, for JWTs that live for the default time.
    pub fn new(profile: impl Into<String>) -> Self {
        Self { profile: profile.into(), lifetime: Self::default_lifetime() }
    }

    /// Five minutes.
    fn default_lifetime() -> Duration {
        Duration::from_secs(300)
    }
}

impl AuthorizationServerConfig {
    /// Five minutes.
    pub fn default_jwks_max_age() -> Duration {
        JwksConfig::default().refresh
    }
    fn is_default_jwks_max_age(max_age: &Duration) -> bool {
        *max_age == Self::default_jwks_max_age()
    }
}

impl Default for AuthorizationServerConfig {
    fn default() -> Self {
        Self {
            access_token: AccessTokenFormat::Opaque,
            access_token_lifetime: Duration::from_secs(900),
            code_lifetime: Duration::from_secs(60),
            refresh_idle: Duration::from_secs(14 * 86_400),
            refresh_absolute: Duration::from_secs(30 * 86_400),
            jwks_max_age: Self::default_jwks_max_age(),
            dpop_nonce: false,
            token_exchange: None,
        }
    }
}

/// Form of issued access tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "token", rename_all = "kebab-case")]
pub enum AccessTokenFormat {
    /// A random string; its meaning is in the authorization server's store.
    Opaque,
    /// A JWT (RFC 9068).
    Jwt {
        /// Signature algorithm; an asymmetric one.
        algorithm: Algorithm,
    },
}
