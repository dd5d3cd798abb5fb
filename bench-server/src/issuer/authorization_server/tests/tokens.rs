//! Token, introspection and revocation endpoints.

use std::sync::Barrier;

use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};

use super::super::*;
use super::fixture::*;
use crate::config::{AUDIENCE, Algorithm};

fn refused(error: &str) -> (u16, String) {
    (400, error.to_owned())
}

#[tokio::test]
async fn oa_14_oa_39_a_code_becomes_tokens() {
    let fixture = Fixture::new();
    let code = fixture.code(&fixture.app).await;
    let answer = fixture.redeem(&fixture.app, &code).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    let body = answer.json();
    assert_eq!((&body["token_type"], &body["expires_in"]), (&"Bearer".into(), &900.into()));
    assert_eq!(body["scope"], "read write");
    let introspected = fixture.introspect(&answer.text("access_token")).await;
    assert_eq!(introspected["sub"], "alice");
    assert_eq!(introspected["aud"], AUDIENCE);
    assert_eq!(introspected["iss"], ISSUER);
    assert_eq!(introspected["client_id"], fixture.app.client_id.as_str());
    assert_eq!(introspected["scope"], "read write");
    assert_eq!(introspected["token_type"], "Bearer");
    assert_eq!(introspected["exp"].as_u64().unwrap() - introspected["iat"].as_u64().unwrap(), 900);
    assert!(introspected["jti"].as_str().unwrap().len() >= 22);
}

/// The profile of RFC 9068: type, and all the claims that a resource server asks for.
#[tokio::test]
async fn oa_53_a_jwt_access_token_has_the_type_and_the_claims_of_its_profile() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let access_token = AccessTokenFormat::Jwt { algorithm: Algorithm::EdDSA };
    let fixture = Fixture::with(&AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() });
    let (of_user, _) = fixture.code_tokens(&fixture.app).await;
    let of_client = fixture.client_token(&fixture.app).await;
    let subject = format!("client:{}", fixture.app.client_id);
    let mut identifiers = std::collections::BTreeSet::new();
    for (token, subject) in [(of_user, "alice"), (of_client, subject.as_str())] {
        let part = |index: usize| -> serde_json::Value {
            let part = token.split('.').nth(index).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let (header, claims) = (part(0), part(1));
        assert_eq!((&header["typ"], &header["alg"]), (&"at+jwt".into(), &"EdDSA".into()));
        assert_eq!(header["kid"], fixture.get("/jwks").await.json()["keys"][0]["kid"]);
        assert_eq!(claims["iss"], ISSUER);
        assert_eq!((&claims["aud"], &claims["sub"]), (&AUDIENCE.into(), &subject.into()));
        assert_eq!(claims["client_id"], fixture.app.client_id.as_str());
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 900);
        assert!(identifiers.insert(claims["jti"].as_str().unwrap().to_owned()), "each has its own");
        assert_eq!(claims["scope"], "read write");
    }
}

#[tokio::test]
async fn oa_21_a_public_client_redeems_with_its_verifier_alone() {
    let fixture = Fixture::new();
    let (access, refresh) = fixture.code_tokens(&fixture.public).await;
    assert!(fixture.is_active(&access).await);
    assert_eq!(fixture.refresh(&fixture.public, &refresh).await.status, 200);
}

#[tokio::test]
async fn oa_16_bc_049_a_replayed_code_kills_what_the_first_use_gave() {
    let fixture = Fixture::new();
    let code = fixture.code(&fixture.app).await;
    let first = fixture.redeem(&fixture.app, &code).await;
    let (access, refresh) = (first.text("access_token"), first.text("refresh_token"));
    fixture.advance(61); // also when the code would have expired meanwhile
    assert!(fixture.is_active(&access).await);
    assert_eq!(fixture.redeem(&fixture.app, &code).await.error(), refused("invalid_grant"));
    assert!(!fixture.is_active(&access).await);
    assert_eq!(fixture.refresh(&fixture.app, &refresh).await.error(), refused("invalid_grant"));
}

