//! Clients and users of the authorization server, as those see them who manage them over the control socket.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::KeyEnvironment;

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

/// Registers a user of the authorization server's login page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserRegistration {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
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
