//! The picture that the choice turns on: the longest revocation window against CPU per request.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, INK, MUTED, Point, RULE, SMALL, WIDTH, text_width};
use crate::report::format::{bracket, duration};
use crate::report::headline::{Revoked, alike, handshake_aside, list, named, widest};
use crate::report::rank::Ranking;
use crate::report::summary::{RevocationSummary, Summary, VariantSummary};

pub(super) const HEIGHT: f64 = 520.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = HEIGHT - 52.0;

/// A variant in the plane of cost and delay.
pub(super) struct Spot<'a> {
    variant: &'a VariantSummary,
    found: &'a RevocationSummary,
    cpu_ns: f64,
    /// Upper end of the longest window, or as long as was watched.
    window_ns: f64,
    /// Whether the window never closed.
    open: bool,
    /// Lengths below are not told apart.
    floor_ns: f64,
}

/// Variants that have both figures, cheapest first.
pub(super) fn points(summary: &Summary) -> Vec<Spot<'_>> {
    let mut spots: Vec<Spot<'_>> = summary
        .compared()
        .filter_map(|variant| {
            let cpu_ns = variant.cpu_at_saturation().known()?.total.value;
            let found = variant.revocation.known()?;
            let window_ns = found.max.high_ns.unwrap_or(found.watched_ns as f64);
            let floor_ns = 2.0 * found.probe_interval_ns as f64;
            Some(Spot {
                variant,
                found,
                cpu_ns,
                window_ns: window_ns.max(1.0),
                open: found.max.high_ns.is_none(),
                floor_ns,
            })
        })
        .filter(|spot| spot.cpu_ns > 0.0)
        .collect();
    spots.sort_by(|a, b| a.cpu_ns.total_cmp(&b.cpu_ns));
    spots
}

/// The variants that none beats in both: going along the costs, each whose window is clearly shorter than all before.
/// Windows that the probes cannot tell apart count as equal.
fn front<'s, 'a>(spots: &'s [Spot<'a>]) -> Vec<&'s Spot<'a>> {
    let mut front: Vec<&Spot<'_>> = Vec::new();
    for spot in spots {
        // Equal promises differ by the draw of the phases only.
        let shorter = |best: &&Spot<'_>| {
            spot.window_ns + spot.floor_ns <= best.window_ns
                && (spot.found.promise_ns.is_none() || spot.found.promise_ns != best.found.promise_ns)
        };
        if front.last().is_none_or(shorter) {
            front.push(spot);
        }
    }
    front
}

/// Draws the plane.
pub(super) fn draw<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let spots = points(summary);
    let range = |of: fn(&Spot<'_>) -> f64| {
        let low = spots.iter().map(of).fold(f64::INFINITY, f64::min);
        let high = spots.iter().map(of).fold(0.0, f64::max);
        (low, high)
    };
    let (cheap, dear) = range(|spot| spot.cpu_ns);
    let (short, long) = range(|spot| spot.window_ns);
    let across = Scale::log(cheap / 1.6, (dear * 2.0).max(cheap * 4.0), LEFT, RIGHT);
    let up = Scale::log(short / 2.5, (long * 2.5).max(short * 10.0), BOTTOM, TOP);
    axis::left(canvas, &up, (LEFT, RIGHT), axis::time)?;
    axis::below(canvas, &across, (TOP, BOTTOM), "server CPU per request at saturation (logarithmic)", axis::time)?;
    canvas.text("longest revocation window (logarithmic)", (LEFT - 56.0, TOP - 22.0), SMALL, Align::Left, MUTED)?;
    canvas.text("← cheaper, ↓ sooner", (LEFT + 8.0, BOTTOM - 10.0), SMALL, Align::Left, MUTED)?;
    canvas.line(&[(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], RULE, 1.0, 1.0)?;
    let at = |spot: &Spot<'_>| (across.at(spot.cpu_ns), up.at(spot.window_ns));
    let mut step: Vec<Point> = Vec::new();
    for spot in front(&spots) {
        let (x, y) = at(spot);
        if let Some(&(_, before)) = step.last() {
            step.push((x, before));
        }
        step.push((x, y));
    }
    canvas.line(&step, RULE, 2.0, 1.0)?;
    let marks: Vec<Point> = spots.iter().map(at).collect();
    let names: Vec<String> = spots
        .iter()
        .map(
            |spot| {
                if spot.open { format!("{} (still accepted)", spot.variant.name) } else { spot.variant.name.clone() }
            },
        )
        .collect();
    let places = place_labels(&names, &marks);
    for (place, mark) in places.iter().zip(&marks) {
        if place.far {
            let end = (mark.0.clamp(place.left + 4.0, place.left + place.width - 4.0), place.nearest_edge(mark.1));
            canvas.line(&[*mark, end], MUTED, 1.0, 0.6)?;
        }
    }
    for (place, name) in places.iter().zip(&names) {
        canvas.label(name, (place.left, place.middle), SMALL, INK)?;
    }
    for (spot, mark) in spots.iter().zip(&marks) {
        canvas.mark(&spot.variant.method, *mark, 6.0, 0.9)?;
    }
    Ok(())
}

