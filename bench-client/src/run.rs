//! A run on disk: `run.json` (what was planned, on which machine) and `records.jsonl` (what was measured).
//!
//! `run.json` is always whole: it is written beside its place and renamed. A record is one write of one line, so that a
//! killed process leaves whole lines and at most one torn last one, which does not count. One process at a time appends,
//! which an advisory lock on `records.jsonl` sees to.

mod read;

#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bench_server::contract::ServerConfig;
use serde::{Deserialize, Serialize};

use crate::in_process::InProcess;
use crate::machine::Machine;
use crate::plan::Plan;
use crate::record::Record;

/// Version of `run.json`; a reader refuses others.
pub const RUN_VERSION: u32 = 1;

const HEADER_FILE: &str = "run.json";
const RECORDS_FILE: &str = "records.jsonl";

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
    /// Which side of a duet it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duet: Option<Duet>,
    /// What criterion found out about the validators, where the run was told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_process: Option<InProcess>,
    /// Effective configuration of each server process of the first start, by variant and role.
    pub servers: std::collections::BTreeMap<String, ServerConfig>,
}

/// Which side of a duet a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duet {
    /// The same for all sides of a duet, and for no other.
    pub id: String,
    /// Which side.
    pub side: Side,
    /// What served.
    pub program: Program,
    /// What was changed on this side only, as the command line had it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// A side of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What is compared with.
    Baseline,
    /// What is judged.
    Candidate,
    /// The baseline's program once more: what a comparison sees in nothing.
    Control,
}

impl Side {
    /// Its word, and the name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Candidate => "candidate",
            Self::Control => "control",
        }
    }
}

/// A program that served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name, without folders.
    pub name: String,
    /// What it says of itself when asked for its version.
    pub version: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
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

impl Build {
    /// What this program was built from, as its build script saw it.
    pub fn current() -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: env!("AUTHBENCH_REVISION").to_owned(),
            dirty: env!("AUTHBENCH_DIRTY") == "true",
            rustc: env!("AUTHBENCH_RUSTC").to_owned(),
            profile: env!("AUTHBENCH_PROFILE").to_owned(),
        }
    }
}

/// A run's folder, open to append to. No other process can open it so at the same time.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    header: Header,
    records: File,
    /// Bytes of `records` in whole lines.
    length: u64,
    /// Round of the record written last.
    round: Option<u32>,
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

impl RunError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<'_> {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

impl RunFolder {
    /// Makes a new folder and writes `run.json`.
    ///
    /// # Errors
    /// [`RunError`] when the folder exists or cannot be written.
    pub fn create(path: &Path, header: &Header) -> Result<Self, RunError> {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(RunError::io(parent))?;
        }
        fs::create_dir(path).map_err(RunError::io(path))?;
        Self::fill(path, header)
    }

    fn fill(path: &Path, header: &Header) -> Result<Self, RunError> {
        let begin = || {
            let file = path.join(RECORDS_FILE);
            let records = OpenOptions::new().create_new(true).append(true).open(&file).map_err(RunError::io(&file))?;
            lock(&records, &file)?;
            write_header(path, header)?;
            Ok(Self { path: path.to_owned(), header: header.clone(), records, length: 0, round: None })
        };
        begin().inspect_err(|_| {
            // A folder without `run.json` is no run. Should it stay, the user is told why anyway.
            let _ = fs::remove_dir_all(path);
        })
    }

    /// Makes a new folder `<scenario>-<UTC time>` under `out`; a number follows where that is taken.
    ///
    /// # Errors
    /// [`RunError`] when `out` cannot be written.
    pub fn create_under(out: &Path, header: &Header) -> Result<Self, RunError> {
        let folder = new_folder(out, &header.plan.scenario, header.started_at).map_err(RunError::io(out))?;
        Self::fill(&folder, header)
    }

    /// Opens the folder of an interrupted run to append to: a torn last line is cut off.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn resume(path: &Path) -> Result<(Self, LoadedRun), RunError> {
        let file = path.join(RECORDS_FILE);
        let records = OpenOptions::new().append(true).open(&file).map_err(RunError::io(&file))?;
        lock(&records, &file)?;
        let (run, length) = read::read(path)?;
        records.set_len(length).map_err(RunError::io(&file))?;
        let header = run.header.clone();
        Ok((Self { path: path.to_owned(), header, records, length, round: None }, run))
    }

    /// Reads a run.
    ///
    /// # Errors
    /// [`RunError`]; a torn last line is a warning, not an error.
    pub fn load(path: &Path) -> Result<LoadedRun, RunError> {
        read::read(path).map(|(run, _)| run)
    }

    /// Appends a record and flushes it to the operating system, and to the disk once per round: a killed process loses
    /// nothing, a machine without power a round at most.
    ///
    /// # Errors
    /// [`RunError`]. Then nothing of the record is left in the file, unless even cutting it off failed: a torn line does
    /// not count.
    pub fn append(&mut self, record: &Record) -> Result<(), RunError> {
        let mut line = serde_json::to_vec(record).expect("a record is plain data");
        line.push(b'\n');
        let file = self.path.join(RECORDS_FILE);
        if self.round.is_some_and(|round| round != record.round) {
            self.records.sync_data().map_err(RunError::io(&file))?;
        }
        if let Err(source) = self.records.write_all(&line) {
            let _ = self.records.set_len(self.length);
            return Err(RunError::Io { path: file, source });
        }
        self.length += line.len() as u64;
        self.round = Some(record.round);
        Ok(())
    }

    /// Adds the effective configuration of a server process to `run.json` (written anew, then renamed).
    ///
    /// # Errors
    /// [`RunError`].
    pub fn set_servers(&mut self, servers: std::collections::BTreeMap<String, ServerConfig>) -> Result<(), RunError> {
        self.header.servers.extend(servers);
        write_header(&self.path, &self.header)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Makes a new folder `<name>-<UTC time>` under `out`; a number follows where that is taken.
///
/// # Errors
/// When `out` cannot be written.
pub fn new_folder(out: &Path, name: &str, started_at: jiff::Timestamp) -> io::Result<PathBuf> {
    fs::create_dir_all(out)?;
    let name = format!("{name}-{}", started_at.strftime("%Y%m%dT%H%M%SZ"));
    for number in 1_u32.. {
        let folder = out.join(if number == 1 { name.clone() } else { format!("{name}-{number}") });
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    unreachable!("some number is free")
}

fn lock(records: &File, file: &Path) -> Result<(), RunError> {
    records.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => RunError::Content {
            path: file.to_owned(),
            message: "another process is measuring into this run; wait for it to end, or stop it".to_owned(),
        },
        TryLockError::Error(source) => RunError::Io { path: file.to_owned(), source },
    })
}

/// Writes `run.json` so that a reader sees the old one or the new one, whatever happens in between.
fn write_header(path: &Path, header: &Header) -> Result<(), RunError> {
    let (file, beside) = (path.join(HEADER_FILE), path.join(".run.json.new"));
    let mut json = serde_json::to_vec_pretty(header).expect("a header is plain data");
    json.push(b'\n');
    let written = File::create(&beside).and_then(|mut new| {
        new.write_all(&json)?;
        new.sync_all()?;
        fs::rename(&beside, &file)?;
        // The name is durable only with its folder.
        File::open(path)?.sync_all()
    });
    written.map_err(RunError::io(&file))
}
