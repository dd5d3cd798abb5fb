//! Truth: servers whose latency distribution is known beforehand, and what clients say it is.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use serde_json::Value;

use super::child;
use super::clients::run_scenario;
use super::server::Behaviour;
use super::summary::{median, table};
use super::workspace::{CLIENT_CPU, Carrier, Workspace};

const QUANTILES: [(&str, f64); 5] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

/// Requests per second of the first two servers.
const RATE: u64 = 1000;
/// Connections: enough for every request that is out while a server stalls to be out on one, or to queue behind it.
const CONNECTIONS: u64 = 64;

/// Period and length of the stall, in milliseconds.
const PERIOD_MS: u64 = 10_000;
const STALL_MS: u64 = 1000;
/// How long the stalling server is asked, in seconds: four stalls, and no part of a fifth, from its first request on, and
/// likewise from 10 s after it (wrk2 leaves out its first 10 s).
const STALLING_S: u64 = 48;
const STALLS: u64 = 4;

/// How long the server with two latencies is asked, in seconds, and how often: a virtual machine stops for some
/// milliseconds about once in a second, so that the largest of many seconds is the machine's and not the server's.
const DELAYING_S: u64 = 4;
const DELAYING_ROUNDS: usize = 7;

/// Service time of the queue in microseconds, its loads in per cent, and how it is asked. The time is long beside the
/// machine's own pauses, which lengthen every wait by half their mean square per second over 1 − ρ.
const SERVICE_US: u64 = 5000;
const LOADS: [u64; 3] = [50, 70, 90];
const QUEUE_ROUNDS: u32 = 10;
const QUEUE_S: u64 = 20;

/// Quantile of Student's t for a 95 % interval with 9 degrees of freedom.
const T_9: f64 = 2.262;

/// Percentiles in milliseconds, in the order of [`QUANTILES`].
type Percentiles = [f64; 5];

/// What a percentile is, in milliseconds: from and to, for where a distribution jumps it is any value between.
type Truth = [(f64, f64); 5];

/// Compares what clients say with what is so, as Markdown.
///
/// # Errors
/// When a server or client fails.
pub(crate) fn compare(workspace: &Workspace, wrk2: Option<&Path>) -> anyhow::Result<String> {
    let mut text = String::new();
    let stall = Behaviour::Stall { period_ms: PERIOD_MS, stall_ms: STALL_MS };
    text += &format!("## A stall of 1 s in every 10, {RATE} requests per second (milliseconds)\n\n");
    text += &percentiles(workspace, wrk2, &stall, STALLING_S, 1, |quantile| (stalled(quantile), stalled(quantile)))?;
    let delay = Behaviour::Delay { usual_us: 5000, rare_us: 50_000, every: 100 };
    text += &format!("\n## 5 ms, and 50 ms for every hundredth, {RATE} requests per second (milliseconds)\n\n");
    text += &percentiles(workspace, wrk2, &delay, DELAYING_S, DELAYING_ROUNDS, |quantile| {
        (if quantile > 0.99 { 50.0 } else { 5.0 }, if quantile < 0.99 { 5.0 } else { 50.0 })
    })?;
    text += &format!(
        "\n{DELAYING_ROUNDS} rounds of {DELAYING_S} s, of which the median is shown. The 99th percentile stands \
        where the distribution jumps: any value between is one.\n"
    );
    text += &format!(
        "\n## M/D/1: Poisson arrivals, one server, a service time of {} ms (milliseconds)\n\n",
        SERVICE_US / 1000
    );
    text += &queue(workspace)?;
    Ok(text)
}

/// The latency at a quantile, in milliseconds, of requests at even times of whom some meet a stall: those wait for its
/// end, so their latency is uniform up to its length.
fn stalled(quantile: f64) -> f64 {
    let hit = (STALLS * STALL_MS) as f64 / (STALLING_S * 1000) as f64;
    (STALL_MS as f64 * (1.0 - (1.0 - quantile) / hit)).max(0.0)
}

