//! Added latency by percentile: a panel per method, so that a dozen lines stay readable.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, GRID, INK, MUTED, NORMAL, RULE, SMALL, WIDTH, colour, text_width};
use crate::cell::{Cell, Estimate};
use crate::report::claims::METHODS;
use crate::report::format::{number, signed, times};
use crate::report::headline::list;
use crate::report::rank::Ranking;
use crate::report::summary::{AddedLatency, CurvePoint, Summary, VariantSummary};

const COLUMNS: usize = 2;
const PANEL: f64 = 236.0;
const PLOT_TOP: f64 = 30.0;
const PLOT_HEIGHT: f64 = 152.0;
const MARGIN: f64 = 56.0;
const GAP: f64 = 4.0;
/// Distance between two names.
const APART: f64 = 14.0;
/// How much wider than plain text bold text is, at most.
const BOLD: f64 = 1.1;

/// Added latency below this is not drawn: it is under what the client's clock and the kernel's wake-ups resolve.
const FLOOR_NS: f64 = 1_000.0;

/// Percentiles with a grid line, as the share beyond.
const TAILS: [(f64, &str); 5] = [(0.5, "p50"), (0.1, "p90"), (0.01, "p99"), (0.001, "p99.9"), (0.0001, "p99.99")];

fn curve(variant: &VariantSummary) -> Option<&[CurvePoint]> {
    variant.latency.known()?.latency_added_curve.known().map(Vec::as_slice).filter(|points| !points.is_empty())
}

fn added(point: &CurvePoint) -> f64 {
    point.latency_ns - point.baseline_ns
}

/// Methods that have curves, with the title of their panel.
fn panels(summary: &Summary) -> Vec<(&'static str, &'static str)> {
    let has = |method: &str| summary.compared().any(|variant| variant.method == method && curve(variant).is_some());
    let shown = METHODS.into_iter().chain([("signed", "Signed requests")]);
    shown.filter(|(method, _)| has(method)).collect()
}

/// Whether any variant has a curve, and all have room.
pub(super) fn has_data(summary: &Summary) -> bool {
    let panels = panels(summary);
    // The points of a sweep can be more than a panel has room to name; they have a figure of their own.
    let of = |method: &str| summary.compared().filter(|variant| variant.method == method).count();
    !panels.is_empty() && panels.iter().all(|(method, _)| of(method) as f64 * APART <= PLOT_HEIGHT)
}

/// Height of the figure.
pub(super) fn height(summary: &Summary) -> f64 {
    panels(summary).len().div_ceil(COLUMNS) as f64 * PANEL
}

/// Draws the panels.
pub(super) fn draw<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let values: Vec<f64> =
        summary.compared().filter_map(curve).flatten().map(added).filter(|ns| *ns >= FLOOR_NS).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min).clamp(FLOOR_NS, 1e9);
    let high = values.iter().copied().fold(0.0, f64::max).max(low * 10.0);
    let thinnest = summary.compared().filter_map(curve).flatten().map(|point| point.tail).fold(0.1, f64::min);
    let width = WIDTH / COLUMNS as f64;
    let names = summary.compared().map(|variant| text_width(&label(variant), SMALL));
    let labels = names.fold(0.0, f64::max) + 20.0;
    for (i, (method, title)) in panels(summary).into_iter().enumerate() {
        let (x, y) = ((i % COLUMNS) as f64 * width, (i / COLUMNS) as f64 * PANEL);
        let across = Scale::log(0.5, thinnest, x + MARGIN, x + width - labels - GAP);
        let up = Scale::log(low * 0.8, high * 1.25, y + PLOT_TOP + PLOT_HEIGHT, y + PLOT_TOP);
        panel(summary, canvas, (method, title), &across, &up)?;
    }
    Ok(())
}

