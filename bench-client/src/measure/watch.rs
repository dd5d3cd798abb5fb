//! Watching one credential: proof, revocation, probes to the end. Generic over who sends the probes, so that it is
//! tried on a clock that tests move.

use std::cell::Cell;
use std::future::Future;
use std::time::{Duration, SystemTime};

use futures_util::future::{try_join, try_join_all};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::window::{Probe, Revocation, Verdict, window};
use crate::load::{Answer, Caller};
use crate::plan::{ProbeKind, RevocationPlan};
use crate::record::RevocationWindow;

/// Refusals in a row after which a credential is taken for dead. One is not enough: while a revocation spreads, threads
/// or replicas may disagree, and that overlap is a finding.
const REFUSALS_IN_A_ROW: usize = 3;

/// Who sends probes; replaced in tests.
pub(super) trait Prober {
    async fn call(&mut self) -> Answer;
}

impl Prober for Caller {
    async fn call(&mut self) -> Answer {
        Caller::call(self).await
    }
}

impl<P: Prober> Prober for &mut P {
    async fn call(&mut self) -> Answer {
        P::call(self).await
    }
}

/// What was probed, of which credential.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    pub(super) trial: u32,
    pub(super) replica: u32,
    pub(super) probe: ProbeKind,
}

/// One revoked credential, watched to its end by one prober.
#[derive(Debug)]
pub(super) struct Trial {
    probes: Vec<Probe>,
    revocation: Revocation,
    /// The system's time of the acknowledgement, to compare with an expiry.
    acknowledged_at: SystemTime,
    /// When the watch ended.
    ended: std::time::Instant,
    /// Probes that brought no judgement.
    pub(super) unjudged: usize,
}

impl Trial {
    /// What a record keeps of it: the bystander's refusals count while this credential was watched.
    pub(super) fn window(
        &self,
        place: Place,
        bystander_refused: &[std::time::Instant],
        settings: &RevocationPlan,
        end_of_life: Option<SystemTime>,
    ) -> RevocationWindow {
        let acknowledged = self.revocation.acknowledged;
        let window = window(&self.probes, acknowledged, settings.probe_interval);
        let ns = |duration: Duration| duration.as_nanos() as u64;
        let watched = self.revocation.sent..=self.ended;
        RevocationWindow {
            trial: place.trial,
            replica: place.replica,
            probe: place.probe,
            acknowledged_after_ns: ns(acknowledged - self.revocation.sent),
            last_accepted_ns: window.last_accepted.map(ns),
            first_rejected_ns: window.first_rejected.map(ns),
            resolution_ns: ns(window.resolution),
            watched_ns: ns(self.ended - acknowledged),
            exposure: window.exposure,
            blast_radius: bystander_refused.iter().filter(|sent| watched.contains(*sent)).count() as u64,
            expires_after_ns: end_of_life.map(|end| signed_ns(end, self.acknowledged_at)),
        }
    }
}

/// When things happen to one credential, counted from the beginning of its trial.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    /// When each prober first presents it: the proof that it is accepted. One for each prober.
    pub(super) proofs: Vec<Duration>,
    /// When it is revoked, at the earliest: not before every prober has its proof.
    pub(super) revocation: Duration,
}

