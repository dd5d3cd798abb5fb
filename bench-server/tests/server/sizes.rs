//! Sizes and distances that a scenario sets up: full stores, far stores, long tokens, long CRLs, keys and chains.

use std::time::Duration;

use crate::common::{Caller, Server, listener, oauth2, profile};
use base64::Engine as _;
use bench_server::contract::{
    Algorithm, ApiKeyConfig, CertificateKey, ChainLength, DenyListConfig, HttpVersion, JwtConfig, Material,
    MethodConfig, MtlsConfig, OAuth2Config, READ_SCOPE, StoreConfig, Telemetry, TokenValidation, Transport,
};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

const DELAY: Duration = Duration::from_micros(700);

/// Validation times of the server in nanoseconds since they were last taken.
async fn validation(server: &Server) -> Histogram<u64> {
    let answer = server.control_post("/telemetry/take", &()).await;
    let telemetry: Telemetry = answer.json().await.expect("telemetry");
    let bytes = base64::prelude::BASE64_STANDARD.decode(telemetry.validation).expect("base64");
    Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram")
}

#[tokio::test]
async fn validation_time_includes_the_way_to_the_store() {
    let far = |store| MethodConfig::ApiKey(ApiKeyConfig { store_delay: DELAY, ..ApiKeyConfig::new(store) });
    let MethodConfig::OAuth2(opaque) = oauth2(TokenValidation::Opaque { cache: None }) else { unreachable!("oauth2") };
    let issuer = MethodConfig::OAuth2(OAuth2Config { introspection_delay: DELAY, ..opaque });
    for method in [far(StoreConfig::Memory), far(StoreConfig::Sqlite), issuer] {
        let server = Server::start(method.clone()).await;
        let issued = server.issue(&[READ_SCOPE], None).await;
        let callers: Vec<_> = (0..4).map(|_| Caller::new(&server, &issued.material)).collect();
        for answer in futures_util::future::join_all(callers.iter().map(Caller::call)).await {
            answer.assert_accepted(&issued.principal);
        }
        let times = validation(&server).await;
        assert_eq!(times.len(), 4);
        assert!(times.min() >= u64::try_from(DELAY.as_nanos()).expect("small") * 999 / 1000, "{method:?}: {times:?}");
        assert_eq!(server.counters().await.store_lookups, 4);
        server.stop().await;
    }
}

#[tokio::test]
async fn full_stores_accept_refuse_and_revoke_like_empty_ones() {
    let poll = Duration::from_millis(20);
    let store = |store| MethodConfig::ApiKey(ApiKeyConfig { store_population: 2_000, ..ApiKeyConfig::new(store) });
    let denylist = Some(DenyListConfig { population: 2_000, ..DenyListConfig::new(poll) });
    for method in [
        store(StoreConfig::Memory),
        store(StoreConfig::Sqlite),
        MethodConfig::Jwt(JwtConfig { denylist, ..JwtConfig::new(Algorithm::ES256) }),
        MethodConfig::Mtls(MtlsConfig { crl_population: 2_000, ..MtlsConfig::new(poll) }),
    ] {
        let server = Server::start(method.clone()).await;
        let (victim, bystander) = (server.issue(&[READ_SCOPE], None).await, server.issue(&[READ_SCOPE], None).await);
        server.call(&victim.material).await.assert_accepted(&victim.principal);
        server.revoke(&victim).await;
        let noticed = async { while server.call(&victim.material).await.status() == Some(200) {} };
        tokio::time::timeout(Duration::from_secs(30), noticed).await.expect("noticed");
        // Once more: a certificate may have been revoked between its handshake and its request.
        let refused = server.call(&victim.material).await;
        match method {
            MethodConfig::Mtls(_) => refused.assert_alert("CertificateRevoked"),
            _ => refused.assert_challenge("Bearer", Some("invalid_token")),
        }
        server.call(&bystander.material).await.assert_accepted(&bystander.principal);
        server.stop().await;
    }
}

#[tokio::test]
async fn xc_7_the_longest_tokens_pass_in_both_http_versions_and_longer_headers_do_not() {
    for http in [HttpVersion::Http1, HttpVersion::Http2] {
        // The longest signature too.
        let config =
            JwtConfig { claims_bytes: Some(*JwtConfig::CLAIMS_BYTES.end()), ..JwtConfig::new(Algorithm::RS256) };
        let mut listener = listener(Transport::Tls13, http);
        listener.profiles = vec![profile(MethodConfig::Jwt(config))];
        let server = Server::start_with(vec![listener], None).await;
        let issued = server.issue(&[READ_SCOPE], None).await;
        let Material::Bearer { token } = &issued.material else { panic!("not a token") };
        assert!(token.expose().len() > 22_000);
        let client = match http {
            HttpVersion::Http1 => server.client().http1_only(),
            HttpVersion::Http2 => server.client().http2_prior_knowledge(),
        };
        let client = client.build().expect("a client");
        let present =
            async |token: &str| client.get(server.whoami()).bearer_auth(token).send().await.expect("an answer");
        for _ in 0..3 {
            let answer: serde_json::Value = present(token.expose()).await.json().await.expect("JSON");
            assert_eq!(answer["principal"], issued.principal, "{http:?}");
        }
        assert_eq!(present(&token.expose().repeat(2)).await.status(), 431, "{http:?}");
        assert_eq!(present(token.expose()).await.status(), 200, "{http:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn client_keys_and_chains_of_every_kind() {
    for (key, length) in [
        (CertificateKey::P256, ChainLength::Three),
        (CertificateKey::Rsa2048, ChainLength::Two),
        (CertificateKey::Ed25519, ChainLength::One),
    ] {
        let method = MtlsConfig { key, chain_length: length, ..MtlsConfig::new(Duration::from_secs(1)) };
        let server = Server::start(MethodConfig::Mtls(method)).await;
        let issued = server.issue(&[READ_SCOPE], None).await;
        let Material::Certificate { chain_pem, .. } = &issued.material else { panic!("not a certificate") };
        assert_eq!(chain_pem.matches("BEGIN CERTIFICATE").count(), usize::from(u8::from(length)));
        server.call(&issued.material).await.assert_accepted(&issued.principal);
        let counters = server.counters().await;
        assert_eq!((counters.handshakes_full, counters.handshakes_with_certificate), (1, 1), "{key:?}");
        server.call(&Material::None).await.assert_alert("CertificateRequired");
        server.stop().await;
    }
}
