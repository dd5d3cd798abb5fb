//! Sweeps in a plan: which values run, and which point of them a variant or a measurement stands for.

use std::fmt;
use std::time::Duration;

use bench_server::contract::{HttpVersion, Transport};
use serde::{Deserialize, Serialize};

use super::{BASELINE, Measurement, Plan, Variant};

/// Keys that vary together, and what is drawn against them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// What varies, in the order written; all have a value for each step.
    pub paths: Vec<SweptPath>,
    /// The steps that run, from 0: all of them unless the scenario was shortened.
    pub steps: Vec<usize>,
    /// What is drawn.
    pub plot: Vec<Metric>,
}

/// One key that varies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweptPath {
    /// As written, like `variant.api-key.store.delay`.
    pub path: String,
    /// The same without the name that it begins with: what an axis is called.
    pub key: String,
    /// Every value as written, whether its step runs or not.
    pub values: Vec<SweptValue>,
}

/// One value of a sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweptValue {
    /// A word, which has no place on an axis.
    Word(String),
    /// A number.
    Number(f64),
    /// A time.
    #[serde(with = "humantime_serde")]
    Time(Duration),
}

impl SweptValue {
    /// The place on an axis: a number itself, a time in nanoseconds, nothing for a word.
    pub fn position(&self) -> Option<f64> {
        match self {
            Self::Word(_) => None,
            Self::Number(number) => Some(*number),
            Self::Time(time) => Some(time.as_nanos() as f64),
        }
    }
}

/// Without spaces, since it stands in names.
impl fmt::Display for SweptValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Number(number) => write!(f, "{number}"),
            Self::Time(time) => f.write_str(&humantime::format_duration(*time).to_string().replace(' ', "")),
        }
    }
}

/// Where in the scenario's sweeps a variant or a measurement stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The name as written, which all points share.
    pub family: String,
    /// The value of every swept key that matters to it, in the order written.
    pub at: Vec<Coordinate>,
}

/// One key of a point and its value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Coordinate {
    /// Which of the plan's sweeps.
    pub sweep: usize,
    /// Which step of it.
    pub step: usize,
    /// [`SweptPath::key`].
    pub key: String,
    /// The value.
    pub value: SweptValue,
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.key, self.value)
    }
}

/// What a sweep draws. All times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Median of the latency, from the intended time.
    LatencyP50,
    /// Its 99th percentile.
    LatencyP99,
    /// Median of the latency minus the baseline's median.
    LatencyAddedP50,
    /// The same at the 99th percentile.
    LatencyAddedP99,
    /// Median of the time inside the authenticator call.
    ValidationP50,
    /// Processor time of the server per request at saturation.
    ServerCpu,
    /// Accepted requests per second at saturation.
    Throughput,
    /// Bytes that the client wrote per request.
    BytesSent,
    /// Bytes that the client read per request.
    BytesReceived,
}

impl Metric {
    /// Every metric with its word in a scenario and in files.
    pub const ALL: [(&'static str, Self); 9] = [
        ("latency_p50", Self::LatencyP50),
        ("latency_p99", Self::LatencyP99),
        ("latency_added_p50", Self::LatencyAddedP50),
        ("latency_added_p99", Self::LatencyAddedP99),
        ("validation_p50", Self::ValidationP50),
        ("server_cpu", Self::ServerCpu),
        ("throughput", Self::Throughput),
        ("bytes_sent", Self::BytesSent),
        ("bytes_received", Self::BytesReceived),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, metric)| *metric == self).map_or("", |(word, _)| word)
    }
}

/// How a variant's server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// What carries HTTP.
    pub transport: Transport,
    /// HTTP version.
    pub http: HttpVersion,
}

impl Variant {
    /// The name as written, which all points of a sweep share.
    pub fn family(&self) -> &str {
        self.point.as_ref().map_or(&self.name, |point| &point.family)
    }

    /// Whether costs are distances from it.
    pub fn is_baseline(&self) -> bool {
        self.family() == BASELINE
    }

    /// Where it stands in the plan's sweeps; empty where it is not swept.
    pub fn coordinates(&self) -> &[Coordinate] {
        self.point.as_ref().map_or(&[], |point| &point.at)
    }
}

impl Measurement {
    /// The name as written, which all points of a sweep share.
    pub fn family(&self) -> &str {
        self.point.as_ref().map_or(&self.name, |point| &point.family)
    }

    /// Where it stands in the plan's sweeps; empty where it is not swept.
    pub fn coordinates(&self) -> &[Coordinate] {
        self.point.as_ref().map_or(&[], |point| &point.at)
    }
}

impl Plan {
    /// How a variant's server is reached: its own point of a sweep, or else as the whole plan says.
    pub fn server_of(&self, variant: &Variant) -> ServerPlan {
        variant.server.unwrap_or(ServerPlan { transport: self.transport, http: self.http })
    }

    /// Every way in which a server of the plan is reached, each once.
    pub fn servers(&self) -> Vec<ServerPlan> {
        let mut servers: Vec<ServerPlan> = Vec::new();
        for server in self.variants.iter().map(|variant| self.server_of(variant)) {
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        servers
    }

    /// The baseline of a variant: the one whose server stands at the same point.
    pub fn baseline_of(&self, variant: &str) -> Option<&Variant> {
        let at = self.variant(variant)?.coordinates();
        let same = |own: &Coordinate| at.iter().any(|other| (other.sweep, other.step) == (own.sweep, own.step));
        self.variants.iter().find(|variant| variant.is_baseline() && variant.coordinates().iter().all(same))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_has_the_word_that_files_have() {
        for (word, metric) in Metric::ALL {
            assert_eq!(serde_json::to_value(metric).expect("a word"), word);
            assert_eq!(metric.word(), word);
        }
    }

    #[test]
    fn values_have_a_place_and_a_word_without_spaces() {
        for (value, text, position) in [
            (SweptValue::Word("2".to_owned()), "2", None),
            (SweptValue::Number(1e7), "10000000", Some(1e7)),
            (SweptValue::Number(0.5), "0.5", Some(0.5)),
            (SweptValue::Time(Duration::ZERO), "0s", Some(0.0)),
            (SweptValue::Time(Duration::from_micros(50)), "50us", Some(50e3)),
            (SweptValue::Time(Duration::from_millis(1500)), "1s500ms", Some(1.5e9)),
        ] {
            assert_eq!((value.to_string().as_str(), value.position()), (text, position));
            let json = serde_json::to_string(&value).expect("plain data");
            assert_eq!(serde_json::from_str::<SweptValue>(&json).expect("its own form"), value);
        }
    }
}
