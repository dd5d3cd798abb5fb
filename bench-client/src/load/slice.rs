//! How long a slice is counted.
//!
//! Slices of several cases alternate, and between two of them nothing is due: a server that stalls over the end of a
//! slice would be charged for the part of the stall that lies within, however long it lasts. So load goes on until every
//! request of the slice proper is answered, and what comes until then counts, too. In quiet times that is one latency
//! more; a stall is charged in full.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Tally;

/// Longest that load goes on behind the end of a slice. Without a bound a server that cannot keep up would be loaded for
/// ever.
pub(super) const EXTENSION_MAX: Duration = Duration::from_secs(2);

/// One slice, shared by its workers.
pub(super) struct Slice<'a> {
    pub(super) start: Instant,
    /// When the slice proper ends.
    pub(super) end: Instant,
    /// When load ends however many requests are out.
    pub(super) latest: Instant,
    /// Requests of the slice proper that are out.
    out: Cell<usize>,
    /// Whether all of the slice proper has been sent.
    all_sent: Cell<bool>,
    /// When counting ended.
    ended: Cell<Option<Instant>>,
    over: Notify,
    tally: RefCell<&'a mut Tally>,
}

impl<'a> Slice<'a> {
    /// Begins now.
    pub(super) fn begin(length: Duration, extension: Duration, tally: &'a mut Tally) -> Self {
        let start = Instant::now();
        let end = start + length;
        Self {
            start,
            end,
            latest: end + extension,
            out: Cell::new(0),
            all_sent: Cell::new(false),
            ended: Cell::new(None),
            over: Notify::new(),
            tally: RefCell::new(tally),
        }
    }

    /// A request goes out; the slice waits for those that are its proper.
    pub(super) fn sending(&self, proper: bool) {
        self.out.set(self.out.get() + usize::from(proper));
    }

    /// A request came back, whatever it came to.
    pub(super) fn answered(&self, proper: bool, now: Instant) {
        self.out.set(self.out.get() - usize::from(proper));
        if self.all_sent.get() {
            self.end_if_answered(now);
        }
    }

    /// From now on nothing is sent that is the slice's proper.
    pub(super) fn all_sent(&self, now: Instant) {
        self.all_sent.set(true);
        self.end_if_answered(now);
    }

    fn end_if_answered(&self, now: Instant) {
        if self.ended.get().is_none() && (self.out.get() == 0 || now >= self.latest) {
            self.ended.set(Some(now.clamp(self.end, self.latest)));
            self.over.notify_one();
        }
    }

    /// When counting ended, if it has.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    /// Waits until counting has ended. For one waiter at a time.
    pub(super) async fn wait_for_end(&self) {
        while self.ended.get().is_none() {
            self.over.notified().await;
        }
    }

    /// Notes something in the tally.
    pub(super) fn note(&self, note: impl FnOnce(&mut Tally)) {
        note(&mut self.tally.borrow_mut());
    }

    /// Adds the time that was counted to the tally, and returns it: up to `now` if workers were cut off before the end.
    pub(super) fn finish(self, now: Instant) -> Duration {
        let ended = self.ended.get().unwrap_or_else(|| now.clamp(self.end, self.latest));
        let counted = ended - self.start;
        self.tally.into_inner().measured += counted;
        counted
    }
}
