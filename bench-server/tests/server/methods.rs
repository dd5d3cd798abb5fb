//! Every method accepts its valid credentials and refuses missing, malformed, foreign, expired and revoked ones with the
//! status and challenge of the one status policy.
use std::time::Duration;

use crate::common::{Answer, Caller, STRICT, Server, basic, oauth2};
use bench_server::contract::{
    Algorithm, ApiKeyConfig, BasicConfig, DenyListConfig, JwtConfig, Material, MethodConfig, MtlsConfig, PasswordHash,
    READ_SCOPE, Secret, StoreConfig, TokenValidation,
};

/// How a method says no.
#[derive(Clone, Copy, PartialEq)]
enum Refusal {
    Bearer,
    Basic,
    Certificate,
}

struct Subject {
    name: &'static str,
    method: MethodConfig,
    refusal: Refusal,
    /// Credentials end by themselves after this time.
    lifetime: Option<Duration>,
    /// A revoked credential is refused by the next request.
    revoked_at_once: bool,
}

const MINUTE: Duration = Duration::from_secs(60);

fn api_key(store: StoreConfig) -> MethodConfig {
    MethodConfig::ApiKey(ApiKeyConfig::new(store))
}

fn password(hash: PasswordHash) -> MethodConfig {
    MethodConfig::Basic(BasicConfig { hash_queue: 64, ..BasicConfig::new(hash) })
}

fn jwt(algorithm: Algorithm, denylist: bool) -> MethodConfig {
    let denylist = denylist.then_some(DenyListConfig::new(Duration::from_millis(20)));
    MethodConfig::Jwt(JwtConfig { lifetime: MINUTE, rules: STRICT, denylist, ..JwtConfig::new(algorithm) })
}

fn introspected() -> MethodConfig {
    let config = JwtConfig { lifetime: MINUTE, rules: STRICT, introspection: true, ..JwtConfig::new(Algorithm::EdDSA) };
    MethodConfig::Jwt(config)
}

fn mtls() -> MethodConfig {
    MethodConfig::Mtls(MtlsConfig::new(Duration::from_millis(20)))
}

/// Cheap parameters: the tests are about answers, not about cost.
const ARGON2ID: PasswordHash = PasswordHash::Argon2id { memory_kib: 64, iterations: 1, parallelism: 1 };
const SCRYPT: PasswordHash = PasswordHash::Scrypt { log_n: 10, r: 8, p: 1 };
const PBKDF2: PasswordHash = PasswordHash::Pbkdf2Sha256 { iterations: 1_000 };

fn subjects() -> Vec<Subject> {
    let subject =
        |name, method, refusal, lifetime, revoked_at_once| Subject { name, method, refusal, lifetime, revoked_at_once };
    let bearer = |name, method, revoked_at_once| subject(name, method, Refusal::Bearer, Some(MINUTE), revoked_at_once);
    vec![
        bearer("api-key-memory", api_key(StoreConfig::Memory), true),
        bearer("api-key-sqlite", api_key(StoreConfig::Sqlite), true),
        subject("basic-argon2id", password(ARGON2ID), Refusal::Basic, None, true),
        subject("basic-bcrypt", password(PasswordHash::BCRYPT), Refusal::Basic, None, true),
        subject("basic-scrypt", password(SCRYPT), Refusal::Basic, None, true),
        subject("basic-pbkdf2", password(PBKDF2), Refusal::Basic, None, true),
        bearer("jwt-hs256", jwt(Algorithm::HS256, true), false),
        bearer("jwt-hs384", jwt(Algorithm::HS384, true), false),
        bearer("jwt-hs512", jwt(Algorithm::HS512, true), false),
        bearer("jwt-rs256", jwt(Algorithm::RS256, true), false),
        bearer("jwt-rs384", jwt(Algorithm::RS384, true), false),
        bearer("jwt-rs512", jwt(Algorithm::RS512, true), false),
        bearer("jwt-ps256", jwt(Algorithm::PS256, true), false),
        bearer("jwt-ps384", jwt(Algorithm::PS384, true), false),
        bearer("jwt-ps512", jwt(Algorithm::PS512, true), false),
        bearer("jwt-es256", jwt(Algorithm::ES256, true), false),
        bearer("jwt-es384", jwt(Algorithm::ES384, true), false),
        bearer("jwt-eddsa", jwt(Algorithm::EdDSA, true), false),
        subject(
            "oauth2-opaque",
            oauth2(TokenValidation::Opaque { cache: None }),
            Refusal::Bearer,
            Some(Duration::from_secs(900)),
            true,
        ),
        bearer("jwt-introspection", introspected(), true),
        subject("mtls", mtls(), Refusal::Certificate, Some(MINUTE), false),
    ]
}

