//! Two sides of a comparison, from their records to a verdict on every figure.
//!
//! ```text
//! records → figures (one per start) → evidence → verdict → report: text, Markdown, JSON, JUnit, …
//! ```
//!
//! The sides are those of a duet, whose slices are paired with their neighbours, or two runs, each measured by its own
//! baseline variant.

mod figures;
mod form;
mod power;
mod refusal;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use self::figures::Trials;
pub use self::form::{COMPARISON_VERSION, Comparison, Missing, Mode, Noise, Party, Row, Sensitivity};
pub(crate) use self::power::power_curves;
pub use self::power::{PowerCurve, PowerPoint};
pub(crate) use self::refusal::refusals;
pub use self::refusal::{Refusal, RefusalCost};
use crate::machine::Machine;
use crate::plan::{Case, ComparePlan, Plan, Quantity, Stint, Variant};
use crate::run::{Duet, Header, LoadedRun, Side};
use crate::stats::{Evidence, Interval, STARTS_MIN, STARTS_TO_CONFIRM_MIN, Shift, Verdict, holm, two_looks};

/// Starts of the control below which its interval says nothing.
const CONTROL_STARTS_MIN: usize = 3;

/// Share of a case's trials that may be invalid; with more the rest is a selection.
const INVALID_MAX: f64 = 0.25;

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Sides<'a> {
    /// What is compared with.
    pub baseline: &'a LoadedRun,
    /// What is judged.
    pub candidate: &'a LoadedRun,
    /// Of a duet: the baseline's program once more.
    pub control: Option<&'a LoadedRun>,
}

/// Why two runs cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Incomparable(pub String);

/// What may differ between two runs, and what counts.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether runs of different machines are compared.
    pub other_machine: bool,
    /// The smallest change that counts for the quantities of the gate, as a share; absent means as the scenario has it.
    pub max_regression: Option<f64>,
}

/// The cases of a duet whose first look asks for a second.
///
/// # Errors
/// [`Incomparable`].
pub fn suspects(sides: &Sides<'_>, options: &Options) -> Result<BTreeSet<String>, Incomparable> {
    let table = Table::new(sides, options)?;
    let suspected = table.figures.iter().filter(|figure| {
        let first = Shift::of_starts(&figure.first).filter(|_| figure.first.len() >= STARTS_MIN);
        first
            .is_some_and(|first| table.evidence(figure, &Looks { first, second: None, p_value: 1.0 }, 1.0).is_suspect())
    });
    Ok(suspected.map(|figure| figure.case.id.clone()).collect())
}

/// Compares.
///
/// # Errors
/// [`Incomparable`]: the reason, and what to do.
pub fn compare(sides: &Sides<'_>, options: &Options) -> Result<Comparison, Incomparable> {
    let table = Table::new(sides, options)?;
    let (rows, unusable) = table.rows();
    let (baseline, candidate) = (&sides.baseline.header, &sides.candidate.header);
    let mut missing = table.missing.clone();
    missing.extend(unusable);
    let gated = || rows.iter().filter(|row| row.gate);
    let worst = gated().map(|row| row.verdict).min().unwrap_or(Verdict::Inconclusive);
    let verdict = match worst {
        Verdict::Improved | Verdict::Unchanged if !missing.is_empty() => Verdict::Inconclusive,
        verdict => verdict,
    };
    let starts_of = |second: bool| {
        table.figures.iter().map(|figure| if second { figure.second.len() } else { figure.first.len() }).max()
    };
    Ok(Comparison {
        version: COMPARISON_VERSION,
        mode: table.mode,
        scenario: candidate.plan.scenario.clone(),
        machine: candidate.machine.clone(),
        baseline: Party::of(baseline),
        candidate: Party::of(candidate),
        starts: starts_of(false).unwrap_or(0),
        starts_to_confirm: starts_of(true).unwrap_or(0),
        verdict,
        sensitivity: sensitivity(&rows),
        noise: table.noise.clone(),
        rows,
        missing,
        warnings: table.warnings(),
    })
}

/// The figures of a comparison before they are judged.
struct Table<'a> {
    mode: Mode,
    settings: ComparePlan,
    figures: Vec<Figures<'a>>,
    missing: Vec<Missing>,
    noise: Vec<Noise>,
    trials: [Trials<'a>; 2],
    sides: Sides<'a>,
}

/// What there is to be seen of a figure.
struct Looks {
    first: Shift,
    second: Option<Shift>,
    /// What they say together; 1 where there was no second, and across runs where not each half of the starts shows it.
    p_value: f64,
}

