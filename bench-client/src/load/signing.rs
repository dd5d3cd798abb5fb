//! Requests that are signed one by one (RFC 9421): time, nonce and signature are filled into the rendered bytes of each when
//! it is sent. Over HTTP/1.1 nothing is allocated for that; HTTP/2's library takes two values that are.
//!
//! A request reads the clock, draws 128 bits and computes one HMAC: on the client, and in the time that is measured, as a
//! caller of such a service would have it.

use std::time::{SystemTime, UNIX_EPOCH};

use bench_server::contract::http_signature::{Freshness, Message, SIGNATURE, SIGNATURE_INPUT, Signer};
use bench_server::contract::{Issued, Material};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use rand::RngExt as _;
use rand::rngs::ChaCha12Rng;

use super::LoadError;
use super::request::unusable;

/// How long a request may take to be judged, in seconds. Validators remember its nonce for a little longer, so that a
/// shorter time keeps their memory small.
const LIFETIME: u64 = 30;

/// What stands around the value of `Signature-Input` and the signature; the fields come last in a request.
const BEFORE_INPUT: &[u8] = b"\r\nSignature-Input: sig1=";
const BETWEEN: &[u8] = b"\r\nSignature: sig1=:";
const AFTER_SIGNATURE: &[u8] = b":";
const END: &[u8] = b"\r\n\r\n";

/// What signs the requests of each credential.
pub(super) struct Signing {
    signers: Vec<Signer>,
    /// Where in every request the value of `Signature-Input` begins, label included.
    input_start: usize,
}

/// Where one place of requests signs them, one at a time.
#[derive(Default)]
pub(super) struct Desk {
    /// Holds the last request, and room for the next.
    request: Vec<u8>,
    /// Draws nonces; seeded by the operating system at the first.
    rng: Option<Box<ChaCha12Rng>>,
}

impl Desk {
    fn freshness(&mut self) -> Freshness {
        let rng = self.rng.get_or_insert_with(|| Box::new(rand::make_rng()));
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Freshness { created, expires: created + LIFETIME, nonce: rng.random() }
    }
}

impl Signing {
    /// `None` where credentials are something else. Those of one pool are alike.
    pub(super) fn new(authority: &str, path: &str, issued: &[Issued]) -> Result<Option<Self>, LoadError> {
        let signed = |credential: &Issued| matches!(credential.material, Material::SigningKey { .. });
        if !issued.iter().any(signed) {
            return Ok(None);
        }
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        let no_fields = HeaderMap::new();
        let message = Message { method: "GET", authority, path, query, fields: &no_fields, content: b"" };
        let mut signers = Vec::with_capacity(issued.len());
        for credential in issued {
            let Material::SigningKey { key, .. } = &credential.material else {
                return Err(unusable(credential, "it is of another kind than the rest of its pool".to_owned()));
            };
            let signer = Signer::new(key, &message).map_err(|error| unusable(credential, error.to_string()))?;
            signers.push(signer);
        }
        let full = query.map_or(path.len(), |query| path.len() + 1 + query.len());
        let head = "GET  HTTP/1.1\r\nHost: ".len() + full + authority.len();
        Ok(Some(Self { signers, input_start: head + BEFORE_INPUT.len() - "sig1=".len() }))
    }

    /// The two field lines, to be filled in.
    pub(super) fn blank_fields(credential: &Issued, key_id: &str) -> Result<Vec<u8>, LoadError> {
        let blank = Signer::blank(key_id).map_err(|error| unusable(credential, error.to_string()))?;
        Ok([BEFORE_INPUT, blank.as_bytes(), BETWEEN, &[b'0'; Signer::SIGNATURE], AFTER_SIGNATURE].concat())
    }

