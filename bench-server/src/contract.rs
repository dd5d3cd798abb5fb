//! All that the load client imports from the reference server: configuration, credentials, and the control socket's
//! requests and answers.
//!
//! # The control socket
//!
//! HTTP/1.1 with JSON bodies over a Unix socket of mode 0600. Errors are `application/problem+json` (RFC 9457).
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /health` | 200 while every profile could decide about a credential, 503 while one could not |
//! | `GET /counters` | [`Counters`] |
//! | `GET /config` | the [`ServerConfig`] in force |
//! | `POST /telemetry/take` | [`Telemetry`]; the validation histogram starts anew |
//! | `POST /profiles/{name}/credentials` with [`IssueRequest`] | `[`[`Issued`]`]` |
//! | `POST /profiles/{name}/principals/{principal}/credentials` with [`IssueRequest`] for 1 | `[`[`Issued`]`]`, another one for that principal |
//! | `GET /profiles/{name}/issuer-key` | [`IssuerKey`]; 405 unless the configuration says `forging` |
//! | `POST /profiles/{name}/signing-keys` with [`KeyRollover`] | 201; the next CA of client certificates |
//! | `DELETE /profiles/{name}/credentials/{id}` | 204 once the revocation is recorded where it counts |
//! | `POST /profiles/{name}/revocations` with [`SubjectRevocation`] | 204 once it is recorded where it counts |
//! | `POST /profiles/{name}/keys` with [`KeyRequest`] | 201, [`NewKey`]; these and the following of profiles that take API keys |
//! | `GET /profiles/{name}/keys/{id}`, `DELETE /profiles/{name}/keys/{id}` | [`KeySummary`], 204 |
//! | `POST /profiles/{name}/keys/{id}/rotate` with [`KeyRotation`] | 201, [`NewKey`]; 409 while two of the line are live |
//! | `GET /profiles/{name}/owners/{owner}/keys` | `[`[`KeySummary`]`]` |
//! | `PUT /profiles/{name}/owners/{owner}/suspension`, `DELETE …` | 204; all keys of the owner are refused, or accepted again |
//! | `POST /profiles/{name}/leaks` with [`LeakReport`] | 202; a live key is revoked soon after |
//! | `GET /profiles/{name}/usage` | `[`[`KeyUsage`]`]`, up to now |
//! | `GET /profiles/{name}/events` | `[`[`KeyEvent`]`]`: what was done to keys lately |
//! | `DELETE /profiles/{name}/records` | 204 once what the profile kept in a server of its own is removed |
//! | `POST /profiles/{name}/users` with [`NewUser`] | 201; a user of a profile of method `basic` |
//! | `PUT /profiles/{name}/users/{user}/password` with [`NewPassword`] | 204 once the old one is refused where that counts |
//! | `GET /clients`, `POST /clients` with [`ClientRegistration`] | `[`[`ClientSummary`]`]`, [`RegisteredClient`] |
//! | `POST /clients/{id}/secret` | [`RegisteredClient`] with another secret; the one before is good until the next |
//! | `DELETE /clients/{id}` | 204; the client is disabled, and its tokens are dead |
//! | `GET /issuer-key` | [`IssuerKey`] of the authorization server; 405 unless the configuration says `forging` |
//! | `POST /signing-keys` with [`KeyRollover`] | 201; the authorization server's next key |
//! | `GET /users`, `POST /users` with [`UserRegistration`] | `[`[`UserSummary`]`]`, 201 |
//! | `PUT /users/{name}/password` with [`NewPassword`] | 204; sessions and tokens from before are dead |
//! | `DELETE /users/{name}` | 204; the user is disabled, and sessions and tokens are dead |
//! | `GET /users/{name}/grants` | `[`[`GrantSummary`]`]` |
//! | `DELETE /users/{name}/grants/{client}` | 204; what the user granted to that client is withdrawn, and its tokens are dead |
//! | `POST /server-certificate` | 201; listeners show the next TLS certificate, with a new key |
//! | `POST /clock` with [`ClockChange`] | 204; 409 unless the clock is controlled |

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
pub use crate::credential::http_signature;
pub use crate::credential::key::{Key, generate as generate_key};
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
    /// `Signature-Input: …` and `Signature: …` (RFC 9421), made anew for every request.
    SigningKey {
        /// What the signature's `keyid` says.
        key_id: String,
        /// Key of HMAC-SHA-256, in hexadecimal.
        key: Secret,
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
    /// The one way in which a confidential client authenticates; absent means either way to present a secret. Public clients
    /// have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<ClientSecretMethod>,
    /// Public keys of a client that signs (RFC 7517 §5), with `private_key_jwt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<serde_json::Value>,
    /// The one URI among the names of the certificate that a client of `tls_client_auth` comes with (RFC 8705 §2.1.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_client_auth_san_uri: Option<String>,
    /// Whether the client's access tokens are bound to the certificate that it asks for them with (RFC 8705 §3.4).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls_client_certificate_bound_access_tokens: bool,
    /// Where the client's tokens count: its name is good in this one of an application's environments.
    #[serde(default, skip_serializing_if = "KeyEnvironment::is_live")]
    pub environment: KeyEnvironment,
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
            jwks: None,
            tls_client_auth_san_uri: None,
            tls_client_certificate_bound_access_tokens: false,
            environment: KeyEnvironment::Live,
        }
    }
}

