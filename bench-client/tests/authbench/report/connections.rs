//! A run of new connections and of setups, made up in code: every cost is known.

use std::collections::BTreeMap;
use std::time::Duration;

use bench_client::outcome::Outcomes;
use bench_client::plan::{Case, HandshakePlan, Measurement, MeasurementKind, SessionKind, SetupPlan};
use bench_client::record::{
    Channel, HandshakeResult, KeptSecret, LoadResult, Measured, RECORD_VERSION, Record, SetupResult, SetupStep,
    SetupTrial,
};
use bench_client::report::Cell;
use bench_client::run::LoadedRun;
use bench_server::contract::Counters;

use super::fixture::{self, ROUNDS, STARTS, histogram, weather};

/// Requests per connection.
pub(crate) const NUMBERS: [u32; 5] = [1, 2, 5, 10, 100];
/// Server CPU per handshake: server-authenticated, resumed, mutual.
pub(crate) const FULL_NS: f64 = 66_000.0;
pub(crate) const RESUMED_NS: f64 = 40_000.0;
pub(crate) const MUTUAL_NS: f64 = 147_000.0;
/// Server CPU per request, and what a JWT adds to it.
pub(crate) const REQUEST_NS: f64 = 8_000.0;
pub(crate) const TOKEN_NS: f64 = 39_000.0;
/// Connections of each trial.
const CONNECTIONS: u64 = 2_000;

/// The fixture's baseline, a JWT and mTLS, under handshakes and a setup.
pub(crate) fn run() -> LoadedRun {
    let mut run = fixture::run();
    run.records.clear();
    let plan = &mut run.header.plan;
    plan.variants.retain(|variant| ["none", "jwt-es256", "mtls"].contains(&variant.name.as_str()));
    plan.measurements.clear();
    plan.cases.clear();
    for session in [SessionKind::Full, SessionKind::Resumed] {
        for requests_per_connection in NUMBERS {
            let settings = HandshakePlan {
                connections: 8,
                session,
                requests_per_connection,
                warmup: Duration::ZERO,
                slice: Duration::from_millis(100),
                slices: 1,
            };
            let name = format!("handshake{}", settings.suffix());
            plan.measurements.push(Measurement { name, point: None, kind: MeasurementKind::Handshake(settings) });
        }
    }
    plan.measurements.push(Measurement {
        name: "setup".to_owned(),
        point: None,
        kind: MeasurementKind::Setup(SetupPlan { trials: 4 }),
    });
    for measurement in &plan.measurements {
        for variant in &plan.variants {
            let resumed =
                matches!(&measurement.kind, MeasurementKind::Handshake(plan) if plan.session == SessionKind::Resumed);
            if resumed && variant.name == "mtls" {
                continue;
            }
            let id = format!("{}/{}", variant.name, measurement.name);
            plan.cases.push(Case {
                id: id.clone(),
                variant: variant.name.clone(),
                measurement: measurement.name.clone(),
            });
            for round in 0..ROUNDS {
                let start = round / (ROUNDS / STARTS);
                let measured = match &measurement.kind {
                    MeasurementKind::Handshake(settings) => {
                        Measured::Handshake(Box::new(handshakes(&variant.name, settings, start, round)))
                    }
                    _ if round % (ROUNDS / STARTS) == 0 => Measured::Setup(setups(&variant.name, start)),
                    _ => continue,
                };
                run.records.push(Record {
                    version: RECORD_VERSION,
                    case: id.clone(),
                    variant: variant.name.clone(),
                    measurement: measurement.name.clone(),
                    round,
                    start,
                    started_at: jiff::Timestamp::UNIX_EPOCH,
                    elapsed_ns: 1_000_000_000,
                    measured,
                    invalid: Vec::new(),
                    warnings: Vec::new(),
                });
            }
        }
    }
    run.header.plan_hash = run.header.plan.hash();
    run
}

