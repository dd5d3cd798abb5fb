//! What holds for the one call of every method.

use http::HeaderValue;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::*;
use crate::clock::READINGS;
use crate::config::{
    Algorithm, ApiKeyConfig, BasicConfig, CacheConfig, DenyListConfig, JwtConfig, MtlsConfig, PasswordHash, StoreConfig,
};
use crate::credential::x509::ClientIdentity;
use crate::mutated::{Mutator, TRIES};
use crate::testing::{Bench, connection};

const HOUR: Duration = Duration::from_secs(3600);

/// What presents a credential: scheme and credential.
fn presented(issued: &Issued) -> (&'static str, String) {
    use base64::Engine as _;
    match &issued.material {
        Material::ApiKey { key } => ("Bearer", key.expose().to_owned()),
        Material::Bearer { token } => ("Bearer", token.expose().to_owned()),
        Material::Password { username, password } => {
            let pair = format!("{username}:{}", password.expose());
            ("Basic", base64::prelude::BASE64_STANDARD.encode(pair))
        }
        other => panic!("not presented in a field: {other:?}"),
    }
}

fn value(scheme: &str, credential: &str) -> HeaderValue {
    HeaderValue::try_from(format!("{scheme} {credential}")).expect("a field value")
}

fn password(cache: Option<CacheConfig>) -> MethodConfig {
    MethodConfig::Basic(BasicConfig { cache, ..BasicConfig::new(PasswordHash::Pbkdf2Sha256 { iterations: 2 }) })
}

#[tokio::test]
async fn xc_17_a_request_is_judged_by_the_time_that_it_came_with() {
    let cache = Some(CacheConfig::new(Duration::from_secs(60)));
    for method in [
        MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Sqlite)),
        MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(StoreConfig::Memory) }),
        password(None),
        password(cache),
        MethodConfig::Jwt(JwtConfig::new(Algorithm::EdDSA)),
        MethodConfig::Jwt(JwtConfig {
            cache,
            denylist: Some(DenyListConfig::new(HOUR)),
            ..JwtConfig::new(Algorithm::EdDSA)
        }),
    ] {
        let bench = Bench::new(method.clone()).await;
        let (scheme, credential) = presented(&bench.issue().await);
        let (now, before) = (bench.now(), READINGS.get());
        for _ in 0..3 {
            assert!(bench.present(value(scheme, &credential), now).await.is_ok(), "{method:?}");
            assert!(bench.present(value(scheme, "x.y.z"), now).await.is_err(), "{method:?}");
        }
        assert_eq!(READINGS.get(), before, "{method:?} reads a clock of its own");
    }
    let bench = Bench::new(MethodConfig::Mtls(MtlsConfig::new(HOUR))).await;
    let Material::Certificate { chain_pem, .. } = bench.issue().await.material else { panic!("not a certificate") };
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).expect("PEM");
    let identity = ClientIdentity::from_der(&leaf).expect("an identity");
    let (now, end) = (bench.now(), identity.not_after);
    let connection = connection(Some(Arc::new(identity)));
    let before = READINGS.get();
    assert!(bench.send(None, &connection, now).await.is_ok());
    let over = UnixTime(end.0 + Duration::from_secs(1));
    assert_eq!(bench.send(None, &connection, over).await, Err(Rejection::Invalid(Cause::Expired)));
    assert_eq!(READINGS.get(), before);
}

/// Many changed credentials: none accepted, none that breaks anything.
async fn withstands(method: MethodConfig) {
    let bench = Bench::new(method).await;
    let (scheme, credential) = presented(&bench.issue().await);
    let good = value(scheme, &credential);
    // The same under another spelling (RFC 9110 §11.1, §11.4) is no other credential.
    let is_good = |bytes: &[u8]| {
        let text = str::from_utf8(bytes).ok().and_then(|text| text.split_once(' '));
        text.is_some_and(|(used, rest)| used.eq_ignore_ascii_case(scheme) && rest.trim_matches(' ') == credential)
    };
    let (now, mut mutator) = (bench.now(), Mutator::new(24));
    let mut tried = 0;
    while tried < TRIES {
        let bytes = mutator.damage(good.as_bytes(), &[]);
        // What HTTP does not carry comes to nobody.
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { continue };
        tried += 1;
        match bench.present(value, now).await {
            Ok(_) => assert!(is_good(&bytes), "accepted: {}", String::from_utf8_lossy(&bytes)),
            Err(Rejection::Missing | Rejection::Invalid(_)) => {}
            Err(other) => panic!("{other:?}: {}", String::from_utf8_lossy(&bytes)),
        }
    }
    assert!(bench.present(good, now).await.is_ok(), "it works as before");
}

#[tokio::test]
async fn xc_24_a_hundred_thousand_changed_keys() {
    withstands(MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))).await;
}

#[tokio::test]
async fn xc_24_a_hundred_thousand_changed_passwords() {
    withstands(password(None)).await;
}

#[tokio::test]
async fn xc_24_a_hundred_thousand_changed_tokens() {
    withstands(MethodConfig::Jwt(JwtConfig::new(Algorithm::HS256))).await;
}
