//! What it takes to get from nothing to the first authorised request.

use serde::{Deserialize, Serialize};

use super::trials::Trials;
use crate::cell::{Cell, Estimate};
use crate::plan::{MeasurementKind, Plan};
use crate::record::{Channel, KeptSecret, SetupResult, SetupStep};
use crate::stats::{Resampler, median, weighted_median};

/// The setup of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetupSummary {
    /// The measurement that this comes from.
    pub measurement: String,
    /// Trials that reached their end.
    pub trials: usize,
    /// All steps together, median over the trials.
    pub total_ns: Estimate,
    /// The steps in order.
    pub steps: Vec<SetupStepSummary>,
    /// Steps that go the operator's own way.
    pub out_of_band: usize,
    /// Round trips of the client.
    pub round_trips: u32,
    /// Bytes that the client wrote to TCP, median.
    pub bytes_sent: f64,
    /// Bytes that the client read from TCP, median.
    pub bytes_received: f64,
    /// What the client must keep secret from then on.
    pub secrets: Vec<KeptSecret>,
    /// What has to be run for the method.
    pub moving_parts: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SetupStepSummary {
    /// What it is.
    pub name: String,
    /// Where it goes.
    pub over: Channel,
    /// Median over the trials.
    pub elapsed_ns: Estimate,
    /// Round trips.
    pub round_trips: u32,
    /// Bytes that the client wrote to TCP, median.
    pub bytes_sent: f64,
    /// Bytes that the client read from TCP, median.
    pub bytes_received: f64,
}

/// The variant's first setup measurement; `None` where the scenario has none for it.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a str) -> Option<Cell<SetupSummary>> {
    let measurement = plan.measurements.iter().find(|measurement| {
        matches!(measurement.kind, MeasurementKind::Setup(_))
            && plan.cases.iter().any(|case| case.variant == variant && case.measurement == measurement.name)
    })?;
    let name = measurement.name.as_str();
    Some(trials.state(variant, name).and_then(|()| of_trials(plan, trials.setups(variant, name), name)))
}

fn of_trials(plan: &Plan, results: &[(u32, &SetupResult)], measurement: &str) -> Cell<SetupSummary> {
    // Every trial with its start: starts are drawn first, and then the trials inside each.
    let all: Vec<(u32, &[SetupStep])> =
        results.iter().flat_map(|(start, it)| it.trials.iter().map(|trial| (*start, trial.steps.as_slice()))).collect();
    let (Some((_, steps)), Some((_, last))) = (all.first(), results.last()) else {
        return Cell::blank("no trial reached its end");
    };
    let starts: Vec<u32> = all.iter().map(|(start, _)| *start).collect();
    let draws = Resampler::new(&starts, plan.seed);
    let median_of =
        |value: &dyn Fn(&[SetupStep]) -> f64| -> Vec<f64> { all.iter().map(|(_, steps)| value(steps)).collect() };
    let estimate = |values: Vec<f64>| Estimate {
        value: median(&values).unwrap_or_default(),
        interval: draws.as_ref().and_then(|draws| draws.interval(|weights| weighted_median(&values, weights))),
    };
    let sum = |of: fn(&SetupStep) -> u64| median(&median_of(&|steps| steps.iter().map(of).sum::<u64>() as f64));
    let step = |index: usize, of: fn(&SetupStep) -> u64| -> Vec<f64> {
        median_of(&|steps| steps.get(index).map_or(0.0, |step| of(step) as f64))
    };
    Cell::Known(SetupSummary {
        measurement: measurement.to_owned(),
        trials: all.len(),
        total_ns: estimate(median_of(&|steps| steps.iter().map(|step| step.elapsed_ns as f64).sum())),
        steps: steps
            .iter()
            .enumerate()
            .map(|(index, first)| SetupStepSummary {
                name: first.name.clone(),
                over: first.over,
                elapsed_ns: estimate(step(index, |step| step.elapsed_ns)),
                round_trips: first.round_trips,
                bytes_sent: median(&step(index, |step| step.bytes_sent)).unwrap_or_default(),
                bytes_received: median(&step(index, |step| step.bytes_received)).unwrap_or_default(),
            })
            .collect(),
        out_of_band: steps.iter().filter(|step| step.over == Channel::OutOfBand).count(),
        round_trips: steps.iter().map(|step| step.round_trips).sum(),
        bytes_sent: sum(|step| step.bytes_sent).unwrap_or_default(),
        bytes_received: sum(|step| step.bytes_received).unwrap_or_default(),
        secrets: last.secrets.clone(),
        moving_parts: last.moving_parts.clone(),
    })
}
