//! stub: the OAuth 2.0 authorization server.

use crate::auth::{AdminError, BuildError};
use crate::clock::Clock;
use crate::config::AuthorizationServerConfig;
use crate::contract::{ClientRegistration, RegisteredClient, UserRegistration};
use crate::telemetry::Meter;
use bytes::Bytes;
use http::{Request, Response};
use std::sync::Arc;

/// The authorization server of a process.
pub struct AuthorizationServer;

impl AuthorizationServer {
    /// `issuer` is the base URL of the listener that it is mounted on.
    pub fn build(
        _config: &AuthorizationServerConfig,
        _issuer: &str,
        _clock: Clock,
        _meter: Arc<Meter>,
    ) -> Result<Self, BuildError> {
        unimplemented!()
    }
    /// The issuer identifier.
    pub fn issuer(&self) -> &str {
        unimplemented!()
    }
    /// Answers a request for one of its endpoints; `None` when the path is not its own.
    pub async fn handle(&self, _request: &Request<Bytes>) -> Option<Response<Bytes>> {
        unimplemented!()
    }
    /// Registers a client.
    pub fn register_client(&self, _registration: &ClientRegistration) -> Result<RegisteredClient, AdminError> {
        unimplemented!()
    }
    /// Registers a user of the login page.
    pub fn register_user(&self, _registration: &UserRegistration) -> Result<(), AdminError> {
        unimplemented!()
    }
}
