//! Figures against swept values: a line per family, a panel for each set of circumstances.

use plotters::prelude::DrawingBackend;
use plotters::style::RGBColor;

use super::added::apart;
use super::axis::{self, Scale};
use super::canvas::{
    Align, Canvas, Drawn, DrawnAs, GRID, INK, MUTED, NORMAL, Point, RULE, SMALL, WIDTH, colour, text_width,
};
use crate::plan::Metric;
use crate::report::summary::{SweepLine, SweepPanel, SweepSummary};
use crate::report::sweep::{position, tick, words};
use crate::stats::{Spacing, interpolate};

const LEFT: f64 = 84.0;
const TOP: f64 = 52.0;
const PLOT_HEIGHT: f64 = 300.0;
/// Below the plot: ticks and the axis title.
const AXIS: f64 = 52.0;
/// Points keep this distance from the ends of the axis.
const INSET: f64 = 12.0;
/// Width between 0 and the first value over 0 on a logarithmic axis.
const ZERO_STRETCH: f64 = 90.0;

/// From this ratio of the largest to the smallest figure on, a linear axis would hide the small ones.
const LOG_FROM: f64 = 30.0;

/// Differences below this are not told apart on a logarithmic axis, as in the figure of added latency by percentile.
const FLOOR_NS: f64 = 1_000.0;

/// Strokes of lines of the same method: dashes and gaps in logical pixels; the first is unbroken.
pub(super) const STROKES: [&[f64]; 4] = [&[], &[9.0, 4.0], &[2.5, 3.5], &[9.0, 3.0, 2.5, 3.0]];

/// Height of the figure.
pub(super) fn height(sweep: &SweepSummary) -> f64 {
    sweep.panels.len() as f64 * (TOP + PLOT_HEIGHT + AXIS)
}

/// Positions to pixels.
struct Across {
    scale: Scale,
    /// On a logarithmic axis with a 0: the first value over it, and the linear stretch up to there.
    zero: Option<(f64, Scale)>,
    left: f64,
    right: f64,
}

impl Across {
    fn new(spacing: Spacing, places: &[f64], left: f64, right: f64) -> Self {
        let least = places.iter().copied().fold(f64::INFINITY, f64::min);
        let most = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (from, to) = (left + INSET, right - INSET);
        let positive = places.iter().copied().filter(|place| *place > 0.0).fold(f64::INFINITY, f64::min);
        let (scale, zero) = match spacing {
            Spacing::Linear => (Scale::linear(least, most, from, to), None),
            Spacing::Logarithmic if least > 0.0 => (Scale::log(least, most, from, to), None),
            Spacing::Logarithmic => (
                Scale::log(positive, most, from + ZERO_STRETCH, to),
                Some((positive, Scale::linear(0.0, positive, from, from + ZERO_STRETCH))),
            ),
        };
        Self { scale, zero, left, right }
    }

    fn at(&self, place: f64) -> f64 {
        match &self.zero {
            Some((first, stretch)) if place < *first => stretch.at(place),
            _ => self.scale.at(place),
        }
    }
}

/// Draws the panels, all on the same axes.
pub(super) fn draw<DB: DrawingBackend>(sweep: &SweepSummary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let mut places: Vec<f64> =
        sweep.panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| line.known().map(|(at, _)| at)).collect();
    places.sort_unstable_by(f64::total_cmp);
    places.dedup();
    let names = sweep.panels.iter().flat_map(|panel| &panel.lines).map(|line| text_width(&line.name, SMALL));
    let right = WIDTH - names.fold(0.0, f64::max).min(WIDTH / 3.0) - 28.0;
    let across = Across::new(sweep.spacing, &places, LEFT, right);
    let (low, high) = range(sweep);
    // A difference can be nothing or less: then a logarithmic axis begins at the floor, and what is below stands there.
    let floor = if is_difference(sweep.metric) { low.max(FLOOR_NS) } else { low };
    let log = floor > 0.0 && high / floor > LOG_FROM;
    for (i, panel) in sweep.panels.iter().enumerate() {
        let top = i as f64 * (TOP + PLOT_HEIGHT + AXIS) + TOP;
        let bottom = top + PLOT_HEIGHT;
        let up = if log {
            Scale::log(if floor > low { floor } else { low / 1.2 }, high * 1.2, bottom, top)
        } else {
            // Heights are compared with 0 unless they are far from it on both sides of a crossing.
            Scale::linear(low.min(0.0) * 1.05, (high * 1.05).max(low.min(0.0) * 1.05 + 1e-9), bottom, top)
        };
        let measure = match (log, floor > low) {
            (false, _) => "",
            (true, false) => " (logarithmic)",
            (true, true) => " (logarithmic; less than 1 µs stands at the bottom)",
        };
        frame(sweep, panel, canvas, (&across, &up), &places, measure)?;
        self::panel(sweep, panel, canvas, &across, &up)?;
    }
    Ok(())
}

