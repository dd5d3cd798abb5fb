//! Carries out a plan: starts, rounds, interleaved slices; one file per measurement under `measure/`.

mod attack;
mod capacity;
mod duet;
mod handshake;
mod load;
mod pace;
mod random;
mod remaining;
mod renewal;
mod revocation;
mod rules;
#[cfg(test)]
mod samples;
mod setup;
mod start;
mod timeline;
mod watch;
mod window;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::machine::{KeptAwake, Machine, Spinners, pin_current_thread, raise_open_files_limit};
use crate::plan::{Event, MeasurementKind, Plan};
use crate::progress::Progress;
use crate::record::Record;
use crate::run::{RunError, RunFolder};
use crate::target::{Launcher, Stores, TargetError};
pub use duet::{DuetSide, execute as execute_duet};
use pace::Pace;
use start::Server;

/// Open files per server process besides measured connections: pipes, log, control socket, and a share of as many connections to
/// the token endpoint as are used at once.
const FILES_PER_PROCESS: usize = 16;

/// Open files of the program itself: standard streams, the run's folder, the runtime, and a margin for what the
/// libraries open.
const FILES_OF_ITS_OWN: usize = 64;

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
/// one). Runs on the calling thread, which stays bound to the client's processor afterwards; `interrupted` is looked at
/// between slices. However it ends, no server process is left.
///
/// # Errors
/// [`MeasureError`]. Whatever happens, records already appended stay.
pub fn execute(
    plan: &Plan,
    machine: &Machine,
    folder: &mut RunFolder,
    done: &[Record],
    progress: &mut dyn Progress,
    interrupted: &AtomicBool,
) -> Result<(), MeasureError> {
    let starts = remaining::starts(plan, done);
    if starts.is_empty() {
        return Ok(());
    }
    let _awake = prepare_machine(plan, machine)?; // until this returns
    let runtime = runtime()?;
    let expected = starts.iter().map(|start| start.expected(plan)).sum();
    let stores = Arc::new(Stores::default()); // until this returns
    let mut pace = Pace::begin(progress, interrupted, expected);
    let result = runtime.block_on(async {
        for start in &starts {
            start::carry_out(plan, (machine, &stores), start, folder, &mut pace).await?;
        }
        Ok(())
    });
    pace.end();
    result
}

/// The runtime of the load client: the calling thread.
fn runtime() -> Result<tokio::runtime::Runtime, MeasureError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| MeasureError::Machine(format!("the runtime of the load client does not start: {error}")))
}

/// Heads or tails, decided by the seed and the numbers that name the toss.
pub(crate) fn coin(seed: u64, place: &[u64]) -> bool {
    random::derived_seed(seed, random::Purpose::Order, place).is_multiple_of(2)
}

/// Whether all servers still run.
fn check_alive(servers: &mut [Server<'_>]) -> Result<(), TargetError> {
    servers.iter_mut().try_for_each(|server| server.target.check_alive())
}

/// Binds this thread and raises its limits; the server processes inherit the limits and bind themselves. Cores are kept
/// awake as long as the result lives, if `machine` says so.
pub(crate) fn prepare_machine(plan: &Plan, machine: &Machine) -> Result<Option<Spinners>, MeasureError> {
    prepare_machine_for(files_needed(plan), machine)
}

/// The same for so many open files.
fn prepare_machine_for(files: usize, machine: &Machine) -> Result<Option<Spinners>, MeasureError> {
    if let Some(cpu) = machine.client_cpu {
        pin_current_thread(cpu).map_err(|error| MeasureError::Machine(format!("{error}; run with pin = false")))?;
    }
    let limit = raise_open_files_limit()
        .map_err(|error| MeasureError::Machine(format!("the limit of open files cannot be raised: {error}")))?;
    enough_files(files, limit)?;
    keep_awake(machine)
}

/// Keeps the processors awake that are used, if `machine` says so, as long as the result lives.
///
/// # Errors
/// [`MeasureError::Machine`]: `run.json` already says that they are.
pub(crate) fn keep_awake(machine: &Machine) -> Result<Option<Spinners>, MeasureError> {
    if machine.keep_awake != KeptAwake::On {
        return Ok(None);
    }
    let started = Launcher::this_program().and_then(|this| Spinners::start(&this.program, &machine.used_cpus()));
    started.map(Some).map_err(|error| {
        MeasureError::Machine(format!("cores cannot be kept awake: {error}; run with --set keep_awake=false"))
    })
}

fn enough_files(needed: usize, limit: u64) -> Result<(), MeasureError> {
    if needed as u64 <= limit {
        return Ok(());
    }
    Err(MeasureError::Machine(format!(
        "the plan needs {needed} open files and this process may have {limit}: raise the limit (`ulimit -Hn {needed}` as \
         root, `LimitNOFILE={needed}` for a service) or lower `connections`"
    )))
}

/// Most files open at the same time: all sessions of a start, and the callers of its largest revocation measurement.
fn files_needed(plan: &Plan) -> usize {
    let connections: usize = plan
        .variants
        .iter()
        .map(|variant| {
            let cases = plan.cases.iter().filter(|case| case.variant == variant.name);
            let loads = cases.filter_map(|case| load::Load::of(&plan.measurement(&case.measurement)?.kind));
            loads.map(|load| load.files()).max().unwrap_or(0)
        })
        .sum();
    let callers = plan
        .measurements
        .iter()
        .filter_map(|measurement| match &measurement.kind {
            MeasurementKind::Revocation(settings) => {
                let cases = plan.cases.iter().filter(|case| case.measurement == measurement.name).count();
                let probers = settings.at_a_time * settings.probes.len() * plan.replicas.get() as usize;
                // And a bystander each; whom a revocation cuts off is seen after that.
                Some(cases * (probers + 1).max(3 * settings.bystanders))
            }
            kind => {
                let cases = plan.cases_of(measurement).count();
                // What is new, what is old, and what it passes through on its way to a store.
                Event::of(kind).map(|event| cases * event.calls().callers * 3)
            }
        })
        .max()
        .unwrap_or(0);
    // The replicas, and one that controls or authorises.
    let processes = plan.replicas.get() as usize + 1;
    connections + callers + plan.variants.len() * processes * FILES_PER_PROCESS + FILES_OF_ITS_OWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_for_the_largest_moment() {
        // `none`: 64 connections (shared by its two measurements), `a`: 16; two cases with 8 trials and a bystander.
        let needed = 64 + 16 + 2 * 9 + 2 * 2 * FILES_PER_PROCESS + FILES_OF_ITS_OWN;
        assert_eq!(files_needed(&samples::plan()), needed);
    }

    #[test]
    fn too_few_files_are_told_with_both_numbers_and_a_remedy() {
        assert!(enough_files(1024, 1024).is_ok());
        let error = enough_files(1025, 1024).expect_err("one too few").to_string();
        assert!(error.contains("1025") && error.contains("1024") && error.contains("ulimit"), "{error}");
    }
}
