//! The run in figures: what every table, plot and sentence of the report is made from.
//!
//! Described for other programs by `docs/summary.schema.json`. Times are nanoseconds.

mod amortisation;
mod attack;
mod beside;
mod cost;
mod event;
mod handshake;
mod latency;
mod mood;
mod resources;
mod revocation;
mod setup;
mod sweep;
mod threshold;
mod throughput;
mod trials;

use serde::{Deserialize, Serialize};

pub use amortisation::Amortisation;
pub use attack::{AttackCaseSummary, AttackFindings, AttackSummary};
pub use beside::BesideSummary;
pub use cost::{CpuPerRequest, Operations, WireBytes};
pub use event::{EventCalls, EventCase, EventKind, EventSummary};
pub use handshake::{Counted, HandshakeCase, HandshakeSummary};
pub use latency::{AddedLatency, CurvePoint, LatencySummary, Percentiles, ValidationTime};
use mood::Moods;
pub use resources::{Resources, Side, TcpPerRequest};
pub(crate) use revocation::last_replicas;
pub use revocation::{Bracket, ByConnection, HandshakesOfBoth, Law, LawForm, RevocationSummary, WindowView};
pub use setup::{SetupStepSummary, SetupSummary};
pub use sweep::{AxisUnit, LineCrossings, SweepLine, SweepPanel, SweepPoint, SweepSummary};
pub use threshold::{ThresholdSummary, ThresholdVerdict};
pub use throughput::ThroughputSummary;
use trials::clusters;
pub(crate) use trials::{Load, Trials};

use super::expect;
use crate::cell::{Cell, Estimate};
use crate::compare::{PowerCurve, Refusal, power_curves, refusals};
use crate::in_process::{InProcess, InProcessEstimate};
use crate::machine::Machine;
use crate::plan::{
    BASELINE, ConnectionKind, HandshakePlan, LatencyPlan, MeasurementKind, Plan, Presents, Price, ThroughputPlan,
    Variant,
};
use crate::record::NOT_TOLD_APART;
use crate::run::{Build, LoadedRun};
use crate::stats::{Grouping, Interval, detectable_change, median};

/// Version of `summary.json`; raised whenever a reader of the old form would misread the new one.
pub const SUMMARY_VERSION: u32 = 1;

/// Why what only the reference server counts is blank for another.
pub(crate) const NOT_TOLD: &str = "not told by a foreign server";

/// Why nobody told.
fn untold(loads: &[Load<'_>]) -> &'static str {
    if loads.iter().any(|load| load.beside.is_some()) { NOT_TOLD_APART } else { NOT_TOLD }
}

/// Why a figure is missing that the scenario does not ask for.
pub(crate) const NOT_MEASURED: &str = "not measured by this scenario";

/// The run in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// [`SUMMARY_VERSION`].
    pub version: u32,
    /// File stem of the scenario.
    pub scenario: String,
    /// The scenario's reason.
    pub analysis: String,
    /// When the run began.
    pub started_at: jiff::Timestamp,
    /// Hash of the plan: runs with equal hashes measured the same.
    pub plan_hash: String,
    /// URL of the server of the user's that was measured; absent means the reference server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Whether the scenario was shortened.
    pub quick: bool,
    /// Lives of the server processes that have records.
    pub starts: u32,
    /// Rounds that have records.
    pub rounds: u32,
    /// Rounds planned.
    pub rounds_planned: u32,
    /// What carries HTTP.
    pub transport: bench_server::contract::Transport,
    /// HTTP version.
    pub http: bench_server::contract::HttpVersion,
    /// What was built.
    pub build: Build,
    /// Where it ran.
    pub machine: Machine,
    /// What the 95 % intervals were drawn over; absent when there is no interval.
    pub intervals_over: Option<Grouping>,
    /// How many of those there were, at least; a bootstrap over fewer than six covers less than 95 %.
    pub interval_clusters: Option<usize>,
    /// Question 0: what two runs like this one could tell apart.
    pub smallest_regression: Vec<SmallestRegression>,
    /// One entry per variant, in the scenario's order.
    pub variants: Vec<VariantSummary>,
    /// Where client certificates become cheaper than credentials in requests; empty where that was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amortisation: Vec<Amortisation>,
    /// Figures against swept values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<SweepSummary>,
    /// Rollovers and outages, in the scenario's order; empty where that was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventSummary>,
    /// What refusals cost beside acceptances; empty where no variant presents credentials that are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// Bad credentials, in the scenario's order; empty where none were presented.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attacks: Vec<AttackSummary>,
    /// How often slow-downs of known size would be found; empty where nothing is slowed down on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub power: Vec<PowerCurve>,
    /// The scenario's limits, and whether they are kept; empty where it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<ThresholdSummary>,
    /// When the oldest of criterion's estimates was made that a variant has; absent where none has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_process_measured_at: Option<jiff::Timestamp>,
    /// What an hour of one processor core costs, where the scenario says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_core_hour: Option<Price>,
    /// Trials that were not counted.
    pub invalid: Vec<InvalidTrial>,
    /// What a reader should know.
    pub warnings: Vec<String>,
}

/// Question 0: the smallest true change of a figure, as a multiple of the run's own baseline variant's, that comparing two
/// runs like this one would show with 90 % power at 5 % significance, over the variants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SmallestRegression {
    /// The figure: `server_cpu_ns_per_request_at_saturation` or `latency_ns_p50`.
    pub metric: String,
    /// What is known of it.
    pub change: Cell<DetectableChange>,
}

