//! Store servers that a run starts by itself, because no URL says which to use: one of each kind at most, started when a
//! variant first asks, ended with the run. Each start of a variant has records of its own in it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use bench_server::contract::{MethodConfig, PrivateServer, ServerKind, StoreConfig};
use tokio::sync::OnceCell;

use crate::plan::PRIVATE_STORE;

/// The store servers of a run.
#[derive(Default)]
pub struct Stores {
    redis: OnceCell<Mutex<PrivateServer>>,
    postgres: OnceCell<Mutex<PrivateServer>>,
    namespaces: AtomicU32,
}

/// Where a method's records are.
pub(super) enum Placed {
    /// With the variant's own processes.
    Within,
    /// In a server that the run started.
    Private(ServerKind),
    /// In a server of the user's, where they are to be removed.
    Foreign,
}

impl Stores {
    /// Fills in where the store of a method is, and gives its records a place of their own.
    ///
    /// # Errors
    /// When there is no such server and it does not start; the text says what to install.
    pub(super) async fn place(&self, method: &mut MethodConfig) -> Result<Placed, String> {
        let (kind, remote) = match method.store_mut() {
            None | Some(StoreConfig::Memory | StoreConfig::Sqlite) => return Ok(Placed::Within),
            Some(StoreConfig::Redis(remote)) => (ServerKind::Redis, remote),
            Some(StoreConfig::Postgres(remote)) => (ServerKind::Postgres, remote),
        };
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        // In a server of the user's, two runs may be under way.
        remote.namespace = format!("run-{:08x}-{number}", rand::random::<u32>());
        if remote.url.to_string() != PRIVATE_STORE {
            return Ok(Placed::Foreign);
        }
        let server = self.of(kind).get_or_try_init(|| start(kind)).await?;
        remote.url = server.lock().unwrap_or_else(PoisonError::into_inner).url();
        Ok(Placed::Private(kind))
    }

    /// Where a server of the run's listens.
    pub(super) fn socket(&self, kind: ServerKind) -> Option<PathBuf> {
        Some(self.of(kind).get()?.lock().unwrap_or_else(PoisonError::into_inner).socket())
    }

    /// The processes of a server of the run's: that of each connection too.
    pub(super) fn processes(&self, kind: ServerKind) -> Vec<u32> {
        let Some(server) = self.of(kind).get() else { return Vec::new() };
        server.lock().unwrap_or_else(PoisonError::into_inner).processes()
    }

    fn of(&self, kind: ServerKind) -> &OnceCell<Mutex<PrivateServer>> {
        match kind {
            ServerKind::Redis => &self.redis,
            ServerKind::Postgres => &self.postgres,
        }
    }
}

async fn start(kind: ServerKind) -> Result<Mutex<PrivateServer>, String> {
    let started = tokio::task::spawn_blocking(move || PrivateServer::start(kind)).await;
    let started = started.map_err(|_| "the thread that starts the store's server stopped".to_owned())?;
    started.map(Mutex::new).map_err(|error| error.to_string())
}
