//! Answers that were damaged: what a server of the user's sends is not to be trusted either. Always the same ones, so that a
//! failure comes again.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::response::frame;

/// Damaged answers.
const TRIES: usize = 100_000;

const GOOD: [&str; 4] = [
    "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm=\"a, b\", error=\"invalid_token\", Basic realm=\"x\"\r\n\
     content-length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\
     x: y\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nconnection: close, keep-alive\r\n\r\n",
    "HTTP/1.0 403 Forbidden\r\nWWW-Authenticate: Bearer error=insufficient_scope, scope=\"read\"\r\n\r\nuntil the end",
];

const PIECES: [&[u8]; 14] = [
    b"\r\n",
    b"\n",
    b"\0",
    b": ",
    b",",
    b"\"",
    b"=",
    b"content-length: 18446744073709551616\r\n",
    b"content-length: -1\r\n",
    b"transfer-encoding: gzip\r\n",
    b"ffffffffffffffff\r\n",
    b"0\r\n",
    b"HTTP/1.1 199 x\r\n\r\n",
    b"www-authenticate:\r\n",
];

#[test]
fn xc_24_damaged_answers_and_challenges() {
    let mut random = StdRng::seed_from_u64(9112);
    let (mut framed, mut refused) = (0, 0);
    for n in 0..TRIES {
        let mut bytes = GOOD[n % GOOD.len()].as_bytes().to_vec();
        for _ in 0..random.random_range(1..=3) {
            let place = random.random_range(0..=bytes.len());
            let until = bytes.len().min(place + random.random_range(0..6));
            match random.random_range(0..4) {
                0 => drop(bytes.drain(place..until)),
                1 => bytes[place..until].iter_mut().for_each(|byte| *byte = random.random()),
                2 => bytes.truncate(place),
                _ => {
                    let piece = PIECES[random.random_range(0..PIECES.len())];
                    bytes.splice(place..until, piece.iter().copied());
                }
            }
        }
        let length = bytes.len();
        for closed in [false, true] {
            match frame(&mut bytes.clone(), closed) {
                Ok(Some(answer)) => {
                    framed += 1;
                    assert!(answer.body.start <= answer.body.end && answer.body.end <= length);
                    assert!((100..1000).contains(&answer.status()));
                }
                Ok(None) => {}
                Err(_) => refused += 1,
            }
        }
    }
    assert!(framed > TRIES / 10 && refused > TRIES / 10, "{framed} framed, {refused} refused");
}
