//! Authentication is one call: request head and connection facts in, [`Principal`] or [`Rejection`] out.
//!
//! One method per file under `auth/`. [`Method`] dispatches statically; the time spent in [`Method::authenticate`] is
//! what reports call *validation time*.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::request::Parts;
use rustls::server::danger::ClientCertVerifier;

use crate::clock::{Clock, UnixTime};
use crate::config::{MethodConfig, Profile};
use crate::contract::{IssueRequest, Issued, IssuerKey, KeyRollover, Material, SubjectRevocation};
use crate::credential::x509::ClientIdentity;
use crate::issuer::authorization_server::AuthorizationServer;
use crate::issuer::ca::{CaError, OcspResponder};
use crate::limit::Quota;
use crate::store::denylist;
use crate::telemetry::Meter;

pub use crate::error::{AdminError, BuildError};

pub mod api_key;
pub mod basic;
mod flights;
pub(crate) mod grant;
pub mod header;
pub mod jwt;
mod kept;
pub mod layered;
pub mod mixed;
pub mod mtls;
pub mod oauth2;
mod outbound;
pub mod signed;

/// What an authenticator looks at.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Request line and fields.
    pub head: &'a Parts,
    /// The connection that carried it.
    pub connection: &'a Connection,
    /// The one reading of the clock that every check of this request uses.
    pub now: UnixTime,
}

/// What is known of a connection once it is established.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// The client's verified certificate, on listeners that ask for one.
    pub client: Option<Arc<ClientIdentity>>,
    /// Set once a request of this connection was accepted after the certificate's issuer had been asked about it.
    pub(crate) asked: OnceLock<()>,
}

impl Connection {
    /// One on which nothing was asked yet.
    pub fn new(peer: SocketAddr, client: Option<Arc<ClientIdentity>>) -> Self {
        Self { peer, client, asked: OnceLock::new() }
    }
}

/// Who the server decided the caller is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What kind of caller that is.
    pub kind: PrincipalKind,
    /// Application, user, subject or SPIFFE identifier.
    pub id: Arc<str>,
    /// Scopes held, space-separated (RFC 6749 §3.3).
    pub scopes: Arc<str>,
    /// Which credential it was: what a revocation would name.
    pub credential_id: Arc<str>,
    /// Who calls for this principal, on layered routes.
    pub through: Option<Through>,
    /// How far the caller is with the quota that the request was taken from, to be told in the answer.
    pub quota: Option<Quota>,
}

/// Who calls for a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Through {
    /// An application, by its API key.
    Application {
        /// The application: the OAuth client of that name.
        id: Arc<str>,
        /// Which key it was: whose account the request is billed to.
        key: Arc<str>,
    },
    /// A service of our own, by its certificate.
    Service(Arc<str>),
}

/// What kind of caller a credential identifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    /// Nobody was asked for.
    Anonymous,
    /// A program, which acts for itself: the owner of an API key, or of a token without user (RFC 6749 §4.4).
    Application,
    /// A person.
    User,
    /// Whoever holds a token that does not tell whether it is an application's.
    Bearer,
    /// Whoever a client certificate names.
    CertificateHolder,
}

impl PrincipalKind {
    /// Whose token it is by its claims: where `sub` is the client itself, no user is behind it (RFC 9068 §2.2 and §5).
    pub(crate) fn of_token(sub: &str, client_id: Option<&str>) -> Self {
        match client_id {
            None => Self::Bearer,
            Some(client_id) if sub == client_id || sub.strip_prefix("client:") == Some(client_id) => Self::Application,
            Some(_) => Self::User,
        }
    }
}

impl Principal {
    /// One whose requests nothing limits.
    pub fn new(
        kind: PrincipalKind,
        id: impl Into<Arc<str>>,
        scopes: impl Into<Arc<str>>,
        credential_id: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            kind,
            id: id.into(),
            scopes: scopes.into(),
            credential_id: credential_id.into(),
            through: None,
            quota: None,
        }
    }

    /// Whether `scope` is among the scopes held.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.split(' ').any(|held| held == scope)
    }
}