/// Where a label stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    left: f64,
    middle: f64,
    width: f64,
    /// Whether it needs a line to its mark.
    far: bool,
}

/// Half of a label's height, with some air.
const HALF_LINE: f64 = 8.0;

impl Place {
    fn overlap(&self, other: &Self) -> f64 {
        let across = (self.left + self.width).min(other.left + other.width) - self.left.max(other.left);
        let up = 2.0 * HALF_LINE - (self.middle - other.middle).abs();
        across.max(0.0) * up.max(0.0)
    }

    fn covers(&self, (x, y): Point) -> bool {
        const MARK: f64 = 7.0;
        (self.left - MARK..self.left + self.width + MARK).contains(&x)
            && (y - self.middle).abs() < HALF_LINE + MARK - 2.0
    }

    fn nearest_edge(&self, y: f64) -> f64 {
        if y > self.middle { self.middle + HALF_LINE - 2.0 } else { self.middle - HALF_LINE + 2.0 }
    }
}

/// Finds a place for each label: beside its mark where that is free, otherwise further up or down with a line. Greedy,
/// which is enough for the two dozen points that one plot can hold.
fn place_labels(names: &[String], marks: &[Point]) -> Vec<Place> {
    let mut placed: Vec<Place> = Vec::new();
    for (name, &(x, y)) in names.iter().zip(marks) {
        let width = text_width(name, SMALL);
        let mut candidates = vec![
            Place { left: x + 11.0, middle: y, width, far: false },
            Place { left: x - 11.0 - width, middle: y, width, far: false },
        ];
        for ring in 1..=9 {
            let distance = 4.0 + 14.0 * f64::from(ring);
            for middle in [y - distance, y + distance] {
                for left in [x - width / 2.0, x - 12.0, x - width + 12.0] {
                    candidates.push(Place { left, middle, width, far: ring > 1 });
                }
            }
        }
        let cost = |(rank, place): &(usize, Place)| {
            let outside = place.left < LEFT + 2.0
                || place.left + place.width > RIGHT
                || place.middle < TOP + HALF_LINE
                || place.middle > BOTTOM - HALF_LINE;
            let labels: f64 = placed.iter().map(|other| place.overlap(other)).sum();
            let covered = marks.iter().filter(|mark| place.covers(**mark)).count();
            let step = if outside { 1e6 } else { 0.0 };
            step + labels * 100.0 + covered as f64 * 1e4 + *rank as f64
        };
        let best = candidates.into_iter().enumerate().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        placed.extend(best.map(|(_, place)| place));
    }
    placed
}

/// What to read from it.
pub(super) fn caption(summary: &Summary) -> String {
    let spots = points(summary);
    let front = front(&spots);
    let names: Vec<&str> = front.iter().map(|spot| spot.variant.name.as_str()).collect();
    let ranking = Ranking::new(summary, 0.0, |variant| {
        let cpu = variant.cpu_at_saturation();
        variant.revocation.known()?;
        Some((cpu.known()?.total, cpu.known()?.added.known().copied()))
    });
    let revoked: Vec<Revoked<'_>> = spots.iter().map(|spot| (spot.variant, spot.found)).collect();
    let mut text = match (front.last(), ranking.first()) {
        (Some(soon), Some(cheap)) => {
            let soon = alike(&revoked, soon.found);
            format!(
                "None is clearly better than {} in both respects: least is spent with {} ({}), and a revocation counts \
                 soonest with {} (longest window {}).{}",
                list(&names),
                cheap.named(),
                duration(cheap.value),
                named(&soon),
                bracket(&widest(&soon).max),
                handshake_aside(summary, &cheap.names),
            )
        }
        _ => String::new(),
    };
    text += " Down is sooner, left is cheaper; the stepped line joins the variants that no other beats in both. Each point \
             is one variant: its server CPU per request at saturation against the upper end of its longest revocation window.";
    let open: Vec<&str> = spots.iter().filter(|spot| spot.open).map(|spot| spot.variant.name.as_str()).collect();
    if !open.is_empty() {
        text += &format!(" {} still accepted when the watch ended: the true window is longer.", list(&open));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_crowded_marks_do_not_overlap() {
        super::super::register_fonts();
        let names: Vec<String> = (0..15).map(|i| format!("some-variant-name-{i:04}")).collect();
        let marks: Vec<Point> =
            (0..15).map(|i| (300.0 + f64::from(i % 5) * 35.0, 150.0 + f64::from(i / 5) * 100.0)).collect();
        let places = place_labels(&names, &marks);
        for (i, place) in places.iter().enumerate() {
            for other in &places[i + 1..] {
                assert!(place.overlap(other) < 1.0, "{place:?} on {other:?}");
            }
            assert!(place.left > LEFT && place.left + place.width < RIGHT, "{place:?} leaves the plot");
        }
    }
}
