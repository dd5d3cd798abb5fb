//! How two sides of a comparison are judged.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MeasurementKind;

/// A figure by which two sides are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Processor time of the server per answered request.
    ServerCpu,
    /// Time inside the authenticator call: the mean of the middle half.
    Validation,
    /// Requests per second of a closed loop; more is better.
    Throughput,
    /// The median latency of an open loop.
    LatencyP50,
    /// The 99th percentile of the latency of an open loop.
    LatencyP99,
}

impl Quantity {
    /// Each, the steadiest first.
    pub const ALL: [Self; 5] =
        [Self::ServerCpu, Self::Validation, Self::Throughput, Self::LatencyP50, Self::LatencyP99];

    /// The word for it in scenarios and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::ServerCpu => "server_cpu",
            Self::Validation => "validation",
            Self::Throughput => "throughput",
            Self::LatencyP50 => "latency_p50",
            Self::LatencyP99 => "latency_p99",
        }
    }

    /// What a table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Self::ServerCpu => "server CPU per request",
            Self::Validation => "validation time",
            Self::Throughput => "throughput",
            Self::LatencyP50 => "latency p50",
            Self::LatencyP99 => "latency p99",
        }
    }

    /// Whether a larger figure is a better one.
    pub fn more_is_better(self) -> bool {
        self == Self::Throughput
    }

    /// The smallest change that counts as one where nobody says anything else, as a share: what users of a figure would
    /// act upon, and not below what its noise lets through.
    pub fn default_minimum(self) -> f64 {
        match self {
            Self::ServerCpu => 0.005,
            Self::Validation => 0.02,
            Self::Throughput => 0.02,
            Self::LatencyP50 => 0.05,
            Self::LatencyP99 => 0.10,
        }
    }
}

impl MeasurementKind {
    /// The figures by which its cases can be compared, in their order.
    pub fn quantities(&self) -> &'static [Quantity] {
        match self {
            Self::Throughput(_) => &[Quantity::ServerCpu, Quantity::Validation, Quantity::Throughput],
            Self::Latency(_) => {
                &[Quantity::ServerCpu, Quantity::Validation, Quantity::LatencyP50, Quantity::LatencyP99]
            }
            Self::Handshake(_) => &[Quantity::ServerCpu, Quantity::Validation],
            Self::Revocation(_) | Self::Setup(_) | Self::Rollover(_) | Self::Outage(_) | Self::Attack(_) => &[],
        }
    }
}

/// How two sides of a comparison are judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparePlan {
    /// How long the second look takes, about: in fresh starts, as many as there is time for, of the cases in which a
    /// change is suspected.
    #[serde(with = "humantime_serde")]
    pub second_look: Duration,
    /// The smallest change of each quantity that counts as one, as a share; [`Quantity::default_minimum`] where absent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub minimum: BTreeMap<Quantity, f64>,
    /// The quantities that decide the exit status; the others are shown beside them.
    pub gate: Vec<Quantity>,
}

impl ComparePlan {
    /// The smallest change of a quantity that counts as one, as a share.
    pub fn minimum(&self, quantity: Quantity) -> f64 {
        self.minimum.get(&quantity).copied().unwrap_or_else(|| quantity.default_minimum())
    }
}

impl Default for ComparePlan {
    fn default() -> Self {
        Self {
            second_look: Duration::from_secs(60),
            minimum: BTreeMap::new(),
            gate: vec![Quantity::ServerCpu, Quantity::Validation],
        }
    }
}
