//! What callers suffered around a rollover or an outage, and what got in meanwhile.

use serde::{Deserialize, Serialize};

use std::time::Duration;

use super::super::format::duration;
use super::trials::Trials;
use crate::cell::Cell;
use crate::plan::{Event, Fault, Plan};
use crate::record::{Happening, Moment, TimelineBin, TimelineResult};
use crate::stats::{Distribution, Pool};

/// One rollover or outage, on every variant that was measured in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventSummary {
    /// The measurement.
    pub measurement: String,
    /// Whether something was replaced or something was gone.
    pub kind: EventKind,
    /// What happened, in words.
    pub what: String,
    /// From the first call to the event's begin.
    pub begins_ns: u64,
    /// From the first call to the event's end.
    pub ends_ns: u64,
    /// From the first call to the last.
    pub length_ns: u64,
    /// Length of the spans that calls are counted over.
    pub bin_ns: u64,
    /// What became of each variant, in the scenario's order; the baseline is not among them.
    pub cases: Vec<EventCase>,
}

/// What a time line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Something was replaced.
    Rollover,
    /// Something was slow or gone.
    Outage,
}

/// One variant in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventCase {
    /// The variant.
    pub variant: String,
    /// Its method.
    pub method: String,
    /// What was counted.
    pub calls: Cell<EventCalls>,
}

/// Calls, over all trials.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventCalls {
    /// Trials.
    pub trials: usize,
    /// Callers, each with a credential of its own.
    pub callers: usize,
    /// What was slow or gone; absent where the variant asks nobody, and for rollovers.
    pub dependency: Option<String>,
    /// All calls.
    pub total: TimelineBin,
    /// Calls that were due in the spans that lie within the event as a whole.
    pub during: TimelineBin,
    /// Calls by their time.
    pub bins: Vec<TimelineBin>,
    /// What happened when, in the first trial.
    pub moments: Vec<Moment>,
    /// Callers of good standing that were not served at least once, at most.
    pub cut_off: usize,
    /// When calls of good standing were not served: the first and the last, from the event's begin on; absent if all were.
    pub harmed_ns: Option<(u64, u64)>,
    /// From the event's end to the last call that was not served; absent if all later ones were.
    pub served_again_after_ns: Option<u64>,
    /// Credentials that ended.
    pub ended: usize,
    /// From a credential's end to the send of its last call that was accepted, at most; absent if none was.
    pub lived_on_ns: Option<u64>,
    /// Credentials that had ended and were still accepted when the calls did: they lived on for longer than that.
    pub still_accepted: usize,
    /// 90th percentile of the latency of accepted calls, from when they were due: before the event, during it, after it. Absent
    /// where there are fewer than a hundred.
    pub latency_p90_ns: [Option<u64>; 3],
}

impl EventCalls {
    /// Share of the calls of good standing that were served while the event lasted, from 0 to 1.
    pub fn served_share(&self) -> Option<f64> {
        let due = self.during.accepted + self.during.not_served();
        (due > 0).then(|| self.during.accepted as f64 / due as f64)
    }
}

/// All rollovers and outages of a plan.
pub(super) fn summarise(plan: &Plan, trials: &Trials<'_>) -> Vec<EventSummary> {
    let mut events = Vec::new();
    for measurement in &plan.measurements {
        let Some(event) = Event::of(&measurement.kind) else { continue };
        let compared = plan.variants.iter().filter(|variant| !variant.is_baseline());
        let measured = compared.filter(|variant| {
            plan.cases.iter().any(|case| case.variant == variant.name && case.measurement == measurement.name)
        });
        let cases = measured.map(|variant| EventCase {
            variant: variant.name.clone(),
            method: variant.method.name().to_owned(),
            calls: trials
                .state(&variant.name, &measurement.name)
                .and_then(|()| add_up(trials.events(&variant.name, &measurement.name), &event)),
        });
        let (before, lasts) = (event.calls().before, event.lasts());
        let ns = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        events.push(EventSummary {
            measurement: measurement.name.clone(),
            kind: match event {
                Event::Rollover(_) => EventKind::Rollover,
                Event::Outage(_) => EventKind::Outage,
            },
            what: describe(&event),
            begins_ns: ns(before),
            ends_ns: ns(before + lasts),
            length_ns: ns(event.length()),
            bin_ns: ns(event.calls().bin),
            cases: cases.collect(),
        });
    }
    events
}

