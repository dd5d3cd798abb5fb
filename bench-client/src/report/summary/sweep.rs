//! Figures against swept values: lines, and where they cross.
//!
//! A line is a family of variants at the same point of all other sweeps; a family that the sweep does not touch is a
//! constant. All lines of a panel are drawn again together, from the same starts and rounds: what disturbed a round
//! disturbed all of them, and cancels in their differences.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::cost::{cpu_of, no_accounting, pooled};
use super::latency::thin_tail;
use super::throughput::expected_in;
use super::trials::{Load, Trials, pairing};
use super::untold;
use crate::cell::{Cell, Estimate};
use crate::plan::{Coordinate, Measurement, Metric, Plan, SweptValue, Variant};
use crate::stats::{Crossings, Pool, Resampler, Spacing, crossings, interpolate};

/// One figure against one swept key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepSummary {
    /// The swept key, without the name of the variant or measurement that it is of.
    pub key: String,
    /// What its values are.
    pub quantity: AxisUnit,
    /// How the axis is divided, and in which measure lines are straight between points.
    pub spacing: Spacing,
    /// The figure.
    pub metric: Metric,
    /// Name of the measurement, as written, that it comes from.
    pub measurement: String,
    /// One for each point of the sweeps that all lines share, like the HTTP version.
    pub panels: Vec<SweepPanel>,
}

/// What positions on an axis count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AxisUnit {
    /// Nanoseconds.
    TimeNs,
    /// Whatever the key counts.
    Number,
}

/// Lines that were measured under the same circumstances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepPanel {
    /// The circumstances, like `server.http = 2`; empty where nothing else is swept.
    pub at: Vec<String>,
    /// The lines, in the scenario's order.
    pub lines: Vec<SweepLine>,
    /// Each pair of lines that can cross: at least one is no constant, and none is the baseline. None where bytes are
    /// counted.
    pub crossings: Vec<LineCrossings>,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepLine {
    /// Family, with its point of other sweeps.
    pub name: String,
    /// Method.
    pub method: String,
    /// Whether costs are distances from it.
    pub baseline: bool,
    /// Its points by position; a single one without position is the same everywhere.
    pub points: Vec<SweepPoint>,
}

/// A measured point of a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepPoint {
    /// The case.
    pub case: String,
    /// The swept value: nanoseconds or a number; absent where the sweep does not matter to the case.
    pub position: Option<f64>,
    /// The figure.
    pub figure: Cell<Estimate>,
}

/// Where two lines cross.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineCrossings {
    /// Name of a line.
    pub first: String,
    /// Name of the other.
    pub second: String,
    /// Lowest position at which both are known.
    pub from: f64,
    /// Highest.
    pub to: f64,
    /// The crossings between these.
    #[serde(flatten)]
    pub crossings: Crossings,
}

impl SweepLine {
    /// Whether the sweep does not matter to it.
    pub fn is_constant(&self) -> bool {
        self.points.iter().all(|point| point.position.is_none())
    }

    /// Known points by position.
    pub fn known(&self) -> impl Iterator<Item = (f64, Estimate)> {
        self.points.iter().filter_map(|point| Some((point.position?, *point.figure.known()?)))
    }
}

/// A key that is an axis, and the sweeps that it leads.
struct Axis<'p> {
    key: &'p str,
    sweeps: BTreeSet<usize>,
    plot: Vec<Metric>,
    quantity: AxisUnit,
    spacing: Spacing,
}

/// The first path of a sweep whose values all have a place on an axis.
fn leading(sweep: &crate::plan::Sweep) -> Option<&crate::plan::SweptPath> {
    sweep.paths.iter().find(|path| path.values.iter().all(|value| value.position().is_some()))
}

