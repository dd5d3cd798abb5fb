//! `authbench run`: measures, and ends with the comparison table and the report's path.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::report::{in_process, present_all};
use super::scenarios::{Changes, Ready, prepare};
use super::{Exit, fail, interrupt, remark};
use crate::in_process::InProcess;
use crate::machine::{KeepAwake, KeptAwake, Machine};
use crate::measure::{self, MeasureError};
use crate::plan::Plan;
use crate::progress;
use crate::record::Record;
use crate::run::{Build, Header, RUN_VERSION, RunFolder};

/// Measure scenarios
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, or names of scenarios that ship
    #[arg(required_unless_present = "resume")]
    scenario: Vec<PathBuf>,
    /// Where the run's folder is made
    #[arg(long, value_name = "DIR", default_value = "reports")]
    out: PathBuf,
    /// Measure what an interrupted run still lacks
    #[arg(long, value_name = "RUN", conflicts_with_all = ["scenario", "out", "set", "rounds", "seed", "quick", "criterion"])]
    resume: Option<PathBuf>,
    /// Where `cargo bench` left criterion's estimates (target/criterion): kept with the run, and shown as "in-process"
    #[arg(long, value_name = "DIR")]
    criterion: Option<PathBuf>,
    /// Print summary.json instead of the table
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    changes: Changes,
}

pub(super) fn run(args: &Args) -> Exit {
    // All scenarios are read before the first is measured: a mistake in the last one shows at once.
    let mut ready = Vec::new();
    for scenario in &args.scenario {
        ready.push(prepare(scenario, &args.changes));
    }
    let ready: Vec<Ready> = match ready.into_iter().collect() {
        Ok(ready) => ready,
        Err(exit) => return exit,
    };
    let in_process = match in_process(args.criterion.as_deref()) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let interrupted = match interrupt::flag() {
        Ok(flag) => flag,
        Err(error) => return fail(Exit::Measurement, format_args!("cannot wait for Ctrl-C: {error}")),
    };
    if let Some(path) = &args.resume {
        return resume(path, args.json, &interrupted);
    }
    let mut exit = Exit::Fine;
    for scenario in ready {
        exit = exit.worse(begin(scenario, args, in_process.clone(), &interrupted));
        if interrupted.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
    }
    exit
}

fn begin(scenario: Ready, args: &Args, in_process: Option<InProcess>, interrupted: &AtomicBool) -> Exit {
    let machine = machine_for(&scenario.plan);
    let header = Header {
        version: RUN_VERSION,
        scenario_text: scenario.text,
        plan_hash: scenario.plan.hash(),
        plan: scenario.plan,
        started_at: jiff::Timestamp::now(),
        build: Build::current(),
        machine,
        duet: None,
        in_process,
        servers: Default::default(),
    };
    match RunFolder::create_under(&args.out, &header) {
        Ok(folder) => measure(folder, &header, &[], args.json, interrupted),
        Err(error) => fail(Exit::Measurement, format_args!("{error}; name a folder that can be written with --out")),
    }
}

/// This machine, with all that the plan leaves to it decided.
pub(super) fn machine_for(plan: &Plan) -> Machine {
    let mut machine = Machine::detect(plan.pin);
    if plan.target.is_some() {
        machine.server_cpus.clear(); // the processes of a server of the user's are not the run's to bind
    }
    machine.decide_keep_awake(plan.keep_awake, plan.measures_latency());
    if let (KeepAwake::On, KeptAwake::Off { .. }) = (plan.keep_awake, &machine.keep_awake) {
        remark(format_args!("warning: {}", machine.keep_awake.words()));
    }
    machine
}

fn resume(path: &Path, json: bool, interrupted: &AtomicBool) -> Exit {
    let (folder, run) = match RunFolder::resume(path) {
        Ok(opened) => opened,
        Err(error) => return fail(Exit::Input, error),
    };
    if let Some(duet) = &run.header.duet {
        return fail(
            Exit::Input,
            format_args!(
                "{} is the {} of a comparison, whose sides are measured together; compare again",
                path.display(),
                duet.side.name()
            ),
        );
    }
    run.warnings.iter().for_each(|warning| remark(format_args!("warning: {warning}")));
    let machine = machine_for(&run.header.plan);
    if let Err(message) = same_conditions(&run.header, &machine, &Build::current()) {
        return fail(Exit::Input, format_args!("{}: {message}", path.display()));
    }
    measure(folder, &run.header, &run.records, json, interrupted)
}

