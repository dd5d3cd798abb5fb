//! How many instructions one validation executes, by callgrind: the same on every repetition, however busy the machine, so
//! that two per cent more of the cheapest validator can be told.
//!
//! ```text
//! cargo bench --bench instructions                      counts, and compares with the committed baseline where it can
//! cargo bench --bench instructions -- --check           the same; where it cannot, that is a failure
//! cargo bench --bench instructions -- --save FILE       counts, and writes FILE
//! cargo bench --bench instructions -- --baseline FILE   counts, and compares with FILE
//! cargo bench --bench instructions -- --self-test       shows that the check is able to fail
//! ```
//!
//! Counts belong to a compiler, a valgrind and the instruction sets that it offers: with others there is no comparison, and
//! exit status 4 says so. Exit status 1: a validator executes 2 % more than the baseline's.
//!
//! Each validator is counted in a process of its own, over credentials of which each is validated once before (caches fill,
//! keys are parsed) and once within the count. Signatures differ in cost (that of ECDSA's by their numbers), so what is
//! reported is the mean over many of them. Introspection is a dialogue of two processes, and is not counted.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bench_server::contract::{
    Algorithm, ApiKeyConfig, BasicConfig, CacheConfig, DenyListConfig, JwtConfig, MethodConfig, MtlsConfig,
    PasswordHash, StoreConfig,
};
use benches::Subject;
use clap::Parser;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// More instructions than this are a regression.
const REGRESSED: f64 = 0.02;

/// Two counts of one build agree to this share, or to so many instructions: of the few hundred that a kept connection costs,
/// how long the numbers of certificates happen to be decides a handful.
const AGREES: f64 = 0.001;
const AGREES_WITHIN: f64 = 5.0;

/// A cache that no count outlives.
const CACHE: CacheConfig =
    CacheConfig { ttl: Duration::from_secs(60), capacity: 100_000, follow: None, stale_if_error: None };

/// The committed baseline.
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.json");

#[derive(Parser)]
struct Args {
    /// What cargo adds
    #[arg(long, hide = true)]
    bench: bool,
    /// Write the counts to this file
    #[arg(long, value_name = "FILE", conflicts_with = "baseline")]
    save: Option<PathBuf>,
    /// Compare with this file
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Fail where the committed baseline cannot be compared with
    #[arg(long)]
    check: bool,
    /// Count twice, and once with two per cent added: the first two must agree, the third must be caught
    #[arg(long)]
    self_test: bool,
    /// Filters of other benchmarks: with one there is nothing to do here
    #[arg(hide = true)]
    filters: Vec<String>,
    /// In the counted process: which validator
    #[arg(long, hide = true, requires = "state_dir")]
    count: Option<String>,
    #[arg(long, hide = true)]
    state_dir: Option<PathBuf>,
    /// In the counted process: instructions to add to each validation
    #[arg(long, hide = true, default_value_t = 0)]
    extra: u64,
}

impl Args {
    /// Whether it runs among all benchmarks, and not for itself: then what it cannot compare holds nobody up.
    fn is_one_of_all(&self) -> bool {
        self.save.is_none() && self.baseline.is_none() && !self.self_test && !self.check
    }
}

/// Counts with what they belong to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Counts {
    rustc: String,
    valgrind: String,
    /// The instruction sets that cryptography chooses by.
    processor: Vec<String>,
    /// Instructions per validation.
    instructions: BTreeMap<String, f64>,
}

/// A validator, over how many credentials it is counted, and how often each is validated within the count.
struct Validator {
    name: String,
    method: MethodConfig,
    credentials: usize,
    times: usize,
}

fn validators() -> Vec<Validator> {
    let jwt = |algorithm| MethodConfig::Jwt(JwtConfig::new(algorithm));
    let api_key = |store, cache| MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) });
    let denylist = Some(DenyListConfig::new(Duration::from_secs(3_600)));
    let argon2id = BasicConfig { cache: Some(CACHE), ..BasicConfig::new(PasswordHash::ARGON2ID) };
    // Few where making them is slow, and more often then: caches tidy up now and then.
    let of = |method: MethodConfig, credentials: usize| {
        let name = method.validator().expect("every validator here has a name");
        Validator { name, method, credentials, times: (200 / credentials).max(1) }
    };
    vec![
        of(MethodConfig::None, 1),
        of(api_key(StoreConfig::Memory, None), 1_000),
        of(api_key(StoreConfig::Sqlite, None), 10_000),
        of(api_key(StoreConfig::Sqlite, Some(CACHE)), 1_000),
        of(MethodConfig::Basic(argon2id), 2),
        of(jwt(Algorithm::HS256), 500),
        of(jwt(Algorithm::RS256), 50),
        of(jwt(Algorithm::PS256), 50),
        of(jwt(Algorithm::ES256), 500),
        of(jwt(Algorithm::EdDSA), 500),
        of(MethodConfig::Jwt(JwtConfig { denylist, ..JwtConfig::new(Algorithm::ES256) }), 500),
        of(MethodConfig::Mtls(MtlsConfig::new(Duration::from_secs(3_600))), 200),
    ]
}

