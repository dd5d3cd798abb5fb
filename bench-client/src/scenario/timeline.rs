//! `kind = "rollover"` and `kind = "outage"`.

use std::time::Duration;

use super::document::Value;
use super::reader::Section;
use super::value::{duration, duration_in, one_of, positive, show, whole};
use crate::plan::{CallsPlan, Fault, OutagePlan, RolloverOf, RolloverPlan};

const ROLLOVERS: &[(&str, RolloverOf)] = &[("credential", RolloverOf::Credential), ("key", RolloverOf::Key)];

/// More callers would each need a TLS client of their own, and no one would look at another picture for it.
const CALLERS_MAX: usize = 2_000;

/// Shorter intervals would make callers late, and with them the figures.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// No shorter than what the client can tell apart, no longer than what a reader can.
const BIN: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(10);
const DEFAULT_BIN: Duration = Duration::from_millis(200);

/// Longer than this nobody waits for a run.
const LONGEST: Duration = Duration::from_secs(600);

fn read_calls(section: &mut Section<'_>) -> Option<CallsPlan> {
    let callers = section.required("callers", "50", whole(1..=CALLERS_MAX));
    let interval = section.required("interval", "\"250ms\"", duration_in(INTERVAL_MIN..=Duration::from_secs(60)));
    let before = section.required("before", "\"2s\"", duration_in(DEFAULT_BIN..=LONGEST));
    let after = section.required("after", "\"5s\"", duration_in(DEFAULT_BIN..=LONGEST));
    let bin = section.or("bin", DEFAULT_BIN, duration_in(BIN));
    Some(CallsPlan { callers: callers?, interval: interval?, before: before?, after: after?, bin })
}

/// Reads the settings of a rollover.
pub(super) fn read_rollover(section: &mut Section<'_>) -> Option<RolloverPlan> {
    let calls = read_calls(section);
    let of = section.required("of", "\"credential\"", one_of(ROLLOVERS));
    let lead = section.or("lead", Duration::ZERO, duration);
    if of == Some(RolloverOf::Credential) && section.has("lead") {
        section
            .error("lead", "lead is for keys that are published before they sign; leave it out, or write of = \"key\"");
    }
    let adoption = section.required("adoption", "\"4s\"", positive);
    let overlap = section.required("overlap", "\"6s\"", duration);
    Some(RolloverPlan { calls: calls?, of: of?, lead, adoption: adoption?, overlap: overlap? })
}

/// Reads the settings of an outage.
pub(super) fn read_outage(section: &mut Section<'_>) -> Option<OutagePlan> {
    let calls = read_calls(section);
    let fault = read_fault(section);
    let lasts = section.required("lasts", "\"10s\"", positive);
    let revoked = section.or("revoked", 0, whole(0..=CALLERS_MAX));
    if let (Some(Fault::Flapping(turn)), Some(lasts)) = (fault, lasts)
        && turn * 2 > lasts
    {
        let (turn, lasts) = (show(turn), show(lasts));
        section.error("fault", format!("fault: a turn of {turn} does not come back within {lasts}; shorten it"));
    }
    if let Some(calls) = calls.as_ref().filter(|calls| revoked >= calls.callers) {
        let callers = calls.callers;
        section.error("revoked", format!("revoked is {revoked} of {callers} callers; leave some to be served"));
    }
    Some(OutagePlan { calls: calls?, fault: fault?, lasts: lasts?, revoked })
}

/// `"down"`, `{ slow = "100ms" }` or `{ flapping = "1s" }`.
fn read_fault(section: &mut Section<'_>) -> Option<Fault> {
    let is_table = |value: &Value| matches!(value, Value::Table(_));
    if section.optional("fault", |value| Ok(is_table(value))) != Some(true) {
        return section.required("fault", "\"down\"", |value| {
            one_of(&[("down", Fault::Down)])(value)
                .map_err(|_| "write \"down\", { slow = \"100ms\" } or { flapping = \"1s\" }".to_owned())
        });
    }
    let mut table = section.table("fault")?;
    let slow = table.optional("slow", positive).map(Fault::Slow);
    let flapping = table.optional("flapping", positive).map(Fault::Flapping);
    let (has_slow, has_flapping) = (table.has("slow"), table.has("flapping"));
    table.finish();
    if has_slow == has_flapping {
        section.error("fault", "fault: write one of { slow = \"100ms\" } and { flapping = \"1s\" }, or \"down\"");
        return None;
    }
    slow.or(flapping)
}
