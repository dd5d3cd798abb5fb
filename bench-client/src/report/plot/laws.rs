//! Windows against their law: for each mechanism the share of windows that had ended by a time, and the line that theory
//! draws. A panel per variant, so that a line is compared with its own law and with nothing else.

use plotters::prelude::DrawingBackend;

use super::axis::{self, Scale};
use super::canvas::{Align, Canvas, Drawn, GRID, INK, MUTED, NORMAL, Point, RULE, SMALL, WIDTH, colour, text_width};
use crate::report::format::{bracket, duration, fixed};
use crate::report::headline::{Revoked, list, longest};
use crate::report::summary::{LawForm, RevocationSummary, Summary, VariantSummary, WindowView, last_replicas};

const COLUMNS: usize = 3;
/// What the strokes mean, above all panels.
const KEY: f64 = 34.0;
const PANEL: f64 = 216.0;
const PLOT_TOP: f64 = 58.0;
const PLOT_HEIGHT: f64 = 118.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 16.0;
/// Between two strokes of the key, and the length of one.
const KEY_GAP: f64 = 26.0;
const KEY_STROKE: f64 = 26.0;

/// Dashes of what is said of the last replica.
const DASHES: &[f64] = &[5.0, 3.0];

/// Points along a law that is bent.
const PIECES: u32 = 48;

/// Room beyond the law, as a share of it: a window that breaks it must be seen to.
const BEYOND: f64 = 1.12;

/// Variants with a panel: those that obey a law, by how long it lets them live, then those that are told by the store, or of
/// which nothing is known, if they ever refused.
fn panels(summary: &Summary) -> Vec<Revoked<'_>> {
    let revoked = summary.variants.iter().filter_map(|variant| Some((variant, variant.revocation.known()?)));
    let mut panels: Vec<Revoked<'_>> = revoked.filter(|(_, found)| found.law.is_some() || is_lawless(found)).collect();
    panels.sort_by(|a, b| {
        let lawless = |found: &RevocationSummary| found.law.is_none();
        lawless(a.1).cmp(&lawless(b.1)).then(longest(a.1).total_cmp(&longest(b.1)).reverse())
    });
    panels
}

/// Whether windows end sooner or later, and no law says when.
fn is_lawless(found: &RevocationSummary) -> bool {
    found.law.is_none() && found.promise_ns.is_none() && found.windows.iter().any(|window| window.high_ns.is_some())
}

/// Whether there is a panel, of a run in which several replicas had to hear of each revocation.
pub(super) fn has_data(summary: &Summary) -> bool {
    panels(summary).iter().any(|(_, found)| found.replicas > 1)
}

/// Height of the figure.
pub(super) fn height(summary: &Summary) -> f64 {
    KEY + panels(summary).len().div_ceil(COLUMNS) as f64 * PANEL
}

/// Draws the panels.
pub(super) fn draw<DB: DrawingBackend>(summary: &Summary, canvas: &Canvas<'_, DB>) -> Drawn<DB> {
    let panels = panels(summary);
    key(canvas, &panels)?;
    let width = WIDTH / COLUMNS as f64;
    let lawless = lawless_range(&panels);
    for (i, (variant, found)) in panels.iter().enumerate() {
        let (x, y) = ((i % COLUMNS) as f64 * width, KEY + (i / COLUMNS) as f64 * PANEL);
        let (from, to) = (x + LEFT, x + width - RIGHT);
        let across = match &found.law {
            Some(_) => Scale::linear(0.0, span(found), from, to),
            None => Scale::log(lawless.0, lawless.1, from, to),
        };
        let up = Scale::linear(0.0, 1.0, y + PLOT_TOP + PLOT_HEIGHT, y + PLOT_TOP);
        panel(canvas, variant, found, &across, &up)?;
    }
    Ok(())
}

