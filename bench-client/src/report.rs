//! From a run on disk to tables, plots, HTML, Markdown and claims. Never opens a socket.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::run::LoadedRun;

mod checks;
mod claims;
pub mod comparison;
mod csv;
mod expect;
pub(crate) mod format;
mod headline;
mod hgrm;
mod html;
mod markdown;
mod plot;
mod rank;
mod summary;
mod sweep;
mod table;
mod view;

pub(crate) use markdown::escape as escape_markdown;
pub(crate) use table::ruled as ruled_table;

pub use crate::cell::{Cell, Estimate};
pub use checks::{Check, CheckVerdict};
pub use claims::{Claim, ClaimVerdict};
pub use summary::*;

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

/// All that a run says, before it is drawn: the content of `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The figures.
    #[serde(flatten)]
    pub summary: Summary,
    /// What physics demands of them.
    pub checks: Vec<Check>,
    /// The guide's table beside them.
    pub claims: Vec<Claim>,
}

impl Report {
    /// Adds a run up.
    pub fn new(run: &LoadedRun) -> Self {
        let trials = Trials::new(run);
        let summary = Summary::new(run, &trials);
        let checks = checks::check(&run.header.plan, &trials, &summary);
        let claims = claims::claims(&summary);
        Self { summary, checks, claims }
    }

    /// The checks that failed.
    pub fn failed_checks(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| check.failed())
    }

    /// The same, a sentence each.
    pub fn failures(&self) -> Vec<String> {
        let sentence = |check: &Check| format!("{}: expected {}, found {}", check.name, check.expected, check.found);
        self.failed_checks().map(sentence).collect()
    }

    /// The comparison table for a terminal, with the sanity checks below it.
    pub fn terminal(&self) -> String {
        table::terminal(self)
    }

    /// Writes the chosen formats of `run`, which it must be of, into `out` and returns the files written.
    ///
    /// # Errors
    /// [`ReportError`].
    pub fn write(&self, run: &LoadedRun, out: &Path, formats: &[Format]) -> Result<Vec<PathBuf>, ReportError> {
        let mut files = Files { out, written: Vec::new() };
        for format in formats {
            match format {
                Format::Html => files.text("report.html", &html::render(run, self)?)?,
                Format::Markdown => files.text("report.md", &markdown::render(run, self))?,
                Format::Csv => {
                    for (name, text) in csv::render(self)? {
                        files.text(&format!("tables/{name}.csv"), &text)?;
                    }
                }
                Format::Svg => {
                    for plot in plot::all(self) {
                        files.text(&format!("plots/{}.svg", plot.name()), &plot.svg(plot::Ink::OnPaper)?)?;
                    }
                }
                Format::Png => {
                    for plot in plot::all(self) {
                        let path = files.place(&format!("plots/{}.png", plot.name()))?;
                        plot.png(&path)?;
                        files.written.push(path);
                    }
                }
                Format::Json => {
                    let text = serde_json::to_string_pretty(self)
                        .map_err(|error| files.error("summary.json", error.to_string()))?;
                    files.text("summary.json", &(text + "\n"))?;
                }
                Format::Hgrm => {
                    for (name, text) in hgrm::render(run) {
                        files.text(&format!("hgrm/{name}.hgrm"), &text)?;
                    }
                }
            }
        }
        Ok(files.written)
    }

    /// Bad credentials that were accepted, good ones that were not, and answers that are not as they should be; a sentence each.
    pub fn findings(&self) -> Vec<String> {
        view::findings_in_words(&self.summary)
    }

    /// What became of the scenario's limits.
    pub fn limits(&self) -> Limits {
        let of = |wanted: ThresholdVerdict| {
            let all = self.summary.thresholds.iter().filter(move |it| it.verdict == wanted);
            all.map(view::limit_in_words).collect()
        };
        Limits { broken: of(ThresholdVerdict::Exceeded), unclear: of(ThresholdVerdict::Inconclusive) }
    }
}

/// The limits of the scenario that are not kept, a sentence each.
pub struct Limits {
    /// Those that are exceeded.
    pub broken: Vec<String>,
    /// Those of which the run cannot tell.
    pub unclear: Vec<String>,
}

/// Where files go, and which went there.
struct Files<'a> {
    out: &'a Path,
    written: Vec<PathBuf>,
}

impl Files<'_> {
    fn error(&self, name: &str, message: String) -> ReportError {
        ReportError { path: self.out.join(name), message }
    }

    /// The path of a file whose folder exists.
    fn place(&self, name: &str) -> Result<PathBuf, ReportError> {
        let path = self.out.join(name);
        let folder = path.parent().unwrap_or(self.out);
        std::fs::create_dir_all(folder)
            .map_err(|error| ReportError { path: folder.to_owned(), message: error.to_string() })?;
        Ok(path)
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), ReportError> {
        let path = self.place(name)?;
        std::fs::write(&path, text).map_err(|error| self.error(name, error.to_string()))?;
        self.written.push(path);
        Ok(())
    }
}
