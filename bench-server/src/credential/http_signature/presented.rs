//! A signature that a request presents: read, held to the profile, verified.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::base::{Message, put_signature_params};
use super::fields::{Bare, Malformed, Reader, dictionary};
use super::{
    ALGORITHM, COMPONENTS, CONTENT_DIGEST_COMPONENT, Fields, LONGEST, SHORTEST_KEY, SKEW, TAG, content_digest,
};
use crate::clock::UnixTime;

/// Most signatures of one request that are read over: proxies on the way may add theirs.
const MAX_SIGNATURES: usize = 8;

/// Most components of one signature.
const MAX_COMPONENTS: usize = 16;

/// Most parameters of one signature: RFC 9421 §2.3 defines six.
const MAX_PARAMETERS: usize = 8;

/// Longest key identifier and nonce, in characters.
const MAX_STRING: usize = 128;

/// Length of an HMAC-SHA-256, in bytes and in base64.
const MAC: usize = 32;
const MAC_BASE64: usize = MAC.div_ceil(3) * 4;

/// Why a signature is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The fields are not what RFC 9421 §4 says, or contradict each other.
    Malformed,
    /// No signature is meant for this application.
    Missing,
    /// Two signatures are.
    Ambiguous,
    /// It does not cover what the profile asks for, or covers what is not there.
    Components,
    /// A parameter that the profile asks for is missing or out of its range.
    Parameters,
    /// It says that it was made with another algorithm than the key's.
    Algorithm,
    /// Made in the future.
    NotYetValid,
    /// Made too long ago, or past its end.
    Expired,
    /// The content is not what its digest says, or there is no digest.
    Digest,
    /// The MAC does not verify.
    BadSignature,
}

impl Refused {
    /// A fixed word; never contains anything that was sent.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Ambiguous => "ambiguous",
            Self::Components => "components",
            Self::Parameters => "parameters",
            Self::Algorithm => "algorithm",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::Digest => "digest",
            Self::BadSignature => "bad_signature",
        }
    }
}

impl From<Malformed> for Refused {
    fn from(Malformed: Malformed) -> Self {
        Self::Malformed
    }
}

/// A few things of one kind, without an allocation.
#[derive(Clone, Copy)]
struct Few<T, const MOST: usize> {
    held: [T; MOST],
    count: usize,
}

impl<T: Copy, const MOST: usize> Few<T, MOST> {
    fn new(filler: T) -> Self {
        Self { held: [filler; MOST], count: 0 }
    }

    fn push(&mut self, one: T) -> Result<(), Malformed> {
        *self.held.get_mut(self.count).ok_or(Malformed)? = one;
        self.count += 1;
        Ok(())
    }

    fn as_slice(&self) -> &[T] {
        &self.held[..self.count]
    }
}

/// One member of `Signature-Input` (RFC 9421 §4.1).
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    components: Few<&'a str, MAX_COMPONENTS>,
    /// Whether a component has parameters of its own, of which none is known here.
    has_component_parameters: bool,
    parameters: Few<(&'a str, Bare<'a>), MAX_PARAMETERS>,
}

impl<'a> Input<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let mut input = Self {
            components: Few::new(""),
            has_component_parameters: false,
            parameters: Few::new(("", Bare::Boolean(false))),
        };
        reader.inner_list(|item, has_parameters| {
            let Bare::String(name) = item else { return Err(Malformed) };
            input.has_component_parameters |= has_parameters;
            // The same name with other parameters would be another component (§2): the profile has none of either.
            if !has_parameters && input.components().contains(&name) {
                return Err(Malformed);
            }
            input.components.push(name)
        })?;
        reader.parameters(|name, value| {
            if input.parameter(name).is_some() {
                return Err(Malformed);
            }
            input.parameters.push((name, value))
        })?;
        Ok(input)
    }

    pub(super) fn components(&self) -> &[&'a str] {
        self.components.as_slice()
    }

    pub(super) fn parameters(&self) -> &[(&'a str, Bare<'a>)] {
        self.parameters.as_slice()
    }

    fn parameter(&self, name: &str) -> Option<Bare<'a>> {
        self.parameters().iter().find(|(held, _)| *held == name).map(|(_, value)| *value)
    }

    /// A string of the profile: neither empty nor longer than anything that it is meant for.
    fn string(&self, name: &str) -> Result<&'a str, Refused> {
        match self.parameter(name) {
            Some(Bare::String(text)) if (1..=MAX_STRING).contains(&text.len()) => Ok(text),
            _ => Err(Refused::Parameters),
        }
    }

    /// A time of the profile, in seconds since 1970.
    fn time(&self, name: &str) -> Result<u64, Refused> {
        match self.parameter(name) {
            Some(Bare::Integer(seconds)) => u64::try_from(seconds).map_err(|_| Refused::Parameters),
            _ => Err(Refused::Parameters),
        }
    }
}

/// A signature that is meant for this application. That it was read says nothing about whether it is good.
pub struct Presented<'a> {
    input: Input<'a>,
    /// Base64.
    signature: &'a str,
    key_id: &'a str,
    nonce: &'a str,
    created: u64,
    expires: u64,
}

