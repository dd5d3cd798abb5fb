//! The A/A measurement: two identical reference servers, load alternating between them in short slices. Whatever they
//! seem to differ by is noise, and no smaller difference can be told apart here in the same time.
//!
//! Both servers are restarted several times: within one pair of processes the interval is narrower than the truth, because
//! two starts of one binary differ too (memory layout, connections).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cell::Cell;
use crate::credential::Pool;
use crate::load::{Session, Tally};
use crate::machine::{Account, Machine};
use crate::measure::{MeasureError, prepare_machine};
use crate::plan::{ClientWait, ConnectionKind, Plan};
use crate::scenario::{self, Overrides};
use crate::stats::{Interval, Resampler, ratio_of_pairs};
use crate::target::Target;

/// The server, as a run would start it: the baseline alone.
const SCENARIO: &str = r#"
[[variant]]
name = "none"
method = "none"

[[measurement]]
kind = "throughput"
connections = 64
warmup = "200ms"
measure = "20ms"
slice = "20ms"
"#;

/// One slice: as short as MEASURED shows to resolve best. A pair is one slice of each server.
const SLICE: Duration = Duration::from_millis(20);
const CONNECTIONS: usize = 64;
const WARM_UP: Duration = Duration::from_millis(200);
const SEED: u64 = 42;

/// Load per start of the servers; there are two starts at least and ten at most.
const PER_START: Duration = Duration::from_secs(2);

/// Pairs that are drawn together: neighbours in time are alike, and drawing them singly would call the figure too sure.
const BLOCK: usize = 5;

/// What two identical servers seemed to differ by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Pairs of slices.
    pub pairs: usize,
    /// Lives of the server processes.
    pub starts: usize,
    /// Length of a slice in milliseconds.
    pub slice_ms: u64,
    /// Load in all, in seconds.
    pub seconds: f64,
    /// Server CPU per request.
    pub cpu_per_request: Cell<Resolution>,
    /// Requests per second.
    pub throughput: Cell<Resolution>,
}

/// The relative difference of two identical things: 0 would be the truth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Resolution {
    /// Median of the pairs' ratios, less 1.
    pub difference: f64,
    /// Its 95 % interval, over starts and blocks of pairs.
    pub interval: Interval,
    /// The end of the interval that is farther from 0: differences below cannot be told apart.
    pub resolves: f64,
}

/// A slice of one server.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slice {
    cpu_ns: Option<u64>,
    requests: u64,
}

impl Slice {
    fn cpu_per_request(self) -> Option<f64> {
        Some(self.cpu_ns? as f64 / self.requests as f64)
    }
}

/// A slice of each server, one right after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pair {
    start: u32,
    a: Slice,
    b: Slice,
}

/// Measures for about `length`.
pub(super) fn measure(machine: &Machine, length: Duration) -> Result<Noise, String> {
    let plan = scenario::resolve(Path::new("doctor"), SCENARIO, &Overrides::default())
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?
        .plan;
    let failed = |error: MeasureError| error.to_string();
    // A thread of its own: it stays bound.
    let measured = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                let _awake = prepare_machine(&plan, machine)?;
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .map_err(|error| MeasureError::Machine(format!("no runtime: {error}")))?;
                runtime.block_on(pairs(&plan, machine, length))
            })
            .join()
    });
    let pairs = measured.map_err(|_| "the measurement ended early".to_owned())?.map_err(failed)?;
    Ok(judge(&pairs))
}

/// How often the servers are started in that time.
fn starts(length: Duration) -> u32 {
    (length.as_secs_f64() / PER_START.as_secs_f64()).round().clamp(2.0, 10.0) as u32
}

