//! The verifier against the RFC's own examples, and the profile rule by rule.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;

use super::*;
use crate::clock::UnixTime;
use crate::contract::Secret;

const NOW: u64 = 1_900_000_000;
const KEY: [u8; 32] = [0x5a; 32];
const ALL: [&str; 5] = ["@method", "@authority", "@path", "@query", "content-digest"];

fn at(seconds: u64) -> UnixTime {
    UnixTime(Duration::from_secs(seconds))
}

/// A request and what it is signed with, all of which a test may change.
#[derive(Clone)]
struct Draft {
    method: &'static str,
    uri: &'static str,
    fields: Vec<(&'static str, String)>,
    content: &'static [u8],
    components: Vec<&'static str>,
    parameters: String,
}

impl Draft {
    fn get() -> Self {
        Self {
            method: "GET",
            uri: "/whoami?a=%2F&b",
            fields: vec![("host", "api.test".to_owned())],
            content: b"",
            components: ALL[..4].to_vec(),
            parameters: parameters(NOW, NOW + 60),
        }
    }

    fn post() -> Self {
        let content = b"{\"amount\": 5}";
        let mut draft = Self { method: "POST", content, components: ALL.to_vec(), ..Self::get() };
        draft.fields.push(("content-digest", content_digest::of(content)));
        draft
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn head(&self) -> Parts {
        let builder = http::Request::builder().method(self.method).uri(self.uri);
        let builder = self.fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, value));
        builder.body(()).expect("a request").into_parts().0
    }

    /// What is signed of it: the values of both members.
    fn signed(&self) -> (String, String) {
        let head = self.head();
        let message = Message::new(&head, self.content).expect("one host");
        sign_message(&message, &self.components, &self.parameters, &KEY).expect("it has these components")
    }

    /// As it arrives with a signature, which may be another draft's.
    fn arrive(&self, (input, signature): &(String, String), now: u64) -> Result<String, Refused> {
        self.arrive_with(&format!("sig1={input}"), &format!("sig1=:{signature}:"), now)
    }

    fn arrive_with(&self, input: &str, signature: &str, now: u64) -> Result<String, Refused> {
        let mut head = self.head();
        head.headers.append(&SIGNATURE_INPUT, input.parse().expect("a field value"));
        head.headers.append(&SIGNATURE, signature.parse().expect("a field value"));
        judge(&head, self.content, now)
    }
}

