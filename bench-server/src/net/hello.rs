//! Greetings of TLS before 1.2, which are told that the version is the reason (RFC 5246 §E.1, RFC 9325 §3.1.1).
//!
//! rustls refuses them too, but looks for `signature_algorithms` first, which such clients must not send (RFC 5246
//! §7.4.1.4.1), and for want of it says `handshake_failure`: as if other cipher suites could help.

use std::io;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

/// Types of records (RFC 5246 §6.2.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// Type of the message that a greeting is (§7.4).
const CLIENT_HELLO: u8 = 1;

/// The alert (§7.2).
const FATAL: u8 = 2;
const PROTOCOL_VERSION: u8 = 70;

/// Versions are a 3 and a number; this is the number of TLS 1.2, and of whatever came later (RFC 8446 §4.1.2).
const TLS_1_2: u8 = 3;

/// Header of a record, header of a message, and the version that a greeting begins with (RFC 5246 §7.4.1.2).
const HEAD: usize = 5 + 4 + 2;

/// Answers a greeting of an older version than is spoken. Everything else is left to TLS, for nothing is taken from the stream.
///
/// # Errors
/// Those of the connection, and that the greeting was refused.
pub(super) async fn refuse_outdated(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = [0; HEAD];
    let seen = stream.peek(&mut head).await?;
    let Some(number) = outdated(&head[..seen]) else { return Ok(()) };
    stream.write_all(&[ALERT, 3, number, 0, 2, FATAL, PROTOCOL_VERSION]).await?;
    Err(io::Error::new(io::ErrorKind::InvalidData, "the client knows no version of TLS from 1.2 on"))
}

/// The number of the version, where that is an older one.
fn outdated(head: &[u8]) -> Option<u8> {
    match *head {
        [HANDSHAKE, 3, _, _, _, CLIENT_HELLO, _, _, _, 3, number] if number < TLS_1_2 => Some(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_greetings_of_older_versions_are_outdated() {
        let hello = |number| [HANDSHAKE, 3, 1, 0, 100, CLIENT_HELLO, 0, 0, 96, 3, number];
        assert_eq!([0, 1, 2, 3, 4].map(|number| outdated(&hello(number))), [Some(0), Some(1), Some(2), None, None]);
        let old = hello(1);
        assert_eq!(outdated(&old[..HEAD - 1]), None, "what has not arrived is not judged");
        for (place, other) in [(0, 23), (1, 2), (5, 2), (9, 2)] {
            let mut changed = old;
            changed[place] = other;
            assert_eq!(outdated(&changed), None, "byte {place}");
        }
        assert_eq!(outdated(b"GET / HTTP/"), None);
        assert_eq!(outdated(b""), None);
    }
}
