//! `authbench verify`: the reference server's validators without HTTP, for other people's test vectors.
//!
//! One verdict per credential on stdout, `ok` or `reject` with a word for the reason. The exit status is 0 when all are
//! accepted, 1 when one is refused, 2 when there was nothing to judge by.

mod chain;
mod jws;
mod jwt;
mod key;
mod request;

use std::fs;
use std::io::{self, BufRead};
use std::path::Path;

use bench_server::auth::Rejection;
use bench_server::contract::Algorithm;
use clap::Subcommand;

use super::{Exit, fail, print};

/// Judge credentials as the server would, without HTTP
#[derive(clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Jws(jws::Args),
    Jwt(jwt::Args),
    Chain(chain::Args),
    Request(request::Args),
    Key(key::Args),
}

/// Why nothing was judged.
type Trouble = String;

pub(super) fn verify(args: &Args) -> Exit {
    let verdict = match &args.what {
        What::Request(args) => Ok(request::run(args)),
        What::Jws(args) => jws::verify(args, io::stdin().lock()),
        What::Jwt(args) => jwt::verify(args, io::stdin().lock()),
        What::Chain(args) => chain::verify(args),
        What::Key(args) => Ok(key::verify(args)),
    };
    verdict.unwrap_or_else(|trouble| fail(Exit::Input, trouble))
}

/// Prints the verdict on each line. The end of a line is a line feed and nothing else: what stands before it is judged.
fn each_line(mut lines: impl BufRead, check: impl Fn(&str) -> Result<(), Rejection>) -> Result<Exit, Trouble> {
    let (mut exit, mut line) = (Exit::Fine, Vec::new());
    loop {
        line.clear();
        let read = lines.read_until(b'\n', &mut line).map_err(|error| format!("standard input: {error}"))?;
        if read == 0 {
            return Ok(exit);
        }
        line.pop_if(|last| *last == b'\n');
        let verdict = match str::from_utf8(&line) {
            Ok(text) => check(text).map_err(|rejection| rejection.reason()),
            Err(_) => Err("malformed"),
        };
        exit = exit.worse(tell(verdict));
    }
}

/// Prints a verdict.
fn tell(verdict: Result<(), &str>) -> Exit {
    match verdict {
        Ok(()) => {
            print("ok");
            Exit::Fine
        }
        Err(reason) => {
            print(format_args!("reject {reason}"));
            Exit::Regressed
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Trouble> {
    fs::read(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn read_text(file: &Path) -> Result<String, Trouble> {
    String::from_utf8(read(file)?)
        .map_err(|_| format!("{}: it is not UTF-8; give a JWK set (RFC 7517 §5)", file.display()))
}

/// An algorithm by its exact name.
fn algorithm(name: &str) -> Result<Algorithm, String> {
    let found = Algorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
    found.ok_or_else(|| format!("write one of {}", Algorithm::ALL.map(Algorithm::name).join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hk_1_one_bad_line_decides_the_exit_status_and_every_line_is_judged() {
        let check = |lines: &str| {
            let seen = std::cell::RefCell::new(Vec::new());
            let exit = each_line(lines.as_bytes(), |line| {
                seen.borrow_mut().push(line.to_owned());
                if line == "good" { Ok(()) } else { Err(Rejection::Missing) }
            });
            (exit, seen.into_inner().len())
        };
        assert_eq!(check(""), (Ok(Exit::Fine), 0));
        assert_eq!(check("good\ngood"), (Ok(Exit::Fine), 2));
        assert_eq!(check("good\nbad\ngood\n"), (Ok(Exit::Regressed), 3));
        assert_eq!(check("good\n\n"), (Ok(Exit::Regressed), 2));
        assert_eq!(check("good\r\n"), (Ok(Exit::Regressed), 1), "a carriage return is part of the line");
    }

    #[test]
    fn hk_1_a_line_that_is_no_text_is_refused() {
        let exit = each_line(&b"\xff\xfe\n"[..], |_| panic!("it is shown to nobody"));
        assert_eq!(exit, Ok(Exit::Regressed));
    }
}