/// Relative changes, 0.01 being one per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectableChange {
    /// For the variant in the middle.
    pub median: f64,
    /// For the least steady variant.
    pub worst: f64,
    /// Its name.
    pub worst_variant: String,
}

/// What was found out about a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VariantSummary {
    /// Name.
    pub name: String,
    /// The name as written, where a sweep makes several variants of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Method.
    pub method: String,
    /// Options in words.
    pub options: String,
    /// Whether it is slower than it could be, on purpose: no example of its method.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slowed_down: bool,
    /// In which state its credentials are; where they are refused, it is no example of its method either.
    #[serde(default, skip_serializing_if = "Presents::is_default")]
    pub presents: Presents,
    /// Credentials in use: those of the pool, and with mTLS no more than kept connections.
    pub credentials: usize,
    /// Lifetime of a cache entry, where the variant has a cache.
    pub cache_lifetime_ns: Option<u64>,
    /// Whether store lookups are looks into the process's own memory, which no store has to answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub looks_up_own_copy: bool,
    /// Under a schedule.
    pub latency: Cell<LatencySummary>,
    /// One validation without a network, ns, as criterion estimated it; absent where the run was told of no estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_process_ns: Option<Cell<Estimate>>,
    /// At saturation.
    pub throughput: Cell<ThroughputSummary>,
    /// After a revocation.
    pub revocation: Cell<RevocationSummary>,
    /// New connections, by how they begin and how many requests they carry; empty where that was not measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<HandshakeCase>,
    /// From nothing to the first authorised request; absent where that was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Cell<SetupSummary>>,
    /// What became of the traffic beside it; absent where it was alone on its server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beside: Option<Cell<BesideSummary>>,
    /// What the processor time of a million requests at saturation costs, where the scenario has a price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_million_requests: Option<Cell<Estimate>>,
}

impl VariantSummary {
    /// Whether costs are distances from it.
    pub fn is_baseline(&self) -> bool {
        self.family.as_ref().unwrap_or(&self.name) == BASELINE
    }

    /// Processor time per request at saturation: what a request costs a server that has work to do. Under a schedule
    /// that leaves the core idle, most of what the system accounts is falling asleep and waking up.
    pub(crate) fn cpu_at_saturation(&self) -> Cell<CpuPerRequest> {
        self.throughput.and_then(|throughput| throughput.server_cpu_ns_per_request.clone())
    }

    /// What a request takes, with the measurement that says so: at saturation for the same reason, under the schedule
    /// where there is nothing else.
    pub(crate) fn resources(&self) -> Cell<(&str, &Resources)> {
        match (self.throughput.known(), self.latency.known()) {
            (Some(throughput), _) => Cell::Known((&throughput.measurement, &throughput.resources)),
            (None, Some(latency)) => Cell::Known((&latency.measurement, &latency.resources)),
            (None, None) => Cell::blank(self.latency.reason().unwrap_or_default()),
        }
    }
}

