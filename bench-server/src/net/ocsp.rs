//! OCSP over HTTP (RFC 6960 Appendix A, RFC 9919 §6 and §7.2): a request in the body of a POST, or in the path of a GET,
//! whose answer caches may keep.

use std::sync::Arc;

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, EXPIRES, HeaderName, LAST_MODIFIED};
use ::http::{HeaderMap, HeaderValue, Method as Verb, Request, Response, StatusCode};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http_body_util::Full;
use percent_encoding::percent_decode_str;

use super::problem::{self, Answer};
use crate::clock::UnixTime;
use crate::credential::ocsp::{REQUEST_TYPE, RESPONSE_TYPE};
use crate::issuer::authorization_server::opaque;
use crate::issuer::ca::{OcspAnswer, OcspResponder};

/// The base64 of a GET, of which some clients leave out the padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Answers whatever comes to a listener that carries a responder.
pub(super) async fn answer(responder: &Arc<OcspResponder>, request: Request<Bytes>) -> Answer {
    let question = match *request.method() {
        Verb::GET | Verb::HEAD => in_path(request.uri().path()),
        Verb::POST if request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == REQUEST_TYPE) => {
            request.into_body()
        }
        Verb::POST => return problem::problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, None, Some(REQUEST_TYPE)),
        _ => return problem::method_not_allowed("GET, HEAD, POST"),
    };
    let responder = responder.clone();
    // It reads files, and waits while a CRL is signed.
    match tokio::task::spawn_blocking(move || responder.answer(&question)).await {
        Ok(answer) => respond(answer),
        Err(error) => {
            tracing::error!(%error, "the thread that answered an OCSP request stopped");
            problem::problem(StatusCode::INTERNAL_SERVER_ERROR, None, None)
        }
    }
}

/// The request in the path of a GET. What cannot be decoded is answered like any request of the wrong form.
fn in_path(path: &str) -> Bytes {
    let base64: Vec<u8> = percent_decode_str(path.strip_prefix('/').unwrap_or(path)).collect();
    BASE64.decode(base64).map(Bytes::from).unwrap_or_default()
}

/// The status of HTTP is 200 whatever the answer says: what went wrong is said inside it.
fn respond(OcspAnswer { der, shared }: OcspAnswer) -> Answer {
    let mut fields = HeaderMap::new();
    let mut field = |name: HeaderName, value: String| {
        fields.insert(name, HeaderValue::try_from(value).expect("digits, dates and words are a field value"));
    };
    match shared {
        // With a nonce it is of use to nobody else, and a refusal may be over by the next time.
        None => field(CACHE_CONTROL, "no-store".to_owned()),
        Some((this_update, next_update)) => {
            // One less, since the answer may have been given up to a second after `thisUpdate`.
            let seconds = next_update.as_secs().saturating_sub(this_update.as_secs()).saturating_sub(1);
            field(CACHE_CONTROL, format!("max-age={seconds}, public, no-transform, must-revalidate"));
            field(LAST_MODIFIED, date(this_update));
            field(EXPIRES, date(next_update));
            let hash = digest(&SHA256, &der);
            field(ETAG, format!("\"{}\"", opaque::hex(hash.as_ref())));
        }
    }
    field(CONTENT_TYPE, RESPONSE_TYPE.to_owned());
    let mut response = Response::new(Full::new(Bytes::from(der)));
    *response.headers_mut() = fields;
    response
}

fn date(time: UnixTime) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + time.0)
}
