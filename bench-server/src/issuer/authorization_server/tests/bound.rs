//! Tokens that are bound to a key by DPoP (RFC 9449).

use serde_json::{Value, json};

use super::super::*;
use super::fixture::*;
use crate::config::Algorithm;
use crate::credential::dpop::testing::Prover;

const URL: &str = "https://as.test:8443/token";

fn proof(fixture: &Fixture, prover: &Prover) -> String {
    prover.proof("POST", URL, fixture.clock.now(), &[])
}

async fn with_proof(fixture: &Fixture, client: &RegisteredClient, form: &[(&str, &str)], proof: &str) -> Answer {
    fixture.token_with(client, form, &[("dpop", proof)]).await
}

const CREDENTIALS: [(&str, &str); 1] = [("grant_type", "client_credentials")];

#[tokio::test]
async fn oa_33_a_proof_binds_the_token_to_its_key() {
    for access_token in [AccessTokenFormat::Opaque, AccessTokenFormat::Jwt { algorithm: Algorithm::ES256 }] {
        let fixture =
            Fixture::with(&AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() });
        let prover = Prover::new(Algorithm::ES256);
        let answer = with_proof(&fixture, &fixture.app, &CREDENTIALS, &proof(&fixture, &prover)).await;
        assert_eq!(answer.text("token_type"), "DPoP");
        let token = answer.text("access_token");
        let introspected = fixture.introspect(&token).await;
        assert_eq!(
            (&introspected["token_type"], &introspected["cnf"]),
            (&"DPoP".into(), &json!({ "jkt": prover.jkt() }))
        );
        if access_token != AccessTokenFormat::Opaque {
            use base64::Engine as _;
            let payload = token.split('.').nth(1).unwrap();
            let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
            let claims: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!(claims["cnf"], json!({ "jkt": prover.jkt() }));
        }
        let unbound = fixture.token(&fixture.app, &CREDENTIALS).await;
        assert_eq!(unbound.text("token_type"), "Bearer");
        assert_eq!(fixture.introspect(&unbound.text("access_token")).await.get("cnf"), None);
    }
    let metadata = Fixture::new().get(WELL_KNOWN).await.json();
    assert_eq!(metadata["dpop_signing_alg_values_supported"], json!(["ES256", "EdDSA"]));
}

#[tokio::test]
async fn oa_33_a_bad_proof_is_no_bearer_token_instead() {
    let fixture = Fixture::new();
    let prover = Prover::new(Algorithm::EdDSA);
    let refused = (400, "invalid_dpop_proof".to_owned());
    let now = fixture.clock.now();
    let elsewhere = prover.proof("POST", "https://as.test:8443/other", now, &[]);
    for bad in [
        "",
        "x",
        &elsewhere,
        &prover.proof("GET", URL, now, &[]),
        &prover.proof("POST", URL, now, &[("jti", Value::Null)]),
    ] {
        assert_eq!(with_proof(&fixture, &fixture.app, &CREDENTIALS, bad).await.error(), refused, "{bad}");
    }
    let good = proof(&fixture, &prover);
    let twice = [("dpop", good.as_str()), ("dpop", good.as_str())];
    assert_eq!(fixture.token_with(&fixture.app, &CREDENTIALS, &twice).await.error(), refused);
    assert_eq!(with_proof(&fixture, &fixture.app, &CREDENTIALS, &good).await.status, 200);
    assert_eq!(with_proof(&fixture, &fixture.app, &CREDENTIALS, &good).await.error(), refused, "replayed");
    fixture.advance(61);
    assert_eq!(with_proof(&fixture, &fixture.app, &CREDENTIALS, &good).await.error(), refused, "old");
    // A bad proof burns no code.
    let code = fixture.code(&fixture.app).await;
    assert_eq!(with_proof(&fixture, &fixture.app, &redemption(&code), "x").await.error(), refused);
    assert_eq!(fixture.redeem(&fixture.app, &code).await.status, 200);
}

