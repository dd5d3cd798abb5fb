//! What is done to a valid credential before it is sent: a short list of words, each with a value or without.
//!
//! A credential begins as what the caller holds: a key, a token, or a user with a password. Words about its parts (`header.alg=none`,
//! `password=…`) come first; the first word about its text (`truncate=16`) puts the parts together, and the rest change the
//! text that is presented.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bench_server::contract::Algorithm;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::jws::{Jws, Signature};
use super::key::{TokenKey, ecdsa_in_der, hmac_sha256};
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
    Issuer,
    IssuerInDer,
    Attacker,
    Hmac(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TextChange {
    Template(String),
    Truncate(usize),
    Repeat(usize),
    Insert(String),
    Swap(Position),
    Checksum,
    RandomKey,
    FlipCase,
    PercentEncode,
    Base64,
    StandardAlphabet,
    UrlAlphabet,
    StripPadding,
    Sha256,
    LookAlike,
    FullWidth,
    JsonSerialisation,
    SpareBits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    Middle,
    Last,
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
}

impl Credential {
    /// What is presented behind the scheme.
    pub(crate) fn text(&self) -> Vec<u8> {
        match self {
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
        let json = |value: &str, raw: bool| -> Result<String, Missing> {
            let value = String::from_utf8(fill(value)?).map_err(|_| Missing("a member is UTF-8".to_owned()))?;
            // What is JSON is taken as it is; everything else is a string.
            let as_it_is = raw || serde_json::from_str::<serde_json::Value>(&value).is_ok();
            Ok(if as_it_is { value } else { serde_json::Value::String(value).to_string() })
        };
        match self {
            Self::Member { part, edit, name, value, raw } => {
                let value = if *edit == Edit::Remove { String::new() } else { json(value, *raw)? };
                let part = match part {
                    Which::Header => &mut jws.header,
                    Which::Claims => &mut jws.claims,
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
            Self::User(_) | Self::Password(_) | Self::Decoded(_) | Self::Text(_) => {
                return Err(Missing("the credential has no such part".to_owned()));
            }
        }
        Ok(())
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

impl TextChange {
    fn apply(&self, text: Vec<u8>, source: &Source<'_>) -> Result<Vec<u8>, Missing> {
        let ascii = || String::from_utf8_lossy(&text).into_owned();
        Ok(match self {
            Self::Template(template) => {
                let names = |name: &str| if name == "value" { Ok(text.clone()) } else { (source.names)(name) };
                fill(template, source.now, &names)?
            }
            Self::Truncate(length) => text[..text.len().min(*length)].to_vec(),
            Self::Repeat(times) => text.repeat(*times),
            Self::Insert(template) => {
                let (before, after) = text.split_at(text.len() / 2);
                [before, &fill(template, source.now, source.names)?, after].concat()
            }
            Self::Swap(position) => swapped(text, *position),
            Self::Checksum => with_checksum(text),
            Self::RandomKey => with_checksum(random_key(&text)),
            Self::FlipCase => {
                text.iter().map(|byte| if byte.is_ascii_alphabetic() { byte ^ 0x20 } else { *byte }).collect()
            }
            Self::PercentEncode => text.iter().flat_map(|byte| format!("%{byte:02X}").into_bytes()).collect(),
            Self::Base64 => STANDARD.encode(&text).into_bytes(),
            Self::StandardAlphabet => ascii().replace('-', "+").replace('_', "/").into_bytes(),
            Self::UrlAlphabet => ascii().replace('+', "-").replace('/', "_").into_bytes(),
            Self::StripPadding => ascii().trim_end_matches('=').as_bytes().to_vec(),
            Self::Sha256 => Sha256::digest(&text).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
            Self::LookAlike => replaced_once(&ascii(), &[('a', 'а'), ('e', 'е'), ('o', 'о'), ('c', 'с'), ('l', 'ӏ')]),
            Self::FullWidth => ascii()
                .chars()
                .map(|c| match c.to_digit(10) {
                    Some(digit) => char::from_u32('０' as u32 + digit).unwrap_or(c),
                    None => c,
                })
                .collect::<String>()
                .into_bytes(),
            // The last character of base64url carries bits that no byte is made of (RFC 4648 §3.5).
            Self::SpareBits => {
                let mut text = text;
                if let Some(last) = text.last_mut() {
                    let place = BASE64URL.iter().position(|known| known == last).unwrap_or(0);
                    *last = BASE64URL[place ^ 1];
                }
                text
            }
            Self::JsonSerialisation => {
                let text = ascii();
                let parts: Vec<&str> = text.split('.').collect();
                let [header, payload, signature] = parts.as_slice() else {
                    return Err(Missing("a token of three parts".to_owned()));
                };
                format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#).into_bytes()
            }
        })
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// With one character changed for another of its kind: of base62, so that it is refused for what it says and not for its form.
fn swapped(mut text: Vec<u8>, position: Position) -> Vec<u8> {
    let place = match position {
        Position::Last => text.len().checked_sub(1),
        Position::Middle => Some(text.len() / 2).filter(|place| *place < text.len()),
    };
    if let Some(byte) = place.and_then(|place| text.get_mut(place)) {
        *byte = match *byte {
            b'z' => b'y',
            b'Z' => b'Y',
            b'9' => b'8',
            byte if byte.is_ascii_alphanumeric() => byte + 1,
            _ => b'A',
        };
    }
    text
}

/// Characters of the checksum at the end of the reference server's keys.
const CHECKSUM: usize = 6;

/// A key of the reference server's form with the checksum that belongs to it; other keys stay as they are.
fn with_checksum(mut key: Vec<u8>) -> Vec<u8> {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let form = std::str::from_utf8(&key).ok().and_then(|key| key.rsplit_once('_'));
    if form.is_none_or(|(_, digits)| digits.len() != 36) {
        return key;
    }
    let end = key.len() - CHECKSUM;
    let mut rest = crc32(&key[..end]);
    for place in (end..key.len()).rev() {
        key[place] = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    key
}

/// CRC-32 (ISO-HDLC) bit by bit: a few dozen bytes, a few times.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Letters and digits of nobody's key in the place of those behind the last `_`, or of all.
fn random_key(key: &[u8]) -> Vec<u8> {
    let begin = key.iter().rposition(|byte| *byte == b'_').map_or(0, |place| place + 1);
    let other = |byte: &u8| match byte {
        b'0'..=b'9' => b'0' + rand::random_range(0..10),
        b'a'..=b'z' => b'a' + rand::random_range(0..26),
        b'A'..=b'Z' => b'A' + rand::random_range(0..26),
        other => *other,
    };
    key[..begin].iter().copied().chain(key[begin..].iter().map(other)).collect()
}

/// The first of those characters that there is, as one that looks the same.
fn replaced_once(text: &str, alike: &[(char, char)]) -> Vec<u8> {
    let found = alike.iter().find(|(one, _)| text.contains(*one));
    found.map_or_else(|| text.to_owned(), |(one, other)| text.replacen(*one, &other.to_string(), 1)).into_bytes()
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
    let (path, raw) = path.strip_suffix(':').map_or((path, false), |path| (path, true));
    for (prefix, part) in [("header.", Which::Header), ("claims.", Which::Claims)] {
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
            other => match other.strip_prefix("hmac:") {
                Some(key) => Signing::Hmac(key.to_owned()),
                None => {
                    return Err(
                        "a signature is empty, dropped, zeros, issuer, issuer-der, attacker or hmac:KEY".to_owned()
                    );
                }
            },
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
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn mutated(credential: Credential, words: &[&str]) -> Result<Vec<u8>, Missing> {
        let names = |name: &str| match name {
            "user" => Ok(b"alice".to_vec()),
            "password" => Ok(b"secret".to_vec()),
            other => Err(Missing(other.to_owned())),
        };
        let attacker = Attacker::default();
        let issuer = TokenKey::generate(Algorithm::ES256).unwrap();
        let source = Source { now: 1_000, names: &names, issuer: Some(&issuer), attacker: &attacker, shown: false };
        let mut credential = credential;
        for word in words {
            credential = Mutation::try_from((*word).to_owned()).expect(word).apply(credential, &source)?;
        }
        Ok(credential.text())
    }

    fn of_key(words: &[&str]) -> String {
        let key = Credential::Text(b"ab_live_0123456789abcdefghijABCDEFGHIJ000000".to_vec());
        String::from_utf8(mutated(key, words).unwrap()).unwrap()
    }

    fn of_pair(words: &[&str]) -> Vec<u8> {
        let pair = Credential::Pair { user: b"alice".to_vec(), password: b"secret".to_vec() };
        mutated(pair, words).unwrap()
    }

    fn token() -> Credential {
        let part = |json: &str| URL_SAFE_NO_PAD.encode(json);
        let text = format!("{}.{}.{}", part(r#"{"alg":"ES256","kid":"k"}"#), part(r#"{"exp":9}"#), part("8 bytes!"));
        Credential::Jws(Box::new(Jws::parse(&text).expect("a token")))
    }

    fn of_token(words: &[&str]) -> Jws {
        let text = String::from_utf8(mutated(token(), words).unwrap()).unwrap();
        Jws::parse(&text).expect("still a token")
    }

    #[test]
    fn keys_change_as_the_words_say() {
        assert_eq!(of_key(&["truncate=16"]), "ab_live_01234567");
        assert_eq!(of_key(&["flip-case"]), "AB_LIVE_0123456789ABCDEFGHIJabcdefghij000000");
        assert_eq!(of_key(&["text=<value>x"]), "ab_live_0123456789abcdefghijABCDEFGHIJ000000x");
        assert!(of_key(&["swap=last"]).ends_with("000001"));
        assert_eq!(of_key(&["repeat=2"]).len(), 88);
        assert_eq!(of_key(&["sha256"]).len(), 64);
        assert_eq!(&of_key(&["percent-encode"])[..6], "%61%62");
        assert_ne!(of_key(&["look-alike"]), of_key(&[]));
        assert_eq!(of_key(&["full-width"]).chars().count(), 44);
    }

    #[test]
    fn checksums_are_those_of_the_reference_server() {
        use bench_server::credential::key::Key;
        assert!(Key::parse(&of_key(&[])).is_err());
        let right = of_key(&["checksum"]);
        assert!(Key::parse(&right).is_ok(), "{right}");
        let other = of_key(&["swap=middle", "checksum"]);
        assert!(Key::parse(&other).is_ok() && other != right);
        assert!(Key::parse(&of_key(&["random-key"])).is_ok());
        assert!(Key::parse(&of_key(&["checksum", "swap=last"])).is_err());
    }

    #[test]
    fn passwords_change_before_they_are_encoded() {
        assert_eq!(of_pair(&[]), STANDARD.encode("alice:secret").into_bytes());
        assert_eq!(of_pair(&["password=<password>1"]), STANDARD.encode("alice:secret1").into_bytes());
        assert_eq!(of_pair(&["user=bob"]), STANDARD.encode("bob:secret").into_bytes());
        assert_eq!(of_pair(&["decoded=<byte:e4>"]), STANDARD.encode(b"\xe4").into_bytes());
        assert_eq!(of_pair(&["decoded=ab", "strip-padding"]), b"YWI");
    }

    #[test]
    fn tokens_change_member_by_member() {
        let none = of_token(&["header.alg=none", "signature=empty"]);
        assert_eq!(none.header.string("alg").as_deref(), Some("none"));
        assert_eq!(none.signature, Signature::Bytes(Vec::new()));
        assert_eq!(of_token(&["claims.exp=\"9\""]).claims.string("exp").as_deref(), Some("9"));
        let late = of_token(&["claims.exp=<now+5>", "-header.kid"]);
        assert_eq!(late.claims.text(), br#"{"exp":1005}"#);
        assert_eq!(late.header.string("kid"), None);
        let bytes = mutated(token(), &["claims.exp:=1e400", "+claims.exp=9"]).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(bytes.split(|byte| *byte == b'.').nth(1).unwrap()).unwrap();
        assert_eq!(payload, br#"{"exp":1e400,"exp":9}"#);
        assert_eq!(of_token(&["signature=zeros"]).signature, Signature::Bytes(vec![0; 64]));
        for key in ["secret", "public-pem"] {
            let Signature::Bytes(mac) = of_token(&["header.alg=HS256", &format!("signature=hmac:{key}")]).signature
            else {
                panic!("it is signed")
            };
            assert_eq!(mac.len(), 32);
        }
        let spare = mutated(token(), &["spare-bits"]).unwrap();
        assert_ne!(spare, token().text());
        assert_eq!(Jws::parse(std::str::from_utf8(&spare).unwrap()), None, "a strict reader refuses it");
    }

    #[test]
    fn words_that_are_none_are_refused() {
        for wrong in
            ["", "flip", "truncate=x", "truncate", "signature=mine", "flip-case=1", "text=<valeu>", "swap=first"]
        {
            assert!(Mutation::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
        let error = mutated(Credential::Text(b"key".to_vec()), &["header.alg=none"]).expect_err("no token");
        assert!(error.0.contains("no such part"), "{error:?}");
    }
}