/// The same credential with one character of its secret changed.
fn tampered(material: &Material) -> Material {
    let change = |secret: &Secret| {
        let text = secret.expose();
        // In the middle: the last character of a base64url signature may carry bits that nothing decodes.
        let middle = text.len() / 2;
        let other = if &text[middle..=middle] == "A" { "B" } else { "A" };
        Secret::new(format!("{}{other}{}", &text[..middle], &text[middle + 1..]))
    };
    match material {
        Material::ApiKey { key } => Material::ApiKey { key: change(key) },
        Material::Bearer { token } => Material::Bearer { token: change(token) },
        Material::Password { username, password } => {
            Material::Password { username: username.clone(), password: change(password) }
        }
        Material::None | Material::Certificate { .. } | Material::SigningKey { .. } => panic!("has no secret text"),
    }
}

impl Subject {
    #[track_caller]
    fn assert_refused(&self, answer: &Answer, alert: &str) {
        match self.refusal {
            Refusal::Bearer => answer.assert_challenge("Bearer", Some("invalid_token")),
            Refusal::Basic => answer.assert_challenge("Basic", None),
            Refusal::Certificate => answer.assert_alert(alert),
        }
    }
}

async fn for_each_method<F: Future<Output = ()>>(test: impl Fn(Subject, Server) -> F) {
    for subject in subjects() {
        eprintln!("{}", subject.name);
        let server = Server::start(subject.method.clone()).await;
        test(subject, server).await;
    }
}

