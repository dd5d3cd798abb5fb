//! Every way in which a token can be wrong, beside the right one.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use x509_parser::prelude::FromDer as _;

use super::*;
use crate::auth::header;
use crate::config::AUDIENCE;
use crate::credential::jws::{self, KeySet, SigningKey};

const ISSUER: &str = "https://issuer.authbench.test/p";

/// When all tokens here are checked, in seconds.
const NOW: u64 = 1_000_000;

const LEEWAY: u64 = 30;

/// The claims of an accepted token.
#[derive(Debug, PartialEq, Eq)]
struct Claims {
    sub: String,
    client_id: String,
    jti: String,
    scope: String,
    exp: u64,
}

struct Fixture {
    key: SigningKey,
    validator: Validator,
    meter: Meter,
}

fn fixture(algorithm: Algorithm) -> Fixture {
    let rules = TokenRules { leeway: Duration::from_secs(LEEWAY), max_lifetime: Duration::from_secs(900) };
    Fixture {
        key: SigningKey::generate(algorithm).unwrap(),
        validator: Validator {
            issuer: ISSUER.into(),
            audience: AUDIENCE.into(),
            algorithm,
            rules,
            max_token: header::MAX_TOKEN,
            sender_constrained: false,
        },
        meter: Meter::default(),
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "app-1", "client_id": "app-1", "jti": "j1", "scope": "read",
        "iat": NOW - 10, "exp": NOW + 290,
    })
}

