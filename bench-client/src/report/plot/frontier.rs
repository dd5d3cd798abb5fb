//! The pictures that the choice turns on: the longest revocation window against what a request costs, in processor time or
//! in lookups of the store.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, INK, MUTED, Point, RULE, SMALL, WIDTH, text_width};
use crate::report::format::{bracket, duration, fixed, number, signed};
use crate::report::headline::{Revoked, alike, handshake_aside, list, named, widest};
use crate::report::rank::Ranking;
use crate::report::summary::{RevocationSummary, Summary, VariantSummary};

pub(super) const HEIGHT: f64 = 520.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = HEIGHT - 52.0;

/// What a shorter window is paid with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Server CPU per request at saturation.
    Cpu,
    /// Store lookups per request; beside each variant stands what it adds to the latency in the tail.
    Lookups,
}

impl Cost {
    /// The figure, where it was measured and the picture can hold it.
    fn of(self, variant: &VariantSummary) -> Option<f64> {
        match self {
            Self::Cpu => Some(variant.cpu_at_saturation().known()?.total.value).filter(|ns| *ns > 0.0),
            Self::Lookups if variant.looks_up_own_copy => Some(0.0),
            Self::Lookups => Some(variant.latency.known()?.operations_per_request.known()?.store_lookups),
        }
    }

    /// A third figure, for the label.
    fn note(self, variant: &VariantSummary) -> Option<String> {
        match self {
            Self::Cpu => None,
            Self::Lookups => {
                let added = variant.latency.known()?.latency_added_ns.p99.known()?.value;
                Some(if added < 0.0 { signed(added) } else { format!("+{}", duration(added)) })
            }
        }
    }

    /// The axis over which the figures lie, with its title.
    fn axis(self, cheap: f64, dear: f64) -> (Scale, &'static str) {
        match self {
            Self::Cpu => (
                Scale::log(cheap / 1.6, (dear * 2.0).max(cheap * 4.0), LEFT, RIGHT),
                "server CPU per request at saturation (logarithmic)",
            ),
            // Most lie at 0 or at 1: there is room on both sides.
            Self::Lookups => (
                Scale::linear(-0.08 * dear.max(0.1), dear.max(0.1) * 1.25, LEFT, RIGHT),
                "lookups per request that the store answers",
            ),
        }
    }

    fn tick(self, value: f64) -> String {
        match self {
            Self::Cpu => axis::time(value),
            Self::Lookups => fixed(value, 2).trim_end_matches('0').trim_end_matches('.').to_owned(),
        }
    }
}

/// A variant in the plane of cost and delay.
pub(super) struct Spot<'a> {
    variant: &'a VariantSummary,
    found: &'a RevocationSummary,
    cost: f64,
    /// See [`Cost::note`].
    note: Option<String>,
    /// Upper end of the longest window, or as long as was watched.
    window_ns: f64,
    /// Whether the window never closed.
    open: bool,
    /// Lengths below are not told apart.
    floor_ns: f64,
}

/// Variants that have both figures, cheapest first, and of those that cost the same the soonest.
fn points(summary: &Summary, cost: Cost) -> Vec<Spot<'_>> {
    let mut spots: Vec<Spot<'_>> = summary
        .compared()
        .filter_map(|variant| {
            let found = variant.revocation.known()?;
            let window_ns = found.max.high_ns.unwrap_or(found.watched_ns as f64);
            let floor_ns = 2.0 * found.probe_interval_ns as f64;
            Some(Spot {
                variant,
                found,
                cost: cost.of(variant)?,
                note: cost.note(variant),
                window_ns: window_ns.max(1.0),
                open: found.max.high_ns.is_none(),
                floor_ns,
            })
        })
        .collect();
    spots.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.window_ns.total_cmp(&b.window_ns)));
    spots
}