/// How a client authenticates (RFC 6749 §2.3.1, RFC 7523 §2.2; names of RFC 7591 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientSecretMethod {
    /// In `Authorization: Basic`.
    #[serde(rename = "client_secret_basic")]
    Basic,
    /// In the form.
    #[serde(rename = "client_secret_post")]
    Post,
    /// By an assertion in the form, signed with a key of its own: there is no secret.
    #[serde(rename = "private_key_jwt")]
    PrivateKeyJwt,
    /// By the certificate of its connection (RFC 8705 §2.1): there is no secret.
    #[serde(rename = "tls_client_auth")]
    TlsClientAuth,
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

/// A registered client, for lists: without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSummary {
    /// Client identifier.
    pub client_id: String,
    /// Name shown on the consent page.
    pub name: String,
    /// Whether the client has a secret.
    pub confidential: bool,
    /// Secrets that are good now: two while one is being rotated.
    pub secrets: usize,
    /// Scopes the client may ask for.
    pub scopes: Vec<String>,
}

/// A user of the login page, for lists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserSummary {
    /// User name.
    pub username: String,
    /// Living grants.
    pub grants: usize,
}

/// What a user granted to a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantSummary {
    /// To whom.
    pub client_id: String,
    /// The client's name.
    pub client: String,
    /// What.
    pub scopes: Vec<String>,
}

/// A user of a profile of method `basic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// User name: without colon and control characters (RFC 7617 §2).
    pub username: String,
    /// Password.
    pub password: Secret,
    /// Scopes held.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Time until the user is no longer accepted; absent means never.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
    /// How this user's password is hashed; absent means as the profile does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<PasswordHash>,
}

/// Another password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The password.
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

/// What credentials are signed with: for attacks with the right key, where the configuration says
/// [`ServerConfig::forging`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum IssuerKey {
    /// Tokens.
    Token {
        /// The algorithm that the key is for.
        algorithm: Algorithm,
        /// Its identifier.
        kid: String,
        /// PKCS #8 in PEM; of HMAC a JWK of type `oct`.
        key: Secret,
    },
    /// Client certificates.
    Certificate {
        /// Certificate of the CA that signs them, PEM.
        ca_pem: String,
        /// What a client sends behind its own certificate, PEM; empty where the root signs.
        chain_pem: String,
        /// The CA's private key, PKCS #8 in PEM.
        key_pem: Secret,
    },
}

/// Takes back every token of a subject that was issued before a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubjectRevocation {
    /// `sub` of the tokens.
    pub subject: String,
    /// Seconds since 1970-01-01T00:00:00Z, not in the future: tokens with a smaller `iat` are refused.
    pub issued_before: u64,
}

