//! From records to figures: what each start of a comparison says about each quantity of each case.
//!
//! A figure is a natural logarithm of a ratio, so that twice and half are equally far from nothing.

use std::collections::{BTreeMap, BTreeSet};

use hdrhistogram::Histogram;

use crate::plan::{Case, Plan, Quantity, Variant};
use crate::record::{EncodedHistogram, LoadResult, Record, SliceCost, new_histogram};
use crate::run::LoadedRun;
use crate::stats::{PERCENTILE_TAIL, hodges_lehmann, middle_mean};

/// The valid trials of a run under load, by case, start and round.
pub(super) struct Trials<'a> {
    by_case: BTreeMap<&'a str, Starts<'a>>,
    /// The starts in which a case was measured, whether its trials count or not.
    recorded: BTreeMap<&'a str, BTreeSet<u32>>,
    /// Trials that are not counted, by case, with the first reason given.
    invalid: BTreeMap<&'a str, (usize, &'a str)>,
}

type Starts<'a> = BTreeMap<u32, Rounds<'a>>;
type Rounds<'a> = BTreeMap<u32, &'a Record>;

impl<'a> Trials<'a> {
    pub(super) fn of(run: &'a LoadedRun) -> Self {
        let mut trials = Self { by_case: BTreeMap::new(), recorded: BTreeMap::new(), invalid: BTreeMap::new() };
        for record in run.records.iter().filter(|record| record.measured.load().is_some()) {
            trials.recorded.entry(&record.case).or_default().insert(record.start);
            match record.invalid.first() {
                None => {
                    let starts = trials.by_case.entry(&record.case).or_default();
                    starts.entry(record.start).or_default().insert(record.round, record);
                }
                Some(reason) => trials.invalid.entry(&record.case).or_insert((0, reason)).0 += 1,
            }
        }
        trials
    }

    /// How many trials of a case are not counted, and the first reason.
    pub(super) fn invalid(&self, case: &str) -> Option<(usize, &'a str)> {
        self.invalid.get(case).copied()
    }

    /// How many starts a case was measured in, whether its trials count or not.
    pub(super) fn starts_of(&self, case: &str) -> usize {
        self.recorded.get(case).map_or(0, BTreeSet::len)
    }

    /// How many trials of a case count.
    pub(super) fn valid(&self, case: &str) -> usize {
        self.by_case.get(case).map_or(0, |starts| starts.values().map(BTreeMap::len).sum())
    }

    fn starts(&self, case: &str) -> impl Iterator<Item = (u32, &Rounds<'a>)> {
        self.by_case.get(case).into_iter().flatten().map(|(start, rounds)| (*start, rounds))
    }
}

/// The quantities by which a case can be compared: the baseline variant validates nothing, in the time of two readings of the
/// clock, and a server with traffic beside the variant does not tell whose work it did.
pub(super) fn quantities<'p>(plan: &'p Plan, case: &Case) -> impl Iterator<Item = Quantity> + use<'p> {
    let told = plan.measurement(&case.measurement).map_or(&[][..], |measurement| measurement.kind.quantities());
    let variant = plan.variant(&case.variant);
    let validates = variant.is_some_and(|variant| !variant.is_baseline());
    let alone = variant.is_some_and(|variant| variant.traffic_beside().is_none());
    told.iter().copied().filter(move |quantity| match quantity {
        Quantity::ServerCpu => alone,
        Quantity::Validation => alone && validates,
        Quantity::Throughput | Quantity::LatencyP50 | Quantity::LatencyP99 => true,
    })
}

/// The same of two runs, where cases are measured by their run's baseline variant: by its processor time the validation, too.
pub(super) fn relative_quantities<'p>(plan: &'p Plan, case: &Case) -> impl Iterator<Item = Quantity> + use<'p> {
    let alone = baseline(plan).is_some_and(|baseline| baseline.traffic_beside().is_none());
    quantities(plan, case)
        .filter(move |quantity| alone || !matches!(quantity, Quantity::ServerCpu | Quantity::Validation))
}

/// How the two sides of a duet differ in each start that both have: the candidate's logarithm beyond the baseline's.
pub(super) fn paired(
    (baseline, candidate): (&Trials<'_>, &Trials<'_>),
    case: &str,
    quantity: Quantity,
) -> BTreeMap<u32, f64> {
    between((baseline, case), (candidate, case), quantity)
}

/// What each start of a run by itself says of a case, relative to the run's own baseline variant under the same
/// measurement: machines and hours differ, and the two variants differ with them.
pub(super) fn relative(trials: &Trials<'_>, case: &str, yardstick: &str, quantity: Quantity) -> BTreeMap<u32, f64> {
    if quantity != Quantity::Validation {
        return within(trials, yardstick, case, quantity);
    }
    // The baseline variant validates nothing, in a time that is the clock's grain; how fast the machine is its processor
    // time tells.
    let yardsticks: BTreeMap<u32, _> = trials.starts(yardstick).collect();
    let figure = |(start, own): (u32, &Rounds<'_>)| {
        let speed = of_trials(Quantity::ServerCpu, &loads(yardsticks.get(&start)?))?;
        let figure = of_trials(quantity, &loads(own))? - speed;
        Some((start, Some(figure).filter(|figure| figure.is_finite())?))
    };
    trials.starts(case).filter_map(figure).collect()
}

