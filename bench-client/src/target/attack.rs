//! What an attack asks of a target beyond a valid credential.

use std::collections::BTreeMap;
use std::time::Duration;

use bench_server::contract::{ClientRegistration, Issued, IssuerKey, RegisteredClient, Secret};

use super::{Server, Target, TargetError};

/// What a client has in its hands on the way to a user's tokens, by name.
pub(crate) type Flow = BTreeMap<&'static str, Secret>;

impl Target {
    /// Whether it is the reference server, whose answers are known to the letter.
    pub(crate) fn is_reference(&self) -> bool {
        matches!(self.server, Server::Reference(_))
    }

    /// What its credentials are signed with, as far as that is known.
    ///
    /// # Errors
    /// [`TargetError`].
    pub(crate) async fn issuer_key(&self) -> Result<Option<IssuerKey>, TargetError> {
        match &self.server {
            Server::Reference(reference) => reference.issuer_key().await.map_err(|message| self.request(message)),
            Server::External(external) => Ok(external.issuer_key().cloned()),
        }
    }

    /// Registers a client with the authorization server.
    ///
    /// # Errors
    /// [`TargetError`].
    pub(crate) async fn register(&self, registration: &ClientRegistration) -> Result<RegisteredClient, TargetError> {
        let registered = match &self.server {
            Server::Reference(reference) => reference.register(registration).await,
            Server::External(_) => Err("only the reference server registers clients".to_owned()),
        };
        registered.map_err(|message| self.request(message))
    }

    /// What a client has in its hands on the way to a user's tokens: the names that are wanted, and the client's own.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn flow(&self, wanted: &[&str]) -> Result<Flow, String> {
        match &self.server {
            Server::Reference(reference) => reference.flow(wanted).await,
            Server::External(_) => Err("an authorization server that the run knows".to_owned()),
        }
    }

    /// Whether it can be asked to take back a credential, and has one to spare.
    pub(crate) fn can_revoke_one(&self) -> bool {
        match &self.server {
            Server::Reference(_) => true,
            Server::External(external) => external.revokes() && external.can_spare_one(),
        }
    }

    /// A credential without the scope that the route asks for.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn issue_unscoped(&self) -> Result<Issued, String> {
        match &self.server {
            Server::Reference(reference) => reference.issue_unscoped().await,
            Server::External(_) => Err("only the reference server issues by scope".to_owned()),
        }
    }

    /// A credential of that lifetime.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn issue_short(&self, lifetime: Duration) -> Result<Issued, String> {
        match &self.server {
            Server::Reference(reference) => reference.issue_short(lifetime).await,
            Server::External(_) => Err("only the reference server issues by lifetime".to_owned()),
        }
    }
}
