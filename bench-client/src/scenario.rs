//! The scenario as the user wrote it, and every problem in it at once, each with file:line:column.
//!
//! ```text
//! text → document (where is what) → sections (what is allowed) → rules (what fits together) → plan
//! ```

mod attack;
mod beside;
mod compare;
mod document;
mod handshake;
mod measurement;
mod quick;
mod reader;
mod rules;
mod setup;
mod store;
mod suggest;
mod sweep;
mod target;
mod threshold;
mod timeline;
mod value;
mod variant;

#[cfg(test)]
mod tests;

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use bench_server::contract::{HttpVersion, KeyExchange, Transport};

use self::document::{Argument, At, Table};
use self::measurement::{Selection, WrittenMeasurement};
use self::reader::{Found, Problems, Section};
use self::sweep::Sweeps;
use self::target::Target;
use self::threshold::WrittenThreshold;
use self::value::{flag, one_of, price, text, whole};
use self::variant::WrittenVariant;
use crate::machine::KeepAwake;
use crate::plan::{
    Case, ClientWait, ComparePlan, MeasurementKind, Plan, PoolPlan, Price, ServerPlan, TargetPlan, Variant,
};

/// A mistake in a scenario, or advice about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong (with the value) and what to do.
    pub message: String,
}

/// Where something was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// File as given on the command line.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// On the command line: the argument, like `--set pool.count=0`.
    Argument(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::File { file, line, column } => write!(f, "{file}:{line}:{column}: {}", self.message),
            Place::Argument(argument) => write!(f, "{argument}: {}", self.message),
        }
    }
}

/// What the command line changes in a scenario.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--rounds`.
    pub rounds: Option<u32>,
    /// `--seed`.
    pub seed: Option<u64>,
    /// `--quick`.
    pub quick: bool,
    /// `--set KEY=VALUE`: `variant.NAME.key`, `measurement.NAME.key`, or a path from the top like `server.transport`. The
    /// value is TOML, or else taken as a string.
    pub set: Vec<(String, String)>,
}

impl Overrides {
    fn arguments(&self) -> Vec<Argument> {
        let set = self.set.iter().map(|(key, value)| Argument {
            // Printed with every problem: a secret that was written where none belongs must not be.
            label: format!("--set {key}={}", if key.contains("secret") { "[secret]" } else { value }),
            key: key.clone(),
            value: value.clone(),
        });
        let option = |key: &str, value: Option<String>| {
            value.map(|value| Argument { label: format!("--{key} {value}"), key: key.to_owned(), value })
        };
        set.chain(option("rounds", self.rounds.map(|rounds| rounds.to_string())))
            .chain(option("seed", self.seed.map(|seed| seed.to_string())))
            .collect()
    }
}

/// A scenario without mistakes.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    /// What will run.
    pub plan: Plan,
    /// What the user should know before it does.
    pub warnings: Vec<Problem>,
}

/// Reads a scenario's text and resolves it.
///
/// # Errors
/// All problems, in the order of their places. A syntax error comes alone: what follows it could only be guessed.
pub fn resolve(file: &Path, text: &str, overrides: &Overrides) -> Result<Resolved, Vec<Problem>> {
    let arguments = overrides.arguments();
    let located = |found: Found| -> Vec<Problem> {
        let place = |at| place(file, text, &arguments, at);
        found.into_iter().map(|(at, message)| Problem { place: place(at), message }).collect()
    };
    let mut document = document::parse(text).map_err(|error| located(vec![error]))?;
    let problems = Problems::default();
    for (number, argument) in arguments.iter().enumerate() {
        if let Err(message) = document::set(&mut document, number, argument) {
            problems.error(At::Argument(number), message);
        }
    }
    let scenario = Scenario::read(document, &folder(file), &problems);
    rules::check(&scenario, &problems);
    if !problems.has_errors() {
        // Of the whole plan: --quick leaves cases out.
        threshold::check(&scenario.thresholds, &scenario.plan("", false), &problems);
    }
    if problems.has_errors() {
        return Err(located(problems.into_sorted().0));
    }
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
    let plan = scenario.plan(&name, overrides.quick);
    rules::check_lifetimes(&scenario, plan.expected_start().total(), &problems);
    Ok(Resolved { plan, warnings: located(problems.into_sorted().1) })
}

/// The file's folder, absolute, so that a run can be resumed from anywhere.
fn folder(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    // Fails only where there is no current folder; then the paths are taken as they are.
    std::path::absolute(Path::new(".").join(folder)).unwrap_or_else(|_| folder.to_owned())
}

