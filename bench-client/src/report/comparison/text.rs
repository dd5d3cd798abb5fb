//! For a terminal.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment};

use super::{HEADS, cells, headline, noise, parties, question_0, reasons};
use crate::compare::Comparison;

/// A table and sentences, readable without colour.
pub fn text(comparison: &Comparison) -> String {
    let mut table = crate::report::ruled_table();
    let alignment = |column| if (2..=6).contains(&column) { CellAlignment::Right } else { CellAlignment::Left };
    let line = |cells: [String; 8]| {
        let cells = cells.into_iter().enumerate();
        cells.map(|(column, cell)| Cell::new(cell).set_alignment(alignment(column))).collect::<Vec<_>>()
    };
    table.set_header(line(HEADS.map(|head| head.replace(" / ", "\n/ "))));
    for row in &comparison.rows {
        table.add_row(line(cells(row)));
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((if i == 0 { 0 } else { 2 }, 0));
    }
    let mut text = parties(comparison).join("\n");
    let _ = write!(text, "\n\n{}\n", table.trim_fmt());
    let mut section = |lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(text, "\n{}\n", lines.join("\n"));
        }
    };
    section(reasons(comparison));
    section(comparison.warnings.iter().map(|warning| format!("warning: {warning}")).collect());
    section(noise(comparison));
    section(question_0(comparison));
    section(vec![headline(comparison)]);
    text
}