/// The axes of a plan: sweeps that are led by the same key share one.
fn axes(plan: &Plan) -> Vec<Axis<'_>> {
    let mut axes: Vec<Axis<'_>> = Vec::new();
    let mut places: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for (number, sweep) in plan.sweeps.iter().enumerate() {
        let Some(path) = leading(sweep) else { continue };
        // As written: a shortened run is drawn on the axis of the whole one.
        places.entry(&path.key).or_default().extend(path.values.iter().filter_map(SweptValue::position));
        let time = path.values.iter().all(|value| matches!(value, SweptValue::Time(_)));
        let quantity = if time { AxisUnit::TimeNs } else { AxisUnit::Number };
        match axes.iter_mut().find(|axis| axis.key == path.key && axis.quantity == quantity) {
            Some(axis) => {
                axis.sweeps.insert(number);
                axis.plot.extend(sweep.plot.iter().filter(|metric| !axis.plot.contains(metric)).collect::<Vec<_>>());
            }
            None => axes.push(Axis {
                key: &path.key,
                sweeps: BTreeSet::from([number]),
                plot: sweep.plot.clone(),
                quantity,
                spacing: Spacing::Linear,
            }),
        }
    }
    for axis in &mut axes {
        axis.spacing = Spacing::of(&places[axis.key]);
    }
    axes
}

/// A case with what it is made of.
struct Case<'p> {
    id: &'p str,
    variant: &'p Variant,
    measurement: &'p Measurement,
}

impl Case<'_> {
    fn coordinates(&self) -> impl Iterator<Item = &Coordinate> {
        self.variant.coordinates().iter().chain(self.measurement.coordinates())
    }

    /// Where it stands on an axis.
    fn position(&self, plan: &Plan, axis: &Axis<'_>) -> Option<f64> {
        let own = self.coordinates().find(|at| axis.sweeps.contains(&at.sweep))?;
        leading(&plan.sweeps[own.sweep])?.values.get(own.step)?.position()
    }

    /// The panel that it belongs to: what its server and its measurement share with the other lines.
    fn circumstances(&self, axis: &Axis<'_>) -> Vec<String> {
        let shared = self.variant.coordinates().iter().filter(|at| is_of_server(at));
        let shared = shared.chain(self.measurement.coordinates());
        shared.filter(|at| !axis.sweeps.contains(&at.sweep)).map(ToString::to_string).collect()
    }

    /// The line that it belongs to.
    fn line(&self, axis: &Axis<'_>) -> String {
        let others = self.variant.coordinates().iter();
        let others = others.filter(|at| !is_of_server(at) && !axis.sweeps.contains(&at.sweep));
        let others: Vec<String> = others.map(ToString::to_string).collect();
        match others.as_slice() {
            [] => self.variant.family().to_owned(),
            others => format!("{} ({})", self.variant.family(), others.join(", ")),
        }
    }
}

fn is_of_server(at: &Coordinate) -> bool {
    at.key.starts_with("server.")
}

/// Every figure that the plan's sweeps ask for and the run has.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>) -> Vec<SweepSummary> {
    let mut summaries = Vec::new();
    for axis in axes(plan) {
        for metric in &axis.plot {
            let mut families: Vec<&str> = Vec::new();
            for measurement in plan.measurements.iter().filter(|it| metric.is_told_by(&it.kind)) {
                if !families.contains(&measurement.family()) {
                    families.push(measurement.family());
                }
            }
            for family in families {
                let panels = panels(plan, trials, &axis, *metric, family);
                if !panels.is_empty() {
                    summaries.push(SweepSummary {
                        key: axis.key.to_owned(),
                        quantity: axis.quantity,
                        spacing: axis.spacing,
                        metric: *metric,
                        measurement: family.to_owned(),
                        panels,
                    });
                }
            }
        }
    }
    summaries
}

