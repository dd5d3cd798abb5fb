//! Other traffic on a variant's server: what its own callers, the bystanders, suffer from.

use bench_server::contract::MethodConfig;
use serde::{Deserialize, Serialize};

use super::{PoolPlan, Variant};

/// Requests that come in while the variant is measured, to a route of their own in the same process. They are in none of the
/// variant's figures, but for what they cost its callers and its server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// How their route authenticates; with a store that is in the process or in a file.
    pub method: MethodConfig,
    /// Their credentials.
    pub pool: PoolPlan,
    /// How many come, as a Poisson process; 0 for none.
    pub rate_per_s: f64,
    /// Connections of theirs.
    pub connections: usize,
    /// Whether they bring wrong passwords.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub wrong: bool,
}

impl Variant {
    /// What comes in beside it; `None` where it is alone on its server, also at the point of a sweep where nothing comes.
    pub fn traffic_beside(&self) -> Option<&Beside> {
        self.beside.as_deref().filter(|traffic| traffic.rate_per_s > 0.0)
    }
}
