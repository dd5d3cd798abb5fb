//! What the kernel counts on the load client's TCP connections: payload as it left and arrived, and the segments that
//! carried it.
//!
//! A connection's account ends with it, and asking about each one as it closes would cost a few per cent of a handshake.
//! So the counts are for connections that are there before and after: with a connection per request they are absent, and
//! the client's own count of bytes (which knows neither segments nor retransmissions) stands alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::platform;

/// The kernel's counts on one side of TCP connections (`TCP_INFO`; RFC 4898 names them). IP and TCP headers are not in
/// the bytes: over IPv4 each segment brings 52 more, with the timestamps that Linux sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpCounts {
    /// Payload sent, TLS records and retransmissions included.
    pub bytes_sent: u64,
    /// Payload received and acknowledged, once.
    pub bytes_received: u64,
    /// Payload sent again; it is in `bytes_sent` too.
    pub bytes_retransmitted: u64,
    /// Segments sent, bare acknowledgements included.
    pub segments_sent: u64,
    /// Segments received, bare acknowledgements included.
    pub segments_received: u64,
    /// Segments sent again.
    pub segments_retransmitted: u64,
}

impl TcpCounts {
    fn plus(self, other: Self) -> Self {
        self.each(other, |a, b| a + b)
    }

    fn minus(self, earlier: Self) -> Self {
        self.each(earlier, u64::saturating_sub)
    }

    fn each(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            bytes_sent: combine(self.bytes_sent, other.bytes_sent),
            bytes_received: combine(self.bytes_received, other.bytes_received),
            bytes_retransmitted: combine(self.bytes_retransmitted, other.bytes_retransmitted),
            segments_sent: combine(self.segments_sent, other.segments_sent),
            segments_received: combine(self.segments_received, other.segments_received),
            segments_retransmitted: combine(self.segments_retransmitted, other.segments_retransmitted),
        }
    }
}

/// The two ends of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ends {
    /// This program's.
    pub local: SocketAddr,
    /// The server's.
    pub remote: SocketAddr,
}

/// The counts of a set of connections at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpReading {
    /// Connections opened so far, those that are closed again included.
    opened: u64,
    connections: BTreeMap<Ends, TcpCounts>,
}

impl TcpReading {
    /// Asks about the connections that are open; `opened` counts all that ever were.
    ///
    /// # Errors
    /// Why the kernel did not tell.
    pub fn of(open: &[Ends], opened: u64) -> Result<Self, String> {
        let counts = platform::tcp_counts(open)?;
        // One that is gone by now closes a moment later than its registration says: it counts as closed.
        let connections = open.iter().zip(counts).filter_map(|(ends, counts)| Some((*ends, counts?))).collect();
        Ok(Self { opened, connections })
    }

    /// What happened since an earlier reading.
    ///
    /// # Errors
    /// When connections closed in between and took their counts along.
    pub fn since(&self, earlier: &Self) -> Result<TcpCounts, String> {
        let stayed = earlier.connections.keys().filter(|ends| self.connections.contains_key(ends)).count();
        let added = self.connections.len() - stayed;
        let opened = self.opened.saturating_sub(earlier.opened) as usize;
        let closed = (earlier.connections.len() - stayed + opened).saturating_sub(added);
        if closed > 0 {
            return Err("connections closed while this was measured, and the kernel's counts end with them".to_owned());
        }
        let grown = self
            .connections
            .iter()
            .map(|(ends, counts)| counts.minus(earlier.connections.get(ends).copied().unwrap_or_default()));
        Ok(grown.fold(TcpCounts::default(), TcpCounts::plus))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(port: u16) -> Ends {
        Ends { local: SocketAddr::from(([127, 0, 0, 1], port)), remote: SocketAddr::from(([127, 0, 0, 1], 443)) }
    }

    fn reading(opened: u64, connections: &[(u16, u64)]) -> TcpReading {
        let counts = |bytes| TcpCounts { bytes_sent: bytes, segments_sent: 1, ..TcpCounts::default() };
        let connections = connections.iter().map(|(port, bytes)| (ends(*port), counts(*bytes))).collect();
        TcpReading { opened, connections }
    }

    #[test]
    fn growth_is_summed_and_new_connections_count_in_full() {
        let before = reading(2, &[(1, 100), (2, 50)]);
        let after = reading(3, &[(1, 130), (2, 50), (3, 7)]);
        assert_eq!(after.since(&before).map(|counts| counts.bytes_sent), Ok(37));
        assert_eq!(before.since(&before), Ok(TcpCounts::default()));
    }

    #[test]
    fn a_connection_that_closed_makes_the_sum_unknown() {
        let before = reading(2, &[(1, 100), (2, 50)]);
        for after in [
            reading(2, &[(1, 130)]),                  // one is gone
            reading(3, &[(1, 130), (3, 7)]),          // one is gone, another came
            reading(3, &[(1, 130), (2, 50)]),         // one came and went
            reading(4, &[(1, 130), (2, 60), (3, 7)]), // one came and stayed, one came and went
        ] {
            assert!(after.since(&before).is_err_and(|reason| reason.contains("closed")), "{after:?}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_counts_what_is_sent_and_received() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("[::1]:0").or_else(|_| std::net::TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("loopback");
        let mut client = std::net::TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
        let (mut server, remote) = listener.accept().expect("it connected");
        let ends = Ends { local: remote, remote: client.peer_addr().expect("connected") };
        let read = || TcpReading::of(&[ends], 1).expect("sock_diag is there");
        let before = read();
        client.write_all(&[7; 1000]).expect("connected");
        server.read_exact(&mut [0; 1000]).expect("sent above");
        server.write_all(&[7; 300]).expect("connected");
        client.read_exact(&mut [0; 300]).expect("sent above");
        let counts = read().since(&before).expect("it is still there");
        assert_eq!((counts.bytes_sent, counts.bytes_received), (1000, 300));
        assert!(counts.segments_sent >= 1 && counts.segments_received >= 1, "{counts:?}");
        assert_eq!(counts.bytes_retransmitted, 0);
        drop(client);
        drop(server);
        let gone = TcpReading::of(&[Ends { local: SocketAddr::new(ends.local.ip(), 1), ..ends }], 1).expect("no fault");
        assert!(gone.connections.is_empty());
    }
}
