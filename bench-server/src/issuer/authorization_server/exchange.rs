//! API keys exchanged for JWTs that live for a short time (RFC 8693): for an API that looks nothing up.
//!
//! A key names its application, so it is all the authentication that the exchange asks for. The JWT is the application's own,
//! like one that a client gets for itself (RFC 6749 §4.4): it speaks of no user, and may do what the key may or less. It ends
//! with the key at the latest. Once the key is revoked nothing more is had for it, and whoever introspects its JWTs hears that
//! at once; whoever checks them by their signature learns nothing, and accepts them until their end: that is the bound.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use serde_json::Value;

use super::client::{self, Client};
use super::error::{ErrorCode, OAuthError};
use super::grant::Grant;
use super::params::Parameters;
use super::scope::Scopes;
use super::{AuthorizationServer, answer, token};
use crate::auth::api_key::ApiKey;
use crate::auth::{BuildError, Method, Rejection};
use crate::clock::UnixTime;
use crate::config::{AUDIENCE, AccessTokenFormat, AuthorizationServerConfig, TokenExchangeConfig};
use crate::store::StoreError;

/// RFC 8693 §2.1.
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What kind of token a key is. RFC 8693 §3 names none, and has others be URIs.
const API_KEY: &str = "https://api.authbench.test/token-types/api-key";

/// What is issued, under either of its names (RFC 8693 §3).
const ISSUED: [&str; 2] = ["urn:ietf:params:oauth:token-type:access_token", "urn:ietf:params:oauth:token-type:jwt"];

/// Parameters by which a client says who it is, or for whom it acts. The key has said so.
const OTHER_PARTIES: [&str; 5] = ["client_id", "client_secret", "client_assertion", "actor_token", "actor_token_type"];

/// The exchange of an authorization server.
pub(super) struct Exchange {
    lifetime: Duration,
    /// The profile whose keys are exchanged. It is made after the server.
    profile: OnceLock<Arc<Method>>,
}

impl Exchange {
    /// # Errors
    /// [`BuildError::Config`] for opaque tokens, and for a lifetime that is none or too long.
    pub(super) fn new(config: &AuthorizationServerConfig) -> Result<Option<Self>, BuildError> {
        let Some(TokenExchangeConfig { lifetime, .. }) = config.token_exchange else { return Ok(None) };
        let refuse = |remedy: String| Err(BuildError::Config(format!("authorization_server.token_exchange{remedy}")));
        if config.access_token == AccessTokenFormat::Opaque {
            let remedy = ": keys are exchanged for JWTs, and access tokens are opaque; write access_token = { token = \
                          \"jwt\", … }, or leave it out";
            return refuse(remedy.to_owned());
        }
        let (least, longest) = (Duration::from_secs(1), TokenExchangeConfig::LONGEST.min(config.access_token_lifetime));
        if !(least..=longest).contains(&lifetime) {
            let longest = humantime::format_duration(longest);
            return refuse(format!(".lifetime is {}; use 1s to {longest}", humantime::format_duration(lifetime)));
        }
        Ok(Some(Self { lifetime, profile: OnceLock::new() }))
    }

    /// Says in the metadata that there is one (RFC 8414 §2).
    pub(super) fn announce(metadata: &mut Value) {
        if let Value::Array(grant_types) = &mut metadata["grant_types_supported"] {
            grant_types.push(GRANT_TYPE.into());
        }
    }

    fn keys(&self) -> Result<&ApiKey, OAuthError> {
        let keys = self.profile.get().and_then(|profile| profile.api_key().ok());
        keys.ok_or_else(OAuthError::busy)
    }
}

impl AuthorizationServer {
    /// Exchanges the keys of this profile from now on, where that is configured.
    pub(crate) fn exchange_keys_of(&self, profile: Arc<Method>) {
        if let Some(exchange) = &self.exchange {
            // An error means that it was told before; the first one stays.
            let _ = exchange.profile.set(profile);
        }
    }

