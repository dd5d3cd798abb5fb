//! The OAuth 2.0 authorization server (RFC 6749 as narrowed by RFC 9700).
//!
//! | path | what |
//! | --- | --- |
//! | `/.well-known/oauth-authorization-server` | metadata (RFC 8414) |
//! | `/authorize`, `/login`, `/consent` | authorization code with PKCE (RFC 7636) and `iss` (RFC 9207) |
//! | `/grants` | what the signed-in user allowed, and its withdrawal |
//! | `/token` | `authorization_code`, `client_credentials`, `refresh_token` with rotation; bound to a key by DPoP (RFC 9449) |
//! | | `urn:ietf:params:oauth:grant-type:token-exchange` (RFC 8693), from an API key to a JWT, where configured |
//! | `/introspect` | RFC 7662, for clients registered for it |
//! | `/revoke` | RFC 7009: an access token dies alone, a refresh token takes its whole grant along |
//! | `/jwks` | public keys (RFC 7517), when access tokens are JWTs (RFC 9068) |
//!
//! Everything lives in memory, as digests where it is a secret, and expires by the process's clock. A wrong verifier or
//! redirect URI burns a code; another client's attempt does not. Refresh tokens have no grace period.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::Value;
use tokio::sync::Semaphore;
use url::Url;

use crate::clock::Clock;
use crate::config::{AccessTokenFormat, AuthorizationServerConfig};
use crate::contract::{
    ClientRegistration, ClientSummary, GrantSummary, IssuerKey, KeyRollover, RegisteredClient, UserRegistration,
    UserSummary,
};
use crate::credential::dpop::Nonces;
use crate::credential::possession::Seen;
use crate::error::{AdminError, BuildError};
use crate::limit::throttle::Throttle;
use crate::telemetry::Meter;

mod answer;
mod assertion;
mod authorize;
mod certificate;
mod client;
mod error;
mod exchange;
mod grant;
mod introspect;
mod keys;
mod metadata;
pub(crate) mod opaque;
mod pages;
mod params;
mod redirect;
mod revoke;
mod scope;
mod session;
mod store;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // in a test a panic is the report
mod tests;
mod token;
mod user;

/// RFC 6749 §4.1.2 allows ten minutes; there is no use for more than one.
const LONGEST_CODE: Duration = Duration::from_secs(60);

/// Where metadata stands, before the path of the issuer (RFC 8414 §3.1).
pub(crate) const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";

/// Longest lead and overlap of a rollover: a year.
const LONGEST_ROLLOVER: Duration = Duration::from_secs(365 * 86_400);

/// Most keys that are published at a time. Validators bound what they take, ours at a hundred.
const MOST_KEYS: usize = 50;

/// Password hashes computed at a time: each takes 19 MiB and a core.
const HASHING: usize = 2;

/// The authorization server of a process.
pub struct AuthorizationServer {
    issuer: String,
    /// Path of the issuer, without trailing slash.
    base_path: String,
    metadata_path: String,
    metadata: Value,
    format: AccessTokenFormat,
    access_token_lifetime: Duration,
    code_lifetime: Duration,
    jwks_max_age: Duration,
    clock: Clock,
    meter: Arc<Meter>,
    clients: client::Clients,
    users: user::Users,
    logins: Throttle,
    hashing: Semaphore,
    sessions: session::Sessions,
    tokens: store::Tokens,
    /// What proofs at the token endpoint have to be made for.
    token_url: Url,
    proofs: Seen,
    /// Where proofs must hold a nonce.
    nonces: Option<Nonces>,
    /// `None` when access tokens are opaque.
    keys: Option<keys::SigningKeys>,
    /// Where API keys are exchanged.
    exchange: Option<exchange::Exchange>,
    pages: pages::Pages,
}

