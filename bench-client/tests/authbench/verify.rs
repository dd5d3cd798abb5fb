//! `authbench verify` on keys and certificates of other people's making.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// RFC 7515 appendix A.1 (HS256) and A.3 (ES256), and what verifies them.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const HS256: (&str, &str) = ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
const ES256: (&str, &str) =
    ("eyJhbGciOiJFUzI1NiJ9", "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q");
const JWKS: &str = r#"{"keys":[
    {"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"},
    {"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
     "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

fn authbench(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_authbench"))
        .current_dir(folder)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    // That it does not read to the end is no error: the input may be wrong elsewhere.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn lines(output: &Output) -> Vec<&str> {
    std::str::from_utf8(&output.stdout).expect("text").lines().collect()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("keys.json"), JWKS).expect("written");
    folder
}

fn token((header, signature): (&str, &str)) -> String {
    format!("{header}.{PAYLOAD}.{signature}")
}

#[test]
fn hk_1_the_examples_of_rfc_7515_are_accepted_and_their_variations_are_not() {
    let folder = folder();
    let (hs256, es256) = (token(HS256), token(ES256));
    let good = format!("{hs256}\n{es256}\n");
    for arguments in [&["verify", "jws", "--jwks", "keys.json"][..], &["verify", "jws", "--jwks", "keys.json", "--raw"]]
    {
        let output = authbench(folder.path(), arguments, &good);
        assert_eq!((output.status.code(), lines(&output)), (Some(0), vec!["ok", "ok"]), "{output:?}");
    }
    let bad = format!("{hs256}\n{}\n{hs256}=\n{}\n\n{es256}", token((HS256.0, ES256.1)), token((ES256.0, HS256.1)));
    let output = authbench(folder.path(), &["verify", "jws", "--jwks", "keys.json"], &bad);
    let expected = ["ok", "reject bad_signature", "reject malformed", "reject bad_signature", "reject malformed", "ok"];
    assert_eq!((output.status.code(), lines(&output)), (Some(1), expected.to_vec()), "{output:?}");
    let output = authbench(folder.path(), &["verify", "jws", "--jwks", "keys.json", "--alg", "ES256"], &good);
    assert_eq!((output.status.code(), lines(&output)), (Some(1), vec!["reject header", "ok"]), "{output:?}");
}

#[test]
fn hk_2_a_jwt_without_audience_is_none() {
    let folder = folder();
    let arguments = ["verify", "jwt", "--jwks", "keys.json", "--iss", "joe", "--aud", "x", "--now", "1300819300"];
    let output = authbench(folder.path(), &arguments, &token(ES256));
    assert_eq!((output.status.code(), lines(&output)), (Some(1), vec!["reject claims"]), "{output:?}");
}

#[test]
fn hk_1_what_is_no_key_set_is_an_input_error() {
    let folder = folder();
    std::fs::write(folder.path().join("none.json"), "{}").expect("written");
    for file in ["none.json", "missing.json"] {
        let output = authbench(folder.path(), &["verify", "jws", "--jwks", file], "a.b.c\n");
        assert_eq!((output.status.code(), lines(&output)), (Some(2), vec![]), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with(&format!("error: {file}: ")), "{output:?}");
    }
}

#[test]
fn hk_3_a_chain_is_judged_at_a_time() {
    use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd};
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
    let mut ca = CertificateParams::new(Vec::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Root");
    let (ca_key, key) = (KeyPair::generate().expect("a key"), KeyPair::generate().expect("a key"));
    write("root.pem", &ca.self_signed(&ca_key).expect("signed").pem());
    let issuer = Issuer::new(ca, ca_key);
    let leaf = |usage| {
        let mut leaf = CertificateParams::new(vec!["client.test".to_owned()]).expect("a name");
        (leaf.not_before, leaf.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 2, 1));
        leaf.extended_key_usages = vec![usage];
        leaf.signed_by(&key, &issuer).expect("signed").pem()
    };
    write("client.pem", &leaf(ExtendedKeyUsagePurpose::ClientAuth));
    write("server.pem", &leaf(ExtendedKeyUsagePurpose::ServerAuth));
    let judge = |chain: &str, now: &str, more: &[&str]| {
        let arguments =
            [&["verify", "chain", "--roots", "root.pem", "--chain", chain, "--now", now][..], more].concat();
        let output = authbench(folder.path(), &arguments, "");
        (output.status.code(), lines(&output).join(" "))
    };
    let refused = |reason: &str| (Some(1), format!("reject {reason}"));
    let in_time = "1578000000"; // 2020-01-02
    assert_eq!(judge("client.pem", in_time, &[]), (Some(0), "ok".to_owned()));
    assert_eq!(judge("client.pem", in_time, &["--identity"]), refused("identity"));
    assert_eq!(judge("client.pem", "1577000000", &[]), refused("not_yet_valid"));
    assert_eq!(judge("client.pem", "1590000000", &[]), refused("expired"));
    assert_eq!(judge("server.pem", in_time, &[]), refused("purpose"));
    assert_eq!(judge("missing.pem", in_time, &[]), (Some(2), String::new()));
    write("empty.pem", "");
    assert_eq!(judge("empty.pem", in_time, &[]), (Some(2), String::new()));
    write("empty.crl", "");
    assert_eq!(judge("client.pem", in_time, &["--crl", "empty.crl"]), refused("unknown_revocation_status"));
}

