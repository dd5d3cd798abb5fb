//! OAuth 2.0 access tokens at the resource server: opaque by introspection (RFC 7662), JWTs by the issuer's keys
//! (RFC 9068). Both arrive as bearer tokens (RFC 6750), or where the profile says so with a proof that their bearer holds the
//! key that they are bound to (RFC 9449).
//!
//! The authorization server is found by its metadata (RFC 8414) when the first token comes. When it is down, slow or
//! talks nonsense the caller gets 503, never 401: the token may be good, and a client that drops it would lose it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::jwt::{ClaimsRef, Validator};
use super::{BuildError, Cause, Connection, Environment, Principal, Rejection, Request, header};
use crate::clock::UnixTime;
use crate::config::{
    AUDIENCE, AccessTokenFormat, CacheConfig, JwksConfig, KeyEnvironment, KnownIssuer, LONGEST_STALE, OAuth2Config,
    TokenValidation, TrustedIssuer,
};
use crate::contract::{ClientRegistration, Secret};
use crate::issuer::authorization_server::AuthorizationServer;
use crate::store::distance::Distance;

pub(super) mod discovery;
mod dpop;
pub(super) mod introspection;
mod keys;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // in a test a panic is the report
mod tests;

use self::discovery::Discovery;
use self::dpop::Dpop;
use self::introspection::Introspection;
use self::keys::Keys;
use super::outbound::Http;

/// The resource server's side of OAuth 2.0.
pub struct OAuth2 {
    validation: Validation,
    /// Present where tokens come with a proof.
    dpop: Option<Box<Dpop>>,
    environment: KeyEnvironment,
}

/// What a valid token stands for.
#[derive(Clone)]
pub(in crate::auth) struct Token {
    principal: Principal,
    /// Thumbprint of the key that it is bound to.
    jkt: Option<Arc<str>>,
    /// Thumbprint of the certificate that it is bound to.
    x5t: Option<Arc<str>>,
    /// Where it counts.
    environment: KeyEnvironment,
}

impl Token {
    /// What the claims of a JWT say.
    fn of(claims: &ClaimsRef<'_>) -> Self {
        let cnf = claims.cnf.as_ref();
        let jkt = cnf.and_then(|cnf| cnf.jkt.as_deref()).map(Arc::from);
        let x5t = cnf.and_then(|cnf| cnf.x5t.as_deref()).map(Arc::from);
        Self { principal: claims.principal(), jkt, x5t, environment: claims.environment }
    }

    /// The same over a connection, in an environment. One that is bound to a certificate is good for nobody else (RFC 8705 §3).
    fn over(self, connection: &Connection, environment: KeyEnvironment) -> Result<Self, Rejection> {
        if self.environment != environment {
            return Err(Rejection::Invalid(Cause::WrongEnvironment));
        }
        let shown = connection.client.as_ref().map(|client| &client.thumbprint);
        if self.x5t.is_some() && self.x5t.as_ref() != shown {
            return Err(Rejection::Invalid(Cause::Claims));
        }
        Ok(self)
    }

    /// One that is bound to a key is no bearer token (RFC 9449 §7.2).
    pub(in crate::auth) fn bearer(self) -> Result<Principal, Rejection> {
        if self.jkt.is_some() { Err(Rejection::Invalid(Cause::Claims)) } else { Ok(self.principal) }
    }
}

/// A user, and the client that acts for them.
pub(crate) struct User {
    pub(crate) principal: Principal,
    pub(crate) client_id: Box<str>,
}

enum Validation {
    Opaque(Box<Introspection>),
    Jwt { validator: Validator, keys: Arc<Keys> },
}

/// The issuer to trust, with what the configuration left to be found out.
struct Trusted {
    issuer: String,
    http: Arc<Http>,
    client_id: String,
    client_secret: Secret,
    /// Whether it is our own code that issues opaque tokens, whose form we therefore know.
    own_tokens: bool,
}

