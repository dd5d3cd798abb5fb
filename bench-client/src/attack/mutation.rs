//! What is done to a valid credential before it is sent: a short list of words, each with a value or without.
//!
//! A credential begins as what the caller holds: a key, a token, a user with a password, or what signs its requests. Words about
//! its parts (`header.alg=none`, `password=…`) come first; the first word about its text (`truncate=16`) puts the parts together,
//! and the rest change the text that is presented.

mod text;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::Algorithm;
use serde::Deserialize;

use self::text::{Position, TextChange};
use super::jws::{Jws, Signature};
use super::key::{TokenKey, ecdsa_in_der, hmac_sha256};
use super::signature::{Digest, Mac, Part, Signature as OfRequest};
use super::template::{self, Missing, fill};

/// One change, as it is written: `header.alg=none`, `signature=empty`, `flip-case`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Mutation {
    text: String,
    change: Change,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// A member of the header or of the claims.
    Member {
        part: Which,
        edit: Edit,
        name: String,
        value: String,
        raw: bool,
    },
    /// The whole header or claims.
    Whole {
        part: Which,
        value: String,
    },
    /// What stands before or behind the claims.
    Around {
        before: String,
        after: String,
    },
    /// Claims in an object that is nested so deep.
    Deep(usize),
    Signature(Signing),
    /// What the signature of a request covers.
    Components(String),
    /// What of a request is signed in the place of what is sent.
    Over(Part, String),
    /// What `Content-Digest` says.
    Digest(Digest),
    /// A change of the proof that goes with a token.
    Proof(Box<Change>),
    User(String),
    Password(String),
    /// What the base64 of Basic holds.
    Decoded(String),
    Text(TextChange),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Header,
    Claims,
    /// What the signature of a request says of itself.
    Parameters,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    Set,
    Add,
    Remove,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Signing {
    Empty,
    Dropped,
    Zeros,
    /// So many bytes of the beginning.
    First(usize),
    /// One byte more.
    Longer,
    Issuer,
    IssuerInDer,
    Attacker,
    Hmac(String),
}

/// A credential on its way to what is sent.
#[derive(Debug, Clone)]
pub(crate) enum Credential {
    /// As it is presented.
    Text(Vec<u8>),
    /// A token whose parts can change.
    Jws(Box<Jws>),
    /// A user and a password (RFC 7617).
    Pair {
        /// User name.
        user: Vec<u8>,
        /// Password.
        password: Vec<u8>,
    },
    /// What signs each request (RFC 9421).
    Signed(Box<OfRequest>),
    /// A token, and a proof that its key is the caller's (RFC 9449).
    Bound(Box<Bound>),
}

/// A token that is bound to a key.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    /// The token.
    pub(crate) token: Vec<u8>,
    /// The proof.
    pub(crate) proof: Jws,
    /// Whether the proof has the signature that it is to have; otherwise it gets the right one.
    pub(crate) is_signed: bool,
}

impl Credential {
    /// What is presented behind the scheme; nothing of what signs requests, for that is in none of them.
    pub(crate) fn text(&self) -> Vec<u8> {
        match self {
            Self::Signed(_) => Vec::new(),
            Self::Bound(bound) => bound.token.clone(),
            Self::Text(text) => text.clone(),
            Self::Jws(jws) => jws.text().into_bytes(),
            Self::Pair { user, password } => STANDARD.encode([user, &b":"[..], password].concat()).into_bytes(),
        }
    }
}

/// What mutations draw on beside the credential itself.
pub(crate) struct Source<'s> {
    /// Seconds since 1970.
    pub(crate) now: u64,
    /// What places are filled with.
    pub(crate) names: &'s dyn Fn(&str) -> Result<Vec<u8>, Missing>,
    /// What the target's tokens are signed with, where that is known.
    pub(crate) issuer: Option<&'s TokenKey>,
    /// Keys of nobody, made when they are first used.
    pub(crate) attacker: &'s Attacker,
    /// Whether what is made is only shown: then nothing is signed.
    pub(crate) shown: bool,
}

/// Keys that no target knows.
#[derive(Default)]
pub(crate) struct Attacker(RefCell<BTreeMap<Algorithm, Rc<TokenKey>>>);

impl Attacker {
    /// The key for an algorithm, which RSA's take a tenth of a second to make.
    pub(crate) fn key(&self, algorithm: Algorithm) -> Result<Rc<TokenKey>, Missing> {
        if let Some(key) = self.0.borrow().get(&algorithm) {
            return Ok(key.clone());
        }
        let key = Rc::new(TokenKey::generate(algorithm).map_err(Missing)?);
        self.0.borrow_mut().insert(algorithm, key.clone());
        Ok(key)
    }
}

