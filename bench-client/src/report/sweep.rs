//! Swept figures in words and tables: names and units of the metrics, crossings as sentences.

use super::format::{duration, interval, number, percent};
use super::headline::interval_words;
use super::summary::{AxisUnit, LineCrossings, Summary, SweepPanel, SweepSummary};
use super::view::{Column, Entry, Row, Table, estimate};
use crate::cell::{Cell, Estimate};
use crate::plan::Metric;
use crate::stats::Crossing;

/// Below this share of drawings that agree on the number of crossings, a reader is told.
const AGREED: f64 = 0.95;

/// Pairs that do not cross are named up to so many.
const NAMED_MAX: usize = 6;

/// What a metric is called and how its figures are written.
pub(super) struct Words {
    pub(super) title: &'static str,
    pub(super) unit: &'static str,
    /// Figures are divided by this to be in the unit.
    pub(super) scale: f64,
    /// Head of a column.
    head: &'static str,
}

pub(super) fn words(metric: Metric) -> Words {
    let time = |title, head| Words { title, unit: "µs", scale: 1e3, head };
    match metric {
        Metric::LatencyP50 => time("Median latency", "p50"),
        Metric::LatencyP99 => time("99th percentile of latency", "p99"),
        Metric::LatencyAddedP50 => time("Median latency added to the baseline", "Added p50"),
        Metric::LatencyAddedP99 => time("99th percentile of latency added to the baseline", "Added p99"),
        Metric::ValidationP50 => time("Median validation time", "Validation p50"),
        Metric::ServerCpu => Words {
            title: "Server CPU per request at saturation",
            unit: "µs/request",
            scale: 1e3,
            head: "Server CPU at saturation",
        },
        Metric::Throughput => {
            Words { title: "Throughput at saturation", unit: "req/s", scale: 1.0, head: "Throughput" }
        }
        Metric::BytesSent => Words { title: "Bytes sent per request", unit: "bytes/request", scale: 1.0, head: "Sent" },
        Metric::BytesReceived => {
            Words { title: "Bytes received per request", unit: "bytes/request", scale: 1.0, head: "Received" }
        }
    }
}

/// A figure of a metric, with unit, as an axis shows it.
pub(super) fn tick(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Throughput | Metric::BytesSent | Metric::BytesReceived => number(value),
        _ if value < 0.0 => super::format::signed(value),
        _ => duration(value),
    }
}

/// A swept value.
pub(super) fn position(quantity: AxisUnit, at: f64) -> String {
    match quantity {
        AxisUnit::TimeNs => duration(at),
        AxisUnit::Number => number(at),
    }
}

/// File stem of a figure, which no other has.
pub(super) fn file_stem(summary: &Summary, number: usize) -> String {
    let stem = |sweep: &SweepSummary| {
        format!("sweep-{}-{}", sweep.key.replace('.', "-"), sweep.metric.word()).replace('_', "-")
    };
    let sweep = &summary.sweeps[number];
    let alone = summary.sweeps.iter().filter(|other| stem(other) == stem(sweep)).count() == 1;
    if alone { stem(sweep) } else { format!("{}-{}", stem(sweep), sweep.measurement) }
}

/// Title of a figure.
pub(super) fn title(sweep: &SweepSummary) -> String {
    format!("{} against {}", words(sweep.metric).title, sweep.key)
}

/// The answers: where lines cross, and against what none do.
pub(crate) fn sentences(summary: &Summary) -> Vec<String> {
    let (mut sentences, mut without) = (Vec::new(), Vec::new());
    for (sweep, panel) in summary.sweeps.iter().flat_map(|sweep| sweep.panels.iter().map(move |panel| (sweep, panel))) {
        let crossing = panel.crossings.iter().filter(|pair| !pair.crossings.found.is_empty());
        let crossing: Vec<String> = crossing.map(|pair| crossing_words(sweep, pair)).collect();
        let subject = format!("{}{}", title(sweep), circumstances(panel));
        if !crossing.is_empty() {
            sentences.push(format!("{subject}: {}.", crossing.join("; ")));
        } else if !panel.crossings.is_empty() {
            without.push(subject);
        }
    }
    if !without.is_empty() {
        sentences.push(format!("No two lines cross within the range measured: {}.", without.join("; ")));
    }
    sentences
}

fn circumstances(panel: &SweepPanel) -> String {
    if panel.at.is_empty() { String::new() } else { format!(" ({})", panel.at.join(", ")) }
}

