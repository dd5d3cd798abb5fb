//! Tokens in the body of a form, which RFC 6750 §2.2 knows and RFC 9700 §4.3.2 does not want: refused, alone or beside a field.

use ::http::header::CONTENT_TYPE;
use ::http::request::Parts;
use bytes::Bytes;
use hyper::body::Body;

use super::collect;
use crate::auth::{Rejection, header};
use crate::net::problem::Answer;

/// Why a request goes no further.
pub(super) enum Refused {
    /// A credential stands in the form.
    Rejection(Rejection),
    /// The form could not be read.
    Answer(Answer),
}

/// Looks into the body of a form. Requests without one, which is almost all, pass at no cost.
pub(super) async fn refuse_credential<B>(head: &Parts, body: B) -> Result<(), Refused>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() || !is_form(head) {
        return Ok(());
    }
    let form = collect(body).await.map_err(Refused::Answer)?;
    if header::names_credential(&form) {
        return Err(Refused::Rejection(Rejection::Ambiguous("a credential stands in the form")));
    }
    Ok(())
}

fn is_form(head: &Parts) -> bool {
    let media_type = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