async fn pairs(plan: &Plan, machine: &Machine, length: Duration) -> Result<Vec<Pair>, MeasureError> {
    let starts = starts(length);
    let mut pairs = Vec::new();
    for start in 0..starts {
        let mut servers = [Server::start(plan, machine).await?, Server::start(plan, machine).await?];
        let begun = Instant::now();
        for pass in 0_u64.. {
            if pass > 0 && begun.elapsed() >= length / starts {
                break;
            }
            // Whoever comes second inherits warm caches: each does as often.
            let second_first = crate::measure::coin(SEED, &[u64::from(start), pass]);
            let [a, b] = &mut servers;
            let (a, b) = if second_first {
                let b = b.slice().await?;
                (a.slice().await?, b)
            } else {
                (a.slice().await?, b.slice().await?)
            };
            pairs.push(Pair { start, a, b });
        }
        for server in servers {
            server.stop().await;
        }
    }
    Ok(pairs)
}

struct Server {
    target: Target,
    session: Session,
}

impl Server {
    async fn start(plan: &Plan, machine: &Machine) -> Result<Self, MeasureError> {
        let variant = plan.variants.first().expect("the scenario has one");
        let target = Target::start(plan, variant, machine, &Arc::default()).await?;
        let issued = target.issue(variant.pool.count, None).await?;
        let pool = Arc::new(Pool::new(issued, variant.pool.zipf_exponent, SEED));
        let mut session =
            Session::open(target.endpoint().clone(), pool, CONNECTIONS, SEED, ClientWait::default()).await?;
        session.closed_loop(WARM_UP, CONNECTIONS, ConnectionKind::Reused, &mut Tally::new()).await;
        Ok(Self { target, session })
    }

    async fn slice(&mut self) -> Result<Slice, MeasureError> {
        let pids: Vec<u32> = self.target.processes().into_values().flatten().collect();
        let (mut account, mut tally) = (Account::of_processes(&pids), Tally::new());
        account.begin_slice();
        self.session.closed_loop(SLICE, CONNECTIONS, ConnectionKind::Reused, &mut tally).await;
        account.end_slice();
        if tally.outcomes.unexpected(tally.wanted) > 0 || tally.answered == 0 {
            self.target.check_alive()?;
            return Err(MeasureError::Machine(format!(
                "the reference server answered {} requests in a slice, {} of them not as it should",
                tally.answered,
                tally.outcomes.unexpected(tally.wanted)
            )));
        }
        Ok(Slice { cpu_ns: account.cpu_ns().known().copied(), requests: tally.answered })
    }

    async fn stop(self) {
        drop(self.session); // or the server would wait for requests on its connections
        let _ = self.target.stop().await; // its store is in memory: nothing is left
    }
}

fn judge(pairs: &[Pair]) -> Noise {
    let starts: Vec<u32> = pairs.iter().map(|pair| pair.start).collect();
    let cpu: Option<Vec<(f64, f64)>> =
        pairs.iter().map(|pair| Some((pair.b.cpu_per_request()?, pair.a.cpu_per_request()?))).collect();
    let requests: Vec<(f64, f64)> = pairs.iter().map(|pair| (pair.b.requests as f64, pair.a.requests as f64)).collect();
    Noise {
        pairs: pairs.len(),
        starts: starts.iter().collect::<std::collections::BTreeSet<_>>().len(),
        slice_ms: SLICE.as_millis() as u64,
        seconds: (SLICE * 2 * pairs.len() as u32).as_secs_f64(),
        cpu_per_request: match cpu {
            Some(cpu) => resolution(&cpu, &starts),
            None => Cell::blank("the system does not account the processor time of processes"),
        },
        throughput: resolution(&requests, &starts),
    }
}

