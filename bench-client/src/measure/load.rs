//! `latency`, `throughput` and `handshake`: trials made of short slices that alternate with the other cases'.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bench_server::contract::Counters;

use super::pace::Pace;
use super::random::{Purpose, derived_seed, shuffled};
use super::remaining::Group;
use super::rules;
use super::start::Server;
use super::{MeasureError, check_alive, handshake};
use crate::load::{Session, Tally};
use crate::machine::{ProcessCpu, steal_jiffies, thread_cpu_ns};
use crate::plan::{ArrivalModel, Case, ConnectionKind, MeasurementKind};
use crate::record::{EncodedHistogram, LoadResult, Measured, RECORD_VERSION, Record};
use crate::target::TargetError;

/// Fewest jiffies whose stolen share is worth telling: one more or less then changes it by less than one per cent.
const STEAL_JIFFIES_MIN: u64 = 100;

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
    /// The same, on connections that each carry so many requests.
    Connections { requests: u32 },
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
            MeasurementKind::Handshake(plan) => Some(Self {
                arrivals: Arrivals::Connections { requests: plan.requests_per_connection },
                connections: plan.connections,
                connection: plan.session.connection(),
                warmup: plan.warmup,
                slice: plan.slice,
                slices: plan.slices,
            }),
            MeasurementKind::Revocation(_) | MeasurementKind::Setup(_) => None,
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

    /// Load before anything is counted: caches fill, keys are parsed, connections leave slow start.
    pub(super) async fn warm_up(&self, session: &mut Session) {
        self.prime(session).await;
        self.drive(session, self.warmup, &mut Tally::new()).await;
    }

    async fn drive(&self, session: &mut Session, length: Duration, tally: &mut Tally) {
        match self.arrivals {
            Arrivals::Open { model, rate_per_s } => {
                session.open_loop(model, rate_per_s, length, self.connections, self.connection, tally).await;
            }
            Arrivals::Closed => session.closed_loop(length, self.connections, self.connection, tally).await,
            Arrivals::Connections { requests } => {
                session.connection_loop(length, self.connections, self.connection, requests, tally).await;
            }
        }
    }
}

const HAS_SESSION: &str = "a case under load has a session";

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
        group.settings.prime(servers[server].session.as_mut().expect(HAS_SESSION)).await;
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
    client_cpu_ns: u64,
    server_cpu_ns: Option<BTreeMap<String, u64>>,
    /// Jiffies that the hypervisor had taken, and all jiffies, at the beginning.
    steal: Option<(u64, u64)>,
}

impl<'p> Trial<'p> {
    /// Takes the server's counters; its validation histogram starts anew.
    async fn begin(case: &'p Case, server: usize, servers: &[Server<'_>]) -> Result<Self, TargetError> {
        let telemetry = servers[server].target.telemetry().await?;
        Ok(Self {
            case,
            server,
            started_at: jiff::Timestamp::now(),
            started: Instant::now(),
            counters: telemetry.counters,
            tally: Tally::new(),
            client_cpu_ns: 0,
            server_cpu_ns: Some(BTreeMap::new()),
            steal: steal_jiffies(),
        })
    }

    /// One slice. Accounts are read close around it: what servers do in the background between slices is not the
    /// requests' cost.
    async fn slice(&mut self, load: &Load, server: &mut Server<'_>) {
        let session = server.session.as_mut().expect(HAS_SESSION);
        let server_cpu = server.target.cpu();
        let client_cpu = thread_cpu_ns();
        load.drive(session, load.slice, &mut self.tally).await;
        self.client_cpu_ns += thread_cpu_ns() - client_cpu;
        add_cpu(&mut self.server_cpu_ns, server_cpu, server.target.cpu());
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
            Arrivals::Closed | Arrivals::Connections { .. } => None,
        };
        let mut tally = self.tally;
        let handshakes = tally.handshakes.take();
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
            client_cpu_ns: self.client_cpu_ns,
            server_cpu_ns: self.server_cpu_ns,
            server: telemetry.counters.since(&self.counters),
            validation: EncodedHistogram::from_text(telemetry.validation),
            steal: steal_share(self.steal, steal_jiffies()),
        };
        let late = if open.is_some() { rules::tail(&tally.lateness) } else { Duration::ZERO };
        let mut findings = rules::judge(&result, open.map(|(model, _)| model), late, rules::tail(&tally.latency));
        let measured = match (group.settings.arrivals, handshakes) {
            (Arrivals::Open { .. }, _) => Measured::Latency(result),
            (Arrivals::Connections { .. }, Some(handshakes)) => {
                let result = handshake::result(result, &handshakes);
                findings.warnings.extend(handshake::findings(&result, group.settings.connection));
                Measured::Handshake(Box::new(result))
            }
            (Arrivals::Closed | Arrivals::Connections { .. }, _) => Measured::Throughput(result),
        };
        Ok(Record {
            version: RECORD_VERSION,
            case: self.case.id.clone(),
            variant: self.case.variant.clone(),
            measurement: self.case.measurement.clone(),
            round,
            start,
            started_at: self.started_at,
            elapsed_ns: elapsed.as_nanos() as u64,
            measured,
            invalid: findings.invalid,
            warnings: findings.warnings,
        })
    }
}

/// Adds what a slice cost each role; unknown once is unknown for the trial.
fn add_cpu(
    sum: &mut Option<BTreeMap<String, u64>>,
    before: Option<BTreeMap<String, ProcessCpu>>,
    after: Option<BTreeMap<String, ProcessCpu>>,
) {
    let (Some(total), Some(before), Some(after)) = (sum.as_mut(), before, after) else {
        *sum = None;
        return;
    };
    for (role, cpu) in after {
        let spent = before.get(&role).map_or(0, |before| cpu.since(before));
        *total.entry(role).or_default() += spent;
    }
}

/// The share of the machine's time that the hypervisor took between two readings. Taken over the whole trial, for over
/// single slices the account is too coarse: one jiffy is 10 ms. For the same reason a short trial's share is unknown.
fn steal_share(before: Option<(u64, u64)>, after: Option<(u64, u64)>) -> Option<f64> {
    let ((taken_before, all_before), (taken, all)) = before.zip(after)?;
    let all = all.saturating_sub(all_before);
    (all >= STEAL_JIFFIES_MIN).then(|| taken.saturating_sub(taken_before) as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_once_is_unknown_for_the_trial() {
        let known = || Some(BTreeMap::from([("resource".to_owned(), ProcessCpu::default())]));
        let mut sum = Some(BTreeMap::new());
        add_cpu(&mut sum, known(), known());
        assert_eq!(sum, Some(BTreeMap::from([("resource".to_owned(), 0)])));
        add_cpu(&mut sum, None, known());
        add_cpu(&mut sum, known(), known());
        assert_eq!(sum, None);
    }

    #[test]
    fn steal_is_a_share_of_the_time_between_and_unknown_over_a_short_one() {
        assert_eq!(steal_share(Some((5, 1000)), Some((8, 1200))), Some(0.015));
        assert_eq!(steal_share(Some((5, 1000)), Some((6, 1099))), None);
        assert_eq!(steal_share(Some((5, 1000)), Some((5, 1100))), Some(0.0));
        assert_eq!(steal_share(None, Some((5, 1200))), None);
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
