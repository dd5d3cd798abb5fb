//! Carries out a plan: starts, rounds, interleaved slices; one file per measurement under `measure/`.

use crate::plan::Plan;
use crate::progress::Progress;
use crate::record::Record;
use crate::run::{LoadedRun, RunError, RunFolder};
use crate::target::TargetError;

/// Why the measuring ended before the plan did. Records made so far are on disk.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A server failed.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// Load could not be generated.
    #[error(transparent)]
    Load(#[from] crate::load::LoadError),
    /// The run's folder failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The machine lacks something: file descriptors, a processor to bind to.
    #[error("{0}")]
    Machine(String),
}

/// Carries out what of the plan `folder` does not hold yet: `done` are the records of the interrupted run (empty for a new
/// one). Runs on the calling thread; `interrupted` is looked at between slices.
///
/// # Errors
/// [`MeasureError`]. Whatever happens, records already appended stay.
pub fn execute(
    _plan: &Plan,
    _machine: &crate::machine::Machine,
    _folder: &mut RunFolder,
    _done: &[Record],
    _progress: &mut dyn Progress,
    _interrupted: &std::sync::atomic::AtomicBool,
) -> Result<(), MeasureError> {
    unimplemented!()
}

#[allow(unused)]
type Done = LoadedRun;
