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

mod accounts;
mod counters;
mod keys;

pub use self::accounts::{
    ClientRegistration, ClientSecretMethod, ClientSummary, GrantSummary, RegisteredClient, UserRegistration,
    UserSummary,
};
pub use self::counters::{Counters, Telemetry};
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
        /// The CA above it, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        above: Option<CaKey>,
    },
}

/// A CA that can sign others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaKey {
    /// Its certificate, PEM.
    pub ca_pem: String,
    /// What a client sends behind the certificate of a CA below it, PEM; empty where it is the root.
    pub chain_pem: String,
    /// Its private key, PKCS #8 in PEM.
    pub key_pem: Secret,
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