/// What starts say of one quantity of one case, positive where the candidate is worse.
struct Figures<'a> {
    case: &'a Case,
    quantity: Quantity,
    /// The starts of the first look; across runs the candidate's.
    first: Vec<f64>,
    /// The starts of the second.
    second: Vec<f64>,
    /// Across runs: the baseline's starts.
    reference: Option<Vec<f64>>,
}

impl<'a> Table<'a> {
    fn new(sides: &Sides<'a>, options: &Options) -> Result<Self, Incomparable> {
        let (baseline, candidate) = (&sides.baseline.header, &sides.candidate.header);
        let mode = comparable(baseline, candidate, options)?;
        let mut settings = candidate.plan.compare.clone().unwrap_or_default();
        if let Some(share) = options.max_regression {
            settings.minimum.extend(settings.gate.iter().map(|quantity| (*quantity, share)));
        }
        let trials = [Trials::of(sides.baseline), Trials::of(sides.candidate)];
        let mut table =
            Self { mode, settings, figures: Vec::new(), missing: Vec::new(), noise: Vec::new(), trials, sides: *sides };
        table.collect();
        if table.figures.is_empty() && table.missing.is_empty() {
            return Err(Incomparable(
                "there is nothing to compare: neither side has a measurement under load; use a scenario with \
                 `throughput` or `latency`"
                    .to_owned(),
            ));
        }
        if let Some(control) = sides.control {
            let same = |(own, control): (&Duet, &Duet)| own.id == control.id && control.side == Side::Control;
            if !baseline.duet.as_ref().zip(control.header.duet.as_ref()).is_some_and(same) {
                return Err(Incomparable("the control is not this duet's; bring its own folder back".to_owned()));
            }
            table.noise = noise(&table.trials[0], &Trials::of(control), &baseline.plan);
        }
        Ok(table)
    }

    fn collect(&mut self) {
        let [baseline, candidate] = [self.sides.baseline, self.sides.candidate];
        for (side, plan, other) in [
            (Side::Candidate, &baseline.header.plan, &candidate.header.plan),
            (Side::Baseline, &candidate.header.plan, &baseline.header.plan),
        ] {
            let lacks = |case: &&Case| is_load(plan, case) && other.cases.iter().all(|it| it.id != case.id);
            self.missing.extend(plan.cases.iter().filter(lacks).map(|case| Missing {
                case: case.id.clone(),
                side,
                reason: "its plan does not have it".to_owned(),
            }));
        }
        let plan = &candidate.header.plan;
        for case in plan.cases.iter().filter(|case| is_load(plan, case)) {
            if baseline.header.plan.cases.iter().all(|other| other.id != case.id) {
                continue;
            }
            if self.mode == Mode::AcrossRuns {
                match figures::yardstick(plan, case) {
                    Some(yardstick) if yardstick == case.id => continue, // what the others are measured by
                    Some(_) => {}
                    None => {
                        let reason =
                            "its run has no baseline variant under this measurement, by which it could be measured";
                        self.missing.push(Missing {
                            case: case.id.clone(),
                            side: Side::Candidate,
                            reason: reason.to_owned(),
                        });
                        continue;
                    }
                }
            }
            if let Some(missing) = self.unusable(case) {
                self.missing.push(missing);
                continue;
            }
            let quantities: Vec<Quantity> = match self.mode {
                Mode::Duet => figures::quantities(plan, case).collect(),
                Mode::AcrossRuns => figures::relative_quantities(plan, case).collect(),
            };
            for quantity in quantities {
                self.figures.extend(self.figures_of(case, quantity));
            }
        }
    }

    /// Why a case has too few trials that count, on which side.
    fn unusable(&self, case: &Case) -> Option<Missing> {
        let planned = self.sides.baseline.header.plan.starts as usize;
        [Side::Baseline, Side::Candidate].into_iter().zip(&self.trials).find_map(|(side, trials)| {
            let valid = trials.valid(&case.id);
            let reason = match trials.invalid(&case.id) {
                None if valid == 0 => "it was not measured; finish the run, or compare again".to_owned(),
                _ if self.mode == Mode::Duet && trials.starts_of(&case.id) < planned => format!(
                    "{} of {planned} starts were measured, for it was interrupted; compare again",
                    trials.starts_of(&case.id)
                ),
                Some((invalid, reason)) if invalid as f64 > INVALID_MAX * (valid + invalid) as f64 => {
                    format!("{invalid} of {} trials are invalid: {reason}", valid + invalid)
                }
                _ => return None,
            };
            Some(Missing { case: case.id.clone(), side, reason })
        })
    }

