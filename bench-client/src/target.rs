//! What is measured: the reference server, started by the run as processes of its own.

mod control;
#[cfg(test)]
mod fake;
mod oauth;
mod process;
mod reference;

use std::collections::BTreeMap;
use std::time::Duration;

use bench_server::contract::{Issued, RegisteredClient, ServerConfig, Telemetry};

use crate::load::Endpoint;
use crate::machine::{Machine, ProcessCpu};
use crate::plan::{Plan, Variant};

pub(crate) use oauth::principal as principal_of_client;
pub use process::Launcher;
use reference::Reference;

/// The server processes of one variant in one start. Dropping it kills them.
pub struct Target {
    variant: String,
    reference: Reference,
}

/// Why a target failed.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// A server process did not start.
    #[error("the server of variant \"{variant}\" did not start: {message}")]
    Start {
        /// The variant.
        variant: String,
        /// Why, with what the process wrote to stderr.
        message: String,
    },
    /// A server process ended by itself.
    #[error("the server of variant \"{variant}\" ended in the middle of the run: {message}")]
    Died {
        /// The variant.
        variant: String,
        /// Exit status and stderr.
        message: String,
    },
    /// Control socket or standard endpoint answered with an error.
    #[error("variant \"{variant}\": {message}")]
    Request {
        /// The variant.
        variant: String,
        /// What was asked and what came back.
        message: String,
    },
}

impl Target {
    /// Starts the variant's processes by executing this program's own `serve --supervised`, and waits until they are
    /// ready.
    ///
    /// # Errors
    /// [`TargetError::Start`].
    pub async fn start(plan: &Plan, variant: &Variant, machine: &Machine) -> Result<Self, TargetError> {
        let launcher = Launcher::this_program().map_err(|error| TargetError::Start {
            variant: variant.name.clone(),
            message: format!("the path of this program is unknown: {error}"),
        })?;
        Self::start_with(&launcher, plan, variant, machine).await
    }

    /// [`Target::start`] with another program in the place of this one: in a test, this one is the test.
    ///
    /// # Errors
    /// [`TargetError::Start`].
    pub async fn start_with(
        launcher: &Launcher,
        plan: &Plan,
        variant: &Variant,
        machine: &Machine,
    ) -> Result<Self, TargetError> {
        let reference = Reference::start(launcher, plan, variant, machine)
            .await
            .map_err(|message| TargetError::Start { variant: variant.name.clone(), message })?;
        Ok(Self { variant: variant.name.clone(), reference })
    }

    /// Where requests go.
    pub fn endpoint(&self) -> &Endpoint {
        &self.reference.endpoint
    }

    /// Effective configuration by role (`resource`, `authorization`).
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn configuration(&self) -> Result<BTreeMap<String, ServerConfig>, TargetError> {
        self.reference.configuration().await.map_err(|message| self.request(message))
    }

    /// Issues credentials the way the method's standard says: token endpoint for OAuth 2.0, control socket otherwise.
    /// They carry the scope that the route asks for and end after `lifetime`, or the variant's own.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn issue(&self, count: usize, lifetime: Option<Duration>) -> Result<Vec<Issued>, TargetError> {
        self.reference.issue(count, lifetime).await.map_err(|message| self.request(message))
    }

    /// The authorization server of the variant, where it has one: where requests to it go, and its issuer identifier.
    pub fn authorization_server(&self) -> Option<(&Endpoint, &str)> {
        self.reference.authorization_server()
    }

    /// Registers a client that may ask for tokens of its own (RFC 6749 §4.4).
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn register_client(&self) -> Result<RegisteredClient, TargetError> {
        self.reference.register_client().await.map_err(|message| self.request(message))
    }

    /// Revokes a credential the way the method's standard says: revocation endpoint (RFC 7009) for OAuth 2.0, control
    /// socket otherwise. Returns with the acknowledgement.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn revoke(&self, credential: &Issued) -> Result<(), TargetError> {
        self.reference.revoke(credential).await.map_err(|message| self.request(message))
    }

    /// Counters and validation times of the resource server; the validation histogram holds what was recorded since
    /// the last call.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn telemetry(&self) -> Result<Telemetry, TargetError> {
        self.reference.telemetry().await.map_err(|message| self.request(message))
    }

    /// Processor time by role; `None` where the platform does not tell.
    pub fn cpu(&self) -> Option<BTreeMap<String, ProcessCpu>> {
        self.reference.cpu()
    }

    /// Whether all processes still run.
    ///
    /// # Errors
    /// [`TargetError::Died`].
    pub fn check_alive(&mut self) -> Result<(), TargetError> {
        self.reference.check_alive().map_err(|message| TargetError::Died { variant: self.variant.clone(), message })
    }

    /// Ends the processes and waits for them: first by closing their stdin, after 5 s by a kill.
    pub async fn stop(self) {
        self.reference.stop().await;
    }

    fn request(&self, message: String) -> TargetError {
        TargetError::Request { variant: self.variant.clone(), message }
    }
}
