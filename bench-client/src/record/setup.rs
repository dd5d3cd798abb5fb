//! What the trials of a setup measured.

use serde::{Deserialize, Serialize};

/// From nothing to the first authorised request, several times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetupResult {
    /// One entry per trial that reached its end.
    pub trials: Vec<SetupTrial>,
    /// What the client must keep secret from then on; the same in every trial but for a byte or two.
    pub secrets: Vec<KeptSecret>,
    /// What has to be run for the method, by its configuration.
    pub moving_parts: Vec<String>,
}

/// One trial: its steps in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupTrial {
    /// The steps.
    pub steps: Vec<SetupStep>,
}

/// One step of a setup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupStep {
    /// What it is, like `token request`.
    pub name: String,
    /// Where it goes.
    pub over: Channel,
    /// How long it took.
    pub elapsed_ns: u64,
    /// Round trips between client and server, counted by what the protocols demand; 0 out of band.
    pub round_trips: u32,
    /// Bytes written to TCP; 0 out of band, where no client takes part in them.
    pub bytes_sent: u64,
    /// Bytes read from TCP.
    pub bytes_received: u64,
}

/// Where a step of a setup goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The operator's own way (here the control socket): a registration, an issued key. It takes a person or a process in
    /// service, and no round trip of the client's.
    OutOfBand,
    /// A new connection.
    Connection,
    /// A request on a connection that is open.
    Request,
}

/// Something that the client must keep secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSecret {
    /// What it is, like `client secret`.
    pub what: String,
    /// How long it is: the octets that are presented, or of a private key in PKCS #8.
    pub bytes: usize,
    /// Seconds until it ends by itself; absent where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_s: Option<u64>,
}
