//! The power curve: how often a comparison would call a variant regressed that is slower by a known share.
//!
//! A run that has a variant twice, once as it is and once slowed down on purpose by several sizes, knows by how much starts
//! differ, and by how much each slow-down moves each figure. The rule of comparisons is then applied to starts drawn from
//! those.

use std::collections::BTreeSet;

use bench_server::contract::SlowDown;
use serde::{Deserialize, Serialize};

use super::figures::{self, Trials};
use super::{alike, is_load};
use crate::cell::Estimate;
use crate::plan::{Case, Plan, Quantity, Stint, Variant};
use crate::run::LoadedRun;
use crate::stats::{Design, Interval, STARTS_MIN, Shift};

/// How often slow-downs of a variant would be found, by one figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerCurve {
    /// The variant as it is.
    pub variant: String,
    /// Its method.
    pub method: String,
    /// The measurement.
    pub measurement: String,
    /// The figure.
    pub quantity: Quantity,
    /// Whether it decides a comparison's exit status.
    pub gate: bool,
    /// Starts of a comparison's first look.
    pub starts: usize,
    /// Starts of its second, where nothing else is suspected: several cases share the time that there is for it.
    pub starts_to_confirm: usize,
    /// Figures in its table.
    pub figures: usize,
    /// Question 0: the smallest change of the figure, as a share, that is found with 90 % power, by how much starts differ.
    pub detectable: f64,
    /// One for each slow-down, in the scenario's order.
    pub points: Vec<PowerPoint>,
}

/// A slow-down of known size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PowerPoint {
    /// The case that was slowed down.
    pub case: String,
    /// By how much its validation was.
    pub slow_down: SlowDown,
    /// By how much that changed the figure, as a share of it; 0.01 is one per cent more.
    pub change: Estimate,
    /// The share of comparisons that would have said `regressed`.
    pub regressed: f64,
}

/// The power curves of a run; none where nothing is slowed down.
pub(crate) fn power_curves(run: &LoadedRun) -> Vec<PowerCurve> {
    let plan = &run.header.plan;
    let trials = Trials::of(run);
    let mut curves = Vec::new();
    for (twin, slowed) in families(plan) {
        for case in plan.cases.iter().filter(|case| case.variant == twin.name && is_load(plan, case)) {
            let cases: Vec<(&Case, SlowDown)> = slowed
                .iter()
                .filter_map(|variant| {
                    let same = |it: &&Case| it.variant == variant.name && it.measurement == case.measurement;
                    Some((plan.cases.iter().find(same)?, variant.slow_down?))
                })
                .collect();
            for quantity in figures::quantities(plan, case) {
                curves.extend(curve(plan, &trials, (twin, case), &cases, quantity));
            }
        }
    }
    curves
}

/// Variants that are slowed down on purpose, by what they would be without.
fn families(plan: &Plan) -> Vec<(&Variant, Vec<&Variant>)> {
    let mut families: Vec<(&Variant, Vec<&Variant>)> = Vec::new();
    for slowed in plan.variants.iter().filter(|variant| variant.slow_down.is_some()) {
        let Some(twin) = alike(plan, Variant { slow_down: None, ..slowed.clone() }) else { continue };
        match families.iter_mut().find(|(known, _)| known.name == twin.name) {
            Some((_, members)) => members.push(slowed),
            None => families.push((twin, vec![slowed])),
        }
    }
    families
}

fn curve(
    plan: &Plan,
    trials: &Trials<'_>,
    (twin, as_it_is): (&Variant, &Case),
    cases: &[(&Case, SlowDown)],
    quantity: Quantity,
) -> Option<PowerCurve> {
    let sign = if quantity.more_is_better() { -1.0 } else { 1.0 };
    let mut residuals = Vec::new();
    let mut found = Vec::new();
    for (case, slow_down) in cases {
        let worse = figures::within(trials, &as_it_is.id, &case.id, quantity).into_values().map(|figure| sign * figure);
        let worse: Vec<f64> = worse.collect();
        let Some(shift) = Shift::of_starts(&worse).filter(|_| worse.len() >= STARTS_MIN) else { continue };
        let n = worse.len() as f64;
        // What is left of n figures without their mean is too little by that factor.
        residuals.extend(worse.iter().map(|figure| (figure - shift.estimate) * (n / (n - 1.0)).sqrt()));
        // Of one that is none it is known by how much it changes the figure.
        let truth = if is_none(*slow_down) { 0.0 } else { shift.estimate };
        found.push((*case, *slow_down, shift, truth));
    }
    let design = design(plan, as_it_is, quantity);
    let points = found
        .into_iter()
        .filter_map(|(case, slow_down, shift, truth)| {
            let Interval { low, high } = Shift { estimate: sign * shift.estimate, ..shift }.interval(0.05);
            let interval = Some(Interval { low: low.exp_m1(), high: high.exp_m1() });
            Some(PowerPoint {
                case: case.id.clone(),
                slow_down,
                change: Estimate { value: (sign * shift.estimate).exp_m1(), interval },
                regressed: design.power(truth, &residuals, plan.seed)?,
            })
        })
        .collect::<Vec<_>>();
    let spread = residuals.iter().map(|residual| residual * residual).sum::<f64>() / residuals.len() as f64;
    let first = Shift {
        estimate: 0.0,
        standard_error: (spread / design.starts as f64).sqrt(),
        degrees: design.starts as f64 - 1.0,
    };
    let curve = PowerCurve {
        variant: twin.name.clone(),
        method: twin.method.name().to_owned(),
        measurement: as_it_is.measurement.clone(),
        quantity,
        gate: plan.compare.clone().unwrap_or_default().gate.contains(&quantity),
        starts: design.starts,
        starts_to_confirm: design.starts_to_confirm,
        figures: design.figures,
        detectable: design.evidence(design.asked, first, None).detectable().exp_m1(),
        points,
    };
    (!curve.points.is_empty()).then_some(curve)
}

fn is_none(slow_down: SlowDown) -> bool {
    match slow_down {
        SlowDown::Share(share) => share == 0.0,
        SlowDown::Time(time) => time.is_zero(),
    }
}

/// A comparison of this scenario without the variants that are slowed down on purpose.
fn design(plan: &Plan, case: &Case, quantity: Quantity) -> Design {
    let settings = plan.compare.clone().unwrap_or_default();
    let compared = |case: &&Case| {
        is_load(plan, case) && plan.variant(&case.variant).is_some_and(|variant| variant.slow_down.is_none())
    };
    Design {
        starts: plan.starts as usize,
        starts_to_confirm: Stint::second_look(plan, BTreeSet::from([case.id.clone()])).starts.len(),
        figures: plan.cases.iter().filter(compared).flat_map(|case| figures::quantities(plan, case)).count(),
        asked: settings.minimum(quantity).ln_1p(),
        // The control serves the baseline variant alone, which validates nothing.
        has_control: quantity != Quantity::Validation,
    }
}