/// A trial that was not counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvalidTrial {
    /// The case.
    pub case: String,
    /// The start.
    pub start: u32,
    /// The round.
    pub round: u32,
    /// Why.
    pub reasons: Vec<String>,
}

impl Summary {
    /// Adds a run up.
    pub(crate) fn new<'a>(run: &'a LoadedRun, trials: &Trials<'a>) -> Self {
        let plan = &run.header.plan;
        let moods = Moods::new(trials);
        let variants: Vec<VariantSummary> = plan
            .variants
            .iter()
            .map(|variant| VariantSummary {
                name: variant.name.clone(),
                family: variant.point.as_ref().map(|point| point.family.clone()),
                cache_lifetime_ns: expect::cache_lifetime(&variant.method)
                    .map(|lifetime| u64::try_from(lifetime.as_nanos()).unwrap_or(u64::MAX)),
                looks_up_own_copy: expect::looks_up_own_copy(&variant.method),
                method: variant.method.name().to_owned(),
                options: expect::describe(variant),
                slowed_down: variant.slow_down.is_some(),
                presents: variant.presents,
                credentials: credentials_in_use(plan, variant),
                latency: speaker(plan, trials, &variant.name, |kind| match kind {
                    MeasurementKind::Latency(settings) => Some(settings),
                    _ => None,
                })
                .map(|(name, settings)| latency::summarise(plan, settings, trials, &moods, &variant.name, name)),
                in_process_ns: run
                    .header
                    .in_process
                    .as_ref()
                    .map(|found| in_process(variant, found).map(|it| it.estimate)),
                throughput: speaker(plan, trials, &variant.name, |kind| match kind {
                    MeasurementKind::Throughput(settings) => Some(settings),
                    _ => None,
                })
                .and_then(|(name, settings)| {
                    throughput::summarise(plan, settings, trials, &moods, &variant.name, name)
                }),
                revocation: revocation::summarise(plan, trials, variant),
                handshakes: handshake::summarise(plan, trials, &variant.name),
                setup: setup::summarise(plan, trials, &variant.name),
                beside: beside::summarise(plan, trials, variant),
                price_per_million_requests: None,
            })
            .map(|variant| priced(variant, plan.price_per_core_hour.as_ref()))
            .collect();
        let clusters_drawn = trials.clusters();
        Self {
            version: SUMMARY_VERSION,
            scenario: plan.scenario.clone(),
            analysis: plan.analysis.trim().to_owned(),
            started_at: run.header.started_at,
            plan_hash: run.header.plan_hash.clone(),
            target: plan.target.as_ref().map(|target| target.url.clone()),
            seed: plan.seed,
            quick: plan.quick,
            starts: distinct(run.records.iter().map(|record| record.start)),
            rounds: distinct(
                run.records.iter().filter(|record| record.measured.load().is_some()).map(|record| record.round),
            ),
            rounds_planned: plan.rounds,
            transport: plan.transport,
            http: plan.http,
            build: run.header.build.clone(),
            machine: run.header.machine.clone(),
            intervals_over: clusters_drawn.map(|(grouping, _)| grouping),
            interval_clusters: clusters_drawn.map(|(_, clusters)| clusters),
            smallest_regression: smallest_regression(trials, plan, &variants),
            variants,
            amortisation: amortisation::summarise(plan, trials),
            sweeps: sweep::summarise(plan, trials),
            events: event::summarise(plan, trials),
            refusals: refusals(run),
            attacks: attack::summarise(plan, trials),
            power: power_curves(run),
            thresholds: threshold::summarise(plan, trials),
            in_process_measured_at: run
                .header
                .in_process
                .as_ref()
                .and_then(|found| in_process_measured_at(plan, found)),
            price_per_core_hour: plan.price_per_core_hour.clone(),
            invalid: trials.invalid().to_vec(),
            warnings: warnings(run),
        }
    }

    /// Whether bad credentials were presented and nothing was counted or timed.
    pub(crate) fn only_attacks(&self) -> bool {
        let is_measured = |it: &VariantSummary| {
            let reasons = [it.latency.reason(), it.throughput.reason(), it.revocation.reason()];
            reasons.iter().any(|reason| *reason != Some(NOT_MEASURED))
                || !it.handshakes.is_empty()
                || it.setup.is_some()
        };
        !self.attacks.is_empty() && self.events.is_empty() && !self.variants.iter().any(is_measured)
    }

    /// The baseline, where the run has one; of a swept server, the first point's.
    pub fn baseline(&self) -> Option<&VariantSummary> {
        self.variants.iter().find(|variant| variant.is_baseline())
    }

    /// The variant of that name.
    pub fn variant(&self, name: &str) -> Option<&VariantSummary> {
        self.variants.iter().find(|variant| variant.name == name)
    }

    /// All variants without the baseline, without those that are slowed down on purpose, and without those whose
    /// credentials are refused.
    pub fn compared(&self) -> impl Iterator<Item = &VariantSummary> {
        let is_example = |it: &&VariantSummary| !it.is_baseline() && !it.slowed_down && it.presents.is_default();
        self.variants.iter().filter(is_example)
    }
}

