//! Every revocation window, a strip per variant.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, GRID, INK, MUTED, NORMAL, RULE, SMALL, WIDTH, colour};
use crate::report::format::{bracket, duration};
use crate::report::headline::{Revoked, alike, list, longest, named, widest};
use crate::report::summary::{RevocationSummary, Summary, VariantSummary};

const ROW: f64 = 32.0;
const TOP: f64 = 14.0;
const LEFT: f64 = 178.0;
const RIGHT: f64 = WIDTH - 172.0;
const AXIS: f64 = 46.0;

/// Variants with windows, the longest last.
pub(super) fn rows(summary: &Summary) -> Vec<Revoked<'_>> {
    let mut rows: Vec<Revoked<'_>> =
        summary.variants.iter().filter_map(|variant| Some((variant, variant.revocation.known()?))).collect();
    rows.sort_by(|a, b| longest(a.1).total_cmp(&longest(b.1)));
    rows
}

/// Height of the figure.
pub(super) fn height(summary: &Summary) -> f64 {
    TOP + rows(summary).len() as f64 * ROW + AXIS
}

/// Draws the strips.
pub(super) fn draw<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let rows = rows(summary);
    let finest = rows.iter().map(|(_, found)| found.probe_interval_ns as f64).fold(f64::INFINITY, f64::min);
    let most = rows
        .iter()
        .flat_map(|(_, found)| &found.windows)
        .map(|window| window.high_ns.unwrap_or(window.watched_ns) as f64)
        .fold(finest * 10.0, f64::max);
    let soonest = rows
        .iter()
        .flat_map(|(_, found)| &found.windows)
        .filter_map(|window| window.high_ns)
        .fold(finest / 2.0, |soonest, high| soonest.min(high as f64));
    let scale = Scale::log((soonest / 2.0).max(1.0), most * 1.15, LEFT, RIGHT);
    let bottom = TOP + rows.len() as f64 * ROW;
    axis::below(canvas, &scale, (TOP, bottom), "time since the revocation was acknowledged (logarithmic)", axis::time)?;
    for (i, (variant, found)) in rows.iter().enumerate() {
        strip(canvas, variant, found, &scale, TOP + (i as f64 + 0.5) * ROW)?;
    }
    canvas.line(&[(LEFT, TOP), (LEFT, bottom)], RULE, 1.0, 1.0)
}

fn strip<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    variant: &VariantSummary,
    found: &RevocationSummary,
    scale: &Scale,
    y: f64,
) -> Drawn<DB> {
    let half = ROW / 2.0 - 3.0;
    canvas.text(&variant.name, (LEFT - 8.0, y), NORMAL, Align::Right, INK)?;
    // Left of the resolution nothing can be told apart.
    let floor = scale.at(found.resolution_ns.max(found.probe_interval_ns) as f64);
    canvas.rect((LEFT, y - half), (floor, y + half), GRID, 1.0)?;
    for (i, window) in found.windows.iter().enumerate() {
        let y = y + (scatter(i) - 0.5) * (2.0 * half - 8.0);
        let from = if window.low_ns == 0 { LEFT } else { scale.at(window.low_ns as f64) };
        match window.high_ns {
            Some(high) => {
                let to = scale.at(high as f64);
                canvas.line(&[(from, y), (to, y)], colour(&variant.method), 1.0, 0.45)?;
                canvas.mark(&variant.method, (to, y), 3.0, 0.75)?;
            }
            None => canvas.onward((scale.at(window.watched_ns as f64), y), 4.5, colour(&variant.method))?,
        }
    }
    let text = match found.still_accepted {
        0 => format!("longest {}", bracket(&found.max)),
        open => format!("{open} of {} still accepted", found.revoked),
    };
    canvas.text(&text, (RIGHT + 14.0, y), SMALL, Align::Left, if found.still_accepted > 0 { INK } else { MUTED })
}

/// A height between 0 and 1 for the mark of that number, so that equal windows stay visible: van der Corput's sequence,
/// which fills the strip evenly and follows no trend of the windows.
fn scatter(i: usize) -> f64 {
    let reversed = u32::try_from(i).unwrap_or(0).reverse_bits();
    f64::from(reversed) / f64::from(u32::MAX)
}

/// What to read from it.
pub(super) fn caption(summary: &Summary) -> String {
    let rows = rows(summary);
    let (Some((_, short)), Some((_, long))) = (rows.first(), rows.last()) else { return String::new() };
    let at_once: Vec<&str> = rows
        .iter()
        .filter(|(_, found)| found.still_accepted == 0 && found.max.low_ns < 2.0 * found.probe_interval_ns as f64)
        .map(|(variant, _)| variant.name.as_str())
        .collect();
    let mut text = if at_once.is_empty() {
        format!(
            "No variant refuses a revoked credential at once; the shortest of the longest windows is {}.",
            bracket(&widest(&alike(&rows, short)).max)
        )
    } else {
        format!(
            "{} refuse{} a revoked credential at once, as far as the probes can tell.",
            list(&at_once),
            if at_once.len() == 1 { "s" } else { "" }
        )
    };
    let open: Vec<&str> =
        rows.iter().filter(|(_, found)| found.still_accepted > 0).map(|(variant, _)| variant.name.as_str()).collect();
    if open.is_empty() {
        text += &format!(" They live on longest with {} ({}).", named(&alike(&rows, long)), bracket(&long.max));
    } else {
        text += &format!(" {} still accepted revoked credentials when the watch ended (arrows).", list(&open));
    }
    let finest = rows.iter().map(|(_, found)| found.probe_interval_ns).min().unwrap_or(0) as f64;
    text += &format!(
        " Each mark is one credential: its first rejection, with a line back to its last acceptance. The grey field is \
         what probes every {} or more cannot resolve. Windows scale with the setting that bounds them: cache lifetime, \
         polling interval, token lifetime.",
        duration(finest)
    );
    let blank: Vec<&str> = summary
        .compared()
        .filter(|variant| variant.revocation.known().is_none())
        .map(|variant| variant.name.as_str())
        .collect();
    if !blank.is_empty() {
        text += &format!(" Not shown, for want of windows: {}.", list(&blank));
    }
    text
}
