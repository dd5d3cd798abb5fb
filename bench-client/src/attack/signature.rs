//! The signature of a request (RFC 9421) in the making: what it covers, what it says of itself, and what it is made over, each
//! of which can be wrong. The profile is the reference server's: HMAC-SHA-256 over verb, authority, path and query, and with
//! a content over its digest (RFC 9530).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::http_signature::{
    ALGORITHM, COMPONENTS, CONTENT_DIGEST, Message, TAG, content_digest, sign_message,
};
use http::{HeaderMap, HeaderValue};

use super::template::Missing;

/// How long a signature is good, in seconds.
const LIFETIME: u64 = 30;

/// A signature that is not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signature {
    key: Vec<u8>,
    /// Where the table says so; otherwise what the profile asks for.
    components: Option<Vec<String>>,
    /// Names and values as they are written, in order.
    parameters: Vec<(String, String)>,
    over: Over,
    digest: Digest,
    mac: Mac,
}

/// What is signed in the place of what is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Over {
    method: Option<String>,
    authority: Option<String>,
    path: Option<String>,
    query: Option<String>,
    body: Option<Vec<u8>>,
}

/// A part of a request that a signature covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Method,
    Authority,
    Path,
    Query,
    Body,
}

/// What `Content-Digest` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Digest {
    /// SHA-256 of what is signed.
    Signed,
    /// SHA-256 of what is sent, whatever was signed.
    Sent,
    /// MD5, which nobody may rely on (RFC 9530 §5).
    Md5,
    /// There is none, and none is covered.
    None,
}

/// What stands in `Signature`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mac {
    /// The MAC.
    Right,
    /// So many bytes of its beginning.
    First(usize),
    /// It, and one byte more.
    Longer,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The MAC under another key.
    Under(Vec<u8>),
}

/// The request that is sent.
pub(crate) struct Sent<'s> {
    pub(crate) method: &'s str,
    pub(crate) authority: &'s str,
    /// With the query.
    pub(crate) target: &'s str,
    pub(crate) body: &'s [u8],
}

impl Signature {
    /// One by that key, made now; the nonce is 128 bits in hexadecimal.
    pub(crate) fn new(key_id: &str, key: Vec<u8>, now: u64, nonce: u128) -> Self {
        let parameters = [
            ("created", now.to_string()),
            ("expires", (now + LIFETIME).to_string()),
            ("nonce", format!("\"{nonce:032x}\"")),
            ("keyid", format!("\"{key_id}\"")),
            ("alg", format!("\"{ALGORITHM}\"")),
            ("tag", format!("\"{TAG}\"")),
        ];
        Self {
            key,
            components: None,
            parameters: parameters.map(|(name, value)| (name.to_owned(), value)).to_vec(),
            over: Over::default(),
            digest: Digest::Signed,
            mac: Mac::Right,
        }
    }

    /// Covers these components alone.
    pub(crate) fn cover(&mut self, components: &str) {
        self.components = Some(components.split_ascii_whitespace().map(str::to_owned).collect());
    }

