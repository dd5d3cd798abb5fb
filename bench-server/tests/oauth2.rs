//! OAuth 2.0 at the resource server, over the wire: challenges, and where a token may not stand.
#![allow(missing_docs)]

mod common;

use std::time::Duration;

use bench_server::contract::{
    Algorithm, ApiKeyConfig, BasicConfig, JwtConfig, Material, MethodConfig, PasswordHash, READ_SCOPE, StoreConfig,
    TokenValidation,
};
use common::{Answer, Server, basic, oauth2};

const OPAQUE: TokenValidation = TokenValidation::Opaque { cache: None };
const SIGNED: TokenValidation = TokenValidation::Jwt { algorithm: Algorithm::ES256 };

fn token(material: &Material) -> &str {
    match material {
        Material::Bearer { token } | Material::ApiKey { key: token } => token.expose(),
        other => panic!("no token: {other:?}"),
    }
}

#[tokio::test]
async fn oa_49_without_a_token_the_challenge_names_no_error() {
    for validation in [OPAQUE, SIGNED] {
        let server = Server::start(oauth2(validation)).await;
        let Answer::Http { status: 401, challenges, .. } = server.call(&Material::None).await else { panic!("no 401") };
        assert_eq!(challenges, ["Bearer realm=\"authbench\""]);
        server.stop().await;
    }
}

#[tokio::test]
async fn oa_50_bc_068_expired_revoked_and_malformed_tokens_are_invalid() {
    for (validation, notices_revocation) in [(OPAQUE, true), (SIGNED, false)] {
        let server = Server::start(oauth2(validation)).await;
        let (expired, revoked) = (server.issue(&[READ_SCOPE], None).await, server.issue(&[READ_SCOPE], None).await);
        server.revoke(&revoked).await;
        if notices_revocation {
            server.call(&revoked.material).await.assert_challenge("Bearer", Some("invalid_token"));
        } else {
            server.call(&revoked.material).await.assert_accepted(&revoked.principal);
        }
        server.call(&expired.material).await.assert_accepted(&expired.principal);
        server.advance(Duration::from_secs(900)).await;
        server.call(&expired.material).await.assert_challenge("Bearer", Some("invalid_token"));
        for malformed in ["Bearer", "Bearer x", "Bearer a.b.c", "Bearer at_", "Bearer x y"] {
            let answer = server.call_with("/whoami", &[("authorization", malformed)]).await;
            answer.assert_challenge("Bearer", Some("invalid_token"));
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn oa_51_bc_070_a_missing_scope_is_named() {
    for validation in [OPAQUE, SIGNED] {
        let server = Server::start(oauth2(validation)).await;
        let issued = server.issue(&["write"], None).await;
        let Answer::Http { status: 403, challenges, .. } = server.call(&issued.material).await else { panic!("no 403") };
        assert_eq!(challenges, ["Bearer realm=\"authbench\", error=\"insufficient_scope\", scope=\"read\""]);
        server.stop().await;
    }
}

/// Of every method that takes a secret in a field: wherever else it stands, it may have been written down on the way.
#[tokio::test]
async fn oa_52_bc_071_a_token_in_the_query_or_in_a_form_is_a_bad_request() {
    let methods = [
        oauth2(OPAQUE),
        oauth2(SIGNED),
        MethodConfig::Jwt(JwtConfig::new(Algorithm::ES256)),
        MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory)),
    ];
    for method in methods {
        let server = Server::start(method).await;
        let issued = server.issue(&[READ_SCOPE], None).await;
        let token = token(&issued.material);
        let bearer = format!("Bearer {token}");
        let client = server.client().build().expect("a client");
        let post = async |media_type: &str, body: String, beside: bool| {
            let mut request = client.post(server.whoami()).header("content-type", media_type).body(body);
            if beside {
                request = request.header("authorization", &bearer);
            }
            let answer = request.send().await.expect("an answer");
            let challenge = answer.headers().get("www-authenticate").map(|value| value.to_str().expect("text").to_owned());
            (answer.status().as_u16(), challenge, answer.text().await.expect("a text"))
        };
        let form = "application/x-www-form-urlencoded";
        let before = server.counters().await;
        for beside in [false, true] {
            for body in [format!("access_token={token}"), format!("a=b&ACCESS%5Ftoken={token}"), format!("api_key={token}")] {
                for media_type in [form, "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
                    let (status, challenge, text) = post(media_type, body.clone(), beside).await;
                    assert_eq!(status, 400, "{body} {beside}");
                    assert!(challenge.expect("one").contains("error=\"invalid_request\""));
                    assert!(!text.contains(token), "{text}");
                }
            }
            for name in ["access_token", "api_key"] {
                let fields = [("authorization", bearer.as_str())];
                let fields = if beside { &fields[..] } else { &[] };
                let answer = server.call_with(&format!("/whoami?{name}={token}"), fields).await;
                assert_eq!(answer.status(), Some(400), "{name}");
            }
        }
        let cost = server.counters().await.since(&before);
        assert_eq!((cost.store_lookups, cost.verify_calls), (0, 0), "nobody looked at them");
        // Other forms, and other bodies, are none of our business: the route has no POST.
        assert_eq!(post(form, "a=b".to_owned(), true).await.0, 405);
        assert_eq!(post("application/json", format!("{{\"access_token\":\"{token}\"}}"), true).await.0, 405);
        assert_eq!(post(form, "a=b".to_owned(), false).await.0, 401);
        server.stop().await;
    }
    let server = Server::start(MethodConfig::Basic(BasicConfig::new(PasswordHash::Pbkdf2Sha256 { iterations: 2 }))).await;
    let client = server.client().build().expect("a client");
    let request = client.post(server.whoami()).header("authorization", basic("anna", "x"));
    let answer = request.form(&[("access_token", "x")]).send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
    server.stop().await;
}