impl Fixture {
    fn header(&self) -> Value {
        json!({"typ": "at+jwt", "alg": jws::name(self.key.algorithm()), "kid": self.key.kid()})
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        self.key.sign_as_it_is(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    fn good(&self) -> String {
        self.token(&self.header(), &claims())
    }

    fn keys(&self) -> TrustedKeys {
        TrustedKeys::new(self.key.key_set())
    }

    /// Each token is checked twice, for the second time with a header that may be known, and must fare the same.
    fn check_at(&self, token: &str, keys: &TrustedKeys, now: Duration) -> Result<Claims, Rejection> {
        let check = || {
            self.validator.check(token, keys, UnixTime(now), &self.meter, |claims| {
                Ok(Claims {
                    sub: claims.sub.to_string(),
                    client_id: claims.client_id.to_string(),
                    jti: claims.jti.to_string(),
                    scope: claims.scope.to_string(),
                    exp: claims.exp.as_secs(),
                })
            })
        };
        let verdict = check();
        assert_eq!(check(), verdict, "{token}");
        verdict
    }

    fn check(&self, token: &str) -> Result<Claims, Rejection> {
        self.check_at(token, &self.keys(), Duration::from_secs(NOW))
    }

    #[track_caller]
    fn refused(&self, token: &str, cause: Cause) {
        assert_eq!(self.check(token), Err(Rejection::Invalid(cause)), "{token}");
    }

    /// Checks a token whose header differs in one member.
    #[track_caller]
    fn header_refused(&self, member: &str, value: Value, cause: Cause) {
        let mut header = self.header();
        header[member] = value;
        self.refused(&self.token(&header, &claims()), cause);
    }

    fn with_claim(&self, claim: &str, value: Value) -> String {
        let mut claims = claims();
        claims[claim] = value;
        self.token(&self.header(), &claims)
    }
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn jw_5_a_good_token_of_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let fixture = fixture(algorithm);
        let accepted = fixture.check(&fixture.good()).unwrap();
        assert_eq!((&*accepted.sub, &*accepted.client_id, &*accepted.jti), ("app-1", "app-1", "j1"));
        assert_eq!((&*accepted.scope, accepted.exp), ("read", NOW + 290));
        assert_eq!(fixture.meter.verify_calls.get(), 2);
    }
}

#[test]
fn jw_5_jw_15_bc_082_bc_083_bc_084_bc_085_bc_086_every_algorithm_refuses_changes_and_other_keys() {
    for algorithm in Algorithm::ALL {
        let fixture = fixture(algorithm);
        let good = fixture.good();
        let (input, signature) = good.rsplit_once('.').unwrap();
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
        bytes[5] ^= 1;
        fixture.refused(&format!("{input}.{}", b64(bytes)), Cause::BadSignature);

        let (header, _) = input.split_once('.').unwrap();
        let mut admin = claims();
        admin["scope"] = json!("read admin");
        fixture.refused(&format!("{header}.{}.{signature}", b64(admin.to_string())), Cause::BadSignature);

        let mut header = fixture.header();
        header["x"] = json!(1);
        let (_, payload) = input.split_once('.').unwrap();
        fixture.refused(&format!("{}.{payload}.{signature}", b64(header.to_string())), Cause::BadSignature);

        let other = super::tests::fixture(algorithm);
        fixture.refused(&other.good(), Cause::UnknownKey);
        let mut header = fixture.header();
        fixture.refused(&other.token(&header, &claims()), Cause::BadSignature);
        header["jwk"] = other.key.jwk().unwrap_or_else(|| json!({"kty": "oct", "k": "AA"}));
        header["jku"] = json!("http://127.0.0.1:9/jwks");
        header["x5u"] = json!("http://127.0.0.1:9/x5c");
        header["x5c"] = json!(["AA=="]);
        fixture.refused(&other.token(&header, &claims()), Cause::BadSignature);
        assert!(fixture.check(&fixture.token(&header, &claims())).is_ok(), "foreign keys in a header are ignored");
    }
}

#[test]
fn jw_5_bc_115_a_known_header_helps_no_key_that_was_dropped_and_no_other_signature() {
    let (fixture, other) = (fixture(Algorithm::ES256), super::tests::fixture(Algorithm::ES256));
    let (good, now) = (fixture.good(), Duration::from_secs(NOW));
    let (header, rest) = good.split_once('.').unwrap();
    let keys = fixture.keys();
    assert!(keys.recognise(header, Algorithm::ES256).is_none());
    assert!(fixture.check_at(&good, &keys, now).is_ok());
    assert_eq!(keys.recognise(header, Algorithm::ES256).unwrap().kid, Some(fixture.key.kid()));

    // Under the known header: another key's signature, another payload, none, and a key that has gone.
    let forged = other.token(&fixture.header(), &claims());
    assert!(forged.starts_with(header));
    assert_eq!(fixture.check_at(&forged, &keys, now), Err(Rejection::Invalid(Cause::BadSignature)));
    let (_, signature) = rest.split_once('.').unwrap();
    for token in [format!("{header}.{}.{signature}", b64("{}")), format!("{header}..")] {
        assert_eq!(fixture.check_at(&token, &keys, now), Err(Rejection::Invalid(Cause::BadSignature)));
    }
    let rotated = TrustedKeys::new(other.key.key_set());
    assert_eq!(fixture.check_at(&good, &rotated, now), Err(Rejection::Invalid(Cause::UnknownKey)));
    // Even a set that remembers the header by mistake has no key for it.
    rotated.remember(header, Algorithm::ES256, Some(fixture.key.kid()));
    assert_eq!(fixture.check_at(&good, &rotated, now), Err(Rejection::Invalid(Cause::UnknownKey)));
}

#[test]
fn a_header_is_remembered_only_after_a_good_signature() {
    let (fixture, other) = (fixture(Algorithm::EdDSA), super::tests::fixture(Algorithm::EdDSA));
    let (keys, now) = (fixture.keys(), Duration::from_secs(NOW));
    for n in 0..100 {
        let mut header = fixture.header();
        header["n"] = json!(n);
        let token = other.token(&header, &claims());
        assert_eq!(fixture.check_at(&token, &keys, now), Err(Rejection::Invalid(Cause::BadSignature)));
        assert!(keys.recognise(token.split_once('.').unwrap().0, Algorithm::EdDSA).is_none());
    }
    // Nobody has used up the places.
    let good = fixture.good();
    assert!(fixture.check_at(&good, &keys, now).is_ok());
    assert!(keys.recognise(good.split_once('.').unwrap().0, Algorithm::EdDSA).is_some());
}

#[test]
fn jw_2_bc_076_bc_077_bc_078_bc_079_bc_092_no_signature_is_not_a_signature() {
    let fixture = fixture(Algorithm::ES256);
    let good = fixture.good();
    let (input, signature) = good.rsplit_once('.').unwrap();
    let payload = input.split_once('.').unwrap().1;
    for alg in ["none", "None", "NONE", "nOnE", "none ", "\u{ff4e}one", ""] {
        let header = b64(json!({"typ": "at+jwt", "alg": alg}).to_string());
        fixture.refused(&format!("{header}.{payload}."), Cause::Header);
        fixture.refused(&format!("{header}.{payload}.{signature}"), Cause::Header);
    }
    assert_eq!(fixture.meter.verify_calls.get(), 0);
    fixture.refused(&format!("{input}."), Cause::BadSignature);
    fixture.refused(input, Cause::Malformed);
    fixture.refused(&format!("{input}.{}", b64([0; 64])), Cause::BadSignature);
    fixture.refused(&format!("{input}.{}", b64([0xff; 96])), Cause::BadSignature);
}

/// One value of DER.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        short @ 0..0x80 => bytes.push(short as u8),
        medium @ 0x80..0x100 => bytes.extend([0x81, medium as u8]),
        long => bytes.extend([0x82, (long >> 8) as u8, long as u8]),
    }
    bytes.extend(content);
    bytes
}

