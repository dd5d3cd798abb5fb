//! The comparison for a terminal of 120 columns, readable without colour.

use std::fmt::Write as _;

use comfy_table::{
    Cell as TerminalCell, CellAlignment, ContentArrangement, LineStyle, Table as TerminalTable, TableStyle,
};

use super::checks::CheckVerdict;
use super::view::{self, Column, Footnotes};
use super::{Report, headline, sweep};

/// Widest line.
const WIDTH: u16 = 120;

/// Columns that fit, with the heads that make them fit.
const COLUMNS: [(&str, &str); 9] = [
    ("in_process", "in-\nprocess µs"),
    ("validation_p50", "validation\np50 µs"),
    ("added_p50", "added\np50 µs"),
    ("added_p99", "added\np99 µs"),
    ("cpu", "CPU/request at\nsaturation, µs"),
    ("throughput", "through-\nput req/s"),
    ("throughput_relative", "% of\nnone"),
    ("lookups", "lookups\n/request"),
    ("revocation_max", "longest revo-\ncation window"),
];

/// The columns of an outage and of a rollover that fit.
const EVENT: [(&str, &str); 9] = [
    ("event", "event"),
    ("served", "served, %\nmeanwhile"),
    ("unavailable", "503"),
    ("wrongly_refused", "wrongly\nrefused"),
    ("failed", "failed"),
    ("held_up", "held\nup"),
    ("cut_off", "cut off,\ncallers"),
    ("wrongly_accepted", "let\nin"),
    ("lived_on", "at the long-\nest, ms"),
];

/// The tables that only some runs have: their columns that fit.
const EXTRAS: [(&str, &[(&str, &str)]); 11] = [
    ("thresholds", &[("metric", "figure"), ("limit", "limit"), ("measured", "measured"), ("verdict", "verdict")]),
    (
        "refusals",
        &[
            ("presents", "credentials"),
            ("cpu", "CPU/request at\nsaturation, µs"),
            ("cpu_ratio", "CPU, % of an\nacceptance's"),
            ("validation_ratio", "validation, % of\nan acceptance's"),
        ],
    ),
    (
        "power",
        &[
            ("quantity", "figure"),
            ("slow_down", "slow-down of\nits validation"),
            ("change", "changed the\nfigure by, %"),
            ("regressed", "called\nregressed, %"),
            ("detectable", "seen nearly\nalways from, %"),
        ],
    ),
    (
        "handshakes",
        &[
            ("session", "session"),
            ("requests", "requests/\nconnection"),
            ("connections_rate", "new con-\nnections/s"),
            ("ready_p50", "handshake\np50 µs"),
            ("ready_p99", "handshake\np99 µs"),
            ("first_answer_p50", "first answer\np50 µs"),
            ("cpu_connection", "server CPU\nµs/connection"),
            ("cpu_request", "server CPU\nµs/request"),
        ],
    ),
    (
        "break-even",
        &[
            ("session", "session"),
            ("against", "cheaper\nthan"),
            ("against_session", "with\nsession"),
            ("break_even", "from requests\nper connection"),
        ],
    ),
    (
        "setup",
        &[
            ("total", "time,\nmedian ms"),
            ("round_trips", "round\ntrips"),
            ("out_of_band", "steps out\nof band"),
            ("bytes_sent", "bytes\nsent"),
            ("bytes_received", "bytes\nreceived"),
            ("secrets", "secrets\nto keep"),
            ("moving_parts", "moving\nparts"),
        ],
    ),
    (
        "attacks",
        &[
            ("refused", "cases\nrefused"),
            ("findings", "findings"),
            ("worst", "worst\nlet in"),
            ("accepted", "good ones\naccepted"),
            ("not_run", "not\nrun"),
        ],
    ),
    ("findings", &[("case", "case"), ("verdict", "verdict"), ("severity", "severity"), ("title", "what it is")]),
    ("outages", &EVENT),
    ("rollovers", &EVENT),
    (
        "beside",
        &[
            ("method", "method\nbeside"),
            ("secret", "passwords"),
            ("rate_requested", "requested/s"),
            ("rate_accepted", "accepted/s"),
            ("rate_refused", "refused/s"),
            ("dropped", "dropped"),
            ("p50", "p50 ms"),
            ("p99", "p99 ms"),
        ],
    ),
];

