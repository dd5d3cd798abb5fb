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
    let LoadResult { handshakes_full, handshakes_resumed, .. } = result.load;
    let not_resumed = (asked == ConnectionKind::Resumed).then(|| not_resumed(handshakes_full, handshakes_resumed));
    not_resumed.flatten().into_iter().chain(not_closed(result.not_closed)).collect()
}

fn not_resumed(full: u64, resumed: u64) -> Option<String> {
    let all = full + resumed;
    (full > 0).then(|| format!("of {all} connections that offered a session, {full} made a full handshake"))
}

fn not_closed(connections: u64) -> Option<String> {
    (connections > 0).then(|| {
        format!(
            "the server left {connections} connections open for 1 s after they were ended by close_notify; the client closed \
             them, and its ports to that address may run out"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_was_not_resumed_is_told() {
        assert_eq!(not_resumed(0, 9), None);
        let told = not_resumed(2, 7).expect("two were not");
        assert_eq!(told, "of 9 connections that offered a session, 2 made a full handshake");
    }

    #[test]
    fn a_server_that_does_not_close_is_told() {
        assert_eq!(not_closed(0), None);
        assert!(not_closed(3).expect("three were left").contains("left 3 connections open"));
    }
}
