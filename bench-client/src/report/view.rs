//! The report's tables as text, made once: the terminal, Markdown, CSV and HTML only draw them.

mod attack;
mod beside;
mod event;
mod handshake;
mod power;
mod refusal;
mod revocation;
mod threshold;

pub(crate) use attack::{ALL_CASES, in_words as findings_in_words};
pub(crate) use threshold::in_words as limit_in_words;

use serde::Serialize;

pub(crate) use self::handshake::sessions;
pub(crate) use self::power::{figure as power_figure, size as slow_down_size};
use super::Report;
use super::checks::{Check, CheckVerdict};
use super::claims::{Claim, ClaimVerdict, METHODS};
use super::format;
use super::summary::{Bracket, LatencySummary, NOT_MEASURED, Resources, Side, Summary, TcpPerRequest, VariantSummary};
use super::sweep::{self, Extra};
use crate::cell::{Cell, Estimate};

/// A table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Table {
    /// File stem and anchor.
    pub(crate) name: &'static str,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

/// A column.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Column {
    /// Name in CSV and for picking columns.
    pub(crate) key: &'static str,
    /// Head, without unit.
    pub(crate) title: &'static str,
    /// Unit, or what the figure counts.
    pub(crate) unit: &'static str,
    /// Whether cells are figures: set flush right and sorted by value.
    pub(crate) numeric: bool,
}

/// A row: what it is about, and its figures.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// The variant.
    pub(crate) name: String,
    /// Its method.
    pub(crate) method: String,
    /// Second line under the name.
    pub(crate) detail: String,
    /// One per column.
    pub(crate) cells: Vec<Entry>,
}

/// A cell as text.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Entry {
    /// What is shown; empty when blank.
    pub(crate) text: String,
    /// The interval or a remark.
    pub(crate) detail: String,
    /// Half of the interval's width, where there is little room.
    pub(crate) plus_minus: Option<String>,
    /// The figure in the column's unit, for sorting and CSV.
    pub(crate) value: Option<f64>,
    /// Ends of the interval in the column's unit.
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    /// Why there is no figure.
    pub(crate) blank: Option<String>,
}

