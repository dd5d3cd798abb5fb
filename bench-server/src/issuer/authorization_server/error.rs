//! OAuth errors and how they are answered (RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2).

use std::time::Duration;

use bytes::Bytes;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::answer;
use crate::config::REALM;
use crate::credential::dpop::Fault;
use crate::limit::{self, Quota};

/// Registered error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ErrorCode {
    AccessDenied,
    InvalidClient,
    InvalidDpopProof,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    ServerError,
    TemporarilyUnavailable,
    UnauthorizedClient,
    UnsupportedGrantType,
    UnsupportedResponseType,
    UseDpopNonce,
}

impl ErrorCode {
    /// The code on the wire.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::AccessDenied => "access_denied",
            Self::InvalidClient => "invalid_client",
            Self::InvalidDpopProof => "invalid_dpop_proof",
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::UseDpopNonce => "use_dpop_nonce",
        }
    }
}

/// An error answer. The description is a fixed text: nothing that the caller sent comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OAuthError {
    pub(super) code: ErrorCode,
    pub(super) description: &'static str,
    /// The quota that is used up.
    over: Option<Box<Quota>>,
    /// What the next proof has to hold (RFC 9449 §8).
    nonce: Option<String>,
}

impl OAuthError {
    pub(super) fn new(code: ErrorCode, description: &'static str) -> Self {
        Self { code, description, over: None, nonce: None }
    }

    /// The client is not who it says (RFC 6749 §5.2).
    pub(super) fn invalid_client() -> Self {
        Self::new(ErrorCode::InvalidClient, "client authentication failed")
    }

    /// Too many failures: 429.
    pub(super) fn throttled(over: Quota) -> Self {
        let description = "too many failed attempts";
        Self { over: Some(Box::new(over)), ..Self::new(ErrorCode::TemporarilyUnavailable, description) }
    }

    /// The key that is exchanged is over its limit: 429.
    pub(super) fn over_limit(over: Quota) -> Self {
        let description = "too many requests with this key";
        Self { over: Some(Box::new(over)), ..Self::new(ErrorCode::TemporarilyUnavailable, description) }
    }

    /// The proof that came along is not to be accepted (RFC 9449 §5 and §8).
    pub(super) fn of_proof(fault: Fault) -> Self {
        match fault {
            Fault::Proof => Self::new(ErrorCode::InvalidDpopProof, "the DPoP proof is not acceptable"),
            Fault::Nonce(nonce) => {
                let description = "the DPoP proof must hold the nonce that comes with this answer";
                Self { nonce: Some(nonce), ..Self::new(ErrorCode::UseDpopNonce, description) }
            }
            Fault::Full => Self::busy(),
        }
    }

    /// There is no room for what has to be remembered: 503.
    pub(super) fn busy() -> Self {
        Self::new(ErrorCode::TemporarilyUnavailable, "the server is busy; try again")
    }

    fn status(&self) -> StatusCode {
        match self.code {
            _ if self.over.is_some() => StatusCode::TOO_MANY_REQUESTS,
            ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer of a token, introspection or revocation endpoint.
    pub(super) fn response(&self) -> Response<Bytes> {
        let body = json!({ "error": self.code.as_str(), "error_description": self.description });
        let mut response = answer::json(self.status(), &body);
        let headers = response.headers_mut();
        // RFC 6749 asks for a challenge when the client used the header; RFC 9110 §15.5.2 asks for one on every 401.
        if self.status() == StatusCode::UNAUTHORIZED {
            let challenge = format!("Basic realm=\"{REALM}\", charset=\"UTF-8\"");
            headers.insert(WWW_AUTHENTICATE, HeaderValue::try_from(challenge).expect("REALM is a plain word"));
        }
        if let Some(quota) = &self.over {
            quota.refuse(headers);
        } else if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, limit::retry_after(Duration::from_secs(1)));
        }
        if let Some(nonce) = &self.nonce {
            headers.insert("dpop-nonce", HeaderValue::try_from(nonce).expect("base64url is visible ASCII"));
        }
        response
    }
}
