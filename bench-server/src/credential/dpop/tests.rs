//! Each check of RFC 9449 §4.3 by itself: a proof that is good but for that one thing.

use super::testing::Prover;
use super::*;
use crate::credential::jws::SigningKey;

const URL: &str = "https://api.test/whoami";
const TOKEN: &str = "at_some-token";

fn at(secs: u64) -> UnixTime {
    UnixTime(Duration::from_secs(secs))
}

const NOW: u64 = 1_000_000;

/// What is said of a proof that comes with [`TOKEN`].
fn judge(text: &str) -> Result<Proof, Fault> {
    let url = Url::parse(URL).expect("a URL");
    let expected = Expected { method: "GET", url: &url, token: Some(TOKEN), nonces: None, now: at(NOW) };
    let proof = Proof::read(text, &Meter::default())?;
    proof.check(&expected).map(|()| proof)
}

fn is_refused(text: &str) -> bool {
    judge(text).err() == Some(Fault::Proof)
}

fn ath() -> (&'static str, Value) {
    ("ath", token_hash(TOKEN).into())
}

#[test]
fn oa_55_a_good_proof_of_either_algorithm_tells_its_key() {
    for algorithm in [Algorithm::ES256, Algorithm::EdDSA] {
        let prover = Prover::new(algorithm);
        for changes in [vec![ath()], vec![ath(), ("other", json!([1])), ("iat", json!(NOW as f64 + 0.5))]] {
            let proof = judge(&prover.proof("GET", URL, at(NOW), &changes)).expect("a good one");
            assert_eq!(proof.jkt, prover.jkt(), "{algorithm:?}");
        }
        // The key's name in the header is whatever the client calls it.
        let mut header = prover.header();
        header["kid"] = "mine".into();
        header["jwk"]["kid"] = "another".into();
        let mut claims = Prover::claims("GET", URL, at(NOW));
        claims["ath"] = ath().1;
        assert!(judge(&prover.sign(&header, &claims)).is_ok());
    }
}

/// The example of RFC 9449 §4.1, whose key has the thumbprint of §6.1.
#[test]
fn oa_55_the_example_of_the_rfc() {
    let example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkR\
                   ZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSI\
                   sImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2Vydm\
                   VyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4P\
                   tFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let proof = Proof::read(example, &Meter::default()).expect("it is signed by the key in it");
    assert_eq!(proof.jkt, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    let url = Url::parse("https://server.example.com/token").expect("a URL");
    let expected = Expected { method: "POST", url: &url, token: None, nonces: None, now: at(1_562_262_616) };
    assert_eq!(proof.check(&expected), Ok(()));
}

#[test]
fn oa_55_bc_073_one_field_with_one_proof() {
    let head = |values: &[&str]| {
        let request = values.iter().fold(http::Request::builder(), |request, value| request.header("DPoP", *value));
        request.body(()).expect("a request").into_parts().0
    };
    assert_eq!(presented(&head(&[]).headers), Ok(None));
    assert_eq!(presented(&head(&["a.b.c"]).headers), Ok(Some("a.b.c")));
    assert_eq!(presented(&head(&["a.b.c", "a.b.c"]).headers), Err(Fault::Proof));
    assert_eq!(required(&head(&[])).err(), Some(Fault::Proof));
}

#[test]
fn oa_55_bc_073_what_is_no_proof() {
    let prover = Prover::new(Algorithm::ES256);
    let good = prover.proof("GET", URL, at(NOW), &[ath()]);
    assert!(judge(&good).is_ok());
    let (signed, signature) = good.rsplit_once('.').expect("three parts");
    let mut flipped = signature.to_owned();
    flipped.replace_range(10..11, if &signature[10..11] == "A" { "B" } else { "A" });
    for text in ["", "a.b.c", signed, &format!("{good}.x"), &format!("{signed}."), &format!("{signed}.{flipped}")] {
        assert!(is_refused(text), "{text}");
    }
    assert!(
        is_refused(&prover.proof("GET", URL, at(NOW), &[ath(), ("padding", "x".repeat(4_000).into())])),
        "too long"
    );
}

#[test]
fn oa_55_bc_073_each_required_claim() {
    let prover = Prover::new(Algorithm::ES256);
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        assert!(is_refused(&prover.proof("GET", URL, at(NOW), &[ath(), (name, Value::Null)])), "no {name}");
        let wrong_types = [json!(true), json!([]), json!({}), if name == "iat" { json!("1") } else { json!(1) }];
        for value in wrong_types {
            assert!(is_refused(&prover.proof("GET", URL, at(NOW), &[ath(), (name, value.clone())])), "{name} {value}");
        }
    }
    for jti in ["", &"x".repeat(256)] {
        assert!(is_refused(&prover.proof("GET", URL, at(NOW), &[ath(), ("jti", jti.into())])), "{jti}");
    }
    let claims = Prover::claims("GET", URL, at(NOW)).to_string();
    let twice = claims.replacen('{', "{\"htm\":\"POST\",", 1);
    assert!(is_refused(&prover.sign_text(&prover.header(), &twice)));
}

