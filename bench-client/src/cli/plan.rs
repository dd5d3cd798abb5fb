//! `authbench plan`: what would be sent, when, and for how long.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use bench_server::contract::{MethodConfig, Transport};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};

use super::scenarios::{Changes, prepare};
use super::{Exit, fail, print};
use crate::machine::KeepAwake;
use crate::plan::{Event, ExternalMethod, MeasurementKind, Method, Plan, TargetPlan, TargetProcesses, Variant};

/// Widest line.
const WIDTH: u16 = 120;

/// Show what a scenario would send, when, and for how long
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Scenario file, or name of a scenario that ships
    scenario: PathBuf,
    /// Print the whole plan as JSON, as a run stores it
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    changes: Changes,
}

pub(super) fn plan(args: &Args) -> Exit {
    match prepare(&args.scenario, &args.changes) {
        Ok(ready) if args.json => match serde_json::to_string_pretty(&ready.plan) {
            Ok(json) => {
                print(json);
                Exit::Fine
            }
            Err(error) => fail(Exit::Input, error),
        },
        Ok(ready) => {
            print(describe(&ready.plan).trim_end());
            Exit::Fine
        }
        Err(exit) => exit,
    }
}

fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    let mut line = |line: String| {
        // Cells are padded to their column's width, the last one too.
        line.lines().for_each(|line| text.extend([line.trim_end(), "\n"]));
    };
    line(format!("{}{}, plan {}", plan.scenario, if plan.quick { " (quick)" } else { "" }, &plan.hash()[..12]));
    let servers: Vec<String> =
        plan.servers().iter().map(|at| format!("{} over HTTP/{}", word(&at.transport), word(&at.http))).collect();
    line(format!(
        "{}{}, seed {}, {} starts of {} rounds{}",
        servers.join(" and "),
        plan.key_exchange.map_or_else(String::new, |group| format!(", key exchange {}", word(&group))),
        plan.seed,
        plan.starts,
        plan.rounds_per_start(),
        if plan.pin { ", bound to processors" } else { "" }
    ));
    match plan.keep_awake {
        KeepAwake::Auto => {}
        KeepAwake::On => line("cores are kept awake, where that can be had".to_owned()),
        KeepAwake::Off => line("cores are left to sleep".to_owned()),
    }
    if let Some(target) = &plan.target {
        line(whereto(plan, target));
    }
    let start = plan.expected_start();
    let parts = [
        (start.warm_up, "warm-up"),
        (start.load, "load"),
        (start.revocation, "revocation"),
        (start.setup, "setup"),
        (start.events, "rollovers and outages"),
        (start.attacks, "attacks"),
    ];
    line(format!(
        "about {}: per start {} to start the servers and issue credentials (estimated){}",
        seconds(plan.expected_duration()),
        seconds(start.start_up),
        // What is not measured takes no time.
        parts
            .into_iter()
            .filter(|(time, _)| !time.is_zero())
            .map(|(time, what)| format!(", {} {what}", seconds(time)))
            .collect::<String>()
    ));
    if !plan.sweeps.is_empty() {
        line(format!("\n{}", sweeps(plan)));
    }
    line(format!("\n{}", variants(plan)));
    line(format!("\n{}", measurements(plan)));
    text
}

/// The points of every sweep, and how many `--quick` leaves out.
fn sweeps(plan: &Plan) -> Table {
    let mut table = table(["sweep", "values", "points", "drawn against it"]);
    for sweep in &plan.sweeps {
        let written = sweep.paths.first().map_or(0, |path| path.values.len());
        let points = match (sweep.steps.len(), written) {
            (run, written) if run == written => run.to_string(),
            (run, written) => format!("{run} of {written} (quick)"),
        };
        let plot: Vec<String> = sweep.plot.iter().map(|metric| metric.word().to_owned()).collect();
        for (row, path) in sweep.paths.iter().enumerate() {
            let values: Vec<String> = sweep.steps.iter().map(|step| path.values[*step].to_string()).collect();
            // Paths below the first vary with it.
            let once = |text: &str| if row == 0 { text.to_owned() } else { String::new() };
            table.add_row([path.path.clone(), values.join(", "), once(&points), once(&plot.join(", "))]);
        }
    }
    table
}

