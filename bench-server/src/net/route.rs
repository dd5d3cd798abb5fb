//! From a request to its answer: which route, who asks, are they allowed to, and the resource.
//!
//! Default deny: what is not a route is refused. Paths are compared byte by byte as they came, so no spelling of a path
//! reaches a route around its authentication. Every variant runs exactly this code; only
//! [`Method::authenticate`] differs, and only it is timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, VARY};
use ::http::request::Parts;
use ::http::{HeaderMap, HeaderValue, Method as Verb, Request, Response, StatusCode, Version};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Body;

use super::json;
use super::ocsp;
use super::openapi;
use super::problem::{self, Answer};
use super::slow_down::Extra;
use crate::auth::basic::Basic;
use crate::auth::signed::Content;
use crate::auth::{self, Method, Principal, PrincipalKind, Rejection, Scheme, Through};
use crate::clock::Clock;
use crate::config::{Profile, SessionConfig};
use crate::credential::x509::ClientIdentity;
use crate::issuer::api_keys::KeyManagement;
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::ca::OcspResponder;
use crate::telemetry::Meter;

mod form;
mod session;

/// Largest header block in bytes; a larger one is answered 431 (RFC 6585 §5). hyper is told too, but over HTTP/1 it looks
/// at what it has read so far, which may be twice as much.
pub(super) const MAX_HEADER_BLOCK: u32 = 32 * 1024;

/// Most fields in a request: the limit that hyper has for HTTP/1, here for HTTP/2 as well.
const MAX_FIELDS: usize = 100;

/// Largest body of a request to the authorization server or an OCSP responder, in bytes: theirs are far smaller. Also of one
/// that is signed.
const MAX_FORM: usize = 64 * 1024;

/// Longest time that such a body may take to arrive.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// What protected routes allow.
const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// The same where the content of a request is authenticated with it: it may have one.
const ALLOWED_WITH_CONTENT: &str = "GET, HEAD, OPTIONS, POST";

/// What one listener serves.
pub(crate) struct Site {
    pub(crate) routes: Vec<Route>,
    pub(crate) key_management: Option<KeyManagement>,
    pub(crate) authorization_server: Option<Arc<AuthorizationServer>>,
    pub(crate) ocsp_responder: Option<Arc<OcspResponder>>,
    /// What is offered here ([`super::openapi`]).
    pub(crate) description: Bytes,
    pub(crate) clock: Clock,
    pub(crate) meter: Arc<Meter>,
    /// Authorities, `host` or `host:port`, of listeners that nobody reaches without a certificate.
    pub(crate) misdirected: Vec<String>,
}

/// A protected route: a profile with its method.
pub(crate) struct Route {
    path: String,
    scope: String,
    users_only: bool,
    name: &'static str,
    vary: Option<HeaderValue>,
    scheme: Option<Scheme>,
    method: Arc<Method>,
    extra: Option<Extra>,
    /// Path at which a password is exchanged for a session.
    session: Option<String>,
}

/// One established connection.
pub(crate) struct Caller {
    /// What methods see of it.
    pub(crate) connection: auth::Connection,
    /// The client's certificate passed verification but carries no acceptable identity.
    pub(crate) without_identity: bool,
    /// Set when the connection is to end after the answer in progress.
    pub(crate) closing: AtomicBool,
}

impl Route {
    pub(crate) fn new(profile: &Profile, method: Arc<Method>) -> Self {
        Self {
            path: profile.path.clone(),
            scope: profile.scope.clone(),
            users_only: profile.users_only,
            name: profile.method.name(),
            vary: method.vary().map(HeaderValue::from_static),
            scheme: method.scheme(),
            session: match &*method {
                Method::Basic(basic) if basic.has_sessions() => {
                    Some(format!("{}{}", profile.path, SessionConfig::PATH))
                }
                _ => None,
            },
            method,
            extra: profile.slow_down.map(Extra::new),
        }
    }

    /// The method whose passwords are exchanged at a path.
    fn exchange(&self, path: &str) -> Option<&Basic> {
        match &*self.method {
            Method::Basic(basic) if self.session.as_deref() == Some(path) => Some(basic),
            _ => None,
        }
    }

    fn is_protected(&self) -> bool {
        !matches!(*self.method, Method::None)
    }