impl AuthorizationServer {
    /// `issuer` is the base URL of the listener that it is mounted on, published byte for byte.
    ///
    /// # Errors
    /// [`BuildError::Config`] for an issuer that is not one (RFC 8414 §2), a lifetime out of range or a symmetric
    /// algorithm; [`BuildError::State`] when no key could be made.
    pub fn build(
        config: &AuthorizationServerConfig,
        issuer: &str,
        clock: Clock,
        meter: Arc<Meter>,
    ) -> Result<Self, BuildError> {
        let url = Url::parse(issuer).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.filter(|url| url.query().is_none() && url.fragment().is_none());
        let url = url.ok_or_else(|| {
            BuildError::Config(format!("issuer {issuer:?}: use an http(s) URL without query and fragment"))
        })?;
        check_lifetimes(config)?;
        let keys = match config.access_token {
            AccessTokenFormat::Opaque => None,
            AccessTokenFormat::Jwt { algorithm } if algorithm.is_symmetric() => {
                let remedy = "authorization_server.access_token: HMAC would hand the signing key to every resource \
                              server; use an asymmetric algorithm";
                return Err(BuildError::Config(remedy.to_owned()));
            }
            AccessTokenFormat::Jwt { algorithm } => {
                let kept = (config.jwks_max_age, config.access_token_lifetime);
                let keys = keys::SigningKeys::new(algorithm, kept, clock.now());
                Some(keys.map_err(|source| state("making the signing key", source))?)
            }
        };
        let exchange = exchange::Exchange::new(config)?;
        let mut metadata = metadata::document(issuer, keys.is_some());
        if exchange.is_some() {
            exchange::Exchange::announce(&mut metadata);
        }
        let base_path = url.path().trim_end_matches('/').to_owned();
        let mut token_url = url.clone();
        token_url.set_path(&format!("{base_path}/token"));
        Ok(Self {
            metadata_path: format!("{WELL_KNOWN}{base_path}"),
            metadata,
            issuer: issuer.to_owned(),
            base_path,
            format: config.access_token,
            access_token_lifetime: config.access_token_lifetime,
            code_lifetime: config.code_lifetime,
            jwks_max_age: config.jwks_max_age,
            clock,
            meter: meter.clone(),
            clients: client::Clients::new(issuer, meter.clone()),
            users: user::Users::new(meter)?,
            logins: Throttle::default(),
            hashing: Semaphore::new(HASHING),
            sessions: session::Sessions::new(url.scheme() == "https"),
            tokens: store::Tokens::new(config.refresh_idle, config.refresh_absolute),
            token_url,
            proofs: Seen::default(),
            nonces: config.dpop_nonce.then(Nonces::new),
            keys,
            exchange,
            pages: pages::Pages::new(),
        })
    }

    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The form of the access tokens that it issues.
    pub fn access_token_format(&self) -> AccessTokenFormat {
        self.format
    }

    /// How long its access tokens live, unless a client is registered with less.
    pub fn access_token_lifetime(&self) -> Duration {
        self.access_token_lifetime
    }

    /// Answers a request for one of its endpoints; `None` when the path is not its own. The peer's `SocketAddr` in the
    /// request's extensions, if there, makes the brake on guessing count per address; an `Arc<ClientIdentity>` there is the
    /// certificate that the client holds, which was judged for this request.
    pub async fn handle(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        let path = request.uri().path();
        let endpoint = if path == self.metadata_path { WELL_KNOWN } else { path.strip_prefix(&self.base_path)? };
        let allowed = match endpoint {
            WELL_KNOWN if path != self.metadata_path => return None,
            "/jwks" if self.keys.is_none() => return None,
            WELL_KNOWN | "/jwks" | "/authorize" => "GET",
            "/grants" => "GET, POST",
            "/login" | "/consent" | "/token" | "/introspect" | "/revoke" => "POST",
            _ => return None,
        };
        if let Some(refused) = answer::wrong_method(request, allowed) {
            return Some(refused);
        }
        let answer = match endpoint {
            "/token" => self.token(request).await,
            "/introspect" => self.introspect(request).await,
            "/revoke" => self.revoke(request),
            "/login" => Ok(self.login(request).await),
            "/consent" => Ok(self.consent(request)),
            "/authorize" => Ok(self.authorize(request)),
            "/grants" if request.method() == http::Method::POST => Ok(self.withdraw(request)),
            "/grants" => Ok(self.grants(request)),
            WELL_KNOWN => Ok(metadata::published(request, &self.metadata, self.jwks_max_age)),
            _ => {
                let keys = self.keys.as_ref()?.jwks(self.clock.now());
                Ok(metadata::published(request, &keys, self.jwks_max_age))
            }
        };
        Some(answer.unwrap_or_else(|error| error.response()))
    }

    /// Registers a client.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a registration that contradicts itself or asks for something unsafe.
    pub fn register_client(&self, registration: &ClientRegistration) -> Result<RegisteredClient, AdminError> {
        self.clients.register(registration, self.access_token_lifetime)
    }

    /// The clients that are not disabled.
    pub fn clients(&self) -> Vec<ClientSummary> {
        self.clients.list()
    }

    /// Gives a client a new secret. The one before stays valid until the next rotation, so that the client can change
    /// over without a gap.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::BadRequest`] for a public client.
    pub fn rotate_client_secret(&self, client_id: &str) -> Result<RegisteredClient, AdminError> {
        let client_secret = Some(self.clients.rotate_secret(client_id)?);
        Ok(RegisteredClient { client_id: client_id.to_owned(), client_secret })
    }