/// How a case of a run differs from another of the same run in each start.
pub(super) fn within(trials: &Trials<'_>, reference: &str, case: &str, quantity: Quantity) -> BTreeMap<u32, f64> {
    between((trials, reference), (trials, case), quantity)
}

/// How a case differs from another in each start: its logarithm beyond the other's.
///
/// Slices are paired with their neighbours, and a start's figure is the Hodges–Lehmann estimate of its pairs. Where only a
/// trial as a whole tells (histograms), the trials of a start are merged and one ratio is taken.
fn between(
    (of, reference): (&Trials<'_>, &str),
    (trials, case): (&Trials<'_>, &str),
    quantity: Quantity,
) -> BTreeMap<u32, f64> {
    let references: BTreeMap<u32, _> = of.starts(reference).collect();
    let figure = |(start, own): (u32, &Rounds<'_>)| {
        let reference = references.get(&start)?;
        // A trial whose partner does not count has no pair.
        let both = own.iter().filter_map(|(round, own)| Some((reference.get(round)?.measured.load()?, own)));
        let (reference, own): (Vec<&LoadResult>, Vec<&LoadResult>) =
            both.filter_map(|(reference, own)| Some((reference, own.measured.load()?))).unzip();
        let figure = match quantity {
            Quantity::ServerCpu | Quantity::Throughput => {
                let pairs = reference.iter().zip(&own).flat_map(|(one, other)| one.slices.iter().zip(&other.slices));
                let log = match quantity {
                    Quantity::Throughput => SliceCost::log_rate,
                    _ => SliceCost::log_cpu_per_request,
                };
                let beyond = |(one, other)| Some(log(other)? - log(one)?);
                hodges_lehmann(&pairs.filter_map(beyond).collect::<Vec<_>>())
            }
            Quantity::Validation | Quantity::LatencyP50 | Quantity::LatencyP99 => {
                of_trials(quantity, &own).zip(of_trials(quantity, &reference)).map(|(own, reference)| own - reference)
            }
        };
        Some((start, figure.filter(|figure| figure.is_finite())?))
    };
    trials.starts(case).filter_map(figure).collect()
}

/// What trials measured under load.
fn loads<'a>(rounds: &Rounds<'a>) -> Vec<&'a LoadResult> {
    rounds.values().filter_map(|record| record.measured.load()).collect()
}

/// The figure itself, from all trials that count: nanoseconds, or requests per second.
pub(super) fn value(trials: &Trials<'_>, case: &str, quantity: Quantity) -> Option<f64> {
    let all: Vec<&LoadResult> = trials.starts(case).flat_map(|(_, rounds)| loads(rounds)).collect();
    of_trials(quantity, &all).map(f64::exp)
}

/// Logarithm of a quantity of some trials together.
fn of_trials(quantity: Quantity, trials: &[&LoadResult]) -> Option<f64> {
    match quantity {
        Quantity::ServerCpu => {
            let cpu_ns = trials.iter().map(|load| Some(load.server_cpu_ns.as_ref()?.values().sum::<u64>()));
            let answered: u64 = trials.iter().map(|load| load.answered).sum();
            let cpu_ns: u64 = cpu_ns.sum::<Option<u64>>()?;
            (answered > 0 && cpu_ns > 0).then(|| (cpu_ns as f64 / answered as f64).ln())
        }
        Quantity::Throughput => {
            let requests: u64 = trials.iter().map(|load| load.expected()).sum();
            let ns: u64 = trials.iter().map(|load| load.measured_ns).sum();
            (requests > 0 && ns > 0).then(|| (requests as f64 * 1e9 / ns as f64).ln())
        }
        Quantity::Validation => {
            let merged = merged(trials.iter().map(|load| load.validation.as_ref()))?;
            middle_mean(&merged).map(f64::ln)
        }
        Quantity::LatencyP50 => percentile(trials, 0.5),
        Quantity::LatencyP99 => percentile(trials, 0.99),
    }
}

fn percentile(trials: &[&LoadResult], quantile: f64) -> Option<f64> {
    let merged = merged(trials.iter().map(|load| Some(&load.latency)))?;
    let supported = (1.0 - quantile) * merged.len() as f64 >= PERCENTILE_TAIL;
    supported.then(|| (merged.value_at_quantile(quantile) as f64).ln())
}

/// All of the histograms in one; `None` if one is missing or cannot be read.
fn merged<'h>(histograms: impl Iterator<Item = Option<&'h EncodedHistogram>>) -> Option<Histogram<u64>> {
    let mut merged = new_histogram();
    for histogram in histograms {
        merged.add(histogram?.decode().ok()?).ok()?;
    }
    Some(merged)
}

/// The id of the case that is the yardstick of `case`: the baseline variant under the same measurement.
pub(super) fn yardstick<'p>(plan: &'p Plan, case: &Case) -> Option<&'p str> {
    let baseline = baseline(plan)?;
    let is = |other: &&Case| other.measurement == case.measurement && other.variant == baseline.name;
    plan.cases.iter().find(is).map(|case| case.id.as_str())
}

fn baseline(plan: &Plan) -> Option<&Variant> {
    plan.variants.iter().find(|variant| variant.is_baseline())
}
