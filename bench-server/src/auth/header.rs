//! Taking a credential out of a request head, by the same rules for every method.
//!
//! RFC 9110 §11.4 (credentials), RFC 6750 §2 (bearer tokens), RFC 9700 §4.3.2 (no token in a URL).

use http::HeaderName;
use http::header::AUTHORIZATION;
use http::request::Parts;
use memchr::memchr2;

use super::{Cause, Rejection};

/// Longest bearer token looked at, in bytes: refused before base64, JSON or cryptography (RFC 8725bis).
pub const MAX_TOKEN: usize = 8 * 1024;

/// The same where a profile's own tokens are long: it covers the longest that
/// [`JwtConfig::CLAIMS_BYTES`](crate::config::JwtConfig::CLAIMS_BYTES) makes under any algorithm, and stays within the
/// limit for a whole header block.
pub const MAX_LONG_TOKEN: usize = 24 * 1024;

/// The value of a field that may occur once.
///
/// # Errors
/// [`Rejection::Ambiguous`] for a repeated field, [`Cause::Malformed`] for bytes outside visible ASCII.
pub fn single<'a>(head: &'a Parts, name: &HeaderName) -> Result<Option<&'a str>, Rejection> {
    let mut values = head.headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Rejection::Ambiguous("a credential field is repeated"));
    }
    // No early exit, so that the compiler tests many bytes at once: a token has half a thousand.
    let visible = value.as_bytes().iter().fold(true, |visible, byte| visible & matches!(byte, b' '..=b'~' | b'\t'));
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if visible => Ok(Some(text)),
        _ => Err(Rejection::Invalid(Cause::Malformed)),
    }
}

/// What follows `scheme` in `Authorization`: schemes compare without regard to case (RFC 9110 §11.1) and one or more
/// spaces follow (§11.4). `None` when there is no `Authorization` field.
///
/// # Errors
/// [`Rejection::Missing`] when another scheme was used, so that the challenge tells what is accepted; otherwise as
/// [`single`].
pub fn authorization<'a>(head: &'a Parts, scheme: &str) -> Result<Option<&'a str>, Rejection> {
    let Some(value) = single(head, &AUTHORIZATION)? else { return Ok(None) };
    let (used, rest) = value.split_once(' ').unwrap_or((value, ""));
    if used.eq_ignore_ascii_case(scheme) { Ok(Some(rest.trim_matches(' '))) } else { Err(Rejection::Missing) }
}

/// The bearer token of a request, of at most [`MAX_TOKEN`] bytes.
///
/// # Errors
/// As [`bearer_up_to`].
pub fn bearer(head: &Parts) -> Result<&str, Rejection> {
    bearer_up_to(head, MAX_TOKEN)
}

/// The bearer token of a request, of at most `longest` bytes.
///
/// # Errors
/// [`Rejection::Missing`] without one; [`Rejection::Ambiguous`] when one stands in the URL; [`Cause::Malformed`] when it
/// is empty, too long or contains a space.
pub fn bearer_up_to(head: &Parts, longest: usize) -> Result<&str, Rejection> {
    refuse_credential_in_url(head)?;
    let token = authorization(head, "Bearer")?.ok_or(Rejection::Missing)?;
    let is_one_word = memchr2(b' ', b',', token.as_bytes()).is_none();
    if token.is_empty() || token.len() > longest || !is_one_word {
        return Err(Rejection::Invalid(Cause::Malformed));
    }
    Ok(token)
}

/// Refuses `?access_token=` and `?api_key=`: URLs end up in logs and histories (RFC 6750 §2.3, RFC 9700 §4.3.2).
///
/// # Errors
/// [`Rejection::Ambiguous`].
pub fn refuse_credential_in_url(head: &Parts) -> Result<(), Rejection> {
    let Some(query) = head.uri.query() else { return Ok(()) };
    let named = names_credential(query.as_bytes());
    if named { Err(Rejection::Ambiguous("a credential stands in the URL")) } else { Ok(()) }
}

/// Whether a query or a form (`application/x-www-form-urlencoded`) has a parameter that carries a token or a key.
pub(crate) fn names_credential(encoded: &[u8]) -> bool {
    let carries = |name: &str| name.eq_ignore_ascii_case("access_token") || name.eq_ignore_ascii_case("api_key");
    form_urlencoded::parse(encoded).any(|(name, _)| carries(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str, authorization: &[&str]) -> Parts {
        let mut request = http::Request::builder().uri(uri);
        for value in authorization {
            request = request.header(AUTHORIZATION, *value);
        }
        request.body(()).expect("a valid request").into_parts().0
    }

    #[test]
    fn xc_4_scheme_is_case_insensitive_and_spaces_are_skipped() {
        assert_eq!(bearer(&head("/", &["bEaReR   abc"])), Ok("abc"));
    }

    #[test]
    fn xc_5_repeated_or_missing_or_foreign_scheme() {
        assert!(matches!(bearer(&head("/", &["Bearer a", "Bearer a"])), Err(Rejection::Ambiguous(_))));
        assert_eq!(bearer(&head("/", &[])), Err(Rejection::Missing));
        assert_eq!(bearer(&head("/", &["Foo abc"])), Err(Rejection::Missing));
        assert_eq!(bearer(&head("/", &[""])), Err(Rejection::Missing));
        assert_eq!(bearer(&head("/", &["Bearer"])), Err(Rejection::Invalid(Cause::Malformed)));
        assert_eq!(bearer(&head("/", &["Bearer a, Bearer b"])), Err(Rejection::Invalid(Cause::Malformed)));
    }

    #[test]
    fn every_byte_outside_visible_ascii_is_malformed() {
        for byte in 0..=255_u8 {
            let Ok(value) = http::HeaderValue::from_bytes(&[b"Bearer a".as_slice(), &[byte], b"b"].concat()) else {
                continue; // does not get past the parser of HTTP
            };
            let mut head = head("/", &[]);
            head.headers.insert(AUTHORIZATION, value);
            let acceptable = matches!(byte, 0x21..=0x7e | b'\t') && byte != b',';
            assert_eq!(bearer(&head).is_ok(), acceptable, "{byte:#x}");
        }
    }

    #[test]
    fn xc_6_credential_in_url_is_refused_even_beside_a_good_one() {
        assert!(matches!(bearer(&head("/?access_token=x", &["Bearer a"])), Err(Rejection::Ambiguous(_))));
        assert!(matches!(bearer(&head("/?Api_Key=x", &[])), Err(Rejection::Ambiguous(_))));
    }
}