/// Whether the run has every figure that the picture shows. Of a store that one process has for itself, nothing has to be
/// asked to hear of a revocation: what that costs shows at replicas.
pub(super) fn has_data(summary: &Summary, cost: Cost) -> bool {
    let shows = |spot: &Spot<'_>| match cost {
        Cost::Cpu => true,
        Cost::Lookups => spot.note.is_some() && spot.found.replicas > 1,
    };
    points(summary, cost).iter().any(shows)
}

/// The variants that none beats in both: going along the costs, each whose window is clearly shorter than all before.
/// Windows that the probes cannot tell apart count as equal.
fn front<'s, 'a>(spots: &'s [Spot<'a>]) -> Vec<&'s Spot<'a>> {
    let mut front: Vec<&Spot<'_>> = Vec::new();
    // What never closed beats nothing.
    for spot in spots.iter().filter(|spot| !spot.open) {
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
pub(super) fn draw<DB: DrawingBackend>(summary: &Summary, cost: Cost, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let spots = points(summary, cost);
    let range = |of: fn(&Spot<'_>) -> f64| {
        let low = spots.iter().map(of).fold(f64::INFINITY, f64::min);
        let high = spots.iter().map(of).fold(0.0, f64::max);
        (low, high)
    };
    let (cheap, dear) = range(|spot| spot.cost);
    let (short, long) = range(|spot| spot.window_ns);
    let (across, title) = cost.axis(cheap, dear);
    let up = Scale::log(short / 2.5, (long * 2.5).max(short * 10.0), BOTTOM, TOP);
    axis::left(canvas, &up, (LEFT, RIGHT), axis::time)?;
    axis::below(canvas, &across, (TOP, BOTTOM), title, |value| cost.tick(value))?;
    let (heights, noted) = ("longest revocation window (logarithmic)", spots.iter().any(|spot| spot.note.is_some()));
    canvas.text(heights, (LEFT - 56.0, TOP - 22.0), SMALL, Align::Left, MUTED)?;
    if noted {
        canvas.text("beside each name: latency added at p99", (RIGHT, TOP - 22.0), SMALL, Align::Right, MUTED)?;
    }
    canvas.text("← cheaper, ↓ sooner", (LEFT + 8.0, BOTTOM - 10.0), SMALL, Align::Left, MUTED)?;
    canvas.line(&[(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], RULE, 1.0, 1.0)?;
    let at = |spot: &Spot<'_>| (across.at(spot.cost), up.at(spot.window_ns));
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
    let names: Vec<String> = spots.iter().map(label).collect();
    let places = place_labels(&names, &marks, &step);
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

/// What stands beside a mark.
fn label(spot: &Spot<'_>) -> String {
    let note = spot.note.as_ref().map_or_else(String::new, |note| format!("  {note}"));
    let open = if spot.open { " (still accepted)" } else { "" };
    format!("{}{open}{note}", spot.variant.name)
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
        const AIR: f64 = 8.0;
        let across = (self.left + self.width).min(other.left + other.width) - self.left.max(other.left) + AIR;
        let up = 2.0 * HALF_LINE - (self.middle - other.middle).abs();
        across.max(0.0) * up.max(0.0)
    }

    fn covers(&self, (x, y): Point) -> bool {
        const MARK: f64 = 7.0;
        (self.left - MARK..self.left + self.width + MARK).contains(&x)
            && (y - self.middle).abs() < HALF_LINE + MARK - 2.0
    }

    /// Whether a line that goes along the axes passes behind it.
    fn hides(&self, step: &[Point]) -> bool {
        let (top, bottom) = (self.middle - HALF_LINE, self.middle + HALF_LINE);
        step.windows(2).any(|ends| {
            let (from, to) = (ends[0], ends[1]);
            from.0.max(to.0) > self.left
                && from.0.min(to.0) < self.left + self.width
                && from.1.max(to.1) > top
                && from.1.min(to.1) < bottom
        })
    }

    fn nearest_edge(&self, y: f64) -> f64 {
        if y > self.middle { self.middle + HALF_LINE - 2.0 } else { self.middle - HALF_LINE + 2.0 }
    }
}

/// Finds a place for each label: beside its mark where that is free, otherwise further up or down with a line, and off the
/// stepped line where there is a choice. Greedy, which is enough for the two dozen points that one plot can hold.
fn place_labels(names: &[String], marks: &[Point], step: &[Point]) -> Vec<Place> {
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
            let outside = if outside { 1e6 } else { 0.0 };
            let hidden = if place.hides(step) { 8.0 } else { 0.0 };
            outside + labels * 100.0 + covered as f64 * 1e4 + hidden + *rank as f64
        };
        let best = candidates.into_iter().enumerate().min_by(|a, b| cost(a).total_cmp(&cost(b)));
        placed.extend(best.map(|(_, place)| place));
    }
    placed
}

/// What to read from it.
pub(super) fn caption(summary: &Summary, cost: Cost) -> String {
    let spots = points(summary, cost);
    let front = front(&spots);
    let names: Vec<&str> = front.iter().map(|spot| spot.variant.name.as_str()).collect();
    let revoked: Vec<Revoked<'_>> = spots.iter().map(|spot| (spot.variant, spot.found)).collect();
    let mut text = match (front.last(), cheapest(summary, cost, &spots)) {
        (Some(soon), Some((cheap, aside))) => {
            let soon = alike(&revoked, soon.found);
            format!(
                "None is clearly better than {} in both respects: {cheap}, and a revocation counts soonest with {} (longest \
                 window {}).{aside}",
                list(&names),
                named(&soon),
                bracket(&widest(&soon).max),
            )
        }
        _ => String::new(),
    };
    text += " Down is sooner, left is cheaper; the stepped line joins the variants that no other beats in both. Each point \
             is one variant: its ";
    text += match cost {
        Cost::Cpu => "server CPU per request at saturation against the upper end of its longest revocation window.",
        Cost::Lookups => {
            "lookups per request that the store answered under the schedule against the upper end of its longest revocation \
             window. Beside its name stands what it adds to the latency of the baseline at the 99th percentile, where the \
             run has samples enough. A process that looks into a copy of its own asks nobody; what it reads to keep the copy \
             up to date does not grow with the requests and is not in the figure."
        }
    };
    let open: Vec<&str> = spots.iter().filter(|spot| spot.open).map(|spot| spot.variant.name.as_str()).collect();
    if !open.is_empty() {
        text += &format!(" {} still accepted when the watch ended: the true window is longer.", list(&open));
    }
    text
}

/// Least cost in words, and what has to be said beside it.
fn cheapest(summary: &Summary, cost: Cost, spots: &[Spot<'_>]) -> Option<(String, &'static str)> {
    match cost {
        Cost::Cpu => {
            let ranking = Ranking::new(summary, 0.0, |variant| {
                let cpu = variant.cpu_at_saturation();
                variant.revocation.known()?;
                Some((cpu.known()?.total, cpu.known()?.added.known().copied()))
            });
            let cheap = ranking.first()?;
            let aside = handshake_aside(summary, &cheap.names);
            Some((format!("least is spent with {} ({})", cheap.named(), duration(cheap.value)), aside))
        }
        Cost::Lookups => {
            let least = spots.first()?.cost;
            let names: Vec<&str> =
                spots.iter().filter(|spot| spot.cost <= least).map(|spot| spot.variant.name.as_str()).collect();
            Some((format!("the store is asked least with {} ({} times per request)", list(&names), number(least)), ""))
        }
    }
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
        let places = place_labels(&names, &marks, &[]);
        for (i, place) in places.iter().enumerate() {
            for other in &places[i + 1..] {
                assert!(place.overlap(other) < 1.0, "{place:?} on {other:?}");
            }
            assert!(place.left > LEFT && place.left + place.width < RIGHT, "{place:?} leaves the plot");
        }
    }
}
