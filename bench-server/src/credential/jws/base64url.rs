//! base64url without padding, read strictly (RFC 7515 §2, RFC 4648 §3.5 and §5).
//!
//! Decoding a token with the `base64` crate took longer than its HMAC. This decoder looks at 32 characters at a time,
//! without a branch or a table, which the compiler turns into vector instructions.

use super::json::Fault;

/// Characters of a block, and the bytes that they stand for.
const CHARACTERS: usize = 32;
const BYTES: usize = CHARACTERS / 4 * 3;

/// Decodes `text` into `bytes`, which is emptied first. Padding, other alphabets, white space and spare bits that are not
/// zero are refused, so that every value has one spelling.
pub(crate) fn decode(text: &str, bytes: &mut Vec<u8>) -> Result<(), Fault> {
    let (blocks, rest) = text.as_bytes().as_chunks::<CHARACTERS>();
    // `A` stands for zero bits.
    let mut last = [b'A'; CHARACTERS];
    last[..rest.len()].copy_from_slice(rest);
    bytes.clear();
    bytes.resize((blocks.len() + 1) * BYTES, 0);
    let (decoded, _) = bytes.as_chunks_mut::<BYTES>();
    let mut foreign = 0;
    for (block, decoded) in blocks.iter().zip(&mut *decoded) {
        foreign |= decode_block(block, decoded);
    }
    foreign |= decode_block(&last, &mut decoded[blocks.len()]);

    let over = text.len() % 4;
    let length = text.len() / 4 * 3 + [0, 0, 1, 2][over];
    // A lone character is no byte. Spare bits show in the byte after the last, the rest of which was filled up with zeros.
    if foreign != 0 || over == 1 || over > 1 && bytes[length] != 0 {
        return Err(Fault::NotJson);
    }
    bytes.truncate(length);
    Ok(())
}

/// Decodes one block; what it returns is zero unless a character is not of the alphabet.
fn decode_block(characters: &[u8; CHARACTERS], bytes: &mut [u8; BYTES]) -> u8 {
    /// No value has this bit.
    const FOREIGN: u8 = 0x80;
    let mut values = [FOREIGN; CHARACTERS];
    for (value, &character) in values.iter_mut().zip(characters) {
        // One selection after the other instead of `else if`: that is what becomes vector instructions. Ranges are tested
        // by one comparison, for what lies below wraps around.
        let (upper, lower) = (character.wrapping_sub(b'A'), character.wrapping_sub(b'a'));
        let digit = character.wrapping_sub(b'0');
        *value = if upper < 26 { upper } else { *value };
        *value = if lower < 26 { lower + 26 } else { *value };
        *value = if digit < 10 { digit + 52 } else { *value };
        *value = if character == b'-' { 62 } else { *value };
        *value = if character == b'_' { 63 } else { *value };
    }
    let foreign = values.iter().fold(0, |all, value| all | value & FOREIGN);
    let (groups, _) = values.as_chunks::<8>();
    let (decoded, _) = bytes.as_chunks_mut::<6>();
    for (group, decoded) in groups.iter().zip(decoded) {
        // Eight times 6 bits become four times 12, twice 24, and 48.
        let word = u64::from_be_bytes(*group);
        let word = (word & 0x3f00_3f00_3f00_3f00) >> 2 | word & 0x003f_003f_003f_003f;
        let word = (word & 0x0fff_0000_0fff_0000) >> 4 | word & 0x0000_0fff_0000_0fff;
        let word = (word & 0x00ff_ffff_0000_0000) >> 8 | word & 0x0000_0000_00ff_ffff;
        decoded.copy_from_slice(&word.to_be_bytes()[2..]);
    }
    foreign
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn decoded(text: &str) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![1, 2, 3];
        decode(text, &mut bytes).map(|()| bytes)
    }

    #[test]
    fn jw_21_bc_111_strict() {
        assert_eq!(decoded("_-8"), Ok(vec![0xff, 0xef]));
        assert_eq!(decoded(""), Ok(vec![]));
        // Padding, the other alphabet, white space, spare bits, a lone character.
        for text in ["_-8=", "/+8", "_-\n8", " _-8", "_-9", "_", "_-8A_", "AB", "A", "=", "\u{e4}\u{e4}"] {
            assert_eq!(decoded(text), Err(Fault::NotJson), "{text}");
        }
    }

    #[test]
    fn every_length_comes_back() {
        for length in 0..200_u8 {
            let bytes: Vec<u8> = (0..length).map(|n| n.wrapping_mul(97) ^ length).collect();
            assert_eq!(decoded(&URL_SAFE_NO_PAD.encode(&bytes)), Ok(bytes));
        }
    }

    /// Every byte at every place of texts around the size of a block: as another decoder reads it.
    #[test]
    fn jw_21_as_the_base64_crate_reads_it() {
        for length in [1, 2, 3, 4, 5, 31, 32, 33, 34, 35, 64, 66] {
            for place in 0..length {
                for character in (0..=127_u8).map(char::from) {
                    let mut text = "A".repeat(length);
                    text.replace_range(place..=place, character.encode_utf8(&mut [0; 4]));
                    assert_eq!(decoded(&text).ok(), URL_SAFE_NO_PAD.decode(&text).ok(), "{text:?}");
                }
            }
        }
    }
}
