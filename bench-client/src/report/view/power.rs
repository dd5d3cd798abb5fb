//! The table of slow-downs of known size, and how often each would be found.

use bench_server::contract::SlowDown;

use super::{Column, Entry, PERCENT, Row, Table, column, text};
use crate::cell::{Cell, Estimate};
use crate::compare::{PowerCurve, PowerPoint};
use crate::report::format;
use crate::report::summary::Summary;
use crate::report::sweep::Extra;
use crate::stats::{COMPARISONS_DRAWN, POWER};

/// The table, where a variant is slowed down on purpose.
pub(super) fn extra(summary: &Summary) -> Option<Extra> {
    let first = summary.power.first()?;
    let columns: Vec<Column> = vec![
        text("quantity", "Figure"),
        column("slow_down", "Slow-down of its validation", ""),
        column("change", "Changed the figure by", "%"),
        column("regressed", "Called regressed", "% of comparisons"),
        column("detectable", "Seen nearly always from", "%"),
    ];
    let rows = summary.power.iter().flat_map(|curve| curve.points.iter().map(move |point| row(summary, curve, point)));
    let table = Table { name: "power", columns, rows: rows.collect() };
    let caption = format!(
        "What a comparison of this scenario finds, which has {} figures, {} starts, and a second look of up to {} starts at \
         what it suspects: its rule applied {} times to starts drawn from those of this run, of a variant and of the same one \
         slowed down on purpose. The last column is Question 0, by how much starts differ: the change of the figure that is \
         found with {} power.",
        first.figures,
        first.starts,
        summary.power.iter().map(|curve| curve.starts_to_confirm).max().unwrap_or(first.starts_to_confirm),
        format::fixed(f64::from(COMPARISONS_DRAWN), 0),
        format::percent(POWER),
    );
    Some(Extra { title: "Slow-downs of known size, and how often they are found", caption, table })
}

fn row(summary: &Summary, curve: &PowerCurve, point: &PowerPoint) -> Row {
    let share = |value| super::estimate(&Cell::Known(Estimate { value, interval: None }), PERCENT);
    let cells = vec![
        Entry::text(figure(summary, curve)),
        Entry { value: Some(size(point.slow_down)), ..Entry::text(format::slow_down(point.slow_down)) },
        super::estimate(&Cell::Known(point.change), PERCENT),
        share(point.regressed),
        share(curve.detectable),
    ];
    Row { name: curve.variant.clone(), method: curve.method.clone(), detail: String::new(), cells }
}

/// What a curve is of, with its measurement where several have curves.
pub(crate) fn figure(summary: &Summary, curve: &PowerCurve) -> String {
    let several = summary.power.iter().any(|other| other.measurement != curve.measurement);
    let of = if several { format!(" ({})", curve.measurement) } else { String::new() };
    format!("{}{of}", curve.quantity.title())
}

/// For sorting: shares among shares, and times among times.
pub(crate) fn size(slow_down: SlowDown) -> f64 {
    match slow_down {
        SlowDown::Share(share) => share / PERCENT,
        SlowDown::Time(time) => time.as_nanos() as f64,
    }
}
