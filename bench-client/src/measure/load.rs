//! `latency`, `throughput` and `handshake`: trials made of short slices that alternate with the other cases'.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bench_server::contract::Counters;

use super::capacity::{self, Searched};
use super::pace::Pace;
use super::random::{Purpose, derived_seed, shuffled};
use super::remaining::Group;
use super::rules;
use super::start::Server;
use super::{MeasureError, check_alive, handshake};
use crate::cell::Cell;
use crate::load::{OpenLoop, Profile, Session, Tally};
use crate::machine::{Account, TcpCounts, TcpReading, Usage, steal_jiffies, steal_share};
use crate::plan::{ArrivalModel, Case, ConnectionKind, LoadRate, MeasurementKind, Objective, Rate};
use crate::record::{
    BesideResult, CLIENT_ROLE, EncodedHistogram, LoadResult, Measured, RECORD_VERSION, Record, SchedulePart, SliceCost,
};
use crate::target::TargetError;

/// Settings of a measurement under load, whichever its loop.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    pub(super) arrivals: Arrivals,
    pub(super) connections: usize,
    pub(super) connection: ConnectionKind,
    pub(super) warmup: Duration,
    pub(super) slice: Duration,
    pub(super) slices: u32,
    /// What a capacity is searched at.
    pub(super) objective: Option<Objective>,
}

/// When the next request is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arrivals {
    /// On a schedule.
    Open { model: ArrivalModel, rate: LoadRate },
    /// When the last answer has come.
    Closed,
    /// The same, on connections that each carry so many requests.
    Connections { requests: u32 },
}

impl Load {
    /// The settings, if this is a measurement under load.
    pub(super) fn of(kind: &MeasurementKind) -> Option<Self> {
        match kind {
            MeasurementKind::Latency(plan) => Some(Self {
                arrivals: Arrivals::Open { model: plan.model, rate: plan.rate.clone() },
                connections: plan.connections,
                connection: plan.connection,
                warmup: plan.warmup,
                slice: plan.slice,
                slices: plan.slices,
                objective: None,
            }),
            MeasurementKind::Throughput(plan) => Some(Self {
                arrivals: Arrivals::Closed,
                connections: plan.connections,
                connection: plan.connection,
                warmup: plan.warmup,
                slice: plan.slice,
                slices: plan.slices,
                objective: plan.objective,
            }),
            MeasurementKind::Handshake(plan) => Some(Self {
                arrivals: Arrivals::Connections { requests: plan.requests_per_connection },
                connections: plan.connections,
                connection: plan.session.connection(),
                warmup: plan.warmup,
                slice: plan.slice,
                slices: plan.slices,
                objective: None,
            }),
            MeasurementKind::Revocation(_)
            | MeasurementKind::Setup(_)
            | MeasurementKind::Rollover(_)
            | MeasurementKind::Outage(_)
            | MeasurementKind::Attack(_) => None,
        }
    }

    /// Most connections open at the same time: beside the new ones, as many are kept for other measurements.
    pub(super) fn files(&self) -> usize {
        match self.arrivals {
            Arrivals::Connections { .. } => 2 * self.connections,
            Arrivals::Open { .. } | Arrivals::Closed => self.connections,
        }
    }

    /// Before the counters of a trial are read: the sessions that its connections resume.
    pub(super) async fn prime(&self, session: &mut Session) {
        if let Arrivals::Connections { .. } = self.arrivals {
            session.prime(self.connections, self.connection).await;
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.arrivals, Arrivals::Open { .. })
    }

    /// Whether other measurements of the start must come before.
    pub(super) fn needs_capacity(&self) -> bool {
        matches!(self.arrivals, Arrivals::Open { rate: LoadRate::ShareOfCapacity(_), .. })
    }

    /// Into how many parts a trial is cut to see what its rates do.
    fn parts(&self) -> usize {
        match &self.arrivals {
            Arrivals::Open { rate: LoadRate::PerSecond(Rate::Steps(rates)), .. } => rates.len(),
            Arrivals::Open { rate: LoadRate::PerSecond(Rate::Ramp { .. }), .. } => self.slices.min(RAMP_PARTS) as usize,
            Arrivals::Open { .. } | Arrivals::Closed | Arrivals::Connections { .. } => 1,
        }
    }