#[test]
fn hk_5_a_key_is_judged_by_its_form() {
    let folder = folder();
    for key in ["ab_live_", "", "-x", "ab_live_000000000000000000000000000000000000"] {
        let output = authbench(folder.path(), &["verify", "key", key], "");
        assert_eq!((output.status.code(), lines(&output)), (Some(1), vec!["reject malformed"]), "{key}: {output:?}");
    }
}

/// Signed by another implementation of RFC 9421 §2.5: HMAC-SHA-256 over the lines of the base, in Python.
const SIGNED: &str = "POST /pay?to=1 HTTP/1.1\r\n\
    Host: api.test\r\n\
    Content-Digest: sha-256=:ugBFWDxudlpbptUpqWPi/aQfiUp5J39flLUfgYSjk2o=:\r\n\
    Content-Length: 13\r\n\
    Signature-Input: sig1=(\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\");created=1900000000;\
    expires=1900000060;nonce=\"b3k2pp5k7z-50gnwp\";keyid=\"sig-1\";alg=\"hmac-sha256\";tag=\"authbench\"\r\n\
    Signature: sig1=:BGe1P8DY0MC1ajVEPhwVElxXAxP/ji669mzzd3fVJwc=:\r\n\
    \r\n\
    {\"amount\": 5}";
const SIGNED_WITH: &str = "sig-1=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

#[test]
fn hk_4_a_raw_request_is_judged_by_its_signature() {
    let folder = folder();
    let judge = |key: &[&str], now: &str, request: &str| {
        let arguments = [&["verify", "request", "--now", now][..], key].concat();
        let output = authbench(folder.path(), &arguments, request);
        (output.status.code(), lines(&output).join(" "))
    };
    let (in_time, key) = ("1900000030", &["--key", SIGNED_WITH][..]);
    let ok = (Some(0), "ok".to_owned());
    let refused = |reason: &str| (Some(1), format!("reject {reason}"));
    assert_eq!(judge(key, in_time, SIGNED), ok);
    std::fs::write(folder.path().join("key"), format!("{SIGNED_WITH}\n")).expect("written");
    assert_eq!(judge(&["--key-file", "key"], in_time, SIGNED), ok);

    for (from, to, reason) in [
        ("POST", "PUT", "bad_signature"),
        ("to=1", "to=2", "bad_signature"),
        ("/pay", "/buy", "bad_signature"),
        ("api.test", "api.tesu", "bad_signature"),
        ("50gnwp", "50gnwq", "bad_signature"),
        ("BGe1", "BGe2", "bad_signature"),
        ("{\"amount\": 5}", "{\"amount\": 6}", "digest"),
        ("\"@path\" ", "", "components"),
        ("hmac-sha256", "hmac-sha512", "algorithm"),
        ("nonce=", "once=", "parameters"),
        ("sig-1", "sig-2", "unknown_key"),
        ("authbench", "other", "missing"),
    ] {
        assert!(SIGNED.contains(from));
        assert_eq!(judge(key, in_time, &SIGNED.replace(from, to)), refused(reason), "{from} -> {to}");
    }
    assert_eq!(judge(key, "1900000061", SIGNED), refused("expired"));
    assert_eq!(judge(key, "1899999969", SIGNED), refused("not_yet_valid"));
    let other_key = SIGNED_WITH.replace("1e1f", "1e20");
    assert_eq!(judge(&["--key", &other_key], in_time, SIGNED), refused("bad_signature"));
    // What is no request, and what is no key, is no verdict.
    for (key, request) in
        [(key, "GET / HTTP/1.1\r\n"), (&["--key", "sig-1"][..], SIGNED), (&["--key", "sig-1=00"], SIGNED)]
    {
        assert_eq!(judge(key, in_time, request), (Some(2), String::new()), "{key:?}");
    }
}