/// The forms in which a public key is passed around: the raw key, what is in the certificate, and their texts.
fn forms_of_a_public_key(jwk: &Value) -> Vec<Vec<u8>> {
    let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let integer = |number: Vec<u8>| der(2, &[&[0][..], &number].concat());
    // Object identifiers of rsaEncryption, id-ecPublicKey with P-256, and Ed25519.
    let (algorithm, key) = match jwk["kty"].as_str().unwrap() {
        "RSA" => {
            let exponent = der(2, &member("e"));
            let key = der(0x30, &[integer(member("n")), exponent].concat());
            (hex("06092a864886f70d0101010500"), key)
        }
        "EC" => {
            let point = [vec![4], member("x"), member("y")].concat();
            (hex("06072a8648ce3d020106082a8648ce3d030107"), point)
        }
        _ => (hex("06032b6570"), member("x")),
    };
    let spki = der(0x30, &[der(0x30, &algorithm), der(3, &[&[0][..], &key].concat())].concat());
    let (rest, parsed) = x509_parser::x509::SubjectPublicKeyInfo::from_der(&spki).unwrap();
    assert!(rest.is_empty() && *parsed.subject_public_key.data == *key);
    let lines: Vec<String> =
        STANDARD.encode(&spki).as_bytes().chunks(64).map(|line| String::from_utf8(line.to_vec()).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----", lines.join("\n"));
    let mut forms = vec![
        format!("{pem}\n").into_bytes(),
        format!("{pem}\r\n").into_bytes(),
        pem.into_bytes(),
        spki,
        key,
        jwk.to_string().into_bytes(),
        serde_json::to_string_pretty(jwk).unwrap().into_bytes(),
    ];
    for name in ["n", "x", "y"] {
        // The modulus or a coordinate: its bytes, and its text in the JWK.
        if let Some(text) = jwk[name].as_str() {
            forms.extend([member(name), text.as_bytes().to_vec()]);
        }
    }
    forms
}

fn hex(text: &str) -> Vec<u8> {
    crate::credential::x509::serial_bytes(text).unwrap()
}

#[test]
fn jw_3_bc_080_a_public_key_is_not_an_hmac_secret() {
    use aws_lc_rs::hmac;
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        let mut fixture = fixture(algorithm);
        let forms = forms_of_a_public_key(&fixture.key.jwk().unwrap());
        let common = [&b""[..], b"secret", b"password", ISSUER.as_bytes(), b"\0"].map(<[u8]>::to_vec);
        let mut tokens = Vec::new();
        for (alg, hash) in [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
            let mut header = fixture.header();
            header["alg"] = json!(alg);
            let input = format!("{}.{}", b64(header.to_string()), b64(claims().to_string()));
            for secret in forms.iter().chain(&common) {
                let tag = hmac::sign(&hmac::Key::new(hash, secret), input.as_bytes());
                tokens.push(format!("{input}.{}", b64(tag)));
            }
        }
        assert!(tokens.len() > 40);
        tokens.iter().for_each(|token| fixture.refused(token, Cause::Header));
        // Also where HMAC is what is accepted: a key that was published is for the algorithm that it was published for.
        fixture.validator.algorithm = Algorithm::HS256;
        tokens.iter().for_each(|token| fixture.refused(token, Cause::Header));
        assert_eq!(fixture.meter.verify_calls.get(), 0);
    }
}