/// One rule below the head and none elsewhere: copies well, and reads well without colour.
const RULED_HEAD: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// What is given up, one after the other, until the table fits: names stay whole, so the figures' trimmings go. Each
/// step is the space between columns, the columns that show their uncertainty, and those left out.
const STEPS: [(u16, &[&str], &[&str]); 7] = [
    (2, &["cpu", "added_p50", "added_p99"], &[]),
    (1, &["cpu", "added_p50", "added_p99"], &[]),
    (1, &["cpu", "added_p50", "added_p99"], &["lookups"]),
    (1, &["cpu", "added_p50"], &["lookups"]),
    (1, &["cpu"], &["lookups", "throughput_relative"]),
    (1, &[], &["lookups", "throughput_relative"]),
    (1, &[], &["lookups", "throughput_relative", "revocation_max"]),
];

/// Draws the report.
pub(crate) fn terminal(report: &Report) -> String {
    let summary = &report.summary;
    let mut out = String::new();
    let mut notes = Footnotes::default();
    let quick = if summary.quick { " (quick)" } else { "" };
    let how = match summary.only_attacks() {
        // Neither rounds nor a waking processor change what is refused.
        true => format!("{} variants attacked, seed {}", summary.attacks.len(), summary.seed),
        false => format!(
            "{} rounds in {} starts, seed {}; {}",
            summary.rounds,
            summary.starts,
            summary.seed,
            summary.machine.keep_awake.words()
        ),
    };
    writeln!(out, "{}\n", wrap(&format!("{}{quick}: {how}", summary.scenario))).expect(INTO_STRING);
    if let Some(comparison) = comparison(report, &mut notes) {
        writeln!(out, "{comparison}\n").expect(INTO_STRING);
        for (mark, reason) in notes.list() {
            writeln!(out, "  {mark}  {reason}").expect(INTO_STRING);
        }
        out.push('\n');
    }
    cost(report, &mut out);
    extras(report, &mut out);
    for note in headline::comparison_notes(summary) {
        writeln!(out, "{}", wrap(&note)).expect(INTO_STRING);
    }
    out.push('\n');
    let sentences = headline::sentences(summary).into_iter().chain(headline::smallest_regression(summary));
    for sentence in sentences.chain(headline::intervals(summary)) {
        writeln!(out, "{}", wrap(&sentence)).expect(INTO_STRING);
    }
    out.push('\n');
    checks(report, &mut out);
    problems(report, &mut out);
    out
}

const INTO_STRING: &str = "writing to a string does not fail";

/// What a million requests cost, where the scenario has a price.
fn cost(report: &Report, out: &mut String) {
    const COLUMNS: [(&str, &str); 3] = [
        ("cpu_per_million", "core seconds per\nmillion requests"),
        ("throughput", "req/s of\none core"),
        ("price", "per million\nrequests"),
    ];
    let (Some(data), Some(price)) = (sweep::cost(&report.summary), &report.summary.price_per_core_hour) else { return };
    let mut notes = Footnotes::default();
    let text = drawn(&data, &COLUMNS, &mut notes, 2, &["cpu_per_million"], &[]);
    writeln!(out, "At {price} per core hour:\n\n{text}\n").expect(INTO_STRING);
    for (mark, reason) in notes.list() {
        writeln!(out, "  {mark}  {reason}").expect(INTO_STRING);
    }
    out.push('\n');
}

/// New connections, their break-evens, setups, events and the traffic beside variants, where the run has any.
fn extras(report: &Report, out: &mut String) {
    let found = view::extras(&report.summary);
    for (name, columns) in EXTRAS {
        let Some(extra) = found.iter().find(|extra| extra.table.name == name) else { continue };
        let mut notes = Footnotes::default();
        let text = drawn(&extra.table, columns, &mut notes, 1, &["total", "change"], &[]);
        writeln!(out, "{}:\n\n{text}\n", extra.title).expect(INTO_STRING);
        for (mark, reason) in notes.list() {
            writeln!(out, "  {mark}  {reason}").expect(INTO_STRING);
        }
        out.push('\n');
    }
}