impl OAuth2 {
    pub(crate) fn build(config: &OAuth2Config, environment: &Environment) -> Result<Self, BuildError> {
        let trusted = match &config.issuer {
            TrustedIssuer::InProcess => Trusted::in_process(config, environment)?,
            TrustedIssuer::Remote { issuer, ca_file, client_id, client_secret_file } => Trusted {
                issuer: issuer.clone(),
                http: Arc::new(Http::new(ca_file.as_deref(), environment.meter.clone())?),
                client_id: client_id.clone(),
                client_secret: read_secret(client_secret_file)?,
                own_tokens: false,
            },
        };
        check_jwks(&config.jwks)?;
        config.rules.check().map_err(|problem| BuildError::Config(format!("rules.{problem}")))?;
        let known = &config.known;
        check_known(config)?;
        let audience = known.audience.as_deref().unwrap_or(AUDIENCE);
        let discovery = Arc::new(Discovery::new(&trusted.issuer, trusted.http.clone(), known)?);
        let meter = environment.meter.clone();
        let validation = match config.validation {
            TokenValidation::Opaque { cache: Some(CacheConfig { follow: Some(_), .. }) } => {
                let remedy =
                    "cache: an introspection endpoint tells nobody of revocations; leave `poll` and `push` out";
                return Err(BuildError::Config(remedy.to_owned()));
            }
            TokenValidation::Opaque { cache } => {
                let distance = Distance::new("introspection_delay", config.introspection_delay)?;
                let introspection = Introspection::new(
                    &trusted.issuer,
                    discovery,
                    trusted.http,
                    meter.clone(),
                    trusted.own_tokens,
                    (&trusted.client_id, &trusted.client_secret),
                    cache,
                )?;
                Validation::Opaque(Box::new(introspection.called(audience).away_by(distance)))
            }
            TokenValidation::Jwt { algorithm } if algorithm.is_symmetric() => {
                let name = algorithm.name();
                let remedy = format!("validation: {name} keys cannot be published; use an asymmetric algorithm");
                return Err(BuildError::Config(remedy));
            }
            TokenValidation::Jwt { algorithm } => Validation::Jwt {
                validator: Validator {
                    issuer: trusted.issuer.into(),
                    audience: audience.into(),
                    algorithm,
                    rules: config.rules,
                    max_token: header::MAX_TOKEN,
                    sender_constrained: true, // `Token` sees to it
                },
                keys: Keys::new(discovery, trusted.http, meter.clone(), config.jwks, known.jwks_file.clone()),
            },
        };
        let dpop = config.dpop.as_ref().map(|dpop| Dpop::build(dpop, meter).map(Box::new)).transpose()?;
        Ok(Self { validation, dpop, environment: config.environment })
    }

    pub(crate) async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        let Some(dpop) = &self.dpop else {
            let token = self.token(header::bearer(request.head)?, request.now).await?;
            return token.over(request.connection, self.environment)?.bearer();
        };
        let (token, proof) = dpop.presented(request)?;
        let token = self.token(token, request.now).await?.over(request.connection, self.environment)?;
        dpop.accept(token, &proof, request.now)
    }

    /// What a token stands for, whoever presents it.
    async fn token(&self, token: &str, now: UnixTime) -> Result<Token, Rejection> {
        match &self.validation {
            Validation::Opaque(introspection) => introspection.validate(token, now).await,
            Validation::Jwt { validator, keys } => {
                keys.validate(validator, token, now, |claims| Ok(Token::of(claims))).await
            }
        }
    }

    /// Whether the authorization server gives an answer, or whatever stands for it.
    pub(crate) async fn probe(&self) -> Result<(), &'static str> {
        let probed = match &self.validation {
            Validation::Opaque(introspection) => introspection.probe().await,
            Validation::Jwt { keys, .. } => keys.probe().await,
        };
        probed.map_err(|_| "authorization server")
    }

    /// The user whom a token speaks of, and the client that it was issued to. Of tokens that are JWTs alone: an answer to an
    /// introspection need not name the client (RFC 7662 §2.2).
    pub(crate) async fn user(&self, request: &Request<'_>) -> Result<User, Rejection> {
        let token = header::bearer(request.head)?;
        let Validation::Jwt { validator, keys } = &self.validation else { return Err(unavailable()) };
        let accept = |claims: &ClaimsRef<'_>| Ok((Token::of(claims), Box::from(&*claims.client_id)));
        let (token, client_id) = keys.validate(validator, token, request.now, accept).await?;
        let principal = token.over(request.connection, self.environment)?.bearer()?;
        Ok(User { principal, client_id })
    }

    /// Whether tokens come with a proof.
    pub(crate) fn wants_proofs(&self) -> bool {
        self.dpop.is_some()
    }
}

