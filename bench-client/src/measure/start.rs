//! One start: the servers' life, from their processes to their end, and all that is measured in it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bench_server::contract::Issued;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::pace::Pace;
use super::random::{Purpose, derived_seed};
use super::remaining::{Group, Start};
use super::revocation::{self, Place};
use super::{MeasureError, attack, check_alive, load, setup, timeline};
use crate::credential::{Pool, spoil};
use crate::load::Session;
use crate::machine::Machine;
use crate::plan::{Beside, Case, ClientWait, Event, Plan, Presents, RevocationPlan, Variant};
use crate::record::Record;
use crate::run::RunFolder;
use crate::target::{Stores, Target, TargetError};

/// Servers started at the same time. They share processors, so more would only make their time limit tighter.
pub(super) const STARTED_TOGETHER: usize = 4;

/// A connection reset is seen a moment before its process has ended: so long is waited to tell the two apart.
const DEATH_THROES: Duration = Duration::from_millis(200);

/// A variant's processes and the connections to them.
pub(super) struct Server<'p> {
    pub(super) variant: &'p Variant,
    pub(super) target: Target,
    /// Where the variant is measured under load.
    pub(super) session: Option<Session>,
    /// The connections of the traffic beside it, where there is any.
    pub(super) beside: Option<Session>,
}

/// Carries out one start. Whatever happens, its processes have ended when this returns.
pub(super) async fn carry_out(
    plan: &Plan,
    (machine, stores): (&Machine, &Arc<Stores>),
    start: &Start<'_>,
    folder: &mut RunFolder,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    let label = format!("start {} of {}", start.planned + 1, plan.starts);
    let variants = start.variants(plan);
    pace.check()?;
    let doing = if plan.target.is_some() { "trying the target with" } else { "starting the servers of" };
    pace.stage(&format!("{label}: {doing} {} variants", variants.len()));
    let launched = launch(plan, machine, stores, &variants);
    let mut servers = pace.during(Duration::ZERO, launched).await?;
    let measured = measure(plan, start, &label, &mut servers, folder, pace).await;
    end(measured, servers, pace).await
}

/// Ends the servers of a start, and says what there is behind an error that it ended with.
pub(super) async fn end(
    measured: Result<(), MeasureError>,
    mut servers: Vec<Server<'_>>,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    let result = match measured {
        Err(error) => Err(explain(error, &mut servers).await),
        Ok(()) => Ok(()),
    };
    for server in &mut servers {
        // Or the server would wait for requests on its connections.
        (server.session, server.beside) = (None, None);
    }
    let stopped = join_all(servers.into_iter().map(|server| server.target.stop())).await;
    // Of a server that died nothing can be asked any more, which the error says.
    for left in stopped.into_iter().filter_map(Result::err).filter(|_| result.is_ok()) {
        pace.warn(&left.to_string());
    }
    result
}

fn launch<'p>(
    plan: &Plan,
    machine: &Machine,
    stores: &Arc<Stores>,
    variants: &[&'p Variant],
) -> impl Future<Output = Result<Vec<Server<'p>>, TargetError>> {
    stream::iter(variants.to_vec())
        .map(async |variant| {
            let target = Target::start(plan, variant, machine, stores).await?;
            Ok(Server { variant, target, session: None, beside: None })
        })
        .buffered(STARTED_TOGETHER)
        .try_collect()
}

