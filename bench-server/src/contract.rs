//! All that the load client imports from the reference server: configuration, credentials, and the control socket's
//! requests and answers.
//!
//! # The control socket
//!
//! HTTP/1.1 with JSON bodies over a Unix socket of mode 0600. Errors are `application/problem+json` (RFC 9457).
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /counters` | [`Counters`] |
//! | `GET /config` | the [`ServerConfig`] in force |
//! | `POST /telemetry/take` | [`Telemetry`]; the validation histogram starts anew |
//! | `POST /profiles/{name}/credentials` with [`IssueRequest`] | `[`[`Issued`]`]` |
//! | `POST /profiles/{name}/principals/{principal}/credentials` with [`IssueRequest`] for 1 | `[`[`Issued`]`]`, another one for that principal |
//! | `POST /profiles/{name}/signing-keys` with [`KeyRollover`] | 201; the next CA of client certificates |
//! | `DELETE /profiles/{name}/credentials/{id}` | 204 once the revocation is recorded where it counts |
//! | `POST /profiles/{name}/keys` with [`KeyRequest`] | 201, [`NewKey`]; these and the following of method `api-key` only |
//! | `GET /profiles/{name}/keys/{id}`, `DELETE /profiles/{name}/keys/{id}` | [`KeySummary`], 204 |
//! | `POST /profiles/{name}/keys/{id}/rotate` with [`KeyRotation`] | 201, [`NewKey`]; 409 while two of the line are live |
//! | `GET /profiles/{name}/owners/{owner}/keys` | `[`[`KeySummary`]`]` |
//! | `PUT /profiles/{name}/owners/{owner}/suspension`, `DELETE …` | 204; all keys of the owner are refused, or accepted again |
//! | `POST /profiles/{name}/leaks` with [`LeakReport`] | 202; a live key is revoked soon after |
//! | `GET /profiles/{name}/usage` | `[`[`KeyUsage`]`]`, up to now |
//! | `GET /profiles/{name}/events` | `[`[`KeyEvent`]`]`: what was done to keys lately |
//! | `DELETE /profiles/{name}/records` | 204 once what the profile kept in a server of its own is removed |
//! | `POST /clients` with [`ClientRegistration`] | [`RegisteredClient`] |
//! | `POST /signing-keys` with [`KeyRollover`] | 201; the authorization server's next key |
//! | `POST /users` with [`UserRegistration`] | 201 |
//! | `POST /clock` with [`ClockStep`] | 204; 409 unless the clock is controlled |

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod keys;

pub use self::keys::{
    KeyAction, KeyEvent, KeyRequest, KeyRotation, KeyState, KeySummary, KeyUsage, LeakReport, NewKey,
};
pub use crate::auth::jwt::required_claims_bytes;
pub use crate::config::*;
pub use crate::credential::network::Network;
pub use crate::credential::password::check_costs;
pub use crate::credential::x509::ClientIdentity;
pub use crate::store::instance::{InstanceError, PrivateServer, ServerKind};

/// A value that no log, report or error may show: `Debug` hides it, and only serialisation (to the control socket,
/// which is the owner's) and [`Secret::expose`] reveal it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }
    /// The value itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The one line of JSON that a supervised server prints on stdout once it accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Process identifier.
    pub pid: u32,
    /// Path of the control socket.
    pub control: PathBuf,
    /// Listeners in the order of the configuration.
    pub listeners: Vec<ReadyListener>,
    /// PEM file with the CA that signed the server's TLS certificate (always written).
    pub ca_file: PathBuf,
}

/// A listener that accepts connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyListener {
    /// Name from the configuration.
    pub name: String,
    /// Bound address.
    pub address: SocketAddr,
    /// Base URL, like `https://localhost:40123`; also the issuer identifier where the authorization server is mounted.
    pub url: String,
}

/// Asks for credentials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssueRequest {
    /// How many, at least 1.
    pub count: usize,
    /// Time until they expire; absent means the profile's default (API keys and passwords: never).
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
    /// Scopes granted.
    pub scopes: Vec<String>,
}

