//! `[[measurement]]`: what is measured, how, and on which variants.

use std::path::Path;
use std::time::Duration;

use super::document::{At, Table, Value};
use super::reader::{Places, Problems, Section};
use super::sweep::Steps;
use super::value::{duration, name, names, number, one_of, positive, show, token_lifetime, whole};
use super::{attack, handshake, setup, timeline};
use crate::plan::{
    ArrivalModel, ConnectionKind, HandshakePlan, LatencyPlan, LoadRate, Measurement, MeasurementKind, Objective,
    ProbeKind, Rate, RevocationPlan, ThroughputPlan,
};

/// A measurement as it was written.
pub(super) struct WrittenMeasurement {
    /// Its name, if that could be read.
    pub(super) name: Option<String>,
    /// Where its keys stand.
    pub(super) places: Places,
    /// Where it stands in the sweeps.
    pub(super) steps: Steps,
    /// On which variants.
    pub(super) selection: Selection,
    /// Of kind `handshake`: each combination of its lists.
    pub(super) combinations: Vec<HandshakePlan>,
    /// What it means, if all of it could be read.
    pub(super) measurement: Option<Measurement>,
}

impl WrittenMeasurement {
    /// The measurements that it makes: one, or of kind `handshake` one for each combination.
    pub(super) fn planned(&self) -> Vec<Measurement> {
        let Some(measurement) = &self.measurement else { return Vec::new() };
        if self.combinations.is_empty() {
            return vec![measurement.clone()];
        }
        let each = |plan: &HandshakePlan| {
            let mut measurement = measurement.clone();
            measurement.name += &plan.suffix();
            measurement.kind = MeasurementKind::Handshake(plan.clone());
            measurement
        };
        self.combinations.iter().map(each).collect()
    }
}