fn place(file: &Path, text: &str, arguments: &[Argument], at: At) -> Place {
    match at {
        At::File(offset) => {
            let before = &text[..text.floor_char_boundary(offset)];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Place::File {
                file: file.display().to_string(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
            }
        }
        At::Argument(number) => Place::Argument(arguments[number].label.clone()),
    }
}

/// What the user wrote, with its places. Only [`Scenario::plan`] makes a plan of it.
struct Scenario {
    analysis: String,
    seed: u64,
    target: Option<TargetPlan>,
    starts: u32,
    rounds: u32,
    server: ServerPlan,
    key_exchange: Option<KeyExchange>,
    replicas: NonZeroU32,
    pin: bool,
    keep_awake: KeepAwake,
    client_wait: ClientWait,
    thresholds: Vec<WrittenThreshold>,
    compare: Option<ComparePlan>,
    price_per_core_hour: Option<Price>,
    sweeps: Sweeps,
    /// One for each point of a swept variant.
    variants: Vec<WrittenVariant>,
    /// One for each point of a swept measurement.
    measurements: Vec<WrittenMeasurement>,
}

/// A variant as it was written and as it is planned.
type Readable<'a> = (&'a WrittenVariant, &'a Variant);

/// A seed that nobody chose: the same for everyone, so that two runs of a scenario send the same requests.
const DEFAULT_SEED: u64 = 42;
/// The fewest starts over which an interval is worth its name.
const DEFAULT_STARTS: u32 = 3;
const DEFAULT_ROUNDS_PER_START: u32 = 2;
/// Credentials per variant, and Zipf's own exponent.
const DEFAULT_POOL: PoolPlan = PoolPlan { count: 10_000, zipf_exponent: 1.0 };

impl Scenario {
    fn read(document: Table, folder: &Path, problems: &Problems) -> Self {
        let mut section = Section::new("", At::File(0), document.clone(), problems);
        let analysis = section.or("analysis", String::new(), text).trim().to_owned();
        let seed = section.or("seed", DEFAULT_SEED, whole(0..=u64::MAX));
        let target = read_target(&mut section, folder);
        let (starts, rounds) = read_rounds(&mut section, target.is_some());
        let keep_awake = section.optional("keep_awake", flag).map_or(KeepAwake::Auto, KeepAwake::from);
        let client_wait = section.or("client_wait", ClientWait::default(), one_of(CLIENT_WAITS));
        let (server, key_exchange, pin, replicas) = match &target {
            Some(target) => {
                let server = ServerPlan { transport: target.transport, http: target.http };
                (server, None, target.pin, NonZeroU32::MIN)
            }
            None => read_server(&mut section),
        };
        let price_per_core_hour = section.optional("price_per_core_hour", price);
        let thresholds = threshold::read(section.tables("threshold"), problems);
        let compare = compare::read(section.table("compare"));
        let sweeps = Sweeps::read(section.tables("sweep"), &document, problems);
        // Read at every point of the sweeps.
        section.ignore(["pool", "variant", "measurement"]);
        section.finish();
        let variants = sweeps.variants(&document, target.as_ref(), problems);
        let measurements = sweeps.measurements(&document, folder, problems);
        let target = target.and_then(|target| target.plan);
        Self {
            analysis,
            seed,
            target,
            starts,
            rounds,
            server,
            key_exchange,
            replicas,
            pin,
            keep_awake,
            client_wait,
            thresholds,
            compare,
            price_per_core_hour,
            sweeps,
            variants,
            measurements,
        }
    }

    /// The variants that a measurement is about, the baseline first; those that could not be read left out.
    fn selected<'a>(&'a self, measurement: &'a WrittenMeasurement) -> impl Iterator<Item = Readable<'a>> {
        self.ordered().filter(|(written, variant)| {
            let listed = |names: &[(At, String)]| names.iter().any(|(_, name)| name == variant.family());
            sweep::meet(&written.steps, &measurement.steps)
                && (variant.is_baseline()
                    || match &measurement.selection {
                        Selection::All => true,
                        Selection::Only(names) => listed(names),
                        Selection::Except(names) => !listed(names),
                    })
        })
    }

    /// All variants that could be read: the baseline, then the others as they were written.
    fn ordered(&self) -> impl Iterator<Item = Readable<'_>> {
        let readable = || self.variants.iter().filter_map(|written| Some((written, written.variant.as_ref()?)));
        let baseline = readable().filter(|(_, variant)| variant.is_baseline());
        baseline.chain(readable().filter(|(_, variant)| !variant.is_baseline()))
    }

    fn plan(&self, name: &str, quick: bool) -> Plan {
        let sweeps = self.sweeps.plan(quick);
        let runs = |steps: &sweep::Steps| steps.iter().all(|(sweep, step)| sweeps[*sweep].steps.contains(step));
        let mut cases = Vec::new();
        let mut measurements = Vec::new();
        for written in self.measurements.iter().filter(|written| runs(&written.steps)) {
            for measurement in written.planned() {
                let attacks = matches!(measurement.kind, MeasurementKind::Attack(_));
                let selected = self.selected(written).filter(|(variant, _)| runs(&variant.steps));
                // Who lets everyone in cannot be attacked.
                let selected = selected.filter(|(_, variant)| !attacks || !variant.is_baseline());
                cases.extend(selected.map(|(_, variant)| Case {
                    id: format!("{}/{}", variant.name, measurement.name),
                    variant: variant.name.clone(),
                    measurement: measurement.name.clone(),
                }));
                measurements.push(measurement);
            }
        }
        let mut plan = Plan {
            scenario: name.to_owned(),
            analysis: self.analysis.clone(),
            seed: self.seed,
            target: self.target.clone(),
            starts: self.starts,
            rounds: self.rounds,
            transport: self.server.transport,
            http: self.server.http,
            key_exchange: self.key_exchange,
            replicas: self.replicas,
            pin: self.pin,
            keep_awake: self.keep_awake,
            client_wait: self.client_wait,
            quick: false,
            variants: self
                .ordered()
                .filter(|(written, _)| runs(&written.steps))
                .map(|(_, variant)| variant.clone())
                .collect(),
            measurements,
            cases,
            thresholds: Vec::new(),
            compare: self.compare.clone(),
            price_per_core_hour: self.price_per_core_hour.clone(),
            sweeps: sweeps.clone(),
        };
        if quick {
            quick::shorten(&mut plan);
        }
        plan.thresholds = threshold::plan(&self.thresholds, &plan);
        plan
    }
}

