//! JWTs whose header, claims or signature was damaged before they were encoded, opaque tokens, and key sets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{Mutator, TRIES, is_callers_fault};
use crate::auth::{Cause, Environment, Rejection};
use crate::config::{
    AUDIENCE, Algorithm, AuthorizationServerConfig, JwtConfig, MethodConfig, OAuth2Config, TokenValidation,
};
use crate::contract::{ClientRegistration, Material};
use crate::credential::jws::{KeySet, SigningKey};
use crate::issuer::authorization_server::{AuthorizationServer, opaque};
use crate::testing::{self, Bench, PROFILE};

/// What JSON, a header and claims are made of.
const PIECES: &[&str] = &[
    "\"",
    "\\",
    "\\u0061",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "null",
    "true",
    "false",
    "0",
    "-1",
    "1e400",
    "1e-400",
    "9999999999999999999999",
    "\"alg\":",
    "\"none\"",
    "\"HS256\"",
    "\"kid\":",
    "\"typ\":",
    "\"at+jwt\"",
    "\"crit\":[\"exp\"],",
    "\"b64\":false,",
    "\"zip\":\"DEF\",",
    "\"cty\":\"JWT\",",
    "\"exp\":1,",
    "\"sub\":\"admin\",",
    "\"aud\":[],",
    "\"iss\":[\"x\"],",
    "\"nbf\":\"0\",",
    "\"jku\":\"http://127.0.0.1:9\",",
    "\u{feff}",
    "\u{e4}",
    "{\"a\":{\"a\":{\"a\":",
];

fn pieces() -> Vec<&'static [u8]> {
    PIECES.iter().map(|piece| piece.as_bytes()).collect()
}

struct Issuer {
    bench: Bench,
    key: SigningKey,
    header: String,
    claims: String,
    good: String,
}

async fn issuer(algorithm: Algorithm) -> Issuer {
    let bench = Bench::new(MethodConfig::Jwt(JwtConfig::new(algorithm))).await;
    let Material::Bearer { token } = bench.issue().await.material else { panic!("not a token") };
    let good = token.expose().to_owned();
    let decoded = |part: usize| {
        let part = good.split('.').nth(part).expect("three parts");
        String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    };
    let key = SigningKey::load_or_generate(&bench.folder.path().join(PROFILE).join("signing-key"), algorithm);
    Issuer { key: key.expect("its key"), header: decoded(0), claims: decoded(1), good, bench }
}

#[tokio::test]
async fn xc_24_jw_5_damaged_parts_under_the_old_signature() {
    let Issuer { bench, header, claims, good, .. } = issuer(Algorithm::HS256).await;
    let (now, mut mutator, pieces) = (bench.now(), Mutator::new(7515), pieces());
    let signature = URL_SAFE_NO_PAD.decode(good.rsplit_once('.').expect("a signature").1).expect("base64url");
    for _ in 0..TRIES {
        let mut parts = [header.clone().into_bytes(), claims.clone().into_bytes(), signature.clone()];
        let part = mutator.below(3);
        parts[part] = match part {
            2 => mutator.damage(&parts[2], &[]),
            _ => mutator.damage(&parts[part], &pieces),
        };
        let token = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        match bench.bearer(&token, now).await.expect("base64url is carried") {
            Ok(_) => assert_eq!(token, good),
            Err(rejection) => assert!(matches!(rejection, Rejection::Invalid(_)), "{token}: {rejection:?}"),
        }
    }
    assert!(bench.bearer(&good, now).await.is_some_and(|verdict| verdict.is_ok()), "it works as before");
}

/// What an accepted token must be at least, by a reader that is not ours.
fn is_acceptable(header: &[u8], claims: &[u8], now: f64) -> bool {
    let read = |text| serde_json::from_slice::<Value>(text).ok();
    let (Some(header), Some(claims)) = (read(header), read(claims)) else { return false };
    let text = |claim: &str| claims[claim].as_str().is_some_and(|text| !text.is_empty());
    let time = |claim: &str| claims[claim].as_f64().filter(|time| *time >= 0.0);
    let typ = header["typ"].as_str().unwrap_or_default().to_ascii_lowercase();
    let audiences = claims["aud"].as_array().cloned().unwrap_or_else(|| vec![claims["aud"].clone()]);
    header["alg"] == "HS256"
        && matches!(&*typ, "at+jwt" | "application/at+jwt")
        && header.get("crit").is_none()
        && header.get("b64").is_none()
        && claims["iss"] == format!("https://issuer.authbench.test/{PROFILE}")
        && audiences.iter().any(|audience| audience == AUDIENCE)
        && audiences.iter().all(Value::is_string)
        && ["sub", "client_id", "jti"].into_iter().all(text)
        && time("exp").is_some_and(|exp| now < exp + 30.0)
        && time("iat").is_some_and(|iat| iat <= now + 30.0)
        && claims["exp"].as_f64().unwrap_or_default() - claims["iat"].as_f64().unwrap_or_default() <= 900.0
        && claims.get("nbf").is_none_or(|_| time("nbf").is_some_and(|nbf| nbf <= now + 30.0))
}