    fn allowed(&self) -> &'static str {
        if self.method.reads_content() { ALLOWED_WITH_CONTENT } else { ALLOWED }
    }

    fn allows(&self, verb: &Verb) -> bool {
        matches!(*verb, Verb::GET | Verb::HEAD) || (*verb == Verb::POST && self.method.reads_content())
    }

    fn authorise(&self, principal: Principal) -> Result<Principal, Rejection> {
        // A key or a certificate names a program, and a program is not the user who should decide (OWASP API2).
        if self.users_only && principal.kind != PrincipalKind::User {
            return Err(Rejection::Forbidden("user-authorization-required"));
        }
        let allowed = !self.is_protected() || principal.has_scope(&self.scope);
        if allowed { Ok(principal) } else { Err(Rejection::InsufficientScope) }
    }

    /// The resource: it names the principal, so that a caller sees for whom it was taken. The answer's fields take the
    /// place of the request's, which saves the allocation of a map.
    fn resource(&self, principal: &Principal, mut fields: HeaderMap) -> Answer {
        fields.clear();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(vary) = &self.vary {
            fields.insert(VARY, vary.clone());
        }
        if let Some(quota) = &principal.quota {
            quota.tell(&mut fields);
        }
        let through = match &principal.through {
            None => None,
            Some(Through::Application { id, .. }) => Some(("application", &**id)),
            Some(Through::Service(id)) => Some(("service", &**id)),
        };
        let members = [
            ("method", self.name),
            ("principal", &*principal.id),
            ("scopes", &*principal.scopes),
            ("cred_id", &*principal.credential_id),
            through.unwrap_or_default(),
        ];
        let members = if through.is_some() { &members[..] } else { &members[..4] };
        let mut answer = Response::new(Full::new(json::object(members)));
        *answer.headers_mut() = fields;
        answer
    }
}