fn percentiles(
    workspace: &Workspace,
    wrk2: Option<&Path>,
    behaviour: &Behaviour,
    seconds: u64,
    rounds: usize,
    truth: impl Fn(f64) -> (f64, f64),
) -> anyhow::Result<String> {
    let truth: Truth = QUANTILES.map(|(_, quantile)| truth(quantile));
    let mut clients = vec![("authbench", Vec::new()), ("oha, corrected", Vec::new())];
    clients.extend(wrk2.is_some().then(|| ("wrk2", Vec::new())));
    for round in 0..rounds {
        for (name, found) in &mut clients {
            eprintln!("{name}: round {} of {rounds}", round + 1);
            // A server for each: its period begins with its first request.
            let server = workspace.serve(Carrier::Plaintext, behaviour)?;
            found.push(match (*name, wrk2) {
                ("authbench", _) => authbench(workspace, server.port, server.pid(), seconds)?,
                ("wrk2", Some(program)) => self::wrk2(program, server.port, seconds + 10)?,
                _ => oha(server.port, seconds)?,
            });
        }
    }
    let mut rows = vec![std::iter::once("*truth*".to_owned()).chain(truth.iter().map(range)).collect()];
    rows.extend(clients.into_iter().map(|(name, found)| row(name, &found, &truth)));
    let head: Vec<&str> = std::iter::once("").chain(QUANTILES.iter().map(|(name, _)| *name)).collect();
    Ok(table(&head, &rows))
}

fn range((from, to): &(f64, f64)) -> String {
    if from == to { format!("{from:.2}") } else { format!("{from:.2}–{to:.2}") }
}

/// The medians of a client's rounds; those off by more than 2 % and 0.2 ms from the truth stand in bold.
fn row(name: &str, rounds: &[Percentiles], truth: &Truth) -> Vec<String> {
    let cells = truth.iter().enumerate().map(|(i, (from, to))| {
        let found = median(rounds.iter().map(|round| round[i])).expect("at least one round");
        let off = (from - found).max(found - to) > (to * 0.02).max(0.2);
        if off { format!("**{found:.2}**") } else { format!("{found:.2}") }
    });
    std::iter::once(name.to_owned()).chain(cells).collect()
}

fn url(port: u16) -> String {
    format!("http://localhost:{port}/none")
}

/// An open loop on the baseline, which is all that this run has.
fn open_loop(
    workspace: &Workspace,
    port: u16,
    server: u32,
    load: &str,
    rounds: u32,
) -> anyhow::Result<Vec<Histogram<u64>>> {
    let measurement = format!("[[measurement]]\nkind = \"latency\"\n{load}\n");
    let url = format!("http://localhost:{port}/whoami");
    run_scenario(workspace, &url, server, Carrier::Plaintext, rounds, &measurement)?
        .iter()
        .map(|record| {
            let text = record["measured"]["latency"].as_str().context("a record without latency")?;
            let bytes = STANDARD.decode(text)?;
            Ok(Deserializer::new().deserialize(&mut bytes.as_slice())?)
        })
        .collect()
}

fn authbench(workspace: &Workspace, port: u16, server: u32, seconds: u64) -> anyhow::Result<Percentiles> {
    let load = format!(
        "load = {{ model = \"constant\", rate_per_s = {RATE}, connections = {CONNECTIONS}, warmup = \"0s\", \
         measure = \"{seconds}s\" }}\nslice = \"{seconds}s\""
    );
    let histograms = open_loop(workspace, port, server, &load, 1)?;
    let histogram = histograms.first().context("the run left no record")?;
    Ok(QUANTILES.map(|(_, quantile)| histogram.value_at_quantile(quantile) as f64 / 1e6))
}