/// The panels in which some line has more than one known point.
fn panels<'a>(plan: &'a Plan, trials: &Trials<'a>, axis: &Axis<'_>, metric: Metric, family: &str) -> Vec<SweepPanel> {
    let mut cases: Vec<(Vec<String>, Vec<Case<'a>>)> = Vec::new();
    for case in &plan.cases {
        let (Some(variant), Some(measurement)) = (plan.variant(&case.variant), plan.measurement(&case.measurement))
        else {
            continue;
        };
        let of_baseline = variant.is_baseline() && is_distance(metric);
        if measurement.family() != family || of_baseline {
            continue;
        }
        let case = Case { id: &case.id, variant, measurement };
        // What only other sweeps vary is no line to compare with: it would be one flat line for each of their points.
        if case.position(plan, axis).is_none() && variant.coordinates().iter().any(|at| !is_of_server(at)) {
            continue;
        }
        let at = case.circumstances(axis);
        match cases.iter_mut().find(|(known, _)| *known == at) {
            Some((_, cases)) => cases.push(case),
            None => cases.push((at, vec![case])),
        }
    }
    let panels = cases.into_iter().map(|(at, cases)| panel(plan, trials, axis, metric, at, &cases));
    panels.filter(|panel| panel.lines.iter().any(|line| line.known().nth(1).is_some())).collect()
}

/// Figures that the baseline does not have.
fn is_distance(metric: Metric) -> bool {
    matches!(metric, Metric::LatencyAddedP50 | Metric::LatencyAddedP99 | Metric::ValidationP50)
}

/// Figures of which a reader asks where one variant becomes the better one. Bytes are what a format makes of its content:
/// lines that differ by a byte would cross wherever names have other lengths.
fn is_price(metric: Metric) -> bool {
    !matches!(metric, Metric::BytesSent | Metric::BytesReceived)
}

/// A figure as a function of how often each trial counts.
enum Statistic {
    Percentile(Pool, f64),
    Difference(Pool, Pool, f64),
    Ratio(Vec<(f64, f64)>),
}

impl Statistic {
    fn of(&self, weights: &[u32]) -> Option<f64> {
        match self {
            Self::Percentile(pool, q) => pool.weighted(*q, weights).map(|ns| ns as f64),
            Self::Difference(own, baseline, q) => {
                Some(own.weighted(*q, weights)? as f64 - baseline.weighted(*q, weights)? as f64)
            }
            Self::Ratio(parts) => pooled(parts, weights),
        }
    }
}

/// A figure with the trials, as starts and rounds, that it is taken from.
type Figure = (Statistic, Vec<(u32, u32)>);

fn figure<'a>(trials: &Trials<'a>, metric: Metric, case: &Case<'a>) -> Cell<Figure> {
    let (variant, measurement) = (case.variant.name.as_str(), case.measurement.name.as_str());
    let loads = trials.loads(variant, measurement);
    let of = |loads: &[&Load<'_>]| loads.iter().map(|load| (load.start, load.round)).collect::<Vec<_>>();
    let all: Vec<&Load<'_>> = loads.iter().collect();
    let percentile = |pool: Pool, q: f64, name: &str| match pool.percentiles(&[q])[0] {
        Some(_) => Cell::Known((Statistic::Percentile(pool, q), of(&all))),
        None => Cell::blank(thin_tail(name)),
    };
    let added = |q: f64, name: &str| {
        pairing(trials, variant, measurement).and_then(|pairing| {
            let (own, baseline): (Vec<&Load<'_>>, Vec<&Load<'_>>) = pairing.pairs.iter().copied().unzip();
            let pool = |side: &[&Load<'_>]| Pool::new(side.iter().map(|load| &load.latency));
            let (of_own, of_baseline) = (pool(&own), pool(&baseline));
            match (of_own.percentiles(&[q])[0], of_baseline.percentiles(&[q])[0]) {
                (Some(_), Some(_)) => Cell::Known((Statistic::Difference(of_own, of_baseline, q), of(&own))),
                _ => Cell::blank(thin_tail(name)),
            }
        })
    };
    let latency = || Pool::new(loads.iter().map(|load| &load.latency));
    let ratio = |part: fn(&Load<'_>) -> Option<(f64, f64)>, without: &str| {
        let parts: Option<Vec<_>> = loads.iter().map(part).collect();
        Cell::or_blank(parts.map(|parts| (Statistic::Ratio(parts), of(&all))), without)
    };
    trials.state(variant, measurement).and_then(|()| match metric {
        Metric::LatencyP50 => percentile(latency(), 0.5, "p50"),
        Metric::LatencyP99 => percentile(latency(), 0.99, "p99"),
        Metric::LatencyAddedP50 => added(0.5, "p50"),
        Metric::LatencyAddedP99 => added(0.99, "p99"),
        Metric::ValidationP50 => match loads.iter().map(|load| load.validation.as_ref()).collect::<Option<Vec<_>>>() {
            Some(told) => percentile(Pool::new(told), 0.5, "p50"),
            None => Cell::blank(untold(loads)),
        },
        Metric::ServerCpu => ratio(cpu_of, no_accounting(loads)),
        Metric::Throughput => ratio(|load| Some(expected_in(load)), "nothing was measured"),
        Metric::BytesSent => {
            ratio(|load| Some((load.result.bytes_sent as f64, load.result.answered as f64)), "nothing was measured")
        }
        Metric::BytesReceived => {
            ratio(|load| Some((load.result.bytes_received as f64, load.result.answered as f64)), "nothing was measured")
        }
    })
}

/// A figure of the case of that id, with its interval.
pub(super) fn figure_of<'a>(plan: &'a Plan, trials: &Trials<'a>, case: &str, metric: Metric) -> Cell<Estimate> {
    let Some(planned) = plan.cases.iter().find(|it| it.id == case) else { return Cell::blank("it was not planned") };
    let (Some(variant), Some(measurement)) = (plan.variant(&planned.variant), plan.measurement(&planned.measurement))
    else {
        return Cell::blank("it was not planned");
    };
    let case = Case { id: &planned.id, variant, measurement };
    let drawn = draw(vec![figure(trials, metric, &case)], plan.seed);
    drawn.into_iter().next().map_or_else(|| Cell::blank("it was not measured"), |drawn| drawn.figure)
}

/// A case's figure and the same in every drawing.
struct Drawn {
    figure: Cell<Estimate>,
    replicates: Vec<Option<f64>>,
}

/// Draws all cases again together.
fn draw(figures: Vec<Cell<Figure>>, seed: u64) -> Vec<Drawn> {
    let trials: BTreeSet<(u32, u32)> =
        figures.iter().filter_map(Cell::known).flat_map(|(_, trials)| trials.iter().copied()).collect();
    let trials: Vec<(u32, u32)> = trials.into_iter().collect();
    let starts: Vec<u32> = trials.iter().map(|(start, _)| *start).collect();
    let draws = Resampler::new(&starts, seed);
    figures
        .into_iter()
        .map(|figure| {
            let (statistic, own) = match figure {
                Cell::Known(figure) => figure,
                Cell::Blank { blank } => return Drawn { figure: Cell::Blank { blank }, replicates: Vec::new() },
            };
            let own: Vec<usize> =
                own.iter().map(|trial| trials.binary_search(trial).expect("a union holds it")).collect();
            let weighted = |weights: &[u32]| statistic.of(&own.iter().map(|trial| weights[*trial]).collect::<Vec<_>>());
            let Some(value) = statistic.of(&vec![1; own.len()]) else {
                return Drawn { figure: Cell::blank("no request was answered"), replicates: Vec::new() };
            };
            let interval = draws.as_ref().filter(|_| own.len() > 1).and_then(|draws| draws.interval(weighted));
            let replicates = draws.iter().flat_map(Resampler::drawings).map(weighted).collect();
            Drawn { figure: Cell::Known(Estimate { value, interval }), replicates }
        })
        .collect()
}

fn panel<'a>(
    plan: &Plan,
    trials: &Trials<'a>,
    axis: &Axis<'_>,
    metric: Metric,
    at: Vec<String>,
    cases: &[Case<'a>],
) -> SweepPanel {
    let drawn = draw(cases.iter().map(|case| figure(trials, metric, case)).collect(), plan.seed);
    let mut lines: Vec<(SweepLine, Vec<&Drawn>)> = Vec::new();
    for (case, drawn) in cases.iter().zip(&drawn) {
        let name = case.line(axis);
        let index = lines.iter().position(|(line, _)| line.name == name).unwrap_or_else(|| {
            let (method, baseline) = (case.variant.method.name().to_owned(), case.variant.is_baseline());
            lines.push((SweepLine { name, method, baseline, points: Vec::new() }, Vec::new()));
            lines.len() - 1
        });
        let point =
            SweepPoint { case: case.id.to_owned(), position: case.position(plan, axis), figure: drawn.figure.clone() };
        // By position; a line has each only once, for points of a sweep differ.
        let (line, of_line) = &mut lines[index];
        let before = line.points.partition_point(|other| other.position < point.position);
        line.points.insert(before, point);
        of_line.insert(before, drawn);
    }
    let mut found = Vec::new();
    for (i, first) in lines.iter().enumerate() {
        for second in &lines[i + 1..] {
            if is_price(metric) && !(first.0.baseline || second.0.baseline) {
                found.extend(cross(first, second, axis.spacing));
            }
        }
    }
    SweepPanel { at, lines: lines.into_iter().map(|(line, _)| line).collect(), crossings: found }
}

/// The heights of a line's known points, in the run or in one drawing; a constant has one over each end of the other's.
fn heights(
    (line, drawn): &(SweepLine, Vec<&Drawn>),
    ends: (f64, f64),
    height: impl Fn(&Drawn) -> Option<f64>,
) -> Option<Vec<(f64, f64)>> {
    let known = line.points.iter().zip(drawn).filter(|(point, _)| point.figure.known().is_some());
    if line.is_constant() {
        let height = known.map(|(_, drawn)| height(drawn)).next()??;
        return Some(vec![(ends.0, height), (ends.1, height)]);
    }
    known.map(|(point, drawn)| Some((point.position?, height(drawn)?))).collect()
}

/// The crossings of two lines where both are known; `None` where they cannot cross.
fn cross(
    first: &(SweepLine, Vec<&Drawn>),
    second: &(SweepLine, Vec<&Drawn>),
    spacing: Spacing,
) -> Option<LineCrossings> {
    let places = |line: &SweepLine| line.known().map(|(place, _)| place).collect::<Vec<_>>();
    let (of_first, of_second) = (places(&first.0), places(&second.0));
    // A constant is known wherever the other is.
    let ends = |places: &[f64]| Some((*places.first()?, *places.last()?));
    let everywhere = (f64::NEG_INFINITY, f64::INFINITY);
    let (a, b) = match (first.0.is_constant(), second.0.is_constant()) {
        (true, true) => return None,
        (true, false) => (everywhere, ends(&of_second)?),
        (false, true) => (ends(&of_first)?, everywhere),
        (false, false) => (ends(&of_first)?, ends(&of_second)?),
    };
    let (from, to) = (a.0.max(b.0), a.1.min(b.1));
    let mut at: Vec<f64> = of_first.iter().chain(&of_second).copied().filter(|at| (from..=to).contains(at)).collect();
    at.sort_unstable_by(f64::total_cmp);
    at.dedup();
    if at.len() < 2 {
        return None;
    }
    let difference = |height: &dyn Fn(&Drawn) -> Option<f64>| -> Option<Vec<f64>> {
        let (first, second) = (heights(first, (from, to), height)?, heights(second, (from, to), height)?);
        at.iter().map(|at| Some(interpolate(&first, *at, spacing)? - interpolate(&second, *at, spacing)?)).collect()
    };
    let whole = difference(&|drawn| Some(drawn.figure.known()?.value))?;
    let replicates = first.1.iter().chain(&second.1).map(|drawn| drawn.replicates.len()).max().unwrap_or(0);
    let drawings: Vec<Vec<Option<f64>>> = (0..replicates)
        .map(|drawing| match difference(&|drawn| drawn.replicates.get(drawing).copied().flatten()) {
            Some(difference) => difference.into_iter().map(Some).collect(),
            None => vec![None; at.len()],
        })
        .collect();
    Some(LineCrossings {
        first: first.0.name.clone(),
        second: second.0.name.clone(),
        from,
        to,
        crossings: crossings(&at, &whole, &drawings, spacing),
    })
}