fn parameters(created: u64, expires: u64) -> String {
    format!(r#";created={created};expires={expires};nonce="n1";keyid="sig-1";alg="hmac-sha256";tag="authbench""#)
}

/// The key identifier of a request that is signed well with [`KEY`].
fn judge(head: &Parts, content: &[u8], now: u64) -> Result<String, Refused> {
    let fields = Fields::of(&head.headers)?.ok_or(Refused::Missing)?;
    let presented = Presented::read(&fields)?;
    let message = Message::new(head, content)?;
    presented.check(&message, at(now))?;
    presented.verify(&message, &KEY)?;
    Ok(presented.key_id().to_owned())
}

fn good(draft: &Draft) -> Result<String, Refused> {
    draft.arrive(&draft.signed(), NOW)
}

/// Appendix B.2.5: its request (B.2), its key (B.1.5), its signature base and its MAC.
#[test]
fn sr_1_the_rfcs_own_hmac_example_verifies() {
    let key = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    let key = STANDARD.decode(key).expect("base64");
    let head = http::Request::post("/foo?param=Value&Pet=dog")
        .header("Host", "example.com")
        .header("Date", "Tue, 20 Apr 2021 02:07:55 GMT")
        .header("Content-Type", "application/json")
        .header("Content-Length", "18")
        .body(())
        .expect("a request")
        .into_parts()
        .0;
    let message = Message::new(&head, br#"{"hello": "world"}"#).expect("one host");
    let parameters = r#";created=1618884473;keyid="test-shared-secret""#;
    let (input, mac) =
        sign_message(&message, &["date", "@authority", "content-type"], parameters, &key).expect("it has them");
    assert_eq!(input, r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#);
    assert_eq!(mac, "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    let base = Presented::base_of(
        r#"sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#,
        &message,
    )
    .expect("a signature base");
    let expected = "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n\"@authority\": example.com\n\"content-type\": \
                    application/json\n\"@signature-params\": (\"date\" \"@authority\" \"content-type\");created=1618884473;\
                    keyid=\"test-shared-secret\"";
    assert_eq!(String::from_utf8(base).expect("text"), expected);
}

#[test]
fn sr_1_a_signed_request_is_accepted_with_and_without_content() {
    assert_eq!(good(&Draft::get()), Ok("sig-1".to_owned()));
    assert_eq!(good(&Draft::post()), Ok("sig-1".to_owned()));
    let unnamed = Draft::get().with(|draft| draft.parameters = draft.parameters.replace(";alg=\"hmac-sha256\"", ""));
    assert!(good(&unnamed).is_ok(), "the key says which algorithm");
}

#[test]
fn sr_1_a_prepared_signer_signs_what_the_verifier_accepts() {
    let (draft, key) = (Draft::get(), Secret::new("5a".repeat(32)));
    let head = draft.head();
    let message = Message::new(&head, b"").expect("one host");
    let signer = Signer::new(&key, &message).expect("a key");
    let mut input = Signer::blank("sig-1").expect("an identifier").into_bytes();
    let mut seen = Vec::new();
    for nonce in [0, 1, u128::MAX] {
        let signature = signer.sign(&mut input, &Freshness { created: NOW, expires: NOW + 60, nonce });
        let pair = [&input[..], &signature].map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"));
        let pair: (String, String) = pair.into();
        assert_eq!(draft.arrive(&pair, NOW), Ok("sig-1".to_owned()));
        seen.push(pair.1);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let quoted: Vec<String> = COMPONENTS.iter().map(|name| format!("\"{name}\"")).collect();
    assert!(input.starts_with(format!("({});created={NOW};", quoted.join(" ")).as_bytes()));

    for (key, error) in [("5a".repeat(31), BadKey::Key), ("5".repeat(65), BadKey::Key), ("5g".repeat(32), BadKey::Key)]
    {
        assert_eq!(Signer::new(&Secret::new(key), &message).err(), Some(error));
    }
    for id in ["", "a\"b", "a\\b", "a\nb", "ä"] {
        assert_eq!(Signer::blank(id), Err(BadKey::Id));
    }
}

#[test]
fn sr_2_bc_041_bc_044_what_was_changed_after_signing_is_refused() {
    let original = Draft::post().with(|draft| {
        draft.fields.push(("x-amount", "5".to_owned()));
        draft.components.push("x-amount");
    });
    let signed = original.signed();
    assert!(original.arrive(&signed, NOW).is_ok());
    let changes: [fn(&mut Draft); 8] = [
        |draft| draft.method = "PUT",
        |draft| draft.fields[0].1 = "other.test".to_owned(),
        |draft| draft.fields[0].1 = "api.test:8443".to_owned(),
        |draft| draft.uri = "/whoami/?a=%2F&b",
        |draft| draft.uri = "/whoami?a=%2F&b&admin=1",
        |draft| draft.uri = "/whoami?a=/&b",
        |draft| draft.fields.last_mut().expect("a field").1 = "50".to_owned(),
        |draft| draft.fields.push(("x-amount", "50".to_owned())),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        assert_eq!(original.clone().with(change).arrive(&signed, NOW), Err(Refused::BadSignature), "change {number}");
    }
    let without = original.clone().with(|draft| drop(draft.fields.pop()));
    assert_eq!(without.arrive(&signed, NOW), Err(Refused::Components), "a covered field was taken away");
}

#[test]
fn sr_3_bc_040_a_good_mac_over_too_little_is_refused() {
    let lacking = |draft: Draft, gone: &str| good(&draft.with(|draft| draft.components.retain(|name| *name != gone)));
    for gone in COMPONENTS {
        assert_eq!(lacking(Draft::get(), gone), Err(Refused::Components), "{gone}");
    }
    for gone in ALL {
        assert_eq!(lacking(Draft::post(), gone), Err(Refused::Components), "{gone}");
    }
    for components in [vec!["@method"], vec![]] {
        assert_eq!(good(&Draft::get().with(|draft| draft.components = components)), Err(Refused::Components));
    }
    // A component with parameters is another one, and one that is not known cannot be checked.
    let draft = Draft::get();
    let (input, signature) = draft.signed();
    for changed in [input.replace("\"@path\"", "\"@path\";req"), input.replace("\"@path\"", "\"@path\" \"@path\";req")]
    {
        assert_eq!(draft.arrive(&(changed, signature.clone()), NOW), Err(Refused::Components));
    }
    for unknown in ["@status", "@target-uri", "@scheme", "x-not-there", "Host", "a b"] {
        let (input, signature) = draft.signed();
        let input = input.replace("\"@query\"", &format!("\"@query\" \"{unknown}\""));
        assert_eq!(draft.arrive(&(input, signature), NOW), Err(Refused::Components), "{unknown}");
    }
}

#[test]
fn sr_3_every_parameter_of_the_profile_is_asked_for() {
    let with = |from: &str, to: &str| {
        let draft = Draft::get().with(|draft| draft.parameters = draft.parameters.replace(from, to));
        good(&draft)
    };
    for (parameter, bad) in [
        (format!(";created={NOW}"), vec![";created", ";created=\"1\"", ";created=-1", ";created=1.5", ""]),
        (format!(";expires={}", NOW + 60), vec![";expires", ";expires=\"1\"", ";expires=-1", ""]),
        (";nonce=\"n1\"".to_owned(), vec![";nonce", ";nonce=\"\"", ";nonce=n1", ";nonce=:bjE=:", ""]),
        (";keyid=\"sig-1\"".to_owned(), vec![";keyid", ";keyid=\"\"", ";keyid=sig-1", ""]),
    ] {
        for to in bad {
            assert_eq!(with(&parameter, to), Err(Refused::Parameters), "{parameter} -> {to}");
        }
    }
    let long = format!(";nonce=\"{}\"", "n".repeat(129));
    assert_eq!(with(";nonce=\"n1\"", &long), Err(Refused::Parameters));
    for tag in ["", ";tag=\"other\"", ";tag=authbench", ";tag"] {
        assert_eq!(with(";tag=\"authbench\"", tag), Err(Refused::Missing), "not meant for us: {tag}");
    }
    assert!(with(";tag=", ";x-more=?0;y=a/b;tag=").is_ok(), "what is not known is signed along");
}

#[test]
fn sr_4_bc_038_a_signature_is_good_for_300_seconds_at_most() {
    let signed =
        |created: u64, expires: u64| good(&Draft::get().with(|draft| draft.parameters = parameters(created, expires)));
    assert!(signed(NOW - 300, NOW).is_ok());
    assert_eq!(signed(NOW - 301, NOW - 1), Err(Refused::Expired));
    assert_eq!(signed(NOW - 301, NOW), Err(Refused::Parameters), "301 s at once");
    assert_eq!(signed(NOW - 10, NOW - 1), Err(Refused::Expired));
    assert!(signed(NOW - 10, NOW).is_ok());
    assert!(signed(NOW + 30, NOW + 60).is_ok());
    assert_eq!(signed(NOW + 31, NOW + 60), Err(Refused::NotYetValid));
    assert!(signed(NOW, NOW + 300).is_ok());
    assert_eq!(signed(NOW, NOW + 301), Err(Refused::Parameters));
    for expires in [NOW, NOW - 1, 0] {
        assert_eq!(signed(NOW, expires), Err(Refused::Parameters));
    }
    assert_eq!(signed(999_999_999_999_999, NOW), Err(Refused::Parameters));
}

#[test]
fn sr_6_bc_039_the_content_is_held_to_its_digest() {
    let original = Draft::post();
    let signed = original.signed();
    let changed = original.clone().with(|draft| draft.content = b"{\"amount\": 6}");
    assert_eq!(changed.arrive(&signed, NOW), Err(Refused::Digest));
    let emptied = original.clone().with(|draft| draft.content = b"");
    assert_eq!(emptied.arrive(&signed, NOW), Err(Refused::Digest));
    let added = Draft::get().with(|draft| draft.content = b"x");
    assert_eq!(added.arrive(&Draft::get().signed(), NOW), Err(Refused::Components));
    // With the digest changed along, the MAC is wrong.
    let both = changed.with(|draft| draft.fields[1].1 = content_digest::of(draft.content));
    assert_eq!(both.arrive(&signed, NOW), Err(Refused::BadSignature));
    for deprecated in ["md5=:Sd/dVLAcvNLSq16eXua5uQ==:", "sha=:07CavjDP4u3/TungoUHJO/Wzr4c=:"] {
        let offered = Draft::post().with(|draft| draft.fields[1].1 = deprecated.to_owned());
        assert_eq!(good(&offered), Err(Refused::Digest), "{deprecated}");
    }
}

#[test]
fn sr_7_bc_043_another_algorithm_than_the_keys_is_refused() {
    for alg in ["\"ed25519\"", "\"hmac-sha512\"", "\"HMAC-SHA256\"", "\"\"", "hmac-sha256", "?1"] {
        let draft = Draft::get().with(|draft| draft.parameters = draft.parameters.replace("\"hmac-sha256\"", alg));
        assert_eq!(good(&draft), Err(Refused::Algorithm), "{alg}");
    }
}

#[test]
fn sr_8_bc_042_a_mac_is_compared_over_its_full_length() {
    let draft = Draft::get();
    let (input, signature) = draft.signed();
    let mac = STANDARD.decode(&signature).expect("base64");
    let with = |mac: &[u8]| draft.arrive(&(input.clone(), STANDARD.encode(mac)), NOW);
    assert!(with(&mac).is_ok());
    for place in 0..32 {
        let mut other = mac.clone();
        other[place] ^= 1;
        assert_eq!(with(&other), Err(Refused::BadSignature), "byte {place}");
    }
    for other in [&mac[..16], &mac[..31], &[], &[&mac[..], &[0]].concat(), &[&mac[..], &mac[..]].concat()] {
        assert_eq!(with(other), Err(Refused::BadSignature), "{} bytes", other.len());
    }
    // The spare bits of the last character are not a second way to write the same MAC.
    let last = signature.trim_end_matches('=').chars().next_back().expect("a character");
    let spare = signature.replace(&format!("{last}="), "/=");
    assert!(spare == signature || draft.arrive(&(input, spare), NOW) == Err(Refused::BadSignature));
}

#[test]
fn sr_11_fields_that_contradict_each_other_are_refused() {
    let draft = Draft::get();
    let (input, mac) = draft.signed();
    let arrive = |input: &str, signature: &str| draft.arrive_with(input, signature, NOW);
    let (one, signed) = (format!("sig1={input}"), format!("sig1=:{mac}:"));
    assert!(arrive(&one, &signed).is_ok());
    // Another application's signature beside ours is none of our affair.
    let other = format!("proxy=(\"@path\");tag=\"other\", {one}");
    assert!(arrive(&other, &format!("proxy=:AAAA:, {signed}")).is_ok());
    for (input, signature) in [
        (format!("{one}, {one}"), signed.clone()),
        (one.clone(), format!("{signed}, {signed}")),
        (one.clone(), format!("{signed}, sig2=:AAAA:")),
        (format!("{one}, sig2=(\"@path\")"), signed.clone()),
        (one.clone(), format!("sig2=:{mac}:")),
        (one.clone(), "sig1".to_owned()),
        (one.clone(), format!("sig1=\"{mac}\"")),
        (one.clone(), format!("sig1={mac}")),
        (one.clone(), String::new()),
        ("sig1".to_owned(), signed.clone()),
        ("sig1=\"@path\"".to_owned(), signed.clone()),
        ("sig1=(\"@path\"".to_owned(), signed.clone()),
        ("sig1=(@path)".to_owned(), signed.clone()),
        (format!("{one},"), signed.clone()),
        (format!("SIG1={input}"), signed.clone()),
        (one.replace(";nonce", ";created=1;nonce"), signed.clone()),
        (one.replace("\"@path\"", "\"@path\" \"@path\""), signed.clone()),
        (format!("sig1=({})", "\"a\" ".repeat(17)), signed.clone()),
        (format!("sig1=(){}", ";a=1;b=1;c=1;d=1;e=1;f=1;g=1;h=1;i=1"), signed.clone()),
        ("x".repeat(9_000), signed.clone()),
    ] {
        assert_eq!(arrive(&input, &signature), Err(Refused::Malformed), "{input} / {signature}");
    }
    assert_eq!(arrive(&format!("{one}, sig2={input}"), &format!("{signed}, sig2=:{mac}:")), Err(Refused::Ambiguous));
    assert_eq!(arrive("", ""), Err(Refused::Missing));
    // One field without the other, and no text.
    for (name, value) in [(&SIGNATURE_INPUT, one.as_bytes()), (&SIGNATURE, signed.as_bytes()), (&SIGNATURE, b"\xff")] {
        let mut head = draft.head();
        head.headers.insert(name, http::HeaderValue::from_bytes(value).expect("a field value"));
        assert_eq!(judge(&head, b"", NOW), Err(Refused::Malformed));
    }
    let unsigned = draft.head();
    assert!(matches!(Fields::of(&unsigned.headers), Ok(None)));
}

#[test]
fn sr_11_several_lines_are_one_dictionary() {
    let draft = Draft::get();
    let (input, mac) = draft.signed();
    let mut head = draft.head();
    for line in ["proxy=()".to_owned(), format!("sig1={input}")] {
        head.headers.append(&SIGNATURE_INPUT, line.parse().expect("a field value"));
    }
    for line in [format!("sig1=:{mac}:"), "proxy=:AAAA:".to_owned()] {
        head.headers.append(&SIGNATURE, line.parse().expect("a field value"));
    }
    assert!(judge(&head, b"", NOW).is_ok());
}

#[test]
fn sr_12_the_base_is_canonical() {
    let base = |draft: &Draft, input: &str| {
        let head = draft.head();
        let message = Message::new(&head, b"")?;
        Presented::base_of(input, &message).map(|base| String::from_utf8(base).expect("text"))
    };
    let draft = Draft::get().with(|draft| {
        draft.uri = "/a%2fb//C;x?q=%C3%BC+&Q";
        draft.fields = vec![
            ("host", "API.Test:443".to_owned()),
            ("x-list", "  one ".to_owned()),
            ("x-list", "\ttwo,  three".to_owned()),
            ("x-empty", String::new()),
        ];
    });
    let all = r##"a=(  "@method"   "@authority" "@path" "@query" "x-list" "x-empty" );  created=007;a;b=?0; c="\"""##;
    assert_eq!(
        base(&draft, all).expect("a base"),
        "\"@method\": GET\n\"@authority\": api.test\n\"@path\": /a%2fb//C;x\n\"@query\": ?q=%C3%BC+&Q\n\"x-list\": one, \
         two,  three\n\"x-empty\": \n\"@signature-params\": (\"@method\" \"@authority\" \"@path\" \"@query\" \"x-list\" \
         \"x-empty\");created=7;a;b=?0;c=\"\\\"\""
    );
    for (host, canonical) in [("[::1]:80", "[::1]"), ("h:8080", "h:8080"), ("h:4430", "h:4430"), ("H", "h")] {
        let draft = Draft::get().with(|draft| draft.fields[0].1 = host.to_owned());
        let expected = format!("\"@authority\": {canonical}\n\"@signature-params\": (\"@authority\")");
        assert_eq!(base(&draft, "a=(\"@authority\")"), Ok(expected));
    }
    for uri in ["/x", "/x?"] {
        let draft = Draft::get().with(|draft| draft.uri = uri);
        assert_eq!(base(&draft, "a=(\"@query\")"), Ok("\"@query\": ?\n\"@signature-params\": (\"@query\")".to_owned()));
    }
}

#[test]
fn sr_2_bc_044_a_request_says_once_and_clearly_which_host_it_means() {
    let authority = |uri: &str, hosts: &[&str]| {
        let builder = http::Request::builder().uri(uri);
        let builder = hosts.iter().fold(builder, |builder, host| builder.header("host", *host));
        let head = builder.body(()).expect("a request").into_parts().0;
        Message::new(&head, b"").map(|message| message.authority.to_owned())
    };
    assert_eq!(authority("/x", &["a.test"]), Ok("a.test".to_owned()));
    assert_eq!(authority("http://a.test/x", &[]), Ok("a.test".to_owned()));
    assert_eq!(authority("http://a.test/x", &["A.TEST"]), Ok("a.test".to_owned()));
    for (uri, hosts) in [
        ("/x", &[][..]),
        ("/x", &["a.test", "a.test"]),
        ("http://a.test/x", &["b.test"]),
        ("http://a.test/x", &["a.test", "b.test"]),
    ] {
        assert_eq!(authority(uri, hosts), Err(Refused::Malformed), "{uri} {hosts:?}");
    }
}
