//! Measuring two builds side by side: a first look at everything, and a second, in fresh processes, at what it suspects.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use sha2::{Digest as _, Sha256};

use super::compare::Loaded;
use super::run::machine_for;
use super::scenarios::{Changes, Ready, prepare, prepare_with};
use super::{Exit, fail, interrupt, remark};
use crate::compare::{self, Options};
use crate::machine::Machine;
use crate::measure::{self, DuetSide, MeasureError};
use crate::plan::{Plan, Stint};
use crate::progress;
use crate::run::{Build, Duet, Header, Program, RUN_VERSION, RunFolder, Side, new_folder};
use crate::stats::STARTS_MIN;
use crate::target::Launcher;

/// One side before it is measured.
struct Party {
    side: Side,
    launcher: Launcher,
    ready: Ready,
    program: Program,
    changes: Vec<String>,
}

/// Measures `servers`, baseline and candidate, and answers the folder that holds a run of each side.
///
/// # Errors
/// The exit status; what it is about has been said.
pub(super) fn measure(
    scenario: &Path,
    servers: [&Path; 2],
    (changes, candidate_only): (&Changes, &[(String, String)]),
    options: &Options,
    out: &Path,
) -> Result<PathBuf, Exit> {
    let parties = parties(scenario, servers, changes, candidate_only)?;
    let interrupted =
        interrupt::flag().map_err(|error| fail(Exit::Measurement, format_args!("cannot wait for Ctrl-C: {error}")))?;
    let machine = machine_for(&parties[0].ready.plan);
    let started_at = jiff::Timestamp::now();
    let folder =
        new_folder(out, &format!("{}-duet", &parties[0].ready.plan.scenario), started_at).map_err(|error| {
            fail(Exit::Measurement, format_args!("{}: {error}; name a folder with --out", out.display()))
        })?;
    // Unique among all that were ever begun: nothing else makes two runs a pair.
    let id = format!("{:016x}", rand::random::<u64>());
    let mut folders = Vec::new();
    for party in &parties {
        let header = party.header(&id, &machine, started_at);
        let made = RunFolder::create(&folder.join(party.side.name()), &header);
        folders.push(made.map_err(|error| fail(Exit::Measurement, error))?);
    }
    let plan = &parties[0].ready.plan;
    let first_look = Stint { starts: 0..plan.starts, cases: None };
    stint(&parties, &mut folders, &machine, &first_look, &interrupted).map_err(|error| told(&error, &folder))?;
    let suspects = suspects(&folder, options)?;
    if !suspects.is_empty() {
        let names: Vec<&str> = suspects.iter().map(String::as_str).collect();
        remark(format_args!("looking again at {}", names.join(", ")));
        let second_look = Stint::second_look(plan, suspects);
        stint(&parties, &mut folders, &machine, &second_look, &interrupted).map_err(|error| told(&error, &folder))?;
    }
    Ok(folder)
}

fn parties(
    scenario: &Path,
    [baseline, candidate]: [&Path; 2],
    changes: &Changes,
    candidate_only: &[(String, String)],
) -> Result<Vec<Party>, Exit> {
    let ready = prepare(scenario, changes)?;
    let plan = &ready.plan;
    if plan.target.is_some() {
        return Err(fail(
            Exit::Input,
            "this scenario measures a server of yours, which a comparison cannot start; run it twice, and compare the runs",
        ));
    }
    let left_out: BTreeSet<&str> = plan
        .measurements
        .iter()
        .filter(|measurement| !measurement.kind.is_load())
        .map(|measurement| measurement.name.as_str())
        .collect();
    if left_out.len() == plan.measurements.len() {
        return Err(fail(
            Exit::Input,
            "there is nothing to compare: a comparison measures load; use a scenario with `throughput`, `latency` or \
             `handshake`, like ci",
        ));
    }
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.into_iter().collect();
        remark(format_args!("note: a comparison measures load; left out: {}", names.join(", ")));
    }
    let candidate_ready = match candidate_only {
        [] => prepare(scenario, changes)?,
        more => prepare_with(scenario, changes, more)?,
    };
    if (plan.starts as usize) < STARTS_MIN {
        return Err(fail(
            Exit::Input,
            format_args!(
                "starts is {}, and a comparison needs {STARTS_MIN} or more; write them, or --set starts=8 --rounds 32 (--quick \
                 has a single one)",
                plan.starts
            ),
        ));
    }
    let other = &candidate_ready.plan;
    let alike = (plan.starts, plan.rounds, plan.seed, plan.pin) == (other.starts, other.rounds, other.seed, other.pin)
        && plan.measurements == other.measurements;
    if !alike {
        return Err(fail(
            Exit::Input,
            "--candidate-set changes how it is measured, which both sides share; change variant.NAME.KEY, pool.KEY or \
             server.KEY there, and the rest with --set",
        ));
    }
    let control = Ready { text: ready.text.clone(), plan: control_of(plan) };
    let program = |path: &Path| {
        let path = path.canonicalize();
        path.and_then(|path| Ok((launcher(&path), identify(&path)?)))
    };
    let failed = |path: &Path, error: &io::Error| {
        fail(Exit::Input, format_args!("--server {}: {error}; name a build of authbench", path.display()))
    };
    let (old, old_program) = program(baseline).map_err(|error| failed(baseline, &error))?;
    let (new, new_program) = program(candidate).map_err(|error| failed(candidate, &error))?;
    let changed = candidate_only.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let party = |side, launcher: &Launcher, program: &Program, ready, changes| Party {
        side,
        launcher: launcher.clone(),
        ready,
        program: program.clone(),
        changes,
    };
    Ok(vec![
        party(Side::Baseline, &old, &old_program, ready, Vec::new()),
        party(Side::Candidate, &new, &new_program, candidate_ready, changed),
        party(Side::Control, &old, &old_program, control, Vec::new()),
    ])
}

