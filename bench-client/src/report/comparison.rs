//! What a comparison is written as. Each format is another program's, or a reader's; its file says whose, and where it is
//! published.

mod bencher;
mod github;
mod junit;
mod markdown;
mod open_metrics;
mod text;

#[cfg(test)]
mod tests;

use super::format;
use crate::compare::{Comparison, Mode, Noise, Party, Row, Sensitivity};
use crate::plan::Quantity;
use crate::stats::Verdict;

pub use bencher::bencher;
pub use github::{annotations, benchmark_action};
pub use junit::junit;
pub use markdown::markdown;
pub use open_metrics::open_metrics;
pub use text::text;

/// JSON, described by `docs/comparison.schema.json`.
pub fn json(comparison: &Comparison) -> String {
    serde_json::to_string_pretty(comparison).expect("a comparison is plain data") + "\n"
}

/// The heads of the table that people read.
const HEADS: [&str; 8] =
    ["case", "figure", "baseline", "candidate", "change", "95 % interval", "counts / seen from", "verdict"];

/// Its cells for a row.
fn cells(row: &Row) -> [String; 8] {
    let value = |value: f64| match row.quantity {
        Quantity::Throughput => format!("{} req/s", format::number(value)),
        _ => format::duration(value),
    };
    [
        row.case.clone(),
        row.quantity.title().to_owned(),
        value(row.baseline),
        value(row.candidate),
        signed_percent(row.change),
        format!("{} – {}", signed_percent(row.interval.low), signed_percent(row.interval.high)),
        format!("{} / {}", format::percent(row.minimum), format::percent(row.detectable)),
        row.verdict.name().to_owned(),
    ]
}

/// A change with its sign and two decimals, for changes of interest are around one per cent.
fn signed_percent(share: f64) -> String {
    let value = share * 100.0;
    let decimals = if value.abs() < 9.95 { 2 } else { 1 };
    let text = format::fixed(value, decimals);
    if value > 0.0 { format!("+{text} %") } else { format!("{text} %") }
}

/// The whole in one sentence.
fn headline(comparison: &Comparison) -> String {
    let gated = || comparison.rows.iter().filter(|row| row.gate);
    let count = |verdict: Verdict| gated().filter(|row| row.verdict == verdict).count();
    let all = gated().count();
    match comparison.verdict {
        Verdict::Regressed => format!("Regressed: {} of {all} figures of the gate.", count(Verdict::Regressed)),
        Verdict::Inconclusive if !comparison.missing.is_empty() => {
            format!("Inconclusive: {} cases cannot be compared.", comparison.missing.len())
        }
        Verdict::Inconclusive if all == 0 => "Inconclusive: there is no figure of the gate.".to_owned(),
        Verdict::Inconclusive => {
            format!("Inconclusive: {} of {all} figures of the gate.", count(Verdict::Inconclusive))
        }
        Verdict::Improved => {
            format!("Improved: {} of {all} figures of the gate, and none is worse.", count(Verdict::Improved))
        }
        Verdict::Unchanged => format!("Unchanged: {all} figures of the gate."),
    }
}

/// Question 0, a sentence for each quantity.
fn question_0(comparison: &Comparison) -> Vec<String> {
    let sentence = |it: &Sensitivity| {
        format!(
            "This run would have seen a change for the worse of ≥ {} in {} with 90 % power in the typical case, and of ≥ {} \
             in the least steady one, {}.",
            format::percent(it.median),
            it.quantity.title(),
            format::percent(it.worst),
            it.worst_case
        )
    };
    comparison.sensitivity.iter().map(sentence).collect()
}

/// What two processes of one program seemed to differ by, a sentence for each quantity.
fn noise(comparison: &Comparison) -> Vec<String> {
    let sentence = |it: &Noise| {
        format!(
            "Two processes of the baseline's program seemed to differ by {} ({} – {}) in {}, {}.",
            signed_percent(it.change),
            signed_percent(it.interval.low),
            signed_percent(it.interval.high),
            it.quantity.title(),
            it.case
        )
    };
    comparison.noise.iter().map(sentence).collect()
}

/// What is missing, and why figures are what they are: a sentence each.
fn reasons(comparison: &Comparison) -> Vec<String> {
    let missing = comparison.missing.iter().map(|it| format!("{} ({}): {}", it.case, it.side.name(), it.reason));
    let of_rows = comparison.rows.iter().filter_map(|row| {
        let reason = row.reason.as_ref()?;
        Some(format!("{}, {}: {reason}", row.case, row.quantity.title()))
    });
    missing.chain(of_rows).collect()
}

/// Which sides, and how they were measured.
fn parties(comparison: &Comparison) -> Vec<String> {
    let changed = |party: &Party| match party.changes.as_slice() {
        [] => String::new(),
        changes => format!(", with {}", changes.join(" ")),
    };
    let how = match comparison.mode {
        Mode::Duet if comparison.starts_to_confirm > 0 => format!(
            "measured side by side in {} starts, and what was suspected again in {} fresh ones",
            comparison.starts, comparison.starts_to_confirm
        ),
        Mode::Duet => format!("measured side by side in {} starts; nothing was looked at again", comparison.starts),
        Mode::AcrossRuns => "measured one after the other, each against its own run's baseline variant".to_owned(),
    };
    vec![
        format!("Baseline: {}{}", comparison.baseline.program, changed(&comparison.baseline)),
        format!("Candidate: {}{}", comparison.candidate.program, changed(&comparison.candidate)),
        format!("Scenario {}, {how}.", comparison.scenario),
    ]
}
