//! What an answered request takes of processors, memory and wire, on both sides.

use serde::{Deserialize, Serialize};

use super::cost::{no_accounting, pooled, pooled_estimate};
use super::trials::Load;
use crate::cell::{Cell, Estimate};
use crate::machine::{SampledCpu, TcpCounts, Usage};
use crate::record::{CLIENT_ROLE, NOT_TOLD_APART};
use crate::stats::Resampler;

/// Sampled processor time below which user and system are not told apart: at the 4 ms tick of a usual kernel the
/// proportion is then known to three per cent.
const SAMPLED_MIN_NS: u64 = 1_000_000_000;

/// What an answered request takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// The variant's server processes, all roles together.
    pub server: Side,
    /// The load client.
    pub client: Side,
    /// TCP as the kernel counts it, on the client's connections.
    pub tcp_per_request: Cell<TcpPerRequest>,
}

/// One side of the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Processor time, user and system.
    pub cpu_ns_per_request: Cell<Estimate>,
    /// Of it in user mode: the whole, divided in the proportion that the clock tick sampled.
    pub user_ns_per_request: Cell<Estimate>,
    /// Of it in the kernel, likewise.
    pub system_ns_per_request: Cell<Estimate>,
    /// Times that a thread had to wait.
    pub switches_voluntary_per_request: Cell<Estimate>,
    /// Times that a thread was made to wait for another.
    pub switches_involuntary_per_request: Cell<Estimate>,
    /// Instructions in user space.
    pub instructions_per_request: Cell<Estimate>,
    /// Largest resident memory of its processes since they began, their peaks added, in any of the trials.
    pub peak_rss_bytes: Cell<u64>,
}

/// TCP per answered request. Bytes are payload, TLS and retransmissions included, IP and TCP headers not.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TcpPerRequest {
    /// Bytes from client to server.
    pub bytes_sent: f64,
    /// Bytes from server to client.
    pub bytes_received: f64,
    /// Bytes among `bytes_sent` that were sent again.
    pub bytes_retransmitted: f64,
    /// Segments from client to server, bare acknowledgements included.
    pub segments_sent: f64,
    /// Segments from server to client, bare acknowledgements included.
    pub segments_received: f64,
}

