use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bench_server::contract::{Algorithm, HttpVersion, Secret};

use super::*;
use crate::attack::{MethodKind, Table};

fn endpoint() -> Endpoint {
    Endpoint {
        address: ([127, 0, 0, 1], 8080).into(),
        host: "localhost".to_owned(),
        transport: Transport::Plaintext,
        http: HttpVersion::Http1,
        key_exchange: None,
        roots: Vec::new(),
        path: "/whoami".to_owned(),
        convention: None,
    }
}

fn kit(endpoint: &Endpoint) -> Kit<'_> {
    Kit {
        endpoint,
        neighbour: Some(endpoint),
        method: "api-key",
        features: BTreeSet::new(),
        tokens: Some(TokenKey::generate(Algorithm::ES256).unwrap()),
        issuer: None,
        proofs: None,
        leeway: 30,
        attacker: Attacker::default(),
        canary: Canary::new(),
        authorization: None,
        flow: RefCell::default(),
    }
}

const KEY: &str = "ab_live_q7Wk2ZrT9pLx4VbN8cYd1HsG6fJm3Q00aB3x";
const PASSWORD: &str = "S3cr3tPassw0rdThatIsQuiteLong";
const SIGNING_KEY: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const CALLER: &str = "ab_live_Xw3Er5Ty7Ui9Op1As2Df4Gh6Jk8Lz0Q00cD5y";
const SIGNATURE: &[u8] = b"Zq8Zq7Wv5Rt3Yp1Lk9Jh7Gf5Ds3Aq1Xz8Cv6Bn4Mm2Qw0Er9Ty7Ui5Op3As1Df";

