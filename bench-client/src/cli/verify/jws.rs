//! `authbench verify jws`.

use std::io::BufRead;
use std::path::PathBuf;

use bench_server::contract::Algorithm;
use bench_server::verify::Jws;

use super::{Exit, Trouble, algorithm, each_line, read_text};

/// Judge signed objects in the compact form, one per line of standard input (RFC 7515)
#[derive(clap::Args)]
pub(super) struct Args {
    /// JWK set to verify with; shared secrets (`oct`) may be in it
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// Algorithms accepted [default: all that there are]
    #[arg(long, value_name = "A,…", value_delimiter = ',', value_parser = algorithm)]
    alg: Vec<Algorithm>,
    /// The payload may be anything, instead of one JSON object
    #[arg(long)]
    raw: bool,
}

pub(super) fn verify(args: &Args, lines: impl BufRead) -> Result<Exit, Trouble> {
    let jws = Jws::new(&read_text(&args.jwks)?, &args.alg, args.raw);
    let jws = jws.map_err(|error| format!("{}: {error}", args.jwks.display()))?;
    each_line(lines, |line| jws.check(line))
}
