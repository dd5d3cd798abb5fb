//! Settings of a setup measurement, and what a variant needs besides a request: parts to run.

use bench_server::contract::{Follow, MethodConfig, StoreConfig, TokenValidation, Transport};
use serde::{Deserialize, Serialize};

use super::{Plan, Variant};

/// From nothing to the first authorised request. It runs once per start, its trials one after the other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetupPlan {
    /// Trials per case and start, each with a credential of its own.
    pub trials: usize,
}

impl Plan {
    /// What an operator has to run and to look after for a variant besides the API itself, by its configuration; of a
    /// server of the user's only its certificate is known.
    pub fn moving_parts(&self, variant: &Variant) -> Vec<&'static str> {
        let mut parts = Vec::new();
        if self.server_of(variant).transport != Transport::Plaintext {
            parts.push("server certificate");
        }
        let Some(method) = variant.method.reference() else { return parts };
        match method {
            // A scenario has variants of one method each.
            MethodConfig::None | MethodConfig::Mixed(_) | MethodConfig::Layered(_) => {}
            MethodConfig::ApiKey(api_key) => {
                parts.push(match api_key.store {
                    StoreConfig::Memory => "key store in memory",
                    StoreConfig::Sqlite => "key database",
                    StoreConfig::Redis(_) => "Redis server with the keys",
                    StoreConfig::Postgres(_) => "PostgreSQL server with the keys",
                });
                parts.extend(api_key.cache.map(|_| "cache of keys"));
            }
            MethodConfig::Basic(basic) => {
                parts.extend(["password database", "hashing threads"]);
                parts.extend(basic.cache.map(|_| "cache of verified passwords"));
            }
            MethodConfig::Jwt(jwt) => {
                parts.push("signing key and its rotation");
                parts.extend(jwt.introspection.then_some("introspection of each token"));
                parts.extend(jwt.denylist.as_ref().map(|denylist| match denylist.follow {
                    Follow::Poll(_) => "deny-list that is polled",
                    Follow::Push(_) => "deny-list that is pushed",
                }));
            }
            MethodConfig::OAuth2(oauth2) => {
                parts.extend(["authorization server", "client registry"]);
                match &oauth2.validation {
                    TokenValidation::Opaque { cache } => {
                        parts.extend(["token database", "introspection of each token"]);
                        parts.extend(cache.map(|_| "cache of introspections"));
                    }
                    TokenValidation::Jwt { .. } => {
                        parts.extend(["signing key and its rotation", "key set that is fetched"]);
                    }
                }
            }
            MethodConfig::Mtls(mtls) => {
                parts.extend(["certificate authority", "renewal of client certificates"]);
                parts.extend(mtls.crl_reload.map(|_| "revocation list that is reloaded"));
                parts.extend(mtls.ocsp.as_ref().map(|_| "OCSP responder that is asked"));
            }
            MethodConfig::Signed(signed) => {
                parts.extend(match signed.store {
                    StoreConfig::Memory => ["key store in memory", "memory of nonces"],
                    StoreConfig::Sqlite => ["key database", "database of nonces"],
                    StoreConfig::Redis(_) => ["Redis server with the keys", "nonces in Redis"],
                    StoreConfig::Postgres(_) => ["PostgreSQL server with the keys", "nonces in PostgreSQL"],
                });
                parts.extend(["master key", "clocks that agree"]);
            }
        }
        parts
    }
}
