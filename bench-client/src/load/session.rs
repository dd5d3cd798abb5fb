//! Connections of one variant, kept across slices, and the ways to load them: by a schedule, and in a loop; or to open
//! new ones in a loop.
//!
//! All slots of a slice run as one future of the calling thread: nothing is shared between threads, and an answer costs
//! no hand-over between tasks.

mod connections;
mod watch;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bench_server::contract::HttpVersion;
use futures_util::StreamExt as _;
use futures_util::stream;
use rand::rngs::ChaCha8Rng;
use tokio::sync::Mutex;

use self::watch::join_until;
use super::schedule::{Profile, Schedule};
use super::slice::{EXTENSION_MAX, Slice};
use super::slot::{Slot, Wire};
use super::{Endpoint, LoadError, PATIENCE, Tally, http2};
use crate::cell::Cell;
use crate::credential::{Pool, rng};
use crate::machine::TcpReading;
use crate::machine::Timer;
use crate::outcome::{Outcome, Transport};
use crate::plan::{ArrivalModel, ClientWait, ConnectionKind};

/// Streams that share one connection in HTTP/2. Well below the 100 that RFC 9113 §6.5.2 asks servers to allow at least,
/// so that nothing ever queues for a stream.
const STREAMS_PER_CONNECTION: usize = 16;

/// Connections that are opened at a time: below the backlog of every listener.
const OPENING: usize = 32;

/// Connections of one variant, kept across slices.
pub struct Session {
    wire: Wire,
    pool: Arc<Pool>,
    slots: Vec<Slot>,
    timer: Timer,
    seed: u64,
    /// Slices so far: each draws from streams of its own.
    slices: u64,
    extension: Duration,
    patience: Duration,
    wait: ClientWait,
}

