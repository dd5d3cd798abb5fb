//! Demands on rollovers and outages: how long what has ended may get in, and that what is over is over.

use std::time::Duration;

use bench_server::contract::MethodConfig;

use super::super::expect::{self, Notice};
use super::super::format::duration;
use super::super::summary::{EventCalls, EventKind, EventSummary, Summary};
use super::Check;
use crate::plan::{Event, Fault, OutagePlan, Plan, RolloverOf, Variant};

/// Beside the bound: for an answer that was under way, and for timers, which count milliseconds.
const GRACE: Duration = Duration::from_millis(50);

/// All demands on the rollovers and outages of a run.
pub(super) fn check(plan: &Plan, summary: &Summary) -> Vec<Check> {
    let mut checks = Vec::new();
    for event in &summary.events {
        let planned = plan.measurement(&event.measurement).and_then(|measurement| Event::of(&measurement.kind));
        for case in &event.cases {
            let (Some(calls), Some(variant)) = (case.calls.known(), plan.variant(&case.variant)) else { continue };
            let place = format!("{}/{}", case.variant, event.measurement);
            checks.extend(bounded(&place, variant, planned.as_ref(), calls));
            if event.kind == EventKind::Outage {
                checks.push(served_again(&place, event, calls));
            }
        }
    }
    checks
}

/// What has ended must not be accepted for longer than the configuration allows while its store is gone.
fn bounded(place: &str, variant: &Variant, planned: Option<&Event>, calls: &EventCalls) -> Option<Check> {
    if calls.ended == 0 {
        return None;
    }
    let name = format!("{place}: what has ended is let in for a bounded time");
    let bound = match planned {
        Some(Event::Rollover(plan)) => after_rollover(variant, plan.of),
        _ => expect::longest_unnoticed(&variant.method),
    };
    let Some(bound) = bound else {
        return Some(Check::not_tested(
            name,
            "until its own end",
            "nobody is asked about it, or an answer may stay out",
        ));
    };
    let late = match planned {
        Some(Event::Outage(OutagePlan { fault: Fault::Slow(by), .. })) => *by,
        _ => Duration::ZERO,
    };
    let limit = bound + late + GRACE;
    let found = match calls.lived_on_ns {
        None => "nothing was let in".to_owned(),
        Some(ns) => format!("last accepted {} after its end", duration(ns as f64)),
    };
    let holds = calls.lived_on_ns.is_none_or(|ns| u128::from(ns) <= limit.as_nanos());
    Some(Check::judged(name, format!("at most {}", duration(limit.as_nanos() as f64)), found, holds))
}

/// How long what a rollover has ended may get in while nothing else is wrong; `None` where nobody is asked about it. Keys are
/// fetched by the first request after their time, and requests are steady here.
fn after_rollover(variant: &Variant, of: RolloverOf) -> Option<Duration> {
    if let (RolloverOf::Key, Some(MethodConfig::OAuth2(config))) = (of, variant.method.reference()) {
        return Some(config.jwks.refresh);
    }
    match expect::notice(variant) {
        Notice::Immediate => Some(Duration::ZERO),
        Notice::Within { period, .. } | Notice::FirstOf { period, .. } => Some(period),
        Notice::Pushed { silence } => Some(silence),
        Notice::AtExpiry { .. } | Notice::NextHandshake { .. } | Notice::Nothing | Notice::Untold => None,
    }
}

/// When the fault is over, everybody must be served again before the run looks away: in its last quarter at the latest.
fn served_again(place: &str, event: &EventSummary, calls: &EventCalls) -> Check {
    let limit = (event.length_ns - event.ends_ns) / 4 * 3;
    let found = match calls.served_again_after_ns {
        None => "at once".to_owned(),
        Some(ns) => format!("after {}", duration(ns as f64)),
    };
    let holds = calls.served_again_after_ns.is_none_or(|ns| ns <= limit);
    let expected = format!("within {}", duration(limit as f64));
    Check::judged(format!("{place}: everybody is served again when it is over"), expected, found, holds)
}
