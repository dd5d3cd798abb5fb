//! Markdown: GitHub Flavored Markdown's tables (§4.10 of its specification), for step summaries and merge requests.

use std::fmt::Write as _;

use super::{HEADS, cells, headline, noise, parties, question_0, reasons};
use crate::compare::{Comparison, Row};
use crate::report::escape_markdown as escape;
use crate::stats::Verdict;

/// A verdict first, the table of the gate, and what stands behind it.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = format!("## {}\n\n", headline(comparison));
    for line in parties(comparison) {
        let _ = writeln!(text, "- {}", escape(&line));
    }
    let (gate, beside): (Vec<&Row>, Vec<&Row>) = comparison.rows.iter().partition(|row| row.gate);
    table(&mut text, &gate);
    list(&mut text, &reasons(comparison));
    list(&mut text, &comparison.warnings);
    if !beside.is_empty() {
        text += "\n<details><summary>Beside the gate</summary>\n";
        table(&mut text, &beside);
        text += "\n</details>\n";
    }
    list(&mut text, &question_0(comparison));
    list(&mut text, &noise(comparison));
    text
}

fn table(text: &mut String, rows: &[&Row]) {
    if rows.is_empty() {
        return;
    }
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    *text += "\n";
    *text += &line(&HEADS.map(str::to_owned));
    *text += "| --- | --- | --: | --: | --: | --: | --: | --- |\n";
    for row in rows {
        let mut cells = cells(row).map(|cell| escape(&cell));
        if row.verdict != Verdict::Unchanged {
            cells[7] = format!("**{}**", cells[7]);
        }
        *text += &line(&cells);
    }
}

fn list(text: &mut String, lines: &[String]) {
    if !lines.is_empty() {
        *text += "\n";
    }
    for line in lines {
        let _ = writeln!(text, "- {}", escape(line));
    }
}