#[tokio::test]
async fn oa_16_a_code_is_remembered_for_as_long_as_a_token_of_it_may_live() {
    let fixture = Fixture::new();
    let day = 86_400;
    let code = fixture.code(&fixture.app).await;
    let first = fixture.redeem(&fixture.app, &code).await;
    let (mut access, mut refresh) = (first.text("access_token"), first.text("refresh_token"));
    for _ in 0..2 {
        fixture.advance(13 * day);
        let answer = fixture.refresh(&fixture.app, &refresh).await;
        (access, refresh) = (answer.text("access_token"), answer.text("refresh_token"));
    }
    assert!(fixture.is_active(&access).await);
    assert_eq!(fixture.redeem(&fixture.app, &code).await.error(), refused("invalid_grant"));
    assert!(!fixture.is_active(&access).await, "weeks after the code was used");
    assert_eq!(fixture.refresh(&fixture.app, &refresh).await.error(), refused("invalid_grant"));

    // Without refresh tokens that is over with the access token.
    let grant_types = vec!["authorization_code".to_owned()];
    let registration = ClientRegistration { grant_types, ..registration("without refresh") };
    let client = fixture.server.register_client(&registration).unwrap();
    let code = fixture.code(&client).await;
    let access = fixture.redeem(&client, &code).await.text("access_token");
    fixture.advance(890);
    assert!(fixture.is_active(&access).await);
    assert_eq!(fixture.redeem(&client, &code).await.error(), refused("invalid_grant"));
    assert!(!fixture.is_active(&access).await, "later than any code may live");
}

#[tokio::test]
async fn oa_16_codes_are_forgotten_when_their_tokens_have_expired() {
    let fixture = Fixture::new();
    let grant_types = vec!["authorization_code".to_owned()];
    let registration = ClientRegistration { grant_types, ..registration("without refresh") };
    let client = fixture.server.register_client(&registration).unwrap();
    let code = fixture.code(&client).await;
    fixture.redeem(&client, &code).await;
    let held = fixture.server.tokens.codes_held();
    fixture.advance(901);
    fixture.code(&client).await;
    assert_eq!((held, fixture.server.tokens.codes_held()), (1, 1));
}

#[tokio::test]
async fn oa_15_bc_053_a_code_lives_for_its_lifetime() {
    let fixture = Fixture::new();
    let (early, late) = (fixture.code(&fixture.app).await, fixture.code(&fixture.app).await);
    fixture.advance(50);
    assert_eq!(fixture.redeem(&fixture.app, &early).await.status, 200);
    fixture.advance(10);
    assert_eq!(fixture.redeem(&fixture.app, &late).await.error(), refused("invalid_grant"));
}

#[tokio::test]
async fn oa_18_oa_19_bc_050_bc_051_bc_052_a_code_is_bound_to_verifier_redirect_and_client() {
    let fixture = Fixture::new();
    let challenge = query(&fixture.app, &[]);
    let challenge = challenge.split("code_challenge=").nth(1).unwrap().split('&').next().unwrap();
    let (short, long) = ("a".repeat(42), "a".repeat(129));
    let wrong = "b".repeat(43);
    let changes = [
        ("code_verifier", wrong.as_str()),
        ("code_verifier", challenge),
        ("code_verifier", &short),
        ("code_verifier", &long),
        ("code_verifier", "correct horse battery staple 0123456789 abcd"),
        ("redirect_uri", "https://app.test/other"),
        ("redirect_uri", ""),
    ];
    for (name, value) in changes {
        let code = fixture.code(&fixture.app).await;
        let form = redemption(&code).map(|(n, v)| if n == name { (n, value) } else { (n, v) });
        assert_eq!(fixture.token(&fixture.app, &form).await.error(), refused("invalid_grant"), "{name} {value}");
        assert_eq!(fixture.redeem(&fixture.app, &code).await.error(), refused("invalid_grant"), "burnt");
    }
    let code = fixture.code(&fixture.app).await;
    assert_eq!(fixture.redeem(&fixture.other, &code).await.error(), refused("invalid_grant"));
    let form: Vec<_> = redemption(&code).into_iter().filter(|(name, _)| *name != "code_verifier").collect();
    assert_eq!(fixture.token(&fixture.app, &form).await.error(), refused("invalid_request"));
    assert_eq!(fixture.redeem(&fixture.app, &code).await.status, 200, "neither burns the code");
}

/// Runs `attempt` on two threads at the same moment and counts the successes.
fn race(fixture: &Fixture, attempt: impl AsyncFn(&Fixture) -> bool + Sync) -> usize {
    let barrier = Barrier::new(2);
    let one = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        barrier.wait();
        runtime.block_on(attempt(fixture))
    };
    std::thread::scope(|scope| {
        let threads = [scope.spawn(one), scope.spawn(one)];
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|won| *won).count()
    })
}

