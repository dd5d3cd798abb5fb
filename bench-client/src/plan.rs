//! The scenario, resolved: every variant, measurement and case with every value written out, seeded and hashed.
//!
//! `scenario` holds what the user wrote; only `plan` converts. A plan is stored in `run.json`, and a resumed run works
//! from there.

mod attack;
mod beside;
mod bounds;
mod compare;
mod expected;
mod external;
mod handshake;
mod presents;
mod price;
mod setup;
mod stint;
mod sweep;
mod template;
mod threshold;
mod timeline;

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use bench_server::contract::{AuthorizationServerConfig, HttpVersion, KeyExchange, MethodConfig, SlowDown, Transport};
use serde::{Deserialize, Serialize};

pub use attack::{AttackPlan, AttackTable, ForgeKey};
pub use beside::Beside;
pub(crate) use bounds::NOT_AFTER;
pub use bounds::RENEWED_BEFORE_END;
pub use compare::{ComparePlan, Quantity};
pub(crate) use expected::{ATTACK, START_COST};
pub use expected::{ExpectedStart, expected_filling};
pub use external::{
    Accepted, Convention, CredentialSource, ExternalMethod, HeaderField, MethodWord, Revoke, RevokeRequest, TargetPlan,
    TargetProcesses, TokenRequest,
};
pub use handshake::{HandshakePlan, SessionKind};
pub use presents::Presents;
pub use price::{NotAPrice, Price};
pub use setup::SetupPlan;
pub use stint::Stint;
pub use sweep::{Coordinate, Metric, Point, ServerPlan, Sweep, SweptPath, SweptValue};
pub use template::{Slot, Template};
pub use threshold::{Limit, Threshold};
pub use timeline::{CallsPlan, Event, Fault, OutagePlan, RolloverOf, RolloverPlan};

use crate::machine::KeepAwake;

/// The variant that every cost is a distance from.
pub const BASELINE: &str = "none";

/// The URL of a store whose server the run starts by itself.
pub const PRIVATE_STORE: &str = "private";

/// The service of the run's that may act for users, where services call for them.
pub const ACTING_SERVICE: &str = "spiffe://authbench.test/service/acting";

/// A resolved scenario.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// File stem of the scenario.
    pub scenario: String,
    /// The scenario's reason, printed beside its tables.
    pub analysis: String,
    /// Seed of every random choice: order, schedule, credentials, phases.
    pub seed: u64,
    /// The server of the user's that is measured; absent means the reference server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetPlan>,
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
    /// Processes of the resource server for each variant, which share its records.
    #[serde(default = "Plan::one_replica", skip_serializing_if = "Plan::is_one_replica")]
    pub replicas: NonZeroU32,
    /// Whether server and client are bound to processors of their own, where there are two or more.
    pub pin: bool,
    /// Whether the processors that are used are kept from sleeping.
    #[serde(default, skip_serializing_if = "KeepAwake::is_auto")]
    pub keep_awake: KeepAwake,
    /// What the load client does while no answer is there.
    #[serde(default, skip_serializing_if = "ClientWait::is_default")]
    pub client_wait: ClientWait,
    /// Whether this is the shortened form of the scenario.
    pub quick: bool,
    /// What is compared; the baseline first.
    pub variants: Vec<Variant>,
    /// What is measured, in order.
    pub measurements: Vec<Measurement>,
    /// Variant × measurement.
    pub cases: Vec<Case>,
    /// What varies between the points of a family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<Sweep>,
    /// Limits that a run must keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// How two sides of a comparison are judged, where the scenario says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<ComparePlan>,
    /// What an hour of one processor core costs, where the scenario says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_core_hour: Option<Price>,
}

/// What the load client does while no answer is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientWait {
    /// It asks the kernel again, if it has a processor of its own and speaks HTTP/1.1: no server pays for waking it.
    #[default]
    Poll,
    /// It sleeps until the kernel wakes it.
    Sleep,
}

impl ClientWait {
    /// Whether it is what a scenario means that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// A method with its options, served by processes of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// Name, unique; what a row of a table is about.
    pub name: String,
    /// How its server authenticates.
    pub method: Method,
    /// The authorization server, in a process of its own; for `oauth2` and `layered` only.
    pub authorization_server: Option<AuthorizationServerConfig>,
    /// Whether its tokens are bound to the certificates of those who ask for them (RFC 8705 §3); for `oauth2` only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub certificate_bound: bool,
    /// The credentials in use.
    pub pool: PoolPlan,
    /// In which state they are.
    #[serde(default, skip_serializing_if = "Presents::is_default")]
    pub presents: Presents,
    /// What a revocation names.
    #[serde(default, skip_serializing_if = "RevokeBy::is_default")]
    pub revoke_by: RevokeBy,
    /// Extra work behind each validation, to try whether a regression of that size is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_down: Option<SlowDown>,
    /// Other traffic on its server while it is under load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Box<Beside>>,
    /// How its server is reached, where a sweep says so; otherwise as the plan says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerPlan>,
    /// Where it stands in the plan's sweeps, if any of them matters to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
}

