//! Waits by the kernel's high-resolution timer: one `timerfd` for all that one thread of a runtime waits for, set to the
//! next end. A wait that nobody else is in front of costs one system call; the others cost none.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// Waits.
///
/// # Errors
/// The operating system gives no timer.
pub(super) async fn wait(delay: Duration) -> io::Result<()> {
    let end = Instant::now() + delay;
    let (done, ended) = oneshot::channel();
    Timer::of_this_thread()?.add(Wait { end, done })?;
    ended.await.map_err(|_| io::Error::other("the timer stopped"))
}

/// The timer of one thread of a runtime.
struct Timer {
    /// Readable once the next end has come.
    fd: AsyncFd<OwnedFd>,
    waits: Mutex<BinaryHeap<Wait>>,
}

/// Somebody who waits.
struct Wait {
    end: Instant,
    done: oneshot::Sender<()>,
}

impl Timer {
    fn of_this_thread() -> io::Result<Arc<Self>> {
        thread_local! {
            static TIMER: RefCell<Option<(runtime::Id, Arc<Timer>)>> = const { RefCell::new(None) };
        }
        let runtime = Handle::current().id();
        TIMER.with_borrow_mut(|known| {
            if let Some((of, timer)) = known
                && *of == runtime
            {
                return Ok(timer.clone());
            }
            let fd = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
            // Deprecated for values that may close or exchange their descriptor while it is registered, which an `OwnedFd`
            // cannot; its successor is unsafe, and this workspace forbids that.
            #[allow(deprecated)]
            let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
            let timer = Arc::new(Self { fd, waits: Mutex::default() });
            tokio::spawn(timer.clone().run());
            *known = Some((runtime, timer.clone()));
            Ok(timer)
        })
    }

    fn add(&self, wait: Wait) -> io::Result<()> {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waits.peek().is_none_or(|first| wait.end < first.end).then_some(wait.end);
        waits.push(wait);
        next.map_or(Ok(()), |end| self.set(end))
    }

    /// Ends waits for as long as the runtime lives.
    async fn run(self: Arc<Self>) {
        while let Ok(mut readable) = self.fd.readable().await {
            // Nothing is read: tokio is told of each expiry anew (edge-triggered), and setting the timer takes it back.
            readable.clear_ready();
            let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            while waits.peek().is_some_and(|first| first.end <= now) {
                let ended = waits.pop().expect("one was there");
                let _ = ended.done.send(()); // who has given up meanwhile does not hear it
            }
            let next = waits.peek().map(|first| first.end);
            if let Some(Err(error)) = next.map(|end| self.set(end)) {
                tracing::error!(%error, "the timer of delayed stores cannot be set");
                waits.clear(); // they hear of it
            }
        }
    }

    fn set(&self, end: Instant) -> io::Result<()> {
        // Zero would switch the timer off.
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(left).map_err(io::Error::other)?;
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(self.fd.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

/// Of two waits the one that ends earlier is the greater: it comes first out of the heap.
impl Ord for Wait {
    fn cmp(&self, other: &Self) -> Ordering {
        other.end.cmp(&self.end)
    }
}

impl PartialOrd for Wait {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Wait {
    fn eq(&self, other: &Self) -> bool {
        self.end == other.end
    }
}

impl Eq for Wait {}
