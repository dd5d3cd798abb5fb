//! Round trips, counted by what the protocols demand of a client before it may go on, and not by what a network did:
//! on loopback nothing could be told from times. A message that does not fit into the first window of TCP (RFC 6928: ten
//! segments) takes more; none of those counted here is that long.

use bench_server::contract::Transport;

/// What a TLS handshake turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshake {
    Full,
    /// Full, and begun again with a group that the server has (RFC 8446 §2.1).
    Retried,
    Resumed,
}

/// A request and its answer.
pub(super) const REQUEST: u32 = 1;

/// Until a new connection carries a request: one for TCP, whose last segment may carry data (RFC 9293 §3.5), and those of
/// TLS. A client certificate travels in a flight that is sent anyway.
pub(super) fn connection(transport: Transport, handshake: Option<Handshake>) -> u32 {
    let tls = match (transport, handshake) {
        (Transport::Plaintext, _) | (_, None) => 0,
        // RFC 8446 §2: full (figure 1) and resumed (figure 3) alike; early data is not used.
        (Transport::Tls13, Some(Handshake::Full | Handshake::Resumed)) => 1,
        (Transport::Tls13, Some(Handshake::Retried)) => 2,
        // RFC 5246 §7.3: the client's Finished comes last in a full handshake (figure 1), but in an abbreviated one
        // (figure 2) it is followed by data at once.
        (Transport::Tls12, Some(Handshake::Full | Handshake::Retried)) => 2,
        (Transport::Tls12, Some(Handshake::Resumed)) => 1,
    };
    1 + tls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flights_are_counted_as_the_rfcs_draw_them() {
        let of = |transport| {
            [Handshake::Full, Handshake::Retried, Handshake::Resumed].map(|it| connection(transport, Some(it)))
        };
        assert_eq!(of(Transport::Tls13), [2, 3, 2]);
        assert_eq!(of(Transport::Tls12), [3, 3, 2]);
        assert_eq!(connection(Transport::Plaintext, None), 1);
    }
}
