//! A rollover or an outage along the time: a strip per variant, of calls that were served and of those that were not, and
//! above it the calls that got in although their credential had ended.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{
    Align, Canvas, Drawn, INK, INTRUDED, MUTED, NORMAL, PAPER, RULE, SERVED, SMALL, UNSERVED, WIDTH, text_width,
};
use crate::record::{Happening, TimelineBin};
use crate::report::format::{duration, percent};
use crate::report::headline::list;
use crate::report::summary::{EventCalls, EventCase, EventKind, EventSummary};

const ROW: f64 = 44.0;
/// The legend, and what happens when.
const TOP: f64 = 52.0;
const LEFT_MIN: f64 = 150.0;
const RIGHT: f64 = WIDTH - 190.0;
const AXIS: f64 = 46.0;

/// Variants with calls.
fn rows(event: &EventSummary) -> Vec<(&EventCase, &EventCalls)> {
    event.cases.iter().filter_map(|case| Some((case, case.calls.known()?))).collect()
}

/// Whether there is anything to draw.
pub(super) fn has_data(event: &EventSummary) -> bool {
    !rows(event).is_empty()
}

/// Height of the figure.
pub(super) fn height(event: &EventSummary) -> f64 {
    TOP + rows(event).len() as f64 * ROW + AXIS
}

/// What the figure is about.
pub(super) fn title(event: &EventSummary) -> String {
    let kind = match event.kind {
        EventKind::Outage => "Outage",
        EventKind::Rollover => "Rollover",
    };
    format!("{kind} \"{}\": {}", event.measurement, event.what)
}

/// Draws the strips.
pub(super) fn draw<DB: DrawingBackend>(event: &EventSummary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let rows = rows(event);
    let names = rows.iter().map(|(case, _)| text_width(&case.variant, NORMAL) + 16.0);
    let left = names.fold(LEFT_MIN, f64::max).min(RIGHT / 2.0);
    let scale = Scale::linear(0.0, event.length_ns as f64, left, RIGHT);
    let bottom = TOP + rows.len() as f64 * ROW;
    axis::below(canvas, &scale, (TOP, bottom), "time since the first call", axis::time)?;
    legend(canvas, left)?;
    for (i, (case, calls)) in rows.iter().enumerate() {
        strip(canvas, (case, calls), event, &scale, TOP + (i as f64 + 1.0) * ROW)?;
    }
    for (at, what) in moments(event, &rows) {
        let x = scale.at(at as f64);
        canvas.dashed((x, TOP - 6.0), (x, bottom), MUTED)?;
        let align = if x > f64::midpoint(left, RIGHT) { Align::Right } else { Align::Left };
        let beside = if align == Align::Right { -3.0 } else { 3.0 };
        canvas.text(what, (x + beside, TOP - 12.0), SMALL, align, MUTED)?;
    }
    canvas.line(&[(left, TOP), (left, bottom)], RULE, 1.0, 1.0)
}

/// When it begins and ends: the plan's, which is the same for all variants.
fn moments(event: &EventSummary, rows: &[(&EventCase, &EventCalls)]) -> Vec<(u64, &'static str)> {
    match event.kind {
        EventKind::Outage => vec![(event.begins_ns, "begins"), (event.ends_ns, "ends")],
        EventKind::Rollover => {
            let old = rows.iter().find_map(|(_, calls)| calls.moment(Happening::OldEnds));
            // Labels that close to each other would be one upon the other.
            match old.filter(|old| old.abs_diff(event.begins_ns) > event.length_ns / 6) {
                Some(old) => vec![(event.begins_ns, "new is there"), (old, "old ends")],
                None => vec![(event.begins_ns, "new replaces old")],
            }
        }
    }
}

fn legend<DB: DrawingBackend>(canvas: &Canvas<'_, DB>, left: f64) -> Drawn<DB> {
    let mut x = left;
    for (colour, text) in [(SERVED, "served"), (UNSERVED, "not served"), (INTRUDED, "let in after its end")] {
        canvas.rect((x, 8.0), (x + 10.0, 18.0), colour, 1.0)?;
        canvas.text(text, (x + 15.0, 13.0), SMALL, Align::Left, INK)?;
        x += text_width(text, SMALL) + 38.0;
    }
    Ok(())
}