#[tokio::test]
async fn oa_17_of_two_redemptions_at_once_one_wins() {
    let fixture = Fixture::new();
    let mut browser = Browser::new(&fixture);
    let query = query(&fixture.app, &[]);
    browser.sign_in(&query).await;
    for round in 0..1000 {
        let redirect = browser.decide(&query, &[("decision", "allow"), ("scope", "read")]).await.redirect();
        let code = &redirect["code"];
        let won = race(&fixture, async |fixture| fixture.redeem(&fixture.app, code).await.status == 200);
        assert_eq!(won, 1, "round {round}");
    }
}

#[tokio::test]
async fn oa_30_of_two_refreshes_at_once_one_wins() {
    let fixture = Fixture::new();
    let mut browser = Browser::new(&fixture);
    let query = query(&fixture.app, &[]);
    browser.sign_in(&query).await;
    for round in 0..100 {
        let redirect = browser.decide(&query, &[("decision", "allow"), ("scope", "read")]).await.redirect();
        let refresh = fixture.redeem(&fixture.app, &redirect["code"]).await.text("refresh_token");
        let won = race(&fixture, async |fixture| fixture.refresh(&fixture.app, &refresh).await.status == 200);
        assert_eq!(won, 1, "round {round}");
    }
}

#[tokio::test]
async fn oa_25_client_credentials_have_a_subject_of_their_own_and_no_refresh_token() {
    let fixture = Fixture::new();
    let answer = fixture.token(&fixture.app, &[("grant_type", "client_credentials"), ("scope", "read")]).await;
    assert_eq!(answer.text("scope"), "read");
    assert_eq!(answer.json().get("refresh_token"), None);
    let introspected = fixture.introspect(&answer.text("access_token")).await;
    assert_eq!(introspected["sub"], format!("client:{}", fixture.app.client_id));
}

#[tokio::test]
async fn a_client_may_have_shorter_tokens() {
    let fixture = Fixture::new();
    let lifetime = Some(Duration::from_secs(60));
    let registration = ClientRegistration { access_token_lifetime: lifetime, ..registration("short") };
    let client = fixture.server.register_client(&registration).unwrap();
    let answer = fixture.token(&client, &[("grant_type", "client_credentials")]).await;
    assert_eq!(answer.json()["expires_in"], 60);
    let token = answer.text("access_token");
    assert!(fixture.is_active(&token).await);
    fixture.advance(60);
    assert!(!fixture.is_active(&token).await);
}

#[tokio::test]
async fn oa_25_oa_26_oa_27_oa_37_bc_056_bc_057_bc_058_wrong_token_requests_are_refused() {
    let fixture = Fixture::new();
    let (app, public) = (&fixture.app, &fixture.public);
    let grant = |name| [("grant_type", name)];
    assert_eq!(fixture.token(app, &grant("password")).await.error(), refused("unsupported_grant_type"));
    assert_eq!(fixture.token(app, &grant("urn:bad")).await.error(), refused("unsupported_grant_type"));
    assert_eq!(fixture.token(app, &grant("")).await.error(), refused("invalid_request"));
    assert_eq!(fixture.token(app, &[]).await.error(), refused("invalid_request"));
    assert_eq!(fixture.token(public, &grant("client_credentials")).await.error(), refused("unauthorized_client"));
    let resource = &fixture.resource;
    assert_eq!(fixture.token(resource, &grant("client_credentials")).await.error(), refused("unauthorized_client"));
    let credentials = ("grant_type", "client_credentials");
    for (extra, error) in [
        (credentials, "invalid_request"),
        (("scope", "admin"), "invalid_scope"),
        (("scope", "read admin"), "invalid_scope"),
        (("scope", "\"read\""), "invalid_scope"),
        (("resource", "https://elsewhere.test"), "invalid_target"),
    ] {
        assert_eq!(fixture.token(app, &[credentials, extra]).await.error(), refused(error), "{extra:?}");
    }
    assert_eq!(fixture.token(app, &[("grant_type", "authorization_code")]).await.error(), refused("invalid_request"));
    assert_eq!(fixture.token(app, &[("grant_type", "refresh_token")]).await.error(), refused("invalid_request"));
}

#[tokio::test]
async fn oa_20_the_token_endpoint_takes_forms_by_post_only() {
    let fixture = Fixture::new();
    let answer = fixture.get("/token?grant_type=client_credentials").await;
    assert_eq!((answer.status.as_u16(), &answer.headers[ALLOW]), (405, &"POST".parse().unwrap()));

    let secret = fixture.app.client_secret.as_ref().unwrap().expose();
    let authorization = basic(&fixture.app.client_id, secret);
    let post = |path: &str, media_type: &str, body: &'static str| {
        let request = Request::post(path).header(CONTENT_TYPE, media_type).header(AUTHORIZATION, &authorization);
        fixture.send(request.body(Bytes::from_static(body.as_bytes())).unwrap())
    };
    let (form, json) = ("application/x-www-form-urlencoded", "application/json");
    let body = "grant_type=client_credentials";
    assert_eq!(
        post("/token", json, "{\"grant_type\":\"client_credentials\"}").await.error(),
        refused("invalid_request")
    );
    assert_eq!(post("/token?grant_type=client_credentials", form, "").await.error(), refused("invalid_request"));
    assert_eq!(post("/token?client_secret=x", form, body).await.error(), refused("invalid_request"));
    assert_eq!(post("/token", "Application/X-WWW-Form-URLencoded; charset=UTF-8", body).await.status, 200);
}

