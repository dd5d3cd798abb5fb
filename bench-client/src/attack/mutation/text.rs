//! Changes of the text that is presented, whatever it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::super::template::{Missing, fill};
use super::Source;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TextChange {
    Template(String),
    Truncate(usize),
    Repeat(usize),
    Insert(String),
    Swap(Position),
    Checksum,
    RandomKey,
    Environment,
    FlipCase,
    PercentEncode,
    Base64,
    StandardAlphabet,
    UrlAlphabet,
    StripPadding,
    Sha256,
    LookAlike,
    FullWidth,
    JsonSerialisation,
    SpareBits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    Middle,
    Last,
}

impl TextChange {
    pub(super) fn apply(&self, text: Vec<u8>, source: &Source<'_>) -> Result<Vec<u8>, Missing> {
        let ascii = || String::from_utf8_lossy(&text).into_owned();
        Ok(match self {
            Self::Template(template) => {
                let names = |name: &str| if name == "value" { Ok(text.clone()) } else { (source.names)(name) };
                fill(template, source.now, &names)?
            }
            Self::Truncate(length) => text[..text.len().min(*length)].to_vec(),
            Self::Repeat(times) => text.repeat(*times),
            Self::Insert(template) => {
                let (before, after) = text.split_at(text.len() / 2);
                [before, &fill(template, source.now, source.names)?, after].concat()
            }
            Self::Swap(position) => swapped(text, *position),
            Self::Checksum => with_checksum(text),
            Self::RandomKey => with_checksum(random_key(&text)),
            Self::Environment => with_checksum(in_other_environment(&ascii()).into_bytes()),
            Self::FlipCase => {
                text.iter().map(|byte| if byte.is_ascii_alphabetic() { byte ^ 0x20 } else { *byte }).collect()
            }
            Self::PercentEncode => text.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect(),
            Self::Base64 => STANDARD.encode(&text).into_bytes(),
            Self::StandardAlphabet => ascii().replace('-', "+").replace('_', "/").into_bytes(),
            Self::UrlAlphabet => ascii().replace('+', "-").replace('/', "_").into_bytes(),
            Self::StripPadding => ascii().trim_end_matches('=').as_bytes().to_vec(),
            Self::Sha256 => Sha256::digest(&text).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
            Self::LookAlike => replaced_once(&ascii(), &[('a', 'а'), ('e', 'е'), ('o', 'о'), ('c', 'с'), ('l', 'ӏ')]),
            Self::FullWidth => ascii()
                .chars()
                .map(|c| match c.to_digit(10) {
                    Some(digit) => char::from_u32('０' as u32 + digit).unwrap_or(c),
                    None => c,
                })
                .collect::<String>()
                .into_bytes(),
            // The last character of base64url carries bits that no byte is made of (RFC 4648 §3.5).
            Self::SpareBits => {
                let mut text = text;
                if let Some(last) = text.last_mut() {
                    let place = BASE64URL.iter().position(|known| known == last).unwrap_or(0);
                    *last = BASE64URL[place ^ 1];
                }
                text
            }
            Self::JsonSerialisation => {
                let text = ascii();
                let parts: Vec<&str> = text.split('.').collect();
                let [header, payload, signature] = parts.as_slice() else {
                    return Err(Missing("a token of three parts".to_owned()));
                };
                format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#).into_bytes()
            }
        })
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With one character changed for another of its kind: of base62, so that it is refused for what it says and not for its form.
fn swapped(mut text: Vec<u8>, position: Position) -> Vec<u8> {
    let place = match position {
        Position::Last => text.len().checked_sub(1),
        Position::Middle => Some(text.len() / 2).filter(|place| *place < text.len()),
    };
    if let Some(byte) = place.and_then(|place| text.get_mut(place)) {
        *byte = match *byte {
            b'z' => b'y',
            b'Z' => b'Y',
            b'9' => b'8',
            byte if byte.is_ascii_alphanumeric() => byte + 1,
            _ => b'A',
        };
    }
    text
}

/// Characters of the checksum at the end of the reference server's keys.
const CHECKSUM: usize = 6;

/// A key of the reference server's form with the checksum that belongs to it; other keys stay as they are.
fn with_checksum(mut key: Vec<u8>) -> Vec<u8> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let form = std::str::from_utf8(&key).ok().and_then(|key| key.rsplit_once('_'));
    if form.is_none_or(|(_, digits)| digits.len() != 36) {
        return key;
    }
    let end = key.len() - CHECKSUM;
    let mut rest = crc32(&key[..end]);
    for place in (end..key.len()).rev() {
        key[place] = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    key
}

/// CRC-32 (ISO-HDLC) bit by bit: a few dozen bytes, a few times.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A key of the reference server's form with the other environment in its name.
fn in_other_environment(key: &str) -> String {
    if key.contains("_live_") { key.replacen("_live_", "_test_", 1) } else { key.replacen("_test_", "_live_", 1) }
}

/// Letters and digits of nobody's key in the place of those behind the last `_`, or of all.
fn random_key(key: &[u8]) -> Vec<u8> {
    let begin = key.iter().rposition(|byte| *byte == b'_').map_or(0, |place| place + 1);
    let other = |byte: &u8| match byte {
        b'0'..=b'9' => b'0' + rand::random_range(0..10),
        b'a'..=b'z' => b'a' + rand::random_range(0..26),
        b'A'..=b'Z' => b'A' + rand::random_range(0..26),
        other => *other,
    };
    key[..begin].iter().copied().chain(key[begin..].iter().map(other)).collect()
}

/// The first of those characters that there is, as one that looks the same.
fn replaced_once(text: &str, alike: &[(char, char)]) -> Vec<u8> {
    let found = alike.iter().find(|(one, _)| text.contains(*one));
    found.map_or_else(|| text.to_owned(), |(one, other)| text.replacen(*one, &other.to_string(), 1)).into_bytes()
}
