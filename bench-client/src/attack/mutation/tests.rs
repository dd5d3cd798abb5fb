use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;

fn mutated(credential: Credential, words: &[&str]) -> Result<Vec<u8>, Missing> {
    let names = |name: &str| match name {
        "user" => Ok(b"alice".to_vec()),
        "password" => Ok(b"secret".to_vec()),
        other => Err(Missing(other.to_owned())),
    };
    let attacker = Attacker::default();
    let issuer = TokenKey::generate(Algorithm::ES256).unwrap();
    let source = Source { now: 1_000, names: &names, issuer: Some(&issuer), attacker: &attacker, shown: false };
    let mut credential = credential;
    for word in words {
        credential = Mutation::try_from((*word).to_owned()).expect(word).apply(credential, &source)?;
    }
    Ok(credential.text())
}

fn of_key(words: &[&str]) -> String {
    let key = Credential::Text(b"ab_live_0123456789abcdefghijABCDEFGHIJ000000".to_vec());
    String::from_utf8(mutated(key, words).unwrap()).unwrap()
}

fn of_pair(words: &[&str]) -> Vec<u8> {
    let pair = Credential::Pair { user: b"alice".to_vec(), password: b"secret".to_vec() };
    mutated(pair, words).unwrap()
}

fn token() -> Credential {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let text = format!("{}.{}.{}", part(r#"{"alg":"ES256","kid":"k"}"#), part(r#"{"exp":9}"#), part("8 bytes!"));
    Credential::Jws(Box::new(Jws::parse(&text).expect("a token")))
}

fn of_token(words: &[&str]) -> Jws {
    let text = String::from_utf8(mutated(token(), words).unwrap()).unwrap();
    Jws::parse(&text).expect("still a token")
}

#[test]
fn keys_change_as_the_words_say() {
    assert_eq!(of_key(&["truncate=16"]), "ab_live_01234567");
    assert_eq!(of_key(&["flip-case"]), "AB_LIVE_0123456789ABCDEFGHIJabcdefghij000000");
    assert_eq!(of_key(&["text=<value>x"]), "ab_live_0123456789abcdefghijABCDEFGHIJ000000x");
    assert!(of_key(&["swap=last"]).ends_with("000001"));
    assert_eq!(of_key(&["repeat=2"]).len(), 88);
    assert_eq!(of_key(&["sha256"]).len(), 64);
    assert_eq!(&of_key(&["percent-encode"])[..6], "%61%62");
    assert_ne!(of_key(&["look-alike"]), of_key(&[]));
    assert_eq!(of_key(&["full-width"]).chars().count(), 44);
}

#[test]
fn checksums_are_those_of_the_reference_server() {
    use bench_server::credential::key::Key;
    assert!(Key::parse(&of_key(&[])).is_err());
    let right = of_key(&["checksum"]);
    assert!(Key::parse(&right).is_ok(), "{right}");
    let other = of_key(&["swap=middle", "checksum"]);
    assert!(Key::parse(&other).is_ok() && other != right);
    assert!(Key::parse(&of_key(&["random-key"])).is_ok());
    assert!(Key::parse(&of_key(&["checksum", "swap=last"])).is_err());
}

#[test]
fn passwords_change_before_they_are_encoded() {
    assert_eq!(of_pair(&[]), STANDARD.encode("alice:secret").into_bytes());
    assert_eq!(of_pair(&["password=<password>1"]), STANDARD.encode("alice:secret1").into_bytes());
    assert_eq!(of_pair(&["user=bob"]), STANDARD.encode("bob:secret").into_bytes());
    assert_eq!(of_pair(&["decoded=<byte:e4>"]), STANDARD.encode(b"\xe4").into_bytes());
    assert_eq!(of_pair(&["decoded=ab", "strip-padding"]), b"YWI");
}

#[test]
fn tokens_change_member_by_member() {
    let none = of_token(&["header.alg=none", "signature=empty"]);
    assert_eq!(none.header.string("alg").as_deref(), Some("none"));
    assert_eq!(none.signature, Signature::Bytes(Vec::new()));
    assert_eq!(of_token(&["claims.exp=\"9\""]).claims.string("exp").as_deref(), Some("9"));
    let late = of_token(&["claims.exp=<now+5>", "-header.kid"]);
    assert_eq!(late.claims.text(), br#"{"exp":1005}"#);
    assert_eq!(late.header.string("kid"), None);
    let bytes = mutated(token(), &["claims.exp:=1e400", "+claims.exp=9"]).unwrap();
    let payload = URL_SAFE_NO_PAD.decode(bytes.split(|byte| *byte == b'.').nth(1).unwrap()).unwrap();
    assert_eq!(payload, br#"{"exp":1e400,"exp":9}"#);
    assert_eq!(of_token(&["signature=zeros"]).signature, Signature::Bytes(vec![0; 64]));
    for key in ["secret", "public-pem"] {
        let Signature::Bytes(mac) = of_token(&["header.alg=HS256", &format!("signature=hmac:{key}")]).signature else {
            panic!("it is signed")
        };
        assert_eq!(mac.len(), 32);
    }
    let spare = mutated(token(), &["spare-bits"]).unwrap();
    assert_ne!(spare, token().text());
    assert_eq!(Jws::parse(std::str::from_utf8(&spare).unwrap()), None, "a strict reader refuses it");
}

#[test]
fn words_that_are_none_are_refused() {
    for wrong in ["", "flip", "truncate=x", "truncate", "signature=mine", "flip-case=1", "text=<valeu>", "swap=first"] {
        assert!(Mutation::try_from(wrong.to_owned()).is_err(), "{wrong}");
    }
    let error = mutated(Credential::Text(b"key".to_vec()), &["header.alg=none"]).expect_err("no token");
    assert!(error.0.contains("no such part"), "{error:?}");
}