    /// Answers a request of that grant type (RFC 8693 §2.1).
    pub(super) async fn exchange_key(
        &self,
        exchange: &Exchange,
        request: &Request<Bytes>,
        form: &Parameters,
        now: UnixTime,
    ) -> Result<Response<Bytes>, OAuthError> {
        let wanted = check(request, form)?;
        let key = form.get("subject_token").ok_or_else(|| invalid("subject_token is missing"))?;
        let jkt = self.proven_key(request, now)?;
        let keys = exchange.keys()?;
        // A key that is good from some networks only is not good from one that is not known.
        let peer = client::peer(request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let principal = keys.identify(key, peer, now).await.map_err(refused)?;
        // As the store has it now, whatever a cache still holds.
        let record = keys.live(&principal.credential_id, now).await.map_err(unavailable)?;
        let record = record.ok_or_else(|| invalid(NOT_ACCEPTED))?;

        let held = Scopes::from_tokens(record.scopes.split(' ').filter(|scope| !scope.is_empty()));
        let held = held.map_err(|_| invalid(NOT_ACCEPTED))?;
        let scopes = token::requested_scopes(form)?.unwrap_or_else(|| held.clone());
        if !scopes.is_subset_of(&held) {
            return Err(OAuthError::new(ErrorCode::InvalidScope, "scope is wider than the key's"));
        }
        let left = record.expires.map_or(Duration::MAX, |expires| expires.0.saturating_sub(now.0));
        let lifetime = exchange.lifetime.min(left);
        if lifetime < Duration::from_secs(1) {
            return Err(invalid("the key ends before a token could begin"));
        }
        let application = Client::of_key(&record.application, (held, lifetime), keys.environment());
        let grant = Grant::of_key(Arc::new(application), scopes.clone(), record.id.clone());
        let mut body = self.issue(grant, (scopes, (jkt, None)), now)?;
        body["issued_token_type"] = wanted.into();
        // Or the key would look as if nobody used it.
        keys.bill(&record.id, now);
        Ok(answer::json(StatusCode::OK, &body))
    }

    /// Whether the key is still good that tokens of a grant were exchanged for; others have none.
    ///
    /// # Errors
    /// 503 while nobody knows.
    pub(super) async fn has_live_key(&self, grant: &Grant, now: UnixTime) -> Result<bool, OAuthError> {
        let (Some(key), Some(exchange)) = (grant.key(), &self.exchange) else { return Ok(true) };
        let found = exchange.keys()?.live(key, now).await;
        found.map(|found| found.is_some()).map_err(unavailable)
    }
}

/// What a caller learns of a key that is not accepted (RFC 8693 §2.2.2): whether it exists is nobody else's business.
const NOT_ACCEPTED: &str = "the subject token is not accepted";

fn invalid(description: &'static str) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidRequest, description)
}

/// Holds the parameters, but for the key, to what is offered; returns as what the token is wanted.
fn check<'f>(request: &Request<Bytes>, form: &'f Parameters) -> Result<&'f str, OAuthError> {
    let others = OTHER_PARTIES.into_iter().any(|name| form.get(name).is_some());
    if others || request.headers().contains_key(AUTHORIZATION) {
        return Err(invalid("the key says who asks; leave client authentication and actor out"));
    }
    if form.get("subject_token_type") != Some(API_KEY) {
        return Err(invalid("subject_token_type is not the one of API keys"));
    }
    let wanted = form.get("requested_token_type").unwrap_or(ISSUED[0]);
    if !ISSUED.contains(&wanted) {
        return Err(invalid("requested_token_type is not offered"));
    }
    token::check_resource(form)?;
    if form.get("audience").is_some_and(|audience| audience != AUDIENCE) {
        return Err(OAuthError::new(ErrorCode::InvalidTarget, "the audience is not known"));
    }
    Ok(wanted)
}

fn refused(rejection: Rejection) -> OAuthError {
    match rejection {
        Rejection::TooMany(quota) => OAuthError::over_limit(quota),
        Rejection::Unavailable { .. } => OAuthError::busy(),
        _ => invalid(NOT_ACCEPTED),
    }
}

fn unavailable(error: StoreError) -> OAuthError {
    tracing::error!(%error, "the key store failed");
    OAuthError::busy()
}
