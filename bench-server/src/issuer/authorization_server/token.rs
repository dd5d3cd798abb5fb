//! The token endpoint (RFC 6749 §3.2, §4.1.3, §4.4, §6; RFC 9068 for tokens that are JWTs).

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::client::{Client, GrantType};
use super::error::{ErrorCode, OAuthError};
use super::grant::Grant;
use super::params::Parameters;
use super::scope::Scopes;
use super::store::{AccessToken, Redemption};
use super::{AuthorizationServer, answer, opaque};
use crate::clock::UnixTime;
use crate::config::AUDIENCE;

/// The claims of a JWT access token (RFC 9068 §2.2).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
}

impl AuthorizationServer {
    pub(super) fn token(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, OAuthError> {
        let now = self.clock.now();
        let form = Parameters::of_body(request)?;
        let client = self.clients.authenticate(request, &form, now)?;
        let name = form.get("grant_type").ok_or_else(|| missing("grant_type is missing"))?;
        let grant_type = GrantType::parse(name)
            .ok_or_else(|| OAuthError::new(ErrorCode::UnsupportedGrantType, "this grant type is not offered"))?;
        if !client.allows_grant(grant_type) {
            let description = "the client is not registered for this grant type";
            return Err(OAuthError::new(ErrorCode::UnauthorizedClient, description));
        }
        check_resource(&form)?;
        match grant_type {
            GrantType::AuthorizationCode => self.authorization_code(&client, &form, now),
            GrantType::ClientCredentials => self.client_credentials(client, &form, now),
            GrantType::RefreshToken => self.refresh_token(&client, &form, now),
        }
    }

    fn authorization_code(
        &self,
        client: &Client,
        form: &Parameters,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let redemption = Redemption {
            client_id: &client.id,
            code: form.get("code").ok_or_else(|| missing("code is missing"))?,
            redirect_uri: form.get("redirect_uri"),
            verifier: form.get("code_verifier").ok_or_else(|| missing("code_verifier is missing"))?,
        };
        let grant = self.tokens.redeem(&redemption, now)?;
        let refresh = client.allows_grant(GrantType::RefreshToken).then(|| {
            self.meter.store_writes.add();
            self.tokens.start_family(grant.clone(), now)
        });
        let scopes = grant.scopes.clone();
        self.answer(grant, scopes, refresh, now)
    }

    fn client_credentials(
        &self,
        client: Arc<Client>,
        form: &Parameters,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let scopes = requested_scopes(form)?.unwrap_or_else(|| client.scopes.clone());
        if !scopes.is_subset_of(&client.scopes) {
            return Err(OAuthError::new(ErrorCode::InvalidScope, "scope is wider than the client's registration"));
        }
        let grant = Grant::of_client(client, scopes.clone());
        self.answer(grant, scopes, None, now)
    }

    fn refresh_token(&self, client: &Client, form: &Parameters, now: UnixTime) -> Result<Response<Bytes>, OAuthError> {
        let presented = form.get("refresh_token").ok_or_else(|| missing("refresh_token is missing"))?;
        let (grant, scopes, next) = self.tokens.refresh(&client.id, presented, requested_scopes(form)?, now)?;
        self.meter.store_writes.add();
        self.answer(grant, scopes, Some(next), now)
    }

    /// Issues an access token and answers with it (RFC 6749 §5.1). The scope is always told.
    fn answer(
        &self,
        grant: Arc<Grant>,
        scopes: Scopes,
        refresh: Option<String>,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let lifetime = grant.client.access_token_lifetime.as_secs();
        let scope = scopes.to_string();
        let iat = now.as_secs();
        let token = AccessToken { grant, scopes, jti: opaque::identifier(), iat, exp: iat + lifetime };
        let text = self.text_of(&token, &scope, now)?;
        self.tokens.add_access(&text, token, now);
        self.meter.store_writes.add();

        let mut body = json!({ "access_token": text, "token_type": "Bearer", "expires_in": lifetime });
        if !scope.is_empty() {
            body["scope"] = scope.into();
        }
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        Ok(answer::json(StatusCode::OK, &body))
    }

    fn text_of(&self, token: &AccessToken, scope: &str, now: UnixTime) -> Result<String, OAuthError> {
        let Some(keys) = &self.keys else { return Ok(opaque::access_token()) };
        let claims = Claims {
            iss: &self.issuer,
            sub: &token.grant.subject(),
            aud: AUDIENCE,
            client_id: &token.grant.client.id,
            jti: &token.jti,
            iat: token.iat,
            exp: token.exp,
            scope,
        };
        keys.sign("at+jwt", &claims, now).map_err(|error| {
            tracing::error!(%error, "an access token could not be signed");
            OAuthError::new(ErrorCode::ServerError, "the token could not be signed")
        })
    }
}

fn missing(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}

fn requested_scopes(form: &Parameters) -> Result<Option<Scopes>, OAuthError> {
    let malformed = || OAuthError::new(ErrorCode::InvalidScope, "scope is malformed");
    form.get("scope").map(|value| Scopes::parse(value).ok_or_else(malformed)).transpose()
}

/// There is one protected resource (RFC 8707 §2); a token for another cannot be had here.
pub(super) fn check_resource(parameters: &Parameters) -> Result<(), OAuthError> {
    if parameters.all("resource").all(|resource| resource == AUDIENCE) {
        return Ok(());
    }
    Err(OAuthError::new(ErrorCode::InvalidTarget, "the resource is not known"))
}
