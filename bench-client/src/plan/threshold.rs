//! Limits that a run must keep.

use serde::{Deserialize, Serialize};

use super::{MeasurementKind, Metric};

/// A limit of one figure of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// The case's id.
    pub case: String,
    /// The figure.
    pub metric: Metric,
    /// Which side of the limit is the good one, and the limit.
    #[serde(flatten)]
    pub limit: Limit,
}

/// A limit in the metric's unit: nanoseconds, requests per second, or bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// No more than this.
    Max(f64),
    /// No less.
    Min(f64),
}

impl Metric {
    /// Whether measurements of this kind tell it.
    pub fn is_told_by(self, kind: &MeasurementKind) -> bool {
        match self {
            Self::ServerCpu | Self::Throughput => matches!(kind, MeasurementKind::Throughput(_)),
            _ => matches!(kind, MeasurementKind::Latency(_)),
        }
    }

    /// Whether it is a time.
    pub fn is_time(self) -> bool {
        !matches!(self, Self::Throughput | Self::BytesSent | Self::BytesReceived)
    }
}