/// Watches one credential from the proof that it is accepted to the end of its watch, with several probers side by side.
/// The probes go on while it is revoked, each prober's until it is done. The trials are in the order of the probers.
///
/// # Errors
/// Why there is no window: the credential was not accepted to begin with, or could not be revoked.
pub(super) async fn watch<P: Prober>(
    probers: &mut [P],
    revoke: impl Future<Output = Result<(), String>>,
    moments: &Moments,
    settings: &RevocationPlan,
) -> Result<Vec<Trial>, String> {
    let begun = Instant::now();
    let trial = Progress { state: Cell::new(State::Valid), unproved: Cell::new(probers.len()), proved: Notify::new() };
    let revoke = async {
        sleep_until(begun + moments.revocation).await;
        while trial.unproved.get() > 0 {
            trial.proved.notified().await;
        }
        let sent = Instant::now().into_std();
        trial.state.set(State::Revoking);
        match revoke.await {
            Ok(()) => {
                let acknowledged = Instant::now().into_std();
                trial.state.set(State::Revoked(acknowledged));
                Ok((Revocation { sent, acknowledged }, SystemTime::now()))
            }
            Err(message) => Err(format!("it could not be revoked: {message}")),
        }
    };
    let probes = probers.iter_mut().zip(&moments.proofs);
    let probes = probes.map(|(prober, proof)| probe(prober, begun + *proof, &trial, settings));
    // Whichever fails first ends all: without a revocation nothing is left to probe, and the other way round.
    let ((revocation, acknowledged_at), probed) = try_join(revoke, try_join_all(probes)).await?;
    let trial = |Probed { probes, unjudged, ended }| Trial { probes, revocation, acknowledged_at, ended, unjudged };
    Ok(probed.into_iter().map(trial).collect())
}

/// How far a trial has come, for all who take part.
struct Progress {
    state: Cell<State>,
    /// Probers that have no proof yet.
    unproved: Cell<usize>,
    proved: Notify,
}

/// What one prober saw.
struct Probed {
    probes: Vec<Probe>,
    unjudged: usize,
    ended: std::time::Instant,
}

async fn probe(
    prober: &mut impl Prober,
    begin: Instant,
    trial: &Progress,
    settings: &RevocationPlan,
) -> Result<Probed, String> {
    sleep_until(begin).await;
    let proof = prober.call().await;
    if Verdict::from(proof.outcome) != Verdict::Accepted {
        return Err(format!("the credential was not accepted before its revocation: {:?}", proof.outcome));
    }
    trial.unproved.set(trial.unproved.get() - 1);
    trial.proved.notify_one();
    let mut probes = vec![Probe { sent: proof.sent, done: proof.done, verdict: Verdict::Accepted }];
    let mut unjudged = 0;
    let mut due = (proof.sent + settings.probe_interval).max(proof.done);
    loop {
        sleep_until(Instant::from_std(due)).await;
        let answer = prober.call().await;
        let verdict = Verdict::from(answer.outcome);
        if verdict == Verdict::Refused && trial.state.get() == State::Valid {
            return Err(format!("the credential was refused before its revocation: {:?}", answer.outcome));
        }
        unjudged += usize::from(verdict == Verdict::Nothing);
        probes.push(Probe { sent: answer.sent, done: answer.done, verdict });
        let now = Instant::now().into_std();
        match trial.state.get() {
            State::Revoked(acknowledged) if dead(&probes, acknowledged) || now >= acknowledged + settings.watch => {
                return Ok(Probed { probes, unjudged, ended: now });
            }
            State::Valid | State::Revoking | State::Revoked(_) => {}
        }
        due = (answer.sent + settings.probe_interval).max(answer.done);
    }
}

/// How far a credential's revocation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Valid,
    Revoking,
    Revoked(std::time::Instant),
}

/// Whether the last probes, all sent after the acknowledgement, were all refused.
fn dead(probes: &[Probe], acknowledged: std::time::Instant) -> bool {
    let refused = |probe: &&Probe| probe.verdict == Verdict::Refused && probe.sent > acknowledged;
    probes.iter().rev().take_while(refused).count() >= REFUSALS_IN_A_ROW
}

/// Probes the credential that nobody revokes until the trials are finished: when it was refused, and how often there
/// was no judgement.
pub(super) async fn stand_by(
    prober: &mut impl Prober,
    interval: Duration,
    finished: &Cell<bool>,
) -> (Vec<std::time::Instant>, usize) {
    let (mut refused, mut unjudged) = (Vec::new(), 0);
    while !finished.get() {
        let answer = prober.call().await;
        match Verdict::from(answer.outcome) {
            Verdict::Accepted => {}
            Verdict::Refused => refused.push(answer.sent),
            Verdict::Nothing => unjudged += 1,
        }
        sleep_until(Instant::from_std((answer.sent + interval).max(answer.done))).await;
    }
    (refused, unjudged)
}

