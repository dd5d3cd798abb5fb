//! `authbench compare`: did it get worse? Of two builds, measured now side by side, or of two runs.

use std::fs;
use std::path::{Path, PathBuf};

use super::duet;
use super::scenarios::{Changes, key_and_value};
use super::{Exit, fail, print, remark};
use crate::compare::{self, Comparison, Incomparable, Options, Sides};
use crate::report::comparison as formats;
use crate::run::{LoadedRun, RunError, RunFolder, Side};
use crate::stats::Verdict;

/// Compare two builds of the server, or two runs
#[derive(Debug, clap::Args)]
#[command(override_usage = "authbench compare --server BASELINE --server CANDIDATE [OPTIONS] SCENARIO\n       \
                            authbench compare [OPTIONS] BASELINE CANDIDATE\n       \
                            authbench compare [OPTIONS] DUET")]
pub(super) struct Args {
    /// With --server a scenario; otherwise the folders of two runs, or of a duet
    #[arg(required = true, num_args = 1..=2, value_name = "SCENARIO|RUN")]
    operands: Vec<PathBuf>,
    /// A build of authbench or bench-server; give two, first the baseline, then the candidate
    #[arg(long, value_name = "PROGRAM")]
    server: Vec<PathBuf>,
    /// Change a value of the scenario for the candidate only (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value, requires = "server")]
    candidate_set: Vec<(String, String)>,
    /// The smallest change that counts, for the figures of the gate
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    max_regression: Option<f64>,
    /// Compare runs of different machines
    #[arg(long, conflicts_with = "server")]
    other_machine: bool,
    /// What to print
    #[arg(long, value_name = "FORMAT,…", value_delimiter = ',', default_value = "text", value_parser = format)]
    format: Vec<Format>,
    /// Where the folder of a duet is made, and where the comparison is written in every format; two runs' is written only
    /// if this is given
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    changes: Changes,
}

/// A form of a comparison.
#[derive(Debug, Clone, Copy)]
struct Format {
    word: &'static str,
    file: &'static str,
    write: fn(&Comparison) -> String,
}

const FORMATS: [Format; 8] = [
    Format { word: "text", file: "comparison.txt", write: formats::text },
    Format { word: "md", file: "comparison.md", write: formats::markdown },
    Format { word: "json", file: "comparison.json", write: formats::json },
    Format { word: "junit", file: "comparison.junit.xml", write: formats::junit },
    Format { word: "gha", file: "annotations.txt", write: formats::annotations },
    Format { word: "bmf", file: "comparison.bmf.json", write: formats::bencher },
    Format { word: "gab", file: "comparison.gab.json", write: formats::benchmark_action },
    Format { word: "openmetrics", file: "comparison.openmetrics.txt", write: formats::open_metrics },
];

fn format(word: &str) -> Result<Format, String> {
    FORMATS.iter().find(|format| format.word == word).copied().ok_or_else(|| {
        let words: Vec<&str> = FORMATS.iter().map(|format| format.word).collect();
        format!("write one or more of {}", words.join(","))
    })
}

fn share(percent: &str) -> Result<f64, String> {
    let share = percent.trim().strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    let share = share.map(|percent| percent / 100.0).filter(|share| (0.0..=10.0).contains(share) && *share > 0.0);
    share.ok_or_else(|| "write a percentage over 0%, like 5%".to_owned())
}

pub(super) fn compare(args: &Args) -> Exit {
    let options = Options { other_machine: args.other_machine, max_regression: args.max_regression };
    match (args.server.as_slice(), args.operands.as_slice()) {
        ([], [duet]) => of_folder(duet, args, &options),
        ([], [baseline, candidate]) => {
            // Two sides of one duet bring their control along.
            let control = baseline.parent().map(|folder| folder.join(Side::Control.name()));
            let control = control.filter(|control| control.is_dir() && baseline.parent() == candidate.parent());
            of_runs((baseline, candidate, control.as_deref()), args, &options)
        }
        ([baseline, candidate], [scenario]) => {
            let out = args.out.clone().unwrap_or_else(|| PathBuf::from("reports"));
            let sides = [baseline.as_path(), candidate.as_path()];
            match duet::measure(scenario, sides, (&args.changes, &args.candidate_set), &options, &out) {
                Ok(folder) => of_duet(&folder, args, &options, Some(&folder)),
                Err(exit) => exit,
            }
        }
        (servers, operands) => fail(
            Exit::Input,
            format_args!(
                "{} servers and {} other arguments; write --server BASELINE --server CANDIDATE SCENARIO, or two folders of \
                 runs",
                servers.len(),
                operands.len()
            ),
        ),
    }
}

fn of_folder(folder: &Path, args: &Args, options: &Options) -> Exit {
    if !folder.join(Side::Baseline.name()).is_dir() {
        let shown = folder.display();
        return fail(
            Exit::Input,
            format_args!("{shown} is not the folder of a duet (it has no \"baseline\"); name two folders of runs"),
        );
    }
    of_duet(folder, args, options, args.out.as_deref())
}

fn of_duet(folder: &Path, args: &Args, options: &Options, write_to: Option<&Path>) -> Exit {
    let of = |side: Side| folder.join(side.name());
    let control = Some(of(Side::Control)).filter(|control| control.is_dir());
    let runs = (of(Side::Baseline), of(Side::Candidate), control);
    judged((&runs.0, &runs.1, runs.2.as_deref()), args, options, write_to)
}

fn of_runs(runs: (&Path, &Path, Option<&Path>), args: &Args, options: &Options) -> Exit {
    judged(runs, args, options, args.out.as_deref())
}

fn judged(runs: (&Path, &Path, Option<&Path>), args: &Args, options: &Options, write_to: Option<&Path>) -> Exit {
    let loaded = match Loaded::read(runs) {
        Ok(loaded) => loaded,
        Err(error) => return fail(Exit::Input, error),
    };
    let comparison = match compare::compare(&loaded.sides(), options) {
        Ok(comparison) => comparison,
        Err(Incomparable(reason)) => return fail(Exit::Input, reason),
    };
    for format in &args.format {
        print((format.write)(&comparison).trim_end());
    }
    if let Some(folder) = write_to {
        if let Err(error) = write(folder, &comparison) {
            return fail(Exit::Measurement, error);
        }
        remark(format_args!("comparison: {}", folder.display()));
    }
    match comparison.verdict {
        Verdict::Regressed => Exit::Regressed,
        Verdict::Inconclusive => Exit::Inconclusive,
        Verdict::Improved | Verdict::Unchanged => Exit::Fine,
    }
}

fn write(folder: &Path, comparison: &Comparison) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for format in FORMATS {
        let file = folder.join(format.file);
        fs::write(&file, (format.write)(comparison)).map_err(|error| failed(&file, error))?;
    }
    Ok(())
}

/// The sides' runs, read.
pub(super) struct Loaded {
    baseline: LoadedRun,
    candidate: LoadedRun,
    control: Option<LoadedRun>,
}

impl Loaded {
    /// Reads the folders of baseline, candidate and, of a duet, control.
    ///
    /// # Errors
    /// [`RunError`].
    pub(super) fn read((baseline, candidate, control): (&Path, &Path, Option<&Path>)) -> Result<Self, RunError> {
        Ok(Self {
            baseline: RunFolder::load(baseline)?,
            candidate: RunFolder::load(candidate)?,
            control: control.map(RunFolder::load).transpose()?,
        })
    }

    pub(super) fn sides(&self) -> Sides<'_> {
        Sides { baseline: &self.baseline, candidate: &self.candidate, control: self.control.as_ref() }
    }
}
