//! Used nonces: a row for each, over connections of their own, for a row that is written takes longer than many that are
//! read.

use tokio_postgres::{Client, Statement};

use super::{Lines, Postgres, StoreError};
use crate::clock::UnixTime;
use crate::store::nonces::Nonce;

/// Connections of each runtime. PostgreSQL commits what several of them write at one time together.
const LINES: usize = 8;

/// Inserts a row where there is none that still counts, and removes two that no longer do. Who comes at the same time with
/// the same nonce waits for the first to commit.
const USE: &str = "
    WITH forgotten AS (
        DELETE FROM nonces WHERE nonce IN (
            SELECT nonce FROM nonces WHERE until <= $3 AND nonce <> $1 LIMIT 2 FOR UPDATE SKIP LOCKED
        )
    )
    INSERT INTO nonces (nonce, until) VALUES ($1, $2)
    ON CONFLICT (nonce) DO UPDATE SET until = excluded.until WHERE nonces.until <= $3";

/// The table `nonces` of a profile.
pub(crate) struct Nonces {
    store: Postgres,
    lines: Lines<Line>,
}

struct Line {
    client: Client,
    use_up: Statement,
}

impl Nonces {
    pub(crate) fn new(store: Postgres) -> Self {
        Self { store, lines: Lines::new(LINES) }
    }

    /// Whether it is the first use.
    pub(crate) async fn use_up(&self, nonce: &Nonce, until: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        let (until, now) = (until.as_secs() as i64, now.as_secs() as i64);
        let connect = async || {
            let client = self.store.connect().await?;
            let use_up = self.store.in_time("prepare statements at", client.prepare(USE)).await?;
            Ok(Line { client, use_up })
        };
        let line = self.lines.get(|line| !line.client.is_closed(), connect).await?;
        let nonce = nonce.as_bytes();
        let changed = self.store.in_time("write", line.client.execute(&line.use_up, &[&nonce, &until, &now])).await?;
        Ok(changed > 0)
    }

    #[cfg(test)]
    pub(crate) async fn count(&self) -> Result<i64, StoreError> {
        let client = self.store.connect().await?;
        let row = self.store.in_time("count", client.query_one("SELECT count(*) FROM nonces", &[])).await?;
        Ok(row.get(0))
    }
}
