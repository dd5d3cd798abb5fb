//! Random strings: tokens, codes, identifiers. All from the operating system's random source (RFC 6749 §10.10).
//!
//! Each kind of token has a prefix, so that one kind is never looked up as another and a leak is recognisable in a text.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::TryRng;
use rand::rngs::SysRng;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a token: all that a store keeps of it.
pub(crate) type Digest = [u8; 32];

/// Identifies the tokens of one refresh family; not a secret by itself.
pub(super) type FamilyId = [u8; 16];

const ACCESS_TOKEN: &str = "at_";
const REFRESH_TOKEN: &str = "rt_";
const CODE: &str = "ac_";

/// Characters of 16 and of 32 bytes in base64url without padding.
const CHARS_16: usize = 22;
const CHARS_32: usize = 43;

/// SHA-256.
pub(crate) fn digest(text: &str) -> Digest {
    Sha256::digest(text.as_bytes()).into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `N` random bytes.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system has a random source");
    bytes
}

/// An identifier of 128 random bits, in base64url.
pub(super) fn identifier() -> String {
    URL_SAFE_NO_PAD.encode(random::<16>())
}

/// A secret of 256 random bits, in base64url.
pub(super) fn secret() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

/// An opaque access token.
pub(super) fn access_token() -> String {
    format!("{ACCESS_TOKEN}{}", secret())
}

/// An authorization code.
pub(super) fn code() -> String {
    format!("{CODE}{}", secret())
}

/// Whether `text` can be an opaque access token of this server.
pub(crate) fn is_access_token(text: &str) -> bool {
    text.strip_prefix(ACCESS_TOKEN).is_some_and(|rest| bytes::<32>(rest, CHARS_32).is_some())
}

/// A refresh token: the family's identifier, then a secret that changes with every use.
pub(super) struct RefreshToken {
    /// Which family.
    pub(super) family: FamilyId,
    /// The secret, in base64url.
    pub(super) secret: String,
}

impl RefreshToken {
    /// The first of a new family.
    pub(super) fn first() -> Self {
        Self::next(random())
    }

    /// A new one of the same family.
    pub(super) fn next(family: FamilyId) -> Self {
        Self { family, secret: secret() }
    }

    /// Reads a token; `None` when it has not the form of one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(REFRESH_TOKEN)?;
        let (family, secret) = rest.split_at_checked(CHARS_16)?;
        bytes::<32>(secret, CHARS_32)?;
        Some(Self { family: bytes(family, CHARS_16)?, secret: secret.to_owned() })
    }

    /// The token as the client gets it.
    pub(super) fn text(&self) -> String {
        format!("{REFRESH_TOKEN}{}{}", URL_SAFE_NO_PAD.encode(self.family), self.secret)
    }
}

/// Strict base64url of exactly `N` bytes in `chars` characters.
pub(super) fn bytes<const N: usize>(text: &str, chars: usize) -> Option<[u8; N]> {
    let mut decoded = [0; N];
    let fits = text.len() == chars && URL_SAFE_NO_PAD.decode_slice(text, &mut decoded) == Ok(N);
    fits.then_some(decoded)
}

/// Reads 32 bytes from base64url: a PKCE challenge.
pub(super) fn bytes32(text: &str) -> Option<[u8; 32]> {
    bytes(text, CHARS_32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oa_46_oa_54_bc_062_bc_063_kinds_do_not_stand_in_for_each_other() {
        assert!(is_access_token(&access_token()));
        assert!(!is_access_token(&code()));
        assert!(!is_access_token(&RefreshToken::first().text()));
        assert!(RefreshToken::parse(&access_token()).is_none());
    }

    #[test]
    fn oa_15_oa_24_oa_46_secrets_have_256_bits_and_come_once() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            for text in [access_token(), code(), RefreshToken::first().text(), secret()] {
                let random = &text[text.len() - CHARS_32..];
                assert!(bytes32(random).is_some() && seen.insert(random.to_owned()), "{text}");
            }
        }
        // What a store keeps of one has nothing of it.
        let token = access_token();
        let kept = hex(&digest(&token));
        assert!((0..token.len() - 8).all(|place| !kept.contains(&token[place..place + 8])));
    }

    #[test]
    fn refresh_token_survives_its_text_form() {
        let token = RefreshToken::first();
        let read = RefreshToken::parse(&token.text()).expect("a token reads itself");
        assert_eq!((read.family, &read.secret), (token.family, &token.secret));
        assert!(RefreshToken::parse(&format!("{}x", token.text())).is_none());
        assert!(RefreshToken::parse("rt_é").is_none());
    }

    #[test]
    fn base64url_is_strict() {
        let good = access_token();
        assert!(!is_access_token(&format!("{good}=")));
        assert!(!is_access_token(&good[..good.len() - 1]));
        let mut spare_bits = good[..good.len() - 1].to_owned();
        spare_bits.push('B'); // 43 characters carry 258 bits: the last two must be zero
        assert!(!is_access_token(&spare_bits));
    }
}
