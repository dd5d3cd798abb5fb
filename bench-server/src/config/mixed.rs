//! Options of the method `mixed`.

use serde::{Deserialize, Serialize};

use super::{ApiKeyConfig, JwtConfig, OAuth2Config};

/// API keys, JWTs and opaque tokens behind one route, told apart by their form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MixedConfig {
    /// What begins like a key, or stands in `X-API-Key`.
    pub api_key: ApiKeyConfig,
    /// What has two dots. With a deny-list a JWT costs a signature and a lookup, without one the signature alone.
    pub jwt: JwtConfig,
    /// Anything else; its validation must be by introspection.
    pub opaque: OAuth2Config,
}
