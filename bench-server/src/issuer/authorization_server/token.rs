//! The token endpoint (RFC 6749 §3.2, §4.1.3, §4.4, §6; RFC 9068 for tokens that are JWTs).

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::certificate::{self, Confirmation};
use super::client::{Client, GrantType};
use super::error::{ErrorCode, OAuthError};
use super::grant::Grant;
use super::params::Parameters;
use super::scope::Scopes;
use super::store::{AccessToken, Redemption, Renewal};
use super::{AuthorizationServer, answer, exchange, opaque};
use crate::clock::UnixTime;
use crate::config::{AUDIENCE, KeyEnvironment};
use crate::credential::dpop::{self, Expected, Proof};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    /// [`ENVIRONMENT_CLAIM`](crate::config::ENVIRONMENT_CLAIM).
    #[serde(rename = "https://api.authbench.test/environment", skip_serializing_if = "KeyEnvironment::is_live")]
    environment: KeyEnvironment,
}

/// What a token is bound to: the key of a proof (RFC 9449 §6), the client's certificate (RFC 8705 §3).
type Bound = (Option<String>, Option<Arc<str>>);

impl AuthorizationServer {
    pub(super) async fn token(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, OAuthError> {
        let now = self.clock.now();
        let form = Parameters::of_body(request)?;
        if let Some(exchange) = &self.exchange
            && form.get("grant_type") == Some(exchange::GRANT_TYPE)
        {
            return self.exchange_key(exchange, request, &form, now).await;
        }
        let client = self.clients.authenticate(request, &form, now)?;
        let name = form.get("grant_type").ok_or_else(|| missing("grant_type is missing"))?;
        let grant_type = GrantType::parse(name)
            .ok_or_else(|| OAuthError::new(ErrorCode::UnsupportedGrantType, "this grant type is not offered"))?;
        if !client.allows_grant(grant_type) {
            let description = "the client is not registered for this grant type";
            return Err(OAuthError::new(ErrorCode::UnauthorizedClient, description));
        }
        check_resource(&form)?;
        let x5t = certificate::binding(&client, request)?;
        let jkt = self.proven_key(request, now)?;
        match grant_type {
            GrantType::AuthorizationCode => self.authorization_code(&client, &form, (jkt, x5t), now),
            GrantType::ClientCredentials => self.client_credentials(client, &form, (jkt, x5t), now),
            GrantType::RefreshToken => self.refresh_token(&client, &form, (jkt, x5t), now),
        }
    }

    /// The key that the request proves to hold, by its thumbprint; `None` where nothing is to be proven (RFC 9449 §5).
    pub(super) fn proven_key(&self, request: &Request<Bytes>, now: UnixTime) -> Result<Option<String>, OAuthError> {
        let read = || {
            let Some(text) = dpop::presented(request.headers())? else { return Ok(None) };
            let proof = Proof::read(text, &self.meter)?;
            let nonces = self.nonces.as_ref();
            proof.check(&Expected { method: "POST", url: &self.token_url, token: None, nonces, now })?;
            proof.first_use(&self.proofs, now)?;
            Ok(Some(proof.jkt))
        };
        read().map_err(OAuthError::of_proof)
    }

    fn authorization_code(
        &self,
        client: &Client,
        form: &Parameters,
        (jkt, x5t): Bound,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let redemption = Redemption {
            client_id: &client.id,
            code: form.get("code").ok_or_else(|| missing("code is missing"))?,
            redirect_uri: form.get("redirect_uri"),
            verifier: form.get("code_verifier").ok_or_else(|| missing("code_verifier is missing"))?,
            jkt: jkt.as_deref(),
        };
        let grant = self.tokens.redeem(&redemption, now)?;
        let refresh = client.allows_grant(GrantType::RefreshToken).then(|| {
            self.meter.store_writes.add();
            // A confidential client is known by its secret; a public one by the key alone (RFC 9449 §5).
            let bound = jkt.clone().filter(|_| !client.is_confidential());
            self.tokens.start_family(grant.clone(), bound, now)
        });
        let scopes = grant.scopes.clone();
        self.answer(grant, (scopes, (jkt, x5t)), refresh, now)
    }

    fn client_credentials(
        &self,
        client: Arc<Client>,
        form: &Parameters,
        (jkt, x5t): Bound,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let scopes = requested_scopes(form)?.unwrap_or_else(|| client.scopes.clone());
        if !scopes.is_subset_of(&client.scopes) {
            return Err(OAuthError::new(ErrorCode::InvalidScope, "scope is wider than the client's registration"));
        }
        let grant = Grant::of_client(client, scopes.clone());
        self.answer(grant, (scopes, (jkt, x5t)), None, now)
    }

    fn refresh_token(
        &self,
        client: &Client,
        form: &Parameters,
        (jkt, x5t): Bound,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let renewal = Renewal {
            client_id: &client.id,
            presented: form.get("refresh_token").ok_or_else(|| missing("refresh_token is missing"))?,
            scopes: requested_scopes(form)?,
            jkt: jkt.as_deref(),
        };
        let (grant, scopes, next) = self.tokens.refresh(renewal, now)?;
        self.meter.store_writes.add();
        self.answer(grant, (scopes, (jkt, x5t)), Some(next), now)
    }

    /// Issues an access token and answers with it.
    fn answer(
        &self,
        grant: Arc<Grant>,
        issued: (Scopes, Bound),
        refresh: Option<String>,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let mut body = self.issue(grant, issued, now)?;
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        Ok(answer::json(StatusCode::OK, &body))
    }

    /// Issues an access token; what is answered with it (RFC 6749 §5.1). The scope is always told.
    pub(super) fn issue(
        &self,
        grant: Arc<Grant>,
        (scopes, (jkt, x5t)): (Scopes, Bound),
        now: UnixTime,
    ) -> Result<Value, OAuthError> {
        let lifetime = grant.client.access_token_lifetime.as_secs();
        let scope = scopes.to_string();
        let iat = now.as_secs();
        let token = AccessToken { grant, scopes, jti: opaque::identifier(), iat, exp: iat + lifetime, jkt, x5t };
        let (text, kind) = (self.text_of(&token, &scope, now)?, token.kind());
        self.tokens.add_access(&text, token, now);
        self.meter.store_writes.add();

        let mut body = json!({ "access_token": text, "token_type": kind, "expires_in": lifetime });
        if !scope.is_empty() {
            body["scope"] = scope.into();
        }
        Ok(body)
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
            cnf: token.confirmation(),
            environment: token.grant.client.environment,
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

/// The scopes that a request asks for, if it does.
pub(super) fn requested_scopes(form: &Parameters) -> Result<Option<Scopes>, OAuthError> {
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
