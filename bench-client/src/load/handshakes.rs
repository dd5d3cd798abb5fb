//! What connections took to come about, added up over slices.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::connect::{Established, Totals};
use crate::record::new_histogram;

/// Connections of a loop that opens one after the other.
pub struct Handshakes {
    /// Connections that carried all their requests.
    pub connections: u64,
    /// Begin of the connect → ready for application data, nanoseconds.
    pub ready: Histogram<u64>,
    /// Of it, the part of TCP: until its own handshake was done.
    pub tcp: Histogram<u64>,
    /// Of it, the part of TLS.
    pub tls: Histogram<u64>,
    /// Begin of the connect → last byte of the first answer, nanoseconds.
    pub first_answer: Histogram<u64>,
    /// See [`crate::record::HandshakeResult::certificates`].
    pub certificates: u64,
    /// See [`crate::record::HandshakeResult::not_closed`].
    pub not_closed: u64,
    /// See [`crate::record::HandshakeResult::key_exchange`].
    pub key_exchange: BTreeMap<String, u64>,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self {
            connections: 0,
            ready: new_histogram(),
            tcp: new_histogram(),
            tls: new_histogram(),
            first_answer: new_histogram(),
            certificates: 0,
            not_closed: 0,
            key_exchange: BTreeMap::new(),
        }
    }
}

impl Handshakes {
    /// Counts a connection that is ready for application data.
    pub(super) fn ready(&mut self, established: &Established) {
        self.ready.saturating_record(nanoseconds(established.tcp + established.tls));
        self.tcp.saturating_record(nanoseconds(established.tcp));
        self.tls.saturating_record(nanoseconds(established.tls));
        let Some(group) = established.key_exchange else { return };
        match self.key_exchange.get_mut(group) {
            Some(count) => *count += 1,
            None => drop(self.key_exchange.insert(group.to_owned(), 1)),
        }
    }

    /// Counts a first answer, that long after the connect began.
    pub(super) fn answered(&mut self, after: Duration) {
        self.first_answer.saturating_record(nanoseconds(after));
    }

    /// Both together.
    pub(super) fn merged(mut self, other: Self) -> Self {
        self.connections += other.connections;
        for (own, other) in [
            (&mut self.ready, other.ready),
            (&mut self.tcp, other.tcp),
            (&mut self.tls, other.tls),
            (&mut self.first_answer, other.first_answer),
        ] {
            own.add(other).expect("all have the same bounds");
        }
        self.certificates += other.certificates;
        self.not_closed += other.not_closed;
        for (group, count) in other.key_exchange {
            *self.key_exchange.entry(group).or_default() += count;
        }
        self
    }

    /// Adds what connections did between two readings.
    pub(super) fn add_traffic(&mut self, before: Totals, after: Totals) {
        self.certificates += after.certificates - before.certificates;
        self.not_closed += after.not_closed - before.not_closed;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