fn read_target(section: &mut Section<'_>, folder: &Path) -> Option<Target> {
    let target = section.table("target").map(|target| target::read(target, folder));
    if target.is_some() && section.has("server") {
        section.error("server", "[server] is the reference server and [target] one of yours; remove one of them");
        section.ignore(["server"]);
    }
    target
}

/// `external`: the servers are the user's, and live on between starts.
fn read_rounds(section: &mut Section<'_>, external: bool) -> (u32, u32) {
    let starts = match section.optional("starts", whole(1..=1_000)) {
        None if section.has("starts") => 1, // noted; any number of rounds suits it
        None if external => 1,
        starts => starts.unwrap_or(DEFAULT_STARTS),
    };
    if external && starts > 1 {
        section.error(
            "starts",
            format!(
                "starts is {starts}, but a run does not start the processes of a [target]; remove it, and write rounds"
            ),
        );
    }
    let default = if external { DEFAULT_STARTS } else { starts } * DEFAULT_ROUNDS_PER_START;
    let rounds = section.or("rounds", default, whole(1..=1_000_000));
    if !rounds.is_multiple_of(starts) {
        let next = rounds.next_multiple_of(starts);
        section.error(
            "rounds",
            format!("rounds is {rounds}, which {starts} starts cannot share evenly; write a multiple, like {next}"),
        );
    }
    (starts, rounds)
}

/// More processes of one variant would measure the scheduler.
const MAX_REPLICAS: u32 = 32;

const CLIENT_WAITS: &[(&str, ClientWait)] = &[("poll", ClientWait::Poll), ("sleep", ClientWait::Sleep)];

/// How the servers are reached, with which key exchange, whether they are bound to processors, and how many replicas
/// each variant has.
fn read_server(section: &mut Section<'_>) -> (ServerPlan, Option<KeyExchange>, bool, NonZeroU32) {
    const TRANSPORTS: &[(&str, Transport)] =
        &[("plaintext", Transport::Plaintext), ("tls1.2", Transport::Tls12), ("tls1.3", Transport::Tls13)];
    const VERSIONS: &[(&str, HttpVersion)] = &[("1.1", HttpVersion::Http1), ("2", HttpVersion::Http2)];
    const DEFAULT: ServerPlan = ServerPlan { transport: Transport::Tls13, http: HttpVersion::Http1 };
    let Some(mut server) = section.table("server") else { return (DEFAULT, None, true, NonZeroU32::MIN) };
    let plan = ServerPlan {
        transport: server.or("transport", DEFAULT.transport, one_of(TRANSPORTS)),
        http: server.or("http", DEFAULT.http, one_of(VERSIONS)),
    };
    let key_exchange = handshake::read_key_exchange(&mut server, plan.transport);
    let pin = server.or("pin", true, flag);
    let replicas = NonZeroU32::new(server.or("replicas", 1, whole(1..=MAX_REPLICAS))).expect("the range begins at 1");
    server.finish();
    (plan, key_exchange, pin, replicas)
}
