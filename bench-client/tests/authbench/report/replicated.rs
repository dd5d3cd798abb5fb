//! A run of revocations at three replicas, made up in code: every window obeys its law, and both sides count alike.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use bench_client::cell::Cell;
use bench_client::plan::{MeasurementKind, ProbeKind};
use bench_client::record::{
    HandshakeCounts, Measured, Record, RevocationHandshakes, RevocationResult, RevocationWindow,
};
use bench_client::run::LoadedRun;
use bench_server::contract::{ApiKeyConfig, CacheConfig, Follow, MethodConfig, Push, StoreConfig};

use super::fixture;

pub(crate) const REPLICAS: u32 = 3;
/// Credentials revoked in each start.
const TRIALS: u32 = 40;
const MS: u64 = 1_000_000;
const PROBE_NS: u64 = 5 * MS;
const PROBES: [ProbeKind; 3] = [ProbeKind::Reused, ProbeKind::Resumed, ProbeKind::Fresh];
/// Handshakes of one start: resumed, and full because the server would not, all of them refused.
pub(crate) const RESUMED: u64 = 312;
pub(crate) const FORCED: u64 = 4;

/// A cache of 2 s, a poll of 1 s, a push, a token that nobody asks about, one that is looked up each time, and certificates.
const KEPT: [&str; 7] =
    ["none", "api-key-sqlite", "api-key-sqlite-cached", "api-key-memory", "jwt-es256", "jwt-es256-denylist", "mtls"];
/// That variant of the fixture, told by the store.
pub(crate) const TOLD: &str = "api-key-memory";

/// Evenly spread in as many dimensions as there are replicas: the generalised golden ratio (Roberts, "The Unreasonable
/// Effectiveness of Quasirandom Sequences", 2018).
fn phase(credential: u32, replica: u32) -> f64 {
    const RATIO: f64 = 1.220_744_084_605_76;
    (f64::from(credential + 1) / RATIO.powi(replica as i32 + 1)).fract()
}

/// The run.
pub(crate) fn run() -> LoadedRun {
    let mut run = fixture::run();
    let plan = &mut run.header.plan;
    plan.replicas = NonZeroU32::new(REPLICAS).expect("not 0");
    plan.variants.retain(|variant| KEPT.contains(&variant.name.as_str()));
    plan.cases.retain(|case| KEPT.contains(&case.variant.as_str()) && case.measurement != "revocation-slow");
    plan.measurements.retain(|measurement| measurement.name != "revocation-slow");
    for measurement in &mut plan.measurements {
        if let MeasurementKind::Revocation(settings) = &mut measurement.kind {
            settings.trials = TRIALS as usize;
            settings.probe_interval = Duration::from_nanos(PROBE_NS);
            settings.probes = PROBES.to_vec();
        }
    }
    let told = plan.variants.iter_mut().find(|variant| variant.name == TOLD).expect("kept");
    let cache = CacheConfig { follow: Some(Follow::Push(Push::Pubsub)), ..CacheConfig::new(Duration::from_secs(60)) };
    told.method =
        MethodConfig::ApiKey(ApiKeyConfig { cache: Some(cache), ..ApiKeyConfig::new(StoreConfig::Sqlite) }).into();
    run.records.retain(|record| KEPT.contains(&record.variant.as_str()) && record.measurement != "revocation-slow");
    for record in &mut run.records {
        let told = record.variant == TOLD;
        let server = match &mut record.measured {
            Measured::Latency(load) | Measured::Throughput(load) => load.server.as_mut(),
            Measured::Revocation(result) => {
                fill(result, &record.variant, record.start);
                None
            }
            _ => None,
        };
        // The cache of the told variant is hit by nearly all.
        if let Some(counters) = server.filter(|_| told) {
            counters.store_lookups = counters.requests / 100;
            counters.cache_hits = counters.requests - counters.store_lookups;
        }
    }
    run.header.plan_hash = run.header.plan.hash();
    run
}

fn fill(result: &mut RevocationResult, variant: &str, start: u32) {
    if variant == "none" {
        return;
    }
    result.probe_interval_ns = PROBE_NS;
    result.windows.clear();
    for trial in 0..TRIALS {
        for replica in 0..REPLICAS {
            let phase = phase(start * TRIALS + trial, replica);
            let of = |period_ms: u64| (phase * (period_ms * MS) as f64) as u64;
            let own_end = variant == "jwt-es256";
            // A token has an end of its own, which every replica sees.
            let ends = (9_900 * MS).saturating_sub(start_phase(start, trial));
            let middle = match variant {
                "api-key-sqlite-cached" | "mtls" => of(2_000),
                "jwt-es256-denylist" => of(1_000),
                "jwt-es256" => ends,
                _ => 0,
            };
            let low = middle.saturating_sub(PROBE_NS / 2);
            result.windows.extend(PROBES.map(|probe| RevocationWindow {
                trial,
                replica,
                probe,
                acknowledged_after_ns: MS,
                last_accepted_ns: (low > 0).then_some(low),
                first_rejected_ns: Some(if low > 0 { middle + PROBE_NS / 2 } else { of(5).max(MS / 10) }),
                resolution_ns: PROBE_NS,
                watched_ns: 12_000 * MS,
                exposure: low / PROBE_NS,
                blast_radius: 0,
                expires_after_ns: own_end.then_some(ends as i64),
            }));
        }
    }
    result.handshakes = Some(handshakes(variant));
}

fn start_phase(start: u32, trial: u32) -> u64 {
    (phase(start * TRIALS + trial, 0) * (4_000 * MS) as f64) as u64
}

fn handshakes(variant: &str) -> RevocationHandshakes {
    let full = |full| HandshakeCounts { full, ..HandshakeCounts::default() };
    let places = u64::from(TRIALS * REPLICAS);
    let forced = if variant == "mtls" { FORCED } else { 0 };
    let probes = BTreeMap::from([
        (ProbeKind::Reused, full(places)),
        (ProbeKind::Resumed, HandshakeCounts { full: 0, resumed: RESUMED, refused: forced }),
        (ProbeKind::Fresh, full(10 * places)),
    ]);
    let mut made = RevocationHandshakes {
        probes,
        primings: full(places),
        bystanders: full(1),
        server: Cell::blank("filled in below"),
    };
    made.server = Cell::Known(made.client());
    made
}

/// The handshakes of the first trial of a case, to be spoiled by a test.
pub(crate) fn handshakes_mut<'r>(run: &'r mut LoadedRun, case: &str) -> &'r mut Option<RevocationHandshakes> {
    let mut records = run.records.iter_mut().filter(|record: &&mut Record| record.case == case);
    match &mut records.next().expect("the case has records").measured {
        Measured::Revocation(result) => &mut result.handshakes,
        _ => panic!("{case} is no revocation"),
    }
}
