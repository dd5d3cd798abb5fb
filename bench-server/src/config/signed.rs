//! Options of signed requests.

use serde::{Deserialize, Serialize};

use super::StoreConfig;

/// Requests signed with HMAC (RFC 9421): keys derived from a master in the shared folder, records and used nonces in a
/// store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedConfig {
    /// Where records of keys live, and nonces until they may be forgotten. Replicas share both, or a request could be replayed
    /// at another; in memory belongs to one process.
    pub store: StoreConfig,
    /// Most nonces that a process remembers at a time, within [`SignedConfig::NONCES`]. One more is answered 503: to forget
    /// one early would be to accept it again.
    #[serde(default = "SignedConfig::default_nonces", skip_serializing_if = "SignedConfig::is_default_nonces")]
    pub nonces: usize,
}

impl SignedConfig {
    /// Possible values of `nonces`.
    pub const NONCES: std::ops::RangeInclusive<usize> = 1..=100_000_000;

    /// As many nonces as by default.
    pub fn new(store: StoreConfig) -> Self {
        Self { store, nonces: Self::default_nonces() }
    }

    /// Four million: some 200 MB in memory, and enough for 60 000 requests per second that are signed for 30 seconds.
    pub fn default_nonces() -> usize {
        1 << 22
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_default_nonces(nonces: &usize) -> bool {
        *nonces == Self::default_nonces()
    }
}
