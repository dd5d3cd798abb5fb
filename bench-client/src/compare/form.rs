//! A comparison as it is told: what a reader, a file or another program gets to see.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::plan::Quantity;
use crate::run::{Duet, Header, Side};
use crate::stats::{Interval, Verdict};

/// Version of the comparison's form in JSON.
pub const COMPARISON_VERSION: u32 = 1;

/// A comparison. Shares are relative to the baseline: 0.02 is two per cent more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`COMPARISON_VERSION`].
    pub version: u32,
    /// How the sides were measured.
    pub mode: Mode,
    /// The scenario's name.
    pub scenario: String,
    /// Where it was measured; of two runs the candidate's machine.
    pub machine: Machine,
    /// What is compared with.
    pub baseline: Party,
    /// What is judged.
    pub candidate: Party,
    /// Starts of the first look, those that count.
    pub starts: usize,
    /// Starts of the second look; 0 if there was none.
    pub starts_to_confirm: usize,
    /// The verdict on the whole.
    pub verdict: Verdict,
    /// Every figure that both sides have.
    pub rows: Vec<Row>,
    /// Cases that one side lacks, or that cannot be compared.
    pub missing: Vec<Missing>,
    /// Question 0, by quantity of the gate and, behind them, the others.
    pub sensitivity: Vec<Sensitivity>,
    /// What two processes of the baseline's program seemed to differ by; empty without a control.
    pub noise: Vec<Noise>,
    /// What a reader should know.
    pub warnings: Vec<String>,
}

/// How two sides were measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Side by side.
    Duet,
    /// One after the other.
    AcrossRuns,
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// What served, in words.
    pub program: String,
    /// When it was measured.
    pub started_at: jiff::Timestamp,
    /// The plan's hash.
    pub plan_hash: String,
    /// What was changed on this side only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// One figure of one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The case's id.
    pub case: String,
    /// The variant.
    pub variant: String,
    /// The measurement.
    pub measurement: String,
    /// What is compared.
    pub quantity: Quantity,
    /// Whether it decides the exit status.
    pub gate: bool,
    /// The baseline's figure, from all of its trials: nanoseconds, or requests per second. Not what the change is
    /// computed from, which is pairs.
    pub baseline: f64,
    /// The candidate's figure.
    pub candidate: f64,
    /// The change, positive for a larger figure.
    pub change: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// The smallest change that counts.
    pub minimum: f64,
    /// The smallest change for the worse that this comparison would have found with 90 % power.
    pub detectable: f64,
    /// Whether there was a second look, whose figures these then are.
    pub confirmed_anew: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// Why, where it is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A case that is not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The case's id.
    pub case: String,
    /// The side that lacks it.
    pub side: Side,
    /// Why.
    pub reason: String,
}

/// The smallest change of a quantity that a comparison would have found with 90 % power.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sensitivity {
    /// The quantity.
    pub quantity: Quantity,
    /// For the variant in the middle.
    pub median: f64,
    /// For the least steady case.
    pub worst: f64,
    /// Its id.
    pub worst_case: String,
}

/// What two processes of one program seemed to differ by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// The case.
    pub case: String,
    /// The quantity.
    pub quantity: Quantity,
    /// The change that is none.
    pub change: f64,
    /// Its 95 % interval.
    pub interval: Interval,
}

impl Party {
    pub(super) fn of(header: &Header) -> Self {
        let build = &header.build;
        let dirty = if build.dirty { " with changes" } else { "" };
        let (program, changes) = match &header.duet {
            Some(Duet { program, changes, .. }) => {
                (format!("{}, {}, SHA-256 {:.12}…", program.name, program.version, program.sha256), changes.clone())
            }
            None => (format!("authbench {}, revision {:.12}{dirty}", build.version, build.revision), Vec::new()),
        };
        Self { program, changes, started_at: header.started_at, plan_hash: header.plan_hash.clone() }
    }
}