/// Adds the trials of a case up.
pub(super) fn resources(loads: &[Load<'_>], draws: Option<&Resampler>) -> Resources {
    Resources {
        server: side(
            loads,
            draws,
            |role| role != CLIENT_ROLE,
            |load| load.result.server_cpu_ns.as_ref().map(|roles| roles.values().sum()),
        ),
        client: side(loads, draws, |role| role == CLIENT_ROLE, |load| Some(load.result.client_cpu_ns)),
        tcp_per_request: tcp(loads),
    }
}

const NOTHING_ANSWERED: &str = "no request was answered";

fn side(
    loads: &[Load<'_>],
    draws: Option<&Resampler>,
    whose: fn(&str) -> bool,
    cpu_ns: fn(&Load<'_>) -> Option<u64>,
) -> Side {
    let per_request = |parts: Cell<Vec<(f64, f64)>>| {
        parts.and_then(|parts| Cell::or_blank(pooled_estimate(parts, draws), NOTHING_ANSWERED))
    };
    let of_answered = |count: fn(&Usage) -> Cell<u64>| {
        let parts = each(loads, |load| {
            let sum = of_roles(alone(load)?, whose, count)?;
            Ok((sum as f64, load.result.answered as f64))
        });
        per_request(parts)
    };
    let cpu = each(loads, |load| {
        let ns = cpu_ns(alone(load)?).ok_or_else(|| no_accounting(loads).to_owned())?;
        Ok((ns as f64, load.result.answered as f64))
    });
    let modes = each(loads, |load| {
        let user = of_roles(load, whose, |usage| usage.sampled.map(|sampled: &SampledCpu| sampled.user_ns))?;
        let system = of_roles(load, whose, |usage| usage.sampled.map(|sampled: &SampledCpu| sampled.system_ns))?;
        Ok((user, system))
    });
    let [user_ns_per_request, system_ns_per_request] = by_mode(&cpu, &modes, draws);
    Side {
        cpu_ns_per_request: per_request(cpu),
        user_ns_per_request,
        system_ns_per_request,
        switches_voluntary_per_request: of_answered(|usage| usage.switches.map(|switches| switches.voluntary)),
        switches_involuntary_per_request: of_answered(|usage| usage.switches.map(|switches| switches.involuntary)),
        instructions_per_request: of_answered(|usage| usage.instructions.clone()),
        peak_rss_bytes: each(loads, |load| of_roles(load, whose, |usage| usage.peak_rss_bytes.clone()))
            .and_then(|peaks| Cell::or_blank(peaks.iter().max().copied(), NOTHING_ANSWERED)),
    }
}

/// The trial, if the processes had no other requests than the variant's.
fn alone<'l, 'a>(load: &'l Load<'a>) -> Result<&'l Load<'a>, String> {
    if load.beside.is_some() { Err(NOT_TOLD_APART.to_owned()) } else { Ok(load) }
}

/// A figure of every trial; the first reason why one has none.
fn each<T>(loads: &[Load<'_>], figure: impl Fn(&Load<'_>) -> Result<T, String>) -> Cell<Vec<T>> {
    loads.iter().map(figure).collect::<Result<Vec<T>, String>>().into()
}

/// The sum over the roles of one side.
fn of_roles(load: &Load<'_>, whose: fn(&str) -> bool, count: impl Fn(&Usage) -> Cell<u64>) -> Result<u64, String> {
    let mut roles = load.result.usage.iter().filter(|(role, _)| whose(role)).peekable();
    if roles.peek().is_none() {
        return Err(no_accounting(std::slice::from_ref(load)).to_owned());
    }
    roles.try_fold(0, |sum, (_, usage)| match count(usage) {
        Cell::Known(n) => Ok(sum + n),
        Cell::Blank { blank } => Err(blank),
    })
}

/// Processor time in user mode and in the kernel: the exact whole, in the sampled proportion.
fn by_mode(
    cpu: &Cell<Vec<(f64, f64)>>,
    modes: &Cell<Vec<(u64, u64)>>,
    draws: Option<&Resampler>,
) -> [Cell<Estimate>; 2] {
    let both = cpu.and_then(|cpu| modes.map(|modes| (cpu.clone(), modes.clone())));
    let shares: [fn(f64) -> f64; 2] = [|user| user, |user| 1.0 - user];
    shares.map(|share| {
        both.and_then(|(cpu, modes)| {
            if modes.iter().map(|(user, system)| user + system).sum::<u64>() < SAMPLED_MIN_NS {
                return Cell::blank("less than 1 s of processor time: too few clock ticks to tell user from system");
            }
            let users: Vec<(f64, f64)> =
                modes.iter().map(|(user, system)| (*user as f64, (user + system) as f64)).collect();
            let figure = |weights: &[u32]| Some(pooled(cpu, weights)? * share(pooled(&users, weights)?));
            let estimate = figure(&vec![1; cpu.len()])
                .map(|value| Estimate { value, interval: draws.and_then(|draws| draws.interval(figure)) });
            Cell::or_blank(estimate, NOTHING_ANSWERED)
        })
    })
}

fn tcp(loads: &[Load<'_>]) -> Cell<TcpPerRequest> {
    let answered: u64 = loads.iter().map(|load| load.result.answered).sum();
    if answered == 0 {
        return Cell::blank(NOTHING_ANSWERED);
    }
    let counts = each(loads, |load| match &load.result.tcp {
        Cell::Known(counts) => Ok(*counts),
        Cell::Blank { blank } => Err(blank.clone()),
    });
    counts.map(|counts| {
        let per_request = |count: fn(&TcpCounts) -> u64| counts.iter().map(count).sum::<u64>() as f64 / answered as f64;
        TcpPerRequest {
            bytes_sent: per_request(|counts| counts.bytes_sent),
            bytes_received: per_request(|counts| counts.bytes_received),
            bytes_retransmitted: per_request(|counts| counts.bytes_retransmitted),
            segments_sent: per_request(|counts| counts.segments_sent),
            segments_received: per_request(|counts| counts.segments_received),
        }
    })
}