#[test]
fn oa_55_bc_073_type_and_algorithm() {
    let prover = Prover::new(Algorithm::ES256);
    let mut claims = Prover::claims("GET", URL, at(NOW));
    claims["ath"] = ath().1;
    for typ in [json!("JWT"), json!("at+jwt"), json!("dpop"), json!(""), Value::Null] {
        let mut header = prover.header();
        header["typ"] = typ.clone();
        if typ.is_null() {
            header.as_object_mut().expect("an object").remove("typ");
        }
        assert!(is_refused(&prover.sign(&header, &claims)), "{typ}");
    }
    for alg in ["none", "HS256", "es256", "RS256", "ES384", "EdDSA"] {
        let mut header = prover.header();
        header["alg"] = alg.into();
        assert!(is_refused(&prover.sign(&header, &claims)), "{alg}");
    }
    for critical in [json!(["exp"]), json!([])] {
        let mut header = prover.header();
        header["crit"] = critical;
        assert!(is_refused(&prover.sign(&header, &claims)));
    }
    // A secret that both know proves nothing.
    let shared = SigningKey::generate(Algorithm::HS256).expect("a key");
    let header = json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": { "kty": "oct", "k": "AAAA" } });
    assert!(is_refused(&shared.sign_as_it_is(header.to_string().as_bytes(), claims.to_string().as_bytes())));
}

#[test]
fn oa_55_bc_073_the_key_is_a_public_one_and_signed() {
    let (prover, other) = (Prover::new(Algorithm::ES256), Prover::new(Algorithm::ES256));
    let mut claims = Prover::claims("GET", URL, at(NOW));
    claims["ath"] = ath().1;
    let with_jwk = |change: &dyn Fn(&mut Value)| {
        let mut header = prover.header();
        change(&mut header["jwk"]);
        prover.sign(&header, &claims)
    };
    assert!(judge(&with_jwk(&|_| ())).is_ok());
    assert!(is_refused(&with_jwk(&|jwk| jwk["d"] = "AA".into())), "a private member");
    assert!(is_refused(&with_jwk(&|jwk| *jwk = other.header()["jwk"].clone())), "another's key");
    assert!(is_refused(&with_jwk(&|jwk| jwk["y"] = jwk["x"].clone())), "not on the curve");
    assert!(is_refused(&with_jwk(&|jwk| jwk["crv"] = "P-384".into())), "another curve");
    assert!(is_refused(&with_jwk(&|jwk| *jwk = json!("key"))), "no key");
    let mut header = prover.header();
    header.as_object_mut().expect("an object").remove("jwk");
    header["kid"] = prover.jkt().into();
    assert!(is_refused(&prover.sign(&header, &claims)), "the key is not looked for elsewhere");
}

#[test]
fn oa_55_bc_073_method_url_and_token() {
    let prover = Prover::new(Algorithm::EdDSA);
    let proof = |changes: &[(&str, Value)]| prover.proof("GET", URL, at(NOW), &[&[ath()][..], changes].concat());
    for htm in ["POST", "get", "HEAD", ""] {
        assert!(is_refused(&proof(&[("htm", htm.into())])), "{htm}");
    }
    for htu in [
        "https://api.test/other",
        "https://api.test/whoami/",
        "https://api.test:8443/whoami",
        "http://api.test/whoami",
        "https://evil.test/whoami",
        "https://api.test@evil.test/whoami",
        "/whoami",
        "",
    ] {
        assert!(is_refused(&proof(&[("htu", htu.into())])), "{htu}");
    }
    // Written otherwise, it is the same (RFC 3986 §6.2.2); query and fragment are left out of the comparison.
    for htu in ["https://API.test:443/whoami", "HTTPS://api.test/./whoami", "https://api.test/whoami?a=b#c"] {
        assert!(judge(&proof(&[("htu", htu.into())])).is_ok(), "{htu}");
    }
    for ath in [token_hash("at_other"), String::new(), TOKEN.to_owned()] {
        assert!(is_refused(&proof(&[("ath", ath.clone().into())])), "{ath}");
    }
}

