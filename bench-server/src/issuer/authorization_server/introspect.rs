//! Introspection (RFC 7662): what an access token means, told to resource servers.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde_json::json;

use super::error::{ErrorCode, OAuthError};
use super::params::Parameters;
use super::{AuthorizationServer, answer};
use crate::config::{AUDIENCE, ENVIRONMENT_CLAIM};

impl AuthorizationServer {
    /// Only access tokens are active here: a refresh token is nobody's business but the client's and ours, and so it can
    /// never be taken for an access token.
    pub(super) async fn introspect(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, OAuthError> {
        let now = self.clock.now();
        let form = Parameters::of_body(request)?;
        let caller = self.clients.authenticate(request, &form, now)?;
        if !caller.is_confidential() {
            return Err(OAuthError::invalid_client()); // an identifier alone proves nothing (RFC 7662 §2.1)
        }
        let token = form.get("token");
        let token = token.ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, "token is missing"))?;
        let mut found = if caller.may_introspect { self.tokens.find_access(token, now) } else { None };
        if let Some(token) = &found
            && !self.has_live_key(&token.grant, now).await?
        {
            found = None;
        }
        let Some(token) = found else {
            return Ok(answer::json(StatusCode::OK, &json!({ "active": false })));
        };
        let mut body = json!({
            "active": true,
            "client_id": token.grant.client.id,
            "sub": token.grant.subject(),
            "aud": AUDIENCE,
            "iss": self.issuer,
            "exp": token.exp,
            "iat": token.iat,
            "token_type": token.kind(),
            "jti": token.jti,
        });
        if let Some(cnf) = token.confirmation() {
            body["cnf"] = json!(cnf);
        }
        let environment = token.grant.client.environment;
        if !environment.is_live() {
            body[ENVIRONMENT_CLAIM] = environment.name().into();
        }
        if !token.scopes.is_empty() {
            body["scope"] = token.scopes.to_string().into();
        }
        Ok(answer::json(StatusCode::OK, &body))
    }
}
