//! `[[threshold]]`: limits that a run must keep.

use super::document::{At, Table, Value};
use super::reader::{Problems, Section};
use super::suggest;
use super::value::{duration, number, one_of, text};
use crate::plan::{Limit, Metric, Plan, Threshold};

/// A limit as it was written.
pub(super) struct WrittenThreshold {
    at: At,
    place: String,
    threshold: Threshold,
}

/// Reads them; what cannot be read is reported and left out.
pub(super) fn read(tables: Vec<(At, Table)>, problems: &Problems) -> Vec<WrittenThreshold> {
    let tables = tables.into_iter().enumerate();
    tables
        .filter_map(|(index, (at, table))| read_one(format!("threshold {}", index + 1), at, table, problems))
        .collect()
}

fn read_one(place: String, at: At, table: Table, problems: &Problems) -> Option<WrittenThreshold> {
    let mut section = Section::new(place.clone(), at, table, problems);
    let case_at = section.at("case");
    let case = section.required("case", "\"api-key/latency\"", text);
    let metric = section.required("metric", "\"latency_added_p99\"", one_of(&Metric::ALL));
    let value = |value: &Value| match metric {
        Some(metric) if metric.is_time() => duration(value).map(|time| time.as_nanos() as f64),
        Some(_) => number(0.0..=1e15)(value),
        None => Ok(0.0), // of what it is the limit is not known
    };
    let max = section.optional("max", value).map(Limit::Max);
    let min = section.optional("min", value).map(Limit::Min);
    match (section.has("max"), section.has("min")) {
        (false, false) => section.error("max", "max is missing; write for instance max = \"200us\", or min"),
        (true, true) => section.error("min", "min and max are both there; write one [[threshold]] for each"),
        _ => {}
    }
    section.finish();
    Some(WrittenThreshold {
        at: case_at,
        place,
        threshold: Threshold { case: case?, metric: metric?, limit: max.or(min)? },
    })
}

/// Whether the plan has the cases, and the cases the figures.
pub(super) fn check(thresholds: &[WrittenThreshold], plan: &Plan, problems: &Problems) {
    for WrittenThreshold { at, place, threshold: Threshold { case, metric, .. } } in thresholds {
        let found = plan.cases.iter().find(|it| it.id == *case);
        let kind = found.and_then(|case| plan.measurement(&case.measurement)).map(|measurement| &measurement.kind);
        match kind {
            None => {
                let remedy = suggest::remedy(case, plan.cases.iter().map(|case| case.id.as_str()));
                problems.error(*at, format!("{place}: case is \"{case}\", which the scenario does not make; {remedy}"));
            }
            Some(kind) if !metric.is_told_by(kind) => problems.error(
                *at,
                format!(
                    "{place}: metric is \"{}\", which a case of kind \"{}\" does not tell; choose another of the two",
                    metric.word(),
                    kind.name()
                ),
            ),
            Some(_) => {}
        }
    }
}

/// Those of the plan's cases.
pub(super) fn plan(thresholds: &[WrittenThreshold], plan: &Plan) -> Vec<Threshold> {
    let known = |threshold: &&WrittenThreshold| plan.cases.iter().any(|case| case.id == threshold.threshold.case);
    thresholds.iter().filter(known).map(|written| written.threshold.clone()).collect()
}