/// The algorithm of that name.
pub(crate) fn algorithm(name: &str) -> Option<Algorithm> {
    serde_json::from_value(serde_json::Value::String(name.to_owned())).ok()
}

/// What a mutation needs besides the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    /// A token whose parts can be read.
    Jws,
    /// The key that signs.
    IssuerKey,
    /// Its public half.
    PublicKey,
}

impl Mutation {
    /// As it was written.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// What it needs besides the credential.
    pub(crate) fn needed(&self) -> Option<Needed> {
        match &self.change {
            Change::Signature(Signing::Issuer | Signing::IssuerInDer) => Some(Needed::IssuerKey),
            Change::Signature(Signing::Hmac(key)) if key.starts_with("public-") => Some(Needed::PublicKey),
            Change::Member { part: Which::Parameters, .. }
            | Change::Components(_)
            | Change::Over(..)
            | Change::Digest(_)
            | Change::Proof(_) => None,
            Change::Member { .. }
            | Change::Whole { .. }
            | Change::Around { .. }
            | Change::Deep(_)
            | Change::Signature(_)
            | Change::Text(TextChange::JsonSerialisation) => Some(Needed::Jws),
            Change::User(_) | Change::Password(_) | Change::Decoded(_) | Change::Text(_) => None,
        }
    }

    /// Makes the change.
    ///
    /// # Errors
    /// What is missing.
    pub(crate) fn apply(&self, credential: Credential, source: &Source<'_>) -> Result<Credential, Missing> {
        let fill = |text: &str| fill(text, source.now, source.names);
        Ok(match (&self.change, credential) {
            (Change::User(user), Credential::Pair { password, .. }) => Credential::Pair { user: fill(user)?, password },
            (Change::Password(password), Credential::Pair { user, .. }) => {
                Credential::Pair { user, password: fill(password)? }
            }
            (Change::Decoded(text), Credential::Pair { .. }) => {
                Credential::Text(STANDARD.encode(fill(text)?).into_bytes())
            }
            (Change::Text(change), credential) => Credential::Text(change.apply(credential.text(), source)?),
            (Change::Proof(change), Credential::Bound(mut bound)) => {
                change.apply_to(&mut bound.proof, source)?;
                bound.is_signed |= matches!(**change, Change::Signature(_));
                Credential::Bound(bound)
            }
            (change, Credential::Signed(mut signature)) => {
                change.apply_to_signature(&mut signature, source)?;
                Credential::Signed(signature)
            }
            (change, Credential::Jws(mut jws)) => {
                change.apply_to(&mut jws, source)?;
                Credential::Jws(jws)
            }
            (_, _) => return Err(Missing(format!("{}: the credential has no such part", self.text))),
        })
    }
}

impl Change {
    fn apply_to(&self, jws: &mut Jws, source: &Source<'_>) -> Result<(), Missing> {
        let fill = |text: &str| fill(text, source.now, source.names);
        match self {
            Self::Member { part, edit, name, value, raw } => {
                let value = if *edit == Edit::Remove { String::new() } else { member(value, *raw, source)? };
                let part = match part {
                    Which::Header => &mut jws.header,
                    Which::Claims => &mut jws.claims,
                    Which::Parameters => return Err(no_such_part()),
                };
                match edit {
                    Edit::Set => part.set(name, value),
                    Edit::Add => part.add(name, value),
                    Edit::Remove => part.remove(name),
                }
            }
            Self::Whole { part: Which::Header, value } => jws.header.replace(fill(value)?),
            Self::Whole { part: Which::Claims, value } => jws.claims.replace(fill(value)?),
            Self::Around { before, after } => jws.claims.surround(fill(before)?, fill(after)?),
            Self::Deep(depth) => jws.claims.add("deep", format!("{}1{}", "[".repeat(*depth), "]".repeat(*depth))),
            Self::Signature(signing) => jws.signature = signing.sign(jws, source)?,
            Self::Whole { part: Which::Parameters, .. }
            | Self::Components(_)
            | Self::Over(..)
            | Self::Digest(_)
            | Self::Proof(_)
            | Self::User(_)
            | Self::Password(_)
            | Self::Decoded(_)
            | Self::Text(_) => return Err(no_such_part()),
        }
        Ok(())
    }

