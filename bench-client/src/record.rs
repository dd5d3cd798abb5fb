//! One trial, complete in itself: one line of `records.jsonl`.
//!
//! Durations are integer nanoseconds. Histograms are HdrHistograms in V2 form, base64 (standard, padded).

mod attack;
mod beside;
mod handshake;
mod setup;
mod timeline;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::Counters;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2Serializer};
use serde::{Deserialize, Serialize};

pub use self::attack::{AttackCase, AttackResult, AttackTry, AttackVerdict};
pub use self::beside::BesideResult;
pub use self::handshake::{HandshakeCounts, HandshakeResult, RevocationHandshakes};
pub use self::setup::{Channel, KeptSecret, SetupResult, SetupStep, SetupTrial};
pub use self::timeline::{Happening, Moment, TimelineBin, TimelineResult};
use crate::cell::Cell;
use crate::machine::{TcpCounts, Usage};
use crate::outcome::{Outcomes, Wanted};
use crate::plan::{Case, ProbeKind};

/// Version of the record's form; a reader refuses others.
pub const RECORD_VERSION: u32 = 2;

/// Share of a schedule that may go unsent. A dropped request has no latency, and the ones dropped are the slowest: at
/// one in a thousand the 99th percentile still stands, the 99.9th does not.
pub(crate) const DROPPED_MAX: f64 = 0.001;

/// Why what a server counts and spends is blank where it serves others beside the variant.
pub(crate) const NOT_TOLD_APART: &str = "not told apart from the traffic beside the variant";

/// One case in one round (for revocation: in one start).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`RECORD_VERSION`].
    pub version: u32,
    /// The case's id, `variant/measurement`.
    pub case: String,
    /// Name of the variant.
    pub variant: String,
    /// Name of the measurement.
    pub measurement: String,
    /// Round, from 0, counted over the whole run. For revocation: the first round of its start.
    pub round: u32,
    /// Life of the server processes, from 0; a resumed run goes on counting.
    pub start: u32,
    /// When the trial began.
    pub started_at: jiff::Timestamp,
    /// From the trial's begin to its end, other cases' slices included.
    pub elapsed_ns: u64,
    /// What was measured.
    pub measured: Measured,
    /// Why the trial must not be counted; empty for a valid one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invalid: Vec<String>,
    /// What a reader should know although the trial counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What a trial measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(clippy::large_enum_variant)] // records are few and short-lived
pub enum Measured {
    /// Open loop.
    Latency(LoadResult),
    /// Closed loop.
    Throughput(LoadResult),
    /// Revocation windows.
    Revocation(RevocationResult),
    /// New connections.
    Handshake(Box<HandshakeResult>),
    /// From nothing to the first authorised request.
    Setup(SetupResult),
    /// Calls around a rollover.
    Rollover(TimelineResult),
    /// Calls around an outage.
    Outage(TimelineResult),
    /// Bad credentials.
    Attack(AttackResult),
}

impl Measured {
    /// What was sent and came back, of measurements under load.
    pub fn load(&self) -> Option<&LoadResult> {
        match self {
            Self::Latency(result) | Self::Throughput(result) => Some(result),
            Self::Handshake(result) => Some(&result.load),
            Self::Revocation(_) | Self::Setup(_) | Self::Rollover(_) | Self::Outage(_) | Self::Attack(_) => None,
        }
    }
}

