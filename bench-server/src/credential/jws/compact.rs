//! The compact serialisation (RFC 7515 §7.1) and its protected header, read strictly.

use std::borrow::Cow;

use memchr::memchr_iter;

use super::json::{self, Fault, Names, once};

/// Longest `kid` looked up, in bytes.
const MAX_KID: usize = 128;

/// The three parts of a compact JWS, still encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compact<'t> {
    /// The protected header.
    pub(crate) header: &'t str,
    /// The payload.
    pub(crate) payload: &'t str,
    /// The signature.
    pub(crate) signature: &'t str,
    /// What is signed: header, dot, payload.
    pub(crate) signing_input: &'t str,
}

impl<'t> Compact<'t> {
    /// Splits at the dots; `None` unless there are exactly two.
    pub(crate) fn split(token: &'t str) -> Option<Self> {
        let mut dots = memchr_iter(b'.', token.as_bytes());
        let (first, second) = (dots.next()?, dots.next()?);
        if dots.next().is_some() {
            return None;
        }
        Some(Self {
            header: &token[..first],
            payload: &token[first + 1..second],
            signature: &token[second + 1..],
            signing_input: &token[..second],
        })
    }
}

/// The members of a protected header that decide. `jku`, `x5u`, `jwk` and `x5c` are ignored: keys come from
/// configuration, never from a token (RFC 8725 §3.10).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    /// Signature algorithm.
    pub(crate) alg: Cow<'a, str>,
    /// Media type of the whole object.
    pub(crate) typ: Option<Cow<'a, str>>,
    /// Key identifier: an opaque map key of at most [`MAX_KID`] bytes.
    pub(crate) kid: Option<Cow<'a, str>>,
}

impl<'a> Header<'a> {
    /// Reads a decoded header. Refused: `crit` and `b64` (no extension is understood, RFC 7515 §4.1.11, RFC 7797 §7),
    /// `zip` and `enc` (JWE), `cty` of a nested JWT (RFC 7519 §5.2).
    pub(crate) fn read(text: &'a [u8]) -> Result<Self, Fault> {
        let (mut alg, mut typ, mut kid, mut others) = (None, None, None, Names::default());
        json::read_object(text, |name, value| match &*name {
            "alg" => once(&mut alg, value.string()?),
            "typ" => once(&mut typ, value.string()?),
            "kid" => once(&mut kid, value.string()?),
            "crit" | "b64" | "zip" | "enc" => Err(Fault::NotAccepted),
            "cty" => {
                others.insert(name)?;
                if value.string()?.eq_ignore_ascii_case("JWT") { Err(Fault::NotAccepted) } else { Ok(()) }
            }
            _ => {
                others.insert(name)?;
                value.skip()
            }
        })?;
        if kid.as_ref().is_some_and(|kid| kid.len() > MAX_KID) {
            return Err(Fault::NotAccepted);
        }
        Ok(Header { alg: alg.ok_or(Fault::NotAccepted)?, typ, kid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jw_20_exactly_three_parts() {
        let parts = Compact::split("aa.bbb.c").unwrap();
        assert_eq!((parts.header, parts.payload, parts.signature, parts.signing_input), ("aa", "bbb", "c", "aa.bbb"));
        assert_eq!(Compact::split("a.b.").unwrap().signature, "");
        for token in ["", "a", "a.b", "a.b.c.d", "a.b.c.d.e", "a.b.c."] {
            assert_eq!(Compact::split(token), None, "{token}");
        }
    }

    #[test]
    fn jw_17_jw_18_jw_19_bc_095_bc_096_header_members() {
        let header = Header::read(br#"{"typ":"at+jwt","alg":"ES256","kid":"k\u0031","jku":"http://x/","jwk":{"k":1}}"#);
        let expected = Header { alg: "ES256".into(), typ: Some("at+jwt".into()), kid: Some("k1".into()) };
        assert_eq!(header, Ok(expected));
        for text in [
            r#"{"kid":"a"}"#,
            r#"{"alg":null}"#,
            r#"{"alg":["RS256"]}"#,
            r#"{"alg":{}}"#,
            r#"{"alg":"a","alg":"a"}"#,
            r#"{"alg":"a","\u0061lg":"a"}"#,
            r#"{"alg":"a","x":1,"x":1}"#,
            r#"{"alg":"a","kid":7}"#,
            r#"{"alg":"a","kid":["k"]}"#,
            r#"{"alg":"a","typ":null}"#,
            r#"{"alg":"a","crit":["x"],"x":1}"#,
            r#"{"alg":"a","crit":[]}"#,
            r#"{"alg":"a","crit":"exp"}"#,
            r#"{"alg":"a","crit":["alg"]}"#,
            r#"{"alg":"a","b64":false}"#,
            r#"{"alg":"a","zip":"DEF"}"#,
            r#"{"alg":"a","enc":"A128GCM"}"#,
            r#"{"alg":"a","cty":"JWT"}"#,
            r#"{"alg":"a","cty":"jwt"}"#,
        ] {
            assert_eq!(Header::read(text.as_bytes()), Err(Fault::NotAccepted), "{text}");
        }
    }

    #[test]
    fn jw_10_kid_length_is_bounded() {
        let header = |n: usize| format!(r#"{{"alg":"a","kid":"{}"}}"#, "k".repeat(n));
        assert!(Header::read(header(MAX_KID).as_bytes()).is_ok());
        assert_eq!(Header::read(header(MAX_KID + 1).as_bytes()), Err(Fault::NotAccepted));
    }
}
