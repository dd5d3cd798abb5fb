//! A credential that its callers renew before it ends: they share one renewer, as the threads of a client do, and all present
//! what it got last. Generic over who grants, so that it is tried on a clock that tests move.
//!
//! The next access token is asked for while the last one still works, beside the calls, which never wait for it. A renewal
//! that brings no judgement is tried again. One that is refused leaves the callers with what they have: the access token that
//! they got last, until its end.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bench_server::contract::Issued;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::watch::Prober;
use crate::load::{Answer, Caller};
use crate::outcome::{Outcome, Transport};
use crate::plan::RENEWED_BEFORE_END;
use crate::target::{Grant, Refreshed, Target};

/// Pause after a renewal without judgement: several attempts fit between the first and the end of the token.
const RETRY: Duration = Duration::from_millis(100);

/// Who renews what was granted, and takes it back; replaced in tests.
pub(super) trait Grantor {
    /// Exchanges the refresh token.
    ///
    /// # Errors
    /// Why there was no judgement.
    async fn refresh(&self, grant: &Grant) -> Result<Refreshed, String>;

    /// Revokes the refresh token.
    ///
    /// # Errors
    /// Why that was not acknowledged.
    async fn revoke(&self, grant: &Grant) -> Result<(), String>;
}

impl Grantor for Target {
    async fn refresh(&self, grant: &Grant) -> Result<Refreshed, String> {
        Target::refresh(self, grant).await.map_err(|error| error.to_string())
    }

    async fn revoke(&self, grant: &Grant) -> Result<(), String> {
        self.revoke_grant(grant).await.map_err(|error| error.to_string())
    }
}

/// Who can go on with another credential; replaced in tests.
pub(super) trait Presenter: Prober {
    /// From the next call on presents `credential`.
    ///
    /// # Errors
    /// Why it cannot be presented.
    fn present(&mut self, credential: &Issued) -> Result<(), String>;
}

impl Presenter for Caller {
    fn present(&mut self, credential: &Issued) -> Result<(), String> {
        Caller::present(self, credential).map_err(|error| error.to_string())
    }
}

impl<P: Presenter> Presenter for &mut P {
    fn present(&mut self, credential: &Issued) -> Result<(), String> {
        P::present(self, credential)
    }
}

/// Renews one grant for all its callers.
pub(super) struct Renewer<'g, G> {
    grantor: &'g G,
    /// Locked while it is exchanged or revoked: what is revoked is always the newest refresh token.
    grant: Mutex<Grant>,
    newest: RefCell<Issued>,
    /// How often it was renewed.
    renewals: Cell<u64>,
    /// Whether the refresh token was refused.
    refused: Cell<bool>,
    due: Cell<Instant>,
}

impl<'g, G: Grantor> Renewer<'g, G> {
    pub(super) fn new(grantor: &'g G, grant: Grant) -> Self {
        Self {
            grantor,
            newest: RefCell::new(grant.access.clone()),
            renewals: Cell::new(0),
            refused: Cell::new(false),
            due: Cell::new(due(&grant)),
            grant: Mutex::new(grant),
        }
    }

    /// The access token that was got last.
    pub(super) fn newest(&self) -> Issued {
        self.newest.borrow().clone()
    }

    /// A prober that presents, with `caller`, what is newest.
    pub(super) fn prober<P: Presenter>(&self, caller: P) -> Renewing<'_, 'g, G, P> {
        // Whatever the caller presents now: the newest before its first call.
        Renewing { renewer: self, caller, presented: None }
    }

    /// Carries out `work` while the grant is renewed whenever that is due, and first if it is.
    pub(super) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        if self.due.get() <= Instant::now() {
            self.renew().await;
        }
        let renewing = async {
            while !self.refused.get() {
                sleep_until(self.due.get()).await;
                self.renew().await;
            }
            std::future::pending::<()>().await;
        };
        let (mut work, mut renewing) = (pin!(work), pin!(renewing));
        tokio::select! {
            done = &mut work => done,
            () = &mut renewing => unreachable!("it never ends"),
        }
    }

    /// Revokes the newest refresh token.
    ///
    /// # Errors
    /// Why that was not acknowledged, or that the refresh token was of no use already.
    pub(super) async fn revoke(&self) -> Result<(), String> {
        let grant = self.grant.lock().await;
        if self.refused.get() {
            return Err("its refresh token was refused before".to_owned());
        }
        self.grantor.revoke(&grant).await
    }

    async fn renew(&self) {
        let mut grant = self.grant.lock().await;
        match self.grantor.refresh(&grant).await {
            Ok(Refreshed::Renewed(next)) => {
                self.newest.replace(next.access.clone());
                self.renewals.set(self.renewals.get() + 1);
                self.due.set(due(&next));
                *grant = next;
            }
            Ok(Refreshed::Refused) => self.refused.set(true),
            Err(_) => self.due.set(Instant::now() + RETRY),
        }
    }
}

