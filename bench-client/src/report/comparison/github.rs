//! For GitHub: annotations, as workflow commands on stdout ("Workflow commands for GitHub Actions", docs.github.com), and
//! the JSON of github-action-benchmark (`customSmallerIsBetter` of its README).

use std::fmt::Write as _;

use serde::Serialize;

use super::{cells, headline};
use crate::compare::{Comparison, Row};
use crate::plan::Quantity;
use crate::stats::Verdict;

/// An error for each figure of the gate that regressed, a warning for each that nobody can tell, and the whole as a notice.
pub fn annotations(comparison: &Comparison) -> String {
    let mut text = String::new();
    let mut command = |level: &str, title: &str, message: &str| {
        let _ = writeln!(text, "::{level} title={}::{}", property(title), data(message));
    };
    for row in comparison.rows.iter().filter(|row| row.gate) {
        let level = match row.verdict {
            Verdict::Regressed => "error",
            Verdict::Inconclusive => "warning",
            Verdict::Improved | Verdict::Unchanged => continue,
        };
        let [case, figure, baseline, candidate, change, interval, _, verdict] = cells(row);
        let reason = row.reason.as_ref().map_or_else(String::new, |reason| format!("; {reason}"));
        let message = format!("{figure} {change} ({interval}), from {baseline} to {candidate}{reason}");
        command(level, &format!("{verdict}: {case}"), &message);
    }
    for missing in &comparison.missing {
        let message = format!("{}: {}", missing.side.name(), missing.reason);
        command("warning", &format!("cannot be compared: {}", missing.case), &message);
    }
    let level = if comparison.verdict == Verdict::Inconclusive { "warning" } else { "notice" };
    command(level, &format!("authbench compare {}", comparison.scenario), &headline(comparison));
    text
}

fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The candidate's figures of which less is better: the action takes one direction per file, so throughput is left out (at
/// saturation it says what processor time per request says).
pub fn benchmark_action(comparison: &Comparison) -> String {
    #[derive(Serialize)]
    struct Entry {
        name: String,
        unit: &'static str,
        value: f64,
        range: String,
        extra: String,
    }
    let entry = |row: &Row| Entry {
        name: format!("{}: {}", row.case, row.quantity.title()),
        unit: "ns",
        value: row.candidate,
        range: format!("± {:.2} %", row.interval.half_width() * 100.0),
        extra: format!("{}, {:+.2} % against the baseline", row.verdict.name(), row.change * 100.0),
    };
    let less_is_better = |row: &&Row| !Quantity::more_is_better(row.quantity);
    let entries: Vec<Entry> = comparison.rows.iter().filter(less_is_better).map(entry).collect();
    serde_json::to_string_pretty(&entries).expect("entries are plain data") + "\n"
}
