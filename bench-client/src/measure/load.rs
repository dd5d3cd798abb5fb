//! `latency` and `throughput`: trials made of short slices that alternate with the other cases'.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bench_server::contract::Counters;

use super::pace::Pace;
use super::random::{Purpose, derived_seed, shuffled};
use super::remaining::Group;
use super::rules;
use super::start::Server;
use super::{MeasureError, check_alive};
use crate::cell::Cell;
use crate::load::{Session, Tally};
use crate::machine::{Account, TcpCounts, TcpReading, Usage, steal_jiffies, steal_share};
use crate::plan::{ArrivalModel, Case, ConnectionKind, MeasurementKind};
use crate::record::{CLIENT_ROLE, EncodedHistogram, LoadResult, Measured, RECORD_VERSION, Record};
use crate::target::TargetError;

/// Settings of a measurement under load, whichever its loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) arrivals: Arrivals,
    pub(super) connections: usize,
    pub(super) connection: ConnectionKind,
    pub(super) warmup: Duration,
    pub(super) slice: Duration,
    pub(super) slices: u32,
}

/// When the next request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Arrivals {
    /// On a schedule.
    Open { model: ArrivalModel, rate_per_s: f64 },
    /// When the last answer has come.
    Closed,
}

impl Load {
    /// The settings, if this is a measurement under load.
    pub(super) fn of(kind: &MeasurementKind) -> Option<Self> {
        match kind {
            MeasurementKind::Latency(plan) => Some(Self {
                arrivals: Arrivals::Open { model: plan.model, rate_per_s: plan.rate_per_s },
                connections: plan.connections,
                connection: plan.connection,
                warmup: plan.warmup,
                slice: plan.slice,
                slices: plan.slices,
            }),
            MeasurementKind::Throughput(plan) => Some(Self {
                arrivals: Arrivals::Closed,
                connections: plan.connections,
                connection: plan.connection,
                warmup: plan.warmup,
                slice: plan.slice,
                slices: plan.slices,
            }),
            MeasurementKind::Revocation(_) => None,
        }
    }

    /// Load before anything is counted: caches fill, keys are parsed, connections leave slow start.
    pub(super) async fn warm_up(&self, session: &mut Session) {
        self.drive(session, self.warmup, &mut Tally::new()).await;
    }

    async fn drive(&self, session: &mut Session, length: Duration, tally: &mut Tally) {
        match self.arrivals {
            Arrivals::Open { model, rate_per_s } => {
                session.open_loop(model, rate_per_s, length, self.connections, self.connection, tally).await;
            }
            Arrivals::Closed => session.closed_loop(length, self.connections, self.connection, tally).await,
        }
    }
}