/// What is sent where, when that is not a server of the run's own.
fn whereto(plan: &Plan, target: &TargetPlan) -> String {
    let mut urls: Vec<&str> =
        plan.variants.iter().filter_map(|variant| variant.method.external()).flat_map(ExternalMethod::urls).collect();
    urls.sort_unstable();
    urls.dedup();
    let trust = match (&target.roots, plan.transport) {
        (_, Transport::Plaintext) => String::new(),
        (Some(roots), _) => format!(", trusting {}", roots.display()),
        (None, _) => ", trusting the system's roots".to_owned(),
    };
    let processes = match &target.processes {
        None => "no process is named, so no server CPU".to_owned(),
        Some(TargetProcesses::Pid(pid)) => format!("server CPU of process {pid} and all it starts"),
        Some(TargetProcesses::Process(name)) => format!("server CPU of the process named \"{name}\" and all it starts"),
    };
    format!("requests with credentials go to {}{trust}; {processes}", urls.join(", "))
}

fn variants(plan: &Plan) -> Table {
    let mut table = table(["variant", "method", "options", "credentials", "revoked is noticed"]);
    for variant in &plan.variants {
        table.add_row([
            variant.name.clone(),
            variant.method.name().to_owned(),
            options(variant),
            format!("{}, Zipf {}", variant.pool.count, variant.pool.zipf_exponent),
            noticed(variant),
        ]);
    }
    table
}

fn measurements(plan: &Plan) -> Table {
    let mut table = table(["measurement", "cases", "what is sent", "trial", "warm-up"]);
    for measurement in &plan.measurements {
        let (sent, trial, warmup) = match &measurement.kind {
            MeasurementKind::Latency(load) => (
                format!(
                    "{} arrivals, {} over {} {} connections",
                    word(&load.model),
                    load.rate,
                    load.connections,
                    word(&load.connection)
                ),
                slices(load.slices, load.slice),
                humantime::format_duration(load.warmup).to_string(),
            ),
            MeasurementKind::Throughput(load) => (
                {
                    let mut sent =
                        format!("as fast as answers come, {} {} connections", load.connections, word(&load.connection));
                    if let Some(objective) = &load.objective {
                        let _ = write!(sent, "; then the highest rate with {objective} is searched");
                    }
                    sent
                },
                slices(load.slices, load.slice),
                humantime::format_duration(load.warmup).to_string(),
            ),
            MeasurementKind::Handshake(load) => (
                format!(
                    "new connections, {} at a time, session {}, {} requests on each",
                    load.connections,
                    load.session.word(),
                    load.requests_per_connection
                ),
                slices(load.slices, load.slice),
                humantime::format_duration(load.warmup).to_string(),
            ),
            MeasurementKind::Setup(setup) => (
                format!("{} times from nothing to the first authorised request", setup.trials),
                "once per start".to_owned(),
                String::new(),
            ),
            MeasurementKind::Attack(attack) => {
                let which = match attack.only.as_slice() {
                    [] => "all bad credentials".to_owned(),
                    only => format!("the bad credentials {}", only.join(", ")),
                };
                let table = attack.table.as_ref().map_or("the table that ships", |table| &table.file);
                (format!("{which} of {table}"), "once per start".to_owned(), String::new())
            }
            MeasurementKind::Rollover(_) | MeasurementKind::Outage(_) => {
                let event = Event::of(&measurement.kind);
                (event.map_or_else(String::new, |event| calls(&event)), "once per start".to_owned(), String::new())
            }
            MeasurementKind::Revocation(revocation) => {
                let kinds: Vec<&str> = revocation.probes.iter().map(|probe| probe.name()).collect();
                let replicas = match plan.replicas.get() {
                    1 => String::new(),
                    replicas => format!(" at {replicas} replicas"),
                };
                let mut sent = format!(
                    "{} credentials ({} at a time) revoked within {}, probed every {} for {} over {} connections{replicas}",
                    revocation.trials,
                    revocation.at_a_time,
                    humantime::format_duration(revocation.phase),
                    humantime::format_duration(revocation.probe_interval),
                    humantime::format_duration(revocation.watch),
                    kinds.join(", ")
                );
                if let Some(lifetime) = revocation.lifetime {
                    let _ = write!(
                        sent,
                        "; tokens and short-lived certificates live for {}",
                        humantime::format_duration(lifetime)
                    );
                }
                (sent, "once per start".to_owned(), String::new())
            }
        };
        let cases = plan.cases_of(measurement).count().to_string();
        table.add_row([measurement.name.clone(), cases, sent, trial, warmup]);
    }
    table
}