/// Which variants a measurement is about. The baseline is always among them.
pub(super) enum Selection {
    All,
    Only(Vec<(At, String)>),
    Except(Vec<(At, String)>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Latency,
    Throughput,
    Revocation,
    Handshake,
    Setup,
    Rollover,
    Outage,
    Attack,
}

const KINDS: &[(&str, Kind)] = &[
    ("latency", Kind::Latency),
    ("throughput", Kind::Throughput),
    ("revocation", Kind::Revocation),
    ("handshake", Kind::Handshake),
    ("setup", Kind::Setup),
    ("rollover", Kind::Rollover),
    ("outage", Kind::Outage),
    ("attack", Kind::Attack),
];

const CONNECTIONS: &[(&str, ConnectionKind)] =
    &[("reused", ConnectionKind::Reused), ("fresh", ConnectionKind::Fresh), ("resumed", ConnectionKind::Resumed)];

/// Keys of one kind or another, which cannot be judged while the kind is not known.
const KEYS_OF_KINDS: [&str; 34] = [
    "load",
    "objective",
    "connections",
    "connection",
    "sessions",
    "requests_per_connection",
    "warmup",
    "measure",
    "slice",
    "trials",
    "at_a_time",
    "probe_interval",
    "phase",
    "watch",
    "lifetime",
    "callers",
    "interval",
    "before",
    "after",
    "bin",
    "of",
    "lead",
    "adoption",
    "overlap",
    "fault",
    "lasts",
    "revoked",
    "bystanders",
    "cases",
    "only",
    "offers",
    "timeout",
    "within",
    "leeway",
];

/// Short enough that drift hits all cases alike, long enough to hold hundreds of requests.
const DEFAULT_SLICE: Duration = Duration::from_millis(100);

/// Long enough for a queue to build up where a rate is too high, short enough for twenty of them.
const DEFAULT_CAPACITY_TRIAL: Duration = Duration::from_millis(250);

/// How close the bounds of a capacity come, as a share.
const DEFAULT_CAPACITY_WIDTH: f64 = 0.05;

/// Connections that one process can keep open with the usual limits raised.
pub(super) const CONNECTIONS_MAX: usize = 100_000;

/// Reads a measurement; `ordinal` names it while its name is not known.
pub(super) fn read(ordinal: usize, at: At, table: Table, folder: &Path, problems: &Problems) -> WrittenMeasurement {
    let mut section = Section::new(format!("measurement {ordinal}"), at, table, problems);
    let given = section.optional("name", name);
    if let Some(name) = &given {
        section.rename(format!("measurement \"{name}\""));
    }
    let kind = section.required("kind", "\"latency\"", one_of(KINDS));
    let word = KINDS.iter().find(|(_, each)| Some(*each) == kind).map(|(word, _)| (*word).to_owned());
    let name = if section.has("name") { given } else { word };
    if let Some(name) = &name {
        section.rename(format!("measurement \"{name}\""));
    }
    let selection = read_selection(&mut section);
    let mut combinations = Vec::new();
    let kind = match kind {
        Some(Kind::Latency) => read_latency(&mut section).map(MeasurementKind::Latency),
        Some(Kind::Throughput) => read_throughput(&mut section).map(MeasurementKind::Throughput),
        Some(Kind::Revocation) => read_revocation(&mut section).map(MeasurementKind::Revocation),
        Some(Kind::Handshake) => {
            combinations = handshake::read(&mut section);
            combinations.first().cloned().map(MeasurementKind::Handshake)
        }
        Some(Kind::Setup) => setup::read(&mut section).map(MeasurementKind::Setup),
        Some(Kind::Rollover) => timeline::read_rollover(&mut section).map(MeasurementKind::Rollover),
        Some(Kind::Outage) => timeline::read_outage(&mut section).map(MeasurementKind::Outage),
        Some(Kind::Attack) => attack::read(&mut section, folder).map(MeasurementKind::Attack),
        None => {
            section.ignore(KEYS_OF_KINDS);
            None
        }
    };
    let places = section.finish();
    let measurement = name.clone().zip(kind).map(|(name, kind)| Measurement { name, point: None, kind });
    WrittenMeasurement { name, places, steps: Steps::new(), selection, combinations, measurement }
}

fn read_selection(section: &mut Section<'_>) -> Selection {
    let is_table = |value: &Value| matches!(value, Value::Table(_));
    if section.optional("variants", |value| Ok(is_table(value))) == Some(true) {
        let Some(mut table) = section.table("variants") else { return Selection::All };
        let except = table.required("except", "[\"basic-argon2id\"]", names);
        table.finish();
        return except.map_or(Selection::All, Selection::Except);
    }
    section.optional("variants", names).map_or(Selection::All, Selection::Only)
}

fn read_latency(section: &mut Section<'_>) -> Option<LatencyPlan> {
    const MODELS: &[(&str, ArrivalModel)] = &[("poisson", ArrivalModel::Poisson), ("constant", ArrivalModel::Constant)];
    let connection = section.or("connection", ConnectionKind::Reused, one_of(CONNECTIONS));
    if !section.has("load") {
        section.error(
            "load",
            "load is missing; write for instance load = { rate_per_s = 2_000, connections = 16, warmup = \"300ms\", \
             measure = \"1s\" }",
        );
    }
    let load = section.table("load").and_then(|mut load| {
        let model = load.or("model", ArrivalModel::Poisson, one_of(MODELS));
        let rate = read_rate(&mut load);
        let connections = load.required("connections", "16", whole(1..=CONNECTIONS_MAX));
        let warmup = load.required("warmup", "\"300ms\"", duration);
        let measure = load.required("measure", "\"1s\"", positive);
        load.finish();
        Some((model, rate?, connections?, warmup?, measure?))
    });
    let slice = section.optional("slice", positive);
    let (model, rate, connections, warmup, measure) = load?;
    let (slice, slices) = slices(section, measure, slice)?;
    match &rate {
        LoadRate::PerSecond(Rate::Steady(rate_per_s)) if rate_per_s * slice.as_secs_f64() < 1.0 => section
            .warn("slice", format!("at {rate_per_s} requests per second most slices of {} are empty", show(slice))),
        LoadRate::PerSecond(Rate::Steps(rates)) if !(slices as usize).is_multiple_of(rates.len()) => section.error(
            "load",
            format!(
                "load.rate_per_s has {} steps, which {slices} slices of {} cannot share evenly; change measure or slice",
                rates.len(),
                show(slice)
            ),
        ),
        LoadRate::PerSecond(_) | LoadRate::ShareOfCapacity(_) => {}
    }
    Some(LatencyPlan { model, rate, connections, connection, warmup, slice, slices })
}

/// How much an open loop offers: `rate_per_s` as a number, a list of steps or a table for a ramp; or a share of what
/// the variant carries.
fn read_rate(load: &mut Section<'_>) -> Option<LoadRate> {
    let rate = number(f64::MIN_POSITIVE..=1e7);
    let rate =
        |value: &Value| rate(value).map_err(|_| "an open load needs a number over 0, at most 10000000".to_owned());
    if load.has("share_of_capacity") {
        load.misplaced(&[("rate_per_s", "a load without share_of_capacity")], "share_of_capacity");
        let share = load.optional("share_of_capacity", |value| {
            number(0.01..=2.0)(value).map_err(|_| "write a share of the capacity from 0.01 to 2, like 0.7".to_owned())
        });
        return share.map(LoadRate::ShareOfCapacity);
    }
    let is_table = |value: &Value| matches!(value, Value::Table(_));
    if load.optional("rate_per_s", |value| Ok(is_table(value))) == Some(true) {
        let mut ramp = load.table("rate_per_s")?;
        let from = ramp.required("from", "500", rate);
        let to = ramp.required("to", "5_000", rate);
        ramp.finish();
        return Some(LoadRate::PerSecond(Rate::Ramp { from: from?, to: to? }));
    }
    let rate = load.required("rate_per_s", "2_000", |value| match value {
        Value::List(steps) if steps.is_empty() => Err("write at least one rate".to_owned()),
        Value::List(steps) => steps.iter().map(|step| rate(&step.value)).collect::<Result<_, _>>().map(Rate::Steps),
        value => rate(value).map(Rate::Steady),
    });
    rate.map(LoadRate::PerSecond)
}

fn read_throughput(section: &mut Section<'_>) -> Option<ThroughputPlan> {
    let connection = section.or("connection", ConnectionKind::Reused, one_of(CONNECTIONS));
    let connections = section.required("connections", "64", whole(1..=CONNECTIONS_MAX));
    let warmup = section.required("warmup", "\"200ms\"", duration);
    let measure = section.required("measure", "\"800ms\"", positive);
    let slice = section.optional("slice", positive);
    let objective = read_objective(section);
    let (connections, warmup, measure) = (connections?, warmup?, measure?);
    let (slice, slices) = slices(section, measure, slice)?;
    Some(ThroughputPlan { connections, connection, warmup, slice, slices, objective: objective? })
}

/// `None` when what was written is wrong, which is noted.
fn read_objective(section: &mut Section<'_>) -> Option<Option<Objective>> {
    const QUANTILES: [(&str, f64); 6] =
        [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99_9", 0.999), ("p99_99", 0.9999)];
    if !section.has("objective") {
        return Some(None);
    }
    let mut table = section.table("objective")?;
    let mut written = Vec::new();
    for (key, quantile) in QUANTILES {
        let latency = table.optional(key, positive);
        if table.has(key) {
            written.push((quantile, latency));
        }
    }
    let trial = table.or("trial", DEFAULT_CAPACITY_TRIAL, positive);
    let width = table.or("width", DEFAULT_CAPACITY_WIDTH, number(0.005..=1.0));
    table.finish();
    match written.as_slice() {
        [(quantile, latency)] => Some(Some(Objective { quantile: *quantile, latency: (*latency)?, trial, width })),
        other => {
            let message = format!("objective has {} percentiles; write one, like {{ p99 = \"10ms\" }}", other.len());
            section.error("objective", message);
            None
        }
    }
}

/// How a trial is cut: the slice's length and how many make up the time to measure.
pub(super) fn slices(section: &Section<'_>, measure: Duration, slice: Option<Duration>) -> Option<(Duration, u32)> {
    if slice.is_none() && section.has("slice") {
        return None; // what was written is no time; that is noted
    }
    let slice = slice.unwrap_or(DEFAULT_SLICE.min(measure));
    let (whole, rest) = (measure.as_nanos() / slice.as_nanos(), measure.as_nanos() % slice.as_nanos());
    let (slice_text, measure_text) = (show(slice), show(measure));
    if whole == 0 {
        section.error("slice", format!("slice is {slice_text}, longer than the {measure_text} to measure; shorten it"));
        return None;
    }
    if rest != 0 {
        section.error(
            "slice",
            format!(
                "slice is {slice_text}, of which {measure_text} to measure is no whole number; make it divide evenly"
            ),
        );
        return None;
    }
    match u32::try_from(whole) {
        Ok(slices) => Some((slice, slices)),
        Err(_) => {
            section
                .error("slice", format!("slice is {slice_text}, too short for {measure_text} to measure; lengthen it"));
            None
        }
    }
}

/// One kind of connection, or a list of different ones.
fn probe_kinds(value: &Value) -> Result<Vec<ProbeKind>, String> {
    let kinds = ProbeKind::ALL.map(|kind| (kind.name(), kind));
    let one = one_of(&kinds);
    let Value::List(items) = value else { return one(value).map(|kind| vec![kind]) };
    let mut listed = items.iter().map(|item| one(&item.value)).collect::<Result<Vec<_>, _>>()?;
    let written = listed.len();
    let mut seen = Vec::new();
    listed.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(*kind);
            true
        }
    });
    if listed.is_empty() || listed.len() < written {
        return Err("write at least one kind of connection, and each once, like [\"reused\", \"fresh\"]".to_owned());
    }
    Ok(listed)
}