impl Session {
    /// Opens `connections` connections and renders every credential's request. With client certificates connection `i`
    /// presents credential `i` (modulo the pool) for its whole life, and so do the fresh and resumed ones in its place.
    ///
    /// Over HTTP/2 `connections` counts requests in flight: sixteen share one TCP connection.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn open(
        endpoint: Endpoint,
        pool: Arc<Pool>,
        connections: usize,
        seed: u64,
        wait: ClientWait,
    ) -> Result<Self, LoadError> {
        let wire = Wire::new(&endpoint, pool.issued())?;
        let timer = Timer::new().map_err(LoadError::Timer)?;
        let shared: Vec<Arc<http2::Shared>> = match endpoint.http {
            HttpVersion::Http1 => Vec::new(),
            HttpVersion::Http2 => (0..connections.div_ceil(STREAMS_PER_CONNECTION)).map(|_| Arc::default()).collect(),
        };
        let mut slots = Vec::with_capacity(connections);
        for i in 0..connections {
            // What is kept, and its certificate, is the TCP connection.
            let connection = i.checked_rem(shared.len()).unwrap_or(i);
            let index = connection % pool.issued().len();
            slots.push(Slot::new(&wire, index, &pool.issued()[index], shared.get(connection).cloned())?);
        }
        let mut session =
            Self { wire, pool, slots, timer, seed, slices: 0, extension: EXTENSION_MAX, patience: PATIENCE, wait };
        session.connect(endpoint.address).await?;
        Ok(session)
    }

    /// Opens what is not open.
    async fn connect(&mut self, address: SocketAddr) -> Result<(), LoadError> {
        let failed = |message: String| LoadError::Connect { address, message };
        let wire = &self.wire;
        let mut opening =
            stream::iter(self.slots.iter_mut().map(|slot| tokio::time::timeout(PATIENCE, slot.open(wire))))
                .buffer_unordered(OPENING);
        while let Some(opened) = opening.next().await {
            match opened {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(failed(error.source.to_string())),
                Err(_) => return Err(failed(format!("no connection within {} s", PATIENCE.as_secs()))),
            }
        }
        Ok(())
    }

    /// Puts new connections in the place of those that are kept (of HTTP/1.1): where the kernel has their buffers is part
    /// of what makes one set of connections differ from another. Each carries a request that is not counted: with its
    /// answer the session tickets are read that TLS 1.3 sends after the handshake.
    ///
    /// # Errors
    /// [`LoadError::Connect`].
    pub async fn reconnect(&mut self, endpoint: &Endpoint) -> Result<(), LoadError> {
        for slot in &mut self.slots {
            slot.close_kept().await;
        }
        self.connect(endpoint.address).await?;
        // Too short for a second request on any of them.
        self.closed_loop(Duration::from_nanos(1), self.slots.len(), ConnectionKind::Reused, &mut Tally::new()).await;
        Ok(())
    }

    /// Whether the thread looks for answers rather than sleep. Connections of HTTP/2 are tasks of their own, of which
    /// nobody could tell whether they had something to do.
    fn watches(&self) -> bool {
        self.wait == ClientWait::Poll && self.wire.http == HttpVersion::Http1 && crate::machine::has_own_processor()
    }

    /// One open-loop slice over the first `connections` connections: arrivals of the model for `length`, and on until
    /// all of those are answered (at most 2 s more); then waiting for the answers still out. `offset` is where in the
    /// profile the slice begins. Fewer connections are used if fewer were opened.
    ///
    /// A request that finds no connection free is sent late; one still unsent 2 s after the slice is dropped. An answer
    /// that takes more than 10 s beyond the slice is a timeout. The slice is added to `tally`.
    pub async fn open_loop(
        &mut self,
        load: OpenLoop<'_>,
        offset: Duration,
        length: Duration,
        connections: usize,
        kind: ConnectionKind,
        tally: &mut Tally,
    ) {
        let (schedule_rng, credential_rng) = self.next_streams();
        let schedule = Schedule::new(load.model, load.profile, offset, schedule_rng);
        let arrivals = Mutex::new(Arrivals { schedule, pool: &self.pool, rng: credential_rng });
        let watches = self.watches();
        let slots = first(&mut self.slots, connections);
        let before = self.wire.connector.traffic.totals();
        prepare(&self.wire, slots, kind).await;

        let slice = Slice::begin(length, self.extension, tally);
        let deadline = slice.end + self.patience;
        let workers = slots.iter_mut().map(|slot| follow(slot, &self.wire, kind, &arrivals, &self.timer, &slice));
        let polled = join_until(deadline, watches, workers).await;

        let counted = slice.finish(Instant::now());
        let mut unsent = arrivals.into_inner();
        tally.dropped +=
            std::iter::repeat_with(|| unsent.next()).take_while(|arrival| arrival.due < counted).count() as u64;
        tally.polled += polled;
        self.finish(connections, before, tally);
    }

    /// One closed-loop slice over the first `connections` connections for `length`, and on until what was sent in it is
    /// answered (at most 2 s more); then waiting for the answers still out. Fewer connections are used if fewer were
    /// opened. The slice is added to `tally`.
    pub async fn closed_loop(&mut self, length: Duration, connections: usize, kind: ConnectionKind, tally: &mut Tally) {
        let (_, credential_rng) = self.next_streams();
        let credentials = RefCell::new(Credentials { pool: &self.pool, rng: credential_rng });
        let watches = self.watches();
        let slots = first(&mut self.slots, connections);
        let before = self.wire.connector.traffic.totals();
        prepare(&self.wire, slots, kind).await;

        let slice = Slice::begin(length, self.extension, tally);
        let deadline = slice.end + self.patience;
        let workers = slots.iter_mut().map(|slot| repeat(slot, &self.wire, kind, &credentials, &slice));
        let polled = join_until(deadline, watches, workers).await;

        slice.finish(Instant::now());
        tally.polled += polled;
        self.finish(connections, before, tally);
    }

    /// What the kernel has counted so far on the connections that are open, of all slices and of what came before them.
    pub fn tcp(&self) -> Cell<TcpReading> {
        self.wire.connector.traffic.tcp().into()
    }

    /// Generators for the schedule and for the credentials of the next slice.
    fn next_streams(&mut self) -> (ChaCha8Rng, ChaCha8Rng) {
        let stream = 2 * self.slices;
        self.slices += 1;
        (rng(self.seed, stream), rng(self.seed, stream + 1))
    }

    /// Counts what the slice left behind.
    fn finish(&mut self, connections: usize, before: super::connect::Totals, tally: &mut Tally) {
        for slot in first(&mut self.slots, connections) {
            if slot.abandon() {
                tally.outcomes.add(Outcome::Failed(Transport::Timeout));
            }
        }
        tally.add_traffic(before, self.wire.connector.traffic.totals());
    }
}

fn first(slots: &mut [Slot], connections: usize) -> &mut [Slot] {
    let connections = connections.min(slots.len());
    &mut slots[..connections]
}