/// What the revocation of a token names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RevokeBy {
    /// The one token, by its `jti`.
    #[default]
    Token,
    /// All tokens that the subject was issued until then: one entry for however many there are.
    Subject,
    /// All tokens of the issuer, by the key that they are signed with: it is withdrawn, and the next one signs.
    Key,
    /// The refresh token that the caller renews its access tokens with (RFC 7009 §2.1): the last of them works to its end.
    Refresh,
}

impl RevokeBy {
    /// Whether it is what a scenario means that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How a variant's server authenticates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant)] // a plan has a few dozen of them
pub enum Method {
    /// The reference server, configured so.
    Reference(MethodConfig),
    /// A server of the user's.
    External {
        /// What is known of it.
        external: Box<ExternalMethod>,
    },
}

impl Method {
    /// The method's word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reference(method) => method.name(),
            Self::External { external } => external.method.name(),
        }
    }

    /// The resource server's configuration, where it is the reference server.
    pub fn reference(&self) -> Option<&MethodConfig> {
        match self {
            Self::Reference(method) => Some(method),
            Self::External { .. } => None,
        }
    }

    /// What is known of a server of the user's.
    pub fn external(&self) -> Option<&ExternalMethod> {
        match self {
            Self::Reference(_) => None,
            Self::External { external } => Some(external),
        }
    }

    /// Whether nobody authenticates.
    pub fn is_none(&self) -> bool {
        self.name() == "none"
    }

    /// Whether connections present the credential, rather than requests.
    pub fn is_mtls(&self) -> bool {
        self.name() == "mtls"
    }
}

impl From<MethodConfig> for Method {
    fn from(method: MethodConfig) -> Self {
        Self::Reference(method)
    }
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
    /// Where it stands in the plan's sweeps, if any of them matters to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<Point>,
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
    /// Credentials, or what they are signed with, are replaced while callers go on.
    Rollover(RolloverPlan),
    /// What the server depends on is slow or gone while callers go on.
    Outage(OutagePlan),
    /// Bad credentials are presented, each of which must be refused.
    Attack(AttackPlan),
}

impl MeasurementKind {
    /// Its word in scenarios.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Throughput(_) => "throughput",
            Self::Revocation(_) => "revocation",
            Self::Handshake(_) => "handshake",
            Self::Setup(_) => "setup",
            Self::Rollover(_) => "rollover",
            Self::Outage(_) => "outage",
            Self::Attack(_) => "attack",
        }
    }

    /// Whether it is made of slices of load, in every round.
    pub fn is_load(&self) -> bool {
        matches!(self, Self::Latency(_) | Self::Throughput(_) | Self::Handshake(_))
    }
}

/// Settings of an open-loop measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LatencyPlan {
    /// When requests are due.
    pub model: ArrivalModel,
    /// How many requests are due.
    pub rate: LoadRate,
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

/// How much load an open loop offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadRate {
    /// As written.
    PerSecond(Rate),
    /// This share of what the variant carried in the plan's throughput measurement of the same start, over 0.
    ShareOfCapacity(f64),
}

impl fmt::Display for LoadRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PerSecond(Rate::Steady(rate)) => write!(f, "{rate}/s"),
            Self::PerSecond(Rate::Ramp { from, to }) => write!(f, "{from}/s rising to {to}/s"),
            Self::PerSecond(Rate::Steps(rates)) => {
                let rates: Vec<String> = rates.iter().map(f64::to_string).collect();
                write!(f, "{}/s in steps", rates.join(", "))
            }
            Self::ShareOfCapacity(share) => write!(f, "{} % of capacity", share * 100.0),
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 99.9 and not 99.900 000 000 000 01
        let percent = (self.quantile * 1e6).round() / 1e4;
        write!(f, "p{percent} at most {}", humantime::format_duration(self.latency))
    }
}

/// Requests per second over the time of a trial, each rate over 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rate {
    /// The same all the time.
    Steady(f64),
    /// Changing evenly.
    Ramp {
        /// At the beginning.
        from: f64,
        /// At the end.
        to: f64,
    },
    /// One after the other, each for the same time.
    Steps(Vec<f64>),
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
    /// Connections, each with one request in flight; also the most requests in flight while the capacity is searched.
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
    /// What a capacity is searched at, once per start; absent means saturation only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
}

/// An objective for latency, and how finely the highest rate that keeps it is searched.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// Share of requests that must keep it, over 0 and below 1: 0.99 for "p99".
    pub quantile: f64,
    /// Highest latency from the intended time.
    #[serde(with = "humantime_serde")]
    pub latency: Duration,
    /// Length of one trial of a rate.
    #[serde(with = "humantime_serde")]
    pub trial: Duration,
    /// The search ends when the upper bound exceeds the lower one by no more than this share, over 0.
    pub width: f64,
}