/// Why a request was not accepted. The status policy is docs/methods.md, Status policy, applied in `net::problem`.
///
/// A rejection carries two texts: what the caller may know (status, challenge) and what the counters and the log may
/// know ([`Rejection::reason`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// No credential: 401 with every challenge and no `error` (RFC 6750 §3.1).
    Missing,
    /// Unknown, malformed, expired, revoked or badly signed: 401 `invalid_token`. The cause is for the log; the caller
    /// learns only whether the credential expired.
    Invalid(Cause),
    /// The same for who calls on a layered route, whoever the user is: 401 with the challenge of API keys, or 403 and the end
    /// of the connection that a certificate opened. Without a cause there was no credential.
    Caller(Layer, Option<Cause>),
    /// Two credentials, a repeated field, a credential in the URL: 400 `invalid_request`.
    Ambiguous(&'static str),
    /// Authenticated, but without the scope: 403 `insufficient_scope`.
    InsufficientScope,
    /// Authenticated, but not permitted for another reason; the problem type says which: 403.
    Forbidden(&'static str),
    /// Over the size cap before any decoding: 431.
    TooLarge,
    /// The proof of holding a key lacks a nonce: 401 `use_dpop_nonce` with one (RFC 9449 §9).
    UseNonce(Arc<str>),
    /// Over a quota, or guessing too often: 429 with `Retry-After` and the quota's fields.
    TooMany(Quota),
    /// A dependency is down or full: 503 with `Retry-After`. Never a 401, never a 200.
    Unavailable {
        /// Which one, for the log.
        dependency: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
}

/// What a layered route asks of who calls, beside the user's token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer {
    /// An API key.
    Application,
    /// A client certificate.
    Service,
}

/// Why a credential is invalid: for counters and logs, not for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Not of the credential's form.
    Malformed,
    /// Of the right form, never issued.
    Unknown,
    /// Past its end.
    Expired,
    /// Before its beginning.
    NotYetValid,
    /// Taken back.
    Revoked,
    /// Known name, wrong secret.
    WrongSecret,
    /// Signature does not verify.
    BadSignature,
    /// Algorithm, `typ` or `crit` not accepted.
    Header,
    /// Issuer, audience or another claim not accepted.
    Claims,
    /// Key identifier not in the key set.
    UnknownKey,
    /// Used before, and good for one use.
    Replayed,
    /// The proof of holding a key, that came along or not (RFC 9449 §7).
    Proof,
    /// A test key where live ones are taken, or the other way round. The caller learns that.
    WrongEnvironment,
}

impl Rejection {
    /// A fixed word for counters and logs; never contains anything the caller sent.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing | Self::Caller(_, None) => "missing",
            Self::Invalid(cause) | Self::Caller(_, Some(cause)) => cause.word(),
            Self::UseNonce(_) => "use_nonce",
            Self::Ambiguous(_) => "ambiguous",
            Self::InsufficientScope => "insufficient_scope",
            Self::Forbidden(_) => "forbidden",
            Self::TooLarge => "too_large",
            Self::TooMany(_) => "too_many",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

impl Cause {
    fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::WrongSecret => "wrong_secret",
            Self::BadSignature => "bad_signature",
            Self::Header => "header",
            Self::Claims => "claims",
            Self::UnknownKey => "unknown_key",
            Self::Replayed => "replayed",
            Self::Proof => "proof",
            Self::WrongEnvironment => "wrong_environment",
        }
    }
}

/// What a method is built from, besides its profile.
#[derive(Clone)]
pub struct Environment {
    /// Folder for keys, certificates and databases, which replicas share.
    pub shared_dir: PathBuf,
    /// The process's clock.
    pub clock: Clock,
    /// Where the method counts what it does.
    pub meter: Arc<Meter>,
    /// The authorization server of this process, if there is one.
    pub authorization_server: Option<Arc<AuthorizationServer>>,
    /// PEM file with the CA of this process's TLS certificate.
    pub ca_file: PathBuf,
}

/// A profile's method, ready to work.
#[allow(clippy::large_enum_variant)] // one for each profile, made once
pub enum Method {
    /// No authentication: the baseline.
    None,
    /// API keys.
    ApiKey(api_key::ApiKey),
    /// HTTP Basic.
    Basic(Box<basic::Basic>),
    /// JWTs of the profile's own issuer.
    Jwt(Box<jwt::Jwt>),
    /// OAuth 2.0 access tokens.
    OAuth2(oauth2::OAuth2),
    /// Client certificates.
    Mtls(mtls::Mtls),
    /// Signed requests.
    Signed(Box<signed::Signed>),
    /// API keys, JWTs and opaque tokens behind one route.
    Mixed(Box<mixed::Mixed>),
    /// Who calls, and the user for whom.
    Layered(Box<layered::Layered>),
}

