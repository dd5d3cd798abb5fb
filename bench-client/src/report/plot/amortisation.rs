//! What a handshake costs when more and more requests share it: server CPU per request against requests per connection,
//! both logarithmic, and where client certificates become cheaper.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, INK, MUTED, Point, RULE, SMALL, WIDTH, colour, text_width};
use crate::cell::Estimate;
use crate::plan::SessionKind;
use crate::report::format;
use crate::report::headline::{amortised, both_full, interval_words};
use crate::report::summary::{Amortisation, Summary, VariantSummary};
use crate::report::view::sessions;
use crate::stats::BreakEven;

pub(super) const HEIGHT: f64 = 520.0;
const LEFT: f64 = 72.0;
/// Names stand to the right of the lines.
const RIGHT: f64 = WIDTH - 210.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = HEIGHT - 52.0;

/// One line: a variant whose connections begin in one way.
struct Line<'a> {
    variant: &'a VariantSummary,
    session: SessionKind,
    /// Requests per connection and server CPU per request, by rising number.
    points: Vec<(f64, Estimate)>,
}

fn lines(summary: &Summary) -> Vec<Line<'_>> {
    let of = |variant, session| Line { variant, session, points: points(variant, session) };
    let all = summary.variants.iter().flat_map(|variant| sessions(variant).into_iter().map(move |it| of(variant, it)));
    all.filter(|line| line.points.len() > 1).collect()
}

fn points(variant: &VariantSummary, session: SessionKind) -> Vec<(f64, Estimate)> {
    let cases = variant.handshakes.iter().filter(|case| case.session == session);
    cases
        .filter_map(|case| {
            let cpu = case.found.known()?.server_cpu_ns_per_request.known()?;
            (cpu.value > 0.0).then_some((f64::from(case.requests_per_connection), *cpu))
        })
        .collect()
}

pub(super) fn has_data(summary: &Summary) -> bool {
    !lines(summary).is_empty()
}

/// Variants measured at saturation on kept connections, which the lines come down to.
fn floors<'a>(lines: &[Line<'a>]) -> Vec<(&'a VariantSummary, f64)> {
    let mut floors: Vec<(&VariantSummary, f64)> = Vec::new();
    for line in lines {
        let kept = line.variant.throughput.known().filter(|it| it.connection == crate::plan::ConnectionKind::Reused);
        let cpu = kept.and_then(|it| it.server_cpu_ns_per_request.known()).map(|cpu| cpu.total.value);
        if let Some(cpu) = cpu.filter(|_| floors.iter().all(|(seen, _)| seen.name != line.variant.name)) {
            floors.push((line.variant, cpu));
        }
    }
    floors
}

/// Draws the lines.
pub(super) fn draw<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let lines = lines(summary);
    let floors = floors(&lines);
    let costs = || {
        let of_lines = lines.iter().flat_map(|line| line.points.iter().map(|(_, cpu)| cpu.value));
        of_lines.chain(floors.iter().map(|(_, cpu)| *cpu))
    };
    let requests = || lines.iter().flat_map(|line| line.points.iter().map(|(requests, _)| *requests));
    let low = costs().fold(f64::INFINITY, f64::min);
    let high = costs().fold(0.0, f64::max);
    let most = requests().fold(1.0, f64::max);
    let fewest = requests().fold(most, f64::min);
    let across = Scale::log(fewest, most, LEFT, RIGHT);
    let up = Scale::log(low / 1.25, high * 1.25, BOTTOM, TOP);
    axis::left(canvas, &up, (LEFT, RIGHT), axis::time)?;
    axis::below(canvas, &across, (TOP, BOTTOM), "requests per connection (logarithmic)", |tick| {
        format::fixed(tick, 0)
    })?;
    canvas.text("server CPU per request (logarithmic)", (LEFT - 56.0, TOP - 22.0), SMALL, Align::Left, MUTED)?;
    canvas.line(&[(LEFT, TOP), (LEFT, BOTTOM), (RIGHT, BOTTOM)], RULE, 1.0, 1.0)?;
    for (variant, cpu) in &floors {
        let y = up.at(*cpu);
        canvas.line(&[(LEFT, y), (RIGHT, y)], colour(&variant.method), 1.0, 0.35)?;
    }
    for (row, found) in marked(summary).enumerate() {
        draw_break_even(summary, found, row, &across, canvas)?;
    }
    for line in &lines {
        let at: Vec<Point> =
            line.points.iter().map(|(requests, cpu)| (across.at(*requests), up.at(cpu.value))).collect();
        let ink = colour(&line.variant.method);
        match line.session {
            SessionKind::Full => canvas.line(&at, ink, 1.5, 0.9)?,
            SessionKind::Resumed => {
                for pair in at.windows(2) {
                    canvas.dashed(pair[0], pair[1], ink)?;
                }
            }
        }
        for ((_, cpu), (x, y)) in line.points.iter().zip(&at) {
            if let Some(interval) = cpu.interval.filter(|interval| interval.low > 0.0) {
                canvas.line(&[(*x, up.at(interval.low)), (*x, up.at(interval.high))], ink, 1.0, 0.8)?;
            }
            canvas.mark(&line.variant.method, (*x, *y), 3.5, 0.9)?;
        }
    }
    draw_names(&lines, &up, canvas)
}

