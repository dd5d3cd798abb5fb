//! What the server publishes about itself: RFC 8414 metadata and RFC 7517 keys.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::assertion;
use super::client::GrantType;
use super::opaque;
use crate::credential::dpop;

/// The document at `/.well-known/oauth-authorization-server`. Everything in it exists (RFC 8414 §2, RFC 9207 §3).
pub(super) fn document(issuer: &str, with_jwks: bool) -> Value {
    let base = issuer.trim_end_matches('/');
    let confidential = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let any = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"];
    let algorithms = assertion::algorithms();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "token_endpoint_auth_methods_supported": any,
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint": format!("{base}/introspect"),
        "introspection_endpoint_auth_methods_supported": confidential,
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint": format!("{base}/revoke"),
        "revocation_endpoint_auth_methods_supported": any,
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": GrantType::ALL.map(|(name, _)| name),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "dpop_signing_alg_values_supported": dpop::ALGORITHMS,
    });
    if with_jwks {
        document["jwks_uri"] = format!("{base}/jwks").into();
    }
    document
}

/// A public document that clients may keep for `max_age`; 304 when they still have it.
pub(super) fn published(request: &Request<Bytes>, document: &Value, max_age: Duration) -> Response<Bytes> {
    let body = document.to_string();
    let etag = format!("\"{}\"", &opaque::hex(&opaque::digest(&body))[..32]);
    let known = request.headers().get_all(IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
    let unchanged = known
        .flat_map(|field| field.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag);

    let mut response = Response::new(if unchanged { Bytes::new() } else { Bytes::from(body) });
    let headers = response.headers_mut();
    let max_age = format!("public, max-age={}", max_age.as_secs());
    headers.insert(CACHE_CONTROL, HeaderValue::try_from(max_age).expect("digits"));
    headers.insert(ETAG, HeaderValue::try_from(etag).expect("hexadecimal digits"));
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    response
}
