//! What a refusal costs beside an acceptance: a variant whose credentials are refused, beside the same one whose are not.

use bench_server::contract::MethodConfig;
use serde::{Deserialize, Serialize};

use super::figures::{self, Trials};
use super::{alike, is_load};
use crate::cell::{Cell, Estimate};
use crate::plan::{Case, MeasurementKind, Plan, Presents, Quantity, Variant};
use crate::record::NOT_TOLD_APART;
use crate::run::LoadedRun;
use crate::stats::{Interval, Shift};

/// A variant whose credentials are refused, under one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The variant.
    pub variant: String,
    /// Its method.
    pub method: String,
    /// In which state its credentials are.
    pub presents: Presents,
    /// The same variant with credentials that are accepted.
    pub beside: String,
    /// The measurement.
    pub measurement: String,
    /// Each figure that tells what a request costs the server, as a multiple of that of an acceptance.
    pub costs: Vec<RefusalCost>,
}

/// One figure of a refusal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusalCost {
    /// The figure.
    pub quantity: Quantity,
    /// Of a refusal, by that of an acceptance in the same start.
    pub ratio: Cell<Estimate>,
}

/// What the server spends on a request.
const COSTS: [Quantity; 2] = [Quantity::ServerCpu, Quantity::Validation];

/// The refusals of a run: of each variant whose credentials are refused and that stands there with good ones, too.
pub(crate) fn refusals(run: &LoadedRun) -> Vec<Refusal> {
    let plan = &run.header.plan;
    let trials = Trials::of(run);
    let refused = plan.variants.iter().filter(|variant| !variant.presents.is_default());
    let beside = refused.filter_map(|it| Some((it, alike(plan, Variant { presents: Presents::Valid, ..it.clone() })?)));
    beside.flat_map(|(refused, accepted)| of_variant(plan, &trials, refused, accepted)).collect()
}

fn of_variant(plan: &Plan, trials: &Trials<'_>, refused: &Variant, accepted: &Variant) -> Vec<Refusal> {
    let case_of = |variant: &Variant, measurement: &str| {
        plan.cases.iter().find(|case| case.variant == variant.name && case.measurement == measurement)
    };
    let cases = plan.cases.iter().filter(|case| case.variant == refused.name && is_load(plan, case));
    let beside = cases.filter_map(|case| Some((case, case_of(accepted, &case.measurement)?)));
    let refusal = |(case, beside): (&Case, &Case)| {
        let kind = plan.measurement(&case.measurement).map(|measurement| &measurement.kind);
        let told = kind.map_or(&[][..], MeasurementKind::quantities);
        let costs = COSTS.into_iter().filter(|quantity| told.contains(quantity));
        let ratio = |quantity| match kind.and_then(|kind| why_not(refused, kind, quantity)) {
            Some(reason) => Cell::blank(reason),
            None => ratio(trials, case, beside, quantity),
        };
        Refusal {
            variant: refused.name.clone(),
            method: refused.method.name().to_owned(),
            presents: refused.presents,
            beside: accepted.name.clone(),
            measurement: case.measurement.clone(),
            costs: costs.map(|quantity| RefusalCost { quantity, ratio: ratio(quantity) }).collect(),
        }
    };
    beside.map(refusal).collect()
}

/// Why a figure is not what a refusal costs.
fn why_not(refused: &Variant, kind: &MeasurementKind, quantity: Quantity) -> Option<&'static str> {
    let hashes = matches!(refused.method.reference(), Some(MethodConfig::Basic(basic)) if basic.session.is_none());
    let at_saturation = matches!(kind, MeasurementKind::Throughput(_));
    if refused.traffic_beside().is_some() {
        Some(NOT_TOLD_APART)
    } else if quantity == Quantity::Validation && hashes && at_saturation {
        Some(
            "in a closed loop it is the time in the queue for the password hash, which is as long as there are connections; \
             the processor time tells",
        )
    } else {
        None
    }
}

fn ratio(trials: &Trials<'_>, case: &Case, beside: &Case, quantity: Quantity) -> Cell<Estimate> {
    let logs: Vec<f64> = figures::within(trials, &beside.id, &case.id, quantity).into_values().collect();
    match (Shift::of_starts(&logs), logs.as_slice()) {
        (Some(shift), _) => {
            let Interval { low, high } = shift.interval(0.05);
            let interval = Some(Interval { low: low.exp(), high: high.exp() });
            Cell::Known(Estimate { value: shift.estimate.exp(), interval })
        }
        (None, [only]) => Cell::Known(Estimate { value: only.exp(), interval: None }),
        (None, _) => Cell::blank("no start has valid trials of both"),
    }
}