/// Median ratio of the pairs, and its interval from a block bootstrap within starts.
fn resolution(pairs: &[(f64, f64)], starts: &[u32]) -> Cell<Resolution> {
    let blocks = blocks(starts);
    let of_blocks: Vec<u32> = blocks.iter().map(|block| starts[block.start]).collect();
    let by_pair = |weights: &[u32]| -> Vec<u32> {
        blocks.iter().zip(weights).flat_map(|(block, weight)| std::iter::repeat_n(*weight, block.len())).collect()
    };
    let ratio = ratio_of_pairs(pairs, &vec![1; pairs.len()]);
    let interval = Resampler::new(&of_blocks, SEED)
        .and_then(|draws| draws.interval(|weights| ratio_of_pairs(pairs, &by_pair(weights))));
    match (ratio, interval) {
        (Some(ratio), Some(Interval { low, high })) => {
            let interval = Interval { low: low - 1.0, high: high - 1.0 };
            let resolves = interval.low.abs().max(interval.high.abs());
            Cell::Known(Resolution { difference: ratio - 1.0, interval, resolves })
        }
        _ => Cell::blank("too few slices for an interval; measure for longer"),
    }
}

/// Neighbouring pairs of one start, at most [`BLOCK`] together.
fn blocks(starts: &[u32]) -> Vec<std::ops::Range<usize>> {
    let mut blocks: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, start) in starts.iter().enumerate() {
        match blocks.last_mut() {
            Some(block) if block.len() < BLOCK && starts[block.start] == *start => block.end = i + 1,
            _ => blocks.push(i..i + 1),
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(start: u32, a_ns: u64, b_ns: u64) -> Pair {
        let slice = |ns| Slice { cpu_ns: Some(ns * 1_000), requests: 1_000 };
        Pair { start, a: slice(a_ns), b: slice(b_ns) }
    }

    #[test]
    fn blocks_are_neighbours_of_one_start() {
        let starts = [0, 0, 0, 0, 0, 0, 0, 1, 1];
        assert_eq!(blocks(&starts), [0..5, 5..7, 7..9]);
        assert!(blocks(&[]).is_empty());
    }

    #[test]
    fn two_equal_servers_differ_by_nothing() {
        let pairs: Vec<Pair> = (0..40).map(|i| pair(i / 20, 8_000 + u64::from(i), 8_000 + u64::from(i))).collect();
        let noise = judge(&pairs);
        let found = noise.cpu_per_request.known().expect("enough pairs");
        assert_eq!((found.difference, found.resolves), (0.0, 0.0));
        assert_eq!((noise.pairs, noise.starts, noise.seconds), (40, 2, 1.6));
        assert_eq!(noise.throughput.known().expect("enough pairs").difference, 0.0);
    }

    #[test]
    fn starts_that_differ_set_the_resolution_however_steady_each_is() {
        // Within a start the ratio is exact; between starts it is 1 % up or down.
        let pairs: Vec<Pair> =
            (0..200).map(|i| pair(i / 50, 10_000, if i / 50 % 2 == 0 { 10_100 } else { 9_900 })).collect();
        let noise = judge(&pairs);
        let found = noise.cpu_per_request.known().expect("enough pairs");
        assert!(found.resolves > 0.009, "{found:?}");
    }

    #[test]
    fn one_pair_has_no_interval_and_no_account_no_figure() {
        assert!(judge(&[pair(0, 1, 1)]).cpu_per_request.reason().is_some_and(|reason| reason.contains("too few")));
        let mut pairs: Vec<Pair> = (0..20).map(|i| pair(i / 10, 8_000, 8_000)).collect();
        pairs[3].b.cpu_ns = None;
        let noise = judge(&pairs);
        assert!(noise.cpu_per_request.reason().is_some_and(|reason| reason.contains("not account")));
        assert!(noise.throughput.known().is_some());
    }

    #[test]
    fn short_measurements_restart_too_and_long_ones_not_forever() {
        let of = |seconds| starts(Duration::from_secs(seconds));
        assert_eq!([of(1), of(3), of(10), of(600)], [2, 2, 5, 10]);
    }

    #[test]
    fn its_scenario_has_no_mistakes() {
        let resolved = scenario::resolve(Path::new("doctor"), SCENARIO, &Overrides::default()).expect("no mistakes");
        assert_eq!(resolved.plan.variants.len(), 1);
    }
}
