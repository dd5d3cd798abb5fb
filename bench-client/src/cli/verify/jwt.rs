//! `authbench verify jwt`.

use std::io::BufRead;
use std::path::PathBuf;
use std::time::Duration;

use bench_server::clock::UnixTime;
use bench_server::contract::{Algorithm, TokenRules};
use bench_server::verify::{Expected, Jwt};

use super::{Exit, Trouble, algorithm, each_line, read_text};

/// Judge JSON Web Tokens with their claims, one per line of standard input (RFC 7519, RFC 8725)
#[derive(clap::Args)]
pub(super) struct Args {
    /// JWK set to verify with; shared secrets (`oct`) may be in it
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
    /// Issuer, compared exactly
    #[arg(long, value_name = "I")]
    iss: String,
    /// Audience that must be among the token's
    #[arg(long, value_name = "A")]
    aud: String,
    /// When the tokens are judged, in seconds since 1970
    #[arg(long, value_name = "UNIX", value_parser = clap::value_parser!(u64).range(..=MAX_NOW))]
    now: u64,
    /// Seconds that clocks may differ by
    #[arg(long, value_name = "S", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(..=TokenRules::MAX_LEEWAY.as_secs()))]
    leeway: u64,
    /// Most seconds between `iat` and `exp`
    #[arg(long, value_name = "S", default_value_t = 900, value_parser = clap::value_parser!(u64).range(..=MAX_NOW))]
    max_lifetime: u64,
    /// Kind of token; without it any `typ` goes, and neither `sub`, `client_id` nor `jti` has to be there
    #[arg(long, value_enum)]
    profile: Option<Profile>,
    /// Algorithms accepted [default: all that there are]
    #[arg(long, value_name = "A,…", value_delimiter = ',', value_parser = algorithm)]
    alg: Vec<Algorithm>,
}

/// The end of the year 9999.
const MAX_NOW: u64 = 253_402_300_799;

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Profile {
    /// Access tokens (RFC 9068)
    #[value(name = "at+jwt")]
    AccessToken,
}

pub(super) fn verify(args: &Args, lines: impl BufRead) -> Result<Exit, Trouble> {
    let seconds = Duration::from_secs;
    let expected = Expected {
        issuer: args.iss.clone(),
        audience: args.aud.clone(),
        rules: TokenRules { leeway: seconds(args.leeway), max_lifetime: seconds(args.max_lifetime) },
        access_token: args.profile == Some(Profile::AccessToken),
    };
    let jwt = Jwt::new(&read_text(&args.jwks)?, &args.alg, expected);
    let jwt = jwt.map_err(|error| format!("{}: {error}", args.jwks.display()))?;
    let now = UnixTime(seconds(args.now));
    each_line(lines, |line| jwt.check(line, now))
}
