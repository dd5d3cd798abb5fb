//! Requests, rendered once per credential before anything is timed, and what their answers must say. Of a request that is
//! signed, what differs each time is filled in when it is sent.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::{HttpVersion, Issued, Material};
use http::header::{HeaderName, HeaderValue};

use super::signing::{Desk, Signing};
use super::{Endpoint, LoadError};
use crate::plan::{Convention, Slot};

/// One request per credential. Holds secrets, so it has no `Debug`.
pub(super) struct Requests {
    /// For each credential the request as HTTP/1.1 sends it (RFC 9112), then what its answer must contain, all in one
    /// piece: a million small allocations would cost more than their content.
    arena: Vec<u8>,
    rendered: Vec<Rendered>,
    /// What HTTP/2 sends, as the library takes it.
    uri: http::Uri,
    field: HeaderName,
    presented: Vec<Option<HeaderValue>>,
    /// What signs each request, where credentials are keys of signatures.
    signing: Option<Signing>,
    convention: Option<Arc<Convention>>,
}

/// Where in the arena a credential's parts stand.
struct Rendered {
    start: usize,
    request_end: usize,
    answer_end: usize,
    scheme: Scheme,
}

/// What kind of credential a request carries: it decides what a 401 means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// No `Authorization`: no credential, or a client certificate.
    None,
    /// RFC 6750.
    Bearer,
    /// RFC 7617.
    Basic,
    /// RFC 9421.
    Signature,
}

/// What the answer to a request is held to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// What the answer must contain: of the reference server the principal as a JSON string, quotes included.
    pub(super) contains: &'a [u8],
    /// What the request carried.
    pub(super) scheme: Scheme,
    /// What status codes mean, for a server that is not the reference server.
    pub(super) convention: Option<&'a Convention>,
}

impl Requests {
    /// Renders the requests. API keys travel as `Authorization: Bearer`, as tokens do, so that sizes on the wire compare.
    ///
    /// # Errors
    /// [`LoadError::Credential`] when a credential cannot stand in a header field, [`LoadError::Connect`] when host or
    /// path cannot stand in a request.
    pub(super) fn render(endpoint: &Endpoint, issued: &[Issued]) -> Result<Self, LoadError> {
        let authority = endpoint.authority();
        let convention = endpoint.convention.as_deref();
        let name = convention.and_then(|convention| convention.header.as_ref()).map(|field| &*field.name);
        let name = name.unwrap_or("Authorization");
        let field = HeaderName::from_bytes(name.as_bytes()).map_err(|_| LoadError::Connect {
            address: endpoint.address,
            message: format!("{name:?} is no name of a header field (RFC 9110 §5.1)"),
        })?;
        let uri = http::Uri::builder()
            .scheme(if endpoint.transport == bench_server::contract::Transport::Plaintext { "http" } else { "https" })
            .authority(authority.as_str())
            .path_and_query(endpoint.path.as_str())
            .build()
            .map_err(|error| LoadError::Connect {
                address: endpoint.address,
                message: format!("host {:?} and path {:?} make no URL: {error}", endpoint.host, endpoint.path),
            })?;
        let mut requests = Self {
            arena: Vec::new(),
            rendered: Vec::with_capacity(issued.len()),
            uri,
            field,
            presented: Vec::new(),
            signing: Signing::new(&authority, &endpoint.path, issued)?,
            convention: endpoint.convention.clone(),
        };
        for credential in issued {
            let (scheme, presented) = presented(credential, convention)?;
            let contained = contained(convention, credential)?;
            let start = requests.arena.len();
            let mut put = |part: &[u8]| requests.arena.extend_from_slice(part);
            put(b"GET ");
            put(endpoint.path.as_bytes());
            put(b" HTTP/1.1\r\nHost: ");
            put(authority.as_bytes());
            if let Some(value) = &presented {
                put(b"\r\n");
                put(name.as_bytes());
                put(b": ");
                put(value.as_bytes());
            }
            if let Material::SigningKey { key_id, .. } = &credential.material {
                put(&Signing::blank_fields(credential, key_id)?);
            }
            put(b"\r\n\r\n");
            let request_end = requests.arena.len();
            requests.arena.extend_from_slice(contained.as_bytes());
            let answer_end = requests.arena.len();
            requests.rendered.push(Rendered { start, request_end, answer_end, scheme });
            if endpoint.http == HttpVersion::Http2 {
                requests.presented.push(presented);
            }
        }
        Ok(requests)
    }

