//! `user-id ":" password` in base64 (RFC 7617 §2), taken apart without allocating.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Longest user name, colon and password together, in bytes: refused before anything is hashed.
pub(super) const MAX_DECODED: usize = 1024;

/// Base64 characters that `MAX_DECODED` bytes take, padding included.
const MAX_ENCODED: usize = MAX_DECODED.div_ceil(3) * 4;

/// A decoded user name and password. The bytes are wiped when it is dropped.
pub(super) struct Credentials {
    decoded: Zeroizing<[u8; MAX_ENCODED / 4 * 3]>,
    colon: usize,
    end: usize,
}

/// The text is not what RFC 7617 describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Credentials {
    /// Decodes what follows the scheme: base64 in the standard alphabet with padding and no spare bits, of UTF-8
    /// (the `charset` of the challenge), split at the first colon. Empty names and passwords and control characters are
    /// malformed.
    pub(super) fn parse(token: &str) -> Result<Self, Malformed> {
        if token.len() > MAX_ENCODED {
            return Err(Malformed);
        }
        let mut decoded = Zeroizing::new([0; MAX_ENCODED / 4 * 3]);
        let end = STANDARD.decode_slice(token, &mut *decoded).map_err(|_| Malformed)?;
        if end > MAX_DECODED {
            return Err(Malformed);
        }
        let text = std::str::from_utf8(&decoded[..end]).map_err(|_| Malformed)?;
        let colon = text.find(':').ok_or(Malformed)?;
        if !is_name(&text[..colon]) || !is_password(&text[colon + 1..]) {
            return Err(Malformed);
        }
        Ok(Self { decoded, colon, end })
    }

    pub(super) fn name(&self) -> &str {
        self.text(0, self.colon)
    }

    pub(super) fn password(&self) -> &str {
        self.text(self.colon + 1, self.end)
    }

    fn text(&self, from: usize, to: usize) -> &str {
        std::str::from_utf8(&self.decoded[from..to]).expect("parsed as UTF-8, and cut beside an ASCII character")
    }
}

/// Whether a user may have this name (RFC 7617 §2: no colon, no control character).
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c == ':' || c.is_control())
}

/// Whether a user may have this password (RFC 7617 §2: no control character).
pub(super) fn is_password(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(token: &str) -> Option<(String, String)> {
        let credentials = Credentials::parse(token).ok()?;
        Some((credentials.name().to_owned(), credentials.password().to_owned()))
    }

    fn encode(text: impl AsRef<[u8]>) -> String {
        STANDARD.encode(text)
    }

    #[test]
    fn ba_2_the_examples_of_rfc_7617() {
        assert_eq!(parse("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Some(("Aladdin".into(), "open sesame".into())));
        assert_eq!(parse("dGVzdDoxMjPCow=="), Some(("test".into(), "123\u{a3}".into())));
    }

    #[test]
    fn ba_4_the_first_colon_divides() {
        assert_eq!(parse(&encode("a:b:c:")), Some(("a".into(), "b:c:".into())));
    }

    #[test]
    fn ba_6_bc_120_bc_121_what_is_not_strict_base64_is_malformed() {
        let good = encode("user:pass?>"); // dXNlcjpwYXNzPz4=
        assert!(parse(&good).is_some());
        let unpadded = good.trim_end_matches('=');
        let plus = encode("user:p??>");
        assert!(plus.contains('+') && parse(&plus).is_some());
        let url_safe = plus.replace('+', "-");
        for bad in
            ["", unpadded, &url_safe, "dXNlcjpw YXNzPz4=", "dXNlcjpwYXNzPz5=", "!!!!", "====", "d", &encode(&good)]
        {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    /// Rows: BC-122, BC-123, BC-124, BC-125.
    #[test]
    fn ba_6_ba_7_what_does_not_decode_to_a_name_and_a_password_is_malformed() {
        for bad in [&b"user"[..], b":", b"user:", b":password", b"us\x00er:pw", b"user:p\x00w", b"user:p\r\nw"] {
            assert_eq!(parse(&encode(bad)), None, "{bad:?}");
        }
        assert_eq!(parse(&encode("user:p\u{85}w")), None, "a control character of C1");
        assert_eq!(parse(&encode(b"test:123\xa3")), None, "Latin-1");
    }

    #[test]
    fn ba_8_bc_128_a_kibibyte_is_the_limit() {
        let of_length = |length: usize| encode(format!("user:{}", "p".repeat(length - 5)));
        assert!(parse(&of_length(MAX_DECODED)).is_some());
        assert!(parse(&of_length(MAX_DECODED + 1)).is_none());
        assert!(parse(&of_length(MAX_DECODED + 2)).is_none());
        assert!(parse(&of_length(1 << 20)).is_none());
    }
}
