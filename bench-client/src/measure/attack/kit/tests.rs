use bench_server::contract::{HttpVersion, Secret};

use super::*;
use crate::attack::Table;

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
        method: "api-key",
        features: BTreeSet::new(),
        tokens: Some(TokenKey::generate(Algorithm::ES256).unwrap()),
        issuer: None,
        leeway: 30,
        attacker: Attacker::default(),
        canary: Canary::new(),
        authorization: None,
        flow: RefCell::default(),
    }
}

const KEY: &str = "ab_live_q7Wk2ZrT9pLx4VbN8cYd1HsG6fJm3Q00aB3x";
const PASSWORD: &str = "S3cr3tPassw0rdThatIsQuiteLong";
const SIGNATURE: &[u8] = b"Zq8Zq7Wv5Rt3Yp1Lk9Jh7Gf5Ds3Aq1Xz8Cv6Bn4Mm2Qw0Er9Ty7Ui5Op3As1Df";

fn credentials() -> Vec<Issued> {
    let part = |json: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json);
    let claims = r#"{"aud":"a","exp":4102444800,"iss":"https://i.test","sub":"person-4711"}"#;
    let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(SIGNATURE);
    let token = format!("{}.{}.{signature}", part(r#"{"alg":"ES256","kid":"k1"}"#), part(claims));
    let user = Material::Password { username: "alice4711".to_owned(), password: Secret::new(PASSWORD) };
    [Material::ApiKey { key: Secret::new(KEY) }, Material::Bearer { token: Secret::new(token) }, user]
        .map(|material| Issued { id: "1".to_owned(), principal: "p".to_owned(), material })
        .to_vec()
}

#[test]
fn what_is_shown_holds_nothing_of_the_credential_whatever_is_done_to_it() {
    let endpoint = endpoint();
    let kit = kit(&endpoint);
    let (mut made, mut secrets): (usize, Vec<(String, usize)>) = (0, Vec::new());
    for secret in [&KEY[8..], PASSWORD, "person-4711", "alice4711", std::str::from_utf8(SIGNATURE).unwrap()] {
        // Eight characters may not agree by chance; of an encoding as many as stand for eight.
        secrets.push((secret.to_owned(), 8));
        let flip = |c: char| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
        secrets.push((secret.chars().map(flip).collect(), 8));
        secrets.push((secret.bytes().map(|byte| format!("%{byte:02X}")).collect(), 24));
        // Base64 of the middle, whatever stands before it.
        let middle = |skip| STANDARD.encode(&secret[skip..secret.len() / 3 * 3 - 3 + skip]);
        secrets.extend((0..3).map(|skip| (middle(skip), 10)));
    }
    for issued in credentials() {
        for it in Table::shipped().cases.iter().flat_map(|case| &case.tries) {
            let Ok(request) = kit.make(it, &issued) else { continue };
            made += 1;
            for (secret, length) in &secrets {
                let runs = secret.as_bytes().windows(*length).filter_map(|run| std::str::from_utf8(run).ok());
                for run in runs {
                    assert!(!request.shown.contains(run), "{}: {} shows {run}", it.describe(), request.shown);
                }
            }
        }
    }
    assert!(made > 200, "{made} requests were made");
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
