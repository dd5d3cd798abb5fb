//! Clients that sign instead of sending a secret (RFC 7523).

use serde_json::{Value, json};

use super::super::*;
use super::fixture::*;
use crate::config::Algorithm;
use crate::contract::ClientSecretMethod;
use crate::credential::jws::SigningKey;

const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Signing {
    fixture: Fixture,
    key: SigningKey,
    client: RegisteredClient,
}

impl Signing {
    fn new(algorithm: Algorithm) -> Self {
        let (fixture, key) = (Fixture::new(), SigningKey::generate(algorithm).unwrap());
        let client = register(&fixture, &key);
        Self { fixture, key, client }
    }

    fn claims(&self) -> Value {
        let (id, now) = (&self.client.client_id, self.fixture.clock.now().as_secs());
        let jti = format!("{:032x}", rand::random::<u128>());
        json!({ "iss": id, "sub": id, "aud": ISSUER, "jti": jti, "iat": now, "exp": now + 60 })
    }

    /// A good assertion; `changes` replace claims, or drop them when null.
    fn assertion(&self, changes: &[(&str, Value)]) -> String {
        let mut claims = self.claims();
        for (name, value) in changes {
            claims[*name] = value.clone();
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(*name);
            }
        }
        self.key.sign("JWT", &claims).unwrap()
    }

    async fn present(&self, assertion: &str, more: &[(&str, &str)]) -> Answer {
        let form =
            [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", assertion)];
        self.fixture.post("/token", None, &[&form[..], more].concat()).await
    }

    async fn is_refused(&self, assertion: &str) -> bool {
        self.present(assertion, &[]).await.error() == (401, "invalid_client".to_owned())
    }
}

fn register(fixture: &Fixture, key: &SigningKey) -> RegisteredClient {
    let registration = ClientRegistration {
        grant_types: vec!["client_credentials".to_owned()],
        redirect_uris: Vec::new(),
        token_endpoint_auth_method: Some(ClientSecretMethod::PrivateKeyJwt),
        jwks: Some(json!({ "keys": [key.jwk().unwrap()] })),
        ..registration("signing")
    };
    fixture.server.register_client(&registration).unwrap()
}

#[tokio::test]
async fn oa_21_a_client_signs_with_any_algorithm_and_at_every_endpoint() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA, Algorithm::ES384, Algorithm::PS256, Algorithm::RS256] {
        let signing = Signing::new(algorithm);
        assert_eq!(signing.client.client_secret, None, "there is no secret");
        let answer = signing.present(&signing.assertion(&[]), &[("client_id", &signing.client.client_id)]).await;
        let token = answer.text("access_token");
        assert!(signing.fixture.is_active(&token).await, "{algorithm:?}");
        let revoke = [("token", token.as_str()), ("client_assertion_type", TYPE)];
        let assertion = signing.assertion(&[]);
        let form = [&revoke[..], &[("client_assertion", assertion.as_str())]].concat();
        assert_eq!(signing.fixture.post("/revoke", None, &form).await.status, 200);
        assert!(!signing.fixture.is_active(&token).await);
    }
    let metadata = Fixture::new().get(WELL_KNOWN).await.json();
    for endpoint in ["token", "introspection", "revocation"] {
        let methods = metadata[format!("{endpoint}_endpoint_auth_methods_supported")].as_array().unwrap();
        assert!(methods.contains(&"private_key_jwt".into()), "{endpoint}");
        let algorithms = &metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
        assert_eq!(algorithms, &json!(["ES256", "EdDSA", "ES384", "PS256", "RS256"]));
    }
}

#[tokio::test]
async fn oa_21_each_claim_of_an_assertion_is_checked() {
    let signing = Signing::new(Algorithm::EdDSA);
    let now = signing.fixture.clock.now().as_secs();
    assert_eq!(signing.present(&signing.assertion(&[]), &[]).await.status, 200);
    let other = signing.fixture.app.client_id.as_str();
    let token_endpoint = format!("{ISSUER}/token");
    for (name, value) in [
        ("iss", json!(other)),
        ("iss", Value::Null),
        ("sub", Value::Null),
        ("sub", json!("nobody")),
        ("aud", Value::Null),
        ("aud", json!("https://elsewhere.test")),
        ("aud", json!(token_endpoint)),
        ("aud", json!([ISSUER])),
        ("jti", Value::Null),
        ("jti", json!("")),
        ("jti", json!("x".repeat(256))),
        ("exp", Value::Null),
        ("exp", json!(now - 31)),
        ("exp", json!(now + 600)),
        ("exp", json!("soon")),
        ("iat", json!(now + 60)),
        ("nbf", json!(now + 60)),
    ] {
        assert!(signing.is_refused(&signing.assertion(&[(name, value.clone())])).await, "{name} {value}");
        // Failures are braked; with the next success they are over.
        assert_eq!(signing.present(&signing.assertion(&[]), &[]).await.status, 200, "{name} {value}");
    }
}