/// A credential, as handed out once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// What a revocation names: key id, user name, `jti`, certificate serial number in hexadecimal.
    pub id: String,
    /// For whom the server will take its bearer: the `principal` of the resource's answer.
    pub principal: String,
    /// What the caller presents.
    pub material: Material,
}

/// What a caller presents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Material {
    /// Nothing (method `none`).
    None,
    /// `X-API-Key: …` or `Authorization: Bearer …`.
    ApiKey {
        /// The key.
        key: Secret,
    },
    /// `Authorization: Basic …` (RFC 7617).
    Password {
        /// User name, without colon.
        username: String,
        /// Password.
        password: Secret,
    },
    /// `Authorization: Bearer …` (RFC 6750).
    Bearer {
        /// The token.
        token: Secret,
    },
    /// A client certificate.
    Certificate {
        /// Leaf and intermediates, PEM.
        chain_pem: String,
        /// PKCS #8 private key, PEM.
        key_pem: Secret,
    },
}

/// Registers an OAuth client (RFC 6749 §2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRegistration {
    /// Name shown on the consent page.
    pub name: String,
    /// Confidential clients get a secret; public ones authenticate with PKCE alone.
    pub confidential: bool,
    /// Grant types allowed: `authorization_code`, `client_credentials`, `refresh_token`.
    pub grant_types: Vec<String>,
    /// Redirection endpoints, compared exactly.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Scopes the client may ask for.
    pub scopes: Vec<String>,
    /// Whether the client may introspect (RFC 7662 §2.1): a resource server.
    #[serde(default)]
    pub may_introspect: bool,
    /// Lifetime of this client's access tokens, from 1 s to the server's; absent means the server's.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub access_token_lifetime: Option<Duration>,
    /// The one way in which a confidential client presents its secret; absent means either. Public clients have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<ClientSecretMethod>,
}

impl ClientRegistration {
    /// A resource server: it introspects (RFC 7662 §2.1) and asks for no tokens.
    pub fn resource_server(name: &str) -> Self {
        Self { may_introspect: true, ..Self::service(name, &[]) }
    }

    /// A service that asks for tokens of its own by client credentials (RFC 6749 §4.4). Without scopes it may ask for none.
    pub fn service(name: &str, scopes: &[&str]) -> Self {
        let asks_for_tokens = !scopes.is_empty();
        Self {
            name: name.to_owned(),
            confidential: true,
            grant_types: if asks_for_tokens { vec!["client_credentials".to_owned()] } else { Vec::new() },
            redirect_uris: Vec::new(),
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            may_introspect: false,
            access_token_lifetime: None,
            token_endpoint_auth_method: None,
        }
    }
}

/// How a client secret travels (RFC 6749 §2.3.1, names of RFC 7591 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientSecretMethod {
    /// In `Authorization: Basic`.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// In the form.
    #[serde(rename = "client_secret_post")]
    Post,
}

/// A registered OAuth client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredClient {
    /// Client identifier.
    pub client_id: String,
    /// Client secret, shown once; absent for public clients.
    pub client_secret: Option<Secret>,
}

/// Registers a user of the authorization server's login page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRegistration {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// A new signing key of the authorization server, or a new CA of client certificates, and how long the two overlap. A CA is
/// published when validators can read it, and withdrawn by the CRL of the CA above it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRollover {
    /// How long the new key is published before it signs; absent means for as long as the published keys may be kept, or
    /// until every validator has looked at the CRLs.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub lead: Option<Duration>,
    /// How long the old key stays published after the new one has begun to sign; absent means until its last token has
    /// expired at every validator.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Duration>,
    /// Whether yet another key is published, which signs nothing before the next rollover: so that this one, without warning
    /// and without lead, meets validators that know its key. Not of CAs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub standby: bool,
}

impl KeyRollover {
    /// As after the theft of a key: the new one signs at once and the old one is withdrawn at once, and the next one is
    /// published in advance.
    pub const AFTER_THEFT: Self = Self { lead: Some(Duration::ZERO), overlap: Some(Duration::ZERO), standby: true };
}