/// What a trial under load measured. Only the phase `measure` is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoadResult {
    /// Sum of the slices' lengths.
    pub measured_ns: u64,
    /// Sum over requests of the time between actual send and last byte, as far as it lies within `measured_ns`.
    pub in_flight_ns: u64,
    /// Open loop: what the schedule asked for, over the whole trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_rate_per_s: Option<f64>,
    /// Open loop: requests in the schedule that were never sent.
    #[serde(default)]
    pub dropped: u64,
    /// What was to come of them; absent means that all were to be accepted.
    #[serde(default, skip_serializing_if = "Wanted::is_accepted")]
    pub wanted: Wanted,
    /// How requests ended. In a closed loop those answered inside the slices; in an open loop all that were due.
    pub outcomes: Outcomes,
    /// Requests answered in all, those while a slice drained included: the divisor of everything the server counted.
    pub answered: u64,
    /// Intended time → last byte, of requests that ended as they were to (closed loop: equal to service time).
    pub latency: EncodedHistogram,
    /// Actual send → last byte, of the same.
    pub service_time: EncodedHistogram,
    /// Open loop: requests that found every connection busy at their intended time. They are in `latency`, their wait
    /// included, and not in `lateness`.
    #[serde(default)]
    pub queued: u64,
    /// Open loop: intended time → actual send, of requests that found a connection free: the client's own lateness.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lateness: Option<EncodedHistogram>,
    /// Bytes written to TCP by the client, TLS records and handshakes included.
    pub bytes_sent: u64,
    /// Bytes read from TCP by the client.
    pub bytes_received: u64,
    /// Full TLS handshakes, as the client saw them.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes, as the client saw them.
    pub handshakes_resumed: u64,
    /// Processor time of the client, user and system, without what it polled.
    pub client_cpu_ns: u64,
    /// Processor time in which a client with a processor of its own looked for answers and there were none.
    #[serde(default)]
    pub client_polled_ns: u64,
    /// Processor time of the variant's server processes by role (`resource`, `authorization`, `target`), user and system, as the
    /// operating system accounts it; absent where it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_cpu_ns: Option<BTreeMap<String, u64>>,
    /// What the resource server counted during the trial; absent where the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Counters>,
    /// Time inside the authenticator call, as the resource server recorded it; absent where the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<EncodedHistogram>,
    /// The slices that the trial is made of, in order; empty in records from before they were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<SliceCost>,
    /// Open loop whose rate changes: its parts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<SchedulePart>,
    /// Closed loop with an objective, in the first round of a start: the highest rate that keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// What became of the traffic beside the variant, where there was any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<BesideResult>,
    /// What else the server processes used, by role, and the load client under [`CLIENT_ROLE`].
    pub usage: BTreeMap<String, Usage>,
    /// What the kernel counted on the client's TCP connections, over the whole trial.
    pub tcp: Cell<TcpCounts>,
    /// Share of the machine's processor time that the hypervisor took, from 0 to 1; absent where unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steal: Option<f64>,
}

impl LoadResult {
    /// Requests that ended as they were to.
    pub fn expected(&self) -> u64 {
        self.outcomes.expected(self.wanted)
    }
}

/// What a slice came to. Costs are compared slice by slice, since neighbours share the machine's moods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SliceCost {
    /// Its length, until its last request proper was answered.
    pub measured_ns: u64,
    /// Requests answered, those while it drained included.
    pub answered: u64,
    /// Processor time of all server processes of the variant; absent where the operating system does not account it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_cpu_ns: Option<u64>,
}

impl SliceCost {
    /// Natural logarithm of the processor time per request in nanoseconds.
    pub fn log_cpu_per_request(&self) -> Option<f64> {
        log_of_ratio(self.server_cpu_ns? as f64, self.answered as f64)
    }

    /// Natural logarithm of the answered requests per second.
    pub fn log_rate(&self) -> Option<f64> {
        log_of_ratio(self.answered as f64 * 1e9, self.measured_ns as f64)
    }

    /// The growth since an earlier sum.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            measured_ns: self.measured_ns - earlier.measured_ns,
            answered: self.answered - earlier.answered,
            server_cpu_ns: self.server_cpu_ns.zip(earlier.server_cpu_ns).map(|(now, before)| now - before),
        }
    }
}

/// `None` unless both are over 0.
fn log_of_ratio(above: f64, below: f64) -> Option<f64> {
    (above > 0.0 && below > 0.0).then(|| (above / below).ln())
}

/// A part of a schedule whose rate changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SchedulePart {
    /// Requests per second asked for, on average over the part.
    pub rate_per_s: f64,
    /// Sum of its slices' lengths.
    pub measured_ns: u64,
    /// How its requests ended.
    pub outcomes: Outcomes,
    /// Requests due and never sent.
    pub dropped: u64,
    /// Intended time → last byte, accepted requests only.
    pub latency: EncodedHistogram,
}

/// Bounds of the highest rate at which an objective is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// Highest rate tried at which most trials kept it, in requests per second; absent if none did.
    pub lower_per_s: Option<f64>,
    /// Lowest rate tried at which most trials missed it; absent if the search found none.
    pub upper_per_s: Option<f64>,
    /// What was tried, in order.
    pub trials: Vec<CapacityTrial>,
}

/// One short trial of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CapacityTrial {
    /// Requests per second asked for.
    pub rate_per_s: f64,
    /// Requests due.
    pub due: u64,
    /// Those among them that were answered later than the objective allows, not accepted, or never sent.
    pub missed: u64,
    /// Whether the client itself was late; then the objective does not count as kept.
    pub client_late: bool,
    /// Whether the objective was kept.
    pub kept: bool,
}

/// When a trial began, by both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    at: jiff::Timestamp,
    since: std::time::Instant,
}

impl Begun {
    pub(crate) fn now() -> Self {
        Self { at: jiff::Timestamp::now(), since: std::time::Instant::now() }
    }
}