fn is_difference(metric: Metric) -> bool {
    matches!(metric, Metric::LatencyAddedP50 | Metric::LatencyAddedP99)
}

/// The lowest and the highest end of an interval.
fn range(sweep: &SweepSummary) -> (f64, f64) {
    let points = sweep.panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
    let estimates = points.filter_map(|point| point.figure.known());
    estimates.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), estimate| {
        let (from, to) = estimate.interval.map_or((estimate.value, estimate.value), |it| (it.low, it.high));
        (low.min(from).min(estimate.value), high.max(to).max(estimate.value))
    })
}

/// Axes, grid and titles.
fn frame<DB: DrawingBackend>(
    sweep: &SweepSummary,
    panel: &SweepPanel,
    canvas: &Canvas<'_, DB>,
    (across, up): (&Across, &Scale),
    places: &[f64],
    heights: &str,
) -> Drawn<DB> {
    let (left, right, top, bottom) = (across.left, across.right, up.to(), up.from());
    let unit = match sweep.metric {
        Metric::Throughput | Metric::BytesSent | Metric::BytesReceived => format!(", {}", words(sweep.metric).unit),
        _ => String::new(),
    };
    canvas.text(
        &format!("{}{unit}{heights}", words(sweep.metric).title),
        (left - 62.0, top - 18.0),
        SMALL,
        Align::Left,
        MUTED,
    )?;
    if !panel.at.is_empty() {
        canvas.bold(&panel.at.join(", "), (left - 62.0, top - 36.0), NORMAL, Align::Left, INK)?;
    }
    axis::left(canvas, up, (left, right), |value| tick(sweep.metric, value))?;
    // The measured values themselves, as many as there is room to name.
    let mut free_from = f64::NEG_INFINITY;
    for place in places {
        let x = across.at(*place);
        canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, 1.0)?;
        let name = position(sweep.quantity, *place);
        let half = text_width(&name, SMALL) / 2.0;
        if x - half > free_from {
            canvas.text(&name, (x, bottom + 14.0), SMALL, Align::Centre, MUTED)?;
            free_from = x + half + 8.0;
        }
    }
    let measure = match (sweep.spacing, &across.zero) {
        (Spacing::Linear, _) => String::new(),
        (Spacing::Logarithmic, None) => " (logarithmic)".to_owned(),
        (Spacing::Logarithmic, Some((first, _))) => {
            format!(" (linear up to {}, logarithmic beyond)", position(sweep.quantity, *first))
        }
    };
    let title = format!("{}{measure}", sweep.key);
    canvas.text(&title, (f64::midpoint(left, right), bottom + 34.0), SMALL, Align::Centre, MUTED)?;
    canvas.line(&[(left, top), (left, bottom), (right, bottom)], RULE, 1.0, 1.0)
}

/// Lines, crossings and names.
fn panel<DB: DrawingBackend>(
    sweep: &SweepSummary,
    panel: &SweepPanel,
    canvas: &Canvas<'_, DB>,
    across: &Across,
    up: &Scale,
) -> Drawn<DB> {
    let mut ends: Vec<(&SweepLine, RGBColor, Point)> = Vec::new();
    let mut of_method: Vec<&str> = Vec::new();
    for line in &panel.lines {
        let before = of_method.iter().filter(|method| **method == line.method).count();
        of_method.push(&line.method);
        let ink = colour(&line.method);
        let stroke = STROKES[before % STROKES.len()];
        let end = if line.is_constant() {
            constant(canvas, line, across, up, (ink, stroke))?
        } else {
            varying(sweep.spacing, canvas, line, (across, up), (ink, stroke))?
        };
        ends.extend(end.map(|end| (line, ink, end)));
    }
    crossing_marks(sweep, panel, canvas, across, up)?;
    ends.sort_by(|a, b| a.2.1.total_cmp(&b.2.1));
    let wanted: Vec<f64> = ends.iter().map(|(_, _, (_, y))| *y).collect();
    for ((line, ink, (x, y)), label) in ends.iter().zip(apart(&wanted, 14.0, (up.to(), up.from()))) {
        canvas.line(&[(x + 4.0, *y), (across.right + 8.0, label)], *ink, 1.0, 0.5)?;
        canvas.text(&line.name, (across.right + 12.0, label), SMALL, Align::Left, INK)?;
    }
    Ok(())
}

