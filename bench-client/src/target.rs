//! What is measured: the reference server, started by the run as processes of its own.

use std::collections::BTreeMap;

use bench_server::contract::{Counters, Issued, ServerConfig, Telemetry};

use crate::load::Endpoint;
use crate::machine::Machine;
use crate::plan::{Plan, Variant};

/// The server processes of one variant in one start.
pub struct Target {}

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
    pub async fn start(_plan: &Plan, _variant: &Variant, _machine: &Machine) -> Result<Self, TargetError> {
        unimplemented!()
    }

    /// Where requests go.
    pub fn endpoint(&self) -> &Endpoint {
        unimplemented!()
    }

    /// Effective configuration by role (`resource`, `authorization`).
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn configuration(&self) -> Result<BTreeMap<String, ServerConfig>, TargetError> {
        unimplemented!()
    }

    /// Issues credentials the way the method's standard says: token endpoint for OAuth 2.0, control socket otherwise.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn issue(
        &self,
        _count: usize,
        _lifetime: Option<std::time::Duration>,
    ) -> Result<Vec<Issued>, TargetError> {
        unimplemented!()
    }

    /// Revokes a credential the way the method's standard says.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn revoke(&self, _credential: &Issued) -> Result<(), TargetError> {
        unimplemented!()
    }

    /// Counters and validation times of the resource server since the last call.
    ///
    /// # Errors
    /// [`TargetError`].
    pub async fn telemetry(&self) -> Result<Telemetry, TargetError> {
        unimplemented!()
    }

    /// Processor time by role since each process began; `None` where the platform does not tell.
    pub fn cpu_ns(&self) -> Option<BTreeMap<String, u64>> {
        unimplemented!()
    }

    /// Whether all processes still run.
    ///
    /// # Errors
    /// [`TargetError::Died`].
    pub fn check_alive(&mut self) -> Result<(), TargetError> {
        unimplemented!()
    }

    /// Ends the processes and waits for them.
    pub async fn stop(self) {
        unimplemented!()
    }
}

#[allow(unused)]
fn counters_are_part_of_telemetry(telemetry: Telemetry) -> Counters {
    telemetry.counters
}