async fn measure(
    plan: &Plan,
    start: &Start<'_>,
    label: &str,
    servers: &mut [Server<'_>],
    folder: &mut RunFolder,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    if start.number == 0 {
        folder.set_servers(configurations(&*servers).await?)?;
    }
    for server in servers.iter_mut() {
        prepare(plan, start, label, server, pace).await?;
    }
    let mut capacities = start.capacities.clone();
    for round in &start.rounds {
        if round.number > start.rounds[0].number {
            renew_connections(servers).await?;
        }
        let place = load::Place {
            round: round.number,
            start: start.number,
            seed: plan.seed,
            first: round.number.is_multiple_of(plan.rounds_per_start()),
        };
        for group in &round.groups {
            let name = &group.measurement.name;
            pace.stage(&format!("{label}: {name}, round {} of {}", round.number + 1, plan.rounds));
            let sets = load::singly(group, servers);
            for record in load::trials(group, &sets, &place, &mut capacities, servers, pace).await? {
                folder.append(&record)?;
            }
        }
    }
    for group in &start.revocations {
        pace.stage(&format!("{label}: {}", group.measurement.name));
        revocations(plan, start, group, servers, folder, pace).await?;
    }
    for group in &start.setups {
        pace.stage(&format!("{label}: {}", group.measurement.name));
        let place = setup::Place { start: start.number, round: start.planned * plan.rounds_per_start() };
        for record in setup::trials(plan, group, place, servers, pace).await? {
            folder.append(&record)?;
        }
    }
    for group in &start.attacks {
        pace.stage(&format!("{label}: {}", group.measurement.name));
        let place = setup::Place { start: start.number, round: start.planned * plan.rounds_per_start() };
        attack::carry_out(group, place, servers, folder, pace).await?;
    }
    for group in &start.events {
        pace.stage(&format!("{label}: {}", group.measurement.name));
        events(plan, start, group, servers, folder, pace).await?;
    }
    Ok(())
}

/// Puts new connections in the place of those that are kept. Where the kernel has their buffers is half of what makes two
/// starts of one program differ, and the only half that can be had without starting again.
pub(super) async fn renew_connections(servers: &mut [Server<'_>]) -> Result<(), MeasureError> {
    for server in servers {
        if let Some(session) = &mut server.session {
            session.reconnect(server.target.endpoint()).await?;
        }
        if let Some(beside) = &mut server.beside {
            beside.reconnect(server.target.endpoint()).await?;
        }
    }
    Ok(())
}

/// What the servers say they are, by variant and role.
pub(super) async fn configurations<'s>(
    servers: impl IntoIterator<Item = &'s Server<'s>>,
) -> Result<BTreeMap<String, bench_server::contract::ServerConfig>, TargetError> {
    let mut configurations = BTreeMap::new();
    for server in servers {
        for (role, config) in server.target.configuration().await? {
            configurations.insert(format!("{}/{role}", server.variant.name), config);
        }
    }
    Ok(configurations)
}

/// Issues a variant's pool, opens its connections and warms it up, as far as it is measured under load in this start.
pub(super) async fn prepare(
    plan: &Plan,
    start: &Start<'_>,
    label: &str,
    server: &mut Server<'_>,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    let variant = server.variant;
    let loads = start.loads(&variant.name);
    let warmups: Duration = loads.iter().map(|group| group.settings.warmup).sum();
    let starting = start.preparation(&variant.name) - warmups;
    // Latency and throughput share connections, so one session has as many as the largest measurement asks for.
    let Some(connections) = loads.iter().map(|group| group.settings.connections).max() else {
        pace.spent(starting);
        return Ok(());
    };
    let expected = start.expected(plan);
    let ends = revocation::own_lifetime(variant).filter(|_| variant.presents.is_lost_by_its_end());
    if let Some(lifetime) = ends.filter(|lifetime| *lifetime < expected) {
        pace.warn(&format!(
            "variant \"{}\": its credentials live for {lifetime:?}, one start takes about {expected:?}; raise the \
             lifetime, or plan more starts with fewer rounds each",
            variant.name
        ));
    }
    pace.stage(&format!("{label}: {} credentials for {}", variant.pool.count, variant.name));
    let place = [u64::from(start.planned), position(plan, variant)];
    let pool_seed = derived_seed(plan.seed, Purpose::Pool, &place);
    let session_seed = derived_seed(plan.seed, Purpose::Session, &place);
    let target = &server.target;
    let session = pace
        .during(starting, async {
            let issued = issue(target, variant).await?;
            let pool = Arc::new(Pool::new(issued, variant.pool.zipf_exponent, pool_seed));
            let session =
                Session::open(target.endpoint().clone(), pool, connections, session_seed, plan.client_wait).await?;
            Ok::<_, MeasureError>(session)
        })
        .await?;
    if let Some(traffic) = &variant.beside {
        pace.stage(&format!("{label}: {} credentials for what comes beside {}", traffic.pool.count, variant.name));
        server.beside = Some(besides(plan, &server.target, variant, traffic, session_seed).await?);
    }
    let session = server.session.insert(session);
    for group in loads {
        pace.check()?;
        pace.stage(&format!("{label}: warm-up of {}, {}", variant.name, group.measurement.name));
        group.settings.warm_up(session).await;
        pace.spent(group.settings.warmup);
    }
    Ok(())
}

/// Issues the variant's pool, and brings it into the state in which it is presented.
async fn issue(target: &Target, variant: &Variant) -> Result<Vec<Issued>, TargetError> {
    let mut issued = target.issue(variant.pool.count, variant.issued_for()).await?;
    if variant.presents == Presents::Revoked {
        for credential in &issued {
            target.revoke(credential).await?;
        }
    }
    for credential in &mut issued {
        let spoilt = spoil(credential, variant.presents);
        spoilt.map_err(|message| TargetError::Request { variant: variant.name.clone(), message })?;
    }
    tokio::time::sleep(variant.ripens_in()).await;
    Ok(issued)
}

/// The connections of the traffic beside a variant. Only one of the two looks for answers all the time: the measured one.
async fn besides(
    plan: &Plan,
    target: &Target,
    variant: &Variant,
    traffic: &Beside,
    seed: u64,
) -> Result<Session, MeasureError> {
    let (endpoint, issued) = target.issue_beside(variant, traffic).await?;
    let seed = derived_seed(plan.seed, Purpose::Session, &[seed]);
    let pool = Arc::new(Pool::new(issued, traffic.pool.zipf_exponent, seed));
    Ok(Session::open(endpoint, pool, traffic.connections, seed, ClientWait::Sleep).await?)
}

fn position(plan: &Plan, variant: &Variant) -> u64 {
    plan.variants.iter().position(|other| other.name == variant.name).expect("it is one of the plan's") as u64
}

/// All cases of one revocation measurement at the same time: watching them one after the other would take minutes, and
/// a probe every few milliseconds is no load.
async fn revocations(
    plan: &Plan,
    start: &Start<'_>,
    group: &Group<'_, RevocationPlan>,
    servers: &mut [Server<'_>],
    folder: &mut RunFolder,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    let settings = &group.settings;
    let work = async {
        let mut prepared = Vec::with_capacity(group.cases.len());
        for (place, case, server) in side_by_side(plan, start, group, servers) {
            prepared.push((place, case, server, revocation::prepare(&server.target, server.variant, settings).await?));
        }
        let running = prepared.into_iter().map(|(place, case, server, prepared)| async move {
            (
                place.case,
                revocation::measure(case, place, (&server.target, server.variant), prepared, settings, plan.seed).await,
            )
        });
        Ok::<_, TargetError>(all(running).await)
    };
    let records =
        pace.during(settings.latest_revocation(plan.replicas) + settings.watch + settings.blast_lasts(), work).await?;
    keep(records, servers, folder)
}

/// All cases of a rollover or an outage at the same time: each has servers of its own.
async fn events(
    plan: &Plan,
    start: &Start<'_>,
    group: &Group<'_, Event>,
    servers: &mut [Server<'_>],
    folder: &mut RunFolder,
    pace: &mut Pace<'_>,
) -> Result<(), MeasureError> {
    let event = &group.settings;
    let work = async {
        let running = side_by_side(plan, start, group, servers).map(|(place, case, server)| async move {
            let Server { target, variant, .. } = server;
            (place.case, timeline::measure(case, place, target, variant, event, plan.seed).await)
        });
        Ok::<_, TargetError>(all(running).await)
    };
    let records = pace.during(event.length(), work).await?;
    keep(records, servers, folder)
}

/// The cases of a group, each with its place and its server.
fn side_by_side<'a, 'p, Settings>(
    plan: &'a Plan,
    start: &'a Start<'_>,
    group: &'a Group<'p, Settings>,
    servers: &'a [Server<'p>],
) -> impl Iterator<Item = (Place, &'p Case, &'a Server<'p>)> {
    group.cases.iter().map(|case| {
        let server = servers.iter().find(|server| server.variant.name == case.variant);
        let index = plan.cases.iter().position(|other| other.id == case.id).expect("it is one of the plan's");
        let place = Place {
            planned_start: start.planned,
            start: start.number,
            round: start.planned * plan.rounds_per_start(),
            measurement: group.index,
            case: index,
        };
        (place, *case, server.expect("a start has a server for each of its cases"))
    })
}

/// Polls only the one that was woken: with hundreds of callers, polling all of them at every answer would make the client
/// late.
async fn all(running: impl Iterator<Item = impl Future<Output = (usize, Record)>>) -> BTreeMap<usize, Record> {
    running.collect::<FuturesUnordered<_>>().collect().await
}

/// Keeps the records of servers that still live.
fn keep(
    records: BTreeMap<usize, Record>,
    servers: &mut [Server<'_>],
    folder: &mut RunFolder,
) -> Result<(), MeasureError> {
    // A server that died has not refused anybody: its records would be lies.
    check_alive(servers)?;
    for record in records.into_values() {
        folder.append(&record)?;
    }
    Ok(())
}

/// The error behind the error: a request fails when its server has died.
async fn explain(error: MeasureError, servers: &mut [Server<'_>]) -> MeasureError {
    if !matches!(error, MeasureError::Target(TargetError::Request { .. }) | MeasureError::Load(_)) {
        return error;
    }
    tokio::time::sleep(DEATH_THROES).await;
    match check_alive(servers) {
        Err(died) => died.into(),
        Ok(()) => error,
    }
}