fn panel<DB: DrawingBackend>(
    summary: &Summary,
    canvas: &Canvas<'_, DB>,
    (method, title): (&str, &str),
    across: &Scale,
    up: &Scale,
) -> Drawn<DB> {
    let (left, right, top, bottom) = (across.from(), across.to(), up.to(), up.from());
    canvas.bold(title, (left, top - 14.0), NORMAL, Align::Left, colour(method))?;
    let beside = left + text_width(title, NORMAL) * BOLD + 10.0;
    canvas.text("latency added to none", (beside, top - 14.0), SMALL, Align::Left, MUTED)?;
    axis::left(canvas, up, (left, right), axis::time)?;
    let thinnest = summary.compared().filter_map(curve).flatten().map(|point| point.tail).fold(0.1, f64::min);
    for (tail, name) in TAILS.iter().filter(|(tail, _)| *tail >= thinnest * 0.999) {
        let x = across.at(*tail);
        canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, 1.0)?;
        canvas.text(name, (x, bottom + 12.0), SMALL, Align::Centre, MUTED)?;
    }
    canvas.text("percentile of latency", (f64::midpoint(left, right), bottom + 29.0), SMALL, Align::Centre, MUTED)?;
    canvas.line(&[(left, top), (left, bottom), (right, bottom)], RULE, 1.0, 1.0)?;
    // The other methods in pale lines: where this one stands among all.
    for variant in summary.compared().filter(|variant| variant.method != method) {
        strokes(canvas, variant, across, up, (RULE, 1.0))?;
    }
    let mut ends = Vec::new();
    for variant in summary.compared().filter(|variant| variant.method == method) {
        strokes(canvas, variant, across, up, (colour(method), 2.0))?;
        let last = curve(variant).and_then(|points| points.iter().rfind(|point| added(point) >= FLOOR_NS));
        let end = last.map(|point| (across.at(point.tail), up.at(added(point))));
        ends.push((variant, end));
    }
    labels(canvas, method, &mut ends, (right, top, bottom))
}

/// The variant's curve, interrupted where nothing measurable is added.
fn strokes<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    variant: &VariantSummary,
    across: &Scale,
    up: &Scale,
    (colour, width): (plotters::style::RGBColor, f64),
) -> Drawn<DB> {
    let points = curve(variant).unwrap_or_default();
    for piece in points.split(|point| added(point) < FLOOR_NS).filter(|piece| !piece.is_empty()) {
        let line: Vec<_> = piece.iter().map(|point| (across.at(point.tail), up.at(added(point)))).collect();
        canvas.line(&line, colour, width, 1.0)?;
    }
    Ok(())
}

/// Names at the ends of the lines, moved apart so that none covers another.
fn labels<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    method: &str,
    ends: &mut [(&VariantSummary, Option<(f64, f64)>)],
    (right, top, bottom): (f64, f64, f64),
) -> Drawn<DB> {
    // A variant that adds nothing measurable is named at the floor.
    let height = |end: &Option<(f64, f64)>| end.map_or(bottom, |(_, y)| y);
    ends.sort_by(|a, b| height(&a.1).total_cmp(&height(&b.1)));
    let wanted: Vec<f64> = ends.iter().map(|(_, end)| height(end)).collect();
    for ((variant, end), y) in ends.iter().zip(apart(&wanted, APART, (top, bottom))) {
        if let Some((x, end_y)) = end {
            canvas.line(&[(x + 2.0, *end_y), (right + 10.0, y)], colour(method), 1.0, 0.5)?;
            canvas.mark(method, (*x, *end_y), 3.0, 1.0)?;
        }
        canvas.text(&label(variant), (right + 14.0, y), SMALL, Align::Left, INK)?;
    }
    Ok(())
}

/// The variant's name, with a remark when it has no line.
fn label(variant: &VariantSummary) -> String {
    match curve(variant) {
        Some(points) if points.iter().all(|point| added(point) < FLOOR_NS) => format!("{} (< 1 µs)", variant.name),
        Some(_) => variant.name.clone(),
        None => format!("{} (no data)", variant.name),
    }
}