    /// Load before anything is counted: caches fill, keys are parsed, connections leave slow start. Where the rate is a
    /// share of a capacity that nobody knows yet, the connections are kept busy instead.
    pub(super) async fn warm_up(&self, session: &mut Session) {
        self.prime(session).await;
        let offered = Offered::of(&self.arrivals, self.warmup, None);
        self.drive(session, offered.as_ref(), Duration::ZERO, self.warmup, &mut Tally::new()).await;
    }

    /// One slice of the load offered; without one, of a closed loop.
    pub(super) async fn drive(
        &self,
        session: &mut Session,
        offered: Option<&Offered>,
        offset: Duration,
        length: Duration,
        tally: &mut Tally,
    ) {
        match offered {
            Some(Offered { model, profile, .. }) => {
                let load = OpenLoop { model: *model, profile };
                session.open_loop(load, offset, length, self.connections, self.connection, tally).await;
            }
            None => match self.arrivals {
                Arrivals::Connections { requests } => {
                    session.connection_loop(length, self.connections, self.connection, requests, tally).await;
                }
                Arrivals::Open { .. } | Arrivals::Closed => {
                    session.closed_loop(length, self.connections, self.connection, tally).await;
                }
            },
        }
    }
}

/// What an open loop offers over a trial, every number known.
pub(super) struct Offered {
    model: ArrivalModel,
    profile: Profile,
    /// On average over the trial.
    rate_per_s: f64,
}

impl Offered {
    /// A rate over a trial of that length.
    pub(super) fn new(model: ArrivalModel, rate: &Rate, length: Duration) -> Self {
        // A warm-up may have no length; its rate is then asked of nobody.
        let length = length.max(Duration::from_nanos(1));
        let profile = Profile::new(rate, length);
        let rate_per_s = profile.until(length.as_secs_f64()) / length.as_secs_f64();
        Self { model, profile, rate_per_s }
    }

    /// `None` for a closed loop, and for a share of a capacity that is not known.
    fn of(arrivals: &Arrivals, length: Duration, capacity_per_s: Option<f64>) -> Option<Self> {
        let Arrivals::Open { model, rate } = arrivals else { return None };
        Some(match rate {
            LoadRate::PerSecond(rate) => Self::new(*model, rate, length),
            LoadRate::ShareOfCapacity(share) => Self::new(*model, &Rate::Steady(share * capacity_per_s?), length),
        })
    }

    /// What a part of the schedule came to, each part `length` seconds long.
    fn part(&self, index: usize, length: f64, tally: &Tally) -> SchedulePart {
        let start = index as f64 * length;
        SchedulePart {
            rate_per_s: (self.profile.until(start + length) - self.profile.until(start)) / length,
            measured_ns: tally.measured.as_nanos() as u64,
            outcomes: tally.outcomes.clone(),
            dropped: tally.dropped,
            latency: EncodedHistogram::encode(&tally.latency),
        }
    }
}

/// Where in a plan trials belong.
pub(super) struct Place {
    pub(super) round: u32,
    /// The start's number in records.
    pub(super) start: u32,
    pub(super) seed: u64,
    /// Whether it is the first round of its start, in which capacities are searched.
    pub(super) first: bool,
}

/// A case and the index of the server that it is measured on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat<'p> {
    pub(super) case: &'p Case,
    pub(super) server: usize,
}

/// Each case of the group by itself, on the server of its variant.
pub(super) fn singly<'p>(group: &Group<'p, Load>, servers: &[Server<'_>]) -> Vec<Vec<Seat<'p>>> {
    let seat = |case: &'p Case| {
        let server = servers.iter().position(|server| server.variant.name == case.variant);
        vec![Seat { case, server: server.expect("a start has a server for each of its cases") }]
    };
    group.cases.iter().copied().map(seat).collect()
}

