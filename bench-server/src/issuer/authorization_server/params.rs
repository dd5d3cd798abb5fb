//! Parameters of OAuth requests (RFC 6749 §3.1, §3.2, appendix B).

use std::collections::BTreeSet;

use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;

use super::error::{ErrorCode, OAuthError};

/// The one parameter that a request may repeat (RFC 8707 §2).
const MAY_REPEAT: &str = "resource";

/// Decoded parameters in the order of the request.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pairs: Vec<(String, String)>,
    repeated: BTreeSet<String>,
}

impl Parameters {
    /// Reads `application/x-www-form-urlencoded`.
    pub(super) fn parse(encoded: &[u8]) -> Self {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(encoded).into_owned().collect();
        let mut seen = BTreeSet::new();
        let repeated = pairs.iter().filter(|(name, _)| !seen.insert(name)).map(|(name, _)| name.clone()).collect();
        Self { pairs, repeated }
    }

    /// Reads the body of a POST whose parameters must stand in the body, each at most once.
    ///
    /// # Errors
    /// `invalid_request`.
    pub(super) fn of_body(request: &Request<Bytes>) -> Result<Self, OAuthError> {
        let form = Self::of_form(request)?;
        if request.uri().query().is_some() {
            return Err(OAuthError::new(ErrorCode::InvalidRequest, "parameters belong in the body, not in the URL"));
        }
        if form.any_repeated() {
            return Err(OAuthError::new(ErrorCode::InvalidRequest, "a parameter is repeated"));
        }
        Ok(form)
    }

    /// Reads the body of a POST that a page's form sent.
    ///
    /// # Errors
    /// `invalid_request` for another media type.
    pub(super) fn of_form(request: &Request<Bytes>) -> Result<Self, OAuthError> {
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let remedy = "the body must be application/x-www-form-urlencoded";
            return Err(OAuthError::new(ErrorCode::InvalidRequest, remedy));
        }
        Ok(Self::parse(request.body()))
    }

    /// The value; `None` when absent or empty, which mean the same.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// All values that are not empty.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// Whether this parameter occurs more than once.
    pub(super) fn repeats(&self, name: &str) -> bool {
        self.repeated.contains(name)
    }

    /// Whether any parameter occurs more often than it may.
    pub(super) fn any_repeated(&self) -> bool {
        self.repeated.iter().any(|name| name != MAY_REPEAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_means_absent_and_repeats_are_seen() {
        let parameters = Parameters::parse(b"a=&b=1&c=x+y%21&c=&resource=1&resource=2");
        assert_eq!(parameters.get("a"), None);
        assert_eq!(parameters.get("b"), Some("1"));
        assert_eq!(parameters.get("c"), Some("x y!"));
        assert!(parameters.repeats("c") && !parameters.repeats("b"));
        assert!(parameters.any_repeated());
        assert!(!Parameters::parse(b"resource=1&resource=2").any_repeated());
        assert_eq!(parameters.all("resource").collect::<Vec<_>>(), ["1", "2"]);
    }
}
