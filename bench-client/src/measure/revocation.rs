//! `revocation`: how long a stolen credential lives on.
//!
//! A credential is proven accepted, revoked at a random phase by the method's standard way, and probed at a fixed
//! interval until it is refused for good or the watch ends. Each credential is probed in a closed loop: the next probe
//! is sent one interval after the last, or when that was answered, whichever is later. Another credential of the same
//! case, never revoked, is probed beside them: whatever refuses it is the revocations' blast radius. Every TLS handshake
//! that all of them make is counted, and compared with what the server counted meanwhile.
//!
//! Where a refresh token is revoked, the probers of one credential share a renewer and present its newest access token.

mod blast;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::random::{Purpose, derived_seed, duration_below};
use super::renewal::Renewer;
use super::watch::{self, Moments, stand_by, watch};
use crate::cell::Cell;
use crate::load::{Caller, Endpoint};
use crate::plan::{Case, ProbeKind, RevocationPlan, Variant};
use crate::record::{
    Begun, HandshakeCounts, Measured, Record, RevocationHandshakes, RevocationResult, RevocationWindow,
};
use crate::target::{Grant, Target, TargetError};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bench_server::contract::{ClientIdentity, HttpVersion, Issued, Material, MethodConfig, Transport};
use futures_util::{StreamExt, stream};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
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

impl Place {
    /// What the choices of one of the case's trials or callers are drawn by.
    pub(super) fn of(self, number: usize) -> [u64; 4] {
        [self.planned_start as usize, self.measurement, self.case, number].map(|number| number as u64)
    }
}

/// What a case needs before it is measured.
pub(super) struct Prepared {
    /// `None` when there is nothing to revoke.
    bystander: Option<Held>,
    /// Its own end: refusals after that are no blast.
    bystander_until: Option<Instant>,
    /// What credentials are asked for with; the method's own where absent.
    asked: Option<Duration>,
    lifetime: Option<Duration>,
    /// Whether callers renew what they hold.
    renews: bool,
}

/// What a caller holds.
#[derive(Debug, Clone)]
enum Held {
    /// A credential, as it was issued.
    Credential(Issued),
    /// What a user granted: an access token, and what brings the next one.
    Grant(Grant),
}

impl Held {
    /// What is presented first.
    fn credential(&self) -> &Issued {
        match self {
            Self::Credential(credential) => credential,
            Self::Grant(grant) => &grant.access,
        }
    }

    async fn obtain(target: &Target, renews: bool, lifetime: Option<Duration>) -> Result<Option<Self>, TargetError> {
        if renews {
            return target.grant().await.map(|grant| Some(Self::Grant(grant)));
        }
        Ok(target.issue(1, lifetime).await?.pop().map(Self::Credential))
    }
}

/// Issues the bystander, like the credentials that will be revoked, so that it belongs to the same client, and a
/// revocation that cuts off the whole client would show.
pub(super) async fn prepare(
    target: &Target,
    variant: &Variant,
    settings: &RevocationPlan,
) -> Result<Prepared, TargetError> {
    if variant.method.is_none() {
        return Ok(Prepared { bystander: None, bystander_until: None, asked: None, lifetime: None, renews: false });
    }
    let own = own_lifetime(variant);
    let renews = variant.renews();
    let asked = settings.lifetime.filter(|_| own.is_some());
    // `exp` counts whole seconds, so a token may end up to one earlier than its lifetime says.
    let bystander_until = asked.map(|lifetime| Instant::now() + lifetime.saturating_sub(Duration::from_secs(1)));
    let bystander = Held::obtain(target, renews, asked).await?;
    Ok(Prepared { bystander, bystander_until, asked, lifetime: asked.or(own), renews })
}

/// The lifetime of a variant's credentials when none is asked for; `None` for those whose end is not what takes them back:
/// all but tokens and short-lived certificates.
pub(super) fn own_lifetime(variant: &Variant) -> Option<Duration> {
    match variant.method.reference()? {
        MethodConfig::Mtls(config) if !config.is_short_lived() => None,
        _ => variant.credential_lifetime(),
    }
}