impl Site {
    /// Answers one request.
    pub(crate) async fn answer<B>(&self, request: Request<B>, caller: &Caller) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let is_head = request.method() == Verb::HEAD;
        let version = request.version();
        let mut answer = self.decide(request, caller).await;
        if answer.headers().contains_key(CONNECTION) {
            caller.closing.store(true, Ordering::Relaxed);
            if version >= Version::HTTP_2 {
                // The field does not exist there (RFC 9113 §8.2.2); `closing` sends GOAWAY instead.
                answer.headers_mut().remove(CONNECTION);
            }
        }
        if is_head { without_body(answer) } else { answer }
    }

    async fn decide<B>(&self, request: Request<B>, caller: &Caller) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if caller.without_identity {
            return problem::problem(StatusCode::FORBIDDEN, Some("client-identity-invalid"), None);
        }
        let (head, body) = request.into_parts();
        if head.headers.len() > MAX_FIELDS || field_bytes(&head.headers) > MAX_HEADER_BLOCK as usize {
            return problem::fields_too_large();
        }
        if head.version == Version::HTTP_11 && head.headers.get_all(HOST).iter().count() != 1 {
            return problem::problem(StatusCode::BAD_REQUEST, None, Some("one Host field is required")); // RFC 9112 §3.2
        }
        // A client may think that this connection is good for every name in the server's certificate (RFC 9113 §9.1.1), but
        // a certificate is asked for in the handshake alone.
        if !self.misdirected.is_empty() && caller.connection.client.is_none() && self.is_misdirected(&head) {
            return problem::problem(StatusCode::MISDIRECTED_REQUEST, None, None);
        }
        if let Some(route) = self.routes.iter().find(|route| route.path == head.uri.path()) {
            if head.method == Verb::OPTIONS {
                return options(route.allowed());
            }
            let mut head = head;
            if route.method.needs_content(&head) && !body.is_end_stream() {
                return match collect(body).await {
                    Ok(content) => {
                        head.extensions.insert(Content(content));
                        self.protected(route, head, caller).await
                    }
                    Err(answer) => answer,
                };
            }
            return match form::refuse_credential(&head, body).await {
                Ok(()) => self.protected(route, head, caller).await,
                Err(form::Refused::Answer(answer)) => answer,
                Err(form::Refused::Rejection(rejection)) => {
                    self.meter.requests.add();
                    self.refuse(route, &rejection)
                }
            };
        }
        let exchange = |route| Route::exchange(route, head.uri.path()).map(|basic| (route, basic));
        if let Some((route, basic)) = self.routes.iter().find_map(exchange) {
            return self.open_session(route, basic, &head, caller).await;
        }
        if let Some(keys) = self.key_management.as_ref().filter(|keys| keys.has(head.uri.path())) {
            return match collect(body).await {
                Ok(body) => keys.answer(Request::from_parts(head, body), &caller.connection, self.clock.now()).await,
                Err(answer) => answer,
            };
        }
        if let Some(responder) = &self.ocsp_responder {
            return match collect(body).await {
                Ok(body) => ocsp::answer(responder, Request::from_parts(head, body)).await,
                Err(answer) => answer,
            };
        }
        if head.uri.path() == openapi::PATH && matches!(head.method, Verb::GET | Verb::HEAD) {
            return self.describe();
        }
        let Some(server) = &self.authorization_server else { return self.unknown(&head, caller).await };
        let mut request = match collect(body).await {
            Ok(form) => Request::from_parts(head, form),
            Err(answer) => return answer,
        };
        request.extensions_mut().insert(caller.connection.peer); // for the limits on guessing, which count by address
        if server.authenticates_at(request.uri().path()) {
            match self.holder(request.headers(), caller).await {
                Ok(None) => {}
                Ok(Some(client)) => drop(request.extensions_mut().insert(client)),
                Err(rejection) => return problem::refusal(&rejection, None, ""),
            }
        }
        match server.handle(&request).await {
            Some(answer) => answer.map(Full::new),
            None => self.unknown(&request.into_parts().0, caller).await,
        }
    }

    /// The certificate that a client of the authorization server is known by, judged as on a route: one that was good in the
    /// handshake need not be any more. Who has none that is good may still be known by something else.
    ///
    /// # Errors
    /// Nobody can tell now, or what a proxy passes on is no certificate.
    async fn holder(&self, fields: &HeaderMap, caller: &Caller) -> Result<Option<Arc<ClientIdentity>>, Rejection> {
        let certificates = self.routes.iter().find_map(|route| route.method.certificates());
        let Some(certificates) = certificates else { return Ok(None) };
        match certificates.holder(&caller.connection, fields, self.clock.now()).await {
            Ok(client) => Ok(Some(client)),
            Err(rejection @ (Rejection::Unavailable { .. } | Rejection::Ambiguous(_))) => Err(rejection),
            Err(rejection) => {
                tracing::debug!(reason = rejection.reason(), "a client has no good certificate");
                Ok(None)
            }
        }
    }

    fn describe(&self) -> Answer {
        let mut answer = Response::new(Full::new(self.description.clone()));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        answer
    }

    fn is_misdirected(&self, head: &Parts) -> bool {
        let host = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = head.uri.authority().map(|authority| authority.as_str()).or_else(host).unwrap_or_default();
        let authority = authority.strip_suffix(":443").unwrap_or(authority);
        self.misdirected.iter().any(|other| other.eq_ignore_ascii_case(authority))
    }

    async fn protected(&self, route: &Route, head: Parts, caller: &Caller) -> Answer {
        let request = auth::Request { head: &head, connection: &caller.connection, now: self.clock.now() };
        self.meter.requests.add();
        let begun = Instant::now();
        let verdict = route.method.authenticate(&request).await;
        if let Some(extra) = &route.extra {
            extra.work();
        }
        let took = begun.elapsed();
        self.meter.record_validation(took);
        if let Some(extra) = &route.extra {
            extra.took(took);
        }
        let verdict = verdict.and_then(|principal| {
            self.meter.accepted.add();
            route.authorise(principal)
        });
        match verdict {
            Ok(principal) if route.allows(&head.method) => {
                route.method.bill(&principal, &request);
                route.method.audit(&principal);
                route.resource(&principal, head.headers)
            }
            Ok(_) => problem::method_not_allowed(route.allowed()),
            Err(rejection) => self.refuse(route, &rejection),
        }
    }

    fn refuse(&self, route: &Route, rejection: &Rejection) -> Answer {
        self.meter.rejected(rejection);
        tracing::debug!(path = route.path, reason = rejection.reason(), "refused");
        problem::refusal(rejection, route.scheme, &route.scope)
    }

    /// Nothing is there, but only a caller who authenticates learns that. With one protected route that route's method
    /// decides; with several nobody does, for a credential must not be shown to a verifier that it was not meant for
    /// (RFC 8725 §3.12), and every caller is challenged. Counted like any request: guesses may come this way too.
    async fn unknown(&self, head: &Parts, caller: &Caller) -> Answer {
        let not_found = || problem::problem(StatusCode::NOT_FOUND, None, None);
        let protected: Vec<&Route> = self.routes.iter().filter(|route| route.is_protected()).collect();
        let [route] = protected.as_slice() else {
            let mut schemes = Vec::new();
            for scheme in protected.iter().filter_map(|route| route.scheme) {
                if !schemes.contains(&scheme) {
                    schemes.push(scheme);
                }
            }
            return if schemes.is_empty() { not_found() } else { problem::challenges(&schemes) };
        };
        let request = auth::Request { head, connection: &caller.connection, now: self.clock.now() };
        self.meter.requests.add();
        match route.method.authenticate(&request).await {
            Ok(_) => {
                self.meter.accepted.add();
                not_found()
            }
            Err(rejection) => self.refuse(route, &rejection),
        }
    }
}

