//! From a run on disk to tables, plots, HTML, Markdown and claims. Never opens a socket.

use std::path::{Path, PathBuf};

use crate::run::LoadedRun;

/// What `report` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `report.html`.
    Html,
    /// `report.md`.
    Markdown,
    /// `tables/*.csv`.
    Csv,
    /// `plots/*.svg`.
    Svg,
    /// `plots/*.png`.
    Png,
    /// `summary.json`.
    Json,
    /// `hgrm/*.hgrm`.
    Hgrm,
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct ReportError {
    /// File or folder.
    pub path: PathBuf,
    /// Why.
    pub message: String,
}

/// The comparison table for a terminal, with the sanity checks below it.
pub fn terminal(_run: &LoadedRun) -> String {
    unimplemented!()
}

/// Sanity checks that physics demands and that failed; a run with any is not to be believed.
pub fn failed_checks(_run: &LoadedRun) -> Vec<String> {
    unimplemented!()
}

/// Writes the chosen formats into `out` and returns the files written.
///
/// # Errors
/// [`ReportError`].
pub fn write(_run: &LoadedRun, _out: &Path, _formats: &[Format]) -> Result<Vec<PathBuf>, ReportError> {
    unimplemented!()
}
