//! The command line: one file per verb.
//!
//! Results go to stdout, progress, warnings and errors to stderr. Exit status: 0 fine, 1 something
//! regressed, a limit is exceeded, a credential is refused or an attack found something, 2 the input was wrong, 3 the
//! measurement could not be carried out, was interrupted, or is invalid, 4 nobody
//! can tell.

mod check;
mod compare;
mod doctor;
mod duet;
mod interrupt;
mod keep_awake;
mod list;
mod plan;
mod report;
mod run;
mod scenarios;
mod serve;
mod verify;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Measures what each API authentication method costs and how fast it lets go of a stolen credential.
#[derive(Parser)]
#[command(name = "authbench", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
#[allow(clippy::large_enum_variant)] // made once
enum Verb {
    Run(run::Args),
    Check(check::Args),
    Plan(plan::Args),
    Report(report::Args),
    Compare(compare::Args),
    Serve(serve::Args),
    List(list::Args),
    Doctor(doctor::Args),
    Verify(verify::Args),
    #[command(hide = true)]
    KeepAwake(keep_awake::Args),
}

/// Exit status: an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Everything went well.
    Fine = 0,
    /// Something regressed, a limit is exceeded, a credential is refused, or an attack found something.
    Regressed = 1,
    /// The input was wrong. clap uses the same number for arguments that it refuses.
    Input = 2,
    /// The measurement could not be carried out, was interrupted, or is invalid.
    Measurement = 3,
    /// Nobody can tell.
    Inconclusive = 4,
}

impl Exit {
    /// The one that a reader has to know of: what could not be done comes before what was found, and that before what
    /// nobody can tell.
    fn worse(self, other: Self) -> Self {
        let gravity = |exit| match exit {
            Self::Fine => 0,
            Self::Inconclusive => 1,
            Self::Regressed => 2,
            Self::Input => 3,
            Self::Measurement => 4,
        };
        if gravity(other) > gravity(self) { other } else { self }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Runs the program with the arguments it was started with.
pub fn main() -> ExitCode {
    let exit = match Cli::parse().verb {
        Verb::Run(args) => run::run(&args),
        Verb::Check(args) => check::check(&args),
        Verb::Plan(args) => plan::plan(&args),
        Verb::Report(args) => report::report(&args),
        Verb::Compare(args) => compare::compare(&args),
        Verb::Serve(args) => return serve::serve(args),
        Verb::List(args) => list::list(&args),
        Verb::Doctor(args) => doctor::doctor(&args),
        Verb::Verify(args) => verify::verify(&args),
        Verb::KeepAwake(args) => keep_awake::keep_awake(&args),
    };
    exit.into()
}

/// Writes a result to stdout. That nobody reads it to its end (`authbench plan … | head`) is no error.
fn print(text: impl Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Writes a remark to stderr.
fn remark(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Writes an error to stderr and answers the exit status that goes with it.
fn fail(exit: Exit, text: impl Display) -> Exit {
    remark(format_args!("error: {text}"));
    exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn contradictory_arguments_are_refused() {
        for refused in [
            &["run"][..],
            &["run", "compare", "--resume", "reports/x"],
            &["run", "--resume", "reports/x", "--quick"],
            &["run", "--resume", "reports/x", "--seed", "3"],
            &["run", "compare", "--quick", "--rounds", "4"],
            &["run", "compare", "--set", "seed"],
            &["run", "compare", "--set", "=5"],
            &["check"],
            &["report"],
            &["report", "reports/x", "--format", "pdf"],
            &["verify"],
            &["verify", "jws"],
            &["verify", "jws", "--jwks", "k", "--alg", "rs256"],
            &["verify", "jws", "--jwks", "k", "--alg", "none"],
            &["verify", "jwt", "--jwks", "k", "--iss", "i", "--aud", "a"],
            &["verify", "jwt", "--jwks", "k", "--iss", "i", "--aud", "a", "--now", "1", "--leeway", "61"],
            &["verify", "jwt", "--jwks", "k", "--iss", "i", "--aud", "a", "--now", "1", "--profile", "jwt"],
            &["verify", "chain", "--roots", "r", "--chain", "c"],
            &["verify", "key"],
        ] {
            let all = std::iter::once("authbench").chain(refused.iter().copied());
            assert!(Cli::try_parse_from(all).is_err(), "{refused:?}");
        }
        for accepted in [
            &["run", "compare", "--quick", "--set", "seed=3", "--set", "pool.count=5"][..],
            &["run", "--resume", "reports/x", "--json"],
            &["report", "reports/x", "--format", "html,csv"],
            &["verify", "jws", "--jwks", "k", "--alg", "RS256,ES384", "--raw"],
            &["verify", "jwt", "--jwks", "k", "--iss", "i", "--aud", "a", "--now", "1", "--profile", "at+jwt"],
            &["verify", "chain", "--roots", "r", "--chain", "c", "--crl", "a", "--crl", "b", "--now", "1"],
        ] {
            let all = std::iter::once("authbench").chain(accepted.iter().copied());
            assert!(Cli::try_parse_from(all).is_ok(), "{accepted:?}");
        }
    }
}