#[tokio::test]
async fn oa_22_oa_23_oa_38_bc_054_bc_055_bc_064_client_authentication_fails_with_a_challenge() {
    let fixture = Fixture::new();
    let impostor = RegisteredClient {
        client_id: fixture.app.client_id.clone(),
        client_secret: fixture.other.client_secret.clone(),
    };
    for path in ["/token", "/introspect", "/revoke"] {
        let form = [("grant_type", "client_credentials"), ("token", "x")];
        for client in [Some(&impostor), None] {
            let answer = fixture.post(path, client, &form).await;
            assert_eq!(answer.error(), (401, "invalid_client".to_owned()), "{path}");
            assert!(answer.headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic realm="));
        }
    }
    let two = [("client_secret", "x"), ("grant_type", "client_credentials")];
    assert_eq!(fixture.token(&fixture.app, &two).await.error(), refused("invalid_request"));
    let mut answer = fixture.post("/token", Some(&impostor), &[]).await;
    // The wait doubles with each failure, so that however slow this is, some attempt comes too soon.
    for _ in 0..40 {
        if answer.status == 429 {
            break;
        }
        answer = fixture.post("/token", Some(&impostor), &[]).await;
    }
    assert_eq!(answer.error(), (429, "temporarily_unavailable".to_owned()));
    assert_eq!(answer.headers["ratelimit-policy"], "\"account\";q=10;w=86400");
    assert!(answer.headers["ratelimit"].to_str().unwrap().starts_with("\"account\";r=0;t="));
    assert!(answer.headers.contains_key(RETRY_AFTER));
}

#[tokio::test]
async fn oa_28_bc_061_refresh_rotates_and_narrows() {
    let fixture = Fixture::new();
    let (access, first) = fixture.code_tokens(&fixture.app).await;
    let refresh = ("grant_type", "refresh_token");
    let wide = [refresh, ("refresh_token", &first), ("scope", "read write admin")];
    assert_eq!(fixture.token(&fixture.app, &wide).await.error(), refused("invalid_scope"));
    let narrow = [refresh, ("refresh_token", &first), ("scope", "read")];
    let answer = fixture.token(&fixture.app, &narrow).await;
    assert_eq!(answer.text("scope"), "read");
    let second = answer.text("refresh_token");
    assert_ne!(first, second);
    assert!(fixture.is_active(&access).await);
    let answer = fixture.refresh(&fixture.app, &second).await;
    assert_eq!(answer.text("scope"), "read write", "a narrower access token does not narrow the grant");
}

#[tokio::test]
async fn oa_29_oa_32_bc_059_bc_060_a_replayed_refresh_token_kills_the_family() {
    let fixture = Fixture::new();
    let (access, first) = fixture.code_tokens(&fixture.app).await;
    let answer = fixture.refresh(&fixture.app, &first).await;
    let (newer_access, second) = (answer.text("access_token"), answer.text("refresh_token"));
    assert_eq!(fixture.refresh(&fixture.other, &first).await.error(), refused("invalid_grant"));
    assert!(fixture.is_active(&newer_access).await, "another client's attempt changes nothing");
    assert_eq!(fixture.refresh(&fixture.app, &first).await.error(), refused("invalid_grant"));
    assert!(!fixture.is_active(&access).await && !fixture.is_active(&newer_access).await);
    assert_eq!(fixture.refresh(&fixture.app, &second).await.error(), refused("invalid_grant"));
}

#[tokio::test]
async fn oa_31_refresh_tokens_expire_by_disuse_and_by_age() {
    let fixture = Fixture::new();
    let day = 86_400;
    let (_, idle) = fixture.code_tokens(&fixture.app).await;
    let (_, mut used) = fixture.code_tokens(&fixture.app).await;
    for _ in 0..2 {
        fixture.advance(13 * day);
        used = fixture.refresh(&fixture.app, &used).await.text("refresh_token");
    }
    assert_eq!(fixture.refresh(&fixture.app, &idle).await.error(), refused("invalid_grant"));
    fixture.advance(4 * day - 10);
    used = fixture.refresh(&fixture.app, &used).await.text("refresh_token");
    fixture.advance(10);
    assert_eq!(fixture.refresh(&fixture.app, &used).await.error(), refused("invalid_grant"), "30 days old");
}

#[tokio::test]
async fn oa_32_oa_45_tokens_die_with_password_user_client_and_consent() {
    type Event = fn(&Fixture);
    let events: [(&str, Event); 4] = [
        ("password", |fixture| fixture.server.set_password(&user("alice", "new")).unwrap()),
        ("user", |fixture| fixture.server.disable_user("alice").unwrap()),
        ("client", |fixture| fixture.server.disable_client(&fixture.app.client_id).unwrap()),
        ("consent", |fixture| {
            assert_eq!(fixture.server.withdraw_grants("alice", &fixture.app.client_id).unwrap(), 1);
        }),
    ];
    for (name, event) in events {
        let fixture = Fixture::new();
        let (access, refresh) = fixture.code_tokens(&fixture.app).await;
        event(&fixture);
        assert!(!fixture.is_active(&access).await, "{name}");
        let answer = fixture.refresh(&fixture.app, &refresh).await;
        assert!(!answer.status.is_success(), "{name}");
    }
}

#[tokio::test]
async fn oa_40_bc_065_introspection_tells_only_resource_servers_and_only_of_access_tokens() {
    let fixture = Fixture::new();
    let (access, refresh) = fixture.code_tokens(&fixture.app).await;
    let code = fixture.code(&fixture.app).await;
    let inactive = "{\"active\":false}";
    let ask = async |client, token: &str| fixture.post("/introspect", Some(client), &[("token", token)]).await;
    assert_eq!(ask(&fixture.other, &access).await.body, inactive);
    for token in [&refresh, &code, "garbage", &"at_".repeat(20)] {
        let answer = ask(&fixture.resource, token).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, inactive), "{token}");
    }
    assert_eq!(ask(&fixture.public, &access).await.error(), (401, "invalid_client".to_owned()));
    let answer = fixture.post("/introspect", Some(&fixture.resource), &[]).await;
    assert_eq!(answer.error(), refused("invalid_request"));
    assert!(fixture.is_active(&access).await);
    fixture.advance(900);
    assert_eq!(ask(&fixture.resource, &access).await.body, inactive);
}

