//! Base62 (`0-9A-Za-z`): random text for keys, passwords and identifiers, and numbers as digits.

use rand::TryCryptoRng;

/// Digits in the order of their values.
pub(crate) const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `N` uniformly distributed digits; each carries 5.95 bits.
///
/// Six random bits are a digit, or are thrown away when they are 62 or 63. A remainder would be shorter and would
/// favour the first digits.
///
/// # Errors
/// Those of the random source.
pub(crate) fn random<const N: usize, R: TryCryptoRng>(rng: &mut R) -> Result<[u8; N], R::Error> {
    let mut digits = [0; N];
    let mut filled = 0;
    while filled < N {
        // Asked for in pieces: the operating system's source costs a system call each time.
        let mut bytes = [0; 40];
        rng.try_fill_bytes(&mut bytes)?;
        let drawn = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 0b11_1111)));
        for (place, digit) in digits[filled..].iter_mut().zip(drawn) {
            *place = *digit;
            filled += 1;
        }
    }
    Ok(digits)
}

/// A name like `key-4fR…`: `prefix`, then 16 random digits (95 bits: two of 10⁷ names meet with probability 10⁻¹⁵).
///
/// # Errors
/// Those of the random source.
pub(crate) fn identifier<R: TryCryptoRng>(prefix: &str, rng: &mut R) -> Result<String, R::Error> {
    Ok(prefix.chars().chain(random::<16, R>(rng)?.map(char::from)).collect())
}

/// Six digits, left-padded with `0`: enough for every `u32`, since 62⁶ > 2³².
pub(crate) fn six_digits(mut number: u32) -> [u8; 6] {
    let mut digits = [0; 6];
    for place in digits.iter_mut().rev() {
        *place = ALPHABET[(number % 62) as usize];
        number /= 62;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::ChaCha20Rng;

    /// χ² of 62 equally likely digits; with 61 degrees of freedom, p = 0.001 lies at 100.9.
    fn chi_squared(digits: impl Iterator<Item = u8>) -> f64 {
        let mut seen = [0_u32; 62];
        for digit in digits {
            seen[ALPHABET.iter().position(|known| *known == digit).expect("a base62 digit")] += 1;
        }
        let expected = f64::from(seen.iter().sum::<u32>()) / 62.0;
        seen.iter().map(|n| (f64::from(*n) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn ak_1_xc_19_digits_are_uniform_where_a_remainder_is_not() {
        // Seeded, so that the one run in a thousand that chance fails is not ours.
        let mut rng = ChaCha20Rng::seed_from_u64(62);
        let uniform: Vec<u8> =
            (0..10_000).flat_map(|_| random::<30, _>(&mut rng).expect("a seeded source does not fail")).collect();
        assert!(chi_squared(uniform.into_iter()) < 100.9);

        let mut bytes = vec![0; 300_000];
        rand::Rng::fill_bytes(&mut rng, &mut bytes);
        assert!(chi_squared(bytes.into_iter().map(|byte| ALPHABET[usize::from(byte % 62)])) > 100.9);
    }

    #[test]
    fn numbers_are_left_padded() {
        assert_eq!(&six_digits(0), b"000000");
        assert_eq!(&six_digits(61), b"00000z");
        assert_eq!(&six_digits(62), b"000010");
        // 2³² − 1 = 4·62⁵ + 42·62⁴ + 41·62³ + 5·62² + 42·62 + 3, worked out by hand.
        assert_eq!(&six_digits(u32::MAX), b"4gfFC3");
    }
}