#[tokio::test]
async fn xc_24_jw_19_jw_22_jw_26_damaged_parts_that_the_issuer_signed() {
    let Issuer { bench, key, header, claims, .. } = issuer(Algorithm::HS256).await;
    let (now, mut mutator, pieces) = (bench.now(), Mutator::new(7519), pieces());
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..TRIES {
        let (mut signed_header, mut signed_claims) = (header.clone().into_bytes(), claims.clone().into_bytes());
        let part = if mutator.below(3) == 0 { &mut signed_header } else { &mut signed_claims };
        *part = mutator.damage(part, &pieces);
        let token = key.sign_as_it_is(&signed_header, &signed_claims);
        match bench.bearer(&token, now).await.expect("base64url is carried") {
            Ok(_) => {
                accepted += 1;
                let shown = || (String::from_utf8_lossy(&signed_header), String::from_utf8_lossy(&signed_claims));
                assert!(is_acceptable(&signed_header, &signed_claims, now.0.as_secs_f64()), "{:?}", shown());
            }
            Err(rejection) => {
                refused += 1;
                assert!(is_callers_fault(&rejection), "{rejection:?}");
            }
        }
    }
    assert!(accepted > 1_000 && refused > TRIES / 2, "{accepted} accepted, {refused} refused");
}

/// What is not of the form of a token is refused by the resource server, which then asks nobody; what is of the form is asked
/// about, here in the process instead of over HTTP, which would take a millisecond for each.
#[tokio::test]
async fn xc_24_damaged_opaque_tokens() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = crate::clock::Clock::new(crate::config::ClockMode::Controlled);
    let config = AuthorizationServerConfig::default();
    let server = AuthorizationServer::build(&config, "http://127.0.0.1:9", clock.clone(), Default::default());
    let server = std::sync::Arc::new(server.expect("a sound configuration"));
    let register = |registration| server.register_client(&registration).expect("registered");
    let (app, asking) =
        (register(ClientRegistration::service("app", &["read"])), register(ClientRegistration::resource_server("rs")));
    let environment = testing::environment(folder.path());
    let environment = Environment { clock, authorization_server: Some(server.clone()), ..environment };
    let method = MethodConfig::OAuth2(OAuth2Config::new(TokenValidation::Opaque { cache: None }));
    let bench = Bench::within(environment, folder, method).await;
    let post = async |path: &str, client: &crate::contract::RegisteredClient, more: &[(&str, &str)]| -> Value {
        let secret = client.client_secret.as_ref().expect("a secret").expose();
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(more.iter().copied().chain([("client_id", &*client.client_id), ("client_secret", secret)]))
            .finish();
        let request = http::Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = server.handle(&request.body(Bytes::from(form)).expect("a request")).await.expect("its path");
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(answer.body()).expect("JSON")
    };
    let issued = post("/token", &app, &[("grant_type", "client_credentials")]).await;
    let good = issued["access_token"].as_str().expect("a token").to_owned();
    let active = async |token: &str| post("/introspect", &asking, &[("token", token)]).await["active"].clone();
    assert_eq!(active(&good).await, true);
    let (now, mut mutator, mut asked) = (bench.now(), Mutator::new(7662), 0);
    for _ in 0..TRIES {
        let token = mutator.damage_text(&good, &["at_", "rt_", "ac_", "A", "-", "_", ".", "%00", "é"]);
        if opaque::is_access_token(&token) {
            asked += 1;
            assert_eq!(active(&token).await, token == good, "{token}");
        } else {
            match bench.bearer(&token, now).await {
                None => {}
                // Spaces around it are no part of it.
                Some(Ok(_)) => panic!("accepted: {token}"),
                Some(Err(Rejection::Unavailable { .. })) => assert_eq!(token.trim_matches(' '), good, "asked about"),
                Some(Err(rejection)) => {
                    assert_eq!(rejection, Rejection::Invalid(Cause::Malformed), "{token}");
                }
            }
        }
    }
    assert!(asked > TRIES / 10, "{asked} were asked about");
}

#[test]
fn xc_24_jw_14_damaged_key_sets() {
    let keys = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA]
        .map(|algorithm| SigningKey::generate(algorithm).expect("a key").jwk().expect("public"));
    let good = json!({ "keys": keys }).to_string();
    let mut mutator = Mutator::new(7517);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..TRIES {
        let text = mutator
            .damage_text(&good, &["\"d\":\"AA\",", "\"kty\":", "\"oct\"", "\"alg\":\"none\",", "AQAB", "=", "\""]);
        match KeySet::from_jwks(&text) {
            Ok(set) => {
                taken += 1;
                // Whoever reads it otherwise than we do finds no more keys and no private one.
                let value: Value = serde_json::from_str(&text).expect("JSON");
                let keys = value["keys"].as_array().expect("an array");
                assert!(set.len() <= keys.len() && keys.iter().all(|key| key.get("d").is_none()), "{text}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(taken > 100 && refused > TRIES / 2, "{taken} taken, {refused} refused");
}