#[test]
fn jw_7_bc_081_an_hmac_key_is_the_configured_one_only() {
    let fixture = fixture(Algorithm::HS256);
    let input = format!("{}.{}", b64(fixture.header().to_string()), b64(claims().to_string()));
    for secret in [&b""[..], b"secret", b"password", ISSUER.as_bytes(), b"\0"] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret);
        let tag = aws_lc_rs::hmac::sign(&key, input.as_bytes());
        fixture.refused(&format!("{input}.{}", b64(tag)), Cause::BadSignature);
    }
}

#[test]
fn jw_4_bc_090_bc_093_one_key_serves_one_algorithm() {
    // The token is signed as PS256 and names a key that is published for RS256.
    let mut ps256 = fixture(Algorithm::PS256);
    let mut jwk = ps256.key.jwk().unwrap();
    jwk["alg"] = json!("RS256");
    let keys = TrustedKeys::new(KeySet::from_jwks(&json!({"keys": [jwk]}).to_string()).unwrap());
    let good = ps256.good();
    let now = Duration::from_secs(NOW);
    assert_eq!(ps256.check_at(&good, &keys, now), Err(Rejection::Invalid(Cause::Header)));
    ps256.validator.algorithm = Algorithm::RS256;
    assert_eq!(ps256.check_at(&good, &keys, now), Err(Rejection::Invalid(Cause::Header)));

    // ES384 in the header, the identifier of a P-256 key.
    let mut es384 = fixture(Algorithm::ES256);
    es384.validator.algorithm = Algorithm::ES384;
    es384.header_refused("alg", json!("ES384"), Cause::Header);
    assert_eq!(es384.meter.verify_calls.get(), 0);
}