/// Criterion's estimate of the variant's validator.
fn in_process(variant: &Variant, found: &InProcess) -> Cell<InProcessEstimate> {
    let Some(method) = variant.method.reference() else { return Cell::blank(NOT_TOLD) };
    if variant.slow_down.is_some() {
        return Cell::blank("it is slowed down on purpose");
    }
    if !variant.presents.is_default() {
        return Cell::blank("benchmarks validate credentials that are accepted");
    }
    let Some(name) = method.validator() else {
        return Cell::blank("no benchmark validates like this within one process");
    };
    let estimate = found.estimates.get(&name).copied();
    estimate.map_or_else(|| Cell::blank(format!("no estimate of {name} there")), Cell::Known)
}

/// When the oldest of the estimates that a variant has was made.
fn in_process_measured_at(plan: &Plan, found: &InProcess) -> Option<jiff::Timestamp> {
    plan.variants.iter().filter_map(|variant| Some(in_process(variant, found).known()?.measured_at)).min()
}

/// Puts a price on a variant's processor time.
fn priced(variant: VariantSummary, price: Option<&Price>) -> VariantSummary {
    let of = |price: &Price| {
        variant.cpu_at_saturation().map(|cpu| {
            let money = |cpu_ns: f64| price.per_million_requests(cpu_ns);
            let interval = cpu.total.interval.map(|it| Interval { low: money(it.low), high: money(it.high) });
            Estimate { value: money(cpu.total.value), interval }
        })
    };
    VariantSummary { price_per_million_requests: price.map(of), ..variant }
}

/// Certificates are presented once per connection: on kept connections no more of them are in use than connections.
fn credentials_in_use(plan: &Plan, variant: &Variant) -> usize {
    let most_kept = plan
        .cases
        .iter()
        .filter(|case| case.variant == variant.name)
        .filter_map(|case| match &plan.measurement(&case.measurement)?.kind {
            MeasurementKind::Latency(LatencyPlan { connection, connections, .. })
            | MeasurementKind::Throughput(ThroughputPlan { connection, connections, .. }) => {
                Some(if *connection == ConnectionKind::Reused { *connections } else { usize::MAX })
            }
            // Each place in the loop presents one certificate, however often it connects.
            MeasurementKind::Handshake(HandshakePlan { connections, .. }) => Some(*connections),
            // Each caller presents its own.
            MeasurementKind::Rollover(_) | MeasurementKind::Outage(_) => Some(usize::MAX),
            MeasurementKind::Revocation(_) | MeasurementKind::Setup(_) | MeasurementKind::Attack(_) => None,
        })
        .max();
    match most_kept {
        Some(connections) if variant.method.is_mtls() => variant.pool.count.min(connections),
        _ => variant.pool.count,
    }
}

