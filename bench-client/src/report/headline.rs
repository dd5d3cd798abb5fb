//! The answer in three sentences, and the sentences that go with tables and with the machine. Generated, never written by
//! hand.

use super::cell::Cell;
use super::format::{bracket, duration, fixed, number, percent, times};
use super::summary::{RevocationSummary, Summary, VariantSummary};
use crate::stats::Grouping;

/// Cheapest validation, highest throughput, shortest and longest window.
pub(crate) fn sentences(summary: &Summary) -> Vec<String> {
    vec![validation(summary), throughput(summary), revocation(summary)]
}

fn validation(summary: &Summary) -> String {
    let measured =
        ranked(summary, |variant| variant.latency.known()?.validation_ns.p50.known().map(|estimate| estimate.value));
    match (measured.first(), measured.last()) {
        (Some((cheap, low)), Some((dear, high))) if measured.len() > 1 => format!(
            "Validating one request is cheapest with {} ({} at the median) and dearest with {} ({}, {} times as much).",
            cheap.name,
            duration(*low),
            dear.name,
            duration(*high),
            times(high / low.max(1.0)),
        ),
        (Some((only, value)), _) => {
            format!("Validating one request takes {} at the median with {}.", duration(*value), only.name)
        }
        _ => "No validation time was measured.".to_owned(),
    }
}

fn throughput(summary: &Summary) -> String {
    let measured = ranked(summary, |variant| Some(variant.throughput.known()?.per_s.value));
    let Some((best, per_s)) = measured.last() else { return "No throughput was measured.".to_owned() };
    let ratio = |variant: &VariantSummary| {
        let ratio = *variant.throughput.known()?.ratio_to_baseline.known()?;
        Some(format!(", {} of what the same route carries without authentication", percent(ratio.value)))
    };
    let highest = format!(
        "The highest throughput is {} requests per second with {}{}",
        fixed(*per_s, 0),
        best.name,
        ratio(best).unwrap_or_default()
    );
    match measured.first() {
        Some((worst, least)) if worst.name != best.name => {
            format!("{highest}; the lowest is {} with {}.", number(*least), worst.name)
        }
        _ => format!("{highest}."),
    }
}

fn revocation(summary: &Summary) -> String {
    let mut measured: Vec<_> =
        summary.compared().filter_map(|variant| Some((variant, variant.revocation.known()?))).collect();
    // Open windows are the longest of all.
    measured.sort_by(|a, b| {
        let key = |found: &RevocationSummary| found.max.high_ns.unwrap_or(f64::MAX);
        key(a.1).total_cmp(&key(b.1))
    });
    let (Some((_, short)), Some((_, longest))) = (measured.first(), measured.last()) else {
        return "No credential was revoked.".to_owned();
    };
    let open = match longest.still_accepted {
        0 => String::new(),
        open => format!(", {open} of {} still accepted when the watch ended", longest.revoked),
    };
    format!(
        "A revoked credential is refused soonest with {} (longest window {}); it lives on longest with {} ({}{open}).",
        list(&alike(&measured, short)),
        bracket(&short.max),
        list(&alike(&measured, longest)),
        bracket(&longest.max),
    )
}

/// The variants whose longest window probes cannot tell from that one: those are named together.
pub(crate) fn alike<'s>(measured: &[(&'s VariantSummary, &RevocationSummary)], to: &RevocationSummary) -> Vec<&'s str> {
    let near = |found: &RevocationSummary| match (found.max.high_ns, to.max.high_ns) {
        (Some(a), Some(b)) => (a - b).abs() <= 2.0 * to.probe_interval_ns as f64,
        (None, None) => true,
        _ => false,
    };
    measured.iter().filter(|(_, found)| near(found)).map(|(variant, _)| variant.name.as_str()).collect()
}

/// Variants with a figure, ascending; the baseline left out.
pub(crate) fn ranked<'s>(
    summary: &'s Summary,
    figure: impl Fn(&'s VariantSummary) -> Option<f64>,
) -> Vec<(&'s VariantSummary, f64)> {
    let mut ranked: Vec<_> = summary.compared().filter_map(|variant| Some((variant, figure(variant)?))).collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    ranked
}

/// `a`, `a and b`, `a, b and c`; more than three as `a, b and 3 others`.
pub(crate) fn list(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        [only] => (*only).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, second, third] => format!("{first}, {second} and {third}"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} others", rest.len()),
    }
}

/// Question 0.
pub(crate) fn smallest_regression(summary: &Summary) -> Vec<String> {
    summary
        .smallest_regression
        .iter()
        .map(|regression| {
            let metric = match regression.metric.as_str() {
                "server_cpu_ns_per_request_at_saturation" => "server CPU per request at saturation",
                "latency_ns_p50" => "median latency",
                other => other,
            };
            match &regression.change {
                Cell::Known(change) => format!(
                    "Between two runs like this one, a change of {metric} by {} would most likely show in the typical \
                     variant (from {} for {} to {} for {}).",
                    percent(change.median),
                    percent(change.best),
                    change.best_variant,
                    percent(change.worst),
                    change.worst_variant,
                ),
                Cell::Blank { blank } => format!("The smallest visible change of {metric} is not known: {blank}."),
            }
        })
        .collect()
}

/// How the intervals were drawn.
pub(crate) fn intervals(summary: &Summary) -> String {
    match summary.intervals_over {
        Some(Grouping::StartsThenRounds) => format!(
            "Intervals are 95\u{a0}% bootstrap intervals over {} starts of the server processes and the rounds inside each.",
            summary.starts
        ),
        Some(Grouping::Rounds) => {
            "Intervals are 95\u{a0}% bootstrap intervals over the rounds of a single start: what \
             restarting the server processes would change is not in them."
                .to_owned()
        }
        None => "There are no intervals: the run has fewer than two valid trials of every case.".to_owned(),
    }
}