/// When the next access token is asked for.
fn due(grant: &Grant) -> Instant {
    grant.asked + grant.expires_in.saturating_sub(RENEWED_BEFORE_END)
}

/// One of the callers of a renewer.
pub(super) struct Renewing<'r, 'g, G, P> {
    renewer: &'r Renewer<'g, G>,
    caller: P,
    /// The number of the renewal that brought what it presents.
    presented: Option<u64>,
}

impl<G, P: Presenter> Prober for Renewing<'_, '_, G, P> {
    async fn call(&mut self) -> Answer {
        let newest = Some(self.renewer.renewals.get());
        if self.presented != newest {
            let presented = self.caller.present(&self.renewer.newest.borrow());
            if presented.is_err() {
                // Sent all the same, it would be bytes that are not HTTP. Nothing is sent, and a trial with a probe that
                // brought no judgement is invalid.
                let now = Instant::now().into_std();
                return Answer { sent: now, done: now, outcome: Outcome::Failed(Transport::Protocol) };
            }
            self.presented = newest;
        }
        self.caller.call().await
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use bench_server::contract::{Material, Secret};
    use tokio::time::sleep;

    use super::super::watch::{Moments, Place, watch};
    use super::*;
    use crate::outcome::RejectReason;
    use crate::plan::{ProbeKind, RevocationPlan};

    const MS: Duration = Duration::from_millis(1);
    const LIFETIME: Duration = Duration::from_secs(4);

    /// An authorization server on the test's clock: each answer takes 5 ms, and so many renewals fail first.
    struct Server {
        begun: Instant,
        /// The number of the refresh token that is good.
        current: Cell<Option<u64>>,
        failures: Cell<u32>,
        renewals: RefCell<Vec<u128>>,
    }

    impl Server {
        fn new(failures: u32) -> Self {
            let begun = Instant::now();
            Self { begun, current: Cell::new(Some(0)), failures: Cell::new(failures), renewals: RefCell::default() }
        }

        fn grant(&self, number: u64) -> Grant {
            let token = Secret::new(format!("{number}"));
            let access =
                Issued { id: format!("{number}"), principal: "u".to_owned(), material: Material::Bearer { token } };
            let refresh = Secret::new(format!("{number}"));
            Grant { access, asked: Instant::now(), expires_in: LIFETIME, refresh }
        }
    }

    impl Grantor for Server {
        async fn refresh(&self, grant: &Grant) -> Result<Refreshed, String> {
            self.renewals.borrow_mut().push(self.begun.elapsed().as_millis());
            sleep(5 * MS).await;
            if self.failures.get() > 0 {
                self.failures.set(self.failures.get() - 1);
                return Err("timeout".to_owned());
            }
            let presented = grant.refresh.expose().parse().expect("a number");
            if self.current.get() != Some(presented) {
                return Ok(Refreshed::Refused);
            }
            self.current.set(Some(presented + 1));
            Ok(Refreshed::Renewed(self.grant(presented + 1)))
        }

        async fn revoke(&self, grant: &Grant) -> Result<(), String> {
            sleep(5 * MS).await;
            assert_eq!(self.current.replace(None), grant.refresh.expose().parse().ok(), "the newest is revoked");
            Ok(())
        }
    }

    /// A resource server that accepts the token of number n until its end, and notes what was presented.
    struct Resource {
        ends: Rc<dyn Fn(u64) -> u128>,
        begun: Instant,
        presented: Option<u64>,
        seen: Rc<RefCell<Vec<u64>>>,
    }

    impl Prober for Resource {
        async fn call(&mut self) -> Answer {
            let sent = Instant::now();
            let number = self.presented.expect("something was presented first");
            self.seen.borrow_mut().push(number);
            let good = (sent - self.begun).as_millis() < (self.ends)(number);
            sleep(MS).await;
            let refused = Outcome::Rejected(RejectReason::InvalidCredential);
            let outcome = if good { Outcome::Accepted } else { refused };
            Answer { sent: sent.into_std(), done: Instant::now().into_std(), outcome }
        }
    }

    impl Presenter for Resource {
        fn present(&mut self, credential: &Issued) -> Result<(), String> {
            self.presented = credential.id.parse().ok();
            self.presented.map(drop).ok_or_else(|| "no number".to_owned())
        }
    }

    fn settings() -> RevocationPlan {
        RevocationPlan {
            trials: 1,
            at_a_time: 1,
            probe_interval: 20 * MS,
            phase: 2_500 * MS,
            watch: 5_000 * MS,
            lifetime: None,
            probes: vec![ProbeKind::Reused],
            bystanders: 0,
        }
    }

    /// Tokens are issued when they were asked for, the next one 2.5 s after the last, and end 4 s later.
    fn ends(number: u64) -> u128 {
        u128::from(number) * 2_505 + 4_000
    }

    #[tokio::test(start_paused = true)]
    async fn all_go_on_with_the_last_token_that_was_got_before_the_revocation() {
        let server = Server::new(0);
        let renewer = Renewer::new(&server, server.grant(0));
        let seen = Rc::new(RefCell::new(Vec::new()));
        let resource =
            || Resource { ends: Rc::new(ends), begun: server.begun, presented: None, seen: Rc::clone(&seen) };
        let mut probers = [renewer.prober(resource()), renewer.prober(resource())];
        let moments = Moments { proofs: vec![Duration::ZERO, 7 * MS], revocation: 6_000 * MS };
        let trials = renewer.during(watch(&mut probers, renewer.revoke(), &moments, &settings())).await;
        // Renewed at 2 500 and 5 005; the acknowledgement is at 6 005, the refusal at 7 510, and the last token ends at 9 010.
        assert_eq!(*server.renewals.borrow(), [2_500, 5_005, 7_510], "a refusal is not asked about again");
        assert_eq!(renewer.newest().id, "2");
        for trial in trials.expect("two windows") {
            let window = trial.window(Place::default(), &[], &settings(), None);
            let ended = ends(2) as u64 - 6_005;
            assert!(window.last_accepted_ns.expect("it lived on") / 1_000_000 >= ended - 20, "{window:?}");
            assert!(window.first_rejected_ns.expect("it ended") / 1_000_000 <= ended + 21, "{window:?}");
            assert_eq!(trial.unjudged, 0);
        }
        assert!(seen.borrow().is_sorted() && *seen.borrow().last().expect("probes") == 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_without_judgement_is_tried_again_and_the_calls_go_on() {
        let server = Server::new(3);
        let renewer = Renewer::new(&server, server.grant(0));
        renewer.during(sleep(3_000 * MS)).await;
        assert_eq!(*server.renewals.borrow(), [2_500, 2_605, 2_710, 2_815]);
        assert_eq!(renewer.newest().id, "1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_renewal_that_is_overdue_comes_before_the_first_call() {
        let server = Server::new(0);
        let renewer = Renewer::new(&server, server.grant(0));
        sleep(LIFETIME).await;
        let seen = Rc::new(RefCell::new(Vec::new()));
        let resource =
            Resource { ends: Rc::new(|_| u128::MAX), begun: server.begun, presented: None, seen: Rc::clone(&seen) };
        let mut prober = renewer.prober(resource);
        assert_eq!(renewer.during(prober.call()).await.outcome, Outcome::Accepted);
        assert_eq!(*seen.borrow(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_token_that_is_refused_before_its_revocation_is_no_window() {
        let server = Server::new(0);
        let renewer = Renewer::new(&server, server.grant(0));
        server.current.set(None);
        renewer.during(sleep(2_600 * MS)).await;
        assert_eq!(renewer.revoke().await, Err("its refresh token was refused before".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_cannot_be_presented_brings_no_judgement() {
        let server = Server::new(0);
        let mut grant = server.grant(0);
        grant.access.id = "not a number".to_owned();
        let renewer = Renewer::new(&server, grant);
        let seen = Rc::default();
        let resource = Resource { ends: Rc::new(ends), begun: server.begun, presented: None, seen };
        assert_eq!(renewer.prober(resource).call().await.outcome, Outcome::Failed(Transport::Protocol));
    }
}