    /// How many credentials there are.
    pub(super) fn len(&self) -> usize {
        self.rendered.len()
    }

    /// The bytes of a request in HTTP/1.1, signed on `desk` where it is signed.
    pub(super) fn http1<'a>(&'a self, credential: usize, desk: &'a mut Desk) -> &'a [u8] {
        let rendered = &self.rendered[credential];
        let request = &self.arena[rendered.start..rendered.request_end];
        match &self.signing {
            None => request,
            Some(signing) => signing.http1(credential, request, desk),
        }
    }

    /// A request in HTTP/2. Field values are shared, not copied. They are not marked as sensitive (RFC 7541 §7.1.3), so
    /// a connection that repeats a credential sends it once: what a client library does unless told otherwise.
    pub(super) fn http2(&self, credential: usize, desk: &mut Desk) -> http::Request<()> {
        let mut request = http::Request::new(());
        *request.uri_mut() = self.uri.clone();
        *request.version_mut() = http::Version::HTTP_2;
        if let Some(value) = &self.presented[credential] {
            request.headers_mut().insert(self.field.clone(), value.clone());
        }
        if let Some(signing) = &self.signing {
            let rendered = &self.rendered[credential];
            let fields = request.headers_mut();
            signing.http2(credential, &self.arena[rendered.start..rendered.request_end], desk, fields);
        }
        request
    }

    /// What the answer must say.
    pub(super) fn expected(&self, credential: usize) -> Expected<'_> {
        let rendered = &self.rendered[credential];
        Expected {
            contains: &self.arena[rendered.request_end..rendered.answer_end],
            scheme: rendered.scheme,
            convention: self.convention.as_deref(),
        }
    }
}

/// What an accepted answer must contain: by a convention, or the principal as the reference server writes it.
fn contained(convention: Option<&Convention>, credential: &Issued) -> Result<String, LoadError> {
    let Some(convention) = convention else {
        return Ok(serde_json::to_string(&credential.principal).expect("every string can be JSON"));
    };
    let Some(text) = &convention.accepted.body_contains else { return Ok(String::new()) };
    text.fill(|slot| match slot {
        Slot::Principal => Ok(credential.principal.clone()),
        Slot::Credential | Slot::Id | Slot::Variable(_) => Err(unusable(
            credential,
            format!("body_contains is {:?}, in which only {{principal}} can be filled in", text.text()),
        )),
    })
}

/// The field value that presents a credential.
fn presented(credential: &Issued, convention: Option<&Convention>) -> Result<(Scheme, Option<HeaderValue>), LoadError> {
    let (scheme, value) = match &credential.material {
        Material::None | Material::Certificate { .. } => return Ok((Scheme::None, None)),
        Material::SigningKey { .. } => return Ok((Scheme::Signature, None)),
        Material::ApiKey { key: token } | Material::Bearer { token } => {
            let value = match convention.and_then(|convention| convention.header.as_ref()) {
                None => format!("Bearer {}", token.expose()),
                Some(field) => field.value.fill(|slot| match slot {
                    Slot::Credential => Ok(token.expose().to_owned()),
                    Slot::Principal | Slot::Id | Slot::Variable(_) => Err(unusable(
                        credential,
                        format!("header is {:?}, in which only {{credential}} can be filled in", field.value.text()),
                    )),
                })?,
            };
            (Scheme::Bearer, value)
        }
        Material::Password { username, password } => {
            let pair = STANDARD.encode(format!("{username}:{}", password.expose()));
            (Scheme::Basic, format!("Basic {pair}"))
        }
    };
    // The error of `http` does not repeat the value, and neither may this one.
    let value = HeaderValue::try_from(value).map_err(|_| {
        let why = "it holds a character that no header field may carry (RFC 9110 §5.5); issue another";
        unusable(credential, why.to_owned())
    })?;
    Ok((scheme, Some(value)))
}

pub(super) fn unusable(credential: &Issued, message: String) -> LoadError {
    LoadError::Credential { id: credential.id.clone(), message }
}

#[cfg(test)]
mod tests {
    use bench_server::contract::{Secret, Transport};
    use http::header::AUTHORIZATION;