/// A table with a line below its head and no other, as wide as it has to be.
pub(crate) fn ruled() -> TerminalTable {
    let mut table = TerminalTable::new();
    table.load_style(RULED_HEAD).set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// The first step that fits; the last one if none does.
fn comparison(report: &Report, notes: &mut Footnotes) -> Option<String> {
    let data = view::comparison(&report.summary)?;
    let mut text = String::new();
    for (space, uncertain, omitted) in STEPS {
        *notes = Footnotes::default();
        text = drawn(&data, &COLUMNS, notes, space, uncertain, omitted);
        if text.lines().all(|line| line.chars().count() <= usize::from(WIDTH)) {
            break;
        }
    }
    Some(text)
}

fn drawn(
    data: &view::Table,
    columns: &[(&str, &'static str)],
    notes: &mut Footnotes,
    space: u16,
    uncertain: &[&str],
    omitted: &[&str],
) -> String {
    let picked: Vec<(usize, &Column, &str)> = columns
        .iter()
        .filter(|(key, _)| !omitted.contains(key))
        .filter_map(|(key, head)| {
            let position = data.columns.iter().position(|column| column.key == *key)?;
            Some((position, &data.columns[position], *head))
        })
        .collect();
    let mut table = ruled();
    let heads = picked.iter().map(|(_, _, head)| TerminalCell::new(head).set_alignment(CellAlignment::Right));
    table.set_header(std::iter::once(TerminalCell::new("variant")).chain(heads));
    for row in &data.rows {
        let mut cells = vec![TerminalCell::new(&row.name)];
        for (position, column, _) in &picked {
            let entry = &row.cells[*position];
            let text = match (&entry.blank, &entry.plus_minus) {
                (Some(reason), _) => format!("– {}", notes.mark(reason)),
                (None, Some(half)) if uncertain.contains(&column.key) => format!("{} {half}", entry.text),
                (None, _) => entry.text.clone(),
            };
            cells.push(TerminalCell::new(text).set_alignment(CellAlignment::Right));
        }
        table.add_row(cells);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if i == 0 { 0 } else { space }, 0));
    }
    table.trim_fmt()
}

fn checks(report: &Report, out: &mut String) {
    if report.checks.is_empty() {
        return;
    }
    let count = |wanted: fn(&CheckVerdict) -> bool| report.checks.iter().filter(|check| wanted(&check.verdict)).count();
    let passed = count(|verdict| *verdict == CheckVerdict::Passed);
    let failed = count(|verdict| *verdict == CheckVerdict::Failed);
    let untested = report.checks.len() - passed - failed;
    writeln!(out, "Checks: {passed} passed, {failed} failed, {untested} not tested").expect(INTO_STRING);
    for check in &report.checks {
        let (mark, found) = match &check.verdict {
            CheckVerdict::Passed => ("pass", check.found.as_str()),
            CheckVerdict::Failed => ("FAIL", check.found.as_str()),
            CheckVerdict::NotTested(reason) => ("  – ", reason.as_str()),
        };
        let line = match check.verdict {
            CheckVerdict::Failed => format!("{mark}  {}: expected {}, found {found}", check.name, check.expected),
            CheckVerdict::Passed | CheckVerdict::NotTested(_) => format!("{mark}  {}: {found}", check.name),
        };
        writeln!(out, "  {}", wrap(&line).replace('\n', "\n        ")).expect(INTO_STRING);
    }
}

fn problems(report: &Report, out: &mut String) {
    let summary = &report.summary;
    if !summary.invalid.is_empty() {
        writeln!(out, "\nTrials not counted:").expect(INTO_STRING);
    }
    for trial in &summary.invalid {
        let line = format!("{} start {} round {}: {}", trial.case, trial.start, trial.round, trial.reasons.join("; "));
        writeln!(out, "  {}", wrap(&line).replace('\n', "\n    ")).expect(INTO_STRING);
    }
    if !summary.warnings.is_empty() {
        writeln!(out, "\nWarnings:").expect(INTO_STRING);
    }
    for warning in &summary.warnings {
        writeln!(out, "  {}", wrap(warning).replace('\n', "\n    ")).expect(INTO_STRING);
    }
}

/// Breaks a text between words so that it fits with its indentation.
fn wrap(text: &str) -> String {
    const MARGIN: usize = 10;
    let width = usize::from(WIDTH) - MARGIN;
    let mut lines = vec![String::new()];
    // A space that does not break is not a place to break at.
    for word in text.split([' ', '\n']) {
        let line = lines.last_mut().expect("there is always a last line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
