//! What new connections cost, by how they begin and how many requests they carry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cost::{cpu_of, no_accounting, pooled_estimate};
use super::latency::{Percentiles, percentiles};
use super::trials::{HandshakeTrial, Load, Trials, resampler};
use crate::cell::{Cell, Estimate};
use crate::plan::{HandshakePlan, MeasurementKind, Plan, SessionKind};
use crate::stats::{Distribution, Pool};

/// One case of a handshake measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandshakeCase {
    /// The measurement that this comes from.
    pub measurement: String,
    /// How connections were to begin.
    pub session: SessionKind,
    /// Requests on each.
    pub requests_per_connection: u32,
    /// What was found.
    pub found: Cell<HandshakeSummary>,
}

/// New connections of a variant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HandshakeSummary {
    /// Connections open at a time.
    pub concurrent: usize,
    /// Connections that carried all their requests.
    pub connections: u64,
    /// Trials counted.
    pub trials: usize,
    /// Trials not counted.
    pub trials_invalid: usize,
    /// New connections per second, each with all its requests.
    pub per_s: Estimate,
    /// Requests per second.
    pub requests_per_s: Estimate,
    /// Begin of the connect → ready for application data.
    pub ready_ns: Percentiles,
    /// Of it, the part of TCP.
    pub tcp_ns: Percentiles,
    /// Of it, the part of TLS.
    pub tls_ns: Percentiles,
    /// Begin of the connect → last byte of the first answer.
    pub first_answer_ns: Percentiles,
    /// Processor time of the server processes per connection, its requests and its end included.
    pub server_cpu_ns_per_connection: Cell<Estimate>,
    /// The same, divided by its requests.
    pub server_cpu_ns_per_request: Cell<Estimate>,
    /// Processor time of the load client per connection.
    pub client_cpu_ns_per_connection: Estimate,
    /// Bytes that the client wrote to TCP per connection.
    pub bytes_sent_per_connection: f64,
    /// Bytes that the client read from TCP per connection.
    pub bytes_received_per_connection: f64,
    /// Full handshakes as client and server counted them.
    pub full: Counted,
    /// Resumed handshakes.
    pub resumed: Counted,
    /// Handshakes with a client certificate.
    pub with_certificate: Counted,
    /// Connections by the group of their key exchange.
    pub key_exchange: BTreeMap<String, u64>,
}

/// The same events, as each side counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// On the client.
    pub client: u64,
    /// On the server; absent where that does not tell.
    pub server: Option<u64>,
}

impl Counted {
    /// Whether they agree, as far as both are known.
    pub fn agrees(self) -> bool {
        self.server.is_none_or(|server| server == self.client)
    }
}

/// Cases of the variant, by how sessions begin and then by requests.
pub(super) fn summarise<'a>(plan: &'a Plan, trials: &Trials<'a>, variant: &'a str) -> Vec<HandshakeCase> {
    let mut cases: Vec<HandshakeCase> = plan
        .measurements
        .iter()
        .filter_map(|measurement| match &measurement.kind {
            MeasurementKind::Handshake(settings) => Some((measurement.name.as_str(), settings)),
            _ => None,
        })
        .filter(|(name, _)| plan.cases.iter().any(|case| case.variant == variant && case.measurement == *name))
        .map(|(name, settings)| HandshakeCase {
            measurement: name.to_owned(),
            session: settings.session,
            requests_per_connection: settings.requests_per_connection,
            found: trials.state(variant, name).and_then(|()| of_case(plan, settings, trials, variant, name)),
        })
        .collect();
    cases.sort_by_key(|case| (case.session, case.requests_per_connection));
    cases
}

/// The trials of a handshake case with what only they have.
pub(super) fn handshakes<'t, 'a>(
    trials: &'t Trials<'a>,
    variant: &'a str,
    measurement: &'a str,
) -> impl Iterator<Item = (&'t Load<'a>, &'t HandshakeTrial<'a>)> {
    trials.loads(variant, measurement).iter().filter_map(|load| Some((load, load.handshake.as_ref()?)))
}