/// What protected routes allow (RFC 9110 §9.3.7), without a credential: a browser's preflight carries none (Fetch §3.3.8).
/// No origin is allowed anything, so scripts of other pages neither send a credential here nor read an answer.
fn options(allowed: &'static str) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// Size of the field lines as HTTP/1 writes them.
fn field_bytes(fields: &HeaderMap) -> usize {
    fields.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}

async fn collect<B>(body: B) -> Result<Bytes, Answer>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match tokio::time::timeout(FORM_TIMEOUT, Limited::new(body, MAX_FORM).collect()).await {
        Ok(Ok(form)) => Ok(form.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(problem::problem(StatusCode::PAYLOAD_TOO_LARGE, None, Some("at most 64 KiB")))
        }
        Ok(Err(_)) => Err(problem::problem(StatusCode::BAD_REQUEST, None, Some("the body ended early"))),
        Err(_) => Err(problem::problem(StatusCode::REQUEST_TIMEOUT, None, None)),
    }
}

/// The answer to HEAD: the fields of the answer to GET, and no body (RFC 9110 §9.3.2).
fn without_body(answer: Answer) -> Answer {
    let (mut head, body) = answer.into_parts();
    if let Some(length) = body.size_hint().exact() {
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(head, Full::default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClockMode, MethodConfig};
    use crate::credential::http_signature::SIGNATURE_INPUT;
    use crate::testing;

    fn site() -> Site {
        let profile = Profile { path: "/whoami".to_owned(), ..testing::profile("none", MethodConfig::None) };
        Site {
            routes: vec![Route::new(&profile, Arc::new(Method::None))],
            key_management: None,
            authorization_server: None,
            ocsp_responder: None,
            description: Bytes::from_static(b"{}"),
            clock: Clock::new(ClockMode::System),
            meter: Arc::default(),
            misdirected: Vec::new(),
        }
    }

    fn caller() -> Caller {
        Caller {
            connection: auth::Connection::new(([127, 0, 0, 1], 1).into(), None),
            without_identity: false,
            closing: AtomicBool::new(false),
        }
    }

    fn request(verb: &str, uri: &str) -> Request<Full<Bytes>> {
        Request::builder().method(verb).uri(uri).header(HOST, "127.0.0.1").body(Full::default()).unwrap()
    }

    async fn status(verb: &str, uri: &str) -> u16 {
        site().answer(request(verb, uri), &caller()).await.status().as_u16()
    }

    #[tokio::test]
    async fn the_resource_names_the_principal() {
        let site = site();
        let answer = site.answer(request("GET", "/whoami?x=1"), &caller()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, serde_json::json!({"method": "none", "principal": "anonymous", "scopes": "", "cred_id": ""}));
        let counters = site.meter.counters();
        assert_eq!((counters.requests, counters.accepted), (1, 1));
    }

    #[tokio::test]
    async fn xc_13_bc_014_paths_are_exact() {
        for uri in [
            "//whoami",
            "/./whoami",
            "/whoami/",
            "/%77hoami",
            "/whoami;x",
            "/WHOAMI",
            "/whoam",
            "/",
            "/x/../whoami",
            "/x/%2e%2e/whoami",
        ] {
            assert_eq!(status("GET", uri).await, 404, "{uri}");
        }
        // The absolute form names the same path, and is judged as such.
        assert_eq!(status("GET", "http://other.test/whoami").await, 200);
    }

    #[tokio::test]
    async fn verbs() {
        for verb in ["POST", "PUT", "DELETE", "TRACE", "get", "options"] {
            let answer = site().answer(request(verb, "/whoami"), &caller()).await;
            assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED, "{verb}");
            assert_eq!(answer.headers()[ALLOW], ALLOWED);
        }
        let answer = site().answer(request("OPTIONS", "/whoami"), &caller()).await;
        assert_eq!(
            (answer.status(), &answer.headers()[ALLOW]),
            (StatusCode::NO_CONTENT, &HeaderValue::from_static(ALLOWED))
        );
        assert_eq!(status("OPTIONS", "/nothing").await, 404);
    }

    #[tokio::test]
    async fn xc_22_head_is_get_without_body() {
        let get = site().answer(request("GET", "/whoami"), &caller()).await;
        let length = get.body().size_hint().exact().unwrap();
        let head = site().answer(request("HEAD", "/whoami"), &caller()).await;
        assert_eq!(head.status(), get.status());
        assert_eq!(head.headers()[CONTENT_TYPE], get.headers()[CONTENT_TYPE]);
        assert_eq!(head.headers()[CONTENT_LENGTH], length.to_string());
        assert!(head.body().is_end_stream());
    }

    #[tokio::test]
    async fn hk_10_what_is_offered_is_told_to_everybody() {
        let answer = site().answer(request("GET", openapi::PATH), &caller()).await;
        assert_eq!(
            (answer.status(), &answer.headers()[CONTENT_TYPE]),
            (StatusCode::OK, &HeaderValue::from_static("application/json"))
        );
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "{}");
        assert_eq!(status("POST", openapi::PATH).await, 404);
    }

    #[tokio::test]
    async fn xc_7_bc_012_too_many_fields_and_wrong_hosts() {
        let mut many = request("GET", "/whoami");
        for n in 0..MAX_FIELDS {
            many.headers_mut().append("x-filler", HeaderValue::from(n));
        }
        assert_eq!(site().answer(many, &caller()).await.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

        let mut none = request("GET", "/whoami");
        none.headers_mut().remove(HOST);
        assert_eq!(site().answer(none, &caller()).await.status(), StatusCode::BAD_REQUEST);

        let mut two = request("GET", "/whoami");
        two.headers_mut().append(HOST, HeaderValue::from_static("other.test"));
        assert_eq!(site().answer(two, &caller()).await.status(), StatusCode::BAD_REQUEST);
    }

    #[tokio::test]
    async fn a_certificate_without_identity_is_forbidden_everywhere() {
        let caller = Caller { without_identity: true, ..caller() };
        for uri in ["/whoami", "/nothing"] {
            let answer = site().answer(request("GET", uri), &caller).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN);
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert!(String::from_utf8_lossy(&body).contains("client-identity-invalid"));
        }
    }

    /// A content that nobody may look at.
    struct Untouched;

    impl Body for Untouched {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
            panic!("it was read");
        }
    }

    #[tokio::test]
    async fn sr_6_a_content_is_read_where_it_is_authenticated_and_nowhere_else() {
        let with_content = || request("GET", "/whoami").map(|_| Untouched);
        assert_eq!(site().answer(with_content(), &caller()).await.status(), StatusCode::OK);

        let folder = tempfile::tempdir().unwrap();
        let config = crate::config::SignedConfig::new(crate::config::StoreConfig::Memory);
        let profile = testing::profile("signed", MethodConfig::Signed(config));
        let profile = Profile { path: "/whoami".to_owned(), ..profile };
        let method = Arc::new(Method::build(&profile, &testing::environment(folder.path())).await.unwrap());
        let site = Site { routes: vec![Route::new(&profile, method)], ..site() };
        let unsigned = site.answer(with_content(), &caller()).await;
        assert_eq!(unsigned.status(), StatusCode::UNAUTHORIZED);
        let reading = tokio::spawn(async move {
            let mut signed = with_content();
            signed.headers_mut().insert(&SIGNATURE_INPUT, HeaderValue::from_static("sig1=()"));
            site.answer(signed, &caller()).await
        });
        assert!(reading.await.is_err_and(|error| error.is_panic()), "it was not read");
    }

    #[tokio::test]
    async fn mt_35_bc_155_another_listeners_authority_is_misdirected() {
        let site = Site { misdirected: vec!["mtls.test".to_owned(), "localhost:8444".to_owned()], ..site() };
        let ask = async |uri: &str, host: &str, version| {
            let mut request = request("GET", uri);
            *request.version_mut() = version;
            request.headers_mut().insert(HOST, host.parse().unwrap());
            site.answer(request, &caller()).await.status().as_u16()
        };
        for authority in ["mtls.test", "MTLS.test:443", "localhost:8444"] {
            assert_eq!(ask(&format!("https://{authority}/whoami"), "x", Version::HTTP_2).await, 421, "{authority}");
            assert_eq!(ask("/whoami", authority, Version::HTTP_11).await, 421, "{authority}");
        }
        for authority in ["api.test", "localhost:8443", "mtls.test:8444"] {
            assert_eq!(ask(&format!("https://{authority}/whoami"), "x", Version::HTTP_2).await, 200, "{authority}");
        }
    }

    #[tokio::test]
    async fn forms_have_a_limit() {
        assert_eq!(collect(Full::new(Bytes::from(vec![b'x'; MAX_FORM]))).await.unwrap().len(), MAX_FORM);
        let answer = collect(Full::new(Bytes::from(vec![b'x'; MAX_FORM + 1]))).await.unwrap_err();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
