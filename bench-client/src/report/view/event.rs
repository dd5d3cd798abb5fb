//! Tables of rollovers and outages: what callers suffered, and what got in.

use super::{Column, Entry, MILLISECOND, PERCENT, Row, Table, column, count, figure, text};
use crate::cell::Cell;
use crate::report::summary::{EventCalls, EventKind, Summary};
use crate::report::sweep::Extra;

const OUTAGES: &str = "What became of calls while what the server asks was slow or gone. Served: the share of calls with a good \
    credential that were accepted while it lasted; the others were answered 503, refused, failed, or not even sent because the \
    caller still waited for its last answer. Let in: calls with a credential that had been revoked meanwhile and that were \
    accepted all the same, with the longest time after its revocation.";

const ROLLOVERS: &str = "What became of calls while a credential, or the key that it is signed with, was replaced. Cut off: \
    callers that were not served at least once although all they did was to change over a little later. Let in: calls with the \
    old one that were accepted after it had ended.";

type Cells = fn(&EventCalls) -> Entry;

/// The tables, where the run has anything for them.
pub(super) fn extras(summary: &Summary) -> impl Iterator<Item = Extra> {
    let table = |kind, name, title, caption: &str| {
        let table = table(summary, kind, name)?;
        Some(Extra { title, caption: caption.to_owned(), table })
    };
    let outages = table(EventKind::Outage, "outages", "What an outage does", OUTAGES);
    outages.into_iter().chain(table(EventKind::Rollover, "rollovers", "What a rollover does", ROLLOVERS))
}

fn table(summary: &Summary, kind: EventKind, name: &'static str) -> Option<Table> {
    let of_kind = || summary.events.iter().filter(move |event| event.kind == kind);
    of_kind().next()?;
    let mut columns = columns();
    if kind == EventKind::Outage {
        let asks: Cells = |calls| match &calls.dependency {
            Some(dependency) => Entry::text(dependency.clone()),
            None => Entry::blank("it asks nothing outside its own process, and was not disturbed"),
        };
        columns.insert(0, (text("dependency", "Asks"), asks));
    }
    let rows = of_kind().flat_map(|event| {
        event.cases.iter().map(|case| {
            let cells = columns.iter().map(|(_, cells)| match &case.calls {
                Cell::Known(calls) => cells(calls),
                Cell::Blank { blank } => Entry::blank(blank),
            });
            let first = Entry { detail: event.what.clone(), ..Entry::text(event.measurement.clone()) };
            let cells = std::iter::once(first).chain(cells).collect();
            Row { name: case.variant.clone(), method: case.method.clone(), detail: String::new(), cells }
        })
    });
    let rows = rows.collect();
    let columns = std::iter::once(text("event", "Event")).chain(columns.into_iter().map(|(column, _)| column));
    Some(Table { name, rows, columns: columns.collect() })
}

fn columns() -> Vec<(Column, Cells)> {
    fn number(n: u64) -> Entry {
        count(&Cell::Known(n))
    }
    fn milliseconds(ns: Option<u64>, why: &str) -> Entry {
        figure(&Cell::or_blank(ns.map(|ns| ns as f64), why), MILLISECOND)
    }
    const FEW: &str = "fewer than a hundred accepted calls";
    vec![
        (column("served", "Served", "% meanwhile"), |calls| {
            figure(&Cell::or_blank(calls.served_share(), "no call was due"), PERCENT)
        }),
        (column("unavailable", "503", "calls"), |calls| number(calls.total.unavailable)),
        (column("wrongly_refused", "Wrongly refused", "calls"), |calls| number(calls.total.wrongly_refused)),
        (column("failed", "Failed", "calls"), |calls| number(calls.total.failed)),
        (column("held_up", "Held up", "calls"), |calls| number(calls.total.held_up)),
        (column("cut_off", "Cut off", "callers"), |calls| number(calls.cut_off as u64)),
        (column("served_again", "Served again", "ms after it"), |calls| {
            milliseconds(Some(calls.served_again_after_ns.unwrap_or(0)), "")
        }),
        (column("wrongly_accepted", "Let in", "calls"), |calls| number(calls.total.wrongly_accepted)),
        (column("lived_on", "at the longest", "ms after its end"), |calls| {
            let entry = milliseconds(calls.lived_on_ns, "nobody was let in");
            match calls.still_accepted {
                0 => entry,
                still => Entry { detail: format!("{still} to the end of the calls"), ..entry },
            }
        }),
        (column("p90_before", "p90 before", "ms"), |calls| milliseconds(calls.latency_p90_ns[0], FEW)),
        (column("p90_during", "p90 meanwhile", "ms"), |calls| milliseconds(calls.latency_p90_ns[1], FEW)),
    ]
}
