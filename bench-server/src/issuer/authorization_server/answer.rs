//! The plain answers that all endpoints are made of.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, PRAGMA, REFERRER_POLICY};
use http::{HeaderValue, Method, Request, Response, StatusCode};

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A JSON document that no cache keeps (RFC 6749 §5.1).
pub(super) fn json(status: StatusCode, body: &impl serde::Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(body).expect("answers have string keys and finite numbers");
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// An empty 200 (RFC 7009 §2.2).
pub(super) fn empty() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

/// 303: the browser follows with GET, so that no form is sent on (RFC 9700 §4.12).
pub(super) fn see_other(location: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(
        LOCATION,
        HeaderValue::try_from(location).expect("redirect URIs, queries and paths are checked to be ASCII"),
    );
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// 405, when the method is not among `allowed`. `HEAD` goes where `GET` goes.
pub(super) fn wrong_method(request: &Request<Bytes>, allowed: &'static str) -> Option<Response<Bytes>> {
    let method = if request.method() == Method::HEAD { "GET" } else { request.method().as_str() };
    if allowed.split(", ").any(|one| one == method) {
        return None;
    }
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    Some(response)
}
