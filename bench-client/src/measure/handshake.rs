//! `handshake`: what a record keeps of new connections, and what a reader should know of them. The trial itself is one
//! under load, like any other; see [`super::load`].

use crate::load::Handshakes;
use crate::plan::ConnectionKind;
use crate::record::{EncodedHistogram, HandshakeResult, LoadResult};

/// What a record keeps.
pub(super) fn result(load: LoadResult, handshakes: &Handshakes) -> HandshakeResult {
    HandshakeResult {
        load,
        connections: handshakes.connections,
        ready: EncodedHistogram::encode(&handshakes.ready),
        tcp: EncodedHistogram::encode(&handshakes.tcp),
        tls: EncodedHistogram::encode(&handshakes.tls),
        first_answer: EncodedHistogram::encode(&handshakes.first_answer),
        certificates: handshakes.certificates,
        not_closed: handshakes.not_closed,
        key_exchange: handshakes.key_exchange.clone(),
    }
}

/// What the handshakes turned out to be, where that is not what was asked for; the numbers are then about something else.
pub(super) fn findings(result: &HandshakeResult, asked: ConnectionKind) -> Vec<String> {
    let mut findings = Vec::new();
    let (full, all) = (result.load.handshakes_full, result.load.handshakes_full + result.load.handshakes_resumed);
    if asked == ConnectionKind::Resumed && full > 0 {
        findings.push(format!("of {all} connections that offered a session, {full} made a full handshake"));
    }
    if result.not_closed > 0 {
        findings.push(format!(
            "the server left {} connections open for 1 s after they were ended by close_notify; the client closed them, and \
             its ports to that address may run out",
            result.not_closed
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use bench_server::contract::Counters;

    use super::*;
    use crate::outcome::Outcomes;
    use crate::record::new_histogram;

    fn ended(full: u64, resumed: u64, not_closed: u64) -> HandshakeResult {
        let empty = EncodedHistogram::encode(&new_histogram());
        let load = LoadResult {
            measured_ns: 1,
            requested_rate_per_s: None,
            dropped: 0,
            outcomes: Outcomes::default(),
            answered: 0,
            latency: empty.clone(),
            service_time: empty.clone(),
            queued: 0,
            lateness: None,
            bytes_sent: 0,
            bytes_received: 0,
            handshakes_full: full,
            handshakes_resumed: resumed,
            client_cpu_ns: 0,
            server_cpu_ns: None,
            server: Counters::default(),
            validation: empty,
            steal: None,
        };
        result(load, &Handshakes { not_closed, ..Handshakes::default() })
    }

    #[test]
    fn a_session_that_was_not_resumed_is_told() {
        assert_eq!(findings(&ended(0, 9, 0), ConnectionKind::Resumed), Vec::<String>::new());
        assert_eq!(findings(&ended(9, 0, 0), ConnectionKind::Fresh), Vec::<String>::new());
        let told = findings(&ended(2, 7, 0), ConnectionKind::Resumed);
        assert_eq!(told, ["of 9 connections that offered a session, 2 made a full handshake"]);
    }

    #[test]
    fn a_server_that_does_not_close_is_told() {
        assert!(findings(&ended(9, 0, 3), ConnectionKind::Fresh)[0].contains("left 3 connections open"));
    }
}
