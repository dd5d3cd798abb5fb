//! Real stores for tests: one private Redis and one private PostgreSQL for all tests of a program, each test in a
//! namespace of its own.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::instance::{PrivateServer, ServerKind};
use crate::config::{RemoteStore, StoreConfig};

static REDIS: LazyLock<PrivateServer> = LazyLock::new(|| start(ServerKind::Redis));
static POSTGRES: LazyLock<PrivateServer> = LazyLock::new(|| start(ServerKind::Postgres));

/// Its keeper ends it with this program.
fn start(kind: ServerKind) -> PrivateServer {
    PrivateServer::start(kind).unwrap_or_else(|error| panic!("{error}"))
}

fn remote(server: &PrivateServer) -> RemoteStore {
    static NAMESPACES: AtomicU32 = AtomicU32::new(0);
    let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
    RemoteStore { namespace: format!("test-{number}"), ..RemoteStore::new(server.url()) }
}

/// An empty store in Redis.
pub(crate) fn redis() -> StoreConfig {
    StoreConfig::Redis(remote(&REDIS))
}

/// An empty store in PostgreSQL.
pub(crate) fn postgres() -> StoreConfig {
    StoreConfig::Postgres(remote(&POSTGRES))
}

/// An empty store of each kind that replicas can share. SQLite's is empty in a new folder.
pub(crate) fn shared() -> [StoreConfig; 3] {
    [StoreConfig::Sqlite, redis(), postgres()]
}

/// An empty store of each kind.
pub(crate) fn all() -> [StoreConfig; 4] {
    let [sqlite, redis, postgres] = shared();
    [StoreConfig::Memory, sqlite, redis, postgres]
}
