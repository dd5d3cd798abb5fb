//! Content-Digest (RFC 9530): the digest of a message's content, by which a signature over fields covers the body too.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Algorithm, SHA256, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use super::fields::{Bare, Malformed, dictionary};
use super::{CONTENT_DIGEST, Refused, joined};

/// The value of the field for this content.
pub fn of(content: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, content)))
}

/// Holds the field to the content that was received. Only active algorithms count (RFC 9530 §5): one of them must be
/// there, and every one that is must agree.
///
/// # Errors
/// [`Refused::Digest`], or [`Refused::Malformed`] for what is not such a field.
pub fn check(fields: &HeaderMap, content: &[u8]) -> Result<(), Refused> {
    let text = joined(fields, &CONTENT_DIGEST)?.ok_or(Refused::Digest)?;
    let mut found = false;
    dictionary(&text, |name, reader| {
        let Bare::Bytes(value) = reader.bare()? else { return Err(Refused::Malformed) };
        reader.parameters(|_, _| Ok::<_, Malformed>(()))?;
        let algorithm = match name {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            // Deprecated or unknown: says nothing.
            _ => return Ok(()),
        };
        found = true;
        if is_digest(value, algorithm, content) { Ok(()) } else { Err(Refused::Digest) }
    })?;
    if found { Ok(()) } else { Err(Refused::Digest) }
}

fn is_digest(base64: &str, algorithm: &'static Algorithm, content: &[u8]) -> bool {
    let mut claimed = [0; 3 * 32]; // more than any digest that is known here
    let Ok(length) = STANDARD.decode_slice(base64, &mut claimed) else { return false };
    verify_slices_are_equal(&claimed[..length], digest(algorithm, content).as_ref()).is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// The content of RFC 9421 appendix B.2 and, with a line feed, of RFC 9530's appendices.
    const CONTENT: &[u8] = br#"{"hello": "world"}"#;
    const SHA_512: &str =
        "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";

    fn checked(lines: &[&str], content: &[u8]) -> Result<(), Refused> {
        let mut fields = HeaderMap::new();
        for line in lines {
            fields.append(&CONTENT_DIGEST, HeaderValue::from_str(line).expect("a field value"));
        }
        check(&fields, content)
    }

    #[test]
    fn sr_6_digests_of_the_rfcs_examples_agree() {
        assert_eq!(of(CONTENT), "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:");
        assert_eq!(checked(&[&of(CONTENT)], CONTENT), Ok(()));
        assert_eq!(checked(&[SHA_512], CONTENT), Ok(()));
        assert_eq!(checked(&[SHA_512, &of(CONTENT)], CONTENT), Ok(()), "two lines are one dictionary");
        // RFC 9530 appendix B.1.
        let line_feed = [CONTENT, b"\n"].concat();
        assert_eq!(of(&line_feed), "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:");
        assert_eq!(checked(&[&of(b"")], b""), Ok(()));
    }

    #[test]
    fn sr_6_another_content_or_no_active_algorithm_is_refused() {
        let good = of(CONTENT);
        assert_eq!(checked(&[], CONTENT), Err(Refused::Digest));
        assert_eq!(checked(&[&good], b"{}"), Err(Refused::Digest));
        for deprecated in ["md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", "sha=:07CavjDP4u3/TungoUHJO/Wzr4c=:", "unixsum=:AAA=:", ""]
        {
            assert_eq!(checked(&[deprecated], CONTENT), Err(Refused::Digest), "{deprecated}");
        }
        let beside = format!("{good}, md5=:AAAA:");
        assert_eq!(checked(&[&beside], CONTENT), Ok(()), "an algorithm that is not active is no judgement");
        let disagreeing = format!("{SHA_512}, sha-256=:{}:", STANDARD.encode([0; 32]));
        assert_eq!(checked(&[&disagreeing], CONTENT), Err(Refused::Digest), "all that is known must agree");
        let cut = format!("sha-256=:{}:", STANDARD.encode(&digest(&SHA256, CONTENT).as_ref()[..16]));
        assert_eq!(checked(&[&cut], CONTENT), Err(Refused::Digest));
        for malformed in ["sha-256=X48E9q", "sha-256=\"a\"", "sha-256", "md5=:AA==:,", "SHA-256=:AA==:"] {
            assert_eq!(checked(&[malformed], CONTENT), Err(Refused::Malformed), "{malformed}");
        }
    }
}