    fn apply_to_signature(&self, signature: &mut OfRequest, source: &Source<'_>) -> Result<(), Missing> {
        let fill = |text: &str| fill(text, source.now, source.names);
        match self {
            Self::Member { part: Which::Parameters, edit, name, value, raw } => match edit {
                Edit::Set => signature.set(name, member(value, *raw, source)?),
                Edit::Add => signature.add(name, member(value, *raw, source)?),
                Edit::Remove => signature.remove(name),
            },
            Self::Components(components) => signature.cover(&String::from_utf8_lossy(&fill(components)?)),
            Self::Over(part, value) => signature.sign_over(*part, fill(value)?)?,
            Self::Digest(digest) => signature.digest(*digest),
            Self::Signature(signing) => signature.mac(match signing {
                Signing::Empty => Mac::Bytes(Vec::new()),
                Signing::Zeros => Mac::Bytes(vec![0; 32]),
                Signing::First(length) => Mac::First(*length),
                Signing::Longer => Mac::Longer,
                Signing::Attacker => Mac::Under(rand::random::<[u8; 32]>().to_vec()),
                Signing::Hmac(key) => Mac::Under(fill(key)?),
                Signing::Dropped | Signing::Issuer | Signing::IssuerInDer => return Err(no_such_part()),
            }),
            _ => return Err(no_such_part()),
        }
        Ok(())
    }
}

fn no_such_part() -> Missing {
    Missing("the credential has no such part".to_owned())
}

/// The value of a member. What is JSON is taken as it is; everything else is a string.
fn member(value: &str, raw: bool, source: &Source<'_>) -> Result<String, Missing> {
    let value = String::from_utf8(fill(value, source.now, source.names)?)
        .map_err(|_| Missing("a member is UTF-8".to_owned()))?;
    let as_it_is = raw || serde_json::from_str::<serde_json::Value>(&value).is_ok();
    Ok(if as_it_is { value } else { serde_json::Value::String(value).to_string() })
}

/// The signature that a token has.
fn old(jws: &Jws) -> &[u8] {
    match &jws.signature {
        Signature::Bytes(bytes) => bytes,
        Signature::Dropped => &[],
    }
}

impl Signing {
    fn sign(&self, jws: &Jws, source: &Source<'_>) -> Result<Signature, Missing> {
        let input = jws.signing_input();
        let named = jws.header.string("alg");
        let issuer = |named: Option<&str>| {
            if source.shown {
                return Ok(b"signed by the issuer".to_vec());
            }
            let key = source.issuer.ok_or_else(|| Missing("the issuer's key".to_owned()))?;
            key.sign(named, input.as_bytes()).map_err(Missing)
        };
        Ok(Signature::Bytes(match self {
            Self::Dropped => return Ok(Signature::Dropped),
            Self::Empty => Vec::new(),
            Self::Zeros => vec![0; 64],
            Self::First(length) => old(jws).get(..*length).unwrap_or_default().to_vec(),
            Self::Longer => [old(jws), &[0]].concat(),
            Self::Issuer => issuer(named.as_deref())?,
            Self::IssuerInDer => ecdsa_in_der(&issuer(named.as_deref())?),
            Self::Attacker => {
                let algorithm = named.as_deref().and_then(algorithm).unwrap_or(Algorithm::ES256);
                source.attacker.key(algorithm)?.sign(named.as_deref(), input.as_bytes()).map_err(Missing)?
            }
            Self::Hmac(key) => {
                let secret = match key.strip_prefix("public-") {
                    Some(form) => {
                        let public = source.issuer.and_then(|issuer| issuer.public(form));
                        public.ok_or_else(|| Missing("the issuer's public key".to_owned()))?
                    }
                    None => fill(key, source.now, source.names)?,
                };
                hmac_sha256(&secret, input.as_bytes())
            }
        }))
    }
}

impl TryFrom<String> for Mutation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let change = parse(&text).map_err(|why| format!("{text:?}: {why}"))?;
        Ok(Self { text, change })
    }
}

