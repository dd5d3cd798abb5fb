//! Does the time of a refusal tell whether a user exists (CWE-208)? Unknown users and known ones with a wrong password are
//! refused in turn, many times over, and their median times are compared.
//!
//! What the comparison could see is measured in the same run: unknown users are divided into two halves at random, which
//! differ by nothing, again and again. If the two kinds differ by more than any two such halves, they can be told apart, and
//! the program says so and fails. Hashes are cheap here, and the store is in the process: the smaller the work, the more a
//! difference shows.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::auth::{Connection, Method, Rejection, Request};
use bench_server::clock::UnixTime;
use bench_server::contract::{BasicConfig, Issued, Material, MethodConfig, PasswordHash};
use http::header::AUTHORIZATION;
use http::request::Parts;
use tokio::runtime::Runtime;

/// Refusals of known users, and half of those of unknown ones.
const SAMPLES: usize = 5_000;

/// Divisions of the unknown ones. The largest difference among so many is exceeded by chance once in as many runs.
const DIVISIONS: usize = 199;

const HASHES: [(&str, PasswordHash); 3] = [
    ("basic/argon2id", PasswordHash::Argon2id { memory_kib: 1_024, iterations: 1, parallelism: 1 }),
    ("basic/scrypt", PasswordHash::Scrypt { log_n: 8, r: 8, p: 1 }),
    ("basic/pbkdf2-sha256", PasswordHash::Pbkdf2Sha256 { iterations: 1_000 }),
];

/// What was found about one method.
struct Finding {
    /// Between the median refusals of unknown and known users.
    difference: Duration,
    /// The most that two halves of the unknown ones differ by.
    by_chance: Duration,
}

#[allow(clippy::print_stdout)] // this is the result
fn main() -> anyhow::Result<ExitCode> {
    // `cargo test` runs this once through, and judges no times.
    let judged = std::env::args().any(|argument| argument == "--bench");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
    let mut told_apart = false;
    println!("{:<22} {:>14} {:>14}", "refused", "known−unknown", "by chance");
    for (name, hash) in HASHES {
        let finding = find(&runtime, hash, if judged { SAMPLES } else { 10 }).with_context(|| name.to_owned())?;
        let Finding { difference, by_chance } = finding;
        let verdict = if difference > by_chance { "  told apart" } else { "" };
        println!("{name:<22} {:>11} ns {:>11} ns{verdict}", difference.as_nanos(), by_chance.as_nanos());
        told_apart |= judged && difference > by_chance;
    }
    Ok(if told_apart { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn find(runtime: &Runtime, hash: PasswordHash, samples: usize) -> anyhow::Result<Finding> {
    let folder = tempfile::tempdir().context("a temporary folder")?;
    let basic = MethodConfig::Basic(BasicConfig::new(hash));
    let (method, issued) = runtime.block_on(benches::issued(folder.path(), basic))?;
    let Issued { material: Material::Password { username, password }, .. } = issued else {
        anyhow::bail!("not a password")
    };
    let wrong: String = password.expose().chars().rev().collect();
    // As long as the known name, and never the same for long.
    let unknown = |number: usize| format!("{}{:02}", &username[..username.len() - 2], number % 100);
    let known = presenting(&username, &wrong)?;
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    for number in 0..samples {
        // One kind is never always the first after the other.
        let strangers = [presenting(&unknown(number), &wrong)?, presenting(&unknown(number + 50), &wrong)?];
        let mut turn = [(&strangers[0], false), (&known, true), (&strangers[1], false)];
        turn.rotate_left(number % 3);
        for (head, is_known) in turn {
            let time = refused(runtime, &method, head)?;
            if is_known { of_known.push(time) } else { of_unknown.push(time) }
        }
    }
    let difference = median(&mut of_known).abs_diff(median(&mut of_unknown));
    let mut by_chance = Duration::ZERO;
    for division in 0..DIVISIONS {
        let (mut one, mut other) = divided(&of_unknown, division as u64);
        by_chance = by_chance.max(median(&mut one).abs_diff(median(&mut other)));
    }
    Ok(Finding { difference, by_chance })
}

fn presenting(username: &str, password: &str) -> anyhow::Result<Parts> {
    let pair = STANDARD.encode(format!("{username}:{password}"));
    let request = http::Request::get("/whoami").header(AUTHORIZATION, format!("Basic {pair}"));
    Ok(request.body(())?.into_parts().0)
}

/// The time of one refusal.
fn refused(runtime: &Runtime, method: &Method, head: &Parts) -> anyhow::Result<Duration> {
    let connection = Connection::new(([127, 0, 0, 1], 1).into(), None);
    let request = Request { head, connection: &connection, now: UnixTime(Duration::from_secs(1)) };
    let begun = Instant::now();
    let verdict = runtime.block_on(method.authenticate(&request));
    let time = begun.elapsed();
    anyhow::ensure!(matches!(verdict, Err(Rejection::Invalid(_))), "this would time something else: {verdict:?}");
    Ok(time)
}

fn median(times: &mut [Duration]) -> Duration {
    let middle = times.len() / 2;
    *times.select_nth_unstable(middle).1
}

/// Two halves of equal size, drawn by splitmix64.
fn divided(times: &[Duration], seed: u64) -> (Vec<Duration>, Vec<Duration>) {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let mut drawn: Vec<(u64, Duration)> = times.iter().map(|time| (random(), *time)).collect();
    drawn.sort_unstable_by_key(|(key, _)| *key);
    let (one, other) = drawn.split_at(drawn.len() / 2);
    let times = |half: &[(u64, Duration)]| half.iter().map(|(_, time)| *time).collect();
    (times(one), times(other))
}
