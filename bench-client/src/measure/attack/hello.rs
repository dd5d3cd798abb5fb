//! Greetings of TLS that no library sends any more, written out (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2).

use crate::attack::Hello;

/// ECDHE and RSA with AES in CBC mode: what TLS 1.0 and 1.1 had.
const OLD: [u16; 6] = [0xc009, 0xc00a, 0xc013, 0xc014, 0x002f, 0x0035];

/// Suites without encryption, and with keys of 40 bits.
const WEAK: [u16; 8] = [0x0001, 0x0002, 0x003b, 0xc006, 0xc010, 0x0003, 0x0006, 0x0008];

/// The bytes; of plaintext there are none, since that is a request.
pub(super) fn bytes(hello: Hello, host: &str) -> Option<Vec<u8>> {
    let (version, suites): (u16, &[u16]) = match hello {
        Hello::Tls10 => (0x0301, &OLD),
        Hello::Tls11 => (0x0302, &OLD),
        Hello::NullCiphers => (0x0303, &WEAK),
        Hello::Plaintext => return None,
    };
    Some(client_hello(version, suites, host))
}

fn client_hello(version: u16, suites: &[u16], host: &str) -> Vec<u8> {
    let suites: Vec<u8> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    let name = sized(&[&[0], &sized(host.as_bytes())[..]].concat());
    let extensions = [
        extension(0, &name),                              // server_name
        extension(10, &sized(&[0, 23, 0, 24])),           // supported_groups: P-256, P-384
        extension(11, &[1, 0]),                           // ec_point_formats: uncompressed
        extension(13, &sized(&[4, 3, 4, 1, 2, 3, 2, 1])), // signature_algorithms
    ]
    .concat();
    let body = [
        &version.to_be_bytes()[..],
        &rand::random::<[u8; 32]>(),
        &[0], // no session
        &sized(&suites),
        &[1, 0], // no compression
        &sized(&extensions),
    ]
    .concat();
    let length = u32::try_from(body.len()).expect("a few hundred bytes").to_be_bytes();
    let handshake = [&[1, length[1], length[2], length[3]][..], &body].concat();
    [&[22, 3, 1][..], &sized(&handshake)].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &sized(content)].concat()
}

/// With its length in two bytes before it.
fn sized(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a few hundred bytes");
    [&length.to_be_bytes()[..], content].concat()
}

#[cfg(test)]
mod tests {
    use rustls::server::Acceptor;

    use super::*;

    #[test]
    fn greetings_are_well_formed() {
        for hello in [Hello::Tls10, Hello::Tls11, Hello::NullCiphers] {
            let bytes = bytes(hello, "localhost").expect("a greeting");
            let length = usize::from(u16::from_be_bytes([bytes[3], bytes[4]]));
            assert_eq!(length, bytes.len() - 5);
            let mut acceptor = Acceptor::default();
            acceptor.read_tls(&mut bytes.as_slice()).expect("all of it");
            // rustls reads it, and refuses its version at most.
            if let Err((error, _)) = acceptor.accept() {
                assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{hello:?}: {error}");
            }
        }
        assert_eq!(bytes(Hello::Plaintext, "localhost"), None);
    }
}
