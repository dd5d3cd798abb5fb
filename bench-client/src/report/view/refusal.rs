//! The table of refusals: what a request with a bad credential costs the server beside one with a good one.

use super::{Column, Entry, PERCENT, Row, Table, column, estimate, text};
use crate::cell::Cell;
use crate::compare::{Refusal, RefusalCost};
use crate::plan::Quantity;
use crate::report::summary::Summary;
use crate::report::sweep::Extra;

const MICROSECOND: f64 = 1e3;

/// The table, where a variant presents credentials that are refused.
pub(super) fn extra(summary: &Summary) -> Option<Extra> {
    summary.refusals.first()?;
    let columns: Vec<Column> = vec![
        text("presents", "Credentials"),
        text("beside", "Beside"),
        text("measurement", "Measurement"),
        column("cpu", "Server CPU at saturation", "µs/request"),
        column("cpu_ratio", "Server CPU", "% of an acceptance's"),
        column("validation_ratio", "Validation time", "% of an acceptance's"),
    ];
    let rows = summary.refusals.iter().map(|refusal| row(summary, refusal)).collect();
    let caption = "Each request presents a credential that is refused, and every answer is checked to be that refusal. The \
                   ratios are to the same variant with good credentials, measured in alternating slices of the same starts: a \
                   flood that costs more than 100 % is cheaper to send than to refuse."
        .to_owned();
    Some(Extra { title: "What a refusal costs", caption, table: Table { name: "refusals", columns, rows } })
}

fn row(summary: &Summary, refusal: &Refusal) -> Row {
    let of = |wanted: Quantity| {
        let found = refusal.costs.iter().find(|RefusalCost { quantity, .. }| *quantity == wanted);
        found.map_or_else(
            || Entry::blank("not told by this kind of measurement"),
            |RefusalCost { ratio, .. }| estimate(ratio, PERCENT),
        )
    };
    let cpu = summary.variant(&refusal.variant).map(|variant| variant.cpu_at_saturation().map(|cpu| cpu.total));
    let cells = vec![
        Entry::text(refusal.presents.name()),
        Entry::text(refusal.beside.clone()),
        Entry::text(refusal.measurement.clone()),
        estimate(&cpu.unwrap_or_else(|| Cell::blank("not measured")), MICROSECOND),
        of(Quantity::ServerCpu),
        of(Quantity::Validation),
    ];
    Row { name: refusal.variant.clone(), method: refusal.method.clone(), detail: String::new(), cells }
}
