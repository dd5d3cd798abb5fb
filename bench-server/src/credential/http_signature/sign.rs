//! Signing: for callers, the load client among them.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::base::Message;
use super::{COMPONENTS, Refused, SHORTEST_KEY};
use crate::contract::Secret;

// A value of `Signature-Input` up to what differs from key to key, in the pieces between what differs from request to
// request. A test holds the first of them to `COMPONENTS`.
const BEFORE_CREATED: &str = r#"("@method" "@authority" "@path" "@query");created="#;
const BEFORE_EXPIRES: &str = ";expires=";
const BEFORE_NONCE: &str = ";nonce=\"";

/// Digits of a time: until the year 2286.
const TIME: usize = 10;
/// Digits of a nonce: 128 bits in hexadecimal.
const NONCE: usize = 32;

const CREATED_AT: usize = BEFORE_CREATED.len();
const EXPIRES_AT: usize = CREATED_AT + TIME + BEFORE_EXPIRES.len();
const NONCE_AT: usize = EXPIRES_AT + TIME + BEFORE_NONCE.len();

/// A key that nothing can be signed with. The text does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not in hexadecimal, or too short.
    #[error("the key is not hexadecimal of at least {} digits; issue another", 2 * SHORTEST_KEY)]
    Key,
    /// The identifier cannot be written down.
    #[error(
        "the key's identifier is empty or holds a quote, a backslash or what is not printable ASCII; issue another"
    )]
    Id,
}

/// Reads a key as it is issued: in hexadecimal.
///
/// # Errors
/// [`BadKey::Key`].
pub fn read_key(hex: &str) -> Result<Zeroizing<Vec<u8>>, BadKey> {
    let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(BadKey::Key);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() < SHORTEST_KEY || !rest.is_empty() {
        return Err(BadKey::Key);
    }
    let mut key = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        key.push((digit(*high)? << 4 | digit(*low)?) as u8);
    }
    Ok(key)
}

/// What no two requests share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// When it is signed, in seconds since 1970.
    pub created: u64,
    /// The last second in which it may be accepted.
    pub expires: u64,
    /// Random.
    pub nonce: u128,
}

/// Signs requests without content, all with one key and to one target. What they share is hashed once, so that a signature
/// costs the parameters alone, and allocates nothing.
pub struct Signer {
    begun: hmac::Context,
}

impl Signer {
    /// Length of a signature in base64.
    pub const SIGNATURE: usize = 44;

    /// # Errors
    /// [`BadKey::Key`].
    ///
    /// # Panics
    /// For a message with content: its digest would have to be covered.
    pub fn new(key: &Secret, message: &Message<'_>) -> Result<Self, BadKey> {
        assert!(message.content.is_empty(), "a content needs a digest");
        let key = hmac::Key::new(hmac::HMAC_SHA256, &read_key(key.expose())?);
        let mut begun = hmac::Context::with_key(&key);
        let mut base = Vec::new();
        message.put_components(COMPONENTS, &mut base).expect("every request has these components");
        base.extend_from_slice(b"\"@signature-params\": ");
        begun.update(&base);
        Ok(Self { begun })
    }

    /// The value of a `Signature-Input` member with blanks for what [`Signer::sign`] fills in. Its length depends on the
    /// key's identifier alone.
    ///
    /// # Errors
    /// [`BadKey::Id`].
    pub fn blank(key_id: &str) -> Result<String, BadKey> {
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if key_id.is_empty() || !key_id.bytes().all(plain) {
            return Err(BadKey::Id);
        }
        let (time, nonce) = ("0".repeat(TIME), "0".repeat(NONCE));
        Ok(format!(
            "{BEFORE_CREATED}{time}{BEFORE_EXPIRES}{time}{BEFORE_NONCE}{nonce}\";keyid=\"{key_id}\";\
             alg=\"hmac-sha256\";tag=\"authbench\""
        ))
    }

    /// Fills in what [`Signer::blank`] made, and returns the signature of it in base64.
    ///
    /// # Panics
    /// When it is shorter than any that `blank` makes.
    pub fn sign(&self, blank: &mut [u8], fresh: &Freshness) -> [u8; Self::SIGNATURE] {
        put_decimal(&mut blank[CREATED_AT..][..TIME], fresh.created);
        put_decimal(&mut blank[EXPIRES_AT..][..TIME], fresh.expires);
        put_hex(&mut blank[NONCE_AT..][..NONCE], fresh.nonce);
        let mut hash = self.begun.clone();
        hash.update(blank);
        let mut signature = [0; Self::SIGNATURE];
        let written = STANDARD.encode_slice(hash.sign(), &mut signature);
        debug_assert_eq!(written.ok(), Some(Self::SIGNATURE));
        signature
    }
}

fn put_decimal(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn put_hex(place: &mut [u8], mut number: u128) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// Signs any message: the values of a `Signature-Input` member and of its `Signature`, the latter in base64. `parameters`
/// are written as they are, like `;created=1618884473`.
///
/// # Errors
/// [`Refused::Components`] for a component that the message does not have.
pub fn sign_message(
    message: &Message<'_>,
    components: &[&str],
    parameters: &str,
    key: &[u8],
) -> Result<(String, String), Refused> {
    let quoted: Vec<String> = components.iter().map(|name| format!("\"{name}\"")).collect();
    let input = format!("({}){parameters}", quoted.join(" "));
    let mut base = Vec::new();
    message.put_components(components.iter().copied(), &mut base)?;
    base.extend_from_slice(b"\"@signature-params\": ");
    base.extend_from_slice(input.as_bytes());
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), &base);
    Ok((input, STANDARD.encode(mac)))
}
