//! The power curve: the share of comparisons that call a variant regressed, against the size of a slow-down of its
//! validation.

use bench_server::contract::SlowDown;
use plotters::prelude::DrawingBackend;

use super::added::apart;
use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, GRID, INK, MUTED, Point, RULE, SMALL, WIDTH, colour, text_width};
use super::sweep::STROKES;
use crate::compare::PowerCurve;
use crate::report::format;
use crate::report::summary::Summary;
use crate::report::view::power_figure;
use crate::stats::POWER;

pub(super) const HEIGHT: f64 = 440.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = HEIGHT - 52.0;

pub(super) fn has_data(summary: &Summary) -> bool {
    !summary.power.is_empty()
}

/// Every slow-down once, in the scenario's order: they stand at equal distances, for they span more than an axis could.
fn steps(summary: &Summary) -> Vec<SlowDown> {
    let mut steps: Vec<SlowDown> = Vec::new();
    for point in summary.power.iter().flat_map(|curve| &curve.points) {
        if !steps.contains(&point.slow_down) {
            steps.push(point.slow_down);
        }
    }
    steps
}

fn name(summary: &Summary, curve: &PowerCurve) -> String {
    format!("{}: {}", curve.variant, power_figure(summary, curve))
}

pub(super) fn draw<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let widest = summary.power.iter().map(|curve| text_width(&name(summary, curve), SMALL)).fold(0.0, f64::max);
    let right = WIDTH - widest.min(WIDTH / 3.0) - 28.0;
    let steps = steps(summary);
    let across = Scale::linear(0.0, (steps.len().max(2) - 1) as f64, LEFT + 16.0, right - 16.0);
    let up = Scale::linear(0.0, 1.0, BOTTOM, TOP);
    canvas.text("comparisons that say regressed", (LEFT - 48.0, TOP - 20.0), SMALL, Align::Left, MUTED)?;
    axis::left(canvas, &up, (LEFT, right), |share| format!("{} %", format::fixed(share * 100.0, 0)))?;
    for (i, step) in steps.iter().enumerate() {
        let x = across.at(i as f64);
        canvas.line(&[(x, TOP), (x, BOTTOM)], GRID, 1.0, 1.0)?;
        canvas.text(&format::slow_down(*step), (x, BOTTOM + 14.0), SMALL, Align::Centre, MUTED)?;
    }
    let middle = (f64::midpoint(LEFT, right), BOTTOM + 34.0);
    canvas.text("slow-down of the validation (steps as written)", middle, SMALL, Align::Centre, MUTED)?;
    canvas.line(&[(LEFT, TOP), (LEFT, BOTTOM), (right, BOTTOM)], RULE, 1.0, 1.0)?;
    canvas.dashed((LEFT, up.at(POWER)), (right, up.at(POWER)), MUTED)?;
    canvas.label(&format::percent(POWER), (LEFT + 4.0, up.at(POWER)), SMALL, MUTED)?;

    // A stroke says which figure, the colour which method.
    let mut quantities: Vec<_> = summary.power.iter().map(|curve| curve.quantity).collect();
    quantities.sort_unstable();
    quantities.dedup();
    let mut ends: Vec<(&PowerCurve, Point)> = Vec::new();
    for curve in &summary.power {
        let stroke = quantities.iter().position(|quantity| *quantity == curve.quantity).unwrap_or(0);
        let at = curve.points.iter().filter_map(|point| {
            let step = steps.iter().position(|step| *step == point.slow_down)?;
            Some((across.at(step as f64), up.at(point.regressed)))
        });
        let at: Vec<Point> = at.collect();
        canvas.stroked(&at, colour(&curve.method), 2.0, STROKES[stroke % STROKES.len()])?;
        for point in &at {
            canvas.mark(&curve.method, *point, 4.0, 1.0)?;
        }
        ends.extend(at.last().map(|end| (curve, *end)));
    }
    ends.sort_by(|a, b| a.1.1.total_cmp(&b.1.1));
    let wanted: Vec<f64> = ends.iter().map(|(_, (_, y))| *y).collect();
    for ((curve, (x, y)), label) in ends.iter().zip(apart(&wanted, 14.0, (TOP, BOTTOM))) {
        canvas.line(&[(x + 4.0, *y), (right + 8.0, label)], colour(&curve.method), 1.0, 0.5)?;
        canvas.text(&name(summary, curve), (right + 12.0, label), SMALL, Align::Left, INK)?;
    }
    Ok(())
}

/// What to read from it.
pub(super) fn caption(summary: &Summary) -> String {
    let sensitive = summary.power.iter().map(|curve| {
        format!("{}, {} from {}", curve.variant, power_figure(summary, curve), format::percent(curve.detectable))
    });
    format!(
        "A comparison of this scenario sees a change with {} power by how much starts differ (Question 0): {}. Those are \
         changes of the figure; a slow-down of validation moves a request's figures by less, which the table below \
         has. At 0\u{a0}% nothing is slowed down: what is called regressed there is a false alarm. Elsewhere a \
         point is the power at the change that this run saw.",
        format::percent(POWER),
        sensitive.collect::<Vec<_>>().join("; "),
    )
}