#[allow(clippy::print_stderr)] // that is where errors go
fn main() -> ExitCode {
    // `cargo test --benches` runs this without an argument of cargo's own: the validators once, uncounted.
    let args = Args::parse();
    let done = match (&args.count, &args.state_dir) {
        (Some(name), Some(state_dir)) => child(name, state_dir, args.extra).map(|()| ExitCode::SUCCESS),
        _ if !args.filters.is_empty() => Ok(ExitCode::SUCCESS),
        _ if !args.bench => uncounted().map(|()| ExitCode::SUCCESS),
        _ if args.is_one_of_all() && Command::new("valgrind").arg("--version").output().is_err() => {
            eprintln!("instructions are not counted: valgrind is not installed");
            Ok(ExitCode::SUCCESS)
        }
        _ => parent(&args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(3)
    })
}

fn uncounted() -> anyhow::Result<()> {
    for Validator { name, method, credentials, .. } in validators() {
        let dir = tempfile::tempdir()?;
        let (_runtime, subjects) = warm(dir.path(), method, credentials.min(2))?;
        ensure!(validate_each(&subjects, 1, 0) == subjects.len(), "{name}: this would count a refusal");
    }
    Ok(())
}

/// Subjects that were each accepted once: whatever has to be waited for or remembered has been. Their runtime must live
/// on.
fn warm(state_dir: &Path, method: MethodConfig, count: usize) -> anyhow::Result<(Runtime, Vec<Subject>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let subjects = runtime.block_on(async {
        let subjects = Subject::each_issued_here(state_dir, method, count).await?;
        for subject in &subjects {
            let verdict = subject.validate().await;
            ensure!(verdict.is_ok(), "this would count a refusal: {verdict:?}");
        }
        Ok(subjects)
    })?;
    Ok((runtime, subjects))
}

/// What is counted: callgrind collects inside this function alone, so its name must survive.
#[inline(never)]
fn validate_each(subjects: &[Subject], times: usize, extra: u64) -> usize {
    let mut accepted = 0;
    for subject in (0..times).flat_map(|_| subjects) {
        accepted += usize::from(black_box(subject.validate_at_once()).is_ok());
        for step in 0..extra {
            black_box(step);
        }
    }
    accepted
}

fn child(name: &str, state_dir: &Path, extra: u64) -> anyhow::Result<()> {
    let validators = validators();
    let validator = validators.into_iter().find(|it| it.name == name).context("no such validator")?;
    let (_runtime, subjects) = warm(state_dir, validator.method, validator.credentials).context(validator.name)?;
    let accepted = validate_each(&subjects, validator.times, extra);
    ensure!(accepted == subjects.len() * validator.times, "{name}: a counted validation was a refusal");
    Ok(())
}

#[allow(clippy::print_stdout)] // this is the result
fn parent(args: &Args) -> anyhow::Result<ExitCode> {
    if args.self_test {
        return self_test();
    }
    let counts = count_all(0.0, None)?;
    let baseline = args.baseline.as_deref().unwrap_or(Path::new(COMMITTED));
    if let Some(file) = &args.save {
        write(file, &counts)?;
        print(&counts, None);
        return Ok(ExitCode::SUCCESS);
    }
    let text = fs::read_to_string(baseline).with_context(|| format!("{}; write it with --save", baseline.display()))?;
    let baseline: Counts = serde_json::from_str(&text).with_context(|| baseline.display().to_string())?;
    let alike = (&counts.rustc, &counts.valgrind, &counts.processor)
        == (&baseline.rustc, &baseline.valgrind, &baseline.processor);
    if !alike {
        print(&counts, None);
        println!(
            "\nThe baseline is another toolchain's or processor's ({}, {}, {}), here {}, {}, {}: no comparison. Count the \
             baseline's revision here with --save, and compare with --baseline.",
            baseline.rustc,
            baseline.valgrind,
            baseline.processor.join(" "),
            counts.rustc,
            counts.valgrind,
            counts.processor.join(" "),
        );
        return Ok(ExitCode::from(if args.is_one_of_all() { 0 } else { 4 }));
    }
    print(&counts, Some(&baseline));
    let regressed = regressions(&counts, &baseline);
    for name in &regressed {
        println!("regressed by more than {} %: {name}", REGRESSED * 100.0);
    }
    Ok(ExitCode::from(u8::from(!regressed.is_empty())))
}

/// Validators that execute more than the baseline's. One that the baseline lacks is new, and has nothing to be held against.
fn regressions(counts: &Counts, baseline: &Counts) -> Vec<String> {
    let more = |(name, now): (&String, &f64)| {
        let before = baseline.instructions.get(name)?;
        (now / before > 1.0 + REGRESSED).then(|| name.clone())
    };
    counts.instructions.iter().filter_map(more).collect()
}