/// What the strokes mean, as far as there are such strokes.
fn key<DB: DrawingBackend>(canvas: &Canvas<'_, DB>, panels: &[Revoked<'_>]) -> Drawn<DB> {
    let last = panels.iter().find_map(|(_, found)| last_of(found).map(|_| found.replicas));
    let y = KEY / 2.0 - 2.0;
    let mut x = LEFT;
    let mut entry = |text: &str, stroke: &dyn Fn(f64, f64) -> Drawn<DB>| {
        stroke(x, x + KEY_STROKE)?;
        canvas.text(text, (x + KEY_STROKE + 6.0, y), SMALL, Align::Left, MUTED)?;
        x += KEY_STROKE + 6.0 + text_width(text, SMALL) + KEY_GAP;
        Ok(())
    };
    // Panels have the colours of their methods.
    let ink = panels.first().map_or(INK, |(variant, _)| colour(&variant.method));
    entry("windows, in the light band of their brackets", &|from, to| {
        canvas.rect((from, y - 5.0), (to, y + 5.0), ink, BAND)?;
        canvas.line(&[(from, y), (to, y)], ink, 2.5, 1.0)
    })?;
    entry("their law", &|from, to| canvas.line(&[(from, y), (to, y)], INK, 1.0, 1.0))?;
    let Some(replicas) = last else { return Ok(()) };
    entry(&format!("until the last of {replicas} replicas, and its law"), &|from, to| {
        canvas.line(&[(from, y + 3.0), (to, y + 3.0)], ink, 1.0, 0.8)?;
        canvas.stroked(&[(from, y - 3.0), (to, y - 3.0)], INK, 1.0, DASHES)
    })
}

/// Opacity of the brackets.
const BAND: f64 = 0.18;

/// How far the axis of a variant with a law goes: as far as its windows or its law, and a little further.
fn span(found: &RevocationSummary) -> f64 {
    let seen = found.windows.iter().map(|window| window.high_ns.unwrap_or(window.low_ns) as f64).fold(0.0, f64::max);
    let law = match found.law.as_ref().map(|law| law.form) {
        Some(LawForm::Uniform { period_ns }) => period_ns as f64,
        Some(LawForm::OwnEnd { leeway_ns }) => own_ends(found, leeway_ns).last().copied().unwrap_or(0.0),
        None => 0.0,
    };
    seen.max(law) * BEYOND
}

/// One axis for all that obey no law, so that they can be compared with each other.
fn lawless_range(panels: &[Revoked<'_>]) -> (f64, f64) {
    let lawless = || panels.iter().filter(|(_, found)| found.law.is_none()).map(|(_, found)| found);
    let finest = lawless().map(|found| found.probe_interval_ns as f64).fold(f64::INFINITY, f64::min);
    let highs = lawless().flat_map(|found| &found.windows).filter_map(|window| window.high_ns);
    let highest = highs.fold(0.0, |highest, high| f64::max(highest, high as f64));
    (finest / 10.0, highest.max(finest * 4.0) * 1.5)
}

fn panel<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    variant: &VariantSummary,
    found: &RevocationSummary,
    across: &Scale,
    up: &Scale,
) -> Drawn<DB> {
    let (left, right, top, bottom) = (across.from(), across.to(), up.to(), up.from());
    heading(canvas, variant, found, (left, top))?;
    // Left of the resolution nothing can be told apart.
    let floor = across.at(found.resolution_ns.max(found.probe_interval_ns) as f64);
    canvas.rect((left, top), (floor, bottom), GRID, 1.0)?;
    for (share, label) in [(0.0, "0"), (0.5, "½"), (1.0, "1")] {
        canvas.line(&[(left, up.at(share)), (right, up.at(share))], GRID, 1.0, 1.0)?;
        canvas.text(label, (left - 6.0, up.at(share)), SMALL, Align::Right, MUTED)?;
    }
    time_axis(canvas, across, (top, bottom))?;
    canvas.line(&[(left, top), (left, bottom), (right, bottom)], RULE, 1.0, 1.0)?;
    let ink = colour(&variant.method);
    let ends = |of: fn(&WindowView) -> Option<f64>| steps(found.windows.iter().map(of), across, up);
    let lows = ends(|window| window.high_ns.map(|_| window.low_ns as f64));
    let highs = ends(|window| window.high_ns.map(|ns| ns as f64));
    let band: Vec<Point> = lows.into_iter().chain(highs.into_iter().rev()).collect();
    canvas.area(&band, ink, BAND)?;
    if let Some(last) = last_of(found) {
        canvas.line(&steps(last.into_iter().map(Some), across, up), ink, 1.0, 0.8)?;
    }
    canvas.line(&ends(WindowView::middle_ns), ink, 2.5, 1.0)?;
    // Above the windows: where both are one, both are seen.
    laws(canvas, found, across, up)
}

