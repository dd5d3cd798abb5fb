//! API keys as those see them who manage them: over the control socket, and under `/keys` where a listener carries that.
//! Times are whole seconds since 1970.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::credential::network::Network;

/// Asks for an API key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRequest {
    /// Application that will own it; absent means a new one, or over `/keys` the one whose key asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Time until it expires; absent means never.
    #[serde(with = "humantime_serde", default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Duration>,
    /// Scopes granted; a key without any can do nothing.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Networks from which alone it may be used; none means from everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
}

/// Replaces a key by another one with the same rights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// How long the old key is accepted beside the new one; zero ends it before the answer is sent.
    #[serde(with = "humantime_serde", default)]
    pub overlap: Duration,
}

/// A new key: the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    /// The key itself.
    pub key: Secret,
    /// What lists show of it.
    #[serde(flatten)]
    pub summary: KeySummary,
}

/// What lists show of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySummary {
    /// What a revocation names.
    pub id: String,
    /// The application that owns it.
    pub owner: String,
    /// How it begins.
    pub prefix: String,
    /// How it ends: characters of the checksum.
    pub last4: String,
    /// Scopes held.
    pub scopes: Vec<String>,
    /// When it was issued.
    pub created: u64,
    /// The first moment at which it is no longer accepted; absent means never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// When it was last used, up to a minute behind; absent where it never was, or where nothing is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<u64>,
    /// Requests that were answered with the resource.
    pub requests: u64,
    /// Whether it is accepted.
    pub status: KeyState,
    /// Version of the pepper that its digest was made with; 0 for none.
    pub pepper: u32,
    /// Networks from which alone it may be used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<Network>,
    /// The key that it replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
    /// The key that replaces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
}

/// Whether a key is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// It is.
    Active,
    /// It is past its end.
    Expired,
    /// It was taken back, for good.
    Revoked,
    /// Its owner is suspended.
    Suspended,
}

/// Reports a key that was found where it should not be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeakReport {
    /// What was found.
    pub key: Secret,
}

/// What one key was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyUsage {
    /// The key's identifier.
    pub key: String,
    /// Requests that were answered with the resource: what is billed.
    pub requests: u64,
    /// When the last of them came.
    pub last_used: u64,
}

/// Something that was done to keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyEvent {
    /// What.
    pub event: KeyAction,
    /// By whom: the identifier of a key, `control`, or `report` for whoever reported a leak.
    pub actor: String,
    /// Whose keys.
    pub owner: String,
    /// Which key; absent where it is all of the owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// When.
    pub at: u64,
}

/// What may be done to keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAction {
    /// Issued.
    Created,
    /// Replaced by another; the key named is the old one.
    Rotated,
    /// Taken back.
    Revoked,
    /// Reported as leaked, and taken back for it.
    Leaked,
    /// The owner was suspended.
    Suspended,
    /// The owner is no longer suspended.
    Resumed,
}