#[tokio::test]
async fn valid_is_accepted_for_whom_it_was_issued() {
    for_each_method(|_, server| async move {
        let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        let answer = server.call(&issued.material).await;
        answer.assert_accepted(&issued.principal);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn ak_10_xc_1_bc_001_missing_is_challenged_without_an_error() {
    for_each_method(|subject, server| async move {
        let answer = server.call(&Material::None).await;
        match subject.refusal {
            Refusal::Bearer => answer.assert_challenge("Bearer", None),
            Refusal::Basic => answer.assert_challenge("Basic", None),
            Refusal::Certificate => answer.assert_alert("CertificateRequired"),
        }
        // The next request on the same server is judged alone.
        let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        server.call(&issued.material).await.assert_accepted(&issued.principal);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn tampered_and_malformed_are_refused() {
    for_each_method(|subject, server| async move {
        if subject.refusal == Refusal::Certificate {
            return; // a certificate has no secret text; foreign and revoked ones have tests of their own
        }
        let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        subject.assert_refused(&server.call(&tampered(&issued.material)).await, "");
        let scheme = if subject.refusal == Refusal::Basic { "Basic" } else { "Bearer" };
        for garbage in ["!!!!", "a.b.c", "====", "' OR '1'='1", "../../etc/passwd"] {
            let answer = server.call_with("/whoami", &[("authorization", &format!("{scheme} {garbage}"))]).await;
            subject.assert_refused(&answer, "");
        }
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn foreign_is_refused() {
    for_each_method(|subject, server| async move {
        let elsewhere = Server::start(subject.method.clone()).await;
        let foreign = elsewhere.issue(&[READ_SCOPE], Some(MINUTE)).await;
        elsewhere.call(&foreign.material).await.assert_accepted(&foreign.principal);
        subject.assert_refused(&server.call(&foreign.material).await, "UnknownCA");
        elsewhere.stop().await;
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn xc_17_expired_is_refused_at_its_end() {
    for_each_method(|subject, server| async move {
        let Some(lifetime) = subject.lifetime else { return };
        let issued = server.issue(&[READ_SCOPE], Some(lifetime)).await;
        server.call(&issued.material).await.assert_accepted(&issued.principal);
        // A certificate is still valid in its last second (RFC 5280 §4.1.2.5).
        let inclusive = if subject.refusal == Refusal::Certificate { 1 } else { 0 };
        server.advance(lifetime + Duration::from_secs(inclusive)).await;
        subject.assert_refused(&server.call(&issued.material).await, "CertificateExpired");
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn revoked_is_refused_and_others_are_not() {
    for_each_method(|subject, server| async move {
        let victim = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        let bystander = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        server.call(&victim.material).await.assert_accepted(&victim.principal);
        server.revoke(&victim).await;
        let mut answer = server.call(&victim.material).await;
        if !subject.revoked_at_once {
            // Deny-list and CRL are read at an interval; the credential dies within a bounded number of looks.
            // A certificate whose handshake was just before the CRL was read, and whose request was after, gets a 403.
            let on_the_way = |status| match subject.refusal {
                Refusal::Certificate => matches!(status, Some(200 | 403)),
                _ => status == Some(200),
            };
            let refused = async {
                while on_the_way(answer.status()) {
                    answer = server.call(&victim.material).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), refused).await.expect("a poll comes");
        }
        subject.assert_refused(&answer, "CertificateRevoked");
        server.call(&bystander.material).await.assert_accepted(&bystander.principal);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn rv_10_revocation_reaches_an_open_connection() {
    for_each_method(|subject, server| async move {
        let victim = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        let caller = Caller::new(&server, &victim.material);
        caller.call().await.assert_accepted(&victim.principal);
        server.revoke(&victim).await;
        let mut answer = caller.call().await;
        let refused = async {
            while answer.status() == Some(200) {
                answer = caller.call().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), refused).await.expect("a poll comes");
        match subject.refusal {
            // No challenge exists for certificates: 403 on the open connection, which then ends.
            Refusal::Certificate => {
                assert_eq!(answer.status(), Some(403), "{answer:?}");
                caller.call().await.assert_alert("CertificateRevoked");
            }
            _ => subject.assert_refused(&answer, ""),
        }
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn ak_12_xc_2_bc_030_bc_070_scope_missing_is_forbidden_not_unauthorized() {
    for_each_method(|subject, server| async move {
        if subject.refusal != Refusal::Bearer {
            return; // users and certificates are granted scopes by the server's policy
        }
        let issued = server.issue(&["write"], Some(MINUTE)).await;
        let Answer::Http { status: 403, challenges, .. } = server.call(&issued.material).await else {
            panic!("{}: not a 403", subject.name)
        };
        assert!(challenges[0].contains("error=\"insufficient_scope\"") && challenges[0].contains("scope=\"read\""));
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn xc_5_xc_6_two_credentials_or_one_in_the_url_are_a_bad_request() {
    for_each_method(|subject, server| async move {
        let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        let (Material::ApiKey { key: secret } | Material::Bearer { token: secret }) = &issued.material else {
            return;
        };
        let good = format!("Bearer {}", secret.expose());
        let repeated = [("authorization", good.as_str()), ("authorization", "Bearer x")];
        assert_eq!(server.call_with("/whoami", &repeated).await.status(), Some(400), "{}", subject.name);
        let in_url = format!("/whoami?access_token={}", secret.expose());
        assert_eq!(server.call_with(&in_url, &[]).await.status(), Some(400), "{}", subject.name);
        let beside = [("authorization", good.as_str())];
        assert_eq!(server.call_with(&in_url, &beside).await.status(), Some(400), "{}", subject.name);
        server.stop().await;
    })
    .await;
}

#[tokio::test]
async fn ak_11_xc_16_unknown_revoked_and_malformed_keys_look_the_same() {
    let server = Server::start(api_key(StoreConfig::Memory)).await;
    let elsewhere = Server::start(api_key(StoreConfig::Memory)).await;
    let unknown = elsewhere.issue(&[READ_SCOPE], None).await;
    let revoked = server.issue(&[READ_SCOPE], None).await;
    server.revoke(&revoked).await;
    let unknown = server.call(&unknown.material).await;
    assert_eq!(unknown, server.call(&revoked.material).await);
    assert_eq!(unknown, server.call(&tampered(&revoked.material)).await);
}

#[tokio::test]
async fn ak_8_bc_032_bc_033_a_key_is_carried_by_either_field_but_not_by_both() {
    let server = Server::start(api_key(StoreConfig::Memory)).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let Material::ApiKey { key } = &issued.material else { panic!("not a key: {issued:?}") };
    let bearer = format!("bEARER   {}", key.expose());
    server.call_with("/whoami", &[("authorization", &bearer)]).await.assert_accepted(&issued.principal);
    server.call_with("/whoami", &[("x-api-key", key.expose())]).await.assert_accepted(&issued.principal);
    let both = [("authorization", bearer.as_str()), ("x-api-key", key.expose())];
    assert_eq!(server.call_with("/whoami", &both).await.status(), Some(400));
    let twice = [("x-api-key", key.expose()), ("x-api-key", key.expose())];
    assert_eq!(server.call_with("/whoami", &twice).await.status(), Some(400));
}

#[tokio::test]
async fn ak_6_bc_017_a_key_with_a_wrong_checksum_costs_no_lookup() {
    let server = Server::start(api_key(StoreConfig::Sqlite)).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    server.call(&issued.material).await.assert_accepted(&issued.principal);
    let before = server.counters().await;
    server.call(&tampered(&issued.material)).await.assert_challenge("Bearer", Some("invalid_token"));
    let cost = server.counters().await.since(&before);
    assert_eq!((cost.requests, cost.store_lookups), (1, 0));
}

#[tokio::test]
async fn ba_6_ba_13_malformed_basic_credentials_cost_no_hash_but_unknown_users_do() {
    let server = Server::start(password(ARGON2ID)).await;
    let issued = server.issue(&[READ_SCOPE], None).await;
    let Material::Password { username, .. } = &issued.material else { panic!("not a password: {issued:?}") };
    let before = server.counters().await;
    for value in ["Basic", "Basic !!!!", "Basic dXNlcg==", "Basic Og==", "Basic dXNlcjo="] {
        let answer = server.call_with("/whoami", &[("authorization", value)]).await;
        answer.assert_challenge("Basic", None);
    }
    assert_eq!(server.counters().await.since(&before).hash_calls, 0);
    let unknown = server.call_with("/whoami", &[("authorization", &basic("nobody", "secret"))]).await;
    let wrong = server.call_with("/whoami", &[("authorization", &basic(username, "secret"))]).await;
    assert_eq!(unknown, wrong);
    assert_eq!(server.counters().await.since(&before).hash_calls, 2);
}

#[tokio::test]
async fn stateless_validation_reads_no_store() {
    for (method, lookups, verifications) in [
        (jwt(Algorithm::ES256, false), 0, 1),
        (jwt(Algorithm::ES256, true), 1, 1),
        (oauth2(TokenValidation::Jwt { algorithm: Algorithm::ES256 }), 0, 1),
        (oauth2(TokenValidation::Opaque { cache: None }), 1, 0),
        (api_key(StoreConfig::Memory), 1, 0),
        (api_key(StoreConfig::Sqlite), 1, 0),
        (mtls(), 0, 0),
    ] {
        let server = Server::start(method.clone()).await;
        let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
        let caller = Caller::new(&server, &issued.material);
        caller.call().await.assert_accepted(&issued.principal);
        let before = server.counters().await;
        for _ in 0..10 {
            caller.call().await.assert_accepted(&issued.principal);
        }
        let cost = server.counters().await.since(&before);
        let found = (cost.requests, cost.accepted, cost.store_lookups, cost.verify_calls);
        assert_eq!(found, (10, 10, 10 * lookups, 10 * verifications), "{method:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_stateless_token_outlives_its_revocation_until_it_expires() {
    let server = Server::start(jwt(Algorithm::ES256, false)).await;
    let issued = server.issue(&[READ_SCOPE], Some(MINUTE)).await;
    server.revoke(&issued).await;
    server.call(&issued.material).await.assert_accepted(&issued.principal);
    server.advance(MINUTE - Duration::from_secs(2)).await;
    server.call(&issued.material).await.assert_accepted(&issued.principal);
    server.advance(Duration::from_secs(2)).await;
    server.call(&issued.material).await.assert_challenge("Bearer", Some("invalid_token"));
}
