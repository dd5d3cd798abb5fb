//! A small plan and records for the tests of this module.

use std::time::Duration;

use bench_server::contract::{ApiKeyConfig, HttpVersion, MethodConfig, StoreConfig, Transport};

use crate::machine::KeepAwake;
use crate::plan::{
    ArrivalModel, Case, ClientWait, ConnectionKind, LatencyPlan, LoadRate, Measurement, MeasurementKind, Plan,
    PoolPlan, ProbeKind, Rate, RevocationPlan, ThroughputPlan, Variant,
};
use crate::record::{Measured, RECORD_VERSION, Record, RevocationResult};

/// Two starts of two rounds: `none` and `a` under latency and revocation, `none` alone under throughput.
pub(super) fn plan() -> Plan {
    let variant = |name: &str, method: MethodConfig| Variant {
        revoke_by: crate::plan::RevokeBy::default(),
        presents: Default::default(),
        slow_down: None,
        beside: None,
        name: name.to_owned(),
        method: method.into(),
        authorization_server: None,
        certificate_bound: false,
        pool: PoolPlan { count: 10, zipf_exponent: 1.0 },
        server: None,
        point: None,
    };
    let case = |variant: &str, measurement: &str| Case {
        id: format!("{variant}/{measurement}"),
        variant: variant.to_owned(),
        measurement: measurement.to_owned(),
    };
    let slice = Duration::from_millis(100);
    let latency = LatencyPlan {
        model: ArrivalModel::Poisson,
        rate: LoadRate::PerSecond(Rate::Steady(1000.0)),
        connections: 16,
        connection: ConnectionKind::Reused,
        warmup: Duration::from_millis(30),
        slice,
        slices: 2,
    };
    let throughput = ThroughputPlan {
        connections: 64,
        connection: ConnectionKind::Reused,
        warmup: Duration::from_millis(20),
        slice,
        slices: 2,
        objective: None,
    };
    let revocation = RevocationPlan {
        trials: 8,
        probe_interval: Duration::from_millis(20),
        phase: Duration::from_secs(1),
        watch: Duration::from_secs(2),
        lifetime: None,
        at_a_time: 8,
        probes: vec![ProbeKind::Reused],
        bystanders: 0,
    };
    let measurement = |name: &str, kind| Measurement { name: name.to_owned(), point: None, kind };
    Plan {
        scenario: "sample".to_owned(),
        analysis: String::new(),
        seed: 42,
        starts: 2,
        rounds: 4,
        transport: Transport::Tls13,
        http: HttpVersion::Http1,
        key_exchange: None,
        pin: false,
        keep_awake: KeepAwake::Auto,
        client_wait: ClientWait::Poll,
        replicas: std::num::NonZeroU32::MIN,
        quick: false,
        target: None,
        variants: vec![
            variant("none", MethodConfig::None),
            variant("a", MethodConfig::ApiKey(ApiKeyConfig::new(StoreConfig::Memory))),
        ],
        measurements: vec![
            measurement("latency", MeasurementKind::Latency(latency)),
            measurement("throughput", MeasurementKind::Throughput(throughput)),
            measurement("revocation", MeasurementKind::Revocation(revocation)),
        ],
        cases: vec![
            case("none", "latency"),
            case("a", "latency"),
            case("none", "throughput"),
            case("none", "revocation"),
            case("a", "revocation"),
        ],
        sweeps: Vec::new(),
        thresholds: Vec::new(),
        compare: None,
        price_per_core_hour: None,
    }
}

/// A record of that case, round and start; what it measured does not matter where it is used.
pub(super) fn revocation_record(case: &str, round: u32, start: u32) -> Record {
    let (variant, measurement) = case.split_once('/').expect("a case's id");
    Record {
        version: RECORD_VERSION,
        case: case.to_owned(),
        variant: variant.to_owned(),
        measurement: measurement.to_owned(),
        round,
        start,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        elapsed_ns: 1,
        measured: Measured::Revocation(RevocationResult {
            probe_interval_ns: 1,
            lifetime_ns: None,
            windows: Vec::new(),
            blast: Vec::new(),
            handshakes: None,
            not_applicable: None,
        }),
        invalid: Vec::new(),
        warnings: Vec::new(),
    }
}
