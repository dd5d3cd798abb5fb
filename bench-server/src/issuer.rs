//! Hand out and take back: the certificate authority and the OAuth 2.0 authorization server.

pub mod authorization_server;
pub mod ca;