/// The baseline variant alone, or else the first.
fn control_of(plan: &Plan) -> Plan {
    let mut control = plan.clone();
    control.variants.truncate(1); // the baseline comes first
    let kept = |variant: &str| control.variants.iter().any(|it| it.name == variant);
    control.cases = plan.cases.iter().filter(|case| kept(&case.variant)).cloned().collect();
    control
}

/// `bench-server` is the server alone; `authbench` has it behind a verb.
fn launcher(program: &Path) -> Launcher {
    let alone = program.file_stem().is_some_and(|stem| stem == "bench-server");
    let arguments = ["serve", "--supervised", "--temporary-state"].into_iter().skip(usize::from(alone));
    Launcher { program: program.to_owned(), arguments: arguments.map(str::to_owned).collect() }
}

fn identify(program: &Path) -> io::Result<Program> {
    let digest = Sha256::digest(fs::read(program)?);
    let said = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    Ok(Program {
        name: program.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        version: String::from_utf8_lossy(&said.stdout).lines().next().unwrap_or("version unknown").to_owned(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
    })
}

impl Party {
    fn header(&self, id: &str, machine: &Machine, started_at: jiff::Timestamp) -> Header {
        Header {
            version: RUN_VERSION,
            scenario_text: self.ready.text.clone(),
            plan_hash: self.ready.plan.hash(),
            plan: self.ready.plan.clone(),
            started_at,
            build: Build::current(),
            machine: machine.clone(),
            duet: Some(Duet {
                id: id.to_owned(),
                side: self.side,
                program: self.program.clone(),
                changes: self.changes.clone(),
            }),
            in_process: None,
            servers: Default::default(),
        }
    }
}

fn stint(
    parties: &[Party],
    folders: &mut [RunFolder],
    machine: &Machine,
    stint: &Stint,
    interrupted: &AtomicBool,
) -> Result<(), MeasureError> {
    let mut sides: Vec<DuetSide<'_>> = parties
        .iter()
        .zip(folders)
        .map(|(party, folder)| DuetSide { plan: &party.ready.plan, launcher: &party.launcher, folder })
        .collect();
    let mut progress = progress::for_stderr();
    let outcome = measure::execute_duet(&mut sides, machine, stint, progress.as_mut(), interrupted);
    progress.end();
    outcome
}

fn suspects(folder: &Path, options: &Options) -> Result<BTreeSet<String>, Exit> {
    let of = |side: Side| folder.join(side.name());
    let loaded = Loaded::read((&of(Side::Baseline), &of(Side::Candidate), Some(&of(Side::Control))))
        .map_err(|error| fail(Exit::Measurement, error))?;
    compare::suspects(&loaded.sides(), options).map_err(|error| fail(Exit::Input, error))
}

fn told(error: &MeasureError, folder: &Path) -> Exit {
    let exit = match error {
        MeasureError::Interrupted => {
            remark("interrupted");
            Exit::Measurement
        }
        _ => fail(Exit::Measurement, error),
    };
    let shown = folder.display();
    remark(format_args!("records so far: {shown}; what they say: authbench compare {shown}"));
    exit
}