fn credentials() -> Vec<Holding> {
    let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
    let claims = r#"{"aud":"a","exp":4102444800,"iss":"https://i.test","sub":"person-4711"}"#;
    let signature = URL_SAFE_NO_PAD.encode(SIGNATURE);
    let token = format!("{}.{}.{signature}", part(r#"{"alg":"ES256","kid":"k1"}"#), part(claims));
    let user = Material::Password { username: "alice4711".to_owned(), password: Secret::new(PASSWORD) };
    let signs = Material::SigningKey { key_id: "sig-of-nobody".to_owned(), key: Secret::new(SIGNING_KEY) };
    let key = |key: &str| Material::ApiKey { key: Secret::new(key) };
    let issued = |material| Issued { id: "1".to_owned(), principal: "p".to_owned(), material };
    let bearer = Material::Bearer { token: Secret::new(token) };
    let layered = Holding { issued: issued(bearer.clone()), caller: Some(issued(key(CALLER))) };
    let alone = [key(KEY), bearer, user, signs].map(|material| Holding::from(issued(material)));
    alone.into_iter().chain([layered]).collect()
}

#[test]
fn what_is_shown_holds_nothing_of_the_credential_whatever_is_done_to_it() {
    let endpoint = endpoint();
    let bound_to = TokenKey::generate(Algorithm::EdDSA).unwrap();
    let kits = [kit(&endpoint), Kit { proofs: Some(&bound_to), ..kit(&endpoint) }];
    let (mut made, mut secrets): (usize, Vec<(String, usize)>) = (0, Vec::new());
    let signature = std::str::from_utf8(SIGNATURE).unwrap();
    let all = [&KEY[8..], &CALLER[8..], PASSWORD, "person-4711", "alice4711", "sig-of-nobody", SIGNING_KEY, signature];
    for secret in all {
        // Eight characters may not agree by chance; of an encoding as many as stand for eight.
        secrets.push((secret.to_owned(), 8));
        let flip = |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        secrets.push((secret.chars().map(flip).collect(), 8));
        secrets.push((secret.bytes().map(|byte| format!("%{byte:02X}")).collect(), 24));
        // Base64 of the middle, whatever stands before it.
        let middle = |skip| STANDARD.encode(&secret[skip..secret.len() / 3 * 3 - 3 + skip]);
        secrets.extend((0..3).map(|skip| (middle(skip), 10)));
    }
    let table = Table::shipped();
    for (kit, holding) in kits.iter().flat_map(|kit| credentials().into_iter().map(move |held| (kit, held))) {
        for it in table.cases.iter().flat_map(|case| &case.tries).flat_map(Try::with_first) {
            let Ok(request) = kit.make(it, &holding) else { continue };
            made += 1;
            for (secret, length) in &secrets {
                let runs = secret.as_bytes().windows(*length).filter_map(|run| std::str::from_utf8(run).ok());
                for run in runs {
                    assert!(!request.shown.contains(run), "{}: {} shows {run}", it.describe(), request.shown);
                }
            }
        }
    }
    assert!(made > 600, "{made} requests were made");
}

#[test]
fn a_request_is_made_anew_each_time_and_told_from_one_that_is_unchanged() {
    let endpoint = endpoint();
    let bound_to = TokenKey::generate(Algorithm::EdDSA).unwrap();
    let kits = [kit(&endpoint), Kit { proofs: Some(&bound_to), ..kit(&endpoint) }];
    let [_, bearer, _, signs, _] = <[Holding; 5]>::try_from(credentials()).unwrap_or_else(|_| panic!("five"));
    for (kit, holding) in [(&kits[0], &signs), (&kits[1], &bearer)] {
        let (one, other) = (kit.make(&Try::default(), holding).unwrap(), kit.make(&Try::default(), holding).unwrap());
        assert!(one.unchanged && other.unchanged, "{}", one.shown);
        assert_ne!(one.bytes, other.bytes, "a nonce is used once");
        let more = Try { path: Some("<path>?admin=true".to_owned()), ..Try::default() };
        assert!(!kit.make(&more, holding).unwrap().unchanged);
    }
}

#[test]
fn every_case_about_signatures_and_proofs_can_be_made() {
    let endpoint = endpoint();
    let bound_to = TokenKey::generate(Algorithm::EdDSA).unwrap();
    let kits = [kit(&endpoint), Kit { proofs: Some(&bound_to), ..kit(&endpoint) }];
    let [_, bearer, _, signs, _] = <[Holding; 5]>::try_from(credentials()).unwrap_or_else(|_| panic!("five"));
    let mut made = 0;
    for (kind, kit, holding) in [(MethodKind::Signed, &kits[0], &signs), (MethodKind::Dpop, &kits[1], &bearer)] {
        for case in Table::shipped().cases.iter().filter(|case| case.method == [kind]) {
            for it in &case.tries {
                let request = kit.make(it, holding).unwrap_or_else(|why| panic!("{}: {why:?}", case.id));
                assert!(!request.unchanged || it.again || case.control, "{}: {}", case.id, it.describe());
                made += 1;
            }
        }
    }
    assert!(made > 30, "{made} requests were made");
}

#[test]
fn a_valid_request_is_what_the_load_engine_sends() {
    let endpoint = endpoint();
    let kit = kit(&endpoint);
    let made = kit.make(&Try::default(), &credentials()[0]).unwrap();
    let expected = format!("GET /whoami HTTP/1.1\r\nHost: localhost:8080\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    assert_eq!(String::from_utf8_lossy(&made.bytes), expected);
    assert!(made.unchanged);
    assert!(made.shown.starts_with("GET /whoami HTTP/1.1 ⏎ Authorization: Bearer ab_live_xxx"), "{}", made.shown);
}

#[test]
fn the_canary_counts_who_calls() {
    let canary = Canary::new();
    assert_eq!(canary.calls(), 0);
    let address = canary.address().unwrap();
    let _call = std::net::TcpStream::connect(&address).unwrap();
    let begun = std::time::Instant::now();
    let mut calls = 0;
    while calls == 0 && begun.elapsed() < std::time::Duration::from_secs(10) {
        calls += canary.calls();
    }
    assert_eq!(calls, 1);
    assert_eq!(canary.address().unwrap(), address);
}