/// What may be done to a controlled clock: `{"advance": "1h"}`, `{"set": 1767225600}`, `"freeze"`, `"run"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockChange {
    /// It goes forward by this much.
    Advance(#[serde(with = "humantime_serde")] Duration),
    /// It shows this time, in seconds since 1970-01-01T00:00:00Z.
    Set(u64),
    /// It stands still, where it can be moved and set all the same.
    Freeze,
    /// It goes on from where it stands.
    Run,
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
    #[serde(alias = "ocsp_questions")] // as it was called in records of earlier versions
    pub ocsp_queries: u64,
    /// Those of them that brought no answer that could be used.
    pub ocsp_unanswered: u64,
    /// Requests accepted although nobody had said that the certificate is good, because the policy is soft: an alarm.
    pub ocsp_accepted_unanswered: u64,
    /// TCP connections begun to those who are asked about credentials: authorization servers and OCSP responders. They are
    /// written in the configuration or named by an issuer that is trusted, never by a credential. Stores are not among them.
    pub outbound_connects: u64,
    /// Entries that deny-lists hold now: not a total.
    #[serde(skip_serializing_if = "is_zero")]
    pub denylist_entries: u64,
    /// Bytes of memory that they take.
    #[serde(skip_serializing_if = "is_zero")]
    pub denylist_bytes: u64,
    /// Certificates accepted, in a handshake or in a request, although no CRL in force spoke for them, because the policy is
    /// soft: an alarm.
    #[serde(skip_serializing_if = "is_zero")]
    pub crl_accepted_unknown: u64,
    /// Requests with a field that claims a client certificate, from somebody who is not believed.
    #[serde(skip_serializing_if = "is_zero")]
    pub certificate_fields_ignored: u64,
    /// Connections ended because their certificate was taken back or over, or their time was.
    #[serde(skip_serializing_if = "is_zero")]
    pub connections_lapsed: u64,
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
    /// Those of them that were refused because something gave no answer or was full, by what that was.
    pub unavailable: std::collections::BTreeMap<String, u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Counters {
    /// What happened between `earlier` and `self`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        type ByReason = std::collections::BTreeMap<String, u64>;
        let since = |now: &ByReason, earlier: &ByReason| -> ByReason {
            let grown = now.iter().map(|(reason, n)| (reason.clone(), n - earlier.get(reason).copied().unwrap_or(0)));
            grown.filter(|(_, n)| *n > 0).collect()
        };
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
            ocsp_queries: self.ocsp_queries - earlier.ocsp_queries,
            ocsp_unanswered: self.ocsp_unanswered - earlier.ocsp_unanswered,
            ocsp_accepted_unanswered: self.ocsp_accepted_unanswered - earlier.ocsp_accepted_unanswered,
            outbound_connects: self.outbound_connects - earlier.outbound_connects,
            denylist_entries: self.denylist_entries,
            denylist_bytes: self.denylist_bytes,
            crl_accepted_unknown: self.crl_accepted_unknown - earlier.crl_accepted_unknown,
            certificate_fields_ignored: self.certificate_fields_ignored - earlier.certificate_fields_ignored,
            connections_lapsed: self.connections_lapsed - earlier.connections_lapsed,
            connections_accepted: self.connections_accepted - earlier.connections_accepted,
            handshakes_full: self.handshakes_full - earlier.handshakes_full,
            handshakes_resumed: self.handshakes_resumed - earlier.handshakes_resumed,
            handshakes_with_certificate: self.handshakes_with_certificate - earlier.handshakes_with_certificate,
            handshakes_failed: self.handshakes_failed - earlier.handshakes_failed,
            handshakes_refused: self.handshakes_refused - earlier.handshakes_refused,
            rejected: since(&self.rejected, &earlier.rejected),
            unavailable: since(&self.unavailable, &earlier.unavailable),
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