/// Measures one case: its credentials, so many at a time. Whatever goes wrong is in the record.
pub(super) async fn measure(
    case: &Case,
    place: Place,
    (target, variant): (&Target, &Variant),
    prepared: Prepared,
    settings: &RevocationPlan,
    seed: u64,
) -> Record {
    let begun = Begun::now();
    let (mut invalid, mut warnings) = (Vec::new(), Vec::new());
    let mut result = empty_result(settings, prepared.lifetime);
    match &prepared.bystander {
        None => result.not_applicable = Some("nothing to revoke".to_owned()),
        Some(bystander) => {
            let before = server_handshakes(target).await;
            let mut watched = watch_all(place, target, &prepared, bystander, settings, seed).await;
            if target.endpoint().transport != Transport::Plaintext {
                let after = server_handshakes(target).await;
                let server = before.and_then(|before| after.map(|after| after.since(*before)));
                result.handshakes = Some(watched.handshakes(server));
            }
            watched.bystander_refused.retain(|sent| prepared.bystander_until.is_none_or(|end| *sent < end));
            for (number, trial) in watched.trials {
                match trial {
                    Ok(trial) => {
                        for (probed, seen) in trial.seen {
                            if seen.unjudged > 0 {
                                invalid.push(format!(
                                    "trial {number}, replica {}, connection {}: {} probes brought no judgement",
                                    probed.replica,
                                    probed.probe.name(),
                                    seen.unjudged
                                ));
                            }
                            let refused = &watched.bystander_refused;
                            result.windows.push(seen.window(probed, refused, settings, trial.ends));
                        }
                    }
                    Err(reason) => invalid.push(format!("trial {number}: {reason}")),
                }
            }
            if watched.bystander_unjudged > 0 {
                let n = watched.bystander_unjudged;
                warnings.push(format!("{n} probes of the credential that was not revoked brought no judgement"));
            }
            warnings.extend(coarse(&result.windows, settings));
            if settings.bystanders > 0 {
                match blast::measure(target, variant, settings).await {
                    Ok(groups) => result.blast = groups,
                    Err(reason) => invalid.push(format!("whom a revocation cuts off is not known: {reason}")),
                }
            }
        }
    }
    let record = Record::of(case, (place.start, place.round), begun, Measured::Revocation(result));
    Record { invalid, warnings, ..record }
}

fn empty_result(settings: &RevocationPlan, lifetime: Option<Duration>) -> RevocationResult {
    RevocationResult {
        probe_interval_ns: settings.probe_interval.as_nanos() as u64,
        lifetime_ns: lifetime.map(|lifetime| lifetime.as_nanos() as u64),
        windows: Vec::new(),
        blast: Vec::new(),
        handshakes: None,
        not_applicable: None,
    }
}

