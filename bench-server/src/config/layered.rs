//! Options of the method `layered`.

use serde::{Deserialize, Serialize};

use super::{ApiKeyConfig, MtlsConfig, OAuth2Config};

/// Two credentials in one request: of who calls, and of the user for whom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayeredConfig {
    /// Who calls.
    pub caller: CallerConfig,
    /// The user: an access token in `Authorization: Bearer`, whose validation must be as a JWT.
    pub user: OAuth2Config,
}

/// Who calls for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallerConfig {
    /// An application outside, by its API key in `X-API-Key`. A key belongs to the OAuth client that it was issued to by name.
    Application(ApiKeyConfig),
    /// A service inside, by its certificate. Client certificates are then mandatory on the listener.
    Service(ServiceConfig),
}

/// Services that call for users.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ServiceConfig {
    /// How certificates are checked.
    pub certificates: MtlsConfig,
    /// The SPIFFE IDs of services that may act for users; others may not, whatever token they have got hold of.
    pub may_act: Vec<String>,
}