impl<'a> Presented<'a> {
    /// Reads both fields as a whole, and takes the one signature with our tag.
    ///
    /// # Errors
    /// [`Refused`]: what is not well-formed, also in other signatures; a label that is in one field only or occurs twice; a
    /// parameter that is missing.
    pub fn read(fields: &'a Fields<'_>) -> Result<Self, Refused> {
        let mut labels: Few<&str, MAX_SIGNATURES> = Few::new("");
        let mut ours: Option<(&str, Input<'_>)> = None;
        dictionary(&fields.input, |label, reader| {
            let input = Input::read(reader)?;
            if labels.as_slice().contains(&label) {
                return Err(Refused::Malformed);
            }
            labels.push(label)?;
            if input.parameter("tag") == Some(Bare::String(TAG)) && ours.replace((label, input)).is_some() {
                return Err(Refused::Ambiguous);
            }
            Ok(())
        })?;
        let (label, input) = ours.ok_or(Refused::Missing)?;
        let mut signature = None;
        let mut signed: Few<&str, MAX_SIGNATURES> = Few::new("");
        dictionary(&fields.signature, |of, reader| {
            let Bare::Bytes(text) = reader.bare()? else { return Err(Refused::Malformed) };
            reader.parameters(|_, _| Ok::<_, Malformed>(()))?;
            if signed.as_slice().contains(&of) || !labels.as_slice().contains(&of) {
                return Err(Refused::Malformed);
            }
            signed.push(of)?;
            if of == label {
                signature = Some(text);
            }
            Ok(())
        })?;
        if signed.count != labels.count {
            return Err(Refused::Malformed);
        }
        Ok(Self {
            signature: signature.ok_or(Refused::Malformed)?,
            key_id: input.string("keyid")?,
            nonce: input.string("nonce")?,
            created: input.time("created")?,
            expires: input.time("expires")?,
            input,
        })
    }

    /// Whose key it was made with, if it is good.
    pub fn key_id(&self) -> &'a str {
        self.key_id
    }

    /// What no other signature of that key may carry.
    pub fn nonce(&self) -> &'a str {
        self.nonce
    }

    /// The last second in which it is accepted, by a clock that is right.
    pub fn last_second(&self) -> u64 {
        self.expires.min(self.created + LONGEST.as_secs())
    }

    /// Holds it to the profile, at little cost: algorithm, time, covered components, and the digest of the content.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(&self, message: &Message<'_>, now: UnixTime) -> Result<(), Refused> {
        // RFC 9421 §3.2 step 6: the key says which algorithm, and there is no choice to be had.
        if !matches!(self.input.parameter("alg"), None | Some(Bare::String(ALGORITHM))) {
            return Err(Refused::Algorithm);
        }
        let now = now.as_secs();
        if self.expires <= self.created || self.expires - self.created > LONGEST.as_secs() {
            return Err(Refused::Parameters);
        }
        if self.created > now + SKEW.as_secs() {
            return Err(Refused::NotYetValid);
        }
        if now > self.last_second() {
            return Err(Refused::Expired);
        }
        // §3.2.1, §7.2.1: a good MAC over too little is no signature of this request.
        let covers = |name: &str| self.input.components().contains(&name);
        let covers_content = covers(CONTENT_DIGEST_COMPONENT);
        let enough = COMPONENTS.into_iter().all(covers) && (message.content.is_empty() || covers_content);
        if !enough || self.input.has_component_parameters {
            return Err(Refused::Components);
        }
        if covers_content { content_digest::check(message.fields, message.content) } else { Ok(()) }
    }

    /// Verifies the MAC, over its full length and in a time that does not depend on where it differs.
    ///
    /// # Errors
    /// [`Refused::BadSignature`]; [`Refused::Components`] for a component that the request does not have.
    ///
    /// # Panics
    /// For a key of under 32 bytes: whoever has made it knows.
    pub fn verify(&self, message: &Message<'_>, key: &[u8]) -> Result<(), Refused> {
        assert!(key.len() >= SHORTEST_KEY, "RFC 2104 §3 asks for keys as long as the hash");
        thread_local! {
            /// Kept, so that a request allocates nothing for it.
            static BASE: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
        }
        let mut mac = [0; MAC + 1];
        let is_mac = self.signature.len() == MAC_BASE64
            && STANDARD.decode_slice(self.signature, &mut mac).is_ok_and(|length| length == MAC);
        BASE.with_borrow_mut(|base| {
            base.clear();
            self.put_base(message, base)?;
            let key = hmac::Key::new(hmac::HMAC_SHA256, key);
            let verified = hmac::verify(&key, base, &mac[..MAC]).is_ok();
            if is_mac && verified { Ok(()) } else { Err(Refused::BadSignature) }
        })
    }

    fn put_base(&self, message: &Message<'_>, base: &mut Vec<u8>) -> Result<(), Refused> {
        message.put_components(self.input.components().iter().copied(), base)?;
        put_signature_params(&self.input, base);
        Ok(())
    }

    /// What was signed, for tests against the RFC's own examples.
    #[cfg(test)]
    pub(super) fn base_of(field: &'a str, message: &Message<'_>) -> Result<Vec<u8>, Refused> {
        let mut base = Vec::new();
        dictionary(field, |_, reader| {
            let input = Input::read(reader)?;
            message.put_components(input.components().iter().copied(), &mut base)?;
            put_signature_params(&input, &mut base);
            Ok::<_, Refused>(())
        })?;
        Ok(base)
    }
}