/// What the processes that are probed have counted since they started.
async fn server_handshakes(target: &Target) -> Cell<HandshakeCounts> {
    match target.counters().await {
        Ok(Some(replicas)) => Cell::Known(replicas.iter().map(HandshakeCounts::from).sum()),
        Ok(None) => Cell::blank("not told by a foreign server"),
        Err(error) => Cell::blank(error.to_string()),
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
    bystander_handshakes: HandshakeCounts,
}

impl Watched {
    /// The handshakes of trials that came to their end, beside what the server counted.
    fn handshakes(&self, server: Cell<HandshakeCounts>) -> RevocationHandshakes {
        let trials = || self.trials.iter().filter_map(|(_, trial)| trial.as_ref().ok());
        let mut probes = BTreeMap::<ProbeKind, HandshakeCounts>::new();
        for (kind, made) in trials().flat_map(|trial| &trial.handshakes) {
            let of_kind = probes.entry(*kind).or_default();
            *of_kind = [*of_kind, *made].into_iter().sum();
        }
        let primings = trials().map(|trial| trial.primings).sum();
        RevocationHandshakes { probes, primings, bystanders: self.bystander_handshakes, server }
    }
}

/// What came of one credential.
struct Trial {
    /// By each prober.
    seen: Vec<(watch::Place, watch::Trial)>,
    /// Of each prober, with its kind of connection.
    handshakes: Vec<(ProbeKind, HandshakeCounts)>,
    /// Of all probers together, so that there were sessions to resume.
    primings: HandshakeCounts,
    /// When it ends by itself.
    ends: Option<SystemTime>,
}

async fn watch_all(
    place: Place,
    target: &Target,
    prepared: &Prepared,
    bystander: &Held,
    settings: &RevocationPlan,
    seed: u64,
) -> Watched {
    let one = async |number: usize| {
        let here = place.of(number);
        let moments = moments(target.endpoints().len() * settings.probes.len(), settings, seed, &here);
        (number, watch_one(number, target, prepared, &moments, settings).await)
    };
    // A set that polls only the one that was woken: with hundreds of probed credentials, polling all of them at every
    // answer would make the client late.
    let mut running = stream::iter(0..settings.trials).map(one).buffer_unordered(settings.at_a_time);
    let finished = std::cell::Cell::new(false);
    let trials = async {
        let mut trials = Vec::with_capacity(settings.trials);
        while let Some(trial) = running.next().await {
            trials.push(trial);
        }
        finished.set(true);
        trials.sort_by_key(|(number, _)| *number);
        trials
    };
    let beside = async {
        let interval = settings.probe_interval;
        // Its text is that of the other credentials', which are reported.
        let Ok(mut caller) = caller(target.endpoint(), bystander.credential(), settings.probes[0]) else {
            return ((Vec::new(), 1), HandshakeCounts::default());
        };
        let seen = match bystander {
            Held::Credential(_) => stand_by(&mut caller, interval, &finished).await,
            Held::Grant(grant) => {
                let renewer = Renewer::new(target, grant.clone());
                renewer.during(stand_by(&mut renewer.prober(&mut caller), interval, &finished)).await
            }
        };
        (seen, [caller.primings(), caller.handshakes()].into_iter().sum())
    };
    let (trials, beside) = futures_util::future::join(trials, beside).await;
    let ((bystander_refused, bystander_unjudged), bystander_handshakes) = beside;
    Watched { trials, bystander_refused, bystander_unjudged, bystander_handshakes }
}

/// When each prober begins and when the credential is revoked, drawn by the seed. Of several, each begins at a time of its
/// own within the phase, so that the caches of replicas are filled independently of each other; the revocation falls
/// within a phase after that, independent of polls and of when the trial began.
fn moments(probers: usize, settings: &RevocationPlan, seed: u64, here: &[u64]) -> Moments {
    let within_phase = |number: usize| {
        let here: Vec<u64> = here.iter().copied().chain([number as u64]).collect();
        duration_below(settings.phase, derived_seed(seed, Purpose::Phase, &here))
    };
    if probers == 1 {
        return Moments { proofs: vec![Duration::ZERO], revocation: within_phase(1) };
    }
    let revocation = settings.phase + within_phase(probers);
    Moments { proofs: (0..probers).map(within_phase).collect(), revocation }
}

/// Issues a credential, proves it, revokes it, and watches it on every replica and over every kind of connection.
async fn watch_one(
    number: usize,
    target: &Target,
    prepared: &Prepared,
    moments: &Moments,
    settings: &RevocationPlan,
) -> Result<Trial, String> {
    let issued_at = SystemTime::now();
    let held = Held::obtain(target, prepared.renews, prepared.asked).await.map_err(|error| error.to_string())?;
    let held = held.ok_or("no credential was issued")?;
    let (mut places, mut callers) = (Vec::new(), Vec::new());
    for (endpoint, replica) in target.endpoints().iter().zip(0..) {
        for probe in &settings.probes {
            places.push(watch::Place { trial: number as u32, replica, probe: *probe });
            callers.push(caller(endpoint, held.credential(), *probe)?);
        }
    }
    let (seen, last) = match held {
        Held::Credential(credential) => {
            let revoke = async { target.revoke(&credential).await.map_err(|error| error.to_string()) };
            (watch(&mut callers, revoke, moments, settings).await?, credential)
        }
        Held::Grant(grant) => {
            let renewer = Renewer::new(target, grant);
            let mut probers: Vec<_> = callers.iter_mut().map(|caller| renewer.prober(caller)).collect();
            let seen = renewer.during(watch(&mut probers, renewer.revoke(), moments, settings)).await?;
            (seen, renewer.newest())
        }
    };
    let ends = end_of_life(&last, issued_at, prepared.lifetime);
    let handshakes = places.iter().zip(&callers).map(|(place, caller)| (place.probe, caller.handshakes())).collect();
    let primings = callers.iter().map(Caller::primings).sum();
    Ok(Trial { seen: places.into_iter().zip(seen).collect(), handshakes, primings, ends })
}

pub(super) fn caller(endpoint: &Endpoint, credential: &Issued, probe: ProbeKind) -> Result<Caller, String> {
    let http = if probe == ProbeKind::H2 { HttpVersion::Http2 } else { endpoint.http };
    let endpoint = Endpoint { http, ..endpoint.clone() };
    Caller::new(endpoint, credential, probe.connection()).map_err(|error| error.to_string())
}

/// When a credential ends by itself: what a JWT says in `exp` (whole seconds, RFC 7519 §4.1.4), a certificate in
/// `notAfter` (whole seconds too, RFC 5280 §4.1.2.5), otherwise its lifetime after it was asked for.
fn end_of_life(credential: &Issued, issued_at: SystemTime, lifetime: Option<Duration>) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: u64,
    }
    let lifetime = lifetime?;
    let end = match &credential.material {
        Material::Bearer { token } => token
            .expose()
            .split('.')
            .nth(1)
            .and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok())
            .and_then(|payload| serde_json::from_slice::<Claims>(&payload).ok())
            .map(|claims| claims.exp),
        Material::Certificate { chain_pem, .. } => not_after(chain_pem),
        _ => None,
    };
    Some(end.map_or(issued_at + lifetime, |end| UNIX_EPOCH + Duration::from_secs(end)))
}

