//! The table of refusals: what a request with a bad credential costs the server beside one with a good one.

use super::{Column, Entry, MICROSECOND, PERCENT, Row, Table, column, estimate, text};
use crate::cell::{Cell, Estimate};
use crate::compare::{Refusal, RefusalCost};
use crate::plan::Quantity;
use crate::report::summary::{NOT_MEASURED, Summary};
use crate::report::sweep::Extra;

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
                   ratios are to the same variant with good credentials, measured in alternating slices of the same starts: over \
                   100 %, a flood of bad credentials costs the server more than as many requests of its users do."
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
    let cells = vec![
        Entry::text(refusal.presents.name()),
        Entry::text(refusal.beside.clone()),
        Entry::text(refusal.measurement.clone()),
        estimate(&at_saturation(summary, refusal), MICROSECOND),
        of(Quantity::ServerCpu),
        of(Quantity::Validation),
    ];
    Row { name: refusal.variant.clone(), method: refusal.method.clone(), detail: String::new(), cells }
}

/// Server processor time per refusal, in the row of the closed loop that it was measured in.
fn at_saturation(summary: &Summary, refusal: &Refusal) -> Cell<Estimate> {
    let Some(variant) = summary.variant(&refusal.variant) else { return Cell::blank(NOT_MEASURED) };
    variant.throughput.and_then(|throughput| {
        if throughput.measurement == refusal.measurement {
            return throughput.server_cpu_ns_per_request.map(|cpu| cpu.total);
        }
        Cell::blank(format!("this row is not of a saturated server; see that of {}", throughput.measurement))
    })
}
