//! Metadata, authorization endpoint, login and consent.

use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LOCATION, REFERRER_POLICY};

use super::super::*;
use super::fixture::*;
use crate::config::{Algorithm, ClockMode, TokenExchangeConfig};

#[tokio::test]
async fn oa_1_metadata_names_the_issuer_and_only_what_exists() {
    let fixture = Fixture::new();
    let answer = fixture.get(WELL_KNOWN).await;
    let metadata = answer.json();
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(metadata["issuer"], ISSUER);
    assert_eq!(metadata["response_types_supported"], serde_json::json!(["code"]));
    assert_eq!(metadata["code_challenge_methods_supported"], serde_json::json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    assert_eq!(metadata["jwks_uri"], Value::Null, "opaque tokens need no keys");
    for (name, url) in metadata.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_endpoint")) {
        let path = url.as_str().unwrap().strip_prefix(ISSUER).unwrap();
        let request = Request::get(path).body(Bytes::new()).unwrap();
        assert!(fixture.server.handle(&request).await.is_some(), "{name}");
    }
    let request = Request::get(WELL_KNOWN).header(IF_NONE_MATCH, answer.headers[ETAG].clone());
    assert_eq!(fixture.send(request.body(Bytes::new()).unwrap()).await.status, 304);
}

#[tokio::test]
async fn oa_2_issuer_with_a_path_has_the_well_known_part_between_host_and_path() {
    let server = server("https://as.test/tenant/one", &Clock::new(ClockMode::Controlled));
    let status = async |path: &str| {
        let request = Request::get(path).body(Bytes::new()).unwrap();
        server.handle(&request).await.map(|response| response.status().as_u16())
    };
    assert_eq!(status("/.well-known/oauth-authorization-server/tenant/one").await, Some(200));
    assert_eq!(status("/.well-known/oauth-authorization-server").await, None);
    assert_eq!(status("/tenant/one/.well-known/oauth-authorization-server").await, None);
    assert_eq!(status("/tenant/one/token").await, Some(405));
    assert_eq!(status("/tenant/onetoken").await, None);
    assert_eq!(status("/token").await, None);
}

#[test]
fn unsafe_configuration_is_refused() {
    let good = AuthorizationServerConfig::default();
    let build = |config: AuthorizationServerConfig, issuer| {
        AuthorizationServer::build(&config, issuer, Clock::new(ClockMode::Controlled), Arc::default())
    };
    let signed = AccessTokenFormat::Jwt { algorithm: Algorithm::ES256 };
    let exchanging = |lifetime, of_others, access_token| AuthorizationServerConfig {
        access_token,
        access_token_lifetime: Duration::from_secs(of_others),
        token_exchange: Some(TokenExchangeConfig {
            lifetime: Duration::from_secs(lifetime),
            ..TokenExchangeConfig::new("keys")
        }),
        ..good.clone()
    };
    assert!(build(exchanging(900, 900, signed), ISSUER).is_ok());
    let cases = [
        (AuthorizationServerConfig { code_lifetime: Duration::from_secs(61), ..good.clone() }, ISSUER),
        (AuthorizationServerConfig { access_token_lifetime: Duration::ZERO, ..good.clone() }, ISSUER),
        (AuthorizationServerConfig { refresh_idle: Duration::from_secs(31 * 86_400), ..good.clone() }, ISSUER),
        (
            AuthorizationServerConfig {
                access_token: AccessTokenFormat::Jwt { algorithm: Algorithm::HS256 },
                ..good.clone()
            },
            ISSUER,
        ),
        (exchanging(900, 900, AccessTokenFormat::Opaque), ISSUER),
        (exchanging(901, 3600, signed), ISSUER),
        (exchanging(61, 60, signed), ISSUER),
        (exchanging(0, 900, signed), ISSUER),
        (good.clone(), "ftp://as.test"),
        (good.clone(), "https://as.test/?x"),
        (good.clone(), "https://as.test/#x"),
    ];
    for (config, issuer) in cases {
        assert!(matches!(build(config.clone(), issuer), Err(BuildError::Config(_))), "{config:?} {issuer}");
    }
    assert!(build(good, ISSUER).is_ok());
}

