//! What slices of load measured, added up.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::Handshakes;
use super::connect::Totals;
use crate::outcome::{Outcome, Outcomes, Transport, Wanted};
use crate::record::new_histogram;

/// What slices of load measured, added up.
pub struct Tally {
    /// What is to come of the requests: the times of those alone are kept, so that a fast refusal never flatters.
    pub wanted: Wanted,
    /// Sum of the slices' lengths, each until its last request proper was answered.
    pub measured: Duration,
    /// Sum over requests of the time between actual send and last byte, as far as it lies within [`Tally::measured`].
    pub in_flight: Duration,
    /// Processor time in which the thread looked for answers and there were none.
    pub polled: Duration,
    /// Requests due and never sent.
    pub dropped: u64,
    /// See [`crate::record::LoadResult::outcomes`]. In a closed loop failures count whenever they end: a fault must not
    /// hide in the drain.
    pub outcomes: Outcomes,
    /// See [`crate::record::LoadResult::answered`].
    pub answered: u64,
    /// Intended time → last byte, of requests that ended as they were to, nanoseconds.
    pub latency: Histogram<u64>,
    /// Actual send → last byte, of the same, nanoseconds.
    pub service_time: Histogram<u64>,
    /// Intended time → actual send, nanoseconds, of requests that found a connection free; empty in a closed loop.
    pub lateness: Histogram<u64>,
    /// Open loop: requests that found every connection busy at their intended time.
    pub queued: u64,
    /// Bytes written to TCP.
    pub bytes_sent: u64,
    /// Bytes read from TCP.
    pub bytes_received: u64,
    /// TCP connections opened, those among them that replaced a closed one.
    pub connections_opened: u64,
    /// Full TLS handshakes.
    pub handshakes_full: u64,
    /// Resumed TLS handshakes.
    pub handshakes_resumed: u64,
    /// Connections opened one after the other, where that is the load.
    pub handshakes: Option<Box<Handshakes>>,
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    /// Nothing measured yet, of requests that are to be accepted.
    pub fn new() -> Self {
        Self::of(Wanted::Accepted)
    }

    /// Nothing measured yet.
    pub fn of(wanted: Wanted) -> Self {
        Self {
            wanted,
            measured: Duration::ZERO,
            in_flight: Duration::ZERO,
            polled: Duration::ZERO,
            dropped: 0,
            outcomes: Outcomes::default(),
            answered: 0,
            latency: new_histogram(),
            service_time: new_histogram(),
            lateness: new_histogram(),
            queued: 0,
            bytes_sent: 0,
            bytes_received: 0,
            connections_opened: 0,
            handshakes_full: 0,
            handshakes_resumed: 0,
            handshakes: None,
        }
    }

    /// Counts a request of an open loop, sent by a connection that had been free since `free`.
    ///
    /// Whether it went out late because the client was slow, or because the server kept every connection busy, are two
    /// things: the first spoils the measurement, the second is what is being measured.
    pub(crate) fn scheduled(
        &mut self,
        intended: Instant,
        free: Instant,
        sent: Instant,
        done: Instant,
        outcome: Outcome,
    ) {
        if free > intended {
            self.queued += 1;
        } else {
            self.lateness.saturating_record(nanoseconds(intended, sent));
        }
        self.count_answer(outcome);
        self.outcomes.add(outcome);
        if self.wanted.is(outcome) {
            self.latency.saturating_record(nanoseconds(intended, done));
            self.service_time.saturating_record(nanoseconds(sent, done));
        }
    }

    /// Counts a request of a closed loop. `ended`: when the slice's counting ended, if it has.
    pub(super) fn looped(&mut self, sent: Instant, done: Instant, ended: Option<Instant>, outcome: Outcome) {
        self.count_answer(outcome);
        let counted = ended.is_none_or(|ended| done <= ended);
        if counted || matches!(outcome, Outcome::Failed(_)) {
            self.outcomes.add(outcome);
        }
        if counted && self.wanted.is(outcome) {
            let service_time = nanoseconds(sent, done);
            self.latency.saturating_record(service_time);
            self.service_time.saturating_record(service_time);
        }
    }

    /// Counts a request on a connection that was opened for it and others: each of them counts, whenever it ends.
    pub(super) fn conversed(&mut self, sent: Instant, done: Instant, outcome: Outcome) {
        self.looped(sent, done, None, outcome);
        self.occupied(sent, done, None);
    }

    /// Counts a connection that did not come about.
    pub(super) fn refused(&mut self, outcome: Outcome) {
        self.count_answer(outcome);
        self.outcomes.add(outcome);
    }

    /// Adds the time that a request was in flight while the slice was counted.
    pub(super) fn occupied(&mut self, sent: Instant, done: Instant, ended: Option<Instant>) {
        self.in_flight += ended.map_or(done, |ended| ended.min(done)).saturating_duration_since(sent);
    }

    fn count_answer(&mut self, outcome: Outcome) {
        // 200 with the wrong name is an answer too, and the server worked for it.
        if !matches!(outcome, Outcome::Failed(cause) if cause != Transport::WrongPrincipal) {
            self.answered += 1;
        }
    }

    /// Both together.
    ///
    /// # Panics
    /// Never: all histograms have the same bounds.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        self.measured += other.measured;
        self.in_flight += other.in_flight;
        self.polled += other.polled;
        self.dropped += other.dropped;
        self.outcomes.merge(&other.outcomes);
        self.answered += other.answered;
        for (own, other) in [
            (&mut self.latency, other.latency),
            (&mut self.service_time, other.service_time),
            (&mut self.lateness, other.lateness),
        ] {
            own.add(other).expect("all have the same bounds");
        }
        self.queued += other.queued;
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.connections_opened += other.connections_opened;
        self.handshakes_full += other.handshakes_full;
        self.handshakes_resumed += other.handshakes_resumed;
        self.handshakes = match (self.handshakes, other.handshakes) {
            (Some(own), Some(other)) => Some(Box::new(own.merged(*other))),
            (own, other) => own.or(other),
        };
        self
    }

    /// Adds what connections did between two readings.
    pub(super) fn add_traffic(&mut self, before: Totals, after: Totals) {
        self.bytes_sent += after.sent - before.sent;
        self.bytes_received += after.received - before.received;
        self.connections_opened += after.opened - before.opened;
        self.handshakes_full += after.full - before.full;
        self.handshakes_resumed += after.resumed - before.resumed;
    }
}

fn nanoseconds(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
}
