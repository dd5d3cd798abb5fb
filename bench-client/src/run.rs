//! A run on disk: `run.json` (what was planned, on which machine) and `records.jsonl` (what was measured).

use std::path::{Path, PathBuf};

use bench_server::contract::ServerConfig;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::plan::Plan;
use crate::record::Record;

/// Version of `run.json`; a reader refuses others.
pub const RUN_VERSION: u32 = 1;

/// `run.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`RUN_VERSION`].
    pub version: u32,
    /// Text of the scenario, byte for byte.
    pub scenario_text: String,
    /// The plan.
    pub plan: Plan,
    /// [`Plan::hash`].
    pub plan_hash: String,
    /// When the run began.
    pub started_at: jiff::Timestamp,
    /// What was built: revision, dirty flag, version, compiler.
    pub build: Build,
    /// Where it ran.
    pub machine: Machine,
    /// Effective configuration of each server process of the first start, by variant and role.
    pub servers: std::collections::BTreeMap<String, ServerConfig>,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Package version.
    pub version: String,
    /// Git revision, or `unknown`.
    pub revision: String,
    /// Whether the work tree differed from the revision.
    pub dirty: bool,
    /// `rustc --version`.
    pub rustc: String,
    /// Cargo profile.
    pub profile: String,
}

/// A run's folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// What was read back from a run's folder.
#[derive(Debug, Clone)]
pub struct LoadedRun {
    /// `run.json`.
    pub header: Header,
    /// Complete records in the order they were made.
    pub records: Vec<Record>,
    /// What a reader should know: a torn last line, rounds missing.
    pub warnings: Vec<String>,
}

/// Why a run's folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The content is not a run.
    #[error("{}: {message}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, with line where it has lines.
        message: String,
    },
}

impl RunFolder {
    /// Makes a new folder and writes `run.json`.
    ///
    /// # Errors
    /// [`RunError`] when the folder exists or cannot be written.
    pub fn create(_path: &Path, _header: &Header) -> Result<Self, RunError> {
        unimplemented!()
    }

    /// Opens the folder of an interrupted run to append to: a torn last line is cut off.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn resume(_path: &Path) -> Result<(Self, LoadedRun), RunError> {
        unimplemented!()
    }

    /// Reads a run.
    ///
    /// # Errors
    /// [`RunError`]; a torn last line is a warning, not an error.
    pub fn load(_path: &Path) -> Result<LoadedRun, RunError> {
        unimplemented!()
    }

    /// Appends a record and flushes it to the operating system.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn append(&mut self, _record: &Record) -> Result<(), RunError> {
        unimplemented!()
    }

    /// Adds the effective configuration of a server process to `run.json` (written anew, then renamed).
    ///
    /// # Errors
    /// [`RunError`].
    pub fn set_servers(&mut self, _servers: std::collections::BTreeMap<String, ServerConfig>) -> Result<(), RunError> {
        unimplemented!()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
