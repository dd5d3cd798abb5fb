//! Two figures with a bar per variant: server CPU per request, and throughput relative to the baseline.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, INK, MUTED, NORMAL, RULE, SMALL, WIDTH, colour, text_width};
use crate::cell::Estimate;
use crate::report::format::{self, duration, percent};
use crate::report::headline::{handshake_aside, interval_words, times_as_much};
use crate::report::rank::Ranking;
use crate::report::summary::{Summary, VariantSummary};

const ROW: f64 = 24.0;
const TOP: f64 = 14.0;
const LEFT_MIN: f64 = 178.0;
const RIGHT: f64 = WIDTH - 150.0;
const AXIS: f64 = 46.0;

/// From this ratio of the largest to the smallest on, a linear axis would hide the small ones.
const LOG_FROM: f64 = 100.0;

/// Where bars begin: names of swept variants are long.
fn left(bars: &[Bar<'_>]) -> f64 {
    let names = bars.iter().map(|bar| text_width(&bar.variant.name, NORMAL) + 16.0);
    names.fold(LEFT_MIN, f64::max).min(RIGHT / 2.0)
}

/// A bar: the variant, its length and the text at its end.
pub(super) struct Bar<'a> {
    variant: &'a VariantSummary,
    estimate: Estimate,
    text: String,
}

/// Height of a figure with that many bars.
pub(super) fn height(bars: usize) -> f64 {
    TOP + bars as f64 * ROW + AXIS
}

/// CPU per request at saturation, ascending.
pub(super) fn cpu(summary: &Summary) -> Vec<Bar<'_>> {
    let mut bars: Vec<Bar<'_>> = summary
        .variants
        .iter()
        .filter_map(|variant| {
            let estimate = variant.cpu_at_saturation().known()?.total;
            Some(Bar { variant, estimate, text: format!("{} µs", format::estimate(&estimate, 1e3)) })
        })
        .filter(|bar| bar.estimate.value > 0.0)
        .collect();
    bars.sort_by(|a, b| a.estimate.value.total_cmp(&b.estimate.value));
    bars
}

/// Throughput relative to the baseline, descending.
pub(super) fn throughput(summary: &Summary) -> Vec<Bar<'_>> {
    let mut bars: Vec<Bar<'_>> = summary
        .compared()
        .filter_map(|variant| {
            let found = variant.throughput.known()?;
            let estimate = *found.ratio_to_baseline.known()?;
            Some(Bar {
                variant,
                estimate,
                text: format!("{} · {} req/s", percent(estimate.value), format::fixed(found.per_s.value, 0)),
            })
        })
        .collect();
    bars.sort_by(|a, b| b.estimate.value.total_cmp(&a.estimate.value));
    bars
}

fn draw<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    bars: &[Bar<'_>],
    scale: &Scale,
    reference: Option<f64>,
) -> Drawn<DB> {
    let (left, bottom) = (left(bars), TOP + bars.len() as f64 * ROW);
    if let Some(reference) = reference {
        canvas.dashed((scale.at(reference), TOP), (scale.at(reference), bottom), MUTED)?;
    }
    for (i, bar) in bars.iter().enumerate() {
        let y = TOP + (i as f64 + 0.5) * ROW;
        let end = scale.at(bar.estimate.value);
        canvas.text(&bar.variant.name, (left - 8.0, y), NORMAL, Align::Right, INK)?;
        canvas.rect((left, y - 7.0), (end.max(left + 1.0), y + 7.0), colour(&bar.variant.method), 0.8)?;
        let mut right = end;
        if let Some(interval) = bar.estimate.interval {
            let (low, high) = (scale.at(interval.low), scale.at(interval.high));
            canvas.line(&[(low, y), (high, y)], INK, 1.5, 1.0)?;
            for x in [low, high] {
                canvas.line(&[(x, y - 4.0), (x, y + 4.0)], INK, 1.5, 1.0)?;
            }
            right = right.max(high);
        }
        canvas.label(&bar.text, (right + 8.0, y), SMALL, INK)?;
    }
    canvas.line(&[(left, TOP), (left, bottom)], RULE, 1.0, 1.0)
}