#[tokio::test]
async fn oa_42_oa_43_bc_066_revocation_finds_tokens_of_either_kind_whatever_the_hint() {
    let fixture = Fixture::new();
    let revoke = async |client, token: &str, hint| {
        fixture.post("/revoke", Some(client), &[("token", token), ("token_type_hint", hint)]).await
    };
    let token = fixture.client_token(&fixture.app).await;
    assert_eq!(revoke(&fixture.other, &token, "access_token").await.error(), refused("invalid_grant"));
    assert!(fixture.is_active(&token).await, "another client's token stays");
    for _ in 0..2 {
        assert_eq!(revoke(&fixture.app, &token, "refresh_token").await.status, 200);
        assert!(!fixture.is_active(&token).await);
    }
    assert_eq!(revoke(&fixture.app, "unknown", "nonsense").await.status, 200);

    let (access, refresh) = fixture.code_tokens(&fixture.app).await;
    assert_eq!(revoke(&fixture.app, &access, "").await.status, 200);
    assert!(!fixture.is_active(&access).await);
    let renewed = fixture.refresh(&fixture.app, &refresh).await;
    assert_eq!(renewed.status, 200, "an access token dies alone");
    let (access, refresh) = (renewed.text("access_token"), renewed.text("refresh_token"));
    assert_eq!(revoke(&fixture.other, &refresh, "").await.error(), refused("invalid_grant"));
    assert!(fixture.is_active(&access).await);
    assert_eq!(revoke(&fixture.app, &refresh, "access_token").await.status, 200);
    assert!(!fixture.is_active(&access).await, "a refresh token takes its grant along");
    assert_eq!(fixture.refresh(&fixture.app, &refresh).await.error(), refused("invalid_grant"));
}

#[tokio::test]
async fn what_expired_is_forgotten() {
    let fixture = Fixture::new();
    for _ in 0..50 {
        fixture.client_token(&fixture.app).await;
    }
    assert_eq!(fixture.server.tokens.access_tokens_held(), 50);
    fixture.advance(900);
    fixture.client_token(&fixture.app).await;
    assert_eq!(fixture.server.tokens.access_tokens_held(), 1);
}
