//! Running the workers of a slice, without falling asleep between answers where that can be had.
//!
//! A thread that sleeps must be woken, and on loopback the server that answers pays for it: the wake-up of an idle
//! virtual processor is several microseconds of the kernel's time inside the server's `send`, and tens of microseconds
//! until the answer is noticed. A client on another machine costs its server nothing of the kind. So a client that has
//! a processor of its own looks for answers all the time, and says how much of its processor time that was.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;

/// A look takes a microsecond or two. One that took longer than this was interrupted, and most of its time went to whoever
/// had the processor meanwhile: counted as ours, it would be taken out of a processor time that it is not in.
const LONGEST_LOOK: Duration = Duration::from_micros(20);

/// Runs the workers of a slice to their end, or drops them at `deadline`. Returns how long a thread that watches was
/// found to have nothing to do.
pub(super) async fn join_until<F: Future<Output = ()>>(
    deadline: Instant,
    watches: bool,
    workers: impl Iterator<Item = F>,
) -> Duration {
    let busy = Cell::new(false);
    let idle = Cell::new(Duration::ZERO);
    let mut workers: FuturesUnordered<Worker<'_, F>> =
        workers.map(|worker| Worker { worker: Box::pin(worker), busy: &busy }).collect();
    let all = async { while workers.next().await.is_some() {} };
    let joined = async {
        let mut all = pin!(all);
        if !watches {
            return all.await;
        }
        let mut since = Instant::now();
        loop {
            // `yield_now` comes back after the runtime has looked for input, output and timers.
            match select(all.as_mut(), pin!(tokio::task::yield_now())).await {
                Either::Left(_) => return,
                Either::Right(_) => {
                    let now = Instant::now();
                    if !busy.replace(false) {
                        idle.set(idle.get() + (now - since).min(LONGEST_LOOK));
                    }
                    since = now;
                }
            }
        }
    };
    // Unconstrained: tokio's budget is meant for one connection per task, and would here be used up by the first few
    // slots of every round. `FuturesUnordered` gives way to the runtime by itself.
    let _ = tokio::time::timeout_at(deadline.into(), tokio::task::unconstrained(joined)).await;
    idle.get()
}

/// A worker that tells when it had something to do.
struct Worker<'a, F> {
    worker: Pin<Box<F>>,
    busy: &'a Cell<bool>,
}

impl<F: Future> Future for Worker<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.busy.set(true);
        self.worker.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(60);

    async fn wait() {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }

    #[tokio::test]
    async fn a_thread_that_watches_counts_what_it_waited_and_no_work() {
        let begun = Instant::now();
        let polled = join_until(begun + LATER, true, [wait(), wait()].into_iter()).await;
        assert!(!polled.is_zero() && polled <= begun.elapsed(), "{polled:?}");

        let work = Duration::from_millis(5);
        let working = async move {
            let begun = Instant::now();
            while begun.elapsed() < work {
                tokio::task::yield_now().await;
            }
        };
        let begun = Instant::now();
        let polled = join_until(begun + LATER, true, std::iter::once(working)).await;
        assert!(begun.elapsed() - polled >= work, "{polled:?} of {:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_thread_that_sleeps_polls_nothing() {
        assert_eq!(join_until(Instant::now() + LATER, false, std::iter::once(wait())).await, Duration::ZERO);
    }

    #[tokio::test]
    async fn the_deadline_ends_workers_that_never_would() {
        for watches in [false, true] {
            let deadline = Instant::now() + Duration::from_millis(5);
            join_until(deadline, watches, std::iter::once(std::future::pending())).await;
            assert!(Instant::now() >= deadline);
        }
    }
}