#[test]
fn jw_1_jw_10_jw_11_jw_16_jw_17_jw_18_jw_19_bc_087_bc_089_bc_094_bc_095_bc_096_header_members() {
    let fixture = fixture(Algorithm::EdDSA);
    for alg in ["eddsa", "EdDSA ", "Ed25519", "ES256", ""] {
        fixture.header_refused("alg", json!(alg), Cause::Header);
    }
    for alg in [json!(["EdDSA"]), json!({}), json!(null), json!(1)] {
        fixture.header_refused("alg", alg, Cause::Header);
    }
    for typ in ["JWT", "id+jwt", "dpop+jwt", "", "at+jwt ", "application/jwt", "text/at+jwt"] {
        fixture.header_refused("typ", json!(typ), Cause::Header);
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        let mut header = fixture.header();
        header["typ"] = json!(typ);
        assert!(fixture.check(&fixture.token(&header, &claims())).is_ok(), "{typ}");
    }
    for (member, value) in [
        ("crit", json!(["x"])),
        ("crit", json!([])),
        ("crit", json!("exp")),
        ("crit", json!(["alg"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("cty", json!("JWT")),
        ("kid", json!(7)),
        ("kid", json!(["k"])),
        ("kid", json!("k".repeat(10_000 / 2))),
    ] {
        fixture.header_refused(member, value, Cause::Header);
    }
    for kid in ["../../../dev/null", "' UNION SELECT 'x", "http://127.0.0.1:9/", "\0", ""] {
        fixture.header_refused("kid", json!(kid), Cause::UnknownKey);
    }
    for member in ["alg", "typ"] {
        let mut header = fixture.header();
        header.as_object_mut().unwrap().remove(member);
        fixture.refused(&fixture.token(&header, &claims()), Cause::Header);
    }
    let mut header = fixture.header();
    header.as_object_mut().unwrap().remove("kid");
    assert!(fixture.check(&fixture.token(&header, &claims())).is_ok(), "one key fits, so no kid is needed");
    let payload = claims().to_string();
    for extra in [r#""alg":"EdDSA""#, r#""\u0061lg":"EdDSA""#, r#""x":1,"x":1"#] {
        let text = fixture.header().to_string().replacen('{', &format!("{{{extra},"), 1);
        fixture.refused(&fixture.key.sign_as_it_is(text.as_bytes(), payload.as_bytes()), Cause::Header);
    }
}

#[test]
fn jw_20_jw_21_bc_109_bc_110_bc_111_serialisations() {
    let fixture = fixture(Algorithm::EdDSA);
    let good = fixture.good();
    let parts: Vec<_> = good.split('.').collect();
    let json = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string();
    for token in [
        json,
        String::new(),
        "..".to_owned(),
        format!("{good}.{}", parts[2]),
        format!("{good}.a.b"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        good.replacen('.', "\n.", 1),
    ] {
        fixture.refused(&token, Cause::Malformed);
    }
    // Another spelling of the same signature bytes: spare bits that are not zero.
    let mut spelled = good.clone();
    let last = spelled.pop().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let index = alphabet.find(last).unwrap();
    spelled.push(alphabet.as_bytes()[index + 1] as char);
    fixture.refused(&spelled, Cause::Malformed);
    let other_alphabet = format!("{}.{}.{}", parts[0], parts[1], STANDARD.encode([0xfb; 64]).trim_end_matches('='));
    fixture.refused(&other_alphabet, Cause::Malformed);
    assert_eq!(fixture.meter.verify_calls.get(), 0);
    // White space in the payload changes what was signed, which is noticed first.
    fixture.refused(&good.replacen('.', ".\n", 1), Cause::BadSignature);
}

/// A good token of exactly so many bytes.
fn token_of_length(fixture: &Fixture, length: usize) -> String {
    for filler in 0..4 {
        let mut header = fixture.header();
        header["filler"] = json!("x".repeat(filler));
        let mut claims = claims();
        claims["filler"] = json!("");
        let signature = 86; // 64 bytes
        let payload = length - b64(header.to_string()).len() - signature - 2;
        let bytes = payload / 4 * 3 + [0, 0, 1, 2][payload % 4];
        let filler = bytes - claims.to_string().len();
        claims["filler"] = json!("x".repeat(filler));
        let token = fixture.token(&header, &claims);
        if token.len() == length {
            return token;
        }
    }
    panic!("no header and payload have that length");
}

#[test]
fn xc_8_bc_113_a_token_over_the_cap_is_refused_before_anything_is_decoded() {
    let fixture = fixture(Algorithm::EdDSA);
    let longest = token_of_length(&fixture, header::MAX_TOKEN);
    assert_eq!(longest.len(), 8192);
    assert!(fixture.check(&longest).is_ok());
    let calls = fixture.meter.verify_calls.get();
    assert_eq!(calls, 2);
    // It would be as good, if it were not one byte too long.
    let too_long = token_of_length(&fixture, header::MAX_TOKEN + 1);
    fixture.refused(&too_long, Cause::Malformed);
    fixture.refused(&format!("{}.{longest}", "a".repeat(1 << 20)), Cause::Malformed);
    assert_eq!(fixture.meter.verify_calls.get(), calls);
    let longer = Validator { max_token: header::MAX_LONG_TOKEN, ..super::tests::fixture(Algorithm::EdDSA).validator };
    let fixture = Fixture { validator: longer, ..fixture };
    assert!(fixture.check(&too_long).is_ok(), "it is the length alone");
}

#[test]
fn a_claim_is_judged_only_after_the_signature() {
    let fixture = fixture(Algorithm::EdDSA);
    let expired = fixture.with_claim("exp", json!(NOW - 5));
    let (input, _) = expired.rsplit_once('.').unwrap();
    fixture.refused(&format!("{input}.{}", b64([7; 64])), Cause::BadSignature);
}

#[test]
fn jw_26_jw_27_jw_28_bc_099_bc_104_bc_106_bc_107_issuer_and_audience() {
    let fixture = fixture(Algorithm::EdDSA);
    let upper = ISSUER.to_uppercase();
    for iss in
        [json!("https://other.test"), json!(format!("{ISSUER}/")), json!(upper), json!(["evil", ISSUER]), json!(42)]
    {
        fixture.refused(&fixture.with_claim("iss", iss), Cause::Claims);
    }
    let prefix = &AUDIENCE[..AUDIENCE.len() - 1];
    for aud in [json!("x"), json!(prefix), json!(["x"]), json!([]), json!(["x", 5]), json!(42), json!({}), json!(null)]
    {
        fixture.refused(&fixture.with_claim("aud", aud), Cause::Claims);
    }
    assert!(fixture.check(&fixture.with_claim("aud", json!(["x", AUDIENCE]))).is_ok());
    for claim in ["iss", "aud", "sub", "client_id", "jti", "iat", "exp"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(claim);
        fixture.refused(&fixture.token(&fixture.header(), &claims), Cause::Claims);
    }
    for sub in [json!(5), json!(""), json!("s".repeat(256)), json!(null)] {
        fixture.refused(&fixture.with_claim("sub", sub), Cause::Claims);
    }
}

#[test]
fn jw_29_bc_108_no_token_of_another_kind_stands_in_for_an_access_token() {
    let fixture = fixture(Algorithm::EdDSA);
    let id_token = json!({"iss": ISSUER, "aud": "client", "sub": "u", "iat": NOW, "exp": NOW + 60, "nonce": "n"});
    let proof = json!({"jti": "j", "htm": "GET", "htu": AUDIENCE, "iat": NOW});
    let assertion = json!({"iss": "client", "sub": "client", "aud": ISSUER, "jti": "j", "iat": NOW, "exp": NOW + 60});
    let logout = json!({"iss": ISSUER, "aud": "client", "iat": NOW, "exp": NOW + 60, "jti": "j", "events": {}});
    for (typ, claims) in
        [("JWT", &id_token), ("dpop+jwt", &proof), ("client-authentication+jwt", &assertion), ("logout+jwt", &logout)]
    {
        // By the rules of its own kind, under the name of an access token, and with the claims of one under its own name.
        let mut header = fixture.header();
        header["typ"] = json!(typ);
        fixture.refused(&fixture.token(&header, claims), Cause::Header);
        fixture.refused(&fixture.token(&fixture.header(), claims), Cause::Claims);
        fixture.refused(&fixture.token(&header, &super::tests::claims()), Cause::Header);
    }
    // Bound to a key that nobody proves to hold: no bearer token (RFC 7800 §3.1).
    fixture.refused(&fixture.with_claim("cnf", json!({"x5t#S256": "A"})), Cause::Claims);
}

#[test]
fn jw_27_bc_105_keys_belong_to_their_issuer_whatever_they_are_called() {
    // The other issuer is trusted elsewhere, and has a key of the same name.
    let (ours, mut theirs) = (fixture(Algorithm::ES256), fixture(Algorithm::ES256));
    theirs.validator.issuer = "https://issuer.authbench.test/other".into();
    let mut jwk = theirs.key.jwk().unwrap();
    jwk["kid"] = json!(ours.key.kid());
    let their_keys = TrustedKeys::new(KeySet::from_jwks(&json!({"keys": [jwk]}).to_string()).unwrap());
    let now = Duration::from_secs(NOW);
    let mut own = claims();
    own["iss"] = json!("https://issuer.authbench.test/other");
    let good = theirs.token(&ours.header(), &own);
    assert!(theirs.check_at(&good, &their_keys, now).is_ok(), "good where it belongs");
    ours.refused(&good, Cause::BadSignature);
    ours.refused(&theirs.token(&ours.header(), &claims()), Cause::BadSignature);
    // Nor do ours count there.
    assert_eq!(theirs.check_at(&ours.good(), &their_keys, now), Err(Rejection::Invalid(Cause::BadSignature)));
}

#[test]
fn jw_36_signatures_have_the_length_of_their_algorithm() {
    for (algorithm, bytes) in [
        (Algorithm::HS256, 32),
        (Algorithm::HS384, 48),
        (Algorithm::HS512, 64),
        (Algorithm::ES256, 64),
        (Algorithm::ES384, 96),
        (Algorithm::EdDSA, 64),
        (Algorithm::RS256, 256),
        (Algorithm::PS512, 256),
    ] {
        let good = fixture(algorithm).good();
        let signature = URL_SAFE_NO_PAD.decode(good.rsplit_once('.').unwrap().1).unwrap();
        assert_eq!(signature.len(), bytes, "{algorithm:?}");
        assert!(good.len() < header::MAX_TOKEN);
    }
}

#[test]
fn jw_19_jw_22_bc_097_bc_112_a_payload_that_is_no_claims_set() {
    let fixture = fixture(Algorithm::EdDSA);
    let header = fixture.header().to_string();
    let sign = |payload: &[u8]| fixture.key.sign_as_it_is(header.as_bytes(), payload);
    let good = claims().to_string();
    for payload in [format!("\u{feff}{good}"), format!("{good}x"), format!("{good}{good}"), String::new()] {
        fixture.refused(&sign(payload.as_bytes()), Cause::Malformed);
    }
    for payload in [format!("[{good}]"), "\"x\"".to_owned(), good.replacen('{', r#"{"exp":1,"#, 1)] {
        fixture.refused(&sign(payload.as_bytes()), Cause::Claims);
    }
    fixture.refused(&sign(b"\xff\xfe{}"), Cause::Malformed);
}

#[test]
fn jw_23_jw_24_jw_25_bc_098_bc_101_bc_102_bc_103_the_edges_of_time() {
    let fixture = fixture(Algorithm::EdDSA);
    let keys = fixture.keys();
    let at = |token: &str, millis: u64| fixture.check_at(token, &keys, Duration::from_millis(millis)).map(drop);
    let invalid = |cause| Err(Rejection::Invalid(cause));
    let second = 1000;

    // exp: accepted before exp + leeway, refused at it.
    let exp = (NOW + 100) * second;
    let token = fixture.with_claim("exp", json!(NOW + 100));
    let leeway = LEEWAY * second;
    assert_eq!(at(&token, exp + leeway - second), Ok(()));
    assert_eq!(at(&token, exp + leeway - 1), Ok(()));
    assert_eq!(at(&token, exp + leeway), invalid(Cause::Expired));
    assert_eq!(at(&token, exp + leeway + second), invalid(Cause::Expired));

    // nbf and iat: accepted from their time − leeway on.
    let nbf = (NOW + 100) * second;
    for token in [
        fixture.with_claim("nbf", json!(NOW + 100)),
        fixture.token(&fixture.header(), &{
            let mut claims = claims();
            (claims["iat"], claims["exp"]) = (json!(NOW + 100), json!(NOW + 200));
            claims
        }),
    ] {
        assert_eq!(at(&token, nbf - leeway - second), invalid(Cause::NotYetValid));
        assert_eq!(at(&token, nbf - leeway - 1), invalid(Cause::NotYetValid));
        assert_eq!(at(&token, nbf - leeway), Ok(()));
        assert_eq!(at(&token, nbf - leeway + second), Ok(()));
    }

    // Lifetime: exactly the maximum, and a second more.
    let lifetime = |seconds: u64| fixture.with_claim("exp", json!(NOW - 10 + seconds));
    assert_eq!(at(&lifetime(900), NOW * second), Ok(()));
    assert_eq!(at(&lifetime(901), NOW * second), invalid(Cause::Claims));
    assert_eq!(at(&lifetime(10 * 365 * 86_400), NOW * second), invalid(Cause::Claims));
    let backwards = fixture.with_claim("exp", json!(NOW - 11));
    assert_eq!(at(&backwards, NOW * second), invalid(Cause::Claims));
}

#[test]
fn jw_23_bc_098_without_leeway_a_token_dies_at_exp_itself() {
    let mut fixture = fixture(Algorithm::EdDSA);
    fixture.validator.rules.leeway = Duration::ZERO;
    let keys = fixture.keys();
    let at = |token: &str, now: f64| fixture.check_at(token, &keys, Duration::from_secs_f64(now)).map(drop);
    let whole = fixture.with_claim("exp", json!(NOW));
    assert_eq!(at(&whole, NOW as f64 - 0.5), Ok(()));
    assert_eq!(at(&whole, NOW as f64), Err(Rejection::Invalid(Cause::Expired)));
    let fraction = fixture.with_claim("exp", json!(NOW as f64 + 0.5));
    assert_eq!(at(&fraction, NOW as f64 + 0.25), Ok(()));
    assert_eq!(at(&fraction, NOW as f64 + 0.5), Err(Rejection::Invalid(Cause::Expired)));
}

#[test]
fn jw_35_refusals_never_repeat_what_was_sent() {
    let fixture = fixture(Algorithm::EdDSA);
    let rejection = fixture.check(&fixture.with_claim("sub", json!(5))).unwrap_err();
    assert_eq!(rejection.reason(), "claims");
    assert!(!format!("{rejection:?}").contains("app"));
}
