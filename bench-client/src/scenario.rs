//! The scenario as the user wrote it, and every problem in it at once, each with file:line:column.

use std::path::Path;

use crate::plan::Plan;

/// One mistake in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// File as given on the command line.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong (with the value) and what to do.
    pub message: String,
}

/// What the command line changes in a scenario.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--rounds`.
    pub rounds: Option<u32>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--quick`.
    pub quick: bool,
    /// `--set KEY=VALUE`.
    pub set: Vec<(String, String)>,
}

/// Reads a scenario's text and resolves it.
///
/// # Errors
/// All problems, in the order of their places.
pub fn resolve(_file: &Path, _text: &str, _overrides: &Overrides) -> Result<Plan, Vec<Problem>> {
    unimplemented!()
}
