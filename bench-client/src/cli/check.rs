//! `authbench check`: all mistakes of a scenario at once.

use std::path::PathBuf;

use super::scenarios::{Changes, prepare};
use super::{Exit, print};

/// Check scenarios: every mistake at once, with its place and what to do
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario files, or names of scenarios that ship
    #[arg(required = true)]
    scenario: Vec<PathBuf>,
    #[command(flatten)]
    changes: Changes,
}

pub(super) fn check(args: &Args) -> Exit {
    let mut exit = Exit::Fine;
    for scenario in &args.scenario {
        match prepare(scenario, &args.changes) {
            Ok(ready) => {
                let (variants, cases) = (ready.plan.variants.len(), ready.plan.cases.len());
                print(format_args!("{}: no mistakes; {variants} variants, {cases} cases", scenario.display()));
            }
            Err(worse) => exit = exit.worse(worse),
        }
    }
    exit
}