fn parse(text: &str) -> Result<Change, String> {
    let (word, value) = match text.split_once('=') {
        Some((word, value)) => (word, Some(value)),
        None => (text, None),
    };
    if let Some(value) = value {
        template::check(value)?;
    }
    let required = || value.map(str::to_owned).ok_or_else(|| format!("write a value: {word}=…"));
    let number = || required()?.parse::<usize>().map_err(|_| format!("write a number: {word}=16"));
    let (edit, path) = match word.strip_prefix('+') {
        Some(path) => (Edit::Add, path),
        None => word.strip_prefix('-').map_or((Edit::Set, word), |path| (Edit::Remove, path)),
    };
    if let Some(path) = path.strip_prefix("proof.") {
        let sign = &word[..word.len() - path.len() - "proof.".len()];
        let value = value.map(|value| format!("={value}")).unwrap_or_default();
        let change = parse(&format!("{sign}{path}{value}"))?;
        return match change {
            Change::Member { part: Which::Header | Which::Claims, .. } | Change::Signature(_) => {
                Ok(Change::Proof(Box::new(change)))
            }
            _ => Err("of a proof, header.NAME=, claims.NAME= and signature= can be changed".to_owned()),
        };
    }
    let (path, raw) = path.strip_suffix(':').map_or((path, false), |path| (path, true));
    let parts = [("header.", Which::Header), ("claims.", Which::Claims), ("parameter.", Which::Parameters)];
    for (prefix, part) in parts {
        if let Some(name) = path.strip_prefix(prefix) {
            let value = if edit == Edit::Remove { String::new() } else { required()? };
            return Ok(Change::Member { part, edit, name: name.to_owned(), value, raw });
        }
    }
    let bare = |change: TextChange| match value {
        None => Ok(Change::Text(change)),
        Some(_) => Err(format!("{word} takes no value")),
    };
    match word {
        "header" => Ok(Change::Whole { part: Which::Header, value: required()? }),
        "claims" => Ok(Change::Whole { part: Which::Claims, value: required()? }),
        "claims-before" => Ok(Change::Around { before: required()?, after: String::new() }),
        "claims-after" => Ok(Change::Around { before: String::new(), after: required()? }),
        "claims-deep" => Ok(Change::Deep(number()?)),
        "signature" => Ok(Change::Signature(match required()?.as_str() {
            "empty" => Signing::Empty,
            "dropped" => Signing::Dropped,
            "zeros" => Signing::Zeros,
            "issuer" => Signing::Issuer,
            "issuer-der" => Signing::IssuerInDer,
            "attacker" => Signing::Attacker,
            "longer" => Signing::Longer,
            other => match (other.strip_prefix("hmac:"), other.strip_prefix("first:").map(str::parse::<usize>)) {
                (Some(key), _) => Signing::Hmac(key.to_owned()),
                (None, Some(Ok(length))) => Signing::First(length),
                _ => {
                    return Err(
                        "a signature is empty, dropped, zeros, first:16, longer, issuer, issuer-der, attacker or hmac:KEY"
                            .to_owned(),
                    );
                }
            },
        })),
        "components" => Ok(Change::Components(required()?)),
        "signed.method" => Ok(Change::Over(Part::Method, required()?)),
        "signed.authority" => Ok(Change::Over(Part::Authority, required()?)),
        "signed.path" => Ok(Change::Over(Part::Path, required()?)),
        "signed.query" => Ok(Change::Over(Part::Query, required()?)),
        "signed.body" => Ok(Change::Over(Part::Body, required()?)),
        "digest" => Ok(Change::Digest(match required()?.as_str() {
            "none" => Digest::None,
            "md5" => Digest::Md5,
            "sent" => Digest::Sent,
            _ => return Err("write digest=none, digest=md5 or digest=sent".to_owned()),
        })),
        "user" => Ok(Change::User(required()?)),
        "password" => Ok(Change::Password(required()?)),
        "decoded" => Ok(Change::Decoded(required()?)),
        "text" => Ok(Change::Text(TextChange::Template(required()?))),
        "insert" => Ok(Change::Text(TextChange::Insert(required()?))),
        "truncate" => Ok(Change::Text(TextChange::Truncate(number()?))),
        "repeat" => Ok(Change::Text(TextChange::Repeat(number()?))),
        "swap" => Ok(Change::Text(TextChange::Swap(match required()?.as_str() {
            "middle" => Position::Middle,
            "last" => Position::Last,
            _ => return Err("write swap=middle or swap=last".to_owned()),
        }))),
        "checksum" => bare(TextChange::Checksum),
        "random-key" => bare(TextChange::RandomKey),
        "environment" => bare(TextChange::Environment),
        "flip-case" => bare(TextChange::FlipCase),
        "percent-encode" => bare(TextChange::PercentEncode),
        "base64" => bare(TextChange::Base64),
        "standard-alphabet" => bare(TextChange::StandardAlphabet),
        "url-alphabet" => bare(TextChange::UrlAlphabet),
        "strip-padding" => bare(TextChange::StripPadding),
        "sha256" => bare(TextChange::Sha256),
        "look-alike" => bare(TextChange::LookAlike),
        "full-width" => bare(TextChange::FullWidth),
        "json-serialisation" => bare(TextChange::JsonSerialisation),
        "spare-bits" => bare(TextChange::SpareBits),
        _ => Err("is no mutation; docs/attack.md lists them".to_owned()),
    }
}

#[cfg(test)]
mod tests;