#[tokio::test]
async fn oa_3_oa_4_bc_045_bc_046_an_untrusted_redirect_is_a_page_and_never_a_redirect() {
    let fixture = Fixture::new();
    let mut queries: Vec<String> = ["https://evil.test/", "https://app.test/cb/../x", "https://app.test/cb?x", ""]
        .iter()
        .chain(&["https://app.test/cb#f", "https://app.test.evil.test/cb", "https://APP.test/cb"])
        .map(|uri| query(&fixture.app, &[("redirect_uri", uri)]))
        .collect();
    queries.push(query(&fixture.app, &[("client_id", "nobody")]));
    queries.push(query(&fixture.app, &[("client_id", "")]));
    queries.push(format!("{}&redirect_uri=https%3A%2F%2Fapp.test%2Fcb", query(&fixture.app, &[])));
    queries.push(format!("{}&x=\u{e9}", query(&fixture.app, &[])));
    queries.push(String::new());
    for query in queries {
        let answer = fixture.get(&format!("/authorize?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(!answer.headers.contains_key(LOCATION), "{query}");
    }
}

#[tokio::test]
async fn oa_5_oa_6_oa_7_oa_12_bc_047_bc_048_any_other_error_goes_to_the_client_with_state_and_iss() {
    let fixture = Fixture::new();
    let cases: [(&[(&str, &str)], &str); 12] = [
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_type", "id_token")], "unsupported_response_type"),
        (&[("response_type", "code token")], "unsupported_response_type"),
        (&[("response_type", "")], "invalid_request"),
        (&[("code_challenge", "")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("code_challenge", "+++++++++++++++++++++++++++++++++++++++++++")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("scope", "read admin")], "invalid_scope"),
        (&[("scope", "read  write")], "invalid_scope"),
        (&[("resource", "https://elsewhere.test")], "invalid_target"),
    ];
    for (changes, error) in cases {
        let redirect = fixture.get(&format!("/authorize?{}", query(&fixture.app, changes))).await.redirect();
        assert_eq!(redirect["error"], error, "{changes:?}");
        assert_eq!(redirect["state"], "a b&c=d%");
        assert_eq!(redirect["iss"], ISSUER);
        assert!(!redirect.contains_key("code"));
    }
    let repeated = format!("{}&scope=read", query(&fixture.app, &[]));
    assert_eq!(fixture.get(&format!("/authorize?{repeated}")).await.redirect()["error"], "invalid_request");
    let repeated = format!("{}&state=x", query(&fixture.app, &[]));
    let redirect = fixture.get(&format!("/authorize?{repeated}")).await.redirect();
    assert_eq!(redirect["error"], "invalid_request");
    assert!(!redirect.contains_key("state"), "which of the two?");
}

#[tokio::test]
async fn oa_8_oa_9_oa_10_oa_11_oa_12_login_and_consent_lead_to_a_code() {
    let fixture = Fixture::new();
    let mut browser = Browser::new(&fixture);
    // Unknown and empty parameters do not matter (RFC 6749 §3.1).
    let query = format!("{}&unknown=1&nonce=", query(&fixture.app, &[("resource", crate::config::AUDIENCE)]));
    let login = browser.get(&format!("/authorize?{query}")).await;
    assert_eq!(login.status, 200);
    assert!(login.body.contains("Example &lt;App&gt;"), "{}", login.body);
    let before = browser.cookie.clone();

    let consent = browser.sign_in(&query).await;
    assert_ne!(browser.cookie, before, "a login replaces the cookie");
    for shown in ["Example &lt;App&gt;", "app.test", "<code>read</code>", "<code>write</code>", "alice"] {
        assert!(consent.body.contains(shown), "{shown}: {}", consent.body);
    }
    for page in [&login, &consent] {
        let policy = page.headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{policy}");
        assert_eq!(page.headers[REFERRER_POLICY], "no-referrer");
        assert_eq!(page.headers[CACHE_CONTROL], "no-store");
        assert!(!page.body.contains("<script") && !page.body.contains("http://") && !page.body.contains("src="));
    }

    let decision = [("decision", "allow"), ("scope", "read"), ("scope", "admin")];
    let redirect = browser.decide(&query, &decision).await.redirect();
    assert_eq!((redirect["state"].as_str(), redirect["iss"].as_str()), ("a b&c=d%", ISSUER));
    let answer = fixture.redeem(&fixture.app, &redirect["code"]).await;
    assert_eq!(answer.text("scope"), "read", "a part was granted, and nothing beyond the request");
}

/// The login page leads on to what the authorization request says, which is judged anew, or to a page of our own.
#[tokio::test]
async fn oa_13_a_login_leads_nowhere_else() {
    let fixture = Fixture::new();
    let mut browser = Browser::new(&fixture);
    browser.get("/grants").await;
    let fields = [("username", "alice"), ("password", PASSWORD), ("next", "https://evil.test/")];
    let answer = browser.submit("/login?next=https%3A%2F%2Fevil.test%2F", &fields).await;
    assert_eq!(answer.status, 400, "no authorization request");
    assert!(!answer.headers.contains_key(LOCATION));
    assert_eq!(browser.submit("/login", &fields).await.location(), "/grants");
    let mut browser = Browser::new(&fixture);
    let query = query(&fixture.app, &[("next", "https://evil.test/")]);
    browser.get(&format!("/authorize?{query}")).await;
    let answer = browser.submit(&format!("/login?{query}"), &fields).await;
    assert_eq!(answer.location(), format!("/authorize?{query}"));
}

#[tokio::test]
async fn oa_8_denial_goes_to_the_client() {
    let fixture = Fixture::new();
    let mut browser = Browser::new(&fixture);
    let query = query(&fixture.app, &[]);
    browser.sign_in(&query).await;
    for fields in [[("decision", "deny"), ("scope", "read")], [("decision", "allow"), ("unrelated", "x")]] {
        let redirect = browser.decide(&query, &fields).await.redirect();
        assert_eq!((redirect["error"].as_str(), redirect["state"].as_str()), ("access_denied", "a b&c=d%"));
    }
    assert_eq!(browser.decide(&query, &[("scope", "read")]).await.status, 400);
}

#[tokio::test]
async fn xc_16_wrong_passwords_and_unknown_users_look_the_same() {
    let fixture = Fixture::new();
    let query = query(&fixture.app, &[]);
    let mut browser = Browser::new(&fixture);
    browser.get(&format!("/authorize?{query}")).await;
    let path = format!("/login?{query}");
    let wrong = browser.submit(&path, &[("username", "alice"), ("password", "x")]).await;
    let unknown = browser.submit(&path, &[("username", "bob"), ("password", "x")]).await;
    assert_eq!((wrong.status, &wrong.body), (unknown.status, &unknown.body));
    assert_eq!(wrong.status, 403);
    assert_eq!(fixture.server.meter.hash_calls.get(), 4, "the dummy, one to register, and one for either attempt");
}

#[tokio::test]
async fn xc_16_the_throttle_does_not_tell_which_users_exist() {
    let fixture = Fixture::new();
    let query = query(&fixture.app, &[]);
    let mut browser = Browser::new(&fixture);
    browser.get(&format!("/authorize?{query}")).await;
    let path = format!("/login?{query}");
    for i in 0..25 {
        let name = format!("nobody-{i}");
        browser.submit(&path, &[("username", name.as_str()), ("password", "x")]).await;
    }
    let unknown = browser.submit(&path, &[("username", "somebody"), ("password", "x")]).await;
    let known = browser.submit(&path, &[("username", "alice"), ("password", "x")]).await;
    assert_eq!((unknown.status, &unknown.body), (known.status, &known.body));
}

#[tokio::test]
async fn guessing_passwords_is_throttled() {
    let fixture = Fixture::new();
    let query = query(&fixture.app, &[]);
    let mut browser = Browser::new(&fixture);
    browser.get(&format!("/authorize?{query}")).await;
    let overlong = "x".repeat(2000); // refused without a hash, which keeps the test quick
    for _ in 0..20 {
        browser.submit(&format!("/login?{query}"), &[("username", "alice"), ("password", &overlong)]).await;
    }
    let fields = [("username", "alice"), ("password", PASSWORD)];
    let answer = browser.submit(&format!("/login?{query}"), &fields).await;
    assert_eq!(answer.status, 429);
    assert!(answer.headers.contains_key("retry-after"));
    fixture.advance(60);
    assert_eq!(browser.submit(&format!("/login?{query}"), &fields).await.status, 303);
}

#[tokio::test]
async fn oa_8_bc_067_forms_without_the_token_of_their_session_do_nothing() {
    let fixture = Fixture::new();
    let query = query(&fixture.app, &[]);
    let (mut victim, mut attacker) = (Browser::new(&fixture), Browser::new(&fixture));
    victim.sign_in(&query).await;
    attacker.get(&format!("/authorize?{query}")).await;
    for token in [String::new(), "A".repeat(43), attacker.csrf_token.clone()] {
        victim.csrf_token = token;
        for path in [format!("/consent?{query}"), format!("/login?{query}"), "/grants".to_owned()] {
            let answer = victim.submit(&path, &[("decision", "allow"), ("scope", "read")]).await;
            assert_eq!(answer.status, 403, "{path}");
            assert!(!answer.headers.contains_key(LOCATION));
        }
    }
    // Nor does a visitor who never logged in get any further with the token of the login page.
    let answer = attacker.decide(&query, &[("decision", "allow"), ("scope", "read")]).await;
    assert_eq!(answer.status, 403);
}

#[tokio::test]
async fn session_ends_after_an_hour_and_with_the_password() {
    let fixture = Fixture::new();
    let query = query(&fixture.app, &[]);
    let mut browser = Browser::new(&fixture);
    browser.sign_in(&query).await;
    fixture.advance(3600);
    assert!(browser.get(&format!("/authorize?{query}")).await.body.contains("name=\"password\""));
    browser.sign_in(&query).await;
    fixture.server.set_password(&user("alice", "looking-glass")).unwrap();
    assert!(browser.get(&format!("/authorize?{query}")).await.body.contains("name=\"password\""));
}

#[tokio::test]
async fn oa_32_oa_45_user_withdraws_a_grant() {
    let fixture = Fixture::new();
    let (access, refresh) = fixture.code_tokens(&fixture.app).await;
    let (other_access, _) = fixture.code_tokens(&fixture.other).await;
    let mut browser = Browser::new(&fixture);
    assert!(browser.get("/grants").await.body.contains("name=\"password\""));
    let answer = browser.submit("/login", &[("username", "alice"), ("password", PASSWORD)]).await;
    assert_eq!(answer.location(), "/grants");
    let page = browser.get("/grants").await;
    assert!(page.body.contains("Example &lt;App&gt;") && page.body.contains("read write"), "{}", page.body);

    let answer = browser.submit("/grants", &[("client_id", &fixture.app.client_id)]).await;
    assert_eq!(answer.status, 303);
    assert!(!fixture.is_active(&access).await);
    assert_eq!(fixture.refresh(&fixture.app, &refresh).await.error(), (400, "invalid_grant".to_owned()));
    assert!(fixture.is_active(&other_access).await);
    assert!(!browser.get("/grants").await.body.contains("Example &lt;App&gt;"));
}
