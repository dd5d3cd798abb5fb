//! What one validation costs, method by method, without a network (but for introspection, which is one).
//!
//! Every benchmark first asserts that the credential is accepted: a timed rejection is not a validation. Names are those of
//! [`MethodConfig::validator`], by which a report finds its variants' (`authbench report --criterion`).

use std::hint::black_box;
use std::time::Duration;

use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, BasicConfig, CacheConfig, DenyListConfig, JwtConfig, MethodConfig,
    MtlsConfig, OAuth2Config, PasswordHash, SignedConfig, StoreConfig, TokenValidation,
};
use benches::jws::{Floor, Peer};
use benches::{Subject, TokenIssuer, table};
use criterion::{BatchSize, Criterion, criterion_group};
use tokio::runtime::Runtime;

/// Credentials in a store, as in a scenario's pool by default.
const POPULATION: usize = 10_000;

/// A cache that no benchmark outlives.
const CACHE: CacheConfig =
    CacheConfig { ttl: Duration::from_secs(60), capacity: 100_000, follow: None, stale_if_error: None };

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Times a validation that never waits: one poll, no runtime in the way.
fn immediate(c: &mut Criterion, name: &str, subject: &Subject) {
    let verdict = subject.validate_at_once();
    assert!(verdict.is_ok(), "{name}: this would time a rejection: {verdict:?}");
    c.bench_function(name, |b| b.iter(|| black_box(subject.validate_at_once())));
}

/// Times a validation that leaves the thread: a hashing pool or another server.
fn waiting(c: &mut Criterion, name: &str, runtime: &Runtime, subject: &Subject) {
    let verdict = runtime.block_on(subject.validate());
    assert!(verdict.is_ok(), "{name}: this would time a rejection: {verdict:?}");
    c.bench_function(name, |b| b.iter(|| black_box(runtime.block_on(subject.validate()))));
}

/// What a report knows the validator by.
fn name(method: &MethodConfig) -> String {
    method.validator().expect("every validator here has a name")
}

fn subject(runtime: &Runtime, method: MethodConfig, population: usize) -> (tempfile::TempDir, Subject) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let subject = runtime.block_on(Subject::issued_here(dir.path(), method, population)).expect("a subject");
    (dir, subject)
}

fn none(c: &mut Criterion) {
    let runtime = runtime();
    let name = name(&MethodConfig::None);
    let (_dir, subject) = subject(&runtime, MethodConfig::None, 1);
    immediate(c, &name, &subject);
}

fn api_key(c: &mut Criterion) {
    let runtime = runtime();
    for (store, cache) in [(StoreConfig::Memory, None), (StoreConfig::Sqlite, None), (StoreConfig::Sqlite, Some(CACHE))]
    {
        let method = MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) });
        let name = name(&method);
        let (_dir, subject) = subject(&runtime, method, POPULATION);
        immediate(c, &name, &subject);
    }
    let method = MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory));
    let (_dir, subject) = subject(&runtime, method, 10 * POPULATION);
    immediate(c, "api-key/memory/1e5", &subject);
}

fn basic(c: &mut Criterion) {
    let runtime = runtime();
    for (hash, cache) in [
        (PasswordHash::ARGON2ID, None),
        (PasswordHash::BCRYPT, None),
        (PasswordHash::SCRYPT, None),
        (PasswordHash::PBKDF2_SHA256, None),
        (PasswordHash::ARGON2ID, Some(CACHE)),
    ] {
        let method = MethodConfig::Basic(BasicConfig { cache, ..BasicConfig::new(hash) });
        let name = name(&method);
        let (_dir, subject) = subject(&runtime, method, 1);
        waiting(c, &name, &runtime, &subject);
    }
}