fn oha(port: u16, seconds: u64) -> anyhow::Result<Percentiles> {
    let mut command = child::bound(CLIENT_CPU, "oha");
    command.args(["--no-tui", "--output-format", "json", "--latency-correction"]);
    command.args(["-q", &RATE.to_string(), "-c", &CONNECTIONS.to_string(), "-z", &format!("{seconds}s"), &url(port)]);
    let finished = child::run(&mut command)?;
    let result: Value = serde_json::from_str(&finished.stdout).context("oha's JSON")?;
    let milliseconds = |value: &Value| anyhow::Ok(value.as_f64().context("oha's latency")? * 1e3);
    let of = |key: &str| milliseconds(&result["latencyPercentiles"][key]);
    Ok([of("p50")?, of("p90")?, of("p99")?, of("p99.9")?, milliseconds(&result["summary"]["slowest"])?])
}

fn wrk2(program: &Path, port: u16, seconds: u64) -> anyhow::Result<Percentiles> {
    let mut command = child::bound(CLIENT_CPU, program.to_str().context("wrk2's path is no text")?);
    command.args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-R", &RATE.to_string()]);
    command.args(["-d", &format!("{seconds}s"), "--latency", &url(port)]);
    let finished = child::run(&mut command)?;
    let mut found = [0.0; 5];
    for (cell, label) in found.iter_mut().zip([" 50.000%", " 90.000%", " 99.000%", " 99.900%", "100.000%"]) {
        let line = finished.stdout.lines().find(|line| line.starts_with(label)).context("wrk2's percentiles")?;
        *cell = milliseconds(line[label.len()..].trim()).with_context(|| format!("wrk2 says {line:?}"))?;
    }
    Ok(found)
}

/// A time as wrk2 writes it.
fn milliseconds(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let value: f64 = text[..split].parse().ok()?;
    Some(match &text[split..] {
        "us" => value / 1e3,
        "ms" => value,
        "s" => value * 1e3,
        "m" => value * 60e3,
        _ => return None,
    })
}

/// The mean wait in a queue with Poisson arrivals and constant service times is ρ·s/(2(1−ρ)) (Pollaczek and Khinchine;
/// Kleinrock, Queueing Systems, vol. 1, §5.6). What the network adds is taken from the run itself: the quickest
/// twentieth of the answers did not wait.
fn queue(workspace: &Workspace) -> anyhow::Result<String> {
    let service_ms = SERVICE_US as f64 / 1e3;
    let mut rows = Vec::new();
    for percent in LOADS {
        let load = percent as f64 / 100.0;
        let server = workspace.serve(Carrier::Plaintext, &Behaviour::Queue { service_us: SERVICE_US })?;
        let rate = load / service_ms * 1e3;
        let settings = format!(
            "load = {{ model = \"poisson\", rate_per_s = {rate}, connections = 128, warmup = \"1s\", \
             measure = \"{QUEUE_S}s\" }}\nslice = \"{QUEUE_S}s\""
        );
        let rounds = open_loop(workspace, server.port, server.pid(), &settings, QUEUE_ROUNDS)?;
        ensure!(rounds.len() == QUEUE_ROUNDS as usize, "{} of {QUEUE_ROUNDS} rounds", rounds.len());
        let waits: Vec<f64> =
            rounds.iter().map(|round| (round.mean() - round.value_at_quantile(0.05) as f64) / 1e6).collect();
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        let variance = waits.iter().map(|wait| (wait - mean).powi(2)).sum::<f64>() / (waits.len() - 1) as f64;
        let half = T_9 * (variance / waits.len() as f64).sqrt();
        let truth = load * service_ms / (2.0 * (1.0 - load));
        let inside = (mean - truth).abs() <= half;
        rows.push(vec![
            format!("{percent} %"),
            format!("{truth:.3}"),
            format!("{mean:.3}"),
            format!("{:.3}–{:.3}", mean - half, mean + half),
            if inside { "yes" } else { "**no**" }.to_owned(),
        ]);
    }
    Ok(table(&["load", "mean wait, theory", "authbench", "95 % interval over rounds", "theory inside"], &rows))
}

/// wrk2, where it is installed: it calls itself wrk, so it is looked for under its project's name.
pub(crate) fn find_wrk2(given: Option<std::path::PathBuf>) -> Option<std::path::PathBuf> {
    given.or_else(|| {
        let found = Command::new("wrk2").arg("-v").output().is_ok();
        found.then(|| "wrk2".into())
    })
}