#[tokio::test]
async fn oa_21_an_assertion_is_good_once_and_for_one_client() {
    let signing = Signing::new(Algorithm::ES256);
    let assertion = signing.assertion(&[]);
    assert_eq!(signing.present(&assertion, &[]).await.status, 200);
    assert!(signing.is_refused(&assertion).await, "replayed");
    signing.fixture.advance(80);
    assert!(signing.is_refused(&assertion).await, "for as long as it could be accepted");

    // Another client's key, and its own.
    let foreign = SigningKey::generate(Algorithm::ES256).unwrap();
    let other = register(&signing.fixture, &foreign);
    assert!(signing.is_refused(&foreign.sign("JWT", &signing.claims()).unwrap()).await);
    let mut claims = signing.claims();
    claims["iss"] = other.client_id.as_str().into();
    claims["sub"] = other.client_id.as_str().into();
    assert!(signing.is_refused(&signing.key.sign("JWT", &claims).unwrap()).await);
    assert_eq!(signing.present(&foreign.sign("JWT", &claims).unwrap(), &[]).await.status, 200);
}

#[tokio::test]
async fn oa_21_oa_54_what_is_no_assertion() {
    let signing = Signing::new(Algorithm::ES256);
    for typ in ["at+jwt", "dpop+jwt", "logout+jwt"] {
        assert!(signing.is_refused(&signing.key.sign(typ, &signing.claims()).unwrap()).await, "{typ}");
    }
    let typed = signing.key.sign("client-authentication+jwt", &signing.claims()).unwrap();
    assert_eq!(signing.present(&typed, &[]).await.status, 200);
    let claims = signing.claims().to_string();
    for header in
        [r#"{"alg":"none"}"#, r#"{"alg":"HS256"}"#, r#"{"alg":"EdDSA"}"#, r#"{"alg":"ES256","crit":["x"],"x":1}"#]
    {
        let unsigned = signing.key.sign_as_it_is(header.as_bytes(), claims.as_bytes());
        assert!(signing.is_refused(&unsigned).await, "{header}");
    }
    for garbage in ["x", "a.b.c", "...", "e30.e30.e30"] {
        assert!(signing.is_refused(garbage).await, "{garbage}");
    }
    // A client that signs sends no secret, and one that sends a secret cannot sign.
    let with_secret =
        RegisteredClient { client_secret: Some(crate::contract::Secret::new("x")), ..signing.client.clone() };
    let answer = signing.fixture.token(&with_secret, &[("grant_type", "client_credentials")]).await;
    assert_eq!(answer.error(), (401, "invalid_client".to_owned()));
    let nothing = RegisteredClient { client_secret: None, ..signing.client.clone() };
    let answer = signing.fixture.token(&nothing, &[("grant_type", "client_credentials")]).await;
    assert_eq!(answer.error(), (401, "invalid_client".to_owned()));
    let app = signing.fixture.app.client_id.as_str();
    let of_app = signing.assertion(&[("iss", app.into()), ("sub", app.into())]);
    assert!(signing.is_refused(&of_app).await);
}

#[tokio::test]
async fn oa_22_an_assertion_and_a_secret_are_one_too_many() {
    let signing = Signing::new(Algorithm::EdDSA);
    let invalid = (400, "invalid_request".to_owned());
    let assertion = signing.assertion(&[]);
    for more in [("client_secret", "x"), ("client_id", "another")] {
        assert_eq!(signing.present(&assertion, &[more]).await.error(), invalid, "{more:?}");
    }
    let form =
        [("grant_type", "client_credentials"), ("client_assertion_type", TYPE), ("client_assertion", &assertion)];
    assert_eq!(signing.fixture.token(&signing.fixture.app, &form).await.error(), invalid);
    for kind in [None, Some("urn:ietf:params:oauth:client-assertion-type:saml2-bearer")] {
        let mut form = vec![("grant_type", "client_credentials"), ("client_assertion", assertion.as_str())];
        form.extend(kind.map(|kind| ("client_assertion_type", kind)));
        assert_eq!(signing.fixture.post("/token", None, &form).await.error(), invalid, "{kind:?}");
    }
    assert_eq!(signing.present(&assertion, &[]).await.status, 200, "none of it used the assertion up");
}
