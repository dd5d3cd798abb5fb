//! What an attack asks of a target beyond a valid credential.

use std::collections::BTreeMap;
use std::time::Duration;

use bench_server::contract::{ClientRegistration, Issued, IssuerKey, PasswordHash, RegisteredClient, Secret};

use super::{Server, Target, TargetError};
use crate::attack::{Caller, TokenKey};
use crate::load::Endpoint;

/// What a client has in its hands on the way to a user's tokens, by name.
pub(crate) type Flow = BTreeMap<&'static str, Secret>;

/// Whose the tokens of a flow are, and for whom the server takes their bearer, by this name.
pub(crate) const FLOW_PRINCIPAL: &str = "flow-principal";

/// A credential, and what goes with it where it does not stand alone.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    /// The credential that requests present, or connections.
    pub(crate) issued: Issued,
    /// Who calls for the user, by an API key or a certificate; or who holds the certificate that the token is bound to.
    pub(crate) caller: Option<Issued>,
}

impl From<Issued> for Holding {
    fn from(issued: Issued) -> Self {
        Self { issued, caller: None }
    }
}

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

    /// What its tokens are bound to, where they are bound to a key (RFC 9449).
    pub(crate) fn proof_key(&self) -> Option<&TokenKey> {
        match &self.server {
            Server::Reference(reference) => reference.proof_key(),
            Server::External(external) => external.proof_key(),
        }
    }

    /// Another listener of the same server, which asks for no certificate.
    pub(crate) fn neighbour(&self) -> Option<&Endpoint> {
        match &self.server {
            Server::Reference(reference) => reference.neighbour(),
            Server::External(_) => None,
        }
    }

    /// A valid credential that nobody else has, with what goes with it.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn hold(&self) -> Result<Holding, String> {
        match &self.server {
            Server::Reference(reference) => reference.hold(None).await,
            Server::External(external) => one(external.take(1).await?).map(Holding::from),
        }
    }

    /// The same with a credential of that lifetime.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn hold_for(&self, lifetime: Duration) -> Result<Holding, String> {
        match &self.server {
            Server::Reference(reference) => reference.hold(Some(lifetime)).await,
            Server::External(_) => Err("only the reference server issues by lifetime".to_owned()),
        }
    }

    /// The same with a credential that lacks the scope that the route asks for.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn hold_unscoped(&self) -> Result<Holding, String> {
        match &self.server {
            Server::Reference(reference) => reference.hold_unscoped().await,
            Server::External(_) => Err("only the reference server issues by scope".to_owned()),
        }
    }

    /// A new user with that password, hashed so or as the server does.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn hold_user(&self, password: Secret, hash: Option<PasswordHash>) -> Result<Holding, String> {
        match &self.server {
            Server::Reference(reference) => reference.hold_user(password, hash).await,
            Server::External(_) => Err("only the reference server has users made".to_owned()),
        }
    }

    /// Another credential of who calls: of somebody else, without the scope, or one more of the same.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn another_caller(&self, held: &Holding, which: Caller) -> Result<Issued, String> {
        match &self.server {
            Server::Reference(reference) => reference.another_caller(held, which).await,
            Server::External(_) => Err("only the reference server issues for callers".to_owned()),
        }
    }

    /// Takes back a credential of who calls. Returns with the acknowledgement.
    ///
    /// # Errors
    /// [`TargetError`].
    pub(crate) async fn revoke_caller(&self, caller: &Issued) -> Result<(), TargetError> {
        let revoked = match &self.server {
            Server::Reference(reference) => reference.revoke_caller(caller).await,
            Server::External(_) => Err("only the reference server takes back what callers have".to_owned()),
        };
        revoked.map_err(|message| self.request(message))
    }

    /// Replaces an API key; the old one is good for so long beside the new one.
    ///
    /// # Errors
    /// [`TargetError`].
    pub(crate) async fn rotate(&self, credential: &Issued, overlap: Duration) -> Result<(), TargetError> {
        let rotated = match &self.server {
            Server::Reference(reference) => reference.rotate(credential, overlap).await,
            Server::External(_) => Err("only the reference server replaces keys".to_owned()),
        };
        rotated.map_err(|message| self.request(message))
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

    /// What a client has in its hands on the way to a user's tokens: the names that are wanted, and the client's own. A code
    /// that is to have ended is waited for if that takes no longer than `patience`.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) async fn flow(&self, wanted: &[&str], patience: Duration) -> Result<Flow, String> {
        match &self.server {
            Server::Reference(reference) => reference.flow(wanted, patience).await,
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
}

/// The one of a list of one.
pub(super) fn one(issued: Vec<Issued>) -> Result<Issued, String> {
    issued.into_iter().next().ok_or_else(|| "none was issued".to_owned())
}