/// Draws CPU per request.
pub(super) fn draw_cpu<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let bars = cpu(summary);
    let top = |bar: &Bar<'_>| bar.estimate.interval.map_or(bar.estimate.value, |interval| interval.high);
    let (Some(least), Some(most)) =
        (bars.first().map(|bar| bar.estimate.value), bars.iter().map(top).max_by(f64::total_cmp))
    else {
        return Ok(());
    };
    let log = is_log(&bars);
    let scale = if log {
        let low = 10_f64.powf((least / 1.5).log10().floor());
        Scale::log(low, most * 1.1, left(&bars), RIGHT)
    } else {
        Scale::linear(0.0, most * 1.05, left(&bars), RIGHT)
    };
    let bottom = TOP + bars.len() as f64 * ROW;
    let title =
        if log { "server CPU per request at saturation (logarithmic)" } else { "server CPU per request at saturation" };
    axis::below(canvas, &scale, (TOP, bottom), title, axis::time)?;
    // A swept server has several, and none of them is everybody's.
    let mut baselines = bars.iter().filter(|bar| bar.variant.is_baseline());
    let baseline = baselines.next().filter(|_| baselines.next().is_none()).map(|bar| bar.estimate.value);
    draw(canvas, &bars, &scale, baseline)
}

fn is_log(bars: &[Bar<'_>]) -> bool {
    match (bars.first(), bars.last()) {
        (Some(least), Some(most)) => most.estimate.value / least.estimate.value > LOG_FROM,
        _ => false,
    }
}

/// What to read from CPU per request.
pub(super) fn cpu_caption(summary: &Summary) -> String {
    let bars = cpu(summary);
    let ranking = Ranking::new(summary, 0.0, |variant| {
        let cpu = variant.cpu_at_saturation();
        let cpu = cpu.known()?;
        Some((cpu.total, cpu.added.known().copied()))
    });
    let (Some(cheap), Some(dear)) = (ranking.first(), ranking.last()) else { return String::new() };
    let mut text = format!(
        "At saturation a request costs the server least with {} ({}) and most with {} ({}{}).{}",
        cheap.named(),
        duration(cheap.value),
        dear.named(),
        duration(dear.value),
        times_as_much(&cheap, &dear),
        handshake_aside(summary, &cheap.names),
    );
    text += " User and system time of all server processes of the variant in the closed loop, divided by answered requests; \
             the dashed line is the baseline.";
    text += &format!(" Brackets are {}.", interval_words(summary));
    if is_log(&bars) {
        text += " The axis is logarithmic: equal distances are equal ratios, and the length of a bar has no meaning.";
    }
    text
}

/// Draws throughput.
pub(super) fn draw_throughput<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let bars = throughput(summary);
    let top = |bar: &Bar<'_>| bar.estimate.interval.map_or(bar.estimate.value, |interval| interval.high);
    let most = bars.iter().map(top).fold(1.0, f64::max);
    let scale = Scale::linear(0.0, most * 1.04, left(&bars), RIGHT - 20.0);
    let bottom = TOP + bars.len() as f64 * ROW;
    axis::below(canvas, &scale, (TOP, bottom), "accepted requests per second, relative to none", |ratio| {
        format!("{} %", format::fixed(ratio * 100.0, 0))
    })?;
    draw(canvas, &bars, &scale, Some(1.0))
}

/// What to read from throughput.
pub(super) fn throughput_caption(summary: &Summary) -> String {
    let bars = throughput(summary);
    let ranking = Ranking::new(summary, 1.0, |variant| {
        let ratio = *variant.throughput.known()?.ratio_to_baseline.known()?;
        Some((ratio, Some(ratio)))
    });
    let (Some(most), Some(least)) = (ranking.last(), ranking.first()) else { return String::new() };
    let half = bars.iter().filter(|bar| bar.estimate.value >= 0.5).count();
    format!(
        "{} keeps {} of what the same route carries without authentication, {} keeps {}; {half} of {} variants keep at least \
         half. Typical ratio to the baseline of the same round; the baseline has the same connections. Brackets are {}.{}",
        most.named(),
        percent(most.value),
        least.named(),
        percent(least.value),
        bars.len(),
        interval_words(summary),
        handshake_aside(summary, &most.names),
    )
}