/// One trial of each seat, interleaved: in every pass each has one slice, in an order of its own. Seats of one set have
/// theirs right after each other, also in an order of its own. The records come in the order of the seats.
///
/// Nothing is kept of trials that do not come to their end. `capacities` holds what variants carried in this start; it
/// is read by loads that are a share of it, and added to, by the first of a set.
pub(super) async fn trials(
    group: &Group<'_, Load>,
    sets: &[Vec<Seat<'_>>],
    place: &Place,
    capacities: &mut BTreeMap<String, f64>,
    servers: &mut [Server<'_>],
    pace: &mut Pace<'_>,
) -> Result<Vec<Record>, MeasureError> {
    let settings = &group.settings;
    let mut trials = Vec::new();
    let mut places_of_sets = Vec::with_capacity(sets.len());
    for set in sets {
        let first = trials.len();
        for seat in set {
            settings.prime(servers[seat.server].session.as_mut().expect(HAS_SESSION)).await;
            let capacity = capacities.get(&seat.case.variant).copied();
            let offered = Offered::of(&settings.arrivals, settings.slice * settings.slices, capacity);
            trials.push(Trial::begin(seat.case, seat.server, settings, offered, servers).await?);
        }
        places_of_sets.push(first..trials.len());
    }
    let order = |count: usize, name: &[u64]| shuffled(count, derived_seed(place.seed, Purpose::Order, name));
    for pass in 0..settings.slices {
        let name = [u64::from(place.round), group.index as u64, u64::from(pass)];
        for set in order(sets.len(), &name) {
            let places = &places_of_sets[set];
            for index in order(places.len(), &[name.as_slice(), &[set as u64]].concat()) {
                pace.check()?;
                let trial = &mut trials[places.start + index];
                trial.slice(settings, pass, &mut servers[trial.server]).await;
                pace.spent(settings.slice);
            }
        }
        check_alive(servers)?;
    }
    let mut records = Vec::with_capacity(trials.len());
    let mut searched = Vec::new();
    for trial in trials {
        let server = trial.server;
        let record = trial.end(group, place, &servers[server]).await?;
        searched.push(Searched { server, saturation_per_s: record.capacity_per_s().unwrap_or_default() });
        records.push(record);
    }
    if let (true, Some(objective)) = (place.first, &settings.objective) {
        let place_of_search = [u64::from(place.round), group.index as u64];
        let found =
            capacity::search(settings, objective, &searched, place.seed, place_of_search, servers, pace).await?;
        for (record, found) in records.iter_mut().zip(found) {
            if let Measured::Throughput(result) = &mut record.measured {
                result.capacity = Some(found);
            }
        }
    }
    for record in places_of_sets.into_iter().map(|places| &records[places.start]) {
        // Later rounds of a start search no more: what was found stands.
        if let Some(found) = record.capacity_per_s().filter(|_| place.first || settings.objective.is_none()) {
            capacities.insert(record.variant.clone(), found);
        }
    }
    Ok(records)
}

/// Parts that a ramp is cut into, to see what its rates do.
const RAMP_PARTS: u32 = 10;

/// One case in one round, while it is measured.
struct Trial<'p> {
    case: &'p Case,
    /// Index of the case's server.
    server: usize,
    /// `None` in a closed loop, and where the load is a share of a capacity that is not known.
    offered: Option<Offered>,
    started_at: jiff::Timestamp,
    started: Instant,
    /// The server's counters at the beginning, where it tells them.
    counters: Option<Counters>,
    /// One for each part of the schedule, at least one.
    parts: Vec<Tally>,
    /// What came of the traffic beside the variant.
    beside: Tally,
    /// What each slice came to.
    slices: Vec<SliceCost>,
    /// The load client's account, and those of the server's processes by role.
    client: Account,
    servers: BTreeMap<String, Account>,
    /// What the kernel had counted on the connections at the beginning.
    tcp: Cell<TcpReading>,
    /// Jiffies that the hypervisor had taken, and all jiffies, at the beginning.
    steal: Option<(u64, u64)>,
}

impl<'p> Trial<'p> {
    /// Takes the server's counters; its validation histogram starts anew.
    async fn begin(
        case: &'p Case,
        server: usize,
        load: &Load,
        offered: Option<Offered>,
        servers: &[Server<'_>],
    ) -> Result<Self, TargetError> {
        let Server { variant, target, session, .. } = &servers[server];
        let telemetry = target.telemetry().await?;
        let accounts = target.processes().into_iter().map(|(role, pids)| (role, Account::of_processes(&pids)));
        Ok(Self {
            case,
            server,
            offered,
            started_at: jiff::Timestamp::now(),
            started: Instant::now(),
            counters: telemetry.map(|telemetry| telemetry.counters),
            parts: (0..load.parts()).map(|_| Tally::of(variant.presents.wanted())).collect(),
            beside: Tally::new(),
            slices: Vec::with_capacity(load.slices as usize),
            client: Account::of_calling_thread(),
            servers: accounts.collect(),
            tcp: session.as_ref().expect(HAS_SESSION).tcp(),
            steal: steal_jiffies(),
        })
    }

    /// One slice. Accounts are read close around it: what servers do in the background between slices is not the
    /// requests' cost.
    async fn slice(&mut self, load: &Load, pass: u32, server: &mut Server<'_>) {
        if load.is_open() && self.offered.is_none() {
            return; // nothing can be offered; the record will say why
        }
        let session = server.session.as_mut().expect(HAS_SESSION);
        let part = (pass as usize * self.parts.len()) / load.slices as usize;
        let offset = load.slice * pass;
        let before = self.spent();
        self.servers.values_mut().for_each(Account::begin_slice);
        self.client.begin_slice(); // last, and ended first: looking at the servers is not its work
        let measured = load.drive(session, self.offered.as_ref(), offset, load.slice, &mut self.parts[part]);
        match server.beside.as_mut().zip(server.variant.traffic_beside()) {
            Some((others, traffic)) => {
                let profile = Profile::new(&Rate::Steady(traffic.rate_per_s), load.slice * load.slices);
                let arrivals = OpenLoop { model: ArrivalModel::Poisson, profile: &profile };
                let (connections, kind) = (traffic.connections, ConnectionKind::Reused);
                let others = others.open_loop(arrivals, offset, load.slice, connections, kind, &mut self.beside);
                futures_util::join!(measured, others);
            }
            None => measured.await,
        }
        self.client.end_slice();
        self.servers.values_mut().for_each(Account::end_slice);
        self.slices.push(self.spent().since(before));
    }

    /// What all slices so far came to.
    fn spent(&self) -> SliceCost {
        SliceCost {
            measured_ns: self.parts.iter().map(|tally| tally.measured.as_nanos() as u64).sum(),
            answered: self.parts.iter().map(|tally| tally.answered).sum(),
            server_cpu_ns: cpu_by_role(&self.servers).map(|roles| roles.values().sum()),
        }
    }

    /// The trial's record.
    async fn end(mut self, group: &Group<'_, Load>, place: &Place, server: &Server<'_>) -> Result<Record, TargetError> {
        let elapsed = self.started.elapsed();
        let telemetry = server.target.telemetry().await?;
        let load = &group.settings;
        let parts = match (&self.offered, self.parts.len()) {
            (Some(offered), count @ 2..) => {
                let length = (load.slice * load.slices).as_secs_f64() / count as f64;
                self.parts.iter().enumerate().map(|(i, tally)| offered.part(i, length, tally)).collect()
            }
            _ => Vec::new(),
        };
        let tcp = tcp_counts(self.tcp, server.session.as_ref().expect(HAS_SESSION).tcp());
        let polled = self.parts.iter().map(|tally| tally.polled).sum();
        self.client.take_out(polled);
        let client_cpu_ns = *self.client.cpu_ns().known().expect("a thread can always read its own clock");
        let server_cpu_ns = cpu_by_role(&self.servers);
        let usage = usage_by_role(self.client, self.servers);
        let beside = server.variant.traffic_beside().map(|traffic| BesideResult::new(traffic, &self.beside));
        // The server does not tell whose work it was.
        let telemetry = telemetry.filter(|_| beside.is_none());
        let mut tally = self.parts.into_iter().reduce(Tally::merged).expect("there is at least one");
        let handshakes = tally.handshakes.take();
        let result = LoadResult {
            measured_ns: tally.measured.as_nanos() as u64,
            in_flight_ns: tally.in_flight.as_nanos() as u64,
            requested_rate_per_s: self.offered.as_ref().map(|offered| offered.rate_per_s),
            dropped: tally.dropped,
            wanted: tally.wanted,
            outcomes: tally.outcomes,
            answered: tally.answered,
            latency: EncodedHistogram::encode(&tally.latency),
            service_time: EncodedHistogram::encode(&tally.service_time),
            queued: tally.queued,
            lateness: load.is_open().then(|| EncodedHistogram::encode(&tally.lateness)),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            handshakes_full: tally.handshakes_full,
            handshakes_resumed: tally.handshakes_resumed,
            client_cpu_ns,
            client_polled_ns: polled.as_nanos() as u64,
            server_cpu_ns,
            server: telemetry.as_ref().zip(self.counters.as_ref()).map(|(end, begin)| end.counters.since(begin)),
            validation: telemetry.map(|telemetry| EncodedHistogram::from_text(telemetry.validation)),
            slices: self.slices,
            parts,
            capacity: None,
            beside,
            usage,
            tcp,
            steal: steal_share(self.steal, steal_jiffies()),
        };
        let late = if load.is_open() { rules::tail(&tally.lateness) } else { Duration::ZERO };
        let model = self.offered.as_ref().map(|offered| offered.model);
        let method = server.variant.method.reference();
        let reason = method.and_then(|method| server.variant.presents.reason(method));
        let mut findings = rules::judge(&result, reason, model, late, rules::tail(&tally.latency));
        findings.warnings.extend(result.beside.as_ref().and_then(BesideResult::warning));
        if load.is_open() && self.offered.is_none() {
            findings
                .invalid
                .push("the load is a share of a capacity that is not known: no valid throughput trial".to_owned());
        }
        let measured = match (&load.arrivals, handshakes) {
            (Arrivals::Open { .. }, _) => Measured::Latency(result),
            (Arrivals::Connections { .. }, Some(handshakes)) => {
                let result = handshake::result(result, &handshakes);
                findings.warnings.extend(handshake::findings(&result, load.connection));
                Measured::Handshake(Box::new(result))
            }
            (Arrivals::Closed | Arrivals::Connections { .. }, _) => Measured::Throughput(result),
        };
        Ok(Record {
            version: RECORD_VERSION,
            case: self.case.id.clone(),
            variant: self.case.variant.clone(),
            measurement: self.case.measurement.clone(),
            round: place.round,
            start: place.start,
            started_at: self.started_at,
            elapsed_ns: elapsed.as_nanos() as u64,
            measured,
            invalid: findings.invalid,
            warnings: findings.warnings,
        })
    }
}

const HAS_SESSION: &str = "a case under load has a session";

/// Processor time by role; unknown for one is unknown for the variant.
fn cpu_by_role(accounts: &BTreeMap<String, Account>) -> Option<BTreeMap<String, u64>> {
    if accounts.is_empty() {
        return None; // nobody said which processes are the target's
    }
    accounts.iter().map(|(role, account)| Some((role.clone(), *account.cpu_ns().known()?))).collect()
}

fn usage_by_role(client: Account, servers: BTreeMap<String, Account>) -> BTreeMap<String, Usage> {
    let accounts = servers.into_iter().chain([(CLIENT_ROLE.to_owned(), client)]);
    accounts.map(|(role, account)| (role, account.close())).collect()
}

fn tcp_counts(before: Cell<TcpReading>, after: Cell<TcpReading>) -> Cell<TcpCounts> {
    before.and_then(|before| after.and_then(|after| after.since(before).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_for_one_role_is_unknown_for_the_variant() {
        let known = || Account::of_processes(&[]);
        let mut gone = Account::of_processes(&[u32::MAX]); // beyond the largest pid that any Linux hands out
        gone.begin_slice();
        gone.end_slice();
        let role = |name: &str, account| (name.to_owned(), account);
        assert_eq!(
            cpu_by_role(&BTreeMap::from([role("resource", known())])),
            Some(BTreeMap::from([("resource".to_owned(), 0)]))
        );
        let both = BTreeMap::from([role("resource", known()), role("authorization", gone)]);
        assert_eq!(cpu_by_role(&both), None);
    }

    #[test]
    fn only_measurements_under_load_have_load_settings() {
        let plan = super::super::samples::plan();
        let loads: Vec<_> = plan.measurements.iter().map(|measurement| Load::of(&measurement.kind)).collect();
        let open = loads[0].as_ref().expect("latency is a load");
        assert_eq!(
            open.arrivals,
            Arrivals::Open { model: ArrivalModel::Poisson, rate: LoadRate::PerSecond(Rate::Steady(1000.0)) }
        );
        assert_eq!((open.connections, open.slices), (16, 2));
        let closed = loads[1].as_ref().expect("throughput is a load");
        assert_eq!((&closed.arrivals, closed.connections), (&Arrivals::Closed, 64));
        assert_eq!(loads[2], None);
    }
}
