//! Scales, ticks and axes.

use plotters::prelude::DrawingBackend;

use super::canvas::{Align, Canvas, Drawn, GRID, MUTED, SMALL};
use crate::report::format;

/// Maps values to pixels, linearly or by logarithm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    pub(super) fn linear(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { low, high, from, to, log: false }
    }

    /// A logarithmic scale; both values must be positive.
    pub(super) fn log(low: f64, high: f64, from: f64, to: f64) -> Self {
        Self { low, high, from, to, log: true }
    }

    /// The position of a value; values outside stay at the nearer end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low.min(self.high), self.low.max(self.high));
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share * (self.to - self.from)
    }

    /// Values that get a line and a label: with a logarithm the decades, with 2 and 5 where there are few.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let (low, high) = (self.low.min(self.high), self.low.max(self.high));
        if !self.log {
            let step = nice((high - low) / 5.0);
            let first = (low / step).ceil() as i64;
            let last = (high / step + 1e-9).floor() as i64;
            return (first..=last).map(|i| i as f64 * step).collect();
        }
        let decades = (high / low).log10();
        let within: &[f64] = if decades > 3.0 {
            &[1.0]
        } else if decades > 1.2 {
            &[1.0, 3.0]
        } else {
            &[1.0, 2.0, 5.0]
        };
        let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
        let all = (first..=last).flat_map(|decade| within.iter().map(move |digit| digit * 10_f64.powi(decade)));
        all.filter(|tick| (low * 0.999..=high * 1.001).contains(tick)).collect()
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    pub(super) fn from(&self) -> f64 {
        self.from
    }

    pub(super) fn to(&self) -> f64 {
        self.to
    }
}

/// The nearest of 1, 2, 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let digit = step / power;
    power
        * if digit < 1.5 {
            1.0
        } else if digit < 3.5 {
            2.0
        } else if digit < 7.5 {
            5.0
        } else {
            10.0
        }
}

/// Vertical grid lines with labels below, and the axis title.
pub(super) fn below<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    scale: &Scale,
    (top, bottom): (f64, f64),
    title: &str,
    label: impl Fn(f64) -> String,
) -> Drawn<DB> {
    for tick in scale.ticks() {
        let x = scale.at(tick);
        canvas.line(&[(x, top), (x, bottom)], GRID, 1.0, 1.0)?;
        canvas.text(&label(tick), (x, bottom + 12.0), SMALL, Align::Centre, MUTED)?;
    }
    canvas.text(title, (f64::midpoint(scale.from(), scale.to()), bottom + 31.0), SMALL, Align::Centre, MUTED)
}

/// Horizontal grid lines with labels to the left.
pub(super) fn left<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    scale: &Scale,
    (left, right): (f64, f64),
    label: impl Fn(f64) -> String,
) -> Drawn<DB> {
    for tick in scale.ticks() {
        let y = scale.at(tick);
        canvas.line(&[(left, y), (right, y)], GRID, 1.0, 1.0)?;
        canvas.text(&label(tick), (left - 6.0, y), SMALL, Align::Right, MUTED)?;
    }
    Ok(())
}

/// Tick label of a time in nanoseconds.
pub(super) fn time(ns: f64) -> String {
    format::duration(ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_clamping() {
        let scale = Scale::log(1.0, 100.0, 0.0, 200.0);
        assert!((scale.at(10.0) - 100.0).abs() < 1e-9);
        assert_eq!(scale.at(1e9), 200.0);
        assert_eq!(Scale::linear(0.0, 2.0, 100.0, 0.0).at(0.5), 75.0);
    }

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(Scale::linear(0.0, 1.1, 0.0, 1.0).ticks().len(), 6);
        assert_eq!(Scale::log(1.0, 10_000.0, 0.0, 1.0).ticks(), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(Scale::log(8.0, 60.0, 0.0, 1.0).ticks(), [10.0, 20.0, 50.0]);
    }
}