/// One trial of each case of the group, interleaved: in every pass each case has one slice, in an order of its own.
/// Nothing is kept of trials that do not come to their end.
pub(super) async fn trials(
    group: &Group<'_, Load>,
    round: u32,
    start: u32,
    seed: u64,
    servers: &mut [Server<'_>],
    pace: &mut Pace<'_>,
) -> Result<Vec<Record>, MeasureError> {
    let mut trials = Vec::with_capacity(group.cases.len());
    for &case in &group.cases {
        let server = servers
            .iter()
            .position(|server| server.variant.name == case.variant)
            .expect("a start has a server for each of its cases");
        trials.push(Trial::begin(case, server, servers).await?);
    }
    for pass in 0..group.settings.slices {
        let order = derived_seed(seed, Purpose::Order, &[u64::from(round), group.index as u64, u64::from(pass)]);
        for index in shuffled(trials.len(), order) {
            pace.check()?;
            let trial = &mut trials[index];
            trial.slice(&group.settings, &mut servers[trial.server]).await;
            pace.spent(group.settings.slice);
        }
        check_alive(servers)?;
    }
    let mut records = Vec::with_capacity(trials.len());
    for trial in trials {
        let server = trial.server;
        records.push(trial.end(group, round, start, &servers[server]).await?);
    }
    Ok(records)
}

/// One case in one round, while it is measured.
struct Trial<'p> {
    case: &'p Case,
    /// Index of the case's server.
    server: usize,
    started_at: jiff::Timestamp,
    started: Instant,
    /// The server's counters at the beginning.
    counters: Counters,
    tally: Tally,
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
    async fn begin(case: &'p Case, server: usize, servers: &[Server<'_>]) -> Result<Self, TargetError> {
        let Server { target, session, .. } = &servers[server];
        let telemetry = target.telemetry().await?;
        let accounts = target.processes().into_iter().map(|(role, pids)| (role, Account::of_processes(&pids)));
        Ok(Self {
            case,
            server,
            started_at: jiff::Timestamp::now(),
            started: Instant::now(),
            counters: telemetry.counters,
            tally: Tally::new(),
            client: Account::of_calling_thread(),
            servers: accounts.collect(),
            tcp: session.as_ref().expect(HAS_SESSION).tcp(),
            steal: steal_jiffies(),
        })
    }

    /// One slice. Accounts are read close around it: what servers do in the background between slices is not the
    /// requests' cost.
    async fn slice(&mut self, load: &Load, server: &mut Server<'_>) {
        let session = server.session.as_mut().expect(HAS_SESSION);
        self.servers.values_mut().for_each(Account::begin_slice);
        self.client.begin_slice(); // last, and ended first: looking at the servers is not its work
        load.drive(session, load.slice, &mut self.tally).await;
        self.client.end_slice();
        self.servers.values_mut().for_each(Account::end_slice);
    }

    /// The trial's record.
    async fn end(
        self,
        group: &Group<'_, Load>,
        round: u32,
        start: u32,
        server: &Server<'_>,
    ) -> Result<Record, TargetError> {
        let elapsed = self.started.elapsed();
        let telemetry = server.target.telemetry().await?;
        let open = match group.settings.arrivals {
            Arrivals::Open { model, rate_per_s } => Some((model, rate_per_s)),
            Arrivals::Closed => None,
        };
        let tcp = tcp_counts(self.tcp, server.session.as_ref().expect(HAS_SESSION).tcp());
        let client_cpu_ns = *self.client.cpu_ns().known().expect("a thread can always read its own clock");
        let server_cpu_ns = cpu_by_role(&self.servers);
        let usage = usage_by_role(self.client, self.servers);
        let tally = self.tally;
        let result = LoadResult {
            measured_ns: tally.measured.as_nanos() as u64,
            requested_rate_per_s: open.map(|(_, rate_per_s)| rate_per_s),
            dropped: tally.dropped,
            outcomes: tally.outcomes,
            answered: tally.answered,
            latency: EncodedHistogram::encode(&tally.latency),
            service_time: EncodedHistogram::encode(&tally.service_time),
            queued: tally.queued,
            lateness: open.map(|_| EncodedHistogram::encode(&tally.lateness)),
            bytes_sent: tally.bytes_sent,
            bytes_received: tally.bytes_received,
            handshakes_full: tally.handshakes_full,
            handshakes_resumed: tally.handshakes_resumed,
            client_cpu_ns,
            server_cpu_ns,
            server: telemetry.counters.since(&self.counters),
            validation: EncodedHistogram::from_text(telemetry.validation),
            usage,
            tcp,
            steal: steal_share(self.steal, steal_jiffies()),
        };
        let late = if open.is_some() { rules::tail(&tally.lateness) } else { Duration::ZERO };
        let findings = rules::judge(&result, open.map(|(model, _)| model), late, rules::tail(&tally.latency));
        Ok(Record {
            version: RECORD_VERSION,
            case: self.case.id.clone(),
            variant: self.case.variant.clone(),
            measurement: self.case.measurement.clone(),
            round,
            start,
            started_at: self.started_at,
            elapsed_ns: elapsed.as_nanos() as u64,
            measured: if open.is_some() { Measured::Latency(result) } else { Measured::Throughput(result) },
            invalid: findings.invalid,
            warnings: findings.warnings,
        })
    }
}

const HAS_SESSION: &str = "a case under load has a session";

/// Processor time by role; unknown for one is unknown for the variant.
fn cpu_by_role(accounts: &BTreeMap<String, Account>) -> Option<BTreeMap<String, u64>> {
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
        let open = loads[0].expect("latency is a load");
        assert_eq!(open.arrivals, Arrivals::Open { model: ArrivalModel::Poisson, rate_per_s: 1000.0 });
        assert_eq!((open.connections, open.slices), (16, 2));
        let closed = loads[1].expect("throughput is a load");
        assert_eq!((closed.arrivals, closed.connections), (Arrivals::Closed, 64));
        assert_eq!(loads[2], None);
    }
}