    fn figures_of(&self, case: &'a Case, quantity: Quantity) -> Option<Figures<'a>> {
        let [baseline, candidate] = &self.trials;
        let worse = |figures: BTreeMap<u32, f64>| {
            let sign = if quantity.more_is_better() { -1.0 } else { 1.0 };
            figures.into_iter().map(move |(start, figure)| (start, sign * figure))
        };
        match self.mode {
            Mode::Duet => {
                let first_look = self.sides.baseline.header.plan.starts;
                let pairs = worse(figures::paired((baseline, candidate), &case.id, quantity));
                let (first, second): (Vec<_>, Vec<_>) = pairs.partition(|(start, _)| *start < first_look);
                let only = |figures: Vec<(u32, f64)>| figures.into_iter().map(|(_, figure)| figure).collect();
                Some(Figures { case, quantity, first: only(first), second: only(second), reference: None })
            }
            Mode::AcrossRuns => {
                let plan = &self.sides.candidate.header.plan;
                let yardstick = figures::yardstick(plan, case)?;
                let of = |trials| -> Vec<f64> {
                    worse(figures::relative(trials, &case.id, yardstick, quantity)).map(|(_, figure)| figure).collect()
                };
                let (first, reference) = (of(candidate), Some(of(baseline)));
                Some(Figures { case, quantity, first, second: Vec::new(), reference })
            }
        }
    }

    /// The smallest change of a quantity that counts, as a logarithm: what was asked for, and at least what two processes
    /// of one program seemed to differ by. Not the far end of that figure's interval: chance is what the looks are for.
    fn minimum(&self, quantity: Quantity) -> f64 {
        let of_quantity = self.noise.iter().filter(|noise| noise.quantity == quantity);
        of_quantity.map(|noise| noise.change.abs()).fold(self.settings.minimum(quantity), f64::max).ln_1p()
    }

    fn evidence(&self, figures: &Figures<'_>, looks: &Looks, p_adjusted: f64) -> Evidence {
        let starts_to_confirm = match self.mode {
            Mode::Duet => {
                let plan = &self.sides.baseline.header.plan;
                Stint::second_look(plan, BTreeSet::from([figures.case.id.clone()])).starts.len()
            }
            Mode::AcrossRuns => figures.first.len(),
        };
        Evidence {
            first: looks.first,
            second: looks.second,
            p_adjusted,
            one_look: self.mode == Mode::AcrossRuns,
            figures: self.figures.len(),
            asked: self.settings.minimum(figures.quantity).ln_1p(),
            minimum: self.minimum(figures.quantity),
            starts_to_confirm,
        }
    }

    /// The rows; and figures that have too few starts for one.
    fn rows(&self) -> (Vec<Row>, Vec<Missing>) {
        let mut missing = Vec::new();
        let mut looked_at: Vec<(&Figures<'_>, Looks)> = Vec::new();
        for figures in &self.figures {
            match self.looks(figures) {
                Ok(looks) => looked_at.push((figures, looks)),
                // What stands beside the gate is not missed, and once per case is enough.
                Err(_) if !self.settings.gate.contains(&figures.quantity) => {}
                Err(_) if missing.iter().any(|it: &Missing| it.case == figures.case.id) => {}
                Err((side, starts)) => missing.push(Missing {
                    case: figures.case.id.clone(),
                    side,
                    reason: format!(
                        "{}: {starts} starts count, and {STARTS_MIN} are needed; plan more starts",
                        figures.quantity.title()
                    ),
                }),
            }
        }
        let p_values: Vec<f64> = looked_at.iter().map(|(_, looks)| looks.p_value).collect();
        let adjusted = holm(&p_values);
        let mut rows = Vec::new();
        for ((figures, looks), p_adjusted) in looked_at.into_iter().zip(adjusted) {
            match self.row(figures, &self.evidence(figures, &looks, p_adjusted)) {
                Ok(row) => rows.push(row),
                Err(side) => missing.push(Missing {
                    case: figures.case.id.clone(),
                    side,
                    reason: format!("{}: a trial does not tell it; compare again", figures.quantity.title()),
                }),
            }
        }
        (rows, missing)
    }

    /// Both looks at a figure; or which side has how few starts.
    fn looks(&self, figures: &Figures<'_>) -> Result<Looks, (Side, usize)> {
        let of = |side, starts: &[f64]| {
            Shift::of_starts(starts).filter(|_| starts.len() >= STARTS_MIN).ok_or((side, starts.len()))
        };
        let first = of(Side::Candidate, &figures.first)?;
        let Some(reference) = &figures.reference else {
            let second = Shift::of_starts(&figures.second).filter(|_| figures.second.len() >= STARTS_TO_CONFIRM_MIN);
            return Ok(Looks { first, second, p_value: second.map_or(1.0, |second| two_looks(&first, &second)) });
        };
        // The starts of a run are lives of their own: one half has to show what the other does.
        let difference = first.beyond(&of(Side::Baseline, reference)?);
        let half = figures.first.len() / 2;
        let halves = [&figures.first[..half], &figures.first[half..]];
        let mean = |starts: &[f64]| starts.iter().sum::<f64>() / starts.len() as f64;
        let reference = mean(reference);
        let repeats = halves.iter().all(|half| (mean(half) - reference).signum() == difference.estimate.signum());
        let p_value = if repeats { difference.p_value() } else { 1.0 };
        Ok(Looks { first: difference, second: Some(difference), p_value })
    }

    /// The row; or the side of which a trial does not tell the figure.
    fn row(&self, figures: &Figures<'_>, evidence: &Evidence) -> Result<Row, Side> {
        let (verdict, reason) = evidence.verdict();
        // From "worse" back to "more".
        let sign = if figures.quantity.more_is_better() { -1.0 } else { 1.0 };
        let share = |log: f64| log.exp_m1();
        let shift = Shift { estimate: sign * evidence.shift().estimate, ..evidence.shift() };
        let Interval { low, high } = shift.interval(0.05);
        let Case { id, variant, measurement } = figures.case;
        let value = |trials: &Trials<'_>, side| figures::value(trials, id, figures.quantity).ok_or(side);
        Ok(Row {
            case: id.clone(),
            variant: variant.clone(),
            measurement: measurement.clone(),
            quantity: figures.quantity,
            gate: self.settings.gate.contains(&figures.quantity),
            baseline: value(&self.trials[0], Side::Baseline)?,
            candidate: value(&self.trials[1], Side::Candidate)?,
            change: share(shift.estimate),
            interval: Interval { low: share(low), high: share(high) },
            minimum: share(evidence.minimum),
            detectable: share(evidence.detectable()),
            confirmed_anew: self.mode == Mode::Duet && evidence.second.is_some(),
            verdict,
            reason,
        })
    }

    fn warnings(&self) -> Vec<String> {
        let of_run = |(side, run): (Side, &LoadedRun)| {
            run.warnings.iter().map(|warning| format!("{}: {warning}", side.name())).collect::<Vec<_>>()
        };
        let runs = [(Side::Baseline, self.sides.baseline), (Side::Candidate, self.sides.candidate)];
        let not_counted = [Side::Baseline, Side::Candidate].into_iter().zip(&self.trials).flat_map(|(side, trials)| {
            let cases = self.sides.candidate.header.plan.cases.iter();
            cases.filter_map(move |case| {
                let (count, reason) = trials.invalid(&case.id)?;
                Some(format!("{}: {count} trials of {} do not count: {reason}", side.name(), case.id))
            })
        });
        // The yardstick is the candidate's own code: what all variants share is in it.
        let shared = (self.mode == Mode::AcrossRuns).then(|| {
            "each run is measured by its own baseline variant, so a change of what all variants share looks like one of the \
             opposite sign in each of them, and is itself not seen; to be sure, compare the two builds side by side \
             (--server, twice)"
                .to_owned()
        });
        runs.into_iter().flat_map(of_run).chain(not_counted).chain(self.not_told_apart()).chain(shared).collect()
    }

    /// What is not compared because a server had other work than the variant's.
    fn not_told_apart(&self) -> impl Iterator<Item = String> {
        let variants = self.sides.candidate.header.plan.variants.iter();
        variants.filter(|variant| variant.traffic_beside().is_some()).map(move |variant| {
            let what = match self.mode {
                Mode::AcrossRuns if variant.is_baseline() => {
                    "no variant's server CPU and validation are compared, for all are measured by this one"
                }
                Mode::AcrossRuns | Mode::Duet => "its server CPU and validation are not compared",
            };
            let name = &variant.name;
            format!(
                "what the server of variant \"{name}\" spends and times is not told apart from the traffic beside it: {what}"
            )
        })
    }
}

/// Whether two runs can be compared, and how.
fn comparable(baseline: &Header, candidate: &Header, options: &Options) -> Result<Mode, Incomparable> {
    if let (Some(own), Some(other)) = (&baseline.duet, &candidate.duet)
        && own.id == other.id
    {
        let right = (own.side, other.side) == (Side::Baseline, Side::Candidate);
        return if right {
            Ok(Mode::Duet)
        } else {
            Err(Incomparable(format!(
                "these are the {} and the {} of one duet; name the duet's folder, or its baseline and its candidate",
                own.side.name(),
                other.side.name()
            )))
        };
    }
    let differs = differences(&baseline.plan, &candidate.plan);
    if !differs.is_empty() {
        return Err(Incomparable(format!(
            "the plans differ in {}: they did not measure the same; run the same scenario on both sides",
            differs.join(", ")
        )));
    }
    if baseline.machine != candidate.machine && !options.other_machine {
        let of = |machine: &Machine| format!("{} × {}, {}", machine.cpus, machine.cpu_model, machine.os);
        return Err(Incomparable(format!(
            "the machines differ ({}; {}); compare on one machine, or say --other-machine to compare all the same",
            of(&baseline.machine),
            of(&candidate.machine)
        )));
    }
    Ok(Mode::AcrossRuns)
}

/// In what two plans differ that must be alike: all but the seed and how often things are done.
fn differences(baseline: &Plan, candidate: &Plan) -> Vec<String> {
    let json = |plan: &Plan| match serde_json::to_value(plan) {
        Ok(serde_json::Value::Object(members)) => members,
        _ => unreachable!("a plan is an object"),
    };
    let (own, other) = (json(baseline), json(candidate));
    const MAY_DIFFER: [&str; 7] =
        ["thresholds", "seed", "starts", "rounds", "analysis", "compare", "price_per_core_hour"];
    let keys: BTreeSet<&String> = own.keys().chain(other.keys()).collect();
    let differing =
        keys.into_iter().filter(|key| !MAY_DIFFER.contains(&key.as_str()) && own.get(*key) != other.get(*key));
    differing.cloned().collect()
}

/// The variant of the plan that is that one but for its name and its place in sweeps.
fn alike(plan: &Plan, wanted: Variant) -> Option<&Variant> {
    plan.variants.iter().find(|variant| {
        let Variant { name, point, .. } = (*variant).clone();
        **variant == Variant { name, point, ..wanted.clone() }
    })
}

fn is_load(plan: &Plan, case: &Case) -> bool {
    plan.measurement(&case.measurement).is_some_and(|measurement| measurement.kind.is_load())
}

/// What the baseline and its control seemed to differ by in the first look, which decides whether there is a second.
fn noise(baseline: &Trials<'_>, control: &Trials<'_>, plan: &Plan) -> Vec<Noise> {
    let mut noise = Vec::new();
    for case in plan.cases.iter().filter(|case| control.valid(&case.id) > 0) {
        for quantity in figures::quantities(plan, case) {
            let starts = figures::paired((baseline, control), &case.id, quantity).into_iter();
            let starts: Vec<f64> = starts.filter(|(start, _)| *start < plan.starts).map(|(_, figure)| figure).collect();
            let Some(shift) = Shift::of_starts(&starts).filter(|_| starts.len() >= CONTROL_STARTS_MIN) else {
                continue;
            };
            let Interval { low, high } = shift.interval(0.05);
            let interval = Interval { low: low.exp_m1(), high: high.exp_m1() };
            noise.push(Noise { case: case.id.clone(), quantity, change: shift.estimate.exp_m1(), interval });
        }
    }
    noise
}

/// Question 0, from the rows.
fn sensitivity(rows: &[Row]) -> Vec<Sensitivity> {
    let of_quantity = |quantity: Quantity| {
        let mut rows: Vec<&Row> = rows.iter().filter(|row| row.quantity == quantity).collect();
        rows.sort_by(|a, b| a.detectable.total_cmp(&b.detectable));
        let values: Vec<f64> = rows.iter().map(|row| row.detectable).collect();
        let worst = rows.last()?;
        let (median, worst_case) = (crate::stats::median(&values)?, worst.case.clone());
        Some((worst.gate, Sensitivity { quantity, median, worst: worst.detectable, worst_case }))
    };
    let mut all: Vec<(bool, Sensitivity)> = Quantity::ALL.into_iter().filter_map(of_quantity).collect();
    all.sort_by_key(|(gate, _)| !gate);
    all.into_iter().map(|(_, sensitivity)| sensitivity).collect()
}