    /// Puts a parameter in its place, or behind all others.
    pub(crate) fn set(&mut self, name: &str, value: String) {
        match self.parameters.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.add(name, value),
        }
    }

    /// Puts a parameter behind all others, whether there is one of the name or not.
    pub(crate) fn add(&mut self, name: &str, value: String) {
        self.parameters.push((name.to_owned(), value));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.parameters.retain(|(known, _)| known != name);
    }

    /// Signs this in the place of what is sent.
    ///
    /// # Errors
    /// When it is no text, and not the content.
    pub(crate) fn sign_over(&mut self, part: Part, value: Vec<u8>) -> Result<(), Missing> {
        let place = match part {
            Part::Method => &mut self.over.method,
            Part::Authority => &mut self.over.authority,
            Part::Path => &mut self.over.path,
            Part::Query => &mut self.over.query,
            Part::Body => {
                self.over.body = Some(value);
                return Ok(());
            }
        };
        *place = Some(String::from_utf8(value).map_err(|_| Missing("a part of a request in ASCII".to_owned()))?);
        Ok(())
    }

    pub(crate) fn digest(&mut self, digest: Digest) {
        self.digest = digest;
    }

    pub(crate) fn mac(&mut self, mac: Mac) {
        self.mac = mac;
    }

    /// The field lines that present it with that request.
    ///
    /// # Errors
    /// When it covers what the request does not have.
    pub(crate) fn lines(&self, sent: &Sent<'_>) -> Result<Vec<String>, Missing> {
        let body = self.over.body.as_deref().unwrap_or(sent.body);
        let digest = match self.digest {
            Digest::None => None,
            _ if body.is_empty() && sent.body.is_empty() => None,
            Digest::Signed => Some(content_digest::of(body)),
            Digest::Sent => Some(content_digest::of(sent.body)),
            // Of nothing: whoever looks at it finds a digest that does not fit either.
            Digest::Md5 => Some("md5=:1B2M2Y8AsgTpgAmY7PhCfg==:".to_owned()),
        };
        // What was signed, though it may be another one than is sent.
        let signed_digest = match self.digest {
            Digest::Sent => Some(content_digest::of(body)),
            _ => digest.clone(),
        };
        let mut fields = HeaderMap::new();
        if let Some(digest) = &signed_digest {
            let value = HeaderValue::try_from(digest).map_err(|_| Missing("a digest in ASCII".to_owned()))?;
            fields.insert(CONTENT_DIGEST.clone(), value);
        }
        let (path, query) = match sent.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (sent.target, None),
        };
        let message = Message {
            method: self.over.method.as_deref().unwrap_or(sent.method),
            authority: self.over.authority.as_deref().unwrap_or(sent.authority),
            path: self.over.path.as_deref().unwrap_or(path),
            query: self.over.query.as_deref().or(query),
            fields: &fields,
            content: body,
        };
        let components: Vec<&str> = match &self.components {
            Some(components) => components.iter().map(String::as_str).collect(),
            None => COMPONENTS.into_iter().chain(digest.as_ref().map(|_| CONTENT_DIGEST.as_str())).collect(),
        };
        let parameters: String = self.parameters.iter().map(|(name, value)| format!(";{name}={value}")).collect();
        let key = match &self.mac {
            Mac::Under(key) => key,
            _ => &self.key,
        };
        let (input, mac) = sign_message(&message, &components, &parameters, key)
            .map_err(|why| Missing(format!("a request with what the signature covers ({})", why.reason())))?;
        let right = || STANDARD.decode(&mac).unwrap_or_default();
        let mac = match &self.mac {
            Mac::Right | Mac::Under(_) => mac,
            Mac::First(length) => STANDARD.encode(right().get(..*length).unwrap_or_default()),
            Mac::Longer => STANDARD.encode([&right()[..], &[0]].concat()),
            Mac::Bytes(bytes) => STANDARD.encode(bytes),
        };
        let fields = [
            Some(format!("Signature-Input: sig1={input}")),
            Some(format!("Signature: sig1=:{mac}:")),
            digest.map(|digest| format!("Content-Digest: {digest}")),
        ];
        Ok(fields.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use bench_server::clock::UnixTime;
    use bench_server::contract::http_signature::{Fields, Presented, Refused};

    use super::*;

    const NOW: u64 = 1_700_000_000;
    const KEY: [u8; 32] = [7; 32];

    fn signature() -> Signature {
        Signature::new("sig-1", KEY.to_vec(), NOW, 42)
    }

    /// What the reference server says of a request to `https://a.test/whoami` that presents the signature.
    fn judged(signature: &Signature, method: &str, target: &str, body: &[u8]) -> Result<(), Refused> {
        let sent = Sent { method, authority: "a.test", target, body };
        let lines = signature.lines(&sent).expect("it covers what there is");
        let mut request = http::Request::builder().method(method).uri(target).header("host", "a.test");
        for line in &lines {
            let (name, value) = line.split_once(": ").expect("a field line");
            request = request.header(name, value);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        let fields = Fields::of(&head.headers)?.expect("signed");
        let presented = Presented::read(&fields)?;
        let message = Message::new(&head, body)?;
        presented.check(&message, UnixTime(std::time::Duration::from_secs(NOW)))?;
        presented.verify(&message, &KEY)
    }

    fn changed(change: impl FnOnce(&mut Signature)) -> Signature {
        let mut signature = signature();
        change(&mut signature);
        signature
    }

    #[test]
    fn an_unchanged_signature_is_good_with_and_without_content() {
        assert_eq!(judged(&signature(), "GET", "/whoami", b""), Ok(()));
        assert_eq!(judged(&signature(), "GET", "/whoami?a=1", b""), Ok(()));
        assert_eq!(judged(&signature(), "POST", "/whoami", b"{}"), Ok(()));
    }

    #[test]
    fn each_change_is_refused_for_what_it_is() {
        let over = |part, value: &str| changed(|it| it.sign_over(part, value.into()).expect("text"));
        for part in [Part::Method, Part::Authority, Part::Path, Part::Query] {
            assert_eq!(judged(&over(part, "x"), "GET", "/whoami", b""), Err(Refused::BadSignature), "{part:?}");
        }
        let changed_body = over(Part::Body, "old");
        assert_eq!(judged(&changed_body, "POST", "/whoami", b"new"), Err(Refused::Digest));
        let with_digest = changed(|it| {
            it.sign_over(Part::Body, b"old".to_vec()).expect("bytes");
            it.digest(Digest::Sent);
        });
        assert_eq!(judged(&with_digest, "POST", "/whoami", b"new"), Err(Refused::BadSignature));
        let without = changed(|it| it.digest(Digest::None));
        assert_eq!(judged(&without, "POST", "/whoami", b"new"), Err(Refused::Components));
        let weak = changed(|it| it.digest(Digest::Md5));
        assert_eq!(judged(&weak, "POST", "/whoami", b"new"), Err(Refused::Digest));
        let little = changed(|it| it.cover("@method"));
        assert_eq!(judged(&little, "GET", "/whoami", b""), Err(Refused::Components));
    }

    #[test]
    fn parameters_and_macs_are_as_they_are_said_to_be() {
        let with = |name: &str, value: &str| changed(|it| it.set(name, value.to_owned()));
        let old = changed(|it| {
            it.set("created", (NOW - 301).to_string());
            it.set("expires", (NOW - 1).to_string());
        });
        assert_eq!(judged(&old, "GET", "/whoami", b""), Err(Refused::Expired));
        assert_eq!(judged(&with("alg", "\"ed25519\""), "GET", "/whoami", b""), Err(Refused::Algorithm));
        let without = changed(|it| it.remove("created"));
        assert_eq!(judged(&without, "GET", "/whoami", b""), Err(Refused::Parameters));
        let twice = changed(|it| it.add("nonce", "\"other\"".to_owned()));
        assert_eq!(judged(&twice, "GET", "/whoami", b""), Err(Refused::Malformed));
        let macs = [Mac::First(16), Mac::Longer, Mac::Bytes(Vec::new()), Mac::Bytes(vec![0; 32]), Mac::Under(vec![0])];
        for mac in macs {
            let wrong = changed(|it| it.mac(mac.clone()));
            assert_eq!(judged(&wrong, "GET", "/whoami", b""), Err(Refused::BadSignature), "{mac:?}");
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_covered() {
        let sent = Sent { method: "GET", authority: "a.test", target: "/", body: b"" };
        let missing = changed(|it| it.cover("@method date")).lines(&sent).expect_err("there is no such field");
        assert!(missing.0.contains("components"), "{missing:?}");
    }
}