impl Entry {
    pub(super) fn blank(reason: &str) -> Self {
        Self { blank: Some(reason.to_owned()), ..Self::default() }
    }

    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

const MICROSECOND: f64 = 1e3;
const MILLISECOND: f64 = 1e6;
const PERCENT: f64 = 0.01;
const MEBIBYTE: f64 = 1_048_576.0;

fn figure(cell: &Cell<f64>, scale: f64) -> Entry {
    match cell {
        Cell::Known(value) => {
            Entry { text: format::number(value / scale), value: Some(value / scale), ..Entry::default() }
        }
        Cell::Blank { blank } => Entry::blank(blank),
    }
}

pub(super) fn estimate(cell: &Cell<Estimate>, scale: f64) -> Entry {
    match cell {
        Cell::Known(estimate) => Entry {
            text: format::estimate(estimate, scale),
            detail: format::interval(estimate, scale).unwrap_or_default(),
            value: Some(estimate.value / scale),
            plus_minus: format::plus_minus(estimate, scale),
            low: estimate.interval.map(|interval| interval.low / scale),
            high: estimate.interval.map(|interval| interval.high / scale),
            blank: None,
        },
        Cell::Blank { blank } => Entry::blank(blank),
    }
}

/// A bracket sorts by its upper end; one that never closed after all that did.
fn bracket(cell: &Cell<Bracket>) -> Entry {
    match cell {
        Cell::Known(bracket) => Entry {
            text: format::bracket(bracket),
            value: Some(bracket.high_ns.unwrap_or(f64::MAX) / 1e6),
            low: Some(bracket.low_ns / 1e6),
            high: bracket.high_ns.map(|ns| ns / 1e6),
            ..Entry::default()
        },
        Cell::Blank { blank } => Entry::blank(blank),
    }
}

/// A row of a variant.
fn row(variant: &VariantSummary, cells: Vec<Entry>) -> Row {
    Row { name: variant.name.clone(), method: variant.method.clone(), detail: variant.options.clone(), cells }
}

/// A column of words.
fn text(key: &'static str, title: &'static str) -> Column {
    Column { numeric: false, ..column(key, title, "") }
}

type Cells = fn(&VariantSummary) -> Entry;

const fn column(key: &'static str, title: &'static str, unit: &'static str) -> Column {
    Column { key, title, unit, numeric: true }
}

fn of_latency(variant: &VariantSummary, cell: impl Fn(&LatencySummary) -> Cell<Estimate>) -> Entry {
    estimate(&variant.latency.and_then(cell), MICROSECOND)
}

/// Fills a table.
fn build(name: &'static str, summary: &Summary, columns: Vec<(Column, Cells)>) -> Table {
    let rows = summary
        .variants
        .iter()
        .map(|variant| Row {
            name: variant.name.clone(),
            method: variant.method.clone(),
            detail: variant.options.clone(),
            cells: columns.iter().map(|(_, cells)| cells(variant)).collect(),
        })
        .collect();
    Table { name, columns: columns.into_iter().map(|(column, _)| column).collect(), rows }
}

/// The table, unless the scenario asks for none of its figures. One whose figures are missing for other reasons says why.
fn measured(table: Table) -> Option<Table> {
    let asked_for = |entry: &Entry| entry.blank.as_deref() != Some(NOT_MEASURED);
    table.rows.iter().flat_map(|row| &row.cells).any(asked_for).then_some(table)
}

/// Costs side by side: the table that most readers came for.
pub(crate) fn comparison(summary: &Summary) -> Option<Table> {
    let mut columns: Vec<(Column, Cells)> = vec![
        (column("validation_p50", "Validation p50", "µs"), |v| of_latency(v, |l| l.validation_ns.p50.clone())),
        (column("added_p50", "Added p50", "µs"), |v| of_latency(v, |l| l.latency_added_ns.p50.clone())),
        (column("added_p99", "Added p99", "µs"), |v| of_latency(v, |l| l.latency_added_ns.p99.clone())),
        (column("cpu", "Server CPU at saturation", "µs/request"), |v| {
            estimate(&v.cpu_at_saturation().map(|cpu| cpu.total), MICROSECOND)
        }),
        (column("cpu_added", "Added CPU at saturation", "µs/request"), |v| {
            estimate(&v.cpu_at_saturation().and_then(|cpu| cpu.added.clone()), MICROSECOND)
        }),
        (column("throughput", "Throughput", "req/s"), |v| estimate(&v.throughput.map(|t| t.per_s), 1.0)),
        (column("throughput_relative", "Throughput", "% of none"), |v| {
            estimate(&v.throughput.and_then(|t| t.ratio_to_baseline.clone()), PERCENT)
        }),
        (column("lookups", "Lookups", "per request"), |v| {
            figure(&v.latency.and_then(|l| l.operations_per_request.map(|o| o.store_lookups)), 1.0)
        }),
        (column("revocation_max", "Longest revocation window", ""), |v| bracket(&v.revocation.map(|r| r.max))),
    ];
    if summary.in_process_measured_at.is_some() {
        columns.insert(0, (column("in_process", "In-process", "µs"), in_process));
    }
    measured(build("comparison", summary, columns))
}

fn in_process(variant: &VariantSummary) -> Entry {
    let untold = Cell::blank(NOT_MEASURED);
    estimate(variant.in_process_ns.as_ref().unwrap_or(&untold), MICROSECOND)
}

/// Latency as the caller sees it, with the rates that it was measured at.
pub(crate) fn latency(summary: &Summary) -> Option<Table> {
    let columns: Vec<(Column, Cells)> = vec![
        (Column { numeric: false, ..column("measurement", "Measurement", "") }, |v| match &v.latency {
            Cell::Known(latency) => Entry::text(latency.measurement.clone()),
            Cell::Blank { blank } => Entry::blank(blank),
        }),
        (column("rate_requested", "Requested", "req/s"), |v| figure(&v.latency.map(|l| l.rate_per_s_requested), 1.0)),
        (column("rate_achieved", "Achieved", "req/s"), |v| figure(&v.latency.map(|l| l.rate_per_s_achieved), 1.0)),
        (column("samples", "Samples", ""), |v| count(&v.latency.map(|l| l.samples))),
        (column("dropped", "Dropped", ""), |v| count(&v.latency.map(|l| l.dropped))),
        (column("p50", "p50", "µs"), |v| of_latency(v, |l| l.latency_ns.p50.clone())),
        (column("p90", "p90", "µs"), |v| of_latency(v, |l| l.latency_ns.p90.clone())),
        (column("p99", "p99", "µs"), |v| of_latency(v, |l| l.latency_ns.p99.clone())),
        (column("p99_9", "p99.9", "µs"), |v| of_latency(v, |l| l.latency_ns.p99_9.clone())),
        (column("service_p50", "Service p50", "µs"), |v| of_latency(v, |l| l.service_time_ns.p50.clone())),
        (column("service_p99", "Service p99", "µs"), |v| of_latency(v, |l| l.service_time_ns.p99.clone())),
        (column("validation_p50", "Validation p50", "µs"), |v| of_latency(v, |l| l.validation_ns.p50.clone())),
        (column("validation_p99", "Validation p99", "µs"), |v| of_latency(v, |l| l.validation_ns.p99.clone())),
        (column("lateness_p99", "Client late p99", "µs"), |v| {
            figure(&v.latency.and_then(|l| l.lateness_ns_p99.clone()), MICROSECOND)
        }),
        (column("cpu_open_loop", "Server CPU under the schedule", "µs/request"), |v| {
            let mut entry = of_latency(v, |l| l.server_cpu_ns_per_request.map(|cpu| cpu.total));
            if let (None, Some(latency)) = (&entry.blank, v.latency.known()) {
                let rate = format!("at {}/s", format::fixed(latency.rate_per_s_requested, 0));
                entry.detail = if entry.detail.is_empty() { rate } else { format!("{}, {rate}", entry.detail) };
            }
            entry
        }),
    ];
    measured(build("latency", summary, columns))
}

fn count(cell: &Cell<u64>) -> Entry {
    match cell {
        Cell::Known(n) => Entry { text: format::fixed(*n as f64, 0), value: Some(*n as f64), ..Entry::default() },
        Cell::Blank { blank } => Entry::blank(blank),
    }
}

/// What a request costs the store, the processor's cryptography and the wire.
pub(crate) fn operations(summary: &Summary) -> Option<Table> {
    fn operation(v: &VariantSummary, of: fn(&super::summary::Operations) -> f64) -> Entry {
        figure(&v.latency.and_then(|l| l.operations_per_request.map(of)), 1.0)
    }
    fn wire(v: &VariantSummary, of: fn(&super::summary::WireBytes) -> f64) -> Entry {
        let cell = v.latency.and_then(|l| l.wire_bytes_per_request.map(of));
        match cell {
            Cell::Known(bytes) => Entry { text: format::fixed(bytes, 0), value: Some(bytes), ..Entry::default() },
            Cell::Blank { blank } => Entry::blank(&blank),
        }
    }
    let columns: Vec<(Column, Cells)> = vec![
        (column("credentials", "Credentials", "in use"), |v| count(&Cell::Known(v.credentials as u64))),
        (column("store_lookups", "Store lookups", "per request"), |v| operation(v, |o| o.store_lookups)),
        (column("cache_hits", "Cache hits", "per request"), |v| operation(v, |o| o.cache_hits)),
        (column("introspections", "Introspections", "per request"), |v| operation(v, |o| o.introspections)),
        (column("verify_calls", "Signature checks", "per request"), |v| operation(v, |o| o.verify_calls)),
        (column("hash_calls", "Password hashes", "per request"), |v| operation(v, |o| o.hash_calls)),
        (column("bytes_sent", "Sent", "bytes/request"), |v| wire(v, |w| w.sent)),
        (column("bytes_received", "Received", "bytes/request"), |v| wire(v, |w| w.received)),
    ];
    measured(build("operations", summary, columns))
}

/// What a request takes of processors, memory and wire on both sides.
pub(crate) fn resources(summary: &Summary) -> Option<Table> {
    fn server(v: &VariantSummary, scale: f64, of: fn(&Side) -> &Cell<Estimate>) -> Entry {
        estimate(&v.resources().and_then(|(_, resources)| of(&resources.server).clone()), scale)
    }
    fn client(v: &VariantSummary, scale: f64, of: fn(&Side) -> &Cell<Estimate>) -> Entry {
        estimate(&v.resources().and_then(|(_, resources)| of(&resources.client).clone()), scale)
    }
    fn tcp(v: &VariantSummary, of: fn(&TcpPerRequest) -> f64) -> Entry {
        figure(&v.resources().and_then(|(_, resources)| resources.tcp_per_request.map(of)), 1.0)
    }
    fn peak(v: &VariantSummary, of: fn(&Resources) -> &Side) -> Entry {
        figure(&v.resources().and_then(|(_, found)| of(found).peak_rss_bytes.map(|bytes| *bytes as f64)), MEBIBYTE)
    }
    let columns: Vec<(Column, Cells)> = vec![
        (Column { numeric: false, ..column("measurement", "Measurement", "") }, |v| match v.resources() {
            Cell::Known((measurement, _)) => Entry::text(measurement),
            Cell::Blank { blank } => Entry::blank(&blank),
        }),
        (column("cpu_user", "Server CPU, user", "µs/request"), |v| server(v, MICROSECOND, |s| &s.user_ns_per_request)),
        (column("cpu_system", "Server CPU, system", "µs/request"), |v| {
            server(v, MICROSECOND, |s| &s.system_ns_per_request)
        }),
        (column("client_cpu", "Client CPU", "µs/request"), |v| client(v, MICROSECOND, |s| &s.cpu_ns_per_request)),
        (column("switches_voluntary", "Server waits", "per request"), |v| {
            server(v, 1.0, |s| &s.switches_voluntary_per_request)
        }),
        (column("switches_involuntary", "Server preempted", "per request"), |v| {
            server(v, 1.0, |s| &s.switches_involuntary_per_request)
        }),
        (column("tcp_bytes_sent", "To the server", "bytes/request"), |v| tcp(v, |t| t.bytes_sent)),
        (column("tcp_bytes_received", "From the server", "bytes/request"), |v| tcp(v, |t| t.bytes_received)),
        (column("tcp_segments_sent", "Segments to the server", "per request"), |v| tcp(v, |t| t.segments_sent)),
        (column("tcp_segments_received", "Segments from the server", "per request"), |v| {
            tcp(v, |t| t.segments_received)
        }),
        (column("instructions", "Server instructions", "per request"), |v| {
            server(v, 1.0, |s| &s.instructions_per_request)
        }),
        (column("client_instructions", "Client instructions", "per request"), |v| {
            client(v, 1.0, |s| &s.instructions_per_request)
        }),
        (column("peak_rss", "Server peak memory", "MiB"), |v| peak(v, |r| &r.server)),
        (column("client_peak_rss", "Client peak memory", "MiB"), |v| peak(v, |r| &r.client)),
    ];
    measured(build("resources", summary, columns))
}

/// How long revoked credentials lived on.
pub(crate) fn revocation(summary: &Summary) -> Option<Table> {
    let columns: Vec<(Column, Cells)> = vec![
        (text("promise", "Bounded by"), |v| match &v.revocation {
            Cell::Known(found) => Entry::text(found.promise.clone()),
            Cell::Blank { blank } => Entry::blank(blank),
        }),
        (column("revoked", "Revoked", "credentials"), |v| count(&v.revocation.map(|r| r.revoked as u64))),
        (column("min", "Shortest", ""), |v| bracket(&v.revocation.map(|r| r.min))),
        (column("median", "Median", ""), |v| bracket(&v.revocation.map(|r| r.median))),
        (column("max", "Longest", ""), |v| bracket(&v.revocation.map(|r| r.max))),
        (column("resolution", "Resolution", "ms"), |v| figure(&v.revocation.map(|r| r.resolution_ns as f64), 1e6)),
        (column("exposure_median", "Exposure", "requests, median"), |v| {
            figure(&v.revocation.map(|r| r.exposure_median), 1.0)
        }),
        (column("blast_radius", "Blast radius", "requests of others, at most"), |v| {
            count(&v.revocation.map(|r| r.blast_radius))
        }),
        (column("still_accepted", "Still accepted", "credentials"), |v| {
            count(&v.revocation.map(|r| r.still_accepted as u64))
        }),
    ];
    measured(build("revocation", summary, columns))
}

/// Whether a run says anything about the guide's table.
pub(crate) fn has_guide(claims: &[Claim]) -> bool {
    claims.iter().any(|claim| claim.verdict != ClaimVerdict::NotMeasured)
}

/// The guide's table, one row per cell.
pub(crate) fn guide(claims: &[Claim]) -> Option<Table> {
    let text = |key, title| Column { numeric: false, ..column(key, title, "") };
    let rows = claims
        .iter()
        .map(|claim| Row {
            name: METHODS.iter().find(|(key, _)| *key == claim.method).map_or("", |(_, title)| title).to_owned(),
            method: claim.method.clone(),
            detail: String::new(),
            cells: vec![
                Entry::text(&claim.aspect),
                Entry::text(&claim.claim),
                Entry::text(claim.verdict.words()),
                Entry::text(claim.measured.join("; ")),
            ],
        })
        .collect();
    let table = Table {
        name: "guide",
        columns: vec![
            text("aspect", "Aspect"),
            text("claim", "The guide says"),
            text("verdict", "Verdict"),
            text("measured", "This run measured"),
        ],
        rows,
    };
    has_guide(claims).then_some(table)
}

/// The checks, one row each.
pub(crate) fn checks(checks: &[Check]) -> Table {
    let text = |key, title| Column { numeric: false, ..column(key, title, "") };
    let rows = checks
        .iter()
        .map(|check| {
            let found = match &check.verdict {
                CheckVerdict::NotTested(reason) => reason,
                CheckVerdict::Passed | CheckVerdict::Failed => &check.found,
            };
            Row {
                name: check.name.clone(),
                method: String::new(),
                detail: String::new(),
                cells: vec![Entry::text(&check.expected), Entry::text(found), Entry::text(verdict(&check.verdict))],
            }
        })
        .collect();
    Table {
        name: "checks",
        columns: vec![text("expected", "Expected"), text("found", "Found"), text("verdict", "Verdict")],
        rows,
    }
}

/// In words.
pub(crate) fn verdict(verdict: &CheckVerdict) -> &'static str {
    match verdict {
        CheckVerdict::Passed => "pass",
        CheckVerdict::Failed => "FAIL",
        CheckVerdict::NotTested(_) => "not tested",
    }
}