impl Method {
    /// Builds the method of a profile. Runs inside the control runtime: background work (polling a deny-list, reloading
    /// CRLs) is spawned there.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub async fn build(profile: &Profile, environment: &Environment) -> Result<Self, BuildError> {
        Ok(match &profile.method {
            MethodConfig::None => Self::None,
            MethodConfig::ApiKey(config) => {
                Self::ApiKey(api_key::ApiKey::build(&profile.name, config, environment).await?)
            }
            MethodConfig::Basic(config) => {
                Self::Basic(Box::new(basic::Basic::build(&profile.name, config, environment).await?))
            }
            MethodConfig::Jwt(config) => {
                Self::Jwt(Box::new(jwt::Jwt::build(&profile.name, config, environment).await?))
            }
            MethodConfig::OAuth2(config) => Self::OAuth2(oauth2::OAuth2::build(config, environment)?),
            MethodConfig::Mtls(config) => Self::Mtls(mtls::Mtls::build(&profile.name, config, environment)?),
            MethodConfig::Signed(config) => {
                Self::Signed(Box::new(signed::Signed::build(&profile.name, config, environment).await?))
            }
            MethodConfig::Mixed(config) => {
                Self::Mixed(Box::new(mixed::Mixed::build(&profile.name, config, environment).await?))
            }
            MethodConfig::Layered(config) => {
                Self::Layered(Box::new(layered::Layered::build(&profile.name, config, environment).await?))
            }
        })
    }

    /// Decides who sent the request.
    ///
    /// # Errors
    /// The reason why nobody did.
    pub async fn authenticate(&self, request: &Request<'_>) -> Result<Principal, Rejection> {
        match self {
            Self::None => Ok(anonymous()),
            Self::ApiKey(method) => method.authenticate(request).await,
            Self::Basic(method) => method.authenticate(request).await,
            Self::Jwt(method) => method.authenticate(request).await,
            Self::OAuth2(method) => method.authenticate(request).await,
            Self::Mtls(method) => method.authenticate(request).await,
            Self::Signed(method) => method.authenticate(request).await,
            Self::Mixed(method) => method.authenticate(request).await,
            Self::Layered(method) => method.authenticate(request).await,
        }
    }

    /// Whether everything that a decision needs gives an answer; else what does not. Caches do not count: they bridge an
    /// outage for some callers alone.
    ///
    /// # Errors
    /// The dependency, in words.
    pub async fn probe(&self) -> Result<(), &'static str> {
        match self {
            // CRLs are files, and a responder that does not answer is a matter of its policy.
            Self::None | Self::Mtls(_) => Ok(()),
            Self::ApiKey(method) => method.probe().await,
            Self::Basic(method) => method.probe().await,
            Self::Jwt(method) => method.probe().await,
            Self::OAuth2(method) => method.probe().await,
            Self::Signed(method) => method.probe().await,
            Self::Mixed(method) => method.probe().await,
            Self::Layered(method) => method.probe().await,
        }
    }

    /// Hands out credentials. OAuth 2.0 tokens come from the token endpoint instead.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn issue(&self, request: &IssueRequest) -> Result<Vec<Issued>, AdminError> {
        match self {
            Self::None => Ok(vec![
                Issued { id: "none".into(), principal: ANONYMOUS.into(), material: Material::None };
                request.count
            ]),
            Self::ApiKey(method) => method.issue(request).await,
            Self::Basic(method) => method.issue(request).await,
            Self::Jwt(method) => method.issue(request).await,
            Self::OAuth2(_) => Err(AdminError::NotHere("ask the token endpoint (RFC 6749 §3.2)")),
            Self::Mtls(method) => method.issue(request).await,
            Self::Signed(method) => method.issue(request).await,
            Self::Mixed(method) => method.issue(request).await,
            Self::Layered(method) => method.issue(request).await,
        }
    }

    /// Hands out another credential to a principal that has one: its next key, token or certificate, beside the one
    /// before. A user has one password, which is changed.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn renew(&self, principal: &str, request: &IssueRequest) -> Result<Issued, AdminError> {
        match self {
            Self::None => Err(AdminError::NotHere("method none has nothing to renew")),
            Self::ApiKey(method) => method.renew(principal, request).await,
            Self::Basic(method) => method.renew(principal, request).await,
            Self::Jwt(method) => method.renew(principal, request).await,
            Self::OAuth2(_) => Err(AdminError::NotHere("ask the token endpoint (RFC 6749 §3.2)")),
            Self::Mtls(method) => method.renew(principal, request).await,
            Self::Signed(method) => method.renew(principal, request).await,
            Self::Mixed(method) => method.renew(principal, request).await,
            Self::Layered(method) => method.renew(principal, request).await,
        }
    }

    /// What the profile's credentials are signed with.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub(crate) fn issuer_key(&self) -> Result<IssuerKey, AdminError> {
        match self {
            Self::Jwt(method) => Ok(method.issuer_key()),
            Self::Mtls(method) => method.issuer_key(),
            Self::OAuth2(_) => Err(AdminError::NotHere("ask for the authorization server's key")),
            _ => Err(AdminError::NotHere("the profile's credentials are not signed")),
        }
    }

    /// Replaces what the profile's credentials are signed with: the CA of client certificates. The key of OAuth 2.0 tokens is
    /// their authorization server's.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn roll_over(&self, rollover: &KeyRollover) -> Result<(), AdminError> {
        match self {
            Self::Mtls(method) => method.roll_over(rollover).await,
            Self::Layered(method) => method.roll_over(rollover).await,
            Self::OAuth2(_) => Err(AdminError::NotHere("ask for the authorization server's next key")),
            Self::None | Self::ApiKey(_) | Self::Basic(_) | Self::Jwt(_) | Self::Signed(_) | Self::Mixed(_) => {
                Err(AdminError::NotHere("the profile has no key that others have to learn of"))
            }
        }
    }

    /// Takes a credential back. Returns once that is recorded where every validator will look for it.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn revoke(&self, id: &str) -> Result<(), AdminError> {
        match self {
            Self::None => Err(AdminError::NotHere("method none has nothing to revoke")),
            Self::ApiKey(method) => method.revoke(id).await,
            Self::Basic(method) => method.revoke(id).await,
            Self::Jwt(method) => method.revoke(id).await,
            Self::OAuth2(_) => Err(AdminError::NotHere("ask the revocation endpoint (RFC 7009)")),
            Self::Mtls(method) => method.revoke(id).await,
            Self::Mixed(method) => method.revoke(id).await,
            Self::Layered(method) => method.revoke(id).await,
            Self::Signed(method) => method.revoke(id).await,
        }
    }

    /// Takes back every credential of a subject that was issued before a time: of tokens that nobody keeps a list of.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn revoke_subject(&self, revocation: &SubjectRevocation) -> Result<(), AdminError> {
        match self {
            Self::Jwt(method) => method.revoke_subject(revocation).await,
            _ => Err(AdminError::NotHere("only tokens that are JWTs are taken back by their subject")),
        }
    }

    /// What the deny-list of the method takes, where it has one.
    pub(crate) fn denylist_size(&self) -> Option<denylist::Size> {
        match self {
            Self::Jwt(method) => method.denylist_size(),
            Self::Mixed(method) => method.denylist_size(),
            _ => None,
        }
    }

    /// Removes what the method keeps in a store in a server of its own. It accepts nobody afterwards.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn discard(&self) -> Result<(), AdminError> {
        match self {
            Self::ApiKey(method) => method.discard().await,
            Self::Basic(method) => method.discard().await,
            Self::Jwt(method) => method.discard().await,
            Self::Signed(method) => method.discard().await,
            Self::Mixed(method) => method.discard().await,
            Self::Layered(method) => method.discard().await,
            Self::None | Self::OAuth2(_) | Self::Mtls(_) => Ok(()),
        }
    }

    /// The API keys of the profile, to be managed.
    ///
    /// # Errors
    /// [`AdminError::NotHere`] for methods without keys.
    pub(crate) fn api_key(&self) -> Result<&api_key::ApiKey, AdminError> {
        let keys = match self {
            Self::ApiKey(method) => Some(method),
            Self::Mixed(method) => Some(method.api_key()),
            Self::Layered(method) => method.api_key(),
            _ => None,
        };
        keys.ok_or(AdminError::NotHere("the profile has no API keys"))
    }

    /// Counts a request that was answered with the resource, where requests are billed: on the account of its API key.
    pub(crate) fn bill(&self, principal: &Principal, request: &Request<'_>) {
        match self {
            Self::ApiKey(method) => method.bill(&principal.credential_id, request.now),
            Self::Mixed(method) => method.bill(principal, request),
            Self::Layered(method) => method.bill(principal, request.now),
            _ => {}
        }
    }

    /// Logs a request that was answered with the resource, where two credentials opened it.
    pub(crate) fn audit(&self, principal: &Principal) {
        if matches!(self, Self::Layered(_)) {
            layered::Layered::audit(principal);
        }
    }

    /// Writes down what is only in memory so far: before the end.
    pub(crate) async fn settle(&self) {
        if let Ok(keys) = self.api_key() {
            keys.settle().await;
        }
    }

    /// How client certificates are asked for, by methods that do so in the handshake.
    pub fn client_certificates(&self) -> Option<ClientCertificates> {
        self.certificates().map(mtls::Mtls::client_certificates)
    }

    /// What judges client certificates, in methods that ask for them in the handshake.
    pub(crate) fn certificates(&self) -> Option<&mtls::Mtls> {
        match self {
            Self::Mtls(method) => Some(method),
            Self::Layered(method) => method.services(),
            _ => None,
        }
    }

    /// The OCSP responder of the method's CA, where one is configured.
    ///
    /// # Errors
    /// When the CA's certificate cannot be read.
    pub(crate) fn ocsp_responder(&self) -> Result<Option<OcspResponder>, CaError> {
        self.certificates().and_then(mtls::Mtls::ocsp_responder).transpose()
    }

    /// The challenge scheme of a 401 (RFC 9110 §11.6.1); certificates have none.
    pub fn scheme(&self) -> Option<Scheme> {
        match self {
            Self::None | Self::Mtls(_) => None,
            Self::Basic(method) if method.has_sessions() => Some(Scheme::Session),
            Self::Basic(_) => Some(Scheme::Basic),
            Self::OAuth2(method) if method.wants_proofs() => Some(Scheme::Dpop),
            Self::Signed(_) => Some(Scheme::Signature),
            Self::ApiKey(_) | Self::Jwt(_) | Self::OAuth2(_) | Self::Mixed(_) | Self::Layered(_) => {
                Some(Scheme::Bearer)
            }
        }
    }

    /// Whether the content of requests is part of what is authenticated.
    pub fn reads_content(&self) -> bool {
        matches!(self, Self::Signed(_))
    }

    /// Whether the content of this request has to be there when it is authenticated: in the head's extensions, as
    /// [`signed::Content`]. For all others nobody waits.
    pub fn needs_content(&self, head: &Parts) -> bool {
        self.reads_content() && signed::is_signed(head)
    }

    /// Fields that select the answer, for `Vary` (RFC 9110 §12.5.5).
    pub fn vary(&self) -> Option<&'static str> {
        match self {
            Self::None | Self::Mtls(_) => None,
            Self::OAuth2(method) if method.wants_proofs() => Some("Authorization, DPoP"),
            Self::ApiKey(_) | Self::Mixed(_) => Some("Authorization, X-API-Key"),
            Self::Layered(method) if method.services().is_none() => Some("Authorization, X-API-Key"),
            Self::Signed(_) => Some("Signature-Input, Signature"),
            Self::Basic(_) | Self::Jwt(_) | Self::OAuth2(_) | Self::Layered(_) => Some("Authorization"),
        }
    }
}