/// The lines that theory draws.
fn laws<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    found: &RevocationSummary,
    across: &Scale,
    up: &Scale,
) -> Drawn<DB> {
    let Some(law) = &found.law else { return Ok(()) };
    match law.form {
        LawForm::Uniform { period_ns } => {
            let bent = |power: usize| -> Vec<Point> {
                let shares = (0..=PIECES).map(|piece| f64::from(piece) / f64::from(PIECES));
                let points = shares.map(|share| (across.at(share * period_ns as f64), up.at(share.powi(power as i32))));
                points.chain([(across.to(), up.at(1.0))]).collect()
            };
            if last_of(found).is_some() {
                canvas.stroked(&bent(found.replicas), INK, 1.0, DASHES)?;
            }
            canvas.line(&bent(1), INK, 1.0, 1.0)
        }
        LawForm::OwnEnd { leeway_ns } => {
            let ends = own_ends(found, leeway_ns).into_iter().map(Some);
            canvas.line(&steps(ends, across, up), INK, 1.0, 1.0)
        }
    }
}

/// What the panel is about, and how far its windows are from their law.
fn heading<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    variant: &VariantSummary,
    found: &RevocationSummary,
    (left, top): Point,
) -> Drawn<DB> {
    let open = match found.windows.iter().filter(|window| window.high_ns.is_none()).count() {
        0 => String::new(),
        open => format!(", {open} still open"),
    };
    canvas.bold(&variant.name, (left, top - 46.0), NORMAL, Align::Left, colour(&variant.method))?;
    let law = found.law.as_ref().map_or_else(|| format!("no law: {}", found.promise), |law| law.name.clone());
    canvas.text(&law, (left, top - 29.0), SMALL, Align::Left, MUTED)?;
    let seen = match &found.law {
        Some(law) => {
            let chance = law.chance.map_or_else(String::new, |chance| format!(", chance {}", fixed(chance, 3)));
            let last = law.last_replica_distance.map_or_else(String::new, |it| format!("; last {}", fixed(it, 3)));
            format!("distance {}{chance}{last}{open}", fixed(law.distance, 3))
        }
        None => format!("longest of {}: {}{open}", found.windows.len(), bracket(&found.max)),
    };
    canvas.text(&seen, (left, top - 13.0), SMALL, Align::Left, MUTED)
}

/// Ticks below, of which as many are named as there is room for, at equal distances.
fn time_axis<DB: DrawingBackend>(canvas: &Canvas<'_, DB>, across: &Scale, (top, bottom): (f64, f64)) -> Drawn<DB> {
    let ticks: Vec<(f64, String)> =
        across.ticks().into_iter().map(|tick| (across.at(tick), axis::time(tick))).collect();
    let named = |every: usize| ticks.iter().step_by(every).collect::<Vec<_>>();
    let apart = |every: &usize| {
        named(*every).windows(2).all(|pair| {
            let widths = text_width(&pair[0].1, SMALL) + text_width(&pair[1].1, SMALL);
            pair[1].0 - pair[0].0 > widths / 2.0 + 8.0
        })
    };
    for (x, _) in &ticks {
        canvas.line(&[(*x, top), (*x, bottom)], GRID, 1.0, 1.0)?;
    }
    let every = (1..=ticks.len()).find(apart).unwrap_or(1);
    named(every)
        .into_iter()
        .try_for_each(|(x, name)| canvas.text(name, (*x, bottom + 12.0), SMALL, Align::Centre, MUTED))
}