fn of_case<'a>(
    plan: &Plan,
    settings: &HandshakePlan,
    trials: &Trials<'a>,
    variant: &'a str,
    measurement: &'a str,
) -> Cell<HandshakeSummary> {
    let loads = trials.loads(variant, measurement);
    let draws = resampler(loads, plan.seed);
    let of: Vec<_> = handshakes(trials, variant, measurement).collect();
    let connections: u64 = of.iter().map(|(_, it)| it.result.connections).sum();
    let counted =
        |client: fn(&HandshakeTrial<'_>) -> u64, server: fn(&bench_server::contract::Counters) -> u64| Counted {
            client: of.iter().map(|(_, it)| client(it)).sum(),
            server: of.iter().map(|(load, _)| load.result.server.as_ref().map(server)).sum(),
        };
    let full = counted(|it| it.result.load.handshakes_full, |it| it.handshakes_full);
    let resumed = counted(|it| it.result.load.handshakes_resumed, |it| it.handshakes_resumed);
    if settings.session == SessionKind::Resumed && full.client > 0 {
        let all = full.client + resumed.client;
        return Cell::blank(format!(
            "of {all} connections that offered a session the server resumed {}: what was measured is something else",
            resumed.client
        ));
    }
    let over_connections = |value: fn(&Load<'_>) -> f64| -> Vec<(f64, f64)> {
        of.iter().map(|(load, it)| (value(load), it.result.connections as f64)).collect()
    };
    let seconds = |count: fn(&Load<'_>, &HandshakeTrial<'_>) -> f64| -> Vec<(f64, f64)> {
        of.iter().map(|(load, it)| (count(load, it), load.result.measured_ns as f64 / 1e9)).collect()
    };
    let (Some(per_s), Some(requests_per_s), Some(client_cpu)) = (
        pooled_estimate(&seconds(|_, it| it.result.connections as f64), draws.as_ref()),
        pooled_estimate(&seconds(|load, _| load.result.outcomes.accepted as f64), draws.as_ref()),
        pooled_estimate(&over_connections(|load| load.result.client_cpu_ns as f64), draws.as_ref()),
    ) else {
        return Cell::blank("no connection carried all its requests");
    };
    let server_cpu: Option<Vec<(f64, f64)>> = of.iter().map(|(load, _)| cpu_of(load)).collect();
    let server_cpu = Cell::or_blank(server_cpu, no_accounting(loads));
    let estimate = |parts: &[(f64, f64)]| {
        Cell::or_blank(pooled_estimate(parts, draws.as_ref()), "no connection carried all its requests")
    };
    let percentiles_of = |which: for<'t> fn(&'t HandshakeTrial<'a>) -> &'t Distribution| {
        percentiles(&Pool::new(of.iter().map(|(_, it)| which(it))), draws.as_ref())
    };
    let mut key_exchange: BTreeMap<String, u64> = BTreeMap::new();
    for (group, count) in of.iter().flat_map(|(_, it)| &it.result.key_exchange) {
        *key_exchange.entry(group.clone()).or_default() += count;
    }
    let bytes = |of_load: fn(&Load<'_>) -> u64| {
        of.iter().map(|(load, _)| of_load(load)).sum::<u64>() as f64 / connections as f64
    };
    Cell::Known(HandshakeSummary {
        concurrent: settings.connections,
        connections,
        trials: of.len(),
        trials_invalid: trials.invalid_of(variant, measurement).count(),
        per_s,
        requests_per_s,
        ready_ns: percentiles_of(|it| &it.ready),
        tcp_ns: percentiles_of(|it| &it.tcp),
        tls_ns: percentiles_of(|it| &it.tls),
        first_answer_ns: percentiles_of(|it| &it.first_answer),
        server_cpu_ns_per_connection: server_cpu.and_then(|parts| {
            let per_connection: Vec<_> =
                parts.iter().zip(&of).map(|((cpu, _), (_, it))| (*cpu, it.result.connections as f64)).collect();
            estimate(&per_connection)
        }),
        server_cpu_ns_per_request: server_cpu.and_then(|parts| estimate(parts)),
        client_cpu_ns_per_connection: client_cpu,
        bytes_sent_per_connection: bytes(|load| load.result.bytes_sent),
        bytes_received_per_connection: bytes(|load| load.result.bytes_received),
        full,
        resumed,
        with_certificate: counted(|it| it.result.certificates, |it| it.handshakes_with_certificate),
        key_exchange,
    })
}