/// Places as near as possible (in the sense of least squares) to the ascending wanted ones, but `distance` apart and
/// between the limits: those that are too near form a block, and a block sits at the mean of what its members want.
pub(super) fn apart(wanted: &[f64], distance: f64, (top, bottom): (f64, f64)) -> Vec<f64> {
    let room = |n: usize| (n - 1) as f64 * distance;
    // First place and number of members of each block.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for want in wanted {
        let mut block = (*want, 1);
        while let Some((before, n)) = blocks.pop_if(|(before, n)| *before + room(*n) + distance > block.0) {
            let moved = block.0 - n as f64 * distance;
            block = ((before * n as f64 + moved * block.1 as f64) / (n + block.1) as f64, n + block.1);
        }
        let highest = (bottom - room(block.1)).max(top);
        blocks.push((block.0.clamp(top, highest), block.1));
    }
    blocks.iter().flat_map(|(first, n)| (0..*n).map(move |i| first + i as f64 * distance)).collect()
}

/// What to read from it.
pub(super) fn caption(summary: &Summary) -> String {
    let ranking = |figure: fn(&AddedLatency) -> &Cell<Estimate>| {
        Ranking::new(summary, 0.0, move |variant| {
            let added = *figure(&variant.latency.known()?.latency_added_ns).known()?;
            Some((added, Some(added)))
        })
    };
    let (median, tail) = (ranking(|added| &added.p50), ranking(|added| &added.p99));
    let mut text = String::new();
    if let (Some(least), Some(most)) = (median.first(), median.last()) {
        let nothing: Vec<&str> = median
            .entries
            .iter()
            .filter(|entry| median.is_neutral(entry))
            .map(|entry| entry.variant.name.as_str())
            .collect();
        text = if nothing.is_empty() {
            format!("At the median least is added by {} ({})", least.named(), signed(least.value))
        } else {
            format!("At the median what {} adds cannot be told from nothing", list(&nothing))
        };
        text += &format!(" and most is added by {} ({}).", most.named(), signed(most.value));
    }
    if let (Some(worst), Some(group)) = (tail.entries.last(), tail.last()) {
        if tail.is_neutral(worst) {
            text += " At the 99th percentile what is added cannot be told from nothing.";
        } else {
            let median = median.entries.iter().find(|entry| entry.variant.name == worst.variant.name);
            let growth = median.map(|entry| worst.shown.value / entry.shown.value);
            let growth = growth
                .filter(|growth| group.is_one() && *growth > 0.0)
                .map_or_else(String::new, |growth| format!(", {} times its median", times(growth)));
            text += &format!(
                " At the 99th percentile most is added by {} ({}{growth}).",
                group.named(),
                signed(group.value)
            );
        }
    }
    text += " Percentile of the variant minus the same percentile of the baseline, both from the intended time. A flat \
             line is a constant price; a line that rises is a price that some requests pay for others. Pale lines are the \
             other methods; differences under 1 µs are not drawn, and a line ends where fewer than 10 samples lie beyond.";
    let slow: Vec<String> = summary
        .compared()
        .filter_map(|variant| variant.latency.known().map(|latency| (variant, latency)))
        .filter(|(_, latency)| {
            summary
                .baseline()
                .and_then(|none| none.latency.known())
                .is_some_and(|none| none.measurement != latency.measurement)
        })
        .map(|(variant, latency)| {
            format!("{} at {} requests per second", variant.name, number(latency.rate_per_s_requested))
        })
        .collect();
    if !slow.is_empty() {
        text += &format!(" Measured at a rate of its own, against the baseline at that rate: {}.", slow.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_keep_their_distance_and_stay_near() {
        assert_eq!(apart(&[], 10.0, (0.0, 100.0)), Vec::<f64>::new());
        assert_eq!(apart(&[20.0, 60.0], 10.0, (0.0, 100.0)), [20.0, 60.0]);
        assert_eq!(apart(&[50.0, 50.0, 50.0], 10.0, (0.0, 100.0)), [40.0, 50.0, 60.0]);
        assert_eq!(apart(&[0.0, 2.0], 10.0, (0.0, 100.0)), [0.0, 10.0]);
        assert_eq!(apart(&[99.0, 100.0], 10.0, (0.0, 100.0)), [90.0, 100.0]);
    }
}