/// The height of a bin's bar is its calls of good standing, relative to the busiest bin of the variant.
fn strip<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    (case, calls): (&EventCase, &EventCalls),
    event: &EventSummary,
    scale: &Scale,
    bottom: f64,
) -> Drawn<DB> {
    let due = |bin: &TimelineBin| bin.accepted + bin.not_served();
    let others = |bin: &TimelineBin| bin.wrongly_accepted + bin.rightly_refused;
    // The first and the last span may be cut short; the others hold as many calls, but for rounding.
    let most = calls.bins.iter().map(due).max().unwrap_or(0).max(1) as f64;
    let most_others = calls.bins.iter().map(others).max().unwrap_or(0).max(1) as f64;
    let (full, above) = (ROW * 0.5, ROW * 0.3);
    let base = bottom - 4.0;
    for (number, bin) in calls.bins.iter().enumerate() {
        let from = scale.at(number as f64 * event.bin_ns as f64);
        let to = scale.at((number + 1) as f64 * event.bin_ns as f64);
        let served = base - full * bin.accepted as f64 / most;
        let not_served = served - full * bin.not_served() as f64 / most;
        for (top, bottom, colour) in [(served, base, SERVED), (not_served, served, UNSERVED)] {
            if top < bottom {
                canvas.rect((from, top), (to, bottom), colour, 1.0)?;
            }
        }
        if bin.wrongly_accepted > 0 {
            let foot = base - full - 2.0;
            let top = foot - (above * bin.wrongly_accepted as f64 / most_others).max(2.0);
            canvas.rect((from, top), (to, foot), INTRUDED, 1.0)?;
        }
    }
    canvas.line(&[(scale.from(), base), (scale.to(), base)], PAPER, 0.5, 1.0)?;
    let middle = base - full / 2.0;
    canvas.text(&case.variant, (scale.from() - 8.0, middle), NORMAL, Align::Right, INK)?;
    let share =
        calls.served_share().map_or_else(|| "nothing due".to_owned(), |share| format!("{} served", percent(share)));
    canvas.text(&share, (scale.to() + 10.0, middle - 7.0), SMALL, Align::Left, INK)?;
    let let_in = match calls.lived_on_ns {
        Some(_) if calls.still_accepted > 0 => format!("{} let in, to the end", calls.total.wrongly_accepted),
        Some(ns) => format!("{} let in, up to {}", calls.total.wrongly_accepted, duration(ns as f64)),
        None if calls.ended > 0 => "nobody let in".to_owned(),
        None => String::new(),
    };
    let colour = if calls.lived_on_ns.is_some() { INK } else { MUTED };
    canvas.text(&let_in, (scale.to() + 10.0, middle + 7.0), SMALL, Align::Left, colour)
}

/// What to read from it.
pub(super) fn caption(event: &EventSummary) -> String {
    let rows = rows(event);
    let named = |fits: &dyn Fn(&EventCalls) -> bool| -> Vec<&str> {
        rows.iter().filter(|(_, calls)| fits(calls)).map(|(case, _)| case.variant.as_str()).collect()
    };
    let untouched = named(&|calls| calls.harmed_ns.is_none());
    let let_in = named(&|calls| calls.lived_on_ns.is_some());
    let mut text = if untouched.is_empty() {
        "No variant served all of its callers.".to_owned()
    } else {
        format!("All callers were served with {}.", list(&untouched))
    };
    text += &if rows.iter().all(|(_, calls)| calls.ended == 0) {
        String::new()
    } else if let_in.is_empty() {
        " No credential was accepted after its end.".to_owned()
    } else {
        format!(" Credentials that had ended were still accepted with {}.", list(&let_in))
    };
    text += " The bars are the calls with a good credential that were due in each span, by what became of them; the bars above \
             them are calls with a credential that had ended and that were accepted all the same.";
    for case in &event.cases {
        if let Some(reason) = case.calls.reason() {
            text += &format!(" Not shown: {} ({reason}).", case.variant);
        }
    }
    text
}
