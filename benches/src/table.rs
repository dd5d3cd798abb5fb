//! The table that `cargo bench` ends with: each validator beside its floor and beside the crate that most services use.
//!
//! Ratios are what counts, for the clock of a shared machine drifts by more than what a validator adds to its signature.
//! So the three are timed in turn, for a fraction of a millisecond each, many times over, and the ratio is the median of
//! the rounds' ratios. Processor time is taken, which goes on only while the thread itself does.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Duration;

use bench_server::contract::{Algorithm, ApiKeyConfig, JwtConfig, MethodConfig, StoreConfig};
use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::Runtime;

use crate::Subject;
use crate::jws::{Floor, Peer};

/// Rounds per row; odd, so that there is a middle one.
const ROUNDS: usize = 401;

/// Least time of a batch: long beside a reading of the clock, short beside the spells in which a machine is slower.
const BATCH: Duration = Duration::from_micros(250);

/// Keys of the `api-key` row.
const KEYS: usize = 100_000;

/// One thing that is timed.
pub struct Contender<'a> {
    call: Box<dyn Fn() -> bool + 'a>,
    /// Calls in a batch.
    calls: u32,
    /// Nanoseconds per call, a figure per round.
    times_ns: Vec<f64>,
}

impl<'a> Contender<'a> {
    /// Finds out how many calls make a batch.
    ///
    /// # Panics
    /// When the call fails: a timed refusal is not a validation.
    pub fn new(name: &str, call: impl Fn() -> bool + 'a) -> Self {
        assert!(call(), "{name}: this would time a refusal");
        let mut contender = Self { call: Box::new(call), calls: 1, times_ns: Vec::with_capacity(ROUNDS) };
        while contender.batch() < BATCH {
            contender.calls *= 2;
        }
        contender
    }

    fn batch(&self) -> Duration {
        let begun = processor_time();
        for _ in 0..self.calls {
            black_box((self.call)());
        }
        processor_time() - begun
    }

    /// Times a batch.
    fn round(&mut self) {
        let time = self.batch();
        self.times_ns.push(time.as_secs_f64() * 1e9 / f64::from(self.calls));
    }

    /// Nanoseconds per call: the median of the rounds.
    pub fn ns(&self) -> f64 {
        median(self.times_ns.clone())
    }

    /// How many nanoseconds longer than `other` it takes: the median of the rounds' differences.
    pub fn beyond_ns(&self, other: &Self) -> f64 {
        median(self.times_ns.iter().zip(&other.times_ns).map(|(ours, theirs)| ours - theirs).collect())
    }

    /// How many times as long as `other` it takes: the median of the rounds' ratios.
    pub fn times(&self, other: &Self) -> f64 {
        median(self.times_ns.iter().zip(&other.times_ns).map(|(ours, theirs)| ours / theirs).collect())
    }

    fn figure(&self) -> String {
        let ns = self.ns();
        if ns < 1000.0 { format!("{ns:.0} ns") } else { format!("{:.2} us", ns / 1000.0) }
    }

    fn ratio(&self, other: &Self) -> String {
        format!("{:.2}", self.times(other))
    }
}

/// Times them in turn, so many rounds of each.
pub fn in_turn(contenders: &mut [Contender<'_>], rounds: usize) {
    for round in 0..rounds {
        // Whoever comes first finds other caches than whoever follows it.
        let first = round % contenders.len();
        let (later, sooner) = contenders.split_at_mut(first);
        sooner.iter_mut().chain(later).for_each(Contender::round);
    }
}

/// What is said of a bound, and how the program that judged it ends.
pub fn verdict(is_kept: bool) -> (&'static str, ExitCode) {
    if is_kept { ("within", ExitCode::SUCCESS) } else { ("over", ExitCode::FAILURE) }
}

/// What this thread has used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Measures and prints.
///
/// # Errors
/// When a method cannot be built, or standard output cannot be written to.
#[allow(clippy::print_stdout)] // this is the result
pub fn print(runtime: &Runtime) -> anyhow::Result<()> {
    let row = |name: &str, cells: [&str; 5]| {
        let [time, floor, ratio, peer, peer_ratio] = cells;
        println!("{name:<20} {time:>10} {floor:>10} {ratio:>9} {peer:>13} {peer_ratio:>10}");
    };
    println!(
        "\nMedians of {ROUNDS} interleaved rounds. Floor: the signature check of aws-lc-rs alone, its key parsed once.\n"
    );
    row("validator", ["time", "floor", "to floor", "jsonwebtoken", "to floor"]);
    let dir = tempfile::tempdir()?;
    let api_key = MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory));
    for (name, method, population) in [("none", MethodConfig::None, 1), ("api-key/memory/1e5", api_key, KEYS)] {
        let subject = runtime.block_on(Subject::issued_here(&dir.path().join(name), method, population))?;
        let mut ours = Contender::new(name, || subject.validate_at_once().is_ok());
        in_turn(std::slice::from_mut(&mut ours), ROUNDS);
        row(name, [&ours.figure(), "", "", "", ""]);
    }
    for algorithm in Algorithm::ALL {
        let name = format!("jwt/{algorithm:?}");
        let state_dir = dir.path().join(&name);
        let method = MethodConfig::Jwt(JwtConfig::new(algorithm));
        let subject = runtime.block_on(Subject::issued_here(&state_dir, method, 1))?;
        let (floor, peer) = (Floor::of(&subject, &state_dir, algorithm)?, Peer::of(&subject, &state_dir, algorithm)?);
        let mut all = [
            Contender::new(&name, || subject.validate_at_once().is_ok()),
            Contender::new(&name, || floor.verify()),
            Contender::new(&name, || peer.decode()),
        ];
        in_turn(&mut all, ROUNDS);
        let [ours, floor, peer] = &all;
        row(&name, [&ours.figure(), &floor.figure(), &ours.ratio(floor), &peer.figure(), &peer.ratio(floor)]);
    }
    Ok(())
}
