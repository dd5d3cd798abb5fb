//! `--quick`: the same variants and measurements in under a minute. The rules, so that nobody has to guess what was
//! shortened (`authbench plan --quick` prints the outcome):
//!
//! * one start with [`ROUNDS`] rounds: intervals are then over rounds, and the report says so;
//! * a third ([`SHARE`]) of the slices and of the warm-up; the length of a slice, the rate and the connections stay;
//! * of every sweep its ends and its middle;
//! * pools of at most 1 000 credentials, fewer where issuing is slow;
//! * a third of the times of a rollover and of an outage, whose callers and lead stay;
//! * at most [`TRIALS`] trials of a setup, and as many revocations per case, over a phase, lifetime and watch that are as
//!   short as the variants' own TTLs and intervals let them be; for a server of the user's, which does not tell them, as
//!   written. Whom a revocation cuts off is not looked at.

use std::num::NonZeroU32;
use std::time::Duration;

use bench_server::contract::{Algorithm, CertificateKey, MethodConfig};

use crate::plan::{CallsPlan, MeasurementKind, Plan, RevocationPlan, RevokeBy, Variant};

/// The fewest that an interval can be taken over. Starts would be better, but revocations take most of a quick run, and
/// each start repeats them.
const ROUNDS: u32 = 2;
/// What is left of each trial.
const SHARE: u32 = 3;
/// Enough trials for a median; enough revocations to meet an interval early, late and in between.
const TRIALS: usize = 3;
/// Where no interval asks for more.
const PHASE: Duration = Duration::from_millis(500);
/// From the latest revocation to the end of a token's life, and on to the end of the watch: something to see on either
/// side of the change.
const MARGIN: Duration = Duration::from_secs(1);

/// The steps of a sweep of that many that are left: a line needs its ends, and a middle to show whether it is straight.
pub(super) fn steps(written: usize) -> Vec<usize> {
    let last = written.saturating_sub(1);
    let mut steps = vec![0, last / 2, last];
    steps.dedup();
    steps
}

/// Shortens a plan.
pub(super) fn shorten(plan: &mut Plan) {
    plan.quick = true;
    plan.starts = 1;
    plan.rounds = plan.rounds.min(ROUNDS);
    for variant in &mut plan.variants {
        variant.pool.count = variant.pool.count.min(pool_limit(variant));
    }
    let measurements = std::mem::take(&mut plan.measurements);
    plan.measurements = measurements
        .into_iter()
        .map(|mut measurement| {
            let name = &measurement.name;
            match &mut measurement.kind {
                MeasurementKind::Latency(load) => {
                    load.warmup /= SHARE;
                    load.slices = (load.slices / SHARE).max(1);
                }
                MeasurementKind::Throughput(load) => {
                    load.warmup /= SHARE;
                    load.slices = (load.slices / SHARE).max(1);
                }
                MeasurementKind::Handshake(load) => {
                    load.warmup /= SHARE;
                    load.slices = (load.slices / SHARE).max(1);
                }
                MeasurementKind::Setup(setup) => setup.trials = setup.trials.min(TRIALS),
                // The same table, whole: it takes seconds.
                MeasurementKind::Attack(_) => {}
                MeasurementKind::Rollover(rollover) => {
                    shorten_calls(&mut rollover.calls);
                    rollover.adoption /= SHARE;
                    rollover.overlap /= SHARE;
                }
                MeasurementKind::Outage(outage) => {
                    shorten_calls(&mut outage.calls);
                    outage.lasts /= SHARE;
                }
                MeasurementKind::Revocation(revocation) => {
                    let cases = plan.cases.iter().filter(|case| &case.measurement == name);
                    let variants: Vec<&Variant> = cases.filter_map(|case| plan.variant(&case.variant)).collect();
                    shorten_revocation(revocation, plan.replicas, &variants);
                }
            }
            measurement
        })
        .collect();
}

/// The callers stay: fewer would show less of what becomes of them.
fn shorten_calls(calls: &mut CallsPlan) {
    calls.before /= SHARE;
    calls.after /= SHARE;
}

fn pool_limit(variant: &Variant) -> usize {
    let signed_with_rsa = |algorithm: Algorithm| matches!(algorithm.name().as_bytes()[0], b'R' | b'P');
    let Some(method) = variant.method.reference() else { return usize::MAX };
    match method {
        MethodConfig::Basic(_) => 8,
        MethodConfig::OAuth2(_) => 200,
        MethodConfig::Jwt(jwt) if signed_with_rsa(jwt.algorithm) => 200,
        MethodConfig::Mtls(mtls) if mtls.key == CertificateKey::Rsa2048 => 16,
        _ => 1_000,
    }
}

/// Never longer than it was, and never shorter than what the variants need to show their window.
fn shorten_revocation(plan: &mut RevocationPlan, replicas: NonZeroU32, variants: &[&Variant]) {
    let interval = variants.iter().filter_map(|variant| variant.revocation_interval()).max().unwrap_or_default();
    plan.trials = plan.trials.min(TRIALS);
    // A withdrawn key ends every token.
    let by_key = variants.iter().any(|variant| variant.revoke_by == RevokeBy::Key);
    plan.at_a_time = if by_key { 1 } else { plan.trials };
    // Whom it cuts off takes a whole watch more.
    plan.bystanders = 0;
    if variants.iter().any(|variant| variant.method.external().is_some()) {
        return;
    }
    plan.phase = plan.phase.min(interval.max(PHASE));
    // `exp` counts whole seconds.
    let lifetime = Duration::from_secs((plan.latest_revocation(replicas) + MARGIN).as_secs() + 1);
    plan.lifetime = plan.lifetime.map(|written| written.min(lifetime));
    let needed = variants.iter().map(|variant| variant.longest_window(plan.lifetime)).max().unwrap_or_default();
    plan.watch = plan.watch.min(needed + MARGIN);
}