/// `api-key is lower than jwt up to 31 µs (28 – 35 µs), and higher beyond`.
fn crossing_words(sweep: &SweepSummary, pair: &LineCrossings) -> String {
    let (lower, higher) = in_order(pair);
    let drawn = doubt(pair);
    let doubt = drawn.as_ref().map_or_else(String::new, |doubt| format!(" ({doubt})"));
    match pair.crossings.found.as_slice() {
        // Drawings that do not agree even on how many there are know no place.
        found if drawn.is_some() && found.iter().all(|crossing| crossing.interval.is_none()) => {
            format!("{lower} begins below {higher}, and where they cross this run cannot tell{doubt}")
        }
        [one] => format!("{lower} is lower than {higher} up to {}, and higher beyond{doubt}", place(sweep, one)),
        several => {
            let places: Vec<String> = several.iter().map(|crossing| place(sweep, crossing)).collect();
            format!("{lower} begins below {higher}, and they cross at {}{doubt}", places.join(", "))
        }
    }
}

fn in_order(pair: &LineCrossings) -> (&str, &str) {
    if pair.crossings.first_is_lower { (&pair.first, &pair.second) } else { (&pair.second, &pair.first) }
}

/// A crossing with its interval.
fn place(sweep: &SweepSummary, crossing: &Crossing) -> String {
    let at = |place| position(sweep.quantity, place);
    match crossing_interval(sweep, crossing) {
        Some(interval) => format!("{} ({interval})", at(crossing.at)),
        None => at(crossing.at),
    }
}

fn crossing_interval(sweep: &SweepSummary, crossing: &Crossing) -> Option<String> {
    let at = |place| position(sweep.quantity, place);
    let ends = crossing.interval?;
    Some(match (ends.low, ends.high) {
        (Some(low), Some(high)) => format!("{} – {}", at(low), at(high)),
        (Some(low), None) => format!("{} – beyond the range", at(low)),
        (None, Some(high)) => format!("below the range – {}", at(high)),
        (None, None) => "anywhere in the range or beyond".to_owned(),
    })
}

/// What a reader must know where the drawings of the bootstrap do not agree.
fn doubt(pair: &LineCrossings) -> Option<String> {
    let agreement = pair.crossings.agreement.filter(|agreement| *agreement < AGREED)?;
    let what = match pair.crossings.found.len() {
        0 => "none".to_owned(),
        1 => "one crossing".to_owned(),
        several => format!("{several} crossings"),
    };
    Some(format!("{} of the drawings have {what}", percent(agreement)))
}

/// What to read from a figure.
pub(super) fn caption(summary: &Summary, sweep: &SweepSummary) -> String {
    let mut text = String::new();
    for panel in &sweep.panels {
        let here = if panel.at.is_empty() { String::new() } else { format!("{}: ", panel.at.join(", ")) };
        let mut sentences: Vec<String> = Vec::new();
        let crossing = panel.crossings.iter().filter(|pair| !pair.crossings.found.is_empty());
        sentences.extend(crossing.map(|pair| crossing_words(sweep, pair)));
        let apart: Vec<&LineCrossings> =
            panel.crossings.iter().filter(|pair| pair.crossings.found.is_empty()).collect();
        if !apart.is_empty() {
            let named = apart.iter().take(NAMED_MAX).map(|pair| {
                let (lower, higher) = in_order(pair);
                let doubt = doubt(pair).map_or_else(String::new, |doubt| format!(" ({doubt})"));
                format!("{lower} below {higher}{doubt}")
            });
            let named = named.collect::<Vec<_>>().join(", ");
            let more = apart.len().saturating_sub(NAMED_MAX);
            let more = if more > 0 { format!(", and {more} other pairs") } else { String::new() };
            sentences.push(format!("no crossing within the range: {named}{more}"));
        }
        if !sentences.is_empty() {
            text += &format!("{here}{}. ", sentences.join("; "));
        }
    }
    text += "Lines are straight between the points that were measured; a crossing is where two of them meet. Flat lines are \
             variants that the sweep does not touch.";
    if summary.intervals_over.is_some() {
        text += &format!(" Vertical strokes, bands and the bars at crossings are {}.", interval_words(summary));
    }
    text
}

fn text_column(key: &'static str, title: &'static str) -> Column {
    Column { key, title, unit: "", numeric: false }
}