/// Brings the slots to where the slice can begin: kept connections that the server closed meanwhile are opened again,
/// sessions to resume are made. What fails here fails again, and counts, inside the slice.
async fn prepare(wire: &Wire, slots: &mut [Slot], kind: ConnectionKind) {
    let preparing = slots.iter_mut().enumerate().map(|(i, slot)| async move {
        let prepared = async {
            match kind {
                ConnectionKind::Reused => {
                    slot.drop_dead().await;
                    drop(slot.open(wire).await);
                }
                ConnectionKind::Fresh => {}
                ConnectionKind::Resumed => {
                    let credential = slot.certificate.unwrap_or(i % wire.requests.len());
                    slot.prime(wire, credential).await;
                }
            }
        };
        if tokio::time::timeout(PATIENCE, prepared).await.is_err() {
            // It was no request of the slice.
            slot.abandon();
        }
    });
    stream::iter(preparing).buffer_unordered(OPENING).collect::<()>().await;
}

/// An open loop's arrivals.
#[derive(Debug, Clone, Copy)]
pub struct OpenLoop<'a> {
    /// How they are spaced.
    pub model: ArrivalModel,
    /// How many there are.
    pub profile: &'a Profile,
}

/// What is due when, and who asks: all of it fixed by the seed, however the server answers.
struct Arrivals<'a> {
    schedule: Schedule<'a>,
    pool: &'a Pool,
    rng: ChaCha8Rng,
}

/// A request of the schedule.
struct Arrival {
    due: Duration,
    credential: usize,
}

impl Arrivals<'_> {
    /// The next one; there is always another.
    fn next(&mut self) -> Arrival {
        Arrival { due: self.schedule.next_due(), credential: self.pool.pick(&mut self.rng) }
    }
}

/// Sends what is due until the slice ends.
///
/// The mutex is the queue of free slots: whoever holds it takes the next arrival and waits for its time, the others wait
/// for the mutex in the order in which they became free. So at most one slot waits for the clock. If all are busy, the
/// next to become free finds an arrival whose time has passed and sends it at once: it queued.
async fn follow(
    slot: &mut Slot,
    wire: &Wire,
    kind: ConnectionKind,
    arrivals: &Mutex<Arrivals<'_>>,
    timer: &Timer,
    slice: &Slice<'_>,
) {
    loop {
        let free = Instant::now();
        let mut arrivals = arrivals.lock().await;
        let arrival = arrivals.next();
        let intended = slice.start + arrival.due;
        let proper = intended < slice.end;
        if !proper {
            // What follows is due only while answers to the slice proper are out.
            slice.all_sent(free);
            tokio::select! {
                biased;
                () = slice.wait_for_end() => {}
                _ = timer.wait_until(intended) => {}
            }
            if slice.ended().is_some_and(|ended| ended <= intended) {
                break;
            }
        }
        let sent = timer.wait_until(intended).await;
        drop(arrivals);
        if sent >= slice.latest {
            slice.note(|tally| tally.dropped += 1);
            break;
        }
        slice.sending(proper);
        let outcome = slot.request(wire, kind, slot.certificate.unwrap_or(arrival.credential)).await;
        let done = Instant::now();
        slice.answered(proper, done);
        slice.note(|tally| {
            tally.scheduled(intended, free, sent, done, outcome);
            tally.occupied(sent, done, slice.ended());
        });
        slot.close_spent().await;
        slot.pause_after_failures().await;
    }
}

/// Who asks next in a closed loop.
struct Credentials<'a> {
    pool: &'a Pool,
    rng: ChaCha8Rng,
}

impl Credentials<'_> {
    fn pick(&mut self) -> usize {
        self.pool.pick(&mut self.rng)
    }
}

/// Sends again as soon as the last answer came, until the slice ends.
async fn repeat(
    slot: &mut Slot,
    wire: &Wire,
    kind: ConnectionKind,
    credentials: &RefCell<Credentials<'_>>,
    slice: &Slice<'_>,
) {
    // Every connection's first request is due when the slice begins, though they are written one after the other.
    let mut sent = slice.start;
    loop {
        let proper = sent < slice.end;
        if !proper {
            slice.all_sent(sent);
            if slice.ended().is_some() {
                break;
            }
        }
        let credential = slot.certificate.unwrap_or_else(|| credentials.borrow_mut().pick());
        slice.sending(proper);
        let outcome = slot.request(wire, kind, credential).await;
        let done = Instant::now();
        slice.answered(proper, done);
        slice.note(|tally| {
            tally.looped(sent, done, slice.ended(), outcome);
            tally.occupied(sent, done, slice.ended());
        });
        // On a kept connection the next request follows at once, and one reading of the clock serves both.
        sent = done;
        if kind != ConnectionKind::Reused || outcome != Outcome::Accepted {
            slot.close_spent().await;
            slot.pause_after_failures().await;
            sent = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests;