/// Over what kind of connection a probe asks whether a credential still works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// One that was there before the revocation.
    #[default]
    Reused,
    /// A new one for each probe, with a full handshake.
    Fresh,
    /// A new one for each probe, which resumes a TLS session from before the revocation.
    Resumed,
    /// A new stream on an HTTP/2 connection that was there before the revocation.
    H2,
}

impl ProbeKind {
    /// Each.
    pub const ALL: [Self; 4] = [Self::Reused, Self::Fresh, Self::Resumed, Self::H2];

    /// The word for it in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reused => "reused",
            Self::Fresh => "fresh",
            Self::Resumed => "resumed",
            Self::H2 => "h2",
        }
    }

    /// How its connections are made.
    pub fn connection(self) -> ConnectionKind {
        match self {
            Self::Reused | Self::H2 => ConnectionKind::Reused,
            Self::Fresh => ConnectionKind::Fresh,
            Self::Resumed => ConnectionKind::Resumed,
        }
    }
}

/// Settings of a revocation measurement. It runs once per start, all its cases at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RevocationPlan {
    /// Credentials revoked per case and start.
    pub trials: usize,
    /// How many of them are watched at the same time.
    pub at_a_time: usize,
    /// Time between two probes of one credential: the resolution.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
    /// A credential is revoked at a random time within this span after it was first accepted, so that the revocation
    /// meets caches and polls at every phase. Where it is probed in several places, each first presents it at a random
    /// time within such a span before that, so that their caches are filled independently of each other.
    #[serde(with = "humantime_serde")]
    pub phase: Duration,
    /// How long after the acknowledgement the probes go on.
    #[serde(with = "humantime_serde")]
    pub watch: Duration,
    /// Lifetime of the credentials issued for it, where the method has one (JWT, OAuth 2.0 tokens); absent means the
    /// variant's own.
    #[serde(with = "humantime_serde::option", default)]
    pub lifetime: Option<Duration>,
    /// Probes go over connections of these kinds side by side, at least one; the first is the one that is compared.
    pub probes: Vec<ProbeKind>,
    /// Callers of each kind in whose midst one more credential is revoked, to see whom that cuts off; 0 for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bystanders: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl RevocationPlan {
    /// Whether a credential is probed in several places: at several replicas, or over several kinds of connection.
    pub fn probes_several(&self, replicas: NonZeroU32) -> bool {
        replicas.get() > 1 || self.probes.len() > 1
    }

    /// When a credential is revoked at the latest, counted from when it is issued.
    pub fn latest_revocation(&self, replicas: NonZeroU32) -> Duration {
        if self.probes_several(replicas) { self.phase * 2 } else { self.phase }
    }

    /// How long it takes to see whom a revocation cuts off: callers that are not are watched to the end.
    pub fn blast_lasts(&self) -> Duration {
        if self.bystanders > 0 { self.watch } else { Duration::ZERO }
    }
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

    /// Whether credentials of a variant are revoked.
    pub fn revokes(&self, variant: &Variant) -> bool {
        self.has_case(variant, |kind| {
            matches!(kind, MeasurementKind::Revocation(_) | MeasurementKind::Rollover(_) | MeasurementKind::Outage(_))
        })
    }

    /// Whether what a variant depends on is slow or gone for a while.
    pub fn disturbs(&self, variant: &Variant) -> bool {
        self.has_case(variant, |kind| matches!(kind, MeasurementKind::Outage(_)))
    }

    fn has_case(&self, variant: &Variant, is: impl Fn(&MeasurementKind) -> bool) -> bool {
        let fits = |name: &str| self.measurement(name).is_some_and(|found| is(&found.kind));
        self.cases.iter().any(|case| case.variant == variant.name && fits(&case.measurement))
    }

    /// Whether a revocation is probed over that kind of connection.
    pub fn probes_over(&self, kind: ProbeKind) -> bool {
        self.measurements.iter().any(|measurement| match &measurement.kind {
            MeasurementKind::Revocation(settings) => settings.probes.contains(&kind),
            _ => false,
        })
    }

    fn one_replica() -> NonZeroU32 {
        NonZeroU32::MIN
    }

    #[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
    fn is_one_replica(replicas: &NonZeroU32) -> bool {
        *replicas == Self::one_replica()
    }

    /// Whether any measurement is of latency.
    pub fn measures_latency(&self) -> bool {
        self.measurements.iter().any(|measurement| matches!(measurement.kind, MeasurementKind::Latency(_)))
    }

    /// Rounds between two restarts of the servers.
    pub fn rounds_per_start(&self) -> u32 {
        self.rounds / self.starts
    }
}
