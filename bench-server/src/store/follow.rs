//! How a validator that keeps a copy (a cache, a deny-list) hears of what is revoked elsewhere, and knows when it does not.
//!
//! Whatever the mechanism, a [`Follower`] reads the store's order of revocations from where it last was: a poll does so
//! once in a time, a push when the store says that there is something. So nothing that a bus loses is lost, and after a cut
//! the copy catches up instead of starting anew. Client tracking is the exception: it names the keys that were written and
//! keeps no order, so that after a cut the copy is dropped.
//!
//! A copy may be trusted for a while after it was last known to be current ([`Follower::is_current`]). Then it may not: a
//! deny-list refuses (503), a cache steps aside and the store is read. A connection that is lost ends the trust at once; one
//! that merely falls silent ends it when a sign of life stays out.
//!
//! Nothing is trusted again before it has caught up: first the subscription is made, then what was missed is read, then the
//! copy counts as current.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};

use super::record::{Position, Revocation};
use super::{PAGE, Store, StoreError, postgres, redis};
use crate::clock::{Clock, UnixTime};
use crate::config::{Follow, Push};

/// Time between two signs of life of a store that pushes.
const HEARTBEAT: Duration = Duration::from_millis(250);

/// Pause before a lost connection is sought again: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// What follows a store.
pub(crate) trait LocalCopy: Send + Sync + 'static {
    /// Takes over what is revoked. `until` is in seconds since 1970, absent where the store does not say.
    fn revoke(&self, revocation: &Revocation, until: Option<u64>);

    /// Drops everything: what was missed is not known.
    fn forget(&self);

    /// Called now and then: what has ended may go.
    fn prune(&self, _now: UnixTime) {}
}

/// What a store tells by itself.
#[derive(Debug)]
pub(crate) enum News {
    /// There are new entries in the order of revocations.
    Added,
    /// The records of these were written.
    Written(Vec<Revocation>),
    /// Anything may have been written.
    Anything,
}

/// A connection on which a store tells what changes.
pub(crate) enum Listening {
    Redis(redis::Listening),
    Postgres(postgres::Listening),
}

impl Listening {
    async fn next(&mut self) -> Option<News> {
        match self {
            Self::Redis(listening) => listening.next().await,
            Self::Postgres(listening) => listening.next().await,
        }
    }

    async fn ping(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Redis(listening) => listening.ping().await,
            Self::Postgres(listening) => listening.ping().await,
        }
    }
}

/// Keeps a copy up to date for as long as anybody holds it.
pub(crate) struct Follower<C> {
    copy: Arc<C>,
    store: Arc<Store>,
    clock: Clock,
    /// How long the copy may be trusted after it was last current.
    trust: Duration,
    /// Nanoseconds since 1970 up to which the copy may be trusted.
    trusted_until: AtomicU64,
    /// Nanoseconds since 1970 at which the copy was last known to be current.
    current_at: AtomicU64,
    /// Where in the order of revocations the copy stands.
    position: Mutex<Position>,
}

impl<C: LocalCopy> Follower<C> {
    /// Brings the copy up to date and keeps it so, in the runtime of the caller.
    ///
    /// # Errors
    /// When the store cannot be followed now: a server that does not hear of revocations is not started.
    pub(crate) async fn start(
        copy: Arc<C>,
        store: Arc<Store>,
        follow: Follow,
        clock: Clock,
    ) -> Result<Arc<Self>, StoreError> {
        let trust = follow.trust();
        let (trusted_until, current_at) = (AtomicU64::new(0), AtomicU64::new(0));
        let follower =
            Arc::new(Self { copy, store, clock, trust, trusted_until, current_at, position: Mutex::default() });
        match follow {
            Follow::Poll(every) => {
                follower.catch_up().await?;
                tokio::spawn(poll(Arc::downgrade(&follower), every));
            }
            Follow::Push(push) => {
                let listening = follower.listen(push).await?;
                tokio::spawn(hear(Arc::downgrade(&follower), push, Some(listening)));
            }
        }
        Ok(follower)
    }

    /// Whether the copy may be trusted at `now`.
    pub(crate) fn is_current(&self, now: UnixTime) -> bool {
        nanoseconds(now) < self.trusted_until.load(Ordering::Relaxed)
    }

    /// Whether the copy was current a time ago, or since: what those ask who may use an old one where there is no answer.
    pub(crate) fn was_current(&self, ago: Duration, now: UnixTime) -> bool {
        nanoseconds(now) < self.current_at.load(Ordering::Relaxed).saturating_add(ago.as_nanos() as u64)
    }

    /// Reads what was added since the copy was last current.
    pub(crate) async fn catch_up(&self) -> Result<(), StoreError> {
        let mut position = self.position.lock().await;
        // The copy is as current as when the reading began.
        let begun = self.clock.now();
        loop {
            let page = self.store.revocations_after(*position).await?;
            let more = page.len() == PAGE;
            for entry in page {
                self.copy.revoke(&entry.revocation, Some(entry.until));
                *position = entry.position;
            }
            if !more {
                break;
            }
        }
        self.trust_from(begun);
        Ok(())
    }

