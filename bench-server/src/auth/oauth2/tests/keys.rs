//! The keys of an issuer at a resource server: fetched, kept, withdrawn, and not to be had.

use std::net::TcpListener;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::config::TokenRules;
use crate::credential::jws::SigningKey;

/// An issuer of JWTs, and a resource server that keeps its keys for ten seconds.
fn signing(jwks: JwksConfig) -> (Issuer, OAuth2) {
    let algorithm = Algorithm::EdDSA;
    let access_token = AccessTokenFormat::Jwt { algorithm };
    let issuer = Issuer::with(AuthorizationServerConfig { access_token, ..AuthorizationServerConfig::default() });
    let config = OAuth2Config { jwks, ..config(TokenValidation::Jwt { algorithm }) };
    let oauth2 = OAuth2::build(&config, &issuer.environment()).unwrap();
    (issuer, oauth2)
}

const AT_ONCE: KeyRollover = KeyRollover { standby: false, ..KeyRollover::AFTER_THEFT };
const KEPT: JwksConfig = JwksConfig {
    refresh: Duration::from_secs(10),
    cooldown: Duration::from_secs(60),
    stale_if_error: Duration::from_secs(100),
};

#[tokio::test]
async fn oa_48_bc_115_a_key_that_was_replaced_is_trusted_until_the_keys_are_fetched_again() {
    let (issuer, oauth2) = signing(KEPT);
    let old = issuer.token().await;
    assert!(issuer.call(&oauth2, &old).await.is_ok());
    issuer.server.rotate_signing_key(&AT_ONCE).unwrap();
    assert!(issuer.call(&oauth2, &old).await.is_ok(), "nobody has told");
    let new = issuer.token().await;
    assert!(issuer.call(&oauth2, &new).await.is_ok(), "an unknown key is asked about");
    assert_eq!(issuer.call(&oauth2, &old).await, invalid(Cause::UnknownKey));
    assert_eq!(issuer.meter.jwks_fetches.get(), 2);
    // The next one is not, so soon after; its tokens wait until the keys are fetched anyway.
    issuer.server.rotate_signing_key(&AT_ONCE).unwrap();
    let newest = issuer.token().await;
    assert_eq!(issuer.call(&oauth2, &newest).await, invalid(Cause::UnknownKey));
    assert_eq!(issuer.meter.jwks_fetches.get(), 2);
    issuer.advance(10);
    assert!(issuer.call(&oauth2, &newest).await.is_ok(), "they are fetched before they decide");
    assert_eq!(issuer.call(&oauth2, &new).await, invalid(Cause::UnknownKey));
}

#[tokio::test]
async fn jw_13_old_keys_bridge_an_outage_of_the_issuer_as_long_as_they_may() {
    let (issuer, oauth2) = signing(KEPT);
    let token = issuer.token().await;
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    issuer.replace("/jwks", 500, "");
    issuer.advance(109);
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    issuer.advance(1);
    assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()));
    issuer.restore();
    issuer.advance(1);
    assert!(issuer.call(&oauth2, &token).await.is_ok());

    let (issuer, oauth2) = signing(JwksConfig { stale_if_error: Duration::ZERO, ..KEPT });
    let token = issuer.token().await;
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    issuer.replace("/jwks", 500, "");
    issuer.advance(10);
    assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "not for a moment");
}

/// What listens, and should not be called.
struct Canary(TcpListener);

impl Canary {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.0.local_addr().unwrap())
    }

    #[track_caller]
    fn assert_untouched(&self) {
        assert_eq!(self.0.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody connected");
    }
}

/// The claims of a good token of an issuer.
fn claims(issuer: &Issuer) -> Value {
    let now = issuer.now().as_secs();
    json!({
        "iss": issuer.server.issuer(), "aud": AUDIENCE, "sub": "s", "client_id": "c", "jti": "j",
        "iat": now, "exp": now + 60, "scope": "read",
    })
}

/// A token by a key of the attacker's, with a header of the attacker's.
fn forged(issuer: &Issuer, key: &SigningKey, header: &Value) -> String {
    key.sign_as_it_is(header.to_string().as_bytes(), claims(issuer).to_string().as_bytes())
}

#[tokio::test]
async fn oa_48_bc_115_an_idle_server_asks_before_it_accepts_a_key_that_may_be_withdrawn() {
    let (issuer, oauth2) = signing(KEPT);
    let old = issuer.token().await;
    assert!(issuer.call(&oauth2, &old).await.is_ok());
    issuer.server.rotate_signing_key(&AT_ONCE).unwrap();
    issuer.advance(9);
    assert!(issuer.call(&oauth2, &old).await.is_ok(), "within the max-age nobody has to ask");
    issuer.advance(51);
    // The first request since then: no other one has brought the keys up to date.
    assert_eq!(issuer.call(&oauth2, &old).await, invalid(Cause::UnknownKey));
    let new = issuer.token().await;
    assert!(issuer.call(&oauth2, &new).await.is_ok());
}