/// A variant that the sweep does not touch: a flat line in its interval.
fn constant<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    line: &SweepLine,
    across: &Across,
    up: &Scale,
    (ink, stroke): (RGBColor, &[f64]),
) -> DrawnAs<DB, Option<Point>> {
    let Some(estimate) = line.points.iter().find_map(|point| point.figure.known()) else { return Ok(None) };
    let y = up.at(estimate.value);
    if let Some(interval) = estimate.interval {
        let (low, high) = (up.at(interval.low), up.at(interval.high));
        canvas.rect((across.left, high.min(low)), (across.right, high.max(low)), ink, 0.12)?;
    }
    canvas.stroked(&[(across.left, y), (across.right, y)], ink, 1.5, stroke)?;
    Ok(Some((across.right, y)))
}

/// A line through its points, each with its interval.
fn varying<DB: DrawingBackend>(
    spacing: Spacing,
    canvas: &Canvas<'_, DB>,
    line: &SweepLine,
    (across, up): (&Across, &Scale),
    (ink, stroke): (RGBColor, &[f64]),
) -> DrawnAs<DB, Option<Point>> {
    // Where heights are logarithmic, what is straight is drawn bent.
    let pieces = if up.is_log() { 16 } else { 1 };
    let known: Vec<(f64, f64)> = line.known().map(|(at, estimate)| (at, estimate.value)).collect();
    let mut path: Vec<Point> = Vec::new();
    for pair in known.windows(2) {
        for piece in 0..=pieces {
            let at = spacing.between(f64::from(piece) / f64::from(pieces), pair[0].0, pair[1].0);
            let height = interpolate(pair, at.clamp(pair[0].0, pair[1].0), spacing).unwrap_or(pair[1].1);
            path.push((across.at(at), up.at(height)));
        }
    }
    canvas.stroked(&path, ink, 2.0, stroke)?;
    for (at, estimate) in line.known() {
        let x = across.at(at);
        if let Some(interval) = estimate.interval {
            canvas.line(&[(x, up.at(interval.low)), (x, up.at(interval.high))], ink, 1.5, 0.8)?;
        }
        canvas.mark(&line.method, (x, up.at(estimate.value)), 4.0, 1.0)?;
    }
    Ok(known.last().map(|(at, height)| (across.at(*at), up.at(*height))))
}

/// Each crossing with a line down to the axis, and its interval as a bar there.
fn crossing_marks<DB: DrawingBackend>(
    sweep: &SweepSummary,
    panel: &SweepPanel,
    canvas: &Canvas<'_, DB>,
    across: &Across,
    up: &Scale,
) -> Drawn<DB> {
    let bottom = up.from();
    let mut drawn = 0.0;
    for pair in &panel.crossings {
        let line = panel.lines.iter().find(|line| line.name == pair.first && !line.is_constant());
        let line = line.or_else(|| panel.lines.iter().find(|line| line.name == pair.second));
        let known: Vec<(f64, f64)> =
            line.into_iter().flat_map(SweepLine::known).map(|(at, estimate)| (at, estimate.value)).collect();
        for crossing in &pair.crossings.found {
            let Some(height) = interpolate(&known, crossing.at, sweep.spacing) else { continue };
            let (x, y) = (across.at(crossing.at), up.at(height));
            canvas.dashed((x, y), (x, bottom), INK)?;
            canvas.mark("none", (x, y), 3.0, 1.0)?;
            if let Some(interval) = crossing.interval {
                // One above the other, so that none hides another.
                let bar = bottom - 3.0 - drawn;
                let low = interval.low.map_or(across.left, |low| across.at(low));
                let high = interval.high.map_or(across.right, |high| across.at(high));
                canvas.line(&[(low, bar), (high, bar)], INK, 2.0, 0.7)?;
                drawn += 4.0;
            }
        }
    }
    Ok(())
}
