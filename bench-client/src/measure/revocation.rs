//! `revocation`: how long a stolen credential lives on.
//!
//! A credential is proven accepted, revoked at a random phase by the method's standard way, and probed at a fixed
//! interval until it is refused for good or the watch ends. Each credential is probed in a closed loop: the next probe
//! is sent one interval after the last, or when that was answered, whichever is later. Another credential of the same
//! case, never revoked, is probed beside them: whatever refuses it is the revocations' blast radius.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::random::{Purpose, derived_seed, duration_below};
use super::watch::{Trial, stand_by, watch};
use crate::load::Caller;
use crate::plan::{Case, RevocationPlan, Variant};
use crate::record::{Measured, RECORD_VERSION, Record, RevocationResult, RevocationWindow};
use crate::target::{Target, TargetError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::contract::{Issued, Material, MethodConfig};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Deserialize;

/// A resolution this many times the planned one is worth a warning.
const RESOLUTION_WARNED: u32 = 2;

/// Where in the plan a case stands: what its random choices depend on, and how its record is labelled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Number of the start in the plan.
    pub(super) planned_start: u32,
    /// Number of the start in records.
    pub(super) start: u32,
    /// First round of the start.
    pub(super) round: u32,
    /// Which of the plan's measurements, and which of its cases.
    pub(super) measurement: usize,
    pub(super) case: usize,
}

/// The credentials of one case, issued shortly before it is measured: their lifetime runs.
pub(super) struct Credentials {
    revoked: Vec<Issued>,
    /// `None` when there is nothing to revoke.
    bystander: Option<Issued>,
    /// Its own end: refusals after that are no blast.
    bystander_until: Option<Instant>,
    lifetime: Option<Duration>,
    issued_at: SystemTime,
}

/// Issues what a case needs. The bystander is issued like the others, so that it belongs to the same client, and a
/// revocation that cuts off the whole client would show.
pub(super) async fn issue(
    target: &Target,
    variant: &Variant,
    settings: &RevocationPlan,
) -> Result<Credentials, TargetError> {
    let issued_at = SystemTime::now();
    if variant.method.is_none() {
        return Ok(Credentials {
            revoked: Vec::new(),
            bystander: None,
            bystander_until: None,
            lifetime: None,
            issued_at,
        });
    }
    let own = own_lifetime(variant);
    let asked = settings.lifetime.filter(|_| own.is_some());
    // `exp` counts whole seconds, so a token may end up to one earlier than its lifetime says.
    let bystander_until = asked.map(|lifetime| Instant::now() + lifetime.saturating_sub(Duration::from_secs(1)));
    let bystander = target.issue(1, asked).await?.pop();
    let issued_at = SystemTime::now();
    let revoked = target.issue(settings.trials, asked).await?;
    Ok(Credentials { revoked, bystander, bystander_until, lifetime: asked.or(own), issued_at })
}

/// The lifetime of a variant's credentials when none is asked for; `None` for methods whose credentials are not tokens.
pub(super) fn own_lifetime(variant: &Variant) -> Option<Duration> {
    match variant.method.reference()? {
        MethodConfig::Jwt(config) => Some(config.lifetime),
        MethodConfig::OAuth2(_) => variant.authorization_server.as_ref().map(|server| server.access_token_lifetime),
        MethodConfig::None | MethodConfig::ApiKey(_) | MethodConfig::Basic(_) | MethodConfig::Mtls(_) => None,
    }
}

/// Measures one case: all its credentials at the same time. Whatever goes wrong is in the record.
pub(super) async fn measure(
    case: &Case,
    place: Place,
    target: &Target,
    credentials: Credentials,
    settings: &RevocationPlan,
    seed: u64,
) -> Record {
    let started_at = jiff::Timestamp::now();
    let started = Instant::now();
    let mut record = Record {
        version: RECORD_VERSION,
        case: case.id.clone(),
        variant: case.variant.clone(),
        measurement: case.measurement.clone(),
        round: place.round,
        start: place.start,
        started_at,
        elapsed_ns: 0,
        measured: Measured::Revocation(empty_result(settings, credentials.lifetime)),
        invalid: Vec::new(),
        warnings: Vec::new(),
    };
    let mut result = empty_result(settings, credentials.lifetime);
    match &credentials.bystander {
        None => result.not_applicable = Some("nothing to revoke".to_owned()),
        Some(bystander) => {
            let mut watched = watch_all(place, target, &credentials.revoked, bystander, settings, seed).await;
            watched.bystander_refused.retain(|sent| credentials.bystander_until.is_none_or(|end| *sent < end));
            for (number, trial) in watched.trials {
                match trial {
                    Ok(trial) => {
                        let credential = &credentials.revoked[number];
                        let end = end_of_life(credential, credentials.issued_at, credentials.lifetime);
                        if trial.unjudged > 0 {
                            let n = trial.unjudged;
                            record.invalid.push(format!("trial {number}: {n} probes brought no judgement"));
                        }
                        result.windows.push(trial.window(&watched.bystander_refused, settings, end));
                    }
                    Err(reason) => record.invalid.push(format!("trial {number}: {reason}")),
                }
            }
            if watched.bystander_unjudged > 0 {
                let n = watched.bystander_unjudged;
                record.warnings.push(format!("{n} probes of the credential that was not revoked brought no judgement"));
            }
            record.warnings.extend(coarse(&result.windows, settings));
        }
    }
    record.measured = Measured::Revocation(result);
    record.elapsed_ns = started.elapsed().as_nanos() as u64;
    record
}

