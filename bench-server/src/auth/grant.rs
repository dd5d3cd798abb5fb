//! What an administrative request grants, checked once for the methods that issue credentials of their own.

use std::sync::Arc;
use std::time::Duration;

use super::AdminError;
use crate::clock::UnixTime;
use crate::contract::IssueRequest;

/// The same for every credential of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// Space-separated (RFC 6749 §3.3); empty grants nothing.
    pub(crate) scopes: Arc<str>,
    /// When it was granted.
    pub(crate) created: UnixTime,
    /// The first moment at which the credential is no longer accepted; absent means never.
    pub(crate) expires: Option<UnixTime>,
}

impl Grant {
    /// Checks a request that arrived at `now`.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a count of 0, a scope that RFC 6749 §3.3 does not allow, or a lifetime over a
    /// century.
    pub(crate) fn new(request: &IssueRequest, now: UnixTime) -> Result<Self, AdminError> {
        if request.count == 0 {
            return Err(AdminError::BadRequest("count is 0; ask for at least 1 credential".to_owned()));
        }
        if let Some(scope) = request.scopes.iter().find(|scope| !is_scope_token(scope)) {
            return Err(AdminError::BadRequest(format!(
                "scope {scope:?} is not a scope-token of RFC 6749 §3.3: visible ASCII without space, \" and \\"
            )));
        }
        let expires = match request.lifetime {
            None => None,
            Some(lifetime) if lifetime <= LONGEST => Some(UnixTime(now.0 + lifetime)),
            Some(lifetime) => {
                let days = lifetime.as_secs() / 86_400;
                return Err(AdminError::BadRequest(format!(
                    "lifetime of {days} days is over 100 years; leave it out for a credential that never expires"
                )));
            }
        };
        Ok(Self { scopes: request.scopes.join(" ").into(), created: now, expires })
    }
}

/// Keeps every moment within a 64-bit number of nanoseconds, which is what SQLite stores.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

fn is_scope_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(count: usize, lifetime: Option<Duration>, scopes: &[&str]) -> Result<Grant, AdminError> {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        Grant::new(&IssueRequest { count, lifetime, scopes }, UnixTime(Duration::from_secs(100)))
    }

    #[test]
    fn scopes_are_joined_and_the_lifetime_counts_from_now() {
        let granted = grant(1, Some(Duration::from_secs(5)), &["read", "write"]).expect("a sound request");
        assert_eq!(&*granted.scopes, "read write");
        assert_eq!(granted.expires, Some(UnixTime(Duration::from_secs(105))));
        let nothing = grant(1, None, &[]).expect("a sound request");
        assert_eq!((&*nothing.scopes, nothing.expires), ("", None));
    }

    #[test]
    fn unsound_requests_are_refused() {
        assert!(matches!(grant(0, None, &["read"]), Err(AdminError::BadRequest(_))));
        assert!(matches!(grant(1, Some(Duration::MAX), &["read"]), Err(AdminError::BadRequest(_))));
        for scope in ["", "read write", "re\"ad", "re\\ad", "lesen\u{e4}"] {
            assert!(matches!(grant(1, None, &[scope]), Err(AdminError::BadRequest(_))), "{scope:?}");
        }
    }
}
