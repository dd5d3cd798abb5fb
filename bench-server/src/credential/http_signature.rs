//! HTTP Message Signatures (RFC 9421) with HMAC-SHA-256, in the one profile that this server accepts; and Content-Digest
//! (RFC 9530), which takes the body in.
//!
//! The profile (RFC 9421 §1.4 asks every application for one): the components of [`COMPONENTS`] and, with a body,
//! `content-digest`; the parameters `created`, `expires` at most [`LONGEST`] later, `nonce`, `keyid`, and `tag` =
//! [`TAG`]; `alg` may be left out, and is [`ALGORITHM`] otherwise. More components may be covered, of those that can be
//! taken from the request without parameters.
//!
//! Strings are compared as they are written: a key identifier with `\` or `"` in it is legal, and never one of ours.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderMap, HeaderName};

mod base;
pub mod content_digest;
mod fields;
pub(crate) mod master;
mod presented;
mod sign;

pub use self::base::Message;
pub use self::presented::{Presented, Refused};
pub use self::sign::{BadKey, Freshness, Signer, read_key, sign_message};

/// `tag` of every signature that is meant for this application (RFC 9421 §7.2.7).
pub const TAG: &str = "authbench";

/// The algorithm of every key (RFC 9421 §3.3.3).
pub const ALGORITHM: &str = "hmac-sha256";

/// What every signature covers.
pub const COMPONENTS: [&str; 4] = ["@method", "@authority", "@path", "@query"];

/// What it covers besides, where there is a body.
pub(crate) const CONTENT_DIGEST_COMPONENT: &str = "content-digest";

/// The longest time that a signature is accepted for, counted from `created`.
pub const LONGEST: Duration = Duration::from_secs(300);

/// How far a signer's clock may be ahead, and how far the clocks of two validators may differ.
pub const SKEW: Duration = Duration::from_secs(30);

/// Shortest key, in bytes: the output of the hash (RFC 2104 §3).
pub const SHORTEST_KEY: usize = 32;

/// What a 401 asks for (RFC 9421 §5.1). A nonce cannot be asked for without choosing it, and the key is the caller's.
pub const ACCEPT_SIGNATURE: &str =
    r#"sig1=("@method" "@authority" "@path" "@query");created;expires;alg="hmac-sha256";tag="authbench""#;

/// The field that says what a signature covers (RFC 9421 §4.1).
pub static SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");

/// The field with the signatures (RFC 9421 §4.2).
pub static SIGNATURE: HeaderName = HeaderName::from_static("signature");

/// The field with digests of the content (RFC 9530 §2).
pub static CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// Longest of these fields that is looked at, in bytes, all its lines together.
const MAX_FIELD: usize = 8 * 1024;

/// The two fields of a signature, as they were received.
pub struct Fields<'h> {
    input: Cow<'h, str>,
    signature: Cow<'h, str>,
}

impl<'h> Fields<'h> {
    /// `None` for a request that is not signed.
    ///
    /// # Errors
    /// [`Refused::Malformed`] for one field without the other, and for what cannot be a structured field.
    pub fn of(fields: &'h HeaderMap) -> Result<Option<Self>, Refused> {
        match (joined(fields, &SIGNATURE_INPUT)?, joined(fields, &SIGNATURE)?) {
            (None, None) => Ok(None),
            (Some(input), Some(signature)) => Ok(Some(Self { input, signature })),
            _ => Err(Refused::Malformed),
        }
    }
}

/// The value of a list-based field: its lines with commas between them (RFC 9110 §5.3).
fn joined<'h>(fields: &'h HeaderMap, name: &HeaderName) -> Result<Option<Cow<'h, str>>, Refused> {
    let mut lines = fields.get_all(name).iter();
    let Some(first) = lines.next() else { return Ok(None) };
    let mut value = Cow::Borrowed(first.to_str().map_err(|_| Refused::Malformed)?);
    for line in lines {
        let all = value.to_mut();
        all.push_str(", ");
        all.push_str(line.to_str().map_err(|_| Refused::Malformed)?);
    }
    if value.len() > MAX_FIELD { Err(Refused::Malformed) } else { Ok(Some(value)) }
}

#[cfg(test)]
mod tests;
