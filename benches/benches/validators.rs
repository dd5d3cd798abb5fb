//! What one validation costs, method by method, without a network (but for introspection, which is one).
//!
//! Every benchmark first asserts that the credential is accepted: a timed rejection is not a validation.

use std::hint::black_box;
use std::time::Duration;

use bench_server::contract::{
    AUDIENCE, AccessTokenFormat, Algorithm, ApiKeyConfig, BasicConfig, CacheConfig, DenyListConfig, JwtConfig,
    MethodConfig, MtlsConfig, OAuth2Config, PasswordHash, StoreKind, TokenValidation,
};
use benches::{Subject, TokenIssuer};
use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt as _;
use tokio::runtime::Runtime;

/// A cache that no benchmark outlives.
const CACHE: CacheConfig = CacheConfig { ttl: Duration::from_secs(60), capacity: 100_000 };

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Times a validation that never waits: one poll, no runtime in the way.
fn immediate(c: &mut Criterion, name: &str, subject: &Subject) {
    let verdict = subject.validate().now_or_never().expect("this method never waits");
    assert!(verdict.is_ok(), "{name}: this would time a rejection: {verdict:?}");
    c.bench_function(name, |b| b.iter(|| black_box(subject.validate().now_or_never())));
}

/// Times a validation that leaves the thread: a hashing pool or another server.
fn waiting(c: &mut Criterion, name: &str, runtime: &Runtime, subject: &Subject) {
    let verdict = runtime.block_on(subject.validate());
    assert!(verdict.is_ok(), "{name}: this would time a rejection: {verdict:?}");
    c.bench_function(name, |b| b.iter(|| black_box(runtime.block_on(subject.validate()))));
}

fn subject(runtime: &Runtime, method: MethodConfig, population: usize) -> (tempfile::TempDir, Subject) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let subject = runtime.block_on(Subject::issued_here(dir.path(), method, population)).expect("a subject");
    (dir, subject)
}

fn none(c: &mut Criterion) {
    let runtime = runtime();
    let (_dir, subject) = subject(&runtime, MethodConfig::None, 1);
    immediate(c, "none", &subject);
}

fn api_key(c: &mut Criterion) {
    let runtime = runtime();
    for (name, store, cache, population) in [
        ("api-key/memory/1e3", StoreKind::Memory, None, 1_000),
        ("api-key/memory/1e5", StoreKind::Memory, None, 100_000),
        ("api-key/sqlite/1e4", StoreKind::Sqlite, None, 10_000),
        ("api-key/sqlite-cached/1e4", StoreKind::Sqlite, Some(CACHE), 10_000),
    ] {
        let method = MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) });
        let (_dir, subject) = subject(&runtime, method, population);
        immediate(c, name, &subject);
    }
}

fn basic(c: &mut Criterion) {
    let runtime = runtime();
    for (name, hash, cache) in [
        ("basic/argon2id", PasswordHash::ARGON2ID, None),
        ("basic/bcrypt-10", PasswordHash::BCRYPT, None),
        ("basic/scrypt", PasswordHash::SCRYPT, None),
        ("basic/pbkdf2-sha256", PasswordHash::PBKDF2_SHA256, None),
        ("basic/argon2id-cached", PasswordHash::ARGON2ID, Some(CACHE)),
    ] {
        let method = MethodConfig::Basic(BasicConfig {
            hash,
            cache,
            hash_threads: BasicConfig::default_threads(),
            hash_queue: BasicConfig::default_queue(),
        });
        let (_dir, subject) = subject(&runtime, method, 1);
        waiting(c, name, &runtime, &subject);
    }
}

fn jwt(c: &mut Criterion) {
    let runtime = runtime();
    let algorithms = [
        ("HS256", Algorithm::HS256),
        ("RS256", Algorithm::RS256),
        ("PS256", Algorithm::PS256),
        ("ES256", Algorithm::ES256),
        ("ES384", Algorithm::ES384),
        ("EdDSA", Algorithm::EdDSA),
    ];
    for (name, algorithm) in algorithms {
        let method = MethodConfig::Jwt(jwt_config(algorithm, None));
        let (_dir, subject) = subject(&runtime, method, 1);
        immediate(c, &format!("jwt/{name}"), &subject);
    }
    let denylist = Some(DenyListConfig::new(Duration::from_secs(1)));
    let (_dir, subject) = subject(&runtime, MethodConfig::Jwt(jwt_config(Algorithm::ES256, denylist)), 1);
    immediate(c, "jwt/ES256-denylist", &subject);
}

fn jwt_config(algorithm: Algorithm, denylist: Option<DenyListConfig>) -> JwtConfig {
    JwtConfig { denylist, ..JwtConfig::new(algorithm) }
}

fn oauth2(c: &mut Criterion) {
    // The authorization server has threads of its own, as it would have processes of its own.
    let runtime = runtime();
    let opaque = |cache| TokenValidation::Opaque { cache };
    let jwt = TokenValidation::Jwt { algorithm: Algorithm::ES256 };
    for (name, format, validation) in [
        ("oauth2/opaque", AccessTokenFormat::Opaque, opaque(None)),
        ("oauth2/opaque-cached", AccessTokenFormat::Opaque, opaque(Some(CACHE))),
        ("oauth2/jwt-ES256", AccessTokenFormat::Jwt { algorithm: Algorithm::ES256 }, jwt),
    ] {
        let issuer_dir = tempfile::tempdir().expect("a temporary folder");
        let resource_dir = tempfile::tempdir().expect("a temporary folder");
        let issuer = runtime.block_on(TokenIssuer::start(issuer_dir.path(), format)).expect("an issuer");
        let method = MethodConfig::OAuth2(OAuth2Config { issuer: issuer.trusted(), ..OAuth2Config::new(validation) });
        let subject = runtime.block_on(Subject::issued_by(resource_dir.path(), &issuer, method)).expect("a subject");
        waiting(c, name, &runtime, &subject);
        drop(subject);
        runtime.block_on(issuer.stop());
    }
}

fn mtls(c: &mut Criterion) {
    let runtime = runtime();
    let method = MethodConfig::Mtls(MtlsConfig::new(Duration::from_secs(60)));
    let (_dir, subject) = subject(&runtime, method, 1);
    immediate(c, "mtls/kept-connection", &subject);
}

/// The peer that most Rust services use, on a token of ours and with the same claims checked.
fn jsonwebtoken_decode(c: &mut Criterion) {
    use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};

    #[derive(serde::Deserialize, serde::Serialize)]
    struct Claims {
        iss: String,
        aud: String,
        sub: String,
        exp: u64,
        iat: u64,
        jti: String,
    }

    let secret = [7_u8; 32];
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let claims = Claims {
        iss: "https://issuer.authbench.test/bench".into(),
        aud: AUDIENCE.into(),
        sub: "app-0".into(),
        exp: now + 900,
        iat: now,
        jti: "0123456789abcdef".into(),
    };
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let token =
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(&secret)).expect("a token");
    let key = DecodingKey::from_secret(&secret);
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[&claims.iss]);
    let verdict = jsonwebtoken::decode::<Claims>(&token, &key, &validation);
    assert!(verdict.is_ok(), "this would time a rejection: {:?}", verdict.err());
    c.bench_function("peer/jsonwebtoken/HS256", |b| {
        b.iter(|| jsonwebtoken::decode::<Claims>(black_box(&token), &key, &validation).is_ok());
    });
}

fn settings() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = validators;
    config = settings();
    targets = none, api_key, basic, jwt, oauth2, mtls, jsonwebtoken_decode
}
criterion_main!(validators);