/// The tables that only some runs have.
pub(crate) fn extras(summary: &Summary) -> Vec<Extra> {
    let of_handshakes = handshake::extras(summary);
    let of_sweeps = sweep::extras(summary).into_iter();
    let thresholds = threshold::extra(summary).into_iter();
    thresholds
        .chain(of_sweeps)
        .chain(refusal::extra(summary))
        .chain(power::extra(summary))
        .chain(revocation::extras(summary))
        .chain(event::extras(summary))
        .chain(attack::extras(summary))
        .chain(beside::extra(summary))
        .chain(of_handshakes)
        .collect()
}

/// All tables that the run has rows for.
pub(crate) fn all(report: &Report) -> Vec<Table> {
    let summary = &report.summary;
    let optional = [
        guide(&report.claims),
        comparison(summary),
        latency(summary),
        operations(summary),
        resources(summary),
        revocation(summary),
    ];
    let mut tables: Vec<Table> = optional.into_iter().flatten().chain([checks(&report.checks)]).collect();
    tables.extend(extras(summary).into_iter().map(|extra| extra.table));
    tables
}

/// Reasons for blanks, each with a mark of its own: `a`, `b`, … in the order of their first use.
#[derive(Debug, Default)]
pub(crate) struct Footnotes {
    reasons: Vec<String>,
}

impl Footnotes {
    /// The mark of a reason.
    pub(crate) fn mark(&mut self, reason: &str) -> String {
        let position = self.reasons.iter().position(|known| known == reason).unwrap_or_else(|| {
            self.reasons.push(reason.to_owned());
            self.reasons.len() - 1
        });
        Self::letter(position)
    }

    /// Marks and reasons.
    pub(crate) fn list(&self) -> impl Iterator<Item = (String, &str)> {
        self.reasons.iter().enumerate().map(|(i, reason)| (Self::letter(i), reason.as_str()))
    }

    /// `a` to `z`, then `a1`, `b1`, …
    fn letter(position: usize) -> String {
        let letter = char::from(b'a' + (position % 26) as u8);
        if position < 26 { letter.to_string() } else { format!("{letter}{}", position / 26) }
    }
}