/// Moves a controlled clock forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStep {
    /// By how much.
    #[serde(with = "humantime_serde")]
    pub advance: Duration,
}

/// What the server did since it started. Differences of two readings are what a trial cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Requests that reached an authenticator.
    pub requests: u64,
    /// Requests that an authenticator accepted.
    pub accepted: u64,
    /// Reads of a credential store: memory, SQLite, deny-list, or an introspection or OCSP question over HTTP.
    pub store_lookups: u64,
    /// Writes to a credential store.
    pub store_writes: u64,
    /// Answers taken from a cache.
    pub cache_hits: u64,
    /// Acceptances on what is past its time, because nothing newer could be had (`stale_if_error`).
    pub stale_hits: u64,
    /// Signature or MAC verifications of tokens.
    pub verify_calls: u64,
    /// Password hashes computed.
    pub hash_calls: u64,
    /// Fetches of a JWKS.
    pub jwks_fetches: u64,
    /// Introspection requests sent (also counted as lookups).
    pub introspections: u64,
    /// Questions to an OCSP responder (also counted as lookups).
    pub ocsp_questions: u64,
    /// Those of them that brought no answer that could be used.
    pub ocsp_unanswered: u64,
    /// Requests accepted although nobody had said that the certificate is good, because the policy is soft: an alarm.
    pub ocsp_accepted_unanswered: u64,
    /// TCP connections accepted on the listeners.
    pub connections_accepted: u64,
    /// Full TLS handshakes completed.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes completed.
    pub handshakes_resumed: u64,
    /// Completed TLS handshakes in which the client's certificate was verified; also counted as full.
    pub handshakes_with_certificate: u64,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// Failed TLS handshakes in which the server refused the client's certificate, or missed one.
    pub handshakes_refused: u64,
    /// Requests refused, by reason (see [`crate::auth::Rejection::reason`]).
    pub rejected: std::collections::BTreeMap<String, u64>,
}

impl Counters {
    /// What happened between `earlier` and `self`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let rejected = self
            .rejected
            .iter()
            .map(|(reason, n)| (reason.clone(), n - earlier.rejected.get(reason).copied().unwrap_or(0)))
            .filter(|(_, n)| *n > 0)
            .collect();
        Self {
            requests: self.requests - earlier.requests,
            accepted: self.accepted - earlier.accepted,
            store_lookups: self.store_lookups - earlier.store_lookups,
            store_writes: self.store_writes - earlier.store_writes,
            cache_hits: self.cache_hits - earlier.cache_hits,
            stale_hits: self.stale_hits - earlier.stale_hits,
            verify_calls: self.verify_calls - earlier.verify_calls,
            hash_calls: self.hash_calls - earlier.hash_calls,
            jwks_fetches: self.jwks_fetches - earlier.jwks_fetches,
            introspections: self.introspections - earlier.introspections,
            ocsp_questions: self.ocsp_questions - earlier.ocsp_questions,
            ocsp_unanswered: self.ocsp_unanswered - earlier.ocsp_unanswered,
            ocsp_accepted_unanswered: self.ocsp_accepted_unanswered - earlier.ocsp_accepted_unanswered,
            connections_accepted: self.connections_accepted - earlier.connections_accepted,
            handshakes_full: self.handshakes_full - earlier.handshakes_full,
            handshakes_resumed: self.handshakes_resumed - earlier.handshakes_resumed,
            handshakes_with_certificate: self.handshakes_with_certificate - earlier.handshakes_with_certificate,
            handshakes_failed: self.handshakes_failed - earlier.handshakes_failed,
            handshakes_refused: self.handshakes_refused - earlier.handshakes_refused,
            rejected,
        }
    }
}

/// Counters, and the validation times recorded since the last take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Telemetry {
    /// Totals since the start.
    pub counters: Counters,
    /// Time inside the authenticator call in nanoseconds: an HdrHistogram in V2 form, base64 (standard, padded).
    pub validation: String,
}
