//! The tables for other programs: full precision, a column each for value, interval and the reason of a blank.

use std::path::PathBuf;

use super::view::{self, Column};
use super::{Report, ReportError};

/// File stems and contents.
///
/// # Errors
/// [`ReportError`] when a table cannot be written as CSV.
pub(crate) fn render(report: &Report) -> Result<Vec<(&'static str, String)>, ReportError> {
    view::all(report)
        .into_iter()
        .map(|table| {
            let text = write(&table).map_err(|message| ReportError {
                path: PathBuf::from(format!("tables/{}.csv", table.name)),
                message,
            })?;
            Ok((table.name, text))
        })
        .collect()
}

fn write(table: &view::Table) -> Result<String, String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let first = match table.name {
        "checks" => "check",
        "guide" => "method",
        _ => "variant",
    };
    let heads = std::iter::once(first.to_owned()).chain(table.columns.iter().flat_map(heads));
    writer.write_record(heads).map_err(|error| error.to_string())?;
    for row in &table.rows {
        let mut fields = vec![row.name.clone()];
        for (column, entry) in table.columns.iter().zip(&row.cells) {
            if column.numeric {
                // A bracket without an upper end has no value to write.
                let number = |value: Option<f64>| {
                    value.filter(|value| *value < f64::MAX / 1e9).map_or_else(String::new, |value| value.to_string())
                };
                fields.extend([number(entry.value), number(entry.low), number(entry.high)]);
                fields.push(entry.blank.clone().unwrap_or_default());
            } else {
                fields.push(entry.blank.as_ref().unwrap_or(&entry.text).clone());
            }
        }
        writer.write_record(&fields).map_err(|error| error.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

fn heads(column: &Column) -> Vec<String> {
    if !column.numeric {
        return vec![column.key.to_owned()];
    }
    let unit = match (column.key, column.unit) {
        // Windows are written in milliseconds.
        ("min" | "median" | "max" | "revocation_max", _) => "_ms".to_owned(),
        ("price", _) => "_per_million_requests".to_owned(),
        ("cpu_per_million", _) => "_core_seconds".to_owned(),
        (_, "µs") => "_us".to_owned(),
        (_, "ms") => "_ms".to_owned(),
        (_, "MiB") => "_mib".to_owned(),
        (_, "µs/request") => "_us_per_request".to_owned(),
        (_, "µs/connection") => "_us_per_connection".to_owned(),
        (_, "per s") => "_per_s".to_owned(),
        (_, "bytes/connection") => "_per_connection".to_owned(),
        (_, "% of none") => "_percent".to_owned(),
        (_, "req/s") => "_per_s".to_owned(),
        (_, "bytes/request" | "per request") => "_per_request".to_owned(),
        _ => String::new(),
    };
    let name = format!("{}{unit}", column.key);
    vec![name.clone(), format!("{name}_low"), format!("{name}_high"), format!("{}_blank", column.key)]
}