#[tokio::test]
async fn oa_48_under_load_keys_are_fetched_before_they_are_too_old() {
    let (issuer, oauth2) = signing(KEPT);
    let token = issuer.token().await;
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    assert_eq!(issuer.meter.jwks_fetches.get(), 1);
    issuer.advance(7);
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    assert_eq!(issuer.meter.jwks_fetches.get(), 1, "young enough");
    issuer.advance(1);
    let fetched = async {
        while issuer.meter.jwks_fetches.get() == 1 {
            assert!(issuer.call(&oauth2, &token).await.is_ok());
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), fetched).await.expect("they are fetched beside the requests");
}

#[tokio::test]
async fn jw_13_without_any_keys_nobody_is_told_that_the_token_is_bad() {
    let (issuer, oauth2) = signing(KEPT);
    let token = issuer.token().await;
    issuer.replace("/jwks", 500, "");
    for _ in 0..2 {
        assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()));
        assert_eq!(issuer.call(&oauth2, "a.b.c").await, Err(unavailable()), "nothing is known of any token");
    }
    issuer.restore();
    issuer.advance(1);
    assert!(issuer.call(&oauth2, &token).await.is_ok());
}

#[tokio::test]
async fn jw_12_bc_088_a_thousand_unknown_keys_cause_one_fetch() {
    let (issuer, oauth2) = signing(JwksConfig { refresh: Duration::from_secs(3600), ..KEPT });
    let token = issuer.token().await;
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    let attacker = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let header = |kid: usize| json!({"typ": "at+jwt", "alg": "EdDSA", "kid": format!("{kid:08x}")});
    for round in 1..=2 {
        for n in 0..1_000 {
            let token = forged(&issuer, &attacker, &header(round * 1_000 + n));
            assert_eq!(issuer.call(&oauth2, &token).await, invalid(Cause::UnknownKey));
        }
        assert_eq!(issuer.meter.jwks_fetches.get(), 1 + round as u64, "one a minute");
        assert!(issuer.call(&oauth2, &token).await.is_ok());
        issuer.advance(60);
    }
}

#[tokio::test]
async fn jw_14_a_redirect_is_followed_nowhere() {
    let (canary, (issuer, oauth2)) = (Canary::new(), signing(KEPT));
    let token = issuer.token().await;
    for status in [301, 302, 303, 307, 308] {
        issuer.replace("/jwks", status, canary.url("jwks"));
        assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "{status}");
        issuer.advance(1);
    }
    canary.assert_untouched();
}