/// Every drawn point, one row each; `None` without sweeps.
pub(crate) fn points(summary: &Summary) -> Option<Table> {
    let mut metrics: Vec<Metric> = summary.sweeps.iter().map(|sweep| sweep.metric).collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut columns = vec![
        text_column("swept", "Swept key"),
        text_column("value", "Value"),
        Column { key: "position", title: "Position", unit: "ns, or the number itself", numeric: true },
        text_column("under", "Under"),
    ];
    columns.extend(metrics.iter().map(|metric| {
        let words = words(*metric);
        Column { key: metric.word(), title: words.head, unit: words.unit, numeric: true }
    }));
    // Measurements differ between metrics, so a row is a line at a position.
    type Place<'s> = (&'s str, &'s [String], &'s str, Option<u64>);
    let mut rows: Vec<(Place<'_>, Row)> = Vec::new();
    for sweep in &summary.sweeps {
        let lines = sweep.panels.iter().flat_map(|panel| panel.lines.iter().map(move |line| (panel, line)));
        for (panel, line) in lines {
            for point in &line.points {
                let place: Place<'_> = (&sweep.key, &panel.at, &line.name, point.position.map(f64::to_bits));
                let index = rows.iter().position(|(known, _)| *known == place).unwrap_or_else(|| {
                    let mut cells = vec![
                        Entry::text(&sweep.key),
                        match point.position {
                            Some(at) => Entry::text(position(sweep.quantity, at)),
                            None => Entry::blank("not swept: the same at every value"),
                        },
                        match point.position {
                            Some(at) => Entry { text: number(at), value: Some(at), ..Entry::default() },
                            None => Entry::blank("not swept: the same at every value"),
                        },
                        Entry::text(panel.at.join(", ")),
                    ];
                    cells.resize(columns.len(), Entry::blank("not drawn against this key"));
                    let row =
                        Row { name: line.name.clone(), method: line.method.clone(), detail: String::new(), cells };
                    rows.push((place, row));
                    rows.len() - 1
                });
                let column = columns.iter().position(|column| column.key == sweep.metric.word());
                if let Some(column) = column {
                    rows[index].1.cells[column] = estimate(&point.figure, words(sweep.metric).scale);
                }
            }
        }
    }
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    (!rows.is_empty()).then_some(Table { name: "sweep", columns, rows })
}

/// Every pair of lines that could cross; `None` where there is none.
pub(crate) fn crossings(summary: &Summary) -> Option<Table> {
    let columns = vec![
        text_column("other", "With"),
        text_column("figure", "Figure"),
        text_column("swept", "Swept key"),
        text_column("under", "Under"),
        Column { key: "crossing", title: "Crossing", unit: "", numeric: true },
        text_column("lower", "Lower at first"),
        Column { key: "agreement", title: "Drawings that agree", unit: "%", numeric: true },
    ];
    let mut rows = Vec::new();
    for sweep in &summary.sweeps {
        for (panel, pair) in sweep.panels.iter().flat_map(|panel| panel.crossings.iter().map(move |pair| (panel, pair)))
        {
            let method = panel.lines.iter().find(|line| line.name == pair.first).map(|line| line.method.clone());
            let agreement = match pair.crossings.agreement {
                Some(share) => Entry { text: percent(share), value: Some(share * 100.0), ..Entry::default() },
                None => Entry::blank("too few trials to draw from"),
            };
            let row = |crossing: Entry| Row {
                name: pair.first.clone(),
                method: method.clone().unwrap_or_default(),
                detail: String::new(),
                cells: vec![
                    Entry::text(&pair.second),
                    Entry::text(words(sweep.metric).title),
                    Entry::text(&sweep.key),
                    Entry::text(panel.at.join(", ")),
                    crossing,
                    Entry::text(in_order(pair).0),
                    agreement.clone(),
                ],
            };
            rows.extend(pair.crossings.found.iter().map(|crossing| {
                row(Entry {
                    text: position(sweep.quantity, crossing.at),
                    detail: crossing_interval(sweep, crossing).unwrap_or_default(),
                    value: Some(crossing.at),
                    low: crossing.interval.and_then(|interval| interval.low),
                    high: crossing.interval.and_then(|interval| interval.high),
                    ..Entry::default()
                })
            }));
            if pair.crossings.found.is_empty() {
                let (from, to) = (position(sweep.quantity, pair.from), position(sweep.quantity, pair.to));
                rows.push(row(Entry::blank(&format!("no crossing from {from} to {to}"))));
            }
        }
    }
    (!rows.is_empty()).then_some(Table { name: "crossings", columns, rows })
}

