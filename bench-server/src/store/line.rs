//! Connections to a store in a server of its own: some for each runtime that asks, so that no request waits for a thread
//! other than its own; made when they are needed, by one caller for all who wait, and made anew once they broke.
//!
//! While the store is down, callers are not kept waiting for one attempt after another: what failed a moment ago has
//! failed for them too.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::{self, Handle};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::StoreError;

/// Time between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(50);

/// The connections of a process to one store.
pub(crate) struct Lines<C> {
    /// Connections of each runtime. A request takes the least busy one: one caller at a time keeps to one connection, whose
    /// other end is warm.
    count: usize,
    by_runtime: RwLock<Vec<(runtime::Id, Arc<Bundle<C>>)>>,
}

/// The connections of one runtime.
struct Bundle<C> {
    lines: Box<[Line<C>]>,
}

struct Line<C> {
    current: ArcSwapOption<C>,
    /// Requests that hold it.
    busy: AtomicUsize,
    /// When the last attempt failed, and how. Held while one is made.
    failed: Mutex<Option<(Instant, String)>>,
}

/// A connection while a request uses it.
pub(crate) struct Held<C> {
    connection: Arc<C>,
    /// Counts it as busy; dropped with it.
    _place: Place<C>,
}

impl<C> Deref for Held<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.connection
    }
}

/// A line that somebody uses, by its number.
struct Place<C> {
    bundle: Arc<Bundle<C>>,
    number: usize,
}

impl<C> Place<C> {
    fn least_busy(bundle: Arc<Bundle<C>>) -> Self {
        let busy = |(_, line): &(usize, &Line<C>)| line.busy.load(Ordering::Relaxed);
        let number = bundle.lines.iter().enumerate().min_by_key(busy).map_or(0, |(number, _)| number);
        bundle.lines[number].busy.fetch_add(1, Ordering::Relaxed);
        Self { bundle, number }
    }

    fn line(&self) -> &Line<C> {
        &self.bundle.lines[self.number]
    }
}

impl<C> Drop for Place<C> {
    fn drop(&mut self) {
        self.line().busy.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C> Lines<C> {
    /// `count` for each runtime.
    pub(crate) fn new(count: usize) -> Self {
        Self { count, by_runtime: RwLock::default() }
    }

    /// A connection of the calling runtime, by `connect` if there is none that `is_good`.
    pub(crate) async fn get(
        &self,
        is_good: impl Fn(&C) -> bool,
        connect: impl AsyncFnOnce() -> Result<C, StoreError>,
    ) -> Result<Held<C>, StoreError> {
        let place = Place::least_busy(self.bundle());
        let line = place.line();
        let current = || line.current.load_full().filter(|current| is_good(current));
        if let Some(connection) = current() {
            return Ok(Held { connection, _place: place });
        }
        let mut failed = line.failed.lock().await;
        if let Some(connection) = current() {
            drop(failed);
            return Ok(Held { connection, _place: place });
        }
        if let Some((when, why)) = &*failed
            && when.elapsed() < PAUSE
        {
            return Err(StoreError::new("connect a moment ago", why.clone()));
        }
        match connect().await {
            Ok(made) => {
                let connection = Arc::new(made);
                // Before the next in line looks.
                line.current.store(Some(connection.clone()));
                *failed = None;
                drop(failed);
                Ok(Held { connection, _place: place })
            }
            Err(error) => {
                line.current.store(None);
                *failed = Some((Instant::now(), error.to_string()));
                Err(error)
            }
        }
    }

    fn bundle(&self) -> Arc<Bundle<C>> {
        let runtime = Handle::current().id();
        let of_this = |(of, _): &&(runtime::Id, Arc<Bundle<C>>)| *of == runtime;
        let known = self.by_runtime.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bundle)) = known.iter().find(of_this) {
            return bundle.clone();
        }
        drop(known);
        let mut known = self.by_runtime.write().unwrap_or_else(PoisonError::into_inner);
        // Only this thread adds connections of its own runtime, unless that has several threads.
        if let Some((_, bundle)) = known.iter().find(of_this) {
            return bundle.clone();
        }
        let line = || Line { current: ArcSwapOption::empty(), busy: AtomicUsize::default(), failed: Mutex::default() };
        let bundle = Arc::new(Bundle { lines: (0..self.count).map(|_| line()).collect() });
        known.push((runtime, bundle.clone()));
        bundle
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use futures_util::future::join_all;

    use super::*;

    #[derive(Default)]
    struct Connection {
        number: usize,
        broken: AtomicBool,
    }

    #[derive(Default)]
    struct Server {
        attempts: AtomicUsize,
        down: AtomicBool,
    }

    impl Server {
        async fn connect(&self) -> Result<Connection, StoreError> {
            let number = self.attempts.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.down.load(Ordering::Relaxed) {
                return Err(StoreError::new("connect", "refused"));
            }
            Ok(Connection { number, broken: AtomicBool::new(false) })
        }
    }

    async fn get(lines: &Lines<Connection>, server: &Server) -> Result<Held<Connection>, StoreError> {
        lines.get(|connection| !connection.broken.load(Ordering::Relaxed), || server.connect()).await
    }

    #[tokio::test(start_paused = true)]
    async fn one_caller_connects_for_all_and_again_when_it_broke() {
        let (lines, server) = (Lines::new(1), Server::default());
        let made = join_all((0..10).map(|_| get(&lines, &server))).await;
        assert!(made.iter().all(|made| made.as_ref().expect("connected").number == 0));
        made[0].as_ref().expect("connected").broken.store(true, Ordering::Relaxed);
        assert_eq!(get(&lines, &server).await.expect("anew").number, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_is_down_nobody_waits_for_attempt_after_attempt() {
        let (lines, server) = (Lines::new(1), Server::default());
        server.down.store(true, Ordering::Relaxed);
        let before = Instant::now();
        let made = join_all((0..100).map(|_| get(&lines, &server))).await;
        assert!(made.iter().all(Result::is_err));
        assert_eq!(server.attempts.load(Ordering::Relaxed), 1);
        assert!(before.elapsed() < PAUSE);
        server.down.store(false, Ordering::Relaxed);
        tokio::time::advance(PAUSE).await;
        assert_eq!(get(&lines, &server).await.expect("it is up again").number, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spread_and_each_runtime_has_its_own() {
        let (lines, server) = (Arc::new(Lines::new(3)), Arc::new(Server::default()));
        let made = join_all((0..9).map(|_| get(&lines, &server))).await;
        let mut numbers: Vec<_> = made.iter().map(|made| made.as_ref().expect("connected").number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
        let (lines, server) = (lines.clone(), server.clone());
        let elsewhere = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
            runtime.block_on(get(&lines, &server)).expect("connected").number
        });
        assert_eq!(elsewhere.join().expect("no panic"), 3);
    }
}
