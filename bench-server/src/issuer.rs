//! Hand out and take back: API keys over HTTP, the certificate authority and the OAuth 2.0 authorization server.

pub(crate) mod api_keys;
pub mod authorization_server;
pub mod ca;