/// When each credential ended by itself, soonest first.
fn own_ends(found: &RevocationSummary, leeway_ns: u64) -> Vec<f64> {
    let mut ends: Vec<f64> = found.windows.iter().filter_map(|window| window.own_end_ns(leeway_ns)).collect();
    ends.sort_unstable_by(f64::total_cmp);
    ends
}

/// Until the last replica refused, where a law says when that must be.
fn last_of(found: &RevocationSummary) -> Option<Vec<f64>> {
    found.law.as_ref()?.last_replica_mean_ns?;
    last_replicas(&found.windows, found.replicas)
}

/// The share of values up to each time, as a line. What never ended is in the whole and never in the share.
fn steps(values: impl Iterator<Item = Option<f64>>, across: &Scale, up: &Scale) -> Vec<Point> {
    let all: Vec<Option<f64>> = values.collect();
    let mut ended: Vec<f64> = all.iter().copied().flatten().collect();
    ended.sort_unstable_by(f64::total_cmp);
    let height = |count: usize| up.at(count as f64 / all.len().max(1) as f64);
    let mut points = vec![(across.from(), height(0))];
    for (i, value) in ended.iter().enumerate() {
        let x = across.at(*value);
        points.extend([(x, height(i)), (x, height(i + 1))]);
    }
    points.push((across.to(), height(ended.len())));
    points
}

/// What to read from it.
pub(super) fn caption(summary: &Summary) -> String {
    let panels = panels(summary);
    let chance = |found: &RevocationSummary| found.law.as_ref().and_then(|law| Some((law.distance, law.chance?)));
    let judged: Vec<(&str, f64, f64)> = panels
        .iter()
        .filter_map(|(variant, found)| {
            chance(found).map(|(distance, chance)| (variant.name.as_str(), distance, chance))
        })
        .collect();
    let beyond: Vec<&str> =
        judged.iter().filter(|(_, distance, chance)| distance > chance).map(|(name, _, _)| *name).collect();
    let mut text = match (judged.as_slice(), beyond.as_slice()) {
        ([], _) => String::new(),
        ([(only, _, _)], []) => {
            format!(
                "The windows of {only} lie no further from their law than chance alone brings about in 19 of 20 runs. "
            )
        }
        (all, []) => format!(
            "The windows of each of the {} variants that chance has a part in lie no further from their law than it brings \
             about in 19 of 20 runs. ",
            all.len()
        ),
        (all, beyond) => format!(
            "Of {} variants that chance has a part in, the windows of {} lie further from their law than it brings about in \
             19 of 20 runs. ",
            all.len(),
            list(beyond)
        ),
    };
    text += "Each panel shows the share of a variant's windows that had ended by a time after the acknowledgement, a window at \
             each replica for each credential: the line goes through the middles of the brackets, and the truth lies in the \
             band. Entries of a cache and intervals of a poll give windows that are spread evenly over their period, a straight \
             line; a token that nobody asks about lives as long as it had left, and then both lines are one. The distance is \
             Kolmogorov's: the largest gap between the two lines.";
    if let Some((_, found)) = panels.iter().find(|(_, found)| last_of(found).is_some()) {
        let k = found.replicas;
        text += &format!(
            " Thin: until the last of {k} replicas had refused, whose share by theory is (t/T)^{k} where each fills its cache \
             independently of the others (dashed)."
        );
    }
    if panels.iter().any(|(_, found)| found.law.is_none()) {
        text += " What is told by the store obeys no law, and has a logarithmic axis.";
    }
    let finest = panels.iter().map(|(_, found)| found.probe_interval_ns).min().unwrap_or(0) as f64;
    text += &format!(" The grey field is what probes every {} or more cannot resolve.", duration(finest));
    let others = summary.compared().filter(|variant| variant.revocation.known().is_some());
    let others: Vec<&str> = others
        .filter(|variant| panels.iter().all(|(drawn, _)| drawn.name != variant.name))
        .map(|variant| variant.name.as_str())
        .collect();
    if !others.is_empty() {
        text += &format!(" Without a panel, as they refuse at once or never: {}.", list(&others));
    }
    text
}