/// What is sent around an event.
fn calls(event: &Event) -> String {
    let time = humantime::format_duration;
    let calls = event.calls();
    let what = match event {
        Event::Rollover(plan) => format!(
            "the {} of each is replaced: changed over within {}, overlap {}",
            plan.of.name(),
            time(plan.adoption),
            time(plan.overlap)
        ),
        Event::Outage(plan) => format!("what is depended on is {} for {}", plan.fault, time(plan.lasts)),
    };
    format!(
        "{} callers, a call each every {}, for {}; {what}",
        calls.callers,
        time(calls.interval),
        time(event.length())
    )
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH).set_header(header);
    table
}

fn slices(slices: u32, slice: Duration) -> String {
    format!("{slices} × {}", humantime::format_duration(slice))
}

/// Every option of the method as the plan stores it.
fn options(variant: &Variant) -> String {
    if let Some(external) = variant.method.external() {
        return external.describe();
    }
    let method = serde_json::to_value(&variant.method).expect("a plan is plain data");
    let mut parts = Vec::new();
    if let serde_json::Value::Object(mut options) = method {
        options.remove("method");
        // Where a token comes from is the run's own business: it starts the authorization server.
        options.remove("issuer");
        if options.get("validation").is_some_and(|validation| validation["token"] == "opaque") {
            options.remove("rules"); // for tokens that are JWTs
        }
        for (key, value) in &options {
            match value {
                serde_json::Value::Object(fields) if matches!(key.as_str(), "rules" | "validation") => {
                    parts.extend(self::fields(fields));
                }
                serde_json::Value::Null => {}
                value => parts.push(format!("{key} {}", plain(value))),
            }
        }
    }
    if let (Some(MethodConfig::OAuth2(_)), Some(lifetime)) = (variant.method.reference(), variant.credential_lifetime())
    {
        parts.push(format!("lifetime {}", humantime::format_duration(lifetime)));
    }
    if !variant.revoke_by.is_default() {
        parts.push(format!("revoke_by {}", word(&variant.revoke_by)));
    }
    parts.join(", ")
}

fn fields(fields: &serde_json::Map<String, serde_json::Value>) -> Vec<String> {
    let given = fields.iter().filter(|(_, value)| !value.is_null());
    given.map(|(key, value)| format!("{key} {}", plain(value))).collect()
}

/// JSON without its quotes and braces.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Object(inner) => format!("({})", fields(inner).join(", ")),
        other => other.to_string(),
    }
}

/// What the settings promise about a revoked credential; a run measures it.
fn noticed(variant: &Variant) -> String {
    match (&variant.method, variant.longest_window(None)) {
        (method, _) if method.is_none() => "has no credential".to_owned(),
        (Method::External { external }, _) if external.revoke.is_none() => "cannot be revoked".to_owned(),
        (Method::External { .. }, _) => "not told by a foreign server".to_owned(),
        (_, window) if window.is_zero() => "at once".to_owned(),
        (_, window) => format!("within {}", humantime::format_duration(window)),
    }
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64().round();
    if seconds < 120.0 { format!("{seconds} s") } else { format!("{:.1} min", seconds / 60.0) }
}

/// The word by which a scenario would name it.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().as_ref().and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
}