/// Whether a run may go on here: its records are compared with each other, so they must come from one machine and from
/// one program.
fn same_conditions(header: &Header, machine: &Machine, build: &Build) -> Result<(), String> {
    if header.machine.keep_awake != machine.keep_awake {
        return Err(format!(
            "this run was begun with {}, and would go on with {}; begin a new one, or bring back what has changed",
            header.machine.keep_awake.words(),
            machine.keep_awake.words()
        ));
    }
    if header.machine != *machine {
        return Err(format!(
            "this run was begun on another machine ({} × {}, {}); begin a new one here",
            header.machine.cpus, header.machine.cpu_model, header.machine.os
        ));
    }
    if header.build != *build {
        return Err(format!(
            "this run was begun by another build (version {}, revision {}{}, {}); build that one, or begin a new run",
            header.build.version,
            header.build.revision,
            if header.build.dirty { " with changes" } else { "" },
            header.build.profile
        ));
    }
    Ok(())
}

fn measure(mut folder: RunFolder, header: &Header, done: &[Record], json: bool, interrupted: &AtomicBool) -> Exit {
    let path = folder.path().to_owned();
    let mut progress = progress::for_stderr();
    let outcome = measure::execute(&header.plan, &header.machine, &mut folder, done, progress.as_mut(), interrupted);
    progress.end();
    drop(folder);
    if let Err(error) = outcome {
        let exit = match &error {
            MeasureError::Interrupted => {
                remark("interrupted");
                Exit::Measurement
            }
            _ => fail(Exit::Measurement, &error),
        };
        let shown = path.display();
        remark(format_args!("records so far: {shown}"));
        remark(format_args!("  report on them: authbench report {shown}"));
        remark(format_args!("  finish the run: authbench run --resume {shown}"));
        return exit;
    }
    match RunFolder::load(&path) {
        Ok(run) => {
            run.warnings.iter().for_each(|warning| remark(format_args!("warning: {warning}")));
            present_all(&run, &path, json)
        }
        Err(error) => fail(Exit::Measurement, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{self, Overrides};

    fn header(machine: Machine) -> Header {
        let shipped = &crate::cli::scenarios::SHIPPED[0];
        let resolved = scenario::resolve(shipped.file.as_ref(), shipped.text, &Overrides::default()).expect("ships");
        Header {
            version: RUN_VERSION,
            scenario_text: shipped.text.to_owned(),
            plan_hash: resolved.plan.hash(),
            plan: resolved.plan,
            started_at: jiff::Timestamp::UNIX_EPOCH,
            build: Build::current(),
            machine,
            duet: None,
            in_process: None,
            servers: Default::default(),
        }
    }

    #[test]
    fn a_run_goes_on_only_where_and_with_what_it_began() {
        let here = Machine::detect(false);
        let header = header(here.clone());
        same_conditions(&header, &here, &Build::current()).expect("the same");
        let elsewhere = Machine { cpu_model: "another".to_owned(), ..here.clone() };
        let message = same_conditions(&header, &elsewhere, &Build::current()).expect_err("another machine");
        assert!(message.contains("another machine"), "{message}");
        let asleep = Machine { keep_awake: KeptAwake::off("nobody asked"), ..here.clone() };
        let awake = Machine { keep_awake: KeptAwake::On, ..here.clone() };
        let message = same_conditions(&Header { machine: awake, ..header.clone() }, &asleep, &Build::current());
        assert!(message.is_err_and(|message| message.contains("nobody asked")));
        let other = Build { revision: "another".to_owned(), ..Build::current() };
        let message = same_conditions(&header, &here, &other).expect_err("another build");
        assert!(message.contains(&header.build.revision), "{message}");
    }
}
