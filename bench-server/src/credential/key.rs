//! The form of an API key: `ab_live_`, 30 random base62 digits, 6 base62 digits of CRC-32 over all before them.
//!
//! The 30 digits carry 178 bits, so one SHA-256 is all that a store needs to keep: a slow password hash would add no
//! resistance to guessing, and would let anybody spend the server's processor time (NIST SP 800-63B, look-up secrets). A
//! salt per key would forbid looking a record up by its digest.
//!
//! The checksum is for cheap rejection without a lookup and for secret scanners; it proves nothing.

use rand::TryCryptoRng;
use sha2::{Digest as _, Sha256};

use super::base62;
use super::digest::Digest;
use crate::contract::Secret;

/// Brand and environment that every key of this server starts with.
pub const PREFIX: &str = "ab_live_";

/// Bytes of a key, all of them ASCII.
pub const LENGTH: usize = PREFIX.len() + RANDOM + CHECKSUM;

/// The form as a regular expression, for secret scanners.
pub const PATTERN: &str = "^ab_live_[0-9A-Za-z]{36}$";

const RANDOM: usize = 30;
const CHECKSUM: usize = 6;

/// A text that has the form of a key. Whether it was ever issued only a store can tell.
#[derive(Clone, Copy)]
pub struct Key<'a>(&'a str);

/// The text does not have the form of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not of the form {PATTERN}, or its checksum does not fit")]
pub struct NotAKey;

impl<'a> Key<'a> {
    /// Checks length, prefix, alphabet and checksum, without a lookup and without allocating.
    ///
    /// # Errors
    /// [`NotAKey`].
    pub fn parse(text: &'a str) -> Result<Self, NotAKey> {
        let bytes = text.as_bytes();
        if bytes.len() != LENGTH || !bytes.starts_with(PREFIX.as_bytes()) {
            return Err(NotAKey);
        }
        let (checked, checksum) = bytes.split_at(LENGTH - CHECKSUM);
        let base62 = checked[PREFIX.len()..].iter().all(u8::is_ascii_alphanumeric);
        if base62 && checksum == checksum_of(checked) { Ok(Self(text)) } else { Err(NotAKey) }
    }

    /// What a store keeps of the key: SHA-256 of its text.
    pub fn digest(self) -> Digest {
        Digest(Sha256::digest(self.0).into())
    }

    /// What a list of keys shows: the prefix and the last four characters. Those are of the checksum; who knows them
    /// still has more than 150 bits to guess.
    pub fn hint(self) -> String {
        hint(&self.0.as_bytes()[LENGTH - 4..])
    }
}

/// The hint of a key that ends like this.
pub(crate) fn hint(end: &[u8]) -> String {
    PREFIX.chars().chain(['…']).chain(end.iter().copied().map(char::from)).collect()
}

/// A fresh key.
///
/// # Errors
/// Those of the random source.
pub fn generate<R: TryCryptoRng>(rng: &mut R) -> Result<Secret, R::Error> {
    let mut text = String::with_capacity(LENGTH);
    text.push_str(PREFIX);
    text.extend(base62::random::<RANDOM, R>(rng)?.map(char::from));
    let checksum = checksum_of(text.as_bytes());
    text.extend(checksum.map(char::from));
    Ok(Secret::new(text))
}

/// CRC-32 (ISO-HDLC, the one of zlib) in base62.
fn checksum_of(bytes: &[u8]) -> [u8; CHECKSUM] {
    base62::six_digits(crc32fast::hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::{ChaCha20Rng, SysRng};
    use std::collections::HashSet;

    /// CRC-32 bit by bit, from its polynomial: independent of the crate's tables.
    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(!0_u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
        })
    }

    fn base62_value(digits: &str) -> u64 {
        digits.bytes().fold(0, |value, digit| {
            let place = base62::ALPHABET.iter().position(|known| *known == digit).expect("a base62 digit");
            value * 62 + place as u64
        })
    }

    #[test]
    fn checksum_is_the_crc_32_of_zlib() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(base62_value(std::str::from_utf8(&checksum_of(b"123456789")).expect("ASCII")), 0xCBF4_3926);
    }

    #[test]
    fn ten_thousand_keys_are_well_formed_and_distinct() {
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let key = generate(&mut SysRng).expect("the system has random bytes");
            let text = key.expose();
            assert!(Key::parse(text).is_ok(), "a fresh key must parse");
            assert_eq!(base62_value(&text[38..]), u64::from(crc32(&text.as_bytes()[..38])));
            assert!(seen.insert(key.expose().to_owned()), "a key came twice");
        }
    }

    #[test]
    fn anything_else_is_not_a_key() {
        let key = generate(&mut ChaCha20Rng::seed_from_u64(1)).expect("a seeded source does not fail");
        let text = key.expose();
        assert!(Key::parse(text).is_ok());

        // One wrong character anywhere: a CRC finds every single error.
        for place in 0..LENGTH {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            assert!(Key::parse(std::str::from_utf8(&bytes).expect("ASCII")).is_err(), "character {place}");
        }
        let flipped: String = text
            .chars()
            .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
            .collect();
        let others = [
            String::new(),
            text[..LENGTH - 1].to_owned(),
            format!("{text}A"),
            format!("{text}{text}"),
            text[..PREFIX.len() + 8].to_owned(),
            flipped,
            format!("\"{text}\""),
            text.replace('_', "%5F"),
            text.replacen("ab_live", "ab_test", 1),
            text.replacen('a', "а", 1), // Cyrillic
            "A".repeat(4096),
            "' OR '1'='1".to_owned(),
        ];
        for other in others {
            assert!(Key::parse(&other).is_err(), "{other:?}");
        }

        // Alphabet: a fitting checksum does not make up for a foreign character.
        let foreign = format!("{PREFIX}{}", "-".repeat(RANDOM));
        let checksum = checksum_of(foreign.as_bytes()).map(char::from);
        assert!(Key::parse(&format!("{foreign}{}", checksum.iter().collect::<String>())).is_err());
    }

    #[test]
    fn hint_shows_four_characters_and_digest_is_sha_256() {
        let key = generate(&mut ChaCha20Rng::seed_from_u64(2)).expect("a seeded source does not fail");
        let parsed = Key::parse(key.expose()).expect("a fresh key");
        assert_eq!(parsed.hint(), format!("ab_live_…{}", &key.expose()[40..]));
        let other = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.expose().as_bytes());
        assert_eq!(parsed.digest().0, other.as_ref());
    }
}
