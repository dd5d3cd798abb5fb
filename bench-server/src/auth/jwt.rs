//! stub

use crate::auth::{AdminError, BuildError, Environment, Principal, Rejection, Request};
use crate::config::JwtConfig;
use crate::contract::{IssueRequest, Issued};

/// stub
pub struct Jwt;

impl Jwt {
    pub(crate) fn build(_name: &str, _config: &JwtConfig, _environment: &Environment) -> Result<Self, BuildError> {
        unimplemented!()
    }
    pub(crate) fn authenticate(&self, _request: &Request<'_>) -> Result<Principal, Rejection> {
        unimplemented!()
    }
    pub(crate) async fn issue(&self, _request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        unimplemented!()
    }
    pub(crate) async fn revoke(&self, _id: &str) -> Result<(), AdminError> {
        unimplemented!()
    }
}

/// The rules that a JWT access token (RFC 9068) is held to.
pub(crate) struct Validator {
    /// `iss`, compared exactly.
    pub(crate) issuer: std::sync::Arc<str>,
    /// The one accepted `alg`.
    pub(crate) algorithm: crate::config::Algorithm,
    /// Time rules.
    pub(crate) rules: crate::config::TokenRules,
}

/// The claims of an accepted token.
pub(crate) struct Claims {
    pub(crate) sub: String,
    pub(crate) client_id: String,
    pub(crate) jti: String,
    /// Space-separated.
    pub(crate) scope: String,
    /// NumericDate.
    pub(crate) exp: u64,
}

impl Validator {
    /// Checks a compact JWS against a key set: header, signature, claims (RFC 9068 §4).
    pub(crate) fn validate(
        &self,
        _token: &str,
        _keys: &crate::credential::jws::KeySet,
        _now: crate::clock::UnixTime,
        _meter: &crate::telemetry::Meter,
    ) -> Result<Claims, Rejection> {
        unimplemented!()
    }
}