    async fn listen(&self, push: Push) -> Result<Listening, StoreError> {
        let listening = self.store.listen(push).await?;
        let begun = self.clock.now();
        match push {
            Push::Tracking => {
                self.copy.forget();
                self.trust_from(begun);
            }
            Push::Pubsub | Push::Notify => self.catch_up().await?,
        }
        Ok(listening)
    }

    async fn take_in(&self, news: News) -> Result<(), StoreError> {
        match news {
            News::Added => self.catch_up().await?,
            News::Written(written) => written.iter().for_each(|revocation| self.copy.revoke(revocation, None)),
            News::Anything => self.copy.forget(),
        }
        Ok(())
    }

    fn trust_from(&self, begun: UnixTime) {
        self.trusted_until.fetch_max(nanoseconds(UnixTime(begun.0 + self.trust)), Ordering::Relaxed);
        self.current_at.fetch_max(nanoseconds(begun), Ordering::Relaxed);
    }

    /// The copy may be behind from now on.
    fn distrust(&self) {
        self.trusted_until.store(0, Ordering::Relaxed);
    }
}

fn nanoseconds(time: UnixTime) -> u64 {
    u64::try_from(time.0.as_nanos()).unwrap_or(u64::MAX)
}

/// Catches up at the interval from a random phase on, as independent validators would.
async fn poll<C: LocalCopy>(follower: Weak<Follower<C>>, every: Duration) {
    sleep(every.mul_f64(rand::random::<f64>())).await;
    let mut ticks = ticks(every);
    let mut trouble = Trouble::default();
    loop {
        ticks.tick().await;
        let Some(follower) = follower.upgrade() else { return };
        // One that hangs is not waited for longer than the copy is trusted.
        let read = timeout(follower.trust, follower.catch_up()).await;
        let read = read.unwrap_or_else(|late| Err(StoreError::new("read what is revoked", late)));
        trouble.report(read.err());
        follower.copy.prune(follower.clock.now());
    }
}

/// Listens, and listens again where the connection is lost.
async fn hear<C: LocalCopy>(follower: Weak<Follower<C>>, push: Push, mut listening: Option<Listening>) {
    let mut pause = PAUSE.0;
    let mut trouble = Trouble::default();
    loop {
        if let Some(listening) = &mut listening {
            pause = PAUSE.0;
            trouble.report(None);
            let Some(lost) = until_lost(&follower, listening).await else { return };
            trouble.report(Some(lost));
        }
        sleep(pause.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
        let Some(follower) = follower.upgrade() else { return };
        match follower.listen(push).await {
            Ok(again) => listening = Some(again),
            Err(error) => {
                listening = None;
                trouble.report(Some(error));
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// Takes in what is told; returns why no more is, or nothing when nobody holds the copy any more.
async fn until_lost<C: LocalCopy>(follower: &Weak<Follower<C>>, listening: &mut Listening) -> Option<StoreError> {
    let mut beats = ticks(HEARTBEAT);
    loop {
        let news = tokio::select! {
            news = listening.next() => Some(news),
            _ = beats.tick() => None,
        };
        let follower = follower.upgrade()?;
        let begun = follower.clock.now();
        let heard = match news {
            Some(Some(news)) => follower.take_in(news).await,
            Some(None) => Err(StoreError::new("listen to the store", "the connection is lost")),
            // What was told before the sign of life is taken in before the copy is trusted for longer.
            None => match timeout(follower.trust, listening.ping()).await {
                Ok(Ok(())) => {
                    let mut told = Ok(());
                    while let (Ok(()), Some(news)) = (&told, next_at_once(listening).await) {
                        told = match news {
                            Some(news) => follower.take_in(news).await,
                            None => Err(StoreError::new("listen to the store", "the connection is lost")),
                        };
                    }
                    told.map(|()| follower.trust_from(begun))
                }
                Ok(Err(error)) => Err(error),
                Err(late) => Err(StoreError::new("hear from the store", late)),
            },
        };
        follower.copy.prune(begun);
        if let Err(error) = heard {
            follower.distrust();
            return Some(error);
        }
    }
}

/// What has been told already; `None` when there is nothing.
async fn next_at_once(listening: &mut Listening) -> Option<Option<News>> {
    tokio::select! {
        biased;
        news = listening.next() => Some(news),
        () = async {} => None,
    }
}

fn ticks(every: Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Logs that following fails, and that it works again; not every attempt in between.
#[derive(Default)]
struct Trouble(Option<String>);

impl Trouble {
    fn report(&mut self, error: Option<StoreError>) {
        let text = error.map(|error| error.to_string());
        if text == self.0 {
            return;
        }
        match &text {
            Some(error) => tracing::warn!(error, "revocations are not heard of; copies are not trusted for long"),
            None => tracing::info!("revocations are heard of again"),
        }
        self.0 = text;
    }
}
