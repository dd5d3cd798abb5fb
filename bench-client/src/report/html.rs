//! `report.html`: one file that needs no network: style, script, plots and icon are inside.

use std::path::PathBuf;

use bench_server::contract::{HttpVersion, KeyExchange, Transport};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::view::{self, Table};
use super::{InvalidTrial, Report, ReportError, format, headline, plot};
use crate::plan::Plan;
use crate::run::LoadedRun;

/// All that the template names.
#[derive(Serialize)]
struct Page<'a> {
    style: Value,
    script: Value,
    scenario: &'a str,
    quick: bool,
    analysis: Vec<&'a str>,
    date: String,
    machine: String,
    sentences: Vec<String>,
    smallest_regression: Vec<String>,
    intervals: Option<String>,
    captions: headline::Captions,
    notes: Vec<String>,
    words: [(&'static str, &'static str); headline::WORDS.len()],
    guide: Vec<GuideRow<'a>>,
    guide_methods: [(&'static str, &'static str); 5],
    comparison: Option<Sortable>,
    extras: Vec<Extra>,
    latency: Option<Sortable>,
    operations: Option<Sortable>,
    resources: Option<Sortable>,
    revocation: Option<Sortable>,
    figures: Vec<Figure>,
    checks: Vec<CheckRow<'a>>,
    checks_failed: usize,
    checks_untested: usize,
    checks_passed: usize,
    facts: Vec<(&'static str, String)>,
    scenario_text: &'a str,
    servers: Vec<(&'a String, String)>,
    invalid: &'a [InvalidTrial],
    warnings: &'a [String],
}

/// A table that only some runs have.
#[derive(Serialize)]
struct Extra {
    title: &'static str,
    caption: String,
    table: Sortable,
}

#[derive(Serialize)]
struct Figure {
    name: String,
    title: String,
    caption: String,
    svg: Value,
}

/// The guide's table as a matrix: methods across, aspects down.
#[derive(Serialize)]
struct GuideRow<'a> {
    aspect: &'a str,
    cells: Vec<GuideCell<'a>>,
}

#[derive(Serialize)]
struct GuideCell<'a> {
    method: &'a str,
    title: &'a str,
    claim: &'a str,
    measured: &'a [String],
    verdict: &'static str,
}

#[derive(Serialize)]
struct CheckRow<'a> {
    name: &'a str,
    expected: &'a str,
    found: &'a str,
    verdict: &'static str,
}

/// Renders the page.
///
/// # Errors
/// [`ReportError`] when a plot or the template fails.
pub(crate) fn render(run: &LoadedRun, report: &Report) -> Result<String, ReportError> {
    let summary = &report.summary;
    let figures = plot::all(report)
        .iter()
        .map(|plot| {
            Ok(Figure {
                name: plot.name(),
                title: plot.title(),
                caption: plot.caption(),
                // Drawn by us; every text in it is escaped by the SVG backend.
                svg: Value::from_safe_string(plot.svg(plot::Ink::OnPage)?),
            })
        })
        .collect::<Result<Vec<_>, ReportError>>()?;
    let mut servers: Vec<(&String, String)> = Vec::new();
    for (variant, config) in &run.header.servers {
        let text = serde_json::to_string_pretty(config).map_err(|error| failure(&error))?;
        servers.push((variant, text));
    }
    let failed = report.failed_checks().count();
    let untested =
        report.checks.iter().filter(|check| matches!(check.verdict, super::CheckVerdict::NotTested(_))).count();

    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // A tag on a line of its own leaves no empty line behind.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| failure(&error))?);
    // The name decides about escaping: `.html` escapes every value.
    environment
        .add_template("report.html", include_str!("../../assets/report.html"))
        .map_err(|error| failure(&error))?;
    let page = environment.get_template("report.html").map_err(|error| failure(&error))?;
    let content = Page {
        style: Value::from_safe_string(include_str!("../../assets/report.css").to_owned()),
        script: Value::from_safe_string(include_str!("../../assets/report.js").to_owned()),
        scenario: &summary.scenario,
        quick: summary.quick,
        analysis: summary.analysis.split("\n\n").collect(),
        date: summary.started_at.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        machine: byline(report),
        sentences: headline::sentences(summary),
        smallest_regression: headline::smallest_regression(summary),
        intervals: headline::intervals(summary),
        captions: headline::captions(summary),
        notes: headline::comparison_notes(summary),
        words: headline::WORDS,
        guide: guide(report),
        guide_methods: super::claims::METHODS,
        comparison: view::comparison(summary).as_ref().map(sortable),
        extras: view::extras(summary).into_iter().map(extra).collect(),
        latency: view::latency(summary).as_ref().map(sortable),
        operations: view::operations(summary).as_ref().map(sortable),
        resources: view::resources(summary).as_ref().map(sortable),
        revocation: view::revocation(summary).as_ref().map(sortable),
        figures,
        checks: checks(report),
        checks_failed: failed,
        checks_untested: untested,
        checks_passed: report.checks.len() - failed - untested,
        facts: facts(run, report),
        scenario_text: &run.header.scenario_text,
        servers,
        invalid: &summary.invalid,
        warnings: &summary.warnings,
    };
    page.render(Serde(&content)).map_err(|error| failure(&error))
}

