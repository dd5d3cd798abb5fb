//! The form of an API key: `ab_live_` or `ab_test_`, 30 random base62 digits, 6 base62 digits of CRC-32 over all before them.
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
use crate::config::KeyEnvironment;
use crate::contract::Secret;

/// Bytes of a key, all of them ASCII.
pub const LENGTH: usize = PREFIX + RANDOM + CHECKSUM;

/// The form as a regular expression, for secret scanners; `scripts/check-api-key` looks at the checksum as well.
pub const PATTERN: &str = "^ab_(live|test)_[0-9A-Za-z]{36}$";

/// Bytes of brand and environment, which every key of this server starts with.
const PREFIX: usize = 8;

const RANDOM: usize = 30;
const CHECKSUM: usize = 6;

/// A text that has the form of a key. Whether it was ever issued only a store can tell.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    text: &'a str,
    environment: KeyEnvironment,
}

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
        if bytes.len() != LENGTH {
            return Err(NotAKey);
        }
        let begins = |environment: &KeyEnvironment| bytes.starts_with(prefix(*environment).as_bytes());
        let environment = [KeyEnvironment::Live, KeyEnvironment::Test].into_iter().find(begins).ok_or(NotAKey)?;
        let (checked, checksum) = bytes.split_at(LENGTH - CHECKSUM);
        let base62 = checked[PREFIX..].iter().all(u8::is_ascii_alphanumeric);
        if base62 && checksum == checksum_of(checked) { Ok(Self { text, environment }) } else { Err(NotAKey) }
    }

    /// What the key is for, as its text says.
    pub fn environment(self) -> KeyEnvironment {
        self.environment
    }

    /// What is digested: all of the text, so that the digest covers the environment too.
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// What a store without pepper keeps of the key: SHA-256 of its text.
    pub fn digest(self) -> Digest {
        Digest(Sha256::digest(self.text).into())
    }

    /// What a list of keys shows: the prefix and the last four characters. Those are of the checksum; who knows them
    /// still has more than 150 bits to guess.
    pub fn hint(self) -> String {
        hint(self.environment, &self.text.as_bytes()[LENGTH - 4..])
    }
}

/// The hint of a key that ends like this.
pub(crate) fn hint(environment: KeyEnvironment, end: &[u8]) -> String {
    prefix(environment).chars().chain(['…']).chain(end.iter().copied().map(char::from)).collect()
}

/// Brand and environment.
const fn prefix(environment: KeyEnvironment) -> &'static str {
    match environment {
        KeyEnvironment::Live => "ab_live_",
        KeyEnvironment::Test => "ab_test_",
    }
}

/// A fresh key.
///
/// # Errors
/// Those of the random source.
pub fn generate<R: TryCryptoRng>(environment: KeyEnvironment, rng: &mut R) -> Result<Secret, R::Error> {
    let mut text = String::with_capacity(LENGTH);
    text.push_str(prefix(environment));
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
    use crate::config::KeyEnvironment::{Live, Test};
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
    fn ak_1_ten_thousand_keys_are_well_formed_and_distinct() {
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let key = generate(Live, &mut SysRng).expect("the system has random bytes");
            let text = key.expose();
            assert!(Key::parse(text).is_ok(), "a fresh key must parse");
            assert_eq!(base62_value(&text[38..]), u64::from(crc32(&text.as_bytes()[..38])));
            assert!(seen.insert(key.expose().to_owned()), "a key came twice");
        }
    }

    #[test]
    fn ak_6_bc_017_bc_019_bc_020_bc_023_bc_024_bc_025_bc_035_anything_else_is_not_a_key() {
        let key = generate(Live, &mut ChaCha20Rng::seed_from_u64(1)).expect("a seeded source does not fail");
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
            text[..PREFIX + 8].to_owned(),
            flipped,
            format!("\"{text}\""),
            text.replace('_', "%5F"),
            text.replacen("ab_live", "ab_test", 1),
            text.replacen('a', "а", 1), // Cyrillic
            "A".repeat(4096),
            text.replace('1', "\u{ff11}").replace('2', "\u{ff12}").replace('3', "\u{ff13}") + "\u{ff10}", // full-width digits
            base64::Engine::encode(&base64::prelude::BASE64_STANDARD, text),
            format!("{text}%00"),
            "*".to_owned(),
            "{\"$ne\":null}".to_owned(),
            "../../etc/passwd".to_owned(),
            "' OR '1'='1".to_owned(),
        ];
        for other in others {
            assert!(Key::parse(&other).is_err(), "{other:?}");
        }

        // Alphabet: a fitting checksum does not make up for a foreign character.
        let foreign = format!("{}{}", prefix(Live), "-".repeat(RANDOM));
        let checksum = checksum_of(foreign.as_bytes()).map(char::from);
        assert!(Key::parse(&format!("{foreign}{}", checksum.iter().collect::<String>())).is_err());
    }

    #[test]
    fn ak_2_hint_shows_four_characters_and_digest_is_sha_256() {
        let key = generate(Live, &mut ChaCha20Rng::seed_from_u64(2)).expect("a seeded source does not fail");
        let parsed = Key::parse(key.expose()).expect("a fresh key");
        assert_eq!(parsed.hint(), format!("ab_live_…{}", &key.expose()[40..]));
        let other = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.expose().as_bytes());
        assert_eq!(parsed.digest().0, other.as_ref());
    }
    #[test]
    fn ak_24_a_key_names_its_environment_which_its_checksum_and_its_digest_cover() {
        let key = generate(Test, &mut ChaCha20Rng::seed_from_u64(3)).expect("a seeded source does not fail");
        let parsed = Key::parse(key.expose()).expect("a fresh key");
        assert_eq!(parsed.environment(), Test);
        assert!(key.expose().starts_with("ab_test_") && parsed.hint().starts_with("ab_test_…"));
        let renamed = key.expose().replacen("test", "live", 1);
        assert!(Key::parse(&renamed).is_err(), "the checksum is of the other environment");
        // Whoever makes the checksum fit has made another key.
        let checksum = checksum_of(&renamed.as_bytes()[..LENGTH - CHECKSUM]).map(char::from);
        let forged = format!("{}{}", &renamed[..LENGTH - CHECKSUM], checksum.iter().collect::<String>());
        let forged = Key::parse(&forged).expect("it has the form of a key");
        assert_eq!(forged.environment(), Live);
        assert_ne!(forged.digest(), parsed.digest());
    }
}
