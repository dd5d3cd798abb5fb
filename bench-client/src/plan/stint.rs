//! What a duet measures in one go: some starts, and in each of them some cases.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;
use std::time::Duration;

use super::expected::START_COST;
use super::{Case, MeasurementKind, Plan};

/// Fewest and most starts of a second look: with fewer nothing could be confirmed, and more would add nothing.
const SECOND_LOOK_STARTS: (u32, u32) = (6, 24);

/// A part of a duet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stint {
    /// The numbers of its starts.
    pub starts: Range<u32>,
    /// The ids of the cases that are measured; absent means all under load.
    pub cases: Option<BTreeSet<String>>,
}

impl Stint {
    /// Whether a case under load is measured.
    pub(crate) fn holds(&self, case: &Case) -> bool {
        self.cases.as_ref().is_none_or(|cases| cases.contains(&case.id))
    }

    /// The second look of a plan at cases that are suspected: fresh starts, as many as the plan has time for.
    pub fn second_look(plan: &Plan, suspects: BTreeSet<String>) -> Self {
        let time = plan.compare.clone().unwrap_or_default().second_look;
        let mut stint = Self { starts: plan.starts..plan.starts + 1, cases: Some(suspects) };
        // Baseline and candidate; the control has its say in the first look.
        let each = stint.expected([plan, plan]);
        let fitting = (time.as_secs_f64() / each.as_secs_f64().max(f64::MIN_POSITIVE)) as u32;
        stint.starts.end = plan.starts + fitting.clamp(SECOND_LOOK_STARTS.0, SECOND_LOOK_STARTS.1);
        stint
    }

    /// How long it takes, about.
    pub fn expected<'p>(&self, plans: impl IntoIterator<Item = &'p Plan>) -> Duration {
        plans.into_iter().map(|plan| self.expected_start(plan)).sum::<Duration>() * self.starts.len() as u32
    }

    /// How long one of its starts takes on one side.
    fn expected_start(&self, plan: &Plan) -> Duration {
        let mut variants = HashSet::new();
        let (mut warm_up, mut load) = (Duration::ZERO, Duration::ZERO);
        for measurement in &plan.measurements {
            let Some((warmup, trial)) = under_load(&measurement.kind) else { continue };
            let cases: Vec<&Case> = plan.cases_of(measurement).filter(|case| self.holds(case)).collect();
            let number = cases.len() as u32;
            warm_up += warmup * number;
            load += trial * number * plan.rounds_per_start();
            variants.extend(cases.iter().map(|case| case.variant.as_str()));
        }
        START_COST * variants.len() as u32 + warm_up + load
    }
}

/// Of a measurement under load: the warm-up, and all slices of a trial.
fn under_load(kind: &MeasurementKind) -> Option<(Duration, Duration)> {
    match kind {
        MeasurementKind::Latency(plan) => Some((plan.warmup, plan.slice * plan.slices)),
        MeasurementKind::Throughput(plan) => Some((plan.warmup, plan.slice * plan.slices)),
        MeasurementKind::Handshake(plan) => Some((plan.warmup, plan.slice * plan.slices)),
        MeasurementKind::Revocation(_)
        | MeasurementKind::Setup(_)
        | MeasurementKind::Rollover(_)
        | MeasurementKind::Outage(_)
        | MeasurementKind::Attack(_) => None,
    }
}
