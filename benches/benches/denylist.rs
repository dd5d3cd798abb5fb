//! What a deny-list adds to the validation of a JWT, by its length: the same token form with and without it, in turn, many
//! times over, with the population that a long run would have. The signature is the cheapest, so that the list shows.
//!
//! ```text
//! cargo bench --bench denylist
//! ```
//!
//! The acceptance tables allow 0.3 µs at a million entries; with more the program fails. Tokens are not always the same: each presents another `jti`, since
//! one alone would be found in the processor's cache. `cargo test --benches` does a few rounds of a short list.

use std::cell::Cell;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bench_server::contract::{Algorithm, DenyListConfig, JwtConfig, MethodConfig};
use benches::Subject;
use benches::table::{Contender, in_turn, verdict};
use tokio::runtime::Runtime;

/// Rounds; odd, so that there is a middle one.
const ROUNDS: usize = 401;

/// Tokens presented in turn.
const TOKENS: usize = 4_096;

/// What a million entries may add.
const ALLOWED_NS: f64 = 300.0;

struct Pool {
    subjects: Vec<Subject>,
    next: Cell<usize>,
}

impl Pool {
    fn new(runtime: &Runtime, dir: &Path, population: Option<usize>, tokens: usize) -> anyhow::Result<Self> {
        // Nothing is polled while this thread measures, and a list that is behind for too long refuses.
        let list = DenyListConfig::new(Duration::from_secs(3600));
        let denylist = population.map(|population| DenyListConfig { population, ..list });
        let method = MethodConfig::Jwt(JwtConfig { denylist, ..JwtConfig::new(Algorithm::HS256) });
        let subjects = runtime.block_on(Subject::each_issued_here(dir, method, tokens)).context("build the method")?;
        Ok(Self { subjects, next: Cell::new(0) })
    }

    fn validate(&self) -> bool {
        let next = (self.next.get() + 1) % self.subjects.len();
        self.next.set(next);
        self.subjects[next].validate_at_once().is_ok()
    }
}

#[allow(clippy::print_stdout)] // this is the result
fn main() -> anyhow::Result<ExitCode> {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let (rounds, tokens) = if measures { (ROUNDS, TOKENS) } else { (3, 16) };
    let lengths: &[usize] = if measures { &[0, 1_000, 100_000, 1_000_000] } else { &[0, 1_000] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let stateless = Pool::new(&runtime, &folder.path().join("stateless"), None, tokens)?;
    let mut pools = Vec::new();
    for length in lengths {
        let dir = folder.path().join(length.to_string());
        pools.push((*length, Pool::new(&runtime, &dir, Some(*length), tokens)?));
    }
    let mut contenders = vec![Contender::new("stateless", || stateless.validate())];
    contenders
        .extend(pools.iter().map(|(length, pool)| Contender::new(&format!("{length} entries"), || pool.validate())));
    in_turn(&mut contenders, rounds);
    let (without, with) = contenders.split_first().expect("the first is there");
    println!("JWT (HS256), medians of {rounds} interleaved rounds, {tokens} tokens in turn\n");
    println!("{:>12} {:>10} {:>12}", "entries", "time", "added");
    println!("{:>12} {:>7.0} ns", "stateless", without.ns());
    for (length, contender) in lengths.iter().zip(with) {
        println!("{length:>12} {:>7.0} ns {:>9.0} ns", contender.ns(), contender.beyond_ns(without));
    }
    let Some((length, longest)) = lengths.iter().zip(with).next_back().filter(|_| measures) else {
        return Ok(ExitCode::SUCCESS);
    };
    let added = longest.beyond_ns(without);
    let (verdict, exit) = verdict(added <= ALLOWED_NS);
    println!("\n{length} entries add {added:.0} ns: {verdict} the {ALLOWED_NS:.0} ns that are allowed");
    Ok(exit)
}