    /// Disables a client for good. Its tokens are dead.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub fn disable_client(&self, client_id: &str) -> Result<(), AdminError> {
        self.clients.disable(client_id)
    }

    /// Registers a user of the login page. Computes a password hash: tens of milliseconds.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] for a name that is taken or out of bounds, or an empty or overlong password.
    pub fn register_user(&self, registration: &UserRegistration) -> Result<(), AdminError> {
        self.users.register(registration)
    }

    /// The users that are not disabled.
    pub fn users(&self) -> Vec<UserSummary> {
        self.users.list()
    }

    /// What a user granted, and did not withdraw.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for an unknown user.
    pub fn grants_of(&self, username: &str) -> Result<Vec<GrantSummary>, AdminError> {
        let summary = |grant: Arc<grant::Grant>| GrantSummary {
            client_id: grant.client.id.clone(),
            client: grant.client.name.clone(),
            scopes: grant.scopes.iter().map(str::to_owned).collect(),
        };
        Ok(self.user(username)?.grants().into_iter().map(summary).collect())
    }

    fn user(&self, username: &str) -> Result<Arc<user::User>, AdminError> {
        self.users.find(username).ok_or_else(|| AdminError::NotFound(format!("user {username:?}")))
    }

    /// Changes a user's password. Sessions and tokens from before are dead.
    ///
    /// # Errors
    /// [`AdminError::NotFound`]; [`AdminError::BadRequest`] for an empty or overlong password.
    pub fn set_password(&self, registration: &UserRegistration) -> Result<(), AdminError> {
        self.users.set_password(registration)
    }

    /// Disables a user for good. Sessions and tokens are dead.
    ///
    /// # Errors
    /// [`AdminError::NotFound`].
    pub fn disable_user(&self, username: &str) -> Result<(), AdminError> {
        self.users.disable(username)
    }

    /// Withdraws all that a user granted to a client; returns how many grants that were.
    ///
    /// # Errors
    /// [`AdminError::NotFound`] for an unknown user.
    pub fn withdraw_grants(&self, username: &str, client_id: &str) -> Result<usize, AdminError> {
        Ok(self.user(username)?.withdraw(client_id))
    }

    /// Publishes a new signing key. Unless the rollover says otherwise, it starts to sign once no client's copy of the key
    /// set can be without it, and the old one goes when its last token has expired.
    ///
    /// # Errors
    /// [`AdminError::BadRequest`] when tokens are opaque, the rollover lasts too long or there are too many keys;
    /// [`AdminError::Store`] when no key could be made.
    pub fn rotate_signing_key(&self, rollover: &KeyRollover) -> Result<(), AdminError> {
        let keys = self.keys.as_ref();
        let keys = keys.ok_or_else(|| AdminError::BadRequest("opaque tokens have no signing key".to_owned()))?;
        let longest = rollover.lead.max(rollover.overlap).unwrap_or_default();
        if longest > LONGEST_ROLLOVER {
            return Err(AdminError::BadRequest(format!(
                "a lead or an overlap of {longest:?}; at most {LONGEST_ROLLOVER:?} is possible"
            )));
        }
        let now = self.clock.now();
        let published = keys.published(now);
        if published >= MOST_KEYS {
            return Err(AdminError::BadRequest(format!(
                "{published} keys are published; wait until one has gone, or give a shorter overlap"
            )));
        }
        keys.rotate(rollover, now).map_err(|error| AdminError::Store(format!("making a signing key: {error}")))
    }

    /// What access tokens are signed with now.
    ///
    /// # Errors
    /// [`AdminError::NotHere`] when tokens are opaque.
    pub(crate) fn issuer_key(&self) -> Result<IssuerKey, AdminError> {
        let keys = self.keys.as_ref().ok_or(AdminError::NotHere("opaque tokens have no signing key"))?;
        Ok(keys.issuer_key(self.clock.now()))
    }
}

fn check_lifetimes(config: &AuthorizationServerConfig) -> Result<(), BuildError> {
    let refuse = |name: &str, remedy: &str| Err(BuildError::Config(format!("authorization_server.{name}: {remedy}")));
    if config.access_token_lifetime < Duration::from_secs(1) {
        return refuse("access_token_lifetime", "tokens count in seconds; use at least 1s");
    }
    if config.code_lifetime.is_zero() || config.code_lifetime > LONGEST_CODE {
        return refuse("code_lifetime", "use more than 0s and at most 60s (RFC 6749 §4.1.2)");
    }
    if config.jwks_max_age < Duration::from_secs(1) || config.jwks_max_age.subsec_nanos() > 0 {
        return refuse("jwks_max_age", "max-age counts whole seconds (RFC 9111 §5.2.2.1); use at least 1s");
    }
    if config.refresh_idle.is_zero() || config.refresh_idle > config.refresh_absolute {
        return refuse("refresh_idle", "use more than 0s and at most refresh_absolute");
    }
    Ok(())
}

fn state(what: &str, source: impl std::error::Error + Send + Sync + 'static) -> BuildError {
    BuildError::State { what: what.to_owned(), source: Box::new(source) }
}
