//! The scenario, resolved: every variant, measurement and case with every value written out, seeded and hashed.
//!
//! `scenario` holds what the user wrote; only `plan` converts. A plan is stored in `run.json`, and a resumed run works
//! from there.

mod bounds;
mod expected;
mod handshake;
mod setup;

use std::time::Duration;

use bench_server::contract::{AuthorizationServerConfig, HttpVersion, KeyExchange, MethodConfig, Transport};
use serde::{Deserialize, Serialize};

pub use expected::ExpectedStart;
pub use handshake::{HandshakePlan, SessionKind};
pub use setup::SetupPlan;

/// The variant that every cost is a distance from.
pub const BASELINE: &str = "none";

/// A resolved scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// File stem of the scenario.
    pub scenario: String,
    /// The scenario's reason, printed beside its tables.
    pub analysis: String,
    /// Seed of every random choice: order, schedule, credentials, phases.
    pub seed: u64,
    /// Lives of the server processes; intervals are taken over them.
    pub starts: u32,
    /// Passes over all cases, in all; a multiple of `starts`.
    pub rounds: u32,
    /// What carries HTTP.
    pub transport: Transport,
    /// HTTP version.
    pub http: HttpVersion,
    /// The one group of the key exchange; absent means as rustls prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_exchange: Option<KeyExchange>,
    /// Whether server and client are bound to processors of their own, where there are two or more.
    pub pin: bool,
    /// Whether this is the shortened form of the scenario.
    pub quick: bool,
    /// What is compared; the baseline first.
    pub variants: Vec<Variant>,
    /// What is measured, in order.
    pub measurements: Vec<Measurement>,
    /// Variant × measurement.
    pub cases: Vec<Case>,
}

/// A method with its options, served by processes of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Name, unique; what a row of a table is about.
    pub name: String,
    /// The resource server's side.
    pub method: MethodConfig,
    /// The authorization server, in a process of its own; for `oauth2` only.
    pub authorization_server: Option<AuthorizationServerConfig>,
    /// The credentials in use.
    pub pool: PoolPlan,
}

/// A population of credentials and how use is spread over it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PoolPlan {
    /// Credentials issued before a start is measured.
    pub count: usize,
    /// Exponent of the Zipf distribution of use; 0 is uniform.
    pub zipf_exponent: f64,
}

/// One kind of measurement with all its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Name, unique; by default the kind.
    pub name: String,
    /// The kind and its settings.
    #[serde(flatten)]
    pub kind: MeasurementKind,
}

/// What a measurement does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MeasurementKind {
    /// Requests on a schedule; latency from the intended time.
    Latency(LatencyPlan),
    /// Each connection sends as soon as its last answer came.
    Throughput(ThroughputPlan),
    /// Credentials are revoked and probed until refused.
    Revocation(RevocationPlan),
    /// New connections, each used for so many requests.
    Handshake(HandshakePlan),
    /// From nothing to the first authorised request, step by step.
    Setup(SetupPlan),
}

/// Settings of an open-loop measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyPlan {
    /// When requests are due.
    pub model: ArrivalModel,
    /// Requests per second.
    pub rate_per_s: f64,
    /// Connections; also the most requests in flight over HTTP/1.1.
    pub connections: usize,
    /// Connection per request, or kept.
    pub connection: ConnectionKind,
    /// Load before the first round of each start, not counted.
    #[serde(with = "humantime_serde")]
    pub warmup: Duration,
    /// Length of one slice.
    #[serde(with = "humantime_serde")]
    pub slice: Duration,
    /// Slices per trial.
    pub slices: u32,
}

/// How arrivals are spaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArrivalModel {
    /// Exponential gaps: callers that know nothing of each other.
    Poisson,
    /// Equal gaps.
    Constant,
}

/// Whether a request travels on a connection that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionKind {
    /// Kept open across requests and slices.
    Reused,
    /// A new connection with a full handshake for each request.
    Fresh,
    /// A new connection for each request that resumes a TLS session.
    Resumed,
}

/// Settings of a closed-loop measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ThroughputPlan {
    /// Connections, each with one request in flight.
    pub connections: usize,
    /// Connection per request, or kept.
    pub connection: ConnectionKind,
    /// Load before the first round of each start, not counted.
    #[serde(with = "humantime_serde")]
    pub warmup: Duration,
    /// Length of one slice.
    #[serde(with = "humantime_serde")]
    pub slice: Duration,
    /// Slices per trial.
    pub slices: u32,
}

/// Settings of a revocation measurement. It runs once per start, all its cases at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevocationPlan {
    /// Credentials revoked per case and start.
    pub trials: usize,
    /// Time between two probes of one credential: the resolution.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
    /// A credential is revoked at a random time within this span after it was first accepted, so that the revocation
    /// meets caches and polls at every phase.
    #[serde(with = "humantime_serde")]
    pub phase: Duration,
    /// How long after the acknowledgement the probes go on.
    #[serde(with = "humantime_serde")]
    pub watch: Duration,
    /// Lifetime of the credentials issued for it, where the method has one (JWT, OAuth 2.0 tokens); absent means the
    /// variant's own.
    #[serde(with = "humantime_serde::option", default)]
    pub lifetime: Option<Duration>,
    /// Probes go over this kind of connection.
    pub connection: ConnectionKind,
}

/// One cell: a variant under a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// `variant/measurement`, unique.
    pub id: String,
    /// Name of the variant.
    pub variant: String,
    /// Name of the measurement.
    pub measurement: String,
}

impl Plan {
    /// SHA-256 of the plan's JSON, in hexadecimal: equal for equal plans.
    pub fn hash(&self) -> String {
        use sha2::{Digest, Sha256};
        let json = serde_json::to_vec(self).expect("a plan is plain data");
        Sha256::digest(json).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The variant of that name.
    pub fn variant(&self, name: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// The measurement of that name.
    pub fn measurement(&self, name: &str) -> Option<&Measurement> {
        self.measurements.iter().find(|measurement| measurement.name == name)
    }

    /// Rounds between two restarts of the servers.
    pub fn rounds_per_start(&self) -> u32 {
        self.rounds / self.starts
    }
}