fn failure(error: &dyn std::fmt::Display) -> ReportError {
    ReportError { path: PathBuf::from("report.html"), message: error.to_string() }
}

/// A table with the marks of its blanks resolved.
#[derive(Serialize)]
struct Sortable {
    name: &'static str,
    columns: Vec<view::Column>,
    rows: Vec<SortableRow>,
    notes: Vec<(String, String)>,
}

#[derive(Serialize)]
struct SortableRow {
    name: String,
    method: String,
    detail: String,
    cells: Vec<SortableCell>,
}

#[derive(Serialize)]
struct SortableCell {
    text: String,
    detail: String,
    /// Sorting key; blanks have none and sort last.
    key: Option<String>,
    mark: Option<String>,
    reason: Option<String>,
}

fn extra(extra: super::sweep::Extra) -> Extra {
    Extra { title: extra.title, caption: extra.caption, table: sortable(&extra.table) }
}

fn sortable(table: &Table) -> Sortable {
    let mut notes = view::Footnotes::default();
    let rows = table
        .rows
        .iter()
        .map(|row| SortableRow {
            name: row.name.clone(),
            method: row.method.clone(),
            detail: row.detail.clone(),
            cells: row
                .cells
                .iter()
                .map(|entry| SortableCell {
                    text: entry.text.clone(),
                    detail: entry.detail.clone(),
                    key: match (&entry.blank, entry.value) {
                        (Some(_), _) => None,
                        (None, Some(value)) => Some(value.to_string()),
                        (None, None) => Some(entry.text.clone()),
                    },
                    mark: entry.blank.as_ref().map(|reason| notes.mark(reason)),
                    reason: entry.blank.clone(),
                })
                .collect(),
        })
        .collect();
    let notes = notes.list().map(|(mark, reason)| (mark, reason.to_owned())).collect();
    Sortable { name: table.name, columns: table.columns.clone(), rows, notes }
}

/// No row where the run says nothing about it.
fn guide(report: &Report) -> Vec<GuideRow<'_>> {
    let mut rows: Vec<GuideRow<'_>> = Vec::new();
    if !view::has_guide(&report.claims) {
        return rows;
    }
    for claim in &report.claims {
        if rows.last().is_none_or(|row| row.aspect != claim.aspect) {
            rows.push(GuideRow { aspect: &claim.aspect, cells: Vec::new() });
        }
        let row = rows.last_mut().expect("pushed above when there was none");
        row.cells.push(GuideCell {
            method: &claim.method,
            title: super::claims::METHODS.iter().find(|(key, _)| *key == claim.method).map_or("", |(_, title)| title),
            claim: &claim.claim,
            measured: &claim.measured,
            verdict: claim.verdict.words(),
        });
    }
    rows
}