/// # Errors
/// When equal builds differ by a thousandth or more, or two per cent are not caught.
#[allow(clippy::print_stdout)] // this is the result
fn self_test() -> anyhow::Result<ExitCode> {
    let (first, second) = (count_all(0.0, None)?, count_all(0.0, None)?);
    print(&second, Some(&first));
    for (name, count) in &second.instructions {
        let before = first.instructions[name];
        let (difference, share) = ((count - before).abs(), (count / before - 1.0).abs());
        ensure!(
            share < AGREES || difference < AGREES_WITHIN,
            "{name}: two counts of one build differ by {difference:.1}, {:.3} %",
            share * 100.0
        );
    }
    let slower = count_all(REGRESSED * 1.1, Some(&first))?;
    let caught = regressions(&slower, &first);
    ensure!(
        caught.len() == first.instructions.len(),
        "of {} validators that execute over 2 % more only {caught:?} were caught",
        first.instructions.len()
    );
    println!(
        "\nequal builds agree to a thousandth, and two per cent more are caught in each of {} validators",
        caught.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// Counts every validator, each with a share of what it executed in `of` added.
fn count_all(extra: f64, of: Option<&Counts>) -> anyhow::Result<Counts> {
    let mut instructions = BTreeMap::new();
    for Validator { name, method, credentials, times } in validators() {
        let dir = tempfile::tempdir()?;
        // Keys are made at full speed, and read by the counted process.
        drop(warm(dir.path(), method, 1).with_context(|| name.clone())?);
        let added = of.map_or(0.0, |of| of.instructions[&name] * extra);
        let counted = callgrind(&name, dir.path(), (added / INSTRUCTIONS_PER_STEP).ceil() as u64)?;
        instructions.insert(name, counted as f64 / (credentials * times) as f64);
    }
    Ok(Counts {
        rustc: said("rustc", "--version")?,
        valgrind: said("valgrind", "--version")?,
        processor: sets(),
        instructions,
    })
}

/// The least that a step of the added work executes.
const INSTRUCTIONS_PER_STEP: f64 = 2.0;

/// Runs this program again under callgrind, and answers what it collected.
fn callgrind(name: &str, state_dir: &Path, extra: u64) -> anyhow::Result<u64> {
    let output = state_dir.join("callgrind.out");
    let ran = Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*validate_each*", "--quiet"])
        .arg(format!("--callgrind-out-file={}", output.display()))
        .arg(std::env::current_exe()?)
        .args(["--count", name, "--extra", &extra.to_string(), "--state-dir"])
        .arg(state_dir)
        .stdin(Stdio::null())
        .output()
        .context("valgrind cannot be run; install Debian's package valgrind")?;
    if !ran.status.success() {
        bail!("{name}: {}; {}", ran.status, String::from_utf8_lossy(&ran.stderr).trim());
    }
    let text = fs::read_to_string(&output).with_context(|| output.display().to_string())?;
    let mut totals = text.lines().rev().filter_map(|line| line.strip_prefix("totals: ")?.trim().parse::<u64>().ok());
    let counted = totals.next().context("callgrind wrote no totals")?;
    ensure!(counted > 0, "{name}: callgrind collected nothing");
    Ok(counted)
}

fn said(program: &str, argument: &str) -> anyhow::Result<String> {
    let output = Command::new(program).arg(argument).output().with_context(|| format!("{program} cannot be run"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What of a processor's instruction sets valgrind passes on and aws-lc chooses by.
fn sets() -> Vec<String> {
    let known = ["aes", "avx2", "adx", "bmi1", "bmi2", "pclmulqdq", "sha_ni", "ssse3", "asimd", "sha2", "sha512"];
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("flags") || line.starts_with("Features")).unwrap_or_default();
    let has = |set: &&str| line.split_ascii_whitespace().any(|flag| flag == *set);
    known.into_iter().filter(has).map(str::to_owned).collect()
}

fn write(file: &Path, counts: &Counts) -> anyhow::Result<()> {
    fs::write(file, serde_json::to_string_pretty(counts)? + "\n").with_context(|| file.display().to_string())
}

#[allow(clippy::print_stdout)] // this is the result
fn print(counts: &Counts, baseline: Option<&Counts>) {
    println!("{:<24} {:>14} {:>14} {:>9}", "validator", "instructions", "baseline", "change");
    for (name, count) in &counts.instructions {
        let (before, change) = match baseline.and_then(|baseline| baseline.instructions.get(name)) {
            Some(before) => (format!("{before:.0}"), format!("{:+.3} %", (count / before - 1.0) * 100.0)),
            None => (String::new(), String::new()),
        };
        println!("{name:<24} {count:>14.0} {before:>14} {change:>9}");
    }
}
