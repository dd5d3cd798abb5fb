//! A run made up in code: every distribution is known, so every figure of the report can be said beforehand.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use bench_client::cell::Cell;
use bench_client::machine::{KeepAwake, KeptAwake, Machine, SampledCpu, Switches, TcpCounts, Usage};
use bench_client::outcome::Outcomes;
use bench_client::plan::{
    ArrivalModel, Case, ClientWait, ConnectionKind, LatencyPlan, LoadRate, Measurement, MeasurementKind, Plan,
    PoolPlan, ProbeKind, Rate, RevocationPlan, ThroughputPlan, Variant,
};
use bench_client::record::{
    EncodedHistogram, LoadResult, Measured, RECORD_VERSION, Record, RevocationResult, RevocationWindow, new_histogram,
};
use bench_client::run::{Build, Header, LoadedRun, RUN_VERSION};
use bench_server::contract::{
    AccessTokenFormat, Algorithm, ApiKeyConfig, AuthorizationServerConfig, BasicConfig, CacheConfig, Counters,
    DenyListConfig, HttpVersion, JwtConfig, MethodConfig, MtlsConfig, OAuth2Config, PasswordHash, StoreConfig,
    TokenRules, TokenValidation, Transport,
};

pub(crate) const STARTS: u32 = 3;
pub(crate) const ROUNDS: u32 = 6;
/// Median latency of the baseline.
pub(crate) const BASELINE_P50_NS: f64 = 100_000.0;
/// Server CPU per request of the baseline.
pub(crate) const BASELINE_CPU_NS: f64 = 14_000.0;
pub(crate) const BASELINE_PER_S: f64 = 96_000.0;
const MS: u64 = 1_000_000;

/// What a variant of the fixture costs.
struct Cost {
    name: &'static str,
    method: MethodConfig,
    /// Validation and added median latency.
    validation_ns: f64,
    /// Added server CPU.
    cpu_ns: f64,
    /// Ratio to the baseline's throughput.
    ratio: f64,
    /// Lookups, hits, verifications, hashes, introspections per hundred requests.
    per_hundred: [u64; 5],
    bytes_sent: u64,
    revocation: Lives,
}

#[derive(Clone, Copy)]
enum Lives {
    NotApplicable,
    AtOnce,
    Within(u64),
    UntilExpiry,
}

fn cache() -> Option<CacheConfig> {
    Some(CacheConfig::new(Duration::from_secs(2)))
}

fn api_key(store: StoreConfig, cache: Option<CacheConfig>) -> MethodConfig {
    MethodConfig::ApiKey(ApiKeyConfig { cache, ..ApiKeyConfig::new(store) })
}

fn basic(cache: Option<CacheConfig>) -> MethodConfig {
    MethodConfig::Basic(BasicConfig { cache, ..BasicConfig::new(PasswordHash::ARGON2ID) })
}

fn jwt(algorithm: Algorithm, denylist: Option<DenyListConfig>) -> MethodConfig {
    let rules = TokenRules { leeway: Duration::ZERO, ..TokenRules::default() };
    MethodConfig::Jwt(JwtConfig { rules, denylist, ..JwtConfig::new(algorithm) })
}

fn oauth2(validation: TokenValidation) -> MethodConfig {
    let rules = TokenRules { leeway: Duration::ZERO, ..TokenRules::default() };
    MethodConfig::OAuth2(OAuth2Config { rules, ..OAuth2Config::new(validation) })
}

fn mtls() -> MethodConfig {
    MethodConfig::Mtls(MtlsConfig::new(Duration::from_secs(2)))
}

