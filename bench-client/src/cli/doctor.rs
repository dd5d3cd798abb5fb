//! `authbench doctor`: is this machine fit to measure on, and what can it resolve?

use std::time::Duration;

use super::{Exit, print, remark};
use crate::cell::Cell;
use crate::doctor::{self, Effort};

/// Examine whether this machine is fit to measure on, and what it can resolve
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Seconds under load of two identical servers, whose difference is the noise floor [default: 10, quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    aa_seconds: Option<u64>,
    /// A shorter examination with a rougher verdict
    #[arg(long)]
    quick: bool,
    /// Print the diagnosis as JSON (docs/doctor.md describes the fields)
    #[arg(long)]
    json: bool,
}

impl Args {
    fn effort(&self) -> Effort {
        let (noise, short) = if self.quick { (3, 100) } else { (10, 500) };
        Effort { noise: Duration::from_secs(self.aa_seconds.unwrap_or(noise)), short: Duration::from_millis(short) }
    }
}

pub(super) fn doctor(args: &Args) -> Exit {
    let diagnosis = doctor::examine(args.effort(), |what| remark(format_args!("{what} …")));
    if args.json {
        print(serde_json::to_string_pretty(&diagnosis).expect("a diagnosis is plain data"));
    } else {
        print(doctor::render(&diagnosis).trim_end());
    }
    match diagnosis.noise {
        Cell::Known(_) => Exit::Fine,
        Cell::Blank { .. } => Exit::Measurement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_that_are_written_win_over_quick() {
        let effort = |aa_seconds, quick| Args { aa_seconds, quick, json: false }.effort().noise.as_secs();
        assert_eq!([effort(None, false), effort(None, true), effort(Some(7), true)], [10, 3, 7]);
    }
}