fn jwt(c: &mut Criterion) {
    let runtime = runtime();
    for algorithm in Algorithm::ALL {
        let method = MethodConfig::Jwt(jwt_config(algorithm, None));
        let name = name(&method);
        let (dir, subject) = subject(&runtime, method, 1);
        let floor = Floor::of(&subject, dir.path(), algorithm).expect("a floor");
        assert!(floor.verify(), "{name}: this would time a refusal");
        immediate(c, &name, &subject);
        c.bench_function(&format!("{name}/floor"), |b| b.iter(|| black_box(floor.verify())));
        let peer = Peer::of(&subject, dir.path(), algorithm).expect("a peer");
        assert!(peer.decode(), "{name}: this would time a refusal");
        c.bench_function(&format!("{name}/jsonwebtoken"), |b| b.iter(|| black_box(peer.decode())));
    }
    let denylist = Some(DenyListConfig::new(Duration::from_secs(1)));
    let method = MethodConfig::Jwt(jwt_config(Algorithm::ES256, denylist));
    let name = name(&method);
    let (_dir, subject) = subject(&runtime, method, 1);
    immediate(c, &name, &subject);
}

fn jwt_config(algorithm: Algorithm, denylist: Option<DenyListConfig>) -> JwtConfig {
    JwtConfig { denylist, ..JwtConfig::new(algorithm) }
}

fn oauth2(c: &mut Criterion) {
    // The authorization server has threads of its own, as it would have processes of its own.
    let runtime = runtime();
    let opaque = |cache| TokenValidation::Opaque { cache };
    let jwt = TokenValidation::Jwt { algorithm: Algorithm::ES256 };
    for (format, validation) in [
        (AccessTokenFormat::Opaque, opaque(None)),
        (AccessTokenFormat::Opaque, opaque(Some(CACHE))),
        (AccessTokenFormat::Jwt { algorithm: Algorithm::ES256 }, jwt),
    ] {
        let issuer_dir = tempfile::tempdir().expect("a temporary folder");
        let resource_dir = tempfile::tempdir().expect("a temporary folder");
        let issuer = runtime.block_on(TokenIssuer::start(issuer_dir.path(), format)).expect("an issuer");
        let method = MethodConfig::OAuth2(OAuth2Config { issuer: issuer.trusted(), ..OAuth2Config::new(validation) });
        // An introspection that no cache answers is a dialogue with another server, and no variant's in-process figure.
        let name = method.validator().unwrap_or_else(|| "oauth2/opaque".to_owned());
        let subject = runtime.block_on(Subject::issued_by(resource_dir.path(), &issuer, method)).expect("a subject");
        waiting(c, &name, &runtime, &subject);
        drop(subject);
        runtime.block_on(issuer.stop());
    }
}

fn mtls(c: &mut Criterion) {
    let runtime = runtime();
    let method = MethodConfig::Mtls(MtlsConfig::new(Duration::from_secs(60)));
    let name = name(&method);
    let (_dir, subject) = subject(&runtime, method, 1);
    immediate(c, &name, &subject);
}

/// Each validation is of another request: what was validated once is a replay.
fn signed(c: &mut Criterion) {
    let runtime = runtime();
    let method = MethodConfig::Signed(SignedConfig::new(StoreConfig::Memory));
    let name = name(&method);
    let (_dir, subject) = subject(&runtime, method, POPULATION);
    let verdict = subject.validate_once(&subject.head());
    assert!(verdict.is_ok(), "{name}: this would time a rejection: {verdict:?}");
    c.bench_function(&name, |b| {
        b.iter_batched_ref(|| subject.head(), |head| black_box(subject.validate_once(head)), BatchSize::SmallInput);
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
    targets = none, api_key, basic, jwt, oauth2, mtls, signed
}

/// `cargo bench` ends with the table; `cargo bench -- table` prints nothing else.
fn main() {
    let wanted: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if wanted != ["table"] {
        validators();
        Criterion::default().configure_from_args().final_summary();
    }
    if wanted.is_empty() || wanted == ["table"] {
        table::print(&runtime()).expect("the table");
    }
}