fn handshakes(variant: &str, settings: &HandshakePlan, start: u32, round: u32) -> HandshakeResult {
    let k = u64::from(settings.requests_per_connection);
    let requests = CONNECTIONS * k;
    let resumed = settings.session == SessionKind::Resumed;
    let handshake = match variant {
        "mtls" => MUTUAL_NS,
        _ if resumed => RESUMED_NS,
        _ => FULL_NS,
    };
    let request = REQUEST_NS + if variant == "jwt-es256" { TOKEN_NS } else { 0.0 };
    let cpu_ns = (handshake * CONNECTIONS as f64 + request * requests as f64) * weather(start, round);
    let (full, resumed) = if resumed { (0, CONNECTIONS) } else { (CONNECTIONS, 0) };
    let certificates = if variant == "mtls" { CONNECTIONS } else { 0 };
    let times = histogram(CONNECTIONS, handshake * 5.0, 0.1);
    HandshakeResult {
        load: LoadResult {
            measured_ns: cpu_ns as u64,
            requested_rate_per_s: None,
            dropped: 0,
            wanted: Default::default(),
            outcomes: Outcomes { accepted: requests, ..Outcomes::default() },
            answered: requests,
            latency: histogram(1_000, 50_000.0, 0.1),
            service_time: histogram(1_000, 50_000.0, 0.1),
            queued: 0,
            lateness: None,
            bytes_sent: 400 * CONNECTIONS + 70 * requests,
            bytes_received: 1_500 * CONNECTIONS + 220 * requests,
            handshakes_full: full,
            handshakes_resumed: resumed,
            client_cpu_ns: 250_000 * CONNECTIONS,
            client_polled_ns: 0,
            server_cpu_ns: Some(BTreeMap::from([("resource".to_owned(), cpu_ns as u64)])),
            server: Some(Counters {
                requests,
                accepted: requests,
                handshakes_full: full,
                handshakes_resumed: resumed,
                handshakes_with_certificate: certificates,
                ..Counters::default()
            }),
            validation: Some(histogram(1_000, 100.0, 0.1)),
            in_flight_ns: 0,
            slices: Vec::new(),
            parts: Vec::new(),
            capacity: None,
            beside: None,
            usage: BTreeMap::new(),
            tcp: Cell::blank("not looked at"),
            steal: Some(0.0),
        },
        connections: CONNECTIONS,
        ready: times.clone(),
        tcp: times.clone(),
        tls: times.clone(),
        first_answer: times,
        certificates,
        not_closed: 0,
        key_exchange: BTreeMap::from([("X25519".to_owned(), CONNECTIONS)]),
    }
}

fn setups(variant: &str, start: u32) -> SetupResult {
    let step = |name: &str, over, elapsed_ns, round_trips| SetupStep {
        name: name.to_owned(),
        over,
        elapsed_ns,
        round_trips,
        bytes_sent: u64::from(round_trips) * 100,
        bytes_received: u64::from(round_trips) * 1_000,
    };
    let trial = |number: u64| {
        let issued = step("token issued", Channel::OutOfBand, 300_000, 0);
        let issued = Some(issued).filter(|_| variant != "none");
        let connected = step("connection to the API", Channel::Connection, 600_000 + 1_000 * number, 2);
        let requested = step("first request", Channel::Request, 100_000 + 10_000 * u64::from(start), 1);
        SetupTrial { steps: issued.into_iter().chain([connected, requested]).collect() }
    };
    let secret = KeptSecret { what: "token".to_owned(), bytes: 558, lifetime_s: Some(900) };
    SetupResult {
        trials: (0..4).map(trial).collect(),
        secrets: Some(secret).filter(|_| variant != "none").into_iter().collect(),
        moving_parts: vec!["server certificate".to_owned()],
    }
}

/// What the server counted in a trial, to be spoiled by a test.
pub(crate) fn counters(result: &mut HandshakeResult) -> &mut Counters {
    result.load.server.as_mut().expect("the reference server counts")
}

/// The result of a trial, to be spoiled by a test.
pub(crate) fn handshake_mut<'r>(run: &'r mut LoadedRun, case: &str) -> &'r mut HandshakeResult {
    let record = run.records.iter_mut().find(|record| record.case == case).expect("the case has records");
    match &mut record.measured {
        Measured::Handshake(result) => result,
        _ => panic!("{case} has no handshakes"),
    }
}
