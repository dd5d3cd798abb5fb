//! Revocation (RFC 7009).

use bytes::Bytes;
use http::{Request, Response};

use super::error::{ErrorCode, OAuthError};
use super::params::Parameters;
use super::{AuthorizationServer, answer};

impl AuthorizationServer {
    /// 200 whether or not the token existed; `token_type_hint` is not needed, for tokens are found by their digest.
    pub(super) fn revoke(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, OAuthError> {
        let now = self.clock.now();
        let form = Parameters::of_body(request)?;
        let client = self.clients.authenticate(request, &form, now)?;
        let token = form.get("token");
        let token = token.ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, "token is missing"))?;
        self.tokens.revoke(&client.id, token, now)?;
        self.meter.store_writes.add();
        Ok(answer::empty())
    }
}