    /// Signs a rendered request.
    pub(super) fn http1<'d>(&self, credential: usize, rendered: &[u8], desk: &'d mut Desk) -> &'d [u8] {
        let fresh = desk.freshness();
        desk.request.clear();
        desk.request.extend_from_slice(rendered);
        let signature_start = rendered.len() - END.len() - AFTER_SIGNATURE.len() - Signer::SIGNATURE;
        let (head, signature) = desk.request.split_at_mut(signature_start);
        let (from, to) = (self.input_start + "sig1=".len(), signature_start - BETWEEN.len());
        let signed = self.signers[credential].sign(&mut head[from..to], &fresh);
        signature[..Signer::SIGNATURE].copy_from_slice(&signed);
        &desk.request
    }

    /// Puts both fields of a signed request among those of HTTP/2.
    pub(super) fn http2(&self, credential: usize, rendered: &[u8], desk: &mut Desk, fields: &mut HeaderMap) {
        let request = self.http1(credential, rendered, desk);
        let signature_start = request.len() - END.len() - AFTER_SIGNATURE.len() - Signer::SIGNATURE;
        let input = &request[self.input_start..signature_start - BETWEEN.len()];
        let signature = &request[signature_start - "sig1=:".len()..request.len() - END.len()];
        for (name, value) in [(&SIGNATURE_INPUT, input), (&SIGNATURE, signature)] {
            let value = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(value));
            fields.insert(name, value.expect("what was rendered is a field value"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use bench_server::contract::http_signature::{Fields, Presented};
    use bench_server::contract::{HttpVersion, Secret, Transport};

    use super::*;
    use crate::load::Endpoint;
    use crate::load::request::Requests;

    fn endpoint(path: &str) -> Endpoint {
        Endpoint {
            address: ([127, 0, 0, 1], 8080).into(),
            host: "localhost".to_owned(),
            transport: Transport::Plaintext,
            http: HttpVersion::Http2,
            key_exchange: None,
            roots: Vec::new(),
            path: path.to_owned(),
            convention: None,
        }
    }

    fn keys(count: u8) -> Vec<Issued> {
        (0..count)
            .map(|number| {
                // Of different lengths.
                let key_id = format!("sig-{}", "x".repeat(usize::from(number)));
                let key = Secret::new(format!("{number:02x}").repeat(32));
                let material = Material::SigningKey { key_id: key_id.clone(), key };
                Issued { id: key_id, principal: format!("app-{number}"), material }
            })
            .collect()
    }

    /// Judges a request as the server does, and returns its key and nonce.
    fn judge(head: &http::request::Parts, key: u8) -> (String, String) {
        let fields = Fields::of(&head.headers).expect("both fields").expect("signed");
        let presented = Presented::read(&fields).expect("in the profile");
        let message = Message::new(head, b"").expect("one host");
        presented.check(&message, bench_server::clock::UnixTime(now())).expect("fresh");
        presented.verify(&message, &[key; 32]).expect("a good signature");
        (presented.key_id().to_owned(), presented.nonce().to_owned())
    }

    fn now() -> std::time::Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
    }

    /// As a server would read it.
    fn parsed(bytes: &[u8]) -> http::request::Parts {
        let mut fields = [httparse::EMPTY_HEADER; 8];
        let mut request = httparse::Request::new(&mut fields);
        assert_eq!(request.parse(bytes), Ok(httparse::Status::Complete(bytes.len())));
        let mut builder = http::Request::builder().method(request.method.unwrap()).uri(request.path.unwrap());
        for field in request.headers.iter() {
            builder = builder.header(field.name, field.value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    #[test]
    fn sr_1_every_request_is_signed_anew_over_both_versions() {
        let pool = keys(5);
        for path in ["/whoami", "/whoami?a=1&b", "/?"] {
            let requests = Requests::render(&endpoint(path), &pool).expect("rendered");
            let (mut desk, mut nonces) = (Desk::default(), HashSet::new());
            for _ in 0..3 {
                for (number, credential) in pool.iter().enumerate() {
                    let http1 = parsed(requests.http1(number, &mut desk));
                    let http2 = requests.http2(number, &mut desk).into_parts().0;
                    assert_eq!(http1.headers.len(), 3, "Host, and the two fields");
                    for head in [http1, http2] {
                        let (key_id, nonce) = judge(&head, number as u8);
                        assert_eq!(key_id, credential.id);
                        assert!(nonces.insert(nonce), "a nonce is used once");
                    }
                }
            }
            assert_eq!(nonces.len(), 2 * 3 * pool.len());
        }
    }

    #[test]
    fn sr_1_signing_over_http1_takes_no_more_room_each_time() {
        let requests = Arc::new(Requests::render(&endpoint("/whoami"), &keys(1)).expect("rendered"));
        let mut desk = Desk::default();
        requests.http1(0, &mut desk);
        let (place, capacity) = (desk.request.as_ptr(), desk.request.capacity());
        for _ in 0..100 {
            requests.http1(0, &mut desk);
        }
        assert_eq!((desk.request.as_ptr(), desk.request.capacity()), (place, capacity));
    }

    #[test]
    fn sr_9_a_key_that_cannot_sign_is_named_and_not_shown() {
        let with = |key_id: &str, key: &str| {
            let material = Material::SigningKey { key_id: key_id.to_owned(), key: Secret::new(key) };
            let issued = Issued { id: "k1".to_owned(), principal: "p".to_owned(), material };
            Requests::render(&endpoint("/"), &[issued]).err().expect("refused").to_string()
        };
        let short = with("sig-1", "hunter2");
        assert!(short.contains("k1") && short.contains("64 digits") && !short.contains("hunter2"), "{short}");
        let quoted = with("sig-\"1", &"5a".repeat(32));
        assert!(quoted.contains("identifier") && !quoted.contains("5a5a"), "{quoted}");
        let mixed = [keys(1), vec![Issued { material: Material::None, ..keys(1).remove(0) }]].concat();
        assert!(Requests::render(&endpoint("/"), &mixed).is_err());
    }
}