/// What a million requests cost; `None` without a price.
pub(crate) fn cost(summary: &Summary) -> Option<Table> {
    let price = summary.price_per_core_hour.as_ref()?;
    let columns = vec![
        Column { key: "cpu_per_million", title: "CPU per million requests", unit: "core seconds", numeric: true },
        Column { key: "throughput", title: "Throughput of one core", unit: "req/s", numeric: true },
        Column { key: "price", title: "Price of a million requests", unit: "", numeric: true },
    ];
    // A microsecond per request is a second per million of them.
    let seconds = |cell: Cell<Estimate>| estimate(&cell, 1e3);
    let money = |cell: &Option<Cell<Estimate>>| {
        let mut entry = cell.as_ref().map_or_else(|| Entry::blank("no price"), |cell| estimate(cell, 1.0));
        if entry.blank.is_none() {
            entry.text = format!("{} {}", entry.text, price.currency);
            if let Some(Cell::Known(found)) = cell {
                // Small sums need their own digits.
                entry.text = format!("{} {}", number(found.value), price.currency);
                entry.detail = interval(found, 1.0).unwrap_or_default();
            }
        }
        entry
    };
    let rows = summary.variants.iter().map(|variant| Row {
        name: variant.name.clone(),
        method: variant.method.clone(),
        detail: String::new(),
        cells: vec![
            seconds(variant.cpu_at_saturation().map(|cpu| cpu.total)),
            estimate(&variant.throughput.map(|throughput| throughput.per_s), 1.0),
            money(&variant.price_per_million_requests),
        ],
    });
    Some(Table { name: "cost", columns, rows: rows.collect() })
}

/// A table that only some scenarios have.
pub(crate) struct Extra {
    pub(crate) title: &'static str,
    pub(crate) caption: String,
    pub(crate) table: Table,
}

/// The tables that this run has beyond those of every run.
pub(crate) fn extras(summary: &Summary) -> Vec<Extra> {
    let uncertainty = match summary.intervals_over {
        Some(_) => format!(" Small figures are {}.", interval_words(summary)),
        None => String::new(),
    };
    let extra = |title, table: Option<Table>, caption: String| table.map(|table| Extra { title, caption, table });
    let price = summary.price_per_core_hour.as_ref().map(|price| {
        format!(
            "At {price} per hour of one processor core, the scenario's own figure: put yours in with --set \
             price_per_core_hour. Processor time of the server at saturation, user and system; memory, network, and a store \
             outside the server's processes are not in it.{uncertainty}"
        )
    });
    [
        extra("Price of a million requests", cost(summary), price.unwrap_or_default()),
        extra(
            "Crossings",
            crossings(summary),
            format!(
                "Where two lines have the same height, and the interval that holds it in 95\u{a0}% of the bootstrap's \
                 drawings. A drawing whose lines do not cross counts as one that crosses beyond the end that they tend \
                 to.{uncertainty}"
            ),
        ),
        extra("Swept values", points(summary), format!("Every point of the figures above.{uncertainty}")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Crossings, Spacing};

    fn words_of(found: Vec<Crossing>, agreement: f64) -> String {
        let sweep = SweepSummary {
            key: "store.delay".to_owned(),
            quantity: AxisUnit::TimeNs,
            spacing: Spacing::Linear,
            metric: Metric::LatencyP50,
            measurement: "latency".to_owned(),
            panels: Vec::new(),
        };
        let crossings = Crossings { found, first_is_lower: true, agreement: Some(agreement) };
        let pair = LineCrossings { first: "a".to_owned(), second: "b".to_owned(), from: 0.0, to: 1e7, crossings };
        crossing_words(&sweep, &pair).replace('\u{a0}', " ")
    }

    #[test]
    fn a_crossing_is_claimed_as_far_as_the_drawings_agree() {
        let interval = |low, high| Some(crate::stats::CrossingInterval { low, high });
        let at = |at, interval| Crossing { at, interval };
        assert_eq!(
            words_of(vec![at(31e3, interval(Some(28e3), Some(35e3)))], 1.0),
            "a is lower than b up to 31 µs (28 µs – 35 µs), and higher beyond"
        );
        assert_eq!(
            words_of(vec![at(31e3, interval(Some(28e3), None))], 0.8),
            "a is lower than b up to 31 µs (28 µs – beyond the range), and higher beyond (80 % of the drawings have one \
             crossing)"
        );
        assert_eq!(
            words_of(vec![at(1e3, None), at(2e3, None), at(3e3, None)], 0.36),
            "a begins below b, and where they cross this run cannot tell (36 % of the drawings have 3 crossings)"
        );
    }
}
