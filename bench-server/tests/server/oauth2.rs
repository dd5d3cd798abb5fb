//! OAuth 2.0 at the resource server, over the wire: challenges, and where a token may not stand.
use std::time::Duration;

use crate::common::{Answer, Server, basic, oauth2};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::contract::{
    Algorithm, ApiKeyConfig, BasicConfig, ClientRegistration, DpopConfig, JwtConfig, KeyEnvironment, Material,
    MethodConfig, OAuth2Config, PasswordHash, READ_SCOPE, StoreConfig, TokenValidation,
};
use sha2::{Digest as _, Sha256};

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
async fn la_13_a_token_counts_in_its_clients_environment_alone() {
    for validation in [OPAQUE, SIGNED] {
        for environment in [KeyEnvironment::Live, KeyEnvironment::Test] {
            let MethodConfig::OAuth2(config) = oauth2(validation.clone()) else { panic!("not a resource server") };
            let server = Server::start(MethodConfig::OAuth2(OAuth2Config { environment, ..config })).await;
            for of_client in [KeyEnvironment::Live, KeyEnvironment::Test] {
                let registration =
                    ClientRegistration { environment: of_client, ..ClientRegistration::service("x", &[READ_SCOPE]) };
                let client = server.register_client(&registration).await;
                let issued = server.token(&client, &[READ_SCOPE]).await;
                let answer = server.call(&issued.material).await;
                if of_client == environment {
                    answer.assert_accepted(&issued.principal);
                    continue;
                }
                answer.assert_challenge("Bearer", Some("invalid_token"));
                let Answer::Http { body: Some(body), .. } = &answer else { panic!("no problem: {answer:?}") };
                assert!(body["type"].as_str().is_some_and(|kind| kind.ends_with("/wrong-environment")), "{body}");
            }
            server.stop().await;
        }
    }
}

#[tokio::test]
async fn oa_51_bc_070_a_missing_scope_is_named() {
    for validation in [OPAQUE, SIGNED] {
        let server = Server::start(oauth2(validation)).await;
        let issued = server.issue(&["write"], None).await;
        let Answer::Http { status: 403, challenges, .. } = server.call(&issued.material).await else {
            panic!("no 403")
        };
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
            let challenge =
                answer.headers().get("www-authenticate").map(|value| value.to_str().expect("text").to_owned());
            (answer.status().as_u16(), challenge, answer.text().await.expect("a text"))
        };
        let form = "application/x-www-form-urlencoded";
        let before = server.counters().await;
        for beside in [false, true] {
            for body in
                [format!("access_token={token}"), format!("a=b&ACCESS%5Ftoken={token}"), format!("api_key={token}")]
            {
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
    let server =
        Server::start(MethodConfig::Basic(BasicConfig::new(PasswordHash::Pbkdf2Sha256 { iterations: 2 }))).await;
    let client = server.client().build().expect("a client");
    let request = client.post(server.whoami()).header("authorization", basic("anna", "x"));
    let answer = request.form(&[("access_token", "x")]).send().await.expect("an answer");
    assert_eq!(answer.status(), 400);
    server.stop().await;
}

/// A client with a key of its own, as any library makes it.
struct Prover {
    key: jsonwebtoken::EncodingKey,
    jwk: jsonwebtoken::jwk::Jwk,
}

impl Prover {
    fn new() -> Self {
        // Naming the only provider cannot fail for a bad reason.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let pair = rcgen::KeyPair::generate().expect("a key on P-256");
        let key = jsonwebtoken::EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).expect("PKCS #8");
        // An uncompressed point (SEC 1 §2.3.3).
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let jwk = serde_json::json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        Self { key, jwk: serde_json::from_value(jwk).expect("a JWK") }
    }

    fn proof(&self, method: &str, url: &str, token: Option<&str>, nonce: Option<&str>) -> String {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
        let jti = format!("{:032x}", rand::random::<u128>());
        let mut claims = serde_json::json!({ "jti": jti, "htm": method, "htu": url, "iat": now });
        if let Some(token) = token {
            claims["ath"] = URL_SAFE_NO_PAD.encode(Sha256::digest(token)).into();
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::ES256);
        header.typ = Some("dpop+jwt".to_owned());
        header.jwk = Some(self.jwk.clone());
        jsonwebtoken::encode(&header, &claims, &self.key).expect("signs")
    }
}

#[tokio::test]
async fn oa_33_oa_55_oa_56_oa_57_a_token_that_is_bound_to_a_key() {
    for nonce in [false, true] {
        let MethodConfig::OAuth2(bearer) = oauth2(OPAQUE) else { unreachable!() };
        let dpop = Some(DpopConfig { nonce, url: None });
        let server = Server::start(MethodConfig::OAuth2(OAuth2Config { dpop, ..bearer })).await;
        let client = server.client().build().expect("a client");
        let registration = ClientRegistration::service("bound", &[READ_SCOPE]);
        let registered = server.register_client(&registration).await;
        let secret = registered.client_secret.as_ref().expect("confidential").expose();
        let (prover, token_url) = (Prover::new(), format!("{}/token", server.url()));
        let request = client.post(&token_url).basic_auth(&registered.client_id, Some(secret));
        let request = request.header("dpop", prover.proof("POST", &token_url, None, None));
        let answer = request.form(&[("grant_type", "client_credentials")]).send().await.expect("an answer");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        assert_eq!(body["token_type"], "DPoP", "{body}");
        let token = body["access_token"].as_str().expect("a token");

        let challenge = "DPoP realm=\"authbench\", algs=\"ES256 EdDSA\"";
        let call = async |scheme: &str, proof: Option<&str>| {
            let mut request = client.get(server.whoami());
            if !scheme.is_empty() {
                request = request.header("authorization", format!("{scheme} {token}"));
            }
            if let Some(proof) = proof {
                request = request.header("dpop", proof);
            }
            let answer = request.send().await.expect("an answer");
            let told = |name: &str| answer.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
            (answer.status().as_u16(), told("www-authenticate"), told("dpop-nonce"), told("vary"))
        };
        assert_eq!(call("", None).await, (401, Some(challenge.to_owned()), None, None));
        let (status, told, ..) = call("Bearer", None).await;
        assert_eq!((status, told), (401, Some(format!("{challenge}, error=\"invalid_token\""))));
        let (status, told, ..) = call("DPoP", None).await;
        assert_eq!((status, told), (401, Some(format!("{challenge}, error=\"invalid_dpop_proof\""))));
        let mut proof = prover.proof("GET", &server.whoami(), Some(token), None);
        if nonce {
            let (status, told, demanded, _) = call("DPoP", Some(&proof)).await;
            assert_eq!((status, told), (401, Some(format!("{challenge}, error=\"use_dpop_nonce\""))));
            proof = prover.proof("GET", &server.whoami(), Some(token), Some(&demanded.expect("a nonce")));
        }
        let (status, _, _, vary) = call("DPoP", Some(&proof)).await;
        assert_eq!((status, vary.as_deref()), (200, Some("Authorization, DPoP")));
        let (status, told, ..) = call("DPoP", Some(&proof)).await;
        assert_eq!((status, told), (401, Some(format!("{challenge}, error=\"invalid_dpop_proof\""))), "replayed");
        server.stop().await;
    }
}
