//! stub: start and stop of the whole process's service.

use crate::config::ServerConfig;
use crate::contract::Ready;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartError(pub String);

/// A server that accepts connections.
pub struct Running;

impl Running {
    /// Where it listens.
    pub fn ready(&self) -> &Ready {
        unimplemented!()
    }
    /// Stops accepting, lets requests in progress finish (bounded), and joins the workers.
    pub async fn stop(self) {
        unimplemented!()
    }
}

/// Binds, builds every method and starts the workers.
pub async fn start(_config: ServerConfig) -> Result<Running, StartError> {
    unimplemented!()
}
