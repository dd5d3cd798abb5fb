//! What a rollover or an outage did, in a sentence each.

use super::list;
use crate::report::format::{duration, percent};
use crate::report::summary::{EventCalls, EventCase, EventKind, EventSummary, Summary};

/// One sentence for each rollover and outage that was measured.
pub(super) fn sentences(summary: &Summary) -> impl Iterator<Item = String> {
    summary.events.iter().filter_map(sentence)
}

fn sentence(event: &EventSummary) -> Option<String> {
    let known: Vec<(&EventCase, &EventCalls)> =
        event.cases.iter().filter_map(|case| Some((case, case.calls.known()?))).collect();
    let served = |(_, calls): &&(&EventCase, &EventCalls)| calls.harmed_ns.is_none();
    let names: Vec<&str> = known.iter().filter(served).map(|(case, _)| case.variant.as_str()).collect();
    let share = |calls: &EventCalls| calls.served_share().unwrap_or(1.0);
    let (least, calls) = known.iter().min_by(|(_, a), (_, b)| share(a).total_cmp(&share(b)))?;
    let when = match event.kind {
        EventKind::Outage => format!("While what is asked is {}", event.what),
        EventKind::Rollover => format!("During a rollover ({})", event.what),
    };
    let mut text = if names.len() == known.len() {
        format!("{when}, every caller was served with every variant")
    } else {
        let least = format!("least was served with {} ({} of the calls)", least.variant, percent(share(calls)));
        match names.as_slice() {
            [] => format!("{when}, no variant served every caller; {least}"),
            names => format!("{when}, every caller was served with {}; {least}", list(names)),
        }
    };
    if known.iter().all(|(_, calls)| calls.ended == 0) {
        return Some(text + ".");
    }
    let still: Vec<&str> =
        known.iter().filter(|(_, calls)| calls.still_accepted > 0).map(|(case, _)| case.variant.as_str()).collect();
    let worst = known.iter().filter_map(|(case, calls)| Some((case, calls.lived_on_ns?))).max_by_key(|(_, ns)| *ns);
    text += &match (worst, still.as_slice()) {
        (None, _) => ". No credential was accepted after its end.".to_owned(),
        (Some((case, ns)), []) => {
            format!(". Credentials that had ended got in for longest with {} ({}).", case.variant, duration(ns as f64))
        }
        (Some(_), still) => format!(". Credentials that had ended got in until the calls ended with {}.", list(still)),
    };
    Some(text)
}