    use crate::plan::{Accepted, HeaderField};

    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint {
            address: ([127, 0, 0, 1], 8080).into(),
            host: "localhost".to_owned(),
            transport: Transport::Plaintext,
            http: HttpVersion::Http2,
            key_exchange: None,
            roots: Vec::new(),
            path: "/whoami".to_owned(),
            convention: None,
        }
    }

    fn issued(principal: &str, material: Material) -> Issued {
        Issued { id: "c1".to_owned(), principal: principal.to_owned(), material }
    }

    fn head(authorization: &str) -> String {
        format!("GET /whoami HTTP/1.1\r\nHost: localhost:8080\r\n{authorization}\r\n")
    }

    #[test]
    fn every_credential_is_rendered_as_its_rfc_says() {
        let pool = [
            issued("anonymous", Material::None),
            issued("app", Material::ApiKey { key: Secret::new("ab_key") }),
            issued("sub", Material::Bearer { token: Secret::new("e30.e30.c2ln") }),
            issued("alice", Material::Password { username: "alice".to_owned(), password: Secret::new("p:w") }),
        ];
        let requests = Requests::render(&endpoint(), &pool).unwrap();
        let text = |i| String::from_utf8_lossy(requests.http1(i, &mut Desk::default())).into_owned();
        assert_eq!(text(0), head(""));
        assert_eq!(text(1), head("Authorization: Bearer ab_key\r\n"));
        assert_eq!(text(2), head("Authorization: Bearer e30.e30.c2ln\r\n"));
        assert_eq!(text(3), head("Authorization: Basic YWxpY2U6cDp3\r\n"));
        let schemes: Vec<_> = (0..4).map(|i| requests.expected(i).scheme).collect();
        assert_eq!(schemes, [Scheme::None, Scheme::Bearer, Scheme::Bearer, Scheme::Basic]);

        let desk = &mut Desk::default();
        assert!(requests.http2(0, desk).headers().is_empty());
        let second = requests.http2(1, desk);
        assert_eq!(second.uri(), "http://localhost:8080/whoami");
        assert_eq!(second.headers()[AUTHORIZATION], "Bearer ab_key");
    }

    #[test]
    fn a_principal_is_expected_as_json_writes_it() {
        let pool = [issued("CN=\"a\"\\b", Material::None)];
        let requests = Requests::render(&endpoint(), &pool).unwrap();
        assert_eq!(requests.expected(0).contains, br#""CN=\"a\"\\b""#);
    }

    #[test]
    fn a_credential_that_would_break_the_request_is_named_but_not_shown() {
        let pool = [issued("x", Material::Bearer { token: Secret::new("evil\r\nHost: other") })];
        let error = Requests::render(&endpoint(), &pool).err().expect("it is refused").to_string();
        assert!(error.contains("c1") && !error.contains("evil"), "{error}");
    }

    #[test]
    fn a_convention_decides_field_and_answer() {
        let template = |text: &str| crate::plan::Template::parse(text).unwrap();
        let convention = Convention {
            header: Some(HeaderField { name: "X-API-Key".to_owned(), value: template("v1 {credential}") }),
            accepted: Accepted { status: vec![200], body_contains: Some(template("user={principal};")) },
            rejected: vec![401],
        };
        let endpoint =
            Endpoint { address: ([127, 0, 0, 1], 80).into(), convention: Some(Arc::new(convention)), ..endpoint() };
        let pool = [issued("app", Material::ApiKey { key: Secret::new("k") }), issued("x", Material::None)];
        let requests = Requests::render(&endpoint, &pool).unwrap();
        let desk = &mut Desk::default();
        assert_eq!(requests.http1(0, desk), b"GET /whoami HTTP/1.1\r\nHost: localhost\r\nX-API-Key: v1 k\r\n\r\n");
        assert_eq!(requests.http1(1, desk), b"GET /whoami HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(requests.expected(0).contains, b"user=app;");
        assert_eq!(requests.http2(0, desk).headers()["x-api-key"], "v1 k");
        assert_eq!(requests.http2(0, desk).headers().len(), 1);
    }

    #[test]
    fn a_path_that_would_break_the_request_is_refused() {
        let endpoint = Endpoint { path: "/a b".to_owned(), ..endpoint() };
        let error = Requests::render(&endpoint, &[]).err().expect("it is refused").to_string();
        assert!(error.contains("/a b"), "{error}");
    }
}