#[test]
fn oa_55_bc_073_the_time_of_a_proof() {
    let prover = Prover::new(Algorithm::EdDSA);
    let proof = |iat: u64| prover.proof("GET", URL, at(iat), &[ath()]);
    for iat in [NOW - 60, NOW, NOW + 10] {
        assert!(judge(&proof(iat)).is_ok(), "{iat}");
    }
    for iat in [0, NOW - 600, NOW - 61, NOW + 11, NOW + 600, u64::from(u32::MAX), 1 << 60] {
        assert!(is_refused(&proof(iat)), "{iat}");
    }
}

#[test]
fn oa_57_bc_074_a_proof_is_good_once() {
    let (prover, other) = (Prover::new(Algorithm::EdDSA), Prover::new(Algorithm::EdDSA));
    let seen = Seen::default();
    let named = |prover: &Prover, jti: &str, iat: u64| {
        let text = prover.proof("GET", URL, at(iat), &[ath(), ("jti", jti.into())]);
        Proof::read(&text, &Meter::default()).expect("a good one")
    };
    let use_up = |proof: Proof, now: u64| proof.first_use(&seen, at(now));
    assert_eq!(use_up(named(&prover, "1", NOW), NOW), Ok(()));
    assert_eq!(use_up(named(&prover, "1", NOW), NOW), Err(Fault::Proof));
    assert_eq!(use_up(named(&prover, "1", NOW + 10), NOW), Err(Fault::Proof), "with another time");
    assert_eq!(use_up(named(&other, "1", NOW), NOW), Ok(()), "another client may call its own the same");
    assert_eq!(use_up(named(&prover, "2", NOW), NOW), Ok(()));
    assert_eq!(use_up(named(&prover, "1", NOW), NOW + 60), Err(Fault::Proof), "for as long as it could be accepted");
    let full = Seen::with_capacity(0);
    assert_eq!(named(&prover, "3", NOW).first_use(&full, at(NOW)), Err(Fault::Full));
}

#[test]
fn oa_57_a_nonce_is_demanded_and_good_for_a_while() {
    let (prover, nonces) = (Prover::new(Algorithm::EdDSA), Nonces::new());
    let url = Url::parse(URL).expect("a URL");
    let check = |nonce: Option<&str>, now: UnixTime| {
        let changes: Vec<_> = nonce.map(|nonce| ("nonce", Value::from(nonce))).into_iter().chain([ath()]).collect();
        let proof = Proof::read(&prover.proof("GET", URL, now, &changes), &Meter::default()).expect("signed");
        proof.check(&Expected { method: "GET", url: &url, token: Some(TOKEN), nonces: Some(&nonces), now })
    };
    let begin = NOW - NOW % 300;
    let Err(Fault::Nonce(first)) = check(None, at(begin)) else { panic!("none was demanded") };
    assert_eq!(check(Some(&first), at(begin)), Ok(()));
    assert_eq!(check(Some(&first), at(begin + 599)), Ok(()), "its time, and as long again");
    assert!(matches!(check(Some(&first), at(begin + 600)), Err(Fault::Nonce(next)) if next != first));
    for wrong in ["", "x", &Nonces::new().current(at(begin))] {
        assert!(matches!(check(Some(wrong), at(begin)), Err(Fault::Nonce(_))), "{wrong}");
    }
    // A proof that is not good otherwise learns no nonce.
    let old = prover.proof("GET", URL, at(begin - 600), &[ath()]);
    let proof = Proof::read(&old, &Meter::default()).expect("signed");
    let expected = Expected { method: "GET", url: &url, token: Some(TOKEN), nonces: Some(&nonces), now: at(begin) };
    assert_eq!(proof.check(&expected), Err(Fault::Proof));
}