fn read_revocation(section: &mut Section<'_>) -> Option<RevocationPlan> {
    let trials = section.required("trials", "8", whole(1..=10_000));
    let probe_interval = section.required("probe_interval", "\"20ms\"", positive);
    let phase = section.required("phase", "\"3s\"", |value| {
        positive(value).map_err(|remedy| match duration(value) {
            Ok(time) if time.is_zero() => {
                "a revocation must meet caches and polls at every phase: write at least the longest TTL or interval"
                    .into()
            }
            _ => remedy,
        })
    });
    let watch = section.required("watch", "\"12s\"", positive);
    let lifetime = section.optional("lifetime", token_lifetime);
    let probes = section.or("connection", vec![ProbeKind::Reused], probe_kinds);
    let trials = trials?;
    let plan = RevocationPlan {
        trials,
        at_a_time: section.or("at_a_time", trials, whole(1..=10_000)).min(trials),
        probe_interval: probe_interval?,
        phase: phase?,
        watch: watch?,
        lifetime,
        probes,
        bystanders: section.or("bystanders", 0, whole(0..=100)),
    };
    if plan.probe_interval > plan.watch {
        let (interval, watch) = (show(plan.probe_interval), show(plan.watch));
        section.error(
            "probe_interval",
            format!("probe_interval is {interval}, longer than the {watch} that are watched; shorten it"),
        );
    }
    Some(plan)
}