/// How a listener asks for client certificates.
pub struct ClientCertificates {
    /// Who verifies them in a full handshake.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// Whether sessions are resumed, and with them certificates that nobody verifies again.
    pub resumption: bool,
    /// When connections have to end; absent means that nobody says.
    pub(crate) registry: Option<Arc<mtls::Registry>>,
}

/// Schemes of `WWW-Authenticate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// RFC 6750.
    Bearer,
    /// RFC 7617.
    Basic,
    /// Signed requests. No registered scheme stands for them, and a 401 without any would not be one (RFC 9110 §15.5.2); what
    /// is asked for is told by `Accept-Signature` (RFC 9421 §5.1).
    Signature,
    /// RFC 9449.
    Dpop,
    /// A password by RFC 7617, or the token of a session that it opened, by RFC 6750.
    Session,
}

/// The principal of a request that nobody authenticated.
pub const ANONYMOUS: &str = "anonymous";

fn anonymous() -> Principal {
    thread_local! {
        static NAMES: (Arc<str>, Arc<str>) = (Arc::from(ANONYMOUS), Arc::from(""));
    }
    NAMES.with(|(name, nothing)| {
        Principal::new(PrincipalKind::Anonymous, name.clone(), nothing.clone(), nothing.clone())
    })
}

#[cfg(test)]
mod tests;