/// The break-evens that the figure marks: those of the first variant with certificates, or lines would hide the curves.
fn marked(summary: &Summary) -> impl Iterator<Item = &Amortisation> {
    let first = both_full(summary).next().map(|found| found.variant.as_str());
    both_full(summary).filter(move |found| Some(found.variant.as_str()) == first)
}

/// A vertical line where the curves cross, a band as wide as its interval, and what it is.
fn draw_break_even<DB: DrawingBackend>(
    summary: &Summary,
    found: &Amortisation,
    row: usize,
    across: &Scale,
    canvas: &Canvas<'_, DB>,
) -> Drawn<DB> {
    let BreakEven::At(requests) = found.break_even else { return Ok(()) };
    let method = summary.variant(&found.against).map_or("", |variant| variant.method.as_str());
    let side = |crossing| match crossing {
        BreakEven::Before => across.from(),
        BreakEven::At(requests) => across.at(requests),
        BreakEven::Beyond => across.to(),
    };
    if let Some((low, high)) = found.interval {
        canvas.rect((side(low), TOP), (side(high), BOTTOM), colour(method), 0.1)?;
    }
    let x = across.at(requests);
    canvas.dashed((x, TOP), (x, BOTTOM), colour(method))?;
    // One below the other: lines may stand close together.
    let text = format!("{} from {}", found.against, format::crossing(found.break_even, found));
    let left = (x + 5.0).min(RIGHT - text_width(&text, SMALL));
    canvas.label(&text, (left, TOP + 9.0 + 15.0 * row as f64), SMALL, INK)
}

/// The name of each line at its right end, moved apart where lines end close together.
fn draw_names<DB: DrawingBackend>(lines: &[Line<'_>], up: &Scale, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    const STEP: f64 = 14.0;
    let mut ends: Vec<(f64, &Line<'_>)> =
        lines.iter().filter_map(|line| Some((up.at(line.points.last()?.1.value), line))).collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let places = apart(&ends.iter().map(|(y, _)| *y).collect::<Vec<_>>(), STEP, BOTTOM);
    for ((end, line), place) in ends.iter().zip(&places) {
        let name = match line.session {
            SessionKind::Full => line.variant.name.clone(),
            SessionKind::Resumed => format!("{}, resumed", line.variant.name),
        };
        canvas.line(&[(RIGHT + 3.0, *end), (RIGHT + 14.0, *place)], RULE, 1.0, 1.0)?;
        canvas.mark(&line.variant.method, (RIGHT + 20.0, *place), 3.5, 0.9)?;
        let room = WIDTH - (RIGHT + 28.0);
        let size = if text_width(&name, SMALL) > room { SMALL * room / text_width(&name, SMALL) } else { SMALL };
        canvas.text(&name, (RIGHT + 28.0, *place), size, Align::Left, INK)?;
    }
    Ok(())
}

/// Positions at least `step` apart, in the order given (rising), as near to their own as that allows and none below
/// `lowest`.
fn apart(own: &[f64], step: f64, lowest: f64) -> Vec<f64> {
    let mut places: Vec<f64> = Vec::with_capacity(own.len());
    for y in own {
        places.push(places.last().map_or(*y, |before: &f64| y.max(before + step)));
    }
    let mut limit = lowest;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - step;
    }
    places
}

/// What to read from it.
pub(super) fn caption(summary: &Summary) -> String {
    let mut text: String = amortised(summary).into_iter().map(|sentence| sentence + " ").collect();
    text += "Each line is one variant with one kind of session: solid with a full handshake for each connection, dashed where \
             sessions are resumed. All variants pay their own handshakes at the same number of requests. Thin horizontal \
             lines are the cost on kept connections, where that was measured.";
    if let Some(found) = marked(summary).next() {
        text += &format!(
            " Vertical lines mark where the certificates of {} have paid off, the band is the interval.",
            found.variant
        );
    }
    text += &format!(" Bars are {}.", interval_words(summary));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_distance_and_stay_on_the_sheet() {
        assert_eq!(apart(&[10.0, 50.0], 14.0, 100.0), [10.0, 50.0]);
        assert_eq!(apart(&[10.0, 12.0, 13.0], 14.0, 100.0), [10.0, 24.0, 38.0]);
        assert_eq!(apart(&[90.0, 95.0, 99.0], 14.0, 100.0), [72.0, 86.0, 100.0]);
        assert_eq!(apart(&[], 14.0, 100.0), Vec::<f64>::new());
    }
}