fn checks(report: &Report) -> Vec<CheckRow<'_>> {
    report
        .checks
        .iter()
        .map(|check| CheckRow {
            name: &check.name,
            expected: &check.expected,
            found: match &check.verdict {
                super::CheckVerdict::NotTested(reason) => reason,
                super::CheckVerdict::Passed | super::CheckVerdict::Failed => &check.found,
            },
            verdict: view::verdict(&check.verdict),
        })
        .collect()
}

/// On what, and whether its cores were kept awake: no latency means much without.
pub(crate) fn byline(report: &Report) -> String {
    let machine = &report.summary.machine;
    format!("{} × {}, {}", machine.cpus, machine.cpu_model, machine.keep_awake.words())
}

/// Machine and settings: what a reader must know to compare this run with another.
pub(crate) fn facts(run: &LoadedRun, report: &Report) -> Vec<(&'static str, String)> {
    let (summary, machine) = (&report.summary, &report.summary.machine);
    let plan = &run.header.plan;
    let bound = match (machine.server_cpus.as_slice(), machine.client_cpu) {
        ([], Some(client)) if summary.target.is_some() => {
            format!("client on processor {client}; where the target's processes run is theirs")
        }
        ([], _) | (_, None) => "not bound to processors: server and client compete".to_owned(),
        (servers, Some(client)) => {
            let servers: Vec<String> = servers.iter().map(ToString::to_string).collect();
            format!("servers on processor {}, client on processor {client}", servers.join(", "))
        }
    };
    let servers: Vec<String> =
        plan.servers().iter().map(|at| format!("{}, {}", transport(at.transport), http(at.http))).collect();
    let build = &summary.build;
    let target = summary.target.iter().map(|url| ("Target", url.clone()));
    let facts = [
        ("Processor", format!("{} ({} logical)", machine.cpu_model, machine.cpus)),
        ("Memory", format!("{} GiB", format::number(machine.memory_bytes as f64 / 1_073_741_824.0))),
        ("System", format!("{}, {}", machine.os, machine.arch)),
        ("Hypervisor", machine.hypervisor.clone().unwrap_or_else(|| "none seen".to_owned())),
        ("Binding", bound),
        ("Sleep", machine.keep_awake.words()),
        ("Client", client_wait(run).to_owned()),
        ("Transport", servers.join(" and ")),
        ("Key exchange", key_exchange(plan)),
        ("Rounds", format!("{} of {} planned, in {} starts", summary.rounds, summary.rounds_planned, summary.starts)),
        ("Seed", summary.seed.to_string()),
        ("Plan", summary.plan_hash.clone()),
        (
            "Revision",
            format!("{}{}", build.revision, if build.dirty { ", with changes that are not committed" } else { "" }),
        ),
        ("Build", format!("authbench {}, {}, profile {}", build.version, build.rustc, build.profile)),
    ];
    target.chain(facts).collect()
}

/// What the load client did while no answer was there: waking it would have been paid for by the server.
fn client_wait(run: &LoadedRun) -> &'static str {
    let polled = run.records.iter().any(|record| record.measured.load().is_some_and(|load| load.client_polled_ns > 0));
    if polled { "polls for answers, outside its processor time" } else { "sleeps until an answer comes" }
}

fn transport(transport: Transport) -> &'static str {
    match transport {
        Transport::Plaintext => "plaintext",
        Transport::Tls12 => "TLS 1.2",
        Transport::Tls13 => "TLS 1.3",
    }
}

fn key_exchange(plan: &Plan) -> String {
    match (plan.transport, plan.key_exchange) {
        (Transport::Plaintext, _) => "none",
        (_, None) => "as client and server prefer",
        (_, Some(KeyExchange::X25519MLKEM768)) => "X25519MLKEM768 only",
        (_, Some(KeyExchange::X25519)) => "X25519 only",
        (_, Some(KeyExchange::P256)) => "P-256 only",
    }
    .to_owned()
}

fn http(version: HttpVersion) -> &'static str {
    match version {
        HttpVersion::Http1 => "HTTP/1.1",
        HttpVersion::Http2 => "HTTP/2",
    }
}