impl Trusted {
    fn in_process(config: &OAuth2Config, environment: &Environment) -> Result<Self, BuildError> {
        let server = environment.authorization_server.as_deref().ok_or_else(|| {
            let remedy = "issuer: this process has no authorization server; configure [authorization_server] and mount \
                          it on a listener, or name a remote issuer";
            BuildError::Config(remedy.to_owned())
        })?;
        check_agreement(config, server)?;
        let registered = server.register_client(&ClientRegistration::resource_server("resource server"));
        let client = registered.map_err(|error| BuildError::Config(format!("registering to introspect: {error}")))?;
        let is_https = server.issuer().starts_with("https:");
        let ca_file = is_https.then_some(environment.ca_file.as_path());
        Ok(Self {
            issuer: server.issuer().to_owned(),
            http: Arc::new(Http::new(ca_file, environment.meter.clone())?),
            client_id: client.client_id,
            client_secret: client.client_secret.expect("confidential clients get a secret"),
            own_tokens: server.access_token_format() == AccessTokenFormat::Opaque,
        })
    }
}

/// Refuses what would be asked of nobody.
fn check_known(config: &OAuth2Config) -> Result<(), BuildError> {
    let KnownIssuer { introspection_endpoint, jwks_uri, jwks_file, audience } = &config.known;
    let wrong = |what: &str| Err(BuildError::Config(format!("known.{what}")));
    if matches!(config.issuer, TrustedIssuer::InProcess) && config.known != KnownIssuer::default() {
        return wrong("*: the authorization server of this process is known; name a remote issuer, or leave it out");
    }
    match config.validation {
        TokenValidation::Opaque { .. } if jwks_uri.is_some() || jwks_file.is_some() => {
            wrong("jwks_uri and jwks_file: opaque tokens have no keys; leave them out")
        }
        TokenValidation::Jwt { .. } if introspection_endpoint.is_some() => {
            wrong("introspection_endpoint: JWTs are checked by their signature; leave it out")
        }
        _ if jwks_uri.is_some() && jwks_file.is_some() => wrong("jwks_uri and jwks_file: keep one"),
        _ if audience.as_deref() == Some("") => wrong("audience: is empty; write what the issuer puts into aud"),
        _ => Ok(()),
    }
}

/// Refuses keys that would be kept for ever, or fetched for each token.
fn check_jwks(jwks: &JwksConfig) -> Result<(), BuildError> {
    let (least, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
    let wrong = |what: String| Err(BuildError::Config(format!("jwks.{what}")));
    if !(least..=day).contains(&jwks.refresh) {
        return wrong(format!("refresh is {:?}; {least:?} to {day:?} is possible", jwks.refresh));
    }
    if jwks.cooldown > day {
        return wrong(format!("cooldown is {:?}; at most {day:?} is possible", jwks.cooldown));
    }
    if jwks.stale_if_error > LONGEST_STALE {
        return wrong(format!("stale_if_error is {:?}; at most {LONGEST_STALE:?} is safe", jwks.stale_if_error));
    }
    Ok(())
}

/// Refuses a profile that could accept no token of the authorization server beside it.
fn check_agreement(config: &OAuth2Config, server: &AuthorizationServer) -> Result<(), BuildError> {
    let TokenValidation::Jwt { algorithm } = config.validation else { return Ok(()) };
    if server.access_token_format() != (AccessTokenFormat::Jwt { algorithm }) {
        let issued = server.access_token_format();
        let remedy =
            format!("validation: {algorithm:?} JWTs are expected, but the authorization server issues {issued:?}");
        return Err(BuildError::Config(remedy));
    }
    let (issued, accepted) = (server.access_token_lifetime(), config.rules.max_lifetime);
    if issued > accepted {
        let remedy = format!(
            "rules.max_lifetime: {} is less than the authorization server's access_token_lifetime, {}",
            humantime::format_duration(accepted),
            humantime::format_duration(issued)
        );
        return Err(BuildError::Config(remedy));
    }
    Ok(())
}

/// Reads a secret from a file that nobody else can read; a final newline is not part of it.
fn read_secret(file: &Path) -> Result<Secret, BuildError> {
    let failed = |source: std::io::Error| BuildError::State {
        what: format!("reading the client secret from {}", file.display()),
        source: source.into(),
    };
    let mode = fs::metadata(file).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        let remedy = format!("{}: others may read this secret; set its mode to 0600", file.display());
        return Err(BuildError::Config(remedy));
    }
    let text = fs::read_to_string(file).map_err(failed)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(BuildError::Config(format!("{}: the file is empty; put the client secret in it", file.display())));
    }
    Ok(Secret::new(secret))
}

/// The authorization server gave no answer to go by.
fn unavailable() -> Rejection {
    Rejection::Unavailable { dependency: "authorization server", retry_after: Duration::from_secs(1) }
}