#[rustfmt::skip]
fn costs() -> Vec<Cost> {
    use Lives::{AtOnce, NotApplicable, UntilExpiry, Within};
    let denylist = Some(DenyListConfig::new(Duration::from_secs(1)));
    let cost = |name, method, validation_ns, cpu_ns, ratio, per_hundred, bytes_sent, revocation| {
        Cost { name, method, validation_ns, cpu_ns, ratio, per_hundred, bytes_sent, revocation }
    };
    vec![
        cost("none", MethodConfig::None, 100.0, 0.0, 1.0, [0; 5], 140, NotApplicable),
        cost("api-key-memory", api_key(StoreConfig::Memory, None), 900.0, 1_100.0, 0.95, [100, 0, 0, 0, 0], 210, AtOnce),
        cost("api-key-sqlite", api_key(StoreConfig::Sqlite, None), 4_200.0, 5_000.0, 0.74, [100, 0, 0, 0, 0], 210, AtOnce),
        cost("api-key-sqlite-cached", api_key(StoreConfig::Sqlite, cache()), 1_300.0, 1_500.0, 0.92, [4, 96, 0, 0, 0], 210, Within(2000)),
        cost("basic-argon2id", basic(None), 12_400_000.0, 12_500_000.0, 0.000_9, [100, 0, 0, 100, 0], 205, AtOnce),
        cost("basic-argon2id-cached", basic(cache()), 1_800.0, 2_100.0, 0.9, [0, 99, 0, 1, 0], 205, Within(2000)),
        cost("jwt-hs256", jwt(Algorithm::HS256, None), 2_600.0, 2_700.0, 0.87, [0, 0, 100, 0, 0], 480, UntilExpiry),
        cost("jwt-rs256", jwt(Algorithm::RS256, None), 17_500.0, 18_000.0, 0.5, [0, 0, 100, 0, 0], 780, UntilExpiry),
        cost("jwt-es256", jwt(Algorithm::ES256, None), 39_000.0, 40_000.0, 0.29, [0, 0, 100, 0, 0], 525, UntilExpiry),
        cost("jwt-eddsa", jwt(Algorithm::EdDSA, None), 28_000.0, 29_000.0, 0.36, [0, 0, 100, 0, 0], 525, UntilExpiry),
        cost("jwt-es256-denylist", jwt(Algorithm::ES256, denylist), 39_200.0, 40_300.0, 0.28, [100, 0, 100, 0, 0], 525, Within(1000)),
        cost("oauth2-opaque", oauth2(TokenValidation::Opaque { cache: None }), 160_000.0, 62_000.0, 0.19, [100, 0, 0, 0, 100], 230, AtOnce),
        cost("oauth2-opaque-cached", oauth2(TokenValidation::Opaque { cache: cache() }), 1_500.0, 4_600.0, 0.75, [3, 97, 0, 0, 3], 230, Within(2000)),
        cost("oauth2-jwt-es256", oauth2(TokenValidation::Jwt { algorithm: Algorithm::ES256 }), 39_500.0, 40_800.0, 0.28, [0, 0, 100, 0, 0], 610, UntilExpiry),
        cost("mtls", mtls(), 300.0, 250.0, 0.99, [0; 5], 140, Within(2000)),
    ]
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn measurements() -> Vec<Measurement> {
    let latency = |name: &str, rate_per_s, slice, slices| Measurement {
        name: name.to_owned(),
        point: None,
        kind: MeasurementKind::Latency(LatencyPlan {
            model: ArrivalModel::Poisson,
            rate: LoadRate::PerSecond(Rate::Steady(rate_per_s)),
            connections: 16,
            connection: ConnectionKind::Reused,
            warmup: Duration::from_millis(300),
            slice,
            slices,
        }),
    };
    let throughput = |name: &str, connections, slice, slices| Measurement {
        name: name.to_owned(),
        point: None,
        kind: MeasurementKind::Throughput(ThroughputPlan {
            connections,
            connection: ConnectionKind::Reused,
            warmup: Duration::from_millis(200),
            slice,
            slices,
            objective: None,
        }),
    };
    let revocation = |name: &str, trials, probe_ms| Measurement {
        name: name.to_owned(),
        point: None,
        kind: MeasurementKind::Revocation(RevocationPlan {
            trials,
            probe_interval: Duration::from_millis(probe_ms),
            phase: seconds(4),
            watch: seconds(12),
            lifetime: Some(seconds(10)),
            at_a_time: trials,
            probes: vec![ProbeKind::Reused],
            bystanders: 0,
        }),
    };
    vec![
        latency("latency", 2000.0, Duration::from_millis(100), 10),
        latency("latency-slow", 25.0, seconds(1), 4),
        throughput("throughput", 64, Duration::from_millis(100), 8),
        throughput("throughput-slow", 4, Duration::from_millis(500), 4),
        revocation("revocation", 8, 20),
        revocation("revocation-slow", 2, 100),
    ]
}

/// Whether the scenario measures the variant there: what hashes passwords has measurements of its own, which the
/// baseline joins.
fn takes_part(variant: &str, measurement: &str) -> bool {
    let slow = measurement.ends_with("-slow");
    match variant {
        "none" => measurement != "revocation-slow",
        "basic-argon2id" => slow,
        _ => !slow,
    }
}

/// A histogram of `samples` values with that median: even steps through a log-logistic distribution, whose quantile
/// function is `median × (q / (1 − q))^spread`.
pub(crate) fn histogram(samples: u64, median: f64, spread: f64) -> EncodedHistogram {
    let mut histogram = new_histogram();
    for i in 0..samples {
        let q = (i as f64 + 0.5) / samples as f64;
        histogram.saturating_record((median * (q / (1.0 - q)).powf(spread)).round().max(1.0) as u64);
    }
    EncodedHistogram::encode(&histogram)
}

/// How much slower than usual the machine is in a round: it hits all variants alike, and starts differ more than rounds.
pub(crate) fn weather(start: u32, round: u32) -> f64 {
    [1.0, 1.03, 0.97][start as usize % 3] * [1.0, 1.01][round as usize % 2]
}

/// Instructions per request.
pub(crate) const SERVER_INSTRUCTIONS: u64 = 30_000;
pub(crate) const CLIENT_INSTRUCTIONS: u64 = 9_000;
/// Peak of each process.
pub(crate) const PEAK_RSS: u64 = 12 << 20;

/// What a process used: a quarter of its time in user mode, a voluntary switch for every second request.
fn usage(requests: u64, cpu_ns: u64, instructions: u64) -> Usage {
    Usage {
        switches: Cell::Known(Switches { voluntary: requests / 2, involuntary: 0 }),
        instructions: Cell::Known(instructions * requests),
        sampled: Cell::Known(SampledCpu { user_ns: cpu_ns / 4, system_ns: cpu_ns - cpu_ns / 4 }),
        peak_rss_bytes: Cell::Known(PEAK_RSS),
    }
}

fn load(cost: &Cost, measurement: &Measurement, start: u32, round: u32) -> LoadResult {
    let weather = weather(start, round);
    let cpu_ns = (BASELINE_CPU_NS + cost.cpu_ns) * weather;
    let (measured, requests, latency, service, requested) = match &measurement.kind {
        MeasurementKind::Latency(plan) => {
            let measured = plan.slice * plan.slices;
            let LoadRate::PerSecond(Rate::Steady(rate_per_s)) = plan.rate else { unreachable!("all are steady") };
            let requests = (rate_per_s * measured.as_secs_f64()) as u64;
            let median = (BASELINE_P50_NS + cost.validation_ns) * weather;
            let latency = histogram(requests, median, 0.12);
            (measured, requests, latency, histogram(requests, median * 0.97, 0.1), Some(rate_per_s))
        }
        MeasurementKind::Throughput(plan) => {
            let measured = plan.slice * plan.slices;
            let per_s = BASELINE_PER_S * cost.ratio / weather;
            let requests = (per_s * measured.as_secs_f64()).round() as u64;
            // Little's law: connections / throughput, every request alike.
            let mean = plan.connections as f64 / (requests as f64 / measured.as_secs_f64()) * 1e9;
            let service = histogram(requests, mean, 0.0);
            (measured, requests, service.clone(), service, None)
        }
        _ => unreachable!("not a load"),
    };
    let [lookups, hits, verifications, hashes, introspections] = cost.per_hundred.map(|n| match n {
        // Hits are what is left when the rest is rounded.
        96.. if cost.per_hundred[1] == n => requests - requests * (100 - n) / 100,
        n => requests * n / 100,
    });
    let in_flight = match &measurement.kind {
        MeasurementKind::Throughput(plan) => plan.connections as f64,
        _ => requests as f64 / measured.as_secs_f64() * BASELINE_P50_NS / 1e9,
    };
    let server_cpu_ns = match &cost.method {
        MethodConfig::OAuth2(_) => BTreeMap::from([
            ("resource".to_owned(), (cpu_ns * 0.7 * requests as f64) as u64),
            ("authorization".to_owned(), (cpu_ns * 0.3 * requests as f64) as u64),
        ]),
        _ => BTreeMap::from([("resource".to_owned(), (cpu_ns * requests as f64) as u64)]),
    };
    LoadResult {
        measured_ns: measured.as_nanos() as u64,
        in_flight_ns: (in_flight * measured.as_nanos() as f64) as u64,
        slices: Vec::new(),
        parts: Vec::new(),
        capacity: None,
        beside: None,
        requested_rate_per_s: requested,
        wanted: Default::default(),
        dropped: 0,
        outcomes: Outcomes { accepted: requests, ..Outcomes::default() },
        answered: requests,
        latency,
        service_time: service,
        queued: 0,
        lateness: requested.map(|_| histogram(requests, 8_000.0, 0.2)),
        bytes_sent: cost.bytes_sent * requests,
        bytes_received: 260 * requests,
        handshakes_full: 0,
        handshakes_resumed: 0,
        client_cpu_ns: 7_000 * requests,
        client_polled_ns: 0,
        usage: server_cpu_ns
            .iter()
            .map(|(role, ns)| (role.clone(), usage(requests, *ns, SERVER_INSTRUCTIONS)))
            .chain([("client".to_owned(), usage(requests, 7_000 * requests, CLIENT_INSTRUCTIONS))])
            .collect(),
        server_cpu_ns: Some(server_cpu_ns),
        tcp: Cell::Known(TcpCounts {
            bytes_sent: cost.bytes_sent * requests,
            bytes_received: 260 * requests,
            bytes_retransmitted: 0,
            segments_sent: 2 * requests,
            segments_received: requests,
            segments_retransmitted: 0,
        }),
        server: Some(Counters {
            requests,
            accepted: requests,
            store_lookups: lookups,
            cache_hits: hits,
            verify_calls: verifications,
            hash_calls: hashes,
            introspections,
            ..Counters::default()
        }),
        validation: Some(histogram(requests, cost.validation_ns * weather, 0.08)),
        steal: Some(0.0),
    }
}

fn revocations(cost: &Cost, plan: &RevocationPlan, start: u32) -> RevocationResult {
    let probe_ns = plan.probe_interval.as_nanos() as u64;
    let window = |i: u64| {
        // Even phases over all starts, so that the spread is that of chance.
        let phase = ((u64::from(start) * plan.trials as u64 + i) as f64 * 0.618_034).fract();
        let last = match cost.revocation {
            Lives::NotApplicable => unreachable!("has no windows"),
            Lives::AtOnce => 0,
            Lives::Within(ms) => (phase * (ms * MS) as f64) as u64,
            Lives::UntilExpiry => expires(phase) - probe_ns / 2,
        };
        RevocationWindow {
            trial: i as u32,
            replica: 0,
            probe: ProbeKind::Reused,
            acknowledged_after_ns: MS,
            last_accepted_ns: (last > 0).then_some(last),
            first_rejected_ns: Some(last + if last > 0 { probe_ns } else { probe_ns / 4 }),
            resolution_ns: probe_ns,
            watched_ns: plan.watch.as_nanos() as u64,
            exposure: last / probe_ns,
            blast_radius: 0,
            expires_after_ns: matches!(cost.revocation, Lives::UntilExpiry).then(|| expires(phase) as i64),
        }
    };
    let nothing = matches!(cost.revocation, Lives::NotApplicable);
    RevocationResult {
        probe_interval_ns: probe_ns,
        lifetime_ns: matches!(cost.revocation, Lives::UntilExpiry).then_some(10_000 * MS),
        windows: if nothing { Vec::new() } else { (0..plan.trials as u64).map(window).collect() },
        blast: Vec::new(),
        handshakes: None,
        not_applicable: nothing.then(|| "nothing to revoke".to_owned()),
    }
}

/// From the acknowledgement to `exp`, for a token of 10 s revoked at that phase of 4 s.
fn expires(phase: f64) -> u64 {
    (9_900.0 - phase * 4_000.0) as u64 * MS
}

/// The whole run, made once for all tests.
pub(crate) fn run() -> LoadedRun {
    static RUN: OnceLock<LoadedRun> = OnceLock::new();
    RUN.get_or_init(make).clone()
}

fn make() -> LoadedRun {
    let costs = costs();
    let measurements = measurements();
    let variants: Vec<Variant> = costs
        .iter()
        .map(|cost| Variant {
            revoke_by: bench_client::plan::RevokeBy::default(),
            presents: bench_client::plan::Presents::Valid,
            slow_down: None,
            beside: None,
            name: cost.name.to_owned(),
            method: cost.method.clone().into(),
            authorization_server: match &cost.method {
                MethodConfig::OAuth2(OAuth2Config { validation: TokenValidation::Jwt { algorithm }, .. }) => {
                    Some(AuthorizationServerConfig {
                        access_token: AccessTokenFormat::Jwt { algorithm: *algorithm },
                        ..AuthorizationServerConfig::default()
                    })
                }
                MethodConfig::OAuth2(_) => Some(AuthorizationServerConfig::default()),
                _ => None,
            },
            certificate_bound: false,
            pool: PoolPlan { count: 1000, zipf_exponent: 1.0 },
            server: None,
            point: None,
        })
        .collect();
    let mut cases = Vec::new();
    let mut records = Vec::new();
    for measurement in &measurements {
        for cost in costs.iter().filter(|cost| takes_part(cost.name, &measurement.name)) {
            let id = format!("{}/{}", cost.name, measurement.name);
            cases.push(Case { id: id.clone(), variant: cost.name.to_owned(), measurement: measurement.name.clone() });
            let revocation = matches!(measurement.kind, MeasurementKind::Revocation(_));
            let per_start = ROUNDS / STARTS;
            for round in (0..ROUNDS).filter(|round| !revocation || round % per_start == 0) {
                let start = round / per_start;
                let measured = match &measurement.kind {
                    MeasurementKind::Latency(_) => Measured::Latency(load(cost, measurement, start, round)),
                    MeasurementKind::Throughput(_) => Measured::Throughput(load(cost, measurement, start, round)),
                    MeasurementKind::Revocation(plan) => Measured::Revocation(revocations(cost, plan, start)),
                    _ => unreachable!("not in this run"),
                };
                records.push(record(cases.last().expect("pushed above"), start, round, measured));
            }
        }
    }
    let plan = Plan {
        scenario: "compare".to_owned(),
        analysis: "Five ways to authenticate an API request, side by side.\n\nMade up for tests.".to_owned(),
        seed: 42,
        starts: STARTS,
        rounds: ROUNDS,
        transport: Transport::Tls13,
        http: HttpVersion::Http1,
        key_exchange: None,
        pin: true,
        keep_awake: KeepAwake::Auto,
        client_wait: ClientWait::Poll,
        replicas: std::num::NonZeroU32::MIN,
        target: None,
        quick: false,
        variants,
        measurements,
        cases,
        sweeps: Vec::new(),
        thresholds: Vec::new(),
        compare: None,
        price_per_core_hour: None,
    };
    loaded(plan, records)
}

fn record(case: &Case, start: u32, round: u32, measured: Measured) -> Record {
    Record {
        version: RECORD_VERSION,
        case: case.id.clone(),
        variant: case.variant.clone(),
        measurement: case.measurement.clone(),
        round,
        start,
        started_at: jiff::Timestamp::UNIX_EPOCH,
        elapsed_ns: 1_000 * MS,
        measured,
        invalid: Vec::new(),
        warnings: Vec::new(),
    }
}

/// A run of a scenario's text under load, in which a variant adds so many nanoseconds of latency, validation and CPU in
/// a start.
pub(crate) fn run_of(text: &str, added_ns: impl Fn(&Variant, u32) -> f64) -> LoadedRun {
    let resolved = bench_client::scenario::resolve("made-up.toml".as_ref(), text, &Default::default());
    let plan = resolved.unwrap_or_else(|problems| panic!("{problems:#?}")).plan;
    let mut records = Vec::new();
    for case in &plan.cases {
        let variant = plan.variant(&case.variant).expect("planned");
        let measurement = plan.measurement(&case.measurement).expect("planned");
        for round in 0..plan.rounds {
            let start = round / plan.rounds_per_start();
            let ns = added_ns(variant, start);
            let cost = Cost {
                name: "made up",
                method: variant.method.reference().expect("no target").clone(),
                validation_ns: ns,
                cpu_ns: ns,
                ratio: BASELINE_CPU_NS / (BASELINE_CPU_NS + ns),
                per_hundred: [0; 5],
                bytes_sent: 300,
                revocation: Lives::NotApplicable,
            };
            let load = load(&cost, measurement, start, round);
            let measured = match &measurement.kind {
                MeasurementKind::Throughput(_) => Measured::Throughput(load),
                _ => Measured::Latency(load),
            };
            records.push(record(case, start, round, measured));
        }
    }
    loaded(plan, records)
}

fn loaded(plan: Plan, records: Vec<Record>) -> LoadedRun {
    LoadedRun {
        header: Header {
            version: RUN_VERSION,
            scenario_text: "seed = 42\n".to_owned(),
            plan_hash: plan.hash(),
            plan,
            started_at: "2026-11-23T19:00:00Z".parse().expect("a timestamp"),
            build: Build {
                version: "0.1.0".to_owned(),
                revision: "0123456789abcdef".to_owned(),
                dirty: true,
                rustc: "rustc 1.95.0".to_owned(),
                profile: "release".to_owned(),
            },
            machine: Machine {
                cpu_model: "Example 9000".to_owned(),
                cpus: 2,
                memory_bytes: 24 << 30,
                os: "Debian GNU/Linux 12, Linux 6.1".to_owned(),
                arch: "x86_64".to_owned(),
                hypervisor: Some("KVM".to_owned()),
                server_cpus: vec![0],
                client_cpu: Some(1),
                keep_awake: KeptAwake::On,
            },
            duet: None,
            in_process: None,
            servers: BTreeMap::new(),
        },
        records,
        warnings: Vec::new(),
    }
}

/// The load of a trial, to be spoiled by a test.
pub(crate) fn load_mut<'r>(run: &'r mut LoadedRun, case: &str) -> &'r mut LoadResult {
    let record = run.records.iter_mut().find(|record| record.case == case).expect("the case has records");
    match &mut record.measured {
        Measured::Latency(load) | Measured::Throughput(load) => load,
        _ => panic!("{case} is not a load"),
    }
}

/// The windows of a trial, to be spoiled by a test.
pub(crate) fn windows_mut<'r>(run: &'r mut LoadedRun, case: &str) -> &'r mut Vec<RevocationWindow> {
    let record = run.records.iter_mut().find(|record| record.case == case).expect("the case has records");
    match &mut record.measured {
        Measured::Revocation(result) => &mut result.windows,
        _ => panic!("{case} is no revocation"),
    }
}
