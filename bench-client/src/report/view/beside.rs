//! The table of the traffic beside variants.

use super::{Column, Entry, MILLISECOND, Row, Table, column, count, estimate, figure, row, text};
use crate::cell::Cell;
use crate::report::summary::{BesideSummary, Summary};
use crate::report::sweep::Extra;

type Cells = fn(&Cell<BesideSummary>) -> Entry;

/// The table, where a variant has any.
pub(super) fn extra(summary: &Summary) -> Option<Extra> {
    let columns: [(Column, Cells); 8] = [
        (text("method", "Method"), |found| {
            Entry::text(found.known().map_or_else(String::new, |beside| beside.method.clone()))
        }),
        (text("secret", "Passwords"), |found| {
            Entry::text(found.known().map_or("", |beside| if beside.wrong { "wrong" } else { "right" }))
        }),
        (column("rate_requested", "Requested", "req/s"), |found| {
            figure(&found.map(|beside| beside.per_s_requested), 1.0)
        }),
        (column("rate_accepted", "Accepted", "req/s"), |found| {
            estimate(&found.and_then(|beside| beside.accepted_per_s.clone()), 1.0)
        }),
        (column("rate_refused", "Refused", "req/s"), |found| {
            estimate(&found.and_then(|beside| beside.refused_per_s.clone()), 1.0)
        }),
        (column("dropped", "Dropped", ""), |found| count(&found.map(|beside| beside.dropped))),
        (column("p50", "p50", "ms"), |found| {
            estimate(&found.and_then(|beside| beside.latency_ns_p50.clone()), MILLISECOND)
        }),
        (column("p99", "p99", "ms"), |found| {
            estimate(&found.and_then(|beside| beside.latency_ns_p99.clone()), MILLISECOND)
        }),
    ];
    let having = summary.variants.iter().filter_map(|variant| Some((variant, variant.beside.as_ref()?)));
    let rows: Vec<Row> =
        having.map(|(variant, found)| row(variant, columns.iter().map(|(_, cells)| cells(found)).collect())).collect();
    let columns = columns.into_iter().map(|(column, _)| column).collect();
    let caption = "Requests on the server of the variant while it was measured, which are in none of its other figures. They \
                   are due at random times, and one that finds all its connections busy waits; their latency counts from when \
                   they were due, and is that of accepted ones."
        .to_owned();
    let table = Table { name: "beside", columns, rows };
    (!table.rows.is_empty()).then_some(Extra { title: "Traffic beside variants", caption, table })
}
