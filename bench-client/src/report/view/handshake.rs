//! Tables of new connections and of what it takes to begin.

use super::{Column, Entry, MICROSECOND, Row, Table, column, count, estimate, figure, row, text};
use crate::cell::{Cell, Estimate};
use crate::plan::SessionKind;
use crate::record::Channel;
use crate::report::format;
use crate::report::summary::{
    Amortisation, Counted, HandshakeCase, HandshakeSummary, SetupSummary, Summary, VariantSummary,
};
use crate::report::sweep::Extra;
use crate::stats::BreakEven;

/// The tables of new connections and setups, where the run has any.
pub(super) fn extras(summary: &Summary) -> impl Iterator<Item = Extra> {
    let tables = [
        ("New connections", HANDSHAKES, handshakes(summary)),
        ("Break-even of client certificates", AMORTISATION, amortisation(summary)),
        ("Setup", SETUP, setup(summary)),
    ];
    let extra = |(title, caption, table): (&'static str, &str, Option<Table>)| {
        Some(Extra { title, caption: caption.to_owned(), table: table? })
    };
    tables.into_iter().filter_map(extra)
}

type Cells = fn(&HandshakeCase) -> Entry;

/// One row per variant, kind of session and number of requests; `None` where none was measured.
fn handshakes(summary: &Summary) -> Option<Table> {
    fn of(case: &HandshakeCase, cell: impl Fn(&HandshakeSummary) -> Cell<Estimate>) -> Entry {
        estimate(&case.found.and_then(cell), MICROSECOND)
    }
    fn bytes(case: &HandshakeCase, of: fn(&HandshakeSummary) -> f64) -> Entry {
        whole(&case.found.map(of))
    }
    fn share(case: &HandshakeCase, of: fn(&HandshakeSummary) -> Counted) -> Entry {
        figure(&case.found.map(|it| of(it).client as f64 / (it.full.client + it.resumed.client) as f64), 0.01)
    }
    let columns: Vec<(Column, Cells)> = vec![
        (text("session", "Session"), |case| Entry::text(case.session.word())),
        (column("requests", "Requests", "per connection"), |case| {
            count(&Cell::Known(u64::from(case.requests_per_connection)))
        }),
        (column("connections_rate", "New connections", "per s"), |case| estimate(&case.found.map(|it| it.per_s), 1.0)),
        (column("requests_rate", "Requests", "req/s"), |case| estimate(&case.found.map(|it| it.requests_per_s), 1.0)),
        (column("ready_p50", "Handshake p50", "µs"), |case| of(case, |it| it.ready_ns.p50.clone())),
        (column("ready_p99", "Handshake p99", "µs"), |case| of(case, |it| it.ready_ns.p99.clone())),
        (column("tcp_p50", "of it TCP p50", "µs"), |case| of(case, |it| it.tcp_ns.p50.clone())),
        (column("tls_p50", "of it TLS p50", "µs"), |case| of(case, |it| it.tls_ns.p50.clone())),
        (column("first_answer_p50", "First answer p50", "µs"), |case| of(case, |it| it.first_answer_ns.p50.clone())),
        (column("first_answer_p99", "First answer p99", "µs"), |case| of(case, |it| it.first_answer_ns.p99.clone())),
        (column("cpu_connection", "Server CPU", "µs/connection"), |case| {
            of(case, |it| it.server_cpu_ns_per_connection.clone())
        }),
        (column("cpu_request", "Server CPU", "µs/request"), |case| {
            of(case, |it| it.server_cpu_ns_per_request.clone())
        }),
        (column("client_cpu_connection", "Client CPU", "µs/connection"), |case| {
            of(case, |it| Cell::Known(it.client_cpu_ns_per_connection))
        }),
        (column("bytes_sent", "Sent", "bytes/connection"), |case| bytes(case, |it| it.bytes_sent_per_connection)),
        (column("bytes_received", "Received", "bytes/connection"), |case| {
            bytes(case, |it| it.bytes_received_per_connection)
        }),
        (column("full", "Full", "%"), |case| share(case, |it| it.full)),
        (column("resumed", "Resumed", "%"), |case| share(case, |it| it.resumed)),
        (column("with_certificate", "With certificate", "%"), |case| share(case, |it| it.with_certificate)),
        (text("key_exchange", "Key exchange"), |case| match &case.found {
            Cell::Known(found) if found.key_exchange.is_empty() => Entry::text("none"),
            Cell::Known(found) => {
                Entry::text(found.key_exchange.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Cell::Blank { blank } => Entry::blank(blank),
        }),
    ];
    let rows: Vec<Row> = summary
        .variants
        .iter()
        .flat_map(|variant| variant.handshakes.iter().map(move |case| (variant, case)))
        .map(|(variant, case)| row(variant, columns.iter().map(|(_, cells)| cells(case)).collect()))
        .collect();
    let columns = columns.into_iter().map(|(column, _)| column).collect();
    (!rows.is_empty()).then_some(Table { name: "handshakes", columns, rows })
}

/// Where client certificates become cheaper; `None` where that was not measured.
fn amortisation(summary: &Summary) -> Option<Table> {
    let rows: Vec<Row> = summary
        .amortisation
        .iter()
        .map(|found| Row {
            name: found.variant.clone(),
            method: summary.variant(&found.variant).map_or_else(String::new, |variant| variant.method.clone()),
            detail: String::new(),
            cells: vec![
                Entry::text(found.session.word()),
                Entry::text(&found.against),
                Entry::text(found.against_session.word()),
                crossing(found),
            ],
        })
        .collect();
    let columns = vec![
        text("session", "Session"),
        text("against", "Cheaper than"),
        text("against_session", "With session"),
        column("break_even", "From", "requests per connection"),
    ];
    (!rows.is_empty()).then_some(Table { name: "break-even", columns, rows })
}

fn crossing(found: &Amortisation) -> Entry {
    let number = |crossing| match crossing {
        BreakEven::At(requests) => Some(requests),
        BreakEven::Before => Some(f64::from(found.from)),
        BreakEven::Beyond => None,
    };
    let remark = match found.break_even {
        BreakEven::Before => format!("cheaper at every number measured, {} to {}", found.from, found.to),
        BreakEven::Beyond => format!("no crossing from {} to {}", found.from, found.to),
        BreakEven::At(_) => String::new(),
    };
    let interval = found
        .interval
        .map(|(low, high)| format!("{} – {}", format::crossing(low, found), format::crossing(high, found)))
        .unwrap_or_default();
    Entry {
        text: format::crossing(found.break_even, found),
        detail: if remark.is_empty() { interval } else { remark },
        // One that was not reached sorts behind all that were.
        value: Some(number(found.break_even).unwrap_or(f64::MAX)),
        low: found.interval.and_then(|(low, _)| number(low)),
        high: found.interval.and_then(|(_, high)| number(high)),
        ..Entry::default()
    }
}

/// From nothing to the first authorised request; `None` where that was not measured.
fn setup(summary: &Summary) -> Option<Table> {
    type Cells = fn(&SetupSummary) -> Entry;
    let columns: Vec<(Column, Cells)> = vec![
        (column("total", "Time, median", "ms"), |it| estimate(&Cell::Known(it.total_ns), 1e6)),
        (column("round_trips", "Round trips", "of the client"), |it| count(&Cell::Known(u64::from(it.round_trips)))),
        (column("out_of_band", "Out of band", "steps"), |it| count(&Cell::Known(it.out_of_band as u64))),
        (column("bytes_sent", "Sent", "bytes"), |it| whole(&Cell::Known(it.bytes_sent))),
        (column("bytes_received", "Received", "bytes"), |it| whole(&Cell::Known(it.bytes_received))),
        (column("secrets", "Secrets to keep", "at the client"), |it| {
            let words = it.secrets.iter().map(|secret| format!("{}, {} bytes", secret.what, secret.bytes));
            let detail = words.collect::<Vec<_>>().join("; ");
            Entry { detail, ..count(&Cell::Known(it.secrets.len() as u64)) }
        }),
        (column("moving_parts", "Moving parts", "besides the API"), |it| Entry {
            detail: it.moving_parts.join("; "),
            ..count(&Cell::Known(it.moving_parts.len() as u64))
        }),
        (text("steps", "Steps"), |it| {
            let words = it.steps.iter().map(|step| {
                let taken = format::duration(step.elapsed_ns.value);
                match step.over {
                    Channel::OutOfBand => format!("{} (out of band), {taken}", step.name),
                    Channel::Connection | Channel::Request => {
                        let plural = if step.round_trips == 1 { "" } else { "s" };
                        format!("{}, {} round trip{plural}, {taken}", step.name, step.round_trips)
                    }
                }
            });
            Entry::text(words.collect::<Vec<_>>().join("; "))
        }),
    ];
    let rows: Vec<Row> = summary
        .variants
        .iter()
        .filter_map(|variant| {
            let cells = match variant.setup.as_ref()? {
                Cell::Known(found) => columns.iter().map(|(_, cells)| cells(found)).collect(),
                Cell::Blank { blank } => columns.iter().map(|_| Entry::blank(blank)).collect(),
            };
            Some(row(variant, cells))
        })
        .collect();
    let columns = columns.into_iter().map(|(column, _)| column).collect();
    (!rows.is_empty()).then_some(Table { name: "setup", columns, rows })
}

fn whole(cell: &Cell<f64>) -> Entry {
    match cell {
        Cell::Known(value) => Entry { text: format::fixed(*value, 0), value: Some(*value), ..Entry::default() },
        Cell::Blank { blank } => Entry::blank(blank),
    }
}

/// What stands above the table of new connections.
const HANDSHAKES: &str = "New connections in a closed loop, each with so many requests, every answer checked. \
     Handshake: from the begin of the connect until the connection carries data. In TLS 1.3 that is before the server has \
     seen a client certificate; the first answer is behind that. CPU holds the whole connection, its end included. Full, \
     resumed and with certificate are shares of the handshakes, as client and server counted them alike.";

/// What stands above the break-evens.
const AMORTISATION: &str = "From how many requests per connection on a client certificate costs the server less \
     processor time per request than a credential in each request. Both pay their own handshakes at the same number of \
     requests; between the numbers that were measured the curves are taken for straight in logarithms.";

/// What stands above the table of setups.
const SETUP: &str = "From nothing to the first authorised request, as the method’s standard says. Round trips are \
     counted by what the protocols demand: one for TCP, one for TLS 1.3, two for a full handshake of TLS 1.2, one for each \
     request. Out of band is what an operator does: registering, issuing. On loopback time is work, not distance.";

/// Kinds of session that cases of the summary have.
pub(crate) fn sessions(variant: &VariantSummary) -> Vec<SessionKind> {
    let mut sessions: Vec<SessionKind> = variant.handshakes.iter().map(|case| case.session).collect();
    sessions.dedup();
    sessions
}
