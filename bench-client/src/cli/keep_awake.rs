//! `authbench keep-awake`: what a run executes to keep cores awake. It ends when its stdin closes.

use super::{Exit, fail};
use crate::machine::spin_until_stdin_closes;

/// Keep processors from sleeping until stdin closes
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The processors
    #[arg(long, value_delimiter = ',', required = true)]
    cpus: Vec<usize>,
}

pub(super) fn keep_awake(args: &Args) -> Exit {
    match spin_until_stdin_closes(&args.cpus, std::io::stdout()) {
        Ok(()) => Exit::Fine,
        Err(error) => fail(Exit::Measurement, error),
    }
}