fn empty_result(settings: &RevocationPlan, lifetime: Option<Duration>) -> RevocationResult {
    RevocationResult {
        probe_interval_ns: settings.probe_interval.as_nanos() as u64,
        lifetime_ns: lifetime.map(|lifetime| lifetime.as_nanos() as u64),
        windows: Vec::new(),
        not_applicable: None,
    }
}

fn coarse(windows: &[RevocationWindow], settings: &RevocationPlan) -> Option<String> {
    let limit = (settings.probe_interval * RESOLUTION_WARNED).as_nanos() as u64;
    let coarse = windows.iter().filter(|window| window.resolution_ns > limit).count();
    (coarse > 0).then(|| {
        format!(
            "{coarse} of {} windows have a resolution worse than {RESOLUTION_WARNED} probe intervals: answers were slow",
            windows.len()
        )
    })
}

/// What came of a case's trials and of its bystander.
struct Watched {
    /// By number of the credential.
    trials: Vec<(usize, Result<Trial, String>)>,
    bystander_refused: Vec<Instant>,
    bystander_unjudged: usize,
}

async fn watch_all(
    place: Place,
    target: &Target,
    revoked: &[Issued],
    bystander: &Issued,
    settings: &RevocationPlan,
    seed: u64,
) -> Watched {
    let caller = |credential: &Issued| {
        Caller::new(target.endpoint().clone(), credential, settings.connection).map_err(|error| error.to_string())
    };
    // One future per trial in a set that polls only the one that was woken: with hundreds of probed credentials, polling
    // all of them at every answer would make the client late.
    let mut running: FuturesUnordered<_> = revoked
        .iter()
        .enumerate()
        .map(|(number, credential)| {
            let here = [place.planned_start as usize, place.measurement, place.case, number].map(|n| n as u64);
            let phase = duration_below(settings.phase, derived_seed(seed, Purpose::Phase, &here));
            async move {
                let trial = async {
                    let revoke = async { target.revoke(credential).await.map_err(|error| error.to_string()) };
                    watch(&mut caller(credential)?, revoke, phase, settings).await
                };
                (number, trial.await)
            }
        })
        .collect();
    let finished = Cell::new(false);
    let trials = async {
        let mut trials = Vec::with_capacity(revoked.len());
        while let Some(trial) = running.next().await {
            trials.push(trial);
        }
        finished.set(true);
        trials.sort_by_key(|(number, _)| *number);
        trials
    };
    let beside = async {
        match caller(bystander) {
            Ok(mut caller) => stand_by(&mut caller, settings.probe_interval, &finished).await,
            Err(_) => (Vec::new(), 1), // its text is that of the other credentials', which are reported
        }
    };
    let (trials, (bystander_refused, bystander_unjudged)) = futures_util::future::join(trials, beside).await;
    Watched { trials, bystander_refused, bystander_unjudged }
}

/// When a credential ends by itself: what a JWT says in `exp` (whole seconds, RFC 7519 §4.1.4), otherwise its lifetime
/// after it was asked for.
fn end_of_life(credential: &Issued, issued_at: SystemTime, lifetime: Option<Duration>) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let lifetime = lifetime?;
    let exp = match &credential.material {
        Material::Bearer { token } => token
            .expose()
            .split('.')
            .nth(1)
            .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok())
            .and_then(|payload| serde_json::from_slice::<Claims>(&payload).ok()),
        _ => None,
    };
    Some(exp.map_or(issued_at + lifetime, |claims| UNIX_EPOCH + Duration::from_secs(claims.exp)))
}

#[cfg(test)]
mod tests {
    use bench_server::contract::Secret;

    use super::*;
    use crate::plan::ConnectionKind;

    const MS: Duration = Duration::from_millis(1);

    fn settings() -> RevocationPlan {
        RevocationPlan {
            trials: 1,
            probe_interval: 20 * MS,
            phase: 100 * MS,
            watch: 500 * MS,
            lifetime: None,
            connection: ConnectionKind::Reused,
        }
    }

    #[test]
    fn a_jwt_says_when_it_ends_and_an_opaque_token_ends_after_its_lifetime() {
        let bearer = |token: &str| Issued {
            id: "1".to_owned(),
            principal: "p".to_owned(),
            material: Material::Bearer { token: Secret::new(token) },
        };
        let issued_at = UNIX_EPOCH + Duration::from_millis(1_000_900);
        let lifetime = Some(Duration::from_secs(10));
        let jwt = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"exp":1010,"sub":"p"}"#));
        assert_eq!(end_of_life(&bearer(&jwt), issued_at, lifetime), Some(UNIX_EPOCH + Duration::from_secs(1010)));
        for opaque in ["abcdef", "ab.cd.ef"] {
            let end = end_of_life(&bearer(opaque), issued_at, lifetime);
            assert_eq!(end, Some(issued_at + Duration::from_secs(10)), "{opaque}");
        }
        assert_eq!(end_of_life(&bearer(&jwt), issued_at, None), None);
    }

    #[test]
    fn a_resolution_worse_than_twice_the_interval_is_said() {
        let window = |resolution: Duration| RevocationWindow {
            acknowledged_after_ns: 1,
            last_accepted_ns: None,
            first_rejected_ns: Some(1),
            resolution_ns: resolution.as_nanos() as u64,
            watched_ns: 1,
            exposure: 0,
            blast_radius: 0,
            expires_after_ns: None,
        };
        assert_eq!(coarse(&[window(20 * MS), window(40 * MS)], &settings()), None);
        let warning = coarse(&[window(20 * MS), window(41 * MS)], &settings()).expect("one is coarse");
        assert!(warning.starts_with("1 of 2 windows"), "{warning}");
    }
}