fn add_up(results: &[&TimelineResult], event: &Event) -> Cell<EventCalls> {
    if let Some(reason) = results.iter().find_map(|result| result.not_applicable.as_ref()) {
        return Cell::blank(reason.clone());
    }
    let Some(first) = results.first() else { return Cell::blank("no trial reached its end") };
    let mut bins = vec![TimelineBin::default(); results.iter().map(|result| result.bins.len()).max().unwrap_or(0)];
    for result in results {
        for (sum, bin) in bins.iter_mut().zip(&result.bins) {
            *sum = sum.plus(bin);
        }
    }
    let all = |bins: &[TimelineBin]| bins.iter().fold(TimelineBin::default(), |sum, bin| sum.plus(bin));
    let during = all(within(&bins, first.bin_ns, event));
    let harmed = || results.iter().filter_map(|result| result.harmed_ns);
    let harmed_ns = harmed().map(|(first, _)| first).min().zip(harmed().map(|(_, last)| last).max());
    let lasts = u64::try_from(event.lasts().as_nanos()).unwrap_or(u64::MAX);
    let mut latency_p90_ns = [None; 3];
    for (phase, p90) in latency_p90_ns.iter_mut().enumerate() {
        let decoded = results.iter().map(|result| result.latency[phase].decode());
        let decoded: Result<Vec<_>, _> = decoded.map(|it| it.map(|it| Distribution::from_histogram(&it))).collect();
        match decoded {
            Ok(distributions) => *p90 = Pool::new(&distributions).percentiles(&[0.9])[0],
            Err(error) => return Cell::blank(format!("the latency histogram cannot be read: {error}")),
        }
    }
    Cell::Known(EventCalls {
        trials: results.len(),
        callers: first.callers,
        dependency: first.dependency.clone(),
        total: all(&bins),
        during,
        moments: first.moments.clone(),
        bins,
        cut_off: results.iter().map(|result| result.cut_off).max().unwrap_or(0),
        harmed_ns,
        served_again_after_ns: harmed_ns.and_then(|(_, last)| last.checked_sub(lasts)).filter(|after| *after > 0),
        ended: results.iter().map(|result| result.ended).sum(),
        lived_on_ns: results.iter().filter_map(|result| result.lived_on_ns).max(),
        still_accepted: results.iter().map(|result| result.still_accepted).sum(),
        latency_p90_ns,
    })
}

/// The spans that lie within the event from their begin to their end.
fn within<'b>(bins: &'b [TimelineBin], bin_ns: u64, event: &Event) -> &'b [TimelineBin] {
    let bin = u128::from(bin_ns.max(1));
    let begins = event.calls().before;
    let end = ((begins + event.lasts()).as_nanos() / bin) as usize;
    let begin = begins.as_nanos().div_ceil(bin) as usize;
    let end = end.min(bins.len());
    &bins[begin.min(end)..end]
}

/// What happens, in words.
fn describe(event: &Event) -> String {
    let time = |time: Duration| duration(time.as_nanos() as f64);
    match event {
        Event::Outage(plan) => {
            let fault = match plan.fault {
                Fault::Slow(by) => format!("{} slower", time(by)),
                Fault::Down => "down".to_owned(),
                Fault::Flapping(turn) => format!("down and up by turns of {}", time(turn)),
            };
            format!("{fault} for {}", time(plan.lasts))
        }
        Event::Rollover(plan) => {
            let overlap = match plan.overlap {
                none if none.is_zero() => "no overlap".to_owned(),
                overlap => format!("overlap {}", time(overlap)),
            };
            let lead = match plan.lead {
                none if none.is_zero() => String::new(),
                lead => format!("published {} before it signs, ", time(lead)),
            };
            format!("new {}: {lead}taken over within {}, {overlap}", plan.of.name(), time(plan.adoption))
        }
    }
}

impl EventCalls {
    /// The moment at which something happened.
    pub(crate) fn moment(&self, what: Happening) -> Option<u64> {
        self.moments.iter().find(|moment| moment.what == what).map(|moment| moment.at_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{CallsPlan, OutagePlan};

    #[test]
    fn spans_that_the_event_only_touches_do_not_count_as_within() {
        const MS: Duration = Duration::from_millis(1);
        let within = |before: u32, lasts: u32| {
            let calls = CallsPlan { callers: 1, interval: MS, before: MS * before, after: 100 * MS, bin: 100 * MS };
            let event = Event::Outage(OutagePlan { calls, fault: Fault::Down, lasts: MS * lasts, revoked: 0 });
            let bins: Vec<_> = (0..6).map(|n| TimelineBin { accepted: n, ..TimelineBin::default() }).collect();
            super::within(&bins, 100_000_000, &event).iter().map(|bin| bin.accepted).collect::<Vec<_>>()
        };
        assert_eq!(within(200, 200), [2, 3]);
        assert_eq!(within(150, 200), [2], "half of the first and of the last span lie outside");
        assert_eq!(within(110, 50), Vec::<u64>::new());
        assert_eq!(within(300, 9_000), [3, 4, 5], "a line that was cut short");
    }
}