fn signed_ns(to: SystemTime, from: SystemTime) -> i64 {
    match to.duration_since(from) {
        Ok(after) => after.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Outcome, RejectReason, Transport};

    const MS: Duration = Duration::from_millis(1);
    const REFUSED: Outcome = Outcome::Rejected(RejectReason::InvalidCredential);

    /// A server on the test's clock: every answer takes 1 ms and is what `outcome` says of the time since the start.
    struct Fake<F> {
        begun: Instant,
        outcome: F,
    }

    impl<F: FnMut(u128) -> Outcome> Prober for Fake<F> {
        async fn call(&mut self) -> Answer {
            let sent = Instant::now();
            let outcome = (self.outcome)((sent - self.begun).as_millis());
            tokio::time::sleep(MS).await;
            Answer { sent: sent.into_std(), done: Instant::now().into_std(), outcome }
        }
    }

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

    /// Revoked 50 ms after the proof, acknowledged 5 ms later; `outcome` says what becomes of probes.
    async fn trial(outcome: impl FnMut(u128) -> Outcome) -> Result<Trial, String> {
        let revoke = async {
            tokio::time::sleep(5 * MS).await;
            Ok(())
        };
        one(&mut [Fake { begun: Instant::now(), outcome }], revoke).await
    }

    /// Watched by one prober.
    async fn one(
        prober: &mut [impl Prober],
        revoke: impl Future<Output = Result<(), String>>,
    ) -> Result<Trial, String> {
        let moments = Moments { proofs: vec![Duration::ZERO; prober.len()], revocation: 50 * MS };
        watch(prober, revoke, &moments, &settings()).await.map(|trials| trials.into_iter().next().expect("one prober"))
    }

    async fn window_of(outcome: impl FnMut(u128) -> Outcome) -> RevocationWindow {
        trial(outcome).await.expect("there is a window").window(Place::default(), &[], &settings(), None)
    }

    fn ms(ns: u64) -> u64 {
        ns / 1_000_000
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_looks_every_time_refuses_the_next_probe() {
        let window = window_of(|now| if now < 55 { Outcome::Accepted } else { REFUSED }).await;
        // Probes at 0, 20, 40, 60 …; the acknowledgement at 55.
        assert_eq!(ms(window.acknowledged_after_ns), 5);
        assert_eq!(window.last_accepted_ns, None);
        assert_eq!(window.first_rejected_ns.map(ms), Some(61 - 55));
        assert_eq!(ms(window.resolution_ns), 20);
        assert_eq!(window.exposure, 0);
        assert_eq!(ms(window.watched_ns), 100 + 1 - 55, "three refusals end it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cache_lets_it_live_on_for_a_while() {
        let window = window_of(|now| if now < 155 { Outcome::Accepted } else { REFUSED }).await;
        assert_eq!(window.last_accepted_ns.map(ms), Some(140 - 55));
        assert_eq!(window.first_rejected_ns.map(ms), Some(161 - 55));
        assert_eq!(window.exposure, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn several_probers_see_their_own_windows_and_none_is_forgotten() {
        let until = |end: u128| move |now| if now < end { Outcome::Accepted } else { REFUSED };
        let begun = Instant::now();
        let mut fakes = [55, 155, 100].map(|end| Fake { begun, outcome: until(end) });
        // The last one has its proof when the others have long been waiting.
        let moments = Moments { proofs: [0, 7, 70].map(|ms| ms * MS).to_vec(), revocation: 50 * MS };
        let trials = watch(&mut fakes, async { Ok(()) }, &moments, &settings()).await;
        assert!(trials.expect_err("refused too early").contains("refused before its revocation"));

        let begun = Instant::now();
        let mut fakes = [75, 155, 100].map(|end| Fake { begun, outcome: until(end) });
        let trials = watch(&mut fakes, async { Ok(()) }, &moments, &settings()).await.expect("three windows");
        let windows: Vec<_> =
            trials.iter().map(|trial| trial.window(Place::default(), &[], &settings(), None)).collect();
        // Acknowledged at 71: probes at 0, 20 … 80, at 7, 27 … 167, and at 70, 90, 110, each answered 1 ms later.
        let first_rejected: Vec<_> = windows.iter().map(|window| window.first_rejected_ns.map(ms)).collect();
        assert_eq!(first_rejected, [Some(81 - 71), Some(168 - 71), Some(111 - 71)]);
        assert_eq!(windows[1].exposure, 4); // 87, 107, 127, 147
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_never_refused_is_watched_to_the_end() {
        let window = window_of(|_| Outcome::Accepted).await;
        assert_eq!(window.first_rejected_ns, None);
        assert!(ms(window.watched_ns) >= 500, "{window:?}");
        assert_eq!(window.exposure, 26); // 60, 80 … 560
    }

    #[tokio::test(start_paused = true)]
    async fn two_refusals_are_not_the_end() {
        let window = window_of(|now| match now {
            0..60 | 100..140 => Outcome::Accepted,
            _ => REFUSED,
        })
        .await;
        assert_eq!(window.first_rejected_ns.map(ms), Some(61 - 55));
        assert_eq!(window.last_accepted_ns.map(ms), Some(120 - 55));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_never_accepted_has_no_window() {
        let error = trial(|_| REFUSED).await.expect_err("it was never accepted");
        assert!(error.contains("not accepted before its revocation"), "{error}");
        let error = trial(|now| if now < 20 { Outcome::Accepted } else { REFUSED }).await.expect_err("too early");
        assert!(error.contains("refused before its revocation"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_while_the_revocation_is_on_its_way_is_its_effect() {
        // With a slow revocation the probe at 60 is refused before the acknowledgement at 90.
        let revoke = async {
            tokio::time::sleep(40 * MS).await;
            Ok(())
        };
        let outcome = |now| if now < 60 { Outcome::Accepted } else { REFUSED };
        let trial = one(&mut [Fake { begun: Instant::now(), outcome }], revoke).await;
        let window = trial.expect("there is a window").window(Place::default(), &[], &settings(), None);
        assert_eq!(window.first_rejected_ns.map(ms), Some(101 - 90));
        assert_eq!((window.last_accepted_ns, window.exposure), (None, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_revocation_that_fails_ends_the_trial() {
        let revoke = async { Err("503".to_owned()) };
        let outcome = |_| Outcome::Accepted;
        let result = one(&mut [Fake { begun: Instant::now(), outcome }], revoke).await;
        assert_eq!(result.map(drop), Err("it could not be revoked: 503".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn probes_without_judgement_are_counted_and_keep_the_trial_going() {
        let trial = trial(|now| match now {
            0..60 => Outcome::Accepted,
            60..100 => Outcome::Failed(Transport::Timeout),
            _ => REFUSED,
        })
        .await
        .expect("there is a window");
        assert_eq!(trial.unjudged, 2);
        assert_eq!(trial.window(Place::default(), &[], &settings(), None).first_rejected_ns.map(ms), Some(101 - 55));
    }

    #[tokio::test(start_paused = true)]
    async fn the_bystanders_refusals_count_while_the_credential_is_watched() {
        let finished = Cell::new(false);
        let begun = Instant::now();
        let mut fake = Fake { begun, outcome: |now| if now < 60 { Outcome::Accepted } else { REFUSED } };
        let beside = stand_by(&mut fake, 20 * MS, &finished);
        let trials = async {
            let trial = trial(|now| if now < 55 { Outcome::Accepted } else { REFUSED }).await;
            tokio::time::sleep(100 * MS).await;
            finished.set(true);
            trial
        };
        let (trial, (refused, unjudged)) = futures_util::future::join(trials, beside).await;
        assert_eq!(unjudged, 0);
        assert!(refused.len() > 3, "{refused:?}");
        let window = trial.expect("there is a window").window(Place::default(), &refused, &settings(), None);
        assert_eq!(window.blast_radius, 3); // at 60, 80 and 100; the watch ended at 101
    }

    #[tokio::test(start_paused = true)]
    async fn expiry_counts_from_the_acknowledgement_and_may_lie_before_it() {
        let trial = trial(|_| Outcome::Accepted).await.expect("there is a window");
        let expires = |end| trial.window(Place::default(), &[], &settings(), end).expires_after_ns;
        assert_eq!(expires(None), None);
        assert_eq!(expires(Some(trial.acknowledged_at + 3 * MS)), Some(3_000_000));
        assert_eq!(expires(Some(trial.acknowledged_at - 3 * MS)), Some(-3_000_000));
    }

    /// A server over real connections that goes on accepting each credential for a random time after the acknowledgement,
    /// which only the test knows. The probes must bracket that time.
    #[tokio::test]
    async fn the_bracket_holds_the_truth() {
        use std::collections::HashMap;
        use std::sync::{Arc, Mutex};

        use futures_util::{StreamExt as _, stream};

        use crate::load::testing::{self, PLAIN, Reply};

        const TRIALS: usize = 1_000;
        let ends: Arc<Mutex<HashMap<String, std::time::Instant>>> = Arc::default();
        let seen_by_server = ends.clone();
        let endpoint = testing::serve(PLAIN, move |seen| {
            let principal = testing::principal(seen.head);
            let end = seen_by_server.lock().expect("no panic").get(&principal).copied();
            match end {
                Some(end) if std::time::Instant::now() >= end => {
                    let challenge = "www-authenticate: Bearer realm=\"x\", error=\"invalid_token\"\r\n";
                    Reply::Answer(testing::answer("401 No", challenge, ""))
                }
                _ => Reply::Answer(testing::ok(&principal)),
            }
        })
        .await;
        let settings = RevocationPlan { probe_interval: 5 * MS, ..settings() };
        let keys = testing::keys(TRIALS);
        let trial = async |number: usize| {
            let credential = &keys[number];
            let caller = Caller::new(endpoint.clone(), credential, ProbeKind::Reused.connection());
            let mut caller = [caller.expect("a caller")];
            let lives_on = MS.mul_f64(60.0 * rand::random::<f64>());
            let end = Cell::new(std::time::Instant::now());
            let revoke = async {
                end.set(std::time::Instant::now() + lives_on);
                ends.lock().expect("no panic").insert(credential.principal.clone(), end.get());
                Ok(())
            };
            let moments =
                Moments { proofs: vec![Duration::ZERO], revocation: MS.mul_f64(20.0 * rand::random::<f64>()) };
            let trials = watch(&mut caller, revoke, &moments, &settings).await.expect("a window");
            let window = trials[0].window(Place::default(), &[], &settings, None);
            let truth = end.get().saturating_duration_since(trials[0].revocation.acknowledged).as_nanos() as u64;
            let (low, high) = (window.last_accepted_ns.unwrap_or(0), window.first_rejected_ns.expect("it ended"));
            let narrow = high - low <= 2 * window.resolution_ns;
            ((low..=high).contains(&truth), narrow)
        };
        let seen: Vec<(bool, bool)> = stream::iter(0..TRIALS).map(trial).buffer_unordered(10).collect().await;
        let inside = seen.iter().filter(|(inside, _)| *inside).count();
        let narrow = seen.iter().filter(|(_, narrow)| *narrow).count();
        assert!(inside >= TRIALS - TRIALS / 1_000, "{inside} of {TRIALS} brackets hold the truth");
        assert!(
            narrow >= TRIALS - TRIALS / 100,
            "{narrow} of {TRIALS} brackets are as narrow as their resolution says"
        );
    }
}