#[tokio::test]
async fn oa_33_a_nonce_is_demanded_where_it_is_wanted() {
    let fixture =
        Fixture::with(&AuthorizationServerConfig { dpop_nonce: true, ..AuthorizationServerConfig::default() });
    let prover = Prover::new(Algorithm::ES256);
    let answer = with_proof(&fixture, &fixture.app, &CREDENTIALS, &proof(&fixture, &prover)).await;
    assert_eq!(answer.error(), (400, "use_dpop_nonce".to_owned()));
    let nonce = answer.headers["dpop-nonce"].to_str().unwrap();
    let with_nonce = prover.proof("POST", URL, fixture.clock.now(), &[("nonce", nonce.into())]);
    assert_eq!(with_proof(&fixture, &fixture.app, &CREDENTIALS, &with_nonce).await.text("token_type"), "DPoP");
    assert_eq!(fixture.token(&fixture.app, &CREDENTIALS).await.text("token_type"), "Bearer", "no proof, no nonce");
}

#[tokio::test]
async fn oa_33_the_refresh_token_of_a_public_client_is_bound_as_well() {
    let fixture = Fixture::new();
    let (prover, other) = (Prover::new(Algorithm::ES256), Prover::new(Algorithm::ES256));
    let refused = (400, "invalid_grant".to_owned());
    let code = fixture.code(&fixture.public).await;
    let first = with_proof(&fixture, &fixture.public, &redemption(&code), &proof(&fixture, &prover)).await;
    let refresh = first.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    assert_eq!(fixture.token(&fixture.public, &form).await.error(), refused);
    assert_eq!(with_proof(&fixture, &fixture.public, &form, &proof(&fixture, &other)).await.error(), refused);
    assert!(fixture.is_active(&first.text("access_token")).await, "whoever stole the token alone changes nothing");
    let next = with_proof(&fixture, &fixture.public, &form, &proof(&fixture, &prover)).await;
    assert_eq!(next.text("token_type"), "DPoP");

    // A confidential client is known by its secret, and may change its key.
    let code = fixture.code(&fixture.app).await;
    let first = with_proof(&fixture, &fixture.app, &redemption(&code), &proof(&fixture, &prover)).await;
    let refresh = first.text("refresh_token");
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    let next = with_proof(&fixture, &fixture.app, &form, &proof(&fixture, &other)).await;
    let introspected = fixture.introspect(&next.text("access_token")).await;
    assert_eq!(introspected["cnf"]["jkt"], other.jkt());
}

#[tokio::test]
async fn oa_33_a_code_may_be_bound_to_the_key_from_the_beginning() {
    let fixture = Fixture::new();
    let (prover, other) = (Prover::new(Algorithm::EdDSA), Prover::new(Algorithm::EdDSA));
    let code = async || {
        let mut browser = Browser::new(&fixture);
        let query = query(&fixture.app, &[("dpop_jkt", prover.jkt())]);
        browser.sign_in(&query).await;
        browser.decide(&query, &[("decision", "allow"), ("scope", "read")]).await.redirect()["code"].clone()
    };
    let refused = (400, "invalid_grant".to_owned());
    assert_eq!(fixture.redeem(&fixture.app, &code().await).await.error(), refused);
    let stolen = code().await;
    let answer = with_proof(&fixture, &fixture.app, &redemption(&stolen), &proof(&fixture, &other)).await;
    assert_eq!(answer.error(), refused);
    let answer = with_proof(&fixture, &fixture.app, &redemption(&code().await), &proof(&fixture, &prover)).await;
    assert_eq!(answer.text("token_type"), "DPoP");
    let bad = query(&fixture.app, &[("dpop_jkt", "short")]);
    assert_eq!(fixture.get(&format!("/authorize?{bad}")).await.redirect()["error"], "invalid_request");
}

/// A proof is not a way to authenticate.
#[tokio::test]
async fn oa_33_the_client_authenticates_all_the_same() {
    let fixture = Fixture::new();
    let prover = Prover::new(Algorithm::ES256);
    let nobody = RegisteredClient { client_id: fixture.app.client_id.clone(), client_secret: None };
    let answer = with_proof(&fixture, &nobody, &CREDENTIALS, &proof(&fixture, &prover)).await;
    assert_eq!(answer.error(), (401, "invalid_client".to_owned()));
}