impl Record {
    /// The record of a case's trial that ends now, in a round of a start, with nothing to say against it yet.
    pub(crate) fn of(case: &Case, (start, round): (u32, u32), begun: Begun, measured: Measured) -> Self {
        Self {
            version: RECORD_VERSION,
            case: case.id.clone(),
            variant: case.variant.clone(),
            measurement: case.measurement.clone(),
            round,
            start,
            started_at: begun.at,
            elapsed_ns: begun.since.elapsed().as_nanos() as u64,
            measured,
            invalid: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// What a valid record says of its variant's capacity, in requests per second: the lower bound at the objective, or
    /// without one the saturation throughput.
    pub fn capacity_per_s(&self) -> Option<f64> {
        match &self.measured {
            Measured::Throughput(result) if self.invalid.is_empty() => match &result.capacity {
                Some(capacity) => capacity.lower_per_s,
                None => Some(result.expected() as f64 / (result.measured_ns as f64 / 1e9)),
            },
            _ => None,
        }
    }
}

/// The load client in [`LoadResult::usage`], beside the roles of the target's processes.
pub const CLIENT_ROLE: &str = "client";

/// What a revocation trial measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevocationResult {
    /// Time between two probes of one credential, as planned.
    pub probe_interval_ns: u64,
    /// Lifetime that the credentials were issued with, where the method has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_ns: Option<u64>,
    /// One window per revoked credential, replica and kind of connection.
    pub windows: Vec<RevocationWindow>,
    /// Whom the revocation of one more credential cut off, by kind; empty where that was not asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blast: Vec<BlastGroup>,
    /// The TLS handshakes of the case; absent without TLS, and in records from before they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshakes: Option<RevocationHandshakes>,
    /// Why there is nothing to revoke (method `none`); then `windows` is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_applicable: Option<String>,
}

/// Callers of one kind beside a credential that was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlastGroup {
    /// Which kind.
    pub who: Bystander,
    /// How many there were.
    pub callers: usize,
    /// How many of them were refused from then on.
    pub cut_off: usize,
}

/// How a caller is related to a credential that is revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bystander {
    /// It has another principal.
    Stranger,
    /// It has another credential of the same principal.
    SamePrincipal,
    /// It has the very credential.
    SameCredential,
}

/// How long one revoked credential lived on, counted from the acknowledgement of its revocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevocationWindow {
    /// Which credential of the record, from 0.
    #[serde(default)]
    pub trial: u32,
    /// Which replica was probed, from 0.
    #[serde(default)]
    pub replica: u32,
    /// Over what kind of connection.
    #[serde(default)]
    pub probe: ProbeKind,
    /// From the send of the revocation to its acknowledgement.
    pub acknowledged_after_ns: u64,
    /// From the acknowledgement to the send of the last request that was still accepted; `None` if none was.
    pub last_accepted_ns: Option<u64>,
    /// From the acknowledgement to the answer to the first request after it that was rejected; `None` if the watch ended
    /// first, which is a finding. The credential ended between the send of the last acceptance and this.
    pub first_rejected_ns: Option<u64>,
    /// Longest gap between two probes around the change: the resolution really had.
    pub resolution_ns: u64,
    /// How long was watched after the acknowledgement.
    pub watched_ns: u64,
    /// Requests accepted after the acknowledgement.
    pub exposure: u64,
    /// Requests of *other*, unrevoked credentials of the case that were refused while this one was watched.
    pub blast_radius: u64,
    /// From the acknowledgement to the credential's own end (`exp`), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after_ns: Option<i64>,
}

/// A histogram of nanoseconds in text form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EncodedHistogram(String);

/// A histogram could not be read.
#[derive(Debug, thiserror::Error)]
#[error("not an HdrHistogram in V2 form: {0}")]
pub struct HistogramError(String);

impl EncodedHistogram {
    /// Encodes a histogram.
    pub fn encode(histogram: &Histogram<u64>) -> Self {
        let mut bytes = Vec::new();
        V2Serializer::new().serialize(histogram, &mut bytes).expect("writing to memory does not fail");
        Self(STANDARD.encode(bytes))
    }

    /// Takes text that is said to be an encoded histogram, as the server sends it.
    pub fn from_text(text: String) -> Self {
        Self(text)
    }

    /// Decodes the histogram.
    ///
    /// # Errors
    /// [`HistogramError`] when the text is not a histogram.
    pub fn decode(&self) -> Result<Histogram<u64>, HistogramError> {
        let bytes = STANDARD.decode(&self.0).map_err(|error| HistogramError(error.to_string()))?;
        Deserializer::new().deserialize(&mut bytes.as_slice()).map_err(|error| HistogramError(error.to_string()))
    }
}

/// An empty histogram of the kind used everywhere: 1 ns to 60 s, three significant digits; larger values are clamped.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are constants")
}