/// `notAfter` of the leaf that a chain begins with.
fn not_after(chain_pem: &str) -> Option<u64> {
    let leaf = CertificateDer::from_pem_slice(chain_pem.as_bytes()).ok()?;
    Some(ClientIdentity::from_der(&leaf).ok()?.not_after.as_secs())
}

#[cfg(test)]
mod tests {
    use bench_server::contract::Secret;

    use super::*;
    const MS: Duration = Duration::from_millis(1);

    fn settings() -> RevocationPlan {
        RevocationPlan {
            trials: 1,
            at_a_time: 1,
            probe_interval: 20 * MS,
            phase: 100 * MS,
            watch: 500 * MS,
            lifetime: None,
            probes: vec![ProbeKind::Reused],
            bystanders: 0,
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
    fn a_short_lived_certificate_says_when_it_ends() {
        let mut params = rcgen::CertificateParams::default();
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        params.subject_alt_names = vec![rcgen::SanType::URI("spiffe://a.test/x".try_into().expect("ASCII"))];
        let key = rcgen::KeyPair::generate().expect("a key");
        let chain_pem = params.self_signed(&key).expect("a certificate").pem();
        let material = Material::Certificate { chain_pem, key_pem: Secret::new("k") };
        let issued = Issued { id: "1".to_owned(), principal: "p".to_owned(), material };
        let end = end_of_life(&issued, UNIX_EPOCH, Some(Duration::from_secs(10)));
        assert_eq!(end, Some(UNIX_EPOCH + Duration::from_secs(1_893_456_000)));
        assert_eq!(end_of_life(&issued, UNIX_EPOCH, None), None, "something else ends it");
    }

    #[test]
    fn every_prober_begins_before_the_revocation_at_a_moment_of_its_own() {
        let settings = settings();
        let drawn = moments(3, &settings, 42, &[0, 1, 2]);
        assert!(drawn.proofs.iter().all(|proof| *proof < settings.phase));
        assert!((settings.phase..2 * settings.phase).contains(&drawn.revocation));
        assert!(drawn.proofs[0] != drawn.proofs[1] && drawn.proofs[1] != drawn.proofs[2]);
        let again = moments(3, &settings, 42, &[0, 1, 2]);
        assert_eq!((again.proofs, again.revocation), (drawn.proofs.clone(), drawn.revocation));
        let alone = moments(1, &settings, 42, &[0, 1, 2]);
        assert!(alone.proofs == [Duration::ZERO] && alone.revocation < settings.phase);
        assert_ne!(moments(3, &settings, 42, &[0, 1, 3]).proofs, drawn.proofs);
    }

    #[test]
    fn a_resolution_worse_than_twice_the_interval_is_said() {
        let window = |resolution: Duration| RevocationWindow {
            trial: 0,
            replica: 0,
            probe: ProbeKind::Reused,
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
