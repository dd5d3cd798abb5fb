//! `report.md`: the report where a page of HTML cannot go: a pull request, a wiki.

use std::fmt::Write as _;

use super::view::{self, Entry, Footnotes, Table};
use super::{Report, headline, plot};
use crate::run::LoadedRun;

const INTO_STRING: &str = "writing to a string does not fail";

/// Writes the report. Plots are linked where `report --format svg` puts them.
pub(crate) fn render(run: &LoadedRun, report: &Report) -> String {
    let summary = &report.summary;
    let mut out = String::new();
    let quick = if summary.quick { " (quick)" } else { "" };
    section(&mut out, &format!("# authbench: {}{quick}", escape(&summary.scenario)));
    section(&mut out, &escape(&super::html::byline(report)));
    for paragraph in summary.analysis.split("\n\n") {
        section(&mut out, &escape(&paragraph.replace('\n', " ")));
    }
    for sentence in headline::sentences(summary) {
        writeln!(out, "- {}", escape(&sentence)).expect(INTO_STRING);
    }
    out.push('\n');

    let captions = headline::captions(summary);
    part(&mut out, "Comparison", &captions.comparison, view::comparison(summary));
    for note in headline::comparison_notes(summary) {
        section(&mut out, &escape(&note));
    }
    for sentence in headline::intervals(summary).into_iter().chain(headline::smallest_regression(summary)) {
        section(&mut out, &escape(&sentence));
    }
    // Hundreds of rows are for the page and for programs.
    for extra in view::extras(summary).into_iter().filter(|extra| extra.table.name != view::ALL_CASES) {
        part(&mut out, extra.title, &extra.caption, Some(extra.table));
    }
    for plot in plot::all(report) {
        section(&mut out, &format!("### {}", plot.title()));
        section(&mut out, &format!("![{}](plots/{}.svg)", plot.title(), plot.name()));
        section(&mut out, &escape(&plot.caption()));
    }
    part(&mut out, "The guide's table, measured", "", view::guide(&report.claims));
    part(&mut out, "Latency", captions.latency, view::latency(summary));
    part(&mut out, "Operations and bytes per request", captions.operations, view::operations(summary));
    part(&mut out, "Resources per request", captions.resources, view::resources(summary));
    part(&mut out, "Revocation", captions.revocation, view::revocation(summary));
    if !report.checks.is_empty() {
        section(&mut out, "## Checks");
        table(&mut out, &view::checks(&report.checks));
    }

    section(&mut out, "## How to read this");
    for (word, meaning) in headline::WORDS {
        writeln!(out, "- **{}**: {}", escape(word), escape(meaning)).expect(INTO_STRING);
    }
    out.push('\n');
    section(&mut out, "## Machine and settings");
    for (name, value) in super::html::facts(run, report) {
        writeln!(out, "- {}: {}", name, escape(&value)).expect(INTO_STRING);
    }
    out.push('\n');
    if !summary.invalid.is_empty() {
        section(&mut out, "## Trials not counted");
        for trial in &summary.invalid {
            let place = format!("{} start {} round {}", trial.case, trial.start, trial.round);
            writeln!(out, "- {}: {}", escape(&place), escape(&trial.reasons.join("; "))).expect(INTO_STRING);
        }
        out.push('\n');
    }
    if !summary.warnings.is_empty() {
        section(&mut out, "## Warnings");
        for warning in &summary.warnings {
            writeln!(out, "- {}", escape(warning)).expect(INTO_STRING);
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn section(out: &mut String, text: &str) {
    writeln!(out, "{text}\n").expect(INTO_STRING);
}

/// A table with its heading, where the run has it.
fn part(out: &mut String, title: &str, caption: &str, content: Option<Table>) {
    let Some(content) = content else { return };
    section(out, &format!("## {title}"));
    if !caption.is_empty() {
        section(out, &escape(caption));
    }
    table(out, &content);
}

fn table(out: &mut String, table: &Table) {
    let mut notes = Footnotes::default();
    let first = match table.name {
        "guide" => "Method",
        "checks" => "Check",
        _ => "Variant",
    };
    let heads = table.columns.iter().map(|column| match column.unit {
        "" => column.title.to_owned(),
        unit => format!("{} ({unit})", column.title),
    });
    let rules = table.columns.iter().map(|column| if column.numeric { "--:" } else { "---" });
    writeln!(out, "| {first} | {} |", heads.collect::<Vec<_>>().join(" | ")).expect(INTO_STRING);
    writeln!(out, "| --- | {} |", rules.collect::<Vec<_>>().join(" | ")).expect(INTO_STRING);
    for row in &table.rows {
        let cells = row.cells.iter().map(|entry| cell(entry, &mut notes));
        writeln!(out, "| {} | {} |", escape(&row.name), cells.collect::<Vec<_>>().join(" | ")).expect(INTO_STRING);
    }
    out.push('\n');
    for (mark, reason) in notes.list() {
        writeln!(out, "<sup>{mark}</sup> {}  ", escape(reason)).expect(INTO_STRING);
    }
    if notes.list().next().is_some() {
        out.push('\n');
    }
}

fn cell(entry: &Entry, notes: &mut Footnotes) -> String {
    match &entry.blank {
        Some(reason) => format!("–<sup>{}</sup>", notes.mark(reason)),
        None if entry.detail.is_empty() => escape(&entry.text),
        None => format!("{} ({})", escape(&entry.text), escape(&entry.detail)),
    }
}

/// Text that Markdown and the HTML inside it must take literally.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '\n' | '\r' => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