/// The measurement of a kind that speaks for the variant, with its settings: the one that most variants share where it
/// has this one, otherwise the first that has it. Sharing is counted in planned cases, so that an interrupted run
/// chooses as the whole one does.
fn speaker<'a, S>(
    plan: &'a Plan,
    trials: &Trials<'a>,
    variant: &'a str,
    settings: impl Fn(&'a MeasurementKind) -> Option<&'a S>,
) -> Cell<(&'a str, &'a S)> {
    let cases_of = |name: &'a str| plan.cases.iter().filter(move |case| case.measurement == name);
    let mut candidates: Vec<(&str, &S)> = plan
        .measurements
        .iter()
        .filter(|measurement| cases_of(&measurement.name).any(|case| case.variant == variant))
        .filter_map(|measurement| Some((measurement.name.as_str(), settings(&measurement.kind)?)))
        .collect();
    // Stable: among equals the scenario's order decides.
    candidates.sort_by_key(|(name, _)| std::cmp::Reverse(cases_of(name).count()));
    match candidates.first() {
        None => Cell::blank(NOT_MEASURED),
        Some(&(name, settings)) => trials.state(variant, name).map(|()| (name, settings)),
    }
}

fn smallest_regression<'a>(
    trials: &Trials<'a>,
    plan: &'a Plan,
    variants: &[VariantSummary],
) -> Vec<SmallestRegression> {
    type Figure = fn(&VariantSummary) -> Option<(&str, Estimate)>;
    let metrics: [(&str, Figure); 2] = [
        ("server_cpu_ns_per_request_at_saturation", |variant| {
            let throughput = variant.throughput.known()?;
            Some((&throughput.measurement, *throughput.server_cpu_ns_per_request.known()?.relative.known()?))
        }),
        ("latency_ns_p50", |variant| {
            let latency = variant.latency.known()?;
            Some((&latency.measurement, *latency.ratio_to_baseline_p50.known()?))
        }),
    ];
    metrics
        .map(|(metric, figure)| {
            let mut two = None;
            let mut changes: Vec<(f64, &str)> = Vec::new();
            for variant in variants {
                let Some((measurement, estimate)) = figure(variant) else { continue };
                let Some(half_width) = estimate.relative_half_width() else { continue };
                // The plan's own copies of the names live as long as the trials.
                let (Some(of), Some(under)) = (plan.variant(&variant.name), plan.measurement(measurement)) else {
                    continue;
                };
                let Some((grouping, clusters)) = clusters(trials.loads(&of.name, &under.name)) else { continue };
                match detectable_change(half_width, clusters) {
                    Some(change) => changes.push((change, variant.name.as_str())),
                    None => two = Some(grouping),
                }
            }
            changes.sort_by(|a, b| a.0.total_cmp(&b.0));
            let values: Vec<f64> = changes.iter().map(|(change, _)| *change).collect();
            let change = match (changes.last(), median(&values)) {
                (Some(worst), Some(median)) => {
                    Cell::Known(DetectableChange { median, worst: worst.0, worst_variant: worst.1.to_owned() })
                }
                _ => Cell::blank(match two {
                    Some(Grouping::StartsThenRounds) => "two starts cannot tell how much a third would differ",
                    Some(Grouping::Rounds) => "two rounds cannot tell how much a third would differ",
                    None => "no figure has an interval: fewer than two valid trials, or the figure is missing",
                }),
            };
            SmallestRegression { metric: metric.to_owned(), change }
        })
        .into()
}

/// The run's own warnings and those of its trials, each text once with the trials that it comes from.
fn warnings(run: &LoadedRun) -> Vec<String> {
    let mut by_text: Vec<(String, Vec<&str>)> = Vec::new();
    for record in &run.records {
        for warning in &record.warnings {
            match by_text.iter_mut().find(|(text, _)| text == warning) {
                Some((_, cases)) => cases.push(&record.case),
                None => by_text.push((warning.clone(), vec![&record.case])),
            }
        }
    }
    let of_trials = by_text.into_iter().map(|(text, mut cases)| {
        let trials = cases.len();
        cases.dedup();
        cases.sort_unstable();
        cases.dedup();
        let plural = if trials == 1 { "trial" } else { "trials" };
        format!("{text} ({trials} {plural}: {})", cases.join(", "))
    });
    run.warnings.iter().cloned().chain(of_trials).collect()
}

fn distinct(values: impl Iterator<Item = u32>) -> u32 {
    let set: std::collections::BTreeSet<u32> = values.collect();
    u32::try_from(set.len()).unwrap_or(u32::MAX)
}