#[tokio::test]
async fn jw_14_a_key_set_that_is_not_in_order_is_not_taken_over() {
    let (issuer, oauth2) = signing(KEPT);
    let token = issuer.token().await;
    let kid = token.split('.').next().map(|header| URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    let kid = serde_json::from_slice::<Value>(&kid).unwrap()["kid"].clone();
    let published = issuer.get("/jwks").await;
    let own = published["keys"][0].clone();
    assert_eq!(own["kid"], kid);
    let with = |extra: Vec<Value>| {
        let mut keys = vec![own.clone()];
        keys.extend(extra);
        json!({ "keys": keys }).to_string()
    };
    let private = {
        let mut key = own.clone();
        key["kid"] = json!("other");
        key["d"] = json!("AA");
        key
    };
    let padded = format!("{}{}", " ".repeat(256 * 1024), with(vec![]));
    let bad = [
        with(vec![private]),
        with(vec![json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32])})]),
        with(vec![json!({"kty": "unknown"}); 100]),
        with(vec![own.clone()]),
        padded,
        "[]".to_owned(),
        "\u{feff}{}".to_owned(),
        String::new(),
    ];
    for body in &bad {
        issuer.replace("/jwks", 200, body);
        assert_eq!(issuer.call(&oauth2, &token).await, Err(unavailable()), "{}", &body[..body.len().min(200)]);
        issuer.advance(1);
    }
    // What is of no use to us beside what is.
    let mut for_encryption = own.clone();
    (for_encryption["kid"], for_encryption["use"]) = (json!("enc"), json!("enc"));
    let strange = json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"});
    let curve = json!({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"});
    issuer.replace("/jwks", 200, with(vec![for_encryption, strange, curve]));
    assert!(issuer.call(&oauth2, &token).await.is_ok());
    // Good keys stay when bad ones follow.
    for body in &bad {
        issuer.replace("/jwks", 200, body);
        issuer.advance(11);
        assert!(issuer.call(&oauth2, &token).await.is_ok());
    }
}

#[tokio::test]
async fn hk_6_jw_10_jw_15_bc_084_bc_085_bc_086_bc_087_no_header_makes_anybody_connect() {
    let (canary, (issuer, oauth2)) = (Canary::new(), signing(KEPT));
    assert!(issuer.call(&oauth2, &issuer.token().await).await.is_ok());
    let attacker = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let own = issuer.get("/jwks").await["keys"][0]["kid"].clone();
    let plain = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": own});
    // An unknown key is asked about once; from then on the issuer is left alone as well.
    let mut unknown = plain.clone();
    unknown["kid"] = json!("unknown");
    let verdict = issuer.call(&oauth2, &forged(&issuer, &attacker, &unknown)).await;
    assert_eq!(verdict, invalid(Cause::UnknownKey));
    let asked = || {
        let counters = issuer.meter.counters();
        (counters.outbound_connects, counters.jwks_fetches)
    };
    let before = asked();
    assert!(before.0 >= 1 && before.1 == 2, "{before:?}");
    let with = |members: &[(&str, Value)]| {
        let mut header = plain.clone();
        for (name, value) in members {
            header[*name] = value.clone();
        }
        header
    };
    let url = |path: &str| json!(canary.url(path));
    let headers = [
        with(&[("jwk", attacker.jwk().unwrap())]),
        with(&[("jwk", attacker.jwk().unwrap()), ("kid", json!(attacker.kid()))]),
        with(&[("jku", url("jwks"))]),
        with(&[("jku", url("jwks")), ("kid", json!(attacker.kid()))]),
        with(&[("x5u", url("chain.pem")), ("x5t", json!("AA"))]),
        with(&[("x5c", json!([base64::engine::general_purpose::STANDARD.encode([0x30, 0])]))]),
        with(&[("kid", url("key"))]),
        with(&[("kid", json!("../../../dev/null"))]),
        with(&[("kid", json!("' UNION SELECT 'x"))]),
        with(&[("kid", json!("k".repeat(10_000 / 2)))]),
        with(&[("kid", json!(7))]),
        with(&[("kid", json!([canary.url("key")]))]),
    ];
    for header in headers {
        let verdict = issuer.call(&oauth2, &forged(&issuer, &attacker, &header)).await;
        assert!(matches!(verdict, Err(Rejection::Invalid(_))), "{header}: {verdict:?}");
    }
    canary.assert_untouched();
    assert_eq!(asked(), before, "nobody connects to anybody");
}

/// An issuer elsewhere has its own name for this resource, and a token for that name is for nobody else.
#[tokio::test]
async fn hk_11_a_jwt_is_for_whom_its_issuer_calls_us() {
    const OURS: &str = "https://orders.elsewhere.test/";
    let (issuer, as_we_call_ourselves) = signing(KEPT);
    let key = SigningKey::generate(Algorithm::EdDSA).unwrap();
    let (jwks_file, client_secret_file) = (issuer.state.path().join("jwks.json"), issuer.state.path().join("secret"));
    fs::write(&jwks_file, json!({ "keys": [key.jwk().unwrap()] }).to_string()).unwrap();
    fs::write(&client_secret_file, "unused").unwrap();
    fs::set_permissions(&client_secret_file, fs::Permissions::from_mode(0o600)).unwrap();
    let remote = TrustedIssuer::Remote {
        issuer: issuer.server.issuer().to_owned(),
        ca_file: None,
        client_id: "unused".to_owned(),
        client_secret_file,
    };
    let build = |audience: Option<&str>| {
        let audience = audience.map(str::to_owned);
        let known = KnownIssuer { jwks_file: Some(jwks_file.clone()), audience, ..KnownIssuer::default() };
        let jwt = config(TokenValidation::Jwt { algorithm: Algorithm::EdDSA });
        let environment = Environment { authorization_server: None, ..issuer.environment() };
        OAuth2::build(&OAuth2Config { issuer: remote.clone(), known, ..jwt }, &environment).unwrap()
    };
    let token = |audience: Value| {
        let header = json!({"typ": "at+jwt", "alg": "EdDSA", "kid": key.kid()});
        let mut claims = claims(&issuer);
        claims["aud"] = audience;
        key.sign_as_it_is(header.to_string().as_bytes(), claims.to_string().as_bytes())
    };
    let (named, unnamed) = (build(Some(OURS)), build(None));
    for good in [json!(OURS), json!(["https://other.test", OURS])] {
        assert!(issuer.call(&named, &token(good.clone())).await.is_ok(), "{good}");
        assert_eq!(issuer.call(&unnamed, &token(good)).await, invalid(Cause::Claims));
    }
    for bad in [json!(AUDIENCE), json!(&OURS[..OURS.len() - 1]), json!([])] {
        assert_eq!(issuer.call(&named, &token(bad.clone())).await, invalid(Cause::Claims), "{bad}");
    }
    assert!(issuer.call(&unnamed, &token(json!(AUDIENCE))).await.is_ok());
    let theirs = issuer.call(&as_we_call_ourselves, &token(json!(AUDIENCE))).await;
    assert_eq!(theirs, invalid(Cause::UnknownKey), "of an issuer with other keys");
}

#[test]
fn jw_25_no_more_than_a_minute_of_leeway() {
    let (issuer, _) = signing(KEPT);
    let with = |leeway| {
        let rules = TokenRules { leeway: Duration::from_secs(leeway), ..TokenRules::default() };
        let validation = TokenValidation::Jwt { algorithm: Algorithm::EdDSA };
        OAuth2::build(&OAuth2Config { rules, ..config(validation) }, &issuer.environment())
    };
    assert!(with(60).is_ok());
    let Err(BuildError::Config(text)) = with(61) else { panic!("61 s of leeway are accepted") };
    assert!(text.contains("rules.leeway is 61s") && text.contains("60s"), "{text}");
}
